//! Which tests failed, read from what `cargo test` prints, so that the end of
//! a long log names them with their reasons.

use std::io::{BufRead, Write};

/// How much of a reason is told, in characters; the log has the rest.
const REASON_LIMIT: usize = 300;

/// Prints what comes, and gives the tests that failed, as "name: reason".
///
/// # Errors
///
/// One from reading or printing.
pub(crate) fn pass_on(from: impl BufRead, mut to: impl Write) -> std::io::Result<Vec<String>> {
    let mut reader = Reader::default();
    for line in from.split(b'\n') {
        let line = line?;
        to.write_all(&line)?;
        to.write_all(b"\n")?;
        to.flush()?;
        reader.take(String::from_utf8_lossy(&line).trim_end());
    }
    Ok(reader.failures)
}

#[derive(Debug, Default)]
struct Reader {
    /// Between the heading and the test program's result.
    in_failures: bool,
    /// The last of the failures still gets its reason.
    is_open: bool,
    failures: Vec<String>,
}

impl Reader {
    fn take(&mut self, line: &str) {
        if line == "failures:" {
            // The second one heads a list of the names alone.
            self.is_open = false;
            self.in_failures = true;
        } else if line.starts_with("test result: ") {
            self.is_open = false;
            self.in_failures = false;
        } else if let (true, Some(name)) = (self.in_failures, name_of(line)) {
            self.failures.push(format!("{name}:"));
            self.is_open = true;
        } else if let (true, false, Some(failure)) =
            (self.is_open, line.is_empty(), self.failures.last_mut())
        {
            let room = REASON_LIMIT.saturating_sub(failure.chars().count());
            failure.extend([" ", line.trim()].concat().chars().take(room));
        }
    }
}

/// The name in a heading of a failed test's output.
fn name_of(line: &str) -> Option<&str> {
    let name = line.strip_prefix("---- ")?.strip_suffix(" ----")?;
    Some(name.strip_suffix(" stdout").unwrap_or(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failures_in(printed: &str) -> Vec<String> {
        let mut passed_on = Vec::new();
        let failures = pass_on(printed.as_bytes(), &mut passed_on).unwrap();
        assert_eq!(String::from_utf8(passed_on).unwrap(), printed);
        failures
    }

    #[test]
    fn names_and_reasons_of_both_kinds_of_test_programs() {
        let printed = "\
running 2 tests
test works ... ok
test breaks ... FAILED

failures:

---- breaks stdout ----

thread 'breaks' panicked at src/lib.rs:1:1:
one is not two

failures:
    breaks

test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out

running 1 test
test 30 forks: 2.2.0 ... FAILED

failures:

---- 30 forks: 2.2.0 ----
after 3 children: no stop

failures:
    30 forks: 2.2.0

test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out
---- not a heading ----
";
        assert_eq!(
            failures_in(printed),
            [
                "breaks: thread 'breaks' panicked at src/lib.rs:1:1: one is not two",
                "30 forks: 2.2.0: after 3 children: no stop",
            ]
        );
    }

    #[test]
    fn a_long_reason_is_cut() {
        let printed = format!("failures:\n\n---- a ----\n{}", "many words\n".repeat(100));
        let told: Vec<usize> = failures_in(&printed).iter().map(String::len).collect();
        assert_eq!(told, [REASON_LIMIT]);
    }
}
