//! What the correlate stage tells its metrics.

use crate::alert::{Alert, Status};
use crate::correlator::Counts;
use crate::kafka::Ticket;
use crate::service::{Shared, wall_clock};
use crate::time::Timestamp;

/// The newest failure that a firing alert tells of; resolved ones are about silence.
pub fn newest_signal(alert: &Alert) -> Option<Timestamp> {
    let signals = alert.signals.iter().map(|signal| signal.last_seen);
    signals.max().filter(|_| alert.status == Status::Firing)
}

pub fn measure(shared: &Shared, ticket: &Ticket) {
    if let Some(record) = ticket.about {
        shared.metrics.alert_latency.observe(wall_clock().since(record));
    }
}

pub fn count(shared: &Shared, counts: &Counts) {
    let metrics = &shared.metrics;
    for (metric, value) in [
        (&metrics.late, counts.late),
        (&metrics.too_old, counts.too_old),
        (&metrics.duplicates, counts.duplicates),
        (&metrics.unknown_rule, counts.unknown_rule),
        (&metrics.evaluations, counts.evaluations),
        (&metrics.alerts_withheld, counts.withheld),
    ] {
        metric.inc_by(value);
    }
    for (limit, value) in [
        ("nodes", counts.evicted_nodes),
        ("pods", counts.evicted_pods),
        ("failing_pods", counts.evicted_failing_pods),
        ("event_counts", counts.evicted_event_counts),
        ("onsets", counts.forgotten_onsets),
        ("capture_values", counts.left_out_captures),
        ("clusters", counts.crowded_out_clusters),
        ("incidents", counts.untold_incidents),
        ("failing_in_alert", counts.shortened_failing),
        ("candidates_in_alert", counts.shortened_candidates),
    ] {
        shared.limit_hits(limit, value);
    }
}
