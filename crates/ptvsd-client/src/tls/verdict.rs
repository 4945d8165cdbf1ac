//! Whether the server is believed. One judge for both stacks.
//!
//! In this order:
//!
//! 1. A fingerprint, if one is given, decides alone: this certificate and no
//!    other, whatever its names and dates.
//! 2. A certificate that is itself among the trusted ones is believed, though
//!    it be self-signed and marked as an authority: such are the certificates
//!    that ptvsd's users were told to make, and told to trust.
//! 3. Otherwise an authority must have issued it: by webpki's rules, and, for
//!    authorities of a person's own, also as old tools made certificates
//!    (`openssl x509 -req` without extensions; 1024 bits; SHA-1).
//!
//! In the last two cases its dates and its names must fit as well.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ring::signature;
use rustls::pki_types::{
    AlgorithmIdentifier, CertificateDer, InvalidSignature, SignatureVerificationAlgorithm,
    UnixTime, alg_id,
};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};
use x509_parser::asn1_rs::Any;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::{FromDer, X509Certificate, X509Version};

use super::certificate::day;
use super::trust::Anchors;
use super::{Certificate, Fingerprint, TlsOptions, names};

/// Why a server was believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trusted {
    /// Its certificate is the one that was asked for.
    ByFingerprint,
    /// By the file that was given.
    ByFile,
    /// By what the system trusts.
    BySystem,
    /// It was not asked for; what there would have been to say against it.
    Unverified(Vec<Reason>),
}

impl fmt::Display for Trusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trusted::ByFingerprint => f.write_str("trusted by its fingerprint"),
            Trusted::ByFile => f.write_str("trusted by the given file"),
            Trusted::BySystem => f.write_str("trusted by this system"),
            Trusted::Unverified(reasons) if reasons.is_empty() => f.write_str("not verified"),
            Trusted::Unverified(reasons) => write!(f, "not verified: {}", Reasons(reasons)),
        }
    }
}

/// What speaks against a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// Not the one that was asked for.
    Changed {
        /// The one that was.
        wanted: Fingerprint,
    },
    /// Its own authority, and not trusted itself.
    SelfSigned {
        /// Where it would have to be.
        place: &'static str,
    },
    /// Nobody who is trusted has issued it.
    UnknownIssuer {
        /// Who has.
        issuer: String,
        /// Where that authority would have to be.
        place: &'static str,
    },
    /// The way to an authority has a fault.
    BadChain(String),
    /// For other hosts.
    WrongName {
        /// The one that was connected to.
        host: String,
        /// Those that it is for.
        names: Vec<String>,
    },
    /// Its time is over. Seconds since 1970.
    Expired(i64),
    /// Its time is to come. Seconds since 1970.
    NotYetValid(i64),
    /// Not a certificate, as far as can be seen.
    Unreadable,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Changed { wanted } => write!(
                f,
                "it is not the one that was pinned ({wanted}): the server's certificate has \
                 changed since, or somebody else answers in its place"
            ),
            Reason::SelfSigned { place } => {
                write!(f, "it is not trusted: self-signed, and not in {place}")
            }
            Reason::UnknownIssuer { issuer, place } => write!(
                f,
                "it is not trusted: issued by {issuer}, which is not in {place}"
            ),
            Reason::BadChain(why) => write!(f, "it is not trusted: {why}"),
            Reason::WrongName { host, names } if names.is_empty() => {
                write!(
                    f,
                    "its name does not match: it bears none, and {host:?} is wanted"
                )
            }
            Reason::WrongName { host, names } => write!(
                f,
                "its name does not match: it is for {}, and {host:?} is wanted",
                names
                    .iter()
                    .map(|name| format!("{name:?}"))
                    .collect::<Vec<_>>()
                    .join(", ")
            ),
            Reason::Expired(when) => write!(f, "it has expired, on {}", day(*when)),
            Reason::NotYetValid(when) => write!(f, "it is not valid before {}", day(*when)),
            Reason::Unreadable => f.write_str("it cannot be read as a certificate"),
        }
    }
}

/// Several, in one sentence.
struct Reasons<'a>(&'a [Reason]);

impl fmt::Display for Reasons<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, reason) in self.0.iter().enumerate() {
            let and = if index == 0 { "" } else { "; and " };
            write!(f, "{and}{reason}")?;
        }
        Ok(())
    }
}

/// A server that is not believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// One at least.
    pub reasons: Vec<Reason>,
    /// Its certificate, if it can be read.
    pub certificate: Option<Certificate>,
    /// What would have to be asked for to have it accepted.
    pub accepting: TlsOptions,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Reasons(&self.reasons))?;
        match &self.certificate {
            Some(certificate) => write!(f, " ({certificate})"),
            None => Ok(()),
        }
    }
}

/// Why there is no belief.
#[derive(Debug)]
pub(super) enum Unjudged {
    Refused(Box<Refusal>),
    /// What is trusted cannot be read.
    Roots(String),
}

/// Judges the certificate that a server has shown, its own first. Reads files.
pub(super) fn judge(
    chain: &[CertificateDer<'_>],
    options: &TlsOptions,
    host: &str,
    now: SystemTime,
) -> Result<(Fingerprint, Trusted), Unjudged> {
    let (leaf, others) = match chain.split_first() {
        Some((leaf, others)) => (leaf.as_ref(), others),
        None => (&[][..], &[][..]),
    };
    let fingerprint = Fingerprint::of(leaf);
    let host = options.server_name.as_deref().unwrap_or(host);
    let certificate = Certificate::read(leaf);
    let (reasons, by) = if let Some(wanted) = options.fingerprint {
        let changed = (wanted != fingerprint).then_some(Reason::Changed { wanted });
        (changed.into_iter().collect(), Trusted::ByFingerprint)
    } else if let Some(certificate) = &certificate {
        let (anchors, place, by) = match &options.ca_file {
            Some(file) => (
                Anchors::of_file(file).map_err(Unjudged::Roots)?,
                "the given file",
                Trusted::ByFile,
            ),
            None => (
                Anchors::of_system(),
                "what this system trusts",
                Trusted::BySystem,
            ),
        };
        let trial = Trial {
            leaf,
            others,
            certificate,
            anchors: &anchors,
            place,
            allows_old: options.ca_file.is_some(),
        };
        (trial.reasons(host, now), by)
    } else {
        (vec![Reason::Unreadable], Trusted::BySystem)
    };
    if !options.verify {
        return Ok((fingerprint, Trusted::Unverified(reasons)));
    }
    if reasons.is_empty() {
        return Ok((fingerprint, by));
    }
    let accepting = accepting(&reasons, certificate.as_ref(), fingerprint, options);
    Err(Unjudged::Refused(Box::new(Refusal {
        reasons,
        certificate,
        accepting,
    })))
}

/// The least change of what was asked for under which this certificate would
/// be accepted.
fn accepting(
    reasons: &[Reason],
    certificate: Option<&Certificate>,
    fingerprint: Fingerprint,
    options: &TlsOptions,
) -> TlsOptions {
    let mut accepting = options.clone();
    let its_name = certificate
        .and_then(|certificate| certificate.names.first())
        // A pattern is no name of a host.
        .filter(|name| !name.contains('*'));
    match (reasons, its_name) {
        ([Reason::WrongName { .. }], Some(name)) => accepting.server_name = Some(name.clone()),
        _ => {
            accepting.fingerprint = Some(fingerprint);
            accepting.ca_file = None;
            accepting.server_name = None;
        }
    }
    accepting
}

/// What is to be judged, and by what.
struct Trial<'a> {
    leaf: &'a [u8],
    others: &'a [CertificateDer<'a>],
    certificate: &'a Certificate,
    anchors: &'a Anchors,
    place: &'static str,
    /// A person's own authorities may use what has become too weak for those
    /// of the whole world.
    allows_old: bool,
}

impl Trial<'_> {
    fn reasons(&self, host: &str, now: SystemTime) -> Vec<Reason> {
        let certificate = self.certificate;
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        let dates = if now > certificate.not_after {
            Some(Reason::Expired(certificate.not_after))
        } else if now < certificate.not_before {
            Some(Reason::NotYetValid(certificate.not_before))
        } else {
            None
        };
        // At a time when it was good itself, so that the rest shows too.
        let then = now.clamp(
            certificate.not_before,
            certificate.not_after.max(certificate.not_before),
        );
        let then = Duration::from_secs(u64::try_from(then).unwrap_or_default());
        let name = (!names::any_is(&certificate.names, host)).then(|| Reason::WrongName {
            host: host.to_owned(),
            names: certificate.names.clone(),
        });
        let trust = self.distrust(UnixTime::since_unix_epoch(then));
        trust.into_iter().chain(name).chain(dates).collect()
    }

    /// What speaks against its origin.
    fn distrust(&self, time: UnixTime) -> Option<Reason> {
        if self
            .anchors
            .0
            .iter()
            .any(|anchor| anchor.as_ref() == self.leaf)
        {
            return None;
        }
        if self.certificate.is_self_signed {
            return Some(Reason::SelfSigned { place: self.place });
        }
        let why = match self.issued(time) {
            Ok(()) => return None,
            Err(why) => why,
        };
        if self.allows_old && self.issued_as_of_old(time) {
            return None;
        }
        Some(match why {
            webpki::Error::UnknownIssuer => Reason::UnknownIssuer {
                issuer: self.certificate.issuer.clone(),
                place: self.place,
            },
            webpki::Error::CertExpired { .. } => {
                Reason::BadChain("an authority's own certificate has expired".to_owned())
            }
            webpki::Error::CaUsedAsEndEntity => {
                Reason::BadChain("it is marked as an authority, which a server is not".to_owned())
            }
            webpki::Error::UnsupportedCertVersion => Reason::BadChain(
                "it is of version 1, which only an authority in a file of yours may issue"
                    .to_owned(),
            ),
            other => Reason::BadChain(format!("its chain of authorities is faulty ({other})")),
        })
    }

    /// By webpki's rules.
    fn issued(&self, time: UnixTime) -> Result<(), webpki::Error> {
        let leaf = CertificateDer::from(self.leaf);
        let leaf = EndEntityCert::try_from(&leaf)?;
        let anchors: Vec<_> = self
            .anchors
            .0
            .iter()
            .filter_map(|anchor| anchor_from_trusted_cert(anchor).ok())
            .collect();
        leaf.verify_for_usage(
            &self.algorithms(),
            &anchors,
            self.others,
            time,
            KeyUsage::server_auth(),
            None,
            None,
        )
        .map(|_| ())
    }

    fn algorithms(&self) -> Vec<&'static dyn SignatureVerificationAlgorithm> {
        let old: &[&dyn SignatureVerificationAlgorithm] = if self.allows_old { &OLD } else { &[] };
        [webpki::ALL_VERIFICATION_ALGS, old].concat()
    }

    /// Whether a trusted authority has signed it with its own hands, by the
    /// rules from before there were extensions. What webpki does not take for
    /// a server's certificate may be that all the same: one of version 1, or
    /// one that is marked as an authority.
    fn issued_as_of_old(&self, time: UnixTime) -> bool {
        let Ok((_, leaf)) = X509Certificate::from_der(self.leaf) else {
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
            && self.anchors.0.iter().any(|anchor| {
                X509Certificate::from_der(anchor).is_ok_and(|(_, anchor)| {
                    anchor.subject().as_raw() == leaf.issuer().as_raw()
                        && may_issue(&anchor, time)
                        && self.is_signed_by(&anchor).unwrap_or(false)
                })
            })
    }

    fn is_signed_by(&self, anchor: &X509Certificate<'_>) -> Option<bool> {
        let Signed {
            message,
            algorithm,
            signature,
        } = Signed::read(self.leaf)?;
        let key = algorithm_of_key(anchor.public_key().raw)?;
        let fits = |candidate: &&&dyn SignatureVerificationAlgorithm| {
            candidate.public_key_alg_id().as_ref() == key
                && candidate.signature_alg_id().as_ref() == algorithm
        };
        let algorithms = self.algorithms();
        let bits = &anchor.public_key().subject_public_key.data;
        Some(
            algorithms
                .iter()
                .filter(fits)
                .any(|with| with.verify_signature(bits, message, signature).is_ok()),
        )
    }
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
