//! Filebeat and Elastic Agent, Elastic Common Schema. `host.name` is never used as the node: in a pod it is the name
//! of the beat's own pod.

use super::found::Found;
use super::json::Object;
use super::kubernetes::fill;
use super::{Producer, Reads, Rejected, fluent_bit, pod_path};

pub(super) static PRODUCER: Producer = Producer {
    name: "filebeat",
    reads: Reads::Object {
        recognises: |object| {
            object.has_object("@metadata")
                || object.has_object("agent")
                || object.has_object("ecs")
                || object.has_object("beat")
        },
        decode,
    },
};

const MESSAGES: &[&str] = &["message", "msg", "event"];

fn decode<'a>(mut object: Object<'a>, found: &mut Found<'a, '_>) -> Result<(), Rejected> {
    let mut event = object.take_object("event").unwrap_or_default();
    let original = event.take_text("original");
    let mut log = match fluent_bit::log_entry(&mut object, MESSAGES) {
        Ok(log) => log,
        // Pipelines that parse the line away keep it here.
        Err(rejected) => {
            let message = original.ok_or(rejected)?;
            let (source, cluster) = super::kubernetes::source(object.take_object("kubernetes").unwrap_or_default());
            let time = object.first_time(fluent_bit::TIMES);
            crate::record::LogEntry { message, time, cluster, source }
        }
    };
    if let Some(mut image) = object.take_object("container").and_then(|mut container| container.take_object("image")) {
        fill(&mut log.source.image, image.take_text("name"));
    }
    if log.cluster.is_none() {
        let mut orchestrator = object.take_object("orchestrator").unwrap_or_default();
        log.cluster = orchestrator.take_object("cluster").and_then(|mut cluster| cluster.take_text("name"));
    }
    if let Some(path) = object.take_object("log").and_then(|mut log| log.take_object("file"))
        && let Some(path) = path.get_text("path")
    {
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
            r#"{"@timestamp":"2026-11-22T14:31:03.612Z","@metadata":{"beat":"filebeat"},"message":"hello",
            "kubernetes":{"node":{"name":"n1"},"namespace":"shop","pod":{"name":"cd-0","uid":"p1"},
            "container":{"name":"cd"},"statefulset":{"name":"cd"}},"container":{"image":{"name":"img:1"}},
            "orchestrator":{"cluster":{"name":"prod"}},"host":{"name":"filebeat-m42jk"},"agent":{}}"#,
            Format::Filebeat,
        );
        assert_eq!(log.message, "hello");
        assert_eq!(log.time, Timestamp::parse_rfc3339("2026-11-22T14:31:03.612Z"));
        assert_eq!(origin(&log), [Some("n1"), Some("shop"), Some("cd-0"), Some("cd")]);
        assert_eq!((log.source.image.as_deref(), log.cluster.as_deref()), (Some("img:1"), Some("prod")));
    }

    #[test]
    fn the_beats_host_is_not_the_node() {
        let log = log(
            r#"{"@metadata":{},"msg":"hello","host":{"name":"filebeat-m42jk"},
            "log":{"file":{"path":"/var/log/containers/cd-0_shop_cd-02d45318.log"}}}"#,
            Format::Filebeat,
        );
        assert_eq!(origin(&log), [None, Some("shop"), Some("cd-0"), Some("cd")]);
    }

    #[test]
    fn finds_the_line_that_a_pipeline_parsed_away() {
        let log = log(r#"{"agent":{},"event":{"original":"raw line"},"http":{"status":500}}"#, Format::Filebeat);
        assert_eq!(log.message, "raw line");
    }
}
