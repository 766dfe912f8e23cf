//! CloudEvents 1.0 with the alert as data, as Kafka carries them.
//!
//! <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md>

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;

use super::{Message, Mode, Written, json, text, thread};
use crate::alert::{Alert, Status};

const JSON: &str = "application/json";
/// By its beginning receivers know the mode.
const EVENT: &str = "application/cloudevents+json; charset=UTF-8";
/// `$id` of the alert's schema.
const DATA_SCHEMA: &str = "urn:faultline:schema:alert:v1";

/// What a URI takes as it is in any place.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// An event's attributes; in structured mode they surround the data.
#[derive(Serialize)]
struct Event<'a> {
    specversion: &'static str,
    id: String,
    source: String,
    #[serde(rename = "type")]
    kind: &'static str,
    subject: String,
    time: String,
    datacontenttype: &'static str,
    dataschema: &'static str,
    /// An extension of the specification's own: events with the same belong together, in order.
    partitionkey: String,
    data: &'a Alert,
}

pub fn write(alert: &Alert, mode: Mode) -> Written {
    let event = event(alert);
    let (content_type, headers, value) = match mode {
        Mode::Binary => (JSON, headers(&event), json(alert)),
        Mode::Structured => (EVENT, Vec::new(), json(&event)),
    };
    let message = Message { id: alert.id.clone(), key: alert.dedup_key.clone(), content_type, headers, value };
    Written { messages: vec![message], thread: thread(alert) }
}

fn event(alert: &Alert) -> Event<'_> {
    // Attributes may hold no control characters; `data` has all as it is.
    let attribute = |value: &str| text::named(value, usize::MAX);
    Event {
        specversion: "1.0",
        id: attribute(&alert.id),
        source: source(&alert.cluster),
        kind: match alert.status {
            Status::Firing => "io.faultline.alert.firing.v1",
            Status::Resolved => "io.faultline.alert.resolved.v1",
        },
        subject: attribute(&subject(alert)),
        time: alert.updated_at.to_string(),
        datacontenttype: JSON,
        dataschema: DATA_SCHEMA,
        partitionkey: attribute(&alert.dedup_key),
        data: alert,
    }
}

fn headers(event: &Event<'_>) -> Vec<(&'static str, String)> {
    vec![
        ("ce_specversion", event.specversion.to_owned()),
        ("ce_id", event.id.clone()),
        ("ce_source", event.source.clone()),
        ("ce_type", event.kind.to_owned()),
        ("ce_subject", event.subject.clone()),
        ("ce_time", event.time.clone()),
        ("ce_dataschema", event.dataschema.to_owned()),
        ("ce_partitionkey", event.partitionkey.clone()),
    ]
}

/// Who says so: the watch over one cluster, as a URI.
fn source(cluster: &str) -> String {
    format!("urn:faultline:cluster:{}", utf8_percent_encode(&text::named(cluster, usize::MAX), RESERVED))
}

/// `node/akswin000001`.
fn subject(alert: &Alert) -> String {
    let (scope, name) = (alert.scope.as_str(), alert.suspect.name());
    if name.is_empty() { scope.to_owned() } else { format!("{scope}/{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_cluster_makes_a_uri() {
        let cases = [
            ("prod-weu", "urn:faultline:cluster:prod-weu"),
            ("a b/ü?#%", "urn:faultline:cluster:a%20b%2F%C3%BC%3F%23%25"),
            ("", "urn:faultline:cluster:-"),
        ];
        for (cluster, expected) in cases {
            assert_eq!(source(cluster), expected);
        }
    }
}
