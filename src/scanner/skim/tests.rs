//! What is learnt, forgotten and given up. That outcomes stay the same is tested on whole scanners, in `tests/skim.rs`.

use super::*;
use crate::decode::Format;
use crate::record::Expect;
use crate::ruleset::RuleSet;
use crate::scanner::matcher::Matcher;

fn input() -> Input {
    Input::new(Format::Auto, Expect::Logs)
}

fn matcher() -> Matcher {
    let rules = "- {id: a, title: t, severity: error, match: {log: {all: [boom goes it]}}}";
    Matcher::new(std::sync::Arc::new(RuleSet::parse(&[("r.yaml", rules)]).unwrap()))
}

fn record(pod: usize, millis: u64, message: &str) -> String {
    format!(
        r#"{{"@timestamp":1795356000.{millis:03},"log":"{message}","kubernetes":{{"pod_name":"p-{pod}","host":"n1"}}}}"#
    )
}

/// In one word.
fn read(skimmer: &mut Skimmer, record: &str) -> &'static str {
    match skimmer.read(record.as_bytes(), matcher().prefilter()) {
        Skimmed::Clean(..) => "clean",
        Skimmed::Suspect => "suspect",
        Skimmed::Candidate => "candidate",
        Skimmed::Unknown => "unknown",
    }
}

#[test]
fn one_record_teaches_the_others_of_its_writer() {
    let mut skimmer = Skimmer::new(1 << 20);
    assert_eq!(read(&mut skimmer, &record(1, 0, "a")), "unknown");
    skimmer.learn(record(1, 0, "a").as_bytes(), &input());
    let cases = [
        (record(1, 250, "nothing of note\\n"), "clean"),
        (record(1, 251, "say \\\"no\\\""), "clean"),
        (record(1, 252, "Boom goes it"), "suspect"),
        (record(1, 253, "\\u0062oom goes it"), "candidate"),
        (record(1, 254, ""), "candidate"),
        (record(2, 255, "another pod"), "unknown"),
        (record(1, 256, "not JSON\\x"), "candidate"),
        (record(1, 257, "broken off")[..70].to_owned(), "unknown"),
        (record(1, 258, "x").replace("1795356000", "never"), "unknown"),
    ];
    for (record, expected) in cases {
        assert_eq!(read(&mut skimmer, &record), expected, "{record}");
    }
    let time = |record: &str| match skimmer.read(record.as_bytes(), matcher().prefilter()) {
        Skimmed::Clean(_, time) => time,
        _ => None,
    };
    assert_eq!({ time }(&record(1, 250, "when")), Some(Timestamp::from_millis(1_795_356_000_250)));
}

#[test]
fn a_few_of_the_messages_are_kept_as_a_sample() {
    let mut skimmer = Skimmer::new(1 << 20);
    skimmer.learn(record(1, 0, "a").as_bytes(), &input());
    let matcher = matcher();
    for millis in 0..3 * u64::from(SAMPLE_EVERY) {
        skimmer.read(record(1, millis % 1_000, "boom goes it").as_bytes(), matcher.prefilter());
    }
    assert_eq!(skimmer.take_seen().candidates(matcher.prefilter()), 3);
    assert!(skimmer.take_seen().is_empty());
}

#[test]
fn what_cannot_be_read_so_is_not_learnt() {
    for record in [
        r#"{"@timestamp":1.5e9,"log":"half a ","_p":"P","kubernetes":{"host":"n1"}}"#,
        r#"{"@timestamp":1.5e9,"log":{"msg":"inner"},"kubernetes":{"host":"n1"}}"#,
        r#"{"labels":{"log":"x"},"log":"a key that stands twice","kubernetes":{"labels":{"log":"y"}}}"#,
        r#"{"time":"2026-11-22T14:00:00Z","log":"2026-11-22T14:00:01Z stdout F inner","stream":"stdout"}"#,
        "2026-11-22T14:00:00Z stdout F no JSON",
        "{\"log\":\"f\u{fffd}",
    ] {
        assert!(learn::learn(record.as_bytes(), &input()).is_none(), "{record}");
    }
}

#[test]
fn when_memory_is_full_all_is_learnt_anew() {
    let mut skimmer = Skimmer::new(5_000);
    let forgot = (0..20).filter(|&pod| skimmer.learn(record(pod, 0, "a").as_bytes(), &input())).count();
    assert!((1..10).contains(&forgot), "{forgot} times");
    assert!(skimmer.bytes <= 5_000 && skimmer.bytes > 0);
    assert_eq!(read(&mut skimmer, &record(19, 1, "b")), "clean");
    assert_eq!(read(&mut skimmer, &record(0, 1, "b")), "unknown");
}

#[test]
fn where_nothing_repeats_looking_is_given_up_and_tried_again() {
    let mut skimmer = Skimmer::new(1 << 20);
    skimmer.credit = 1_000;
    let mut looked_at = 0;
    for pod in 0..1_000 {
        let record = record(pod, 0, "a");
        if read(&mut skimmer, &record) == "unknown" {
            looked_at += 1;
            skimmer.learn(record.as_bytes(), &input());
        }
    }
    assert!((10..25).contains(&looked_at), "{looked_at}");
    let known = (0..2_000).filter(|&millis| read(&mut skimmer, &record(0, millis % 1_000, "a")) == "clean").count();
    assert!(known > 1_500, "{known}");
}
