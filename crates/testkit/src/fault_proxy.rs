//! A way to a server that goes wrong when it is told to: the debugger dies, or
//! the link does, in the middle of whatever is under way.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};

/// How the debugger's end of the connections comes to an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Death {
    /// The connections are closed.
    Fin,
    /// The connections are reset.
    Reset,
    /// Nothing more comes, and nothing tells: a tunnel whose far end is gone.
    Silence,
}

/// What is passed on of what the debugger says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    All,
    /// All up to the piece that says which exceptions stop, then nothing.
    UpToExceptions,
    /// Half of the next piece, then nothing.
    Half,
    Over(Death),
}

/// The proxy. Serves any number of connections until it is dropped.
#[derive(Debug)]
pub struct FaultProxy {
    port: u16,
    mode: watch::Sender<Mode>,
    last_has_passed: Arc<Notify>,
    tasks: Arc<Mutex<Vec<tokio::task::AbortHandle>>>,
}

impl FaultProxy {
    /// Listens on a free port of 127.0.0.1, for that server.
    ///
    /// # Errors
    ///
    /// The system's.
    pub async fn start(server: SocketAddr) -> Result<FaultProxy> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let own_port = listener.local_addr()?.port();
        let (mode, changes) = watch::channel(Mode::All);
        let tasks = Arc::new(Mutex::new(Vec::new()));
        let spawned = Arc::clone(&tasks);
        let last_has_passed = Arc::new(Notify::new());
        let passed = Arc::clone(&last_has_passed);
        let accepting = tokio::spawn(async move {
            while let Ok((debugger, _)) = listener.accept().await {
                let relay = tokio::spawn(relay(
                    debugger,
                    server,
                    changes.clone(),
                    Arc::clone(&passed),
                ));
                remember(&spawned, relay.abort_handle());
            }
        });
        remember(&tasks, accepting.abort_handle());
        Ok(FaultProxy {
            port: own_port,
            mode,
            last_has_passed,
            tasks,
        })
    }

    /// Where the debugger is to connect.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The server hears which exceptions are to stop, and then no more.
    pub fn mute_after_exceptions(&self) {
        self.mode.send_replace(Mode::UpToExceptions);
    }

    /// When that was passed on.
    pub async fn last_has_passed(&self) {
        self.last_has_passed.notified().await;
    }

    /// The server hears half of what the debugger says next, and no more.
    pub fn cut_next(&self) {
        self.mode.send_replace(Mode::Half);
    }

    /// The end.
    pub fn die(&self, how: Death) {
        self.mode.send_replace(Mode::Over(how));
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        for task in self
            .tasks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .drain(..)
        {
            task.abort();
        }
    }
}

fn remember(tasks: &Mutex<Vec<tokio::task::AbortHandle>>, task: tokio::task::AbortHandle) {
    tasks
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(task);
}

async fn relay(
    mut debugger: TcpStream,
    server: SocketAddr,
    mut mode: watch::Receiver<Mode>,
    last_has_passed: Arc<Notify>,
) {
    let Ok(mut server) = TcpStream::connect(server).await else {
        return;
    };
    let _ = server.set_nodelay(true);
    let _ = debugger.set_nodelay(true);
    // An end that nobody asked for is passed on as what it is.
    let (mut said, mut answered) = ([0; 65536], [0; 65536]);
    let mut is_last_done = false;
    loop {
        let current = *mode.borrow_and_update();
        if let Mode::Over(how) = current {
            return end(server, debugger, how).await;
        }
        tokio::select! {
            changed = mode.changed() => if changed.is_err() { return },
            read = debugger.read(&mut said) => {
                let count = match read {
                    Ok(0) => return,
                    Ok(count) => count,
                    // Killed with unread data, or reset on purpose.
                    Err(_) => return reset(&server),
                };
                let passed = match current {
                    Mode::All => count,
                    Mode::UpToExceptions | Mode::Half if is_last_done => 0,
                    Mode::UpToExceptions => count,
                    Mode::Half => count / 2,
                    Mode::Over(_) => 0,
                };
                let is_last = !is_last_done
                    && match current {
                        Mode::UpToExceptions => says_exceptions(said.get(..count)),
                        Mode::Half => true,
                        Mode::All | Mode::Over(_) => false,
                    };
                is_last_done |= is_last;
                if server.write_all(said.get(..passed).unwrap_or_default()).await.is_err() {
                    return;
                }
                if is_last {
                    last_has_passed.notify_one();
                }
            }
            read = server.read(&mut answered) => {
                let count = match read {
                    Ok(0) | Err(_) => return,
                    Ok(count) => count,
                };
                if debugger.write_all(answered.get(..count).unwrap_or_default()).await.is_err() {
                    return reset(&server);
                }
            }
        }
    }
}

/// In either family.
fn says_exceptions(piece: Option<&[u8]>) -> bool {
    let piece = piece.unwrap_or_default();
    let has = |word: &[u8]| piece.windows(word.len()).any(|part| part == word);
    has(b"sexi") || has(b"legacySetExceptionInfo")
}

fn reset(stream: &TcpStream) {
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

async fn end(server: TcpStream, debugger: TcpStream, how: Death) {
    match how {
        Death::Fin => {
            // Unread data would make the close a reset.
            let mut ignored = [0; 65536];
            while server.try_read(&mut ignored).is_ok_and(|count| count > 0) {}
        }
        Death::Reset => reset(&server),
        Death::Silence => std::future::pending().await,
    }
    drop((server, debugger));
}
