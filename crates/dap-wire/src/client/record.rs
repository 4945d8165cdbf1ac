//! What a client sent and heard, and waiting for more of it.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::{mpsc, watch};

use super::{ClientError, DEFAULT_LIMIT, framed};

/// How many messages an error lists.
const LISTED: usize = 12;

/// How many characters of each.
const LISTED_CHARS: usize = 300;

pub(super) struct Record {
    heard: Mutex<Heard>,
    /// Counts what came, so that those who wait look again.
    news: watch::Sender<u64>,
}

pub(super) struct Heard {
    next_seq: i64,
    sender: Option<mpsc::Sender<Bytes>>,
    limit: Duration,
    log: Vec<Entry>,
    /// Answers that nobody took yet, by the number of their request.
    pub(super) responses: HashMap<i64, Value>,
    answered: HashSet<i64>,
    /// Where in the log the events are that nobody took yet.
    events: Vec<usize>,
    pub(super) faults: Vec<String>,
    closed: bool,
}

struct Entry {
    from_adapter: bool,
    message: Value,
}

impl Record {
    pub(super) fn new(sender: mpsc::Sender<Bytes>) -> Self {
        Self {
            heard: Mutex::new(Heard {
                next_seq: 1,
                sender: Some(sender),
                limit: DEFAULT_LIMIT,
                log: Vec::new(),
                responses: HashMap::new(),
                answered: HashSet::new(),
                events: Vec::new(),
                faults: Vec::new(),
                closed: false,
            }),
            news: watch::Sender::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn with<T>(&self, look: impl FnOnce(&mut Heard) -> T) -> T {
        look(&mut self.lock())
    }

    pub(super) fn set_limit(&self, limit: Duration) {
        self.lock().limit = limit;
    }

    pub(super) fn sender(&self) -> Option<mpsc::Sender<Bytes>> {
        self.lock().sender.clone()
    }

    pub(super) fn close_writing(&self) {
        self.lock().sender = None;
    }

    /// Numbers and sends a message, under one lock so that the numbers leave in order.
    pub(super) fn send(&self, message: impl FnOnce(i64) -> Value) -> (i64, Result<(), String>) {
        let mut heard = self.lock();
        let seq = heard.next_seq;
        heard.next_seq = seq.saturating_add(1);
        let message = message(seq);
        let sent = match &heard.sender {
            None => Err("it was never sent: the client has closed its side".to_owned()),
            Some(sender) => sender
                .try_send(framed(&message))
                .map_err(|why| format!("it was never sent: the adapter does not read ({why})")),
        };
        heard.log.push(Entry {
            from_adapter: false,
            message,
        });
        (seq, sent)
    }

    pub(super) fn heard(&self, message: Value) {
        let mut heard = self.lock();
        match message.get("type").and_then(Value::as_str) {
            Some("response") => {
                if let Some(seq) = message.get("request_seq").and_then(Value::as_i64) {
                    heard.responses.insert(seq, message.clone());
                    if !heard.answered.insert(seq) {
                        heard
                            .faults
                            .push(format!("a second answer to request {seq}"));
                    }
                }
            }
            Some("event") => {
                let at = heard.log.len();
                heard.events.push(at);
            }
            _ => {}
        }
        heard.log.push(Entry {
            from_adapter: true,
            message,
        });
        drop(heard);
        self.tell();
    }

    pub(super) fn adapter_closed(&self) {
        self.lock().closed = true;
        self.tell();
    }

    fn tell(&self) {
        self.news
            .send_modify(|count| *count = count.wrapping_add(1));
    }

    pub(super) async fn closed(&self) {
        let mut news = self.news.subscribe();
        while !self.with(|heard| heard.closed) {
            // The sender lives as long as `self`, so waiting cannot fail.
            let _ = news.changed().await;
        }
    }

    /// Waits until `look` finds what it wants; the error says why it never did.
    pub(super) async fn wait<T>(
        &self,
        mut look: impl FnMut(&mut Heard) -> Option<T>,
    ) -> Result<T, String> {
        let limit = self.lock().limit;
        let mut news = self.news.subscribe();
        let found = async {
            loop {
                let (found, closed) = self.with(|heard| (look(heard), heard.closed));
                match found {
                    Some(found) => return Ok(found),
                    None if closed => return Err("the adapter closed its side".to_owned()),
                    // The sender lives as long as `self`, so waiting cannot fail.
                    None => _ = news.changed().await,
                }
            }
        };
        match tokio::time::timeout(limit, found).await {
            Ok(outcome) => outcome,
            Err(_) => Err(format!("nothing for {limit:?}")),
        }
    }

    pub(super) fn error(&self, what: &str, why: &str) -> ClientError {
        let heard = self.lock();
        let mut message = format!("waited for {what}: {why}");
        heard.list(&mut message);
        ClientError {
            message,
            response: None,
        }
    }
}

impl Heard {
    pub(super) fn take_event(
        &mut self,
        name: &str,
        wanted: &impl Fn(&Value) -> bool,
    ) -> Option<Value> {
        let body = |at: &usize| {
            let message = &self.log.get(*at)?.message;
            let named = message.get("event").and_then(Value::as_str) == Some(name);
            named.then(|| message.get("body").unwrap_or(&Value::Null))
        };
        let (nth, body) = self
            .events
            .iter()
            .enumerate()
            .find_map(|(nth, at)| Some((nth, body(at).filter(|body| wanted(body))?.clone())))?;
        self.events.remove(nth);
        Some(body)
    }

    pub(super) fn messages(&self, pick: impl Fn(bool) -> bool) -> Vec<Value> {
        let picked = self.log.iter().filter(|entry| pick(entry.from_adapter));
        picked.map(|entry| entry.message.clone()).collect()
    }

    /// The end of the log, one message on a line, and what was wrong with it.
    fn list(&self, into: &mut String) {
        let skipped = self.log.len().saturating_sub(LISTED);
        into.push_str(if self.log.is_empty() {
            "; no message at all"
        } else {
            "; the last messages:"
        });
        for entry in self.log.iter().skip(skipped) {
            let arrow = if entry.from_adapter { "<-" } else { "->" };
            let text: String = entry
                .message
                .to_string()
                .chars()
                .take(LISTED_CHARS)
                .collect();
            // Writing to a string cannot fail.
            let _ = write!(into, "\n  {arrow} {text}");
        }
        for fault in &self.faults {
            let _ = write!(into, "\n  fault: {fault}");
        }
    }
}
