//! Who appears in the scenario: nodes and their pods, read from its records by faultline's own decoder.

use std::collections::{BTreeMap, BTreeSet};

use crate::decode::{self, Input};
use crate::names;
use crate::record::{Entry, Record};
use crate::scenario::Scenario;

pub(super) struct Cast {
    /// Node → pods, `namespace/name`.
    pub nodes: BTreeMap<String, BTreeSet<String>>,
    /// Pods that were stopped on the way.
    pub stopped: BTreeSet<String>,
}

impl Cast {
    pub fn of(scenario: &Scenario) -> Self {
        let mut cast = Cast { nodes: BTreeMap::new(), stopped: BTreeSet::new() };
        for written in &scenario.records {
            let record = Record { offset: 0, timestamp: Some(written.at), value: Some(written.value.as_bytes()) };
            let mut entries = Vec::new();
            if decode::decode(&record, &Input::default(), &mut entries).is_ok() {
                entries.iter().for_each(|entry| cast.enter(entry));
            }
        }
        cast
    }

    fn enter(&mut self, entry: &Entry<'_>) {
        match entry {
            Entry::Log(log) => {
                let source = &log.source;
                if let (Some(node), Some(namespace), Some(pod)) = (&source.node, &source.namespace, &source.pod) {
                    self.nodes.entry(node.to_string()).or_default().insert(format!("{namespace}/{pod}"));
                }
            }
            Entry::Event(event) if event.reason == "Killing" => {
                self.stopped.insert(format!("{}/{}", event.object.namespace, event.object.name));
            }
            Entry::Event(_) => {}
        }
    }

    pub fn pods(&self) -> usize {
        self.nodes.values().map(BTreeSet::len).sum()
    }

    /// The node's pool, as its name tells.
    pub fn pool(node: &str) -> String {
        names::node_pool(node).unwrap_or_default().to_owned()
    }
}
