//! `cargo xtask measure`: how soon the adapter answers, and how much memory a
//! session leaves it with. Figures for people; no test asserts them.

#![allow(clippy::print_stdout, reason = "a command for people at a terminal")]

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testkit::editor::{Editor, LocalCopy, start_program};
use testkit::matrix::Matrix;
use testkit::programs::WORKING;

const STARTS: usize = 40;
const STEPS: usize = 200;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let adapter = std::env::args()
        .nth(1)
        .context("usage: measure PATH-OF-THE-ADAPTER")?;
    let adapter = Path::new(&adapter);
    let mut times = Vec::new();
    for _ in 0..STARTS {
        let begun = Instant::now();
        let mut editor = Editor::start(adapter).await?;
        times.push(begun.elapsed());
        editor.request("disconnect", Value::Null).await?;
        editor.client.close();
        editor.ended().await?;
    }
    times.sort();
    println!(
        "from process start to the answer to initialize, {STARTS} times: {}",
        spread(&times)?
    );
    for server in Matrix::of_this_machine().few_servers() {
        let program = start_program(&server, &WORKING)?;
        let copy = LocalCopy::of(&WORKING)?;
        let editor = Editor::start(adapter).await?;
        editor
            .debug(&program, &copy.path(), &[WORKING.line("call")])
            .await?;
        let mut thread = editor.stopped("breakpoint").await?;
        editor.set_breakpoints(&copy.path(), &[]).await?;
        let mut steps = Vec::new();
        for _ in 0..STEPS {
            let begun = Instant::now();
            editor.request("next", json!({"threadId": thread})).await?;
            thread = editor.stopped("step").await?;
            steps.push(begun.elapsed());
            let (frame, _, _) = editor.top(thread).await?;
            editor.scope(frame, "Locals").await?;
        }
        steps.sort();
        let pid = editor.pid().context("no pid")?;
        println!(
            "{server}: after {STEPS} steps, with stack and locals at each, resident {}; a step {}",
            resident(pid)?,
            spread(&steps)?
        );
        editor.disconnect().await?;
    }
    Ok(())
}

fn spread(times: &[Duration]) -> Result<String> {
    ensure!(!times.is_empty());
    let at = |index: usize| times.get(index).copied().unwrap_or_default();
    Ok(format!(
        "median {:.1?}, {:.1?} to {:.1?}",
        at(times.len() / 2),
        at(0),
        at(times.len() - 1)
    ))
}

fn resident(pid: u32) -> Result<String> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .context("no VmRSS")?;
    Ok(line.trim().to_owned())
}
