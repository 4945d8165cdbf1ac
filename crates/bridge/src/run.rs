//! Going on, and stopping.

use dap_wire::Request;
use dap_wire::requests::{Continue, ContinueArguments, ContinueResponse, Pause, PauseArguments};
use ptvsd_client::StepKind;

use crate::Failure;
use crate::answer::Answer;
use crate::program::World;
use crate::session::Session;

impl Session {
    pub(crate) fn continue_(&mut self, _: ContinueArguments, answer: Answer<Continue>) {
        let program = match self.program() {
            Ok(program) => program,
            Err(failure) => return answer.fail(failure),
        };
        if let World::Running = program.world {
            // Threads that stop together are reported one by one, and some
            // editors continue each. A stop that is on its way to the editor
            // meanwhile must not be resumed before it is seen.
            return answer.ok(ContinueResponse {
                all_threads_continued: Some(true),
            });
        }
        program.moves_on();
        let resumed = program.debuggee.resume();
        // Answered before the program can stop again: an editor that hears of
        // a stop first takes this answer for the end of it.
        answer.ok(ContinueResponse {
            all_threads_continued: Some(true),
        });
        self.when_done(resumed, |_, result| {
            tracing::debug!(?result, "resumed");
        });
    }

    pub(crate) fn step<R: Request<Response = ()>>(
        &mut self,
        thread_id: i64,
        kind: StepKind,
        answer: Answer<R>,
    ) {
        let program = match self.program() {
            Ok(program) => program,
            Err(failure) => return answer.fail(failure),
        };
        let thread = match program.threads.get(thread_id) {
            Err(failure) => return answer.fail(failure),
            Ok(thread) => thread,
        };
        let stopped = match program.world {
            World::Stopped { first } => thread.stopped(first),
            World::Running | World::Held(_) => None,
        };
        let Some(stopped) = stopped else {
            return answer.fail(Failure::ThreadRunning);
        };
        program.moves_on();
        let stepped = program.debuggee.step(stopped, kind);
        answer.ok(());
        self.when_done(stepped, |session, result| {
            if let Err(error) = result {
                session.console(format!("The program went on without a step: {error}."));
                session.go_on_all_the_same();
            }
        });
    }

    /// The editor was told that the program runs, so it must.
    fn go_on_all_the_same(&mut self) {
        if let Ok(program) = self.program()
            && let World::Running = program.world
        {
            let resumed = program.debuggee.resume();
            self.when_done(resumed, |_, _| {});
        }
    }

    pub(crate) fn pause(&mut self, _: PauseArguments, answer: Answer<Pause>) {
        match self.program() {
            Ok(program) => {
                program.debuggee.pause();
                answer.ok(());
            }
            Err(failure) => answer.fail(failure),
        }
    }
}
