//! Executions: `exec` and `chld`, one at a time.
//!
//! The servers hand one over to the stopped thread by releasing the lock that
//! the thread is blocked on. A second one before the thread has taken up the
//! first, or a resume, releases it twice; that raises in the command loop and
//! ends it (protocol-notes/traps.md, "double release"). So there is a single
//! slot, and a resume waits until it is empty.

use std::collections::VecDeque;
use std::time::Duration;

use ptvsd_wire::{
    Child, Command, Dialect, ExecutionId, FrameKind, Object, PyText, ReprKind, ThreadId,
};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::agent::Agent;
use super::core::{Core, ThreadState};
use super::settle::SUSPICION;
use super::{Place, Scope};
use crate::{EvaluateError, SessionOver};

/// What a server answers when the thread is still putting away its last
/// execution, which happens because it answers that one first.
const NOT_COMPLETED: &str = "<error: previous evaluation has not completed>";
/// What a server answers when the thread is not blocked.
const NOT_BLOCKED: &str = "<expression cannot be evaluated at this time>";
/// How long to go on asking in either case.
const RETRY_LIMIT: Duration = Duration::from_secs(2);
/// Between two tries: doubled each time, up to the second figure.
const RETRY_PAUSE: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(40));
/// An empty list of children is doubted when the thread had answered
/// something else that shortly before the question.
const HARDLY_FREE: Duration = Duration::from_millis(50);
/// How long an answer to a probe is waited for. The command loop gives it, or
/// an idle thread; none comes if the thread runs no Python code any more, and
/// a late one if other threads hold the interpreter.
const PROBE_LIMIT: Duration = Duration::from_secs(10);
/// So many times.
const DOUBTS: u32 = 3;
/// The value that a probe asks for the children of: it has one, everywhere.
const PROBE: &str = "(0,)";

#[derive(Debug, Default)]
pub(super) struct Work {
    queue: VecDeque<Job>,
    in_flight: Option<InFlight>,
    next_execution: i64,
    abandoned: Vec<Abandoned>,
}

/// An execution that was under way when the program was to be resumed: its
/// thread goes on when it is done.
#[derive(Debug)]
struct Abandoned {
    execution: ExecutionId,
    thread: ThreadId,
    sends_frames: bool,
    /// Its thread's lock has been released. Until the execution is done,
    /// another release ends the server's command loop.
    released: bool,
}

/// What the slot is taken by, if it was sent and concerns a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Busy {
    Probing,
    Executing { since: Instant },
}

#[derive(Debug)]
enum Job {
    Evaluate {
        scope: Scope,
        text: PyText,
        repr: ReprKind,
        reply: oneshot::Sender<Result<Object, EvaluateError>>,
    },
    Children {
        place: Place,
        text: PyText,
        reply: oneshot::Sender<Result<Vec<Child>, EvaluateError>>,
    },
    /// Is this thread blocked?
    Probe(ThreadId),
}

#[derive(Debug)]
struct InFlight {
    job: Job,
    /// Of the try that is under way; absent while waiting for the next.
    execution: Option<ExecutionId>,
    begun: Instant,
    sent: Instant,
    tries: u32,
    retry_at: Option<Instant>,
}

impl Job {
    fn thread(&self) -> Option<ThreadId> {
        match self {
            Job::Evaluate {
                scope: Scope::Module(_),
                ..
            } => None,
            Job::Evaluate {
                scope: Scope::Frame(place),
                ..
            }
            | Job::Children { place, .. } => Some(place.thread.thread),
            Job::Probe(thread) => Some(*thread),
        }
    }

    fn place(&self) -> Option<Place> {
        match self {
            Job::Evaluate {
                scope: Scope::Frame(place),
                ..
            }
            | Job::Children { place, .. } => Some(*place),
            _ => None,
        }
    }

    fn sends_frames(&self) -> bool {
        matches!(self, Job::Evaluate { .. })
    }

    fn fail(self, error: EvaluateError) {
        match self {
            Job::Evaluate { reply, .. } => {
                let _ = reply.send(Err(error));
            }
            Job::Children { reply, .. } => {
                let _ = reply.send(Err(error));
            }
            Job::Probe(_) => {}
        }
    }

    /// Whoever asked has gone.
    fn is_unwanted(&self) -> bool {
        match self {
            Job::Evaluate { reply, .. } => reply.is_closed(),
            Job::Children { reply, .. } => reply.is_closed(),
            Job::Probe(_) => false,
        }
    }
}

impl Work {
    pub(super) fn add_evaluation(
        &mut self,
        scope: Scope,
        text: PyText,
        repr: ReprKind,
        reply: oneshot::Sender<Result<Object, EvaluateError>>,
    ) {
        self.queue.push_back(Job::Evaluate {
            scope,
            text,
            repr,
            reply,
        });
    }

    pub(super) fn add_children(
        &mut self,
        place: Place,
        text: PyText,
        reply: oneshot::Sender<Result<Vec<Child>, EvaluateError>>,
    ) {
        self.queue.push_back(Job::Children { place, text, reply });
    }

    /// Before everything else, if it is not under way already.
    pub(super) fn probe(&mut self, thread: ThreadId) {
        let is_probe = |job: &Job| matches!(job, Job::Probe(probed) if *probed == thread);
        let under_way = self.in_flight.as_ref().is_some_and(|f| is_probe(&f.job));
        if !under_way && !self.queue.iter().any(is_probe) {
            self.queue.push_front(Job::Probe(thread));
        }
    }

    /// Whether this thread's frames may come because of an execution in it:
    /// an `exec` sends them before its result, a `chld` does not.
    pub(super) fn sends_frames_of(&self, thread: ThreadId) -> bool {
        self.in_flight.as_ref().is_some_and(|f| {
            f.execution.is_some() && f.job.sends_frames() && f.job.thread() == Some(thread)
        }) || self
            .abandoned
            .iter()
            .any(|abandoned| abandoned.sends_frames && abandoned.thread == thread)
    }

    /// What a resume has to wait for. Not for an execution in a module: that
    /// runs on the thread that takes the resume.
    pub(super) fn busy(&self) -> Option<Busy> {
        let in_flight = self.in_flight.as_ref()?;
        in_flight.execution?;
        in_flight.job.thread()?;
        Some(match in_flight.job {
            Job::Probe(_) => Busy::Probing,
            _ => Busy::Executing {
                since: in_flight.sent,
            },
        })
    }

    /// Whether a thread that was resumed is still busy with an execution.
    pub(super) fn holds_released(&self) -> bool {
        self.abandoned.iter().any(|abandoned| abandoned.released)
    }

    /// All threads have been resumed.
    pub(super) fn release_abandoned(&mut self) {
        for abandoned in &mut self.abandoned {
            abandoned.released = true;
        }
    }

    /// Nothing waits and nothing runs.
    pub(super) fn is_idle(&self) -> bool {
        self.in_flight.is_none() && self.queue.is_empty()
    }

    pub(super) fn forget_probes(&mut self) {
        self.queue.retain(|job| !matches!(job, Job::Probe(_)));
    }

    /// The dialect cannot say what was to be sent last.
    pub(super) fn not_sent(&mut self, dialect: Dialect) {
        if let Some(in_flight) = self.in_flight.take() {
            in_flight.job.fail(EvaluateError::Unsupported(format!(
                "ptvsd {} cannot evaluate this",
                dialect.releases()
            )));
        }
    }

    /// The session is as good as over.
    pub(super) fn cancel_all(&mut self) {
        let in_flight = self.in_flight.take().map(|f| f.job);
        for job in in_flight.into_iter().chain(self.queue.drain(..)) {
            job.fail(SessionOver.into());
        }
    }

    /// The program is about to be resumed: nothing more is begun for anybody.
    pub(super) fn cancel_waiting(&mut self) {
        let keep = |job: &Job| {
            matches!(
                job,
                Job::Probe(_)
                    | Job::Evaluate {
                        scope: Scope::Module(_),
                        ..
                    }
            )
        };
        for job in std::mem::take(&mut self.queue) {
            if keep(&job) {
                self.queue.push_back(job);
            } else {
                job.fail(EvaluateError::Resumed);
            }
        }
        if let Some(waiting) = self
            .in_flight
            .take_if(|f| f.execution.is_none() && !keep(&f.job))
        {
            waiting.job.fail(EvaluateError::Resumed);
        }
    }

    /// Takes what runs out of the slot; its thread is busy until it answers.
    pub(super) fn abandon(&mut self) {
        if let Some(in_flight) = self.in_flight.take() {
            if let (Some(execution), Some(thread)) = (in_flight.execution, in_flight.job.thread()) {
                self.abandoned.push(Abandoned {
                    execution,
                    thread,
                    sends_frames: in_flight.job.sends_frames(),
                    released: false,
                });
            }
            in_flight.job.fail(EvaluateError::Resumed);
        }
    }

    /// No answer will come from it.
    pub(super) fn thread_exited(&mut self, thread: ThreadId) {
        self.abandoned
            .retain(|abandoned| abandoned.thread != thread);
        if let Some(gone) = self.in_flight.take_if(|f| f.job.thread() == Some(thread)) {
            gone.job.fail(EvaluateError::Stale);
        }
        for job in std::mem::take(&mut self.queue) {
            if job.thread() == Some(thread) {
                job.fail(EvaluateError::Stale);
            } else {
                self.queue.push_back(job);
            }
        }
    }

    fn answered(&mut self, execution: ExecutionId) -> Option<InFlight> {
        self.in_flight.take_if(|f| f.execution == Some(execution))
    }
}

impl Core {
    /// Begins the next execution if the slot is free. Returns when the one in
    /// it is to be tried again, or given up.
    pub(super) fn advance_work(&mut self, now: Instant) -> Option<Instant> {
        loop {
            if let Some(in_flight) = &mut self.work.in_flight {
                let Some(retry_at) = in_flight.retry_at else {
                    return match in_flight.job {
                        Job::Probe(_) => Some(in_flight.sent + PROBE_LIMIT),
                        _ => None,
                    };
                };
                if now < retry_at {
                    return Some(retry_at);
                }
                in_flight.retry_at = None;
            } else if self.awaits_agent() {
                // It may be on its way in by the very thread.
                return None;
            } else {
                let job = self.work.queue.pop_front()?;
                self.work.in_flight = Some(InFlight {
                    job,
                    execution: None,
                    begun: now,
                    sent: now,
                    tries: 0,
                    retry_at: None,
                });
            }
            self.send_work(now);
        }
    }

    /// Sends what is in the slot, or empties it if that cannot be.
    fn send_work(&mut self, now: Instant) {
        let Some(mut in_flight) = self.work.in_flight.take() else {
            return;
        };
        if in_flight.job.is_unwanted() {
            return;
        }
        if let Some(error) = self.objection(&in_flight.job) {
            in_flight.job.fail(error);
            return;
        }
        if let Some(time) = self.not_before(&in_flight.job)
            && now < time
        {
            in_flight.retry_at = Some(time);
            self.work.in_flight = Some(in_flight);
            return;
        }
        let execution = ExecutionId(self.work.next_execution);
        self.work.next_execution += 1;
        self.commands.push(match &in_flight.job {
            Job::Evaluate {
                scope, text, repr, ..
            } => {
                let (thread, frame, frame_kind) = match scope {
                    Scope::Frame(place) => (place.thread.thread, place.frame, place.kind),
                    Scope::Module(_) => (ThreadId(0), 0, FrameKind::None),
                };
                Command::Execute {
                    text: text.clone(),
                    execution,
                    thread,
                    frame: i64::try_from(frame).unwrap_or(i64::MAX),
                    frame_kind,
                    repr: *repr,
                    module: match scope {
                        Scope::Frame(_) => None,
                        Scope::Module(name) => Some(name.clone()),
                    },
                    print_result: false,
                }
            }
            Job::Children { place, text, .. } => Command::EnumerateChildren {
                text: text.clone(),
                execution,
                thread: place.thread.thread,
                frame: i64::try_from(place.frame).unwrap_or(i64::MAX),
                frame_kind: place.kind,
            },
            Job::Probe(thread) => Command::EnumerateChildren {
                text: PROBE.into(),
                execution,
                thread: *thread,
                frame: 0,
                frame_kind: FrameKind::Python,
            },
        });
        in_flight.execution = Some(execution);
        in_flight.sent = now;
        in_flight.tries += 1;
        self.work.in_flight = Some(in_flight);
    }

    /// Why a job must not be sent: the server would not answer it, or not
    /// survive it.
    fn objection(&self, job: &Job) -> Option<EvaluateError> {
        match job {
            Job::Evaluate {
                scope: Scope::Module(_),
                ..
            } if !self.dialect.has_module_execution() => {
                return Some(EvaluateError::Unsupported(format!(
                    "ptvsd {} can evaluate only in a stopped thread: pause the program first",
                    self.dialect.releases()
                )));
            }
            Job::Evaluate { repr, .. }
                if *repr != ReprKind::Normal && !self.dialect.has_object_length() =>
            {
                return Some(EvaluateError::Unsupported(format!(
                    "ptvsd {} cannot send a string raw",
                    self.dialect.releases()
                )));
            }
            _ => {}
        }
        if let Some(place) = job.place()
            && place.thread.epoch != self.epoch
        {
            return Some(EvaluateError::Stale);
        }
        let thread = match job.thread() {
            None => return None,
            Some(id) => match self.threads.get(&id) {
                None => return Some(EvaluateError::Stale),
                Some(thread) => thread,
            },
        };
        if !thread.has_stopped() {
            return Some(EvaluateError::Running);
        }
        match job.place() {
            Some(place) if place.frame >= thread.frame_count => Some(EvaluateError::Stale),
            _ => None,
        }
    }

    /// Until when a thread may still have to wake from the last resume.
    fn not_before(&self, job: &Job) -> Option<Instant> {
        match self.threads.get(&job.thread()?)?.state {
            ThreadState::Arriving {
                since,
                clean: false,
            } => Some(since + SUSPICION),
            _ => None,
        }
    }

    /// A probe that is not answered must not hold up everything for ever.
    pub(super) fn give_up_probe(&mut self, now: Instant) {
        let gone = self.work.in_flight.take_if(|f| {
            f.execution.is_some() && now >= f.sent + PROBE_LIMIT && matches!(f.job, Job::Probe(_))
        });
        if let Some(Job::Probe(thread)) = gone.map(|f| f.job) {
            self.probed(thread, false, now);
        }
    }

    /// A JSON server failed on an execution, and will not answer it.
    pub(super) fn execution_failed(&mut self, failure: &PyText, now: Instant) {
        let Some(failed) = self.work.in_flight.take_if(|f| f.execution.is_some()) else {
            return;
        };
        match failed.job {
            Job::Probe(thread) => self.probed(thread, false, now),
            job => {
                let text = failure.display();
                let last = text.trim_end().lines().next_back().unwrap_or_default();
                job.fail(EvaluateError::Raised(last.into()));
            }
        }
    }

    pub(super) fn execution_answered(
        &mut self,
        execution: ExecutionId,
        result: Result<Object, PyText>,
        now: Instant,
    ) {
        let Some(in_flight) = self.take_answered(execution, now) else {
            return;
        };
        let result = match result {
            Err(text) if text == *NOT_COMPLETED => {
                return self.try_again(in_flight, EvaluateError::Running, now);
            }
            Err(text) if text == *NOT_BLOCKED => {
                return self.try_again(in_flight, EvaluateError::Running, now);
            }
            Err(text) => Err(EvaluateError::Raised(text)),
            Ok(object) => Ok(object),
        };
        if let Job::Evaluate { reply, .. } = in_flight.job {
            let _ = reply.send(result);
        }
    }

    pub(super) fn children_answered(
        &mut self,
        execution: ExecutionId,
        children: Vec<Child>,
        now: Instant,
    ) {
        let doubtful = self.work.in_flight.as_ref().is_some_and(|f| {
            f.execution == Some(execution)
                && f.tries <= DOUBTS
                && self.answered_just_before(f.job.thread(), f.sent)
        });
        let Some(in_flight) = self.take_answered(execution, now) else {
            return;
        };
        match in_flight.job {
            Job::Probe(thread) if children.is_empty() => {
                if now < in_flight.begun + RETRY_LIMIT / 4 {
                    self.try_again(in_flight, EvaluateError::Running, now);
                } else if !self.has_arrived_since(thread, in_flight.sent) {
                    self.probed(thread, false, now);
                }
            }
            Job::Probe(thread) => self.probed(thread, true, now),
            Job::Children { .. } if children.is_empty() && doubtful => {
                self.try_again(in_flight, EvaluateError::Running, now);
            }
            Job::Children { reply, .. } => {
                let _ = reply.send(Ok(children));
            }
            Job::Evaluate { .. } => {}
        }
    }

    /// Whether a thread was about to block when, or after, it was probed.
    fn has_arrived_since(&self, thread: ThreadId, probed: Instant) -> bool {
        self.threads.get(&thread).is_some_and(
            |thread| matches!(thread.state, ThreadState::Arriving { since, .. } if since >= probed),
        )
    }

    fn answered_just_before(&self, thread: Option<ThreadId>, sent: Instant) -> bool {
        thread
            .and_then(|thread| self.threads.get(&thread)?.answered)
            .is_some_and(|answered| sent.duration_since(answered) < HARDLY_FREE)
    }

    fn take_answered(&mut self, execution: ExecutionId, now: Instant) -> Option<InFlight> {
        let abandoned = &mut self.work.abandoned;
        if let Some(at) = abandoned.iter().position(|a| a.execution == execution) {
            let done = abandoned.swap_remove(at);
            // Resumed long ago, it goes on now. (Not resumed yet, it is
            // blocked as before.)
            if let Some(thread) = self.threads.get_mut(&done.thread)
                && done.released
                && !matches!(self.agent, Agent::Active { .. })
            {
                thread.state = ThreadState::Waking;
                self.last_resume = Some(now);
            }
            return None;
        }
        let mut in_flight = self.work.answered(execution)?;
        in_flight.execution = None;
        if let Some(thread) = in_flight.job.thread()
            && let Some(thread) = self.threads.get_mut(&thread)
        {
            thread.answered = Some(now);
            thread.marks = false;
        }
        Some(in_flight)
    }

    fn try_again(&mut self, mut in_flight: InFlight, otherwise: EvaluateError, now: Instant) {
        if now >= in_flight.begun + RETRY_LIMIT {
            in_flight.job.fail(otherwise);
            return;
        }
        let pause = RETRY_PAUSE
            .0
            .saturating_mul(1 << in_flight.tries.min(8))
            .min(RETRY_PAUSE.1);
        in_flight.retry_at = Some(now + pause);
        self.work.in_flight = Some(in_flight);
    }
}
