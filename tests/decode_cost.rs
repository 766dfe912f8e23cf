//! What decoding costs grows with the record and no faster: bytes allocated, which are the same in every run, and, with
//! a bound that only something quadratic breaks, time. One test: the counters are the process's.

use std::alloc::System;
use std::hint::black_box;
use std::time::{Duration, Instant};

use faultline::decode::{Format, Input, decode};
use faultline::record::{Expect, Record};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const SMALL: usize = 32 << 10;
const LARGE: usize = 512 << 10;
const GROWTH: usize = LARGE / SMALL;

/// Bytes allocated for one byte of the record, in all; what is held at a time is less. A number takes two bytes of JSON
/// and one of MessagePack, a value in memory some 40, and growing vectors double.
const MOST_BYTES_PER_BYTE: usize = 300;

/// Times vary; a cost that grows with the square would grow 256-fold.
const MOST_GROWTH_OF_TIME: u32 = 5 * GROWTH as u32;

type Shape = (&'static str, fn(usize) -> Vec<u8>);

/// Records of about so many bytes that hold as much as possible of one thing.
const SHAPES: &[Shape] = &[
    ("a long line", |n| "x".repeat(n).into_bytes()),
    ("a long line of escapes", |n| format!("{{\"log\":\"{}\"}}", "\\u001b[".repeat(n / 7)).into_bytes()),
    ("colours", |n| "\u{1b}[3".repeat(n / 3).into_bytes()),
    ("NULs", |n| "a\0".repeat(n / 2).into_bytes()),
    ("UTF-16", |n| {
        [b"\xff\xfe".to_vec(), "\u{e9}".repeat(n / 2).encode_utf16().flat_map(u16::to_le_bytes).collect()].concat()
    }),
    ("no UTF-8", |n| vec![0xe9; n]),
    ("deep arrays", |n| format!("{{\"log\":{}", "[".repeat(n)).into_bytes()),
    ("deep objects", |n| "{\"log\":".repeat(n / 7).into_bytes()),
    ("100 deep, again and again", |n| {
        let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
        format!("{{\"log\":[{}1]}}", (deep + ",").repeat(n / 202)).into_bytes()
    }),
    ("many keys", |n| {
        let keys: String = (0..n / 12).map(|key| format!("\"{key:07}\":1,")).collect();
        format!("{{\"kubernetes\":{{{keys}\"a\":1}},{keys}\"log\":\"a\"}}").into_bytes()
    }),
    ("one key again and again", |n| format!("{{{}\"log\":\"a\"}}", "\"log\":1,".repeat(n / 8)).into_bytes()),
    ("many numbers", |n| format!("{{\"log\":[{}0]}}", "0,".repeat(n / 2)).into_bytes()),
    ("JSON in JSON", |n| {
        let inner = serde_json::json!({"msg": "say \"no\"".repeat(n / 40)}).to_string();
        let middle = serde_json::json!({ "msg": inner }).to_string();
        serde_json::json!({ "log": serde_json::json!({ "msg": middle }).to_string() }).to_string().into_bytes()
    }),
    ("LogMonitor, no JSON", |n| {
        format!("{{\"Source\":\"Process\",\"LogEntry\":{{\"Logline\":\"{}", "\"},".repeat(n / 3)).into_bytes()
    }),
    ("XML's entities", |n| format!("<Source>{}", "&amp;lt;".repeat(n / 8)).into_bytes()),
    ("a path", |n| {
        format!("{{\"source_type\":\"kubernetes_logs\",\"message\":\"a\",\"file\":\"{}\"}}", "/pods_a".repeat(n / 7))
            .into_bytes()
    }),
    ("many events", |n| {
        let event = r#"{"involvedObject":{},"reason":"a"},"#;
        format!(
            "{{\"kind\":\"List\",\"items\":[{}{{\"regarding\":{{}},\"reason\":\"a\"}}]}}",
            event.repeat(n / event.len() / 4)
        )
        .into_bytes()
    }),
    ("OTLP: a resource's attributes, and records", |n| {
        let attribute = r#"{"key":"k8s.event.uid","value":{"stringValue":"\u0061"}},"#;
        let name = "\\u0061".repeat(n / 24);
        let records = r#"{"body":{}},"#.repeat((n / 24).min(9_000));
        format!(
            r#"{{"resourceLogs":[{{"resource":{{"attributes":[{}{{"key":"k8s.pod.name","value":{{"stringValue":"{name}"}}}}]}},
            "scopeLogs":[{{"logRecords":[{records}{{}}]}}]}}]}}"#,
            attribute.repeat(n / 4 / attribute.len())
        )
        .into_bytes()
    }),
    ("protobuf: empty records", |n| nested(&[10, 18], &[18, 0].repeat(n / 2))),
    ("protobuf: empty attributes", |n| nested(&[10, 18, 18], &[50, 0].repeat(n / 2))),
    ("protobuf: a body of empty values", |n| nested(&[10, 18, 18, 42, 42], &[10, 0].repeat(n / 2))),
    ("protobuf: a deep body", |n| {
        (0..n / 100).map(|_| nested(&[10, 18, 18, 42], &deep_array(45))).collect::<Vec<_>>().concat()
    }),
    ("msgpack: nulls", |n| [b"\x81\xa3log\xdd".as_slice(), &(n as u32).to_be_bytes(), &vec![0xc0; n]].concat()),
    ("msgpack: arrays in arrays", |n| [b"\x81\xa3log".as_slice(), &vec![0x91; n]].concat()),
    ("msgpack: arrays that claim more than there is", |n| {
        [b"\x81\xa3log".as_slice(), &b"\xdd\xff\xff\xff\xff".repeat(n / 5)].concat()
    }),
    ("msgpack: a text that claims more than there is", |n| {
        [b"\x81\xa3log\xdb\xff\xff\xff\xff".as_slice(), &vec![b'a'; n]].concat()
    }),
    ("protobuf: claims more than there is", |n| b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01".repeat(n / 11)),
    ("msgpack: no UTF-8", |n| [b"\x81\xa3log\xdb".as_slice(), &(n as u32).to_be_bytes(), &vec![0xe9; n]].concat()),
];

/// A protobuf message within messages, of which `keys` are the fields' keys, outermost first.
fn nested(keys: &[u8], content: &[u8]) -> Vec<u8> {
    keys.iter().rev().fold(content.to_vec(), |content, &key| {
        let mut message = vec![key];
        let mut length = content.len();
        while length >= 0x80 {
            message.push(length as u8 | 0x80);
            length >>= 7;
        }
        message.push(length as u8);
        message.extend(content);
        message
    })
}

fn deep_array(depth: usize) -> Vec<u8> {
    (0..depth).fold(vec![10, 0], |value, _| nested(&[42, 10], &value))
}

/// Bytes allocated, and the least time of some tries.
fn cost(value: &[u8], format: Format) -> (usize, Duration) {
    let record = Record { offset: 0, timestamp: None, value: Some(value) };
    let input = Input::new(format, Expect::Either);
    let run = || {
        let region = Region::new(ALLOCATOR);
        let began = Instant::now();
        let mut entries = Vec::new();
        let _ = black_box(decode(&record, &input, &mut entries));
        let time = began.elapsed();
        drop(entries);
        (region.change().bytes_allocated, time)
    };
    let runs = [run(), run()];
    (runs[0].0, runs.iter().map(|run| run.1).min().unwrap_or_default())
}

#[test]
fn costs_grow_with_the_record_and_no_faster() {
    let mut wrong = Vec::new();
    for (name, shape) in SHAPES {
        let (small, large) = (shape(SMALL), shape(LARGE));
        for format in [Format::Auto, Format::Json, Format::Msgpack, Format::OtlpProto, Format::Text] {
            let ((small_bytes, small_time), (large_bytes, large_time)) = (cost(&small, format), cost(&large, format));
            if large_bytes > MOST_BYTES_PER_BYTE * large.len() {
                wrong.push(format!("{name} as {format}: {} bytes make {large_bytes}", large.len()));
            }
            if large_bytes > 2 * GROWTH * (small_bytes + SMALL) {
                wrong.push(format!("{name} as {format}: {small_bytes} bytes grew to {large_bytes}"));
            }
            let most = MOST_GROWTH_OF_TIME * small_time.max(Duration::from_micros(200));
            // A busy machine is slow now and then; what is quadratic is so each time.
            if large_time > most && (0..20).all(|_| cost(&large, format).1 > most) {
                wrong.push(format!("{name} as {format}: {small_time:?} grew to {large_time:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
