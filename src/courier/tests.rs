//! Stories, and the courier against a naive model.

use super::opening::{Additions, Body, Record, open};
use super::*;
use crate::format::Format;

mod doubts;
mod handover;
mod model;

fn partition(number: i32) -> Partition {
    Partition { topic: "alerts".into(), partition: number }
}

fn place(offset: i64) -> Place {
    Place { partition: partition(0), offset }
}

fn at(ms: u64) -> Moment {
    let wall = Timestamp::from_millis(1_795_000_000_000 + i64::try_from(ms).unwrap());
    Moment { elapsed: Duration::from_millis(ms), wall }
}

fn options(target: Target) -> Options {
    let format = match target {
        Target::Alertmanager => Format::Alertmanager,
        Target::PagerDuty => Format::PagerDuty,
        Target::Slack => Format::Slack,
        Target::Webhook => Format::Faultline,
    };
    let writer = Writer { format, routing_key: Some("R0UT1NGKEY".to_owned()) };
    Options { spacing: Duration::ZERO, ..Options::new(target, writer) }
}

fn courier(options: Options) -> Courier {
    let mut courier = Courier::new(options, 1);
    courier.assign(partition(0), Standing { committed: None, end: 0, from_start: true });
    courier
}

/// A message in PagerDuty's format, which says what it is.
fn parcel(offset: i64, key: &str, phase: Phase) -> Parcel {
    let bytes = format!("{key} {phase:?} {offset}").into_bytes();
    Parcel {
        place: place(offset),
        key: key.to_owned(),
        name: None,
        id: Some(format!("{key}#{offset}")),
        phase,
        bytes: bytes.len(),
        content: Content::Own(Body { content_type: "text/plain".to_owned(), bytes }),
    }
}

fn send(courier: &mut Courier, now: Moment) -> String {
    match courier.next(now) {
        Next::Send(shipment) => String::from_utf8(shipment.body).unwrap(),
        other => panic!("{other:?}"),
    }
}

fn retry(reached: bool) -> Verdict {
    Verdict::Retry { after: None, reached, why: String::new() }
}

fn deliver_all(courier: &mut Courier, now: Moment) -> Vec<String> {
    let mut sent = Vec::new();
    while let Next::Send(shipment) = courier.next(now) {
        sent.push(String::from_utf8(shipment.body).unwrap());
        courier.answered(&Verdict::Delivered, now);
    }
    sent
}

use Phase::{Firing, Resolved, Unknown};

#[test]
fn what_nobody_was_told_is_not_ended() {
    let mut courier = courier(options(Target::PagerDuty));
    courier.accept(parcel(0, "a", Firing), at(0));
    assert_eq!(courier.accept(parcel(1, "a", Firing), at(0)), Accepted::Waiting { replaced: 1 });
    assert_eq!(courier.accept(parcel(2, "a", Resolved), at(0)), Accepted::Cancelled { replaced: 2 });
    assert_eq!((courier.next(at(0)), courier.commits()), (Next::Idle, vec![(partition(0), 3)]));
}

#[test]
fn what_was_told_or_may_have_been_is_ended() {
    for how in ["delivered", "timed out", "before our time"] {
        let mut courier = courier(options(Target::PagerDuty));
        courier.accept(parcel(0, "a", Firing), at(0));
        match how {
            "delivered" => assert_eq!(deliver_all(&mut courier, at(0)), ["a Firing 0"]),
            "timed out" => {
                send(&mut courier, at(0));
                courier.answered(&retry(true), at(0));
            }
            _ => courier.assign(partition(1), Standing { committed: Some(5000), end: 5000, from_start: false }),
        }
        courier.accept(parcel(1, "a", Firing), at(1));
        courier.accept(parcel(2, "a", Resolved), at(1));
        assert_eq!(deliver_all(&mut courier, at(120_000)), ["a Resolved 2"], "{how}");
        assert_eq!(courier.commits(), [(partition(0), 3)], "{how}");
    }
    let mut courier = courier(options(Target::PagerDuty));
    courier.accept(parcel(0, "a", Firing), at(0));
    send(&mut courier, at(0));
    courier.answered(&retry(false), at(0));
    assert!(matches!(courier.accept(parcel(1, "a", Resolved), at(1)), Accepted::Cancelled { .. }), "never left");
}

#[test]
fn an_end_and_a_new_beginning_are_both_told() {
    let mut courier = courier(options(Target::PagerDuty));
    courier.accept(parcel(0, "a", Firing), at(0));
    deliver_all(&mut courier, at(0));
    courier.accept(parcel(1, "a", Resolved), at(0));
    courier.accept(parcel(2, "a", Firing), at(0));
    courier.accept(parcel(3, "a", Firing), at(0));
    assert_eq!(deliver_all(&mut courier, at(0)), ["a Resolved 1", "a Firing 3"]);
}

/// Once each of them stayed, as the beginnings in between may have been told.
#[test]
fn ends_do_not_pile_up_after_a_restart() {
    let mut courier = Courier::new(options(Target::PagerDuty), 1);
    courier.assign(partition(0), Standing { committed: Some(0), end: 100, from_start: true });
    for offset in 0..100 {
        courier.accept(parcel(offset, "a", if offset % 2 == 0 { Firing } else { Resolved }), at(0));
        assert!(courier.waiting() <= 2, "{}", courier.waiting());
    }
    assert_eq!(deliver_all(&mut courier, at(0)), ["a Resolved 99"]);
    assert_eq!(courier.commits(), [(partition(0), 100)]);
}

#[test]
fn what_is_not_ours_to_judge_is_delivered_as_it_came() {
    let mut courier = courier(options(Target::Slack));
    (0..3).for_each(|offset| _ = courier.accept(parcel(offset, "a", Unknown), at(0)));
    assert_eq!(
        courier.accept(Parcel { id: Some("a#1".into()), ..parcel(3, "a", Unknown) }, at(0)),
        Accepted::Duplicate
    );
    assert_eq!(deliver_all(&mut courier, at(0)), ["a Unknown 0", "a Unknown 1", "a Unknown 2"]);
    assert_eq!(courier.commits(), [(partition(0), 4)]);
}

#[test]
fn requests_keep_their_distance_and_keys_coalesce_meanwhile() {
    let options = Options { spacing: Duration::from_millis(500), ..options(Target::PagerDuty) };
    let mut courier = courier(options);
    courier.accept(parcel(0, "a", Firing), at(0));
    courier.accept(parcel(1, "b", Firing), at(0));
    assert_eq!(send(&mut courier, at(0)), "a Firing 0");
    courier.answered(&Verdict::Delivered, at(10));
    let until = Duration::from_millis(500);
    assert_eq!(courier.next(at(10)), Next::Wait { until, why: Waiting::Rate });
    courier.accept(parcel(2, "b", Firing), at(20));
    assert_eq!(courier.oldest_waits(Duration::from_millis(100)), Duration::from_millis(100), "b waits since 0");
    assert_eq!(send(&mut courier, at(500)), "b Firing 2");
    courier.answered(&Verdict::Delivered, at(510));
    assert_eq!(courier.next(at(510)), Next::Idle);
}

#[test]
fn one_that_fails_does_not_hold_up_the_others_and_is_given_up_in_the_end() {
    let options = Options { retry_for: Duration::from_secs(3600), ..options(Target::PagerDuty) };
    let mut courier = courier(options);
    courier.accept(parcel(0, "poison", Firing), at(0));
    let (mut offset, mut given_up) = (1, None);
    for second in 0..5000 {
        let now = at(second * 1000);
        if second % 10 == 0 {
            courier.accept(parcel(offset, "good", Firing), now);
            offset += 1;
        }
        while let Next::Send(shipment) = courier.next(now) {
            let is_poison = shipment.body.starts_with(b"poison");
            let outcome = courier.answered(&if is_poison { retry(true) } else { Verdict::Delivered }, now);
            if let Outcome::Refused { places, given_up: true } = outcome {
                assert_eq!(places, [place(0)]);
                given_up = Some(second);
            }
        }
        assert!(courier.waiting() <= 2, "at {second} s");
    }
    assert!(given_up.is_some_and(|second| (3600..3800).contains(&second)), "{given_up:?}");
    assert_eq!(courier.commits(), [(partition(0), 0)], "no further until the dead letter is acknowledged");
    courier.settle(&place(0));
    assert_eq!(courier.commits(), [(partition(0), offset)]);
}

#[test]
fn an_outage_is_held_against_nobody() {
    for during in [retry(true), Verdict::Pause { why: String::new() }] {
        let options = Options { retry_for: Duration::from_secs(3600), ..options(Target::PagerDuty) };
        let mut courier = courier(options);
        courier.accept(parcel(0, "a", Firing), at(0));
        for second in (0..10_000).step_by(100) {
            send(&mut courier, at(second * 1000));
            courier.answered(&during, at(second * 1000));
        }
        courier.accept(parcel(1, "b", Firing), at(10_100_000));
        let mut delivered = 0;
        for second in [10_100, 10_200, 10_300] {
            while let Next::Send(shipment) = courier.next(at(second * 1000)) {
                let verdict = if shipment.body.starts_with(b"a") { retry(true) } else { Verdict::Delivered };
                let outcome = courier.answered(&verdict, at(second * 1000));
                assert!(!matches!(outcome, Outcome::Refused { .. }), "{outcome:?}");
                delivered += usize::from(outcome == Outcome::Delivered(1));
            }
        }
        assert_eq!(delivered, 1);
    }
}

#[test]
fn an_outage_loses_nothing_however_long() {
    let mut courier = courier(options(Target::PagerDuty));
    courier.accept(parcel(0, "a", Firing), at(0));
    let mut attempts = 0;
    for second in 0..100_000 {
        while let Next::Send(_) = courier.next(at(second * 1000)) {
            attempts += 1;
            let pause = Verdict::Pause { why: String::new() };
            let verdict = if attempts % 2 == 0 { pause } else { retry(true) };
            let outcome = courier.answered(&verdict, at(second * 1000));
            assert!(matches!(outcome, Outcome::Retrying(_) | Outcome::Paused(_)), "{outcome:?}");
        }
    }
    assert!((1_500..4_000).contains(&attempts), "{attempts}");
    assert_eq!(deliver_all(&mut courier, at(200_000_000)), ["a Firing 0"]);
}

#[test]
fn patience_that_is_asked_for_is_given_within_bounds() {
    for (asked, waited) in [(7, 7), (100_000, 600)] {
        let mut courier = courier(options(Target::Slack));
        courier.accept(parcel(0, "a", Unknown), at(0));
        send(&mut courier, at(0));
        let after = Some(Duration::from_secs(asked));
        let outcome = courier.answered(&Verdict::Retry { after, reached: false, why: String::new() }, at(0));
        assert_eq!(outcome, Outcome::Retrying(Duration::from_secs(waited)));
        let until = Duration::from_secs(waited);
        assert_eq!(courier.next(at(1)), Next::Wait { until, why: Waiting::Backoff });
    }
}

#[test]
fn states_share_a_request_and_a_bad_one_is_found_out() {
    let mut courier = courier(options(Target::Alertmanager));
    for (offset, key) in ["a", "bad", "c"].into_iter().enumerate() {
        let body = format!(r#" [{{"labels":{{"k":"{key}"}}}}] "#);
        let record = Record { key: Some(key.as_bytes()), value: Some(body.as_bytes()), ..Record::default() };
        let place = place(i64::try_from(offset).unwrap());
        let parcel = open(Target::Alertmanager, place, &record, Additions::default()).unwrap();
        courier.accept(parcel, at(0));
    }
    let mut refused = Vec::new();
    let mut requests = Vec::new();
    while let Next::Send(shipment) = courier.next(at(0)) {
        let body = String::from_utf8(shipment.body).unwrap();
        let verdict = if body.contains("bad") { Verdict::Refused { why: String::new() } } else { Verdict::Delivered };
        requests.push(body);
        if let Outcome::Refused { places, .. } = courier.answered(&verdict, at(0)) {
            refused.extend(places);
        }
    }
    assert_eq!(requests.len(), 4, "{requests:?}");
    assert_eq!(requests[0], r#"[{"labels":{"k":"a"}},{"labels":{"k":"bad"}},{"labels":{"k":"c"}}]"#);
    assert_eq!((refused, courier.commits()), (vec![place(1)], vec![(partition(0), 1)]));
}

#[test]
fn values_are_recognised_by_their_shape() {
    let with = Additions { routing_key: Some("R"), channel: Some("#ops") };
    let opened = |target, value: &str| {
        let record = Record { value: Some(value.as_bytes()), key: Some(b"k"), ..Record::default() };
        let parcel = open(target, place(0), &record, with).map_err(|unfit| unfit.reason)?;
        let Content::Own(body) = parcel.content else { panic!("{parcel:?}") };
        Ok((parcel.phase, String::from_utf8(body.bytes).unwrap()))
    };
    let event = r#"{"dedup_key":"d","event_action":"trigger"}"#;
    let keyed = r#"{"dedup_key":"d","event_action":"trigger","routing_key":"R"}"#;
    assert_eq!(opened(Target::PagerDuty, event), Ok((Firing, keyed.to_owned())));
    let other = r#"{"event_action":"resolve","routing_key":"other"}"#;
    assert_eq!(opened(Target::PagerDuty, other), Ok((Resolved, other.to_owned())));
    assert_eq!(
        opened(Target::Slack, r#"{"text":"x"}"#),
        Ok((Unknown, r##"{"channel":"#ops","text":"x"}"##.to_owned()))
    );
    assert_eq!(opened(Target::Webhook, "anything"), Ok((Unknown, "anything".to_owned())));
    for (target, value, reason) in [
        (Target::PagerDuty, "no json", "invalid-json"),
        (Target::PagerDuty, r#"{"text":"x"}"#, "not-an-alert"),
        (Target::Slack, event, "not-an-alert"),
        (Target::Slack, r#"{"blocks":[]}"#, "not-an-alert"),
        (Target::Alertmanager, "[]", "not-an-alert"),
        (Target::Alertmanager, r#"[{"annotations":{}}]"#, "not-an-alert"),
        (Target::Alertmanager, r#"{"schema":"faultline.alert/v9"}"#, "alert-version"),
        (Target::Alertmanager, r#"{"schema":"faultline.alert/v1","id":7}"#, "unreadable-alert"),
    ] {
        assert_eq!(opened(target, value), Err(reason), "{target:?} {value}");
    }
    let tombstone = open(Target::Webhook, place(0), &Record::default(), with).unwrap_err();
    assert_eq!(tombstone.reason, "tombstone");
}
