//! The ranges of all files of Python's own library, compared with those that
//! the `ast` module of that Python gives (`oracle.py`).
//!
//! Takes CPython 2.7 and 3.11; with `PTVSD_BRIDGE_FULL=1` every CPython of the
//! machine.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use legacy_host::{Implementation, Python, python};
use python_source::{Expression, Language, except_ranges};
use serde::Deserialize;

const ORACLE: &str = include_str!("oracle.py");
const ORDINARY: [(u32, u32); 2] = [(2, 7), (3, 11)];

/// First line, end, expressions.
type Range = (usize, usize, Vec<String>);

#[derive(Deserialize)]
struct OfFile {
    path: PathBuf,
    ranges: Option<Vec<Range>>,
    error: Option<String>,
}

#[test]
fn every_file_of_the_standard_libraries_is_read_as_its_python_reads_it() {
    let full = std::env::var_os("PTVSD_BRIDGE_FULL").is_some_and(|value| value == "1");
    let pythons = python::find_all();
    for (major, minor) in ORDINARY {
        if !pythons
            .iter()
            .any(|python| python.is(&Implementation::CPython, major, minor))
        {
            eprintln!("ABSENT: CPython {major}.{minor}: its library is not compared");
        }
    }
    for python in &pythons {
        let takes_part = ORDINARY
            .iter()
            .any(|(major, minor)| python.is(&Implementation::CPython, *major, *minor))
            || full && python.implementation == Implementation::CPython;
        if takes_part {
            compare(python).unwrap();
        }
    }
}

fn compare(python: &Python) -> Result<()> {
    let language = Language::of_version(i64::from(python.version.0));
    let output = Command::new(&python.path)
        .args(["-W", "ignore", "-c", ORACLE])
        .output()?;
    ensure!(
        output.status.success(),
        "{python}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let (mut files, mut ranges, mut mismatches) = (0, 0, Vec::new());
    for line in String::from_utf8(output.stdout)?.lines() {
        let of_file: OfFile = serde_json::from_str(line).context("the oracle's line")?;
        let path = of_file.path.display();
        let Some(expected) = of_file.ranges else {
            let why = of_file.error.unwrap_or_default();
            eprintln!("EXCLUDED, {python} cannot read it: {path}: {why}");
            continue;
        };
        let source = std::fs::read(&of_file.path)?;
        let found: Vec<Range> = except_ranges(&source, language, || true)
            .context("no syntax tree")?
            .into_iter()
            .map(|range| {
                let expressions = range.expressions.into_iter().map(|e| match e {
                    Expression::Everything => "*".to_owned(),
                    Expression::Name(name) => name,
                });
                (range.first_line, range.end_line, expressions.collect())
            })
            .collect();
        files += 1;
        ranges += expected.len();
        if found != expected {
            mismatches.push(difference(&path.to_string(), &found, &expected));
        }
    }
    eprintln!(
        "{python}: {files} files with {ranges} ranges, {} mismatches",
        mismatches.len()
    );
    ensure!(
        mismatches.is_empty(),
        "{python}:\n{}",
        mismatches.join("\n")
    );
    ensure!(ranges > 1000, "{python}: only {ranges} ranges");
    Ok(())
}

fn difference(path: &str, found: &[Range], expected: &[Range]) -> String {
    let absent: Vec<_> = expected.iter().filter(|r| !found.contains(r)).collect();
    let surplus: Vec<_> = found.iter().filter(|r| !expected.contains(r)).collect();
    format!("{path}: absent {absent:?}, surplus {surplus:?}")
}
