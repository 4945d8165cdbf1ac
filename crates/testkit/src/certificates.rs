//! Certificates: the one that the users' document has them make, and those
//! that its command cannot make.

use std::fs;
use std::io::{ErrorKind, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

use anyhow::{Context, Result, bail};
use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
use openssl::x509::{X509, X509Builder, X509Name, X509NameRef};

/// The document's command.
const COMMAND: &str = "req -new -x509 -days 365 -nodes -out cert.cer -keyout cert.key";

const DAY: i64 = 24 * 60 * 60;

/// What a server shows and what proves that it may.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The certificate, and behind it those in between that lead to its
    /// authority: PEM.
    pub certificate: PathBuf,
    /// The private key: PEM.
    pub key: PathBuf,
    fingerprint: String,
}

impl Identity {
    /// The SHA-256 fingerprint of the certificate, as `AA:BB:…`.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.fingerprint.clone()
    }

    fn of_files(certificate: PathBuf, key: PathBuf) -> Result<Identity> {
        let first = X509::from_pem(&fs::read(&certificate)?)
            .with_context(|| format!("reading {}", certificate.display()))?;
        Ok(Identity {
            fingerprint: fingerprint(&first)?,
            certificate,
            key,
        })
    }
}

/// There is no `openssl` to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoOpenssl;

impl std::fmt::Display for NoOpenssl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("there is no program `openssl` to make the document's certificate with")
    }
}

impl std::error::Error for NoOpenssl {}

/// Makes a certificate in `folder` as the document says: with its command, the
/// prompts answered as a person would, `common_name` where it wants the host.
///
/// # Errors
///
/// [`NoOpenssl`], or what `openssl` said.
pub fn document(folder: &Path, common_name: &str) -> Result<Identity> {
    fs::create_dir_all(folder)?;
    let started = Command::new("openssl")
        .args(COMMAND.split(' '))
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut openssl = match started {
        Err(error) if error.kind() == ErrorKind::NotFound => bail!(NoOpenssl),
        started => started.context("starting openssl")?,
    };
    // Country, state, locality, organization, unit, name, e-mail address.
    let answers =
        format!("GB\nKent\nFaversham\nExample Ltd\nTools\n{common_name}\nops@example.com\n");
    let mut stdin = openssl.stdin.take().context("no stdin")?;
    let answered = stdin.write_all(answers.as_bytes());
    drop(stdin);
    let ended = openssl.wait_with_output()?;
    if !ended.status.success() {
        bail!(
            "openssl {COMMAND}: {}",
            String::from_utf8_lossy(&ended.stderr)
        );
    }
    answered.context("answering openssl")?;
    Identity::of_files(folder.join("cert.cer"), folder.join("cert.key"))
}

/// The SHA-256 fingerprint of a certificate, as `AA:BB:…`.
///
/// # Errors
///
/// OpenSSL's.
pub fn fingerprint(certificate: &X509) -> Result<String> {
    let digest = certificate.digest(MessageDigest::sha256())?;
    let pairs: Vec<String> = digest.iter().map(|byte| format!("{byte:02X}")).collect();
    Ok(pairs.join(":"))
}

/// Says what is in a certificate. Without more than a common name: valid since
/// yesterday and for a month, 2048 bits of RSA, SHA-256, version 3 without
/// extensions.
#[derive(Debug, Clone)]
pub struct Recipe {
    common_name: String,
    alternatives: Vec<Alternative>,
    /// From when to when, in days from now.
    days: (i64, i64),
    bits: u32,
    is_sha1: bool,
    /// X.509 counts from 0.
    version: i32,
    is_authority: Option<bool>,
}

#[derive(Debug, Clone)]
enum Alternative {
    Dns(String),
    Ip(IpAddr),
}

impl Recipe {
    /// For this name; the empty one leaves the subject empty.
    #[must_use]
    pub fn new(common_name: &str) -> Recipe {
        Recipe {
            common_name: common_name.to_owned(),
            alternatives: Vec::new(),
            days: (-1, 30),
            bits: 2048,
            is_sha1: false,
            version: 2,
            is_authority: None,
        }
    }

    /// Adds a host name as a subject alternative name.
    #[must_use]
    pub fn dns(mut self, name: &str) -> Recipe {
        self.alternatives.push(Alternative::Dns(name.to_owned()));
        self
    }

    /// Adds an address as a subject alternative name.
    #[must_use]
    pub fn ip(mut self, address: impl Into<IpAddr>) -> Recipe {
        self.alternatives.push(Alternative::Ip(address.into()));
        self
    }

    /// It was valid until yesterday.
    #[must_use]
    pub fn expired(mut self) -> Recipe {
        self.days = (-30, -1);
        self
    }

    /// It is valid from tomorrow on.
    #[must_use]
    pub fn not_yet_valid(mut self) -> Recipe {
        self.days = (1, 30);
        self
    }

    /// The length of its RSA key.
    #[must_use]
    pub fn rsa(mut self, bits: u32) -> Recipe {
        self.bits = bits;
        self
    }

    /// Signed with SHA-1.
    #[must_use]
    pub fn sha1(mut self) -> Recipe {
        self.is_sha1 = true;
        self
    }

    /// Says of itself whether it is an authority: `CA:TRUE` or `CA:FALSE`.
    #[must_use]
    pub fn authority(mut self, is_authority: bool) -> Recipe {
        self.is_authority = Some(is_authority);
        self
    }

    /// Version 1, which has no extensions: what `openssl x509 -req` made.
    #[must_use]
    pub fn version1(mut self) -> Recipe {
        self.version = 0;
        self
    }

    /// Makes it, signed by itself, as `cert.pem` and `key.pem` in `folder`.
    ///
    /// # Errors
    ///
    /// OpenSSL's and the system's.
    pub fn self_signed(&self, folder: &Path) -> Result<Identity> {
        let (certificate, key) = self.make(None)?;
        write(folder, &[&certificate], &key)
    }

    /// Makes it, signed by that authority, in the same files. `cert.pem` holds
    /// those in between, too.
    ///
    /// # Errors
    ///
    /// OpenSSL's and the system's.
    pub fn issued_by(&self, authority: &Authority, folder: &Path) -> Result<Identity> {
        let (certificate, key) = self.make(Some(authority))?;
        let chain: Vec<&X509> = [&certificate]
            .into_iter()
            .chain(&authority.between)
            .collect();
        write(folder, &chain, &key)
    }

    fn make(&self, issuer: Option<&Authority>) -> Result<(X509, PKey<Private>)> {
        let key = PKey::from_rsa(Rsa::generate(self.bits)?)?;
        let mut builder = X509Builder::new()?;
        builder.set_version(self.version)?;
        let mut serial = BigNum::new()?;
        serial.rand(64, MsbOption::ONE, false)?;
        builder.set_serial_number(serial.to_asn1_integer()?.as_ref())?;
        builder.set_not_before(in_days(self.days.0)?.as_ref())?;
        builder.set_not_after(in_days(self.days.1)?.as_ref())?;
        let subject = name(&self.common_name)?;
        builder.set_subject_name(&subject)?;
        let issuer_name: &X509NameRef = match issuer {
            Some(authority) => authority.certificate.subject_name(),
            None => &subject,
        };
        builder.set_issuer_name(issuer_name)?;
        builder.set_pubkey(&key)?;
        if let Some(is_authority) = self.is_authority {
            let mut constraints = BasicConstraints::new();
            constraints.critical();
            if is_authority {
                constraints.ca();
            }
            builder.append_extension(constraints.build()?)?;
        }
        if !self.alternatives.is_empty() {
            let mut names = SubjectAlternativeName::new();
            for alternative in &self.alternatives {
                match alternative {
                    Alternative::Dns(name) => names.dns(name),
                    Alternative::Ip(address) => names.ip(&address.to_string()),
                };
            }
            let names = names.build(&builder.x509v3_context(None, None))?;
            builder.append_extension(names)?;
        }
        let signer = issuer.map_or(&key, |authority| &authority.key);
        let digest = if self.is_sha1 {
            MessageDigest::sha1()
        } else {
            MessageDigest::sha256()
        };
        builder.sign(signer, digest)?;
        Ok((builder.build(), key))
    }
}

/// Who issues certificates.
#[derive(Debug, Clone)]
pub struct Authority {
    root: PathBuf,
    certificate: X509,
    key: PKey<Private>,
    /// From this one up to below the root.
    between: Vec<X509>,
}

impl Authority {
    /// A root of this name, whose certificate is `ca.pem` in `folder`.
    ///
    /// # Errors
    ///
    /// OpenSSL's and the system's.
    pub fn new(folder: &Path, name: &str) -> Result<Authority> {
        let (certificate, key) = Recipe::new(name).authority(true).make(None)?;
        fs::create_dir_all(folder)?;
        let root = folder.join("ca.pem");
        fs::write(&root, certificate.to_pem()?)?;
        Ok(Authority {
            root,
            certificate,
            key,
            between: Vec::new(),
        })
    }

    /// One of this name below this one.
    ///
    /// # Errors
    ///
    /// OpenSSL's.
    pub fn intermediate(&self, name: &str) -> Result<Authority> {
        let (certificate, key) = Recipe::new(name).authority(true).make(Some(self))?;
        let mut between = vec![certificate.clone()];
        between.extend_from_slice(&self.between);
        Ok(Authority {
            root: self.root.clone(),
            certificate,
            key,
            between,
        })
    }

    /// The root's certificate, PEM: what a debugger is to trust.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }
}

fn name(common_name: &str) -> Result<X509Name> {
    let mut name = X509Name::builder()?;
    if !common_name.is_empty() {
        name.append_entry_by_text("CN", common_name)?;
    }
    Ok(name.build())
}

fn in_days(days: i64) -> Result<Asn1Time> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    Ok(Asn1Time::from_unix(
        i64::try_from(now.as_secs())? + days * DAY,
    )?)
}

fn write(folder: &Path, chain: &[&X509], key: &PKey<Private>) -> Result<Identity> {
    fs::create_dir_all(folder)?;
    let (certificate_file, key_file) = (folder.join("cert.pem"), folder.join("key.pem"));
    let mut text = Vec::new();
    for certificate in chain {
        text.extend(certificate.to_pem()?);
    }
    fs::write(&certificate_file, text)?;
    fs::write(&key_file, key.private_key_to_pem_pkcs8()?)?;
    Identity::of_files(certificate_file, key_file)
}
