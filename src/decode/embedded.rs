//! Records inside a message: an event that eventrouter or event-exporter printed and a shipper passed on as a log
//! line, and Docker's own JSON line where the shipper had no parser for it. One level deep, no further.

use serde_json_borrow::Value;

use super::json::{Object, time};
use super::{docker_json, event, event_exporter, eventrouter, k8s_objects, kube_event};
use crate::record::{KubeEvent, LogEntry, Source, Stream};
use crate::time::Timestamp;

const EVENT_KEYS: [&str; 3] = ["\"involvedObject\"", "\"regarding\"", "\"InvolvedObject\""];

/// The event that a log's message is, if it is one. Its cluster is the log's where it names none itself.
pub(super) fn event<'a>(log: &LogEntry<'a>) -> Option<KubeEvent<'a>> {
    let text = log.message.trim_ascii();
    if !text.starts_with('{') || !prints_events(&log.source) || !EVENT_KEYS.iter().any(|key| text.contains(key)) {
        return None;
    }
    let object = Object::from_value(serde_json::from_str::<Value<'_>>(text).ok()?)?;
    let mut event = unwrap_event(object)?.into_owned();
    event.cluster = event.cluster.or_else(|| log.cluster.clone());
    event.time = event.time.or(log.time);
    Some(event)
}

/// Whether the pod is one whose job it is to print events, by its name: eventrouter, kubernetes-event-exporter, … Any
/// other could say of any node what it likes. A line without a pod is of a pipe, not of a container.
fn prints_events(source: &Source<'_>) -> bool {
    let names = [&source.pod, &source.container];
    source.pod.is_none() || names.into_iter().flatten().any(|name| name.contains("event"))
}

fn unwrap_event(object: Object<'_>) -> Option<KubeEvent<'_>> {
    if event::is_audit(&object) {
        None
    } else if eventrouter::recognises(&object) {
        eventrouter::event(object)
    } else if event_exporter::recognises(&object) {
        event_exporter::event(object)
    } else if k8s_objects::recognises(&object) {
        // A deletion is no news, and as a log line it does no harm.
        k8s_objects::news(object).and_then(event::read)
    } else if kube_event::recognises(&object) {
        event::read(object)
    } else {
        None
    }
}

pub(super) struct DockerLine {
    pub(super) message: String,
    pub(super) time: Option<Timestamp>,
    pub(super) stream: Option<Stream>,
    pub(super) partial: bool,
}

/// Docker's json-file line as the text of a message.
pub(super) fn docker_line(message: &str) -> Option<DockerLine> {
    if !message.starts_with("{\"log\":\"") {
        return None;
    }
    let mut object = Object::from_value(serde_json::from_str::<Value<'_>>(message).ok()?)?;
    let time = object.get("time").and_then(time);
    let stream = Stream::from_name(object.get_text("stream")?);
    let message = object.take_text("log").unwrap_or_default().into_owned();
    let partial = docker_json::is_partial(&message);
    Some(DockerLine { message, time, stream, partial })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(message: &str) -> LogEntry<'_> {
        LogEntry { message: message.into(), cluster: Some("prod".into()), ..LogEntry::default() }
    }

    const EVENT: &str = r#"{"involvedObject":{"kind":"Pod","namespace":"shop","name":"cd-0"},"reason":"BackOff",
        "message":"m","count":3}"#;

    #[test]
    fn only_pods_that_print_events_are_believed() {
        let from = |pod: &'static str| {
            event(&LogEntry { source: Source { pod: Some(pod.into()), ..Source::default() }, ..log(EVENT) })
        };
        assert!(from("shop-cd-0").is_none());
        assert!(from("kubernetes-event-exporter-6d8f7b5c9d-x7k2p").is_some());
    }

    #[test]
    fn finds_an_event_in_each_wrapping() {
        let wrapped = [
            EVENT.to_owned(),
            format!(r#"{{"verb":"ADDED","event":{EVENT}}}"#),
            format!(r#"{{"type":"ADDED","object":{EVENT}}}"#),
        ];
        for text in wrapped {
            let event = event(&log(&text)).expect(&text);
            assert_eq!((event.reason.as_ref(), event.count), ("BackOff", Some(3)), "{text}");
            assert_eq!(event.cluster.as_deref(), Some("prod"));
        }
    }

    #[test]
    fn leaves_other_messages_alone() {
        for text in [
            "plain",
            r#"{"msg":"\"involvedObject\" is a word"}"#,
            r#"{"involvedObject":"#,
            r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","regarding":{"kind":"Pod"},"reason":"x"}"#,
        ] {
            assert_eq!(event(&log(text)), None, "{text}");
        }
    }

    #[test]
    fn unwraps_dockers_line() {
        let line = docker_line(r#"{"log":"say \"hi\"\n","stream":"stdout","time":"2024-07-02T12:40:06.6Z"}"#).unwrap();
        assert_eq!(line.message, "say \"hi\"\n");
        assert_eq!(line.time, Some(Timestamp::from_millis(1_719_924_006_600)));
        assert!(docker_line(r#"{"log":"an application's own"}"#).is_none());
    }
}
