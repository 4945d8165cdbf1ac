//! The Pythons of this machine.
//!
//! Each is asked itself what it is: names and folders lie (a pyenv shim called
//! `python` is any version, `/usr/bin/pypy3` is a symbolic link).

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::process;

/// The time one interpreter has to say what it is. Jython starts a Java
/// machine first, which takes seconds on a busy one.
const PROBE_LIMIT: Duration = Duration::from_secs(20);

/// Runs on every Python from 2.5 on, and never imports from the current folder.
const PROBE: &str = r"
import sys
sys.path[:] = [entry for entry in sys.path if entry]
try:
    import platform
    name = platform.python_implementation()
except Exception:
    name = 'Python'
try:
    from importlib.util import find_spec as find
except ImportError:
    from pkgutil import find_loader as find
try:
    pip = find('pip') is not None
except Exception:
    pip = False
sys.stdout.write('\n'.join([
    'PTVSD-PROBE', name, '%d.%d.%d' % tuple(sys.version_info[:3]),
    sys.executable or '', sys.prefix or '', str(pip), '']))
";

/// Whether a legacy server can speak TLS: it calls `ssl.wrap_socket` for TLS
/// 1.0. A CPython from 3.10 on may be built with a list of ciphers that forbids
/// that version, and no setting from outside changes it.
const TLS_PROBE: &str = r"
import sys
sys.path[:] = [entry for entry in sys.path if entry]
import ssl, _ssl
forbidden = '@SECLEVEL=2' in getattr(_ssl, '_DEFAULT_CIPHERS', '')
ssl.wrap_socket, ssl.PROTOCOL_TLSv1
sys.exit(int(forbidden))
";

/// Who made an interpreter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Implementation {
    /// The one from python.org.
    CPython,
    /// PyPy.
    PyPy,
    /// Jython, on a Java machine.
    Jython,
    /// IronPython, on .NET.
    IronPython,
    /// Any other, by the name it gives itself.
    Other(String),
}

impl From<&str> for Implementation {
    fn from(name: &str) -> Self {
        match name {
            "CPython" => Self::CPython,
            "PyPy" => Self::PyPy,
            "Jython" => Self::Jython,
            "IronPython" => Self::IronPython,
            other => Self::Other(other.to_owned()),
        }
    }
}

impl fmt::Display for Implementation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CPython => "CPython",
            Self::PyPy => "PyPy",
            Self::Jython => "Jython",
            Self::IronPython => "IronPython",
            Self::Other(name) => name,
        })
    }
}

/// One interpreter of this machine. Shown as `CPython 2.7.18`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Python {
    /// What to start.
    pub path: PathBuf,
    /// Who made it.
    pub implementation: Implementation,
    /// The version of the language: major, minor, micro.
    pub version: (u32, u32, u32),
    /// Whether `python -m pip` is there.
    pub has_pip: bool,
}

impl fmt::Display for Python {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, minor, micro) = self.version;
        write!(f, "{} {major}.{minor}.{micro}", self.implementation)
    }
}

impl Python {
    /// Whether it is this implementation at this major and minor version.
    #[must_use]
    pub fn is(&self, implementation: &Implementation, major: u32, minor: u32) -> bool {
        self.implementation == *implementation && (self.version.0, self.version.1) == (major, minor)
    }

    /// Whether a legacy server on it can speak TLS: on CPython 3.12 and later,
    /// on Jython, and on most builds of CPython 3.10 and 3.11 it cannot.
    /// Asks the interpreter.
    #[must_use]
    pub fn can_serve_tls(&self) -> bool {
        let mut command = Command::new(&self.path);
        process::run(command.args(["-c", TLS_PROBE]), PROBE_LIMIT)
            .is_ok_and(|finished| finished.status.success())
    }

    /// Whether the module `imp`, which every legacy release imports, is gone
    /// from it (removed in Python 3.12).
    #[must_use]
    pub fn lacks_imp(&self) -> bool {
        (self.version.0, self.version.1) >= (3, 12)
    }
}

/// An interpreter's answer, with what tells two of them apart.
struct Answer {
    python: Python,
    /// The real executable and the prefix: a virtual environment shares the
    /// first with its base and not the second.
    identity: (PathBuf, String),
}

/// Every Python on PATH and in pyenv, each once, by implementation and version.
///
/// What does not answer as a Python (a shim without a version, a Windows Store
/// stub) is left out.
#[must_use]
pub fn find_all() -> Vec<Python> {
    let mut seen = HashSet::new();
    let mut pythons: Vec<Python> = ask_all(candidates())
        .into_iter()
        .filter(|answer| seen.insert(answer.identity.clone()))
        .map(|answer| answer.python)
        .collect();
    pythons.sort_by(|a, b| (&a.implementation, a.version).cmp(&(&b.implementation, b.version)));
    pythons
}

/// What the interpreter at `path` is.
///
/// # Errors
/// When it does not start, does not answer within 20 s, or is no Python.
pub fn inspect(path: impl AsRef<Path>) -> Result<Python> {
    ask(path.as_ref()).map(|answer| answer.python)
}

/// What `python3`, else `python`, on PATH is.
#[must_use]
pub fn default() -> Option<Python> {
    ["python3", "python"]
        .iter()
        .flat_map(|name| on_path(name))
        .find_map(|path| inspect(path).ok())
}

fn candidates() -> Vec<PathBuf> {
    let mut names: Vec<String> = ["python", "python2", "python2.7", "python3"]
        .map(str::to_owned)
        .to_vec();
    names.extend((6..=14).map(|minor| format!("python3.{minor}")));
    names.extend(["pypy", "pypy3", "jython"].map(str::to_owned));

    // pyenv's own folders first: of two names for one interpreter the first
    // is shown, and a shim is the slower and less telling name.
    let mut paths = in_pyenv();
    paths.extend(names.iter().flat_map(|name| on_path(name)));
    let mut seen = HashSet::new();
    // `/bin` and `/usr/bin` are often one folder: resolve the folder, not the
    // file, as a virtual environment's file is a link to its base.
    paths.retain(|path| {
        let folder = path.parent().and_then(|folder| folder.canonicalize().ok());
        seen.insert((folder, path.file_name().map(ToOwned::to_owned)))
    });
    paths
}

fn on_path(name: &str) -> Vec<PathBuf> {
    let suffixes: &[&str] = if cfg!(windows) {
        &[".exe", ".bat", ".cmd"]
    } else {
        &[""]
    };
    let Some(path) = std::env::var_os("PATH") else {
        return Vec::new();
    };
    std::env::split_paths(&path)
        .filter(|folder| folder.is_absolute())
        .flat_map(|folder| {
            suffixes
                .iter()
                .map(move |suffix| folder.join(format!("{name}{suffix}")))
        })
        .filter(|file| file.is_file())
        .collect()
}

fn in_pyenv() -> Vec<PathBuf> {
    let root = std::env::var_os("PYENV_ROOT")
        .map(PathBuf::from)
        .or_else(|| {
            let home = std::env::var_os(if cfg!(windows) { "USERPROFILE" } else { "HOME" })?;
            Some(PathBuf::from(home).join(".pyenv"))
        });
    let Some(versions) = root.and_then(|root| root.join("versions").read_dir().ok()) else {
        return Vec::new();
    };
    let mut found: Vec<PathBuf> = versions
        .filter_map(Result::ok)
        .map(|version| version.path().join("bin/python"))
        .filter(|file| file.is_file())
        .collect();
    found.sort();
    found
}

/// Asks all of them, a few at a time, and keeps the order.
fn ask_all(paths: Vec<PathBuf>) -> Vec<Answer> {
    let at_once = thread::available_parallelism()
        .map_or(2, usize::from)
        .saturating_mul(2);
    let queue = Mutex::new(paths.into_iter().enumerate().collect::<VecDeque<_>>());
    let answers = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                loop {
                    let next = queue
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .pop_front();
                    let Some((number, path)) = next else { break };
                    if let Ok(answer) = ask(&path) {
                        let mut answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
                        answers.push((number, answer));
                    }
                }
            });
        }
    });
    let mut answers = answers.into_inner().unwrap_or_else(PoisonError::into_inner);
    answers.sort_by_key(|(number, _)| *number);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

fn ask(path: &Path) -> Result<Answer> {
    let finished = process::run(Command::new(path).args(["-c", PROBE]), PROBE_LIMIT)?;
    ensure!(
        finished.status.success(),
        "{} does not run Python code ({}): {}",
        path.display(),
        finished.status,
        finished.last_words()
    );
    understand(path, &finished.stdout).with_context(|| {
        format!(
            "{} did not answer as a Python does: {}",
            path.display(),
            finished.last_words()
        )
    })
}

fn understand(path: &Path, answer: &str) -> Option<Answer> {
    let mut lines = answer
        .lines()
        .skip_while(|line| *line != "PTVSD-PROBE")
        .skip(1);
    let implementation = Implementation::from(lines.next()?);
    let mut numbers = lines.next()?.split('.').map(str::parse::<u32>);
    let mut number = || numbers.next()?.ok();
    let version = (number()?, number()?, number()?);
    let executable = PathBuf::from(lines.next()?);
    let prefix = lines.next()?.to_owned();
    let has_pip = lines.next()? == "True";
    // A shim is a way to an interpreter and not one: start what it led to.
    let path = if executable.is_file() {
        executable
    } else {
        path.to_owned()
    };
    let real = path.canonicalize().unwrap_or_else(|_| path.clone());
    Some(Answer {
        python: Python {
            path,
            implementation,
            version,
            has_pip,
        },
        identity: (real, prefix),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(text: &str) -> Option<Python> {
        understand(Path::new("/nowhere/python"), text).map(|answer| answer.python)
    }

    #[test]
    fn an_answer_is_understood_after_any_noise() {
        let python = answer("warning: x\nPTVSD-PROBE\nPyPy\n3.9.16\n\n/usr\nTrue\n").unwrap();
        assert_eq!(python.to_string(), "PyPy 3.9.16");
        assert_eq!(python.path, Path::new("/nowhere/python"));
        assert!(python.has_pip && !python.lacks_imp());
    }

    #[test]
    fn an_unknown_implementation_keeps_its_name() {
        let python = answer("PTVSD-PROBE\nStackless\n3.12.0\n\n\nFalse\n").unwrap();
        assert_eq!(
            python.implementation,
            Implementation::Other("Stackless".to_owned())
        );
        assert!(!python.has_pip && python.lacks_imp());
    }

    #[test]
    fn what_is_no_answer_is_none() {
        assert_eq!(answer(""), None);
        assert_eq!(answer("PTVSD-PROBE\nCPython\n3.x\n"), None);
        assert_eq!(answer("PTVSD-PROBE\nCPython\n3.1.1\n"), None);
    }

    #[test]
    fn a_file_that_is_no_python_is_an_error_that_names_it() {
        let error = inspect("/nowhere/python").unwrap_err().to_string();
        assert!(error.contains("/nowhere/python"), "{error}");
    }
}
