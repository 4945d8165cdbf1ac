//! What a debug adapter must know of the source text of a Python program,
//! Python 2 or 3: where exceptions are handled ([`except_ranges`]), and
//! which lines have code ([`code_lines`]).
//!
//! `text` makes a text out of a file's bytes that one grammar fits, whichever
//! Python it is of, and `syntax` a syntax tree, which `exceptions` and `lines`
//! read.
//!
//! **Architecture invariant:** knows neither protocol, and does no I/O.

mod exceptions;
mod lines;
mod syntax;
mod text;

pub use exceptions::{ExceptRange, Expression, except_ranges};
pub use lines::{CodeLines, code_lines};

/// The language that a source text is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Language {
    /// Python 2.
    Python2,
    /// Python 3.
    Python3,
}

impl Language {
    /// The language of a Python of this major version.
    #[must_use]
    pub fn of_version(major: i64) -> Language {
        if major < 3 {
            Language::Python2
        } else {
            Language::Python3
        }
    }
}
