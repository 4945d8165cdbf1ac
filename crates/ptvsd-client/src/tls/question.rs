//! What is said to a server that says nothing, to see whether it waits for TLS:
//! the least first message of a TLS client. Any TLS server answers it, if only
//! with an alert.
//!
//! A server without TLS is not harmed: the binary ones take it for the
//! signature of somebody else, and for the JSON ones it is a line that has not
//! ended, since it has no line end in it.

use std::time::Duration;

/// How long before the end of all patience it is said: enough for the way
/// there and back.
pub(crate) fn time(limit: Duration) -> Duration {
    (limit / 4).min(Duration::from_millis(700))
}

#[rustfmt::skip]
pub(crate) const BYTES: [u8; 62] = [
    22, 3, 1, 0, 57, // a record with a handshake message
    1, 0, 0, 53, 3, 3, // a client's first, for TLS up to 1.2
    // its nonce
    b'p', b't', b'v', b's', b'd', b'-', b'b', b'r', b'i', b'd', b'g', b'e', b' ', b'a', b's', b'k',
    b's', b' ', b'w', b'h', b'e', b't', b'h', b'e', b'r', b' ', b't', b'h', b'i', b's', b' ', b'i',
    0, // no session
    // ciphers
    0, 14, 0xc0, 0x2f, 0xc0, 0x30, 0xc0, 0x13, 0xc0, 0x14, 0, 0x9c, 0, 0x2f, 0, 0x35,
    1, 0, // no compression
];
