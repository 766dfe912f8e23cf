//! Outputs of the running service: each in its format, as routes and silences have it, also after a restart.

mod support;

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use faultline::format::{Format, Writer};
use faultline::notifier::{Matcher, Output, Policy, Route};
use faultline::service::{Config, Stages};
use faultline::silences_file::SilencesFile;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use serde_json::Value;
use support::{Got, Put, Running, config, eventually, founding, produce, read_until, topic};

const START_MS: i64 = 1_795_000_000_000;

/// With one topic for each format.
const OUTPUTS: [(&str, Format); 4] = [
    ("alerts", Format::Faultline),
    ("pages", Format::PagerDuty),
    ("chat", Format::Slack),
    ("manager", Format::Alertmanager),
];

fn mock() -> (MockCluster<'static, DefaultProducerContext>, String) {
    let mock = MockCluster::new(1).expect("a mock cluster");
    let own = ["kube-events", "faultline.dead-letter"].into_iter().chain(OUTPUTS.map(|(name, _)| name));
    own.for_each(|name| mock.create_topic(name, 1, 1).expect("a topic"));
    for name in ["container-logs", "faultline.reports", "faultline.state"] {
        mock.create_topic(name, 2, 1).expect("a topic");
    }
    let brokers = mock.bootstrap_servers();
    (mock, brokers)
}

fn configured(brokers: &str, routes: Vec<Route>) -> Config {
    let output = |(name, format): (&str, Format)| Output {
        name: name.into(),
        topic: name.into(),
        writer: Writer { format, routing_key: None },
    };
    let mut config = config(brokers);
    config.outputs = OUTPUTS.iter().map(|(name, _)| topic(name, 1)).collect();
    config.correlator.alerts.remind_every = Some(Duration::from_secs(30));
    config.policy = Policy {
        outputs: OUTPUTS.into_iter().map(output).collect(),
        routes: routes.into(),
        forget_after: Duration::from_secs(120),
        ..Policy::default()
    };
    config
}

fn route(matcher: &str, outputs: &[&str]) -> Route {
    Route {
        matchers: vec![Matcher::parse(matcher).unwrap()],
        outputs: outputs.iter().map(|name| (*name).into()).collect(),
        goes_on: false,
    }
}

fn values(got: &[Got]) -> Vec<Value> {
    got.iter().map(|got| serde_json::from_slice(got.value.as_deref().unwrap()).expect("JSON")).collect()
}

/// All that is in a topic now.
fn all(brokers: &str, topic: &str) -> Vec<Got> {
    static ENDS: AtomicU64 = AtomicU64::new(0);
    let end = format!("end {}", ENDS.fetch_add(1, Ordering::Relaxed)).into_bytes();
    produce(brokers, topic, [Put::value(end.clone())]);
    let mut got = read_until(brokers, topic, 1, |got| got.iter().any(|got| got.value.as_ref() == Some(&end)));
    got.retain(|got| got.headers.contains_key("faultline-alert-id"));
    got
}

#[test]
fn every_output_gets_its_format_and_what_routes_give_it() {
    let (_mock, brokers) = mock();
    produce(&brokers, "kube-events", founding::events(START_MS));
    produce(&brokers, "container-logs", founding::logs(START_MS));
    let routes = vec![route("scope=pod", &["chat"]), route("severity=critical", &["alerts", "pages", "manager"])];
    Running::start(configured(&brokers, routes), founding::rules(), Stages::ALL, true).join().unwrap();

    let alerts = values(&all(&brokers, "alerts"));
    assert_eq!(alerts.len(), 1, "{alerts:#?}");
    let (id, key) = (alerts[0]["id"].as_str().unwrap(), alerts[0]["dedup_key"].as_str().unwrap());
    assert_eq!((&alerts[0]["schema"], &alerts[0]["scope"]), (&"faultline.alert/v1".into(), &"node".into()));

    let pages = all(&brokers, "pages");
    assert_eq!(pages[0].headers["faultline-alert-id"], id);
    assert_eq!(pages[0].key.as_deref(), Some(key.as_bytes()));
    let pages = values(&pages);
    assert_eq!((pages.len(), &pages[0]["event_action"]), (1, &"trigger".into()));
    assert_eq!((&pages[0]["dedup_key"], &pages[0]["payload"]["severity"]), (&key.into(), &"critical".into()));

    let manager = values(&all(&brokers, "manager"));
    assert!(manager.len() >= 3, "a reminder each 30 s of event time: {}", manager.len());
    let ends: Vec<&str> = manager.iter().map(|value| value[0]["endsAt"].as_str().unwrap()).collect();
    assert!(ends.is_sorted() && ends.first() < ends.last(), "{ends:?}");
    assert!(manager.iter().all(|value| value[0]["labels"] == manager[0][0]["labels"]));
    assert_eq!(manager[0][0]["labels"]["node"], founding::NODE);

    assert_eq!(all(&brokers, "chat"), [], "no route leads there");
}

fn metric(running: &Running, name: &str) -> u64 {
    let metrics = running.metrics.encode().unwrap();
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(0, |value| value.parse().unwrap())
}

#[test]
fn what_is_silenced_is_told_once_the_silence_is_taken_out_of_the_file() {
    let (_mock, brokers) = mock();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("silences.yaml");
    let silence = format!("silences: [{{matchers: [node={}], until: 2100-01-01T00:00:00Z}}]\n", founding::NODE);
    fs::write(&path, silence).unwrap();
    let mut config = configured(&brokers, Vec::new());
    // Event time runs on at the clock's pace once nothing comes any more.
    config.correlator.alerts.remind_every = Some(Duration::from_secs(5));
    config.limits.rules_reload_interval = Some(Duration::from_millis(50));
    let names = config.policy.outputs.iter().map(|output| Arc::clone(&output.name)).collect();
    let (silences, file) = SilencesFile::open(&path, names).unwrap();
    config.policy.silences = Arc::new(silences);
    config.silences = Some(file);
    let running = Running::start(config, founding::rules(), Stages::ALL, false);
    produce(&brokers, "kube-events", founding::events(START_MS));
    produce(&brokers, "container-logs", founding::logs(START_MS));
    eventually("it is held back", || (metric(&running, "faultline_alerts_silenced_total") >= 4).then_some(()));
    assert_eq!(metric(&running, "faultline_silences"), 1);

    fs::write(&path, "silences: [oops]\n").unwrap();
    eventually("it is said that this is no silence", || {
        (metric(&running, "faultline_silences_reload_failed_total") > 0).then_some(())
    });
    assert_eq!(metric(&running, "faultline_silences"), 1, "the one before stays in force");
    fs::write(&path, "silences: []\n").unwrap();
    let alerts = values(&read_until(&brokers, "alerts", 1, |got| !got.is_empty()));
    assert_eq!((&alerts[0]["status"], &alerts[0]["scope"]), (&"firing".into(), &"node".into()));
    assert_eq!(metric(&running, "faultline_silences"), 0);
    running.stop().unwrap();
    assert_eq!(all(&brokers, "pages").len(), 1, "told once");
}

/// A pod that goes on failing on the node is told of with the node, also by an instance that takes over.
#[test]
fn what_is_inhibited_stays_so_after_a_restart() {
    let (_mock, brokers) = mock();
    let run = || Running::start(configured(&brokers, Vec::new()), founding::rules(), Stages::ALL, true).join().unwrap();
    produce(&brokers, "kube-events", founding::events(START_MS));
    produce(&brokers, "container-logs", founding::logs(START_MS));
    run();
    let before = all(&brokers, "alerts").len();
    assert_eq!(before, 1);
    // Longer than a pod alone is held.
    let text = "[LOGMONITOR] ERROR: Failed to start entrypoint process. Error: 216";
    let fails = |second: i64| {
        let time_ms = START_MS + second * 1000;
        let line = |pod, node, text| founding::line("cd", pod, node, text, time_ms);
        let put = |value| Put { timestamp_ms: Some(time_ms), ..Put::value(value) };
        [
            put(line("cd-7d4b9c6f5d-bcdfg", founding::NODE, text)),
            put(line("cd-7d4b9c6f5d-z2456", "akswin000000", "GET / 200")),
        ]
    };
    produce(&brokers, "container-logs", (250..900).step_by(25).flat_map(fails));
    run();
    let alerts = values(&all(&brokers, "alerts"));
    let scopes: Vec<&str> = alerts.iter().map(|alert| alert["scope"].as_str().unwrap()).collect();
    assert!(scopes.iter().all(|scope| *scope == "node"), "{scopes:?}");
}
