//! What a record of an alerts topic holds: faultline's own alert, or something that is in the receiver's format already.

use serde_json::{Map, Value};

use super::{Place, Target};
use crate::alert::{self, Alert, Status};

/// A record that can be delivered.
#[derive(Clone, PartialEq, Debug)]
pub struct Parcel {
    pub place: Place,
    /// Those of one key are delivered in order.
    pub key: String,
    /// What the receiver calls its incident, where it says so itself: one key may be that of several.
    pub name: Option<String>,
    /// A repeated alert has the same.
    pub id: Option<String>,
    pub phase: Phase,
    pub content: Content,
    /// Of the record's value.
    pub bytes: usize,
}

/// What an alert says of its incident.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    Firing,
    Resolved,
    /// Not for us to know: it is delivered after what is older and before what is newer.
    Unknown,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Content {
    /// To be written for the receiver, when it is known what that one was told.
    Alert(Box<Alert>),
    Own(Body),
}

/// The body of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Body {
    pub content_type: String,
    pub bytes: Vec<u8>,
}

/// A record as it came.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Record<'a> {
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    /// The headers of these names.
    pub alert_id: Option<&'a str>,
    pub content_type: Option<&'a str>,
}

/// What is put into bodies that lack it.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Additions<'a> {
    /// PagerDuty's integration key. A secret.
    pub routing_key: Option<&'a str>,
    /// For Slack's `chat.postMessage`.
    pub channel: Option<&'a str>,
}

/// Why a record cannot be delivered: a word for metrics and headers, and what was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unfit {
    pub reason: &'static str,
    pub detail: String,
}

const JSON: &str = "application/json";

/// Reads a record for `target`.
///
/// # Errors
/// When it is neither an alert of faultline's nor what the target takes.
pub fn open(target: Target, place: Place, record: &Record<'_>, additions: Additions<'_>) -> Result<Parcel, Unfit> {
    let unfit = |reason, detail: String| Unfit { reason, detail };
    let value = record.value.ok_or_else(|| unfit("tombstone", "the record has no value".to_owned()))?;
    let (content, phase, own_key, own_id) = if target == Target::Webhook {
        let content_type = record.content_type.unwrap_or(JSON).to_owned();
        (Content::Own(Body { content_type, bytes: value.to_vec() }), Phase::Unknown, None, None)
    } else {
        let json: Value = serde_json::from_slice(value).map_err(|error| unfit("invalid-json", error.to_string()))?;
        recognise(target, json, additions)?
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let key = record.key.filter(|key| !key.is_empty()).map(text).or(own_key.clone());
    // Without any key nothing needs to be in order.
    let key = key.unwrap_or_else(|| format!("{}@{}", place.partition, place.offset));
    let id = record.alert_id.map(str::to_owned).or(own_id);
    Ok(Parcel { place, key, name: own_key, id, phase, content, bytes: value.len() })
}

type Recognised = (Content, Phase, Option<String>, Option<String>);

fn recognise(target: Target, json: Value, additions: Additions<'_>) -> Result<Recognised, Unfit> {
    let json = match unwrapped(json) {
        Ok(alert) => return faultline_alert(alert),
        Err(json) => json,
    };
    let own = |json: &Value| {
        // Cannot fail: it was read from JSON, and writing to memory is no I/O.
        Content::Own(Body { content_type: JSON.to_owned(), bytes: serde_json::to_vec(json).unwrap_or_default() })
    };
    match (target, json) {
        (Target::PagerDuty, Value::Object(mut event)) if event.get("event_action").is_some_and(Value::is_string) => {
            let phase = match event.get("event_action").and_then(Value::as_str) {
                Some("trigger") => Phase::Firing,
                Some("resolve") => Phase::Resolved,
                _ => Phase::Unknown,
            };
            let key = event.get("dedup_key").and_then(Value::as_str).map(str::to_owned);
            add(&mut event, "routing_key", additions.routing_key);
            Ok((own(&Value::Object(event)), phase, key, None))
        }
        (Target::Slack, Value::Object(mut message)) if is_slack_message(&message) => {
            add(&mut message, "channel", additions.channel);
            Ok((own(&Value::Object(message)), Phase::Unknown, None, None))
        }
        (Target::Alertmanager, Value::Array(alerts)) if is_alertmanagers(&alerts) => {
            Ok((own(&Value::Array(alerts)), Phase::Unknown, None, None))
        }
        (target, _) => {
            let detail = format!("neither an alert of schema {} nor what {} takes", alert::SCHEMA, target.name());
            Err(Unfit { reason: "not-an-alert", detail })
        }
    }
}

/// An alert of faultline's, also out of a CloudEvent in structured mode. Else the value itself.
fn unwrapped(mut json: Value) -> Result<Value, Value> {
    let is_ours = |value: &Value| value["schema"].as_str().is_some_and(|schema| schema.starts_with("faultline.alert/"));
    if json.get("specversion").is_some() && is_ours(&json["data"]) {
        return Ok(json["data"].take());
    }
    if is_ours(&json) { Ok(json) } else { Err(json) }
}

fn faultline_alert(json: Value) -> Result<Recognised, Unfit> {
    let schema = json["schema"].as_str().unwrap_or_default();
    if schema != alert::SCHEMA {
        let detail = format!("schema `{schema}`: this version reads {}", alert::SCHEMA);
        return Err(Unfit { reason: "alert-version", detail });
    }
    let alert: Alert = serde_json::from_value(json)
        .map_err(|error| Unfit { reason: "unreadable-alert", detail: error.to_string() })?;
    let phase = match alert.status {
        Status::Firing => Phase::Firing,
        Status::Resolved => Phase::Resolved,
    };
    let (key, id) = (alert.dedup_key.clone(), alert.id.clone());
    Ok((Content::Alert(Box::new(alert)), phase, Some(key), Some(id)))
}

fn is_slack_message(message: &Map<String, Value>) -> bool {
    let filled = |key| message.get(key).and_then(Value::as_array).is_some_and(|list| !list.is_empty());
    filled("blocks") || filled("attachments") || message.get("text").is_some_and(Value::is_string)
}

fn is_alertmanagers(alerts: &[Value]) -> bool {
    !alerts.is_empty() && alerts.iter().all(|alert| alert.get("labels").is_some_and(Value::is_object))
}

fn add(object: &mut Map<String, Value>, key: &str, value: Option<&str>) {
    if let Some(value) = value
        && !object.contains_key(key)
    {
        object.insert(key.to_owned(), Value::from(value));
    }
}

/// A Slack message that says where to, if there is something to say.
pub(super) fn with_channel(body: Vec<u8>, channel: Option<&str>) -> Vec<u8> {
    let Some(channel) = channel else { return body };
    match serde_json::from_slice(&body) {
        Ok(Value::Object(mut message)) => {
            add(&mut message, "channel", Some(channel));
            serde_json::to_vec(&message).unwrap_or(body)
        }
        _ => body,
    }
}

/// Puts the entries of a JSON array behind those of another; both have some. False: one is none, and nothing happened.
pub(super) fn append(array: &mut Vec<u8>, other: &[u8]) -> bool {
    let inner = |bytes: &[u8]| -> Option<Vec<u8>> {
        Some(bytes.trim_ascii().strip_prefix(b"[")?.strip_suffix(b"]")?.trim_ascii().to_vec())
    };
    let (Some(mut joined), Some(other)) = (inner(array), inner(other)) else { return false };
    if joined.is_empty() || other.is_empty() {
        return false;
    }
    joined.insert(0, b'[');
    joined.push(b',');
    joined.extend_from_slice(&other);
    joined.push(b']');
    *array = joined;
    true
}

/// The wider incident that this end names.
pub(super) fn superseded_by(parcel: &Parcel) -> Option<&str> {
    match &parcel.content {
        Content::Alert(alert) if alert.status == Status::Resolved => alert.superseded_by.as_deref(),
        _ => None,
    }
}
