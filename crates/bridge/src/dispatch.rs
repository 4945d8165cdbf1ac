//! Which handler answers which request, and in which state.

use dap_wire::requests::{
    Attach, Cancel, ConfigurationDone, Continue, Disconnect, Evaluate, ExceptionInfo, Initialize,
    Launch, Next, Pause, Scopes, SetBreakpoints, SetExceptionBreakpoints, SetFunctionBreakpoints,
    Source, StackTrace, StepIn, StepOut, Terminate, Threads, Variables,
};
use dap_wire::{RawRequest, Request};
use ptvsd_client::StepKind;

use crate::Failure;
use crate::answer::Answer;
use crate::session::Session;

impl Session {
    pub(crate) fn dispatch(&mut self, request: RawRequest) {
        if self.changes.are_under_way() && must_follow_breakpoints(&request.command) {
            return self.changes.hold(request);
        }
        match request.command.as_str() {
            // The session.
            Initialize::COMMAND => self.answer::<Initialize>(&request, Session::initialize),
            Launch::COMMAND => self.answer::<Launch>(&request, |_, _, answer| {
                answer.fail(Failure::LaunchNotSupported);
            }),
            Attach::COMMAND => self.attach(&request),
            SetBreakpoints::COMMAND => {
                self.answer::<SetBreakpoints>(&request, Session::set_breakpoints);
            }
            SetFunctionBreakpoints::COMMAND => {
                self.answer::<SetFunctionBreakpoints>(&request, Session::set_function_breakpoints)
            }
            SetExceptionBreakpoints::COMMAND => {
                self.answer::<SetExceptionBreakpoints>(&request, Session::set_exception_breakpoints)
            }
            Threads::COMMAND => self.answer::<Threads>(&request, Session::threads),
            Cancel::COMMAND => {
                // Nothing that could be cancelled is worth it; the answer to
                // the request itself comes all the same.
                self.answer::<Cancel>(&request, |_, _, answer| answer.ok(()));
            }
            Disconnect::COMMAND => self.answer::<Disconnect>(&request, Session::disconnect),
            Terminate::COMMAND => self.answer::<Terminate>(&request, Session::terminate),

            // Whether it can be done now, each handler says itself.
            ConfigurationDone::COMMAND => {
                self.answer::<ConfigurationDone>(&request, Session::configuration_done);
            }
            Pause::COMMAND => self.answer::<Pause>(&request, Session::pause),
            Evaluate::COMMAND => self.answer::<Evaluate>(&request, Session::evaluate),

            Continue::COMMAND => self.answer::<Continue>(&request, Session::continue_),
            Next::COMMAND => self.answer::<Next>(&request, |session, arguments, answer| {
                session.step(arguments.thread_id, StepKind::Over, answer);
            }),
            StepIn::COMMAND => self.answer::<StepIn>(&request, |session, arguments, answer| {
                session.step(arguments.thread_id, StepKind::Into, answer);
            }),
            StepOut::COMMAND => self.answer::<StepOut>(&request, |session, arguments, answer| {
                session.step(arguments.thread_id, StepKind::Out, answer);
            }),
            StackTrace::COMMAND => self.answer::<StackTrace>(&request, Session::stack_trace),
            Scopes::COMMAND => self.answer::<Scopes>(&request, Session::scopes),
            ExceptionInfo::COMMAND => {
                self.answer::<ExceptionInfo>(&request, Session::exception_info);
            }
            Source::COMMAND => self.answer::<Source>(&request, Session::source),
            Variables::COMMAND => self.answer::<Variables>(&request, Session::variables),

            unknown => {
                let failure = Failure::UnknownRequest(unknown.to_owned());
                self.outbox.responder(&request).fail(failure.into());
            }
        }
    }

    /// Reads the arguments, and lets the handler answer.
    fn answer<R: Request>(
        &mut self,
        request: &RawRequest,
        handler: impl FnOnce(&mut Session, R::Arguments, Answer<R>),
    ) {
        let answer = self.answer_to::<R>(request);
        match request.parse::<R>() {
            Ok(arguments) => handler(self, arguments, answer),
            Err(why) => answer.fail(Failure::BadArguments(why)),
        }
    }

    pub(crate) fn answer_to<R: Request>(&self, request: &RawRequest) -> Answer<R> {
        Answer::new(self.outbox.responder(request))
    }
}

/// What lets the program run runs it with the breakpoints that were set before,
/// and a pause is of what was let run before.
fn must_follow_breakpoints(command: &str) -> bool {
    [
        ConfigurationDone::COMMAND,
        Continue::COMMAND,
        Next::COMMAND,
        StepIn::COMMAND,
        StepOut::COMMAND,
        Pause::COMMAND,
    ]
    .contains(&command)
}
