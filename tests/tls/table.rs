//! The table of certificates: the same for every version and server.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use serde_json::json;
use testkit::certificates::{Authority, Identity, Recipe, document};
use testkit::editor::{Editor, start_program};
use testkit::matrix::Server;
use testkit::programs::WORKING;
use testkit::terminator::{Terminator, Versions};

use crate::setup::{ADAPTER, accepted, line, refused, secrets, start_encrypted, target, ticks};

/// A certificate, what is asked of it, and what becomes of it.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    make: fn(&Path) -> Result<Made>,
    host: &'static str,
    outcome: Outcome,
}

#[derive(Clone, Copy)]
pub(crate) enum Outcome {
    Accepted,
    /// What it says, and which field of `tls` would accept it.
    Refused(&'static [&'static str], &'static str),
}

/// A server's identity, and the file by which it is to be trusted.
pub(crate) struct Made {
    identity: Identity,
    trusted: PathBuf,
}

/// One that is itself in the file.
fn alone(identity: Identity) -> Result<Made> {
    Ok(Made {
        trusted: identity.certificate.clone(),
        identity,
    })
}

fn issued(recipe: &Recipe, folder: &Path) -> Result<Made> {
    let authority = Authority::new(folder, "Example Authority")?;
    Ok(Made {
        identity: recipe.issued_by(&authority, folder)?,
        trusted: authority.root().to_owned(),
    })
}

/// Not by the authority that is trusted, but by another of the same name.
fn issued_by_namesake(recipe: &Recipe, folder: &Path) -> Result<Made> {
    let made = issued(recipe, &folder.join("a"))?;
    let other = issued(recipe, &folder.join("b"))?;
    Ok(Made {
        identity: made.identity,
        trusted: other.trusted,
    })
}

const LOOPBACK: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// The table.
pub(crate) const CASES: [Case; 18] = [
    Case {
        name: "the document's certificate",
        make: |folder| alone(document(folder, "localhost")?),
        host: "localhost",
        outcome: Outcome::Accepted,
    },
    Case {
        name: "the document's certificate, with an address as the common name",
        make: |folder| alone(document(folder, "127.0.0.1")?),
        host: "127.0.0.1",
        outcome: Outcome::Accepted,
    },
    Case {
        name: "the document's certificate, with another name",
        make: |folder| alone(document(folder, "myvm.example")?),
        host: "localhost",
        outcome: Outcome::Refused(
            &["name does not match", "\"myvm.example\"", "\"localhost\""],
            "serverName",
        ),
    },
    Case {
        name: "an alternative name",
        make: |folder| {
            let recipe = Recipe::new("whatever").dns("localhost");
            alone(recipe.self_signed(folder)?)
        },
        host: "localhost",
        outcome: Outcome::Accepted,
    },
    Case {
        name: "an alternative address",
        make: |folder| alone(Recipe::new("").ip(LOOPBACK).self_signed(folder)?),
        host: "127.0.0.1",
        outcome: Outcome::Accepted,
    },
    Case {
        name: "alternative names, and the host as the common name only",
        make: |folder| {
            let recipe = Recipe::new("localhost").dns("myvm.example");
            alone(recipe.self_signed(folder)?)
        },
        host: "localhost",
        outcome: Outcome::Refused(&["name does not match", "\"myvm.example\""], "serverName"),
    },
    Case {
        name: "no name at all",
        make: |folder| alone(Recipe::new("").self_signed(folder)?),
        host: "localhost",
        outcome: Outcome::Refused(&["name does not match", "it bears none"], "fingerprint"),
    },
    Case {
        name: "expired",
        make: |folder| alone(Recipe::new("localhost").expired().self_signed(folder)?),
        host: "localhost",
        outcome: Outcome::Refused(&["it has expired"], "fingerprint"),
    },
    Case {
        name: "not valid yet, and another name",
        make: |folder| alone(Recipe::new("myvm").not_yet_valid().self_signed(folder)?),
        host: "localhost",
        outcome: Outcome::Refused(&["not valid before", "name does not match"], "fingerprint"),
    },
    Case {
        name: "1024 bits and SHA-1, self-signed",
        make: |folder| {
            let recipe = Recipe::new("localhost").rsa(1024).sha1().authority(true);
            alone(recipe.self_signed(folder)?)
        },
        host: "localhost",
        outcome: Outcome::Accepted,
    },
    Case {
        name: "1024 bits and SHA-1, issued",
        make: |folder| issued(&Recipe::new("localhost").rsa(1024).sha1(), folder),
        host: "localhost",
        outcome: Outcome::Accepted,
    },
    Case {
        name: "issued by an authority",
        make: |folder| issued(&Recipe::new("whatever").dns("localhost"), folder),
        host: "localhost",
        outcome: Outcome::Accepted,
    },
    Case {
        name: "issued by an authority's authority",
        make: |folder| {
            let authority = Authority::new(folder, "Example Authority")?;
            let below = authority.intermediate("Example Department")?;
            Ok(Made {
                identity: Recipe::new("localhost").issued_by(&below, folder)?,
                trusted: authority.root().to_owned(),
            })
        },
        host: "localhost",
        outcome: Outcome::Accepted,
    },
    Case {
        name: "of version 1, issued by an authority",
        make: |folder| issued(&Recipe::new("localhost").version1(), folder),
        host: "localhost",
        outcome: Outcome::Accepted,
    },
    Case {
        name: "marked as an authority, issued by another",
        make: |folder| issued(&Recipe::new("localhost").authority(true), folder),
        host: "localhost",
        outcome: Outcome::Accepted,
    },
    Case {
        name: "issued by an authority, expired",
        make: |folder| issued(&Recipe::new("localhost").expired(), folder),
        host: "localhost",
        outcome: Outcome::Refused(&["it has expired"], "fingerprint"),
    },
    Case {
        name: "issued by somebody of the same name as the authority",
        make: |folder| issued_by_namesake(&Recipe::new("localhost"), folder),
        host: "localhost",
        outcome: Outcome::Refused(&["it is not trusted"], "fingerprint"),
    },
    Case {
        name: "of version 1, issued by somebody of the same name as the authority",
        make: |folder| {
            let made = issued(&Recipe::new("localhost").version1(), &folder.join("a"))?;
            let other = issued(&Recipe::new("localhost"), &folder.join("b"))?;
            Ok(Made {
                identity: made.identity,
                trusted: other.trusted,
            })
        },
        host: "localhost",
        outcome: Outcome::Refused(&["it is not trusted"], "fingerprint"),
    },
];

/// Who speaks TLS.
#[derive(Clone, Copy)]
pub(crate) enum Channel {
    /// The server itself.
    Own,
    /// A terminator before a plain one.
    Before(Versions),
}

pub(crate) async fn case_on_channel(case: Case, server: Server, channel: Channel) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let made = (case.make)(folder.path())?;
    let (program, terminator) = match channel {
        Channel::Own => (start_encrypted(&server, &WORKING, &made.identity)?, None),
        Channel::Before(versions) => {
            let program = start_program(&server, &WORKING)?;
            let terminator = Terminator::start(program.port(), &made.identity, versions).await?;
            (program, Some(terminator))
        }
    };
    let port = terminator.as_ref().map_or(program.port(), Terminator::port);
    let target = target(case.host, port);
    let by_file = json!({"caFile": made.trusted});
    let editor = Editor::start(Path::new(ADAPTER)).await?;
    match case.outcome {
        Outcome::Accepted => accepted(&editor, &target, &by_file).await?,
        Outcome::Refused(says, field) => {
            let said = refused(&editor, &target, &by_file, says).await?;
            ensure!(said.contains(&made.identity.fingerprint()), "{said}");
            ensure!(secrets(terminator.as_ref()) == 0, "the secret was sent");
            let line = line(&said)?;
            ensure!(line.get(field).is_some(), "{field} is not in {line}");
            accepted(&editor, &target, &line).await?;
        }
    }
    editor.disconnect().await?;
    ticks(&program)
}
