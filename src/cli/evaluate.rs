//! `faultline evaluate`: what can be typed, and what is done about it.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use clap::{Args, ValueEnum, value_parser};

use super::commands::{load_rules, settings};
use super::{ConfigFile, Failure, kind};
use crate::bundled::RuleSource;
use crate::evaluate_command::{self, Document};
use crate::evaluation::{Bench, Pace, Results, SeedSet, THRESHOLD};
use crate::settings::Flag;
use crate::simulator::{Kind, Setup};

#[derive(Args, Debug)]
pub(super) struct EvaluateArguments {
    #[command(flatten)]
    config: ConfigFile,
    /// Directory of rule files, instead of the configured one
    #[arg(long, value_name = "DIR")]
    rules: Option<String>,
    /// Kinds of cases [default: all]
    #[arg(long, value_name = "KINDS", value_delimiter = ',', value_parser = kind())]
    kinds: Vec<Kind>,
    /// How many runs of each kind
    #[arg(long, value_name = "N", default_value = "20")]
    seeds: NonZero<u64>,
    /// Where the seeds begin: tuning at 1, held-out at 1000001
    #[arg(long, value_name = "SET", default_value = "tuning", conflicts_with = "first_seed")]
    set: Set,
    /// The first seed, instead of a set's
    #[arg(long, value_name = "N")]
    first_seed: Option<u64>,
    /// Nodes of each cluster [default: the seed decides]
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=10_000))]
    nodes: Option<u32>,
    /// Runs at the same time [default: one per core]
    #[arg(long, value_name = "N")]
    jobs: Option<NonZero<usize>>,
    /// Matches within five minutes from which the baseline of a threshold per node alerts
    #[arg(long, value_name = "N", default_value_t = NonZero::new(THRESHOLD).unwrap_or(NonZero::<usize>::MIN))]
    threshold: NonZero<usize>,
    /// Show each run that was not perfect (also slow, talkative, resolved at the wrong time): how to repeat it, the truth, the alerts (= right, ! wrong, ~ wrong for less
    /// than a minute, ? suspected only)
    #[arg(long)]
    failures: bool,
    /// Write every run and the sums as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write plots (SVG) into this folder
    #[arg(long, value_name = "DIR")]
    plots: Option<PathBuf>,
    /// Put tables and plots into this Markdown file, between its marks
    #[arg(long, value_name = "FILE")]
    document: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Set {
    Tuning,
    HeldOut,
}

impl From<Set> for SeedSet {
    fn from(set: Set) -> Self {
        match set {
            Set::Tuning => SeedSet::Tuning,
            Set::HeldOut => SeedSet::HeldOut,
        }
    }
}

impl EvaluateArguments {
    fn flags(&self) -> Vec<Flag> {
        let rules = self.rules.clone().map(|value| Flag { name: "--rules", path: &["rules"], value });
        rules.into_iter().collect()
    }

    fn first_seed(&self) -> u64 {
        self.first_seed.unwrap_or_else(|| SeedSet::from(self.set).first())
    }

    fn setups(&self) -> Vec<Setup> {
        let kinds = if self.kinds.is_empty() { Kind::ALL } else { &self.kinds };
        let seeds = self.first_seed()..self.first_seed().saturating_add(self.seeds.get());
        let nodes = self.nodes.map(|nodes| nodes as usize);
        kinds.iter().flat_map(|&kind| seeds.clone().map(move |seed| Setup { kind, seed, nodes })).collect()
    }

    /// What leads to the same results, with the paths of this machine left out.
    fn command(&self) -> String {
        let mut command = "faultline evaluate".to_owned();
        let mut option = |name: &str, value: &dyn std::fmt::Display| {
            // Writing to a string cannot fail.
            let _ = write!(command, " --{name} {value}");
        };
        if !self.kinds.is_empty() {
            option("kinds", &self.kinds.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(","));
        }
        match self.first_seed {
            Some(first) => option("first-seed", &first),
            None => option("set", &SeedSet::from(self.set).name()),
        }
        option("seeds", &self.seeds);
        if let Some(nodes) = self.nodes {
            option("nodes", &nodes);
        }
        if self.threshold.get() != THRESHOLD {
            option("threshold", &self.threshold);
        }
        command
    }

    fn seeds_in_words(&self) -> String {
        let (first, last) = (self.first_seed(), self.first_seed().saturating_add(self.seeds.get() - 1));
        match (SeedSet::of(first), SeedSet::of(last)) {
            (Some(set), other) if Some(set) == other => format!("Seeds {first} to {last} ({}).", set.name()),
            _ => format!("Seeds {first} to {last}."),
        }
    }
}

pub(super) fn evaluate(arguments: &EvaluateArguments) -> Result<(), Failure> {
    let document = arguments.document.as_deref().map(Document::open).transpose().map_err(Failure::usage)?;
    let settings = settings(&arguments.config, &arguments.flags())?;
    let bench = Bench {
        rules: Arc::new(load_rules(RuleSource::of(&settings))?),
        scanner: settings.scanner_options(),
        correlator: settings.correlator,
        pace: Pace { flush_interval: settings.scan.flush_interval, idle_after: settings.scan.idle_after },
        threshold: arguments.threshold.get(),
    };
    let jobs = arguments.jobs.or_else(|| thread::available_parallelism().ok()).map_or(1, NonZero::get);
    let cases = evaluate_command::run(&bench, &arguments.setups(), jobs);
    let results = Results {
        cases,
        command: arguments.command(),
        seeds: arguments.seeds_in_words(),
        threshold: arguments.threshold.get(),
    };
    tell(arguments, document.as_ref(), &results).map_err(Failure::running)
}

/// First what is shown, so that a folder that cannot be written to does not hide it.
fn tell(arguments: &EvaluateArguments, document: Option<&Document>, results: &Results) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    if arguments.failures {
        out.write_all(results.failures().as_bytes())?;
    }
    out.write_all(results.to_text().as_bytes())?;
    if let Some(path) = &arguments.json {
        evaluate_command::write_json(path, results)?;
    }
    if let Some(folder) = &arguments.plots {
        evaluate_command::write_plots(folder, results)?;
    }
    if let Some(document) = document {
        document.write(results)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: EvaluateArguments,
    }

    fn read(line: &str) -> Result<EvaluateArguments, clap::Error> {
        let words = std::iter::once("evaluate").chain(line.split_whitespace());
        Line::try_parse_from(words).map(|line| line.arguments)
    }

    #[test]
    fn seeds_of_a_set_or_from_a_number() {
        let seeds = |line: &str| read(line).unwrap().setups().iter().map(|setup| setup.seed).collect::<Vec<_>>();
        assert_eq!(seeds("--kinds node --seeds 2"), [1, 2]);
        assert_eq!(seeds("--kinds node --seeds 2 --set held-out"), [1_000_001, 1_000_002]);
        assert_eq!(seeds("--kinds node,healthy --seeds 1 --first-seed 7"), [7, 7]);
        assert!(read("--set held-out --first-seed 7").is_err());
        assert_eq!(read("--seeds 3").unwrap().setups().len(), 3 * Kind::ALL.len());
        assert!(read("--seeds 0").is_err());
    }

    #[test]
    fn an_unknown_kind_is_told_with_those_that_there_are() {
        let error = read("--kinds node,nod").unwrap_err().to_string();
        assert!(error.contains("invalid value 'nod'") && error.contains("possible values: healthy, "), "{error}");
    }

    #[test]
    fn the_command_repeats_the_run() {
        let line = "--kinds node --set held-out --seeds 5 --nodes 40 --json f";
        let arguments = read(line).unwrap();
        let command = arguments.command();
        assert_eq!(command, "faultline evaluate --kinds node --set held-out --seeds 5 --nodes 40");
        let again = read(command.strip_prefix("faultline evaluate").unwrap()).unwrap();
        assert_eq!(again.setups(), arguments.setups());
        assert_eq!(arguments.seeds_in_words(), "Seeds 1000001 to 1000005 (held-out).");
        assert_eq!(read("--seeds 1000").unwrap().seeds_in_words(), "Seeds 1 to 1000.");
    }
}
