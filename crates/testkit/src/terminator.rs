//! TLS in front of a server that speaks plain text: what people put there
//! whose debuggers refuse the TLS 1.0 of the legacy servers.

use std::io::{self, ErrorKind};
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use openssl::ssl::{Ssl, SslContext, SslFiletype, SslMethod, SslVersion};
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio_openssl::SslStream;

use crate::certificates::Identity;

/// How much of what debuggers say is kept.
const KEPT: usize = 1 << 20;

/// The versions of TLS that it agrees to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Versions {
    /// TLS 1.3.
    Only13,
    /// TLS 1.2.
    Only12,
    /// TLS 1.0, as the legacy servers.
    Only10,
    /// From TLS 1.0 on, the newest that both know.
    Any,
}

/// The terminator. Takes connections until it is dropped; those under way go
/// on, for to be closed in the middle of a handshake wedges a legacy server.
#[derive(Debug)]
pub struct Terminator {
    port: u16,
    record: Arc<Mutex<Record>>,
    accepting: AbortHandle,
}

/// What it has seen.
#[derive(Debug, Default)]
struct Record {
    connections: usize,
    sessions: usize,
    heard_count: usize,
    heard: Vec<u8>,
}

impl Terminator {
    /// Listens on a free port of 127.0.0.1, for a server on `port`. That one
    /// hears of a debugger only when the TLS handshake has succeeded.
    ///
    /// # Errors
    ///
    /// When the identity is not one, or the system refuses.
    pub async fn start(port: u16, identity: &Identity, versions: Versions) -> Result<Terminator> {
        let context = context(identity, versions)
            .with_context(|| format!("serving TLS with {}", identity.certificate.display()))?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let own_port = listener.local_addr()?.port();
        let record = Arc::new(Mutex::new(Record::default()));
        let seen = Arc::clone(&record);
        let accepting = tokio::spawn(async move {
            while let Ok((debugger, _)) = listener.accept().await {
                lock(&seen).connections += 1;
                let (context, seen) = (context.clone(), Arc::clone(&seen));
                tokio::spawn(async move { serve(debugger, port, &context, &seen).await });
            }
        });
        Ok(Terminator {
            port: own_port,
            record,
            accepting: accepting.abort_handle(),
        })
    }

    /// Where the debugger is to connect.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many connections were accepted.
    #[must_use]
    pub fn connections(&self) -> usize {
        lock(&self.record).connections
    }

    /// How many of them got through the TLS handshake.
    #[must_use]
    pub fn sessions(&self) -> usize {
        lock(&self.record).sessions
    }

    /// How many bytes debuggers have said, without what is TLS's own.
    #[must_use]
    pub fn heard_count(&self) -> usize {
        lock(&self.record).heard_count
    }

    /// The first megabyte of it, of all connections, decrypted.
    #[must_use]
    pub fn heard(&self) -> Vec<u8> {
        lock(&self.record).heard.clone()
    }
}

impl Drop for Terminator {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Record {
    fn hear(&mut self, piece: &[u8]) {
        self.heard_count += piece.len();
        let room = KEPT.saturating_sub(self.heard.len());
        let kept = piece.get(..room).unwrap_or(piece);
        self.heard.extend_from_slice(kept);
    }
}

fn lock(record: &Mutex<Record>) -> MutexGuard<'_, Record> {
    record.lock().unwrap_or_else(PoisonError::into_inner)
}

fn context(identity: &Identity, versions: Versions) -> Result<SslContext> {
    let (oldest, newest) = match versions {
        Versions::Only13 => (SslVersion::TLS1_3, SslVersion::TLS1_3),
        Versions::Only12 => (SslVersion::TLS1_2, SslVersion::TLS1_2),
        Versions::Only10 => (SslVersion::TLS1, SslVersion::TLS1),
        Versions::Any => (SslVersion::TLS1, SslVersion::TLS1_3),
    };
    let mut context = SslContext::builder(SslMethod::tls_server())?;
    // At any higher level neither TLS 1.0 nor a short key would be served.
    context.set_security_level(0);
    context.set_cipher_list("DEFAULT:@SECLEVEL=0")?;
    context.set_min_proto_version(Some(oldest))?;
    context.set_max_proto_version(Some(newest))?;
    context.set_certificate_chain_file(&identity.certificate)?;
    context.set_private_key_file(&identity.key, SslFiletype::PEM)?;
    context.check_private_key()?;
    Ok(context.build())
}

async fn serve(debugger: TcpStream, port: u16, context: &SslContext, record: &Mutex<Record>) {
    let _ = debugger.set_nodelay(true);
    let Ok(mut debugger) = Ssl::new(context).and_then(|ssl| SslStream::new(ssl, debugger)) else {
        return;
    };
    // OpenSSL tells a debugger that it refuses why, and so does a debugger.
    if Pin::new(&mut debugger).accept().await.is_err() {
        return;
    }
    lock(record).sessions += 1;
    let Ok(mut server) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else {
        return;
    };
    let _ = server.set_nodelay(true);
    let (mut from_debugger, mut to_debugger) = tokio::io::split(debugger);
    let (mut from_server, mut to_server) = server.split();
    let commands = async {
        let mut piece = vec![0; 65536];
        loop {
            let count = match from_debugger.read(&mut piece).await {
                Err(error) if !is_of_socket(&error) => 0,
                read => read?,
            };
            if count == 0 {
                return to_server.shutdown().await;
            }
            let piece = piece.get(..count).unwrap_or_default();
            lock(record).hear(piece);
            to_server.write_all(piece).await?;
        }
    };
    let answers = async {
        tokio::io::copy(&mut from_server, &mut to_debugger).await?;
        to_debugger.shutdown().await
    };
    let result = tokio::try_join!(commands, answers);
    // A connection that broke on one side breaks on the other.
    if result.is_err() {
        reset(from_debugger.unsplit(to_debugger).get_ref());
        reset(&server);
    }
}

/// Whether the connection broke. Any other failure to read is TLS's: the
/// debugger was closed and did not take leave as TLS wants it.
fn is_of_socket(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe
    )
}

fn reset(stream: &TcpStream) {
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}
