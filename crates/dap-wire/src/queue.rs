//! What waits to be written.
//!
//! The session must never wait for a slow editor, or the program it debugs
//! would; and memory must not grow with what the editor does not read. So
//! adding never waits, and beyond a limit the oldest output gives way to a
//! note that says how much of it is gone. Everything else is kept: it is
//! bounded by what the editor asked for and by the steps of the program.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde_json::json;
use tokio::sync::{Notify, watch};

use crate::framing;

/// A message without its braces and its `seq`: `"type":"event",…`.
pub(crate) type Members = Bytes;

pub(crate) struct Queue {
    state: Mutex<State>,
    /// There is something to write, or nothing more will come.
    work: Notify,
    progress: watch::Sender<Progress>,
    output_limit: usize,
}

#[derive(Clone, Copy)]
struct Progress {
    /// Every place below this one is written and flushed, or dropped.
    done: u64,
    /// Nothing more is written.
    closed: bool,
}

struct State {
    /// In the order of their places. Not a list, because output is taken out
    /// of the middle while it is not written.
    waiting: BTreeMap<u64, Waiting>,
    /// The places that hold output, oldest first.
    output: VecDeque<u64>,
    output_bytes: usize,
    next_place: u64,
    next_seq: i64,
    finished: bool,
}

enum Waiting {
    Kept(Members),
    Output {
        members: Members,
        lines: u64,
    },
    /// So many lines of output were here.
    Dropped {
        lines: u64,
    },
}

impl Queue {
    pub(crate) fn new(output_limit: usize) -> Self {
        Self {
            state: Mutex::new(State {
                waiting: BTreeMap::new(),
                output: VecDeque::new(),
                output_bytes: 0,
                next_place: 0,
                next_seq: 1,
                finished: false,
            }),
            work: Notify::new(),
            progress: watch::Sender::new(Progress {
                done: 0,
                closed: false,
            }),
            output_limit,
        }
    }

    /// Nothing below leaves the state half changed, so a poisoned lock is as good.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a message; with `droppable_lines` it is output and may be dropped.
    pub(crate) fn push(&self, members: Members, droppable_lines: Option<u64>) {
        if self.is_closed() {
            return;
        }
        let mut state = self.state();
        match droppable_lines {
            None => state.add(Waiting::Kept(members)),
            Some(lines) => {
                state.output_bytes = state.output_bytes.saturating_add(members.len());
                let place = state.next_place;
                state.output.push_back(place);
                state.add(Waiting::Output { members, lines });
                while state.output_bytes > self.output_limit && state.drop_oldest_output() {}
            }
        }
        drop(state);
        self.work.notify_one();
    }

    /// No more will be added: what is here is written, then the stream closed.
    pub(crate) fn finish(&self) {
        self.state().finished = true;
        self.work.notify_one();
    }

    /// The next message, framed; `None` when there will be no more.
    pub(crate) async fn next(&self) -> Option<Bytes> {
        loop {
            {
                let mut state = self.state();
                if let Some(message) = state.take() {
                    return Some(message);
                }
                if state.finished {
                    return None;
                }
            }
            self.work.notified().await;
        }
    }

    /// The message that [`Queue::next`] gave last has reached the stream.
    pub(crate) fn written(&self) {
        let done = {
            let state = self.state();
            let first = state.waiting.first_key_value();
            first.map_or(state.next_place, |(place, _)| *place)
        };
        self.progress.send_modify(|progress| progress.done = done);
    }

    /// Nothing can be written any more; what waits is forgotten.
    pub(crate) fn close(&self) {
        self.progress.send_modify(|progress| progress.closed = true);
        let mut state = self.state();
        state.waiting.clear();
        state.output.clear();
        state.output_bytes = 0;
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.progress.borrow().closed
    }

    pub(crate) async fn closed(&self) {
        // The sender lives as long as `self`, so waiting cannot fail.
        let _ = self.progress.subscribe().wait_for(|now| now.closed).await;
    }

    pub(crate) async fn flushed(&self) {
        let end = self.state().next_place;
        let mut progress = self.progress.subscribe();
        let _ = progress.wait_for(|now| now.closed || now.done >= end).await;
    }
}

impl State {
    fn add(&mut self, waiting: Waiting) {
        self.waiting.insert(self.next_place, waiting);
        self.next_place = self.next_place.saturating_add(1);
    }

    /// Puts a note in the place of the oldest output, or counts it into the
    /// note right before; false when there is no output.
    fn drop_oldest_output(&mut self) -> bool {
        let Some(place) = self.output.pop_front() else {
            return false;
        };
        let Some(Waiting::Output { members, lines }) = self.waiting.remove(&place) else {
            return true;
        };
        self.output_bytes = self.output_bytes.saturating_sub(members.len());
        match self.waiting.range_mut(..place).next_back() {
            Some((_, Waiting::Dropped { lines: before })) => {
                *before = before.saturating_add(lines);
            }
            _ => {
                self.waiting.insert(place, Waiting::Dropped { lines });
            }
        }
        true
    }

    /// Takes the first message out. It gets its number here, and not when it
    /// was added, so that the numbers that leave have no gaps.
    fn take(&mut self) -> Option<Bytes> {
        let (_, waiting) = self.waiting.pop_first()?;
        let members = match waiting {
            Waiting::Kept(members) => members,
            Waiting::Output { members, .. } => {
                self.output_bytes = self.output_bytes.saturating_sub(members.len());
                self.output.pop_front();
                members
            }
            Waiting::Dropped { lines } => dropped_note(lines),
        };
        let seq = self.next_seq;
        self.next_seq = seq.saturating_add(1);
        let mut body = format!("{{\"seq\":{seq},").into_bytes();
        body.extend_from_slice(&members);
        body.push(b'}');
        Some(framing::frame(&body))
    }
}

fn dropped_note(lines: u64) -> Members {
    let lines = match lines {
        1 => "1 line of output was".to_owned(),
        lines => format!("{lines} lines of output were"),
    };
    let body = json!({
        "category": "console",
        "output": format!("{lines} dropped because the editor did not read them\n"),
    });
    Bytes::from(format!(
        "\"type\":\"event\",\"event\":\"output\",\"body\":{body}"
    ))
}
