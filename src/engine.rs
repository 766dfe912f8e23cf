//! Both stages in one hand: records in, alerts out. What a replay, the tests and the benches drive; the service runs
//! the same two stages with Kafka in between.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::alert::Alert;
use crate::correlator::{self, Correlator, Counts, Explained, Outcome};
use crate::decode::{Input, Rejected};
use crate::record::{Partition, Record};
use crate::report::Report;
use crate::scanner::matcher::Matcher;
use crate::scanner::{self, Scanned, Scanner, Slot};
use crate::time::Timestamp;

pub struct Engine {
    matcher: Matcher,
    scanner: Scanner,
    correlators: BTreeMap<Arc<str>, Correlator>,
    options: correlator::Options,
}

/// What a flush led to.
#[derive(Debug, Default)]
pub struct Flushed {
    pub reports: Vec<Report>,
    pub alerts: Vec<Alert>,
    /// One for each alert, if they were asked for.
    pub explanations: Vec<Explained>,
    pub counts: Counts,
}

impl Flushed {
    fn add(&mut self, outcome: Outcome) {
        self.alerts.extend(outcome.alerts);
        self.explanations.extend(outcome.explanations);
        self.counts += outcome.counts;
    }
}

impl Engine {
    pub fn new(matcher: Matcher, scan: scanner::Options, options: correlator::Options) -> Self {
        let scanner = Scanner::new(scan, "engine".into());
        Engine { matcher, scanner, correlators: BTreeMap::new(), options }
    }

    pub fn assign(&mut self, partition: Partition, input: Input) -> Slot {
        self.scanner.assign(partition, input)
    }

    pub fn scan(&mut self, slot: Slot, record: &Record<'_>) -> Result<Scanned, Rejected> {
        self.scanner.scan(&self.matcher, slot, record)
    }

    pub fn end(&mut self, slot: Slot) {
        self.scanner.end(&self.matcher, slot);
    }

    /// The partition has been silent for so long that others need not wait for it.
    pub fn idle(&mut self, slot: Slot, silence: Duration) {
        self.scanner.idle(slot, silence);
    }

    pub fn is_full(&self) -> bool {
        self.scanner.is_full()
    }

    /// Newest event time of a partition.
    pub fn newest(&self, slot: Slot) -> Option<Timestamp> {
        self.scanner.newest(slot)
    }

    /// Hands what has been gathered to the correlators.
    pub fn flush(&mut self) -> Flushed {
        // Nothing here measures latency, and no decision looks at this time.
        let reports = self.scanner.flush(Timestamp::default());
        let mut flushed = Flushed::default();
        for report in &reports {
            if let Some(cluster) = &report.cluster {
                let (rules, options) = (self.matcher.rules(), self.options);
                let new = || Correlator::new(Arc::clone(cluster), Arc::clone(rules), options);
                let correlator = self.correlators.entry(Arc::clone(cluster)).or_insert_with(new);
                flushed.add(correlator.apply(report));
            } else {
                self.correlators.values_mut().for_each(|correlator| flushed.add(correlator.apply(report)));
            }
        }
        flushed.reports = reports;
        flushed
    }
}
