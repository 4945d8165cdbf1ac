//! Where a server is: the "connection target" of the original tools.

use std::fmt;
use std::str::FromStr;

use percent_encoding::percent_decode_str;

use crate::TlsOptions;

/// The port that `enable_attach` listens on unless told otherwise.
pub const DEFAULT_PORT: u16 = 5678;

/// `tcp://secret@host:5678`, every part but the host optional.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Plain or encrypted.
    pub scheme: Scheme,
    /// What the program gave to `enable_attach`; empty for none.
    pub secret: Secret,
    /// A name or an address, without brackets.
    pub host: String,
    /// Where it listens.
    pub port: u16,
    /// With [`Scheme::Tcps`], how it is to prove who it is. Not a part of the
    /// text.
    pub tls: Box<TlsOptions>,
}

/// How the connection is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scheme {
    /// Plain text.
    #[default]
    Tcp,
    /// TLS.
    Tcps,
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Scheme::Tcp => "tcp",
            Scheme::Tcps => "tcps",
        })
    }
}

/// A secret: it never shows in a message or a log.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(String);

impl Secret {
    /// For sending it, and for nothing else.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<String> for Secret {
    fn from(secret: String) -> Self {
        Secret(secret)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() {
            "(none)"
        } else {
            "(hidden)"
        })
    }
}

/// Shown without the secret.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "{}://[{}]:{}", self.scheme, self.host, self.port)
        } else {
            write!(f, "{}://{}:{}", self.scheme, self.host, self.port)
        }
    }
}

/// Why a text is no target. Never quotes what may hold the secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// A scheme that was understood elsewhere, or never.
    #[error(
        "a connection target cannot begin with {0:?}: write tcp://secret@host:5678, or tcps:// \
         for TLS"
    )]
    Scheme(String),
    /// WebSocket targets of Azure web sites.
    #[error(
        "WebSocket targets ({0}://) are not supported: forward the port with ssh -L, and use \
         tcp://secret@localhost:5678"
    )]
    WebSocket(String),
    /// Nothing where the host belongs.
    #[error("the connection target names no host: write tcp://secret@host:5678")]
    NoHost,
    /// Not a number from 1 to 65535.
    #[error("{0:?} is no port: ports are numbers from 1 to 65535, and 5678 if none is given")]
    Port(String),
    /// Something after the port.
    #[error(
        "a connection target ends with the port, it has no path ({0:?}); a secret that \
         contains / ? or # needs them percent-encoded (%2F %3F %23)"
    )]
    Path(String),
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Target, TargetError> {
        let (scheme, rest) = match text.split_once("://") {
            None => (Scheme::Tcp, text),
            Some((scheme, rest)) => match scheme.to_ascii_lowercase().as_str() {
                "tcp" => (Scheme::Tcp, rest),
                "tcps" => (Scheme::Tcps, rest),
                web @ ("ws" | "wss") => return Err(TargetError::WebSocket(web.to_owned())),
                // Not if the :// is a part of the secret.
                _ if scheme.contains('@') => (Scheme::Tcp, text),
                _ => return Err(TargetError::Scheme(format!("{scheme}://"))),
            },
        };
        // The last @, so that one in the secret needs no encoding.
        let (secret, address) = rest.rsplit_once('@').unwrap_or(("", rest));
        let address = match address.find(['/', '?', '#']) {
            None => address,
            Some(at) => match address.split_at(at) {
                (address, "/") => address,
                (_, path) => return Err(TargetError::Path(path.to_owned())),
            },
        };
        let (host, port) = split_address(address)?;
        if host.is_empty() {
            return Err(TargetError::NoHost);
        }
        Ok(Target {
            scheme,
            secret: Secret(percent_decode_str(secret).decode_utf8_lossy().into_owned()),
            host: host.to_owned(),
            port,
            tls: Box::default(),
        })
    }
}

fn split_address(address: &str) -> Result<(&str, u16), TargetError> {
    let (host, port) = if let Some(rest) = address.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or(TargetError::NoHost)?;
        match after.strip_prefix(':') {
            Some(port) => (host, Some(port)),
            None if after.is_empty() => (host, None),
            None => return Err(TargetError::Port(after.to_owned())),
        }
    } else {
        match address.split_once(':') {
            // Two colons and no brackets: an IPv6 address without a port.
            Some((_, port)) if port.contains(':') => (address, None),
            Some((host, port)) => (host, Some(port)),
            None => (address, None),
        }
    };
    match port {
        None | Some("") => Ok((host, DEFAULT_PORT)),
        Some(port) => match port.parse() {
            Ok(number) if number > 0 => Ok((host, number)),
            _ => Err(TargetError::Port(port.to_owned())),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (Scheme, String, String, u16) {
        let target: Target = text.parse().unwrap();
        (
            target.scheme,
            target.secret.expose().to_owned(),
            target.host,
            target.port,
        )
    }

    #[test]
    fn every_part_but_the_host_may_be_left_out() {
        let secret = "my_secret".to_owned();
        let host = "example.org".to_owned();
        for (text, expected) in [
            (
                "tcp://my_secret@example.org:5679",
                (Scheme::Tcp, secret.clone(), host.clone(), 5679),
            ),
            (
                "TCPS://my_secret@example.org",
                (Scheme::Tcps, secret.clone(), host.clone(), 5678),
            ),
            (
                "my_secret@example.org",
                (Scheme::Tcp, secret, host.clone(), 5678),
            ),
            (
                "example.org:80",
                (Scheme::Tcp, String::new(), host.clone(), 80),
            ),
            ("example.org/", (Scheme::Tcp, String::new(), host, 5678)),
            (
                "[::1]:5680",
                (Scheme::Tcp, String::new(), "::1".to_owned(), 5680),
            ),
            (
                "fe80::1",
                (Scheme::Tcp, String::new(), "fe80::1".to_owned(), 5678),
            ),
        ] {
            assert_eq!(parsed(text), expected, "{text}");
        }
    }

    #[test]
    fn a_secret_may_hold_anything() {
        assert_eq!(parsed("tcp://a:b@c@host").1, "a:b@c");
        assert_eq!(parsed("tcp://p%40ss%2Fw%25rd@host").1, "p@ss/w%rd");
        assert_eq!(parsed("tcp://100%@host").1, "100%");
    }

    #[test]
    fn wrong_targets_say_what_is_wrong_and_hide_the_secret() {
        for (text, part) in [
            ("http://s3cret@host", "http://"),
            ("ws://s3cret@host", "ssh -L"),
            ("tcp://s3cret@", "no host"),
            ("tcp://s3cret@host:0", "1 to 65535"),
            ("tcp://s3cret@host:x", "\"x\""),
            ("tcp://s3cret@host:1/path", "/path"),
        ] {
            let message = text.parse::<Target>().unwrap_err().to_string();
            assert!(message.contains(part), "{text}: {message}");
            assert!(!message.contains("s3cret"), "{text}: {message}");
        }
    }

    #[test]
    fn the_secret_is_never_shown() {
        let target: Target = "tcp://s3cret@[::1]".parse().unwrap();
        assert_eq!(target.to_string(), "tcp://[::1]:5678");
        assert!(!format!("{target:?}").contains("s3cret"));
    }
}
