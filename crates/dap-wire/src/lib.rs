//! The Debug Adapter Protocol as an adapter needs it: framing, envelopes, and
//! the requests, responses and events as types.
//!
//! ```text
//! bytes ──▶ framing ──▶ envelope ──▶ RawRequest ──▶ arguments ──▶ the request's own type
//!           (codec)     (Inbound)                   (parse::<R>)
//! bytes ◀── connection ◀── outbox ◀── Responder::ok::<R>, Outbox::event::<E>
//! ```
//!
//! **Architecture invariant:** this crate knows the protocol and no debugger.
//! Nothing that a peer sends ends the stream or panics: what cannot be used
//! becomes a [`BadMessage`], and the next message is read.
//!
//! **Architecture invariant:** reading is tolerant and writing is strict,
//! because editors differ and the specification does not.
//!
//! The `dap` crate gives about half of the types. Its server and its
//! envelopes are not used: they lose messages that real editors send. Where
//! one of its types is replaced, the module that replaces it says why.

mod absent;
mod arguments;
mod connection;
mod envelope;
mod framing;
mod outbox;
mod queue;
mod responder;
mod spill;
mod stdio;

pub mod client;
pub mod events;
pub mod requests;
#[cfg(feature = "schema")]
pub mod schema;
pub mod types;

pub use connection::{Connection, MemoryPeer};
pub use envelope::{BadMessage, Event, Inbound, Incoming, RawRequest, Request};
pub use framing::MAX_BODY_BYTES;
pub use outbox::{MAX_OUTPUT, Outbox};
pub use queue::OutputLimits;
pub use responder::{ErrorAnswer, INTERNAL_ERROR_ID, Responder};
