//! Commands of the JSON dialects.
//!
//! Every argument is always present: the servers look each up and fail the
//! request without it.

use bytes::BytesMut;
use serde::Deserialize;
use serde_json::{Value, json};

use super::envelope::{MessageKind, read_envelope, with_field, write_message};
use crate::coroutine::Source;
use crate::{
    BreakpointCondition, BreakpointId, Command, Dialect, ExceptionMode, ExecutionId, FrameKind,
    HandlerRange, Language, PassCount, PyText, ReprKind, SetBreakpoint, ThreadId, Unsupported,
    WireError,
};

/// No server has a handler of this name.
const UNKNOWN_COMMAND: &str = "ptvsdBridgeEndLoop";

pub(crate) fn encode_command(
    dialect: Dialect,
    number: i64,
    command: &Command,
    out: &mut BytesMut,
) -> Result<(), Unsupported> {
    let (name, arguments) = match command {
        Command::StepInto(thread) => ("legacyStepInto", on_thread(*thread)),
        Command::StepOver(thread) => ("legacyStepOver", on_thread(*thread)),
        Command::StepOut(thread) => ("legacyStepOut", on_thread(*thread)),
        Command::BreakAll => ("legacyBreakAll", json!({})),
        Command::ResumeAll => ("legacyResumeAll", json!({})),
        Command::ResumeThread(thread) => ("legacyResumeThread", on_thread(*thread)),
        Command::AutoResumeThread(thread) => ("legacyAutoResumeThread", on_thread(*thread)),
        Command::ClearStepping(thread) => ("legacyClearStepping", on_thread(*thread)),
        Command::SetBreakpoint(breakpoint) => {
            let (condition_kind, condition) = breakpoint.condition.to_wire();
            let (pass_count_kind, pass_count) = breakpoint.pass_count.to_wire();
            (
                "legacySetBreakpoint",
                json!({
                    "language": breakpoint.language.to_wire(),
                    "breakpointId": breakpoint.id,
                    "breakpointLineNo": breakpoint.line,
                    "breakpointFileName": breakpoint.file,
                    "conditionKind": condition_kind,
                    "condition": condition,
                    "passCountKind": pass_count_kind,
                    "passCount": pass_count,
                }),
            )
        }
        Command::RemoveBreakpoint {
            id,
            line,
            file,
            language,
        } => (
            "legacyRemoveBreakpoint",
            json!({
                "language": language.to_wire(),
                "breakpointId": id,
                "breakpointLineNo": line,
                "breakpointFileName": file,
            }),
        ),
        Command::SetBreakpointCondition { id, condition } => {
            let (kind, text) = condition.to_wire();
            (
                "legacySetBreakpointCondition",
                json!({"breakpointId": id, "conditionKind": kind, "condition": text}),
            )
        }
        Command::SetBreakpointPassCount { id, pass_count } => {
            let (kind, count) = pass_count.to_wire();
            (
                "legacySetBreakpointPassCount",
                json!({"breakpointId": id, "passCountKind": kind, "passCount": count}),
            )
        }
        Command::SetBreakpointHitCount { id, hit_count } => (
            "legacySetBreakpointHitCount",
            json!({"breakpointId": id, "hitCount": hit_count}),
        ),
        Command::GetBreakpointHitCount(id) => {
            ("legacyGetBreakpointHitCount", json!({"breakpointId": id}))
        }
        Command::Execute {
            text,
            execution,
            thread,
            frame,
            frame_kind,
            repr,
            module,
            print_result,
        } => {
            let mut arguments = json!({
                "text": text,
                "executionId": execution,
                "threadId": thread,
                "frameId": frame,
                "frameKind": frame_kind.to_wire(),
                "reprKind": repr.to_wire(),
            });
            if dialect.has_module_execution() {
                arguments = with_field(arguments, "moduleName", json!(module));
                arguments = with_field(arguments, "printResult", json!(print_result));
            } else if module.is_some() || *print_result {
                return Err(Unsupported {
                    what: "execution in a module",
                    dialect,
                });
            }
            ("legacyExecuteText", arguments)
        }
        Command::EnumerateChildren {
            text,
            execution,
            thread,
            frame,
            frame_kind,
        } => (
            "legacyEnumChildren",
            json!({
                "text": text,
                "executionId": execution,
                "threadId": thread,
                "frameId": frame,
                "frameKind": frame_kind.to_wire(),
            }),
        ),
        Command::SetLine {
            thread,
            frame,
            line,
        } => (
            "legacySetLineNumber",
            json!({"threadId": thread, "frameId": frame, "lineNo": line}),
        ),
        Command::SetExceptionInfo { default, named } => {
            let named: Vec<Value> = named
                .iter()
                .map(|(name, mode)| json!({"name": name, "mode": mode}))
                .collect();
            (
                "legacySetExceptionInfo",
                json!({"defaultBreakOnMode": default, "breakOn": named}),
            )
        }
        Command::SetExceptionHandlerInfo { file, handlers } => (
            "legacySetExceptionHandlerInfo",
            json!({"fileName": file, "statements": handlers}),
        ),
        Command::GetThreadFrames(thread) => ("legacyGetThreadFrames", on_thread(*thread)),
        Command::Detach => ("legacyDetach", json!({})),
        Command::LastAck => ("legacyLastAck", json!({})),
        Command::ListReplModules if dialect.has_module_execution() => {
            ("legacyListReplModules", json!({}))
        }
        Command::ListReplModules => {
            return Err(Unsupported {
                what: command.name(),
                dialect,
            });
        }
        Command::EndLoop => (UNKNOWN_COMMAND, json!({})),
    };
    write_request(number, name, arguments, out);
    Ok(())
}

/// Appends a request.
pub(crate) fn write_request(number: i64, command: &str, arguments: Value, out: &mut BytesMut) {
    let message = json!({
        "type": MessageKind::Request,
        "seq": number,
        "command": command,
        "arguments": arguments,
    });
    write_message(&message, out);
}

fn on_thread(thread: ThreadId) -> Value {
    json!({"threadId": thread})
}

// The arguments that more than one command has, or that need their own type.

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OnThread {
    thread_id: ThreadId,
}

/// Everything that breakpoint commands carry; each carries some of it.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct OnBreakpoint {
    language: i64,
    breakpoint_id: i64,
    breakpoint_line_no: i64,
    breakpoint_file_name: PyText,
    condition_kind: i64,
    condition: PyText,
    pass_count_kind: i64,
    pass_count: i64,
    hit_count: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OnExecution {
    text: PyText,
    execution_id: ExecutionId,
    thread_id: ThreadId,
    frame_id: i64,
    frame_kind: i64,
    #[serde(default)]
    repr_kind: i64,
    #[serde(default)]
    module_name: Option<PyText>,
    #[serde(default)]
    print_result: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OnLine {
    thread_id: ThreadId,
    frame_id: i64,
    line_no: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OnExceptions {
    default_break_on_mode: ExceptionMode,
    break_on: Vec<NamedMode>,
}

#[derive(Deserialize)]
struct NamedMode {
    name: PyText,
    mode: ExceptionMode,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OnHandlers {
    file_name: PyText,
    statements: Vec<HandlerRange>,
}

pub(crate) async fn decode_command(source: Source) -> Result<(i64, Command), WireError> {
    let envelope = read_envelope(&source).await?;
    let thread = || envelope.arguments().map(|on: OnThread| on.thread_id);
    let breakpoint = || envelope.arguments::<OnBreakpoint>();
    let command = match envelope.command.bytes() {
        b"legacyStepInto" => Command::StepInto(thread()?),
        b"legacyStepOver" => Command::StepOver(thread()?),
        b"legacyStepOut" => Command::StepOut(thread()?),
        b"legacyBreakAll" => Command::BreakAll,
        b"legacyResumeAll" => Command::ResumeAll,
        b"legacyResumeThread" => Command::ResumeThread(thread()?),
        b"legacyAutoResumeThread" => Command::AutoResumeThread(thread()?),
        b"legacyClearStepping" => Command::ClearStepping(thread()?),
        b"legacySetBreakpoint" => {
            let on = breakpoint()?;
            Command::SetBreakpoint(SetBreakpoint {
                id: BreakpointId(on.breakpoint_id),
                line: on.breakpoint_line_no,
                file: on.breakpoint_file_name,
                language: Language::from_wire(on.language)?,
                condition: BreakpointCondition::from_wire(on.condition_kind, on.condition)?,
                pass_count: PassCount::from_wire(on.pass_count_kind, on.pass_count)?,
            })
        }
        b"legacyRemoveBreakpoint" => {
            let on = breakpoint()?;
            Command::RemoveBreakpoint {
                id: BreakpointId(on.breakpoint_id),
                line: on.breakpoint_line_no,
                file: on.breakpoint_file_name,
                language: Language::from_wire(on.language)?,
            }
        }
        b"legacySetBreakpointCondition" => {
            let on = breakpoint()?;
            Command::SetBreakpointCondition {
                id: BreakpointId(on.breakpoint_id),
                condition: BreakpointCondition::from_wire(on.condition_kind, on.condition)?,
            }
        }
        b"legacySetBreakpointPassCount" => {
            let on = breakpoint()?;
            Command::SetBreakpointPassCount {
                id: BreakpointId(on.breakpoint_id),
                pass_count: PassCount::from_wire(on.pass_count_kind, on.pass_count)?,
            }
        }
        b"legacySetBreakpointHitCount" => {
            let on = breakpoint()?;
            Command::SetBreakpointHitCount {
                id: BreakpointId(on.breakpoint_id),
                hit_count: on.hit_count,
            }
        }
        b"legacyGetBreakpointHitCount" => {
            Command::GetBreakpointHitCount(BreakpointId(breakpoint()?.breakpoint_id))
        }
        b"legacyExecuteText" => {
            let on: OnExecution = envelope.arguments()?;
            Command::Execute {
                text: on.text,
                execution: on.execution_id,
                thread: on.thread_id,
                frame: on.frame_id,
                frame_kind: FrameKind::from_wire(on.frame_kind)?,
                repr: ReprKind::from_wire(on.repr_kind)?,
                module: on.module_name,
                print_result: on.print_result,
            }
        }
        b"legacyEnumChildren" => {
            let on: OnExecution = envelope.arguments()?;
            Command::EnumerateChildren {
                text: on.text,
                execution: on.execution_id,
                thread: on.thread_id,
                frame: on.frame_id,
                frame_kind: FrameKind::from_wire(on.frame_kind)?,
            }
        }
        b"legacySetLineNumber" => {
            let on: OnLine = envelope.arguments()?;
            Command::SetLine {
                thread: on.thread_id,
                frame: on.frame_id,
                line: on.line_no,
            }
        }
        b"legacySetExceptionInfo" => {
            let on: OnExceptions = envelope.arguments()?;
            Command::SetExceptionInfo {
                default: on.default_break_on_mode,
                named: on.break_on.into_iter().map(|n| (n.name, n.mode)).collect(),
            }
        }
        b"legacySetExceptionHandlerInfo" => {
            let on: OnHandlers = envelope.arguments()?;
            Command::SetExceptionHandlerInfo {
                file: on.file_name,
                handlers: on.statements,
            }
        }
        b"legacyGetThreadFrames" => Command::GetThreadFrames(thread()?),
        b"legacyDetach" => Command::Detach,
        b"legacyLastAck" => Command::LastAck,
        b"legacyListReplModules" => Command::ListReplModules,
        _ => Command::EndLoop,
    };
    Ok((envelope.seq, command))
}
