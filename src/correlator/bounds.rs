//! The bounds of one cluster's state: who makes room, and how that is counted.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

use super::fairness::{self, Tenant};
use super::incident::Incident;
use super::{Correlator, Counts};

/// A cluster that brought something in so many reports is one that goes on, and not easily let go.
const STANDING_REPORTS: u32 = 3;
/// It is let go for a new one when nothing came for so long.
const LONG_SILENT: Duration = Duration::from_secs(600);

/// How often reports of the cluster came; heartbeats do not count.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Spoken {
    reports: u32,
    /// The watermark after the last of them.
    at: Option<Timestamp>,
}

impl Spoken {
    pub fn note(&mut self, watermark: Option<Timestamp>) {
        self.reports = self.reports.saturating_add(1);
        self.at = watermark;
    }
}

impl Correlator {
    /// Whether the cluster may be forgotten for another one, and then who is to be first, by the least: new ones at once,
    /// those that came again and again only after a long silence, none that has an open incident.
    pub fn may_go(&self) -> Option<impl Ord + use<>> {
        let reports = self.spoken.reports.min(STANDING_REPORTS);
        let silence = self.watermarks.current().zip(self.spoken.at).map(|(now, at)| now.since(at));
        let may = self.incidents.is_empty() && (reports < STANDING_REPORTS || silence >= Some(LONG_SILENT));
        may.then_some((reports, self.spoken.at))
    }

    pub(super) fn bound_failures(&mut self) {
        let most = self.options.limits.failing_pods;
        let inventory = &self.inventory;
        let failures = &mut self.failures;
        if failures.keep(most, |node| inventory.tenant_of_node(node)) {
            let is_known = |pod: &Arc<str>| failures.pods.contains_key(pod);
            self.windows.values_mut().for_each(|window| window.retain_pods(is_known));
        }
        // Node names come from records: a host field that is new in every line must not grow this without end.
        if self.windows.len() > most {
            let slide = self.options.windows.slide;
            let tenant = |node: &str| inventory.tenant_of_node(node);
            failures.evicted += fairness::evict(
                &mut self.windows,
                |(node, _), _| node.as_deref().and_then(tenant),
                |window| window.newest(slide),
            );
        }
    }

    pub(super) fn bound_event_counts(&mut self) {
        if self.event_counts.len() > self.options.limits.pods {
            let seen = &mut self.event_counts;
            self.evicted_event_counts += fairness::evict(seen, |_, seen| Some(seen.tenant), |seen| seen.at);
        }
    }

    /// Whether one more incident may be opened. An open one is not pushed out, it would only open again. So what fails in
    /// one namespace alone may have fewer open than are left for others: however many do so, there is always room.
    pub(super) fn has_room_for(&self, incident: &Incident) -> bool {
        let most = self.options.limits.incidents.max(1);
        let left = most.saturating_sub(self.incidents.len());
        let Some(tenant) = only_tenant(incident) else { return left > 0 };
        let is_theirs = |other: &&Incident| only_tenant(other) == Some(tenant);
        // Counted only where it may matter.
        left > most / 2 || self.incidents.values().filter(is_theirs).count() < left
    }

    pub(super) fn count_evictions(&mut self, counts: &mut Counts) {
        counts.evicted_pods = std::mem::take(&mut self.inventory.evicted_pods);
        counts.evicted_nodes = std::mem::take(&mut self.inventory.evicted_nodes);
        counts.evicted_failing_pods = std::mem::take(&mut self.failures.evicted);
        counts.evicted_event_counts = std::mem::take(&mut self.evicted_event_counts);
        counts.forgotten_onsets = std::mem::take(&mut self.failures.onsets_forgotten);
        counts.forgotten_flaps = std::mem::take(&mut self.flaps.evicted);
        counts.left_out_captures = std::mem::take(&mut self.failures.captures_left_out);
    }
}

/// The namespace that all pods of an incident are of.
fn only_tenant(incident: &Incident) -> Option<Tenant> {
    let mut tenants = incident.members.keys().map(|pod| Tenant::of_pod(pod));
    let first = tenants.next()?;
    tenants.all(|tenant| tenant == first).then_some(first)
}
