use std::collections::BTreeMap;

use super::*;
use crate::alert::{Status, Suspect};
use crate::evaluation::Told;
use crate::record::Partition;
use crate::report::{Change, ChangeKind, Progress, VERSION};

const AKS: &str = "aks-apps-12345678-vmss00000";

/// Name, node, workload and image of a pod; what is empty is not known.
type FailingPod<'a> = (&'a str, &'a str, &'a str, &'a str);

/// A report of the given second in which these pods match once each.
fn report(second: i64, failing: &[FailingPod<'_>]) -> Report {
    let time = Timestamp::from_millis(second * 1000);
    let partition = Partition { topic: "t".into(), partition: 0 };
    let named = |text: &str| Some(text.into()).filter(|_| !text.is_empty());
    let progress = Progress { partition, first: 0, next: 0, records: 0, watermark: Some(time), ..Progress::default() };
    let pods = failing.iter().map(|(name, node, workload, image)| Pod {
        namespace: "n".into(),
        name: (*name).into(),
        uid: None,
        node: named(node),
        workload: (*workload).into(),
        image: named(image),
        node_pool: None,
    });
    let matches = (0..failing.len() as u32).map(|pod| Match {
        partition: 0,
        offset: i64::from(pod),
        time,
        rule: "r".into(),
        pod: Some(pod),
        node: None,
        captures: BTreeMap::new(),
        sample: None,
        event: None,
    });
    Report {
        version: VERSION,
        cluster: Some("c".into()),
        more: false,
        scanner: "s".into(),
        sequence: 0,
        flushed_at: time,
        partitions: vec![progress],
        pods: pods.collect(),
        presence: Vec::new(),
        matches: matches.collect(),
        changes: Vec::new(),
    }
}

fn words(told: &[Told]) -> Vec<String> {
    let word = |told: &Told| {
        let status = if told.status == Status::Firing { "+" } else { "-" };
        let by = told.superseded_by.as_ref().map(|by| format!(" for {by}")).unwrap_or_default();
        format!("{}s {status}{}{by}", told.at.as_millis() / 1000, told.key)
    };
    told.iter().map(word).collect()
}

#[test]
fn the_threshold_counts_matches_of_a_node_in_five_minutes() {
    let mut baseline = NodeThreshold::new(3);
    let mut told = Vec::new();
    for second in [0, 290, 301, 310, 320] {
        told.extend(baseline.observe(&report(second, &[("a", "x", "n/w", "")])));
    }
    assert_eq!(words(&told), ["310s +node/x"], "the match of second 0 is too old at 301");
    assert_eq!(words(&baseline.observe(&report(591, &[]))), Vec::<String>::new(), "301, 310 and 320 are left");
    assert_eq!(words(&baseline.observe(&report(602, &[]))), ["602s -node/x"]);
}

#[test]
fn the_threshold_knows_nothing_but_nodes() {
    let mut baseline = NodeThreshold::new(2);
    let everywhere = [("a", "x", "n/w", ""), ("b", "x", "n/w", ""), ("c", "y", "n/w", ""), ("d", "y", "n/w", "")];
    assert_eq!(words(&baseline.observe(&report(0, &everywhere))), ["0s +node/x", "0s +node/y"]);
    assert!(baseline.observe(&report(1, &[("e", "", "n/w", "")])).is_empty(), "on no known node");
}

#[test]
fn a_pods_node_may_have_been_told_earlier() {
    let mut placed = report(0, &[("a", "", "n/w", "")]);
    placed.matches.clear();
    placed.changes.push(Change {
        partition: 0,
        offset: 0,
        time: Timestamp::from_millis(0),
        kind: ChangeKind::PodPlaced,
        pod: Some(0),
        node: Some("x".into()),
    });
    let mut baseline = NodeThreshold::new(1);
    assert!(baseline.observe(&placed).is_empty());
    assert_eq!(words(&baseline.observe(&report(1, &[("a", "", "n/w", "")]))), ["1s +node/x"]);
}

#[test]
fn the_common_factor_is_the_narrowest_that_all_share() {
    let (x, y) = (format!("{AKS}1"), format!("{AKS}2"));
    let other_pool = "aks-db-12345678-vmss000001";
    let cases: [(&[FailingPod<'_>], Suspect); 7] = [
        (&[("a", &x, "n/v", "i")], Suspect::Pod("n/a".into())),
        (&[("a", &x, "n/v", "i"), ("b", &x, "n/v", "i")], Suspect::Node(x.as_str().into())),
        (&[("a", &x, "n/v", "i"), ("b", &y, "n/v", "i")], Suspect::Workload("n/v".into())),
        (&[("a", &x, "n/v", "i"), ("b", &y, "n/w", "i")], Suspect::Image("i".into())),
        (&[("a", &x, "n/v", "i"), ("b", &y, "n/w", "")], Suspect::NodePool("apps".into())),
        (&[("a", &x, "n/v", "i"), ("b", other_pool, "n/w", "j")], Suspect::Cluster),
        (&[("a", &x, "n/v", "i"), ("b", "", "n/w", "j")], Suspect::Cluster),
    ];
    for (failing, expected) in cases {
        let told = CommonFactor::default().observe(&report(0, failing));
        assert_eq!(told.iter().map(|told| &told.suspect).collect::<Vec<_>>(), [&expected]);
    }
}

#[test]
fn a_new_common_factor_takes_the_place_of_the_old() {
    let mut baseline = CommonFactor::default();
    assert_eq!(words(&baseline.observe(&report(0, &[("a", "x", "n/v", "")]))), ["0s +pod/n/a"]);
    let told = baseline.observe(&report(10, &[("b", "x", "n/w", "")]));
    assert_eq!(words(&told), ["10s -pod/n/a for node/x", "10s +node/x"]);
    assert!(baseline.observe(&report(20, &[("a", "x", "n/v", "")])).is_empty(), "nothing new");
    assert_eq!(words(&baseline.observe(&report(311, &[]))), ["311s -node/x for pod/n/a", "311s +pod/n/a"]);
    assert_eq!(words(&baseline.observe(&report(321, &[]))), ["321s -pod/n/a"]);
}
