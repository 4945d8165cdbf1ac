//! What a run finds on this machine, and what it installs where it may.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use legacy_host::python::{self, Implementation, Python};

use crate::steps::Run;

/// CPythons that the ordinary matrix wants, then those that the full one adds.
const ORDINARY: [(u32, u32); 3] = [(2, 7), (3, 6), (3, 11)];
const FULL: [(u32, u32); 6] = [(3, 7), (3, 8), (3, 9), (3, 10), (3, 12), (3, 13)];

/// Other Pythons of the full matrix, with their packages in Debian.
const OTHERS: [(Implementation, &str); 2] = [
    (Implementation::PyPy, "pypy3"),
    (Implementation::Jython, "jython"),
];

/// Shows what is here and what is not; with `install`, gets what Debian has of
/// the rest.
pub(crate) fn prepare(run: Run, install: bool) -> Result<()> {
    let mut pythons = python::find_all();
    if install {
        let mut packages = match run {
            Run::Full => lacking_packages(&pythons),
            _ => Vec::new(),
        };
        if cfg!(target_os = "linux") && ip_version().is_none() {
            packages.push("iproute2");
        }
        if openssl_version().is_none() {
            packages.push("openssl");
        }
        if !has_openssl() {
            packages.extend(["libssl-dev", "pkg-config"]);
        }
        if !packages.is_empty() && can_install(&packages) {
            install_packages(&packages)?;
            pythons = python::find_all();
        }
    }
    println!("Pythons here:");
    for python in &pythons {
        let pip = if python.has_pip { "" } else { ", no pip" };
        println!("  {python} ({}{pip})", python.path.display());
    }
    let cpython = |versions: &[(u32, u32)]| -> Vec<String> {
        let lacking = versions.iter().filter(|&&(major, minor)| {
            !pythons
                .iter()
                .any(|python| python.is(&Implementation::CPython, major, minor))
        });
        lacking
            .map(|(major, minor)| format!("CPython {major}.{minor}"))
            .collect()
    };
    show_absent("the ordinary matrix", &cpython(&ORDINARY));
    let mut full = cpython(&FULL);
    let others = lacking_packages(&pythons);
    full.extend(
        others
            .iter()
            .map(|package| format!("{package} (in Debian: apt-get install {package})")),
    );
    show_absent("the full matrix", &full);
    for tool in ["node", "npm"] {
        println!("{tool}: {}", version(tool).as_deref().unwrap_or("NOT HERE"));
    }
    println!(
        "ip, for links that are cut: {}",
        ip_version().as_deref().unwrap_or("NOT HERE")
    );
    println!(
        "openssl, which makes certificates: {}",
        openssl_version().as_deref().unwrap_or("NOT HERE")
    );
    println!(
        "OpenSSL's library: {}",
        if has_openssl() {
            "the system's"
        } else {
            "built from source, which takes some minutes"
        }
    );
    Ok(())
}

fn show_absent(matrix: &str, absent: &[String]) {
    if absent.is_empty() {
        println!("Absent of {matrix}: nothing");
    } else {
        println!("Absent of {matrix}, so not tested: {}", absent.join(", "));
    }
}

fn lacking_packages(pythons: &[Python]) -> Vec<&'static str> {
    OTHERS
        .iter()
        .filter(|(implementation, _)| {
            !pythons
                .iter()
                .any(|python| python.implementation == *implementation)
        })
        .map(|(_, package)| *package)
        .collect()
}

/// Debian, and we are root.
fn can_install(packages: &[&str]) -> bool {
    let root = output_of("id", "-u").is_some_and(|id| id == "0");
    let debian = Path::new("/etc/debian_version").exists();
    if !(root && debian) {
        println!(
            "{} cannot be installed here: that takes Debian and root",
            packages.join(", ")
        );
    }
    root && debian
}

fn install_packages(packages: &[&str]) -> Result<()> {
    for arguments in [
        &["update"][..],
        &[&["install", "-y"], packages].concat()[..],
    ] {
        println!("$ apt-get {}", arguments.join(" "));
        let status = Command::new("apt-get")
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdin(Stdio::null())
            .status()
            .context("starting apt-get")?;
        if !status.success() {
            bail!("`apt-get {}` ended with {status}", arguments.join(" "));
        }
    }
    Ok(())
}

/// Whether the program is here and runs.
pub(crate) fn answers(tool: &str) -> bool {
    version(tool).is_some()
}

fn ip_version() -> Option<String> {
    output_of("ip", "-V")
}

fn openssl_version() -> Option<String> {
    output_of("openssl", "version")
}

/// Whether the system has OpenSSL to build against.
pub(crate) fn has_openssl() -> bool {
    let told = ["OPENSSL_DIR", "OPENSSL_LIB_DIR"];
    told.iter().any(|name| std::env::var_os(name).is_some())
        || Command::new("pkg-config")
            .args(["--exists", "openssl"])
            .stdin(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
}

fn version(tool: &str) -> Option<String> {
    output_of(command_name(tool), "--version")
}

/// What to start: on Windows npm is a script, which takes its full name.
pub(crate) fn command_name(tool: &str) -> &str {
    if cfg!(windows) && tool == "npm" {
        "npm.cmd"
    } else {
        tool
    }
}

fn output_of(program: &str, argument: &str) -> Option<String> {
    let output = Command::new(program)
        .arg(argument)
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    output.status.success().then_some(text)
}
