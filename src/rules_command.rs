//! `faultline rules check | test | list | explain`: results to `out`, complaints to `err`, an exit code back.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use comfy_table::{Table, presets};

use crate::document::format_duration;
use crate::rules_files::{LoadError, load};
use crate::ruleset::RuleSet;
use crate::scanner::matcher::Matcher;
use crate::scanner::naive::{Condition, explain as conditions};
use crate::signature::{Accuses, Example, Rule, Trigger};

mod corpus;
mod examples;
mod explain;
mod review;

pub use examples::{test, test_to};
pub use explain::explain;

use corpus::measure;
use review::review;

pub const DONE: u8 = 0;
/// An example of a rule is not as the rule says, or the input could not be read.
pub const FAILED: u8 = 1;
/// The rules cannot be used.
pub const BAD_RULES: u8 = 2;

/// Longer messages are cut where they are shown.
const SHOWN_CHARS: usize = 160;

/// Validates the rules: [`DONE`], or [`BAD_RULES`] with everything that is wrong on `err`.
///
/// # Errors
/// When `out` or `err` cannot be written to; so all commands here.
pub fn check(directory: &Path, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<u8> {
    check_on(directory, &[], out, err)
}

/// [`check`], and a table of how often each rule hits in the files of `corpus`, and what it costs. [`FAILED`] where one
/// of them cannot be read.
pub fn check_on(directory: &Path, corpus: &[PathBuf], out: &mut dyn Write, err: &mut dyn Write) -> io::Result<u8> {
    let rules = match load_or_complain(directory, err)? {
        Ok(rules) => rules,
        Err(code) => return Ok(code),
    };
    let files: BTreeSet<_> = (0..rules.rules().len()).filter_map(|index| Some(&rules.origin(index)?.source)).collect();
    let (rule_count, file_count, told) = (rules.rules().len(), files.len(), rules.warnings().count());
    let matcher = Matcher::new(Arc::new(rules));
    let doubtful = review(&matcher);
    for warning in &doubtful {
        writeln!(err, "{warning}")?;
    }
    let warnings = match told + doubtful.len() {
        0 => String::new(),
        count => format!(", {}", counted(count, "warning")),
    };
    writeln!(out, "{} in {}: valid{warnings}", counted(rule_count, "rule"), counted(file_count, "file"))?;
    if corpus.is_empty() { Ok(DONE) } else { measure(&matcher, corpus, out, err) }
}

/// A table of the rules.
pub fn list(directory: &Path, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<u8> {
    let rules = match load_or_complain(directory, err)? {
        Ok(rules) => rules,
        Err(code) => return Ok(code),
    };
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["ID", "SEVERITY", "ACCUSES", "READS", "TRIGGER", "TITLE", "FILE"]);
    for (index, rule) in rules.rules().iter().enumerate() {
        let reads = match (&rule.log, &rule.event) {
            (Some(_), Some(_)) => "log, event",
            (None, _) => "event",
            (_, None) => "log",
        };
        let file = rules.origin(index).map(ToString::to_string).unwrap_or_default();
        let cells = [&*rule.id, severity(rule), accuses(rule), reads, &trigger(rule.trigger), &rule.title, &file];
        table.add_row(cells);
    }
    for line in table.lines() {
        writeln!(out, "{}", line.trim())?;
    }
    Ok(DONE)
}

/// The rules, or the exit code once what is wrong has been said.
fn load_or_complain(directory: &Path, err: &mut dyn Write) -> io::Result<Result<RuleSet, u8>> {
    match load(directory) {
        Ok(rules) => {
            for warning in rules.warnings() {
                writeln!(err, "{warning}")?;
            }
            Ok(Ok(rules))
        }
        Err(error) => {
            writeln!(err, "{error}")?;
            if let LoadError::Invalid(diagnostics) = &error {
                let errors = diagnostics.iter().count() - diagnostics.warnings().count();
                writeln!(err, "{}: {}", directory.display(), counted(errors, "error"))?;
            }
            Ok(Err(BAD_RULES))
        }
    }
}

fn shown_example(example: &Example) -> String {
    match example {
        Example::Text(text) => shown(text),
        Example::Event { reason, event_type, message } => format!("event {event_type} {reason}: {}", shown(message)),
    }
}

/// A message on one line, cut, and without control characters that a terminal would obey.
fn shown(text: &str) -> String {
    let mut shown: String = text.trim_end().chars().take(SHOWN_CHARS).flat_map(printable).collect();
    if text.trim_end().chars().nth(SHOWN_CHARS).is_some() {
        shown.push('…');
    }
    shown
}

fn printable(c: char) -> impl Iterator<Item = char> {
    let escaped = c.is_control().then(|| c.escape_default());
    let plain = escaped.is_none().then_some(c);
    escaped.into_iter().flatten().chain(plain)
}

fn severity(rule: &Rule) -> &'static str {
    rule.severity.as_str()
}

fn accuses(rule: &Rule) -> &'static str {
    match rule.accuses {
        Accuses::Pod => "pod",
        Accuses::Node => "node",
    }
}

fn trigger(trigger: Trigger) -> String {
    let within = trigger.within.map(|within| format!(" in {}", format_duration(within))).unwrap_or_default();
    let pods = if trigger.pods > 1 { format!(", {}", counted(trigger.pods as usize, "pod")) } else { String::new() };
    format!("{}×{pods}{within}", trigger.matches)
}

fn counted(count: usize, thing: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {thing}{plural}")
}

#[cfg(test)]
mod tests;
