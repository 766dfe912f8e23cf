//! Nodes, workloads and pods, and what is planned for each pod.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::life::Life;
use crate::scenario::lines::Voice;
use crate::scenario::rng::{HASH_LETTERS, Rng, SUFFIX_LETTERS};
use crate::scenario::wire::Kubernetes;

/// Index into [`Cluster::nodes`].
pub(super) type NodeId = usize;
/// Index into [`Cluster::workloads`].
pub(super) type WorkloadId = usize;
/// Index into [`Cluster::pods`].
pub(super) type PodId = usize;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Os {
    Linux,
    Windows,
}

impl Os {
    /// The value of the label `kubernetes.io/os`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Os::Linux => "linux",
            Os::Windows => "windows",
        }
    }
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) name: String,
    /// Where the node's name tells it.
    pub(super) pool: Option<String>,
    pub(super) os: Os,
    /// Whether the scheduler may place pods there that do not fail at once.
    pub(super) takes_pods: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Controller {
    Deployment,
    StatefulSet,
    DaemonSet,
    Job,
}

impl Controller {
    /// The kind of the object that owns the pods, and the component that makes them.
    pub(super) fn owner(self) -> (&'static str, &'static str) {
        match self {
            Controller::Deployment => ("ReplicaSet", "replicaset-controller"),
            Controller::StatefulSet => ("StatefulSet", "statefulset-controller"),
            Controller::DaemonSet => ("DaemonSet", "daemonset-controller"),
            Controller::Job => ("Job", "job-controller"),
        }
    }
}

#[derive(Debug)]
pub(super) struct Workload {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) controller: Controller,
    /// DaemonSets run on both.
    pub(super) os: Option<Os>,
    /// With its tag.
    pub(super) image: String,
    /// What stands between the workload's name and the pod's own part, without dashes; may be empty.
    pub(super) revision: String,
    pub(super) voice: Voice,
    /// Mean time between two lines of a pod.
    pub(super) pace: Duration,
    next_ordinal: u64,
}

impl Workload {
    pub(super) fn key(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// The name of what owns pods of `revision`.
    pub(super) fn owner(&self, revision: &str) -> String {
        if revision.is_empty() { self.name.clone() } else { format!("{}-{revision}", self.name) }
    }
}

pub(super) struct Pod {
    pub(super) identity: Kubernetes,
    pub(super) workload: WorkloadId,
    pub(super) revision: String,
    pub(super) node: NodeId,
    pub(super) life: Life,
}

impl Pod {
    /// `namespace/name`.
    pub(super) fn key(&self) -> String {
        format!("{}/{}", self.identity.namespace_name, self.identity.pod_name)
    }
}

#[derive(Default)]
pub(super) struct Cluster {
    pub(super) nodes: Vec<Node>,
    pub(super) workloads: Vec<Workload>,
    pub(super) pods: Vec<Pod>,
}

/// What a new workload is to be.
pub(super) struct Design {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) controller: Controller,
    pub(super) os: Option<Os>,
    pub(super) image: String,
    pub(super) voice: Voice,
    pub(super) pace: Duration,
}

impl Design {
    /// A Deployment like many.
    pub(super) fn plain(name: String, os: Os) -> Self {
        Design {
            namespace: "shop".to_owned(),
            image: format!("registry.example.com/shop/{name}:1.0.3"),
            name,
            controller: Controller::Deployment,
            os: Some(os),
            voice: Voice::Json,
            pace: Duration::from_secs(10),
        }
    }
}

impl Cluster {
    pub(super) fn add_workload(&mut self, rng: &mut Rng, design: Design) -> WorkloadId {
        let Design { namespace, name, controller, os, image, voice, pace } = design;
        let revision = if controller == Controller::Deployment { template_hash(rng) } else { String::new() };
        self.workloads.push(Workload {
            namespace,
            name,
            controller,
            os,
            image,
            revision,
            voice,
            pace,
            next_ordinal: 0,
        });
        self.workloads.len() - 1
    }

    /// A further pod of the workload as it is now, running since before the story unless its life says otherwise.
    pub(super) fn add_pod(&mut self, rng: &mut Rng, workload: WorkloadId, node: NodeId) -> PodId {
        let of = &mut self.workloads[workload];
        let own_part = match of.controller {
            Controller::StatefulSet => {
                of.next_ordinal += 1;
                (of.next_ordinal - 1).to_string()
            }
            _ => rng.letters(SUFFIX_LETTERS, 5),
        };
        let name = format!("{}-{own_part}", of.owner(&of.revision));
        self.add_named_pod(rng, workload, node, name)
    }

    /// The pod that takes the place of one that goes; in a StatefulSet it keeps its name.
    pub(super) fn add_replacement(&mut self, rng: &mut Rng, of: PodId, node: NodeId) -> PodId {
        let (workload, name) = (self.pods[of].workload, self.pods[of].identity.pod_name.clone());
        let id = match self.workloads[workload].controller {
            Controller::StatefulSet => self.add_named_pod(rng, workload, node, name),
            _ => self.add_pod(rng, workload, node),
        };
        self.pods[id].identity.container_image = self.pods[of].identity.container_image.clone();
        id
    }

    fn add_named_pod(&mut self, rng: &mut Rng, workload: WorkloadId, node: NodeId, pod_name: String) -> PodId {
        let of = &self.workloads[workload];
        let mut labels = BTreeMap::from([("app".to_owned(), of.name.clone())]);
        match of.controller {
            Controller::Deployment => drop(labels.insert("pod-template-hash".to_owned(), of.revision.clone())),
            Controller::StatefulSet => {
                labels.insert("statefulset.kubernetes.io/pod-name".to_owned(), pod_name.clone());
            }
            Controller::DaemonSet => drop(labels.insert("k8s-app".to_owned(), of.name.clone())),
            Controller::Job => drop(labels.insert("job-name".to_owned(), of.name.clone())),
        }
        let image = of.image.rsplit_once(':').map_or(of.image.as_str(), |(image, _)| image);
        let identity = Kubernetes {
            pod_name,
            namespace_name: of.namespace.clone(),
            pod_id: rng.uuid(),
            labels,
            annotations: BTreeMap::new(),
            host: self.nodes[node].name.clone(),
            pod_ip: format!("10.244.{}.{}", rng.below(200), rng.between(2, 250)),
            container_name: of.name.clone(),
            docker_id: rng.hex(64),
            container_hash: format!("{image}@sha256:{}", rng.hex(64)),
            container_image: of.image.clone(),
        };
        let revision = of.revision.clone();
        self.pods.push(Pod { identity, workload, revision, node, life: Life::default() });
        self.pods.len() - 1
    }

    pub(super) fn workload_of(&self, pod: PodId) -> &Workload {
        &self.workloads[self.pods[pod].workload]
    }

    /// Pods that have been there since before the story, with no end planned; no jobs.
    pub(super) fn residents(&self) -> impl Iterator<Item = PodId> + '_ {
        (0..self.pods.len()).filter(|&pod| {
            let life = &self.pods[pod].life;
            life.from.is_none() && life.until.is_none() && self.workload_of(pod).controller != Controller::Job
        })
    }

    pub(super) fn residents_of(&self, workload: WorkloadId) -> Vec<PodId> {
        self.residents().filter(|&pod| self.pods[pod].workload == workload).collect()
    }

    pub(super) fn residents_on(&self, node: NodeId) -> Vec<PodId> {
        self.residents().filter(|&pod| self.pods[pod].node == node).collect()
    }

    /// How many residents each workload has.
    pub(super) fn residents_by_workload(&self) -> Vec<usize> {
        let mut counts = vec![0; self.workloads.len()];
        self.residents().for_each(|pod| counts[self.pods[pod].workload] += 1);
        counts
    }

    /// Of how many workloads each node has residents.
    pub(super) fn variety_by_node(&self) -> Vec<usize> {
        let placed: BTreeSet<_> = self.residents().map(|pod| (self.pods[pod].node, self.pods[pod].workload)).collect();
        let mut variety = vec![0; self.nodes.len()];
        placed.iter().for_each(|&(node, _)| variety[node] += 1);
        variety
    }

    /// Pods of the workload that no end is planned for, new ones too.
    pub(super) fn current_pods(&self, workload: WorkloadId) -> Vec<PodId> {
        let current = |pod: &PodId| self.pods[*pod].workload == workload && self.pods[*pod].life.until.is_none();
        (0..self.pods.len()).filter(current).collect()
    }

    /// Where pods for `os` may go now; `None` is any.
    pub(super) fn open_nodes(&self, os: Option<Os>) -> Vec<NodeId> {
        let open = |node: &NodeId| self.nodes[*node].takes_pods && os.is_none_or(|os| self.nodes[*node].os == os);
        (0..self.nodes.len()).filter(open).collect()
    }

    pub(super) fn nodes_of_pool(&self, pool: &str) -> Vec<NodeId> {
        (0..self.nodes.len()).filter(|&node| self.nodes[node].pool.as_deref() == Some(pool)).collect()
    }

    /// A new image tag and template hash for pods to come.
    pub(super) fn new_revision(&mut self, rng: &mut Rng, workload: WorkloadId, image: Option<String>) {
        let of = &mut self.workloads[workload];
        if of.controller == Controller::Deployment {
            of.revision = template_hash(rng);
        }
        of.next_ordinal = 0;
        if let Some(image) = image {
            of.image = image;
        }
    }
}

/// What Kubernetes makes of a 32-bit hash: mostly ten digits.
fn template_hash(rng: &mut Rng) -> String {
    let len = *rng.pick(&[9, 10, 10]);
    rng.letters(HASH_LETTERS, len)
}
