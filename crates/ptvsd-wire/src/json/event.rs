//! Events of the JSON dialects.

use bytes::BytesMut;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::envelope::{Envelope, MessageKind, read_envelope, with_field, write_message};
use crate::coroutine::Source;
use crate::{
    BreakpointId, Child, ChildKey, Dialect, Event, ExceptionReport, ExecutionId, Frame, FrameKind,
    Object, ObjectFlags, OutputChannel, PyText, TemplatePosition, ThreadId, Unsupported, Variable,
    WireError,
};

const BREAK_TYPE_UNHANDLED: &str = "unhandled";

pub(crate) fn encode_event(
    dialect: Dialect,
    number: i64,
    event: &Event,
    out: &mut BytesMut,
) -> Result<(), Unsupported> {
    let unsupported = |what| Err(Unsupported { what, dialect });
    let (name, body) = match event {
        Event::ThreadCreated(thread) => ("legacyThreadCreate", json!({"threadId": thread})),
        Event::ThreadExited(thread) => ("legacyThreadExit", json!({"threadId": thread})),
        Event::ModuleLoaded { id, file } => (
            "legacyModuleLoad",
            json!({"moduleId": id, "moduleFileName": file}),
        ),
        Event::ProcessLoaded(thread) => ("legacyProcessLoad", json!({"threadId": thread})),
        Event::StepDone(thread) => ("legacyStepDone", json!({"threadId": thread})),
        Event::AsyncBreak(thread) => ("legacyAsyncBreak", json!({"threadId": thread})),
        Event::BreakpointSet(id) => ("legacyBreakpointSet", json!({"breakpointId": id})),
        Event::BreakpointFailed(id) => ("legacyBreakpointFailed", json!({"breakpointId": id})),
        Event::BreakpointHit { id, thread } => (
            "legacyBreakpointHit",
            json!({"breakpointId": id, "threadId": thread}),
        ),
        Event::Exception { thread, exception } => (
            "legacyException",
            json!({"threadId": thread, "data": ExceptionData::from(exception)}),
        ),
        Event::Frames {
            thread,
            name,
            frames,
        } => (
            "legacyThreadFrameList",
            json!(OnFrames {
                thread_id: *thread,
                thread_name: name.clone(),
                thread_frames: frames.iter().map(FrameFields::from).collect(),
            }),
        ),
        Event::ExecutionResult { execution, object } => (
            "legacyExecutionResult",
            json!({"executionId": execution, "obj": ObjectFields::from(object)}),
        ),
        Event::ExecutionException { execution, text } => (
            "legacyExecutionException",
            json!({"executionId": execution, "exceptionText": text}),
        ),
        Event::Children {
            execution,
            children,
        } => (
            "legacyEnumChildrenResult",
            json!({
                "executionId": execution,
                "children": children.iter().map(ChildFields::from).collect::<Vec<_>>(),
            }),
        ),
        Event::Output {
            thread,
            text,
            channel,
        } => {
            let mut body = json!({"threadId": thread, "output": text});
            if let Some(channel) = channel {
                if dialect < Dialect::V8 {
                    return unsupported("the channel of output");
                }
                body = with_field(body, "channel", json!(channel.name()));
            }
            ("legacyDebuggerOutput", body)
        }
        Event::HandlersWanted(file) => ("legacyRequestHandlers", json!({"fileName": file})),
        Event::Detached => ("legacyDetach", json!({})),
        Event::Last => ("legacyLast", json!({})),
        Event::ModulesChanged if dialect >= Dialect::V8 => ("legacyModulesChanged", json!({})),
        Event::ModulesChanged => return unsupported("a change of modules"),
        Event::HitCount { request, count } => {
            let body = json!({"hitCount": count});
            write_answer(number, *request, HIT_COUNT, None, body, out);
            return Ok(());
        }
        Event::LineSet { thread, line } => {
            let body = json!({
                "result": i64::from(line.is_some()),
                "threadId": thread,
                "newLineNo": line.unwrap_or(0),
            });
            write_answer(number, 0, SET_LINE, None, body, out);
            return Ok(());
        }
        Event::Answered {
            request,
            command,
            failure,
        } => {
            let command = command.display();
            write_answer(number, *request, &command, failure.as_ref(), json!({}), out);
            return Ok(());
        }
        Event::Unknown(_) => return unsupported("an unknown event"),
    };
    write_event(number, name, body, out);
    Ok(())
}

/// Appends an event.
pub(crate) fn write_event(number: i64, name: &str, body: Value, out: &mut BytesMut) {
    let message = json!({
        "type": MessageKind::Event,
        "seq": number,
        "event": name,
        "body": body,
    });
    write_message(&message, out);
}

const HIT_COUNT: &str = "legacyGetBreakpointHitCount";
const SET_LINE: &str = "legacySetLineNumber";

/// Appends a response.
pub(crate) fn write_answer(
    number: i64,
    request: i64,
    command: &str,
    failure: Option<&PyText>,
    body: Value,
    out: &mut BytesMut,
) {
    let message = json!({
        "type": MessageKind::Response,
        "seq": number,
        "request_seq": request,
        "success": failure.is_none(),
        "command": command,
        "message": failure.cloned().unwrap_or_default(),
        "body": body,
    });
    write_message(&message, out);
}

pub(crate) async fn decode_event(source: Source) -> Result<Event, WireError> {
    let envelope = read_envelope(&source).await?;
    match envelope.kind {
        MessageKind::Event => event_from(&envelope),
        MessageKind::Response => answer_from(&envelope),
        MessageKind::Request => Ok(Event::Unknown(envelope.command)),
    }
}

fn answer_from(envelope: &Envelope) -> Result<Event, WireError> {
    let request = envelope.request_seq;
    if !envelope.success {
        return Ok(Event::Answered {
            request,
            command: envelope.command.clone(),
            failure: Some(envelope.message.clone().unwrap_or_default()),
        });
    }
    if envelope.command == *HIT_COUNT {
        let on: OnHitCount = envelope.body()?;
        return Ok(Event::HitCount {
            request,
            count: on.hit_count,
        });
    }
    if envelope.command == *SET_LINE {
        let on: OnLineSet = envelope.body()?;
        return Ok(Event::LineSet {
            thread: on.thread_id,
            line: (on.result != 0).then_some(on.new_line_no),
        });
    }
    Ok(Event::Answered {
        request,
        command: envelope.command.clone(),
        failure: None,
    })
}

fn event_from(envelope: &Envelope) -> Result<Event, WireError> {
    let thread = || envelope.body().map(|on: OnThread| on.thread_id);
    let breakpoint = || envelope.body().map(|on: OnBreakpoint| on.breakpoint_id);
    Ok(match envelope.event.bytes() {
        b"legacyThreadCreate" => Event::ThreadCreated(thread()?),
        b"legacyThreadExit" => Event::ThreadExited(thread()?),
        b"legacyModuleLoad" => {
            let on: OnModule = envelope.body()?;
            Event::ModuleLoaded {
                id: on.module_id,
                file: on.module_file_name,
            }
        }
        b"legacyProcessLoad" => Event::ProcessLoaded(thread()?),
        b"legacyStepDone" => Event::StepDone(thread()?),
        b"legacyAsyncBreak" => Event::AsyncBreak(thread()?),
        b"legacyBreakpointSet" => Event::BreakpointSet(breakpoint()?),
        b"legacyBreakpointFailed" => Event::BreakpointFailed(breakpoint()?),
        b"legacyBreakpointHit" => Event::BreakpointHit {
            id: breakpoint()?,
            thread: thread()?,
        },
        b"legacyException" => {
            let on: OnException = envelope.body()?;
            Event::Exception {
                thread: on.thread_id,
                exception: on.data.into(),
            }
        }
        b"legacyThreadFrameList" => {
            let on: OnFrames = envelope.body()?;
            Event::Frames {
                thread: on.thread_id,
                name: on.thread_name,
                frames: on
                    .thread_frames
                    .into_iter()
                    .map(Frame::try_from)
                    .collect::<Result<_, _>>()?,
            }
        }
        b"legacyExecutionResult" => {
            let on: OnResult = envelope.body()?;
            Event::ExecutionResult {
                execution: on.execution_id,
                object: on.obj.into(),
            }
        }
        b"legacyExecutionException" => {
            let on: OnExecutionException = envelope.body()?;
            Event::ExecutionException {
                execution: on.execution_id,
                text: on.exception_text,
            }
        }
        b"legacyEnumChildrenResult" => {
            let on: OnChildren = envelope.body()?;
            Event::Children {
                execution: on.execution_id,
                children: on.children.into_iter().map(Child::from).collect(),
            }
        }
        b"legacyDebuggerOutput" => {
            let on: OnOutput = envelope.body()?;
            Event::Output {
                thread: on.thread_id,
                text: on.output,
                channel: match (on.channel.as_deref(), on.is_stdout) {
                    (Some(name), _) => OutputChannel::from_name(name),
                    (None, Some(true)) => Some(OutputChannel::Stdout),
                    (None, Some(false)) => Some(OutputChannel::Stderr),
                    (None, None) => None,
                },
            }
        }
        b"legacyRequestHandlers" => {
            let on: OnFile = envelope.body()?;
            Event::HandlersWanted(on.file_name)
        }
        b"legacyDetach" => Event::Detached,
        b"legacyLast" => Event::Last,
        b"legacyModulesChanged" => Event::ModulesChanged,
        _ => Event::Unknown(envelope.event.clone()),
    })
}

impl OutputChannel {
    fn name(self) -> &'static str {
        match self {
            OutputChannel::Stdout => "stdout",
            OutputChannel::Stderr => "stderr",
            OutputChannel::Debug => "debug",
        }
    }

    fn from_name(name: &str) -> Option<OutputChannel> {
        match name {
            "stdout" => Some(OutputChannel::Stdout),
            "stderr" => Some(OutputChannel::Stderr),
            "debug" => Some(OutputChannel::Debug),
            _ => None,
        }
    }
}

// The bodies.

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OnThread {
    thread_id: ThreadId,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OnBreakpoint {
    breakpoint_id: BreakpointId,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OnModule {
    module_id: i64,
    module_file_name: PyText,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OnFile {
    file_name: PyText,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OnHitCount {
    hit_count: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OnLineSet {
    result: i64,
    thread_id: ThreadId,
    new_line_no: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OnOutput {
    thread_id: ThreadId,
    output: PyText,
    /// 3.2.1.
    #[serde(default)]
    channel: Option<String>,
    /// 3.2.0.
    #[serde(default, rename = "isStdOut")]
    is_stdout: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OnResult {
    execution_id: ExecutionId,
    obj: ObjectFields,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OnExecutionException {
    execution_id: ExecutionId,
    exception_text: PyText,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OnException {
    thread_id: ThreadId,
    data: ExceptionData,
}

#[derive(Serialize, Deserialize)]
struct ExceptionData {
    #[serde(default)]
    typename: PyText,
    #[serde(default)]
    message: PyText,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    breaktype: Option<PyText>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trace: Option<PyText>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    excvalue: Option<PyText>,
}

impl From<&ExceptionReport> for ExceptionData {
    fn from(report: &ExceptionReport) -> Self {
        ExceptionData {
            typename: report.type_name.clone(),
            message: report.message.clone(),
            breaktype: (report.break_type == 1).then(|| BREAK_TYPE_UNHANDLED.into()),
            trace: report.trace.clone(),
            excvalue: report.value_name.clone(),
        }
    }
}

impl From<ExceptionData> for ExceptionReport {
    fn from(data: ExceptionData) -> Self {
        ExceptionReport {
            type_name: data.typename,
            message: data.message,
            break_type: i64::from(data.breaktype.is_some_and(|t| t == *BREAK_TYPE_UNHANDLED)),
            trace: data.trace,
            value_name: data.excvalue,
        }
    }
}

// Frames.

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct OnFrames {
    thread_id: ThreadId,
    thread_name: Option<PyText>,
    thread_frames: Vec<FrameFields>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct FrameFields {
    start_line: i64,
    end_line: i64,
    line_no: i64,
    frame_name: PyText,
    file_name: PyText,
    arg_count: i64,
    frame_kind: i64,
    variables: Vec<VariableFields>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    django_source_file: Option<PyText>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    django_source_line: Option<i64>,
}

#[derive(Serialize, Deserialize)]
struct VariableFields {
    name: PyText,
    obj: ObjectFields,
}

impl From<&Frame> for FrameFields {
    fn from(frame: &Frame) -> Self {
        let template = frame.template.as_ref();
        FrameFields {
            start_line: frame.first_line,
            end_line: frame.last_line,
            line_no: frame.line,
            frame_name: frame.function.clone(),
            file_name: frame.file.clone(),
            arg_count: frame.argument_count,
            frame_kind: frame.kind().to_wire(),
            variables: frame
                .variables
                .iter()
                .map(|variable| VariableFields {
                    name: variable.name.clone(),
                    obj: (&variable.object).into(),
                })
                .collect(),
            django_source_file: template.map(|t| t.source_file.clone()),
            django_source_line: template.map(|t| t.source_line),
        }
    }
}

impl TryFrom<FrameFields> for Frame {
    type Error = WireError;

    fn try_from(fields: FrameFields) -> Result<Self, WireError> {
        let template = match FrameKind::from_wire(fields.frame_kind)? {
            FrameKind::Django => Some(TemplatePosition {
                source_file: fields.django_source_file.unwrap_or_default(),
                source_line: fields.django_source_line.unwrap_or_default(),
            }),
            FrameKind::Python | FrameKind::None => None,
        };
        Ok(Frame {
            first_line: fields.start_line,
            last_line: fields.end_line,
            line: fields.line_no,
            function: fields.frame_name,
            file: fields.file_name,
            argument_count: fields.arg_count,
            template,
            variables: fields
                .variables
                .into_iter()
                .map(|variable| Variable {
                    name: variable.name,
                    object: variable.obj.into(),
                })
                .collect(),
        })
    }
}

// Values and children.

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ObjectFields {
    obj_repr: Option<PyText>,
    hex_repr: Option<PyText>,
    type_name: PyText,
    length: i64,
    flags: ObjectFlags,
}

impl From<&Object> for ObjectFields {
    fn from(object: &Object) -> Self {
        ObjectFields {
            obj_repr: object.repr.clone(),
            hex_repr: object.hex.clone(),
            type_name: object.type_name.clone(),
            length: object.length.unwrap_or(0),
            flags: object.flags,
        }
    }
}

impl From<ObjectFields> for Object {
    fn from(fields: ObjectFields) -> Self {
        Object {
            repr: fields.obj_repr,
            hex: fields.hex_repr,
            type_name: fields.type_name,
            length: Some(fields.length),
            flags: fields.flags,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OnChildren {
    execution_id: ExecutionId,
    children: Vec<ChildFields>,
}

#[derive(Serialize, Deserialize)]
struct ChildFields {
    name: PyText,
    expression: Option<PyText>,
    obj: ObjectFields,
}

impl From<&Child> for ChildFields {
    fn from(child: &Child) -> Self {
        ChildFields {
            name: child.name.clone(),
            expression: match &child.key {
                ChildKey::Expression(expression) => Some(expression.clone()),
                _ => None,
            },
            obj: (&child.object).into(),
        }
    }
}

impl From<ChildFields> for Child {
    fn from(fields: ChildFields) -> Self {
        Child {
            name: fields.name,
            key: match fields.expression {
                Some(expression) => ChildKey::Expression(expression),
                None => ChildKey::Unreachable,
            },
            object: fields.obj.into(),
        }
    }
}
