//! What `/metrics` shows. Registered once, here; stages only count.

use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, text};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

pub type Count = Counter<u64, AtomicU64>;
pub type Level = Gauge<i64, AtomicI64>;

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
pub struct TopicLabel {
    pub topic: String,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
pub struct PartitionLabel {
    pub topic: String,
    pub partition: i32,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
pub struct RuleLabel {
    pub rule: String,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
pub struct ReasonLabel {
    pub reason: String,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
pub struct AlertLabel {
    pub status: &'static str,
    pub scope: &'static str,
}

/// The values of the label `limit`: names of the configuration, but for the last two, which are bounds of the state that
/// follow from others. docs/limits.md says what each does.
pub const LIMITS: &[&str] = &[
    "clusters",
    "matches_per_report",
    "pods_per_report",
    "joined_bytes",
    "open_lines",
    "join_within",
    "known_bytes",
    "nodes",
    "pods",
    "failing_pods",
    "incidents",
    "capture_values",
    "failing_in_alert",
    "candidates_in_alert",
    "reports_in_flight",
    "messages_in_flight",
    "bytes_in_flight",
    "report_bytes",
    "dead_letter_bytes",
    "event_counts",
    "onsets",
    "flaps",
];

/// `limit` is one of [`LIMITS`].
#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
pub struct LimitLabel {
    pub limit: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
pub struct StateLabel {
    pub kind: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
pub struct StageLabel {
    pub stage: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
pub struct OutcomeLabel {
    pub outcome: &'static str,
}

/// All metrics of one process.
pub struct Metrics {
    registry: Registry,
    pub records: Family<TopicLabel, Count>,
    pub bytes: Family<TopicLabel, Count>,
    pub entries: Family<TopicLabel, Count>,
    pub skimmed: Family<TopicLabel, Count>,
    pub future_records: Count,
    pub records_lost: Family<PartitionLabel, Count>,
    pub prefilter_candidates: Family<TopicLabel, Count>,
    pub prefilter_adapted: Count,
    pub matches: Family<RuleLabel, Count>,
    pub dead_lettered: Family<ReasonLabel, Count>,
    pub dead_letters_lost: Count,
    pub reports: Count,
    pub reports_read: Count,
    pub late: Count,
    pub too_old: Count,
    pub duplicates: Count,
    pub unknown_rule: Count,
    pub evaluations: Count,
    pub alerts: Family<AlertLabel, Count>,
    pub alerts_withheld: Count,
    pub alerts_damped: Count,
    pub alerts_silenced: Count,
    pub alerts_unrouted: Count,
    pub silences: Level,
    pub silences_reload_failed: Count,
    pub limits: Family<LimitLabel, Count>,
    pub lag: Family<PartitionLabel, Level>,
    pub state: Family<StateLabel, Level>,
    pub paused: Family<StageLabel, Level>,
    pub partitions: Family<StageLabel, Level>,
    pub exactly_once: Level,
    pub transactions: Family<OutcomeLabel, Count>,
    pub snapshots: Family<OutcomeLabel, Count>,
    pub snapshot_bytes: Level,
    pub rules: Level,
    pub rules_reloaded: Count,
    pub rules_reload_failed: Count,
    /// From an input record's timestamp until the alert that it led to was acknowledged.
    pub alert_latency: Latency,
    /// From the first record of a flush until its reports were acknowledged.
    pub report_latency: Latency,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("faultline");
        let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "Version of this faultline", build);
        let mut metrics = Metrics {
            registry: Registry::default(),
            records: Family::default(),
            bytes: Family::default(),
            entries: Family::default(),
            skimmed: Family::default(),
            future_records: Count::default(),
            records_lost: Family::default(),
            prefilter_candidates: Family::default(),
            prefilter_adapted: Count::default(),
            matches: Family::default(),
            dead_lettered: Family::default(),
            dead_letters_lost: Count::default(),
            reports: Count::default(),
            reports_read: Count::default(),
            late: Count::default(),
            too_old: Count::default(),
            duplicates: Count::default(),
            unknown_rule: Count::default(),
            evaluations: Count::default(),
            alerts: Family::default(),
            alerts_withheld: Count::default(),
            alerts_damped: Count::default(),
            alerts_silenced: Count::default(),
            alerts_unrouted: Count::default(),
            silences: Level::default(),
            silences_reload_failed: Count::default(),
            limits: Family::default(),
            lag: Family::default(),
            state: Family::default(),
            paused: Family::default(),
            partitions: Family::default(),
            exactly_once: Level::default(),
            transactions: Family::default(),
            snapshots: Family::default(),
            snapshot_bytes: Level::default(),
            rules: Level::default(),
            rules_reloaded: Count::default(),
            rules_reload_failed: Count::default(),
            alert_latency: Latency::new(
                "alert_latency",
                "From an input record's timestamp until its alert was acknowledged, since the start",
            ),
            report_latency: Latency::new(
                "report_latency",
                "From the first record of a flush until its reports were acknowledged, since the start",
            ),
        };
        metrics.register_scan(&mut registry);
        metrics.register_correlate(&mut registry);
        metrics.register_service(&mut registry);
        metrics.registry = registry;
        metrics
    }
}

impl Metrics {
    /// The text that Prometheus scrapes (OpenMetrics).
    ///
    /// # Errors
    /// Only if writing to a string fails.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        text::encode(&mut text, &self.registry)?;
        Ok(text)
    }

    fn register_scan(&self, registry: &mut Registry) {
        registry.register("records", "Input records that were read", self.records.clone());
        registry.register_with_unit("input", "Bytes of the values that were read", Unit::Bytes, self.bytes.clone());
        registry.register("entries", "Log entries and events found in input records", self.entries.clone());
        registry.register(
            "records_skimmed",
            "Input records that held no signature, told without decoding them",
            self.skimmed.clone(),
        );
        registry.register(
            "future_records",
            "Records whose time lay too far in the future to be heeded",
            self.future_records.clone(),
        );
        registry.register(
            "records_lost",
            "Input records that were deleted before they could be read",
            self.records_lost.clone(),
        );
        registry.register(
            "prefilter_candidates",
            "Input records that were decoded only because what a rule is looked for by is in them",
            self.prefilter_candidates.clone(),
        );
        registry.register(
            "prefilter_adapted",
            "Times that rules came to be looked for by literals that are rarer in the logs",
            self.prefilter_adapted.clone(),
        );
        registry.register("matches", "Records that matched a rule", self.matches.clone());
        registry.register("dead_lettered", "Records written to the dead-letter topic", self.dead_lettered.clone());
        registry.register(
            "dead_letters_lost",
            "Records that the dead-letter topic did not take; the stream went on",
            self.dead_letters_lost.clone(),
        );
        registry.register("reports", "Reports that the scan stage wrote", self.reports.clone());
        registry.register_collector(Box::new(self.report_latency.clone()));
    }

    fn register_correlate(&self, registry: &mut Registry) {
        registry.register("reports_read", "Reports that the correlate stage read", self.reports_read.clone());
        registry.register(
            "late",
            "Matches behind the watermark and the allowed lateness; still used",
            self.late.clone(),
        );
        registry.register("too_old", "Matches older than their window; dropped", self.too_old.clone());
        registry.register("duplicates", "Matches whose position was seen before; dropped", self.duplicates.clone());
        registry.register("unknown_rule", "Matches of rules that are not in force; dropped", self.unknown_rule.clone());
        registry.register("evaluations", "Times that windows were evaluated", self.evaluations.clone());
        registry.register("alerts", "Alerts that were written", self.alerts.clone());
        registry.register(
            "alerts_withheld",
            "Alerts about what was long ago when it was read; not written",
            self.alerts_withheld.clone(),
        );
        registry.register(
            "alerts_damped",
            "Ends of incidents that flap; not told, because they may begin again",
            self.alerts_damped.clone(),
        );
        registry.register(
            "alerts_silenced",
            "Alerts that an output was not told of because of a silence or mute window",
            self.alerts_silenced.clone(),
        );
        registry.register("alerts_unrouted", "Alerts that the routes give to no output", self.alerts_unrouted.clone());
        registry.register("silences", "Silences and mute windows in force", self.silences.clone());
        registry.register(
            "silences_reload_failed",
            "Times that changed silences could not be used; those before stayed in force",
            self.silences_reload_failed.clone(),
        );
        registry.register("state", "Entries of the correlator's state", self.state.clone());
        registry.register(
            "transactions",
            "Transactions of the correlate stage, by what became of them",
            self.transactions.clone(),
        );
        registry.register(
            "snapshots",
            "Snapshots of the correlate stage's state: written, restored, unusable, or absent when one was looked for",
            self.snapshots.clone(),
        );
        registry.register_with_unit(
            "snapshot",
            "Size of the newest snapshot, before compression",
            Unit::Bytes,
            self.snapshot_bytes.clone(),
        );
        registry.register_collector(Box::new(self.alert_latency.clone()));
    }

    fn register_service(&self, registry: &mut Registry) {
        registry.register(
            "limit_hits",
            "Times that a limit pushed something out or held something up",
            self.limits.clone(),
        );
        registry.register(
            "lag_records",
            "Records behind the high watermark of a partition that is owned",
            self.lag.clone(),
        );
        registry.register(
            "paused",
            "1 while a stage does not fetch because what it sent is not acknowledged",
            self.paused.clone(),
        );
        registry.register("partitions", "Partitions that a stage owns", self.partitions.clone());
        registry.register(
            "exactly_once",
            "1 when alerts and offsets are written in transactions",
            self.exactly_once.clone(),
        );
        registry.register("rules", "Rules in force", self.rules.clone());
        registry.register(
            "rules_reloaded",
            "Times that rules were read again and put in force",
            self.rules_reloaded.clone(),
        );
        registry.register(
            "rules_reload_failed",
            "Times that changed rules could not be used; those before stay in force",
            self.rules_reload_failed.clone(),
        );
    }
}

/// A histogram that is shown as quantiles. Resolution: 1 ms, three digits; longer than a day counts as a day.
#[derive(Clone, Debug)]
pub struct Latency {
    name: &'static str,
    help: &'static str,
    milliseconds: Arc<Mutex<Histogram<u64>>>,
}

const DAY_MS: u64 = 24 * 3600 * 1000;
const QUANTILES: [(&str, f64); 4] = [("0.5", 0.5), ("0.9", 0.9), ("0.99", 0.99), ("1", 1.0)];

impl Latency {
    fn new(name: &'static str, help: &'static str) -> Self {
        // The bounds are constants that the histogram accepts (1 ≤ low, 2 × low ≤ high, digits ≤ 5).
        let histogram = Histogram::new_with_bounds(1, DAY_MS, 3).expect("bounds are valid");
        Latency { name, help, milliseconds: Arc::new(Mutex::new(histogram)) }
    }

    pub fn observe(&self, duration: Duration) {
        let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        self.histogram().saturating_record(ms.clamp(1, DAY_MS));
    }

    /// How many were observed, and the quantile (0 to 1) of them.
    pub fn quantile(&self, quantile: f64) -> (u64, Duration) {
        let histogram = self.histogram();
        (histogram.len(), Duration::from_millis(histogram.value_at_quantile(quantile)))
    }

    fn histogram(&self) -> MutexGuard<'_, Histogram<u64>> {
        self.milliseconds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collector for Latency {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let histogram = self.histogram();
        let kind = prometheus_client::metrics::MetricType::Gauge;
        let mut family = encoder.encode_descriptor(self.name, self.help, Some(&Unit::Seconds), kind)?;
        for (label, quantile) in QUANTILES {
            #[allow(clippy::cast_precision_loss, reason = "a day in milliseconds fits the mantissa")]
            let seconds = histogram.value_at_quantile(quantile) as f64 / 1000.0;
            ConstGauge::new(seconds).encode(family.encode_family(&[("quantile", label)])?)?;
        }
        let count = ConstCounter::new(histogram.len());
        let name = format!("{}_observations", self.name);
        let kind = prometheus_client::metrics::MetricType::Counter;
        count.encode(encoder.encode_descriptor(&name, "How many were measured", None, kind)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_names_units_and_quantiles() {
        let metrics = Metrics::default();
        metrics.records.get_or_create(&TopicLabel { topic: "container-logs".to_owned() }).inc_by(3);
        metrics.bytes.get_or_create(&TopicLabel { topic: "container-logs".to_owned() }).inc_by(900);
        metrics.dead_lettered.get_or_create(&ReasonLabel { reason: "tombstone".to_owned() }).inc();
        for ms in [10, 20, 1500] {
            metrics.alert_latency.observe(Duration::from_millis(ms));
        }
        let text = metrics.encode().unwrap();
        for line in [
            "faultline_records_total{topic=\"container-logs\"} 3",
            "faultline_input_bytes_total{topic=\"container-logs\"} 900",
            "faultline_dead_lettered_total{reason=\"tombstone\"} 1",
            "# UNIT faultline_alert_latency_seconds seconds",
            "faultline_alert_latency_seconds{quantile=\"0.5\"} 0.02",
            "faultline_alert_latency_observations_total 3",
            "# EOF",
        ] {
            assert!(text.lines().any(|l| l == line), "`{line}` is missing in:\n{text}");
        }
    }

    #[test]
    fn extremes_are_clamped() {
        let latency = Latency::new("x", "x");
        latency.observe(Duration::MAX);
        latency.observe(Duration::ZERO);
        let (count, longest) = latency.quantile(1.0);
        assert_eq!(count, 2);
        assert!(longest >= Duration::from_secs(24 * 3600 - 60), "{longest:?}");
    }
}
