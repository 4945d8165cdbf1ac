//! From a target to a connection.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpSocket, TcpStream, lookup_host};

use crate::transport::{Tcp, Transport};
use crate::{ConnectError, Scheme, Target};

/// Connects. Takes as long as the system does: the caller has the limit.
pub(crate) async fn connect(target: &Target) -> Result<Box<dyn Transport>, ConnectError> {
    if target.scheme == Scheme::Tcps {
        return Err(ConnectError::TlsNotSupported {
            target: target.clone(),
        });
    }
    let stream = connect_tcp(target).await?;
    match Tcp::new(stream) {
        Ok(tcp) => Ok(Box::new(tcp)),
        Err(cause) => Err(ConnectError::Connect {
            target: target.clone(),
            cause,
        }),
    }
}

async fn connect_tcp(target: &Target) -> Result<TcpStream, ConnectError> {
    let resolve_error = |cause| ConnectError::Resolve {
        host: target.host.clone(),
        cause,
    };
    let mut addresses: Vec<SocketAddr> = lookup_host((target.host.as_str(), target.port))
        .await
        .map_err(resolve_error)?
        .collect();
    // The servers bind IPv4 only; elsewhere the order of the system holds.
    addresses.sort_by_key(SocketAddr::is_ipv6);
    let mut last_error = io::Error::new(io::ErrorKind::NotFound, "no address");
    for address in addresses {
        match connect_to(address).await {
            Ok(stream) => return Ok(stream),
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
