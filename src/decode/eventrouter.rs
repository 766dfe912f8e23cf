//! heptio/eventrouter: `{"verb":"ADDED"|"UPDATED","event":{…},"old_event":{…}}`. A resync repeats events with their
//! count unchanged, which the count tells.

use super::found::Found;
use super::json::Object;
use super::{Producer, Reads, Reason, Rejected, event};
use crate::record::KubeEvent;

pub(super) static PRODUCER: Producer = Producer { name: "eventrouter", reads: Reads::Object { recognises, decode } };

pub(super) fn recognises(object: &Object<'_>) -> bool {
    object.has_object("event") && object.get("verb").is_some_and(|verb| verb.is_string())
}

fn decode<'a>(object: Object<'a>, found: &mut Found<'a, '_>) -> Result<(), Rejected> {
    match event(object) {
        Some(event) => found.event(event),
        None => Err(Rejected::new(Reason::UnknownShape, "no event with a reason or message under `event`")),
    }
}

pub(super) fn event(mut object: Object<'_>) -> Option<KubeEvent<'_>> {
    let cluster = object.take_first_text(&["cluster", "cluster_name"]);
    let mut event = event::read(object.take_object("event")?)?;
    event.cluster = cluster;
    Some(event)
}

#[cfg(test)]
mod tests {
    use crate::decode::Format;
    use crate::decode::tests::event;

    #[test]
    fn reads_the_new_of_the_two_events() {
        let event = event(
            r#"{"verb":"UPDATED","event":{"metadata":{"uid":"e1"},"reason":"BackOff","message":"new","count":4,
            "involvedObject":{"kind":"Pod","name":"cd-0"},"source":{"host":"n1"}},
            "old_event":{"metadata":{"uid":"e1"},"reason":"BackOff","message":"old","count":3}}"#,
            Format::Eventrouter,
        );
        assert_eq!((event.message.as_ref(), event.count, event.node.as_deref()), ("new", Some(4), Some("n1")));
    }
}
