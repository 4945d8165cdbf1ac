//! The command line, from the outside.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, ExitCode, Output, Stdio};

use anyhow::{Context, Result, ensure};
use dap_wire::client::Client;
use legacy_host::Implementation;
use libtest_mimic::Arguments;
use serde_json::{Value, json};
use testkit::editor::{Editor, LocalCopy, SECRET, integer, start_program, string};
use testkit::harness::trial;
use testkit::matrix::{Matrix, Server};
use testkit::programs::{PRINT_LIMIT, WORKING};
use tokio::net::TcpStream;

const ADAPTER: &str = env!("CARGO_BIN_EXE_ptvsd-bridge");

fn main() -> ExitCode {
    let matrix = Matrix::of_this_machine();
    let mut trials = vec![
        trial("demo: this machine's default Python".to_owned(), || {
            demo(None)
        }),
        trial("--listen keeps to this machine".to_owned(), listen_locally),
    ];
    for (major, minor) in [(2, 7), (3, 13)] {
        if let Some(server) = matrix.server("3.2.1", major, minor) {
            let name = format!("demo: {}", server.python);
            trials.push(trial(name, move || demo(Some(server))));
        } else {
            eprintln!("ABSENT: CPython {major}.{minor}: the demo is not run on it");
        }
    }
    if matrix.is_full() {
        for server in matrix.servers() {
            if server.python.implementation == Implementation::Jython {
                eprintln!("NOT POSSIBLE: demo on {server}: the game's frame is not traced");
                continue;
            }
            let name = format!("demo: {server}");
            trials.push(trial(name, move || demo(Some(server))));
        }
    }
    for server in matrix.servers() {
        let name = format!("list: {server}");
        trials.push(trial(name, move || list(server)));
    }
    for server in matrix.few_servers() {
        let name = format!("doctor: {server}");
        let server = server.clone();
        trials.push(trial(name, move || doctor(server)));
    }
    for server in matrix.few_servers() {
        let name = format!("two editors over TCP: {server}");
        trials.push(trial(name, move || listen(server)));
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Result<Output> {
    Ok(Command::new(ADAPTER)
        .args(arguments)
        .env_remove("PTVSD_SECRET")
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .output()?)
}

async fn demo(server: Option<Server>) -> Result<()> {
    let mut arguments = vec!["demo".to_owned()];
    if let Some(server) = server {
        arguments.push("--python".to_owned());
        arguments.push(server.python.path.to_string_lossy().into_owned());
        arguments.push("--ptvsd".to_owned());
        arguments.push(server.release.version().to_owned());
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let output = run(&arguments, &[])?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success(),
        "{}\n{text}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    for shown in [
        "stopped: breakpoint",
        "guess = 10",
        "> guess * 2",
        "'warmer'",
        "stopped: step",
        "Good job, Ada!",
    ] {
        ensure!(text.contains(shown), "no {shown:?} in\n{text}");
    }
    Ok(())
}

/// Each step, right and wrong; a session that is under way is not disturbed.
async fn doctor(server: Server) -> Result<()> {
    let program = start_program(&server, &WORKING)?;
    let port = program.port();
    let target = format!("tcp://{SECRET}@localhost:{port}");
    let dialect = format!("ok      dialect   {}", server.release.dialect());
    let examine = |arguments: &[&str], success: bool, says: &[&str]| -> Result<()> {
        let output = run(&[&["doctor"], arguments].concat(), &[])?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success() == success, "{text}");
        ensure!(!text.contains(SECRET), "{text}");
        ensure!(text.contains("NOT OK") != success, "{text}");
        for part in says {
            ensure!(text.contains(part), "no {part:?} in: {text}");
        }
        Ok(())
    };
    let ticks = || program.wait_for_line_since(program.mark(), "tick", PRINT_LIMIT);

    let healthy = [
        "ok      name      localhost is 127.0.0.1",
        "ok      port",
        "ok      TLS       none",
        &dialect,
        "ok      secret",
    ];
    for _ in 0..3 {
        let says = [&healthy[..], &["-       attach    not tried"]].concat();
        examine(&[&target], true, &says)?;
        let says = [&healthy[..], &["ok      attach    attached and detached"]].concat();
        examine(&[&target, "--attach"], true, &says)?;
        ticks()?;
    }
    for (target, says) in [
        (
            format!("tcp://wrong@localhost:{port}"),
            &["NOT OK  secret", "enable_attach()", "-       attach"][..],
        ),
        (
            "localhost:1".to_owned(),
            &["NOT OK  port", "Nothing listens", "-       TLS"],
        ),
        (
            "no-such-host.invalid".to_owned(),
            &["NOT OK  name", "spelling", "-       port"],
        ),
    ] {
        examine(&[&target], false, says)?;
    }

    let editor = Editor::start(Path::new(ADAPTER)).await?;
    let copy = LocalCopy::of(&WORKING)?;
    editor
        .debug(&program, &copy.path(), &[WORKING.line("call")])
        .await?;
    let thread = editor.stopped("breakpoint").await?;
    examine(&[&target], true, &healthy)?;
    let says = ["ok      secret", "NOT OK  attach", "attached already"];
    examine(&[&target, "--attach"], false, &says)?;
    editor.step("next", thread).await?;
    editor.disconnect().await?;
    ticks()?;
    Ok(())
}

async fn list(server: Server) -> Result<()> {
    let program = start_program(&server, &WORKING)?;
    let port = program.port();
    let target = format!("tcp://{SECRET}@127.0.0.1:{port}");

    let output = run(&["list", "--json", &target], &[])?;
    ensure!(output.status.success(), "{output:?}");
    let processes: Value = serde_json::from_slice(&output.stdout)?;
    ensure!(
        integer(&processes, "/0/pid")? == i64::from(program.pid()),
        "{processes}"
    );
    ensure!(
        integer(&processes, "/0/dialect")? == i64::from(server.release.dialect()),
        "{processes}"
    );
    let (major, minor, micro) = server.python.version;
    ensure!(
        string(&processes, "/0/python").contains(&format!("{major}.{minor}.{micro}")),
        "{processes}"
    );

    // The secret from the environment; none of it is shown.
    let bare = format!("127.0.0.1:{port}");
    for (arguments, variable) in [
        (vec!["list", bare.as_str()], "PTVSD_SECRET"),
        (
            vec!["list", "--secret-env", "OTHER", bare.as_str()],
            "OTHER",
        ),
    ] {
        let output = run(&arguments, &[(variable, SECRET)])?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(output.status.success(), "{output:?}");
        ensure!(text.contains(&program.pid().to_string()), "{text}");
        ensure!(!text.contains(SECRET), "{text}");
    }

    // A wrong secret, and a way on.
    let wrong = format!("tcp://wr0ng@127.0.0.1:{port}");
    let output = run(&["list", &wrong], &[])?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(!output.status.success(), "{output:?}");
    ensure!(text.contains("refused the secret"), "{text}");
    ensure!(!text.contains("wr0ng"), "{text}");

    // While somebody debugs it, too; and that does not disturb him.
    let copy = LocalCopy::of(&WORKING)?;
    let editor = Editor::start(Path::new(ADAPTER)).await?;
    editor
        .debug(&program, &copy.path(), &[WORKING.line("call")])
        .await?;
    editor.stopped("breakpoint").await?;
    ensure!(run(&["list", &target], &[])?.status.success());
    editor.disconnect().await
}

async fn listen_locally() -> Result<()> {
    let output = run(&["dap", "--listen", "0.0.0.0:0"], &[])?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(!output.status.success(), "{output:?}");
    ensure!(text.contains("--allow-remote"), "{text}");
    Ok(())
}

/// Two sessions side by side on one adapter, each on a program of its own;
/// then the adapter is told to end, and both programs run on.
async fn listen(server: Server) -> Result<()> {
    let mut adapter = Command::new(ADAPTER)
        .args(["dap", "--listen", "127.0.0.1:0"])
        .stderr(Stdio::piped())
        .spawn()?;
    let stderr = adapter.stderr.take().context("no stderr")?;
    let mut line = String::new();
    BufReader::new(stderr).read_line(&mut line)?;
    let address = line
        .trim()
        .rsplit(' ')
        .next()
        .context("no address")?
        .to_owned();

    let line = WORKING.line("call");
    let copy = LocalCopy::of(&WORKING)?;
    let mut sessions = Vec::new();
    for _ in 0..2 {
        let program = start_program(&server, &WORKING)?;
        let (reader, writer) = TcpStream::connect(&address).await?.into_split();
        let client = Client::new(reader, writer);
        client.request("initialize", json!({})).await?;
        let configuration = json!({"port": program.port(), "secret": SECRET});
        client.request("attach", configuration).await?;
        client.event("initialized").await?;
        let arguments = json!({
            "source": {"path": copy.path()}, "breakpoints": [{"line": line}],
        });
        client.request("setBreakpoints", arguments).await?;
        client.request("configurationDone", Value::Null).await?;
        sessions.push((program, client));
    }
    for (_, client) in &sessions {
        let stopped = client.event("stopped").await?;
        ensure!(string(&stopped, "/reason") == "breakpoint", "{stopped}");
    }
    let ended = Command::new("kill")
        .args(["-INT", &adapter.id().to_string()])
        .status()?;
    ensure!(ended.success());
    for (program, client) in &sessions {
        client.event("terminated").await?;
        let mark = program.mark();
        program.wait_for_line_since(mark, "tick", std::time::Duration::from_secs(20))?;
    }
    let status = tokio::task::spawn_blocking(move || adapter.wait()).await??;
    ensure!(status.success(), "the adapter ended with {status}");
    Ok(())
}
