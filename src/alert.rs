//! The alert as faultline says it (schema `faultline.alert/v1`), and the formats that bridges want.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::signature::Severity;
use crate::time::{Timestamp, rfc3339};

pub const SCHEMA: &str = "faultline.alert/v1";

/// One message on the alerts topic. Its Kafka key is `dedup_key`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Alert {
    pub schema: String,
    /// `dedup_key`, `#`, and a number that grows from message to message: the event time of the evaluation that made it
    /// (milliseconds), so that the same input gives the same ids, whatever came before.
    pub id: String,
    /// Stable over the life of an incident; at most 255 characters.
    pub dedup_key: String,
    pub status: Status,
    pub severity: Severity,
    pub cluster: Arc<str>,
    pub scope: Scope,
    pub suspect: Suspect,
    pub verdict: Verdict,
    /// Posterior probability of the suspect, 0 to 1, rounded to three digits.
    pub probability: f64,
    pub summary: String,
    /// Onset: the first failure that the incident covers.
    #[serde(with = "rfc3339")]
    pub starts_at: Timestamp,
    #[serde(with = "rfc3339")]
    pub updated_at: Timestamp,
    #[serde(with = "rfc3339::option")]
    pub ends_at: Option<Timestamp>,
    pub window: Window,
    pub signals: Vec<Signal>,
    pub evidence: Evidence,
    /// The hypotheses that were compared, likeliest first, the suspect included.
    pub candidates: Vec<Candidate>,
    pub failing: Vec<FailingPod>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runbook: Option<String>,
    /// On a resolved alert: the `dedup_key` of the incident that explains it better.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub superseded_by: Option<String>,
    /// The incident began and ended several times lately: it counts as over only once it stays so.
    #[serde(default, skip_serializing_if = "is_false")]
    pub flapping: bool,
    /// What a reader should know about the verdict: inventory not known yet, why it was resolved, …
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

fn is_false(value: &bool) -> bool {
    !value
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Firing,
    Resolved,
}

/// Ordered as people act on them: the narrower, the sooner.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    Pod,
    Node,
    Workload,
    Image,
    NodePool,
    Cluster,
}

impl Scope {
    /// The word of the schema.
    pub fn as_str(self) -> &'static str {
        match self {
            Scope::Pod => "pod",
            Scope::Node => "node",
            Scope::Workload => "workload",
            Scope::Image => "image",
            Scope::NodePool => "node_pool",
            Scope::Cluster => "cluster",
        }
    }
}

/// What is accused: an object with the one key of its scope, empty for the cluster.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(into = "BTreeMap<String, Arc<str>>", try_from = "BTreeMap<String, Arc<str>>")]
pub enum Suspect {
    Pod(Arc<str>),
    Node(Arc<str>),
    Workload(Arc<str>),
    Image(Arc<str>),
    NodePool(Arc<str>),
    Cluster,
}

impl Suspect {
    pub fn scope(&self) -> Scope {
        match self {
            Suspect::Pod(_) => Scope::Pod,
            Suspect::Node(_) => Scope::Node,
            Suspect::Workload(_) => Scope::Workload,
            Suspect::Image(_) => Scope::Image,
            Suspect::NodePool(_) => Scope::NodePool,
            Suspect::Cluster => Scope::Cluster,
        }
    }

    /// `node akswin000001`.
    pub fn in_words(&self) -> String {
        match self {
            Suspect::Pod(name) => format!("pod {name}"),
            Suspect::Node(name) => format!("node {name}"),
            Suspect::Workload(name) => format!("workload {name}"),
            Suspect::Image(name) => format!("image {name}"),
            Suspect::NodePool(name) => format!("node pool {name}"),
            Suspect::Cluster => "the cluster".to_owned(),
        }
    }

    /// The suspect's name; empty for the cluster.
    pub fn name(&self) -> &str {
        match self {
            Suspect::Pod(name)
            | Suspect::Node(name)
            | Suspect::Workload(name)
            | Suspect::Image(name)
            | Suspect::NodePool(name) => name,
            Suspect::Cluster => "",
        }
    }
}

impl From<Suspect> for BTreeMap<String, Arc<str>> {
    fn from(suspect: Suspect) -> Self {
        match suspect {
            Suspect::Cluster => BTreeMap::new(),
            named => BTreeMap::from([(named.scope().as_str().to_owned(), Arc::from(named.name()))]),
        }
    }
}

impl TryFrom<BTreeMap<String, Arc<str>>> for Suspect {
    type Error = String;

    fn try_from(map: BTreeMap<String, Arc<str>>) -> Result<Self, String> {
        let mut entries = map.into_iter();
        let Some((scope, name)) = entries.next() else {
            return Ok(Suspect::Cluster);
        };
        match (scope.as_str(), entries.next()) {
            ("pod", None) => Ok(Suspect::Pod(name)),
            ("node", None) => Ok(Suspect::Node(name)),
            ("workload", None) => Ok(Suspect::Workload(name)),
            ("image", None) => Ok(Suspect::Image(name)),
            ("node_pool", None) => Ok(Suspect::NodePool(name)),
            _ => Err(format!("a suspect has one key that is a scope, not `{scope}`")),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Suspected,
    Confirmed,
}

impl Verdict {
    /// The word of the schema.
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Suspected => "suspected",
            Verdict::Confirmed => "confirmed",
        }
    }
}

/// The sliding window that the verdict rests on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Window {
    #[serde(with = "rfc3339")]
    pub from: Timestamp,
    #[serde(with = "rfc3339")]
    pub to: Timestamp,
}

/// What one rule saw.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Signal {
    pub signature: Arc<str>,
    pub matches: u64,
    pub pods: u64,
    #[serde(with = "rfc3339")]
    pub first_seen: Timestamp,
    #[serde(with = "rfc3339")]
    pub last_seen: Timestamp,
    /// Capture name → value → how often.
    pub captures: BTreeMap<Arc<str>, BTreeMap<String, u64>>,
    /// Captured code → its name.
    pub meaning: BTreeMap<String, String>,
    pub sample: Option<String>,
}

/// The counts behind the probability.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Evidence {
    /// Distinct failing pods inside the suspect, and pods that were exposed to it.
    pub failing_pods: u64,
    pub exposed_pods: u64,
    /// The same outside of it, among comparable pods.
    pub failing_elsewhere: u64,
    pub exposed_elsewhere: u64,
    /// Distinct workloads among the failing pods inside.
    pub workloads: u64,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Candidate {
    pub scope: Scope,
    pub suspect: Suspect,
    pub probability: f64,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct FailingPod {
    pub namespace: Arc<str>,
    pub pod: Arc<str>,
    pub workload: Arc<str>,
    pub node: Option<Arc<str>>,
    pub signatures: Vec<Arc<str>>,
}
