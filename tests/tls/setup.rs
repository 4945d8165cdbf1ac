//! Programs behind TLS, and what every trial does with one.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use legacy_host::{Program, ProgramBuilder};
use ptvsd_client::Target;
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::certificates::{Identity, document};
use testkit::editor::{Editor, SECRET, start_program, string};
use testkit::matrix::{Matrix, Server};
use testkit::programs::{PRINT_LIMIT, Source};
use testkit::terminator::{Terminator, Versions};

pub(crate) const ADAPTER: &str = env!("CARGO_BIN_EXE_ptvsd-bridge");
/// Of a refused attach: on a busy machine.
const REFUSAL_LIMIT: Duration = Duration::from_secs(6);

/// A server on a Python that can serve TLS 1.0.
pub(crate) fn able(matrix: &Matrix, release: &str, major: u32, minor: u32) -> Option<Server> {
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

/// A program under a server that speaks TLS with the document's certificate,
/// for `localhost`.
pub(crate) struct Encrypted {
    pub(crate) program: Program,
    pub(crate) identity: Identity,
    /// Of the certificate, which the server reads for every connection.
    pub(crate) folder: TempDir,
}

impl Encrypted {
    pub(crate) fn start(server: &Server, source: &Source) -> Result<Encrypted> {
        let folder = tempfile::tempdir()?;
        let identity = document(folder.path(), "localhost")?;
        Ok(Encrypted {
            program: start_encrypted(server, source, &identity)?,
            identity,
            folder,
        })
    }

    pub(crate) fn target(&self) -> String {
        target("localhost", self.program.port())
    }

    /// As [`Encrypted::target`], for the legacy client, and with the certificate.
    pub(crate) fn client_target(&self) -> Result<Target> {
        let mut target: Target = self.target().parse()?;
        target.tls.ca_file = Some(self.identity.certificate.clone());
        Ok(target)
    }

    /// The `tls` that trusts it by its file.
    pub(crate) fn by_file(&self) -> Value {
        json!({"caFile": self.identity.certificate})
    }
}

/// A program under a plain server, and a terminator before it that has the
/// document's certificate.
pub(crate) struct Terminated {
    pub(crate) program: Program,
    pub(crate) terminator: Terminator,
    pub(crate) identity: Identity,
    pub(crate) folder: TempDir,
}

impl Terminated {
    pub(crate) async fn start(
        server: &Server,
        source: &Source,
        versions: Versions,
    ) -> Result<Terminated> {
        let folder = tempfile::tempdir()?;
        let identity = document(folder.path(), "localhost")?;
        let program = start_program(server, source)?;
        Ok(Terminated {
            terminator: Terminator::start(program.port(), &identity, versions).await?,
            program,
            identity,
            folder,
        })
    }

    pub(crate) fn target(&self) -> String {
        target("localhost", self.terminator.port())
    }

    /// The `tls` that trusts it by its file.
    pub(crate) fn by_file(&self) -> Value {
        json!({"caFile": self.identity.certificate})
    }
}

pub(crate) fn start_encrypted(
    server: &Server,
    source: &Source,
    identity: &Identity,
) -> Result<Program> {
    ProgramBuilder::new(&server.python, server.release)
        .source(source.name, source.text)
        .secret(Some(SECRET))
        .tls(&identity.certificate, &identity.key)
        .start()
        .with_context(|| format!("starting {} under {server}, with TLS", source.name))
}

pub(crate) fn target(host: &str, port: u16) -> String {
    format!("tcps://{SECRET}@{host}:{port}")
}

/// An attach; the whole answer, which must come in time and without the
/// secret.
pub(crate) async fn attach(editor: &Editor, target: &str, tls: &Value) -> Result<Value> {
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
pub(crate) async fn refused(
    editor: &Editor,
    target: &str,
    tls: &Value,
    says: &[&str],
) -> Result<String> {
    let response = attach(editor, target, tls).await?;
    ensure!(response.get("success") == Some(&json!(false)), "{response}");
    let said = string(&response, "/body/error/format");
    for part in says {
        ensure!(said.contains(part), "no {part:?} in: {said}");
    }
    Ok(said)
}

pub(crate) async fn accepted(editor: &Editor, target: &str, tls: &Value) -> Result<()> {
    let response = attach(editor, target, tls).await?;
    ensure!(response.get("success") == Some(&json!(true)), "{response}");
    editor.client.event("initialized").await?;
    editor.configured().await
}

/// The line of configuration that a refusal ends with.
pub(crate) fn line(said: &str) -> Result<Value> {
    let (_, line) = said
        .split_once("\"tls\": ")
        .with_context(|| format!("no line of configuration in: {said}"))?;
    serde_json::from_str(line).with_context(|| line.to_owned())
}

/// What the console has said, up to a certain line.
pub(crate) async fn console(editor: &Editor, until: &str) -> Result<String> {
    let mut all = String::new();
    while !all.contains(until) {
        let output = editor.client.event("output").await?;
        if string(&output, "/category") == "console" {
            all.push_str(&string(&output, "/output"));
        }
    }
    Ok(all)
}

pub(crate) fn ticks(program: &Program) -> Result<()> {
    program.wait_for_line_since(program.mark(), "tick", PRINT_LIMIT)?;
    Ok(())
}

/// Nothing spins in the program once the debugger has gone.
pub(crate) fn rests(program: &Program) -> Result<()> {
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

/// How many times a terminator has heard the secret.
pub(crate) fn secrets(terminator: Option<&Terminator>) -> usize {
    let heard = terminator.map(Terminator::heard).unwrap_or_default();
    let secret = SECRET.as_bytes();
    heard
        .windows(secret.len())
        .filter(|at| *at == secret)
        .count()
}
