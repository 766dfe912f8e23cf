//! Decoding under arbitrary and damaged input: it never panics, keeps its promises about what it hands out, and finds
//! the same message in every producer's shape.

use faultline::decode::{Format, Input, MAX_ENTRIES_PER_RECORD, Reason, Rejected, decode};
use faultline::record::{Entry, Expect, KubeEvent, LogEntry, Record};
use faultline::scenario;
use faultline::time::Timestamp;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use prost::Message as _;
use serde_json::{Value, json};

const EXPECTS: [Expect; 3] = [Expect::Logs, Expect::Events, Expect::Either];

fn run(value: &[u8], format: Format, expect: Expect) -> Result<Vec<Entry<'_>>, Rejected> {
    let record = Record { offset: 1, timestamp: None, value: Some(value) };
    let mut entries = Vec::new();
    let outcome = decode(&record, &Input::new(format, expect), &mut entries);
    assert!(outcome.is_ok() || entries.is_empty(), "entries in spite of {outcome:?}");
    outcome.map(|()| entries)
}

/// Decodes in every way that a configuration can ask for, and checks what the rest of the pipeline relies on.
fn check(value: &[u8]) {
    for &format in Format::ALL {
        for expect in EXPECTS {
            match run(value, format, expect) {
                Ok(entries) => check_entries(&entries, expect),
                Err(rejected) => assert!(!rejected.detail.is_empty() && !rejected.detail.contains('\n')),
            }
        }
    }
}

fn check_entries(entries: &[Entry<'_>], expect: Expect) {
    assert!(entries.len() <= MAX_ENTRIES_PER_RECORD);
    let has_event = entries.iter().any(|entry| matches!(entry, Entry::Event(_)));
    assert!(has_event || entries.is_empty() || expect != Expect::Events);
    for entry in entries {
        match entry {
            Entry::Log(log) => check_log(log),
            Entry::Event(event) => check_event(event),
        }
        assert!(entry.time().is_none_or(|time| time.as_millis() > 0));
    }
}

fn check_log(log: &LogEntry<'_>) {
    assert!(!log.message.ends_with(['\n', '\r']) && !log.message.contains('\u{1b}'), "{:?}", log.message);
    let source = &log.source;
    let names = [&source.node, &source.namespace, &source.pod, &source.pod_uid, &source.container, &source.image];
    for name in names.into_iter().chain([&log.cluster]) {
        assert_ne!(name.as_deref(), Some(""), "empty strings are absent: {log:?}");
    }
    assert!(source.owner.as_ref().is_none_or(|owner| !owner.kind.is_empty() && !owner.name.is_empty()));
}

fn check_event(event: &KubeEvent<'_>) {
    assert!(!(event.reason.is_empty() && event.message.is_empty()));
    for name in [&event.uid, &event.node, &event.cluster, &event.object.uid] {
        assert_ne!(name.as_deref(), Some(""), "empty strings are absent: {event:?}");
    }
    assert_ne!(event.count, Some(0));
}

fn is_log(entry: &Entry<'_>) -> bool {
    matches!(entry, Entry::Log(_))
}

fn core_event() -> Value {
    json!({
        "kind": "Event", "apiVersion": "v1",
        "metadata": {"name": "cd-0.17", "namespace": "shop", "uid": "e1", "creationTimestamp": "2026-11-22T14:00:00Z"},
        "involvedObject": {"kind": "Pod", "namespace": "shop", "name": "cd-0", "uid": "p1", "fieldPath": "spec"},
        "reason": "BackOff", "message": "Back-off restarting failed container", "type": "Warning", "count": 3,
        "source": {"component": "kubelet", "host": "n1"},
        "firstTimestamp": "2026-11-22T14:00:00Z", "lastTimestamp": "2026-11-22T14:02:00Z", "eventTime": null,
        "series": {"count": 4, "lastObservedTime": "2026-11-22T14:03:00.000000Z"},
        "reportingComponent": "kubelet", "reportingInstance": "n1",
    })
}

fn new_event() -> Value {
    json!({
        "kind": "Event", "apiVersion": "events.k8s.io/v1", "metadata": {"namespace": "shop", "uid": "e1"},
        "regarding": {"kind": "Node", "name": "n1"}, "reason": "NodeNotReady", "note": "n", "type": "Normal",
        "eventTime": "2026-11-22T14:00:00.000000Z", "deprecatedCount": 2, "deprecatedSource": {"host": "n1"},
        "deprecatedLastTimestamp": "2026-11-22T14:00:00Z", "reportingController": "node-controller",
    })
}

/// The record of each log producer that holds `message`.
fn log_records(message: &str) -> Vec<Value> {
    let names = json!({"host": "n1", "namespace_name": "shop", "pod_name": "cd-0", "pod_id": "p1", "container_name": "cd",
        "container_image": "img:1", "ownerReferences": [{"kind": "StatefulSet", "name": "cd", "controller": true}]});
    let text = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    vec![
        json!({"@timestamp": 1795357863.25, "log": message, "stream": "stdout", "cluster": "prod", "kubernetes": names}),
        json!({"log": message, "docker": {"container_id": "d"}, "kubernetes": names}),
        json!({"source_type": "kubernetes_logs", "file": "/var/log/pods/shop_cd-0_p1/cd/0.log", "message": message,
            "timestamp": "2026-11-22T14:31:03.1Z", "kubernetes": {"pod_node_name": "n1", "pod_namespace": "shop",
            "pod_name": "cd-0", "pod_uid": "p1", "container_name": "cd", "pod_owner": "StatefulSet/cd"}}),
        json!({"@timestamp": "2026-11-22T14:31:03.1Z", "hostname": "n1", "log_type": "application", "message": message,
            "kubernetes": names}),
        json!({"@timestamp": "2026-11-22T14:31:03.1Z", "@metadata": {"beat": "filebeat"}, "message": message,
            "kubernetes": {"node": {"name": "n1"}, "namespace": "shop", "pod": {"name": "cd-0", "uid": "p1"},
            "replicaset": {"name": "cd-7d9f8b6c5d"}}, "container": {"image": {"name": "img:1"}},
            "orchestrator": {"cluster": {"name": "prod"}}, "log": {"file": {"path": "/var/log/containers/a_b_c-d.log"}}}),
        json!({"log": message, "stream": "stdout", "time": "2026-11-22T14:31:03.1Z"}),
        json!({"msg": message, "node": "n1", "namespace": "shop", "pod": "cd-0"}),
        json!({"resourceLogs": [{"resource": {"attributes": [text("k8s.node.name", "n1"), text("k8s.pod.name", "cd-0")]},
            "scopeLogs": [{"scope": {}, "logRecords": [{"timeUnixNano": "1795357863250000000",
            "body": {"stringValue": message}, "attributes": [text("log.iostream", "stdout")]}]}]}]}),
        json!({"resource_logs": [{"scope_logs": [{"log_records": [{"body": {"kvlist_value": {"values": [
            {"key": "message", "value": {"string_value": message}}, {"key": "n", "value": {"int_value": "7"}}]}}}]}]}]}),
        json!(message),
    ]
}

fn event_records() -> Vec<Value> {
    let mut exported = core_event();
    exported["clusterName"] = json!("prod");
    vec![
        core_event(),
        new_event(),
        exported,
        json!({"verb": "UPDATED", "event": core_event(), "old_event": core_event()}),
        json!({"type": "MODIFIED", "object": new_event()}),
        json!({"kind": "EventList", "apiVersion": "v1", "items": [core_event(), new_event()]}),
        json!({"log": format!("{}\n", core_event()), "kubernetes": {"host": "n9"}}),
        json!({"kind": "Event", "apiVersion": "audit.k8s.io/v1", "verb": "get", "user": {"username": "u"}}),
    ]
}

/// A record as Fluent Bit packs it.
fn packed(value: &Value) -> Vec<u8> {
    fn pack(value: &Value) -> rmpv::Value {
        match value {
            Value::Null => rmpv::Value::Nil,
            Value::Bool(yes) => (*yes).into(),
            Value::Number(number) => match (number.as_u64(), number.as_i64()) {
                (Some(number), _) => number.into(),
                (_, Some(number)) => number.into(),
                _ => number.as_f64().unwrap_or_default().into(),
            },
            Value::String(text) => text.as_str().into(),
            Value::Array(values) => rmpv::Value::Array(values.iter().map(pack).collect()),
            Value::Object(map) => {
                rmpv::Value::Map(map.iter().map(|(key, value)| (key.as_str().into(), pack(value))).collect())
            }
        }
    }
    let mut bytes = Vec::new();
    rmpv::encode::write_value(&mut bytes, &pack(value)).unwrap();
    bytes
}

/// A message of OTLP with a line, a map, and an event, as the OpenTelemetry types write it.
fn protobuf(message: &str) -> Vec<u8> {
    use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
    use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, KeyValueList};
    use opentelemetry_proto::tonic::logs::v1::{LogRecord, LogsData, ResourceLogs, ScopeLogs};
    use opentelemetry_proto::tonic::resource::v1::Resource;
    let string = |text: &str| AnyValue { value: Some(Any::StringValue(text.to_owned())) };
    let attribute = |key: &str, value| KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() };
    let map = |values| AnyValue { value: Some(Any::KvlistValue(KeyValueList { values })) };
    let record = |body, attributes| LogRecord {
        time_unix_nano: 1_795_357_863_250_000_000,
        severity_text: "Warning".to_owned(),
        body: Some(body),
        attributes,
        ..LogRecord::default()
    };
    let object = vec![attribute("involvedObject", map(vec![])), attribute("reason", string("BackOff"))];
    let log_records = vec![
        record(string(message), vec![attribute("log.iostream", string("stdout"))]),
        record(map(vec![attribute("msg", string(message)), attribute("n", AnyValue::default())]), vec![]),
        record(map(vec![attribute("type", string("ADDED")), attribute("object", map(object))]), vec![]),
        record(string(message), vec![attribute("k8s.event.reason", string("BackOff"))]),
    ];
    let attributes = vec![attribute("k8s.node.name", string("n1")), attribute("k8s.pod.name", string("cd-0"))];
    let resource = Some(Resource { attributes, ..Resource::default() });
    let scope_logs = vec![ScopeLogs { log_records, ..ScopeLogs::default() }];
    LogsData { resource_logs: vec![ResourceLogs { resource, scope_logs, ..ResourceLogs::default() }] }.encode_to_vec()
}

/// The places of a protobuf message's fields with a length: where the key is, the content, and how deep; as far down
/// as contents read as messages.
fn fields(message: &[u8]) -> Vec<std::ops::Range<usize>> {
    let mut found = Vec::new();
    let mut rest = message;
    while !rest.is_empty() {
        let Ok((tag, wire_type)) = prost::encoding::decode_key(&mut rest) else { break };
        if wire_type == prost::encoding::WireType::LengthDelimited {
            let Ok(length) = prost::decode_length_delimiter(&mut rest) else { break };
            let start = message.len() - rest.len();
            let Some((content, after)) = rest.split_at_checked(length) else { break };
            found.push(start..start + length);
            found.extend(fields(content).into_iter().map(|place| start + place.start..start + place.end));
            rest = after;
        } else {
            let context = prost::encoding::DecodeContext::default();
            if prost::encoding::skip_field(wire_type, tag, &mut rest, context).is_err() {
                break;
            }
        }
    }
    found
}

fn binary_corpus() -> Vec<Vec<u8>> {
    let records = log_records("a line\r\n").into_iter().chain(event_records());
    records.map(|record| packed(&record)).chain([protobuf("a line\r\n")]).collect()
}

fn corpus() -> Vec<String> {
    let start = Timestamp::from_millis(1_795_356_000_000);
    let minute = std::time::Duration::from_secs(60);
    let told = scenario::founding_case(start, 1, minute / 4, minute / 4).records;
    let made = log_records("a line\r\n").into_iter().chain(event_records()).map(|value| value.to_string());
    let plain = [
        "2024-07-02T12:40:06.615800890+00:00 stdout P \u{1b}[31mhalf a line",
        "[2026-11-22T14:51:03.000Z][LOGMONITOR] ERROR: Failed to start entrypoint process. Error: 216\r",
        r#"[{"log":"a"},{"log":"b"}]"#,
    ];
    let told = told.iter().step_by(told.len() / 20).map(|record| record.value.clone());
    made.chain(plain.map(str::to_owned)).chain(told).collect()
}

/// Damage to the bytes of a record.
#[derive(Clone, Debug)]
enum Damage {
    Cut(usize),
    Flip(usize, u8),
    Insert(usize, Vec<u8>),
    /// Leaves out up to so many bytes.
    Drop(usize, usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        any::<usize>().prop_map(Damage::Cut),
        (any::<usize>(), 0..8u8).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        (any::<usize>(), vec(any::<u8>(), 1..9)).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        (any::<usize>(), 1..40usize).prop_map(|(at, count)| Damage::Drop(at, count)),
    ]
}

fn apply(damage: &Damage, bytes: &mut Vec<u8>) {
    let place = |at: &usize| at % (bytes.len() + 1);
    match damage {
        Damage::Cut(at) => bytes.truncate(place(at)),
        Damage::Flip(at, bit) if !bytes.is_empty() => {
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
        }
        Damage::Flip(..) => {}
        Damage::Insert(at, more) => {
            let at = place(at);
            bytes.splice(at..at, more.iter().copied());
        }
        Damage::Drop(at, count) => {
            let at = place(at);
            let end = (at + count).min(bytes.len());
            bytes.drain(at..end);
        }
    }
}

fn other_values() -> Vec<Value> {
    vec![
        Value::Null,
        json!(true),
        json!(0),
        json!(-1),
        json!(1e300),
        json!(u64::MAX),
        json!(""),
        json!("x"),
        json!("0001-01-01T00:00:00Z"),
        json!({}),
        json!([]),
        json!([null, 1, "x", {}, []]),
        json!({"name": null, "key": 1, "values": 7, "log": []}),
    ]
}

/// How many values there are in a value, itself included.
fn places(value: &Value) -> usize {
    1 + match value {
        Value::Object(map) => map.values().map(places).sum(),
        Value::Array(values) => values.iter().map(places).sum(),
        _ => 0,
    }
}

/// Puts `other` in the given place of a value, counted as [`places`] does. Returns what is left to count.
fn replace(value: &mut Value, place: usize, other: &Value) -> Option<usize> {
    let Some(mut place) = place.checked_sub(1) else {
        *value = other.clone();
        return None;
    };
    let children: Vec<&mut Value> = match value {
        Value::Object(map) => map.values_mut().collect(),
        Value::Array(values) => values.iter_mut().collect(),
        _ => Vec::new(),
    };
    for child in children {
        place = replace(child, place, other)?;
    }
    Some(place)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..200)) {
        check(&bytes);
    }

    #[test]
    fn arbitrary_text_never_panics(text in "\\PC{0,80}", json in "[\\[\\]{}\":,0-9a-z\\\\ .-]{0,60}") {
        check(text.as_bytes());
        check(json.as_bytes());
    }

    #[test]
    fn damaged_records_never_panic(record in select(corpus()), damages in vec(damage(), 1..4)) {
        let mut bytes = record.into_bytes();
        for damage in &damages {
            apply(damage, &mut bytes);
        }
        check(&bytes);
    }

    #[test]
    fn damaged_binary_records_never_panic(record in select(binary_corpus()), damages in vec(damage(), 1..4)) {
        let mut bytes = record;
        for damage in &damages {
            apply(damage, &mut bytes);
        }
        check(&bytes);
    }

    /// Contents of the same length, so that what is around them still reads.
    #[test]
    fn other_contents_in_protobuf_never_panic(which in any::<usize>(), other in vec(any::<u8>(), 1..40)) {
        let mut bytes = protobuf("a line that is long enough to be changed");
        let places = fields(&bytes);
        let place = places[which % places.len()].clone();
        bytes[place].iter_mut().zip(&other).for_each(|(byte, other)| *byte = *other);
        check(&bytes);
    }

    #[test]
    fn every_producer_hands_over_the_same_message(text in "\\PC{0,60}", end in select(vec!["", "\n", "\r\n"])) {
        // A word first, so that it is nobody's JSON or runtime prefix.
        let message = format!("said {text}");
        let line = format!("{message}{end}");
        for record in log_records(&line).iter().filter(|record| record.is_object()) {
            let value = packed(record);
            let entries = run(&value, Format::Msgpack, Expect::Logs);
            prop_assert_eq!(entries.as_ref().map(|entries| entries[0].message()), Ok(message.as_str()), "{}", record);
        }
        for entry in run(&protobuf(&line), Format::Auto, Expect::Logs).unwrap().iter().filter(|entry| is_log(entry)) {
            prop_assert_eq!(entry.message(), message.as_str());
        }
        for record in log_records(&line) {
            let value = record.to_string();
            let entries = run(value.as_bytes(), Format::Auto, Expect::Logs);
            prop_assert_eq!(entries.as_ref().map(|entries| entries[0].message()), Ok(message.as_str()), "{}", value);
        }
        for value in [line.clone(), format!("2024-07-02T12:40:06.615800890Z stdout F {line}")] {
            let entries = run(value.as_bytes(), Format::Auto, Expect::Logs);
            prop_assert_eq!(entries.as_ref().map(|entries| entries[0].message()), Ok(message.as_str()), "{}", value);
        }
    }
}

/// Not by chance but each in turn: every value of every record replaced by every kind of value.
#[test]
fn wrong_types_in_every_field_never_panic() {
    for record in log_records("a line\n").into_iter().chain(event_records()) {
        for place in 0..places(&record) {
            for other in other_values() {
                let mut mutant = record.clone();
                replace(&mut mutant, place, &other);
                check(mutant.to_string().as_bytes());
                check(&packed(&mutant));
            }
        }
    }
}

/// Names of optional fields may hold anything: the message still comes through.
#[test]
fn wrong_types_in_optional_fields_are_absent() {
    for record in log_records("a line\n") {
        let Value::Object(map) = &record else { continue };
        let optional = map.keys().filter(|key| !matches!(key.as_str(), "log" | "message" | "msg" | "source_type"));
        for key in optional.filter(|key| !key.ends_with("ogs")) {
            for other in other_values() {
                let mut mutant = record.clone();
                mutant[key] = other;
                let value = mutant.to_string();
                let entries = run(value.as_bytes(), Format::Auto, Expect::Logs);
                assert_eq!(entries.as_ref().map(|entries| entries[0].message()), Ok("a line"), "{value}");
            }
        }
    }
}

#[test]
fn a_mebibyte_in_one_line_is_a_line() {
    let line = "x".repeat(1 << 20);
    assert_eq!(run(line.as_bytes(), Format::Auto, Expect::Logs).unwrap()[0].message().len(), 1 << 20);
    let cut = format!(r#"{{"log":"{line}"#);
    assert_eq!(run(cut.as_bytes(), Format::Auto, Expect::Logs).unwrap_err().reason, Reason::InvalidJson);
}
