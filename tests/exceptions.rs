//! Exceptions: which stop the program, where, and what the editor is told.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use legacy_host::{Implementation, Program, ProgramBuilder};
use libtest_mimic::Arguments;
use ptvsd_client::SessionEvent;
use ptvsd_wire::ExceptionMode;
use serde_json::{Value, json};
use testkit::client_session::ClientSession;
use testkit::editor::{Editor, SECRET, array, integer, start_program, string};
use testkit::harness::trial;
use testkit::matrix::{Matrix, Server};
use testkit::programs::{
    PRINT_LIMIT, RAISING, Source, THROWING, THROWING_BROKEN, THROWING_HESITANTLY, THROWING_PARTS,
};
use tokio::time::timeout;

const ADAPTER: &str = env!("CARGO_BIN_EXE_ptvsd-bridge");
/// How long a thread may wait for what its exception is handled by. The client
/// gives up after a second.
const HANDLERS_LIMIT: Duration = Duration::from_secs(10);

/// What no filter but *raised* stops.
const HANDLED: [&str; 9] = [
    "handled",
    "handled_by_a_base",
    "handled_further_out",
    "handled_by_dotted_name",
    "handled_there",
    "handled_loop",
    "handled_import",
    "handled_environ",
    "handled_by_hasattr",
];

fn main() -> ExitCode {
    let matrix = Matrix::of_this_machine();
    let mut servers = matrix.few_servers();
    if !matrix.is_full() {
        for (version, major, minor) in [("2.2.0", 3, 6), ("3.2.1", 3, 6)] {
            servers.extend(matrix.server(version, major, minor));
        }
    }
    let mut trials = Vec::new();
    for server in servers {
        if server.python.implementation == Implementation::Jython {
            eprintln!("NOT POSSIBLE: exceptions on {server}: its main thread is not traced");
            continue;
        }
        for agent in [true, false] {
            let case = Case {
                server: server.clone(),
                agent,
            };
            trials.extend(case.trials());
        }
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

#[derive(Debug, Clone)]
struct Case {
    server: Server,
    agent: bool,
}

impl Case {
    fn trials(&self) -> Vec<libtest_mimic::Trial> {
        let with = if self.agent { "agent" } else { "no agent" };
        macro_rules! trials {
            ($( $name:literal => $test:path, )*) => {vec![$({
                let case = self.clone();
                trial(format!("{}: {}, {with}", $name, self.server), move || $test(case))
            }),*]};
        }
        trials![
            "uncaught exceptions" => uncaught,
            "raised exceptions" => raised,
            "an exception that ends the program" => the_end,
            "exits" => exits,
            "an exception in another thread" => in_another_thread,
            "filters are changed" => filters_are_changed,
            "filters that the server is slow to take up" => filters_are_slow,
            "sources elsewhere or nowhere" => sources_elsewhere,
            "options by name" => options_by_name,
            "nobody finds the handlers" => nobody_finds_handlers,
            "detach while handlers are wanted" => detach_while_handlers_are_wanted,
            "disconnect among exceptions" => disconnect_among_exceptions,
        ]
    }

    fn is_python_2(&self) -> bool {
        self.server.python.version.0 == 2
    }

    /// As the server names a built-in exception.
    fn builtin(&self, name: &str) -> String {
        match (self.server.release.dialect() < 6, self.is_python_2()) {
            (false, _) => name.to_owned(),
            (true, true) => format!("exceptions.{name}"),
            (true, false) => format!("builtins.{name}"),
        }
    }

    /// Part of Python's library is frozen in, and the exceptions raised there
    /// are reported for that.
    fn has_frozen_library(&self) -> bool {
        self.server.python.version >= (3, 11, 0)
    }
}

/// A session with [`THROWING`], which waits to be told what to do.
struct Session {
    program: Program,
    editor: Editor,
    /// Where the program's module is.
    parts: tempfile::TempDir,
}

impl Session {
    async fn start(case: &Case, more: Value, filters: &[&str]) -> Result<Session> {
        Session::start_source(case, &THROWING, more, filters).await
    }

    async fn start_source(
        case: &Case,
        source: &Source,
        more: Value,
        filters: &[&str],
    ) -> Result<Session> {
        let (program, parts) = start_source(&case.server, source)?;
        let editor = Editor::start(Path::new(ADAPTER)).await?;
        let mut configuration = json!({"agent": case.agent});
        if let (Value::Object(all), Value::Object(more)) = (&mut configuration, more) {
            all.extend(more);
        }
        editor.attach_with(&program, configuration).await?;
        let session = Session {
            program,
            editor,
            parts,
        };
        session.choose(filters).await?;
        session.editor.configured().await?;
        Ok(session)
    }

    async fn choose(&self, filters: &[&str]) -> Result<()> {
        let body = self
            .editor
            .request("setExceptionBreakpoints", json!({"filters": filters}))
            .await?;
        let breakpoints = array(&body, "/breakpoints");
        ensure!(breakpoints.len() == filters.len(), "{body}");
        for breakpoint in breakpoints {
            ensure!(breakpoint.get("verified") == Some(&json!(true)), "{body}");
        }
        Ok(())
    }

    fn tell(&self, action: &str) -> Result<()> {
        self.program.write_stdin(&format!("{action}\n"))
    }

    /// The program does it and the editor hears of no stop.
    fn goes_through(&self, action: &str) -> Result<()> {
        let mark = self.program.mark();
        self.tell(action)?;
        let done = format!("done {action}");
        self.program
            .wait_for_line_since(mark, &done, PRINT_LIMIT)
            .with_context(|| format!("{action} did not go through"))?;
        let stops = self.editor.client.take_events("stopped");
        ensure!(stops.is_empty(), "{action}: {stops:?}");
        Ok(())
    }

    /// The program does it, and stops for an exception.
    async fn stops(&self, action: &str) -> Result<Stop> {
        self.tell(action)?;
        let event = self
            .editor
            .client
            .event("stopped")
            .await
            .with_context(|| format!("{action} does not stop"))?;
        ensure!(string(&event, "/reason") == "exception", "{event}");
        let thread = integer(&event, "/threadId")?;
        let info = self
            .editor
            .request("exceptionInfo", json!({"threadId": thread}))
            .await?;
        let frames = self.editor.frames(thread).await?;
        let top = frames.first().context("no frames")?;
        Ok(Stop {
            thread,
            place: (string(top, "/name"), integer(top, "/line")?),
            frames,
            event,
            info,
        })
    }

    /// The program goes on from a stop, and does not stop again.
    async fn goes_on(&self, stop: &Stop, action: &str) -> Result<()> {
        let mark = self.program.mark();
        self.editor.go_on(stop.thread).await?;
        let done = format!("done {action}");
        self.program
            .wait_for_line_since(mark, &done, PRINT_LIMIT)
            .with_context(|| format!("{action} does not go on"))?;
        let stops = self.editor.client.take_events("stopped");
        ensure!(stops.is_empty(), "{action}, once more: {stops:?}");
        Ok(())
    }

    fn parts_file(&self) -> PathBuf {
        self.parts.path().join(THROWING_PARTS.name)
    }
}

struct Stop {
    thread: i64,
    /// Function and line.
    place: (String, i64),
    frames: Vec<Value>,
    event: Value,
    info: Value,
}

impl Stop {
    #[track_caller]
    fn is_at(&self, function: &str, source: &Source, line: &str) -> Result<()> {
        let expected = (function.to_owned(), source.line(line));
        ensure!(self.place == expected, "{:?} is not {line}", self.place);
        Ok(())
    }

    fn told(&self, pointer: &str) -> String {
        string(&self.info, pointer)
    }
}

fn start_throwing(server: &Server) -> Result<(Program, tempfile::TempDir)> {
    start_source(server, &THROWING)
}

fn start_source(server: &Server, script: &Source) -> Result<(Program, tempfile::TempDir)> {
    let parts = tempfile::tempdir()?;
    for source in [THROWING_PARTS, THROWING_BROKEN] {
        std::fs::write(parts.path().join(source.name), source.text)?;
    }
    let program = ProgramBuilder::new(&server.python, server.release)
        .source(script.name, script.text)
        .env("PYTHONPATH", parts.path())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .secret(Some(SECRET))
        .start()?;
    program.wait_for_line("ready", PRINT_LIMIT)?;
    Ok((program, parts))
}

async fn uncaught(case: Case) -> Result<()> {
    let session = Session::start(&case, json!({}), &["uncaught"]).await?;
    for action in HANDLED {
        session.goes_through(action)?;
    }

    let stop = session.stops("unhandled").await?;
    stop.is_at("unhandled", &THROWING, "unhandled")?;
    let name = case.builtin("KeyError");
    ensure!(string(&stop.event, "/text") == name, "{}", stop.event);
    ensure!(
        string(&stop.event, "/description") == "'unhandled'",
        "{}",
        stop.event
    );
    // Without the agent the other threads run on.
    ensure!(
        stop.event.get("allThreadsStopped") == Some(&json!(case.agent)),
        "{}",
        stop.event
    );
    for (pointer, expected) in [
        ("/exceptionId", &*name),
        ("/description", "'unhandled'"),
        ("/breakMode", "unhandled"),
        ("/details/message", "'unhandled'"),
        ("/details/typeName", "KeyError"),
        ("/details/fullTypeName", &*name),
    ] {
        ensure!(stop.told(pointer) == expected, "{pointer}: {}", stop.info);
    }
    let script = session.program.script().display().to_string();
    let expected = format!(
        "  File \"{script}\", line {}, in unhandled\n    \
         raise KeyError('unhandled')  # HERE: unhandled\n  \
         File \"{script}\", line {}, in perform\n    action()\n",
        THROWING.line("unhandled"),
        line_of(&THROWING, "        action()"),
    );
    let trace = stop.told("/details/stackTrace");
    ensure!(trace.starts_with(&expected), "{trace}\nnot\n{expected}");
    ensure!(trace.ends_with("KeyError: 'unhandled'\n"), "{trace}");
    let object = stop.told("/details/evaluateName");
    if !object.is_empty() {
        let frame = integer(stop.frames.first().context("no frame")?, "/id")?;
        let shown = session.editor.evaluate(&object, frame, "watch").await?;
        ensure!(
            shown.starts_with("KeyError('unhandled'"),
            "{object}: {shown}"
        );
    }
    session.goes_on(&stop, "unhandled").await?;
    let gone = session
        .editor
        .request("exceptionInfo", json!({"threadId": stop.thread}))
        .await;
    ensure!(gone.is_err(), "{gone:?} of a program that runs");

    for (action, function, source, line, name) in [
        (
            "unhandled_here",
            "unhandled_here",
            &THROWING,
            "for another",
            "ValueError",
        ),
        (
            "unhandled_in_handler",
            "unhandled_in_handler",
            &THROWING,
            "in a handler",
            "ValueError",
        ),
        (
            "unhandled_there",
            "fails",
            &THROWING_PARTS,
            "part",
            "PartError",
        ),
        ("raises", "raises", &THROWING, "raises", "OwnError"),
    ] {
        let stop = session.stops(action).await?;
        stop.is_at(function, source, line)?;
        let told = stop.told("/details/typeName");
        ensure!(name.is_empty() || told == name, "{action}: {}", stop.info);
        session.goes_on(&stop, action).await?;
    }

    // What led to an exception.
    let stop = session.stops("unhandled_in_handler").await?;
    let trace = stop.told("/details/stackTrace");
    ensure!(
        case.is_python_2() || trace.contains("During handling") && trace.contains("OwnError: own"),
        "{trace}"
    );
    session.goes_on(&stop, "unhandled_in_handler").await?;

    library_raises(&case, &session).await?;
    import_raises(&case, &session).await?;

    // An `except` clause that raises again is one that handles, to everybody
    // who reads the code, and the server reports an exception only once.
    session.goes_through("reraised")?;
    session.editor.disconnect().await
}

async fn library_raises(case: &Case, session: &Session) -> Result<()> {
    if case.server.release.dialect() < 5 && !case.agent {
        // They report an exception only where it is raised.
        return session.goes_through("unhandled_in_library");
    }
    let stop = session.stops("unhandled_in_library").await?;
    stop.is_at("decode", &THROWING_PARTS, "decode")?;
    // The library's own frames are in the traceback, though not shown.
    let trace = stop.told("/details/stackTrace");
    ensure!(trace.contains("decoder.py"), "{trace}");
    session.goes_on(&stop, "unhandled_in_library").await?;

    let stop = session.stops("unhandled_environ").await?;
    if case.agent || !case.has_frozen_library() {
        stop.is_at("unhandled_environ", &THROWING, "environ")?;
    }
    session.goes_on(&stop, "unhandled_environ").await
}

async fn import_raises(case: &Case, session: &Session) -> Result<()> {
    if case.agent || case.is_python_2() {
        return session.goes_through("handled_import_there");
    }
    // The servers do not look beyond Python 3's code for imports.
    let stop = session.stops("handled_import_there").await?;
    stop.is_at("<module>", &THROWING_BROKEN, "broken")?;
    session.goes_on(&stop, "handled_import_there").await
}

fn line_of(source: &Source, text: &str) -> usize {
    source
        .text
        .lines()
        .position(|line| line == text)
        .unwrap_or(0)
        + 1
}

async fn raised(case: Case) -> Result<()> {
    let session = Session::start(&case, json!({}), &["raised", "uncaught"]).await?;
    let stop = session.stops("handled").await?;
    stop.is_at("handled", &THROWING, "handled")?;
    ensure!(stop.told("/breakMode") == "always", "{}", stop.info);
    ensure!(stop.told("/details/message") == "handled", "{}", stop.info);
    session.goes_on(&stop, "handled").await?;

    let stop = session.stops("unhandled").await?;
    stop.is_at("unhandled", &THROWING, "unhandled")?;
    ensure!(stop.told("/breakMode") == "unhandled", "{}", stop.info);
    session.goes_on(&stop, "unhandled").await?;

    for (action, function, source, line) in [
        ("handled_by_dotted_name", "fails", &THROWING_PARTS, "part"),
        ("handled_there", "raises", &THROWING, "raises"),
        ("reraised", "raises", &THROWING, "raises"),
    ] {
        let stop = session.stops(action).await?;
        stop.is_at(function, source, line)?;
        session.goes_on(&stop, action).await?;
    }
    // Neither the end of a loop nor Python's own affairs.
    session.goes_through("handled_loop")?;
    session.editor.disconnect().await
}

async fn the_end(case: Case) -> Result<()> {
    let session = Session::start(&case, json!({}), &["uncaught"]).await?;
    let stop = session.stops("end").await?;
    stop.is_at("<module>", &THROWING, "end")?;
    ensure!(stop.told("/details/message") == "the end", "{}", stop.info);
    session.editor.go_on(stop.thread).await?;
    session.editor.client.event("terminated").await?;
    let status = session.program.wait_exit(PRINT_LIMIT)?;
    ensure!(!status.success(), "{status}");
    Ok(())
}

async fn in_another_thread(case: Case) -> Result<()> {
    if case.server.python.version >= (3, 13, 0) {
        eprintln!("NOT POSSIBLE: threads on {}: not traced", case.server);
        return Ok(());
    }
    let session = Session::start(&case, json!({}), &["uncaught"]).await?;
    let stop = session.stops("unhandled_in_thread").await?;
    stop.is_at("unhandled", &THROWING, "unhandled")?;
    let threads = session.editor.request("threads", Value::Null).await?;
    let others: Vec<_> = array(&threads, "/threads")
        .iter()
        .filter_map(|thread| integer(thread, "/id").ok())
        .filter(|id| *id != stop.thread)
        .collect();
    ensure!(others.len() == 1, "{threads}");
    for other in others {
        let frames = session.editor.frames(other).await;
        if case.agent {
            let frames = frames?;
            let at = frames.first().context("no frames")?;
            ensure!(string(at, "/name") == "unhandled_in_thread", "{at}");
        } else {
            // As the editor was told, it runs on.
            ensure!(frames.is_err(), "{frames:?}");
            let mark = session.program.mark();
            session
                .program
                .wait_for_line_since(mark, "main goes on", PRINT_LIMIT)?;
        }
    }
    session.goes_on(&stop, "unhandled_in_thread").await?;
    session.editor.disconnect().await
}

async fn exits(case: Case) -> Result<()> {
    let session = Session::start(&case, json!({}), &["raised", "uncaught"]).await?;
    session.goes_through("exit_plain")?;
    session.goes_through("exit_zero")?;
    let stop = session.stops("exit_one").await?;
    stop.is_at("exit_one", &THROWING, "exit")?;
    ensure!(
        stop.told("/exceptionId") == case.builtin("SystemExit"),
        "{}",
        stop.info
    );
    session.goes_on(&stop, "exit_one").await?;
    session.editor.disconnect().await?;

    if case.server.release.dialect() >= 6 {
        let more = json!({"breakOnSystemExitZero": true});
        let session = Session::start(&case, more, &["uncaught"]).await?;
        for action in ["exit_zero", "exit_plain"] {
            let stop = session.stops(action).await?;
            session.goes_on(&stop, action).await?;
        }
        session.editor.disconnect().await?;
    }
    Ok(())
}

async fn filters_are_changed(case: Case) -> Result<()> {
    let session = Session::start(&case, json!({}), &[]).await?;
    session.goes_through("handled")?;
    session.goes_through("unhandled")?;
    for round in 0..2 {
        session.choose(&["uncaught"]).await?;
        session.goes_through("handled")?;
        let stop = session.stops("unhandled").await?;
        // While it stands.
        session.choose(&["raised"]).await?;
        session.goes_on(&stop, "unhandled").await?;
        let stop = session.stops("handled").await?;
        session.goes_on(&stop, "handled").await?;
        session.choose(&[]).await?;
        session.goes_through("handled")?;
        session
            .goes_through("unhandled")
            .with_context(|| format!("round {round}"))?;
    }
    session.editor.disconnect().await
}

/// What the editor was told is so: the very next exception stops.
async fn filters_are_slow(case: Case) -> Result<()> {
    let session =
        Session::start_source(&case, &THROWING_HESITANTLY, json!({}), &["uncaught"]).await?;
    for round in 0..3 {
        let stop = session
            .stops("unhandled")
            .await
            .with_context(|| format!("round {round}"))?;
        stop.is_at("unhandled", &THROWING_HESITANTLY, "unhandled")?;
        session.choose(&[]).await?;
        session.goes_on(&stop, "unhandled").await?;
        session.goes_through("unhandled")?;
        session.choose(&["uncaught"]).await?;
    }
    session.editor.disconnect().await
}

/// The program's files are not there any more; a person has copies.
async fn sources_elsewhere(case: Case) -> Result<()> {
    let copies = tempfile::tempdir()?;
    for source in [THROWING, THROWING_PARTS] {
        std::fs::write(copies.path().join(source.name), source.text)?;
    }
    let (program, parts) = start_throwing(&case.server)?;
    let folder = program.script().parent().context("no folder")?.to_owned();
    std::fs::remove_file(program.script())?;
    std::fs::remove_file(parts.path().join(THROWING_PARTS.name))?;
    let editor = Editor::start(Path::new(ADAPTER)).await?;
    let mappings = json!({"agent": case.agent, "pathMappings": [
        {"localRoot": copies.path(), "remoteRoot": folder},
        {"localRoot": copies.path(), "remoteRoot": parts.path()},
    ]});
    editor.attach_with(&program, mappings).await?;
    let session = Session {
        program,
        editor,
        parts,
    };
    session.choose(&["uncaught"]).await?;
    session.editor.configured().await?;
    session.goes_through("handled")?;
    session.goes_through("handled_by_dotted_name")?;
    let stop = session.stops("unhandled_there").await?;
    stop.is_at("fails", &THROWING_PARTS, "part")?;
    let top = stop.frames.first().context("no frame")?;
    ensure!(
        string(top, "/source/path") == copies.path().join(THROWING_PARTS.name).to_string_lossy(),
        "{top}"
    );
    session.goes_on(&stop, "unhandled_there").await?;
    session.editor.disconnect().await?;

    // No copy at all: nothing can be said of any exception, so none stops,
    // unless the program itself has the text.
    let (program, parts) = start_throwing(&case.server)?;
    let nowhere = copies.path().join("nowhere");
    let folder = program.script().parent().context("no folder")?.to_owned();
    let editor = Editor::start(Path::new(ADAPTER)).await?;
    let mappings = json!({"agent": case.agent, "pathMappings": [
        {"localRoot": nowhere, "remoteRoot": folder},
        {"localRoot": nowhere, "remoteRoot": parts.path()},
    ]});
    editor.attach_with(&program, mappings).await?;
    let session = Session {
        program,
        editor,
        parts,
    };
    session.choose(&["uncaught"]).await?;
    session.editor.configured().await?;
    session.goes_through("handled")?;
    if case.server.release.dialect() >= 8 {
        let stop = session.stops("unhandled_there").await?;
        session.goes_on(&stop, "unhandled_there").await?;
        // What was read is known; what is gone cannot be read.
        std::fs::remove_file(session.parts_file())?;
        session.choose(&["uncaught"]).await?;
        let stop = session.stops("unhandled_there").await?;
        session.goes_on(&stop, "unhandled_there").await?;
    } else {
        session.goes_through("unhandled_there")?;
    }
    session.editor.disconnect().await
}

async fn options_by_name(case: Case) -> Result<()> {
    let session = Session::start(&case, json!({}), &[]).await?;
    let body = session
        .editor
        .request(
            "setExceptionBreakpoints",
            json!({
                "filters": ["userUnhandled"],
                "filterOptions": [{"filterId": "uncaught", "condition": "False"}],
                "exceptionOptions": [
                    {
                        "path": [{"names": ["Python Exceptions"]}, {"names": ["KeyError"]}],
                        "breakMode": "never",
                    },
                    {
                        "path": [{"names": ["Python Exceptions"]}, {"names": ["ValueError"]}],
                        "breakMode": "always",
                    },
                ],
            }),
        )
        .await?;
    let verified: Vec<_> = array(&body, "/breakpoints")
        .iter()
        .map(|breakpoint| breakpoint.get("verified") == Some(&json!(true)))
        .collect();
    ensure!(verified == [false, true, true, true], "{body}");
    session.goes_through("unhandled")?;
    let stop = session.stops("handled").await?;
    ensure!(stop.told("/breakMode") == "always", "{}", stop.info);
    session.goes_on(&stop, "handled").await?;
    let stop = session.stops("raises").await?;
    ensure!(stop.told("/breakMode") == "unhandled", "{}", stop.info);
    session.goes_on(&stop, "raises").await?;
    session.goes_through("handled_further_out")?;
    session.editor.disconnect().await
}

/// A client whose consumer does not say what the program's files handle.
async fn with_handlers_wanted(case: &Case) -> Result<(Program, ClientSession)> {
    let program = start_program(&case.server, &RAISING)?;
    let mut session = ClientSession::attach(program.port(), case.agent).await?;
    session
        .debuggee
        .set_exceptions(ExceptionMode::UNHANDLED, Vec::new())
        .await;
    let waiting = async {
        loop {
            match session.next().await {
                Ok(SessionEvent::HandlersWanted(_)) => return Ok(()),
                Ok(_) => {}
                Err(error) => bail!("{error}"),
            }
        }
    };
    timeout(HANDLERS_LIMIT, waiting)
        .await
        .context("no handlers are wanted")??;
    Ok((program, session))
}

async fn nobody_finds_handlers(case: Case) -> Result<()> {
    let (program, mut session) = with_handlers_wanted(&case).await?;
    let mark = program.mark();
    // It waits, and then goes on by itself.
    session.listen_for(Duration::from_secs(2)).await?;
    program.wait_for_line_since(mark, "tick", PRINT_LIMIT)?;
    session.detach().await?;
    let mark = program.mark();
    program.wait_for_line_since(mark, "tick", PRINT_LIMIT)?;
    Ok(())
}

async fn detach_while_handlers_are_wanted(case: Case) -> Result<()> {
    let (program, session) = with_handlers_wanted(&case).await?;
    session.detach().await?;
    let mark = program.mark();
    program.wait_for_line_since(mark, "tick", PRINT_LIMIT)?;
    // The next debugger finds all in order.
    let session = ClientSession::attach(program.port(), case.agent).await?;
    session.detach().await?;
    let mark = program.mark();
    program.wait_for_line_since(mark, "tick", PRINT_LIMIT)?;
    Ok(())
}

async fn disconnect_among_exceptions(case: Case) -> Result<()> {
    let program = start_program(&case.server, &RAISING)?;
    for filters in [&["uncaught"][..], &["raised"], &["raised", "uncaught"]] {
        let editor = Editor::start(Path::new(ADAPTER)).await?;
        editor
            .attach_with(&program, json!({"agent": case.agent}))
            .await?;
        editor.configured().await?;
        // Every exception since asks for handlers again, and perhaps stops.
        for _ in 0..10 {
            let _unread = editor.send("setExceptionBreakpoints", json!({"filters": filters}));
        }
        editor
            .request("setExceptionBreakpoints", json!({"filters": filters}))
            .await?;
        editor.disconnect().await?;
        let mark = program.mark();
        program.wait_for_line_since(mark, "tick", PRINT_LIMIT)?;
    }
    Ok(())
}
