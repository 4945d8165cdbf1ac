//! The syntax tree of a text, and the way through it.

use std::ops::ControlFlow;

use tree_sitter::{Node, ParseOptions, Parser, Tree, TreeCursor};

use crate::text::Text;

/// `None` when `goes_on`, which is asked now and then, said no.
pub(crate) fn parse(text: &Text, goes_on: &mut impl FnMut() -> bool) -> Option<Tree> {
    let mut parser = Parser::new();
    // Fails only for a grammar that was made for another release of the parser.
    parser
        .set_language(&tree_sitter_python::LANGUAGE.into())
        .ok()?;
    let mut progress = |_: &tree_sitter::ParseState| {
        if goes_on() {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    };
    let bytes = text.parsed.as_bytes();
    parser.parse_with_options(
        &mut |offset, _| bytes.get(offset..).unwrap_or_default(),
        None,
        Some(ParseOptions::new().progress_callback(&mut progress)),
    )
}

/// Calls `visit` for all nodes, in the order of the text. Not by recursion:
/// expressions can be nested deeper than a stack is.
pub(crate) fn for_each_node<'tree>(
    mut cursor: TreeCursor<'tree>,
    mut visit: impl FnMut(Node<'tree>),
) {
    loop {
        visit(cursor.node());
        if cursor.goto_first_child() {
            continue;
        }
        while !cursor.goto_next_sibling() {
            if !cursor.goto_parent() {
                return;
            }
        }
    }
}

pub(crate) fn children<'tree>(node: Node<'tree>) -> Vec<Node<'tree>> {
    node.named_children(&mut node.walk())
        .filter(|child| !child.is_extra())
        .collect()
}

/// Whether a statement has a body of its own.
pub(crate) fn is_compound(statement: Node<'_>) -> bool {
    matches!(
        statement.kind(),
        "if_statement"
            | "for_statement"
            | "while_statement"
            | "try_statement"
            | "with_statement"
            | "function_definition"
            | "class_definition"
            | "decorated_definition"
            | "match_statement"
    )
}

/// Whether a node is a part of a compound statement that has a body, or is one.
pub(crate) fn is_part(node: Node<'_>) -> bool {
    matches!(
        node.kind(),
        "block"
            | "elif_clause"
            | "else_clause"
            | "except_clause"
            | "finally_clause"
            | "case_clause"
    )
}

pub(crate) fn line(node: Node<'_>) -> usize {
    node.start_position().row + 1
}
