//! The events an adapter sends: a marker type each, and its body.
//!
//! The `dap` crate's bodies write null for what is absent, which the schema
//! forbids; only those without optional fields are used.
#![expect(
    missing_docs,
    reason = "the fields are the specification's, and documented there; only what is not obvious is said here"
)]

use serde_json::Value;

use crate::absent::wire_struct;
use crate::envelope::Event;
use crate::types::{
    self, BreakpointEventReason, InvalidatedAreas, ModuleEventReason, OutputEventCategory,
    OutputEventGroup, ProcessEventStartMethod, Source, StoppedReason,
};

pub use dap::events::{ExitedEventBody as ExitedBody, ThreadEventBody as ThreadBody};

macro_rules! events {
    ($( $(#[$meta:meta])* $name:ident = $event:literal, $body:ty; )*) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy)]
        pub enum $name {}

        impl Event for $name {
            const EVENT: &'static str = $event;
            type Body = $body;
        }
    )*};
}

events! {
    /// The adapter takes breakpoints now.
    Initialized = "initialized", ();
    Stopped = "stopped", StoppedBody;
    Continued = "continued", ContinuedBody;
    Thread = "thread", ThreadBody;
    Module = "module", ModuleBody;
    Breakpoint = "breakpoint", BreakpointBody;
    /// Debugging is over. Emacs kills the adapter at once when it sees this.
    Terminated = "terminated", Option<TerminatedBody>;
    /// The program is over. Emacs kills the adapter at once when it sees this.
    Exited = "exited", ExitedBody;
    Process = "process", ProcessBody;
    Invalidated = "invalidated", InvalidatedBody;
    Capabilities = "capabilities", CapabilitiesBody;
}

/// Text for the debug console; the one event that may be joined to others, or
/// dropped, see [`crate::Outbox`].
#[derive(Debug, Clone, Copy)]
pub enum Output {}

impl Event for Output {
    const EVENT: &'static str = "output";
    type Body = OutputBody;

    fn as_output(body: &mut OutputBody) -> Option<&mut OutputBody> {
        Some(body)
    }
}

wire_struct! {
    #[derive(Default)]
    pub struct StoppedBody {
        required { reason: StoppedReason }
        optional {
            description: String,
            /// Always worth sending: nvim-dap shows no frame without it.
            thread_id: i64,
            preserve_focus_hint: bool,
            text: String,
            all_threads_stopped: bool,
            hit_breakpoint_ids: Vec<i64>,
        }
    }

    #[derive(Default)]
    pub struct ContinuedBody {
        required { thread_id: i64 }
        optional { all_threads_continued: bool }
    }

    pub struct ModuleBody {
        required { reason: ModuleEventReason, module: types::Module }
    }

    pub struct BreakpointBody {
        required { reason: BreakpointEventReason, breakpoint: types::Breakpoint }
    }

    #[derive(Default)]
    pub struct OutputBody {
        required {
            /// With its own line ends: editors add none.
            output: String,
        }
        optional {
            category: OutputEventCategory,
            group: OutputEventGroup,
            variables_reference: i64,
            source: Source,
            line: i64,
            column: i64,
            data: Value,
            location_reference: i64,
        }
    }

    #[derive(Default)]
    pub struct TerminatedBody {
        optional { restart: Value }
    }

    #[derive(Default)]
    pub struct ProcessBody {
        required { name: String }
        optional {
            system_process_id: i64,
            is_local_process: bool,
            start_method: ProcessEventStartMethod,
            /// In bits.
            pointer_size: i64,
        }
    }

    #[derive(Default)]
    pub struct InvalidatedBody {
        optional {
            areas: Vec<InvalidatedAreas>,
            thread_id: i64,
            stack_frame_id: i64,
        }
    }

    #[derive(Default)]
    pub struct CapabilitiesBody {
        required { capabilities: types::Capabilities }
    }
}
