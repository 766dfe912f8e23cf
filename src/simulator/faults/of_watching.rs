//! Faults that are seen badly.

use std::time::Duration;

use super::{of_nodes, of_workloads};
use crate::simulator::Span;
use crate::simulator::story::Story;

const GAP: Duration = Duration::from_secs(12 * 60);
/// Records come again for so long.
const AFTER_GAP: Duration = Duration::from_secs(20);

/// Either, as the seed says.
pub(super) fn node_or_workload(story: &mut Story) {
    if story.rng.chance(50) {
        of_nodes::whole(story);
    } else {
        of_workloads::everywhere(story);
    }
}

pub(super) fn disordered(story: &mut Story) {
    story.delivery.jitter = Duration::from_secs(3);
    story.delivery.lateness = Duration::from_secs(30);
    story.delivery.late_percent = 2;
    story.delivery.duplicate_percent = 5;
    node_or_workload(story);
}

pub(super) fn missing(story: &mut Story) {
    story.delivery.lost_percent = story.rng.between(10, 30);
    node_or_workload(story);
}

/// It was broken for minutes when the watch began.
pub(super) fn cold_start(story: &mut Story) {
    story.onset = story.span.from.saturating_sub(story.rng.millis(5 * 60_000, 20 * 60_000));
    if story.rng.chance(50) {
        of_nodes::whole(story);
    } else {
        of_workloads::in_place(story);
    }
}

/// Four minutes into the fault everything stops; twenty seconds of records come twelve minutes later.
pub(super) fn silence(story: &mut Story) {
    of_nodes::whole(story);
    let from = story.onset.saturating_add(Duration::from_secs(240));
    let gap = Span { from, to: from.saturating_add(GAP) };
    let end = gap.to.saturating_add(AFTER_GAP);
    story.delivery.gap = Some(gap);
    story.silence = Some(gap);
    story.span.to = end;
    story.journal.end_at(end);
}

/// Three minutes into the fault the node's kubelet and shipper fall silent, and the control plane does not mind.
pub(super) fn silence_of_node(story: &mut Story) {
    let (node, _) = of_nodes::whole(story);
    let span = Span { from: story.onset.saturating_add(Duration::from_secs(180)), to: story.span.to };
    story.journal.mute(node, span);
    story.silence = Some(span);
}
