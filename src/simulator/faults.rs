//! The kinds of cases: what each needs, and what happens in it.

use super::Kind;
use super::build::Wishes;
use super::story::{Frame, Story};

mod of_nodes;

pub(super) fn frame(_kind: Kind) -> Frame {
    Frame { wishes: Wishes { nodes: 1, pools: false }, minutes: None, logs: true, events: true, hosts_in_events: true }
}

/// Plans what happens. Everything is told later, pod by pod.
pub(super) fn stage(story: &mut Story) {
    match story.kind {
        Kind::Healthy => story.add_noise(),
        Kind::Node => of_nodes::whole(story),
    }
}
