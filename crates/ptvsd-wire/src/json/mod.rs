//! Dialects 7 and 8: JSON objects, each after a `Content-Length` header.
//!
//! `envelope` has what every message is wrapped in; encoding and decoding of
//! each message stand side by side in `command` and `event`.

mod command;
mod envelope;
mod event;

pub(crate) use command::{decode_command, encode_command, write_request};
pub(crate) use envelope::{read_envelope, read_envelope_after};
pub(crate) use event::{decode_event, encode_event, write_answer, write_event};
