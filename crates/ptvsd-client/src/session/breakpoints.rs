//! Breakpoints: set, bound or pending, and taken away for good.

use ptvsd_wire::{BreakpointCondition, BreakpointId, Command, Language, PyText, SetBreakpoint};
use tokio::sync::oneshot;

use super::core::Core;
use super::{Binding, SessionEvent};

/// What is needed to take a breakpoint away again.
#[derive(Debug, Clone)]
pub(super) struct LiveBreakpoint {
    line: i64,
    file: PyText,
    language: Language,
    /// The server had no module for it at first.
    was_pending: bool,
    bound: bool,
}

impl Core {
    pub(super) fn set_breakpoint(
        &mut self,
        breakpoint: SetBreakpoint,
        reply: oneshot::Sender<Binding>,
    ) {
        self.breakpoints.insert(
            breakpoint.id,
            LiveBreakpoint {
                line: breakpoint.line,
                file: breakpoint.file.clone(),
                language: breakpoint.language,
                was_pending: false,
                bound: false,
            },
        );
        self.bindings.insert(breakpoint.id, reply);
        self.commands.push(Command::SetBreakpoint(breakpoint));
    }

    /// `BRKF`.
    pub(super) fn pending(&mut self, id: BreakpointId) {
        if let Some(breakpoint) = self.breakpoints.get_mut(&id) {
            breakpoint.was_pending = true;
        }
        if let Some(reply) = self.bindings.remove(&id) {
            let _ = reply.send(Binding::Pending);
        }
    }

    /// `BRKS`.
    pub(super) fn bound(&mut self, id: BreakpointId) {
        if let Some(breakpoint) = self.breakpoints.get_mut(&id) {
            breakpoint.bound = true;
        }
        match self.bindings.remove(&id) {
            Some(reply) => {
                let _ = reply.send(Binding::Bound);
            }
            None => self.events.push(SessionEvent::BreakpointBound(id)),
        }
    }

    pub(super) fn remove_breakpoint(&mut self, id: BreakpointId) {
        let Some(breakpoint) = self.breakpoints.remove(&id) else {
            return;
        };
        if self.shares_its_line(&breakpoint) {
            return;
        }
        self.disarm(id, &breakpoint);
        let remove = Command::RemoveBreakpoint {
            id,
            line: breakpoint.line,
            file: breakpoint.file,
            language: breakpoint.language,
        };
        // One that was bound later is listed twice if the module calls its
        // file by another path; each removal takes one away, and it
        // goes on hitting if only one is sent. Templates are never bound.
        if breakpoint.was_pending && breakpoint.bound {
            self.commands.push(remove.clone());
        }
        self.commands.push(remove);
    }

    /// Of a template's breakpoints on one line the servers know the last
    /// only, and a command loop that is to remove it a second time ends.
    fn shares_its_line(&self, removed: &LiveBreakpoint) -> bool {
        removed.language == Language::Django
            && self.breakpoints.values().any(|other| {
                other.language == Language::Django
                    && other.line == removed.line
                    && other.file.display().to_lowercase() == removed.file.display().to_lowercase()
            })
    }

    /// Whether these breakpoints are bound will not be known any more.
    pub(super) fn give_up_bindings(&mut self) {
        self.bindings.clear();
    }

    /// A breakpoint that never was bound stays in the server's list of
    /// pending ones, is bound when its module is loaded, and hits, removed or
    /// not, in this session or a later one. With a condition that is false it
    /// does not. (Below dialect 5 that list has a copy of its own, which no
    /// command reaches; there the hit is resumed when it comes.)
    fn disarm(&mut self, id: BreakpointId, breakpoint: &LiveBreakpoint) {
        if !breakpoint.bound
            && breakpoint.language == Language::Python
            && self.dialect.has_pass_counts()
        {
            self.commands.push(Command::SetBreakpointCondition {
                id,
                condition: BreakpointCondition::WhenTrue("0".into()),
            });
        }
    }
}
