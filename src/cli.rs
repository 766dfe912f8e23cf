//! The command line: what can be typed, and the way from there to an exit code.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum, value_parser};

use crate::format::Format;
use crate::settings::Flag;
use crate::simulator::Kind;
use crate::telemetry::LogFormat;

mod bridge;
mod commands;
mod evaluate;
mod failure;
mod service_config;

pub use failure::Failure;

/// With what this build can do towards the brokers.
const VERSION: &str = if cfg!(feature = "tls") {
    concat!(env!("CARGO_PKG_VERSION"), " (TLS; SASL PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER)")
} else {
    concat!(env!("CARGO_PKG_VERSION"), " (no TLS; SASL PLAIN)")
};

/// Finds where the fault is: which node, workload, image or pool, from container logs and Kubernetes events in Kafka.
#[derive(Parser, Debug)]
#[command(name = "faultline", version = VERSION, max_term_width = 100, disable_help_subcommand = true)]
#[command(after_help = "Exit codes: 0 done; 1 failed while running; 2 bad usage, configuration or rules.")]
pub struct Arguments {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Args, Debug)]
struct Global {
    /// Say more on stderr; twice for more still
    #[arg(short, long, global = true, action = ArgAction::Count)]
    verbose: u8,
    /// Say less on stderr; twice for nothing but a failure
    #[arg(short, long, global = true, action = ArgAction::Count)]
    quiet: u8,
    /// How log lines are written on stderr
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text")]
    log_format: LogFormat,
    /// Colour on stdout and stderr; auto: on a terminal
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    color: Colour,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Colour {
    Auto,
    Always,
    Never,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Show the founding case end to end, on an embedded broker; needs nothing and ends by itself
    Demo,
    /// Run the service
    Run(RunArguments),
    /// Run the same engine over files; alerts go to stdout as NDJSON
    Replay(ReplayArguments),
    /// Carry alerts from a topic to Alertmanager, PagerDuty, Slack or a webhook
    Bridge(bridge::BridgeArguments),
    /// Measure how right the verdicts are, on simulated clusters and beside two baselines
    Evaluate(evaluate::EvaluateArguments),
    /// Write what a simulated cluster's log shippers and event exporters would, and the truth about it
    Simulate(SimulateArguments),
    /// Work on rule files
    #[command(subcommand)]
    Rules(RulesCommand),
    /// Look at the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
}

#[derive(Args, Debug)]
struct ConfigFile {
    /// Configuration file [default: config/faultline.yaml where it is there]
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    file: Option<PathBuf>,
}

#[derive(Args, Debug)]
struct RunArguments {
    #[command(flatten)]
    config: ConfigFile,
    /// What this instance does
    #[arg(long, value_name = "STAGES", value_delimiter = ',', default_value = "scan,correlate")]
    stages: Vec<Stage>,
    /// Stop once all that is in the input topics now is processed and its alerts are written
    #[arg(long)]
    until_end: bool,
}

/// A part of the service that can run apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Stage {
    /// Records in, reports out
    Scan,
    /// Reports in, alerts out
    Correlate,
}

#[derive(Args, Debug)]
struct ReplayArguments {
    #[command(flatten)]
    config: ConfigFile,
    /// Directory of rule files, instead of the configured one
    #[arg(long, value_name = "DIR")]
    rules: Option<String>,
    /// The cluster of records that name none
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// Tell on stderr, for each alert, why it says what it says: the hypotheses that were compared, the pods that spoke
    /// for and against, and what would change the verdict
    #[arg(long)]
    explain: bool,
    /// How alerts are written, a line each
    #[arg(long, value_name = "FORMAT", default_value = "faultline", value_parser = format())]
    format: Format,
    /// One record a line, `.gz` and `.zst` too; - is stdin
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

impl ReplayArguments {
    fn flags(&self) -> Vec<Flag> {
        let flag = |name, path, value: &Option<String>| Some(Flag { name, path, value: value.clone()? });
        let flags = [flag("--rules", &["rules"], &self.rules), flag("--cluster", &["cluster"], &self.cluster)];
        flags.into_iter().flatten().collect()
    }
}

#[derive(Args, Debug)]
struct SimulateArguments {
    /// What happens
    #[arg(long, value_parser = kind())]
    kind: Kind,
    /// The same seed gives the same files
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// How many nodes the cluster has [default: the seed decides, 4 to 40]
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=10_000))]
    nodes: Option<u32>,
    /// Directory for logs-N.ndjson, events-N.ndjson (a file is a partition) and truth.json; those of an earlier run are
    /// replaced, any other file there is an error
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// The names that outputs have in the configuration.
fn format() -> impl TypedValueParser<Value = Format> {
    let values = Format::ALL.iter().map(|(name, _)| PossibleValue::new(name));
    PossibleValuesParser::new(values).map(|name| {
        // The parser lets only these through.
        Format::ALL.iter().find(|(known, _)| *known == name).map(|(_, format)| *format).unwrap_or_default()
    })
}

/// With all names in the help and in the error.
fn kind() -> impl TypedValueParser<Value = Kind> {
    let values = Kind::ALL.iter().map(|kind| PossibleValue::new(kind.name()).help(kind.about()));
    PossibleValuesParser::new(values).try_map(|name| name.parse::<Kind>())
}

#[derive(Subcommand, Debug)]
enum RulesCommand {
    /// Validate rule files; everything that is wrong is told at once
    Check {
        #[command(flatten)]
        rules: RulesDirectory,
        /// Also measure how often each rule hits in these lines or records, and what it costs
        #[arg(long, value_name = "FILE")]
        corpus: Vec<PathBuf>,
    },
    /// Run the examples that the rules carry
    Test {
        #[command(flatten)]
        rules: RulesDirectory,
        /// Write the results as JUnit XML too
        #[arg(long, value_name = "FILE")]
        junit: Option<PathBuf>,
    },
    /// Print a table of the rules
    List(RulesDirectory),
    /// Show which rules match the given lines, and why
    Explain {
        #[command(flatten)]
        rules: RulesDirectory,
        /// Lines to try, - is stdin
        #[arg(value_name = "FILE", default_value = "-")]
        input: PathBuf,
    },
}

#[derive(Args, Debug)]
struct RulesDirectory {
    /// Directory of rule files, read recursively
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

#[derive(Subcommand, Debug)]
enum ConfigCommand {
    /// Print the configuration in force, as YAML; secrets are masked
    Show(ConfigFile),
}

/// Does what the arguments say.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    failure::report_panics_briefly();
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => return usage(&error),
    };
    match commands::execute(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// Help and version are asked for and go to stdout; anything else is an error, and said like all of them.
fn usage(error: &clap::Error) -> ExitCode {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        // Nobody reads on: nothing is lost.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let _ = error.print();
        return ExitCode::from(2);
    }
    let text = error.to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    Failure::usage(anyhow::Error::msg(text.trim_end().to_owned())).report()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn takes_what_the_design_fixes() {
        for line in [
            "demo",
            "run",
            "run -c f.yaml --stages scan --until-end",
            "run --stages scan,correlate",
            "replay a.ndjson - b.gz",
            "replay -c f.yaml --rules r --cluster c -",
            "bridge --to slack",
            "bridge -c f.yaml --to alertmanager --url http://h:9093 --topic t --group g --ca-file f",
            "evaluate",
            "evaluate --kinds node,healthy --seeds 5 --first-seed 3 --jobs 2 --nodes 40 --rules r -c f --failures",
            "evaluate --set held-out --json f --plots d --document m",
            "simulate --kind node --seed 7 --nodes 40 --out d",
            "replay --explain a.ndjson",
            "replay --format slack a.ndjson",
            "rules check d",
            "rules check d --corpus a.log --corpus b.gz",
            "rules test d",
            "rules test d --junit r.xml",
            "rules list d",
            "rules explain d",
            "rules explain d -",
            "config show",
            "config show -c f.yaml",
            "-v run -q --log-format json --color never",
        ] {
            let words = std::iter::once("faultline").chain(line.split(' '));
            assert!(Arguments::try_parse_from(words).is_ok(), "{line}");
        }
    }

    #[test]
    fn flags_of_replay_become_a_layer() {
        let line = ["faultline", "replay", "--cluster", "prod", "-"];
        let Command::Replay(replay) = Arguments::try_parse_from(line).unwrap().command else { panic!() };
        assert_eq!(replay.flags(), [Flag { name: "--cluster", path: &["cluster"], value: "prod".into() }]);
    }
}
