//! What a partition of the reports begins with when this instance takes it over: the newest usable snapshot and where the
//! reports after it begin, or nothing and the first report.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::Message as _;
use rdkafka::message::{BorrowedMessage, Headers as _};
use tracing::{debug, info, warn};

use crate::kafka::{self, Consumer, ReadFrom, Start, Step, Transaction};
use crate::metrics::OutcomeLabel;
use crate::record::Partition;
use crate::service::{Error, Shared};
use crate::shard::Shard;
use crate::shard::snapshot::{Gatherer, Slot, Snapshot, key_prefix};

const ASK_TIMEOUT: Duration = Duration::from_secs(1);

/// The header that carries an alert's id.
pub const ID_HEADER: &str = "faultline-alert-id";

pub struct Restored {
    pub shard: Shard,
    /// Where reading goes on.
    pub start: Start,
    /// What reports before this offset lead to was sent by whoever committed it.
    pub send_from: i64,
    /// Where the next snapshot goes: its slot, and the partition of the topic.
    pub slot: Slot,
    pub state_partition: i32,
    /// Output and id of alerts that may have been sent after the last commit.
    pub sent: BTreeSet<(usize, String)>,
    pub transaction: Option<Transaction>,
}

/// Fences whoever had the partition before, asks what they committed, and takes up their state. `transaction` is a
/// producer that goes on being used. `None`: the wish to stop came first.
///
/// # Errors
/// What waiting does not mend.
pub fn restore(
    shared: &Shared,
    consumer: &Consumer,
    partition: &Partition,
    transaction: Option<Transaction>,
) -> Result<Option<Restored>, Error> {
    let transaction = match transaction {
        None if shared.config.exactly_once => match begin(shared, partition)? {
            Some(transaction) => Some(transaction),
            None => return Ok(None),
        },
        had => had,
    };
    // Only now: what a predecessor left open is ended, and it can commit no more.
    let Some(committed) = committed(shared, consumer, partition) else { return Ok(None) };
    let mut gatherer = Gatherer::new(key_prefix(&shared.config.correlate_group(), partition.partition));
    let Some(state_partition) = read_snapshots(shared, partition, &mut gatherer)? else { return Ok(None) };
    let mut sent = BTreeSet::new();
    if transaction.is_none() && committed.is_some() && !read_sent(shared, &mut sent)? {
        return Ok(None);
    }
    let send_from = committed.unwrap_or(0);
    let (shard, start, slot) = take_up(shared, partition, &gatherer, send_from);
    Ok(Some(Restored { shard, start, send_from, slot, state_partition, sent, transaction }))
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

/// What the group committed, if anything; asks until the coordinator answers.
fn committed(shared: &Shared, consumer: &Consumer, partition: &Partition) -> Option<Option<i64>> {
    while shared.keep_trying(&shared.correlate) {
        match consumer.committed(std::slice::from_ref(partition), ASK_TIMEOUT) {
            Ok(committed) => return Some(committed.first().map(|(_, next)| *next)),
            Err(error) => debug!("{error}; asking again"),
        }
    }
    None
}

fn read_snapshots(shared: &Shared, partition: &Partition, gatherer: &mut Gatherer) -> Result<Option<i32>, Error> {
    let topic: Arc<str> = Arc::from(shared.config.state.name.as_str());
    let Some(partitions) = partitions_of(shared, &topic)? else { return Ok(None) };
    if partitions == 0 {
        warn!("topic `{topic}` is not there: {partition} begins without a snapshot");
        return Ok(Some(partition.partition));
    }
    // It is created with as many partitions as the reports have; one of somebody else's making may have fewer.
    let state = Partition { topic, partition: partition.partition % partitions };
    let reached = read(shared, (&state, ReadFrom::Beginning), |message| {
        if let (Some(key), Some(value)) = (message.key(), message.payload()) {
            gatherer.add(key, value);
        }
    })?;
    Ok(reached.then_some(state.partition))
}

/// The ids at the ends of the outputs: all that can have been sent since the last commit.
fn read_sent(shared: &Shared, sent: &mut BTreeSet<(usize, String)>) -> Result<bool, Error> {
    let most = i64::try_from(shared.config.limits.messages_in_flight).unwrap_or(i64::MAX);
    for (index, output) in shared.config.outputs.iter().enumerate() {
        let topic: Arc<str> = Arc::from(output.topic.name.as_str());
        let Some(partitions) = partitions_of(shared, &topic)? else { return Ok(false) };
        for partition in 0..partitions {
            let partition = Partition { topic: Arc::clone(&topic), partition };
            let reached = read(shared, (&partition, ReadFrom::Tail(most)), |message| {
                sent.extend(alert_id(message).map(|id| (index, id)));
            })?;
            if !reached {
                return Ok(false);
            }
        }
    }
    Ok(true)
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

fn read(shared: &Shared, what: (&Partition, ReadFrom), each: impl FnMut(&BorrowedMessage<'_>)) -> Result<bool, Error> {
    let group = shared.config.correlate_group();
    let go_on = || shared.keep_trying(&shared.correlate);
    Ok(kafka::read_to_end(&shared.config.connection, &group, what, Arc::clone(&shared.link), go_on, each)?)
}

/// The newest snapshot that can be used, and what comes after it.
fn take_up(shared: &Shared, partition: &Partition, gatherer: &Gatherer, committed: i64) -> (Shard, Start, Slot) {
    let began = Instant::now();
    let count = |outcome| _ = shared.metrics.snapshots.get_or_create(&OutcomeLabel { outcome }).inc();
    if let Some(complaint) = gatherer.complaint() {
        warn!("the newest snapshot of {partition} cannot be used: {complaint}; looking for the one before");
        count("unusable");
    }
    let rules = shared.rules.rules();
    for (slot, snapshot) in gatherer.before(committed) {
        let restored = snapshot.map_err(|e| e.to_string()).and_then(|Snapshot { next, state }| {
            let shard = Shard::restore(&state, &rules, shared.config.correlator).map_err(|e| e.to_string())?;
            Ok((shard, next, state.len()))
        });
        match restored {
            Ok((shard, next, bytes)) => {
                let took = began.elapsed();
                info!("{partition}: state of {bytes} bytes before report {next} restored in {took:?}");
                count("restored");
                return (shard, Start::At(next), slot.other());
            }
            Err(why) => {
                warn!("a snapshot of {partition} cannot be used: {why}");
                count("unusable");
            }
        }
    }
    count("absent");
    if committed > 0 {
        info!("{partition}: no usable snapshot; its state is rebuilt from all reports that are retained");
    }
    (Shard::default(), Start::Beginning, Slot::default())
}
