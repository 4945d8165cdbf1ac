//! The programs that are debugged.
//!
//! Lines that tests stop at bear a comment `# HERE: name`.

use std::time::Duration;

use anyhow::{Result, bail};
use legacy_host::Program;

/// How long a program may take to print something.
pub const PRINT_LIMIT: Duration = Duration::from_secs(20);

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

/// Like [`BUSY`], under a server in which the moments are long in which a
/// thread can be lost.
pub const BUSY_WIDE: Source = Source {
    name: "busy_wide.py",
    text: concat!(
        include_str!("../programs/widen.py"),
        include_str!("../programs/busy.py")
    ),
};

/// Counts, without a word, beside a list of a thousand; rests after each
/// thousand, so that several can be kept ready on few cores.
pub const COUNTING: Source = Source {
    name: "counting.py",
    text: include_str!("../programs/counting.py"),
};

/// Prints what it is told to on its standard input: `lines N`, or without a
/// pause for `spout SECONDS`, or what is `odd` to encode; then `done`.
pub const FLOODING: Source = Source {
    name: "flooding.py",
    text: include_str!("../programs/flooding.py"),
};

/// Forks every 100 ms, in three ways; prints how each child has ended.
pub const FORKING: Source = Source {
    name: "forking.py",
    text: include_str!("../programs/forking.py"),
};

/// Four threads load modules all the time; prints `counts` of each.
pub const LOADING: Source = Source {
    name: "loading.py",
    text: include_str!("../programs/loading.py"),
};

/// Prints `tick N` nearly all the time.
pub const PRINTING: Source = Source {
    name: "printing.py",
    text: include_str!("../programs/printing.py"),
};

/// A hundred frames deep, and five megabytes in them; prints `tick N`.
pub const DEEP: Source = Source {
    name: "deep.py",
    text: include_str!("../programs/deep.py"),
};

/// Has other things under the names of built-in functions; prints `tick N`.
pub const SHADOWING: Source = Source {
    name: "shadowing.py",
    text: include_str!("../programs/shadowing.py"),
};

/// Raises and handles exceptions; prints `tick N` now and then.
pub const RAISING: Source = Source {
    name: "raising.py",
    text: include_str!("../programs/raising.py"),
};

/// Raises what it is told to by a line of input, and prints `done` with that
/// line; imports [`THROWING_PARTS`].
pub const THROWING: Source = Source {
    name: "throwing.py",
    text: include_str!("../programs/throwing.py"),
};

/// Like [`THROWING`], under a server that is slow to take up which exceptions
/// stop.
pub const THROWING_HESITANTLY: Source = Source {
    name: "throwing_hesitantly.py",
    text: concat!(
        include_str!("../programs/hesitate.py"),
        include_str!("../programs/throwing.py")
    ),
};

/// A module of [`THROWING`].
pub const THROWING_PARTS: Source = Source {
    name: "throwing_parts.py",
    text: include_str!("../programs/throwing_parts.py"),
};

/// Another, which cannot be imported.
pub const THROWING_BROKEN: Source = Source {
    name: "throwing_broken.py",
    text: include_str!("../programs/throwing_broken.py"),
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

/// Every one of the threads of [`BUSY`], [`BUSY_WIDE`] or [`LOADING`] gets on.
///
/// # Errors
///
/// When one does not, with what each has counted.
pub fn all_move(program: &Program) -> Result<()> {
    let counts = || -> Result<Vec<u64>> {
        let line = program.wait_for_line_since(program.mark(), "counts", PRINT_LIMIT)?;
        Ok(line
            .split(' ')
            .filter_map(|word| word.parse().ok())
            .collect())
    };
    let before = counts()?;
    let mut after = before.clone();
    for _ in 0..30 {
        after = counts()?;
        if before
            .iter()
            .zip(&after)
            .all(|(before, after)| after > before)
        {
            return Ok(());
        }
    }
    bail!("threads do not move: {before:?}, then {after:?}")
}
