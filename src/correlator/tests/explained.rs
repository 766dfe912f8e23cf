//! What stands behind an alert, for those who ask.

use super::*;
use crate::localizer::{Change, Doubt};

fn settled(explain: bool) -> Cluster {
    let mut cluster = Cluster::settled();
    cluster.correlator.options.explain = explain;
    cluster
}

/// Old crash-loopers elsewhere and on the node, one other failure, then two pods on the node; it is cured in the end.
fn play(cluster: &mut Cluster) {
    let event = Some(EventCount { uid: "old".into(), count: 200 });
    let old = Match { event, ..matched(at(cluster.now), "pod-back-off", &[]) };
    cluster.step(|report| {
        report.pods.push(Cluster::pod("old-n2", "old", "n2"));
        report.matches.push(Match { pod: Some(report.pods.len() as u32 - 1), ..old });
    });
    cluster.fail("web", "n4", "panicked", &[]);
    cluster.fail_entrypoint("api", "n2");
    cluster.fail_entrypoint("agent", "n2");
    cluster.run(10);
    cluster.start("api", "n2");
    cluster.start("agent", "n2");
    cluster.run(300);
}

#[test]
fn explaining_changes_no_alert_and_costs_nothing_unless_asked() {
    let (mut silent, mut telling) = (settled(false), settled(true));
    play(&mut silent);
    play(&mut telling);
    assert_eq!(silent.alerts, telling.alerts);
    assert!(silent.explanations.is_empty());
    assert_eq!(telling.explanations.len(), telling.alerts.len());
    assert_eq!(telling.alerts.len(), 2, "fires, and is resolved");
    assert!(silent.correlator.incidents.values().all(|incident| incident.grounds.is_none()));
}

#[test]
fn an_explanation_says_who_spoke_and_who_was_left_out() {
    let mut cluster = settled(true);
    play(&mut cluster);
    let firing = &cluster.explanations[0];
    let comparison = firing.comparison.as_ref().unwrap();
    let best = &comparison.account.hypotheses[0];
    assert_eq!(best.suspect, cluster.alerts[0].suspect);
    assert_eq!(best.evidence, cluster.alerts[0].evidence);
    assert!((best.probability * comparison.account.trust - cluster.alerts[0].probability).abs() < 1e-3);
    let speakers: Vec<_> = firing.speakers.iter().map(|pod| (&*pod.pod, pod.state, pod.counted)).collect();
    assert_eq!(speakers, [("shop/agent-n2", State::Fails, true), ("shop/api-n2", State::Fails, true)]);
    // Those of the table: exposed, without the failing ones.
    let told: u64 = comparison.witnesses.alike.iter().map(|witness| witness.count).sum();
    let evidence = best.evidence;
    let compared = evidence.exposed_pods - evidence.failing_pods + evidence.exposed_elsewhere;
    assert_eq!(told + comparison.witnesses.others, compared);
    let left_out: Vec<_> = comparison.left_out.pods.iter().map(|(pod, _, reason)| (&**pod, *reason)).collect();
    assert_eq!(left_out, [("shop/old-n2", Reason::Chronic), ("shop/web-n4", Reason::OtherSignature)]);
    assert!(!comparison.what_if.is_empty());

    let resolved = &cluster.explanations[1];
    assert_eq!(resolved.comparison, None);
    let states: Vec<_> = resolved.speakers.iter().map(|pod| (&*pod.pod, pod.state, pod.counted)).collect();
    let expected = [("shop/agent-n2", State::RunsAgain, true), ("shop/api-n2", State::RunsAgain, true)];
    assert_eq!(states, expected);
}

#[test]
fn a_suspicion_says_what_would_confirm_it() {
    let mut cluster = settled(true);
    cluster.running.insert("api-more-n2".into(), ("api".into(), "n2".into()));
    cluster.run(60);
    cluster.fail_entrypoint("api", "n2");
    cluster.running.remove("api-more-n2");
    let second = matched(at(cluster.now), "entrypoint-failed", &[("code", "216")]);
    cluster.step(|report| {
        report.pods.push(Cluster::pod("api-more-n2", "api", "n2"));
        report.matches.push(Match { pod: Some(report.pods.len() as u32 - 1), ..second });
    });
    cluster.run(200);
    assert_eq!(cluster.told(), [(FIRING, Node, "n2", Suspected)]);
    let comparison = cluster.explanations[0].comparison.as_ref().unwrap();
    assert_eq!(comparison.account.hypotheses[0].guard, Err(Doubt::OneWorkload));
    let confirms = |change: &Change| matches!(change, Change::OthersFailOnNode { pods: 1, .. });
    let lift = comparison.what_if.iter().find(|answer| confirms(&answer.change)).unwrap();
    assert!(lift.then.guarded && lift.then.probability > 0.8, "{lift:?}");
}
