//! `ptvsd-bridge demo`: the walkthrough of the document that this adapter
//! makes good, for real.
//!
//! A guessing game runs under a real legacy server, and this adapter, started
//! as an editor would start it, is talked to as an editor would: what is
//! printed is what came back.

mod editor;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use legacy_host::{Program, ProgramBuilder, Python, Release, python};
use serde_json::{Value, json};

use crate::cli::Demo;
use editor::Editor;

const GAME: &str = include_str!("guessing-game.py");
const FILE_NAME: &str = "guessing-game.py";
const SECRET: &str = "my_secret";
/// The line to break at.
const BREAK_AT: &str = "if guess < number:";
/// How long the game may take for anything.
const GAME_LIMIT: Duration = Duration::from_secs(30);
/// Jython takes its time to start.
const START_LIMIT: Duration = Duration::from_secs(90);
/// How often the player may guess.
const GUESSES: usize = 6;

pub(crate) async fn run(arguments: &Demo) -> Result<()> {
    let python = choose_python(arguments)?;
    let release = Release::of_version(&arguments.ptvsd).ok_or_else(|| {
        let known: Vec<_> = Release::ALL.iter().map(|r| r.version()).collect();
        anyhow!(
            "--ptvsd {}: not a legacy release; there are {}",
            arguments.ptvsd,
            known.join(", ")
        )
    })?;
    if let Some(why) = release.cannot_run_on(&python) {
        anyhow::bail!("{release} cannot run on {python}: {why}");
    }
    say(&format!(
        "The program: {FILE_NAME}, on {python} ({}), under {release}",
        python.path.display()
    ));
    let game = start_game(&python, release)?;
    show(&format!(
        "process {}, ptvsd.enable_attach('{SECRET}') on port {}; it waits in input()",
        game.pid(),
        game.port()
    ));
    // "It doesn't matter where the file is located, but its name should
    // match": the editor's copy is elsewhere.
    let local = tempfile::tempdir()?;
    let local_copy = local.path().join(FILE_NAME);
    std::fs::write(&local_copy, GAME)?;

    let mut player = Player::new(&python, game);
    play(&mut player, &local_copy).await?;
    say("The demo has ended well.");
    Ok(())
}

fn choose_python(arguments: &Demo) -> Result<Python> {
    match &arguments.python {
        Some(path) => python::inspect(path)
            .with_context(|| format!("--python {}: not a Python", path.display())),
        None => python::default().ok_or_else(|| {
            anyhow!(
                "the demo needs a Python, any from 2.7 to 3.13, and there is neither python3 nor \
                 python on PATH: install one, or name one with --python PATH"
            )
        }),
    }
}

fn start_game(python: &Python, release: Release) -> Result<Program> {
    ProgramBuilder::new(python, release)
        .source(FILE_NAME, GAME)
        .secret(Some(SECRET))
        .enable_attach_in_script(true)
        .ready_when("Hello! What is your name?")
        .ready_within(START_LIMIT)
        .start()
}

/// Who sits at the program's keyboard.
struct Player {
    game: Program,
    /// On Python 2, `input()` evaluates what is typed.
    quotes: bool,
    guesses: usize,
}

impl Player {
    fn new(python: &Python, game: Program) -> Player {
        Player {
            game,
            quotes: python.version.0 == 2,
            guesses: 0,
        }
    }

    fn type_name(&self) -> Result<()> {
        let name = if self.quotes { "'Ada'\n" } else { "Ada\n" };
        self.game.write_stdin(name)?;
        self.wait_for("thinking of a number")
    }

    fn guess(&mut self, number: i64) -> Result<()> {
        self.guesses += 1;
        show(&format!("(the player types {number})"));
        self.game.write_stdin(&format!("{number}\n"))
    }

    fn wait_for(&self, text: &str) -> Result<()> {
        self.game.wait_for_line(text, GAME_LIMIT).map(|_| ())
    }
}

async fn play(player: &mut Player, local_copy: &Path) -> Result<()> {
    let port = player.game.port();
    say("Attach, while the program sits in input()");
    let mut editor = Editor::start()?;
    editor
        .attach(&json!({"target": format!("tcp://{SECRET}@127.0.0.1:{port}")}))
        .await?;
    let line = line_of(BREAK_AT)?;
    say(&format!("Set a breakpoint on line {line}: {BREAK_AT}"));
    editor.set_breakpoint(local_copy, line).await?;
    editor.configured().await?;

    say("Play on: the program stops at the breakpoint");
    player.type_name()?;
    player.guess(10)?;
    let thread = editor.stopped("breakpoint").await?;
    let frame = editor.stack(thread).await?;
    let locals = editor.locals(frame).await?;
    ensure!(
        locals.get("guess").map(String::as_str) == Some("10"),
        "guess is not 10"
    );
    let number: i64 = locals
        .get("number")
        .and_then(|number| number.parse().ok())
        .context("the program's number is not among its variables")?;

    say("Evaluate");
    editor.evaluate("guess * 2", frame).await?;
    editor.evaluate("[guess, number, name]", frame).await?;
    editor.evaluate("1 / 0", frame).await?;
    editor.evaluate("hint = 'warmer'", frame).await?;
    editor.evaluate("hint", frame).await?;

    say("Step over");
    let thread = editor.step("next", thread).await?;
    editor.stack(thread).await?;

    say("Detach: the program runs on");
    editor.disconnect().await?;
    if number != 10 {
        player.wait_for("Your guess is too")?;
    }

    say("Attach again, and detach while it is stopped");
    if number != 10 {
        let mut again = Editor::start()?;
        again
            .attach(&json!({"target": format!("tcp://{SECRET}@127.0.0.1:{port}")}))
            .await?;
        again.set_breakpoint(local_copy, line).await?;
        again.configured().await?;
        let wrong = if number == 1 { 2 } else { 1 };
        player.guess(wrong)?;
        let thread = again.stopped("breakpoint").await?;
        again.stack(thread).await?;
        again.disconnect().await?;
        ensure!(player.guesses < GUESSES, "the player has no guess left");
        player.guess(number)?;
    } else {
        show("(the first guess was right, and the game is over)");
    }
    player.wait_for("Good job, Ada!")?;
    for line in player.game.stdout_lines() {
        show(&format!("| {line}"));
    }
    Ok(())
}

/// The number of the line that holds this code.
fn line_of(code: &str) -> Result<i64> {
    let at = GAME
        .lines()
        .position(|line| line.trim() == code)
        .context("the game has no such line")?;
    Ok(i64::try_from(at)? + 1)
}

/// A step of the walkthrough.
#[allow(clippy::print_stdout, reason = "the command's result")]
fn say(text: &str) {
    println!("\n== {text}");
}

/// What an editor or the program's terminal would show.
#[allow(clippy::print_stdout, reason = "the command's result")]
fn show(text: &str) {
    println!("   {text}");
}

/// A member of a DAP body.
fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value
        .get(member)
        .and_then(Value::as_str)
        .unwrap_or_default()
}
