//! The program that is attached: what is known of it.

use std::collections::HashMap;

use ptvsd_client::{Debuggee, Epoch, StopReason, StoppedThread};
use ptvsd_wire::{ExceptionReport, Frame, PyText, ThreadId};
use tokio::sync::oneshot;

use crate::Failure;
use crate::configuration::Configuration;
use crate::exceptions::Raised;
use crate::files::Files;
use crate::handlers::KnownHandlers;
use crate::handles::Handles;
use crate::sources::Sources;
use crate::stack::FrameRef;
use crate::variables::{Container, LocalNames};

pub(crate) struct Program {
    pub(crate) debuggee: Debuggee,
    pub(crate) configuration: Configuration,
    pub(crate) files: Files,
    pub(crate) sources: Sources,
    pub(crate) threads: Threads,
    pub(crate) world: World,
    pub(crate) frames: Handles<FrameRef>,
    pub(crate) containers: Handles<Container>,
    pub(crate) local_names: LocalNames,
    /// What its files handle, as far as that was asked for.
    pub(crate) known_handlers: KnownHandlers,
    /// The exceptions that threads have stopped for, by their numbers.
    pub(crate) exceptions: HashMap<i64, (StoppedThread, ExceptionReport)>,
    /// What each thread has raised last, by their numbers: it may be reported
    /// more than once.
    pub(crate) raised: HashMap<i64, Raised>,
    /// At this stop, threads that have not stopped themselves run on.
    pub(crate) others_run: bool,
    /// The latest stop that was heard of, and the latest that was resumed
    /// from. What still comes of that one is of no interest.
    pub(crate) epochs: Epochs,
    /// Our own code is in the program.
    pub(crate) has_agent: bool,
    /// Told when the program has stopped.
    pub(crate) waiting_for_stop: Vec<oneshot::Sender<()>>,
}

/// Whether the program runs, as far as the editor is to know.
#[derive(Debug)]
pub(crate) enum World {
    /// It runs.
    Running,
    /// It has stopped, and waits for the editor to be ready: what it stopped
    /// for, the latest last.
    Held(Vec<(StoppedThread, StopReason)>),
    /// It has stopped, and the editor was told so.
    Stopped {
        /// The thread that stopped first.
        first: StoppedThread,
    },
}

/// Threads that stop together are told of one by one, and some of it may be
/// on its way when the editor resumes them all.
#[derive(Debug, Default)]
pub(crate) struct Epochs {
    heard: Option<Epoch>,
    left: Option<Epoch>,
}

impl Epochs {
    /// A thread has stopped. Whether that comes too late.
    pub(crate) fn hear(&mut self, of: Epoch) -> bool {
        self.heard = self.heard.max(Some(of));
        self.is_past(of)
    }

    /// Whether this belongs to a stop that was resumed from.
    pub(crate) fn is_past(&self, of: Epoch) -> bool {
        self.left.is_some_and(|left| of <= left)
    }
}

impl Program {
    pub(crate) fn new(debuggee: Debuggee, configuration: Configuration) -> Program {
        Program {
            files: Files::new(configuration.path_mappings.clone()),
            sources: Sources::default(),
            debuggee,
            configuration,
            threads: Threads::default(),
            world: World::Running,
            frames: Handles::new("frame"),
            containers: Handles::new("variables reference"),
            local_names: LocalNames::default(),
            known_handlers: KnownHandlers::new(),
            exceptions: HashMap::new(),
            raised: HashMap::new(),
            others_run: false,
            epochs: Epochs::default(),
            has_agent: false,
            waiting_for_stop: Vec::new(),
        }
    }

    /// It is about to run: everything that belongs to the stop dies.
    pub(crate) fn moves_on(&mut self) {
        self.epochs.left = self.epochs.heard;
        self.world = World::Running;
        self.exceptions.clear();
        self.others_run = false;
        self.frames.clear();
        self.containers.clear();
        self.threads.forget_frames();
    }
}

/// The threads, by the numbers that the editor knows them by: theirs are
/// pointers, which do not survive JavaScript.
#[derive(Debug, Default)]
pub(crate) struct Threads {
    next: i64,
    by_id: HashMap<i64, Thread>,
    ids: HashMap<ThreadId, i64>,
}

#[derive(Debug)]
pub(crate) struct Thread {
    pub(crate) name: String,
    /// Its frames at the current stop, and the right to evaluate in them.
    pub(crate) stack: Option<(StoppedThread, Vec<Frame>)>,
    /// It has stopped itself. Of other threads the frames are known, and no
    /// more: they are in native code.
    has_stopped: bool,
}

impl Thread {
    /// The right to step it, at the stop of `first`.
    pub(crate) fn stopped(&self, first: StoppedThread) -> Option<StoppedThread> {
        let (stopped, _) = self.stack_at(first)?;
        self.has_stopped.then_some(*stopped)
    }

    /// Its frames, if they are of the stop of `first`.
    pub(crate) fn stack_at(&self, first: StoppedThread) -> Option<&(StoppedThread, Vec<Frame>)> {
        self.stack
            .as_ref()
            .filter(|(stopped, _)| stopped.epoch() == first.epoch())
    }
}

impl Threads {
    /// The number of a thread, a new one if it was not known.
    pub(crate) fn id_of(&mut self, thread: ThreadId) -> i64 {
        if let Some(id) = self.ids.get(&thread) {
            return *id;
        }
        self.next += 1;
        let id = self.next;
        self.ids.insert(thread, id);
        // The server tells the name with the first frames. The first thread
        // that it announces is the one that called `enable_attach`.
        let name = if id == 1 {
            "MainThread".to_owned()
        } else {
            format!("Thread-{}", id - 1)
        };
        self.by_id.insert(
            id,
            Thread {
                name,
                stack: None,
                has_stopped: false,
            },
        );
        id
    }

    /// The number of a thread that has gone.
    pub(crate) fn remove(&mut self, thread: ThreadId) -> Option<i64> {
        let id = self.ids.remove(&thread)?;
        self.by_id.remove(&id);
        Some(id)
    }

    pub(crate) fn get(&self, id: i64) -> Result<&Thread, Failure> {
        self.by_id.get(&id).ok_or(Failure::UnknownThread(id))
    }

    /// In the order in which they came.
    pub(crate) fn all(&self) -> Vec<(i64, &Thread)> {
        let mut all: Vec<_> = self.by_id.iter().map(|(id, t)| (*id, t)).collect();
        all.sort_by_key(|(id, _)| *id);
        all
    }

    pub(crate) fn set_frames(
        &mut self,
        thread: StoppedThread,
        name: Option<PyText>,
        frames: Vec<Frame>,
    ) {
        let id = self.id_of(thread.thread());
        if let Some(known) = self.by_id.get_mut(&id) {
            // Only a thread itself knows its name, and tells it when it stops.
            let same_stop = known
                .stack
                .as_ref()
                .is_some_and(|(before, _)| before.epoch() == thread.epoch());
            known.has_stopped = name.is_some() || (known.has_stopped && same_stop);
            if let Some(name) = name {
                known.name = name.to_string();
            }
            known.stack = Some((thread, frames));
        }
    }

    fn forget_frames(&mut self) {
        for thread in self.by_id.values_mut() {
            thread.stack = None;
            thread.has_stopped = false;
        }
    }
}
