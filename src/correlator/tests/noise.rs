//! What a real cluster has beside its faults: flakes, crash loops of long ago, drains, jumps of time.

use super::*;

#[test]
fn a_pod_that_ran_well_in_between_fails_anew() {
    let mut cluster = Cluster::settled();
    // Each run is much longer than those before: it does not crash after so and so long.
    for well in [150, 320, 700] {
        cluster.fail_entrypoint("api", "n2");
        cluster.start("api", "n2");
        cluster.run(well);
    }
    assert_eq!(cluster.told(), [], "a crash now and then is no failing pod");
}

#[test]
fn stray_crashes_on_one_node_do_not_accuse_it() {
    let mut cluster = Cluster::settled();
    cluster.run(60);
    for workload in ["api", "web"] {
        cluster.fail(workload, "n2", "program-crashed", &[]);
        cluster.start(workload, "n2");
    }
    cluster.run(600);
    assert_eq!(cluster.told(), []);
}

#[test]
fn crash_loops_of_long_ago_are_no_part_of_a_new_fault() {
    let mut cluster = Cluster::settled();
    // First heard of with high counts: they have been at it for hours.
    for (number, node) in [(1, "n1"), (2, "n3"), (3, "n4")] {
        let pod = format!("old{number}-{node}");
        let event = Some(EventCount { uid: pod.as_str().into(), count: 200 });
        let matched = Match { event, ..matched(at(cluster.now), "pod-back-off", &[]) };
        cluster.step(|report| {
            report.pods.push(Cluster::pod(&pod, &format!("old{number}"), node));
            report.matches.push(Match { pod: Some(report.pods.len() as u32 - 1), ..matched });
        });
    }
    for workload in ["api", "web", "agent"] {
        cluster.fail(workload, "n2", "pod-back-off", &[]);
    }
    cluster.run(20);
    assert_eq!(cluster.told(), [(FIRING, Node, "n2", Confirmed)]);
}

#[test]
fn a_node_that_left_ends_its_incident() {
    let mut cluster = Cluster::settled();
    cluster.fail_entrypoint("api", "n2");
    cluster.fail_entrypoint("agent", "n2");
    cluster.run(10);
    cluster.running.retain(|_, (_, node)| node != "n2");
    cluster.change_node("n2", ChangeKind::NodeRemoved, None);
    cluster.run(130);
    assert_eq!(cluster.told().last(), Some(&(RESOLVED, Node, "n2", Confirmed)));
}

#[test]
fn pods_that_were_replaced_elsewhere_are_gone() {
    let mut cluster = Cluster::settled();
    cluster.fail_entrypoint("api", "n2");
    cluster.fail_entrypoint("agent", "n2");
    cluster.running.retain(|_, (_, node)| node != "n2");
    cluster.run(30);
    cluster.running.insert("api-new".into(), ("api".into(), "n1".into()));
    cluster.running.insert("agent-new".into(), ("agent".into(), "n3".into()));
    cluster.run(360);
    assert_eq!(cluster.told().last(), Some(&(RESOLVED, Node, "n2", Confirmed)));
    assert!(cluster.alerts[1].summary.contains("2 pods were rescheduled to n1, n3"), "{}", cluster.alerts[1].summary);
}

#[test]
fn what_the_control_plane_says_of_a_pod_is_no_sign_of_life_of_its_node() {
    let mut cluster = Cluster::settled();
    cluster.fail_entrypoint("api", "n2");
    cluster.fail_entrypoint("agent", "n2");
    cluster.running.retain(|_, (_, node)| node != "n2");
    cluster.run(320);
    // An eviction, say: about a pod of the node, by a controller that runs elsewhere.
    let matched = matched(at(cluster.now), "program-crashed", &[]);
    cluster.step(|report| {
        report.pods.push(Pod { node: None, ..Cluster::pod("web-n2", "web", "n2") });
        report.matches.push(Match { pod: Some(report.pods.len() as u32 - 1), ..matched });
    });
    cluster.run(300);
    assert_eq!(cluster.told(), [(FIRING, Node, "n2", Confirmed)]);
}

#[test]
fn a_failure_that_spreads_is_told_when_it_is_seen_whole() {
    let mut cluster = Cluster::settled();
    let (workloads, nodes) = (["api", "web", "agent"], ["n1", "n2", "n3", "n4"]);
    // 3 and 4 share no divisor: this goes through all pairs, never the same workload or node twice in a row.
    for step in 0..12 {
        cluster.fail_entrypoint(workloads[step % 3], nodes[step % 4]);
    }
    cluster.run(30);
    let told: Vec<_> = cluster.told().into_iter().map(|(_, scope, ..)| scope).collect();
    assert_eq!(told, [Scope::Cluster]);
}

#[test]
fn a_jump_of_event_time_is_not_stepped_through() {
    let mut cluster = Cluster::settled();
    cluster.fail_entrypoint("api", "n2");
    cluster.fail_entrypoint("agent", "n2");
    cluster.run(10);
    let before = cluster.counts.evaluations;
    cluster.now += 50 * 365 * 24 * 3600;
    cluster.run(1);
    assert!(cluster.counts.evaluations - before < 300, "{}", cluster.counts.evaluations - before);
}

#[test]
fn one_event_counts_for_every_rule_that_it_matches() {
    let mut cluster = Cluster::settled();
    for count in [1, 3] {
        let event = Some(EventCount { uid: "e1".into(), count });
        for rule in ["pod-back-off", "panicked"] {
            let matched = Match { event: event.clone(), ..matched(at(cluster.now), rule, &[]) };
            cluster.step(|report| report.matches.push(Match { pod: Some(0), ..matched }));
        }
    }
    let rules = &cluster.correlator.failures.pods["shop/agent-n1"].rules;
    assert_eq!((rules["pod-back-off"].matches, rules["panicked"].matches), (3, 3));
}

#[test]
fn two_old_crash_loops_on_one_node_do_not_accuse_it() {
    let mut cluster = Cluster::settled();
    for (workload, count) in [("old1", 251), ("old2", 227)] {
        for repeat in 0..2 {
            let pod = format!("{workload}-n2");
            let event = Some(EventCount { uid: workload.into(), count: count + repeat });
            let matched = Match { event, ..matched(at(cluster.now), "pod-back-off", &[]) };
            cluster.step(|report| {
                report.pods.push(Cluster::pod(&pod, workload, "n2"));
                report.matches.push(Match { pod: Some(report.pods.len() as u32 - 1), ..matched });
            });
            cluster.run(100);
        }
    }
    assert!(cluster.correlator.failures.pods.values().all(|failing| failing.chronic));
    assert!(
        cluster.told().iter().all(|(_, scope, _, verdict)| *scope != Node || *verdict != Confirmed),
        "{:?}",
        cluster.told()
    );
}

#[test]
fn a_short_recording_ends_with_its_suspicion() {
    let mut cluster = Cluster::new();
    for node in ["n1", "n2", "n3"] {
        for workload in ["api", "web", "agent"] {
            cluster.start(workload, node);
        }
    }
    cluster.run(31);
    cluster.fail_entrypoint("api", "n2");
    cluster.fail_entrypoint("agent", "n2");
    cluster.run(5);
    assert_eq!(cluster.told(), []);
    let mut report = cluster.report(|_| {});
    report.partitions[0].ended = true;
    cluster.apply(&report);
    assert_eq!(cluster.told(), [(FIRING, Node, "n2", Suspected)]);
    assert!(cluster.alerts[0].notes[0].contains("watched for less than 60 s"));
}

#[test]
fn what_a_first_report_brings_is_evaluated_in_its_own_time() {
    let mut cluster = Cluster::new();
    for node in ["n1", "n2", "n3"] {
        for workload in ["api", "web", "agent"] {
            cluster.start(workload, node);
        }
    }
    // All of it in one report whose watermark is days later.
    let mut report = cluster.report(|_| {});
    for (pod, second) in [("api-n2", 100), ("agent-n2", 110)] {
        let index = report.pods.iter().position(|known| &*known.name == pod).unwrap() as u32;
        report.matches.push(Match { pod: Some(index), ..matched(at(second), "entrypoint-failed", &[]) });
    }
    report.partitions[0].watermark = Some(at(4 * 24 * 3600));
    cluster.apply(&report);
    assert_eq!(cluster.told().first(), Some(&(FIRING, Node, "n2", Confirmed)));
}

#[test]
fn a_crash_looper_of_last_week_is_no_part_of_its_nodes_incident() {
    let mut cluster = Cluster::settled();
    let old = |cluster: &mut Cluster, count: u32| {
        let event = Some(EventCount { uid: "old".into(), count });
        let matched = Match { event, ..matched(at(cluster.now), "pod-back-off", &[]) };
        cluster.step(|report| {
            report.pods.push(Cluster::pod("old-n2", "old", "n2"));
            report.matches.push(Match { pod: Some(report.pods.len() as u32 - 1), ..matched });
        });
    };
    old(&mut cluster, 200);
    cluster.fail_entrypoint("api", "n2");
    cluster.fail_entrypoint("agent", "n2");
    cluster.run(30);
    old(&mut cluster, 201);
    cluster.start("api", "n2");
    cluster.start("agent", "n2");
    cluster.run(150);
    assert_eq!(cluster.told(), [(FIRING, Node, "n2", Confirmed), (RESOLVED, Node, "n2", Confirmed)]);
    let members: Vec<_> = cluster.alerts[1].failing.iter().map(|pod| &*pod.pod).collect();
    assert_eq!(members, ["agent-n2", "api-n2"]);
}
