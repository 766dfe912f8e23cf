//! Fluentd's Kafka outputs with the Kubernetes metadata filter: Fluent Bit's fields, `docker` beside them, and by
//! default no time at all.

use super::found::Found;
use super::json::Object;
use super::{Producer, Reads, Rejected, fluent_bit, message};

pub(super) static PRODUCER: Producer = Producer {
    name: "fluentd",
    reads: Reads::Object {
        recognises: |object| object.has_object("kubernetes") && object.has_object("docker"),
        decode,
    },
};

fn decode<'a>(mut object: Object<'a>, found: &mut Found<'a, '_>) -> Result<(), Rejected> {
    let log = fluent_bit::log_entry(&mut object, message::KEYS)?;
    found.log(log)
}

#[cfg(test)]
mod tests {
    use crate::decode::Format;
    use crate::decode::tests::{log, origin};

    #[test]
    fn reads_a_record_without_a_time() {
        let log = log(
            r#"{"log":"say \u001b[31mno\u001b[0m\n","stream":"stderr","docker":{"container_id":"d"},"kubernetes":{
            "host":"n1","pod_name":"cd-0","namespace_name":".orphaned","orphaned_namespace":"shop",
            "container_name":"cd","namespace_labels":{}}}"#,
            Format::Fluentd,
        );
        assert_eq!((log.message.as_ref(), log.time), ("say no", None));
        assert_eq!(origin(&log), [Some("n1"), Some("shop"), Some("cd-0"), Some("cd")]);
    }
}
