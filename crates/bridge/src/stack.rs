//! Threads and their frames.

use std::sync::Arc;
use std::time::Duration;

use dap_wire::requests::{
    NoArguments, Scopes, ScopesArguments, ScopesResponse, StackTrace, StackTraceArguments,
    StackTraceResponse, Threads, ThreadsResponse,
};
use dap_wire::types::{self, ScopePresentationhint, Source, StackFrame};
use ptvsd_client::{Place, StoppedThread};
use ptvsd_wire::Frame;

use crate::Failure;
use crate::answer::Answer;
use crate::program::{Program, World};
use crate::session::{Editor, Session};
use crate::variables::Container;

/// How long the frames of a thread are waited for when the world has stopped
/// and that thread has not said where it is. It will, unless it is in native
/// code.
const FRAMES_LIMIT: Duration = Duration::from_millis(200);

/// A frame that an editor holds a number of.
#[derive(Debug, Clone)]
pub(crate) struct FrameRef {
    pub(crate) thread_id: i64,
    pub(crate) thread: StoppedThread,
    pub(crate) index: usize,
}

impl Program {
    /// The frame behind a number, as it is now.
    pub(crate) fn frame(&self, id: i64) -> Result<(Place, &Frame), Failure> {
        let frame_ref = self.frames.get(id)?;
        let gone = Failure::StaleReference("frame");
        let thread = self.threads.get(frame_ref.thread_id)?;
        let (_, frames) = thread.stack.as_ref().ok_or(gone.clone())?;
        let frame = frames.get(frame_ref.index).ok_or(gone)?;
        Ok((frame_ref.thread.frame(frame_ref.index, frame.kind()), frame))
    }
}

impl Session {
    pub(crate) fn threads(&mut self, _: NoArguments, answer: Answer<Threads>) {
        let threads = match self.program() {
            Ok(program) => program
                .threads
                .all()
                .into_iter()
                .map(|(id, thread)| types::Thread {
                    id,
                    name: thread.name.clone(),
                })
                .collect(),
            // VS Code asks as soon as it is configured, Emacs while the
            // program goes.
            Err(_) => Vec::new(),
        };
        answer.ok(ThreadsResponse { threads });
    }

    pub(crate) fn stack_trace(
        &mut self,
        arguments: StackTraceArguments,
        answer: Answer<StackTrace>,
    ) {
        let program = match self.program() {
            Ok(program) => program,
            Err(failure) => return answer.fail(failure),
        };
        match (&program.world, program.threads.get(arguments.thread_id)) {
            (_, Err(failure)) => answer.fail(failure),
            (World::Stopped { first }, Ok(thread))
                if program.others_run && thread.stopped(*first).is_none() =>
            {
                answer.fail(Failure::ThreadRunning);
            }
            (World::Stopped { first }, Ok(thread)) if thread.stack_at(*first).is_none() => {
                self.when_done(tokio::time::sleep(FRAMES_LIMIT), move |session, ()| {
                    answer.give(session.stack_page(&arguments));
                });
            }
            _ => answer.give(self.stack_page(&arguments)),
        }
    }

    fn stack_page(
        &mut self,
        arguments: &StackTraceArguments,
    ) -> Result<StackTraceResponse, Failure> {
        let editor = self.editor;
        let environment = Arc::clone(&self.environment);
        let program = self.program()?;
        let World::Stopped { first } = program.world else {
            return Err(Failure::ThreadRunning);
        };
        let thread = program.threads.get(arguments.thread_id)?;
        let (stopped, frames) = thread.stack_at(first).ok_or(Failure::ThreadRunning)?;
        let start = usize::try_from(arguments.start_frame.unwrap_or(0)).unwrap_or(0);
        let levels = match arguments.levels.map(usize::try_from) {
            Some(Ok(levels)) if levels > 0 => levels,
            _ => usize::MAX,
        };
        let total_frames = i64::try_from(frames.len()).ok();
        let mut stack_frames = Vec::new();
        for (index, frame) in frames.iter().enumerate().skip(start).take(levels) {
            let id = program.frames.add(FrameRef {
                thread_id: arguments.thread_id,
                thread: *stopped,
                index,
            });
            let file = frame.file.display();
            let source = program.sources.show(&file, &program.files, &*environment);
            stack_frames.push(stack_frame(editor, id, frame, source));
        }
        Ok(StackTraceResponse {
            stack_frames,
            total_frames,
        })
    }

    pub(crate) fn scopes(&mut self, arguments: ScopesArguments, answer: Answer<Scopes>) {
        answer.give(self.scopes_of(arguments.frame_id));
    }

    fn scopes_of(&mut self, frame_id: i64) -> Result<ScopesResponse, Failure> {
        let program = self.program()?;
        let (place, _) = program.frame(frame_id)?;
        let locals = program.containers.add(Container::Locals(frame_id));
        let mut scopes = vec![types::Scope {
            name: "Locals".to_owned(),
            variables_reference: locals,
            expensive: false,
            presentation_hint: Some(ScopePresentationhint::Locals),
            ..types::Scope::default()
        }];
        if program.configuration.show_globals {
            // A round trip, and the `repr()` of everything: not before
            // somebody looks.
            scopes.push(types::Scope {
                name: "Globals".to_owned(),
                variables_reference: program.containers.add(Container::Globals(place)),
                expensive: true,
                ..types::Scope::default()
            });
        }
        Ok(ScopesResponse { scopes })
    }
}

fn stack_frame(editor: Editor, id: i64, frame: &Frame, source: Source) -> StackFrame {
    StackFrame {
        id,
        name: frame.function.to_string(),
        line: editor.line(frame.line),
        column: editor.first_column(),
        source: Some(source),
        ..StackFrame::default()
    }
}
