//! The thread table: what stops, what runs, what answers.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use ptvsd_wire::{BreakpointId, Command, Dialect, Event, PyText, ThreadId};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::agent::Agent;
use super::breakpoints::LiveBreakpoint;
use super::handlers::Handlers;
use super::leave::Leaving;
use super::output::OutputFilter;
use super::settle::Resuming;
use super::taken_up::Questions;
use super::work::Work;
use super::{Binding, Ended, Epoch, Op, SessionEvent, StopReason, StoppedThread};
use crate::{EvaluateError, SessionOver};

/// The state of one session. Inputs are [`Core::on_event`], [`Core::on_op`]
/// and [`Core::advance`]; what comes of them is in `commands` (to be sent, in
/// order) and `events` (for the consumer).
#[derive(Debug)]
pub(super) struct Core {
    pub(super) dialect: Dialect,
    pub(super) commands: Vec<Command>,
    pub(super) events: Vec<SessionEvent>,
    pub(super) threads: BTreeMap<ThreadId, Thread>,
    pub(super) epoch: Epoch,
    /// Absent while the program runs.
    pub(super) stop: Option<Stop>,
    /// The last that the consumer was told of.
    latest_stop: Option<StoppedThread>,
    /// When the program was last resumed.
    pub(super) last_resume: Option<Instant>,
    /// Whether the server has done that: every thread that it was to release
    /// has shown a sign of life since. It goes from one to the next, and waits
    /// where one of them is about to report a stop; so the first to run on
    /// tells nothing of those behind it.
    pub(super) resume_taken_up: bool,
    /// When frames were last heard of that no execution caused: then some
    /// thread was on its way into a stop.
    pub(super) last_arrival: Option<Instant>,
    /// The thread that stopped first after the attach, until it is resumed as
    /// such: see [`Core::resume_all`].
    pub(super) attached: Option<ThreadId>,
    /// Threads with a step that has not ended.
    pub(super) stepping: BTreeSet<ThreadId>,
    pub(super) work: Work,
    pub(super) resuming: Option<Resuming>,
    pub(super) leaving: Option<Leaving>,
    pub(super) breakpoints: HashMap<BreakpointId, LiveBreakpoint>,
    pub(super) handlers: Handlers,
    pub(super) questions: Questions,
    pub(super) ended: Option<Ended>,
    /// The server has done all that an attach makes it do. Before that, a
    /// detach is undone by the rest of the attach, and the program freezes.
    pub(super) attach_complete: bool,
    pub(super) bindings: HashMap<BreakpointId, oneshot::Sender<Binding>>,
    pub(super) pause_asked: bool,
    pub(super) agent: Agent,
    /// What a visit is to run, once one is needed.
    pub(super) visit: Option<String>,
    pub(super) modules: HashSet<PyText>,
    output: OutputFilter,
}

/// The world has stopped.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stop {
    /// Since when all threads are marked to stop at their next line. An
    /// exception stops its own thread only and marks none.
    pub(super) marked: Option<Instant>,
}

/// File and line of a thread's top frame; absent when it shows no frames.
type Position = Option<(PyText, i64)>;

#[derive(Debug, Clone)]
pub(super) struct Thread {
    pub(super) state: ThreadState,
    /// How many frames its last frame list had.
    pub(super) frame_count: usize,
    pub(super) position: Position,
    /// Where it was when it did not stop in time although marked: in native
    /// code, as a rule. Not waited for while it is still there.
    pub(super) parked_at: Option<Position>,
    /// When an execution in it was last answered.
    pub(super) answered: Option<Instant>,
    /// The last resume has released it, and it has run since.
    pub(super) ran_on: bool,
    /// It has reported a stop that marks the others, and does that next. When
    /// an execution in it was answered, it has.
    pub(super) marks: bool,
}

/// What is known of a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ThreadState {
    /// It runs, as far as is known.
    Running,
    /// It has sent its frames because it is about to block. Whether it does
    /// block is told by its own stop, or by a probe.
    Arriving {
        since: Instant,
        /// No resume can have been on its way to it ([`Thread::ran_on`],
        /// [`Core::resume_is_on_its_way`]). A probe of any other might
        /// release a lock that a resume has released already, which ends the
        /// server's command loop.
        clean: bool,
    },
    /// It is blocked.
    Blocked,
    /// It was blocked and then resumed, and has shown no sign of life since.
    Waking,
}

impl Thread {
    fn new() -> Thread {
        Thread {
            state: ThreadState::Running,
            frame_count: 0,
            position: None,
            parked_at: None,
            answered: None,
            ran_on: false,
            marks: false,
        }
    }

    /// Whether it is known, or about, to be blocked.
    pub(super) fn has_stopped(&self) -> bool {
        matches!(
            self.state,
            ThreadState::Blocked | ThreadState::Arriving { .. }
        )
    }
}

impl Core {
    pub(super) fn new(dialect: Dialect, agent: Agent) -> Core {
        Core {
            dialect,
            commands: Vec::new(),
            events: Vec::new(),
            threads: BTreeMap::new(),
            epoch: Epoch::default(),
            stop: None,
            latest_stop: None,
            last_resume: None,
            resume_taken_up: false,
            last_arrival: None,
            attached: None,
            stepping: BTreeSet::new(),
            work: Work::default(),
            resuming: None,
            leaving: None,
            breakpoints: HashMap::new(),
            handlers: Handlers::default(),
            questions: Questions::default(),
            ended: None,
            attach_complete: false,
            bindings: HashMap::new(),
            pause_asked: false,
            agent,
            visit: None,
            modules: HashSet::new(),
            output: OutputFilter::new(dialect),
        }
    }

    /// The server said something.
    pub(super) fn on_event(&mut self, event: Event, now: Instant) {
        if self.ended.is_some() || self.is_past_detach(&event, now) {
            return;
        }
        match event {
            Event::ThreadCreated(thread) => self.thread_seen(thread),
            Event::ThreadExited(thread) => {
                self.shows_life(thread);
                self.threads.remove(&thread);
                self.stepping.remove(&thread);
                self.work.thread_exited(thread);
                self.events.push(SessionEvent::ThreadExited(thread));
            }
            Event::ModuleLoaded { file, .. } => {
                self.output.module_listed(&file);
                if self.modules.insert(file.clone()) {
                    self.events.push(SessionEvent::ModuleLoaded(file));
                }
            }
            Event::Frames {
                thread,
                name,
                frames,
            } => {
                self.thread_seen(thread);
                let by_itself = name.is_some();
                self.frames_sent(
                    thread,
                    by_itself,
                    frames.len(),
                    frames.first().map(|f| (f.file.clone(), f.line)),
                    now,
                );
                self.events.push(SessionEvent::Frames {
                    thread: self.token(thread),
                    name,
                    frames,
                });
            }
            Event::ProcessLoaded(thread) => self.stopped(thread, StopReason::Attached, now),
            Event::StepDone(thread) => {
                self.stepping.remove(&thread);
                self.stopped(thread, StopReason::Step, now);
            }
            Event::BreakpointHit { id, thread } => {
                self.stopped(thread, StopReason::Breakpoint(id), now);
            }
            Event::Exception { thread, exception } => {
                self.handlers_read();
                self.stopped(thread, StopReason::Exception(exception), now);
            }
            Event::AsyncBreak(thread) => {
                let reason = if self.pause_asked {
                    StopReason::Pause
                } else {
                    StopReason::BreakCall
                };
                self.stopped(thread, reason, now);
            }
            Event::BreakpointSet(id) => self.bound(id),
            Event::BreakpointFailed(id) => self.pending(id),
            Event::HandlersWanted(file) => self.handlers_wanted(file, now),
            Event::ExecutionResult { execution, object } if Core::is_for_agent(execution) => {
                let value = object.repr.unwrap_or_default();
                self.agent_answered(execution, Ok(&value), now);
            }
            Event::ExecutionException { execution, text } if Core::is_for_agent(execution) => {
                self.agent_answered(execution, Err(&text), now);
            }
            Event::ExecutionResult { execution, object } => {
                self.execution_answered(execution, Ok(object), now);
            }
            Event::ExecutionException { execution, text } => {
                self.execution_answered(execution, Err(text), now);
            }
            Event::Children {
                execution,
                children,
            } => self.children_answered(execution, children, now),
            Event::Output {
                thread,
                text,
                channel,
            } => {
                if self.output.is_new(thread, &text) {
                    self.events.push(SessionEvent::Output {
                        thread,
                        text,
                        channel,
                    });
                }
            }
            Event::Detached => self.detached(now),
            Event::Last => self.commands.push(Command::LastAck),
            Event::Answered {
                command,
                failure: Some(failure),
                ..
            } => self.command_failed(&command, &failure, now),
            Event::Answered { command, .. } => tracing::trace!(%command, "answered"),
            Event::HitCount { .. } => self.question_answered(now),
            Event::LineSet { .. } | Event::ModulesChanged | Event::Unknown(_) => {
                tracing::debug!(?event, "not asked for");
            }
        }
    }

    /// The consumer asked for something.
    pub(super) fn on_op(&mut self, op: Op, now: Instant) {
        match op {
            Op::Detach { reply } => self.begin_leaving(Some(reply), now),
            op if self.ended.is_some() || self.leaving.is_some() => refuse(op),
            Op::Evaluate {
                scope,
                text,
                repr,
                reply,
            } => self.work.add_evaluation(scope, text, repr, reply),
            Op::Children { place, text, reply } => self.work.add_children(place, text, reply),
            Op::SetBreakpoint { breakpoint, reply } => {
                self.set_breakpoint(breakpoint, reply);
            }
            Op::RemoveBreakpoint(id) => self.remove_breakpoint(id),
            Op::SetExceptions {
                default,
                named,
                reply,
            } => self.set_exceptions(default, named, reply, now),
            Op::GiveHandlers { file, handlers } => self.handlers_found(file, handlers, now),
            Op::Resume {
                only_after, reply, ..
            } if only_after.is_some() && only_after != self.latest_stop => {
                let _ = reply.send(Ok(()));
            }
            Op::Resume { step, reply, .. } => self.begin_resume(step, reply, now),
            Op::Pause => self.pause(now),
        }
    }

    pub(super) fn pause(&mut self, now: Instant) {
        match &mut self.stop {
            // Behind the resume, when that is sent.
            Some(_) if self.resuming.is_some() => self.pause_asked = true,
            Some(Stop { marked: Some(_) }) => {}
            // An exception has stopped its own thread only.
            stop => {
                if let Some(stop) = stop {
                    stop.marked = Some(now);
                }
                self.pause_asked = true;
                self.commands.push(Command::BreakAll);
            }
        }
    }

    /// Does what has become possible. Returns when to call again if nothing
    /// happens before.
    pub(super) fn advance(&mut self, now: Instant) -> Option<Instant> {
        if self.ended.is_some() {
            return None;
        }
        let mut wake = None;
        self.give_up_probe(now);
        earliest(&mut wake, self.advance_agent(now));
        if self.leaving.is_some() {
            earliest(&mut wake, self.advance_leaving(now));
        } else if self.resuming.is_some() {
            earliest(&mut wake, self.advance_resuming(now));
        } else if self.stop.is_none() {
            earliest(&mut wake, self.watch_for_lost_threads(now));
        }
        earliest(&mut wake, self.advance_handlers(now));
        earliest(&mut wake, self.advance_work(now));
        wake
    }

    /// The connection is no more.
    pub(super) fn connection_ended(&mut self, why: String) {
        self.end(match &self.leaving {
            Some(leaving) => leaving.outcome(),
            None => Ended::ConnectionLost(why),
        });
    }

    /// The last thing that happens. Every request that is still open ends
    /// with its reply being dropped.
    pub(super) fn end(&mut self, how: Ended) {
        if self.ended.is_some() {
            return;
        }
        for reply in self.leaving.iter_mut().flat_map(Leaving::take_replies) {
            let _ = reply.send(how.clone());
        }
        self.work = Work::default();
        self.resuming = None;
        self.bindings.clear();
        self.handlers.forget_who_waits();
        self.ended = Some(how.clone());
        self.events.push(SessionEvent::Ended(how));
    }

    pub(super) fn token(&self, thread: ThreadId) -> StoppedThread {
        StoppedThread {
            thread,
            epoch: self.epoch,
        }
    }

    fn thread_seen(&mut self, thread: ThreadId) {
        if let Entry::Vacant(vacant) = self.threads.entry(thread) {
            vacant.insert(Thread::new());
            self.events.push(SessionEvent::ThreadStarted(thread));
        }
    }

    fn frames_sent(
        &mut self,
        thread: ThreadId,
        by_itself: bool,
        frame_count: usize,
        position: Option<(PyText, i64)>,
        now: Instant,
    ) {
        // The variables again, after an execution in it.
        let for_work = by_itself && self.work.sends_frames_of(thread);
        if !for_work {
            self.last_arrival = Some(now);
            self.shows_life(thread);
        }
        let (agent, stopped) = (self.has_agent(), self.stop.is_some());
        let on_its_way = self.resume_is_on_its_way(now);
        let Some(state) = self.threads.get_mut(&thread) else {
            return;
        };
        let clean = agent || state.ran_on || !on_its_way;
        state.frame_count = frame_count;
        state.position = position;
        // Those without a name another thread sends, for one that runs.
        if by_itself && !for_work {
            // With the agent, a thread that tells its frames is blocked; the
            // stop itself may be told later, by another thread.
            state.state = if agent && stopped {
                ThreadState::Blocked
            } else {
                ThreadState::Arriving { since: now, clean }
            };
            state.parked_at = None;
        }
    }

    /// A thread did something that a blocked one cannot do: if the last resume
    /// released it, then that resume has come to it.
    fn shows_life(&mut self, thread: ThreadId) {
        if let Some(thread) = self.threads.get_mut(&thread)
            && thread.state == ThreadState::Waking
        {
            thread.state = ThreadState::Running;
            thread.ran_on = true;
            self.resume_taken_up |= self
                .threads
                .values()
                .all(|thread| thread.state != ThreadState::Waking);
        }
    }

    fn stopped(&mut self, thread: ThreadId, reason: StopReason, now: Instant) {
        self.thread_seen(thread);
        if let Some(state) = self.threads.get_mut(&thread) {
            state.marks = matches!(reason, StopReason::Breakpoint(_) | StopReason::Step);
            // It may have stopped just before a resume came to it, and run on.
            if !matches!(state.state, ThreadState::Arriving { clean: false, .. }) {
                state.state = ThreadState::Blocked;
            }
        }
        if self.has_agent() {
            for other in self.threads.values_mut() {
                if matches!(other.state, ThreadState::Arriving { .. }) {
                    other.state = ThreadState::Blocked;
                }
            }
            self.agent_sees_stop(now);
        }
        let marks = self.has_agent() || !matches!(reason, StopReason::Exception(_));
        let surplus = self.stop.is_some()
            && match reason {
                StopReason::Pause => self.resuming.is_some(),
                StopReason::BreakCall => true,
                _ => false,
            };
        let stop = self.stop.get_or_insert(Stop { marked: None });
        if marks {
            stop.marked = Some(now);
        }
        if reason == StopReason::Attached {
            self.attached = Some(thread);
        }
        if surplus {
            // A pause that was overtaken by another stop: it is reported by
            // whichever thread comes along later, and tells nothing new.
            return;
        }
        self.pause_asked = false;
        // A thread stopped while a resume was waiting: as far as anybody can
        // tell the program was resumed, and this is the next stop.
        self.resume_overtaken();
        let thread = self.token(thread);
        self.latest_stop = Some(thread);
        self.events.push(SessionEvent::Stopped { thread, reason });
    }

    /// The dialect has no word for a command after all.
    pub(super) fn not_sent(&mut self, command: &Command) {
        match command {
            Command::SetBreakpoint(breakpoint) => {
                self.breakpoints.remove(&breakpoint.id);
                self.bindings.remove(&breakpoint.id);
            }
            Command::Execute { .. } | Command::EnumerateChildren { .. } => {
                self.work.not_sent(self.dialect);
            }
            _ => {}
        }
    }
}

/// The session is over or about to be: say so.
fn refuse(op: Op) {
    match op {
        Op::Evaluate { reply, .. } => {
            let _ = reply.send(Err(SessionOver.into()));
        }
        Op::Children { reply, .. } => {
            let _ = reply.send(Err(SessionOver.into()));
        }
        Op::Resume { reply, .. } => {
            let _ = reply.send(Err(EvaluateError::Over(SessionOver)));
        }
        Op::SetBreakpoint { .. }
        | Op::RemoveBreakpoint(_)
        | Op::SetExceptions { .. }
        | Op::GiveHandlers { .. }
        | Op::Pause
        | Op::Detach { .. } => {}
    }
}

/// The earlier of two times at which there is something to do.
pub(super) fn earliest(wake: &mut Option<Instant>, other: Option<Instant>) {
    *wake = match (*wake, other) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
}
