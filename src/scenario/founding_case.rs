//! The case that faultline was built for.

use std::time::Duration;

use super::Scenario;
use super::lines::{self, Voice};
use super::world::{Kind, Pod, Workload, World};
use crate::time::Timestamp;

const GOOD: &str = "akswin000000";
/// Healthy as the cloud sees it; no process that starts after the turning point starts here.
const BAD: &str = "akswin000001";
const LINUX: [&str; 2] = ["aks-linux-12345678-vmss000000", "aks-linux-12345678-vmss000001"];

/// Mean time between two lines of a pod.
const PACE: Duration = Duration::from_millis(3_500);

const CD: Workload = sitecore("cd", "registry.example.com/sitecore/cd");
const XDB: Workload = sitecore("xdbcollection", "registry.example.com/sitecore/xdbcollection");
const CM: Workload = sitecore("cm", "registry.example.com/sitecore/cm");
const IDENTITY: Workload = sitecore("identity", "registry.example.com/sitecore/identity");
const AGENT: Workload = Workload {
    kind: Kind::DaemonSet,
    namespace: "kube-system",
    name: "omsagent-win",
    image: "registry.example.com/azuremonitor/containerinsights",
    voice: Voice::Agent,
};
const PROXY: Workload = Workload {
    kind: Kind::DaemonSet,
    namespace: "kube-system",
    name: "kube-proxy",
    image: "registry.example.com/kubernetes/kube-proxy",
    voice: Voice::Klog,
};
const ON_LINUX: [Workload; 4] = [
    Workload {
        kind: Kind::Deployment,
        namespace: "kube-system",
        name: "coredns",
        image: "registry.example.com/kubernetes/coredns",
        voice: Voice::Dns,
    },
    Workload {
        kind: Kind::Deployment,
        namespace: "shop",
        name: "web",
        image: "registry.example.com/shop/web",
        voice: Voice::Json,
    },
    Workload {
        kind: Kind::StatefulSet,
        namespace: "sitecore",
        name: "solr",
        image: "registry.example.com/sitecore/solr",
        voice: Voice::Java,
    },
    Workload {
        kind: Kind::StatefulSet,
        namespace: "sitecore",
        name: "redis-master",
        image: "registry.example.com/library/redis",
        voice: Voice::Redis,
    },
];

const fn sitecore(name: &'static str, image: &'static str) -> Workload {
    Workload { kind: Kind::Deployment, namespace: "sitecore", name, image, voice: Voice::Iis }
}

/// Where new pods land, in the order of the rollout.
const NEW_CD: [&str; 10] = [GOOD, GOOD, BAD, GOOD, GOOD, BAD, GOOD, GOOD, GOOD, GOOD];
const NEW_XDB: [&str; 4] = [GOOD, BAD, GOOD, GOOD];

pub(super) fn tell(start: Timestamp, seed: u64, history: Duration, failing: Duration) -> Scenario {
    let turning_point = start.saturating_add(history);
    let mut world = World::new(seed, turning_point.saturating_add(failing), PACE);
    // The whole rollout fits in the first third, however short the play is.
    let step = (failing / 40).clamp(Duration::from_millis(250), Duration::from_secs(3));

    bystanders(&mut world, start);
    let agent_at = turning_point.saturating_add(step * 6);
    monitoring_agent(&mut world, start, agent_at);
    roll_out(&mut world, CD, &NEW_CD, &[GOOD, BAD], start, turning_point, step);
    roll_out(&mut world, XDB, &NEW_XDB, &[GOOD, BAD], start, turning_point.saturating_add(step * 2), step);
    world.finish(turning_point, |truth| truth.node = Some(BAD.to_owned()))
}

/// All that is left alone, on every node, the bad one too.
fn bystanders(world: &mut World, start: Timestamp) {
    let end = world.end();
    let mut pods = Vec::new();
    for workload in [CM, IDENTITY] {
        let mut revision = world.revision(workload, "10.4.0");
        pods.extend(world.running(&mut revision, &[GOOD, BAD]));
    }
    let mut revision = world.revision(PROXY, "v1.31.2");
    pods.extend(world.running(&mut revision, &[GOOD, BAD, LINUX[0], LINUX[1]]));
    for workload in ON_LINUX {
        let mut revision = world.revision(workload, "1.9.3");
        let nodes: &[&str] = if matches!(workload.kind, Kind::StatefulSet) { &LINUX[..1] } else { &LINUX };
        pods.extend(world.running(&mut revision, nodes));
    }
    for pod in &pods {
        world.talk(pod, start, end);
    }
}

/// The agent's container is restarted on the bad node, and cannot start again.
fn monitoring_agent(world: &mut World, start: Timestamp, restart: Timestamp) {
    let end = world.end();
    let mut revision = world.revision(AGENT, "win-3.1.24");
    let pods = world.running(&mut revision, &[GOOD, BAD]);
    for pod in &pods {
        if pod.kubernetes.host == BAD {
            world.talk(pod, start, restart);
            world.pod_event(pod, restart, "Started", "Started container omsagent-win");
            world.crash_loop(pod, restart, |at| vec![lines::entrypoint_failed(at)]);
        } else {
            world.talk(pod, start, end);
        }
    }
}

/// New pods come one by one; for each that runs an old one goes, those of the good node first. So as many old pods
/// stay, and stay healthy, as new ones fail.
fn roll_out(
    world: &mut World,
    workload: Workload,
    new_nodes: &[&str],
    old_nodes: &[&str],
    start: Timestamp,
    begin: Timestamp,
    step: Duration,
) {
    let end = world.end();
    let mut old_revision = world.revision(workload, "10.4.0");
    let mut new_revision = world.revision(workload, "10.4.1");
    let spread: Vec<&str> = (0..new_nodes.len()).map(|i| old_nodes[i * old_nodes.len() / new_nodes.len()]).collect();
    let old: Vec<Pod> = world.running(&mut old_revision, &spread);
    let mut staying = old.iter();
    world.scaled(&new_revision, begin, new_nodes.len());
    for (node, turn) in new_nodes.iter().zip(1..) {
        let pod = world.pod(&mut new_revision, node);
        let started = world.start(&pod, begin.saturating_add(step * turn));
        if *node == BAD {
            world.crash_loop(&pod, started, |at| vec![lines::entrypoint_failed(at)]);
            continue;
        }
        world.talk(&pod, started, end);
        if let Some(old) = staying.next() {
            let stopped = started.saturating_add(step);
            world.talk(old, start, stopped);
            world.stop(old, stopped);
        }
    }
    for old in staying {
        world.talk(old, start, end);
    }
}
