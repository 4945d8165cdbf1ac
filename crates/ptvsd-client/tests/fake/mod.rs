//! A server that does what a test tells it to.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use ptvsd_client::{AttachOptions, ConnectError, Debuggee, SessionEvent, Target, attach};
use ptvsd_wire::handshake::{Attached, Hello, Reply, Request};
use ptvsd_wire::{Command, CommandDecoder, Dialect, Event, EventEncoder, Family};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

pub(crate) const SECRET: &str = "correct-horse";
/// More than anything here takes, also on a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

pub(crate) const ATTACHED: Attached = Attached {
    process_id: 4711,
    major: 3,
    minor: 6,
    micro: 15,
};

pub(crate) struct Fake {
    listener: Arc<TcpListener>,
    pub(crate) target: Target,
}

impl Fake {
    pub(crate) async fn new() -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Fake {
            listener: Arc::new(listener),
            target: format!("tcp://{SECRET}@{address}").parse().unwrap(),
        }
    }

    /// Takes the next client.
    pub(crate) async fn accept(&self, dialect: Dialect) -> Peer {
        let (stream, _) = self.listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        Peer {
            stream,
            dialect,
            chunk: usize::MAX,
            decoder: CommandDecoder::new(dialect),
            encoder: EventEncoder::new(dialect),
        }
    }

    /// A session, and the server's end of it.
    pub(crate) async fn session(
        &self,
        dialect: Dialect,
    ) -> (Debuggee, mpsc::Receiver<SessionEvent>, Peer) {
        let serve = async {
            let mut peer = self.accept(dialect).await;
            peer.take_attach().await;
            self.answer_one_knock(dialect);
            peer
        };
        let (attached, peer) = tokio::join!(self.attach(), serve);
        let (debuggee, events) = attached.unwrap();
        (debuggee, events, peer)
    }

    /// Greets the client's second connection, and lets it go.
    pub(crate) fn answer_one_knock(&self, dialect: Dialect) {
        let listener = Arc::clone(&self.listener);
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut bytes = BytesMut::new();
            Hello::encode(dialect, &mut bytes);
            stream.write_all(&bytes).await.unwrap();
            let _ = stream.read(&mut [0; 1024]).await;
        });
    }

    pub(crate) async fn attach(
        &self,
    ) -> Result<(Debuggee, mpsc::Receiver<SessionEvent>), ConnectError> {
        attach(&self.target, &AttachOptions::default(), LIMIT).await
    }
}

/// How the client left.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Gone {
    InOrder,
    ByReset,
}

pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
    pub(crate) dialect: Dialect,
    /// So many bytes leave at once.
    pub(crate) chunk: usize,
    pub(crate) decoder: CommandDecoder,
    pub(crate) encoder: EventEncoder,
}

impl Peer {
    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(self.chunk) {
            self.stream.write_all(piece).await.unwrap();
            // So that the client sees the pieces apart, as a rule.
            tokio::task::yield_now().await;
        }
    }

    pub(crate) async fn greet(&mut self) {
        let mut bytes = BytesMut::new();
        Hello::encode(self.dialect, &mut bytes);
        self.write(&bytes).await;
    }

    pub(crate) async fn reply(&mut self, reply: &Reply, request: i64) {
        let mut bytes = BytesMut::new();
        reply.encode(self.dialect, request, &mut bytes);
        self.write(&bytes).await;
    }

    /// The next thing to come is this request, in one piece.
    pub(crate) async fn expect(&mut self, request: &Request, number: i64) {
        let mut expected = BytesMut::new();
        request.encode(self.dialect, number, &mut expected);
        self.expect_bytes(&expected).await;
    }

    pub(crate) async fn expect_bytes(&mut self, expected: &[u8]) {
        let mut received = vec![0; expected.len() + 1];
        let length = self.stream.read(&mut received).await.unwrap();
        assert_eq!(
            received[..length].escape_ascii().to_string(),
            expected.escape_ascii().to_string()
        );
    }

    pub(crate) async fn take_secret(&mut self) {
        self.greet().await;
        let secret = SECRET.into();
        self.expect(&Request::Authenticate { secret }, 1).await;
    }

    pub(crate) async fn take_attach(&mut self) {
        self.take_secret().await;
        self.reply(&Reply::Authenticated(true), 1).await;
        let options = String::new();
        self.expect(&Request::Attach { options }, 2).await;
        self.reply(&Reply::Attached(Some(ATTACHED)), 2).await;
    }

    pub(crate) async fn says(&mut self, events: &[Event]) {
        let mut bytes = BytesMut::new();
        for event in events {
            self.encoder.encode(event, &mut bytes).unwrap();
        }
        self.write(&bytes).await;
    }

    /// The next command.
    pub(crate) async fn hears(&mut self) -> Command {
        loop {
            if let Some((_, command)) = self.decoder.next().unwrap() {
                return command;
            }
            let mut bytes = BytesMut::with_capacity(64 * 1024);
            let length = self.stream.read_buf(&mut bytes).await.unwrap();
            assert_ne!(length, 0, "the client left");
            self.decoder.feed(&bytes);
        }
    }

    /// All commands up to this one.
    pub(crate) async fn hears_until(&mut self, last: &Command) -> Vec<Command> {
        let mut heard = Vec::new();
        loop {
            let command = self.hears().await;
            let done = command == *last;
            heard.push(command);
            if done {
                return heard;
            }
        }
    }

    /// Takes part in a detach as the servers do.
    pub(crate) async fn lets_go(&mut self) {
        if self.dialect >= Dialect::V5 {
            while !matches!(self.hears().await, Command::GetBreakpointHitCount(_)) {}
            let answer = Event::HitCount {
                request: 0,
                count: 0,
            };
            self.says(&[answer]).await;
        }
        self.hears_until(&Command::Detach).await;
        self.says(&[Event::Detached]).await;
        if self.dialect.family() == Family::Json {
            self.hears_until(&Command::EndLoop).await;
            let answer = Event::Answered {
                request: 0,
                command: "ptvsdBridgeEndLoop".into(),
                failure: Some("Unknown command".into()),
            };
            self.says(&[answer]).await;
        }
    }

    /// Reads until the client has gone.
    pub(crate) async fn sees_end(&mut self) -> Gone {
        let mut ignored = [0; 4096];
        loop {
            match self.stream.read(&mut ignored).await {
                Ok(0) => return Gone::InOrder,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                    return Gone::ByReset;
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// Nothing here may hang.
pub(crate) async fn in_time<T>(what: impl Future<Output = T>) -> T {
    timeout(2 * LIMIT, what).await.expect("it hangs")
}
