//! Runs a helper process to its end, within a time limit.

use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// What a finished helper process left behind.
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Finished {
    /// The last lines it said, for an error message.
    pub(crate) fn last_words(&self) -> String {
        let said = format!("{}\n{}", self.stdout.trim_end(), self.stderr.trim_end());
        let lines: Vec<&str> = said
            .lines()
            .filter(|line| !line.trim().is_empty())
            .collect();
        let from = lines.len().saturating_sub(8);
        lines.get(from..).unwrap_or_default().join("\n")
    }
}

/// Runs `command` without standard input and returns what it printed.
///
/// # Errors
/// When it cannot be started, or runs for longer than `limit` (it is killed).
pub(crate) fn run(command: &mut Command, limit: Duration) -> Result<Finished> {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting {name}"))?;
    let stdout = collect(child.stdout.take());
    let stderr = collect(child.stderr.take());
    let status = wait(&mut child, limit)?;
    let Some(status) = status else {
        child.kill().with_context(|| format!("ending {name}"))?;
        child.wait().with_context(|| format!("ending {name}"))?;
        bail!(
            "{name} took longer than {} s and was ended",
            limit.as_secs()
        );
    };
    // A grandchild may still hold the pipes: what it would say is not waited for.
    let read_on = Duration::from_secs(2);
    Ok(Finished {
        status,
        stdout: stdout.recv_timeout(read_on).unwrap_or_default(),
        stderr: stderr.recv_timeout(read_on).unwrap_or_default(),
    })
}

/// Waits for `child`; `None` when it still runs after `limit`.
pub(crate) fn wait(child: &mut Child, limit: Duration) -> Result<Option<ExitStatus>> {
    let end = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait().context("waiting for a process")? {
            return Ok(Some(status));
        }
        if Instant::now() >= end {
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(5));
    }
}

fn collect(pipe: Option<impl Read + Send + 'static>) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::sync_channel(1);
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What was read before a failure is still worth having.
            let _ = pipe.read_to_end(&mut bytes);
        }
        // Nobody waits any more once the time limit is over.
        let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receiver
}
