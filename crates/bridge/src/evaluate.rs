//! Expressions and statements.

use dap_wire::events::{self, InvalidatedBody};
use dap_wire::requests::{Evaluate, EvaluateArguments, EvaluateResponse};
use dap_wire::types::{EvaluateArgumentsContext, InvalidatedAreas};
use ptvsd_client::{EvaluateError, Place};
use ptvsd_wire::{Object, ReprKind};

use crate::Failure;
use crate::answer::Answer;
use crate::expression::as_operand;
use crate::program::{Program, World};
use crate::session::Session;
use crate::variables::Shown;

/// Where expressions are evaluated when no frame is given and the program
/// runs.
const MAIN_MODULE: &str = "__main__";

impl Session {
    pub(crate) fn evaluate(&mut self, arguments: EvaluateArguments, answer: Answer<Evaluate>) {
        let program = match self.program() {
            Ok(program) => program,
            Err(failure) => return answer.fail(failure),
        };
        let place = match program.place_for(arguments.frame_id) {
            Ok(place) => place,
            Err(failure) => return answer.fail(failure),
        };
        // Leading blanks are an indentation error to Python.
        let text = arguments.expression.trim();
        match place {
            Some(place) => {
                let value = program.debuggee.evaluate(place, text, ReprKind::Normal);
                self.when_done(value, move |session, result| {
                    session.evaluated(&arguments, Some(place), result, answer);
                });
            }
            None => {
                let debuggee = &program.debuggee;
                let value = debuggee.evaluate_in_module(MAIN_MODULE, text, ReprKind::Normal);
                self.when_done(value, move |session, result| {
                    session.evaluated(&arguments, None, result, answer);
                });
            }
        }
    }

    fn evaluated(
        &mut self,
        arguments: &EvaluateArguments,
        place: Option<Place>,
        result: Result<Object, EvaluateError>,
        answer: Answer<Evaluate>,
    ) {
        let is_repl = matches!(arguments.context, Some(EvaluateArgumentsContext::Repl));
        if is_repl && self.editor.invalidated_event {
            // It may have changed anything.
            self.outbox.event::<events::Invalidated>(InvalidatedBody {
                areas: Some(vec![InvalidatedAreas::Variables]),
                ..InvalidatedBody::default()
            });
        }
        let rendered = result.map_err(Failure::from).and_then(|object| {
            let hex = arguments
                .format
                .as_ref()
                .and_then(|format| format.hex)
                .unwrap_or(false);
            let shown = Shown {
                name: String::new(),
                // Nothing can be asked of it while the program runs.
                expression: place.map(|_| as_operand(arguments.expression.trim())),
                object: &object,
            };
            let program = self.program()?;
            match place {
                Some(place) => Ok(shown.render(&mut program.containers, place, hex)),
                None => Ok(shown.render_alone(hex)),
            }
        });
        answer.give(rendered.map(|rendered| {
            // Statements have the value None, which the prompt hides as
            // Python's own does.
            let hidden = is_repl && rendered.type_name.as_deref() == Some("NoneType");
            EvaluateResponse {
                result: if hidden {
                    String::new()
                } else {
                    rendered.value
                },
                type_field: rendered.type_name,
                variables_reference: rendered.reference,
                indexed_variables: rendered.indexed,
                presentation_hint: rendered.hint,
                ..EvaluateResponse::default()
            }
        }));
    }
}

impl Program {
    /// The frame to evaluate in; none for the main module of a program that
    /// runs.
    pub(crate) fn place_for(&self, frame_id: Option<i64>) -> Result<Option<Place>, Failure> {
        if let Some(frame_id) = frame_id {
            return self.frame(frame_id).map(|(place, _)| Some(place));
        }
        if let World::Stopped { first } = self.world {
            let stack = self
                .threads
                .all()
                .into_iter()
                .filter_map(|(_, thread)| thread.stack.as_ref())
                .find(|(stopped, _)| stopped.thread() == first.thread());
            if let Some((stopped, frames)) = stack
                && let Some(top) = frames.first()
            {
                return Ok(Some(stopped.frame(0, top.kind())));
            }
        }
        if self.debuggee.dialect().has_module_execution() {
            return Ok(None);
        }
        Err(Failure::NothingToEvaluateIn(format!(
            "the program is running, and ptvsd {} evaluates only in a program that has stopped: \
             pause it first",
            self.debuggee.dialect().releases()
        )))
    }
}
