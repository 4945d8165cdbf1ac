//! Dialects 2 to 6: four-letter names and big-endian 64-bit integers, with no
//! length before a message.
//!
//! Encoding and decoding of each message stand side by side in `command` and
//! `event`; `field` has what messages are made of.

mod command;
mod event;
mod field;

pub(crate) use command::{decode_command, encode_command};
pub(crate) use event::{decode_event, encode_event};
pub(crate) use field::{Reader, Writer};
