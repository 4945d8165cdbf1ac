//! One session: all of its state, and the loop that owns it.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use dap_wire::events::{self, OutputBody};
use dap_wire::types::OutputEventCategory;
use dap_wire::{Connection, Inbound, Incoming, Outbox};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use ptvsd_client::SessionEvent;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use crate::Failure;
use crate::breakpoints::Breakpoints;
use crate::changes::Changes;
use crate::configuration::Environment;
use crate::exceptions::Exceptions;
use crate::program::Program;

/// How long an editor may go on asking after the session is over. Emacs sends
/// `threads` for each thread that goes; Neovim just closes.
const AFTERGLOW: Duration = Duration::from_secs(2);
/// How long an editor may take to read our last words.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How long leaving the program may take when nobody waits for it any more.
/// More than all the limits that the client has for it together.
const LEAVE_LIMIT: Duration = Duration::from_secs(30);
/// How long requests that are under way may take to be answered at the end.
const ANSWER_LIMIT: Duration = Duration::from_millis(500);

/// What to do with the result of something that took time.
type Continuation = Box<dyn FnOnce(&mut Session) + Send>;

/// Answers a request that wanted to leave.
pub(crate) type Done = Box<dyn FnOnce() + Send>;

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The editor disconnected, or closed the connection.
    Finished,
    /// The adapter was told to stop.
    Interrupted,
}

/// The state of a session.
pub(crate) struct Session {
    pub(crate) outbox: Outbox,
    pub(crate) phase: Phase,
    pub(crate) editor: Editor,
    pub(crate) breakpoints: Breakpoints,
    pub(crate) changes: Changes,
    /// Which exceptions stop.
    pub(crate) exceptions: Exceptions,
    /// The editor has set its breakpoints.
    pub(crate) configured: bool,
    pub(crate) environment: Arc<dyn Environment>,
    /// What happens in the program; only while attached.
    pub(crate) events: Option<mpsc::Receiver<SessionEvent>>,
    /// The editor was told that what goes to the program can be read on the
    /// way.
    pub(crate) warned_of_plain_text: bool,
    /// What the end of the session waits for.
    tasks: Tasks,
    /// What it does not wait for.
    timers: Tasks,
}

type Tasks = FuturesUnordered<Pin<Box<dyn Future<Output = Continuation> + Send>>>;

/// How far a session is.
pub(crate) enum Phase {
    /// Nothing is attached yet, or could be.
    Idle,
    /// An attach is under way. What wants to leave meanwhile waits for its
    /// end: a handshake that was begun is finished.
    Attaching(Vec<Done>),
    /// Attached.
    Attached(Box<Program>),
    /// On the way out.
    Leaving,
    /// Nothing more will happen.
    Over,
}

/// What the editor understands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Editor {
    pub(crate) lines_start_at_1: bool,
    pub(crate) columns_start_at_1: bool,
    pub(crate) invalidated_event: bool,
}

impl Default for Editor {
    fn default() -> Self {
        Editor {
            lines_start_at_1: true,
            columns_start_at_1: true,
            invalidated_event: false,
        }
    }
}

impl Editor {
    /// A line of Python's for this editor.
    pub(crate) fn line(self, line: i64) -> i64 {
        if self.lines_start_at_1 {
            line
        } else {
            line - 1
        }
    }

    /// A line of this editor's for Python.
    pub(crate) fn python_line(self, line: i64) -> i64 {
        if self.lines_start_at_1 {
            line
        } else {
            line + 1
        }
    }

    /// The first column.
    pub(crate) fn first_column(self) -> i64 {
        i64::from(self.columns_start_at_1)
    }
}

/// Runs one session, until the editor is gone or has disconnected, or
/// `shutdown` is ready. The program runs on and is free for the next debugger
/// when this returns.
pub async fn serve(
    connection: Connection,
    environment: Arc<dyn Environment>,
    shutdown: impl Future<Output = ()> + Send,
) -> Outcome {
    let Connection {
        mut inbound,
        outbox,
    } = connection;
    let mut session = Session {
        outbox,
        phase: Phase::Idle,
        editor: Editor::default(),
        breakpoints: Breakpoints::default(),
        changes: Changes::default(),
        exceptions: Exceptions::default(),
        configured: false,
        environment,
        events: None,
        warned_of_plain_text: false,
        tasks: FuturesUnordered::new(),
        timers: FuturesUnordered::new(),
    };
    let mut shutdown = pin!(shutdown);
    let outcome = loop {
        if matches!(session.phase, Phase::Over) {
            break Outcome::Finished;
        }
        tokio::select! {
            message = inbound.recv() => match message {
                Some(message) => session.on_message(message),
                None => break Outcome::Finished,
            },
            event = next_event(&mut session.events) => session.on_event(event),
            Some(continuation) = session.tasks.next() => continuation(&mut session),
            Some(continuation) = session.timers.next() => continuation(&mut session),
            () = &mut shutdown => break Outcome::Interrupted,
        }
    };
    session.finish(outcome, &mut inbound, shutdown).await;
    outcome
}

async fn next_event(events: &mut Option<mpsc::Receiver<SessionEvent>>) -> Option<SessionEvent> {
    match events {
        Some(events) => events.recv().await,
        None => std::future::pending().await,
    }
}

impl Session {
    /// Lets `future` run beside the session; when it is done, `then` gets its
    /// result and the session.
    pub(crate) fn when_done<T: Send + 'static>(
        &mut self,
        future: impl Future<Output = T> + Send + 'static,
        then: impl FnOnce(&mut Session, T) + Send + 'static,
    ) {
        self.tasks.push(Box::pin(async move {
            let result = future.await;
            let continuation: Continuation = Box::new(move |session| then(session, result));
            continuation
        }));
    }

    /// Does this after that time, if the session lasts as long.
    pub(crate) fn after(
        &mut self,
        time: Duration,
        then: impl FnOnce(&mut Session) + Send + 'static,
    ) {
        self.timers.push(Box::pin(async move {
            sleep(time).await;
            let continuation: Continuation = Box::new(then);
            continuation
        }));
    }

    /// The program, if one is attached.
    pub(crate) fn program(&mut self) -> Result<&mut Program, Failure> {
        match &mut self.phase {
            Phase::Attached(program) => Ok(program),
            Phase::Idle | Phase::Attaching(_) => Err(Failure::NotAttached),
            Phase::Leaving | Phase::Over => Err(Failure::SessionOver),
        }
    }

    /// A line in the editor's debug console.
    pub(crate) fn console(&self, text: impl Into<String>) {
        let mut output = text.into();
        output.push('\n');
        self.outbox.event::<events::Output>(OutputBody {
            output,
            category: Some(OutputEventCategory::Console),
            ..OutputBody::default()
        });
    }

    fn on_message(&mut self, message: Inbound) {
        match message {
            Ok(Incoming::Request(request)) => self.dispatch(request),
            Ok(Incoming::Response(_)) => {}
            Err(bad) => {
                tracing::warn!(reason = bad.reason, "bad message");
                match self.outbox.responder_to_bad(&bad) {
                    Some(responder) => responder.fail(Failure::BadMessage(bad.reason).into()),
                    None => self.console(format!(
                        "The adapter could not read a message of the editor: {}",
                        bad.reason
                    )),
                }
            }
        }
    }

    /// Leaves the program if it is still attached, and the editor: what it
    /// asks after the end is answered for a while, since some ask.
    async fn finish(
        &mut self,
        outcome: Outcome,
        inbound: &mut mpsc::Receiver<Inbound>,
        mut shutdown: Pin<&mut impl Future<Output = ()>>,
    ) {
        let left = timeout(LEAVE_LIMIT, self.let_go()).await;
        if left.is_err() {
            tracing::warn!("leaving the program took too long");
        }
        if outcome == Outcome::Finished {
            let mut afterglow = pin!(sleep(AFTERGLOW));
            loop {
                tokio::select! {
                    message = inbound.recv() => match message {
                        Some(message) => self.on_message(message),
                        None => break,
                    },
                    Some(continuation) = self.tasks.next() => continuation(self),
                    () = &mut afterglow => break,
                    () = &mut shutdown => break,
                }
            }
        }
        // What is under way is answered now or not at all; dropped, it is
        // answered with an error.
        let answers = async {
            while let Some(continuation) = self.tasks.next().await {
                continuation(self);
            }
        };
        let _ = timeout(ANSWER_LIMIT, answers).await;
        self.tasks.clear();
        self.changes.give_up();
        self.dispatch_held();
        let _ = timeout(LAST_WORDS, self.outbox.flushed()).await;
    }

    /// What is under way is brought to its end: a handshake that was begun, a
    /// detach; a program that is still attached is detached from.
    async fn let_go(&mut self) {
        while matches!(self.phase, Phase::Attaching(_) | Phase::Leaving) {
            tokio::select! {
                continuation = self.tasks.next() => match continuation {
                    Some(continuation) => continuation(self),
                    None => break,
                },
                // Read on: the program must not wait for us.
                _ = next_event(&mut self.events) => {}
            }
        }
        if let Phase::Attached(program) = std::mem::replace(&mut self.phase, Phase::Over) {
            // Nobody listens any more, and the client must not wait for us.
            self.events = None;
            let mut detached = pin!(program.debuggee.detach());
            let how = loop {
                tokio::select! {
                    how = &mut detached => break how,
                    Some(continuation) = self.tasks.next() => continuation(self),
                }
            };
            tracing::info!(?how, "detached");
            self.report_terminated();
        }
        self.phase = Phase::Over;
    }
}
