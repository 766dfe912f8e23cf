//! The shapes of the records, fields in the order in which their producers write them.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use crate::time::Timestamp;

/// Fluent Bit's Kafka output, `format json`, behind the kubernetes filter.
#[derive(Serialize)]
pub(super) struct FluentBitRecord<'r> {
    #[serde(rename = "@timestamp")]
    pub(super) timestamp: f64,
    pub(super) stream: &'r str,
    #[serde(rename = "_p")]
    pub(super) partial: &'r str,
    pub(super) log: &'r str,
    pub(super) kubernetes: &'r Kubernetes,
}

#[derive(Serialize)]
pub(super) struct Kubernetes {
    pub(super) pod_name: String,
    pub(super) namespace_name: String,
    pub(super) pod_id: String,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) host: String,
    pub(super) pod_ip: String,
    pub(super) container_name: String,
    pub(super) docker_id: String,
    pub(super) container_hash: String,
    pub(super) container_image: String,
}

/// A core/v1 Event as Fluent Bit's `kubernetes_events` writes it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EventRecord<'r> {
    pub(super) kind: &'r str,
    pub(super) api_version: &'r str,
    pub(super) metadata: Metadata<'r>,
    pub(super) involved_object: InvolvedObject<'r>,
    pub(super) reason: &'r str,
    pub(super) message: &'r str,
    pub(super) source: Source<'r>,
    pub(super) first_timestamp: Option<Seconds>,
    pub(super) last_timestamp: Option<Seconds>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) count: Option<u32>,
    #[serde(rename = "type")]
    pub(super) event_type: &'r str,
    pub(super) event_time: Option<Timestamped>,
    pub(super) reporting_component: &'r str,
    pub(super) reporting_instance: &'r str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Metadata<'r> {
    pub(super) name: String,
    pub(super) namespace: &'r str,
    pub(super) uid: &'r str,
    pub(super) resource_version: String,
    pub(super) creation_timestamp: Seconds,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct InvolvedObject<'r> {
    pub(super) kind: &'r str,
    pub(super) namespace: &'r str,
    pub(super) name: &'r str,
    pub(super) uid: &'r str,
    pub(super) api_version: &'r str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) field_path: Option<String>,
}

#[derive(Serialize)]
pub(super) struct Source<'r> {
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) component: &'r str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) host: &'r str,
}

/// A time with microseconds, as the API server writes `MicroTime`.
#[derive(Clone, Copy)]
pub(super) struct Timestamped(pub(super) Timestamp);

impl Serialize for Timestamped {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let millis = self.0.to_string();
        serializer.collect_str(&format_args!("{}000Z", millis.trim_end_matches('Z')))
    }
}

/// A time in whole seconds, as the API server writes `Time`.
#[derive(Clone, Copy)]
pub(super) struct Seconds(pub(super) Timestamp);

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&seconds(self.0))
    }
}

/// `2026-11-22T14:31:03Z`.
pub(super) fn seconds(at: Timestamp) -> String {
    let millis = at.to_string();
    format!("{}Z", millis.split('.').next().unwrap_or(&millis))
}
