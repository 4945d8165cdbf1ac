//! A debugger that dies, in every way and at every moment: the program runs on
//! by itself, and takes the next debugger.
//!
//! Here the debugger is the adapter's client without an editor, so that each
//! moment can be chosen; for a death that takes its whole process it is this
//! very program, started once more in that role.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use legacy_host::{Implementation, Program, ProgramBuilder, Release};
use libtest_mimic::Arguments;
use ptvsd_client::{Rescue, StepKind};
use ptvsd_wire::{ExceptionMode, FrameKind, ReprKind};
use serde_json::{Value, json};
use testkit::client_session::ClientSession;
use testkit::editor::{Editor, SECRET, start_program};
use testkit::fault_proxy::{Death, FaultProxy};
use testkit::harness::{run, trial};
use testkit::matrix::{Matrix, Server};
use testkit::network::{Computer, Network, PROGRAM_ADDRESS};
use testkit::programs::{PRINT_LIMIT, PRINTING, RAISING, Source, WORKING};
use tokio::sync::Mutex;

/// The program goes on by then.
const FREE_LIMIT: Duration = Duration::from_secs(10);
/// Programs are started one after another: many at once would make each other
/// slow, and this is not about that.
static STARTING: Mutex<()> = Mutex::const_new(());
/// Of a processor, what a program of these tests takes at most when it has
/// nobody to serve.
const NORMAL_CPU: f64 = 0.6;

/// What the debugger and the program are at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    Running,
    Printing,
    Stopped,
    AtAttach,
    Stepping,
    Evaluating,
    HandlersWanted,
    MidCommand,
    MidCommandStopped,
}

impl Moment {
    const ALL: [Moment; 9] = [
        Moment::Running,
        Moment::Printing,
        Moment::Stopped,
        Moment::AtAttach,
        Moment::Stepping,
        Moment::Evaluating,
        Moment::HandlersWanted,
        Moment::MidCommand,
        Moment::MidCommandStopped,
    ];

    fn of_name(name: &str) -> Option<Moment> {
        Moment::ALL
            .into_iter()
            .find(|moment| format!("{moment:?}") == name)
    }

    fn source(self) -> &'static Source {
        match self {
            Moment::Printing => &PRINTING,
            Moment::HandlersWanted | Moment::Running => &RAISING,
            _ => &WORKING,
        }
    }
}

/// Ends with the whole process of the debugger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ProcessDeath {
    Killed,
    LinkCut,
}

fn main() -> ExitCode {
    if let Some(code) = role() {
        return code;
    }
    let matrix = Matrix::of_this_machine();
    let mut trials = Vec::new();
    let network = Network::new();
    if let Err(why) = &network {
        eprintln!("NOT POSSIBLE: cut links: {why:#}");
    }
    for server in matrix.few_servers() {
        if server.python.implementation == Implementation::Jython {
            eprintln!("NOT POSSIBLE: deaths on {server}: its sockets have no time-outs to set");
            continue;
        }
        for death in [Death::Fin, Death::Reset, Death::Silence] {
            let server = server.clone();
            trials.push(trial(format!("{death:?}: {server}"), move || {
                all_moments(server, move |server, moment| async move {
                    connection_dies(&server, death, moment).await
                })
            }));
        }
        for death in [ProcessDeath::Killed, ProcessDeath::LinkCut] {
            if death == ProcessDeath::LinkCut && network.is_err() {
                continue;
            }
            let server = server.clone();
            trials.push(trial(format!("{death:?}: {server}"), move || {
                all_moments(server, move |server, moment| async move {
                    process_dies(&server, death, moment).await
                })
            }));
        }
        let name = format!("the adapter is killed: {server}");
        trials.push(trial(name, {
            let server = server.clone();
            move || adapter_killed(server)
        }));
    }
    for server in matrix.servers() {
        if !matrix.is_full() && is_like_another(&server) {
            continue;
        }
        if Some(server.release) != Release::of_version("3.2.1") {
            let name = format!("rescue after a bare debugger fell silent: {server}");
            let server = server.clone();
            trials.push(trial(name, move || rescued_from_silence(server)));
        }
        let name = format!("rescue after a bare adapter was killed: {server}");
        trials.push(trial(name, move || rescued(server)));
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// The ordinary run tries all releases with the oldest Pythons.
fn is_like_another(server: &Server) -> bool {
    server.python.version >= (3, 7, 0)
}

/// Tries every moment, each with a program of its own, all at once: most of it
/// is waiting.
async fn all_moments<F>(
    server: Server,
    test: impl Fn(Server, Moment) -> F + Copy + Send,
) -> Result<()>
where
    F: Future<Output = Result<()>>,
{
    let failures: Vec<String> = std::thread::scope(|scope| {
        let threads = Moment::ALL.map(|moment| {
            let server = server.clone();
            let thread = scope.spawn(move || run(test(server, moment)));
            (moment, thread)
        });
        threads
            .into_iter()
            .filter_map(|(moment, thread)| match thread.join() {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(format!("{moment:?}: {error:#}")),
                Err(_) => Some(format!("{moment:?}: panicked")),
            })
            .collect()
    });
    ensure!(failures.is_empty(), "{}", failures.join("\n"));
    Ok(())
}

async fn connection_dies(server: &Server, death: Death, moment: Moment) -> Result<()> {
    let starting = STARTING.lock().await;
    let program = start_program(server, moment.source())?;
    program.wait_for_line("tick", PRINT_LIMIT)?;
    let address = (Ipv4Addr::LOCALHOST, program.port()).into();
    let (mut session, proxy) = bring(moment, address, program.script()).await?;
    drop(starting);
    // The session goes on, and notices or not.
    tokio::spawn(async move { while session.next().await.is_ok() {} });
    proxy.die(death);
    goes_on(&program)?;
    successor(address, moment, program.script()).await?;
    goes_on(&program)
}

async fn process_dies(server: &Server, death: ProcessDeath, moment: Moment) -> Result<()> {
    let this = std::env::current_exe()?;
    let starting = STARTING.lock().await;
    let (network, program) = match death {
        ProcessDeath::Killed => (None, start_program(server, moment.source())?),
        ProcessDeath::LinkCut => {
            let network = Network::new()?;
            let mut python = server.python.clone();
            python.path = network.on(Computer::Program, &python.path)?;
            let source = moment.source();
            let program = ProgramBuilder::new(&python, server.release)
                .source(source.name, source.text)
                .secret(Some(SECRET))
                .address("0.0.0.0")
                .start()?;
            (Some(network), program)
        }
    };
    program.wait_for_line("tick", PRINT_LIMIT)?;
    let loopback: SocketAddr = (Ipv4Addr::LOCALHOST, program.port()).into();
    match network {
        None => {
            let mut doomed = Role::Doomed.start(&this, loopback, moment, &program)?;
            doomed.wait_until_ready()?;
            drop(starting);
            doomed.kill()?;
            goes_on(&program)?;
            successor(loopback, moment, program.script()).await?;
        }
        Some(network) => {
            let address = SocketAddr::new(PROGRAM_ADDRESS.parse()?, program.port());
            let there = network.on(Computer::Debugger, &this)?;
            let mut doomed = Role::Doomed.start(&there, address, moment, &program)?;
            doomed.wait_until_ready()?;
            drop(starting);
            network.cut()?;
            goes_on(&program)?;
            let there = network.on(Computer::Program, &this)?;
            Role::Successor
                .start(&there, loopback, moment, &program)?
                .wait_until_ready()?;
        }
    }
    goes_on(&program)
}

/// The program prints, and takes no more of a processor than it needs.
fn goes_on(program: &Program) -> Result<()> {
    program
        .wait_for_line_since(program.mark(), "tick", FREE_LIMIT)
        .context("the program does not go on")?;
    let (Some(before), begun) = (program.cpu_time(), Instant::now()) else {
        return Ok(());
    };
    std::thread::sleep(Duration::from_secs(1));
    let Some(after) = program.cpu_time() else {
        bail!("the program has ended: {:?}", program.stderr_lines());
    };
    let share = (after.saturating_sub(before)).as_secs_f64() / begun.elapsed().as_secs_f64();
    ensure!(
        share < NORMAL_CPU,
        "the program takes {share:.2} of a processor"
    );
    Ok(())
}

/// Brings a session to that moment.
async fn bring(
    moment: Moment,
    server: SocketAddr,
    script: &Path,
) -> Result<(ClientSession, FaultProxy)> {
    let proxy = FaultProxy::start(server).await?;
    if moment == Moment::AtAttach {
        let (session, _) = ClientSession::attach_and_hold(proxy.port(), true).await?;
        return Ok((session, proxy));
    }
    let mut session = ClientSession::attach(proxy.port(), true).await?;
    let stops = matches!(
        moment,
        Moment::Stopped | Moment::Stepping | Moment::Evaluating | Moment::MidCommandStopped
    );
    let mut stopped = None;
    if stops {
        let (id, _) = session
            .breakpoint(script, moment.source().line("call"))
            .await;
        stopped = Some(session.stopped_at(id).await?);
    }
    match (moment, stopped) {
        (Moment::Stepping, Some(thread)) => session.step(thread, StepKind::Over).await?,
        (Moment::Evaluating, Some(thread)) => {
            let text = "(__import__('sys').stdout.write('evaluating\\n'), \
                        __import__('time').sleep(2))";
            let place = thread.frame(0, FrameKind::Python);
            let value = session.debuggee.evaluate(place, text, ReprKind::Normal);
            tokio::spawn(value);
            while !session.printed.contains("evaluating") {
                session.next().await?;
            }
        }
        (Moment::MidCommandStopped, Some(thread)) => {
            proxy.cut_next();
            let place = thread.frame(0, FrameKind::Python);
            let value = session
                .debuggee
                .evaluate(place, "'x' * 100", ReprKind::Normal);
            tokio::spawn(value);
            proxy.last_has_passed().await;
        }
        (Moment::MidCommand, _) => {
            proxy.cut_next();
            let line = moment.source().line("call");
            let breakpoint = session.breakpoint(script, line);
            // Nobody answers that.
            let _ = tokio::time::timeout(Duration::ZERO, breakpoint).await;
            proxy.last_has_passed().await;
        }
        (Moment::HandlersWanted, _) => {
            proxy.mute_after_exceptions();
            let exceptions = session
                .debuggee
                .set_exceptions(ExceptionMode::UNHANDLED, Vec::new());
            tokio::spawn(exceptions);
            proxy.last_has_passed().await;
            // The thread that raises waits for the answer that is lost.
            let ticks = |session: &ClientSession| session.printed.matches("tick").count();
            let mut before = None;
            while before != Some(ticks(&session)) {
                before = Some(ticks(&session));
                session.listen_for(Duration::from_secs(1)).await?;
            }
        }
        _ => {}
    }
    Ok((session, proxy))
}

/// Another debugger, as soon as the program takes one.
async fn successor(server: SocketAddr, moment: Moment, script: &Path) -> Result<()> {
    let until = Instant::now() + FREE_LIMIT;
    let mut session = loop {
        match ClientSession::attach_to(server, true).await {
            Ok(session) => break session,
            Err(error) if is_taken(&error) && Instant::now() < until => {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            Err(error) => return Err(error.context("the next debugger")),
        }
    };
    let (id, _) = session
        .breakpoint(script, moment.source().line("print"))
        .await;
    let thread = session.stopped_at(id).await?;
    session.go_on(thread).await?;
    session.detach().await
}

fn is_taken(error: &anyhow::Error) -> bool {
    matches!(
        error.downcast_ref(),
        Some(ptvsd_client::ConnectError::AlreadyAttached { .. })
    )
}

/// What a copy of this program is started for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Doomed,
    Successor,
}

const ROLE: &str = "PTVSD_TEST_ROLE";
const READY: &str = "READY";

/// A copy of this program.
struct Player(Child);

impl Role {
    fn start(
        self,
        this: &Path,
        server: SocketAddr,
        moment: Moment,
        program: &Program,
    ) -> Result<Player> {
        let role = json!({
            "role": format!("{self:?}"), "server": server, "moment": format!("{moment:?}"),
            "script": program.script(),
        });
        let child = Command::new(this)
            .env(ROLE, role.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {}", this.display()))?;
        Ok(Player(child))
    }
}

impl Player {
    /// It says a line when it is where it is to be, or why it is not.
    fn wait_until_ready(&mut self) -> Result<()> {
        use std::io::BufRead;
        let stdout = self.0.stdout.take().context("said already")?;
        let mut line = String::new();
        std::io::BufReader::new(stdout).read_line(&mut line)?;
        ensure!(line.trim_end() == READY, "a player of this test: {line}");
        Ok(())
    }

    fn kill(&mut self) -> Result<()> {
        self.0.kill()?;
        self.0.wait()?;
        Ok(())
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// Plays a role, if this process was started for one.
fn role() -> Option<ExitCode> {
    let role: Value = serde_json::from_str(&std::env::var(ROLE).ok()?).ok()?;
    let outcome = run(async {
        let text = |name: &str| role.get(name).and_then(Value::as_str).unwrap_or_default();
        let server: SocketAddr = text("server").parse()?;
        let moment = Moment::of_name(text("moment")).context("no moment")?;
        let script = PathBuf::from(text("script"));
        if text("role") == "Successor" {
            successor(server, moment, &script).await?;
            return say(READY);
        }
        let (mut session, _proxy) = bring(moment, server, &script).await?;
        say(READY)?;
        // Until it is killed.
        while session.next().await.is_ok() {}
        Ok(())
    });
    if let Err(error) = outcome {
        let _ = say(&format!("{error:#}").replace('\n', "; "));
    }
    Some(ExitCode::SUCCESS)
}

fn say(line: &str) -> Result<()> {
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{line}")?;
    Ok(stdout.flush()?)
}

fn adapter() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_ptvsd-bridge"))
}

/// The adapter itself, killed while the program is stopped; with an editor
/// before and after.
async fn adapter_killed(server: Server) -> Result<()> {
    let program = start_program(&server, &WORKING)?;
    let lines = [WORKING.line("call")];
    let mut editor = Editor::start(adapter()).await?;
    editor.debug(&program, program.script(), &lines).await?;
    editor.stopped("breakpoint").await?;
    editor.kill().await?;
    goes_on(&program)?;
    let editor = Editor::start(adapter()).await?;
    editor.debug(&program, program.script(), &lines).await?;
    editor.stopped("breakpoint").await?;
    editor.disconnect().await?;
    goes_on(&program)
}

/// Without the agent a dead adapter leaves the program as it was, attached or
/// stopped: `rescue` frees it.
async fn rescued(server: Server) -> Result<()> {
    for (source, stops) in [(&WORKING, true), (&PRINTING, false)] {
        let program = start_program(&server, source)?;
        let mut editor = Editor::start(adapter()).await?;
        editor
            .attach_with(&program, json!({"agent": false}))
            .await?;
        if stops {
            editor
                .set_breakpoints(program.script(), &[source.line("call")])
                .await?;
        }
        editor.configured().await?;
        if stops {
            editor.stopped("breakpoint").await?;
        } else {
            editor.output_with("tick").await?;
        }
        editor.kill().await?;
        let target = format!("tcp://{SECRET}@127.0.0.1:{}", program.port());
        let output = Command::new(adapter())
            .args(["rescue", &target])
            .output()
            .context("starting the rescue")?;
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        // Unless it was just sending, and has noticed by itself.
        if has_no_way_in(&server) && !output.status.success() {
            ensure!(said.contains("no way in"), "{said}");
            continue;
        }
        ensure!(
            output.status.success(),
            "{source:?}: {said}",
            source = source.name
        );
        goes_on(&program).with_context(|| format!("{}: {said}", source.name))?;
        let address = (Ipv4Addr::LOCALHOST, program.port()).into();
        successor(address, Moment::Printing, program.script()).await?;
        goes_on(&program)?;
    }
    Ok(())
}

/// 3.1.0 has one only while it believes its debugger to be there: see
/// `rescued_from_silence`.
fn has_no_way_in(server: &Server) -> bool {
    ["3.1.0", "3.2.1"]
        .into_iter()
        .any(|version| Some(server.release) == Release::of_version(version))
}

/// A bare debugger that is gone without a word: the server still waits for it.
async fn rescued_from_silence(server: Server) -> Result<()> {
    let program = start_program(&server, &WORKING)?;
    let address = (Ipv4Addr::LOCALHOST, program.port()).into();
    let proxy = FaultProxy::start(address).await?;
    let mut session = ClientSession::attach(proxy.port(), false).await?;
    let (id, _) = session
        .breakpoint(program.script(), WORKING.line("call"))
        .await;
    session.stopped_at(id).await?;
    proxy.die(Death::Silence);
    let target = format!("tcp://{SECRET}@{address}").parse()?;
    let outcome = ptvsd_client::rescue(&target, FREE_LIMIT).await?;
    ensure!(outcome == Rescue::Freed, "{outcome:?}");
    goes_on(&program)?;
    successor(address, Moment::Printing, program.script()).await?;
    goes_on(&program)
}
