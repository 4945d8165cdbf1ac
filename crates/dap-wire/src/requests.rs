//! The requests an adapter answers: a marker type each, its arguments and its
//! response's body.
//!
//! From the `dap` crate where its types fit. Ours replace these:
//!
//! | Type | The crate's |
//! |---|---|
//! | [`InitializeArguments`] | wants `adapterID`, which not all clients send; knows no ANSI styling |
//! | [`SetBreakpointsArguments`], [`GotoTargetsArguments`], [`BreakpointLocationsArguments`], [`SourceArguments`] | hold its snake_case `Source` |
//! | [`SetExceptionBreakpointsArguments`] | wants `filters`; its options know no modes |
//! | [`EvaluateArguments`] | without `line`, `column` and `source` |
//! | [`ContinueResponse`] | snake_case on the wire |
//! | every `…Response` with breakpoints, sources, frames, scopes, variables, modules, completions | hold types that [`crate::types`] replaces |
//! | [`SetVariableResponse`], [`SetExpressionResponse`], [`EvaluateResponse`] | without location references |
//! | [`StepInTargetsResponse`] | not there |
#![expect(
    missing_docs,
    reason = "the fields are the specification's, and documented there; only what is not obvious is said here"
)]

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::absent::wire_struct;
use crate::envelope::Request;
use crate::types::{
    self, Breakpoint, Capabilities, CompletionItem, EvaluateArgumentsContext,
    ExceptionFilterOptions, ExceptionOptions, SourceBreakpoint, StackFrame, StepInTarget,
    ValueFormat, Variable, VariablePresentationHint,
};

pub use dap::requests::{
    CancelArguments, CompletionsArguments, ContinueArguments, DisconnectArguments,
    ExceptionInfoArguments, GotoArguments, ModulesArguments, NextArguments, PathFormat,
    PauseArguments, ScopesArguments, SetExpressionArguments, SetFunctionBreakpointsArguments,
    SetVariableArguments, StackTraceArguments, StepInArguments, StepInTargetsArguments,
    StepOutArguments, TerminateArguments, VariablesArguments,
};
pub use dap::responses::{
    BreakpointLocationsResponse, ExceptionInfoResponse, GotoTargetsResponse, SourceResponse,
    ThreadsResponse,
};

macro_rules! requests {
    ($( $(#[$meta:meta])* $name:ident = $command:literal, $arguments:ty => $response:ty; )*) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy)]
        pub enum $name {}

        impl Request for $name {
            const COMMAND: &'static str = $command;
            type Arguments = $arguments;
            type Response = $response;
        }
    )*};
}

requests! {
    // The session.
    Initialize = "initialize", InitializeArguments => Capabilities;
    /// Its arguments are the launch configuration, which belongs to the adapter.
    Attach = "attach", Value => ();
    /// As for [`Attach`].
    Launch = "launch", Value => ();
    ConfigurationDone = "configurationDone", NoArguments => ();
    Disconnect = "disconnect", DisconnectArguments => ();
    Terminate = "terminate", TerminateArguments => ();
    Cancel = "cancel", CancelArguments => ();

    // Breakpoints.
    SetBreakpoints = "setBreakpoints", SetBreakpointsArguments => SetBreakpointsResponse;
    SetFunctionBreakpoints = "setFunctionBreakpoints",
        SetFunctionBreakpointsArguments => SetFunctionBreakpointsResponse;
    SetExceptionBreakpoints = "setExceptionBreakpoints",
        SetExceptionBreakpointsArguments => SetExceptionBreakpointsResponse;
    BreakpointLocations = "breakpointLocations",
        BreakpointLocationsArguments => BreakpointLocationsResponse;

    // Running.
    Continue = "continue", ContinueArguments => ContinueResponse;
    Next = "next", NextArguments => ();
    StepIn = "stepIn", StepInArguments => ();
    StepInTargets = "stepInTargets", StepInTargetsArguments => StepInTargetsResponse;
    StepOut = "stepOut", StepOutArguments => ();
    Pause = "pause", PauseArguments => ();
    Goto = "goto", GotoArguments => ();
    GotoTargets = "gotoTargets", GotoTargetsArguments => GotoTargetsResponse;

    // Looking.
    Threads = "threads", NoArguments => ThreadsResponse;
    StackTrace = "stackTrace", StackTraceArguments => StackTraceResponse;
    Scopes = "scopes", ScopesArguments => ScopesResponse;
    Variables = "variables", VariablesArguments => VariablesResponse;
    Evaluate = "evaluate", EvaluateArguments => EvaluateResponse;
    SetVariable = "setVariable", SetVariableArguments => SetVariableResponse;
    SetExpression = "setExpression", SetExpressionArguments => SetExpressionResponse;
    Completions = "completions", CompletionsArguments => CompletionsResponse;
    ExceptionInfo = "exceptionInfo", ExceptionInfoArguments => ExceptionInfoResponse;
    Source = "source", SourceArguments => SourceResponse;
    Modules = "modules", ModulesArguments => ModulesResponse;
    LoadedSources = "loadedSources", NoArguments => LoadedSourcesResponse;
}

/// The arguments of a request that takes none; whatever a client sends is ignored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoArguments {}

wire_struct! {
    /// Who the client is and what it understands.
    ///
    /// nvim-dap 0.6 misspells `clientID`, so nothing here is required.
    #[derive(Default)]
    pub struct InitializeArguments {
        optional {
            #[serde(rename = "clientID")]
            client_id: String,
            client_name: String,
            #[serde(rename = "adapterID")]
            adapter_id: String,
            locale: String,
            /// True when absent.
            lines_start_at1: bool,
            /// True when absent.
            columns_start_at1: bool,
            path_format: PathFormat,
            supports_variable_type: bool,
            supports_variable_paging: bool,
            supports_run_in_terminal_request: bool,
            supports_memory_references: bool,
            supports_progress_reporting: bool,
            supports_invalidated_event: bool,
            supports_memory_event: bool,
            supports_args_can_be_interpreted_by_shell: bool,
            supports_start_debugging_request: bool,
            #[serde(rename = "supportsANSIStyling")]
            supports_ansi_styling: bool,
        }
    }

    /// All breakpoints of one source; those of before are replaced.
    #[derive(Default)]
    pub struct SetBreakpointsArguments {
        required { source: types::Source }
        optional {
            breakpoints: Vec<SourceBreakpoint>,
            /// The deprecated form. Editors send both; `breakpoints` is the one to use.
            lines: Vec<i64>,
            source_modified: bool,
        }
    }

    #[derive(Default)]
    pub struct SetBreakpointsResponse {
        required {
            /// As many as were asked for, in the same order.
            breakpoints: Vec<Breakpoint>,
        }
    }

    #[derive(Default)]
    pub struct SetFunctionBreakpointsResponse {
        required {
            /// As many as were asked for, in the same order.
            breakpoints: Vec<Breakpoint>,
        }
    }

    #[derive(Default)]
    pub struct SetExceptionBreakpointsArguments {
        required {
            /// Required by the specification; none when a client leaves it out.
            #[serde(default)]
            filters: Vec<String>,
        }
        optional {
            filter_options: Vec<ExceptionFilterOptions>,
            exception_options: Vec<ExceptionOptions>,
        }
    }

    #[derive(Default)]
    pub struct SetExceptionBreakpointsResponse {
        optional {
            /// First those of `filters`, then of `filter_options`, then of `exception_options`.
            breakpoints: Vec<Breakpoint>,
        }
    }

    #[derive(Default)]
    pub struct BreakpointLocationsArguments {
        required { source: types::Source, line: i64 }
        optional { column: i64, end_line: i64, end_column: i64 }
    }

    #[derive(Default)]
    pub struct ContinueResponse {
        optional {
            /// True when absent: one that runs a single thread must say so.
            all_threads_continued: bool,
        }
    }

    #[derive(Default)]
    pub struct StepInTargetsResponse {
        required { targets: Vec<StepInTarget> }
    }

    #[derive(Default)]
    pub struct GotoTargetsArguments {
        required { source: types::Source, line: i64 }
        optional { column: i64 }
    }

    #[derive(Default)]
    pub struct StackTraceResponse {
        required { stack_frames: Vec<StackFrame> }
        optional { total_frames: i64 }
    }

    #[derive(Default)]
    pub struct ScopesResponse {
        required { scopes: Vec<types::Scope> }
    }

    #[derive(Default)]
    pub struct VariablesResponse {
        required { variables: Vec<Variable> }
    }

    #[derive(Default)]
    pub struct EvaluateArguments {
        required { expression: String }
        optional {
            frame_id: i64,
            line: i64,
            column: i64,
            source: types::Source,
            context: EvaluateArgumentsContext,
            format: ValueFormat,
        }
    }

    #[derive(Default)]
    pub struct EvaluateResponse {
        required { result: String, variables_reference: i64 }
        optional {
            #[serde(rename = "type")]
            type_field: String,
            presentation_hint: VariablePresentationHint,
            named_variables: i64,
            indexed_variables: i64,
            memory_reference: String,
            value_location_reference: i64,
        }
    }

    #[derive(Default)]
    pub struct SetVariableResponse {
        required { value: String }
        optional {
            #[serde(rename = "type")]
            type_field: String,
            variables_reference: i64,
            named_variables: i64,
            indexed_variables: i64,
            memory_reference: String,
            value_location_reference: i64,
        }
    }

    #[derive(Default)]
    pub struct SetExpressionResponse {
        required { value: String }
        optional {
            #[serde(rename = "type")]
            type_field: String,
            presentation_hint: VariablePresentationHint,
            variables_reference: i64,
            named_variables: i64,
            indexed_variables: i64,
            memory_reference: String,
            value_location_reference: i64,
        }
    }

    #[derive(Default)]
    pub struct CompletionsResponse {
        required { targets: Vec<CompletionItem> }
    }

    #[derive(Default)]
    pub struct SourceArguments {
        required {
            /// Deprecated in favour of `source.sourceReference`, and required all
            /// the same; 0 when a client leaves it out.
            #[serde(default)]
            source_reference: i64,
        }
        optional { source: types::Source }
    }

    #[derive(Default)]
    pub struct ModulesResponse {
        required { modules: Vec<types::Module> }
        optional { total_modules: i64 }
    }

    #[derive(Default)]
    pub struct LoadedSourcesResponse {
        required { sources: Vec<types::Source> }
    }
}
