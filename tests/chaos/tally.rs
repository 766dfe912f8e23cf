//! What all rounds came to, as a table and as the document.

use std::fmt::Write as _;

use crate::process::Mode;
use crate::round::Outcome;

/// The rounds of one mode.
pub struct Tally {
    pub mode: Mode,
    pub seeds: Vec<u64>,
    pub failed: Vec<u64>,
    pub sum: Sum,
}

/// Sums over rounds; of memory the most.
#[derive(Default)]
pub struct Sum {
    kills: usize,
    kills_in_transaction: usize,
    stops: usize,
    ends: usize,
    restarts: usize,
    cuts: usize,
    orders: usize,
    exits_failed: usize,
    records: usize,
    reports: usize,
    expected: usize,
    missing: usize,
    repeated: usize,
    foreign: usize,
    repeated_uncommitted: usize,
    peak_kib: u64,
}

impl Tally {
    pub fn new(mode: Mode) -> Self {
        Tally { mode, seeds: Vec::new(), failed: Vec::new(), sum: Sum::default() }
    }

    pub fn add(&mut self, seed: u64, outcome: &Outcome) {
        self.seeds.push(seed);
        if !outcome.judgement.complaints.is_empty() {
            self.failed.push(seed);
        }
        let (sum, judgement) = (&mut self.sum, &outcome.judgement);
        sum.kills += outcome.kills;
        sum.kills_in_transaction += outcome.kills_in_transaction;
        sum.stops += outcome.stops;
        sum.ends += outcome.ends;
        sum.restarts += outcome.restarts;
        sum.cuts += outcome.cuts;
        sum.orders += outcome.orders;
        sum.exits_failed += outcome.exits.failed;
        sum.records += outcome.records;
        sum.reports += outcome.reports;
        sum.expected += judgement.expected;
        sum.missing += judgement.missing;
        sum.repeated += judgement.repeated;
        sum.foreign += judgement.foreign;
        sum.repeated_uncommitted += outcome.repeated_uncommitted;
        sum.peak_kib = sum.peak_kib.max(outcome.peak_kib);
    }

    pub fn kills_in_transaction(&self) -> usize {
        self.sum.kills_in_transaction
    }

    fn rows(&self) -> [(&'static str, String); 17] {
        let sum = &self.sum;
        let text = |number: usize| number.to_string();
        [
            ("rounds", text(self.seeds.len())),
            ("rounds that failed", text(self.failed.len())),
            ("records", text(sum.records)),
            ("reports", text(sum.reports)),
            ("instances killed", text(sum.kills)),
            ("of these while a transaction with alerts was open", text(sum.kills_in_transaction)),
            ("instances stopped and continued", text(sum.stops)),
            ("instances asked to end", text(sum.ends)),
            ("instances that gave up (exit 1) and were started anew", text(sum.exits_failed)),
            ("restarts of the broker", text(sum.restarts)),
            ("connections cut or half-closed", text(sum.cuts)),
            ("lost, dropped or refused requests ordered", text(sum.orders)),
            ("transitions that had to be told", text(sum.expected)),
            ("missing", text(sum.missing)),
            ("alerts that follow from no report", text(sum.foreign)),
            ("alerts told again", text(sum.repeated)),
            ("most memory of an instance, MiB", (sum.peak_kib / 1024).to_string()),
        ]
    }
}

/// A Markdown table with a column for each mode.
pub fn table(tallies: &[&Tally]) -> String {
    let mut table = String::from("| |");
    for tally in tallies {
        let _ = write!(table, " {} |", tally.mode.name());
    }
    let _ = write!(table, "\n|---|{}", "---:|".repeat(tallies.len()));
    let columns: Vec<_> = tallies.iter().map(|tally| tally.rows()).collect();
    for row in 0..columns.first().map_or(0, |rows| rows.len()) {
        let _ = write!(table, "\n| {} |", columns[0][row].0);
        for column in &columns {
            let _ = write!(table, " {} |", column[row].1);
        }
    }
    table.push('\n');
    table
}

/// `1 to 4, 9`.
pub fn ranges(seeds: &[u64]) -> String {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for &seed in seeds {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == seed => *last = seed,
            _ => ranges.push((seed, seed)),
        }
    }
    let text =
        |(first, last): &(u64, u64)| if first == last { first.to_string() } else { format!("{first} to {last}") };
    ranges.iter().map(text).collect::<Vec<_>>().join(", ")
}

const HEAD: &str = "\
# Reliability: rounds of chaos

Written by `tests/chaos.rs`. Each round starts a broker process (the one of `tests/transactional-broker`: not Apache
Kafka, but it keeps transactions apart, fences zombies and refuses stale members), puts a TCP proxy before it and runs
two to three `faultline run` processes on it. While clusters break and mend in the records that come in, a plan made
from the seed kills instances (`SIGKILL`), stops and continues them, asks them to end, adds and removes them, restarts
the broker, cuts, half-closes and holds up connections, and has requests dropped, answers lost and errors answered.
Instances that end are started anew. Then one instance, undisturbed, comes to the end of the input.

What must hold after each round:
- the reports hold every match at its position and cover every record of the input;
- the alerts topic holds exactly the alerts that follow from the reports, byte for byte, in order per dedup key: each
  once for a reader of committed records (exactly once), or repeated with the same id and the same content (at least
  once);
- every incident was told firing and then resolved; only one that was over before it could be known, because some
  partition was read much later than the others, need not be told;
- committed offsets are the ends of the input and of the reports;
- no process panicked, ended otherwise than with 0, with 1 or by our signal, or took more memory than its bound.

The controls that show that the test can fail: the checker finds what is doctored (`tests/chaos/check.rs`); alerts that
are read without regard for transactions, and at-least-once delivery, do repeat (`tests/chaos.rs`).
";

/// The document.
pub fn document(tallies: &[&Tally], command: &str) -> String {
    let mut text = format!("{HEAD}\n`{command}`:\n\n{}\nSeeds: ", table(tallies));
    let seeds = |tally: &&Tally| format!("{} ({})", ranges(&tally.seeds), tally.mode.name());
    text.push_str(&tallies.iter().map(seeds).collect::<Vec<_>>().join("; "));
    text.push_str(".\n\n");
    for tally in tallies.iter().filter(|tally| tally.mode == Mode::ExactlyOnce) {
        let _ = writeln!(
            text,
            "A reader that does not ask for committed records would have seen {} alerts again.",
            tally.sum.repeated_uncommitted
        );
    }
    text.push_str("\n`FAULTLINE_CHAOS_SEED=N cargo test --test chaos` runs one seed's rounds again.\n");
    text
}

#[test]
fn tables_have_a_column_for_each_mode() {
    let mut one = Tally::new(Mode::ExactlyOnce);
    [1, 2, 4].into_iter().for_each(|seed| one.add(seed, &Outcome { kills: 2, ..Outcome::default() }));
    let text = table(&[&one, &Tally::new(Mode::AtLeastOnce)]);
    assert!(text.starts_with("| | exactly once | at least once |\n|---|---:|---:|\n| rounds | 3 | 0 |\n"), "{text}");
    assert!(text.contains("\n| instances killed | 6 | 0 |\n"), "{text}");
    assert_eq!(ranges(&one.seeds), "1 to 2, 4");
    assert!(document(&[&one], "cargo test").contains("Seeds: 1 to 2, 4 (exactly once)."));
}
