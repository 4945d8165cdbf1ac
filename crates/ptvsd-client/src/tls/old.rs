//! Certificates as they were made when the legacy servers were: by authorities
//! of a person's own, with keys of 1024 bits, SHA-1, and no extensions.
//!
//! Too weak for authorities of the whole world; good enough for one that a
//! person has named.

use ring::signature;
use rustls::pki_types::{
    AlgorithmIdentifier, CertificateDer, InvalidSignature, SignatureVerificationAlgorithm,
    UnixTime, alg_id,
};
use x509_parser::asn1_rs::Any;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::{FromDer, X509Certificate, X509Version};

/// All signatures that are understood, those of today first.
pub(super) fn algorithms() -> Vec<&'static dyn SignatureVerificationAlgorithm> {
    [webpki::ALL_VERIFICATION_ALGS, &OLD].concat()
}

/// Whether one of the authorities has signed it with its own hands, by the rules
/// from before there were extensions. What webpki does not take for a server's
/// certificate may be that all the same: one of version 1, or one that is
/// marked as an authority.
pub(super) fn is_issued(der: &[u8], anchors: &[CertificateDer<'_>], time: UnixTime) -> bool {
    let Ok((_, leaf)) = X509Certificate::from_der(der) else {
        return false;
    };
    // What it says it must not be used for without understanding.
    let understood = leaf.extensions().iter().all(|extension| {
        !extension.critical
            || matches!(
                extension.parsed_extension(),
                ParsedExtension::BasicConstraints(_)
                    | ParsedExtension::KeyUsage(_)
                    | ParsedExtension::ExtendedKeyUsage(_)
                    | ParsedExtension::SubjectAlternativeName(_)
            )
    });
    let serves = match leaf.extended_key_usage() {
        Ok(Some(usage)) => usage.value.server_auth || usage.value.any,
        Ok(None) => true,
        Err(_) => false,
    };
    understood
        && serves
        && anchors.iter().any(|anchor| {
            X509Certificate::from_der(anchor).is_ok_and(|(_, anchor)| {
                anchor.subject().as_raw() == leaf.issuer().as_raw()
                    && may_issue(&anchor, time)
                    && is_signed_by(der, &anchor).unwrap_or(false)
            })
        })
}

fn is_signed_by(der: &[u8], anchor: &X509Certificate<'_>) -> Option<bool> {
    let Signed {
        message,
        algorithm,
        signature,
    } = Signed::read(der)?;
    let key = algorithm_of_key(anchor.public_key().raw)?;
    let fits = |candidate: &&&dyn SignatureVerificationAlgorithm| {
        candidate.public_key_alg_id().as_ref() == key
            && candidate.signature_alg_id().as_ref() == algorithm
    };
    let bits = &anchor.public_key().subject_public_key.data;
    Some(
        algorithms()
            .iter()
            .filter(fits)
            .any(|with| with.verify_signature(bits, message, signature).is_ok()),
    )
}

/// Whether an authority may, by what it says of itself.
fn may_issue(anchor: &X509Certificate<'_>, time: UnixTime) -> bool {
    let is_authority = match anchor.basic_constraints() {
        Ok(Some(constraints)) => constraints.value.ca,
        Ok(None) => anchor.version() == X509Version::V1,
        Err(_) => false,
    };
    let may_sign = match anchor.key_usage() {
        Ok(Some(usage)) => usage.value.key_cert_sign(),
        Ok(None) => true,
        Err(_) => false,
    };
    let is_unconstrained = matches!(anchor.name_constraints(), Ok(None));
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    let is_valid = (anchor.validity().not_before.timestamp()
        ..=anchor.validity().not_after.timestamp())
        .contains(&seconds);
    is_authority && may_sign && is_unconstrained && is_valid
}

/// The three parts of a certificate.
struct Signed<'a> {
    message: &'a [u8],
    /// Without its outermost tag and length, as [`AlgorithmIdentifier`] is.
    algorithm: &'a [u8],
    signature: &'a [u8],
}

impl<'a> Signed<'a> {
    fn read(der: &'a [u8]) -> Option<Signed<'a>> {
        let (_, whole) = Any::from_der(der).ok()?;
        let rest = whole.data;
        let (after, _) = Any::from_der(rest).ok()?;
        let message = rest.get(..rest.len().checked_sub(after.len())?)?;
        let (after, algorithm) = Any::from_der(after).ok()?;
        let (_, bits) = Any::from_der(after).ok()?;
        Some(Signed {
            message,
            algorithm: algorithm.data,
            // The first byte counts bits that do not belong to it: none.
            signature: bits.data.strip_prefix(&[0])?,
        })
    }
}

/// Of a `SubjectPublicKeyInfo`.
fn algorithm_of_key(der: &[u8]) -> Option<&[u8]> {
    let (_, whole) = Any::from_der(der).ok()?;
    let (_, algorithm) = Any::from_der(whole.data).ok()?;
    Some(algorithm.data)
}

/// Signatures that are too weak for the world, and were usual when the legacy
/// servers were.
static OLD: [&dyn SignatureVerificationAlgorithm; 3] = [
    &OldRsa {
        signature_alg_id: RSA_SHA1,
        verification: &signature::RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY,
    },
    &OldRsa {
        signature_alg_id: alg_id::RSA_PKCS1_SHA256,
        verification: &signature::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
    },
    &OldRsa {
        signature_alg_id: alg_id::RSA_PKCS1_SHA512,
        verification: &signature::RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY,
    },
];

/// `sha1WithRSAEncryption` (1.2.840.113549.1.1.5), and no parameters.
const RSA_SHA1: AlgorithmIdentifier = AlgorithmIdentifier::from_slice(&[
    0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x05, 0x05, 0x00,
]);

#[derive(Debug)]
struct OldRsa {
    signature_alg_id: AlgorithmIdentifier,
    verification: &'static signature::RsaParameters,
}

impl SignatureVerificationAlgorithm for OldRsa {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        signature::UnparsedPublicKey::new(self.verification, public_key)
            .verify(message, signature)
            .map_err(|_| InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::RSA_ENCRYPTION
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.signature_alg_id
    }
}
