//! Partitions that come and go, and the event time that is said of them.

use super::RULES;
use crate::decode::{Format, Input};
use crate::record::Expect;
use crate::redaction::Redactor;
use crate::ruleset::RuleSet;
use crate::scanner::*;

fn matcher() -> Matcher {
    Matcher::new(Arc::new(RuleSet::parse(&[("r.yaml", RULES)]).unwrap()))
}

fn scanner() -> Scanner {
    Scanner::new(
        Options { cluster: "c".into(), limits: Limits::default(), prefilter: true, redactor: Redactor::standard() },
        "test".into(),
    )
}

fn assign(scanner: &mut Scanner, partition: i32) -> Slot {
    scanner.assign(Partition { topic: "t".into(), partition }, Input::new(Format::Auto, Expect::Logs))
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(1_772_352_000_000 + seconds * 1000)
}

/// A matching line that says one time and was written to Kafka at another.
fn scan(scanner: &mut Scanner, slot: Slot, offset: i64, said: i64, written: Option<i64>) {
    let line = format!("{} stdout F boom goes it", at(said));
    let record = Record { offset, timestamp: written.map(at), value: Some(line.as_bytes()) };
    scanner.scan(&matcher(), slot, &record).unwrap();
}

#[test]
fn a_clock_ahead_of_kafkas_does_not_drag_the_watermark() {
    let mut scanner = scanner();
    let slot = assign(&mut scanner, 0);
    scan(&mut scanner, slot, 0, 10, Some(11));
    scan(&mut scanner, slot, 1, 365 * 24 * 3600, Some(12));
    assert_eq!(scanner.newest(slot), Some(at(12)));
    // Without Kafka's word there is nothing to hold it against.
    scan(&mut scanner, slot, 2, 5000, None);
    assert_eq!(scanner.newest(slot), Some(at(5000)));
}

#[test]
fn kafkas_own_time_is_held_against_the_clock() {
    let mut scanner = scanner();
    let slot = assign(&mut scanner, 0);
    scanner.set_clock(at(100));
    scan(&mut scanner, slot, 0, 90, Some(365 * 24 * 3600));
    assert_eq!(scanner.newest(slot), Some(at(90)), "its own time can be");
    scan(&mut scanner, slot, 1, 365 * 24 * 3600, Some(365 * 24 * 3600));
    assert_eq!(scanner.newest(slot), Some(at(100)));
    // What cannot be read moves time on by what passed, and by no more than the clock says.
    scanner.set_clock(at(103));
    let garbage = Record { offset: 2, timestamp: Some(at(365 * 24 * 3600)), value: None };
    assert!(scanner.scan(&matcher(), slot, &garbage).is_err());
    assert_eq!(scanner.newest(slot), Some(at(103)));
}

#[test]
fn records_that_say_nothing_hold_nobody_up() {
    let mut scanner = scanner();
    let slot = assign(&mut scanner, 0);
    let garbage = |scanner: &mut Scanner, offset, written| {
        let record = Record { offset, timestamp: Some(at(written)), value: Some(b"{\"cut off") };
        assert!(scanner.scan(&matcher(), slot, &record).is_err());
        scanner.flush(at(0))[0].partitions[0].clone()
    };
    let progress = garbage(&mut scanner, 7, 5000);
    assert_eq!((progress.first, progress.next, progress.rejected), (7, 8, 1));
    assert_eq!((progress.watermark, progress.idle), (None, true));
    // Old records that were written lately: time goes on from theirs, it does not jump to when they were written.
    scan(&mut scanner, slot, 8, 10, Some(5010));
    let progress = garbage(&mut scanner, 9, 5013);
    assert_eq!((progress.watermark, progress.idle), (Some(at(13)), false));
}

#[test]
fn what_a_lost_partition_brought_is_not_booked_on_the_next() {
    let mut scanner = scanner();
    let lost = assign(&mut scanner, 0);
    scan(&mut scanner, lost, 100, 1, None);
    scanner.revoke(lost);
    assert_eq!(scanner.flush(at(2)), []);
    let next = assign(&mut scanner, 1);
    scan(&mut scanner, next, 5, 3, None);
    let report = &scanner.flush(at(4))[0];
    assert_eq!(report.matches.iter().map(|matched| matched.offset).collect::<Vec<_>>(), [5]);
    assert_eq!((report.partitions.len(), report.partitions[0].records), (1, 1));
}

#[test]
fn a_record_that_is_read_again_after_its_partition_was_lost_counts() {
    let mut scanner = scanner();
    let lost = assign(&mut scanner, 0);
    scan(&mut scanner, lost, 54, 1, None);
    scanner.revoke(lost);
    let again = assign(&mut scanner, 0);
    scan(&mut scanner, again, 54, 1, None);
    assert_eq!(scanner.flush(at(2))[0].matches.len(), 1);
}

#[test]
fn late_records_do_not_fill_a_batch() {
    let mut scanner = scanner();
    let slot = assign(&mut scanner, 0);
    scan(&mut scanner, slot, 0, 100, None);
    scanner.flush(at(100));
    for offset in 1..10 {
        scan(&mut scanner, slot, offset, 60, None);
        assert!(!scanner.is_full(), "nothing new has come to light");
    }
    scan(&mut scanner, slot, 10, 106, None);
    assert!(scanner.is_full());
}

#[test]
fn a_line_that_is_not_whole_is_settled_before_the_partition_goes() {
    let mut scanner = scanner();
    let slot = assign(&mut scanner, 0);
    let line = format!("{} stdout P boom goes it, and then", at(1));
    let record = Record { offset: 0, timestamp: None, value: Some(line.as_bytes()) };
    assert_eq!(scanner.scan(&matcher(), slot, &record).unwrap().matches, 0);
    scanner.settle(&matcher(), slot);
    assert_eq!(scanner.flush(at(2))[0].matches.len(), 1);
}

#[test]
fn silence_lets_event_time_run_on_until_the_next_record() {
    let mut scanner = scanner();
    let slot = assign(&mut scanner, 0);
    scan(&mut scanner, slot, 0, 10, None);
    scanner.idle(slot, Duration::from_secs(20));
    let progress = scanner.flush(at(99))[0].partitions[0].clone();
    assert_eq!((progress.idle, progress.watermark), (true, Some(at(30))));
    scan(&mut scanner, slot, 1, 12, None);
    let progress = scanner.flush(at(99))[0].partitions[0].clone();
    assert_eq!((progress.idle, progress.watermark), (false, Some(at(12))));
}

#[test]
fn a_report_names_what_brought_it_something_and_the_heartbeat_all() {
    let mut scanner = scanner();
    let slots = [0, 1, 2].map(|partition| assign(&mut scanner, partition));
    scan(&mut scanner, slots[0], 7, 1, None);
    let line = r#"{"log":"boom goes it","cluster":"north"}"#;
    for offset in 0..2 {
        let record = Record { offset, timestamp: Some(at(2)), value: Some(line.as_bytes()) };
        scanner.scan(&matcher(), slots[1], &record).unwrap();
    }
    let garbage = Record { offset: 2, timestamp: Some(at(3)), value: None };
    assert!(scanner.scan(&matcher(), slots[1], &garbage).is_err());
    let shown = |report: &Report| {
        let partitions = report.partitions.iter();
        let partitions = partitions.map(|p| (p.partition.partition, p.first, p.next, p.records, p.rejected));
        (report.cluster.as_deref().map(str::to_owned), report.more, partitions.collect::<Vec<_>>())
    };
    let named = |name: &str| Some(name.to_owned());
    let told: Vec<_> = scanner.flush(at(4)).iter().map(shown).collect();
    assert_eq!(
        told,
        [
            (named("c"), true, vec![(0, 7, 8, 1, 0)]),
            (named("north"), true, vec![(1, 0, 3, 2, 0)]),
            (None, false, vec![(0, 7, 8, 1, 0), (1, 0, 3, 2, 1), (2, 0, 0, 0, 0)]),
        ]
    );
    let told: Vec<_> = scanner.flush(at(5)).iter().map(shown).collect();
    assert_eq!(told, [(None, false, vec![(0, 8, 8, 0, 0), (1, 3, 3, 0, 0), (2, 0, 0, 0, 0)])], "nothing new");
}
