//! A whole session, on every release and Python: attach → break → look →
//! evaluate → step → pause → print → detach → attach again.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use legacy_host::{Implementation, Program};
use libtest_mimic::Arguments;
use serde_json::{Value, json};
use testkit::editor::{Editor, LocalCopy, array, integer, named, start_program, string};
use testkit::harness::trial;
use testkit::matrix::{Matrix, Server};
use testkit::programs::{ASKING, WORKING};

const ADAPTER: &str = env!("CARGO_BIN_EXE_ptvsd-bridge");
/// How long a program may take to print something.
const PRINT_LIMIT: Duration = Duration::from_secs(20);

fn main() -> ExitCode {
    let matrix = Matrix::of_this_machine();
    let mut trials = Vec::new();
    for server in matrix.servers() {
        for (agent, how) in [(true, ""), (false, ", no agent")] {
            let name = format!("whole session{how}: {server}");
            let server = server.clone();
            trials.push(trial(name, move || whole_session(server, agent)));
        }
    }
    for server in matrix.servers() {
        let name = format!("attach to a program that waits for input: {server}");
        trials.push(trial(name, move || waiting_for_input(server)));
    }
    for server in matrix.pre_releases() {
        let name = format!("handshake and a stop: {server}");
        trials.push(trial(name, move || a_stop(server)));
    }
    for server in matrix.few_servers() {
        let name = format!("stop on entry: {server}");
        trials.push(trial(name, {
            let server = server.clone();
            move || stop_on_entry(server)
        }));
        let name = format!("terminate only when allowed: {server}");
        trials.push(trial(name, {
            let server = server.clone();
            move || terminate(server)
        }));
        let name = format!("a stop ends by itself: {server}");
        trials.push(trial(name, move || stop_ends_by_itself(server)));
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

async fn whole_session(server: Server, agent: bool) -> Result<()> {
    let program = start_program(&server, &WORKING)?;
    let copy = LocalCopy::of(&WORKING)?;
    let file = copy.path();
    let editor = Editor::start(Path::new(ADAPTER)).await?;

    // attach → breakpoint
    editor
        .attach_with(&program, json!({"agent": agent}))
        .await?;
    let call = WORKING.line("call");
    let breakpoints = editor.set_breakpoints(&file, &[call]).await?;
    let breakpoint = breakpoints.first().context("no breakpoint")?;
    editor
        .request("setExceptionBreakpoints", json!({"filters": []}))
        .await?;
    editor.configured().await?;
    let stopped = editor.client.event("stopped").await?;
    ensure!(string(&stopped, "/reason") == "breakpoint", "{stopped}");
    ensure!(
        stopped.get("allThreadsStopped") == Some(&json!(true)),
        "{stopped}"
    );
    ensure!(
        array(&stopped, "/hitBreakpointIds") == [breakpoint.get("id").cloned().unwrap_or_default()],
        "{stopped} is not about {breakpoint}"
    );
    let thread = integer(&stopped, "/threadId")?;
    ensure!(thread < 1000, "a small thread id, not {thread}");

    frames(&editor, thread, &file).await?;
    let (frame, _, _) = editor.top(thread).await?;
    locals(&editor, frame, &server).await?;
    globals(&editor, frame).await?;
    evaluation(&editor, frame, &server).await?;
    steps(&editor, thread, frame).await?;
    pause(&editor, &file, thread).await?;
    editor.disconnect().await?;
    ticks(&program)?;

    // attach again → stop → detach while stopped
    let editor = Editor::start(Path::new(ADAPTER)).await?;
    editor
        .attach_with(&program, json!({"agent": agent}))
        .await?;
    editor.set_breakpoints(&file, &[call]).await?;
    editor.configured().await?;
    let thread = editor.stopped("breakpoint").await?;
    let (_, function, line) = editor.top(thread).await?;
    ensure!((function.as_str(), line) == ("work", call));
    editor.disconnect().await?;
    ticks(&program)
}

async fn frames(editor: &Editor, thread: i64, file: &Path) -> Result<()> {
    let threads = editor.request("threads", Value::Null).await?;
    ensure!(
        array(&threads, "/threads").contains(&json!({"id": thread, "name": "MainThread"})),
        "{threads}"
    );
    let arguments = json!({"threadId": thread, "startFrame": 0, "levels": 1});
    let top = editor.request("stackTrace", arguments).await?;
    ensure!(array(&top, "/stackFrames").len() == 1, "{top}");
    // Below the script is what runs it.
    ensure!(integer(&top, "/totalFrames")? >= 2, "{top}");
    ensure!(string(&top, "/stackFrames/0/name") == "work", "{top}");
    ensure!(
        integer(&top, "/stackFrames/0/line")? == WORKING.line("call"),
        "{top}"
    );
    // The person's own copy, though the program's file is elsewhere.
    ensure!(
        string(&top, "/stackFrames/0/source/path") == file.to_string_lossy(),
        "{top}"
    );
    let arguments = json!({"threadId": thread, "startFrame": 1, "levels": 1});
    let second = editor.request("stackTrace", arguments).await?;
    ensure!(
        string(&second, "/stackFrames/0/name") == "<module>",
        "{second}"
    );
    Ok(())
}

async fn locals(editor: &Editor, frame: i64, server: &Server) -> Result<()> {
    let locals = editor.scope(frame, "Locals").await?;
    let names: Vec<_> = locals.iter().map(|v| string(v, "/name")).collect();
    ensure!(
        names.starts_with(&["number".to_owned(), "label".to_owned()]),
        "arguments come first: {names:?}"
    );
    for absent in ["inner", "Point", "total"] {
        ensure!(
            !names.contains(&absent.to_owned()),
            "{absent} is no local, or has no value: {names:?}"
        );
    }
    let label = named(&locals, "label")?;
    ensure!(string(label, "/value") == "'label'", "{label}");
    ensure!(string(label, "/type") == "str", "{label}");
    ensure!(string(label, "/evaluateName") == "label", "{label}");
    ensure!(integer(label, "/variablesReference")? == 0, "{label}");
    let text = named(&locals, "text")?;
    let shown = if server.python.version.0 == 2 {
        "u'caf\\xe9'"
    } else {
        "'café'"
    };
    ensure!(string(text, "/value") == shown, "{text}");

    let point = named(&locals, "point")?;
    let inside = editor
        .children(integer(point, "/variablesReference")?)
        .await?;
    let y = named(&inside, "y")?;
    ensure!(string(y, "/value") == "'label'", "{y}");
    ensure!(string(y, "/evaluateName") == "point.y", "{y}");

    let numbers = named(&locals, "numbers")?;
    let reference = integer(numbers, "/variablesReference")?;
    let all = editor.children(reference).await?;
    ensure!(all.len() == 1000, "{} of 1000 items", all.len());
    let last = all.last().context("no last")?;
    ensure!(
        (string(last, "/name"), string(last, "/value")) == ("999".to_owned(), "999".to_owned()),
        "{last}"
    );
    let arguments = json!({
        "variablesReference": reference, "filter": "indexed", "start": 500, "count": 10,
    });
    let part = array(&editor.request("variables", arguments).await?, "/variables");
    let names: Vec<_> = part.iter().map(|v| string(v, "/name")).collect();
    let expected: Vec<_> = (500..510).map(|n| n.to_string()).collect();
    ensure!(names == expected, "{names:?}");
    let item = part.first().context("no item")?;
    ensure!(string(item, "/value") == "500", "{item}");
    let again = editor
        .evaluate(&string(item, "/evaluateName"), frame, "watch")
        .await?;
    ensure!(again == "500", "{again}");

    let mapping = named(&locals, "mapping")?;
    let inside = editor
        .children(integer(mapping, "/variablesReference")?)
        .await?;
    let two = named(&inside, "'two'")?;
    let list = editor
        .children(integer(two, "/variablesReference")?)
        .await?;
    ensure!(string(named(&list, "1")?, "/value") == "2", "{list:?}");
    Ok(())
}

async fn globals(editor: &Editor, frame: i64) -> Result<()> {
    let globals = editor.scope(frame, "Globals").await?;
    named(&globals, "count")?;
    named(&globals, "work")?;
    Ok(())
}

async fn evaluation(editor: &Editor, frame: i64, server: &Server) -> Result<()> {
    let value = editor.evaluate("len(numbers) + 1", frame, "watch").await?;
    ensure!(value == "1001", "{value}");
    let value = editor.evaluate("flag", frame, "hover").await?;
    ensure!(value == "True", "{value}");
    let error = match editor.evaluate("missing", frame, "watch").await {
        Ok(value) => anyhow::bail!("{value} for a name that is not there"),
        Err(error) => error.message,
    };
    ensure!(error.contains("missing"), "{error}");
    // A statement, and its effect on the program and on what is shown of it.
    let value = editor.evaluate("point.x = -1", frame, "repl").await?;
    ensure!(value.is_empty(), "{value}");
    let value = editor.evaluate("point.x", frame, "watch").await?;
    ensure!(value == "-1", "{value}");
    // Only CPython lets the servers write to a function's locals.
    if server.python.implementation == Implementation::CPython {
        editor.evaluate("label = 'changed'", frame, "repl").await?;
        let value = editor.evaluate("label", frame, "watch").await?;
        ensure!(value == "'changed'", "{value}");
        let locals = editor.scope(frame, "Locals").await?;
        let label = named(&locals, "label")?;
        ensure!(string(label, "/value") == "'changed'", "{label}");
    }
    // The children of an expression, not of its last operand.
    let arguments = json!({"expression": "None or point", "frameId": frame, "context": "watch"});
    let point = editor.request("evaluate", arguments).await?;
    let inside = editor
        .children(integer(&point, "/variablesReference")?)
        .await?;
    named(&inside, "x")?;
    Ok(())
}

async fn steps(editor: &Editor, thread: i64, old_frame: i64) -> Result<()> {
    let thread = editor.step("stepIn", thread).await?;
    let (_, function, line) = editor.top(thread).await?;
    ensure!(
        (function.as_str(), line) == ("inner", WORKING.line("inner")),
        "stepped into {function}:{line}"
    );
    let gone = match editor.evaluate("1", old_frame, "watch").await {
        Ok(value) => anyhow::bail!("{value} in a frame of an earlier stop"),
        Err(error) => error.message,
    };
    ensure!(gone.contains("moved on"), "{gone}");
    let thread = editor.step("stepOut", thread).await?;
    let (_, function, _) = editor.top(thread).await?;
    ensure!(function == "work", "stepped out to {function}");
    let thread = to_line(editor, thread, "after").await?;
    let thread = editor.step("next", thread).await?;
    let (_, function, line) = editor.top(thread).await?;
    ensure!(
        (function.as_str(), line) == ("work", WORKING.line("print")),
        "stepped over to {function}:{line}"
    );
    Ok(())
}

/// A step out ends on the line of the call on some Pythons, on the next on
/// others.
async fn to_line(editor: &Editor, thread: i64, name: &str) -> Result<i64> {
    let (_, _, line) = editor.top(thread).await?;
    if line == WORKING.line(name) {
        return Ok(thread);
    }
    let thread = editor.step("next", thread).await?;
    let (_, _, line) = editor.top(thread).await?;
    ensure!(line == WORKING.line(name), "at {line}, not at {name}");
    Ok(thread)
}

async fn pause(editor: &Editor, file: &Path, thread: i64) -> Result<()> {
    editor.set_breakpoints(file, &[]).await?;
    editor.client.take_events("output");
    editor.go_on(thread).await?;
    editor.output_with("tick").await?;
    editor.request("pause", json!({"threadId": thread})).await?;
    let thread = editor.stopped("pause").await?;
    let frames = editor.frames(thread).await?;
    ensure!(!frames.is_empty(), "no frames when paused");
    Ok(())
}

/// The program runs: it prints a few lines more.
fn ticks(program: &Program) -> Result<()> {
    for _ in 0..3 {
        let mark = program.mark();
        program.wait_for_line_since(mark, "tick", PRINT_LIMIT)?;
    }
    Ok(())
}

async fn waiting_for_input(server: Server) -> Result<()> {
    let program = start_program(&server, &ASKING)?;
    program.wait_for_line("ready", PRINT_LIMIT)?;
    let copy = LocalCopy::of(&ASKING)?;
    for round in ["first", "second"] {
        let editor = Editor::start(Path::new(ADAPTER)).await?;
        // None of this waits for the program, which runs no line.
        editor.attach(&program).await?;
        let line = ASKING.line("got");
        let breakpoints = editor.set_breakpoints(&copy.path(), &[line]).await?;
        ensure!(
            breakpoints
                .iter()
                .all(|b| b.get("verified") == Some(&json!(true))),
            "{breakpoints:?}"
        );
        editor.configured().await?;
        // It moves, and stops at the breakpoint.
        program.write_stdin(&format!("{round}\n"))?;
        let thread = editor.stopped("breakpoint").await?;
        let (frame, _, at) = editor.top(thread).await?;
        ensure!(at == line, "stopped at {at}");
        let answer = editor.evaluate("answer", frame, "watch").await?;
        ensure!(answer == format!("'{round}'"), "{answer}");
        editor.disconnect().await?;
        program.wait_for_line(&format!("got {round}"), PRINT_LIMIT)?;
    }
    Ok(())
}

async fn a_stop(server: Server) -> Result<()> {
    let program = start_program(&server, &WORKING)?;
    let copy = LocalCopy::of(&WORKING)?;
    let editor = Editor::start(Path::new(ADAPTER)).await?;
    let line = WORKING.line("call");
    editor.debug(&program, &copy.path(), &[line]).await?;
    let thread = editor.stopped("breakpoint").await?;
    let (frame, function, at) = editor.top(thread).await?;
    ensure!((function.as_str(), at) == ("work", line));
    let locals = editor.scope(frame, "Locals").await?;
    ensure!(string(named(&locals, "label")?, "/value") == "'label'");
    let value = editor.evaluate("point.y", frame, "watch").await?;
    ensure!(value == "'label'", "{value}");
    editor.disconnect().await?;
    ticks(&program)
}

async fn stop_on_entry(server: Server) -> Result<()> {
    let program = start_program(&server, &WORKING)?;
    let editor = Editor::start(Path::new(ADAPTER)).await?;
    editor
        .attach_with(&program, json!({"stopOnEntry": true}))
        .await?;
    editor.configured().await?;
    let thread = editor.stopped("entry").await?;
    let frames = editor.frames(thread).await?;
    // Jython's servers do not know the frame that called enable_attach.
    ensure!(!frames.is_empty() || server.python.implementation == Implementation::Jython);
    editor.go_on(thread).await?;
    editor.output_with("tick").await?;
    editor.disconnect().await?;
    ticks(&program)
}

async fn terminate(server: Server) -> Result<()> {
    let program = start_program(&server, &WORKING)?;
    // Not allowed: the program runs on.
    let mut editor = Editor::start(Path::new(ADAPTER)).await?;
    editor.attach(&program).await?;
    editor.configured().await?;
    editor.output_with("tick").await?;
    editor.request("terminate", Value::Null).await?;
    editor.client.event("terminated").await?;
    editor
        .request("disconnect", json!({"terminateDebuggee": true}))
        .await?;
    editor.client.close();
    editor.ended().await?;
    ticks(&program)?;
    // Allowed.
    let mut editor = Editor::start(Path::new(ADAPTER)).await?;
    editor
        .attach_with(&program, json!({"allowTerminate": true}))
        .await?;
    let capabilities = editor.client.event("capabilities").await?;
    ensure!(
        capabilities.pointer("/capabilities/supportsTerminateRequest") == Some(&json!(true)),
        "{capabilities}"
    );
    editor.configured().await?;
    editor.output_with("tick").await?;
    editor.request("terminate", Value::Null).await?;
    editor.client.event("terminated").await?;
    program.wait_exit(PRINT_LIMIT)?;
    editor.client.close();
    editor.ended().await
}

async fn stop_ends_by_itself(server: Server) -> Result<()> {
    let program = start_program(&server, &WORKING)?;
    let copy = LocalCopy::of(&WORKING)?;
    let editor = Editor::start(Path::new(ADAPTER)).await?;
    editor
        .attach_with(&program, json!({"maxStop": 0.3}))
        .await?;
    editor
        .set_breakpoints(&copy.path(), &[WORKING.line("call")])
        .await?;
    editor.configured().await?;
    editor.stopped("breakpoint").await?;
    editor.client.event("continued").await?;
    editor.stopped("breakpoint").await?;
    editor.disconnect().await?;
    ticks(&program)
}
