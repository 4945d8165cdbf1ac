//! Holds messages against the specification's JSON schema; for tests.
//!
//! The schema is not part of this repository. It is, in this order: the file
//! that `DAP_SCHEMA` names; the copy beside the checkout; one made from the
//! npm package of the protocol, which has the same definitions as TypeScript.
//!
//! It is made stricter than it comes: what we send has no members that the
//! specification does not name. A misspelt optional field would pass otherwise.

mod generate;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use jsonschema::Validator;
use serde_json::{Map, Value, json};

const BESIDE_THE_CHECKOUT: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../../shared/data/debugAdapterProtocol.json"
);

/// The specification's definitions.
pub struct Schema {
    dialect: Value,
    definitions: Value,
    /// Made when first needed, by the name of the definition.
    validators: Mutex<HashMap<String, Arc<Validator>>>,
}

impl Schema {
    /// Finds the schema, or makes it.
    ///
    /// # Errors
    ///
    /// There is none: what was tried, and what to do.
    pub fn load() -> Result<Self, String> {
        let text = match std::env::var_os("DAP_SCHEMA").map(PathBuf::from) {
            Some(named) => read(&named)?,
            None => match read(Path::new(BESIDE_THE_CHECKOUT)) {
                Ok(text) => text,
                Err(_) => generate::from_npm().map_err(|why| {
                    format!(
                        "no schema: not at {BESIDE_THE_CHECKOUT}, and it cannot be made from npm \
                         ({why}); set DAP_SCHEMA to a debugAdapterProtocol.json"
                    )
                })?,
            },
        };
        Self::from_text(&text)
    }

    /// Makes the schema from the npm package, even where there is a file.
    ///
    /// # Errors
    ///
    /// npm or node is not there, or the registry cannot be reached.
    pub fn from_npm() -> Result<Self, String> {
        Self::from_text(&generate::from_npm()?)
    }

    fn from_text(text: &str) -> Result<Self, String> {
        let mut document: Value =
            serde_json::from_str(text).map_err(|why| format!("the schema is no JSON: {why}"))?;
        let mut definitions = document
            .get_mut("definitions")
            .map(Value::take)
            .ok_or("the schema has no definitions")?;
        for (name, definition) in definitions.as_object_mut().into_iter().flatten() {
            // What editors send is their own, and every message is built on
            // `ProtocolMessage`.
            let open = name.ends_with("Arguments") || name == "ProtocolMessage";
            forbid_unknown_members(definition, open);
        }
        Ok(Self {
            dialect: document.get("$schema").cloned().unwrap_or(Value::Null),
            definitions,
            validators: Mutex::default(),
        })
    }

    /// Holds a whole message against the definition of its kind.
    ///
    /// # Errors
    ///
    /// All that is wrong with it, and the message.
    pub fn check(&self, message: &Value) -> Result<(), String> {
        let problems = match self.problems(message) {
            Ok(problems) => problems,
            Err(problem) => vec![problem],
        };
        if problems.is_empty() {
            return Ok(());
        }
        Err(format!("{}\n  in {message}", problems.join("\n")))
    }

    fn problems(&self, message: &Value) -> Result<Vec<String>, String> {
        let name = definition_of(message)?;
        let validator = self.validator(&name)?;
        let wrong = validator.iter_errors(message);
        let mut problems: Vec<_> = wrong
            .map(|error| format!("{name}: `{}`: {error}", error.instance_path()))
            .collect();
        let members = message.as_object().into_iter().flat_map(Map::keys);
        for member in members.filter(|member| !is_envelope(member)) {
            problems.push(format!("{name}: no message has a member `{member}`"));
        }
        Ok(problems)
    }

    fn validator(&self, name: &str) -> Result<Arc<Validator>, String> {
        let mut validators = self
            .validators
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(validator) = validators.get(name) {
            return Ok(Arc::clone(validator));
        }
        if self.definitions.get(name).is_none() {
            return Err(format!("the specification has no {name}"));
        }
        let schema = json!({
            "$schema": self.dialect,
            "allOf": [{"$ref": format!("#/definitions/{name}")}],
            "definitions": self.definitions,
        });
        let validator = jsonschema::validator_for(&schema)
            .map_err(|why| format!("the schema of {name} is no schema: {why}"))?;
        let validator = Arc::new(validator);
        validators.insert(name.to_owned(), Arc::clone(&validator));
        Ok(validator)
    }
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|why| format!("{}: {why}", path.display()))
}

/// `StoppedEvent`, `ThreadsResponse`, `ErrorResponse`, `AttachRequest`, …
fn definition_of(message: &Value) -> Result<String, String> {
    let text = |member| message.get(member).and_then(Value::as_str);
    let (name, kind) = match text("type") {
        Some("event") => (text("event").ok_or("an event without a name")?, "Event"),
        Some("response") if message.get("success") == Some(&Value::Bool(false)) => {
            return Ok("ErrorResponse".to_owned());
        }
        Some("response") => (
            text("command").ok_or("a response without a command")?,
            "Response",
        ),
        Some("request") => (
            text("command").ok_or("a request without a command")?,
            "Request",
        ),
        _ => return Err("neither event, response nor request".to_owned()),
    };
    let mut letters = name.chars();
    let first = letters.next().ok_or("an empty name")?;
    Ok(format!(
        "{}{}{kind}",
        first.to_ascii_uppercase(),
        letters.as_str()
    ))
}

fn is_envelope(member: &str) -> bool {
    let ours = [
        "seq",
        "type",
        "event",
        "command",
        "arguments",
        "request_seq",
        "success",
        "message",
        "body",
    ];
    ours.contains(&member)
}

/// Closes each object schema that names its members; `open` spares this one,
/// not what is inside.
fn forbid_unknown_members(schema: &mut Value, open: bool) {
    let Some(schema) = schema.as_object_mut() else {
        return;
    };
    if open {
        schema.remove("additionalProperties");
    } else if schema.contains_key("properties") && !schema.contains_key("additionalProperties") {
        schema.insert("additionalProperties".to_owned(), Value::Bool(false));
    }
    // The parts of an `allOf` name some members each.
    for part in schema
        .get_mut("allOf")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        forbid_unknown_members(part, true);
    }
    let members = schema.get_mut("properties").and_then(Value::as_object_mut);
    for (_, member) in members.into_iter().flatten() {
        forbid_unknown_members(member, false);
    }
    if let Some(items) = schema.get_mut("items") {
        forbid_unknown_members(items, false);
    }
}
