//! "Processed up to": which offsets may be committed, given which messages were acknowledged.
//!
//! Messages are gathered in batches. Sealing a batch says which input offsets it covers; those may be committed when
//! every message of it and of all batches before it is acknowledged. Acknowledgements come in any order.

use std::collections::VecDeque;

use crate::record::Partition;

/// `T` is whatever the owner wants back when a batch is done.
#[derive(Debug)]
pub struct Acks<T> {
    /// The number of the batch that is being gathered; sealed ones have the numbers before it.
    open: u64,
    open_waiting: usize,
    sealed: VecDeque<Batch<T>>,
    bytes: usize,
    messages: usize,
}

#[derive(Debug)]
struct Batch<T> {
    waiting: usize,
    covers: Vec<(Partition, i64)>,
    tag: T,
}

/// A batch all of whose messages, and all messages before it, are acknowledged.
#[derive(PartialEq, Eq, Debug)]
pub struct Done<T> {
    /// The next offset to read of each partition.
    pub covers: Vec<(Partition, i64)>,
    pub tag: T,
}

impl<T> Default for Acks<T> {
    fn default() -> Self {
        Acks { open: 0, open_waiting: 0, sealed: VecDeque::new(), bytes: 0, messages: 0 }
    }
}

impl<T> Acks<T> {
    /// A message of `bytes` was sent; it belongs to the batch whose number this returns.
    pub fn sent(&mut self, bytes: usize) -> u64 {
        self.open_waiting += 1;
        self.messages += 1;
        self.bytes += bytes;
        self.open
    }

    /// Closes the batch that was gathered and begins the next. A batch without messages is done as soon as those
    /// before it are.
    pub fn seal(&mut self, covers: Vec<(Partition, i64)>, tag: T) {
        self.sealed.push_back(Batch { waiting: self.open_waiting, covers, tag });
        self.open_waiting = 0;
        self.open += 1;
    }

    /// A message of that batch was acknowledged.
    pub fn acknowledged(&mut self, batch: u64, bytes: usize) {
        self.messages = self.messages.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
        if batch == self.open {
            self.open_waiting = self.open_waiting.saturating_sub(1);
            return;
        }
        let first = self.open - self.sealed.len() as u64;
        let index = batch.checked_sub(first).and_then(|index| usize::try_from(index).ok());
        if let Some(batch) = index.and_then(|index| self.sealed.get_mut(index)) {
            batch.waiting = batch.waiting.saturating_sub(1);
        }
    }

    /// The oldest batch, if it is done.
    pub fn pop_done(&mut self) -> Option<Done<T>> {
        if self.sealed.front()?.waiting > 0 {
            return None;
        }
        self.sealed.pop_front().map(|batch| Done { covers: batch.covers, tag: batch.tag })
    }

    /// Whether [`Acks::pop_done`] has something.
    pub fn has_done(&self) -> bool {
        self.sealed.front().is_some_and(|batch| batch.waiting == 0)
    }

    /// The partition belongs to somebody else now: its offsets are not ours to commit.
    pub fn forget(&mut self, partition: &Partition) {
        for batch in &mut self.sealed {
            batch.covers.retain(|(covered, _)| covered != partition);
        }
    }

    /// Sealed batches that are not done.
    pub fn batches(&self) -> usize {
        self.sealed.len()
    }

    /// Messages that are not acknowledged, of the open batch too.
    pub fn messages(&self) -> usize {
        self.messages
    }

    /// Their bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(offset: i64) -> Vec<(Partition, i64)> {
        vec![(Partition { topic: "logs".into(), partition: 0 }, offset)]
    }

    #[test]
    fn a_batch_waits_for_those_before_it() {
        let mut acks = Acks::default();
        let first = acks.sent(10);
        acks.seal(covers(5), "first");
        let second = acks.sent(20);
        acks.seal(covers(9), "second");

        acks.acknowledged(second, 20);
        assert_eq!(acks.pop_done(), None);
        assert_eq!((acks.batches(), acks.messages(), acks.bytes()), (2, 1, 10));

        acks.acknowledged(first, 10);
        assert_eq!(acks.pop_done(), Some(Done { covers: covers(5), tag: "first" }));
        assert_eq!(acks.pop_done(), Some(Done { covers: covers(9), tag: "second" }));
        assert_eq!(acks.pop_done(), None);
        assert_eq!((acks.batches(), acks.messages(), acks.bytes()), (0, 0, 0));
    }

    #[test]
    fn every_message_of_a_batch_counts() {
        let mut acks = Acks::default();
        let batch = acks.sent(1);
        acks.acknowledged(batch, 1);
        acks.sent(1);
        acks.sent(1);
        acks.seal(covers(1), ());
        acks.acknowledged(batch, 1);
        assert_eq!(acks.pop_done(), None);
        acks.acknowledged(batch, 1);
        assert!(acks.pop_done().is_some());
    }

    #[test]
    fn a_batch_without_messages_is_done_at_once() {
        let mut acks = Acks::default();
        acks.seal(covers(3), ());
        assert_eq!(acks.pop_done().map(|done| done.covers), Some(covers(3)));
    }

    #[test]
    fn offsets_of_a_revoked_partition_are_not_committed() {
        let mut acks = Acks::default();
        acks.seal(covers(3), ());
        acks.forget(&covers(0)[0].0);
        assert_eq!(acks.pop_done().map(|done| done.covers), Some(Vec::new()));
    }

    #[test]
    fn an_acknowledgement_of_an_unknown_batch_is_ignored() {
        let mut acks: Acks<()> = Acks::default();
        acks.acknowledged(7, 100);
        assert_eq!((acks.messages(), acks.bytes()), (0, 0));
    }
}
