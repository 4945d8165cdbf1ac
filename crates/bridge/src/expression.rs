//! Python expressions, made from parts.

/// An expression that can be followed by `.name` or `[index]`. The servers
/// build the expressions of children by appending, so that those of `a or b`
/// would be children of `b`.
pub(crate) fn as_operand(expression: &str) -> String {
    if is_chain(expression) {
        expression.to_owned()
    } else {
        format!("({expression})")
    }
}

/// Names joined by dots: what needs no parentheses for certain.
fn is_chain(expression: &str) -> bool {
    expression.split('.').all(is_identifier)
}

/// Whether this is a name (keywords apart).
pub(crate) fn is_identifier(text: &str) -> bool {
    let mut chars = text.chars();
    chars
        .next()
        .is_some_and(|first| first == '_' || first.is_alphabetic())
        && chars.all(|c| c == '_' || c.is_alphanumeric())
}

/// What stands between the brackets of `[…]`.
pub(crate) fn in_brackets(name: &str) -> Option<&str> {
    name.strip_prefix('[')?.strip_suffix(']')
}

/// The text of a simple string literal: `'name'`, `u'name'`.
pub(crate) fn string_literal(text: &str) -> Option<&str> {
    let text = text.strip_prefix('u').unwrap_or(text);
    let quoted = text.strip_prefix('\'')?.strip_suffix('\'')?;
    (!quoted.contains(['\\', '\''])).then_some(quoted)
}

/// The text that `repr()` shows; `None` for what is no string, or was cut.
pub(crate) fn unescaped(repr: &str) -> Option<String> {
    let literal = repr.strip_prefix('u').unwrap_or(repr);
    let quote = literal.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    let mut rest = literal.strip_prefix(quote)?.strip_suffix(quote)?.chars();
    let mut text = String::new();
    while let Some(c) = rest.next() {
        if c != '\\' {
            text.push(c);
            continue;
        }
        let digits = match rest.next()? {
            'n' => {
                text.push('\n');
                continue;
            }
            't' => {
                text.push('\t');
                continue;
            }
            'r' => {
                text.push('\r');
                continue;
            }
            'x' => 2,
            'u' => 4,
            'U' => 8,
            other => {
                text.push(other);
                continue;
            }
        };
        let digits: String = rest.by_ref().take(digits).collect();
        text.push(char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?);
    }
    Some(text)
}

/// A literal for bytes, of Python 2.6 and later.
pub(crate) fn bytes_literal(text: &str) -> String {
    let mut literal = String::from("b'");
    for byte in text.bytes() {
        match byte {
            b'\'' | b'\\' | 0..=31 | 127..=255 => literal.push_str(&format!("\\x{byte:02x}")),
            other => literal.push(char::from(other)),
        }
    }
    literal.push('\'');
    literal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_needs_parentheses_gets_them() {
        assert_eq!(as_operand("a"), "a");
        assert_eq!(as_operand("a.b_1"), "a.b_1");
        assert_eq!(as_operand("a or b"), "(a or b)");
        assert_eq!(as_operand("1"), "(1)");
        assert_eq!(as_operand("a[0]"), "(a[0])");
    }

    #[test]
    fn representations_of_strings() {
        assert_eq!(
            unescaped(r"'a\n\'b\' \\ \xe9'"),
            Some("a\n'b' \\ é".to_owned())
        );
        assert_eq!(unescaped("u\"it's \\u20ac\""), Some("it's €".to_owned()));
        assert_eq!(unescaped("'cut..."), None);
        assert_eq!(unescaped("12"), None);
        assert_eq!(unescaped("'"), None);
    }

    #[test]
    fn literals_of_bytes() {
        assert_eq!(bytes_literal("/a b/é's"), r"b'/a b/\xc3\xa9\x27s'");
    }

    #[test]
    fn names_out_of_keys() {
        assert_eq!(in_brackets("['x']").and_then(string_literal), Some("x"));
        assert_eq!(in_brackets("[u'x']").and_then(string_literal), Some("x"));
        assert_eq!(in_brackets("[3]").and_then(string_literal), None);
    }
}
