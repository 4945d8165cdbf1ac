//! Being told to stop.

use tokio::sync::oneshot;

/// Ready when this process is asked to end: the programs that are attached
/// are left in good order first.
///
/// The signals are waited for in a task of their own: what looks at this looks
/// at it in every turn, and three signals take longer to look at than one
/// channel.
pub(crate) async fn requested() {
    let (tell, told) = oneshot::channel();
    tokio::spawn(async move {
        signalled().await;
        let _ = tell.send(());
    });
    if told.await.is_err() {
        std::future::pending().await
    }
}

async fn signalled() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let (Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)) = (
            signal(SignalKind::interrupt()),
            signal(SignalKind::terminate()),
            signal(SignalKind::hangup()),
        ) else {
            return std::future::pending().await;
        };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
    #[cfg(not(unix))]
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
