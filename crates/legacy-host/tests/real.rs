//! Real servers on the real Pythons of this machine: each starts, says that it
//! is ready, and finishes a complete handshake with the raw client below.
//!
//! Every Python takes part, with every final release. What the ordinary run
//! leaves out is listed as ignored, by name; `PTVSD_BRIDGE_FULL=1` runs it too.

#![allow(
    clippy::indexing_slicing,
    reason = "a test may panic on what it did not expect"
)]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use legacy_host::python::{self, Implementation, Python};
use legacy_host::{Program, ProgramBuilder, Release};
use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::{Value, json};

const SECRET: &str = "my_secret";
const NEWEST: Release = Release::MAIN[5];
const PATIENCE: Duration = Duration::from_secs(60);

/// Prints what it thinks it is, then a line a tick for longer than a test takes.
const TICKING: &str = r"
import sys, time

def tick(number):
    sys.stdout.write('tick %d\n' % number)
    time.sleep(0.05)

own = sys.modules['__main__'].tick is tick
sys.stdout.write('I am %s|%s|%s|%s|%s\n' % (__name__, __file__, sys.argv, sys.path[0], own))
for number in range(2400):
    tick(number)
";

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let full = std::env::var_os("PTVSD_BRIDGE_FULL").is_some_and(|value| value == "1");
    let pythons = python::find_all();
    let mut trials = vec![Trial::test("this machine has a Python", {
        let some = !pythons.is_empty();
        move || {
            if some {
                Ok(())
            } else {
                Err("no Python was found; install python3".into())
            }
        }
    })];
    for python in &pythons {
        for release in Release::MAIN {
            if let Some(reason) = release.cannot_run_on(python) {
                eprintln!("not possible: {release} on {python}: {reason}");
                continue;
            }
            let ordinary = is_ordinary(python, release);
            let name = format!("{python} hosts {release}");
            let hosts = trial(name, python, release, answers_info);
            trials.push(hosts.with_ignored_flag(!full && !ordinary));

            let name = format!("{python} under {release} shows the script's frames only");
            let shows = trial(name, python, release, shows_the_script_only);
            trials.push(shows.with_ignored_flag(!full && !ordinary));
        }
    }
    // What does not depend on the Python is seen on one: the best known.
    let one = pythons
        .iter()
        .find(|python| python.is(&Implementation::CPython, 3, 6))
        .or_else(|| pythons.first());
    if let Some(python) = one {
        for release in Release::ALL {
            if !Release::MAIN.contains(&release) {
                let name = format!("{python} hosts {release}");
                trials.push(trial(name, python, release, answers_info));
            }
        }
    }
    if let Some(python) = one {
        for release in [Release::MAIN[2], NEWEST] {
            let name = format!("{release} holds the script until a debugger attaches");
            trials.push(trial(name, python, release, waits_for_attach));
        }
        trials.extend([
            trial(
                "a script enables the server itself".into(),
                python,
                NEWEST,
                enables_itself,
            ),
            trial(
                "a failing script is shown whole".into(),
                python,
                NEWEST,
                fails_visibly,
            ),
            trial(
                "a taken port is named".into(),
                python,
                NEWEST,
                names_a_taken_port,
            ),
            trial("prompts and input work".into(), python, NEWEST, asks),
            trial(
                "a dropped program is gone".into(),
                python,
                NEWEST,
                is_gone_when_dropped,
            ),
        ]);
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    if conclusion.num_ignored > 0 {
        eprintln!("PTVSD_BRIDGE_FULL=1 runs what is listed as ignored above.");
    }
    conclusion.exit_code()
}

/// Each start of Jython takes seconds: the ordinary run has one release on it.
fn is_ordinary(python: &Python, release: Release) -> bool {
    python.implementation != Implementation::Jython || release == NEWEST
}

fn trial(
    name: String,
    python: &Python,
    release: Release,
    test: fn(&Python, Release) -> Result<()>,
) -> Trial {
    let python = python.clone();
    Trial::test(name, move || {
        test(&python, release).map_err(|error| Failed::from(format!("{error:#}")))
    })
}

fn ticking(python: &Python, release: Release) -> Result<Program> {
    let program = ProgramBuilder::new(python, release)
        .source("ticking.py", TICKING)
        .args(["one", "two words"])
        .secret(Some(SECRET))
        .start()?;
    let ready = program.wait_for_line("PTVSD-READY", PATIENCE)?;
    ensure!(
        ready == format!("PTVSD-READY {}", program.port()),
        "{ready}"
    );
    Ok(program)
}

// hosted → it is `__main__` as `python ticking.py one "two words"` makes it →
// two INFO handshakes in a row → it ticks on
fn answers_info(python: &Python, release: Release) -> Result<()> {
    let program = ticking(python, release)?;
    let line = program.wait_for_line("I am", PATIENCE)?;
    let script = program.script().display();
    let folder = program.script().parent().context("no folder")?.display();
    let expected = format!("I am __main__|{script}|['{script}', 'one', 'two words']|{folder}|True");
    ensure!(line == expected, "{line}, not {expected}");
    for _ in 0..2 {
        let (pid, version) = Raw::connect(&program, release)?.info()?;
        ensure!(
            pid == u64::from(program.pid()),
            "pid {pid}, not {}",
            program.pid()
        );
        // Jython gives its version with a suffix of its own at times.
        ensure!(
            version.starts_with(&python.to_string()),
            "{version:?}, not {python}"
        );
    }
    let mark = program.mark();
    program.wait_for_line_since(mark, "tick", PATIENCE)?;
    Ok(())
}

// attach → the first stop's frames name the script and nothing of ours →
// detach → it ticks on
fn shows_the_script_only(python: &Python, release: Release) -> Result<()> {
    let program = ticking(python, release)?;
    program.wait_for_line("tick", PATIENCE)?;
    let script = program.script().to_string_lossy().into_owned();
    let mut told = String::new();
    // The attach break takes the first line that runs. Where that is one of
    // the standard library, called by the script, the servers show no frame.
    for _ in 0..5 {
        told = Raw::connect(&program, release)?.attach_and_detach()?;
        ensure!(
            !told.contains("ptvsd_hosted"),
            "the launcher shows in {told}"
        );
        if told.contains(&script) {
            break;
        }
        let mark = program.mark();
        program.wait_for_line_since(mark, "tick", PATIENCE)?;
    }
    ensure!(told.contains(&script), "no frame of {script} in {told}");
    let mark = program.mark();
    program.wait_for_line_since(mark, "tick", PATIENCE)?;
    Ok(())
}

fn waits_for_attach(python: &Python, release: Release) -> Result<()> {
    let program = ProgramBuilder::new(python, release)
        .source("ticking.py", TICKING)
        .secret(Some(SECRET))
        .wait_for_attach(true)
        .start()?;
    ensure!(
        program
            .wait_for_line("I am", Duration::from_millis(500))
            .is_err(),
        "it did not wait"
    );
    let frames = Raw::connect(&program, release)?.attach_and_detach()?;
    // The attach break falls into the standard library's `wait`, as with the
    // servers' own `--wait`: that nothing of ours shows is what counts.
    ensure!(
        !frames.contains("ptvsd_hosted"),
        "the launcher shows in {frames}"
    );
    program.wait_for_line("tick", PATIENCE)?;
    Ok(())
}

fn enables_itself(python: &Python, release: Release) -> Result<()> {
    let source = "
import os, ptvsd, time
ptvsd.enable_attach(os.environ['PTVSD_TEST_SECRET'], ('127.0.0.1', int(os.environ['PTVSD_TEST_PORT'])))
print('open for debuggers')
time.sleep(60)
";
    let program = ProgramBuilder::new(python, release)
        .source("own.py", source)
        .secret(Some(SECRET))
        .enable_attach_in_script(true)
        .ready_when("open for debuggers")
        .start()?;
    let (pid, _) = Raw::connect(&program, release)?.info()?;
    ensure!(
        pid == u64::from(program.pid()),
        "pid {pid}, not {}",
        program.pid()
    );
    Ok(())
}

fn fails_visibly(python: &Python, release: Release) -> Result<()> {
    let program = ProgramBuilder::new(python, release)
        .source(
            "failing.py",
            "print('so far so good')\nraise ValueError('and no further')\n",
        )
        .start()?;
    let Err(error) = program.wait_for_line("never printed", PATIENCE) else {
        bail!("a line came that nobody printed");
    };
    let error = format!("{error:#}");
    for part in [
        "so far so good",
        "failing.py\", line 2",
        "and no further",
        "ended",
        "3.2.1",
    ] {
        ensure!(error.contains(part), "{part:?} is not in {error}");
    }
    ensure!(!program.wait_exit(PATIENCE)?.success(), "it ended well");
    Ok(())
}

fn names_a_taken_port(python: &Python, release: Release) -> Result<()> {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let builder = ProgramBuilder::new(python, release)
        .source("ticking.py", TICKING)
        .port(taken.local_addr()?.port());
    let Err(error) = builder.start() else {
        bail!("it took a taken port")
    };
    let error = format!("{error:#}");
    ensure!(error.contains("Address already in use"), "{error}");
    Ok(())
}

fn asks(python: &Python, release: Release) -> Result<()> {
    let source = "
import sys
sys.stdout.write('Your name? ')
sys.stdout.flush()
name = sys.stdin.readline().strip()
print('Hello ' + name)
sys.exit(3)
";
    let program = ProgramBuilder::new(python, release)
        .source("asks.py", source)
        .start()?;
    program.wait_for_prompt("name?", PATIENCE)?;
    ensure!(program.is_running(), "it did not wait for an answer");
    program.write_stdin("Ada\n")?;
    program.wait_for_line("Hello Ada", PATIENCE)?;
    let status = program.wait_exit(PATIENCE)?;
    ensure!(status.code() == Some(3), "it ended with {status}");
    ensure!(!program.is_running(), "it runs after its end");
    Ok(())
}

fn is_gone_when_dropped(python: &Python, release: Release) -> Result<()> {
    let program = ticking(python, release)?;
    let script = program.script().to_owned();
    ensure!(script.is_file(), "{} is not there", script.display());
    let port = program.port();
    drop(program);
    ensure!(!script.exists(), "{} was left", script.display());
    // Nobody listens any more: this connection wedges nothing.
    ensure!(
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err(),
        "the port is open still"
    );
    Ok(())
}

/// As little of both wire families as one handshake takes.
struct Raw {
    stream: TcpStream,
    dialect: u8,
    /// All that the server sent so far.
    seen: Vec<u8>,
    /// How much of it was understood.
    used: usize,
}

impl Raw {
    /// Connects and gives signature, version and secret.
    fn connect(program: &Program, release: Release) -> Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, program.port()))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut raw = Self {
            stream,
            dialect: release.dialect(),
            seen: Vec::new(),
            used: 0,
        };
        if raw.is_json() {
            let hello = raw.event("legacyRemoteConnected")?;
            ensure!(hello["debuggerProtocolVersion"] == raw.dialect, "{hello}");
            let accepted = raw.request(
                "legacyRemoteDebuggerAuthenticate",
                &json!({
                    "debuggerName": "PTVSDBG",
                    "debuggerProtocolVersion": raw.dialect,
                    "clientSecret": SECRET,
                }),
            )?;
            ensure!(accepted["accepted"] == true, "{accepted}");
        } else {
            ensure!(
                raw.bytes(7)? == b"PTVSDBG",
                "no signature in {:?}",
                raw.seen
            );
            ensure!(
                raw.number()? == u64::from(raw.dialect),
                "dialect: {:?}",
                raw.seen
            );
            let mut answer = b"PTVSDBG".to_vec();
            answer.extend(u64::from(raw.dialect).to_be_bytes());
            answer.extend(counted(SECRET));
            raw.stream.write_all(&answer)?;
            ensure!(raw.bytes(4)? == b"ACPT", "not accepted");
        }
        Ok(raw)
    }

    /// Process id and version, as the server tells them.
    fn info(mut self) -> Result<(u64, String)> {
        if self.is_json() {
            let body = self.request("legacyRemoteDebuggerInfo", &json!({}))?;
            let pid = body["processId"].as_u64().context("no pid")?;
            let version = body["pythonVersion"].as_str().context("no version")?;
            return Ok((pid, version.to_owned()));
        }
        self.stream.write_all(b"INFO")?;
        let pid = self.number()?;
        let (_executable, _user, version) = (self.string()?, self.string()?, self.string()?);
        Ok((pid, version))
    }

    /// Attaches, waits for the attach break, detaches; returns the frames, as
    /// the server sent them.
    fn attach_and_detach(&mut self) -> Result<String> {
        if self.is_json() {
            let body =
                self.request("legacyRemoteDebuggerAttach", &json!({ "debugOptions": "" }))?;
            ensure!(body["accepted"] == true, "{body}");
            let mut frames = String::new();
            loop {
                let message = self.message()?;
                if message["event"] == "legacyThreadFrameList" {
                    frames = message["body"].to_string();
                } else if message["event"] == "legacyProcessLoad" {
                    break;
                }
            }
            self.send_request("legacyDetach", &json!({}))?;
            self.event("legacyDetach")?;
            // Any unknown request ends the server's loop; one that still reads
            // when the connection closes uses a whole processor.
            self.send_request("end", &json!({}))?;
            thread::sleep(Duration::from_millis(200));
            return Ok(frames);
        }
        self.stream.write_all(b"ATCH")?;
        if self.dialect >= 6 {
            self.stream.write_all(&counted(""))?;
        }
        self.skip_past(b"LOAD")?;
        let told = String::from_utf8_lossy(&self.seen).into_owned();
        let (_, frames) = told.split_once("THRF").context("no frames")?;
        self.stream.write_all(b"detc")?;
        self.skip_past(b"DETC")?;
        Ok(frames.to_owned())
    }

    const fn is_json(&self) -> bool {
        self.dialect >= 7
    }

    fn read_more(&mut self) -> Result<()> {
        let mut buffer = [0; 65536];
        let count = self.stream.read(&mut buffer)?;
        ensure!(
            count > 0,
            "the server closed after {:?}",
            String::from_utf8_lossy(&self.seen)
        );
        self.seen.extend_from_slice(&buffer[..count]);
        Ok(())
    }

    fn bytes(&mut self, count: usize) -> Result<Vec<u8>> {
        while self.seen.len() < self.used + count {
            self.read_more()?;
        }
        self.used += count;
        Ok(self.seen[self.used - count..self.used].to_vec())
    }

    fn skip_past(&mut self, word: &[u8]) -> Result<()> {
        loop {
            let unread = &self.seen[self.used..];
            if let Some(at) = unread.windows(word.len()).position(|window| window == word) {
                self.used += at + word.len();
                return Ok(());
            }
            self.read_more()?;
        }
    }

    fn number(&mut self) -> Result<u64> {
        let bytes = self.bytes(8)?;
        Ok(u64::from_be_bytes(bytes.as_slice().try_into()?))
    }

    fn string(&mut self) -> Result<String> {
        if self.bytes(1)? == b"N" {
            return Ok(String::new());
        }
        let count = usize::try_from(self.number()?)?;
        Ok(String::from_utf8_lossy(&self.bytes(count)?).into_owned())
    }

    fn message(&mut self) -> Result<Value> {
        let from = self.used;
        self.skip_past(b"\r\n\r\n")?;
        let header = std::str::from_utf8(&self.seen[from..self.used])?;
        let length = header
            .trim()
            .strip_prefix("Content-Length:")
            .context("no length")?;
        let body = self.bytes(length.trim().parse()?)?;
        Ok(serde_json::from_slice(&body)?)
    }

    fn event(&mut self, name: &str) -> Result<Value> {
        loop {
            let mut message = self.message()?;
            if message["event"] == name {
                return Ok(message["body"].take());
            }
        }
    }

    fn send_request(&mut self, command: &str, arguments: &Value) -> Result<()> {
        let request =
            json!({ "type": "request", "seq": 1, "command": command, "arguments": arguments });
        let request = request.to_string();
        let framed = format!("Content-Length: {}\r\n\r\n{request}", request.len());
        Ok(self.stream.write_all(framed.as_bytes())?)
    }

    fn request(&mut self, command: &str, arguments: &Value) -> Result<Value> {
        self.send_request(command, arguments)?;
        loop {
            let mut message = self.message()?;
            if message["type"] == "response" {
                ensure!(message["success"] == true, "{command}: {message}");
                return Ok(message["body"].take());
            }
        }
    }
}

/// A client's string: its length in bytes, then UTF-8.
fn counted(text: &str) -> Vec<u8> {
    let mut bytes = u64::try_from(text.len())
        .unwrap_or_default()
        .to_be_bytes()
        .to_vec();
    bytes.extend(text.as_bytes());
    bytes
}
