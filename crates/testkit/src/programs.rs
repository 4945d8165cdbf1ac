//! The programs that are debugged.
//!
//! Lines that tests stop at bear a comment `# HERE: name`.

/// A program, and the lines that tests know by name.
#[derive(Debug, Clone, Copy)]
pub struct Source {
    /// The name of its file.
    pub name: &'static str,
    /// Its text.
    pub text: &'static str,
}

/// Works in a loop, in functions, on values of many kinds; prints `tick N`.
pub const WORKING: Source = Source {
    name: "working.py",
    text: include_str!("../programs/working.py"),
};

/// Sits in `input()`, line by line.
pub const ASKING: Source = Source {
    name: "asking.py",
    text: include_str!("../programs/asking.py"),
};

/// Eight threads that never rest; prints how far each is.
pub const BUSY: Source = Source {
    name: "busy.py",
    text: include_str!("../programs/busy.py"),
};

impl Source {
    /// The number of the line that bears this name.
    ///
    /// # Panics
    ///
    /// When there is none.
    #[must_use]
    #[allow(
        clippy::panic,
        clippy::as_conversions,
        clippy::cast_possible_wrap,
        reason = "of tests"
    )]
    pub fn line(&self, name: &str) -> i64 {
        let mark = format!("# HERE: {name}");
        match self.text.lines().position(|line| line.ends_with(&mark)) {
            Some(at) => at as i64 + 1,
            None => panic!("{} has no line {name:?}", self.name),
        }
    }
}
