//! The agent's Python on each Python of this machine, in the debugger module of
//! real releases, but without a server: `python/test_agent.py` holds the tests.
//!
//! Every Python takes part, with a binary and a JSON release. The others are
//! listed as ignored, by name; `PTVSD_BRIDGE_FULL=1` runs them too.

use std::io::Write;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use debuggee_agent::{DEBUGGER_MODULE, JSON_DEBUGGER_MODULE, Options, SessionMark};
use legacy_host::python::{self, Implementation, Python};
use legacy_host::{Release, release};
use libtest_mimic::{Arguments, Failed, Trial};

/// The releases that the ordinary run has.
const ORDINARY: [&str; 2] = ["2.2.0", "3.2.1"];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let full = std::env::var_os("PTVSD_BRIDGE_FULL").is_some_and(|value| value == "1");
    let pythons = python::find_all();
    name_absent(&pythons);

    let some = !pythons.is_empty();
    let mut trials = vec![Trial::test("this machine has a Python", move || {
        if some {
            Ok(())
        } else {
            Err("no Python was found; install python3".into())
        }
    })];
    for python in &pythons {
        if python.implementation == Implementation::Jython {
            // Its code objects do not tell which names they use; a session there
            // goes on without the agent, and says so.
            eprintln!("not possible: {python}: the agent does not get in");
            continue;
        }
        for release in Release::MAIN {
            if let Some(reason) = release.cannot_run_on(python) {
                eprintln!("not possible: {release} on {python}: {reason}");
                continue;
            }
            let python = python.clone();
            let ordinary = ORDINARY.contains(&release.version());
            let trial = Trial::test(format!("{python} in {release}"), move || {
                passes(&python, release).map_err(|error| Failed::from(format!("{error:#}")))
            });
            trials.push(trial.with_ignored_flag(!full && !ordinary));
        }
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    if conclusion.num_ignored > 0 {
        eprintln!("PTVSD_BRIDGE_FULL=1 runs what is listed as ignored above.");
    }
    conclusion.exit_code()
}

/// Says which of the Pythons that people debug with old servers are not here.
fn name_absent(pythons: &[Python]) {
    let versions = [(2, 7)].into_iter().chain((6..=13).map(|minor| (3, minor)));
    for (major, minor) in versions {
        if !pythons
            .iter()
            .any(|python| python.is(&Implementation::CPython, major, minor))
        {
            eprintln!("not here: CPython {major}.{minor}");
        }
    }
    for implementation in [Implementation::PyPy, Implementation::Jython] {
        if !pythons
            .iter()
            .any(|python| python.implementation == implementation)
        {
            eprintln!("not here: {implementation}");
        }
    }
}

/// Runs the tests; they end by themselves when they take too long.
fn passes(python: &Python, release: Release) -> Result<()> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/test_agent.py");
    let module = if release.dialect() < 8 {
        DEBUGGER_MODULE
    } else {
        JSON_DEBUGGER_MODULE
    };
    let mut child = Command::new(&python.path)
        // No compiled files beside the release; a warning is not of interest.
        .args(["-B", "-W", "ignore"])
        .arg(script)
        .arg(module)
        .env("PYTHONPATH", release::python_path(release, python)?)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting {}", python.path.display()))?;
    let mut input = child.stdin.take().context("it has no input")?;
    // One that does not read has said why.
    let _ = input.write_all(what_to_test().as_bytes());
    drop(input);
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success() && said.contains("\nOK") && !said.contains("Ran 0 tests"),
        "{}\n{said}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout)
    );
    Ok(())
}

/// As the tests read it.
fn what_to_test() -> String {
    let options = Options {
        mark: SessionMark::new(),
        patience: Duration::from_secs(30),
    };
    [
        debuggee_agent::parts().map(|(_, text)| text).concat(),
        debuggee_agent::install_in_module(&options),
        debuggee_agent::install_in_frame(&options),
        debuggee_agent::hello(&options.mark),
    ]
    .join("\n\u{c}\n")
}
