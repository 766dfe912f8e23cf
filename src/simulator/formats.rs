//! The record shapes that the demo has no need of: Vector's, and eventrouter's envelope.

use std::collections::BTreeMap;

use serde::Serialize;

use super::cluster::{Controller, Node, Pod, Workload};
use crate::scenario::wire::{EventRecord, FluentBitRecord, Kubernetes};
use crate::time::Timestamp;

/// How a cluster's log shipper writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum LogFormat {
    FluentBit,
    /// Without a parser: the runtime's line as it is, time, stream and tag before the message.
    FluentBitUnparsed,
    /// Whether it adds the node's labels.
    Vector {
        node_labels: bool,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum EventFormat {
    /// The Event itself.
    Core,
    Eventrouter,
}

#[derive(Serialize)]
struct VectorRecord<'r> {
    file: String,
    kubernetes: VectorKubernetes<'r>,
    message: &'r str,
    source_type: &'static str,
    stream: &'static str,
    timestamp: String,
}

#[derive(Serialize)]
struct VectorKubernetes<'r> {
    container_id: String,
    container_image: &'r str,
    container_name: &'r str,
    #[serde(skip_serializing_if = "Option::is_none")]
    node_labels: Option<BTreeMap<&'static str, &'r str>>,
    pod_labels: &'r BTreeMap<String, String>,
    pod_name: &'r str,
    pod_namespace: &'r str,
    pod_node_name: &'r str,
    pod_owner: String,
    pod_uid: &'r str,
}

#[derive(Serialize)]
struct Eventrouter<'r> {
    verb: &'static str,
    event: &'r EventRecord<'r>,
    #[serde(skip_serializing_if = "Option::is_none")]
    old_event: Option<EventRecord<'r>>,
}

/// One line of a container; `None` cannot happen: string keys, finite numbers, no I/O.
pub(super) fn log_record(
    format: LogFormat,
    (pod, workload, node): (&Pod, &Workload, &Node),
    at: Timestamp,
    line: &str,
    is_error: bool,
) -> Option<String> {
    let line = line.trim_end();
    let stream = if is_error { "stderr" } else { "stdout" };
    let end = if node.os == super::cluster::Os::Windows { "\r\n" } else { "\n" };
    match format {
        LogFormat::FluentBit => {
            let text = format!("{line}{end}");
            serde_json::to_string(&FluentBitRecord::new(at, &text, is_error, &pod.identity)).ok()
        }
        LogFormat::FluentBitUnparsed => {
            let text = format!("{} {stream} F {line}{}", nanos(at), end.trim_end_matches('\n'));
            serde_json::to_string(&FluentBitRecord::new(at, &text, is_error, &pod.identity)).ok()
        }
        LogFormat::Vector { node_labels } => {
            let Kubernetes { pod_name, namespace_name, pod_id, labels, host, container_name, .. } = &pod.identity;
            let record = VectorRecord {
                file: format!("/var/log/pods/{namespace_name}_{pod_name}_{pod_id}/{container_name}/0.log"),
                kubernetes: VectorKubernetes {
                    container_id: format!("containerd://{}", pod.identity.docker_id),
                    container_image: &pod.identity.container_image,
                    container_name,
                    node_labels: node_labels.then(|| labels_of(node)),
                    pod_labels: labels,
                    pod_name,
                    pod_namespace: namespace_name,
                    pod_node_name: host,
                    pod_owner: owner(workload, &pod.revision),
                    pod_uid: pod_id,
                },
                message: line,
                source_type: "kubernetes_logs",
                stream,
                timestamp: nanos(at),
            };
            serde_json::to_string(&record).ok()
        }
    }
}

fn labels_of(node: &Node) -> BTreeMap<&'static str, &str> {
    let mut labels =
        BTreeMap::from([("kubernetes.io/hostname", node.name.as_str()), ("kubernetes.io/os", node.os.name())]);
    let label =
        if node.name.starts_with("gke-") { "cloud.google.com/gke-nodepool" } else { "kubernetes.azure.com/agentpool" };
    if let Some(pool) = &node.pool {
        labels.insert(label, pool);
    }
    labels
}

fn owner(workload: &Workload, revision: &str) -> String {
    let (kind, _) = workload.controller.owner();
    let revision = if workload.controller == Controller::Deployment { revision } else { "" };
    format!("{kind}/{}", workload.owner(revision))
}

/// With the nanoseconds that runtimes write.
fn nanos(at: Timestamp) -> String {
    let millis = at.to_string();
    format!("{}218304Z", millis.trim_end_matches('Z'))
}

/// An event as the exporter hands it on; `None` cannot happen, see [`log_record`].
pub(super) fn event_record(format: EventFormat, event: EventRecord<'_>) -> Option<String> {
    match format {
        EventFormat::Core => serde_json::to_string(&event).ok(),
        EventFormat::Eventrouter => {
            let event = EventRecord { kind: "", api_version: "", ..event };
            let before = event.count.filter(|&count| count > 1);
            let old_event = before.map(|count| EventRecord { count: Some(count - 1), ..event.clone() });
            let verb = if old_event.is_some() { "UPDATED" } else { "ADDED" };
            serde_json::to_string(&Eventrouter { verb, event: &event, old_event }).ok()
        }
    }
}
