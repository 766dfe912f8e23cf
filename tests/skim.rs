//! With the prefilter and without: every report, every rejection and every count is the same.

use std::sync::Arc;
use std::time::Duration;

use faultline::decode::{Fields, Format, Input, Pointer};
use faultline::record::{Expect, Partition, Record};
use faultline::redaction::Redactor;
use faultline::report::Report;
use faultline::ruleset::RuleSet;
use faultline::scanner::matcher::Matcher;
use faultline::scanner::prefilter::Traffic;
use faultline::scanner::{Limits, Options, Scanned, Scanner, Slot};
use faultline::time::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

const RULES: &str = r#"
- {id: plain, title: t, severity: error, match: {log: {all: ["failed to start entrypoint"]}}}
- {id: folded, title: t, severity: error, match: {log: {all: ["Out Of Memory"], ignore_case: true}}}
- {id: escaped, title: t, severity: error, match: {log: {all: ["say \"no\" to C:\\temp"]}}}
- {id: either, title: t, severity: error, match: {log: {any: ["exit/216", "<init>", "caf\u00e9 closed"]}}}
- {id: without, title: t, severity: error, match: {log: {all: ["disk pressure"], none: ["resolved"]}}}
- {id: pattern, title: t, severity: error, match: {log: {regex: 'task (?P<task>\w+) blocked for more than \d+'}}}
- {id: short, title: t, severity: error, match: {log: {all: ["SIGV"]}}}
- {id: event, title: t, severity: error, match: {event: {reason: [BackOff]}}}
"#;

/// What messages are made of: what rules look for, in pieces too, and what decoders look into.
const WORDS: &[&str] = &[
    "failed to start entrypoint",
    "failed to start ",
    "entrypoint",
    "OUT of memory",
    "say \"no\" to C:\\temp",
    "exit/216",
    "<init>",
    "caf\u{e9} closed",
    "disk pressure",
    "resolved",
    "task kworker blocked for more than 120",
    "SIGV",
    "request served in 12 ms",
    " ",
    "\n",
    "\t",
    "\u{1b}[31m",
    "\0",
    "\r\n",
    "{\"level\":\"info\",\"msg\":\"say \\\"no\\\" to C:\\\\temp\"}",
    "{\"level\":\"error\",\"msg\":\"exit\\/216 \\u003cinit>\"}",
    "{\"log\":\"failed to start entrypoint\\n\",\"stream\":\"stderr\",\"time\":\"2026-11-22T14:00:07Z\"}",
    "{\"involvedObject\":{\"kind\":\"Pod\",\"name\":\"cd-0\",\"namespace\":\"shop\"},\"reason\":\"BackOff\",\"message\":\"m\"}",
    "2026-11-22T14:00:09.5Z stdout F exit/216",
    "2026-11-22T14:00:09.5Z stdout P failed to start ",
    "2026-11-22T14:00:09.5Z INFO nothing",
    "{\"Source\":\"Process\",\"LogEntry\":{\"Logline\":\"disk pressure\"},\"SchemaVersion\":\"1.0.0\"}",
    "<Source>EventLog</Source>&lt;init&gt; disk &amp; pressure",
    "C:\\users\\u0041",
];

fn message() -> impl Strategy<Value = String> {
    prop_oneof![
        9 => Just("request served in 12 ms\n".to_owned()),
        6 => prop::collection::vec(prop::sample::select(WORDS), 0..4).prop_map(|words| words.concat()),
        1 => Just("x".repeat(17_000)),
    ]
}

/// A record of one of a few writers, as its producer writes it.
fn record(producer: u32) -> impl Strategy<Value = Value> {
    (0..3usize, 0..400_000i64, message(), 0..20).prop_map(move |(writer, millis, message, odd)| {
        let at = Timestamp::from_millis(1_795_356_000_000 + millis);
        let pod = ["cart-7d9f8b6c5d-x7k2p", "web-0", "eventrouter-6d8f7b5c9d-2g7qg"][writer];
        let seconds = at.as_millis() as f64 / 1e3;
        let partial = if odd == 0 { "P" } else { "F" };
        let stream = if odd == 1 { "stderr" } else { "stdout" };
        let names = json!({"pod_name": pod, "namespace_name": "shop", "pod_id": format!("u{writer}"), "host": "n1",
            "labels": {"log": "x", "app": pod}, "container_name": "c", "container_image": "r/i:1"});
        match producer {
            0 | 1 => json!({"@timestamp": seconds, "stream": stream, "_p": partial, "log": message, "kubernetes": names}),
            2 => json!({"file": format!("/var/log/pods/shop_{pod}_u/c/0.log"), "kubernetes": {"pod_node_name": "n1",
                "pod_name": pod, "pod_namespace": "shop", "pod_owner": "ReplicaSet/cart-7d9f8b6c5d"}, "message": message,
                "source_type": "kubernetes_logs", "stream": stream, "timestamp": format!("{}", at).replace('Z', "324294Z"),
                "timestamp_end": at.to_string()}),
            3 => json!({"@timestamp": at.to_string(), "@metadata": {"beat": "filebeat"}, "agent": {"id": "a"},
                "kubernetes": {"node": {"name": "n1"}, "namespace": "shop", "pod": {"name": pod}},
                "log": {"offset": millis, "file": {"path": "/x"}}, "message": message}),
            4 => json!({"log": message, "stream": stream, "time": at.to_string()}),
            5 => json!({"log": message, "stream": stream, "docker": {"container_id": "d"}, "kubernetes": names}),
            6 => json!({"cluster": if odd == 2 { "west" } else { "east" }, "ts": seconds, "msg": message, "node": "n2"}),
            _ => json!({"date": seconds, "log": message, "time": at.to_string(), "priority": millis,
                "kubernetes": names, "level": "info"}),
        }
    })
}

/// Ways to write the same JSON, and to break it.
fn written(producer: u32) -> impl Strategy<Value = Vec<u8>> {
    let hex = |text: &str, c: char| text.replace(c, &format!("\\u{:04x}", c as u32));
    (record(producer), 0..24, any::<prop::sample::Index>(), any::<u8>()).prop_map(move |(record, way, place, byte)| {
        let text = record.to_string();
        match way {
            0 => hex(&hex(&text, '<'), '>').into_bytes(),
            1 => text.replace('/', "\\/").into_bytes(),
            2 => hex(&text, 'o').into_bytes(),
            3 => serde_json::to_vec_pretty(&record).unwrap(),
            4 => {
                let mut bytes = text.into_bytes();
                let at = place.index(bytes.len());
                bytes[at] = byte;
                bytes
            }
            5 => {
                let mut bytes = text.into_bytes();
                bytes.truncate(place.index(bytes.len() + 1));
                bytes
            }
            6 => {
                let mut bytes = text.into_bytes();
                let at = place.index(bytes.len());
                bytes.insert(at, b"\"\\\n{},0e\xff"[usize::from(byte) % 9]);
                bytes
            }
            7 => record
                .as_object()
                .and_then(|it| it.get("log").or(it.get("message")))
                .map_or(text.clone(), |line| {
                    format!("2026-11-22T14:00:01Z stdout F {}", line.as_str().unwrap_or_default())
                })
                .into_bytes(),
            _ => text.into_bytes(),
        }
    })
}

struct Side {
    scanner: Scanner,
    slots: [Slot; 2],
}

impl Side {
    fn new(prefilter: bool, input: &Input) -> Self {
        let limits = Limits {
            record_bytes: 20_000,
            open_lines: 2,
            known_bytes: 20_000,
            // Less than the times of the records differ, and Kafka's.
            max_ahead: Duration::from_secs(60),
            ..Limits::default()
        };
        let mut scanner = Scanner::new(
            Options { cluster: "default".into(), limits, prefilter, redactor: Redactor::standard() },
            "test".into(),
        );
        let slots = [0, 1].map(|partition| scanner.assign(Partition { topic: "t".into(), partition }, input.clone()));
        Side { scanner, slots }
    }

    fn scan(&mut self, matcher: &Matcher, step: &Step, offset: i64) -> (Result<Scanned, String>, bool) {
        let record = Record { offset, timestamp: step.kafka.map(Timestamp::from_millis), value: Some(&step.value) };
        if let Some(now) = step.clock {
            self.scanner.set_clock(Timestamp::from_millis(now));
        }
        let cluster = step.header.then_some("north");
        let scanned = self.scanner.scan_from(matcher, self.slots[usize::from(step.second)], &record, cluster);
        let skimmed = scanned.as_ref().is_ok_and(|scanned| scanned.skimmed);
        let scanned = scanned.map(|scanned| Scanned { skimmed: false, suspect: false, forgot: false, ..scanned });
        (scanned.map_err(|rejected| rejected.to_string()), skimmed)
    }

    fn flush(&mut self, matcher: &Matcher, end: bool) -> Vec<Report> {
        if end {
            self.slots.iter().for_each(|&slot| self.scanner.end(matcher, slot));
        }
        self.scanner.flush(Timestamp::default())
    }
}

#[derive(Clone, Debug)]
struct Step {
    value: Vec<u8>,
    kafka: Option<i64>,
    clock: Option<i64>,
    second: bool,
    header: bool,
    flush: bool,
}

fn step(producer: u32) -> impl Strategy<Value = Step> {
    let time = || 1_795_356_000_000..1_795_356_400_000i64;
    let times = (prop::option::of(time()), prop::option::weighted(0.1, time()));
    (written(producer), times, any::<bool>(), prop::bool::weighted(0.1), prop::bool::weighted(0.1))
        .prop_map(|(value, (kafka, clock), second, header, flush)| Step { value, kafka, clock, second, header, flush })
}

/// Where the same fields are that are found anyway, or none.
fn fields() -> Fields {
    let pointer = |text| Pointer::parse(text);
    Fields {
        message: pointer("/log"),
        pod: pointer("/kubernetes/pod_name"),
        time: pointer("/date"),
        ..Fields::default()
    }
}

fn input() -> impl Strategy<Value = Input> {
    let formats = [Format::Auto, Format::Auto, Format::Auto, Format::FluentBit, Format::Json, Format::Text];
    let expects = [Expect::Logs, Expect::Logs, Expect::Either, Expect::Either, Expect::Events];
    (prop::sample::select(formats.to_vec()), prop::sample::select(expects.to_vec()), prop::bool::weighted(0.2))
        .prop_map(|(format, expect, pointed)| Input {
            fields: if pointed { fields() } else { Fields::default() },
            ..Input::new(format, expect)
        })
}

/// Returns how many records were skimmed.
fn compare(matcher: &Matcher, input: &Input, steps: &[Step]) -> Result<usize, TestCaseError> {
    let (mut with, mut without) = (Side::new(true, input), Side::new(false, input));
    let mut skimmed = 0;
    for (offset, step) in (0..).zip(steps) {
        let (found, was_skimmed) = with.scan(matcher, step, offset);
        let (expected, never) = without.scan(matcher, step, offset);
        prop_assert!(!never);
        prop_assert_eq!(found, expected, "{}", String::from_utf8_lossy(&step.value));
        skimmed += usize::from(was_skimmed);
        prop_assert_eq!(with.scanner.is_full(), without.scanner.is_full());
        if step.flush {
            prop_assert_eq!(with.flush(matcher, false), without.flush(matcher, false));
        }
    }
    prop_assert_eq!(with.flush(matcher, true), without.flush(matcher, true));
    Ok(skimmed)
}

fn rules(chosen: &[bool]) -> Arc<RuleSet> {
    let rules = RULES.trim().lines().zip(chosen).filter(|(_, chosen)| **chosen).map(|(rule, _)| rule);
    Arc::new(RuleSet::parse(&[("r.yaml", &rules.collect::<Vec<_>>().join("\n"))]).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn reports_are_the_same_with_and_without(
        chosen in prop::collection::vec(prop::bool::weighted(0.8), 8),
        input in input(),
        steps in (0..8u32).prop_flat_map(|producer| prop::collection::vec(step(producer), 1..80)),
        // Parts of what rules look for, too: every choice of what to look for must do.
        seen in prop::collection::vec(prop::sample::select(WORDS), 0..12),
    ) {
        let mut traffic = Traffic::default();
        seen.iter().for_each(|message| traffic.add(message.as_bytes()));
        compare(&Matcher::suited_to(rules(&chosen), &traffic), &input, &steps)?;
    }
}

/// The property above would hold without any prefilter, too.
#[test]
fn clean_records_of_common_producers_are_skimmed() {
    let shop = json!({"pod_name": "cart-7d9f8b6c5d-x7k2p", "namespace_name": "shop", "host": "n1"});
    let producers: [fn(&Value, i64) -> Value; 4] = [
        |shop, at| json!({"@timestamp": at as f64 + 0.25, "stream": "stdout", "_p": "F", "log": format!("request {at}\n"), "kubernetes": shop}),
        |shop, at| {
            json!({"file": "/var/log/x", "kubernetes": shop, "message": format!("{{\"n\":\"{at}\"}}"), "source_type": "kubernetes_logs",
            "timestamp": Timestamp::from_millis(at * 1000).to_string(), "timestamp_end": Timestamp::from_millis(at * 1000).to_string()})
        },
        |_, at| {
            json!({"@timestamp": Timestamp::from_millis(at * 1000).to_string(), "@metadata": {}, "kubernetes": {"pod": {"name": "web-0"}},
            "log": {"offset": at}, "message": format!("line {at}")})
        },
        |shop, at| json!({"log": format!("line {at}"), "docker": {"container_id": "d"}, "kubernetes": shop}),
    ];
    for (index, producer) in producers.iter().enumerate() {
        let steps = (1_795_356_000..1_795_356_020).map(|at| Step {
            value: producer(&shop, at).to_string().into_bytes(),
            kafka: None,
            // From the second half on it is the records' clocks that are ahead.
            clock: (at == 1_795_356_010).then_some(1_795_355_000_000),
            second: at % 2 == 0,
            header: false,
            flush: at % 7 == 0,
        });
        let skimmed = compare(&Matcher::new(rules(&[true; 8])), &Input::default(), &steps.collect::<Vec<_>>()).unwrap();
        assert_eq!(skimmed, 19, "producer {index}");
    }
}
