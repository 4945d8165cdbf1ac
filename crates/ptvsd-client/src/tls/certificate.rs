//! What a certificate says, for people and for the verdict.

use std::fmt;
use std::str::FromStr;

use ring::digest::{SHA256, digest};
use x509_parser::prelude::{FromDer, X509Certificate, X509Name};
use x509_parser::time::ASN1Time;

/// SHA-256 of a whole certificate. Shown as OpenSSL shows it:
/// `AB:CD:…`, 32 pairs.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Of the certificate in DER.
    pub(crate) fn of(certificate: &[u8]) -> Fingerprint {
        let mut bytes = [0; 32];
        for (to, from) in bytes.iter_mut().zip(digest(&SHA256, certificate).as_ref()) {
            *to = *from;
        }
        Fingerprint(bytes)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            let colon = if index == 0 { "" } else { ":" };
            write!(f, "{colon}{byte:02X}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Not a SHA-256 fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no SHA-256 fingerprint: that is 64 hexadecimal digits, with or without colons, as \
     `openssl x509 -in cert.cer -noout -fingerprint -sha256` prints it"
)]
pub struct FingerprintError(String);

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    /// With what OpenSSL prints before it, too.
    fn from_str(text: &str) -> Result<Fingerprint, FingerprintError> {
        let wrong = || FingerprintError(text.to_owned());
        let digits = text.rsplit_once('=').map_or(text, |(_, digits)| digits);
        let digits: Vec<u8> = digits
            .chars()
            .filter(|c| !matches!(c, ':' | ' ' | '-'))
            .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
            .collect::<Option<_>>()
            .ok_or_else(wrong)?;
        if digits.len() != 64 {
            return Err(wrong());
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = pair.iter().fold(0, |byte, digit| (byte << 4) | digit);
        }
        Ok(Fingerprint(bytes))
    }
}

/// A certificate, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// `CN=myvm, O=Example`.
    pub subject: String,
    /// The same of who signed it.
    pub issuer: String,
    /// Host names and addresses that it is for; the common name if it has no
    /// list of them.
    pub names: Vec<String>,
    /// Seconds since 1970, as are all times here.
    pub not_before: i64,
    /// The last second in which it is good.
    pub not_after: i64,
    /// Of the whole.
    pub fingerprint: Fingerprint,
    /// It says of itself who it is, and nobody else does.
    pub is_self_signed: bool,
}

impl Certificate {
    /// Absent if it cannot be read.
    pub(super) fn read(der: &[u8]) -> Option<Certificate> {
        let (_, parsed) = X509Certificate::from_der(der).ok()?;
        Some(Certificate {
            subject: shown(parsed.subject()),
            issuer: shown(parsed.issuer()),
            names: super::names::of(&parsed),
            not_before: parsed.validity().not_before.timestamp(),
            not_after: parsed.validity().not_after.timestamp(),
            fingerprint: Fingerprint::of(der),
            is_self_signed: parsed.subject().as_raw() == parsed.issuer().as_raw(),
        })
    }
}

impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "subject {}; issuer {}; valid from {} to {}; SHA-256 fingerprint {}",
            self.subject,
            self.issuer,
            day(self.not_before),
            day(self.not_after),
            self.fingerprint
        )
    }
}

fn shown(name: &X509Name<'_>) -> String {
    let text = name.to_string();
    if text.is_empty() {
        "(empty)".to_owned()
    } else {
        text
    }
}

/// `2026-11-26`, in UTC.
pub(super) fn day(seconds: i64) -> String {
    ASN1Time::from_timestamp(seconds).map_or_else(
        |_| format!("second {seconds}"),
        |time| time.to_datetime().date().to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_read_as_it_is_shown_and_as_openssl_prints_it() {
        let fingerprint = Fingerprint::of(b"abc");
        let shown = fingerprint.to_string();
        assert!(shown.starts_with("BA:78:16:BF:"), "{shown}");
        assert_eq!(shown.len(), 95);
        for text in [
            shown.clone(),
            shown.to_lowercase(),
            shown.replace(':', ""),
            format!("sha256 Fingerprint={shown}"),
        ] {
            assert_eq!(text.parse(), Ok(fingerprint), "{text}");
        }
        for text in ["", "AB:CD", &shown[2..], &shown.replace("BA", "XY")] {
            assert!(text.parse::<Fingerprint>().is_err(), "{text}");
        }
    }
}
