//! Records that could not be used, kept with the reason.

use rdkafka::Message;
use rdkafka::message::{BorrowedHeaders, Header, OwnedHeaders};

use crate::kafka::Outgoing;

/// Prefix of the headers that say why a record is here and where it was.
pub const HEADER_REASON: &str = "faultline-reason";
pub const HEADER_DETAIL: &str = "faultline-detail";
pub const HEADER_TOPIC: &str = "faultline-topic";
pub const HEADER_PARTITION: &str = "faultline-partition";
pub const HEADER_OFFSET: &str = "faultline-offset";
pub const HEADER_TIMESTAMP: &str = "faultline-timestamp";
/// Only on values that were too large to be kept whole: their original size in bytes.
pub const HEADER_TRUNCATED: &str = "faultline-truncated-from";

/// Kafka's default limit is 1 MiB for a message with everything in it.
const KEEP_BYTES: usize = 900_000;

/// The record as it was (key, value, headers), with the headers above appended.
pub fn of<'a>(
    topic: &'a str,
    record: &'a impl Message<Headers = BorrowedHeaders>,
    reason: &str,
    detail: &str,
) -> Outgoing<'a> {
    // Copied as they are: names need not be UTF-8, and reading them one by one would panic on such.
    let original = record.headers().map(BorrowedHeaders::detach);
    let mut headers = original.unwrap_or_else(|| OwnedHeaders::new_with_capacity(7));
    let partition = record.partition().to_string();
    let offset = record.offset().to_string();
    let timestamp = record.timestamp().to_millis().map(|ms| ms.to_string());
    for (key, value) in [
        (HEADER_REASON, Some(reason)),
        (HEADER_DETAIL, Some(detail)),
        (HEADER_TOPIC, Some(record.topic())),
        (HEADER_PARTITION, Some(partition.as_str())),
        (HEADER_OFFSET, Some(offset.as_str())),
        (HEADER_TIMESTAMP, timestamp.as_deref()),
    ] {
        headers = headers.insert(Header { key, value });
    }
    let value = record.payload();
    let room = KEEP_BYTES.saturating_sub(record.key().map_or(0, <[u8]>::len));
    if let Some(whole) = value.filter(|value| value.len() > room) {
        headers = headers.insert(Header { key: HEADER_TRUNCATED, value: Some(&whole.len().to_string()) });
    }
    Outgoing {
        topic,
        key: record.key(),
        value: value.map(|value| &value[..value.len().min(room)]),
        headers: Some(headers),
        ..Outgoing::default()
    }
}
