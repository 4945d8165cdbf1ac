//! Who is measured, and how each does the same.

use std::fmt;
use std::future::Future;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use debuggee_agent::{Options, SessionMark, install_in_frame, is_hello};
use legacy_host::Program;
use ptvsd_wire::{
    BreakpointCondition, BreakpointId, Command, Event, Language, PassCount, ReprKind,
    SetBreakpoint, ThreadId,
};
use serde_json::json;
use testkit::client_session::breakpoint;
use testkit::editor::{Editor, SECRET, integer, named, string};
use testkit::programs::COUNTING;
use testkit::raw_client::{Handshake, Manner, RawClient};

use crate::{EVALUATIONS, EXPANSIONS, STEPS, Times};

const LIMIT: Duration = Duration::from_secs(20);
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
    pub(crate) async fn run(self, program: &Program, adapter: &Path) -> Result<Times> {
        match self {
            Contender::Raw { agent } => raw(program, Manner::Careful, agent),
            Contender::Naive => raw(program, Manner::Naive, false),
            Contender::Adapter { agent } => through_adapter(program, adapter, agent).await,
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
    let mut client = Handshake::begin_in(program.port(), SECRET, manner)?.attach("")?;
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
        let answer = client.execute(thread, EXPRESSION, ReprKind::Normal, LIMIT)?;
        times.evaluate.push(begun.elapsed());
        ensure!(
            matches!(answer, Event::ExecutionResult { .. }),
            "{answer:?}"
        );
    }
    for _ in 0..EXPANSIONS {
        let begun = Instant::now();
        let children = client.children(thread, LIST, LIMIT)?;
        times.expand.push(begun.elapsed());
        ensure!(children.len() == 1000, "{} children", children.len());
    }
    client.leave(LIMIT)?;
    Ok(times)
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

async fn through_adapter(program: &Program, adapter: &Path, agent: bool) -> Result<Times> {
    let editor = Editor::start(adapter).await?;
    editor.attach_with(program, json!({"agent": agent})).await?;
    let script = program.script();
    editor
        .set_breakpoints(script, &[COUNTING.line("begin")])
        .await?;
    editor.configured().await?;
    let thread = editor.stopped("breakpoint").await?;
    editor.set_breakpoints(script, &[]).await?;
    let mut times = Times::default();
    for _ in 0..STEPS {
        times.step.push(timed(editor.step("next", thread)).await?.0);
    }
    let (frame, ..) = editor.top(thread).await?;
    for _ in 0..EVALUATIONS {
        let evaluated = timed(editor.evaluate(EXPRESSION, frame, "watch")).await?;
        times.evaluate.push(evaluated.0);
    }
    let locals = editor.scope(frame, "Locals").await?;
    let list = integer(named(&locals, LIST)?, "/variablesReference")?;
    for _ in 0..EXPANSIONS {
        let (time, children) = timed(editor.children(list)).await?;
        times.expand.push(time);
        let last = children.last().context("no children")?;
        ensure!(
            children.len() == 1000 && string(last, "/name") == "999",
            "{last}"
        );
    }
    editor.disconnect().await?;
    Ok(times)
}

async fn timed<T, E>(action: impl Future<Output = Result<T, E>>) -> Result<(Duration, T)>
where
    anyhow::Error: From<E>,
{
    let begun = Instant::now();
    let value = action.await?;
    Ok((begun.elapsed(), value))
}
