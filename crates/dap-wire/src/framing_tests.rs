//! The framing, byte by byte. What a test reads is written as `ok`, the value
//! that came, or `bad`, the report.

use bytes::BytesMut;
use serde_json::{Value, json};
use tokio_util::codec::Decoder;

use super::{Frame, Framing, MAX_LINE_BYTES, frame};

fn drain(framing: &mut Framing, buffer: &mut BytesMut, into: &mut Vec<Frame>) {
    while let Some(item) = framing.decode(buffer).unwrap() {
        into.push(item);
    }
}

fn read_in_chunks<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<Frame> {
    let mut framing = Framing::with_max_body(10_000);
    let mut buffer = BytesMut::new();
    let mut read = Vec::new();
    for chunk in chunks {
        buffer.extend_from_slice(chunk);
        drain(&mut framing, &mut buffer, &mut read);
    }
    while let Some(item) = framing.decode_eof(&mut buffer).unwrap() {
        read.push(item);
    }
    read
}

fn read(bytes: &[u8]) -> Vec<Frame> {
    read_in_chunks([bytes])
}

fn good(frames: &[Frame]) -> Vec<Value> {
    frames.iter().filter_map(|f| f.clone().ok()).collect()
}

fn reasons(frames: &[Frame]) -> Vec<String> {
    let bad = frames.iter().filter_map(|f| f.clone().err());
    bad.map(|b| b.reason).collect()
}

fn message(n: i64) -> Vec<u8> {
    frame(json!({"n": n, "text": "grün 🐍\n"}).to_string().as_bytes()).to_vec()
}

fn value(n: i64) -> Value {
    json!({"n": n, "text": "grün 🐍\n"})
}

/// `before` costs one report, and the message behind it is read.
#[track_caller]
fn recovers(before: impl AsRef<[u8]>, reason: &str) {
    let stream = [before.as_ref(), &message(1), &message(2)].concat();
    for read in [read(&stream), read_in_chunks(stream.chunks(1))] {
        assert_eq!(good(&read), [value(1), value(2)], "{read:?}");
        let reasons = reasons(&read);
        assert_eq!(reasons.len(), 1, "{reasons:?}");
        assert!(reasons[0].contains(reason), "{reasons:?}");
    }
}

/// `stream` is one message, without complaint.
#[track_caller]
fn accepts(stream: &str) {
    assert_eq!(read(stream.as_bytes()), [Ok(json!({"a": 1}))], "{stream:?}");
}

#[test]
fn every_way_to_cut_a_stream_in_two_reads_the_same() {
    let stream = [message(1), message(2), message(3)].concat();
    for cut in 0..=stream.len() {
        let (first, second) = stream.split_at(cut);
        let read = read_in_chunks([first, second]);
        assert_eq!(
            read,
            [Ok(value(1)), Ok(value(2)), Ok(value(3))],
            "cut at {cut}"
        );
    }
    assert_eq!(good(&read_in_chunks(stream.chunks(1))).len(), 3);
}

#[test]
fn headers_as_people_write_them() {
    accepts("Content-Length: 7\r\n\r\n{\"a\":1}");
    accepts("content-length:7\r\n\r\n{\"a\":1}");
    accepts("CONTENT-LENGTH \t:  7  \r\n\r\n{\"a\":1}");
    accepts("Content-Length: 7\n\n{\"a\":1}");
    accepts("Content-Length: 007\r\n\r\n{\"a\":1}");
    accepts(
        "Content-Type: application/vscode-jsonrpc; charset=utf-8\r\nContent-Length: 7\r\n\r\n{\"a\":1}",
    );
    accepts("Content-Length: 7\r\nContent-Type: x\r\n\r\n{\"a\":1}");
    accepts("Content-Length: 9\r\n\r\n{\"a\":1}\r\n");
    accepts("\r\n\r\nContent-Length: 7\r\n\r\n{\"a\":1}\r\n");
}

#[test]
fn bad_bodies() {
    recovers("Content-Length: 7\r\n\r\n{\"a\":1]", "not JSON");
    recovers("Content-Length: 0\r\n\r\n", "not JSON");
    recovers(b"Content-Length: 7\r\n\r\n{\"\xff\":1}", "not UTF-8");
    recovers(
        format!("Content-Length: 400\r\n\r\n{}", "[".repeat(400)),
        "not JSON",
    );
}

#[test]
fn bad_headers() {
    recovers("Content-Length: seven\r\n\r\n{\"a\":1}", "no number");
    recovers("Content-Length: -7\r\n\r\n{\"a\":1}", "no number");
    recovers("Content-Length:\r\n\r\n{\"a\":1}", "no number");
    recovers(
        "Content-Length: 99999999999999999999999\r\n\r\n{\"a\":1}",
        "no number",
    );
    recovers("Content-Type: x\r\n\r\n{\"a\":1}", "without Content-Length");
    recovers("{\"a\":1}", "garbage");
    recovers(
        "Traceback (most recent call last):\r\n\r\n  File x\n",
        "garbage",
    );
    recovers("x".repeat(3 * MAX_LINE_BYTES), "header");
    recovers(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "garbage");
}

#[test]
fn a_long_line_is_given_up_before_it_ends() {
    let mut framing = Framing::default();
    let mut buffer = BytesMut::from("x".repeat(MAX_LINE_BYTES + 1).as_bytes());
    framing.decode(&mut buffer).unwrap().unwrap().unwrap_err();
    assert!(framing.decode(&mut buffer).unwrap().is_none());
    assert!(buffer.len() < 100);
}

#[test]
fn wrong_lengths_do_not_cost_the_next_message() {
    recovers("Content-Length: 9000\r\n\r\n{\"a\":1}", "shorter");
    // Too long by less than the next message has, so that it begins inside.
    for length in 8..60 {
        recovers(format!("Content-Length: {length}\r\n\r\n{{\"a\":1}}"), "");
    }
    recovers("Content-Length: 3\r\n\r\n{\"a\":1}", "not JSON");
}

#[test]
fn an_oversized_body_is_skipped_unstored() {
    let mut framing = Framing::with_max_body(1000);
    let mut buffer = BytesMut::new();
    let mut read = Vec::new();
    buffer.extend_from_slice(b"Content-Length: 1000000\r\n\r\n");
    for _ in 0..1000 {
        buffer.extend_from_slice(&[b'x'; 1000]);
        drain(&mut framing, &mut buffer, &mut read);
        assert!(buffer.len() < 100);
    }
    buffer.extend_from_slice(&message(1));
    drain(&mut framing, &mut buffer, &mut read);
    assert_eq!(good(&read), [value(1)]);
    assert!(reasons(&read)[0].contains("1000000 bytes"));
    assert!(buffer.capacity() < 100_000);
}

#[test]
fn a_promised_length_allocates_nothing() {
    let mut framing = Framing::default();
    let mut buffer = BytesMut::from(&b"Content-Length: 60000000\r\n\r\n{"[..]);
    assert!(framing.decode(&mut buffer).unwrap().is_none());
    assert!(buffer.capacity() < 1000);
}

#[test]
fn a_clean_end_and_a_cut_are_told_apart() {
    let all = message(1);
    for cut in 0..=all.len() {
        let mut framing = Framing::default();
        let mut buffer = BytesMut::from(&all[..cut]);
        while framing.decode(&mut buffer).unwrap().is_some() {}
        let clean = cut == 0 || cut == all.len();
        assert_eq!(framing.between_messages(&buffer), clean, "cut at {cut}");
        assert!(framing.decode_eof(&mut buffer).unwrap().is_none());
    }
}

#[test]
fn what_is_written_is_exact() {
    assert_eq!(
        &frame("{\"ü\":1}".as_bytes())[..],
        "Content-Length: 8\r\n\r\n{\"ü\":1}".as_bytes()
    );
}

mod properties {
    use proptest::prelude::*;

    use super::super::*;
    use super::{good, read_in_chunks};

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            Just(Value::from("Content-Length: 12\r\n\r\n")),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(".{0,8}", inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    /// Random bytes, and pieces of the protocol in the wrong place.
    fn garbage() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            prop::collection::vec(any::<u8>(), 0..40),
            "[ -~\r\n]{0,40}".prop_map(String::into_bytes),
            (0_usize..20_000).prop_map(|n| format!("Content-Length: {n}\r\n").into_bytes()),
            (0_usize..300)
                .prop_map(|n| format!("Content-Length: {n}\r\n\r\n{{\"seq\":").into_bytes()),
            Just(b"\r\n".to_vec()),
            Just(b"Content-Len".to_vec()),
            Just(b"Content-Type: x\n".to_vec()),
        ];
        prop::collection::vec(piece, 0..5).prop_map(|pieces| pieces.concat())
    }

    fn in_chunks(stream: &[u8], sizes: &[usize]) -> Vec<Frame> {
        let mut rest = stream;
        let mut chunks = Vec::new();
        for size in sizes.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (chunk, behind) = rest.split_at(rest.len().min(*size));
            chunks.push(chunk);
            rest = behind;
        }
        read_in_chunks(chunks)
    }

    proptest! {
        #[test]
        fn any_messages_in_any_chunks_come_out_again(
            values in prop::collection::vec(json(), 0..6),
            sizes in prop::collection::vec(1_usize..50, 1..10),
        ) {
            let stream: Vec<u8> = values
                .iter()
                .flat_map(|value| frame(value.to_string().as_bytes()))
                .collect();
            let expected: Vec<Frame> = values.into_iter().map(Ok).collect();
            prop_assert_eq!(in_chunks(&stream, &sizes), expected);
        }

        #[test]
        fn garbage_never_costs_the_message_behind_it(
            garbage in garbage(),
            sizes in prop::collection::vec(1_usize..50, 1..10),
        ) {
            let wanted = serde_json::json!({"wanted": true});
            let mut stream = garbage;
            stream.extend_from_slice(&frame(wanted.to_string().as_bytes()));
            prop_assert_eq!(good(&in_chunks(&stream, &sizes)).pop(), Some(wanted));
        }
    }
}
