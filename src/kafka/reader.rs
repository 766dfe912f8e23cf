//! Reading what a topic holds now, outside of any group.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::Offset;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::topic_partition_list::TopicPartitionList;

use super::cluster::LinkContext;
use super::{Connection, Error, Link, is_denied};

/// Where [`read_to_end`] begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReadFrom {
    Beginning,
    /// So many records before the end.
    Tail(i64),
}

const POLL: Duration = Duration::from_millis(100);
/// For a topic that is unknown: its brokers may not all know it yet.
const PATIENCE: Duration = Duration::from_secs(10);

/// Hands every committed record of these partitions of `topic` to `each`, up to their ends as they are then. `group` names
/// the reader to the broker; nothing is committed. Returns whether the ends were reached before `go_on` said no.
///
/// # Errors
/// When librdkafka refuses, or the broker denies access.
pub fn read_to_end(
    connection: &Connection,
    group: &str,
    (topic, mut partitions, from): (&str, BTreeSet<i32>, ReadFrom),
    link: Arc<Link>,
    mut go_on: impl FnMut() -> bool,
    mut each: impl FnMut(&BorrowedMessage<'_>),
) -> Result<bool, Error> {
    let failed = |error: &KafkaError| Error::from_kafka(format_args!("reading topic `{topic}`"), error);
    let reader: BaseConsumer<LinkContext> =
        connection.reader(group).create_with_context(LinkContext::new(connection, &link)).map_err(|e| failed(&e))?;
    let offset = match from {
        ReadFrom::Beginning => Offset::Beginning,
        ReadFrom::Tail(records) => Offset::OffsetTail(records),
    };
    let mut list = TopicPartitionList::new();
    for &partition in &partitions {
        list.add_partition_offset(topic, partition, offset).map_err(|e| failed(&e))?;
    }
    reader.assign(&list).map_err(|e| failed(&e))?;
    let mut last_seen = Instant::now();
    while !partitions.is_empty() {
        if !go_on() {
            break;
        }
        link.check()?;
        match reader.poll(POLL) {
            Some(Ok(message)) => {
                last_seen = Instant::now();
                each(&message);
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => _ = partitions.remove(&partition),
            Some(Err(error)) if error.rdkafka_error_code().is_some_and(is_denied) => return Err(failed(&error)),
            // It was deleted since it was looked for; whoever starts anew creates it.
            Some(Err(error)) if is_unknown(&error) && last_seen.elapsed() >= PATIENCE => return Err(failed(&error)),
            Some(Err(_)) | None => {}
        }
    }
    // Nothing left to wait for when it is dropped.
    reader.unassign().map_err(|e| failed(&e))?;
    Ok(partitions.is_empty())
}

fn is_unknown(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownPartition
        )
    )
}
