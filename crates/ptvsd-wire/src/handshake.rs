//! What is said before a session: who is there, the secret, and what the
//! connection is for.
//!
//! The server speaks first ([`Hello`]); from then on each request of the
//! debugger gets one reply. **A handshake that was begun must be finished**,
//! or aborted with a reset: a server whose client just closes spins for ever
//! and takes no other client (`protocol-notes/traps.md`, "connect and close").

use bytes::BytesMut;
use serde::Deserialize;
use serde_json::json;

use crate::binary::{Reader, Writer};
use crate::coroutine::{Coroutine, Source};
use crate::json::{read_envelope, read_envelope_after, write_answer, write_event, write_request};
use crate::{Dialect, Family, PyText, WireError};

/// What begins the binary hello, and the name that JSON servers give.
const SIGNATURE: &str = "PTVSDBG";
const ACCEPTED: &[u8; 4] = b"ACPT";
const REFUSED: &[u8; 4] = b"RJCT";

/// The first words of whoever listens there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hello {
    /// A legacy server.
    Legacy(Dialect),
    /// A server of this protocol with a version that no release had.
    UnknownVersion {
        /// How it writes.
        family: Family,
        /// What it calls its version.
        version: i64,
    },
    /// Something else.
    Foreign(Foreign),
}

/// What else may listen on a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Foreign {
    /// ptvsd 4 or later, or debugpy: they speak DAP themselves.
    Dap,
    /// An SSH server.
    Ssh,
    /// A web server.
    Http,
    /// A TLS server that was spoken to in plain text.
    Tls,
    /// Its first bytes, for the message.
    Other(Vec<u8>),
}

impl Foreign {
    /// From the first bytes of a stream.
    #[must_use]
    pub fn from_first_bytes(bytes: &[u8]) -> Foreign {
        // A TLS record: alert (21) or handshake (22), major version 3.
        match bytes {
            [21 | 22, 3, ..] => Foreign::Tls,
            _ if bytes.starts_with(b"SSH-") => Foreign::Ssh,
            _ if bytes.starts_with(b"HTTP/") => Foreign::Http,
            _ => Foreign::Other(bytes.to_vec()),
        }
    }
}

/// What a debugger asks for once the server has greeted it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Say the secret.
    Authenticate {
        /// Empty for none.
        secret: PyText,
    },
    /// Ask about the process. The connection is over after it.
    Info,
    /// Become its debugger.
    Attach {
        /// Names, comma separated; not sent below dialect 6.
        options: String,
    },
    /// Begin a visit to a process that has a debugger ([`crate::repl`]); up to
    /// dialect 7.
    Repl,
}

/// What comes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// To [`Request::Authenticate`]: whether the secret was right.
    Authenticated(bool),
    /// To [`Request::Info`].
    Info(ProcessInfo),
    /// To [`Request::Attach`]; absent when another debugger is attached.
    Attached(Option<Attached>),
    /// To [`Request::Repl`]: refused when no debugger is attached.
    Repl(bool),
    /// The server failed to answer (JSON only): a Python traceback.
    Failed(PyText),
}

/// About the process behind a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessInfo {
    /// Process id; 0 where Python cannot tell.
    pub process_id: i64,
    /// Path of the interpreter; may be empty.
    pub executable: PyText,
    /// Who runs it; may be empty.
    pub user: PyText,
    /// Implementation, version, system: `CPython 3.6.15 (Linux 64-bit)`.
    pub python: PyText,
}

/// About the process that was attached to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attached {
    /// Process id; 0 where Python cannot tell.
    pub process_id: i64,
    /// Python's version.
    #[serde(rename = "pythonMajor")]
    pub major: i64,
    /// Python's version.
    #[serde(rename = "pythonMinor")]
    pub minor: i64,
    /// Python's version.
    #[serde(rename = "pythonMicro")]
    pub micro: i64,
}

/// Decodes one message of a handshake; what follows it is for the next
/// decoder ([`HandshakeDecoder::into_rest`]).
#[derive(Debug)]
pub struct HandshakeDecoder<T>(Coroutine<T>);

impl HandshakeDecoder<Hello> {
    /// Decodes the server's first words.
    #[must_use]
    pub fn hello() -> Self {
        HandshakeDecoder(Coroutine::new(decode_hello))
    }
}

impl HandshakeDecoder<Reply> {
    /// Decodes the reply to `request`.
    #[must_use]
    pub fn reply(dialect: Dialect, request: &Request) -> Self {
        let request = request.clone();
        HandshakeDecoder(Coroutine::new(move |source| {
            decode_reply(source, dialect, request.clone())
        }))
    }
}

impl<T> HandshakeDecoder<T> {
    /// Adds bytes that have arrived, however they were cut.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.0.feed(bytes);
    }

    /// The message, if all of it has arrived.
    ///
    /// # Errors
    ///
    /// When the bytes are no such message.
    #[allow(
        clippy::should_implement_trait,
        reason = "fallible, and None is no end"
    )]
    pub fn next(&mut self) -> Result<Option<T>, WireError> {
        self.0.next()
    }

    /// What has arrived after it.
    #[must_use]
    pub fn into_rest(self) -> BytesMut {
        self.0.into_rest()
    }
}

// Hello.

impl Hello {
    /// A legacy server's greeting: the server's side of it.
    pub fn encode(dialect: Dialect, out: &mut BytesMut) {
        match dialect.family() {
            Family::Binary => {
                out.extend_from_slice(SIGNATURE.as_bytes());
                Writer(out).int(dialect.version());
            }
            Family::Json => write_event(
                0,
                "legacyRemoteConnected",
                json!({
                    "debuggerName": SIGNATURE,
                    "debuggerProtocolVersion": dialect.version(),
                }),
                out,
            ),
        }
    }
}

async fn decode_hello(source: Source) -> Result<Hello, WireError> {
    let r = Reader(source);
    // Seven bytes tell: any banner is longer, a TLS alert is just as long.
    let begun = r.array::<7>().await?;
    let (family, version) = match &begun {
        b"PTVSDBG" => (Family::Binary, r.int().await?),
        b"Content" => {
            let envelope = read_envelope_after(&begun, &r.0).await?;
            if envelope.event != *"legacyRemoteConnected" {
                return Ok(Hello::Foreign(Foreign::Dap));
            }
            let body: RemoteConnected = envelope.body()?;
            (Family::Json, body.debugger_protocol_version)
        }
        _ => return Ok(Hello::Foreign(Foreign::from_first_bytes(&begun))),
    };
    Ok(match Dialect::from_version(version) {
        Some(dialect) if dialect.family() == family => Hello::Legacy(dialect),
        _ => Hello::UnknownVersion { family, version },
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RemoteConnected {
    debugger_protocol_version: i64,
}

// Requests.

const AUTHENTICATE: &str = "legacyRemoteDebuggerAuthenticate";
const INFO: &str = "legacyRemoteDebuggerInfo";
const ATTACH: &str = "legacyRemoteDebuggerAttach";
const REPL: &str = "legacyRemoteReplAttach";

impl Request {
    /// Appends the request. `number` is a JSON request's `seq`.
    pub fn encode(&self, dialect: Dialect, number: i64, out: &mut BytesMut) {
        match (self, dialect.family()) {
            (Request::Authenticate { secret }, Family::Binary) => {
                out.extend_from_slice(SIGNATURE.as_bytes());
                let mut w = Writer(out);
                w.int(dialect.version());
                w.bare_text(secret);
            }
            (Request::Info, Family::Binary) => Writer(out).name(b"INFO"),
            (Request::Repl, Family::Binary) => Writer(out).name(b"REPL"),
            (Request::Repl, Family::Json) => write_request(number, REPL, json!({}), out),
            (Request::Attach { options }, Family::Binary) => {
                let mut w = Writer(out);
                w.name(b"ATCH");
                if dialect.has_attach_options() {
                    w.bare_text(&options.as_str().into());
                }
            }
            (Request::Authenticate { secret }, Family::Json) => write_request(
                number,
                AUTHENTICATE,
                json!({
                    "debuggerName": SIGNATURE,
                    "debuggerProtocolVersion": dialect.version(),
                    "clientSecret": secret,
                }),
                out,
            ),
            (Request::Info, Family::Json) => write_request(number, INFO, json!({}), out),
            (Request::Attach { options }, Family::Json) => {
                write_request(number, ATTACH, json!({"debugOptions": options}), out);
            }
        }
    }
}

/// Appends what ends a handshake after the secret, when nothing is wanted: a
/// request that no server knows. Each takes it for the end.
pub fn encode_goodbye(family: Family, number: i64, out: &mut BytesMut) {
    match family {
        Family::Binary => Writer(out).name(b"GBYE"),
        Family::Json => write_request(number, "legacyGoodbye", json!({}), out),
    }
}

/// Appends what ends the handshake of a server whose version nobody speaks:
/// a debugger of another version. The server then closes.
pub fn encode_other_version(family: Family, out: &mut BytesMut) {
    const NO_VERSION: i64 = 0;
    match family {
        Family::Binary => {
            out.extend_from_slice(SIGNATURE.as_bytes());
            Writer(out).int(NO_VERSION);
        }
        Family::Json => write_request(
            0,
            AUTHENTICATE,
            json!({
                "debuggerName": SIGNATURE,
                "debuggerProtocolVersion": NO_VERSION,
                "clientSecret": "",
            }),
            out,
        ),
    }
}

// Replies.

impl Reply {
    /// Appends the reply: the server's side of it. `request` is the `seq` of
    /// the JSON request that it answers.
    pub fn encode(&self, dialect: Dialect, request: i64, out: &mut BytesMut) {
        match dialect.family() {
            Family::Binary => self.encode_binary(out),
            Family::Json => self.encode_json(request, out),
        }
    }

    fn encode_binary(&self, out: &mut BytesMut) {
        let mut w = Writer(out);
        match self {
            Reply::Authenticated(true) | Reply::Repl(true) => w.name(ACCEPTED),
            Reply::Authenticated(false)
            | Reply::Repl(false)
            | Reply::Attached(None)
            | Reply::Failed(_) => {
                w.name(REFUSED);
            }
            Reply::Info(info) => {
                w.int(info.process_id);
                w.text(&info.executable);
                w.text(&info.user);
                w.text(&info.python);
            }
            Reply::Attached(Some(attached)) => {
                w.name(ACCEPTED);
                w.int(attached.process_id);
                w.int(attached.major);
                w.int(attached.minor);
                w.int(attached.micro);
            }
        }
    }

    fn encode_json(&self, request: i64, out: &mut BytesMut) {
        let mut failure = None;
        let (command, body) = match self {
            Reply::Authenticated(accepted) => (AUTHENTICATE, json!({"accepted": accepted})),
            Reply::Info(info) => (
                INFO,
                json!({
                    "processId": info.process_id,
                    "executable": info.executable,
                    "user": info.user,
                    "pythonVersion": info.python,
                }),
            ),
            Reply::Repl(accepted) => (REPL, json!({"accepted": accepted})),
            Reply::Attached(None) => (ATTACH, json!({"accepted": false})),
            Reply::Attached(Some(attached)) => (
                ATTACH,
                json!({
                    "accepted": true,
                    "processId": attached.process_id,
                    "pythonMajor": attached.major,
                    "pythonMinor": attached.minor,
                    "pythonMicro": attached.micro,
                }),
            ),
            Reply::Failed(message) => {
                failure = Some(message);
                ("", json!({}))
            }
        };
        write_answer(1, request, command, failure, body, out);
    }
}

async fn decode_reply(
    source: Source,
    dialect: Dialect,
    request: Request,
) -> Result<Reply, WireError> {
    match dialect.family() {
        Family::Binary => decode_binary_reply(Reader(source), request).await,
        Family::Json => decode_json_reply(source, request).await,
    }
}

async fn decode_binary_reply(r: Reader, request: Request) -> Result<Reply, WireError> {
    let accepted = async || match &r.name().await? {
        ACCEPTED => Ok(true),
        REFUSED => Ok(false),
        other => Err(WireError::UnknownMessage(other.escape_ascii().to_string())),
    };
    Ok(match request {
        Request::Authenticate { .. } => Reply::Authenticated(accepted().await?),
        Request::Repl => Reply::Repl(accepted().await?),
        Request::Info => Reply::Info(ProcessInfo {
            process_id: r.int().await?,
            executable: r.text().await?,
            user: r.text().await?,
            python: r.text().await?,
        }),
        Request::Attach { .. } => Reply::Attached(if accepted().await? {
            Some(Attached {
                process_id: r.int().await?,
                major: r.int().await?,
                minor: r.int().await?,
                micro: r.int().await?,
            })
        } else {
            None
        }),
    })
}

async fn decode_json_reply(source: Source, request: Request) -> Result<Reply, WireError> {
    let envelope = read_envelope(&source).await?;
    if !envelope.success {
        return Ok(Reply::Failed(envelope.message.unwrap_or_default()));
    }
    Ok(match request {
        Request::Authenticate { .. } => {
            let body: Accepted = envelope.body()?;
            Reply::Authenticated(body.accepted)
        }
        Request::Repl => {
            let body: Accepted = envelope.body()?;
            Reply::Repl(body.accepted)
        }
        Request::Info => {
            let body: Info = envelope.body()?;
            Reply::Info(ProcessInfo {
                process_id: body.process_id,
                executable: body.executable,
                user: body.user,
                python: body.python_version,
            })
        }
        Request::Attach { .. } => {
            let body: Accepted = envelope.body()?;
            Reply::Attached(if body.accepted {
                Some(envelope.body()?)
            } else {
                None
            })
        }
    })
}

#[derive(Deserialize)]
struct Accepted {
    accepted: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Info {
    process_id: i64,
    executable: PyText,
    user: PyText,
    python_version: PyText,
}
