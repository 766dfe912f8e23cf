//! Which rules match given lines, and why others nearly did.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::sync::Arc;

use super::{Condition, DONE, FAILED, accuses, conditions, load_or_complain, severity, shown};
use crate::decode::{Input, decode};
use crate::record::{Entry, Record};
use crate::scanner::matcher::{Hit, Matcher, Scratch};
use crate::scanner::naive::{assumed_event, is_near, log_entry, matches_naive};
use crate::signature::Rule;

/// Longer lines are cut, as the scan stage would refuse them.
const MAX_LINE_BYTES: u64 = 10 << 20;

/// Shows for every line of `file` (`None` or `-`: standard input) which rules match it and why, and which came near
/// and what they missed. A line that is a JSON record is decoded as the pipeline would; any other is a log message.
pub fn explain(directory: &Path, file: Option<&Path>, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<u8> {
    let rules = match load_or_complain(directory, err)? {
        Ok(rules) => rules,
        Err(code) => return Ok(code),
    };
    let matcher = Matcher::new(Arc::new(rules));
    let read = match file.filter(|file| *file != Path::new("-")) {
        None => Ok(Box::new(io::stdin().lock()) as Box<dyn BufRead>),
        Some(file) => File::open(file).map(|file| Box::new(BufReader::new(file)) as Box<dyn BufRead>),
    };
    let mut input = match read {
        Ok(input) => input,
        Err(error) => {
            writeln!(err, "cannot read {}: {error}", file.unwrap_or(Path::new("-")).display())?;
            return Ok(FAILED);
        }
    };
    explain_lines(&matcher, &mut *input, out, err)
}

pub(super) fn explain_lines(
    matcher: &Matcher,
    input: &mut dyn BufRead,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<u8> {
    let mut line = Vec::new();
    for number in 1.. {
        match read_line(input, &mut line) {
            Ok(false) => break,
            Ok(true) if line.trim_ascii().is_empty() => {}
            Ok(true) => explain_line(matcher, number, line.trim_ascii_end(), out)?,
            Err(error) => {
                writeln!(err, "line {number}: cannot be read: {error}")?;
                return Ok(FAILED);
            }
        }
    }
    Ok(DONE)
}

/// One line into `line`, cut; `false` at the end.
fn read_line(input: &mut dyn BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    (&mut *input).take(MAX_LINE_BYTES).read_until(b'\n', line)?;
    if line.len() as u64 == MAX_LINE_BYTES && line.last() != Some(&b'\n') {
        input.skip_until(b'\n')?;
    }
    Ok(!line.is_empty())
}

fn explain_line(matcher: &Matcher, number: usize, line: &[u8], out: &mut dyn Write) -> io::Result<()> {
    let mut entries = Vec::new();
    if line.starts_with(b"{") {
        let record = Record { offset: 0, timestamp: None, value: Some(line) };
        if let Err(rejected) = decode(&record, &Input::default(), &mut entries) {
            writeln!(out, "line {number}: no known record ({}), taken as a log message", shown(&rejected.detail))?;
        }
    }
    if !entries.is_empty() {
        return entries.iter().try_for_each(|entry| explain_entry(matcher, number, entry, false, out));
    }
    let text = String::from_utf8_lossy(line);
    explain_entry(matcher, number, &log_entry(&text), true, out)
}

/// `plain`: the line is no record, so it may as well be an event's message.
fn explain_entry(
    matcher: &Matcher,
    number: usize,
    entry: &Entry<'_>,
    plain: bool,
    out: &mut dyn Write,
) -> io::Result<()> {
    match entry {
        Entry::Log(log) => writeln!(out, "line {number}: log: {}", shown(&log.message))?,
        Entry::Event(event) => {
            writeln!(out, "line {number}: event {} {}: {}", event.event_type, event.reason, shown(&event.message))?
        }
    }
    let mut hits = Vec::new();
    matcher.scan(entry, &mut Scratch::default(), |hit| hits.push(hit));
    hits.iter().try_for_each(|hit| write_hit(hit, entry, out))?;
    let mut quiet = hits.is_empty();
    for (index, rule) in matcher.rules().rules().iter().enumerate() {
        if hits.iter().any(|hit| hit.index == index) {
            continue;
        }
        if matches_naive(rule, entry) {
            write_superseded(matcher, index, &hits, out)?;
            continue;
        }
        quiet &= !write_miss(rule, entry, plain, out)?;
    }
    if quiet {
        writeln!(out, "  no rule matches or comes near")?;
    }
    Ok(())
}

fn write_hit(hit: &Hit<'_, '_>, entry: &Entry<'_>, out: &mut dyn Write) -> io::Result<()> {
    let rule = hit.rule;
    writeln!(out, "  matches {} ({}, accuses the {}): {}", rule.id, severity(rule), accuses(rule), rule.title)?;
    write_conditions(&conditions(rule, entry), out)?;
    for (name, value) in &hit.captures {
        let meaning = rule.codes.get(&***name).and_then(|table| table.lookup(value));
        let meaning = meaning.map(|meaning| format!(": {}, {}", meaning.name, meaning.text)).unwrap_or_default();
        writeln!(out, "    {name} = {}{meaning}", shown(value))?;
    }
    Ok(())
}

/// A rule whose conditions hold but which does not count.
fn write_superseded(matcher: &Matcher, loser: usize, hits: &[Hit<'_, '_>], out: &mut dyn Write) -> io::Result<()> {
    let rules = matcher.rules();
    let winners = hits.iter().filter(|hit| rules.supersedes(hit.index, loser));
    let winners: Vec<&str> = winners.map(|hit| &*hit.rule.id).collect();
    let rule = &rules.rules()[loser];
    writeln!(out, "  would match {}, superseded by {}: {}", rule.id, winners.join(", "), rule.title)
}

/// Whether there was something to say about a rule that does not match.
fn write_miss(rule: &Rule, entry: &Entry<'_>, plain: bool, out: &mut dyn Write) -> io::Result<bool> {
    if plain
        && let Some(event) = assumed_event(rule, entry.message())
        && matches_naive(rule, &event)
        && conditions(rule, &event).iter().any(|condition| condition.telling && !condition.text.starts_with("reason"))
    {
        let reason = rule.event.as_ref().map(|event| event.reason.join(" or ")).unwrap_or_default();
        writeln!(out, "  would match {} as the message of a {reason} event: {}", rule.id, rule.title)?;
        return Ok(true);
    }
    let conditions = conditions(rule, entry);
    if is_near(&conditions) {
        writeln!(out, "  near {}: {}", rule.id, rule.title)?;
        write_conditions(&conditions, out)?;
        return Ok(true);
    }
    Ok(false)
}

fn write_conditions(conditions: &[Condition], out: &mut dyn Write) -> io::Result<()> {
    for condition in conditions {
        let sign = if condition.holds { "holds" } else { "fails" };
        writeln!(out, "    {sign}  {}", condition.text)?;
    }
    Ok(())
}
