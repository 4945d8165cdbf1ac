//! An editor that does the least: it blocks, and reads only what it needs.
//! What it takes is not the adapter's cost, and would be counted as such.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::{Value, json};

/// How long a session may take; an adapter that hangs is ended then.
const LIMIT: Duration = Duration::from_secs(120);

pub(crate) struct LeanEditor {
    adapter: Arc<Mutex<Child>>,
    /// Tells who watches over it that it is over.
    _watched: mpsc::Sender<()>,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    last_seq: i64,
    /// Events that came before what was waited for.
    events: Vec<(String, Vec<u8>)>,
}

/// What tells a message from another.
#[derive(Deserialize)]
struct Kind {
    request_seq: Option<i64>,
    event: Option<String>,
    success: Option<bool>,
}

impl LeanEditor {
    pub(crate) fn start(adapter: &Path, arguments: &[&str]) -> Result<LeanEditor> {
        let mut child = Command::new(adapter)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {}", adapter.display()))?;
        let (watched, over) = mpsc::channel::<()>();
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let adapter = Arc::new(Mutex::new(child));
        let hanging = Arc::clone(&adapter);
        std::thread::spawn(move || {
            if over.recv_timeout(LIMIT) == Err(RecvTimeoutError::Timeout) {
                let _ = lock(&hanging).kill();
            }
        });
        Ok(LeanEditor {
            stdin: stdin.context("no stdin")?,
            stdout: BufReader::with_capacity(256 * 1024, stdout.context("no stdout")?),
            adapter,
            _watched: watched,
            last_seq: 0,
            events: Vec::new(),
        })
    }

    /// Sends a request and waits for its answer.
    pub(crate) fn request(&mut self, command: &str, arguments: &Value) -> Result<Value> {
        let answer = self.request_unread(command, arguments)?;
        Ok(serde_json::from_slice(&answer)?)
    }

    /// The same; the answer as it came.
    pub(crate) fn request_unread(&mut self, command: &str, arguments: &Value) -> Result<Vec<u8>> {
        self.last_seq += 1;
        let seq = self.last_seq;
        let request =
            json!({"seq": seq, "type": "request", "command": command, "arguments": arguments})
                .to_string();
        let message = format!("Content-Length: {}\r\n\r\n{request}", request.len());
        self.stdin.write_all(message.as_bytes())?;
        loop {
            let (kind, message) = self.read()?;
            match kind.event {
                Some(event) => self.events.push((event, message)),
                None if kind.request_seq == Some(seq) => {
                    let text = String::from_utf8_lossy(&message);
                    ensure!(kind.success == Some(true), "{command}: {text}");
                    return Ok(message);
                }
                None => {}
            }
        }
    }

    /// The next event of this name.
    pub(crate) fn event(&mut self, name: &str) -> Result<Value> {
        if let Some(at) = self.events.iter().position(|(event, _)| event == name) {
            return Ok(serde_json::from_slice(&self.events.remove(at).1)?);
        }
        loop {
            let (kind, message) = self.read()?;
            match kind.event {
                Some(event) if event == name => return Ok(serde_json::from_slice(&message)?),
                Some(event) => self.events.push((event, message)),
                None => {}
            }
        }
    }

    fn read(&mut self) -> Result<(Kind, Vec<u8>)> {
        let message = read_frame(&mut self.stdout)?;
        Ok((serde_json::from_slice(&message)?, message))
    }

    /// Closes, and waits for the adapter to end.
    pub(crate) fn end(self) -> Result<()> {
        drop(self.stdin);
        let status = lock(&self.adapter).wait()?;
        ensure!(status.success(), "the adapter ended with {status}");
        Ok(())
    }
}

fn lock(adapter: &Mutex<Child>) -> MutexGuard<'_, Child> {
    adapter.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The body of the next message.
pub(crate) fn read_frame(stream: &mut impl BufRead) -> Result<Vec<u8>> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        ensure!(
            stream.read_line(&mut line)? > 0,
            "the other side has closed"
        );
        match line.trim_end().split_once(": ") {
            Some(("Content-Length", value)) => length = value.parse()?,
            Some(_) => {}
            None => break,
        }
    }
    let mut message = vec![0; length];
    stream.read_exact(&mut message)?;
    Ok(message)
}
