//! The same lines in the shapes of several producers, with the fields that these write beside the line.

use faultline::decode::{Format, Input, decode};
use faultline::record::{Entry, Expect, LogEntry};
use serde_json::{Value, json};

/// A record of the given format for each of the lines, which Fluent Bit wrote. An OTLP record holds a hundred of them.
pub fn records(format: Format, fluent_bit: &[String]) -> Vec<String> {
    match format {
        Format::FluentBit => fluent_bit.to_vec(),
        Format::Vector => each(fluent_bit, |log| vector(log).to_string()),
        Format::Filebeat => each(fluent_bit, |log| filebeat(log).to_string()),
        Format::Cri => each(fluent_bit, |log| format!("{} stdout F {}", time(log), log.message)),
        Format::OtlpJson => {
            let records = each(fluent_bit, otlp_resource);
            records.chunks(100).map(|batch| json!({"resourceLogs": batch}).to_string()).collect()
        }
        Format::KubeEvent => each(fluent_bit, |log| event(log).to_string()),
        Format::Eventrouter => each(fluent_bit, |log| json!({"verb": "ADDED", "event": event(log)}).to_string()),
        other => panic!("no records of format {other}"),
    }
}

fn each<T>(fluent_bit: &[String], write: impl Fn(&LogEntry<'_>) -> T) -> Vec<T> {
    let rewrite = |value: &String| {
        let mut entries = Vec::new();
        let record = super::common::record(0, value);
        decode(&record, &Input::new(Format::FluentBit, Expect::Logs), &mut entries).expect("chatter is well-formed");
        match entries.as_slice() {
            [Entry::Log(log)] => write(log),
            _ => panic!("chatter has one line in a record"),
        }
    };
    fluent_bit.iter().map(rewrite).collect()
}

fn time(log: &LogEntry<'_>) -> String {
    log.time.unwrap_or_default().to_string().replace('Z', "456789Z")
}

fn pod<'l>(log: &'l LogEntry<'_>) -> &'l str {
    log.source.pod.as_deref().unwrap_or_default()
}

fn uid<'l>(log: &'l LogEntry<'_>) -> &'l str {
    log.source.pod_uid.as_deref().unwrap_or_default()
}

fn path(log: &LogEntry<'_>) -> String {
    format!("/var/log/pods/shop_{}_{}/service/0.log", pod(log), uid(log))
}

fn vector(log: &LogEntry<'_>) -> Value {
    let source = &log.source;
    json!({
        "file": path(log),
        "kubernetes": {
            "container_id": "containerd://3f4e8a0cb1d2", "container_image": source.image, "container_name": "service",
            "namespace_labels": {"kubernetes.io/metadata.name": "shop"}, "node_labels": {"kubernetes.io/os": "linux"},
            "pod_ip": "10.244.3.17", "pod_ips": ["10.244.3.17"], "pod_labels": {"app": "service", "tier": "web"},
            "pod_name": source.pod, "pod_namespace": source.namespace, "pod_node_name": source.node,
            "pod_owner": "ReplicaSet/service-7d9f8b6c5d", "pod_uid": source.pod_uid,
        },
        "message": log.message, "source_type": "kubernetes_logs", "stream": "stdout", "timestamp": time(log),
        "timestamp_end": time(log),
    })
}

fn filebeat(log: &LogEntry<'_>) -> Value {
    let source = &log.source;
    json!({
        "@timestamp": log.time.unwrap_or_default().to_string(),
        "@metadata": {"beat": "filebeat", "type": "_doc", "version": "8.15.0"},
        "agent": {"ephemeral_id": "7b1f", "id": "5a0c", "name": source.node, "type": "filebeat", "version": "8.15.0"},
        "container": {"id": "3f4e8a0cb1d2", "image": {"name": source.image}, "runtime": "containerd"},
        "ecs": {"version": "8.0.0"}, "host": {"name": source.node}, "input": {"type": "container"},
        "kubernetes": {
            "container": {"name": "service"}, "deployment": {"name": "service"}, "labels": {"app": "service"},
            "namespace": source.namespace, "node": {"name": source.node, "labels": {"kubernetes_io/os": "linux"}},
            "pod": {"ip": "10.244.3.17", "name": source.pod, "uid": source.pod_uid},
            "replicaset": {"name": "service-7d9f8b6c5d"},
        },
        "log": {"file": {"path": path(log)}, "offset": 1_234_567}, "message": log.message, "stream": "stdout",
    })
}

fn otlp_resource(log: &LogEntry<'_>) -> Value {
    let source = &log.source;
    let text = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let nanos = format!("{}456789", log.time.unwrap_or_default().as_millis());
    json!({
        "resource": {"attributes": [
            text("k8s.cluster.name", "prod"),
            text("k8s.namespace.name", source.namespace.as_deref().unwrap_or_default()),
            text("k8s.node.name", source.node.as_deref().unwrap_or_default()),
            text("k8s.pod.name", pod(log)),
            text("k8s.pod.uid", uid(log)),
            text("k8s.deployment.name", "service"),
            text("container.image.name", source.image.as_deref().unwrap_or_default()),
        ]},
        "scopeLogs": [{"scope": {}, "logRecords": [{
            "timeUnixNano": nanos, "observedTimeUnixNano": nanos, "body": {"stringValue": log.message},
            "attributes": [text("log.iostream", "stdout"), text("log.file.path", &path(log))], "traceId": "",
            "spanId": "",
        }]}],
    })
}

fn event(log: &LogEntry<'_>) -> Value {
    let time = log.time.unwrap_or_default().to_string();
    json!({
        "kind": "Event", "apiVersion": "v1",
        "metadata": {"name": format!("{}.17c6d1a2f0", pod(log)), "namespace": "shop", "uid": format!("e-{}", uid(log)),
            "resourceVersion": "81234", "creationTimestamp": time},
        "involvedObject": {"kind": "Pod", "namespace": "shop", "name": pod(log), "uid": uid(log), "apiVersion": "v1",
            "fieldPath": "spec.containers{service}"},
        "reason": "BackOff", "message": format!("Back-off restarting failed container service in pod {}", pod(log)),
        "source": {"component": "kubelet", "host": log.source.node}, "firstTimestamp": time, "lastTimestamp": time,
        "count": 7, "type": "Warning", "eventTime": null, "reportingComponent": "kubelet",
        "reportingInstance": log.source.node,
    })
}
