//! What the program's own `except` clauses handle.
//!
//! A thread that raises waits while the server asks this of each file on its
//! stack. The answer is read from the file's source: from the local copy, else
//! from the program where that is one round trip; else everything is handled,
//! so that nothing stops for what nobody can judge.
//! (`ptvsd_client` sees to it that the thread does not wait for long.)

use std::collections::HashMap;
use std::io;
use std::time::Instant;

use ptvsd_client::Debuggee;
use ptvsd_wire::{HandlerRange, PyText, ReprKind};
use python_source::{Expression, Language, except_ranges};
use tokio::task::spawn_blocking;

use crate::expression::bytes_literal;
use crate::files::{Files, file_name, is_absolute};
use crate::local_copy::{MOST_SOURCE, PARSE_LIMIT, Stamp};
use crate::session::Session;

/// Modules that are part of the interpreter bear names such as `<frozen os>`.
pub(crate) const FROZEN: &str = "<frozen ";

/// The module in which a server of dialect 8 reads a file.
const READING_MODULE: &str = "ptvsd.debugger";

/// The modules that every thread's code is called by. They handle every
/// exception, only to print it and end.
const OUTERMOST: [&str; 2] = ["runpy.py", "threading.py"];

/// What is known of files already, by the names that the server has for them.
pub(crate) type KnownHandlers = HashMap<PyText, Known>;

#[derive(Debug, Clone)]
pub(crate) struct Known {
    /// The local copy at that time; none if the program itself was asked.
    local: Option<Stamp>,
    handlers: Vec<HandlerRange>,
}

impl Session {
    /// A thread has raised and waits for what this file handles.
    pub(crate) fn handlers_wanted(&mut self, file: PyText) {
        let Ok(program) = self.program() else {
            return;
        };
        let debuggee = program.debuggee.clone();
        let Some(source) = Source::of(&file.display(), &program.files) else {
            return debuggee.give_handlers(file, everything());
        };
        let Source::File { local, remote } = source else {
            return debuggee.give_handlers(file, Vec::new());
        };
        let language = Language::of_version(debuggee.attached().major);
        let known = program.known_handlers.get(&file).cloned();
        let found = find(debuggee, local, remote, language, known);
        self.when_done(found, move |session, found| {
            let Ok(program) = session.program() else {
                return;
            };
            let handlers = match found {
                Some(known) => {
                    let handlers = known.handlers.clone();
                    program.known_handlers.insert(file.clone(), known);
                    handlers
                }
                None => {
                    tracing::info!(%file, "no source: taken to handle everything");
                    everything()
                }
            };
            program.debuggee.give_handlers(file, handlers);
        });
    }
}

/// Where the source of a file of the program is.
#[derive(Debug, PartialEq, Eq)]
enum Source {
    /// Nothing in it handles anything, whatever it says.
    Outermost,
    File {
        /// Here, perhaps.
        local: Option<String>,
        /// There.
        remote: String,
    },
}

impl Source {
    /// `None` when there is none to be had.
    fn of(file: &str, files: &Files) -> Option<Source> {
        let remote = match frozen_module(file) {
            Some("runpy") => return Some(Source::Outermost),
            Some(_) if is_import_machinery(file) => return None,
            Some(module) => files.loaded_module(module)?,
            // Code that was made by other code.
            None if file.starts_with('<') => return None,
            None => files.loaded_as(file),
        };
        if OUTERMOST.contains(&file_name(&remote)) && files.is_of_library(&remote) {
            return Some(Source::Outermost);
        }
        // One that is not absolute would be looked for beside the adapter.
        let local = Some(files.local_of(&remote)).filter(|local| is_absolute(local));
        Some(Source::File { local, remote })
    }
}

fn frozen_module(file: &str) -> Option<&str> {
    file.strip_prefix(FROZEN)?.strip_suffix('>')
}

/// Whether a file is the interpreter's own code for imports, which raises and
/// handles exceptions all the time. Its source cannot be looked at.
pub(crate) fn is_import_machinery(file: &str) -> bool {
    frozen_module(file)
        .is_some_and(|module| module.starts_with("importlib.") || module == "zipimport")
}

fn everything() -> Vec<HandlerRange> {
    vec![HandlerRange::everything()]
}

async fn find(
    debuggee: Debuggee,
    local: Option<String>,
    remote: String,
    language: Language,
    known: Option<Known>,
) -> Option<Known> {
    if let Some(path) = local {
        let known = known.clone();
        let read = spawn_blocking(move || from_local_copy(&path, language, known));
        match read.await {
            Ok(Ok(found)) => return found,
            Ok(Err(error)) => tracing::debug!(%error, "no local copy"),
            Err(error) => tracing::warn!(%error, "reading a source"),
        }
    }
    if let Some(known) = known
        && known.local.is_none()
    {
        return Some(known);
    }
    let source = from_program(&debuggee, &remote, language).await?;
    let parsed = spawn_blocking(move || handlers_in(&source, language));
    Some(Known {
        local: None,
        handlers: parsed.await.ok()??,
    })
}

/// An error if there is no such file; `None` if nothing can be made of it.
fn from_local_copy(
    path: &str,
    language: Language,
    known: Option<Known>,
) -> io::Result<Option<Known>> {
    let stamp = Stamp::of(path)?;
    if let Some(known) = known
        && known.local.as_ref() == Some(&stamp)
    {
        return Ok(Some(known));
    }
    let Some(source) = stamp.read()? else {
        return Ok(None);
    };
    Ok(handlers_in(&source, language).map(|handlers| Known {
        local: Some(stamp),
        handlers,
    }))
}

fn handlers_in(source: &[u8], language: Language) -> Option<Vec<HandlerRange>> {
    let begun = Instant::now();
    let ranges = except_ranges(source, language, || begun.elapsed() < PARSE_LIMIT)?;
    let number = |line: usize| i64::try_from(line).unwrap_or(i64::MAX);
    let handlers = ranges.into_iter().map(|range| HandlerRange {
        line_start: number(range.first_line),
        line_end: number(range.end_line),
        expressions: range
            .expressions
            .into_iter()
            .map(|expression| match expression {
                Expression::Everything => PyText::from("*"),
                Expression::Name(name) => PyText::from(name),
            })
            .collect(),
    });
    Some(handlers.collect())
}

/// Only a server that executes while no thread has stopped can read a file
/// for us. Nothing may be imported meanwhile: the thread that raised may hold
/// the lock of an import, and does not move before it is answered.
async fn from_program(debuggee: &Debuggee, remote: &str, language: Language) -> Option<Vec<u8>> {
    if !debuggee.dialect().has_module_execution() {
        return None;
    }
    let file = format!("open({}, 'rb')", bytes_literal(remote));
    let text = format!(
        "(lambda f: (f.read({MOST_SOURCE}), f.close())[0])({file}){}",
        match language {
            // Decoding would look for a codec, and import it.
            Language::Python2 => "",
            Language::Python3 => ".decode('latin-1')",
        }
    );
    let text = match language {
        Language::Python2 => format!("u''.join(map(unichr, bytearray({text})))"),
        Language::Python3 => text,
    };
    let read = debuggee
        .evaluate_in_module(READING_MODULE, &text, ReprKind::Raw)
        .await;
    let object = match read {
        Ok(object) => object,
        Err(error) => {
            tracing::debug!(%error, remote, "not read from the program");
            return None;
        }
    };
    // One character for each byte.
    let characters = object.repr?.to_string();
    let source: Option<Vec<u8>> = characters.chars().map(|c| u8::try_from(c).ok()).collect();
    source.filter(|source| source.len() < MOST_SOURCE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::PathMapping;

    fn files() -> Files {
        let mut files = Files::new(vec![PathMapping {
            local_root: "/home/me/app".to_owned(),
            remote_root: "/srv/app".to_owned(),
        }]);
        for module in [
            "/usr/lib/python3.11/os.py",
            "/usr/lib/python3.11/threading.py",
            "/usr/lib/python3.11/importlib/__init__.py",
            "/srv/app/threading.py",
            "/srv/app/main.py",
            "C:\\App\\Job.py",
        ] {
            files.module_loaded(module);
        }
        files
    }

    fn file(local: &str, remote: &str) -> Option<Source> {
        Some(Source::File {
            local: Some(local.to_owned()),
            remote: remote.to_owned(),
        })
    }

    #[test]
    fn where_sources_are() {
        let files = files();
        for (name, expected) in [
            ("/srv/app/a.py", file("/home/me/app/a.py", "/srv/app/a.py")),
            ("/opt/b.py", file("/opt/b.py", "/opt/b.py")),
            // Windows servers tell the name in lower case.
            (
                "c:\\app\\job.py",
                file("C:\\App\\Job.py", "C:\\App\\Job.py"),
            ),
            // As a script is called that was started by a relative path.
            ("main.py", file("/home/me/app/main.py", "/srv/app/main.py")),
            (
                "<frozen os>",
                file("/usr/lib/python3.11/os.py", "/usr/lib/python3.11/os.py"),
            ),
            ("<frozen zipimport>", None),
            ("<frozen importlib._bootstrap>", None),
            ("<frozen absent>", None),
            ("<string>", None),
        ] {
            assert_eq!(Source::of(name, &files), expected, "{name}");
        }
        assert_eq!(
            Source::of("nowhere.py", &files),
            Some(Source::File {
                local: None,
                remote: "nowhere.py".to_owned()
            })
        );
    }

    #[test]
    fn what_calls_all_code_handles_nothing_and_a_file_of_its_name_may() {
        let files = files();
        for name in ["/usr/lib/python3.11/threading.py", "<frozen runpy>"] {
            assert_eq!(Source::of(name, &files), Some(Source::Outermost), "{name}");
        }
        assert_eq!(
            Source::of("/srv/app/threading.py", &files),
            file("/home/me/app/threading.py", "/srv/app/threading.py")
        );
        for (name, is_library) in [
            ("/usr/lib/python2.7/runpy.py", true),
            ("c:\\python27\\lib\\runpy.py", true),
            ("/srv/app/runpy.py", false),
        ] {
            let source = Source::of(name, &Files::new(Vec::new()));
            assert_eq!(source == Some(Source::Outermost), is_library, "{name}");
        }
    }

    #[test]
    fn a_copy_is_read_again_when_it_has_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.py");
        let path = path.to_str().unwrap();
        let read = |known| from_local_copy(path, Language::Python3, known);
        assert!(read(None).is_err());
        std::fs::write(path, "try:\n    a\nexcept A:\n    b\n").unwrap();
        let first = read(None).unwrap().unwrap();
        assert_eq!(
            first.handlers,
            [HandlerRange {
                line_start: 1,
                line_end: 3,
                expressions: vec!["A".into()]
            }]
        );
        let marked = Known {
            handlers: Vec::new(),
            ..first.clone()
        };
        assert!(
            read(Some(marked.clone()))
                .unwrap()
                .unwrap()
                .handlers
                .is_empty()
        );
        std::fs::write(path, "try:\n    a\n    b\nexcept:\n    c\n").unwrap();
        let second = read(Some(marked)).unwrap().unwrap();
        assert_eq!(second.handlers.first().unwrap().line_end, 4);
        assert!(from_local_copy("/", Language::Python3, None).is_err());
    }
}
