//! Bytes that no server sends. A decoder gives an error or waits, without a
//! panic, without an end to come, and without more memory than the bytes that
//! it was given are worth; nor does it matter how the bytes were cut.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by a panic, and so may its helpers"
)]
#![allow(
    unsafe_code,
    reason = "an allocator that counts cannot be written without"
)]

mod generate;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use bytes::BytesMut;
use generate::{cut, dialect, points};
use proptest::collection::vec;
use proptest::prelude::*;
use ptvsd_wire::handshake::{HandshakeDecoder, Request};
use ptvsd_wire::{
    CommandDecoder, CommandEncoder, Dialect, EventDecoder, EventEncoder, Family, MAX_HEADER,
    MAX_MESSAGE, WireError,
};

// Memory, counted.

/// Counts for each thread by itself, as tests run beside each other.
struct Counting;

thread_local! {
    static HELD: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

fn taken(size: usize) {
    let held = HELD.get().saturating_add(size);
    HELD.set(held);
    PEAK.set(PEAK.get().max(held));
}

fn given_back(size: usize) {
    // What another thread took may be given back here.
    HELD.set(HELD.get().saturating_sub(size));
}

// SAFETY: every call is passed on unchanged to the system's allocator; the
// counters are of constant initial value and so allocate nothing themselves.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        taken(layout.size());
        // SAFETY: the caller's promises are those that are asked for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        given_back(layout.size());
        // SAFETY: the same.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Old and new exist beside each other for a moment.
        taken(size);
        given_back(layout.size());
        // SAFETY: the same.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How much more memory than before was held at some time during `run`.
fn peak_of<T>(run: impl FnOnce() -> T) -> (T, usize) {
    let before = HELD.get();
    PEAK.set(before);
    let result = run();
    (result, PEAK.get() - before)
}

/// What decoding `fed` bytes may hold. A decoded string is a box and so larger
/// than its few bytes on the wire, lists and buffers grow by doubling, and a
/// field that is shown in an error is escaped.
fn allowance(fed: usize) -> usize {
    16 * 1024 + 32 * fed
}

// Decoders, as one.

/// Anything that takes bytes and gives messages.
trait Decoder {
    fn feed(&mut self, bytes: &[u8]);
    /// Whether there was a message.
    fn step(&mut self) -> Result<bool, WireError>;
}

impl Decoder for EventDecoder {
    fn feed(&mut self, bytes: &[u8]) {
        EventDecoder::feed(self, bytes);
    }

    fn step(&mut self) -> Result<bool, WireError> {
        self.next().map(|message| message.is_some())
    }
}

impl Decoder for CommandDecoder {
    fn feed(&mut self, bytes: &[u8]) {
        CommandDecoder::feed(self, bytes);
    }

    fn step(&mut self) -> Result<bool, WireError> {
        self.next().map(|message| message.is_some())
    }
}

impl<T> Decoder for HandshakeDecoder<T> {
    fn feed(&mut self, bytes: &[u8]) {
        HandshakeDecoder::feed(self, bytes);
    }

    fn step(&mut self) -> Result<bool, WireError> {
        self.next().map(|message| message.is_some())
    }
}

/// Every decoder that bytes of this dialect may reach.
fn decoders(dialect: Dialect) -> Vec<Box<dyn Decoder>> {
    let attach = Request::Attach {
        options: String::new(),
    };
    let secret = Request::Authenticate { secret: "".into() };
    vec![
        Box::new(EventDecoder::new(dialect)),
        Box::new(CommandDecoder::new(dialect)),
        Box::new(HandshakeDecoder::hello()),
        Box::new(HandshakeDecoder::reply(dialect, &secret)),
        Box::new(HandshakeDecoder::reply(dialect, &Request::Info)),
        Box::new(HandshakeDecoder::reply(dialect, &attach)),
    ]
}

/// What came of some bytes.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    messages: usize,
    error: Option<WireError>,
}

/// Feeds the pieces, and takes messages until there are none. Each takes a
/// byte at least, so more than there are bytes means that it would not end.
fn run(decoder: &mut dyn Decoder, pieces: &[&[u8]]) -> Outcome {
    let mut fed = 0;
    let mut messages = 0;
    for piece in pieces {
        decoder.feed(piece);
        fed += piece.len();
        loop {
            match decoder.step() {
                Ok(false) => break,
                Ok(true) => messages += 1,
                Err(error) => {
                    // It stays so, whatever follows.
                    decoder.feed(b"more");
                    assert_eq!(decoder.step(), Err(error.clone()));
                    return Outcome {
                        messages,
                        error: Some(error),
                    };
                }
            }
            assert!(messages <= fed, "{messages} messages of {fed} bytes");
        }
    }
    Outcome {
        messages,
        error: None,
    }
}

/// Runs the bytes through every decoder, in pieces and whole.
fn withstand(dialect: Dialect, bytes: &[u8], points: &[usize]) {
    let pieces = cut(bytes, points);
    for (mut whole, mut cut) in decoders(dialect).into_iter().zip(decoders(dialect)) {
        let (at_once, peak) = peak_of(|| run(&mut *whole, &[bytes]));
        assert!(
            peak <= allowance(bytes.len()),
            "{peak} bytes of memory for {} bytes: {at_once:?}",
            bytes.len()
        );
        assert_eq!(run(&mut *cut, &pieces), at_once);
    }
}

// Garbage.

const NAMES: [&str; 38] = [
    "NEWT", "EXTT", "MODL", "LOAD", "STPD", "ASBR", "BRKS", "BRKF", "BRKH", "BKHC", "EXCP", "EXC2",
    "THRF", "EXCR", "EXCE", "CHLD", "OUTP", "REQH", "SETL", "DETC", "LAST", "ACPT", "RJCT", "stpi",
    "brkp", "bkda", "brkr", "bkdr", "brkc", "bkpc", "bksh", "bkgh", "exec", "chld", "setl", "sexi",
    "sehi", "PTVSDBG",
];

/// Pieces that decoders look at, in an order that makes no sense: names,
/// plausible and impossible numbers, headers, halves of JSON.
fn nonsense() -> impl Strategy<Value = Vec<u8>> {
    let number = prop_oneof![
        0..4_i64,
        any::<i64>(),
        Just(i64::MAX),
        Just(i64::MIN),
        Just(-1),
        Just(i64::try_from(MAX_MESSAGE).unwrap()),
    ];
    let piece = prop_oneof![
        prop::sample::select(NAMES.to_vec()).prop_map(|name| name.as_bytes().to_vec()),
        number
            .clone()
            .prop_map(|number| number.to_be_bytes().to_vec()),
        prop::sample::select(b"NAU".to_vec()).prop_map(|tag| vec![tag]),
        number.prop_map(|number| format!("Content-Length: {number}\r\n\r\n").into_bytes()),
        prop::sample::select(vec![
            "\r\n",
            ":",
            "Content-",
            "{\"type\":\"event\"",
            "[[[[",
            "}"
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        vec(any::<u8>(), 0..20),
    ];
    vec(piece, 0..30).prop_map(|pieces| pieces.concat())
}

/// A stream of messages with some of its bytes changed.
fn damaged() -> impl Strategy<Value = (Dialect, Vec<u8>)> {
    let stream = dialect().prop_flat_map(|dialect| {
        let events = vec(generate::event(dialect), 1..4);
        let commands = vec(generate::command(dialect), 1..4);
        (events, commands, any::<bool>()).prop_map(move |(events, commands, by_server)| {
            let mut out = BytesMut::new();
            if by_server {
                let mut encoder = EventEncoder::new(dialect);
                for event in &events {
                    encoder.encode(event, &mut out).unwrap();
                }
            } else {
                let mut encoder = CommandEncoder::new(dialect, 0);
                for command in &commands {
                    encoder.encode(command, &mut out).unwrap();
                }
            }
            (dialect, out.to_vec())
        })
    });
    let damage = vec((any::<usize>(), any::<u8>()), 1..5);
    (stream, damage).prop_map(|((dialect, mut bytes), damage)| {
        for (at, byte) in damage {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        (dialect, bytes)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn noise_is_withstood(
        dialect in dialect(),
        bytes in vec(any::<u8>(), 0..400),
        points in points(),
    ) {
        withstand(dialect, &bytes, &points);
    }

    #[test]
    fn nonsense_is_withstood(dialect in dialect(), bytes in nonsense(), points in points()) {
        withstand(dialect, &bytes, &points);
    }

    #[test]
    fn damage_is_withstood((dialect, bytes) in damaged(), points in points()) {
        withstand(dialect, &bytes, &points);
    }

    /// As it is when client and server do not mean the same dialect.
    #[test]
    fn another_dialect_is_withstood(
        (_, bytes) in damaged(),
        dialect in dialect(),
        points in points(),
    ) {
        withstand(dialect, &bytes, &points);
    }
}

// Lengths that are announced and never come.

fn binary_dialects() -> impl Iterator<Item = Dialect> {
    let all = Dialect::ALL.into_iter();
    all.filter(|dialect| dialect.family() == Family::Binary)
}

fn number(number: usize) -> [u8; 8] {
    i64::try_from(number).unwrap().to_be_bytes()
}

/// What a decoder says to these bytes, and the memory that it took.
fn event_after(dialect: Dialect, bytes: &[u8]) -> (Result<bool, WireError>, usize) {
    peak_of(|| {
        let mut decoder = EventDecoder::new(dialect);
        decoder.feed(bytes);
        decoder.step()
    })
}

const LITTLE: usize = 8 * 1024;

#[test]
fn a_string_that_never_comes_takes_no_memory() {
    // The length is the last field of each.
    let beginnings: [&[u8]; 3] = [b"REQHU", b"REQHA", b"OUTP\0\0\0\0\0\0\0\x01A"];
    for dialect in binary_dialects() {
        for beginning in beginnings {
            for (length, expected) in [
                (MAX_MESSAGE - 100, Ok(false)),
                (MAX_MESSAGE, Err(WireError::TooLong { limit: MAX_MESSAGE })),
                (1 << 62, Err(WireError::TooLong { limit: MAX_MESSAGE })),
            ] {
                let bytes = [beginning, &number(length)].concat();
                let (result, peak) = event_after(dialect, &bytes);
                assert_eq!(result, expected, "{}", bytes.escape_ascii());
                assert!(peak < LITTLE, "{peak}");
            }
            let bytes = [beginning, &(-1_i64).to_be_bytes()].concat();
            let (result, _) = event_after(dialect, &bytes);
            assert!(
                matches!(result, Err(WireError::BadField { .. })),
                "{result:?}"
            );
        }
    }
}

#[test]
fn a_list_that_never_comes_takes_no_memory() {
    // A number of frames, of children, of fields: the last number of each.
    let beginnings: [&[u8]; 2] = [b"THRF\0\0\0\0\0\0\0\x01N", b"CHLD\0\0\0\0\0\0\0\x01"];
    for dialect in binary_dialects() {
        for beginning in beginnings {
            for (count, expected) in [
                (MAX_MESSAGE, Ok(false)),
                (
                    MAX_MESSAGE + 1,
                    Err(WireError::TooLong { limit: MAX_MESSAGE }),
                ),
            ] {
                let bytes = [beginning, &number(count)].concat();
                let (result, peak) = event_after(dialect, &bytes);
                assert_eq!(result, expected, "{}", bytes.escape_ascii());
                assert!(peak < LITTLE, "{peak}");
            }
        }
    }
}

#[test]
fn json_that_never_comes_takes_no_memory() {
    for dialect in [Dialect::V7, Dialect::V8] {
        for (length, expected) in [
            (MAX_MESSAGE.to_string(), Ok(false)),
            (
                (MAX_MESSAGE + 1).to_string(),
                Err(WireError::TooLong { limit: MAX_MESSAGE }),
            ),
        ] {
            let header = format!("Content-Length: {length}\r\n\r\n{{");
            let (result, peak) = event_after(dialect, header.as_bytes());
            assert_eq!(result, expected, "{header}");
            assert!(peak < LITTLE, "{peak}");
        }
        for header in [
            "Content-Length: -1\r\n\r\n",
            "Content-Length: 1e3\r\n\r\n",
            "Content-Length: 99999999999999999999999\r\n\r\n",
            "Content-Length 5\r\n\r\n",
            "Content-Type: 5\r\n\r\n",
            "\r\n\r\n",
        ] {
            let (result, _) = event_after(dialect, header.as_bytes());
            assert!(
                matches!(result, Err(WireError::BadField { .. })),
                "{header:?}: {result:?}"
            );
        }
    }
}

#[test]
fn json_that_is_nested_without_end_is_an_error() {
    let deep = format!(
        r#"{{"type":"event","event":"legacyThreadFrameList","body":{}"#,
        "[".repeat(100_000)
    );
    let (result, _) = event_after(
        Dialect::V8,
        format!("Content-Length: {}\r\n\r\n{deep}", deep.len()).as_bytes(),
    );
    assert!(matches!(result, Err(WireError::BadJson(_))), "{result:?}");
}

// The header block of a JSON message.

/// What comes of a message whose header block has this length, in pieces.
fn with_header_of(length: usize, piece: usize) -> Outcome {
    let begin = "Content-Length: 0\r\nPadding: ";
    let header = format!("{begin}{}\r\n\r\n", "x".repeat(length - begin.len()));
    let pieces: Vec<&[u8]> = header.as_bytes().chunks(piece).collect();
    run(&mut EventDecoder::new(Dialect::V8), &pieces)
}

#[test]
fn a_header_block_is_limited_however_it_is_cut() {
    for piece in [1, 7, 1000, 10_000] {
        // Long enough to be read; its empty content is the next error.
        let read = with_header_of(MAX_HEADER, piece);
        assert!(
            matches!(read.error, Some(WireError::BadJson(_))),
            "{read:?}"
        );
        for length in [MAX_HEADER + 1, MAX_HEADER + 4, 2 * MAX_HEADER] {
            assert_eq!(
                with_header_of(length, piece).error,
                Some(WireError::TooLong { limit: MAX_HEADER }),
                "{length} in pieces of {piece}"
            );
        }
    }
}

#[test]
fn a_header_block_without_end_is_given_up() {
    for piece in [1, 100, 10_000] {
        let endless = vec![b'x'; 3 * MAX_HEADER];
        let pieces: Vec<&[u8]> = endless.chunks(piece).collect();
        assert_eq!(
            run(&mut EventDecoder::new(Dialect::V7), &pieces).error,
            Some(WireError::TooLong { limit: MAX_HEADER })
        );
    }
}

// Time.

/// A frame list of megabytes in small pieces is read once. Read again with
/// each piece it would be some 40 GB, and this test would not end.
#[test]
fn a_long_message_in_small_pieces_is_read_once() {
    let mut message = b"THRF\0\0\0\0\0\0\0\x01N".to_vec();
    message.extend(number(1));
    message.extend([0; 24]);
    message.extend(b"NN");
    message.extend([0; 16]);
    const VARIABLES: usize = 20_000;
    message.extend(number(VARIABLES));
    for _ in 0..VARIABLES {
        message.extend(b"A\0\0\0\0\0\0\0\x04name");
        message.extend(b"A\0\0\0\0\0\0\0\x40");
        message.extend([b'x'; 0x40]);
        message.extend(b"NN");
        message.extend([0; 16]);
    }
    let mut decoder = EventDecoder::new(Dialect::V6);
    let (outcome, peak) = peak_of(|| {
        let pieces: Vec<&[u8]> = message.chunks(64).collect();
        run(&mut decoder, &pieces)
    });
    assert_eq!(outcome.messages, 1);
    // Nor is it kept beside what was made of it.
    assert!(peak < 8 * message.len(), "{peak} for {}", message.len());
}
