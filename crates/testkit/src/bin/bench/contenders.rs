//! Who is measured, and how each does the same.

use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use debuggee_agent::{Options, SessionMark, install_in_frame, is_hello};
use legacy_host::Program;
use ptvsd_wire::{
    BreakpointCondition, BreakpointId, Command, Event, Language, PassCount, ReprKind,
    SetBreakpoint, ThreadId,
};
use serde_json::{Value, json};
use testkit::client_session::breakpoint;
use testkit::editor::{SECRET, array, integer, named};
use testkit::programs::COUNTING;
use testkit::raw_client::{Handshake, Manner, RawClient};

use crate::lean_editor::LeanEditor;
use crate::{EVALUATIONS, EXPANSIONS, STEPS, Times};

const LIMIT: Duration = Duration::from_secs(20);
/// Between two tries to attach.
const PAUSE: Duration = Duration::from_millis(50);
/// The raw client sends no heartbeat.
const PATIENCE: Duration = Duration::from_secs(3600);
/// Expands to a list of a thousand.
const LIST: &str = "numbers";
const EXPRESSION: &str = "double + 1";

/// Who does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Contender {
    Raw { agent: bool },
    Adapter { agent: bool },
    Naive,
}

impl Contender {
    /// Those that are compared stand side by side.
    pub(crate) const ALL: [Contender; 5] = [
        Contender::Raw { agent: false },
        Contender::Adapter { agent: false },
        Contender::Raw { agent: true },
        Contender::Adapter { agent: true },
        Contender::Naive,
    ];

    /// One round, from an attach to a detach.
    pub(crate) fn run(self, program: &Program, adapter: &Path) -> Result<Times> {
        match self {
            Contender::Raw { agent } => raw(program, Manner::Careful, agent),
            Contender::Naive => raw(program, Manner::Naive, false),
            Contender::Adapter { agent } => through_adapter(program, adapter, agent),
        }
    }
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Contender::Raw { agent: false } => "raw client",
            Contender::Raw { agent: true } => "raw client, agent",
            Contender::Adapter { agent: false } => "adapter",
            Contender::Adapter { agent: true } => "adapter, agent",
            Contender::Naive => "naive client",
        })
    }
}

fn raw(program: &Program, manner: Manner, agent: bool) -> Result<Times> {
    let mut client = attach(program, manner)?;
    let first = client.wait_for(|event| matches!(event, Event::ProcessLoaded(_)), LIMIT)?;
    let Event::ProcessLoaded(thread) = first else {
        bail!("{first:?}");
    };
    let begin = breakpoint(
        program.script(),
        COUNTING.line("begin"),
        BreakpointCondition::Always,
    );
    stop_at(&mut client, &begin)?;
    client.send(&Command::RemoveBreakpoint {
        id: begin.id,
        line: begin.line,
        file: begin.file.clone(),
        language: begin.language,
    })?;
    if agent {
        install(&mut client, thread)?;
    }
    let mut times = Times::default();
    for _ in 0..STEPS {
        let begun = Instant::now();
        client.send(&Command::StepOver(thread))?;
        client.wait_for(|event| matches!(event, Event::StepDone(_)), LIMIT)?;
        times.step.push(begun.elapsed());
    }
    for _ in 0..EVALUATIONS {
        let begun = Instant::now();
        // A thread that has only just answered may not be ready for the next.
        loop {
            match client.execute(thread, EXPRESSION, ReprKind::Normal, LIMIT)? {
                Event::ExecutionResult { .. } => break,
                Event::ExecutionException { text, .. }
                    if begun.elapsed() < LIMIT && text.display().contains("has not completed") => {}
                other => bail!("{other:?}"),
            }
        }
        times.evaluate.push(begun.elapsed());
    }
    for _ in 0..EXPANSIONS {
        let begun = Instant::now();
        let mut children = client.children(thread, LIST, LIMIT)?;
        // The same; then it gives none.
        while children.is_empty() && begun.elapsed() < LIMIT {
            children = client.children(thread, LIST, LIMIT)?;
        }
        times.expand.push(begun.elapsed());
        ensure!(children.len() == 1000, "{} children", children.len());
    }
    client.leave(LIMIT)?;
    Ok(times)
}

/// Some servers confirm a detach before they take the next debugger.
fn attach(program: &Program, manner: Manner) -> Result<RawClient> {
    let begun = Instant::now();
    loop {
        match Handshake::begin_in(program.port(), SECRET, manner)?.attach("") {
            Err(error) if begun.elapsed() > LIMIT => return Err(error),
            Err(_) => std::thread::sleep(PAUSE),
            Ok(client) => return Ok(client),
        }
    }
}

fn stop_at(client: &mut RawClient, begin: &SetBreakpoint) -> Result<()> {
    client.send(&Command::SetBreakpoint(SetBreakpoint {
        id: begin.id,
        line: begin.line,
        file: begin.file.clone(),
        language: Language::Python,
        condition: BreakpointCondition::Always,
        pass_count: PassCount::Always,
    }))?;
    let is_set = |event: &Event| matches!(event, Event::BreakpointSet(id) | Event::BreakpointFailed(id) if *id == begin.id);
    client.wait_for(is_set, LIMIT)?;
    client.send(&Command::ResumeAll)?;
    let is_hit = |event: &Event| matches!(event, Event::BreakpointHit { id: BreakpointId(id), .. } if *id == begin.id.0);
    client.wait_for(is_hit, LIMIT)?;
    Ok(())
}

fn install(client: &mut RawClient, thread: ThreadId) -> Result<()> {
    let options = Options {
        mark: SessionMark::new(),
        patience: PATIENCE,
    };
    let code = install_in_frame(&options);
    match client.execute(thread, &code, ReprKind::Normal, LIMIT)? {
        Event::ExecutionResult { object, .. }
            if object
                .repr
                .as_ref()
                .is_some_and(|repr| is_hello(repr.bytes(), &options.mark)) =>
        {
            Ok(())
        }
        other => bail!("the agent is not in: {other:?}"),
    }
}

fn through_adapter(program: &Program, adapter: &Path, agent: bool) -> Result<Times> {
    let mut editor = LeanEditor::start(adapter)?;
    editor.request("initialize", json!({"adapterID": "ptvsd-bridge"}))?;
    let target = format!("tcp://{SECRET}@127.0.0.1:{}", program.port());
    editor.request("attach", json!({"target": target, "agent": agent}))?;
    editor.event("initialized")?;
    let breakpoints = |lines: &[i64]| {
        let breakpoints: Vec<_> = lines.iter().map(|line| json!({"line": line})).collect();
        json!({"source": {"path": program.script()}, "breakpoints": breakpoints})
    };
    let begin = breakpoints(&[COUNTING.line("begin")]);
    editor.request("setBreakpoints", begin)?;
    editor.request("configurationDone", json!({}))?;
    let thread = integer(&editor.event("stopped")?, "/body/threadId")?;
    editor.request("setBreakpoints", breakpoints(&[]))?;
    let mut times = Times::default();
    for _ in 0..STEPS {
        let begun = Instant::now();
        editor.request("next", json!({"threadId": thread}))?;
        editor.event("stopped")?;
        times.step.push(begun.elapsed());
    }
    let stack = editor.request("stackTrace", json!({"threadId": thread}))?;
    let frame = integer(&stack, "/body/stackFrames/0/id")?;
    for _ in 0..EVALUATIONS {
        let evaluate = json!({"expression": EXPRESSION, "frameId": frame, "context": "watch"});
        let begun = Instant::now();
        editor.request("evaluate", evaluate)?;
        times.evaluate.push(begun.elapsed());
    }
    let scopes = editor.request("scopes", json!({"frameId": frame}))?;
    let locals = integer(&scopes, "/body/scopes/0/variablesReference")?;
    let locals = editor.request("variables", json!({"variablesReference": locals}))?;
    let locals = array(&locals, "/body/variables");
    let list = integer(named(&locals, LIST)?, "/variablesReference")?;
    for _ in 0..EXPANSIONS {
        let expand = json!({"variablesReference": list});
        let begun = Instant::now();
        let answer = editor.request_unread("variables", expand)?;
        times.expand.push(begun.elapsed());
        let answer: Value = serde_json::from_slice(&answer)?;
        let children = array(&answer, "/body/variables");
        ensure!(children.len() == 1000, "{} children", children.len());
    }
    editor.request("disconnect", json!({}))?;
    editor.event("terminated")?;
    editor.end()?;
    Ok(times)
}
