//! Where a breakpoint goes whose line has no code: the servers take it, and
//! never hit it (protocol-notes/commands.md, `brkp`). The editor's copy of the
//! file tells; without one, lines are taken as they are.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use python_source::{CodeLines, Language, code_lines};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::files::is_absolute;
use crate::local_copy::{PARSE_LIMIT, Stamp};

/// How long breakpoints may wait for what their file says, wherever it is.
const LIMIT: Duration = Duration::from_secs(2);

/// What a local copy said when it was read.
#[derive(Debug, Clone)]
pub(crate) struct KnownLines {
    copy: Stamp,
    lines: Arc<CodeLines>,
}

impl KnownLines {
    /// The line that a breakpoint can hit, in Python's counting; `None` if
    /// there is no more code there.
    pub(crate) fn at_or_after(&self, line: i64) -> Option<i64> {
        // No line at all is the server's to judge.
        let Ok(number) = usize::try_from(line) else {
            return Some(line);
        };
        let found = self.lines.at_or_after(number)?;
        Some(i64::try_from(found).unwrap_or(line))
    }
}

/// Reads the local copy of a file, unless it is what is known.
pub(crate) async fn read(
    path: String,
    language: Language,
    known: Option<KnownLines>,
) -> Option<KnownLines> {
    // One that is not absolute would be looked for beside the adapter.
    if !is_absolute(&path) {
        return None;
    }
    let name = path.clone();
    let read = spawn_blocking(move || from_local_copy(&path, language, known));
    match timeout(LIMIT, read).await {
        Ok(Ok(Ok(found))) => return found,
        Ok(Ok(Err(error))) => tracing::debug!(%error, name, "no local copy"),
        Ok(Err(error)) => tracing::warn!(%error, name, "reading a source"),
        Err(_) => tracing::warn!(name, "a source is not read in time"),
    }
    None
}

/// An error if there is no such file; `None` if nothing can be made of it.
fn from_local_copy(
    path: &str,
    language: Language,
    known: Option<KnownLines>,
) -> io::Result<Option<KnownLines>> {
    let copy = Stamp::of(path)?;
    if let Some(known) = known
        && known.copy == copy
    {
        return Ok(Some(known));
    }
    let Some(source) = copy.read()? else {
        return Ok(None);
    };
    let begun = Instant::now();
    let lines = code_lines(&source, language, || {
        begun.elapsed() < PARSE_LIMIT.min(LIMIT)
    });
    Ok(lines.map(|lines| KnownLines {
        copy,
        lines: Arc::new(lines),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_copy_is_read_again_when_it_has_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.py").to_str().unwrap().to_owned();
        let read = |known| read(path.clone(), Language::Python3, known);
        assert!(read(None).await.is_none());
        std::fs::write(&path, "# a\na\n\n").unwrap();
        let first = read(None).await.unwrap();
        for (line, moved) in [(-1, Some(-1)), (1, Some(2)), (2, Some(2)), (3, None)] {
            assert_eq!(first.at_or_after(line), moved, "{line}");
        }
        let again = read(Some(first.clone())).await.unwrap();
        assert!(Arc::ptr_eq(&first.lines, &again.lines));
        std::fs::write(&path, "# a\n# b\na\n").unwrap();
        let second = read(Some(first)).await.unwrap();
        assert_eq!(second.at_or_after(1), Some(3));
    }

    #[tokio::test]
    async fn what_is_not_there_or_no_file_says_nothing() {
        for path in ["a.py", "/", "/no/such/file.py"] {
            assert!(
                read(path.to_owned(), Language::Python3, None)
                    .await
                    .is_none()
            );
        }
    }
}
