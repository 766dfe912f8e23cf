//! What is not settled: requests of which only one arrived, commits of which nobody hears, receivers that take all but one.

use super::handover::graded;
use super::*;
use crate::alert::Status;

/// What PagerDuty is asked to do, and under which key; all is delivered.
fn events(courier: &mut Courier, now: Moment) -> Vec<(String, String)> {
    let event = |body: &String| {
        let event: serde_json::Value = serde_json::from_str(body).unwrap();
        let text = |key: &str| event[key].as_str().unwrap().to_owned();
        (text("event_action"), text("dedup_key"))
    };
    deliver_all(courier, now).iter().map(event).collect()
}

fn event(action: &str, key: &str) -> (String, String) {
    (action.to_owned(), key.to_owned())
}

#[test]
fn the_first_of_two_requests_that_failed_is_made_up_for() {
    let mut courier = courier(options(Target::PagerDuty));
    courier.accept(graded(0, "n", Status::Firing, None, "warning"), at(0));
    assert_eq!(events(&mut courier, at(0)), [event("trigger", "n")]);
    courier.accept(graded(1, "n", Status::Firing, None, "critical"), at(1));
    assert!(send(&mut courier, at(1)).contains("resolve"), "the old one is to be resolved");
    courier.answered(&retry(true), at(1));
    courier.accept(graded(2, "n", Status::Resolved, None, "critical"), at(2));
    let sent = events(&mut courier, at(120_000));
    assert_eq!(sent, [event("resolve", "n"), event("trigger", "n#high"), event("resolve", "n#high")]);
}

/// In PagerDuty's own format one Kafka key is that of an incident before and after it became urgent.
#[test]
fn ends_of_two_incidents_of_one_key_are_both_told() {
    let own = |offset: i64, action: &str, dedup_key: &str| {
        let value = format!(r#"{{"event_action":"{action}","dedup_key":"{dedup_key}"}}"#);
        let id = format!("n#{offset}");
        let record =
            Record { key: Some(b"n"), value: Some(value.as_bytes()), alert_id: Some(&id), ..Record::default() };
        open(Target::PagerDuty, place(offset), &record, Additions::default()).unwrap()
    };
    let mut courier = Courier::new(options(Target::PagerDuty), 1);
    courier.assign(partition(0), Standing { committed: Some(1), end: 4, from_start: true });
    courier.accept(own(0, "trigger", "n"), at(0));
    courier.accept(own(1, "resolve", "n"), at(0));
    courier.accept(own(2, "trigger", "n#high"), at(0));
    courier.accept(own(3, "resolve", "n#high"), at(0));
    let sent = events(&mut courier, at(0));
    assert!(sent.contains(&event("resolve", "n")) && sent.contains(&event("resolve", "n#high")), "{sent:?}");
}

#[test]
fn one_that_is_always_refused_access_while_others_pass_is_given_up() {
    let mut courier = courier(Options { retry_for: Duration::from_secs(3600), ..options(Target::Slack) });
    courier.accept(parcel(0, "poison", Firing), at(0));
    let mut given_up = false;
    for minute in 0..24 * 60_i64 {
        let now = at(u64::try_from(minute).unwrap() * 60_000);
        courier.accept(parcel(minute + 1, &format!("k{minute}"), Firing), now);
        while let Next::Send(shipment) = courier.next(now) {
            let is_poison = shipment.body.starts_with(b"poison");
            let verdict =
                if is_poison { Verdict::Pause { why: "channel_not_found".into() } } else { Verdict::Delivered };
            given_up |= matches!(courier.answered(&verdict, now), Outcome::Refused { .. });
        }
    }
    assert!(given_up, "{:?}", courier.commits());
}

#[test]
fn what_may_be_committed_is_told_again_when_asked_for_all() {
    let mut courier = courier(options(Target::PagerDuty));
    courier.accept(parcel(0, "n", Firing), at(0));
    deliver_all(&mut courier, at(0));
    assert_eq!(courier.commits(), [(partition(0), 1)]);
    assert_eq!((courier.commits(), courier.all_commits()), (Vec::new(), vec![(partition(0), 1)]));
}
