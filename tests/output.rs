//! What the program prints: all of it, in order, in few events, whatever the
//! editor does; and never at the program's cost.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use legacy_host::{Implementation, Program};
use libtest_mimic::Arguments;
use serde_json::{Value, json};
use testkit::editor::{Editor, LocalCopy, start_program, string};
use testkit::harness::trial;
use testkit::matrix::{Matrix, Server};
use testkit::programs::{FLOODING, PRINT_LIMIT};

const ADAPTER: &str = env!("CARGO_BIN_EXE_ptvsd-bridge");
/// How many lines are printed at once, and how many events may come of them.
const LINES: usize = 20_000;
const EVENTS: usize = 2_000;
/// How long the editor does not read.
const MOOD: f64 = 10.0;
/// A program that is held up by an editor that does not read is so for nearly
/// all of that time.
const HELD_UP: f64 = MOOD / 2.0;
/// The adapter's memory is at most this, in KiB; what is printed meanwhile is
/// several times as much.
const MEMORY: u64 = 32 * 1024;

fn main() -> ExitCode {
    let matrix = Matrix::of_this_machine();
    let mut trials = Vec::new();
    for server in matrix.few_servers() {
        for agent in [true, false] {
            let server = server.clone();
            let name = format!("{LINES} lines, {}: {server}", with(agent));
            trials.push(trial(name, move || many_lines(server, agent)));
        }
    }
    for (version, major, minor) in [("2.2.0", 2, 7), ("2.0.0", 3, 6), ("3.2.1", 3, 11)] {
        for agent in [true, false] {
            let Some(server) = matrix.server(version, major, minor) else {
                continue;
            };
            if cfg!(target_os = "linux") {
                let name = format!("an editor that does not read, {}: {server}", with(agent));
                trials.push(trial(name, move || does_not_read(server, agent)));
            } else {
                eprintln!("NOT POSSIBLE: {server}: the memory of a process is read from /proc");
            }
        }
    }
    for server in matrix.servers() {
        let name = format!("text that cannot be encoded: {server}");
        trials.push(trial(name, move || odd_text(server)));
    }
    for version in ["3.1.0", "3.2.1"] {
        if let Some(server) = matrix.server(version, 2, 7) {
            let name = format!("text that cannot be encoded, no agent: {server}");
            trials.push(trial(name, move || odd_text_without_agent(server)));
        }
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn with(agent: bool) -> &'static str {
    if agent { "agent" } else { "no agent" }
}

/// Attaches to a program that waits for its orders.
async fn attached(editor: &Editor, server: &Server, agent: bool) -> Result<Program> {
    let program = start_program(server, &FLOODING)?;
    editor
        .attach_with(&program, json!({"agent": agent}))
        .await?;
    editor.configured().await?;
    Ok(program)
}

/// What the program printed, by category, up to its `done`; and how many
/// events that took.
async fn printed(editor: &Editor) -> Result<(String, String, usize)> {
    let (mut stdout, mut stderr, mut events) = (String::new(), String::new(), 0);
    while !format!("\n{stdout}").ends_with("\ndone\n") {
        let output = editor.client.event("output").await?;
        let text = string(&output, "/output");
        match string(&output, "/category").as_str() {
            "stdout" => stdout.push_str(&text),
            "stderr" => stderr.push_str(&text),
            _ => continue,
        }
        events += 1;
    }
    Ok((stdout, stderr, events))
}

async fn many_lines(server: Server, agent: bool) -> Result<()> {
    let editor = Editor::start(Path::new(ADAPTER)).await?;
    let program = attached(&editor, &server, agent).await?;
    for _ in 0..2 {
        program.write_stdin(&format!("lines {LINES}\n"))?;
        let (stdout, stderr, events) = printed(&editor).await?;
        ensure!(events < EVENTS, "{events} events");
        let (lines, notes): (Vec<_>, Vec<_>) =
            stdout.lines().partition(|line| !line.starts_with("so far"));
        let expected: Vec<_> = (0..LINES)
            .map(|number| format!("line {number}"))
            .chain(["done".to_owned()])
            .collect();
        ensure!(
            lines == expected,
            "{} lines: {:?} ...",
            lines.len(),
            lines.get(..5)
        );
        // The last dialect tells the two apart.
        let on_stderr = stderr.lines().count();
        let expected = LINES / 1000;
        if server.release.dialect() == 8 {
            ensure!(
                (notes.len(), on_stderr) == (0, expected),
                "{notes:?}, {stderr:?}"
            );
        } else {
            ensure!(
                (notes.len(), on_stderr) == (expected, 0),
                "{notes:?}, {stderr:?}"
            );
        }
    }
    editor.disconnect().await
}

async fn does_not_read(server: Server, agent: bool) -> Result<()> {
    let (editor, mood) = Editor::start_moody(Path::new(ADAPTER)).await?;
    let program = attached(&editor, &server, agent).await?;
    editor.client.take_events("output");
    mood.send_replace(false);
    program.write_stdin(&format!("spout {MOOD}\n"))?;
    // The program is told nothing of the editor's mood.
    let limit = Duration::from_secs_f64(MOOD) + PRINT_LIMIT;
    let line = program.wait_for_line("held up", limit)?;
    let words: Vec<&str> = line.split(' ').collect();
    let [_, count, _, _, held_up] = words.as_slice() else {
        anyhow::bail!("{line:?}");
    };
    let count: usize = count.parse()?;
    ensure!(
        held_up.parse::<f64>()? < HELD_UP,
        "the program was held up: {line}"
    );
    let pid = editor.pid().context("no pid")?;
    let memory = resident(pid)?;
    eprintln!(
        "{server}, {}: {line}; the adapter has {memory} KiB",
        with(agent)
    );
    ensure!(memory < MEMORY, "the adapter has {memory} KiB");
    // More than the sockets and pipes between them could hold.
    ensure!(count > 2_000, "only {count} lines");
    mood.send_replace(true);
    let (stdout, _, events) = printed(&editor).await?;
    let numbers = stdout
        .lines()
        .filter_map(|line| line.split(' ').next()?.parse::<usize>().ok());
    ensure!(numbers.eq(0..count), "lines are missing, or not in order");
    ensure!(events < EVENTS, "{events} events");
    // And the session is as before.
    program.write_stdin("lines 3\n")?;
    let (stdout, ..) = printed(&editor).await?;
    ensure!(stdout == "line 0\nline 1\nline 2\ndone\n", "{stdout:?}");
    editor.disconnect().await
}

fn resident(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse()?)
}

/// The session goes on, and what is no text is shown as such.
async fn odd_text(server: Server) -> Result<()> {
    let program = start_program(&server, &FLOODING)?;
    let copy = LocalCopy::of(&FLOODING)?;
    let editor = Editor::start(Path::new(ADAPTER)).await?;
    editor
        .debug(&program, &copy.path(), &[FLOODING.line("odd")])
        .await?;
    program.write_stdin("odd\n")?;
    let thread = editor.stopped("breakpoint").await?;
    let (frame, ..) = editor.top(thread).await?;
    let length = editor.evaluate("len(strange)", frame, "watch").await?;
    ensure!(length == "6", "{length}");
    editor.scope(frame, "Locals").await?;
    editor.go_on(thread).await?;
    let (stdout, ..) = printed(&editor).await?;
    let shown: Vec<_> = stdout.lines().collect();
    let cpython = server.python.implementation == Implementation::CPython;
    if server.python.version.0 == 2 && cpython {
        ensure!(
            matches!(shown.as_slice(), [odd, "caf\u{e9}", "odd done", "done"]
                if odd.starts_with("caf\u{fffd}") || odd.starts_with("caf\u{e9}")),
            "{shown:?}"
        );
    } else {
        ensure!(
            shown.first() == Some(&"caf\u{e9} \\udcff")
                && shown.contains(&"caf\u{fffd}")
                && shown.ends_with(&["odd done", "done"]),
            "{shown:?}"
        );
    }
    editor.disconnect().await
}

async fn odd_text_without_agent(server: Server) -> Result<()> {
    let mut editor = Editor::start(Path::new(ADAPTER)).await?;
    let program = attached(&editor, &server, false).await?;
    let warned = |event: &Value| {
        let said = string(event, "/output");
        said.contains("not UTF-8") && said.contains("\"agent\": false")
    };
    editor.client.event_where("output", warned).await?;
    program.write_stdin("odd\n")?;
    program.wait_for_line("odd done", PRINT_LIMIT)?;
    if server.release.dialect() == 8 {
        // It is noticed, and the session ended in order.
        editor.client.event_where("output", warned).await?;
        editor.client.event("terminated").await?;
        editor.client.close();
        editor.ended().await?;
    } else {
        editor.disconnect().await?;
    }
    // The way out.
    let editor = Editor::start(Path::new(ADAPTER)).await?;
    editor.attach(&program).await?;
    editor.configured().await?;
    program.write_stdin("odd\n")?;
    let (stdout, ..) = printed(&editor).await?;
    ensure!(stdout.contains("odd done"), "{stdout:?}");
    editor.disconnect().await
}
