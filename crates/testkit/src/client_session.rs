//! A session of the legacy client, with no editor before it.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use ptvsd_client::{
    AgentStatus, AttachOptions, Binding, Debuggee, Ended, Epoch, SessionEvent, StepKind,
    StopReason, StoppedThread, Target,
};
use ptvsd_wire::{
    BreakpointCondition, BreakpointId, FrameKind, Language, PassCount, ReprKind, SetBreakpoint,
};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::editor::SECRET;

/// How long anything may take that is expected to come.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A debugger.
#[derive(Debug)]
pub struct ClientSession {
    /// Its commands.
    pub debuggee: Debuggee,
    events: mpsc::Receiver<SessionEvent>,
    /// What has come and was not waited for: stops only.
    stops: VecDeque<(StoppedThread, StopReason)>,
    /// What the program printed.
    pub printed: String,
    /// How many module messages came.
    pub modules: usize,
    /// The last stop that was resumed: others of its epoch are over too.
    resumed: Option<Epoch>,
    /// Whether the stop of the attach is passed on, and not resumed at once.
    holds: bool,
}

fn target(server: SocketAddr) -> Result<Target> {
    Ok(format!("tcp://{SECRET}@{server}").parse()?)
}

impl ClientSession {
    /// Attaches, lets the program run on, and waits until breakpoints stop.
    ///
    /// # Errors
    ///
    /// When it fails, or the agent did not get in although it was to.
    pub async fn attach(port: u16, agent: bool) -> Result<ClientSession> {
        ClientSession::attach_to((Ipv4Addr::LOCALHOST, port).into(), agent).await
    }

    /// The same for any server.
    ///
    /// # Errors
    ///
    /// When it fails, or the agent did not get in although it was to.
    pub async fn attach_to(server: SocketAddr, agent: bool) -> Result<ClientSession> {
        ClientSession::attach_at(&target(server)?, agent).await
    }

    /// The same by any target.
    ///
    /// # Errors
    ///
    /// When it fails, or the agent did not get in although it was to.
    pub async fn attach_at(target: &Target, agent: bool) -> Result<ClientSession> {
        ClientSession::begin(target, agent, false).await
    }

    /// Attaches to a program that runs, and stays where that stops it.
    ///
    /// # Errors
    ///
    /// When it fails, or the agent did not get in although it was to, or the
    /// program does not stop.
    pub async fn attach_and_hold(port: u16, agent: bool) -> Result<(ClientSession, StoppedThread)> {
        let server = (Ipv4Addr::LOCALHOST, port).into();
        let mut session = ClientSession::begin(&target(server)?, agent, true).await?;
        let (thread, reason) = session.stopped().await?;
        ensure!(reason == StopReason::Attached, "{reason:?}");
        Ok((session, thread))
    }

    async fn begin(target: &Target, agent: bool, holds: bool) -> Result<ClientSession> {
        let options = AttachOptions {
            redirect_output: true,
            agent,
            ..AttachOptions::default()
        };
        let (debuggee, events) = ptvsd_client::attach(target, &options, PATIENCE).await?;
        let mut session = ClientSession {
            debuggee,
            events,
            stops: VecDeque::new(),
            printed: String::new(),
            modules: 0,
            resumed: None,
            holds,
        };
        let status = timeout(PATIENCE, session.ready())
            .await
            .context("not ready")??;
        let expected = if agent {
            AgentStatus::Active
        } else {
            AgentStatus::Off
        };
        ensure!(status == expected, "the agent: {status:?}");
        Ok(session)
    }

    async fn ready(&mut self) -> Result<AgentStatus> {
        loop {
            if let SessionEvent::Ready(status) = self.next().await? {
                return Ok(status);
            }
        }
    }

    /// The next event; what the other methods need of it is kept.
    ///
    /// # Errors
    ///
    /// When the session is over.
    pub async fn next(&mut self) -> Result<SessionEvent> {
        let event = self.events.recv().await.context("no more events")?;
        match &event {
            SessionEvent::Stopped {
                reason: StopReason::Attached,
                thread,
            } if !self.holds => {
                let thread = *thread;
                self.go_on(thread).await?;
            }
            SessionEvent::Stopped { thread, reason } => {
                self.stops.push_back((*thread, reason.clone()));
            }
            SessionEvent::Output { text, .. } => self.printed.push_str(&text.display()),
            SessionEvent::ModuleLoaded(_) => self.modules += 1,
            SessionEvent::Ended(how) => bail!("the session has ended: {how:?}"),
            _ => {}
        }
        Ok(event)
    }

    /// Waits for a stop.
    ///
    /// # Errors
    ///
    /// When none comes.
    pub async fn stopped(&mut self) -> Result<(StoppedThread, StopReason)> {
        let waiting = async {
            loop {
                match self.stops.pop_front() {
                    Some((thread, _))
                        if self.resumed.is_some_and(|last| thread.epoch() <= last) => {}
                    Some(stop) => return Ok(stop),
                    None => {
                        self.next().await?;
                    }
                }
            }
        };
        timeout(PATIENCE, waiting).await.context("no stop came")?
    }

    /// Waits for a stop for as long as this; none is no error.
    ///
    /// # Errors
    ///
    /// When the session ends.
    pub async fn stopped_within(
        &mut self,
        limit: Duration,
    ) -> Result<Option<(StoppedThread, StopReason)>> {
        match timeout(limit, self.stopped()).await {
            Ok(stop) => stop.map(Some),
            Err(_) => Ok(None),
        }
    }

    /// Waits for a stop at this breakpoint; others are passed over.
    ///
    /// # Errors
    ///
    /// When none comes.
    pub async fn stopped_at(&mut self, id: BreakpointId) -> Result<StoppedThread> {
        loop {
            let (thread, reason) = self.stopped().await?;
            if reason == StopReason::Breakpoint(id) {
                return Ok(thread);
            }
            self.go_on(thread).await?;
        }
    }

    /// Lets the program run on from this stop.
    ///
    /// # Errors
    ///
    /// When the session is over.
    pub async fn go_on(&mut self, thread: StoppedThread) -> Result<()> {
        self.resumed = Some(thread.epoch());
        Ok(self.debuggee.resume().await?)
    }

    /// Sets a breakpoint.
    pub async fn breakpoint(&self, file: &Path, line: i64) -> (BreakpointId, Binding) {
        self.breakpoint_if(file, line, BreakpointCondition::Always)
            .await
    }

    /// Sets a breakpoint with a condition.
    pub async fn breakpoint_if(
        &self,
        file: &Path,
        line: i64,
        condition: BreakpointCondition,
    ) -> (BreakpointId, Binding) {
        let breakpoint = breakpoint(file, line, condition);
        let id = breakpoint.id;
        let binding = self.debuggee.set_breakpoint(breakpoint).await;
        (id, binding)
    }

    /// Resumes with a step.
    ///
    /// # Errors
    ///
    /// When the thread cannot.
    pub async fn step(&mut self, thread: StoppedThread, kind: StepKind) -> Result<()> {
        self.resumed = Some(thread.epoch());
        Ok(self.debuggee.step(thread, kind).await?)
    }

    /// The value of an expression in the top frame, as `repr`.
    ///
    /// # Errors
    ///
    /// When it raises.
    pub async fn evaluate(&self, thread: StoppedThread, expression: &str) -> Result<String> {
        let place = thread.frame(0, FrameKind::Python);
        let object = self
            .debuggee
            .evaluate(place, expression, ReprKind::Normal)
            .await?;
        Ok(object.repr.unwrap_or_default().display().into_owned())
    }

    /// Reads on for a while: output and the like.
    ///
    /// # Errors
    ///
    /// When the session ends.
    pub async fn listen_for(&mut self, time: Duration) -> Result<()> {
        let listening = async {
            loop {
                self.next().await?;
            }
        };
        match timeout(time, listening).await {
            Ok(result) => result,
            Err(_) => Ok(()),
        }
    }

    /// Detaches.
    ///
    /// # Errors
    ///
    /// When the server does not confirm it.
    pub async fn detach(self) -> Result<()> {
        let ClientSession {
            debuggee,
            mut events,
            ..
        } = self;
        let draining = tokio::spawn(async move { while events.recv().await.is_some() {} });
        let how = timeout(PATIENCE, debuggee.detach())
            .await
            .context("the detach did not end")?;
        drop(debuggee);
        draining.await?;
        ensure!(how == Ended::Detached, "{how:?}");
        Ok(())
    }
}

/// A breakpoint with a number that no other has.
#[must_use]
pub fn breakpoint(file: &Path, line: i64, condition: BreakpointCondition) -> SetBreakpoint {
    static NEXT: AtomicI64 = AtomicI64::new(1);
    SetBreakpoint {
        id: BreakpointId(NEXT.fetch_add(1, Ordering::Relaxed)),
        line,
        file: file.to_string_lossy().into_owned().into(),
        language: Language::Python,
        condition,
        pass_count: PassCount::Always,
    }
}
