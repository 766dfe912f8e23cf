//! The OpenTelemetry Collector's default encoding, `otlp_proto`: an `ExportLogsServiceRequest` of protobuf, many log
//! records in one message. Field numbers are those of `opentelemetry/proto/logs/v1/logs.proto` 1.x; the generated
//! types check them in the tests. Text that is not UTF-8 is read with replacement characters, not refused.

use std::borrow::Cow;

use serde_json_borrow::Value;

use super::found::Found;
use super::json::Object;
use super::otlp::{self, LogRecord, Origin};
use super::protobuf::{Field, Malformed, fields};
use super::{Producer, Reads, Reason, Rejected};
use crate::time::Timestamp;

pub(super) static PRODUCER: Producer = Producer { name: "otlp-proto", reads: Reads::Bytes { recognises, decode } };

/// How deep values may hold values; the JSON parser's bound.
const MAX_DEPTH: u32 = 128;

/// Every field down to the records must be one that OTLP has. Of text, only what begins with a line feed is looked at
/// in earnest, and it would have to go on with control characters in the right places.
fn recognises(message: &[u8]) -> bool {
    !message.is_empty()
        && fields(message).all(|field| match field {
            Ok((1, Field::Bytes(resource_logs))) => is_resource_logs(resource_logs),
            _ => false,
        })
}

fn is_resource_logs(message: &[u8]) -> bool {
    fields(message).all(|field| match field {
        // 1000 was `instrumentation_library_logs`.
        Ok((1 | 3 | 1000, Field::Bytes(_))) => true,
        Ok((2, Field::Bytes(scope_logs))) => {
            fields(scope_logs).all(|field| matches!(field, Ok((1..=3, Field::Bytes(_)))))
        }
        _ => false,
    })
}

fn decode<'a>(message: &'a [u8], found: &mut Found<'a, '_>) -> Result<(), Rejected> {
    for resource_logs in messages(message, 1) {
        let resource_logs = resource_logs?;
        let mut resource = Origin::default();
        for message in messages(resource_logs, 1) {
            read_attributes(message?, 1, &mut resource)?;
        }
        for scope_logs in messages(resource_logs, 2) {
            for record in messages(scope_logs?, 2) {
                log_record(record?, resource.clone(), found)?;
            }
        }
    }
    Ok(())
}

impl From<Malformed> for Rejected {
    fn from(_: Malformed) -> Self {
        Rejected::new(Reason::UnknownShape, "not a protobuf message of OTLP logs")
    }
}

/// The messages in a repeated field. Other fields are skipped, as protobuf asks for.
fn messages(parent: &[u8], number: u32) -> impl Iterator<Item = Result<&[u8], Malformed>> {
    fields(parent).filter_map(move |field| match field {
        Ok((found, Field::Bytes(message))) if found == number => Some(Ok(message)),
        Ok((found, _)) if found == number => Some(Err(Malformed)),
        Ok(_) => None,
        Err(error) => Some(Err(error)),
    })
}

fn log_record<'a>(message: &'a [u8], mut origin: Origin<'a>, found: &mut Found<'a, '_>) -> Result<(), Rejected> {
    read_attributes(message, 6, &mut origin)?;
    let mut record = LogRecord::default();
    let mut observed = None;
    for field in fields(message) {
        match field? {
            (1, Field::Fixed64(nanos)) => record.time = Timestamp::from_unix_nanos(nanos),
            (11, Field::Fixed64(nanos)) => observed = Timestamp::from_unix_nanos(nanos),
            (3, Field::Bytes(text)) => record.severity_text = Some(String::from_utf8_lossy(text)),
            (5, Field::Bytes(value)) => record.body = any_value(value, MAX_DEPTH)?,
            _ => {}
        }
    }
    record.time = record.time.or(observed);
    otlp::push(record, origin, found)
}

fn read_attributes<'a>(parent: &'a [u8], number: u32, origin: &mut Origin<'a>) -> Result<(), Malformed> {
    for attribute in messages(parent, number) {
        let (key, value) = pair(attribute?, MAX_DEPTH)?;
        if !key.is_empty() {
            origin.add(key, value);
        }
    }
    Ok(())
}

/// An `AnyValue` as plain JSON; `None` where no value is set.
fn any_value(message: &[u8], depth: u32) -> Result<Option<Value<'_>>, Malformed> {
    let depth = depth.checked_sub(1).ok_or(Malformed)?;
    let mut value = None;
    for field in fields(message) {
        value = Some(match field? {
            // Bytes are text more often than not.
            (1 | 7, Field::Bytes(text)) => Value::Str(String::from_utf8_lossy(text)),
            (2, Field::Varint(number)) => Value::Bool(number != 0),
            (3, Field::Varint(number)) => integer(number as i64),
            (4, Field::Fixed64(bits)) => number(f64::from_bits(bits)),
            (5, Field::Bytes(array)) => {
                let elements = messages(array, 1).map(|value| Ok(any_value(value?, depth)?.unwrap_or_default()));
                Value::Array(elements.collect::<Result<_, Malformed>>()?)
            }
            (6, Field::Bytes(list)) => {
                let pairs = messages(list, 1).map(|message| pair(message?, depth));
                Object::from_pairs(pairs.collect::<Result<_, Malformed>>()?).into_value()
            }
            _ => continue,
        });
    }
    Ok(value)
}

/// As the JSON parser would have it: only negative numbers are signed.
fn integer(number: i64) -> Value<'static> {
    u64::try_from(number).map_or(Value::from(number), Value::from)
}

/// JSON has no infinities.
fn number(number: f64) -> Value<'static> {
    if number.is_finite() { Value::from(number) } else { Value::Null }
}

fn pair(message: &[u8], depth: u32) -> Result<(Cow<'_, str>, Value<'_>), Malformed> {
    let (mut key, mut value) = (Cow::Borrowed(""), Value::Null);
    for field in fields(message) {
        match field? {
            (1, Field::Bytes(text)) => key = String::from_utf8_lossy(text),
            (2, Field::Bytes(message)) => value = any_value(message, depth)?.unwrap_or_default(),
            _ => {}
        }
    }
    Ok((key, value))
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
    use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};
    use opentelemetry_proto::tonic::logs::v1::{LogRecord, LogsData, ResourceLogs, ScopeLogs};
    use opentelemetry_proto::tonic::resource::v1::Resource;
    use prost::Message as _;

    use super::*;
    use crate::decode::tests::{events_of, logs_of, origin};
    use crate::decode::{Expect, Format, Input};

    fn string(text: &str) -> AnyValue {
        AnyValue { value: Some(Any::StringValue(text.to_owned())) }
    }

    fn attribute(key: &str, value: AnyValue) -> KeyValue {
        KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
    }

    fn list(values: Vec<KeyValue>) -> AnyValue {
        AnyValue { value: Some(Any::KvlistValue(KeyValueList { values })) }
    }

    fn batch(attributes: Vec<KeyValue>, log_records: Vec<LogRecord>) -> Vec<u8> {
        let scope_logs = vec![ScopeLogs { log_records, schema_url: "s".to_owned(), ..ScopeLogs::default() }];
        let resource = Some(Resource { attributes, ..Resource::default() });
        let resource_logs = vec![ResourceLogs { resource, scope_logs, ..ResourceLogs::default() }];
        LogsData { resource_logs }.encode_to_vec()
    }

    fn line(body: AnyValue) -> LogRecord {
        LogRecord { body: Some(body), ..LogRecord::default() }
    }

    #[test]
    fn reads_lines_and_their_resource() {
        let names = [
            ("k8s.cluster.name", "prod"),
            ("k8s.node.name", "n1"),
            ("k8s.namespace.name", "shop"),
            ("k8s.pod.name", "cd-7d9f8b6c5d-x7k2p"),
            ("k8s.container.name", "cd"),
            ("k8s.deployment.name", "cd"),
        ];
        let names = names.map(|(key, value)| attribute(key, string(value))).to_vec();
        let first = LogRecord {
            time_unix_nano: 1_795_357_863_250_000_001,
            severity_text: "INFO".to_owned(),
            trace_id: vec![1; 16],
            flags: 1,
            ..line(string("hello\n"))
        };
        let second = LogRecord { observed_time_unix_nano: 1_795_357_864_000_000_000, ..line(string("again")) };
        let value = batch(names, vec![first, second]);
        let logs = logs_of(&value, Format::OtlpProto);
        assert_eq!(logs.iter().map(|log| log.message.as_ref()).collect::<Vec<_>>(), ["hello", "again"]);
        let times: Vec<i64> = logs.iter().map(|log| log.time.unwrap().as_millis()).collect();
        assert_eq!(times, [1_795_357_863_250, 1_795_357_864_000]);
        for log in logs {
            assert_eq!(origin(&log), [Some("n1"), Some("shop"), Some("cd-7d9f8b6c5d-x7k2p"), Some("cd")]);
            assert_eq!((log.cluster.as_deref(), &*log.source.owner.unwrap().name), (Some("prod"), "cd"));
        }
    }

    #[test]
    fn reads_bodies_of_all_kinds() {
        let array = Any::ArrayValue(ArrayValue {
            values: vec![
                AnyValue { value: Some(Any::BoolValue(true)) },
                AnyValue { value: Some(Any::IntValue(-7)) },
                AnyValue { value: Some(Any::DoubleValue(1.5)) },
                AnyValue { value: Some(Any::DoubleValue(f64::NAN)) },
                AnyValue { value: None },
            ],
        });
        let cases = [
            (list(vec![attribute("msg", string("inner"))]), "inner"),
            (list(vec![attribute("n", AnyValue { value: Some(Any::IntValue(7)) })]), r#"{"n":7}"#),
            (AnyValue { value: Some(array) }, "[true,-7,1.5,null,null]"),
            (AnyValue { value: Some(Any::BytesValue(b"raw \xff".to_vec())) }, "raw \u{fffd}"),
            (AnyValue { value: None }, ""),
        ];
        for (body, expected) in cases {
            let value = batch(vec![], vec![line(body)]);
            assert_eq!(logs_of(&value, Format::OtlpProto)[0].message, expected);
        }
    }

    #[test]
    fn reads_watched_events() {
        let object = list(vec![
            attribute("kind", string("Event")),
            attribute("apiVersion", string("v1")),
            attribute(
                "involvedObject",
                list(vec![attribute("kind", string("Pod")), attribute("name", string("cd-0"))]),
            ),
            attribute("source", list(vec![attribute("host", string("n1"))])),
            attribute("reason", string("BackOff")),
            attribute("count", AnyValue { value: Some(Any::IntValue(3)) }),
        ]);
        let watch = list(vec![attribute("type", string("MODIFIED")), attribute("object", object)]);
        let value = batch(vec![], vec![line(watch)]);
        let events = events_of(&value, Format::OtlpProto);
        assert_eq!((events[0].node.as_deref(), events[0].count), (Some("n1"), Some(3)));
    }

    #[test]
    fn reads_the_events_receiver() {
        let value = batch(
            vec![attribute("k8s.node.name", string("n1")), attribute("k8s.object.kind", string("Pod"))],
            vec![LogRecord {
                severity_text: "Warning".to_owned(),
                attributes: vec![attribute("k8s.event.reason", string("BackOff"))],
                ..line(string("Back-off"))
            }],
        );
        let events = events_of(&value, Format::OtlpProto);
        assert_eq!((events[0].reason.as_ref(), events[0].event_type.as_ref()), ("BackOff", "Warning"));
        assert_eq!((events[0].node.as_deref(), events[0].message.as_ref()), (Some("n1"), "Back-off"));
    }

    /// Generated types would refuse the whole batch.
    #[test]
    fn a_line_that_is_no_utf8_does_not_cost_the_others() {
        let mut value = batch(vec![], vec![line(string("caf#")), line(string("good"))]);
        let at = value.iter().position(|&byte| byte == b'#').unwrap();
        value[at] = 0xe9;
        assert!(LogsData::decode(value.as_slice()).is_err());
        let logs = logs_of(&value, Format::OtlpProto);
        assert_eq!(logs.iter().map(|log| log.message.as_ref()).collect::<Vec<_>>(), ["caf\u{fffd}", "good"]);
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth| {
            let wrap = |value, _| AnyValue { value: Some(Any::ArrayValue(ArrayValue { values: vec![value] })) };
            batch(vec![], vec![line((0..depth).fold(string("x"), wrap))])
        };
        assert_eq!(logs_of(&nested(100), Format::OtlpProto).len(), 1);
        let record = nested(200);
        let record = crate::record::Record { offset: 0, timestamp: None, value: Some(&record) };
        let rejected = crate::decode::decode(&record, &Input::new(Format::OtlpProto, Expect::Logs), &mut Vec::new());
        assert_eq!(rejected.unwrap_err().reason, Reason::UnknownShape);
    }

    #[test]
    fn text_is_never_taken_for_it() {
        for text in ["", "\n", "\n\n", "\nhello", "\n\u{5}hello", "\n{\"log\":\"a\"}", "\n\u{2}\n\u{1}x", "text"] {
            assert!(!recognises(text.as_bytes()), "{text:?}");
        }
        assert!(recognises(&batch(vec![], vec![line(string("x"))])));
    }
}
