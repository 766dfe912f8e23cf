//! What holds for all producers, and helpers for the tests of each.

use super::*;
use crate::record::{KubeEvent, LogEntry};

/// Decodes one value, leaving the borrowed world.
pub(super) fn entries(value: &str, format: Format, expect: Expect) -> Result<Vec<Entry<'_>>, Rejected> {
    let record = Record { offset: 7, timestamp: None, value: Some(value.as_bytes()) };
    let mut entries = Vec::new();
    decode(&record, &Input::new(format, expect), &mut entries).map(|()| entries)
}

fn of_bytes(value: &[u8], format: Format) -> Vec<Entry<'_>> {
    let record = Record { offset: 7, timestamp: None, value: Some(value) };
    let [mut named, mut recognised] = [Vec::new(), Vec::new()];
    decode(&record, &Input::new(format, Expect::Either), &mut named).unwrap();
    decode(&record, &Input::default(), &mut recognised).unwrap();
    assert_eq!(named, recognised, "recognised as something else");
    named
}

/// The log entries of a value that is no text, recognised or with its format named.
pub(super) fn logs_of(value: &[u8], format: Format) -> Vec<LogEntry<'_>> {
    let log = |entry| if let Entry::Log(log) = entry { log } else { panic!("no log entry: {entry:?}") };
    of_bytes(value, format).into_iter().map(log).collect()
}

/// Its events, likewise.
pub(super) fn events_of(value: &[u8], format: Format) -> Vec<KubeEvent<'_>> {
    let event = |entry| if let Entry::Event(event) = entry { event } else { panic!("no event: {entry:?}") };
    of_bytes(value, format).into_iter().map(event).collect()
}

/// The one log entry of a value, which must be the same recognised or with its format named.
pub(super) fn log(value: &str, format: Format) -> LogEntry<'_> {
    let found = entries(value, Format::Auto, Expect::Logs).unwrap();
    assert_eq!(Ok(&found), entries(value, format, Expect::Logs).as_ref(), "recognised as something else");
    match <[Entry<'_>; 1]>::try_from(found) {
        Ok([Entry::Log(log)]) => log,
        other => panic!("not one log entry: {other:?}"),
    }
}

/// The one event of a value, likewise.
pub(super) fn event(value: &str, format: Format) -> KubeEvent<'_> {
    let found = entries(value, Format::Auto, Expect::Events).unwrap();
    assert_eq!(Ok(&found), entries(value, format, Expect::Events).as_ref(), "recognised as something else");
    match <[Entry<'_>; 1]>::try_from(found) {
        Ok([Entry::Event(event)]) => event,
        other => panic!("not one event: {other:?}"),
    }
}

/// Where a line came from: node, namespace, pod, container.
pub(super) fn origin<'l>(log: &'l LogEntry<'_>) -> [Option<&'l str>; 4] {
    let source = &log.source;
    [source.node.as_deref(), source.namespace.as_deref(), source.pod.as_deref(), source.container.as_deref()]
}

fn reason(value: &str, format: Format, expect: Expect) -> Option<Reason> {
    entries(value, format, expect).err().map(|rejected| rejected.reason)
}

const EVENT: &str = r#"{"kind":"Event","apiVersion":"v1","metadata":{"uid":"e1"},"reason":"BackOff","message":"m",
    "involvedObject":{"kind":"Pod","namespace":"shop","name":"cd-0"},"source":{"host":"n1"}}"#;
const AUDIT: &str = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","verb":"get","stage":"ResponseComplete"}"#;

#[test]
fn names_lead_back_to_their_format() {
    for &format in Format::ALL {
        assert_eq!(Format::from_name(format.name()), Some(format), "{format}");
        assert!(format.name().chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'), "{format}");
    }
    assert_eq!(Format::from_name("fluentbit"), None);
    let mut names: Vec<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Reason::ALL.len());
}

#[test]
fn rejects_with_the_reason() {
    let cases = [
        ("", Format::Auto, Expect::Logs, Some(Reason::Empty)),
        (" \r\n", Format::Auto, Expect::Logs, Some(Reason::Empty)),
        (r#"{"log":"cut o"#, Format::Auto, Expect::Logs, Some(Reason::InvalidJson)),
        (r#"{"log":"a"} {"log":"b"}"#, Format::Auto, Expect::Logs, Some(Reason::InvalidJson)),
        ("plain", Format::FluentBit, Expect::Logs, Some(Reason::InvalidJson)),
        ("7", Format::FluentBit, Expect::Logs, Some(Reason::UnknownShape)),
        ("7", Format::Auto, Expect::Logs, None),
        (r#"{"level":"info"}"#, Format::Auto, Expect::Logs, Some(Reason::NoMessage)),
        (r#"{"log":null,"kubernetes":{}}"#, Format::Auto, Expect::Logs, Some(Reason::NoMessage)),
        ("not a cri line", Format::Cri, Expect::Logs, Some(Reason::UnknownShape)),
        (AUDIT, Format::Auto, Expect::Either, Some(Reason::AuditRecord)),
        (AUDIT, Format::KubeEvent, Expect::Events, Some(Reason::AuditRecord)),
        (r#"{"log":"a line"}"#, Format::Auto, Expect::Events, Some(Reason::NotAnEvent)),
        ("plain", Format::Auto, Expect::Events, Some(Reason::NotAnEvent)),
        (r#"{"reason":"r","message":"m"}"#, Format::KubeEvent, Expect::Events, Some(Reason::NotAnEvent)),
        (r#"{"involvedObject":{},"type":"Normal"}"#, Format::Auto, Expect::Events, Some(Reason::UnknownShape)),
        ("[1,2]", Format::FluentBit, Expect::Logs, Some(Reason::UnknownShape)),
        (EVENT, Format::Auto, Expect::Logs, None),
    ];
    for (value, format, expect, expected) in cases {
        assert_eq!(reason(value, format, expect), expected, "{value} as {format}");
    }
}

#[test]
fn rejects_what_is_no_text() {
    let mut found = Vec::new();
    let mut rejected = |value| {
        let record = Record { offset: 0, timestamp: None, value };
        decode(&record, &Input::default(), &mut found).map_err(|rejected| rejected.reason)
    };
    assert_eq!(rejected(None), Err(Reason::Tombstone));
    // A schema registry's Avro, gzip.
    assert_eq!(rejected(Some(b"\0\0\0\0\x07\x0cshop\xff\x01")), Err(Reason::InvalidUtf8));
    assert_eq!(rejected(Some(b"\x1f\x8b\x08\0\0\0\0\0")), Err(Reason::InvalidUtf8));
}

#[test]
fn reads_text_in_other_encodings() {
    let cases: [(&[u8], &str); 4] = [
        (b"{\"log\":\"caf\xe9\",\"kubernetes\":{\"host\":\"n1\"}}", "caf\u{fffd}"),
        (
            b"[2026-11-22T14:51:03.000Z][LOGMONITOR] ERROR: Zugriff verweigert f\xfcr x\r\n",
            "[2026-11-22T14:51:03.000Z][LOGMONITOR] ERROR: Zugriff verweigert f\u{fffd}r x",
        ),
        (b"\xff\xfeE\0r\0r\0o\0r\0:\0 \x002\x001\x006\0", "Error: 216"),
        (b"\0E\0r\0r\0o\0r\0\r\0\n", "Error"),
    ];
    for (value, message) in cases {
        let record = Record { offset: 0, timestamp: None, value: Some(value) };
        let mut found = Vec::new();
        decode(&record, &Input::new(Format::Auto, Expect::Logs), &mut found).unwrap();
        assert_eq!(found[0].message(), message);
    }
}

#[test]
fn lines_that_look_like_json_are_lines() {
    for line in [
        "[2026-11-22T14:51:03.000Z][LOGMONITOR] ERROR: Failed to start entrypoint process. Error: 216",
        r#""quoted" words"#,
        r#"[{"half":"#,
        "null",
        "-1.5",
    ] {
        assert_eq!(log(line, Format::Text).message, line);
    }
}

#[test]
fn a_bare_json_string_is_a_line() {
    for format in [Format::Auto, Format::Vector, Format::FluentBit] {
        let found = entries(r#""say \"hi\" \u003cnow\u003e\n""#, format, Expect::Logs).unwrap();
        assert_eq!(found[0].message(), r#"say "hi" <now>"#, "{format}");
    }
}

#[test]
fn an_array_holds_records() {
    let value = format!(r#"[{{"log":"a"}}, {EVENT}]"#);
    let found = entries(&value, Format::Auto, Expect::Events).unwrap();
    assert_eq!(found.iter().map(Entry::message).collect::<Vec<_>>(), ["a", "m"]);
    assert_eq!(reason(r#"[{"log":"a"}, 7]"#, Format::Auto, Expect::Logs), Some(Reason::UnknownShape));
}

#[test]
fn entries_per_record_are_bounded_and_nothing_is_left_behind() {
    let many = |count: usize| format!("[{}]", vec![r#"{"log":"a"}"#; count].join(","));
    let most = many(MAX_ENTRIES_PER_RECORD);
    assert_eq!(entries(&most, Format::Auto, Expect::Logs).unwrap().len(), MAX_ENTRIES_PER_RECORD);

    let value = many(MAX_ENTRIES_PER_RECORD + 1);
    let mut found = vec![Entry::Log(LogEntry::default())];
    let record = Record { offset: 0, timestamp: None, value: Some(value.as_bytes()) };
    let rejected = decode(&record, &Input::new(Format::Auto, Expect::Logs), &mut found).unwrap_err();
    assert_eq!(rejected.reason, Reason::TooLarge);
    assert_eq!(found.len(), 1);
}

#[test]
fn deep_nesting_is_refused_by_the_parser() {
    let value = format!("{{\"log\":{}1{}}}", "[".repeat(5_000), "]".repeat(5_000));
    assert_eq!(reason(&value, Format::Auto, Expect::Logs), Some(Reason::InvalidJson));
}

#[test]
fn an_event_piped_through_a_shipper_is_an_event_again() {
    let piped = serde_json::json!({
        "kubernetes": {"pod_name": "eventrouter-0", "namespace_name": "kube-system", "host": "n9"},
        "cluster": "prod",
        "log": format!("{}\n", serde_json::json!({"verb": "UPDATED", "event": serde_json::from_str::<serde_json::Value>(EVENT).unwrap()})),
    })
    .to_string();
    for expect in [Expect::Logs, Expect::Events, Expect::Either] {
        let found = entries(&piped, Format::Auto, expect).unwrap();
        let [Entry::Event(event)] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!((event.node.as_deref(), event.cluster.as_deref()), (Some("n1"), Some("prod")));
    }
    let line = format!("2024-07-02T12:40:06.615800890Z stdout F {}", EVENT.replace('\n', ""));
    assert!(matches!(entries(&line, Format::Auto, Expect::Events).unwrap()[0], Entry::Event(_)));
}

#[test]
fn a_byte_order_mark_is_skipped() {
    assert_eq!(log("\u{feff}{\"log\":\"a\",\"@timestamp\":1}", Format::FluentBit).message, "a");
}
