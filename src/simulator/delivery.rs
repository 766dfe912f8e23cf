//! The way of records into partitions: late, twice, in another order, or never.

use std::time::Duration;

use super::journal::Entry;
use super::{SimulatedPartition, SimulatedRecord, Span};
use crate::scenario::Stream;
use crate::scenario::rng::Rng;
use crate::time::Timestamp;

/// Producers without keys stay with a partition for a batch.
const BATCH: usize = 50;

/// How records travel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delivery {
    pub(super) log_partitions: u32,
    pub(super) event_partitions: u32,
    /// Longest way of an ordinary record.
    pub(super) jitter: Duration,
    /// Longest way of a late one.
    pub(super) lateness: Duration,
    pub(super) late_percent: u64,
    pub(super) duplicate_percent: u64,
    pub(super) lost_percent: u64,
    /// What is written meanwhile never comes.
    pub(super) gap: Option<Span>,
}

/// What came, and what it shows.
pub(super) struct Delivered {
    pub(super) partitions: Vec<SimulatedPartition>,
    /// The entries that came, in no order.
    pub(super) entries: Vec<Entry>,
}

impl Delivery {
    pub(super) fn usual(rng: &mut Rng) -> Self {
        Delivery {
            log_partitions: rng.between(2, 4) as u32,
            event_partitions: rng.between(1, 2) as u32,
            jitter: Duration::from_millis(800),
            lateness: Duration::ZERO,
            late_percent: 0,
            duplicate_percent: 0,
            lost_percent: 0,
            gap: None,
        }
    }

    /// `entries` in the order in which they were written; each stream has its partitions, however empty.
    pub(super) fn deliver(&self, entries: Vec<Entry>, rng: &mut Rng, end: Timestamp) -> Delivered {
        let mut lanes = vec![Vec::new(); (self.log_partitions + self.event_partitions) as usize];
        let mut came = Vec::with_capacity(entries.len());
        let mut logs = 0;
        for mut entry in entries {
            let lane = self.lane(&entry, &mut logs);
            let is_lost = rng.chance(self.lost_percent);
            if is_lost || self.gap.is_some_and(|gap| gap.from <= entry.at && entry.at < gap.to) {
                continue;
            }
            let arrived = entry.at.saturating_add(self.way(rng));
            let again = rng.chance(self.duplicate_percent).then(|| arrived.saturating_add(self.way(rng)));
            if arrived > end {
                continue;
            }
            let value = std::mem::take(&mut entry.value);
            if let Some(arrived) = again.filter(|&again| again <= end) {
                lanes[lane].push(SimulatedRecord { arrived, value: value.clone() });
            }
            lanes[lane].push(SimulatedRecord { arrived, value });
            came.push(entry);
        }
        let partitions = (0..).zip(lanes).map(|(lane, mut records)| {
            // Stable: what was written first stays first.
            records.sort_by_key(|record| record.arrived);
            let (stream, number) = match lane {
                lane if lane < self.log_partitions => (Stream::Logs, lane),
                lane => (Stream::Events, lane - self.log_partitions),
            };
            SimulatedPartition { stream, number, records }
        });
        Delivered { partitions: partitions.collect(), entries: came }
    }

    fn lane(&self, entry: &Entry, logs: &mut usize) -> usize {
        match entry.stream {
            Stream::Logs => {
                *logs += 1;
                (*logs / BATCH) % self.log_partitions as usize
            }
            Stream::Events => (u64::from(self.log_partitions) + entry.key % u64::from(self.event_partitions)) as usize,
        }
    }

    fn way(&self, rng: &mut Rng) -> Duration {
        let longest = if rng.chance(self.late_percent) { self.lateness } else { self.jitter };
        rng.millis(0, longest.as_millis() as u64)
    }
}
