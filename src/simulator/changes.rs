//! What people and controllers do to a cluster.

use std::time::Duration;

use super::Span;
use super::cluster::{Controller, NodeId, PodId, WorkloadId};
use super::journal::Reporter;
use super::life::Trouble;
use super::story::Story;
use super::symptom::Symptom;
use crate::time::Timestamp;

const NODE_CONTROLLER: Reporter = Reporter::Controller("node-controller");
/// The node controller's grace period.
pub(super) const NOT_READY_AFTER: Duration = Duration::from_secs(40);

impl Story {
    /// A new tag of the workload's image.
    pub(super) fn next_image(&mut self, workload: WorkloadId) -> String {
        let image = &self.cluster.workloads[workload].image;
        let name = image.rsplit_once(':').map_or(image.as_str(), |(name, _)| name);
        format!("{name}:2.{}.{}", self.rng.below(41), self.rng.below(10))
    }

    /// A rollout with a new image that goes well: for each new pod that runs an old one goes.
    pub(super) fn roll_out(&mut self, workload: WorkloadId, at: Timestamp) {
        let image = self.next_image(workload);
        let step = self.rng.millis(1_000, 12_000);
        let places = self.places(workload);
        self.replace_pods(workload, Some(image), at, step, &places, None);
    }

    /// One pod of a new revision after another takes the place of an old one, on `places` in turn. On the node of
    /// `trap` they fail, and the old ones stay. Returns those that fail.
    pub(super) fn replace_pods(
        &mut self,
        workload: WorkloadId,
        image: Option<String>,
        at: Timestamp,
        step: Duration,
        places: &[NodeId],
        trap: Option<(NodeId, &'static Symptom)>,
    ) -> Vec<PodId> {
        let old = self.cluster.current_pods(workload);
        let old_revision = self.cluster.workloads[workload].revision.clone();
        self.cluster.new_revision(&mut self.rng, workload, image);
        let new = self.new_pods(workload, old.len(), at, step, places);
        let mut failing = Vec::new();
        for (left, (&new, &old)) in (0..new.len()).rev().zip(new.iter().zip(&old)) {
            if let Some((_, symptom)) = trap.filter(|(node, _)| *node == self.cluster.pods[new].node) {
                self.fail_from_start(&[new], symptom);
                failing.push(new);
                continue;
            }
            let started = self.cluster.pods[new].life.from.unwrap_or(at);
            let gone = match self.cluster.workloads[workload].controller {
                // The old pod of a name goes before the new one comes.
                Controller::StatefulSet => started.saturating_sub(Duration::from_millis(900)),
                _ => started.saturating_add(self.rng.millis(2_000, 10_000)),
            };
            self.retire(old, &old_revision, gone, left);
        }
        failing
    }

    /// All pods of the workload go, and as many new ones come, which fail.
    pub(super) fn recreate(
        &mut self,
        workload: WorkloadId,
        image: Option<String>,
        at: Timestamp,
        symptom: &'static Symptom,
    ) -> Vec<PodId> {
        let old = self.cluster.current_pods(workload);
        let old_revision = self.cluster.workloads[workload].revision.clone();
        for (left, &pod) in (0..old.len()).rev().zip(&old) {
            self.retire(pod, &old_revision, at, left);
        }
        self.cluster.new_revision(&mut self.rng, workload, image);
        let step = self.rng.millis(500, 6_000);
        let places = self.places(workload);
        let new = self.new_pods(workload, old.len(), at.saturating_add(Duration::from_secs(1)), step, &places);
        self.fail_from_start(&new, symptom);
        new
    }

    /// Where the scheduler may put the workload's pods, in a new order.
    pub(super) fn places(&mut self, workload: WorkloadId) -> Vec<NodeId> {
        let mut open = self.cluster.open_nodes(self.cluster.workloads[workload].os);
        self.rng.shuffle(&mut open);
        open
    }

    /// Pods of the workload's revision, one each `step`; none where there is no place.
    pub(super) fn new_pods(
        &mut self,
        workload: WorkloadId,
        count: usize,
        at: Timestamp,
        step: Duration,
        places: &[NodeId],
    ) -> Vec<PodId> {
        let of = &self.cluster.workloads[workload];
        let what = format!("up replica set {}", of.owner(&of.revision));
        self.say_scaled(workload, at, &what, count);
        let mut from = at;
        let mut pods = Vec::new();
        for &node in places.iter().cycle().take(count) {
            let pod = self.cluster.add_pod(&mut self.rng, workload, node);
            from = from.saturating_add(step);
            self.cluster.pods[pod].life.from = Some(from);
            pods.push(pod);
        }
        pods
    }

    /// New pods that never run.
    pub(super) fn fail_from_start(&mut self, pods: &[PodId], symptom: &'static Symptom) {
        for &pod in pods {
            let from = self.span.from;
            self.cluster.pods[pod].life.trouble = Some(Trouble { symptom, from, cure: None, is_old: false });
        }
    }

    /// The pod goes, and of its revision `left` stay.
    pub(super) fn retire(&mut self, pod: PodId, revision: &str, at: Timestamp, left: usize) {
        self.cluster.pods[pod].life.until = Some(at);
        let id = self.cluster.pods[pod].workload;
        let workload = &self.cluster.workloads[id];
        let (namespace, owner) = (workload.namespace.clone(), workload.owner(revision));
        let (kind, component) = workload.controller.owner();
        self.say_scaled(id, at, &format!("down replica set {owner}"), left);
        let message = format!("Deleted pod: {}", self.cluster.pods[pod].identity.pod_name);
        self.control(at, component, (kind, &namespace, &owner), "SuccessfulDelete", &message);
    }

    /// `what` is `up replica set NAME` or `down …`; only Deployments have such sets.
    fn say_scaled(&mut self, workload: WorkloadId, at: Timestamp, what: &str, count: usize) {
        let workload = &self.cluster.workloads[workload];
        if workload.controller != Controller::Deployment {
            return;
        }
        let (namespace, name) = (workload.namespace.clone(), workload.name.clone());
        let object = ("Deployment", namespace.as_str(), name.as_str());
        self.control(at, "deployment-controller", object, "ScalingReplicaSet", &format!("Scaled {what} to {count}"));
    }

    /// Only `left` pods of the workload stay.
    pub(super) fn scale_down(&mut self, workload: WorkloadId, at: Timestamp, left: usize) {
        let revision = self.cluster.workloads[workload].revision.clone();
        for pod in self.cluster.current_pods(workload).into_iter().skip(left) {
            let gone = at.saturating_add(self.rng.millis(0, 5_000));
            self.retire(pod, &revision, gone, left);
        }
    }

    /// The pod ends, and one like it starts on another node, if there is a place.
    pub(super) fn move_pod(&mut self, pod: PodId, at: Timestamp) {
        self.cluster.pods[pod].life.until = Some(at);
        let places = self.cluster.open_nodes(Some(self.cluster.nodes[self.cluster.pods[pod].node].os));
        if let Some(node) = self.rng.choose(&places) {
            let new = self.cluster.add_replacement(&mut self.rng, pod, node);
            self.cluster.pods[new].life.from = Some(at.saturating_add(Duration::from_secs(1)));
        }
    }

    pub(super) fn is_of_daemon_set(&self, pod: PodId) -> bool {
        self.cluster.workload_of(pod).controller == Controller::DaemonSet
    }

    /// The node takes no pods any more, and says so.
    pub(super) fn cordon(&mut self, node: NodeId, at: Timestamp) {
        self.cluster.nodes[node].takes_pods = false;
        let message = format!("Node {} status is now: NodeNotSchedulable", self.cluster.nodes[node].name);
        self.node_event(at, Reporter::Kubelet(node), node, "NodeNotSchedulable", &message);
    }

    /// The cloud takes the machine away; the pods of DaemonSets end with it.
    pub(super) fn remove_node(&mut self, node: NodeId, at: Timestamp) {
        for pod in self.cluster.residents_on(node) {
            self.cluster.pods[pod].life.until = Some(at);
        }
        let name = self.cluster.nodes[node].name.clone();
        let message = format!("Node {name} event: Removing Node {name} from Controller");
        self.node_event(at, NODE_CONTROLLER, node, "RemovingNode", &message);
    }

    pub(super) fn not_ready(&mut self, node: NodeId, at: Timestamp) {
        let message = format!("Node {} status is now: NodeNotReady", self.cluster.nodes[node].name);
        self.node_event(at, NODE_CONTROLLER, node, "NodeNotReady", &message);
    }

    /// The machine is away until `back`, then kubelet starts and tells.
    pub(super) fn reboot(&mut self, node: NodeId, down: Timestamp, back: Timestamp) {
        self.journal.mute(node, Span { from: down, to: back });
        if back.since(down) > NOT_READY_AFTER {
            self.not_ready(node, down.saturating_add(NOT_READY_AFTER));
        }
        let kubelet = Reporter::Kubelet(node);
        let name = self.cluster.nodes[node].name.clone();
        self.node_event(back, kubelet, node, "Starting", "Starting kubelet.");
        let boot = self.rng.uuid();
        let after = back.saturating_add(Duration::from_millis(600));
        let message = format!("Node {name} has been rebooted, boot id: {boot}");
        self.node_event(after, kubelet, node, "Rebooted", &message);
        let after = back.saturating_add(Duration::from_millis(900));
        self.node_event(after, kubelet, node, "NodeReady", &format!("Node {name} status is now: NodeReady"));
    }

    /// Pods start elsewhere, the last ones end, and the node goes.
    pub(super) fn drain(&mut self, node: NodeId, at: Timestamp) {
        self.cordon(node, at);
        let mut evicted = at.saturating_add(self.rng.millis(2_000, 10_000));
        for pod in self.cluster.residents_on(node) {
            if !self.is_of_daemon_set(pod) {
                self.move_pod(pod, evicted);
                evicted = evicted.saturating_add(self.rng.millis(500, 4_000));
            }
        }
        let off = evicted.saturating_add(self.rng.millis(30_000, 90_000));
        self.remove_node(node, off);
        if self.rng.chance(50) {
            // The control plane may notice that the machine is away before it hears that it is gone for good.
            self.not_ready(node, off.saturating_sub(Duration::from_secs(10)));
        }
    }
}
