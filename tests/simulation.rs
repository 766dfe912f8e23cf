//! The correlator under seeded simulation: two scanners whose reports and heartbeats come late, out of step and twice, over random
//! clusters with a known fault. A failing seed is printed and reproduces.

use std::collections::BTreeSet;
use std::sync::Arc;

use faultline::alert::{Alert, Status, Suspect, Verdict};
use faultline::correlator::{Correlator, Options};
use faultline::record::Partition;
use faultline::report::{EventCount, Match, Pod, Presence, Progress, Report, VERSION};
use faultline::ruleset::RuleSet;
use faultline::signature::Severity;
use faultline::time::Timestamp;

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

/// splitmix64: <https://prng.di.unimi.it/splitmix64.c>
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// A cluster, and the model of what faultline must say about it.
struct World {
    pods: Vec<Pod>,
    /// `None`: nothing is wrong.
    suspect: Option<Suspect>,
    broken: BTreeSet<usize>,
}

const ONSET: i64 = 180;
const END: i64 = 420;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + seconds * 1000)
}

/// A cluster of random size with a random fault: every pod of one node, or every pod of one workload.
fn world(random: &mut Random) -> World {
    let (nodes, workloads) = (3 + random.below(8), 4 + random.below(8));
    let mut pods = Vec::new();
    for node in 0..nodes {
        for workload in 0..workloads {
            // The first two run everywhere, the others on most nodes.
            if workload < 2 || random.chance(70) {
                pods.push(Pod {
                    namespace: "sim".into(),
                    name: format!("w{workload}-n{node}").into(),
                    node: Some(format!("n{node}").into()),
                    workload: format!("sim/w{workload}").into(),
                    ..Pod::default()
                });
            }
        }
    }
    let suspect = match random.below(3) {
        0 => None,
        1 => Some(Suspect::Node(format!("n{}", random.below(nodes)).into())),
        _ => Some(Suspect::Workload(format!("sim/w{}", random.below(2)).into())),
    };
    let is_broken = |pod: &Pod| match &suspect {
        Some(Suspect::Node(node)) => pod.node.as_ref() == Some(node),
        Some(Suspect::Workload(workload)) => pod.workload == *workload,
        _ => false,
    };
    let broken = pods.iter().enumerate().filter(|(_, pod)| is_broken(pod)).map(|(at, _)| at).collect();
    World { pods, suspect, broken }
}

/// One scanner with one partition: logs, or events.
struct Scanner {
    topic: &'static str,
    offset: i64,
    reports: Vec<Report>,
}

impl Scanner {
    fn new(topic: &'static str) -> Self {
        Scanner { topic, offset: 0, reports: Vec::new() }
    }

    fn flush(&mut self, now: i64, pods: &[Pod], presence: Vec<Presence>, mut matches: Vec<Match>) {
        let first = self.offset;
        for matched in &mut matches {
            matched.offset = self.offset;
            self.offset += 1;
        }
        // Chatter takes offsets too.
        self.offset += presence.len() as i64;
        let report = Report {
            version: VERSION,
            cluster: Some("sim".into()),
            more: true,
            scanner: self.topic.into(),
            sequence: self.reports.len() as u64,
            flushed_at: Timestamp::default(),
            partitions: vec![Progress {
                partition: Partition { topic: self.topic.into(), partition: 0 },
                first,
                next: self.offset,
                records: (self.offset - first) as u64,
                watermark: Some(at(now)),
                idle: first == self.offset,
                ended: now == END,
                ..Progress::default()
            }],
            pods: pods.to_vec(),
            presence,
            matches,
            changes: Vec::new(),
        };
        // What brought nothing of the cluster is a heartbeat alone.
        let heartbeat = report.heartbeat();
        self.reports.extend((first < self.offset).then_some(report).into_iter().chain([heartbeat]));
    }
}

/// What both scanners report about the world, second by second.
fn scan(world: &World, random: &mut Random) -> [Scanner; 2] {
    let (mut logs, mut events) = (Scanner::new("logs"), Scanner::new("events"));
    let mut counts = vec![0u32; world.pods.len()];
    // Each broken pod fails at its own pace, the first time within half a minute.
    let starts: Vec<i64> = world.pods.iter().map(|_| ONSET + random.below(30) as i64).collect();
    for now in 0..=END {
        let (mut presence, mut lines, mut back_offs) = (Vec::new(), Vec::new(), Vec::new());
        for index in 0..world.pods.len() {
            let fails = world.broken.contains(&index) && now >= starts[index];
            if fails && (now - starts[index]) % 40 == 0 {
                // A line may be a little older than the watermark.
                lines.push(matched(index, at(now - random.below(4) as i64), "crashed", None));
                counts[index] += 1;
                let count = EventCount { uid: format!("e{index}").into(), count: counts[index] };
                back_offs.push(matched(index, at(now), "pod-back-off", Some(count)));
            } else if !fails && random.chance(30) {
                presence.push(Presence { pod: index as u32, first: at(now), last: at(now), records: 1 });
            }
        }
        logs.flush(now, &world.pods, presence, lines);
        events.flush(now, &world.pods, Vec::new(), back_offs);
    }
    [logs, events]
}

fn matched(pod: usize, time: Timestamp, rule: &str, event: Option<EventCount>) -> Match {
    Match {
        partition: 0,
        offset: 0,
        time,
        rule: rule.into(),
        pod: Some(pod as u32),
        node: None,
        captures: Default::default(),
        sample: None,
        event,
    }
}

/// One order in which a reports topic may hold the reports: each scanner's in order, the two out of step by some
/// seconds, and with `again` some of them written twice, as after a crash of their scanner.
fn interleave(scanners: &[Scanner; 2], random: &mut Random, again: bool) -> Vec<Report> {
    let mut topic = Vec::new();
    let mut next = [0usize; 2];
    while (0..2).any(|of| next[of] < scanners[of].reports.len()) {
        let ahead = next[0] as i64 - next[1] as i64;
        let mut of = if ahead.abs() > 10 { usize::from(ahead > 0) } else { usize::from(random.chance(50)) };
        if next[of] >= scanners[of].reports.len() {
            of = 1 - of;
        }
        topic.push(scanners[of].reports[next[of]].clone());
        next[of] += 1;
        if again && random.chance(5) {
            let from = next[of].saturating_sub(1 + random.below(6) as usize);
            topic.extend_from_slice(&scanners[of].reports[from..next[of]]);
        }
    }
    topic
}

fn correlate(topic: &[Report]) -> Vec<Alert> {
    let rules = Arc::new(RuleSet::parse(&[("sim.yaml", RULES)]).expect("the rules are right"));
    let mut correlator = Correlator::new("sim".into(), rules, Options::default());
    topic.iter().flat_map(|report| correlator.apply(report).alerts).collect()
}

/// Without the word that an incident has become urgent, which receivers must have at once.
fn told(alerts: &[Alert]) -> Vec<(Status, Verdict, Suspect)> {
    let is_urgent = |alert: &Alert| alert.severity >= Severity::Error;
    let has_become_so = |index: usize, alert: &Alert| {
        let before = index.checked_sub(1).and_then(|before| alerts.get(before));
        before.is_some_and(|before| before.dedup_key == alert.dedup_key && is_urgent(alert) && !is_urgent(before))
    };
    let others = alerts.iter().enumerate().filter(|(index, alert)| !has_become_so(*index, alert));
    others.map(|(_, alert)| alert).map(|alert| (alert.status, alert.verdict, alert.suspect.clone())).collect()
}

fn check(seed: u64, again: bool) {
    let mut random = Random(seed);
    let world = world(&mut random);
    let scanners = scan(&world, &mut random);
    let topic = interleave(&scanners, &mut random, again);
    let alerts = correlate(&topic);
    let expected: Vec<_> = world.suspect.iter().map(|s| (Status::Firing, Verdict::Confirmed, s.clone())).collect();
    assert_eq!(told(&alerts), expected, "seed {seed}, {} pods, {} broken", world.pods.len(), world.broken.len());
    if let Some(first) = alerts.first() {
        let seconds = first.updated_at.since(at(ONSET)).as_secs();
        assert!(seconds <= 60, "seed {seed}: told {seconds} s after the onset");
    }
    for alert in &alerts {
        assert!(alert.failing.iter().all(|pod| world.broken.iter().any(|&at| world.pods[at].name == pod.pod)));
    }
    assert_eq!(correlate(&topic), alerts, "seed {seed}: the same reports, the same alerts");
}

#[test]
fn names_what_is_broken_and_nothing_else() {
    (0..60).for_each(|seed| check(seed, false));
}

#[test]
fn reports_that_come_twice_change_nothing() {
    (1000..1040).for_each(|seed| check(seed, true));
}
