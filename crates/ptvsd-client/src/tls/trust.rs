//! Whom to believe: what a person says, and what the system knows.

use std::path::{Path, PathBuf};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::Fingerprint;

/// How a server's certificate is to be judged, and what may be spoken with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsOptions {
    /// A PEM or DER file: authorities, or the server's very certificate. In
    /// place of what the system trusts.
    pub ca_file: Option<PathBuf>,
    /// The one certificate that is accepted, whatever else is to be said of it.
    pub fingerprint: Option<Fingerprint>,
    /// The name that the certificate must bear, in place of the host's.
    pub server_name: Option<String>,
    /// The least version that may be agreed.
    pub min_version: TlsVersion,
    /// `false`: whoever answers is believed.
    pub verify: bool,
}

impl Default for TlsOptions {
    fn default() -> Self {
        TlsOptions {
            ca_file: None,
            fingerprint: None,
            server_name: None,
            min_version: TlsVersion::V1_0,
            verify: true,
        }
    }
}

/// A least version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsVersion {
    /// What the legacy servers speak.
    #[default]
    V1_0,
    /// What is still considered safe.
    V1_2,
}

impl std::str::FromStr for TlsVersion {
    type Err = String;

    fn from_str(text: &str) -> Result<TlsVersion, String> {
        match text {
            "1.0" => Ok(TlsVersion::V1_0),
            "1.2" => Ok(TlsVersion::V1_2),
            other => Err(format!("{other:?} is not one of \"1.0\" and \"1.2\"")),
        }
    }
}

/// Certificates that are believed because somebody said so.
#[derive(Debug, Default)]
pub(super) struct Anchors(pub(super) Vec<CertificateDer<'static>>);

impl Anchors {
    /// Those of the file. An error names it.
    pub(super) fn of_file(path: &Path) -> Result<Anchors, String> {
        let shown = path.display();
        let bytes = std::fs::read(path)
            .map_err(|error| format!("the file of trusted certificates {shown}: {error}"))?;
        let mut certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&bytes)
            .collect::<Result<_, _>>()
            .map_err(|error| {
                format!("the file of trusted certificates {shown} is damaged: {error}")
            })?;
        // As Windows exports one.
        if certificates.is_empty() && X509Certificate::from_der(&bytes).is_ok() {
            certificates.push(CertificateDer::from(bytes));
        }
        if certificates.is_empty() {
            return Err(format!(
                "the file of trusted certificates {shown} holds no certificate, neither as text \
                 (-----BEGIN CERTIFICATE-----) nor as DER"
            ));
        }
        Ok(Anchors(certificates))
    }

    /// Those of the system: what cannot be read of them is left out.
    pub(super) fn of_system() -> Anchors {
        let loaded = rustls_native_certs::load_native_certs();
        for error in &loaded.errors {
            tracing::debug!(%error, "the system's trusted certificates");
        }
        Anchors(loaded.certs)
    }
}
