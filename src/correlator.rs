//! The correlate stage: a deterministic state machine over the reports of one cluster.

use std::sync::Arc;
use std::time::Duration;

use crate::alert::Alert;
use crate::report::Report;
use crate::ruleset::RuleSet;

/// What an operator can set; the names are those of the configuration.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Options {
    pub windows: Windows,
    pub alerts: Alerts,
    pub limits: Limits,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Windows {
    pub size: Duration,
    /// How often windows are evaluated, in event time; windows begin and end at multiples of it.
    pub slide: Duration,
    /// Older than the watermark by more than this counts as late (and is still used while its window lasts).
    pub allowed_lateness: Duration,
}

impl Default for Windows {
    fn default() -> Self {
        Windows {
            size: Duration::from_secs(600),
            slide: Duration::from_secs(5),
            allowed_lateness: Duration::from_secs(5),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Alerts {
    /// Without any match for this long, while the suspect still sends records, an incident is over.
    pub keep_firing_for: Duration,
    pub renotify: Duration,
    /// From this probability on a verdict may be `confirmed`.
    pub min_probability: f64,
    /// A verdict that stays `suspected` is told only after this long: the next pod often decides.
    pub hold_suspected: Duration,
    /// A pod that fails alone is told only after this long.
    pub hold_pod: Duration,
    /// A pod that ran without a match for this long has recovered.
    pub recovered_after: Duration,
    /// A cluster watched for less than this is not known yet: verdicts are capped at `suspected`.
    pub warm_up: Duration,
}

impl Default for Alerts {
    fn default() -> Self {
        Alerts {
            keep_firing_for: Duration::from_secs(300),
            renotify: Duration::from_secs(4 * 3600),
            min_probability: 0.8,
            hold_suspected: Duration::from_secs(60),
            hold_pod: Duration::from_secs(300),
            recovered_after: Duration::from_secs(120),
            warm_up: Duration::from_secs(60),
        }
    }
}

/// Bounds of one cluster's state; what is older goes first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    pub nodes: usize,
    pub pods: usize,
    pub failing_pods: usize,
    pub incidents: usize,
    /// Distinct values kept per capture of a signal.
    pub capture_values: usize,
    /// Entries of an alert's `failing` list and of its `candidates`.
    pub failing_in_alert: usize,
    pub candidates_in_alert: usize,
    /// A pod that no record mentioned for this long is forgotten.
    pub pod_ttl: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            nodes: 10_000,
            pods: 300_000,
            failing_pods: 20_000,
            incidents: 1_000,
            capture_values: 20,
            failing_in_alert: 100,
            candidates_in_alert: 5,
            pod_ttl: Duration::from_secs(3600),
        }
    }
}

/// The state of one cluster.
pub struct Correlator {
    _rules: Arc<RuleSet>,
}

/// What one report led to.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Outcome {
    /// In the order in which they are to be sent.
    pub alerts: Vec<Alert>,
    pub counts: Counts,
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
    pub evicted_incidents: u64,
}

/// How much state there is, for metrics.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sizes {
    pub partitions: usize,
    pub nodes: usize,
    pub pods: usize,
    pub failing_pods: usize,
    pub incidents: usize,
}

impl Correlator {
    pub fn new(_cluster: Arc<str>, rules: Arc<RuleSet>, _options: Options) -> Self {
        Correlator { _rules: rules }
    }

    /// Takes in one report; when it moved the watermark past a slide boundary, the windows are evaluated.
    pub fn apply(&mut self, _report: &Report) -> Outcome {
        Outcome::default()
    }

    pub fn sizes(&self) -> Sizes {
        Sizes::default()
    }
}
