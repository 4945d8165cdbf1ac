//! Sessions over a real socket with a scripted server: what the session's
//! task adds to the core, which is bytes, time, and ends.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod fake;

use std::time::Duration;

use bytes::BytesMut;
use fake::{Fake, Gone, LIMIT, Peer, in_time};
use ptvsd_client::{
    Binding, Debuggee, Ended, EvaluateError, SessionEvent, SessionOver, StepKind, StoppedThread,
};
use ptvsd_wire::{
    BreakpointCondition, BreakpointId, Command, Dialect, Event, Frame, FrameKind, Language, Object,
    ObjectFlags, OutputChannel, PassCount, PyText, ReprKind, SetBreakpoint, ThreadId,
};
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

const MAIN: ThreadId = ThreadId(0x7f00_0000_0010);

fn frames() -> Event {
    Event::Frames {
        thread: MAIN,
        name: Some("MainThread".into()),
        frames: vec![Frame {
            first_line: 1,
            last_line: 20,
            line: 12,
            function: "f".into(),
            file: "/srv/app.py".into(),
            argument_count: 0,
            template: None,
            variables: vec![],
        }],
    }
}

fn hit() -> [Event; 2] {
    let id = BreakpointId(7);
    [frames(), Event::BreakpointHit { id, thread: MAIN }]
}

fn output(text: &str) -> Event {
    Event::Output {
        thread: MAIN,
        text: text.into(),
        channel: None,
    }
}

/// The next event, but for the one that says that the attach is complete: that
/// comes at its own time.
async fn next(events: &mut mpsc::Receiver<SessionEvent>) -> Option<SessionEvent> {
    loop {
        match events.recv().await {
            Some(SessionEvent::Ready(_)) => {}
            event => return event,
        }
    }
}

fn object(dialect: Dialect, repr: &str) -> Object {
    Object {
        repr: Some(repr.into()),
        hex: None,
        type_name: "int".into(),
        length: dialect.has_object_length().then_some(0),
        flags: ObjectFlags::default(),
    }
}

fn breakpoint(id: i64, condition: &str) -> SetBreakpoint {
    SetBreakpoint {
        id: BreakpointId(id),
        line: 12,
        file: "/srv/app.py".into(),
        language: Language::Python,
        condition: BreakpointCondition::WhenTrue(condition.into()),
        pass_count: PassCount::Always,
    }
}

async fn stop(events: &mut mpsc::Receiver<SessionEvent>) -> StoppedThread {
    loop {
        match events.recv().await.expect("the session goes on") {
            SessionEvent::Stopped { thread, .. } => return thread,
            SessionEvent::Ended(how) => panic!("{how:?}"),
            _ => {}
        }
    }
}

async fn end(events: &mut mpsc::Receiver<SessionEvent>) -> Ended {
    let mut ended = None;
    while let Some(event) = events.recv().await {
        assert_eq!(ended, None, "something came after the end: {event:?}");
        if let SessionEvent::Ended(how) = event {
            ended = Some(how);
        }
    }
    ended.expect("an end")
}

#[tokio::test]
async fn attach_hit_evaluate_step_detach_in_every_dialect() {
    for dialect in Dialect::ALL {
        for chunk in [1, 3, 7, 4096] {
            let fake = Fake::new().await;
            let (debuggee, mut events, mut peer) = in_time(fake.session(dialect)).await;
            peer.chunk = chunk;
            let serve = async {
                assert!(matches!(peer.hears().await, Command::SetBreakpoint(_)));
                peer.says(&[Event::BreakpointSet(BreakpointId(7))]).await;
                peer.says(&[Event::ThreadCreated(MAIN)]).await;
                peer.says(&hit()).await;
                let Command::Execute { execution, .. } = peer.hears().await else {
                    panic!("no exec");
                };
                let object = object(dialect, "3");
                peer.says(&[frames(), Event::ExecutionResult { execution, object }])
                    .await;
                assert_eq!(peer.hears().await, Command::StepOver(MAIN));
                peer.says(&[frames(), Event::StepDone(MAIN)]).await;
                peer.lets_go().await;
                peer.sees_end().await
            };
            let debug = async {
                let breakpoint = SetBreakpoint {
                    condition: BreakpointCondition::Always,
                    ..breakpoint(7, "")
                };
                assert_eq!(debuggee.set_breakpoint(breakpoint).await, Binding::Bound);
                let thread = stop(&mut events).await;
                let place = thread.frame(0, FrameKind::Python);
                let value = debuggee.evaluate(place, "x", ReprKind::Normal).await;
                assert_eq!(value.unwrap().repr, Some("3".into()));
                debuggee.step(thread, StepKind::Over).await.unwrap();
                stop(&mut events).await;
                assert_eq!(debuggee.detach().await, Ended::Detached);
                assert_eq!(end(&mut events).await, Ended::Detached);
            };
            let (gone, ()) = in_time(async { tokio::join!(serve, debug) }).await;
            assert_eq!(gone, Gone::InOrder);
        }
    }
}

#[tokio::test]
async fn a_command_is_one_write() {
    for dialect in Dialect::ALL {
        let fake = Fake::new().await;
        let (debuggee, mut events, mut peer) = in_time(fake.session(dialect)).await;
        peer.says(&hit()).await;
        let thread = in_time(stop(&mut events)).await;
        let place = thread.frame(0, FrameKind::Python);
        let text = "x".repeat(1000);
        let evaluation = debuggee.evaluate(place, &text, ReprKind::Normal);
        let mut bytes = BytesMut::with_capacity(64 * 1024);
        in_time(peer.stream.read_buf(&mut bytes)).await.unwrap();
        peer.decoder.feed(&bytes);
        assert!(matches!(
            peer.decoder.next(),
            Ok(Some((_, Command::Execute { .. })))
        ));
        drop(evaluation);
    }
}

#[tokio::test]
async fn a_server_that_floods_and_does_not_read_is_read_all_the_same() {
    const PIECES: usize = 8 * 1024;
    const BREAKPOINTS: i64 = 256;
    for dialect in [Dialect::V6, Dialect::V8] {
        let fake = Fake::new().await;
        let (debuggee, mut events, mut peer) = in_time(fake.session(dialect)).await;
        // More than the sockets hold, in both directions.
        let condition = "x".repeat(32 * 1024);
        for id in 0..BREAKPOINTS {
            drop(debuggee.set_breakpoint(breakpoint(id, &condition)));
        }
        let serve = async {
            let text = "y".repeat(1024);
            for n in 0..PIECES {
                peer.says(&[output(&format!("{n} {text}"))]).await;
            }
            for id in 0..BREAKPOINTS {
                let Command::SetBreakpoint(set) = peer.hears().await else {
                    panic!("something else came");
                };
                assert_eq!(set.id, BreakpointId(id));
            }
            peer.lets_go().await;
        };
        let debug = async {
            for _ in 0..PIECES {
                let event = next(&mut events).await;
                assert!(matches!(event, Some(SessionEvent::Output { .. })));
            }
            drop(debuggee);
            assert_eq!(end(&mut events).await, Ended::Detached);
        };
        in_time(async { tokio::join!(serve, debug) }).await;
    }
}

/// Prints without end, until the client has gone or has been let go.
async fn flood(mut peer: Peer) -> Vec<Command> {
    let mut bytes = BytesMut::new();
    for _ in 0..64 {
        let text = output(&"z".repeat(512));
        peer.encoder.encode(&text, &mut bytes).unwrap();
    }
    let (mut read, mut write) = peer.stream.into_split();
    let printing = tokio::spawn(async move {
        while write.write_all(&bytes).await.is_ok() {}
        write
    });
    let mut heard = Vec::new();
    let mut received = BytesMut::new();
    while !heard.contains(&Command::Detach) {
        if read.read_buf(&mut received).await.unwrap_or(0) == 0 {
            break;
        }
        peer.decoder.feed(&received.split());
        while let Ok(Some((_, command))) = peer.decoder.next() {
            heard.push(command);
        }
    }
    printing.abort();
    heard
}

#[tokio::test]
async fn requests_reach_a_server_that_never_pauses() {
    let fake = Fake::new().await;
    let (debuggee, mut events, peer) = in_time(fake.session(Dialect::V4)).await;
    let flood = tokio::spawn(flood(peer));
    let debug = async {
        for _ in 0..1000 {
            events.recv().await.unwrap();
        }
        debuggee.pause();
        drop(debuggee);
        end(&mut events).await;
    };
    in_time(debug).await;
    let heard = in_time(flood).await.unwrap();
    assert!(heard.contains(&Command::BreakAll) && heard.contains(&Command::Detach));
}

#[tokio::test]
async fn a_consumer_that_takes_no_events_does_not_keep_us_from_detaching() {
    let fake = Fake::new().await;
    let (debuggee, events, peer) = in_time(fake.session(Dialect::V4)).await;
    let flood = tokio::spawn(flood(peer));
    // All room is taken.
    while events.len() < events.max_capacity() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    in_time(debuggee.detach()).await;
    assert!(in_time(flood).await.unwrap().contains(&Command::Detach));
    drop(events);
}

#[tokio::test]
async fn what_came_before_the_end_of_the_connection_is_told_before_it() {
    const PIECES: usize = 3000;
    for dialect in [Dialect::V6, Dialect::V8] {
        let fake = Fake::new().await;
        let (debuggee, mut events, mut peer) = in_time(fake.session(dialect)).await;
        peer.says(&hit()).await;
        let thread = in_time(stop(&mut events)).await;
        let place = thread.frame(0, FrameKind::Python);
        let evaluation = debuggee.evaluate(place, "x", ReprKind::Normal);
        in_time(peer.hears()).await;
        let serve = async {
            for n in 0..PIECES {
                peer.says(&[output(&n.to_string())]).await;
            }
            drop(peer);
        };
        let debug = async {
            for n in 0..PIECES {
                let Some(SessionEvent::Output { text, .. }) = next(&mut events).await else {
                    panic!("piece {n} is missing");
                };
                assert_eq!(text, PyText::from(n.to_string().as_str()));
            }
            let Ended::ConnectionLost(why) = end(&mut events).await else {
                panic!("nobody detached");
            };
            assert_eq!(why, "the connection ended");
        };
        let ((), (), value) = in_time(async { tokio::join!(serve, debug, evaluation) }).await;
        assert_eq!(value, Err(EvaluateError::Over(SessionOver)));
        assert_eq!(debuggee.resume().await, Err(SessionOver.into()));
        let binding = in_time(debuggee.set_breakpoint(breakpoint(1, "x"))).await;
        assert_eq!(binding, Binding::Unknown);
        assert_eq!(in_time(debuggee.detach()).await, Ended::DetachedUnconfirmed);
    }
}

#[tokio::test]
async fn a_connection_that_ends_inside_a_message_says_so() {
    let fake = Fake::new().await;
    let (_debuggee, mut events, mut peer) = in_time(fake.session(Dialect::V6)).await;
    peer.write(b"THRF\0\0").await;
    drop(peer);
    let ended = in_time(end(&mut events)).await;
    assert!(matches!(ended, Ended::ConnectionLost(why) if why.contains("inside a message")));
}

#[tokio::test]
async fn a_reset_ends_the_session() {
    let fake = Fake::new().await;
    let (_debuggee, mut events, peer) = in_time(fake.session(Dialect::V6)).await;
    SockRef::from(&peer.stream)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    drop(peer);
    let ended = in_time(end(&mut events)).await;
    assert!(matches!(ended, Ended::ConnectionLost(_)));
}

#[tokio::test]
async fn a_server_that_talks_nonsense_is_told_to_let_go_and_then_reset() {
    for (dialect, nonsense) in [
        (Dialect::V6, &b"WHAT?"[..]),
        (Dialect::V8, b"Content-Length: 3\r\n\r\n{]}"),
    ] {
        let fake = Fake::new().await;
        let (_debuggee, mut events, mut peer) = in_time(fake.session(dialect)).await;
        peer.says(&hit()).await;
        in_time(stop(&mut events)).await;
        peer.write(nonsense).await;
        in_time(peer.hears_until(&Command::Detach)).await;
        assert_eq!(in_time(peer.sees_end()).await, Gone::ByReset);
        let ended = in_time(end(&mut events)).await;
        assert!(matches!(ended, Ended::ConnectionLost(_)));
    }
}

#[tokio::test]
async fn when_every_handle_is_gone_it_detaches() {
    for dialect in Dialect::ALL {
        let fake = Fake::new().await;
        let (debuggee, mut events, mut peer) = in_time(fake.session(dialect)).await;
        peer.says(&hit()).await;
        in_time(stop(&mut events)).await;
        let other = debuggee.clone();
        drop(debuggee);
        other.pause();
        drop((other, events));
        in_time(peer.lets_go()).await;
        assert_eq!(in_time(peer.sees_end()).await, Gone::InOrder);
    }
}

#[tokio::test]
async fn a_program_that_ends_says_goodbye() {
    let fake = Fake::new().await;
    let (_debuggee, mut events, mut peer) = in_time(fake.session(Dialect::V6)).await;
    peer.says(&[output("bye"), Event::Last]).await;
    assert_eq!(in_time(peer.hears()).await, Command::LastAck);
    peer.says(&[Event::Detached]).await;
    assert_eq!(in_time(peer.sees_end()).await, Gone::InOrder);
    assert_eq!(in_time(end(&mut events)).await, Ended::ByProgram);
}

#[test]
fn a_session_that_is_dropped_with_its_runtime_is_a_reset_to_the_server() {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    let (ours, theirs) = (runtime(), runtime());
    let fake = theirs.block_on(Fake::new());
    let target = fake.target.clone();
    let server = std::thread::spawn(move || {
        theirs.block_on(async {
            let mut peer = fake.accept(Dialect::V6).await;
            peer.take_attach().await;
            in_time(peer.sees_end()).await
        })
    });
    let session: (Debuggee, _) = ours
        .block_on(ptvsd_client::attach(
            &target,
            &ptvsd_client::AttachOptions::default(),
            LIMIT,
        ))
        .unwrap();
    // Let its task begin.
    ours.block_on(async { tokio::time::sleep(Duration::from_millis(50)).await });
    drop(ours);
    assert_eq!(server.join().unwrap(), Gone::ByReset);
    drop(session);
}

#[tokio::test]
async fn channels_and_texts_pass_through() {
    let fake = Fake::new().await;
    let (_debuggee, mut events, mut peer) = in_time(fake.session(Dialect::V8)).await;
    let text = PyText::from("ä\u{1F40D}\n");
    peer.says(&[Event::Output {
        thread: MAIN,
        text: text.clone(),
        channel: Some(OutputChannel::Stderr),
    }])
    .await;
    assert_eq!(
        in_time(events.recv()).await,
        Some(SessionEvent::Output {
            thread: MAIN,
            text,
            channel: Some(OutputChannel::Stderr),
        })
    );
}
