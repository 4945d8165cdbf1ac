//! Answers that fit their requests.

use std::marker::PhantomData;

use dap_wire::{ErrorAnswer, Request, Responder};

use crate::Failure;

/// The one answer to a request of type `R`. Dropped without being given, it
/// tells the editor of an internal error.
pub(crate) struct Answer<R> {
    responder: Responder,
    request: PhantomData<fn() -> R>,
}

impl<R: Request> Answer<R> {
    pub(crate) fn new(responder: Responder) -> Self {
        Answer {
            responder,
            request: PhantomData,
        }
    }

    pub(crate) fn ok(self, body: R::Response) {
        self.responder.ok::<R>(body);
    }

    pub(crate) fn fail(self, failure: Failure) {
        self.responder.fail(ErrorAnswer::from(failure));
    }

    pub(crate) fn give(self, result: Result<R::Response, Failure>) {
        match result {
            Ok(body) => self.ok(body),
            Err(failure) => self.fail(failure),
        }
    }
}
