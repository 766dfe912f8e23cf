//! Watch notifications, `{"type":"ADDED"|"MODIFIED"|"DELETED","object":{…}}`: what the API server streams, and what the
//! collector's k8sobjects receiver passes on inside OTLP (see `otlp_json`).

use super::found::Found;
use super::json::Object;
use super::{Producer, Reads, Reason, Rejected, kube_event};

pub(super) static PRODUCER: Producer = Producer { name: "k8s-objects", reads: Reads::Object { recognises, decode } };

pub(super) fn recognises(object: &Object<'_>) -> bool {
    object.has_object("object") && object.get("type").is_some_and(|kind| kind.is_string())
}

/// Accepts a pulled object as well, and the OTLP message that the receiver's pipeline makes of either.
fn decode<'a>(object: Object<'a>, found: &mut Found<'a, '_>) -> Result<(), Rejected> {
    if super::otlp_json::recognises(&object) {
        return super::otlp_json::decode(object, found);
    }
    if !recognises(&object) {
        return kube_event::push(object, found);
    }
    match news(object) {
        Some(object) if kube_event::recognises(&object) => kube_event::push(object, found),
        Some(_) => Err(Rejected::new(Reason::UnknownShape, "a watched object that is no Event")),
        None => Ok(()),
    }
}

/// The object, unless it is not news: an Event is deleted when its time to live is over, and a bookmark only tells a
/// resource version.
pub(super) fn news(mut object: Object<'_>) -> Option<Object<'_>> {
    match object.get_text("type") {
        Some("DELETED" | "BOOKMARK") => None,
        _ => object.take_object("object"),
    }
}

#[cfg(test)]
mod tests {
    use crate::decode::Format;
    use crate::decode::tests::{entries, event};
    use crate::record::Expect;

    #[test]
    fn reads_watched_and_pulled_objects() {
        let object = r#"{"kind":"Event","apiVersion":"v1","involvedObject":{"kind":"Pod"},"reason":"BackOff"}"#;
        let watched = format!(r#"{{"type":"MODIFIED","object":{object}}}"#);
        assert_eq!(event(&watched, Format::K8sObjects), event(object, Format::K8sObjects));
    }

    #[test]
    fn deletions_are_no_news_and_other_objects_no_events() {
        let deleted = r#"{"type":"DELETED","object":{"involvedObject":{},"reason":"BackOff"}}"#;
        assert_eq!(entries(deleted, Format::Auto, Expect::Events), Ok(vec![]));
        let pod = r#"{"type":"ADDED","object":{"kind":"Pod","apiVersion":"v1"}}"#;
        assert!(entries(pod, Format::Auto, Expect::Events).is_err());
    }
}
