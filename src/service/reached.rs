//! What the scan threads of one process tell each other, and the correlate stage, about the end of their work.

use std::collections::BTreeSet;
use std::mem;
use std::sync::mpsc::Sender;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::bounded::Standing;
use super::startup::Targets;
use crate::record::Partition;

/// Partitions that some thread of this process has read to the end of a bounded run. Whichever owns them now, nothing is
/// left to read; so all threads end at once, and none waits for what another one has committed.
#[derive(Debug, Default)]
pub struct Reached(Mutex<BTreeSet<Partition>>);

impl Reached {
    /// Where this process is with a partition, given where the thread that asks is.
    pub fn standing(&self, partition: &Partition, own: Standing) -> Standing {
        let mut reached = self.lock();
        if reached.contains(partition) {
            return Standing::Read;
        }
        if own == Standing::Read {
            reached.insert(partition.clone());
        }
        own
    }

    /// Whether nothing is left, whoever the group gives it to.
    pub fn holds_all(&self, targets: &Targets) -> bool {
        let reached = self.lock();
        targets.keys().all(|partition| reached.contains(partition))
    }

    /// What was read of them is lost: whoever owns them next reads it again.
    pub fn forget(&self, partitions: &[Partition]) {
        let mut reached = self.lock();
        partitions.iter().for_each(|partition| _ = reached.remove(partition));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<Partition>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The scan threads of this process, as far as they are not through.
#[derive(Debug)]
pub struct Members {
    state: Mutex<State>,
    changed: Condvar,
    tell: Sender<Targets>,
}

#[derive(Debug)]
struct State {
    left: usize,
    /// How far the others wrote into the reports topic.
    written: Targets,
    /// Whether those were at the end of a bounded run.
    at_the_end: bool,
}

impl Members {
    /// `tell` is told how far all of them wrote when the last one is at the end.
    pub fn new(threads: usize, tell: Sender<Targets>) -> Self {
        let state = State { left: threads, written: Targets::new(), at_the_end: true };
        Members { state: Mutex::new(state), changed: Condvar::new(), tell }
    }

    /// One of them.
    pub fn member(&self) -> Member<'_> {
        Member { members: self, is_through: false }
    }

    fn through(&self, written: Option<Targets>) {
        let mut state = self.lock();
        state.at_the_end &= written.is_some();
        for (partition, end) in written.into_iter().flatten() {
            let furthest = state.written.entry(partition).or_default();
            *furthest = end.max(*furthest);
        }
        state.left = state.left.saturating_sub(1);
        if state.left == 0 {
            if state.at_the_end {
                // Nobody listens when the correlate stage runs elsewhere.
                let _ = self.tell.send(mem::take(&mut state.written));
            }
            self.changed.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A thread that ends without a word is through, too.
#[derive(Debug)]
pub struct Member<'m> {
    members: &'m Members,
    is_through: bool,
}

impl Member<'_> {
    /// Everything is committed. `written` is how far it wrote, if it is at the end. Waits up to `patience` for the
    /// others: leaving the group begins a rebalance, in which what they commit may be refused.
    pub fn leave(mut self, written: Option<Targets>, patience: Duration) {
        self.is_through = true;
        self.members.through(written);
        let waits = self.members.changed.wait_timeout_while(self.members.lock(), patience, |state| state.left > 0);
        drop(waits.unwrap_or_else(PoisonError::into_inner));
    }
}

impl Drop for Member<'_> {
    fn drop(&mut self) {
        if !self.is_through {
            self.members.through(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn partition(number: i32) -> Partition {
        Partition { topic: "logs".into(), partition: number }
    }

    #[test]
    fn what_one_thread_has_read_is_read_for_all_until_it_is_lost() {
        let reached = Reached::default();
        let p = partition(0);
        assert_eq!(reached.standing(&p, Standing::NotOwned), Standing::NotOwned);
        assert_eq!(reached.standing(&p, Standing::Reading), Standing::Reading);
        assert_eq!(reached.standing(&p, Standing::Read), Standing::Read);
        assert_eq!(reached.standing(&p, Standing::NotOwned), Standing::Read);
        assert_eq!(reached.standing(&partition(1), Standing::NotOwned), Standing::NotOwned);
        reached.forget(std::slice::from_ref(&p));
        assert_eq!(reached.standing(&p, Standing::Reading), Standing::Reading);
    }

    #[test]
    fn the_furthest_is_told_when_all_are_through() {
        let (tell, told) = mpsc::channel();
        let members = Members::new(2, tell);
        let (first, second) = (members.member(), members.member());
        first.leave(Some([(partition(0), 7), (partition(1), 2)].into()), Duration::ZERO);
        assert!(told.try_recv().is_err(), "one is not through");
        second.leave(Some([(partition(0), 5), (partition(2), 1)].into()), Duration::MAX);
        assert_eq!(told.try_recv(), Ok([(partition(0), 7), (partition(1), 2), (partition(2), 1)].into()));
    }

    #[test]
    fn who_failed_is_not_waited_for_and_then_nothing_is_told() {
        let (tell, told) = mpsc::channel();
        let members = Members::new(2, tell);
        let (first, second) = (members.member(), members.member());
        drop(first);
        second.leave(Some([(partition(0), 7)].into()), Duration::MAX);
        assert!(told.try_recv().is_err());
    }
}
