//! Tests that are made at run time: one for each release and Python.

use std::future::Future;
use std::time::Duration;

use anyhow::{Context, Result};
use libtest_mimic::Trial;
use tokio::time::timeout;

/// No test takes longer than this; one that does hangs.
const LIMIT: Duration = Duration::from_secs(120);

/// A test that is a future, on a runtime of its own.
pub fn trial<F>(name: String, test: impl FnOnce() -> F + Send + 'static) -> Trial
where
    F: Future<Output = Result<()>>,
{
    Trial::test(name, move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let result = runtime.block_on(async {
            timeout(LIMIT, test())
                .await
                .with_context(|| format!("not over after {} s", LIMIT.as_secs()))?
        });
        runtime.shutdown_background();
        result.map_err(|error| format!("{error:#}").into())
    })
}
