//! What people and controllers do to a cluster.

use std::time::Duration;

use super::cluster::{Controller, NodeId, PodId, WorkloadId};
use super::story::Story;
use crate::time::Timestamp;

impl Story {
    /// A new tag of the workload's image.
    pub(super) fn next_image(&mut self, workload: WorkloadId) -> String {
        let image = &self.cluster.workloads[workload].image;
        let name = image.rsplit_once(':').map_or(image.as_str(), |(name, _)| name);
        format!("{name}:2.{}.{}", self.rng.below(41), self.rng.below(10))
    }

    /// A rollout with a new image that goes well: for each new pod that runs an old one goes.
    pub(super) fn roll_out(&mut self, workload: WorkloadId, at: Timestamp) -> Vec<PodId> {
        let image = self.next_image(workload);
        let step = self.rng.millis(1_000, 12_000);
        self.replace_pods(workload, Some(image), at, step, None)
    }

    /// One new pod after another takes the place of an old one, on the nodes given in turn or on any.
    pub(super) fn replace_pods(
        &mut self,
        workload: WorkloadId,
        image: Option<String>,
        at: Timestamp,
        step: Duration,
        places: Option<&[NodeId]>,
    ) -> Vec<PodId> {
        let old = self.cluster.current_pods(workload);
        let old_revision = self.cluster.workloads[workload].revision.clone();
        let new = self.new_pods(workload, image, old.len(), at, step, places);
        for (left, (&new, &old)) in (0..new.len()).rev().zip(new.iter().zip(&old)) {
            let started = self.cluster.pods[new].life.from.unwrap_or(at);
            let gone = match self.cluster.workloads[workload].controller {
                // The old pod of a name goes before the new one comes.
                Controller::StatefulSet => started.saturating_sub(Duration::from_millis(900)),
                _ => started.saturating_add(self.rng.millis(2_000, 10_000)),
            };
            self.retire(old, &old_revision, gone, left);
        }
        new
    }

    /// The pod goes, and of its revision `left` stay.
    pub(super) fn retire(&mut self, pod: PodId, revision: &str, at: Timestamp, left: usize) {
        self.cluster.end_pod(pod, at);
        let id = self.cluster.pods[pod].workload;
        let workload = &self.cluster.workloads[id];
        if workload.controller != Controller::Deployment {
            return;
        }
        let (namespace, owner) = (workload.namespace.clone(), workload.owner(revision));
        self.say_scaled(id, at, &format!("down replica set {owner}"), left);
        let message = format!("Deleted pod: {}", self.cluster.pods[pod].identity.pod_name);
        let object = ("ReplicaSet", namespace.as_str(), owner.as_str());
        self.control(at, "replicaset-controller", object, "SuccessfulDelete", &message);
    }

    /// `what` is `up replica set NAME` or `down …`.
    fn say_scaled(&mut self, workload: WorkloadId, at: Timestamp, what: &str, count: usize) {
        let workload = &self.cluster.workloads[workload];
        let (namespace, name) = (workload.namespace.clone(), workload.name.clone());
        let object = ("Deployment", namespace.as_str(), name.as_str());
        self.control(at, "deployment-controller", object, "ScalingReplicaSet", &format!("Scaled {what} to {count}"));
    }

    /// New pods of a new revision, one each `step`.
    pub(super) fn new_pods(
        &mut self,
        workload: WorkloadId,
        image: Option<String>,
        count: usize,
        at: Timestamp,
        step: Duration,
        places: Option<&[NodeId]>,
    ) -> Vec<PodId> {
        self.cluster.new_revision(&mut self.rng, workload, image);
        let of = &self.cluster.workloads[workload];
        if of.controller == Controller::Deployment {
            let what = format!("up replica set {}", of.owner(&of.revision));
            self.say_scaled(workload, at, &what, count);
        }
        let mut open = self.cluster.open_nodes(self.cluster.workloads[workload].os);
        self.rng.shuffle(&mut open);
        let nodes = places.map_or(open, <[NodeId]>::to_vec);
        let mut pods = Vec::new();
        for turn in 0..count {
            let Some(&node) = nodes.get(turn % nodes.len().max(1)) else { break };
            let pod = self.cluster.add_pod(&mut self.rng, workload, node);
            let turn = u32::try_from(turn).unwrap_or(u32::MAX);
            let from = at.saturating_add(Duration::from_secs(1)).saturating_add(step.saturating_mul(turn));
            self.cluster.pods[pod].life.from = Some(from);
            pods.push(pod);
        }
        pods
    }
}
