//! What the scan stage tells the correlate stage: per flush interval one [`Report`] for each cluster of which something
//! was read, and a heartbeat for all clusters.
//!
//! Reports are the only interface between the two stages. They are several orders of magnitude smaller than the
//! records that they cover, and they carry every fact and every time that the correlator may use, so that the same
//! reports always lead to the same alerts. On the wire a report is one JSON object, keyed by cluster; a heartbeat goes
//! to every partition of the topic, behind the reports of its flush.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::record::Partition;
use crate::time::Timestamp;

mod split;

pub use split::Parts;

/// The wire version that this build writes.
pub const VERSION: u16 = 2;
/// The oldest that it reads: version 1 had no heartbeats, and every report named all partitions. Such a report is one of
/// a cluster of which nothing more follows.
pub const OLDEST_VERSION: u16 = 1;

#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Report {
    pub version: u16,
    /// `None`: a heartbeat, for every cluster whose reports are in the same partition of the topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<Arc<str>>,
    /// More of this flush follows, at the latest its heartbeat: event time must not be judged by this report alone.
    #[serde(default, skip_serializing_if = "is_false")]
    pub more: bool,
    /// Which scanner wrote it; for people, never for decisions.
    pub scanner: Arc<str>,
    /// Counts the reports of that scanner since it started; parts of one share its number.
    pub sequence: u64,
    /// The scanner's wall clock when it flushed; zero where all is to be told, however long ago: in a replay, and in bounded
    /// runs. Decides nothing else.
    pub flushed_at: Timestamp,
    /// The input partitions that brought something of the cluster; in a heartbeat all that the scanner owns.
    pub partitions: Vec<Progress>,
    /// The pods that `presence`, `matches` and `changes` name by index.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pods: Vec<Pod>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub presence: Vec<Presence>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub matches: Vec<Match>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
}

impl Report {
    /// The heartbeat that follows: the same without anything but the partitions.
    pub fn heartbeat(&self) -> Report {
        Report {
            version: self.version,
            scanner: Arc::clone(&self.scanner),
            sequence: self.sequence + 1,
            flushed_at: self.flushed_at,
            partitions: self.partitions.clone(),
            ..Report::default()
        }
    }
}

/// How far one input partition has been scanned.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Progress {
    #[serde(flatten)]
    pub partition: Partition,
    /// Offsets `first..next` are covered by this report; equal when it brought nothing.
    pub first: i64,
    pub next: i64,
    /// Records of this report's cluster within the range; in a heartbeat of all clusters.
    pub records: u64,
    /// Records that could not be decoded; in heartbeats only.
    pub rejected: u64,
    /// Records that were deleted from Kafka before they could be read, and were due in this range.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lost: u64,
    /// Reading began at the start of a log: Kafka's time of the first record read, which tells this log from one of the
    /// same name before it. `None`: it goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restarted: Option<Timestamp>,
    /// The newest event time seen so far; `None` before the first record with a time.
    pub watermark: Option<Timestamp>,
    /// Nothing has arrived for the idle interval: others need not wait for this partition.
    #[serde(default, skip_serializing_if = "is_false")]
    pub idle: bool,
    /// Nothing will arrive any more: the end of a file, or of a bounded run.
    #[serde(default, skip_serializing_if = "is_false")]
    pub ended: bool,
}

fn is_zero(value: &u64) -> bool {
    *value == 0
}

fn is_false(value: &bool) -> bool {
    !value
}

/// A pod as its producers describe it. Facts that a record did not hold are `None`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Pod {
    pub namespace: Arc<str>,
    pub name: Arc<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<Arc<str>>,
    /// `namespace/name` of the workload; derived from the owner or the pod's name.
    pub workload: Arc<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Arc<str>>,
    /// The pool of its node, where the producer writes the node's labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_pool: Option<Arc<str>>,
}

/// A pod wrote log lines in this interval, so it ran, on that node.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Presence {
    /// Index into [`Report::pods`].
    pub pod: u32,
    /// Event time of its first and newest line of the interval.
    pub first: Timestamp,
    pub last: Timestamp,
    pub records: u32,
}

/// A record that matched a rule.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Match {
    /// Index into [`Report::partitions`].
    pub partition: u32,
    pub offset: i64,
    pub time: Timestamp,
    /// The rule's id: rule sets may be replaced between scan and correlate.
    pub rule: Arc<str>,
    /// Index into [`Report::pods`]; `None` when the record names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub captures: BTreeMap<Arc<str>, String>,
    /// The message, cut; only the first of a rule and pod in a report carries it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<String>,
    /// For events: identity and cumulative count, from which the correlator takes the delta.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<EventCount>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct EventCount {
    pub uid: Arc<str>,
    pub count: u32,
}

/// A change of a pod or node that a Kubernetes event told.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Change {
    pub partition: u32,
    pub offset: i64,
    pub time: Timestamp,
    pub kind: ChangeKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<Arc<str>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// The scheduler placed the pod: it is new.
    PodPlaced,
    /// An event spoke of it and of the node that it is on.
    PodSeen,
    /// One of its containers started.
    PodStarted,
    /// It is being stopped for good.
    PodStopping,
    NodeReady,
    NodeNotReady,
    /// Cordoned: nothing new is placed there.
    NodeCordoned,
    NodeUncordoned,
    /// It left the cluster.
    NodeRemoved,
}
