//! What a program endures through TLS: debuggers that die, many attaches, busy
//! threads.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use ptvsd_client::StepKind;
use serde_json::json;
use testkit::client_session::ClientSession;
use testkit::editor::{Editor, LocalCopy};
use testkit::fault_proxy::{Death, FaultProxy};
use testkit::matrix::Server;
use testkit::programs::{ASKING, BUSY, PRINT_LIMIT, WORKING, all_move};

use crate::setup::{ADAPTER, Encrypted, accepted, rests, target, ticks};

/// After so long without a stop there is none on its way.
const CALM: Duration = Duration::from_secs(1);

/// An editor that has stopped the program at a breakpoint.
async fn stopped_through(target: &str, own: &Encrypted) -> Result<Editor> {
    let copy = LocalCopy::of(&WORKING)?;
    let editor = Editor::start(Path::new(ADAPTER)).await?;
    editor
        .attach_with(
            &own.program,
            json!({"target": target, "tls": own.by_file()}),
        )
        .await?;
    editor
        .set_breakpoints(&copy.path(), &[WORKING.line("call")])
        .await?;
    editor.configured().await?;
    editor.stopped("breakpoint").await?;
    Ok(editor)
}

/// The agent's dead-man works through TLS as well: a killed adapter leaves no
/// program stopped.
pub(crate) async fn dies(server: Server) -> Result<()> {
    let own = Encrypted::start(&server, &WORKING)?;
    let (program, target, tls) = (&own.program, own.target(), own.by_file());
    for _ in 0..3 {
        let mut editor = stopped_through(&target, &own).await?;
        editor.kill().await?;
        ticks(program)?;
        rests(program)?;
    }
    let editor = Editor::start(Path::new(ADAPTER)).await?;
    accepted(&editor, &target, &tls).await?;
    editor.disconnect().await?;
    ticks(program)
}

/// A far end that is gone and does not say so: the agent misses its debugger
/// through TLS as well, with the program stopped.
pub(crate) async fn falls_silent(server: Server) -> Result<()> {
    let own = Encrypted::start(&server, &WORKING)?;
    let (program, tls) = (&own.program, own.by_file());
    let link = FaultProxy::start((Ipv4Addr::LOCALHOST, program.port()).into()).await?;
    let _editor = stopped_through(&target("localhost", link.port()), &own).await?;
    link.die(Death::Silence);
    ticks(program)?;
    rests(program)?;

    let editor = Editor::start(Path::new(ADAPTER)).await?;
    accepted(&editor, &own.target(), &tls).await?;
    editor.disconnect().await?;
    ticks(program)
}

pub(crate) async fn many_attaches(server: Server, attaches: usize) -> Result<()> {
    let own = Encrypted::start(&server, &WORKING)?;
    let program = &own.program;
    let target = own.client_target()?;
    for attach in 0..attaches {
        let session = ClientSession::attach_at(&target, true).await;
        let session = session.with_context(|| format!("after {attach}"))?;
        session
            .detach()
            .await
            .with_context(|| format!("after {attach}"))?;
    }
    ticks(program)?;
    rests(program)
}

/// By a visit, where the dialect needs one: a second channel.
pub(crate) async fn gets_in(server: Server) -> Result<()> {
    let own = Encrypted::start(&server, &ASKING)?;
    let program = &own.program;
    program.wait_for_line("ready", PRINT_LIMIT)?;
    let target = own.client_target()?;
    for _ in 0..3 {
        let session = ClientSession::attach_at(&target, true).await?;
        session.detach().await?;
    }
    program.write_stdin("first\n")?;
    program.wait_for_line("got first", PRINT_LIMIT)?;
    Ok(())
}

/// Eight busy threads, resumed or stepped as soon as one has stopped.
pub(crate) async fn busy_stops(server: Server, stops: usize) -> Result<()> {
    let own = Encrypted::start(&server, &BUSY)?;
    let program = &own.program;
    program.wait_for_line("counts", PRINT_LIMIT)?;
    let target = own.client_target()?;
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
    all_move(program).context("still attached")?;
    session.detach().await?;
    all_move(program).context("detached")
}
