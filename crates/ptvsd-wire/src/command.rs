use serde::{Deserialize, Serialize};

use crate::{BreakpointId, ExecutionId, PyText, ThreadId};

/// What a debugger asks of a server. `protocol-notes/commands.md` has what
/// each does, and what it must not be sent for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `stpi`: resume all, stop this thread at the next line, calls included.
    /// The thread must be blocked: the server asserts it and dies of it.
    StepInto(ThreadId),
    /// `stpv`: the same, calls passed over.
    StepOver(ThreadId),
    /// `stpo`: the same, once the current function has returned.
    StepOut(ThreadId),
    /// `brka`: mark all threads to stop at their next line.
    BreakAll,
    /// `resa`: let all threads run on.
    ResumeAll,
    /// `rest`: let one thread run on.
    ResumeThread(ThreadId),
    /// `ares`: resume after the first stop or a tracepoint. Faulty on the JSON
    /// dialects while a step is under way.
    AutoResumeThread(ThreadId),
    /// `clst`: forget that this thread is stepping. Harmless for a thread
    /// that does not exist.
    ClearStepping(ThreadId),
    /// `brkp`.
    SetBreakpoint(SetBreakpoint),
    /// `brkr`. The line must be the one that it was set with.
    RemoveBreakpoint {
        /// Which.
        id: BreakpointId,
        /// The line it was set on.
        line: i64,
        /// The file it was set in (JSON dialects and Django only).
        file: PyText,
        /// What kind of file that is.
        language: Language,
    },
    /// `brkc`.
    SetBreakpointCondition {
        /// Which.
        id: BreakpointId,
        /// The new condition.
        condition: BreakpointCondition,
    },
    /// `bkpc`, dialect 5 on.
    SetBreakpointPassCount {
        /// Which.
        id: BreakpointId,
        /// The new pass count.
        pass_count: PassCount,
    },
    /// `bksh`, dialect 5 on.
    SetBreakpointHitCount {
        /// Which.
        id: BreakpointId,
        /// The number of hits that it shall have had.
        hit_count: i64,
    },
    /// `bkgh`, dialect 5 on. Answered by `Event::HitCount` with the number
    /// under which the encoder sent this.
    GetBreakpointHitCount(BreakpointId),
    /// `exec`: run text in a frame, or (dialect 8) in a module.
    Execute {
        /// An expression, else statements.
        text: PyText,
        /// Comes back with the answer.
        execution: ExecutionId,
        /// A stopped thread; any number when `module` is given.
        thread: ThreadId,
        /// The frame, counted from the top.
        frame: i64,
        /// What the frame shows.
        frame_kind: FrameKind,
        /// What to send back (dialect 4 on).
        repr: ReprKind,
        /// Run in this module, on the debugger's thread (dialect 8).
        module: Option<PyText>,
        /// Print the result where the program prints (dialect 8).
        print_result: bool,
    },
    /// `chld`: the children of an expression's value.
    EnumerateChildren {
        /// The expression.
        text: PyText,
        /// Comes back with the answer.
        execution: ExecutionId,
        /// A stopped thread.
        thread: ThreadId,
        /// The frame, counted from the top.
        frame: i64,
        /// What the frame shows.
        frame_kind: FrameKind,
    },
    /// `setl`: move the top frame to another line. On the binary dialects a
    /// refusal deadlocks the server.
    SetLine {
        /// A stopped thread.
        thread: ThreadId,
        /// Ignored by every server: it is always the top frame.
        frame: i64,
        /// The new line.
        line: i64,
    },
    /// `sexi`: which exceptions stop; replaces all that was said before.
    SetExceptionInfo {
        /// For every exception that is not named.
        default: ExceptionMode,
        /// For those named.
        named: Vec<(PyText, ExceptionMode)>,
    },
    /// `sehi`: the answer to `Event::HandlersWanted`, exactly one for each.
    SetExceptionHandlerInfo {
        /// The file, byte for byte as it was asked for.
        file: PyText,
        /// What the `try` statements in it handle.
        handlers: Vec<HandlerRange>,
    },
    /// `thrf`: send a thread's frames. Known to 3.0.0 and later only, and
    /// 3.0.0 cannot be told from 2.2.0, so never sent below dialect 7.
    GetThreadFrames(ThreadId),
    /// `detc`.
    Detach,
    /// `lack`: the answer to `Event::Last`.
    LastAck,
    /// `legacyListReplModules`, dialect 8.
    ListReplModules,
    /// A request that no server knows. It ends a JSON server's command loop,
    /// which after a detach nothing else does (`protocol-notes/traps.md`).
    EndLoop,
}

/// `brkp`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetBreakpoint {
    /// A number never used on this server before.
    pub id: BreakpointId,
    /// Counted from 1. The server never moves it.
    pub line: i64,
    /// The path on the server's side.
    pub file: PyText,
    /// What kind of file that is.
    pub language: Language,
    /// When to stop.
    pub condition: BreakpointCondition,
    /// At which hits to stop (dialect 5 on).
    pub pass_count: PassCount,
}

/// What kind of file a breakpoint is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Language {
    /// Python source.
    #[default]
    Python,
    /// A Django template.
    Django,
}

/// When a breakpoint stops.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum BreakpointCondition {
    /// At each hit.
    #[default]
    Always,
    /// When the expression is true, or raises.
    WhenTrue(PyText),
    /// When the expression has another value than at the last hit.
    WhenChanged(PyText),
}

/// At which hits a breakpoint stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PassCount {
    /// At each.
    #[default]
    Always,
    /// At each n-th; n must not be 0 (the debuggee would divide by it).
    Every(i64),
    /// At the n-th.
    Equal(i64),
    /// From the n-th on.
    AtLeast(i64),
}

/// What a frame shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FrameKind {
    /// Nothing that is known.
    None,
    /// Python code.
    #[default]
    Python,
    /// A Django template that is being rendered.
    Django,
}

/// What an `exec` sends back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReprKind {
    /// `repr()` and `hex()`, cut.
    #[default]
    Normal,
    /// A string's own text, whole.
    Raw,
    /// Its length only.
    RawLength,
}

/// When an exception stops the thread that raised it. Both may be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ExceptionMode(pub i64);

impl ExceptionMode {
    /// Not at all.
    pub const NEVER: ExceptionMode = ExceptionMode(0);
    /// When it is raised.
    pub const ALWAYS: ExceptionMode = ExceptionMode(1);
    /// When nothing handles it. The server then asks for the handlers of
    /// each file, and the thread waits for the answer.
    pub const UNHANDLED: ExceptionMode = ExceptionMode(32);
}

/// The lines of one `try` body, and what its handlers catch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HandlerRange {
    /// The first line, counted from 1.
    pub line_start: i64,
    /// The line after the last.
    pub line_end: i64,
    /// Names of exceptions; `*` for all of them. Never empty: the server
    /// takes that for `*`.
    pub expressions: Vec<PyText>,
}

impl HandlerRange {
    /// "Every exception is handled on every line."
    #[must_use]
    pub fn everything() -> HandlerRange {
        HandlerRange {
            line_start: 0,
            line_end: i64::from(i32::MAX),
            expressions: vec![PyText::from("*")],
        }
    }
}

impl Command {
    /// The name for messages to people.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Command::StepInto(_) => "step into",
            Command::StepOver(_) => "step over",
            Command::StepOut(_) => "step out",
            Command::BreakAll => "break all",
            Command::ResumeAll => "resume all",
            Command::ResumeThread(_) => "resume thread",
            Command::AutoResumeThread(_) => "auto-resume thread",
            Command::ClearStepping(_) => "clear stepping",
            Command::SetBreakpoint(_) => "set breakpoint",
            Command::RemoveBreakpoint { .. } => "remove breakpoint",
            Command::SetBreakpointCondition { .. } => "set breakpoint condition",
            Command::SetBreakpointPassCount { .. } => "set breakpoint pass count",
            Command::SetBreakpointHitCount { .. } => "set breakpoint hit count",
            Command::GetBreakpointHitCount(_) => "get breakpoint hit count",
            Command::Execute { .. } => "execute",
            Command::EnumerateChildren { .. } => "enumerate children",
            Command::SetLine { .. } => "set line",
            Command::SetExceptionInfo { .. } => "set exception info",
            Command::SetExceptionHandlerInfo { .. } => "set exception handler info",
            Command::GetThreadFrames(_) => "get thread frames",
            Command::Detach => "detach",
            Command::LastAck => "acknowledge last",
            Command::ListReplModules => "list REPL modules",
            Command::EndLoop => "end loop",
        }
    }
}

/// Enumerations that travel as numbers.
macro_rules! wire_numbers {
    ($type:ident, $what:literal, $($variant:ident = $number:literal),+) => {
        impl $type {
            pub(crate) fn to_wire(self) -> i64 {
                match self { $($type::$variant => $number),+ }
            }

            pub(crate) fn from_wire(number: i64) -> Result<$type, crate::WireError> {
                match number {
                    $($number => Ok($type::$variant),)+
                    other => Err(crate::WireError::BadField { what: $what, found: other.to_string() }),
                }
            }
        }
    };
}

wire_numbers!(
    Language,
    "the language of a breakpoint",
    Python = 0,
    Django = 1
);
wire_numbers!(
    FrameKind,
    "the kind of a frame",
    None = 0,
    Python = 1,
    Django = 2
);
wire_numbers!(
    ReprKind,
    "the kind of a representation",
    Normal = 0,
    Raw = 1,
    RawLength = 2
);

impl BreakpointCondition {
    pub(crate) fn to_wire(&self) -> (i64, PyText) {
        match self {
            BreakpointCondition::Always => (0, PyText::from("")),
            BreakpointCondition::WhenTrue(text) => (1, text.clone()),
            BreakpointCondition::WhenChanged(text) => (2, text.clone()),
        }
    }

    pub(crate) fn from_wire(kind: i64, text: PyText) -> Result<Self, crate::WireError> {
        match kind {
            0 => Ok(BreakpointCondition::Always),
            1 => Ok(BreakpointCondition::WhenTrue(text)),
            2 => Ok(BreakpointCondition::WhenChanged(text)),
            other => Err(crate::WireError::BadField {
                what: "the kind of a breakpoint's condition",
                found: other.to_string(),
            }),
        }
    }

    /// Below dialect 5 there is no kind: an empty text means "always".
    pub(crate) fn from_old_wire(text: PyText, when_changed: bool) -> Self {
        match (text.is_empty(), when_changed) {
            (true, _) => BreakpointCondition::Always,
            (false, false) => BreakpointCondition::WhenTrue(text),
            (false, true) => BreakpointCondition::WhenChanged(text),
        }
    }
}

impl PassCount {
    pub(crate) fn to_wire(self) -> (i64, i64) {
        match self {
            PassCount::Always => (0, 0),
            PassCount::Every(n) => (1, n),
            PassCount::Equal(n) => (2, n),
            PassCount::AtLeast(n) => (3, n),
        }
    }

    pub(crate) fn from_wire(kind: i64, count: i64) -> Result<Self, crate::WireError> {
        match kind {
            0 => Ok(PassCount::Always),
            1 => Ok(PassCount::Every(count)),
            2 => Ok(PassCount::Equal(count)),
            3 => Ok(PassCount::AtLeast(count)),
            other => Err(crate::WireError::BadField {
                what: "the kind of a pass count",
                found: other.to_string(),
            }),
        }
    }
}
