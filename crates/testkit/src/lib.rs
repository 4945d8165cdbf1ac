//! What the tests share.
//!
//! * [`matrix`]: which releases on which Pythons, and what is absent,
//! * [`programs`]: the programs that are debugged,
//! * [`editor`]: the adapter, driven as an editor drives it,
//! * [`client_session`]: a session of the legacy client, with no editor,
//! * [`fault_proxy`]: a way to a server that goes wrong on demand,
//! * [`relay`]: a way to a server that chops or cuts what it says,
//! * [`certificates`]: the one of the users' document, and all other kinds,
//! * [`terminator`]: TLS in front of a server that speaks plain text,
//! * [`harness`]: tests that are made at run time,
//! * [`raw_client`]: the legacy protocol with no adapter between.

pub mod certificates;
pub mod client_session;
pub mod editor;
pub mod fault_proxy;
pub mod harness;
pub mod matrix;
pub mod network;
pub mod programs;
pub mod raw_client;
pub mod relay;
pub mod terminator;
