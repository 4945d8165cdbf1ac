//! The sending half of a connection.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;

use crate::envelope::{BadMessage, Event, RawRequest, Request};
use crate::events::OutputBody;
use crate::queue::{Output, OutputLimits, Queue};
use crate::responder::{ErrorAnswer, Responder};

/// How much output waits for an editor that does not read: 8 MiB in memory and
/// 256 MiB in a temporary file. Beyond that the oldest is dropped, and a line
/// of output says so in its place.
pub const MAX_OUTPUT: OutputLimits = OutputLimits {
    memory: 8 * 1024 * 1024,
    file: 256 * 1024 * 1024,
};

/// Sends to the editor, in order, without ever waiting for it.
///
/// Clones share one connection; the stream is closed when the last clone and
/// the last [`Responder`] are gone and everything is written.
#[derive(Clone)]
pub struct Outbox {
    sender: Arc<Sender>,
}

/// Tells the writer when nobody can send any more.
struct Sender(Arc<Queue>);

impl Drop for Sender {
    fn drop(&mut self) {
        self.0.finish();
    }
}

impl Outbox {
    pub(crate) fn new(queue: Arc<Queue>) -> Self {
        Self {
            sender: Arc::new(Sender(queue)),
        }
    }

    fn queue(&self) -> &Queue {
        &self.sender.0
    }

    /// Sends an event.
    pub fn event<E: Event>(&self, mut body: E::Body) {
        if let Some(output) = E::as_output(&mut body) {
            return self.output(std::mem::take(output));
        }
        let members = format!("\"type\":\"event\",\"event\":{}", quoted(E::EVENT));
        match with_body(members, &body) {
            Ok(members) => self.queue().push(members),
            Err(error) => tracing::error!(event = E::EVENT, %error, "an event that is no JSON"),
        }
    }

    fn output(&self, mut body: OutputBody) {
        let text = std::mem::take(&mut body.output);
        let (mut rest, mut is_plain) = (String::new(), true);
        if let Ok(Value::Object(members)) = serde_json::to_value(&body) {
            for (name, value) in members.iter().filter(|(name, _)| *name != "output") {
                is_plain &= name == "category";
                rest.push_str(&format!(",{}:{value}", quoted(name)));
            }
        }
        self.queue().push_output(Output {
            text,
            rest: rest.into(),
            is_plain,
        });
    }

    /// The duty to answer `request`.
    pub fn responder(&self, request: &RawRequest) -> Responder {
        Responder::new(self.clone(), request.seq, request.command.clone())
    }

    /// The duty to answer a message that could not be used, if it has a number
    /// to answer to.
    pub fn responder_to_bad(&self, message: &BadMessage) -> Option<Responder> {
        let command = message.command.clone().unwrap_or_default();
        Some(Responder::new(self.clone(), message.seq?, command))
    }

    /// The same as [`Responder::ok`].
    pub fn respond<R: Request>(&self, request: Responder, body: R::Response) {
        request.ok::<R>(body);
    }

    /// Ends when everything that was sent before is written and flushed, or
    /// cannot be written any more. An editor that does not read holds this up:
    /// give it a limit.
    pub async fn flushed(&self) {
        self.queue().flushed().await;
    }

    /// True when the editor is gone; whatever is sent then is forgotten.
    pub fn is_closed(&self) -> bool {
        self.queue().is_closed()
    }

    /// Ends when the editor is gone, as far as writing can tell.
    pub async fn closed(&self) {
        self.queue().closed().await;
    }

    pub(crate) fn success<T: Serialize>(
        &self,
        seq: i64,
        command: &str,
        body: &T,
    ) -> Result<(), serde_json::Error> {
        let members = response(seq, command, true, None);
        self.queue().push(with_body(members, body)?);
        Ok(())
    }

    pub(crate) fn failure(&self, seq: i64, command: &str, error: &ErrorAnswer) {
        let body = serde_json::json!({
            "error": {
                "id": error.id,
                "format": error.detail,
                "showUser": error.show_user,
            }
        });
        let mut members = response(seq, command, false, Some(&error.message));
        members.push_str(&format!(",\"body\":{body}"));
        self.queue().push(Bytes::from(members));
    }
}

fn response(seq: i64, command: &str, success: bool, message: Option<&str>) -> String {
    let mut members = format!(
        "\"type\":\"response\",\"request_seq\":{seq},\"success\":{success},\"command\":{}",
        quoted(command)
    );
    if let Some(message) = message {
        members.push_str(&format!(",\"message\":{}", quoted(message)));
    }
    members
}

/// Adds `body`; one that is nothing leaves no member at all. Written where it
/// stays, since a long list of variables is worth not copying.
fn with_body<T: Serialize>(members: String, body: &T) -> Result<Bytes, serde_json::Error> {
    let mut bytes = members.into_bytes();
    let end = bytes.len();
    bytes.extend_from_slice(b",\"body\":");
    let begin = bytes.len();
    serde_json::to_writer(&mut bytes, body)?;
    if bytes.get(begin..) == Some(b"null") {
        bytes.truncate(end);
    }
    Ok(Bytes::from(bytes))
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::Outbox;
    use crate::envelope::RawRequest;
    use crate::events::{Initialized, Output, OutputBody, Stopped, StoppedBody, Terminated};
    use crate::queue::{OutputLimits, Queue};
    use crate::requests::{Next, Threads, ThreadsResponse};
    use crate::types::{OutputEventCategory, StoppedReason, Thread};

    const ALL: OutputLimits = OutputLimits {
        memory: usize::MAX / 2,
        file: 0,
    };

    fn outbox(limits: OutputLimits) -> (Outbox, Arc<Queue>) {
        let queue = Arc::new(Queue::new(limits));
        (Outbox::new(Arc::clone(&queue)), queue)
    }

    fn print(outbox: &Outbox, text: &str) {
        outbox.event::<Output>(OutputBody {
            output: text.to_owned(),
            ..OutputBody::default()
        });
    }

    fn stop(outbox: &Outbox) {
        outbox.event::<Stopped>(StoppedBody {
            reason: StoppedReason::FunctionBreakpoint,
            ..StoppedBody::default()
        });
    }

    /// What leaves until the outbox is gone.
    async fn leaving(outbox: Outbox, queue: &Queue) -> Vec<Value> {
        drop(outbox);
        let mut messages = Vec::new();
        while let Some(message) = queue.next().await {
            let text = std::str::from_utf8(&message).unwrap();
            let (header, body) = text.split_once("\r\n\r\n").unwrap();
            assert_eq!(header, format!("Content-Length: {}", body.len()));
            messages.push(serde_json::from_str(body).unwrap());
        }
        messages
    }

    fn texts(messages: &[Value]) -> Vec<&str> {
        let text = |message: &'_ Value| message["event"] == "stopped";
        messages
            .iter()
            .map(|m| {
                if text(m) {
                    "stopped"
                } else {
                    m["body"]["output"].as_str().unwrap()
                }
            })
            .collect()
    }

    #[tokio::test]
    async fn messages_as_they_leave() {
        let (outbox, queue) = outbox(ALL);
        let request = |seq, command: &str| RawRequest {
            seq,
            command: command.to_owned(),
            arguments: Value::Null,
        };
        outbox.event::<Initialized>(());
        outbox.event::<Terminated>(None);
        outbox.responder(&request(0, "next")).ok::<Next>(());
        let main = Thread {
            id: 1,
            name: "Main \"thread\"".to_owned(),
        };
        let threads = ThreadsResponse {
            threads: vec![main],
        };
        outbox.respond::<Threads>(outbox.responder(&request(5, "threads")), threads);
        stop(&outbox);
        let expected = [
            json!({"seq": 1, "type": "event", "event": "initialized"}),
            json!({"seq": 2, "type": "event", "event": "terminated"}),
            json!({"seq": 3, "type": "response", "request_seq": 0, "success": true, "command": "next"}),
            json!({"seq": 4, "type": "response", "request_seq": 5, "success": true, "command": "threads",
                "body": {"threads": [{"id": 1, "name": "Main \"thread\""}]}}),
            json!({"seq": 5, "type": "event", "event": "stopped", "body": {"reason": "function breakpoint"}}),
        ];
        assert_eq!(leaving(outbox, &queue).await, expected);
    }

    #[tokio::test]
    async fn pieces_that_follow_each_other_are_one_event() {
        let (outbox, queue) = outbox(ALL);
        print(&outbox, "one");
        print(&outbox, "\n");
        print(&outbox, "two\n");
        stop(&outbox);
        print(&outbox, "three\n");
        outbox.event::<Output>(OutputBody {
            output: "wrong\n".to_owned(),
            category: Some(OutputEventCategory::Stderr),
            ..OutputBody::default()
        });
        print(&outbox, "four\n");
        for _ in 0..2 {
            outbox.event::<Output>(OutputBody {
                output: "at 1\n".to_owned(),
                line: Some(1),
                ..OutputBody::default()
            });
        }
        let left = leaving(outbox, &queue).await;
        assert_eq!(
            texts(&left),
            [
                "one\ntwo\n",
                "stopped",
                "three\n",
                "wrong\n",
                "four\n",
                "at 1\n",
                "at 1\n"
            ]
        );
        assert_eq!(left[3]["body"]["category"], "stderr");
        assert_eq!(left[5]["body"]["line"], 1);
    }

    #[tokio::test]
    async fn a_line_leaves_at_once_and_the_next_ones_together() {
        let (outbox, queue) = outbox(ALL);
        let next = async || {
            let message = queue.next().await.unwrap();
            let (_, body) = std::str::from_utf8(&message)
                .unwrap()
                .split_once("\r\n\r\n")
                .unwrap();
            let message: Value = serde_json::from_str(body).unwrap();
            message["body"]["output"].as_str().unwrap_or("-").to_owned()
        };
        print(&outbox, "1\n");
        assert_eq!(next().await, "1\n");
        // In the time in which output is gathered.
        let printing = async {
            for n in 2..10 {
                print(&outbox, &format!("{n}\n"));
                tokio::task::yield_now().await;
            }
        };
        let ((), gathered) = tokio::join!(printing, next());
        assert_eq!(gathered, "2\n3\n4\n5\n6\n7\n8\n9\n");
        // Anything else does not wait, and neither does what is before it.
        print(&outbox, "10");
        stop(&outbox);
        assert_eq!(next().await, "10");
        assert_eq!(next().await, "-");
    }

    #[tokio::test]
    async fn old_output_gives_way_and_nothing_else_does() {
        // Room for two of these.
        let line = |n: usize| format!("{n}{}\n", "x".repeat(100_000));
        let (outbox, queue) = outbox(OutputLimits {
            memory: 210_000,
            file: 0,
        });
        print(&outbox, &line(1));
        print(&outbox, &format!("two\n{}", line(2)));
        stop(&outbox);
        for n in 3..6 {
            print(&outbox, &line(n));
        }
        stop(&outbox);
        let left = leaving(outbox, &queue).await;
        assert_eq!(
            texts(&left),
            [
                "3 lines of output were dropped because the editor did not read them\n",
                "stopped",
                "1 line of output was dropped because the editor did not read them\n",
                &line(4),
                &line(5),
                "stopped",
            ]
        );
        let numbers: Vec<_> = left.iter().map(|message| message["seq"].clone()).collect();
        assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
    }

    #[tokio::test]
    async fn what_memory_does_not_hold_waits_in_a_file_and_the_order_stays() {
        let (outbox, queue) = outbox(OutputLimits {
            memory: 50_000,
            file: 10_000_000,
        });
        let mut printed = String::new();
        for n in 0..20_000 {
            let line = format!("{n} {}\n", "y".repeat(n % 300));
            print(&outbox, &line);
            printed.push_str(&line);
            if n % 1000 == 0 {
                stop(&outbox);
            }
        }
        print(&outbox, &"z".repeat(1_000_000));
        let (memory, kept) = queue.held();
        assert!(
            memory < 150_000 && kept < 200,
            "{memory} bytes, {kept} pieces"
        );
        let left = leaving(outbox, &queue).await;
        let output: String = texts(&left)
            .into_iter()
            .filter(|text| *text != "stopped")
            .collect();
        assert!(output.starts_with(&printed));
        assert_eq!(output.len(), printed.len() + 1_000_000);
    }

    #[tokio::test]
    async fn when_the_file_is_full_the_oldest_goes_and_is_counted() {
        let (outbox, queue) = outbox(OutputLimits {
            memory: 100_000,
            file: 500_000,
        });
        for n in 0..100_000 {
            print(&outbox, &format!("{n:7} {}\n", "y".repeat(41)));
        }
        let left = leaving(outbox, &queue).await;
        let left = texts(&left);
        let dropped: usize = left[0].split(' ').next().unwrap().parse().unwrap();
        let rest: Vec<usize> = left[1..]
            .concat()
            .lines()
            .map(|line| line[..7].trim().parse().unwrap())
            .collect();
        // Every line is either there or counted, but for the one that is cut.
        assert!(dropped > 80_000);
        let expected: Vec<usize> = (dropped..100_000).collect();
        assert_eq!(rest, expected);
    }

    #[tokio::test]
    async fn output_larger_than_the_limits_is_only_noted() {
        let (outbox, queue) = outbox(OutputLimits {
            memory: 200,
            file: 2000,
        });
        print(&outbox, &"x".repeat(100_000));
        print(&outbox, "small\n");
        let left = leaving(outbox, &queue).await;
        assert_eq!(left.len(), 2);
        assert_eq!(texts(&left)[1], "small\n");
    }

    #[tokio::test]
    async fn flushed_waits_for_what_was_sent_and_no_longer() {
        let (outbox, queue) = outbox(ALL);
        outbox.flushed().await;
        print(&outbox, "one\n");
        let waiting = tokio::spawn({
            let outbox = outbox.clone();
            async move { outbox.flushed().await }
        });
        tokio::task::yield_now().await;
        queue.next().await.unwrap();
        print(&outbox, "two\n");
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished(), "it is taken but not written");
        queue.written();
        waiting.await.unwrap();
        let waiting = tokio::spawn({
            let outbox = outbox.clone();
            async move { outbox.flushed().await }
        });
        queue.close();
        waiting.await.unwrap();
        assert!(outbox.is_closed());
    }
}
