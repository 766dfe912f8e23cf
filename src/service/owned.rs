//! What a stage knows of a partition that it owns.

use std::time::{Duration, Instant};

use super::bounded::Standing;
use crate::kafka::FetchState;
use crate::record::Partition;

/// A process that did not come round for this long was stopped, and what it knows of an end is from before.
const STOPPED_AFTER: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub struct Owned {
    pub partition: Partition,
    /// The offset after the newest record that was read; `None` before the first.
    pub position: Option<i64>,
    /// The broker's high watermark, as far as it is known.
    high: Option<i64>,
    /// The end up to which everything was read, while nothing came after it.
    drained_to: Option<i64>,
    /// The furthest end up to which everything was read.
    furthest_end: Option<i64>,
    /// Monotonic time of the newest record, or of the assignment.
    heard: Instant,
    /// When the stage came round last.
    turned: Instant,
}

impl Owned {
    pub fn new(partition: Partition, now: Instant) -> Self {
        Owned { partition, position: None, high: None, drained_to: None, furthest_end: None, heard: now, turned: now }
    }

    /// To be called whenever the stage comes round: while the process was stopped, records may have come of which it has
    /// not heard, and an input that seems to have been silent would let event time run past them.
    pub fn turn(&mut self, now: Instant) {
        if now.saturating_duration_since(self.turned) > STOPPED_AFTER {
            self.was_deaf(now);
        }
        self.turned = now;
    }

    pub fn read(&mut self, offset: i64, now: Instant) {
        self.position = Some(offset + 1);
        self.heard = now;
        // More may follow: the end has to be seen anew.
        self.drained_to = None;
    }

    pub fn progress(&mut self, fetch: FetchState) {
        self.high = fetch.high;
        self.drained_to = fetch.drained_to(self.position);
        self.furthest_end = self.furthest_end.max(self.drained_to);
    }

    /// Nothing was fetched up to now, so silence says nothing yet.
    pub fn was_deaf(&mut self, now: Instant) {
        self.drained_to = None;
        self.heard = now;
    }

    /// The end up to which everything was read, while nothing came after it.
    pub fn drained_to(&self) -> Option<i64> {
        self.drained_to
    }

    /// How long nothing has come although everything was read; `None` when records may be on their way.
    pub fn silence(&self, now: Instant) -> Option<Duration> {
        self.drained_to.map(|_| now.saturating_duration_since(self.heard))
    }

    /// Whether everything before `target` was read. Only an end that was seen tells it: brokers exist whose
    /// high watermark, from which targets are made, is too small. Stays so when more comes.
    pub fn has_read_all_to(&self, target: i64) -> bool {
        self.furthest_end.is_some_and(|end| end >= target)
    }

    /// Records between the position and the broker's high watermark, as far as they are known.
    pub fn lag_records(&self) -> Option<i64> {
        let position = self.position.or(self.drained_to)?;
        self.high.map(|high| (high - position).max(0))
    }
}

/// Where this instance is with a partition of a bounded run.
pub fn standing<'o>(mut owned: impl Iterator<Item = &'o Owned>, partition: &Partition, target: i64) -> Standing {
    match owned.find(|owned| owned.partition == *partition) {
        None => Standing::NotOwned,
        Some(owned) if owned.has_read_all_to(target) => Standing::Read,
        Some(_) => Standing::Reading,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at_end(end: i64) -> FetchState {
        FetchState { end: Some(end), high: Some(end), queued: 0 }
    }

    #[test]
    fn silence_counts_from_the_newest_record_and_only_at_the_end() {
        let start = Instant::now();
        let later = |seconds| start + Duration::from_secs(seconds);
        let mut owned = Owned::new(Partition { topic: "logs".into(), partition: 0 }, start);
        assert_eq!(owned.silence(later(60)), None, "not at the end yet");
        owned.progress(at_end(0));
        assert_eq!(owned.silence(later(60)), Some(Duration::from_secs(60)));
        owned.read(0, later(61));
        assert_eq!(owned.silence(later(70)), None, "a record came, the end is not seen again");
        owned.progress(at_end(1));
        assert_eq!(owned.silence(later(70)), Some(Duration::from_secs(9)));
        owned.was_deaf(later(100));
        assert_eq!(owned.silence(later(101)), None);
        owned.progress(at_end(1));
        assert_eq!(owned.silence(later(101)), Some(Duration::from_secs(1)), "a pause is no silence");
    }

    #[test]
    fn the_time_of_a_stop_is_no_silence() {
        let start = Instant::now();
        let later = |seconds| start + Duration::from_secs(seconds);
        let mut owned = Owned::new(Partition { topic: "logs".into(), partition: 0 }, start);
        owned.progress(at_end(0));
        (1..10).for_each(|second| owned.turn(later(second)));
        assert_eq!(owned.silence(later(9)), Some(Duration::from_secs(9)));
        owned.turn(later(600));
        assert_eq!(owned.silence(later(600)), None, "much may have come");
        owned.progress(at_end(0));
        assert_eq!(owned.silence(later(603)), Some(Duration::from_secs(3)));
    }

    #[test]
    fn a_target_is_reached_only_where_the_end_was_seen() {
        let now = Instant::now();
        let mut owned = Owned::new(Partition { topic: "logs".into(), partition: 0 }, now);
        owned.read(9, now);
        assert!(!owned.has_read_all_to(1), "a high watermark of 1 is no proof");
        owned.progress(at_end(10));
        assert!(owned.has_read_all_to(1));
        assert!(!owned.has_read_all_to(11));
        owned.read(10, now);
        assert!(owned.has_read_all_to(10));
        owned.progress(at_end(11));
        assert_eq!(owned.lag_records(), Some(0));
    }
}
