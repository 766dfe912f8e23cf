//! One function per command: arguments to the module that does the work.

use std::io::{self, Write};
use std::sync::Arc;

use anyhow::anyhow;
use tracing::level_filters::LevelFilter;

use super::bridge;
use super::evaluate::evaluate;
use super::service_config::service_config;
use super::{
    Arguments, Colour, Command, ConfigCommand, ConfigFile, Failure, Global, ReplayArguments, RulesCommand,
    RunArguments, SimulateArguments, Stage,
};
use crate::bundled::{self, RuleSource};
use crate::document::Diagnostic;
use crate::engine::Engine;
use crate::rules_files::{self, LoadError, RuleFiles};
use crate::ruleset::RuleSet;
use crate::scanner::matcher::Matcher;
use crate::service::{self, Config, Shutdown, Stages};
use crate::settings::{Flag, Http, Settings};
use crate::silences_file::SilencesFile;
use crate::simulator::{self, Setup};
use crate::telemetry;
use crate::{correlator, demo, laboratory, replay, rules_command};

pub fn execute(arguments: Arguments) -> Result<(), Failure> {
    let Arguments { global, command } = arguments;
    start_logging(&global, &command)?;
    match command {
        Command::Demo => demo(),
        Command::Run(arguments) => run(&arguments),
        Command::Replay(arguments) => replay(&arguments, global.quiet > 0),
        Command::Bridge(arguments) => bridge::run(&arguments),
        Command::Evaluate(arguments) => evaluate(&arguments),
        Command::Simulate(arguments) => simulate(&arguments, global.quiet > 0),
        Command::Rules(command) => rules(&command),
        Command::Config(ConfigCommand::Show(config)) => show_config(&config),
    }
}

/// A service tells what it does; a command that a person waits for speaks only of trouble.
fn start_logging(global: &Global, command: &Command) -> Result<(), Failure> {
    match global.color {
        Colour::Auto => anstream::ColorChoice::Auto,
        Colour::Always => anstream::ColorChoice::Always,
        Colour::Never => anstream::ColorChoice::Never,
    }
    .write_global();
    let base =
        if matches!(command, Command::Run(_) | Command::Bridge(_)) { LevelFilter::INFO } else { LevelFilter::WARN };
    let level = telemetry::level(base, global.verbose, global.quiet);
    telemetry::start(level, global.log_format, telemetry::colour_on_stderr())
        .map_err(|error| Failure::usage(anyhow!(error)))
}

pub(super) fn settings(config: &ConfigFile, flags: &[Flag]) -> Result<Settings, Failure> {
    let (settings, warnings) = Settings::load(config.file.as_deref(), flags).map_err(Failure::usage)?;
    warnings.iter().for_each(tell);
    Ok(settings)
}

fn tell(warning: &Diagnostic) {
    // Where stderr is gone there is nobody to tell.
    let _ = writeln!(io::stderr(), "faultline: {warning}");
}

fn show_config(config: &ConfigFile) -> Result<(), Failure> {
    let settings = settings(config, &[])?;
    io::stdout().write_all(settings.to_yaml().as_bytes()).map_err(Failure::running)
}

fn demo() -> Result<(), Failure> {
    let rules = Arc::new(load_rules(RuleSource::Bundled)?);
    let configure = |broker: &str| {
        let mut settings = Settings { http: Http { listen: None }, ..Settings::default() };
        settings.cluster = "demo".to_owned();
        settings.kafka.brokers = broker.to_owned();
        // The embedded broker's transactions do not work.
        settings.kafka.exactly_once = false;
        // Nothing is lost when Ctrl-C ends it on the spot, also while it waits and after the service.
        Config { signals: false, ..service_config(&settings, "faultline-demo") }
    };
    demo::run(rules, configure).map_err(Failure::running)
}

fn run(arguments: &RunArguments) -> Result<(), Failure> {
    let mut settings = settings(&arguments.config, &[])?;
    settings.kafka.read_secrets().map_err(Failure::usage)?;
    let rules = watched_rules(RuleSource::of(&settings))?;
    let stages = Stages {
        scan: arguments.stages.contains(&Stage::Scan),
        correlate: arguments.stages.contains(&Stage::Correlate),
    };
    let instance = format!("faultline-{}", std::process::id());
    let mut config = service_config(&settings, &instance);
    follow_files(&mut config, &settings)?;
    config.connection.check().map_err(Failure::usage)?;
    service::run(config, rules, stages, arguments.until_end, Shutdown::default()).map_err(Failure::running)
}

/// What the configuration says of who is told stands in part in files of its own.
fn follow_files(config: &mut Config, settings: &Settings) -> Result<(), Failure> {
    for (output, told) in settings.outputs.iter().zip(&mut config.policy.outputs) {
        told.writer.routing_key = output.routing_key().map_err(Failure::usage)?;
    }
    let Some(path) = &settings.silences else { return Ok(()) };
    let names = config.policy.outputs.iter().map(|output| Arc::clone(&output.name)).collect();
    let (silences, file) = SilencesFile::open(path, names).map_err(Failure::usage)?;
    config.policy.silences = Arc::new(silences);
    config.silences = Some(file);
    Ok(())
}

fn replay(arguments: &ReplayArguments, quiet: bool) -> Result<(), Failure> {
    let settings = settings(&arguments.config, &arguments.flags())?;
    let rules = Arc::new(load_rules(RuleSource::of(&settings))?);
    let options = settings.scanner_options();
    let replaying = replay::Options { max_line_bytes: options.limits.record_bytes, format: arguments.format };
    let correlator = correlator::Options { explain: arguments.explain, ..settings.correlator };
    let engine = Engine::new(Matcher::new(rules), options, correlator);
    let mut out = io::stdout().lock();
    // Not locked: warnings go there meanwhile.
    let mut err = anstream::stderr();
    let summary = replay::run_explained(&arguments.files, engine, &mut out, &mut err, replaying);
    let summary = summary.map_err(Failure::running)?;
    if !quiet {
        // Where stderr is gone there is nobody to tell.
        let _ = writeln!(io::stderr(), "{summary}");
    }
    Ok(())
}

fn simulate(arguments: &SimulateArguments, quiet: bool) -> Result<(), Failure> {
    let &SimulateArguments { kind, seed, nodes, ref out } = arguments;
    let setup = Setup { kind, seed, nodes: nodes.map(|nodes| nodes as usize) };
    laboratory::prepare(out).map_err(|error| match error {
        laboratory::Error::NotOurs { .. } => Failure::usage(error),
        error => Failure::running(error),
    })?;
    let summary = laboratory::write(&simulator::simulate(&setup), out).map_err(Failure::running)?;
    if !quiet {
        // Where stderr is gone there is nobody to tell.
        let _ = writeln!(io::stderr(), "{summary}");
    }
    Ok(())
}

/// The rules in force. What is wrong with them is bad usage, like a wrong configuration.
pub(super) fn load_rules(source: RuleSource) -> Result<RuleSet, Failure> {
    let rules = match source {
        RuleSource::Directory(directory) => rules_files::load(&directory),
        RuleSource::Bundled => RuleSet::parse(bundled::RULES).map_err(LoadError::Invalid),
    };
    let rules = rules.map_err(wrong_rules)?;
    rules.warnings().for_each(tell);
    Ok(rules)
}

/// The same for a service, which follows the changes of rule files.
fn watched_rules(source: RuleSource) -> Result<service::Rules, Failure> {
    let RuleSource::Directory(directory) = source else { return Ok(Arc::new(load_rules(source)?).into()) };
    let (rules, files) = RuleFiles::open(&directory).map_err(wrong_rules)?;
    rules.warnings().for_each(tell);
    Ok((rules, files).into())
}

fn wrong_rules(error: LoadError) -> Failure {
    match error {
        LoadError::Invalid(diagnostics) => Failure::usage(anyhow!("invalid rules{}", diagnostics.indented())),
        error => Failure::usage(error),
    }
}

fn rules(command: &RulesCommand) -> Result<(), Failure> {
    let (mut out, mut err) = (io::stdout().lock(), io::stderr().lock());
    let code = match command {
        RulesCommand::Check { rules, corpus } => rules_command::check_on(&rules.directory, corpus, &mut out, &mut err),
        RulesCommand::Test { rules, junit } => {
            rules_command::test_to(&rules.directory, junit.as_deref(), &mut out, &mut err)
        }
        RulesCommand::List(rules) => rules_command::list(&rules.directory, &mut out, &mut err),
        RulesCommand::Explain { rules, input } => {
            rules_command::explain(&rules.directory, Some(input), &mut out, &mut err)
        }
    };
    match code.map_err(Failure::running)? {
        0 => Ok(()),
        code => Err(Failure::told(code)),
    }
}
