//! The founding case in small: pods of three workloads fail on one Windows node, their siblings elsewhere run well.

use std::sync::Arc;

use faultline::ruleset::RuleSet;
use serde_json::json;

use super::Put;

pub const NODE: &str = "akswin000001";

pub const RULE: &str = r#"
- id: windows-entrypoint-failed
  title: Container entrypoint did not start
  severity: critical
  match:
    log:
      all: ["[LOGMONITOR] ERROR"]
      regex: 'Failed to start entrypoint process\. Error: (?P<code>\d+)'
  codes: {code: win32}
  tests:
    match: ["[LOGMONITOR] ERROR: Failed to start entrypoint process. Error: 216"]
    no_match: ["user typed LOGMONITOR"]
"#;

pub fn rules() -> Arc<RuleSet> {
    Arc::new(RuleSet::parse(&[("windows.yaml", RULE)]).expect("the rule is valid"))
}

/// Workload, pod and node of every pod.
const PODS: [(&str, &str, &str); 12] = [
    ("cd", "cd-7d4b9c6f5d-bcdfg", NODE),
    ("cd", "cd-7d4b9c6f5d-hjklm", NODE),
    ("xdbcollection", "xdbcollection-5c8f7d9b64-nqrst", NODE),
    ("omsagent-win", "omsagent-win-vwxz2", NODE),
    ("cd", "cd-7d4b9c6f5d-z2456", "akswin000000"),
    ("cd", "cd-7d4b9c6f5d-789bc", "akswin000000"),
    ("cd", "cd-7d4b9c6f5d-dfghj", "akswin000002"),
    ("cd", "cd-7d4b9c6f5d-klmnp", "akswin000002"),
    ("xdbcollection", "xdbcollection-5c8f7d9b64-qrstv", "akswin000002"),
    ("omsagent-win", "omsagent-win-wxz24", "akswin000000"),
    ("omsagent-win", "omsagent-win-56789", "akswin000002"),
    ("cm", "cm-6f7d8c9b5d-bcdfh", "akswin000000"),
];

/// Lines of container-logs as Fluent Bit writes them, over two partitions; `start_ms` is when the pods are started.
/// Two minutes of healthy chatter, then the failing pods fail three times, then chatter for another two minutes.
pub fn logs(start_ms: i64) -> Vec<Put> {
    let mut lines = Vec::new();
    for second in (0..240).step_by(10) {
        for (index, (workload, pod, node)) in PODS.iter().enumerate() {
            let fails = *node == NODE && (120..150).contains(&second);
            if *node == NODE && !fails {
                continue;
            }
            let text = if fails {
                "[LOGMONITOR] ERROR: Failed to start entrypoint process. Error: 216"
            } else {
                "GET /healthz 200 in 3 ms"
            };
            let time_ms = start_ms + second * 1000 + i64::try_from(index).expect("small");
            lines.push(Put {
                partition: i32::from(index % 2 == 1),
                timestamp_ms: Some(time_ms),
                ..Put::value(line(workload, pod, node, text, time_ms))
            });
        }
    }
    lines
}

/// One line as Fluent Bit writes it.
pub fn line(workload: &str, pod: &str, node: &str, text: &str, time_ms: i64) -> Vec<u8> {
    let value = json!({
        "@timestamp": faultline::time::Timestamp::from_millis(time_ms).to_string(),
        "log": text,
        "stream": "stdout",
        "kubernetes": {
            "pod_name": pod, "namespace_name": "sitecore", "host": node, "container_name": workload,
            "pod_id": format!("uid-{pod}"), "container_image": format!("registry.example/{workload}:10.3"),
            "labels": {"app": workload},
        },
    });
    value.to_string().into_bytes()
}

/// The scheduler's events for all pods, as a core/v1 Event each.
pub fn events(start_ms: i64) -> Vec<Put> {
    let events = PODS.iter().enumerate().map(|(index, (_, pod, node))| {
        let time_ms = start_ms + i64::try_from(index).expect("small");
        Put { timestamp_ms: Some(time_ms), ..Put::value(scheduled(pod, node, time_ms)) }
    });
    events.collect()
}

/// What the scheduler says when it has placed a pod.
pub fn scheduled(pod: &str, node: &str, time_ms: i64) -> Vec<u8> {
    let time = faultline::time::Timestamp::from_millis(time_ms).to_string();
    let value = json!({
        "kind": "Event", "apiVersion": "v1", "type": "Normal", "reason": "Scheduled", "count": 1,
        "message": format!("Successfully assigned sitecore/{pod} to {node}"),
        "metadata": {"name": format!("{pod}.1"), "namespace": "sitecore", "uid": format!("event-{pod}"),
                     "creationTimestamp": time},
        "involvedObject": {"kind": "Pod", "namespace": "sitecore", "name": pod, "uid": format!("uid-{pod}")},
        "source": {"component": "default-scheduler"}, "firstTimestamp": time, "lastTimestamp": time,
    });
    value.to_string().into_bytes()
}
