//! What happens in the program, told to the editor.

use dap_wire::events::{self, ModuleBody, OutputBody, ThreadBody};
use dap_wire::types::{self, ModuleEventReason, ModuleId, OutputEventCategory, ThreadEventReason};
use ptvsd_client::{AgentStatus, Ended, SessionEvent};
use ptvsd_wire::{OutputChannel, PyText};

use crate::files::file_name;
use crate::session::{Phase, Session};

impl Session {
    pub(crate) fn on_event(&mut self, event: Option<SessionEvent>) {
        // The channel ends with the session's task, which says why before.
        let event = event.unwrap_or_else(|| {
            self.events = None;
            SessionEvent::Ended(Ended::ConnectionLost("the session ended".to_owned()))
        });
        let Ok(program) = self.program() else {
            return;
        };
        match event {
            // The modules are known, which tell what breakpoints are meant
            // for, and what is set from now on is not missed.
            SessionEvent::Ready(agent) => {
                program.has_agent = agent == AgentStatus::Active;
                self.outbox.event::<events::Initialized>(());
                self.watch_for_configuration();
                self.tell_without_agent(&agent);
                self.expect_silence();
            }
            SessionEvent::ThreadStarted(thread) => {
                let thread_id = program.threads.id_of(thread);
                self.outbox.event::<events::Thread>(ThreadBody {
                    reason: ThreadEventReason::Started,
                    thread_id,
                });
            }
            SessionEvent::ThreadExited(thread) => {
                if let Some(thread_id) = program.threads.remove(thread) {
                    program.raised.remove(&thread_id);
                    self.outbox.event::<events::Thread>(ThreadBody {
                        reason: ThreadEventReason::Exited,
                        thread_id,
                    });
                }
            }
            SessionEvent::ModuleLoaded(file) => self.module_loaded(&file),
            SessionEvent::Frames {
                thread,
                name,
                frames,
            } => {
                if !program.epochs.is_past(thread.epoch()) {
                    program.threads.set_frames(thread, name, frames);
                }
            }
            SessionEvent::Stopped { thread, reason } => {
                if !program.epochs.hear(thread.epoch()) {
                    self.stopped(thread, reason);
                }
            }
            SessionEvent::BreakpointBound(id) => self.breakpoint_bound(id),
            SessionEvent::Output { text, channel, .. } => self.printed(&text, channel),
            SessionEvent::HandlersWanted(file) => self.handlers_wanted(file),
            SessionEvent::Ended(how) => self.program_ended(&how),
        }
    }

    /// Without the agent the session is as correct, and less safe.
    fn tell_without_agent(&self, agent: &AgentStatus) {
        let why = match agent {
            AgentStatus::Active => return,
            AgentStatus::Off => "\"agent\": false".to_owned(),
            AgentStatus::Failed(why) => format!("the agent could not be put in: {why}"),
        };
        self.console(format!(
            "The program is debugged without the agent ({why}). A resume waits until it is safe, \
             0.2 s at most as a rule; and should this adapter be killed while the program is \
             stopped, it stays stopped."
        ));
    }

    fn module_loaded(&mut self, file: &PyText) {
        let Ok(program) = self.program() else {
            return;
        };
        let path = program.files.module_loaded(&file.display());
        let shown = program.files.local_of(&path);
        let name = file_name(&path);
        self.outbox.event::<events::Module>(ModuleBody {
            reason: ModuleEventReason::New,
            module: types::Module {
                id: ModuleId::String(path.clone()),
                name: name.strip_suffix(".py").unwrap_or(name).to_owned(),
                path: Some(shown),
                ..types::Module::default()
            },
        });
        self.retry_breakpoints(&path);
    }

    fn printed(&self, text: &PyText, channel: Option<OutputChannel>) {
        self.outbox.event::<events::Output>(OutputBody {
            output: text.to_string(),
            category: Some(match channel {
                None | Some(OutputChannel::Stdout) => OutputEventCategory::Stdout,
                Some(OutputChannel::Stderr) => OutputEventCategory::Stderr,
                Some(OutputChannel::Debug) => OutputEventCategory::Console,
            }),
            ..OutputBody::default()
        });
    }

    /// Emacs kills the adapter when it sees `terminated`: by then the program
    /// has let go, or we of it.
    fn program_ended(&mut self, how: &Ended) {
        match how {
            Ended::ByProgram => self.console("The program has ended, or its debug server has."),
            Ended::ConnectionLost(why) => {
                self.console(format!("The connection to the program was lost: {why}."));
            }
            Ended::Detached | Ended::DetachedUnconfirmed => {}
        }
        self.phase = Phase::Over;
        self.report_terminated();
    }

    pub(crate) fn report_terminated(&self) {
        self.outbox.event::<events::Terminated>(None);
    }
}
