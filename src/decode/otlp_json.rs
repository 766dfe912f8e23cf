//! The OpenTelemetry Collector's `otlp_json`: many log records in one message, each a line, or an object of the
//! Kubernetes API where the k8sobjects receiver wrote it. 64-bit numbers are strings, an absent value is `{}`, and
//! some producers write proto's snake_case names.

use std::borrow::Cow;

use serde_json_borrow::Value;

use super::found::Found;
use super::json::{Object, unsigned};
use super::otlp::{self, LogRecord, Origin};
use super::{Producer, Reads, Reason, Rejected};
use crate::time::Timestamp;

pub(super) static PRODUCER: Producer = Producer { name: "otlp-json", reads: Reads::Object { recognises, decode } };

pub(super) fn recognises(object: &Object<'_>) -> bool {
    object.has("resourceLogs") || object.has("resource_logs")
}

pub(super) fn decode<'a>(mut object: Object<'a>, found: &mut Found<'a, '_>) -> Result<(), Rejected> {
    for mut resource_logs in children(&mut object, ["resourceLogs", "resource_logs"])? {
        let mut resource = Origin::default();
        if let Some(mut attributes) = resource_logs.take_object("resource") {
            read_attributes(&mut attributes, &mut resource);
        }
        for mut scope_logs in children(&mut resource_logs, ["scopeLogs", "scope_logs"])? {
            for record in children(&mut scope_logs, ["logRecords", "log_records"])? {
                log_record(record, resource.clone(), found)?;
            }
        }
    }
    Ok(())
}

/// A repeated field under either of its names. Absent is empty; anything else than objects inside refuses the whole
/// message, for what cannot be read would be lost unseen.
fn children<'a>(parent: &mut Object<'a>, names: [&str; 2]) -> Result<Vec<Object<'a>>, Rejected> {
    let refuse = || Rejected::new(Reason::UnknownShape, format!("`{}` is not an array of objects", names[0]));
    match names.iter().find_map(|name| parent.take(name)) {
        None => Ok(Vec::new()),
        Some(Value::Array(values)) => values
            .into_iter()
            .filter(|value| !value.is_null())
            .map(|value| Object::from_value(value).ok_or_else(refuse))
            .collect(),
        Some(_) => Err(refuse()),
    }
}

fn log_record<'a>(mut record: Object<'a>, mut origin: Origin<'a>, found: &mut Found<'a, '_>) -> Result<(), Rejected> {
    read_attributes(&mut record, &mut origin);
    let time = ["timeUnixNano", "time_unix_nano", "observedTimeUnixNano", "observed_time_unix_nano"]
        .into_iter()
        .find_map(|key| record.get(key).and_then(unsigned).and_then(Timestamp::from_unix_nanos));
    let severity_text = record.take_first_text(&["severityText", "severity_text"]);
    let body = record.take_object("body").and_then(any_value);
    otlp::push(LogRecord { time, severity_text, body }, origin, found)
}

/// Reads the `attributes` of a resource or record.
fn read_attributes<'a>(parent: &mut Object<'a>, origin: &mut Origin<'a>) {
    for (key, value) in parent.take_array("attributes").unwrap_or_default().into_iter().filter_map(pair) {
        origin.add(key, value);
    }
}

/// OTLP's `AnyValue` as plain JSON. Its depth is bounded by the JSON parser's.
fn any_value(value: Object<'_>) -> Option<Value<'_>> {
    let (kind, value) = value.into_pairs().find(|(_, value)| !value.is_null())?;
    match kind.as_ref() {
        "stringValue" | "string_value" | "boolValue" | "bool_value" | "doubleValue" | "double_value" => Some(value),
        "bytesValue" | "bytes_value" => Some(value),
        "intValue" | "int_value" => Some(integer(value)),
        "arrayValue" | "array_value" => {
            let values = Object::from_value(value)?.take_array("values").unwrap_or_default();
            Some(Value::Array(values.into_iter().map(|value| element(value).unwrap_or_default()).collect()))
        }
        "kvlistValue" | "kvlist_value" => {
            let values = Object::from_value(value)?.take_array("values").unwrap_or_default();
            Some(Object::from_pairs(values.into_iter().filter_map(pair).collect()).into_value())
        }
        _ => None,
    }
}

fn element(value: Value<'_>) -> Option<Value<'_>> {
    Object::from_value(value).and_then(any_value)
}

fn pair(value: Value<'_>) -> Option<(Cow<'_, str>, Value<'_>)> {
    let mut pair = Object::from_value(value)?;
    let key = pair.take_text("key")?;
    Some((key, pair.take("value").and_then(element).unwrap_or_default()))
}

/// 64-bit integers are strings in OTLP's JSON.
fn integer(value: Value<'_>) -> Value<'_> {
    match value.as_str() {
        Some(text) => match (text.parse::<u64>(), text.parse::<i64>()) {
            (Ok(number), _) => Value::from(number),
            (_, Ok(number)) => Value::from(number),
            _ => value,
        },
        None => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::Format;
    use crate::decode::tests::{entries, event, log, origin};
    use crate::record::{Entry, Expect};

    fn batch(attributes: &str, records: &str) -> String {
        format!(
            r#"{{"resourceLogs":[{{"resource":{{"attributes":[{attributes}]}},
            "scopeLogs":[{{"scope":{{}},"logRecords":[{records}]}}]}}]}}"#
        )
    }

    fn attribute(key: &str, value: &str) -> String {
        format!(r#"{{"key":"{key}","value":{{"stringValue":"{value}"}}}}"#)
    }

    #[test]
    fn reads_a_line_and_its_resource() {
        let attributes = [
            ("k8s.cluster.name", "prod"),
            ("k8s.node.name", "n1"),
            ("k8s.namespace.name", "shop"),
            ("k8s.pod.name", "cd-7d9f8b6c5d-x7k2p"),
            ("k8s.pod.uid", "p1"),
            ("k8s.container.name", "cd"),
            ("k8s.replicaset.name", "cd-7d9f8b6c5d"),
            ("k8s.deployment.name", "cd"),
            ("container.image.name", "img"),
        ]
        .map(|(key, value)| attribute(key, value))
        .join(",");
        let value = batch(&attributes, r#"{"timeUnixNano":"1795357863250000001","body":{"stringValue":"hello\n"}}"#);
        let log = log(&value, Format::OtlpJson);
        assert_eq!((log.message.as_ref(), log.cluster.as_deref()), ("hello", Some("prod")));
        assert_eq!(log.time, Some(Timestamp::from_millis(1_795_357_863_250)));
        assert_eq!(origin(&log), [Some("n1"), Some("shop"), Some("cd-7d9f8b6c5d-x7k2p"), Some("cd")]);
        assert_eq!(log.source.owner.unwrap().kind, "Deployment");
    }

    #[test]
    fn reads_snake_case_and_what_records_add() {
        let value = r#"{"resource_logs":[{"scope_logs":[{"log_records":[
            {"time_unix_nano":0,"observed_time_unix_nano":1795357863250000000,"body":{"string_value":"hello"},
             "attributes":[{"key":"log.file.path","value":{"string_value":"/var/log/pods/shop_cd-0_p1/cd/0.log"}}]}]}]}]}"#;
        let log = log(value, Format::OtlpJson);
        assert_eq!(log.time, Some(Timestamp::from_millis(1_795_357_863_250)));
        assert_eq!(origin(&log), [None, Some("shop"), Some("cd-0"), Some("cd")]);
    }

    #[test]
    fn bodies_of_all_kinds() {
        let cases = [
            (r#""body":{"kvlistValue":{"values":[{"key":"msg","value":{"stringValue":"inner"}}]}}"#, "inner"),
            (
                r#""body":{"kvlistValue":{"values":[{"key":"n","value":{"intValue":"7"}},{"key":"no","value":{}}]}}"#,
                r#"{"n":7,"no":null}"#,
            ),
            (r#""body":{"arrayValue":{"values":[{"boolValue":true},{"intValue":1}]}}"#, "[true,1]"),
            (r#""body":{"intValue":"42"}"#, "42"),
            (r#""body":{}"#, ""),
            (r#""severityText":"INFO""#, ""),
        ];
        for (body, expected) in cases {
            let value = batch("", &format!("{{{body}}}"));
            assert_eq!(log(&value, Format::OtlpJson).message, expected, "{body}");
        }
    }

    /// An Event as the k8sobjects receiver's maps.
    fn kvlist(value: &serde_json::Value) -> serde_json::Value {
        use serde_json::{Value, json};
        match value {
            Value::Object(map) => {
                let values: Vec<_> =
                    map.iter().map(|(key, value)| json!({"key": key, "value": kvlist(value)})).collect();
                json!({"kvlistValue": {"values": values}})
            }
            Value::Number(number) => json!({"intValue": number.to_string()}),
            Value::Null => json!({}),
            other => json!({"stringValue": other}),
        }
    }

    #[test]
    fn reads_the_objects_of_the_k8sobjects_receiver() {
        let object = serde_json::json!({
            "kind": "Event", "apiVersion": "events.k8s.io/v1", "metadata": {"uid": "e1", "namespace": "shop"},
            "regarding": {"kind": "Pod", "name": "cd-0"}, "reason": "BackOff", "note": "n", "deprecatedCount": 3,
            "deprecatedSource": {"host": "n1"}, "deprecatedFirstTimestamp": null,
            "eventTime": "2026-11-22T14:31:03.000000Z",
        });
        let watch = |kind| serde_json::json!({"type": kind, "object": object});
        for body in [&object, &watch("ADDED"), &watch("MODIFIED")] {
            let record = format!(r#"{{"observedTimeUnixNano":"1795357899000000000","body":{}}}"#, kvlist(body));
            let value = batch(&attribute("k8s.cluster.name", "prod"), &record);
            let event = event(&value, Format::K8sObjects);
            assert_eq!((event.node.as_deref(), event.count), (Some("n1"), Some(3)));
            assert_eq!(event.time, Timestamp::parse_rfc3339("2026-11-22T14:31:03Z"));
            assert_eq!((event.object.namespace.as_ref(), event.cluster.as_deref()), ("shop", Some("prod")));
        }
        let deleted = batch("", &format!(r#"{{"body":{}}}"#, kvlist(&watch("DELETED"))));
        assert_eq!(entries(&deleted, Format::Auto, Expect::Events), Ok(vec![]));
    }

    #[test]
    fn many_records_keep_their_order() {
        let value = batch("", r#"{"body":{"stringValue":"a"}},null,{"body":{"stringValue":"b"}}"#);
        let found = entries(&value, Format::Auto, Expect::Logs).unwrap();
        assert_eq!(found.iter().map(Entry::message).collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn nothing_is_lost_unseen() {
        for value in [
            r#"{"resourceLogs":7}"#.to_owned(),
            r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":{}}]}]}"#.to_owned(),
            batch("", r#"{"body":{"stringValue":"good"}},"bad""#),
        ] {
            assert_eq!(
                entries(&value, Format::Auto, Expect::Logs).unwrap_err().reason,
                Reason::UnknownShape,
                "{value}"
            );
        }
        assert_eq!(entries(r#"{"resourceLogs":[]}"#, Format::Auto, Expect::Logs), Ok(vec![]));
    }
}
