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

/// `cargo demo`: what it takes to run the adapter's own command.
pub(crate) fn demo() -> Step {
    let adapter = &[
        "run",
        "--quiet",
        "--release",
        "--package",
        "ptvsd-bridge",
        "--",
        "demo",
    ];
    Step::cargo("demo", adapter).builds_openssl_by(ADAPTER)
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
    /// The feature by which it builds OpenSSL, where the system has none.
    pub(crate) vendored_openssl: Option<&'static str>,
    /// It prints which of its tests failed, as Rust's test programs do.
    pub(crate) has_tests: bool,
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
            vendored_openssl: None,
            has_tests: false,
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
            vendored_openssl: None,
            has_tests: false,
        }
    }

    fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.environment.push((name, value));
        self
    }

    fn builds_openssl_by(mut self, feature: &'static str) -> Self {
        self.vendored_openssl = Some(feature);
        self
    }

    /// What follows the program's name. Clippy's own arguments, and a
    /// program's, come behind two dashes.
    pub(crate) fn all_arguments(&self, has_openssl: bool) -> Vec<&'static str> {
        let mut arguments = self.arguments.to_vec();
        if let (false, Some(feature)) = (has_openssl, self.vendored_openssl) {
            let end = arguments.iter().position(|argument| *argument == "--");
            let end = end.unwrap_or(arguments.len());
            arguments.splice(end..end, ["--features", feature]);
        }
        arguments
    }

    /// As one would type it at the root.
    pub(crate) fn command_line(&self, has_openssl: bool) -> String {
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
        let arguments = self.all_arguments(has_openssl);
        words.extend(arguments.into_iter().map(str::to_owned));
        words.join(" ")
    }
}

/// Features of packages, as the workspace knows them.
const ADAPTER: &str = "ptvsd-bridge/vendored-openssl";
const TESTKIT: &str = "testkit/vendored-openssl";

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
                    "--",
                    "docs/bench.md",
                ],
            )
            .builds_openssl_by(TESTKIT),
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
                    "--",
                    "target/release/ptvsd-bridge",
                ],
            )
            .builds_openssl_by(TESTKIT),
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
    Step::cargo("adapter", package).builds_openssl_by(ADAPTER)
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
    let modern_only = &[
        "clippy",
        "--package",
        "ptvsd-bridge",
        "--no-default-features",
        "--locked",
        "--",
        "-D",
        "warnings",
    ];
    // The end-to-end matrix is a test target of package ptvsd-bridge.
    let mut tests = Step::cargo(
        "tests",
        &["test", "--workspace", "--no-fail-fast", "--locked"],
    )
    .builds_openssl_by(ADAPTER);
    tests.has_tests = true;
    tests.environment.extend_from_slice(test_environment);
    vec![
        Step::cargo("format", &["fmt", "--all", "--check"]),
        Step::cargo("lints", clippy).builds_openssl_by(ADAPTER),
        Step::cargo("lints, without OpenSSL", modern_only),
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
        .builds_openssl_by(ADAPTER)
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
        let steps = of(Run::Full);
        let lines: Vec<String> = steps.iter().map(|step| step.command_line(true)).collect();
        assert!(lines.contains(
            &"PTVSD_BRIDGE_FULL=\"1\" cargo test --workspace --no-fail-fast --locked".to_owned()
        ));
        assert!(lines.contains(&"cd vscode-ext && npm test".to_owned()));
    }

    #[test]
    fn openssl_is_built_where_there_is_none() {
        for run in [Run::Ordinary, Run::Full, Run::Bench, Run::Measure] {
            for step in of(run).iter().filter(|step| step.program == "cargo") {
                let with = step.all_arguments(true);
                let without = step.all_arguments(false);
                let builds = step.name != "format" && !step.name.ends_with("without OpenSSL");
                assert_eq!(with != without, builds, "{}", step.name);
                let dashes = without.iter().position(|argument| *argument == "--");
                let features = without
                    .iter()
                    .position(|argument| *argument == "--features");
                assert!(!builds || dashes.is_none_or(|dashes| features < Some(dashes)));
            }
        }
    }

    #[test]
    fn the_full_run_leaves_no_ordinary_step_out() {
        let names = |run| of(run).iter().map(|step| step.name).collect::<Vec<_>>();
        let full = names(Run::Full);
        assert!(names(Run::Ordinary).iter().all(|name| full.contains(name)));
    }
}
