//! What a change of rules leaves standing.

use super::*;

const NOTHING: &str = "- {id: other, title: Other, severity: info, match: {log: {all: [other]}}}";

/// The rules without one of them.
fn without(id: &str) -> String {
    let rules = RULES.split("\n- id: ").filter(|rule| !rule.trim().is_empty() && !rule.starts_with(id));
    rules.map(|rule| format!("\n- id: {rule}")).collect()
}

fn one_failing() -> Cluster {
    let mut cluster = Cluster::settled();
    cluster.fail_entrypoint("api", "n2");
    cluster.run(9);
    cluster
}

#[test]
fn what_unchanged_rules_saw_stays() {
    let mut cluster = one_failing();
    cluster.set_rules(&without("panicked").replace("Entrypoint did not start", "Another title"));
    cluster.fail_entrypoint("agent", "n2");
    cluster.run(10);
    assert_eq!(cluster.told(), [(FIRING, Node, "n2", Confirmed)]);
    assert_eq!(cluster.alerts[0].signals[0].pods, 2, "one of before the change, one of after it");
}

#[test]
fn what_removed_and_changed_rules_saw_is_forgotten() {
    let other_text = RULES.replace("Failed to start entrypoint", "Failed to start the entrypoint");
    let other_scope =
        RULES.replace("severity: critical\n  match: {log", "severity: critical\n  scope: node\n  match: {log");
    for rules in [without("entrypoint-failed"), other_text, other_scope] {
        let mut cluster = one_failing();
        assert_eq!(cluster.correlator.sizes().failing_pods, 1);
        cluster.set_rules(&rules);
        assert_eq!(cluster.correlator.sizes().failing_pods, 0, "{rules}");
        assert!(cluster.correlator.windows.is_empty());
        cluster.run(900);
        assert_eq!(cluster.told(), []);
    }
}

#[test]
fn a_pod_keeps_what_other_rules_saw_of_it() {
    let mut cluster = Cluster::settled();
    cluster.fail("api", "n2", "program-crashed", &[]);
    let second = at(cluster.now);
    cluster.fail("api", "n2", "panicked", &[]);
    cluster.set_rules(&without("program-crashed"));
    let failing = &cluster.correlator.failures.pods["shop/api-n2"];
    assert_eq!((failing.first, failing.last, failing.matches), (second, second, 1));
    assert_eq!(failing.rules.keys().map(|id| &**id).collect::<Vec<_>>(), ["panicked"]);
}

#[test]
fn generic_rules_are_found_anew() {
    let mut cluster = Cluster::settled();
    assert!(cluster.correlator.generic_rules.contains("pod-back-off"));
    cluster.set_rules(&RULES.replace("pod-back-off", "back-off"));
    assert_eq!(cluster.correlator.generic_rules.iter().map(|id| &**id).collect::<Vec<_>>(), ["back-off"]);
}

#[test]
fn an_incident_outlives_its_rules_and_ends_like_any_other() {
    let mut cluster = one_failing();
    cluster.fail_entrypoint("agent", "n2");
    cluster.run(10);
    assert_eq!(cluster.told(), [(FIRING, Node, "n2", Confirmed)]);
    cluster.set_rules(NOTHING);
    cluster.run(60);
    assert_eq!(cluster.alerts.len(), 1, "nothing says that it is over");
    cluster.start("api", "n2");
    cluster.start("agent", "n2");
    cluster.run(360);
    assert_eq!(cluster.told().last(), Some(&(RESOLVED, Node, "n2", Confirmed)));
    let resolved = &cluster.alerts[1];
    assert!(resolved.summary.contains("run again"), "{}", resolved.summary);
    assert_eq!((resolved.signals.len(), resolved.severity), (0, crate::signature::Severity::Critical));
}

#[test]
fn a_node_that_accused_itself_by_a_rule_that_is_gone_does_not_end_at_once() {
    let mut cluster = Cluster::settled();
    cluster.change_node("n3", ChangeKind::NodeNotReady, Some("node-not-ready"));
    cluster.run(250);
    assert_eq!(cluster.told(), [(FIRING, Node, "n3", Confirmed)]);
    cluster.set_rules(NOTHING);
    cluster.run(20);
    assert_eq!(cluster.alerts.len(), 1);
    cluster.run(600);
    assert_eq!(cluster.told().last(), Some(&(RESOLVED, Node, "n3", Confirmed)));
    assert_eq!(cluster.alerts.len(), 2);
}
