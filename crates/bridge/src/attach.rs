//! From the first request to a program that runs under the editor's eyes.

use std::time::Duration;

use dap_wire::RawRequest;
use dap_wire::events::{self, ProcessBody};
use dap_wire::requests::{Attach, ConfigurationDone, Initialize, InitializeArguments, NoArguments};
use dap_wire::types::{Capabilities, ProcessEventStartMethod};
use ptvsd_client::{
    Channel, ConnectError, Debuggee, Scheme, SessionEvent, Target, TlsOptions, Trusted,
};
use tokio::sync::mpsc;

use crate::Failure;
use crate::answer::Answer;
use crate::configuration::{Configuration, tls_line};
use crate::exceptions;
use crate::program::{Program, World};
use crate::session::{Editor, Phase, Session};

/// How long an editor may take from `initialized` to `configurationDone`. Real
/// ones take milliseconds, and the program may be standing still meanwhile.
const CONFIGURATION_LIMIT: Duration = Duration::from_secs(10);

impl Session {
    pub(crate) fn initialize(
        &mut self,
        arguments: InitializeArguments,
        answer: Answer<Initialize>,
    ) {
        self.editor = Editor {
            lines_start_at_1: arguments.lines_start_at1.unwrap_or(true),
            columns_start_at_1: arguments.columns_start_at1.unwrap_or(true),
            invalidated_event: arguments.supports_invalidated_event.unwrap_or(false),
        };
        answer.ok(Capabilities {
            supports_configuration_done_request: Some(true),
            supports_evaluate_for_hovers: Some(true),
            supports_value_formatting_options: Some(true),
            supports_delayed_stack_trace_loading: Some(true),
            supports_clipboard_context: Some(true),
            exception_breakpoint_filters: Some(exceptions::filters()),
            supports_exception_options: Some(true),
            supports_exception_info_request: Some(true),
            ..Capabilities::default()
        });
    }

    /// Not waited for by any editor before it goes on to set breakpoints, and
    /// given up by Neovim after four seconds: answered as soon as the server
    /// has taken us, whatever the program is doing.
    pub(crate) fn attach(&mut self, request: &RawRequest) {
        let answer = self.answer_to::<Attach>(request);
        match self.phase {
            Phase::Idle => {}
            Phase::Attaching(_) | Phase::Attached(_) => {
                return answer.fail(Failure::AttachedAlready);
            }
            Phase::Leaving | Phase::Over => return answer.fail(Failure::SessionOver),
        }
        let configuration = match Configuration::from_arguments(request, &*self.environment) {
            Ok(configuration) => configuration,
            Err(failure) => return answer.fail(failure),
        };
        for key in &configuration.unknown {
            self.console(format!(
                "The attach configuration has {key:?}, which means nothing to this adapter."
            ));
        }
        if let Some(path) = &configuration.log_file
            && let Err(error) = self.environment.log_to(path)
        {
            self.console(format!("logFile {}: {error}.", path.display()));
        }
        if configuration.has_idle_tls {
            self.console(format!(
                "`tls` has no effect: {} is a plain connection. Use tcps:// in the target.",
                configuration.target
            ));
        }
        self.warn_of_plain_text(&configuration.target);
        self.warn_of_unverified(&configuration.target);
        self.phase = Phase::Attaching(Vec::new());
        let (target, options) = (configuration.target.clone(), configuration.attach_options());
        let limit = configuration.connect_timeout;
        self.when_done(
            async move { ptvsd_client::attach(&target, &options, limit).await },
            move |session, outcome| session.attach_ended(configuration, outcome, answer),
        );
    }

    /// Before the secret is on its way, and once.
    fn warn_of_plain_text(&mut self, target: &Target) {
        if target.scheme == Scheme::Tcps
            || is_loopback(&target.host)
            || std::mem::replace(&mut self.warned_of_plain_text, true)
        {
            return;
        }
        self.console(format!(
            "{target} is a plain connection: the secret, and everything that the debugger sees, \
             can be read on the way to {host}. Use tcps:// if the program's server has a \
             certificate; otherwise forward the port (ssh -L {port}:localhost:{port} {host}) and \
             attach to tcp://localhost:{port}.",
            host = target.host,
            port = target.port,
        ));
    }

    /// Before the secret is on its way, each time.
    fn warn_of_unverified(&self, target: &Target) {
        if target.scheme == Scheme::Tcps && !target.tls.verify {
            self.console(format!(
                "WARNING: \"verify\": false: whoever answers at {target} gets the secret."
            ));
        }
    }

    fn attach_ended(
        &mut self,
        configuration: Configuration,
        outcome: Result<(Debuggee, mpsc::Receiver<SessionEvent>), ConnectError>,
        answer: Answer<Attach>,
    ) {
        let leave = match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Attaching(leave) => leave,
            _ => Vec::new(),
        };
        let (debuggee, events) = match outcome {
            Ok(session) => session,
            Err(error) => {
                answer.fail(error.into());
                if !leave.is_empty() {
                    leave.into_iter().for_each(|done| done());
                    self.phase = Phase::Over;
                }
                return;
            }
        };
        self.events = Some(events);
        self.introduce(&debuggee, &configuration);
        self.phase = Phase::Attached(Box::new(Program::new(debuggee, configuration)));
        drop(self.send_exceptions());
        self.send_all_breakpoints();
        answer.ok(());
        if !leave.is_empty() {
            self.leave(leave);
        }
    }

    fn introduce(&self, debuggee: &Debuggee, configuration: &Configuration) {
        let attached = debuggee.attached();
        let target = &configuration.target;
        if let Some(channel) = debuggee.channel() {
            self.introduce_channel(channel, target);
        }
        self.console(format!(
            "Attached to process {} at {target}: Python {}.{}.{}, ptvsd {} (protocol version {}).",
            attached.process_id,
            attached.major,
            attached.minor,
            attached.micro,
            debuggee.dialect().releases(),
            debuggee.dialect(),
        ));
        self.outbox.event::<events::Process>(ProcessBody {
            name: format!("Python at {target}"),
            system_process_id: (attached.process_id > 0).then_some(attached.process_id),
            is_local_process: Some(is_loopback(&target.host)),
            start_method: Some(ProcessEventStartMethod::Attach),
            ..ProcessBody::default()
        });
        if !debuggee.dialect().has_attach_options() && configuration.has_options() {
            self.console(format!(
                "ptvsd {} takes no options: justMyCode, redirectOutput, django and \
                 breakOnSystemExitZero have no effect.",
                debuggee.dialect().releases()
            ));
        }
        if configuration.allow_terminate {
            self.outbox
                .event::<events::Capabilities>(events::CapabilitiesBody {
                    capabilities: Capabilities {
                        supports_terminate_request: Some(true),
                        support_terminate_debuggee: Some(true),
                        ..Capabilities::default()
                    },
                });
        }
    }

    fn introduce_channel(&self, channel: &Channel, target: &Target) {
        self.console(format!("{target}: {channel}."));
        if channel.is_outdated {
            self.console(format!(
                "{} is all that the legacy servers speak. It keeps out who only listens; who can \
                 change the data on the way may break it. Where that matters, forward the port \
                 (ssh -L) or put a TLS 1.2 or 1.3 terminator before the program; \
                 \"minVersion\": \"1.2\" in `tls` then keeps to it.",
                channel.version
            ));
        }
        if let Trusted::Unverified(_) = channel.trusted {
            let accepting = TlsOptions {
                fingerprint: Some(channel.fingerprint),
                ..TlsOptions::default()
            };
            self.console(format!(
                "If that is the right certificate, pin it instead of \"verify\": false: {}",
                tls_line(&accepting)
            ));
        }
    }

    /// An editor that never says that it is ready must not keep the program
    /// stopped.
    pub(crate) fn watch_for_configuration(&mut self) {
        self.after(CONFIGURATION_LIMIT, Session::configuration_is_late);
    }

    fn configuration_is_late(&mut self) {
        if self.configured {
            return;
        }
        let Ok(program) = self.program() else {
            return;
        };
        let held = matches!(program.world, World::Held(_));
        self.configured = true;
        if held {
            self.resume_unasked();
        }
        self.console(format!(
            "The editor has not said within {} s that it is ready (configurationDone). The \
             program runs on, and stops at what is set until now.",
            CONFIGURATION_LIMIT.as_secs()
        ));
    }

    /// The breakpoints are set. A program that has stopped since the attach
    /// goes on, or the editor is told.
    pub(crate) fn configuration_done(&mut self, _: NoArguments, answer: Answer<ConfigurationDone>) {
        self.configured = true;
        answer.ok(());
        self.report_held_stops();
    }
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}
