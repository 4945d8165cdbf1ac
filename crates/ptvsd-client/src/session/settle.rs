//! When a resume is safe.
//!
//! A resume that comes while threads are on their way into a stop loses them:
//!
//! * A thread that is about to block, but not marked as blocked yet, is
//!   missed, and blocks for ever.
//! * The thread that hit a breakpoint marks the others *after* it has
//!   reported the hit. One that it marks after the resume has passed it stops
//!   silently, for ever.
//! * A thread that was resumed but has not run since still counts as blocked;
//!   a second resume releases its lock twice, which ends the command loop.
//!
//! From outside, this is what can be known: a thread sends its frames itself
//! (with its name) just before it blocks; another thread that is about to
//! stop sends the frames of all that are not blocked; and asking for the
//! children of a constant gives some from a blocked thread and none from one
//! that runs. A thread that has reported a stop takes no question before it has
//! marked the others ([`Thread::marks`](super::core::Thread::marks)). So a
//! resume waits until every thread that will stop has stopped, and all have
//! answered that they are blocked; and afterwards threads that blocked all the
//! same are set free one by one.
//!
//! What is asked must not come on the heels of a resume either: a thread that
//! stopped while the resume was on its way to it may just have been released.
//! The server goes from thread to thread, and waits at one that is about to
//! report a stop, while those before it run on. Hence `clean`
//! ([`ThreadState::Arriving`]).

use std::time::Duration;

use ptvsd_wire::{Command, ThreadId};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::core::{Core, ThreadState, earliest};
use super::work::Busy;
use super::{StepKind, StoppedThread};
use crate::EvaluateError;

/// How long threads that were marked are given to reach a line. Those that
/// run Python code need a turn of the interpreter each (5 ms on Python 3).
const SETTLE: Duration = Duration::from_millis(200);
/// After this long, a thread whose lock was released has certainly run.
pub(super) const SUSPICION: Duration = Duration::from_millis(500);
/// How long to wait for a sign of life of a thread that was resumed before it
/// is resumed again.
const WAKE_LIMIT: Duration = Duration::from_secs(1);
/// How long to wait for an execution that is under way. By then its thread
/// has taken it up, and one resume is safe: the thread goes on when it is done.
const WORK_LIMIT: Duration = Duration::from_secs(1);

/// A resume that waits to be safe.
#[derive(Debug)]
pub(super) struct Resuming {
    step: Option<(ThreadId, StepKind)>,
    reply: oneshot::Sender<Result<(), EvaluateError>>,
}

/// Whether the threads of the program are all known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Settled {
    Yes,
    /// Not yet. Without a time, an answer of the server tells more.
    NotBefore(Option<Instant>),
}

impl Core {
    pub(super) fn begin_resume(
        &mut self,
        step: Option<(StoppedThread, StepKind)>,
        reply: oneshot::Sender<Result<(), EvaluateError>>,
        now: Instant,
    ) {
        if let Some((thread, _)) = step {
            let stopped = self
                .threads
                .get(&thread.thread)
                .is_some_and(super::core::Thread::has_stopped);
            let refusal = if thread.epoch != self.epoch {
                Some(EvaluateError::Stale)
            } else if self.stop.is_none() || self.resuming.is_some() || !stopped {
                Some(EvaluateError::Running)
            } else {
                None
            };
            if let Some(error) = refusal {
                let _ = reply.send(Err(error));
                return;
            }
        }
        if self.stop.is_none() || self.resuming.is_some() {
            let _ = reply.send(Ok(()));
            return;
        }
        self.epoch = self.epoch.next();
        self.pause_asked = false;
        self.work.cancel_waiting();
        self.resuming = Some(Resuming {
            step: step.map(|(thread, kind)| (thread.thread, kind)),
            reply,
        });
        self.advance_resuming(now);
    }

    /// Another thread has stopped meanwhile, and is to be looked at first.
    pub(super) fn resume_overtaken(&mut self) {
        if let Some(resuming) = self.resuming.take() {
            let _ = resuming.reply.send(Ok(()));
        }
    }

    pub(super) fn advance_resuming(&mut self, now: Instant) -> Option<Instant> {
        match self.settled(WAKE_LIMIT, now) {
            Settled::NotBefore(time) => return time,
            Settled::Yes => {}
        }
        // Resuming the thread of the attach would be a resume of all.
        let one_by_one = self.work.holds_released() && !self.has_agent();
        if one_by_one && self.attached.is_some() {
            return None;
        }
        let Resuming { step, reply } = self.resuming.take()?;
        let mut outcome = Ok(());
        match step {
            // A step resumes all threads, and would release that one twice.
            Some(_) if one_by_one => {
                outcome = Err(EvaluateError::Unsupported(
                    "a thread is still busy with an evaluation of an earlier stop".to_owned(),
                ));
                self.resume_one_by_one();
            }
            // It looked as if it stopped, and did not.
            Some((thread, _)) if !self.is_blocked(thread) => {
                outcome = Err(EvaluateError::Running);
                self.resume_all();
            }
            Some((thread, kind)) => self.step(thread, kind),
            None if one_by_one => self.resume_one_by_one(),
            None => self.resume_all(),
        }
        self.resumed(now);
        let _ = reply.send(outcome);
        None
    }

    fn is_blocked(&self, thread: ThreadId) -> bool {
        self.threads
            .get(&thread)
            .is_some_and(|thread| thread.state == ThreadState::Blocked)
    }

    /// Whether it is known of every thread if it is blocked, or waiting will
    /// not tell.
    pub(super) fn settled(&mut self, wake_limit: Duration, now: Instant) -> Settled {
        if self.awaits_agent() {
            // The agent is on its way in, and takes the world as it stands.
            return Settled::NotBefore(None);
        }
        match self.work.busy() {
            None => {}
            // It is given up in its own time (`Core::give_up_probe`).
            Some(Busy::Probing) => return Settled::NotBefore(None),
            Some(Busy::Executing { since }) => {
                let limit = since + WORK_LIMIT;
                if now < limit {
                    return Settled::NotBefore(Some(limit));
                }
                self.work.abandon();
            }
        }
        if self.has_agent() {
            return Settled::Yes;
        }
        let marked = self.stop.and_then(|stop| stop.marked);
        let mut waiting = false;
        let mut wake = None;
        let mut wait_until = |time: Instant| {
            let wait = now < time;
            if wait {
                waiting = true;
                earliest(&mut wake, Some(time));
            }
            wait
        };
        let mut probes = Vec::new();
        // A thread on its own has no others to mark.
        let has_others = self.threads.len() > 1;
        for (id, thread) in &mut self.threads {
            match thread.state {
                ThreadState::Blocked if thread.marks && has_others => probes.push(*id),
                ThreadState::Blocked => {}
                ThreadState::Running => {
                    if let Some(marked) = marked
                        && thread.parked_at.as_ref() != Some(&thread.position)
                        && !wait_until(marked + SETTLE)
                    {
                        thread.parked_at = Some(thread.position.clone());
                    }
                }
                ThreadState::Arriving { since, clean } => {
                    if clean || !wait_until(since + SUSPICION) {
                        probes.push(*id);
                    }
                }
                ThreadState::Waking => {
                    if let Some(resumed) = self.last_resume {
                        wait_until(resumed + wake_limit);
                    }
                }
            }
        }
        if !probes.is_empty() {
            waiting = true;
            for thread in probes {
                self.work.probe(thread);
            }
        }
        if waiting {
            Settled::NotBefore(wake)
        } else {
            Settled::Yes
        }
    }

    fn step(&mut self, thread: ThreadId, kind: StepKind) {
        self.stepping.remove(&thread);
        self.clear_steps();
        self.stepping.insert(thread);
        self.commands.push(match kind {
            StepKind::Into => Command::StepInto(thread),
            StepKind::Over => Command::StepOver(thread),
            StepKind::Out => Command::StepOut(thread),
        });
    }

    /// After an attach, resuming the thread that reported it resumes all, and
    /// makes the server forget that it did so; otherwise a later resume of
    /// just that thread would be one of all.
    fn resume_all(&mut self) {
        self.clear_steps();
        self.commands.push(match self.attached {
            Some(thread) if self.is_blocked(thread) && !self.has_agent() => {
                self.attached = None;
                Command::ResumeThread(thread)
            }
            _ => Command::ResumeAll,
        });
    }

    /// What a resume of all does, except for threads that are still busy with
    /// an evaluation: they were released when it was abandoned, and must not
    /// be again.
    pub(super) fn resume_one_by_one(&mut self) {
        self.forget_marks();
        for (id, thread) in &self.threads {
            if thread.state == ThreadState::Blocked {
                self.commands.push(Command::ResumeThread(*id));
            }
        }
    }

    /// A step that was overtaken by a breakpoint would otherwise end later.
    fn clear_steps(&mut self) {
        for thread in std::mem::take(&mut self.stepping) {
            self.commands.push(Command::ClearStepping(thread));
        }
    }

    /// No thread stops any more because it was told to, or steps.
    pub(super) fn forget_marks(&mut self) {
        self.stepping.clear();
        for thread in self.threads.keys() {
            self.commands.push(Command::ClearStepping(*thread));
        }
    }

    fn resumed(&mut self, now: Instant) {
        self.stop = None;
        self.last_resume = Some(now);
        self.resume_taken_up = false;
        self.work.release_abandoned();
        self.agent_sees_resume();
        let agent = self.has_agent();
        for thread in self.threads.values_mut() {
            thread.ran_on = false;
            thread.marks = false;
            if agent {
                thread.state = ThreadState::Running;
            } else if thread.state == ThreadState::Blocked {
                thread.state = ThreadState::Waking;
            }
        }
        if std::mem::take(&mut self.pause_asked) {
            self.pause(now);
        }
    }

    /// Whether a resume may not have come to all threads yet.
    pub(super) fn resume_is_on_its_way(&self, now: Instant) -> bool {
        !self.resume_taken_up && self.last_resume.is_some_and(|at| now < at + SUSPICION)
    }

    /// A probe has told whether a thread that looked like it is blocked.
    pub(super) fn probed(&mut self, thread: ThreadId, blocked: bool, now: Instant) {
        let running = self.stop.is_none();
        let Some(state) = self.threads.get_mut(&thread) else {
            return;
        };
        if !blocked {
            // Unless its own stop has told better meanwhile.
            if !matches!(state.state, ThreadState::Arriving { .. }) {
                return;
            }
            state.state = ThreadState::Running;
            state.parked_at = Some(state.position.clone());
        } else if running && self.leaving.is_none() {
            tracing::debug!(?thread, "stopped behind a resume: set free");
            state.state = ThreadState::Waking;
            self.commands.push(Command::ResumeThread(thread));
            self.last_resume = Some(now);
            // It reaches no thread but this.
            self.resume_taken_up = true;
            if self.attached == Some(thread) {
                // Unless it is the thread of the attach.
                self.attached = None;
                self.resume_taken_up = false;
                self.suspect_all(now);
            }
        } else {
            state.state = ThreadState::Blocked;
        }
    }

    /// All lost threads were released just now: none is to be asked soon.
    fn suspect_all(&mut self, now: Instant) {
        self.work.forget_probes();
        for thread in self.threads.values_mut() {
            thread.ran_on = false;
            if let ThreadState::Arriving { since, clean } = &mut thread.state {
                *since = now;
                *clean = false;
            }
        }
    }

    /// While the program runs: threads that went into a stop that nobody
    /// reported.
    pub(super) fn watch_for_lost_threads(&mut self, now: Instant) -> Option<Instant> {
        let mut wake = None;
        if self.has_agent() {
            return None;
        }
        let mut probes = Vec::new();
        for (id, thread) in &self.threads {
            if let ThreadState::Arriving { since, .. } = thread.state {
                if now < since + SUSPICION {
                    earliest(&mut wake, Some(since + SUSPICION));
                } else {
                    probes.push(*id);
                }
            }
        }
        for thread in probes {
            self.work.probe(thread);
        }
        wake
    }
}
