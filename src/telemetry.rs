//! Logs to stderr: text for people, JSON for machines. stdout carries results only.

use std::io::{self, IsTerminal};

use clap::ValueEnum;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

/// The variable that sets levels by module, `faultline::kafka=debug,info`; it wins over `-v` and `-q`.
const VARIABLE: &str = "RUST_LOG";

/// Starts logging; once per process. `level` counts from what the command says without any flag.
///
/// # Errors
/// RUST_LOG cannot be understood: a message that says so.
pub fn start(level: LevelFilter, format: LogFormat, colour: bool) -> Result<(), String> {
    let filter = match std::env::var(VARIABLE) {
        Ok(directives) if !directives.is_empty() => {
            EnvFilter::try_new(&directives).map_err(|error| format!("{VARIABLE} is not valid: {error}"))?
        }
        _ => EnvFilter::new(directives(level)),
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let started = match format {
        LogFormat::Text => builder.with_ansi(colour).with_target(level > LevelFilter::INFO).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init(),
    };
    started.map_err(|error| format!("cannot start logging: {error}"))
}

/// Libraries speak one level lower: their details help only who looks for them.
fn directives(level: LevelFilter) -> String {
    let libraries = match level {
        LevelFilter::TRACE => LevelFilter::DEBUG,
        LevelFilter::DEBUG | LevelFilter::INFO => LevelFilter::WARN,
        level => level,
    };
    format!("{libraries},faultline={level}")
}

/// `base`, raised by each `-v` and lowered by each `-q`.
pub fn level(base: LevelFilter, verbose: u8, quiet: u8) -> LevelFilter {
    const LEVELS: [LevelFilter; 6] = [
        LevelFilter::OFF,
        LevelFilter::ERROR,
        LevelFilter::WARN,
        LevelFilter::INFO,
        LevelFilter::DEBUG,
        LevelFilter::TRACE,
    ];
    let base = LEVELS.iter().position(|level| *level == base).unwrap_or(0);
    let index = (base + usize::from(verbose)).saturating_sub(usize::from(quiet));
    LEVELS[index.min(LEVELS.len() - 1)]
}

/// Whether stderr takes colours: what the user said, else whether it is a terminal that can.
pub fn colour_on_stderr() -> bool {
    let stderr = io::stderr();
    match anstream::AutoStream::choice(&stderr) {
        anstream::ColorChoice::Never => false,
        anstream::ColorChoice::Auto => stderr.is_terminal(),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_move_the_level_and_stop_at_the_ends() {
        let cases = [
            ((LevelFilter::INFO, 0, 0), LevelFilter::INFO),
            ((LevelFilter::INFO, 1, 0), LevelFilter::DEBUG),
            ((LevelFilter::WARN, 9, 0), LevelFilter::TRACE),
            ((LevelFilter::WARN, 0, 1), LevelFilter::ERROR),
            ((LevelFilter::WARN, 0, 9), LevelFilter::OFF),
        ];
        for ((base, verbose, quiet), expected) in cases {
            assert_eq!(level(base, verbose, quiet), expected, "{base} -v×{verbose} -q×{quiet}");
        }
    }

    #[test]
    fn libraries_are_quieter() {
        assert_eq!(directives(LevelFilter::INFO), "warn,faultline=info");
        assert_eq!(directives(LevelFilter::ERROR), "error,faultline=error");
        assert_eq!(directives(LevelFilter::TRACE), "debug,faultline=trace");
    }
}
