//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand};
use ptvsd_client::{Secret, Target};

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
}

impl TargetArguments {
    pub(crate) fn target(&self) -> Result<Target> {
        let mut target: Target = self.target.parse()?;
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
