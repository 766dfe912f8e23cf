//! Workloads, images and services that break.

use std::time::Duration;

use super::of_nodes::quiet_deployments;
use crate::alert::Suspect;
use crate::simulator::cluster::{Design, Os, PodId, WorkloadId};
use crate::simulator::story::Story;
use crate::simulator::symptom::Habitat;

/// A configuration that all pods read within two minutes.
const CONFIG_SPREAD: Duration = Duration::from_secs(100);

/// A release that should not have been.
pub(super) struct BadRelease {
    pub(super) workload: WorkloadId,
    pub(super) pods: Vec<PodId>,
    /// What ran before.
    pub(super) good_revision: String,
    pub(super) good_image: String,
}

/// Every pod of a new revision fails; the old ones are gone.
pub(super) fn everywhere(story: &mut Story) -> BadRelease {
    let workload = pick_workload(story, 3);
    let before = &story.cluster.workloads[workload];
    let (good_revision, good_image) = (before.revision.clone(), before.image.clone());
    let symptom = story.symptom(Habitat::Program);
    let image = story.next_image(workload);
    let at = story.onset;
    let pods = story.recreate(workload, Some(image), at, symptom);
    story.accuse_workload(workload, pods.clone());
    BadRelease { workload, pods, good_revision, good_image }
}

/// Two to four pods of a new revision fail, so the rollout stops; most of the old ones run on.
pub(super) fn surge(story: &mut Story) {
    let workload = pick_workload(story, 4);
    let symptom = story.symptom(Habitat::Program);
    let image = story.next_image(workload);
    let old = story.cluster.current_pods(workload);
    let old_revision = story.cluster.workloads[workload].revision.clone();
    // maxSurge rounds up, maxUnavailable down; both are a quarter.
    let (above, below) = (old.len().div_ceil(4), old.len() / 4);
    let at = story.onset;
    story.cluster.new_revision(&mut story.rng, workload, Some(image));
    let step = story.rng.millis(200, 1_500);
    let places = story.places(workload);
    let new = story.new_pods(workload, (above + below).clamp(2, 4), at, step, &places);
    story.fail_from_start(&new, symptom);
    for &pod in old.iter().take(below.max(1)) {
        story.retire(pod, &old_revision, at.saturating_add(Duration::from_secs(1)), old.len() - below.max(1));
    }
    story.accuse_workload(workload, new);
}

/// The running pods of a workload break, one soon after the other.
pub(super) fn in_place(story: &mut Story) {
    let workload = pick_workload(story, 3);
    let symptom = story.symptom(Habitat::Program);
    let pods = story.cluster.current_pods(workload);
    let onset = story.onset;
    story.strike(&pods, symptom, onset, CONFIG_SPREAD);
    story.accuse_workload(workload, pods);
}

/// Three workloads run one image, and get its new tag within a minute or two.
pub(super) fn image(story: &mut Story) {
    const SHARED: &str = "registry.example.com/base/app-runtime";
    let os = if story.rng.chance(30) { Os::Windows } else { Os::Linux };
    let os = if quiet_deployments(story, os).len() >= 3 { os } else { Os::Linux };
    let mut workloads = quiet_deployments(story, os);
    story.rng.shuffle(&mut workloads);
    workloads.truncate(3);
    while workloads.len() < 3 {
        let workload = add_workload(story, format!("shared-{}", ["one", "two", "three"][workloads.len()]));
        workloads.push(workload);
    }
    let old = format!("{SHARED}:8.{}", story.rng.below(5));
    let new = format!("{SHARED}:9.0");
    let symptom = story.symptom(Habitat::Program);
    let mut at = story.onset;
    let mut failing = Vec::new();
    for workload in workloads {
        for pod in story.cluster.current_pods(workload) {
            let identity = &mut story.cluster.pods[pod].identity;
            identity.container_image.clone_from(&old);
            identity.container_hash = format!("{SHARED}@sha256:{}", story.rng.hex(64));
        }
        failing.extend(story.recreate(workload, Some(new.clone()), at, symptom));
        at = at.saturating_add(story.rng.millis(2_000, 60_000));
    }
    story.accuse(Suspect::Image(new.into()), failing);
}

/// Nearly all applications complain that names are not found, and run on.
pub(super) fn dns(story: &mut Story) {
    let mut pods = Vec::new();
    for workload in story.quiet_workloads() {
        if story.rng.chance(85) {
            let symptom = Habitat::Dns.pick(&mut story.rng);
            let struck = story.cluster.residents_of(workload);
            let onset = story.onset;
            story.strike(&struck, symptom, onset, Duration::ZERO);
            pods.extend(struck);
        }
    }
    let pool = story.cluster.nodes.first().and_then(|node| node.pool.clone());
    let only = pool.filter(|pool| story.cluster.nodes_of_pool(pool).len() == story.cluster.nodes.len());
    let plan = story.accuse(Suspect::Cluster, pods);
    plan.also_right.extend(only.map(|pool| Suspect::NodePool(pool.into())));
}

/// A Deployment that nothing happens to yet, with so many pods at least, on several nodes where there are several.
fn pick_workload(story: &mut Story, pods: usize) -> WorkloadId {
    let mut all = quiet_deployments(story, Os::Linux);
    all.extend(quiet_deployments(story, Os::Windows));
    let sizes = story.cluster.residents_by_workload();
    let large: Vec<WorkloadId> = all
        .iter()
        .copied()
        .filter(|&workload| {
            let spread = story.cluster.open_nodes(story.cluster.workloads[workload].os).len() > 1;
            spread && (pods..=10).contains(&sizes[workload])
        })
        .collect();
    match story.rng.choose(&large).or_else(|| all.first().copied()) {
        Some(workload) => grow(story, workload, pods),
        None => {
            let workload = add_workload(story, "storefront".to_owned());
            grow(story, workload, pods)
        }
    }
}

fn grow(story: &mut Story, workload: WorkloadId, pods: usize) -> WorkloadId {
    let places = story.places(workload);
    let missing = pods.saturating_sub(story.cluster.residents_of(workload).len());
    for &node in places.iter().cycle().take(missing) {
        story.cluster.add_pod(&mut story.rng, workload, node);
    }
    workload
}

/// A Deployment with three pods, for a cluster that has none to break.
fn add_workload(story: &mut Story, name: String) -> WorkloadId {
    let design = Design::plain(name, Os::Linux);
    let workload = story.cluster.add_workload(&mut story.rng, design);
    grow(story, workload, 3)
}
