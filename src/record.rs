//! What comes in: a Kafka record as bytes, and the log entries and Kubernetes events that decoding finds in it.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// One partition of an input topic; a file of a replay is one too, with the file's name as its topic.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Partition {
    pub topic: Arc<str>,
    pub partition: i32,
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.topic, self.partition)
    }
}

/// A record as the broker hands it over; borrows the client's buffer.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    pub offset: i64,
    /// Kafka's timestamp, the event time of last resort.
    pub timestamp: Option<Timestamp>,
    /// `None` is a tombstone.
    pub value: Option<&'a [u8]>,
}

/// What an input is configured to hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Expect {
    Logs,
    Events,
    /// Files of a replay: whatever each record turns out to be.
    #[default]
    Either,
}

/// One thing said by the cluster. A record holds one of them, or many (OTLP batches).
#[derive(Clone, PartialEq, Debug)]
pub enum Entry<'a> {
    Log(LogEntry<'a>),
    Event(KubeEvent<'a>),
}

impl Entry<'_> {
    pub fn time(&self) -> Option<Timestamp> {
        match self {
            Entry::Log(log) => log.time,
            Entry::Event(event) => event.time,
        }
    }

    pub fn cluster(&self) -> Option<&str> {
        match self {
            Entry::Log(log) => log.cluster.as_deref(),
            Entry::Event(event) => event.cluster.as_deref(),
        }
    }

    pub fn set_cluster(&mut self, name: String) {
        let cluster = match self {
            Entry::Log(log) => &mut log.cluster,
            Entry::Event(event) => &mut event.cluster,
        };
        *cluster = Some(Cow::Owned(name));
    }

    pub fn message(&self) -> &str {
        match self {
            Entry::Log(log) => &log.message,
            Entry::Event(event) => &event.message,
        }
    }
}

/// One line (or joined lines) that a container or a node's journal wrote, escapes already undone.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct LogEntry<'a> {
    pub message: Cow<'a, str>,
    /// `None`: the record names no time; the caller falls back to Kafka's.
    pub time: Option<Timestamp>,
    pub cluster: Option<Cow<'a, str>>,
    pub source: Source<'a>,
    /// Where its producer says so.
    pub stream: Option<Stream>,
    /// The runtime cut the line here: it goes on in a later record of the same container and stream.
    pub partial: bool,
}

/// What a container wrote to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "stdout" => Some(Stream::Stdout),
            "stderr" => Some(Stream::Stderr),
            _ => None,
        }
    }
}

/// Who wrote a log line, as far as its producer knew. Empty strings in records are `None` here.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Source<'a> {
    pub node: Option<Cow<'a, str>>,
    pub namespace: Option<Cow<'a, str>>,
    pub pod: Option<Cow<'a, str>>,
    pub pod_uid: Option<Cow<'a, str>>,
    pub container: Option<Cow<'a, str>>,
    pub image: Option<Cow<'a, str>>,
    /// The node pool, from the node's labels where the producer adds them.
    pub node_pool: Option<Cow<'a, str>>,
    /// The controlling owner, `ReplicaSet`/`cd-7d9f8b6c5d`, where the producer wrote it.
    pub owner: Option<Owner<'a>>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Owner<'a> {
    pub kind: Cow<'a, str>,
    pub name: Cow<'a, str>,
}

/// A Kubernetes Event, in core/v1's vocabulary whatever its wrapping was.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct KubeEvent<'a> {
    /// `metadata.uid`; a repeat of an event keeps it and raises `count`.
    pub uid: Option<Cow<'a, str>>,
    pub reason: Cow<'a, str>,
    /// `Normal` or `Warning`; empty when absent.
    pub event_type: Cow<'a, str>,
    pub message: Cow<'a, str>,
    pub object: ObjectRef<'a>,
    /// By the node rule: `source.host`, a Node object's own name, or kubelet's `reportingInstance`;
    /// not the node that a `Scheduled` message names (see [`KubeEvent::assigned_node`]).
    pub node: Option<Cow<'a, str>>,
    /// Cumulative occurrences (`count` or `series.count`), where written.
    pub count: Option<u32>,
    /// First of `series.lastObservedTime`, `lastTimestamp`, `eventTime`, `firstTimestamp`, `creationTimestamp`.
    pub time: Option<Timestamp>,
    /// The reporting component, `kubelet`, `default-scheduler`, …
    pub component: Cow<'a, str>,
    pub cluster: Option<Cow<'a, str>>,
}

/// What an event is about.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct ObjectRef<'a> {
    pub kind: Cow<'a, str>,
    pub namespace: Cow<'a, str>,
    pub name: Cow<'a, str>,
    pub uid: Option<Cow<'a, str>>,
}

impl KubeEvent<'_> {
    /// The node that the scheduler chose, from `Successfully assigned [ns/]pod to node`.
    pub fn assigned_node(&self) -> Option<&str> {
        if self.reason != "Scheduled" {
            return None;
        }
        let rest = self.message.strip_prefix("Successfully assigned ")?;
        let (_, node) = rest.rsplit_once(" to ")?;
        (!node.is_empty() && !node.contains(' ')).then_some(node)
    }
}

/// Copies what is borrowed, for entries that outlive their record.
impl Entry<'_> {
    pub fn into_owned(self) -> Entry<'static> {
        match self {
            Entry::Log(log) => Entry::Log(log.into_owned()),
            Entry::Event(event) => Entry::Event(event.into_owned()),
        }
    }
}

impl LogEntry<'_> {
    pub fn into_owned(self) -> LogEntry<'static> {
        LogEntry {
            message: owned(self.message),
            time: self.time,
            cluster: self.cluster.map(owned),
            source: self.source.into_owned(),
            stream: self.stream,
            partial: self.partial,
        }
    }
}

impl Source<'_> {
    pub fn into_owned(self) -> Source<'static> {
        Source {
            node: self.node.map(owned),
            namespace: self.namespace.map(owned),
            pod: self.pod.map(owned),
            pod_uid: self.pod_uid.map(owned),
            container: self.container.map(owned),
            image: self.image.map(owned),
            node_pool: self.node_pool.map(owned),
            owner: self.owner.map(|owner| Owner { kind: owned(owner.kind), name: owned(owner.name) }),
        }
    }
}

impl KubeEvent<'_> {
    pub fn into_owned(self) -> KubeEvent<'static> {
        KubeEvent {
            uid: self.uid.map(owned),
            reason: owned(self.reason),
            event_type: owned(self.event_type),
            message: owned(self.message),
            object: ObjectRef {
                kind: owned(self.object.kind),
                namespace: owned(self.object.namespace),
                name: owned(self.object.name),
                uid: self.object.uid.map(owned),
            },
            node: self.node.map(owned),
            count: self.count,
            time: self.time,
            component: owned(self.component),
            cluster: self.cluster.map(owned),
        }
    }
}

fn owned(text: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
}
