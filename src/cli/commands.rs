//! One function per command: arguments to the module that does the work.

use std::io::{self, Write};
use std::path::Path;

use anyhow::anyhow;
use tracing::level_filters::LevelFilter;

use super::{
    Arguments, Colour, Command, ConfigCommand, ConfigFile, Failure, Global, ReplayArguments, RulesCommand, RunArguments,
};
use crate::document::Diagnostics;
use crate::settings::{Flag, Settings};
use crate::telemetry;

pub fn execute(arguments: Arguments) -> Result<(), Failure> {
    let Arguments { global, command } = arguments;
    start_logging(&global, &command)?;
    match command {
        Command::Demo => demo(),
        Command::Run(arguments) => run(&arguments),
        Command::Replay(arguments) => replay(&arguments),
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
    let base = if matches!(command, Command::Run(_)) { LevelFilter::INFO } else { LevelFilter::WARN };
    let level = telemetry::level(base, global.verbose, global.quiet);
    telemetry::start(level, global.log_format, telemetry::colour_on_stderr())
        .map_err(|error| Failure::usage(anyhow!(error)))
}

fn settings(config: &ConfigFile, flags: &[Flag]) -> Result<Settings, Failure> {
    let (settings, warnings) = Settings::load(config.file.as_deref(), flags).map_err(Failure::usage)?;
    tell(&warnings);
    Ok(settings)
}

fn tell(warnings: &Diagnostics) {
    for warning in warnings.iter() {
        // Where stderr is gone there is nobody to tell.
        let _ = writeln!(io::stderr(), "faultline: {warning}");
    }
}

fn show_config(config: &ConfigFile) -> Result<(), Failure> {
    let settings = settings(config, &[])?;
    io::stdout().write_all(settings.to_yaml().as_bytes()).map_err(Failure::running)
}

fn demo() -> Result<(), Failure> {
    Err(not_there_yet("demo"))
}

fn run(arguments: &RunArguments) -> Result<(), Failure> {
    let _settings = settings(&arguments.config, &[])?;
    let _ = (&arguments.stages, arguments.until_end);
    Err(not_there_yet("run"))
}

fn replay(arguments: &ReplayArguments) -> Result<(), Failure> {
    let _settings = settings(&arguments.config, &arguments.flags())?;
    let _ = &arguments.files;
    Err(not_there_yet("replay"))
}

fn rules(command: &RulesCommand) -> Result<(), Failure> {
    let _: &Path = match command {
        RulesCommand::Check(rules) | RulesCommand::Test(rules) | RulesCommand::List(rules) => &rules.directory,
        RulesCommand::Explain { rules, input } => {
            let _ = input;
            &rules.directory
        }
    };
    Err(not_there_yet("rules"))
}

fn not_there_yet(command: &str) -> Failure {
    Failure::running(anyhow!("`{command}` is not there yet"))
}
