//! Which local file is which file of the program.
//!
//! In order: the configured mappings; a loaded module that ends in the same
//! path; else the local path as it is, which the server compares by the file's
//! name (and its folders, as far up as they are packages).
//!
//! A local file that is reached through symbolic links has two paths, and the
//! program may know it by either: both are tried. Where links on both sides
//! leave a tie, the files themselves decide, if they are on this machine. The
//! program's paths are not looked up otherwise: to ask this machine for one of
//! another may take seconds.

use std::collections::{BTreeSet, HashMap};

use serde::Deserialize;

/// A folder here and the same folder there.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PathMapping {
    /// On the editor's side.
    pub(crate) local_root: String,
    /// On the program's side.
    pub(crate) remote_root: String,
}

/// Where a breakpoint of a local file goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Remote {
    /// To this file, which is loaded.
    Loaded(String),
    /// To this file, which may be loaded later.
    Expected(String),
    /// More than one loaded module could be meant.
    Ambiguous(Vec<String>),
}

#[derive(Debug, Default)]
pub(crate) struct Files {
    mappings: Vec<PathMapping>,
    /// Source paths of the modules that are loaded, there.
    modules: BTreeSet<String>,
    /// From there to here, as found out.
    learned: HashMap<String, String>,
}

impl Files {
    pub(crate) fn new(mappings: Vec<PathMapping>) -> Files {
        Files {
            mappings,
            ..Files::default()
        }
    }

    /// Whether the configuration says where files are.
    pub(crate) fn has_mappings(&self) -> bool {
        !self.mappings.is_empty()
    }

    /// Whether the program runs on Jython: its standard library is in a jar.
    pub(crate) fn are_of_jython(&self) -> bool {
        self.modules
            .iter()
            .any(|module| module.contains(".jar/Lib/") || module.starts_with("__pyclasspath__"))
    }

    /// A module is loaded. Returns the path of its source.
    pub(crate) fn module_loaded(&mut self, file: &str) -> String {
        let source = source_of(file);
        self.modules.insert(source.clone());
        source
    }

    pub(crate) fn remote_of(&mut self, local: &str) -> Remote {
        if let Some(mapped) = self.mapped_to_remote(local) {
            return if self.is_loaded(&mapped) {
                Remote::Loaded(mapped)
            } else {
                Remote::Expected(mapped)
            };
        }
        let mut best = self.best_modules(local);
        match (best.pop(), best.is_empty()) {
            (None, _) => Remote::Expected(local.to_owned()),
            (Some(module), true) => {
                self.learned.retain(|_, known| known != local);
                self.learned.insert(module.clone(), local.to_owned());
                Remote::Loaded(module)
            }
            (Some(module), false) => {
                best.push(module);
                Remote::Ambiguous(best)
            }
        }
    }

    /// A breakpoint of this local file was hit in this file of the program.
    pub(crate) fn learn(&mut self, remote: &str, local: &str) {
        if self.mapped_to_local(remote).is_none() {
            self.learned.insert(source_of(remote), local.to_owned());
        }
    }

    /// The path to show for a file of the program; its own if no local one
    /// is known.
    pub(crate) fn local_of(&self, remote: &str) -> String {
        let remote = source_of(remote);
        if let Some(local) = self.mapped_to_local(&remote) {
            return local;
        }
        self.learned.get(&remote).cloned().unwrap_or(remote)
    }

    /// The path of a module by its name, if a module of that name is loaded.
    pub(crate) fn loaded_module(&self, name: &str) -> Option<String> {
        let path = name.replace('.', "/");
        [format!("{path}.py"), format!("{path}/__init__.py")]
            .iter()
            .find_map(|tail| self.loaded_with_tail(tail, |module| self.is_of_library(module)))
    }

    /// The path of a file of the program, as its module has it: it may be
    /// given without its folder, and by Windows without its capitals.
    pub(crate) fn loaded_as(&self, file: &str) -> String {
        let file = source_of(file);
        let found = if is_absolute(&file) {
            self.modules
                .iter()
                .find(|module| same_path(module, &file))
                .cloned()
        } else {
            self.loaded_with_tail(&file, |_| true)
        };
        found.unwrap_or(file)
    }

    /// The only module whose path ends so.
    fn loaded_with_tail(&self, tail: &str, fits: impl Fn(&str) -> bool) -> Option<String> {
        let length = parts(tail).len();
        let mut found = self
            .modules
            .iter()
            .filter(|module| common_tail(module, tail) == length && fits(module));
        let module = found.next()?;
        found.next().is_none().then(|| module.clone())
    }

    /// Whether a file is of Python's own library.
    pub(crate) fn is_of_library(&self, file: &str) -> bool {
        let mut folders = self
            .modules
            .iter()
            .filter(|module| file_name(module) == "os.py")
            .map(|module| without_file_name(module))
            .peekable();
        if folders.peek().is_none() {
            // 2.0.0 lists none of the modules that were loaded before it.
            let folder = file_name(without_file_name(file)).to_lowercase();
            return folder == "lib" || folder.starts_with("python") || folder.starts_with("pypy");
        }
        folders.any(|folder| move_path(file, folder, "/").is_some())
    }

    fn is_loaded(&self, remote: &str) -> bool {
        self.modules.contains(remote) || self.modules.iter().any(|module| same_path(module, remote))
    }

    /// The loaded modules with the longest common end; none if not even the
    /// names of the files are the same.
    fn best_modules(&self, local: &str) -> Vec<String> {
        let named = self.modules_that_end_as(local);
        let Some(real) = real_path(local) else {
            return named.1;
        };
        let mut best = named;
        if real != local {
            let linked = self.modules_that_end_as(&real);
            if linked.0 > best.0 {
                best = linked;
            }
        }
        let is_it = |module: &String| real_path(module).as_ref() == Some(&real);
        if best.1.len() > 1
            && let Some(same) = best.1.iter().find(|module| is_it(module))
        {
            return vec![same.clone()];
        }
        best.1
    }

    /// Those, and how many last parts they have in common.
    fn modules_that_end_as(&self, local: &str) -> (usize, Vec<String>) {
        let mut best = (0, Vec::new());
        for module in &self.modules {
            let common = common_tail(local, module);
            if common > best.0 {
                best = (common, Vec::new());
            }
            if common > 0 && common == best.0 {
                best.1.push(module.clone());
            }
        }
        best
    }

    fn mapped_to_remote(&self, local: &str) -> Option<String> {
        if let Some(mapped) = self.mapped_as_named(local) {
            return Some(mapped);
        }
        // A folder that is configured by one of its names and opened by the
        // other.
        let real = real_path(local)?;
        self.mappings
            .iter()
            .filter_map(|m| {
                let root = real_path(&m.local_root)?;
                move_path(&real, &root, &m.remote_root)
            })
            .max_by_key(|(depth, _)| *depth)
            .map(|(_, path)| path)
    }

    fn mapped_as_named(&self, local: &str) -> Option<String> {
        self.mappings
            .iter()
            .filter_map(|m| move_path(local, &m.local_root, &m.remote_root))
            .max_by_key(|(depth, _)| *depth)
            .map(|(_, path)| path)
    }

    fn mapped_to_local(&self, remote: &str) -> Option<String> {
        self.mappings
            .iter()
            .filter_map(|m| move_path(remote, &m.remote_root, &m.local_root))
            .max_by_key(|(depth, _)| *depth)
            .map(|(_, path)| path)
    }
}

/// The source of a compiled module: Python 2 lists most modules as `x.pyc`,
/// Jython as `x$py.class`. Breakpoints sent for those are bound and never hit.
pub(crate) fn source_of(file: &str) -> String {
    let stem = file
        .strip_suffix(".pyc")
        .or_else(|| file.strip_suffix(".pyo"))
        .or_else(|| file.strip_suffix("$py.class"));
    match stem {
        Some(stem) => format!("{stem}.py"),
        None => file.to_owned(),
    }
}

/// `path` below `to` as it is below `from`, and how deep `from` is.
fn move_path(path: &str, from: &str, to: &str) -> Option<(usize, String)> {
    let from_parts = parts(from);
    let path_parts = parts(path);
    let rest = path_parts.get(from_parts.len()..)?;
    let windows = is_windows(from);
    let inside = from_parts
        .iter()
        .zip(&path_parts)
        .all(|(a, b)| same_part(a, b, windows));
    if !inside {
        return None;
    }
    let separator = if is_windows(to) { '\\' } else { '/' };
    let mut moved = to.trim_end_matches(['/', '\\']).to_owned();
    for part in rest {
        moved.push(separator);
        moved.push_str(part);
    }
    Some((from_parts.len(), moved))
}

/// How many last parts two paths have in common.
fn common_tail(a: &str, b: &str) -> usize {
    let windows = is_windows(a) || is_windows(b);
    parts(a)
        .iter()
        .rev()
        .zip(parts(b).iter().rev())
        .take_while(|(a, b)| same_part(a, b, windows))
        .count()
}

fn same_path(a: &str, b: &str) -> bool {
    let windows = is_windows(a) || is_windows(b);
    let (a, b) = (parts(a), parts(b));
    a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| same_part(a, b, windows))
}

/// A path of this machine without symbolic links, if there is such a file.
fn real_path(path: &str) -> Option<String> {
    // Another machine's share, or a path that begins nowhere.
    if path.starts_with("\\\\") || path.starts_with("//") || !is_absolute(path) {
        return None;
    }
    let real = std::fs::canonicalize(path).ok()?.into_os_string();
    // Windows gives it in the form that has no limits.
    let real = real.into_string().ok()?;
    Some(
        real.strip_prefix(r"\\?\")
            .map(str::to_owned)
            .unwrap_or(real),
    )
}

fn same_part(a: &str, b: &str, windows: bool) -> bool {
    a == b || windows && a.to_lowercase() == b.to_lowercase()
}

fn parts(path: &str) -> Vec<&str> {
    let windows = is_windows(path);
    path.split(|c| c == '/' || windows && c == '\\')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect()
}

/// A drive letter or backslashes.
fn is_windows(path: &str) -> bool {
    path.contains('\\')
        || matches!(path.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic())
}

fn without_file_name(path: &str) -> &str {
    path.strip_suffix(file_name(path)).unwrap_or(path)
}

/// Whether a path, of whichever system, says where it begins.
pub(crate) fn is_absolute(path: &str) -> bool {
    path.starts_with(['/', '\\']) || matches!(path.as_bytes(), [_, b':', b'/' | b'\\', ..])
}

/// The last part of a path, of whichever system.
pub(crate) fn file_name(path: &str) -> &str {
    parts(path).last().copied().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(local: &str, remote: &str) -> PathMapping {
        PathMapping {
            local_root: local.to_owned(),
            remote_root: remote.to_owned(),
        }
    }

    #[test]
    fn mappings_between_systems() {
        for (local_root, remote_root, local, remote) in [
            ("/home/me/p", "/srv/p", "/home/me/p/a/b.py", "/srv/p/a/b.py"),
            (
                "/home/me/p/",
                "C:\\p",
                "/home/me/p/a/b.py",
                "C:\\p\\a\\b.py",
            ),
            ("c:\\me\\p", "/srv/p", "C:\\Me\\P\\a\\b.py", "/srv/p/a/b.py"),
            ("/p", "\\\\host\\share", "/p/b.py", "\\\\host\\share\\b.py"),
        ] {
            let mut files = Files::new(vec![mapping(local_root, remote_root)]);
            assert_eq!(files.remote_of(local), Remote::Expected(remote.to_owned()));
        }
    }

    #[test]
    fn the_deepest_mapping_wins_and_a_folder_is_no_prefix_of_its_sibling() {
        let mut files = Files::new(vec![mapping("/p", "/x"), mapping("/p/sub", "/y")]);
        assert_eq!(
            files.remote_of("/p/sub/a.py"),
            Remote::Expected("/y/a.py".to_owned())
        );
        assert_eq!(
            files.remote_of("/p/subway/a.py"),
            Remote::Expected("/x/subway/a.py".to_owned())
        );
        assert_eq!(files.local_of("/y/a.py"), "/p/sub/a.py");
    }

    #[test]
    fn a_loaded_module_with_the_longest_common_end_is_it() {
        let mut files = Files::new(Vec::new());
        files.module_loaded("/srv/app/models/__init__.pyc");
        files.module_loaded("/srv/app/views/__init__.py");
        assert_eq!(
            files.remote_of("/home/me/models/__init__.py"),
            Remote::Loaded("/srv/app/models/__init__.py".to_owned())
        );
        assert_eq!(
            files.local_of("/srv/app/models/__init__.pyc"),
            "/home/me/models/__init__.py"
        );
        assert_eq!(
            files.remote_of("/home/me/__init__.py"),
            Remote::Ambiguous(vec![
                "/srv/app/models/__init__.py".to_owned(),
                "/srv/app/views/__init__.py".to_owned()
            ])
        );
    }

    /// What a program has loaded, a local file, and which of them it is.
    type Case = (
        &'static [&'static str],
        &'static str,
        &'static [&'static str],
    );

    const WITHOUT_MAPPINGS: &[Case] = &[
        // The same path.
        (&["/srv/app/a.py"], "/srv/app/a.py", &["/srv/app/a.py"]),
        // Another folder, of any system, on either side.
        (&["/srv/app/a.py"], "C:\\me\\app\\a.py", &["/srv/app/a.py"]),
        (&["C:\\app\\a.py"], "/home/me/app/a.py", &["C:\\app\\a.py"]),
        (&["C:\\app\\a.py"], "/Users/me/App/A.py", &["C:\\app\\a.py"]),
        (
            &["\\\\host\\share\\app\\a.py"],
            "/me/app/a.py",
            &["\\\\host\\share\\app\\a.py"],
        ),
        (&["C:/app\\sub/a.py"], "/me/sub/a.py", &["C:/app\\sub/a.py"]),
        (
            &["c:\\APP\\Sub\\A.PY"],
            "C:\\app\\sub\\a.py",
            &["c:\\APP\\Sub\\A.PY"],
        ),
        // Capitals count where the system has them count.
        (&["/srv/app/A.py"], "/home/me/app/a.py", &[]),
        // Compiled: Python 2, optimized, Jython.
        (&["/srv/app/a.pyc"], "/me/app/a.py", &["/srv/app/a.py"]),
        (&["/srv/app/a.pyo"], "/me/app/a.py", &["/srv/app/a.py"]),
        (&["/srv/app/a$py.class"], "/me/app/a.py", &["/srv/app/a.py"]),
        // In archives.
        (
            &["/srv/lib/x-1.0-py2.7.egg/x/a.pyc"],
            "/me/x/a.py",
            &["/srv/lib/x-1.0-py2.7.egg/x/a.py"],
        ),
        (
            &["/srv/all.zip/x/a.py"],
            "/me/all.zip/x/a.py",
            &["/srv/all.zip/x/a.py"],
        ),
        // Names that are no plain words.
        (
            &["/srv/my app/caf\u{e9}.py"],
            "/me/my app/caf\u{e9}.py",
            &["/srv/my app/caf\u{e9}.py"],
        ),
        (
            &["C:\\\u{c9}t\u{e9}\\a.py"],
            "/me/\u{e9}t\u{e9}/a.py",
            &["C:\\\u{c9}t\u{e9}\\a.py"],
        ),
        // The same name in several packages: the folder tells.
        (
            &["/srv/app/one/util.py", "/srv/app/two/util.py"],
            "/me/two/util.py",
            &["/srv/app/two/util.py"],
        ),
        (
            &["/srv/one/x/util.py", "/srv/two/x/util.py"],
            "/me/two/x/util.py",
            &["/srv/two/x/util.py"],
        ),
        // Or it does not, and nobody guesses.
        (
            &["/srv/app/one/util.py", "/srv/app/two/util.py"],
            "/me/util.py",
            &["/srv/app/one/util.py", "/srv/app/two/util.py"],
        ),
        // The same module, listed as source and compiled.
        (
            &["/srv/app/a.py", "/srv/app/a.pyc"],
            "/me/a.py",
            &["/srv/app/a.py"],
        ),
        // A name is not the end of another.
        (&["/srv/app/data.py"], "/me/app/a.py", &[]),
        (
            &["/srv/subapp/a.py", "/srv/app/a.py"],
            "/me/app/a.py",
            &["/srv/app/a.py"],
        ),
    ];

    #[test]
    fn without_mappings_the_modules_tell() {
        for (modules, local, expected) in WITHOUT_MAPPINGS {
            let mut files = Files::new(Vec::new());
            for module in *modules {
                files.module_loaded(module);
            }
            let found = match files.remote_of(local) {
                Remote::Loaded(file) => vec![file],
                Remote::Ambiguous(mut files) => {
                    files.sort();
                    files
                }
                Remote::Expected(file) => {
                    assert_eq!(file, *local);
                    Vec::new()
                }
            };
            assert_eq!(found, *expected, "{local} among {modules:?}");
            if let [only] = found.as_slice() {
                assert_eq!(files.local_of(only), *local, "and back");
            }
        }
    }

    #[test]
    fn mappings_go_before_modules_and_both_ways() {
        for (local_root, remote_root, local, remote) in [
            (
                "/home/me/p",
                "/srv/p",
                "/home/me/p/a b/\u{e9}.py",
                "/srv/p/a b/\u{e9}.py",
            ),
            (
                "C:\\me\\p",
                "/srv/p",
                "C:\\me\\p\\sub\\a.py",
                "/srv/p/sub/a.py",
            ),
            ("c:/me/p/", "/srv/p/", "c:/me/p/sub/a.py", "/srv/p/sub/a.py"),
            (
                "/home/me/p",
                "\\\\host\\share\\p",
                "/home/me/p/a.py",
                "\\\\host\\share\\p\\a.py",
            ),
            ("/", "/srv", "/a.py", "/srv/a.py"),
        ] {
            let mut files = Files::new(vec![mapping(local_root, remote_root)]);
            // What ends alike is not looked at.
            files.module_loaded("/other/sub/a.py");
            files.module_loaded(remote);
            assert_eq!(files.remote_of(local), Remote::Loaded(remote.to_owned()));
            let back = files.local_of(remote);
            assert!(same_path(&back, local), "{back} is not {local}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_local_file_is_known_by_each_of_its_paths() {
        use std::os::unix::fs::symlink;

        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
        for name in ["v1/app", "v2/app"] {
            std::fs::create_dir_all(path(name)).unwrap();
            std::fs::write(path(&format!("{name}/main.py")), "").unwrap();
        }
        symlink(path("v2"), path("current")).unwrap();
        symlink(path("v2/app/main.py"), path("start.py")).unwrap();
        let loaded = |modules: &[&str], local: &str| {
            let mut files = Files::new(Vec::new());
            for module in modules {
                files.module_loaded(module);
            }
            (files.remote_of(local), files)
        };
        let (v1, v2) = (path("v1/app/main.py"), path("v2/app/main.py"));
        let current = path("current/app/main.py");
        for (modules, local, expected) in [
            // A link to a folder on the editor's side, on the program's.
            (vec![&*v1, &*v2], &current, &v2),
            (vec![&*v1, &*current], &v2, &current),
            // To the file, by another name; also of a copy elsewhere.
            (vec![&*v1, &*v2], &path("start.py"), &v2),
            (
                vec!["/srv/app/main.py"],
                &path("start.py"),
                &"/srv/app/main.py".to_owned(),
            ),
        ] {
            let (found, files) = loaded(&modules, local);
            assert_eq!(found, Remote::Loaded(expected.clone()), "{local}");
            assert_eq!(files.local_of(expected), *local, "and back");
        }
        // A mapping that names the link, and one that names the folder.
        for (root, local) in [("current", &v2), ("v2", &current)] {
            let mut files = Files::new(vec![mapping(&path(root), "/srv/x")]);
            let expected = Remote::Expected("/srv/x/app/main.py".to_owned());
            assert_eq!(files.remote_of(local), expected);
        }
    }

    #[test]
    fn a_file_that_is_not_loaded_is_sent_as_it_is() {
        let mut files = Files::new(Vec::new());
        files.module_loaded("/srv/app/a.py");
        assert_eq!(
            files.remote_of("/home/me/b.py"),
            Remote::Expected("/home/me/b.py".to_owned())
        );
        files.learn("/srv/app/b.py", "/home/me/b.py");
        assert_eq!(files.local_of("/srv/app/b.py"), "/home/me/b.py");
    }
}
