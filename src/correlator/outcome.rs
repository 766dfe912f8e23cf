//! What a report led to, and the counts of it.

use super::Explained;
use crate::alert::{Alert, Status};
use crate::time::Timestamp;

/// What one report led to.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Outcome {
    /// When the report was written.
    pub present: Timestamp,
    /// In the order in which they are to be sent.
    pub alerts: Vec<Alert>,
    /// How open incidents stand of which there is no news, for receivers that want to hear of them all the same. Told as
    /// often as [`super::Alerts::remind_every`] says.
    pub reminders: Vec<Alert>,
    /// With [`super::Options::explain`] one for each alert, in the same order; else none.
    pub explanations: Vec<Explained>,
    pub counts: Counts,
}

impl Outcome {
    /// Takes the first word of an incident back that another one takes over from at the same moment, also from those that
    /// it had taken over from. Says whether there was one.
    pub(super) fn take_back(&mut self, (dedup_key, now): (&str, Timestamp), heir: &str) -> bool {
        let is_now = |alert: &Alert| alert.updated_at == now && alert.status == Status::Firing;
        let is_first = |alert: &Alert| alert.dedup_key == dedup_key && is_now(alert);
        let Some(index) = self.alerts.iter().position(is_first) else { return false };
        self.alerts.remove(index);
        if index < self.explanations.len() {
            self.explanations.remove(index);
        }
        for alert in self.alerts.iter_mut().filter(|alert| alert.superseded_by.as_deref() == Some(dedup_key)) {
            alert.superseded_by = Some(heir.to_owned());
            alert.notes = vec![format!("superseded by {heir}")];
        }
        true
    }

    /// What another cluster's correlator made of the same report.
    pub fn add(&mut self, other: Outcome) {
        self.present = self.present.max(other.present);
        self.alerts.extend(other.alerts);
        self.reminders.extend(other.reminders);
        self.explanations.extend(other.explanations);
        self.counts += other.counts;
    }
}

/// For metrics only.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    pub matches: u64,
    /// Dropped: their position had been seen.
    pub duplicates: u64,
    /// Older than the watermark minus the allowed lateness; used all the same.
    pub late: u64,
    /// Older than the window; dropped.
    pub too_old: u64,
    /// Of rules that this rule set does not have; dropped.
    pub unknown_rule: u64,
    /// Windows that were evaluated.
    pub evaluations: u64,
    /// What a limit pushed out.
    pub evicted_nodes: u64,
    pub evicted_pods: u64,
    pub evicted_failing_pods: u64,
    pub evicted_event_counts: u64,
    pub forgotten_onsets: u64,
    pub left_out_captures: u64,
    /// Clusters for which there was no room: another one was let go, or the report was left out.
    pub crowded_out_clusters: u64,
    /// Incidents that could not be opened, counted at each evaluation.
    pub untold_incidents: u64,
    /// Alerts that were not told because what they tell of is long ago.
    pub withheld: u64,
    /// Ends of incidents that flap, which were not told.
    pub damped: u64,
    /// Beginnings of incidents that were forgotten too early to know whether they flap.
    pub forgotten_flaps: u64,
    /// Alerts that do not name all failing pods, or all candidates.
    pub shortened_failing: u64,
    pub shortened_candidates: u64,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Counts) {
        // Named one by one, so that a new count cannot be forgotten.
        let Counts {
            matches,
            duplicates,
            late,
            too_old,
            unknown_rule,
            evaluations,
            evicted_nodes,
            evicted_pods,
            evicted_failing_pods,
            evicted_event_counts,
            forgotten_onsets,
            left_out_captures,
            crowded_out_clusters,
            untold_incidents,
            withheld,
            damped,
            forgotten_flaps,
            shortened_failing,
            shortened_candidates,
        } = other;
        self.matches += matches;
        self.duplicates += duplicates;
        self.late += late;
        self.too_old += too_old;
        self.unknown_rule += unknown_rule;
        self.evaluations += evaluations;
        self.evicted_nodes += evicted_nodes;
        self.evicted_pods += evicted_pods;
        self.evicted_failing_pods += evicted_failing_pods;
        self.evicted_event_counts += evicted_event_counts;
        self.forgotten_onsets += forgotten_onsets;
        self.left_out_captures += left_out_captures;
        self.crowded_out_clusters += crowded_out_clusters;
        self.untold_incidents += untold_incidents;
        self.withheld += withheld;
        self.damped += damped;
        self.forgotten_flaps += forgotten_flaps;
        self.shortened_failing += shortened_failing;
        self.shortened_candidates += shortened_candidates;
    }
}
