//! Requests at the wrong moment: none hangs, none is lost, and the server
//! takes the next debugger.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use legacy_host::{Implementation, Program};
use libtest_mimic::Arguments;
use serde_json::{Value, json};
use testkit::editor::{Editor, LocalCopy, array, integer, named, start_program, string};
use testkit::harness::trial;
use testkit::matrix::{Matrix, Server};
use testkit::programs::{BUSY, PRINT_LIMIT, WORKING, all_move};
use tokio::time::timeout;

const ADAPTER: &str = env!("CARGO_BIN_EXE_ptvsd-bridge");
/// How often the busy program is stopped and continued at once.
const STOPS: usize = 40;
/// The same in the full run.
const FULL_STOPS: usize = 200;
/// No stop for this long: there are none under way.
const CALM: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let matrix = Matrix::of_this_machine();
    let stops = if matrix.is_full() { FULL_STOPS } else { STOPS };
    let mut trials = Vec::new();
    for server in matrix.servers() {
        let name = format!("all at once: {server}");
        trials.push(trial(name, move || all_at_once(server)));
    }
    for server in matrix.few_servers() {
        let name = format!("continue during an evaluation: {server}");
        trials.push(trial(name, {
            let server = server.clone();
            move || continue_during_evaluation(server)
        }));
        let name = format!("steps and evaluations while running: {server}");
        trials.push(trial(name, {
            let server = server.clone();
            move || while_running(server)
        }));
        let name = format!("before attach: {server}");
        trials.push(trial(name, {
            let server = server.clone();
            move || before_attach(server)
        }));
        let name = format!("disconnect right after continue: {server}");
        trials.push(trial(name, {
            let server = server.clone();
            move || disconnect_after_continue(server)
        }));
        let name = format!("disconnect during the attach: {server}");
        trials.push(trial(name, {
            let server = server.clone();
            move || disconnect_during_attach(server)
        }));
        let name = format!("the program ends during requests: {server}");
        trials.push(trial(name, {
            let server = server.clone();
            move || program_ends_during_requests(server)
        }));
        let name = format!("the editor just goes, or kills the adapter: {server}");
        trials.push(trial(name, move || editor_goes(server)));
    }
    for server in matrix.servers() {
        // Their `threading` does not start threads where the servers look.
        let starts_elsewhere = server.python.implementation == Implementation::Jython
            || server.python.version >= (3, 13, 0);
        if starts_elsewhere {
            eprintln!("NOT POSSIBLE: threads on {server}: the server does not see them");
            continue;
        }
        let name = format!("{stops} stops of eight busy threads: {server}");
        trials.push(trial(name, move || busy_threads(server, stops)));
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// A program that has stopped in `work`.
async fn stopped_session(server: &Server) -> Result<(Program, LocalCopy, Editor, i64, i64)> {
    let program = start_program(server, &WORKING)?;
    let copy = LocalCopy::of(&WORKING)?;
    let editor = Editor::start(Path::new(ADAPTER)).await?;
    editor
        .debug(&program, &copy.path(), &[WORKING.line("call")])
        .await?;
    let thread = editor.stopped("breakpoint").await?;
    let (frame, _, _) = editor.top(thread).await?;
    Ok((program, copy, editor, thread, frame))
}

/// The program runs, and takes a debugger.
async fn is_well(program: &Program, file: &Path) -> Result<()> {
    let mark = program.mark();
    program.wait_for_line_since(mark, "tick", PRINT_LIMIT)?;
    let editor = Editor::start(Path::new(ADAPTER)).await?;
    editor
        .debug(program, file, &[WORKING.line("call")])
        .await
        .context("the next debugger")?;
    editor.stopped("breakpoint").await?;
    editor.disconnect().await?;
    let mark = program.mark();
    program.wait_for_line_since(mark, "tick", PRINT_LIMIT)?;
    Ok(())
}

async fn all_at_once(server: Server) -> Result<()> {
    let (program, copy, editor, _, frame) = stopped_session(&server).await?;
    let locals = editor.scope(frame, "Locals").await?;
    let point = integer(named(&locals, "point")?, "/variablesReference")?;
    let mut variables = Vec::new();
    let mut evaluations = Vec::new();
    for number in 0..20 {
        if number < 16 {
            variables.push(editor.send("variables", json!({"variablesReference": point})));
        }
        let arguments = json!({"expression": format!("{number} + 1"), "frameId": frame});
        evaluations.push(editor.send("evaluate", arguments));
    }
    for (number, pending) in evaluations.into_iter().enumerate() {
        let body = pending.await?;
        ensure!(
            string(&body, "/result") == (number + 1).to_string(),
            "{body}"
        );
    }
    for pending in variables {
        let body = pending.await?;
        ensure!(array(&body, "/variables").len() == 2, "{body}");
    }
    editor.disconnect().await?;
    is_well(&program, &copy.path()).await
}

async fn continue_during_evaluation(server: Server) -> Result<()> {
    let (program, copy, editor, thread, frame) = stopped_session(&server).await?;
    let slow = editor.send(
        "evaluate",
        json!({"expression": "__import__('time').sleep(0.5)", "frameId": frame}),
    );
    let waiting = editor.send("evaluate", json!({"expression": "1", "frameId": frame}));
    editor.go_on(thread).await?;
    // Both are answered, one way or the other, and the program goes on.
    let _ = slow.response().await?;
    let _ = waiting.response().await?;
    let thread = editor.stopped("breakpoint").await?;

    // An evaluation that does not end soon must not keep the program.
    let (frame, _, _) = editor.top(thread).await?;
    let slower = editor.send(
        "evaluate",
        json!({"expression": "__import__('time').sleep(3)", "frameId": frame}),
    );
    editor.go_on(thread).await?;
    let _ = slower.response().await?;
    editor.stopped("breakpoint").await?;
    editor.disconnect().await?;
    is_well(&program, &copy.path()).await
}

async fn while_running(server: Server) -> Result<()> {
    let (program, copy, editor, thread, frame) = stopped_session(&server).await?;
    editor.set_breakpoints(&copy.path(), &[]).await?;
    editor.go_on(thread).await?;
    for command in ["next", "stepIn", "stepOut", "stackTrace"] {
        match editor.request(command, json!({"threadId": thread})).await {
            Ok(body) => bail!("{command} of a running thread: {body}"),
            Err(error) => ensure!(error.message.contains("running"), "{error}"),
        }
    }
    if let Ok(value) = editor.evaluate("1", frame, "watch").await {
        bail!("{value} in a frame of a program that runs");
    }
    editor.go_on(thread).await?;
    editor.output_with("tick").await?;
    editor.disconnect().await?;
    is_well(&program, &copy.path()).await
}

async fn before_attach(server: Server) -> Result<()> {
    let program = start_program(&server, &WORKING)?;
    let copy = LocalCopy::of(&WORKING)?;
    let editor = Editor::start(Path::new(ADAPTER)).await?;
    let threads = editor.request("threads", Value::Null).await?;
    ensure!(array(&threads, "/threads").is_empty(), "{threads}");
    for (command, arguments) in [
        ("stackTrace", json!({"threadId": 1})),
        ("evaluate", json!({"expression": "1"})),
        ("continue", json!({"threadId": 1})),
        ("pause", json!({"threadId": 1})),
    ] {
        match editor.request(command, arguments).await {
            Ok(body) => bail!("{command} before attach: {body}"),
            Err(error) => ensure!(error.message.contains("not attached"), "{error}"),
        }
    }
    // Breakpoints are kept for the program.
    let line = WORKING.line("call");
    let early = editor.set_breakpoints(&copy.path(), &[line]).await?;
    ensure!(
        early
            .iter()
            .all(|b| b.get("verified") == Some(&json!(false))),
        "{early:?}"
    );
    editor.attach(&program).await?;
    editor.configured().await?;
    editor.stopped("breakpoint").await?;
    editor.disconnect().await?;

    let mut editor = Editor::start(Path::new(ADAPTER)).await?;
    editor.request("disconnect", Value::Null).await?;
    editor.client.close();
    editor.ended().await?;
    is_well(&program, &copy.path()).await
}

async fn disconnect_after_continue(server: Server) -> Result<()> {
    let (program, copy, editor, thread, _) = stopped_session(&server).await?;
    let _ = editor.send("continue", json!({"threadId": thread}));
    editor.disconnect().await?;
    is_well(&program, &copy.path()).await
}

async fn disconnect_during_attach(server: Server) -> Result<()> {
    let program = start_program(&server, &WORKING)?;
    let copy = LocalCopy::of(&WORKING)?;
    let mut editor = Editor::start(Path::new(ADAPTER)).await?;
    let target = format!("my_secret@127.0.0.1:{}", program.port());
    let attach = editor.send("attach", json!({"target": target}));
    let disconnect = editor.send("disconnect", Value::Null);
    let _ = attach.response().await?;
    disconnect.await?;
    editor.client.close();
    editor.ended().await?;
    is_well(&program, &copy.path()).await
}

async fn editor_goes(server: Server) -> Result<()> {
    let (program, copy, mut editor, _, _) = stopped_session(&server).await?;
    // It closes the pipe, and says nothing.
    editor.client.close();
    editor.ended().await?;
    is_well(&program, &copy.path()).await?;
    // It asks the adapter to end.
    let (program, copy, mut editor, _, _) = stopped_session(&server).await?;
    let pid = editor.pid().context("no pid")?;
    let kill = std::process::Command::new("kill")
        .arg(pid.to_string())
        .status()?;
    ensure!(kill.success());
    editor.ended().await?;
    is_well(&program, &copy.path()).await
}

/// Continues each stop at once; afterwards every thread still moves.
async fn busy_threads(server: Server, stops: usize) -> Result<()> {
    let program = start_program(&server, &BUSY)?;
    program.wait_for_line("counts", PRINT_LIMIT)?;
    let copy = LocalCopy::of(&BUSY)?;
    let editor = Editor::start(Path::new(ADAPTER)).await?;
    editor
        .attach_with(&program, json!({"agent": false}))
        .await?;
    editor
        .set_breakpoints(&copy.path(), &[BUSY.line("hit")])
        .await?;
    editor.configured().await?;
    for stop in 0..stops {
        let stopped = editor
            .client
            .event("stopped")
            .await
            .with_context(|| format!("after {stop} stops"))?;
        editor.go_on(integer(&stopped, "/threadId")?).await?;
    }
    editor.set_breakpoints(&copy.path(), &[]).await?;
    // Stops that were under way when the breakpoint went.
    while let Ok(stopped) = timeout(CALM, editor.client.event("stopped")).await {
        editor.go_on(integer(&stopped?, "/threadId")?).await?;
    }
    all_move(&program).context("still attached")?;
    editor.disconnect().await?;
    all_move(&program).context("detached")
}

/// What was asked before the program ended is answered, and the editor hears
/// of the end.
async fn program_ends_during_requests(server: Server) -> Result<()> {
    let (program, _copy, mut editor, _, frame) = stopped_session(&server).await?;
    let end = "__import__('os')._exit(3)";
    let fatal = editor.send("evaluate", json!({"expression": end, "frameId": frame}));
    let waiting = editor.send("evaluate", json!({"expression": "1", "frameId": frame}));
    for pending in [fatal, waiting] {
        let response = pending.response().await?;
        ensure!(response.get("success") == Some(&json!(false)), "{response}");
    }
    editor.client.event("terminated").await?;
    program.wait_exit(PRINT_LIMIT)?;
    editor
        .set_breakpoints(std::path::Path::new("/x.py"), &[1])
        .await?;
    editor.client.close();
    editor.ended().await
}
