//! What the tests share.
//!
//! * [`matrix`]: which releases on which Pythons, and what is absent,
//! * [`programs`]: the programs that are debugged,
//! * [`editor`]: the adapter, driven as an editor drives it,
//! * [`harness`]: tests that are made at run time,
//! * [`raw_client`]: the legacy protocol with no adapter between.

pub mod editor;
pub mod harness;
pub mod matrix;
pub mod programs;
pub mod raw_client;
