//! Bounds of the state, and that nobody who takes up much of it pushes out others.

use super::*;
use crate::correlator::bounds::Spoken;

/// A pod of another namespace, which writes once.
fn other_pod(namespace: &str, name: &str, node: &str) -> Pod {
    Pod { namespace: namespace.into(), workload: format!("{namespace}/w").into(), ..Cluster::pod(name, "w", node) }
}

/// Writes lines, or fails.
fn say(report: &mut Report, pod: Pod, now: Timestamp, rule: Option<&str>) {
    let pod_index = report.pods.len() as u32;
    report.pods.push(pod);
    match rule {
        Some(rule) => report.matches.push(Match { pod: Some(pod_index), ..matched(now, rule, &[("code", "5")]) }),
        None => report.presence.push(Presence { pod: pod_index, first: now, last: now, records: 1 }),
    }
}

#[test]
fn pods_beyond_the_bound_push_out_the_longest_silent() {
    let mut cluster = Cluster::new();
    cluster.correlator.inventory = Inventory::new(Limits { pods: 32, ..Limits::default() });
    for wave in 0..20 {
        cluster.running.clear();
        for n in 0..8 {
            cluster.start(&format!("w{wave}-{n}"), "n1");
        }
        cluster.run(1);
        assert!(cluster.correlator.sizes().pods <= 32);
    }
    assert!(cluster.counts.evicted_pods > 0);
    assert!(cluster.correlator.inventory.pods.contains_key("shop/w19-0-n1"), "the newest stay");
}

#[test]
fn beyond_the_bound_incidents_are_counted_not_told_in_turns() {
    let mut cluster = Cluster::settled();
    cluster.correlator.options.limits.incidents = 1;
    for workload in ["api", "agent"] {
        cluster.fail_entrypoint(workload, "n2");
    }
    for node in ["n1", "n3", "n4"] {
        cluster.fail("web", node, "panicked", &[]);
    }
    cluster.run(120);
    assert_eq!(cluster.alerts.len(), 1);
    assert!(cluster.counts.untold_incidents > 0);
}

#[test]
fn node_names_without_end_do_not_grow_the_windows_without_end() {
    let mut cluster = Cluster::settled();
    cluster.correlator.options.limits.failing_pods = 10;
    for number in 0..50 {
        cluster.fail_entrypoint("api", &format!("made-up-{number}"));
    }
    assert!(cluster.correlator.windows.len() <= 10);
    assert!(cluster.counts.evicted_failing_pods > 0);
}

#[test]
fn a_namespace_of_ever_new_pods_pushes_out_its_own() {
    let mut cluster = Cluster::settled();
    cluster.correlator.inventory.set_limits(Limits { pods: 64, ..Limits::default() });
    cluster.running.clear();
    for wave in 0..40 {
        let now = at(cluster.now);
        cluster.step(|report| {
            (0..20).for_each(|n| say(report, other_pod("loud", &format!("w{wave}-{n}"), "n9"), now, None));
        });
    }
    let inventory = &cluster.correlator.inventory;
    let quiet = inventory.pods.keys().filter(|pod| pod.starts_with("shop/")).count();
    assert_eq!((quiet, inventory.pods.len() <= 64), (12, true), "the quiet ones stay, though they are older");
    assert!(cluster.counts.evicted_pods > 700, "{:?}", cluster.counts);
    assert!(inventory.pods.contains_key("loud/w39-19"), "the newest stay");
}

#[test]
fn nodes_that_one_namespace_makes_up_go_before_those_that_others_vouch_for() {
    let mut cluster = Cluster::settled();
    let now = at(cluster.now);
    cluster.step(|report| {
        ["n1", "n2", "n3", "n4"]
            .iter()
            .for_each(|node| say(report, other_pod("kube-system", "proxy", node), now, None));
    });
    cluster.change_node("n5", ChangeKind::NodeReady, None);
    cluster.running.clear();
    cluster.correlator.inventory.set_limits(Limits { nodes: 8, ..Limits::default() });
    for wave in 0..100 {
        let now = at(cluster.now);
        cluster.step(|report| say(report, other_pod("loud", "p", &format!("made-up-{wave}")), now, None));
    }
    let nodes: Vec<&str> = cluster.correlator.inventory.nodes.keys().map(|node| &**node).collect();
    assert_eq!(nodes.len(), 8);
    assert!(["n1", "n2", "n3", "n4", "n5"].iter().all(|node| nodes.contains(node)), "{nodes:?}");
}

#[test]
fn a_namespace_of_failing_pods_pushes_out_its_own_from_failures_and_windows() {
    let mut cluster = Cluster::settled();
    cluster.correlator.options.limits.failing_pods = 32;
    cluster.fail_entrypoint("api", "n2");
    cluster.fail_entrypoint("web", "n3");
    for wave in 0..100 {
        let now = at(cluster.now);
        cluster.step(|report| {
            let made_up = |n| (other_pod("loud", &format!("w{wave}-{n}"), &format!("made-up-{wave}-{n}")), "panicked");
            (0..5).map(made_up).for_each(|(pod, rule)| say(report, pod, now, Some(rule)));
            let same_node = other_pod("loud", &format!("s{wave}"), "n1");
            say(report, same_node, now, Some("panicked"));
        });
    }
    let correlator = &cluster.correlator;
    for (pod, node) in [("shop/api-n2", "n2"), ("shop/web-n3", "n3")] {
        assert!(correlator.failures.pods.contains_key(pod), "{pod}");
        assert!(correlator.windows.contains_key(&(Some(node.into()), "entrypoint-failed".into())), "{node}");
    }
    assert!(correlator.failures.pods.len() <= 32 && correlator.windows.len() <= 32);
    let of_n1 = &correlator.windows[&(Some("n1".into()), "panicked".into())];
    let known = of_n1.pods(Duration::from_secs(5), at(cluster.now), Duration::from_secs(600)).count();
    assert!(known <= 64, "windows know no more pods than twice as many as may fail: {known}");
}

#[test]
fn pods_of_one_namespace_never_take_all_incidents() {
    let mut cluster = Cluster::settled();
    cluster.correlator.options.limits.incidents = 8;
    let rules = (0..12).map(|n| format!("- {{id: r{n}, title: t, severity: error, match: {{log: {{all: [x]}}}}}}\n"));
    cluster.set_rules(&(RULES.to_owned() + &rules.collect::<String>()));
    for _ in 0..40 {
        let now = at(cluster.now);
        // Each has a signature of its own: a story of its own.
        cluster.step(|report| {
            for n in 0..12 {
                let pod = other_pod("loud", &format!("p{n}"), &format!("m{n}"));
                let pod = Pod { workload: format!("loud/w{n}").into(), ..pod };
                say(report, pod, now, Some(&format!("r{n}")));
            }
        });
        cluster.run(9);
    }
    let open = cluster.correlator.incidents.len();
    assert!(cluster.counts.untold_incidents > 0 && open == 4, "{open}: {:?}", cluster.counts);
    cluster.fail_entrypoint("api", "n2");
    cluster.fail_entrypoint("agent", "n2");
    cluster.run(60);
    let told = cluster.told();
    assert!(told.contains(&(FIRING, Node, "n2", Confirmed)), "{told:?}");
}

#[test]
fn event_counts_are_kept_of_those_who_have_few() {
    let mut cluster = Cluster::settled();
    cluster.correlator.options.limits.pods = 32;
    let mut tell = |namespace: &str, uid: &str, count| {
        let now = at(cluster.now);
        let event = EventCount { uid: uid.into(), count };
        cluster.step(|report| {
            say(report, other_pod(namespace, "p", "n1"), now, Some("pod-back-off"));
            report.matches.iter_mut().for_each(|matched| matched.event = Some(event.clone()));
        });
        cluster.counts.matches
    };
    let before = tell("quiet", "steady", 1);
    (0..100).for_each(|n| _ = tell("loud", &format!("u{n}"), 1));
    assert_eq!(tell("quiet", "steady", 1), before + 100, "what it counted is still known");
    assert!(cluster.correlator.event_counts.len() <= 32 && cluster.counts.evicted_event_counts > 0);
}

#[test]
fn of_a_pod_that_matches_everything_few_details_are_kept() {
    let mut cluster = Cluster::settled();
    let rules: Vec<String> = (0..20)
        .map(|n| format!("- {{id: r{n}, title: t, severity: error, match: {{log: {{all: [x], regex: 'x(?P<v>.)'}}}}}}"))
        .collect();
    cluster.set_rules(&rules.join("\n"));
    for n in 0..40 {
        cluster.fail("api", "n1", &format!("r{}", n % 20), &[("v", &n.to_string())]);
    }
    let kept = &cluster.correlator.failures.pods["shop/api-n1"].rules;
    assert_eq!((kept.len(), kept.values().filter(|stat| stat.sample.is_some()).count()), (20, 8));
    assert!(kept.values().all(|stat| stat.matches == 2));
    assert_eq!(cluster.counts.left_out_captures, 24);
}

#[test]
fn values_beyond_the_bound_are_left_out_and_counted() {
    let mut cluster = Cluster::settled();
    for n in 0..25 {
        cluster.fail("api", "n1", "entrypoint-failed", &[("code", &n.to_string())]);
    }
    let captures = &cluster.correlator.failures.pods["shop/api-n1"].rules["entrypoint-failed"].captures;
    assert_eq!((captures["code"].len(), cluster.counts.left_out_captures), (20, 5));
}

#[test]
fn an_alert_that_does_not_name_all_is_counted() {
    let mut cluster = Cluster::settled();
    cluster.correlator.options.limits.failing_in_alert = 1;
    cluster.correlator.options.limits.candidates_in_alert = 1;
    cluster.fail_entrypoint("api", "n2");
    cluster.fail_entrypoint("agent", "n2");
    cluster.run(30);
    assert_eq!((cluster.alerts[0].failing.len(), cluster.alerts[0].candidates.len()), (1, 1));
    assert_eq!((cluster.counts.shortened_failing, cluster.counts.shortened_candidates), (1, 1));
}

#[test]
fn a_cluster_may_go_once_it_is_silent_and_nothing_is_open() {
    let mut cluster = Cluster::new();
    cluster.start("api", "n1");
    cluster.run(2);
    assert!(cluster.correlator.may_go().is_some(), "a new one at once");
    cluster.run(1);
    assert!(cluster.correlator.may_go().is_none(), "one that goes on stays");
    let beat = |cluster: &mut Cluster, seconds: i64| {
        cluster.now += seconds;
        let heartbeat = Report { cluster: None, ..cluster.report(|_| {}) }.heartbeat();
        cluster.apply(&heartbeat);
    };
    beat(&mut cluster, 500);
    assert!(cluster.correlator.may_go().is_none());
    beat(&mut cluster, 200);
    assert!(cluster.correlator.may_go().is_some(), "it was silent for ten minutes");

    let mut failing = Cluster::settled();
    failing.fail_entrypoint("api", "n2");
    failing.fail_entrypoint("agent", "n2");
    failing.run(20);
    beat(&mut failing, 700);
    failing.correlator.spoken = Spoken::default();
    assert!(failing.correlator.may_go().is_none(), "an incident is open");
}
