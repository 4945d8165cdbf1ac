//! Framing: from bytes to JSON values and back.
//!
//! A message is a block of header lines, an empty line, and a body of as many
//! bytes as the header `Content-Length` says. Whatever breaks that is reported
//! once and skipped up to the next `Content-Length` line.
//!
//! Such a line ends in a raw line break, and its name is no JSON; so it cannot
//! be part of a valid body. This is what makes it safe to look for one inside
//! of what should have been a body, and it is why a wrong length does not cost
//! the message behind it.

use std::io;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde_json::Value;
use tokio_util::codec::Decoder;

use crate::envelope::BadMessage;

/// The longest body that is read: 64 MiB. A longer one is skipped unstored.
pub const MAX_BODY_BYTES: usize = 64 * 1024 * 1024;

/// A header line without an end in this many bytes is garbage.
const MAX_LINE_BYTES: usize = 8 * 1024;

/// How much of a line is looked at for a `Content-Length` at its end; enough
/// for the name, the digits of any length, and generous spaces.
const LENGTH_LINE_BYTES: usize = 64;

const CONTENT_LENGTH: &[u8] = b"content-length";

/// Reads messages; bad ones are items, so that they end nothing.
#[derive(Debug)]
pub(crate) struct Framing {
    state: State,
    /// Bytes at the start of the buffer that hold no complete header line.
    searched: usize,
    max_body: usize,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// In a block of header lines.
    Headers { length: Option<usize>, lines: usize },
    /// In a body of this many bytes.
    Body(usize),
    /// Among garbage that is already reported, on the way to the next `Content-Length`.
    Lost,
}

const BETWEEN_MESSAGES: State = State::Headers {
    length: None,
    lines: 0,
};

/// What reading gives: a JSON value, or a report of what was not one.
pub(crate) type Frame = Result<Value, BadMessage>;

impl Default for Framing {
    fn default() -> Self {
        Self::with_max_body(MAX_BODY_BYTES)
    }
}

impl Framing {
    pub(crate) fn with_max_body(max_body: usize) -> Self {
        Self {
            state: BETWEEN_MESSAGES,
            searched: 0,
            max_body,
        }
    }

    /// True where the stream may end without anything being cut off.
    fn between_messages(&self, buffer: &[u8]) -> bool {
        match self.state {
            State::Headers { lines, .. } => lines == 0 && buffer.trim_ascii().is_empty(),
            State::Body(_) => false,
            State::Lost => true,
        }
    }

    fn enter(&mut self, state: State) {
        self.state = state;
        self.searched = 0;
    }

    fn lose(&mut self, reason: impl Into<String>) -> Frame {
        self.enter(State::Lost);
        Err(BadMessage::unreadable(reason))
    }

    /// Consumes one header line. `None` when it takes more bytes to go on;
    /// `Some(None)` when the line was fine.
    fn header_line(&mut self, buffer: &mut BytesMut) -> Option<Option<Frame>> {
        let State::Headers { length, lines } = self.state else {
            return Some(None);
        };
        let Some(end) = newline(buffer, self.searched) else {
            if buffer.len() > MAX_LINE_BYTES {
                return Some(Some(self.lose("a header line without an end")));
            }
            self.searched = buffer.len();
            return None;
        };
        self.searched = 0;
        let line = buffer.split_to(end);
        buffer.advance(1);
        Some(match Line::read(&line) {
            // Some peers put line breaks between messages.
            Line::Blank if lines == 0 => None,
            Line::Blank => match length {
                Some(length) => {
                    self.enter(State::Body(length));
                    None
                }
                None => Some(self.lose("a header without Content-Length")),
            },
            Line::Length(length) if length <= self.max_body => {
                self.expect(length, lines);
                None
            }
            Line::Length(length) => Some(self.lose(format!(
                "a message of {length} bytes, more than the {} allowed",
                self.max_body
            ))),
            // Its length can be trusted as far as that of any message.
            Line::GarbageThenLength(length) if length <= self.max_body => {
                self.expect(length, 0);
                Some(Err(BadMessage::unreadable("garbage before a header")))
            }
            Line::BadLength => Some(self.lose("a Content-Length that is no number")),
            Line::Other => {
                self.state = State::Headers {
                    length,
                    lines: lines.saturating_add(1),
                };
                None
            }
            Line::GarbageThenLength(_) | Line::Garbage => {
                Some(self.lose("garbage where a header should be"))
            }
        })
    }

    fn expect(&mut self, length: usize, lines: usize) {
        self.enter(State::Headers {
            length: Some(length),
            lines: lines.saturating_add(1),
        });
    }

    /// Reads a body of `length` bytes; `None` when it takes more bytes to go on.
    fn body(&mut self, buffer: &mut BytesMut, length: usize) -> Option<Frame> {
        let Some(body) = buffer.get(..length) else {
            let found = self.find_length_line(buffer)?;
            // The next message's header, where there should still be a body.
            buffer.advance(found);
            self.enter(BETWEEN_MESSAGES);
            return Some(Err(BadMessage::unreadable(
                "a body shorter than its Content-Length",
            )));
        };
        match parse(body) {
            Ok(value) => {
                buffer.advance(length);
                self.enter(BETWEEN_MESSAGES);
                Some(Ok(value))
            }
            // Nothing is consumed: had the length been wrong, the next
            // message's header may begin in here.
            Err(reason) => Some(self.lose(reason)),
        }
    }

    /// Skips garbage; true when it ended.
    fn skip(&mut self, buffer: &mut BytesMut) -> bool {
        if let Some(found) = self.find_length_line(buffer) {
            buffer.advance(found);
            self.enter(BETWEEN_MESSAGES);
            return true;
        }
        // A line that is not complete yet may turn out to be the one.
        buffer.advance(buffer.len().saturating_sub(LENGTH_LINE_BYTES));
        self.searched = buffer.len();
        false
    }

    /// Where the next usable `Content-Length` line begins.
    fn find_length_line(&mut self, buffer: &[u8]) -> Option<usize> {
        let mut from = self.searched;
        while let Some(end) = newline(buffer, from) {
            let begin = end.saturating_sub(LENGTH_LINE_BYTES);
            if let Some((at, length)) = buffer.get(begin..end).and_then(length_at_end)
                && length <= self.max_body
            {
                return Some(begin.saturating_add(at));
            }
            from = end.saturating_add(1);
        }
        self.searched = buffer.len();
        None
    }
}

impl Decoder for Framing {
    type Item = Frame;
    type Error = io::Error;

    fn decode(&mut self, buffer: &mut BytesMut) -> io::Result<Option<Frame>> {
        loop {
            match self.state {
                State::Headers { .. } => match self.header_line(buffer) {
                    None => return Ok(None),
                    Some(None) => {}
                    Some(Some(frame)) => return Ok(Some(frame)),
                },
                State::Body(length) => return Ok(self.body(buffer, length)),
                State::Lost => {
                    if !self.skip(buffer) {
                        return Ok(None);
                    }
                }
            }
        }
    }

    fn decode_eof(&mut self, buffer: &mut BytesMut) -> io::Result<Option<Frame>> {
        if let Some(frame) = self.decode(buffer)? {
            return Ok(Some(frame));
        }
        if self.between_messages(buffer) {
            tracing::debug!("the editor closed its side");
        } else {
            tracing::debug!(
                bytes = buffer.len(),
                "the editor's stream was cut inside a message"
            );
        }
        buffer.clear();
        self.enter(BETWEEN_MESSAGES);
        Ok(None)
    }
}

/// Writes a message's header and body as one piece.
pub(crate) fn frame(body: &[u8]) -> Bytes {
    frame_parts(&[body])
}

/// The same, of a body in parts.
pub(crate) fn frame_parts(body: &[&[u8]]) -> Bytes {
    let length: usize = body.iter().map(|part| part.len()).sum();
    let header = format!("Content-Length: {length}\r\n\r\n");
    let mut message = BytesMut::with_capacity(header.len().saturating_add(length));
    message.put_slice(header.as_bytes());
    for part in body {
        message.put_slice(part);
    }
    message.freeze()
}

fn parse(body: &[u8]) -> Result<Value, String> {
    let text = std::str::from_utf8(body).map_err(|_| "a body that is not UTF-8".to_owned())?;
    serde_json::from_str(text).map_err(|error| format!("a body that is not JSON: {error}"))
}

fn newline(buffer: &[u8], from: usize) -> Option<usize> {
    let tail = buffer.get(from..)?;
    let at = tail.iter().position(|byte| *byte == b'\n')?;
    from.checked_add(at)
}

/// What a line of a header block says.
enum Line {
    Blank,
    Length(usize),
    /// A `Content-Length` that nobody can use.
    BadLength,
    /// Rubbish that has no line break of its own, with a good header behind it.
    GarbageThenLength(usize),
    /// Any other header; they mean nothing to us.
    Other,
    Garbage,
}

impl Line {
    fn read(line: &[u8]) -> Self {
        let line = line.trim_ascii();
        if line.is_empty() {
            return Self::Blank;
        }
        let at_end = length_at_end(line);
        if let Some((0, length)) = at_end {
            return Self::Length(length);
        }
        if let Some((_, length)) = at_end {
            return Self::GarbageThenLength(length);
        }
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        if name.len() == line.len() {
            return Self::Garbage;
        }
        let name = name.trim_ascii();
        if name.eq_ignore_ascii_case(CONTENT_LENGTH) {
            return Self::BadLength;
        }
        let token = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
        if !name.is_empty() && name.iter().all(token) {
            Self::Other
        } else {
            Self::Garbage
        }
    }
}

/// The `Content-Length: 123` at the end of `line`: where it begins and what it says.
fn length_at_end(line: &[u8]) -> Option<(usize, usize)> {
    let line = line.trim_ascii_end();
    let not_digit = line.iter().rposition(|byte| !byte.is_ascii_digit())?;
    let (before, digits) = line.split_at_checked(not_digit.checked_add(1)?)?;
    let length = std::str::from_utf8(digits).ok()?.parse().ok()?;
    let name = before.trim_ascii_end().strip_suffix(b":")?.trim_ascii_end();
    let at = name.len().checked_sub(CONTENT_LENGTH.len())?;
    let ours = name.get(at..)?.eq_ignore_ascii_case(CONTENT_LENGTH);
    ours.then_some((at, length))
}

#[cfg(test)]
#[path = "framing_tests.rs"]
mod tests;
