//! A network of two computers, in namespaces of the kernel: one for the
//! program, one for the debugger, and a link between them that can be cut so
//! that neither is told. Linux, as root.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

/// The program's address.
pub const PROGRAM_ADDRESS: &str = "10.211.0.1";
const DEBUGGER_ADDRESS: &str = "10.211.0.2";

/// One of the two computers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Computer {
    /// Where the program runs.
    Program,
    /// Where the debugger runs.
    Debugger,
}

/// Both, until this is dropped.
#[derive(Debug)]
pub struct Network {
    name: String,
    wrappers: TempDir,
}

impl Network {
    /// Makes them.
    ///
    /// # Errors
    ///
    /// Where that is not allowed, or `ip` (iproute2) is missing.
    pub fn new() -> Result<Network> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let network = Network {
            name: format!("ptvsd-{}-{number}", std::process::id()),
            wrappers: tempfile::tempdir()?,
        };
        let (program, debugger) = (
            network.namespace(Computer::Program),
            network.namespace(Computer::Debugger),
        );
        ip(&["netns", "add", &program])?;
        ip(&["netns", "add", &debugger])?;
        ip(&[
            "-n", &program, "link", "add", "link0", "type", "veth", "peer", "name", "link0",
            "netns", &debugger,
        ])?;
        for (namespace, address) in [(&program, PROGRAM_ADDRESS), (&debugger, DEBUGGER_ADDRESS)] {
            let address = format!("{address}/24");
            ip(&["-n", namespace, "addr", "add", &address, "dev", "link0"])?;
            ip(&["-n", namespace, "link", "set", "link0", "up"])?;
            ip(&["-n", namespace, "link", "set", "lo", "up"])?;
        }
        Ok(network)
    }

    fn namespace(&self, on: Computer) -> String {
        match on {
            Computer::Program => format!("{}-p", self.name),
            Computer::Debugger => format!("{}-d", self.name),
        }
    }

    /// A file that runs that program on one of the computers.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn on(&self, on: Computer, program: &Path) -> Result<PathBuf> {
        let namespace = self.namespace(on);
        let name = program.file_name().context("a program has a name")?;
        let folder = self.wrappers.path().join(&namespace);
        std::fs::create_dir_all(&folder)?;
        let wrapper = folder.join(name);
        let text = format!(
            "#!/bin/sh\nexec ip netns exec {namespace} '{}' \"$@\"\n",
            program.display()
        );
        std::fs::write(&wrapper, text)?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(&wrapper, std::fs::Permissions::from_mode(0o755))?;
        }
        Ok(wrapper)
    }

    /// Cuts the link: what either says is lost, and nothing tells.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn cut(&self) -> Result<()> {
        // Not `link set down`: that would take the other end's signal, and
        // tell it.
        let debugger = self.namespace(Computer::Debugger);
        ip(&["-n", &debugger, "addr", "flush", "dev", "link0"])
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for on in [Computer::Program, Computer::Debugger] {
            let _ = ip(&["netns", "del", &self.namespace(on)]);
        }
    }
}

fn ip(arguments: &[&str]) -> Result<()> {
    let output = Command::new("ip")
        .args(arguments)
        .output()
        .context("starting ip (of iproute2)")?;
    if !output.status.success() {
        bail!(
            "ip {}: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(())
}
