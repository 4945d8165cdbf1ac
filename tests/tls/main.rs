//! TLS: real servers that speak 1.0, and the same behind a terminator that
//! speaks 1.3 or 1.2. Whom to trust decides the same everywhere; the secret
//! goes to nobody else; and every refusal names the line that would accept.

mod channels;
mod commands;
mod endurance;
mod setup;
mod table;

use std::process::ExitCode;

use anyhow::Result;
use libtest_mimic::Arguments;
use testkit::certificates::{NoOpenssl, document};
use testkit::harness::trial;
use testkit::matrix::{Matrix, Server};
use testkit::terminator::Versions;

use crate::setup::able;
use crate::table::{CASES, Channel};

/// The releases of which each is tried, on CPython 2.7 and 3.6.
const RELEASES: [&str; 5] = ["2.0.0", "2.2.0", "3.0.0", "3.1.0", "3.2.1"];
/// Those that stand for their kind.
const FEW: [(&str, u32, u32); 2] = [("2.2.0", 2, 7), ("3.2.1", 3, 6)];
/// Those where reads and writes meet in other ways.
const MANY: [(&str, u32, u32); 3] = [("2.2.0", 2, 7), ("3.0.0", 3, 6), ("3.2.1", 3, 6)];

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
            move || channels::refusals_then_sessions(server)
        }));
        let name = format!("the other kind of channel: {server}");
        trials.push(trial(name, move || channels::crossed(server)));
    }
    for (major, minor) in [(2, 7), (3, 6)] {
        for release in RELEASES {
            let Some(server) = able(&matrix, release, major, minor) else {
                continue;
            };
            let name = format!("refusals, then sessions: {server}");
            trials.push(trial(name, {
                let server = server.clone();
                move || channels::refusals_then_sessions(server)
            }));
            let name = format!("behind TLS 1.3: {server}");
            trials.push(trial(name, move || channels::behind_a_terminator(server)));
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
                table::case_on_channel(case, server, Channel::Own)
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
                trials.push(trial(name, move || {
                    table::case_on_channel(case, server, channel)
                }));
            }
        }
        let mut add = |name: &str, test: fn(Server) -> TestResult| {
            let server = server.clone();
            trials.push(trial(format!("{name}: {server}"), move || test(server)));
        };
        add("list, doctor and rescue", |server| {
            Box::pin(commands::run_all(server))
        });
        add("the other kind of channel", |server| {
            Box::pin(channels::crossed(server))
        });
        add("versions", |server| Box::pin(channels::versions(server)));
        add("not verified", |server| {
            Box::pin(channels::not_verified(server))
        });
        add("the debugger dies", |server| {
            Box::pin(endurance::dies(server))
        });
        add("the link falls silent", |server| {
            Box::pin(endurance::falls_silent(server))
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
                move || endurance::many_attaches(server, attaches)
            }));
            let name = format!("the agent gets into a program that runs no line: {server}");
            trials.push(trial(name, {
                let server = server.clone();
                move || endurance::gets_in(server)
            }));
            let name = format!("{stops} busy stops: {server}");
            trials.push(trial(name, move || endurance::busy_stops(server, stops)));
        }
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

type TestResult = std::pin::Pin<Box<dyn Future<Output = Result<()>>>>;
