//! What has to be right between here and a program, one thing after another:
//! the "connection troubleshooting" of ptvsd's own documentation.
//!
//! The program is not disturbed: each handshake that is begun is ended as the
//! server expects it, and nothing is asked that could hurt one.

use std::time::Duration;

use ptvsd_wire::Dialect;
use tokio::time::timeout;

use crate::connect::{Route, resolve};
use crate::error::Stage;
use crate::handshake::Connection;
use crate::visit::attach_and_leave;
use crate::{Channel, ConnectError, Secret, Target};

/// One thing that has to be right, in the order in which they are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// The host has an address.
    Name,
    /// Somebody accepts connections there.
    Port,
    /// The channel is what the target says, and whoever has its other end is
    /// believed.
    Tls,
    /// A legacy server speaks.
    Dialect,
    /// It takes the secret.
    Secret,
    /// It takes a debugger.
    Attach,
}

impl Step {
    /// All of them.
    pub const ALL: [Step; 6] = [
        Step::Name,
        Step::Port,
        Step::Tls,
        Step::Dialect,
        Step::Secret,
        Step::Attach,
    ];

    /// The one during which this went wrong. `stage` is what was waited for.
    fn of(error: &ConnectError, stage: Stage) -> Step {
        match error {
            ConnectError::Resolve { .. } => Step::Name,
            ConnectError::Connect { .. } => Step::Port,
            ConnectError::NoTls { .. }
            | ConnectError::TlsHandshake { .. }
            | ConnectError::Untrusted { .. }
            | ConnectError::TrustUnreadable { .. } => Step::Tls,
            ConnectError::Foreign {
                foreign: ptvsd_wire::handshake::Foreign::Tls,
                ..
            } => Step::Tls,
            ConnectError::WrongSecret { .. } => Step::Secret,
            ConnectError::AlreadyAttached { .. } => Step::Attach,
            _ => match stage {
                Stage::Resolving => Step::Name,
                Stage::Connecting => Step::Port,
                Stage::Tls => Step::Tls,
                Stage::Greeting => Step::Dialect,
                Stage::Authentication | Stage::Info => Step::Secret,
                Stage::Attach | Stage::Visit => Step::Attach,
            },
        }
    }
}

/// What was found at a step.
#[derive(Debug)]
pub enum Finding {
    /// It is right.
    Right(Fact),
    /// It is not; the text says what to do.
    Wrong(ConnectError),
    /// It was not looked at.
    NotTried(NotTried),
}

/// What is so.
#[derive(Debug)]
pub enum Fact {
    /// The host's addresses, in the order in which they are tried.
    Addresses(Vec<std::net::SocketAddr>),
    /// Somebody accepts connections.
    Open,
    /// The channel.
    Encrypted(Channel),
    /// There is no TLS, and there is to be none.
    Plain,
    /// The server.
    Speaks(Dialect),
    /// The secret was accepted.
    Admitted,
    /// A debugger was attached, and has detached.
    Attached,
}

/// Why a step was not tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotTried {
    /// One before it went wrong.
    NotReached,
    /// The secret does not go through a channel that is not believed.
    NotTrusted,
    /// Nobody asked for it, and the answer cannot be had otherwise.
    NotAsked,
}

/// Looks at a target: what was found at each of [`Step::ALL`]. `attach` allows
/// the last. Each connection has `limit`.
pub async fn examine(target: &Target, limit: Duration, attach: bool) -> Vec<(Step, Finding)> {
    let mut findings = Vec::new();
    look(target, limit, attach, &mut findings).await;
    for step in Step::ALL.into_iter().skip(findings.len()) {
        findings.push((step, Finding::NotTried(NotTried::NotReached)));
    }
    findings
}

/// As far as one can get.
async fn look(target: &Target, limit: Duration, attach: bool, findings: &mut Vec<(Step, Finding)>) {
    let resolved = timeout(limit, resolve(target)).await;
    match resolved.unwrap_or_else(|_| {
        Err(ConnectError::TimedOut {
            target: target.clone(),
            stage: Stage::Resolving,
            limit,
        })
    }) {
        Ok(addresses) => right(findings, Step::Name, Fact::Addresses(addresses)),
        Err(error) => return findings.push((Step::Name, Finding::Wrong(error))),
    }

    let mut connection = Connection::new(Route::to(target), limit);
    let outcome = timeout(limit, connection.ask_secret()).await;
    let (stage, dialect) = (connection.stage, connection.dialect);
    let channel = connection.channel.take();
    let outcome = connection.finish(outcome, limit);
    let wrong = outcome.as_ref().err().map(|error| Step::of(error, stage));
    let is_right = |step| wrong.is_none_or(|wrong| step < wrong);
    if is_right(Step::Port) {
        right(findings, Step::Port, Fact::Open);
    }
    if is_right(Step::Tls) {
        let fact = channel.map_or(Fact::Plain, Fact::Encrypted);
        right(findings, Step::Tls, fact);
    }
    if let (true, Some(dialect)) = (is_right(Step::Dialect), dialect) {
        right(findings, Step::Dialect, Fact::Speaks(dialect));
    }
    match (outcome, wrong) {
        (Ok(_), _) | (_, None) => right(findings, Step::Secret, Fact::Admitted),
        (Err(error), Some(step)) => {
            let is_distrust = matches!(error, ConnectError::Untrusted { .. });
            findings.push((step, Finding::Wrong(error)));
            if is_distrust {
                look_past_distrust(target, limit, findings).await;
            }
            return;
        }
    }

    findings.push((
        Step::Attach,
        if attach {
            match attach_and_leave(target, limit).await {
                Ok(()) => Finding::Right(Fact::Attached),
                Err(error) => Finding::Wrong(error),
            }
        } else {
            Finding::NotTried(NotTried::NotAsked)
        },
    ));
}

fn right(findings: &mut Vec<(Step, Finding)>, step: Step, fact: Fact) {
    findings.push((step, Finding::Right(fact)));
}

/// Who it is that is not believed, as far as can be heard without a word of
/// ours.
async fn look_past_distrust(target: &Target, limit: Duration, findings: &mut Vec<(Step, Finding)>) {
    let mut listener = target.clone();
    listener.tls.verify = false;
    listener.secret = Secret::default();
    let mut connection = Connection::new(Route::to(&listener), limit);
    let outcome = timeout(limit, connection.ask_dialect()).await;
    findings.push((
        Step::Dialect,
        match connection.finish(outcome, limit) {
            Ok(dialect) => Finding::Right(Fact::Speaks(dialect)),
            Err(error) => Finding::Wrong(error),
        },
    ));
    findings.push((Step::Secret, Finding::NotTried(NotTried::NotTrusted)));
}
