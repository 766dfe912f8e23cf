//! What log alerting gives: so many matches on a node in five minutes, and its alert fires.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::Seen;
use crate::alert::{Status, Suspect};
use crate::evaluation::Told;
use crate::report::Report;
use crate::time::Timestamp;

/// An alert per node, firing while its matches of the last five minutes are `matches` or more.
pub struct NodeThreshold {
    matches: usize,
    seen: Seen,
    /// Times of a node's matches, as they came.
    times: BTreeMap<Arc<str>, VecDeque<Timestamp>>,
    firing: BTreeSet<Arc<str>>,
}

impl NodeThreshold {
    pub fn new(matches: usize) -> Self {
        NodeThreshold { matches, seen: Seen::default(), times: BTreeMap::new(), firing: BTreeSet::new() }
    }

    pub fn observe(&mut self, report: &Report) -> Vec<Told> {
        self.seen.learn(report);
        for matched in &report.matches {
            if let Some(node) = self.seen.node(report, matched) {
                self.times.entry(node).or_default().push_back(matched.time);
            }
        }
        let mut told = Vec::new();
        for (node, times) in &mut self.times {
            times.retain(|time| !self.seen.is_old(*time));
            let (fires, fired) = (times.len() >= self.matches, self.firing.contains(node));
            if fires == fired {
                continue;
            }
            let status = if fires { Status::Firing } else { Status::Resolved };
            told.push(Told::plainly(self.seen.now, &Suspect::Node(Arc::clone(node)), status));
            if fires {
                self.firing.insert(Arc::clone(node))
            } else {
                self.firing.remove(node)
            };
        }
        self.times.retain(|_, times| !times.is_empty());
        told
    }
}
