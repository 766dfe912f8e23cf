//! What an alert can be matched by.

use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::alert::{Alert, Suspect};

/// A label of an alert. Some have several values: an incident may strike pods of many namespaces.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Label {
    Cluster,
    /// What kind of thing is accused.
    Scope,
    Severity,
    Verdict,
    /// Of the suspect and of the failing pods.
    Namespace,
    /// `namespace/name`, of the suspect and of the failing pods.
    Workload,
    /// `namespace/name`, of the suspect and of the failing pods.
    Pod,
    /// Of the suspect and of the failing pods.
    Node,
    /// Of the suspect only.
    Image,
    /// Of the suspect only.
    NodePool,
    /// The most telling signature.
    Rule,
}

impl Label {
    pub const ALL: [(&str, Label); 11] = [
        ("cluster", Label::Cluster),
        ("scope", Label::Scope),
        ("severity", Label::Severity),
        ("verdict", Label::Verdict),
        ("namespace", Label::Namespace),
        ("workload", Label::Workload),
        ("pod", Label::Pod),
        ("node", Label::Node),
        ("image", Label::Image),
        ("node_pool", Label::NodePool),
        ("rule", Label::Rule),
    ];

    pub fn name(self) -> &'static str {
        // Every label is in the table.
        Label::ALL.iter().find(|(_, label)| *label == self).map_or("", |(name, _)| name)
    }
}

/// The values of one label.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Values<'a> {
    /// Without any: the one empty value, as in Prometheus.
    pub known: BTreeSet<Cow<'a, str>>,
    /// There are more than the alert names.
    pub and_more: bool,
}

impl<'a> Values<'a> {
    /// Those of `alert`.
    pub fn of(alert: &'a Alert, label: Label) -> Self {
        let mut values = Values::default();
        let is_of_pods = matches!(label, Label::Namespace | Label::Workload | Label::Pod | Label::Node);
        match label {
            Label::Cluster => values.add(&alert.cluster),
            Label::Scope => values.add(alert.scope.as_str()),
            Label::Severity => values.add(alert.severity.as_str()),
            Label::Verdict => values.add(alert.verdict.as_str()),
            Label::Rule => alert.signals.first().into_iter().for_each(|signal| values.add(&signal.signature)),
            _ => values.add(of_suspect(&alert.suspect, label)),
        }
        if is_of_pods {
            alert.failing.iter().for_each(|pod| match label {
                Label::Namespace => values.add(&pod.namespace),
                Label::Workload => values.add(&pod.workload),
                Label::Node => values.add(pod.node.as_deref().unwrap_or_default()),
                _ => _ = values.known.insert(format!("{}/{}", pod.namespace, pod.pod).into()),
            });
            let are_hidden = alert.failing.len() < alert.evidence.failing_pods as usize;
            values.and_more = are_hidden && !settles(&alert.suspect, label);
        }
        if values.known.is_empty() {
            values.known.insert("".into());
        }
        values
    }

    fn add(&mut self, value: &'a str) {
        if !value.is_empty() {
            self.known.insert(value.into());
        }
    }
}

/// Whether pods that are not named cannot have another value than the suspect.
fn settles(suspect: &Suspect, label: Label) -> bool {
    match suspect {
        Suspect::Pod(_) => true,
        Suspect::Workload(_) => matches!(label, Label::Workload | Label::Namespace),
        Suspect::Node(_) => label == Label::Node,
        Suspect::Image(_) | Suspect::NodePool(_) | Suspect::Cluster => false,
    }
}

fn of_suspect(suspect: &Suspect, label: Label) -> &str {
    match (suspect, label) {
        (Suspect::Node(name), Label::Node)
        | (Suspect::Workload(name), Label::Workload)
        | (Suspect::Pod(name), Label::Pod)
        | (Suspect::Image(name), Label::Image)
        | (Suspect::NodePool(name), Label::NodePool) => name,
        (Suspect::Workload(name) | Suspect::Pod(name), Label::Namespace) => {
            name.split_once('/').map_or("", |(namespace, _)| namespace)
        }
        _ => "",
    }
}
