//! From a connection to a session, or to an answer about the process.

use std::time::Duration;

use bytes::BytesMut;
use debuggee_agent::SessionMark;
use ptvsd_wire::handshake::{
    Attached, Foreign, HandshakeDecoder, Hello, ProcessInfo, Reply, Request, encode_goodbye,
    encode_other_version,
};
use ptvsd_wire::{Dialect, Family};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

use crate::connect::Route;
use crate::error::{Stage, begins_a_greeting};
use crate::session::{self, Debuggee, PATIENCE, SessionEvent};
use crate::tls::{NotEstablished, question};
use crate::transport::Transport;
use crate::visit;
use crate::{Channel, ConnectError, Target};

/// How long a server may take to list its modules. A program that keeps its
/// interpreter busy sends each message of that list in a turn of its own.
const KNOCK_LIMIT: Duration = Duration::from_secs(5);

/// What a session asks of the server from its beginning. Dialects below 6
/// take no options and act as if none were given.
#[derive(Debug, Clone, Default)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "they are the protocol's own switches"
)]
pub struct AttachOptions {
    /// Send what the program prints. (Servers that were told so by
    /// `enable_attach` do it whatever is said here: it is their default.)
    pub redirect_output: bool,
    /// Break in, and step into, the standard library and installed packages.
    pub debug_standard_library: bool,
    /// Debug Django templates.
    pub django: bool,
    /// Report `SystemExit` with a code that means success too.
    pub break_on_system_exit_zero: bool,
    /// Put the agent into the program ([`debuggee_agent`]).
    pub agent: bool,
}

impl AttachOptions {
    fn to_wire(&self) -> String {
        [
            (self.redirect_output, "RedirectOutput"),
            (self.debug_standard_library, "DebugStdLib"),
            (self.django, "DjangoDebugging"),
            (self.break_on_system_exit_zero, "BreakOnSystemExitZero"),
        ]
        .into_iter()
        .filter_map(|(wanted, name)| wanted.then_some(name))
        .collect::<Vec<_>>()
        .join(",")
    }
}

/// Asks which process is behind a target, without disturbing it; works while
/// another debugger is attached.
///
/// # Errors
///
/// See [`ConnectError`]. The server can take its next client afterwards.
pub async fn process_info(
    target: &Target,
    limit: Duration,
) -> Result<(Dialect, ProcessInfo), ConnectError> {
    let mut connection = Connection::new(Route::to(target), limit);
    let outcome = timeout(limit, connection.ask_info()).await;
    connection.finish(outcome, limit)
}

/// Becomes the debugger of the process behind a target.
///
/// # Errors
///
/// See [`ConnectError`]. The server can take its next client afterwards.
pub async fn attach(
    target: &Target,
    options: &AttachOptions,
    limit: Duration,
) -> Result<(Debuggee, mpsc::Receiver<SessionEvent>), ConnectError> {
    let mut connection = Connection::new(Route::to(target), limit);
    let outcome = timeout(limit, connection.ask_attach(options)).await;
    let (dialect, process) = connection.finish(outcome, limit)?;
    let route = connection.route.clone();
    let channel = connection.channel.take();
    let (transport, received) = connection.into_parts()?;
    let agent = options.agent.then(|| debuggee_agent::Options {
        mark: SessionMark::new(),
        patience: PATIENCE,
    });
    let attachment = Attachment {
        transport,
        received,
        dialect,
        process,
        channel,
    };
    let attach_complete = knock(route.clone());
    let visit = move |expression| visit::install(route, expression);
    Ok(session::start(attachment, agent, attach_complete, visit))
}

/// What a handshake has come to that ended with an attach.
pub(crate) struct Attachment {
    pub(crate) transport: Box<dyn Transport>,
    /// What came with the handshake's last message.
    pub(crate) received: BytesMut,
    pub(crate) dialect: Dialect,
    pub(crate) process: Attached,
    /// The TLS, if there is any.
    pub(crate) channel: Option<Channel>,
}

/// How long a server whose certificate was refused may take to hear that.
const DECLINE_LIMIT: Duration = Duration::from_millis(500);

/// How long a server may take to close once it has no reason to stay.
const END_LIMIT: Duration = Duration::from_secs(1);

/// Ready when the server has done with the attach before, or it takes too
/// long to tell. It has a single thread for its clients, which lists the
/// modules and marks the threads before it greets the next: so the greeting
/// tells. The secret is not said.
async fn knock(route: Route) {
    let mut connection = Connection::new(route, KNOCK_LIMIT);
    let outcome = timeout(KNOCK_LIMIT, connection.wait_for_turn()).await;
    tracing::debug!(?outcome, "the attach is complete");
    let _ = connection.finish(outcome, KNOCK_LIMIT);
}

/// A connection during the handshake.
pub(crate) struct Connection {
    route: Route,
    /// The TLS, if there is any.
    pub(crate) channel: Option<Channel>,
    /// The server's, once it has greeted.
    pub(crate) dialect: Option<Dialect>,
    /// When a server that has said nothing is asked whether it waits for TLS.
    ask_for_tls_at: Instant,
    pub(crate) stage: Stage,
    transport: Option<Box<dyn Transport>>,
    /// What has arrived and belongs to the next message.
    received: BytesMut,
}

impl Connection {
    pub(crate) fn new(route: Route, limit: Duration) -> Connection {
        Connection {
            route,
            channel: None,
            dialect: None,
            ask_for_tls_at: Instant::now() + limit - question::time(limit),
            stage: Stage::Resolving,
            transport: None,
            received: BytesMut::new(),
        }
    }

    async fn ask_info(&mut self) -> Result<(Dialect, ProcessInfo), ConnectError> {
        let dialect = self.authenticate().await?;
        self.stage = Stage::Info;
        match self.ask(dialect, 2, &Request::Info).await? {
            Reply::Info(info) => Ok((dialect, info)),
            other => Err(self.unexpected(&other)),
        }
    }

    async fn ask_attach(
        &mut self,
        options: &AttachOptions,
    ) -> Result<(Dialect, Attached), ConnectError> {
        let dialect = self.authenticate().await?;
        self.stage = Stage::Attach;
        let options = options.to_wire();
        match self.ask(dialect, 2, &Request::Attach { options }).await? {
            Reply::Attached(Some(attached)) => Ok((dialect, attached)),
            Reply::Attached(None) => Err(ConnectError::AlreadyAttached {
                target: self.route.target.clone(),
            }),
            other => Err(self.unexpected(&other)),
        }
    }

    /// Whether the server takes a visit: only while a debugger is attached.
    /// Absent if the dialect has none.
    pub(crate) async fn ask_visit(&mut self) -> Result<(Dialect, Option<bool>), ConnectError> {
        let dialect = self.authenticate().await?;
        self.stage = Stage::Visit;
        if !dialect.has_visits() {
            // Something has to end the handshake.
            self.ask(dialect, 2, &Request::Info).await?;
            return Ok((dialect, None));
        }
        match self.ask(dialect, 2, &Request::Repl).await? {
            Reply::Repl(taken) => Ok((dialect, Some(taken))),
            other => Err(self.unexpected(&other)),
        }
    }

    async fn greet(&mut self) -> Result<Hello, ConnectError> {
        match self.route.connect(&mut self.stage).await {
            Ok((transport, channel)) => {
                self.use_transport(transport);
                self.channel = channel;
            }
            Err(NotEstablished { error, refused }) => {
                if let Some(transport) = refused {
                    self.use_transport(transport);
                    let _ = timeout(DECLINE_LIMIT, self.decline()).await;
                }
                return Err(error);
            }
        }
        self.stage = Stage::Greeting;
        if self.channel.is_some() {
            return self.read(HandshakeDecoder::hello()).await;
        }
        match timeout_at(self.ask_for_tls_at, self.read(HandshakeDecoder::hello())).await {
            Ok(hello) => hello,
            Err(_) => self.ask_for_tls().await,
        }
    }

    fn use_transport(&mut self, transport: Box<dyn Transport>) {
        // Until the end of the handshake, and also if nobody waits for it.
        transport.reset_when_dropped(true);
        self.transport = Some(transport);
    }

    /// Hears a server out, and leaves it without a word of the secret.
    async fn decline(&mut self) -> Result<(), ConnectError> {
        match self.read(HandshakeDecoder::hello()).await? {
            Hello::Legacy(dialect) => self.excuse(dialect.family()).await,
            Hello::UnknownVersion { family, .. } => self.excuse(family).await,
            Hello::Foreign(_) => Ok(()),
        }
    }

    /// A server with TLS says nothing before it is spoken to. When there is
    /// no time left for another greeting, it is.
    async fn ask_for_tls(&mut self) -> Result<Hello, ConnectError> {
        self.write(&question::BYTES).await?;
        let Some(transport) = &mut self.transport else {
            return Err(self.closed(None));
        };
        let mut answer = [0; 2];
        match transport.read_exact(&mut answer).await {
            Ok(_) => match Foreign::from_first_bytes(&answer) {
                foreign @ Foreign::Tls => Ok(Hello::Foreign(foreign)),
                // A greeting that is late, and an answer to it later still.
                _ => std::future::pending().await,
            },
            Err(error) => Err(self.closed(Some(error))),
        }
    }

    /// Leaves a server with the words of a debugger that cannot speak with it.
    async fn excuse(&mut self, family: Family) -> Result<(), ConnectError> {
        let mut goodbye = BytesMut::new();
        encode_other_version(family, &mut goodbye);
        self.write(&goodbye).await?;
        self.wait_for_end().await;
        Ok(())
    }

    /// What server it is, asked and left with no word of the secret.
    pub(crate) async fn ask_dialect(&mut self) -> Result<Dialect, ConnectError> {
        let dialect = self.meet().await?;
        self.excuse(dialect.family()).await?;
        Ok(dialect)
    }

    /// Whether the secret is right, and nothing else: to ask for more may
    /// hurt a server (protocol-notes/handshake.md, INFO).
    pub(crate) async fn ask_secret(&mut self) -> Result<Dialect, ConnectError> {
        let dialect = self.authenticate().await?;
        let mut goodbye = BytesMut::new();
        encode_goodbye(dialect.family(), 2, &mut goodbye);
        self.write(&goodbye).await?;
        self.wait_for_end().await;
        Ok(dialect)
    }

    async fn wait_for_turn(&mut self) -> Result<(), ConnectError> {
        match self.greet().await? {
            Hello::Legacy(dialect) => self.excuse(dialect.family()).await,
            Hello::UnknownVersion { family, .. } => self.excuse(family).await,
            Hello::Foreign(_) => Ok(()),
        }
    }

    /// Hears who it is.
    async fn meet(&mut self) -> Result<Dialect, ConnectError> {
        match self.greet().await? {
            Hello::Legacy(dialect) => {
                self.dialect = Some(dialect);
                Ok(dialect)
            }
            Hello::Foreign(mut foreign) => {
                if let Foreign::Other(first) = &mut foreign {
                    first.extend_from_slice(&self.received);
                }
                Err(ConnectError::Foreign {
                    target: self.route.target.clone(),
                    foreign,
                })
            }
            Hello::UnknownVersion { family, version } => {
                self.excuse(family).await?;
                Err(ConnectError::UnknownVersion {
                    target: self.route.target.clone(),
                    version,
                })
            }
        }
    }

    async fn authenticate(&mut self) -> Result<Dialect, ConnectError> {
        let dialect = self.meet().await?;
        self.stage = Stage::Authentication;
        let secret = self.route.target.secret.expose().into();
        match self
            .ask(dialect, 1, &Request::Authenticate { secret })
            .await?
        {
            Reply::Authenticated(true) => Ok(dialect),
            Reply::Authenticated(false) => Err(ConnectError::WrongSecret {
                target: self.route.target.clone(),
            }),
            other => Err(self.unexpected(&other)),
        }
    }

    async fn ask(
        &mut self,
        dialect: Dialect,
        number: i64,
        request: &Request,
    ) -> Result<Reply, ConnectError> {
        let mut bytes = BytesMut::new();
        request.encode(dialect, number, &mut bytes);
        self.write(&bytes).await?;
        self.read(HandshakeDecoder::reply(dialect, request)).await
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), ConnectError> {
        let Some(transport) = &mut self.transport else {
            return Err(self.closed(None));
        };
        let sent = async {
            transport.write_all(bytes).await?;
            transport.flush().await
        };
        match sent.await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.closed(Some(error))),
        }
    }

    /// Lets the server close first. What it says before that is not read by
    /// anybody, and would turn our end into a reset.
    async fn wait_for_end(&mut self) {
        let Some(transport) = &mut self.transport else {
            return;
        };
        let mut ignored = [0; 256];
        let end = async { while matches!(transport.read(&mut ignored).await, Ok(1..)) {} };
        let _ = timeout(END_LIMIT, end).await;
    }

    async fn read<T>(&mut self, mut decoder: HandshakeDecoder<T>) -> Result<T, ConnectError> {
        decoder.feed(&self.received.split());
        let mut first = Vec::new();
        loop {
            match decoder.next() {
                Ok(Some(message)) => {
                    self.received = decoder.into_rest();
                    return Ok(message);
                }
                Ok(None) => {}
                Err(cause) => {
                    return Err(ConnectError::Wire {
                        target: self.route.target.clone(),
                        cause,
                    });
                }
            }
            let Some(transport) = &mut self.transport else {
                return Err(self.closed(None));
            };
            let mut buffer = BytesMut::with_capacity(4096);
            match transport.read_buf(&mut buffer).await {
                // Too short to tell, but no beginning of ours.
                Ok(0) if self.stage == Stage::Greeting && !begins_a_greeting(&first) => {
                    return Err(ConnectError::Foreign {
                        target: self.route.target.clone(),
                        foreign: Foreign::from_first_bytes(&first),
                    });
                }
                Ok(0) => return Err(self.closed(None)),
                Ok(_) => {
                    if self.stage == Stage::Greeting && first.len() < 64 {
                        first.extend_from_slice(&buffer);
                    }
                    decoder.feed(&buffer);
                }
                Err(error) => return Err(self.closed(Some(error))),
            }
        }
    }

    fn closed(&self, cause: Option<std::io::Error>) -> ConnectError {
        ConnectError::Closed {
            target: self.route.target.clone(),
            stage: self.stage,
            cause,
        }
    }

    fn unexpected(&self, reply: &Reply) -> ConnectError {
        let message = match reply {
            Reply::Failed(traceback) => {
                let text = traceback.display();
                text.trim_end()
                    .lines()
                    .next_back()
                    .unwrap_or_default()
                    .to_owned()
            }
            other => format!("it answered {other:?}"),
        };
        ConnectError::Failed {
            target: self.route.target.clone(),
            stage: self.stage,
            message,
        }
    }

    /// Ends the handshake. One that did not come to its end is aborted with a
    /// reset, for a server that waits for the rest would wait for ever.
    pub(crate) fn finish<T>(
        &self,
        outcome: Result<Result<T, ConnectError>, tokio::time::error::Elapsed>,
        limit: Duration,
    ) -> Result<T, ConnectError> {
        let outcome = outcome.unwrap_or_else(|_| {
            Err(ConnectError::TimedOut {
                target: self.route.target.clone(),
                stage: self.stage,
                limit,
            })
        });
        let complete = matches!(
            outcome,
            Ok(_)
                | Err(ConnectError::WrongSecret { .. }
                    | ConnectError::AlreadyAttached { .. }
                    | ConnectError::UnknownVersion { .. })
        );
        if let (true, Some(transport)) = (complete, &self.transport) {
            transport.reset_when_dropped(false);
        }
        outcome
    }

    pub(crate) fn into_parts(self) -> Result<(Box<dyn Transport>, BytesMut), ConnectError> {
        let closed = self.closed(None);
        self.transport
            .map(|transport| (transport, self.received))
            .ok_or(closed)
    }
}
