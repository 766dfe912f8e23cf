//! A cluster as it stands when the story begins.

use std::time::Duration;

use super::cluster::{Cluster, Controller, Design, Node, NodeId, Os};
use crate::names;
use crate::scenario::lines::Voice;
use crate::scenario::rng::Rng;

const USUAL_SIZES: &[usize] = &[4, 5, 6, 8, 10, 12, 16, 20, 30, 40];
const NAMESPACES: &[&str] = &["shop", "core", "pay", "web", "data"];
const NAMES: &[&str] = &[
    "orders",
    "cart",
    "checkout",
    "search",
    "catalog",
    "auth",
    "billing",
    "mailer",
    "gateway",
    "frontend",
    "reports",
    "ledger",
    "profile",
    "media",
    "inventory",
    "pricing",
    "session",
    "geo",
    "ads",
    "feed",
    "audit",
    "sync",
    "imports",
    "exports",
    "rules",
    "notify",
    "stock",
    "router",
    "graph",
    "events",
    "ranker",
    "images",
    "tagger",
    "risk",
    "quota",
    "vault-ui",
    "portal",
    "api",
    "worker",
    "cm",
];
const AGENTS: &[(&str, Voice)] = &[
    ("kube-proxy", Voice::Klog),
    ("fluent-bit", Voice::Agent),
    ("node-exporter", Voice::Klog),
    ("csi-node", Voice::Klog),
    ("ama-logs", Voice::Agent),
];
const VOICES: &[Voice] = &[Voice::Json, Voice::Java, Voice::Klog, Voice::Json];

/// What a kind of case needs of its cluster.
#[derive(Clone, Copy)]
pub(super) struct Wishes {
    /// Fewest nodes, unless the setup says how many.
    pub(super) nodes: usize,
    /// Node names must tell the pool, and there must be several pools of several nodes.
    pub(super) pools: bool,
}

/// How a provider calls its nodes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Naming {
    Aks,
    Eks,
    Gke,
    Plain,
}

pub(super) fn build(rng: &mut Rng, nodes: Option<usize>, wishes: Wishes) -> Cluster {
    let sizes: Vec<usize> = USUAL_SIZES.iter().copied().filter(|&size| size >= wishes.nodes).collect();
    let count = nodes.unwrap_or_else(|| *rng.pick(&sizes)).max(1);
    let mut cluster = Cluster::default();
    add_nodes(&mut cluster, rng, count, wishes.pools);
    add_workloads(&mut cluster, rng);
    add_agents(&mut cluster, rng);
    cluster
}

fn add_nodes(cluster: &mut Cluster, rng: &mut Rng, count: usize, pools_matter: bool) {
    let pooled = [Naming::Aks, Naming::Aks, Naming::Gke];
    let any = [Naming::Aks, Naming::Aks, Naming::Aks, Naming::Gke, Naming::Eks, Naming::Plain];
    let naming = if pools_matter { *rng.pick(&pooled) } else { *rng.pick(&any) };
    let pools = match count {
        0..6 if !pools_matter => 1,
        0..12 => 2,
        _ => 3,
    };
    let names = NodeNames::new(rng, naming, pools);
    let has_windows = naming == Naming::Aks && rng.chance(60);
    // The only Linux pool stays; of several the last is Windows.
    let windows = has_windows.then_some(if pools == 1 { 1 } else { pools - 1 });
    let pools = pools.max(windows.map_or(0, |windows| windows + 1));
    for index in 0..count {
        let pool = index % pools;
        let os = if windows == Some(pool) { Os::Windows } else { Os::Linux };
        let name = names.name(rng, os, pool, index / pools, index);
        let pool = names::node_pool(&name).map(|pool| pool.pool.to_owned());
        cluster.nodes.push(Node { name, pool, os, takes_pods: true });
    }
}

struct NodeNames {
    naming: Naming,
    /// By pool: AKS's number, GKE's hash.
    ids: Vec<String>,
    /// EKS names nodes by address.
    first_address: u64,
}

impl NodeNames {
    fn new(rng: &mut Rng, naming: Naming, pools: usize) -> Self {
        let ids = (0..=pools).map(|_| match naming {
            Naming::Gke => rng.hex(8),
            _ => rng.between(10_000_000, 49_999_999).to_string(),
        });
        NodeNames { naming, ids: ids.collect(), first_address: rng.below(60_000) }
    }

    fn name(&self, rng: &mut Rng, os: Os, pool: usize, instance: usize, index: usize) -> String {
        match (self.naming, os) {
            (Naming::Aks, Os::Windows) => format!("akswin{}", base_36(instance)),
            (Naming::Aks, Os::Linux) => {
                let name = ["nodepool1", "user", "batch"][pool.min(2)];
                format!("aks-{name}-{}-vmss{}", self.ids[pool], base_36(instance))
            }
            (Naming::Gke, _) => {
                let name = ["default-pool", "pool-1", "pool-2"][pool.min(2)];
                // The last letters tell nodes apart: random ones would meet in large pools.
                format!("gke-prod-{name}-{}-{}{}", self.ids[pool], rng.hex(1), &base_36(instance)[3..])
            }
            (Naming::Eks, _) => {
                // A prime step visits each address of 10.0.0.0/16 once.
                let address = (self.first_address + index as u64 * 7_919) % 62_500;
                format!("ip-10-0-{}-{}.ec2.internal", address / 250, address % 250 + 4)
            }
            (Naming::Plain, _) => format!("worker-{}", index + 1),
        }
    }
}

/// The number as scale sets write it: six digits to the base of 36.
fn base_36(mut number: usize) -> String {
    let mut digits = [b'0'; 6];
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789abcdefghijklmnopqrstuvwxyz"[number % 36];
        number /= 36;
    }
    digits.map(char::from).iter().collect()
}

fn add_workloads(cluster: &mut Cluster, rng: &mut Rng) {
    let nodes = cluster.nodes.len();
    let (most, pods) = match nodes {
        0..6 => (20, 10),
        6..=40 => (40, 10),
        _ => (nodes / 2, 10 + nodes as u64 / 100),
    };
    let count = rng.between(if nodes > 40 { most as u64 / 2 } else { 5 }, most as u64) as usize;
    let has_windows = cluster.nodes.iter().any(|node| node.os == Os::Windows);
    let mut names = NAMES.to_vec();
    rng.shuffle(&mut names);
    let namespaces = &NAMESPACES[..rng.between(1, 4) as usize];
    for index in 0..count {
        let os = if has_windows && rng.chance(40) { Os::Windows } else { Os::Linux };
        let name = match index / names.len() {
            0 => names[index].to_owned(),
            round => format!("{}-v{}", names[index % names.len()], round + 1),
        };
        let namespace = (*rng.pick(namespaces)).to_owned();
        add_workload(cluster, rng, namespace, name, os, pods);
    }
}

fn add_workload(cluster: &mut Cluster, rng: &mut Rng, namespace: String, name: String, os: Os, most_pods: u64) {
    let controller = if rng.chance(12) { Controller::StatefulSet } else { Controller::Deployment };
    let image = format!("registry.example.com/{namespace}/{name}:1.{}.{}", rng.below(41), rng.below(10));
    let voice = if os == Os::Windows { Voice::Iis } else { *rng.pick(VOICES) };
    let pace = rng.millis(5_000, 18_000);
    let design = Design { namespace, name, controller, os: Some(os), image, voice, pace };
    let workload = cluster.add_workload(rng, design);
    let mut nodes = cluster.open_nodes(Some(os));
    rng.shuffle(&mut nodes);
    for turn in 0..rng.between(1, most_pods) as usize {
        let node = nodes[turn % nodes.len()];
        cluster.add_pod(rng, workload, node);
    }
}

/// Two or three DaemonSets with a pod on every node.
fn add_agents(cluster: &mut Cluster, rng: &mut Rng) {
    let mut agents = AGENTS.to_vec();
    rng.shuffle(&mut agents);
    for &(name, voice) in &agents[..rng.between(2, 3) as usize] {
        let image = format!("mcr.example.com/{name}:3.{}", rng.below(10));
        let (namespace, name) = ("kube-system".to_owned(), name.to_owned());
        let pace = rng.millis(8_000, 25_000);
        let controller = Controller::DaemonSet;
        let workload = cluster.add_workload(rng, Design { namespace, name, controller, os: None, image, voice, pace });
        for node in 0..cluster.nodes.len() {
            cluster.add_pod(rng, workload, node);
        }
    }
}

/// Slows all chatter down where there would be more than `most` lines in `length`.
pub(super) fn bound_chatter(cluster: &mut Cluster, length: Duration, most: u64) {
    let lines: u64 = (0..cluster.pods.len())
        .map(|pod| (length.as_millis() / cluster.workload_of(pod).pace.as_millis().max(1)) as u64)
        .sum();
    let factor = u32::try_from(lines.div_ceil(most)).unwrap_or(u32::MAX).max(1);
    for workload in &mut cluster.workloads {
        workload.pace = workload.pace.saturating_mul(factor);
    }
}

/// The scheduler might have put pods of `count` different workloads there, DaemonSets apart: it does.
pub(super) fn ensure_workloads(cluster: &mut Cluster, rng: &mut Rng, node: NodeId, count: usize) {
    let is_app = |workload: &super::cluster::Workload| workload.controller != Controller::DaemonSet;
    loop {
        let residents = cluster.residents_on(node);
        let mut there: Vec<_> = residents.iter().map(|&pod| cluster.pods[pod].workload).collect();
        there.sort_unstable();
        there.dedup();
        if there.iter().filter(|&&workload| is_app(&cluster.workloads[workload])).count() >= count {
            return;
        }
        let os = Some(cluster.nodes[node].os);
        let fits = |id: &usize| {
            let workload = &cluster.workloads[*id];
            is_app(workload) && workload.os == os && !there.contains(id)
        };
        let choices: Vec<_> = (0..cluster.workloads.len()).filter(fits).collect();
        let workload = rng.choose(&choices).unwrap_or_else(|| {
            let name = format!("tenant-{}", cluster.workloads.len());
            cluster.add_workload(rng, Design::plain(name, cluster.nodes[node].os))
        });
        cluster.add_pod(rng, workload, node);
    }
}
