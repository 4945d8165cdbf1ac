//! Which file is which: packages with the same names in them, names that are
//! no plain words, modules that come late, archives, and programs of whose
//! files the editor has no copy.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use legacy_host::{Program, ProgramBuilder};
use libtest_mimic::Arguments;
use serde_json::{Value, json};
use testkit::editor::{Editor, SECRET, array, integer, start_program, string};
use testkit::harness::trial;
use testkit::matrix::{Matrix, Server};
use testkit::programs::{PRINT_LIMIT, WORKING};

const ADAPTER: &str = env!("CARGO_BIN_EXE_ptvsd-bridge");

/// Does what it is told, in modules of its own.
const MAIN: &str = "\
import os
import sys
import zipfile

here = os.path.dirname(os.path.abspath(__file__))
archive = zipfile.ZipFile(os.path.join(here, 'archive.zip'), 'w')
for name in ('inside/__init__.py', 'inside/zipped.py'):
    archive.writestr(name, open(os.path.join(here, 'one', 'util.py')).read())
archive.close()
sys.path[:0] = [here, os.path.join(here, 'archive.zip')]

import one.util
import two.util
import inside.zipped

print('ready')
sys.stdout.flush()
while True:
    line = sys.stdin.readline().strip()
    if not line:
        break
    __import__(line)
    print('%s: %d' % (line, sys.modules[line].work(1)))
    sys.stdout.flush()
";
/// Each of its modules.
const MODULE: &str = "\
# caf\u{e9}: -*- coding: utf-8 -*-


def work(number):
    value = number * 2
    return value
";
/// One with lines that have no code.
const SPACED: &str = "\
def work(number):
    '''Twice the number.

    No more.
    '''
    # A comment, and a blank line.

    value = number * 2

    # Another comment.
    return value
# The end.
";
/// The line to stop at.
const LINE: i64 = 5;

fn main() -> ExitCode {
    let matrix = Matrix::of_this_machine();
    let mut trials = Vec::new();
    for server in matrix.few_servers() {
        let mut add = |name: &str, test: fn(Server) -> TestResult| {
            let server = server.clone();
            trials.push(trial(format!("{name}: {server}"), move || test(server)));
        };
        add("without mappings", |server| {
            Box::pin(without_mappings(server))
        });
        add("modules that come late", |server| {
            Box::pin(late_modules(server))
        });
        add("no local copy", |server| Box::pin(no_local_copy(server)));
        add("lines without code", |server| {
            Box::pin(lines_without_code(server))
        });
        add("lines without code, in a hurry", |server| {
            Box::pin(lines_in_a_hurry(server))
        });
        add("a module in an archive", |server| {
            Box::pin(in_archive(server))
        });
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

type TestResult = std::pin::Pin<Box<dyn Future<Output = Result<()>>>>;

/// The program's folder, and the editor's copy of it under another name.
struct Folders {
    there: PathBuf,
    here: PathBuf,
    _parent: tempfile::TempDir,
}

impl Folders {
    fn make() -> Result<Folders> {
        let parent = tempfile::tempdir()?;
        let folders = Folders {
            there: parent.path().join("the app, caf\u{e9}"),
            here: parent.path().join("my copy of it"),
            _parent: parent,
        };
        for folder in [&folders.there, &folders.here] {
            for package in ["one", "two"] {
                fs::create_dir_all(folder.join(package))?;
                fs::write(
                    folder.join(package).join("__init__.py"),
                    "from .util import work\n",
                )?;
                fs::write(folder.join(package).join("util.py"), MODULE)?;
            }
            for module in ["late.py", "removed.py"] {
                fs::write(folder.join(module), MODULE)?;
            }
            fs::write(folder.join("spaced.py"), SPACED)?;
            fs::write(folder.join("main.py"), MAIN)?;
        }
        Ok(folders)
    }

    fn start(&self, server: &Server) -> Result<Program> {
        let program = ProgramBuilder::new(&server.python, server.release)
            .script(self.there.join("main.py"))
            .secret(Some(SECRET))
            .env("PYTHONIOENCODING", "utf-8")
            .start()?;
        program.wait_for_line("ready", PRINT_LIMIT)?;
        Ok(program)
    }
}

/// The next stop is at the line of this file; the thread.
async fn stopped_in(editor: &Editor, file: &Path) -> Result<i64> {
    let thread = editor.stopped("breakpoint").await?;
    let frames = editor.frames(thread).await?;
    let top = frames.first().context("no frames")?;
    ensure!(integer(top, "/line")? == LINE, "{top}");
    ensure!(
        string(top, "/source/path") == file.to_string_lossy(),
        "{top}"
    );
    ensure!(top.pointer("/source/sourceReference").is_none(), "{top}");
    Ok(thread)
}

async fn without_mappings(server: Server) -> Result<()> {
    let folders = Folders::make()?;
    let program = folders.start(&server)?;
    let editor = Editor::start(Path::new(ADAPTER)).await?;
    editor.attach(&program).await?;
    let files = ["one", "two"].map(|package| folders.here.join(package).join("util.py"));
    for file in &files {
        let breakpoints = editor.set_breakpoints(file, &[LINE]).await?;
        editor.verified(&breakpoints).await?;
    }
    // This could be either.
    let either = editor
        .set_breakpoints(Path::new("/elsewhere/util.py"), &[LINE])
        .await?;
    let message = string(either.first().context("no breakpoint")?, "/message");
    for part in ["one/util.py", "two/util.py", "pathMappings"] {
        ensure!(message.contains(part), "no {part} in {message}");
    }
    editor.configured().await?;
    for (name, file) in ["one", "two"].into_iter().zip(&files) {
        program.write_stdin(&format!("{name}\n"))?;
        let thread = stopped_in(&editor, file).await?;
        editor.go_on(thread).await?;
        program.wait_for_line(&format!("{name}: 2"), PRINT_LIMIT)?;
    }
    editor.disconnect().await
}

async fn late_modules(server: Server) -> Result<()> {
    let folders = Folders::make()?;
    let program = folders.start(&server)?;
    let editor = Editor::start(Path::new(ADAPTER)).await?;
    editor.attach(&program).await?;
    let (late, removed) = (
        folders.here.join("late.py"),
        folders.here.join("removed.py"),
    );
    let breakpoints = editor.set_breakpoints(&late, &[LINE]).await?;
    let pending = breakpoints.first().context("no breakpoint")?;
    ensure!(pending.get("verified") == Some(&json!(false)), "{pending}");
    ensure!(string(pending, "/message").contains("late.py"), "{pending}");
    editor.set_breakpoints(&removed, &[LINE]).await?;
    editor.configured().await?;
    editor.set_breakpoints(&removed, &[]).await?;
    // One that was taken away does not come back with its module.
    program.write_stdin("removed\n")?;
    program.wait_for_line("removed: 2", PRINT_LIMIT)?;
    ensure!(editor.client.take_events("stopped").is_empty());
    program.write_stdin("late\n")?;
    editor.verified(&breakpoints).await?;
    let thread = stopped_in(&editor, &late).await?;
    editor.set_breakpoints(&late, &[]).await?;
    editor.go_on(thread).await?;
    program.wait_for_line("late: 2", PRINT_LIMIT)?;
    let mark = program.mark();
    program.write_stdin("late\n")?;
    program.wait_for_line_since(mark, "late: 2", PRINT_LIMIT)?;
    editor.disconnect().await
}

/// The editor shows what the program reads, and breakpoints can be set in it.
async fn no_local_copy(server: Server) -> Result<()> {
    let program = start_program(&server, &WORKING)?;
    let there = program.script().parent().context("no folder")?.to_owned();
    let editor = Editor::start(Path::new(ADAPTER)).await?;
    editor
        .attach_with(
            &program,
            json!({"pathMappings": [{"localRoot": "/no/such/folder", "remoteRoot": there}]}),
        )
        .await?;
    editor.configured().await?;
    editor.output_with("tick").await?;
    editor.request("pause", json!({"threadId": 1})).await?;
    let thread = editor.stopped("pause").await?;
    let frames = editor.frames(thread).await?;
    let frame = frames
        .iter()
        .find(|frame| string(frame, "/source/name") == WORKING.name)
        .context("not in the program")?;
    let source = frame.get("source").context("no source")?;
    ensure!(
        string(source, "/path") == program.script().to_string_lossy(),
        "{source}"
    );
    ensure_text(&editor, source, WORKING.text).await?;
    let arguments = json!({"source": source, "breakpoints": [{"line": WORKING.line("call")}]});
    let set = editor.request("setBreakpoints", arguments).await?;
    let breakpoints = array(&set, "/breakpoints");
    editor.verified(&breakpoints).await?;
    ensure!(
        breakpoints
            .first()
            .and_then(|b| b.pointer("/source/sourceReference"))
            == source.get("sourceReference"),
        "{breakpoints:?}"
    );
    editor.go_on(thread).await?;
    let thread = editor.stopped("breakpoint").await?;
    let (_, function, line) = editor.top(thread).await?;
    ensure!((function.as_str(), line) == ("work", WORKING.line("call")));
    editor.disconnect().await
}

async fn ensure_text(editor: &Editor, source: &Value, expected: &str) -> Result<()> {
    let reference = integer(source, "/sourceReference")?;
    for arguments in [
        json!({"source": source, "sourceReference": reference}),
        json!({"sourceReference": reference}),
    ] {
        let text = editor.request("source", arguments).await?;
        ensure!(string(&text, "/content") == expected, "{text}");
    }
    Ok(())
}

async fn in_archive(server: Server) -> Result<()> {
    let folders = Folders::make()?;
    let program = folders.start(&server)?;
    let editor = Editor::start(Path::new(ADAPTER)).await?;
    editor.attach(&program).await?;
    let file = folders
        .there
        .join("archive.zip")
        .join("inside")
        .join("zipped.py");
    let breakpoints = editor.set_breakpoints(&file, &[LINE]).await?;
    editor.verified(&breakpoints).await?;
    editor.configured().await?;
    program.write_stdin("inside.zipped\n")?;
    let thread = editor.stopped("breakpoint").await?;
    let frames = editor.frames(thread).await?;
    let source = frames.first().and_then(|frame| frame.get("source"));
    let source = source.context("no source")?;
    ensure!(
        string(source, "/path") == file.to_string_lossy(),
        "{source}"
    );
    ensure_text(&editor, source, MODULE).await?;
    editor.disconnect().await
}

/// Where breakpoints are, as the adapter has answered.
fn lines_of(breakpoints: &[Value]) -> Vec<i64> {
    let lines = breakpoints.iter().map(|b| integer(b, "/line").unwrap_or(0));
    lines.collect()
}

/// The next stop is at this line of the module; the thread.
async fn stopped_at(editor: &Editor, line: i64) -> Result<i64> {
    let thread = editor.stopped("breakpoint").await?;
    let (_, function, found) = editor.top(thread).await?;
    ensure!(
        (function.as_str(), found) == ("work", line),
        "{function}:{found}"
    );
    Ok(thread)
}

/// They stop at the next line that has code, and say so.
async fn lines_without_code(server: Server) -> Result<()> {
    let folders = Folders::make()?;
    let program = folders.start(&server)?;
    program.write_stdin("spaced\n")?;
    program.wait_for_line("spaced: 2", PRINT_LIMIT)?;
    let editor = Editor::start(Path::new(ADAPTER)).await?;
    editor.attach(&program).await?;
    editor.configured().await?;
    let file = folders.here.join("spaced.py");
    // In the docstring, the comment and the blank line; behind it all.
    let first = editor.set_breakpoints(&file, &[4, 6, 7, 12]).await?;
    ensure!(lines_of(&first) == [8, 8, 8, 12], "{first:?}");
    let (failed, moved) = first.split_last().context("no breakpoints")?;
    editor.verified(moved).await?;
    ensure!(failed.get("verified") == Some(&json!(false)), "{failed}");
    ensure!(string(failed, "/message").contains("spaced.py"), "{failed}");
    program.write_stdin("spaced\n")?;
    let thread = stopped_at(&editor, 8).await?;
    // As an editor that has moved its marks says it, and one that has not.
    for asked in [[8, 10], [6, 11]] {
        let again = editor.set_breakpoints(&file, &asked).await?;
        ensure!(lines_of(&again) == [8, 11], "{again:?}");
        editor.verified(&again).await?;
        let id = again.first().and_then(|b| b.get("id"));
        ensure!(moved.iter().any(|b| b.get("id") == id), "{again:?}");
    }
    editor.go_on(thread).await?;
    let thread = stopped_at(&editor, 11).await?;
    let mark = program.mark();
    editor.go_on(thread).await?;
    program.wait_for_line_since(mark, "spaced: 2", PRINT_LIMIT)?;
    // The one that is left of those that were at one line hits as before.
    program.write_stdin("spaced\n")?;
    let thread = stopped_at(&editor, 8).await?;
    editor.set_breakpoints(&file, &[]).await?;
    let mark = program.mark();
    editor.go_on(thread).await?;
    program.wait_for_line_since(mark, "spaced: 2", PRINT_LIMIT)?;
    editor.disconnect().await
}

/// Nothing is waited for: the last request counts, and is there when the
/// program runs on.
async fn lines_in_a_hurry(server: Server) -> Result<()> {
    let folders = Folders::make()?;
    let program = folders.start(&server)?;
    program.write_stdin("spaced\n")?;
    program.wait_for_line("spaced: 2", PRINT_LIMIT)?;
    let editor = Editor::start(Path::new(ADAPTER)).await?;
    let file = folders.here.join("spaced.py");
    // Which Python it is, is not known yet.
    let early = editor.set_breakpoints(&file, &[7]).await?;
    let id = early.first().and_then(|b| b.get("id")).cloned();
    editor.attach(&program).await?;
    let moved = editor
        .client
        .event_where("breakpoint", |event| {
            event.pointer("/breakpoint/id").cloned() == id
                && event.pointer("/breakpoint/line") == Some(&json!(8))
        })
        .await?;
    ensure!(string(&moved, "/reason") == "changed", "{moved}");
    let set = |lines: &[i64]| {
        let lines: Vec<_> = lines.iter().map(|line| json!({"line": line})).collect();
        let arguments = json!({"source": {"path": file}, "breakpoints": lines});
        editor.send("setBreakpoints", arguments)
    };
    let pending = [set(&[6]), set(&[]), set(&[7, 10]), set(&[]), set(&[10])];
    let configured = editor.send("configurationDone", Value::Null);
    let mut answered = Vec::new();
    for pending in pending {
        answered.push(lines_of(&array(&pending.await?, "/breakpoints")));
    }
    let expected: [&[i64]; 5] = [&[8], &[], &[8, 11], &[], &[11]];
    ensure!(answered == expected, "{answered:?}");
    configured.await?;
    program.write_stdin("spaced\n")?;
    let thread = stopped_at(&editor, 11).await?;
    let mark = program.mark();
    let last = set(&[2]);
    editor.go_on(thread).await?;
    last.await?;
    program.wait_for_line_since(mark, "spaced: 2", PRINT_LIMIT)?;
    program.write_stdin("spaced\n")?;
    stopped_at(&editor, 8).await?;
    editor.disconnect().await
}
