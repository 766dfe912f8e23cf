//! What waits, in a line for each key. Newer takes the place of older, so that a line is short.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::memory::Open;
use super::{Parcel, Phase, Place};
use crate::record::Partition;

#[derive(Debug, Default)]
pub struct Lines {
    lines: BTreeMap<String, Line>,
    entries: usize,
    bytes: usize,
    arrived: u64,
}

#[derive(Debug, Default)]
pub struct Line {
    entries: VecDeque<Entry>,
    /// The first one waits for this.
    pub not_before: Duration,
}

#[derive(Debug)]
pub struct Entry {
    pub parcel: Parcel,
    /// Its place among all lines; whoever is replaced leaves it to the next.
    turn: u64,
    arrival: Duration,
    pub in_flight: bool,
    /// Attempts that failed, and when the last one did.
    pub attempts: u32,
    pub last_failed: Option<Duration>,
    /// How long it has failed while others were delivered.
    pub to_blame: Duration,
    /// Whether the receiver may know it, or one that it replaced, although nobody said so.
    pub uncertain: bool,
    /// What receivers know if they do.
    pub perhaps: Option<Open>,
    /// It goes in several requests, and under which name the receiver knows the incident is in doubt until all arrived.
    pub splits: bool,
    /// Of several requests, those that are done.
    pub sent: usize,
    /// Was in a request with others that was refused.
    pub alone: bool,
}

/// What beside a parcel decides what becomes of it.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances {
    pub now: Duration,
    /// Receivers may know of an open incident of its key, from before what waits.
    pub known: bool,
    /// They may know this very message.
    pub doubtful: bool,
    /// They need no ends of what they were not told, nor beginnings of what is over.
    pub takes_states: bool,
}

/// What became of a parcel that arrived.
#[derive(Debug)]
pub enum Arrival {
    /// It waits; these need not be delivered any more, but receivers may know this from one of them.
    Waits { settled: Vec<Place>, perhaps: Option<Open> },
    /// Neither it nor these need be.
    Cancelled { settled: Vec<Place> },
}

impl Arrival {
    pub fn settled(&self) -> &[Place] {
        match self {
            Arrival::Waits { settled, .. } | Arrival::Cancelled { settled } => settled,
        }
    }
}

impl Entry {
    fn may_be_known(&self) -> bool {
        self.uncertain || self.sent > 0
    }

    /// Both are replaced: what is known of the newer, at the place of the older.
    fn replaced_by(self, newer: Entry) -> Entry {
        let uncertain = self.may_be_known() || newer.may_be_known();
        Entry { uncertain, perhaps: newer.perhaps.or(self.perhaps), parcel: newer.parcel, ..self }
    }

    /// Nobody has tried to deliver it.
    pub fn is_untouched(&self) -> bool {
        !self.in_flight && self.last_failed.is_none() && self.sent == 0
    }
}

impl Line {
    pub fn head(&self) -> Option<&Entry> {
        self.entries.front()
    }

    pub fn head_mut(&mut self) -> Option<&mut Entry> {
        self.entries.front_mut()
    }

    pub fn only(&self) -> Option<&Entry> {
        self.head().filter(|_| self.entries.len() == 1)
    }

    fn is_ready(&self, now: Duration) -> bool {
        self.not_before <= now && self.head().is_some_and(|head| !head.in_flight)
    }

    fn ends_like(&self, parcel: &Parcel) -> bool {
        let is_like = |entry: &Entry| entry.parcel.phase == parcel.phase && entry.parcel.name == parcel.name;
        self.entries.back().is_some_and(|entry| !entry.in_flight && is_like(entry))
    }

    /// Whether the newest waiting one need not be delivered, given what comes now; and whether that neither need be.
    fn coalesces(&self, parcel: &Parcel, by: Circumstances) -> (bool, bool) {
        let may_go = |entry: &&Entry| !entry.in_flight && !entry.splits && entry.parcel.name == parcel.name;
        let newest = self.entries.back().filter(may_go);
        let Some(newest) = newest else { return (false, false) };
        match (newest.parcel.phase, parcel.phase) {
            (Phase::Unknown, _) | (_, Phase::Unknown) => (false, false),
            (before, after) if before == after || by.takes_states => (true, false),
            (Phase::Firing, _) => {
                let before = self.entries.len().checked_sub(2).and_then(|index| self.entries.get(index));
                let known = before.map_or(by.known, |entry| entry.parcel.phase != Phase::Resolved);
                (true, !known && !newest.may_be_known())
            }
            // What ended and begins anew are two things to tell.
            (Phase::Resolved, _) => (false, false),
        }
    }
}

impl Lines {
    pub fn arrive(&mut self, parcel: Parcel, by: Circumstances) -> Arrival {
        let line = self.lines.entry(parcel.key.clone()).or_default();
        let (replaces, cancels) = line.coalesces(&parcel, by);
        let mut replaced = if replaces { line.entries.pop_back() } else { None };
        let mut settled = Vec::new();
        let mut gone = |entry: &Entry| {
            self.entries -= 1;
            self.bytes -= entry.parcel.bytes;
            settled.push(entry.parcel.place.clone());
        };
        replaced.iter().for_each(&mut gone);
        // What stands before a replaced one may say the same as what comes now.
        while let Some(newer) = replaced.take_if(|_| !cancels && line.ends_like(&parcel))
            && let Some(older) = line.entries.pop_back()
        {
            gone(&older);
            replaced = Some(older.replaced_by(newer));
        }
        if cancels {
            settled.push(parcel.place.clone());
            self.tidy(&parcel.key);
            return Arrival::Cancelled { settled };
        }
        self.arrived += 1;
        self.entries += 1;
        self.bytes += parcel.bytes;
        line.entries.push_back(Entry {
            turn: replaced.as_ref().map_or(self.arrived, |replaced| replaced.turn),
            arrival: replaced.as_ref().map_or(by.now, |replaced| replaced.arrival),
            uncertain: by.doubtful || replaced.as_ref().is_some_and(Entry::may_be_known),
            parcel,
            in_flight: false,
            attempts: 0,
            last_failed: None,
            to_blame: Duration::ZERO,
            perhaps: None,
            splits: false,
            sent: 0,
            alone: false,
        });
        Arrival::Waits { settled, perhaps: replaced.and_then(|replaced| replaced.perhaps) }
    }

    /// The keys whose turn it is, in order. What failed comes after what did not, or one that always fails would be tried
    /// before all others whenever the receiver may be asked again.
    pub fn ready(&self, now: Duration) -> Vec<&String> {
        let mut ready: Vec<(Option<Duration>, u64, &String)> = self
            .lines
            .iter()
            .filter(|(_, line)| line.is_ready(now))
            .filter_map(|(key, line)| line.head().map(|head| (head.last_failed, head.turn, key)))
            .collect();
        ready.sort_unstable();
        ready.into_iter().map(|(_, _, key)| key).collect()
    }

    /// When the first of those that are not ready will be.
    pub fn next_ready(&self) -> Option<Duration> {
        self.lines.values().map(|line| line.not_before).min()
    }

    pub fn get(&self, key: &str) -> Option<&Line> {
        self.lines.get(key)
    }

    pub fn get_mut(&mut self, key: &str) -> Option<&mut Line> {
        self.lines.get_mut(key)
    }

    /// The head of that line, if it is still the one that was there.
    pub fn head_at(&mut self, key: &str, place: &Place) -> Option<&mut Entry> {
        self.lines.get_mut(key)?.head_mut().filter(|head| head.parcel.place == *place)
    }

    /// Delivered, or not to be.
    pub fn pop(&mut self, key: &str) -> Option<Entry> {
        let line = self.lines.get_mut(key)?;
        let head = line.entries.pop_front()?;
        line.not_before = Duration::ZERO;
        self.entries -= 1;
        self.bytes -= head.parcel.bytes;
        self.tidy(key);
        Some(head)
    }

    fn tidy(&mut self, key: &str) {
        if self.lines.get(key).is_some_and(|line| line.entries.is_empty()) {
            self.lines.remove(key);
        }
    }

    pub fn remove_partition(&mut self, partition: &Partition) -> Vec<Parcel> {
        let mut removed = Vec::new();
        for line in self.lines.values_mut() {
            let (gone, kept): (VecDeque<_>, VecDeque<_>) =
                line.entries.drain(..).partition(|entry| entry.parcel.place.partition == *partition);
            line.entries = kept;
            removed.extend(gone.into_iter().map(|entry| entry.parcel));
        }
        self.lines.retain(|_, line| !line.entries.is_empty());
        self.entries -= removed.len();
        self.bytes -= removed.iter().map(|parcel| parcel.bytes).sum::<usize>();
        removed
    }

    pub fn len(&self) -> usize {
        self.entries
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn oldest_arrival(&self) -> Option<Duration> {
        self.lines.values().filter_map(|line| line.head()).map(|head| head.arrival).min()
    }
}
