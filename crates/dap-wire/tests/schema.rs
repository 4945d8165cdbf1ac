//! Every message that we can send, full and as small as it can be, against
//! the specification's schema.
#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test's helpers may panic; clippy.toml reaches only its test functions"
)]

use dap_wire::client::Client;
use dap_wire::events::{self, *};
use dap_wire::requests::{self, *};
use dap_wire::schema::Schema;
use dap_wire::{Connection, ErrorAnswer, Event, Incoming, Outbox, RawRequest, Request, Responder};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// A value of a type with every field that it has, from JSON: a field that
/// the type does not know would be lost, which [`Sent::same`] sees.
fn full<T: DeserializeOwned>(written: &Value) -> T {
    serde_json::from_value(written.clone()).unwrap_or_else(|why| panic!("{why} in {written}"))
}

/// A connection, with what was sent over it and must come out.
struct Sent {
    outbox: Outbox,
    client: Client,
    expected: Vec<Value>,
}

impl Sent {
    fn new() -> Self {
        let (connection, peer) = Connection::memory();
        Self {
            outbox: connection.outbox,
            client: peer.client(),
            expected: Vec::new(),
        }
    }

    fn event<E: Event<Body: DeserializeOwned>>(&mut self, body: Value) {
        self.outbox.event::<E>(full(&body));
        self.expected.push(body);
    }

    fn answer<R: Request<Response: DeserializeOwned>>(&mut self, body: Value) {
        self.responder(R::COMMAND).ok::<R>(full(&body));
        self.expected.push(body);
    }

    /// The duty to answer a request with a number of its own.
    fn responder(&self, command: &str) -> Responder {
        self.outbox.responder(&RawRequest {
            seq: i64::try_from(self.expected.len()).unwrap(),
            command: command.to_owned(),
            arguments: Value::Null,
        })
    }

    /// Closes the connection; every message came, whole and valid.
    async fn same(self, schema: &Schema) {
        let count = self.expected.len();
        self.outbox.flushed().await;
        drop(self.outbox);
        self.client.closed().await;
        let sent = self.client.outgoing_of_adapter();
        assert_eq!(sent.len(), count);
        assert_eq!(self.client.faults(), [""; 0]);
        for (message, body) in sent.iter().zip(self.expected) {
            if let Err(why) = schema.check(message) {
                panic!("{why}");
            }
            let left = message.get("body").unwrap_or(&Value::Null);
            assert_eq!(*left, body, "of {message}");
        }
    }
}

fn source() -> Value {
    json!({
        "name": "a.py", "path": "/srv/a.py", "sourceReference": 3,
        "presentationHint": "deemphasize", "origin": "from the program",
        "sources": [{"name": "b.py"}], "adapterData": {"any": [null]},
        "checksums": [{"algorithm": "SHA256", "checksum": "00"}],
    })
}

fn breakpoint() -> Value {
    json!({
        "verified": false, "id": 1, "message": "not loaded yet", "source": source(),
        "line": 1, "column": 2, "endLine": 3, "endColumn": 4,
        "instructionReference": "0x1", "offset": 5, "reason": "pending",
    })
}

fn module() -> Value {
    json!({
        "id": "m", "name": "m", "path": "/m.py", "isOptimized": false, "isUserCode": true,
        "version": "1", "symbolStatus": "loaded", "symbolFilePath": "/m.pyc",
        "dateTimeStamp": "now", "addressRange": "0x0",
    })
}

fn hint() -> Value {
    json!({
        "kind": "mostDerivedClass", "attributes": ["readOnly", "rawString", "ours"],
        "visibility": "private", "lazy": true,
    })
}

fn every_capability() -> Value {
    let mut all = json!({
        "exceptionBreakpointFilters": [{
            "filter": "raised", "label": "Raised", "description": "d", "default": false,
            "supportsCondition": true, "conditionDescription": "e.g. ValueError",
        }],
        "completionTriggerCharacters": ["."],
        "additionalModuleColumns": [{
            "attributeName": "a", "label": "l", "format": "f", "type": "unixTimestampUTC", "width": 8,
        }],
        "supportedChecksumAlgorithms": ["MD5", "SHA1", "SHA256", "timestamp"],
        "breakpointModes": [{
            "mode": "m", "label": "l", "description": "d", "appliesTo": ["source", "exception"],
        }],
    });
    for flag in [
        "supportsConfigurationDoneRequest",
        "supportsFunctionBreakpoints",
        "supportsConditionalBreakpoints",
        "supportsHitConditionalBreakpoints",
        "supportsEvaluateForHovers",
        "supportsStepBack",
        "supportsSetVariable",
        "supportsRestartFrame",
        "supportsGotoTargetsRequest",
        "supportsStepInTargetsRequest",
        "supportsCompletionsRequest",
        "supportsModulesRequest",
        "supportsRestartRequest",
        "supportsExceptionOptions",
        "supportsValueFormattingOptions",
        "supportsExceptionInfoRequest",
        "supportTerminateDebuggee",
        "supportSuspendDebuggee",
        "supportsDelayedStackTraceLoading",
        "supportsLoadedSourcesRequest",
        "supportsLogPoints",
        "supportsTerminateThreadsRequest",
        "supportsSetExpression",
        "supportsTerminateRequest",
        "supportsDataBreakpoints",
        "supportsReadMemoryRequest",
        "supportsWriteMemoryRequest",
        "supportsDisassembleRequest",
        "supportsCancelRequest",
        "supportsBreakpointLocationsRequest",
        "supportsClipboardContext",
        "supportsSteppingGranularity",
        "supportsInstructionBreakpoints",
        "supportsExceptionFilterOptions",
        "supportsSingleThreadExecutionRequests",
        "supportsDataBreakpointBytes",
        "supportsANSIStyling",
    ] {
        all[flag] = json!(true);
    }
    all
}

fn all_events(sent: &mut Sent) {
    sent.event::<Initialized>(json!(null));
    for reason in [
        "step",
        "breakpoint",
        "exception",
        "pause",
        "entry",
        "goto",
        "function breakpoint",
        "data breakpoint",
        "instruction breakpoint",
        "our own",
    ] {
        sent.event::<Stopped>(json!({"reason": reason}));
    }
    sent.event::<Stopped>(json!({
        "reason": "exception", "description": "d", "threadId": 1, "preserveFocusHint": true,
        "text": "t", "allThreadsStopped": true, "hitBreakpointIds": [1, 2],
    }));
    sent.event::<Continued>(json!({"threadId": 1}));
    sent.event::<Continued>(json!({"threadId": 1, "allThreadsContinued": true}));
    sent.event::<events::Thread>(json!({"reason": "started", "threadId": 1}));
    sent.event::<events::Thread>(json!({"reason": "exited", "threadId": 1}));
    for reason in ["new", "changed", "removed"] {
        sent.event::<events::Module>(json!({"reason": reason, "module": {"id": 7, "name": "m"}}));
        sent.event::<events::Breakpoint>(
            json!({"reason": reason, "breakpoint": {"verified": true}}),
        );
    }
    sent.event::<events::Module>(json!({"reason": "new", "module": module()}));
    sent.event::<events::Breakpoint>(json!({"reason": "changed", "breakpoint": breakpoint()}));
    sent.event::<Output>(json!({"output": ""}));
    for category in ["console", "important", "stdout", "stderr", "telemetry"] {
        sent.event::<Output>(json!({"output": "x\n", "category": category}));
    }
    for group in ["start", "startCollapsed", "end"] {
        sent.event::<Output>(json!({
            "output": "x\n", "group": group, "variablesReference": 1, "source": source(),
            "line": 1, "column": 1, "data": {"any": null}, "locationReference": 2,
        }));
    }
    sent.event::<Terminated>(json!(null));
    sent.event::<Terminated>(json!({}));
    sent.event::<Terminated>(json!({"restart": {"again": true}}));
    sent.event::<Exited>(json!({"exitCode": -9}));
    sent.event::<Process>(json!({"name": "p"}));
    for method in ["launch", "attach", "attachForSuspendedLaunch"] {
        sent.event::<Process>(json!({
            "name": "p", "systemProcessId": 1, "isLocalProcess": false, "startMethod": method,
            "pointerSize": 64,
        }));
    }
    sent.event::<Invalidated>(json!({}));
    sent.event::<Invalidated>(json!({
        "areas": ["all", "stacks", "threads", "variables"], "threadId": 1, "stackFrameId": 2,
    }));
    sent.event::<events::Capabilities>(json!({"capabilities": every_capability()}));
}

fn answers_without_a_body(sent: &mut Sent) {
    sent.answer::<Attach>(json!(null));
    sent.answer::<Launch>(json!(null));
    sent.answer::<ConfigurationDone>(json!(null));
    sent.answer::<Disconnect>(json!(null));
    sent.answer::<Terminate>(json!(null));
    sent.answer::<Cancel>(json!(null));
    sent.answer::<Next>(json!(null));
    sent.answer::<StepIn>(json!(null));
    sent.answer::<StepOut>(json!(null));
    sent.answer::<Pause>(json!(null));
    sent.answer::<Goto>(json!(null));
}

fn answers_about_breakpoints(sent: &mut Sent) {
    sent.answer::<Initialize>(json!({}));
    sent.answer::<Initialize>(every_capability());
    let breakpoints = json!({"breakpoints": [
        {"verified": true}, breakpoint(), {"verified": false, "reason": "failed"},
    ]});
    sent.answer::<SetBreakpoints>(breakpoints.clone());
    sent.answer::<SetFunctionBreakpoints>(breakpoints.clone());
    sent.answer::<SetExceptionBreakpoints>(breakpoints);
    sent.answer::<SetExceptionBreakpoints>(json!({}));
    sent.answer::<BreakpointLocations>(json!({"breakpoints": [
        {"line": 1}, {"line": 1, "column": 2, "endLine": 3, "endColumn": 4},
    ]}));
    sent.answer::<Continue>(json!({}));
    sent.answer::<Continue>(json!({"allThreadsContinued": false}));
    let end = json!({"id": 2, "label": "t", "line": 1, "column": 2, "endLine": 3, "endColumn": 4});
    sent.answer::<StepInTargets>(json!({"targets": [{"id": 1, "label": "t"}, end]}));
    let mut end = end;
    end["instructionPointerReference"] = json!("0x1");
    sent.answer::<GotoTargets>(json!({"targets": [{"id": 1, "label": "t", "line": 1}, end]}));
}

fn answers_about_the_program(sent: &mut Sent) {
    sent.answer::<Threads>(json!({"threads": [{"id": 1, "name": "MainThread"}]}));
    sent.answer::<StackTrace>(json!({"stackFrames": []}));
    let frame = |hint: &str| {
        json!({
            "id": 1, "name": "f", "line": 1, "column": 1, "source": source(), "endLine": 2,
            "endColumn": 3, "canRestart": false, "instructionPointerReference": "0x1",
            "moduleId": "m", "presentationHint": hint,
        })
    };
    sent.answer::<StackTrace>(json!({
        "stackFrames": [frame("normal"), frame("label"), frame("subtle")], "totalFrames": 3,
    }));
    sent.answer::<Scopes>(json!({"scopes": [
        {"name": "Locals", "variablesReference": 1, "expensive": false},
        {"name": "Return", "variablesReference": 2, "expensive": true,
         "presentationHint": "returnValue", "namedVariables": 1, "indexedVariables": 2,
         "source": source(), "line": 1, "column": 2, "endLine": 3, "endColumn": 4},
    ]}));
    sent.answer::<Variables>(json!({"variables": [
        {"name": "x", "value": "3", "variablesReference": 0},
        {"name": "x", "value": "3", "variablesReference": 1, "type": "int",
         "presentationHint": hint(), "evaluateName": "x", "namedVariables": 1,
         "indexedVariables": 2, "memoryReference": "0x1", "declarationLocationReference": 3,
         "valueLocationReference": 4},
    ]}));
    sent.answer::<Evaluate>(json!({"result": "3", "variablesReference": 0}));
    sent.answer::<Evaluate>(json!({
        "result": "3", "variablesReference": 1, "type": "int", "presentationHint": hint(),
        "namedVariables": 1, "indexedVariables": 2, "memoryReference": "0x1",
        "valueLocationReference": 4,
    }));
    sent.answer::<SetVariable>(json!({"value": "3"}));
    let mut set = json!({
        "value": "3", "type": "int", "variablesReference": 1, "namedVariables": 1,
        "indexedVariables": 2, "memoryReference": "0x1", "valueLocationReference": 4,
    });
    sent.answer::<SetVariable>(set.clone());
    set["presentationHint"] = hint();
    sent.answer::<SetExpression>(set);
    let every_type = [
        "method",
        "function",
        "constructor",
        "field",
        "variable",
        "class",
        "interface",
        "module",
        "property",
        "unit",
        "value",
        "enum",
        "keyword",
        "snippet",
        "text",
        "color",
        "file",
        "reference",
        "customcolor",
    ];
    let item = |of| {
        json!({
            "label": "l", "text": "t", "sortText": "s", "detail": "d", "type": of, "start": 1,
            "length": 2, "selectionStart": 3, "selectionLength": 4,
        })
    };
    sent.answer::<Completions>(json!({"targets": every_type.map(item)}));
    for mode in ["never", "always", "unhandled", "userUnhandled"] {
        sent.answer::<ExceptionInfo>(json!({"exceptionId": "E", "breakMode": mode}));
    }
    sent.answer::<ExceptionInfo>(json!({
        "exceptionId": "E", "breakMode": "always", "description": "d",
        "details": {
            "message": "m", "typeName": "E", "fullTypeName": "a.E", "evaluateName": "e",
            "stackTrace": "s", "innerException": [{"message": "m"}],
        },
    }));
    sent.answer::<requests::Source>(json!({"content": ""}));
    sent.answer::<requests::Source>(json!({"content": "x", "mimeType": "text/x-python"}));
    sent.answer::<Modules>(json!({"modules": [module()], "totalModules": 1}));
    sent.answer::<Modules>(json!({"modules": [{"id": 1, "name": "m"}]}));
    sent.answer::<LoadedSources>(json!({"sources": [source(), {}]}));
}

fn error_answers(sent: &mut Sent) {
    sent.responder("brew").fail(ErrorAnswer {
        id: 3001,
        message: "notStopped".to_owned(),
        detail: "the thread {1} runs".to_owned(),
        show_user: true,
    });
    let error = json!({"id": 3001, "format": "the thread {1} runs", "showUser": true});
    sent.expected.push(json!({"error": error}));
}

async fn everything_against(schema: &Schema) {
    let mut sent = Sent::new();
    all_events(&mut sent);
    answers_without_a_body(&mut sent);
    answers_about_breakpoints(&mut sent);
    answers_about_the_program(&mut sent);
    error_answers(&mut sent);
    sent.same(schema).await;
}

#[tokio::test]
async fn everything_we_send_is_valid() {
    everything_against(&Schema::load().unwrap()).await;
}

/// The way without a file, which a fresh checkout takes. Needs npm and its registry.
#[tokio::test]
#[ignore = "installs packages from npm; run it where the schema file is not at hand"]
async fn everything_we_send_is_valid_by_npm_as_well() {
    everything_against(&Schema::from_npm().unwrap()).await;
}

#[tokio::test]
async fn an_answer_that_was_forgotten_and_a_note_of_dropped_output_are_valid() {
    let schema = Schema::load().unwrap();
    let (mut connection, peer) = Connection::memory_with(dap_wire::OutputLimits {
        memory: 10,
        file: 10,
    });
    let client = peer.client();
    let _unanswered = client.send("threads", Value::Null);
    let Some(Ok(Incoming::Request(request))) = connection.inbound.recv().await else {
        panic!("no request");
    };
    drop(connection.outbox.responder(&request));
    connection.outbox.event::<Output>(OutputBody {
        output: "more than both limits\n".repeat(10_000),
        ..OutputBody::default()
    });
    connection.outbox.flushed().await;
    drop(connection);
    client.closed().await;
    let messages = client.outgoing_of_adapter();
    assert_eq!(messages.len(), 2);
    let note = messages[1]["body"]["output"].as_str().unwrap();
    assert!(note.contains("10000 lines"), "{note}");
    for message in client.transcript() {
        schema.check(&message).unwrap();
    }
}

#[test]
fn the_schema_sees_what_is_wrong() {
    let schema = Schema::load().unwrap();
    for wrong in [
        json!({"seq": 1, "type": "event", "event": "stopped"}),
        json!({"seq": 1, "type": "event", "event": "stopped", "body": {"reason": "step", "threadId": null}}),
        json!({"seq": 1, "type": "event", "event": "stopped", "body": {"reason": "step", "thread_id": 1}}),
        json!({"seq": 1, "type": "event", "event": "initialized", "extra": 1}),
        json!({"seq": 1, "type": "event", "event": "steamed"}),
        json!({"type": "event", "event": "initialized"}),
        json!({"seq": 1, "type": "response", "request_seq": 1, "success": false, "command": "next"}),
        json!({"seq": 1, "type": "response", "request_seq": 1, "success": true, "command": "threads"}),
        json!({"seq": 1, "type": "letter"}),
    ] {
        schema.check(&wrong).unwrap_err();
    }
    let attach =
        json!({"seq": 1, "type": "request", "command": "attach", "arguments": {"target": "x"}});
    schema.check(&attach).unwrap();
}
