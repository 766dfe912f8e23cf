//! The kinds of cases: what each needs, and what happens in it.

use std::time::Duration;

use super::Kind;
use super::build::Wishes;
use super::story::{Frame, Story};

mod of_nodes;
mod of_none;
mod of_watching;
mod of_workloads;
mod recoveries;

/// Time enough for a fault, its repair, and the longest back-off after it.
const WITH_RECOVERY_MINUTES: u64 = 24;

pub(super) fn frame(kind: Kind) -> Frame {
    let pools = matches!(kind, Kind::NodePool | Kind::Growing);
    let nodes = match kind {
        Kind::NodePool | Kind::Growing => 12,
        Kind::TwoNodes => 8,
        Kind::TwoFaults => 6,
        _ => 1,
    };
    let minutes = match kind {
        Kind::RecoverRestart | Kind::RecoverReschedule | Kind::RecoverRollback | Kind::SilenceNode => {
            Some(WITH_RECOVERY_MINUTES)
        }
        Kind::Growing => Some(22),
        _ => None,
    };
    Frame {
        wishes: Wishes { nodes, pools },
        minutes,
        logs: kind != Kind::EventsOnly,
        events: kind != Kind::LogsOnly,
        hosts_in_events: kind != Kind::EventsWithoutNode,
    }
}

/// Plans what happens. Everything is told later, pod by pod.
pub(super) fn stage(story: &mut Story) {
    match story.kind {
        Kind::Healthy => of_none::healthy(story),
        Kind::CrashLoopers => of_none::crash_loopers(story),
        Kind::Chatty => of_none::chatty(story),
        Kind::Rollout => of_none::rollout(story),
        Kind::ScaleDown => of_none::scale_down(story),
        Kind::Drain => of_none::drain(story),
        Kind::Node => drop(of_nodes::whole(story)),
        Kind::NodeNewStarts => of_nodes::new_starts(story),
        Kind::NodeTwoPods => of_nodes::some_pods(story, 2),
        Kind::NodeThreePods => of_nodes::some_pods(story, 3),
        Kind::NodeFivePods => of_nodes::some_pods(story, 5),
        Kind::TwoNodes => of_nodes::two(story),
        Kind::NodePool => of_nodes::pool(story),
        Kind::Growing => of_nodes::growing(story),
        Kind::NotReady => of_nodes::not_ready(story),
        Kind::BlackHole => of_nodes::black_hole(story),
        Kind::Workload => drop(of_workloads::everywhere(story)),
        Kind::WorkloadSurge => of_workloads::surge(story),
        Kind::WorkloadConfig => of_workloads::in_place(story),
        Kind::Image => of_workloads::image(story),
        Kind::ClusterDns => of_workloads::dns(story),
        Kind::TwoFaults => two(story),
        Kind::Disordered => of_watching::disordered(story),
        Kind::Missing => of_watching::missing(story),
        Kind::EventsOnly | Kind::LogsOnly | Kind::EventsWithoutNode => of_watching::node_or_workload(story),
        Kind::ColdStart => of_watching::cold_start(story),
        Kind::Silence => of_watching::silence(story),
        Kind::SilenceNode => of_watching::silence_of_node(story),
        Kind::RecoverRestart => recoveries::restart(story),
        Kind::RecoverReschedule => recoveries::reschedule(story),
        Kind::RecoverRollback => recoveries::roll_back(story),
    }
    make_noise(story);
}

/// Kinds that are about noise make their own.
fn make_noise(story: &mut Story) {
    match story.kind {
        Kind::CrashLoopers | Kind::Chatty => {}
        // Something is always the matter in half of the healthy clusters, and nothing in the others.
        Kind::Healthy | Kind::Rollout | Kind::ScaleDown | Kind::Drain if story.rng.chance(50) => story.add_churn(),
        _ => story.add_noise(),
    }
}

/// A node and a workload, that have nothing to do with each other.
fn two(story: &mut Story) {
    of_nodes::whole(story);
    let apart = *story.rng.pick(&[0, 30, 120]);
    story.onset = story.onset.saturating_add(Duration::from_secs(apart));
    of_workloads::everywhere(story);
}
