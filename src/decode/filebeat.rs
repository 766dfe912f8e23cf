//! Filebeat and Elastic Agent, Elastic Common Schema. `host.name` is never used as the node: in a pod it is the name
//! of the beat's own pod.

use std::borrow::Cow;

use super::found::Found;
use super::json::Object;
use super::kubernetes::fill;
use super::{Producer, Reads, Reason, Rejected, fluent_bit, message, pod_path};

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

const MESSAGES: &[&str] = &["message", "msg"];

fn decode<'a>(mut object: Object<'a>, found: &mut Found<'a, '_>) -> Result<(), Rejected> {
    let message = message(&mut object)
        .ok_or_else(|| Rejected::new(Reason::NoMessage, "neither message nor event.original is there"))?;
    let mut log = fluent_bit::log_around(&mut object, message);
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

/// Pipelines that parse the line away keep it in `event.original`. `log` is an object here, unless the record is
/// another shipper's and only the application's fields are of ECS.
fn message<'a>(object: &mut Object<'a>) -> Option<Cow<'a, str>> {
    message::take(object, MESSAGES)
        .or_else(|| object.get_text("log").is_some().then(|| object.take_text("log").unwrap_or_default()))
        .or_else(|| object.take_object("event").and_then(|mut event| event.take_text("original")))
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
    fn an_applications_ecs_fields_do_not_hide_another_shippers_line() {
        let log = log(r#"{"log":"a line","ecs":{"version":"1.2"},"kubernetes":{"host":"n1"}}"#, Format::Filebeat);
        assert_eq!((log.message.as_ref(), log.source.node.as_deref()), ("a line", Some("n1")));
    }

    #[test]
    fn finds_the_line_that_a_pipeline_parsed_away() {
        let log = log(r#"{"agent":{},"event":{"original":"raw line"},"http":{"status":500}}"#, Format::Filebeat);
        assert_eq!(log.message, "raw line");
    }
}
