//! An ordinary day: much happens, nothing is the matter.

use std::time::Duration;

use super::Scenario;
use super::lines::Voice;
use super::world::{Kind, Series, Workload, World};
use crate::time::Timestamp;

const NODES: [&str; 5] = [
    "aks-linux-12345678-vmss000000",
    "aks-linux-12345678-vmss000001",
    "aks-linux-12345678-vmss000002",
    "akswin000000",
    "akswin000001",
];
/// Lines a pod writes over the whole day, at most: long days are quiet ones, so that they fit in memory.
const LINES_PER_POD: u32 = 4_000;
const CRON_INTERVAL: Duration = Duration::from_secs(300);

const WEB: Workload = shop("web", Voice::Json);
const SEARCH: Workload = shop("search", Voice::Java);
const CART: Workload = shop("cart", Voice::Json);
const PROXY: Workload = Workload {
    kind: Kind::DaemonSet,
    namespace: "kube-system",
    name: "kube-proxy",
    image: "registry.example.com/kubernetes/kube-proxy",
    voice: Voice::Klog,
};
const REPORT: Workload = Workload {
    kind: Kind::CronJob,
    namespace: "shop",
    name: "report",
    image: "registry.example.com/shop/report",
    voice: Voice::Json,
};

const fn shop(name: &'static str, voice: Voice) -> Workload {
    Workload { kind: Kind::Deployment, namespace: "shop", name, image: "registry.example.com/shop/service", voice }
}

pub(super) fn tell(start: Timestamp, seed: u64, length: Duration) -> Scenario {
    let pace = Duration::from_secs(4).max(length / LINES_PER_POD);
    let end = start.saturating_add(length);
    let mut world = World::new(seed, end, pace);
    let turning_point = start.saturating_add(length / 4);

    let mut proxies = world.revision(PROXY, "v1.31.2");
    for pod in world.running(&mut proxies, &NODES) {
        world.talk(&pod, start, end);
    }
    roll_out(&mut world, start, turning_point);
    scale_down(&mut world, start, start.saturating_add(length / 2));
    readiness_blip(&mut world, start, start.saturating_add(length / 4 * 3));
    cron_jobs(&mut world, start);
    world.finish(turning_point, |_| {})
}

fn roll_out(world: &mut World, start: Timestamp, begin: Timestamp) {
    let end = world.end();
    let mut old_revision = world.revision(WEB, "1.27.4");
    let mut new_revision = world.revision(WEB, "1.28.0");
    let old_pods = world.running(&mut old_revision, &NODES);
    world.scaled(&new_revision, begin, NODES.len());
    for ((node, old), turn) in NODES.iter().zip(&old_pods).zip(1..) {
        let pod = world.pod(&mut new_revision, node);
        let started = world.start(&pod, begin.saturating_add(Duration::from_secs(8) * turn));
        world.talk(&pod, started, end);
        let stopped = started.saturating_add(Duration::from_secs(5));
        world.talk(old, start, stopped);
        world.stop(old, stopped);
    }
}

fn scale_down(world: &mut World, start: Timestamp, at: Timestamp) {
    let end = world.end();
    let mut revision = world.revision(SEARCH, "3.2.1");
    world.scaled(&revision, at, 3);
    for (pod, index) in world.running(&mut revision, &NODES).iter().zip(0..) {
        if index < 3 {
            world.talk(pod, start, end);
        } else {
            world.talk(pod, start, at);
            world.stop(pod, at);
        }
    }
}

/// Two pods are slow to answer for half a minute; they go on running all the while.
fn readiness_blip(world: &mut World, start: Timestamp, at: Timestamp) {
    let end = world.end();
    let mut revision = world.revision(CART, "0.9.12");
    for (pod, index) in world.running(&mut revision, &NODES).iter().zip(0..) {
        world.talk(pod, start, end);
        if index < 2 {
            let message = "Readiness probe failed: HTTP probe failed with statuscode: 503".to_owned();
            let mut series = Series::of_kubelet(&mut world.rng, "Unhealthy", "Warning", message);
            for repeat in 0..3 {
                world.repeat(&mut series, pod, at.saturating_add(Duration::from_secs(10) * repeat));
            }
        }
    }
}

/// Jobs that come, speak and are done: a pod that falls silent is no failure.
fn cron_jobs(world: &mut World, start: Timestamp) {
    let mut at = start.saturating_add(CRON_INTERVAL / 2);
    while at < world.end() {
        let mut revision = world.revision(REPORT, "5.0.0");
        let node = *world.rng.pick(&NODES);
        let pod = world.pod(&mut revision, node);
        let started = world.start(&pod, at);
        world.talk(&pod, started, started.saturating_add(Duration::from_secs(20)));
        at = at.saturating_add(CRON_INTERVAL);
    }
}
