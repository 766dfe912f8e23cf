//! The last resort for JSON: any object with a message under one of the usual names, and who wrote it where it says
//! so in plain fields.

use std::borrow::Cow;

use super::found::Found;
use super::json::Object;
use super::kubernetes::fill;
use super::{Producer, Reads, Rejected, fluent_bit, message};

pub(super) static PRODUCER: Producer = Producer { name: "json", reads: Reads::Object { recognises: |_| true, decode } };

fn decode<'a>(mut object: Object<'a>, found: &mut Found<'a, '_>) -> Result<(), Rejected> {
    let message = message::require(&mut object, message::KEYS)?;
    decode_around(object, message, found)
}

/// The same for a message that has been found.
pub(super) fn decode_around<'a>(
    mut object: Object<'a>,
    message: Cow<'a, str>,
    found: &mut Found<'a, '_>,
) -> Result<(), Rejected> {
    let mut log = fluent_bit::log_around(&mut object, message);
    fill(&mut log.time, object.first_time(&["ts"]));
    let source = &mut log.source;
    if object.get_text("source_type") == Some("journald") {
        fill(&mut source.node, object.take_text("host"));
    }
    fill(&mut source.node, object.take_first_text(&["node", "node_name", "nodeName"]));
    fill(&mut source.namespace, object.take_first_text(&["namespace", "namespace_name"]));
    fill(&mut source.pod, object.take_first_text(&["pod", "pod_name", "podName"]));
    fill(&mut source.container, object.take_first_text(&["container", "container_name", "containerName"]));
    found.log(log)
}

#[cfg(test)]
mod tests {
    use crate::decode::Format;
    use crate::decode::tests::{log, origin};

    #[test]
    fn reads_plain_fields() {
        let log = log(
            r#"{"ts":1795357863.5,"level":"error","msg":"hello","node":"n1","namespace":"shop","pod":"cd-0",
            "container":"cd","cluster":"prod"}"#,
            Format::Json,
        );
        assert_eq!(log.message, "hello");
        assert_eq!(log.time.unwrap().as_millis(), 1_795_357_863_500);
        assert_eq!(log.cluster.as_deref(), Some("prod"));
        assert_eq!(origin(&log), [Some("n1"), Some("shop"), Some("cd-0"), Some("cd")]);
    }
}
