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
//! **Architecture invariant:** a [`Transport`](crate::transport::Transport)
//! leaves this module only with a verdict that allows it.

mod certificate;
#[cfg(feature = "legacy-tls")]
mod legacy;
mod modern;
mod names;
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
) -> Result<(Box<dyn Transport>, Stack, Channel), ConnectError>
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
            Err(Unshaken::NotTls(first)) => return Err(ConnectError::not_tls(target, &first)),
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
    Err(ConnectError::TlsHandshake {
        target: target.clone(),
        causes: failures,
    })
}

async fn judge(
    shaken: Shaken,
    target: &Target,
) -> Result<(Box<dyn Transport>, Channel), ConnectError> {
    let Shaken {
        transport,
        version,
        cipher,
        is_outdated,
        chain,
    } = shaken;
    let (options, host) = (target.tls.clone(), target.host.clone());
    // It reads files.
    let judged = tokio::task::spawn_blocking(move || {
        verdict::judge(&chain, &options, &host, std::time::SystemTime::now())
    });
    let verdict = match judged.await {
        Ok(verdict) => verdict,
        Err(error) => Err(verdict::Unjudged::Roots(error.to_string())),
    };
    match verdict {
        Ok((fingerprint, trusted)) => Ok((
            transport,
            Channel {
                version,
                cipher,
                fingerprint,
                trusted,
                is_outdated,
            },
        )),
        Err(verdict::Unjudged::Refused(refusal)) => Err(ConnectError::Untrusted {
            target: target.clone(),
            refusal,
        }),
        Err(verdict::Unjudged::Roots(cause)) => Err(ConnectError::TrustUnreadable {
            target: target.clone(),
            cause,
        }),
    }
}
