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
    fn names_out_of_keys() {
        assert_eq!(in_brackets("['x']").and_then(string_literal), Some("x"));
        assert_eq!(in_brackets("[u'x']").and_then(string_literal), Some("x"));
        assert_eq!(in_brackets("[3]").and_then(string_literal), None);
    }
}
