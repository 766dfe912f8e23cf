//! What OTLP's encodings have in common: who wrote the records of a resource, and what one of them becomes.

use std::borrow::Cow;

use serde_json_borrow::Value;

use super::found::Found;
use super::json::{Object, text};
use super::kubernetes::{ecs_owner_kind, fill, prefer_top_owner};
use super::{Reason, Rejected, event, k8s_objects, kube_event, message, otlp_event, pod_path};
use crate::names::is_pool_label;
use crate::record::{LogEntry, Source, Stream};
use crate::time::Timestamp;

/// One log record; its attributes are in its [`Origin`].
#[derive(Default)]
pub(super) struct LogRecord<'a> {
    pub(super) time: Option<Timestamp>,
    pub(super) severity_text: Option<Cow<'a, str>>,
    /// As plain JSON.
    pub(super) body: Option<Value<'a>>,
}

/// Longer attributes are no names of anything. Every record of a resource may hold a copy.
const MAX_NAME_BYTES: usize = 1024;

/// Who wrote the records of a resource; a record's own attributes fill in.
#[derive(Clone, Default)]
pub(super) struct Origin<'a> {
    pub(super) source: Source<'a>,
    pub(super) cluster: Option<Cow<'a, str>>,
    path: Option<Cow<'a, str>>,
    stream: Option<Stream>,
    partial: bool,
    /// Attributes of the k8s_events receiver, by their keys.
    pub(super) event: Object<'a>,
}

impl<'a> Origin<'a> {
    /// Takes an attribute of a resource or record in. `kubernetes.*` are OpenShift's names.
    pub(super) fn add(&mut self, key: Cow<'a, str>, value: Value<'a>) {
        if otlp_event::KEYS.contains(&key.as_ref()) {
            if !self.event.has(&key) && value.as_str().is_none_or(|text| text.len() <= MAX_NAME_BYTES) {
                self.event.push(key, value);
            }
            return;
        }
        let Some(value) = text(value).filter(|text| text.len() <= MAX_NAME_BYTES) else { return };
        let source = &mut self.source;
        let field = match key.as_ref() {
            "k8s.node.name" | "kubernetes.host" => &mut source.node,
            "k8s.namespace.name" | "kubernetes.namespace_name" => &mut source.namespace,
            "k8s.pod.name" | "kubernetes.pod_name" => &mut source.pod,
            "k8s.pod.uid" | "kubernetes.pod_id" => &mut source.pod_uid,
            "k8s.container.name" | "kubernetes.container_name" => &mut source.container,
            "container.image.name" | "kubernetes.container_image" => &mut source.image,
            "k8s.cluster.name" => &mut self.cluster,
            "log.file.path" => &mut self.path,
            "log.iostream" => return self.stream = Stream::from_name(&value),
            "logtag" => return self.partial = value == "P",
            key if key.strip_prefix("k8s.node.label.").is_some_and(is_pool_label) => &mut source.node_pool,
            key => {
                let kind = key.strip_prefix("k8s.").and_then(|key| key.strip_suffix(".name"));
                if let Some(kind) = kind.and_then(ecs_owner_kind) {
                    prefer_top_owner(&mut source.owner, kind, value);
                }
                return;
            }
        };
        fill(field, Some(value));
    }

    fn log(self, message: Cow<'a, str>, time: Option<Timestamp>) -> LogEntry<'a> {
        let Origin { source, cluster, stream, partial, .. } = self;
        LogEntry { message, time, cluster, source, stream, partial }
    }
}

/// Makes an entry of a record: a line, or an event where a receiver of events wrote it.
pub(super) fn push<'a>(
    record: LogRecord<'a>,
    mut origin: Origin<'a>,
    found: &mut Found<'a, '_>,
) -> Result<(), Rejected> {
    if let Some(path) = &origin.path {
        pod_path::fill_source(&mut origin.source, path);
    }
    let LogRecord { time, severity_text, body } = record;
    if otlp_event::recognises(&origin.event) {
        return found.event(otlp_event::event(origin, severity_text, body, time));
    }
    if let Some(value @ Value::Object(_)) = body {
        return object_body(value, time, origin, found);
    }
    // A record without a body is legal, and its container did run.
    let message = body.map(message::from_value).unwrap_or_default();
    found.log(origin.log(message, time))
}

/// A map: an Event, watched or pulled, or a structured log.
fn object_body<'a>(
    value: Value<'a>,
    time: Option<Timestamp>,
    origin: Origin<'a>,
    found: &mut Found<'a, '_>,
) -> Result<(), Rejected> {
    let mut object = Object::from_value(value).unwrap_or_default();
    if k8s_objects::recognises(&object) {
        match k8s_objects::news(object) {
            Some(watched) => object = watched,
            None => return Ok(()),
        }
    }
    if !kube_event::recognises(&object) || event::is_audit(&object) {
        let message =
            message::take(&mut object, message::KEYS).unwrap_or_else(|| message::from_value(object.into_value()));
        return found.log(origin.log(message, time));
    }
    match event::read(object) {
        Some(mut event) => {
            event.time = event.time.or(time);
            event.cluster = origin.cluster;
            found.event(event)
        }
        None => Err(Rejected::new(Reason::UnknownShape, "an event with neither reason nor message")),
    }
}
