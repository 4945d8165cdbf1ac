//! Changes of a file's breakpoints: one after the other, each when it is known
//! which lines of the file have code.

use std::collections::{BTreeMap, HashMap, VecDeque};

use dap_wire::RawRequest;
use dap_wire::requests::SetBreakpoints;

use crate::answer::Answer;
use crate::lines::{self, KnownLines};
use crate::session::{Phase, Session};

/// Those that have not taken effect yet, and what was read for them.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// Which lines of a file have code, as far as that was asked for.
    known_lines: HashMap<String, KnownLines>,
    /// What is to be done with a file's breakpoints, in its order, when it is
    /// known which lines have code. The first is waiting for that.
    waiting: BTreeMap<String, VecDeque<Change>>,
    /// Requests that must not overtake those changes.
    held: Vec<RawRequest>,
}

/// What happens to the breakpoints of a file.
pub(crate) enum Change {
    /// The editor sets these lines, in Python's counting, instead.
    Set(Vec<i64>, Answer<SetBreakpoints>),
    /// They were set before a program was attached.
    Send,
}

impl std::fmt::Debug for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Change::Set(lines, _) => f.debug_tuple("Set").field(lines).finish(),
            Change::Send => f.write_str("Send"),
        }
    }
}

impl Changes {
    /// Whether there are any.
    pub(crate) fn are_under_way(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// This request is for after them.
    pub(crate) fn hold(&mut self, request: RawRequest) {
        self.held.push(request);
    }

    /// Nothing waits for a file any more: the session is over.
    pub(crate) fn give_up(&mut self) {
        self.waiting.clear();
    }

    /// Whether some of them are of this file.
    pub(crate) fn concern(&self, path: &str) -> bool {
        self.waiting.contains_key(path)
    }

    /// The line of a breakpoint, and whether it can hit there.
    pub(crate) fn place(&self, path: &str, line: i64) -> (i64, bool) {
        match self.known_lines.get(path) {
            None => (line, true),
            Some(known) => match known.at_or_after(line) {
                Some(moved) => (moved, true),
                None => (line, false),
            },
        }
    }
}

impl Session {
    /// Changes of one file take effect in the order in which they are asked
    /// for, however long it takes to read it.
    pub(crate) fn change(&mut self, path: String, change: Change) {
        let waiting = self.changes.waiting.entry(path.clone()).or_default();
        waiting.push_back(change);
        if waiting.len() == 1 {
            self.next_change(path);
        }
    }

    fn next_change(&mut self, path: String) {
        let known = self.changes.known_lines.get(&path).cloned();
        let next = self.changes.waiting.get(&path).and_then(|w| w.front());
        if matches!(next, Some(Change::Set(lines, _)) if lines.is_empty()) {
            return self.lines_known(path, known);
        }
        let language = match &self.phase {
            Phase::Attached(program) => program.debuggee.attached().major,
            // Where they go is found out when there is a program.
            _ => return self.lines_known(path, None),
        };
        let language = python_source::Language::of_version(language);
        let read = lines::read(path.clone(), language, known);
        self.when_done(read, move |session, known| session.lines_known(path, known));
    }

    fn lines_known(&mut self, path: String, known: Option<KnownLines>) {
        match known {
            Some(known) => self.changes.known_lines.insert(path.clone(), known),
            None => self.changes.known_lines.remove(&path),
        };
        let waiting = self.changes.waiting.get_mut(&path);
        let change = waiting.and_then(VecDeque::pop_front);
        let has_more = self
            .changes
            .waiting
            .get(&path)
            .is_some_and(|waiting| !waiting.is_empty());
        if !has_more {
            self.changes.waiting.remove(&path);
        }
        match change {
            Some(Change::Set(lines, answer)) => self.set_lines(&path, lines, answer),
            Some(Change::Send) => self.move_and_send(&path),
            None => {}
        }
        if has_more {
            self.next_change(path);
        } else if !self.changes.are_under_way() {
            self.dispatch_held();
        }
    }

    /// What was held back is done now, in its order.
    pub(crate) fn dispatch_held(&mut self) {
        for request in std::mem::take(&mut self.changes.held) {
            self.dispatch(request);
        }
    }
}
