//! What the agent does for a program, seen from the program: threads that are
//! never lost, children that are left alone, attaching again and again, and
//! nothing left behind.

use std::fmt;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use legacy_host::{Implementation, Program, Release};
use libtest_mimic::Arguments;
use ptvsd_client::{StepKind, StopReason};
use ptvsd_wire::{BreakpointCondition, Command, Event};
use testkit::client_session::ClientSession;
use testkit::editor::{SECRET, start_program};
use testkit::harness::trial;
use testkit::matrix::{Matrix, Server};
use testkit::programs::{
    ASKING, BUSY, BUSY_WIDE, FORKING, LOADING, PRINT_LIMIT, SHADOWING, Source, WORKING, all_move,
};
use testkit::raw_client::Handshake;
use tokio::time::timeout;

/// No stop for this long: there are none under way.
const CALM: Duration = Duration::from_secs(1);
/// How long a client that resumes at once may take to lose threads; it takes
/// seconds.
const WITNESS_LIMIT: Duration = Duration::from_secs(90);
/// How many stops can be under way at a time: a hit in each of eight threads,
/// and the end of a step.
const UNDER_WAY: usize = 9;

/// How much of each, in the ordinary run and in the full one.
#[derive(Debug, Clone, Copy)]
struct Amounts {
    stops: usize,
    stops_without_agent: usize,
    attaches: usize,
    forks: usize,
}

const ORDINARY: Amounts = Amounts {
    stops: 200,
    stops_without_agent: 30,
    attaches: 100,
    forks: 30,
};

const FULL: Amounts = Amounts {
    stops: 1000,
    stops_without_agent: 200,
    attaches: 1000,
    forks: 150,
};

fn main() -> ExitCode {
    let matrix = Matrix::of_this_machine();
    let amounts_for = |server: &Server| match (matrix.is_full(), is_like_another(server)) {
        (true, false) => FULL,
        _ => ORDINARY,
    };
    let mut trials = Vec::new();
    for server in matrix.servers() {
        if !matrix.is_full() && is_like_another(&server) {
            continue;
        }
        if server.python.implementation == Implementation::Jython {
            eprintln!(
                "NOT POSSIBLE: the agent on {server}: it stays out (protocol-notes/agent.md)"
            );
            continue;
        }
        let amounts = amounts_for(&server);
        if sees_no_threads(&server) {
            eprintln!("NOT POSSIBLE: threads on {server}: the server does not see them");
        } else {
            for (program, kind) in [(&BUSY, ""), (&BUSY_WIDE, ", wide races")] {
                let name = format!("{} busy stops{kind}: {server}", amounts.stops);
                let server = server.clone();
                trials.push(trial(name, move || {
                    busy_threads(server, program, true, amounts.stops)
                }));
            }
        }
        for (program, kind) in [
            (&ASKING, "a program that runs no line"),
            (&SHADOWING, "a program with other built-in functions"),
        ] {
            let name = format!("the agent gets into {kind}: {server}");
            let server = server.clone();
            trials.push(trial(name, move || gets_in(server, program)));
        }
        let name = format!("nothing is left after a detach: {server}");
        trials.push(trial(name, {
            let server = server.clone();
            move || nothing_left(server)
        }));
        let name = format!("{} forks: {server}", amounts.forks);
        trials.push(trial(name, {
            let server = server.clone();
            move || forks(server, amounts.forks)
        }));
        let name = format!("{} attaches: {server}", amounts.attaches);
        trials.push(trial(name, move || attaches(server, amounts.attaches)));
    }
    for server in matrix.few_servers() {
        if !sees_no_threads(&server) {
            for tables in [Tables::OfLines, Tables::OfPending] {
                let name = format!("breakpoints come and go, {tables}: {server}");
                let server = server.clone();
                trials.push(trial(name, move || come_and_go(server, tables)));
            }
            let stops = amounts_for(&server).stops_without_agent;
            let name = format!("{stops} busy stops, wide races, no agent: {server}");
            let server = server.clone();
            trials.push(trial(name, move || {
                busy_threads(server, &BUSY_WIDE, false, stops)
            }));
        }
    }
    for (version, major, minor) in [("2.2.0", 3, 6), ("3.2.1", 3, 6)] {
        if let Some(server) = matrix.server(version, major, minor) {
            for tables in [Tables::OfLines, Tables::OfPending] {
                let name = format!("{tables} that change without the agent end threads: {server}");
                let server = server.clone();
                trials.push(trial(name, move || ends_threads(server, tables)));
            }
            let name = format!("who resumes at once without the agent loses threads: {server}");
            trials.push(trial(name, move || raw_loses_threads(server)));
        }
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// All releases are tried with the oldest Pythons, and the last release with
/// newer ones. What else there is has the same servers and the same
/// `threading`: it is left to the full run, and there gets the ordinary amounts.
fn is_like_another(server: &Server) -> bool {
    server.python.version >= (3, 7, 0) && Some(server.release) != Release::of_version("3.2.1")
}

/// Their `threading` does not start threads where the servers look.
fn sees_no_threads(server: &Server) -> bool {
    server.python.implementation == Implementation::Jython || server.python.version >= (3, 13, 0)
}

/// Stops eight busy threads, by a plain breakpoint and by one with a condition,
/// and runs on from each stop at once, now and then by a step.
async fn busy_threads(server: Server, source: &Source, agent: bool, stops: usize) -> Result<()> {
    let program = Arc::new(start_program(&server, source)?);
    program.wait_for_line("counts", PRINT_LIMIT)?;
    let mut session = ClientSession::attach(program.port(), agent).await?;
    let file = program.script().to_owned();
    let (plain, _) = session.breakpoint(&file, source.line("hit")).await;
    let condition = "index == 5 and counts[index] % 7 == 0";
    let (conditional, _) = session
        .breakpoint_if(
            &file,
            source.line("count"),
            BreakpointCondition::WhenTrue(condition.into()),
        )
        .await;
    let mut seen = (0, 0, 0);
    let mut last = None;
    for stop in 0..stops {
        let (thread, reason) = session
            .stopped()
            .await
            .with_context(|| format!("after {stop} stops"))?;
        match reason {
            StopReason::Breakpoint(id) if id == plain => seen.0 += 1,
            StopReason::Breakpoint(id) if id == conditional => seen.1 += 1,
            StopReason::Step => seen.2 += 1,
            other => bail!("stopped for {other:?}"),
        }
        if stop + 1 == stops {
            last = Some(thread);
        } else if stop % 5 == 0 {
            let kind = match stop / 5 % 3 {
                0 => StepKind::Over,
                1 => StepKind::Into,
                _ => StepKind::Out,
            };
            session.step(thread, kind).await?;
        } else {
            session.go_on(thread).await?;
        }
    }
    // Where a stop takes long, all eight threads run into breakpoints meanwhile.
    // One of them is told of first: seldom the one that steps, and the one with
    // the condition once in eight times.
    let all_kinds = seen.1 > 0 && seen.2 > 0;
    ensure!(
        seen.0 > 0 && (all_kinds || source.name != BUSY.name),
        "plain, conditional, steps: {seen:?}"
    );
    let is_under_way = |reason: &StopReason| match reason {
        StopReason::Breakpoint(id) => *id == plain || *id == conditional,
        StopReason::Step => true,
        _ => false,
    };
    // A thread that evaluates a condition while its breakpoint goes would end
    // with an exception (protocol-notes/traps.md, 45): not before all stand.
    while let Some((thread, reason)) = session.stopped_within(CALM).await? {
        ensure!(is_under_way(&reason), "stopped for {reason:?}");
        last = Some(thread);
    }
    session.debuggee.remove_breakpoint(plain);
    session.debuggee.remove_breakpoint(conditional);
    if let Some(thread) = last {
        session.go_on(thread).await?;
    }
    still_move(&program, &mut session, is_under_way).await?;
    session.detach().await?;
    all_move(&program).context("detached")
}

/// Every thread gets on while the debugger stays, and breakpoints are gone.
///
/// Stops that were `under_way` when they went are resumed, also when they come
/// late: a thread that has found its breakpoint tells the frames of all the
/// others before it reports the hit. Where many threads share a busy machine
/// that takes seconds, in which they run: no silence is long enough to tell
/// that no stop will come.
async fn still_move(
    program: &Arc<Program>,
    session: &mut ClientSession,
    is_under_way: impl Fn(&StopReason) -> bool,
) -> Result<()> {
    while let Some((thread, reason)) = session.stopped_within(CALM).await? {
        ensure!(is_under_way(&reason), "stopped for {reason:?}");
        session.go_on(thread).await?;
    }
    let mut moving = tokio::task::spawn_blocking({
        let program = Arc::clone(program);
        move || all_move(&program)
    });
    let mut late = 0;
    loop {
        let stop = tokio::select! {
            moved = &mut moving => return moved?.context("still attached"),
            stop = session.stopped_within(CALM) => stop?,
        };
        let Some((thread, reason)) = stop else {
            continue;
        };
        ensure!(is_under_way(&reason), "stopped for {reason:?}");
        late += 1;
        ensure!(late <= UNDER_WAY, "{late} stops without a breakpoint");
        eprintln!("a stop {late} of {UNDER_WAY} that came late: {reason:?}");
        session.go_on(thread).await?;
    }
}

/// What of the servers' changes while threads of the program walk through it
/// (protocol-notes/traps.md, 45).
#[derive(Debug, Clone, Copy)]
enum Tables {
    /// The breakpoints of a line, through which each thread goes that runs it.
    OfLines,
    /// The pending ones, through which each thread goes that loads a module.
    OfPending,
}

impl Tables {
    /// A program that walks through them all the time.
    fn source(self) -> &'static Source {
        match self {
            Tables::OfLines => &BUSY,
            Tables::OfPending => &LOADING,
        }
    }
}

impl fmt::Display for Tables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Tables::OfLines => "tables of lines",
            Tables::OfPending => "tables of what is pending",
        })
    }
}

/// How often breakpoints come and go; without the agent, the first threads end
/// at the third to fifth time.
const CHANGES: usize = 60;

/// What Python says of it.
const CHANGED: &str = "changed size during iteration";
/// For the threads to run meanwhile.
const BETWEEN_CHANGES: Duration = Duration::from_millis(20);

/// Sets breakpoints and takes them away while all threads run.
async fn change_tables(
    program: &Program,
    session: &mut ClientSession,
    tables: Tables,
) -> Result<()> {
    let never = || BreakpointCondition::WhenTrue("index < 0".into());
    let file = program.script();
    match tables {
        Tables::OfLines => {
            let line = BUSY.line("count");
            session.breakpoint_if(file, line, never()).await;
            for _ in 0..CHANGES {
                let (id, _) = session.breakpoint_if(file, line, never()).await;
                session.listen_for(BETWEEN_CHANGES).await?;
                session.debuggee.remove_breakpoint(id);
                session.listen_for(BETWEEN_CHANGES).await?;
            }
        }
        Tables::OfPending => {
            for change in 0..CHANGES * 4 {
                let nowhere = file.with_file_name(format!("nowhere_{change}.py"));
                session.breakpoint(&nowhere, 1).await;
                session.listen_for(BETWEEN_CHANGES).await?;
            }
        }
    }
    Ok(())
}

async fn come_and_go(server: Server, tables: Tables) -> Result<()> {
    let program = Arc::new(start_program(&server, tables.source())?);
    program.wait_for_line("counts", PRINT_LIMIT)?;
    let mut session = ClientSession::attach(program.port(), true).await?;
    change_tables(&program, &mut session, tables).await?;
    still_move(&program, &mut session, |_| false).await?;
    session.detach().await?;
    all_move(&program).context("detached")?;
    let raised = program.stderr_lines().join("\n");
    ensure!(!raised.contains("Error"), "{raised}");
    Ok(())
}

/// The witness that it matters.
async fn ends_threads(server: Server, tables: Tables) -> Result<()> {
    let program = start_program(&server, tables.source())?;
    program.wait_for_line("counts", PRINT_LIMIT)?;
    let mut session = ClientSession::attach(program.port(), false).await?;
    change_tables(&program, &mut session, tables).await?;
    let raised = program.stderr_lines().join("\n");
    ensure!(raised.contains(CHANGED), "{raised}");
    Ok(())
}

/// The witness that the moments are wide: a client that resumes as soon as it
/// hears of a stop loses threads in them, for as long as it stays.
async fn raw_loses_threads(server: Server) -> Result<()> {
    let program = start_program(&server, &BUSY_WIDE)?;
    program.wait_for_line("counts", PRINT_LIMIT)?;
    let mut client = Handshake::begin(program.port(), SECRET)?.attach("")?;
    client.send(&Command::SetBreakpoint(
        testkit::client_session::breakpoint(
            program.script(),
            BUSY_WIDE.line("hit"),
            BreakpointCondition::Always,
        ),
    ))?;
    let until = Instant::now() + WITNESS_LIMIT;
    while Instant::now() < until {
        match client.next_event(CALM) {
            Ok(Event::BreakpointHit { .. }) => {
                client.send(&Command::ResumeAll)?;
            }
            Ok(_) => {}
            // Either nobody is left who runs into the breakpoint, or the
            // machine is busy.
            Err(_) if all_move(&program).is_err() => return Ok(()),
            Err(_) => {}
        }
    }
    bail!("the races are not wide enough: every thread moves")
}

/// The agent is there at once, again and again, whatever the program does.
async fn gets_in(server: Server, source: &Source) -> Result<()> {
    let program = start_program(&server, source)?;
    if source.name == ASKING.name {
        program.wait_for_line("ready", PRINT_LIMIT)?;
    } else {
        program.wait_for_line("tick", PRINT_LIMIT)?;
    }
    for _ in 0..5 {
        ClientSession::attach(program.port(), true)
            .await?
            .detach()
            .await?;
    }
    ensure!(program.is_running(), "{:?}", program.stderr_lines());
    Ok(())
}

/// Nothing of the agent is in a process that it was taken out of.
async fn nothing_left(server: Server) -> Result<()> {
    let program = start_program(&server, &WORKING)?;
    for _ in 0..3 {
        let mut session = ClientSession::attach(program.port(), true).await?;
        let file = program.script().to_owned();
        let (id, _) = session.breakpoint(&file, WORKING.line("call")).await;
        let thread = session.stopped_at(id).await?;
        let local = session
            .evaluate(
                thread,
                "[total_of + number for total_of in [0]] == [number]",
            )
            .await
            .context("a comprehension that uses a local variable")?;
        ensure!(local == "True", "{local}");
        session.step(thread, StepKind::Over).await?;
        session.stopped().await?;
        session.detach().await?;
    }
    let mut session = ClientSession::attach(program.port(), false).await?;
    let file = program.script().to_owned();
    let (id, _) = session.breakpoint(&file, WORKING.line("call")).await;
    let thread = session.stopped_at(id).await?;
    let name = format!("{:?}", debuggee_agent::OWN_FILE);
    let looks = [
        // No function, and no frame that runs one.
        (
            format!(
                "[o for o in __import__('gc').collect() >= 0 and __import__('gc').get_objects() \
                 if type(o).__name__ == 'function' and o.__code__.co_filename == {name}]"
            ),
            "[]",
        ),
        (
            format!(
                "[f for f in __import__('sys')._current_frames().values() \
                 if f.f_code.co_filename == {name}]"
            ),
            "[]",
        ),
        // No name in any module.
        (
            "[m for m in list(__import__('sys').modules.values()) \
             if [n for n in getattr(m, '__dict__', {}) if 'ptvsd_bridge' in str(n)]]"
                .to_owned(),
            "[]",
        ),
        (
            "type(__import__('os').fork).__name__".to_owned(),
            "'builtin_function_or_method'",
        ),
    ];
    for (expression, expected) in looks {
        let value = session.evaluate(thread, &expression).await?;
        ensure!(value == expected, "{expression} gives {value}");
    }
    session.detach().await
}

/// A program that forks all the time, with breakpoints in the parent's code
/// and in the child's.
async fn forks(server: Server, children: usize) -> Result<()> {
    let program = start_program(&server, &FORKING)?;
    program.wait_for_line("ended", PRINT_LIMIT)?;
    let mut session = ClientSession::attach(program.port(), true).await?;
    let file = program.script().to_owned();
    let (in_parent, _) = session.breakpoint(&file, FORKING.line("parent")).await;
    session.breakpoint(&file, FORKING.line("child")).await;
    let socket = sockets_to(program.port())?;
    let mark = program.mark();
    for child in 0..children {
        let (thread, reason) = session
            .stopped()
            .await
            .with_context(|| format!("after {child} children"))?;
        ensure!(
            reason == StopReason::Breakpoint(in_parent),
            "a stop that is not the parent's: {reason:?}"
        );
        session.go_on(thread).await?;
    }
    let sleeper = program.wait_for_line_since(mark, "sleeper", PRINT_LIMIT)?;
    let sleeper = sleeper
        .rsplit(' ')
        .next()
        .context("no number")?
        .parse::<u32>();
    if let (Ok(pid), true) = (sleeper, cfg!(target_os = "linux")) {
        let held = sockets_of(pid);
        ensure!(
            !socket.iter().any(|inode| held.contains(inode)),
            "a child of the program holds the session's socket"
        );
    }
    let lines = program.stdout_lines();
    ensure!(
        !lines.iter().any(|line| line.contains("BADLY")),
        "a child that hung or failed: {lines:#?}"
    );
    ensure!(
        lines.iter().any(|line| line.contains("foreign")),
        "no child ran: {lines:#?}"
    );
    ensure!(
        !session.printed.contains("foreign"),
        "what a child printed came as the program's output"
    );
    session.detach().await?;
    let mark = program.mark();
    program.wait_for_line_since(mark, "ended well", PRINT_LIMIT)?;
    Ok(())
}

/// The inodes of the program's ends of the connections to its server.
fn sockets_to(port: u16) -> Result<Vec<String>> {
    let Ok(table) = std::fs::read_to_string("/proc/net/tcp") else {
        return Ok(Vec::new());
    };
    let local = format!(":{port:04X}");
    const ESTABLISHED: &str = "01";
    Ok(table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|fields| {
            fields
                .get(1)
                .is_some_and(|address| address.ends_with(&local))
                && fields.get(3) == Some(&ESTABLISHED)
        })
        .filter_map(|fields| fields.get(9).map(ToString::to_string))
        .collect())
}

/// The inodes of the sockets that a process has open.
fn sockets_of(pid: u32) -> Vec<String> {
    std::fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| std::fs::read_link(entry.path()).ok())
        .filter_map(|target| {
            let target = target.to_string_lossy().into_owned();
            let inode = target.strip_prefix("socket:[")?.strip_suffix(']')?;
            Some(inode.to_owned())
        })
        .collect()
}

/// Attaches and detaches again and again: output comes once, the list of
/// modules stays as long as it is, and the time that an attach takes is told.
async fn attaches(server: Server, attaches: usize) -> Result<()> {
    let program = start_program(&server, &WORKING)?;
    let mut times = Vec::new();
    let mut modules = Vec::new();
    for attach in 0..attaches {
        let begun = Instant::now();
        let mut session = ClientSession::attach(program.port(), true)
            .await
            .with_context(|| format!("attach {attach}"))?;
        times.push(begun.elapsed());
        modules.push(session.modules);
        // Two lines: nothing between them may be lost or come twice.
        while session.printed.matches("tick").count() < 2 {
            timeout(PRINT_LIMIT, session.next())
                .await
                .with_context(|| format!("attach {attach}: {:?}", program.stderr_lines()))??;
        }
        ticks_come_once(&session.printed).with_context(|| format!("attach {attach}"))?;
        session.detach().await?;
    }
    let median = |times: &[Duration]| {
        let mut sorted = times.to_vec();
        sorted.sort();
        sorted.get(sorted.len() / 2).copied().unwrap_or_default()
    };
    let part = attaches / 5;
    eprintln!(
        "an attach on {server}: {:?} at first, {:?} after {attaches}",
        median(times.get(..part).unwrap_or_default()),
        median(times.get(attaches - part..).unwrap_or_default()),
    );
    // The first attach makes the server and the program load some themselves.
    let (early, last) = (modules.get(1), modules.last());
    ensure!(
        last <= early.map(|count| count + 2).as_ref(),
        "modules told at each attach: {modules:?}"
    );
    Ok(())
}

fn ticks_come_once(printed: &str) -> Result<()> {
    let numbers: Vec<u64> = printed
        .lines()
        .filter_map(|line| line.strip_prefix("tick ")?.parse().ok())
        .collect();
    let consecutive = numbers
        .iter()
        .zip(numbers.iter().skip(1))
        .all(|(one, next)| *next == one + 1);
    ensure!(consecutive, "{printed:?}");
    Ok(())
}
