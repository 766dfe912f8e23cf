//! Malformed and abusive records without end: no panic, and no growth. Small here; the long run is
//!
//! ```text
//! FAULTLINE_MALFORMED=10000000 cargo test --release --test malformed -- --nocapture
//! ```
//!
//! One test: the counters of allocations are the process's.

use std::alloc::System;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use faultline::bundled;
use faultline::correlator;
use faultline::decode::{Format, Input};
use faultline::engine::Engine;
use faultline::record::{Expect, Partition, Record};
use faultline::redaction::Redactor;
use faultline::ruleset::RuleSet;
use faultline::scanner::matcher::Matcher;
use faultline::scanner::{self, Slot};
use faultline::time::Timestamp;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const RECORDS: u64 = 200_000;
const RECORDS_PER_FLUSH: u64 = 500;
const START_MS: i64 = 1_795_357_863_000;

/// What is held may vary with what came last, but not grow.
const MOST_GROWTH: f64 = 1.1;

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        (0..self.below(most)).map(|_| self.next() as u8).collect()
    }

    /// A name that never comes again.
    fn name(&mut self) -> String {
        format!("n{:x}", self.next())
    }
}

const PANIC: &str = "panic: runtime error: invalid memory address or nil pointer dereference";

fn line(namespace: &str, pod: &str, node: &str, message: &str) -> String {
    format!(
        r#"{{"log":"{message}","kubernetes":{{"namespace_name":"{namespace}","pod_name":"{pod}","host":"{node}",
        "container_name":"c","container_image":"img:{pod}"}}}}"#
    )
}

fn event(namespace: &str, pod: &str, uid: &str, count: &str) -> String {
    format!(
        r#"{{"kind":"Event","metadata":{{"uid":"{uid}"}},"involvedObject":{{"kind":"Pod","namespace":"{namespace}","name":"{pod}"}},
        "reason":"BackOff","type":"Warning","message":"Back-off restarting failed container","count":{count},
        "source":{{"component":"kubelet","host":"{pod}-node"}}}}"#
    )
}

fn good(rng: &mut Rng) -> Vec<u8> {
    match rng.below(3) {
        0 => line("shop", "cd-0", "n1", PANIC).into_bytes(),
        1 => event("shop", "cd-0", "u", "3").into_bytes(),
        _ => b"2026-11-22T10:00:00.5Z stdout F boom".to_vec(),
    }
}

type Kind = (&'static str, fn(&mut Rng) -> Vec<u8>);

const KINDS: &[Kind] = &[
    ("nothing", |_| vec![]),
    ("blanks", |_| b" \t\r\n ".to_vec()),
    ("NULs", |rng| vec![0; rng.below(200)]),
    ("noise", |rng| rng.bytes(400)),
    ("no UTF-8", |rng| [b"{\"log\":\"\xff\xfe\xe9".to_vec(), rng.bytes(50)].concat()),
    ("half of UTF-16", |rng| [b"\xff\xfe".to_vec(), rng.bytes(99)].concat()),
    ("a good record, cut", |rng| {
        let whole = good(rng);
        whole[..rng.below(whole.len())].to_vec()
    }),
    ("a good record, one bit wrong", |rng| {
        let mut bytes = good(rng);
        let at = rng.below(bytes.len());
        bytes[at] ^= 1 << rng.below(8);
        bytes
    }),
    ("two good records in one", |rng| [good(rng), good(rng)].concat()),
    ("a number", |rng| rng.next().to_string().into_bytes()),
    ("null", |_| b"null".to_vec()),
    ("an array", |_| b"[[],[1],[\"log\"]]".to_vec()),
    ("an empty object", |_| b"{}".to_vec()),
    ("no message", |rng| format!("{{\"a\":{}}}", rng.next()).into_bytes()),
    ("deep arrays", |rng| format!("{{\"log\":{}", "[".repeat(rng.below(3000))).into_bytes()),
    ("deep objects", |rng| "{\"log\":".repeat(rng.below(900)).into_bytes()),
    ("a huge number", |_| b"{\"log\":1e99999999,\"time\":-1e400}".to_vec()),
    ("one key again and again", |rng| format!("{{{}\"log\":1}}", "\"log\":\"a\",".repeat(rng.below(99))).into_bytes()),
    ("bad escapes", |_| br#"{"log":"\x \u12 \ud800 \udc00\ud800"}"#.to_vec()),
    ("control characters", |_| b"{\"log\":\"a\x01\x02\x1b[31m\x00\"}".to_vec()),
    ("wrong types", |_| br#"{"log":{"a":[1]},"kubernetes":[7],"time":{},"cluster":false}"#.to_vec()),
    ("wrong types within", |_| br#"{"log":"a","kubernetes":{"pod_name":1,"namespace_name":null,"host":{}}}"#.to_vec()),
    ("ever new pods", |rng| line("loud", &rng.name(), "n1", "all is well").into_bytes()),
    ("ever new failing pods", |rng| line("loud", &rng.name(), "n1", PANIC).into_bytes()),
    ("ever new nodes", |rng| line("loud", "p", &rng.name(), PANIC).into_bytes()),
    ("ever new namespaces", |rng| line(&rng.name(), "p", "n1", PANIC).into_bytes()),
    ("ever new clusters", |rng| format!(r#"{{"log":"{PANIC}","cluster":"{}"}}"#, rng.name()).into_bytes()),
    ("ever new clusters with pods", |rng| {
        line("a", "p", "n", PANIC).replacen('{', &format!(r#"{{"cluster":"{}","#, rng.name()), 1).into_bytes()
    }),
    ("huge names", |rng| line(&"s".repeat(rng.below(9000)), &"p".repeat(9000), &rng.name(), PANIC).into_bytes()),
    ("names of odd characters", |rng| {
        line("../\u{202e}", &format!("\u{1f4a5}/{}", rng.name()), "/", PANIC).into_bytes()
    }),
    ("a line that never ends", |rng| {
        format!("2026-11-22T10:00:00Z stdout P {}", "x".repeat(rng.below(9000))).into_bytes()
    }),
    ("parts of ever new writers", |rng| {
        line("loud", &rng.name(), "n1", "part").replace("}}", "},\"logtag\":\"P\"}").into_bytes()
    }),
    ("CRI with an odd time", |_| b"2026-13-45T99:99:99Z stdout F boom".to_vec()),
    ("times from far away", |rng| format!(r#"{{"log":"{PANIC}","time":{}}}"#, rng.next() as i64).into_bytes()),
    ("an event about nothing", |_| br#"{"kind":"Event","reason":"BackOff"}"#.to_vec()),
    ("an event of wrong types", |_| br#"{"kind":"Event","involvedObject":"a","reason":[],"count":"many"}"#.to_vec()),
    ("ever new events", |rng| event("loud", "p", &rng.name(), "1").into_bytes()),
    ("odd counts", |rng| event("loud", "p", "u", ["-1", "1e300", "4294967296", "0"][rng.below(4)]).into_bytes()),
    ("events of ever new pods", |rng| event("loud", &rng.name(), &rng.name(), "9").into_bytes()),
    ("an audit record", |_| br#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"a"}"#.to_vec()),
    ("OTLP of wrong types", |_| {
        br#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[7,{"body":{"stringValue":[]}}]}]},1]}"#.to_vec()
    }),
    ("protobuf, cut", |rng| [vec![10, 200, 1, 18, 190, 1], rng.bytes(90)].concat()),
    ("protobuf that claims more than there is", |_| {
        [&[10][..], &[0xff; 9], &[1], &[18, 0xff, 0xff, 0xff, 0x7f]].concat()
    }),
    ("msgpack that claims more than there is", |rng| {
        [b"\x81\xa3log".to_vec(), [0xdd, 0xff, 0xff, 0xff, 0xff].repeat(1 + rng.below(99))].concat()
    }),
    ("msgpack, cut", |rng| [b"\x92\xd7\x00\x00\x00\x00\x01\xdf\xff\xff\xff\xff".to_vec(), rng.bytes(60)].concat()),
    ("XML", |rng| format!("<Source>{}", "&amp;lt;".repeat(rng.below(300))).into_bytes()),
];

/// So small that all bounds are met in the first half.
fn engine() -> Engine {
    let rules = Arc::new(RuleSet::parse(bundled::RULES).expect("the bundled rules are right"));
    let scan = scanner::Limits {
        record_bytes: 16 << 10,
        clusters: 5,
        matches_per_report: 200,
        pods_per_report: 200,
        joined_bytes: 4 << 10,
        open_lines: 16,
        known_bytes: 256 << 10,
        max_ahead: Duration::from_secs(60),
        ..scanner::Limits::default()
    };
    let state = correlator::Limits {
        clusters: 5,
        nodes: 100,
        pods: 300,
        failing_pods: 100,
        incidents: 10,
        capture_values: 3,
        pod_ttl: Duration::from_secs(60),
        ..correlator::Limits::default()
    };
    let scan = scanner::Options { cluster: "c".into(), limits: scan, prefilter: true, redactor: Redactor::standard() };
    Engine::new(Matcher::new(rules), scan, correlator::Options { limits: state, ..correlator::Options::default() })
}

fn assign(engine: &mut Engine) -> Vec<Slot> {
    let read = [
        (Format::Auto, Expect::Either),
        (Format::Auto, Expect::Logs),
        (Format::Auto, Expect::Events),
        (Format::Json, Expect::Logs),
        (Format::Msgpack, Expect::Either),
        (Format::OtlpProto, Expect::Logs),
    ];
    let partition = |partition| Partition { topic: "t".into(), partition };
    (0..).zip(read).map(|(n, (format, expect))| engine.assign(partition(n), Input::new(format, expect))).collect()
}

#[test]
fn malformed_records_without_end_break_nothing_and_gather_nowhere() {
    let records = std::env::var("FAULTLINE_MALFORMED").map_or(RECORDS, |number| number.parse().expect("a number"));
    assert!(KINDS.len() >= 40);
    let mut engine = engine();
    let slots = assign(&mut engine);
    let mut rng = Rng(7);
    let mut rejected: BTreeMap<&'static str, u64> = BTreeMap::new();
    let (mut counts, mut alerts, mut peaks) = (correlator::Counts::default(), 0, [0, 0]);
    let region = Region::new(ALLOCATOR);
    for number in 0..records {
        let value = (KINDS[rng.below(KINDS.len())].1)(&mut rng);
        let value = Some(value.as_slice()).filter(|_| rng.below(100) > 0);
        let time = Timestamp::from_millis(START_MS + number as i64);
        let record = Record { offset: number as i64, timestamp: Some(time), value };
        match engine.scan(slots[rng.below(slots.len())], &record) {
            Ok(_) => {}
            Err(why) => *rejected.entry(why.reason.as_str()).or_default() += 1,
        }
        if engine.is_full() || number % RECORDS_PER_FLUSH == 0 {
            let flushed = engine.flush();
            counts += flushed.counts;
            alerts += flushed.alerts.len();
            drop(flushed);
            let change = region.change();
            let half = usize::from(number >= records / 2);
            peaks[half] = peaks[half].max(change.bytes_allocated - change.bytes_deallocated);
        }
    }
    let [first, second] = peaks;
    println!(
        "{records} records, {alerts} alerts; bytes held at most: {first} in the first half, {second} in the second"
    );
    println!("rejected: {rejected:?}\n{counts:?}");
    assert!(second as f64 <= MOST_GROWTH * first as f64, "{first} bytes grew to {second}");
    // It is a test of something only while both ways are taken.
    let all: u64 = rejected.values().sum();
    assert!(rejected.len() >= 7 && all > records / 5 && all < records * 4 / 5, "{rejected:?}");
    let bounds = [
        counts.evicted_pods,
        counts.evicted_nodes,
        counts.evicted_failing_pods,
        counts.evicted_event_counts,
        counts.crowded_out_clusters,
    ];
    assert!(bounds.iter().all(|hits| *hits > 0), "{counts:?}");
}
