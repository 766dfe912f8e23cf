//! A bad release: wherever it runs, it panics.

use std::time::Duration;

use super::Scenario;
use super::lines::{GO_PANIC, Voice};
use super::world::{Kind, Pod, Workload, World};
use crate::time::Timestamp;

const NODES: [&str; 6] = [
    "aks-linux-12345678-vmss000000",
    "aks-linux-12345678-vmss000001",
    "aks-linux-12345678-vmss000002",
    "aks-linux-12345678-vmss000003",
    "aks-linux-12345678-vmss000004",
    "aks-linux-12345678-vmss000005",
];
const PACE: Duration = Duration::from_secs(4);

const CHECKOUT: Workload = shop("checkout", "registry.example.com/shop/checkout", Voice::Klog);
const CATALOG: Workload = shop("catalog", "registry.example.com/shop/catalog", Voice::Java);
const OTHERS: [Workload; 4] = [
    shop("web", "registry.example.com/shop/web", Voice::Json),
    shop("search", "registry.example.com/shop/search", Voice::Java),
    Workload {
        kind: Kind::DaemonSet,
        namespace: "kube-system",
        name: "kube-proxy",
        image: "registry.example.com/kubernetes/kube-proxy",
        voice: Voice::Klog,
    },
    Workload {
        kind: Kind::DaemonSet,
        namespace: "kube-system",
        name: "node-local-dns",
        image: "registry.example.com/kubernetes/node-local-dns",
        voice: Voice::Dns,
    },
];

const fn shop(name: &'static str, image: &'static str, voice: Voice) -> Workload {
    Workload { kind: Kind::Deployment, namespace: "shop", name, image, voice }
}

pub(super) fn tell(start: Timestamp, seed: u64, history: Duration, failing: Duration) -> Scenario {
    let turning_point = start.saturating_add(history);
    let mut world = World::new(seed, turning_point.saturating_add(failing), PACE);
    let step = (failing / 40).clamp(Duration::from_millis(250), Duration::from_secs(3));
    let end = world.end();

    for workload in OTHERS {
        let mut revision = world.revision(workload, "1.27.4");
        for pod in world.running(&mut revision, &NODES) {
            world.talk(&pod, start, end);
        }
    }
    let panics = |_| GO_PANIC.iter().map(|line| (*line).to_owned()).collect();
    replace_all(&mut world, CHECKOUT, start, turning_point, step, |world, pod, started| {
        world.crash_loop(pod, started, panics);
    });
    replace_all(&mut world, CATALOG, start, turning_point, step, |world, pod, started| world.talk(pod, started, end));
    world.finish(turning_point, |truth| truth.workload = Some("shop/checkout".to_owned()))
}

/// The strategy `Recreate`: every old pod goes, then one new pod a node comes and does as `live` says.
fn replace_all(
    world: &mut World,
    workload: Workload,
    start: Timestamp,
    begin: Timestamp,
    step: Duration,
    live: impl Fn(&mut World, &Pod, Timestamp),
) {
    let mut old_revision = world.revision(workload, "2.8.0");
    let mut new_revision = world.revision(workload, "2.9.0");
    for old in world.running(&mut old_revision, &NODES) {
        world.talk(&old, start, begin);
        world.stop(&old, begin);
    }
    world.scaled(&new_revision, begin, NODES.len());
    for (node, turn) in NODES.iter().zip(1..) {
        let pod = world.pod(&mut new_revision, node);
        let started = world.start(&pod, begin.saturating_add(step * turn));
        live(world, &pod, started);
    }
}
