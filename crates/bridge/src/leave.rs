//! Disconnecting, and ending the program where that is allowed.

use std::future::Future;
use std::time::Duration;

use dap_wire::Request;
use dap_wire::requests::{Disconnect, DisconnectArguments, Terminate, TerminateArguments};
use ptvsd_client::Ended;
use ptvsd_wire::ReprKind;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::Failure;
use crate::answer::Answer;
use crate::program::{Program, World};
use crate::session::{Done, Phase, Session};

/// Ends the process. Where there are signals, in a way that the program can
/// handle.
const END_PROGRAM: &str = "(lambda os: os.kill(os.getpid(), 15) if hasattr(os, 'kill') else \
                           os._exit(1))(__import__('os'))";
/// How long a running program may take to stop, to be ended.
const STOP_LIMIT: Duration = Duration::from_secs(3);
/// How long it may take to end.
const END_LIMIT: Duration = Duration::from_secs(1);

/// What to do when the program cannot be ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OnFailure {
    /// The editor goes in any case.
    Leave,
    /// The editor can try again.
    Stay,
}

impl Session {
    /// The program runs on, as if no debugger had been there.
    pub(crate) fn disconnect(
        &mut self,
        arguments: DisconnectArguments,
        answer: Answer<Disconnect>,
    ) {
        // VS Code asks for the program's end when it restarts a session.
        let restart = arguments.restart.unwrap_or(false);
        let terminate = arguments.terminate_debuggee.unwrap_or(false) && !restart;
        match &mut self.phase {
            Phase::Idle => {
                answer.ok(());
                self.phase = Phase::Over;
            }
            // A handshake that was begun is finished, and then undone.
            Phase::Attaching(leave) => leave.push(Box::new(move || answer.ok(()))),
            Phase::Attached(program) if terminate && program.configuration.allow_terminate => {
                self.end_program(answer, OnFailure::Leave);
            }
            Phase::Attached(_) => self.leave(vec![Box::new(move || answer.ok(()))]),
            Phase::Leaving | Phase::Over => answer.ok(()),
        }
    }

    /// Does what `disconnect` does, unless the configuration allows more:
    /// some editors send it whenever they quit.
    pub(crate) fn terminate(&mut self, _: TerminateArguments, answer: Answer<Terminate>) {
        match &mut self.phase {
            Phase::Idle => {
                answer.ok(());
                self.phase = Phase::Over;
            }
            Phase::Attaching(leave) => leave.push(Box::new(move || answer.ok(()))),
            Phase::Attached(program) if program.configuration.allow_terminate => {
                self.end_program(answer, OnFailure::Stay);
            }
            Phase::Attached(_) => {
                self.console("The program runs on: allowTerminate is not set.");
                self.leave(vec![Box::new(move || answer.ok(()))]);
            }
            Phase::Leaving | Phase::Over => answer.ok(()),
        }
    }

    /// Detaches, answers, and tells the editor that it is over: in this
    /// order, because Emacs kills the adapter when it hears that.
    pub(crate) fn leave(&mut self, done: Vec<Done>) {
        let Ok(program) = self.program() else {
            return;
        };
        let detached = program.debuggee.detach();
        self.phase = Phase::Leaving;
        self.when_done(detached, move |session, how| {
            if how == Ended::DetachedUnconfirmed {
                session.console(
                    "The program's debug server did not confirm that it let go. Check that the \
                     program runs on.",
                );
            }
            done.into_iter().for_each(|done| done());
            session.report_terminated();
            session.phase = Phase::Over;
        });
    }

    fn end_program<R: Request<Response = ()> + 'static>(
        &mut self,
        answer: Answer<R>,
        on_failure: OnFailure,
    ) {
        let Ok(program) = self.program() else {
            return answer.fail(Failure::NotAttached);
        };
        if let Some(ending) = program.end() {
            self.when_done(ending, |session, ()| session.leave(Vec::new()));
            return answer.ok(());
        }
        // It runs: stop it first.
        let (stopped, stop) = oneshot::channel();
        program.waiting_for_stop.push(stopped);
        program.debuggee.pause();
        self.when_done(timeout(STOP_LIMIT, stop), move |session, _| {
            let ending = session.program().ok().and_then(|program| program.end());
            match ending {
                Some(ending) => {
                    answer.ok(());
                    session.when_done(ending, |session, ()| session.leave(Vec::new()));
                }
                None if on_failure == OnFailure::Leave => {
                    session.console(
                        "The program runs on: it did not stop to be ended, because all of its \
                         threads are in native code.",
                    );
                    session.leave(vec![Box::new(move || answer.ok(()))]);
                }
                None => answer.fail(Failure::CannotTerminate(
                    "the program did not stop to be ended: all of its threads are in native code. \
                     It has been asked to stop at its next line; try again then, or disconnect."
                        .to_owned(),
                )),
            }
        });
    }
}

impl Program {
    /// Ends the process, if there is a way to now. Done when it has, or does
    /// not: the connection's end is told by the session itself.
    fn end(&self) -> Option<impl Future<Output = ()> + Send + 'static + use<>> {
        let stopped = match &self.world {
            World::Stopped { first } => Some(first),
            World::Held(stops) => stops.last().map(|(thread, _)| thread),
            World::Running => None,
        };
        let Some(stopped) = stopped else {
            if !self.debuggee.dialect().has_module_execution() {
                return None;
            }
            let ended = self
                .debuggee
                .evaluate_in_module("__main__", END_PROGRAM, ReprKind::Normal);
            return Some(within_limit(Box::pin(ended)));
        };
        let place = stopped.frame(0, ptvsd_wire::FrameKind::Python);
        let ended = self.debuggee.evaluate(place, END_PROGRAM, ReprKind::Normal);
        Some(within_limit(Box::pin(ended)))
    }
}

async fn within_limit<T>(ended: std::pin::Pin<Box<dyn Future<Output = T> + Send>>) {
    let _ = timeout(END_LIMIT, ended).await;
}
