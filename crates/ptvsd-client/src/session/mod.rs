//! One session: commands in, events out.
//!
//! [`Core`](core::Core) decides, without I/O and without a clock of its own,
//! so that every interleaving can be put into a test; [`driver`] moves bytes
//! and time. The parts of the core:
//!
//! * `core`: the thread table, what stops and what answers,
//! * `breakpoints`: set, bound or pending, taken away,
//! * `work`: executions, one at a time,
//! * `settle`: when a resume is safe,
//! * `handlers`: which exceptions stop, and what the program handles itself,
//! * `taken_up`: whether a command has its effect by now,
//! * `leave`: the way out,
//! * `agent`: what changes when our own code is in the program,
//! * `output`: what was printed, once.

mod agent;
mod breakpoints;
mod core;
#[cfg(test)]
mod core_tests;
mod driver;
mod handlers;
mod leave;
mod output;
mod settle;
mod taken_up;
mod work;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use ptvsd_wire::handshake::Attached;
use ptvsd_wire::{
    BreakpointId, Child, Dialect, ExceptionMode, ExceptionReport, Frame, FrameKind, HandlerRange,
    Object, OutputChannel, PyText, ReprKind, SetBreakpoint, ThreadId,
};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

pub(crate) use self::agent::PATIENCE;
use crate::handshake::Attachment;
use crate::{Channel, EvaluateError, SessionOver};

/// How many requests may wait for the session's task. An editor sends tens at
/// once; beyond this, requests are refused.
const REQUESTS: usize = 1024;

/// How many events may wait for their consumer. Beyond it the session's task
/// waits, and with it the debuggee: the consumer must not wait for anything.
const EVENTS: usize = 256;

/// How long the server may take to say whether a breakpoint is bound. Its
/// command loop answers at once unless it is stuck.
const BINDING_LIMIT: Duration = Duration::from_secs(1);

/// How long a person's evaluation may run. The server cannot stop one.
pub(crate) const EVALUATION_LIMIT: Duration = Duration::from_secs(300);

/// Which stop: counted up at every resume. What belongs to an earlier one is
/// refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Epoch(u64);

impl Epoch {
    fn next(self) -> Epoch {
        Epoch(self.0 + 1)
    }
}

/// A thread that was seen to stop, at a certain stop. Only such a thread can
/// step: for any other the servers raise and their command loop ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StoppedThread {
    thread: ThreadId,
    epoch: Epoch,
}

impl StoppedThread {
    /// Which.
    #[must_use]
    pub fn thread(self) -> ThreadId {
        self.thread
    }

    /// Since which stop.
    #[must_use]
    pub fn epoch(self) -> Epoch {
        self.epoch
    }

    /// A place in it: its `frame`-th frame, counted from the top.
    #[must_use]
    pub fn frame(self, frame: usize, kind: FrameKind) -> Place {
        Place {
            thread: self,
            frame,
            kind,
        }
    }
}

/// Where to evaluate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    thread: StoppedThread,
    frame: usize,
    kind: FrameKind,
}

/// What kind of step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepKind {
    /// Into calls.
    Into,
    /// Over calls.
    Over,
    /// Out of the function.
    Out,
}

/// Why a thread stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopReason {
    /// It was the first to run a line after the attach.
    Attached,
    /// A breakpoint, perhaps one that this session did not set.
    Breakpoint(BreakpointId),
    /// A step is over.
    Step,
    /// A pause that was asked for.
    Pause,
    /// The program called `ptvsd.break_into_debugger()`.
    BreakCall,
    /// An exception. Without the agent, only this thread has stopped.
    Exception(ExceptionReport),
}

/// Whether a breakpoint sits on a loaded module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binding {
    /// It does.
    Bound,
    /// No loaded module has exactly its path. It can still hit: by the
    /// file's name, or once the module is loaded.
    Pending,
    /// The server has not said.
    Unknown,
}

/// What happens in the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionEvent {
    /// The server has done with the attach: all of its modules were told, and
    /// from now on breakpoints stop. (If it does not say so in time, this
    /// comes all the same.) The agent is in, if it could be put in.
    Ready(AgentStatus),
    /// A thread that was not known before.
    ThreadStarted(ThreadId),
    /// It has ended.
    ThreadExited(ThreadId),
    /// A module is loaded; each path is told once.
    ModuleLoaded(PyText),
    /// A thread has stopped. Threads that stopped together are told one by
    /// one: one that is read after the program was resumed from such a stop,
    /// and has its epoch or an earlier one, runs again and is to be passed
    /// over.
    Stopped {
        /// Which.
        thread: StoppedThread,
        /// Why.
        reason: StopReason,
    },
    /// The frames of a thread, also of one that only may stop, or runs on.
    /// Comes before the thread's stop, and again whenever values may have
    /// changed.
    Frames {
        /// Whose; good for evaluating in it once it has stopped.
        thread: StoppedThread,
        /// The thread's name, if this message has it.
        name: Option<PyText>,
        /// Top frame first.
        frames: Vec<Frame>,
    },
    /// A breakpoint that was pending sits on a module now.
    BreakpointBound(BreakpointId),
    /// The program printed.
    Output {
        /// Who did.
        thread: ThreadId,
        /// What.
        text: PyText,
        /// Where to, if the server says.
        channel: Option<OutputChannel>,
    },
    /// A thread has raised, and waits to be told what the `try` statements of
    /// this file handle. The consumer finds out and says so
    /// ([`Debuggee::give_handlers`]); if it takes longer than a second, the
    /// thread is told that everything is handled.
    HandlersWanted(PyText),
    /// The session is over. The last event.
    Ended(Ended),
}

/// Whether our own code runs in the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentStatus {
    /// It was not asked for.
    Off,
    /// It does.
    Active,
    /// It could not be put in, for this reason. The session goes on without.
    Failed(String),
}

/// How a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// We detached, and the server confirmed it.
    Detached,
    /// We detached, and the server did not confirm it in time.
    DetachedUnconfirmed,
    /// The server let go: the program has ended, as a rule.
    ByProgram,
    /// The connection ended or broke.
    ConnectionLost(String),
}

/// A request to the session's task.
#[derive(Debug)]
enum Op {
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
    SetBreakpoint {
        breakpoint: SetBreakpoint,
        reply: oneshot::Sender<Binding>,
    },
    RemoveBreakpoint(BreakpointId),
    SetExceptions {
        default: ExceptionMode,
        named: Vec<(PyText, ExceptionMode)>,
        reply: oneshot::Sender<()>,
    },
    GiveHandlers {
        file: PyText,
        handlers: Vec<HandlerRange>,
    },
    Resume {
        /// Only if this is the latest stop that was told.
        only_after: Option<StoppedThread>,
        step: Option<(StoppedThread, StepKind)>,
        reply: oneshot::Sender<Result<(), EvaluateError>>,
    },
    Pause,
    Detach {
        reply: oneshot::Sender<Ended>,
    },
}

/// In what an expression is evaluated.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Scope {
    Frame(Place),
    Module(PyText),
}

/// The debugger's end of a session. When the last clone is dropped, the
/// session's task detaches in good order.
///
/// Requests are in the order of the calls, whenever their futures are polled.
#[derive(Debug, Clone)]
pub struct Debuggee {
    ops: mpsc::Sender<Op>,
    dialect: Dialect,
    attached: Attached,
    channel: Option<Arc<Channel>>,
}

/// Starts the session's task. `attach_complete` is ready when the server has
/// done with the attach; `visit` puts the agent in by another connection, if
/// need be.
pub(crate) fn start<V>(
    attachment: Attachment,
    agent: Option<debuggee_agent::Options>,
    attach_complete: impl Future<Output = ()> + Send + 'static,
    visit: impl FnOnce(String) -> V + Send + 'static,
) -> (Debuggee, mpsc::Receiver<SessionEvent>)
where
    V: Future<Output = Result<(), String>> + Send + 'static,
{
    let (ops, ops_received) = mpsc::channel(REQUESTS);
    let (events, events_received) = mpsc::channel(EVENTS);
    let agent = agent.map_or(agent::Agent::Unwanted, agent::Agent::Wanted);
    let debuggee = Debuggee {
        ops,
        dialect: attachment.dialect,
        attached: attachment.process,
        channel: attachment.channel.map(Arc::new),
    };
    let driver = driver::Driver::new(
        attachment.transport,
        &attachment.received,
        attachment.dialect,
        agent,
        ops_received,
        events,
    );
    tokio::spawn(driver.run(attach_complete, visit));
    (debuggee, events_received)
}

impl Debuggee {
    /// The server's dialect.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The process.
    #[must_use]
    pub fn attached(&self) -> Attached {
        self.attached
    }

    /// The TLS under the session, if there is any.
    #[must_use]
    pub fn channel(&self) -> Option<&Channel> {
        self.channel.as_deref()
    }

    /// Runs an expression or statements in a frame; the value of statements
    /// is `None`.
    ///
    /// # Errors
    ///
    /// See [`EvaluateError`].
    pub fn evaluate(
        &self,
        place: Place,
        text: &str,
        repr: ReprKind,
    ) -> impl Future<Output = Result<Object, EvaluateError>> + Send + use<> {
        self.execute(Scope::Frame(place), text, repr)
    }

    /// Runs an expression or statements in a module, also while the program
    /// runs, on the debugger's own thread ([`Dialect::has_module_execution`]).
    ///
    /// # Errors
    ///
    /// See [`EvaluateError`].
    pub fn evaluate_in_module(
        &self,
        module: &str,
        text: &str,
        repr: ReprKind,
    ) -> impl Future<Output = Result<Object, EvaluateError>> + Send + use<> {
        self.execute(Scope::Module(module.into()), text, repr)
    }

    fn execute(
        &self,
        scope: Scope,
        text: &str,
        repr: ReprKind,
    ) -> impl Future<Output = Result<Object, EvaluateError>> + Send + use<> {
        let (reply, answer) = oneshot::channel();
        let sent = self.send(Op::Evaluate {
            scope,
            text: text.into(),
            repr,
            reply,
        });
        wait_for_value(sent, answer)
    }

    /// The children of an expression's value. The server cannot tell a value
    /// without children from an expression that fails: both give none.
    ///
    /// # Errors
    ///
    /// See [`EvaluateError`].
    pub fn children(
        &self,
        place: Place,
        text: &str,
    ) -> impl Future<Output = Result<Vec<Child>, EvaluateError>> + Send + use<> {
        let (reply, answer) = oneshot::channel();
        let sent = self.send(Op::Children {
            place,
            text: text.into(),
            reply,
        });
        wait_for_value(sent, answer)
    }

    /// Sets a breakpoint. Its number must never have been used on this server.
    pub fn set_breakpoint(
        &self,
        breakpoint: SetBreakpoint,
    ) -> impl Future<Output = Binding> + Send + use<> {
        let (reply, answer) = oneshot::channel();
        let sent = self.send(Op::SetBreakpoint { breakpoint, reply });
        async move {
            if sent.is_err() {
                return Binding::Unknown;
            }
            match timeout(BINDING_LIMIT, answer).await {
                Ok(Ok(binding)) => binding,
                _ => Binding::Unknown,
            }
        }
    }

    /// Removes a breakpoint of this session, so that it never hits again.
    pub fn remove_breakpoint(&self, id: BreakpointId) {
        let _ = self.send(Op::RemoveBreakpoint(id));
    }

    /// Says which exceptions stop, instead of all that was said before. Done
    /// when that holds for whatever is raised from then on, as far as the
    /// server can say so and does within a second.
    pub fn set_exceptions(
        &self,
        default: ExceptionMode,
        named: Vec<(PyText, ExceptionMode)>,
    ) -> impl Future<Output = ()> + Send + use<> {
        let (reply, told) = oneshot::channel();
        let _ = self.send(Op::SetExceptions {
            default,
            named,
            reply,
        });
        async move {
            // Dropped when the session is over: then nothing stops.
            let _ = told.await;
        }
    }

    /// Says what a file of the program handles: the answer to
    /// [`SessionEvent::HandlersWanted`], with the file as it was named there.
    /// One that nobody waits for any more makes the server ask again.
    pub fn give_handlers(&self, file: PyText, handlers: Vec<HandlerRange>) {
        let _ = self.send(Op::GiveHandlers { file, handlers });
    }

    /// Lets all threads run on, as soon as that is safe. What belongs to this
    /// stop is refused from now on. Running already is no error.
    ///
    /// # Errors
    ///
    /// When the session is over.
    pub fn resume(&self) -> impl Future<Output = Result<(), EvaluateError>> + Send + use<> {
        self.resume_with(None, None)
    }

    /// Lets all threads run on, and stops this one again after a step.
    ///
    /// # Errors
    ///
    /// When the thread is not stopped any more, or the session is over. If it
    /// turns out only while the resume waits that the thread cannot step, the
    /// program runs on without.
    pub fn step(
        &self,
        thread: StoppedThread,
        kind: StepKind,
    ) -> impl Future<Output = Result<(), EvaluateError>> + Send + use<> {
        self.resume_with(None, Some((thread, kind)))
    }

    /// Lets all threads run on, unless another one has stopped meanwhile, of
    /// which the consumer has not heard yet: for stops that are nobody's
    /// business, so that none is lost that is somebody's.
    ///
    /// # Errors
    ///
    /// When the session is over.
    pub fn pass_over(
        &self,
        stop: StoppedThread,
    ) -> impl Future<Output = Result<(), EvaluateError>> + Send + use<> {
        self.resume_with(Some(stop), None)
    }

    fn resume_with(
        &self,
        only_after: Option<StoppedThread>,
        step: Option<(StoppedThread, StepKind)>,
    ) -> impl Future<Output = Result<(), EvaluateError>> + Send + use<> {
        let (reply, answer) = oneshot::channel();
        let sent = self.send(Op::Resume {
            only_after,
            step,
            reply,
        });
        wait_for_value(sent, answer)
    }

    /// Asks all threads to stop at their next line. Threads in native code
    /// run none, so the stop may come late, or never.
    pub fn pause(&self) {
        let _ = self.send(Op::Pause);
    }

    /// Leaves the program running, as if no debugger had been there.
    pub fn detach(&self) -> impl Future<Output = Ended> + Send + use<> {
        let (reply, answer) = oneshot::channel();
        // A full queue must not keep us attached: dropping it detaches too.
        let sent = self.send(Op::Detach { reply });
        async move {
            match sent {
                Ok(()) => answer.await.unwrap_or(Ended::DetachedUnconfirmed),
                Err(_) => Ended::DetachedUnconfirmed,
            }
        }
    }

    fn send(&self, op: Op) -> Result<(), EvaluateError> {
        self.ops.try_send(op).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => EvaluateError::Busy,
            mpsc::error::TrySendError::Closed(_) => SessionOver.into(),
        })
    }
}

async fn wait_for_value<T>(
    sent: Result<(), EvaluateError>,
    answer: oneshot::Receiver<Result<T, EvaluateError>>,
) -> Result<T, EvaluateError> {
    sent?;
    match timeout(EVALUATION_LIMIT, answer).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(SessionOver.into()),
        Err(_) => Err(EvaluateError::TimedOut(EVALUATION_LIMIT)),
    }
}
