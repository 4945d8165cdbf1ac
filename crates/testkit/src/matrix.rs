//! Which releases on which Pythons a test runs on.
//!
//! The ordinary run takes the final releases on CPython 2.7, 3.6 and 3.11;
//! with `PTVSD_BRIDGE_FULL=1` every Python of the machine takes part. What is
//! absent or cannot be is named, never passed over silently.

use std::fmt;

use legacy_host::{Implementation, Python, Release, python};

/// The variable that asks for the full matrix.
pub const FULL: &str = "PTVSD_BRIDGE_FULL";

/// The Pythons of the ordinary run.
const ORDINARY: [(u32, u32); 3] = [(2, 7), (3, 6), (3, 11)];

/// A release on a Python.
#[derive(Debug, Clone)]
pub struct Server {
    /// The release.
    pub release: Release,
    /// The Python.
    pub python: Python,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.release, self.python)
    }
}

/// What this machine has to offer.
#[derive(Debug)]
pub struct Matrix {
    pythons: Vec<Python>,
    full: bool,
}

impl Matrix {
    /// Looks, and says on standard error what is absent.
    #[must_use]
    pub fn of_this_machine() -> Matrix {
        let pythons = python::find_all();
        let full = std::env::var_os(FULL).is_some_and(|value| value == "1");
        let matrix = Matrix { pythons, full };
        for (major, minor) in ORDINARY {
            if matrix.cpython(major, minor).is_none() {
                eprintln!("ABSENT: CPython {major}.{minor}: its part of the matrix is not run");
            }
        }
        if !full {
            let left: Vec<_> = matrix
                .pythons
                .iter()
                .filter(|python| !is_ordinary(python))
                .map(ToString::to_string)
                .collect();
            if !left.is_empty() {
                eprintln!("left to {FULL}=1: {}", left.join(", "));
            }
        }
        matrix
    }

    /// Whether every Python takes part.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// The final releases on each Python that takes part.
    #[must_use]
    pub fn servers(&self) -> Vec<Server> {
        self.combine(&Release::MAIN, |python| self.full || is_ordinary(python))
    }

    /// A binary and a JSON release, on an old and a new Python: for tests of
    /// what does not differ otherwise.
    #[must_use]
    pub fn few_servers(&self) -> Vec<Server> {
        if self.full {
            return self.servers();
        }
        let mut servers = Vec::new();
        for (version, major, minor) in [("2.2.0", 2, 7), ("2.0.0", 3, 6), ("3.2.1", 3, 11)] {
            servers.extend(self.server(version, major, minor));
        }
        servers
    }

    /// The pre-releases that have a dialect of their own.
    #[must_use]
    pub fn pre_releases(&self) -> Vec<Server> {
        let releases: Vec<Release> = ["2.1.0a1", "2.1.0b1", "2.1.0b2", "2.2.0b1"]
            .into_iter()
            .filter_map(Release::of_version)
            .collect();
        self.combine(&releases, |python| {
            self.full || is_cpython(python, 2, 7) || is_cpython(python, 3, 6)
        })
    }

    /// A release on a certain CPython, if that is here.
    #[must_use]
    pub fn server(&self, version: &str, major: u32, minor: u32) -> Option<Server> {
        Some(Server {
            release: Release::of_version(version)?,
            python: self.cpython(major, minor)?.clone(),
        })
    }

    fn cpython(&self, major: u32, minor: u32) -> Option<&Python> {
        self.pythons
            .iter()
            .find(|python| is_cpython(python, major, minor))
    }

    fn combine(&self, releases: &[Release], takes_part: impl Fn(&Python) -> bool) -> Vec<Server> {
        let mut servers = Vec::new();
        for python in self.pythons.iter().filter(|python| takes_part(python)) {
            for release in releases {
                match release.cannot_run_on(python) {
                    Some(why) => eprintln!("NOT POSSIBLE: {release} on {python}: {why}"),
                    None => servers.push(Server {
                        release: *release,
                        python: python.clone(),
                    }),
                }
            }
        }
        servers
    }
}

fn is_ordinary(python: &Python) -> bool {
    ORDINARY
        .iter()
        .any(|(major, minor)| is_cpython(python, *major, *minor))
}

fn is_cpython(python: &Python, major: u32, minor: u32) -> bool {
    python.is(&Implementation::CPython, major, minor)
}
