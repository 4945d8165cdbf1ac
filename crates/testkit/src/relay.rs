//! A way to a server on which what the server says comes in small pieces, or
//! ends somewhere.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::Result;
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

/// What becomes of what the server says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Treatment {
    /// It comes in pieces of so many bytes.
    Pieces(usize),
    /// So many bytes come, then the end. The server sees a reset.
    EndAfter(usize),
}

/// The relay. Serves any number of connections until it is dropped.
#[derive(Debug)]
pub struct Relay {
    port: u16,
    accepting: AbortHandle,
}

impl Relay {
    /// Listens on a free port of 127.0.0.1, for a server on `port`.
    ///
    /// # Errors
    ///
    /// The system's.
    pub async fn start(port: u16, treatment: Treatment) -> Result<Relay> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let own_port = listener.local_addr()?.port();
        let accepting = tokio::spawn(async move {
            while let Ok((debugger, _)) = listener.accept().await {
                tokio::spawn(serve(debugger, port, treatment));
            }
        });
        Ok(Relay {
            port: own_port,
            accepting: accepting.abort_handle(),
        })
    }

    /// Where the debugger is to connect.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(mut debugger: TcpStream, port: u16, treatment: Treatment) {
    let Ok(mut server) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else {
        return;
    };
    let _ = (server.set_nodelay(true), debugger.set_nodelay(true));
    // The way a connection that breaks looks to a server; one that just ends
    // in the middle of a handshake would be read for ever.
    if let Treatment::EndAfter(_) = treatment {
        let _ = SockRef::from(&server).set_linger(Some(Duration::ZERO));
    }
    // Halves that are owned would shut the stream down before the reset.
    let (mut from_debugger, mut to_debugger) = debugger.split();
    let (mut from_server, mut to_server) = server.split();
    let commands = async {
        let _ = tokio::io::copy(&mut from_debugger, &mut to_server).await;
        let _ = to_server.shutdown().await;
    };
    let answers = async {
        match treatment {
            Treatment::Pieces(size) => {
                let mut piece = vec![0; size];
                while let Ok(count @ 1..) = from_server.read(&mut piece).await {
                    let piece = piece.get(..count).unwrap_or_default();
                    if to_debugger.write_all(piece).await.is_err() {
                        return;
                    }
                }
            }
            Treatment::EndAfter(count) => {
                let limit = u64::try_from(count).unwrap_or(u64::MAX);
                let _ = tokio::io::copy(&mut from_server.take(limit), &mut to_debugger).await;
            }
        }
        let _ = to_debugger.shutdown().await;
    };
    if let Treatment::EndAfter(_) = treatment {
        tokio::select! {
            () = commands => {}
            () = answers => {}
        }
    } else {
        tokio::join!(commands, answers);
    }
}
