//! TLS from 1.0 on, by OpenSSL.

use std::pin::Pin;

use openssl::error::ErrorStack;
use openssl::ssl::{Ssl, SslContext, SslMethod, SslVerifyMode, SslVersion};
use rustls::pki_types::CertificateDer;
use tokio_openssl::SslStream;

use super::{Shaken, TlsVersion, Unshaken};
use crate::Target;
use crate::transport::{Tcp, Transport};

/// All that prove who they are and encrypt, also those that OpenSSL's own
/// rules have given up since: at level 0.
const CIPHERS: &str = "ALL:!aNULL:!eNULL:@SECLEVEL=0";

pub(super) async fn handshake(tcp: Tcp, target: &Target) -> Result<Shaken, Unshaken> {
    let ssl = prepare(target).map_err(|error| Unshaken::Failed(error.to_string()))?;
    let mut stream =
        SslStream::new(ssl, tcp).map_err(|error| Unshaken::Failed(error.to_string()))?;
    Pin::new(&mut stream)
        .connect()
        .await
        .map_err(|error| Unshaken::Failed(reason(&error)))?;
    let ssl = stream.ssl();
    // For a client, the server's own certificate is among them.
    let chain = ssl
        .peer_cert_chain()
        .into_iter()
        .flatten()
        .filter_map(|certificate| certificate.to_der().ok())
        .map(CertificateDer::from)
        .collect();
    let is_outdated = !matches!(
        ssl.version2(),
        Some(SslVersion::TLS1_2 | SslVersion::TLS1_3)
    );
    Ok(Shaken {
        version: ssl.version_str().to_owned(),
        cipher: ssl
            .current_cipher()
            .map(|cipher| cipher.name().to_owned())
            .unwrap_or_default(),
        is_outdated,
        chain,
        transport: Box::new(stream),
    })
}

fn prepare(target: &Target) -> Result<Ssl, ErrorStack> {
    let mut context = SslContext::builder(SslMethod::tls_client())?;
    // The verdict comes later, as for the other stack.
    context.set_verify(SslVerifyMode::NONE);
    context.set_security_level(0);
    // A read of the system for all that has come, and not two for each record:
    // a bare server sends hundreds of small ones for a step.
    context.set_read_ahead(true);
    context.set_cipher_list(CIPHERS)?;
    context.set_min_proto_version(Some(match target.tls.min_version {
        TlsVersion::V1_0 => SslVersion::TLS1,
        TlsVersion::V1_2 => SslVersion::TLS1_2,
    }))?;
    let mut ssl = Ssl::new(&context.build())?;
    let host = target.tls.server_name.as_ref().unwrap_or(&target.host);
    if host.parse::<std::net::IpAddr>().is_err() {
        ssl.set_hostname(host)?;
    }
    Ok(ssl)
}

/// The first cause, without OpenSSL's own places and numbers.
fn reason(error: &openssl::ssl::Error) -> String {
    error
        .ssl_error()
        .and_then(|stack| stack.errors().first())
        .and_then(openssl::error::Error::reason)
        .map_or_else(|| error.to_string(), str::to_owned)
}

impl Transport for SslStream<Tcp> {
    fn reset_when_dropped(&self, reset: bool) {
        self.get_ref().reset_when_dropped(reset);
    }
}
