//! Exceptions: which stop the program, and what the editor is told of one.

use std::collections::BTreeMap;
use std::time::Duration;

use dap_wire::requests::{
    ExceptionInfo, ExceptionInfoArguments, ExceptionInfoResponse, SetExceptionBreakpoints,
    SetExceptionBreakpointsArguments, SetExceptionBreakpointsResponse,
};
use dap_wire::types::{
    self, ExceptionBreakMode, ExceptionBreakpointsFilter, ExceptionDetails, ExceptionOptions,
};
use debuggee_agent::traceback_in_frame;
use ptvsd_client::{EvaluateError, StoppedThread};
use ptvsd_wire::{Dialect, ExceptionMode, ExceptionReport, Frame, Object, PyText, ReprKind};
use tokio::time::timeout;

use crate::Failure;
use crate::answer::Answer;
use crate::breakpoints::failed;
use crate::expression::unescaped;
use crate::handlers::{FROZEN, is_import_machinery};
use crate::program::Program;
use crate::session::Session;

/// The filters, as debugpy has them.
const RAISED: &str = "raised";
const UNCAUGHT: &str = "uncaught";

/// They end iterations and generators. What handles them is no `except`
/// clause as a rule, so that a server takes them for unhandled.
const CONTROL_FLOW: [&str; 3] = ["StopIteration", "StopAsyncIteration", "GeneratorExit"];

/// How long the program may take to tell a traceback, before the frames that
/// are known are shown instead.
const TRACEBACK_LIMIT: Duration = Duration::from_secs(2);

/// What the editor can choose from.
pub(crate) fn filters() -> Vec<ExceptionBreakpointsFilter> {
    vec![
        ExceptionBreakpointsFilter {
            filter: RAISED.to_owned(),
            label: "Raised Exceptions".to_owned(),
            description: Some("Stop whenever an exception is raised.".to_owned()),
            default: Some(false),
            ..ExceptionBreakpointsFilter::default()
        },
        ExceptionBreakpointsFilter {
            filter: UNCAUGHT.to_owned(),
            label: "Uncaught Exceptions".to_owned(),
            description: Some(
                "Stop where an exception is raised that no except clause handles.".to_owned(),
            ),
            default: Some(true),
            ..ExceptionBreakpointsFilter::default()
        },
    ]
}

/// What the editor has chosen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Exceptions {
    default: Mode,
    named: Vec<(String, Mode)>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Mode {
    raised: bool,
    uncaught: bool,
}

impl Mode {
    fn of(mode: &ExceptionBreakMode) -> Mode {
        Mode {
            raised: matches!(mode, ExceptionBreakMode::Always),
            uncaught: matches!(
                mode,
                ExceptionBreakMode::Unhandled | ExceptionBreakMode::UserUnhandled
            ),
        }
    }

    fn add(&mut self, other: Mode) {
        self.raised |= other.raised;
        self.uncaught |= other.uncaught;
    }

    fn for_server(self) -> ExceptionMode {
        let flag = |on: bool, mode: ExceptionMode| if on { mode.0 } else { 0 };
        ExceptionMode(
            flag(self.raised, ExceptionMode::ALWAYS)
                | flag(self.uncaught, ExceptionMode::UNHANDLED),
        )
    }
}

impl Exceptions {
    /// Takes one of the filters; whether there is such a one.
    fn add_filter(&mut self, filter: &str) -> bool {
        match filter {
            RAISED => self.default.raised = true,
            UNCAUGHT => self.default.uncaught = true,
            _ => return false,
        }
        true
    }

    /// Takes a rule for a part of the tree of exceptions, of which the first
    /// level is the language, and the last names.
    fn add_option(&mut self, option: &ExceptionOptions) -> Result<(), &'static str> {
        let path = option.path.as_deref().unwrap_or_default();
        if path.iter().any(|segment| segment.negate == Some(true)) {
            return Err("\"all but these\" is not supported");
        }
        let mode = Mode::of(&option.break_mode);
        match path {
            [] | [_] => self.default.add(mode),
            [_, .., names] => {
                let names = names.names.iter();
                self.named.extend(names.map(|name| (name.clone(), mode)));
            }
        }
        Ok(())
    }

    /// As a server is told. It forgets what it was told before.
    pub(crate) fn for_server(
        &self,
        dialect: Dialect,
    ) -> (ExceptionMode, Vec<(PyText, ExceptionMode)>) {
        let default = self.default.for_server();
        let mut named: BTreeMap<String, ExceptionMode> = BTreeMap::new();
        if default != ExceptionMode::NEVER {
            for name in CONTROL_FLOW {
                named.extend(names_of(name, dialect).map(|name| (name, ExceptionMode::NEVER)));
            }
        }
        for (name, mode) in &self.named {
            named.extend(names_of(name, dialect).map(|name| (name, mode.for_server())));
        }
        let named = named
            .into_iter()
            .map(|(name, mode)| (PyText::from(name), mode))
            .collect();
        (default, named)
    }

    /// What was chosen for the exception of a report.
    fn mode_of(&self, report: &ExceptionReport) -> Mode {
        let name = without_builtins(&report.type_name.display()).to_owned();
        self.named
            .iter()
            .rev()
            .find(|(named, _)| *named == name)
            .map_or(self.default, |(_, mode)| *mode)
    }
}

/// How a server may know an exception: up to dialect 5 built-in ones have
/// their module's name, which is another in Python 2 than in Python 3.
fn names_of(name: &str, dialect: Dialect) -> impl Iterator<Item = String> + use<> {
    let bare = without_builtins(name).to_owned();
    let with_module = dialect < Dialect::V6 && !bare.contains('.');
    let prefixed = BUILTINS.map(|module| format!("{module}{bare}"));
    prefixed
        .into_iter()
        .filter(move |_| with_module)
        .chain([bare])
}

/// The module of the built-in exceptions: Python 2's and Python 3's.
const BUILTINS: [&str; 2] = ["exceptions.", "builtins."];

fn without_builtins(name: &str) -> &str {
    BUILTINS
        .iter()
        .find_map(|module| name.strip_prefix(module))
        .unwrap_or(name)
}

/// A type's name without its module's.
fn short_name(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

impl Session {
    pub(crate) fn set_exception_breakpoints(
        &mut self,
        arguments: SetExceptionBreakpointsArguments,
        answer: Answer<SetExceptionBreakpoints>,
    ) {
        let mut exceptions = Exceptions::default();
        let mut breakpoints = Vec::new();
        for filter in &arguments.filters {
            breakpoints.push(if exceptions.add_filter(filter) {
                verified()
            } else {
                failed(&format!("there is no filter {filter:?}"))
            });
        }
        for option in arguments.filter_options.iter().flatten() {
            let known = exceptions.add_filter(&option.filter_id);
            breakpoints.push(match &option.condition {
                _ if !known => failed(&format!("there is no filter {:?}", option.filter_id)),
                Some(_) => types::Breakpoint {
                    message: Some("the condition has no effect".to_owned()),
                    ..verified()
                },
                None => verified(),
            });
        }
        for option in arguments.exception_options.iter().flatten() {
            breakpoints.push(match exceptions.add_option(option) {
                Ok(()) => verified(),
                Err(why) => failed(why),
            });
        }
        self.exceptions = exceptions;
        let told = self.send_exceptions();
        self.when_done(told, move |_, ()| {
            answer.ok(SetExceptionBreakpointsResponse {
                breakpoints: (!breakpoints.is_empty()).then_some(breakpoints),
            });
        });
    }

    /// Says which exceptions stop the program, if one is attached. Until the
    /// editor has chosen, none does: the server's own default, or what an
    /// earlier debugger has left there, is of no interest.
    pub(crate) fn send_exceptions(&mut self) -> impl Future<Output = ()> + Send + use<> {
        let exceptions = self.exceptions.clone();
        let told = self.program().ok().map(|program| {
            let (default, named) = exceptions.for_server(program.debuggee.dialect());
            program.debuggee.set_exceptions(default, named)
        });
        async move {
            if let Some(told) = told {
                told.await;
            }
        }
    }

    /// Whether an exception is the editor's business.
    pub(crate) fn is_exception_reported(
        &mut self,
        thread: StoppedThread,
        report: &ExceptionReport,
    ) -> bool {
        let mode = self.exceptions.mode_of(report);
        let Ok(program) = self.program() else {
            return false;
        };
        // A server that was just told so may still report what does not stop.
        if mode == Mode::default() || is_exit_without_failure(program, report) {
            return false;
        }
        // Newer Pythons have parts of their library frozen in, which the
        // servers take for the program's own code. What is reported when it
        // is raised is so once more for the code that has called that.
        let top = program.frames_of(thread).first();
        if let Some(file) = top.map(|top| top.file.display().into_owned())
            && file.starts_with(FROZEN)
        {
            return !mode.raised && !is_import_machinery(&file);
        }
        if !mode.raised && top.is_some_and(|top| is_for_interpreter(report, top)) {
            return false;
        }
        let raised = Raised::of(report, program.frames_of(thread));
        let id = program.threads.id_of(thread.thread());
        let is_on_its_way = mode.raised
            && report.break_type != UNHANDLED
            && program
                .raised
                .get(&id)
                .is_some_and(|before| before.reaches(&raised));
        program.raised.insert(id, raised);
        !is_on_its_way
    }

    pub(crate) fn exception_info(
        &mut self,
        arguments: ExceptionInfoArguments,
        answer: Answer<ExceptionInfo>,
    ) {
        let program = match self.program() {
            Ok(program) => program,
            Err(failure) => return answer.fail(failure),
        };
        let id = arguments.thread_id;
        if let Err(failure) = program.threads.get(id) {
            return answer.fail(failure);
        }
        let Some((thread, report)) = program.exceptions.get(&id).cloned() else {
            return answer.fail(Failure::NoException);
        };
        let repr = if program.debuggee.dialect().has_object_length() {
            ReprKind::Raw
        } else {
            ReprKind::Normal
        };
        let frames = program.frames_of(thread).to_vec();
        let place = frames.first().map(|top| thread.frame(0, top.kind()));
        let told = place.map(|place| {
            program
                .debuggee
                .evaluate(place, &traceback_in_frame(), repr)
        });
        let told = async move {
            match told {
                Some(told) => timeout(TRACEBACK_LIMIT, told).await.ok(),
                None => None,
            }
        };
        self.when_done(told, move |session, told| {
            let trace = traceback(told, repr).unwrap_or_else(|| frames_as_text(&frames, &report));
            answer.ok(session.describe_exception(&report, trace));
        });
    }

    fn describe_exception(
        &self,
        report: &ExceptionReport,
        stack_trace: String,
    ) -> ExceptionInfoResponse {
        let name = report.type_name.to_string();
        let mode = self.exceptions.mode_of(report);
        let unhandled = mode.uncaught && (report.break_type == UNHANDLED || !mode.raised);
        ExceptionInfoResponse {
            exception_id: name.clone(),
            description: Some(description(report)),
            break_mode: if unhandled {
                ExceptionBreakMode::Unhandled
            } else {
                ExceptionBreakMode::Always
            },
            details: Some(ExceptionDetails {
                message: Some(report.message.to_string()),
                type_name: Some(short_name(&name).to_owned()),
                full_type_name: Some(name),
                evaluate_name: report
                    .value_name
                    .as_ref()
                    .map(|local| format!("{local}['exception']")),
                stack_trace: Some(stack_trace),
                inner_exception: None,
            }),
        }
    }
}

/// An exception that a thread was seen to raise, and where it was by then.
#[derive(Debug)]
pub(crate) struct Raised {
    type_name: PyText,
    message: PyText,
    /// File and function of each frame, the top first.
    frames: Vec<(PyText, PyText)>,
}

impl Raised {
    fn of(report: &ExceptionReport, frames: &[Frame]) -> Raised {
        Raised {
            type_name: report.type_name.clone(),
            message: report.message.clone(),
            frames: frames
                .iter()
                .map(|frame| (frame.file.clone(), frame.function.clone()))
                .collect(),
        }
    }

    /// Whether the other is this one on its way out: a server that reports
    /// what is raised does so once for each frame that it leaves.
    fn reaches(&self, other: &Raised) -> bool {
        self.type_name == other.type_name
            && self.message == other.message
            && self.frames.len() > other.frames.len()
            && self.frames.ends_with(&other.frames)
    }
}

/// The break type of an exception that nothing handles.
const UNHANDLED: i64 = 1;

/// What a person reads of an exception.
pub(crate) fn description(report: &ExceptionReport) -> String {
    let text = if report.message.is_empty() {
        &report.type_name
    } else {
        &report.message
    };
    text.to_string()
}

/// Whether an exception is what a method tells the interpreter with, which
/// handles it in no source: for `hasattr()`, or at the end of a loop.
fn is_for_interpreter(report: &ExceptionReport, top: &Frame) -> bool {
    let methods: &[&str] = match without_builtins(&report.type_name.display()) {
        "AttributeError" => &["__getattr__", "__getattribute__"],
        "IndexError" => &["__getitem__"],
        _ => &[],
    };
    methods.contains(&&*top.function.display())
}

/// `sys.exit()` on Python 2: up to release 2.2 the servers know only a code of
/// 0 for what it is.
fn is_exit_without_failure(program: &Program, report: &ExceptionReport) -> bool {
    !program.configuration.break_on_system_exit_zero
        && without_builtins(&report.type_name.display()) == "SystemExit"
        && report.message == *"None"
}

impl Program {
    fn frames_of(&mut self, thread: StoppedThread) -> &[Frame] {
        let id = self.threads.id_of(thread.thread());
        let known = self.threads.get(id).ok();
        match known.and_then(|known| known.stack_at(thread)) {
            Some((_, frames)) => frames,
            None => &[],
        }
    }
}

/// What the program has told of the traceback, if it could.
fn traceback(told: Option<Result<Object, EvaluateError>>, repr: ReprKind) -> Option<String> {
    let object = match told? {
        Ok(object) => object,
        Err(error) => {
            tracing::debug!(%error, "no traceback");
            return None;
        }
    };
    let text = object.repr?.to_string();
    match repr {
        ReprKind::Raw | ReprKind::RawLength => Some(text),
        ReprKind::Normal => unescaped(&text),
    }
}

/// The same without the program's help.
fn frames_as_text(frames: &[Frame], report: &ExceptionReport) -> String {
    let mut text = String::new();
    for frame in frames {
        text.push_str(&format!(
            "  File \"{}\", line {}, in {}\n",
            frame.file, frame.line, frame.function
        ));
    }
    let name = report.type_name.display();
    text.push_str(&format!(
        "{}: {}\n",
        without_builtins(&name),
        report.message
    ));
    text
}

fn verified() -> types::Breakpoint {
    types::Breakpoint {
        verified: true,
        ..types::Breakpoint::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn chosen(filters: &[&str]) -> Exceptions {
        let mut exceptions = Exceptions::default();
        for filter in filters {
            assert!(exceptions.add_filter(filter));
        }
        exceptions
    }

    fn mode_of(exceptions: &Exceptions, name: &str, dialect: Dialect) -> i64 {
        let (default, named) = exceptions.for_server(dialect);
        let named = named.into_iter().find(|(known, _)| *known == *name);
        named.map_or(default, |(_, mode)| mode).0
    }

    #[test]
    fn filters_are_modes() {
        for (filters, mode) in [
            (&[][..], 0),
            (&[RAISED][..], 1),
            (&[UNCAUGHT][..], 32),
            (&[RAISED, UNCAUGHT][..], 33),
        ] {
            let exceptions = chosen(filters);
            assert_eq!(mode_of(&exceptions, "ValueError", Dialect::V6), mode);
            assert_eq!(mode_of(&exceptions, "StopIteration", Dialect::V6), 0);
        }
        assert_eq!(
            chosen(&[]).for_server(Dialect::V6),
            (ExceptionMode::NEVER, Vec::new())
        );
        assert!(!Exceptions::default().add_filter("userUnhandled"));
    }

    #[test]
    fn builtins_are_named_as_the_dialect_names_them() {
        let exceptions = chosen(&[RAISED]);
        for name in ["exceptions.StopIteration", "builtins.StopIteration"] {
            assert_eq!(mode_of(&exceptions, name, Dialect::V2), 0);
            assert_eq!(mode_of(&exceptions, name, Dialect::V6), 1);
        }
    }

    #[test]
    fn options_name_exceptions() {
        let options = json!([
            {"path": [{"names": ["Python Exceptions"]}], "breakMode": "unhandled"},
            {
                "path": [{"names": ["Python Exceptions"]}, {"names": ["KeyError", "a.Error"]}],
                "breakMode": "always",
            },
            {"path": [{"names": ["Python Exceptions"]}, {"names": ["OSError"]}], "breakMode": "never"},
        ]);
        let options: Vec<ExceptionOptions> = serde_json::from_value(options).unwrap();
        let mut exceptions = Exceptions::default();
        for option in &options {
            exceptions.add_option(option).unwrap();
        }
        for (name, mode) in [
            ("ValueError", 32),
            ("KeyError", 1),
            ("builtins.KeyError", 1),
            ("a.Error", 1),
            ("OSError", 0),
        ] {
            assert_eq!(mode_of(&exceptions, name, Dialect::V4), mode, "{name}");
        }
        let raised = ExceptionReport {
            type_name: "exceptions.KeyError".into(),
            ..ExceptionReport::default()
        };
        assert!(exceptions.mode_of(&raised).raised);
        let other = ExceptionReport {
            type_name: "exceptions.ValueError".into(),
            ..ExceptionReport::default()
        };
        assert!(!exceptions.mode_of(&other).raised);
    }
}
