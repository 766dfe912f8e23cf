//! The bundled rules: valid, complete, true to their examples, and quiet where all is well.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use faultline::codes::CodeTable;
use faultline::record::{Entry, KubeEvent, LogEntry};
use faultline::rules_command::{self, BAD_RULES, DONE};
use faultline::rules_files::load;
use faultline::ruleset::RuleSet;
use faultline::scanner::matcher::{Matcher, Scratch};
use faultline::scanner::naive::{example_entry, matching_naive};
use faultline::signature::{Accuses, Severity};

fn bundled_directory() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/rules"))
}

fn bundled() -> RuleSet {
    load(bundled_directory()).unwrap_or_else(|error| panic!("{error}"))
}

fn log(message: &str) -> Entry<'_> {
    Entry::Log(LogEntry { message: Cow::Borrowed(message), ..LogEntry::default() })
}

fn event<'e>(event_type: &'e str, reason: &'e str, message: &'e str) -> Entry<'e> {
    let [event_type, reason, message] = [event_type, reason, message].map(Cow::Borrowed);
    Entry::Event(KubeEvent { event_type, reason, message, ..KubeEvent::default() })
}

fn matched(matcher: &Matcher, entry: &Entry<'_>) -> Vec<String> {
    let mut ids = Vec::new();
    matcher.scan(entry, &mut Scratch::default(), |hit| ids.push(hit.rule.id.to_string()));
    ids
}

#[test]
fn are_valid_and_fast() {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    assert_eq!(rules_command::check(bundled_directory(), &mut out, &mut err).unwrap(), DONE);
    assert_eq!(String::from_utf8(err).unwrap(), "", "warnings");
}

#[test]
fn do_what_their_examples_say() {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = rules_command::test(bundled_directory(), &mut out, &mut err).unwrap();
    assert_eq!(code, DONE, "{}", String::from_utf8_lossy(&out));
}

#[test]
fn the_matcher_agrees_with_the_naive_search_on_every_example() {
    let matcher = Matcher::new(Arc::new(bundled()));
    let rules = matcher.rules().rules();
    for owner in rules {
        for example in owner.examples.matching.iter().chain(&owner.examples.not_matching) {
            let entry = example_entry(owner, example);
            let expected: Vec<_> =
                matching_naive(matcher.rules(), &entry).into_iter().map(|index| rules[index].id.to_string()).collect();
            assert_eq!(matched(&matcher, &entry), expected, "{example:?}");
        }
    }
}

/// Where several rules match a line, all but one are superseded.
#[test]
fn one_line_is_one_signal() {
    let matcher = Matcher::new(Arc::new(bundled()));
    for rule in matcher.rules().rules() {
        for example in &rule.examples.matching {
            let found = matched(&matcher, &example_entry(rule, example));
            assert_eq!(found.len(), 1, "{found:?} match an example of {}: {example:?}", rule.id);
        }
    }
}

#[test]
fn help_whoever_is_paged() {
    for rule in bundled().rules() {
        assert!(rule.action.is_some(), "{} says not what to do", rule.id);
        assert!(rule.title.chars().count() <= 60, "{}: the title is long for a summary", rule.id);
        assert!(!rule.title.ends_with('.'), "{}: a title is no sentence", rule.id);
        assert!(!rule.examples.matching.is_empty(), "{} has nothing that must match", rule.id);
        assert!(!rule.examples.not_matching.is_empty(), "{} has no near miss", rule.id);
    }
}

#[test]
fn know_the_founding_case() {
    let rules = bundled();
    let founding = rules.get("windows-entrypoint-failed").unwrap();
    assert_eq!((founding.severity, founding.accuses), (Severity::Critical, Accuses::Pod));
    assert_eq!(founding.codes.get("code"), Some(&CodeTable::Win32));
    assert_eq!(rules.get("pod-back-off").unwrap().severity, Severity::Warning);

    let matcher = Matcher::new(Arc::new(rules));
    let line = log("[2026-11-22T14:51:03.000Z][LOGMONITOR] ERROR: Failed to start entrypoint process. Error: 216");
    let mut seen = Vec::new();
    matcher.scan(&line, &mut Scratch::default(), |hit| {
        let (name, value) = hit.captures[0];
        let meaning = hit.rule.codes[&**name].lookup(value).unwrap();
        seen.push((hit.rule.id.to_string(), value.to_owned(), meaning.name));
    });
    assert_eq!(seen, [("windows-entrypoint-failed".into(), "216".into(), "ERROR_EXE_MACHINE_TYPE_MISMATCH")]);

    let back_off =
        event("Warning", "BackOff", "Back-off restarting failed container cd in pod cd-0_sitecore(13b0884b)");
    assert_eq!(matched(&matcher, &back_off), ["pod-back-off"]);
    let pull = event("Normal", "BackOff", "Back-off pulling image \"cd:2\"");
    assert_eq!(matched(&matcher, &pull), ["pod-image-pull-failed"]);
}

#[test]
fn accuse_the_node_only_of_what_is_the_nodes() {
    let rules = bundled();
    let of_node = rules.rules().iter().filter(|rule| rule.accuses == Accuses::Node);
    for rule in of_node {
        let area = ["node-", "kernel-", "kubelet-"];
        assert!(area.iter().any(|area| rule.id.starts_with(area)), "{} accuses the node", rule.id);
    }
}

/// What a rollout, a node that joins, and programs in good health say.
#[test]
fn are_quiet_where_all_is_well() {
    let matcher = Matcher::new(Arc::new(bundled()));
    let events = [
        ("Normal", "Scheduled", "Successfully assigned sitecore/cd-7d9f8b6c5d-x2x4b to akswin000001"),
        ("Normal", "Pulling", "Pulling image \"cd:2\""),
        ("Normal", "Pulled", "Successfully pulled image \"cd:2\" in 3.2s (3.2s including waiting)"),
        ("Normal", "Pulled", "Container image \"cd:2\" already present on machine"),
        ("Normal", "Created", "Created container cd"),
        ("Normal", "Started", "Started container cd"),
        ("Normal", "Killing", "Stopping container cd"),
        ("Normal", "SuccessfulCreate", "Created pod: cd-7d9f8b6c5d-x2x4b"),
        ("Normal", "SuccessfulDelete", "Deleted pod: cd-6c5d7d9f8b-4bx2x"),
        ("Normal", "ScalingReplicaSet", "Scaled up replica set cd-7d9f8b6c5d to 3 from 2"),
        ("Normal", "NodeReady", "Node akswin000001 status is now: NodeReady"),
        ("Normal", "NodeHasSufficientMemory", "Node akswin000001 status is now: NodeHasSufficientMemory"),
        ("Normal", "NodeHasNoDiskPressure", "Node akswin000001 status is now: NodeHasNoDiskPressure"),
        ("Normal", "NodeHasSufficientPID", "Node akswin000001 status is now: NodeHasSufficientPID"),
        ("Normal", "Starting", "Starting kubelet."),
        ("Warning", "Rebooted", "Node akswin000001 has been rebooted, boot id: 954314ff"),
        ("Normal", "NodeNotSchedulable", "Node akswin000001 status is now: NodeNotSchedulable"),
        ("Normal", "RemovingNode", "Node akswin000001 event: Removing Node akswin000001 from Controller"),
        ("Normal", "DeletingNode", "Node akswin000001 event: Deleting node akswin000001 because it does not exist"),
        ("Normal", "Shutdown", "Shutdown manager detected shutdown event"),
        ("Warning", "Unhealthy", "Liveness probe failed: HTTP probe failed with statuscode: 500"),
        (
            "Warning",
            "FailedKillPod",
            "error killing pod: failed to \"KillContainer\" for \"cd\" with KillContainerError",
        ),
        ("Warning", "FailedToUpdateEndpoint", "Failed to update endpoint default/web: the object has been modified"),
        ("Normal", "Preempting", "Preempted by pod 6e7b2d6b on node akswin000001"),
        ("Normal", "TaintManagerEviction", "Cancelling deletion of Pod sitecore/cd-7d9f8b6c5d-x2x4b"),
        ("Warning", "NetworkNotReady", "network is not ready: container runtime network not ready: NetworkReady=false"),
        ("Normal", "NoVMEventScheduled", "Node condition VMEventScheduled is now: False, reason: NoVMEventScheduled"),
        (
            "Normal",
            "ContainerdIsHealthy",
            "Node condition ContainerRuntimeProblem is now: False, reason: ContainerdIsHealthy",
        ),
        ("Warning", "BackOff", "Back-off 10s restarting"),
        ("Warning", "InvalidDiskCapacity", "invalid capacity 0 on image filesystem"),
        ("Warning", "Unhealthy", "Readiness probe failed: Get \"http://10.0.0.7/\": context deadline exceeded"),
        ("Warning", "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503"),
        ("Warning", "FailedScheduling", "0/4 nodes are available: 4 Insufficient memory."),
        (
            "Warning",
            "FailedMount",
            "MountVolume.SetUp failed for volume \"c\" : failed to sync secret cache: timed out",
        ),
        ("Warning", "DNSConfigForming", "Nameserver limits were exceeded, some nameservers have been omitted"),
    ];
    for (event_type, reason, message) in events {
        for id in matched(&matcher, &event(event_type, reason, message)) {
            // What is said once in healthy life may be a fault when it is said all the time.
            let trigger = matcher.rules().get(&id).unwrap().trigger;
            assert!(trigger.matches >= 4 || id == "node-reboots", "{reason}: {message}: {id}");
        }
    }
    let lines = [
        "[2026-11-22T14:51:03.000Z][LOGMONITOR] INFO: Entrypoint processs exit code: 0",
        "GET /errors/216 200 3ms",
        "{\"level\":\"info\",\"msg\":\"connected\",\"error\":null,\"retries\":0}",
        "INFO  o.s.b.StartupInfo: Started App in 4.2 seconds (JVM running for 4.9)",
        "WARN: retrying after error: connection reset by peer",
        "2026/11/22 14:51:03 http: TLS handshake error from 10.0.0.7:51234: EOF",
        "java.lang.IllegalStateException: handled\n\tat com.example.App.main(App.java:7)",
        "Traceback (most recent call last):",
        "panic button pressed by user 7, nothing fatal, no error",
        "disk usage 71 %, memory 48 %, 12 GB space left on device /dev/sda1",
        "kubelet: \"SyncLoop (PLEG): event for pod\" pod=\"default/web-0\" event={Type:ContainerStarted}",
        "nf_conntrack version 0.5.0 (16384 buckets, 65536 max)",
        "EXT4-fs (sda1): mounted filesystem with ordered data mode. Opts: (null)",
        "oom_score_adj set to 1000, out of memory handler installed",
        "DNS lookup of db.prod took 3 ms",
    ];
    for line in lines {
        assert_eq!(matched(&matcher, &log(line)), [] as [&str; 0], "{line}");
    }
}

/// Two bad files; every mistake is named with its place and what would be right.
#[test]
fn mistakes_in_rule_files_are_all_told() {
    let directory = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/rules/bad"));
    let (mut out, mut err) = (Vec::new(), Vec::new());
    assert_eq!(rules_command::check(directory, &mut out, &mut err).unwrap(), BAD_RULES);
    let told = String::from_utf8(err).unwrap().replace(&directory.display().to_string(), "bad");
    assert_eq!(told, include_str!("rules/bad.expected"));
    assert!(out.is_empty());
}
