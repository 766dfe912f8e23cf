//! A producer whose messages and offsets become visible together, or not at all.
//!
//! Every call is bounded in time, and all but one go on where the last one stopped, so that its owner can look after its
//! consumer meanwhile: sending offsets takes its time in one call. `transactional.id` is that of the partition whose offsets are sent: whoever takes the partition over fences
//! and aborts what was left here (KIP-98; <https://cwiki.apache.org/confluence/x/ob_tAw>).

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::OwnedMessage;
use rdkafka::producer::{Producer as _, PurgeConfig};

use super::consumer::Consumer;
use super::{Connection, Error, Link, Outgoing, Producer, Ticket};
use crate::record::Partition;

/// How far a call came.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    Done,
    /// The broker takes its time; call again.
    Pending,
    /// Nothing of the transaction will be seen; [`Transaction::abort`] it and do its work again.
    MustAbort(Error),
    /// This producer is of no more use: another one took over its id, or nobody knows what became of the transaction.
    Broken(Error),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Idle,
    Open,
    /// The offsets are part of it; what is left is to commit.
    Whole,
    Aborting,
}

/// For sending offsets, which librdkafka begins no second time: what it could not do in time is an error that costs the
/// transaction, and it waits half a second before it asks a coordinator again.
const OFFSETS_TIMEOUT: Duration = Duration::from_secs(5);

pub struct Transaction {
    producer: Producer,
    stage: Stage,
    messages: usize,
    /// Messages that are not acknowledged.
    waiting: usize,
    failed: Option<Error>,
    refused: Vec<OwnedMessage>,
}

impl Transaction {
    /// A producer of its own for `id`; [`Transaction::init`] comes first. The broker aborts transactions that stay open
    /// for longer than `timeout`.
    ///
    /// # Errors
    /// When librdkafka refuses the configuration.
    pub fn new(connection: &Connection, id: &str, timeout: Duration, link: Arc<Link>) -> Result<Self, Error> {
        let producer = Producer::transactional(connection, id, timeout, link)?;
        Ok(Transaction { producer, stage: Stage::Idle, messages: 0, waiting: 0, failed: None, refused: Vec::new() })
    }

    /// Fences whoever used the id before, and ends what they left open.
    pub fn init(&self, timeout: Duration) -> Step {
        step("beginning transactions", self.producer.inner().init_transactions(timeout))
    }

    pub fn is_open(&self) -> bool {
        self.stage != Stage::Idle
    }

    pub fn messages(&self) -> usize {
        self.messages
    }

    /// Adds a message, in a new transaction if none is open. Returns whether it was taken, as [`Producer::send`].
    ///
    /// # Errors
    /// What can never be sent.
    pub fn send(&mut self, message: Outgoing<'_>, go_on: impl FnMut() -> bool) -> Result<bool, Error> {
        self.open()?;
        let taken = self.producer.send(message, 0, go_on)?;
        if taken {
            self.messages += 1;
            self.waiting += 1;
        }
        Ok(taken)
    }

    fn open(&mut self) -> Result<(), Error> {
        if self.stage == Stage::Idle {
            let begun = self.producer.inner().begin_transaction();
            begun.map_err(|e| Error::from_kafka("beginning a transaction", &e))?;
            self.stage = Stage::Open;
        }
        Ok(())
    }

    /// Commits all messages and the offset of the next record of `partition`, which `consumer` owns.
    pub fn commit(
        &mut self,
        consumer: &Consumer,
        partition: &Partition,
        next: i64,
        timeout: Duration,
        seen: impl FnMut(&Ticket),
    ) -> Step {
        let deadline = Instant::now() + timeout;
        match self.try_commit(consumer, (partition, next), deadline, seen) {
            Ok(()) => {
                self.close();
                Step::Done
            }
            Err(step) => step,
        }
    }

    fn try_commit(
        &mut self,
        consumer: &Consumer,
        (partition, next): (&Partition, i64),
        deadline: Instant,
        seen: impl FnMut(&Ticket),
    ) -> Result<(), Step> {
        self.open().map_err(Step::Broken)?;
        self.wait(deadline, seen)?;
        if self.stage == Stage::Open {
            let (offsets, group) = consumer.offset_of(partition, next).map_err(Step::MustAbort)?;
            let sent = self.producer.inner().send_offsets_to_transaction(&offsets, &group, OFFSETS_TIMEOUT);
            done(step("sending offsets", sent))?;
            self.stage = Stage::Whole;
        }
        done(step("committing a transaction", self.producer.inner().commit_transaction(left(deadline))))
    }

    /// Messages that the broker will never take, since the last call. Where several were sent together it may have taken
    /// offence at one of them only.
    pub fn take_refused(&mut self) -> Vec<OwnedMessage> {
        std::mem::take(&mut self.refused)
    }

    /// Waits until all that was sent is acknowledged.
    pub fn settle(&mut self, timeout: Duration, seen: impl FnMut(&Ticket)) -> Step {
        self.wait(Instant::now() + timeout, seen).err().unwrap_or(Step::Done)
    }

    /// Waits for the acknowledgements: `commit_transaction` alone would look for them every 100 ms only.
    fn wait(&mut self, deadline: Instant, mut seen: impl FnMut(&Ticket)) -> Result<(), Step> {
        while self.waiting > 0 {
            let Some(delivery) = self.producer.wait_delivery(left(deadline)) else { return Err(Step::Pending) };
            self.waiting -= 1;
            match delivery.outcome {
                Ok(_) => seen(&delivery.ticket),
                Err(error) => self.failed = Some(error),
            }
            self.refused.extend(delivery.refused.map(|message| *message));
        }
        self.failed.take().map_or(Ok(()), |error| Err(Step::MustAbort(error)))
    }

    /// Takes back everything since the last commit.
    pub fn abort(&mut self, timeout: Duration) -> Step {
        if self.stage == Stage::Idle {
            return Step::Done;
        }
        self.stage = Stage::Aborting;
        let aborted = step("aborting a transaction", self.producer.inner().abort_transaction(timeout));
        if aborted == Step::Done {
            while self.producer.delivery().is_some() {}
            self.close();
        }
        aborted
    }

    fn close(&mut self) {
        (self.stage, self.messages, self.waiting, self.failed) = (Stage::Idle, 0, 0, None);
    }
}

impl Drop for Transaction {
    /// What is still queued belongs to a transaction that will not be committed; waiting for it would take long.
    fn drop(&mut self) {
        self.producer.inner().purge(PurgeConfig::default().queue().inflight());
    }
}

/// A call that waits for nothing would not even be tried.
fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(10))
}

fn done(step: Step) -> Result<(), Step> {
    if step == Step::Done { Ok(()) } else { Err(step) }
}

fn step(doing: &str, result: KafkaResult<()>) -> Step {
    let Err(error) = result else { return Step::Done };
    let told = Error::from_kafka(doing, &error);
    match error {
        KafkaError::Transaction(error) if error.is_fatal() => Step::Broken(told),
        KafkaError::Transaction(error) if error.txn_requires_abort() => Step::MustAbort(told),
        KafkaError::Transaction(error) if error.is_retriable() => Step::Pending,
        _ => Step::Broken(told),
    }
}
