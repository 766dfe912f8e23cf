use std::collections::BTreeMap;

use super::*;
use crate::alert::{Alert, Scope, Status, Verdict};
use crate::record::Partition;
use crate::report::{Change, EventCount, Pod, Presence, Progress, VERSION};

mod backlog;
mod bounds;
mod explained;
mod flap;
mod gaps;
mod noise;
mod rule_change;
mod words;

const RULES: &str = r#"
- id: entrypoint-failed
  title: Entrypoint did not start
  severity: critical
  match: {log: {all: ["Failed to start entrypoint"], regex: 'Error: (?P<code>\d+)'}}
  codes: {code: win32}
  action: kubectl cordon {{node}}
- id: panicked
  title: Program panicked
  severity: error
  match: {log: {all: ["panic: "]}}
- id: program-crashed
  title: Program crashed
  severity: warning
  match: {log: {all: ["crash: "]}}
- id: pod-back-off
  title: Pod restarts again and again
  severity: warning
  match: {event: {reason: [BackOff]}}
- id: node-not-ready
  title: Node is not ready
  severity: critical
  scope: node
  match: {event: {reason: [NodeNotReady]}}
"#;

fn at(seconds: i64) -> Timestamp {
    // A slide boundary, so that tests may count in whole slides.
    Timestamp::from_millis(1_700_000_000_000 + seconds * 1000)
}

/// A cluster that writes one report a second.
struct Cluster {
    correlator: Correlator,
    now: i64,
    offset: i64,
    /// Healthy pods: workload and node by name; each logs every second.
    running: BTreeMap<String, (String, String)>,
    alerts: Vec<Alert>,
    explanations: Vec<Explained>,
    counts: Counts,
}

impl Cluster {
    /// Three workloads with pods on four nodes, watched for long enough to be known.
    fn settled() -> Self {
        let mut cluster = Cluster::new();
        for node in ["n1", "n2", "n3", "n4"] {
            for workload in ["api", "web", "agent"] {
                cluster.start(workload, node);
            }
        }
        cluster.run(120);
        cluster
    }

    fn new() -> Self {
        let rules = RuleSet::parse(&[("test.yaml", RULES)]).expect("the rules are right");
        Cluster {
            correlator: Correlator::new("prod".into(), Arc::new(rules), Options::default()),
            now: 0,
            offset: 0,
            running: BTreeMap::new(),
            alerts: Vec::new(),
            explanations: Vec::new(),
            counts: Counts::default(),
        }
    }

    fn set_rules(&mut self, text: &str) {
        let rules = RuleSet::parse(&[("test.yaml", text)]).expect("the rules are right");
        self.correlator.set_rules(Arc::new(rules));
    }

    fn start(&mut self, workload: &str, node: &str) -> String {
        let pod = format!("{workload}-{node}");
        self.running.insert(pod.clone(), (workload.into(), node.into()));
        pod
    }

    fn pod(name: &str, workload: &str, node: &str) -> Pod {
        Pod {
            namespace: "shop".into(),
            name: name.into(),
            node: Some(node.into()),
            workload: format!("shop/{workload}").into(),
            ..Pod::default()
        }
    }

    fn report(&mut self, fill: impl FnOnce(&mut Report)) -> Report {
        let mut report = Report {
            version: VERSION,
            cluster: Some("prod".into()),
            more: false,
            scanner: "test".into(),
            sequence: 0,
            flushed_at: Timestamp::default(),
            partitions: Vec::new(),
            pods: Vec::new(),
            presence: Vec::new(),
            matches: Vec::new(),
            changes: Vec::new(),
        };
        for (pod, (workload, node)) in &self.running {
            let index = report.pods.len() as u32;
            report.pods.push(Self::pod(pod, workload, node));
            report.presence.push(Presence { pod: index, first: at(self.now), last: at(self.now), records: 1 });
        }
        fill(&mut report);
        for offset in
            report.matches.iter_mut().map(|m| &mut m.offset).chain(report.changes.iter_mut().map(|c| &mut c.offset))
        {
            *offset = self.offset;
            self.offset += 1;
        }
        report.partitions.push(Progress {
            partition: Partition { topic: "logs".into(), partition: 0 },
            first: 0,
            next: self.offset,
            records: 1,
            watermark: Some(at(self.now)),
            ..Progress::default()
        });
        report
    }

    fn apply(&mut self, report: &Report) {
        let outcome = self.correlator.apply(report);
        self.alerts.extend(outcome.alerts);
        self.explanations.extend(outcome.explanations);
        self.counts += outcome.counts;
    }

    fn step(&mut self, fill: impl FnOnce(&mut Report)) {
        let report = self.report(fill);
        self.apply(&report);
        self.now += 1;
    }

    fn run(&mut self, seconds: i64) {
        for _ in 0..seconds {
            self.step(|_| {});
        }
    }

    /// The pod prints a line that matches; it no longer runs well.
    fn fail(&mut self, workload: &str, node: &str, rule: &str, captures: &[(&str, &str)]) {
        let pod = format!("{workload}-{node}");
        self.running.remove(&pod);
        let matched = matched(at(self.now), rule, captures);
        self.step(|report| {
            report.pods.push(Self::pod(&pod, workload, node));
            report.matches.push(Match { pod: Some(report.pods.len() as u32 - 1), ..matched });
        });
    }

    fn fail_entrypoint(&mut self, workload: &str, node: &str) {
        self.fail(workload, node, "entrypoint-failed", &[("code", "216")]);
    }

    fn change_node(&mut self, node: &str, kind: ChangeKind, rule: Option<&str>) {
        let time = at(self.now);
        let change = Change { partition: 0, offset: 0, time, kind, pod: None, node: Some(node.into()) };
        let matched = rule.map(|rule| Match { node: Some(node.into()), ..matched(time, rule, &[]) });
        self.step(|report| {
            report.changes.push(change);
            report.matches.extend(matched);
        });
    }

    fn told(&self) -> Vec<(Status, Scope, &str, Verdict)> {
        self.alerts.iter().map(|alert| (alert.status, alert.scope, alert.suspect.name(), alert.verdict)).collect()
    }
}

fn matched(time: Timestamp, rule: &str, captures: &[(&str, &str)]) -> Match {
    Match {
        partition: 0,
        offset: 0,
        time,
        rule: rule.into(),
        pod: None,
        node: None,
        captures: captures.iter().map(|(name, value)| ((*name).into(), (*value).to_owned())).collect(),
        sample: Some(format!("a line of {rule}")),
        event: None,
    }
}

const FIRING: Status = Status::Firing;
const RESOLVED: Status = Status::Resolved;
use Scope::{Node, Pod as PodScope, Workload};
use Verdict::{Confirmed, Suspected};

#[test]
fn healthy_traffic_says_nothing() {
    let mut cluster = Cluster::settled();
    cluster.run(3600);
    assert_eq!(cluster.alerts, []);
    assert_eq!(cluster.correlator.sizes().pods, 12);
}

#[test]
fn the_second_failing_pod_names_the_node_at_the_next_slide() {
    let mut cluster = Cluster::settled();
    cluster.fail_entrypoint("api", "n2");
    cluster.run(9);
    assert_eq!(cluster.told(), []);
    cluster.fail_entrypoint("agent", "n2");
    let second = cluster.now;
    while cluster.alerts.is_empty() {
        cluster.run(1);
        assert!(cluster.now - second <= 6, "one slide and the report that closes it");
    }
    assert_eq!(cluster.told(), [(FIRING, Node, "n2", Confirmed)]);
    let alert = &cluster.alerts[0];
    assert_eq!(alert.id, format!("prod/node/n2#{}", alert.updated_at.as_millis()));
    assert_eq!(
        alert.summary,
        "Node n2: 2 of 3 pods of 2 workloads fail (entrypoint-failed, Win32 216 ERROR_EXE_MACHINE_TYPE_MISMATCH); \
         0 of 9 comparable pods fail elsewhere"
    );
    let drain = "kubectl drain n2 --ignore-daemonsets --delete-emptydir-data";
    let commands = format!("  kubectl cordon n2\n  {drain}\n  kubectl uncordon n2\n");
    let action = format!("To take n2 out of service, restart it and bring it back:\n{commands}");
    assert_eq!(alert.action.as_deref(), Some(action.as_str()), "what the rule says as well is told once");
    assert_eq!(alert.starts_at, at(120));
    let code = alert.notes.last().unwrap();
    assert!(code.starts_with("Win32 216 ERROR_EXE_MACHINE_TYPE_MISMATCH: The program does not fit"), "{code}");
    assert_eq!(alert.signals[0].captures["code"], BTreeMap::from([("216".to_owned(), 2)]));
}

#[test]
fn one_pod_that_says_it_a_thousand_times_is_one_pod() {
    let mut cluster = Cluster::settled();
    for _ in 0..200 {
        cluster.fail_entrypoint("api", "n2");
    }
    assert_eq!(cluster.told(), []);
    for _ in 0..200 {
        cluster.fail_entrypoint("api", "n2");
    }
    assert_eq!(cluster.told(), [(FIRING, PodScope, "shop/api-n2", Confirmed)], "after the hold, as a pod");
}

#[test]
fn one_workload_that_fails_everywhere_is_named() {
    let mut cluster = Cluster::settled();
    for node in ["n1", "n3", "n4"] {
        cluster.fail("api", node, "panicked", &[]);
    }
    cluster.run(10);
    assert_eq!(cluster.told(), [(FIRING, Workload, "shop/api", Confirmed)]);
}

#[test]
fn what_is_not_known_yet_is_only_suspected() {
    let mut cluster = Cluster::new();
    for node in ["n1", "n2"] {
        for workload in ["api", "web", "agent"] {
            cluster.start(workload, node);
        }
    }
    cluster.run(5);
    cluster.correlator.options.alerts.hold_suspected = Duration::ZERO;
    cluster.fail_entrypoint("api", "n2");
    cluster.fail_entrypoint("agent", "n2");
    cluster.run(10);
    assert_eq!(cluster.told(), [(FIRING, Node, "n2", Suspected)]);
    assert!(cluster.alerts[0].notes[0].contains("not known yet"));
    cluster.run(60);
    assert_eq!(cluster.told()[1..], [(FIRING, Node, "n2", Confirmed)]);
}

#[test]
fn the_watch_began_with_the_oldest_record_whoever_is_heard_first() {
    let mut cluster = Cluster::new();
    let mut ahead = cluster.report(|_| {});
    // Events come seldom: the first one of theirs is of later than the logs that are still to be read.
    let time = at(300);
    let progress = |topic: &str, watermark| {
        let partition = Partition { topic: topic.into(), partition: 0 };
        Progress { partition, first: 0, next: 0, records: 0, watermark, ..Progress::default() }
    };
    ahead.partitions = vec![progress("events", Some(time)), progress("logs", None)];
    let kind = ChangeKind::NodeUncordoned;
    ahead.changes.push(Change { partition: 0, offset: 0, time, kind, pod: None, node: Some("n4".into()) });
    cluster.apply(&ahead);
    for node in ["n1", "n2", "n3", "n4"] {
        for workload in ["api", "web", "agent"] {
            cluster.start(workload, node);
        }
    }
    cluster.run(280);
    cluster.fail_entrypoint("api", "n2");
    cluster.fail_entrypoint("agent", "n2");
    cluster.run(10);
    assert_eq!(cluster.told(), [(FIRING, Node, "n2", Confirmed)]);
}

#[test]
fn a_crash_loop_does_not_flap_and_recovery_resolves() {
    let mut cluster = Cluster::settled();
    // Kubelet waits 10 s, then twice as long each time, up to 5 minutes.
    let mut pause = 10;
    for _ in 0..9 {
        cluster.fail_entrypoint("api", "n2");
        cluster.fail_entrypoint("agent", "n2");
        cluster.run(pause);
        pause = (pause * 2).min(300);
    }
    cluster.fail_entrypoint("api", "n2");
    cluster.fail_entrypoint("agent", "n2");
    cluster.run(20);
    assert_eq!(cluster.told(), [(FIRING, Node, "n2", Confirmed)]);
    cluster.start("api", "n2");
    cluster.start("agent", "n2");
    let restarted = cluster.now;
    while cluster.alerts.len() < 2 {
        cluster.run(1);
        assert!(cluster.now - restarted < 360);
    }
    let resolved = &cluster.alerts[1];
    assert_eq!((resolved.status, resolved.ends_at), (RESOLVED, Some(resolved.updated_at)));
    assert!(resolved.summary.contains("run again"), "{}", resolved.summary);
    assert_eq!(resolved.dedup_key, cluster.alerts[0].dedup_key);
    cluster.run(1200);
    assert_eq!(cluster.alerts.len(), 2, "what is over stays over");
}

#[test]
fn silence_is_not_recovery() {
    let mut cluster = Cluster::settled();
    cluster.fail_entrypoint("api", "n2");
    cluster.fail_entrypoint("agent", "n2");
    cluster.running.retain(|_, (_, node)| node != "n2");
    cluster.run(1800);
    assert_eq!(cluster.told(), [(FIRING, Node, "n2", Confirmed)]);
}

#[test]
fn when_records_come_again_after_a_silence_nothing_is_over_yet() {
    for silence in [600, 7200] {
        let mut cluster = Cluster::settled();
        cluster.fail_entrypoint("api", "n2");
        cluster.fail_entrypoint("agent", "n2");
        cluster.run(30);
        // Nothing comes from anywhere. What goes on running on the node is heard of first.
        cluster.now += silence;
        cluster.run(200);
        assert_eq!(cluster.told(), [(FIRING, Node, "n2", Confirmed)], "after {silence} s");
        cluster.run(300);
        assert_eq!(cluster.told().last(), Some(&(RESOLVED, Node, "n2", Confirmed)), "after {silence} s");
    }
}

#[test]
fn when_the_suspect_speaks_of_nothing_bad_for_long_it_is_over() {
    let mut cluster = Cluster::settled();
    cluster.fail_entrypoint("api", "n2");
    cluster.fail_entrypoint("agent", "n2");
    cluster.run(700);
    assert_eq!(cluster.told().last(), Some(&(RESOLVED, Node, "n2", Confirmed)));
    assert!(cluster.alerts[1].summary.contains("still sends records"), "{}", cluster.alerts[1].summary);
}

#[test]
fn a_pod_alone_is_superseded_by_its_node() {
    let mut cluster = Cluster::settled();
    for _ in 0..7 {
        cluster.fail_entrypoint("api", "n2");
        cluster.run(59);
    }
    assert_eq!(cluster.told(), [(FIRING, PodScope, "shop/api-n2", Confirmed)]);
    // The other began long after: it shares no onset, so it takes two to speak against the node.
    cluster.fail_entrypoint("agent", "n2");
    cluster.fail_entrypoint("web", "n2");
    cluster.run(10);
    assert_eq!(cluster.told()[1..], [(RESOLVED, PodScope, "shop/api-n2", Confirmed), (FIRING, Node, "n2", Confirmed)]);
    assert_eq!(cluster.alerts[1].superseded_by.as_deref(), Some("prod/node/n2"));
}

#[test]
fn a_second_fault_gets_its_own_incident() {
    let mut cluster = Cluster::settled();
    cluster.fail_entrypoint("api", "n2");
    cluster.fail_entrypoint("agent", "n2");
    for node in ["n1", "n3", "n4"] {
        cluster.fail("web", node, "panicked", &[]);
    }
    cluster.run(10);
    let mut told = cluster.told();
    told.sort_by_key(|(_, scope, ..)| *scope);
    assert_eq!(told, [(FIRING, Node, "n2", Confirmed), (FIRING, Workload, "shop/web", Confirmed)]);
}

#[test]
fn pods_that_fail_later_join_the_incident() {
    let mut cluster = Cluster::settled();
    cluster.fail_entrypoint("api", "n2");
    cluster.fail_entrypoint("agent", "n2");
    cluster.run(10);
    cluster.fail_entrypoint("web", "n2");
    cluster.run(200);
    for workload in ["api", "agent", "web"] {
        cluster.fail_entrypoint(workload, "n2");
    }
    cluster.run(10);
    assert_eq!(cluster.told(), [(FIRING, Node, "n2", Confirmed)], "three pods are no doubling of two");
    assert_eq!(cluster.correlator.incidents["prod/node/n2"].members.len(), 3);
}

#[test]
fn a_firing_incident_is_told_again_after_the_interval() {
    let mut cluster = Cluster::settled();
    cluster.correlator.options.alerts.renotify = Duration::from_secs(900);
    for _ in 0..10 {
        cluster.fail_entrypoint("api", "n2");
        cluster.fail_entrypoint("agent", "n2");
        cluster.run(198);
    }
    assert_eq!(cluster.told(), [(FIRING, Node, "n2", Confirmed); 3]);
    let mut ids: Vec<&str> = cluster.alerts.iter().map(|alert| alert.id.as_str()).collect();
    ids.dedup();
    assert_eq!(ids.len(), 3, "{ids:?}");
    assert!(ids.is_sorted());
}

#[test]
fn a_node_that_says_so_itself_is_told_after_the_hold_unless_it_leaves() {
    let mut cluster = Cluster::settled();
    cluster.change_node("n3", ChangeKind::NodeNotReady, Some("node-not-ready"));
    cluster.change_node("n4", ChangeKind::NodeCordoned, None);
    cluster.change_node("n4", ChangeKind::NodeNotReady, Some("node-not-ready"));
    cluster.run(50);
    assert_eq!(cluster.told(), []);
    cluster.run(20);
    assert_eq!(cluster.told(), [(FIRING, Node, "n3", Confirmed)]);
}

#[test]
fn a_node_that_is_ready_again_in_time_is_not_told() {
    let mut cluster = Cluster::settled();
    cluster.change_node("n3", ChangeKind::NodeNotReady, Some("node-not-ready"));
    cluster.run(30);
    cluster.change_node("n3", ChangeKind::NodeReady, None);
    cluster.run(600);
    assert_eq!(cluster.told(), []);
}

#[test]
fn a_report_that_comes_twice_changes_nothing() {
    let mut once = Cluster::settled();
    let mut twice = Cluster::settled();
    for cluster in [&mut once, &mut twice] {
        cluster.fail_entrypoint("api", "n2");
    }
    let report = twice.report(|report| {
        report.pods.push(Cluster::pod("agent-n2", "agent", "n2"));
        let pod = Some(report.pods.len() as u32 - 1);
        report.matches.push(Match { pod, ..matched(at(121), "entrypoint-failed", &[("code", "216")]) });
    });
    once.apply(&report);
    twice.apply(&report);
    twice.apply(&report);
    once.offset = twice.offset;
    (once.now, twice.now) = (122, 122);
    once.run(10);
    twice.run(10);
    assert_eq!(once.alerts, twice.alerts);
    assert_eq!(twice.counts.duplicates, 1);
}

#[test]
fn an_event_counts_by_what_its_count_has_grown() {
    let mut cluster = Cluster::settled();
    // First seen at 7: one is recent. Then a re-listing without news, then two more.
    for count in [7, 7, 9] {
        let event = Some(EventCount { uid: "e1".into(), count });
        let matched = Match { event, ..matched(at(cluster.now), "pod-back-off", &[]) };
        cluster.step(|report| report.matches.push(Match { pod: Some(0), ..matched }));
    }
    assert_eq!(cluster.counts.matches, 3);
    assert_eq!(cluster.correlator.failures.pods["shop/agent-n1"].rules["pod-back-off"].matches, 3);
}

#[test]
fn late_matches_count_while_their_window_lasts() {
    let mut cluster = Cluster::settled();
    cluster.run(600);
    let now = cluster.now;
    for (age, pod) in [(60, 0), (700, 1)] {
        let matched = matched(at(now - age), "entrypoint-failed", &[]);
        cluster.step(|report| report.matches.push(Match { pod: Some(pod), ..matched }));
    }
    assert_eq!((cluster.counts.late, cluster.counts.too_old), (1, 1));
    assert_eq!(cluster.correlator.sizes().failing_pods, 1);
}
