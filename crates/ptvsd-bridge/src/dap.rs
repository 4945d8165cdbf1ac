//! `ptvsd-bridge dap`: the adapter.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bridge::Environment;
use dap_wire::Connection;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::cli::Dap;
use crate::shutdown;

/// After an editor's connection that could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

pub(crate) async fn run(arguments: &Dap, environment: Arc<dyn Environment>) -> Result<()> {
    match arguments.listen {
        None => {
            // As a task of its own: between two turns of the one that a
            // runtime is started with, it asks the system for news.
            let session = bridge::serve(Connection::stdio(), environment, shutdown::requested());
            tokio::spawn(session)
                .await
                .context("the session broke off")?;
            Ok(())
        }
        Some(address) => listen(address, arguments.allow_remote, environment).await,
    }
}

/// One session for each connection, until told to stop.
async fn listen(
    address: SocketAddr,
    allow_remote: bool,
    environment: Arc<dyn Environment>,
) -> Result<()> {
    if !address.ip().is_loopback() && !allow_remote {
        bail!(
            "--listen {address}: other machines reach this address, and whoever reaches the \
             adapter can run code in the programs that it reaches. Listen on 127.0.0.1 (and \
             forward the port with ssh -L), or add --allow-remote."
        );
    }
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("--listen {address}"))?;
    eprintln!("ptvsd-bridge: listening on {}", listener.local_addr()?);
    let (stop, stopping) = watch::channel(());
    let mut sessions = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown::requested());
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    tracing::info!(%peer, "an editor has connected");
                    let _ = stream.set_nodelay(true);
                    let mut stopping = stopping.clone();
                    let environment = Arc::clone(&environment);
                    sessions.spawn(bridge::serve(
                        Connection::stream(stream),
                        environment,
                        async move {
                            let _ = stopping.changed().await;
                        },
                    ));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection was lost before it began");
                    // Out of file descriptors, it fails again at once.
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = sessions.join_next() => {}
            () = &mut shutdown => break,
        }
    }
    drop(stop);
    while sessions.join_next().await.is_some() {}
    Ok(())
}
