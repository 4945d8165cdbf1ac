//! The editor's copy of a file of the program, read for what it says.

use std::io;
use std::time::{Duration, SystemTime};

/// A larger source is none that a person wrote.
pub(crate) const MOST_SOURCE: usize = 4 * 1024 * 1024;

/// How long a source may take to be understood.
pub(crate) const PARSE_LIMIT: Duration = Duration::from_secs(5);

/// Tells whether a file is what it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stamp {
    path: String,
    length: u64,
    modified: Option<SystemTime>,
}

impl Stamp {
    /// Of the file as it is now. Blocks.
    pub(crate) fn of(path: &str) -> io::Result<Stamp> {
        let data = std::fs::metadata(path)?;
        if !data.is_file() {
            return Err(io::Error::other("no ordinary file"));
        }
        Ok(Stamp {
            path: path.to_owned(),
            length: data.len(),
            modified: data.modified().ok(),
        })
    }

    /// What the file says; `None` if it is too large. Blocks.
    pub(crate) fn read(&self) -> io::Result<Option<Vec<u8>>> {
        if usize::try_from(self.length).is_ok_and(|length| length >= MOST_SOURCE) {
            return Ok(None);
        }
        std::fs::read(&self.path).map(Some)
    }
}
