//! What waits to be written.
//!
//! The session must never wait for a slow editor, or the program it debugs
//! would; and memory must not grow with what the editor does not read. So
//! adding never waits. Output is kept in memory up to a limit, then in a file
//! up to another, and beyond that the oldest gives way to a note that says how
//! much of it is gone. Everything else is kept: it is bounded by what the
//! editor asked for and by the steps of the program.
//!
//! Pieces of output that follow each other become one event. The first after
//! a pause leaves at once, if it is whole lines; the next ones are gathered
//! for [`GATHER`], unless something else comes behind them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout_at};

use crate::framing;
use crate::spill::{Slot, Spill};

/// How long output is gathered at most. Nobody sees it, and a program that
/// prints without a pause makes fifty events a second.
const GATHER: Duration = Duration::from_millis(20);

/// No event is made larger than this by joining pieces.
const JOINED: usize = 64 * 1024;

/// What a piece of output takes besides its text, roughly.
const OVERHEAD: usize = 256;

/// A message without its braces and its `seq`: `"type":"event",…`.
pub(crate) type Members = Bytes;

/// A piece of output.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) text: String,
    /// The other members of the event's body, each with a comma before it.
    pub(crate) rest: Arc<str>,
    /// Whether it may become one event with neighbours that have the same
    /// other members.
    pub(crate) is_plain: bool,
}

/// How much output waits for an editor that does not read, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct OutputLimits {
    /// In memory.
    pub memory: usize,
    /// Beyond that, in a temporary file.
    pub file: u64,
}

pub(crate) struct Queue {
    state: Mutex<State>,
    /// There is something to write, or nothing more will come.
    work: Notify,
    progress: watch::Sender<Progress>,
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
    /// Of it, in memory.
    memory: usize,
    memory_limit: usize,
    spill: Spill,
    /// When output was last given to the writer.
    last_output: Option<Instant>,
    next_place: u64,
    next_seq: i64,
    finished: bool,
}

enum Waiting {
    Kept(Members),
    Output {
        output: Output,
        since: Instant,
    },
    Spilled {
        at: Slot,
        rest: Arc<str>,
        lines: u64,
    },
    /// So many lines of output were here.
    Dropped {
        lines: u64,
    },
}

impl Queue {
    pub(crate) fn new(limits: OutputLimits) -> Self {
        Self {
            state: Mutex::new(State {
                waiting: BTreeMap::new(),
                output: VecDeque::new(),
                memory: 0,
                memory_limit: limits.memory,
                spill: Spill::new(limits.file),
                last_output: None,
                next_place: 0,
                next_seq: 1,
                finished: false,
            }),
            work: Notify::new(),
            progress: watch::Sender::new(Progress {
                done: 0,
                closed: false,
            }),
        }
    }

    /// Nothing below leaves the state half changed, so a poisoned lock is as good.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a message that is never dropped.
    pub(crate) fn push(&self, members: Members) {
        if self.is_closed() {
            return;
        }
        self.state().add(Waiting::Kept(members));
        self.work.notify_one();
    }

    /// Adds output.
    pub(crate) fn push_output(&self, output: Output) {
        if self.is_closed() {
            return;
        }
        self.state().add_output(output, Instant::now());
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
            let gathering = {
                let mut state = self.state();
                let gathering = state.gathering_until(Instant::now());
                if gathering.is_none() {
                    if let Some(message) = state.take() {
                        return Some(message);
                    }
                    if state.finished {
                        return None;
                    }
                }
                gathering
            };
            match gathering {
                None => self.work.notified().await,
                Some(until) => {
                    let _ = timeout_at(until, self.work.notified()).await;
                }
            }
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
        state.memory = 0;
    }

    /// What waits: bytes of output in memory, and how many things.
    #[cfg(test)]
    pub(crate) fn held(&self) -> (usize, usize) {
        let state = self.state();
        (state.memory, state.waiting.len())
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

    fn add_output(&mut self, new: Output, now: Instant) {
        if let Some(mut last) = self.waiting.last_entry()
            && let Waiting::Output { output, .. } = last.get_mut()
            && output.takes(&new)
        {
            self.memory = self.memory.saturating_add(new.text.len());
            output.text.push_str(&new.text);
        } else {
            self.store_last();
            self.memory = self.memory.saturating_add(new.size());
            self.output.push_back(self.next_place);
            self.add(Waiting::Output {
                output: new,
                since: now,
            });
        }
        // What can still grow is not stored, unless it is large already.
        let most = self.memory_limit.saturating_add(JOINED);
        if self.memory > most {
            self.store_last();
        }
        while self.memory > most && self.drop_oldest_output() {}
    }

    /// The newest output grows no more: if memory is full it goes to the file.
    /// Where that is full too, the oldest gives way.
    fn store_last(&mut self) {
        while self.memory > self.memory_limit {
            let Some(place) = self.output.back().copied() else {
                return;
            };
            let Some(Waiting::Output { output, .. }) = self.waiting.get(&place) else {
                return;
            };
            if !self.spill.could_hold(&output.text) {
                if !self.drop_oldest_output() {
                    return;
                }
                continue;
            }
            if let Some(at) = self.spill.put(&output.text) {
                self.memory = self.memory.saturating_sub(output.size());
                let spilled = Waiting::Spilled {
                    at,
                    rest: Arc::clone(&output.rest),
                    lines: output.lines(),
                };
                self.waiting.insert(place, spilled);
                return;
            }
            self.drop_oldest_output();
        }
    }

    /// Puts a note in the place of the oldest output, or counts it into the
    /// note right before; false when there is no output.
    fn drop_oldest_output(&mut self) -> bool {
        let Some(place) = self.output.pop_front() else {
            return false;
        };
        let lines = match self.waiting.remove(&place) {
            Some(Waiting::Output { output, .. }) => {
                self.memory = self.memory.saturating_sub(output.size());
                output.lines()
            }
            Some(Waiting::Spilled { at, lines, .. }) => {
                self.spill.forget(at);
                lines
            }
            Some(Waiting::Kept(_) | Waiting::Dropped { .. }) | None => return true,
        };
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

    /// How long to wait for more of the output that is next; not at all if
    /// anything else waits.
    fn gathering_until(&self, now: Instant) -> Option<Instant> {
        if self.finished || self.waiting.len() != 1 {
            return None;
        }
        let (_, Waiting::Output { output, since }) = self.waiting.first_key_value()? else {
            return None;
        };
        if !output.is_plain || output.text.len() >= JOINED {
            return None;
        }
        let after_last = self.last_output.map(|last| last + GATHER);
        // The rest of the line follows as a rule.
        let for_line = (!output.text.ends_with('\n')).then(|| *since + GATHER);
        let until = after_last.max(for_line)?;
        (now < until).then_some(until)
    }

    /// Takes the first message out. It gets its number here, and not when it
    /// was added, so that the numbers that leave have no gaps.
    fn take(&mut self) -> Option<Bytes> {
        let (_, waiting) = self.waiting.pop_first()?;
        let members = match waiting {
            Waiting::Kept(members) => members,
            Waiting::Output { output, .. } => {
                self.memory = self.memory.saturating_sub(output.size());
                self.output_taken(&output.text, &output.rest)
            }
            Waiting::Spilled { at, rest, lines } => match self.spill.take(at) {
                Ok(text) => self.output_taken(&text, &rest),
                Err(error) => {
                    tracing::warn!(%error, "output cannot be read back from its file");
                    self.output.pop_front();
                    dropped_note(lines)
                }
            },
            Waiting::Dropped { lines } => dropped_note(lines),
        };
        let begin = format!("{{\"seq\":{},", self.next_seq);
        self.next_seq = self.next_seq.saturating_add(1);
        Some(framing::frame_parts(&[begin.as_bytes(), &members, b"}"]))
    }

    fn output_taken(&mut self, text: &str, rest: &str) -> Members {
        self.output.pop_front();
        self.last_output = Some(Instant::now());
        output_event(text, rest)
    }
}

impl Output {
    /// In memory.
    fn size(&self) -> usize {
        self.text.len().saturating_add(OVERHEAD)
    }

    /// Line ends, which can be added up wherever the pieces were cut.
    fn lines(&self) -> u64 {
        let ends = self.text.bytes().filter(|byte| *byte == b'\n').count();
        u64::try_from(ends).unwrap_or(u64::MAX)
    }

    fn takes(&self, next: &Output) -> bool {
        self.is_plain
            && next.is_plain
            && self.rest == next.rest
            && self.text.len().saturating_add(next.text.len()) <= JOINED
    }
}

fn output_event(text: &str, rest: &str) -> Members {
    let text = Value::from(text);
    Bytes::from(format!(
        "\"type\":\"event\",\"event\":\"output\",\"body\":{{\"output\":{text}{rest}}}"
    ))
}

fn dropped_note(lines: u64) -> Members {
    let lines = match lines {
        0 | 1 => "1 line of output was".to_owned(),
        lines => format!("{lines} lines of output were"),
    };
    let text = format!("{lines} dropped because the editor did not read them\n");
    output_event(&text, &format!(",\"category\":{}", json!("console")))
}
