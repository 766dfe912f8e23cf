//! Alerts, offsets and snapshots of one partition of the reports, in one transaction after the other.
//!
//! A transaction that fails takes nothing with it that was not committed: the state is dropped and taken up again from
//! what was, like that of a partition that was just assigned. Memory is never patched.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rdkafka::Message as _;
use rdkafka::message::{Headers as _, OwnedHeaders, OwnedMessage};
use tracing::{info, warn};

use super::measures::measure;
use super::restore::{ID_HEADER, create_missing, restore};
use super::work::{Correlating, Work};
use crate::kafka::{self, Consumer, Outgoing, Step, Transaction};
use crate::metrics::OutcomeLabel;
use crate::record::Partition;
use crate::service::{Error, Shared};

/// How long one look at a transaction may take; the consumer is looked after in between.
const SLICE: Duration = Duration::from_millis(500);
/// Alerts wait so long for others to go with.
const GATHER: Duration = Duration::from_millis(20);
/// A producer that broke is made anew after this. If another instance took the partition over, the group tells us
/// sooner (`heartbeat.interval.ms` is 3 s), and we leave it alone.
const MEND_AFTER: Duration = Duration::from_secs(5);
/// So many times in a row, without a commit in between.
const MOST_REPAIRS: u32 = 10;
/// For one acknowledgement, where it matters which message it is of.
const PATIENCE: Duration = Duration::from_secs(5);
const SEEK_TIMEOUT: Duration = Duration::from_secs(5);

/// The transactions of one partition that is owned.
pub struct Transacting {
    transaction: Transaction,
    opened: Option<Instant>,
    /// The newest commit, or the attempt to.
    committed: Instant,
    /// What the commit that is under way covers.
    committing: Option<i64>,
    trouble: Option<Trouble>,
    /// What the broker refused, to be set aside.
    refused: Vec<OwnedMessage>,
    past: Past,
}

/// What is known of transactions that failed, until one is committed that goes beyond them.
#[derive(Default)]
struct Past {
    repairs: u32,
    /// How far had been read then; what lies before it may fail again.
    failed_before: Option<i64>,
    /// The broker refused one of several messages: the next are sent one by one, to learn which.
    is_careful: bool,
    /// Messages that it will never take, by topic and id.
    refused: BTreeSet<(String, String)>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Trouble {
    /// The transaction is to be aborted, and its work done again.
    Abort,
    /// It is aborted; its work is to be done again, no sooner than then.
    Aborted(Instant),
    /// The producer is to be replaced, no sooner than then.
    Replace(Instant),
}

impl Transacting {
    pub fn new(transaction: Transaction) -> Self {
        Transacting {
            transaction,
            opened: None,
            committed: Instant::now(),
            committing: None,
            trouble: None,
            refused: Vec::new(),
            past: Past::default(),
        }
    }

    pub fn messages(&self) -> usize {
        self.transaction.messages()
    }

    /// Nothing is sent while there is trouble: it will be made again.
    pub fn send(&mut self, shared: &Shared, message: Outgoing<'_>, go_on: impl FnMut() -> bool) {
        if self.trouble.is_some() || !self.past.refused.is_empty() && self.past.refused.contains(&identity(&message)) {
            return;
        }
        self.opened.get_or_insert_with(Instant::now);
        match self.transaction.send(message.clone(), go_on) {
            Ok(true) if self.past.is_careful => {
                if let Step::MustAbort(error) = self.transaction.settle(PATIENCE, |ticket| measure(shared, ticket)) {
                    self.fails(Trouble::Abort, &error);
                }
            }
            Ok(true) => {}
            Ok(false) => self.trouble = Some(Trouble::Abort),
            Err(error) if error.is_refusal() => self.refused.push(message.to_owned_message()),
            Err(error) if self.transaction.is_open() => self.fails(Trouble::Abort, &error),
            Err(error) => self.breaks(&error),
        }
    }

    fn breaks(&mut self, why: &kafka::Error) {
        self.fails(Trouble::Replace(Instant::now() + MEND_AFTER), why);
    }

    fn fails(&mut self, trouble: Trouble, why: &kafka::Error) {
        let repairs = self.past.repairs;
        warn!(repairs, "{why}; the reports since the last commit will be read again");
        self.trouble = Some(trouble);
        self.note_refused();
    }

    fn note_refused(&mut self) {
        let (chunks, alerts): (Vec<_>, Vec<_>) =
            self.transaction.take_refused().into_iter().partition(|message| id_of(message.headers()).is_empty());
        self.refused.extend(chunks);
        if self.past.is_careful || alerts.len() == 1 {
            let ids = alerts.iter().map(|alert| (alert.topic().to_owned(), id_of(alert.headers())));
            self.past.refused.extend(ids);
            self.refused.extend(alerts);
            self.past.repairs = 0;
        } else if !alerts.is_empty() {
            self.past.is_careful = true;
        }
    }

    /// Messages that the broker will never take, since the last call.
    pub fn take_refused(&mut self) -> Vec<OwnedMessage> {
        std::mem::take(&mut self.refused)
    }

    fn is_calm(&self) -> bool {
        self.committing.is_none() && self.trouble.is_none()
    }

    fn is_due(&self, interval: Duration) -> bool {
        self.committing.is_some()
            || self.opened.is_some_and(|opened| opened.elapsed() >= GATHER)
            || self.committed.elapsed() >= interval
    }

    /// Commits what was sent, and `next`, unless an earlier commit is still under way. Returns what is committed.
    fn commit(
        &mut self,
        shared: &Shared,
        consumer: &Consumer,
        (partition, next): (&Partition, i64),
        timeout: Duration,
    ) -> Option<i64> {
        let next = *self.committing.get_or_insert(next);
        match self.transaction.commit(consumer, partition, next, timeout, |ticket| measure(shared, ticket)) {
            Step::Pending => return None,
            Step::Done => {
                (self.opened, self.committing) = (None, None);
                if self.past.failed_before.is_none_or(|failed_before| next >= failed_before) {
                    self.past = Past::default();
                }
                self.committed = Instant::now();
                count(shared, "committed");
                return Some(next);
            }
            Step::MustAbort(error) => self.fails(Trouble::Abort, &error),
            Step::Broken(error) => self.breaks(&error),
        }
        None
    }

    /// Takes one step out of the trouble. Returns whether the partition can begin anew.
    fn recover(&mut self, shared: &Shared, trouble: Trouble) -> Result<bool, Error> {
        if self.past.repairs >= MOST_REPAIRS {
            let times = format!("{MOST_REPAIRS} times without one that was committed");
            return Err(Error::new(format!("transactions fail again and again ({times}); the log says why")));
        }
        match trouble {
            Trouble::Abort => match self.transaction.abort(SLICE) {
                Step::Done => {
                    count(shared, "aborted");
                    self.trouble = Some(Trouble::Aborted(Instant::now() + self.past.pause()));
                }
                Step::Pending => {}
                Step::MustAbort(error) | Step::Broken(error) => self.breaks(&error),
            },
            Trouble::Aborted(at) | Trouble::Replace(at) if Instant::now() < at => {}
            Trouble::Aborted(_) => return Ok(true),
            Trouble::Replace(_) => {
                count(shared, "broken");
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The producer, if it can go on, and what is known of failures.
    fn into_parts(self) -> (Option<Transaction>, Past) {
        let goes_on = matches!(self.trouble, Some(Trouble::Aborted(_)));
        (goes_on.then_some(self.transaction), self.past)
    }
}

impl Past {
    /// A rebalance takes a moment; what fails again at once is given ever more time.
    fn pause(&self) -> Duration {
        const FIRST: Duration = Duration::from_millis(100);
        if self.repairs == 0 { Duration::ZERO } else { (FIRST * 2u32.saturating_pow(self.repairs)).min(MEND_AFTER) }
    }
}

fn identity(message: &Outgoing<'_>) -> (String, String) {
    (message.topic.to_owned(), id_of(message.headers.as_ref()))
}

fn id_of(headers: Option<&OwnedHeaders>) -> String {
    let header = headers.and_then(|headers| headers.iter().find(|header| header.key == ID_HEADER));
    String::from_utf8_lossy(header.and_then(|header| header.value).unwrap_or_default()).into_owned()
}

fn count(shared: &Shared, outcome: &'static str) {
    shared.metrics.transactions.get_or_create(&OutcomeLabel { outcome }).inc();
}

impl Work<'_> {
    fn transacting(&self) -> impl Iterator<Item = &Transacting> {
        self.owned.iter().filter_map(|correlating| correlating.transacting.as_ref())
    }

    pub(super) fn are_transactions_calm(&self) -> bool {
        let most = self.shared.config.limits.messages_in_flight;
        self.transacting().all(|transacting| transacting.is_calm() && transacting.messages() < most)
    }

    /// Whether everything that was read and sent is committed.
    pub fn is_committed(&self) -> bool {
        self.owned.iter().all(|correlating| {
            let Some(transacting) = &correlating.transacting else { return true };
            let next = correlating.ledger.to_commit();
            transacting.is_calm()
                && !transacting.transaction.is_open()
                && next.is_none_or(|_| correlating.committed == next)
                && correlating.ledger.next() >= correlating.had_read
        })
    }

    /// How long the consumer may be waited for.
    pub fn poll_time(&self, most: Duration) -> Duration {
        if self.transacting().any(|transacting| transacting.opened.is_some()) { most.min(GATHER / 4) } else { most }
    }

    /// Commits the transactions that it is time to; `at_once`: all that are open.
    pub fn commit_if_due(&mut self, consumer: &Consumer, at_once: bool) -> Result<(), Error> {
        // Their dead letters are on their way before their offsets.
        self.set_refused_aside()?;
        if self.incomplete {
            return Ok(());
        }
        let (shared, interval) = (self.shared, self.shared.config.limits.commit_interval);
        for correlating in &mut self.owned {
            let next = correlating.ledger.to_commit();
            let Some(transacting) = correlating.transacting.as_mut().filter(|t| t.trouble.is_none()) else { continue };
            let is_due = transacting.is_due(interval) || at_once && transacting.transaction.is_open();
            if let Some(next) = next.filter(|_| is_due) {
                if correlating.committed == Some(next) && !transacting.transaction.is_open() {
                    transacting.committed = Instant::now();
                    continue;
                }
                let what = (&correlating.owned.partition, next);
                let committed = transacting.commit(shared, consumer, what, SLICE);
                correlating.committed = committed.or(correlating.committed);
            }
        }
        Ok(())
    }

    /// Commits what is open of these partitions, before somebody else has them; gives up when it takes too long.
    pub fn commit_all(
        &mut self,
        consumer: &Consumer,
        partitions: &[Partition],
        deadline: Instant,
    ) -> Result<(), Error> {
        self.set_refused_aside()?;
        let shared = self.shared;
        for correlating in self.owned.iter_mut().filter(|c| partitions.contains(&c.owned.partition)) {
            let Some(next) = correlating.ledger.to_commit() else { continue };
            let Some(transacting) = &mut correlating.transacting else { continue };
            while correlating.committed != Some(next) || transacting.transaction.is_open() {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() || transacting.trouble.is_some() {
                    break;
                }
                shared.correlate.beat();
                let what = (&correlating.owned.partition, next);
                let committed = transacting.commit(shared, consumer, what, left.min(SLICE));
                correlating.committed = committed.or(correlating.committed);
                if !shared.link.is_up() && shared.shutdown.is_triggered() {
                    break;
                }
            }
            // Whoever takes the partition over would end it, but only then.
            if transacting.transaction.is_open() {
                let _ = transacting.transaction.abort(SLICE);
            }
        }
        Ok(())
    }

    /// Begins anew with partitions whose transaction failed. To be called after the group was heard.
    pub fn mend(&mut self, consumer: &Consumer) -> Result<(), Error> {
        // Whoever has the partition now would be fenced by us.
        if consumer.lost() {
            return Ok(());
        }
        for index in 0..self.owned.len() {
            let Some(transacting) = &mut self.owned[index].transacting else { continue };
            let Some(trouble) = transacting.trouble else { continue };
            if transacting.recover(self.shared, trouble)? {
                self.set_refused_aside()?;
                self.begin_again(index, consumer)?;
                // The others may have moved.
                break;
            }
        }
        Ok(())
    }

    fn begin_again(&mut self, index: usize, consumer: &Consumer) -> Result<(), Error> {
        let Correlating { owned, transacting, .. } = self.owned.remove(index);
        let (partition, had_read) = (owned.partition, owned.position);
        let (transaction, past) = transacting.map(Transacting::into_parts).unwrap_or_default();
        // Taking up a state takes time, in which readers wait for what the others have open.
        self.commit_if_due(consumer, true)?;
        create_missing(self.shared)?;
        let restored = restore(self.shared, consumer, vec![(partition, transaction)])?;
        if let Some((partition, restored)) = restored.and_then(|mut restored| restored.pop()) {
            let start = restored.start();
            let sought = consumer.seek(&partition, start, SEEK_TIMEOUT);
            let correlating = self.take(&partition, restored);
            // Ends that are told of now may be from before.
            correlating.had_read = had_read;
            let Some(transacting) = &mut correlating.transacting else { return Ok(()) };
            let failed_before = past.failed_before.max(had_read);
            transacting.past = Past { repairs: past.repairs + 1, failed_before, ..past };
            match sought {
                Ok(()) => info!("{partition}: goes on after the last commit"),
                // Perhaps the group is taking it away; reports must not be skipped.
                Err(error) => transacting.breaks(&error),
            }
        }
        Ok(())
    }
}
