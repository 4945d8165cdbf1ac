//! What a running program has printed so far, and waiting for more of it.

use std::fmt;
use std::io::Read;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// One of the two streams that a program prints on.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    lines: Vec<String>,
    /// The begin of a line whose end has not come: a prompt, often.
    partial: Vec<u8>,
    ended: bool,
}

impl Stream {
    fn take(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.partial.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                let line = std::mem::take(&mut self.partial);
                self.lines.push(text(&line));
            }
        }
    }

    pub(crate) fn lines(&self) -> &[String] {
        &self.lines
    }

    /// The text after the last line end.
    pub(crate) fn unfinished(&self) -> String {
        text(&self.partial)
    }

    fn show(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{name}:")?;
        // The end is what explains a failure; a chatty program has megabytes.
        let from = self.lines.len().saturating_sub(60);
        if from > 0 {
            writeln!(f, "  ({from} lines before)")?;
        }
        for line in self.lines.get(from..).unwrap_or_default() {
            writeln!(f, "  {line}")?;
        }
        if !self.partial.is_empty() {
            writeln!(f, "  {}", self.unfinished())?;
        }
        Ok(())
    }
}

fn text(line: &[u8]) -> String {
    // Python 2 prints any bytes.
    String::from_utf8_lossy(line)
        .trim_end_matches(['\r', '\n'])
        .to_owned()
}

/// Both streams at one moment.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) stdout: Stream,
    pub(crate) stderr: Stream,
}

impl Seen {
    /// Whether both streams have ended: nothing more can come.
    pub(crate) fn ended(&self) -> bool {
        self.stdout.ended && self.stderr.ended
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.stdout.show("standard output", f)?;
        self.stderr.show("standard error", f)
    }
}

/// Collects both streams of a process while it runs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Output {
    shared: Arc<(Mutex<Seen>, Condvar)>,
}

impl Output {
    /// Reads `stdout` and `stderr` to their ends, each on a thread of its own.
    pub(crate) fn of(
        stdout: impl Read + Send + 'static,
        stderr: impl Read + Send + 'static,
    ) -> Self {
        let output = Self::default();
        output.clone().read(stdout, |seen| &mut seen.stdout);
        output.clone().read(stderr, |seen| &mut seen.stderr);
        output
    }

    fn read(self, mut pipe: impl Read + Send + 'static, stream: fn(&mut Seen) -> &mut Stream) {
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            loop {
                let count = pipe.read(&mut buffer).unwrap_or(0);
                let mut seen = self.seen();
                match buffer.get(..count) {
                    Some(bytes) if count > 0 => stream(&mut seen).take(bytes),
                    _ => stream(&mut seen).ended = true,
                }
                self.shared.1.notify_all();
                if stream(&mut seen).ended {
                    break;
                }
            }
        });
    }

    pub(crate) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `find` finds; `None` when it did not within `limit`, or when
    /// both streams ended without it.
    pub(crate) fn wait<T>(&self, limit: Duration, find: impl Fn(&Seen) -> Option<T>) -> Option<T> {
        let end = Instant::now() + limit;
        let mut seen = self.seen();
        loop {
            if let Some(found) = find(&seen) {
                return Some(found);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || seen.ended() {
                return None;
            }
            let woken = self.shared.1.wait_timeout(seen, left);
            seen = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_at_line_ends_wherever_the_reads_fall() {
        let mut stream = Stream::default();
        for piece in ["on", "e\ntwo\r", "\n\nTake a gu", "ess: "] {
            stream.take(piece.as_bytes());
        }
        assert_eq!(stream.lines(), ["one", "two", ""]);
        assert_eq!(stream.unfinished(), "Take a guess: ");
    }

    #[test]
    fn bytes_that_are_no_text_do_not_end_the_stream() {
        let mut stream = Stream::default();
        stream.take(b"caf\xe9\n");
        assert_eq!(stream.lines(), ["caf\u{fffd}"]);
    }

    #[test]
    fn waiting_ends_with_the_streams() {
        let output = Output::of(&b"a\nb\n"[..], &b""[..]);
        let long = Duration::from_secs(60);
        let all = |seen: &Seen| (seen.stdout.lines().len() == 2).then_some(());
        assert_eq!(output.wait(long, all), Some(()));
        assert_eq!(output.wait(long, |_| None::<()>), None);
    }
}
