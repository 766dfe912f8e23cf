//! The `kubernetes` object that every shipper adds to a log record, in the dialects of Fluent Bit, Fluentd, Vector,
//! ViaQ and the Elastic Common Schema. Their keys do not contradict each other, so one reader serves them all.

use std::borrow::Cow;

use serde_json_borrow::Value;

use super::json::{Object, text};
use crate::names::is_pool_label;
use crate::record::{Owner, Source};

/// Reads who wrote a line, and the cluster where the record names it.
pub(super) fn source<'a>(kubernetes: Object<'a>) -> (Source<'a>, Option<Cow<'a, str>>) {
    let mut source = Source::default();
    let mut cluster = None;
    let mut orphaned_namespace = None;
    for (key, value) in kubernetes.into_pairs() {
        match key.as_ref() {
            "host" | "pod_node_name" => fill(&mut source.node, text(value)),
            "node" => ecs_node(value, &mut source),
            "node_labels" => fill(&mut source.node_pool, pool_label(value)),
            "namespace_name" | "pod_namespace" | "namespace" => fill(&mut source.namespace, text(value)),
            "orphaned_namespace" => orphaned_namespace = text(value),
            "pod_name" => fill(&mut source.pod, text(value)),
            "pod_id" | "pod_uid" => fill(&mut source.pod_uid, text(value)),
            "container_name" => fill(&mut source.container, text(value)),
            "container_image" => fill(&mut source.image, text(value)),
            "pod" => ecs_pod(value, &mut source),
            "container" => ecs_container(value, &mut source),
            "cluster_name" => fill(&mut cluster, text(value)),
            "pod_owner" => fill(&mut source.owner, slashed_owner(value)),
            "ownerReferences" | "ownerrefs" => fill(&mut source.owner, owner_reference(value)),
            _ => {
                if let Some(kind) = ecs_owner_kind(&key)
                    && let Some(name) = inner_text(value, "name")
                {
                    prefer_top_owner(&mut source.owner, kind, name);
                }
            }
        }
    }
    // Fluentd's word for a namespace that was deleted before its lines were read.
    if source.namespace.as_deref() == Some(".orphaned") {
        source.namespace = orphaned_namespace;
    }
    (source, cluster)
}

/// Sets what is not set yet, so that of duplicate keys the first counts.
pub(super) fn fill<T>(field: &mut Option<T>, value: Option<T>) {
    if field.is_none() {
        *field = value;
    }
}

fn inner_text<'a>(value: Value<'a>, key: &str) -> Option<Cow<'a, str>> {
    Object::from_value(value).and_then(|mut object| object.take_text(key))
}

fn ecs_node<'a>(value: Value<'a>, source: &mut Source<'a>) {
    if let Some(mut node) = Object::from_value(value) {
        fill(&mut source.node, node.take_text("name"));
        fill(&mut source.node_pool, node.take("labels").and_then(pool_label));
    }
}

/// The pool among a node's labels.
fn pool_label(labels: Value<'_>) -> Option<Cow<'_, str>> {
    let pairs = Object::from_value(labels)?.into_pairs();
    pairs.into_iter().find(|(key, _)| is_pool_label(key)).and_then(|(_, value)| text(value))
}

fn ecs_pod<'a>(value: Value<'a>, source: &mut Source<'a>) {
    if let Some(mut pod) = Object::from_value(value) {
        fill(&mut source.pod, pod.take_text("name"));
        fill(&mut source.pod_uid, pod.take_text("uid"));
    }
}

fn ecs_container<'a>(value: Value<'a>, source: &mut Source<'a>) {
    if let Some(mut container) = Object::from_value(value) {
        fill(&mut source.container, container.take_text("name"));
        fill(&mut source.image, container.take_text("image"));
    }
}

/// `ReplicaSet/cd-7d9f8b6c5d`.
fn slashed_owner(value: Value<'_>) -> Option<Owner<'_>> {
    let (kind, name) = match value {
        Value::Str(Cow::Borrowed(text)) => {
            let (kind, name) = text.split_once('/')?;
            (Cow::Borrowed(kind), Cow::Borrowed(name))
        }
        Value::Str(Cow::Owned(text)) => {
            let (kind, name) = text.split_once('/')?;
            (Cow::Owned(kind.to_owned()), Cow::Owned(name.to_owned()))
        }
        _ => return None,
    };
    (!kind.is_empty() && !name.is_empty()).then_some(Owner { kind, name })
}

/// Of Kubernetes' `ownerReferences` the controlling one, else the first.
pub(super) fn owner_reference(value: Value<'_>) -> Option<Owner<'_>> {
    let Value::Array(references) = value else { return None };
    let mut found = None;
    for mut reference in references.into_iter().filter_map(Object::from_value) {
        let controls = reference.get("controller").and_then(Value::as_bool).unwrap_or(false);
        if let (Some(kind), Some(name)) = (reference.take_text("kind"), reference.take_text("name")) {
            let owner = Owner { kind, name };
            if controls {
                return Some(owner);
            }
            fill(&mut found, Some(owner));
        }
    }
    found
}

/// The owner kinds that ECS and OpenTelemetry's conventions name, `kubernetes.replicaset.name` and so on.
pub(super) fn ecs_owner_kind(key: &str) -> Option<&'static str> {
    Some(match key {
        "deployment" => "Deployment",
        "cronjob" => "CronJob",
        "statefulset" => "StatefulSet",
        "daemonset" => "DaemonSet",
        "replicaset" => "ReplicaSet",
        "job" => "Job",
        _ => return None,
    })
}

/// Where a record names both a ReplicaSet and its Deployment, or a Job and its CronJob, the upper one is the workload.
pub(super) fn prefer_top_owner<'a>(owner: &mut Option<Owner<'a>>, kind: &'static str, name: Cow<'a, str>) {
    let is_top = matches!(kind, "Deployment" | "CronJob");
    if owner.is_none() || is_top {
        *owner = Some(Owner { kind: Cow::Borrowed(kind), name });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Source<'_>, Option<Cow<'_, str>>) {
        source(Object::from_value(serde_json::from_str(text).unwrap()).unwrap())
    }

    #[test]
    fn reads_every_dialect() {
        let dialects = [
            r#"{"host":"n1","node_labels":{"agentpool":"np1"},"namespace_name":"shop","pod_name":"cd-0","pod_id":"u1","container_name":"cd",
                "container_image":"img:1","ownerReferences":[{"kind":"X","name":"x"},
                {"kind":"StatefulSet","name":"cd","controller":true}]}"#,
            r#"{"pod_node_name":"n1","pod_namespace":"shop","pod_name":"cd-0","pod_uid":"u1","container_name":"cd",
                "container_image":"img:1","pod_owner":"StatefulSet/cd",
                "node_labels":{"kubernetes.io/os":"linux","kubernetes.azure.com/agentpool":"np1"}}"#,
            r#"{"node":{"name":"n1","labels":{"kubernetes_azure_com/agentpool":"np1"}},"namespace":"shop","pod":{"name":"cd-0","uid":"u1"},
                "container":{"name":"cd","image":"img:1"},"statefulset":{"name":"cd"}}"#,
        ];
        let expected = Source {
            node: Some("n1".into()),
            namespace: Some("shop".into()),
            pod: Some("cd-0".into()),
            pod_uid: Some("u1".into()),
            container: Some("cd".into()),
            image: Some("img:1".into()),
            node_pool: Some("np1".into()),
            owner: Some(Owner { kind: "StatefulSet".into(), name: "cd".into() }),
        };
        for text in dialects {
            assert_eq!(read(text), (expected.clone(), None), "{text}");
        }
    }

    #[test]
    fn takes_the_upper_of_two_owners() {
        for text in [
            r#"{"replicaset":{"name":"cd-7d9f8b6c5d"},"deployment":{"name":"cd"}}"#,
            r#"{"deployment":{"name":"cd"},"replicaset":{"name":"cd-7d9f8b6c5d"}}"#,
        ] {
            let owner = read(text).0.owner.unwrap();
            assert_eq!((owner.kind.as_ref(), owner.name.as_ref()), ("Deployment", "cd"), "{text}");
        }
    }

    #[test]
    fn finds_the_namespace_of_an_orphan_and_the_cluster() {
        let (source, cluster) =
            read(r#"{"namespace_name":".orphaned","orphaned_namespace":"shop","cluster_name":"prod"}"#);
        assert_eq!(source.namespace.as_deref(), Some("shop"));
        assert_eq!(cluster.as_deref(), Some("prod"));
    }

    #[test]
    fn wrong_types_are_absent() {
        let (source, cluster) = read(
            r#"{"host":7,"namespace":{},"pod":"x","container":[],"pod_owner":"nokind","ownerReferences":[1,{}],
                "node":null,"cluster_name":""}"#,
        );
        assert_eq!((source, cluster), (Source::default(), None));
    }
}
