//! Whom to trust, and which channel: right and wrong ways, on servers that
//! speak TLS 1.0 themselves and behind terminators.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use legacy_host::Program;
use serde_json::{Value, json};
use testkit::certificates::{Identity, Recipe};
use testkit::editor::{Editor, LocalCopy, SECRET, integer, named, start_program, string};
use testkit::matrix::Server;
use testkit::programs::{DEEP, WORKING};
use testkit::terminator::{Terminator, Versions};
use tokio::net::TcpListener;

use crate::setup::{
    ADAPTER, Encrypted, Terminated, accepted, console, line, refused, rests, secrets,
    start_encrypted, target, ticks,
};

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

/// The wrong ways with the document's own certificate, after each of which the
/// right one works; and whole sessions.
pub(crate) async fn refusals_then_sessions(server: Server) -> Result<()> {
    let own = Encrypted::start(&server, &DEEP)?;
    let target = own.target();
    wrong_ways(&target, &own.identity, own.folder.path(), None).await?;
    session(&own.program, &target, own.by_file(), "TLSv1 ").await?;
    let by_fingerprint = json!({"fingerprint": own.identity.fingerprint()});
    session(&own.program, &target, by_fingerprint, "TLSv1 ").await
}

pub(crate) async fn behind_a_terminator(server: Server) -> Result<()> {
    let behind = Terminated::start(&server, &DEEP, Versions::Only13).await?;
    let (target, identity) = (behind.target(), &behind.identity);
    let folder = behind.folder.path();
    wrong_ways(&target, identity, folder, Some(&behind.terminator)).await?;
    session(&behind.program, &target, behind.by_file(), "TLSv1.3").await?;
    let by_fingerprint = json!({"fingerprint": identity.fingerprint()});
    session(&behind.program, &target, by_fingerprint, "TLSv1.3").await
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

/// Plain text to TLS and TLS to plain text: told apart, in time, and the
/// server takes its next client.
pub(crate) async fn crossed(server: Server) -> Result<()> {
    let own = Encrypted::start(&server, &WORKING)?;
    let behind = Terminated::start(&server, &WORKING, Versions::Only13).await?;
    let plain = &behind.program;
    let editor = Editor::start(Path::new(ADAPTER)).await?;
    for _ in 0..3 {
        for port in [own.program.port(), behind.terminator.port()] {
            let target = format!("tcp://{SECRET}@localhost:{port}");
            let says = ["answered with TLS", "tcps://"];
            refused(&editor, &target, &json!({}), &says).await?;
        }
        let target = target("localhost", plain.port());
        let says = ["without TLS", "tcp://", "ssh -L"];
        refused(&editor, &target, &own.by_file(), &says).await?;
    }
    for (target, by_file) in [
        (own.target(), own.by_file()),
        (behind.target(), behind.by_file()),
    ] {
        let editor = Editor::start(Path::new(ADAPTER)).await?;
        accepted(&editor, &target, &by_file).await?;
        editor.disconnect().await?;
    }
    let target = format!("tcp://{SECRET}@localhost:{}", plain.port());
    accepted(&editor, &target, &own.by_file()).await?;
    console(&editor, "`tls` has no effect").await?;
    editor.disconnect().await?;
    rests(plain)?;
    rests(&own.program)
}

/// `minVersion`, and what is said of the version that was agreed.
pub(crate) async fn versions(server: Server) -> Result<()> {
    let own = Encrypted::start(&server, &WORKING)?;
    let at_least = json!({"caFile": own.identity.certificate, "minVersion": "1.2"});
    let editor = Editor::start(Path::new(ADAPTER)).await?;
    let says = ["TLS 1.0 only", "minVersion", "terminator"];
    refused(&editor, &own.target(), &at_least, &says).await?;
    accepted(&editor, &own.target(), &own.by_file()).await?;
    let said = console(&editor, "Attached").await?;
    for part in ["TLSv1 (", &own.identity.fingerprint(), "minVersion"] {
        ensure!(said.contains(part), "no {part:?} in: {said}");
    }
    editor.disconnect().await?;
    ticks(&own.program)?;

    let plain = start_program(&server, &WORKING)?;
    for (versions, version) in [
        (Versions::Only12, "TLSv1.2 ("),
        (Versions::Only13, "TLSv1.3 ("),
        (Versions::Any, "TLSv1.3 ("),
    ] {
        let terminator = Terminator::start(plain.port(), &own.identity, versions).await?;
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

const WARNING: &str = "WARNING: \"verify\": false";

/// Possible, and never without a warning, which comes before anything is sent.
pub(crate) async fn not_verified(server: Server) -> Result<()> {
    let silent = TcpListener::bind("127.0.0.1:0").await?;
    let nobody = target("localhost", silent.local_addr()?.port());
    let editor = Editor::start(Path::new(ADAPTER)).await?;
    refused(&editor, &nobody, &json!({"verify": false}), &[]).await?;
    console(&editor, WARNING).await?;

    let folder = tempfile::tempdir()?;
    let identity = Recipe::new("myvm").expired().self_signed(folder.path())?;
    let program = start_encrypted(&server, &WORKING, &identity)?;
    let target = target("localhost", program.port());
    for _ in 0..2 {
        let editor = Editor::start(Path::new(ADAPTER)).await?;
        accepted(&editor, &target, &json!({"verify": false})).await?;
        // Of what is not known before, too.
        let said = console(&editor, "Attached").await?;
        for part in [
            WARNING,
            "not verified: ",
            "expired",
            "name does not match",
            "pin it",
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
