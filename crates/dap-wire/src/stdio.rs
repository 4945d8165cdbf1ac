//! This process's standard input and output.
//!
//! tokio reads and writes them on threads of their own, since it cannot know
//! what they are, and that costs four changes of thread for a request and its
//! answer. Editors give an adapter pipes or sockets, which need none.

use std::io;

use tokio::io::{AsyncRead, AsyncWrite};

/// Where requests come from.
pub(crate) type Input = Box<dyn AsyncRead + Send + Unpin>;
/// Where answers go.
pub(crate) type Output = Box<dyn AsyncWrite + Send + Unpin>;

/// Both, in the way that suits what they are.
pub(crate) fn open() -> (Input, Output) {
    let input = direct::input().unwrap_or_else(|error| {
        tracing::debug!(%error, "standard input is read on a thread");
        Box::new(tokio::io::stdin())
    });
    let output = direct::output().unwrap_or_else(|error| {
        tracing::debug!(%error, "standard output is written on a thread");
        Box::new(tokio::io::stdout())
    });
    (input, output)
}

#[cfg(unix)]
mod direct {
    use std::fs::File;
    use std::os::fd::{AsFd, OwnedFd};
    use std::os::unix::fs::{FileTypeExt, MetadataExt};
    use std::os::unix::net::UnixStream as StdUnixStream;

    use tokio::net::UnixStream;
    use tokio::net::unix::pipe;

    use super::{Input, Output, io};

    pub(super) fn input() -> io::Result<Input> {
        let file = own(&io::stdin())?;
        if is_socket(&file)? {
            return Ok(Box::new(socket(file)?));
        }
        Ok(Box::new(pipe::Receiver::from_file(file)?))
    }

    pub(super) fn output() -> io::Result<Output> {
        let file = own(&io::stdout())?;
        // What is set for one of them would hold for the other as well, and
        // nothing that is written to standard error may fail because the
        // reader is slow.
        if is_same(&file, &own(&io::stderr())?)? {
            return Err(io::Error::other("it is standard error too"));
        }
        if is_socket(&file)? {
            return Ok(Box::new(socket(file)?));
        }
        Ok(Box::new(pipe::Sender::from_file(file)?))
    }

    fn own(stream: &impl AsFd) -> io::Result<File> {
        Ok(File::from(stream.as_fd().try_clone_to_owned()?))
    }

    fn is_socket(file: &File) -> io::Result<bool> {
        Ok(file.metadata()?.file_type().is_socket())
    }

    fn is_same(one: &File, other: &File) -> io::Result<bool> {
        let (one, other) = (one.metadata()?, other.metadata()?);
        Ok((one.dev(), one.ino()) == (other.dev(), other.ino()))
    }

    fn socket(file: File) -> io::Result<UnixStream> {
        let stream = StdUnixStream::from(OwnedFd::from(file));
        // Of another family, it would fail at the first read.
        stream.local_addr()?;
        stream.set_nonblocking(true)?;
        UnixStream::from_std(stream)
    }
}

#[cfg(not(unix))]
mod direct {
    use super::{Input, Output, io};

    pub(super) fn input() -> io::Result<Input> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn output() -> io::Result<Output> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
