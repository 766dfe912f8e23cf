//! How often rules hit in given files, and what looking at them costs: finds literals that are too broad.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use comfy_table::{CellAlignment, Table, presets};

use super::{DONE, FAILED, counted};
use crate::decode::{Input, decode};
use crate::record::{Entry, Record};
use crate::replay::source::{Content, DEFAULT_MAX_LINE_BYTES, Source};
use crate::scanner::matcher::{Matcher, Scratch};
use crate::scanner::naive::log_entry;

/// A rule that is brought up by more than this share of the entries, nearly all for nothing, has too broad a literal.
const BROAD_SHARE: f64 = 0.01;
/// Below so many entries shares say little.
const FEWEST_ENTRIES: u64 = 1_000;
const MIB: f64 = (1 << 20) as f64;

/// What was seen of one rule.
#[derive(Clone, Default)]
struct RuleTally {
    hits: u64,
    /// Matches that a more specific rule superseded.
    superseded: u64,
    /// How often its literals brought it up.
    looked_at: u64,
    spent: Duration,
}

#[derive(Default)]
struct Tally {
    entries: u64,
    bytes: u64,
    /// The one pass of all literals over the message.
    searching: Duration,
    rules: Vec<RuleTally>,
}

/// Reads the files as `replay` does and writes a table of what the rules did to `out`, most hits first.
pub(super) fn measure(
    matcher: &Matcher,
    corpus: &[PathBuf],
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<u8> {
    let mut tally = Tally { rules: vec![RuleTally::default(); matcher.rules().rules().len()], ..Tally::default() };
    let mut scratch = Scratch::default();
    for file in corpus {
        if let Err(error) = read(file, matcher, &mut scratch, &mut tally) {
            writeln!(err, "cannot read {}: {error}", file.display())?;
            return Ok(FAILED);
        }
    }
    write_table(matcher, &tally, out)?;
    write_doubts(matcher, &tally, err)?;
    Ok(DONE)
}

fn read(file: &Path, matcher: &Matcher, scratch: &mut Scratch, tally: &mut Tally) -> io::Result<()> {
    let mut source = Source::open(file, DEFAULT_MAX_LINE_BYTES)?;
    while let Some(line) = source.next()? {
        let Content::Value(value) = &line.content else { continue };
        let record = Record { offset: 0, timestamp: None, value: Some(value) };
        let mut entries = Vec::new();
        // A record of no known shape is text all the same.
        if decode(&record, &Input::default(), &mut entries).is_err() || entries.is_empty() {
            tally.add(matcher, &log_entry(&String::from_utf8_lossy(value)), scratch);
        } else {
            entries.iter().for_each(|entry| tally.add(matcher, entry, scratch));
        }
    }
    Ok(())
}

impl Tally {
    fn add(&mut self, matcher: &Matcher, entry: &Entry<'_>, scratch: &mut Scratch) {
        self.entries += 1;
        self.bytes += entry.message().len() as u64;
        let began = Instant::now();
        matcher.bring_up(entry, scratch);
        self.searching += began.elapsed();
        let mut hits = Vec::new();
        for &candidate in scratch.candidates() {
            let Some(rule) = matcher.rule_of(candidate, entry).and_then(|index| self.rules.get_mut(index)) else {
                continue;
            };
            let began = Instant::now();
            let hit = matcher.look_at(candidate, entry, scratch);
            rule.spent += began.elapsed();
            rule.looked_at += 1;
            hits.extend(hit.map(|hit| hit.index));
        }
        hits.iter().for_each(|&hit| self.rules[hit].superseded += 1);
        matcher.rules().drop_superseded(&mut hits, |&hit| hit);
        for hit in hits {
            self.rules[hit].superseded -= 1;
            self.rules[hit].hits += 1;
        }
    }

    fn mib(&self) -> f64 {
        (self.bytes as f64 / MIB).max(f64::MIN_POSITIVE)
    }

    fn share(&self, count: u64) -> f64 {
        count as f64 / self.entries.max(1) as f64
    }
}

fn write_table(matcher: &Matcher, tally: &Tally, out: &mut dyn Write) -> io::Result<()> {
    let spent: Duration = tally.rules.iter().map(|rule| rule.spent).sum();
    let total = (tally.searching + spent).as_secs_f64().max(f64::MIN_POSITIVE);
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["RULE", "HITS", "SUPERSEDED", "LOOKED AT", "NS/MIB", "TIME"]);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let mut seen: Vec<usize> = (0..tally.rules.len()).filter(|&index| tally.rules[index].looked_at > 0).collect();
    seen.sort_by_key(|&index| std::cmp::Reverse((tally.rules[index].hits, tally.rules[index].spent)));
    let mut row = |name: &str, counts: [String; 3], spent: Duration| {
        let [hits, superseded, looked_at] = counts;
        let cost = format!("{:.0}", spent.as_nanos() as f64 / tally.mib());
        let share = format!("{:.1} %", 100.0 * spent.as_secs_f64() / total);
        table.add_row([name.to_owned(), hits, superseded, looked_at, cost, share]);
    };
    for &index in &seen {
        let rule = &tally.rules[index];
        let counts = [rule.hits, rule.superseded, rule.looked_at].map(|count| count.to_string());
        row(&matcher.rules().rules()[index].id, counts, rule.spent);
    }
    row("(search for all literals)", [String::new(), String::new(), tally.entries.to_string()], tally.searching);
    for line in table.lines() {
        writeln!(out, "{}", line.trim_end())?;
    }
    let hits: u64 = tally.rules.iter().map(|rule| rule.hits).sum();
    let quiet = tally.rules.len() - seen.len();
    writeln!(
        out,
        "{} in {} entries, {:.1} MiB; {} never looked at",
        counted(hits as usize, "hit"),
        tally.entries,
        tally.mib(),
        counted(quiet, "rule")
    )
}

fn write_doubts(matcher: &Matcher, tally: &Tally, err: &mut dyn Write) -> io::Result<()> {
    if tally.entries < FEWEST_ENTRIES {
        return Ok(());
    }
    for (index, rule) in tally.rules.iter().enumerate() {
        let origin = matcher.rules().origin(index).map(|origin| format!("{origin}: ")).unwrap_or_default();
        let id = &matcher.rules().rules()[index].id;
        if tally.share(rule.hits) > BROAD_SHARE {
            let share = 100.0 * tally.share(rule.hits);
            writeln!(err, "{origin}warning: rule {id}: broad: it hits in {share:.1} % of the entries")?;
        } else if tally.share(rule.looked_at) > BROAD_SHARE && rule.hits * 100 < rule.looked_at {
            let share = 100.0 * tally.share(rule.looked_at);
            writeln!(
                err,
                "{origin}warning: rule {id}: broad literal: it is in {share:.1} % of the entries, and {} of {} hit",
                rule.hits, rule.looked_at
            )?;
        }
    }
    Ok(())
}
