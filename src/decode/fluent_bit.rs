//! Fluent Bit's Kafka output with `format json`. Its own timestamp comes first in the record, under a name and in a
//! notation that `timestamp_key` and `timestamp_format` set; `time` is the container runtime's, where the parser kept it.

use std::borrow::Cow;

use super::found::Found;
use super::json::Object;
use super::kubernetes::{self, fill};
use super::{Producer, Reads, Rejected, message};
use crate::record::{LogEntry, Stream};

pub(super) static PRODUCER: Producer = Producer {
    name: "fluent-bit",
    reads: Reads::Object {
        // Without the Kubernetes filter nothing but the timestamp tells it from Docker's own line.
        recognises: |object| object.has_object("kubernetes") || (object.has("log") && object.has("@timestamp")),
        decode,
    },
};

/// Where the time of a record may be. `time` comes last: it may be the application's, lifted by `Merge_Log`.
const TIMES: &[&str] = &["@timestamp", "timestamp", "date", "time"];

/// Where pipelines put the cluster's name (`record_modifier`, `modify`).
const CLUSTERS: &[&str] = &["cluster", "cluster_name"];

fn decode<'a>(mut object: Object<'a>, found: &mut Found<'a, '_>) -> Result<(), Rejected> {
    let log = log_entry(&mut object, message::KEYS)?;
    found.log(log)
}

/// What all shippers with a `kubernetes` object share; `message_keys` in the order of their liking.
pub(super) fn log_entry<'a>(object: &mut Object<'a>, message_keys: &[&str]) -> Result<LogEntry<'a>, Rejected> {
    let message = match message::take(object, message_keys) {
        None => parsed_away(object),
        found => found,
    };
    match message {
        Some(message) => Ok(log_around(object, message)),
        None => Err(message::missing(message_keys)),
    }
}

/// Fields that say where a line comes from, not what it says.
const AROUND: &[&str] = &[
    "kubernetes",
    "docker",
    "openshift",
    "stream",
    "tag",
    "file",
    "source_type",
    "hostname",
    "_p",
    "logtag",
    "level",
    "log_type",
    "viaq_msg_id",
    "viaq_index_name",
];

/// What is left of a container's line that a parser took apart without leaving it: its fields, as JSON.
fn parsed_away<'a>(object: &Object<'a>) -> Option<Cow<'a, str>> {
    if !object.has_object("kubernetes") {
        return None;
    }
    let is_around = |key: &str| [AROUND, TIMES, CLUSTERS].iter().any(|known| known.contains(&key));
    let said = object.clone().into_pairs().filter(|(key, value)| !is_around(key) && !value.is_null());
    let said: Vec<_> = said.collect();
    (!said.is_empty()).then(|| Cow::Owned(Object::from_pairs(said).into_value().to_string()))
}

/// The same for a message that has been found.
pub(super) fn log_around<'a>(object: &mut Object<'a>, message: Cow<'a, str>) -> LogEntry<'a> {
    let time = object.first_time(TIMES);
    let kubernetes = object.take_object("kubernetes").unwrap_or_default();
    let (mut source, kubernetes_cluster) = kubernetes::source(kubernetes);
    // journald's.
    fill(&mut source.node, object.take_text("_HOSTNAME"));
    let cluster = cluster(object).or(kubernetes_cluster);
    let stream = object.get_text("stream").and_then(Stream::from_name);
    LogEntry { message, time, cluster, source, stream, partial: is_partial(object) }
}

/// The marks of a line that was cut: CRI's tag under the names of Fluent Bit's and Fluentd's parsers, Vector's
/// `_partial`, and those of Docker's fluentd log driver.
fn is_partial(object: &Object<'_>) -> bool {
    let yes =
        |key| object.get(key).is_some_and(|value| value.as_bool() == Some(true) || value.as_str() == Some("true"));
    ["_p", "logtag"].iter().any(|key| object.get_text(key) == Some("P"))
        || yes("_partial")
        || (yes("partial_message") && !yes("partial_last"))
}

/// The cluster as a plain field.
fn cluster<'a>(object: &mut Object<'a>) -> Option<Cow<'a, str>> {
    object.take_first_text(CLUSTERS)
}

#[cfg(test)]
mod tests {
    use crate::decode::tests::{entries, log, origin};
    use crate::decode::{Expect, Format, Reason};
    use crate::record::{Owner, Stream};
    use crate::time::Timestamp;

    #[test]
    fn reads_a_record_with_the_kubernetes_filter() {
        let log = log(
            r#"{"@timestamp":1795357863.25,"log":"[2026-11-22T14:31:03.000Z][LOGMONITOR] ERROR: x. Error: 216\r\n",
            "stream":"stdout","time":"2026-11-22T14:31:03.25Z","cluster_name":"prod","kubernetes":{
            "pod_name":"cd-7d9f8b6c5d-x7k2p","namespace_name":"sitecore","pod_id":"p1","labels":{"app":"cd"},
            "host":"akswin000001","container_name":"cd","docker_id":"d","container_hash":"h",
            "container_image":"registry.example/cd:10.4","ownerReferences":[{"kind":"ReplicaSet","name":"cd-7d9f8b6c5d"}]}}"#,
            Format::FluentBit,
        );
        assert_eq!(log.message, "[2026-11-22T14:31:03.000Z][LOGMONITOR] ERROR: x. Error: 216");
        assert_eq!(log.time, Timestamp::parse_rfc3339("2026-11-22T14:31:03.25Z"));
        assert_eq!(log.cluster.as_deref(), Some("prod"));
        assert_eq!(origin(&log), [Some("akswin000001"), Some("sitecore"), Some("cd-7d9f8b6c5d-x7k2p"), Some("cd")]);
        assert_eq!(log.source.pod_uid.as_deref(), Some("p1"));
        assert_eq!(log.source.image.as_deref(), Some("registry.example/cd:10.4"));
        assert_eq!(log.source.owner, Some(Owner { kind: "ReplicaSet".into(), name: "cd-7d9f8b6c5d".into() }));
    }

    #[test]
    fn knows_the_time_in_every_style_and_its_own_from_the_applications() {
        let cases = [
            (r#""@timestamp":1572026149.25"#, 1_572_026_149_250),
            (r#""@timestamp":"2019-10-25T17:55:49.250000Z""#, 1_572_026_149_250),
            (r#""@timestamp":"2019-10-25T17:55:49.250000000Z""#, 1_572_026_149_250),
            (r#""@timestamp":1572026149.25,"@timestamp":"2001-01-01T00:00:00Z""#, 1_572_026_149_250),
            (r#""date":1572026149.25"#, 1_572_026_149_250),
            (r#""@timestamp":null,"time":"2019-10-25T17:55:49.25Z""#, 1_572_026_149_250),
        ];
        for (time, millis) in cases {
            let value = format!(r#"{{{time},"log":"a","kubernetes":{{"host":"n1"}}}}"#);
            assert_eq!(log(&value, Format::FluentBit).time, Some(Timestamp::from_millis(millis)), "{time}");
        }
    }

    #[test]
    fn a_line_that_a_parser_took_apart_is_its_fields() {
        let value = r#"{"@timestamp":1.5e9,"stream":"stderr","what":"no room","code":7,"kubernetes":{"host":"n1"}}"#;
        assert_eq!(log(value, Format::FluentBit).message, r#"{"code":7,"what":"no room"}"#);
        let nothing =
            entries(r#"{"@timestamp":1.5e9,"stream":"stderr","kubernetes":{"host":"n1"}}"#, Format::Auto, Expect::Logs);
        assert_eq!(nothing.unwrap_err().reason, Reason::NoMessage);
    }

    #[test]
    fn a_journal_names_its_node() {
        let value = r#"{"@timestamp":1.5e9,"MESSAGE":"oom","_HOSTNAME":"n1","_SYSTEMD_UNIT":"kubelet.service"}"#;
        assert_eq!(log(value, Format::Json).source.node.as_deref(), Some("n1"));
        let vector = r#"{"host":"n1","message":"oom","source_type":"journald","timestamp":"2026-11-22T14:00:00Z"}"#;
        assert_eq!(log(vector, Format::Json).source.node.as_deref(), Some("n1"));
    }

    #[test]
    fn knows_parts_of_lines() {
        let cases = [
            (r#""logtag":"P""#, true),
            (r#""_p":"P""#, true),
            (r#""_p":"F""#, false),
            (r#""_partial":true"#, true),
            (r#""_partial":7"#, false),
            (r#""partial_message":"true","partial_last":"false""#, true),
            (r#""partial_message":"true","partial_last":"true""#, false),
        ];
        for (mark, partial) in cases {
            let value = format!(r#"{{"log":"a","stream":"stderr",{mark},"kubernetes":{{"host":"n1"}}}}"#);
            let log = log(&value, Format::FluentBit);
            assert_eq!((log.partial, log.stream), (partial, Some(Stream::Stderr)), "{mark}");
        }
    }

    #[test]
    fn survives_without_parser_filter_and_log_key() {
        let unparsed = log(
            r#"{"@timestamp":1646644110.080202,"log":"2022-03-07T09:08:30.051273291Z stderr F etcd says \"no\""}"#,
            Format::FluentBit,
        );
        assert_eq!(unparsed.message, "etcd says \"no\"");
        assert_eq!(unparsed.time, Timestamp::parse_rfc3339("2022-03-07T09:08:30.051Z"));
        let merged = log(r#"{"@timestamp":1.5e9,"msg":"lifted","kubernetes":{"host":"n1"}}"#, Format::FluentBit);
        assert_eq!(merged.message, "lifted");
        assert_eq!(log(r#"{"log":"","kubernetes":{}}"#, Format::FluentBit).message, "");
    }
}
