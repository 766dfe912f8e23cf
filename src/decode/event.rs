//! Reading a Kubernetes Event of either API into core/v1's vocabulary.

use std::borrow::Cow;

use serde_json_borrow::Value;

use super::json::{Object, time, unsigned};
use crate::record::{KubeEvent, ObjectRef};
use crate::time::Timestamp;

/// The newest moment that an event speaks of, core/v1's and events.k8s.io's names in the same order.
const TIMES: &[&str] =
    &["lastTimestamp", "deprecatedLastTimestamp", "eventTime", "firstTimestamp", "deprecatedFirstTimestamp"];

/// Whether this is an API server's audit record, whose kind is `Event` too.
pub(super) fn is_audit(object: &Object<'_>) -> bool {
    object.get_text("apiVersion").is_some_and(|version| version.starts_with("audit.k8s.io/"))
}

/// Go's own names for the fields, which `kubectl cluster-info dump` wrote before 1.10.
const GO_NAMES: &[(&str, &str)] = &[
    ("InvolvedObject", "involvedObject"),
    ("Reason", "reason"),
    ("Message", "message"),
    ("Source", "source"),
    ("FirstTimestamp", "firstTimestamp"),
    ("LastTimestamp", "lastTimestamp"),
    ("Count", "count"),
    ("Type", "type"),
    ("EventTime", "eventTime"),
    ("Series", "series"),
    ("ReportingController", "reportingComponent"),
    ("ReportingInstance", "reportingInstance"),
    ("ObjectMeta", "metadata"),
    ("Kind", "kind"),
    ("Namespace", "namespace"),
    ("Name", "name"),
    ("UID", "uid"),
    ("Component", "component"),
    ("Host", "host"),
    ("LastObservedTime", "lastObservedTime"),
    ("CreationTimestamp", "creationTimestamp"),
];

/// Whether this is an event with Go's names.
pub(super) fn has_go_names(object: &Object<'_>) -> bool {
    object.has_object("InvolvedObject")
}

/// The same under the names of the API. Its metadata lies in the event itself.
fn with_api_names(event: Object<'_>) -> Object<'_> {
    let mut renamed = Object::default();
    let mut metadata = Object::default();
    for (key, value) in event.into_pairs() {
        match key.as_ref() {
            "uid" | "namespace" | "creationTimestamp" => metadata.push(key, value),
            _ => renamed.push(api_name(key), renamed_within(value)),
        }
    }
    if !renamed.has("metadata") {
        renamed.push(Cow::Borrowed("metadata"), metadata.into_value());
    }
    renamed
}

fn renamed_within(value: Value<'_>) -> Value<'_> {
    match value {
        Value::Object(object) => {
            let pairs = object.into_vec().into_iter().map(|(key, value)| (api_name(key), value));
            Object::from_pairs(pairs.collect()).into_value()
        }
        other => other,
    }
}

fn api_name(key: Cow<'_, str>) -> Cow<'_, str> {
    GO_NAMES.iter().find(|(name, _)| *name == key).map_or(key, |(_, name)| Cow::Borrowed(*name))
}

/// Reads an Event. `None`: it says neither a reason nor a message.
pub(super) fn read(mut event: Object<'_>) -> Option<KubeEvent<'_>> {
    if has_go_names(&event) {
        event = with_api_names(event);
    }
    let reason = event.take_text("reason");
    let message = event.take_first_text(&["message", "note"]);
    if reason.is_none() && message.is_none() {
        return None;
    }
    let mut metadata = event.take_object("metadata").unwrap_or_default();
    let time = event_time(&event, &metadata);
    let count = count(&event);
    let mut object = object_ref(&mut event);
    if object.namespace.is_empty() && object.kind != "Node" {
        object.namespace = metadata.take_text("namespace").unwrap_or_default();
    }
    let mut source = event.take_object("source").unwrap_or_default();
    let mut deprecated = event.take_object("deprecatedSource").unwrap_or_default();
    let component = event
        .take_first_text(&["reportingComponent", "reportingController"])
        .or_else(|| source.take_text("component"))
        .or_else(|| deprecated.take_text("component"))
        .unwrap_or_default();
    let host = source.take_text("host").or_else(|| deprecated.take_text("host"));
    let node = host.or_else(|| node_without_host(&object, &component, || event.take_text("reportingInstance")));
    Some(KubeEvent {
        uid: metadata.take_text("uid"),
        reason: reason.unwrap_or_default(),
        event_type: event.take_text("type").unwrap_or_default(),
        message: message.unwrap_or_default(),
        object,
        node,
        count,
        time,
        component,
        cluster: None,
    })
}

fn object_ref<'a>(event: &mut Object<'a>) -> ObjectRef<'a> {
    let Some(mut object) = event.take_object("involvedObject").or_else(|| event.take_object("regarding")) else {
        return ObjectRef::default();
    };
    ObjectRef {
        kind: object.take_text("kind").unwrap_or_default(),
        namespace: object.take_text("namespace").unwrap_or_default(),
        name: object.take_text("name").unwrap_or_default(),
        uid: object.take_text("uid"),
    }
}

/// A Node object is its own node. A reporting instance is one only for kubelet: the scheduler's names the host that
/// the scheduler runs on.
pub(super) fn node_without_host<'a>(
    object: &ObjectRef<'a>,
    component: &str,
    instance: impl FnOnce() -> Option<Cow<'a, str>>,
) -> Option<Cow<'a, str>> {
    if object.kind == "Node" && !object.name.is_empty() {
        return Some(object.name.clone());
    }
    if component == "kubelet" { instance() } else { None }
}

fn event_time(event: &Object<'_>, metadata: &Object<'_>) -> Option<Timestamp> {
    series(event)
        .and_then(|series| series.get("lastObservedTime").and_then(time))
        .or_else(|| event.first_time(TIMES))
        .or_else(|| metadata.first_time(&["creationTimestamp"]))
}

/// Whichever of the two counters runs: events.k8s.io mirrors its series nowhere else.
fn count(event: &Object<'_>) -> Option<u32> {
    let plain = ["count", "deprecatedCount"].into_iter().find_map(|key| event.get(key).and_then(unsigned));
    let series = series(event).and_then(|series| series.get("count").and_then(unsigned));
    let count = plain.max(series)?;
    (count > 0).then(|| u32::try_from(count).unwrap_or(u32::MAX))
}

fn series<'e, 'a>(event: &'e Object<'a>) -> Option<&'e serde_json_borrow::ObjectAsVec<'a>> {
    event.get("series").and_then(Value::as_object)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(text: &str) -> KubeEvent<'_> {
        read(Object::from_value(serde_json::from_str(text).unwrap()).unwrap()).unwrap()
    }

    #[test]
    fn reads_a_kubelet_event() {
        let read = event(
            r#"{"metadata":{"name":"cd-0.17","namespace":"shop","uid":"e1","creationTimestamp":"2026-01-02T20:00:00Z"},
            "involvedObject":{"kind":"Pod","namespace":"shop","name":"cd-0","uid":"p1"},"reason":"BackOff",
            "message":"Back-off restarting failed container","source":{"component":"kubelet","host":"n1"},
            "firstTimestamp":"2026-01-02T20:00:00Z","lastTimestamp":"2026-01-02T20:02:00Z","count":16,
            "type":"Warning","eventTime":null,"reportingComponent":"","reportingInstance":""}"#,
        );
        let expected = KubeEvent {
            uid: Some("e1".into()),
            reason: "BackOff".into(),
            event_type: "Warning".into(),
            message: "Back-off restarting failed container".into(),
            object: ObjectRef {
                kind: "Pod".into(),
                namespace: "shop".into(),
                name: "cd-0".into(),
                uid: Some("p1".into()),
            },
            node: Some("n1".into()),
            count: Some(16),
            time: Timestamp::parse_rfc3339("2026-01-02T20:02:00Z"),
            component: "kubelet".into(),
            cluster: None,
        };
        assert_eq!(read, expected);
    }

    #[test]
    fn reads_events_k8s_io_alike() {
        let read = event(
            r#"{"apiVersion":"events.k8s.io/v1","kind":"Event","metadata":{"namespace":"shop","uid":"e1"},
            "regarding":{"kind":"Pod","name":"cd-0"},"reason":"Failed","note":"n","type":"Warning",
            "reportingController":"kubelet","reportingInstance":"n1","deprecatedCount":2,
            "series":{"count":5,"lastObservedTime":"2026-01-02T20:02:19.286034Z"},
            "eventTime":"2026-01-02T20:00:00.000001Z"}"#,
        );
        assert_eq!((read.message.as_ref(), read.node.as_deref(), read.count), ("n", Some("n1"), Some(5)));
        assert_eq!(read.object.namespace, "shop");
        assert_eq!(read.time, Timestamp::parse_rfc3339("2026-01-02T20:02:19.286Z"));
    }

    #[test]
    fn reads_gos_names_alike() {
        let read = event(
            r#"{"name":"cd-0.17","namespace":"shop","uid":"e1","creationTimestamp":"2026-01-02T20:00:00Z",
            "InvolvedObject":{"Kind":"Pod","Namespace":"shop","Name":"cd-0","UID":"p1"},"Reason":"BackOff",
            "Message":"Back-off","Source":{"Component":"kubelet","Host":"n1"},"Count":3,"Type":"Warning",
            "FirstTimestamp":"2026-01-02T20:00:00Z","LastTimestamp":"2026-01-02T20:02:00Z","Series":null}"#,
        );
        assert_eq!((read.reason.as_ref(), read.event_type.as_ref(), read.count), ("BackOff", "Warning", Some(3)));
        assert_eq!((read.node.as_deref(), read.uid.as_deref()), (Some("n1"), Some("e1")));
        assert_eq!((read.object.kind.as_ref(), read.object.name.as_ref()), ("Pod", "cd-0"));
        assert_eq!((read.object.uid.as_deref(), read.component.as_ref()), (Some("p1"), "kubelet"));
        assert_eq!(read.time, Timestamp::parse_rfc3339("2026-01-02T20:02:00Z"));
    }

    #[test]
    fn knows_the_node_by_the_node_rule() {
        let cases = [
            (r#"{"reason":"r","source":{"host":"n1"},"involvedObject":{"kind":"Node","name":"n2"}}"#, Some("n1")),
            (r#"{"reason":"r","deprecatedSource":{"host":"n1"}}"#, Some("n1")),
            (r#"{"reason":"r","source":{"host":""},"involvedObject":{"kind":"Node","name":"n2"}}"#, Some("n2")),
            (r#"{"reason":"r","reportingComponent":"kubelet","reportingInstance":"n3"}"#, Some("n3")),
            (r#"{"reason":"r","reportingComponent":"default-scheduler","reportingInstance":"x-n4"}"#, None),
            (r#"{"reason":"r","involvedObject":{"kind":"ReplicaSet","name":"n5"}}"#, None),
        ];
        for (text, node) in cases {
            assert_eq!(event(text).node.as_deref(), node, "{text}");
        }
    }

    #[test]
    fn takes_the_newest_time_that_is_one() {
        let cases = [
            (r#"{"reason":"r","eventTime":{},"firstTimestamp":"2026-01-02T20:00:00Z"}"#, Some("2026-01-02T20:00:00Z")),
            (r#"{"reason":"r","lastTimestamp":"2026-01-02T20:00:00+08:00"}"#, Some("2026-01-02T12:00:00Z")),
            (
                r#"{"reason":"r","lastTimestamp":"0001-01-01T00:00:00Z","eventTime":"2026-01-02T20:00:00.5Z"}"#,
                Some("2026-01-02T20:00:00.5Z"),
            ),
            (
                r#"{"reason":"r","lastTimestamp":null,"metadata":{"creationTimestamp":"2026-01-02T20:00:00Z"}}"#,
                Some("2026-01-02T20:00:00Z"),
            ),
            (r#"{"reason":"r","lastTimestamp":[],"series":7}"#, None),
        ];
        for (text, time) in cases {
            assert_eq!(event(text).time, time.and_then(Timestamp::parse_rfc3339), "{text}");
        }
    }

    #[test]
    fn counts_are_never_fatal() {
        let cases = [
            (r#"{"reason":"r","count":3}"#, Some(3)),
            (r#"{"reason":"r","count":"3"}"#, Some(3)),
            (r#"{"reason":"r","count":0}"#, None),
            (r#"{"reason":"r","count":-1}"#, None),
            (r#"{"reason":"r","count":1.5}"#, None),
            (r#"{"reason":"r","count":{}}"#, None),
            (r#"{"reason":"r","count":99999999999}"#, Some(u32::MAX)),
        ];
        for (text, count) in cases {
            assert_eq!(event(text).count, count, "{text}");
        }
    }
}
