//! The scanner from records to reports.

use super::*;
use crate::redaction::Redactor;
use crate::ruleset::RuleSet;

mod partitions;

const RULES: &str = r#"
- id: boom
  title: Boom
  severity: error
  match: {log: {all: ["boom goes it"]}}
  tests: {match: ["boom goes it"], no_match: ["no"]}
"#;

struct Bench {
    matcher: Matcher,
    scanner: Scanner,
    slot: Slot,
    offset: i64,
}

impl Bench {
    fn new(limits: Limits) -> Self {
        let rules = RuleSet::parse(&[("r.yaml", RULES)]).unwrap();
        let mut scanner = Scanner::new(
            Options { cluster: "c".into(), limits, prefilter: true, redactor: Redactor::standard() },
            "test".into(),
        );
        let slot = scanner.assign(Partition { topic: "t".into(), partition: 0 }, Input::default());
        Bench { matcher: Matcher::new(Arc::new(rules)), scanner, slot, offset: 0 }
    }

    fn scan(&mut self, line: &str) -> Scanned {
        let record = Record { offset: self.offset, timestamp: None, value: Some(line.as_bytes()) };
        self.offset += 1;
        self.scanner.scan(&self.matcher, self.slot, &record).unwrap()
    }

    fn flush(&mut self) -> Report {
        self.scanner.flush(Timestamp::default()).remove(0)
    }
}

fn cri(second: u32, stream: &str, tag: &str, message: &str) -> String {
    format!("2026-11-22T14:00:{second:02}.000000000Z {stream} {tag} {message}")
}

#[test]
fn a_signature_across_two_parts_is_found_at_the_last_of_them() {
    let mut bench = Bench::new(Limits::default());
    assert_eq!(bench.scan(&cri(0, "stdout", "P", "boom go")).matches, 0);
    assert_eq!(bench.scan(&cri(0, "stderr", "F", "in between")).matches, 0);
    assert_eq!(bench.flush().partitions[0].records, 2, "a part counts as read");
    assert_eq!(bench.scan(&cri(1, "stdout", "F", "es it")).matches, 1);
    let report = bench.flush();
    assert_eq!((report.matches[0].offset, report.matches[0].time.as_millis() % 60_000), (2, 1_000));
    assert_eq!(report.partitions[0].first, 2);
}

#[test]
fn json_in_parts_is_read_as_a_whole() {
    let mut bench = Bench::new(Limits::default());
    bench.scan(&cri(0, "stdout", "P", r#"{"level":"error","msg":"say \"no\", bo"#));
    assert_eq!(bench.scan(&cri(0, "stdout", "F", r#"\u006fm goes it"}"#)).matches, 1);
}

#[test]
fn what_is_let_go_is_looked_at_and_counted_where_reading_is() {
    let mut bench = Bench::new(Limits::default());
    bench.scan(&cri(0, "stdout", "P", "boom goes it, and on"));
    bench.flush();
    let scanned = bench.scan(&cri(30, "stderr", "F", "much later"));
    assert_eq!((scanned.matches, scanned.cut_lines), (1, 1));
    assert_eq!(bench.flush().matches[0].offset, 1);
}

#[test]
fn the_end_lets_everything_go() {
    let mut bench = Bench::new(Limits::default());
    bench.scan(&cri(0, "stdout", "P", "boom goes it"));
    bench.flush();
    bench.scanner.end(&bench.matcher, bench.slot);
    let report = bench.flush();
    assert_eq!((report.matches.len(), report.matches[0].offset), (1, 1));
}

#[test]
fn without_room_for_parts_each_is_a_line() {
    let mut bench = Bench::new(Limits { joined_bytes: 0, ..Limits::default() });
    assert_eq!(bench.scan(&cri(0, "stdout", "P", "boom goes it")).matches, 1);
    assert_eq!(bench.scan(&cri(0, "stdout", "F", "boom goes it")).matches, 1);
}

#[test]
fn the_record_names_its_cluster_before_the_header_and_that_before_the_input() {
    let named = Input { cluster: Some("inputs".into()), ..Input::default() };
    let cases = [
        (Input::default(), None, "boom goes it", "c"),
        (named.clone(), None, "boom goes it", "inputs"),
        (named.clone(), Some("headers"), "boom goes it", "headers"),
        (named.clone(), Some(""), "boom goes it", "inputs"),
        (named, Some("headers"), r#"{"log":"boom goes it","cluster":"records"}"#, "records"),
    ];
    for (input, header, value, expected) in cases {
        let mut bench = Bench::new(Limits::default());
        let slot = bench.scanner.assign(Partition { topic: "u".into(), partition: 0 }, input);
        let record = Record { offset: 0, timestamp: None, value: Some(value.as_bytes()) };
        bench.scanner.scan_from(&bench.matcher, slot, &record, header).unwrap();
        let reports = bench.scanner.flush(Timestamp::default());
        let hit: Vec<&str> =
            reports.iter().filter(|r| !r.matches.is_empty()).filter_map(|report| report.cluster.as_deref()).collect();
        assert_eq!(hit, [expected], "{value} {header:?}");
    }
}
