//! One editor: its messages, and the way back to it.
//!
//! | Task | Waits on | Ends |
//! |---|---|---|
//! | reader | the stream; a full `inbound` | end of the stream, a read or write error, `inbound` dropped |
//! | writer | the queue; the stream | a write error; the last [`Outbox`] gone and everything written |
//!
//! Neither holds up the session: the reader only feeds it, and the queue
//! between it and the writer takes everything at once.

use std::sync::Arc;

use futures_util::StreamExt;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc;
use tokio_util::codec::FramedRead;

use crate::client::Client;
use crate::envelope::{self, Inbound};
use crate::framing::Framing;
use crate::outbox::{MAX_OUTPUT, Outbox};
use crate::queue::{OutputLimits, Queue};
use crate::stdio;

/// Messages that are read ahead of the session. An editor sends a handful at
/// a time; one that sends more waits in its own socket.
const READ_AHEAD: usize = 64;

/// A connection to an editor. Made inside a tokio runtime.
pub struct Connection {
    /// What the editor sends, in order. Ends when the editor is gone.
    pub inbound: mpsc::Receiver<Inbound>,
    /// What the editor gets.
    pub outbox: Outbox,
}

impl Connection {
    /// Over this process's stdin and stdout; only one at a time makes sense.
    ///
    /// Where stdin is no pipe or socket, tokio reads it on a thread that cannot
    /// be interrupted, and a runtime that shuts down waits for it: until the
    /// editor closes stdin or sends something. A program that uses this ends
    /// with [`std::process::exit`] after [`Outbox::flushed`].
    pub fn stdio() -> Self {
        let (input, output) = stdio::open();
        Self::over(input, output, MAX_OUTPUT)
    }

    /// Over a socket.
    pub fn stream(io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        let (reader, writer) = tokio::io::split(io);
        Self::over(reader, writer, MAX_OUTPUT)
    }

    /// To a peer in this process, for tests.
    pub fn memory() -> (Self, MemoryPeer) {
        Self::memory_with(MAX_OUTPUT)
    }

    /// As [`Connection::memory`], where so much output waits for the peer to
    /// read.
    pub fn memory_with(limits: OutputLimits) -> (Self, MemoryPeer) {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let (reader, writer) = tokio::io::split(ours);
        let connection = Self::over(reader, writer, limits);
        (connection, MemoryPeer { io: theirs })
    }

    /// Over any two halves; so much output waits for the editor to read.
    pub fn over(
        reader: impl AsyncRead + Send + Unpin + 'static,
        writer: impl AsyncWrite + Send + Unpin + 'static,
        limits: OutputLimits,
    ) -> Self {
        let queue = Arc::new(Queue::new(limits));
        let (sender, inbound) = mpsc::channel(READ_AHEAD);
        tokio::spawn(write(writer, Arc::clone(&queue)));
        tokio::spawn(read(reader, sender, Arc::clone(&queue)));
        Self {
            inbound,
            outbox: Outbox::new(queue),
        }
    }
}

/// The editor's end of [`Connection::memory`].
pub struct MemoryPeer {
    io: DuplexStream,
}

impl MemoryPeer {
    /// The bytes as they are.
    pub fn into_io(self) -> DuplexStream {
        self.io
    }

    /// A client at this end.
    pub fn client(self) -> Client {
        let (reader, writer) = tokio::io::split(self.io);
        Client::new(reader, writer)
    }
}

async fn read(reader: impl AsyncRead + Unpin, inbound: mpsc::Sender<Inbound>, queue: Arc<Queue>) {
    let mut messages = FramedRead::new(reader, Framing::default());
    let feed = async {
        while let Some(message) = messages.next().await {
            let message = match message {
                Ok(frame) => frame.and_then(envelope::open),
                Err(error) => {
                    tracing::debug!(%error, "the editor cannot be read any more");
                    return;
                }
            };
            if let Err(bad) = &message {
                tracing::warn!(reason = bad.reason, "a message that cannot be used");
            }
            if inbound.send(message).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = feed => {}
        () = queue.closed() => {}
        () = inbound.closed() => {}
    }
}

async fn write(mut writer: impl AsyncWrite + Unpin, queue: Arc<Queue>) {
    while let Some(message) = queue.next().await {
        let written = async {
            writer.write_all(&message).await?;
            writer.flush().await
        };
        if let Err(error) = written.await {
            tracing::debug!(%error, "the editor cannot be written to any more");
            break;
        }
        queue.written();
    }
    queue.close();
    if let Err(error) = writer.shutdown().await {
        tracing::debug!(%error, "the editor's stream could not be closed");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::Connection;
    use crate::envelope::Incoming;
    use crate::events::{Initialized, Output, OutputBody};
    use crate::outbox::MAX_OUTPUT;
    use crate::queue::OutputLimits;
    use crate::requests::{Evaluate, Threads, ThreadsResponse};
    use crate::responder::{ErrorAnswer, INTERNAL_ERROR_ID};

    /// An adapter that knows `threads` and `evaluate`, and forgets all else.
    async fn adapter(mut connection: Connection) {
        connection.outbox.event::<Initialized>(());
        while let Some(message) = connection.inbound.recv().await {
            match message {
                Ok(Incoming::Request(request)) => {
                    let responder = connection.outbox.responder(&request);
                    match request.command.as_str() {
                        "threads" => responder.ok::<Threads>(ThreadsResponse::default()),
                        "evaluate" => responder.fail(ErrorAnswer {
                            id: 2001,
                            message: "bad arguments".to_owned(),
                            detail: request.parse::<Evaluate>().unwrap_err(),
                            show_user: true,
                        }),
                        _ => drop(responder),
                    }
                }
                Ok(Incoming::Response(_)) => {}
                Err(bad) => {
                    if let Some(responder) = connection.outbox.responder_to_bad(&bad) {
                        responder.fail(ErrorAnswer {
                            id: 2000,
                            message: "bad message".to_owned(),
                            detail: bad.reason,
                            show_user: false,
                        });
                    }
                }
            }
        }
    }

    #[tokio::test]
    async fn ask_fail_forget() {
        let (connection, peer) = Connection::memory();
        tokio::spawn(adapter(connection));
        let client = peer.client();
        client.event("initialized").await.unwrap();
        let threads = client.request("threads", Value::Null).await.unwrap();
        assert_eq!(threads, json!({"threads": []}));

        let failed = client.request("evaluate", json!({})).await.unwrap_err();
        let response = failed.response.unwrap();
        assert_eq!(response["message"], "bad arguments");
        let error = json!({"id": 2001, "format": "missing field `expression`", "showUser": true});
        assert_eq!(response["body"], json!({"error": error}));

        let forgotten = client.request("brew", json!({})).await.unwrap_err();
        let response = forgotten.response.unwrap();
        assert_eq!(response["request_seq"], 3);
        assert_eq!(response["body"]["error"]["id"], INTERNAL_ERROR_ID);

        client
            .send_raw(b"rubbish\nContent-Length: 25\r\n\r\n{\"seq\":9,\"type\":\"banana\"}")
            .await;
        client.request("threads", Value::Null).await.unwrap();
        client.close();
        client.closed().await;
        let numbers: Vec<_> = client
            .outgoing_of_adapter()
            .iter()
            .map(|message| message["seq"].as_i64().unwrap())
            .collect();
        assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
    }

    #[tokio::test]
    async fn an_editor_that_does_not_read_holds_nothing_up() {
        let limits = OutputLimits {
            memory: 200_000,
            file: 0,
        };
        let (connection, peer) = Connection::memory_with(limits);
        for n in 0..10_000 {
            connection.outbox.event::<Output>(OutputBody {
                output: format!("line {n} {}\n", "x".repeat(100)),
                ..OutputBody::default()
            });
            tokio::task::yield_now().await;
        }
        let outbox = connection.outbox.clone();
        let client = peer.client();
        outbox.flushed().await;
        let last = client
            .event_where("output", |body| {
                body["output"]
                    .as_str()
                    .is_some_and(|text| text.contains("line 9999 "))
            })
            .await;
        last.unwrap();
        let notes = client.take_events("output");
        let note = |body: &&Value| body["category"] == "console";
        assert!(notes.len() < 100);
        assert_eq!(notes.iter().filter(note).count(), 1);
    }

    #[tokio::test]
    async fn inbound_ends_when_the_editor_cannot_be_written_to() {
        let (reader, mut editor) = tokio::io::duplex(100);
        let (writer, gone) = tokio::io::duplex(100);
        drop(gone);
        let mut connection = Connection::over(reader, writer, MAX_OUTPUT);
        editor.write_all(b"Content").await.unwrap();
        connection.outbox.event::<Initialized>(());
        assert_eq!(connection.inbound.recv().await, None);
        connection.outbox.flushed().await;
        assert!(connection.outbox.is_closed());
    }

    #[tokio::test]
    async fn everything_leaves_before_the_stream_is_closed() {
        let (connection, peer) = Connection::memory();
        connection.outbox.event::<Initialized>(());
        drop(connection);
        let mut bytes = String::new();
        peer.into_io().read_to_string(&mut bytes).await.unwrap();
        assert_eq!(
            bytes,
            "Content-Length: 46\r\n\r\n{\"seq\":1,\"type\":\"event\",\"event\":\"initialized\"}"
        );
    }
}
