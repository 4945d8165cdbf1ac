//! Whether the server has taken up what it was told.
//!
//! A command that was written is not one that has an effect: the command loop
//! needs its turn of the interpreter to read it, and the JSON servers answer
//! most requests before they do what was asked. But it takes one command after
//! the other. So a question that it answers, asked behind a command, tells
//! that the command has its effect.

use std::time::Duration;

use ptvsd_wire::{BreakpointId, Command};
use tokio::time::Instant;

use super::core::Core;

/// How long a server that cannot say it is given to take up commands.
const TAKE_UP: Duration = Duration::from_millis(100);
/// Its hits are asked for because a server answers that at once. No
/// breakpoint has this number, and none needs to.
const NO_BREAKPOINT: BreakpointId = BreakpointId(-1);

/// How often the server was asked, and has answered. Answers come in the order
/// of the questions.
#[derive(Debug, Default)]
pub(super) struct Questions {
    asked: u64,
    answered: u64,
}

/// When the server has taken up the commands that were sent up to now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TakenUp {
    /// When it has answered this question.
    Answering(u64),
    /// It cannot say; at this time, as a rule.
    At(Instant),
}

impl TakenUp {
    /// When to look again, if not when the server says something.
    pub(super) fn time(self) -> Option<Instant> {
        match self {
            TakenUp::Answering(_) => None,
            TakenUp::At(time) => Some(time),
        }
    }
}

impl Core {
    /// Asks whether the commands so far are taken up.
    pub(super) fn ask_if_taken_up(&mut self, now: Instant) -> TakenUp {
        if !self.dialect.has_pass_counts() {
            return TakenUp::At(now + TAKE_UP);
        }
        self.commands
            .push(Command::GetBreakpointHitCount(NO_BREAKPOINT));
        self.questions.asked += 1;
        TakenUp::Answering(self.questions.asked)
    }

    pub(super) fn is_taken_up(&self, taken_up: TakenUp, now: Instant) -> bool {
        match taken_up {
            TakenUp::Answering(question) => question <= self.questions.answered,
            TakenUp::At(time) => now >= time,
        }
    }

    /// The server has answered the next question, or has failed to: it has
    /// come to it in either case.
    pub(super) fn question_answered(&mut self, now: Instant) {
        if self.questions.answered < self.questions.asked {
            self.questions.answered += 1;
            self.leaving_is_taken_up(TakenUp::Answering(self.questions.answered), now);
        }
    }
}
