//! Metricbeat's `kubernetes` module, metric set `event`: the event's fields in snake case under `kubernetes.event`.

use super::event::node_without_host;
use super::found::Found;
use super::json::{Object, time, unsigned};
use super::{Producer, Reads, Reason, Rejected};
use crate::record::{KubeEvent, ObjectRef};

pub(super) static PRODUCER: Producer = Producer { name: "metricbeat", reads: Reads::Object { recognises, decode } };

fn recognises(object: &Object<'_>) -> bool {
    let event = object.get("kubernetes").and_then(|kubernetes| kubernetes.as_object()).and_then(|it| it.get("event"));
    event.is_some_and(|event| event.is_object())
}

fn decode<'a>(mut object: Object<'a>, found: &mut Found<'a, '_>) -> Result<(), Rejected> {
    let event = object.take_object("kubernetes").and_then(|mut kubernetes| kubernetes.take_object("event"));
    let mut event = event.unwrap_or_default();
    let (reason, message) = (event.take_text("reason"), event.take_text("message"));
    if reason.is_none() && message.is_none() {
        return Err(Rejected::new(Reason::UnknownShape, "no event with a reason or message under `kubernetes.event`"));
    }
    let mut metadata = event.take_object("metadata").unwrap_or_default();
    let times = event.take_object("timestamp").unwrap_or_default();
    let mut source = event.take_object("source").unwrap_or_default();
    let component = source.take_text("component").unwrap_or_default();
    let mut involved = event.take_object("involved_object").unwrap_or_default();
    let object_ref = ObjectRef {
        kind: involved.take_text("kind").unwrap_or_default(),
        namespace: involved.take_text("namespace").or_else(|| metadata.take_text("namespace")).unwrap_or_default(),
        name: involved.take_text("name").unwrap_or_default(),
        uid: involved.take_text("uid"),
    };
    let count = event.get("count").and_then(unsigned).filter(|&count| count > 0);
    found.event(KubeEvent {
        uid: metadata.take_text("uid"),
        reason: reason.unwrap_or_default(),
        event_type: event.take_text("type").unwrap_or_default(),
        message: message.unwrap_or_default(),
        node: source.take_text("host").or_else(|| node_without_host(&object_ref, &component, || None)),
        object: object_ref,
        count: count.map(|count| u32::try_from(count).unwrap_or(u32::MAX)),
        time: times
            .first_time(&["last_occurrence", "first_occurrence"])
            .or_else(|| object.get("@timestamp").and_then(time)),
        component,
        cluster: object
            .take_object("orchestrator")
            .and_then(|mut orchestrator| orchestrator.take_object("cluster"))
            .and_then(|mut cluster| cluster.take_text("name")),
    })
}

#[cfg(test)]
mod tests {
    use crate::decode::Format;
    use crate::decode::tests::event;

    #[test]
    fn reads_an_event() {
        let event = event(
            r#"{"@timestamp":"2026-11-22T14:40:00.000Z","@metadata":{"beat":"metricbeat"},"kubernetes":{"event":{
            "message":"Back-off","reason":"BackOff","type":"Warning","count":7,"involved_object":{"kind":"Pod",
            "name":"cd-0","uid":"p1"},"metadata":{"namespace":"shop","uid":"e1"},"source":{"component":"kubelet",
            "host":"n1"},"timestamp":{"first_occurrence":"2026-11-22T14:31:03.000Z",
            "last_occurrence":"2026-11-22T14:39:03.000Z"}}},"orchestrator":{"cluster":{"name":"prod"}}}"#,
            Format::Metricbeat,
        );
        assert_eq!((event.reason.as_ref(), event.count, event.node.as_deref()), ("BackOff", Some(7), Some("n1")));
        assert_eq!((event.object.namespace.as_ref(), event.cluster.as_deref()), ("shop", Some("prod")));
        assert_eq!(event.time.unwrap().to_string(), "2026-11-22T14:39:03.000Z");
    }
}
