//! How far event time has come, over all input partitions of one cluster, and which positions have been seen.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::record::Partition;
use crate::report::Progress;
use crate::time::Timestamp;

/// The cluster's watermark: the least of its partitions', without those that are idle, ended or abandoned.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Watermarks {
    partitions: BTreeMap<Partition, PartitionState>,
    current: Option<Timestamp>,
    newest: Option<Timestamp>,
    /// A partition that no report mentioned while event time went on by this much, and for [`ABANDON_REPORTS`], has lost
    /// its scanner for good (its topic was deleted, say) and holds nobody up any more.
    #[serde(skip)]
    abandon_after: Duration,
    reports: u64,
}

/// Scanners report about once a second; one that reads a backlog reports more often, so time alone does not tell.
const ABANDON_REPORTS: u64 = 600;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct PartitionState {
    next: i64,
    /// See [`Progress::restarted`]; the newest of them.
    restarted: Option<Timestamp>,
    watermark: Option<Timestamp>,
    waits: bool,
    ended: bool,
    /// The newest event time of any partition, and the number of reports, when this one was last mentioned.
    mentioned_at: Option<Timestamp>,
    mentioned_in: u64,
}

impl Watermarks {
    pub fn new(abandon_after: Duration) -> Self {
        Watermarks { partitions: BTreeMap::new(), current: None, newest: None, abandon_after, reports: 0 }
    }

    /// With what was seen of the same partitions before, without their times: nobody waits for them on that account.
    pub fn behind(mut self, others: &Watermarks) -> Self {
        for (partition, seen) in &others.partitions {
            let PartitionState { next, restarted, .. } = *seen;
            let blank = PartitionState {
                next,
                restarted,
                watermark: None,
                waits: false,
                ended: true,
                mentioned_at: None,
                mentioned_in: self.reports,
            };
            self.partitions.entry(partition.clone()).or_insert(blank);
        }
        self
    }

    /// For a state that was saved: settings are not part of it.
    pub fn abandoning_after(self, abandon_after: Duration) -> Self {
        Watermarks { abandon_after, ..self }
    }

    /// Takes in one partition's progress and returns its high-water offset before: what lies below it has been seen.
    pub fn observe(&mut self, progress: &Progress) -> i64 {
        self.newest = self.newest.max(progress.watermark);
        let reports = self.reports;
        let state = self.partitions.entry(progress.partition.clone()).or_insert(PartitionState {
            next: i64::MIN,
            restarted: None,
            watermark: None,
            waits: true,
            ended: false,
            mentioned_at: None,
            mentioned_in: reports,
        });
        if progress.restarted > state.restarted {
            // Another log: offsets count anew. The same or an older one only tells again what is known.
            state.restarted = progress.restarted;
            state.next = i64::MIN;
        }
        let seen_below = state.next;
        state.next = state.next.max(progress.next);
        state.watermark = state.watermark.max(progress.watermark);
        state.waits = !progress.idle && !progress.ended;
        state.ended = progress.ended;
        state.mentioned_in = reports;
        seen_below
    }

    /// Ends a report. The watermark after the reports so far; never goes back. `None` until every partition that counts has a time.
    pub fn advance(&mut self) -> Option<Timestamp> {
        let (newest, report) = (self.newest, self.reports);
        for state in self.partitions.values_mut().filter(|state| state.mentioned_in == report) {
            state.mentioned_at = newest;
        }
        self.reports += 1;
        let waiting = || self.partitions.values().filter(|state| state.waits && !self.is_abandoned(state));
        let candidate = if waiting().next().is_none() {
            self.partitions.values().filter_map(|state| state.watermark).max()
        } else if waiting().any(|state| state.watermark.is_none()) {
            None
        } else {
            waiting().filter_map(|state| state.watermark).min()
        };
        self.current = self.current.max(candidate);
        self.current
    }

    fn is_abandoned(&self, state: &PartitionState) -> bool {
        let unmentioned = self.reports.saturating_sub(state.mentioned_in);
        let (Some(newest), Some(mentioned)) = (self.newest, state.mentioned_at) else { return false };
        unmentioned > ABANDON_REPORTS && newest.since(mentioned) > self.abandon_after
    }

    pub fn current(&self) -> Option<Timestamp> {
        self.current
    }

    /// Whether nothing more will come from anywhere.
    pub fn all_ended(&self) -> bool {
        !self.partitions.is_empty() && self.partitions.values().all(|state| state.ended)
    }

    pub fn len(&self) -> usize {
        self.partitions.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(name: &str, next: i64, seconds: Option<i64>) -> Progress {
        Progress {
            partition: Partition { topic: name.into(), partition: 0 },
            first: 0,
            next,
            records: 0,
            watermark: seconds.map(|s| Timestamp::from_millis(s * 1000)),
            ..Progress::default()
        }
    }

    fn seconds(time: Option<Timestamp>) -> Option<i64> {
        time.map(|t| t.as_millis() / 1000)
    }

    #[test]
    fn the_slowest_partition_holds_the_watermark() {
        let mut marks = Watermarks::new(Duration::from_secs(600));
        marks.observe(&progress("a", 1, Some(100)));
        assert_eq!(seconds(marks.advance()), Some(100));
        marks.observe(&progress("b", 1, Some(40)));
        assert_eq!(seconds(marks.advance()), Some(100), "it never goes back");
        marks.observe(&progress("a", 2, Some(200)));
        assert_eq!(seconds(marks.advance()), Some(100));
        marks.observe(&progress("b", 2, Some(150)));
        assert_eq!(seconds(marks.advance()), Some(150));
    }

    #[test]
    fn a_partition_without_any_time_is_waited_for_until_it_is_idle() {
        let mut marks = Watermarks::new(Duration::from_secs(600));
        marks.observe(&progress("a", 1, Some(100)));
        marks.observe(&progress("b", 0, None));
        assert_eq!(marks.advance(), None);
        marks.observe(&Progress { idle: true, ..progress("b", 0, None) });
        assert_eq!(seconds(marks.advance()), Some(100));
    }

    #[test]
    fn when_all_are_idle_the_newest_time_counts() {
        let mut marks = Watermarks::new(Duration::from_secs(600));
        marks.observe(&Progress { idle: true, ..progress("a", 1, Some(100)) });
        marks.observe(&Progress { idle: true, ..progress("b", 1, Some(70)) });
        assert_eq!(seconds(marks.advance()), Some(100));
    }

    #[test]
    fn an_abandoned_partition_is_not_waited_for() {
        let mut marks = Watermarks::new(Duration::from_secs(600));
        marks.observe(&progress("gone", 1, Some(50)));
        marks.observe(&progress("a", 1, Some(100)));
        assert_eq!(seconds(marks.advance()), Some(50));
        for second in 0..=ABANDON_REPORTS as i64 {
            assert_eq!(seconds(marks.current()), Some(50), "after {second} reports");
            marks.observe(&progress("a", 2, Some(101 + second)));
            marks.advance();
        }
        assert!(seconds(marks.current()) > Some(600));
    }

    #[test]
    fn a_partition_that_is_far_behind_but_reported_is_waited_for() {
        let mut marks = Watermarks::new(Duration::from_secs(600));
        for report in 0..2_000 {
            marks.observe(&progress("slow", report, Some(report)));
            marks.observe(&progress("fast", report, Some(100_000 + 10 * report)));
            assert_eq!(seconds(marks.advance()), Some(report));
        }
    }

    #[test]
    fn tells_what_had_been_seen_before() {
        let mut marks = Watermarks::new(Duration::from_secs(600));
        assert_eq!(marks.observe(&progress("a", 10, Some(1))), i64::MIN);
        assert_eq!(marks.observe(&progress("a", 5, Some(1))), 10);
        assert_eq!(marks.observe(&progress("a", 20, Some(1))), 10);
    }

    #[test]
    fn a_log_that_begins_again_is_read_from_its_start_once() {
        let mut marks = Watermarks::new(Duration::from_secs(600));
        let begun =
            |next, at: i64| Progress { restarted: Some(Timestamp::from_millis(at)), ..progress("a", next, Some(1)) };
        marks.observe(&progress("a", 5000, Some(1)));
        assert_eq!(marks.observe(&begun(10, 70)), i64::MIN, "anew");
        assert_eq!(marks.observe(&begun(10, 70)), 10, "its scanner crashed and told it again");
        assert_eq!(marks.observe(&progress("a", 20, Some(1))), 10);
        assert_eq!(marks.observe(&begun(8, 60)), 20, "an older one is late");
        assert_eq!(marks.observe(&begun(3, 80)), i64::MIN, "and anew");
        assert_eq!(marks.observe(&progress("a", 4, Some(1))), 3);
    }
}
