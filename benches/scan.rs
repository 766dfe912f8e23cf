//! The scan stage: all of it, and the part of it that matches, with the bundled rules.

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use faultline::decode::{Format, Input, decode};
use faultline::record::{Entry, Expect};
use faultline::redaction::Redactor;
use faultline::scanner::matcher::Scratch;
use faultline::scanner::{Limits, Options, Scanner};
use faultline::scenario::ScenarioRecord;
use faultline::time::Timestamp;

mod common;

fn main() {
    divan::main();
}

fn records() -> Vec<ScenarioRecord> {
    common::chatter(common::size(10_000, 2_000))
}

fn bytes(records: &[ScenarioRecord]) -> BytesCount {
    BytesCount::new(records.iter().map(|record| record.value.len()).sum::<usize>())
}

fn entries(records: &[ScenarioRecord]) -> Vec<Entry<'_>> {
    let mut entries = Vec::new();
    for record in records {
        let record = common::record(0, &record.value);
        decode(&record, &Input::new(Format::Auto, Expect::Logs), &mut entries).expect("chatter is well-formed");
    }
    entries
}

/// From bytes to entries, for comparison: `format: auto`, as the others.
#[divan::bench]
fn decode_only(bencher: Bencher) {
    let records = records();
    bencher.counter(ItemsCount::new(records.len())).counter(bytes(&records)).bench_local(|| {
        let mut found = 0;
        for record in &records {
            let mut entries = Vec::new();
            let record = common::record(0, &record.value);
            decode(&record, &Input::new(Format::Auto, Expect::Logs), &mut entries).expect("chatter is well-formed");
            found += entries.len();
        }
        assert_eq!(found, records.len());
    });
}

/// From entries to matches.
#[divan::bench]
fn match_only(bencher: Bencher) {
    let matcher = common::matcher();
    let records = records();
    let entries = entries(&records);
    let mut scratch = Scratch::default();
    bencher.counter(ItemsCount::new(records.len())).counter(bytes(&records)).bench_local(|| {
        let mut matches = 0;
        for entry in &entries {
            matcher.scan(entry, &mut scratch, |_| matches += 1);
        }
        assert!(matches > 0, "every 2,000th record matches");
    });
}

/// From bytes to the report: what decoding and matching do not account for is gathering.
#[divan::bench]
fn scan(bencher: Bencher) {
    let matcher = common::matcher();
    let records = records();
    let options = Options {
        cluster: "default".into(),
        limits: Limits::default(),
        prefilter: true,
        redactor: Redactor::standard(),
    };
    let mut scanner = Scanner::new(options, "bench".into());
    let slot = scanner.assign(common::partition(), Input::new(Format::Auto, Expect::Logs));
    bencher.counter(ItemsCount::new(records.len())).counter(bytes(&records)).bench_local(|| {
        let mut matches = 0;
        for (offset, record) in (0..).zip(&records) {
            let record = common::record(offset, &record.value);
            matches += scanner.scan(&matcher, slot, &record).expect("chatter is well-formed").matches;
        }
        assert!(matches > 0, "every 2,000th record matches");
        scanner.flush(Timestamp::default())
    });
}
