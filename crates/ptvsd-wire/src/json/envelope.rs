//! What every JSON message is wrapped in.

use std::fmt::Write;

use bytes::{BufMut, BytesMut};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::coroutine::Source;
use crate::limits::{MAX_HEADER, MAX_MESSAGE};
use crate::{PyText, WireError};

/// Any message, its content not looked at yet: that is decoded straight into
/// the type that the message's name asks for, whatever the order of the keys
/// (Jython's differs). Never through a general JSON value, which could not
/// hold the lone surrogates that Python's json module writes.
#[derive(Debug, Deserialize)]
pub(crate) struct Envelope {
    #[serde(rename = "type")]
    pub(crate) kind: MessageKind,
    #[serde(default)]
    pub(crate) seq: i64,
    #[serde(default)]
    pub(crate) event: PyText,
    #[serde(default)]
    pub(crate) command: PyText,
    #[serde(default)]
    pub(crate) request_seq: i64,
    #[serde(default)]
    pub(crate) success: bool,
    #[serde(default)]
    pub(crate) message: Option<PyText>,
    #[serde(default)]
    body: Option<Box<RawValue>>,
    #[serde(default)]
    arguments: Option<Box<RawValue>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum MessageKind {
    Request,
    Response,
    Event,
}

impl Envelope {
    /// The content of an event or a response.
    pub(crate) fn body<T: DeserializeOwned>(&self) -> Result<T, WireError> {
        content(self.body.as_deref())
    }

    /// The content of a request.
    pub(crate) fn arguments<T: DeserializeOwned>(&self) -> Result<T, WireError> {
        content(self.arguments.as_deref())
    }
}

fn content<T: DeserializeOwned>(raw: Option<&RawValue>) -> Result<T, WireError> {
    let text = raw.map_or("{}", RawValue::get);
    serde_json::from_str(text).map_err(|error| WireError::BadJson(error.to_string()))
}

/// Waits for one message.
pub(crate) async fn read_envelope(source: &Source) -> Result<Envelope, WireError> {
    read_envelope_after(b"", source).await
}

/// Waits for the rest of a message whose header begins with `begun`.
pub(crate) async fn read_envelope_after(
    begun: &[u8],
    source: &Source,
) -> Result<Envelope, WireError> {
    let length = source
        .take_until(b"\r\n\r\n", MAX_HEADER, |rest| {
            content_length(&[begun, rest].concat())
        })
        .await??;
    source
        .take(length, |body| {
            serde_json::from_slice(body).map_err(|error| WireError::BadJson(error.to_string()))
        })
        .await?
}

fn content_length(header: &[u8]) -> Result<usize, WireError> {
    let bad = || WireError::BadField {
        what: "the header of a JSON message",
        found: header.escape_ascii().to_string(),
    };
    let header = std::str::from_utf8(header).map_err(|_| bad())?;
    let length: usize = header
        .split("\r\n")
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse().ok())
        .ok_or_else(bad)?;
    if length > MAX_MESSAGE {
        return Err(WireError::TooLong { limit: MAX_MESSAGE });
    }
    Ok(length)
}

/// Appends one message, with the only header that the servers bear: one with
/// another name, or a colon in its value, ends their reading for good.
pub(crate) fn write_message(message: &impl Serialize, out: &mut BytesMut) {
    // These types hold strings and numbers only: they always serialize.
    let body = serde_json::to_vec(message).unwrap_or_default();
    let mut header = String::new();
    let _ = write!(header, "Content-Length: {}\r\n\r\n", body.len());
    out.reserve(header.len() + body.len());
    out.put_slice(header.as_bytes());
    out.put_slice(&body);
}

/// A field that only some dialects or servers have.
pub(crate) fn with_field(mut object: Value, name: &str, value: Value) -> Value {
    if let Value::Object(fields) = &mut object {
        fields.insert(name.to_owned(), value);
    }
    object
}
