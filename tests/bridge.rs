//! `faultline bridge` between librdkafka's mock cluster and a server that plays the receivers' documented answers.

#[path = "bridge/process.rs"]
mod process;
mod support;

use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver as Channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use faultline::bridge::{self, Config, HEADER_STATUS, Metrics, PostOptions};
use faultline::courier::{Backoff, Options, Target};
use faultline::format::{Format, Writer};
use faultline::service::{Shutdown, dead_letter};
use process::Process;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use serde_json::{Value, json};
use support::receiver::{Receiver, Reply};
use support::{DEADLINE, Got, Put, committed, eventually, produce, read_until, topic};

type Mock = MockCluster<'static, DefaultProducerContext>;

const KEY: &str = "r0ut1ngk3yr0ut1ngk3yr0ut1ngk3y00";

fn mock() -> (Mock, String) {
    let mock = MockCluster::new(1).expect("a mock cluster");
    mock.create_topic("alerts", 1, 1).expect("a topic");
    mock.create_topic("faultline.dead-letter", 1, 1).expect("a topic");
    let brokers = mock.bootstrap_servers();
    (mock, brokers)
}

/// With times that suit a test, and no rate limit.
fn config(brokers: &str, target: Target, url: &str) -> Config {
    let format = match target {
        Target::Alertmanager => Format::Alertmanager,
        Target::PagerDuty => Format::PagerDuty,
        Target::Slack => Format::Slack,
        Target::Webhook => Format::Faultline,
    };
    let writer = Writer { format, routing_key: Some(KEY.to_owned()) };
    let backoff = Backoff { least: Duration::from_millis(10), most: Duration::from_millis(50) };
    Config {
        connection: support::config(brokers).connection,
        group_id: "bridge".to_owned(),
        topic: "alerts".to_owned(),
        dead_letter: topic("faultline.dead-letter", 1),
        dead_letter_bytes: 100_000,
        courier: Options { spacing: Duration::ZERO, backoff, ..Options::new(target, writer) },
        post: PostOptions {
            target,
            url: url.to_owned(),
            token: None,
            routing_key: Some(KEY.to_owned()),
            authorities: None,
            timeout: Duration::from_secs(5),
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

/// A bridge on a thread of its own.
struct Running {
    shutdown: Shutdown,
    metrics: Arc<Metrics>,
    result: Channel<Result<(), bridge::Error>>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    fn start(config: Config) -> Self {
        let filter = tracing_subscriber::EnvFilter::from_default_env();
        let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init();
        let (shutdown, metrics) = (Shutdown::default(), Arc::new(Metrics::default()));
        let (sender, result) = mpsc::channel();
        let (stop, count) = (shutdown.clone(), Arc::clone(&metrics));
        let thread = std::thread::spawn(move || {
            let _ = sender.send(bridge::run_with(config, stop, count));
        });
        Running { shutdown, metrics, result, thread: Some(thread) }
    }

    fn stop(mut self) -> Result<(), bridge::Error> {
        self.shutdown.trigger();
        let result = self.result.recv_timeout(DEADLINE).expect("the bridge ends in time");
        self.thread.take().map(JoinHandle::join).transpose().expect("the bridge does not panic");
        result
    }

    fn shows(&self, line: &str) -> bool {
        self.metrics.encode().unwrap().lines().any(|shown| shown == line)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shutdown.trigger();
    }
}

/// As an output of format pagerduty writes it.
fn event(key: &str, number: usize, action: &str) -> Put {
    let value = format!(
        r#"{{"event_action":"{action}","dedup_key":"{key}","payload":{{"summary":"{number}","source":"s","severity":"error"}}}}"#
    );
    let headers = vec![
        ("faultline-alert-id".to_owned(), format!("{key}#{number}").into_bytes()),
        ("content-type".to_owned(), b"application/json".to_vec()),
    ];
    Put { key: Some(key.as_bytes().to_vec()), headers, ..Put::value(value) }
}

fn summaries(receiver: &Receiver) -> Vec<String> {
    let of = |request: &support::receiver::Request| request.json()["payload"]["summary"].as_str().unwrap().to_owned();
    receiver.requests().iter().map(of).collect()
}

fn settled(brokers: &str, offset: i64) {
    eventually(&format!("offset {offset} is committed"), || {
        (committed(brokers, "bridge", "alerts", 0) == Some(offset)).then_some(())
    });
}

fn dead(brokers: &str, letters: usize) -> Vec<Got> {
    read_until(brokers, "faultline.dead-letter", 1, |got| got.len() >= letters)
}

#[test]
fn alerts_are_delivered_once_in_order_and_committed() {
    let (_mock, brokers) = mock();
    let receiver = Receiver::start(Reply::accepted(), []);
    let running = Running::start(config(&brokers, Target::PagerDuty, &receiver.url("/v2/enqueue")));
    for (number, action) in ["trigger", "resolve", "trigger", "resolve"].into_iter().enumerate() {
        produce(&brokers, "alerts", [event("node-a", number, action)]);
        settled(&brokers, i64::try_from(number).unwrap() + 1);
    }
    produce(&brokers, "alerts", [event("node-a", 3, "resolve")]);
    settled(&brokers, 5);
    assert_eq!(summaries(&receiver), ["0", "1", "2", "3"]);
    let first = &receiver.requests()[0];
    assert_eq!(first.path, "/v2/enqueue");
    assert_eq!(first.json()["routing_key"], KEY);
    assert_eq!(first.headers["content-type"], "application/json");
    assert_eq!(first.headers["faultline-alert-id"], "node-a#0");
    assert!(first.headers["user-agent"].starts_with("faultline/"));
    assert!(running.shows("faultline_bridge_delivered_total 4"));
    assert!(running.shows("faultline_bridge_duplicates_total 1"));
    running.stop().unwrap();
}

#[test]
fn storms_and_broken_connections_pass() {
    let (_mock, brokers) = mock();
    let storm = (0..20).map(|_| Reply::too_many("0"));
    let broken = [Reply::HangsUp, Reply::status(500, ""), Reply::status(503, "later"), Reply::status(408, "")];
    let receiver = Receiver::start(Reply::accepted(), storm.chain(broken));
    let running = Running::start(config(&brokers, Target::PagerDuty, &receiver.url("/v2/enqueue")));
    produce(&brokers, "alerts", [event("a", 0, "trigger"), event("b", 1, "trigger")]);
    settled(&brokers, 2);
    let mut got = summaries(&receiver);
    assert_eq!(got.len(), 26, "{got:?}");
    got.sort();
    got.dedup();
    assert_eq!(got, ["0", "1"]);
    assert!(running.shows("faultline_bridge_requests_total{status=\"429\"} 20"));
    assert!(running.shows("faultline_bridge_requests_total{status=\"none\"} 1"));
    assert!(running.shows("faultline_bridge_retried_total 24"));
    running.stop().unwrap();
}

#[test]
fn an_answer_that_breaks_off_after_its_status_counts() {
    let (_mock, brokers) = mock();
    let receiver = Receiver::start(Reply::accepted(), [Reply::BreaksOff { status: 202 }]);
    let running = Running::start(config(&brokers, Target::PagerDuty, &receiver.url("/")));
    produce(&brokers, "alerts", [event("a", 0, "trigger")]);
    settled(&brokers, 1);
    assert_eq!(receiver.requests().len(), 1);
    running.stop().unwrap();
}

#[test]
fn who_says_nothing_is_asked_again() {
    let (_mock, brokers) = mock();
    let receiver = Receiver::start(Reply::status(200, "ok"), [Reply::IsSilent]);
    let mut config = config(&brokers, Target::Slack, &receiver.url("/services/T/B/x"));
    config.post.timeout = Duration::from_millis(200);
    let running = Running::start(config);
    produce(&brokers, "alerts", [Put::value(r#"{"text":"hello"}"#)]);
    settled(&brokers, 1);
    assert_eq!(receiver.requests().len(), 2);
    running.stop().unwrap();
}

#[test]
fn nobody_there_is_waited_out() {
    let (_mock, brokers) = mock();
    let port = support::free_port();
    let running = Running::start(config(&brokers, Target::PagerDuty, &format!("http://127.0.0.1:{port}/")));
    produce(&brokers, "alerts", [event("a", 0, "trigger")]);
    eventually("it is tried again and again", || (running.metrics.retried.get() > 3).then_some(()));
    assert_eq!(running.metrics.waiting.get(), 1);
    assert_eq!(committed(&brokers, "bridge", "alerts", 0).unwrap_or(0), 0);
    running.stop().unwrap();
}

#[test]
fn what_is_refused_is_set_aside_with_the_answer() {
    let (_mock, brokers) = mock();
    let refusal = r#"{"status":"invalid event","errors":["'payload.severity' is invalid, not key r0ut1ngk3yr0ut1ngk3yr0ut1ngk3y00"]}"#;
    let receiver = Receiver::start(Reply::accepted(), [Reply::status(400, refusal)]);
    let running = Running::start(config(&brokers, Target::PagerDuty, &receiver.url("/")));
    let rubbish = Put { key: Some(b"k".to_vec()), ..Put::value("rubbish") };
    let tombstone = Put { key: Some(b"k".to_vec()), ..Put::default() };
    produce(&brokers, "alerts", [event("a", 0, "trigger"), rubbish, tombstone, event("b", 3, "trigger")]);
    settled(&brokers, 4);
    let mut letters = dead(&brokers, 3);
    letters.sort_by_key(|got| got.headers[dead_letter::HEADER_OFFSET].clone());
    let of = |index: usize, name: &str| letters[index].headers.get(name).map(String::as_str);
    assert_eq!(of(0, dead_letter::HEADER_REASON), Some("refused"));
    assert_eq!(of(0, HEADER_STATUS), Some("400"));
    let detail = of(0, dead_letter::HEADER_DETAIL).unwrap();
    assert!(detail.contains("'payload.severity' is invalid") && !detail.contains(KEY), "{detail}");
    assert_eq!(of(0, "faultline-alert-id"), Some("a#0"));
    assert_eq!(letters[0].value, event("a", 0, "trigger").value, "as it came");
    assert_eq!(of(1, dead_letter::HEADER_REASON), Some("invalid-json"));
    assert_eq!(of(2, dead_letter::HEADER_REASON), Some("tombstone"));
    assert_eq!((of(1, HEADER_STATUS), letters.len()), (None, 3));
    assert_eq!(summaries(&receiver), ["0", "3"]);
    assert!(running.shows("faultline_bridge_dead_lettered_total{reason=\"refused\"} 1"));
    running.stop().unwrap();
}

#[test]
fn a_wrong_key_pauses_and_loses_nothing() {
    let (_mock, brokers) = mock();
    let wrong = [
        Reply::status(400, r#"{"status":"invalid event","errors":["Length of 'routing_key' is incorrect"]}"#),
        Reply::status(401, ""),
        Reply::status(403, "action_prohibited"),
        Reply::status(404, "no_service"),
    ];
    let receiver = Receiver::start(Reply::status(403, "no"), wrong);
    let mut config = config(&brokers, Target::PagerDuty, &receiver.url("/"));
    let http = format!("127.0.0.1:{}", support::free_port()).parse().unwrap();
    config.http_listen = Some(http);
    let running = Running::start(config.clone());
    eventually("it is ready", || (support::get(http, "/readyz")?.0 == 200).then_some(()));
    let second = bridge::run(config, Shutdown::default()).unwrap_err();
    assert!(second.to_string().contains("http.listen"), "{second}");
    produce(&brokers, "alerts", [event("a", 0, "trigger"), event("b", 1, "trigger")]);
    receiver.wait_for(6);
    let (status, why) = support::get(http, "/readyz").unwrap();
    assert!(status == 503 && why.contains("refuses everything"), "{status} {why}");
    assert!(support::get(http, "/metrics").unwrap().1.contains("faultline_bridge_blocked 1"));
    receiver.then((0..100).map(|_| Reply::accepted()));
    settled(&brokers, 2);
    eventually("it is ready again", || (support::get(http, "/readyz")?.0 == 200).then_some(()));
    assert!(running.shows("faultline_bridge_blocked 0"));
    assert_eq!(running.metrics.delivered.get(), 2);
    running.stop().unwrap();
}

#[test]
fn slack_says_in_its_body_how_it_went() {
    let (_mock, brokers) = mock();
    let answers = [
        Reply::status(200, r#"{"ok":false,"error":"ratelimited"}"#),
        Reply::status(200, r#"{"ok":false,"error":"invalid_auth"}"#),
        Reply::status(200, r#"{"ok":false,"error":"invalid_blocks"}"#),
    ];
    let receiver = Receiver::start(Reply::status(200, r#"{"ok":true}"#), answers);
    let mut config = config(&brokers, Target::Slack, &receiver.url("/api/chat.postMessage"));
    config.post.token = Some("xoxb-t0ken".to_owned());
    config.courier.channel = Some("#ops".to_owned());
    let running = Running::start(config);
    produce(&brokers, "alerts", [Put::value(r#"{"blocks":[{}]}"#)]);
    settled(&brokers, 1);
    produce(&brokers, "alerts", [Put::value(r#"{"text":"x","channel":"C1"}"#)]);
    settled(&brokers, 2);
    let requests = receiver.requests();
    let channels: Vec<_> = requests.iter().map(|request| request.json()["channel"].clone()).collect();
    assert_eq!(channels, ["#ops", "#ops", "#ops", "C1"]);
    assert!(requests.iter().all(|request| request.headers["authorization"] == "Bearer xoxb-t0ken"));
    assert_eq!(dead(&brokers, 1)[0].headers[HEADER_STATUS], "200");
    running.stop().unwrap();
}

#[test]
fn a_webhook_gets_the_value_as_it_is() {
    let (_mock, brokers) = mock();
    let receiver = Receiver::start(Reply::status(204, ""), []);
    let running = Running::start(config(&brokers, Target::Webhook, &receiver.url("/hook?x=1")));
    let headers = vec![
        ("content-type".to_owned(), b"text/x-test".to_vec()),
        ("faultline-alert-id".to_owned(), b"some#1".to_vec()),
    ];
    produce(&brokers, "alerts", [Put { headers, ..Put::value("anything at all") }, Put::value("{}")]);
    settled(&brokers, 2);
    let requests = receiver.requests();
    assert_eq!((requests[0].path.as_str(), requests[0].body.as_str()), ("/hook?x=1", "anything at all"));
    assert_eq!(requests[0].headers["content-type"], "text/x-test");
    assert_eq!(requests[0].headers["faultline-alert-id"], "some#1");
    assert_eq!(requests[1].headers["content-type"], "application/json");
    assert!(!requests[1].headers.contains_key("faultline-alert-id"));
    running.stop().unwrap();
}

#[test]
fn over_tls_only_who_is_vouched_for_gets_anything() {
    let (_mock, brokers) = mock();
    let (receiver, authority) = Receiver::start_tls(Reply::accepted());
    let url = format!("https://{}/", receiver.address);
    let trusting = config(&brokers, Target::PagerDuty, &url);
    produce(&brokers, "alerts", [event("a", 0, "trigger")]);
    let running = Running::start(trusting.clone());
    eventually("it is blocked", || (running.metrics.blocked.get() == 1).then_some(()));
    assert!(running.shows("faultline_bridge_dead_letters_lost_total 0") && receiver.requests().is_empty());
    running.stop().unwrap();

    let post = PostOptions { authorities: Some(authority), ..trusting.post.clone() };
    let running = Running::start(Config { post, ..trusting });
    settled(&brokers, 1);
    assert_eq!(summaries(&receiver), ["0"]);
    running.stop().unwrap();
}

#[test]
fn redirects_are_not_followed() {
    let (_mock, brokers) = mock();
    let elsewhere = Receiver::start(Reply::accepted(), []);
    let headers = vec![("Location", elsewhere.url("/stolen"))];
    let redirect = Reply::Says { status: 307, headers, body: String::new() };
    let receiver = Receiver::start(Reply::accepted(), [redirect]);
    let running = Running::start(config(&brokers, Target::PagerDuty, &receiver.url("/")));
    produce(&brokers, "alerts", [event("a", 0, "trigger")]);
    settled(&brokers, 1);
    assert_eq!((receiver.requests().len(), elsewhere.requests().len()), (2, 0));
    running.stop().unwrap();
}

#[test]
fn what_waits_for_the_rate_limit_is_coalesced() {
    let (_mock, brokers) = mock();
    let receiver = Receiver::start(Reply::accepted(), []);
    let mut config = config(&brokers, Target::PagerDuty, &receiver.url("/"));
    config.courier.spacing = Duration::from_millis(300);
    let running = Running::start(config);
    produce(&brokers, "alerts", [event("first", 0, "trigger")]);
    settled(&brokers, 1);
    let updates = (1..50).map(|number| event("busy", number, "trigger"));
    let gone = [event("brief", 50, "trigger"), event("brief", 51, "resolve")];
    produce(&brokers, "alerts", [event("other", 52, "trigger")].into_iter().chain(updates).chain(gone));
    settled(&brokers, 53);
    assert_eq!(summaries(&receiver), ["0", "52", "49"]);
    assert!(running.shows("faultline_bridge_coalesced_total 50"), "{}", running.metrics.encode().unwrap());
    assert!(running.metrics.rate_limited_seconds.get() > 0.1);
    running.stop().unwrap();
}

#[test]
fn a_restart_goes_on_where_it_was_and_remembers() {
    let (_mock, brokers) = mock();
    let receiver = Receiver::start(Reply::accepted(), []);
    let url = receiver.url("/");
    let first = Running::start(config(&brokers, Target::PagerDuty, &url));
    produce(&brokers, "alerts", [event("a", 0, "trigger"), event("b", 1, "trigger")]);
    settled(&brokers, 2);
    first.stop().unwrap();

    // Repeats of what was delivered, the end of what was told, and of what was not.
    let brief = [event("c", 5, "trigger"), event("c", 6, "resolve")];
    produce(&brokers, "alerts", [event("a", 0, "trigger"), event("b", 1, "trigger"), event("a", 4, "resolve")]);
    produce(&brokers, "alerts", brief);
    let second = Running::start(config(&brokers, Target::PagerDuty, &url));
    settled(&brokers, 7);
    assert!(second.shows("faultline_bridge_duplicates_total 2"));
    second.stop().unwrap();
    let got = summaries(&receiver);
    assert_eq!(got[..3], ["0", "1", "4"], "nothing twice");
    // The last two may have been delivered by the one before, for all that the second one knows.
    assert!(got[3..] == ["6"] || got[3..] == ["5", "6"], "{got:?}");
}

#[test]
fn a_stop_ends_the_request_under_way_and_keeps_the_rest() {
    let (_mock, brokers) = mock();
    let receiver = Receiver::start(Reply::accepted(), [Reply::status(503, "")]);
    let mut config = config(&brokers, Target::PagerDuty, &receiver.url("/"));
    config.courier.backoff = Backoff { least: Duration::from_secs(600), most: Duration::from_secs(600) };
    let running = Running::start(config);
    produce(&brokers, "alerts", [event("a", 0, "trigger")]);
    receiver.wait_for(1);
    let asked = Instant::now();
    running.stop().unwrap();
    assert!(asked.elapsed() < Duration::from_secs(10));
    assert_eq!(committed(&brokers, "bridge", "alerts", 0).unwrap_or(0), 0);
}

#[test]
fn reading_pauses_at_the_bound_and_goes_on() {
    let (_mock, brokers) = mock();
    let receiver = Receiver::start(Reply::accepted(), (0..5).map(|_| Reply::status(503, "")));
    let mut config = config(&brokers, Target::PagerDuty, &receiver.url("/"));
    config.courier.limits.waiting = 10;
    let running = Running::start(config);
    produce(&brokers, "alerts", (0..100).map(|number| event(&format!("k{number}"), number, "trigger")));
    settled(&brokers, 100);
    assert_eq!(running.metrics.delivered.get(), 100);
    assert!(running.metrics.encode().unwrap().contains("faultline_bridge_limit_hits_total{limit=\"waiting\"}"));
    running.stop().unwrap();
}

/// As an output of format faultline writes it.
fn alert(suspect: &str, number: usize, status: &str, severity: &str, superseded_by: Option<&str>) -> Put {
    let at = "2026-11-22T14:51:03.000Z";
    let key = format!("prod/{suspect}");
    let (scope, name) = suspect.split_once('/').unwrap();
    let alert = json!({
        "schema": "faultline.alert/v1",
        "id": format!("{key}#{number}"),
        "dedup_key": key,
        "status": status,
        "severity": severity,
        "cluster": "prod",
        "scope": scope,
        "suspect": {scope: name},
        "verdict": "confirmed",
        "probability": 0.99,
        "summary": format!("{suspect} fails"),
        "starts_at": at,
        "updated_at": at,
        "ends_at": (status == "resolved").then_some(at),
        "window": {"from": at, "to": at},
        "signals": [],
        "evidence": {"failing_pods": 4, "exposed_pods": 4, "failing_elsewhere": 0, "exposed_elsewhere": 9, "workloads": 4},
        "candidates": [],
        "failing": [],
        "superseded_by": superseded_by,
    });
    Put { key: Some(key.into_bytes()), ..Put::value(alert.to_string()) }
}

#[test]
fn faultlines_own_alerts_page_once_for_a_fault_that_turns_out_wider() {
    let (_mock, brokers) = mock();
    let receiver = Receiver::start(Reply::accepted(), []);
    let url = receiver.url("/v2/enqueue");
    let first = Running::start(config(&brokers, Target::PagerDuty, &url));
    produce(&brokers, "alerts", [alert("node/n1", 0, "firing", "critical", None)]);
    settled(&brokers, 1);
    let superseded = alert("node/n1", 1, "resolved", "critical", Some("prod/node_pool/p"));
    produce(&brokers, "alerts", [superseded, alert("node_pool/p", 2, "firing", "critical", None)]);
    settled(&brokers, 3);
    first.stop().unwrap();
    // A restart knows under which name the incident goes on.
    let second = Running::start(config(&brokers, Target::PagerDuty, &url));
    produce(&brokers, "alerts", [alert("node_pool/p", 3, "resolved", "critical", None)]);
    settled(&brokers, 4);
    second.stop().unwrap();
    let got: Vec<(Value, Value)> = receiver
        .requests()
        .iter()
        .map(|request| request.json())
        .map(|event| (event["event_action"].clone(), event["dedup_key"].clone()))
        .collect();
    let name = json!("prod/node/n1");
    let expected = ["trigger", "trigger", "resolve"].map(|action| (json!(action), name.clone()));
    assert_eq!(got, expected);
    assert!(receiver.requests().iter().all(|request| request.json()["routing_key"] == KEY));
}

#[test]
fn a_killed_bridge_loses_nothing_and_repeats_little() {
    const ALERTS: usize = 20;
    let (_mock, brokers) = mock();
    let receiver = Receiver::start(Reply::accepted(), []);
    let start = || {
        Process::start("pagerduty", &brokers, |command| {
            command
                .env("FAULTLINE_BRIDGE__URL", receiver.url("/"))
                .env("FAULTLINE_BRIDGE__ROUTING_KEY", KEY)
                .env("FAULTLINE_BRIDGE__REQUESTS_PER_MINUTE", "1200")
        })
    };
    produce(&brokers, "alerts", (0..ALERTS).map(|number| event(&format!("k{number}"), number, "trigger")));
    let mut killed = start();
    receiver.wait_for(ALERTS / 2);
    killed.0.kill().unwrap();
    let _next = start();
    settled(&brokers, i64::try_from(ALERTS).unwrap());
    let got = summaries(&receiver);
    let distinct: std::collections::BTreeSet<&String> = got.iter().collect();
    assert_eq!(distinct.len(), ALERTS, "{got:?}");
    // The one under way, and those whose commit was.
    assert!(got.len() <= ALERTS + 3, "{got:?}");
}

#[test]
fn no_secret_is_in_logs_or_dead_letters_and_sigterm_ends_it_well() {
    let (_mock, brokers) = mock();
    let path = "/services/T0S3CRET/B0S3CRET/p4thS3CRET";
    let answers = [
        Reply::status(403, "no such hook T0S3CRET/B0S3CRET/p4thS3CRET"),
        Reply::HangsUp,
        Reply::status(400, "invalid_payload at /services/T0S3CRET/B0S3CRET/p4thS3CRET with xoxb-S3CRET"),
    ];
    let receiver = Receiver::start(Reply::status(200, "ok"), answers);
    produce(&brokers, "alerts", [Put::value(r#"{"text":"x"}"#), Put::value("rubbish")]);
    let logs = tempfile::tempdir().unwrap();
    let log = std::fs::File::create(logs.path().join("log")).unwrap();
    let mut process = Process::start("slack", &brokers, |command| {
        command
            .arg("-vv")
            .env("FAULTLINE_BRIDGE__URL", receiver.url(path))
            .env("FAULTLINE_BRIDGE__TOKEN", "xoxb-S3CRET")
            .env("FAULTLINE_BRIDGE__REQUESTS_PER_MINUTE", "off")
            .env("RUST_LOG", "trace")
            .stderr(log)
    });
    settled(&brokers, 2);
    let pid = process.0.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let status = eventually("it ends", || process.0.try_wait().unwrap());
    let log = std::fs::read_to_string(logs.path().join("log")).unwrap();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("refuses everything") && log.contains("dead-lettered"), "{log}");
    for letter in dead(&brokers, 2) {
        assert!(!format!("{:?}", letter.headers).contains("S3CRET"), "{letter:?}");
    }
    let told: Vec<&str> = log.lines().filter(|line| line.contains("S3CRET")).collect();
    assert_eq!(told, Vec::<&str>::new());
    assert!(log.contains(&format!("http://{}", receiver.address)), "where to is said");
}

#[test]
fn bad_usage_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let says = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_faultline"))
            .arg("bridge")
            .args(arguments)
            .current_dir(folder.path())
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for (arguments, expected) in [
        (&["--to", "slack"][..], "where to? Give --url"),
        (&["--to", "slack", "--url", "s3cret"], "must be http://HOST"),
        (
            &["--to", "slack", "--url", "https://h", "--ca-file", "absent.pem"],
            "bridge.ca_file: cannot read `absent.pem`",
        ),
        (&["--to", "jira", "--url", "https://h"], "alertmanager, pagerduty, slack, webhook"),
    ] {
        let (code, told) = says(arguments);
        assert!(code == Some(2) && told.contains(expected) && !told.contains("s3cret"), "{arguments:?}: {told}");
    }
}

/// The group's offset lies past the end: the topic was made anew, or restored.
#[test]
fn a_topic_that_ends_before_the_committed_offset_is_read_from_its_start() {
    let (_mock, brokers) = mock();
    support::commit(&brokers, "bridge", "alerts", 0, 500);
    let receiver = Receiver::start(Reply::accepted(), []);
    let running = Running::start(config(&brokers, Target::PagerDuty, &receiver.url("/")));
    produce(&brokers, "alerts", (0..3).map(|number| event(&format!("k{number}"), number, "trigger")));
    receiver.wait_for(3);
    settled(&brokers, 3);
    running.stop().unwrap();
}
