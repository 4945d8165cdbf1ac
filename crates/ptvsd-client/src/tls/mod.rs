//! TLS: how a channel is agreed, and how the server's certificate is judged.
//!
//! The legacy servers speak TLS 1.0 and nothing else, which modern libraries
//! have dropped; servers behind a terminator speak 1.2 and 1.3. So there are
//! two stacks: [`modern`] (rustls) is tried first, and [`legacy`] (OpenSSL)
//! takes a new connection when the first cannot speak to that server, or to
//! its certificate: rustls reads neither keys of 1024 bits nor certificates of
//! version 1.
//!
//! Neither stack trusts anybody. Both prove that the server has the key of
//! its certificate, and hand the certificate to [`verdict`], which alone
//! decides, before a byte of ours goes through the channel.
//!
//! A server whose certificate is refused waits for our words all the same, and
//! is left with those that it understands: where a reset comes out of a channel
//! as an ordinary end (CPython from 3.10 on) it would wait for ever.
//!
//! **Architecture invariant:** a [`Transport`]
//! leaves this module with a verdict that allows it, or inside of
//! [`NotEstablished`], for a goodbye.

mod certificate;
#[cfg(feature = "legacy-tls")]
mod legacy;
mod modern;
mod names;
mod old;
pub(crate) mod question;
mod trust;
mod verdict;

use std::fmt;
use std::future::Future;

use rustls::pki_types::CertificateDer;

pub use certificate::{Certificate, Fingerprint, FingerprintError};
pub use trust::{TlsOptions, TlsVersion};
pub use verdict::{Reason, Refusal, Trusted};

use crate::error::Stage;
use crate::transport::{Tcp, Transport};
use crate::{ConnectError, Target};
use modern::Opening;
use verdict::Unjudged;

/// An encrypted channel: what was agreed, and why the server was believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    /// As `TLSv1.2`.
    pub version: String,
    /// As the stack names it.
    pub cipher: String,
    /// Of the server's certificate.
    pub fingerprint: Fingerprint,
    /// Why it was believed.
    pub trusted: Trusted,
    /// The version is one that is not safe any more: 1.0 or 1.1.
    pub is_outdated: bool,
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} ({}), certificate {}, {}",
            self.version, self.cipher, self.fingerprint, self.trusted
        )
    }
}

/// The library that speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stack {
    /// TLS 1.2 and 1.3.
    Modern,
    /// From TLS 1.0 on, and old certificates.
    #[cfg(feature = "legacy-tls")]
    Legacy,
}

impl Stack {
    /// In the order in which they are tried.
    #[cfg(feature = "legacy-tls")]
    const ALL: &[Stack] = &[Stack::Modern, Stack::Legacy];
    #[cfg(not(feature = "legacy-tls"))]
    const ALL: &[Stack] = &[Stack::Modern];
}

/// A handshake that is over; nobody is believed yet.
struct Shaken {
    transport: Box<dyn Transport>,
    version: String,
    cipher: String,
    is_outdated: bool,
    /// The server's own first.
    chain: Vec<CertificateDer<'static>>,
}

/// Why there was no handshake.
enum Unshaken {
    /// It did not answer with TLS; how it began.
    NotTls(Vec<u8>),
    /// The first message that we would have sent is one that hurts a server
    /// without TLS. Another time it is another.
    Unlucky,
    /// What the stack says.
    Failed(String),
}

/// Why there is no channel.
pub(crate) struct NotEstablished {
    pub(crate) error: ConnectError,
    /// The way to a server that was refused. The secret must not take it.
    pub(crate) refused: Option<Box<dyn Transport>>,
}

impl From<ConnectError> for NotEstablished {
    fn from(error: ConnectError) -> NotEstablished {
        NotEstablished {
            error,
            refused: None,
        }
    }
}

/// How often a first message may be an unlucky one: each is with a chance of
/// one in some hundreds.
const MOST_UNLUCKY: u32 = 8;

/// Makes a channel over connections that `dial` makes. `known` is the stack
/// that an earlier connection has found.
pub(crate) async fn establish<D>(
    target: &Target,
    known: Option<Stack>,
    stage: &mut Stage,
    mut dial: impl FnMut() -> D,
) -> Result<(Box<dyn Transport>, Stack, Channel), NotEstablished>
where
    D: Future<Output = Result<Tcp, ConnectError>>,
{
    let stacks: &[Stack] = match &known {
        Some(stack) => std::slice::from_ref(stack),
        None => Stack::ALL,
    };
    let mut failures = Vec::new();
    let mut unlucky = 0;
    let mut left = stacks.iter().copied();
    let mut current = left.next();
    while let Some(stack) = current {
        *stage = Stage::Connecting;
        let tcp = dial().await?;
        *stage = Stage::Tls;
        let shaken = match stack {
            Stack::Modern => modern::handshake(Opening::new(tcp), target).await,
            #[cfg(feature = "legacy-tls")]
            Stack::Legacy => legacy::handshake(tcp, target).await,
        };
        match shaken {
            Ok(shaken) => {
                let (transport, channel) = judge(shaken, target).await?;
                return Ok((transport, stack, channel));
            }
            Err(Unshaken::NotTls(first)) => {
                return Err(ConnectError::not_tls(target, &first).into());
            }
            Err(Unshaken::Unlucky) if unlucky < MOST_UNLUCKY => unlucky += 1,
            Err(Unshaken::Unlucky) => {
                failures.push("no first message that is safe to send".to_owned());
                current = left.next();
            }
            Err(Unshaken::Failed(why)) => {
                tracing::debug!(?stack, why, "no TLS handshake");
                failures.push(why);
                current = left.next();
            }
        }
    }
    let target = target.clone();
    let causes = failures;
    Err(ConnectError::TlsHandshake { target, causes }.into())
}

async fn judge(
    shaken: Shaken,
    target: &Target,
) -> Result<(Box<dyn Transport>, Channel), NotEstablished> {
    let (options, host) = (target.tls.clone(), target.host.clone());
    let chain = shaken.chain;
    // It reads files.
    let judged = tokio::task::spawn_blocking(move || {
        verdict::judge(&chain, &options, &host, std::time::SystemTime::now())
    });
    let target = target.clone();
    let error = match judged.await {
        Ok(Ok((fingerprint, trusted))) => {
            let channel = Channel {
                version: shaken.version,
                cipher: shaken.cipher,
                fingerprint,
                trusted,
                is_outdated: shaken.is_outdated,
            };
            return Ok((shaken.transport, channel));
        }
        Ok(Err(Unjudged::Refused(refusal))) => ConnectError::Untrusted { target, refusal },
        Ok(Err(Unjudged::Roots(cause))) => ConnectError::TrustUnreadable { target, cause },
        Err(broken) => ConnectError::TrustUnreadable {
            target,
            cause: broken.to_string(),
        },
    };
    Err(NotEstablished {
        error,
        refused: Some(shaken.transport),
    })
}
