//! TLS 1.2 and 1.3, by rustls.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{self, WebPkiSupportedAlgorithms, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, ProtocolVersion, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{Shaken, Unshaken};
use crate::Target;
use crate::transport::{Tcp, Transport};

pub(super) async fn handshake(opening: Opening, target: &Target) -> Result<Shaken, Unshaken> {
    let failed = |error: rustls::Error| Unshaken::Failed(error.to_string());
    let provider = Arc::new(ring::default_provider());
    let verifier = LaterVerdict(provider.signature_verification_algorithms);
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(failed)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    let host = target.tls.server_name.as_ref().unwrap_or(&target.host);
    let name = ServerName::try_from(host.clone()).unwrap_or_else(|_| {
        // One that cannot be said to the server. Nothing else depends on it.
        config.enable_sni = false;
        ServerName::IpAddress(std::net::IpAddr::from([0, 0, 0, 0]).into())
    });
    let connecting = TlsConnector::from(Arc::new(config)).connect(name, opening);
    let stream = match connecting.into_fallible().await {
        Ok(stream) => stream,
        Err((_, opening)) if opening.was_unlucky => return Err(Unshaken::Unlucky),
        Err((error, opening)) => {
            return Err(match opening.first {
                first if !first.is_empty() && !is_tls(&first) => Unshaken::NotTls(first),
                _ => Unshaken::Failed(error.to_string()),
            });
        }
    };
    let (_, connection) = stream.get_ref();
    let version = match connection.protocol_version() {
        Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
        _ => "TLSv1.3",
    };
    let cipher = connection
        .negotiated_cipher_suite()
        .map(|suite| format!("{:?}", suite.suite()))
        .unwrap_or_default();
    let chain = connection
        .peer_certificates()
        .unwrap_or_default()
        .iter()
        .map(|certificate| certificate.clone().into_owned())
        .collect();
    Ok(Shaken {
        transport: Box::new(stream),
        version: version.to_owned(),
        cipher,
        is_outdated: false,
        chain,
    })
}

/// Whether a TLS record may begin like this: an alert (21) or a handshake
/// (22), of major version 3.
fn is_tls(first: &[u8]) -> bool {
    matches!(first, [21 | 22] | [21 | 22, 3, ..])
}

/// A connection that is about to become a channel. The legacy servers speak
/// first, and TLS servers do not: so one that has no TLS is recognised by how
/// it begins. And it must live on: a JSON server reads our first message as a
/// line, and its accept thread dies when that line comes to an end
/// (protocol-notes/traps.md). Without a line end it waits, until we reset.
#[derive(Debug)]
pub(super) struct Opening {
    tcp: Tcp,
    /// What came first.
    first: Vec<u8>,
    has_written: bool,
    was_unlucky: bool,
}

/// How much of what comes first is kept.
const FIRST: usize = 64;

impl Opening {
    pub(super) fn new(tcp: Tcp) -> Opening {
        Opening {
            tcp,
            first: Vec::new(),
            has_written: false,
            was_unlucky: false,
        }
    }

    pub(crate) fn tcp(&self) -> &Tcp {
        &self.tcp
    }
}

impl AsyncRead for Opening {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.tcp).poll_read(cx, buf);
        if self.first.len() < FIRST {
            let new = buf.filled().get(before..).unwrap_or_default();
            let wanted = new.len().min(FIRST);
            self.first
                .extend_from_slice(new.get(..wanted).unwrap_or_default());
        }
        read
    }
}

impl AsyncWrite for Opening {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if !self.has_written && buf.windows(2).any(|pair| pair == b"\r\n") {
            self.was_unlucky = true;
            return Poll::Ready(Err(io::ErrorKind::Interrupted.into()));
        }
        let written = Pin::new(&mut self.tcp).poll_write(cx, buf);
        self.has_written |= matches!(written, Poll::Ready(Ok(_)));
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

impl Transport for TlsStream<Opening> {
    fn reset_when_dropped(&self, reset: bool) {
        self.get_ref().0.tcp().reset_when_dropped(reset);
    }
}

/// Has the server prove that it holds the key of its certificate, and leaves
/// the certificate itself to the verdict that follows.
#[derive(Debug)]
struct LaterVerdict(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for LaterVerdict {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        crypto::verify_tls12_signature(message, certificate, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        crypto::verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
