//! Reports that are too large for the broker, in parts that say the same.
//!
//! The correlator drops what lies below the offset up to which a partition was reported. So the parts follow each other
//! by position: each covers some partitions, or offsets, and holds all of their matches and changes. Then a part that
//! arrives twice after a crash between two of them is dropped like a report that does.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{Change, Match, Presence, Progress, Report};

/// What [`Report::split`] makes of a report.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Parts {
    /// In the order in which they are to be sent.
    pub reports: Vec<Report>,
    /// Samples, and then matches and changes, of single records that alone are too large.
    pub samples_left_out: u64,
    pub left_out: u64,
}

/// For the names of the lists, `more`, and offsets that have more digits than those of the whole.
const LIST_BYTES: usize = 96;
const OFFSET_BYTES: usize = 20;

impl Report {
    /// Parts of at most `most` bytes of JSON. Together they say what the report says, but for single records of which
    /// more is to be told than fits: those lose their samples first, then all matches but the first ones.
    pub fn split(&self, most: usize) -> Parts {
        let mut packer = Packer::new(self, most);
        let mut items = packer.items();
        items.sort_by_key(|item| (item.partition, item.offset, item.what));
        let mut rest = items.as_slice();
        for (partition, progress) in (0..).zip(&self.partitions) {
            let (these, others) = rest.split_at(rest.partition_point(|item| item.partition <= partition));
            rest = others;
            packer.pack_partition(partition, progress, these);
        }
        for (index, presence) in self.presence.iter().enumerate() {
            packer.pack_presence(index, presence);
        }
        packer.finish()
    }
}

/// A match or a change: changes are taken in first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum What {
    Change(usize),
    Match(usize),
}

#[derive(Clone, Copy, Debug)]
struct Item {
    partition: u32,
    offset: i64,
    what: What,
    pod: Option<u32>,
    bytes: usize,
}

/// What goes into one part, by the places that it has in the whole.
#[derive(Default)]
struct Part {
    bytes: usize,
    progress: BTreeMap<u32, Progress>,
    pods: BTreeSet<u32>,
    changes: BTreeSet<usize>,
    matches: BTreeSet<usize>,
    presence: BTreeSet<usize>,
}

struct Packer<'r> {
    whole: &'r Report,
    most: usize,
    empty_bytes: usize,
    pod_bytes: Vec<usize>,
    without_sample: BTreeSet<usize>,
    open: Part,
    parts: Vec<Part>,
    left_out: u64,
}

impl<'r> Packer<'r> {
    fn new(whole: &'r Report, most: usize) -> Self {
        let empty_bytes = bytes_of(&whole.without_lists()) + LIST_BYTES;
        Packer {
            whole,
            most,
            empty_bytes,
            pod_bytes: whole.pods.iter().map(|pod| bytes_of(pod) + 1).collect(),
            without_sample: BTreeSet::new(),
            open: Part { bytes: empty_bytes, ..Part::default() },
            parts: Vec::new(),
            left_out: 0,
        }
    }

    fn items(&self) -> Vec<Item> {
        let changes = self.whole.changes.iter().enumerate().map(|(index, change)| {
            let &Change { partition, offset, pod, .. } = change;
            Item { partition, offset, what: What::Change(index), pod, bytes: bytes_of(change) + 1 }
        });
        let matches = self.whole.matches.iter().enumerate().map(|(index, matched)| {
            let &Match { partition, offset, pod, .. } = matched;
            Item { partition, offset, what: What::Match(index), pod, bytes: bytes_of(matched) + 1 }
        });
        changes.chain(matches).collect()
    }

    fn pack_partition(&mut self, partition: u32, progress: &Progress, items: &[Item]) {
        let own_bytes = bytes_of(progress) + 1 + OFFSET_BYTES;
        let mut first = progress.first;
        for record in items.chunk_by(|a, b| a.offset == b.offset) {
            if !self.fits(partition, own_bytes, record) {
                let cut = record[0].offset.clamp(first, progress.next.max(first));
                if let Some(told) = self.open.progress.get_mut(&partition) {
                    // What the rest has to say is not known yet, so event time must not go on.
                    *told = Progress { next: cut, records: 0, rejected: 0, watermark: None, ..told.clone() };
                    (told.idle, told.ended) = (false, false);
                    first = cut;
                }
                self.close();
            }
            self.cover(partition, Progress { first, ..progress.clone() }, own_bytes);
            match self.fits(partition, own_bytes, record) {
                true => record.iter().for_each(|item| self.add(item)),
                false => self.add_what_fits(record),
            }
        }
        if self.open.bytes + own_bytes > self.most && !self.open.progress.contains_key(&partition) {
            self.close();
        }
        self.cover(partition, Progress { first, ..progress.clone() }, own_bytes);
    }

    fn cover(&mut self, partition: u32, progress: Progress, bytes: usize) {
        if self.open.progress.insert(partition, progress).is_none() {
            self.open.bytes += bytes;
        }
    }

    /// Whether there is room for all that one record brought.
    fn fits(&self, partition: u32, own_bytes: usize, record: &[Item]) -> bool {
        let own = if self.open.progress.contains_key(&partition) { 0 } else { own_bytes };
        let pods: BTreeSet<u32> = record.iter().filter_map(|item| item.pod).collect();
        let pods = pods.difference(&self.open.pods).map(|pod| self.bytes_of_pod(*pod)).sum::<usize>();
        let items: usize = record.iter().map(|item| item.bytes).sum();
        self.open.bytes + own + pods + items <= self.most
    }

    /// For a record that does not fit into an empty part.
    fn add_what_fits(&mut self, record: &[Item]) {
        for item in record {
            let mut item = *item;
            if let What::Match(index) = item.what
                && let Some(sample) = &self.whole.matches[index].sample
            {
                item.bytes -= bytes_of(sample) + r#""sample":,"#.len();
                self.without_sample.insert(index);
            }
            let pod = item.pod.filter(|pod| !self.open.pods.contains(pod)).map_or(0, |pod| self.bytes_of_pod(pod));
            if self.open.bytes + pod + item.bytes <= self.most {
                self.add(&item);
            } else {
                self.left_out += 1;
            }
        }
    }

    fn add(&mut self, item: &Item) {
        self.add_pod(item.pod);
        self.open.bytes += item.bytes;
        match item.what {
            What::Change(index) => self.open.changes.insert(index),
            What::Match(index) => self.open.matches.insert(index),
        };
    }

    /// These have no position: they may come twice.
    fn pack_presence(&mut self, index: usize, presence: &Presence) {
        let bytes = bytes_of(presence) + 1;
        let pod = if self.open.pods.contains(&presence.pod) { 0 } else { self.bytes_of_pod(presence.pod) };
        if self.open.bytes + bytes + pod > self.most {
            self.close();
        }
        self.add_pod(Some(presence.pod));
        self.open.bytes += bytes;
        self.open.presence.insert(index);
    }

    fn add_pod(&mut self, pod: Option<u32>) {
        if let Some(pod) = pod.filter(|pod| self.open.pods.insert(*pod)) {
            self.open.bytes += self.bytes_of_pod(pod);
        }
    }

    fn bytes_of_pod(&self, pod: u32) -> usize {
        self.pod_bytes.get(pod as usize).copied().unwrap_or(0)
    }

    /// Begins a new part, unless the one in hand is empty.
    fn close(&mut self) {
        if self.open.bytes > self.empty_bytes {
            let fresh = Part { bytes: self.empty_bytes, ..Part::default() };
            self.parts.push(std::mem::replace(&mut self.open, fresh));
        }
    }

    fn finish(mut self) -> Parts {
        self.close();
        let last = self.parts.len().saturating_sub(1);
        let reports = self.parts.iter().enumerate().map(|(at, part)| {
            let more = self.whole.more || at < last;
            Report { more, ..part.report(self.whole, &self.without_sample) }
        });
        Parts {
            reports: reports.collect(),
            samples_left_out: self.without_sample.len() as u64,
            left_out: self.left_out,
        }
    }
}

impl Part {
    fn report(&self, whole: &Report, without_sample: &BTreeSet<usize>) -> Report {
        let places = |kept: &BTreeSet<u32>| -> BTreeMap<u32, u32> { kept.iter().copied().zip(0..).collect() };
        let pods = places(&self.pods);
        let partitions: BTreeMap<u32, u32> = self.progress.keys().copied().zip(0..).collect();
        let place = |partition: u32| partitions.get(&partition).copied().unwrap_or(0);
        let pod = |pod: Option<u32>| pod.and_then(|pod| pods.get(&pod).copied());
        let changes = self.changes.iter().map(|&index| &whole.changes[index]);
        let matches = self.matches.iter().map(|&index| (index, &whole.matches[index]));
        let presence = self.presence.iter().map(|&index| &whole.presence[index]);
        Report {
            partitions: self.progress.values().cloned().collect(),
            pods: self.pods.iter().filter_map(|&index| whole.pods.get(index as usize)).cloned().collect(),
            presence: presence
                .map(|presence| Presence { pod: pod(Some(presence.pod)).unwrap_or(0), ..presence.clone() })
                .collect(),
            matches: matches
                .map(|(index, matched)| Match {
                    partition: place(matched.partition),
                    pod: pod(matched.pod),
                    sample: matched.sample.clone().filter(|_| !without_sample.contains(&index)),
                    ..matched.clone()
                })
                .collect(),
            changes: changes
                .map(|change| Change { partition: place(change.partition), pod: pod(change.pod), ..change.clone() })
                .collect(),
            ..whole.without_lists()
        }
    }
}

impl Report {
    fn without_lists(&self) -> Report {
        let (cluster, scanner) = (self.cluster.clone(), self.scanner.clone());
        let &Report { version, more, sequence, flushed_at, .. } = self;
        Report { version, cluster, more, scanner, sequence, flushed_at, ..Report::default() }
    }
}

/// As JSON. Nothing in a report has keys that JSON cannot hold.
fn bytes_of(value: &impl Serialize) -> usize {
    serde_json::to_vec(value).map_or(0, |json| json.len())
}
