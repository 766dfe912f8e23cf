//! Faults that someone mends.

use std::time::Duration;

use super::of_workloads::BadRelease;
use super::{of_nodes, of_workloads};
use crate::simulator::cluster::PodId;
use crate::simulator::life::Cure;
use crate::simulator::story::Story;
use crate::time::Timestamp;

/// How long a machine takes to boot.
const BOOT: Duration = Duration::from_secs(70);

/// Some minutes into the fault someone does something; early enough that six minutes are left after the longest
/// back-off.
fn repair_time(story: &mut Story) -> Timestamp {
    story.after_onset(240_000, 400_000)
}

/// The disk is cleared, and each pod's next attempt works; or the node is rebooted, and starts them all.
pub(super) fn restart(story: &mut Story) {
    let (node, pods) = of_nodes::whole(story);
    let repaired = repair_time(story);
    if story.rng.chance(50) {
        cure(story, &pods, Cure::NextAttempt(repaired));
    } else {
        let back = repaired.saturating_add(BOOT);
        story.reboot(node, repaired, back);
        cure(story, &pods, Cure::Restart(back));
    }
}

/// The pods go elsewhere; then the machine is removed, or rebooted for the pods that belong to it.
pub(super) fn reschedule(story: &mut Story) {
    let (node, pods) = of_nodes::whole(story);
    let repaired = repair_time(story);
    story.cordon(node, repaired.saturating_sub(Duration::from_secs(5)));
    let (staying, going): (Vec<PodId>, Vec<PodId>) = pods.iter().partition(|&&pod| story.is_of_daemon_set(pod));
    for pod in going {
        let gone = repaired.saturating_add(story.rng.millis(0, 20_000));
        story.move_pod(pod, gone);
    }
    if story.rng.chance(50) {
        story.remove_node(node, repaired.saturating_add(Duration::from_secs(60)));
    } else {
        let down = repaired.saturating_add(Duration::from_secs(80));
        let back = down.saturating_add(BOOT);
        story.reboot(node, down, back);
        cure(story, &staying, Cure::Restart(back));
    }
}

fn cure(story: &mut Story, pods: &[PodId], cure: Cure) {
    for &pod in pods {
        if let Some(trouble) = &mut story.cluster.pods[pod].life.trouble {
            trouble.cure = Some(cure);
        }
    }
}

/// The revision before comes back, under its old name, and the bad pods go.
pub(super) fn roll_back(story: &mut Story) {
    let at = repair_time(story);
    let BadRelease { workload, pods: bad, good_revision, good_image } = of_workloads::everywhere(story);
    let of = &mut story.cluster.workloads[workload];
    let bad_revision = std::mem::replace(&mut of.revision, good_revision);
    of.image = good_image;
    let places = story.places(workload);
    let step = story.rng.millis(500, 5_000);
    story.new_pods(workload, bad.len(), at, step, &places);
    for (left, &pod) in (0..bad.len()).rev().zip(&bad) {
        let gone = at.saturating_add(story.rng.millis(3_000, 20_000));
        story.retire(pod, &bad_revision, gone, left);
    }
}
