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

    fn remove(&mut self, pod: &Exposed) {
        self.exposed -= pod.count;
        self.failing -= if pod.failing { pod.count } else { 0 };
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
#[derive(Clone, Default)]
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

    fn remove(&mut self, pod: &Exposed) {
        self.exposed -= pod.count;
        self.comparable -= if pod.bystander { 0 } else { pod.count };
        self.failing -= if pod.failing { pod.count } else { 0 };
        let node = pod.node.as_ref().and_then(|node| self.nodes.get_mut(node));
        let parts = [self.workloads.get_mut(&pod.workload), node];
        parts.into_iter().flatten().for_each(|part| part.remove(pod));
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

pub(super) type Tallies<'p> = BTreeMap<Suspect, Tally<'p>>;

/// Every suspect that holds one of the pods; the cluster always.
pub(super) fn tally<'p>(pods: impl IntoIterator<Item = &'p Exposed>) -> Tallies<'p> {
    let mut tallies = Tallies::new();
    tallies.entry(Suspect::Cluster).or_default();
    for pod in pods {
        for suspect in suspects(pod) {
            tallies.entry(suspect).or_default().add(pod);
        }
    }
    tallies
}

/// Takes a pod that was counted out again. Suspects and parts may be left without any pod; those count as if they were
/// not there.
pub(super) fn take_out(tallies: &mut Tallies<'_>, pod: &Exposed) {
    for suspect in suspects(pod) {
        if let Some(tally) = tallies.get_mut(&suspect) {
            tally.remove(pod);
        }
    }
}

fn suspects(pod: &Exposed) -> impl Iterator<Item = Suspect> {
    let suspects = [
        Some(Suspect::Cluster),
        Some(Suspect::Workload(Arc::clone(&pod.workload))),
        pod.node.clone().map(Suspect::Node),
        pod.pool.clone().map(Suspect::NodePool),
        pod.image.clone().map(Suspect::Image),
    ];
    suspects.into_iter().flatten()
}
