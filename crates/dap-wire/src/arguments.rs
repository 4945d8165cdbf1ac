//! From a JSON value to a request's arguments, forgivingly, with errors that
//! name the field.
//!
//! serde's own reading of a [`Value`] says `invalid type: string "x", expected
//! i64` and not where. This one walks the same value and knows the path. On
//! the way it forgives what editors do: null means absent, a number without a
//! fraction is an integer however it was written, and an empty list may stand
//! for an empty object (Lua and Emacs Lisp cannot tell the two apart).

use std::fmt;

use serde::Deserializer;
use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Expected, IntoDeserializer, Unexpected, Visitor,
};
use serde_json::{Number, Value};

/// Reads `value` as a `T`; the error says which field is wrong, and how.
pub(crate) fn read<T: DeserializeOwned>(value: &Value) -> Result<T, String> {
    T::deserialize(Reader(value)).map_err(|fault| fault.to_string())
}

/// What is wrong, and where; the path is filled in from the inside outwards.
#[derive(Debug)]
struct Fault {
    path: Vec<String>,
    problem: String,
}

impl Fault {
    fn under(mut self, step: String) -> Self {
        self.path.push(step);
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            return f.write_str(&self.problem);
        }
        f.write_str("`")?;
        for (depth, step) in self.path.iter().rev().enumerate() {
            if depth > 0 && !step.starts_with('[') {
                f.write_str(".")?;
            }
            f.write_str(step)?;
        }
        write!(f, "`: {}", self.problem)
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(problem: T) -> Self {
        Self {
            path: Vec::new(),
            problem: problem.to_string(),
        }
    }

    /// Says the kind of what was found and not the value, which may be a secret.
    fn invalid_type(found: Unexpected<'_>, wanted: &dyn Expected) -> Self {
        let found = match found {
            Unexpected::Bool(_) => "true or false",
            Unexpected::Unsigned(_) | Unexpected::Signed(_) => "an integer",
            Unexpected::Float(_) => "a number with a fraction",
            Unexpected::Char(_) | Unexpected::Str(_) => "a string",
            Unexpected::Seq => "a list",
            Unexpected::Map => "an object",
            _ => "something else",
        };
        let wanted = wanted.to_string();
        let wanted = match wanted.as_str() {
            "i64" | "i32" | "u64" | "u32" | "u16" => "an integer",
            "f64" => "a number",
            "a boolean" => "true or false",
            "a sequence" => "a list",
            "a map" => "an object",
            named if named.starts_with("struct ") => "an object",
            other => other,
        };
        Self::custom(format_args!("expected {wanted}, found {found}"))
    }

    fn invalid_value(found: Unexpected<'_>, wanted: &dyn Expected) -> Self {
        Self::invalid_type(found, wanted)
    }
}

#[derive(Clone, Copy)]
struct Reader<'a>(&'a Value);

impl<'a> Reader<'a> {
    fn number<V: Visitor<'a>>(number: &Number, visitor: V) -> Result<V::Value, Fault> {
        if let Some(n) = number.as_i64() {
            visitor.visit_i64(n)
        } else if let Some(n) = number.as_u64() {
            visitor.visit_u64(n)
        } else {
            visitor.visit_f64(number.as_f64().unwrap_or(f64::NAN))
        }
    }

    fn integer<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Fault> {
        let fractional = self.0.as_f64().filter(|_| self.0.is_f64());
        match fractional.and_then(whole) {
            Some(n) => visitor.visit_i64(n),
            None => self.deserialize_any(visitor),
        }
    }

    fn object<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            Value::Null => visitor.visit_map(Members::none()),
            Value::Array(items) if items.is_empty() => visitor.visit_map(Members::none()),
            _ => self.deserialize_any(visitor),
        }
    }
}

/// `number` as an integer if it has no fraction and an `f64` holds it exactly.
pub(crate) fn whole(number: f64) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0; // 2^53
    if number.fract() != 0.0 || number.abs() > EXACT {
        return None;
    }
    // By way of text, because there is no checked conversion and `as` is not used.
    format!("{number:.0}").parse().ok()
}

impl<'de> Deserializer<'de> for Reader<'de> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(b) => visitor.visit_bool(*b),
            Value::Number(number) => Self::number(number, visitor),
            Value::String(s) => visitor.visit_borrowed_str(s),
            Value::Array(items) => visitor.visit_seq(Items {
                items: items.iter(),
                next: 0,
            }),
            Value::Object(map) => visitor.visit_map(Members {
                entries: Some(map.iter()),
                value: None,
            }),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.integer(visitor)
    }

    fn deserialize_i32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.integer(visitor)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.integer(visitor)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.integer(visitor)
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.integer(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.object(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.object(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    /// The protocol's enumerations are all strings.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match self.0 {
            Value::String(s) => {
                let name: StrDeserializer<'_, Fault> = s.as_str().into_deserializer();
                visitor.visit_enum(name)
            }
            _ => Err(de::Error::custom("a string was expected")),
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i128 u8 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct identifier ignored_any
    }
}

struct Items<'a> {
    items: std::slice::Iter<'a, Value>,
    next: usize,
}

impl<'a> de::SeqAccess<'a> for Items<'a> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'a>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Fault> {
        let Some(item) = self.items.next() else {
            return Ok(None);
        };
        let index = self.next;
        self.next = index.saturating_add(1);
        seed.deserialize(Reader(item))
            .map(Some)
            .map_err(|fault| fault.under(format!("[{index}]")))
    }
}

/// The members of an object that are not null.
struct Members<'a> {
    entries: Option<serde_json::map::Iter<'a>>,
    value: Option<(&'a str, &'a Value)>,
}

impl Members<'_> {
    fn none() -> Self {
        Self {
            entries: None,
            value: None,
        }
    }
}

impl<'a> de::MapAccess<'a> for Members<'a> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'a>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Fault> {
        let entries = self.entries.as_mut();
        let Some((key, value)) = entries.and_then(|all| all.find(|(_, value)| !value.is_null()))
        else {
            return Ok(None);
        };
        self.value = Some((key, value));
        seed.deserialize(de::value::BorrowedStrDeserializer::new(key))
            .map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'a>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let Some((key, value)) = self.value.take() else {
            return Err(de::Error::custom("a value was asked for before its key"));
        };
        seed.deserialize(Reader(value))
            .map_err(|fault| fault.under(key.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::read;
    use crate::requests::{
        EvaluateArguments, InitializeArguments, NoArguments, SetBreakpointsArguments,
        StackTraceArguments, TerminateArguments,
    };
    use crate::types::EvaluateArgumentsContext;

    #[test]
    fn null_absent_and_empty_are_the_same() {
        for nothing in [json!(null), json!({}), json!([])] {
            read::<TerminateArguments>(&nothing).unwrap();
            read::<InitializeArguments>(&nothing).unwrap();
            read::<NoArguments>(&nothing).unwrap();
        }
        let arguments: InitializeArguments =
            read(&json!({"clientId": "neovim", "clientname": "x", "locale": null})).unwrap();
        assert!(arguments.client_id.is_none() && arguments.locale.is_none());
    }

    #[test]
    fn whole_floats_are_integers() {
        let arguments: StackTraceArguments =
            read(&json!({"threadId": 1.0, "startFrame": 0.0, "levels": 20})).unwrap();
        assert_eq!(arguments.thread_id, 1);
        assert_eq!(arguments.start_frame, Some(0));
        assert_eq!(super::whole(-0.0), Some(0));
        assert_eq!(super::whole(-7.0), Some(-7));
        assert_eq!(super::whole(1.5), None);
        assert_eq!(super::whole(f64::INFINITY), None);
        assert_eq!(super::whole(1e300), None);
    }

    #[test]
    fn errors_name_the_field() {
        let asked =
            json!({"source": {"path": "/a.py"}, "breakpoints": [{"line": 1}, {"line": "x"}]});
        assert_eq!(
            read::<SetBreakpointsArguments>(&asked).unwrap_err(),
            "`breakpoints[1].line`: expected an integer, found a string"
        );
        assert_eq!(
            read::<StackTraceArguments>(&json!({"threadId": null})).unwrap_err(),
            "missing field `threadId`"
        );
        let half = read::<StackTraceArguments>(&json!({"threadId": 1.5})).unwrap_err();
        assert_eq!(
            half,
            "`threadId`: expected an integer, found a number with a fraction"
        );
        assert_eq!(
            read::<StackTraceArguments>(&json!("threads")).unwrap_err(),
            "expected an object, found a string"
        );
    }

    #[test]
    fn errors_do_not_quote_values() {
        let fault = read::<StackTraceArguments>(&json!({"threadId": "hunter2"})).unwrap_err();
        assert!(!fault.contains("hunter2"), "{fault}");
        let fault = read::<TerminateArguments>(&json!({"restart": "hunter2"})).unwrap_err();
        assert_eq!(fault, "`restart`: expected true or false, found a string");
    }

    #[test]
    fn unknown_fields_and_open_enumerations_pass() {
        let arguments: EvaluateArguments =
            read(&json!({"expression": "x", "context": "minibuffer", "__sessionId": 7})).unwrap();
        assert!(matches!(
            arguments.context,
            Some(EvaluateArgumentsContext::String(other)) if other == "minibuffer"
        ));
    }

    #[test]
    fn the_misspelt_step_still_names_itself() {
        let fault =
            read::<crate::requests::NextArguments>(&json!({"threadId": 1, "granularity": "leap"}))
                .unwrap_err();
        assert!(
            fault.starts_with("`granularity`: unknown variant `leap`"),
            "{fault}"
        );
    }
}
