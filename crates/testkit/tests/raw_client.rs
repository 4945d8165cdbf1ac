//! The raw client does not harm a real server: each release in use is taken
//! through what a careless client wedges it with, and serves on.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use legacy_host::{Program, ProgramBuilder, Release};
use ptvsd_wire::{Command, Event, ExceptionMode, ReprKind};
use testkit::raw_client::{Direction, Handshake};

const PATIENCE: Duration = Duration::from_secs(10);
const SECRET: &str = "my_secret";
const TICKING: &str = "
import time

def tick(count):
    try:
        raise ValueError(count)
    except ValueError:
        time.sleep(0.01)

count = 0
while True:
    count = count + 1
    tick(count)
";

fn on_each_release(test: impl Fn(&Program) -> Result<()>) -> Result<()> {
    let python = legacy_host::python::default().context("no Python on PATH")?;
    for release in Release::MAIN {
        let program = ProgramBuilder::new(&python, release)
            .source("ticking.py", TICKING)
            .secret(Some(SECRET))
            .start()?;
        test(&program).with_context(|| format!("{release} on {python}"))?;
    }
    Ok(())
}

fn is_load(event: &Event) -> bool {
    matches!(event, Event::ProcessLoaded(_))
}

// handshake → dropped → another client is served
#[test]
fn a_handshake_that_is_given_up_leaves_the_server_alive() -> Result<()> {
    on_each_release(|program| {
        drop(Handshake::begin(program.port(), SECRET)?);
        let info = Handshake::begin(program.port(), SECRET)?.info()?;
        ensure!(info.process_id == i64::from(program.pid()), "{info:?}");
        Ok(())
    })
}

// wrong secret → refused → the right one is taken
#[test]
fn a_wrong_secret_is_told_and_does_no_harm() -> Result<()> {
    on_each_release(|program| {
        let error = match Handshake::begin(program.port(), "wrong") {
            Ok(_) => anyhow::bail!("it was taken"),
            Err(error) => format!("{error:#}"),
        };
        ensure!(error.contains("secret"), "{error}");
        Handshake::begin(program.port(), SECRET)?.info()?;
        Ok(())
    })
}

// attach → first stop → a value → detach while stopped → the program runs, the
// server idles → attach again
#[test]
fn leaving_lets_the_program_run_and_the_next_debugger_in() -> Result<()> {
    on_each_release(|program| {
        for _ in 0..2 {
            let mut client = Handshake::begin_recorded(program.port(), SECRET)?.attach("")?;
            let Event::ProcessLoaded(thread) = client.wait_for(is_load, PATIENCE)? else {
                anyhow::bail!("no first stop");
            };
            let answer = client.execute(thread, "6 * 7", ReprKind::Normal, PATIENCE)?;
            let Event::ExecutionResult { object, .. } = &answer else {
                anyhow::bail!("{answer:?}");
            };
            ensure!(object.repr == Some("42".into()) || shows(object, b"42"));
            let (events, recording) = client.leave(PATIENCE)?;
            ensure!(events.contains(&Event::Detached), "{events:?}");
            let recording = recording.context("no recording")?;
            ensure!(!recording.all(Direction::Sent).is_empty(), "nothing sent");

            thread::sleep(Duration::from_millis(100));
            let before = program.cpu_time();
            thread::sleep(Duration::from_millis(500));
            if let (Some(before), Some(after)) = (before, program.cpu_time()) {
                let used = after.saturating_sub(before);
                ensure!(used < Duration::from_millis(250), "it spins: {used:?}");
            }
        }
        Ok(())
    })
}

/// Python 2 sends the digits as bytes.
fn shows(object: &ptvsd_wire::Object, digits: &[u8]) -> bool {
    object
        .repr
        .as_ref()
        .is_some_and(|repr| repr.bytes() == digits)
}

// attach → stop at unhandled exceptions → the program, which handles its own,
// is asked about once and runs on
#[test]
fn handlers_that_are_wanted_are_given() -> Result<()> {
    on_each_release(|program| {
        let mut client = Handshake::begin(program.port(), SECRET)?.attach("")?;
        client.wait_for(is_load, PATIENCE)?;
        client.send(&Command::SetExceptionInfo {
            default: ExceptionMode::UNHANDLED,
            named: Vec::new(),
        })?;
        client.send(&Command::ResumeAll)?;
        client.wait_for(|event| matches!(event, Event::HandlersWanted(_)), PATIENCE)?;
        thread::sleep(Duration::from_millis(100));
        client.send(&Command::BreakAll)?;
        let stop = client.collect_until(|event| matches!(event, Event::AsyncBreak(_)), PATIENCE)?;
        let stopped = |event: &Event| matches!(event, Event::Exception { .. });
        ensure!(
            !stop.iter().any(stopped),
            "an exception counts as unhandled"
        );
        client.leave(PATIENCE)?;
        Ok(())
    })
}
