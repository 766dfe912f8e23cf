//! What is fed: clusters in which a node fails the pods that are placed on it, and mends, and then another node fails
//! for as long as the storm lasts; and what must be told of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use faultline::alert::{Alert, Status, Verdict};
use faultline::correlator::Options;
use faultline::decode::{Format, Input};
use faultline::engine::Engine;
use faultline::record::{Expect, Partition, Record};
use faultline::redaction::Redactor;
use faultline::scanner::matcher::Matcher;
use faultline::scanner::{self, Slot};
use faultline::time::Timestamp;

use crate::support::{Put, founding};

pub const LOGS: &str = "container-logs";
pub const EVENTS: &str = "kube-events";
/// Of the logs; the events have one.
pub const LOG_PARTITIONS: usize = 3;
/// The header that names a record's cluster.
pub const CLUSTER_HEADER: &str = "cluster";

const START_MS: i64 = 1_700_000_000_000;
const NODES: usize = 5;
/// Its failure passes. Who hears of it when it is over need not tell of it.
const PASSING: usize = 0;
/// Its failure lasts until the storm is over.
const LASTING: usize = 2;
const WORKLOADS: [&str; 3] = ["cd", "cm", "agent"];
const SECOND: i64 = 1000;
/// When the failures of a cluster begin and end, in seconds since its beginning.
const PASSING_S: (i64, i64) = (120, 160);
const LASTING_S: (i64, i64) = (540, 780);
/// When a cluster's last record was written.
const END_S: i64 = 1080;
const FAILURE: &str = "[LOGMONITOR] ERROR: Failed to start entrypoint process. Error: 216";
const HEALTHY: &str = "GET /healthz 200 in 3 ms";

/// All that is written, ordered by time.
#[derive(Clone, Debug)]
pub struct Story {
    pub storm: Vec<Line>,
    /// What comes in when everything else was read: all is well again.
    pub calm: Vec<Line>,
}

impl Story {
    pub fn of(clusters: usize) -> Self {
        let mut storm: Vec<Line> = (0..clusters).flat_map(|cluster| Cluster::new(cluster).tell()).collect();
        storm.sort_by_key(Line::time_ms);
        let calm = storm.split_off(storm.partition_point(|line| line.time_ms() < START_MS + LASTING_S.1 * SECOND));
        Story { storm, calm }
    }

    pub fn lines(&self) -> impl Iterator<Item = &Line> {
        self.storm.iter().chain(&self.calm)
    }

    /// The positions that match the rule: topic, partition, offset.
    pub fn failures(&self) -> BTreeSet<(String, i32, i64)> {
        let mut ends: BTreeMap<(&str, i32), i64> = BTreeMap::new();
        let mut failures = BTreeSet::new();
        for line in self.lines() {
            let end = ends.entry((line.topic, line.put.partition)).or_default();
            if line.fails {
                failures.insert((line.topic.to_owned(), line.put.partition, *end));
            }
            *end += 1;
        }
        failures
    }
}

/// Whether an incident was over before the storm was.
pub fn passes(dedup_key: &str) -> bool {
    dedup_key.ends_with(&node(PASSING))
}

fn node(number: usize) -> String {
    format!("akswin00000{number}")
}

/// A record and where it goes.
#[derive(Clone, Debug)]
pub struct Line {
    pub topic: &'static str,
    pub cluster: String,
    /// It matches the rule.
    pub fails: bool,
    pub put: Put,
}

impl Line {
    pub fn time_ms(&self) -> i64 {
        self.put.timestamp_ms.unwrap_or(START_MS)
    }
}

/// The records in pieces of `seconds` of event time, as they come in.
pub fn pieces(lines: impl IntoIterator<Item = Line>, seconds: i64) -> Vec<Vec<Line>> {
    let mut pieces: BTreeMap<i64, Vec<Line>> = BTreeMap::new();
    for line in lines {
        pieces.entry(line.time_ms() / (seconds * SECOND)).or_default().push(line);
    }
    pieces.into_values().collect()
}

struct Cluster {
    name: String,
    begins_ms: i64,
    lines: Vec<Line>,
}

impl Cluster {
    fn new(number: usize) -> Self {
        // Out of step with each other, and all of them still fail when the storm is over.
        let begins_ms = START_MS + i64::try_from(number).expect("small") * 17 * SECOND;
        Cluster { name: format!("cluster-{number}"), begins_ms, lines: Vec::new() }
    }

    fn tell(mut self) -> Vec<Line> {
        for node in 0..NODES {
            for workload in WORKLOADS {
                self.talk(workload, &format!("{workload}-7d4b9c6f5d-st{node}zz"), node, (0, END_S), 20, HEALTHY);
            }
        }
        for second in (0..END_S).step_by(10) {
            self.told(second, &format!("pass {second} of the garbage collection"));
        }
        self.fail("b", PASSING, PASSING_S, PASSING_S.1 + 200);
        // The storm ends at the same time for all.
        let over = LASTING_S.1 - (self.begins_ms - START_MS) / SECOND;
        self.fail("c", LASTING, (LASTING_S.0, over), END_S);
        self.lines
    }

    /// New pods come to two nodes: those on the broken one cannot start at first.
    fn fail(&mut self, letter: &str, broken: usize, (from, to): (i64, i64), end: i64) {
        for workload in WORKLOADS {
            let pod = format!("{workload}-6c8f7d9b64-{letter}bad2");
            self.placed(&pod, broken, from);
            self.talk(workload, &pod, broken, (from + 1, to), 8, FAILURE);
            self.talk(workload, &pod, broken, (to, end), 20, HEALTHY);
            let other = broken + 1;
            let pod = format!("{workload}-6c8f7d9b64-{letter}well");
            self.placed(&pod, other, from);
            self.talk(workload, &pod, other, (from + 1, end), 20, HEALTHY);
        }
    }

    fn talk(&mut self, workload: &str, pod: &str, node: usize, (from, to): (i64, i64), every: usize, text: &str) {
        // Not all at the same millisecond.
        let shift = i64::try_from(pod.bytes().map(usize::from).sum::<usize>() % 900).expect("small");
        for second in (from..to).step_by(every) {
            let time_ms = self.begins_ms + second * SECOND + shift;
            let value = founding::line(workload, pod, &self::node(node), text, time_ms);
            let partition = i32::try_from(node % LOG_PARTITIONS).expect("small");
            self.put(LOGS, text == FAILURE, Put { partition, timestamp_ms: Some(time_ms), ..Put::value(value) });
        }
    }

    fn placed(&mut self, pod: &str, node: usize, second: i64) {
        let time_ms = self.begins_ms + second * SECOND;
        let value = founding::scheduled(pod, &self::node(node), time_ms);
        self.put(EVENTS, false, Put { timestamp_ms: Some(time_ms), ..Put::value(value) });
    }

    /// Something that happens all the time and means nothing, so that nobody has to wait for events.
    fn told(&mut self, second: i64, message: &str) {
        let time_ms = self.begins_ms + second * SECOND;
        let time = Timestamp::from_millis(time_ms).to_string();
        let event = serde_json::json!({
            "kind": "Event", "apiVersion": "v1", "type": "Normal", "reason": "Collected", "message": message, "count": 1,
            "metadata": {"name": format!("gc.{second}"), "namespace": "kube-system", "uid": format!("gc-{second}"),
                         "creationTimestamp": time},
            "involvedObject": {"kind": "Job", "namespace": "kube-system", "name": "gc", "uid": "gc"},
            "source": {"component": "gc"}, "firstTimestamp": time, "lastTimestamp": time,
        });
        self.put(EVENTS, false, Put { timestamp_ms: Some(time_ms), ..Put::value(event.to_string()) });
    }

    fn put(&mut self, topic: &'static str, fails: bool, mut put: Put) {
        put.headers.push((CLUSTER_HEADER.to_owned(), self.name.clone().into_bytes()));
        self.lines.push(Line { topic, cluster: self.name.clone(), fails, put });
    }
}

/// By dedup key the statuses that must be told, in order.
pub type Transitions = BTreeMap<String, Vec<Status>>;

/// The statuses of each dedup key; an alert that changes no status is left out.
pub fn transitions<'a>(alerts: impl IntoIterator<Item = &'a Alert>) -> Transitions {
    let mut transitions = Transitions::new();
    for alert in alerts {
        let statuses = transitions.entry(alert.dedup_key.clone()).or_default();
        if statuses.last() != Some(&alert.status) {
            statuses.push(alert.status);
        }
    }
    transitions
}

/// What an engine that nothing disturbs tells of these records, with a report for every `seconds` of event time.
pub fn undisturbed<'l>(lines: impl IntoIterator<Item = &'l Line>, seconds: i64) -> Vec<Alert> {
    let mut by_cluster: BTreeMap<&str, Vec<Line>> = BTreeMap::new();
    for line in lines {
        by_cluster.entry(&line.cluster).or_default().push(line.clone());
    }
    by_cluster.into_iter().flat_map(|(cluster, lines)| play(cluster, lines, seconds)).collect()
}

fn play(cluster: &str, lines: Vec<Line>, seconds: i64) -> Vec<Alert> {
    let scan = scanner::Options {
        cluster: cluster.into(),
        limits: scanner::Limits::default(),
        prefilter: true,
        redactor: Redactor::standard(),
    };
    let mut engine = Engine::new(Matcher::new(founding::rules()), scan, Options::default());
    let mut assign = |topic: &str, partition: usize, expect| -> (Slot, i64) {
        let partition = Partition { topic: Arc::from(topic), partition: i32::try_from(partition).expect("small") };
        (engine.assign(partition, Input::new(Format::Auto, expect)), 0)
    };
    let mut logs: Vec<_> = (0..LOG_PARTITIONS).map(|partition| assign(LOGS, partition, Expect::Logs)).collect();
    let mut events = assign(EVENTS, 0, Expect::Events);
    let mut alerts = Vec::new();
    for piece in pieces(lines, seconds) {
        for line in &piece {
            let (slot, next) = match line.topic {
                LOGS => &mut logs[usize::try_from(line.put.partition).expect("not negative")],
                _ => &mut events,
            };
            let timestamp = Some(Timestamp::from_millis(line.time_ms()));
            let record = Record { offset: *next, timestamp, value: line.put.value.as_deref() };
            engine.scan(*slot, &record).expect("well-formed");
            *next += 1;
        }
        alerts.extend(engine.flush().alerts);
    }
    logs.iter().chain([&events]).for_each(|(slot, _)| engine.end(*slot));
    alerts.extend(engine.flush().alerts);
    alerts
}

#[test]
fn the_story_is_plain() {
    let story = Story::of(14);
    let expected = transitions(&undisturbed(story.lines(), 5));
    assert_eq!(expected.len(), 28, "{expected:#?}");
    let fires_and_ends = [Status::Firing, Status::Resolved];
    assert!(expected.values().all(|statuses| *statuses == fires_and_ends), "{expected:#?}");
    assert_eq!(expected.keys().filter(|key| passes(key)).count(), 14);
    // What lasts is not over before the storm is.
    let storm = transitions(&undisturbed(&story.storm, 5));
    assert!(storm.iter().all(|(key, statuses)| *statuses == fires_and_ends[..1 + usize::from(passes(key))]));
    assert_eq!(storm.len(), 28);
    assert!(undisturbed(story.lines(), 5).iter().all(|alert| alert.verdict == Verdict::Confirmed));
    // How the records were divided among reports does not matter.
    for seconds in [1, 13, 30, 60] {
        assert_eq!(transitions(&undisturbed(story.lines(), seconds)), expected, "reports of {seconds} s");
    }
    assert!(story.failures().len() > 28);
}
