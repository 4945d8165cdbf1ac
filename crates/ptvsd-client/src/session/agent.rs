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
    install_in_module, is_hello,
};
use ptvsd_wire::{Command, ExecutionId, FrameKind, PyText, ReprKind, ThreadId};
use tokio::time::Instant;

use super::core::{Core, ThreadState};
use super::{AgentStatus, SessionEvent};

/// How long the agent may take to answer. What puts it in may have to wait for
/// its turn of a busy interpreter, several times.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);
/// How often the agent hears from us at least. It takes us for dead after
/// [`PATIENCE`].
const HEARTBEAT: Duration = Duration::from_secs(2);
/// How long the agent waits for a word from us.
pub(crate) const PATIENCE: Duration = Duration::from_secs(7);
/// How long threads are given to reach a line and stop, before the frames of
/// those that did not are asked for: they are in native code.
const STACKS_AFTER: Duration = Duration::from_millis(50);

/// The executions that are ours. Those of the consumer are not negative.
const INSTALLATION: ExecutionId = ExecutionId(-1);
const REQUEST: ExecutionId = ExecutionId(-2);

/// No program has a thread with this number, so that clearing its steps does
/// nothing.
const NO_THREAD: ThreadId = ThreadId(0);

/// How a visit has ended, if one was needed: why it failed, if it did.
pub(crate) type Visited = Option<Result<(), String>>;

/// What there is of the agent.
#[derive(Debug)]
pub(super) enum Agent {
    /// The server is to be left bare.
    Unwanted,
    /// It is put in when the server has done with the attach.
    Wanted(Options),
    /// It was put in, and is to say so before this time.
    Asked { options: Options, limit: Instant },
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
        matches!(self.agent, Agent::Wanted(_) | Agent::Asked { .. })
    }

    /// The server takes other clients, so it has done with this one's attach.
    pub(super) fn attach_completed(&mut self, visited: Visited, now: Instant) {
        let options = match std::mem::replace(&mut self.agent, Agent::Unwanted) {
            Agent::Wanted(options) => options,
            other => {
                self.agent = other;
                return self.ready(AgentStatus::Off);
            }
        };
        let asked = if self.dialect.has_module_execution() {
            let text = install_in_module(&options);
            self.ask(INSTALLATION, NO_THREAD, text, Some(JSON_DEBUGGER_MODULE));
            Ok(())
        } else {
            match (visited, self.any_blocked()) {
                (Some(Ok(())), _) => {
                    self.ask(INSTALLATION, ThreadId(AGENT_THREAD), HELLO.to_owned(), None);
                    Ok(())
                }
                (_, Some(thread)) => {
                    self.ask(INSTALLATION, thread, install_in_frame(&options), None);
                    Ok(())
                }
                (Some(Err(why)), None) => Err(why),
                (None, None) => Err("no way in was tried".to_owned()),
            }
        };
        match asked {
            Ok(()) => {
                let limit = now + ANSWER_LIMIT;
                self.agent = Agent::Asked { options, limit };
            }
            Err(why) => {
                self.agent = Agent::Failed(options);
                self.ready(AgentStatus::Failed(why));
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

    fn any_blocked(&self) -> Option<ThreadId> {
        let blocked = |state: ThreadState| state == ThreadState::Blocked;
        self.threads
            .iter()
            .find_map(|(id, thread)| blocked(thread.state).then_some(*id))
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
        match &self.agent {
            Agent::Asked { options, .. } | Agent::Failed(options) => match answer {
                Ok(value) if is_hello(value.bytes(), &options.mark) => self.agent_is_there(now),
                Ok(other) => self.agent_failed(format!("it said {}", other.display()), now),
                Err(text) => self.agent_failed(text.display().into_owned(), now),
            },
            Agent::Unwanted | Agent::Wanted(_) | Agent::Active { .. } => {}
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

    fn agent_failed(&mut self, why: String, now: Instant) {
        if let Agent::Asked { options, .. } = &self.agent {
            tracing::warn!(%why, "no agent");
            self.agent = Agent::Failed(options.clone());
            self.ready(AgentStatus::Failed(why));
            // Nothing was resumed while it was waited for.
            self.last_arrival = Some(now);
        }
    }

    /// Does what is due. Returns when to look again.
    pub(super) fn advance_agent(&mut self, now: Instant) -> Option<Instant> {
        let leaving = self.leaving.is_some();
        let all_stopped = self.threads.values().all(super::core::Thread::has_stopped);
        match &mut self.agent {
            Agent::Unwanted | Agent::Wanted(_) | Agent::Failed(_) => None,
            Agent::Asked { limit, .. } if now < *limit => Some(*limit),
            Agent::Asked { .. } => {
                self.agent_failed("it did not answer in time".to_owned(), now);
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
