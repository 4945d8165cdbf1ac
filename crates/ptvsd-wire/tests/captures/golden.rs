//! Conversations as text for people: an event a line, with what differs from
//! run to run (threads, processes, addresses) given lasting names.

use std::fmt::Write;

use ptvsd_wire::handshake::Reply;
use ptvsd_wire::{Child, ChildKey, Event, ExceptionReport, Frame, Object, PyText};

use crate::conversation::{Item, Purpose};

/// Appends a conversation.
pub(crate) fn render(out: &mut String, purpose: Purpose, items: &[Item]) {
    let mut text = String::new();
    writeln!(text, "== {purpose:?}").unwrap();
    let mut modules = 0;
    for item in items {
        if let Item::Event(Event::ModuleLoaded { .. }) = item {
            modules += 1;
            continue;
        }
        if modules > 0 {
            writeln!(text, "{modules} modules").unwrap();
            modules = 0;
        }
        match item {
            Item::Hello(hello) => writeln!(text, "{hello:?}").unwrap(),
            Item::Reply(reply) => self::reply(&mut text, reply),
            Item::Event(event) => self::event(&mut text, event),
        }
    }
    out.push_str(&with_lasting_names(&text));
}

fn reply(out: &mut String, reply: &Reply) {
    match reply {
        Reply::Info(info) => writeln!(
            out,
            "Info process PID {:?} {:?} {:?}",
            info.executable, info.user, info.python
        ),
        Reply::Attached(Some(to)) => writeln!(
            out,
            "Attached to process PID, Python {}.{}.{}",
            to.major, to.minor, to.micro
        ),
        other => writeln!(out, "{other:?}"),
    }
    .unwrap();
}

fn event(out: &mut String, event: &Event) {
    match event {
        Event::Frames {
            thread,
            name,
            frames,
        } => {
            writeln!(out, "Frames of {} {}", thread.0, optional(name.as_ref())).unwrap();
            for frame in frames {
                self::frame(out, frame);
            }
        }
        Event::ExecutionResult { execution, object } => {
            writeln!(out, "ExecutionResult {} {}", execution.0, value(object)).unwrap();
        }
        Event::Children {
            execution,
            children,
        } => {
            writeln!(out, "Children {}", execution.0).unwrap();
            for child in children {
                self::child(out, child);
            }
        }
        Event::Exception { thread, exception } => self::exception(out, thread.0, exception),
        Event::Answered {
            request,
            command,
            failure,
        } => {
            writeln!(out, "Answered {request} {command:?}").unwrap();
            if let Some(failure) = failure {
                for line in failure.display().lines() {
                    writeln!(out, "    failed: {}", line.trim_end()).unwrap();
                }
            }
        }
        other => writeln!(out, "{other:?}").unwrap(),
    }
}

fn frame(out: &mut String, frame: &Frame) {
    writeln!(
        out,
        "    {:?} {:?} line {} of {}..{}, {} arguments",
        frame.function,
        frame.file,
        frame.line,
        frame.first_line,
        frame.last_line,
        frame.argument_count
    )
    .unwrap();
    if let Some(template) = &frame.template {
        writeln!(out, "        template {template:?}").unwrap();
    }
    for variable in &frame.variables {
        writeln!(
            out,
            "        {:?} = {}",
            variable.name,
            value(&variable.object)
        )
        .unwrap();
    }
}

fn child(out: &mut String, child: &Child) {
    let key = match &child.key {
        ChildKey::Expression(expression) => format!("{expression:?}"),
        other => format!("{other:?}"),
    };
    writeln!(
        out,
        "    {:?} by {key} = {}",
        child.name,
        value(&child.object)
    )
    .unwrap();
}

fn exception(out: &mut String, thread: i64, exception: &ExceptionReport) {
    writeln!(
        out,
        "Exception in {thread} {:?} {:?} break type {}",
        exception.type_name, exception.message, exception.break_type
    )
    .unwrap();
    if let Some(trace) = &exception.trace {
        writeln!(out, "    trace {trace:?}").unwrap();
    }
    if let Some(name) = &exception.value_name {
        writeln!(out, "    value in {name:?}").unwrap();
    }
}

fn value(object: &Object) -> String {
    let mut text = format!(
        "{} : {:?}",
        optional(object.repr.as_ref()),
        object.type_name
    );
    if let Some(hex) = &object.hex {
        write!(text, ", hex {hex:?}").unwrap();
    }
    if let Some(length) = object.length {
        write!(text, ", length {length}").unwrap();
    }
    write!(text, ", flags {}", object.flags.0).unwrap();
    text
}

fn optional(text: Option<&PyText>) -> String {
    text.map_or_else(|| "none".to_owned(), |text| format!("{text:?}"))
}

/// Threads are numbers of many digits: `T1`, `T2` in the order they appear;
/// addresses are `0x` and many digits: `0xADDRESS`.
fn with_lasting_names(text: &str) -> String {
    const MANY: usize = 8;
    let mut threads: Vec<&str> = Vec::new();
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let (word, after) = match from.strip_prefix("0x") {
            Some(digits) => {
                let length = run(digits, |c| c.is_ascii_hexdigit());
                from.split_at(2 + length)
            }
            None => from.split_at(run(from, |c| c.is_ascii_digit())),
        };
        if word.len() <= MANY {
            out.push_str(word);
        } else if word.starts_with("0x") {
            out.push_str("0xADDRESS");
        } else {
            let known = threads.iter().position(|thread| *thread == word);
            let number = known.unwrap_or_else(|| {
                threads.push(word);
                threads.len() - 1
            });
            write!(out, "T{}", number + 1).unwrap();
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

fn run(text: &str, suits: impl Fn(char) -> bool) -> usize {
    text.find(|c| !suits(c)).unwrap_or(text.len())
}
