//! Events of the collector's k8s_events receiver: log records whose attributes spell the event out. The resource's
//! `k8s.node.name` is the event's `source.host`; the newest versions have left it out.

use std::borrow::Cow;

use serde_json_borrow::Value;

use super::event::node_without_host;
use super::json::{Object, time, unsigned};
use super::message;
use super::otlp::Origin;
use crate::record::{KubeEvent, ObjectRef};
use crate::time::Timestamp;

/// The attributes that are read.
pub(super) const KEYS: &[&str] = &[
    "k8s.object.kind",
    "k8s.object.name",
    "k8s.object.uid",
    "k8s.event.reason",
    "k8s.event.count",
    "k8s.event.uid",
    "k8s.event.start_time",
    "k8s.event.reporting_controller",
    "k8s.event.reporting_instance",
];

pub(super) fn recognises(attributes: &Object<'_>) -> bool {
    attributes.has("k8s.event.reason")
}

/// `logged_at` is the newest time of the event that the receiver knew; `start_time` its first.
pub(super) fn event<'a>(
    origin: Origin<'a>,
    event_type: Option<Cow<'a, str>>,
    body: Option<Value<'a>>,
    logged_at: Option<Timestamp>,
) -> KubeEvent<'a> {
    let Origin { source, cluster, event: mut attributes, .. } = origin;
    let object = ObjectRef {
        kind: attributes.take_text("k8s.object.kind").unwrap_or_default(),
        namespace: source.namespace.unwrap_or_default(),
        name: attributes.take_text("k8s.object.name").unwrap_or_default(),
        uid: attributes.take_text("k8s.object.uid"),
    };
    let component = attributes.take_text("k8s.event.reporting_controller").unwrap_or_default();
    let instance = || attributes.take_text("k8s.event.reporting_instance");
    let node = source.node.or_else(|| node_without_host(&object, &component, instance));
    let count = attributes.get("k8s.event.count").and_then(unsigned).filter(|&count| count > 0);
    KubeEvent {
        uid: attributes.take_text("k8s.event.uid"),
        reason: attributes.take_text("k8s.event.reason").unwrap_or_default(),
        event_type: event_type.unwrap_or_default(),
        message: body.map(message::from_value).unwrap_or_default(),
        object,
        node,
        count: count.map(|count| u32::try_from(count).unwrap_or(u32::MAX)),
        time: logged_at.or_else(|| attributes.get("k8s.event.start_time").and_then(time)),
        component,
        cluster,
    }
}

#[cfg(test)]
mod tests {
    use crate::decode::Format;
    use crate::decode::tests::event;

    fn record(resource: &str, attributes: &str) -> String {
        format!(
            r#"{{"resourceLogs":[{{"resource":{{"attributes":[{resource}
            {{"key":"k8s.object.kind","value":{{"stringValue":"Pod"}}}},
            {{"key":"k8s.object.name","value":{{"stringValue":"cd-0"}}}}]}},
            "scopeLogs":[{{"logRecords":[{{"severityText":"Warning","body":{{"stringValue":"Back-off"}},"attributes":[
            {{"key":"k8s.event.reason","value":{{"stringValue":"BackOff"}}}},
            {{"key":"k8s.event.uid","value":{{"stringValue":"e1"}}}},
            {{"key":"k8s.event.count","value":{{"intValue":"4"}}}},
            {{"key":"k8s.event.start_time","value":{{"stringValue":"2026-11-22 14:31:03 +0000 UTC"}}}},{attributes}
            {{"key":"k8s.namespace.name","value":{{"stringValue":"shop"}}}}]}}]}}]}}]}}"#
        )
    }

    #[test]
    fn reads_an_event_from_attributes() {
        let value = record(r#"{"key":"k8s.node.name","value":{"stringValue":"n1"}},"#, "");
        let event = event(&value, Format::OtlpJson);
        assert_eq!((event.reason.as_ref(), event.event_type.as_ref()), ("BackOff", "Warning"));
        assert_eq!((event.message.as_ref(), event.count, event.uid.as_deref()), ("Back-off", Some(4), Some("e1")));
        assert_eq!((event.object.namespace.as_ref(), event.object.name.as_ref()), ("shop", "cd-0"));
        assert_eq!(
            (event.node.as_deref(), event.time.unwrap().to_string().as_str()),
            (Some("n1"), "2026-11-22T14:31:03.000Z")
        );
    }

    #[test]
    fn kubelet_is_its_node_where_the_resource_names_none() {
        let reporter = |controller: &str| {
            format!(
                r#"{{"key":"k8s.event.reporting_controller","value":{{"stringValue":"{controller}"}}}},
                {{"key":"k8s.event.reporting_instance","value":{{"stringValue":"n2"}}}},"#
            )
        };
        for (controller, node) in [("kubelet", Some("n2")), ("default-scheduler", None)] {
            let value = record("", &reporter(controller));
            assert_eq!(event(&value, Format::OtlpJson).node.as_deref(), node, "{controller}");
        }
    }
}
