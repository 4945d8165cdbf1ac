//! The figures, and the page that shows them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use crate::contenders::Contender;
use crate::processors::Processors;
use crate::{EVALUATIONS, EXPANSIONS, NAIVE, ROUNDS, SELDOM, STEPS, Times};

/// What the adapter may cost, of the time of the raw client under the same
/// conditions: behind pipes, too.
const MOST: f64 = 1.15;
/// How many times faster than the naive client it steps, with and without
/// the agent.
const LEAST: f64 = 10.0;
/// What a step over TLS may cost with the agent, of the time of one in plain
/// text. A bare server encrypts each small piece of a message by itself.
const MOST_OVER_TLS: f64 = 1.5;

/// One server's rounds.
#[derive(Debug, Default)]
pub(crate) struct Results {
    rounds: BTreeMap<Contender, BTreeMap<usize, Times>>,
    left_out: Vec<String>,
}

impl Results {
    pub(crate) fn add(&mut self, contender: Contender, round: usize, times: Times) {
        self.rounds
            .entry(contender)
            .or_default()
            .insert(round, times);
    }

    /// Something cannot be measured here: what, and why.
    pub(crate) fn leave_out(&mut self, what: String) {
        self.left_out.push(what);
    }

    fn has(&self, contender: Contender) -> bool {
        self.rounds.contains_key(&contender)
    }

    /// All times of a contender, sorted.
    fn times(&self, contender: Contender, kind: Kind) -> Vec<Duration> {
        let rounds = self.rounds.get(&contender).into_iter().flatten();
        let mut times: Vec<_> = rounds
            .flat_map(|(_, times)| kind.of(times).to_vec())
            .collect();
        times.sort();
        times
    }

    /// Between medians, in the rounds that both were in.
    fn ratio(&self, of: Contender, to: Contender, kind: Kind) -> Option<Ratio> {
        let (of, to) = (self.rounds.get(&of)?, self.rounds.get(&to)?);
        let median = |times: &Times| {
            let mut times = kind.of(times).to_vec();
            times.sort();
            middle(&times).unwrap_or_default().as_secs_f64()
        };
        let ratios = of
            .iter()
            .filter_map(|(round, times)| Some(median(times) / median(to.get(round)?)));
        Ratio::of(ratios.collect())
    }
}

/// The middle one of many, and how sure it is.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Ratio {
    middle: f64,
    /// In nineteen of twenty runs the middle of endlessly many rounds lies
    /// between these two.
    low: f64,
    high: f64,
}

impl Ratio {
    fn of(mut ratios: Vec<f64>) -> Option<Ratio> {
        ratios.sort_by(f64::total_cmp);
        // How many lie below the true middle is binomial: half of them, with a
        // deviation of half their number's root.
        let count = ratios.len();
        let away = (0..).find(|away| away * away >= count)?;
        let at = count / 2;
        Some(Ratio {
            middle: middle(&ratios)?,
            low: *ratios.get(at.saturating_sub(away))?,
            high: *ratios.get((at + away).min(count.saturating_sub(1)))?,
        })
    }
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Step,
    Evaluate,
    Expand,
}

impl Kind {
    const ALL: [Kind; 3] = [Kind::Step, Kind::Evaluate, Kind::Expand];

    fn of(self, times: &Times) -> &[Duration] {
        match self {
            Kind::Step => &times.step,
            Kind::Evaluate => &times.evaluate,
            Kind::Expand => &times.expand,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Kind::Step => "step over",
            Kind::Evaluate => "evaluate",
            Kind::Expand => "expand 1000",
        }
    }
}

/// The page as far as it is.
#[derive(Debug)]
pub(crate) struct Page {
    are_apart: bool,
    servers: String,
    missed: Vec<String>,
}

impl Page {
    pub(crate) fn new(processors: Option<Processors>) -> Page {
        Page {
            are_apart: processors.is_some(),
            servers: String::new(),
            missed: Vec::new(),
        }
    }

    /// Adds a server; what was added.
    pub(crate) fn add(&mut self, server: &str, results: &Results) -> String {
        let mut text = format!("\n## {server}\n\n| |");
        for kind in Kind::ALL {
            let _ = write!(text, " {} |", kind.name());
        }
        text.push_str("\n|---|---|---|---|\n");
        for contender in Contender::ALL {
            if !results.has(contender) {
                continue;
            }
            let _ = write!(text, "| {contender} |");
            for kind in Kind::ALL {
                let _ = write!(text, " {} |", spread(&results.times(contender, kind)));
            }
            text.push('\n');
        }
        text.push_str("\n| ratio |");
        for kind in Kind::ALL {
            let _ = write!(text, " {} |", kind.name());
        }
        text.push_str("\n|---|---|---|---|\n");
        let mut compare = |of, to, is_met: &dyn Fn(Kind, f64) -> bool| {
            self.ratios(&mut text, server, results, of, to, is_met);
        };
        for agent in [false, true] {
            let of = Contender::plain_adapter(agent);
            compare(of, Contender::Relayed { agent }, &|_, ratio| ratio <= MOST);
        }
        for agent in [false, true] {
            let of = Contender::plain_adapter(agent);
            // Another process is not free, whatever it does.
            compare(of, Contender::Raw { agent }, &|_, _| true);
        }
        for agent in [false, true] {
            let (of, to) = (
                Contender::encrypted_adapter(agent),
                Contender::plain_adapter(agent),
            );
            // What is promised is promised of steps, here and below.
            compare(of, to, &|kind, ratio| {
                !agent || kind != Kind::Step || ratio <= MOST_OVER_TLS
            });
        }
        for agent in [false, true] {
            let to = Contender::plain_adapter(agent);
            compare(Contender::Naive, to, &|kind, ratio| {
                kind != Kind::Step || ratio >= LEAST
            });
        }
        for what in &results.left_out {
            let _ = write!(text, "\nNot run: {what}.\n");
        }
        self.servers.push_str(&text);
        text
    }

    fn ratios(
        &mut self,
        text: &mut String,
        server: &str,
        results: &Results,
        of: Contender,
        to: Contender,
        is_met: &dyn Fn(Kind, f64) -> bool,
    ) {
        if !results.has(of) || !results.has(to) {
            return;
        }
        let name = format!("{of} / {to}");
        let _ = write!(text, "| {name} |");
        for kind in Kind::ALL {
            let Some(Ratio { middle, low, high }) = results.ratio(of, to, kind) else {
                continue;
            };
            let mark = if is_met(kind, middle) {
                ""
            } else {
                let what = kind.name();
                self.missed
                    .push(format!("{server}: {name}, {what}: {middle:.2}"));
                " **missed**"
            };
            let _ = write!(text, " {middle:.2} ({low:.2} to {high:.2}){mark} |");
        }
        text.push('\n');
    }

    /// The targets that were missed.
    pub(crate) fn missed(&self) -> &[String] {
        &self.missed
    }

    pub(crate) fn text(&self) -> String {
        format!(
            "# What the adapter costs\n\n\
             Written by `cargo xtask bench`, on {} {} with {} cores.\n\n\
             The same program on real servers, each in turn with each contender: {ROUNDS} rounds \
             of {STEPS} steps, {EVALUATIONS} evaluations and {EXPANSIONS} expansions of a list of \
             1000, every other round backwards. TLS and the naive client are in one of {SELDOM} \
             rounds, and the latter does {}, {} and {}. {}:\n\n\
             * the **raw client** speaks the legacy protocol straight to the server, and does the \
             least that a correct client can;\n\
             * the **raw client behind pipes** is the same in a process of its own, and the \
             editor of the next line drives it: a process that an editor talks to has to be woken, \
             and must wake the editor, whatever it does. It reads a request, has the raw client \
             do it, and writes the least that an editor needs: that it is done, that the program \
             has stopped, the name, value and type of each child;\n\
             * the **adapter** is the release build, driven over its pipes as an editor drives \
             it;\n\
             * the **adapter, TLS** is the same at a second program under the same server, which \
             speaks TLS as the users' document has it set up. A bare server encrypts each small \
             piece of a message by itself, and the adapter decrypts it so; the agent, a whole \
             message;\n\
             * the **naive client** is the raw one without the care for the socket: one write for \
             each field, and the system's settings.\n\n\
             All but the last on the bare server, and on one with the agent in it. Times are medians, \
             with the tenth and the ninetieth of a hundred. Ratios are between the medians of a \
             round; shown is the middle one, and between what it lies in nineteen of twenty runs.\n\n\
             What is to be reached: the adapter takes at most {MOST} times as long as the raw \
             client under the same conditions, which is the one behind pipes, and steps at least \
             {LEAST} times as fast as the naive client. With the agent, a step over TLS takes at \
             most {MOST_OVER_TLS} times as long as one in plain text; what it takes without is \
             told and not judged.\n{}",
            std::env::consts::OS,
            std::env::consts::ARCH,
            std::thread::available_parallelism().map_or(1, usize::from),
            NAIVE.0,
            NAIVE.1,
            NAIVE.2,
            if self.are_apart {
                "The program has a processor, and the editor another, with what is between them"
            } else {
                "The system chooses the processors"
            },
            self.servers
        )
    }
}

fn middle<T: Copy>(sorted: &[T]) -> Option<T> {
    sorted.get(sorted.len() / 2).copied()
}

fn spread(sorted: &[Duration]) -> String {
    let at = |tenth: usize| {
        let index = sorted.len() * tenth / 10;
        sorted
            .get(index.min(sorted.len().saturating_sub(1)))
            .copied()
    };
    match (at(5), at(1), at(9)) {
        (Some(middle), Some(low), Some(high)) => format!(
            "{} ms ({} to {})",
            milliseconds(middle),
            milliseconds(low),
            milliseconds(high)
        ),
        _ => "none".to_owned(),
    }
}

fn milliseconds(time: Duration) -> String {
    format!("{:.2}", time.as_secs_f64() * 1000.0)
}
