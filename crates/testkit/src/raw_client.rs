//! A debugger without an adapter: the legacy protocol, spoken straight to a
//! server, in the thread that calls.
//!
//! It captures what servers send, provokes their traps, and is the yardstick
//! that the adapter's speed is held against, so it does the least that a
//! correct client can: one write per command, one decode per event.
//!
//! What keeps a server alive (`protocol-notes/traps.md`) is kept here where
//! the client alone can keep it:
//!
//! * a connection that is given up before its end is reset, never just closed:
//!   a server takes a reset for the end, and a close for nothing;
//! * each [`Event::HandlersWanted`] is answered as soon as it was read;
//! * [`RawClient::execute`] and [`RawClient::children`] wait for their answer,
//!   since a thread bears only one question at a time.
//!
//! The rest is the caller's: a step or a resume only on a stopped thread, and
//! only one of them; and somebody has to read, for a server whose client does
//! not read stops the program.
//!
//! ```no_run
//! use std::time::Duration;
//! use ptvsd_wire::{Command, Event};
//! use testkit::raw_client::Handshake;
//! # fn main() -> anyhow::Result<()> {
//! let limit = Duration::from_secs(10);
//! let mut client = Handshake::begin(5678, "my_secret")?.attach("")?;
//! client.wait_for(|event| matches!(event, Event::ProcessLoaded(_)), limit)?;
//! client.send(&Command::ResumeAll)?;
//! # Ok(())
//! # }
//! ```

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use bytes::BytesMut;
use ptvsd_wire::handshake::{
    Attached, HandshakeDecoder, Hello, ProcessInfo, Reply, Request, encode_other_version,
};
use ptvsd_wire::{
    Child, Command, CommandEncoder, Dialect, Event, EventDecoder, ExceptionMode, ExecutionId,
    FrameKind, HandlerRange, ReprKind, ThreadId, WireError,
};
use socket2::SockRef;

/// For what a server does at once.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a JSON server may take to say that its command loop has ended.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Which way bytes went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To the server, one write each.
    Sent,
    /// From the server, one read each.
    Received,
}

/// Every byte of a connection, in order.
#[derive(Debug, Clone, Default)]
pub struct Recording(Vec<(Direction, Vec<u8>)>);

impl Recording {
    /// Each write and read.
    pub fn pieces(&self) -> impl Iterator<Item = (Direction, &[u8])> {
        self.0.iter().map(|(way, bytes)| (*way, bytes.as_slice()))
    }

    /// All that went one way.
    #[must_use]
    pub fn all(&self, way: Direction) -> Vec<u8> {
        let pieces = self.pieces().filter(|(this, _)| *this == way);
        pieces.flat_map(|(_, bytes)| bytes.to_vec()).collect()
    }
}

/// How a client treats its socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// One write for each command, each read acknowledged at once.
    Careful,
    /// As a client is written that gives it no thought: one write for each
    /// field, and the system's settings. Every piece of a message may wait for
    /// the acknowledgement of the one before.
    Naive,
}

/// The socket, and what keeps it quick.
#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    manner: Manner,
    buffer: Box<[u8]>,
    recording: Option<Recording>,
}

impl Connection {
    fn open(port: u16, manner: Manner) -> Result<Connection> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))
            .with_context(|| format!("connecting to port {port}"))?;
        stream.set_nodelay(manner == Manner::Careful)?;
        let connection = Connection {
            stream,
            manner,
            buffer: vec![0; 64 * 1024].into(),
            recording: None,
        };
        connection.reset_on_close(true)?;
        connection.acknowledge_at_once()?;
        Ok(connection)
    }

    fn reset_on_close(&self, reset: bool) -> Result<()> {
        let linger = reset.then_some(Duration::ZERO);
        SockRef::from(&self.stream)
            .set_linger(linger)
            .context("setting what a close does")
    }

    /// Servers write a message in pieces, each of which waits for the one
    /// before it to be acknowledged. The setting wears off, so it is renewed.
    fn acknowledge_at_once(&self) -> Result<()> {
        #[cfg(target_os = "linux")]
        if self.manner == Manner::Careful {
            SockRef::from(&self.stream)
                .set_tcp_quickack(true)
                .context("asking for quick acknowledgements")?;
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        if let Some(Recording(pieces)) = &mut self.recording {
            pieces.push((Direction::Sent, bytes.to_vec()));
        }
        let pieces = match self.manner {
            Manner::Careful => vec![bytes],
            Manner::Naive => fields(bytes),
        };
        for piece in pieces {
            self.stream
                .write_all(piece)
                .context("writing to the server")?;
        }
        Ok(())
    }

    /// What arrives before `until`; nothing if that passes first.
    fn read(&mut self, until: Instant) -> Result<Incoming<'_>> {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(Incoming::TooLate);
        }
        self.stream.set_read_timeout(Some(left))?;
        let count = match self.stream.read(&mut self.buffer) {
            Ok(0) => return Ok(Incoming::End),
            Ok(count) => count,
            Err(error) if is_timeout(error.kind()) => return Ok(Incoming::TooLate),
            Err(error) if error.kind() == ErrorKind::Interrupted => 0,
            Err(error) => return Err(error).context("reading from the server"),
        };
        self.acknowledge_at_once()?;
        let bytes = self.buffer.get(..count).unwrap_or_default();
        if let Some(Recording(pieces)) = &mut self.recording {
            pieces.push((Direction::Received, bytes.to_vec()));
        }
        Ok(Incoming::Bytes(bytes))
    }

    /// Closes a conversation that has come to its end.
    fn finish(self) -> Result<Option<Recording>> {
        self.reset_on_close(false)?;
        // The server may have been quicker.
        let _ = self.stream.shutdown(Shutdown::Both);
        Ok(self.recording)
    }
}

/// The fields of a command: of a JSON one header and text, of a binary one its
/// name, and each number and text.
fn fields(mut bytes: &[u8]) -> Vec<&[u8]> {
    const INTEGER: usize = 8;
    if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
        let (header, text) = bytes.split_at(at + 4);
        return vec![header, text];
    }
    // Which of the first fields are texts.
    let texts: &[usize] = match bytes.get(..4) {
        Some(b"exec" | b"chld") => &[0],
        Some(b"brkp") => &[2, 4],
        _ => &[],
    };
    let mut fields = Vec::new();
    let mut cut = |length: usize| {
        let (field, rest) = bytes.split_at(length.min(bytes.len()));
        bytes = rest;
        fields.push(field);
        (field, rest.is_empty())
    };
    let mut over = cut(4).1;
    for number in 0.. {
        if over {
            break;
        }
        let (field, is_last) = cut(INTEGER);
        over = is_last;
        if texts.contains(&number) {
            let length = field.try_into().map_or(0, i64::from_be_bytes);
            over = cut(usize::try_from(length).unwrap_or(0)).1;
        }
    }
    fields
}

/// What a read gave.
enum Incoming<'a> {
    Bytes(&'a [u8]),
    End,
    TooLate,
}

fn is_timeout(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// A connection whose server knows the secret and waits to be told what for.
///
/// Must go on to [`info`](Self::info) or [`attach`](Self::attach); when it is
/// dropped instead, the connection is reset.
#[derive(Debug)]
pub struct Handshake {
    connection: Connection,
    dialect: Dialect,
    /// Of the JSON requests.
    next_number: i64,
    /// What came after the last reply.
    rest: BytesMut,
}

impl Handshake {
    /// Connects to a server on this machine and says the secret ("" for none).
    ///
    /// # Errors
    /// When nothing listens, it is no legacy server, or the secret is wrong.
    pub fn begin(port: u16, secret: &str) -> Result<Handshake> {
        Handshake::begin_with(port, secret, Manner::Careful, None)
    }

    /// The same, in a manner of the caller's choice.
    ///
    /// # Errors
    /// As [`begin`](Self::begin).
    pub fn begin_in(port: u16, secret: &str, manner: Manner) -> Result<Handshake> {
        Handshake::begin_with(port, secret, manner, None)
    }

    /// The same, with every byte recorded.
    ///
    /// # Errors
    /// As [`begin`](Self::begin).
    pub fn begin_recorded(port: u16, secret: &str) -> Result<Handshake> {
        Handshake::begin_with(port, secret, Manner::Careful, Some(Recording::default()))
    }

    fn begin_with(
        port: u16,
        secret: &str,
        manner: Manner,
        recording: Option<Recording>,
    ) -> Result<Handshake> {
        let mut connection = Connection::open(port, manner)?;
        connection.recording = recording;
        let mut rest = BytesMut::new();
        let decoder = HandshakeDecoder::hello();
        let hello = one_message(&mut connection, decoder, &mut rest).context("the greeting")?;
        let dialect = match hello {
            Hello::Legacy(dialect) => dialect,
            Hello::UnknownVersion { family, version } => {
                let mut bytes = BytesMut::new();
                encode_other_version(family, &mut bytes);
                connection.write(&bytes)?;
                connection.finish()?;
                bail!("the server speaks version {version}, which no release did");
            }
            Hello::Foreign(what) => bail!("this is no legacy server but {what:?}"),
        };
        let mut handshake = Handshake {
            connection,
            dialect,
            next_number: 0,
            rest,
        };
        let secret = secret.into();
        match handshake.ask(&Request::Authenticate { secret })? {
            Reply::Authenticated(true) => Ok(handshake),
            other => bail!("the server does not take the secret: {other:?}"),
        }
    }

    /// What the server speaks.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Asks about the process, which ends the connection.
    ///
    /// # Errors
    /// When the server does not tell.
    pub fn info(self) -> Result<ProcessInfo> {
        self.info_recorded().map(|(info, _)| info)
    }

    /// The same, and what was recorded.
    ///
    /// # Errors
    /// As [`info`](Self::info).
    pub fn info_recorded(mut self) -> Result<(ProcessInfo, Option<Recording>)> {
        let info = match self.ask(&Request::Info)? {
            Reply::Info(info) => info,
            other => bail!("the server does not tell about itself: {other:?}"),
        };
        // At once: the server takes nobody else until this is closed.
        Ok((info, self.connection.finish()?))
    }

    /// Becomes the program's debugger, and turns the stop at unhandled
    /// exceptions off, which every server begins a session with.
    ///
    /// `options` are names, comma separated; dialects below 6 take none.
    ///
    /// # Errors
    /// When another debugger is attached, or the server fails.
    pub fn attach(mut self, options: &str) -> Result<RawClient> {
        let options = options.to_owned();
        let attached = match self.ask(&Request::Attach { options })? {
            Reply::Attached(Some(attached)) => attached,
            Reply::Attached(None) => bail!("another debugger is attached"),
            other => bail!("the server does not let this debugger attach: {other:?}"),
        };
        let mut client = RawClient {
            connection: self.connection,
            dialect: self.dialect,
            attached,
            encoder: CommandEncoder::new(self.dialect, self.next_number),
            decoder: EventDecoder::new(self.dialect),
            out: BytesMut::new(),
            queue: VecDeque::new(),
            next_execution: 1,
        };
        client.send(&Command::SetExceptionInfo {
            default: ExceptionMode::NEVER,
            named: Vec::new(),
        })?;
        client.decode(&self.rest)?;
        Ok(client)
    }

    fn ask(&mut self, request: &Request) -> Result<Reply> {
        let mut bytes = BytesMut::new();
        request.encode(self.dialect, self.next_number, &mut bytes);
        self.next_number += 1;
        self.connection.write(&bytes)?;
        let decoder = HandshakeDecoder::reply(self.dialect, request);
        one_message(&mut self.connection, decoder, &mut self.rest)
            .with_context(|| format!("the reply to {request:?}"))
    }
}

/// Reads until `decoder` has its message; `rest` holds what came after the
/// message before, and after this one.
fn one_message<T>(
    connection: &mut Connection,
    mut decoder: HandshakeDecoder<T>,
    rest: &mut BytesMut,
) -> Result<T> {
    let until = Instant::now() + PATIENCE;
    decoder.feed(rest);
    loop {
        if let Some(message) = decoder.next()? {
            *rest = decoder.into_rest();
            return Ok(message);
        }
        match connection.read(until)? {
            Incoming::Bytes(bytes) => decoder.feed(bytes),
            Incoming::End => bail!("the server closed the connection"),
            Incoming::TooLate => bail!("the server said nothing for {PATIENCE:?}"),
        }
    }
}

/// An attached debugger.
///
/// [`leave`](Self::leave) ends it in order; when it is dropped instead, the
/// connection is reset, and the program stays as it is.
#[derive(Debug)]
pub struct RawClient {
    connection: Connection,
    dialect: Dialect,
    attached: Attached,
    encoder: CommandEncoder,
    decoder: EventDecoder,
    /// Kept for its memory.
    out: BytesMut,
    /// Decoded, and not asked for yet.
    queue: VecDeque<Event>,
    next_execution: i64,
}

impl RawClient {
    /// What the server speaks.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// What the server told when it accepted the attach.
    #[must_use]
    pub fn attached(&self) -> Attached {
        self.attached
    }

    /// Sends a command, in one write, and returns its number: the one that a
    /// [`Event::Answered`] or [`Event::HitCount`] for it bears.
    ///
    /// # Errors
    /// When the dialect cannot say it, or the connection is gone.
    pub fn send(&mut self, command: &Command) -> Result<i64> {
        self.out.clear();
        let number = self.encoder.encode(command, &mut self.out)?;
        self.connection
            .write(&self.out)
            .with_context(|| format!("sending {:?}", command.name()))?;
        Ok(number)
    }

    /// The next event, waiting `limit` for it at most. An
    /// [`Event::HandlersWanted`] has been answered by then: everything is
    /// handled everywhere.
    ///
    /// # Errors
    /// When none came in time, the server closed, or sent what cannot be read.
    pub fn next_event(&mut self, limit: Duration) -> Result<Event> {
        self.event_before(Instant::now() + limit)?
            .ok_or_else(|| anyhow!("the server said nothing for {limit:?}"))
    }

    /// The first event that `is_it`; those before it are dropped.
    ///
    /// # Errors
    /// As [`next_event`](Self::next_event), `limit` being for all of it; with
    /// the events that came instead.
    pub fn wait_for(
        &mut self,
        is_it: impl FnMut(&Event) -> bool,
        limit: Duration,
    ) -> Result<Event> {
        let mut events = self.collect_until(is_it, limit)?;
        events.pop().context("no event")
    }

    /// All events up to the first that `is_it`, which is the last of them.
    ///
    /// # Errors
    /// As [`wait_for`](Self::wait_for).
    pub fn collect_until(
        &mut self,
        mut is_it: impl FnMut(&Event) -> bool,
        limit: Duration,
    ) -> Result<Vec<Event>> {
        let until = Instant::now() + limit;
        let mut events = Vec::new();
        loop {
            let next = self
                .event_before(until)
                .with_context(|| format!("after {}", listed(&events)))?;
            let Some(event) = next else {
                bail!(
                    "what was waited for did not come within {limit:?}, only {}",
                    listed(&events)
                );
            };
            let found = is_it(&event);
            events.push(event);
            if found {
                return Ok(events);
            }
        }
    }

    /// Runs `text` in the top frame of a stopped thread and waits for
    /// [`Event::ExecutionResult`] or [`Event::ExecutionException`].
    ///
    /// # Errors
    /// As [`wait_for`](Self::wait_for), and when the dialect has no such `repr`.
    pub fn execute(
        &mut self,
        thread: ThreadId,
        text: &str,
        repr: ReprKind,
        limit: Duration,
    ) -> Result<Event> {
        let execution = self.new_execution();
        self.send(&Command::Execute {
            text: text.into(),
            execution,
            thread,
            frame: 0,
            frame_kind: FrameKind::Python,
            repr,
            module: None,
            print_result: false,
        })?;
        let is_answer = |event: &Event| match event {
            Event::ExecutionResult { execution: of, .. }
            | Event::ExecutionException { execution: of, .. } => *of == execution,
            _ => false,
        };
        self.wait_for(is_answer, limit)
            .with_context(|| format!("executing {text:?}"))
    }

    /// The children of `text`'s value in the top frame of a stopped thread.
    ///
    /// # Errors
    /// As [`wait_for`](Self::wait_for).
    pub fn children(
        &mut self,
        thread: ThreadId,
        text: &str,
        limit: Duration,
    ) -> Result<Vec<Child>> {
        let wanted = self.new_execution();
        self.send(&Command::EnumerateChildren {
            text: text.into(),
            execution: wanted,
            thread,
            frame: 0,
            frame_kind: FrameKind::Python,
        })?;
        let is_answer = |event: &Event| matches!(event, Event::Children { execution, .. } if *execution == wanted);
        match self.wait_for(is_answer, limit) {
            Ok(Event::Children { children, .. }) => Ok(children),
            Ok(other) => bail!("{other:?} is no list of children"),
            Err(error) => Err(error.context(format!("asking for the children of {text:?}"))),
        }
    }

    /// A number for a [`Command::Execute`] or [`Command::EnumerateChildren`]
    /// of the caller's own.
    pub fn new_execution(&mut self) -> ExecutionId {
        let execution = ExecutionId(self.next_execution);
        self.next_execution += 1;
        execution
    }

    /// Detaches, waits for the server to let go, ends a JSON server's command
    /// loop, and closes. Stopped threads run on by that: there is no need to
    /// resume before, and a resume just before would race with it.
    ///
    /// Returns what came from the detach on, and what was recorded.
    ///
    /// # Errors
    /// When the server does not let go within `limit`.
    pub fn leave(mut self, limit: Duration) -> Result<(Vec<Event>, Option<Recording>)> {
        self.send(&Command::Detach)?;
        let mut events = self
            .collect_until(|event| *event == Event::Detached, limit)
            .context("detaching")?;
        if self.dialect.family() == ptvsd_wire::Family::Json {
            let end = self.send(&Command::EndLoop)?;
            let until = Instant::now() + LAST_WORDS;
            // The loop may end without a word, so silence and an end are fine.
            while let Ok(Some(event)) = self.event_before(until) {
                let over = matches!(&event, Event::Answered { request, .. } if *request == end);
                events.push(event);
                if over {
                    break;
                }
            }
        }
        Ok((events, self.connection.finish()?))
    }

    /// Closes without a word, as the system does for a client that is killed
    /// and had read all. (One that is dropped is reset.)
    ///
    /// # Errors
    /// When the connection cannot be closed so.
    pub fn vanish(self) -> Result<()> {
        self.connection.finish().map(|_| ())
    }

    /// Writes bytes that may be no whole command, as a client that is killed
    /// in the middle of one does.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.connection.write(bytes)
    }

    /// Waits for the server to close the connection.
    ///
    /// # Errors
    /// When it does not within `limit`.
    pub fn wait_for_end(&mut self, limit: Duration) -> Result<()> {
        let until = Instant::now() + limit;
        loop {
            match self.connection.read(until)? {
                Incoming::Bytes(_) => {}
                Incoming::End => return Ok(()),
                Incoming::TooLate => bail!("the connection is open still after {limit:?}"),
            }
        }
    }

    fn event_before(&mut self, until: Instant) -> Result<Option<Event>> {
        loop {
            if let Some(event) = self.queue.pop_front() {
                return Ok(Some(event));
            }
            match self.connection.read(until)? {
                Incoming::Bytes(bytes) => self.decoder.feed(bytes),
                Incoming::TooLate => return Ok(None),
                Incoming::End => {
                    ensure!(
                        !self.decoder.is_inside_message(),
                        "the server closed inside a message"
                    );
                    bail!("the server closed the connection");
                }
            }
            self.decode_fed()?;
        }
    }

    fn decode(&mut self, bytes: &[u8]) -> Result<()> {
        self.decoder.feed(bytes);
        self.decode_fed()
    }

    fn decode_fed(&mut self) -> Result<()> {
        while let Some(event) = self.decoder.next().map_err(unreadable)? {
            if let Event::HandlersWanted(file) = &event {
                self.send(&Command::SetExceptionHandlerInfo {
                    file: file.clone(),
                    handlers: vec![HandlerRange::everything()],
                })?;
            }
            self.queue.push_back(event);
        }
        Ok(())
    }
}

fn unreadable(error: WireError) -> anyhow::Error {
    anyhow::Error::new(error).context("reading the server's events")
}

/// The last few events, for a message.
fn listed(events: &[Event]) -> String {
    const SHOWN: usize = 10;
    let skipped = events.len().saturating_sub(SHOWN);
    let shown = events.get(skipped..).unwrap_or_default();
    match skipped {
        0 => format!("{shown:?}"),
        _ => format!("{skipped} others and {shown:?}"),
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use ptvsd_wire::{Command, CommandEncoder, Dialect, ExecutionId, FrameKind, ThreadId};

    use super::fields;

    #[test]
    fn a_command_has_its_fields() {
        let lengths = |dialect, command: &Command| {
            let mut bytes = BytesMut::new();
            let mut encoder = CommandEncoder::new(dialect, 1);
            encoder.encode(command, &mut bytes).unwrap();
            let fields = fields(&bytes);
            assert_eq!(fields.concat(), bytes);
            fields.iter().map(|field| field.len()).collect::<Vec<_>>()
        };
        assert_eq!(lengths(Dialect::V6, &Command::ResumeAll), [4]);
        assert_eq!(
            lengths(Dialect::V6, &Command::StepOver(ThreadId(1))),
            [4, 8]
        );
        let children = Command::EnumerateChildren {
            text: "numbers".into(),
            execution: ExecutionId(1),
            thread: ThreadId(1),
            frame: 0,
            frame_kind: FrameKind::Python,
        };
        assert_eq!(lengths(Dialect::V6, &children), [4, 8, 7, 8, 8, 8, 8]);
        assert_eq!(lengths(Dialect::V8, &children).len(), 2);
    }
}
