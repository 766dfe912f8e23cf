use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::alert::{Alert, Status, Suspect, Verdict};
use crate::bundled;
use crate::redaction::Redactor;
use crate::ruleset::RuleSet;
use crate::scanner::matcher::Matcher;
use crate::scanner::{self, Limits};
use crate::scenario::{self, Scenario, Stream};
use crate::{correlator, engine::Engine};

fn engine() -> Engine {
    let rules = Arc::new(RuleSet::parse(bundled::RULES).unwrap());
    let options = scanner::Options {
        cluster: "test".into(),
        limits: Limits::default(),
        prefilter: true,
        redactor: Redactor::standard(),
    };
    Engine::new(Matcher::new(rules), options, correlator::Options::default())
}

fn start() -> Timestamp {
    Timestamp::parse_rfc3339("2026-03-01T08:00:00Z").unwrap()
}

/// Logs and events in a file each.
fn write(scenario: &Scenario, directory: &Path) -> Vec<PathBuf> {
    [(Stream::Logs, "logs.ndjson"), (Stream::Events, "events.ndjson")]
        .into_iter()
        .map(|(stream, name)| {
            let records = scenario.records.iter().filter(|record| record.stream == stream);
            let text: String = records.map(|record| format!("{}\n", record.value)).collect();
            let path = directory.join(name);
            fs::write(&path, text).unwrap();
            path
        })
        .collect()
}

fn replay(files: &[PathBuf]) -> (Vec<Alert>, Vec<u8>, Summary) {
    let mut out = Vec::new();
    let summary = run(files, engine(), &mut out, Options::new(1 << 20)).unwrap();
    let alerts = out.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    (alerts.map(|line| serde_json::from_slice(line).unwrap()).collect(), out, summary)
}

/// Explained: what is told on stderr.
fn explained(files: &[PathBuf]) -> String {
    let rules = Arc::new(RuleSet::parse(bundled::RULES).unwrap());
    let scan = scanner::Options {
        cluster: "test".into(),
        limits: Limits::default(),
        prefilter: true,
        redactor: Redactor::standard(),
    };
    let options = correlator::Options { explain: true, ..correlator::Options::default() };
    let engine = Engine::new(Matcher::new(rules), scan, options);
    let mut text = Vec::new();
    run_explained(files, engine, &mut io::sink(), &mut text, Options::new(1 << 20)).unwrap();
    anstream::adapter::strip_str(std::str::from_utf8(&text).unwrap()).to_string()
}

#[test]
fn a_verdict_that_is_held_back_says_why_and_what_would_lift_it() {
    let directory = tempfile::tempdir().unwrap();
    let seconds = Duration::from_secs;
    let scenario = scenario::founding_case(start(), 7, seconds(15), seconds(30));
    let text = explained(&write(&scenario, directory.path()));
    for line in [
        "Suspected, not confirmed: the cluster was watched for less than 60 s.",
        "  once the cluster is watched for 60 s: verdicts may be confirmed",
    ] {
        assert!(text.lines().any(|told| told == line), "{line} is not in\n{text}");
    }
}

#[test]
fn the_founding_case_names_its_node_within_seconds() {
    let directory = tempfile::tempdir().unwrap();
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    let scenario = scenario::founding_case(start(), 7, minutes(5), minutes(5));
    let (alerts, bytes, _) = replay(&write(&scenario, directory.path()));
    let node = Suspect::Node(scenario.truth.node.as_deref().unwrap().into());
    let told: Vec<_> = alerts.iter().map(|alert| (alert.status, alert.verdict, alert.suspect.clone())).collect();
    assert_eq!(told, [(Status::Firing, Verdict::Confirmed, node)]);
    let seconds = alerts[0].updated_at.since(scenario.truth.second_failure().unwrap()).as_secs();
    assert!(seconds <= 15, "told {seconds} s after the second failing pod");
    assert!(alerts[0].summary.contains("Win32 216 ERROR_EXE_MACHINE_TYPE_MISMATCH"), "{}", alerts[0].summary);
    assert_eq!(replay(&write(&scenario, directory.path())).1, bytes, "the same files, the same bytes");
}

#[test]
fn one_broken_workload_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let scenario = scenario::broken_workload(start(), 3, Duration::from_secs(300), Duration::from_secs(300));
    let (alerts, ..) = replay(&write(&scenario, directory.path()));
    let workload = Suspect::Workload(scenario.truth.workload.as_deref().unwrap().into());
    let told: Vec<_> = alerts.iter().map(|alert| (alert.status, alert.verdict, alert.suspect.clone())).collect();
    assert_eq!(told, [(Status::Firing, Verdict::Confirmed, workload)]);
}

#[test]
fn healthy_traffic_prints_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let scenario = scenario::healthy(start(), 5, Duration::from_secs(1800));
    let (alerts, bytes, summary) = replay(&write(&scenario, directory.path()));
    assert_eq!(alerts, []);
    assert_eq!(bytes, b"");
    assert_eq!(summary.records, scenario.records.len() as u64);
}

#[test]
fn bad_lines_are_counted_and_the_rest_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let scenario = scenario::founding_case(start(), 7, Duration::from_secs(300), Duration::from_secs(120));
    let files = write(&scenario, directory.path());
    let mut text = fs::read(&files[0]).unwrap();
    text.extend_from_slice(b"{\"log\": \"cut off\n\xff\x01 broken\n{\"kubernetes\":{}}\n");
    text.extend_from_slice("x".repeat(2 << 20).as_bytes());
    fs::write(&files[0], text).unwrap();
    let (alerts, _, summary) = replay(&files);
    assert_eq!(alerts.len(), 1);
    let told = summary.to_string();
    assert!(told.contains("4 rejected, 1 too-large, 1 invalid-utf8, 1 invalid-json, 1 no-message"), "{told}");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = run(&[PathBuf::from("no-such-file")], engine(), &mut Vec::new(), Options::new(1024)).unwrap_err();
    assert!(error.to_string().starts_with("cannot read no-such-file: "), "{error}");
}
