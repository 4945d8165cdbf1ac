//! Commands of the binary dialects.

use bytes::BytesMut;

use super::{Reader, Writer};
use crate::coroutine::Source;
use crate::{
    BreakpointCondition, BreakpointId, Command, Dialect, ExceptionMode, ExecutionId, FrameKind,
    HandlerRange, Language, PassCount, ReprKind, SetBreakpoint, ThreadId, Unsupported, WireError,
};

/// What ends the list of a handler's expressions.
const END_OF_EXPRESSIONS: &str = "-";

pub(crate) fn encode_command(
    dialect: Dialect,
    number: i64,
    command: &Command,
    out: &mut BytesMut,
) -> Result<(), Unsupported> {
    let unsupported = || {
        Err(Unsupported {
            what: command.name(),
            dialect,
        })
    };
    let mut w = Writer(out);
    match command {
        Command::StepInto(thread) => w.thread_command(b"stpi", *thread),
        Command::StepOver(thread) => w.thread_command(b"stpv", *thread),
        Command::StepOut(thread) => w.thread_command(b"stpo", *thread),
        Command::BreakAll => w.name(b"brka"),
        Command::ResumeAll => w.name(b"resa"),
        Command::ResumeThread(thread) => w.thread_command(b"rest", *thread),
        Command::AutoResumeThread(thread) => w.thread_command(b"ares", *thread),
        Command::ClearStepping(thread) => w.thread_command(b"clst", *thread),
        Command::SetBreakpoint(breakpoint) => return w.set_breakpoint(dialect, breakpoint),
        Command::RemoveBreakpoint {
            id,
            line,
            file,
            language,
        } => match language {
            Language::Python => {
                w.name(b"brkr");
                w.int(*line);
                w.int(id.0);
            }
            Language::Django => {
                w.name(b"bkdr");
                w.int(*line);
                w.int(id.0);
                w.bare_text(file);
            }
        },
        Command::SetBreakpointCondition { id, condition } => {
            w.name(b"brkc");
            w.int(id.0);
            w.condition(dialect, condition);
        }
        Command::SetBreakpointPassCount { id, pass_count } if dialect.has_pass_counts() => {
            w.name(b"bkpc");
            w.int(id.0);
            w.pass_count(*pass_count);
        }
        Command::SetBreakpointHitCount { id, hit_count } if dialect.has_pass_counts() => {
            w.name(b"bksh");
            w.int(id.0);
            w.int(*hit_count);
        }
        Command::GetBreakpointHitCount(id) if dialect.has_pass_counts() => {
            w.name(b"bkgh");
            w.int(number);
            w.int(id.0);
        }
        Command::Execute {
            text,
            execution,
            thread,
            frame,
            frame_kind,
            repr,
            module: None,
            print_result: false,
        } if dialect.has_object_length() || *repr == ReprKind::Normal => {
            w.name(b"exec");
            w.bare_text(text);
            w.int(thread.0);
            w.int(*frame);
            w.int(execution.0);
            w.int(frame_kind.to_wire());
            if dialect.has_object_length() {
                w.int(repr.to_wire());
            }
        }
        Command::EnumerateChildren {
            text,
            execution,
            thread,
            frame,
            frame_kind,
        } => {
            w.name(b"chld");
            w.bare_text(text);
            w.int(thread.0);
            w.int(*frame);
            w.int(execution.0);
            w.int(frame_kind.to_wire());
            if dialect == Dialect::V2 {
                // "Take the value at the position that the text ends in":
                // reads the digits backwards, so [12] gives the 21st. Never
                // used; the client writes an expression for that instead.
                w.int(0);
            }
        }
        Command::SetLine {
            thread,
            frame,
            line,
        } => {
            w.thread_command(b"setl", *thread);
            w.int(*frame);
            w.int(*line);
        }
        Command::SetExceptionInfo { default, named } => {
            w.name(b"sexi");
            w.int(default.0);
            w.count(named.len());
            for (name, mode) in named {
                w.int(mode.0);
                w.bare_text(name);
            }
        }
        Command::SetExceptionHandlerInfo { file, handlers } => {
            w.name(b"sehi");
            w.bare_text(file);
            w.count(handlers.len());
            for handler in handlers {
                w.int(handler.line_start);
                w.int(handler.line_end);
                for expression in &handler.expressions {
                    w.bare_text(expression);
                }
                w.bare_text(&END_OF_EXPRESSIONS.into());
            }
        }
        Command::Detach => w.name(b"detc"),
        Command::LastAck => w.name(b"lack"),
        // `thrf` exists in 3.0.0 only, which says that it is 2.2.0.
        Command::GetThreadFrames(_)
        | Command::Execute { .. }
        | Command::SetBreakpointPassCount { .. }
        | Command::SetBreakpointHitCount { .. }
        | Command::GetBreakpointHitCount(_)
        | Command::ListReplModules
        | Command::EndLoop => return unsupported(),
    }
    Ok(())
}

impl Writer<'_> {
    fn thread_command(&mut self, name: &[u8; 4], thread: ThreadId) {
        self.name(name);
        self.int(thread.0);
    }

    fn set_breakpoint(
        &mut self,
        dialect: Dialect,
        breakpoint: &SetBreakpoint,
    ) -> Result<(), Unsupported> {
        let unsupported = |what| Err(Unsupported { what, dialect });
        if breakpoint.pass_count != PassCount::Always && !dialect.has_pass_counts() {
            return unsupported("a pass count");
        }
        if breakpoint.language == Language::Django {
            if breakpoint.condition != BreakpointCondition::Always
                || breakpoint.pass_count != PassCount::Always
            {
                return unsupported("a condition in a Django template");
            }
            self.name(b"bkda");
            self.int(breakpoint.id.0);
            self.int(breakpoint.line);
            self.bare_text(&breakpoint.file);
            return Ok(());
        }
        self.name(b"brkp");
        self.int(breakpoint.id.0);
        self.int(breakpoint.line);
        self.bare_text(&breakpoint.file);
        self.condition(dialect, &breakpoint.condition);
        if dialect.has_pass_counts() {
            self.pass_count(breakpoint.pass_count);
        }
        Ok(())
    }

    fn condition(&mut self, dialect: Dialect, condition: &BreakpointCondition) {
        let (kind, text) = condition.to_wire();
        if dialect.has_pass_counts() {
            self.int(kind);
            self.bare_text(&text);
        } else {
            self.bare_text(&text);
            self.int(i64::from(matches!(
                condition,
                BreakpointCondition::WhenChanged(_)
            )));
        }
    }

    fn pass_count(&mut self, pass_count: PassCount) {
        let (kind, count) = pass_count.to_wire();
        self.int(kind);
        self.int(count);
    }
}

pub(crate) async fn decode_command(
    source: Source,
    dialect: Dialect,
) -> Result<(i64, Command), WireError> {
    let r = Reader(source);
    let name = r.name().await?;
    let mut number = 0;
    let command = match &name {
        b"stpi" => Command::StepInto(r.thread().await?),
        b"stpv" => Command::StepOver(r.thread().await?),
        b"stpo" => Command::StepOut(r.thread().await?),
        b"brka" => Command::BreakAll,
        b"resa" => Command::ResumeAll,
        b"rest" => Command::ResumeThread(r.thread().await?),
        b"ares" => Command::AutoResumeThread(r.thread().await?),
        b"clst" => Command::ClearStepping(r.thread().await?),
        b"brkp" => Command::SetBreakpoint(SetBreakpoint {
            id: BreakpointId(r.int().await?),
            line: r.int().await?,
            file: r.bare_text().await?,
            language: Language::Python,
            condition: r.condition(dialect).await?,
            pass_count: if dialect.has_pass_counts() {
                r.pass_count().await?
            } else {
                PassCount::Always
            },
        }),
        b"bkda" => Command::SetBreakpoint(SetBreakpoint {
            id: BreakpointId(r.int().await?),
            line: r.int().await?,
            file: r.bare_text().await?,
            language: Language::Django,
            condition: BreakpointCondition::Always,
            pass_count: PassCount::Always,
        }),
        b"brkr" => {
            let line = r.int().await?;
            Command::RemoveBreakpoint {
                id: BreakpointId(r.int().await?),
                line,
                file: "".into(),
                language: Language::Python,
            }
        }
        b"bkdr" => {
            let line = r.int().await?;
            Command::RemoveBreakpoint {
                id: BreakpointId(r.int().await?),
                line,
                file: r.bare_text().await?,
                language: Language::Django,
            }
        }
        b"brkc" => Command::SetBreakpointCondition {
            id: BreakpointId(r.int().await?),
            condition: r.condition(dialect).await?,
        },
        b"bkpc" if dialect.has_pass_counts() => Command::SetBreakpointPassCount {
            id: BreakpointId(r.int().await?),
            pass_count: r.pass_count().await?,
        },
        b"bksh" if dialect.has_pass_counts() => Command::SetBreakpointHitCount {
            id: BreakpointId(r.int().await?),
            hit_count: r.int().await?,
        },
        b"bkgh" if dialect.has_pass_counts() => {
            number = r.int().await?;
            Command::GetBreakpointHitCount(BreakpointId(r.int().await?))
        }
        b"exec" => {
            let text = r.bare_text().await?;
            let thread = r.thread().await?;
            let frame = r.int().await?;
            Command::Execute {
                text,
                thread,
                frame,
                execution: ExecutionId(r.int().await?),
                frame_kind: FrameKind::from_wire(r.int().await?)?,
                repr: if dialect.has_object_length() {
                    ReprKind::from_wire(r.int().await?)?
                } else {
                    ReprKind::Normal
                },
                module: None,
                print_result: false,
            }
        }
        b"chld" => {
            let text = r.bare_text().await?;
            let thread = r.thread().await?;
            let frame = r.int().await?;
            let command = Command::EnumerateChildren {
                text,
                thread,
                frame,
                execution: ExecutionId(r.int().await?),
                frame_kind: FrameKind::from_wire(r.int().await?)?,
            };
            if dialect == Dialect::V2 {
                r.int().await?;
            }
            command
        }
        b"setl" => Command::SetLine {
            thread: r.thread().await?,
            frame: r.int().await?,
            line: r.int().await?,
        },
        b"sexi" => {
            let default = ExceptionMode(r.int().await?);
            let mut named = Vec::new();
            for _ in 0..r.count("the number of exceptions").await? {
                let mode = ExceptionMode(r.int().await?);
                named.push((r.bare_text().await?, mode));
            }
            Command::SetExceptionInfo { default, named }
        }
        b"sehi" => {
            let file = r.bare_text().await?;
            let mut handlers = Vec::new();
            for _ in 0..r.count("the number of try statements").await? {
                handlers.push(r.handler().await?);
            }
            Command::SetExceptionHandlerInfo { file, handlers }
        }
        b"detc" => Command::Detach,
        b"lack" => Command::LastAck,
        unknown => {
            return Err(WireError::UnknownMessage(
                unknown.escape_ascii().to_string(),
            ));
        }
    };
    Ok((number, command))
}

impl Reader {
    pub(super) async fn thread(&self) -> Result<ThreadId, WireError> {
        Ok(ThreadId(self.int().await?))
    }

    async fn condition(&self, dialect: Dialect) -> Result<BreakpointCondition, WireError> {
        if dialect.has_pass_counts() {
            let kind = self.int().await?;
            BreakpointCondition::from_wire(kind, self.bare_text().await?)
        } else {
            let text = self.bare_text().await?;
            let when_changed = self.int().await? != 0;
            Ok(BreakpointCondition::from_old_wire(text, when_changed))
        }
    }

    async fn pass_count(&self) -> Result<PassCount, WireError> {
        let kind = self.int().await?;
        PassCount::from_wire(kind, self.int().await?)
    }

    async fn handler(&self) -> Result<HandlerRange, WireError> {
        let line_start = self.int().await?;
        let line_end = self.int().await?;
        let mut expressions = Vec::new();
        loop {
            let expression = self.bare_text().await?;
            if expression == *END_OF_EXPRESSIONS {
                break;
            }
            expressions.push(expression);
        }
        Ok(HandlerRange {
            line_start,
            line_end,
            expressions,
        })
    }
}
