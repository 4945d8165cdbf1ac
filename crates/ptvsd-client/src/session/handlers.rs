//! Handlers of exceptions: which exceptions stop, and what the `try`
//! statements of the program's files handle.
//!
//! A thread that raises waits for the answer to the second question, and for
//! nothing else (protocol-notes/traps.md, "handlers that nobody gives"). So
//! every request has an end: the consumer's answer, or after [`LIMIT`], or
//! when we leave, ours: everything is handled.

use std::collections::HashSet;
use std::time::Duration;

use ptvsd_wire::{Command, ExceptionMode, HandlerRange, PyText};
use tokio::time::Instant;

use super::SessionEvent;
use super::core::{Core, earliest};

/// How long the consumer may take to find out what a file handles. A thread of
/// the program stands still for so long.
const LIMIT: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct Handlers {
    /// What stops, as the server was last told in this session.
    exceptions: Option<Exceptions>,
    open: Vec<Open>,
    /// Files that we have given up on. The server has our answer for the
    /// truth until it is told anew what stops.
    given_up: HashSet<PyText>,
}

#[derive(Debug, Clone)]
struct Exceptions {
    default: ExceptionMode,
    named: Vec<(PyText, ExceptionMode)>,
}

impl Exceptions {
    fn can_stop(&self) -> bool {
        let modes = self.named.iter().map(|(_, mode)| *mode);
        modes
            .chain([self.default])
            .any(|mode| mode != ExceptionMode::NEVER)
    }
}

/// A request that is not answered yet.
#[derive(Debug)]
struct Open {
    file: PyText,
    limit: Instant,
}

impl Handlers {
    /// Whether an exception may stop a thread.
    pub(super) fn can_stop(&self) -> bool {
        self.exceptions.as_ref().is_some_and(Exceptions::can_stop)
    }
}

impl Core {
    pub(super) fn set_exceptions(
        &mut self,
        default: ExceptionMode,
        named: Vec<(PyText, ExceptionMode)>,
    ) {
        self.handlers.exceptions = Some(Exceptions { default, named });
        self.tell_exceptions();
    }

    /// The server forgets with this what it knows of handlers.
    fn tell_exceptions(&mut self) {
        self.handlers.given_up.clear();
        if let Some(Exceptions { default, named }) = self.handlers.exceptions.clone() {
            self.commands
                .push(Command::SetExceptionInfo { default, named });
        }
    }

    /// A thread has raised, and waits.
    pub(super) fn handlers_wanted(&mut self, file: PyText, now: Instant) {
        if self.leaving.is_some() || !self.handlers.can_stop() {
            return self.say_all_is_handled(file);
        }
        self.events.push(SessionEvent::HandlersWanted(file.clone()));
        self.handlers.open.push(Open {
            file,
            limit: now + LIMIT,
        });
    }

    /// The consumer has found out.
    pub(super) fn handlers_found(&mut self, file: PyText, handlers: Vec<HandlerRange>) {
        let mut open = self.handlers.open.iter();
        if let Some(at) = open.position(|open| open.file == file) {
            self.handlers.open.remove(at);
            self.commands
                .push(Command::SetExceptionHandlerInfo { file, handlers });
        } else if self.handlers.given_up.contains(&file) {
            // Too late for this time: let the server ask again.
            self.tell_exceptions();
        }
    }

    /// Answers what has waited for too long. Returns when to look again.
    pub(super) fn advance_handlers(&mut self, now: Instant) -> Option<Instant> {
        let mut wake = None;
        for open in std::mem::take(&mut self.handlers.open) {
            if now < open.limit {
                earliest(&mut wake, Some(open.limit));
                self.handlers.open.push(open);
            } else {
                tracing::warn!(file = %open.file, "its handlers were not found out in time");
                self.handlers.given_up.insert(open.file.clone());
                self.say_all_is_handled(open.file);
            }
        }
        wake
    }

    /// Nobody waits any more.
    pub(super) fn answer_open_handlers(&mut self) {
        for open in std::mem::take(&mut self.handlers.open) {
            self.say_all_is_handled(open.file);
        }
    }

    fn say_all_is_handled(&mut self, file: PyText) {
        self.commands.push(Command::SetExceptionHandlerInfo {
            file,
            handlers: vec![HandlerRange::everything()],
        });
    }
}
