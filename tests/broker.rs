//! The service against a broker process, over real TCP: what the mock cluster cannot show (topic creation, groups with
//! several members, restarts). Skipped where FAULTLINE_TEST_BROKER names no broker binary.

mod support;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use faultline::alert::{Alert, Status, Suspect, Verdict};
use faultline::service::{Config, Stages};
use support::{Broker, Got, Put, Running, committed, config, eventually, founding, produce, read_until};

const START_MS: i64 = 1_795_000_000_000;

fn alerts(got: &[Got]) -> Vec<Alert> {
    got.iter().map(|got| serde_json::from_slice(got.value.as_deref().unwrap()).unwrap()).collect()
}

#[test]
fn the_founding_case_is_solved_and_told_once() {
    [false, true].into_iter().for_each(the_founding_case);
}

fn the_founding_case(exactly_once: bool) {
    let Some(broker) = Broker::start() else { return };
    broker.create_topics(&[("container-logs", 2), ("kube-events", 1)]);
    produce(&broker.address, "kube-events", founding::events(START_MS));
    produce(&broker.address, "container-logs", founding::logs(START_MS));
    let config = || Config { exactly_once, ..config(&broker.address) };
    let run = || Running::start(config(), founding::rules(), Stages::ALL, true);
    run().join().unwrap();

    let got = read_until(&broker.address, "alerts", 1, |got| !got.is_empty());
    let alert = &alerts(&got)[0];
    assert_eq!(alert.suspect, Suspect::Node(founding::NODE.into()), "{}", alert.summary);
    assert_eq!((alert.status, alert.verdict), (Status::Firing, Verdict::Confirmed), "{}", alert.summary);
    assert_eq!(got[0].headers["faultline-alert-id"], alert.id);

    run().join().unwrap();
    let again = read_until(&broker.address, "alerts", 1, |again| again.len() >= got.len());
    assert_eq!(again, got, "a restart says nothing again");
}

#[test]
fn two_instances_share_the_partitions_and_one_takes_over() {
    let Some(broker) = Broker::start() else { return };
    broker.create_topics(&[("container-logs", 2), ("kube-events", 1)]);
    let start = || Running::start(config(&broker.address), founding::rules(), Stages::ALL, false);
    let (first, second) = (start(), start());
    let owns = |running: &Running, count: i64| {
        let text = running.metrics.encode().unwrap();
        text.contains(&format!("faultline_partitions{{stage=\"scan\"}} {count}"))
    };
    eventually("the partitions are shared", || {
        let shared = (owns(&first, 1) && owns(&second, 2)) || (owns(&first, 2) && owns(&second, 1));
        shared.then_some(())
    });
    produce(&broker.address, "kube-events", founding::events(START_MS));
    first.stop().unwrap();
    produce(&broker.address, "container-logs", founding::logs(START_MS));
    let got = read_until(&broker.address, "alerts", 1, |got| !got.is_empty());
    assert_eq!(alerts(&got)[0].suspect, Suspect::Node(founding::NODE.into()));
    let ids: BTreeSet<&String> = got.iter().map(|got| &got.headers["faultline-alert-id"]).collect();
    assert_eq!(ids.len(), got.len(), "no alert twice");
    second.stop().unwrap();
}

#[test]
fn offsets_follow_a_graceful_stop() {
    let Some(broker) = Broker::start() else { return };
    broker.create_topics(&[("container-logs", 2), ("kube-events", 1)]);
    let running = Running::start(config(&broker.address), founding::rules(), Stages::ALL, false);
    produce(&broker.address, "kube-events", (0..1000).map(|n| Put::value(format!("event {n}"))));
    let read = |running: &Running| running.metrics.encode().unwrap().contains("{topic=\"kube-events\"} 1000\n");
    eventually("all are read", || read(&running).then_some(()));
    running.stop().unwrap();
    assert_eq!(committed(&broker.address, "faultline", "kube-events", 0), Some(1000));
    let dead = read_until(&broker.address, "faultline.dead-letter", 1, |got| got.len() >= 1000);
    assert_eq!(dead.len(), 1000);
}

#[test]
fn stages_run_apart() {
    let Some(broker) = Broker::start() else { return };
    broker.create_topics(&[("container-logs", 2), ("kube-events", 1)]);
    produce(&broker.address, "kube-events", founding::events(START_MS));
    produce(&broker.address, "container-logs", founding::logs(START_MS));
    for stages in [Stages { scan: true, correlate: false }, Stages { scan: false, correlate: true }] {
        Running::start(config(&broker.address), founding::rules(), stages, true).join().unwrap();
    }
    let got = read_until(&broker.address, "alerts", 1, |got| !got.is_empty());
    assert_eq!(alerts(&got)[0].suspect, Suspect::Node(founding::NODE.into()));
}

/// `faultline run` as a process, with a configuration file of its own.
struct Process {
    child: Child,
    http: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Process {
    fn start(broker: &str, exactly_once: bool, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let http = SocketAddr::from(([127, 0, 0, 1], support::free_port()));
        std::fs::write(folder.path().join("rules.yaml"), founding::RULE).unwrap();
        let config = format!(
            "kafka:\n  brokers: {broker}\n  exactly_once: {exactly_once}\n  properties: {{session.timeout.ms: \"6000\", heartbeat.interval.ms: \"1000\"}}\n\
             rules: {}\nhttp: {{listen: {http}}}\nscan: {{flush_interval: 100ms, idle_after: 1s}}\n\
             alerts: {{max_age: off}}\n",
            folder.path().display()
        );
        let file = folder.path().join("faultline.yaml.conf");
        std::fs::write(&file, config).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_faultline"))
            .args(["run", "-c"])
            .arg(&file)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        Process { child, http, _folder: folder }
    }

    fn shows(&self, line: &str) -> bool {
        support::get(self.http, "/metrics").is_some_and(|(_, text)| text.lines().any(|found| found == line))
    }

    fn exit_code(&mut self) -> Option<i32> {
        let status = eventually("the process ends", || self.child.try_wait().unwrap());
        status.code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_killed_process_loses_nothing_and_sigterm_ends_it_well() {
    [false, true].into_iter().for_each(a_killed_process);
}

fn a_killed_process(exactly_once: bool) {
    let Some(broker) = Broker::start() else { return };
    broker.create_topics(&[("container-logs", 2), ("kube-events", 1)]);
    let mut killed = Process::start(&broker.address, exactly_once, &[]);
    produce(&broker.address, "kube-events", founding::events(START_MS));
    let logs = founding::logs(START_MS);
    let (before, after) = logs.split_at(logs.len() / 2);
    produce(&broker.address, "container-logs", before.to_vec());
    let read = format!("faultline_records_total{{topic=\"container-logs\"}} {}", before.len());
    eventually("half is read", || killed.shows(&read).then_some(()));
    killed.child.kill().unwrap();

    produce(&broker.address, "container-logs", after.to_vec());
    let mut next = Process::start(&broker.address, exactly_once, &[]);
    let got = read_until(&broker.address, "alerts", 1, |got| !got.is_empty());
    let alert = &alerts(&got)[0];
    assert_eq!(alert.suspect, Suspect::Node(founding::NODE.into()), "{}", alert.summary);
    eventually("it is ready", || (support::get(next.http, "/readyz")?.0 == 200).then_some(()));
    let pid = next.child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert_eq!(next.exit_code(), Some(0));

    let mut bounded = Process::start(&broker.address, exactly_once, &["--until-end"]);
    assert_eq!(bounded.exit_code(), Some(0));
    let all = read_until(&broker.address, "alerts", 1, |all| all.len() >= got.len());
    let ids: BTreeSet<&String> = all.iter().map(|got| &got.headers["faultline-alert-id"]).collect();
    assert_eq!(ids.len(), all.len(), "no alert twice");
}
