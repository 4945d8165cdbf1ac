//! The program that is debugged: once under a server that speaks plain text,
//! and once under the same that speaks TLS.

use anyhow::Result;
use legacy_host::{Program, ProgramBuilder};
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::certificates::{Identity, NoOpenssl, document};
use testkit::editor::{SECRET, start_program};
use testkit::matrix::Server;
use testkit::programs::COUNTING;

const ADDRESS: &str = "127.0.0.1";

/// Both, side by side.
pub(crate) struct Hosts {
    pub(crate) plain: Host,
    /// Or why it cannot be.
    pub(crate) encrypted: Result<Host, String>,
}

impl Hosts {
    pub(crate) fn start(server: &Server) -> Result<Hosts> {
        Ok(Hosts {
            plain: Host {
                program: start_program(server, &COUNTING)?,
                certificate: None,
            },
            encrypted: encrypted(server)?,
        })
    }
}

/// One of them.
pub(crate) struct Host {
    pub(crate) program: Program,
    /// Whoever speaks TLS reads its files for every connection.
    certificate: Option<(Identity, TempDir)>,
}

impl Host {
    /// The arguments of an `attach` to it.
    pub(crate) fn attach(&self, agent: bool) -> Value {
        let at = format!("{SECRET}@{ADDRESS}:{}", self.program.port());
        match &self.certificate {
            None => json!({"target": format!("tcp://{at}"), "agent": agent}),
            Some((identity, _)) => json!({
                "target": format!("tcps://{at}"),
                "tls": {"caFile": identity.certificate},
                "agent": agent,
            }),
        }
    }
}

fn encrypted(server: &Server) -> Result<Result<Host, String>> {
    if !server.python.can_serve_tls() {
        return Ok(Err(format!("{} cannot serve it", server.python)));
    }
    let folder = tempfile::tempdir()?;
    let identity = match document(folder.path(), ADDRESS) {
        Err(error) if error.is::<NoOpenssl>() => return Ok(Err(error.to_string())),
        made => made?,
    };
    let program = ProgramBuilder::new(&server.python, server.release)
        .source(COUNTING.name, COUNTING.text)
        .secret(Some(SECRET))
        .tls(&identity.certificate, &identity.key)
        .start()?;
    Ok(Ok(Host {
        program,
        certificate: Some((identity, folder)),
    }))
}
