//! Exactly one answer to each request.

use crate::envelope::Request;
use crate::outbox::Outbox;

/// The id of the answer to a request that the adapter forgot, or could not put
/// into JSON. The other ids are the adapter's own to choose.
pub const INTERNAL_ERROR_ID: i64 = 1;

/// An answer that says what went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorAnswer {
    /// From the adapter's catalogue of errors.
    pub id: i64,
    /// Short; `cancelled` and `notStopped` mean something to editors.
    pub message: String,
    /// The whole story, with its remedy. May be the same as `message`.
    pub detail: String,
    /// Whether the person should see it, rather than the log alone.
    pub show_user: bool,
}

/// The duty to answer one request.
///
/// Answering consumes it. Dropped, as by an early return or a task that was
/// cancelled, it answers with an internal error: an editor waits for ever for
/// an answer that does not come.
#[must_use = "dropping it answers with an internal error"]
pub struct Responder {
    outbox: Outbox,
    seq: i64,
    command: String,
    answered: bool,
}

impl Responder {
    pub(crate) fn new(outbox: Outbox, seq: i64, command: String) -> Self {
        Self {
            outbox,
            seq,
            command,
            answered: false,
        }
    }

    /// The command to answer.
    pub fn command(&self) -> &str {
        &self.command
    }

    /// The editor's number of the request.
    pub fn seq(&self) -> i64 {
        self.seq
    }

    /// Answers that it is done.
    pub fn ok<R: Request>(mut self, body: R::Response) {
        debug_assert_eq!(self.command, R::COMMAND, "an answer to another request");
        match self.outbox.success(self.seq, &self.command, &body) {
            Ok(()) => self.answered = true,
            // Left to `drop`.
            Err(error) => {
                tracing::error!(command = self.command, %error, "an answer that is no JSON");
            }
        }
    }

    /// Answers that it cannot be done.
    pub fn fail(mut self, error: ErrorAnswer) {
        self.answered = true;
        self.outbox.failure(self.seq, &self.command, &error);
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        if self.answered {
            return;
        }
        tracing::error!(
            command = self.command,
            seq = self.seq,
            "a request was left unanswered"
        );
        let error = ErrorAnswer {
            id: INTERNAL_ERROR_ID,
            message: "internal error".to_owned(),
            detail: format!(
                "The debug adapter gave no answer to `{}`. This is a fault of the adapter: \
                 please report it with the adapter's log.",
                self.command
            ),
            show_user: false,
        };
        self.outbox.failure(self.seq, &self.command, &error);
    }
}

impl std::fmt::Debug for Responder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Responder")
            .field("seq", &self.seq)
            .field("command", &self.command)
            .finish_non_exhaustive()
    }
}
