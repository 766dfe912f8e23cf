//! What is not read yet, was lost, or begins again.

use super::*;

#[test]
fn event_time_stands_still_until_the_heartbeat_of_a_flush() {
    let mut cluster = Cluster::settled();
    cluster.now += 60;
    let whole = cluster.report(|_| {});
    let evaluations = |cluster: &mut Cluster, report: &Report| cluster.correlator.apply(report).counts.evaluations;
    let partition = Partition { topic: "events".into(), partition: 0 };
    let behind = Progress { partition, watermark: Some(at(cluster.now - 30)), ..Progress::default() };
    let mut heartbeat = whole.heartbeat();
    heartbeat.partitions.push(behind);
    // Alone the report would seem to say that all is read up to its end.
    assert_eq!(evaluations(&mut cluster, &Report { more: true, ..whole.clone() }), 0);
    let early = evaluations(&mut cluster, &heartbeat);
    assert_eq!(cluster.correlator.watermarks.current(), Some(at(cluster.now - 30)));
    assert!(early > 0);
}

#[test]
fn where_records_were_lost_a_verdict_is_no_more_than_suspected() {
    let mut cluster = Cluster::settled();
    let mut losing = cluster.report(|_| {});
    losing.partitions[0].lost = 7;
    cluster.apply(&losing);
    let lost_at = cluster.now;
    cluster.fail_entrypoint("api", "n2");
    cluster.fail_entrypoint("agent", "n2");
    cluster.run(200);
    assert_eq!(cluster.told(), [(FIRING, Node, "n2", Suspected)]);
    assert!(cluster.alerts[0].notes.iter().any(|note| note.contains("deleted from Kafka")), "{:?}", cluster.alerts[0]);
    // The window of ten minutes has left it behind.
    while cluster.now < lost_at + 620 {
        cluster.fail_entrypoint("api", "n2");
        cluster.fail_entrypoint("agent", "n2");
        cluster.run(20);
    }
    assert_eq!(cluster.told()[1], (FIRING, Node, "n2", Confirmed));
    assert!(cluster.alerts[1].notes.iter().all(|note| !note.contains("deleted from Kafka")));
}

#[test]
fn a_gap_in_the_records_is_no_recovery() {
    let tell = |lost| {
        let mut cluster = Cluster::settled();
        cluster.fail_entrypoint("api", "n2");
        cluster.fail_entrypoint("agent", "n2");
        cluster.run(10);
        assert_eq!(cluster.told(), [(FIRING, Node, "n2", Confirmed)]);
        // Nothing was read of the minutes in which they may have failed again and again.
        cluster.now += 290;
        let mut after = cluster.report(|_| {});
        after.partitions[0].lost = lost;
        cluster.apply(&after);
        cluster.run(20);
        cluster.told().len()
    };
    assert_eq!((tell(0), tell(900)), (2, 1), "the end is told only where nothing was lost");
}

#[test]
fn matches_of_a_topic_created_anew_count_though_their_offsets_were_seen() {
    let mut cluster = Cluster::settled();
    cluster.offset = 5000;
    cluster.run(1);
    cluster.offset = 0;
    cluster.fail_entrypoint("api", "n2");
    assert_eq!(cluster.counts.duplicates, 1, "seen before");
    let mut anew = cluster.report(|_| {});
    anew.partitions[0] = Progress { next: 0, restarted: Some(at(cluster.now)), ..anew.partitions[0].clone() };
    cluster.apply(&anew);
    cluster.offset = 0;
    cluster.fail_entrypoint("api", "n2");
    cluster.fail_entrypoint("agent", "n2");
    cluster.run(10);
    assert_eq!((cluster.counts.duplicates, cluster.counts.matches), (1, 2));
    assert_eq!(cluster.told(), [(FIRING, Node, "n2", Confirmed)]);
}
