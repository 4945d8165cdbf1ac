//! From a target to a connection.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpSocket, TcpStream, lookup_host};

use crate::error::Stage;
use crate::tls::{self, Channel, NotEstablished, Stack};
use crate::transport::{Tcp, Transport};
use crate::{ConnectError, Scheme, Target};

/// A target, and what earlier connections have found out about the way there.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    pub(crate) target: Target,
    /// What speaks its TLS.
    stack: Option<Stack>,
}

impl Route {
    pub(crate) fn to(target: &Target) -> Route {
        Route {
            target: target.clone(),
            stack: None,
        }
    }

    /// Connects, and keeps `stage` at what is being waited for. Takes as long
    /// as the system does: the caller has the limit. The channel is there if
    /// there is TLS.
    pub(crate) async fn connect(
        &mut self,
        stage: &mut Stage,
    ) -> Result<(Box<dyn Transport>, Option<Channel>), NotEstablished> {
        *stage = Stage::Resolving;
        let addresses = resolve(&self.target).await?;
        *stage = Stage::Connecting;
        let target = &self.target;
        match target.scheme {
            Scheme::Tcp => Ok((Box::new(dial(target, &addresses).await?), None)),
            Scheme::Tcps => {
                let dial = || dial(target, &addresses);
                let (transport, stack, channel) =
                    tls::establish(target, self.stack, stage, dial).await?;
                self.stack = Some(stack);
                Ok((transport, Some(channel)))
            }
        }
    }
}

/// In the order in which they are tried.
pub(crate) async fn resolve(target: &Target) -> Result<Vec<SocketAddr>, ConnectError> {
    let mut addresses: Vec<SocketAddr> = lookup_host((target.host.as_str(), target.port))
        .await
        .map_err(|cause| ConnectError::Resolve {
            host: target.host.clone(),
            cause,
        })?
        .collect();
    // The servers bind IPv4 only; elsewhere the order of the system holds.
    addresses.sort_by_key(SocketAddr::is_ipv6);
    Ok(addresses)
}

async fn dial(target: &Target, addresses: &[SocketAddr]) -> Result<Tcp, ConnectError> {
    let mut last_error = io::Error::new(io::ErrorKind::NotFound, "no address");
    for address in addresses {
        match connect_to(*address).await.and_then(Tcp::new) {
            Ok(tcp) => return Ok(tcp),
            Err(error) => last_error = error,
        }
    }
    Err(ConnectError::Connect {
        target: target.clone(),
        cause: last_error,
    })
}

async fn connect_to(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // From the first moment: if nobody waits for the connection any more when
    // it is made, the server must see a reset and not an end.
    SockRef::from(&socket).set_linger(Some(Duration::ZERO))?;
    socket.connect(address).await
}
