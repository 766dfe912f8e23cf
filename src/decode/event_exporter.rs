//! resmoio/kubernetes-event-exporter without a layout: an Event of core/v1 with `clusterName`, and with the object's
//! labels and owners inside `involvedObject`. It leaves updates out, so counts never grow.

use super::found::Found;
use super::json::Object;
use super::{Producer, Reads, Reason, Rejected, event};
use crate::record::KubeEvent;

pub(super) static PRODUCER: Producer = Producer { name: "event-exporter", reads: Reads::Object { recognises, decode } };

pub(super) fn recognises(object: &Object<'_>) -> bool {
    object.has_object("involvedObject") && object.has("clusterName")
}

fn decode<'a>(object: Object<'a>, found: &mut Found<'a, '_>) -> Result<(), Rejected> {
    match event(object) {
        Some(event) => found.event(event),
        None => Err(Rejected::new(Reason::UnknownShape, "an event with neither reason nor message")),
    }
}

pub(super) fn event(mut object: Object<'_>) -> Option<KubeEvent<'_>> {
    let cluster = object.take_text("clusterName");
    let mut event = event::read(object)?;
    event.cluster = cluster;
    Some(event)
}

#[cfg(test)]
mod tests {
    use crate::decode::Format;
    use crate::decode::tests::event;

    #[test]
    fn reads_the_cluster_too() {
        let event = event(
            r#"{"metadata":{"uid":"e1"},"reason":"SystemOOM","message":"victim","source":{"component":"kubelet",
            "host":"n1"},"count":1,"clusterName":"prod","involvedObject":{"kind":"Node","name":"n1","uid":"n1",
            "labels":{"os":"windows"},"ownerReferences":[]}}"#,
            Format::EventExporter,
        );
        assert_eq!((event.cluster.as_deref(), event.node.as_deref()), (Some("prod"), Some("n1")));
        assert_eq!(event.object.kind, "Node");
    }
}
