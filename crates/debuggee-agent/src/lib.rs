//! The agent: Python code that runs inside the debugged program while a
//! session lasts, and mends what cannot be mended from outside: threads that a
//! fast resume loses, programs that a dead debugger leaves stopped, forked
//! children, output that is wrapped once more at each attach.
//!
//! The code is in `src/python`, commented for whoever must approve it; what it
//! does to a program is in the project's README, how and why in
//! `protocol-notes/agent.md`. This crate puts it into words that a server
//! understands:
//!
//! * [`install_in_module`]: an expression for a server that executes in the
//!   namespace of its own module (dialect 8), on its own thread;
//! * [`install_in_visit`]: an expression for the second connection that the
//!   dialects before have, `REPL`, which undoes what that connection does to
//!   the program;
//! * [`install_in_frame`]: an expression for any stopped thread;
//! * [`rescue_in_visit`]: sets a program free that a dead debugger left;
//! * [`traceback_in_frame`]: of the exception that a thread has stopped for,
//!   with or without the agent.
//!
//! Once it is in, the agent answers executions for the thread
//! [`AGENT_THREAD`], in every dialect, also while no line of the program runs.
//!
//! **Architecture invariant:** nothing of DAP, no I/O.

use std::time::Duration;

/// Version of the agent and of its private channel.
pub const VERSION: u32 = 1;

/// An execution for this thread is answered by the agent. No program has a
/// thread with this number.
pub const AGENT_THREAD: i64 = -11711;

/// Asks the agent who it is; see [`is_hello`].
pub const HELLO: &str = "hello";

/// Asks for the frames of all threads that have not blocked.
pub const STACKS: &str = "stacks";

/// The module of the server's debugger, dialects 2 to 7.
pub const DEBUGGER_MODULE: &str = "ptvsd.visualstudio_py_debugger";

/// The module of the server's debugger, dialect 8.
pub const JSON_DEBUGGER_MODULE: &str = "ptvsd.debugger";

/// The name under which the agent's code appears in a traceback.
pub const OWN_FILE: &str = "<ptvsd-bridge agent>";

/// The agent's source: the parts, in the order in which they are run as one.
#[must_use]
pub fn parts() -> [(&'static str, &'static str); 9] {
    [
        ("base.py", include_str!("python/base.py")),
        ("wire.py", include_str!("python/wire.py")),
        ("text.py", include_str!("python/text.py")),
        ("world.py", include_str!("python/world.py")),
        ("breakpoints.py", include_str!("python/breakpoints.py")),
        ("exceptions.py", include_str!("python/exceptions.py")),
        ("leave.py", include_str!("python/leave.py")),
        ("channel.py", include_str!("python/channel.py")),
        ("install.py", include_str!("python/install.py")),
    ]
}

/// What undoes the effects of the second connection.
pub const VISIT: &str = include_str!("python/visit.py");

/// What sets a program free.
pub const RESCUE: &str = include_str!("python/rescue.py");

/// What reads a traceback.
pub const TRACEBACK: &str = include_str!("python/traceback.py");

/// Tells the sessions of all debuggers apart, so that an agent that was left
/// by another is known as such.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionMark(String);

impl SessionMark {
    /// A new one. It is no secret.
    #[must_use]
    pub fn new() -> SessionMark {
        use std::hash::{BuildHasher, RandomState};
        // The standard library seeds each of these from the system's
        // randomness, or counts up from such a seed.
        SessionMark(format!("{:016x}", RandomState::new().hash_one(0)))
    }

    /// As the agent says it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for SessionMark {
    fn default() -> SessionMark {
        SessionMark::new()
    }
}

/// How the agent is to behave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Whose it is.
    pub mark: SessionMark,
    /// How long the debugger may say nothing before it is taken for dead.
    pub patience: Duration,
}

/// What the agent answers to [`HELLO`], and what [`install_in_module`]
/// evaluates to.
#[must_use]
pub fn hello(mark: &SessionMark) -> String {
    format!("ptvsd-bridge agent {VERSION} {}", mark.as_str())
}

/// Whether an execution's value, as the server shows it (with or without the
/// quotes of `repr`), is that answer.
#[must_use]
pub fn is_hello(value: &[u8], mark: &SessionMark) -> bool {
    let shown = String::from_utf8_lossy(value);
    shown.trim_matches(['\'', '"']) == hello(mark)
}

/// An expression that installs the agent where `globals()` is the namespace of
/// the server's debugger module. Its value is the agent's [`hello`].
#[must_use]
pub fn install_in_module(options: &Options) -> String {
    install("globals()", options)
}

/// The same for the second connection, whose current module is the server's
/// debugger module. The class name of its value is an [`Outcome`].
#[must_use]
pub fn install_in_visit(options: &Options) -> String {
    visit(&format!(
        "lambda names: ({}, 'installed')[1]",
        install("names", options)
    ))
}

/// The same for a stopped thread of the program: finds the debugger module by
/// its classes. Its value is the agent's [`hello`]. It uses no name of the
/// thread's frame, where each may mean something else.
#[must_use]
pub fn install_in_frame(options: &Options) -> String {
    install(debugger_module_by_classes(), options)
}

/// The namespace of the server's debugger module.
fn debugger_module_by_classes() -> &'static str {
    // `search` goes through the subclasses of a class, and theirs.
    "(lambda meta: (lambda search: search(search, ().__class__.__base__))(\
         lambda search, kind: (\
         [one.__dict__['loop'].__globals__ for one in meta.__subclasses__(kind) \
         if one.__name__ == 'DebuggerLoop' and 'loop' in one.__dict__] or \
         [found for found in [search(search, one) for one in meta.__subclasses__(kind) \
         if one is not meta] if found] or [None])[0]))(().__class__.__class__)"
}

/// An expression for the second connection that sets the program free of a
/// debugger that has died. The class name of its value is an [`Outcome`].
#[must_use]
pub fn rescue_in_visit() -> String {
    visit(&run(RESCUE, "globals()", "", "n['action']"))
}

/// An expression for a thread that has stopped for an exception: the traceback
/// as text, the latest call first.
#[must_use]
pub fn traceback_in_frame() -> String {
    run(TRACEBACK, debugger_module_by_classes(), "", "n['result']")
}

/// What a visit has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The agent is in.
    Installed,
    /// The program is free.
    Rescued,
    /// An agent is in charge there, so its debugger is alive or will be missed
    /// within seconds: nothing was done.
    Attended,
    /// It went wrong, and was undone.
    Failed,
}

impl Outcome {
    /// From the class name of the value.
    #[must_use]
    pub fn from_class_name(name: &[u8]) -> Option<Outcome> {
        match name.strip_prefix(b"ptvsd_bridge.")? {
            b"installed" => Some(Outcome::Installed),
            b"rescued" => Some(Outcome::Rescued),
            b"attended" => Some(Outcome::Attended),
            b"failed" => Some(Outcome::Failed),
            _ => None,
        }
    }
}

fn install(names: &str, options: &Options) -> String {
    let source: String = parts().map(|(_, text)| text).concat();
    let given = format!(
        "'mark': {}, 'patience': {:?}",
        literal(options.mark.as_str()),
        options.patience.as_secs_f64()
    );
    run(&source, names, &given, "n['hello']()")
}

fn visit(action: &str) -> String {
    let given = format!("'action': {action}");
    run(VISIT, "globals()", &given, "n['result']")
}

/// An expression that runs a text in a namespace of its own, and has a value
/// of that namespace, `n`. The text is given the debugger module's `names` and
/// what else it needs.
fn run(source: &str, names: &str, given: &str, value: &str) -> String {
    // A module's `__builtins__` is a dictionary, or a module that has one. The
    // frame's own may have been taken away, and `n` would get those.
    format!(
        "(lambda names: (lambda b: (lambda n: \
         (b['eval'](b['compile']({}, {}, 'exec'), n), {value})[1])\
         ({{'__builtins__': b, 'names': names, {given}}}))\
         ((lambda b: b.__class__.__name__ == 'dict' and b or b.__dict__)\
         (names['__builtins__'])))({names})",
        literal(source),
        literal(OWN_FILE)
    )
}

/// A string of Python, 2 and 3.
fn literal(text: &str) -> String {
    let mut literal = String::with_capacity(text.len() + text.len() / 16 + 2);
    literal.push('\'');
    for character in text.chars() {
        match character {
            '\\' => literal.push_str("\\\\"),
            '\'' => literal.push_str("\\'"),
            '\n' => literal.push_str("\\n"),
            other => literal.push(other),
        }
    }
    literal.push('\'');
    literal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_is_ascii() {
        for (name, text) in parts()
            .into_iter()
            .chain([("visit.py", VISIT), ("rescue.py", RESCUE)])
            .chain([("traceback.py", TRACEBACK)])
        {
            assert!(text.is_ascii(), "{name}");
            assert!(!text.contains('\r') && !text.contains('\t'), "{name}");
        }
    }

    #[test]
    fn a_hello_is_known_with_and_without_quotes() {
        let mark = SessionMark::new();
        let said = hello(&mark);
        assert!(is_hello(said.as_bytes(), &mark));
        assert!(is_hello(format!("'{said}'").as_bytes(), &mark));
        assert!(!is_hello(said.as_bytes(), &SessionMark::new()));
    }

    #[test]
    fn literals_hold_quotes_and_lines() {
        assert_eq!(literal("a'b\\n\nc"), r"'a\'b\\n\nc'");
    }

    #[test]
    fn version_and_thread_are_those_of_the_source() {
        let source: String = parts().map(|(_, text)| text).concat();
        assert!(source.contains(&format!("\nVERSION = {VERSION}\n")));
        assert!(source.contains(&format!("\nAGENT_THREAD = {AGENT_THREAD}\n")));
        assert!(source.contains(&format!("\nOWN_FILE = '{OWN_FILE}'\n")));
    }
}
