//! What the program printed, once.
//!
//! From release 2.2.0 on, each attach wraps `sys.stdout` once more and no detach
//! unwraps it: in the n-th session every piece of output arrives n times
//! (protocol-notes/traps.md, "output n times"). Each attach also lists the
//! server's own modules once more, which tells n.

use std::collections::HashMap;

use ptvsd_wire::{Dialect, PyText, ThreadId};

#[derive(Debug)]
pub(super) struct OutputFilter {
    /// How many copies of each piece arrive.
    copies: u32,
    repeats: bool,
    /// The last piece of each thread, and how many copies of it have arrived.
    last: HashMap<ThreadId, (PyText, u32)>,
}

impl OutputFilter {
    pub(super) fn new(dialect: Dialect) -> OutputFilter {
        OutputFilter {
            copies: 0,
            repeats: dialect.repeats_output(),
            last: HashMap::new(),
        }
    }

    /// The list of modules names the module that took the attach once for
    /// each session so far.
    pub(super) fn module_listed(&mut self, file: &PyText) {
        let file = file.display();
        let name = file.rsplit(['/', '\\']).next().unwrap_or_default();
        if matches!(
            name,
            "attach_server.py" | "attach_server.pyc" | "attach_server$py.class"
        ) {
            self.copies += 1;
        }
    }

    /// Whether this is the first copy of a piece. The copies of one thread
    /// follow each other.
    pub(super) fn is_new(&mut self, thread: ThreadId, text: &PyText) -> bool {
        if !self.repeats || self.copies < 2 {
            return true;
        }
        match self.last.get_mut(&thread) {
            Some((last, seen)) if last == text && *seen < self.copies => {
                *seen += 1;
                false
            }
            previous => {
                // Fewer copies than sessions: the program has replaced its
                // stdout, or an earlier session left it alone. What repeats
                // from now on is the program's own repetition.
                if let Some((_, seen)) = previous
                    && *seen < self.copies
                {
                    self.copies = greatest_common_divisor(*seen, self.copies);
                }
                self.last.insert(thread, (text.clone(), 1));
                true
            }
        }
    }
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 {
        a
    } else {
        greatest_common_divisor(b, a % b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(sessions: usize) -> OutputFilter {
        let mut filter = OutputFilter::new(Dialect::V8);
        for _ in 0..sessions {
            filter.module_listed(&"/x/ptvsd/attach_server.py".into());
        }
        filter
    }

    fn kept(filter: &mut OutputFilter, pieces: &[&str]) -> Vec<String> {
        pieces
            .iter()
            .filter(|piece| filter.is_new(ThreadId(1), &(**piece).into()))
            .map(|piece| (*piece).to_owned())
            .collect()
    }

    #[test]
    fn the_third_session_shows_each_piece_once() {
        let pieces = [
            "a", "a", "a", "\n", "\n", "\n", "a", "a", "a", "a", "a", "a",
        ];
        assert_eq!(kept(&mut filter(3), &pieces), ["a", "\n", "a", "a"]);
    }

    #[test]
    fn a_program_that_repeats_itself_in_the_first_session_is_believed() {
        assert_eq!(kept(&mut filter(1), &["a", "a"]), ["a", "a"]);
    }

    #[test]
    fn when_the_guess_is_wrong_only_its_first_repetition_is_lost() {
        let pieces = ["a", "b", "b", "b", "c"];
        assert_eq!(kept(&mut filter(2), &pieces), ["a", "b", "b", "b", "c"]);
    }
}
