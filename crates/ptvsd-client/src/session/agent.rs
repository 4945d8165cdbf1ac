//! The agent ([`debuggee_agent`]): how it gets in, and what it makes easier.
//!
//! With it in the program, the server keeps the order of stops and resumes by
//! itself: a thread whose frames have come is blocked, a resume may be sent at
//! any time and loses no thread, and all threads stop for every reason. What
//! `settle`, the probes of `work` and most of `leave` do is for servers
//! without.

use std::time::Duration;

use debuggee_agent::{
    AGENT_THREAD, HELLO, JSON_DEBUGGER_MODULE, Options, STACKS, install_in_frame,
    install_in_module, install_in_visit, is_hello,
};
use ptvsd_wire::{Command, ExecutionId, FrameKind, PyText, ReprKind, ThreadId};
use tokio::time::Instant;

use super::core::{Core, ThreadState};
use super::{AgentStatus, SessionEvent};

/// How long the agent may take to answer. What puts it in may have to wait for
/// its turn of a busy interpreter, several times.
const ANSWER_LIMIT: Duration = Duration::from_secs(4);
/// How often the agent hears from us at least. It takes us for dead after
/// [`PATIENCE`].
const HEARTBEAT: Duration = Duration::from_secs(2);
/// How long the agent waits for a word from us.
pub(crate) const PATIENCE: Duration = Duration::from_secs(7);
/// How long threads are given to reach a line and stop, before the frames of
/// those that did not are asked for: they are in native code.
const STACKS_AFTER: Duration = Duration::from_millis(50);

/// How long a thread is given to stop after the attach, so that the agent can
/// go in there. A visit is for programs that run no line: while it lasts, the
/// program's output goes through a connection on which the server of Python 2
/// fails now and then, and what the program prints then raises in it.
const STOP_LIMIT: Duration = Duration::from_millis(500);

/// The executions that are ours. Those of the consumer are not negative.
const INSTALLATION: ExecutionId = ExecutionId(-1);
const REQUEST: ExecutionId = ExecutionId(-2);

/// No program has a thread with this number, so that clearing its steps does
/// nothing.
const NO_THREAD: ThreadId = ThreadId(0);

/// How a visit has ended: why it failed, if it did.
pub(super) type Visited = Result<(), String>;

/// What there is of the agent.
#[derive(Debug)]
pub(super) enum Agent {
    /// The server is to be left bare.
    Unwanted,
    /// It is put in when the server has done with the attach.
    Wanted(Options),
    /// It goes in by the first thread that stops, or by a visit at this time.
    Due { options: Options, visit_at: Instant },
    /// A visit is under way.
    Visited(Options),
    /// It was put in, and is to say so before this time.
    Asked {
        options: Options,
        limit: Instant,
        in_frame: bool,
    },
    /// It did not get in, or did not say so in time.
    Failed(Options),
    /// It is there.
    Active {
        next_heartbeat: Instant,
        /// When to ask for the frames of threads that have not stopped.
        stacks_at: Option<Instant>,
    },
}

impl Core {
    /// Whether the server is one with the agent in it.
    pub(super) fn has_agent(&self) -> bool {
        matches!(self.agent, Agent::Active { .. })
    }

    /// Whether the agent is on its way in.
    pub(super) fn awaits_agent(&self) -> bool {
        matches!(
            self.agent,
            Agent::Wanted(_) | Agent::Due { .. } | Agent::Visited(_) | Agent::Asked { .. }
        )
    }

    /// The server takes other clients, so it has done with this one's attach.
    pub(super) fn attach_completed(&mut self, now: Instant) {
        match std::mem::replace(&mut self.agent, Agent::Unwanted) {
            // Code objects do not tell there which names they use. And a visit
            // that is not undone ends the program at its next `print`.
            Agent::Wanted(options) if self.is_jython() => {
                self.agent_failed(options, "it does not run on Jython".to_owned(), now);
            }
            Agent::Wanted(options) if self.dialect.has_module_execution() => {
                let text = install_in_module(&options);
                self.ask(INSTALLATION, NO_THREAD, text, Some(JSON_DEBUGGER_MODULE));
                self.asked(options, false, now);
            }
            Agent::Wanted(options) => {
                let visit_at = now + STOP_LIMIT;
                self.agent = Agent::Due { options, visit_at };
            }
            other => {
                self.agent = other;
                self.ready(AgentStatus::Off);
            }
        }
    }

    /// Its standard library is listed as what the compiler made of it.
    fn is_jython(&self) -> bool {
        let is_its_own = |file: &PyText| file.bytes().ends_with(b"$py.class");
        self.modules.iter().any(is_its_own)
    }

    fn asked(&mut self, options: Options, in_frame: bool, now: Instant) {
        self.agent = Agent::Asked {
            options,
            limit: now + ANSWER_LIMIT,
            in_frame,
        };
    }

    /// It goes in if it can.
    fn install(&mut self, options: Options, visit_at: Instant, now: Instant) -> Option<Instant> {
        if self.leaving.is_some() {
            self.ready(AgentStatus::Off);
            return None;
        }
        match self.any_blocked() {
            Some(thread) if self.work.is_idle() => {
                self.ask(INSTALLATION, thread, install_in_frame(&options), None);
                self.asked(options, true, now);
                Some(now + ANSWER_LIMIT)
            }
            _ if now >= visit_at => {
                self.begin_visit(options);
                None
            }
            _ => {
                self.agent = Agent::Due { options, visit_at };
                Some(visit_at)
            }
        }
    }

    fn begin_visit(&mut self, options: Options) {
        self.visit = Some(install_in_visit(&options));
        self.agent = Agent::Visited(options);
    }

    /// The visit is over.
    pub(super) fn visited(&mut self, outcome: Visited, now: Instant) {
        if let Agent::Visited(options) = std::mem::replace(&mut self.agent, Agent::Unwanted) {
            match outcome {
                Ok(()) => {
                    self.ask(INSTALLATION, ThreadId(AGENT_THREAD), HELLO.to_owned(), None);
                    self.asked(options, false, now);
                }
                Err(why) => self.agent_failed(options, why, now),
            }
        }
    }

    fn ready(&mut self, agent: AgentStatus) {
        if !self.attach_complete {
            self.attach_complete = true;
            tracing::debug!(?agent, "ready");
            self.events.push(SessionEvent::Ready(agent));
        }
    }

    /// A thread that can be asked.
    fn any_blocked(&self) -> Option<ThreadId> {
        let can_be_asked = |thread: &super::core::Thread| {
            thread.state == ThreadState::Blocked && thread.frame_count > 0
        };
        self.threads
            .iter()
            .find_map(|(id, thread)| can_be_asked(thread).then_some(*id))
    }

    fn ask(
        &mut self,
        execution: ExecutionId,
        thread: ThreadId,
        text: String,
        module: Option<&str>,
    ) {
        self.commands.push(Command::Execute {
            text: text.into(),
            execution,
            thread,
            frame: 0,
            frame_kind: if module.is_some() {
                FrameKind::None
            } else {
                FrameKind::Python
            },
            repr: ReprKind::Normal,
            module: module.map(PyText::from),
            print_result: false,
        });
    }

    /// Whether an execution is one of ours.
    pub(super) fn is_for_agent(execution: ExecutionId) -> bool {
        matches!(execution, INSTALLATION | REQUEST)
    }

    /// One of ours was answered.
    pub(super) fn agent_answered(
        &mut self,
        execution: ExecutionId,
        answer: Result<&PyText, &PyText>,
        now: Instant,
    ) {
        tracing::debug!(?execution, ?answer, "the agent");
        if execution != INSTALLATION {
            return;
        }
        let (options, in_frame) = match &self.agent {
            Agent::Asked {
                options, in_frame, ..
            } => (options.clone(), *in_frame),
            // Too late, but better than not at all.
            Agent::Failed(options) => (options.clone(), false),
            _ => return,
        };
        let why = match answer {
            Ok(value) if is_hello(value.bytes(), &options.mark) => return self.agent_is_there(now),
            Ok(other) => format!("it said {}", other.display()),
            Err(text) => text.display().into_owned(),
        };
        if in_frame {
            tracing::debug!(%why, "no way in by a frame");
            self.begin_visit(options);
        } else {
            self.agent_failed(options, why, now);
        }
    }

    fn agent_is_there(&mut self, now: Instant) {
        self.agent = Agent::Active {
            next_heartbeat: now,
            stacks_at: self.stop.map(|_| now + STACKS_AFTER),
        };
        self.work.forget_probes();
        let stopped = self.stop.is_some();
        for thread in self.threads.values_mut() {
            thread.state = match thread.state {
                ThreadState::Arriving { .. } if stopped => ThreadState::Blocked,
                ThreadState::Waking => ThreadState::Running,
                state => state,
            };
        }
        self.ready(AgentStatus::Active);
    }

    fn agent_failed(&mut self, options: Options, why: String, now: Instant) {
        tracing::warn!(%why, "no agent");
        self.agent = Agent::Failed(options);
        self.ready(AgentStatus::Failed(why));
        // Nothing was resumed while it was waited for.
        self.last_arrival = Some(now);
    }

    /// Does what is due. Returns when to look again.
    pub(super) fn advance_agent(&mut self, now: Instant) -> Option<Instant> {
        let leaving = self.leaving.is_some();
        let all_stopped = self.threads.values().all(super::core::Thread::has_stopped);
        match &mut self.agent {
            Agent::Unwanted | Agent::Wanted(_) | Agent::Visited(_) | Agent::Failed(_) => None,
            Agent::Due { options, visit_at } => {
                let (options, visit_at) = (options.clone(), *visit_at);
                self.agent = Agent::Unwanted;
                self.install(options, visit_at, now)
            }
            Agent::Asked { limit, .. } if now < *limit => Some(*limit),
            Agent::Asked { options, .. } => {
                let options = options.clone();
                self.agent_failed(options, "it did not answer in time".to_owned(), now);
                None
            }
            Agent::Active { .. } if leaving => None,
            Agent::Active {
                next_heartbeat,
                stacks_at,
            } => {
                let mut due = Vec::new();
                if now >= *next_heartbeat {
                    *next_heartbeat = now + HEARTBEAT;
                    due.push(None);
                }
                if stacks_at.is_some_and(|at| now >= at) {
                    *stacks_at = None;
                    if !all_stopped {
                        due.push(Some(STACKS));
                    }
                }
                let wake = stacks_at.map_or(*next_heartbeat, |at| at.min(*next_heartbeat));
                for request in due {
                    match request {
                        None => self.commands.push(Command::ClearStepping(NO_THREAD)),
                        Some(text) => {
                            self.ask(REQUEST, ThreadId(AGENT_THREAD), text.to_owned(), None);
                        }
                    }
                }
                Some(wake)
            }
        }
    }

    /// The world has stopped: threads that stay in native code are looked at
    /// in a moment.
    pub(super) fn agent_sees_stop(&mut self, now: Instant) {
        if let Agent::Active { stacks_at, .. } = &mut self.agent {
            *stacks_at = Some(now + STACKS_AFTER);
        }
    }

    /// It runs again.
    pub(super) fn agent_sees_resume(&mut self) {
        if let Agent::Active { stacks_at, .. } = &mut self.agent {
            *stacks_at = None;
        }
    }
}
