//! A visit: one piece of code, run in the server's own module over a second
//! connection (`ptvsd_wire::repl`), and that connection's effects on the
//! program undone before it is closed.
//!
//! The server replaces the program's output streams by ones that write to the
//! visitor. Whoever just closes makes the program's next `print` raise, so a
//! visit that was begun is never given up: it goes on in a task of its own
//! when nobody waits for it any more.

use std::future::pending;
use std::time::Duration;

use bytes::BytesMut;
use debuggee_agent::{DEBUGGER_MODULE, Outcome};
use ptvsd_wire::repl::{self, Said, VisitScanner};
use ptvsd_wire::{Dialect, Family};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::connect::Route;
use crate::handshake::Connection;
use crate::transport::Transport;
use crate::{AttachOptions, ConnectError, SessionEvent, Target, attach};

/// How long the handshake of a visit may take.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(3);
/// How long an attach waits for a visit. The server imports a module for it:
/// on Python 2 that waits for an import of the program that is under way.
const INSTALL_LIMIT: Duration = Duration::from_secs(2);
/// How long the server may take to say its prompt, and what comes with it.
const PROMPT_LIMIT: Duration = Duration::from_secs(1);
/// How long after its prompt the server may have something to say by itself.
const IDLE_LIMIT: Duration = Duration::from_millis(500);
/// How long the server may take to close when all is done.
const END_LIMIT: Duration = Duration::from_secs(1);

/// What a rescue has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rescue {
    /// The program was held, and is free.
    Freed,
    /// No debugger is attached.
    NotNeeded,
    /// A debugger with an agent is attached: the agent lets the program go by
    /// itself when that debugger is dead.
    Attended,
    /// This dialect has no way in.
    NoWayIn(Dialect),
    /// The server let us in, and what was to be done failed.
    Failed,
    /// The server let us in and did not get any further in time. The visit
    /// goes on as long as this process does.
    Waiting,
}

/// Frees the program behind a target from a debugger that has died, as if it
/// had detached. A debugger that is alive, without an agent, loses its session
/// too.
///
/// # Errors
///
/// See [`ConnectError`].
pub async fn rescue(target: &Target, limit: Duration) -> Result<Rescue, ConnectError> {
    let (dialect, transport, received) = match begin(Route::to(target), limit).await? {
        (dialect, Begun::Taken(transport, received)) => (dialect, transport, received),
        (_, Begun::Refused) => {
            // A server that has noticed the death of its debugger by itself
            // may still read from the connection, as fast as it can. The agent
            // of the next debugger ends that.
            attach_and_leave(target, limit).await?;
            return Ok(Rescue::NotNeeded);
        }
        (dialect, Begun::Impossible) => return Ok(Rescue::NoWayIn(dialect)),
    };
    let outcome = run(transport, received, debuggee_agent::rescue_in_visit());
    Ok(match timeout(limit, outcome).await {
        Ok(Ok(Ok(Outcome::Rescued))) => Rescue::Freed,
        Ok(Ok(Ok(Outcome::Attended))) => Rescue::Attended,
        // It accepts, and fails when its command loop has ended.
        Ok(Ok(Err(_))) if dialect.family() == Family::Json => Rescue::NoWayIn(dialect),
        Ok(_) => Rescue::Failed,
        Err(_) => Rescue::Waiting,
    })
}

/// Attaches, waits until the agent has made it safe to leave, and detaches.
pub(crate) async fn attach_and_leave(target: &Target, limit: Duration) -> Result<(), ConnectError> {
    let options = AttachOptions {
        agent: true,
        ..AttachOptions::default()
    };
    let (debuggee, mut events) = attach(target, &options, limit).await?;
    while let Some(event) = events.recv().await {
        if matches!(event, SessionEvent::Ready(_)) {
            break;
        }
    }
    tokio::spawn(async move { while events.recv().await.is_some() {} });
    debuggee.detach().await;
    Ok(())
}

/// Puts the agent in. Why it could not, if so.
pub(crate) async fn install(route: Route, expression: String) -> Result<(), String> {
    let (transport, received) = match begin(route, HANDSHAKE_LIMIT).await {
        Ok((_, Begun::Taken(transport, received))) => (transport, received),
        Ok(_) => return Err("the server takes no visit".to_owned()),
        Err(error) => return Err(error.to_string()),
    };
    match timeout(INSTALL_LIMIT, run(transport, received, expression)).await {
        Ok(Ok(Ok(Outcome::Installed))) => Ok(()),
        Ok(Ok(Ok(outcome))) => Err(format!("the visit ended as {outcome:?}")),
        Ok(Ok(Err(why))) => Err(why),
        Ok(Err(_)) => Err("the visit was cut off".to_owned()),
        Err(_) => Err(format!(
            "the server did not take the visit up within {} s: perhaps the program is in the \
             middle of an import",
            INSTALL_LIMIT.as_secs()
        )),
    }
}

enum Begun {
    Taken(Box<dyn Transport>, BytesMut),
    /// No debugger is attached.
    Refused,
    /// The dialect has no visits.
    Impossible,
}

async fn begin(route: Route, limit: Duration) -> Result<(Dialect, Begun), ConnectError> {
    let mut connection = Connection::new(route, limit);
    let outcome = timeout(limit, connection.ask_visit()).await;
    let (dialect, taken) = connection.finish(outcome, limit)?;
    Ok((
        dialect,
        match taken {
            Some(true) => {
                let (transport, received) = connection.into_parts()?;
                Begun::Taken(transport, received)
            }
            Some(false) => Begun::Refused,
            None => Begun::Impossible,
        },
    ))
}

/// Begins the visit in a task of its own.
fn run(
    transport: Box<dyn Transport>,
    received: BytesMut,
    expression: String,
) -> oneshot::Receiver<Result<Outcome, String>> {
    let (reply, answer) = oneshot::channel();
    tokio::spawn(async move {
        let mut visit = Visit {
            transport,
            scanner: VisitScanner::default(),
        };
        visit.scanner.feed(&received);
        let outcome = visit.make(&expression).await;
        tracing::debug!(?outcome, "the visit");
        let undone = matches!(outcome, Ok(Some(_)));
        let _ = reply.send(match outcome {
            Ok(Some(outcome)) => Ok(outcome),
            Ok(None) => Err("the code that was to be run raised".to_owned()),
            Err(why) => Err(why),
        });
        if undone {
            visit.wait_for_end().await;
        } else {
            // The program may still print to us.
            visit.listen().await;
        }
    });
    answer
}

struct Visit {
    transport: Box<dyn Transport>,
    scanner: VisitScanner,
}

impl Visit {
    /// The outcome, if the code ran.
    async fn make(&mut self, expression: &str) -> Result<Option<Outcome>, String> {
        // Before the first prompt the server's threads are still being made;
        // on Python 2, what is sent then ends one of them. That may also have
        // happened by itself, with the prompt cut off or not said at all.
        let idle = async {
            while self.next().await? != Said::Prompt {}
            let _ = timeout(IDLE_LIMIT, async {
                while self.next().await? != Said::ModulesChanged {}
                Ok::<(), String>(())
            })
            .await;
            Ok::<(), String>(())
        };
        if let Ok(cut_off) = timeout(PROMPT_LIMIT, idle).await {
            cut_off?;
        }
        let mut request = BytesMut::new();
        repl::set_module(DEBUGGER_MODULE, &mut request);
        repl::members(expression, &mut request);
        let sent = async {
            self.transport.write_all(&request).await?;
            self.transport.flush().await
        };
        sent.await.map_err(|error| error.to_string())?;
        loop {
            match self.next().await? {
                Said::Members { class } => {
                    return match Outcome::from_class_name(class.bytes()) {
                        Some(outcome) => Ok(Some(outcome)),
                        None => Err(format!("the server answered {}", class.display())),
                    };
                }
                Said::MembersFailed => return Ok(None),
                Said::Prompt | Said::ModulesChanged => {}
            }
        }
    }

    async fn next(&mut self) -> Result<Said, String> {
        loop {
            if let Some(said) = self.scanner.find() {
                return Ok(said);
            }
            let mut buffer = BytesMut::with_capacity(4096);
            match self.transport.read_buf(&mut buffer).await {
                Ok(0) => return Err("the server closed the visit".to_owned()),
                Ok(_) => {
                    self.scanner.feed(&buffer);
                }
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    async fn wait_for_end(&mut self) {
        let _ = timeout(END_LIMIT, self.drain()).await;
    }

    async fn listen(&mut self) {
        self.drain().await;
        pending::<()>().await;
    }

    async fn drain(&mut self) {
        let mut ignored = [0; 4096];
        while matches!(self.transport.read(&mut ignored).await, Ok(1..)) {}
    }
}
