//! Values and what is in them.

use std::collections::{HashMap, HashSet};

use dap_wire::requests::{Variables, VariablesArguments, VariablesResponse};
use dap_wire::types::{
    Variable, VariablePresentationHint, VariablePresentationHintAttributes,
    VariablesArgumentsFilter,
};
use futures_util::future::try_join_all;
use ptvsd_client::Place;
use ptvsd_wire::{Child, ChildKey, Frame, Object, ObjectFlags};

use crate::Failure;
use crate::answer::Answer;
use crate::expression::{as_operand, in_brackets, is_identifier, string_literal};
use crate::handles::Handles;
use crate::program::Program;
use crate::session::Session;

/// What the server shows for a local that has no value yet.
const UNDEFINED: &str = "<undefined>";
/// The names of the locals, as the keys of a dictionary whose values cost
/// nothing to show.
const LOCAL_NAMES: &str = "{}.fromkeys(locals())";
/// More children than this the servers do not send at once.
const SERVER_LIMIT: usize = 10_000;
/// On Jython the JSON servers send no more than 64 KB of a message, and what
/// is left of it never comes (protocol-notes/traps.md, "cut messages").
const JYTHON_LIMIT: usize = 200;

/// Something that has variables in it.
#[derive(Debug, Clone)]
pub(crate) enum Container {
    /// The locals of the frame with this number.
    Locals(i64),
    /// The globals that this frame sees.
    Globals(Place),
    /// A value.
    Value(Value),
}

/// A value that can be expanded.
#[derive(Debug, Clone)]
pub(crate) struct Value {
    place: Place,
    expression: String,
    /// Of a list or a tuple: these are fetched in parts.
    length: Option<usize>,
}

/// Which names are locals. The servers list the globals that a function uses
/// among its locals, and do not say which is which.
#[derive(Debug, Default)]
pub(crate) struct LocalNames {
    functions: HashMap<(String, i64, String), Names>,
}

#[derive(Debug, Default)]
struct Names {
    locals: HashSet<String>,
    globals: HashSet<String>,
}

impl LocalNames {
    fn of(&mut self, frame: &Frame) -> &mut Names {
        let key = (
            frame.file.to_string(),
            frame.first_line,
            frame.function.to_string(),
        );
        self.functions.entry(key).or_default()
    }
}

impl Session {
    pub(crate) fn variables(&mut self, arguments: VariablesArguments, answer: Answer<Variables>) {
        let hex = arguments
            .format
            .as_ref()
            .and_then(|format| format.hex)
            .unwrap_or(false);
        let program = match self.program() {
            Ok(program) => program,
            Err(failure) => return answer.fail(failure),
        };
        let container = match program.containers.get(arguments.variables_reference) {
            Ok(container) => container.clone(),
            Err(failure) => return answer.fail(failure),
        };
        match container {
            Container::Locals(frame_id) => self.locals(frame_id, arguments, hex, answer),
            Container::Globals(place) => {
                let children = program.debuggee.children(place, "globals()");
                self.when_done(children, move |session, result| {
                    answer.give(session.with_program(result, |program, children| {
                        let variables = globals(&mut program.containers, place, &children, hex);
                        page(variables, &arguments)
                    }));
                });
            }
            Container::Value(value) => self.value(value, arguments, hex, answer),
        }
    }

    fn with_program<T, E: Into<Failure>>(
        &mut self,
        result: Result<T, E>,
        then: impl FnOnce(&mut Program, T) -> Vec<Variable>,
    ) -> Result<VariablesResponse, Failure> {
        let value = result.map_err(Into::into)?;
        let variables = then(self.program()?, value);
        Ok(VariablesResponse { variables })
    }

    // Locals.

    fn locals(
        &mut self,
        frame_id: i64,
        arguments: VariablesArguments,
        hex: bool,
        answer: Answer<Variables>,
    ) {
        let program = match self.program() {
            Ok(program) => program,
            Err(failure) => return answer.fail(failure),
        };
        let place = match program.unclassified_names(frame_id) {
            Err(failure) => return answer.fail(failure),
            Ok(place) => place,
        };
        let Some(place) = place else {
            return answer.give(self.local_variables(frame_id, &arguments, hex));
        };
        let names = program.debuggee.children(place, LOCAL_NAMES);
        self.when_done(names, move |session, result| {
            // Without an answer all of them are shown.
            if let (Ok(children), Ok(program)) = (result, session.program()) {
                program.classify_names(frame_id, &children);
            }
            answer.give(session.local_variables(frame_id, &arguments, hex));
        });
    }

    fn local_variables(
        &mut self,
        frame_id: i64,
        arguments: &VariablesArguments,
        hex: bool,
    ) -> Result<VariablesResponse, Failure> {
        let program = self.program()?;
        let (place, frame) = program.frame(frame_id)?;
        let frame = frame.clone();
        let names = program.local_names.of(&frame);
        let mut variables = Vec::new();
        for variable in &frame.variables {
            let name = variable.name.to_string();
            if is_undefined(&variable.object) || names.globals.contains(&name) {
                continue;
            }
            let shown = Shown {
                // Those of comprehensions have names like `.0`.
                expression: is_identifier(&name).then(|| name.clone()),
                name,
                object: &variable.object,
            };
            variables.push(shown.variable(&mut program.containers, place, hex));
        }
        Ok(VariablesResponse {
            variables: page(variables, arguments),
        })
    }

    // Values.

    fn value(
        &mut self,
        value: Value,
        arguments: VariablesArguments,
        hex: bool,
        answer: Answer<Variables>,
    ) {
        let program = match self.program() {
            Ok(program) => program,
            Err(failure) => return answer.fail(failure),
        };
        let named_only = matches!(arguments.filter, Some(VariablesArgumentsFilter::Named));
        let Some((from, to)) = value.slice(&arguments) else {
            let children = program.debuggee.children(value.place, &value.expression);
            self.when_done(children, move |session, result| {
                answer.give(session.with_program(result, |program, children| {
                    let variables = items(&mut program.containers, &value, &children, hex);
                    page(variables, &arguments)
                }));
            });
            return;
        };
        if named_only || from >= to {
            return answer.ok(VariablesResponse::default());
        }
        let at_once = if program.files.are_of_jython() {
            JYTHON_LIMIT
        } else {
            SERVER_LIMIT
        };
        let parent = as_operand(&value.expression);
        let parts: Vec<_> = (from..to)
            .step_by(at_once)
            .map(|part| {
                let end = to.min(part.saturating_add(at_once));
                let slice = format!("{parent}[{part}:{end}]");
                program.debuggee.children(value.place, &slice)
            })
            .collect();
        self.when_done(try_join_all(parts), move |session, result| {
            answer.give(session.with_program(result, |program, parts| {
                let children: Vec<Child> = parts.into_iter().flatten().collect();
                let mut items = slice_items(&mut program.containers, &value, from, &children, hex);
                items.extend(value.rest_after(&arguments, to));
                items
            }));
        });
    }
}

impl Program {
    /// Where to ask for the names of locals, if it is not known of every
    /// variable of the frame whether it is one.
    fn unclassified_names(&mut self, frame_id: i64) -> Result<Option<Place>, Failure> {
        let (place, frame) = self.frame(frame_id)?;
        let frame = frame.clone();
        // A module's variables are its globals. Arguments come first.
        if frame.function == *"<module>" {
            return Ok(None);
        }
        let arguments = usize::try_from(frame.argument_count).unwrap_or(0);
        let names = self.local_names.of(&frame);
        let known = frame
            .variables
            .iter()
            .skip(arguments)
            .filter(|variable| !is_undefined(&variable.object))
            .all(|variable| {
                let name = variable.name.display();
                names.locals.contains(&*name) || names.globals.contains(&*name)
            });
        Ok((!known).then_some(place))
    }

    fn classify_names(&mut self, frame_id: i64, locals: &[Child]) {
        let Ok((_, frame)) = self.frame(frame_id) else {
            return;
        };
        let frame = frame.clone();
        let locals: HashSet<String> = locals
            .iter()
            .filter_map(|child| {
                let name = child.name.display();
                Some(string_literal(in_brackets(&name)?)?.to_owned())
            })
            .collect();
        if locals.is_empty() {
            // Or the question failed, which gives no children either.
            return;
        }
        let names = self.local_names.of(&frame);
        for variable in &frame.variables {
            let name = variable.name.to_string();
            if locals.contains(&name) {
                names.globals.remove(&name);
                names.locals.insert(name);
            } else if !is_undefined(&variable.object) {
                names.globals.insert(name);
            }
        }
    }
}

fn is_undefined(object: &Object) -> bool {
    object.type_name == *"unknown" && object.repr.as_ref().is_some_and(|repr| *repr == *UNDEFINED)
}

impl Value {
    /// The part that is asked for, of a value that is fetched in parts.
    fn slice(&self, arguments: &VariablesArguments) -> Option<(usize, usize)> {
        let length = self.length?;
        let from = usize_or(arguments.start, 0);
        let count = match usize_or(arguments.count, 0) {
            0 => SERVER_LIMIT,
            count => count.min(SERVER_LIMIT),
        };
        Some((from, from.saturating_add(count).min(length)))
    }
}

impl Value {
    /// A line that says that there are more, if all were asked for and are
    /// too many to be sent.
    fn rest_after(&self, arguments: &VariablesArguments, end: usize) -> Option<Variable> {
        let length = self.length?;
        let all_wanted = usize_or(arguments.count, 0) == 0;
        (all_wanted && end < length).then(|| Variable {
            name: "...".to_owned(),
            value: format!("{} more", length - end),
            ..Variable::default()
        })
    }
}

/// A value on its way to the editor.
pub(crate) struct Shown<'a> {
    pub(crate) name: String,
    /// How it is reached; absent when it is not.
    pub(crate) expression: Option<String>,
    pub(crate) object: &'a Object,
}

/// What can be said of a value, as a variable and as a result.
pub(crate) struct Rendered {
    pub(crate) value: String,
    pub(crate) type_name: Option<String>,
    pub(crate) reference: i64,
    pub(crate) indexed: Option<i64>,
    pub(crate) hint: Option<VariablePresentationHint>,
}

impl Shown<'_> {
    /// With a reference under which its children can be had.
    pub(crate) fn render(
        &self,
        containers: &mut Handles<Container>,
        place: Place,
        hex: bool,
    ) -> Rendered {
        let mut rendered = self.render_alone(hex);
        let Some(expression) = self
            .expression
            .as_ref()
            .filter(|_| self.object.is_expandable())
        else {
            return rendered;
        };
        let is_sequence = matches!(rendered.type_name.as_deref(), Some("list" | "tuple"));
        let length = self
            .object
            .length
            .filter(|length| is_sequence && *length > 0);
        rendered.indexed = length;
        rendered.reference = containers.add(Container::Value(Value {
            place,
            expression: expression.clone(),
            length: length.and_then(|length| usize::try_from(length).ok()),
        }));
        rendered
    }

    /// Without its children.
    pub(crate) fn render_alone(&self, hex: bool) -> Rendered {
        let object = self.object;
        let type_name = object.type_name.to_string();
        // Python has no hexadecimal truth.
        let hex = object.hex.as_ref().filter(|_| hex && type_name != "bool");
        let effects = object.flags.contains(ObjectFlags::SIDE_EFFECTS);
        Rendered {
            value: hex
                .or(object.repr.as_ref())
                .map(ToString::to_string)
                .unwrap_or_default(),
            type_name: (!type_name.is_empty()).then_some(type_name),
            reference: 0,
            indexed: None,
            hint: effects.then(|| VariablePresentationHint {
                attributes: Some(vec![VariablePresentationHintAttributes::HasSideEffects]),
                ..VariablePresentationHint::default()
            }),
        }
    }

    fn variable(self, containers: &mut Handles<Container>, place: Place, hex: bool) -> Variable {
        let rendered = self.render(containers, place, hex);
        Variable {
            name: self.name,
            value: rendered.value,
            type_field: rendered.type_name,
            evaluate_name: self.expression,
            variables_reference: rendered.reference,
            indexed_variables: rendered.indexed,
            presentation_hint: rendered.hint,
            ..Variable::default()
        }
    }
}

/// The children of a value.
fn items(
    containers: &mut Handles<Container>,
    value: &Value,
    children: &[Child],
    hex: bool,
) -> Vec<Variable> {
    let mut variables = Vec::new();
    let mut position = 0;
    for child in children {
        // Another way to the same children: `items()`, `viewitems()`.
        if child.object.flags.contains(ObjectFlags::METHOD_CALL)
            && !child.object.flags.contains(ObjectFlags::SIDE_EFFECTS)
        {
            continue;
        }
        let name = child.name.to_string();
        let parent = as_operand(&value.expression);
        let expression = match &child.key {
            ChildKey::Expression(expression) => Some(expression.to_string()),
            ChildKey::Unreachable => None,
            ChildKey::Attribute => Some(format!("{parent}.{name}")),
            ChildKey::Subscript => Some(format!("{parent}{name}")),
            ChildKey::Position => Some(format!("list({})[{position}]", value.expression)),
        };
        if matches!(child.key, ChildKey::Subscript | ChildKey::Position) {
            position += 1;
        }
        let shown = Shown {
            name: in_brackets(&name)
                .filter(|inside| *inside != "...")
                .unwrap_or(&name)
                .to_owned(),
            expression,
            object: &child.object,
        };
        variables.push(shown.variable(containers, value.place, hex));
    }
    variables
}

/// The items of a part of a list or tuple, numbered as in the whole.
fn slice_items(
    containers: &mut Handles<Container>,
    value: &Value,
    from: usize,
    children: &[Child],
    hex: bool,
) -> Vec<Variable> {
    let parent = as_operand(&value.expression);
    let in_slice = children
        .iter()
        .filter(|child| in_brackets(&child.name.display()).is_some());
    in_slice
        .enumerate()
        .map(|(at, child)| {
            let index = from + at;
            let shown = Shown {
                name: index.to_string(),
                expression: Some(format!("{parent}[{index}]")),
                object: &child.object,
            };
            shown.variable(containers, value.place, hex)
        })
        .collect()
}

/// The globals, under their own names; Python's own among them last.
fn globals(
    containers: &mut Handles<Container>,
    place: Place,
    children: &[Child],
    hex: bool,
) -> Vec<Variable> {
    let mut variables: Vec<Variable> = children
        .iter()
        .filter_map(|child| {
            let key = child.name.display();
            let name = string_literal(in_brackets(&key)?)?;
            // All of Python's built-ins.
            if name == "__builtins__" {
                return None;
            }
            let expression = if is_identifier(name) {
                name.to_owned()
            } else {
                format!("globals(){key}")
            };
            let shown = Shown {
                name: name.to_owned(),
                expression: Some(expression),
                object: &child.object,
            };
            Some(shown.variable(containers, place, hex))
        })
        .collect();
    variables.sort_by_key(|variable| variable.name.starts_with("__"));
    variables
}

/// The part of a whole list of variables that was asked for.
fn page(variables: Vec<Variable>, arguments: &VariablesArguments) -> Vec<Variable> {
    let is_indexed = |variable: &Variable| variable.name.bytes().all(|byte| byte.is_ascii_digit());
    let count = match usize_or(arguments.count, 0) {
        0 => usize::MAX,
        count => count,
    };
    variables
        .into_iter()
        .filter(|variable| match arguments.filter {
            None => true,
            Some(VariablesArgumentsFilter::Indexed) => is_indexed(variable),
            Some(VariablesArgumentsFilter::Named) => !is_indexed(variable),
        })
        .skip(usize_or(arguments.start, 0))
        .take(count)
        .collect()
}

fn usize_or(number: Option<i64>, otherwise: usize) -> usize {
    number
        .and_then(|number| usize::try_from(number).ok())
        .unwrap_or(otherwise)
}
