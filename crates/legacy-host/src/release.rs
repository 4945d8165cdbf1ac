//! The legacy ptvsd releases: which there are, and how they get here.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};

use crate::cache::{self, ScratchFolder};
use crate::process;
use crate::python::{self, Implementation, Python};

/// The time one `pip download` has. It may fetch a build back end first.
const PIP_LIMIT: Duration = Duration::from_secs(180);
/// How many Pythons try to download. Where three fail the network is at fault.
const DOWNLOAD_TRIES: usize = 3;
const UNPACK_LIMIT: Duration = Duration::from_secs(60);

/// Unpacks with Python itself, which every machine that gets here has.
const UNPACK: &str = "import sys, zipfile; zipfile.ZipFile(sys.argv[1]).extractall(sys.argv[2])";

/// Python 3.12 dropped the module `imp`; the legacy servers use this one
/// function of it.
const STAND_IN_IMP: &str = "import types\ndef new_module(name): return types.ModuleType(name)\n";

/// One legacy release of the ptvsd package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Release {
    version: &'static str,
    dialect: u8,
}

impl Release {
    /// Every release that can host a program, oldest first. 3.2.0 is not among
    /// them: its wheel lacks a package and cannot be imported.
    pub const ALL: [Self; 10] = [
        Self::new("2.0.0", 2),
        Self::new("2.1.0a1", 3),
        Self::new("2.1.0b1", 3),
        Self::new("2.1.0b2", 3),
        Self::new("2.1.0", 4),
        Self::new("2.2.0b1", 5),
        Self::new("2.2.0", 6),
        Self::new("3.0.0", 6),
        Self::new("3.1.0", 7),
        Self::new("3.2.1", 8),
    ];

    /// The final releases, oldest first: what programs in production hold.
    pub const MAIN: [Self; 6] = [
        Self::new("2.0.0", 2),
        Self::new("2.1.0", 4),
        Self::new("2.2.0", 6),
        Self::new("3.0.0", 6),
        Self::new("3.1.0", 7),
        Self::new("3.2.1", 8),
    ];

    const fn new(version: &'static str, dialect: u8) -> Self {
        Self { version, dialect }
    }

    /// The release of this version, if it is one of [`Release::ALL`].
    #[must_use]
    pub fn of_version(version: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|release| release.version == version)
    }

    /// Its version, as pip has it.
    #[must_use]
    pub const fn version(&self) -> &'static str {
        self.version
    }

    /// The number its server gives after `PTVSDBG`, 2 to 8.
    #[must_use]
    pub const fn dialect(&self) -> u8 {
        self.dialect
    }

    /// Why its server cannot run on `python`, where that is known.
    #[must_use]
    pub fn cannot_run_on(&self, python: &Python) -> Option<&'static str> {
        // Seen with Jython 2.7.3 on each of these; 3.0.0 is the first to call
        // `allocate_lock`, which is there.
        (python.implementation == Implementation::Jython
            && self.dialect <= 6
            && self.version != "3.0.0")
            .then_some("it calls `thread.allocate` when imported, which Jython does not have")
    }

    /// The folder that holds its `ptvsd` package, whether it is there yet or not.
    fn folder(self) -> Result<PathBuf> {
        Ok(cache::folder()?.join("ptvsd").join(self.version))
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ptvsd {}", self.version)
    }
}

/// The folder for PYTHONPATH that holds the release's `ptvsd` package.
///
/// From the cache when it is there, else downloaded with one of `using`: the
/// newest CPython that has pip first, then others, three at most.
/// Several threads and processes may ask at once.
///
/// # Errors
/// When none of them got it; the message lists each try and a remedy.
pub fn fetch(release: Release, using: &[Python]) -> Result<PathBuf> {
    // One download at a time in a process: a second one for the same release
    // finds it done. Other processes are met by the rename below.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);

    let folder = release.folder()?;
    if holds_package(&folder) {
        return Ok(folder);
    }
    let by_hand = format!(
        "put an unpacked {release} at {}",
        folder.join("ptvsd").display()
    );
    let pythons = in_order_of_trial(using);
    if pythons.is_empty() {
        bail!(
            "{release} is not here and no Python with pip was found to get it; install python3-pip, or {by_hand}"
        );
    }
    let mut tried = Vec::new();
    for python in pythons.into_iter().take(DOWNLOAD_TRIES) {
        match download(release, python, &folder) {
            Ok(()) => return Ok(folder),
            Err(error) => tried.push(format!(
                "- with {python} ({}): {error:#}",
                python.path.display()
            )),
        }
    }
    bail!(
        "{release} could not be got from the package index:\n{}\n\
         See that this machine reaches PyPI or a mirror of it (pip's settings apply), or {by_hand}",
        tried.join("\n")
    )
}

/// The PYTHONPATH under which `python` imports the release's `ptvsd`. Fetches
/// it when it is not here yet, with `python` itself or any other that has pip.
///
/// # Errors
/// As [`fetch`]; and when the stand-in for `imp` cannot be written.
pub fn python_path(release: Release, python: &Python) -> Result<OsString> {
    let folder = release.folder()?;
    if !holds_package(&folder) {
        let own = fetch(release, std::slice::from_ref(python));
        if own.is_err() {
            fetch(release, &python::find_all())?;
        }
    }
    let mut folders = vec![folder];
    if python.lacks_imp() {
        folders.push(cache::own_file("stand-in", "imp.py", STAND_IN_IMP)?);
    }
    std::env::join_paths(folders).context(
        "the cache folder's name cannot be part of PYTHONPATH; set PTVSD_BRIDGE_CACHE to another",
    )
}

fn holds_package(folder: &Path) -> bool {
    folder.join("ptvsd/__init__.py").is_file()
}

fn in_order_of_trial(using: &[Python]) -> Vec<&Python> {
    let mut pythons: Vec<&Python> = using.iter().filter(|python| python.has_pip).collect();
    pythons.sort_by_key(|python| {
        (
            python.implementation != Implementation::CPython,
            std::cmp::Reverse(python.version),
        )
    });
    pythons
}

fn download(release: Release, python: &Python, folder: &Path) -> Result<()> {
    let parent = folder.parent().context("the cache folder has no parent")?;
    let scratch = ScratchFolder::new_in(parent)?;
    // In a folder of our own: `-m` and `-c` import from the current one first.
    let run = |arguments: &[&str], limit| {
        let mut command = Command::new(&python.path);
        command.current_dir(scratch.path()).args(arguments);
        command
            .env("PIP_DISABLE_PIP_VERSION_CHECK", "1")
            .env("PIP_NO_INPUT", "1")
            .env("PIP_RETRIES", "2");
        process::run(&mut command, limit)
    };

    let wanted = format!("ptvsd=={}", release.version);
    let pip = [
        "-m",
        "pip",
        "download",
        "--no-deps",
        "--dest",
        "archive",
        &wanted,
    ];
    let finished = run(&pip, PIP_LIMIT)?;
    ensure!(
        finished.status.success(),
        "`{}` ended with {}:\n{}",
        pip.join(" "),
        finished.status,
        finished.last_words()
    );
    let archive = only_entry(&scratch.path().join("archive"))?;
    let archive = archive.to_str().context("the archive's name is no text")?;
    let finished = run(&["-c", UNPACK, archive, "unpacked"], UNPACK_LIMIT)?;
    ensure!(
        finished.status.success(),
        "unpacking {archive} ended with {}:\n{}",
        finished.status,
        finished.last_words()
    );
    // A wheel holds the package itself, a source archive holds it in a folder.
    let unpacked = scratch.path().join("unpacked");
    let inner = fs::read_dir(&unpacked)?
        .filter_map(Result::ok)
        .map(|entry| entry.path());
    let package = std::iter::once(unpacked.clone())
        .chain(inner)
        .find(|candidate| holds_package(candidate))
        .ok_or_else(|| anyhow!("{archive} holds no ptvsd package"))?;
    match fs::rename(&package, folder) {
        Ok(()) => Ok(()),
        // Another process was faster: what it put there is as good.
        Err(_) if holds_package(folder) => Ok(()),
        Err(error) => Err(error).with_context(|| {
            format!(
                "moving the package to {}; remove what is there if it is broken",
                folder.display()
            )
        }),
    }
}

fn only_entry(folder: &Path) -> Result<PathBuf> {
    let mut entries = fs::read_dir(folder).context("pip left no archive")?;
    let entry = entries.next().context("pip left no archive")??;
    Ok(entry.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn python(implementation: Implementation, version: (u32, u32, u32), has_pip: bool) -> Python {
        Python {
            path: PathBuf::from("/nowhere/python"),
            implementation,
            version,
            has_pip,
        }
    }

    #[test]
    fn dialects_are_those_of_the_servers() {
        let dialects = Release::ALL.map(|release| release.dialect());
        assert_eq!(dialects, [2, 3, 3, 3, 4, 5, 6, 6, 7, 8]);
        for release in Release::MAIN {
            assert_eq!(Release::of_version(release.version()), Some(release));
        }
        assert_eq!(Release::of_version("3.2.0"), None);
    }

    #[test]
    fn the_newest_cpython_with_pip_is_tried_first() {
        let pythons = [
            python(Implementation::CPython, (2, 7, 18), true),
            python(Implementation::CPython, (3, 13, 0), false),
            python(Implementation::CPython, (3, 11, 7), true),
            python(Implementation::PyPy, (3, 12, 0), true),
        ];
        let order = in_order_of_trial(&pythons);
        let names: Vec<String> = order.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["CPython 3.11.7", "CPython 2.7.18", "PyPy 3.12.0"]);
    }
}
