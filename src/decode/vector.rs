//! Vector's `kubernetes_logs` source with the JSON codec. In log-namespace mode the value is the message alone, as a
//! JSON string, which needs no producer.

use super::found::Found;
use super::json::Object;
use super::{Producer, Reads, Rejected, fluent_bit, pod_path};

pub(super) static PRODUCER: Producer = Producer {
    name: "vector",
    reads: Reads::Object { recognises: |object| object.get_text("source_type") == Some("kubernetes_logs"), decode },
};

const MESSAGES: &[&str] = &["message", "log", "msg"];

fn decode<'a>(mut object: Object<'a>, found: &mut Found<'a, '_>) -> Result<(), Rejected> {
    let mut log = fluent_bit::log_entry(&mut object, MESSAGES)?;
    log.time = object.first_time(&["timestamp"]).or(log.time);
    if let Some(path) = object.get_text("file") {
        pod_path::fill_source(&mut log.source, path);
    }
    found.log(log)
}

#[cfg(test)]
mod tests {
    use crate::decode::Format;
    use crate::decode::tests::{log, origin};
    use crate::time::Timestamp;

    #[test]
    fn reads_a_record() {
        let log = log(
            r#"{"file":"/var/log/pods/shop_cd-0_p1/cd/0.log","kubernetes":{"container_image":"img:1",
            "container_name":"cd","pod_name":"cd-0","pod_namespace":"shop","pod_node_name":"n1",
            "pod_owner":"StatefulSet/cd","pod_uid":"p1"},"message":"hello","source_type":"kubernetes_logs",
            "stream":"stderr","timestamp":"2026-11-22T14:31:03.103324294Z"}"#,
            Format::Vector,
        );
        assert_eq!(log.message, "hello");
        assert_eq!(log.time, Timestamp::parse_rfc3339("2026-11-22T14:31:03.103Z"));
        assert_eq!(origin(&log), [Some("n1"), Some("shop"), Some("cd-0"), Some("cd")]);
        assert_eq!(log.source.owner.unwrap().name, "cd");
    }

    #[test]
    fn the_file_tells_what_the_annotator_could_not() {
        let log = log(
            r#"{"file":"/var/log/pods/shop_cd-0_p1/cd/0.log","message":"m","source_type":"kubernetes_logs"}"#,
            Format::Vector,
        );
        assert_eq!(origin(&log), [None, Some("shop"), Some("cd-0"), Some("cd")]);
        assert_eq!(log.source.pod_uid.as_deref(), Some("p1"));
    }
}
