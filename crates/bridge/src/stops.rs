//! Whether a stop is the editor's business.

use dap_wire::events::{self, StoppedBody};
use dap_wire::types::StoppedReason;
use ptvsd_client::{StopReason, StoppedThread};

use crate::exceptions::description;
use crate::program::World;
use crate::session::Session;

impl Session {
    /// A thread has stopped.
    pub(crate) fn stopped(&mut self, thread: StoppedThread, reason: StopReason) {
        let configured = self.configured;
        let Ok(program) = self.program() else {
            return;
        };
        if configured {
            return self.decide(thread, reason);
        }
        // The editor is still setting its breakpoints; the program waits.
        match &mut program.world {
            World::Held(stops) => stops.push((thread, reason)),
            world => {
                *world = World::Held(vec![(thread, reason)]);
                self.watch_for_long_stop(thread);
            }
        }
    }

    /// The editor is ready for what has stopped since the attach.
    pub(crate) fn report_held_stops(&mut self) {
        let Ok(program) = self.program() else {
            return;
        };
        match std::mem::replace(&mut program.world, World::Running) {
            World::Held(stops) => {
                // All of them are one stop of the world. If one of them is
                // the editor's business, none may resume it.
                let (reported, silent): (Vec<_>, Vec<_>) = stops
                    .into_iter()
                    .partition(|(thread, reason)| self.is_reported(*thread, reason));
                let chosen = if reported.is_empty() {
                    silent
                } else {
                    reported
                };
                for (thread, reason) in chosen {
                    self.decide(thread, reason);
                }
            }
            world => program.world = world,
        }
    }

    fn decide(&mut self, thread: StoppedThread, reason: StopReason) {
        let is_reported = self.is_reported(thread, &reason);
        let Ok(program) = self.program() else {
            return;
        };
        if is_reported {
            self.report_stop(thread, &reason);
        } else if let World::Running = program.world {
            let resumed = program.debuggee.pass_over(thread);
            self.when_done(resumed, |_, result| {
                tracing::debug!(?result, "passed over");
            });
        }
    }

    /// Everything is, but the stop that every attach begins with, hits of
    /// breakpoints that this session has not, or not any more, and exceptions
    /// that are Python's own.
    fn is_reported(&mut self, thread: StoppedThread, reason: &StopReason) -> bool {
        match reason {
            StopReason::Attached => self
                .program()
                .is_ok_and(|program| program.configuration.stop_on_entry),
            StopReason::Breakpoint(id) => self.breakpoints.knows(*id),
            StopReason::Exception(report) => self.is_exception_reported(thread, report),
            _ => true,
        }
    }

    fn report_stop(&mut self, thread: StoppedThread, reason: &StopReason) {
        let hit = match reason {
            StopReason::Breakpoint(id) => self.breakpoints.hit(*id),
            _ => None,
        };
        let Ok(program) = self.program() else {
            return;
        };
        // Without the agent, an exception stops its own thread only.
        let all_stopped = program.has_agent || !matches!(reason, StopReason::Exception(_));
        let thread_id = program.threads.id_of(thread.thread());
        if let Some((_, local)) = &hit {
            let top = program.threads.get(thread_id).ok().and_then(|thread| {
                let (_, frames) = thread.stack.as_ref()?;
                Some(frames.first()?.file.to_string())
            });
            if let Some(file) = top {
                program.files.learn(&file, local);
            }
        }
        if let StopReason::Exception(report) = reason {
            program
                .exceptions
                .insert(thread_id, (thread, report.clone()));
        }
        let is_first = !matches!(program.world, World::Stopped { .. });
        program.others_run = !all_stopped && (is_first || program.others_run);
        if is_first {
            program.world = World::Stopped { first: thread };
            for waiting in program.waiting_for_stop.drain(..) {
                let _ = waiting.send(());
            }
            self.watch_for_long_stop(thread);
        }
        let (dap_reason, description, text) = describe(reason);
        self.outbox.event::<events::Stopped>(StoppedBody {
            reason: dap_reason,
            description,
            text,
            thread_id: Some(thread_id),
            all_threads_stopped: Some(all_stopped),
            hit_breakpoint_ids: hit.map(|(id, _)| vec![id]),
            ..StoppedBody::default()
        });
    }

    /// A program that must not stand still for long is resumed by itself.
    fn watch_for_long_stop(&mut self, thread: StoppedThread) {
        let Ok(program) = self.program() else {
            return;
        };
        let Some(limit) = program.configuration.max_stop else {
            return;
        };
        self.after(limit, move |session| session.end_long_stop(thread, limit));
    }

    /// Resumes the program though the editor has not said so.
    pub(crate) fn resume_unasked(&mut self) {
        if let Ok(program) = self.program() {
            program.moves_on();
            let resumed = program.debuggee.resume();
            self.when_done(resumed, |_, result| {
                tracing::debug!(?result, "resumed unasked");
            });
        }
    }

    fn end_long_stop(&mut self, thread: StoppedThread, limit: std::time::Duration) {
        let Ok(program) = self.program() else {
            return;
        };
        let reported = match &program.world {
            World::Stopped { first } if *first == thread => true,
            World::Held(stops) if stops.first().is_some_and(|(first, _)| *first == thread) => false,
            _ => return,
        };
        let thread_id = program.threads.id_of(thread.thread());
        self.resume_unasked();
        if reported {
            self.outbox
                .event::<events::Continued>(events::ContinuedBody {
                    thread_id,
                    all_threads_continued: Some(true),
                });
        }
        self.console(format!(
            "The program was resumed: it had been stopped for {} s (maxStop).",
            limit.as_secs_f32()
        ));
    }
}

fn describe(reason: &StopReason) -> (StoppedReason, Option<String>, Option<String>) {
    match reason {
        StopReason::Attached => (
            StoppedReason::Entry,
            Some("Paused after attaching".to_owned()),
            None,
        ),
        StopReason::Breakpoint(_) => (StoppedReason::Breakpoint, None, None),
        StopReason::Step => (StoppedReason::Step, None, None),
        StopReason::Pause => (StoppedReason::Pause, None, None),
        StopReason::BreakCall => (
            StoppedReason::Breakpoint,
            Some("Paused on ptvsd.break_into_debugger()".to_owned()),
            None,
        ),
        StopReason::Exception(exception) => (
            StoppedReason::Exception,
            Some(description(exception)),
            Some(exception.type_name.to_string()),
        ),
    }
}
