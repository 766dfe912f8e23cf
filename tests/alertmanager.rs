//! `faultline bridge` and a real Alertmanager: alerts fire, show, are grouped and notified, and are over.
//!
//! FAULTLINE_TEST_ALERTMANAGER names its binary (see .ci/run); without it these tests are skipped.

mod support;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use faultline::alert::{SCHEMA, Status};
use faultline::bridge::{self, Config, PostOptions};
use faultline::courier::{Options, Target};
use faultline::format::{Format, Writer};
use faultline::service::{Shutdown, Stages};
use faultline::signature::Severity;
use faultline::time::Timestamp;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use serde_json::{Value, json};
use support::founding;
use support::receiver::{Receiver, Reply};
use support::{Put, committed, eventually, free_port, get, produce, read_until, topic};
use tempfile::TempDir;

/// An Alertmanager that notifies the test, killed on drop.
struct Alertmanager {
    child: Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl Alertmanager {
    /// `None`, with a message, where no binary was given.
    fn start(notified: &Receiver) -> Option<Self> {
        let Some(binary) = std::env::var_os("FAULTLINE_TEST_ALERTMANAGER").map(PathBuf::from) else {
            eprintln!("skipped: FAULTLINE_TEST_ALERTMANAGER does not name an Alertmanager binary (see .ci/run)");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let config = format!(
            "route: {{receiver: test, group_by: [cluster], group_wait: 4s, group_interval: 1s, repeat_interval: 1h}}\n\
             receivers:\n- name: test\n  webhook_configs: [{{url: '{}', send_resolved: true}}]\n",
            notified.url("/notified")
        );
        let file = folder.path().join("config.yml");
        std::fs::write(&file, config).unwrap();
        let address: SocketAddr = format!("127.0.0.1:{}", free_port()).parse().unwrap();
        // Where it was unpacked without being installed it looks for its templates from there.
        let root = binary.ancestors().nth(3).filter(|root| root.join("usr/share").is_dir()).unwrap_or(folder.path());
        let child = Command::new(&binary)
            .current_dir(root)
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.path={}", folder.path().display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--cluster.listen-address=")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{} does not start: {error}", binary.display()));
        let alertmanager = Alertmanager { child, address, _folder: folder };
        eventually("Alertmanager is ready", || (get(address, "/-/ready")?.0 == 200).then_some(()));
        Some(alertmanager)
    }

    /// What its API shows.
    fn alerts(&self) -> Vec<Value> {
        self.ask("/api/v2/alerts")
    }

    /// The nodes of the alerts that it shows.
    fn nodes(&self) -> Vec<String> {
        let mut nodes: Vec<String> =
            self.alerts().iter().map(|alert| alert["labels"]["node"].as_str().unwrap().to_owned()).collect();
        nodes.sort();
        nodes
    }

    fn ask(&self, path: &str) -> Vec<Value> {
        let (status, body) = get(self.address, path).expect("an answer");
        assert_eq!(status, 200, "{body}");
        // Go's server sends longer answers in chunks: only the array counts.
        let (start, end) = (body.find('[').unwrap(), body.rfind(']').unwrap());
        serde_json::from_str(&body[start..=end]).unwrap_or_else(|error| panic!("{error}: {body}"))
    }
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

type Mock = MockCluster<'static, DefaultProducerContext>;

fn mock() -> (Mock, String) {
    let mock = MockCluster::new(1).expect("a mock cluster");
    mock.create_topic("alerts", 1, 1).expect("a topic");
    mock.create_topic("faultline.dead-letter", 1, 1).expect("a topic");
    let brokers = mock.bootstrap_servers();
    (mock, brokers)
}

fn config(brokers: &str, alertmanager: SocketAddr) -> Config {
    let target = Target::Alertmanager;
    Config {
        connection: support::config(brokers).connection,
        group_id: "bridge".to_owned(),
        topic: "alerts".to_owned(),
        dead_letter: topic("faultline.dead-letter", 1),
        dead_letter_bytes: 100_000,
        courier: Options::new(target, Writer { format: Format::Alertmanager, routing_key: None }),
        post: PostOptions {
            target,
            url: format!("http://{alertmanager}"),
            token: None,
            routing_key: None,
            authorities: None,
            timeout: Duration::from_secs(10),
        },
        history: 1000,
        shutdown_timeout: Duration::from_secs(10),
        stuck_after: Duration::from_secs(60),
        http_listen: None,
        http_required: true,
        signals: false,
        seed: 1,
    }
}

/// Runs a bridge meanwhile.
fn bridged(brokers: &str, alertmanager: SocketAddr, story: impl FnOnce()) {
    let shutdown = Shutdown::default();
    let bridge = std::thread::spawn({
        let (config, shutdown) = (config(brokers, alertmanager), shutdown.clone());
        move || bridge::run(config, shutdown)
    });
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(story));
    shutdown.trigger();
    bridge.join().expect("the bridge does not panic").unwrap();
    outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

fn settled(brokers: &str, offset: i64) {
    eventually(&format!("offset {offset} is committed"), || {
        (committed(brokers, "bridge", "alerts", 0) == Some(offset)).then_some(())
    });
}

/// So many seconds from now.
fn time(seconds: i64) -> Timestamp {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp::from_millis(i64::try_from(now.as_millis()).unwrap() + seconds * 1000)
}

/// What the test was notified of: status, and the nodes of the alerts.
fn notifications(receiver: &Receiver) -> Vec<(String, Vec<String>)> {
    let of = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let requests = receiver.requests();
    let read = requests.iter().map(|request| {
        let body = request.json();
        let alerts = body["alerts"].as_array().unwrap();
        let mut nodes: Vec<String> =
            alerts.iter().map(|alert| format!("{} {}", of(&alert["labels"]["node"]), of(&alert["status"]))).collect();
        nodes.sort();
        (of(&body["status"]), nodes)
    });
    read.collect()
}

/// Waits for a notification. One alert of a group may come before the others: Alertmanager does not wait with what began
/// longer ago than its group_wait.
fn is_told(receiver: &Receiver, status: &str, nodes: &[&str]) {
    let expected = (status.to_owned(), nodes.iter().map(|node| (*node).to_owned()).collect::<Vec<_>>());
    eventually(&format!("{expected:?}"), || notifications(receiver).contains(&expected).then_some(()));
}

/// As an output of format alertmanager writes it.
fn own(node: &str, ends_at: Timestamp) -> Put {
    let alert = json!([{
        "labels": {"alertname": "FaultlineNode", "cluster": "prod", "scope": "node", "severity": "critical", "node": node},
        "annotations": {"summary": format!("Node {node}: 4 of 4 pods fail")},
        "startsAt": time(-60).to_string(),
        "endsAt": ends_at.to_string(),
    }]);
    Put { key: Some(node.as_bytes().to_vec()), ..Put::value(alert.to_string()) }
}

#[test]
fn alerts_in_its_own_format_fire_are_grouped_and_end() {
    let notified = Receiver::start(Reply::status(200, ""), []);
    let Some(alertmanager) = Alertmanager::start(&notified) else { return };
    let (_mock, brokers) = mock();
    produce(&brokers, "alerts", [own("node-a", time(3600)), own("node-b", time(3600))]);
    bridged(&brokers, alertmanager.address, || {
        settled(&brokers, 2);
        assert_eq!(alertmanager.nodes(), ["node-a", "node-b"]);
        let groups = alertmanager.ask("/api/v2/alerts/groups");
        assert_eq!((groups.len(), groups[0]["alerts"].as_array().unwrap().len()), (1, 2), "{groups:?}");
        assert_eq!(groups[0]["labels"], json!({"cluster": "prod"}));
        is_told(&notified, "firing", &["node-a firing", "node-b firing"]);

        produce(&brokers, "alerts", [own("node-a", time(-1))]);
        is_told(&notified, "firing", &["node-a resolved", "node-b firing"]);
        assert_eq!(alertmanager.nodes(), ["node-b"]);

        produce(&brokers, "alerts", [own("node-b", time(-1))]);
        is_told(&notified, "resolved", &["node-b resolved"]);
        assert!(alertmanager.nodes().is_empty());
        settled(&brokers, 4);
    });
}

#[test]
fn what_it_refuses_is_set_aside_and_the_rest_of_the_request_is_not() {
    let notified = Receiver::start(Reply::status(200, ""), []);
    let Some(alertmanager) = Alertmanager::start(&notified) else { return };
    let (_mock, brokers) = mock();
    let bad = Put { key: Some(b"bad".to_vec()), ..Put::value(r#"[{"labels":{"no label name":"x"}}]"#) };
    produce(&brokers, "alerts", [own("node-a", time(3600)), bad, own("node-b", time(3600))]);
    bridged(&brokers, alertmanager.address, || {
        settled(&brokers, 3);
        assert_eq!(alertmanager.nodes(), ["node-a", "node-b"]);
        let dead = read_until(&brokers, "faultline.dead-letter", 1, |got| !got.is_empty());
        assert_eq!((dead.len(), dead[0].headers[bridge::HEADER_STATUS].as_str()), (1, "400"));
        assert_eq!(dead[0].key.as_deref(), Some(&b"bad"[..]));
    });
}

/// As an output of format faultline writes it.
fn faultlines(node: &str, number: u32, status: Status, severity: Severity) -> Put {
    let (starts_at, now) = (time(-60).to_string(), time(0).to_string());
    let key = format!("prod/node/{node}");
    let alert = json!({
        "schema": SCHEMA,
        "id": format!("{key}#{number}"),
        "dedup_key": key,
        "status": status,
        "severity": severity,
        "cluster": "prod",
        "scope": "node",
        "suspect": {"node": node},
        "verdict": "confirmed",
        "probability": 0.99,
        "summary": format!("Node {node}: 4 of 4 pods of 4 workloads fail"),
        "starts_at": starts_at,
        "updated_at": now,
        "ends_at": (status == Status::Resolved).then_some(&now),
        "window": {"from": starts_at, "to": now},
        "signals": [],
        "evidence": {"failing_pods": 4, "exposed_pods": 4, "failing_elsewhere": 0, "exposed_elsewhere": 9, "workloads": 4},
        "candidates": [],
        "failing": [],
    });
    Put { key: Some(key.into_bytes()), ..Put::value(alert.to_string()) }
}

#[test]
fn faultlines_own_alerts_fire_change_and_end() {
    let notified = Receiver::start(Reply::status(200, ""), []);
    let Some(alertmanager) = Alertmanager::start(&notified) else { return };
    let (_mock, brokers) = mock();
    bridged(&brokers, alertmanager.address, || {
        produce(&brokers, "alerts", [faultlines("node-a", 1, Status::Firing, Severity::Warning)]);
        is_told(&notified, "firing", &["node-a firing"]);
        let shown = alertmanager.alerts();
        assert_eq!((shown.len(), &shown[0]["labels"]["severity"]), (1, &json!("warning")));
        let ends_at = Timestamp::parse_rfc3339(shown[0]["endsAt"].as_str().unwrap()).unwrap();
        assert!(ends_at.since(time(0)) > Duration::from_secs(4 * 3600), "longer than alerts are repeated: {ends_at}");

        produce(&brokers, "alerts", [faultlines("node-a", 2, Status::Firing, Severity::Critical)]);
        settled(&brokers, 2);
        eventually("only the new severity is left", || {
            let shown = alertmanager.alerts();
            (shown.len() == 1 && shown[0]["labels"]["severity"] == "critical").then_some(())
        });
        produce(&brokers, "alerts", [faultlines("node-a", 3, Status::Resolved, Severity::Critical)]);
        settled(&brokers, 3);
        eventually("it is over", || alertmanager.nodes().is_empty().then_some(()));
        eventually("the end is notified", || {
            let last = notifications(&notified).pop()?;
            (last.0 == "resolved").then_some(())
        });
    });
}

/// The whole way: log lines in Kafka, the service, an output in Alertmanager's format, the bridge.
#[test]
fn log_lines_become_an_alert_that_stays_while_it_is_reminded_of() {
    let notified = Receiver::start(Reply::status(200, ""), []);
    let Some(alertmanager) = Alertmanager::start(&notified) else { return };
    let (mock, brokers) = mock();
    mock.create_topic("kube-events", 1, 1).expect("a topic");
    for name in ["container-logs", "faultline.reports", "faultline.state"] {
        mock.create_topic(name, 2, 1).expect("a topic");
    }
    let mut service = support::config(&brokers);
    service.policy.outputs[0].writer.format = Format::Alertmanager;
    service.policy.forget_after = Duration::from_secs(240);
    // Event time runs on at the clock's pace once nothing comes any more.
    service.correlator.alerts.remind_every = Some(Duration::from_secs(5));
    let start_ms = time(-240).as_millis();
    produce(&brokers, "kube-events", founding::events(start_ms));
    produce(&brokers, "container-logs", founding::logs(start_ms));
    let running = support::Running::start(service, founding::rules(), Stages::ALL, false);
    bridged(&brokers, alertmanager.address, || {
        let shown = || alertmanager.alerts().into_iter().find(|alert| alert["labels"]["node"] == founding::NODE);
        let first = eventually("the node's alert shows", shown);
        assert_eq!(
            (&first["labels"]["severity"], &first["labels"]["alertname"]),
            (&json!("critical"), &json!("FaultlineNode"))
        );
        let ends_at = |alert: &Value| Timestamp::parse_rfc3339(alert["endsAt"].as_str().unwrap()).unwrap();
        assert!(ends_at(&first) > time(60), "{first}");
        eventually("it is reminded of", || (ends_at(&shown()?) > ends_at(&first)).then_some(()));
        assert_eq!(alertmanager.alerts().len(), 1, "under the same labels");
    });
    running.stop().unwrap();
}
