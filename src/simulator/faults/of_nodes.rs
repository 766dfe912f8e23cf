//! Nodes that break.

use std::time::Duration;

use crate::simulator::build::ensure_workloads;
use crate::simulator::cluster::{NodeId, Os, PodId};
use crate::simulator::story::Story;
use crate::simulator::symptom::{Habitat, Symptom};

/// Within this all pods of a broken node have failed.
const SPREAD: Duration = Duration::from_secs(90);

/// All that runs on the node fails.
pub(super) fn whole(story: &mut Story) {
    break_one(story);
    story.add_noise();
}

fn break_one(story: &mut Story) -> (NodeId, Vec<PodId>) {
    let node = pick_node(story, 3);
    ensure_workloads(&mut story.cluster, &mut story.rng, node, 2);
    let symptom = symptom_of(story, node);
    let pods = break_node(story, node, symptom);
    story.accuse_node(node, pods.clone());
    (node, pods)
}

pub(super) fn symptom_of(story: &mut Story, node: NodeId) -> &'static Symptom {
    let habitat = Habitat::Node(story.cluster.nodes[node].os);
    story.symptom(habitat)
}

/// From the onset on everything on the node fails, and no pod comes there any more that would not.
fn break_node(story: &mut Story, node: NodeId, symptom: &'static Symptom) -> Vec<PodId> {
    let pods = story.cluster.residents_on(node);
    story.cluster.nodes[node].takes_pods = false;
    let onset = story.onset;
    story.strike(&pods, symptom, onset, SPREAD);
    pods
}

/// One with pods of so many workloads if there is one; rather Windows, where nodes break in stranger ways.
pub(super) fn pick_node(story: &mut Story, workloads: usize) -> NodeId {
    let open = story.cluster.open_nodes(None);
    let variety = |&node: &NodeId| {
        let mut there: Vec<_> =
            story.cluster.residents_on(node).iter().map(|&pod| story.cluster.pods[pod].workload).collect();
        there.sort_unstable();
        there.dedup();
        there.len()
    };
    let busy: Vec<NodeId> = open.iter().copied().filter(|node| variety(node) >= workloads).collect();
    let busy = if busy.is_empty() { open } else { busy };
    let is_windows = |node: &NodeId| story.cluster.nodes[*node].os == Os::Windows;
    let windows: Vec<NodeId> = busy.iter().copied().filter(is_windows).collect();
    let rng = &mut story.rng;
    let choices = if rng.chance(60) && !windows.is_empty() { windows } else { busy };
    // A cluster has at least one node, and all are open unless broken already.
    rng.choose(&choices).unwrap_or(0)
}
