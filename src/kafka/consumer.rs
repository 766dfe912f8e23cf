//! A member of a consumer group on a plain thread: one event at a time, every rebalance acknowledged by its owner.

use std::collections::VecDeque;
use std::ops::{ControlFlow, Range};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{
    BaseConsumer, CommitMode, Consumer as _, ConsumerContext, ConsumerGroupMetadata, RebalanceProtocol,
};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, Offset, Statistics, TopicPartitionList};
use tracing::debug;

use super::oauth::Tokens;
use super::record_queue::{Mark, RecordQueue, log_range};
use super::{Connection, Error, Fetched, Link, is_denied};
use crate::record::Partition;

/// What a poll brought.
pub enum Event<'a> {
    /// Pins its fetch buffer: copy what is to be kept, and drop it.
    Message(BorrowedMessage<'a>),
    /// The group gave these; nothing is fetched before [`Consumer::assign`].
    Assigned(Vec<Partition>),
    /// The group wants these back, and waits for [`Consumer::release`].
    Revoked(Vec<Partition>),
    /// How far the fetchers are: now and then of all partitions that are owned, and of each whose end was just reached.
    Progress(Vec<(Partition, FetchState)>),
}

/// How far fetching of one partition is. Whatever was fetched before this was told has been polled when it arrives, or
/// counts as queued.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FetchState {
    /// Where a fetch brought nothing, while the fetcher is still there. Fetches wait for records, so where those trickle
    /// in, none comes back empty; then only `high` tells.
    pub end: Option<i64>,
    /// The broker's high watermark, as of the last fetch.
    pub high: Option<i64>,
    /// Fetched records of this client that were not polled yet.
    pub queued: i64,
}

impl FetchState {
    /// All up to there was polled.
    fn at_end(offset: i64) -> Self {
        FetchState { end: Some(offset), high: Some(offset), queued: 0 }
    }

    /// The end of the partition, if everything up to there was polled. `position` is the offset after the newest
    /// polled record. Control records (transaction markers) are never polled, so with an empty queue the position may
    /// be before the end.
    pub fn drained_to(&self, position: Option<i64>) -> Option<i64> {
        let reached = |end: &i64| match position {
            Some(position) => position == *end || (position < *end && self.queued == 0),
            None => self.queued == 0,
        };
        self.end.filter(reached).or(self.high.filter(|high| position == Some(*high)))
    }
}

/// Where reading of a partition starts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Start {
    /// Where the group left off; without a commit, at the beginning.
    Committed,
    Beginning,
    At(i64),
}

impl From<Start> for Offset {
    fn from(start: Start) -> Self {
        match start {
            Start::Committed => Offset::Invalid,
            Start::Beginning => Offset::Beginning,
            Start::At(next) => Offset::Offset(next),
        }
    }
}

/// How records are handed over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fetching {
    /// For topics that bring little.
    OneByOne,
    /// For those that bring much.
    ManyAtOnce,
}

/// While it waits for records, the other events are looked for so often.
const EVENTS_EVERY: Duration = Duration::from_millis(10);

pub struct Consumer {
    /// Before `inner`, which must outlive it.
    records: Option<RecordQueue>,
    inner: Option<BaseConsumer<Context>>,
    group: String,
}

impl Consumer {
    /// Joins `group` for `topics` (names, or regular expressions that begin with `^`).
    ///
    /// # Errors
    /// When librdkafka refuses the configuration or the subscription.
    pub fn join(
        connection: &Connection,
        group: &str,
        topics: &[&str],
        fetching: Fetching,
        link: Arc<Link>,
    ) -> Result<Self, Error> {
        let context = Context {
            link,
            tokens: connection.tokens(),
            notices: Mutex::default(),
            waiting: AtomicBool::new(false),
            closing: AtomicBool::new(false),
        };
        let inner: BaseConsumer<Context> = connection
            .consumer(group)
            .create_with_context(context)
            .map_err(|e| Error::from_kafka("kafka settings", &e))?;
        inner.subscribe(topics).map_err(|e| Error::from_kafka(format_args!("subscribing to {topics:?}"), &e))?;
        let records = match fetching {
            Fetching::OneByOne => None,
            Fetching::ManyAtOnce => Some(RecordQueue::new(&inner)?),
        };
        Ok(Consumer { records, inner: Some(inner), group: group.to_owned() })
    }

    /// Waits up to `timeout` for the next event. To be called all the time, also while everything is paused.
    ///
    /// # Errors
    /// What waiting does not mend; everything else is told to the link and retried by librdkafka.
    pub fn poll(&self, timeout: Duration) -> Result<Option<Event<'_>>, Error> {
        if let Some(event) = self.notice() {
            return Ok(Some(event));
        }
        match self.client().poll(timeout) {
            Some(Ok(message)) => Ok(Some(Event::Message(message))),
            Some(Err(KafkaError::PartitionEOF(partition))) => Ok(self.at_end(partition)),
            Some(Err(error)) => self.on_error(&error).map(|()| None),
            None => {
                self.client().context().link.check()?;
                Ok(self.notice())
            }
        }
    }

    /// The same for [`Fetching::ManyAtOnce`], where records go to `each` while no event waits. `Break` leaves the rest
    /// for the next call.
    ///
    /// # Errors
    /// As [`Consumer::poll`].
    pub fn poll_many<F>(&self, timeout: Duration, each: F) -> Result<Option<Event<'_>>, Error>
    where
        F: FnMut(&Fetched<'_>) -> ControlFlow<()>,
    {
        let Some(records) = &self.records else { return self.poll(timeout) };
        if let Some(event) = self.poll(Duration::ZERO)? {
            return Ok(Some(event));
        }
        let mut ends = Vec::new();
        for mark in records.read(timeout.min(EVENTS_EVERY), each) {
            match mark {
                Mark::End { topic, partition, offset } => {
                    ends.push((partition_of(&topic, partition), FetchState::at_end(offset)));
                }
                Mark::Failure(code, reason) => {
                    self.client().context().error(KafkaError::Global(code), &reason);
                    self.on_error(&KafkaError::MessageConsumption(code))?;
                }
            }
        }
        Ok((!ends.is_empty()).then_some(Event::Progress(ends)))
    }

    /// rdkafka tells of an end neither the topic nor the offset. Where they are not plain, statistics will tell.
    fn at_end(&self, partition: i32) -> Option<Event<'static>> {
        let positions = self.client().position().ok()?;
        let mut of_number = positions.elements().into_iter().filter(|element| element.partition() == partition);
        let (found, None) = (of_number.next()?, of_number.next()) else { return None };
        let Offset::Offset(next) = found.offset() else { return None };
        Some(Event::Progress(vec![(partition_of(found.topic(), partition), FetchState::at_end(next))]))
    }

    fn notice(&self) -> Option<Event<'static>> {
        let context = self.client().context();
        if !context.waiting.load(Ordering::Acquire) {
            return None;
        }
        let mut notices = context.notices();
        let notice = notices.pop_front();
        context.waiting.store(!notices.is_empty(), Ordering::Release);
        notice.map(|notice| match notice {
            Notice::Assigned(partitions) => Event::Assigned(partitions),
            Notice::Revoked(partitions) => Event::Revoked(partitions),
            Notice::Progress(states) => Event::Progress(self.with_queue(states)),
        })
    }

    /// While records are handed over many at once, librdkafka counts those that still wait as gone. What was fetched
    /// before the statistics were made is either read by now or still in the queue.
    fn with_queue(&self, mut states: Vec<(Partition, FetchState)>) -> Vec<(Partition, FetchState)> {
        if let Some(records) = &self.records {
            let queued = i64::try_from(records.len()).unwrap_or(i64::MAX);
            states.iter_mut().for_each(|(_, state)| state.queued = queued);
        }
        states
    }

    fn on_error(&self, error: &KafkaError) -> Result<(), Error> {
        let denied = error.rdkafka_error_code().is_some_and(is_denied);
        if denied || matches!(error, KafkaError::MessageConsumptionFatal(_)) {
            return Err(Error::from_kafka(format_args!("reading as group `{}`", self.group), error));
        }
        debug!("reading as group `{}`: {error}", self.group);
        Ok(())
    }

    /// Acknowledges [`Event::Assigned`]: fetching begins. Call it exactly once for each, also when it is empty.
    ///
    /// # Errors
    /// When librdkafka refuses, which is a defect.
    pub fn assign(&self, partitions: &[Partition], start: Start) -> Result<(), Error> {
        self.assign_each(&partitions.iter().map(|partition| (partition.clone(), start)).collect::<Vec<_>>())
    }

    /// [`Consumer::assign`] with a start for each.
    ///
    /// # Errors
    /// As [`Consumer::assign`].
    pub fn assign_each(&self, starts: &[(Partition, Start)]) -> Result<(), Error> {
        if let Some(records) = &self.records {
            starts.iter().try_for_each(|(p, _)| records.attach(&p.topic, p.partition))?;
        }
        let list = list(starts.iter().map(|(partition, start)| (partition, Offset::from(*start))))?;
        self.client().context().take(self.client(), &list).map_err(|e| Error::from_kafka("taking partitions over", &e))
    }

    /// Acknowledges [`Event::Revoked`]: the group may give the partitions to others. Exactly once for each.
    ///
    /// # Errors
    /// When librdkafka refuses, which is a defect.
    pub fn release(&self, partitions: &[Partition]) -> Result<(), Error> {
        let list = list(partitions.iter().map(|partition| (partition, Offset::Invalid)))?;
        self.client()
            .context()
            .release(self.client(), &list)
            .map_err(|e| Error::from_kafka("giving partitions back", &e))
    }

    /// Where the broker's log of a partition began and ended, as of the newest fetch; asks nobody.
    pub fn log_range(&self, topic: &str, partition: i32) -> Option<Range<i64>> {
        log_range(self.client(), topic, partition)
    }

    /// Goes on reading a partition that is owned from elsewhere; what was fetched ahead is dropped.
    ///
    /// # Errors
    /// When the partition is not owned, or librdkafka takes longer than `timeout`.
    pub fn seek(&self, partition: &Partition, start: Start, timeout: Duration) -> Result<(), Error> {
        self.client()
            .seek(&partition.topic, partition.partition, start.into(), timeout)
            .map_err(|e| Error::from_kafka(format_args!("going back in {partition}"), &e))
    }

    /// What a transaction needs to commit the offset of the next record on behalf of the group.
    pub(super) fn offset_of(
        &self,
        partition: &Partition,
        next: i64,
    ) -> Result<(TopicPartitionList, ConsumerGroupMetadata), Error> {
        let list = list(std::iter::once((partition, Offset::Offset(next))))?;
        let group = self.client().group_metadata();
        Ok((list, group.ok_or_else(|| Error::new(format!("not a member of group `{}`", self.group)))?))
    }

    /// Whether the group took the partitions away already; committing their offsets would be refused.
    pub fn lost(&self) -> bool {
        self.client().assignment_lost()
    }

    /// What the group committed; partitions without a commit are left out.
    ///
    /// # Errors
    /// When the coordinator does not answer within `timeout`.
    pub fn committed(&self, partitions: &[Partition], timeout: Duration) -> Result<Vec<(Partition, i64)>, Error> {
        let asked = list(partitions.iter().map(|partition| (partition, Offset::Invalid)))?;
        let answer = self
            .client()
            .committed_offsets(asked, timeout)
            .map_err(|e| Error::from_kafka(format_args!("asking for the offsets of group `{}`", self.group), &e))?;
        Ok(answer
            .elements()
            .iter()
            .filter_map(|e| match e.offset() {
                Offset::Offset(offset) => Some((partition_of(e.topic(), e.partition()), offset)),
                _ => None,
            })
            .collect())
    }

    /// Starts to commit. The outcome is not told (rdkafka calls no callback for it); [`Consumer::commit_and_wait`]
    /// comes after all those that were started. Offsets are those of the *next* record to read.
    ///
    /// # Errors
    /// When librdkafka refuses at once.
    pub fn commit(&self, offsets: &[(Partition, i64)]) -> Result<(), Error> {
        if offsets.is_empty() {
            return Ok(());
        }
        let list = list(offsets.iter().map(|(partition, offset)| (partition, Offset::Offset(*offset))))?;
        self.client()
            .commit(&list, CommitMode::Async)
            .map_err(|e| Error::from_kafka(format_args!("committing as group `{}`", self.group), &e))
    }

    /// Commits and waits. Blocks as long as the broker takes; only for a broker that answers.
    ///
    /// # Errors
    /// When the group moved on, or the broker does not answer.
    pub fn commit_and_wait(&self, offsets: &[(Partition, i64)]) -> Result<(), Error> {
        if offsets.is_empty() {
            return Ok(());
        }
        let list = list(offsets.iter().map(|(partition, offset)| (partition, Offset::Offset(*offset))))?;
        match self.client().commit(&list, CommitMode::Sync) {
            // Nothing to commit is what librdkafka says when the offsets were committed already.
            Ok(()) | Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)) => Ok(()),
            Err(e) => Err(Error::from_kafka(format_args!("committing as group `{}`", self.group), &e)),
        }
    }

    /// # Errors
    /// When a partition is not owned.
    pub fn pause<'p>(&self, partitions: impl Iterator<Item = &'p Partition>) -> Result<(), Error> {
        let list = list(partitions.map(|partition| (partition, Offset::Invalid)))?;
        self.client().pause(&list).map_err(|e| Error::from_kafka("pausing", &e))
    }

    /// # Errors
    /// When a partition is not owned.
    pub fn resume<'p>(&self, partitions: impl Iterator<Item = &'p Partition>) -> Result<(), Error> {
        let list = list(partitions.map(|partition| (partition, Offset::Invalid)))?;
        self.client().resume(&list).map_err(|e| Error::from_kafka("resuming", &e))
    }

    /// Finishes commits under way, leaves the group, and closes the connections, all within `timeout`.
    /// Returns whether it got that far. Records that are polled meanwhile are dropped, so commit before.
    pub fn close(mut self, timeout: Duration) -> bool {
        self.records = None;
        self.inner.take().is_none_or(|inner| close(inner, timeout))
    }

    fn client(&self) -> &BaseConsumer<Context> {
        // Taken only by `close` and `drop`, after which nobody has `self`.
        self.inner.as_ref().expect("open until it is dropped")
    }
}

/// For a stage that ends with an error. Dropping rdkafka's consumer alone would wait for ever for a rebalance that
/// nobody acknowledges (rust-rdkafka #453).
impl Drop for Consumer {
    fn drop(&mut self) {
        const TIMEOUT: Duration = Duration::from_secs(2);
        self.records = None;
        if let Some(inner) = self.inner.take() {
            close(inner, TIMEOUT);
        }
    }
}

fn close(consumer: BaseConsumer<Context>, timeout: Duration) -> bool {
    let deadline = Instant::now() + timeout;
    let context = consumer.context();
    context.closing.store(true, Ordering::Release);
    // A rebalance that was announced but not acknowledged would hold up the close.
    context.release_waiting(&consumer);
    if consumer.close_queue().is_ok() {
        while !consumer.closed() && Instant::now() < deadline {
            let _ = consumer.poll(Duration::from_millis(20));
        }
    }
    let closed = consumer.closed();
    if !closed {
        // Its destructor would wait on; the process is about to end.
        std::mem::forget(consumer);
    }
    closed
}

/// What the callbacks found while polling, in the order in which it happened.
enum Notice {
    Assigned(Vec<Partition>),
    Revoked(Vec<Partition>),
    Progress(Vec<(Partition, FetchState)>),
}

struct Context {
    link: Arc<Link>,
    tokens: Tokens,
    notices: Mutex<VecDeque<Notice>>,
    /// Whether there are notices: spares the lock for every record.
    waiting: AtomicBool,
    /// From here on nobody acknowledges rebalances, so the callback does.
    closing: AtomicBool,
}

impl Context {
    fn notices(&self) -> MutexGuard<'_, VecDeque<Notice>> {
        self.notices.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, notice: Notice) {
        let mut notices = self.notices();
        // Only the newest progress counts; a slow reader must not gather old ones.
        if matches!(notice, Notice::Progress(_)) {
            notices.retain(|notice| !matches!(notice, Notice::Progress(_)));
        }
        notices.push_back(notice);
        self.waiting.store(true, Ordering::Release);
    }

    fn take(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) -> KafkaResult<()> {
        match consumer.rebalance_protocol() {
            RebalanceProtocol::Eager => consumer.assign(list),
            _ => consumer.incremental_assign(list),
        }
    }

    fn release(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) -> KafkaResult<()> {
        match consumer.rebalance_protocol() {
            RebalanceProtocol::Eager => consumer.unassign(),
            _ => consumer.incremental_unassign(list),
        }
    }

    fn release_waiting(&self, consumer: &BaseConsumer<Self>) {
        let notices: Vec<Notice> = self.notices().drain(..).collect();
        for notice in notices {
            match notice {
                Notice::Assigned(partitions) => self.answer(consumer, &partitions, Self::take),
                Notice::Revoked(partitions) => self.answer(consumer, &partitions, Self::release),
                Notice::Progress(_) => {}
            }
        }
    }

    fn answer(
        &self,
        consumer: &BaseConsumer<Self>,
        partitions: &[Partition],
        how: fn(&Self, &BaseConsumer<Self>, &TopicPartitionList) -> KafkaResult<()>,
    ) {
        let result = list(partitions.iter().map(|partition| (partition, Offset::Invalid)))
            .map(|list| how(self, consumer, &list));
        debug!("rebalance answered while closing: {result:?}");
    }
}

impl ClientContext for Context {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn generate_oauth_token(&self, _config: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        self.tokens.next()
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.link.on_log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.link.on_error(&error, reason);
    }

    fn stats(&self, statistics: Statistics) {
        if statistics.brokers.values().any(|broker| broker.state == "UP") {
            self.link.mark_up();
        }
        self.push(Notice::Progress(fetch_states(&statistics)));
    }
}

impl ConsumerContext for Context {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, err: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let partitions =
            || -> Vec<Partition> { list.elements().iter().map(|e| partition_of(e.topic(), e.partition())).collect() };
        let closing = self.closing.load(Ordering::Acquire);
        match err {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS if !closing => {
                self.push(Notice::Assigned(partitions()));
            }
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS if !closing => {
                self.push(Notice::Revoked(partitions()));
            }
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.answer(consumer, &partitions(), Self::take),
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS => {
                self.answer(consumer, &partitions(), Self::release);
            }
            _ => debug!("unknown rebalance event ignored"),
        }
    }
}

fn fetch_states(statistics: &Statistics) -> Vec<(Partition, FetchState)> {
    let mut states = Vec::new();
    for (name, topic) in &statistics.topics {
        let topic_name: Arc<str> = Arc::from(name.as_str());
        for (&partition, state) in topic.partitions.iter().filter(|(number, state)| **number >= 0 && state.desired) {
            let known = |offset: i64| (offset >= 0).then_some(offset);
            let end = known(state.eof_offset).filter(|end| *end == state.next_offset);
            states.push((
                Partition { topic: Arc::clone(&topic_name), partition },
                FetchState { end, high: known(state.hi_offset), queued: state.fetchq_cnt },
            ));
        }
    }
    states
}

fn partition_of(topic: &str, partition: i32) -> Partition {
    Partition { topic: Arc::from(topic), partition }
}

fn list<'p>(partitions: impl Iterator<Item = (&'p Partition, Offset)>) -> Result<TopicPartitionList, Error> {
    let mut list = TopicPartitionList::new();
    for (partition, offset) in partitions {
        list.add_partition_offset(&partition.topic, partition.partition, offset)
            .map_err(|e| Error::from_kafka(format_args!("{partition}"), &e))?;
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_reached_when_all_before_it_was_polled() {
        let state = |end, queued| FetchState { end, high: None, queued };
        let high = |high, queued| FetchState { end: None, high: Some(high), queued };
        let cases = [
            (state(None, 0), Some(5), None, "the fetcher is not at the end"),
            (state(Some(5), 3), Some(5), Some(5), "all polled, others still queue"),
            (state(Some(5), 3), Some(4), None, "one may still be queued"),
            (state(Some(5), 0), Some(4), Some(5), "a transaction marker is the last record"),
            (state(Some(5), 0), None, Some(5), "committed up to the end already"),
            (state(Some(5), 1), None, None, "nothing polled yet, something queued"),
            (state(Some(5), 0), Some(6), None, "records came after the end was seen"),
            (high(5, 3), Some(5), Some(5), "records trickle in, so no fetch comes back empty"),
            (high(5, 0), Some(4), None, "the newest record was not polled"),
            (high(5, 0), Some(6), None, "more was fetched since"),
            (high(0, 0), None, None, "where reading starts is not known"),
        ];
        for (state, position, expected, why) in cases {
            assert_eq!(state.drained_to(position), expected, "{why}");
        }
    }
}
