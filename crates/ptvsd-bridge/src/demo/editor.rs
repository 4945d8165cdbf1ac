//! An editor that prints what it would show.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use dap_wire::client::Client;
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::{show, text};

/// How long the adapter may take to end.
const END_LIMIT: Duration = Duration::from_secs(5);

/// A debug session in an editor: the adapter as a child, DAP over its pipes.
pub(super) struct Editor {
    adapter: Child,
    client: Client,
}

impl Editor {
    pub(super) fn start() -> Result<Editor> {
        let mut adapter = Command::new(std::env::current_exe()?)
            .arg("dap")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("starting the adapter")?;
        let stdin = adapter.stdin.take().context("the adapter has no stdin")?;
        let stdout = adapter.stdout.take().context("the adapter has no stdout")?;
        Ok(Editor {
            adapter,
            client: Client::new(stdout, stdin),
        })
    }

    pub(super) async fn attach(&mut self, configuration: &Value) -> Result<()> {
        let arguments = json!({"clientID": "demo", "adapterID": "ptvsd-bridge"});
        self.client.request("initialize", arguments).await?;
        self.client.request("attach", configuration.clone()).await?;
        self.client.event("initialized").await?;
        self.show_console();
        Ok(())
    }

    pub(super) async fn set_breakpoint(&mut self, file: &Path, line: i64) -> Result<()> {
        let arguments = json!({
            "source": {"path": file},
            "breakpoints": [{"line": line}],
        });
        let body = self.client.request("setBreakpoints", arguments).await?;
        let breakpoint = body
            .pointer("/breakpoints/0")
            .context("the adapter answered for no breakpoint")?;
        let status = if breakpoint.get("verified") == Some(&Value::Bool(true)) {
            "verified".to_owned()
        } else {
            format!("pending: {}", text(breakpoint, "message"))
        };
        show(&format!("{}:{line} {status}", file.display()));
        Ok(())
    }

    pub(super) async fn configured(&mut self) -> Result<()> {
        self.client
            .request("configurationDone", Value::Null)
            .await?;
        Ok(())
    }

    /// Waits for a stop for this reason; the thread that stopped.
    pub(super) async fn stopped(&mut self, reason: &str) -> Result<i64> {
        let stopped = self.client.event("stopped").await?;
        ensure!(
            text(&stopped, "reason") == reason,
            "stopped for another reason: {stopped}"
        );
        self.show_console();
        show(&format!("stopped: {reason}"));
        stopped
            .get("threadId")
            .and_then(Value::as_i64)
            .context("stopped without a thread")
    }

    /// Shows the call stack; its top frame.
    pub(super) async fn stack(&mut self, thread: i64) -> Result<i64> {
        let threads = self.client.request("threads", Value::Null).await?;
        let name = threads
            .pointer("/threads")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .find(|t| t.get("id").and_then(Value::as_i64) == Some(thread))
            .map(|t| text(t, "name").to_owned())
            .unwrap_or_default();
        let body = self
            .client
            .request("stackTrace", json!({"threadId": thread}))
            .await?;
        let frames = body
            .get("stackFrames")
            .and_then(Value::as_array)
            .context("no frames")?;
        for frame in frames {
            show(&format!(
                "{name}: {} at {}:{}",
                text(frame, "name"),
                frame
                    .pointer("/source/path")
                    .and_then(Value::as_str)
                    .unwrap_or("?"),
                frame.get("line").and_then(Value::as_i64).unwrap_or(0),
            ));
        }
        frames
            .first()
            .and_then(|frame| frame.get("id"))
            .and_then(Value::as_i64)
            .context("the stack is empty")
    }

    /// Shows the program's variables in a frame.
    pub(super) async fn locals(&mut self, frame: i64) -> Result<BTreeMap<String, String>> {
        let scopes = self
            .client
            .request("scopes", json!({"frameId": frame}))
            .await?;
        let reference = scopes
            .pointer("/scopes/0/variablesReference")
            .context("no scope")?;
        let body = self
            .client
            .request("variables", json!({"variablesReference": reference}))
            .await?;
        let mut locals = BTreeMap::new();
        for variable in body
            .get("variables")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            let (name, value) = (text(variable, "name"), text(variable, "value"));
            locals.insert(name.to_owned(), value.to_owned());
            if !name.starts_with("__") {
                show(&format!("{name} = {value}  ({})", text(variable, "type")));
            }
        }
        Ok(locals)
    }

    pub(super) async fn evaluate(&mut self, expression: &str, frame: i64) -> Result<()> {
        let arguments = json!({"expression": expression, "frameId": frame, "context": "repl"});
        match self.client.request("evaluate", arguments).await {
            Ok(body) => show(&format!("> {expression}\n     {}", text(&body, "result"))),
            Err(error) => {
                let response = error.response.as_ref().with_context(|| error.to_string())?;
                show(&format!(
                    "> {expression}\n     error: {}",
                    text(response, "message")
                ));
            }
        }
        Ok(())
    }

    /// Steps, and waits for the step to end.
    pub(super) async fn step(&mut self, kind: &str, thread: i64) -> Result<i64> {
        self.client
            .request(kind, json!({"threadId": thread}))
            .await?;
        self.stopped("step").await
    }

    /// Detaches, and waits for the adapter to end.
    pub(super) async fn disconnect(&mut self) -> Result<()> {
        self.client.request("disconnect", json!({})).await?;
        self.client.event("terminated").await?;
        self.client.close();
        let status = timeout(END_LIMIT, self.adapter.wait())
            .await
            .context("the adapter did not end")??;
        ensure!(status.success(), "the adapter ended with {status}");
        self.show_console();
        Ok(())
    }

    fn show_console(&self) {
        for output in self.client.take_events("output") {
            for line in text(&output, "output").lines() {
                show(&format!("[{}] {line}", text(&output, "category")));
            }
        }
    }
}
