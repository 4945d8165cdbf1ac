//! A client: the editor's part, for the demo and for tests.
//!
//! It remembers every message of both sides, so that a test that fails can
//! say what came instead of what it waited for. All methods take `&self`:
//! several requests may be on their way at once, as with real editors.

use std::fmt::Write as _;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio_util::codec::FramedRead;

use crate::framing::{self, Framing};

mod record;

use record::Record;

/// How long to wait for anything, unless [`Client::set_limit`] says otherwise.
pub const DEFAULT_LIMIT: Duration = Duration::from_secs(20);

/// Messages that wait for an adapter that does not read.
const WRITE_AHEAD: usize = 1024;

/// One end of a connection to an adapter. Made inside a tokio runtime;
/// dropping it closes the connection.
pub struct Client {
    record: Arc<Record>,
    reader: AbortHandle,
}

/// What did not come, and what came instead.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct ClientError {
    /// For a person.
    pub message: String,
    /// The whole answer, when it is one that says `success: false`.
    pub response: Option<Value>,
}

/// A request on its way; awaiting it gives the body of the answer.
#[must_use = "the answer is only seen by awaiting it"]
pub struct Pending {
    record: Arc<Record>,
    seq: i64,
    command: String,
    refused: Option<String>,
}

impl Client {
    /// Over the adapter's output and input, such as a child's pipes or a socket's halves.
    pub fn new(
        reader: impl AsyncRead + Send + Unpin + 'static,
        writer: impl AsyncWrite + Send + Unpin + 'static,
    ) -> Self {
        let (sender, outgoing) = mpsc::channel(WRITE_AHEAD);
        let record = Arc::new(Record::new(sender));
        tokio::spawn(write(writer, outgoing));
        let reader = tokio::spawn(read(reader, Arc::clone(&record))).abort_handle();
        Self { record, reader }
    }

    /// How long to wait for anything from now on.
    pub fn set_limit(&self, limit: Duration) {
        self.record.set_limit(limit);
    }

    /// Sends a request, and does not wait. `Null` arguments are left out.
    pub fn send(&self, command: &str, arguments: Value) -> Pending {
        let (seq, sent) = self.record.send(|seq| {
            let mut message = json!({"seq": seq, "type": "request", "command": command});
            if let (Value::Object(members), false) = (&mut message, arguments.is_null()) {
                members.insert("arguments".to_owned(), arguments);
            }
            message
        });
        Pending {
            record: Arc::clone(&self.record),
            seq,
            command: command.to_owned(),
            refused: sent.err(),
        }
    }

    /// Sends a request and waits for the body of its answer, `Null` if it has none.
    ///
    /// # Errors
    ///
    /// An answer that says no, or none within the limit.
    pub async fn request(&self, command: &str, arguments: Value) -> Result<Value, ClientError> {
        self.send(command, arguments).await
    }

    /// The body of the next event of this name that no earlier call took.
    ///
    /// # Errors
    ///
    /// None came within the limit.
    pub async fn event(&self, name: &str) -> Result<Value, ClientError> {
        self.event_where(name, |_| true).await
    }

    /// The body of the next event of this name that `wanted` likes and no
    /// earlier call took; others stay for later calls.
    ///
    /// # Errors
    ///
    /// None came within the limit.
    pub async fn event_where(
        &self,
        name: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Value, ClientError> {
        let found = self.record.wait(|heard| heard.take_event(name, &wanted));
        found
            .await
            .map_err(|why| self.record.error(&format!("the event `{name}`"), &why))
    }

    /// The bodies of all events of this name that are there and that no earlier call took.
    pub fn take_events(&self, name: &str) -> Vec<Value> {
        self.record.with(|heard| {
            std::iter::from_fn(|| heard.take_event(name, &|_: &Value| true)).collect()
        })
    }

    /// Every message of both sides, in the order they were sent and came.
    pub fn transcript(&self) -> Vec<Value> {
        self.record.with(|heard| heard.messages(|_| true))
    }

    /// Every message that the adapter sent.
    pub fn outgoing_of_adapter(&self) -> Vec<Value> {
        self.record
            .with(|heard| heard.messages(|from_adapter| from_adapter))
    }

    /// What the adapter sent that was no message.
    pub fn faults(&self) -> Vec<String> {
        self.record.with(|heard| heard.faults.clone())
    }

    /// Ends when the adapter has closed its side. Knows no limit.
    pub async fn closed(&self) {
        self.record.closed().await;
    }

    /// Closes our side; what was sent is still written.
    pub fn close(&self) {
        self.record.close_writing();
    }

    /// Sends bytes as they are, behind what was sent before.
    pub async fn send_raw(&self, bytes: &[u8]) {
        if let Some(sender) = self.record.sender() {
            // An adapter that is gone shows in whatever is awaited next.
            let _ = sender.send(Bytes::copy_from_slice(bytes)).await;
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.record.close_writing();
        self.reader.abort();
        self.record.adapter_closed();
    }
}

impl Pending {
    /// The number of the request.
    pub fn seq(&self) -> i64 {
        self.seq
    }

    /// The whole answer, whether it says yes or no.
    ///
    /// # Errors
    ///
    /// None came within the limit.
    pub async fn response(self) -> Result<Value, ClientError> {
        let what = format!("the answer to `{}` (seq {})", self.command, self.seq);
        if let Some(why) = self.refused {
            return Err(self.record.error(&what, &why));
        }
        let answer = self.record.wait(|heard| heard.responses.remove(&self.seq));
        answer.await.map_err(|why| self.record.error(&what, &why))
    }

    async fn body(self) -> Result<Value, ClientError> {
        let command = self.command.clone();
        let mut response = self.response().await?;
        if response.get("success") == Some(&Value::Bool(true)) {
            return Ok(response.get_mut("body").map_or(Value::Null, Value::take));
        }
        let mut message = format!("`{command}` failed");
        let short = response.get("message").and_then(Value::as_str);
        let full = response
            .pointer("/body/error/format")
            .and_then(Value::as_str);
        for text in short
            .into_iter()
            .chain(full.filter(|full| Some(*full) != short))
        {
            // Writing to a string cannot fail.
            let _ = write!(message, ": {text}");
        }
        Err(ClientError {
            message,
            response: Some(response),
        })
    }
}

impl IntoFuture for Pending {
    type Output = Result<Value, ClientError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.body())
    }
}

async fn read(reader: impl AsyncRead + Unpin, record: Arc<Record>) {
    let mut messages = FramedRead::new(reader, Framing::default());
    while let Some(Ok(frame)) = messages.next().await {
        match frame {
            Ok(message) => record.heard(message),
            Err(bad) => record.with(|heard| heard.faults.push(bad.reason)),
        }
    }
    record.adapter_closed();
}

async fn write(mut writer: impl AsyncWrite + Unpin, mut outgoing: mpsc::Receiver<Bytes>) {
    while let Some(bytes) = outgoing.recv().await {
        if writer.write_all(&bytes).await.is_err() || writer.flush().await.is_err() {
            return;
        }
    }
    // It is over in any case.
    let _ = writer.shutdown().await;
}

fn framed(message: &Value) -> Bytes {
    framing::frame(message.to_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};
    use tokio::io::AsyncWriteExt;

    use super::Client;
    use crate::framing::frame;

    /// A client, and the bytes it reads from.
    fn client() -> (Client, tokio::io::DuplexStream) {
        let (reader, adapter) = tokio::io::duplex(4096);
        (Client::new(reader, tokio::io::sink()), adapter)
    }

    async fn say(adapter: &mut tokio::io::DuplexStream, message: Value) {
        let message = frame(message.to_string().as_bytes());
        adapter.write_all(&message).await.unwrap();
    }

    #[tokio::test]
    async fn answers_find_their_requests_in_any_order() {
        let (client, mut adapter) = client();
        let first = client.send("attach", json!({"target": "x"}));
        let second = client.send("threads", Value::Null);
        assert_eq!((first.seq(), second.seq()), (1, 2));
        for seq in [2, 1] {
            say(
                &mut adapter,
                json!({"type": "response", "request_seq": seq, "success": true, "body": seq}),
            )
            .await;
        }
        assert_eq!(first.await.unwrap(), 1);
        assert_eq!(second.await.unwrap(), 2);
        let transcript = client.transcript();
        assert_eq!(transcript.len(), 4);
        assert_eq!(
            transcript[1],
            json!({"seq": 2, "type": "request", "command": "threads"})
        );
        assert_eq!(client.outgoing_of_adapter(), transcript[2..]);
    }

    #[tokio::test]
    async fn events_wait_until_they_are_asked_for() {
        let (client, mut adapter) = client();
        for (event, n) in [("output", 1), ("stopped", 2), ("output", 3), ("output", 4)] {
            say(
                &mut adapter,
                json!({"type": "event", "event": event, "body": n}),
            )
            .await;
        }
        assert_eq!(client.event("stopped").await.unwrap(), 2);
        assert_eq!(client.event_where("output", |n| *n == 3).await.unwrap(), 3);
        assert_eq!(client.event_where("output", |n| *n == 4).await.unwrap(), 4);
        assert_eq!(client.take_events("output"), [1]);
        assert_eq!(client.take_events("output"), [0; 0]);
    }

    #[tokio::test]
    async fn errors_say_what_was_awaited_and_what_came() {
        let (client, mut adapter) = client();
        client.set_limit(Duration::from_millis(50));
        say(&mut adapter, json!({"type": "event", "event": "thread"})).await;
        let error = client.event("stopped").await.unwrap_err().to_string();
        assert_eq!(
            error,
            "waited for the event `stopped`: nothing for 50ms; the last messages:\n  \
             <- {\"event\":\"thread\",\"type\":\"event\"}"
        );
        drop(adapter);
        client.set_limit(Duration::from_secs(20));
        let error = client.request("next", Value::Null).await.unwrap_err();
        let closed = "waited for the answer to `next` (seq 1): the adapter closed its side";
        assert!(error.message.starts_with(closed), "{error}");
        client.close();
        let error = client.request("next", Value::Null).await.unwrap_err();
        assert!(error.message.contains("never sent"), "{error}");
    }
}
