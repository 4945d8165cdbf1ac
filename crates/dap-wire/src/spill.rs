//! Text that waits in a file: a ring of a fixed size, first in, first out.
//!
//! The file has no name and is nobody else's to read; the system takes it
//! back when this process ends, however it does. Its reads and writes are of
//! the page cache, so they are done where they are asked for.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

/// A shorter text takes as much as this, so that the number of texts is bounded
/// as well: of each, something stays in memory.
const LEAST: u64 = 1024;

/// Where a text is. Positions count up for ever; in the file they wrap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot {
    begin: u64,
    length: u64,
}

impl Slot {
    fn end(self) -> u64 {
        self.begin.saturating_add(self.length.max(LEAST))
    }
}

#[derive(Debug)]
pub(crate) struct Spill {
    /// Made when it is needed first.
    file: Option<File>,
    capacity: u64,
    /// What is between these is in use.
    oldest: u64,
    end: u64,
    /// The system has no room, or no file, for us: nothing more is put in.
    failed: bool,
}

impl Spill {
    pub(crate) fn new(capacity: u64) -> Spill {
        Spill {
            file: None,
            capacity,
            oldest: 0,
            end: 0,
            failed: false,
        }
    }

    /// Whether a text could be put in if everything else were taken out.
    pub(crate) fn could_hold(&self, text: &str) -> bool {
        !self.failed && length_of(text).max(LEAST) <= self.capacity
    }

    /// Puts a text behind all others; nothing if there is no room.
    pub(crate) fn put(&mut self, text: &str) -> Option<Slot> {
        let slot = Slot {
            begin: self.end,
            length: length_of(text),
        };
        let used = slot.end().saturating_sub(self.oldest);
        if self.failed || used > self.capacity {
            return None;
        }
        if let Err(error) = self.write(text.as_bytes()) {
            tracing::warn!(%error, "output cannot be kept in a file");
            self.failed = true;
            return None;
        }
        self.end = slot.end();
        Some(slot)
    }

    /// Takes a text out. Those that were put in before it are gone by then.
    pub(crate) fn take(&mut self, slot: Slot) -> io::Result<String> {
        let text = self.read(slot);
        self.forget(slot);
        text
    }

    /// The place of a text may be used again.
    pub(crate) fn forget(&mut self, slot: Slot) {
        self.oldest = slot.end();
    }

    /// The two parts of a stretch: up to the end of the file, and from its
    /// beginning.
    fn parts(&self, begin: u64, length: u64) -> (u64, u64) {
        let at = begin.checked_rem(self.capacity).unwrap_or(0);
        (at, length.min(self.capacity.saturating_sub(at)))
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let (at, first) = self.parts(self.end, bytes.len().try_into().unwrap_or(u64::MAX));
        let (head, tail) = bytes.split_at(usize::try_from(first).unwrap_or(usize::MAX));
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(tempfile::tempfile()?),
        };
        file.seek(SeekFrom::Start(at))?;
        file.write_all(head)?;
        if !tail.is_empty() {
            file.seek(SeekFrom::Start(0))?;
            file.write_all(tail)?;
        }
        Ok(())
    }

    fn read(&mut self, slot: Slot) -> io::Result<String> {
        let (at, first) = self.parts(slot.begin, slot.length);
        let file = self.file.as_mut().ok_or(io::ErrorKind::NotFound)?;
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(at))?;
        file.take(first).read_to_end(&mut bytes)?;
        let rest = slot.length.saturating_sub(first);
        if rest > 0 {
            file.seek(SeekFrom::Start(0))?;
            file.take(rest).read_to_end(&mut bytes)?;
        }
        String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }
}

fn length_of(text: &str) -> u64 {
    u64::try_from(text.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::Spill;

    #[test]
    fn texts_come_out_as_they_went_in_also_around_the_end() {
        let mut spill = Spill::new(20_000);
        let mut inside = VecDeque::new();
        for n in 0..200_usize {
            let text = format!("{n}:").repeat(n % 9 * 300);
            loop {
                match spill.put(&text) {
                    Some(slot) => break inside.push_back((slot, text)),
                    None => {
                        let (slot, text) = inside.pop_front().expect("room for one");
                        assert_eq!(spill.take(slot).unwrap(), text);
                    }
                }
            }
        }
        assert!(inside.len() > 1);
        for (slot, text) in inside {
            assert_eq!(spill.take(slot).unwrap(), text);
        }
    }

    #[test]
    fn what_is_too_large_is_refused_and_nothing_is_lost_by_it() {
        let mut spill = Spill::new(3000);
        let (half, more) = ("x".repeat(1500), "y".repeat(1501));
        let slot = spill.put(&half).unwrap();
        assert_eq!(spill.put(&more), None);
        assert!(spill.could_hold(&more) && !spill.could_hold(&"z".repeat(3001)));
        assert_eq!(spill.take(slot).unwrap(), half);
        assert!(spill.put(&more).is_some());
        // A short one takes more than its length.
        let mut spill = Spill::new(2048);
        assert!(spill.put("a").is_some() && spill.put("b").is_some());
        assert_eq!(spill.put("c"), None);
    }
}
