//! Types that several messages share.
//!
//! Leaves come from the `dap` crate. Ours replace these of version
//! 0.4.1-alpha1, which is at specification 1.62 where this is at 1.71:
//!
//! | Type | The crate's |
//! |---|---|
//! | [`Source`], [`SourceBreakpoint`], [`Breakpoint`], [`ExceptionBreakpointsFilter`] | snake_case on the wire: `sourceReference`, `hitCondition`, `logMessage`, `endLine`, `supportsCondition` are lost both ways |
//! | [`SourcePresentationHint`] | says `deEmphasize` for `deemphasize` |
//! | [`StackFrame`], [`Scope`], [`Variable`] | hold its `Source`; no location references |
//! | [`Module`], [`ModuleId`] | a numeric id becomes the string `number` |
//! | [`StoppedReason`] | says `function` for `function breakpoint`, and so on |
//! | [`CompletionItem`], [`CompletionItemType`] | says `customColor` for `customcolor` |
//! | [`ExceptionFilterOptions`], [`Capabilities`] | without breakpoint modes, ANSI styling and the bytes of data breakpoints; the capabilities hold its exception filters |
#![expect(
    missing_docs,
    reason = "the fields are the specification's, and documented there; only what is not obvious is said here"
)]

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::absent::wire_struct;

pub use dap::types::{
    BreakpointEventReason, BreakpointLocation, Checksum, ChecksumAlgorithm, ColumnDescriptor,
    ColumnDescriptorType, EvaluateArgumentsContext, ExceptionBreakMode, ExceptionDetails,
    ExceptionOptions, ExceptionPathSegment, FunctionBreakpoint, GotoTarget, InvalidatedAreas,
    ModuleEventReason, OutputEventCategory, OutputEventGroup, ProcessEventStartMethod,
    ScopePresentationhint, StackFrameFormat, StackFramePresentationhint, SteppingGranularity,
    Thread, ThreadEventReason, ValueFormat, VariablePresentationHint,
    VariablePresentationHintAttributes, VariablePresentationHintKind,
    VariablePresentationHintVisibility, VariablesArgumentsFilter,
};

wire_struct! {
    /// A file of the program; by `path`, or by `source_reference` when only the
    /// adapter can give its text. Editors also send `sourceReference: 0`, which
    /// means none.
    #[derive(Default)]
    pub struct Source {
        optional {
            name: String,
            path: String,
            source_reference: i64,
            presentation_hint: SourcePresentationHint,
            origin: String,
            sources: Vec<Source>,
            adapter_data: Value,
            checksums: Vec<Checksum>,
        }
    }

    #[derive(Default, PartialEq)]
    pub struct SourceBreakpoint {
        required { line: i64 }
        optional {
            column: i64,
            condition: String,
            hit_condition: String,
            log_message: String,
            mode: String,
        }
    }

    /// What became of a breakpoint. `verified` is the adapter's promise that it
    /// can hit; otherwise `message` is what a person reads beside it.
    #[derive(Default)]
    pub struct Breakpoint {
        required { verified: bool }
        optional {
            id: i64,
            message: String,
            source: Source,
            line: i64,
            column: i64,
            end_line: i64,
            end_column: i64,
            instruction_reference: String,
            offset: i64,
            reason: BreakpointReason,
        }
    }

    #[derive(Default, PartialEq)]
    pub struct ExceptionBreakpointsFilter {
        required { filter: String, label: String }
        optional {
            description: String,
            default: bool,
            supports_condition: bool,
            condition_description: String,
        }
    }

    #[derive(Default, PartialEq)]
    pub struct ExceptionFilterOptions {
        required { filter_id: String }
        optional { condition: String, mode: String }
    }

    #[derive(Default)]
    pub struct StackFrame {
        required { id: i64, name: String, line: i64, column: i64 }
        optional {
            source: Source,
            end_line: i64,
            end_column: i64,
            can_restart: bool,
            instruction_pointer_reference: String,
            module_id: ModuleId,
            presentation_hint: StackFramePresentationhint,
        }
    }

    #[derive(Default)]
    pub struct Scope {
        required { name: String, variables_reference: i64, expensive: bool }
        optional {
            presentation_hint: ScopePresentationhint,
            named_variables: i64,
            indexed_variables: i64,
            source: Source,
            line: i64,
            column: i64,
            end_line: i64,
            end_column: i64,
        }
    }

    /// A value with a name. A `variables_reference` of 0 says that it has no children.
    #[derive(Default)]
    pub struct Variable {
        required { name: String, value: String, variables_reference: i64 }
        optional {
            #[serde(rename = "type")]
            type_field: String,
            presentation_hint: VariablePresentationHint,
            evaluate_name: String,
            named_variables: i64,
            indexed_variables: i64,
            memory_reference: String,
            declaration_location_reference: i64,
            value_location_reference: i64,
        }
    }

    #[derive(Default)]
    pub struct Module {
        required { id: ModuleId, name: String }
        optional {
            path: String,
            is_optimized: bool,
            is_user_code: bool,
            version: String,
            symbol_status: String,
            symbol_file_path: String,
            date_time_stamp: String,
            address_range: String,
        }
    }

    #[derive(Default)]
    pub struct CompletionItem {
        required { label: String }
        optional {
            text: String,
            sort_text: String,
            detail: String,
            #[serde(rename = "type")]
            type_field: CompletionItemType,
            start: i64,
            length: i64,
            selection_start: i64,
            selection_length: i64,
        }
    }

    #[derive(Default, PartialEq)]
    pub struct StepInTarget {
        required { id: i64, label: String }
        optional { line: i64, column: i64, end_line: i64, end_column: i64 }
    }

    #[derive(Default, PartialEq)]
    pub struct BreakpointMode {
        required {
            mode: String,
            label: String,
            /// `source`, `exception`, `data`, `instruction`.
            applies_to: Vec<String>,
        }
        optional { description: String }
    }

    /// What the adapter can do; what is absent it cannot.
    #[derive(Default)]
    pub struct Capabilities {
        optional {
            supports_configuration_done_request: bool,
            supports_function_breakpoints: bool,
            supports_conditional_breakpoints: bool,
            supports_hit_conditional_breakpoints: bool,
            supports_evaluate_for_hovers: bool,
            exception_breakpoint_filters: Vec<ExceptionBreakpointsFilter>,
            supports_step_back: bool,
            supports_set_variable: bool,
            supports_restart_frame: bool,
            supports_goto_targets_request: bool,
            supports_step_in_targets_request: bool,
            supports_completions_request: bool,
            completion_trigger_characters: Vec<String>,
            supports_modules_request: bool,
            additional_module_columns: Vec<ColumnDescriptor>,
            supported_checksum_algorithms: Vec<ChecksumAlgorithm>,
            supports_restart_request: bool,
            supports_exception_options: bool,
            supports_value_formatting_options: bool,
            supports_exception_info_request: bool,
            /// Without the s, unlike all the others: so says the specification.
            support_terminate_debuggee: bool,
            /// Without the s, too.
            support_suspend_debuggee: bool,
            supports_delayed_stack_trace_loading: bool,
            supports_loaded_sources_request: bool,
            supports_log_points: bool,
            supports_terminate_threads_request: bool,
            supports_set_expression: bool,
            supports_terminate_request: bool,
            supports_data_breakpoints: bool,
            supports_read_memory_request: bool,
            supports_write_memory_request: bool,
            supports_disassemble_request: bool,
            supports_cancel_request: bool,
            supports_breakpoint_locations_request: bool,
            supports_clipboard_context: bool,
            supports_stepping_granularity: bool,
            supports_instruction_breakpoints: bool,
            supports_exception_filter_options: bool,
            supports_single_thread_execution_requests: bool,
            supports_data_breakpoint_bytes: bool,
            breakpoint_modes: Vec<BreakpointMode>,
            #[serde(rename = "supportsANSIStyling")]
            supports_ansi_styling: bool,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourcePresentationHint {
    Normal,
    Emphasize,
    Deemphasize,
}

/// Why a breakpoint is not verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BreakpointReason {
    /// It may be bound later, as when its file is not loaded yet.
    Pending,
    /// It cannot be bound, whatever happens.
    Failed,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ModuleId {
    Number(i64),
    String(String),
}

impl Default for ModuleId {
    fn default() -> Self {
        Self::Number(0)
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum StoppedReason {
    #[serde(rename = "step")]
    Step,
    #[serde(rename = "breakpoint")]
    Breakpoint,
    #[serde(rename = "exception")]
    Exception,
    #[serde(rename = "pause")]
    #[default]
    Pause,
    #[serde(rename = "entry")]
    Entry,
    #[serde(rename = "goto")]
    Goto,
    #[serde(rename = "function breakpoint")]
    FunctionBreakpoint,
    #[serde(rename = "data breakpoint")]
    DataBreakpoint,
    #[serde(rename = "instruction breakpoint")]
    InstructionBreakpoint,
    /// The specification lets an adapter have reasons of its own.
    #[serde(untagged)]
    Other(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CompletionItemType {
    Method,
    Function,
    Constructor,
    Field,
    Variable,
    Class,
    Interface,
    Module,
    Property,
    Unit,
    Value,
    Enum,
    Keyword,
    Snippet,
    Text,
    Color,
    File,
    Reference,
    CustomColor,
}
