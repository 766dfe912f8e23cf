//! From what was planned and what was written to what can be known.

use std::collections::BTreeSet;

use super::cluster::{Cluster, PodId};
use super::journal::Entry;
use super::story::{Plan, Story};
use super::truth::{Background, Failure, Fault, Truth};
use crate::alert::Suspect;
use crate::time::Timestamp;

/// A cluster with fewer nodes is as good as one of its nodes.
const CLUSTER_NODES: usize = 4;

/// The truth about `story`, of which `came` was read and whose pods ran `again`.
pub(super) fn judge(story: &Story, came: &[Entry], again: &[Option<Timestamp>]) -> Truth {
    let cluster = &story.cluster;
    let first = first_signs(cluster.pods.len(), came);
    let background = story.background.iter().map(|&(pod, why)| background(cluster, pod, why)).collect();
    Truth {
        nodes: cluster.nodes.len(),
        pods: cluster.pods.len(),
        from: story.span.from,
        to: story.span.to,
        faults: story.faults.iter().map(|plan| fault(story, plan, &first, again)).collect(),
        background,
        silence: story.silence,
        ..Truth::new(story.kind, story.seed)
    }
}

fn first_signs(pods: usize, came: &[Entry]) -> Vec<Option<Timestamp>> {
    let mut first: Vec<Option<Timestamp>> = vec![None; pods];
    for entry in came {
        if let Some(pod) = entry.shows {
            let told = first[pod].map_or(entry.told, |first| first.min(entry.told));
            first[pod] = Some(told);
        }
    }
    first
}

fn background(cluster: &Cluster, id: PodId, why: &'static str) -> Background {
    let pod = &cluster.pods[id];
    Background {
        pod: pod.key(),
        workload: cluster.workload_of(id).key(),
        image: pod.identity.container_image.clone(),
        node: pod.identity.host.clone(),
        why,
    }
}

fn fault(story: &Story, plan: &Plan, first: &[Option<Timestamp>], again: &[Option<Timestamp>]) -> Fault {
    let cluster = &story.cluster;
    let seen: Vec<(PodId, Timestamp)> = plan.pods.iter().filter_map(|&pod| Some((pod, first[pod]?))).collect();
    let failure = |&(pod, first): &(PodId, Timestamp)| Failure {
        pod: cluster.pods[pod].key(),
        workload: cluster.workload_of(pod).key(),
        node: cluster.pods[pod].identity.host.clone(),
        first,
    };
    let mut failing: Vec<Failure> = seen.iter().map(failure).collect();
    failing.sort_by(|a, b| (a.first, &a.pod).cmp(&(b.first, &b.pod)));
    let over = |&(pod, _): &(PodId, Timestamp)| again[pod].or(cluster.pods[pod].life.until);
    let over: Option<Vec<Timestamp>> = seen.iter().map(over).collect();
    Fault {
        suspect: plan.suspect.clone(),
        also_right: plan.also_right.clone(),
        grew_from: plan.grew_from.clone(),
        decidable_from: decidable_from(cluster, story.span.from, plan, &failing),
        failing,
        began: plan.began,
        recovered: over.and_then(|over| over.into_iter().max()).filter(|&at| at < story.span.to),
    }
}

/// The first failure with which enough was known. More failures never make it less.
fn decidable_from(cluster: &Cluster, watched_from: Timestamp, plan: &Plan, failing: &[Failure]) -> Option<Timestamp> {
    let enough = |known: usize| is_decidable(cluster, watched_from, plan, &failing[..known]);
    let least = (1..=failing.len()).find(|known| enough(*known))?;
    Some(failing[least - 1].first)
}

/// Whether even an ideal investigator could tell from what failed: it must have the suspect in common, and nothing
/// narrower.
fn is_decidable(cluster: &Cluster, watched_from: Timestamp, plan: &Plan, failing: &[Failure]) -> bool {
    let nodes: BTreeSet<&str> = failing.iter().map(|failure| failure.node.as_str()).collect();
    let workloads: BTreeSet<&str> = failing.iter().map(|failure| failure.workload.as_str()).collect();
    // What was broken before the watch began looks like the crash-loopers of every day, which come in twos as well.
    let least = if plan.began >= watched_from { 2 } else { 3 };
    failing.len() >= least
        && match &plan.suspect {
            Suspect::Pod(_) => true,
            Suspect::Node(_) => workloads.len() >= 2 && cluster.nodes.len() >= 2,
            Suspect::Workload(_) => nodes.len() >= 2,
            Suspect::Image(_) => workloads.len() >= 2 && nodes.len() >= 2,
            Suspect::NodePool(pool) => {
                let size = cluster.nodes_of_pool(pool).len();
                nodes.len() >= 2 && workloads.len() >= 2 && size < cluster.nodes.len() && nodes.len() * 2 > size
            }
            Suspect::Cluster => {
                let count = cluster.nodes.len();
                count >= CLUSTER_NODES && workloads.len() >= 3 && nodes.len() * 2 > count
            }
        }
}
