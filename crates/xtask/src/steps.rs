//! What each run does, in order.

/// How much is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Run {
    /// What every change must pass.
    Ordinary,
    /// The same, with every Python found.
    Full,
    /// Figures, no judgement.
    Measure,
    /// What the adapter costs, against targets.
    Bench,
}

/// One command line.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) program: &'static str,
    pub(crate) arguments: &'static [&'static str],
    pub(crate) environment: Vec<(&'static str, &'static str)>,
    /// Below the workspace's root.
    pub(crate) folder: &'static str,
    /// Programs without which it cannot run, and is named as not run.
    pub(crate) needs: &'static [&'static str],
}

impl Step {
    fn cargo(name: &'static str, arguments: &'static [&'static str]) -> Self {
        Self {
            name,
            program: "cargo",
            arguments,
            environment: Vec::new(),
            folder: ".",
            needs: &[],
        }
    }

    fn npm(name: &'static str, arguments: &'static [&'static str]) -> Self {
        let (folder, needs) = ("vscode-ext", &["node", "npm"]);
        Self {
            name,
            program: "npm",
            arguments,
            environment: Vec::new(),
            folder,
            needs,
        }
    }

    fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.environment.push((name, value));
        self
    }

    /// As one would type it at the root.
    pub(crate) fn command_line(&self) -> String {
        let mut words = Vec::new();
        if self.folder != "." {
            words.push(format!("cd {} &&", self.folder));
        }
        words.extend(
            self.environment
                .iter()
                .map(|(name, value)| format!("{name}={value:?}")),
        );
        words.push(self.program.to_owned());
        words.extend(self.arguments.iter().map(|&argument| argument.to_owned()));
        words.join(" ")
    }
}

/// The steps of a run. A new check is one more entry here.
pub(crate) fn of(run: Run) -> Vec<Step> {
    match run {
        Run::Ordinary => checks(&[]),
        Run::Full => checks(&[("PTVSD_BRIDGE_FULL", "1")]),
        Run::Bench => vec![
            release_build(),
            Step::cargo(
                "bench",
                &[
                    "run",
                    "--quiet",
                    "--release",
                    "--locked",
                    "--package",
                    "testkit",
                    "--bin",
                    "bench",
                    "docs/bench.md",
                ],
            ),
        ],
        Run::Measure => vec![
            release_build(),
            Step::cargo(
                "figures",
                &[
                    "run",
                    "--quiet",
                    "--release",
                    "--locked",
                    "--package",
                    "testkit",
                    "--bin",
                    "measure",
                    "target/release/ptvsd-bridge",
                ],
            ),
        ],
    }
}

fn release_build() -> Step {
    let package = &[
        "build",
        "--release",
        "--locked",
        "--package",
        "ptvsd-bridge",
    ];
    Step::cargo("adapter", package)
}

fn checks(test_environment: &[(&'static str, &'static str)]) -> Vec<Step> {
    let clippy = &[
        "clippy",
        "--workspace",
        "--all-targets",
        "--locked",
        "--",
        "-D",
        "warnings",
    ];
    // The end-to-end matrix is a test target of package ptvsd-bridge.
    let mut tests = Step::cargo(
        "tests",
        &["test", "--workspace", "--no-fail-fast", "--locked"],
    );
    tests.environment.extend_from_slice(test_environment);
    vec![
        Step::cargo("format", &["fmt", "--all", "--check"]),
        Step::cargo("lints", clippy),
        tests,
        Step::cargo(
            "documentation",
            &[
                "doc",
                "--workspace",
                "--no-deps",
                "--document-private-items",
                "--locked",
            ],
        )
        .with("RUSTDOCFLAGS", "-D warnings"),
        Step::npm(
            "editor extension: packages",
            &["ci", "--no-audit", "--no-fund"],
        ),
        Step::npm("editor extension: tests", &["test"]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_can_be_typed_at_the_root() {
        let lines: Vec<String> = of(Run::Full).iter().map(Step::command_line).collect();
        assert!(lines.contains(
            &"PTVSD_BRIDGE_FULL=\"1\" cargo test --workspace --no-fail-fast --locked".to_owned()
        ));
        assert!(lines.contains(&"cd vscode-ext && npm test".to_owned()));
    }

    #[test]
    fn the_full_run_leaves_no_ordinary_step_out() {
        let names = |run| of(run).iter().map(|step| step.name).collect::<Vec<_>>();
        let full = names(Run::Full);
        assert!(names(Run::Ordinary).iter().all(|name| full.contains(name)));
    }
}
