//! Servers that let the debugger go without a word.
//!
//! A JSON server on Python 2 takes text that it cannot encode, bytes that are
//! no UTF-8, for a lost connection: it detaches by itself, and the connection
//! stays open (protocol-notes/traps.md, "Text that cannot be encoded"). The
//! agent mends that. Without it the editor is told beforehand, and where the
//! server can be asked while the program runs, when it has happened.

use std::time::Duration;

use ptvsd_client::EvaluateError;
use ptvsd_wire::{Family, Object, ReprKind};

use crate::session::Session;

/// How often the server is asked.
const ASK_EVERY: Duration = Duration::from_secs(3);
/// Where it keeps whether a debugger is attached, and under what name.
const DEBUGGER_MODULE: &str = "ptvsd.debugger";
const DETACHED: &str = "DETACHED";

impl Session {
    /// At the beginning of a session.
    pub(crate) fn expect_silence(&mut self) {
        let Ok(program) = self.program() else {
            return;
        };
        let dialect = program.debuggee.dialect();
        let python = program.debuggee.attached().major;
        if program.has_agent || dialect.family() != Family::Json || python != 2 {
            return;
        }
        let can_ask = dialect.has_module_execution();
        self.console(format!(
            "Without the agent, ptvsd {} on Python 2 ends the session without a word when the \
             program prints bytes that are not UTF-8. Leave \"agent\": false out where that can \
             happen.",
            dialect.releases()
        ));
        if can_ask {
            self.listen_for_silence();
        }
    }

    fn listen_for_silence(&mut self) {
        self.after(ASK_EVERY, |session| {
            let Ok(program) = session.program() else {
                return;
            };
            let answer =
                program
                    .debuggee
                    .evaluate_in_module(DEBUGGER_MODULE, DETACHED, ReprKind::Normal);
            session.when_done(answer, Session::heard_of_silence);
        });
    }

    fn heard_of_silence(&mut self, answer: Result<Object, EvaluateError>) {
        let has_gone = answer
            .ok()
            .and_then(|object| object.repr)
            .is_some_and(|shown| shown.display() == "True");
        if !has_gone || self.program().is_err() {
            return self.listen_for_silence();
        }
        self.console(
            "The program's debug server has let the debugger go, and the program runs on: it \
             printed bytes that are not UTF-8, or a variable holds some. Attach again without \
             \"agent\": false, and they are shown.",
        );
        self.leave(Vec::new());
    }
}
