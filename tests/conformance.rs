//! The adapter as a peer of the Debug Adapter Protocol: whatever an editor
//! sends is answered, and nothing ends the session but its end.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use libtest_mimic::Arguments;
use serde_json::{Value, json};
use testkit::editor::{Editor, array, string};
use testkit::harness::trial;

const ADAPTER: &str = env!("CARGO_BIN_EXE_ptvsd-bridge");

fn main() -> ExitCode {
    let trials = vec![
        trial("messages that cannot be read".to_owned(), bad_messages),
        trial(
            "requests that do not exist, or do not fit".to_owned(),
            bad_requests,
        ),
        trial(
            "configurations that are wrong".to_owned(),
            bad_configurations,
        ),
        trial("nobody there, or somebody else".to_owned(), bad_servers),
        trial("lines that count from 0".to_owned(), lines_from_zero),
        trial(
            "exceptions before anything is attached".to_owned(),
            exceptions,
        ),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

async fn start() -> Result<Editor> {
    Editor::start(Path::new(ADAPTER)).await
}

async fn ends_well(mut editor: Editor) -> Result<()> {
    editor.request("disconnect", Value::Null).await?;
    editor.client.close();
    editor.ended().await
}

async fn bad_messages() -> Result<()> {
    let editor = start().await?;
    let body = |text: &str| format!("Content-Length: {}\r\n\r\n{text}", text.len());
    for bytes in [
        body("{not json"),
        body("[1, 2]"),
        body(r#"{"type": "request", "seq": 7000}"#),
        body("\u{0}\u{1}"),
        "garbage between messages\r\n".to_owned(),
        "Content-Length: many\r\n\r\n".to_owned(),
        // These are fine.
        "content-length:46\nContent-Type: x/y\n\n{\"seq\":0,\"type\":\"request\",\"command\":\"threads\"}"
            .to_owned(),
    ] {
        editor.client.send_raw(bytes.as_bytes()).await;
        // The next message is read all the same.
        editor.request("threads", Value::Null).await?;
    }
    let sent = editor.client.outgoing_of_adapter();
    let answer = |seq: i64| {
        sent.iter()
            .find(|m| m.get("request_seq").and_then(Value::as_i64) == Some(seq))
            .cloned()
    };
    let refused = answer(7000).context("no answer to a request without a command")?;
    ensure!(refused.get("success") == Some(&json!(false)), "{refused}");
    let zero = answer(0).context("no answer to seq 0")?;
    ensure!(zero.get("success") == Some(&json!(true)), "{zero}");
    ensure!(
        !editor.client.take_events("output").is_empty(),
        "nothing was said of it"
    );
    ends_well(editor).await
}

async fn bad_requests() -> Result<()> {
    let editor = start().await?;
    for (command, arguments, said) in [
        ("fly", json!({}), "fly"),
        ("launch", json!({"program": "x.py"}), "attach"),
        ("stackTrace", json!({}), "threadId"),
        ("scopes", json!({"frameId": "x"}), "frameId"),
        ("setBreakpoints", Value::Null, "source"),
        ("next", json!({"threadId": 1}), "not attached"),
    ] {
        let error = match editor.request(command, arguments).await {
            Ok(body) => bail!("{command}: {body}"),
            Err(error) => error,
        };
        let response = error.response.context("no response")?;
        let told = response.to_string();
        ensure!(told.contains(said), "{command}: {told}");
    }
    // As a client that does not wait, or knows no better.
    let body = editor
        .request(
            "setBreakpoints",
            json!({"source": {"name": "x.py", "sourceReference": 0}, "lines": [1, 2]}),
        )
        .await?;
    ensure!(
        body.pointer("/breakpoints/1/verified") == Some(&json!(false)),
        "{body}"
    );
    editor
        .request("setExceptionBreakpoints", json!({"filters": []}))
        .await?;
    editor.request("terminate", Value::Null).await?;
    ends_well(editor).await
}

async fn failed_attach(editor: &Editor, configuration: Value) -> Result<String> {
    match editor.request("attach", configuration.clone()).await {
        Ok(_) => bail!("attached with {configuration}"),
        Err(error) => {
            let response = error.response.context("no response")?;
            Ok(string(&response, "/body/error/format"))
        }
    }
}

async fn bad_configurations() -> Result<()> {
    let editor = start().await?;
    for (configuration, named) in [
        (json!({}), "target"),
        (json!({"target": "http://x"}), "target"),
        (json!({"target": 1}), "target"),
        (json!({"connect": {"port": 0}}), "connect.port"),
        (json!({"target": "x", "secretEnv": "PATH"}), "secretEnv"),
        (json!({"target": "x", "pathMappings": {}}), "pathMappings"),
    ] {
        let told = failed_attach(&editor, configuration.clone()).await?;
        ensure!(told.contains(named), "{configuration}: {told}");
    }
    let refused = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let told = failed_attach(&editor, json!({"port": refused, "secrt": "s3cret"})).await?;
    ensure!(told.contains("enable_attach"), "{told}");
    let warned = editor.client.event("output").await?;
    ensure!(string(&warned, "/output").contains("secrt"), "{warned}");
    ensure!(!string(&warned, "/output").contains("s3cret"), "{warned}");
    ends_well(editor).await
}

async fn bad_servers() -> Result<()> {
    let editor = start().await?;
    for (greeting, said) in [
        (&b"SSH-2.0-OpenSSH_9.2\r\n"[..], "SSH"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "web server"),
        (b"\x15\x03\x01\x00\x02\x02\x46", "tcps"),
        (b"PTVSDBG\0\0\0\0\0\0\0\x63", "version 99"),
        (b"PTVS", "before it had said what it is"),
        (b"220 mail.example ESMTP\r\n", "220 mail"),
        (b"", "closed the connection"),
        (
            b"Content-Length: 51\r\n\r\n{\"type\":\"event\",\"seq\":1,\"event\":\"output\",\"body\":{}}",
            "Debug Adapter Protocol",
        ),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let greeting = greeting.to_vec();
        let server = std::thread::spawn(move || -> std::io::Result<()> {
            let (mut stream, _) = listener.accept()?;
            stream.write_all(&greeting)?;
            stream.shutdown(std::net::Shutdown::Write)?;
            let _ = stream.read_to_end(&mut Vec::new());
            Ok(())
        });
        let told = failed_attach(&editor, json!({"port": port})).await?;
        ensure!(told.contains(said), "expected {said:?}: {told}");
        let _ = server.join();
    }
    // One that accepts and is silent.
    let silent = TcpListener::bind("127.0.0.1:0")?;
    let port = silent.local_addr()?.port();
    let configuration = json!({"port": port, "connectTimeout": 0.5});
    let answer = tokio::time::timeout(
        Duration::from_secs(10),
        failed_attach(&editor, configuration),
    );
    let told = answer.await.context("no answer")??;
    ensure!(told.contains("says nothing"), "{told}");
    ends_well(editor).await
}

async fn lines_from_zero() -> Result<()> {
    let editor = start().await?;
    editor
        .request("initialize", json!({"linesStartAt1": false}))
        .await?;
    let body = editor
        .request(
            "setBreakpoints",
            json!({"source": {"path": "/x/y.py"}, "breakpoints": [{"line": 4}]}),
        )
        .await?;
    ensure!(
        body.pointer("/breakpoints/0/line") == Some(&json!(4)),
        "{body}"
    );
    ends_well(editor).await
}

async fn exceptions() -> Result<()> {
    let editor = start().await?;
    let capabilities = editor
        .request("initialize", json!({"adapterID": "ptvsd-bridge"}))
        .await?;
    let filters: Vec<_> = array(&capabilities, "/exceptionBreakpointFilters")
        .iter()
        .map(|filter| (string(filter, "/filter"), filter.get("default").cloned()))
        .collect();
    // As debugpy has them.
    ensure!(
        filters
            == [
                ("raised".to_owned(), Some(json!(false))),
                ("uncaught".to_owned(), Some(json!(true))),
            ],
        "{capabilities}"
    );
    let body = editor
        .request(
            "setExceptionBreakpoints",
            json!({"filters": ["uncaught", "nonsense"], "filterOptions": [{"filterId": "raised"}]}),
        )
        .await?;
    let verified: Vec<_> = array(&body, "/breakpoints")
        .iter()
        .map(|breakpoint| breakpoint.get("verified").cloned())
        .collect();
    ensure!(
        verified == [Some(json!(true)), Some(json!(false)), Some(json!(true))],
        "{body}"
    );
    let answer = editor
        .request("exceptionInfo", json!({"threadId": 1}))
        .await;
    ensure!(answer.is_err(), "{answer:?}");
    ends_well(editor).await
}
