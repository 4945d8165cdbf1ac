//! Which lines have code that a breakpoint can hit.

use std::collections::{BTreeSet, HashSet};

use tree_sitter::Node;

use crate::Language;
use crate::syntax::{children, for_each_node, is_compound, is_part, line, parse};
use crate::text::Text;

/// The lines of a file, by what a breakpoint there can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeLines {
    /// May have code: all but those that certainly have none.
    may: BTreeSet<usize>,
    /// Where statements begin to be executed.
    begins: BTreeSet<usize>,
}

impl CodeLines {
    /// The line, counted from 1, that a breakpoint at `line` can hit: `line`
    /// itself unless it certainly has no code, and then the one where the next
    /// statement in the text begins. `None` behind the last statement.
    #[must_use]
    pub fn at_or_after(&self, line: usize) -> Option<usize> {
        if self.may.contains(&line) {
            return Some(line);
        }
        self.begins.range(line..).next().copied()
    }
}

/// Which lines of a file have code. Certainly without are
///
/// * blank lines and comments between statements;
/// * `else:` and `finally:`;
/// * `global` and `nonlocal`, if more follows in the function;
/// * the docstring of a function, if more follows in it, and of any other
///   string that is a statement of its own all but the first and the last
///   line. Python 2 and Python 3 before 3.8 have the code of those that are
///   docstrings on the last line, later ones on the first.
///
/// A line within a statement stands for itself, even without anything on it.
/// So does what is no Python.
///
/// `None` when `goes_on`, which is asked now and then, said no.
#[must_use]
pub fn code_lines(
    source: &[u8],
    language: Language,
    mut goes_on: impl FnMut() -> bool,
) -> Option<CodeLines> {
    let text = Text::new(source, language);
    let tree = parse(&text, &mut goes_on)?;
    let mut reader = Reader {
        text: &text.written,
        language,
        known: HashSet::new(),
    };
    let mut lines = CodeLines {
        may: BTreeSet::new(),
        begins: BTreeSet::new(),
    };
    // What is inside of something that was noted as a whole.
    let mut noted_until = 0;
    for_each_node(tree.walk(), |node| {
        if node.end_byte() <= noted_until {
            return;
        }
        reader.note_parts(node);
        lines.begins.extend(reader.begin(node));
        if let Some(parts) = reader.parts(node) {
            lines.may.extend(parts);
            noted_until = node.end_byte();
        }
    });
    if lines.may.is_empty() {
        // Of a module without statements Python 2 runs the first line.
        lines.may.insert(1);
    }
    // A statement of Python 2 may be none of the grammar's.
    lines.begins.retain(|line| lines.may.contains(line));
    Some(lines)
}

struct Reader<'a> {
    text: &'a str,
    language: Language,
    /// Nodes that are something special in the one they are part of: to ask a
    /// node for that takes as long as the file is.
    known: HashSet<(Special, usize)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Special {
    /// The docstring of a function in which more follows.
    Docstring,
    /// The last of its body. A function returns from its line, whatever it is.
    Last,
    /// The definition under decorators.
    Decorated,
    /// A word of a clause that is only where a body begins.
    Bare,
}

impl Reader<'_> {
    /// Looks at what is directly in a node, before that is visited.
    fn note_parts(&mut self, node: Node<'_>) {
        let (special, part) = match node.kind() {
            "else_clause" | "finally_clause" => {
                let mut cursor = node.walk();
                let words = node.children(&mut cursor).filter(|c| !c.is_named());
                self.known
                    .extend(words.map(|word| (Special::Bare, word.id())));
                return;
            }
            "decorated_definition" => (Special::Decorated, children(node).pop()),
            "block" | "module" => (Special::Last, children(node).pop()),
            "function_definition" => {
                let body = node.child_by_field_name("body").map(children);
                let body = body.unwrap_or_default();
                let first = body.first().filter(|first| self.is_docstring(**first));
                (
                    Special::Docstring,
                    first.filter(|_| body.len() > 1).copied(),
                )
            }
            _ => return,
        };
        self.known.extend(part.map(|part| (special, part.id())));
    }

    fn is(&self, special: Special, node: Node<'_>) -> bool {
        self.known.contains(&(special, node.id()))
    }

    /// The lines of a node that is looked at as a whole; `None` of one whose
    /// parts are.
    fn parts(&self, node: Node<'_>) -> Option<BTreeSet<usize>> {
        let (first, last) = (line(node), node.end_position().row + 1);
        let lines = match node.kind() {
            // What is no Python begins with itself, and what the parser has
            // put in is nowhere.
            "ERROR" => (first..=last).collect(),
            "comment" | "line_continuation" => BTreeSet::new(),
            "global_statement" | "nonlocal_statement" if !self.is(Special::Last, node) => {
                BTreeSet::new()
            }
            "else" | "finally" | ":" if self.is(Special::Bare, node) => BTreeSet::new(),
            "expression_statement" if self.is_string(node) => {
                if self.is(Special::Docstring, node) {
                    BTreeSet::new()
                } else {
                    BTreeSet::from([first, last])
                }
            }
            // The end of a line is a part of it.
            "module" | "decorator" => return None,
            kind if is_compound(node) || is_part(node) || kind == "match_statement" => {
                return None;
            }
            _ => (first..=last).collect(),
        };
        Some(lines)
    }

    /// The line where a statement, or a clause that is executed, begins.
    fn begin(&self, node: Node<'_>) -> Option<usize> {
        match node.kind() {
            "if_statement" | "elif_clause" | "while_statement" => {
                Some(self.first_line(node.child_by_field_name("condition")?))
            }
            "expression_statement"
            | "return_statement"
            | "raise_statement"
            | "assert_statement" => {
                if self.is_string(node) {
                    return None;
                }
                match children(node).first() {
                    Some(first) => self.begin_of_value(*first),
                    None => Some(line(node)),
                }
            }
            "global_statement" | "nonlocal_statement" => None,
            "except_clause" | "case_clause" | "decorated_definition" => Some(line(node)),
            kind if is_compound(node) || is_statement(kind) => {
                (!self.is(Special::Decorated, node)).then(|| line(node))
            }
            _ => None,
        }
    }

    /// Of an assignment, the value is computed first. An annotation alone may
    /// be nothing to execute.
    fn begin_of_value(&self, value: Node<'_>) -> Option<usize> {
        let mut value = value;
        while value.kind() == "assignment" {
            value = value.child_by_field_name("right")?;
        }
        Some(self.first_line(value))
    }

    /// Where the first thing stands that the expression needs.
    fn first_line(&self, expression: Node<'_>) -> usize {
        let mut node = expression;
        loop {
            let parts = children(node);
            let next = match node.kind() {
                "conditional_expression" => parts.get(1),
                "list" | "tuple"
                    if self.language == Language::Python3
                        && parts.first().is_some_and(|first| is_constant(*first)) =>
                {
                    None
                }
                "parenthesized_expression"
                | "list"
                | "tuple"
                | "expression_list"
                | "not_operator"
                | "unary_operator"
                | "binary_operator"
                | "boolean_operator"
                | "comparison_operator"
                | "call"
                | "attribute"
                | "subscript"
                | "await"
                | "yield"
                | "augmented_assignment" => parts.first(),
                _ => None,
            };
            match next {
                Some(next) => node = *next,
                // CPython 2 has a string on the line where it ends.
                None if node.kind() == "string" && self.language == Language::Python2 => {
                    return node.end_position().row + 1;
                }
                None => return line(node),
            }
        }
    }

    /// Whether a statement is nothing but a string.
    fn is_string(&self, statement: Node<'_>) -> bool {
        let parts = children(statement);
        let [value] = parts.as_slice() else {
            return false;
        };
        let strings = match value.kind() {
            "concatenated_string" => children(*value),
            "string" => vec![*value],
            _ => return false,
        };
        statement.kind() == "expression_statement"
            && strings
                .iter()
                .all(|string| !self.prefix(*string).contains(['f', 't', 'F', 'T']))
    }

    fn is_docstring(&self, statement: Node<'_>) -> bool {
        let is_text = |string: &Node<'_>| {
            self.language == Language::Python2 || !self.prefix(*string).contains(['b', 'B'])
        };
        self.is_string(statement) && children(statement).first().is_some_and(is_text)
    }

    /// What stands before the quotation marks.
    fn prefix(&self, string: Node<'_>) -> &str {
        let written = self.text.get(string.byte_range()).unwrap_or_default();
        let end = written.find(['\'', '"']).unwrap_or(0);
        written.get(..end).unwrap_or_default()
    }
}

fn is_statement(kind: &str) -> bool {
    kind.ends_with("_statement")
}

/// Going by what it begins with.
fn is_constant(node: Node<'_>) -> bool {
    let mut node = node;
    while node.kind() == "tuple"
        && let Some(first) = children(node).first()
    {
        node = *first;
    }
    matches!(
        node.kind(),
        "string" | "concatenated_string" | "integer" | "float" | "true" | "false" | "none"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where a breakpoint at each line goes; 0 for nowhere.
    fn moves(language: Language, source: &str) -> Vec<usize> {
        let lines = code_lines(source.as_bytes(), language, || true).unwrap();
        (1..=source.lines().count())
            .map(|line| lines.at_or_after(line).unwrap_or(0))
            .collect()
    }

    #[track_caller]
    fn check(language: Language, source: &str, expected: &[usize]) {
        assert_eq!(moves(language, source), expected, "{source}");
        let windows = source.replace('\n', "\r\n").replace("    ", "\t");
        assert_eq!(moves(language, &windows), expected, "{source}");
    }

    #[track_caller]
    fn check_both(source: &str, expected: &[usize]) {
        check(Language::Python2, source, expected);
        check(Language::Python3, source, expected);
    }

    #[test]
    fn blank_lines_and_comments() {
        check_both(
            "# a\n\na\n\n  # b\nb  # c\n\n# d\n",
            &[3, 3, 3, 6, 6, 6, 0, 0],
        );
        check_both("", &[]);
        check_both("# only\n\n", &[1, 0]);
        check_both(
            "def f():\n    # a\n\n    a\n    # b\n\nb\n",
            &[1, 4, 4, 4, 7, 7, 7],
        );
        check_both(
            "if a:\n    b\n    # c\nelif c:\n    # d\n    d\n",
            &[1, 2, 4, 4, 6, 6],
        );
        check_both("@a\n# b\ndef f(): pass\n", &[1, 3, 3]);
        check_both("# a\n\n@a\ndef f(): pass\n", &[3, 3, 3, 4]);
    }

    #[test]
    fn parts_that_are_only_words() {
        check_both("if a:\n    b\nelse:\n    c\nelse_ = d\n", &[1, 2, 4, 4, 5]);
        check_both(
            "try:\n    a\nexcept B:\n    b\nelse: # c\n    c\nfinally :\n\n    d\n",
            &[1, 2, 3, 4, 6, 6, 9, 9, 9],
        );
        check_both("if a: b\nelse: c\n", &[1, 2]);
        check_both("for a in b:\n    c\nelse:\n    d\n", &[1, 2, 4, 4]);
        check_both("def f():\n    global a\n    a = 1\n", &[1, 3, 3]);
        check_both("def f():\n    global a\n", &[1, 2]);
    }

    #[test]
    fn docstrings_and_other_strings() {
        check_both("'''a\n\nb\n'''\na\n", &[1, 5, 5, 4, 5]);
        check_both(
            "def f():\n    '''a\n\n    # b\n    '''\n\n    a\n",
            &[1, 7, 7, 7, 7, 7, 7],
        );
        check_both("def f():\n    'a'\n    a\n", &[1, 3, 3]);
        check_both("def f():\n    '''a\n    b\n    '''\n", &[1, 2, 0, 4]);
        check_both(
            "class A:\n    '''a\n    b\n    '''\n    a = 1\n",
            &[1, 2, 5, 4, 5],
        );
        check(
            Language::Python3,
            "def f():\n    f'''a\n    {b}\n    '''\n    a\n",
            &[1, 2, 3, 4, 5],
        );
        check(Language::Python3, "def f():\n    b'a'\n    a\n", &[1, 2, 3]);
        check_both("a = '''b\n\n'''\n", &[1, 2, 3]);
    }

    #[test]
    fn within_a_statement_every_line_stays() {
        check_both("a(\n\n    # b\n    c,\n)\n\nd\n", &[1, 2, 3, 4, 5, 7, 7]);
        check_both("if (a and\n\n        b):\n    c\n", &[1, 2, 3, 4]);
        check_both("def f(a,\n\n      b):\n    c\n", &[1, 2, 3, 4]);
        check_both("a = b + \\\n    c\n", &[1, 2]);
        check_both("from a import (\n    # b\n    b,\n)\n", &[1, 2, 3, 4]);
    }

    #[test]
    fn where_the_next_statement_begins_to_be_executed() {
        check_both(
            "# a\nif (\n    a\n    or b\n):\n    c\n",
            &[3, 2, 3, 4, 5, 6],
        );
        check_both("# a\n(\n    a\n    .b()\n)\n", &[3, 2, 3, 4, 5]);
        check_both("# a\na = (\n    b\n)\n", &[3, 2, 3, 4]);
        check_both("# a\na(\n    b\n)\n", &[2, 2, 3, 4]);
        check(Language::Python2, "# a\na = [\n    1,\n]\n", &[3, 2, 3, 4]);
        check(Language::Python3, "# a\na = [\n    1,\n]\n", &[2, 2, 3, 4]);
    }

    #[test]
    fn of_either_python() {
        check(
            Language::Python2,
            "# a\nprint 'a'\n\nexec a in b\n\nraise A, 'b'\n",
            &[2, 2, 4, 4, 6, 6],
        );
        check(
            Language::Python3,
            "match a:\n    # b\n\n    case 1:\n        # c\n        c\n# d\nasync def f():\n    nonlocal a\n    a: int\n    await b\n",
            &[1, 4, 4, 4, 6, 6, 8, 8, 11, 10, 11],
        );
    }

    #[test]
    fn what_is_no_python_stays() {
        check_both("a\n)\n\n(\n", &[1, 2, 3, 4]);
        let _ = moves(Language::Python2, "\0 try: else");
        let _ = code_lines(&b"(".repeat(100_000), Language::Python3, || true);
        // Linear in what there is, whatever it is.
        let wide = "''\nimport a\nif a: b\nelse: c\n".repeat(50_000);
        assert_eq!(moves(Language::Python3, &wide).len(), 200_000);
        let long = "# a\na\n".repeat(20_000);
        assert_eq!(
            code_lines(long.as_bytes(), Language::Python3, || false),
            None
        );
    }
}
