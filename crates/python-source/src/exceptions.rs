//! Which lines of a file handle which exceptions.

use tree_sitter::Node;

use crate::Language;
use crate::syntax::{children, for_each_node, is_compound, is_part, line, parse};
use crate::text::Text;

/// What a `try` statement handles, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExceptRange {
    /// The line of `try`, counted from 1.
    pub first_line: usize,
    /// The line after the last of its body; one more if the body ends with a
    /// compound statement, so that what handles that is inside. What stands
    /// under `except`, `else` and `finally` is not.
    pub end_line: usize,
    /// What the `except` clauses name, in their order. Never empty.
    pub expressions: Vec<Expression>,
}

/// What an `except` clause handles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expression {
    /// Everything. It is then the only one.
    Everything,
    /// What has this name, with dots perhaps.
    Name(String),
}

/// What each `try` statement of a file handles, in the order of the text.
///
/// * `try … finally` handles nothing and is left out, as is one whose clauses
///   name nothing: calls, subscripts and the like cannot be looked up.
/// * A clause without an expression handles everything, and so does a `try`
///   that has neither `except` nor `finally`, which no Python accepts.
///
/// `None` when `goes_on`, which is asked now and then, said no.
#[must_use]
pub fn except_ranges(
    source: &[u8],
    language: Language,
    mut goes_on: impl FnMut() -> bool,
) -> Option<Vec<ExceptRange>> {
    let text = Text::new(source, language);
    let tree = parse(&text, &mut goes_on)?;
    let reader = Reader {
        text: &text.written,
        language,
    };
    let mut ranges = Vec::new();
    for_each_node(tree.walk(), |node| {
        if node.kind() == "try_statement" {
            ranges.extend(reader.range(node));
        }
    });
    Some(ranges)
}

struct Reader<'a> {
    text: &'a str,
    language: Language,
}

impl Reader<'_> {
    fn range(&self, statement: Node<'_>) -> Option<ExceptRange> {
        let last = statement
            .child_by_field_name("body")
            .and_then(|body| children(body).pop());
        let end_line = match last {
            Some(last) => last_line(last) + 1 + usize::from(is_compound(last)),
            None => line(statement) + 1,
        };
        let clauses = children(statement);
        let handlers: Vec<_> = clauses
            .iter()
            .filter(|clause| clause.kind() == "except_clause")
            .collect();
        let expressions = if handlers.is_empty() {
            if clauses
                .iter()
                .any(|clause| clause.kind() == "finally_clause")
            {
                return None;
            }
            vec![Expression::Everything]
        } else {
            let mut expressions = Vec::new();
            for handler in handlers {
                let Some(value) = handler.child_by_field_name("value") else {
                    expressions = vec![Expression::Everything];
                    break;
                };
                expressions.extend(self.names(value).into_iter().map(Expression::Name));
            }
            expressions
        };
        (!expressions.is_empty()).then(|| ExceptRange {
            first_line: line(statement),
            end_line,
            expressions,
        })
    }

    /// The names in an `except` clause. What follows a comma without
    /// parentheses is Python 2's way to say `as`.
    fn names(&self, value: Node<'_>) -> Vec<String> {
        let mut value = value;
        if value.kind() == "as_pattern"
            && let Some(what) = children(value).first()
        {
            value = *what;
        }
        let value = without_parentheses(value);
        if value.kind() == "tuple" {
            children(value)
                .into_iter()
                .filter_map(|item| self.dotted_name(item))
                .collect()
        } else {
            self.dotted_name(value).into_iter().collect()
        }
    }

    fn dotted_name(&self, node: Node<'_>) -> Option<String> {
        let mut parts = Vec::new();
        let mut node = without_parentheses(node);
        while node.kind() == "attribute" {
            parts.push(self.written(node.child_by_field_name("attribute")?)?);
            node = without_parentheses(node.child_by_field_name("object")?);
        }
        let is_name = match node.kind() {
            "identifier" => true,
            // No keywords yet.
            "none" | "true" | "false" => self.language == Language::Python2,
            _ => false,
        };
        if !is_name {
            return None;
        }
        parts.push(self.written(node)?);
        parts.reverse();
        Some(parts.join("."))
    }

    fn written(&self, node: Node<'_>) -> Option<&str> {
        self.text.get(node.byte_range())
    }
}

fn without_parentheses(node: Node<'_>) -> Node<'_> {
    let mut node = node;
    while node.kind() == "parenthesized_expression" {
        match children(node).first() {
            Some(inner) => node = *inner,
            None => break,
        }
    }
    node
}

/// The line that a statement ends on. The end of a node may be that of blank
/// lines and comments behind it, so the last thing in it is looked for.
fn last_line(statement: Node<'_>) -> usize {
    let mut node = statement;
    while is_compound(node) || is_part(node) {
        match children(node).pop() {
            Some(last) => node = last,
            None => break,
        }
    }
    node.end_position().row + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges_in(source: &[u8], language: Language) -> Vec<(usize, usize, String)> {
        let show = |expression| match expression {
            Expression::Everything => "*".to_owned(),
            Expression::Name(name) => name,
        };
        except_ranges(source, language, || true)
            .unwrap()
            .into_iter()
            .map(|range| {
                let expressions: Vec<_> = range.expressions.into_iter().map(show).collect();
                (range.first_line, range.end_line, expressions.join(" "))
            })
            .collect()
    }

    #[track_caller]
    fn check(language: Language, source: &str, expected: &[(usize, usize, &str)]) {
        let expected: Vec<_> = expected
            .iter()
            .map(|(first, end, names)| (*first, *end, (*names).to_owned()))
            .collect();
        assert_eq!(ranges_in(source.as_bytes(), language), expected, "{source}");
        // Nothing of it depends on how lines end, or on tabs.
        let windows = source.replace('\n', "\r\n").replace("    ", "\t");
        assert_eq!(
            ranges_in(windows.as_bytes(), language),
            expected,
            "{source}"
        );
    }

    fn check_both(source: &str, expected: &[(usize, usize, &str)]) {
        check(Language::Python2, source, expected);
        check(Language::Python3, source, expected);
    }

    #[test]
    fn the_body_and_no_other_part() {
        check_both(
            "try:\n    a\n    b\nexcept A:\n    c\nelse:\n    d\nfinally:\n    e\n",
            &[(1, 4, "A")],
        );
        check_both("try: a\nexcept A: b\n", &[(1, 2, "A")]);
        check_both(
            "try:\n    a(\n        b,\n    )\n\n    # and so on\n\nexcept A:\n    c\n",
            &[(1, 5, "A")],
        );
        check_both(
            "try:\n    a = '''\n\n'''\n# no code\nexcept A:\n    c\n",
            &[(1, 5, "A")],
        );
    }

    #[test]
    fn a_line_more_when_the_body_ends_with_a_compound_statement() {
        for compound in [
            "if a:\n        b",
            "for a in b:\n        c\n    else:\n        d",
            "while a:\n        b",
            "with a:\n        b",
            "def a():\n        b",
            "class A:\n        b",
            "@a\n    def b():\n        c",
            "try:\n        a\n    finally:\n        b",
            "if a:\n        if b:\n            c",
        ] {
            let source = format!("try:\n    {compound}\n\nexcept A:\n    c\n");
            let end = compound.lines().count() + 3;
            check_both(&source, &[(1, end, "A")]);
        }
        check_both("try:\n    if a: b\nexcept A:\n    c\n", &[(1, 4, "A")]);
        check(
            Language::Python3,
            "async def f():\n    try:\n        async with a:\n            b\n    except A:\n        c\n",
            &[(2, 6, "A")],
        );
    }

    #[test]
    fn what_is_named() {
        for (clause, names) in [
            ("A", "A"),
            ("a.b.C", "a.b.C"),
            ("a . b", "a.b"),
            ("(A)", "A"),
            ("((A))", "A"),
            ("(a.b).C", "a.b.C"),
            ("(A, b.C)", "A b.C"),
            ("(A, (B), c(), d[0])", "A B"),
            ("(A, (B, C))", "A"),
            ("A as e", "A"),
            ("(A, B) as e", "A B"),
            ("(a.b,) as e", "a.b"),
        ] {
            let source = format!("try:\n    a\nexcept {clause}:\n    b\n");
            check_both(&source, &[(1, 3, names)]);
        }
        for clause in ["a()", "a[0]", "a().B", "()", "A or B", "(a(), b[0])"] {
            check_both(&format!("try:\n    a\nexcept {clause}:\n    b\n"), &[]);
        }
        check_both(
            "try:\n    a\nexcept A:\n    b\nexcept f():\n    c\nexcept (B, C):\n    d\n",
            &[(1, 3, "A B C")],
        );
    }

    #[test]
    fn a_clause_without_a_name_handles_everything() {
        check_both(
            "try:\n    a\nexcept A:\n    b\nexcept:\n    c\n",
            &[(1, 3, "*")],
        );
    }

    #[test]
    fn what_handles_nothing_is_left_out() {
        check_both("try:\n    a\nfinally:\n    b\n", &[]);
    }

    #[test]
    fn statements_in_statements() {
        check_both(
            "\
try:
    def f():
        try:
            a
        except B:
            try:
                b
            except C:
                pass
        else:
            try:
                c
            except D:
                pass
        finally:
            try:
                d
            except E:
                pass
    class K:
        try:
            e = lambda: f
        except F:
            pass
except A:
    pass
",
            &[
                (1, 26, "A"),
                (3, 5, "B"),
                (6, 8, "C"),
                (11, 13, "D"),
                (16, 18, "E"),
                (21, 23, "F"),
            ],
        );
    }

    #[test]
    fn python_2() {
        check(
            Language::Python2,
            "\
try:
    print >>f, 'x', `y`, 0777L, u'\\x41'
    exec code in names
    raise E, 'text', trace
except A, e:
    print
try:
    async = nonlocal <> 1
except (A, b.async), (x, y):
    print 'x' % y
try:
    def f(a, (b, c)): return `a` `b`
except None:
    pass
",
            &[(1, 5, "A"), (7, 9, "A b.async"), (11, 14, "None")],
        );
    }

    #[test]
    fn python_2_where_tabs_and_blanks_are_mixed() {
        let source = b"if a:\n    try:\n\tb\n        c\n    except A:\n\td\n";
        assert_eq!(
            ranges_in(source, Language::Python2),
            [(2, 5, "A".to_owned())]
        );
    }

    #[test]
    fn python_3() {
        check(
            Language::Python3,
            "\
async def f(*, a: int = 1) -> None:
    try:
        await (b := g(f'{a!r:>{w}}'))
        async for c in d: pass
    except* (A, m.B) as e:
        raise E from e
    try:
        match x:
            case {'a': [1, *_]}:
                pass
    except* C:
        pass
",
            &[(2, 6, "A m.B"), (7, 12, "C")],
        );
    }

    #[test]
    fn encodings_and_marks() {
        for source in [
            &b"\xef\xbb\xbftry:\n a='\xc3\xa9'\nexcept A: b\n"[..],
            b"# coding: latin-1\ntry: a='\xe9'\nexcept A: b\n",
            b"# coding: cp932\ntry: a='\x95\\'\nexcept A: b\n",
        ] {
            let ranges = ranges_in(source, Language::Python3);
            assert_eq!(ranges.len(), 1, "{source:?}");
        }
    }

    #[test]
    fn what_is_no_python_is_read_as_far_as_it_goes() {
        check_both("", &[]);
        check_both("try:\n    a\nexcept A:\n    b\n)(\n", &[(1, 3, "A")]);
        check_both("try:\n    a\nb\n", &[(1, 3, "*")]);
        let _ = ranges_in(b"\0\xff try: except", Language::Python2);
        let _ = ranges_in(&b"(".repeat(100_000), Language::Python3);
    }

    #[test]
    fn it_ends_when_it_is_told_to() {
        let long = "try:\n    a\nexcept A:\n    b\n".repeat(20_000);
        assert_eq!(
            except_ranges(long.as_bytes(), Language::Python3, || false),
            None
        );
    }
}
