//! Breakpoints: the editor's, and what became of each in the program.

use std::collections::{BTreeMap, HashMap};

use dap_wire::events::{self, BreakpointBody};
use dap_wire::requests::{
    SetBreakpoints, SetBreakpointsArguments, SetBreakpointsResponse, SetFunctionBreakpoints,
    SetFunctionBreakpointsArguments, SetFunctionBreakpointsResponse,
};
use dap_wire::types::{self, BreakpointEventReason, BreakpointReason, Source};
use futures_util::future::join_all;
use ptvsd_client::Binding;
use ptvsd_wire::{BreakpointCondition, BreakpointId, Language, PassCount, SetBreakpoint};

use crate::answer::Answer;
use crate::changes::Change;
use crate::files::{Files, Remote};
use crate::session::{Phase, Session};

/// All breakpoints of a session, by source file.
#[derive(Debug)]
pub(crate) struct Breakpoints {
    sources: BTreeMap<String, Vec<Breakpoint>>,
    next_id: i64,
    /// The server's number of each that was sent, and of those that another
    /// has replaced.
    sent: HashMap<BreakpointId, i64>,
    next_sent: i64,
}

#[derive(Debug, Clone)]
struct Breakpoint {
    /// The editor's number.
    id: i64,
    /// In Python's counting: the one that was asked for, or the next that has
    /// code.
    line: i64,
    /// There is code at that line or behind it.
    has_code: bool,
    /// Where it was sent to; absent while no program is attached, or when it
    /// could be meant for several files.
    sent: Option<Sent>,
    status: Status,
}

#[derive(Debug, Clone)]
struct Sent {
    id: BreakpointId,
    remote: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Status {
    /// It can hit.
    Verified,
    /// It may, later.
    Pending(String),
    /// It cannot.
    Failed(String),
}

/// The line and the status of breakpoints, by the editor's number.
type Statuses = HashMap<i64, (i64, Status)>;

impl Default for Breakpoints {
    fn default() -> Self {
        Breakpoints {
            sources: BTreeMap::new(),
            next_id: 1,
            sent: HashMap::new(),
            next_sent: first_number(),
        }
    }
}

/// Where a session's numbers begin: somewhere else each time, because servers
/// remember breakpoints of earlier sessions under theirs.
fn first_number() -> i64 {
    use std::hash::{BuildHasher, Hasher};
    // Seeded by the system, anew for each process and each instance.
    let random = std::hash::RandomState::new().build_hasher().finish();
    1 + i64::from(u32::try_from(random >> 40).unwrap_or(0)) * 64
}

impl Breakpoints {
    /// Whether a hit is of a breakpoint that is set now.
    pub(crate) fn knows(&self, id: BreakpointId) -> bool {
        self.hit(id).is_some()
    }

    /// The editor's number of the breakpoint that was hit, and its file.
    pub(crate) fn hit(&self, id: BreakpointId) -> Option<(i64, String)> {
        let id = self.sent.get(&id)?;
        self.sources.iter().find_map(|(path, breakpoints)| {
            let found = breakpoints.iter().any(|breakpoint| breakpoint.id == *id);
            found.then(|| (*id, path.clone()))
        })
    }

    fn get_mut(&mut self, path: &str, id: i64) -> Option<&mut Breakpoint> {
        self.sources
            .get_mut(path)?
            .iter_mut()
            .find(|breakpoint| breakpoint.id == id)
    }
}

impl Session {
    /// Replaces the breakpoints of a file. Those that stay are left alone.
    pub(crate) fn set_breakpoints(
        &mut self,
        arguments: SetBreakpointsArguments,
        answer: Answer<SetBreakpoints>,
    ) {
        let lines: Vec<i64> = match (&arguments.breakpoints, &arguments.lines) {
            (Some(breakpoints), _) => breakpoints.iter().map(|b| b.line).collect(),
            (None, Some(lines)) => lines.clone(),
            (None, None) => Vec::new(),
        };
        let Some(path) = self.path_of(&arguments.source) else {
            return answer.ok(without_path(&arguments.source, lines.len()));
        };
        let lines = lines
            .into_iter()
            .map(|line| self.editor.python_line(line))
            .collect();
        self.change(path, Change::Set(lines, answer));
    }

    pub(crate) fn set_lines(
        &mut self,
        path: &str,
        lines: Vec<i64>,
        answer: Answer<SetBreakpoints>,
    ) {
        let mut old = self.breakpoints.sources.remove(path).unwrap_or_default();
        let mut new = Vec::new();
        for line in lines {
            let (line, has_code) = self.changes.place(path, line);
            let kept = old
                .iter()
                .position(|old| (old.line, old.has_code) == (line, has_code));
            let breakpoint = match kept {
                Some(at) => old.swap_remove(at),
                None => {
                    let id = self.breakpoints.next_id;
                    self.breakpoints.next_id += 1;
                    Breakpoint {
                        id,
                        line,
                        has_code,
                        sent: None,
                        status: before_sending(path, has_code),
                    }
                }
            };
            new.push(breakpoint);
        }
        for removed in old {
            self.unsend(removed);
        }
        let asked: Vec<Breakpoint> = new.clone();
        self.breakpoints.sources.insert(path.to_owned(), new);
        let bindings = self.send_breakpoints(path);
        let path = path.to_owned();
        self.when_done(bindings, move |session, bindings| {
            session.note_bindings(&path, bindings);
            answer.ok(session.what_became_of(&path, &asked));
        });
    }

    /// Breakpoints that were set when nobody knew which lines have code.
    pub(crate) fn move_and_send(&mut self, path: &str) {
        let before = self.statuses(path);
        let mut of_source = self.breakpoints.sources.remove(path).unwrap_or_default();
        for breakpoint in &mut of_source {
            let (line, has_code) = self.changes.place(path, breakpoint.line);
            breakpoint.line = line;
            breakpoint.has_code = has_code;
            breakpoint.status = before_sending(path, has_code);
        }
        self.breakpoints.sources.insert(path.to_owned(), of_source);
        self.resend(path.to_owned(), before);
    }

    pub(crate) fn set_function_breakpoints(
        &mut self,
        arguments: SetFunctionBreakpointsArguments,
        answer: Answer<SetFunctionBreakpoints>,
    ) {
        answer.ok(SetFunctionBreakpointsResponse {
            breakpoints: arguments
                .breakpoints
                .iter()
                .map(|_| failed("function breakpoints are not supported"))
                .collect(),
        });
    }

    /// A program was attached: it gets what the editor has set before.
    pub(crate) fn send_all_breakpoints(&mut self) {
        let paths: Vec<String> = self.breakpoints.sources.keys().cloned().collect();
        for path in paths {
            self.change(path, Change::Send);
        }
    }

    /// A module was loaded: breakpoints that are meant for it are sent with
    /// its path, so that the server binds them.
    pub(crate) fn retry_breakpoints(&mut self, module: &str) {
        let paths: Vec<String> = self
            .breakpoints
            .sources
            .iter()
            // Those that are about to change are sent then.
            .filter(|(path, _)| !self.changes.concern(path))
            .filter(|(_, breakpoints)| {
                breakpoints.iter().any(|breakpoint| {
                    let sent = breakpoint.sent.as_ref();
                    sent.is_none_or(|sent| sent.remote != module)
                })
            })
            .map(|(path, _)| path.clone())
            .collect();
        for path in paths {
            let Ok(program) = self.program() else {
                return;
            };
            if program.files.remote_of(&path) == Remote::Loaded(module.to_owned()) {
                let before = self.statuses(&path);
                self.resend(path, before);
            }
        }
    }

    fn resend(&mut self, path: String, before: Statuses) {
        let bindings = self.send_breakpoints(&path);
        self.when_done(bindings, move |session, bindings| {
            session.note_bindings(&path, bindings);
            session.report_changes(&path, &before);
        });
    }

    /// The server has bound a breakpoint that was pending.
    pub(crate) fn breakpoint_bound(&mut self, id: BreakpointId) {
        let Some((id, path)) = self.breakpoints.hit(id) else {
            return;
        };
        let before = self.statuses(&path);
        if let Some(breakpoint) = self.breakpoints.get_mut(&path, id) {
            breakpoint.status = Status::Verified;
        }
        self.report_changes(&path, &before);
    }

    /// Sends the breakpoints of a file that are not with the server, or are
    /// there for another file than is known now.
    fn send_breakpoints(
        &mut self,
        path: &str,
    ) -> impl Future<Output = Vec<(i64, Binding)>> + Send + 'static + use<> {
        let mut pending = Vec::new();
        let mut replaced = Vec::new();
        let Session {
            phase, breakpoints, ..
        } = self;
        if let (Phase::Attached(program), Some(of_source)) =
            (phase, breakpoints.sources.get_mut(path))
        {
            let target = program.files.remote_of(path);
            for breakpoint in of_source.iter_mut().filter(|b| b.has_code) {
                let remote = match &target {
                    Remote::Loaded(remote) | Remote::Expected(remote) => remote.clone(),
                    Remote::Ambiguous(files) => {
                        breakpoint.status = Status::Failed(ambiguous(files));
                        replaced.extend(breakpoint.sent.take());
                        continue;
                    }
                };
                if let Some(sent) = &breakpoint.sent {
                    if sent.remote == remote {
                        continue;
                    }
                    replaced.push(sent.clone());
                }
                let id = BreakpointId(breakpoints.next_sent);
                breakpoints.next_sent += 1;
                breakpoints.sent.insert(id, breakpoint.id);
                breakpoint.sent = Some(Sent {
                    id,
                    remote: remote.clone(),
                });
                breakpoint.status = before_binding(&program.files, path, &target);
                let binding = program.debuggee.set_breakpoint(SetBreakpoint {
                    id,
                    line: breakpoint.line,
                    file: remote.into(),
                    language: Language::Python,
                    condition: BreakpointCondition::Always,
                    pass_count: PassCount::Always,
                });
                let editors = breakpoint.id;
                pending.push(async move { (editors, binding.await) });
            }
            // Their numbers are kept: the program does not wait for us, and may
            // have hit one of them already.
            for sent in replaced {
                program.debuggee.remove_breakpoint(sent.id);
            }
        }
        join_all(pending)
    }

    fn unsend(&mut self, breakpoint: Breakpoint) {
        self.breakpoints.sent.retain(|_, of| *of != breakpoint.id);
        if let Some(sent) = breakpoint.sent
            && let Ok(program) = self.program()
        {
            program.debuggee.remove_breakpoint(sent.id);
        }
    }

    fn note_bindings(&mut self, path: &str, bindings: Vec<(i64, Binding)>) {
        for (id, binding) in bindings {
            if let Some(breakpoint) = self.breakpoints.get_mut(path, id)
                && binding == Binding::Bound
            {
                breakpoint.status = Status::Verified;
            }
        }
    }

    /// In the order of the request, which another may have overtaken.
    fn what_became_of(&self, path: &str, asked: &[Breakpoint]) -> SetBreakpointsResponse {
        let now = self.breakpoints.sources.get(path);
        SetBreakpointsResponse {
            breakpoints: asked
                .iter()
                .map(|asked| {
                    let now = now.into_iter().flatten().find(|now| now.id == asked.id);
                    self.render(path, now.unwrap_or(asked))
                })
                .collect(),
        }
    }

    fn statuses(&self, path: &str) -> Statuses {
        let of_source = self.breakpoints.sources.get(path);
        of_source
            .into_iter()
            .flatten()
            .map(|breakpoint| (breakpoint.id, (breakpoint.line, breakpoint.status.clone())))
            .collect()
    }

    fn report_changes(&self, path: &str, before: &Statuses) {
        for breakpoint in self.breakpoints.sources.get(path).into_iter().flatten() {
            let now = (breakpoint.line, breakpoint.status.clone());
            if before.get(&breakpoint.id) != Some(&now) {
                self.outbox.event::<events::Breakpoint>(BreakpointBody {
                    reason: BreakpointEventReason::Changed,
                    breakpoint: self.render(path, breakpoint),
                });
            }
        }
    }

    fn render(&self, path: &str, breakpoint: &Breakpoint) -> types::Breakpoint {
        let (message, reason) = match &breakpoint.status {
            Status::Verified => (None, None),
            Status::Pending(why) => (Some(why.clone()), Some(BreakpointReason::Pending)),
            Status::Failed(why) => (Some(why.clone()), Some(BreakpointReason::Failed)),
        };
        types::Breakpoint {
            verified: breakpoint.status == Status::Verified,
            id: Some(breakpoint.id),
            line: Some(self.editor.line(breakpoint.line)),
            source: Some(self.shown(path)),
            message,
            reason,
            ..types::Breakpoint::default()
        }
    }
}

/// What is known of a breakpoint that the server has not heard of.
fn before_sending(path: &str, has_code: bool) -> Status {
    if has_code {
        Status::Pending("it is sent to the program when one is attached".to_owned())
    } else {
        Status::Failed(format!(
            "no code in {} at this line or below it: set the breakpoint further up",
            crate::files::file_name(path)
        ))
    }
}

/// What is known of a breakpoint before the server has said anything. One for
/// a module that is loaded can hit even if the server does not bind it: on
/// Python 2 it knows the module by its compiled file.
fn before_binding(files: &Files, path: &str, target: &Remote) -> Status {
    match target {
        Remote::Loaded(_) => Status::Verified,
        _ if files.has_mappings() => Status::Pending(
            "no module with this file is loaded yet (see pathMappings if one should be)".to_owned(),
        ),
        _ => Status::Pending(format!(
            "no module with a file named {} is loaded yet",
            crate::files::file_name(path)
        )),
    }
}

fn ambiguous(files: &[String]) -> String {
    format!(
        "several files of the program could be meant: {}. Add pathMappings to the attach \
         configuration.",
        files.join(", ")
    )
}

fn without_path(source: &Source, count: usize) -> SetBreakpointsResponse {
    let name = source.name.as_deref().unwrap_or("this source");
    SetBreakpointsResponse {
        breakpoints: (0..count)
            .map(|_| failed(&format!("{name} has no path")))
            .collect(),
    }
}

pub(crate) fn failed(why: &str) -> types::Breakpoint {
    types::Breakpoint {
        verified: false,
        message: Some(why.to_owned()),
        reason: Some(BreakpointReason::Failed),
        ..types::Breakpoint::default()
    }
}
