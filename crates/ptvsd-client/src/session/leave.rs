//! The way out: the program runs on as if nobody had been there.
//!
//! A connection that just ends leaves stopped threads stopped for ever, and
//! the server refuses every other debugger. A detach while threads are on
//! their way into a stop loses them as a resume does (`settle`), and an
//! exception handler request that it leaves unanswered freezes its thread.
//! So: see to it that nothing stops any more, wait until the server has taken
//! that up and the threads are known, say `detc`, wait for the confirmation.
//! A thread that is still on its way into a stop then goes on, if it can send
//! what it has to tell: a connection that is closed too early makes it raise,
//! in the program's own code. A JSON server's command loop then still reads, and
//! is ended with a request that it does not know, or it would spin.

use std::time::Duration;

use ptvsd_wire::{BreakpointId, Command, Event, ExceptionMode, Family, PyText};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::Ended;
use super::core::{Core, ThreadState};
use super::settle::Settled;
use super::taken_up::TakenUp;

/// How long threads are waited for before the detach is sent all the same.
const SETTLE_LIMIT: Duration = Duration::from_secs(2);
/// How long a thread that was just resumed is given to wake.
const WAKE_LIMIT: Duration = Duration::from_millis(250);
/// For how long nothing is heard of a thread on its way into a stop before
/// none is believed to be.
const QUIET: Duration = Duration::from_millis(200);
/// The same after the detach, when it would be worse.
const LINGER: Duration = Duration::from_millis(500);
/// How long to go on listening in any case.
const LINGER_LIMIT: Duration = Duration::from_secs(3);
/// How long the server may take to confirm.
const CONFIRM_LIMIT: Duration = Duration::from_secs(2);
/// The same with the agent, which lets threads through before it confirms.
const AGENT_LIMIT: Duration = Duration::from_secs(6);
/// How long a server that cannot be understood is given to detach.
const DEAF_LIMIT: Duration = Duration::from_secs(1);
/// How long its command loop may take to end. If other threads keep the
/// interpreter busy that is more than half a second, and a connection that is
/// closed before makes it print a traceback.
const LOOP_END_LIMIT: Duration = Duration::from_secs(2);
/// How long the connection may take to end after its loop has.
const LOOP_CLOSE_LIMIT: Duration = Duration::from_millis(500);
/// How often a detach that failed in the server is sent again.
const RETRIES: u32 = 3;

// The names under which the JSON dialects answer.
const DETACH: &str = "legacyDetach";
const EXECUTE: &str = "legacyExecuteText";
const ENUMERATE_CHILDREN: &str = "legacyEnumChildren";
const HIT_COUNT: &str = "legacyGetBreakpointHitCount";

#[derive(Debug)]
pub(super) struct Leaving {
    replies: Vec<oneshot::Sender<Ended>>,
    phase: Phase,
    retries: u32,
    /// Something could stop a thread when we began.
    restless: bool,
    /// Since when nothing can, or since when it is detached.
    quiet_since: Instant,
    /// Why the server cannot be understood any more, if so.
    deaf: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Until the server has done with the attach, which would undo a detach
    /// and marks all threads to stop at its very end.
    Attaching,
    /// Until the server has taken up that nothing stops any more, and the
    /// threads are known.
    Settling {
        taken_up: TakenUp,
        /// Whatever else is the case.
        limit: Instant,
    },
    /// Sent; to be confirmed before this time.
    Sent(Instant),
    /// It failed; to be sent again at this time.
    Failed(Instant),
    /// Confirmed; the server's command loop is to end before this time.
    EndingLoop(Instant),
    /// Confirmed; threads may still have something to say, until this time.
    Lingering(Instant),
}

impl Leaving {
    pub(super) fn take_replies(&mut self) -> Vec<oneshot::Sender<Ended>> {
        std::mem::take(&mut self.replies)
    }

    fn is_sent(&self) -> bool {
        matches!(self.phase, Phase::Sent(_) | Phase::Failed(_))
    }

    fn is_confirmed(&self) -> bool {
        matches!(self.phase, Phase::EndingLoop(_) | Phase::Lingering(_))
    }

    /// How the session has ended if it is over now.
    pub(super) fn outcome(&self) -> Ended {
        match (&self.deaf, self.phase) {
            (Some(why), _) => Ended::ConnectionLost(why.clone()),
            (None, _) if self.is_confirmed() => Ended::Detached,
            (None, _) => Ended::DetachedUnconfirmed,
        }
    }
}

impl Core {
    pub(super) fn begin_leaving(&mut self, reply: Option<oneshot::Sender<Ended>>, now: Instant) {
        if let Some(how) = &self.ended {
            if let Some(reply) = reply {
                let _ = reply.send(how.clone());
            }
            return;
        }
        if let Some(leaving) = &mut self.leaving {
            leaving.replies.extend(reply);
            return;
        }
        self.resume_overtaken();
        self.epoch = self.epoch.next();
        self.work.cancel_waiting();
        self.leaving = Some(Leaving {
            replies: reply.into_iter().collect(),
            phase: Phase::Attaching,
            retries: 0,
            restless: false,
            quiet_since: now,
            deaf: None,
        });
        if self.attach_complete {
            let restless = self.something_can_stop(now);
            self.begin_settling(restless, now);
        } else {
            self.answer_open_handlers(now);
        }
    }

    /// Sees to it that nothing stops any more; `restless` if something could.
    fn begin_settling(&mut self, restless: bool, now: Instant) {
        if self.has_agent() {
            // It sees to all of this by itself, and better.
            self.work.cancel_all();
            self.answer_open_handlers(now);
            self.commands.push(Command::Detach);
            self.enter(Phase::Sent(now + AGENT_LIMIT));
            return;
        }
        self.stop_nothing();
        // After that: it makes the server forget the answers before it.
        self.answer_open_handlers(now);
        let taken_up = self.ask_if_taken_up(now);
        if let Some(leaving) = &mut self.leaving {
            leaving.restless = restless;
            leaving.quiet_since = now;
            leaving.phase = Phase::Settling {
                taken_up,
                limit: now + SETTLE_LIMIT,
            };
        }
    }

    /// Whether a thread may be on its way into a stop. After an attach the
    /// first one may be, until it was heard of.
    fn something_can_stop(&self, now: Instant) -> bool {
        self.stop.is_some()
            || self.pause_asked
            || !self.stepping.is_empty()
            || !self.breakpoints.is_empty()
            || self.handlers.can_stop()
            || self.last_arrival.is_none_or(|last| now < last + LINGER)
    }

    /// From now on no thread is to stop, for whatever reason.
    fn stop_nothing(&mut self) {
        let mut breakpoints: Vec<BreakpointId> = self.breakpoints.keys().copied().collect();
        breakpoints.sort_unstable();
        for id in breakpoints {
            self.remove_breakpoint(id);
        }
        self.commands.push(Command::SetExceptionInfo {
            default: ExceptionMode::NEVER,
            named: Vec::new(),
        });
        self.forget_marks();
    }

    /// The server has answered a question: from now on nothing begins to
    /// stop, if it is that of [`Core::begin_settling`].
    pub(super) fn leaving_is_taken_up(&mut self, answered: TakenUp, now: Instant) {
        if let Some(leaving) = &mut self.leaving
            && matches!(leaving.phase, Phase::Settling { taken_up, .. } if taken_up == answered)
        {
            leaving.quiet_since = now;
        }
    }

    /// Until when a thread may still be on its way into a stop.
    fn quiet_at(&self, pause: Duration) -> Option<Instant> {
        let leaving = self.leaving.as_ref()?;
        let all_blocked = self
            .threads
            .values()
            .all(|thread| thread.state == ThreadState::Blocked);
        if !leaving.restless || all_blocked {
            return None;
        }
        let since = self
            .last_arrival
            .map_or(leaving.quiet_since, |last| last.max(leaving.quiet_since));
        Some(since + pause)
    }

    /// What a server that has let go still says changes nothing.
    pub(super) fn is_past_detach(&mut self, event: &Event, now: Instant) -> bool {
        let confirmed = self.leaving.as_ref().is_some_and(Leaving::is_confirmed);
        if !confirmed || matches!(event, Event::Answered { .. }) {
            return false;
        }
        self.last_arrival = Some(now);
        true
    }

    /// What the server says cannot be understood any more, but it may still
    /// understand us: the program is let go before the connection is.
    pub(super) fn deafened(&mut self, why: String, now: Instant) {
        if self.ended.is_some() {
            return;
        }
        self.resume_overtaken();
        self.work.cancel_all();
        self.give_up_bindings();
        let replies = self.leaving.as_mut().map(Leaving::take_replies);
        if !self.leaving.as_ref().is_some_and(Leaving::is_sent) {
            self.stop_nothing();
            self.answer_open_handlers(now);
            self.commands.push(Command::Detach);
        }
        self.leaving = Some(Leaving {
            replies: replies.unwrap_or_default(),
            phase: Phase::Sent(now + DEAF_LIMIT),
            retries: 0,
            restless: false,
            quiet_since: now,
            deaf: Some(why),
        });
    }

    pub(super) fn advance_leaving(&mut self, now: Instant) -> Option<Instant> {
        match self.leaving.as_ref()?.phase {
            Phase::Attaching if self.attach_complete => {
                // It has marked all threads just now.
                self.begin_settling(true, now);
                self.advance_leaving(now)
            }
            // The driver sees to it that this is known within a limit.
            Phase::Attaching => None,
            Phase::Settling { taken_up, limit } => {
                let (ready, wake) = self.is_ready_to_detach(taken_up, now);
                if !ready && now < limit {
                    return Some(wake.map_or(limit, |wake| wake.min(limit)));
                }
                if self.work.holds_released() {
                    // A detach would release that thread twice, and end half
                    // way. Let all others go; the server notices that we
                    // have gone when the program next prints something.
                    self.resume_one_by_one();
                    return self.enter(Phase::Sent(now + CONFIRM_LIMIT));
                }
                self.send_detach(now)
            }
            Phase::Failed(time) if now >= time => self.send_detach(now),
            Phase::EndingLoop(limit) if now >= limit => self.linger(now),
            Phase::Lingering(limit) => match self.quiet_at(LINGER) {
                Some(time) if now < time && now < limit => Some(time.min(limit)),
                _ => {
                    self.end(Ended::Detached);
                    None
                }
            },
            Phase::Sent(limit) if now >= limit => {
                let how = self.leaving.as_ref()?.outcome();
                self.end(how);
                None
            }
            Phase::Sent(time) | Phase::EndingLoop(time) | Phase::Failed(time) => Some(time),
        }
    }

    /// Or else when to look again, if not when the server says something.
    fn is_ready_to_detach(&mut self, taken_up: TakenUp, now: Instant) -> (bool, Option<Instant>) {
        if !self.is_taken_up(taken_up, now) {
            return (false, taken_up.time());
        }
        match self.settled(WAKE_LIMIT, now) {
            Settled::NotBefore(time) => (false, time),
            // What runs in a module, or waits to, was asked for before.
            Settled::Yes if !self.work.is_idle() || self.work.holds_released() => (false, None),
            Settled::Yes => match self.quiet_at(QUIET) {
                Some(time) if now < time => (false, Some(time)),
                _ => (true, None),
            },
        }
    }

    fn send_detach(&mut self, now: Instant) -> Option<Instant> {
        self.work.cancel_all();
        // Again: a thread that was stopped may have been told to stop.
        self.forget_marks();
        self.commands.push(Command::Detach);
        self.enter(Phase::Sent(now + CONFIRM_LIMIT))
    }

    fn enter(&mut self, phase: Phase) -> Option<Instant> {
        self.leaving.as_mut()?.phase = phase;
        match phase {
            Phase::Attaching => None,
            Phase::Settling { limit, .. } => Some(limit),
            Phase::Sent(time)
            | Phase::Failed(time)
            | Phase::EndingLoop(time)
            | Phase::Lingering(time) => Some(time),
        }
    }

    fn linger(&mut self, now: Instant) -> Option<Instant> {
        self.enter(Phase::Lingering(now + LINGER_LIMIT));
        self.advance_leaving(now)
    }

    /// The server has let go.
    pub(super) fn detached(&mut self, now: Instant) {
        let asked = match &mut self.leaving {
            Some(leaving) => {
                leaving.quiet_since = now;
                leaving.is_sent()
            }
            None => false,
        };
        match (asked, self.dialect.family()) {
            // Its command loop ends by itself, and the connection with it.
            (true, _) if self.has_agent() => {
                self.enter(Phase::EndingLoop(now + LOOP_END_LIMIT));
            }
            (true, Family::Json) => {
                self.commands.push(Command::EndLoop);
                self.enter(Phase::EndingLoop(now + LOOP_END_LIMIT));
            }
            (true, Family::Binary) => {
                self.linger(now);
            }
            (false, _) => self.end(Ended::ByProgram),
        }
    }

    /// A JSON server failed to do what it was told.
    pub(super) fn command_failed(&mut self, command: &PyText, failure: &PyText, now: Instant) {
        let phase = self.leaving.as_ref().map(|leaving| leaving.phase);
        let is = |name: &str| *command == *name;
        match phase {
            // The exception that ends the work of a detach, and no failure.
            Some(Phase::EndingLoop(_)) if is(DETACH) => {}
            // The answer to the request that it does not know. The loop takes
            // itself out of the server after that, and whoever attaches before
            // would be taken out instead; then the connection ends, at once
            // where objects are freed at once.
            Some(Phase::EndingLoop(limit)) => {
                self.enter(Phase::EndingLoop(limit.min(now + LOOP_CLOSE_LIMIT)));
            }
            // A thread's lock was released twice; those before it are free.
            // It wakes, and then the rest can be set free.
            Some(Phase::Sent(_)) if is(DETACH) => {
                tracing::debug!(%failure, "the detach failed");
                if let Some(leaving) = &mut self.leaving
                    && leaving.retries < RETRIES
                {
                    leaving.retries += 1;
                    self.enter(Phase::Failed(now + WAKE_LIMIT));
                }
            }
            _ => {
                tracing::warn!(%command, %failure, "the server failed");
                if is(EXECUTE) || is(ENUMERATE_CHILDREN) {
                    self.execution_failed(failure, now);
                }
                if is(HIT_COUNT) {
                    self.question_answered(now);
                }
            }
        }
    }
}
