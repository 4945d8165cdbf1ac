//! What every message has around its content: kinds, sequence numbers, commands.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::arguments;
use crate::events::OutputBody;

/// A request as a type: its command, what it takes, what it answers.
pub trait Request {
    /// The `command` on the wire.
    const COMMAND: &'static str;
    /// What comes with it.
    type Arguments: DeserializeOwned;
    /// The `body` of its answer; `()` for none.
    type Response: Serialize;
}

/// An event as a type.
pub trait Event {
    /// The `event` on the wire.
    const EVENT: &'static str;
    /// Its `body`; `()` or `None` for none.
    type Body: Serialize;

    /// The body of an event that is text for a person: it may become one
    /// event with its neighbours, and the oldest is dropped when the editor
    /// does not read. Every other event leaves by itself, and always.
    fn as_output(_body: &mut Self::Body) -> Option<&mut OutputBody> {
        None
    }
}

/// A message from the editor.
#[derive(Debug, Clone, PartialEq)]
pub enum Incoming {
    /// Something to do.
    Request(RawRequest),
    /// The answer to a reverse request, whole. Adapters that ask nothing ignore it.
    Response(Value),
}

/// A request whose arguments are not looked at yet.
#[derive(Debug, Clone, PartialEq)]
pub struct RawRequest {
    /// The editor's number for it, 0 when it gave none; the answer carries it back.
    pub seq: i64,
    /// Any command, known or not.
    pub command: String,
    /// `Null` when absent.
    pub arguments: Value,
}

impl RawRequest {
    /// Reads the arguments as those of `R`.
    ///
    /// # Errors
    ///
    /// A sentence for a person, with the path of the field that is wrong or missing.
    pub fn parse<R: Request>(&self) -> Result<R::Arguments, String> {
        self.arguments_as()
    }

    /// Reads the arguments as a type of the adapter's own, as that of its
    /// launch configuration.
    ///
    /// # Errors
    ///
    /// As for [`RawRequest::parse`]. No value is quoted, as it may be a secret.
    pub fn arguments_as<T: DeserializeOwned>(&self) -> Result<T, String> {
        arguments::read(&self.arguments)
    }
}

/// Something that cannot be used as a message. Reading went on behind it.
///
/// The reason never quotes the content, which may hold a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadMessage {
    /// The number of the request it was, if that much could be read.
    pub seq: Option<i64>,
    /// The command of the request it was, if that much could be read.
    pub command: Option<String>,
    /// For a person.
    pub reason: String,
}

impl BadMessage {
    pub(crate) fn unreadable(reason: impl Into<String>) -> Self {
        Self {
            seq: None,
            command: None,
            reason: reason.into(),
        }
    }
}

/// What reading gives: a message, or what was there instead of one.
pub type Inbound = Result<Incoming, BadMessage>;

/// Sorts a JSON value from the editor into request, response or neither.
pub(crate) fn open(message: Value) -> Inbound {
    let Value::Object(mut members) = message else {
        return Err(BadMessage::unreadable("a message must be a JSON object"));
    };
    let kind = text(&members, "type");
    if kind.as_deref() == Some("response") {
        return Ok(Incoming::Response(Value::Object(members)));
    }
    let seq = members.get("seq").and_then(sequence_number);
    let command = text(&members, "command");
    let bad = |command: Option<String>, reason: String| BadMessage {
        seq,
        command,
        reason,
    };
    // What has a command and no type can only be meant as a request.
    match (kind.as_deref(), command) {
        (Some("request") | None, Some(command)) => Ok(Incoming::Request(RawRequest {
            seq: seq.unwrap_or(0),
            command,
            arguments: members.remove("arguments").unwrap_or(Value::Null),
        })),
        (Some("request") | None, None) => {
            Err(bad(None, "a request must have a command".to_owned()))
        }
        (Some("event"), command) => Err(bad(command, "an editor sends no events".to_owned())),
        (Some(_), command) => Err(bad(
            command,
            "a message's type must be request or response".to_owned(),
        )),
    }
}

fn text(members: &Map<String, Value>, name: &str) -> Option<String> {
    members.get(name).and_then(Value::as_str).map(str::to_owned)
}

/// A sequence number however it was written: 7, 7.0, "7".
fn sequence_number(value: &Value) -> Option<i64> {
    match value {
        Value::Number(n) => n.as_i64().or_else(|| n.as_f64().and_then(arguments::whole)),
        Value::String(s) => s.trim().parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{BadMessage, Incoming, RawRequest, open};

    fn request(message: Value) -> RawRequest {
        match open(message) {
            Ok(Incoming::Request(request)) => request,
            other => panic!("no request: {other:?}"),
        }
    }

    fn refused(message: Value) -> BadMessage {
        open(message).expect_err("a bad message")
    }

    #[test]
    fn any_way_to_write_a_sequence_number() {
        for (written, read) in [
            (json!(0), 0),
            (json!(7), 7),
            (json!(7.0), 7),
            (json!("7"), 7),
            (json!("seven"), 0),
            (json!(null), 0),
            (json!(1.5), 0),
        ] {
            let message = json!({"seq": written, "type": "request", "command": "threads"});
            assert_eq!(request(message).seq, read, "{written}");
        }
        assert_eq!(
            request(json!({"type": "request", "command": "threads"})).seq,
            0
        );
    }

    #[test]
    fn arguments_may_be_absent_null_or_empty() {
        for message in [
            json!({"seq": 1, "type": "request", "command": "threads"}),
            json!({"seq": 1, "type": "request", "command": "threads", "arguments": null}),
        ] {
            assert_eq!(request(message).arguments, Value::Null);
        }
        let empty = json!({"seq": 1, "type": "request", "command": "threads", "arguments": {}});
        request(empty).parse::<crate::requests::Threads>().unwrap();
    }

    #[test]
    fn an_unknown_command_is_a_request_all_the_same() {
        let message =
            json!({"seq": 3, "type": "request", "command": "brew", "arguments": {"cups": 2}});
        let request = request(message);
        assert_eq!((request.seq, request.command.as_str()), (3, "brew"));
        assert_eq!(request.arguments, json!({"cups": 2}));
    }

    #[test]
    fn a_response_stays_whole() {
        let message = json!({"seq": 9, "type": "response", "request_seq": 2, "success": true, "command": "runInTerminal"});
        assert_eq!(open(message.clone()), Ok(Incoming::Response(message)));
    }

    #[test]
    fn what_is_no_message_says_so_and_keeps_its_number() {
        for message in [json!([]), json!(12), json!("x"), json!(null)] {
            assert_eq!(refused(message).seq, None);
        }
        assert_eq!(refused(json!({"seq": 4, "type": "request"})).seq, Some(4));
        assert_eq!(
            refused(json!({"seq": 4, "type": "request", "command": 5})).seq,
            Some(4)
        );
        let event = refused(json!({"seq": 5, "type": "event", "event": "stopped"}));
        assert_eq!(event.seq, Some(5));
        let odd = refused(json!({"seq": 6, "type": "Request", "command": "threads"}));
        assert_eq!(odd.command.as_deref(), Some("threads"));
    }
}
