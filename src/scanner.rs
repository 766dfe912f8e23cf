//! The scan stage: records in, [`Report`]s out. Keeps no state but the batch in hand and how far each partition got.

use std::sync::Arc;
use std::time::Duration;

use crate::decode::{Format, Rejected};
use crate::record::{Expect, Partition, Record};
use crate::report::Report;
use crate::time::Timestamp;

pub mod matcher;
pub mod naive;

use matcher::Matcher;

/// Bounds and defaults of a [`Scanner`].
#[derive(Clone, Debug)]
pub struct Options {
    /// The cluster of records that name none.
    pub cluster: Arc<str>,
    pub limits: Limits,
}

/// What one batch may hold before it must be flushed, and how much of a record is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Larger values are rejected unread. Bytes.
    pub record_bytes: usize,
    /// Clusters that records may name; further ones count as the default cluster.
    pub clusters: usize,
    /// Matches that a report holds.
    pub matches_per_report: usize,
    /// Pods that a report names.
    pub pods_per_report: usize,
    /// The part of a message that is kept as an alert's sample. Bytes, cut on a character.
    pub sample_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            record_bytes: 10 << 20,
            clusters: 100,
            matches_per_report: 2_000,
            pods_per_report: 5_000,
            sample_bytes: 1024,
        }
    }
}

/// One of the partitions that a [`Scanner`] owns; given by [`Scanner::assign`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Slot(pub usize);

/// What became of one record.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Scanned {
    pub entries: u32,
    pub matches: u32,
}

pub struct Scanner {
    _options: Options,
}

impl Scanner {
    /// `id` names the instance in its reports, for people.
    pub fn new(options: Options, _id: Arc<str>) -> Self {
        Scanner { _options: options }
    }

    /// Starts to own a partition. Owning it already is fine: the slot stays the same.
    pub fn assign(&mut self, _partition: Partition, _format: Format, _expect: Expect) -> Slot {
        Slot(0)
    }

    /// Stops owning a partition; flush first, what is gathered of it is dropped.
    pub fn revoke(&mut self, _slot: Slot) {}

    /// Decodes and matches one record. A rejected one counts as covered too: the caller dead-letters it.
    pub fn scan(&mut self, _matcher: &Matcher, _slot: Slot, _record: &Record<'_>) -> Result<Scanned, Rejected> {
        Ok(Scanned::default())
    }

    /// Whether enough has gathered that the caller should flush before the interval is over.
    pub fn is_full(&self) -> bool {
        false
    }

    /// The partition has been silent for `silence`: others need not wait for it, and its event time runs on at the
    /// pace of the scanner's clock, so that windows close although nothing more is said. Ends with its next record.
    pub fn idle(&mut self, _slot: Slot, _silence: Duration) {}

    /// Nothing more will come from the partition (a file's end, a bounded run).
    pub fn end(&mut self, _slot: Slot) {}

    /// Everything gathered since the last flush, one or more reports per cluster seen so far; at least a heartbeat
    /// for each while any partition is owned. `now` is written into the reports and decides nothing.
    pub fn flush(&mut self, _now: Timestamp) -> Vec<Report> {
        Vec::new()
    }
}
