//! A Python program that runs under a real legacy server.
//!
//! ```no_run
//! use legacy_host::{ProgramBuilder, Release};
//! # fn main() -> anyhow::Result<()> {
//! let python = legacy_host::python::default().expect("a Python");
//! let program = ProgramBuilder::new(&python, Release::MAIN[5])
//!     .source("game.py", "print(input('Name? '))\n")
//!     .secret(Some("my_secret"))
//!     .start()?;
//! program.wait_for_prompt("Name?", std::time::Duration::from_secs(10))?;
//! program.write_stdin("Ada\n")?;
//! # Ok(())
//! # }
//! ```
//!
//! Nothing here connects to the port; that the server listens is read from
//! what the program prints.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};

use crate::cache::{self, ScratchFolder};
use crate::output::{Output, Seen};
use crate::process;
use crate::python::{Implementation, Python};
use crate::release::{self, Release};

/// The launcher that starts the server and then the script.
const HOSTED: &str = include_str!("hosted.py");
const HOSTED_NAME: &str = "ptvsd_hosted.py";

/// Lets a Python on OpenSSL 3 play an old server: each legacy release insists
/// on TLS 1.0, which such a library refuses by its own settings.
const OLD_TLS: &str = "\
openssl_conf = start
[start]
ssl_conf = ssl
[ssl]
system_default = old
[old]
MinProtocol = TLSv1
CipherString = DEFAULT:@SECLEVEL=0
";

/// A file for `OPENSSL_CONF`, under which a Python on OpenSSL 3 speaks the TLS
/// of the legacy servers.
///
/// # Errors
/// When it cannot be written.
pub fn old_tls_configuration() -> Result<PathBuf> {
    let name = "openssl.cnf";
    Ok(cache::own_file("old-tls", name, OLD_TLS)?.join(name))
}

/// How often a start is tried again because another process took the port.
const PORT_TRIES: u32 = 5;

/// The program to run.
#[derive(Debug, Clone)]
enum Script {
    Missing,
    File(PathBuf),
    Source { name: String, text: String },
}

/// Says how a program is to be started; [`start`](Self::start) starts it.
#[derive(Debug, Clone)]
pub struct ProgramBuilder {
    python: Python,
    release: Release,
    script: Script,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    folder: Option<PathBuf>,
    secret: Option<String>,
    address: Option<String>,
    port: u16,
    certificate: Option<(PathBuf, PathBuf)>,
    redirect_output: bool,
    wait_for_attach: bool,
    in_script: bool,
    ready_text: Option<String>,
    ready_limit: Option<Duration>,
}

impl ProgramBuilder {
    /// A program on `python` under `release`: no script yet, no secret, a free
    /// port, plain TCP, output redirected.
    #[must_use]
    pub fn new(python: &Python, release: Release) -> Self {
        Self {
            python: python.clone(),
            release,
            script: Script::Missing,
            arguments: Vec::new(),
            environment: Vec::new(),
            folder: None,
            secret: None,
            address: None,
            port: 0,
            certificate: None,
            redirect_output: true,
            wait_for_attach: false,
            in_script: false,
            ready_text: None,
            ready_limit: None,
        }
    }

    /// Runs this file.
    #[must_use]
    pub fn script(mut self, path: impl Into<PathBuf>) -> Self {
        self.script = Script::File(path.into());
        self
    }

    /// Runs this text, as a file of this name in a folder of its own that goes
    /// with the [`Program`].
    #[must_use]
    pub fn source(mut self, name: impl Into<String>, text: impl Into<String>) -> Self {
        self.script = Script::Source {
            name: name.into(),
            text: text.into(),
        };
        self
    }

    /// Adds arguments for the script.
    #[must_use]
    pub fn args<A: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Sets an environment variable. `PYTHONPATH` is added behind the release's.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Runs in this folder; the default is ours.
    #[must_use]
    pub fn cwd(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// What the debugger must give; `None` lets any in.
    #[must_use]
    pub fn secret(mut self, secret: Option<&str>) -> Self {
        self.secret = secret.map(str::to_owned);
        self
    }

    /// The port on 127.0.0.1; 0, the default, takes a free one.
    #[must_use]
    pub const fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Speaks TLS with this certificate and key, both PEM files. The program
    /// gets an `OPENSSL_CONF` under which TLS 1.0 works, unless `env` sets one.
    /// Only for a Python that [`can_serve_tls`](Python::can_serve_tls): another
    /// listens and then refuses every handshake.
    #[must_use]
    pub fn tls(mut self, certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.certificate = Some((certificate.into(), key.into()));
        self
    }

    /// The server's `redirect_output`: whether it sends prints to the debugger.
    #[must_use]
    pub const fn redirect_output(mut self, redirect: bool) -> Self {
        self.redirect_output = redirect;
        self
    }

    /// Holds the script at its begin until a debugger attaches.
    #[must_use]
    pub const fn wait_for_attach(mut self, wait: bool) -> Self {
        self.wait_for_attach = wait;
        self
    }

    /// Listens on this address instead of 127.0.0.1.
    #[must_use]
    pub fn address(mut self, address: impl Into<String>) -> Self {
        self.address = Some(address.into());
        self
    }

    /// True: the script calls `ptvsd.enable_attach` itself, with the port in
    /// `PTVSD_TEST_PORT`, the secret in `PTVSD_TEST_SECRET` (absent: none) and
    /// the files of [`tls`](Self::tls) in `PTVSD_TEST_CERTFILE` and
    /// `PTVSD_TEST_KEYFILE`. False, the default: our launcher does.
    #[must_use]
    pub const fn enable_attach_in_script(mut self, in_script: bool) -> Self {
        self.in_script = in_script;
        self
    }

    /// The text by which a script that calls `enable_attach` itself shows, on
    /// either stream and in a whole line or a prompt, that it has done so.
    /// Without it [`start`](Self::start) returns at once.
    #[must_use]
    pub fn ready_when(mut self, text: impl Into<String>) -> Self {
        self.ready_text = Some(text.into());
        self
    }

    /// How long the program may take to be ready: 30 s by default, 60 s for
    /// Jython, whose Java machine starts slowly.
    #[must_use]
    pub const fn ready_within(mut self, limit: Duration) -> Self {
        self.ready_limit = Some(limit);
        self
    }

    /// Starts the program and waits until its server listens.
    ///
    /// # Errors
    /// When the release cannot be had ([`release::fetch`]), or the program
    /// ends or stays silent before it is ready: with all that it printed.
    pub fn start(&self) -> Result<Program> {
        let python_path = release::python_path(self.release, &self.python)?;
        let mut tries = 1;
        loop {
            let port = if self.port == 0 {
                free_port()?
            } else {
                self.port
            };
            let program = self.spawn(&python_path, port)?;
            let Err(failed) = program.wait_until_ready(self) else {
                return Ok(program);
            };
            if self.port != 0 || tries == PORT_TRIES || !address_in_use(&program.output.seen()) {
                return Err(failed);
            }
            tries += 1;
        }
    }

    fn spawn(&self, python_path: &OsStr, port: u16) -> Result<Program> {
        let mut own_folder = None;
        let script = match &self.script {
            Script::Missing => bail!("no script was given to run"),
            Script::File(path) => path.clone(),
            Script::Source { name, text } => {
                let folder = ScratchFolder::new_in(&std::env::temp_dir().join("ptvsd-bridge"))?;
                let path = folder.path().join(name);
                fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
                own_folder = Some(folder);
                path
            }
        };
        // The server shows this very name in its frames and module list.
        let script = std::path::absolute(&script)
            .with_context(|| format!("making {} absolute", script.display()))?;

        let mut command = Command::new(&self.python.path);
        if !self.in_script {
            command.arg(cache::own_file("launcher", HOSTED_NAME, HOSTED)?.join(HOSTED_NAME));
        }
        command.arg(&script).args(&self.arguments);
        self.set_environment(&mut command, python_path, port)?;
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| {
            format!("starting {} ({})", self.python, self.python.path.display())
        })?;
        let stdin = child.stdin.take();
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            bail!("the program's output is not ours to read");
        };
        Ok(Program {
            name: format!(
                "{} under {} on {}",
                script.display(),
                self.release,
                self.python
            ),
            script,
            pid: child.id(),
            port,
            child: Mutex::new(child),
            stdin: Mutex::new(stdin),
            output: Output::of(stdout, stderr),
            _own_folder: own_folder,
        })
    }

    fn set_environment(&self, command: &mut Command, python_path: &OsStr, port: u16) -> Result<()> {
        for name in [
            "SECRET", "ADDRESS", "CERTFILE", "KEYFILE", "REDIRECT", "WAIT",
        ] {
            command.env_remove(format!("PTVSD_TEST_{name}"));
        }
        // Lines come when they are printed, not when four kilobytes are full.
        command.env("PYTHONUNBUFFERED", "1");
        command.env("PTVSD_TEST_PORT", port.to_string());
        if let Some(secret) = &self.secret {
            command.env("PTVSD_TEST_SECRET", secret);
        }
        if let Some(address) = &self.address {
            command.env("PTVSD_TEST_ADDRESS", address);
        }
        if !self.redirect_output {
            command.env("PTVSD_TEST_REDIRECT", "0");
        }
        if self.wait_for_attach {
            command.env("PTVSD_TEST_WAIT", "1");
        }
        if let Some((certificate, key)) = &self.certificate {
            command
                .env("PTVSD_TEST_CERTFILE", certificate)
                .env("PTVSD_TEST_KEYFILE", key);
            command.env("OPENSSL_CONF", old_tls_configuration()?);
        }
        let mut folders: Vec<PathBuf> = std::env::split_paths(python_path).collect();
        for (name, value) in &self.environment {
            if name == "PYTHONPATH" {
                folders.extend(std::env::split_paths(value));
            } else {
                command.env(name, value);
            }
        }
        let folders = std::env::join_paths(folders).context("joining PYTHONPATH")?;
        // Jython and IronPython look only at variables of their own.
        match self.python.implementation {
            Implementation::Jython => command.env("JYTHONPATH", &folders),
            Implementation::IronPython => command.env("IRONPYTHONPATH", &folders),
            _ => command.env("PYTHONPATH", &folders),
        };
        Ok(())
    }

    fn time_to_be_ready(&self) -> Duration {
        let usual = match self.python.implementation {
            Implementation::Jython | Implementation::IronPython => 60,
            _ => 30,
        };
        self.ready_limit.unwrap_or(Duration::from_secs(usual))
    }
}

/// A port that was free a moment ago. A start on it that comes too late is
/// tried again with another.
fn free_port() -> Result<u16> {
    let listener =
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("looking for a free port")?;
    Ok(listener
        .local_addr()
        .context("looking for a free port")?
        .port())
}

fn address_in_use(seen: &Seen) -> bool {
    let words = [
        "Address already in use",
        "WinError 10048",
        "Errno 10048",
        "Only one usage of each",
    ];
    let mut lines = seen.stderr.lines().iter().chain(seen.stdout.lines());
    lines.any(|line| words.iter().any(|word| line.contains(word)))
}

/// A place in a program's output: what was printed before it is old.
#[derive(Debug, Clone, Copy, Default)]
pub struct Mark {
    stdout: usize,
    stderr: usize,
}

/// A running program. Dropping it ends the process, and that process only.
#[derive(Debug)]
pub struct Program {
    name: String,
    script: PathBuf,
    pid: u32,
    port: u16,
    child: Mutex<Child>,
    stdin: Mutex<Option<ChildStdin>>,
    output: Output,
    /// Removed with the program.
    _own_folder: Option<ScratchFolder>,
}

impl Program {
    /// The port of its server, on 127.0.0.1. Never connect to it and close
    /// without a handshake: that wedges the server.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Its process id.
    #[must_use]
    pub const fn pid(&self) -> u32 {
        self.pid
    }

    /// The file that it runs, as its frames name it.
    #[must_use]
    pub fn script(&self) -> &Path {
        &self.script
    }

    /// Writes to its standard input.
    ///
    /// # Errors
    /// When the program has closed it, or [`close_stdin`](Self::close_stdin) has.
    pub fn write_stdin(&self, text: &str) -> Result<()> {
        let mut stdin = lock(&self.stdin);
        let pipe = stdin
            .as_mut()
            .context("the program's standard input was closed")?;
        pipe.write_all(text.as_bytes())
            .and_then(|()| pipe.flush())
            .with_context(|| format!("writing to {}", self.name))
    }

    /// Ends its standard input.
    pub fn close_stdin(&self) {
        lock(&self.stdin).take();
    }

    /// The lines that it printed so far, without their ends.
    #[must_use]
    pub fn stdout_lines(&self) -> Vec<String> {
        self.output.seen().stdout.lines().to_vec()
    }

    /// The lines that it printed on standard error so far, without their ends.
    #[must_use]
    pub fn stderr_lines(&self) -> Vec<String> {
        self.output.seen().stderr.lines().to_vec()
    }

    /// The place that its output has reached.
    #[must_use]
    pub fn mark(&self) -> Mark {
        let seen = self.output.seen();
        Mark {
            stdout: seen.stdout.lines().len(),
            stderr: seen.stderr.lines().len(),
        }
    }

    /// Waits for a whole line that holds `text`, on either stream, printed
    /// before the call or during it.
    ///
    /// # Errors
    /// When none came within `limit`, or the program ended its output first:
    /// with everything seen so far.
    pub fn wait_for_line(&self, text: &str, limit: Duration) -> Result<String> {
        self.wait_for_line_since(Mark::default(), text, limit)
    }

    /// As [`wait_for_line`](Self::wait_for_line), for lines after `mark`.
    ///
    /// # Errors
    /// As there.
    pub fn wait_for_line_since(&self, mark: Mark, text: &str, limit: Duration) -> Result<String> {
        self.wait_for_line_that(mark, limit, |line| line.contains(text))
            .with_context(|| format!("waiting for a line with {text:?}"))
    }

    /// Waits for a whole line after `mark` that `suits`.
    ///
    /// # Errors
    /// As [`wait_for_line`](Self::wait_for_line).
    pub fn wait_for_line_that(
        &self,
        mark: Mark,
        limit: Duration,
        suits: impl Fn(&str) -> bool,
    ) -> Result<String> {
        let found = self.output.wait(limit, |seen| {
            let stdout = seen.stdout.lines().iter().skip(mark.stdout);
            let stderr = seen.stderr.lines().iter().skip(mark.stderr);
            stdout.chain(stderr).find(|line| suits(line)).cloned()
        });
        found.ok_or_else(|| self.nothing_came(limit))
    }

    /// Waits until the unfinished line at the end of standard output holds
    /// `text`: a prompt that the program waits behind.
    ///
    /// # Errors
    /// As [`wait_for_line`](Self::wait_for_line).
    pub fn wait_for_prompt(&self, text: &str, limit: Duration) -> Result<String> {
        let found = self.output.wait(limit, |seen| {
            Some(seen.stdout.unfinished()).filter(|line| line.contains(text))
        });
        found
            .ok_or_else(|| self.nothing_came(limit))
            .with_context(|| format!("waiting for the prompt {text:?}"))
    }

    /// Whether the process runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        matches!(lock(&self.child).try_wait(), Ok(None))
    }

    /// The processor time that it has used, all threads together. Known on
    /// Linux only, to a hundredth of a second.
    #[must_use]
    pub fn cpu_time(&self) -> Option<Duration> {
        processor_time(&fs::read_to_string(format!("/proc/{}/stat", self.pid)).ok()?)
    }

    /// Waits for the process to end by itself.
    ///
    /// # Errors
    /// When it still runs after `limit`: with everything it printed.
    pub fn wait_exit(&self, limit: Duration) -> Result<ExitStatus> {
        let status = process::wait(&mut lock(&self.child), limit)?;
        status.ok_or_else(|| {
            anyhow!(
                "{} still runs after {} s\n{}",
                self.name,
                limit.as_secs(),
                self.output.seen()
            )
        })
    }

    /// Ends the process at once.
    ///
    /// # Errors
    /// When the system refuses; one that has ended is no error.
    pub fn kill(&self) -> Result<()> {
        let mut child = lock(&self.child);
        child
            .kill()
            .with_context(|| format!("ending {}", self.name))?;
        child
            .wait()
            .with_context(|| format!("ending {}", self.name))?;
        Ok(())
    }

    fn wait_until_ready(&self, builder: &ProgramBuilder) -> Result<()> {
        let text = match (&builder.ready_text, builder.in_script) {
            (Some(text), true) => text.clone(),
            (None, true) => return Ok(()),
            (_, false) => format!("PTVSD-READY {}", self.port),
        };
        let limit = builder.time_to_be_ready();
        let found = self.output.wait(limit, |seen| {
            let shows = |line: &String| line.contains(&text);
            let anywhere = [&seen.stdout, &seen.stderr]
                .iter()
                .any(|stream| stream.lines().iter().any(shows) || shows(&stream.unfinished()));
            anywhere.then_some(())
        });
        found.ok_or_else(|| {
            self.nothing_came(limit).context(format!(
                "waiting for {text:?}, the sign that its server listens"
            ))
        })
    }

    fn nothing_came(&self, limit: Duration) -> anyhow::Error {
        let seen = self.output.seen();
        let why = if seen.ended() {
            // The streams end a moment before the process does.
            match process::wait(&mut lock(&self.child), Duration::from_secs(1)) {
                Ok(Some(status)) => format!("it ended ({status})"),
                _ => "it closed its output".to_owned(),
            }
        } else {
            format!("it did not come within {:.1} s", limit.as_secs_f64())
        };
        anyhow!("{}: {why}; it had printed\n{seen}", self.name)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Nothing to tell and nobody to tell it to.
        let _ = self.kill();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// User and system time out of Linux's `/proc/PID/stat`. The kernel shows both
/// in hundredths of a second on every common machine, whatever its own tick is.
fn processor_time(stat: &str) -> Option<Duration> {
    // The second field is the program's name, which may hold anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let mut hundredths = || fields.next()?.parse::<u64>().ok();
    let all = hundredths()?.checked_add(hundredths()?)?;
    Some(Duration::from_millis(all.saturating_mul(10)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_user_and_system_time() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 9 0 0 0 150 25 0 0 20 0 1 0 5 6 7";
        assert_eq!(processor_time(stat), Some(Duration::from_millis(1750)));
        assert_eq!(processor_time("7 (a"), None);
    }

    #[test]
    fn a_program_without_a_script_is_refused() {
        let python = Python {
            path: PathBuf::from("/nowhere/python"),
            implementation: Implementation::CPython,
            version: (3, 6, 0),
            has_pip: false,
        };
        let builder = ProgramBuilder::new(&python, Release::MAIN[0]);
        let error = builder.spawn(OsStr::new(""), 1).unwrap_err().to_string();
        assert!(error.contains("no script"), "{error}");
    }
}
