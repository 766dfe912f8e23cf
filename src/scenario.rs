//! Made-up stretches of a cluster's life, as real producers would write them to Kafka: Fluent Bit's JSON for container
//! logs, core/v1 Events for the rest. For the demo, tests and benches.
//!
//! Every scenario is made from a start and a seed alone: the same arguments give the same bytes.

use std::time::Duration;

use crate::time::Timestamp;

mod broken_workload;
mod chatter;
mod founding_case;
mod healthy;
pub(crate) mod lines;
pub(crate) mod rng;
pub(crate) mod wire;
pub(crate) mod world;

pub use chatter::{Chatter, chatter};

/// What happened, in the order in which it was written, and what was the matter.
#[derive(Clone, PartialEq, Debug)]
pub struct Scenario {
    /// Ordered by time.
    pub records: Vec<ScenarioRecord>,
    /// When the trouble (or the change that is none) begins; all before is history.
    pub turning_point: Timestamp,
    pub truth: Truth,
}

/// One Kafka record to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ScenarioRecord {
    /// When it was written: Kafka's timestamp, and when a live play sends it.
    pub at: Timestamp,
    pub stream: Stream,
    /// Log shippers write no key by default, so there is mostly none.
    pub key: Option<String>,
    pub value: String,
}

/// Which topic a record is for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Stream {
    Logs,
    Events,
}

/// What an investigation should find.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Truth {
    /// The node at fault, if it is one.
    pub node: Option<String>,
    /// The workload at fault, `namespace/name`, if it is one.
    pub workload: Option<String>,
    /// Every pod that failed, by its first failure.
    pub failing: Vec<FailingPod>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FailingPod {
    pub namespace: String,
    pub pod: String,
    /// `namespace/name`.
    pub workload: String,
    pub node: String,
    pub first_failure: Timestamp,
}

impl Truth {
    /// From here on the fault can be known: one pod that fails may be just that pod.
    pub fn second_failure(&self) -> Option<Timestamp> {
        self.failing.get(1).map(|pod| pod.first_failure)
    }
}

/// The case that faultline was built for: a rollout on AKS, two Windows and two Linux nodes. Of ten new `sitecore/cd`
/// pods the two on `akswin000001` cannot start, nor can the `sitecore/xdbcollection` pod and the monitoring agent
/// there; all that ran there before goes on, and so do the siblings elsewhere.
///
/// `history` of healthy life comes before the rollout, `failing` is how long it is watched from then on.
pub fn founding_case(start: Timestamp, seed: u64, history: Duration, failing: Duration) -> Scenario {
    founding_case::tell(start, seed, history, failing)
}

/// A new revision of `shop/checkout` panics on each of the six nodes that it runs on, while another rollout of the
/// same minute goes well.
pub fn broken_workload(start: Timestamp, seed: u64, history: Duration, failing: Duration) -> Scenario {
    broken_workload::tell(start, seed, history, failing)
}

/// Nothing is the matter: a rollout, a scale-down, failing readiness probes for a while, nightly jobs, some errors
/// that applications log every day.
pub fn healthy(start: Timestamp, seed: u64, length: Duration) -> Scenario {
    healthy::tell(start, seed, length)
}

#[cfg(test)]
mod tests;
