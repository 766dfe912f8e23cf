//! A report in parts says what the whole says.

use std::sync::Arc;

use faultline::alert::Alert;
use faultline::correlator::{Correlator, Counts, Options};
use faultline::record::Partition;
use faultline::report::{Change, ChangeKind, EventCount, Match, Pod, Presence, Progress, Report, VERSION};
use faultline::ruleset::RuleSet;
use faultline::time::Timestamp;
use proptest::prelude::*;

const RULES: &str = r#"
- id: crashed
  title: Program crashed
  severity: critical
  match: {log: {all: ["crashed"]}}
- id: pod-back-off
  title: Pod restarts again and again
  severity: warning
  match: {event: {reason: [BackOff]}}
"#;
const BOUND: usize = 4_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + second * 1000)
}

fn correlator() -> Correlator {
    let rules = Arc::new(RuleSet::parse(&[("r.yaml", RULES)]).unwrap());
    Correlator::new("c".into(), rules, Options::default())
}

fn bytes(report: &Report) -> usize {
    serde_json::to_vec(report).unwrap().len()
}

fn pod(index: u32) -> Pod {
    Pod {
        namespace: "shop".into(),
        name: format!("w{}-n{}", index % 7, index / 7).into(),
        node: Some(format!("n{}", index / 7).into()),
        workload: format!("shop/w{}", index % 7).into(),
        ..Pod::default()
    }
}

/// Something that a record says of a pod; `kind` chooses what.
fn fact(report: &mut Report, (partition, offset, index, kind): (u32, i64, u32, u8), second: i64) {
    let base = Match {
        partition,
        offset,
        time: at(second),
        rule: "crashed".into(),
        pod: Some(index),
        node: None,
        captures: Default::default(),
        sample: None,
        event: None,
    };
    match kind {
        0 => report.matches.push(Match { sample: Some("it crashed".repeat(5)), ..base }),
        1 => {
            let event = Some(EventCount { uid: format!("e{index}").into(), count: 1 });
            report.matches.push(Match { rule: "pod-back-off".into(), event, ..base });
        }
        2 => report.presence.push(Presence { pod: index, first: at(second), last: at(second), records: 1 }),
        _ => report.matches.push(base),
    }
}

fn report(second: i64, facts: &[(u32, i64, u32, u8)]) -> Report {
    let offsets = second * 100;
    let progress = |partition| Progress {
        partition: Partition { topic: "logs".into(), partition },
        first: offsets,
        next: offsets + 100,
        records: 100,
        watermark: Some(at(second)),
        ..Progress::default()
    };
    let mut report = Report {
        version: VERSION,
        cluster: Some("c".into()),
        more: true,
        scanner: "s".into(),
        partitions: (0..3).map(progress).collect(),
        pods: (0..70).map(pod).collect(),
        ..Report::default()
    };
    facts.iter().for_each(|&(partition, offset, index, kind)| {
        fact(&mut report, (partition, offsets + offset, index, kind), second);
    });
    report
}

/// All alerts and counts, of the reports with their heartbeats behind them.
fn told(reports: impl Iterator<Item = Vec<Report>>) -> (Vec<Alert>, Counts) {
    let mut correlator = correlator();
    let (mut alerts, mut counts) = (Vec::new(), Counts::default());
    for parts in reports {
        for report in parts {
            let outcome = correlator.apply(&report);
            alerts.extend(outcome.alerts);
            counts += outcome.counts;
        }
    }
    (alerts, counts)
}

fn facts(offsets: i64) -> impl Strategy<Value = Vec<(u32, i64, u32, u8)>> {
    // Most are of two nodes, so that there is something to tell.
    let index = prop_oneof![0..14u32, 0..14u32, 0..70u32];
    prop::collection::vec((0..3u32, 0..offsets, index, 0..5u8), 0..120)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn parts_are_small_and_lead_to_the_same_alerts(seconds in prop::collection::vec(facts(100), 1..12)) {
        let reports: Vec<Report> = (0..).zip(&seconds).map(|(at, facts)| report(at * 30, facts)).collect();
        let whole = told(reports.iter().map(|report| vec![report.clone(), report.heartbeat()]));
        let mut parts = Vec::new();
        for report in &reports {
            let split = report.split(BOUND);
            prop_assert_eq!((split.left_out, split.samples_left_out), (0, 0));
            for part in &split.reports {
                prop_assert!(bytes(part) <= BOUND, "{}", bytes(part));
                prop_assert!(part.more && part.cluster == report.cluster);
            }
            // Crashed in between: what was sent comes again.
            let again = split.reports.iter().take(split.reports.len() / 2).cloned();
            parts.push(again.chain(split.reports.iter().cloned()).chain([report.heartbeat()]).collect::<Vec<_>>());
        }
        let in_parts = told(parts.into_iter());
        prop_assert_eq!(in_parts.0, whole.0);
        prop_assert_eq!(Counts { duplicates: 0, ..in_parts.1 }, Counts { duplicates: 0, ..whole.1 });
    }

    #[test]
    fn each_fact_is_in_one_part_which_covers_it(
        // At 100 is what was settled behind the last record.
        facts in facts(101),
    ) {
        let mut whole = report(0, &facts);
        whole.changes = (0..200).map(|n| Change {
            partition: n % 3,
            offset: i64::from(n / 3),
            time: at(0),
            kind: ChangeKind::PodSeen,
            pod: Some(n % 70),
            node: None,
        }).collect();
        let parts = whole.split(BOUND).reports;
        let (mut next, mut watermarks) = ([0; 3], 0);
        let (mut matches, mut changes, mut presence) = (Vec::new(), Vec::new(), Vec::new());
        for part in &parts {
            let place = |index: u32| part.partitions[index as usize].partition.partition;
            let name = |pod: Option<u32>| pod.map(|pod| part.pods[pod as usize].name.clone());
            let facts = part.matches.iter().map(|m| (place(m.partition), m.offset));
            for (partition, offset) in facts.chain(part.changes.iter().map(|c| (place(c.partition), c.offset))) {
                prop_assert!(offset >= next[partition as usize], "not below what an earlier part covers");
            }
            matches.extend(part.matches.iter().map(|m| (place(m.partition), m.offset, m.rule.clone(), name(m.pod))));
            changes.extend(part.changes.iter().map(|c| (place(c.partition), c.offset, name(c.pod))));
            presence.extend(part.presence.iter().map(|p| name(Some(p.pod))));
            for progress in &part.partitions {
                let known = &mut next[progress.partition.partition as usize];
                prop_assert_eq!(progress.first, *known);
                *known = progress.next;
                prop_assert!(progress.watermark.is_none() || progress.next == 100);
                watermarks += usize::from(progress.watermark.is_some());
            }
        }
        prop_assert_eq!((next, watermarks), ([100; 3], 3), "only the last part of each says how far event time is");
        let name = |pod: Option<u32>| pod.map(pod_name);
        let mut expected: Vec<_> = whole.matches.iter()
            .map(|m| (m.partition as i32, m.offset, m.rule.clone(), name(m.pod))).collect();
        matches.sort();
        expected.sort();
        prop_assert_eq!(matches, expected);
        let mut expected: Vec<_> = whole.changes.iter().map(|c| (c.partition as i32, c.offset, name(c.pod))).collect();
        changes.sort();
        expected.sort();
        prop_assert_eq!(changes, expected);
        prop_assert_eq!(presence, whole.presence.iter().map(|p| name(Some(p.pod))).collect::<Vec<_>>());
    }
}

fn pod_name(index: u32) -> Arc<str> {
    pod(index).name
}

#[test]
fn a_record_that_alone_is_too_large_loses_samples_first_then_its_last_matches() {
    let one = |count: u32, sample: usize| {
        let mut whole = report(0, &[(0, 3, 0, 3)]);
        whole.partitions.truncate(1);
        let matched = Match { offset: 7, sample: Some("\"".repeat(sample)), ..whole.matches[0].clone() };
        whole.matches.extend((0..count).map(|pod| Match { pod: Some(pod % 5), ..matched.clone() }));
        whole.split(BOUND)
    };
    let parts = one(10, 300);
    assert_eq!((parts.samples_left_out, parts.left_out), (10, 0));
    assert_eq!(parts.reports.iter().map(|part| part.matches.len()).collect::<Vec<_>>(), [1, 10]);
    let parts = one(100, 10);
    assert!(parts.left_out > 50 && parts.left_out < 90, "{}", parts.left_out);
    assert!(parts.reports.iter().all(|part| bytes(part) <= BOUND));
    let kept: usize = parts.reports.iter().map(|part| part.matches.len()).sum();
    assert_eq!(kept as u64 + parts.left_out, 101);
    assert_eq!(parts.reports.last().unwrap().partitions[0].next, 100);
}

#[test]
fn a_heartbeat_of_many_partitions_moves_event_time_with_its_last_part() {
    let progress = |partition| Progress {
        partition: Partition { topic: "a-topic-with-a-long-name".into(), partition },
        watermark: Some(at(9)),
        ..Progress::default()
    };
    let whole = Report { version: VERSION, partitions: (0..200).map(progress).collect(), ..Report::default() };
    let parts = whole.split(BOUND).reports;
    assert!(parts.len() > 3 && parts.iter().all(|part| bytes(part) <= BOUND && part.cluster.is_none()));
    assert_eq!(parts.iter().filter(|part| !part.more).count(), 1);
    assert!(!parts.last().unwrap().more);
    assert_eq!(parts.iter().flat_map(|part| part.partitions.clone()).collect::<Vec<_>>(), whole.partitions);
}
