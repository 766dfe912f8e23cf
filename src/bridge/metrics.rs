//! What `/metrics` shows of a bridge.

use std::fmt;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::metrics::{Count, Level, LimitLabel, ReasonLabel};

/// The values of the label `limit`: keys of the section `bridge`. docs/limits.md says what each does.
pub const LIMITS: &[&str] = &["waiting", "waiting_bytes", "remembered"];

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
pub struct StatusLabel {
    /// Of HTTP; `none` where there was no answer.
    pub status: String,
}

/// All metrics of one bridge.
pub struct Metrics {
    registry: Registry,
    pub records: Count,
    pub delivered: Count,
    pub requests: Family<StatusLabel, Count>,
    pub retried: Count,
    pub dead_lettered: Family<ReasonLabel, Count>,
    pub dead_letters_lost: Count,
    pub coalesced: Count,
    pub duplicates: Count,
    pub limits: Family<LimitLabel, Count>,
    pub rate_limited_seconds: Counter<f64, AtomicU64>,
    pub waiting: Level,
    pub oldest_waiting_seconds: Gauge<f64, AtomicU64>,
    pub blocked: Level,
    pub partitions: Level,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("faultline");
        registry.register(
            "build",
            "Version of this faultline",
            Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]),
        );
        let mut metrics = Metrics {
            registry: Registry::default(),
            records: Count::default(),
            delivered: Count::default(),
            requests: Family::default(),
            retried: Count::default(),
            dead_lettered: Family::default(),
            dead_letters_lost: Count::default(),
            coalesced: Count::default(),
            duplicates: Count::default(),
            limits: Family::default(),
            rate_limited_seconds: Counter::default(),
            waiting: Level::default(),
            oldest_waiting_seconds: Gauge::default(),
            blocked: Level::default(),
            partitions: Level::default(),
        };
        metrics.register(registry.sub_registry_with_prefix("bridge"));
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

    fn register(&self, registry: &mut Registry) {
        registry.register("records", "Records of the alerts topic that were read", self.records.clone());
        registry.register("delivered", "Alerts that the receiver took", self.delivered.clone());
        registry.register("requests", "Requests to the receiver, by the status of the answer", self.requests.clone());
        registry.register("retried", "Requests that are made again", self.retried.clone());
        registry.register("dead_lettered", "Alerts written to the dead-letter topic", self.dead_lettered.clone());
        registry.register(
            "dead_letters_lost",
            "Alerts that the dead-letter topic did not take; the stream went on",
            self.dead_letters_lost.clone(),
        );
        registry.register(
            "coalesced",
            "Alerts that were not sent because a newer one of their incident came while they waited",
            self.coalesced.clone(),
        );
        registry.register("duplicates", "Alerts whose id was seen before; not sent", self.duplicates.clone());
        registry.register(
            "limit_hits",
            "Times that a limit held reading up or made the bridge forget",
            self.limits.clone(),
        );
        registry.register_with_unit(
            "rate_limited",
            "Time that alerts waited for the receiver's rate limit",
            Unit::Seconds,
            self.rate_limited_seconds.clone(),
        );
        registry.register("waiting", "Alerts that wait to be delivered", self.waiting.clone());
        registry.register_with_unit(
            "oldest_waiting",
            "How long the oldest of them waits",
            Unit::Seconds,
            self.oldest_waiting_seconds.clone(),
        );
        registry.register(
            "blocked",
            "1 while nothing is delivered before somebody mends the URL, the key or the token",
            self.blocked.clone(),
        );
        registry.register(
            "partitions",
            "Partitions of the alerts topic that this bridge owns",
            self.partitions.clone(),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_units_are_shown() {
        let metrics = Metrics::default();
        metrics.rate_limited_seconds.inc_by(1.5);
        metrics.oldest_waiting_seconds.set(2.0);
        metrics.requests.get_or_create(&StatusLabel { status: "202".to_owned() }).inc();
        let text = metrics.encode().unwrap();
        for line in [
            "faultline_bridge_delivered_total 0",
            "faultline_bridge_rate_limited_seconds_total 1.5",
            "faultline_bridge_oldest_waiting_seconds 2.0",
            "faultline_bridge_requests_total{status=\"202\"} 1",
        ] {
            assert!(text.lines().any(|l| l == line), "`{line}` is missing in:\n{text}");
        }
    }
}
