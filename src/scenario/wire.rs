//! The shapes of the records, fields in the order in which their producers write them.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use crate::time::Timestamp;

/// Fluent Bit's Kafka output, `format json`, behind the kubernetes filter.
#[derive(Serialize)]
pub(crate) struct FluentBitRecord<'r> {
    #[serde(rename = "@timestamp")]
    pub(crate) timestamp: f64,
    pub(crate) stream: &'r str,
    #[serde(rename = "_p")]
    pub(crate) partial: &'r str,
    pub(crate) log: &'r str,
    pub(crate) kubernetes: &'r Kubernetes,
}

#[derive(Serialize)]
pub(crate) struct Kubernetes {
    pub(crate) pod_name: String,
    pub(crate) namespace_name: String,
    pub(crate) pod_id: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) host: String,
    pub(crate) pod_ip: String,
    pub(crate) container_name: String,
    pub(crate) docker_id: String,
    pub(crate) container_hash: String,
    pub(crate) container_image: String,
}

impl<'r> FluentBitRecord<'r> {
    pub(crate) fn new(at: Timestamp, line: &'r str, is_error: bool, kubernetes: &'r Kubernetes) -> Self {
        let stream = if is_error { "stderr" } else { "stdout" };
        FluentBitRecord { timestamp: at.as_millis() as f64 / 1000.0, stream, partial: "F", log: line, kubernetes }
    }
}

impl Kubernetes {
    /// What kubelet says between two attempts.
    pub(crate) fn back_off(&self) -> String {
        let Kubernetes { container_name, pod_name, namespace_name, pod_id, .. } = self;
        format!("Back-off restarting failed container {container_name} in pod {pod_name}_{namespace_name}({pod_id})")
    }
}

/// A core/v1 Event as Fluent Bit's `kubernetes_events` writes it.
#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EventRecord<'r> {
    /// Items of lists have neither kind nor version.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(crate) kind: &'r str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(crate) api_version: &'r str,
    pub(crate) metadata: Metadata<'r>,
    pub(crate) involved_object: InvolvedObject<'r>,
    pub(crate) reason: &'r str,
    pub(crate) message: &'r str,
    pub(crate) source: Source<'r>,
    pub(crate) first_timestamp: Option<Seconds>,
    pub(crate) last_timestamp: Option<Seconds>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) count: Option<u32>,
    #[serde(rename = "type")]
    pub(crate) event_type: &'r str,
    pub(crate) event_time: Option<Timestamped>,
    pub(crate) reporting_component: &'r str,
    pub(crate) reporting_instance: &'r str,
}

impl<'r> EventRecord<'r> {
    /// Once, of no source and no time; the rest is for the reporter to say.
    pub(crate) fn new(
        reason: &'r str,
        message: &'r str,
        metadata: Metadata<'r>,
        involved_object: InvolvedObject<'r>,
    ) -> Self {
        EventRecord {
            kind: "Event",
            api_version: "v1",
            metadata,
            involved_object,
            reason,
            message,
            source: Source { component: "", host: "" },
            first_timestamp: None,
            last_timestamp: None,
            count: None,
            event_type: "Normal",
            event_time: None,
            reporting_component: "",
            reporting_instance: "",
        }
    }
}

#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Metadata<'r> {
    pub(crate) name: String,
    pub(crate) namespace: &'r str,
    pub(crate) uid: &'r str,
    pub(crate) resource_version: String,
    pub(crate) creation_timestamp: Seconds,
}

#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct InvolvedObject<'r> {
    pub(crate) kind: &'r str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(crate) namespace: &'r str,
    pub(crate) name: &'r str,
    pub(crate) uid: &'r str,
    pub(crate) api_version: &'r str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) field_path: Option<String>,
}

#[derive(Clone, Serialize)]
pub(crate) struct Source<'r> {
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(crate) component: &'r str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(crate) host: &'r str,
}

pub(crate) fn involved_pod(pod: &Kubernetes) -> InvolvedObject<'_> {
    InvolvedObject {
        kind: "Pod",
        namespace: &pod.namespace_name,
        name: &pod.pod_name,
        uid: &pod.pod_id,
        api_version: "v1",
        field_path: Some(format!("spec.containers{{{}}}", pod.container_name)),
    }
}

/// A time with microseconds, as the API server writes `MicroTime`.
#[derive(Clone, Copy)]
pub(crate) struct Timestamped(pub(crate) Timestamp);

impl Serialize for Timestamped {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let millis = self.0.to_string();
        serializer.collect_str(&format_args!("{}000Z", millis.trim_end_matches('Z')))
    }
}

/// A time in whole seconds, as the API server writes `Time`.
#[derive(Clone, Copy)]
pub(crate) struct Seconds(pub(crate) Timestamp);

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&seconds(self.0))
    }
}

/// `2026-11-22T14:31:03Z`.
pub(crate) fn seconds(at: Timestamp) -> String {
    let millis = at.to_string();
    format!("{}Z", millis.split('.').next().unwrap_or(&millis))
}
