//! Tests that are made at run time: one for each release and Python.

use std::future::Future;
use std::time::Duration;

use anyhow::{Context, Result};
use libtest_mimic::Trial;
use tokio::time::timeout;
use tracing_subscriber::filter::LevelFilter;

/// No test takes longer than this; one that does hangs.
const LIMIT: Duration = Duration::from_secs(120);

/// Logs what the test's own process does, as the adapter does in its, where
/// `PTVSD_BRIDGE_LOG` asks for it.
fn log() {
    let level = std::env::var("PTVSD_BRIDGE_LOG")
        .ok()
        .and_then(|level| level.parse::<LevelFilter>().ok());
    if let Some(level) = level {
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_max_level(level)
            .with_writer(std::io::stderr);
        // Another test of this process may have done so.
        let _ = subscriber.try_init();
    }
}

/// A test that is a future, on a runtime of its own.
pub fn trial<F>(name: String, test: impl FnOnce() -> F + Send + 'static) -> Trial
where
    F: Future<Output = Result<()>>,
{
    Trial::test(name, move || {
        run(test()).map_err(|error| format!("{error:#}").into())
    })
}

/// Runs a future to its end, on a runtime of its own.
///
/// # Errors
///
/// The future's, and one if it hangs.
pub fn run(test: impl Future<Output = Result<()>>) -> Result<()> {
    log();
    // A session has its own task, and goes on while a test blocks.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let result = runtime.block_on(async {
        timeout(LIMIT, test)
            .await
            .with_context(|| format!("not over after {} s", LIMIT.as_secs()))?
    });
    runtime.shutdown_background();
    result
}
