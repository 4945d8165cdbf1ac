//! Sessions with a server that is not there: what it says, what we send, and
//! the time are all in the test's hand.

use std::time::Duration;

use ptvsd_wire::handshake::Attached;
use ptvsd_wire::{
    BreakpointCondition, BreakpointId, Child, ChildKey, Command, Dialect, Event, ExceptionMode,
    ExceptionReport, ExecutionId, Frame, FrameKind, HandlerRange, Language, Object, ObjectFlags,
    PassCount, PyText, ReprKind, SetBreakpoint, ThreadId,
};
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;
use tokio::time::Instant;

use debuggee_agent::{AGENT_THREAD, HELLO, SessionMark, hello};

use super::AgentStatus;
use super::agent::Agent;
use super::core::{Core, ThreadState};
use super::{
    Binding, Debuggee, Ended, Op, Scope, SessionEvent, StepKind, StopReason, StoppedThread,
};
use crate::{EvaluateError, SessionOver};

const MAIN: ThreadId = ThreadId(0x7f00_0000_0010);
const WORKER: ThreadId = ThreadId(0x7f00_0000_0020);
const OTHER: ThreadId = ThreadId(0x7f00_0000_0030);
const NOT_COMPLETED: &str = "<error: previous evaluation has not completed>";
const NOT_BLOCKED: &str = "<expression cannot be evaluated at this time>";

type Reply<T> = oneshot::Receiver<Result<T, EvaluateError>>;

struct Session {
    core: Core,
    now: Instant,
    wake: Option<Instant>,
}

fn attached_core(dialect: Dialect) -> Core {
    let mut core = Core::new(dialect, Agent::Unwanted);
    core.attach_complete = true;
    core
}

impl Session {
    /// Attached, with these threads, which run.
    fn new(dialect: Dialect, threads: &[ThreadId]) -> Session {
        let mut session = Session {
            core: attached_core(dialect),
            now: Instant::now(),
            wake: None,
        };
        for thread in threads {
            session.hears(Event::ThreadCreated(*thread));
        }
        session.told();
        session
    }

    /// Long ago the program was resumed for the last time.
    fn running(dialect: Dialect, threads: &[ThreadId]) -> Session {
        let mut session = Session::new(dialect, threads);
        session.core.last_arrival = Some(session.now);
        session.after(60_000);
        session
    }

    fn hears(&mut self, event: Event) {
        self.core.on_event(event, self.now);
        self.turn();
    }

    fn asks(&mut self, op: Op) {
        self.core.on_op(op, self.now);
        self.turn();
    }

    fn turn(&mut self) {
        self.wake = self.core.advance(self.now);
        if let Some(wake) = self.wake {
            assert!(wake > self.now, "it would spin");
        }
    }

    /// Time goes by, with a turn whenever one was asked for.
    fn after(&mut self, milliseconds: u64) {
        let end = self.now + Duration::from_millis(milliseconds);
        while let Some(wake) = self.wake.filter(|wake| *wake <= end) {
            self.now = wake;
            self.turn();
        }
        self.now = end;
        self.turn();
    }

    fn sent(&mut self) -> Vec<Command> {
        std::mem::take(&mut self.core.commands)
    }

    fn told(&mut self) -> Vec<SessionEvent> {
        std::mem::take(&mut self.core.events)
    }

    fn frames_of(&mut self, thread: ThreadId, line: i64) {
        self.hears(frames(thread, Some("T"), &[line, 1]));
    }

    /// A thread stops at a breakpoint, as the servers tell it.
    fn reports_a_hit(&mut self, thread: ThreadId, line: i64) -> StoppedThread {
        self.frames_of(thread, line);
        self.hears(Event::BreakpointHit {
            id: BreakpointId(1),
            thread,
        });
        self.stopped()
    }

    /// The same, and it is known to have marked the others.
    fn hits(&mut self, thread: ThreadId, line: i64) -> StoppedThread {
        let stopped = self.reports_a_hit(thread, line);
        if let Some(thread) = self.core.threads.get_mut(&thread) {
            thread.marks = false;
        }
        stopped
    }

    /// The thread of the stop that was just told.
    fn stopped(&mut self) -> StoppedThread {
        let told = self.told();
        told.iter()
            .rev()
            .find_map(|event| match event {
                SessionEvent::Stopped { thread, .. } => Some(*thread),
                _ => None,
            })
            .unwrap_or_else(|| panic!("no stop in {told:?}"))
    }

    fn evaluate(&mut self, thread: StoppedThread, text: &str) -> Reply<Object> {
        let (reply, answer) = oneshot::channel();
        self.asks(Op::Evaluate {
            scope: Scope::Frame(thread.frame(0, FrameKind::Python)),
            text: text.into(),
            repr: ReprKind::Normal,
            reply,
        });
        answer
    }

    fn evaluate_in_module(&mut self, text: &str) -> Reply<Object> {
        let (reply, answer) = oneshot::channel();
        self.asks(Op::Evaluate {
            scope: Scope::Module("__main__".into()),
            text: text.into(),
            repr: ReprKind::Normal,
            reply,
        });
        answer
    }

    fn children(&mut self, thread: StoppedThread, text: &str) -> Reply<Vec<Child>> {
        let (reply, answer) = oneshot::channel();
        self.asks(Op::Children {
            place: thread.frame(0, FrameKind::Python),
            text: text.into(),
            reply,
        });
        answer
    }

    fn resume(&mut self) -> Reply<()> {
        let (reply, answer) = oneshot::channel();
        self.asks(Op::Resume {
            only_after: None,
            step: None,
            reply,
        });
        answer
    }

    fn step(&mut self, thread: StoppedThread) -> Reply<()> {
        let (reply, answer) = oneshot::channel();
        self.asks(Op::Resume {
            only_after: None,
            step: Some((thread, StepKind::Over)),
            reply,
        });
        answer
    }

    fn detach(&mut self) -> oneshot::Receiver<Ended> {
        let (reply, answer) = oneshot::channel();
        self.asks(Op::Detach { reply });
        answer
    }

    fn set_breakpoint(&mut self, id: i64) -> oneshot::Receiver<Binding> {
        let (reply, answer) = oneshot::channel();
        self.asks(Op::SetBreakpoint {
            breakpoint: breakpoint(id, Language::Python),
            reply,
        });
        answer
    }

    /// Answers the probe that was sent last.
    fn probe_finds(&mut self, thread: ThreadId, blocked: bool) {
        let sent = self.sent();
        let Some(Command::EnumerateChildren {
            execution,
            thread: probed,
            ..
        }) = sent.last()
        else {
            panic!("no probe in {sent:?}");
        };
        assert_eq!((*probed, sent.len()), (thread, 1));
        let children = if blocked { vec![child("[0]")] } else { vec![] };
        self.hears(Event::Children {
            execution: *execution,
            children,
        });
    }

    fn state(&self, thread: ThreadId) -> ThreadState {
        self.core.threads[&thread].state
    }
}

fn frames(thread: ThreadId, name: Option<&str>, lines: &[i64]) -> Event {
    let frame = |line: &i64| Frame {
        first_line: 1,
        last_line: 99,
        line: *line,
        function: "f".into(),
        file: "/srv/app.py".into(),
        argument_count: 0,
        template: None,
        variables: vec![],
    };
    Event::Frames {
        thread,
        name: name.map(PyText::from),
        frames: lines.iter().map(frame).collect(),
    }
}

fn object(repr: &str) -> Object {
    Object {
        repr: Some(repr.into()),
        hex: None,
        type_name: "int".into(),
        length: Some(0),
        flags: ObjectFlags::default(),
    }
}

fn child(name: &str) -> Child {
    Child {
        name: name.into(),
        key: ChildKey::Unreachable,
        object: object("0"),
    }
}

fn breakpoint(id: i64, language: Language) -> SetBreakpoint {
    SetBreakpoint {
        id: BreakpointId(id),
        line: 12,
        file: "/srv/app.py".into(),
        language,
        condition: BreakpointCondition::Always,
        pass_count: PassCount::Always,
    }
}

fn executions(commands: &[Command]) -> Vec<ExecutionId> {
    commands
        .iter()
        .filter_map(|command| match command {
            Command::Execute { execution, .. } | Command::EnumerateChildren { execution, .. } => {
                Some(*execution)
            }
            _ => None,
        })
        .collect()
}

fn only(commands: &[Command]) -> ExecutionId {
    match (commands, executions(commands).as_slice()) {
        ([_], [execution]) => *execution,
        _ => panic!("not one execution: {commands:?}"),
    }
}

fn failed(command: &str) -> Event {
    Event::Answered {
        request: 9,
        command: command.into(),
        failure: Some("Traceback:\n  File x\nthread.error: release unlocked lock\n".into()),
    }
}

fn waits<T>(reply: &mut oneshot::Receiver<T>) -> bool {
    matches!(reply.try_recv(), Err(TryRecvError::Empty))
}

// Resuming.

#[test]
fn one_thread_stops_and_is_resumed_at_once() {
    let mut s = Session::running(Dialect::V6, &[MAIN]);
    s.hits(MAIN, 12);
    let mut resumed = s.resume();
    assert_eq!(s.sent(), [Command::ResumeAll]);
    assert_eq!(resumed.try_recv(), Ok(Ok(())));
    assert_eq!(s.wake, None);
}

#[test]
fn a_resume_while_running_sends_nothing() {
    let mut s = Session::running(Dialect::V6, &[MAIN]);
    assert_eq!(s.resume().try_recv(), Ok(Ok(())));
    assert_eq!(s.sent(), []);
}

#[test]
fn the_first_resume_after_the_attach_is_by_its_thread() {
    let mut s = Session::new(Dialect::V6, &[MAIN]);
    s.frames_of(MAIN, 3);
    s.hears(Event::ProcessLoaded(MAIN));
    let stopped = s.stopped();
    // A step does not make the server forget it.
    s.step(stopped).try_recv().unwrap().unwrap();
    assert_eq!(s.sent(), [Command::StepOver(MAIN)]);
    s.frames_of(MAIN, 4);
    s.hears(Event::StepDone(MAIN));
    s.resume();
    assert_eq!(s.sent(), [Command::ResumeThread(MAIN)]);
    s.hits(MAIN, 12);
    s.resume();
    assert_eq!(s.sent(), [Command::ResumeAll]);
}

#[test]
fn marked_threads_are_waited_for_and_probed_before_a_resume() {
    let mut s = Session::running(Dialect::V6, &[MAIN, WORKER]);
    s.hits(MAIN, 12);
    let mut resumed = s.resume();
    assert_eq!(s.sent(), [], "the worker is marked and has not stopped");
    s.after(5);
    s.frames_of(WORKER, 30);
    assert!(waits(&mut resumed));
    s.probe_finds(WORKER, true);
    assert_eq!(s.sent(), [Command::ResumeAll]);
    assert_eq!(resumed.try_recv(), Ok(Ok(())));
}

#[test]
fn a_resume_waits_until_the_thread_that_hit_has_marked_the_others() {
    let mut s = Session::running(Dialect::V2, &[MAIN, WORKER]);
    s.frames_of(WORKER, 30);
    s.reports_a_hit(MAIN, 12);
    let mut resumed = s.resume();
    s.probe_finds(WORKER, true);
    s.after(300);
    assert!(waits(&mut resumed), "the worker would be marked behind it");
    s.probe_finds(MAIN, true);
    assert_eq!(s.sent(), [Command::ResumeAll]);
    assert_eq!(resumed.try_recv(), Ok(Ok(())));
}

#[test]
fn a_thread_that_has_answered_has_marked_the_others() {
    let mut s = Session::running(Dialect::V2, &[MAIN, WORKER]);
    let stopped = s.reports_a_hit(MAIN, 12);
    let mut value = s.evaluate(stopped, "x");
    let execution = only(&s.sent());
    s.after(300);
    s.hears(Event::ExecutionResult {
        execution,
        object: object("1"),
    });
    assert!(value.try_recv().is_ok());
    s.resume();
    s.after(200);
    assert_eq!(s.sent(), [Command::ResumeAll]);
}

#[test]
fn a_thread_in_native_code_delays_one_resume_and_not_the_next() {
    let mut s = Session::running(Dialect::V6, &[MAIN, WORKER]);
    for wait in [200, 0, 0] {
        s.hears(frames(WORKER, None, &[77]));
        s.hits(MAIN, 12);
        let mut resumed = s.resume();
        if wait > 0 {
            s.after(wait - 1);
            assert!(waits(&mut resumed));
            s.after(1);
        }
        assert_eq!(resumed.try_recv(), Ok(Ok(())));
        s.after(1000);
    }
}

#[test]
fn a_thread_without_frames_delays_one_resume_and_not_the_next() {
    let mut s = Session::running(Dialect::V6, &[MAIN, WORKER]);
    s.hits(MAIN, 12);
    let mut resumed = s.resume();
    assert!(waits(&mut resumed));
    s.after(200);
    assert_eq!(resumed.try_recv(), Ok(Ok(())));
    s.hits(MAIN, 13);
    assert_eq!(s.resume().try_recv(), Ok(Ok(())));
}

#[test]
fn an_exception_stops_its_own_thread_and_waits_for_no_other() {
    let mut s = Session::running(Dialect::V6, &[MAIN, WORKER]);
    s.frames_of(MAIN, 5);
    s.hears(Event::Exception {
        thread: MAIN,
        exception: ExceptionReport::default(),
    });
    assert_eq!(s.resume().try_recv(), Ok(Ok(())));
    assert_eq!(s.sent(), [Command::ResumeAll]);
}

#[test]
fn a_busy_thread_that_stops_behind_the_resume_is_set_free() {
    let mut s = Session::running(Dialect::V6, &[MAIN, WORKER]);
    s.hits(MAIN, 12);
    s.resume();
    s.after(200);
    assert_eq!(s.sent(), [Command::ResumeAll]);
    s.frames_of(WORKER, 30);
    s.after(499);
    assert_eq!(s.sent(), [], "it may be about to report its own stop");
    s.after(1);
    s.probe_finds(WORKER, true);
    assert_eq!(s.sent(), [Command::ResumeThread(WORKER)]);
}

#[test]
fn a_thread_that_looked_lost_and_runs_is_left_alone() {
    let mut s = Session::running(Dialect::V6, &[MAIN, WORKER]);
    s.hits(MAIN, 12);
    s.resume();
    s.after(200);
    s.sent();
    s.frames_of(WORKER, 30);
    s.after(500);
    s.probe_finds(WORKER, false);
    // Asked again for half a second, in case it was just about to block.
    while s.wake.is_some() {
        s.after(40);
        if !s.core.commands.is_empty() {
            s.probe_finds(WORKER, false);
        }
    }
    assert_eq!(s.sent(), []);
    assert_eq!(s.state(WORKER), ThreadState::Running);
}

#[test]
fn a_thread_that_stops_while_it_is_probed_is_not_lost() {
    let mut s = Session::running(Dialect::V6, &[MAIN, WORKER]);
    s.hits(MAIN, 12);
    s.resume();
    s.after(200);
    s.sent();
    s.frames_of(WORKER, 30);
    s.after(1000);
    let first = only(&s.sent());
    // On the wire before the answer, which was about the moment before.
    s.frames_of(WORKER, 31);
    s.after(600);
    s.hears(Event::Children {
        execution: first,
        children: vec![],
    });
    s.after(600);
    s.probe_finds(WORKER, true);
    assert_eq!(s.sent(), [Command::ResumeThread(WORKER)]);
}

#[test]
fn a_stop_that_is_told_while_the_thread_is_probed_counts_and_not_the_probe() {
    let mut s = Session::running(Dialect::V6, &[MAIN, WORKER]);
    s.hits(MAIN, 12);
    s.resume();
    s.after(200);
    s.sent();
    s.frames_of(WORKER, 30);
    s.after(1200);
    let execution = only(&s.sent());
    let stopped = s.hits(WORKER, 31);
    s.hears(Event::Children {
        execution,
        children: vec![],
    });
    assert_eq!(s.state(WORKER), ThreadState::Blocked);
    s.step(stopped);
    s.after(200);
    assert_eq!(s.sent(), [Command::StepOver(WORKER)]);
}

#[test]
fn a_second_hit_before_the_threads_of_the_first_woke_is_not_resumed_yet() {
    let mut s = Session::running(Dialect::V6, &[MAIN, WORKER]);
    s.hits(MAIN, 12);
    s.frames_of(WORKER, 30);
    s.resume();
    s.probe_finds(WORKER, true);
    assert_eq!(s.sent(), [Command::ResumeAll]);
    s.after(1);
    // The main thread has run on and hit again; the worker has not woken.
    s.hits(MAIN, 12);
    let mut resumed = s.resume();
    s.after(300);
    assert!(waits(&mut resumed));
    assert_eq!(s.sent(), []);
    // It shows life: the next stop is the one that it was marked for.
    s.frames_of(WORKER, 31);
    s.probe_finds(WORKER, true);
    assert_eq!(s.sent(), [Command::ResumeAll]);
    assert_eq!(resumed.try_recv(), Ok(Ok(())));
}

#[test]
fn a_thread_that_shows_no_life_is_believed_to_have_woken_after_a_second() {
    let mut s = Session::running(Dialect::V6, &[MAIN, WORKER]);
    s.hits(MAIN, 12);
    s.hits(WORKER, 30);
    s.resume();
    s.sent();
    s.hits(MAIN, 12);
    let mut resumed = s.resume();
    s.after(999);
    assert!(waits(&mut resumed));
    s.after(1);
    assert_eq!(resumed.try_recv(), Ok(Ok(())));
    assert_eq!(s.sent(), [Command::ResumeAll]);
}

#[test]
fn a_stop_while_a_resume_waits_overtakes_it() {
    let mut s = Session::running(Dialect::V6, &[MAIN, WORKER]);
    let before = s.hits(MAIN, 12);
    let mut resumed = s.resume();
    s.after(3);
    let stopped = s.hits(WORKER, 30);
    assert_eq!(resumed.try_recv(), Ok(Ok(())));
    assert!(stopped.epoch() > before.epoch());
    s.probe_finds(WORKER, true);
    s.after(5000);
    assert_eq!(s.sent(), [], "the program stays stopped");
    assert_eq!(s.resume().try_recv(), Ok(Ok(())));
    assert_eq!(s.sent(), [Command::ResumeAll]);
}

#[test]
fn a_stop_that_crossed_a_resume_is_doubted_before_anything_is_done_with_it() {
    let mut s = Session::running(Dialect::V6, &[MAIN, WORKER]);
    s.frames_of(MAIN, 5);
    s.hears(Event::Exception {
        thread: MAIN,
        exception: ExceptionReport::default(),
    });
    s.resume();
    assert_eq!(s.sent(), [Command::ResumeAll]);
    s.after(10);
    // The worker ran all the time. Did it stop before the resume came?
    let stopped = s.hits(WORKER, 30);
    let mut stepped = s.step(stopped);
    s.after(499);
    assert_eq!(s.sent(), []);
    s.after(501);
    while s.wake.is_some() && waits(&mut stepped) {
        s.probe_finds(WORKER, false);
        s.after(40);
    }
    assert_eq!(stepped.try_recv(), Ok(Err(EvaluateError::Running)));
    let sent = s.sent();
    assert_eq!(
        sent,
        [Command::ResumeAll],
        "a step would have ended the loop"
    );
}

#[test]
fn the_first_thread_that_woke_does_not_tell_that_the_resume_has_come_to_all() {
    let mut s = Session::running(Dialect::V2, &[MAIN, WORKER, OTHER]);
    s.hits(MAIN, 12);
    s.hits(WORKER, 30);
    s.resume();
    s.after(200);
    assert_eq!(
        s.sent(),
        [Command::ResumeAll],
        "the third is in native code"
    );
    // The server has released the first, and waits for the second to finish
    // its report. The third comes along, and will be released in its turn.
    s.hears(frames(MAIN, None, &[12]));
    s.frames_of(OTHER, 40);
    s.hears(frames(WORKER, None, &[30]));
    s.hits(MAIN, 12);
    let mut resumed = s.resume();
    s.after(499);
    assert_eq!(s.sent(), [], "it may have been released and not have run");
    s.after(1);
    s.probe_finds(OTHER, true);
    assert_eq!(s.sent(), [Command::ResumeAll]);
    assert_eq!(resumed.try_recv(), Ok(Ok(())));
}

#[test]
fn a_stop_that_is_passed_over_does_not_take_another_with_it() {
    let mut s = Session::running(Dialect::V6, &[MAIN, WORKER]);
    let first = s.hits(MAIN, 12);
    let second = s.hits(WORKER, 30);
    let pass_over = |s: &mut Session, stop| {
        let (reply, answer) = oneshot::channel();
        s.asks(Op::Resume {
            only_after: Some(stop),
            step: None,
            reply,
        });
        answer
    };
    assert_eq!(pass_over(&mut s, first).try_recv(), Ok(Ok(())));
    s.after(1000);
    assert_eq!(s.sent(), [], "the second stop has not been looked at");
    let _second = pass_over(&mut s, second);
    s.after(1000);
    assert_eq!(s.sent(), [Command::ResumeAll]);
}

#[test]
fn a_step_of_a_running_thread_is_refused_and_nothing_sent() {
    let mut s = Session::running(Dialect::V6, &[MAIN, WORKER]);
    let token = s.core.token(WORKER);
    assert_eq!(s.step(token).try_recv(), Ok(Err(EvaluateError::Running)));
    s.hits(MAIN, 12);
    assert_eq!(s.step(token).try_recv(), Ok(Err(EvaluateError::Running)));
    let stale = s.core.token(MAIN);
    s.resume();
    s.after(200);
    s.sent();
    assert_eq!(s.step(stale).try_recv(), Ok(Err(EvaluateError::Stale)));
    assert_eq!(s.sent(), []);
}

#[test]
fn a_step_that_an_exception_overtook_is_forgotten_at_the_resume() {
    let mut s = Session::running(Dialect::V6, &[MAIN]);
    let stopped = s.hits(MAIN, 12);
    s.step(stopped);
    assert_eq!(s.sent(), [Command::StepOver(MAIN)]);
    s.frames_of(MAIN, 13);
    s.hears(Event::Exception {
        thread: MAIN,
        exception: ExceptionReport::default(),
    });
    let stopped = s.stopped();
    s.step(stopped);
    assert_eq!(
        s.sent(),
        [Command::StepOver(MAIN)],
        "the new step replaces it"
    );
    s.frames_of(MAIN, 14);
    s.hears(Event::Exception {
        thread: MAIN,
        exception: ExceptionReport::default(),
    });
    s.resume();
    assert_eq!(s.sent(), [Command::ClearStepping(MAIN), Command::ResumeAll]);
}

// Pausing.

#[test]
fn a_pause_stops_once_and_later_answers_to_it_are_surplus() {
    let mut s = Session::running(Dialect::V6, &[MAIN, WORKER]);
    s.asks(Op::Pause);
    assert_eq!(s.sent(), [Command::BreakAll]);
    s.frames_of(MAIN, 5);
    s.hears(Event::AsyncBreak(MAIN));
    assert!(matches!(
        s.told().last(),
        Some(SessionEvent::Stopped {
            reason: StopReason::Pause,
            ..
        })
    ));
    s.frames_of(WORKER, 30);
    s.told();
    s.hears(Event::AsyncBreak(WORKER));
    assert_eq!(s.told(), []);
    assert_eq!(s.state(WORKER), ThreadState::Blocked);
    s.asks(Op::Pause);
    assert_eq!(s.sent(), [], "stopped already");
}

#[test]
fn a_break_that_nobody_asked_for_is_the_programs_own() {
    let mut s = Session::running(Dialect::V6, &[MAIN]);
    s.frames_of(MAIN, 5);
    s.hears(Event::AsyncBreak(MAIN));
    assert!(matches!(
        s.told().last(),
        Some(SessionEvent::Stopped {
            reason: StopReason::BreakCall,
            ..
        })
    ));
}

#[test]
fn a_pause_while_a_resume_waits_goes_behind_it() {
    let mut s = Session::running(Dialect::V6, &[MAIN, WORKER]);
    s.hits(MAIN, 12);
    s.resume();
    s.asks(Op::Pause);
    assert_eq!(s.sent(), []);
    s.after(200);
    assert_eq!(s.sent(), [Command::ResumeAll, Command::BreakAll]);
}

#[test]
fn a_pause_after_an_exception_stops_the_others_too() {
    let mut s = Session::running(Dialect::V6, &[MAIN, WORKER]);
    s.frames_of(MAIN, 5);
    s.hears(Event::Exception {
        thread: MAIN,
        exception: ExceptionReport::default(),
    });
    s.asks(Op::Pause);
    assert_eq!(s.sent(), [Command::BreakAll]);
    s.frames_of(WORKER, 30);
    s.hears(Event::AsyncBreak(WORKER));
    assert_eq!(s.stopped().thread(), WORKER);
}

// Executions.

#[test]
fn a_resume_waits_for_the_evaluation_and_no_longer_than_a_second() {
    let mut s = Session::running(Dialect::V6, &[MAIN]);
    let stopped = s.hits(MAIN, 12);
    let mut value = s.evaluate(stopped, "slow()");
    let execution = only(&s.sent());
    let mut resumed = s.resume();
    s.after(999);
    assert!(waits(&mut resumed) && waits(&mut value));
    assert_eq!(s.sent(), []);
    s.after(1);
    assert_eq!(s.sent(), [Command::ResumeAll]);
    assert_eq!(value.try_recv(), Ok(Err(EvaluateError::Resumed)));
    assert_eq!(resumed.try_recv(), Ok(Ok(())));
    // When it is done at last, its frames are no stop.
    s.after(5000);
    s.told();
    s.frames_of(MAIN, 12);
    s.hears(Event::ExecutionResult {
        execution,
        object: object("1"),
    });
    s.after(5000);
    assert_eq!(s.sent(), []);
}

#[test]
fn a_resume_goes_on_as_soon_as_the_evaluation_is_done() {
    let mut s = Session::running(Dialect::V6, &[MAIN]);
    let stopped = s.hits(MAIN, 12);
    let mut value = s.evaluate(stopped, "x");
    let execution = only(&s.sent());
    let mut resumed = s.resume();
    s.after(7);
    s.frames_of(MAIN, 12);
    s.hears(Event::ExecutionResult {
        execution,
        object: object("3"),
    });
    assert_eq!(value.try_recv(), Ok(Ok(object("3"))));
    assert_eq!(s.sent(), [Command::ResumeAll]);
    assert_eq!(resumed.try_recv(), Ok(Ok(())));
}

#[test]
fn a_thread_that_still_evaluates_from_an_earlier_stop_is_never_released_twice() {
    let mut s = Session::running(Dialect::V6, &[MAIN, WORKER]);
    let stopped = s.hits(MAIN, 12);
    s.frames_of(WORKER, 30);
    s.evaluate(stopped, "while_true()");
    let execution = only(&s.sent());
    s.resume();
    s.after(1000);
    s.probe_finds(WORKER, true);
    assert_eq!(s.sent(), [Command::ResumeAll]);
    s.after(2000);
    let stopped = s.hits(WORKER, 40);
    assert!(matches!(
        s.step(stopped).try_recv(),
        Ok(Err(EvaluateError::Unsupported(_)))
    ));
    let mut resumed = s.resume();
    assert_eq!(resumed.try_recv(), Ok(Ok(())));
    assert_eq!(
        s.sent(),
        [
            Command::ClearStepping(MAIN),
            Command::ClearStepping(WORKER),
            Command::ResumeThread(WORKER)
        ]
    );
    // Done: from now on all is as before.
    s.hears(Event::ExecutionResult {
        execution,
        object: object("None"),
    });
    s.after(2000);
    s.hears(frames(MAIN, None, &[13]));
    let stopped = s.hits(WORKER, 41);
    s.step(stopped);
    s.after(1000);
    assert_eq!(s.sent(), [Command::StepOver(WORKER)]);
}

#[test]
fn continue_cancels_what_waits() {
    let mut s = Session::running(Dialect::V6, &[MAIN]);
    let stopped = s.hits(MAIN, 12);
    let mut first = s.evaluate(stopped, "a");
    let mut second = s.evaluate(stopped, "b");
    let mut third = s.children(stopped, "c");
    let execution = only(&s.sent());
    s.resume();
    assert_eq!(second.try_recv(), Ok(Err(EvaluateError::Resumed)));
    assert_eq!(third.try_recv(), Ok(Err(EvaluateError::Resumed)));
    s.hears(Event::ExecutionException {
        execution,
        text: "name 'a' is not defined".into(),
    });
    assert_eq!(
        first.try_recv(),
        Ok(Err(EvaluateError::Raised("name 'a' is not defined".into())))
    );
    assert_eq!(s.sent(), [Command::ResumeAll]);
}

#[test]
fn sixteen_at_once_are_on_the_wire_one_by_one_and_answered_in_order() {
    let mut s = Session::running(Dialect::V8, &[MAIN]);
    let stopped = s.hits(MAIN, 12);
    let mut answers: Vec<_> = (0..16)
        .map(|n| s.children(stopped, &format!("v{n}")))
        .collect();
    for n in 0..16 {
        let sent = s.sent();
        let execution = only(&sent);
        assert!(
            matches!(&sent[0], Command::EnumerateChildren { text, .. } if *text == *format!("v{n}"))
        );
        s.hears(Event::Children {
            execution,
            children: vec![child(&n.to_string())],
        });
        assert_eq!(
            answers[n].try_recv(),
            Ok(Ok(vec![child(&n.to_string())])),
            "{n}"
        );
        assert!(answers[n + 1..].iter_mut().all(waits));
    }
    assert_eq!(s.sent(), []);
}

#[test]
fn previous_evaluation_has_not_completed_is_asked_again_and_not_for_ever() {
    for text in [NOT_COMPLETED, NOT_BLOCKED] {
        let mut s = Session::running(Dialect::V6, &[MAIN]);
        let stopped = s.hits(MAIN, 12);
        let mut value = s.evaluate(stopped, "x");
        let mut tries = 0;
        let begun = s.now;
        while waits(&mut value) {
            let sent = s.sent();
            if let [execution] = executions(&sent)[..] {
                tries += 1;
                s.hears(Event::ExecutionException {
                    execution,
                    text: text.into(),
                });
            }
            s.after(1);
            assert!(s.now < begun + Duration::from_secs(3));
            if tries == 4 {
                break;
            }
        }
        assert_eq!(tries, 4, "{text}");
        s.after(40);
        let execution = only(&s.sent());
        s.hears(Event::ExecutionResult {
            execution,
            object: object("3"),
        });
        assert_eq!(value.try_recv(), Ok(Ok(object("3"))));

        let mut value = s.evaluate(stopped, "x");
        let begun = s.now;
        while s.now < begun + Duration::from_secs(3) {
            if let [execution] = executions(&s.sent())[..] {
                s.hears(Event::ExecutionException {
                    execution,
                    text: text.into(),
                });
            }
            s.after(5);
        }
        assert_eq!(value.try_recv(), Ok(Err(EvaluateError::Running)));
    }
}

#[test]
fn empty_children_just_after_another_answer_are_doubted() {
    let mut s = Session::running(Dialect::V6, &[MAIN]);
    let stopped = s.hits(MAIN, 12);
    let mut first = s.children(stopped, "a");
    let execution = only(&s.sent());
    s.hears(Event::Children {
        execution,
        children: vec![],
    });
    assert_eq!(first.try_recv(), Ok(Ok(vec![])), "nothing came before it");
    let mut second = s.children(stopped, "b");
    let execution = only(&s.sent());
    s.hears(Event::Children {
        execution,
        children: vec![],
    });
    assert!(waits(&mut second));
    s.after(10);
    let execution = only(&s.sent());
    s.hears(Event::Children {
        execution,
        children: vec![child("x")],
    });
    assert_eq!(second.try_recv(), Ok(Ok(vec![child("x")])));
    // One that is empty all along is believed in the end.
    let mut third = s.children(stopped, "()");
    for _ in 0..4 {
        s.after(40);
        let execution = only(&s.sent());
        s.hears(Event::Children {
            execution,
            children: vec![],
        });
    }
    assert_eq!(third.try_recv(), Ok(Ok(vec![])));
}

#[test]
fn frames_that_are_not_there_are_refused_and_nothing_sent() {
    let mut s = Session::running(Dialect::V6, &[MAIN]);
    let stopped = s.hits(MAIN, 12);
    let (reply, mut answer) = oneshot::channel();
    s.asks(Op::Children {
        place: stopped.frame(2, FrameKind::Python),
        text: "x".into(),
        reply,
    });
    assert_eq!(answer.try_recv(), Ok(Err(EvaluateError::Stale)), "too deep");
    s.resume();
    s.sent();
    let mut value = s.evaluate(stopped, "x");
    assert_eq!(value.try_recv(), Ok(Err(EvaluateError::Stale)), "resumed");
    let token = s.core.token(MAIN);
    let mut value = s.evaluate(token, "x");
    assert_eq!(value.try_recv(), Ok(Err(EvaluateError::Running)));
    let token = s.core.token(OTHER);
    let mut value = s.evaluate(token, "x");
    assert_eq!(value.try_recv(), Ok(Err(EvaluateError::Stale)), "unknown");
    assert_eq!(s.sent(), []);
}

#[test]
fn a_thread_that_exits_while_evaluating_ends_the_call() {
    let mut s = Session::running(Dialect::V6, &[MAIN, WORKER]);
    let stopped = s.hits(WORKER, 12);
    let mut value = s.evaluate(stopped, "x");
    let mut waiting = s.evaluate(stopped, "y");
    s.sent();
    s.hears(Event::ThreadExited(WORKER));
    assert_eq!(value.try_recv(), Ok(Err(EvaluateError::Stale)));
    assert_eq!(waiting.try_recv(), Ok(Err(EvaluateError::Stale)));
    assert_eq!(s.told(), [SessionEvent::ThreadExited(WORKER)]);
    assert_eq!(s.sent(), []);
}

#[test]
fn an_execution_on_which_a_json_server_fails_ends() {
    let mut s = Session::running(Dialect::V8, &[MAIN]);
    let stopped = s.hits(MAIN, 12);
    let mut value = s.evaluate(stopped, "x");
    s.sent();
    s.hears(failed("legacyExecuteText"));
    assert_eq!(
        value.try_recv(),
        Ok(Err(EvaluateError::Raised(
            "thread.error: release unlocked lock".into()
        )))
    );
}

#[test]
fn a_probe_without_an_answer_does_not_hold_up_the_session_for_ever() {
    let mut s = Session::running(Dialect::V8, &[MAIN, WORKER]);
    s.hits(MAIN, 12);
    s.frames_of(WORKER, 30);
    let mut resumed = s.resume();
    only(&s.sent());
    s.after(9_999);
    assert!(waits(&mut resumed));
    s.after(1);
    assert_eq!(resumed.try_recv(), Ok(Ok(())));
    assert_eq!(s.sent(), [Command::ResumeAll]);
}

#[test]
fn a_module_is_asked_while_the_program_runs_and_no_resume_waits_for_it() {
    let mut s = Session::running(Dialect::V8, &[MAIN]);
    let mut value = s.evaluate_in_module("open('x').read()");
    let execution = only(&s.sent());
    s.hits(MAIN, 12);
    assert_eq!(s.resume().try_recv(), Ok(Ok(())));
    assert_eq!(s.sent(), [Command::ResumeAll]);
    s.hears(Event::ExecutionResult {
        execution,
        object: object("'text'"),
    });
    assert_eq!(value.try_recv(), Ok(Ok(object("'text'"))));

    let mut s = Session::running(Dialect::V7, &[MAIN]);
    assert!(matches!(
        s.evaluate_in_module("1").try_recv(),
        Ok(Err(EvaluateError::Unsupported(text))) if text.contains("3.1.0")
    ));
}

#[test]
fn nobody_waits_for_an_evaluation_that_was_not_sent_so_it_is_not() {
    let mut s = Session::running(Dialect::V6, &[MAIN]);
    let stopped = s.hits(MAIN, 12);
    let first = s.evaluate(stopped, "a");
    drop(s.evaluate(stopped, "b"));
    let execution = only(&s.sent());
    s.hears(Event::ExecutionResult {
        execution,
        object: object("1"),
    });
    assert_eq!(s.sent(), []);
    drop(first);
}

// What is answered at once.

#[test]
fn a_thread_that_raised_is_answered_in_the_same_turn_whatever_else_is_up() {
    let answer = |file: &str| Command::SetExceptionHandlerInfo {
        file: file.into(),
        handlers: vec![HandlerRange::everything()],
    };
    let mut s = Session::running(Dialect::V6, &[MAIN, WORKER]);
    s.hears(Event::HandlersWanted("/srv/a.py".into()));
    assert_eq!(s.sent(), [answer("/srv/a.py")]);
    let stopped = s.hits(MAIN, 12);
    s.evaluate(stopped, "slow()");
    s.resume();
    s.sent();
    s.hears(Event::HandlersWanted("/srv/b.py".into()));
    assert_eq!(s.sent(), [answer("/srv/b.py")]);
    s.detach();
    s.sent();
    s.hears(Event::HandlersWanted("/srv/c.py".into()));
    assert_eq!(s.sent(), [answer("/srv/c.py")]);
}

fn handled(file: &str, handlers: Vec<HandlerRange>) -> Command {
    Command::SetExceptionHandlerInfo {
        file: file.into(),
        handlers,
    }
}

fn all_handled(file: &str) -> Command {
    handled(file, vec![HandlerRange::everything()])
}

fn uncaught_stops() -> Op {
    Op::SetExceptions {
        default: ExceptionMode::UNHANDLED,
        named: vec![("StopIteration".into(), ExceptionMode::NEVER)],
        reply: oneshot::channel().0,
    }
}

/// Exceptions stop, and a thread has raised one.
fn with_handlers_wanted(dialect: Dialect, file: &str) -> Session {
    let mut s = Session::running(dialect, &[MAIN, WORKER]);
    s.asks(uncaught_stops());
    s.sent();
    s.hears(Event::HandlersWanted(file.into()));
    assert_eq!(s.sent(), []);
    assert_eq!(s.told(), [SessionEvent::HandlersWanted(file.into())]);
    s
}

fn found(file: &str) -> (Op, Vec<HandlerRange>) {
    let handlers = vec![HandlerRange {
        line_start: 3,
        line_end: 5,
        expressions: vec!["ValueError".into()],
    }];
    let op = Op::GiveHandlers {
        file: file.into(),
        handlers: handlers.clone(),
    };
    (op, handlers)
}

#[test]
fn handlers_that_the_consumer_finds_are_given_once() {
    let mut s = with_handlers_wanted(Dialect::V6, "/srv/a.py");
    let (op, handlers) = found("/srv/a.py");
    s.asks(op);
    assert_eq!(s.sent(), [handled("/srv/a.py", handlers)]);
    // An answer that nobody waits for would end the command loop.
    s.asks(found("/srv/a.py").0);
    s.after(60_000);
    assert_eq!(s.sent(), []);
}

#[test]
fn handlers_that_are_not_found_in_time_are_everything_until_they_are_found() {
    let mut s = with_handlers_wanted(Dialect::V8, "/srv/a.py");
    s.after(999);
    assert_eq!(s.sent(), []);
    s.after(1);
    assert_eq!(s.sent(), [all_handled("/srv/a.py")]);
    // The server would not ask again by itself.
    s.asks(found("/srv/a.py").0);
    s.after(100);
    assert!(matches!(
        s.sent().as_slice(),
        [Command::SetExceptionInfo { default, named }]
            if *default == ExceptionMode::UNHANDLED && named.len() == 1
    ));
    s.hears(Event::HandlersWanted("/srv/a.py".into()));
    let (op, handlers) = found("/srv/a.py");
    s.asks(op);
    assert_eq!(s.sent(), [handled("/srv/a.py", handlers)]);
}

#[test]
fn an_answer_is_not_forgotten_before_its_thread_has_read_it() {
    let tells = |sent: &[Command]| matches!(sent, [Command::SetExceptionInfo { .. }]);
    let mut s = with_handlers_wanted(Dialect::V6, "/srv/a.py");
    s.asks(found("/srv/a.py").0);
    s.sent();
    s.asks(uncaught_stops());
    s.after(99);
    assert_eq!(s.sent(), []);
    s.after(1);
    assert!(tells(&s.sent()));
    // An answer that is still to come is not forgotten.
    s.hears(Event::HandlersWanted("/srv/a.py".into()));
    s.asks(uncaught_stops());
    assert!(tells(&s.sent()));
    s.asks(found("/srv/a.py").0);
    assert_eq!(s.sent().len(), 1);
}

/// As [`uncaught_stops`], for somebody who waits for it.
fn uncaught_stops_when() -> (Op, oneshot::Receiver<()>) {
    let (answer, told) = oneshot::channel();
    let Op::SetExceptions { default, named, .. } = uncaught_stops() else {
        unreachable!()
    };
    let op = Op::SetExceptions {
        default,
        named,
        reply: answer,
    };
    (op, told)
}

#[test]
fn what_stops_is_done_when_the_server_has_taken_it_up() {
    let mut s = Session::running(Dialect::V8, &[MAIN]);
    let (op, mut first) = uncaught_stops_when();
    s.asks(op);
    let sent = s.sent();
    assert!(
        matches!(
            sent.as_slice(),
            [Command::SetExceptionInfo { .. }, question] if *question == IS_IT_TAKEN_UP
        ),
        "{sent:?}"
    );
    // That comes before it is done.
    s.hears(Event::Answered {
        request: 6,
        command: "legacySetExceptionInfo".into(),
        failure: None,
    });
    let (op, mut second) = uncaught_stops_when();
    s.asks(op);
    assert!(waits(&mut first));
    s.hears(taken_up());
    assert_eq!(first.try_recv(), Ok(()));
    assert!(waits(&mut second));
    // It has come to the question, whatever became of it.
    s.hears(Event::Answered {
        request: 9,
        command: "legacyGetBreakpointHitCount".into(),
        failure: Some("RuntimeError".into()),
    });
    assert_eq!(second.try_recv(), Ok(()));
}

#[test]
fn what_stops_is_not_waited_for_for_ever() {
    for (dialect, milliseconds) in [
        // They cannot say it.
        (Dialect::V2, 100),
        (Dialect::V4, 100),
        (Dialect::V6, 1000),
    ] {
        let mut s = Session::running(dialect, &[MAIN]);
        let (op, mut done) = uncaught_stops_when();
        s.asks(op);
        s.after(milliseconds - 1);
        assert!(waits(&mut done), "{dialect}");
        s.after(1);
        assert_eq!(done.try_recv(), Ok(()), "{dialect}");
    }
    let mut s = Session::running(Dialect::V6, &[MAIN]);
    let (op, mut done) = uncaught_stops_when();
    s.asks(op);
    s.detach();
    assert!(done.try_recv() == Err(TryRecvError::Closed));
}

#[test]
fn a_detach_waits_for_the_answer_to_its_own_question() {
    let mut s = Session::running(Dialect::V6, &[MAIN]);
    let (op, _done) = uncaught_stops_when();
    s.asks(op);
    s.detach();
    s.hears(taken_up());
    s.after(300);
    assert!(!s.sent().contains(&Command::Detach));
    s.hears(taken_up());
    s.after(200);
    assert_eq!(s.sent().last(), Some(&Command::Detach));
}

#[test]
fn a_thread_that_waits_for_handlers_is_answered_before_a_detach() {
    let mut s = with_handlers_wanted(Dialect::V6, "/srv/a.py");
    s.detach();
    let sent = s.sent();
    let answer = sent.iter().position(|c| *c == all_handled("/srv/a.py"));
    let forgets = |c: &Command| matches!(c, Command::SetExceptionInfo { .. });
    let forgotten = sent.iter().rposition(forgets);
    assert!(answer.is_some() && forgotten < answer, "{sent:?}");
    s.asks(found("/srv/a.py").0);
    s.hears(Event::HandlersWanted("/srv/b.py".into()));
    assert_eq!(s.sent(), [all_handled("/srv/b.py")]);
}

#[test]
fn a_thread_that_may_report_an_exception_is_waited_for_before_a_detach() {
    let mut s = Session::running(Dialect::V6, &[MAIN]);
    s.asks(uncaught_stops());
    s.detach();
    s.sent();
    s.hears(Event::HitCount {
        request: 0,
        count: 0,
    });
    assert_eq!(s.sent(), []);
    s.after(200);
    assert_eq!(s.sent().last(), Some(&Command::Detach));
}

#[test]
fn the_last_event_of_a_launched_program_is_acknowledged() {
    let mut s = Session::running(Dialect::V6, &[MAIN]);
    s.hears(Event::Last);
    assert_eq!(s.sent(), [Command::LastAck]);
}

// Breakpoints.

#[test]
fn a_breakpoint_is_bound_or_pending_and_may_be_bound_later() {
    let mut s = Session::running(Dialect::V6, &[MAIN]);
    let mut bound = s.set_breakpoint(1);
    let mut pending = s.set_breakpoint(2);
    s.hears(Event::BreakpointSet(BreakpointId(1)));
    s.hears(Event::BreakpointFailed(BreakpointId(2)));
    assert_eq!(bound.try_recv(), Ok(Binding::Bound));
    assert_eq!(pending.try_recv(), Ok(Binding::Pending));
    assert_eq!(s.told(), []);
    s.hears(Event::BreakpointSet(BreakpointId(2)));
    assert_eq!(s.told(), [SessionEvent::BreakpointBound(BreakpointId(2))]);
}

#[test]
fn a_pending_breakpoint_is_disarmed_before_it_is_removed() {
    let removed = |id| Command::RemoveBreakpoint {
        id: BreakpointId(id),
        line: 12,
        file: "/srv/app.py".into(),
        language: Language::Python,
    };
    let disarmed = |id| Command::SetBreakpointCondition {
        id: BreakpointId(id),
        condition: BreakpointCondition::WhenTrue("0".into()),
    };
    for dialect in Dialect::ALL {
        let mut s = Session::running(dialect, &[MAIN]);
        s.set_breakpoint(1);
        s.set_breakpoint(2);
        s.hears(Event::BreakpointSet(BreakpointId(2)));
        s.sent();
        s.asks(Op::RemoveBreakpoint(BreakpointId(1)));
        if dialect >= Dialect::V5 {
            assert_eq!(s.sent(), [disarmed(1), removed(1)]);
        } else {
            assert_eq!(s.sent(), [removed(1)]);
        }
        s.asks(Op::RemoveBreakpoint(BreakpointId(2)));
        assert_eq!(s.sent(), [removed(2)]);
        s.asks(Op::RemoveBreakpoint(BreakpointId(2)));
        assert_eq!(s.sent(), [], "once only");
    }
}

#[test]
fn a_breakpoint_that_was_bound_late_is_removed_twice() {
    let mut s = Session::running(Dialect::V6, &[MAIN]);
    s.set_breakpoint(1);
    s.hears(Event::BreakpointFailed(BreakpointId(1)));
    s.hears(Event::BreakpointSet(BreakpointId(1)));
    s.sent();
    s.asks(Op::RemoveBreakpoint(BreakpointId(1)));
    let sent = s.sent();
    assert!(
        matches!(
            sent.as_slice(),
            [
                Command::RemoveBreakpoint { .. },
                Command::RemoveBreakpoint { .. }
            ]
        ),
        "{sent:?}"
    );
}

#[test]
fn of_two_template_breakpoints_on_a_line_the_last_takes_it_away() {
    let mut s = Session::running(Dialect::V6, &[MAIN]);
    for id in [1, 2] {
        let (reply, _) = oneshot::channel();
        s.asks(Op::SetBreakpoint {
            breakpoint: breakpoint(id, Language::Django),
            reply,
        });
    }
    s.sent();
    s.asks(Op::RemoveBreakpoint(BreakpointId(2)));
    assert_eq!(s.sent(), []);
    s.asks(Op::RemoveBreakpoint(BreakpointId(1)));
    assert_eq!(s.sent().len(), 1);
}

#[test]
fn a_breakpoint_that_the_dialect_cannot_say_is_answered() {
    let mut s = Session::running(Dialect::V4, &[MAIN]);
    let mut binding = s.set_breakpoint(1);
    let command = s.sent().remove(0);
    s.core.not_sent(&command);
    assert_eq!(binding.try_recv(), Err(TryRecvError::Closed));
    s.asks(Op::RemoveBreakpoint(BreakpointId(1)));
    assert_eq!(s.sent(), []);
}

#[test]
fn modules_are_told_once() {
    let mut s = Session::running(Dialect::V6, &[MAIN]);
    for id in 0..3 {
        s.hears(Event::ModuleLoaded {
            id,
            file: "/srv/app.py".into(),
        });
    }
    assert_eq!(s.told().len(), 1);
}

// Leaving.

const NOTHING_STOPS: Command = Command::SetExceptionInfo {
    default: ExceptionMode::NEVER,
    named: Vec::new(),
};
const IS_IT_TAKEN_UP: Command = Command::GetBreakpointHitCount(BreakpointId(-1));

fn taken_up() -> Event {
    Event::HitCount {
        request: 7,
        count: 0,
    }
}

#[test]
fn detach_while_running() {
    for dialect in [Dialect::V2, Dialect::V6] {
        let mut s = Session::running(dialect, &[MAIN]);
        let mut ended = s.detach();
        let sent = s.sent();
        assert_eq!(sent[..2], [NOTHING_STOPS, Command::ClearStepping(MAIN)]);
        if dialect >= Dialect::V5 {
            assert_eq!(sent[2..], [IS_IT_TAKEN_UP]);
            s.hears(taken_up());
        } else {
            assert_eq!(sent[2..], []);
            s.after(100);
        }
        assert_eq!(s.sent(), [Command::ClearStepping(MAIN), Command::Detach]);
        assert!(waits(&mut ended));
        s.hears(Event::Detached);
        assert_eq!(ended.try_recv(), Ok(Ended::Detached));
        assert_eq!(s.told(), [SessionEvent::Ended(Ended::Detached)]);
        assert_eq!(s.wake, None);
    }
}

#[test]
fn detach_while_threads_run_into_a_breakpoint_waits_for_quiet_before_and_after() {
    let mut s = Session::running(Dialect::V6, &[MAIN, WORKER]);
    s.set_breakpoint(1);
    s.hears(Event::BreakpointSet(BreakpointId(1)));
    s.sent();
    let mut ended = s.detach();
    let sent = s.sent();
    assert!(matches!(sent[0], Command::RemoveBreakpoint { .. }));
    s.hears(taken_up());
    s.after(150);
    // One had hit it before it was taken away, and looks at the others.
    s.hears(frames(MAIN, None, &[7]));
    s.after(150);
    assert_eq!(s.sent(), []);
    s.frames_of(WORKER, 12);
    s.hears(Event::BreakpointHit {
        id: BreakpointId(1),
        thread: WORKER,
    });
    s.probe_finds(WORKER, true);
    s.after(199);
    assert_eq!(s.sent(), []);
    s.after(1);
    assert_eq!(s.sent().last(), Some(&Command::Detach));
    s.told();
    s.hears(Event::Detached);
    s.after(400);
    s.frames_of(MAIN, 12);
    s.hears(Event::BreakpointHit {
        id: BreakpointId(1),
        thread: MAIN,
    });
    s.after(499);
    assert!(waits(&mut ended), "it must be able to say that");
    s.after(1);
    assert_eq!(ended.try_recv(), Ok(Ended::Detached));
    assert_eq!(s.told(), [SessionEvent::Ended(Ended::Detached)]);
}

#[test]
fn detach_from_json_ends_the_command_loop_too() {
    let mut s = Session::running(Dialect::V8, &[MAIN]);
    s.hits(MAIN, 12);
    let mut ended = s.detach();
    s.hears(taken_up());
    assert_eq!(s.sent().last(), Some(&Command::Detach));
    s.hears(Event::Answered {
        request: 3,
        command: "legacyDetach".into(),
        failure: None,
    });
    s.told();
    s.hears(Event::Detached);
    assert_eq!(s.sent(), [Command::EndLoop]);
    s.hears(failed("legacyDetach"));
    assert!(waits(&mut ended), "that is how a detach answers");
    s.hears(failed("ptvsdBridgeEndLoop"));
    s.after(499);
    assert!(waits(&mut ended), "the loop has not taken itself out");
    s.core.connection_ended("the connection ended".to_owned());
    assert_eq!(ended.try_recv(), Ok(Ended::Detached));
    assert_eq!(s.told(), [SessionEvent::Ended(Ended::Detached)]);
}

#[test]
fn a_command_loop_that_does_not_answer_its_end_is_not_waited_for() {
    let mut s = Session::running(Dialect::V7, &[MAIN]);
    let mut ended = s.detach();
    s.hears(taken_up());
    s.hears(Event::Detached);
    s.after(1999);
    assert!(waits(&mut ended));
    s.after(1);
    assert_eq!(ended.try_recv(), Ok(Ended::Detached));
}

#[test]
fn a_json_detach_that_fails_is_sent_again_when_the_thread_has_woken() {
    let mut s = Session::running(Dialect::V8, &[MAIN]);
    s.hits(MAIN, 12);
    let mut ended = s.detach();
    s.hears(taken_up());
    for _ in 0..3 {
        assert_eq!(s.sent().last(), Some(&Command::Detach));
        s.hears(failed("legacyDetach"));
        assert_eq!(s.sent(), []);
        s.after(250);
    }
    assert_eq!(s.sent().last(), Some(&Command::Detach));
    s.hears(failed("legacyDetach"));
    s.after(1999);
    assert!(waits(&mut ended));
    assert_eq!(s.sent(), [], "three times, and no more");
    s.after(1);
    assert_eq!(ended.try_recv(), Ok(Ended::DetachedUnconfirmed));
}

#[test]
fn detach_while_stopped_waits_until_the_marked_threads_are_known() {
    let mut s = Session::running(Dialect::V6, &[MAIN, WORKER]);
    s.hits(MAIN, 12);
    s.detach();
    s.hears(taken_up());
    s.sent();
    s.after(20);
    s.frames_of(WORKER, 30);
    s.probe_finds(WORKER, true);
    assert_eq!(
        s.sent(),
        [
            Command::ClearStepping(MAIN),
            Command::ClearStepping(WORKER),
            Command::Detach
        ]
    );
}

#[test]
fn detach_while_evaluating_waits_a_second_and_cancels_the_rest() {
    let mut s = Session::running(Dialect::V6, &[MAIN]);
    let stopped = s.hits(MAIN, 12);
    let mut value = s.evaluate(stopped, "slow()");
    let mut waiting = s.evaluate(stopped, "x");
    s.after(10);
    s.detach();
    assert_eq!(waiting.try_recv(), Ok(Err(EvaluateError::Resumed)));
    s.hears(taken_up());
    s.sent();
    s.after(989);
    assert_eq!(s.sent(), []);
    s.after(1);
    assert_eq!(value.try_recv(), Ok(Err(EvaluateError::Resumed)));
    assert_eq!(s.sent().last(), Some(&Command::Detach));
}

#[test]
fn detach_just_after_a_resume_lets_the_threads_wake() {
    let mut s = Session::running(Dialect::V6, &[MAIN]);
    s.hits(MAIN, 12);
    s.resume();
    s.detach();
    s.hears(taken_up());
    s.sent();
    s.after(249);
    assert_eq!(s.sent(), []);
    s.after(1);
    assert_eq!(s.sent().last(), Some(&Command::Detach));
}

#[test]
fn detach_while_a_resume_waits_takes_its_place() {
    let mut s = Session::running(Dialect::V6, &[MAIN, WORKER]);
    s.hits(MAIN, 12);
    let mut resumed = s.resume();
    s.detach();
    assert_eq!(resumed.try_recv(), Ok(Ok(())));
    s.hears(taken_up());
    s.after(200);
    let sent = s.sent();
    assert!(!sent.contains(&Command::ResumeAll));
    assert_eq!(sent.last(), Some(&Command::Detach));
}

#[test]
fn a_thread_that_evaluates_on_and_on_is_not_released_twice_by_a_detach() {
    let mut s = Session::running(Dialect::V6, &[MAIN, WORKER]);
    let stopped = s.hits(MAIN, 12);
    s.frames_of(WORKER, 30);
    s.evaluate(stopped, "while_true()");
    s.sent();
    s.resume();
    s.after(1000);
    s.probe_finds(WORKER, true);
    s.after(2000);
    s.hits(WORKER, 40);
    let mut ended = s.detach();
    s.hears(taken_up());
    s.sent();
    s.after(2000);
    let sent = s.sent();
    assert!(!sent.contains(&Command::Detach));
    assert_eq!(sent.last(), Some(&Command::ResumeThread(WORKER)));
    s.after(2000);
    assert_eq!(ended.try_recv(), Ok(Ended::DetachedUnconfirmed));
}

#[test]
fn what_was_asked_of_a_module_before_the_detach_is_done_before_it() {
    let mut s = Session::running(Dialect::V8, &[MAIN]);
    let mut first = s.evaluate_in_module("a()");
    let mut second = s.evaluate_in_module("b()");
    let execution = only(&s.sent());
    s.detach();
    s.hears(taken_up());
    s.sent();
    s.hears(Event::ExecutionResult {
        execution,
        object: object("1"),
    });
    let execution = only(&s.sent());
    s.hears(Event::ExecutionResult {
        execution,
        object: object("2"),
    });
    assert_eq!(first.try_recv(), Ok(Ok(object("1"))));
    assert_eq!(second.try_recv(), Ok(Ok(object("2"))));
    assert_eq!(s.sent().last(), Some(&Command::Detach));
}

#[test]
fn a_server_that_does_not_answer_is_left_after_four_seconds() {
    let mut s = Session::running(Dialect::V6, &[MAIN]);
    let mut ended = s.detach();
    s.sent();
    s.after(2000);
    assert_eq!(s.sent().last(), Some(&Command::Detach));
    s.after(2000);
    assert_eq!(ended.try_recv(), Ok(Ended::DetachedUnconfirmed));
    assert_eq!(s.told(), [SessionEvent::Ended(Ended::DetachedUnconfirmed)]);
}

#[test]
fn asked_to_detach_twice_it_tells_both() {
    let mut s = Session::running(Dialect::V6, &[MAIN]);
    let mut first = s.detach();
    let mut second = s.detach();
    s.hears(taken_up());
    s.hears(Event::Detached);
    let mut third = s.detach();
    for ended in [&mut first, &mut second, &mut third] {
        assert_eq!(ended.try_recv(), Ok(Ended::Detached));
    }
}

#[test]
fn while_leaving_and_after_it_requests_are_refused() {
    let mut s = Session::running(Dialect::V6, &[MAIN]);
    let stopped = s.hits(MAIN, 12);
    s.detach();
    s.sent();
    let over = || EvaluateError::Over(SessionOver);
    let mut value = s.evaluate(stopped, "x");
    assert_eq!(value.try_recv(), Ok(Err(over())));
    assert_eq!(s.resume().try_recv(), Ok(Err(over())));
    s.set_breakpoint(5).try_recv().unwrap_err();
    assert_eq!(s.sent(), []);
}

#[test]
fn the_connection_ends_while_leaving() {
    let ends = |turn: &dyn Fn(&mut Session)| {
        let mut s = Session::running(Dialect::V8, &[MAIN]);
        let mut ended = s.detach();
        turn(&mut s);
        s.core.connection_ended("reset".to_owned());
        ended.try_recv().unwrap()
    };
    assert_eq!(ends(&|_| {}), Ended::DetachedUnconfirmed);
    assert_eq!(ends(&|s| s.hears(taken_up())), Ended::DetachedUnconfirmed);
    let confirmed = |s: &mut Session| {
        s.hears(taken_up());
        s.hears(Event::Detached);
    };
    assert_eq!(ends(&confirmed), Ended::Detached);
}

#[test]
fn at_the_end_of_the_connection_every_reply_ends_and_nothing_follows() {
    let mut s = Session::running(Dialect::V8, &[MAIN]);
    let stopped = s.hits(MAIN, 12);
    let mut running = s.evaluate(stopped, "x");
    let mut binding = s.set_breakpoint(1);
    let mut resumed = s.resume();
    s.told();
    s.core.connection_ended("reset by peer".to_owned());
    assert_eq!(running.try_recv(), Err(TryRecvError::Closed));
    assert_eq!(binding.try_recv(), Err(TryRecvError::Closed));
    assert_eq!(resumed.try_recv(), Err(TryRecvError::Closed));
    let lost = Ended::ConnectionLost("reset by peer".to_owned());
    assert_eq!(s.told(), [SessionEvent::Ended(lost.clone())]);
    s.core.connection_ended("again".to_owned());
    s.hears(Event::ThreadCreated(OTHER));
    assert_eq!(s.told(), []);
    assert_eq!(s.detach().try_recv(), Ok(lost));
}

#[test]
fn the_program_ends() {
    let mut s = Session::running(Dialect::V6, &[MAIN]);
    s.hears(Event::Detached);
    assert_eq!(s.told(), [SessionEvent::Ended(Ended::ByProgram)]);
}

#[test]
fn a_server_that_cannot_be_understood_is_still_told_to_let_go() {
    let mut s = Session::running(Dialect::V6, &[MAIN]);
    let stopped = s.hits(MAIN, 12);
    let mut value = s.evaluate(stopped, "x");
    s.sent();
    s.core.deafened("no such message".to_owned(), s.now);
    s.turn();
    assert_eq!(value.try_recv(), Ok(Err(SessionOver.into())));
    assert_eq!(s.sent().last(), Some(&Command::Detach));
    s.after(1000);
    assert_eq!(
        s.told(),
        [SessionEvent::Ended(Ended::ConnectionLost(
            "no such message".to_owned()
        ))]
    );
}

/// The bridge hands these about between threads.
#[test]
fn what_the_crate_gives_out_can_be_sent() {
    fn is_send<T: Send + Sync>() {}
    is_send::<Debuggee>();
    is_send::<SessionEvent>();
    is_send::<Attached>();
}

#[test]
fn a_detach_waits_for_the_end_of_the_attach_and_for_what_that_stops() {
    let mut s = Session::running(Dialect::V8, &[MAIN]);
    s.core.attach_complete = false;
    let (reply, _answer) = oneshot::channel();
    s.asks(Op::Detach { reply });
    s.after(3000);
    assert_eq!(s.sent(), [], "the rest of the attach would undo it");
    s.core.attach_completed(s.now);
    s.after(0);
    assert!(s.sent().contains(&Command::ClearStepping(MAIN)));
    s.hears(Event::HitCount {
        request: 0,
        count: 0,
    });
    s.after(199);
    assert_eq!(s.sent(), [], "a thread may be on its way");
    s.after(1);
    assert!(s.sent().contains(&Command::Detach));
}

/// A session whose attach is complete just now, with the agent to go in.
fn with_agent(dialect: Dialect) -> (Session, SessionMark) {
    with_agent_and_module(dialect, "/usr/lib/python3/os.py")
}

/// The same, where the program has this module.
fn with_agent_and_module(dialect: Dialect, file: &str) -> (Session, SessionMark) {
    let mark = SessionMark::new();
    let options = debuggee_agent::Options {
        mark: mark.clone(),
        patience: Duration::from_secs(7),
    };
    let mut s = Session {
        core: Core::new(dialect, Agent::Wanted(options)),
        now: Instant::now(),
        wake: None,
    };
    s.hears(Event::ThreadCreated(MAIN));
    s.hears(Event::ModuleLoaded {
        id: 1,
        file: file.into(),
    });
    s.told();
    s.core.attach_completed(s.now);
    s.turn();
    (s, mark)
}

fn says_hello(s: &mut Session, mark: &SessionMark) {
    let answer = format!("'{}'", hello(mark));
    s.hears(Event::ExecutionResult {
        execution: ExecutionId(-1),
        object: object(&answer),
    });
}

fn executed_in(s: &mut Session) -> Option<ThreadId> {
    s.sent().iter().find_map(|command| match command {
        Command::Execute { thread, .. } => Some(*thread),
        _ => None,
    })
}

#[test]
fn the_agent_goes_in_by_the_first_stop() {
    let (mut s, mark) = with_agent(Dialect::V6);
    s.after(400);
    assert_eq!(s.sent(), []);
    s.frames_of(MAIN, 3);
    s.hears(Event::ProcessLoaded(MAIN));
    assert_eq!(executed_in(&mut s), Some(MAIN));
    let stop = s.stopped();
    let mut resumed = s.resume();
    let mut value = s.evaluate(stop, "1");
    assert_eq!(s.sent(), [], "the thread has the agent to do");
    assert!(waits(&mut resumed));
    says_hello(&mut s, &mark);
    assert!(s.told().contains(&SessionEvent::Ready(AgentStatus::Active)));
    s.after(0);
    assert!(s.sent().contains(&Command::ResumeAll));
    assert!(resumed.try_recv().is_ok());
    assert_eq!(value.try_recv(), Ok(Err(EvaluateError::Stale)));
}

#[test]
fn the_agent_visits_a_program_that_does_not_stop() {
    let (mut s, mark) = with_agent(Dialect::V7);
    s.after(499);
    assert!(s.core.visit.is_none());
    s.after(1);
    assert!(s.core.visit.take().is_some());
    s.after(10_000);
    s.core.visited(Ok(()), s.now);
    s.turn();
    assert_eq!(executed_in(&mut s), Some(ThreadId(AGENT_THREAD)));
    says_hello(&mut s, &mark);
    assert_eq!(s.told(), [SessionEvent::Ready(AgentStatus::Active)]);
}

#[test]
fn the_agent_visits_when_a_frame_is_no_way_in() {
    let (mut s, _) = with_agent(Dialect::V2);
    s.frames_of(MAIN, 3);
    s.hears(Event::ProcessLoaded(MAIN));
    assert_eq!(executed_in(&mut s), Some(MAIN));
    s.hears(Event::ExecutionException {
        execution: ExecutionId(-1),
        text: NOT_BLOCKED.into(),
    });
    assert!(s.core.visit.take().is_some());
    s.core.visited(Err("why".to_owned()), s.now);
    s.turn();
    let failed = SessionEvent::Ready(AgentStatus::Failed("why".to_owned()));
    assert!(s.told().contains(&failed));
}

#[test]
fn the_agent_stays_out_of_jython() {
    for dialect in Dialect::ALL {
        let file = "/usr/share/java/jython.jar/Lib/os$py.class";
        let (mut s, _) = with_agent_and_module(dialect, file);
        let told = s.told();
        let failed = SessionEvent::Ready(AgentStatus::Failed("it does not run on Jython".into()));
        assert!(told.contains(&failed), "{told:?}");
        s.frames_of(MAIN, 3);
        s.hears(Event::ProcessLoaded(MAIN));
        s.after(10_000);
        assert_eq!(executed_in(&mut s), None);
        assert!(s.core.visit.take().is_none());
    }
}

#[test]
fn a_stop_without_frames_is_no_way_in() {
    let (mut s, _) = with_agent(Dialect::V6);
    s.hears(frames(MAIN, Some("T"), &[]));
    s.hears(Event::ProcessLoaded(MAIN));
    assert_eq!(executed_in(&mut s), None);
    s.after(500);
    assert!(s.core.visit.take().is_some());
}

#[test]
fn who_leaves_does_not_wait_for_the_agent() {
    let (mut s, _) = with_agent(Dialect::V6);
    let _ended = s.detach();
    s.after(3000);
    assert!(s.core.visit.is_none());
    assert!(s.sent().contains(&Command::Detach));
}

#[test]
fn with_the_agent_the_server_hears_of_us_and_a_resume_does_not_wait() {
    let (mut s, mark) = with_agent(Dialect::V8);
    assert!(executed_in(&mut s).is_some());
    says_hello(&mut s, &mark);
    s.sent();
    s.after(2000);
    assert_eq!(s.sent(), [Command::ClearStepping(ThreadId(0))]);
    s.hears(Event::ThreadCreated(WORKER));
    s.hits(MAIN, 12);
    s.after(50);
    let asked = s.sent();
    assert!(
        asked.iter().any(|command| matches!(
            command,
            Command::Execute { thread: ThreadId(AGENT_THREAD), text, .. } if *text == *"stacks"
        )),
        "the worker does not stop: {asked:?}"
    );
    assert_ne!(HELLO, debuggee_agent::STACKS);
    let mut resumed = s.resume();
    assert!(s.sent().contains(&Command::ResumeAll), "at once");
    assert!(resumed.try_recv().is_ok());
}
