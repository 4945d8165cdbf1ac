//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand};
use ptvsd_client::{ConnectError, Fingerprint, Secret, Target, TlsOptions, TlsVersion};

/// The variable that holds the secret when nothing else says it.
const SECRET_VARIABLE: &str = "PTVSD_SECRET";

/// Debug programs that host a legacy ptvsd server (ptvsd 2.0 to 3.2) from any
/// editor that speaks the Debug Adapter Protocol.
#[derive(Debug, Parser)]
#[command(version, about)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Be a debug adapter: DAP on stdin and stdout, one session (the default)
    Dap(Dap),
    /// List the processes behind a connection target
    List(List),
    /// Find out what is in the way of an attach, without disturbing the program
    Doctor(Doctor),
    /// Free a program that a debugger left stopped, or attached, when it died
    Rescue(Rescue),
    /// Show the whole way on a real program: attach, break, look, step, detach
    Demo(Demo),
}

impl Default for Command {
    fn default() -> Self {
        Command::Dap(Dap {
            listen: None,
            allow_remote: false,
        })
    }
}

#[derive(Debug, Args)]
pub(crate) struct Dap {
    /// Listen here instead, for any number of sessions side by side
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) listen: Option<SocketAddr>,
    /// Let --listen take an address that other machines reach. Whoever
    /// reaches it can run code in every program that this machine reaches
    #[arg(long, requires = "listen")]
    pub(crate) allow_remote: bool,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    pub(crate) target: TargetArguments,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    #[command(flatten)]
    pub(crate) target: TargetArguments,
    /// Attach as well, and detach
    #[arg(long)]
    pub(crate) attach: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Rescue {
    #[command(flatten)]
    pub(crate) target: TargetArguments,
}

#[derive(Debug, Args)]
pub(crate) struct TargetArguments {
    /// tcp://secret@host:5678; scheme, secret and port may be left out.
    /// Reserved characters in the secret are percent-encoded
    target: String,
    /// Take the secret from this environment variable (PTVSD_SECRET is used
    /// when the target has none)
    #[arg(long, value_name = "NAME")]
    secret_env: Option<String>,
    /// How long to try, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 3.0)]
    timeout: f64,
    #[command(flatten)]
    tls: TlsArguments,
}

/// With a tcps:// target
#[derive(Debug, Args)]
#[command(next_help_heading = "TLS (tcps:// targets)")]
struct TlsArguments {
    /// Trust the certificates in this file (PEM or DER): authorities, or the
    /// server's own
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Trust the certificate with this SHA-256 fingerprint, and no other
    #[arg(long, value_name = "AB:CD:...")]
    fingerprint: Option<Fingerprint>,
    /// The name that the certificate must bear, if not the host's
    #[arg(long, value_name = "NAME")]
    server_name: Option<String>,
    /// The least version: 1.0 or 1.2
    #[arg(long, value_name = "VERSION", default_value = "1.0")]
    min_version: TlsVersion,
    /// Believe whoever answers, and give them the secret
    #[arg(long)]
    no_verify: bool,
}

impl TlsArguments {
    fn options(&self) -> TlsOptions {
        TlsOptions {
            ca_file: self.ca_file.clone(),
            fingerprint: self.fingerprint,
            server_name: self.server_name.clone(),
            min_version: self.min_version,
            verify: !self.no_verify,
        }
    }
}

/// The arguments that ask for this.
fn flags(options: &TlsOptions) -> String {
    let mut flags = Vec::new();
    if let Some(file) = &options.ca_file {
        flags.push(format!("--ca-file \"{}\"", file.display()));
    }
    if let Some(fingerprint) = &options.fingerprint {
        flags.push(format!("--fingerprint {fingerprint}"));
    }
    if let Some(name) = &options.server_name {
        flags.push(format!("--server-name {name}"));
    }
    if options.min_version == TlsVersion::V1_2 {
        flags.push("--min-version 1.2".to_owned());
    }
    flags.join(" ")
}

/// What to do about an error, where that is more than its own text says.
pub(crate) fn remedy(error: &ConnectError) -> Option<String> {
    match error {
        ConnectError::Untrusted { refusal, .. } => Some(format!(
            "If you know the certificate to be right (compare its fingerprint with that of the \
             file, where the program runs), accept it: {}",
            flags(&refusal.accepting)
        )),
        _ => None,
    }
}

impl TargetArguments {
    pub(crate) fn target(&self) -> Result<Target> {
        let mut target: Target = self.target.parse()?;
        target.tls = Box::new(self.tls.options());
        if let Some(name) = &self.secret_env {
            let secret = std::env::var(name)
                .with_context(|| format!("--secret-env: the variable {name} is not set"))?;
            target.secret = Secret::from(secret);
        } else if target.secret.is_empty()
            && let Ok(secret) = std::env::var(SECRET_VARIABLE)
        {
            target.secret = Secret::from(secret);
        }
        Ok(target)
    }

    pub(crate) fn limit(&self) -> Result<Duration> {
        match Duration::try_from_secs_f64(self.timeout) {
            Ok(limit) if !limit.is_zero() => Ok(limit),
            _ => bail!(
                "--timeout: {} is no number of seconds to wait",
                self.timeout
            ),
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// The Python to run the program on [default: python3, or python, on PATH]
    #[arg(long, value_name = "PATH")]
    pub(crate) python: Option<PathBuf>,
    /// The release of ptvsd to run it under
    #[arg(long, value_name = "VERSION", default_value = "3.2.1")]
    pub(crate) ptvsd: String,
}
