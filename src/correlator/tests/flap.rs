//! Incidents that come again and again, reminders of those that stay, and verdicts that become sure later.

use super::*;
use crate::alert::Suspect;
use crate::localizer;

/// The node is broken for a moment, and then well for `well` seconds.
fn break_for_a_moment(cluster: &mut Cluster, well: i64) {
    for workload in ["api", "agent"] {
        cluster.fail_entrypoint(workload, "n2");
    }
    cluster.run(10);
    for workload in ["api", "agent"] {
        cluster.start(workload, "n2");
    }
    cluster.run(well);
}

#[test]
fn what_begins_and_ends_again_and_again_is_said_to_flap_once() {
    let mut cluster = Cluster::settled();
    for _ in 0..8 {
        break_for_a_moment(&mut cluster, 400);
    }
    let (fires, ends) = ((FIRING, Node, "n2", Confirmed), (RESOLVED, Node, "n2", Confirmed));
    assert_eq!(cluster.told(), [fires, ends, fires, ends, fires]);
    let is_said = |alert: &Alert| alert.flapping && alert.notes.iter().any(|note| note.starts_with("flapping: "));
    assert_eq!(cluster.alerts.iter().map(is_said).collect::<Vec<_>>(), [false, false, false, false, true]);
    assert!(cluster.counts.damped >= 5, "{:?}", cluster.counts);
    // Half of `flap_within` after it was over for the last time.
    cluster.run(1800 - 400);
    assert_eq!(cluster.alerts.len(), 5);
    cluster.run(400);
    assert_eq!(cluster.told()[5..], [ends]);
    cluster.run(3600);
    break_for_a_moment(&mut cluster, 400);
    assert_eq!(cluster.told()[6..], [fires, ends], "it does not flap any more");
}

#[test]
fn a_restart_does_not_forget_that_an_incident_flaps() {
    let mut cluster = Cluster::settled();
    for round in 0..4 {
        break_for_a_moment(&mut cluster, 400);
        let saved = cluster.correlator.save().unwrap();
        let (rules, options) = (Arc::clone(&cluster.correlator.rules), cluster.correlator.options);
        cluster.correlator = Correlator::restore(&saved, rules, options).unwrap();
        assert_eq!(cluster.alerts.len(), [2, 4, 5, 5][round]);
    }
}

#[test]
fn all_beginnings_and_ends_are_told_where_that_is_wished() {
    let mut cluster = Cluster::settled();
    cluster.correlator.options.alerts.flap_times = None;
    for _ in 0..4 {
        break_for_a_moment(&mut cluster, 400);
    }
    assert_eq!(cluster.alerts.len(), 8);
}

#[test]
fn reminders_come_while_an_incident_is_open_and_are_no_news() {
    let mut cluster = Cluster::settled();
    cluster.correlator.options.alerts.remind_every = Some(Duration::from_secs(60));
    cluster.fail_entrypoint("api", "n2");
    cluster.fail_entrypoint("agent", "n2");
    let mut reminders = Vec::new();
    for _ in 0..200 {
        let report = cluster.report(|_| {});
        let outcome = cluster.correlator.apply(&report);
        reminders.extend(outcome.reminders);
        cluster.alerts.extend(outcome.alerts);
        cluster.now += 1;
    }
    assert_eq!(cluster.told(), [(FIRING, Node, "n2", Confirmed)]);
    let told = cluster.alerts[0].updated_at;
    let after: Vec<u64> = reminders.iter().map(|alert| alert.updated_at.since(told).as_secs()).collect();
    assert_eq!(after, [60, 120, 180]);
    assert!(reminders.iter().all(|alert| alert.status == FIRING && alert.dedup_key == cluster.alerts[0].dedup_key));
}

/// A wider suspicion may be open when a narrower verdict is confirmed; once it is sure too, one alert is enough.
#[test]
fn a_wider_suspicion_that_becomes_sure_ends_what_is_narrower() {
    let mut cluster = Cluster::settled();
    cluster.fail_entrypoint("api", "n2");
    cluster.fail_entrypoint("agent", "n2");
    cluster.run(10);
    let incidents = &mut cluster.correlator.incidents;
    let best = localizer::Ranked { suspect: Suspect::Cluster, ..incidents["prod/node/n2"].best.clone() };
    let suspicion = Incident::open("prod", &best, &[], at(cluster.now), at(cluster.now));
    incidents.insert(suspicion.dedup_key.clone(), suspicion);
    for node in ["n1", "n2", "n3", "n4"] {
        for workload in ["api", "web", "agent"] {
            cluster.fail_entrypoint(workload, node);
        }
    }
    cluster.run(40);
    let told = cluster.told();
    assert_eq!(told[1..], [(RESOLVED, Node, "n2", Confirmed), (FIRING, Scope::Cluster, "", Confirmed)]);
    assert_eq!(cluster.alerts[1].superseded_by.as_deref(), Some("prod/cluster"));
}

#[test]
fn what_was_over_ends_though_its_node_falls_silent() {
    for times in [None, Some(3)] {
        let mut cluster = Cluster::settled();
        cluster.correlator.options.alerts.flap_times = times;
        for _ in 0..3 {
            cluster.fail_entrypoint("api", "n2");
            cluster.fail_entrypoint("agent", "n2");
            // Others on the node go on, and the two are not heard of any more.
            cluster.run(700);
        }
        cluster.running.retain(|_, (_, node)| node != "n2");
        cluster.run(3600);
        assert!(cluster.correlator.incidents.is_empty(), "{times:?}: {:?}", cluster.told());
    }
}

/// An id is of one message: a receiver drops what it knows.
#[test]
fn what_begins_as_a_wider_suspicion_becomes_sure_is_not_told() {
    let mut cluster = Cluster::settled();
    for node in ["n1", "n2", "n3"] {
        cluster.start("batch", node);
    }
    cluster.run(120);
    let best = localizer::Ranked {
        suspect: Suspect::Cluster,
        probability: 0.6,
        evidence: crate::alert::Evidence::default(),
        guarded: false,
        same_pods: Vec::new(),
    };
    let suspicion = Incident::open("prod", &best, &[], at(cluster.now), at(cluster.now));
    cluster.correlator.incidents.insert(suspicion.dedup_key.clone(), suspicion);
    // Two faults in one slide: a workload's that is found first, and what the suspicion is about.
    let mut report = cluster.report(|_| {});
    let second = at(cluster.now);
    let mut fails = |workload: &str, node: &str, rule: &str| {
        report.pods.push(Cluster::pod(&format!("{workload}-{node}"), workload, node));
        let pod = Some(report.pods.len() as u32 - 1);
        cluster.offset += 1;
        report.matches.push(Match { pod, offset: cluster.offset, ..matched(second, rule, &[]) });
    };
    for node in ["n1", "n2", "n3"] {
        fails("batch", node, "panicked");
    }
    for node in ["n1", "n2", "n3", "n4"] {
        for workload in ["api", "agent", "web"] {
            fails(workload, node, "entrypoint-failed");
        }
    }
    cluster.offset += 1;
    report.partitions[0].next = cluster.offset;
    cluster.running.clear();
    cluster.apply(&report);
    cluster.now += 1;
    cluster.run(40);
    assert_eq!(cluster.told(), [(FIRING, Scope::Cluster, "", Confirmed)]);
}

#[test]
fn a_severity_that_becomes_urgent_is_told_at_once() {
    use crate::signature::Severity;
    let mut cluster = Cluster::settled();
    cluster.fail_entrypoint("api", "n2");
    cluster.fail_entrypoint("agent", "n2");
    cluster.run(10);
    let start = cluster.alerts[0].updated_at;
    let minute = |minutes: u64| start.saturating_add(Duration::from_secs(minutes * 60));
    let mut incident = cluster.correlator.incidents.remove("prod/node/n2").unwrap();
    // Told twice that it has grown: the next such word would wait for long.
    for (before, after, is_told) in [
        (Severity::Warning, Severity::Critical, true),
        (Severity::Info, Severity::Error, true),
        (Severity::Info, Severity::Warning, false),
        (Severity::Error, Severity::Critical, false),
    ] {
        incident.severity = before;
        incident.mark_told(minute(6));
        incident.mark_told(minute(30));
        incident.severity = after;
        let has_news = incident.has_news(minute(30), Duration::from_secs(4 * 3600));
        assert_eq!(has_news, is_told, "{before:?} to {after:?}");
    }
}
