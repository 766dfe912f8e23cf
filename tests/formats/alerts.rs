//! Alerts to be written: a plain one, the worst there can be, and any with given texts in them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use faultline::alert::{
    Alert, Candidate, Evidence, FailingPod, SCHEMA, Scope, Signal, Status, Suspect, Verdict, Window,
};
use faultline::bundled;
use faultline::engine::Engine;
use faultline::evaluation::{Bench, watch};
use faultline::ruleset::RuleSet;
use faultline::scanner::matcher::Matcher;
use faultline::signature::Severity;
use faultline::simulator::{Kind, Setup, simulate};
use faultline::time::Timestamp;

pub const MINUTE: Duration = Duration::from_secs(60);

pub fn start() -> Timestamp {
    Timestamp::parse_rfc3339("2026-11-22T14:51:03Z").expect("a time")
}

/// The founding case, four pods on one node.
pub fn example() -> Alert {
    with_texts(&mut |what| {
        match what {
            "cluster" => "prod-weu",
            "suspect" => "akswin000001",
            "summary" => {
                "Node akswin000001: 4 of 4 pods of 4 workloads fail (windows-entrypoint-failed); 0 of 21 elsewhere"
            }
            "signature" => "windows-entrypoint-failed",
            "capture" => "code",
            "value" => "216",
            "meaning" => "ERROR_EXE_MACHINE_TYPE_MISMATCH",
            "sample" => "[LOGMONITOR] ERROR: Failed to start entrypoint process. Error: 216",
            "other" => "sitecore/cd",
            "namespace" => "sitecore",
            "pod" => "cd-7d9f8b6c5d-x7k2p",
            "action" => "To take it out of service:\n  kubectl cordon akswin000001\n",
            "runbook" => "https://wiki.example.com/runbook?of=216&node=win",
            "note" => "Win32 216: the image is for another machine type",
            _ => panic!("{what} is no text of an alert"),
        }
        .to_owned()
    })
}

/// The plain alert with other texts; `text` is asked for each by its name.
pub fn with_texts(text: &mut dyn FnMut(&str) -> String) -> Alert {
    let (cluster, suspect) = (text("cluster"), text("suspect"));
    let dedup_key: String = format!("{cluster}/node/{suspect}").chars().take(255).collect();
    let suspect = Suspect::Node(suspect.into());
    let (from, to) = (start(), start().saturating_add(5 * MINUTE));
    let signature: Arc<str> = text("signature").into();
    let namespace = text("namespace");
    let value = text("value");
    Alert {
        schema: SCHEMA.to_owned(),
        id: format!("{dedup_key}#{}", to.as_millis()),
        dedup_key,
        status: Status::Firing,
        severity: Severity::Critical,
        cluster: cluster.into(),
        scope: Scope::Node,
        suspect: suspect.clone(),
        verdict: Verdict::Confirmed,
        probability: 0.998,
        summary: text("summary"),
        starts_at: from,
        updated_at: to,
        ends_at: None,
        window: Window { from, to },
        signals: vec![Signal {
            signature: Arc::clone(&signature),
            matches: 37,
            pods: 4,
            first_seen: from,
            last_seen: to,
            captures: BTreeMap::from([(text("capture").into(), BTreeMap::from([(value.clone(), 37)]))]),
            meaning: BTreeMap::from([(value, text("meaning"))]),
            sample: Some(text("sample")),
        }],
        evidence: Evidence {
            failing_pods: 4,
            exposed_pods: 4,
            failing_elsewhere: 0,
            exposed_elsewhere: 21,
            workloads: 4,
        },
        candidates: vec![
            Candidate { scope: Scope::Node, suspect: suspect.clone(), probability: 0.998 },
            Candidate { scope: Scope::Workload, suspect: Suspect::Workload(text("other").into()), probability: 0.001 },
        ],
        failing: vec![FailingPod {
            workload: format!("{namespace}/w").into(),
            namespace: namespace.into(),
            pod: text("pod").into(),
            node: Some(suspect.name().into()),
            signatures: vec![signature],
        }],
        action: Some(text("action")),
        runbook: Some(text("runbook")),
        superseded_by: None,
        flapping: false,
        notes: vec![text("note")],
    }
}

/// As much of everything as there can be, and more, all of one character.
pub fn worst(character: char) -> Alert {
    let text = |length: usize| character.to_string().repeat(length);
    let name = |number: usize| -> Arc<str> { format!("{}{number:05}", text(248)).into() };
    let mut alert = with_texts(&mut |what| match what {
        "sample" => text(10 * 1024),
        "summary" | "action" => text(100_000),
        "runbook" => "https://wiki/".to_owned() + &text(400),
        "note" => text(5000),
        _ => text(253),
    });
    let signal = alert.signals[0].clone();
    let values: BTreeMap<String, u64> =
        (0..1000u64).map(|number| (name(number as usize).to_string(), number)).collect();
    let meaning = values.keys().map(|value| (value.clone(), text(253))).collect();
    let captures = (0..12).map(|number| (name(number), values.clone())).collect();
    let first = Signal { captures, meaning, ..signal.clone() };
    let others = (0..39).map(|number| Signal { signature: name(number), ..signal.clone() });
    alert.signals = std::iter::once(first).chain(others).collect();
    let pod = alert.failing[0].clone();
    alert.failing = (0..5000)
        .map(|number| FailingPod { pod: name(number), signatures: (0..5).map(name).collect(), ..pod.clone() })
        .collect();
    alert.evidence = Evidence {
        failing_pods: u64::MAX,
        exposed_pods: u64::MAX,
        failing_elsewhere: u64::MAX,
        exposed_elsewhere: u64::MAX,
        workloads: u64::MAX,
    };
    let other = |number| Candidate { scope: Scope::Image, suspect: Suspect::Image(name(number)), probability: 0.001 };
    alert.candidates.extend((0..50).map(other));
    alert.notes = vec![alert.notes[0].clone(); 50];
    alert
}

/// How it ended, after so many minutes.
pub fn ended(alert: &Alert, minutes: u32) -> Alert {
    let at = alert.starts_at.saturating_add(minutes * MINUTE);
    Alert {
        id: format!("{}#{}", alert.dedup_key, at.as_millis()),
        status: Status::Resolved,
        updated_at: at,
        ends_at: Some(at),
        ..alert.clone()
    }
}

/// The pod of the example alone, before the node is known.
pub fn narrower() -> Alert {
    let alert = example();
    Alert {
        id: "prod-weu/pod/sitecore/cd#1".to_owned(),
        dedup_key: "prod-weu/pod/sitecore/cd".to_owned(),
        scope: Scope::Pod,
        suspect: Suspect::Pod("sitecore/cd".into()),
        ..alert
    }
}

/// One alert for each scope.
pub fn of_all_scopes() -> Vec<Alert> {
    let suspects = [
        Suspect::Pod("sitecore/cd-1".into()),
        Suspect::Node("n1".into()),
        Suspect::Workload("sitecore/cd".into()),
        Suspect::Image("registry.example.com/a/b@sha256:0123".into()),
        Suspect::NodePool("win".into()),
        Suspect::Cluster,
    ];
    suspects.map(|suspect| Alert { scope: suspect.scope(), suspect, ..example() }).to_vec()
}

/// What is told of a small simulated cluster.
pub fn simulated(kind: Kind) -> Vec<Alert> {
    let rules = Arc::new(RuleSet::parse(bundled::RULES).expect("the bundled rules are right"));
    let bench = Bench::new(Arc::clone(&rules));
    let mut engine = Engine::new(Matcher::new(rules), bench.scanner.clone(), bench.correlator);
    let simulation = simulate(&Setup { kind, seed: 1, nodes: Some(4) });
    let mut alerts = Vec::new();
    watch(&simulation, &mut engine, bench.pace, |flushed| alerts.extend(flushed.alerts));
    alerts
}
