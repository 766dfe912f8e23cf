//! What the correlate stage tells its metrics.

use crate::alert::{Alert, Status};
use crate::correlator::Counts;
use crate::kafka::Ticket;
use crate::metrics::AlertLabel;
use crate::notifier::Notices;
use crate::service::{Shared, wall_clock};

pub fn count_alert(shared: &Shared, alert: &Alert) {
    let status = match alert.status {
        Status::Firing => "firing",
        Status::Resolved => "resolved",
    };
    let label = AlertLabel { status, scope: alert.scope.as_str() };
    shared.metrics.alerts.get_or_create(&label).inc();
}

pub fn count_notices(shared: &Shared, notices: &Notices) {
    shared.metrics.alerts_silenced.inc_by(notices.silenced);
    shared.metrics.alerts_unrouted.inc_by(notices.unrouted);
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
        (&metrics.alerts_damped, counts.damped),
    ] {
        metric.inc_by(value);
    }
    for (limit, value) in [
        ("nodes", counts.evicted_nodes),
        ("pods", counts.evicted_pods),
        ("failing_pods", counts.evicted_failing_pods),
        ("event_counts", counts.evicted_event_counts),
        ("onsets", counts.forgotten_onsets),
        ("flaps", counts.forgotten_flaps),
        ("capture_values", counts.left_out_captures),
        ("clusters", counts.crowded_out_clusters),
        ("incidents", counts.untold_incidents),
        ("failing_in_alert", counts.shortened_failing),
        ("candidates_in_alert", counts.shortened_candidates),
    ] {
        shared.limit_hits(limit, value);
    }
}
