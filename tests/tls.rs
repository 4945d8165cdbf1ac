//! TLS: real servers that speak 1.0, and the same behind a terminator that
//! speaks 1.3 or 1.2. Whom to trust decides the same everywhere; the secret
//! goes to nobody else; and every refusal names the line that would accept.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use legacy_host::{Program, ProgramBuilder};
use libtest_mimic::Arguments;
use ptvsd_client::{StepKind, Target};
use serde_json::{Value, json};
use testkit::certificates::{Authority, Identity, NoOpenssl, Recipe, document};
use testkit::client_session::ClientSession;
use testkit::editor::{Editor, LocalCopy, SECRET, integer, named, start_program, string};
use testkit::fault_proxy::{Death, FaultProxy};
use testkit::harness::trial;
use testkit::matrix::{Matrix, Server};
use testkit::programs::{ASKING, BUSY, DEEP, PRINT_LIMIT, Source, WORKING, all_move};
use testkit::terminator::{Terminator, Versions};

const ADAPTER: &str = env!("CARGO_BIN_EXE_ptvsd-bridge");
/// The releases of which each is tried, on CPython 2.7 and 3.6.
const RELEASES: [&str; 5] = ["2.0.0", "2.2.0", "3.0.0", "3.1.0", "3.2.1"];
/// Those that stand for their kind.
const FEW: [(&str, u32, u32); 2] = [("2.2.0", 2, 7), ("3.2.1", 3, 6)];
/// Those where reads and writes meet in other ways.
const MANY: [(&str, u32, u32); 3] = [("2.2.0", 2, 7), ("3.0.0", 3, 6), ("3.2.1", 3, 6)];
/// After so long without a stop there is none on its way.
const CALM: Duration = Duration::from_secs(1);
/// Of a refused attach: on a busy machine.
const REFUSAL_LIMIT: Duration = Duration::from_secs(6);

fn main() -> ExitCode {
    let matrix = Matrix::of_this_machine();
    let mut trials = Vec::new();
    let folder = tempfile::tempdir();
    let has_openssl = folder
        .map_err(anyhow::Error::from)
        .and_then(|folder| document(folder.path(), "localhost").map(|_| ()));
    match has_openssl {
        Err(error) if error.is::<NoOpenssl>() => {
            eprintln!("NOT RUN: all of TLS: {error}");
            return libtest_mimic::run(&Arguments::from_args(), trials).exit_code();
        }
        _ => {}
    }
    // From CPython 3.10 on a reset looks like an end there.
    let newer = [("3.2.1", 3, 11), ("2.2.0", 3, 11)];
    for (release, major, minor) in newer {
        let Some(server) = able(&matrix, release, major, minor) else {
            continue;
        };
        let name = format!("refusals, then sessions: {server}");
        trials.push(trial(name, {
            let server = server.clone();
            move || refusals_then_sessions(server)
        }));
        let name = format!("the other kind of channel: {server}");
        trials.push(trial(name, move || crossed(server)));
    }
    for (major, minor) in [(2, 7), (3, 6)] {
        for release in RELEASES {
            let Some(server) = able(&matrix, release, major, minor) else {
                continue;
            };
            let name = format!("refusals, then sessions: {server}");
            trials.push(trial(name, {
                let server = server.clone();
                move || refusals_then_sessions(server)
            }));
            let name = format!("behind TLS 1.3: {server}");
            trials.push(trial(name, move || behind_a_terminator(server)));
        }
    }
    for (release, major, minor) in FEW {
        let Some(server) = able(&matrix, release, major, minor) else {
            continue;
        };
        for case in CASES {
            let name = format!("{}: {server}", case.name);
            let server = server.clone();
            trials.push(trial(name, move || {
                case_on_channel(case, server, Channel::Own)
            }));
        }
        let before = [(Versions::Only13, "TLS 1.3"), (Versions::Only12, "TLS 1.2")];
        // The same stack speaks both.
        let before = before.get(..if matrix.is_full() { 2 } else { 1 });
        for case in CASES {
            for (versions, name) in before.unwrap_or_default().iter().copied() {
                let channel = Channel::Before(versions);
                let name = format!("{}: {name} before {server}", case.name);
                let server = server.clone();
                trials.push(trial(name, move || case_on_channel(case, server, channel)));
            }
        }
        let mut add = |name: &str, test: fn(Server) -> TestResult| {
            let server = server.clone();
            trials.push(trial(format!("{name}: {server}"), move || test(server)));
        };
        add("list, doctor and rescue", |server| {
            Box::pin(commands(server))
        });
        add("the other kind of channel", |server| {
            Box::pin(crossed(server))
        });
        add("versions", |server| Box::pin(versions(server)));
        add("not verified", |server| Box::pin(not_verified(server)));
        add("the debugger dies", |server| Box::pin(dies(server)));
        add("the link falls silent", |server| {
            Box::pin(falls_silent(server))
        });
    }
    for (release, major, minor) in MANY {
        if let Some(server) = able(&matrix, release, major, minor) {
            let (attaches, stops) = match matrix.is_full() {
                true => (600, 1000),
                false => (60, 100),
            };
            let name = format!("{attaches} attaches: {server}");
            trials.push(trial(name, {
                let server = server.clone();
                move || many_attaches(server, attaches)
            }));
            let name = format!("the agent gets into a program that runs no line: {server}");
            trials.push(trial(name, {
                let server = server.clone();
                move || gets_in(server)
            }));
            let name = format!("{stops} busy stops: {server}");
            trials.push(trial(name, move || busy_stops(server, stops)));
        }
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

type TestResult = std::pin::Pin<Box<dyn Future<Output = Result<()>>>>;

/// A server on a Python that can serve TLS 1.0.
fn able(matrix: &Matrix, release: &str, major: u32, minor: u32) -> Option<Server> {
    let server = matrix.server(release, major, minor);
    match &server {
        Some(server) if !server.python.can_serve_tls() => {
            eprintln!("NOT POSSIBLE: TLS on {server}: this Python cannot serve it");
            None
        }
        Some(_) => server,
        None => {
            eprintln!("ABSENT: CPython {major}.{minor}: TLS on {release} is not run on it");
            None
        }
    }
}

fn start_encrypted(server: &Server, source: &Source, identity: &Identity) -> Result<Program> {
    ProgramBuilder::new(&server.python, server.release)
        .source(source.name, source.text)
        .secret(Some(SECRET))
        .tls(&identity.certificate, &identity.key)
        .start()
        .with_context(|| format!("starting {} under {server}, with TLS", source.name))
}

fn target(host: &str, port: u16) -> String {
    format!("tcps://{SECRET}@{host}:{port}")
}

/// An attach; the whole answer, which must come in time and without the
/// secret.
async fn attach(editor: &Editor, target: &str, tls: &Value) -> Result<Value> {
    let begun = Instant::now();
    let response = editor
        .send("attach", json!({"target": target, "tls": tls}))
        .response()
        .await?;
    ensure!(begun.elapsed() < REFUSAL_LIMIT, "{:?}", begun.elapsed());
    ensure!(!response.to_string().contains(SECRET), "{response}");
    Ok(response)
}

/// An attach that fails; what it says.
async fn refused(editor: &Editor, target: &str, tls: &Value, says: &[&str]) -> Result<String> {
    let response = attach(editor, target, tls).await?;
    ensure!(response.get("success") == Some(&json!(false)), "{response}");
    let said = string(&response, "/body/error/format");
    for part in says {
        ensure!(said.contains(part), "no {part:?} in: {said}");
    }
    Ok(said)
}

async fn accepted(editor: &Editor, target: &str, tls: &Value) -> Result<()> {
    let response = attach(editor, target, tls).await?;
    ensure!(response.get("success") == Some(&json!(true)), "{response}");
    editor.client.event("initialized").await?;
    editor.configured().await
}

/// The line of configuration that a refusal ends with.
fn line(said: &str) -> Result<Value> {
    let (_, line) = said
        .split_once("\"tls\": ")
        .with_context(|| format!("no line of configuration in: {said}"))?;
    serde_json::from_str(line).with_context(|| line.to_owned())
}

/// What the console has said, up to a certain line.
async fn console(editor: &Editor, until: &str) -> Result<String> {
    let mut all = String::new();
    while !all.contains(until) {
        let output = editor.client.event("output").await?;
        if string(&output, "/category") == "console" {
            all.push_str(&string(&output, "/output"));
        }
    }
    Ok(all)
}

fn ticks(program: &Program) -> Result<()> {
    program.wait_for_line_since(program.mark(), "tick", PRINT_LIMIT)?;
    Ok(())
}

/// Breakpoint at the bottom, five megabytes of frames, values, a step; then
/// detached. The channel is said in the console.
async fn session(program: &Program, target: &str, tls: Value, version: &str) -> Result<()> {
    let copy = LocalCopy::of(&DEEP)?;
    for agent in [true, false] {
        let editor = Editor::start(Path::new(ADAPTER)).await?;
        editor
            .attach_with(
                program,
                json!({"target": target, "tls": tls, "agent": agent}),
            )
            .await?;
        let said = console(&editor, "Attached to process").await?;
        ensure!(said.contains(version), "no {version} in: {said}");
        editor
            .set_breakpoints(&copy.path(), &[DEEP.line("bottom")])
            .await?;
        editor.configured().await?;
        let thread = editor.stopped("breakpoint").await?;
        let frames = editor.frames(thread).await?;
        ensure!(frames.len() > 100, "{} frames", frames.len());
        // Each of them has its text.
        for frame in [0, 50, 99] {
            let frame = integer(frames.get(frame).context("a frame")?, "/id")?;
            let length = editor.evaluate("len(text), left", frame, "watch").await?;
            ensure!(length.starts_with("(50000, "), "{length}");
            let locals = editor.scope(frame, "Locals").await?;
            let text = string(named(&locals, "text")?, "/value");
            ensure!(text.len() >= 50_000, "{} characters", text.len());
        }
        let thread = editor.step("next", thread).await?;
        let (_, function, line) = editor.top(thread).await?;
        ensure!((function.as_str(), line) == ("go_down", DEEP.line("after")));
        editor.set_breakpoints(&copy.path(), &[]).await?;
        editor.go_on(thread).await?;
        editor.output_with("tick").await?;
        editor.disconnect().await?;
        ticks(program)?;
    }
    rests(program)
}

/// Nothing spins in the program once the debugger has gone.
fn rests(program: &Program) -> Result<()> {
    let Some(before) = program.cpu_time() else {
        return Ok(());
    };
    let begun = Instant::now();
    for _ in 0..5 {
        ticks(program)?;
    }
    let used = program.cpu_time().context("no processor time")? - before;
    let share = used.as_secs_f64() / begun.elapsed().as_secs_f64();
    ensure!(share < 0.6, "the program uses {share:.2} of a processor");
    Ok(())
}

/// The wrong ways with the document's own certificate, after each of which the
/// right one works; and whole sessions.
async fn refusals_then_sessions(server: Server) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let identity = document(folder.path(), "localhost")?;
    let program = start_encrypted(&server, &DEEP, &identity)?;
    let target = target("localhost", program.port());
    let by_file = json!({"caFile": identity.certificate});
    let by_fingerprint = json!({"fingerprint": identity.fingerprint()});

    wrong_ways(&target, &identity, folder.path(), None).await?;
    session(&program, &target, by_file, "TLSv1 ").await?;
    session(&program, &target, by_fingerprint, "TLSv1 ").await
}

async fn behind_a_terminator(server: Server) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let identity = document(folder.path(), "localhost")?;
    let program = start_program(&server, &DEEP)?;
    let terminator = Terminator::start(program.port(), &identity, Versions::Only13).await?;
    let target = target("localhost", terminator.port());

    wrong_ways(&target, &identity, folder.path(), Some(&terminator)).await?;
    let by_file = json!({"caFile": identity.certificate});
    session(&program, &target, by_file, "TLSv1.3").await?;
    let by_fingerprint = json!({"fingerprint": identity.fingerprint()});
    session(&program, &target, by_fingerprint, "TLSv1.3").await
}

/// How many times a terminator has heard the secret.
fn secrets(terminator: Option<&Terminator>) -> usize {
    let heard = terminator.map(Terminator::heard).unwrap_or_default();
    let secret = SECRET.as_bytes();
    heard
        .windows(secret.len())
        .filter(|at| *at == secret)
        .count()
}

async fn wrong_ways(
    target: &str,
    identity: &Identity,
    folder: &Path,
    terminator: Option<&Terminator>,
) -> Result<()> {
    let other = Recipe::new("localhost").self_signed(&folder.join("other"))?;
    let by_file = json!({"caFile": identity.certificate});
    for (tls, says) in [
        (json!({}), &["self-signed", "what this system trusts"][..]),
        (
            json!({"caFile": other.certificate}),
            &["self-signed", "the given file"],
        ),
        (
            json!({"fingerprint": other.fingerprint()}),
            &["not the one that was pinned", "changed"],
        ),
    ] {
        let editor = Editor::start(Path::new(ADAPTER)).await?;
        let before = secrets(terminator);
        let said = refused(&editor, target, &tls, says).await?;
        ensure!(secrets(terminator) == before, "the secret was sent");
        for part in [
            "CN=localhost",
            "valid from",
            &identity.fingerprint(),
            "The secret was not sent",
        ] {
            ensure!(said.contains(part), "no {part:?} in: {said}");
        }
        ensure!(
            line(&said)? == json!({"fingerprint": identity.fingerprint()}),
            "{said}"
        );
        // The adapter and the server are as good as before.
        accepted(&editor, target, &by_file).await?;
        console(&editor, "trusted by the given file").await?;
        ensure!(terminator.is_none() || secrets(terminator) > before);
        editor.disconnect().await?;
    }
    Ok(())
}

/// A certificate, what is asked of it, and what becomes of it.
#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    make: fn(&Path) -> Result<Made>,
    host: &'static str,
    outcome: Outcome,
}

#[derive(Clone, Copy)]
enum Outcome {
    Accepted,
    /// What it says, and which field of `tls` would accept it.
    Refused(&'static [&'static str], &'static str),
}

/// A server's identity, and the file by which it is to be trusted.
struct Made {
    identity: Identity,
    trusted: PathBuf,
}

/// One that is itself in the file.
fn alone(identity: Identity) -> Result<Made> {
    Ok(Made {
        trusted: identity.certificate.clone(),
        identity,
    })
}

fn issued(recipe: &Recipe, folder: &Path) -> Result<Made> {
    let authority = Authority::new(folder, "Example Authority")?;
    Ok(Made {
        identity: recipe.issued_by(&authority, folder)?,
        trusted: authority.root().to_owned(),
    })
}

const LOOPBACK: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// The table: the same for every version and server.
const CASES: [Case; 18] = [
    Case {
        name: "the document's certificate",
        make: |folder| alone(document(folder, "localhost")?),
        host: "localhost",
        outcome: Outcome::Accepted,
    },
    Case {
        name: "the document's certificate, with an address as the common name",
        make: |folder| alone(document(folder, "127.0.0.1")?),
        host: "127.0.0.1",
        outcome: Outcome::Accepted,
    },
    Case {
        name: "the document's certificate, with another name",
        make: |folder| alone(document(folder, "myvm.example")?),
        host: "localhost",
        outcome: Outcome::Refused(
            &["name does not match", "\"myvm.example\"", "\"localhost\""],
            "serverName",
        ),
    },
    Case {
        name: "an alternative name",
        make: |folder| {
            let recipe = Recipe::new("whatever").dns("localhost");
            alone(recipe.self_signed(folder)?)
        },
        host: "localhost",
        outcome: Outcome::Accepted,
    },
    Case {
        name: "an alternative address",
        make: |folder| alone(Recipe::new("").ip(LOOPBACK).self_signed(folder)?),
        host: "127.0.0.1",
        outcome: Outcome::Accepted,
    },
    Case {
        name: "alternative names, and the host as the common name only",
        make: |folder| {
            let recipe = Recipe::new("localhost").dns("myvm.example");
            alone(recipe.self_signed(folder)?)
        },
        host: "localhost",
        outcome: Outcome::Refused(&["name does not match", "\"myvm.example\""], "serverName"),
    },
    Case {
        name: "no name at all",
        make: |folder| alone(Recipe::new("").self_signed(folder)?),
        host: "localhost",
        outcome: Outcome::Refused(&["name does not match", "it bears none"], "fingerprint"),
    },
    Case {
        name: "expired",
        make: |folder| alone(Recipe::new("localhost").expired().self_signed(folder)?),
        host: "localhost",
        outcome: Outcome::Refused(&["it has expired"], "fingerprint"),
    },
    Case {
        name: "not valid yet, and another name",
        make: |folder| alone(Recipe::new("myvm").not_yet_valid().self_signed(folder)?),
        host: "localhost",
        outcome: Outcome::Refused(&["not valid before", "name does not match"], "fingerprint"),
    },
    Case {
        name: "1024 bits and SHA-1, self-signed",
        make: |folder| {
            let recipe = Recipe::new("localhost").rsa(1024).sha1().authority(true);
            alone(recipe.self_signed(folder)?)
        },
        host: "localhost",
        outcome: Outcome::Accepted,
    },
    Case {
        name: "1024 bits and SHA-1, issued",
        make: |folder| issued(&Recipe::new("localhost").rsa(1024).sha1(), folder),
        host: "localhost",
        outcome: Outcome::Accepted,
    },
    Case {
        name: "issued by an authority",
        make: |folder| issued(&Recipe::new("whatever").dns("localhost"), folder),
        host: "localhost",
        outcome: Outcome::Accepted,
    },
    Case {
        name: "issued by an authority's authority",
        make: |folder| {
            let authority = Authority::new(folder, "Example Authority")?;
            let below = authority.intermediate("Example Department")?;
            Ok(Made {
                identity: Recipe::new("localhost").issued_by(&below, folder)?,
                trusted: authority.root().to_owned(),
            })
        },
        host: "localhost",
        outcome: Outcome::Accepted,
    },
    Case {
        name: "of version 1, issued by an authority",
        make: |folder| issued(&Recipe::new("localhost").version1(), folder),
        host: "localhost",
        outcome: Outcome::Accepted,
    },
    Case {
        name: "marked as an authority, issued by another",
        make: |folder| issued(&Recipe::new("localhost").authority(true), folder),
        host: "localhost",
        outcome: Outcome::Accepted,
    },
    Case {
        name: "issued by an authority, expired",
        make: |folder| issued(&Recipe::new("localhost").expired(), folder),
        host: "localhost",
        outcome: Outcome::Refused(&["it has expired"], "fingerprint"),
    },
    Case {
        name: "issued by somebody of the same name as the authority",
        make: |folder| {
            let made = issued(&Recipe::new("localhost"), &folder.join("a"))?;
            let other = issued(&Recipe::new("localhost"), &folder.join("b"))?;
            Ok(Made {
                identity: made.identity,
                trusted: other.trusted,
            })
        },
        host: "localhost",
        outcome: Outcome::Refused(&["it is not trusted"], "fingerprint"),
    },
    Case {
        name: "of version 1, issued by somebody of the same name as the authority",
        make: |folder| {
            let made = issued(&Recipe::new("localhost").version1(), &folder.join("a"))?;
            let other = issued(&Recipe::new("localhost"), &folder.join("b"))?;
            Ok(Made {
                identity: made.identity,
                trusted: other.trusted,
            })
        },
        host: "localhost",
        outcome: Outcome::Refused(&["it is not trusted"], "fingerprint"),
    },
];

/// Who speaks TLS.
#[derive(Clone, Copy)]
enum Channel {
    /// The server itself.
    Own,
    /// A terminator before a plain one.
    Before(Versions),
}

async fn case_on_channel(case: Case, server: Server, channel: Channel) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let made = (case.make)(folder.path())?;
    let (program, terminator) = match channel {
        Channel::Own => (start_encrypted(&server, &WORKING, &made.identity)?, None),
        Channel::Before(versions) => {
            let program = start_program(&server, &WORKING)?;
            let terminator = Terminator::start(program.port(), &made.identity, versions).await?;
            (program, Some(terminator))
        }
    };
    let port = terminator.as_ref().map_or(program.port(), Terminator::port);
    let target = target(case.host, port);
    let by_file = json!({"caFile": made.trusted});
    let editor = Editor::start(Path::new(ADAPTER)).await?;
    match case.outcome {
        Outcome::Accepted => accepted(&editor, &target, &by_file).await?,
        Outcome::Refused(says, field) => {
            let said = refused(&editor, &target, &by_file, says).await?;
            ensure!(said.contains(&made.identity.fingerprint()), "{said}");
            ensure!(secrets(terminator.as_ref()) == 0, "the secret was sent");
            let line = line(&said)?;
            ensure!(line.get(field).is_some(), "{field} is not in {line}");
            accepted(&editor, &target, &line).await?;
        }
    }
    editor.disconnect().await?;
    ticks(&program)
}

fn run(arguments: &[&str], variables: &[(&str, &Path)]) -> Result<Output> {
    Ok(Command::new(ADAPTER)
        .args(arguments)
        .env_remove("PTVSD_SECRET")
        .env_remove("SSL_CERT_DIR")
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .output()?)
}

/// What a command printed, both streams; it has ended as expected, and the
/// secret is not in it.
fn printed(output: &Output, success: bool, says: &[&str]) -> Result<String> {
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() == success, "{text}");
    ensure!(!text.contains(SECRET), "{text}");
    for part in says {
        ensure!(text.contains(part), "no {part:?} in: {text}");
    }
    Ok(text)
}

async fn commands(server: Server) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let identity = document(folder.path(), "localhost")?;
    let file = identity.certificate.to_str().context("a path")?;
    let own = start_encrypted(&server, &WORKING, &identity)?;
    let plain = start_program(&server, &WORKING)?;
    let terminator = Terminator::start(plain.port(), &identity, Versions::Only13).await?;
    let dialect = format!("dialect   {}", server.release.dialect());
    for (program, port, version) in [
        (&own, own.port(), "TLSv1 "),
        (&plain, terminator.port(), "TLSv1.3 "),
    ] {
        let target = target("localhost", port);
        let target = target.as_str();

        // Not believed: nothing is said but that.
        let output = run(&["list", target], &[])?;
        let said = printed(&output, false, &["self-signed", "The secret was not sent"])?;
        let (_, flags) = said.rsplit_once("accept it: ").context("no flags")?;
        let flags: Vec<&str> = flags.split_whitespace().collect();
        let output = run(&["doctor", target], &[])?;
        let text = printed(
            &output,
            false,
            &[
                "NOT OK  TLS",
                "self-signed",
                &identity.fingerprint(),
                "accept it: --fingerprint",
                &format!("ok      {dialect}"),
                "-       secret    not sent",
                "-       attach    not reached",
            ],
        )?;
        ensure!(text.matches("NOT OK").count() == 1, "{text}");
        printed(&run(&["rescue", target], &[])?, false, &["self-signed"])?;
        ensure!(port != terminator.port() || secrets(Some(&terminator)) == 0);

        // Believed: by the flags that were named, by the file, by the system.
        let pid = program.pid().to_string();
        printed(
            &run(&[&["list", target], &flags[..]].concat(), &[])?,
            true,
            &[&pid],
        )?;
        let by_file = ["list", target, "--ca-file", file];
        printed(&run(&by_file, &[])?, true, &[&pid])?;
        let by_system = [("SSL_CERT_FILE", identity.certificate.as_path())];
        printed(&run(&["list", target], &by_system)?, true, &[&pid])?;
        let output = run(&["doctor", target], &by_system)?;
        let says = [
            version,
            "trusted by this system",
            "ok      secret",
            "not tried",
        ];
        printed(&output, true, &says)?;
        let output = run(&["doctor", target, "--ca-file", file, "--attach"], &[])?;
        let says = [version, "trusted by the given file", "ok      attach"];
        printed(&output, true, &says)?;
        let output = run(&["rescue", target, "--ca-file", file], &[])?;
        let is_last = server.release.dialect() == 8;
        let says = if is_last { "no way in" } else { "No debugger" };
        printed(&output, !is_last, &[says])?;
        ticks(program)?;

        // What cannot be read is named.
        let absent = ["list", target, "--ca-file", "/nowhere/cert.cer"];
        printed(&run(&absent, &[])?, false, &["/nowhere/cert.cer"])?;
        let key = identity.key.to_str().context("a path")?;
        let no_certificate = ["list", target, "--ca-file", key];
        printed(
            &run(&no_certificate, &[])?,
            false,
            &["holds no certificate"],
        )?;
        printed(&run(&by_file, &[])?, true, &[&pid])?;
    }
    Ok(())
}

/// Plain text to TLS and TLS to plain text: told apart, in time, and the
/// server takes its next client.
async fn crossed(server: Server) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let identity = document(folder.path(), "localhost")?;
    let encrypted = start_encrypted(&server, &WORKING, &identity)?;
    let plain = start_program(&server, &WORKING)?;
    let terminator = Terminator::start(plain.port(), &identity, Versions::Only13).await?;
    let by_file = json!({"caFile": identity.certificate});
    let editor = Editor::start(Path::new(ADAPTER)).await?;
    for _ in 0..3 {
        for port in [encrypted.port(), terminator.port()] {
            let target = format!("tcp://{SECRET}@localhost:{port}");
            refused(
                &editor,
                &target,
                &json!({}),
                &["answered with TLS", "tcps://"],
            )
            .await?;
        }
        let target = target("localhost", plain.port());
        refused(
            &editor,
            &target,
            &by_file,
            &["without TLS", "tcp://", "ssh -L"],
        )
        .await?;
    }
    for (target, tls) in [
        (target("localhost", encrypted.port()), &by_file),
        (target("localhost", terminator.port()), &by_file),
    ] {
        let editor = Editor::start(Path::new(ADAPTER)).await?;
        accepted(&editor, &target, tls).await?;
        editor.disconnect().await?;
    }
    let target = format!("tcp://{SECRET}@localhost:{}", plain.port());
    accepted(&editor, &target, &by_file).await?;
    console(&editor, "`tls` has no effect").await?;
    editor.disconnect().await?;
    rests(&plain)?;
    rests(&encrypted)
}

/// `minVersion`, and what is said of the version that was agreed.
async fn versions(server: Server) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let identity = document(folder.path(), "localhost")?;
    let program = start_encrypted(&server, &WORKING, &identity)?;
    let own = target("localhost", program.port());
    let at_least = json!({"caFile": identity.certificate, "minVersion": "1.2"});
    let editor = Editor::start(Path::new(ADAPTER)).await?;
    let says = ["TLS 1.0 only", "minVersion", "terminator"];
    refused(&editor, &own, &at_least, &says).await?;
    accepted(&editor, &own, &json!({"caFile": identity.certificate})).await?;
    let said = console(&editor, "Attached").await?;
    for part in ["TLSv1 (", &identity.fingerprint(), "minVersion"] {
        ensure!(said.contains(part), "no {part:?} in: {said}");
    }
    editor.disconnect().await?;
    ticks(&program)?;

    let plain = start_program(&server, &WORKING)?;
    for (versions, version) in [
        (Versions::Only12, "TLSv1.2 ("),
        (Versions::Only13, "TLSv1.3 ("),
        (Versions::Any, "TLSv1.3 ("),
    ] {
        let terminator = Terminator::start(plain.port(), &identity, versions).await?;
        let target = target("localhost", terminator.port());
        let editor = Editor::start(Path::new(ADAPTER)).await?;
        accepted(&editor, &target, &at_least).await?;
        let said = console(&editor, "Attached").await?;
        ensure!(said.contains(version), "no {version} in: {said}");
        ensure!(!said.contains("minVersion"), "{said}");
        editor.disconnect().await?;
    }
    ticks(&plain)
}

/// Possible, and never without a warning.
async fn not_verified(server: Server) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let identity = Recipe::new("myvm").expired().self_signed(folder.path())?;
    let program = start_encrypted(&server, &WORKING, &identity)?;
    let target = target("localhost", program.port());
    for _ in 0..2 {
        let editor = Editor::start(Path::new(ADAPTER)).await?;
        accepted(&editor, &target, &json!({"verify": false})).await?;
        let said = console(&editor, "Attached").await?;
        for part in [
            "not verified: ",
            "expired",
            "name does not match",
            "WARNING",
            &format!(
                "\"tls\": {{\"fingerprint\":\"{}\"}}",
                identity.fingerprint()
            ),
        ] {
            ensure!(said.contains(part), "no {part:?} in: {said}");
        }
        editor.disconnect().await?;
    }
    ticks(&program)
}

/// The agent's dead-man works through TLS as well: a killed adapter leaves no
/// program stopped.
async fn dies(server: Server) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let identity = document(folder.path(), "localhost")?;
    let program = start_encrypted(&server, &WORKING, &identity)?;
    let tls = json!({"caFile": identity.certificate});
    let target = target("localhost", program.port());
    let copy = LocalCopy::of(&WORKING)?;
    for _ in 0..3 {
        let mut editor = Editor::start(Path::new(ADAPTER)).await?;
        editor
            .attach_with(&program, json!({"target": target, "tls": tls}))
            .await?;
        editor
            .set_breakpoints(&copy.path(), &[WORKING.line("call")])
            .await?;
        editor.configured().await?;
        editor.stopped("breakpoint").await?;
        editor.kill().await?;
        ticks(&program)?;
        rests(&program)?;
    }
    let editor = Editor::start(Path::new(ADAPTER)).await?;
    accepted(&editor, &target, &tls).await?;
    editor.disconnect().await?;
    ticks(&program)
}

/// A far end that is gone and does not say so: the agent misses its debugger
/// through TLS as well, with the program stopped.
async fn falls_silent(server: Server) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let identity = document(folder.path(), "localhost")?;
    let program = start_encrypted(&server, &WORKING, &identity)?;
    let tls = json!({"caFile": identity.certificate});
    let copy = LocalCopy::of(&WORKING)?;
    let link = FaultProxy::start((LOOPBACK, program.port()).into()).await?;
    let editor = Editor::start(Path::new(ADAPTER)).await?;
    let over_link = target("localhost", link.port());
    editor
        .attach_with(&program, json!({"target": over_link, "tls": tls}))
        .await?;
    editor
        .set_breakpoints(&copy.path(), &[WORKING.line("call")])
        .await?;
    editor.configured().await?;
    editor.stopped("breakpoint").await?;
    link.die(Death::Silence);
    ticks(&program)?;
    rests(&program)?;

    let editor = Editor::start(Path::new(ADAPTER)).await?;
    accepted(&editor, &target("localhost", program.port()), &tls).await?;
    editor.disconnect().await?;
    ticks(&program)
}

/// The legacy client's own target, with the document's certificate.
fn client_target(program: &Program, identity: &Identity) -> Result<Target> {
    let mut target: Target = target("localhost", program.port()).parse()?;
    target.tls.ca_file = Some(identity.certificate.clone());
    Ok(target)
}

async fn many_attaches(server: Server, attaches: usize) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let identity = document(folder.path(), "localhost")?;
    let program = start_encrypted(&server, &WORKING, &identity)?;
    let target = client_target(&program, &identity)?;
    for attach in 0..attaches {
        let session = ClientSession::attach_at(&target, true).await;
        let session = session.with_context(|| format!("after {attach}"))?;
        session
            .detach()
            .await
            .with_context(|| format!("after {attach}"))?;
    }
    ticks(&program)?;
    rests(&program)
}

/// By a visit, where the dialect needs one: a second channel.
async fn gets_in(server: Server) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let identity = document(folder.path(), "localhost")?;
    let program = start_encrypted(&server, &ASKING, &identity)?;
    program.wait_for_line("ready", PRINT_LIMIT)?;
    let target = client_target(&program, &identity)?;
    for _ in 0..3 {
        let session = ClientSession::attach_at(&target, true).await?;
        session.detach().await?;
    }
    program.write_stdin("first\n")?;
    program.wait_for_line("got first", PRINT_LIMIT)?;
    Ok(())
}

/// Eight busy threads, resumed or stepped as soon as one has stopped.
async fn busy_stops(server: Server, stops: usize) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let identity = document(folder.path(), "localhost")?;
    let program = start_encrypted(&server, &BUSY, &identity)?;
    program.wait_for_line("counts", PRINT_LIMIT)?;
    let target = client_target(&program, &identity)?;
    let mut session = ClientSession::attach_at(&target, true).await?;
    let (hit, _) = session.breakpoint(program.script(), BUSY.line("hit")).await;
    for stop in 0..stops {
        let (thread, _) = session
            .stopped()
            .await
            .with_context(|| format!("after {stop} stops"))?;
        if stop % 5 == 0 {
            session.step(thread, StepKind::Over).await?;
        } else {
            session.go_on(thread).await?;
        }
    }
    session.debuggee.remove_breakpoint(hit);
    while let Some((thread, _)) = session.stopped_within(CALM).await? {
        session.go_on(thread).await?;
    }
    all_move(&program).context("still attached")?;
    session.detach().await?;
    all_move(&program).context("detached")
}
