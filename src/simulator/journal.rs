//! What is written of the cluster's life: log lines by the nodes' shippers, events by kubelets and the control plane.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::Span;
use super::cluster::{Cluster, NodeId, PodId};
use super::formats::{self, EventFormat, LogFormat};
use crate::scenario::Stream;
use crate::scenario::rng::Rng;
use crate::scenario::wire::{EventRecord, InvolvedObject, Metadata, Seconds, Source, Timestamped, involved_pod};
use crate::time::Timestamp;

/// client-go's spam filter, per reporter and object: a burst, then one event in five minutes.
const BURST: u64 = 25;
const REFILL: Duration = Duration::from_secs(300);

const SCHEDULER: &str = "default-scheduler";

/// One record, before it is sent.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// When it was written.
    pub(super) at: Timestamp,
    /// The time that it bears: API times are whole seconds.
    pub(super) told: Timestamp,
    pub(super) stream: Stream,
    /// Where the order of records matters to the producer: the object of an event.
    pub(super) key: u64,
    /// The pod that the record shows to fail.
    pub(super) shows: Option<PodId>,
    pub(super) value: String,
}

/// Peculiarities of what a cluster writes.
#[derive(Clone, Debug)]
pub(super) struct Manner {
    pub(super) logs: Option<LogFormat>,
    pub(super) events: Option<EventFormat>,
    /// Whether kubelet's events name the host.
    pub(super) hosts_in_events: bool,
    /// Whether the scheduler writes the newer fields: no count, no first and last time.
    pub(super) new_scheduler: bool,
}

/// Who tells of something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reporter {
    Kubelet(NodeId),
    Scheduler,
    /// A controller, by its name.
    Controller(&'static str),
}

/// What an event is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum About<'o> {
    /// The pod, and whether one of its containers is meant.
    Pod(PodId, bool),
    Node(NodeId),
    /// Kind, namespace and name.
    Object(&'o str, &'o str, &'o str),
}

pub(super) struct Happening<'h> {
    pub(super) by: Reporter,
    pub(super) about: About<'h>,
    pub(super) reason: &'h str,
    pub(super) message: &'h str,
    pub(super) is_warning: bool,
}

/// An event that repeats: one uid, a count that grows.
struct Series {
    uid: String,
    suffix: String,
    first: Timestamp,
    count: u32,
}

/// Tokens of a spam filter, in milliseconds of [`REFILL`] each.
struct Bucket {
    filled_ms: u64,
    at: Timestamp,
}

pub(super) struct Journal {
    rng: Rng,
    pub(super) manner: Manner,
    span: Span,
    entries: Vec<Entry>,
    series: HashMap<String, Series>,
    buckets: HashMap<PodId, Bucket>,
    /// Uids of objects that are neither pods nodes.
    uids: BTreeMap<String, String>,
    resource_version: u64,
    /// While this lasts the node's kubelet and its log shipper write nothing.
    mute: BTreeMap<NodeId, Span>,
}

impl Journal {
    pub(super) fn new(seed: u64, manner: Manner, span: Span) -> Self {
        Journal {
            rng: Rng::new(seed),
            manner,
            span,
            entries: Vec::new(),
            series: HashMap::new(),
            buckets: HashMap::new(),
            uids: BTreeMap::new(),
            resource_version: 18_000_000,
            mute: BTreeMap::new(),
        }
    }

    pub(super) fn span(&self) -> Span {
        self.span
    }

    /// In the order of their times; of equals, in the order in which they were written.
    pub(super) fn take_entries(&mut self) -> Vec<Entry> {
        self.entries.sort_by_key(|entry| entry.at);
        std::mem::take(&mut self.entries)
    }

    /// The node's kubelet and its log shipper write nothing meanwhile.
    pub(super) fn mute(&mut self, node: NodeId, span: Span) {
        self.mute.insert(node, span);
    }

    /// The story ends then.
    pub(super) fn end_at(&mut self, to: Timestamp) {
        self.span.to = to;
    }

    pub(super) fn log(
        &mut self,
        cluster: &Cluster,
        id: PodId,
        at: Timestamp,
        line: &str,
        is_error: bool,
        is_sign: bool,
    ) {
        let pod = &cluster.pods[id];
        let Some(format) = self.manner.logs.filter(|_| self.writes(Some(pod.node), at)) else { return };
        let source = (pod, &cluster.workloads[pod.workload], &cluster.nodes[pod.node]);
        if let Some(value) = formats::log_record(format, source, at, line, is_error) {
            let shows = is_sign.then_some(id);
            self.entries.push(Entry { at, told: at, stream: Stream::Logs, key: 0, shows, value });
        }
    }

    fn writes(&self, node: Option<NodeId>, at: Timestamp) -> bool {
        let is_mute = node.and_then(|node| self.mute.get(&node)).is_some_and(|mute| mute.from <= at && at < mute.to);
        at >= self.span.from && at < self.span.to && !is_mute
    }

    /// kubelet on a pod; the spam filter may swallow it. `sign`: whether it shows that the pod fails.
    pub(super) fn kubelet(
        &mut self,
        cluster: &Cluster,
        pod: PodId,
        at: Timestamp,
        (reason, message): (&str, &str),
        sign: Sign,
    ) {
        if !self.passes_filter(pod, at) {
            return;
        }
        let by = Reporter::Kubelet(cluster.pods[pod].node);
        let is_container = !matches!(reason, "FailedCreatePodSandBox" | "SandboxChanged" | "Evicted");
        let is_warning = sign != Sign::Normal;
        let happening = Happening { by, about: About::Pod(pod, is_container), reason, message, is_warning };
        self.event(cluster, at, &happening, (sign == Sign::Failure).then_some(pod));
    }

    fn passes_filter(&mut self, pod: PodId, at: Timestamp) -> bool {
        let token = REFILL.as_millis() as u64;
        let bucket = self.buckets.entry(pod).or_insert(Bucket { filled_ms: BURST * token, at });
        let since = at.since(bucket.at).as_millis() as u64;
        bucket.filled_ms = (bucket.filled_ms + since).min(BURST * token);
        bucket.at = bucket.at.max(at);
        let passes = bucket.filled_ms >= token;
        bucket.filled_ms -= if passes { token } else { 0 };
        passes
    }

    /// The pod's events have been repeating since `first`: the filter is nearly empty and `BackOff` counts high.
    pub(super) fn has_long_failed(&mut self, cluster: &Cluster, pod: PodId, first: Timestamp, count: u32) {
        let filled_ms = REFILL.as_millis() as u64 * 3 / 2;
        self.buckets.insert(pod, Bucket { filled_ms, at: self.span.from });
        let identity = &cluster.pods[pod].identity;
        let name = &identity.container_name;
        let (created, started) = (format!("Created container {name}"), format!("Started container {name}"));
        let messages = [("BackOff", identity.back_off()), ("Created", created), ("Started", started)];
        for (reason, message) in messages {
            let series = Series { uid: self.rng.uuid(), suffix: self.rng.hex(16), first, count };
            self.series.insert(series_key(&identity.pod_id, reason, &message), series);
        }
    }

    /// The scheduler placed the pod.
    pub(super) fn scheduled(&mut self, cluster: &Cluster, pod: PodId, at: Timestamp) {
        let identity = &cluster.pods[pod].identity;
        let message =
            format!("Successfully assigned {}/{} to {}", identity.namespace_name, identity.pod_name, identity.host);
        let about = About::Pod(pod, false);
        let happening =
            Happening { by: Reporter::Scheduler, about, reason: "Scheduled", message: &message, is_warning: false };
        self.event(cluster, at, &happening, None);
    }

    /// Writes the event, as one more of its series if there is one.
    pub(super) fn event(&mut self, cluster: &Cluster, at: Timestamp, happening: &Happening<'_>, shows: Option<PodId>) {
        let &Happening { by, about, reason, message, is_warning } = happening;
        let object_uid = self.uid(cluster, about, by);
        let object = involved(cluster, about, &object_uid);
        let rng = &mut self.rng;
        let series = self.series.entry(series_key(&object_uid, reason, message)).or_insert_with(|| Series {
            uid: rng.uuid(),
            suffix: rng.hex(16),
            first: at,
            count: 0,
        });
        series.count += 1;
        self.resource_version += 1;
        let (uid, suffix, first, count) = (series.uid.clone(), series.suffix.clone(), series.first, series.count);
        let origin = if let Reporter::Kubelet(node) = by { Some(node) } else { None };
        let Some(format) = self.manner.events.filter(|_| self.writes(origin, at)) else { return };
        let metadata = Metadata {
            name: format!("{}.{suffix}", object.name),
            namespace: if object.namespace.is_empty() { "default" } else { object.namespace },
            uid: &uid,
            resource_version: self.resource_version.to_string(),
            creation_timestamp: Seconds(first),
        };
        let key = hash(object.name);
        let event_type = if is_warning { "Warning" } else { "Normal" };
        let event = EventRecord { event_type, ..EventRecord::new(reason, message, metadata, object) };
        let is_new = by == Reporter::Scheduler && self.manner.new_scheduler;
        let event = if is_new { newer(event, at) } else { older(event, first, at, count) };
        let event = self.signed(cluster, by, event);
        let told = if is_new { at } else { at.floor_to(Duration::from_secs(1)) };
        if let Some(value) = formats::event_record(format, event) {
            self.entries.push(Entry { at, told, stream: Stream::Events, key, shows, value });
        }
    }

    fn signed<'r>(&self, cluster: &'r Cluster, by: Reporter, event: EventRecord<'r>) -> EventRecord<'r> {
        let (component, host) = match by {
            Reporter::Kubelet(node) if self.manner.hosts_in_events => ("kubelet", cluster.nodes[node].name.as_str()),
            Reporter::Kubelet(_) => ("kubelet", ""),
            // The newer fields leave the source empty.
            Reporter::Scheduler if self.manner.new_scheduler => {
                let reporting_instance = "default-scheduler-control-plane-0";
                return EventRecord { reporting_component: SCHEDULER, reporting_instance, ..event };
            }
            Reporter::Scheduler => (SCHEDULER, ""),
            Reporter::Controller(name) => (name, ""),
        };
        let source = Source { component, host };
        EventRecord { source, reporting_component: component, reporting_instance: host, ..event }
    }

    fn uid(&mut self, cluster: &Cluster, about: About<'_>, by: Reporter) -> String {
        let rng = &mut self.rng;
        match about {
            About::Pod(pod, _) => cluster.pods[pod].identity.pod_id.clone(),
            // kubelet knows no better; controllers do.
            About::Node(node) if matches!(by, Reporter::Kubelet(_)) => cluster.nodes[node].name.clone(),
            About::Node(node) => {
                self.uids.entry(cluster.nodes[node].name.clone()).or_insert_with(|| rng.uuid()).clone()
            }
            About::Object(kind, namespace, name) => {
                self.uids.entry(format!("{kind}/{namespace}/{name}")).or_insert_with(|| rng.uuid()).clone()
            }
        }
    }
}

/// What an event means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sign {
    Normal,
    /// Of type Warning, yet no failure.
    Warning,
    /// A rule would call it a failure of the pod.
    Failure,
}

fn series_key(object_uid: &str, reason: &str, message: &str) -> String {
    format!("{object_uid} {reason} {message}")
}

fn older(event: EventRecord<'_>, first: Timestamp, at: Timestamp, count: u32) -> EventRecord<'_> {
    EventRecord {
        first_timestamp: Some(Seconds(first)),
        last_timestamp: Some(Seconds(at)),
        count: Some(count),
        ..event
    }
}

fn newer(event: EventRecord<'_>, at: Timestamp) -> EventRecord<'_> {
    EventRecord { event_time: Some(Timestamped(at)), ..event }
}

fn involved<'r>(cluster: &'r Cluster, about: About<'r>, uid: &'r str) -> InvolvedObject<'r> {
    let (kind, namespace, name) = match about {
        About::Pod(pod, is_container) => {
            let object = involved_pod(&cluster.pods[pod].identity);
            let field_path = object.field_path.filter(|_| is_container);
            return InvolvedObject { field_path, ..object };
        }
        About::Node(node) => ("Node", "", cluster.nodes[node].name.as_str()),
        About::Object(kind, namespace, name) => (kind, namespace, name),
    };
    let api_version = match kind {
        "Node" => "v1",
        "Job" => "batch/v1",
        _ => "apps/v1",
    };
    InvolvedObject { kind, namespace, name, uid, api_version, field_path: None }
}

/// FNV-1a: the same for ever, which the standard library's need not be.
pub(super) fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}
