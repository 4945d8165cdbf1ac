//! What is encoded decodes to the same, in every dialect, however the bytes
//! are cut on the way; and what a dialect cannot say is refused, whole.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by a panic, and so may its helpers"
)]
mod generate;

use bytes::BytesMut;
use generate::{cut, dialect, points};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use ptvsd_wire::handshake::{Attached, HandshakeDecoder, Hello, ProcessInfo, Reply, Request};
use ptvsd_wire::{
    BreakpointCondition, Command, CommandDecoder, CommandEncoder, Dialect, Event, EventDecoder,
    EventEncoder, ExceptionReport, Family, Language, PassCount, PyText, ReprKind, SetBreakpoint,
    ThreadId,
};

/// A dialect, and messages that it has words for.
fn events() -> impl Strategy<Value = (Dialect, Vec<Event>)> {
    dialect().prop_flat_map(|dialect| (Just(dialect), vec(generate::event(dialect), 1..6)))
}

fn commands() -> impl Strategy<Value = (Dialect, Vec<Command>)> {
    dialect().prop_flat_map(|dialect| (Just(dialect), vec(generate::command(dialect), 1..6)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn events_come_back((dialect, events) in events(), points in points()) {
        let mut out = BytesMut::new();
        let mut encoder = EventEncoder::new(dialect);
        for event in &events {
            prop_assert_eq!(encoder.encode(event, &mut out), Ok(()));
        }
        let mut decoder = EventDecoder::new(dialect);
        let mut back = Vec::new();
        for piece in cut(&out, &points) {
            decoder.feed(piece);
            while let Some(event) = decoder.next().unwrap() {
                back.push(event);
            }
        }
        prop_assert_eq!(back, events);
        prop_assert!(!decoder.is_inside_message());
    }

    #[test]
    fn commands_come_back(
        (dialect, commands) in commands(),
        first_number in 0..1_000_i64,
        points in points(),
    ) {
        let mut out = BytesMut::new();
        let mut encoder = CommandEncoder::new(dialect, first_number);
        let mut expected = Vec::new();
        for command in commands {
            let number = encoder.encode(&command, &mut out).unwrap();
            // Below JSON one command alone carries its number.
            let carried = dialect.family() == Family::Json
                || matches!(command, Command::GetBreakpointHitCount(_));
            expected.push((if carried { number } else { 0 }, command));
        }
        let mut decoder = CommandDecoder::new(dialect);
        let mut back = Vec::new();
        for piece in cut(&out, &points) {
            decoder.feed(piece);
            while let Some(command) = decoder.next().unwrap() {
                back.push(command);
            }
        }
        prop_assert_eq!(back, expected);
    }

    /// Inside a message the decoder says so, and gives nothing.
    #[test]
    fn a_cut_event_is_no_event((dialect, events) in events(), at in any::<usize>()) {
        let mut out = BytesMut::new();
        EventEncoder::new(dialect).encode(&events[0], &mut out).unwrap();
        let mut decoder = EventDecoder::new(dialect);
        decoder.feed(&out[..at % out.len()]);
        prop_assert_eq!(decoder.next(), Ok(None));
        prop_assert_eq!(decoder.is_inside_message(), at % out.len() > 0);
    }
}

// The handshake.

fn reply(dialect: Dialect) -> impl Strategy<Value = (Request, Reply)> {
    let text = || generate::text(dialect);
    let info = (any::<i64>(), text(), text(), text()).prop_map(
        |(process_id, executable, user, python)| ProcessInfo {
            process_id,
            executable,
            user,
            python,
        },
    );
    let attached = any::<[i64; 4]>().prop_map(|[process_id, major, minor, micro]| Attached {
        process_id,
        major,
        minor,
        micro,
    });
    let secret = Request::Authenticate { secret: "s".into() };
    let attach = Request::Attach {
        options: String::new(),
    };
    let mut all = vec![
        (Just(secret), any::<bool>().prop_map(Reply::Authenticated)).boxed(),
        (Just(Request::Info), info.prop_map(Reply::Info)).boxed(),
        (
            Just(attach.clone()),
            option::of(attached).prop_map(Reply::Attached),
        )
            .boxed(),
        (Just(Request::Repl), any::<bool>().prop_map(Reply::Repl)).boxed(),
    ];
    if dialect.family() == Family::Json {
        let failed = generate::unicode().prop_map(Reply::Failed);
        all.push((Just(attach), failed).boxed());
    }
    proptest::strategy::Union::new(all)
}

/// Feeds one message and what follows it; gives both back.
fn first_of<T>(mut decoder: HandshakeDecoder<T>, pieces: &[&[u8]]) -> (T, Vec<u8>) {
    let mut pieces = pieces.iter();
    loop {
        decoder.feed(pieces.next().expect("the message to be complete"));
        if let Some(message) = decoder.next().unwrap() {
            let mut rest = decoder.into_rest().to_vec();
            pieces.for_each(|piece| rest.extend_from_slice(piece));
            return (message, rest);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn greetings_come_back(dialect in dialect(), points in points(), rest in vec(any::<u8>(), 0..9)) {
        let mut out = BytesMut::new();
        Hello::encode(dialect, &mut out);
        out.extend_from_slice(&rest);
        let (hello, left) = first_of(HandshakeDecoder::hello(), &cut(&out, &points));
        prop_assert_eq!(hello, Hello::Legacy(dialect));
        prop_assert_eq!(left, rest);
    }

    #[test]
    fn replies_come_back(
        (dialect, (request, reply)) in dialect().prop_flat_map(|d| (Just(d), reply(d))),
        number in any::<i64>(),
        points in points(),
        rest in vec(any::<u8>(), 0..9),
    ) {
        let mut out = BytesMut::new();
        reply.encode(dialect, number, &mut out);
        out.extend_from_slice(&rest);
        let decoder = HandshakeDecoder::reply(dialect, &request);
        let (back, left) = first_of(decoder, &cut(&out, &points));
        prop_assert_eq!(back, reply);
        prop_assert_eq!(left, rest);
    }

    /// No server is written in this crate, so requests are held against their
    /// bytes as the protocol notes have them.
    #[test]
    fn requests_are_as_written_down(
        dialect in dialect(),
        secret in any::<String>(),
        options in "[A-Za-z,]{0,20}",
        number in any::<i64>(),
    ) {
        let attach = Request::Attach { options: options.clone() };
        let authenticate = Request::Authenticate { secret: secret.as_str().into() };
        match dialect.family() {
            Family::Binary => {
                let version = dialect.version().to_be_bytes();
                let greeting = [b"PTVSDBG", &version[..], &counted(&secret)].concat();
                prop_assert_eq!(encoded(&authenticate, dialect, number), greeting);
                prop_assert_eq!(encoded(&Request::Info, dialect, number), b"INFO");
                let sent = if dialect >= Dialect::V6 { counted(&options) } else { Vec::new() };
                let attaching = [b"ATCH", &sent[..]].concat();
                prop_assert_eq!(encoded(&attach, dialect, number), attaching);
            }
            Family::Json => {
                let cases = [
                    (authenticate, "legacyRemoteDebuggerAuthenticate", serde_json::json!({
                        "debuggerName": "PTVSDBG",
                        "debuggerProtocolVersion": dialect.version(),
                        "clientSecret": secret,
                    })),
                    (Request::Info, "legacyRemoteDebuggerInfo", serde_json::json!({})),
                    (attach, "legacyRemoteDebuggerAttach", serde_json::json!({
                        "debugOptions": options,
                    })),
                ];
                for (request, command, arguments) in cases {
                    let content = serde_json::json!({
                        "type": "request",
                        "seq": number,
                        "command": command,
                        "arguments": arguments,
                    });
                    prop_assert_eq!(json_in(&encoded(&request, dialect, number)), content);
                }
            }
        }
    }
}

fn encoded(request: &Request, dialect: Dialect, number: i64) -> Vec<u8> {
    let mut out = BytesMut::new();
    request.encode(dialect, number, &mut out);
    out.to_vec()
}

fn counted(text: &str) -> Vec<u8> {
    let length = i64::try_from(text.len()).unwrap();
    [&length.to_be_bytes(), text.as_bytes()].concat()
}

/// The content after the one header that servers bear.
fn json_in(message: &[u8]) -> serde_json::Value {
    let text = std::str::from_utf8(message).unwrap();
    let (header, content) = text.split_once("\r\n\r\n").unwrap();
    assert_eq!(header, format!("Content-Length: {}", content.len()));
    serde_json::from_str(content).unwrap()
}

// What cannot be said.

/// A dialect, and an event that it has no words for.
fn unsayable_event() -> impl Strategy<Value = (Dialect, Event)> {
    dialect().prop_flat_map(|dialect| {
        let unknown = generate::unicode().prop_map(Event::Unknown);
        let mut all = vec![unknown.boxed()];
        if !dialect.has_pass_counts() {
            all.push(generate::hit_count().boxed());
        }
        if dialect.family() == Family::Binary {
            all.push(generate::answer().boxed());
        }
        if dialect < Dialect::V8 {
            all.push(generate::output_on_channel().boxed());
            all.push(Just(Event::ModulesChanged).boxed());
        }
        if !generate::has_rich_exceptions(dialect) {
            let exception = ExceptionReport {
                trace: Some("".into()),
                ..ExceptionReport::default()
            };
            all.push(
                Just(Event::Exception {
                    thread: ThreadId(1),
                    exception,
                })
                .boxed(),
            );
        }
        (Just(dialect), proptest::strategy::Union::new(all))
    })
}

/// A dialect, and a command that it has no words for.
fn unsayable_command() -> impl Strategy<Value = (Dialect, Command)> {
    let older = prop::sample::select(Dialect::ALL[..6].to_vec());
    older.prop_flat_map(|dialect| {
        let module = prop_oneof![
            (generate::unicode().prop_map(Some), any::<bool>()),
            Just((None, true)),
        ];
        let mut all = vec![
            Just(Command::ListReplModules).boxed(),
            generate::execute(Just(ReprKind::Normal), module).boxed(),
        ];
        if dialect.family() == Family::Binary {
            all.push(Just(Command::EndLoop).boxed());
            all.push(Just(Command::GetThreadFrames(ThreadId(1))).boxed());
            all.push(conditional_django_breakpoint(dialect).boxed());
        }
        if !dialect.has_pass_counts() {
            all.push(generate::hit_count_commands().boxed());
            let pass_count = generate::some_pass_count();
            let breakpoint = (generate::set_breakpoint(dialect), pass_count);
            all.push(
                breakpoint
                    .prop_map(|(breakpoint, pass_count)| {
                        Command::SetBreakpoint(SetBreakpoint {
                            pass_count,
                            ..breakpoint
                        })
                    })
                    .boxed(),
            );
        }
        if !dialect.has_object_length() {
            let frame_only = Just((None, false));
            all.push(generate::execute(generate::some_repr(), frame_only).boxed());
        }
        (Just(dialect), proptest::strategy::Union::new(all))
    })
}

fn conditional_django_breakpoint(dialect: Dialect) -> impl Strategy<Value = Command> {
    generate::set_breakpoint(dialect)
        .prop_filter("conditional", |breakpoint| {
            breakpoint.condition != BreakpointCondition::Always
                || breakpoint.pass_count != PassCount::Always
        })
        .prop_map(|breakpoint| {
            Command::SetBreakpoint(SetBreakpoint {
                language: Language::Django,
                ..breakpoint
            })
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn events_without_words_are_refused_whole((dialect, event) in unsayable_event()) {
        let mut out = BytesMut::from(&b"before"[..]);
        let refused = EventEncoder::new(dialect).encode(&event, &mut out);
        prop_assert_eq!(refused.map_err(|error| error.dialect), Err(dialect));
        prop_assert_eq!(&out[..], b"before");
    }

    #[test]
    fn commands_without_words_are_refused_whole((dialect, command) in unsayable_command()) {
        let mut out = BytesMut::from(&b"before"[..]);
        let mut encoder = CommandEncoder::new(dialect, 7);
        let refused = encoder.encode(&command, &mut out);
        prop_assert_eq!(refused.map_err(|error| error.dialect), Err(dialect));
        prop_assert_eq!(&out[..], b"before");
        // Nor does it use up a number.
        prop_assert_eq!(encoder.encode(&Command::Detach, &mut out), Ok(7));
    }
}

// JSON as other Pythons write it.

fn events_in(contents: &[&str]) -> Vec<Event> {
    let mut decoder = EventDecoder::new(Dialect::V8);
    let mut events = Vec::new();
    for content in contents {
        decoder.feed(format!("Content-Length: {}\r\n\r\n{content}", content.len()).as_bytes());
        while let Some(event) = decoder.next().unwrap() {
            events.push(event);
        }
    }
    events
}

#[test]
fn lone_surrogates_are_kept() {
    let events = events_in(&[
        r#"{"type":"event","seq":1,"event":"legacyDebuggerOutput","body":{"threadId":1,"output":"a\ud800b\ud83d\ude00","channel":"stderr"}}"#,
    ]);
    let [Event::Output { text, .. }] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!(text.bytes(), b"a\xed\xa0\x80b\xf0\x9f\x98\x80");
}

#[test]
fn the_order_of_keys_does_not_matter() {
    let usual = r#"{"type":"event","seq":1,"event":"legacyExecutionResult","body":{"executionId":3,"obj":{"objRepr":"x","hexRepr":null,"typeName":"str","length":1,"flags":16}}}"#;
    let other = r#"{"body":{"obj":{"flags":16,"length":1,"typeName":"str","hexRepr":null,"objRepr":"x"},"executionId":3},"event":"legacyExecutionResult","type":"event","seq":1}"#;
    let events = events_in(&[usual, other]);
    assert_eq!(events[0], events[1]);
}

#[test]
fn what_a_message_has_besides_is_passed_over() {
    let events = events_in(&[
        r#"{"type":"event","seq":1,"event":"legacyStepDone","body":{"threadId":5,"new":[{"deep":[1]}]},"also":"\ud800"}"#,
        r#"{"type":"event","seq":2,"event":"legacyNews","body":{"any":1}}"#,
    ]);
    assert_eq!(
        events,
        [
            Event::StepDone(ThreadId(5)),
            Event::Unknown(PyText::from("legacyNews"))
        ]
    );
}

#[test]
fn a_request_can_be_answered_twice() {
    let events = events_in(&[
        r#"{"type":"response","seq":1,"request_seq":4,"success":true,"command":"legacyResumeAll","message":"","body":{}}"#,
        r#"{"type":"response","seq":2,"request_seq":4,"success":false,"command":"legacyResumeAll","message":"Traceback","body":{}}"#,
    ]);
    let answer = |failure: Option<&str>| Event::Answered {
        request: 4,
        command: "legacyResumeAll".into(),
        failure: failure.map(PyText::from),
    };
    assert_eq!(events, [answer(None), answer(Some("Traceback"))]);
}
