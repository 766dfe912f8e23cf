//! What the scanner gathers for one cluster between two flushes.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::names;
use crate::record::{Entry, KubeEvent, LogEntry};
use crate::report::{Change, ChangeKind, EventCount, Match, Pod, Presence, Report};
use crate::time::Timestamp;

use super::matcher::{Hit, Matcher, Scratch};
use super::{Limits, Options};

/// Kubernetes names have at most this many characters; longer ones are cut, whoever wrote them.
pub(super) const NAME_BYTES: usize = 253;
/// The same for images: registry, path, tag and digest.
const IMAGE_BYTES: usize = 512;

/// A report may become so many times as full of samples as makes it go, by a single record.
const MAX_OVERFLOW: usize = 10;

#[derive(Default)]
pub(super) struct Batch {
    /// No other batch of the scanner has it.
    pub id: u64,
    pods: Vec<Pod>,
    /// By namespace, name, node and uid, as one text.
    pod_index: HashMap<String, u32>,
    key: String,
    /// By pod.
    presence: Vec<Option<Presence>>,
    matches: Vec<Match>,
    changes: Vec<Change>,
    /// Rules and pods of which a sample has been kept.
    sampled: HashSet<(usize, Option<u32>)>,
    sample_bytes: usize,
    /// Records by slot.
    records: Vec<u64>,
    newest_record: Option<(usize, i64)>,
}

/// Where an entry stands in the input.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub slot: usize,
    pub offset: i64,
    pub time: Timestamp,
}

impl Batch {
    pub fn new(id: u64) -> Self {
        Batch { id, ..Batch::default() }
    }

    pub fn records(&self, slot: usize) -> u64 {
        self.records.get(slot).copied().unwrap_or(0)
    }

    /// Whether no record of a partition that is owned counts here.
    pub fn is_empty(&self) -> bool {
        self.records.iter().all(|records| *records == 0)
    }

    /// Drops what a partition brought that is owned no more.
    pub fn forget(&mut self, slot: usize) {
        let of_another = |partition: u32| partition as usize != slot;
        self.matches.retain(|matched| of_another(matched.partition));
        self.changes.retain(|change| of_another(change.partition));
        if let Some(records) = self.records.get_mut(slot) {
            *records = 0;
        }
        // Taken over again, it may begin with this very record.
        self.newest_record = self.newest_record.filter(|(of, _)| *of != slot);
    }

    pub fn is_full(&self, limits: &Limits) -> bool {
        self.is_full_of_matches(limits) || self.is_full_of_pods(limits)
    }

    pub fn is_full_of_matches(&self, limits: &Limits) -> bool {
        self.matches.len() >= limits.matches_per_report
            || self.changes.len() >= limits.matches_per_report
            || self.sample_bytes >= enough_samples(limits)
    }

    pub fn is_full_of_pods(&self, limits: &Limits) -> bool {
        self.pods.len() >= limits.pods_per_report
    }

    /// Adds an entry and what matches it; returns how many rules did.
    pub fn add(
        &mut self,
        place: Place,
        entry: &Entry<'_>,
        matcher: &Matcher,
        scratch: &mut Scratch,
        options: &Options,
    ) -> u32 {
        self.count_record(place);
        let (pod, node, event) = match entry {
            Entry::Log(log) => {
                let pod = self.log_pod(log);
                if let Some(pod) = pod {
                    self.saw(pod, place.time);
                }
                (pod, log.source.node.as_deref(), None)
            }
            Entry::Event(event) => {
                let pod = self.event_pod(event);
                self.add_change(place, event, pod);
                (pod, event_node(event), event_count(event))
            }
        };
        let mut matches = 0;
        matcher.scan(entry, scratch, |hit| {
            matches += 1;
            let message = entry.message();
            let sample = self.sample(&hit, pod, message, options);
            let part = |value| options.redactor.part(message, value).into_owned();
            self.matches.push(Match {
                partition: place.slot as u32,
                offset: place.offset,
                time: place.time,
                rule: Arc::clone(&hit.rule.id),
                pod,
                node: node.map(|node| clip(node, NAME_BYTES).into()),
                captures: hit.captures.iter().map(|(name, value)| (Arc::clone(name), part(*value))).collect(),
                sample,
                event: event.clone(),
            });
        });
        matches
    }

    /// Counts the record of an entry; of several entries once.
    pub fn count_record(&mut self, place: Place) {
        let record = Some((place.slot, place.offset));
        if self.newest_record != record {
            self.newest_record = record;
            if self.records.len() <= place.slot {
                self.records.resize(place.slot + 1, 0);
            }
            self.records[place.slot] += 1;
        }
    }

    pub fn saw(&mut self, pod: u32, at: Timestamp) {
        if self.presence.len() <= pod as usize {
            self.presence.resize_with(self.pods.len().max(pod as usize + 1), || None);
        }
        let place = &mut self.presence[pod as usize];
        let presence = place.get_or_insert(Presence { pod, first: at, last: at, records: 0 });
        presence.first = presence.first.min(at);
        presence.last = presence.last.max(at);
        presence.records = presence.records.saturating_add(1);
    }

    /// The first message of a rule and pod, redacted and cut. A single record may hold so many entries that there is no end of them.
    fn sample(&mut self, hit: &Hit<'_, '_>, pod: Option<u32>, message: &str, options: &Options) -> Option<String> {
        let limits = &options.limits;
        if self.sample_bytes >= enough_samples(limits).saturating_mul(MAX_OVERFLOW) {
            return None;
        }
        self.sampled.insert((hit.index, pod)).then(|| {
            let sample = options.redactor.sample(message, limits.sample_bytes).into_owned();
            self.sample_bytes += sample.len();
            sample
        })
    }

    fn log_pod(&mut self, log: &LogEntry<'_>) -> Option<u32> {
        let source = &log.source;
        let name = source.pod.as_deref()?;
        let namespace = source.namespace.as_deref().unwrap_or("default");
        let (node, uid) = (source.node.as_deref(), source.pod_uid.as_deref());
        let workload = || names::workload(source.owner.as_ref(), namespace, name, node);
        let pod = self.pod(namespace, name, node, uid, source.image.as_deref(), workload);
        if let Some(pool) = source.node_pool.as_deref() {
            self.pods[pod as usize].node_pool.get_or_insert_with(|| clip(pool, NAME_BYTES).into());
        }
        Some(pod)
    }

    fn event_pod(&mut self, event: &KubeEvent<'_>) -> Option<u32> {
        let object = &event.object;
        let namespace = if object.namespace.is_empty() { "default" } else { &object.namespace };
        let node = event_node(event);
        let (name, uid) = match deleted_pod(event) {
            Some(name) => (name, None),
            None if object.kind == "Pod" => (&*object.name, object.uid.as_deref()),
            None => return None,
        };
        let workload = || names::workload(None, namespace, name, node);
        (!name.is_empty()).then(|| self.pod(namespace, name, node, uid, None, workload))
    }

    /// The place of a pod that [`log_pod`] described.
    pub fn described(&mut self, pod: &Pod) -> u32 {
        let (node, uid, image) = (pod.node.as_deref(), pod.uid.as_deref(), pod.image.as_deref());
        self.pod(&pod.namespace, &pod.name, node, uid, image, || pod.workload.to_string())
    }

    fn pod(
        &mut self,
        namespace: &str,
        name: &str,
        node: Option<&str>,
        uid: Option<&str>,
        image: Option<&str>,
        workload: impl FnOnce() -> String,
    ) -> u32 {
        self.key.clear();
        for part in [namespace, name, node.unwrap_or(""), uid.unwrap_or("")] {
            self.key.push_str(clip(part, NAME_BYTES));
            self.key.push('\n');
        }
        let image = image.map(|image| clip(image, IMAGE_BYTES));
        if let Some(&index) = self.pod_index.get(&self.key) {
            let known = &mut self.pods[index as usize];
            known.image = known.image.take().or_else(|| image.map(Arc::from));
            return index;
        }
        let index = self.pods.len() as u32;
        self.pods.push(Pod {
            namespace: clip(namespace, NAME_BYTES).into(),
            name: clip(name, NAME_BYTES).into(),
            uid: uid.map(|uid| clip(uid, NAME_BYTES).into()),
            node: node.map(|node| clip(node, NAME_BYTES).into()),
            workload: clip(&workload(), 2 * NAME_BYTES + 1).into(),
            image: image.map(Arc::from),
            node_pool: None,
        });
        self.pod_index.insert(self.key.clone(), index);
        index
    }

    fn add_change(&mut self, place: Place, event: &KubeEvent<'_>, pod: Option<u32>) {
        let kind = match pod {
            Some(_) => pod_change(event),
            None => node_change(event),
        };
        let Some(kind) = kind else { return };
        let node = match pod {
            Some(_) => event_node(event),
            None => Some(&*event.object.name),
        };
        self.changes.push(Change {
            partition: place.slot as u32,
            offset: place.offset,
            time: place.time,
            kind,
            pod,
            node: node.map(|node| clip(node, NAME_BYTES).into()),
        });
    }

    /// Moves everything into the report; `indexes` gives each slot's place in the report's partitions, `None` where it was
    /// revoked.
    pub fn fill(self, report: &mut Report, indexes: &[Option<u32>]) {
        let place = |slot: u32| indexes.get(slot as usize).copied().flatten();
        report.pods = self.pods;
        report.presence = self.presence.into_iter().flatten().collect();
        report.matches = self
            .matches
            .into_iter()
            .filter_map(|matched| Some(Match { partition: place(matched.partition)?, ..matched }))
            .collect();
        report.changes = self
            .changes
            .into_iter()
            .filter_map(|change| Some(Change { partition: place(change.partition)?, ..change }))
            .collect();
    }
}

/// Bytes of samples that make a report full.
fn enough_samples(limits: &Limits) -> usize {
    limits.matches_per_report.saturating_mul(100)
}

/// The pod of a log line, described as it would be in a report.
pub(super) fn log_pod(log: &LogEntry<'_>) -> Option<Pod> {
    let mut batch = Batch::default();
    batch.log_pod(log)?;
    batch.pods.pop()
}

fn event_node<'e>(event: &'e KubeEvent<'_>) -> Option<&'e str> {
    event.node.as_deref().or_else(|| event.assigned_node())
}

/// The pod that a controller says it deleted; the event itself is about the controller.
fn deleted_pod<'e>(event: &'e KubeEvent<'_>) -> Option<&'e str> {
    if event.reason != "SuccessfulDelete" {
        return None;
    }
    event.message.strip_prefix("Deleted pod: ").map(str::trim)
}

/// Only events that say how often they happened can be told from their own repetition.
fn event_count(event: &KubeEvent<'_>) -> Option<EventCount> {
    let uid: &Cow<'_, str> = event.uid.as_ref()?;
    Some(EventCount { uid: clip(uid, NAME_BYTES).into(), count: event.count? })
}

fn pod_change(event: &KubeEvent<'_>) -> Option<ChangeKind> {
    match &*event.reason {
        "SuccessfulDelete" => Some(ChangeKind::PodStopping),
        "Started" => Some(ChangeKind::PodStarted),
        // A container that failed its liveness probe is killed too, and comes back.
        "Killing" if event.message.starts_with("Stopping container") => Some(ChangeKind::PodStopping),
        "TaintManagerEviction" if event.message.starts_with("Marking for deletion") => Some(ChangeKind::PodStopping),
        "Evicted" | "Preempted" => Some(ChangeKind::PodStopping),
        "Scheduled" => event_node(event).map(|_| ChangeKind::PodPlaced),
        _ => event_node(event).map(|_| ChangeKind::PodSeen),
    }
}

fn node_change(event: &KubeEvent<'_>) -> Option<ChangeKind> {
    if event.object.kind != "Node" || event.object.name.is_empty() {
        return None;
    }
    match &*event.reason {
        "NodeReady" | "RegisteredNode" => Some(ChangeKind::NodeReady),
        "NodeNotReady" => Some(ChangeKind::NodeNotReady),
        "NodeNotSchedulable" => Some(ChangeKind::NodeCordoned),
        "NodeSchedulable" => Some(ChangeKind::NodeUncordoned),
        "RemovingNode" | "DeletingNode" => Some(ChangeKind::NodeRemoved),
        _ => None,
    }
}

/// At most `bytes` of the text, cut on a character.
pub(super) fn clip(text: &str, bytes: usize) -> &str {
    if text.len() <= bytes {
        return text;
    }
    let end = (0..=bytes).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    &text[..end]
}
