//! The ranges of all files of Python's own library, compared with those that
//! the `ast` module of that Python gives, and the lines of their code with
//! those that its compiler gives (`oracle.py`).
//!
//! Takes CPython 2.7 and 3.11; with `PTVSD_BRIDGE_FULL=1` every CPython of the
//! machine.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use legacy_host::{Implementation, Python, python};
use python_source::{Expression, Language, code_lines, except_ranges};
use serde::Deserialize;

const ORACLE: &str = include_str!("oracle.py");
const ORDINARY: [(u32, u32); 2] = [(2, 7), (3, 11)];

/// Of a thousand moved breakpoints, those that must end on a line with code.
const PER_MILLE: usize = 995;

/// First line, end, expressions.
type Range = (usize, usize, Vec<String>);

#[derive(Deserialize)]
struct OfFile {
    path: PathBuf,
    ranges: Option<Vec<Range>>,
    lines: Option<BTreeSet<usize>>,
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
    let mut moves = Moves::default();
    for line in String::from_utf8(output.stdout)?.lines() {
        let of_file: OfFile = serde_json::from_str(line).context("the oracle's line")?;
        let path = of_file.path.display();
        let (Some(expected), Some(lines)) = (of_file.ranges, of_file.lines) else {
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
        let found = moves.compare(&source, language, &lines)?;
        mismatches.extend(
            found
                .iter()
                .map(|line| format!("{path}:{line} has code and is moved")),
        );
    }
    eprintln!(
        "{python}: {files} files with {ranges} ranges, {} mismatches",
        mismatches.len()
    );
    eprintln!("{python}: {moves:?}");
    ensure!(
        mismatches.is_empty(),
        "{python}:\n{}",
        mismatches.join("\n")
    );
    ensure!(
        moves.to_code * 1000 >= moves.all * PER_MILLE,
        "{python}: too few moves end on a line with code: {moves:?}"
    );
    ensure!(ranges > 1000, "{python}: only {ranges} ranges");
    Ok(())
}

/// Breakpoints that were moved, and how many of them to a line with code.
#[derive(Debug, Default)]
struct Moves {
    all: usize,
    to_code: usize,
}

impl Moves {
    /// The lines that have code and are moved all the same.
    fn compare(
        &mut self,
        source: &[u8],
        language: Language,
        lines: &BTreeSet<usize>,
    ) -> Result<Vec<usize>> {
        let found = code_lines(source, language, || true).context("no syntax tree")?;
        let last = source.split(|byte| *byte == b'\n').count();
        let mut wrong = Vec::new();
        for line in 1..=last {
            let moved = found.at_or_after(line);
            if moved == Some(line) {
                continue;
            }
            if lines.contains(&line) {
                wrong.push(line);
            }
            if let Some(moved) = moved {
                self.all += 1;
                self.to_code += usize::from(lines.contains(&moved));
            }
        }
        Ok(wrong)
    }
}

fn difference(path: &str, found: &[Range], expected: &[Range]) -> String {
    let absent: Vec<_> = expected.iter().filter(|r| !found.contains(r)).collect();
    let surplus: Vec<_> = found.iter().filter(|r| !expected.contains(r)).collect();
    format!("{path}: absent {absent:?}, surplus {surplus:?}")
}
