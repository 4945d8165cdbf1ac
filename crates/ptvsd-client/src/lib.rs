//! One debugging session with a legacy ptvsd server.
//!
//! [`Target`] says where it is, [`process_info`] asks who is there,
//! [`doctor`] finds out what is in the way, [`attach`] begins a session: a [`Debuggee`] takes commands, a channel
//! gives [`SessionEvent`]s.
//!
//! What this crate is for, beyond moving bytes, is that **the program stays
//! alive**. The servers have faults that freeze a thread, the debugger's
//! command loop or the whole program; each is met at one place here:
//!
//! | Fault | Where it is met |
//! |---|---|
//! | a client that just closes wedges the server | [`handshake`](attach): finished, or aborted with a reset |
//! | a resume loses threads that are just stopping | `session::settle` |
//! | two executions at once, or one at a resume, end the command loop | `session::work` |
//! | commands for threads that do not exist or run | `session::core` checks them against the thread table |
//! | a thread that raised waits for an answer | `session::handlers` gives it, whatever the consumer does |
//! | what cannot be met from outside | `session::agent`: our own code in the program |
//! | leaving without a detach | `session::leave`; also when every handle is dropped |
//! | a TLS handshake kills a server that has no TLS | `tls::modern` sends none that could |
//!
//! Tasks: one per session (`session::driver`). It owns the connection, reads
//! always, never waits for a consumer's request, and ends when the connection
//! does. One more for each visit (`visit`), until the server has closed it.
//!
//! **Architecture invariant:** nothing of DAP, nothing of editors.

mod connect;
pub mod doctor;
mod error;
mod handshake;
mod session;
mod target;
mod tls;
mod transport;
mod visit;

pub use error::{ConnectError, EvaluateError, SessionOver};
pub use handshake::{AttachOptions, attach, process_info};
pub use session::{
    AgentStatus, Binding, Debuggee, Ended, Epoch, Place, SessionEvent, StepKind, StopReason,
    StoppedThread,
};
pub use target::{DEFAULT_PORT, Scheme, Secret, Target, TargetError};
pub use tls::{
    Certificate, Channel, Fingerprint, FingerprintError, Reason, Refusal, TlsOptions, TlsVersion,
    Trusted,
};
pub use visit::{Rescue, rescue};
