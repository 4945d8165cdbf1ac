//! The raw client in a process of its own, as an adapter is: between it and
//! the editor are pipes, and the messages that no adapter can do without.
//!
//! It knows the requests that are measured, and does nothing for them but what
//! the raw client does.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use anyhow::{Result, bail};
use ptvsd_wire::{Child, Object};
use serde::{Deserialize, Serialize};
use testkit::raw_client::Manner;

use crate::lean_editor::read_frame;
use crate::raw_session::RawSession;

/// What the bench is started with to be this: a port, a script, and whether
/// there is an agent follow.
pub(crate) const ARGUMENT: &str = "--relay";

#[derive(Deserialize)]
struct Request<'a> {
    seq: i64,
    command: &'a str,
    #[serde(default, borrow)]
    arguments: Arguments<'a>,
}

#[derive(Deserialize, Default)]
struct Arguments<'a> {
    #[serde(default)]
    expression: Option<&'a str>,
}

#[derive(Serialize)]
struct Response<T> {
    r#type: &'static str,
    request_seq: i64,
    success: bool,
    body: T,
}

#[derive(Serialize)]
struct Stopped {
    r#type: &'static str,
    event: &'static str,
}

const STOPPED: Stopped = Stopped {
    r#type: "event",
    event: "stopped",
};

/// What an editor shows of a value, and nothing else.
#[derive(Serialize)]
struct Shown {
    name: String,
    value: String,
    r#type: String,
}

impl Shown {
    fn of(name: String, object: &Object) -> Shown {
        let text = object.repr.as_ref().unwrap_or(&object.type_name);
        Shown {
            name,
            value: text.to_string(),
            r#type: object.type_name.to_string(),
        }
    }
}

impl From<&Child> for Shown {
    fn from(child: &Child) -> Shown {
        Shown::of(child.name.to_string(), &child.object)
    }
}

/// Serves the editor at stdin and stdout.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let [port, script, agent] = arguments else {
        bail!("usage: bench {ARGUMENT} PORT SCRIPT AGENT");
    };
    let mut session = RawSession::begin(
        port.parse()?,
        Path::new(script),
        Manner::Careful,
        agent.parse()?,
    )?;
    let mut input = std::io::stdin().lock();
    let mut editor = Editor(own_stdout()?);
    editor.write(&STOPPED)?;
    loop {
        let frame = read_frame(&mut input)?;
        let Request {
            seq,
            command,
            arguments,
        } = serde_json::from_slice(&frame)?;
        let expression = arguments.expression.unwrap_or_default();
        match command {
            "next" => {
                session.begin_step()?;
                editor.answer(seq, ())?;
                session.end_step()?;
                editor.write(&STOPPED)?;
            }
            "evaluate" => {
                let object = session.evaluate(expression)?;
                editor.answer(seq, Shown::of(String::new(), &object))?;
            }
            "variables" => {
                let children = session.expand(expression)?;
                let shown: Vec<_> = children.iter().map(Shown::from).collect();
                editor.answer(seq, Variables { variables: shown })?;
            }
            "disconnect" => {
                session.end()?;
                return editor.answer(seq, ());
            }
            other => bail!("{other}"),
        }
    }
}

#[derive(Serialize)]
struct Variables {
    variables: Vec<Shown>,
}

/// Where the answers go. Not what std has for stdout: that writes the header
/// and the body apart.
struct Editor(File);

fn own_stdout() -> Result<File> {
    let stdout = std::io::stdout();
    #[cfg(unix)]
    let own = std::os::fd::AsFd::as_fd(&stdout).try_clone_to_owned()?;
    #[cfg(windows)]
    let own = std::os::windows::io::AsHandle::as_handle(&stdout).try_clone_to_owned()?;
    Ok(File::from(own))
}

impl Editor {
    fn answer(&mut self, seq: i64, body: impl Serialize) -> Result<()> {
        self.write(&Response {
            r#type: "response",
            request_seq: seq,
            success: true,
            body,
        })
    }

    fn write(&mut self, message: &impl Serialize) -> Result<()> {
        let body = serde_json::to_string(message)?;
        let message = format!("Content-Length: {}\r\n\r\n{body}", body.len());
        self.0.write_all(message.as_bytes())?;
        Ok(())
    }
}
