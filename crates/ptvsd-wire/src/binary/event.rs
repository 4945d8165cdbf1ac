//! Events of the binary dialects.

use bytes::BytesMut;

use super::{Reader, Writer};
use crate::coroutine::Source;
use crate::{
    BreakpointId, Child, ChildKey, Dialect, Event, ExceptionReport, ExecutionId, Frame, FrameKind,
    Object, ObjectFlags, PyText, TemplatePosition, ThreadId, Unsupported, Variable, WireError,
};

pub(crate) fn encode_event(
    dialect: Dialect,
    event: &Event,
    out: &mut BytesMut,
) -> Result<(), Unsupported> {
    let unsupported = |what| Err(Unsupported { what, dialect });
    let mut w = Writer(out);
    match event {
        Event::ThreadCreated(thread) => w.number_event(b"NEWT", thread.0),
        Event::ThreadExited(thread) => w.number_event(b"EXTT", thread.0),
        Event::ModuleLoaded { id, file } => {
            w.number_event(b"MODL", *id);
            w.text(file);
        }
        Event::ProcessLoaded(thread) => w.number_event(b"LOAD", thread.0),
        Event::StepDone(thread) => w.number_event(b"STPD", thread.0),
        Event::AsyncBreak(thread) => w.number_event(b"ASBR", thread.0),
        Event::BreakpointSet(id) => w.number_event(b"BRKS", id.0),
        Event::BreakpointFailed(id) => w.number_event(b"BRKF", id.0),
        Event::BreakpointHit { id, thread } => {
            w.number_event(b"BRKH", id.0);
            w.int(thread.0);
        }
        Event::HitCount { request, count } if dialect.has_pass_counts() => {
            w.number_event(b"BKHC", *request);
            w.int(*count);
        }
        Event::Exception { thread, exception } => {
            if exception.trace.is_some() || exception.value_name.is_some() {
                if dialect != Dialect::V6 {
                    return unsupported("a rich exception");
                }
                w.rich_exception(*thread, exception);
            } else {
                w.name(b"EXCP");
                w.text(&exception.type_name);
                w.int(thread.0);
                w.int(exception.break_type);
                w.text(&exception.message);
            }
        }
        Event::Frames {
            thread,
            name,
            frames,
        } => {
            w.number_event(b"THRF", thread.0);
            w.optional_text(name.as_ref());
            w.count(frames.len());
            for frame in frames {
                w.frame(dialect, frame);
            }
        }
        Event::ExecutionResult { execution, object } => {
            w.number_event(b"EXCR", execution.0);
            w.object(dialect, object);
        }
        Event::ExecutionException { execution, text } => {
            w.number_event(b"EXCE", execution.0);
            w.text(text);
        }
        Event::Children {
            execution,
            children,
        } => {
            w.number_event(b"CHLD", execution.0);
            if dialect == Dialect::V2 {
                w.grouped_children(children);
            } else {
                w.children(dialect, children);
            }
        }
        Event::Output {
            thread,
            text,
            channel: None,
        } => {
            w.number_event(b"OUTP", thread.0);
            w.text(text);
        }
        Event::HandlersWanted(file) => {
            w.name(b"REQH");
            w.text(file);
        }
        Event::LineSet { thread, line } => {
            w.number_event(b"SETL", i64::from(line.is_some()));
            w.int(thread.0);
            w.int(line.unwrap_or(0));
        }
        Event::Detached => w.name(b"DETC"),
        Event::Last => w.name(b"LAST"),
        Event::Output { .. } => return unsupported("the channel of output"),
        Event::HitCount { .. } => return unsupported("a hit count"),
        Event::ModulesChanged => return unsupported("a change of modules"),
        Event::Answered { .. } => return unsupported("an answer"),
        Event::Unknown(_) => return unsupported("an unknown event"),
    }
    Ok(())
}

pub(crate) async fn decode_event(source: Source, dialect: Dialect) -> Result<Event, WireError> {
    let r = Reader(source);
    let name = r.name().await?;
    Ok(match &name {
        b"NEWT" => Event::ThreadCreated(r.thread().await?),
        b"EXTT" => Event::ThreadExited(r.thread().await?),
        b"MODL" => Event::ModuleLoaded {
            id: r.int().await?,
            file: r.text().await?,
        },
        b"LOAD" => Event::ProcessLoaded(r.thread().await?),
        b"STPD" => Event::StepDone(r.thread().await?),
        b"ASBR" => Event::AsyncBreak(r.thread().await?),
        b"BRKS" => Event::BreakpointSet(BreakpointId(r.int().await?)),
        b"BRKF" => Event::BreakpointFailed(BreakpointId(r.int().await?)),
        b"BRKH" => Event::BreakpointHit {
            id: BreakpointId(r.int().await?),
            thread: r.thread().await?,
        },
        b"BKHC" if dialect.has_pass_counts() => Event::HitCount {
            request: r.int().await?,
            count: r.int().await?,
        },
        b"EXCP" => {
            let type_name = r.text().await?;
            let thread = r.thread().await?;
            Event::Exception {
                thread,
                exception: ExceptionReport {
                    type_name,
                    break_type: r.int().await?,
                    message: r.text().await?,
                    trace: None,
                    value_name: None,
                },
            }
        }
        b"EXC2" if dialect == Dialect::V6 => r.rich_exception().await?,
        b"THRF" => {
            let thread = r.thread().await?;
            let name = r.optional_text().await?;
            let mut frames = Vec::new();
            for _ in 0..r.count("the number of frames").await? {
                frames.push(r.frame(dialect).await?);
            }
            Event::Frames {
                thread,
                name,
                frames,
            }
        }
        b"EXCR" => Event::ExecutionResult {
            execution: ExecutionId(r.int().await?),
            object: r.object(dialect).await?,
        },
        b"EXCE" => Event::ExecutionException {
            execution: ExecutionId(r.int().await?),
            text: r.text().await?,
        },
        b"CHLD" => Event::Children {
            execution: ExecutionId(r.int().await?),
            children: if dialect == Dialect::V2 {
                r.grouped_children().await?
            } else {
                r.children(dialect).await?
            },
        },
        b"OUTP" => Event::Output {
            thread: r.thread().await?,
            text: r.text().await?,
            channel: None,
        },
        b"REQH" => Event::HandlersWanted(r.text().await?),
        b"SETL" => {
            let done = r.int().await? != 0;
            let thread = r.thread().await?;
            let line = r.int().await?;
            Event::LineSet {
                thread,
                line: done.then_some(line),
            }
        }
        b"DETC" => Event::Detached,
        b"LAST" => Event::Last,
        unknown => {
            return Err(WireError::UnknownMessage(
                unknown.escape_ascii().to_string(),
            ));
        }
    })
}

// Messages that are a name and a number.

impl Writer<'_> {
    fn number_event(&mut self, name: &[u8; 4], number: i64) {
        self.name(name);
        self.int(number);
    }
}

// Exceptions as 3.0.0 reports them when asked to: names and values.

const BREAK_TYPE_UNHANDLED: &str = "unhandled";

impl Writer<'_> {
    fn rich_exception(&mut self, thread: ThreadId, exception: &ExceptionReport) {
        let unhandled = PyText::from(BREAK_TYPE_UNHANDLED);
        let fields = [
            ("typename", Some(&exception.type_name)),
            ("message", Some(&exception.message)),
            (
                "breaktype",
                (exception.break_type == 1).then_some(&unhandled),
            ),
            ("trace", exception.trace.as_ref()),
            ("excvalue", exception.value_name.as_ref()),
        ];
        self.number_event(b"EXC2", thread.0);
        self.count(fields.iter().filter(|(_, value)| value.is_some()).count());
        for (key, value) in fields {
            if let Some(value) = value {
                self.text(&key.into());
                self.text(value);
            }
        }
    }
}

impl Reader {
    async fn rich_exception(&self) -> Result<Event, WireError> {
        let thread = self.thread().await?;
        let mut exception = ExceptionReport::default();
        for _ in 0..self.count("the number of an exception's fields").await? {
            let key = self.text().await?;
            let value = self.text().await?;
            match key.bytes() {
                b"typename" => exception.type_name = value,
                b"message" => exception.message = value,
                b"breaktype" => exception.break_type = i64::from(value == *BREAK_TYPE_UNHANDLED),
                b"trace" => exception.trace = Some(value),
                b"excvalue" => exception.value_name = Some(value),
                _ => {}
            }
        }
        Ok(Event::Exception { thread, exception })
    }
}

// Frames.

impl Writer<'_> {
    fn frame(&mut self, dialect: Dialect, frame: &Frame) {
        self.int(frame.first_line);
        self.int(frame.last_line);
        self.int(frame.line);
        self.text(&frame.function);
        self.text(&frame.file);
        self.int(frame.argument_count);
        self.int(frame.kind().to_wire());
        if let Some(template) = &frame.template {
            self.text(&template.source_file);
            self.int(template.source_line);
        }
        self.count(frame.variables.len());
        for variable in &frame.variables {
            self.text(&variable.name);
            self.object(dialect, &variable.object);
        }
    }
}

impl Reader {
    async fn frame(&self, dialect: Dialect) -> Result<Frame, WireError> {
        let first_line = self.int().await?;
        let last_line = self.int().await?;
        let line = self.int().await?;
        let function = self.text().await?;
        let file = self.text().await?;
        let argument_count = self.int().await?;
        let template = match FrameKind::from_wire(self.int().await?)? {
            FrameKind::Django => Some(TemplatePosition {
                source_file: self.text().await?,
                source_line: self.int().await?,
            }),
            FrameKind::Python | FrameKind::None => None,
        };
        let mut variables = Vec::new();
        for _ in 0..self.count("the number of variables").await? {
            variables.push(Variable {
                name: self.text().await?,
                object: self.object(dialect).await?,
            });
        }
        Ok(Frame {
            first_line,
            last_line,
            line,
            function,
            file,
            argument_count,
            template,
            variables,
        })
    }
}

// Values: repr, hex, type, then what the dialect adds.

impl Writer<'_> {
    fn object(&mut self, dialect: Dialect, object: &Object) {
        self.optional_text(object.repr.as_ref());
        self.optional_text(object.hex.as_ref());
        self.text(&object.type_name);
        if dialect.has_object_length() {
            self.int(object.length.unwrap_or(0));
        }
        // Dialect 2 says 1 for "expandable", which is that flag's value.
        self.int(object.flags.0);
    }
}

impl Reader {
    async fn object(&self, dialect: Dialect) -> Result<Object, WireError> {
        Ok(Object {
            repr: self.optional_text().await?,
            hex: self.optional_text().await?,
            type_name: self.text().await?,
            length: if dialect.has_object_length() {
                Some(self.int().await?)
            } else {
                None
            },
            flags: ObjectFlags(self.int().await?),
        })
    }
}

// Children, as dialects from 3 on send them.

impl Writer<'_> {
    fn children(&mut self, dialect: Dialect, children: &[Child]) {
        self.count(children.len());
        for child in children {
            self.text(&child.name);
            self.optional_text(match &child.key {
                ChildKey::Expression(expression) => Some(expression),
                _ => None,
            });
            self.object(dialect, &child.object);
        }
    }
}

impl Reader {
    async fn children(&self, dialect: Dialect) -> Result<Vec<Child>, WireError> {
        let mut children = Vec::new();
        for _ in 0..self.count("the number of children").await? {
            children.push(Child {
                name: self.text().await?,
                key: match self.optional_text().await? {
                    Some(expression) => ChildKey::Expression(expression),
                    None => ChildKey::Unreachable,
                },
                object: self.object(dialect).await?,
            });
        }
        Ok(children)
    }
}

// Children, as dialect 2 sends them: attributes, then items, and whether the
// items can be had by subscripting at all.

impl Writer<'_> {
    fn grouped_children(&mut self, children: &[Child]) {
        let (attributes, items): (Vec<&Child>, Vec<&Child>) = children
            .iter()
            .partition(|child| child.key == ChildKey::Attribute);
        self.count(attributes.len());
        self.count(items.len());
        self.int(i64::from(!items.is_empty()));
        self.int(i64::from(
            items.iter().any(|child| child.key == ChildKey::Position),
        ));
        for child in attributes.into_iter().chain(items) {
            self.text(&child.name);
            self.object(Dialect::V2, &child.object);
        }
    }
}

impl Reader {
    async fn grouped_children(&self) -> Result<Vec<Child>, WireError> {
        let attributes = self.count("the number of attributes").await?;
        let items = self.count("the number of items").await?;
        let _items_are_subscripts = self.int().await?;
        let item_key = match self.int().await? {
            0 => ChildKey::Subscript,
            _ => ChildKey::Position,
        };
        let mut children = Vec::new();
        for index in 0..attributes.saturating_add(items) {
            let key = if index < attributes {
                ChildKey::Attribute
            } else {
                item_key.clone()
            };
            children.push(Child {
                name: self.text().await?,
                key,
                object: self.object(Dialect::V2).await?,
            });
        }
        Ok(children)
    }
}
