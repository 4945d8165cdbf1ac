//! Writes down what real servers send: `crates/ptvsd-wire/tests/captures`.
//!
//! Every release with a dialect or a habit of its own plays the same small
//! session on CPython 2.7 and 3.6, as far as they are here. Run it after a
//! change of `session.py`; `UPDATE_GOLDEN=1 cargo test -p ptvsd-wire --test
//! captures` then writes the texts beside the captures.
//!
//! ```text
//! cargo run -p testkit --bin capture-sessions [RELEASE...]
//! ```

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use legacy_host::{Implementation, Program, ProgramBuilder, Python, Release, python, release};
use ptvsd_wire::{
    BreakpointCondition, BreakpointId, Command, Dialect, Event, ExceptionMode, ExecutionId, Family,
    FrameKind, Language, PassCount, PyText, ReprKind, SetBreakpoint, ThreadId,
};
use testkit::raw_client::{Direction, Handshake, RawClient, Recording};

const RELEASES: [&str; 9] = [
    "2.0.0", "2.1.0a1", "2.1.0b2", "2.1.0", "2.2.0b1", "2.2.0", "3.0.0", "3.1.0", "3.2.1",
];
const PYTHONS: [(u32, u32); 2] = [(2, 7), (3, 6)];

/// Shows in the captures, and so is the same everywhere.
const FOLDER: &str = "/tmp/ptvsd-capture";
const SESSION: &str = include_str!("session.py");
const PREPARE: &str = include_str!("prepare.py");
const BREAKPOINT_MARK: &str = "# breakpoint";

const SECRET: &str = "secret";
const PATIENCE: Duration = Duration::from_secs(10);

/// A thread that has sent its answer is not yet ready for the next question.
const PAUSE: Duration = Duration::from_millis(40);

const BREAKPOINT: BreakpointId = BreakpointId(1001);
const ABSENT: BreakpointId = BreakpointId(1002);

fn main() -> Result<()> {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let captures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ptvsd-wire/tests/captures");
    fs::create_dir_all(&captures)?;
    let pythons = python::find_all();
    for version in RELEASES {
        if !wanted.is_empty() && !wanted.iter().any(|this| this == version) {
            continue;
        }
        let release = Release::of_version(version).context("no such release")?;
        for (major, minor) in PYTHONS {
            let is_it = |python: &&Python| python.is(&Implementation::CPython, major, minor);
            let Some(python) = pythons.iter().find(is_it) else {
                eprintln!("left out: {release} on CPython {major}.{minor}, which is not here");
                continue;
            };
            let name = format!("{version}-py{major}{minor}");
            let (info, session) = capture(python, release, &pythons)
                .with_context(|| format!("capturing {release} on {python}"))?;
            for (part, bytes) in [("info", info), ("session", session)] {
                if let Some(around) = mention_of_home(&bytes) {
                    bail!("{name}-{part} would show a folder of this machine: {around}");
                }
                eprintln!("{name}-{part}: {} bytes", bytes.len());
                fs::write(captures.join(format!("{name}-{part}.bin")), bytes)?;
            }
        }
    }
    Ok(())
}

/// What stands around a name of a folder of this machine, if there is any.
fn mention_of_home(bytes: &[u8]) -> Option<String> {
    const AROUND: usize = 80;
    let home = std::env::var("HOME").unwrap_or_default();
    let at = [home.as_str(), ".pyenv", "/work/"]
        .into_iter()
        .filter(|part| part.len() > 1)
        .find_map(|part| {
            bytes
                .windows(part.len())
                .position(|at| at == part.as_bytes())
        })?;
    let around = at.saturating_sub(AROUND)..bytes.len().min(at + AROUND);
    Some(bytes.get(around)?.escape_ascii().to_string())
}

/// What the server sent, first asked about itself, then in a session.
fn capture(python: &Python, release: Release, pythons: &[Python]) -> Result<(Vec<u8>, Vec<u8>)> {
    let program = start(python, release, pythons)?;
    let (_, info) = Handshake::begin_recorded(program.port(), SECRET)?.info_recorded()?;
    let session = play(&program, python, release).with_context(|| {
        let said = program.stderr_lines().join("\n");
        format!("the program said on its error stream:\n{said}")
    })?;
    Ok((received(info)?, received(session)?))
}

fn received(recording: Option<Recording>) -> Result<Vec<u8>> {
    let recording = recording.context("nothing was recorded")?;
    Ok(recording.all(Direction::Received))
}

fn start(python: &Python, release: Release, pythons: &[Python]) -> Result<Program> {
    let folder = PathBuf::from(FOLDER);
    if folder.exists() {
        fs::remove_dir_all(&folder).context("removing what the last capture left")?;
    }
    copy_folder(
        &release::fetch(release, pythons)?.join("ptvsd"),
        &folder.join("server/ptvsd"),
    )?;
    fs::write(folder.join("prepare.py"), PREPARE)?;
    fs::write(folder.join("session.py"), SESSION)?;
    ProgramBuilder::new(python, release)
        .script(folder.join("session.py"))
        .cwd(&folder)
        .env("LOGNAME", "user")
        .enable_attach_in_script(true)
        .ready_when("open for debuggers")
        .start()
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("reading {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else if target
            .extension()
            .is_none_or(|extension| extension != "pyc")
        {
            // Compiled code holds the path that it was compiled at.
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

// attach → first stop → breakpoints, one bound and one not → hit → values,
// children, an error, a statement → back a line → step → breakpoint removed →
// pause → a thread, output, exceptions → detach
fn play(program: &Program, python: &Python, release: Release) -> Result<Option<Recording>> {
    // Sends exceptions in its second form if asked to.
    let options = match release.version() {
        "3.0.0" => "RichExceptions",
        _ => "",
    };
    let mut client = Handshake::begin_recorded(program.port(), SECRET)?.attach(options)?;
    client.wait_for(|event| matches!(event, Event::ProcessLoaded(_)), PATIENCE)?;

    let line = SESSION
        .lines()
        .position(|line| line.contains(BREAKPOINT_MARK))
        .context("session.py has no breakpoint line")?;
    let line = i64::try_from(line + 1)?;
    let script = PyText::from(format!("{FOLDER}/session.py"));
    client.send(&breakpoint(BREAKPOINT, line, script.clone()))?;
    client.wait_for(|event| *event == Event::BreakpointSet(BREAKPOINT), PATIENCE)?;
    let absent = PyText::from(format!("{FOLDER}/absent.py"));
    client.send(&breakpoint(ABSENT, 1, absent.clone()))?;
    client.wait_for(|event| *event == Event::BreakpointFailed(ABSENT), PATIENCE)?;

    client.send(&Command::ResumeAll)?;
    let hit = |event: &Event| matches!(event, Event::BreakpointHit { .. });
    let Event::BreakpointHit { thread, .. } = client.wait_for(hit, PATIENCE)? else {
        bail!("no hit");
    };
    look_around(&mut client, thread, python.version.0)?;

    client.send(&Command::SetLine {
        thread,
        frame: 0,
        line: line - 1,
    })?;
    client.wait_for(|event| matches!(event, Event::LineSet { .. }), PATIENCE)?;
    client.send(&Command::StepOver(thread))?;
    // The step ends on the breakpoint, so that is what the server reports.
    client.wait_for(hit, PATIENCE)?;
    thread::sleep(PAUSE);
    for (id, line, file) in [(BREAKPOINT, line, script), (ABSENT, 1, absent)] {
        client.send(&Command::RemoveBreakpoint {
            id,
            line,
            file,
            language: Language::Python,
        })?;
    }
    client.send(&Command::StepOver(thread))?;
    client.wait_for(|event| matches!(event, Event::StepDone(_)), PATIENCE)?;

    client.send(&Command::ResumeAll)?;
    thread::sleep(5 * PAUSE);
    client.send(&Command::BreakAll)?;
    client.wait_for(|event| matches!(event, Event::AsyncBreak(_)), PATIENCE)?;

    // A statement. On the JSON dialects bytes that are not UTF-8 make a server
    // on Python 2 let go of the program.
    let says_bytes = python.version.0 == 2 && client.dialect().family() == Family::Binary;
    let text = format!("act.how = '{}'", if says_bytes { "bytes" } else { "text" });
    client.execute(thread, &text, ReprKind::Normal, PATIENCE)?;
    thread::sleep(PAUSE);

    client.send(&Command::SetExceptionInfo {
        default: ExceptionMode::NEVER,
        named: named_modes(),
    })?;
    client.send(&Command::ResumeAll)?;
    client.wait_for(|event| matches!(event, Event::Exception { .. }), PATIENCE)?;
    thread::sleep(PAUSE);
    let (_, recording) = client.leave(PATIENCE)?;
    ensure!(program.is_running(), "the program ended");
    Ok(recording)
}

fn breakpoint(id: BreakpointId, line: i64, file: PyText) -> Command {
    Command::SetBreakpoint(SetBreakpoint {
        id,
        line,
        file,
        language: Language::Python,
        condition: BreakpointCondition::Always,
        pass_count: PassCount::Always,
    })
}

/// Of a handled `KeyError` the server asks whether it is; at a `ValueError` it
/// stops. How built-ins are called differs between releases.
fn named_modes() -> Vec<(PyText, ExceptionMode)> {
    let modes = [
        ("KeyError", ExceptionMode::UNHANDLED),
        ("ValueError", ExceptionMode::ALWAYS),
    ];
    ["", "exceptions.", "builtins."]
        .into_iter()
        .flat_map(|module| modes.map(|(name, mode)| (format!("{module}{name}").into(), mode)))
        .collect()
}

fn look_around(client: &mut RawClient, thread: ThreadId, major: u32) -> Result<()> {
    let dialect = client.dialect();
    for text in ["point", "items", "table"] {
        thread::sleep(PAUSE);
        let children = client.children(thread, text, PATIENCE)?;
        ensure!(!children.is_empty(), "{text} has no children");
    }
    for text in ["count + 40", "nothing", "total = 0"] {
        thread::sleep(PAUSE);
        client.execute(thread, text, ReprKind::Normal, PATIENCE)?;
    }
    if dialect.has_object_length() {
        thread::sleep(PAUSE);
        client.execute(thread, "text", ReprKind::Raw, PATIENCE)?;
        thread::sleep(PAUSE);
        client.execute(thread, "text", ReprKind::RawLength, PATIENCE)?;
        if major == 2 && dialect.family() == Family::Binary {
            thread::sleep(PAUSE);
            client.execute(thread, "raw", ReprKind::Raw, PATIENCE)?;
        }
    }
    if dialect.has_pass_counts() {
        let question = client.send(&Command::GetBreakpointHitCount(BREAKPOINT))?;
        client.wait_for(
            |event| matches!(event, Event::HitCount { request, .. } if *request == question),
            PATIENCE,
        )?;
    }
    if dialect.family() == Family::Json {
        client.send(&Command::GetThreadFrames(thread))?;
        client.wait_for(|event| matches!(event, Event::Frames { .. }), PATIENCE)?;
    }
    if dialect >= Dialect::V8 {
        thread::sleep(PAUSE);
        run_in_module(client)?;
    }
    thread::sleep(PAUSE);
    Ok(())
}

fn run_in_module(client: &mut RawClient) -> Result<()> {
    let wanted = client.new_execution();
    client.send(&Command::Execute {
        text: "__name__".into(),
        execution: wanted,
        thread: ThreadId(0),
        frame: 0,
        frame_kind: FrameKind::None,
        repr: ReprKind::Raw,
        module: Some("__main__".into()),
        print_result: true,
    })?;
    let is_answer = |of: &ExecutionId| *of == wanted;
    client.wait_for(
        |event| matches!(event, Event::ExecutionResult { execution, .. } if is_answer(execution)),
        PATIENCE,
    )?;
    Ok(())
}
