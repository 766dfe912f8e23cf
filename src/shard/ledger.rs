//! One partition of the reports as its owner reads it: what is new and has to be told, and what may be committed.
//!
//! Everything here follows from what was read, so that an owner that is killed at any moment and one that takes over say
//! the same: state is rebuilt from a snapshot that was committed and the reports after it, and up to the committed offset
//! nothing is told again.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::snapshot::{Error, Gatherer, Slot, Snapshot};
use super::{Shard, Unreadable};
use crate::correlator::{Options, Outcome};
use crate::notifier::{Notices, Policy};
use crate::ruleset::RuleSet;

/// Output and id of an alert.
pub type Sent = (usize, String);

pub struct Ledger {
    shard: Shard,
    /// The offset after the newest report that was read; where reading begins, before the first.
    next: Option<i64>,
    /// What reports before this offset lead to was told by whoever committed it.
    tell_from: i64,
    /// What somebody may have told after the last commit: only without transactions.
    sent: BTreeSet<Sent>,
}

/// What a report led to.
pub struct Read {
    /// Whether it has to be told.
    pub is_new: bool,
    /// The topic was created anew: offsets go back.
    pub began_anew: bool,
    pub outcome: Result<Outcome, Unreadable>,
    pub notices: Notices,
}

/// A state that was saved, and where the next one goes.
pub struct TakenUp {
    pub ledger: Ledger,
    pub slot: Slot,
    /// Bytes of the state that was restored.
    pub restored: Option<usize>,
    /// What was wrong with snapshots that could not be used, the newest first.
    pub complaints: Vec<String>,
}

impl Ledger {
    /// Begins with the newest snapshot that can be used, else with nothing and the first report that there is.
    /// `committed` is what the group committed.
    pub fn take_up(
        gatherer: &Gatherer,
        committed: Option<i64>,
        sent: BTreeSet<Sent>,
        rules: &Arc<RuleSet>,
        options: Options,
    ) -> TakenUp {
        let tell_from = committed.unwrap_or(0);
        let mut complaints: Vec<String> = gatherer.complaint().into_iter().collect();
        for (slot, snapshot) in gatherer.before(tell_from) {
            match restored(snapshot, rules, options) {
                Ok((shard, next, bytes)) => {
                    let ledger = Ledger { shard, next: Some(next), tell_from, sent };
                    return TakenUp { ledger, slot: slot.other(), restored: Some(bytes), complaints };
                }
                Err(why) => complaints.push(why),
            }
        }
        let ledger = Ledger { shard: Shard::default(), next: None, tell_from, sent };
        TakenUp { ledger, slot: Slot::default(), restored: None, complaints }
    }

    /// The next report to read; `None`: the first that there is.
    pub fn next(&self) -> Option<i64> {
        self.next
    }

    /// Applies the report at `offset`.
    pub fn read(&mut self, offset: i64, value: &[u8], rules: &Arc<RuleSet>, options: Options, policy: &Policy) -> Read {
        let goes_back = self.next.is_some_and(|next| offset < next);
        if goes_back {
            self.begin_anew();
        }
        self.next = Some(offset + 1);
        let outcome = self.shard.apply(value, rules, options);
        let is_new = offset >= self.tell_from;
        let notify = |outcome| self.shard.notify(outcome, policy, is_new);
        let notices = outcome.as_ref().map(notify).unwrap_or_default();
        Read { is_new, began_anew: goes_back, outcome, notices }
    }

    /// The partition ends there, and there is nothing before it that was not read. Returns whether the topic was created
    /// anew.
    pub fn sees_end(&mut self, end: i64) -> bool {
        // All that a predecessor can have told has been made again.
        self.sent.clear();
        let is_anew = end < self.tell_from || self.next.is_some_and(|next| end < next);
        if is_anew {
            self.begin_anew();
        }
        is_anew
    }

    /// The topic was created anew: what its reports tell is news, whatever was committed before. What was seen of the
    /// inputs stays.
    fn begin_anew(&mut self) {
        (self.next, self.tell_from) = (None, 0);
    }

    /// Whether somebody told it already; asked once for each.
    pub fn was_sent(&mut self, output: usize, id: &str) -> bool {
        !self.sent.is_empty() && self.sent.remove(&(output, id.to_owned()))
    }

    /// Whether not all that was committed is read yet.
    pub fn is_rebuilding(&self) -> bool {
        self.next.unwrap_or(0) < self.tell_from
    }

    /// The offset that may be committed once all is told: while state is rebuilt, the committed one is ahead of us and
    /// must not go back.
    pub fn to_commit(&self) -> Option<i64> {
        self.next.filter(|next| *next > self.tell_from)
    }

    /// Everything that is known, unless it is less than what is saved already.
    ///
    /// # Errors
    /// As [`Shard::save`].
    pub fn snapshot(&self) -> Result<Option<Snapshot>, crate::correlator::Unusable> {
        let worth_it = self.shard.clusters() > 0;
        let next = self.to_commit().filter(|_| worth_it);
        next.map(|next| Ok(Snapshot { next, state: self.shard.save()? })).transpose()
    }

    pub fn shard(&self) -> &Shard {
        &self.shard
    }
}

fn restored(
    snapshot: Result<Snapshot, Error>,
    rules: &Arc<RuleSet>,
    options: Options,
) -> Result<(Shard, i64, usize), String> {
    let Snapshot { next, state } = snapshot.map_err(|e| e.to_string())?;
    let shard = Shard::restore(&state, rules, options).map_err(|e| e.to_string())?;
    Ok((shard, next, state.len()))
}
