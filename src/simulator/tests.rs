use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use super::symptom::{Habitat, Shape};
use super::*;
use crate::alert::Suspect;
use crate::bundled;
use crate::decode::{Format, Input, decode};
use crate::names;
use crate::record::{self, Entry, Expect, KubeEvent, LogEntry, ObjectRef, Record};
use crate::ruleset::RuleSet;
use crate::scanner::matcher::{Matcher, Scratch};

static RULES: LazyLock<Matcher> = LazyLock::new(|| Matcher::new(Arc::new(RuleSet::parse(bundled::RULES).unwrap())));

/// Small enough that all kinds fit in a second or two, and with pools that mean something.
const NODES: usize = 9;
/// Chatter is not what these tests are about.
const FEW_LINES: u64 = 1_000;

fn cases(seeds: std::ops::RangeInclusive<u64>) -> impl Iterator<Item = (Setup, Simulation)> {
    let setups = seeds.flat_map(|seed| Kind::ALL.iter().map(move |&kind| Setup { kind, seed, nodes: Some(NODES) }));
    setups.map(|setup| (setup, tell(&setup, FEW_LINES)))
}

fn entry(stream: Stream, record: &SimulatedRecord) -> Entry<'_> {
    let expect = match stream {
        Stream::Logs => Expect::Logs,
        Stream::Events => Expect::Events,
    };
    let mut entries = Vec::new();
    let kafka = Record { offset: 0, timestamp: Some(record.arrived), value: Some(record.value.as_bytes()) };
    decode(&kafka, &Input::new(Format::Auto, expect), &mut entries).unwrap_or_else(|_| panic!("{}", record.value));
    assert_eq!(entries.len(), 1, "{}", record.value);
    entries.remove(0)
}

fn entries(simulation: &Simulation) -> impl Iterator<Item = (Stream, &SimulatedRecord, Entry<'_>)> {
    simulation.partitions.iter().flat_map(|partition| {
        partition.records.iter().map(|record| (partition.stream, record, entry(partition.stream, record)))
    })
}

/// `namespace/name`.
fn pod_of(entry: &Entry<'_>) -> Option<String> {
    match entry {
        Entry::Log(log) => Some(format!("{}/{}", log.source.namespace.as_deref()?, log.source.pod.as_deref()?)),
        Entry::Event(event) if event.object.kind == "Pod" => {
            Some(format!("{}/{}", event.object.namespace, event.object.name))
        }
        _ => None,
    }
}

fn rules_of(entry: &Entry<'_>) -> Vec<String> {
    let mut ids = Vec::new();
    RULES.scan(entry, &mut Scratch::default(), |hit| ids.push(hit.rule.id.to_string()));
    ids
}

fn signs(simulation: &Simulation) -> BTreeMap<String, Vec<(Timestamp, String)>> {
    let mut signs: BTreeMap<String, Vec<(Timestamp, String)>> = BTreeMap::new();
    for (_, _, entry) in entries(simulation) {
        for rule in rules_of(&entry) {
            if let Some(pod) = pod_of(&entry) {
                signs.entry(pod).or_default().push((entry.time().unwrap(), rule));
            }
        }
    }
    signs
}

#[test]
fn the_same_setup_gives_the_same_bytes() {
    for seed in 1..=2 {
        let setup = Setup { kind: Kind::Node, seed, nodes: Some(NODES) };
        assert_eq!(simulate(&setup), simulate(&setup));
        assert_ne!(simulate(&setup), simulate(&Setup { seed: seed + 10, ..setup }));
    }
}

#[test]
fn every_record_decodes_in_the_order_of_its_arrival_and_within_the_story() {
    for (setup, simulation) in cases(1..=1) {
        let truth = &simulation.truth;
        for partition in &simulation.partitions {
            assert!(partition.records.is_sorted_by_key(|record| record.arrived), "{setup:?}");
        }
        for (stream, record, entry) in entries(&simulation) {
            let time = entry.time().unwrap();
            assert_eq!(matches!(entry, Entry::Event(_)), stream == Stream::Events, "{}", record.value);
            assert!(time <= record.arrived && record.arrived <= truth.to, "{setup:?}: {}", record.value);
            assert!(time >= truth.from, "{setup:?}: {}", record.value);
        }
    }
}

#[test]
fn what_rules_find_is_what_the_truth_tells() {
    for (setup, simulation) in cases(1..=1) {
        let signs = signs(&simulation);
        let truth = &simulation.truth;
        let failing: Vec<&Failure> = truth.faults.iter().flat_map(|fault| &fault.failing).collect();
        for failure in &failing {
            let times = signs.get(&failure.pod).unwrap_or_else(|| panic!("{setup:?}: {} fails unseen", failure.pod));
            let first = times.iter().map(|(time, _)| *time).min();
            assert_eq!(first, Some(failure.first), "{setup:?}: {times:?}");
        }
        let known: BTreeSet<&str> = failing
            .iter()
            .map(|failure| failure.pod.as_str())
            .chain(truth.background.iter().map(|background| background.pod.as_str()))
            .collect();
        for (pod, signs) in &signs {
            assert!(known.contains(pod.as_str()), "{setup:?}: {pod} fails for no reason: {signs:?}");
        }
    }
}

#[test]
fn names_tell_what_the_truth_tells() {
    for (setup, simulation) in cases(2..=2) {
        for fault in &simulation.truth.faults {
            assert!(fault.failing.is_sorted_by_key(|failure| failure.first), "{setup:?}");
            for failure in &fault.failing {
                let (namespace, pod) = failure.pod.split_once('/').unwrap();
                assert_eq!(names::workload(None, namespace, pod, None), failure.workload, "{setup:?}");
                match &fault.suspect {
                    Suspect::Node(node) => assert_eq!(failure.node, **node, "{setup:?}"),
                    Suspect::Workload(workload) => assert_eq!(failure.workload, **workload, "{setup:?}"),
                    Suspect::NodePool(pool) => {
                        assert_eq!(names::node_pool(&failure.node).unwrap(), &**pool, "{setup:?}");
                    }
                    _ => {}
                }
            }
        }
    }
}

fn truths(kind: Kind, nodes: Option<usize>) -> Vec<Truth> {
    (1..=4).map(|seed| tell(&Setup { kind, seed, nodes }, FEW_LINES).truth).collect()
}

#[test]
fn faults_are_as_large_as_their_kinds_say() {
    let cases = [
        (Kind::NodeTwoPods, 2..=2),
        (Kind::NodeThreePods, 3..=3),
        (Kind::NodeFivePods, 5..=5),
        (Kind::WorkloadSurge, 2..=4),
        (Kind::BlackHole, 4..=20),
        (Kind::Image, 3..=30),
    ];
    for (kind, sizes) in cases {
        for truth in truths(kind, Some(NODES)) {
            let [fault] = truth.faults.as_slice() else { panic!("{truth:?}") };
            assert!(sizes.contains(&fault.failing.len()), "{kind} {}: {}", truth.seed, fault.failing.len());
        }
    }
    for kind in [Kind::TwoNodes, Kind::TwoFaults] {
        assert!(truths(kind, None).iter().all(|truth| truth.faults.len() == 2), "{kind}");
    }
}

#[test]
fn days_without_a_fault_have_none_and_the_others_are_mostly_decidable() {
    use Kind::*;
    for &kind in Kind::ALL {
        let truths = truths(kind, Some(NODES));
        let faults: Vec<&Fault> = truths.iter().flat_map(|truth| &truth.faults).collect();
        if matches!(kind, Healthy | CrashLoopers | Chatty | Rollout | ScaleDown | Drain) {
            assert!(faults.is_empty(), "{kind}");
        } else {
            let decidable = faults.iter().filter(|fault| fault.decidable_from.is_some()).count();
            assert!(decidable * 3 >= faults.len() * 2, "{kind}: {decidable} of {}", faults.len());
            assert!(truths.iter().any(|truth| !truth.background.is_empty()), "{kind}");
        }
    }
}

#[test]
fn what_is_mended_recovers_and_nothing_else_does() {
    use Kind::*;
    for &kind in Kind::ALL {
        let mended = matches!(kind, RecoverRestart | RecoverReschedule | RecoverRollback);
        for truth in truths(kind, Some(NODES)) {
            for fault in &truth.faults {
                assert_eq!(fault.recovered.is_some(), mended, "{kind} {}", truth.seed);
                let in_time = fault.recovered.is_none_or(|at| truth.to.since(at) > Duration::from_secs(360));
                assert!(in_time, "{kind} {}: nobody could see that it lasts", truth.seed);
            }
        }
    }
}

#[test]
fn a_silent_node_is_named_by_the_control_plane_alone() {
    for seed in 1..=3 {
        let simulation = simulate(&Setup { kind: Kind::SilenceNode, seed, nodes: Some(NODES) });
        let silence = simulation.truth.silence.unwrap();
        let Suspect::Node(node) = &simulation.truth.faults[0].suspect else { panic!() };
        let mut after = 0;
        for (stream, record, entry) in entries(&simulation) {
            if entry.time().unwrap() >= silence.from {
                after += 1;
                assert!(stream == Stream::Events || !record.value.contains(&**node), "{}", record.value);
                assert!(!record.value.contains(&format!("\"host\":\"{node}\"")), "{}", record.value);
            }
        }
        assert!(after > 100, "the rest of the cluster goes on: {after}");
    }
}

#[test]
fn in_a_silence_nothing_comes() {
    let simulation = simulate(&Setup { kind: Kind::Silence, seed: 3, nodes: Some(NODES) });
    let silence = simulation.truth.silence.unwrap();
    let times: Vec<Timestamp> = entries(&simulation).map(|(_, _, entry)| entry.time().unwrap()).collect();
    // API times are whole seconds, so that the first after the silence may lie before its end.
    let end = silence.to.saturating_sub(Duration::from_secs(1));
    assert!(!times.iter().any(|&time| silence.from < time && time < end));
    assert!(times.iter().any(|&time| time >= silence.to));
}

#[test]
fn a_crash_looper_of_every_day_has_a_high_count_and_few_events() {
    let simulation = simulate(&Setup { kind: Kind::CrashLoopers, seed: 5, nodes: Some(NODES) });
    let looper = simulation.truth.background.iter().find(|background| background.why == "crash-looper").unwrap();
    let mut counts = Vec::new();
    for (_, _, entry) in entries(&simulation) {
        if let Entry::Event(event) = &entry
            && pod_of(&entry).as_ref() == Some(&looper.pod)
            && event.reason == "BackOff"
        {
            counts.push(event.count.unwrap());
        }
    }
    assert!((1..=5).contains(&counts.len()) && counts.iter().all(|&count| count > 200), "{counts:?}");
}

fn log(line: &str) -> Entry<'_> {
    let source = record::Source::default();
    Entry::Log(LogEntry { message: line.into(), time: None, cluster: None, source, stream: None, partial: false })
}

fn warning<'r>(reason: &'r str, message: &'r str) -> Entry<'r> {
    Entry::Event(KubeEvent {
        uid: None,
        reason: reason.into(),
        event_type: "Warning".into(),
        message: message.into(),
        object: ObjectRef::default(),
        node: None,
        count: None,
        time: None,
        component: "kubelet".into(),
        cluster: None,
    })
}

#[test]
fn every_symptom_is_known_to_a_rule() {
    for symptom in Habitat::ALL.iter().flat_map(|habitat| habitat.symptoms()) {
        let entry = match symptom.shape {
            Shape::Exits { telling: Some(line), .. } | Shape::Complains(line) => log(line),
            Shape::NotStarted(message) => warning("Failed", message),
            Shape::NoSandbox(message) => warning("FailedCreatePodSandBox", message),
            Shape::Exits { telling: None, .. } => warning("BackOff", "Back-off restarting failed container app in pod"),
        };
        assert!(!rules_of(&entry).is_empty(), "{}", symptom.name);
        if let Shape::Exits { before, .. } = symptom.shape {
            assert!(before.iter().all(|line| rules_of(&log(line)).is_empty()), "{}: told too early", symptom.name);
        }
    }
}

#[test]
fn clusters_of_one_node_and_of_many_are_clusters_too() {
    for nodes in [1, 3] {
        for &kind in Kind::ALL {
            let simulation = tell(&Setup { kind, seed: 1, nodes: Some(nodes) }, FEW_LINES);
            assert_eq!(simulation.truth.nodes, nodes);
        }
    }
    let large = tell(&Setup { kind: Kind::Node, seed: 1, nodes: Some(500) }, 10 * FEW_LINES);
    assert_eq!(large.truth.nodes, 500);
    let records: usize = large.partitions.iter().map(|partition| partition.records.len()).sum();
    assert!(records < 20_000, "{records}");
}
