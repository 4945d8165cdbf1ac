//! Random messages, each as its dialect can say it and say it back.
//!
//! What a dialect loses on the way is left out here: JSON writes every text as
//! Unicode, commands carry no type of string, dialects below 5 know an empty
//! condition as none, JSON and rich exceptions tell only "unhandled" or not,
//! and dialect 2 sends children as attributes and then items of one kind.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use ptvsd_wire::{
    BreakpointCondition, BreakpointId, Child, ChildKey, Command, Dialect, Event, ExceptionMode,
    ExceptionReport, ExecutionId, Family, Frame, FrameKind, HandlerRange, Language, Object,
    ObjectFlags, OutputChannel, PassCount, PyText, ReprKind, SetBreakpoint, TemplatePosition,
    ThreadId, Variable,
};

/// Any dialect.
pub(crate) fn dialect() -> impl Strategy<Value = Dialect> {
    prop::sample::select(Dialect::ALL.to_vec())
}

/// `bytes` in pieces, cut at these points, each taken modulo the length.
pub(crate) fn cut<'a>(bytes: &'a [u8], points: &[usize]) -> Vec<&'a [u8]> {
    let mut points: Vec<usize> = points.iter().map(|at| at % (bytes.len() + 1)).collect();
    points.extend([0, bytes.len()]);
    points.sort_unstable();
    points
        .windows(2)
        .map(|pair| &bytes[pair[0]..pair[1]])
        .collect()
}

/// Points for [`cut`].
pub(crate) fn points() -> impl Strategy<Value = Vec<usize>> {
    vec(any::<usize>(), 0..12)
}

// Parts.

/// As a server sends it: in the binary dialects also Python 2's `str`, which
/// is any bytes.
pub(crate) fn text(dialect: Dialect) -> BoxedStrategy<PyText> {
    match dialect.family() {
        Family::Binary => prop_oneof![
            unicode(),
            vec(any::<u8>(), 0..20).prop_map(PyText::str),
            // What Python 3 makes of a lone surrogate.
            vec(any::<u8>(), 0..4).prop_map(PyText::unicode),
        ]
        .boxed(),
        Family::Json => unicode().boxed(),
    }
}

/// As a debugger sends it.
pub(crate) fn unicode() -> impl Strategy<Value = PyText> {
    any::<String>().prop_map(PyText::from)
}

fn some_text() -> impl Strategy<Value = PyText> {
    "\\PC{1,20}".prop_map(PyText::from)
}

fn thread() -> impl Strategy<Value = ThreadId> {
    any::<i64>().prop_map(ThreadId)
}

fn breakpoint() -> impl Strategy<Value = BreakpointId> {
    any::<i64>().prop_map(BreakpointId)
}

fn execution() -> impl Strategy<Value = ExecutionId> {
    any::<i64>().prop_map(ExecutionId)
}

fn object(dialect: Dialect) -> impl Strategy<Value = Object> {
    let flags = if dialect.has_object_flags() {
        any::<i64>().boxed()
    } else {
        prop_oneof![Just(0), Just(ObjectFlags::EXPANDABLE.0)].boxed()
    };
    let length = if dialect.has_object_length() {
        any::<i64>().prop_map(Some).boxed()
    } else {
        Just(None).boxed()
    };
    let repr = option::of(text(dialect));
    let hex = option::of(text(dialect));
    (repr, hex, text(dialect), length, flags).prop_map(|(repr, hex, type_name, length, flags)| {
        Object {
            repr,
            hex,
            type_name,
            length,
            flags: ObjectFlags(flags),
        }
    })
}

fn child(dialect: Dialect, key: impl Strategy<Value = ChildKey>) -> impl Strategy<Value = Child> {
    (text(dialect), key, object(dialect)).prop_map(|(name, key, object)| Child {
        name,
        key,
        object,
    })
}

fn children(dialect: Dialect) -> BoxedStrategy<Vec<Child>> {
    if dialect.has_object_flags() {
        let key = option::of(text(dialect))
            .prop_map(|text| text.map_or(ChildKey::Unreachable, ChildKey::Expression));
        return vec(child(dialect, key), 0..4).boxed();
    }
    let attributes = vec(child(dialect, Just(ChildKey::Attribute)), 0..4);
    let items = prop_oneof![Just(ChildKey::Subscript), Just(ChildKey::Position)]
        .prop_flat_map(move |key| vec(child(dialect, Just(key)), 0..4));
    (attributes, items)
        .prop_map(|(attributes, items)| [attributes, items].concat())
        .boxed()
}

fn frame(dialect: Dialect) -> impl Strategy<Value = Frame> {
    let template = option::of((text(dialect), any::<i64>()).prop_map(
        |(source_file, source_line)| TemplatePosition {
            source_file,
            source_line,
        },
    ));
    let variable =
        (text(dialect), object(dialect)).prop_map(|(name, object)| Variable { name, object });
    (
        any::<[i64; 4]>(),
        text(dialect),
        text(dialect),
        template,
        vec(variable, 0..4),
    )
        .prop_map(|(numbers, function, file, template, variables)| Frame {
            first_line: numbers[0],
            last_line: numbers[1],
            line: numbers[2],
            function,
            file,
            argument_count: numbers[3],
            template,
            variables,
        })
}

/// Whether a report with a trace can be said.
pub(crate) fn has_rich_exceptions(dialect: Dialect) -> bool {
    dialect >= Dialect::V6
}

fn exception(dialect: Dialect) -> BoxedStrategy<ExceptionReport> {
    let plain_types = match dialect.family() {
        Family::Binary => any::<i64>().boxed(),
        Family::Json => (0..2_i64).boxed(),
    };
    let plain =
        (text(dialect), text(dialect), plain_types).prop_map(|(type_name, message, break_type)| {
            ExceptionReport {
                type_name,
                message,
                break_type,
                trace: None,
                value_name: None,
            }
        });
    if !has_rich_exceptions(dialect) {
        return plain.boxed();
    }
    let extra = (option::of(text(dialect)), option::of(text(dialect)))
        .prop_filter("rich", |(trace, name)| trace.is_some() || name.is_some());
    let rich =
        (plain.clone(), 0..2_i64, extra).prop_map(|(plain, break_type, (trace, value_name))| {
            ExceptionReport {
                break_type,
                trace,
                value_name,
                ..plain
            }
        });
    prop_oneof![plain, rich].boxed()
}

// Events.

/// An event that the dialect has words for.
pub(crate) fn event(dialect: Dialect) -> BoxedStrategy<Event> {
    let text = || text(dialect);
    let simple = prop_oneof![
        thread().prop_map(Event::ThreadCreated),
        thread().prop_map(Event::ThreadExited),
        thread().prop_map(Event::ProcessLoaded),
        thread().prop_map(Event::StepDone),
        thread().prop_map(Event::AsyncBreak),
        breakpoint().prop_map(Event::BreakpointSet),
        breakpoint().prop_map(Event::BreakpointFailed),
        (breakpoint(), thread()).prop_map(|(id, thread)| Event::BreakpointHit { id, thread }),
        (any::<i64>(), text()).prop_map(|(id, file)| Event::ModuleLoaded { id, file }),
        text().prop_map(Event::HandlersWanted),
        (thread(), option::of(any::<i64>()))
            .prop_map(|(thread, line)| Event::LineSet { thread, line }),
        (thread(), text()).prop_map(|(thread, text)| Event::Output {
            thread,
            text,
            channel: None
        }),
        Just(Event::Detached),
        Just(Event::Last),
    ];
    let frames = vec(frame(dialect), 0..4);
    let rich = prop_oneof![
        (thread(), option::of(text()), frames).prop_map(|(thread, name, frames)| Event::Frames {
            thread,
            name,
            frames
        }),
        (execution(), object(dialect))
            .prop_map(|(execution, object)| Event::ExecutionResult { execution, object }),
        (execution(), text())
            .prop_map(|(execution, text)| Event::ExecutionException { execution, text }),
        (execution(), children(dialect)).prop_map(|(execution, children)| Event::Children {
            execution,
            children
        }),
        (thread(), exception(dialect))
            .prop_map(|(thread, exception)| Event::Exception { thread, exception }),
    ];
    let mut all = vec![simple.boxed(), rich.boxed()];
    if dialect.has_pass_counts() {
        all.push(hit_count().boxed());
    }
    if dialect.family() == Family::Json {
        all.push(answer().boxed());
    }
    if dialect == Dialect::V8 {
        all.push(output_on_channel().boxed());
        all.push(Just(Event::ModulesChanged).boxed());
    }
    proptest::strategy::Union::new(all).boxed()
}

pub(crate) fn hit_count() -> impl Strategy<Value = Event> {
    any::<(i64, i64)>().prop_map(|(request, count)| Event::HitCount { request, count })
}

pub(crate) fn answer() -> impl Strategy<Value = Event> {
    (any::<i64>(), unicode(), option::of(unicode())).prop_map(|(request, command, failure)| {
        Event::Answered {
            request,
            command,
            failure,
        }
    })
}

pub(crate) fn output_on_channel() -> impl Strategy<Value = Event> {
    let channel = prop_oneof![
        Just(OutputChannel::Stdout),
        Just(OutputChannel::Stderr),
        Just(OutputChannel::Debug),
    ];
    (thread(), unicode(), channel).prop_map(|(thread, text, channel)| Event::Output {
        thread,
        text,
        channel: Some(channel),
    })
}

// Commands.

fn condition(dialect: Dialect) -> BoxedStrategy<BreakpointCondition> {
    let text = if dialect.has_pass_counts() {
        unicode().boxed()
    } else {
        some_text().boxed()
    };
    prop_oneof![
        Just(BreakpointCondition::Always),
        text.clone().prop_map(BreakpointCondition::WhenTrue),
        text.prop_map(BreakpointCondition::WhenChanged),
    ]
    .boxed()
}

pub(crate) fn some_pass_count() -> impl Strategy<Value = PassCount> {
    prop_oneof![
        any::<i64>().prop_map(PassCount::Every),
        any::<i64>().prop_map(PassCount::Equal),
        any::<i64>().prop_map(PassCount::AtLeast),
    ]
}

pub(crate) fn set_breakpoint(dialect: Dialect) -> impl Strategy<Value = SetBreakpoint> {
    let pass_count = if dialect.has_pass_counts() {
        prop_oneof![Just(PassCount::Always), some_pass_count()].boxed()
    } else {
        Just(PassCount::Always).boxed()
    };
    (
        breakpoint(),
        any::<i64>(),
        unicode(),
        any::<bool>(),
        condition(dialect),
        pass_count,
    )
        .prop_map(move |(id, line, file, django, condition, pass_count)| {
            let breakpoint = SetBreakpoint {
                id,
                line,
                file,
                language: Language::Python,
                condition,
                pass_count,
            };
            match (django, dialect.family()) {
                (false, _) => breakpoint,
                (true, Family::Json) => SetBreakpoint {
                    language: Language::Django,
                    ..breakpoint
                },
                (true, Family::Binary) => SetBreakpoint {
                    language: Language::Django,
                    condition: BreakpointCondition::Always,
                    pass_count: PassCount::Always,
                    ..breakpoint
                },
            }
        })
}

fn remove_breakpoint(dialect: Dialect) -> impl Strategy<Value = Command> {
    (breakpoint(), any::<i64>(), unicode(), any::<bool>()).prop_map(
        move |(id, line, file, django)| {
            let language = if django {
                Language::Django
            } else {
                Language::Python
            };
            let has_file = django || dialect.family() == Family::Json;
            Command::RemoveBreakpoint {
                id,
                line,
                file: if has_file { file } else { "".into() },
                language,
            }
        },
    )
}

fn frame_kind() -> impl Strategy<Value = FrameKind> {
    prop_oneof![
        Just(FrameKind::None),
        Just(FrameKind::Python),
        Just(FrameKind::Django)
    ]
}

pub(crate) fn execute(
    repr: impl Strategy<Value = ReprKind>,
    module: impl Strategy<Value = (Option<PyText>, bool)>,
) -> impl Strategy<Value = Command> {
    let place = (thread(), any::<i64>(), frame_kind());
    (unicode(), execution(), place, repr, module).prop_map(
        |(text, execution, (thread, frame, frame_kind), repr, (module, print_result))| {
            Command::Execute {
                text,
                execution,
                thread,
                frame,
                frame_kind,
                repr,
                module,
                print_result,
            }
        },
    )
}

pub(crate) fn some_repr() -> impl Strategy<Value = ReprKind> {
    prop_oneof![Just(ReprKind::Raw), Just(ReprKind::RawLength)]
}

fn enumerate_children() -> impl Strategy<Value = Command> {
    let place = (thread(), any::<i64>(), frame_kind());
    (unicode(), execution(), place).prop_map(|(text, execution, (thread, frame, frame_kind))| {
        Command::EnumerateChildren {
            text,
            execution,
            thread,
            frame,
            frame_kind,
        }
    })
}

fn exception_commands() -> impl Strategy<Value = Command> {
    let mode = || any::<i64>().prop_map(ExceptionMode);
    // "-" would end the list.
    let expression = "[a-zA-Z_.*]{1,8}".prop_map(PyText::from);
    let handler = (any::<(i64, i64)>(), vec(expression, 0..4)).prop_map(
        |((line_start, line_end), expressions)| HandlerRange {
            line_start,
            line_end,
            expressions,
        },
    );
    prop_oneof![
        (mode(), vec((unicode(), mode()), 0..4))
            .prop_map(|(default, named)| Command::SetExceptionInfo { default, named }),
        (unicode(), vec(handler, 0..4))
            .prop_map(|(file, handlers)| Command::SetExceptionHandlerInfo { file, handlers }),
    ]
}

/// A command that the dialect has words for.
pub(crate) fn command(dialect: Dialect) -> BoxedStrategy<Command> {
    let repr = if dialect.has_object_length() {
        prop_oneof![Just(ReprKind::Normal), some_repr()].boxed()
    } else {
        Just(ReprKind::Normal).boxed()
    };
    let module = if dialect.has_module_execution() {
        (option::of(unicode()), any::<bool>()).boxed()
    } else {
        Just((None, false)).boxed()
    };
    let mut all = vec![
        thread().prop_map(Command::StepInto).boxed(),
        thread().prop_map(Command::StepOver).boxed(),
        thread().prop_map(Command::StepOut).boxed(),
        thread().prop_map(Command::ResumeThread).boxed(),
        thread().prop_map(Command::AutoResumeThread).boxed(),
        thread().prop_map(Command::ClearStepping).boxed(),
        Just(Command::BreakAll).boxed(),
        Just(Command::ResumeAll).boxed(),
        Just(Command::Detach).boxed(),
        Just(Command::LastAck).boxed(),
        set_breakpoint(dialect)
            .prop_map(Command::SetBreakpoint)
            .boxed(),
        remove_breakpoint(dialect).boxed(),
        (breakpoint(), condition(dialect))
            .prop_map(|(id, condition)| Command::SetBreakpointCondition { id, condition })
            .boxed(),
        execute(repr, module).boxed(),
        enumerate_children().boxed(),
        (thread(), any::<(i64, i64)>())
            .prop_map(|(thread, (frame, line))| Command::SetLine {
                thread,
                frame,
                line,
            })
            .boxed(),
        exception_commands().boxed(),
    ];
    if dialect.has_pass_counts() {
        all.push(hit_count_commands().boxed());
    }
    if dialect.family() == Family::Json {
        all.push(thread().prop_map(Command::GetThreadFrames).boxed());
        all.push(Just(Command::EndLoop).boxed());
    }
    if dialect.has_module_execution() {
        all.push(Just(Command::ListReplModules).boxed());
    }
    proptest::strategy::Union::new(all).boxed()
}

pub(crate) fn hit_count_commands() -> impl Strategy<Value = Command> {
    let pass_count = prop_oneof![Just(PassCount::Always), some_pass_count()];
    prop_oneof![
        (breakpoint(), pass_count)
            .prop_map(|(id, pass_count)| Command::SetBreakpointPassCount { id, pass_count }),
        (breakpoint(), any::<i64>())
            .prop_map(|(id, hit_count)| Command::SetBreakpointHitCount { id, hit_count }),
        breakpoint().prop_map(Command::GetBreakpointHitCount),
    ]
}
