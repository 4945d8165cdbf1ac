//! Where fetched releases and our own small Python files are kept.

use std::ffi::OsString;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};

/// The variable that names the cache folder, whatever the platform's own is.
pub const VARIABLE: &str = "PTVSD_BRIDGE_CACHE";

/// The cache folder: `PTVSD_BRIDGE_CACHE`, else the platform's cache folder
/// with `ptvsd-bridge` in it. The folder need not exist yet.
///
/// # Errors
/// When the environment names no home to put it in.
pub fn folder() -> Result<PathBuf> {
    let chosen = choose(|name| std::env::var_os(name).filter(|value| !value.is_empty()));
    let folder = chosen.with_context(|| {
        format!(
            "no place for the cache folder: neither {VARIABLE} nor a home folder is set; \
             set {VARIABLE} to a folder that can be written"
        )
    })?;
    std::path::absolute(&folder).with_context(|| format!("making {} absolute", folder.display()))
}

fn choose(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    if let Some(own) = variable(VARIABLE) {
        return Some(PathBuf::from(own));
    }
    let base = if cfg!(windows) {
        variable("LOCALAPPDATA").map(PathBuf::from)
    } else if cfg!(target_os = "macos") {
        variable("HOME").map(|home| Path::new(&home).join("Library/Caches"))
    } else {
        variable("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .or_else(|| variable("HOME").map(|home| Path::new(&home).join(".cache")))
    };
    base.map(|base| base.join("ptvsd-bridge"))
}

/// Writes `text` as `<cache>/<kind>-<digest of the text>/<name>` and returns
/// the folder. The digest keeps several releases of this crate apart.
pub(crate) fn own_file(kind: &str, name: &str, text: &str) -> Result<PathBuf> {
    let mut digest = DefaultHasher::new();
    text.hash(&mut digest);
    let folder = folder()?.join(format!("{kind}-{:016x}", digest.finish()));
    let file = folder.join(name);
    if fs::read_to_string(&file).is_ok_and(|present| present == text) {
        return Ok(folder);
    }
    let write = || -> std::io::Result<()> {
        fs::create_dir_all(&folder)?;
        // Renamed into place: another process may be about to run this file.
        let fresh = folder.join(format!("{name}.{}", unique()));
        fs::write(&fresh, text)?;
        fs::rename(&fresh, &file)
    };
    write().with_context(|| {
        format!(
            "writing {}; set {VARIABLE} to a folder that can be written",
            file.display()
        )
    })?;
    Ok(folder)
}

/// A name part no other process or thread of this machine uses now.
fn unique() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{}-{number}", std::process::id())
}

/// A folder of our own that is removed with everything in it when dropped.
#[derive(Debug)]
pub(crate) struct ScratchFolder(PathBuf);

impl ScratchFolder {
    /// Makes a new folder inside `parent`, which is made too.
    pub(crate) fn new_in(parent: &Path) -> Result<Self> {
        let folder = parent.join(format!("tmp-{}", unique()));
        // A folder of a process that is gone may bear the same id.
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("clearing {}", folder.display()));
            }
            _ => {}
        }
        fs::create_dir_all(&folder).with_context(|| {
            format!(
                "making {}; set {VARIABLE} to a folder that can be written",
                folder.display()
            )
        })?;
        Ok(Self(folder))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for ScratchFolder {
    fn drop(&mut self) {
        // Best effort: what is left is a few files in a folder for such files.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_variable_comes_first() {
        let chosen = choose(|name| (name == VARIABLE).then(|| "/tmp/own".into()));
        assert_eq!(chosen, Some(PathBuf::from("/tmp/own")));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn then_the_platform_s_cache_folder() {
        let xdg = choose(|name| (name == "XDG_CACHE_HOME").then(|| "/x".into()));
        assert_eq!(xdg, Some(PathBuf::from("/x/ptvsd-bridge")));
        let home = choose(|name| (name == "HOME").then(|| "/h".into()));
        assert_eq!(home, Some(PathBuf::from("/h/.cache/ptvsd-bridge")));
    }

    #[test]
    fn no_home_is_no_folder() {
        assert_eq!(choose(|_| None), None);
    }

    #[test]
    fn scratch_folder_is_removed() {
        let scratch = ScratchFolder::new_in(&std::env::temp_dir()).unwrap();
        let path = scratch.path().to_owned();
        fs::write(path.join("x"), "y").unwrap();
        drop(scratch);
        assert!(!path.exists());
    }
}
