//! The legacy ptvsd protocol: every message of every dialect, as a type.
//!
//! A program that called `ptvsd.enable_attach()` with a release from 2.0 to
//! 3.2 speaks one of seven dialects ([`Dialect`]): six steps of a binary
//! protocol and two of a JSON one. This crate puts them behind one set of
//! types:
//!
//! * [`Command`]: what a debugger asks of the server,
//! * [`Event`]: what the server tells the debugger,
//! * [`handshake`]: what is said before either.
//!
//! Both directions are encoded and decoded here, since a debugger needs one
//! half and a simulated server the other.
//!
//! Decoding is incremental. A binary message has no length prefix, so where
//! it ends is known only once all of it was read; the decoders are therefore
//! written as straight-line code that is suspended where bytes are lacking
//! and goes on from there (`coroutine`), so that a frame list of 5 MB
//! arriving in 1 KB pieces is still parsed once.
//!
//! **Architecture invariant:** no I/O, no async runtime, nothing of DAP.

mod binary;
mod command;
mod coroutine;
mod decoder;
mod dialect;
mod encoder;
mod event;
pub mod handshake;
mod json;
mod limits;
mod object;
pub mod repl;
mod text;

pub use command::{
    BreakpointCondition, Command, ExceptionMode, FrameKind, HandlerRange, Language, PassCount,
    ReprKind, SetBreakpoint,
};
pub use decoder::{CommandDecoder, EventDecoder};
pub use dialect::{Dialect, Family};
pub use encoder::{CommandEncoder, EventEncoder};
pub use event::{Event, ExceptionReport, Frame, OutputChannel, TemplatePosition, Variable};
pub use limits::{MAX_HEADER, MAX_MESSAGE};
pub use object::{Child, ChildKey, Object, ObjectFlags};
pub use text::PyText;

/// A thread of the debuggee, by the number that its server uses for it:
/// on CPython a pointer (above 2^46 on Linux), on Jython a small integer.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct ThreadId(pub i64);

/// The number that ties the answer to an `exec` or `chld` to its question.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct ExecutionId(pub i64);

/// The number that a debugger gives a breakpoint. Must never be reused on the
/// same server, not even by another session: servers forget breakpoints only
/// in part (`protocol-notes/traps.md`, "removed breakpoints").
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct BreakpointId(pub i64);

/// Bytes that are no message of the dialect. The stream cannot be used on:
/// a binary message has no length, so nothing tells where the next one begins.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A four-letter name that the dialect does not have.
    #[error("the server sent a message named {0:?}, which this dialect does not have")]
    UnknownMessage(String),
    /// A field that cannot hold what it holds.
    #[error("{what} is {found}, which cannot be")]
    BadField {
        /// The field, as the protocol notes name it.
        what: &'static str,
        /// What was there.
        found: String,
    },
    /// A message longer than [`MAX_MESSAGE`], or a header longer than [`MAX_HEADER`].
    #[error("a message of more than {limit} bytes was announced")]
    TooLong {
        /// The limit that was passed, bytes.
        limit: usize,
    },
    /// A JSON message whose text does not parse, or lacks a field.
    #[error("a JSON message cannot be read: {0}")]
    BadJson(String),
}

/// A command or event that the dialect cannot carry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} cannot be said in dialect {dialect} of the legacy protocol")]
pub struct Unsupported {
    /// What was to be sent.
    pub what: &'static str,
    /// The dialect that has no word for it.
    pub dialect: Dialect,
}
