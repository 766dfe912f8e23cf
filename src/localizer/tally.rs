//! Counts of the pods inside each suspect.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::alert::Suspect;

use super::Exposed;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Counts {
    pub failing: u64,
    pub exposed: u64,
}

impl Counts {
    fn add(&mut self, pod: &Exposed) {
        self.exposed += pod.count;
        self.failing += if pod.failing { pod.count } else { 0 };
    }

    pub fn without(self, other: Counts) -> Counts {
        Counts { failing: self.failing - other.failing, exposed: self.exposed - other.exposed }
    }

    pub fn of<'p>(pods: impl IntoIterator<Item = &'p Exposed>) -> Counts {
        let mut counts = Counts::default();
        pods.into_iter().for_each(|pod| counts.add(pod));
        counts
    }
}

/// Counts of one suspect.
#[derive(Default)]
pub(super) struct Tally<'a> {
    pub exposed: u64,
    /// Those among them that are comparable.
    pub comparable: u64,
    pub failing: u64,
    /// Of every workload and node with failing pods, and perhaps others.
    pub workloads: BTreeMap<&'a Arc<str>, Counts>,
    pub nodes: BTreeMap<&'a Arc<str>, Counts>,
}

impl<'a> Tally<'a> {
    fn add(&mut self, pod: &'a Exposed) {
        self.exposed += pod.count;
        self.comparable += if pod.bystander { 0 } else { pod.count };
        self.failing += if pod.failing { pod.count } else { 0 };
        self.workloads.entry(&pod.workload).or_default().add(pod);
        if let Some(node) = &pod.node {
            self.nodes.entry(node).or_default().add(pod);
        }
    }

    pub fn counts(&self) -> Counts {
        Counts { failing: self.failing, exposed: self.exposed }
    }

    pub fn struck_workloads(&self) -> usize {
        struck(&self.workloads)
    }

    pub fn struck_nodes(&self) -> usize {
        struck(&self.nodes)
    }
}

fn struck(parts: &BTreeMap<&Arc<str>, Counts>) -> usize {
    parts.values().filter(|part| part.failing > 0).count()
}

/// Every suspect that holds one of the pods; the cluster always.
pub(super) fn tally<'p>(pods: impl IntoIterator<Item = &'p Exposed>) -> BTreeMap<Suspect, Tally<'p>> {
    let mut tallies: BTreeMap<Suspect, Tally<'p>> = BTreeMap::new();
    tallies.entry(Suspect::Cluster).or_default();
    for pod in pods {
        let suspects = [
            Some(Suspect::Cluster),
            Some(Suspect::Workload(Arc::clone(&pod.workload))),
            pod.node.clone().map(Suspect::Node),
            pod.pool.clone().map(Suspect::NodePool),
            pod.image.clone().map(Suspect::Image),
        ];
        for suspect in suspects.into_iter().flatten() {
            tallies.entry(suspect).or_default().add(pod);
        }
    }
    tallies
}
