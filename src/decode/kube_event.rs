//! Events as the API server has them, of core/v1 or events.k8s.io/v1: Fluent Bit's `kubernetes_events` writes them bare
//! (with an `@timestamp` of its own), `kubectl get events -o json` as a list.

use serde_json_borrow::Value;

use super::found::Found;
use super::json::Object;
use super::{Producer, Reads, Reason, Rejected, event};

pub(super) static PRODUCER: Producer = Producer {
    name: "kube-event",
    reads: Reads::Object { recognises: |object| is_list(object) || recognises(object), decode },
};

pub(super) fn recognises(object: &Object<'_>) -> bool {
    object.has_object("involvedObject")
        || object.has_object("regarding")
        || event::has_go_names(object)
        || (object.get_text("kind") == Some("Event") && object.has("apiVersion"))
}

/// The items of an `EventList` lack their kind; a `List` may hold anything.
fn is_list(object: &Object<'_>) -> bool {
    let is_named_list = || object.get_text("kind").is_some_and(|kind| kind.ends_with("List"));
    // `kubectl cluster-info dump` once wrote Go's names, and no kind.
    object.get("items").is_some_and(Value::is_array) && is_named_list()
        || object.get("Items").is_some_and(Value::is_array)
}

fn decode<'a>(mut object: Object<'a>, found: &mut Found<'a, '_>) -> Result<(), Rejected> {
    if !is_list(&object) {
        return push(object, found);
    }
    let items = object.take_array("items").or_else(|| object.take_array("Items")).unwrap_or_default();
    items.into_iter().try_for_each(|item| push(Object::from_value(item).unwrap_or_default(), found))
}

/// An Event, or the reason why it is none.
pub(super) fn push<'a>(mut object: Object<'a>, found: &mut Found<'a, '_>) -> Result<(), Rejected> {
    if event::is_audit(&object) {
        return Err(Rejected::new(Reason::AuditRecord, "an audit record, not a Kubernetes event"));
    }
    let cluster = object.take_first_text(&["cluster", "cluster_name", "clusterName"]);
    let is_event = recognises(&object);
    match event::read(object) {
        Some(mut event) if is_event => {
            event.cluster = cluster;
            found.event(event)
        }
        Some(_) => Err(Rejected::new(Reason::NotAnEvent, "neither involvedObject nor regarding is there")),
        None => Err(Rejected::new(Reason::UnknownShape, "an event with neither reason nor message")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::Format;
    use crate::decode::tests::{entries, event};
    use crate::record::Expect;

    #[test]
    fn reads_what_fluent_bit_lists() {
        let event = event(
            r#"{"@timestamp":1703425036.0,"metadata":{"uid":"e1"},"involvedObject":{"kind":"Pod","name":"cd-0"},
            "reason":"Scheduled","message":"Successfully assigned shop/cd-0 to n1","source":{},"lastTimestamp":null,
            "eventTime":"2023-12-24T13:37:16.335172Z","reportingComponent":"default-scheduler"}"#,
            Format::KubeEvent,
        );
        assert_eq!((event.assigned_node(), event.node.as_deref()), (Some("n1"), None));
        assert_eq!(event.component, "default-scheduler");
    }

    #[test]
    fn reads_a_list() {
        let list = r#"{"kind":"List","apiVersion":"v1","items":[
            {"involvedObject":{},"reason":"a"},{"regarding":{},"reason":"b"}]}"#;
        assert_eq!(entries(list, Format::Auto, Expect::Events).unwrap().len(), 2);
        let dumped = r#"{"selfLink":"/api/v1/events","Items":[{"InvolvedObject":{"Kind":"Pod"},"Reason":"a"}]}"#;
        assert_eq!(entries(dumped, Format::Auto, Expect::Events).unwrap().len(), 1);
        let other = r#"{"kind":"PodList","items":[{"metadata":{"name":"cd-0"}}]}"#;
        assert_eq!(entries(other, Format::Auto, Expect::Events).unwrap_err().reason, Reason::UnknownShape);
    }
}
