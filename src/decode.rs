//! From a record's bytes to log entries and Kubernetes events, whatever logging stack wrote them.
//!
//! Every producer is one file below that exports a `Producer` and has one line in the table `producers!`. Its
//! `recognises` looks at the keys of an object (or the start of a line); [`Format::Auto`] asks down the table. What a
//! record says wrongly or not at all in an optional field is absent, never an error.

use std::borrow::Cow;
use std::fmt;

use serde_json_borrow::Value;

use crate::record::{Entry, Expect, LogEntry, Record};
use crate::time::Timestamp;

mod charset;
mod cri;
mod docker_json;
mod embedded;
mod event;
mod event_exporter;
mod eventrouter;
mod filebeat;
mod fluent_bit;
mod fluentd;
mod found;
mod input;
mod json;
mod json_lines;
mod k8s_objects;
mod kube_event;
mod kubernetes;
mod log_monitor;
mod message;
mod metricbeat;
mod msgpack;
mod openshift;
mod otlp;
mod otlp_event;
mod otlp_json;
mod otlp_proto;
mod pod_path;
mod protobuf;
mod rejected;
mod text;
mod vector;

use found::Found;
use json::Object;

pub use input::{Fields, Input, Pointer};
pub use rejected::{Reason, Rejected};

/// Entries that one record may hold. An OTLP batch of the collector's default size has 8192.
pub const MAX_ENTRIES_PER_RECORD: usize = 10_000;

/// Makes [`Format`] and its table of [`Producer`]s. Those that recognise less come later.
macro_rules! producers {
    ($($(#[$doc:meta])* $variant:ident = $module:ident,)*) => {
        /// How an input's values are written (`format` in the configuration).
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
        pub enum Format {
            /// Recognised anew for every record.
            #[default]
            Auto,
            $($(#[$doc])* $variant,)*
        }

        impl Format {
            pub const ALL: &'static [Format] = &[Format::Auto, $(Format::$variant,)*];

            fn producer(self) -> Option<&'static Producer> {
                match self {
                    Format::Auto => None,
                    $(Format::$variant => Some(&$module::PRODUCER),)*
                }
            }
        }

        static PRODUCERS: &[&Producer] = &[$(&$module::PRODUCER,)*];
    };
}

producers! {
    /// OpenTelemetry Collector, `otlp_proto`, its default: the same in protobuf.
    OtlpProto = otlp_proto,
    /// Fluent Bit out_kafka, `format msgpack`: a map, or a time and a map, of any producer below.
    Msgpack = msgpack,
    /// OpenTelemetry Collector, `otlp_json`: many log records in one message, also of its event receivers.
    OtlpJson = otlp_json,
    /// `{"verb":…,"event":…}` of heptio/eventrouter.
    Eventrouter = eventrouter,
    /// resmoio/kubernetes-event-exporter without a layout.
    EventExporter = event_exporter,
    /// What a watch of the API server says, `{"type":…,"object":…}`, as the k8sobjects receiver passes it on.
    K8sObjects = k8s_objects,
    /// An Event of core/v1 or events.k8s.io/v1 as it is (Fluent Bit `kubernetes_events`, `kubectl`), or a list of them.
    KubeEvent = kube_event,
    /// Metricbeat's `kubernetes` module, metric set `event`.
    Metricbeat = metricbeat,
    /// OpenShift's collector with the ViaQ data model.
    Openshift = openshift,
    /// Vector `kubernetes_logs` with the JSON codec.
    Vector = vector,
    /// Filebeat and Elastic Agent, Elastic Common Schema.
    Filebeat = filebeat,
    /// Fluentd with the Kubernetes metadata filter.
    Fluentd = fluentd,
    /// Fluent Bit out_kafka, `format json`.
    FluentBit = fluent_bit,
    /// Docker's json-file driver, unshipped.
    DockerJson = docker_json,
    /// Any JSON object with a message under one of the usual names.
    Json = json_lines,
    /// The files that container runtimes write, `<time> <stream> <tag> <message>`.
    Cri = cri,
    /// LogMonitor's JSON around a line, which may be none: it does not escape what the process wrote.
    LogMonitor = log_monitor,
    /// Lines of plain text.
    Text = text,
}

/// One kind of record: its name in the configuration and how to read it.
struct Producer {
    name: &'static str,
    reads: Reads,
}

enum Reads {
    Bytes {
        recognises: fn(&[u8]) -> bool,
        decode: DecodeBytes,
    },
    Object {
        recognises: fn(&Object<'_>) -> bool,
        decode: for<'a> fn(Object<'a>, &mut Found<'a, '_>) -> Result<(), Rejected>,
    },
    Line {
        recognises: fn(&str) -> bool,
        decode: for<'a> fn(Cow<'a, str>, &mut Found<'a, '_>) -> Result<(), Rejected>,
    },
}

impl Format {
    /// The name in the configuration, kebab-case.
    pub fn name(self) -> &'static str {
        self.producer().map_or("auto", |producer| producer.name)
    }

    /// The reverse of [`Format::name`].
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|format| format.name() == name)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Decodes one record and appends what it holds to `entries`; on an error nothing is appended.
///
/// A record may rightly hold nothing (the deletion of an expired event, an empty batch). Where at least one entry of
/// a record is an event, an input of events passes its log entries on too rather than lose them.
pub fn decode<'a>(record: &Record<'a>, input: &Input, entries: &mut Vec<Entry<'a>>) -> Result<(), Rejected> {
    let before = entries.len();
    let mut found = Found::new(entries, &input.fields);
    let outcome = decode_value(record, input.format, &mut found).and_then(|()| match input.expect {
        Expect::Events => require_event(&entries[before..]),
        Expect::Logs | Expect::Either => Ok(()),
    });
    if outcome.is_err() {
        entries.truncate(before);
    }
    outcome
}

/// Reads a line anew that was joined of parts: only the whole of it may be JSON, or an event.
pub fn rejoined(log: LogEntry<'_>) -> Entry<'_> {
    found::plain(log)
}

/// The time that a string or number of JSON tells, in any of the notations that are understood.
pub fn scalar_time(json: &str) -> Option<Timestamp> {
    json::time(&serde_json::from_str(json).ok()?)
}

fn require_event(entries: &[Entry<'_>]) -> Result<(), Rejected> {
    if entries.is_empty() || entries.iter().any(|entry| matches!(entry, Entry::Event(_))) {
        return Ok(());
    }
    Err(Rejected::new(Reason::NotAnEvent, "a log record on an input of kind events"))
}

fn decode_value<'a>(record: &Record<'a>, format: Format, found: &mut Found<'a, '_>) -> Result<(), Rejected> {
    let bytes = record.value.ok_or_else(|| Rejected::new(Reason::Tombstone, "no value"))?;
    let producer = format.producer();
    if let Some(decode) = binary(producer, bytes) {
        return decode(bytes, found);
    }
    match charset::text(bytes)? {
        Cow::Borrowed(text) => decode_known(text, producer, found),
        Cow::Owned(text) => {
            let mut entries = Vec::new();
            decode_known(&text, producer, &mut Found::new(&mut entries, found.fields()))?;
            entries.into_iter().try_for_each(|entry| found.push(entry.into_owned()))
        }
    }
}

type DecodeBytes = for<'a> fn(&'a [u8], &mut Found<'a, '_>) -> Result<(), Rejected>;

/// How to read a value that is no text: by the producer named, or whichever recognises it.
fn binary(producer: Option<&Producer>, bytes: &[u8]) -> Option<DecodeBytes> {
    match producer {
        Some(Producer { reads: Reads::Bytes { decode, .. }, .. }) => Some(*decode),
        Some(_) => None,
        None => PRODUCERS.iter().find_map(|producer| match producer.reads {
            Reads::Bytes { recognises, decode } => recognises(bytes).then_some(decode),
            _ => None,
        }),
    }
}

fn decode_known<'a>(text: &'a str, producer: Option<&Producer>, found: &mut Found<'a, '_>) -> Result<(), Rejected> {
    match producer {
        Some(Producer { reads: Reads::Line { decode, .. }, .. }) => decode(Cow::Borrowed(text), found),
        producer => decode_text(text, producer, found),
    }
}

/// A value of which is known at most that its format is JSON (`producer` reads objects), or nothing (`None`).
fn decode_text<'a>(text: &'a str, producer: Option<&Producer>, found: &mut Found<'a, '_>) -> Result<(), Rejected> {
    let start = text.trim_ascii_start();
    let certain = producer.is_some() || (start.starts_with('{') && !log_monitor::recognises(start));
    if !certain && !may_be_json(start) {
        return decode_line(Cow::Borrowed(text), found);
    }
    match serde_json::from_str::<Value<'a>>(text) {
        Ok(value) => decode_json(value, producer, found),
        // `[2026-…][LOGMONITOR]` and `"quoted" words` are lines too.
        Err(_) if !certain => decode_line(Cow::Borrowed(text), found),
        Err(error) => Err(Rejected::new(Reason::InvalidJson, error.to_string())),
    }
}

/// A JSON string (Vector and the OpenTelemetry Collector write bare ones) or an array of objects.
fn may_be_json(start: &str) -> bool {
    start.starts_with('"') || start.strip_prefix('[').is_some_and(|rest| rest.trim_ascii_start().starts_with('{'))
}

fn decode_json<'a>(value: Value<'a>, producer: Option<&Producer>, found: &mut Found<'a, '_>) -> Result<(), Rejected> {
    match value {
        Value::Str(text) => decode_line(text, found),
        Value::Array(values) => values.into_iter().try_for_each(|value| match Object::from_value(value) {
            Some(object) => decode_object(object, producer, found),
            None => Err(Rejected::new(Reason::UnknownShape, "an array that holds other things than objects")),
        }),
        Value::Object(_) => decode_object(Object::from_value(value).unwrap_or_default(), producer, found),
        Value::Null | Value::Bool(_) | Value::Number(_) => {
            Err(Rejected::new(Reason::UnknownShape, "JSON, but neither object nor string"))
        }
    }
}

fn decode_object<'a>(
    object: Object<'a>,
    producer: Option<&Producer>,
    found: &mut Found<'a, '_>,
) -> Result<(), Rejected> {
    if event::is_audit(&object) {
        return Err(Rejected::new(Reason::AuditRecord, "an audit record, not a Kubernetes event"));
    }
    if found.fields().is_empty() {
        return decode_with(object, producer, found);
    }
    let pointed = found.fields().read(&object);
    let before = found.len();
    match pointed.message.clone() {
        Some(message) => json_lines::decode_around(object, message, found)?,
        None => decode_with(object, producer, found)?,
    }
    found.since(before).for_each(|entry| pointed.apply(entry));
    Ok(())
}

/// Reads an object by its producer, or whichever recognises it.
fn decode_with<'a>(object: Object<'a>, producer: Option<&Producer>, found: &mut Found<'a, '_>) -> Result<(), Rejected> {
    let decode = match producer.map(|producer| &producer.reads) {
        Some(Reads::Object { decode, .. }) => Some(decode),
        _ => PRODUCERS.iter().find_map(|producer| match &producer.reads {
            Reads::Object { recognises, decode } => recognises(&object).then_some(decode),
            Reads::Line { .. } | Reads::Bytes { .. } => None,
        }),
    };
    match decode {
        Some(decode) => decode(object, found),
        None => Err(Rejected::new(Reason::UnknownShape, "an object that no known producer writes")),
    }
}

fn decode_line<'a>(line: Cow<'a, str>, found: &mut Found<'a, '_>) -> Result<(), Rejected> {
    for producer in PRODUCERS {
        if let Reads::Line { recognises, decode } = &producer.reads
            && recognises(&line)
        {
            return decode(line, found);
        }
    }
    Err(Rejected::new(Reason::UnknownShape, "a line that no known producer writes"))
}

#[cfg(test)]
mod tests;
