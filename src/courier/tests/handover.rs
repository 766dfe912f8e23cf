//! Incidents that a wider one takes over, for receivers that can follow.

use serde_json::json;

use super::*;
use crate::alert::{SCHEMA, Status};

fn alert(offset: i64, key: &str, status: Status, superseded_by: Option<&str>) -> Parcel {
    graded(offset, key, status, superseded_by, "critical")
}

pub(super) fn graded(offset: i64, key: &str, status: Status, superseded_by: Option<&str>, severity: &str) -> Parcel {
    let now = at(0).wall.to_string();
    let alert = json!({
        "schema": SCHEMA,
        "id": format!("{key}#{offset}"),
        "dedup_key": key,
        "status": status,
        "severity": severity,
        "cluster": "c",
        "scope": "node",
        "suspect": {"node": key},
        "verdict": "confirmed",
        "probability": 0.9,
        "summary": format!("{key} {status:?} {offset}"),
        "starts_at": now,
        "updated_at": now,
        "ends_at": (status == Status::Resolved).then_some(&now),
        "window": {"from": now, "to": now},
        "signals": [],
        "evidence": {"failing_pods": 4, "exposed_pods": 4, "failing_elsewhere": 0, "exposed_elsewhere": 9, "workloads": 4},
        "candidates": [],
        "failing": [],
        "superseded_by": superseded_by,
    });
    let value = serde_json::to_vec(&alert).unwrap();
    let record = Record { key: Some(key.as_bytes()), value: Some(&value), ..Record::default() };
    open(Target::PagerDuty, place(offset), &record, Additions::default()).unwrap()
}

fn firing(offset: i64, key: &str) -> Parcel {
    alert(offset, key, Status::Firing, None)
}

fn superseded(offset: i64, key: &str, by: &str) -> Parcel {
    alert(offset, key, Status::Resolved, Some(by))
}

/// A courier that told of `pod`.
fn told(target: Target) -> Courier {
    let mut courier = courier(options(target));
    courier.accept(firing(0, "pod"), at(0));
    assert_eq!(deliver_all(&mut courier, at(0)).len(), 1);
    courier
}

/// The name that receivers know the incident by.
fn known_as<'c>(courier: &'c Courier, key: &str) -> Option<&'c str> {
    courier.told.thread(key).map(|thread| thread.key.as_str())
}

#[test]
fn the_wider_one_goes_on_under_the_narrower_ones_name() {
    for end_first in [true, false] {
        let mut courier = told(Target::PagerDuty);
        let (end, wider) = if end_first { (1, 2) } else { (2, 1) };
        let mut records = vec![superseded(end, "pod", "node"), firing(wider, "node")];
        records.sort_by_key(|parcel| parcel.place.offset);
        records.into_iter().for_each(|parcel| _ = courier.accept(parcel, at(1)));
        assert_eq!(known_as(&courier, "node"), Some("pod"), "end first: {end_first}");
        assert_eq!(deliver_all(&mut courier, at(1)).len(), 1, "the update, and no end");
        assert_eq!((courier.waiting(), courier.commits()), (0, vec![(partition(0), 3)]));
        courier.accept(alert(3, "node", Status::Resolved, None), at(2));
        assert_eq!(deliver_all(&mut courier, at(2)).len(), 1);
        assert_eq!((known_as(&courier, "node"), known_as(&courier, "pod")), (None, None));
    }
}

#[test]
fn an_end_whose_wider_one_does_not_come_is_told() {
    let mut courier = told(Target::PagerDuty);
    courier.accept(superseded(1, "pod", "node"), at(0));
    let until = Duration::from_secs(10);
    assert_eq!(courier.next(at(0)), Next::Wait { until, why: Waiting::Keys });
    assert_eq!(deliver_all(&mut courier, at(10_000)).len(), 1);
    assert_eq!(known_as(&courier, "pod"), None);
    courier.accept(firing(2, "node"), at(10_001));
    assert_eq!(deliver_all(&mut courier, at(10_001)).len(), 1);
    assert!(courier.handovers.is_empty());
}

#[test]
fn only_one_of_several_is_taken_over() {
    let mut courier = told(Target::PagerDuty);
    courier.accept(firing(1, "other"), at(0));
    deliver_all(&mut courier, at(0));
    courier.accept(superseded(2, "pod", "node"), at(0));
    courier.accept(superseded(3, "other", "node"), at(0));
    courier.accept(firing(4, "node"), at(0));
    assert_eq!((known_as(&courier, "node"), known_as(&courier, "other")), (Some("pod"), Some("other")));
    assert_eq!(deliver_all(&mut courier, at(0)).len(), 2, "the other's end, and the update");
    assert_eq!(known_as(&courier, "other"), None);
}

#[test]
fn who_cannot_follow_is_told_of_both() {
    let mut courier = told(Target::Alertmanager);
    courier.accept(superseded(1, "pod", "node"), at(0));
    courier.accept(firing(2, "node"), at(0));
    deliver_all(&mut courier, at(0));
    assert_eq!((known_as(&courier, "pod"), known_as(&courier, "node")), (None, Some("node")));
    assert_eq!(courier.commits(), [(partition(0), 3)]);
}

#[test]
fn a_restart_remembers_what_was_taken_over() {
    let mut courier = Courier::new(options(Target::PagerDuty), 1);
    courier.assign(partition(0), Standing { committed: Some(3), end: 3, from_start: true });
    for parcel in [firing(0, "pod"), superseded(1, "pod", "node")] {
        assert_eq!(courier.accept(parcel, at(0)), Accepted::Remembered);
    }
    assert_eq!((courier.next(at(0)), known_as(&courier, "node")), (Next::Idle, Some("pod")));
}

#[test]
fn what_a_receiver_may_know_of_counts_as_told_once_it_is_replaced() {
    let mut courier = courier(options(Target::PagerDuty));
    courier.accept(firing(0, "pod"), at(0));
    assert!(matches!(courier.next(at(0)), Next::Send(_)));
    courier.answered(&retry(true), at(0));
    assert_eq!(known_as(&courier, "pod"), None, "the same message is written anew as it was");
    courier.accept(firing(1, "pod"), at(0));
    assert_eq!(known_as(&courier, "pod"), Some("pod"));
}
