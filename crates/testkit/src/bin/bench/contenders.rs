//! Who is measured, and how each does the same.

use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use legacy_host::Program;
use serde_json::{Value, json};
use testkit::editor::{array, integer, named};
use testkit::programs::COUNTING;
use testkit::raw_client::Manner;

use crate::hosts::{Host, Hosts};
use crate::lean_editor::LeanEditor;
use crate::raw_session::RawSession;
use crate::{EVALUATIONS, EXPANSIONS, NAIVE, SELDOM, STEPS, Times, relay};

/// Expands to a list of a thousand.
const LIST: &str = "numbers";
const EXPRESSION: &str = "double + 1";

/// Who does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Contender {
    Raw { agent: bool },
    Relayed { agent: bool },
    Adapter { agent: bool, tls: bool },
    Naive,
}

impl Contender {
    /// Those that are compared stand side by side.
    pub(crate) const ALL: [Contender; 9] = [
        Contender::Raw { agent: false },
        Contender::Relayed { agent: false },
        Contender::plain_adapter(false),
        Contender::encrypted_adapter(false),
        Contender::Raw { agent: true },
        Contender::Relayed { agent: true },
        Contender::plain_adapter(true),
        Contender::encrypted_adapter(true),
        Contender::Naive,
    ];

    /// Those of a round, in its order: every other round is run backwards, so
    /// that what comes after something else does so as often as before it.
    pub(crate) fn of_round(round: usize) -> Vec<Contender> {
        let mut contenders = Self::ALL.to_vec();
        if !round.is_multiple_of(SELDOM) {
            contenders.retain(|contender| !contender.is_seldom());
        }
        if round % 2 == 1 {
            contenders.reverse();
        }
        contenders
    }

    fn is_seldom(self) -> bool {
        matches!(
            self,
            Contender::Naive | Contender::Adapter { tls: true, .. }
        )
    }

    /// The adapter at a server that speaks plain text.
    pub(crate) const fn plain_adapter(agent: bool) -> Contender {
        Contender::Adapter { agent, tls: false }
    }

    /// The adapter at a server that speaks TLS.
    pub(crate) const fn encrypted_adapter(agent: bool) -> Contender {
        Contender::Adapter { agent, tls: true }
    }

    /// One round, from an attach to a detach; `None` where there is no server
    /// for it.
    pub(crate) fn run(self, hosts: &Hosts, adapter: &Path) -> Result<Option<Times>> {
        let plain = &hosts.plain;
        let times = match self {
            Contender::Raw { agent } => raw(&plain.program, Manner::Careful, agent)?,
            Contender::Relayed { agent } => relayed(&plain.program, agent)?,
            Contender::Naive => raw(&plain.program, Manner::Naive, false)?,
            Contender::Adapter { agent, tls: false } => through_adapter(plain, adapter, agent)?,
            Contender::Adapter { agent, tls: true } => match &hosts.encrypted {
                Ok(encrypted) => through_adapter(encrypted, adapter, agent)?,
                Err(_) => return Ok(None),
            },
        };
        Ok(Some(times))
    }
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Contender::Raw { agent: false } => "raw client",
            Contender::Raw { agent: true } => "raw client, agent",
            Contender::Relayed { agent: false } => "raw client behind pipes",
            Contender::Relayed { agent: true } => "raw client behind pipes, agent",
            Contender::Adapter {
                agent: false,
                tls: false,
            } => "adapter",
            Contender::Adapter {
                agent: false,
                tls: true,
            } => "adapter, TLS",
            Contender::Adapter {
                agent: true,
                tls: false,
            } => "adapter, agent",
            Contender::Adapter {
                agent: true,
                tls: true,
            } => "adapter, agent, TLS",
            Contender::Naive => "naive client",
        })
    }
}

fn raw(program: &Program, manner: Manner, agent: bool) -> Result<Times> {
    let mut session = RawSession::begin(program.port(), program.script(), manner, agent)?;
    let mut times = Times::default();
    let (steps, evaluations, expansions) = match manner {
        Manner::Careful => (STEPS, EVALUATIONS, EXPANSIONS),
        Manner::Naive => NAIVE,
    };
    for _ in 0..steps {
        let begun = Instant::now();
        session.step()?;
        times.step.push(begun.elapsed());
    }
    for _ in 0..evaluations {
        let begun = Instant::now();
        session.evaluate(EXPRESSION)?;
        times.evaluate.push(begun.elapsed());
    }
    for _ in 0..expansions {
        let begun = Instant::now();
        let children = session.expand(LIST)?;
        times.expand.push(begun.elapsed());
        ensure!(children.len() == 1000, "{} children", children.len());
    }
    session.end()?;
    Ok(times)
}

/// The same in another process, with pipes between.
fn relayed(program: &Program, agent: bool) -> Result<Times> {
    let (port, agent) = (program.port().to_string(), agent.to_string());
    let script = program
        .script()
        .to_str()
        .context("a path that is no text")?;
    let arguments = [relay::ARGUMENT, &port, script, &agent];
    let mut editor = LeanEditor::start(&std::env::current_exe()?, &arguments)?;
    editor.event("stopped")?;
    let times = Times {
        step: steps(&mut editor, &json!({}))?,
        evaluate: evaluations(&mut editor, &json!({"expression": EXPRESSION}))?,
        expand: expansions(&mut editor, &json!({"expression": LIST}))?,
    };
    editor.request("disconnect", &json!({}))?;
    editor.end()?;
    Ok(times)
}

fn through_adapter(host: &Host, adapter: &Path, agent: bool) -> Result<Times> {
    let mut editor = LeanEditor::start(adapter, &["dap"])?;
    editor.request("initialize", &json!({"adapterID": "ptvsd-bridge"}))?;
    editor.request("attach", &host.attach(agent))?;
    editor.event("initialized")?;
    let breakpoints = |lines: &[i64]| {
        let breakpoints: Vec<_> = lines.iter().map(|line| json!({"line": line})).collect();
        json!({"source": {"path": host.program.script()}, "breakpoints": breakpoints})
    };
    let begin = breakpoints(&[COUNTING.line("begin")]);
    editor.request("setBreakpoints", &begin)?;
    editor.request("configurationDone", &json!({}))?;
    let thread = integer(&editor.event("stopped")?, "/body/threadId")?;
    editor.request("setBreakpoints", &breakpoints(&[]))?;
    let step = steps(&mut editor, &json!({"threadId": thread}))?;
    let stack = editor.request("stackTrace", &json!({"threadId": thread}))?;
    let frame = integer(&stack, "/body/stackFrames/0/id")?;
    let watch = json!({"expression": EXPRESSION, "frameId": frame, "context": "watch"});
    let evaluate = evaluations(&mut editor, &watch)?;
    let scopes = editor.request("scopes", &json!({"frameId": frame}))?;
    let locals = integer(&scopes, "/body/scopes/0/variablesReference")?;
    let locals = editor.request("variables", &json!({"variablesReference": locals}))?;
    let locals = array(&locals, "/body/variables");
    let list = integer(named(&locals, LIST)?, "/variablesReference")?;
    let expand = expansions(&mut editor, &json!({"variablesReference": list}))?;
    editor.request("disconnect", &json!({}))?;
    editor.event("terminated")?;
    editor.end()?;
    Ok(Times {
        step,
        evaluate,
        expand,
    })
}

fn steps(editor: &mut LeanEditor, next: &Value) -> Result<Vec<Duration>> {
    let mut times = Vec::new();
    for _ in 0..STEPS {
        let begun = Instant::now();
        editor.request("next", next)?;
        editor.event("stopped")?;
        times.push(begun.elapsed());
    }
    Ok(times)
}

fn evaluations(editor: &mut LeanEditor, evaluate: &Value) -> Result<Vec<Duration>> {
    let mut times = Vec::new();
    for _ in 0..EVALUATIONS {
        let begun = Instant::now();
        editor.request("evaluate", evaluate)?;
        times.push(begun.elapsed());
    }
    Ok(times)
}

fn expansions(editor: &mut LeanEditor, variables: &Value) -> Result<Vec<Duration>> {
    let mut times = Vec::new();
    for _ in 0..EXPANSIONS {
        let begun = Instant::now();
        let answer = editor.request_unread("variables", variables)?;
        times.push(begun.elapsed());
        let answer: Value = serde_json::from_slice(&answer)?;
        let children = array(&answer, "/body/variables");
        ensure!(children.len() == 1000, "{} children", children.len());
    }
    Ok(times)
}
