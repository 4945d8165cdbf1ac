//! The raw client at the line where all begin.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use debuggee_agent::{Options, SessionMark, install_in_frame, is_hello};
use ptvsd_wire::{
    BreakpointCondition, BreakpointId, Child, Command, Event, Language, Object, PassCount,
    ReprKind, SetBreakpoint, ThreadId,
};
use testkit::client_session::breakpoint;
use testkit::editor::SECRET;
use testkit::programs::COUNTING;
use testkit::raw_client::{Handshake, Manner, RawClient};

const LIMIT: Duration = Duration::from_secs(20);
/// Between two tries to attach.
const PAUSE: Duration = Duration::from_millis(50);
/// Before a detach: a bare thread that has answered is not at its lock yet. One
/// that is detached on its way there runs on without it, so that it stays open,
/// and the next session's first resume ends the server's command loop
/// (protocol-notes/stops.md).
const REST: Duration = Duration::from_millis(100);
/// The raw client sends no heartbeat.
const PATIENCE: Duration = Duration::from_secs(3600);

/// Attached, and stopped.
pub(crate) struct RawSession {
    client: RawClient,
    thread: ThreadId,
}

impl RawSession {
    pub(crate) fn begin(
        port: u16,
        script: &Path,
        manner: Manner,
        agent: bool,
    ) -> Result<RawSession> {
        let mut client = attach(port, manner)?;
        let first = client.wait_for(|event| matches!(event, Event::ProcessLoaded(_)), LIMIT)?;
        let Event::ProcessLoaded(thread) = first else {
            bail!("{first:?}");
        };
        let begin = breakpoint(script, COUNTING.line("begin"), BreakpointCondition::Always);
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
        Ok(RawSession { client, thread })
    }

    /// Sends a step over.
    pub(crate) fn begin_step(&mut self) -> Result<()> {
        self.client.send(&Command::StepOver(self.thread))?;
        Ok(())
    }

    /// Waits for it to be done.
    pub(crate) fn end_step(&mut self) -> Result<()> {
        self.client
            .wait_for(|event| matches!(event, Event::StepDone(_)), LIMIT)?;
        Ok(())
    }

    pub(crate) fn step(&mut self) -> Result<()> {
        self.begin_step()?;
        self.end_step()
    }

    pub(crate) fn evaluate(&mut self, expression: &str) -> Result<Object> {
        let begun = Instant::now();
        // A thread that has only just answered may not be ready for the next.
        loop {
            let result = self
                .client
                .execute(self.thread, expression, ReprKind::Normal, LIMIT)?;
            match result {
                Event::ExecutionResult { object, .. } => return Ok(object),
                Event::ExecutionException { text, .. }
                    if begun.elapsed() < LIMIT && text.display().contains("has not completed") => {}
                other => bail!("{other:?}"),
            }
        }
    }

    pub(crate) fn expand(&mut self, expression: &str) -> Result<Vec<Child>> {
        let begun = Instant::now();
        let mut children = self.client.children(self.thread, expression, LIMIT)?;
        // The same; then it gives none.
        while children.is_empty() && begun.elapsed() < LIMIT {
            children = self.client.children(self.thread, expression, LIMIT)?;
        }
        Ok(children)
    }

    /// Detaches.
    pub(crate) fn end(self) -> Result<()> {
        std::thread::sleep(REST);
        self.client.leave(LIMIT)?;
        Ok(())
    }
}

/// Some servers confirm a detach before they take the next debugger.
fn attach(port: u16, manner: Manner) -> Result<RawClient> {
    let begun = Instant::now();
    loop {
        match Handshake::begin_in(port, SECRET, manner)?.attach("") {
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
