//! Bytes and time around the core.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use ptvsd_wire::{CommandEncoder, Dialect, Event, EventDecoder};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::{TryRecvError, TrySendError};
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use tokio_util::io::poll_read_buf;

use super::agent::{Agent, Visited};
use super::core::Core;
use super::{EVENTS, Ended, Op, SessionEvent};
use crate::transport::Transport;

/// How much is read at once.
const READ: usize = 64 * 1024;
/// How many requests are taken up between two reads.
const REQUESTS_AT_ONCE: usize = 64;
/// The handshake used the numbers before it.
const FIRST_NUMBER: i64 = 3;
/// How long the other side may take to accept an end in good order.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);

/// What happens on other connections.
enum Aside {
    /// The server has done with the attach.
    AttachComplete,
    /// The visit for the agent is over.
    Visited(Visited),
}

pub(super) struct Driver {
    link: Link,
    decoder: EventDecoder,
    /// What arrives cannot be understood any more.
    is_deaf: bool,
    encoder: CommandEncoder,
    core: Core,
    ops: mpsc::Receiver<Op>,
    /// Every [`Debuggee`](super::Debuggee) is gone, and we are leaving.
    handles_gone: bool,
    events: mpsc::Sender<SessionEvent>,
    /// Events that their consumer has no room for yet. While there are many,
    /// nothing is read; requests and commands go on.
    undelivered: VecDeque<SessionEvent>,
    alarm: Alarm,
}

impl Driver {
    pub(super) fn new(
        transport: Box<dyn Transport>,
        received: &BytesMut,
        dialect: Dialect,
        agent: Agent,
        ops: mpsc::Receiver<Op>,
        events: mpsc::Sender<SessionEvent>,
    ) -> Driver {
        let mut decoder = EventDecoder::new(dialect);
        decoder.feed(received);
        Driver {
            link: Link {
                transport,
                received: BytesMut::with_capacity(READ),
                unsent: BytesMut::new(),
                is_flushed: true,
                write_error: None,
            },
            decoder,
            is_deaf: false,
            encoder: CommandEncoder::new(dialect, FIRST_NUMBER),
            core: Core::new(dialect, agent),
            ops,
            handles_gone: false,
            events,
            undelivered: VecDeque::new(),
            alarm: Alarm::default(),
        }
    }

    pub(super) async fn run<V>(
        mut self,
        attach_complete: impl Future<Output = ()> + Send + 'static,
        visit: impl FnOnce(String) -> V,
    ) where
        V: Future<Output = Visited> + Send + 'static,
    {
        let (tell, mut asides) = mpsc::channel(1);
        let tell_attach_complete = tell.clone();
        tokio::spawn(async move {
            attach_complete.await;
            let _ = tell_attach_complete.send(Aside::AttachComplete).await;
        });
        let mut visit = Some(visit);
        // If this task is dropped with its runtime, the server must notice.
        self.link.transport.reset_when_dropped(true);
        self.decode();
        while self
            .turn(&mut asides, |expression| {
                if let Some(visit) = visit.take() {
                    let tell = tell.clone();
                    let visit = visit(expression);
                    tokio::spawn(async move {
                        let _ = tell.send(Aside::Visited(visit.await)).await;
                    });
                }
            })
            .await
        {}
        let Driver {
            link,
            core,
            ops,
            events,
            undelivered,
            ..
        } = self;
        // Replies that still wait end with this.
        drop(ops);
        close(link.transport, core.ended.as_ref()).await;
        for event in undelivered {
            if events.send(event).await.is_err() {
                return;
            }
        }
    }

    /// Does what can be done, then waits for whatever comes first. Returns
    /// whether the session goes on.
    async fn turn(
        &mut self,
        asides: &mut mpsc::Receiver<Aside>,
        mut visit: impl FnMut(String),
    ) -> bool {
        self.take_requests();
        if let Some(wake) = self.core.advance(Instant::now()) {
            self.alarm.set(wake);
        }
        if let Some(expression) = self.core.visit.take() {
            visit(expression);
        }
        self.encode();
        self.deliver();
        if self.core.ended.is_some() {
            return false;
        }
        // What a consumer does not take while we leave is dropped instead.
        let may_read = self.undelivered.len() < EVENTS || self.core.leaving.is_some();
        tokio::select! {
            // The connection comes first: threads of the program wait until
            // what they send is taken.
            biased;
            read = self.link.exchange(may_read) => match read {
                Ok(None) => {}
                Ok(Some(0)) => {
                    let why = if self.decoder.is_inside_message() {
                        "the connection ended inside a message"
                    } else {
                        "the connection ended"
                    };
                    self.core.connection_ended(why.to_owned());
                }
                Ok(Some(_)) => {
                    self.decoder.feed(&self.link.received);
                    self.decode();
                }
                Err(error) => self.core.connection_ended(error.to_string()),
            },
            Some(aside) = asides.recv() => match aside {
                Aside::AttachComplete => self.core.attach_completed(Instant::now()),
                Aside::Visited(outcome) => self.core.visited(outcome, Instant::now()),
            },
            () = room_in(&self.events), if !self.undelivered.is_empty() => {}
            op = self.ops.recv(), if !self.handles_gone => self.take(op),
            () = self.alarm.rings() => {}
        }
        true
    }

    /// Also when the server never pauses.
    fn take_requests(&mut self) {
        for _ in 0..REQUESTS_AT_ONCE {
            match self.ops.try_recv() {
                Ok(op) => self.take(Some(op)),
                Err(TryRecvError::Disconnected) if !self.handles_gone => self.take(None),
                Err(TryRecvError::Disconnected | TryRecvError::Empty) => return,
            }
        }
    }

    fn take(&mut self, op: Option<Op>) {
        match op {
            Some(op) => self.core.on_op(op, Instant::now()),
            None => {
                self.handles_gone = true;
                self.core.begin_leaving(None, Instant::now());
            }
        }
    }

    fn decode(&mut self) {
        let now = Instant::now();
        while !self.is_deaf {
            match self.decoder.next() {
                Ok(Some(event)) => {
                    if !matches!(event, Event::ModuleLoaded { .. } | Event::Output { .. }) {
                        tracing::trace!(?event, "from the server");
                    }
                    self.core.on_event(event, now);
                }
                Ok(None) => return,
                Err(error) => {
                    self.is_deaf = true;
                    tracing::warn!(%error, received = %self.link.received.escape_ascii(), "not understood");
                    self.core.deafened(error.to_string(), now);
                }
            }
        }
    }

    fn encode(&mut self) {
        for command in std::mem::take(&mut self.core.commands) {
            tracing::trace!(command = command.name(), "to the server");
            if let Err(error) = self.encoder.encode(&command, &mut self.link.unsent) {
                // The core asks the dialect before it decides; this is the
                // net below it, since the server would not survive.
                tracing::error!(%error, "not sent");
                self.core.not_sent(&command);
            }
        }
    }

    /// Gives the consumer what it has room for.
    fn deliver(&mut self) {
        let leaving = self.core.leaving.is_some();
        for event in std::mem::take(&mut self.core.events) {
            let is_end = matches!(event, SessionEvent::Ended(_));
            if !leaving || is_end || self.undelivered.len() < EVENTS {
                self.undelivered.push_back(event);
            }
        }
        while let Some(event) = self.undelivered.pop_front() {
            match self.events.try_send(event) {
                Ok(()) => {}
                Err(TrySendError::Full(event)) => return self.undelivered.push_front(event),
                // A consumer that has gone still leaves us to detach.
                Err(TrySendError::Closed(_)) => self.undelivered.clear(),
            }
        }
    }
}

/// Rings at a time or before: whoever it wakes looks at what is due.
///
/// It is only ever set to an earlier time. A runtime that gets an earlier timer
/// wakes itself up, and every stop has its own time at which something is due:
/// a step would take one turn more.
#[derive(Default)]
struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    fn set(&mut self, at: Instant) {
        match &mut self.0 {
            Some(sleep) if sleep.deadline() <= at => {}
            Some(sleep) => sleep.as_mut().reset(at),
            None => self.0 = Some(Box::pin(sleep_until(at))),
        }
    }

    /// Never ends where nothing is set.
    async fn rings(&mut self) {
        let Some(sleep) = &mut self.0 else {
            return std::future::pending().await;
        };
        sleep.as_mut().await;
        self.0 = None;
    }
}

/// Waits until an event can be sent, or nobody is there to take it.
async fn room_in(events: &mpsc::Sender<SessionEvent>) {
    let _ = events.reserve().await;
}

async fn close(mut transport: Box<dyn Transport>, how: Option<&Ended>) {
    tracing::debug!(?how, "the session is over");
    match how {
        Some(Ended::Detached | Ended::ByProgram) => {
            transport.reset_when_dropped(false);
            let _ = timeout(CLOSE_LIMIT, transport.shutdown()).await;
        }
        // Reset, so that a server that still believes in us notices.
        Some(Ended::DetachedUnconfirmed | Ended::ConnectionLost(_)) | None => {}
    }
}

/// The connection and what is on its way through it.
struct Link {
    transport: Box<dyn Transport>,
    /// What the last read has brought.
    received: BytesMut,
    /// Commands that the server has not taken yet.
    unsent: BytesMut,
    is_flushed: bool,
    /// Nothing can be written any more. What has arrived before that is read
    /// first: the reason may be among it.
    write_error: Option<io::Error>,
}

impl Link {
    /// Writes what can be written and reads what has arrived; waits until
    /// either is possible, but never for one of them: a server that does not
    /// read because it waits to be read from would make that a deadlock.
    ///
    /// Returns how much was read, if anything; 0 at the end of the stream.
    async fn exchange(&mut self, may_read: bool) -> io::Result<Option<usize>> {
        poll_fn(|cx| {
            let written = self.poll_write(cx);
            if may_read {
                if let Poll::Ready(read) = self.poll_read(cx) {
                    return Poll::Ready(read.map(Some));
                }
                if let Some(error) = self.write_error.take() {
                    return Poll::Ready(Err(error));
                }
            }
            if written {
                Poll::Ready(Ok(None))
            } else {
                Poll::Pending
            }
        })
        .await
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        // Never filled with zeros first: most polls bring nothing, and zeros
        // would cost more than all else that a step takes here.
        self.received.clear();
        self.received.reserve(READ);
        poll_read_buf(Pin::new(&mut *self.transport), cx, &mut self.received)
    }

    /// Whether anything was written.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> bool {
        if self.write_error.is_some() {
            self.unsent.clear();
            return false;
        }
        let mut written = false;
        if !self.unsent.is_empty() {
            match Pin::new(&mut *self.transport).poll_write(cx, &self.unsent) {
                Poll::Pending => {}
                Poll::Ready(Ok(0)) => self.write_error = Some(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(length)) => {
                    self.unsent.advance(length);
                    self.is_flushed = false;
                    written = true;
                }
                Poll::Ready(Err(error)) => self.write_error = Some(error),
            }
        }
        if !self.is_flushed {
            match Pin::new(&mut *self.transport).poll_flush(cx) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => self.is_flushed = true,
                Poll::Ready(Err(error)) => self.write_error = Some(error),
            }
        }
        written
    }
}
