//! The adapter, driven as an editor drives it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use dap_wire::client::{Client, ClientError, Pending};
use dap_wire::schema::Schema;
use legacy_host::{Program, ProgramBuilder};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::matrix::Server;
use crate::programs::Source;

/// The secret of every program that tests start.
pub const SECRET: &str = "my_secret";

/// How long the adapter may take to end.
const END_LIMIT: Duration = Duration::from_secs(10);

/// Starts a program under a real server.
///
/// # Errors
///
/// With what the program printed.
pub fn start_program(server: &Server, source: &Source) -> Result<Program> {
    ProgramBuilder::new(&server.python, server.release)
        .source(source.name, source.text)
        .secret(Some(SECRET))
        .start()
        .with_context(|| format!("starting {} under {server}", source.name))
}

/// A file with the program's text and name, somewhere else: what a person has
/// open in the editor.
#[derive(Debug)]
pub struct LocalCopy {
    folder: tempfile::TempDir,
    name: &'static str,
}

impl LocalCopy {
    /// Writes it.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn of(source: &Source) -> Result<LocalCopy> {
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join(source.name), source.text)?;
        Ok(LocalCopy {
            folder,
            name: source.name,
        })
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.folder.path().join(self.name)
    }
}

/// A debug session as an editor has it: the adapter as a child, DAP over its
/// pipes.
pub struct Editor {
    adapter: Child,
    /// For whatever the methods here do not do.
    pub client: Client,
}

fn spawn(adapter: &Path) -> Result<(Child, ChildStdin, ChildStdout)> {
    let mut child = Command::new(adapter)
        .arg("dap")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("starting {}", adapter.display()))?;
    let stdin = child.stdin.take().context("no stdin")?;
    let stdout = child.stdout.take().context("no stdout")?;
    Ok((child, stdin, stdout))
}

impl Editor {
    /// Starts the adapter and initializes the session.
    ///
    /// # Errors
    ///
    /// When the adapter does not start or answer.
    pub async fn start(adapter: &Path) -> Result<Editor> {
        let (child, stdin, stdout) = spawn(adapter)?;
        let editor = Editor {
            adapter: child,
            client: Client::new(stdout, stdin),
        };
        editor.initialize().await?;
        Ok(editor)
    }

    /// The same, as an editor that can stop reading: it reads while the value
    /// of the sender is `true`, which it is.
    ///
    /// # Errors
    ///
    /// As [`Editor::start`].
    pub async fn start_moody(adapter: &Path) -> Result<(Editor, watch::Sender<bool>)> {
        let (child, stdin, mut stdout) = spawn(adapter)?;
        let (mood, mut moods) = watch::channel(true);
        let (mut ours, theirs) = tokio::io::duplex(64 * 1024);
        tokio::spawn(async move {
            let mut buffer = vec![0; 64 * 1024];
            while moods.wait_for(|reads| *reads).await.is_ok() {
                let Ok(count @ 1..) = stdout.read(&mut buffer).await else {
                    return;
                };
                let read = buffer.get(..count).unwrap_or_default();
                if ours.write_all(read).await.is_err() {
                    return;
                }
            }
        });
        let editor = Editor {
            adapter: child,
            client: Client::new(theirs, stdin),
        };
        editor.initialize().await?;
        Ok((editor, mood))
    }

    async fn initialize(&self) -> Result<()> {
        self.request(
            "initialize",
            json!({
                "clientID": "testkit", "adapterID": "ptvsd-bridge", "pathFormat": "path",
                "linesStartAt1": true, "columnsStartAt1": true,
                "supportsInvalidatedEvent": true,
            }),
        )
        .await?;
        Ok(())
    }

    /// The adapter's process id.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.adapter.id()
    }

    /// Kills the adapter.
    ///
    /// # Errors
    ///
    /// The system's.
    pub async fn kill(&mut self) -> Result<()> {
        Ok(self.adapter.kill().await?)
    }

    /// Sends a request and waits for the body of the answer.
    ///
    /// # Errors
    ///
    /// When it fails.
    pub async fn request(&self, command: &str, arguments: Value) -> Result<Value, ClientError> {
        self.client.request(command, arguments).await
    }

    /// Sends a request and does not wait.
    pub fn send(&self, command: &str, arguments: Value) -> Pending {
        self.client.send(command, arguments)
    }

    /// Attaches; does not tell the adapter that the editor is ready.
    ///
    /// # Errors
    ///
    /// When it fails.
    pub async fn attach(&self, program: &Program) -> Result<()> {
        self.attach_with(program, json!({})).await
    }

    /// Attaches with more in the configuration than the target.
    ///
    /// # Errors
    ///
    /// When it fails.
    pub async fn attach_with(&self, program: &Program, more: Value) -> Result<()> {
        let mut configuration = json!({
            "name": "test", "type": "ptvsd-bridge", "request": "attach",
            "target": format!("tcp://{SECRET}@127.0.0.1:{}", program.port()),
        });
        if let (Value::Object(all), Value::Object(more)) = (&mut configuration, more) {
            all.extend(more);
        }
        self.request("attach", configuration).await?;
        self.client.event("initialized").await?;
        Ok(())
    }

    /// Sets all breakpoints of a file; what became of each.
    ///
    /// # Errors
    ///
    /// When it fails.
    pub async fn set_breakpoints(&self, file: &Path, lines: &[i64]) -> Result<Vec<Value>> {
        let breakpoints: Vec<_> = lines.iter().map(|line| json!({"line": line})).collect();
        let arguments = json!({
            "source": {"path": file, "name": "whatever"},
            "breakpoints": breakpoints, "lines": lines, "sourceModified": false,
        });
        let body = self.request("setBreakpoints", arguments).await?;
        Ok(array(&body, "/breakpoints"))
    }

    /// Waits until all of these breakpoints are verified: in the answer, or by
    /// events if the list of modules was still on its way.
    ///
    /// # Errors
    ///
    /// When one does not become so.
    pub async fn verified(&self, breakpoints: &[Value]) -> Result<()> {
        let is_verified = |breakpoint: &Value| breakpoint.get("verified") == Some(&json!(true));
        for breakpoint in breakpoints.iter().filter(|b| !is_verified(b)) {
            let id = breakpoint.get("id").cloned();
            self.client
                .event_where("breakpoint", |event| {
                    event.pointer("/breakpoint/id").cloned() == id
                        && event.get("breakpoint").is_some_and(is_verified)
                })
                .await?;
        }
        Ok(())
    }

    /// Tells the adapter that all breakpoints are set.
    ///
    /// # Errors
    ///
    /// When it fails.
    pub async fn configured(&self) -> Result<()> {
        self.request("configurationDone", Value::Null).await?;
        Ok(())
    }

    /// Attaches with these breakpoints, and lets the program run.
    ///
    /// # Errors
    ///
    /// When it fails.
    pub async fn debug(&self, program: &Program, file: &Path, lines: &[i64]) -> Result<()> {
        self.attach(program).await?;
        self.set_breakpoints(file, lines).await?;
        self.configured().await
    }

    /// Waits for a stop; the thread that stopped.
    ///
    /// # Errors
    ///
    /// When it is for another reason, or does not come.
    pub async fn stopped(&self, reason: &str) -> Result<i64> {
        let stopped = self.client.event("stopped").await?;
        ensure!(
            stopped.get("reason").and_then(Value::as_str) == Some(reason),
            "expected to stop for {reason}: {stopped}"
        );
        integer(&stopped, "/threadId")
    }

    /// The frames of a thread.
    ///
    /// # Errors
    ///
    /// When it fails.
    pub async fn frames(&self, thread: i64) -> Result<Vec<Value>> {
        let body = self
            .request("stackTrace", json!({"threadId": thread, "startFrame": 0}))
            .await?;
        Ok(array(&body, "/stackFrames"))
    }

    /// The top frame's number, function and line.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub async fn top(&self, thread: i64) -> Result<(i64, String, i64)> {
        let frames = self.frames(thread).await?;
        let top = frames.first().context("no frames")?;
        Ok((
            integer(top, "/id")?,
            string(top, "/name"),
            integer(top, "/line")?,
        ))
    }

    /// The variables of a scope of a frame.
    ///
    /// # Errors
    ///
    /// When it fails.
    pub async fn scope(&self, frame: i64, name: &str) -> Result<Vec<Value>> {
        let body = self.request("scopes", json!({"frameId": frame})).await?;
        let scopes = array(&body, "/scopes");
        let scope = scopes
            .iter()
            .find(|scope| string(scope, "/name") == name)
            .with_context(|| format!("no scope {name} in {body}"))?;
        self.children(integer(scope, "/variablesReference")?).await
    }

    /// What is in a value.
    ///
    /// # Errors
    ///
    /// When it fails.
    pub async fn children(&self, reference: i64) -> Result<Vec<Value>> {
        let body = self
            .request("variables", json!({"variablesReference": reference}))
            .await?;
        Ok(array(&body, "/variables"))
    }

    /// The result of an expression, as text.
    ///
    /// # Errors
    ///
    /// With the program's exception as the message.
    pub async fn evaluate(
        &self,
        expression: &str,
        frame: i64,
        context: &str,
    ) -> Result<String, ClientError> {
        let arguments = json!({"expression": expression, "frameId": frame, "context": context});
        let body = self.request("evaluate", arguments).await?;
        Ok(string(&body, "/result"))
    }

    /// Lets the program run on.
    ///
    /// # Errors
    ///
    /// When it fails.
    pub async fn go_on(&self, thread: i64) -> Result<()> {
        self.request("continue", json!({"threadId": thread}))
            .await?;
        Ok(())
    }

    /// Steps, and waits for the end of it.
    ///
    /// # Errors
    ///
    /// When it fails.
    pub async fn step(&self, kind: &str, thread: i64) -> Result<i64> {
        self.request(kind, json!({"threadId": thread})).await?;
        self.stopped("step").await
    }

    /// Waits until the program has printed this, in whichever pieces.
    ///
    /// # Errors
    ///
    /// When it does not come.
    pub async fn output_with(&self, text: &str) -> Result<String> {
        let mut printed = String::new();
        while !printed.contains(text) {
            let output = self.client.event("output").await?;
            if string(&output, "/category") != "console" {
                printed.push_str(&string(&output, "/output"));
            }
        }
        Ok(printed)
    }

    /// Disconnects and waits for the adapter to end well; checks everything
    /// that it sent in this session.
    ///
    /// # Errors
    ///
    /// When anything of that is not so.
    pub async fn disconnect(mut self) -> Result<()> {
        self.request("disconnect", json!({"restart": false}))
            .await?;
        self.client.event("terminated").await?;
        self.client.close();
        self.ended().await
    }

    /// Waits for the adapter to end, and checks everything that it sent.
    ///
    /// # Errors
    ///
    /// When it does not end, or not well, or a message is not as it should be.
    pub async fn ended(&mut self) -> Result<()> {
        let status = timeout(END_LIMIT, self.adapter.wait())
            .await
            .context("the adapter did not end")??;
        ensure!(status.success(), "the adapter ended with {status}");
        self.check_messages()
    }

    /// Checks everything that the adapter has sent against DAP's schema.
    ///
    /// # Errors
    ///
    /// Names what is wrong.
    pub fn check_messages(&self) -> Result<()> {
        let faults = self.client.faults();
        ensure!(faults.is_empty(), "{faults:?}");
        let schema = match Schema::load() {
            Ok(schema) => schema,
            Err(error) => bail!("DAP's schema: {error}"),
        };
        for mut message in self.client.outgoing_of_adapter() {
            // The answer to a request with seq 0, which DAP does not have and
            // Neovim's client had: it can bear no other number.
            if let Some(number) = message.get_mut("request_seq")
                && *number == json!(0)
            {
                *number = json!(1);
            }
            if let Err(error) = schema.check(&message) {
                bail!("{message} is not as DAP has it: {error}");
            }
        }
        Ok(())
    }
}

/// A string in a JSON value; empty if there is none.
#[must_use]
pub fn string(value: &Value, pointer: &str) -> String {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

/// An integer in a JSON value.
///
/// # Errors
///
/// When there is none.
pub fn integer(value: &Value, pointer: &str) -> Result<i64> {
    value
        .pointer(pointer)
        .and_then(Value::as_i64)
        .with_context(|| format!("no number at {pointer} in {value}"))
}

/// A list in a JSON value; empty if there is none.
#[must_use]
pub fn array(value: &Value, pointer: &str) -> Vec<Value> {
    value
        .pointer(pointer)
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default()
}

/// The variable of this name.
///
/// # Errors
///
/// When there is none; names those that there are.
pub fn named<'a>(variables: &'a [Value], name: &str) -> Result<&'a Value> {
    variables
        .iter()
        .find(|variable| string(variable, "/name") == name)
        .with_context(|| {
            let names: Vec<_> = variables.iter().map(|v| string(v, "/name")).collect();
            format!("no variable {name} among {names:?}")
        })
}
