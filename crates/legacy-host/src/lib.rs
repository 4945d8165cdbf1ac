//! Real legacy ptvsd servers on this machine: [`python`] finds interpreters,
//! [`release`] gets the old packages, [`server`] runs a program under one.
//!
//! Both the product's `demo` command and the test kit stand on this crate, so
//! it is synchronous, small, and never runs anything at build time.
//!
//! Architecture invariant: this crate speaks no debugger protocol. It never
//! connects to a server's port either: a connection that closes without a
//! finished handshake wedges these servers for ever. That a server is ready is
//! told by the program's own output.

pub mod cache;
mod output;
mod process;
pub mod python;
pub mod release;
pub mod server;

pub use python::{Implementation, Python};
pub use release::Release;
pub use server::{Program, ProgramBuilder, old_tls_configuration};
