//! What an alert says about its node, beside the counts.

use super::*;

/// A node that fails two pods; events are read.
fn broken_node() -> Cluster {
    let mut cluster = Cluster::settled();
    cluster.change_node("n4", ChangeKind::NodeUncordoned, None);
    cluster.fail_entrypoint("api", "n2");
    cluster.fail_entrypoint("agent", "n2");
    cluster
}

fn place(cluster: &mut Cluster, workload: &str, node: &str) {
    let time = at(cluster.now);
    let name = format!("{workload}-{node}");
    cluster.step(|report| {
        report.pods.push(Cluster::pod(&name, workload, node));
        let pod = Some(report.pods.len() as u32 - 1);
        report.changes.push(Change { partition: 0, offset: 0, time, kind: ChangeKind::PodPlaced, pod, node: None });
    });
}

#[test]
fn a_broken_node_that_nothing_calls_unready_still_counts_as_ready() {
    let mut cluster = broken_node();
    cluster.run(10);
    let summary = &cluster.alerts[0].summary;
    assert!(summary.ends_with("; the node still counts as ready"), "{summary}");
}

#[test]
fn without_events_nothing_is_said_of_readiness() {
    let mut cluster = Cluster::settled();
    cluster.fail_entrypoint("api", "n2");
    cluster.fail_entrypoint("agent", "n2");
    cluster.run(10);
    assert!(!cluster.alerts[0].summary.contains("ready"), "{}", cluster.alerts[0].summary);
}

#[test]
fn a_node_that_went_unready_is_the_same_incident_and_says_so() {
    let mut cluster = broken_node();
    cluster.run(10);
    cluster.change_node("n2", ChangeKind::NodeNotReady, Some("node-not-ready"));
    cluster.correlator.options.alerts.renotify = Duration::from_secs(60);
    cluster.run(90);
    assert_eq!(cluster.told(), [(FIRING, Node, "n2", Confirmed), (FIRING, Node, "n2", Confirmed)]);
    assert_eq!(cluster.alerts[0].dedup_key, cluster.alerts[1].dedup_key);
    let summary = &cluster.alerts[1].summary;
    assert!(summary.contains("; the node is NotReady since 2023-11-14T22:15:"), "{summary}");
}

#[test]
fn what_is_read_ahead_of_the_evaluation_is_not_said_yet() {
    let mut cluster = broken_node();
    let time = at(cluster.now + 60);
    let (kind, node) = (ChangeKind::NodeNotReady, Some("n2".into()));
    cluster.step(|report| report.changes.push(Change { partition: 0, offset: 0, time, kind, pod: None, node }));
    cluster.run(10);
    let summary = &cluster.alerts[0].summary;
    assert!(summary.ends_with("; the node still counts as ready"), "{summary}");
}

#[test]
fn a_node_that_draws_new_pods_and_fails_them_is_said_to() {
    let mut cluster = broken_node();
    cluster.correlator.options.alerts.renotify = Duration::from_secs(60);
    cluster.run(10);
    for workload in ["web", "cart", "mail"] {
        place(&mut cluster, workload, "n2");
        cluster.fail_entrypoint(workload, "n2");
    }
    cluster.run(60);
    assert!(!cluster.alerts[0].summary.contains("draws"), "{}", cluster.alerts[0].summary);
    let summary = &cluster.alerts[1].summary;
    let words =
        "; it still draws new pods (3 since the first failure) and they fail too; the node still counts as ready";
    assert!(summary.ends_with(words), "{summary}");
}

#[test]
fn the_end_says_what_happened_to_the_pods() {
    let mut cluster = broken_node();
    cluster.run(60);
    for workload in ["api", "agent"] {
        let pod = cluster.start(workload, "n2");
        let time = at(cluster.now);
        cluster.step(|report| {
            report.pods.push(Cluster::pod(&pod, workload, "n2"));
            let pod = Some(report.pods.len() as u32 - 1);
            report.changes.push(Change {
                partition: 0,
                offset: 0,
                time,
                kind: ChangeKind::PodStarted,
                pod,
                node: None,
            });
        });
    }
    cluster.run(150);
    let end = cluster.alerts.last().unwrap();
    assert_eq!(end.status, RESOLVED);
    assert!(end.summary.starts_with("Node n2: resolved: 2 pods started again on the same node"), "{}", end.summary);
}

#[test]
fn each_pod_that_was_replaced_has_a_successor_of_its_own() {
    let mut cluster = Cluster::settled();
    for node in ["n1", "n2", "n3"] {
        cluster.fail("cart", node, "panicked", &[]);
    }
    cluster.run(30);
    // Rolled back: two pods on two nodes instead of three.
    for node in ["n4", "n1"] {
        cluster.running.insert(format!("cart-old-{node}"), ("cart".into(), node.into()));
    }
    cluster.run(400);
    let end = cluster.alerts.last().unwrap();
    assert_eq!(end.status, RESOLVED);
    let words = "1 pod started again on the same node, 1 pod was rescheduled to n4, 1 pod is gone";
    assert!(end.summary.contains(words), "{}", end.summary);
}

#[test]
fn an_action_takes_no_name_that_a_shell_would_run() {
    let mut cluster = Cluster::settled();
    for workload in ["api", "web"] {
        cluster.fail_entrypoint(workload, "n2; reboot");
    }
    cluster.run(10);
    assert_eq!(cluster.alerts[0].suspect.name(), "n2; reboot");
    assert_eq!(cluster.alerts[0].action.as_deref(), Some("kubectl cordon <node>"));
}
