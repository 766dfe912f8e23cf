//! Nodes that break.

use std::time::Duration;

use crate::alert::Suspect;
use crate::simulator::Span;
use crate::simulator::build::ensure_workloads;
use crate::simulator::changes::NOT_READY_AFTER;
use crate::simulator::cluster::{Controller, NodeId, Os, PodId, WorkloadId};
use crate::simulator::journal::{About, Happening, Reporter};
use crate::simulator::story::Story;
use crate::simulator::symptom::{Habitat, Symptom};

/// Within this all pods of a broken node have failed.
const SPREAD: Duration = Duration::from_secs(90);
/// After this the pods of a node that is not ready are moved.
const EVICTION_AFTER: Duration = Duration::from_secs(300);

/// All that runs on a node fails.
pub(super) fn whole(story: &mut Story) -> (NodeId, Vec<PodId>) {
    let node = pick_node(story, 3);
    ensure_workloads(&mut story.cluster, &mut story.rng, node, 3);
    let symptom = symptom_of(story, node);
    let pods = break_node(story, node, symptom, 100);
    story.accuse_node(node, pods.clone());
    (node, pods)
}

/// Several workloads roll out; what lands on the node fails, what ran there runs on.
pub(super) fn new_starts(story: &mut Story) {
    let node = pick_node(story, 3);
    let symptom = symptom_of(story, node);
    let os = story.cluster.nodes[node].os;
    let mut workloads = quiet_deployments(story, os);
    story.rng.shuffle(&mut workloads);
    let mut at = story.onset;
    let mut failing = Vec::new();
    for workload in workloads.into_iter().take(story.rng.between(3, 6) as usize) {
        let mut places = story.places(workload);
        places.retain(|&place| place != node);
        let count = story.cluster.current_pods(workload).len() as u64;
        let turn = story.rng.below(count.min(places.len() as u64 + 1)) as usize;
        places.insert(turn, node);
        let image = if story.rng.chance(60) { Some(story.next_image(workload)) } else { None };
        let step = story.rng.millis(1_000, 12_000);
        failing.extend(story.replace_pods(workload, image, at, step, &places, Some((node, symptom))));
        at = at.saturating_add(story.rng.millis(5_000, 60_000));
    }
    story.cluster.nodes[node].takes_pods = false;
    story.accuse_node(node, failing);
}

/// So many pods of different workloads fail, the others run on.
pub(super) fn some_pods(story: &mut Story, count: usize) {
    let node = pick_node(story, count);
    ensure_workloads(&mut story.cluster, &mut story.rng, node, count);
    let symptom = symptom_of(story, node);
    let mut pods = story.cluster.residents_on(node);
    pods.retain(|&pod| !story.is_of_daemon_set(pod));
    story.rng.shuffle(&mut pods);
    let mut workloads = Vec::new();
    pods.retain(|&pod| {
        let workload = story.cluster.pods[pod].workload;
        let is_first = !workloads.contains(&workload);
        workloads.push(workload);
        is_first
    });
    pods.truncate(count);
    story.cluster.nodes[node].takes_pods = false;
    let onset = story.onset;
    story.strike(&pods, symptom, onset, SPREAD);
    story.accuse_node(node, pods);
}

/// Two nodes, with the same symptom or not, which are not all of a pool.
pub(super) fn two(story: &mut Story) {
    let (first, pods) = whole(story);
    let pool_size = |story: &Story, node: NodeId| {
        story.cluster.nodes[node].pool.as_ref().map_or(usize::MAX, |pool| story.cluster.nodes_of_pool(pool).len())
    };
    let apart = |&node: &NodeId| {
        let same_pool = story.cluster.nodes[node].pool == story.cluster.nodes[first].pool;
        !same_pool || pool_size(story, node) > 3
    };
    let others: Vec<NodeId> = story.cluster.open_nodes(None).into_iter().filter(apart).collect();
    let Some(second) = story.rng.choose(&others) else { return };
    ensure_workloads(&mut story.cluster, &mut story.rng, second, 3);
    let same_os = story.cluster.nodes[second].os == story.cluster.nodes[first].os;
    let shared = pods.first().and_then(|&pod| story.cluster.pods[pod].life.trouble).filter(|_| same_os);
    let symptom = match shared {
        Some(trouble) if story.rng.chance(50) => trouble.symptom,
        _ => symptom_of(story, second),
    };
    story.onset = story.after_onset(0, 120_000);
    let pods = break_node(story, second, symptom, 100);
    story.accuse_node(second, pods);
}

/// Most pods of all nodes of a pool.
pub(super) fn pool(story: &mut Story) {
    let node = pick_node(story, 2);
    let (name, nodes) = pool_of(story, node);
    let symptom = symptom_of(story, node);
    let mut pods = Vec::new();
    for node in nodes {
        pods.extend(break_node(story, node, symptom, 80));
    }
    accuse_pool(story, name, pods, Vec::new());
}

/// A pod; after three or four minutes the rest of its node; after another four most of the node's pool.
pub(super) fn growing(story: &mut Story) {
    let node = pick_node(story, 4);
    ensure_workloads(&mut story.cluster, &mut story.rng, node, 3);
    let (name, nodes) = pool_of(story, node);
    let symptom = symptom_of(story, node);
    let onset = story.onset;
    let mut apps = story.cluster.residents_on(node);
    apps.retain(|&pod| !story.is_of_daemon_set(pod));
    let first = story.rng.choose(&apps);
    let later = story.after_onset(180_000, 240_000);
    let last = story.after_onset(420_000, 480_000);
    let mut pods = Vec::new();
    for other in nodes {
        let is_first = other == node;
        if !is_first && story.rng.chance(20) {
            continue;
        }
        story.onset = if is_first { later } else { last };
        pods.extend(break_node(story, other, symptom, if is_first { 100 } else { 80 }));
    }
    story.onset = onset;
    let mut grew_from = vec![Suspect::Node(story.cluster.nodes[node].name.as_str().into())];
    if let Some(first) = first {
        story.strike(&[first], symptom, onset, Duration::ZERO);
        grew_from.insert(0, Suspect::Pod(story.cluster.pods[first].key().into()));
    }
    accuse_pool(story, name, pods, grew_from);
}

/// The node breaks, kubelet falls silent, the control plane notices, and after a while moves what it can.
pub(super) fn not_ready(story: &mut Story) {
    let (node, pods) = whole(story);
    let silent = story.after_onset(60_000, 150_000);
    let to = story.span.to;
    story.journal.mute(node, Span { from: silent, to });
    let noticed = silent.saturating_add(NOT_READY_AFTER).saturating_add(story.rng.millis(0, 10_000));
    story.not_ready(node, noticed);
    let (told, evicted) = (noticed.saturating_add(Duration::from_millis(300)), noticed.saturating_add(EVICTION_AFTER));
    for pod in pods {
        pod_event(story, pod, told, ("node-controller", "NodeNotReady", "Node is not ready"), true);
        // StatefulSets wait until someone says that the pod is dead; DaemonSets tolerate.
        if story.cluster.workload_of(pod).controller == Controller::Deployment {
            let message = format!("Marking for deletion Pod {}", story.cluster.pods[pod].key());
            let evicted = evicted.saturating_add(story.rng.millis(0, 3_000));
            pod_event(story, pod, evicted, ("taint-eviction-controller", "TaintManagerEviction", &message), false);
            story.move_pod(pod, evicted);
        }
    }
}

fn pod_event(
    story: &mut Story,
    pod: PodId,
    at: crate::time::Timestamp,
    (by, reason, message): (&'static str, &str, &str),
    is_sign: bool,
) {
    let by = Reporter::Controller(by);
    let happening = Happening { by, about: About::Pod(pod, false), reason, message, is_warning: is_sign };
    story.journal.event(&story.cluster, at, &happening, is_sign.then_some(pod));
}

/// The scheduler finds the node least loaded, time and again. What ran there runs on.
pub(super) fn black_hole(story: &mut Story) {
    let node = pick_node(story, 2);
    let symptom = symptom_of(story, node);
    let mut workloads = quiet_deployments(story, story.cluster.nodes[node].os);
    story.rng.shuffle(&mut workloads);
    workloads.truncate(story.rng.between(3, 5) as usize);
    let mut at = story.onset;
    let mut failing = Vec::new();
    for _ in 0..story.rng.between(8, 20) {
        let Some(workload) = story.rng.choose(&workloads) else { break };
        let others = story.places(workload);
        let place = if story.rng.chance(80) { node } else { story.rng.choose(&others).unwrap_or(node) };
        let new = story.new_pods(workload, 1, at, Duration::from_secs(1), &[place]);
        if place == node {
            story.fail_from_start(&new, symptom);
            failing.extend(new);
        }
        at = at.saturating_add(story.rng.millis(15_000, 45_000));
    }
    story.cluster.nodes[node].takes_pods = false;
    story.accuse_node(node, failing);
}

fn symptom_of(story: &mut Story, node: NodeId) -> &'static Symptom {
    let habitat = Habitat::Node(story.cluster.nodes[node].os);
    story.symptom(habitat)
}

/// From the onset on so much of what is on the node fails, and no pod comes there any more that would not.
fn break_node(story: &mut Story, node: NodeId, symptom: &'static Symptom, percent: u64) -> Vec<PodId> {
    let mut pods = story.cluster.residents_on(node);
    pods.retain(|_| story.rng.chance(percent));
    story.cluster.nodes[node].takes_pods = false;
    let onset = story.onset;
    story.strike(&pods, symptom, onset, SPREAD);
    pods
}

/// One with pods of so many workloads if there is one; rather Windows, where nodes break in stranger ways.
fn pick_node(story: &mut Story, workloads: usize) -> NodeId {
    let open = story.cluster.open_nodes(None);
    let variety = story.cluster.variety_by_node();
    let busy: Vec<NodeId> = open.iter().copied().filter(|&node| variety[node] >= workloads).collect();
    let busy = if busy.is_empty() { open } else { busy };
    let is_windows = |node: &NodeId| story.cluster.nodes[*node].os == Os::Windows;
    let windows: Vec<NodeId> = busy.iter().copied().filter(is_windows).collect();
    let choices = if story.rng.chance(60) && !windows.is_empty() { windows } else { busy };
    // A cluster has at least one node, and all are open unless broken already.
    story.rng.choose(&choices).unwrap_or(0)
}

/// Deployments that nothing happens to yet.
pub(super) fn quiet_deployments(story: &Story, os: Os) -> Vec<WorkloadId> {
    let mut workloads = story.quiet_workloads();
    workloads.retain(|&workload| {
        let workload = &story.cluster.workloads[workload];
        workload.controller == Controller::Deployment && workload.os == Some(os)
    });
    workloads
}

/// The node's pool; where nothing tells pools apart, the node by itself.
fn pool_of(story: &Story, node: NodeId) -> (Option<String>, Vec<NodeId>) {
    let pool = story.cluster.nodes[node].pool.clone();
    let nodes = pool.as_ref().map_or_else(|| vec![node], |pool| story.cluster.nodes_of_pool(pool));
    (pool, nodes)
}

fn accuse_pool(story: &mut Story, pool: Option<String>, pods: Vec<PodId>, grew_from: Vec<Suspect>) {
    let suspect = pool.map_or(Suspect::Cluster, |pool| Suspect::NodePool(pool.into()));
    story.accuse(suspect, pods).grew_from = grew_from;
}
