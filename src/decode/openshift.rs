//! OpenShift's collector (Vector, before it Fluentd) with the ViaQ data model: the node is the record's `hostname`.
//! Journal records have it too, in the short form that journald knows.

use super::found::Found;
use super::json::Object;
use super::kubernetes::fill;
use super::{Producer, Reads, Rejected, fluent_bit};

pub(super) static PRODUCER: Producer = Producer {
    name: "openshift",
    reads: Reads::Object {
        recognises: |object| {
            object.has("hostname") && (object.has("log_type") || object.has("viaq_msg_id") || object.has("openshift"))
        },
        decode,
    },
};

const MESSAGES: &[&str] = &["message", "structured", "log"];

fn decode<'a>(mut object: Object<'a>, found: &mut Found<'a, '_>) -> Result<(), Rejected> {
    let mut log = fluent_bit::log_entry(&mut object, MESSAGES)?;
    fill(&mut log.source.node, object.take_text("hostname"));
    found.log(log)
}

#[cfg(test)]
mod tests {
    use crate::decode::Format;
    use crate::decode::tests::{log, origin};

    #[test]
    fn the_hostname_is_the_node() {
        let container = log(
            r#"{"@timestamp":"2026-11-22T14:31:03.9Z","hostname":"ip-10-0-1-167.ec2.internal","kubernetes":{
            "container_name":"cd","namespace_name":"shop","pod_name":"cd-0","pod_owner":"StatefulSet/cd"},
            "log_type":"application","message":"hello","openshift":{"cluster_id":"4732"}}"#,
            Format::Openshift,
        );
        assert_eq!(origin(&container), [Some("ip-10-0-1-167.ec2.internal"), Some("shop"), Some("cd-0"), Some("cd")]);
        let journal = log(
            r#"{"hostname":"ip-10-0-1-188","log_type":"infrastructure","message":"oom","systemd":{},
            "time":"2026-11-22T14:31:03+00:00"}"#,
            Format::Openshift,
        );
        assert_eq!(origin(&journal), [Some("ip-10-0-1-188"), None, None, None]);
        assert!(journal.time.is_some());
    }
}
