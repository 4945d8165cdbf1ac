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

use rustls::pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use super::certificate::day;
use super::trust::Anchors;
use super::{Certificate, Fingerprint, TlsOptions, names, old};

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
        if self.allows_old && old::is_issued(self.leaf, &self.anchors.0, time) {
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
        let algorithms = old::algorithms();
        let algorithms = if self.allows_old {
            &algorithms
        } else {
            webpki::ALL_VERIFICATION_ALGS
        };
        leaf.verify_for_usage(
            algorithms,
            &anchors,
            self.others,
            time,
            KeyUsage::server_auth(),
            None,
            None,
        )
        .map(|_| ())
    }
}
