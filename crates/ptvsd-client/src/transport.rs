//! The byte stream under a session, plain or encrypted.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A connection to a server.
pub(crate) trait Transport: AsyncRead + AsyncWrite + Send + Unpin {
    /// Whether the drop of this connection is a reset or an ordinary end. A
    /// server in the middle of a handshake spins for ever on a connection that
    /// just ends.
    fn reset_when_dropped(&self, reset: bool);
}

/// Plain TCP.
#[derive(Debug)]
pub(crate) struct Tcp(TcpStream);

impl Tcp {
    pub(crate) fn new(stream: TcpStream) -> io::Result<Tcp> {
        // A command is one write; it must not wait for the answer to the last.
        stream.set_nodelay(true)?;
        let tcp = Tcp(stream);
        tcp.acknowledge_now();
        Ok(tcp)
    }

    /// To be called after each read. The servers write a message in several
    /// small sends with Nagle's algorithm on, so each one waits for our
    /// acknowledgement, which the kernel delays by 40 ms unless asked not to,
    /// again and again. (FACTS: a step in 46 ms without, in 3 ms with.)
    fn acknowledge_now(&self) {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if let Err(error) = SockRef::from(&self.0).set_tcp_quickack(true) {
            tracing::debug!(%error, "TCP_QUICKACK");
        }
    }
}

impl Transport for Tcp {
    fn reset_when_dropped(&self, reset: bool) {
        let linger = reset.then_some(Duration::ZERO);
        if let Err(error) = SockRef::from(&self.0).set_linger(linger) {
            tracing::debug!(%error, "SO_LINGER");
        }
    }
}

impl AsyncRead for Tcp {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.0).poll_read(cx, buf);
        if matches!(read, Poll::Ready(Ok(()))) {
            self.acknowledge_now();
        }
        read
    }
}

impl AsyncWrite for Tcp {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
