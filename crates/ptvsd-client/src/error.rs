//! What can go wrong, said so that a person knows what to do.

use std::io;
use std::time::Duration;

use ptvsd_wire::handshake::Foreign;
use ptvsd_wire::{PyText, WireError};

use crate::{Refusal, Target, TlsVersion};

/// Why no session, or no answer about a process, could be had. Each text
/// says what was tried, what came back, and what to do next; the cause is in
/// it, and no `source()` of it, so that nobody prints it twice.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The name has no address.
    #[error("the host {host:?} is not known here ({cause}). Check its spelling in the target.")]
    Resolve {
        /// The name.
        host: String,
        /// What the system said.
        cause: io::Error,
    },
    /// No connection.
    #[error("{target} did not accept a connection ({cause}). {}", connect_remedy(.cause))]
    Connect {
        /// Where to.
        target: Target,
        /// What the system said.
        cause: io::Error,
    },
    /// Too slow.
    #[error("{target}: {stage} took longer than {} s. {}", .limit.as_secs_f32(), .stage.remedy())]
    TimedOut {
        /// Where to.
        target: Target,
        /// What was waited for.
        stage: Stage,
        /// The limit for the whole of it.
        limit: Duration,
    },
    /// The other side closed, or the network did.
    #[error("{target} closed the connection during {stage}{}. {}", cause_text(.cause), closed_remedy(*.stage))]
    Closed {
        /// Where to.
        target: Target,
        /// What was waited for.
        stage: Stage,
        /// What the system said, if anything.
        cause: Option<io::Error>,
    },
    /// Somebody else listens there.
    #[error("{target} {}", foreign_text(.foreign))]
    Foreign {
        /// Where to.
        target: Target,
        /// Who it looks like.
        foreign: Foreign,
    },
    /// A ptvsd that no release has shown.
    #[error(
        "{target} is a ptvsd server of protocol version {version}, which is not known: ptvsd 2.0 \
         to 3.2 (versions 2 to 8) are"
    )]
    UnknownVersion {
        /// Where to.
        target: Target,
        /// What it calls its version.
        version: i64,
    },
    /// The secret is wrong.
    #[error(
        "{target} refused the secret. It must be exactly what the program passes to \
         ptvsd.enable_attach(); characters such as @ / % are percent-encoded in a target."
    )]
    WrongSecret {
        /// Where to.
        target: Target,
    },
    /// Somebody is attached already.
    #[error(
        "{target} has a debugger attached already, or one that died without detaching. Detach it \
         there first. If it died: a program that runs lets go when it next prints something, and \
         `ptvsd-bridge rescue` frees one that is stopped (ptvsd 2.0 to 3.1)."
    )]
    AlreadyAttached {
        /// Where to.
        target: Target,
    },
    /// The server failed on the request itself.
    #[error("{target} failed during {stage}: {message}")]
    Failed {
        /// Where to.
        target: Target,
        /// What was waited for.
        stage: Stage,
        /// What it said: the last line of a Python traceback.
        message: String,
    },
    /// What came is no message.
    #[error("{target} sent something that is no message of the protocol: {cause}")]
    Wire {
        /// Where to.
        target: Target,
        /// What it was.
        cause: WireError,
    },
    /// A server without TLS.
    #[error(
        "{target} is a ptvsd server without TLS: the program gave no certfile to \
         ptvsd.enable_attach(). Use tcp:// in the target; the secret and all data are readable on \
         the way then, so forward the port if it is not on this machine (ssh -L \
         {}:localhost:{}).", .target.port, .target.port
    )]
    NoTls {
        /// Where to.
        target: Target,
    },
    /// No version, cipher or signature that both sides have.
    #[error(
        "{target} answered with TLS, and no channel could be agreed: {}. {}",
        .causes.join("; "),
        handshake_remedy(.target, .causes)
    )]
    TlsHandshake {
        /// Where to.
        target: Target,
        /// What each of the two stacks said.
        causes: Vec<String>,
    },
    /// The certificate is not believed. The secret was not sent.
    #[error("{target} showed a certificate that is refused: {refusal}. The secret was not sent.")]
    Untrusted {
        /// Where to.
        target: Target,
        /// Why, and what would accept it.
        refusal: Box<Refusal>,
    },
    /// What is to be trusted cannot be read.
    #[error("{target} could not be checked: {cause}")]
    TrustUnreadable {
        /// Where to.
        target: Target,
        /// What failed.
        cause: String,
    },
}

impl ConnectError {
    /// Of a server that answered the beginning of a TLS handshake like this.
    pub(crate) fn not_tls(target: &Target, first: &[u8]) -> ConnectError {
        let target = target.clone();
        if begins_a_greeting(first) {
            return ConnectError::NoTls { target };
        }
        ConnectError::Foreign {
            target,
            foreign: Foreign::from_first_bytes(first),
        }
    }
}

/// Whether a stream that begins like this may be a greeting that was cut off.
pub(crate) fn begins_a_greeting(first: &[u8]) -> bool {
    [&b"PTVSDBG"[..], b"Content-Length"]
        .iter()
        .any(|greeting| first.iter().zip(*greeting).all(|(a, b)| a == b))
}

fn handshake_remedy(target: &Target, causes: &[String]) -> String {
    if target.tls.min_version == TlsVersion::V1_2 {
        return "The legacy servers themselves speak TLS 1.0 only, which minVersion 1.2 forbids: \
                leave it out, or put a TLS terminator (stunnel, nginx) before the program."
            .to_owned();
    }
    if cfg!(not(feature = "legacy-tls")) {
        return "The legacy servers speak TLS 1.0 only, which this build cannot (it is without \
                the feature legacy-tls)."
            .to_owned();
    }
    if causes.iter().any(|cause| cause.contains("internal error")) {
        return "The program's own OpenSSL seems to forbid TLS 1.0, which is all that its ptvsd \
                speaks: start it with an OPENSSL_CONF that has MinProtocol = TLSv1 and \
                CipherString = DEFAULT:@SECLEVEL=0."
            .to_owned();
    }
    "Is it a ptvsd server? The program may have been given a certificate and a key that do not \
     belong together; what it prints, and `openssl s_client -connect`, tell more."
        .to_owned()
}

/// What a connection was waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// From the host's name to its addresses.
    Resolving,
    /// TCP.
    Connecting,
    /// TLS.
    Tls,
    /// The server's first words.
    Greeting,
    /// Whether the secret is right.
    Authentication,
    /// What process it is.
    Info,
    /// Whether it takes a debugger.
    Attach,
    /// Whether it takes a visit.
    Visit,
}

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Stage::Resolving => "looking up the host's name",
            Stage::Connecting => "connecting",
            Stage::Tls => "the TLS handshake",
            Stage::Greeting => "the server's greeting",
            Stage::Authentication => "checking the secret",
            Stage::Info => "asking about the process",
            Stage::Attach => "attaching",
            Stage::Visit => "visiting",
        })
    }
}

impl Stage {
    fn remedy(self) -> &'static str {
        match self {
            Stage::Resolving => {
                "The name service of this machine does not answer. Check the host's spelling, or \
                 write its address."
            }
            Stage::Connecting => {
                "Is a firewall between? Check address and port, and that the program has called \
                 ptvsd.enable_attach()."
            }
            Stage::Tls => {
                "Something accepts connections there but does not speak TLS: the program's debug \
                 server may be one without (tcp://), the program may be stopped (Ctrl+Z, SIGSTOP) \
                 or busy in native code, or an earlier client (a health check, a port scan) closed \
                 without finishing and left the server waiting for ever."
            }
            Stage::Greeting => {
                "Something accepts connections there but says nothing: the program's debug server \
                 may use TLS (tcps://), the program may be stopped (Ctrl+Z, SIGSTOP) or busy in \
                 native code, or an earlier client (a health check, a port scan) closed without \
                 finishing and left the server waiting for ever."
            }
            Stage::Authentication | Stage::Info | Stage::Attach | Stage::Visit => {
                "The program may be busy in native code, or it has ended. Try again."
            }
        }
    }
}

fn closed_remedy(stage: Stage) -> &'static str {
    match stage {
        Stage::Resolving | Stage::Connecting | Stage::Tls | Stage::Greeting => {
            "It ended before it had said what it is. A port that is forwarded (ssh -L, docker, a \
             proxy) does that when nothing listens at its other end: has the program called \
             ptvsd.enable_attach(), and with this port?"
        }
        Stage::Authentication | Stage::Info | Stage::Attach | Stage::Visit => {
            "The program may have ended just now. Try again."
        }
    }
}

fn connect_remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            "Nothing listens on that port: has the program called ptvsd.enable_attach(), and with \
             this port?"
        }
        _ => "Check address and port, and that no firewall is between.",
    }
}

fn cause_text(cause: &Option<io::Error>) -> String {
    cause
        .as_ref()
        .map(|error| format!(" ({error})"))
        .unwrap_or_default()
}

fn foreign_text(foreign: &Foreign) -> String {
    let what = match foreign {
        Foreign::Tls => {
            return "answered with TLS, and plain text was spoken to it. Use tcps:// in the target."
                .to_owned();
        }
        Foreign::Dap => "it speaks the Debug Adapter Protocol itself, as ptvsd 4 and debugpy do. \
                         Attach to it with your editor's ordinary Python debugger."
            .to_owned(),
        Foreign::Ssh => "an SSH server answered. Check the port, or forward ptvsd's port through \
                         it: ssh -L 5678:localhost:5678 HOST."
            .to_owned(),
        Foreign::Http => "a web server answered. Check the port.".to_owned(),
        Foreign::Other(bytes) => {
            let shown = bytes.get(..32).unwrap_or(bytes);
            format!(
                "its first bytes are \"{}\". Check the port.",
                shown.escape_ascii()
            )
        }
    };
    format!("is not a legacy ptvsd server: {what}")
}

/// The session has ended: the program ended, or the connection did, or the
/// debugger detached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the debugging session is over")]
pub struct SessionOver;

/// Why a value could not be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvaluateError {
    /// The program's own exception, as `str()` of it.
    #[error("{0}")]
    Raised(PyText),
    /// The thread runs, or is in native code.
    #[error("the thread is running: pause it first")]
    Running,
    /// The frame was of an earlier stop.
    #[error("the program has moved on since: that frame is gone")]
    Stale,
    /// The program was resumed before the answer came.
    #[error("cancelled, because the program was resumed")]
    Resumed,
    /// No answer.
    #[error(
        "no answer within {} s. The evaluation may still be running in the program; its thread \
         goes on when it has finished.", .0.as_secs()
    )]
    TimedOut(Duration),
    /// The dialect cannot do this.
    #[error("{0}")]
    Unsupported(String),
    /// Too much at once.
    #[error("too many requests are under way in this session: wait for some of their answers")]
    Busy,
    /// The session ended before the answer came.
    #[error("{0}")]
    Over(#[from] SessionOver),
}
