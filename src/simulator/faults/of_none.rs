//! Days on which nothing is the matter.

use crate::simulator::story::Story;

pub(super) fn healthy(story: &mut Story) {
    // Single crashes happen in the best of clusters.
    let flakes = story.rng.below(3);
    story.add_flakes(flakes);
}

pub(super) fn crash_loopers(story: &mut Story) {
    let loopers = story.rng.between(2, 6);
    story.add_crash_loopers(loopers, &[]);
    let flakes = story.rng.between(1, 8);
    story.add_flakes(flakes);
    story.add_churn();
}

pub(super) fn chatty(story: &mut Story) {
    story.add_chatterbox(&[]);
    let flakes = story.rng.below(3);
    story.add_flakes(flakes);
    story.add_churn();
}

pub(super) fn rollout(story: &mut Story) {
    for _ in 0..story.rng.between(2, 6) {
        let workloads = story.quiet_workloads();
        let Some(workload) = story.rng.choose(&workloads) else { return };
        let at = story.after_onset(0, 180_000);
        story.roll_out(workload, at);
    }
}

pub(super) fn scale_down(story: &mut Story) {
    for _ in 0..story.rng.between(2, 6) {
        let mut workloads = story.quiet_workloads();
        let sizes = story.cluster.residents_by_workload();
        workloads.retain(|&workload| sizes[workload] > 1);
        let Some(workload) = story.rng.choose(&workloads) else { return };
        let left = story.rng.between(1, sizes[workload] as u64 - 1) as usize;
        let at = story.after_onset(0, 180_000);
        story.scale_down(workload, at, left);
    }
}

pub(super) fn drain(story: &mut Story) {
    let open = story.cluster.open_nodes(None);
    let Some(node) = story.rng.choose(&open) else { return };
    let at = story.onset;
    story.drain(node, at);
}
