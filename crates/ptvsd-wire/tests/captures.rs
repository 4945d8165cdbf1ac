//! What real servers sent decodes to what is written beside it.
//!
//! `captures/` holds one session of each release on CPython 2.7 and 3.6,
//! recorded by `cargo run -p testkit --bin capture-sessions`:
//!
//! * `…-info.bin`: greeting, secret, and what the server tells about itself,
//! * `…-session.bin`: greeting, secret, attach, first stop, breakpoints, values,
//!   children, an error, a statement, steps, a pause, output, exceptions, detach,
//! * `….txt`: both, decoded. `UPDATE_GOLDEN=1` writes it anew. Captured anew,
//!   it may differ in the order of what different threads of the server say.
//!
//! The session itself is in `crates/testkit/src/bin/capture-sessions`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by a panic, and so may its helpers"
)]
#[path = "captures/conversation.rs"]
mod conversation;
#[path = "captures/golden.rs"]
mod golden;

use std::fs;
use std::path::PathBuf;

use bytes::BytesMut;
use conversation::{Conversation, Item, Purpose};
use ptvsd_wire::{Dialect, Event, EventDecoder, EventEncoder, Family};

/// One recorded session, with the conversation that asked who is there.
struct Capture {
    name: String,
    info: Vec<u8>,
    session: Vec<u8>,
}

impl Capture {
    fn parts(&self) -> [(Purpose, &[u8]); 2] {
        [
            (Purpose::Info, &self.info),
            (Purpose::Session, &self.session),
        ]
    }
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/captures")
}

fn captures() -> Vec<Capture> {
    let read = |name: &str, part: &str| fs::read(folder().join(format!("{name}-{part}.bin")));
    let mut names: Vec<String> = fs::read_dir(folder())
        .unwrap()
        .filter_map(|entry| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            Some(name.strip_suffix("-session.bin")?.to_owned())
        })
        .collect();
    names.sort();
    assert!(names.len() >= 18, "captures are missing: {names:?}");
    names
        .into_iter()
        .map(|name| Capture {
            info: read(&name, "info").unwrap(),
            session: read(&name, "session").unwrap(),
            name,
        })
        .collect()
}

/// All of a conversation, fed in these pieces, each decoded as it arrives.
fn decoded<'a>(purpose: Purpose, pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Item> {
    let mut conversation = Conversation::new(purpose);
    let mut items = Vec::new();
    for piece in pieces {
        items.extend(conversation.feed(piece));
    }
    assert!(!conversation.is_inside_message(), "the capture was cut");
    items
}

#[test]
fn each_capture_decodes_to_its_text() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    for capture in captures() {
        let mut text = String::new();
        for (purpose, bytes) in capture.parts() {
            golden::render(&mut text, purpose, &decoded(purpose, [bytes]));
        }
        let path = folder().join(format!("{}.txt", capture.name));
        if update {
            fs::write(&path, &text).unwrap();
        }
        let expected = fs::read_to_string(&path).unwrap();
        for (number, (got, expected)) in text.lines().zip(expected.lines()).enumerate() {
            assert_eq!(got, expected, "{}.txt, line {}", capture.name, number + 1);
        }
        assert_eq!(text.lines().count(), expected.lines().count());
    }
}

#[test]
fn no_capture_shows_this_machine() {
    for capture in captures() {
        for item in decoded(Purpose::Session, [&capture.session[..]]) {
            if let Item::Event(Event::ModuleLoaded { file, .. }) = item {
                let is_ours = file.bytes().starts_with(b"/tmp/ptvsd-capture/");
                assert!(is_ours, "{} lists {file}", capture.name);
            }
        }
        let text = fs::read_to_string(folder().join(format!("{}.txt", capture.name))).unwrap();
        for path in text.split(|c: char| c.is_whitespace() || "'\"<>(),".contains(c)) {
            assert!(
                !path.starts_with('/')
                    || path.starts_with("/tmp/ptvsd-capture/")
                    || path == "/usr/bin/python",
                "{}.txt shows {path}",
                capture.name
            );
        }
    }
}

#[test]
fn a_capture_that_arrives_byte_by_byte_decodes_the_same() {
    for capture in captures() {
        for (purpose, bytes) in capture.parts() {
            assert!(
                decoded(purpose, bytes.chunks(1)) == decoded(purpose, [bytes]),
                "{}",
                capture.name
            );
        }
    }
}

#[test]
fn a_capture_in_pieces_of_any_size_decodes_the_same() {
    for capture in captures() {
        for (purpose, bytes) in capture.parts() {
            let whole = decoded(purpose, [bytes]);
            for size in [2, 3, 7, 8, 13, 100, 1460, 4096] {
                assert!(
                    decoded(purpose, bytes.chunks(size)) == whole,
                    "{} in pieces of {size}",
                    capture.name
                );
            }
        }
    }
}

/// A whole conversation cut in two, at every point of its handshake (and of
/// all of it where it is short), and here and there further on.
#[test]
fn a_capture_cut_in_two_decodes_the_same() {
    const EVERY_POINT: usize = 700;
    const STRIDE: usize = 499;
    for capture in captures() {
        for (purpose, bytes) in capture.parts() {
            let whole = decoded(purpose, [bytes]);
            let near = 0..bytes.len().min(EVERY_POINT);
            let far = (near.end..bytes.len()).step_by(STRIDE);
            // The handshake's cuts need not be followed through the session.
            let end = ends(purpose, bytes)
                .into_iter()
                .find(|end| *end >= near.end)
                .unwrap_or(bytes.len());
            let begin = decoded(purpose, [&bytes[..end]]);
            for at in near {
                let cut = decoded(purpose, [&bytes[..at], &bytes[at..end]]);
                assert!(cut == begin, "{} cut at {at}", capture.name);
            }
            for at in far {
                let cut = decoded(purpose, [&bytes[..at], &bytes[at..]]);
                assert!(cut == whole, "{} cut at {at}", capture.name);
            }
        }
    }
}

/// Every point of every session. A decoder that has just given an event holds
/// nothing (the byte-by-byte test has that), so each event is cut by itself;
/// and once, as servers repeat the frames with each answer.
#[test]
fn an_event_cut_in_two_anywhere_decodes_the_same() {
    for capture in captures() {
        let mut seen = Vec::new();
        each_event(&capture, |dialect, bytes, event| {
            if seen.contains(event) {
                return;
            }
            seen.push(event.clone());
            for at in 1..bytes.len() {
                let mut decoder = EventDecoder::new(dialect);
                decoder.feed(&bytes[..at]);
                assert_eq!(decoder.next(), Ok(None), "{} at {at}", capture.name);
                assert!(decoder.is_inside_message());
                decoder.feed(&bytes[at..]);
                let whole = decoder.next().unwrap();
                assert!(
                    whole.as_ref() == Some(event),
                    "{} at {at}: {whole:?}",
                    capture.name
                );
                assert!(!decoder.is_inside_message());
            }
        });
    }
}

/// A simulated server that is built on the encoder is as good as a real one:
/// each event, encoded again, gives the very bytes that the server sent, or
/// the same JSON.
#[test]
fn encoding_again_gives_what_the_server_sent() {
    for capture in captures() {
        each_event(&capture, |dialect, bytes, event| {
            let mut out = BytesMut::new();
            EventEncoder::new(dialect).encode(event, &mut out).unwrap();
            match dialect.family() {
                // Its keys are `str` on Python 2, which nobody needs to know.
                Family::Binary if bytes.starts_with(b"EXC2") => {
                    assert_eq!(out.len(), bytes.len(), "{}", capture.name);
                }
                Family::Binary => assert!(
                    *out == *bytes,
                    "{}: {event:?}\n{}\n{}",
                    capture.name,
                    out.escape_ascii(),
                    bytes.escape_ascii()
                ),
                Family::Json => {
                    assert_eq!(json(&out), json(bytes), "{}: {event:?}", capture.name);
                }
            }
        });
    }
}

/// The content of a JSON message, without the numbers that count messages.
fn json(message: &[u8]) -> serde_json::Value {
    let at = message
        .windows(4)
        .position(|end| end == b"\r\n\r\n")
        .unwrap();
    let mut content: serde_json::Value = serde_json::from_slice(&message[at + 4..]).unwrap();
    let fields = content.as_object_mut().unwrap();
    fields.remove("seq");
    if fields
        .get("command")
        .is_some_and(|name| name == "legacySetLineNumber")
    {
        fields.remove("request_seq");
    }
    content
}

/// Calls `with` for each event of the session, and the bytes it came in.
fn each_event(capture: &Capture, mut with: impl FnMut(Dialect, &[u8], &Event)) {
    let bytes = &capture.session;
    let mut from = 0;
    let mut dialect = None;
    let mut conversation = Conversation::new(Purpose::Session);
    for end in ends(Purpose::Session, bytes) {
        for item in conversation.feed(&bytes[from..end]) {
            if let Some(found) = item.dialect() {
                dialect = Some(found);
            }
            if let Item::Event(event) = item {
                with(dialect.unwrap(), &bytes[from..end], &event);
            }
        }
        from = end;
    }
    assert_eq!(from, bytes.len());
}

/// Where each message ends.
fn ends(purpose: Purpose, bytes: &[u8]) -> Vec<usize> {
    let mut conversation = Conversation::new(purpose);
    let mut ends = Vec::new();
    for (at, byte) in bytes.iter().enumerate() {
        match conversation.feed(&[*byte]).len() {
            0 => {}
            1 => ends.push(at + 1),
            many => panic!("{many} messages end at one byte"),
        }
    }
    ends
}
