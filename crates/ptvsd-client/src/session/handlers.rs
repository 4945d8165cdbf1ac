//! Handlers of exceptions: which exceptions stop, and what the `try`
//! statements of the program's files handle.
//!
//! A thread that raises waits for the answer to the second question, and for
//! nothing else (protocol-notes/traps.md, "handlers that nobody gives"). So
//! every request has an end: the consumer's answer, or after [`LIMIT`], or
//! when we leave, ours: everything is handled.
//!
//! To be told which exceptions stop makes a server forget all answers, also
//! one that its thread has not read yet; the exception is then taken for one
//! that nothing handles ("answers that are forgotten"). So that is not said
//! straight after an answer.
//!
//! Nor does it hold as soon as it was said: a program that runs may raise
//! before the server has taken it up ("exceptions that come before their
//! mode"). Whoever has said what stops is told when it does.

use std::collections::HashSet;
use std::time::Duration;

use ptvsd_wire::{Command, ExceptionMode, HandlerRange, PyText};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::SessionEvent;
use super::core::{Core, earliest};
use super::taken_up::TakenUp;

/// How long the consumer may take to find out what a file handles. A thread of
/// the program stands still for so long.
const LIMIT: Duration = Duration::from_secs(1);
/// How long a thread that was answered is given to wake and read the answer.
const READING: Duration = Duration::from_millis(100);
/// How long at most that may keep what is to be said, when more threads ask.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long the server may take to take up what stops. Its command loop does
/// so at once, unless it executes something in a module.
const TAKE_UP_LIMIT: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct Handlers {
    /// What is to stop, as the consumer has said.
    exceptions: Option<Exceptions>,
    /// Since when the server is to be told so.
    untold: Option<Instant>,
    /// Who wants to know when it has taken that up.
    telling: Vec<oneshot::Sender<()>>,
    /// What it was told and has not taken up yet, as far as is known.
    told: Vec<Told>,
    /// When a thread was last answered that may not have read the answer.
    answered: Option<Instant>,
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

/// What stops was told, and somebody wants to know when it does.
#[derive(Debug)]
struct Told {
    taken_up: TakenUp,
    limit: Instant,
    replies: Vec<oneshot::Sender<()>>,
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

    /// Nobody is told any more that something has been taken up.
    pub(super) fn forget_who_waits(&mut self) {
        self.telling.clear();
        self.told.clear();
    }

    /// When what stops can be told, if not at once.
    fn not_before(&self, since: Instant) -> Option<Instant> {
        // Those that wait are answered later, and read that.
        let read = self.answered.filter(|_| self.open.is_empty())? + READING;
        Some(read.min(since + PATIENCE))
    }
}

impl Core {
    pub(super) fn set_exceptions(
        &mut self,
        default: ExceptionMode,
        named: Vec<(PyText, ExceptionMode)>,
        reply: oneshot::Sender<()>,
        now: Instant,
    ) {
        self.handlers.telling.push(reply);
        self.handlers.exceptions = Some(Exceptions { default, named });
        self.handlers.untold.get_or_insert(now);
        self.tell_exceptions(now);
    }

    /// Tells the server what stops, if it is to be told and can be. Returns
    /// when to try again.
    fn tell_exceptions(&mut self, now: Instant) -> Option<Instant> {
        let since = self.handlers.untold?;
        if let Some(time) = self.handlers.not_before(since)
            && now < time
        {
            return Some(time);
        }
        self.handlers.untold = None;
        self.handlers.given_up.clear();
        let Exceptions { default, named } = self.handlers.exceptions.clone()?;
        self.commands
            .push(Command::SetExceptionInfo { default, named });
        let mut replies = std::mem::take(&mut self.handlers.telling);
        replies.retain(|reply| !reply.is_closed());
        if !replies.is_empty() {
            let taken_up = self.ask_if_taken_up(now);
            self.handlers.told.push(Told {
                taken_up,
                limit: now + TAKE_UP_LIMIT,
                replies,
            });
        }
        None
    }

    /// Says that what was told is taken up, if it is, or will not be known to
    /// be. Returns when to look again.
    fn advance_told(&mut self, now: Instant) -> Option<Instant> {
        let mut wake = None;
        for told in std::mem::take(&mut self.handlers.told) {
            if now < told.limit && !self.is_taken_up(told.taken_up, now) {
                earliest(&mut wake, Some(told.taken_up.time().unwrap_or(told.limit)));
                self.handlers.told.push(told);
            } else {
                for reply in told.replies {
                    let _ = reply.send(());
                }
            }
        }
        wake
    }

    /// A thread has raised, and waits.
    pub(super) fn handlers_wanted(&mut self, file: PyText, now: Instant) {
        if self.leaving.is_some() || !self.handlers.can_stop() {
            return self.say_all_is_handled(file, now);
        }
        self.events.push(SessionEvent::HandlersWanted(file.clone()));
        self.handlers.open.push(Open {
            file,
            limit: now + LIMIT,
        });
    }

    /// The consumer has found out.
    pub(super) fn handlers_found(
        &mut self,
        file: PyText,
        handlers: Vec<HandlerRange>,
        now: Instant,
    ) {
        let mut open = self.handlers.open.iter();
        if let Some(at) = open.position(|open| open.file == file) {
            self.handlers.open.remove(at);
            self.give_handlers(file, handlers, now);
        } else if self.handlers.given_up.contains(&file) {
            // Too late for this time: let the server ask again.
            self.handlers.untold.get_or_insert(now);
        }
    }

    /// A thread has stopped for an exception, so it has read what handles it.
    pub(super) fn handlers_read(&mut self) {
        self.handlers.answered = None;
    }

    /// Answers what has waited for too long, and says what can be said now.
    /// Returns when to look again.
    pub(super) fn advance_handlers(&mut self, now: Instant) -> Option<Instant> {
        let mut wake = None;
        for open in std::mem::take(&mut self.handlers.open) {
            if now < open.limit {
                earliest(&mut wake, Some(open.limit));
                self.handlers.open.push(open);
            } else {
                tracing::warn!(file = %open.file, "its handlers were not found out in time");
                self.handlers.given_up.insert(open.file.clone());
                self.say_all_is_handled(open.file, now);
            }
        }
        earliest(&mut wake, self.tell_exceptions(now));
        earliest(&mut wake, self.advance_told(now));
        wake
    }

    /// We are leaving: nobody waits any more.
    pub(super) fn answer_open_handlers(&mut self, now: Instant) {
        self.handlers.untold = None;
        self.handlers.forget_who_waits();
        for open in std::mem::take(&mut self.handlers.open) {
            self.say_all_is_handled(open.file, now);
        }
    }

    fn say_all_is_handled(&mut self, file: PyText, now: Instant) {
        self.give_handlers(file, vec![HandlerRange::everything()], now);
    }

    fn give_handlers(&mut self, file: PyText, handlers: Vec<HandlerRange>, now: Instant) {
        self.handlers.answered = Some(now);
        self.commands
            .push(Command::SetExceptionHandlerInfo { file, handlers });
    }
}
