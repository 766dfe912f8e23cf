//! What the correlator tells is what the published schema describes, and the schema is strict enough to notice.

use std::sync::Arc;
use std::time::Duration;

use boon::{Compiler, SchemaIndex, Schemas};
use faultline::alert::{Alert, Scope, Status, Verdict};
use faultline::bundled;
use faultline::correlator::{Alerts, Options};
use faultline::engine::Engine;
use faultline::evaluation::{Bench, watch};
use faultline::ruleset::RuleSet;
use faultline::scanner::matcher::Matcher;
use faultline::scenario::{self, Scenario, ScenarioRecord, Stream};
use faultline::simulator::{Kind, Setup, simulate};
use faultline::time::Timestamp;
use serde_json::{Value, json};

mod play;

const SCHEMA: &str = include_str!("../schemas/faultline.alert.v1.schema.json");
const MINUTE: Duration = Duration::from_secs(60);
const BROKEN: &str = "[LOGMONITOR] ERROR: Failed to start entrypoint process. Error: 216";

/// The published schema, ready to be held against values.
fn schema() -> (Schemas, SchemaIndex) {
    let mut compiler = Compiler::new();
    // Off by default since the draft of 2019.
    compiler.enable_format_assertions();
    let schema: Value = serde_json::from_str(SCHEMA).expect("the schema is JSON");
    let id = schema["$id"].as_str().expect("the schema has an id").to_owned();
    compiler.add_resource(&id, schema).expect("the schema is a resource");
    let mut schemas = Schemas::new();
    let index = compiler.compile(&id, &mut schemas).expect("the schema is a schema");
    (schemas, index)
}

/// What is wrong with a value, if anything.
fn complaint(value: &Value) -> Option<String> {
    let (schemas, index) = schema();
    schemas.validate(value, index).err().map(|error| format!("{error:#}"))
}

#[track_caller]
fn assert_valid(alerts: &[Alert]) {
    for alert in alerts {
        let value = serde_json::to_value(alert).expect("alerts are JSON");
        assert_eq!(complaint(&value), None, "{value:#}");
    }
}

fn start() -> Timestamp {
    Timestamp::parse_rfc3339("2026-11-22T14:00:00Z").expect("a time")
}

fn play(records: &[ScenarioRecord], options: Options) -> Vec<Alert> {
    let alerts = play::play(records, options, 1, |_, _| 0);
    assert_valid(&alerts);
    alerts
}

fn log(at: Timestamp, namespace: &str, pod: &str, node: &str, message: &str) -> ScenarioRecord {
    let kubernetes = json!({"host": node, "namespace_name": namespace, "pod_name": pod, "container_name": "main",
        "container_image": "registry.example.com/main:1"});
    let value = json!({"@timestamp": at.to_string(), "log": message, "kubernetes": kubernetes}).to_string();
    ScenarioRecord { at, stream: Stream::Logs, key: None, value }
}

/// Three workloads on four nodes for some minutes; `fails` tells by workload, node and second which pods are broken.
fn cluster(minutes: u64, fails: impl Fn(&str, &str, u64) -> bool) -> Vec<ScenarioRecord> {
    let mut records = Vec::new();
    for second in (0..minutes * 60).step_by(10) {
        for node in ["n1", "n2", "n3", "n4"] {
            for workload in ["api", "web", "agent"] {
                let message = if fails(workload, node, second) { BROKEN } else { "all is well" };
                let at = start().saturating_add(Duration::from_secs(second));
                records.push(log(at, "shop", &format!("{workload}-{node}"), node, message));
            }
        }
    }
    records
}

/// The failing pods run again, for long enough to be believed.
fn recovery(scenario: &Scenario) -> Vec<ScenarioRecord> {
    let end = scenario.records.last().expect("a scenario has records").at;
    let mut records = Vec::new();
    for second in (0..900).step_by(10) {
        let at = end.saturating_add(Duration::from_secs(second));
        let well = scenario.truth.failing.iter().map(|pod| log(at, &pod.namespace, &pod.pod, &pod.node, "ready"));
        records.extend(well);
    }
    records
}

#[test]
fn the_founding_case_from_its_onset_to_its_end() {
    let scenario = scenario::founding_case(start(), 1, 3 * MINUTE, 6 * MINUTE);
    let records = [scenario.records.clone(), recovery(&scenario)].concat();
    let alerts = play(&records, Options::default());
    let (first, last) = (&alerts[0], &alerts[alerts.len() - 1]);
    assert_eq!((first.scope, first.status, first.verdict), (Scope::Node, Status::Firing, Verdict::Confirmed));
    assert_eq!((last.scope, last.status), (Scope::Node, Status::Resolved));
}

#[test]
fn a_broken_workload() {
    let alerts = play(&scenario::broken_workload(start(), 1, 3 * MINUTE, 5 * MINUTE).records, Options::default());
    assert_eq!(alerts[0].scope, Scope::Workload);
}

#[test]
fn a_pod_alone_and_then_its_node() {
    let fails = |workload: &str, node: &str, second| match workload {
        "api" => node == "n2" && second >= 120,
        _ => node == "n2" && second >= 540,
    };
    let alerts = play(&cluster(11, fails), Options::default());
    assert_eq!((alerts[0].scope, alerts[0].status), (Scope::Pod, Status::Firing));
    let replaced = alerts.iter().find_map(|alert| alert.superseded_by.as_deref());
    assert_eq!(replaced, Some("prod/node/n2"), "{alerts:#?}");
}

#[test]
fn a_node_that_accuses_itself() {
    let mut records = cluster(8, |_, _, _| false);
    let at = start().saturating_add(3 * MINUTE);
    let value = json!({"kind": "Event", "apiVersion": "v1", "metadata": {"namespace": "default", "uid": "e1"},
        "involvedObject": {"kind": "Node", "name": "n3", "uid": "n3"}, "reason": "NodeNotReady", "type": "Normal",
        "message": "Node n3 status is now: NodeNotReady", "source": {"component": "node-controller"}, "count": 1,
        "lastTimestamp": at.to_string()});
    records.push(ScenarioRecord { at, stream: Stream::Events, key: None, value: value.to_string() });
    records.sort_by_key(|record| record.at);
    let alerts = play(&records, Options::default());
    assert_eq!((alerts[0].scope, alerts[0].evidence.failing_pods), (Scope::Node, 0));
}

#[test]
fn what_is_only_suspected() {
    let alerts = Alerts { warm_up: 10 * MINUTE, ..Alerts::default() };
    let alerts =
        play(&cluster(6, |_, node, second| node == "n2" && second >= 120), Options { alerts, ..Options::default() });
    assert_eq!(alerts[0].verdict, Verdict::Suspected);
    assert!(!alerts[0].notes.is_empty());
}

/// What the simulator can do, of which the scenarios above know nothing.
const KINDS: [Kind; 6] =
    [Kind::BlackHole, Kind::Growing, Kind::ClusterDns, Kind::Image, Kind::EventsWithoutNode, Kind::RecoverReschedule];

#[test]
fn whatever_is_told_of_simulated_clusters() {
    let rules = Arc::new(RuleSet::parse(bundled::RULES).expect("the bundled rules are right"));
    let bench = Bench::new(Arc::clone(&rules));
    let (schemas, index) = schema();
    let play = |kind: Kind, seed| {
        let mut engine = Engine::new(Matcher::new(Arc::clone(&rules)), bench.scanner.clone(), bench.correlator);
        let mut alerts = Vec::new();
        let simulation = simulate(&Setup { kind, seed, nodes: Some(4) });
        watch(&simulation, &mut engine, bench.pace, |flushed| alerts.extend(flushed.alerts));
        for alert in &alerts {
            let value = serde_json::to_value(alert).expect("alerts are JSON");
            let wrong = schemas.validate(&value, index).err();
            assert!(wrong.is_none(), "{} of seed {seed}: {:#}\n{value:#}", kind.name(), wrong.expect("it is wrong"));
        }
        assert!(!alerts.is_empty(), "{} of seed {seed} tells nothing", kind.name());
    };
    std::thread::scope(|scope| {
        for kinds in KINDS.chunks(KINDS.len() / 2) {
            scope.spawn(move || kinds.iter().for_each(|&kind| play(kind, 1)));
        }
    });
}

/// The alert of the founding case, with every field.
fn example() -> Value {
    let time = "2026-11-22T14:51:03.000Z";
    json!({
        "schema": "faultline.alert/v1", "id": "prod-weu/node/akswin000001#1", "dedup_key": "prod-weu/node/akswin000001",
        "status": "firing", "severity": "critical", "cluster": "prod-weu", "scope": "node",
        "suspect": {"node": "akswin000001"}, "verdict": "confirmed", "probability": 0.998,
        "summary": "Node akswin000001: 4 of 4 pods of 4 workloads fail", "starts_at": time, "updated_at": time,
        "ends_at": null, "window": {"from": time, "to": time},
        "signals": [{"signature": "windows-entrypoint-failed", "matches": 37, "pods": 4, "first_seen": time,
            "last_seen": time, "captures": {"code": {"216": 37}},
            "meaning": {"216": "ERROR_EXE_MACHINE_TYPE_MISMATCH"}, "sample": BROKEN}],
        "evidence": {"failing_pods": 4, "exposed_pods": 4, "failing_elsewhere": 0, "exposed_elsewhere": 21,
            "workloads": 4},
        "candidates": [
            {"scope": "node", "suspect": {"node": "akswin000001"}, "probability": 0.998},
            {"scope": "workload", "suspect": {"workload": "sitecore/cd"}, "probability": 0.001},
            {"scope": "cluster", "suspect": {}, "probability": 0.001},
        ],
        "failing": [{"namespace": "sitecore", "pod": "cd-7d9f8b6c5d-x7k2p", "workload": "sitecore/cd",
            "node": "akswin000001", "signatures": ["windows-entrypoint-failed", "pod-back-off"]}],
        "action": "kubectl cordon akswin000001\n", "runbook": "https://example.com/runbook", "notes": ["a note"],
    })
}

#[test]
fn the_example_of_the_design_is_valid_and_readable() {
    assert_eq!(complaint(&example()), None);
    let alert: Alert = serde_json::from_value(example()).expect("an alert");
    assert_eq!(serde_json::to_value(&alert).expect("alerts are JSON"), example());
}

/// A change to one place of the example, as a JSON pointer.
fn changed(pointer: &str, value: Value) -> Value {
    let mut alert = example();
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer begins with a slash");
    match alert.pointer_mut(parent).expect("the parent is there") {
        Value::Array(items) => items[key.parse::<usize>().expect("an index")] = value,
        parent => parent[key] = value,
    }
    alert
}

#[test]
fn every_field_that_is_always_written_is_required() {
    let optional = ["action", "runbook", "notes"];
    let names: Vec<String> = example().as_object().expect("an object").keys().cloned().collect();
    for name in names {
        let mut alert = example();
        alert.as_object_mut().expect("an object").remove(&name);
        assert_eq!(complaint(&alert).is_none(), optional.contains(&name.as_str()), "without {name}");
    }
}

#[test]
fn wrong_alerts_are_refused() {
    let wrong = [
        ("/surprise", json!(1)),
        ("/schema", json!("faultline.alert/v2")),
        ("/id", json!("no number")),
        ("/dedup_key", json!("k".repeat(256))),
        ("/status", json!("over")),
        ("/severity", json!("fatal")),
        ("/scope", json!("rack")),
        ("/scope", json!("workload")),
        ("/scope", json!("cluster")),
        ("/suspect", json!({})),
        ("/suspect", json!({"rack": "r1"})),
        ("/suspect", json!({"node": "n1", "workload": "a/b"})),
        ("/suspect", json!({"workload": "sitecore/cd"})),
        ("/verdict", json!("certain")),
        ("/probability", json!(1.5)),
        ("/probability", json!("high")),
        ("/starts_at", json!("yesterday")),
        ("/updated_at", json!(1_795_356_000_000i64)),
        ("/ends_at", json!("2026-11-22T14:51:03.000Z")),
        ("/superseded_by", json!("prod-weu/cluster")),
        ("/status", json!("resolved")),
        ("/window/to", Value::Null),
        ("/evidence/failing_pods", json!(-1)),
        ("/evidence/more", json!(1)),
        ("/signals/0/matches", json!(1.5)),
        ("/signals/0/captures", json!({"code": {"216": "often"}})),
        ("/signals/0/more", json!(1)),
        ("/candidates/1/suspect", json!({"node": "n1"})),
        ("/candidates/2/suspect", json!({"node": "n1"})),
        ("/failing/0/workload", json!("cd")),
        ("/notes", json!([7])),
    ];
    for (pointer, value) in wrong {
        let alert = changed(pointer, value);
        assert!(complaint(&alert).is_some(), "{pointer}: {}", alert.pointer(pointer).unwrap_or(&Value::Null));
    }
}

#[test]
fn right_changes_are_accepted() {
    let mut resolved = changed("/status", json!("resolved"));
    resolved["ends_at"] = json!("2026-11-22T15:00:00.000Z");
    resolved["superseded_by"] = json!("prod-weu/cluster");
    let mut cluster = changed("/scope", json!("cluster"));
    cluster["suspect"] = json!({});
    let others = [
        ("/dedup_key", json!("k".repeat(255))),
        ("/failing/0/node", Value::Null),
        ("/signals/0/sample", Value::Null),
        ("/probability", json!(1)),
    ];
    let others = others.map(|(pointer, value)| changed(pointer, value));
    for alert in [resolved, cluster].iter().chain(&others) {
        assert_eq!(complaint(alert), None);
    }
}
