//! The project's own commands, such as `cargo xtask test`.
//!
//! A run is a list of steps ([`steps::of`]). Each is shown with its command
//! line and its duration; the first that fails ends the run, and the tests that
//! failed in it are named at the end ([`failures`]). What was not run is named,
//! and is a failure on the machines that must run all (`CI=true`).

#![allow(clippy::print_stdout, reason = "a command for people at a terminal")]

mod failures;
mod setup;
mod steps;

use std::ffi::OsString;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use steps::{Run, Step};

const HELP: &str = "\
The project's own commands

  cargo xtask test     format, lints, all tests, documentation, editor extension
  cargo xtask full     the same, with every Python of this machine
  cargo xtask measure  how fast the adapter starts and steps, and its memory
  cargo xtask bench    what the adapter costs; writes docs/bench.md

  --install            installs what a run lacks (Debian, as root); CI=true does too";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match execute(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("\nFAILED: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn execute(arguments: &[String]) -> Result<()> {
    if let Some(("demo", rest)) = arguments
        .split_first()
        .map(|(first, rest)| (first.as_str(), rest))
    {
        return demo(rest);
    }
    let on_ci = std::env::var("CI").is_ok_and(|value| value == "true");
    let mut run = None;
    let mut install = on_ci;
    for argument in arguments {
        match argument.as_str() {
            "test" if run.is_none() => run = Some(Run::Ordinary),
            "full" if run.is_none() => run = Some(Run::Full),
            "bench" if run.is_none() => run = Some(Run::Bench),
            "measure" if run.is_none() => run = Some(Run::Measure),
            "--install" => install = true,
            "help" | "--help" | "-h" => {
                println!("{HELP}");
                return Ok(());
            }
            other => bail!("`{other}` is not understood\n\n{HELP}"),
        }
    }
    let Some(run) = run else {
        println!("{HELP}");
        return Ok(());
    };

    let root = workspace_root()?;
    let mut summary = Vec::new();
    let began = Instant::now();
    let outcome = run_all(run, &root, install, on_ci, &mut summary);
    println!("\n== summary, {:.0} s", began.elapsed().as_secs_f64());
    for line in summary {
        println!("{line}");
    }
    outcome
}

/// Its output is all that is to be seen.
fn demo(arguments: &[String]) -> Result<()> {
    let step = steps::demo();
    let status = Command::new(cargo())
        .args(step.all_arguments(setup::has_openssl()))
        .args(arguments)
        .status()
        .context("starting cargo")?;
    if !status.success() {
        bail!("the demo ended with {status}");
    }
    Ok(())
}

fn run_all(
    run: Run,
    root: &Path,
    install: bool,
    on_ci: bool,
    summary: &mut Vec<String>,
) -> Result<()> {
    println!("== set-up");
    setup::prepare(run, install)?;
    let has_openssl = setup::has_openssl();
    for step in steps::of(run) {
        let absent: Vec<&str> = step
            .needs
            .iter()
            .copied()
            .filter(|tool| !setup::answers(tool))
            .collect();
        if !absent.is_empty() {
            let line = format!("NOT RUN  {}: {} is not here", step.name, absent.join(", "));
            println!("\n== {line}");
            summary.push(line);
            if on_ci {
                bail!("{} could not run without {}", step.name, absent.join(", "));
            }
            continue;
        }
        let began = Instant::now();
        let outcome = run_step(&step, root, has_openssl);
        let word = if outcome.is_ok() {
            "ok      "
        } else {
            "FAILED  "
        };
        let line = format!(
            "{word} {} ({:.1} s)",
            step.name,
            began.elapsed().as_secs_f64()
        );
        println!("== {line}");
        summary.push(line);
        outcome.with_context(|| step.name.to_owned())?;
    }
    Ok(())
}

/// The very cargo that runs this program.
fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

fn run_step(step: &Step, root: &Path, has_openssl: bool) -> Result<()> {
    println!("\n== {}", step.name);
    println!("$ {}", step.command_line(has_openssl));
    let program = if step.program == "cargo" {
        cargo()
    } else {
        setup::command_name(step.program).into()
    };
    let mut command = Command::new(program);
    command
        .args(step.all_arguments(has_openssl))
        .envs(step.environment.iter().copied())
        .current_dir(root.join(step.folder));
    if step.has_tests {
        command.stdout(Stdio::piped());
    }
    let mut child = command
        .spawn()
        .with_context(|| format!("starting {}", step.program))?;
    let failed = match child.stdout.take() {
        Some(printed) => failures::pass_on(BufReader::new(printed), std::io::stdout().lock())
            .context("reading what the tests print")?,
        None => Vec::new(),
    };
    let status = child.wait().context("waiting for the step's end")?;
    if !status.success() {
        let named: String = failed.iter().map(|test| format!("\n  {test}")).collect();
        bail!(
            "`{}` ended with {status}{named}",
            step.command_line(has_openssl)
        );
    }
    Ok(())
}

fn workspace_root() -> Result<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = own
        .ancestors()
        .nth(2)
        .context("xtask is not in the workspace's crates folder")?;
    Ok(root.to_owned())
}
