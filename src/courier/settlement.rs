//! Which offsets may be committed: all before the oldest record that is not settled.

use std::collections::{BTreeMap, BTreeSet};

use super::Place;
use crate::record::Partition;

#[derive(Debug, Default)]
pub struct Settlement {
    partitions: BTreeMap<Partition, Progress>,
}

#[derive(Debug)]
struct Progress {
    /// Records that were handed over and are not settled.
    open: BTreeSet<i64>,
    /// The offset after the newest record that was handed over.
    next: i64,
    /// What the group knows, or will once it was told.
    told: i64,
    /// Before this are records that an earlier life may have delivered without committing them.
    doubtful_until: i64,
}

/// Before all offsets.
const NOWHERE: i64 = -1;

impl Progress {
    fn done(&self) -> i64 {
        self.open.first().copied().unwrap_or(self.next)
    }
}

impl Settlement {
    /// Where nothing was committed the first record's own offset will be, at once: so a group without a commit is one that
    /// delivered nothing.
    pub fn assign(&mut self, partition: Partition, committed: Option<i64>, end: i64) {
        let next = committed.unwrap_or(NOWHERE);
        let doubtful_until = committed.map_or(NOWHERE, |_| end);
        self.partitions.insert(partition, Progress { open: BTreeSet::new(), next, told: next, doubtful_until });
    }

    /// Whether an earlier life may have delivered it.
    pub fn is_doubtful(&self, place: &Place) -> bool {
        self.partitions.get(&place.partition).is_some_and(|progress| place.offset < progress.doubtful_until)
    }

    pub fn revoke(&mut self, partition: &Partition) {
        self.partitions.remove(partition);
    }

    /// Whether it lies before what is to be read, or is nobody's.
    pub fn is_settled(&self, place: &Place) -> bool {
        self.partitions.get(&place.partition).is_none_or(|progress| place.offset < progress.next)
    }

    pub fn is_open(&self, place: &Place) -> bool {
        self.partitions.get(&place.partition).is_some_and(|progress| progress.open.contains(&place.offset))
    }

    /// Handed over; must not be settled yet.
    pub fn begin(&mut self, place: &Place) {
        if let Some(progress) = self.partitions.get_mut(&place.partition) {
            progress.open.insert(place.offset);
            progress.next = place.offset + 1;
        }
    }

    pub fn settle(&mut self, place: &Place) {
        if let Some(progress) = self.partitions.get_mut(&place.partition) {
            progress.open.remove(&place.offset);
        }
    }

    /// All that may be committed, told or not.
    pub fn all(&self) -> Vec<(Partition, i64)> {
        let known = self.partitions.iter().filter(|(_, progress)| progress.done() > NOWHERE);
        known.map(|(partition, progress)| (partition.clone(), progress.done())).collect()
    }

    /// What is new to commit.
    pub fn take(&mut self) -> Vec<(Partition, i64)> {
        let new = self.partitions.iter_mut().filter(|(_, progress)| progress.done() > progress.told);
        new.map(|(partition, progress)| {
            progress.told = progress.done();
            (partition.clone(), progress.told)
        })
        .collect()
    }

    /// Records that are not settled.
    pub fn open(&self) -> usize {
        self.partitions.values().map(|progress| progress.open.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_up_to_the_oldest_that_is_open() {
        let partition = Partition { topic: "alerts".into(), partition: 0 };
        let place = |offset| Place { partition: partition.clone(), offset };
        let mut settlement = Settlement::default();
        settlement.assign(partition.clone(), Some(5), 6);
        assert!(settlement.is_settled(&place(4)) && !settlement.is_settled(&place(5)));
        assert!(settlement.is_doubtful(&place(5)) && !settlement.is_doubtful(&place(6)));
        // A hole between 6 and 9, as compaction and transactions make them.
        [5, 6, 9].iter().for_each(|&offset| settlement.begin(&place(offset)));
        settlement.settle(&place(6));
        assert_eq!(settlement.take(), []);
        settlement.settle(&place(5));
        assert_eq!(settlement.take(), [(partition.clone(), 9)]);
        assert_eq!(settlement.take(), []);
        settlement.settle(&place(9));
        assert_eq!((settlement.take(), settlement.open()), (vec![(partition.clone(), 10)], 0));
        settlement.begin(&place(12));
        settlement.revoke(&partition);
        settlement.settle(&place(12));
        assert_eq!(settlement.take(), []);
    }

    #[test]
    fn a_group_that_committed_nothing_commits_where_it_begins() {
        let partition = Partition { topic: "alerts".into(), partition: 0 };
        let first = Place { partition: partition.clone(), offset: 7 };
        let mut settlement = Settlement::default();
        settlement.assign(partition.clone(), None, 100);
        assert!(settlement.take().is_empty() && !settlement.is_doubtful(&first) && !settlement.is_settled(&first));
        settlement.begin(&first);
        assert_eq!(settlement.take(), [(partition, 7)]);
    }
}
