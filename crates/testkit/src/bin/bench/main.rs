//! `cargo xtask bench`: what the adapter costs.
//!
//! The same steps, evaluations and expansions of a list of a thousand, on real
//! servers, in turn, round by round: by the raw client with no adapter between,
//! by the same behind pipes, and through the adapter, in plain text and over
//! TLS, each on the bare server and on one with the agent in it; and by a naive
//! client. What matters is the ratios, which are taken within each round.
//! Writes a page, and fails when a target is missed.

#![allow(clippy::print_stdout, reason = "a command for people at a terminal")]

mod contenders;
mod hosts;
mod lean_editor;
mod page;
mod processors;
mod raw_session;
mod relay;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use testkit::matrix::Matrix;

use crate::contenders::Contender;
use crate::hosts::Hosts;
use crate::page::Results;
use crate::processors::Processors;

/// Many and short: each process is a little faster or slower than the last, for
/// as long as it runs.
const ROUNDS: usize = 48;
/// Those whose ratios are far from their targets are in every so-many-th round:
/// over TLS and by the naive client, a round takes long.
const SELDOM: usize = 6;
/// Of each kind, in a round of a contender.
const STEPS: usize = 30;
const EVALUATIONS: usize = 30;
const EXPANSIONS: usize = 3;
/// The same of the naive client, which would take most of the time.
const NAIVE: (usize, usize, usize) = (20, 10, 3);
/// On which servers.
const SERVERS: [(&str, u32, u32); 4] = [
    ("2.0.0", 3, 6),
    ("2.2.0", 2, 7),
    ("3.2.1", 3, 6),
    ("3.2.1", 3, 11),
];

/// How long each thing took.
#[derive(Debug, Clone, Default)]
struct Times {
    step: Vec<Duration>,
    evaluate: Vec<Duration>,
    expand: Vec<Duration>,
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1).peekable();
    if arguments.next_if_eq(relay::ARGUMENT).is_some() {
        return relay::run(&arguments.collect::<Vec<_>>());
    }
    let adapter = adapter()?;
    let file = arguments.next().context("usage: bench PAGE [SERVER]")?;
    let only = arguments.next().unwrap_or_default();
    let matrix = Matrix::of_this_machine();
    let processors = Processors::choose();
    let mut page = page::Page::new(processors);
    for (version, major, minor) in SERVERS {
        let Some(server) = matrix.server(version, major, minor) else {
            println!("NOT RUN: ptvsd {version}: there is no CPython {major}.{minor}");
            continue;
        };
        if !server.to_string().contains(&only) {
            continue;
        }
        let mut results = Results::default();
        if let Some(processors) = processors {
            processors.start_programs()?;
        }
        let hosts = Hosts::start(&server)?;
        if let Some(processors) = processors {
            processors.start_editors()?;
        }
        if let Err(why) = &hosts.encrypted {
            println!("NOT RUN: {server} over TLS: {why}");
            results.leave_out(format!("over TLS: {why}"));
        }
        for round in 0..ROUNDS {
            for contender in Contender::of_round(round) {
                let times = contender
                    .run(&hosts, &adapter)
                    .with_context(|| format!("{server}, round {round}, {contender}"))?;
                if let Some(times) = times {
                    results.add(contender, round, times);
                }
            }
            if round.is_multiple_of(SELDOM) {
                println!("{server}: round {round} of {ROUNDS}");
            }
        }
        print!("{}", page.add(&server.to_string(), &results));
        std::fs::write(&file, page.text()).with_context(|| format!("writing {file}"))?;
    }
    println!("written to {file}");
    if !page.missed().is_empty() {
        bail!("missed: {}", page.missed().join("; "));
    }
    Ok(())
}

/// The adapter that was built beside this program.
fn adapter() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let folder = own.parent().context("this program is in no folder")?;
    let adapter = folder.join(format!("ptvsd-bridge{}", std::env::consts::EXE_SUFFIX));
    if !Path::new(&adapter).exists() {
        bail!("there is no {}: build it first", adapter.display());
    }
    Ok(adapter)
}
