use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::decode::{Format, Input, decode};
use crate::names;
use crate::record::{Entry, Expect, KubeEvent, LogEntry, Record};

const MINUTE: Duration = Duration::from_secs(60);

fn start() -> Timestamp {
    Timestamp::parse_rfc3339("2026-11-22T14:00:00Z").unwrap()
}

fn entries(record: &ScenarioRecord) -> Vec<Entry<'_>> {
    let expect = match record.stream {
        Stream::Logs => Expect::Logs,
        Stream::Events => Expect::Events,
    };
    let mut entries = Vec::new();
    let kafka = Record { offset: 0, timestamp: Some(record.at), value: Some(record.value.as_bytes()) };
    decode(&kafka, &Input::new(Format::Auto, expect), &mut entries).unwrap();
    entries
}

fn logs(scenario: &Scenario) -> Vec<LogEntry<'_>> {
    let entries = scenario.records.iter().flat_map(entries);
    entries.filter_map(|entry| if let Entry::Log(log) = entry { Some(log) } else { None }).collect()
}

fn events(scenario: &Scenario) -> Vec<KubeEvent<'_>> {
    let entries = scenario.records.iter().flat_map(entries);
    entries.filter_map(|entry| if let Entry::Event(event) = entry { Some(event) } else { None }).collect()
}

fn all() -> [Scenario; 3] {
    [
        founding_case(start(), 1, MINUTE, 6 * MINUTE),
        broken_workload(start(), 1, MINUTE, 5 * MINUTE),
        healthy(start(), 1, 15 * MINUTE),
    ]
}

#[test]
fn every_record_decodes_to_what_its_stream_holds_at_its_time() {
    for scenario in all() {
        for record in &scenario.records {
            let found = entries(record);
            let [entry] = found.as_slice() else { panic!("{} entries: {}", found.len(), record.value) };
            assert_eq!(matches!(entry, Entry::Event(_)), record.stream == Stream::Events);
            // The API server's times are whole seconds.
            let time = entry.time().unwrap();
            assert!(time <= record.at && record.at.since(time) < Duration::from_secs(1), "{time} {}", record.value);
        }
    }
}

#[test]
fn the_same_arguments_give_the_same_bytes_in_order() {
    for (one, two) in all().into_iter().zip(all()) {
        assert_eq!(one, two);
        assert!(one.records.is_sorted_by_key(|record| record.at));
    }
    assert_ne!(healthy(start(), 1, MINUTE).records, healthy(start(), 2, MINUTE).records);
}

#[test]
fn the_founding_case_fails_on_one_node_only() {
    let scenario = founding_case(start(), 7, 5 * MINUTE, 10 * MINUTE);
    let truth = &scenario.truth;
    assert_eq!(truth.node.as_deref(), Some("akswin000001"));
    let mut workloads: Vec<_> = truth.failing.iter().map(|pod| pod.workload.as_str()).collect();
    workloads.sort_unstable();
    assert_eq!(workloads, ["kube-system/omsagent-win", "sitecore/cd", "sitecore/cd", "sitecore/xdbcollection"]);
    assert!(truth.failing.iter().all(|pod| pod.node == "akswin000001"));

    let failing: BTreeSet<_> = truth.failing.iter().map(|pod| pod.pod.clone()).collect();
    let logs = logs(&scenario);
    let said = |log: &&LogEntry<'_>| {
        log.message.ends_with("[LOGMONITOR] ERROR: Failed to start entrypoint process. Error: 216")
    };
    let pods: BTreeSet<_> = logs.iter().filter(said).map(|log| log.source.pod.clone().unwrap().into_owned()).collect();
    assert_eq!(pods, failing);
    assert!(logs.iter().filter(said).all(|log| log.time.unwrap() >= scenario.turning_point));

    // Old pods of the bad node go on to the end, and so do siblings elsewhere.
    let last = scenario.records.last().unwrap().at;
    let still = |log: &&LogEntry<'_>| last.since(log.time.unwrap()) < Duration::from_secs(30);
    let mut alive: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for log in logs.iter().filter(still) {
        let node = log.source.node.clone().unwrap().into_owned();
        alive.entry(node).or_default().insert(log.source.pod.clone().unwrap().into_owned());
    }
    let healthy_on_bad = alive["akswin000001"].difference(&failing).count();
    assert_eq!(healthy_on_bad, 6, "{alive:?}");
    let new_cd = alive["akswin000000"].iter().filter(|pod| pod.starts_with("cd-")).count();
    assert_eq!(new_cd, 8);
}

#[test]
fn a_short_play_of_the_founding_case_has_it_all_early() {
    let scenario = founding_case(start(), 7, 5 * MINUTE, Duration::from_secs(20));
    assert_eq!(scenario.truth.failing.len(), 4);
    let second = scenario.truth.second_failure().unwrap();
    assert!(second.since(scenario.turning_point) < Duration::from_secs(5), "{second}");
    let back_offs = events(&scenario).iter().filter(|event| event.reason == "BackOff").count();
    assert!(back_offs >= 4, "{back_offs}");
}

#[test]
fn back_offs_repeat_with_one_uid_and_a_rising_count() {
    let scenario = founding_case(start(), 7, MINUTE, 10 * MINUTE);
    let mut counts: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for event in events(&scenario).into_iter().filter(|event| event.reason == "BackOff") {
        assert_eq!((event.node.as_deref(), event.event_type.as_ref()), (Some("akswin000001"), "Warning"));
        assert_eq!(event.object.kind, "Pod");
        counts.entry(event.uid.unwrap().into_owned()).or_default().push(event.count.unwrap());
    }
    assert_eq!(counts.len(), 4);
    for counts in counts.values() {
        assert!(counts.iter().copied().eq(1..=counts.len() as u32), "{counts:?}");
        assert!(counts.len() > 10);
    }
}

#[test]
fn new_pods_are_scheduled_and_old_ones_stopped() {
    let scenario = founding_case(start(), 7, MINUTE, 5 * MINUTE);
    let events = events(&scenario);
    let scheduled: Vec<_> = events.iter().filter(|event| event.reason == "Scheduled").collect();
    assert_eq!(scheduled.len(), 14);
    for event in scheduled {
        assert!(event.assigned_node().unwrap().starts_with("akswin"));
        assert_eq!((event.node.as_deref(), event.count), (None, None));
    }
    assert_eq!(events.iter().filter(|event| event.reason == "Killing").count(), 11);
}

#[test]
fn the_broken_workload_panics_on_every_node() {
    let scenario = broken_workload(start(), 3, 5 * MINUTE, 5 * MINUTE);
    assert_eq!(scenario.truth.workload.as_deref(), Some("shop/checkout"));
    let nodes: BTreeSet<_> = scenario.truth.failing.iter().map(|pod| pod.node.clone()).collect();
    assert_eq!(nodes.len(), 6);
    for log in logs(&scenario).iter().filter(|log| log.message.starts_with("panic: ")) {
        let (namespace, pod) = (log.source.namespace.as_deref().unwrap(), log.source.pod.as_deref().unwrap());
        assert_eq!(names::workload(None, namespace, pod, None), "shop/checkout");
    }
}

#[test]
fn the_healthy_day_is_long_and_without_failures() {
    let scenario = healthy(start(), 3, Duration::from_secs(3 * 3600));
    assert_eq!(scenario.truth, Truth::default());
    assert!(scenario.records.len() < 200_000, "{}", scenario.records.len());
    let count = |text: &str| scenario.records.iter().filter(|record| record.value.contains(text)).count();
    assert_eq!(count("\"Unhealthy\""), 6);
    assert_eq!(count("\"Scheduled\""), 5 + 36);
    for text in ["BackOff", "LOGMONITOR", "panic"] {
        assert_eq!(count(text), 0, "{text}");
    }
}

#[test]
fn chatter_is_of_the_size_and_spread_that_benches_need() {
    let records: Vec<_> = chatter(start(), 5).take(20_000).collect();
    assert!(records.iter().zip(chatter(start(), 5)).all(|(one, two)| *one == two));
    let mut nodes = BTreeSet::new();
    let mut signatures = 0;
    for record in &records {
        assert!((300..=900).contains(&record.value.len()), "{} bytes: {}", record.value.len(), record.value);
        let found = entries(record);
        let [Entry::Log(log)] = found.as_slice() else { panic!("{found:?}") };
        nodes.insert(log.source.node.clone().unwrap().into_owned());
        signatures += usize::from(log.message.contains("[LOGMONITOR] ERROR"));
    }
    assert_eq!((nodes.len(), signatures), (200, 10));
}
