//! Every error that an editor can get, with its number.

use dap_wire::ErrorAnswer;
use ptvsd_client::{ConnectError, EvaluateError};

use crate::configuration::tls_line;

/// Why a request failed. The numbers are stable: people search for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// A request that this adapter does not have.
    UnknownRequest(String),
    /// Arguments that do not fit the request.
    BadArguments(String),
    /// A message that was no request.
    BadMessage(String),
    /// The attach configuration is wrong; the text names the field.
    BadConfiguration(String),
    /// `launch`.
    LaunchNotSupported,
    /// No session could be had.
    CannotAttach(String),
    /// A second `attach`.
    AttachedAlready,
    /// Nothing is attached.
    NotAttached,
    /// The session is over.
    SessionOver,
    /// No such thread.
    UnknownThread(i64),
    /// The program runs, or this thread does.
    ThreadRunning,
    /// The thread has not stopped for an exception.
    NoException,
    /// A reference that was never given out.
    UnknownReference(&'static str, i64),
    /// A reference of an earlier stop.
    StaleReference(&'static str),
    /// A file's text could not be read: which, and why.
    NoSource(String, String),
    /// The program answered an evaluation with an exception.
    EvaluationFailed(String),
    /// There is no frame to evaluate in.
    NothingToEvaluateIn(String),
    /// The evaluation did not end as it should.
    EvaluationEnded(EvaluateError),
    /// `terminate` could not be done.
    CannotTerminate(String),
}

impl Failure {
    fn id(&self) -> i64 {
        match self {
            Failure::UnknownRequest(_) => 1001,
            Failure::BadArguments(_) => 1002,
            Failure::BadMessage(_) => 1003,
            Failure::BadConfiguration(_) => 2001,
            Failure::LaunchNotSupported => 2002,
            Failure::CannotAttach(_) => 2003,
            Failure::AttachedAlready => 2004,
            Failure::NotAttached => 3001,
            Failure::SessionOver => 3002,
            Failure::UnknownThread(_) => 3003,
            Failure::ThreadRunning => 3004,
            Failure::UnknownReference(..) => 3005,
            Failure::StaleReference(_) => 3006,
            Failure::NoException => 3007,
            Failure::NoSource(..) => 3008,
            Failure::EvaluationFailed(_) => 4001,
            Failure::NothingToEvaluateIn(_) => 4002,
            Failure::EvaluationEnded(_) => 4003,
            Failure::CannotTerminate(_) => 5001,
        }
    }

    /// Whether a person can do something about it, and should see it even if
    /// the editor asked on its own.
    fn is_for_people(&self) -> bool {
        matches!(
            self,
            Failure::BadConfiguration(_)
                | Failure::LaunchNotSupported
                | Failure::CannotAttach(_)
                | Failure::AttachedAlready
                | Failure::CannotTerminate(_)
        )
    }

    fn short(&self) -> String {
        match self {
            Failure::BadConfiguration(_) => "The attach configuration is wrong".to_owned(),
            Failure::CannotAttach(_) => "Cannot attach".to_owned(),
            Failure::CannotTerminate(_) => "Cannot terminate the program".to_owned(),
            Failure::BadArguments(_) => "The request's arguments are wrong".to_owned(),
            Failure::BadMessage(_) => "The message cannot be read".to_owned(),
            _ => self.full(),
        }
    }

    fn full(&self) -> String {
        match self {
            Failure::UnknownRequest(command) => {
                format!("this adapter does not know the request {command:?}")
            }
            Failure::BadArguments(why)
            | Failure::BadMessage(why)
            | Failure::BadConfiguration(why)
            | Failure::CannotAttach(why)
            | Failure::EvaluationFailed(why)
            | Failure::NothingToEvaluateIn(why)
            | Failure::CannotTerminate(why) => why.clone(),
            Failure::LaunchNotSupported => {
                "this adapter attaches to programs that run already: set \"request\": \"attach\" \
                 and a \"target\" such as tcp://secret@host:5678"
                    .to_owned()
            }
            Failure::AttachedAlready => {
                "this session is attached already; disconnect first".to_owned()
            }
            Failure::NotAttached => "not attached to a program yet".to_owned(),
            Failure::SessionOver => "the debugging session is over".to_owned(),
            Failure::UnknownThread(id) => format!("there is no thread {id}"),
            Failure::ThreadRunning => "the thread is running: pause it first".to_owned(),
            Failure::NoException => "the thread has not stopped for an exception".to_owned(),
            Failure::UnknownReference(what, id) => format!("there is no {what} {id}"),
            Failure::StaleReference(what) => {
                format!("the program has moved on since: that {what} is gone")
            }
            Failure::NoSource(file, why) => format!(
                "the program could not read its source {file} ({why}). A local copy of it is \
                 shown instead if pathMappings say where it is."
            ),
            Failure::EvaluationEnded(error) => error.to_string(),
        }
    }
}

impl From<Failure> for ErrorAnswer {
    fn from(failure: Failure) -> ErrorAnswer {
        ErrorAnswer {
            id: failure.id(),
            message: failure.short(),
            detail: failure.full(),
            show_user: failure.is_for_people(),
        }
    }
}

impl From<EvaluateError> for Failure {
    fn from(error: EvaluateError) -> Failure {
        match error {
            EvaluateError::Raised(text) => Failure::EvaluationFailed(text.to_string()),
            EvaluateError::Running => Failure::ThreadRunning,
            EvaluateError::Stale => Failure::StaleReference("frame"),
            EvaluateError::Over(_) => Failure::SessionOver,
            other => Failure::EvaluationEnded(other),
        }
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Failure {
        let mut text = error.to_string();
        if let ConnectError::Untrusted { refusal, .. } = &error {
            text.push_str(&format!(
                " If you know the certificate to be right (compare its fingerprint with that of \
                 the file, where the program runs), accept it by this line in the attach \
                 configuration: {}",
                tls_line(&refusal.accepting)
            ));
        }
        Failure::CannotAttach(text)
    }
}
