//! Whatever is wrong with a target, an attach is answered in time with what
//! was found and what to do, the adapter goes on, and the server takes its
//! next client.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use legacy_host::{Program, ProgramBuilder};
use libtest_mimic::Arguments;
use serde_json::{Value, json};
use testkit::certificates::{NoOpenssl, document};
use testkit::editor::{Editor, LocalCopy, SECRET, named, start_program, string};
use testkit::harness::trial;
use testkit::matrix::{Matrix, Server};
use testkit::programs::{PRINT_LIMIT, WORKING};
use testkit::relay::{Relay, Treatment};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const ADAPTER: &str = env!("CARGO_BIN_EXE_ptvsd-bridge");
/// What the tests give an attach, in seconds.
const CONNECT_TIMEOUT: f64 = 1.0;
/// How much later the answer may be on a busy machine.
const GRACE: Duration = Duration::from_secs(3);

fn main() -> ExitCode {
    let matrix = Matrix::of_this_machine();
    let mut trials = Vec::new();
    let anyone = matrix
        .server("3.2.1", 3, 6)
        .or_else(|| matrix.servers().into_iter().next());
    if let Some(server) = anyone {
        for stranger in strangers() {
            let server = server.clone();
            let name = format!("not a server for us: {}", stranger.name);
            trials.push(trial(name, move || attach_to_stranger(stranger, server)));
        }
        for (name, target, says) in [
            (
                "a refused port",
                "127.0.0.1:1",
                &["accept", "enable_attach"][..],
            ),
            (
                "an unknown host",
                "no-such-host.invalid:5678",
                &["no-such-host.invalid", "spelling"],
            ),
        ] {
            let server = server.clone();
            trials.push(trial(format!("nobody there: {name}"), move || {
                nobody_there(target, says, server)
            }));
        }
    }
    trials.push(trial(
        "wrong arguments name the field".to_owned(),
        wrong_arguments,
    ));
    trials.push(trial(
        "a plain connection to elsewhere warns once".to_owned(),
        plain_text,
    ));
    for server in matrix.few_servers() {
        let mut add = |name: &str, test: fn(Server) -> TestResult| {
            let server = server.clone();
            trials.push(trial(format!("{name}: {server}"), move || test(server)));
        };
        add("unknown arguments warn", |server| {
            Box::pin(unknown_arguments(server))
        });
        add("wrong secret", |server| Box::pin(wrong_secret(server)));
        add("attached already", |server| {
            Box::pin(attached_already(server))
        });
        add("bytes in pieces", |server| Box::pin(in_pieces(server)));
        add("the connection breaks during the attach", |server| {
            Box::pin(breaks(server))
        });
        add("the program dies in a session", |server| {
            Box::pin(dies(server))
        });
        add("configurationDone never comes", |server| {
            Box::pin(never_configured(server))
        });
        add("maxStop", |server| Box::pin(max_stop(server)));
    }
    for (version, major, minor) in [("2.2.0", 2, 7), ("3.2.1", 3, 6)] {
        match matrix.server(version, major, minor) {
            Some(server) if server.python.can_serve_tls() => {
                let name = format!("plain text to a TLS server: {server}");
                trials.push(trial(name, move || plain_text_to_tls(server)));
            }
            Some(server) => eprintln!("NOT POSSIBLE: TLS on {server}: this Python cannot serve it"),
            None => {}
        }
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

type TestResult = std::pin::Pin<Box<dyn Future<Output = Result<()>>>>;

/// Somebody at the other end who is no legacy server, or goes wrong.
struct Stranger {
    name: &'static str,
    acts: Vec<Act>,
    /// What the answer says: what was found, and what to do.
    says: &'static [&'static str],
}

#[derive(Debug, Clone)]
enum Act {
    Say(Vec<u8>),
    Hear,
    /// In place of the silence that follows otherwise.
    Close,
}

fn strangers() -> Vec<Stranger> {
    use Act::{Close, Hear, Say};
    let stranger = |name, acts, says| Stranger { name, acts, says };
    let say = |text: &[u8]| Say(text.to_vec());
    let check_port = &["not a legacy ptvsd server", "Check the port"][..];
    vec![
        stranger(
            "an SSH server",
            vec![say(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n")],
            &["SSH server", "ssh -L"],
        ),
        stranger(
            "a web server that has lost patience",
            vec![
                say(b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n"),
                Close,
            ],
            &["web server", "Check the port"],
        ),
        stranger(
            "a mail server",
            vec![say(b"220 mail.example.org ESMTP\r\n")],
            check_port,
        ),
        stranger(
            "one that says hi and closes",
            vec![say(b"hi"), Close],
            check_port,
        ),
        stranger("silence", vec![], &["says nothing", "tcps://", "1 s"]),
        stranger(
            "one that closes at once",
            vec![Close],
            &["closed the connection", "enable_attach"],
        ),
        stranger(
            "a greeting that is cut",
            vec![say(b"PTVSDBG\0\0\0"), Close],
            &[
                "closed the connection during the server's greeting",
                "enable_attach",
            ],
        ),
        stranger(
            "a greeting that stops",
            vec![say(b"Content-Length: 120\r\n\r\n{\"type\": \"ev")],
            &["the server's greeting", "took longer than 1 s"],
        ),
        stranger(
            "TLS",
            vec![say(&[21, 3, 1, 0, 2, 2, 80]), Close],
            &["TLS", "tcps://"],
        ),
        stranger(
            "a modern debugger",
            vec![Say(framed(
                json!({"type": "event", "seq": 1, "event": "output", "body": {"output": "ptvsd"}}),
            ))],
            &["Debug Adapter Protocol", "ordinary Python debugger"],
        ),
        stranger(
            "a binary dialect that nobody knows",
            vec![Say(greeting(9)), Hear, Close],
            &["protocol version 9", "2.0 to 3.2"],
        ),
        stranger(
            "a JSON dialect that nobody knows",
            vec![Say(json_greeting(12)), Hear, Close],
            &["protocol version 12", "2.0 to 3.2"],
        ),
        stranger(
            "a server that says nothing about the secret",
            vec![Say(greeting(6)), Hear],
            &["checking the secret", "took longer than 1 s"],
        ),
        stranger(
            "a binary server that dies inside a message",
            vec![
                Say(greeting(6)),
                Hear,
                say(b"ACPT"),
                Hear,
                say(b"ACPT\0\0\0"),
                Close,
            ],
            &["closed the connection during attaching", "may have ended"],
        ),
        stranger(
            "a JSON server that dies inside a message",
            vec![
                Say(json_greeting(8)),
                Hear,
                say(b"Content-Length: 50\r\n\r\n{\"type\""),
                Close,
            ],
            &[
                "closed the connection during checking the secret",
                "may have ended",
            ],
        ),
        stranger(
            "a JSON server that talks nonsense",
            vec![
                Say(json_greeting(8)),
                Hear,
                say(b"Content-Length: 5\r\n\r\nhello"),
            ],
            &["no message of the protocol"],
        ),
    ]
}

fn greeting(dialect: i64) -> Vec<u8> {
    [b"PTVSDBG".as_slice(), &dialect.to_be_bytes()].concat()
}

fn json_greeting(dialect: i64) -> Vec<u8> {
    framed(json!({
        "type": "event", "seq": 0, "event": "legacyRemoteConnected",
        "body": {"debuggerName": "PTVSDBG", "debuggerProtocolVersion": dialect},
    }))
}

fn framed(message: Value) -> Vec<u8> {
    let text = message.to_string();
    format!("Content-Length: {}\r\n\r\n{text}", text.len()).into_bytes()
}

/// Plays one part to everybody who connects; the port.
async fn play(acts: Vec<Act>) -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(play_to(stream, acts.clone()));
        }
    });
    Ok(port)
}

async fn play_to(mut stream: TcpStream, acts: Vec<Act>) {
    let mut heard = [0; 4096];
    for act in acts {
        match act {
            Act::Say(bytes) => {
                if stream.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            Act::Hear => {
                if !matches!(stream.read(&mut heard).await, Ok(1..)) {
                    return;
                }
            }
            Act::Close => {
                let _ = stream.shutdown().await;
            }
        }
    }
    // Silence, until the other side has had enough.
    while matches!(stream.read(&mut heard).await, Ok(1..)) {}
}

/// An attach that must fail, in time; what the editor shows of it. The
/// adapter still answers afterwards.
async fn refused(editor: &Editor, target: &str, more: Value) -> Result<String> {
    let mut arguments = json!({"target": target, "connectTimeout": CONNECT_TIMEOUT});
    if let (Value::Object(all), Value::Object(more)) = (&mut arguments, more) {
        all.extend(more);
    }
    let begun = Instant::now();
    let response = editor.send("attach", arguments).response().await?;
    let taken = begun.elapsed();
    ensure!(
        taken < Duration::from_secs_f64(CONNECT_TIMEOUT) + GRACE,
        "answered only after {taken:?}"
    );
    ensure!(response.get("success") == Some(&json!(false)), "{response}");
    ensure!(
        response.pointer("/body/error/showUser") == Some(&json!(true)),
        "{response}"
    );
    ensure!(
        !response.to_string().contains(SECRET),
        "the secret is in {response}"
    );
    editor.request("threads", Value::Null).await?;
    Ok(string(&response, "/body/error/format"))
}

fn ensure_says(text: &str, parts: &[&str]) -> Result<()> {
    for part in parts {
        ensure!(text.contains(part), "no {part:?} in: {text}");
    }
    Ok(())
}

fn target(port: u16) -> String {
    format!("tcp://{SECRET}@127.0.0.1:{port}")
}

/// A whole small session with a real server.
async fn works(editor: &Editor, program: &Program, port: u16) -> Result<()> {
    let copy = LocalCopy::of(&WORKING)?;
    editor
        .attach_with(program, json!({"target": target(port)}))
        .await?;
    editor
        .set_breakpoints(&copy.path(), &[WORKING.line("call")])
        .await?;
    editor.configured().await?;
    let thread = editor.stopped("breakpoint").await?;
    let (frame, function, _) = editor.top(thread).await?;
    ensure!(function == "work", "stopped in {function}");
    let locals = editor.scope(frame, "Locals").await?;
    ensure!(
        string(named(&locals, "label")?, "/value") == "'label'",
        "{locals:?}"
    );
    Ok(())
}

fn ticks(program: &Program) -> Result<()> {
    program.wait_for_line_since(program.mark(), "tick", PRINT_LIMIT)?;
    Ok(())
}

async fn attach_to_stranger(stranger: Stranger, server: Server) -> Result<()> {
    let program = start_program(&server, &WORKING)?;
    let port = play(stranger.acts).await?;
    let editor = Editor::start(Path::new(ADAPTER)).await?;
    for _ in 0..2 {
        let said = refused(&editor, &target(port), json!({})).await?;
        ensure_says(&said, &[&format!("tcp://127.0.0.1:{port}")])?;
        ensure_says(&said, stranger.says)?;
    }
    works(&editor, &program, program.port()).await?;
    editor.disconnect().await?;
    ticks(&program)
}

async fn nobody_there(
    address: &'static str,
    says: &'static [&'static str],
    server: Server,
) -> Result<()> {
    let program = start_program(&server, &WORKING)?;
    let editor = Editor::start(Path::new(ADAPTER)).await?;
    let said = refused(&editor, &format!("tcp://{SECRET}@{address}"), json!({})).await?;
    ensure_says(&said, says)?;
    works(&editor, &program, program.port()).await?;
    editor.disconnect().await?;
    ticks(&program)
}

async fn wrong_arguments() -> Result<()> {
    let editor = Editor::start(Path::new(ADAPTER)).await?;
    for (arguments, field) in [
        (json!({"target": 5678}), "target"),
        (json!({"target": format!("http://{SECRET}@h")}), "target"),
        (
            json!({"target": null, "connect": {"host": "h", "port": "many"}}),
            "connect.port",
        ),
        (json!({"target": null, "connect": 5678}), "connect"),
        (json!({"target": null, "host": "h", "port": 0}), "port"),
        (json!({"target": null, "host": ["h"]}), "host"),
        (json!({"secret": 5}), "secret"),
        (json!({"secretEnv": "HOME"}), "secretEnv"),
        (json!({"secretEnv": "PTVSD_NOT_SET_ANYWHERE"}), "secretEnv"),
        (json!({"pathMappings": {"localRoot": "/"}}), "pathMappings"),
        (json!({"pathMappings": [{"localRoot": "/"}]}), "remoteRoot"),
        (json!({"justMyCode": "no"}), "justMyCode"),
        (json!({"stopOnEntry": 3}), "stopOnEntry"),
        (json!({"connectTimeout": "soon"}), "connectTimeout"),
        (json!({"connectTimeout": -1}), "connectTimeout"),
        (json!({"maxStop": -0.5}), "maxStop"),
        (json!({"maxStop": []}), "maxStop"),
        (json!({"logFile": {}}), "logFile"),
    ] {
        let said = refused(&editor, "tcp://h", arguments.clone()).await?;
        ensure!(said.contains(field), "{arguments}: no {field:?} in: {said}");
    }
    editor.request("disconnect", Value::Null).await?;
    Ok(())
}

async fn plain_text() -> Result<()> {
    let editor = Editor::start(Path::new(ADAPTER)).await?;
    // Here, nothing is to be feared.
    for here in ["tcp://127.0.0.1:1", "tcp://localhost:1", "tcp://[::1]:1"] {
        refused(&editor, here, json!({})).await?;
    }
    ensure!(editor.client.take_events("output").is_empty());
    // An address for documentation: nobody has it.
    for _ in 0..2 {
        let elsewhere = format!("tcp://{SECRET}@192.0.2.1:5678");
        refused(&editor, &elsewhere, json!({"connectTimeout": 0.2})).await?;
    }
    let warnings = editor.client.take_events("output");
    let [warning] = warnings.as_slice() else {
        bail!("warned so: {warnings:?}");
    };
    ensure!(string(warning, "/category") == "console", "{warning}");
    ensure_says(
        &string(warning, "/output"),
        &[
            "192.0.2.1",
            "secret",
            "can be read",
            "tcps://",
            "ssh -L 5678:localhost:5678 192.0.2.1",
        ],
    )?;
    ensure!(!warning.to_string().contains(SECRET), "{warning}");
    editor.request("disconnect", Value::Null).await?;
    Ok(())
}

async fn unknown_arguments(server: Server) -> Result<()> {
    let program = start_program(&server, &WORKING)?;
    let editor = Editor::start(Path::new(ADAPTER)).await?;
    editor
        .attach_with(
            &program,
            json!({"pathMapping": [], "secert": "x", "__sessionId": "1"}),
        )
        .await?;
    let console: Vec<_> = editor
        .client
        .take_events("output")
        .iter()
        .map(|event| string(event, "/output"))
        .collect();
    for key in ["\"pathMapping\"", "\"secert\""] {
        ensure!(
            console.iter().any(|line| line.contains(key)),
            "no {key}: {console:?}"
        );
    }
    for silent in ["__sessionId", "\"name\"", "readable"] {
        ensure!(
            !console.iter().any(|line| line.contains(silent)),
            "{console:?}"
        );
    }
    editor.disconnect().await?;
    ticks(&program)
}

async fn wrong_secret(server: Server) -> Result<()> {
    let program = start_program(&server, &WORKING)?;
    let editor = Editor::start(Path::new(ADAPTER)).await?;
    for secret in ["", "wrong", "MY_SECRET", "caf\u{e9}"] {
        let target = format!("tcp://{secret}@127.0.0.1:{}", program.port());
        let said = refused(&editor, &target, json!({})).await?;
        ensure_says(&said, &["refused the secret", "enable_attach"])?;
    }
    works(&editor, &program, program.port()).await?;
    editor.disconnect().await?;
    ticks(&program)
}

async fn attached_already(server: Server) -> Result<()> {
    let program = start_program(&server, &WORKING)?;
    let first = Editor::start(Path::new(ADAPTER)).await?;
    first.attach(&program).await?;
    first.configured().await?;
    let second = Editor::start(Path::new(ADAPTER)).await?;
    let said = refused(&second, &target(program.port()), json!({})).await?;
    ensure_says(
        &said,
        &[
            "has a debugger attached already",
            "Detach it",
            "`ptvsd-bridge rescue`",
        ],
    )?;
    // Who was first notices nothing.
    first.client.take_events("output");
    first.output_with("tick").await?;
    first.disconnect().await?;
    works(&second, &program, program.port()).await?;
    second.disconnect().await?;
    ticks(&program)
}

async fn in_pieces(server: Server) -> Result<()> {
    let program = start_program(&server, &WORKING)?;
    for size in [1, 3, 7] {
        let relay = Relay::start(program.port(), Treatment::Pieces(size)).await?;
        let editor = Editor::start(Path::new(ADAPTER)).await?;
        works(&editor, &program, relay.port())
            .await
            .with_context(|| format!("in pieces of {size}"))?;
        editor.disconnect().await?;
        ticks(&program)?;
    }
    Ok(())
}

/// After so many bytes of the server: before the greeting, within it, and
/// within the answer about the secret. (Behind that the server is attached,
/// and what frees it is the agent. A JSON server does not survive a break in
/// an answer of its own: protocol-notes/traps.md, "A reset inside an answer".)
async fn breaks(server: Server) -> Result<()> {
    let program = start_program(&server, &WORKING)?;
    let is_json = server.release.dialect() >= 7;
    let greeting = if is_json {
        json_greeting(8).len()
    } else {
        greeting(0).len()
    };
    let mut cuts = vec![(0, "the server's greeting"), (3, "the server's greeting")];
    cuts.push((greeting - 3, "the server's greeting"));
    if !is_json {
        cuts.push((greeting + 2, "checking the secret"));
    }
    let editor = Editor::start(Path::new(ADAPTER)).await?;
    for (count, stage) in cuts {
        let relay = Relay::start(program.port(), Treatment::EndAfter(count)).await?;
        let said = refused(&editor, &target(relay.port()), json!({})).await?;
        ensure_says(&said, &["closed the connection during", stage])
            .with_context(|| format!("after {count} bytes"))?;
    }
    works(&editor, &program, program.port()).await?;
    editor.disconnect().await?;
    ticks(&program)
}

async fn dies(server: Server) -> Result<()> {
    let program = start_program(&server, &WORKING)?;
    let mut editor = Editor::start(Path::new(ADAPTER)).await?;
    works(&editor, &program, program.port()).await?;
    drop(program);
    let said = editor
        .client
        .event_where("output", |event| {
            let said = string(event, "/output");
            said.contains("connection to the program was lost") || said.contains("has ended")
        })
        .await?;
    ensure!(string(&said, "/category") == "console", "{said}");
    editor.client.event("terminated").await?;
    editor.client.close();
    editor.ended().await
}

async fn never_configured(server: Server) -> Result<()> {
    let program = start_program(&server, &WORKING)?;
    let copy = LocalCopy::of(&WORKING)?;
    let editor = Editor::start(Path::new(ADAPTER)).await?;
    editor
        .attach_with(&program, json!({"stopOnEntry": true}))
        .await?;
    // It has stopped, and waits for an editor that does not come.
    editor
        .client
        .event_where("output", |event| {
            let said = string(event, "/output");
            said.contains("configurationDone") && said.contains("runs on")
        })
        .await?;
    editor.client.take_events("output");
    editor.output_with("tick").await?;
    ensure!(
        editor.client.take_events("stopped").is_empty(),
        "it stopped all the same"
    );
    ticks(&program)?;
    // What is set is met, and the editor may still say that it is ready.
    editor
        .set_breakpoints(&copy.path(), &[WORKING.line("call")])
        .await?;
    editor.stopped("breakpoint").await?;
    editor.configured().await?;
    editor.disconnect().await?;
    ticks(&program)
}

async fn max_stop(server: Server) -> Result<()> {
    let program = start_program(&server, &WORKING)?;
    let copy = LocalCopy::of(&WORKING)?;
    let editor = Editor::start(Path::new(ADAPTER)).await?;
    editor
        .attach_with(&program, json!({"maxStop": 0.5}))
        .await?;
    editor
        .set_breakpoints(&copy.path(), &[WORKING.line("call")])
        .await?;
    editor.configured().await?;
    let thread = editor.stopped("breakpoint").await?;
    let (frame, ..) = editor.top(thread).await?;
    // A step is a new stop, with its time before it.
    editor.step("next", thread).await?;
    editor.set_breakpoints(&copy.path(), &[]).await?;
    let continued = editor.client.event("continued").await?;
    ensure!(
        continued.get("allThreadsContinued") == Some(&json!(true)),
        "{continued}"
    );
    editor
        .client
        .event_where("output", |event| {
            let said = string(event, "/output");
            said.contains("maxStop") && said.contains("0.5 s")
        })
        .await?;
    ticks(&program)?;
    // What belongs to that stop is gone.
    let error = match editor.evaluate("1", frame, "watch").await {
        Ok(value) => bail!("{value} in a program that runs"),
        Err(error) => error.message,
    };
    ensure!(error.contains("moved on"), "{error}");
    editor
        .request("continue", json!({"threadId": thread}))
        .await?;
    // Never, unless it is asked for.
    editor.disconnect().await?;
    ticks(&program)
}

/// A client that speaks TLS 1.0, hears the greeting and resets.
const TLS_CLIENT: &str = "
import socket, ssl, struct, sys
plain = socket.create_connection(('127.0.0.1', int(sys.argv[1])), 10)
stream = ssl.wrap_socket(plain, ssl_version=ssl.PROTOCOL_TLSv1)
print(repr(stream.recv(7)))
stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
stream.close()
";

async fn plain_text_to_tls(server: Server) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let identity = match document(folder.path(), "localhost") {
        Err(error) if error.is::<NoOpenssl>() => {
            eprintln!("NOT RUN: plain text to a TLS server: {error}");
            return Ok(());
        }
        made => made?,
    };
    let program = ProgramBuilder::new(&server.python, server.release)
        .source(WORKING.name, WORKING.text)
        .secret(Some(SECRET))
        .tls(identity.certificate, identity.key)
        .start()?;
    let editor = Editor::start(Path::new(ADAPTER)).await?;
    for _ in 0..2 {
        let said = refused(&editor, &target(program.port()), json!({})).await?;
        ensure_says(&said, &["TLS", "tcps://"])?;
    }
    editor.request("disconnect", Value::Null).await?;
    // The server is as good as before to who speaks its language.
    let heard = tokio::process::Command::new(&server.python.path)
        .args(["-c", TLS_CLIENT, &program.port().to_string()])
        .env("OPENSSL_CONF", legacy_host::old_tls_configuration()?)
        .output()
        .await?;
    let heard = String::from_utf8_lossy(&heard.stdout).into_owned()
        + &String::from_utf8_lossy(&heard.stderr);
    ensure!(
        heard.contains("PTVSDBG") || heard.contains("Content"),
        "{heard}"
    );
    ticks(&program)
}
