use crate::{BreakpointId, Child, ExecutionId, FrameKind, Object, PyText, ThreadId};

/// What a server tells the debugger. `protocol-notes/events.md` has when each
/// is sent, and what may be missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// `NEWT`: a thread that the server knows of.
    ThreadCreated(ThreadId),
    /// `EXTT`.
    ThreadExited(ThreadId),
    /// `MODL`: a module that is loaded; all of them at each attach.
    ModuleLoaded {
        /// Counted up for the life of the server; listed again under a new
        /// number at each attach.
        id: i64,
        /// Absolute path on the server's side; on Python 2 mostly of the `.pyc`.
        file: PyText,
    },
    /// `LOAD`: the first thread to run a line after an attach has stopped.
    /// May come late, or never.
    ProcessLoaded(ThreadId),
    /// `STPD`: a step is over.
    StepDone(ThreadId),
    /// `ASBR`: stopped for a `BreakAll`, or because the program asked for it.
    AsyncBreak(ThreadId),
    /// `BRKS`: the breakpoint sits on a loaded module.
    BreakpointSet(BreakpointId),
    /// `BRKF`: no loaded module has exactly this path (yet). It can still hit.
    BreakpointFailed(BreakpointId),
    /// `BRKH`.
    BreakpointHit {
        /// Which; with several on a line, one of them.
        id: BreakpointId,
        /// The thread that hit it.
        thread: ThreadId,
    },
    /// `BKHC`.
    HitCount {
        /// The number under which the question was sent.
        request: i64,
        /// The hits so far.
        count: i64,
    },
    /// `EXCP`, `EXC2`: an exception stopped this thread, and only this one.
    Exception {
        /// The thread that raised it.
        thread: ThreadId,
        /// What was raised.
        exception: ExceptionReport,
    },
    /// `THRF`: the frames of a thread. Comes before the stop itself, before
    /// the result of each `exec`, and for threads that run on.
    Frames {
        /// Whose.
        thread: ThreadId,
        /// Its name when the thread sent this itself, about to block (or after
        /// an `exec` in it). Absent when another thread sent it for a thread
        /// that is not blocked.
        name: Option<PyText>,
        /// Top frame first.
        frames: Vec<Frame>,
    },
    /// `EXCR`.
    ExecutionResult {
        /// Of which `exec`.
        execution: ExecutionId,
        /// Its value; `None`'s for statements.
        object: Object,
    },
    /// `EXCE`.
    ExecutionException {
        /// Of which `exec`.
        execution: ExecutionId,
        /// The text of the exception, without its type.
        text: PyText,
    },
    /// `CHLD`. Empty also when the expression failed or the thread was busy.
    Children {
        /// Of which `chld`.
        execution: ExecutionId,
        /// At most 10,000 and a few.
        children: Vec<Child>,
    },
    /// `OUTP`.
    Output {
        /// Who wrote it; may be a thread that was never announced.
        thread: ThreadId,
        /// What was written, as it was passed to `write()`.
        text: PyText,
        /// Where to, if the dialect says (3.2.1).
        channel: Option<OutputChannel>,
    },
    /// `REQH`: the thread that raised an exception waits until it is told
    /// what the `try` statements of this file handle.
    HandlersWanted(PyText),
    /// `SETL`.
    LineSet {
        /// Whose.
        thread: ThreadId,
        /// The new line; absent when Python refused.
        line: Option<i64>,
    },
    /// `DETC`: the server has let go, asked to or because the program ends.
    Detached,
    /// `LAST`: a launched program is over, and waits up to 5 s for `LastAck`.
    Last,
    /// `legacyModulesChanged` (dialect 8).
    ModulesChanged,
    /// The JSON dialects answer each request, before they act on it; a second
    /// answer under the same number tells that acting on it failed.
    Answered {
        /// The number under which the command was sent.
        request: i64,
        /// The command's name on the wire.
        command: PyText,
        /// What went wrong, a Python traceback as a rule.
        failure: Option<PyText>,
    },
    /// An event that this crate has no word for. JSON only: there the length
    /// of a message is known, so it can be passed over.
    Unknown(PyText),
}

/// What an exception stop reports.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExceptionReport {
    /// The type, named as the release names built-ins.
    pub type_name: PyText,
    /// `str()` of it.
    pub message: PyText,
    /// 1 when nothing handles it. Otherwise 2 up to release 2.2.0 and 0 after;
    /// up to 2.2.0b1, 2 also for an unhandled one if only those are to stop.
    pub break_type: i64,
    /// The traceback, a frame a line, outermost first, each line
    /// `file,line,function,text` as representations (rich reports only).
    pub trace: Option<PyText>,
    /// The name of a local that holds the exception (rich reports only).
    pub value_name: Option<PyText>,
}

/// One frame of a thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Where its code begins.
    pub first_line: i64,
    /// Where its code ends; not reliable.
    pub last_line: i64,
    /// Where it is. One past the end when a module is being left.
    pub line: i64,
    /// Name of the function; `<module>` for a module's body.
    pub function: PyText,
    /// Absolute path on the server's side.
    pub file: PyText,
    /// How many of the variables, from the first, are arguments.
    pub argument_count: i64,
    /// Where in a Django template it is, if it renders one.
    pub template: Option<TemplatePosition>,
    /// Arguments, locals, variables of enclosing functions, then the globals
    /// that the code uses.
    pub variables: Vec<Variable>,
}

impl Frame {
    /// What the frame shows.
    #[must_use]
    pub fn kind(&self) -> FrameKind {
        match self.template {
            Some(_) => FrameKind::Django,
            None => FrameKind::Python,
        }
    }
}

/// The Python code behind a template's frame. (The frame's own file and line
/// are the template's.)
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplatePosition {
    /// The Python file.
    pub source_file: PyText,
    /// The line in it.
    pub source_line: i64,
}

/// A variable of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its name, which is also its expression.
    pub name: PyText,
    /// Its value.
    pub object: Object,
}

/// Where output was written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputChannel {
    /// `sys.stdout`.
    Stdout,
    /// `sys.stderr`.
    Stderr,
    /// The server's own remarks.
    Debug,
}

impl Default for PyText {
    fn default() -> Self {
        PyText::from("")
    }
}
