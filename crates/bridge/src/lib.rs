//! The translation between an editor and a legacy ptvsd server.
//!
//! [`serve`] runs one session: it owns all state of it (`session::Session`)
//! and is the only task that touches it. The way of a request:
//!
//! ```text
//! editor ─▶ dap-wire ─▶ session (the loop) ─▶ dispatch (which handler, in
//! which state) ─▶ a handler in breakpoints, run, stack, variables, evaluate,
//! attach, leave ─▶ ptvsd-client
//! ```
//!
//! and of what happens in the program:
//!
//! ```text
//! ptvsd-client ─▶ session (the loop) ─▶ events ─▶ stops (report it, or let
//! the program run on) ─▶ dap-wire ─▶ editor
//! ```
//!
//! A handler that needs the program's answer does not wait for it: it hands
//! the future to the session together with what is to be done with the
//! result (`session::Session::when_done`), and the loop goes on.
//!
//! **Architecture invariant:** both protocols meet in this crate and nowhere
//! else; it knows no sockets and never blocks.

mod answer;
mod attach;
mod breakpoints;
mod changes;
mod configuration;
mod dispatch;
mod errors;
mod evaluate;
mod events;
mod exceptions;
mod expression;
mod files;
mod handlers;
mod handles;
mod leave;
mod lines;
mod local_copy;
mod program;
mod run;
mod session;
mod silence;
mod sources;
mod stack;
mod stops;
mod variables;

pub use configuration::{Configuration, Environment};
pub use errors::Failure;
pub use session::{Outcome, serve};
