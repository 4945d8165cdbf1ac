//! From a target to a connection.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpSocket, TcpStream, lookup_host};

use crate::error::Stage;
use crate::transport::{Tcp, Transport};
use crate::{ConnectError, Scheme, Target};

/// Connects, and keeps `stage` at what is being waited for. Takes as long as
/// the system does: the caller has the limit.
pub(crate) async fn connect(
    target: &Target,
    stage: &mut Stage,
) -> Result<Box<dyn Transport>, ConnectError> {
    if target.scheme == Scheme::Tcps {
        return Err(ConnectError::TlsNotSupported {
            target: target.clone(),
        });
    }
    let stream = connect_tcp(target, stage).await?;
    match Tcp::new(stream) {
        Ok(tcp) => Ok(Box::new(tcp)),
        Err(cause) => Err(ConnectError::Connect {
            target: target.clone(),
            cause,
        }),
    }
}

async fn connect_tcp(target: &Target, stage: &mut Stage) -> Result<TcpStream, ConnectError> {
    *stage = Stage::Resolving;
    let resolve_error = |cause| ConnectError::Resolve {
        host: target.host.clone(),
        cause,
    };
    let mut addresses: Vec<SocketAddr> = lookup_host((target.host.as_str(), target.port))
        .await
        .map_err(resolve_error)?
        .collect();
    *stage = Stage::Connecting;
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
