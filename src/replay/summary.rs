//! What a replay read and said, for a person.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::alert::{Alert, Status};
use crate::correlator::Counts;
use crate::decode::Reason;
use crate::engine::Flushed;
use crate::time::Timestamp;

#[derive(Debug, Default)]
pub struct Summary {
    files: usize,
    pub records: u64,
    pub bytes: u64,
    rejected: BTreeMap<Reason, u64>,
    matches: BTreeMap<Arc<str>, u64>,
    counts: Counts,
    firing: u64,
    resolved: u64,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
}

impl Summary {
    pub fn of(files: usize) -> Self {
        Summary { files, ..Summary::default() }
    }

    /// Counts what a flush brought and hands its alerts on.
    pub fn add_flush(&mut self, flushed: Flushed) -> Vec<Alert> {
        for report in &flushed.reports {
            for matched in &report.matches {
                *self.matches.entry(Arc::clone(&matched.rule)).or_default() += 1;
            }
            // Lines without any time count from the epoch.
            let times = report.partitions.iter().filter_map(|progress| progress.watermark);
            for time in times.filter(|time| *time > Timestamp::default()) {
                self.first = Some(self.first.map_or(time, |first| first.min(time)));
                self.last = self.last.max(Some(time));
            }
        }
        for alert in &flushed.alerts {
            match alert.status {
                Status::Firing => self.firing += 1,
                Status::Resolved => self.resolved += 1,
            }
        }
        self.counts += flushed.counts;
        flushed.alerts
    }

    /// Counts a rejected record; returns how many there are now.
    pub fn reject(&mut self, reason: Reason) -> u64 {
        *self.rejected.entry(reason).or_default() += 1;
        self.rejected.values().sum()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = |count: usize| if count == 1 { "" } else { "s" };
        write!(f, "{} records, {} bytes in {} file{}", self.records, self.bytes, self.files, plural(self.files))?;
        if let (Some(first), Some(last)) = (self.first, self.last) {
            write!(f, ", {first} to {last}")?;
        }
        let rejected: u64 = self.rejected.values().sum();
        write!(f, "\n{rejected} rejected")?;
        for (reason, count) in &self.rejected {
            write!(f, ", {count} {reason}")?;
        }
        write!(f, "\n{} matches, {} late", self.matches.values().sum::<u64>(), self.counts.late)?;
        for (rule, count) in &self.matches {
            write!(f, "\n  {count:>8}  {rule}")?;
        }
        write!(f, "\n{} alerts firing, {} resolved", self.firing, self.resolved)
    }
}
