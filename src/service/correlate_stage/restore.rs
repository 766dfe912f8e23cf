//! What a partition of the reports begins with when this instance takes it over: the newest usable snapshot and where the
//! reports after it begin, or nothing and the first report.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::Message as _;
use rdkafka::message::{BorrowedMessage, Headers as _};
use tracing::{debug, info, warn};

use crate::kafka::{self, Consumer, ReadFrom, Start, Step, Transaction};
use crate::metrics::OutcomeLabel;
use crate::record::Partition;
use crate::service::{Error, Shared};
use crate::shard::ledger::{Ledger, Sent, TakenUp};
use crate::shard::snapshot::{Gatherer, Slot, key_prefix};

const ASK_TIMEOUT: Duration = Duration::from_secs(1);

/// The header that carries an alert's id.
pub const ID_HEADER: &str = "faultline-alert-id";

pub struct Restored {
    pub ledger: Ledger,
    /// Where the next snapshot goes: its slot, and the partition of the topic.
    pub slot: Slot,
    pub state_partition: i32,
    pub transaction: Option<Transaction>,
}

/// Fences whoever had the partitions before, asks what they committed, and takes up their state. Each may come with a
/// producer that goes on being used. `None`: the wish to stop came first.
///
/// # Errors
/// What waiting does not mend.
pub fn restore(
    shared: &Shared,
    consumer: &Consumer,
    partitions: Vec<(Partition, Option<Transaction>)>,
) -> Result<Option<Vec<(Partition, Restored)>>, Error> {
    let mut taken = Vec::with_capacity(partitions.len());
    for (partition, transaction) in partitions {
        let transaction = match transaction {
            None if shared.config.exactly_once => match begin(shared, &partition)? {
                Some(transaction) => Some(transaction),
                None => return Ok(None),
            },
            had => had,
        };
        taken.push((partition, transaction));
    }
    // Only now: what a predecessor left open is ended, and it can commit no more.
    let names: Vec<Partition> = taken.iter().map(|(partition, _)| partition.clone()).collect();
    let Some(committed) = committed(shared, consumer, &names) else { return Ok(None) };
    let Some(states) = read_states(shared, &names)? else { return Ok(None) };
    let mut sent = BTreeSet::new();
    if !shared.config.exactly_once && !read_sent(shared, &mut sent)? {
        return Ok(None);
    }
    let restored = taken.into_iter().zip(states).map(|((partition, transaction), state)| {
        let committed = committed.get(&partition).copied();
        let TakenUp { ledger, slot, .. } = take_up(shared, &partition, &state.gatherer, committed, sent.clone());
        (partition, Restored { ledger, slot, state_partition: state.partition, transaction })
    });
    Ok(Some(restored.collect()))
}

/// A producer for the partition, once the broker knows it.
fn begin(shared: &Shared, partition: &Partition) -> Result<Option<Transaction>, Error> {
    let id = format!("{}-{}", shared.config.correlate_group(), partition.partition);
    let timeout = shared.config.limits.transaction_timeout;
    let transaction = Transaction::new(&shared.config.connection, &id, timeout, Arc::clone(&shared.link))?;
    while shared.keep_trying(&shared.correlate) {
        match transaction.init(ASK_TIMEOUT) {
            Step::Done => return Ok(Some(transaction)),
            Step::Pending => shared.link.check()?,
            Step::MustAbort(error) | Step::Broken(error) => {
                return Err(Error::new(format!(
                    "{error}; where the broker's transactions do not work, set kafka.exactly_once to false"
                )));
            }
        }
    }
    Ok(None)
}

/// What the group committed; asks until the coordinator answers.
fn committed(shared: &Shared, consumer: &Consumer, partitions: &[Partition]) -> Option<BTreeMap<Partition, i64>> {
    while shared.keep_trying(&shared.correlate) {
        match consumer.committed(partitions, ASK_TIMEOUT) {
            Ok(committed) => return Some(committed.into_iter().collect()),
            Err(error) => debug!("{error}; asking again"),
        }
    }
    None
}

/// The snapshots of a partition of the reports, and the partition of the topic that they are in.
struct Saved {
    gatherer: Gatherer,
    partition: i32,
}

fn read_states(shared: &Shared, partitions: &[Partition]) -> Result<Option<Vec<Saved>>, Error> {
    let topic = &shared.config.state.name;
    let Some(count) = partitions_of(shared, topic)? else { return Ok(None) };
    let group = shared.config.correlate_group();
    let mut states: Vec<Saved> = partitions
        .iter()
        .map(|partition| Saved {
            gatherer: Gatherer::new(key_prefix(&group, partition.partition)),
            // It is created with as many partitions as the reports have; one of somebody else's making may have fewer.
            partition: partition.partition % count.max(1),
        })
        .collect();
    let read_from = if count == 0 { BTreeSet::new() } else { states.iter().map(|state| state.partition).collect() };
    let reached = read(shared, (topic, read_from, ReadFrom::Beginning), |message| {
        if let (Some(key), Some(value)) = (message.key(), message.payload()) {
            let here = states.iter_mut().filter(|state| state.partition == message.partition());
            here.for_each(|state| state.gatherer.add(key, value));
        }
    })?;
    Ok(reached.then_some(states))
}

/// The ids at the ends of the outputs: all that can have been sent since the last commit.
fn read_sent(shared: &Shared, sent: &mut BTreeSet<Sent>) -> Result<bool, Error> {
    let tail = ReadFrom::Tail(i64::try_from(shared.config.limits.messages_in_flight).unwrap_or(i64::MAX));
    for (index, output) in shared.config.outputs.iter().enumerate() {
        let topic = &output.name;
        let Some(count) = partitions_of(shared, topic)? else { return Ok(false) };
        let note = |message: &BorrowedMessage<'_>| sent.extend(alert_id(message).map(|id| (index, id)));
        if !read(shared, (topic, (0..count).collect(), tail), note)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Creates what is missing of the topics that faultline writes to: one that was deleted fails every transaction.
///
/// # Errors
/// What waiting does not mend.
pub fn create_missing(shared: &Shared) -> Result<(), Error> {
    let Some(existing) = shared.cluster.topics(ASK_TIMEOUT)? else { return Ok(()) };
    match shared.cluster.create_missing(&shared.config.own_topics(), &existing) {
        Ok(created) if created.is_empty() => {}
        Ok(created) => warn!("topics had been deleted, and are created anew: {}", created.join(", ")),
        Err(error) => warn!("{error}"),
    }
    Ok(())
}

fn partitions_of(shared: &Shared, topic: &str) -> Result<Option<i32>, Error> {
    while shared.keep_trying(&shared.correlate) {
        if let Some(topics) = shared.cluster.topics(ASK_TIMEOUT)? {
            return Ok(Some(topics.get(topic).copied().unwrap_or(0)));
        }
    }
    Ok(None)
}

fn alert_id(message: &BorrowedMessage<'_>) -> Option<String> {
    let header = message.headers()?.iter().find(|header| header.key == ID_HEADER)?;
    String::from_utf8(header.value?.to_vec()).ok()
}

fn read(
    shared: &Shared,
    what: (&str, BTreeSet<i32>, ReadFrom),
    each: impl FnMut(&BorrowedMessage<'_>),
) -> Result<bool, Error> {
    let group = shared.config.correlate_group();
    let go_on = || shared.keep_trying(&shared.correlate);
    Ok(kafka::read_to_end(&shared.config.connection, &group, what, Arc::clone(&shared.link), go_on, each)?)
}

impl Restored {
    /// Where reading goes on.
    pub fn start(&self) -> Start {
        self.ledger.next().map_or(Start::Beginning, Start::At)
    }
}

/// The newest snapshot that can be used, and what is known of it.
fn take_up(
    shared: &Shared,
    partition: &Partition,
    gatherer: &Gatherer,
    committed: Option<i64>,
    sent: BTreeSet<Sent>,
) -> TakenUp {
    let began = Instant::now();
    let taken_up = Ledger::take_up(gatherer, committed, sent, &shared.rules.rules(), shared.config.correlator);
    let count = |outcome| _ = shared.metrics.snapshots.get_or_create(&OutcomeLabel { outcome }).inc();
    for complaint in &taken_up.complaints {
        warn!("a snapshot of {partition} cannot be used: {complaint}; looking for the one before");
        count("unusable");
    }
    match (taken_up.restored, taken_up.ledger.next()) {
        (Some(bytes), Some(next)) => {
            info!("{partition}: {bytes} bytes of state before report {next} restored in {:?}", began.elapsed());
            count("restored");
        }
        _ => {
            if committed.is_some() {
                info!("{partition}: no usable snapshot; its state is rebuilt from all reports that are retained");
            }
            count("absent");
        }
    }
    taken_up
}
