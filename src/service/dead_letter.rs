//! Records that could not be used, kept with the reason.

use rdkafka::Message;
use rdkafka::message::{BorrowedHeaders, Header, OwnedHeaders};

use crate::kafka::{self, Outgoing};

/// Prefix of the headers that say why a record is here and where it was.
pub const HEADER_REASON: &str = "faultline-reason";
pub const HEADER_DETAIL: &str = "faultline-detail";
pub const HEADER_TOPIC: &str = "faultline-topic";
pub const HEADER_PARTITION: &str = "faultline-partition";
pub const HEADER_OFFSET: &str = "faultline-offset";
pub const HEADER_TIMESTAMP: &str = "faultline-timestamp";
/// Only on values that were too large to be kept whole: their original size in bytes.
pub const HEADER_TRUNCATED: &str = "faultline-truncated-from";
/// Only where the key, or the record's own headers, were too large to be kept at all: their size in bytes.
pub const HEADER_KEY_LEFT_OUT: &str = "faultline-key-left-out";
pub const HEADER_HEADERS_LEFT_OUT: &str = "faultline-headers-left-out";

/// What the protocol adds to a header, at the most.
const HEADER_BYTES: usize = 16;
/// A key, or headers, that take up more of a dead letter than one in so many bytes leave too little for the value.
const SHARE: usize = 4;

/// A record as it came.
struct Original<'a> {
    topic: &'a str,
    partition: i32,
    offset: i64,
    timestamp: Option<i64>,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    headers: Option<&'a BorrowedHeaders>,
}

/// The record as it was (key, value, headers), with the headers above appended; cut to `most` bytes in all, never to
/// less than what the headers above take. Best effort: the stream does not stop for a dead letter.
pub fn of<'a>(
    topic: &'a str,
    record: &'a impl Message<Headers = BorrowedHeaders>,
    reason: &str,
    detail: &str,
    most: usize,
) -> Outgoing<'a> {
    let original = Original {
        topic: record.topic(),
        partition: record.partition(),
        offset: record.offset(),
        timestamp: record.timestamp().to_millis(),
        key: record.key(),
        value: record.payload(),
        headers: record.headers(),
    };
    letter(topic, &original, reason, detail, most)
}

fn letter<'a>(topic: &'a str, record: &Original<'a>, reason: &str, detail: &str, most: usize) -> Outgoing<'a> {
    let partition = record.partition.to_string();
    let offset = record.offset.to_string();
    let timestamp = record.timestamp.map(|ms| ms.to_string());
    let own_bytes = record.headers.map_or(0, bytes_of);
    let keeps_headers = own_bytes <= most / SHARE;
    let key = record.key.filter(|key| key.len() <= most / SHARE);
    let headers_left_out = (!keeps_headers).then(|| own_bytes.to_string());
    let key_left_out = record.key.filter(|_| key.is_none()).map(|key| key.len().to_string());
    let mut added = vec![
        (HEADER_REASON, Some(reason)),
        (HEADER_DETAIL, Some(detail)),
        (HEADER_TOPIC, Some(record.topic)),
        (HEADER_PARTITION, Some(partition.as_str())),
        (HEADER_OFFSET, Some(offset.as_str())),
        (HEADER_TIMESTAMP, timestamp.as_deref()),
    ];
    added.extend(headers_left_out.as_deref().map(|bytes| (HEADER_HEADERS_LEFT_OUT, Some(bytes))));
    added.extend(key_left_out.as_deref().map(|bytes| (HEADER_KEY_LEFT_OUT, Some(bytes))));

    let of_header = |(key, value): &(&str, Option<&str>)| HEADER_BYTES + key.len() + value.map_or(0, str::len);
    let truncated = HEADER_BYTES + HEADER_TRUNCATED.len() + 20;
    let taken = added.iter().map(of_header).sum::<usize>() + truncated;
    let kept = if keeps_headers { own_bytes } else { 0 } + key.map_or(0, <[u8]>::len);
    let room = most.saturating_sub(taken + kept);
    let value = record.value;
    let length = value.map_or(0, <[u8]>::len).to_string();
    added.extend(value.filter(|value| value.len() > room).map(|_| (HEADER_TRUNCATED, Some(length.as_str()))));

    // Copied as they are: names need not be UTF-8, and reading them one by one would panic on such.
    let original = record.headers.filter(|_| keeps_headers).map(BorrowedHeaders::detach);
    let headers = original.unwrap_or_else(|| OwnedHeaders::new_with_capacity(added.len()));
    let headers = added.into_iter().fold(headers, |headers, (key, value)| headers.insert(Header { key, value }));
    Outgoing {
        partition: None,
        topic,
        key,
        value: value.map(|value| &value[..value.len().min(room)]),
        headers: Some(headers),
        best_effort: true,
        ..Outgoing::default()
    }
}

fn bytes_of(headers: &BorrowedHeaders) -> usize {
    kafka::raw_headers(headers).map(|(key, value)| HEADER_BYTES + key.len() + value.map_or(0, <[u8]>::len)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: usize = 20_000;

    #[test]
    fn a_dead_letter_fits_whatever_is_large_in_it() {
        // Sizes of key, value and header; what is left of them; what is said of it.
        let cases = [
            ((10, 100, 10), (10, 100, true), None),
            ((10, 50_000, 10), (10, 19_000, true), Some((HEADER_TRUNCATED, "50000"))),
            ((50_000, 100, 10), (0, 100, true), Some((HEADER_KEY_LEFT_OUT, "50000"))),
            ((10, 100, 50_000), (10, 100, false), Some((HEADER_HEADERS_LEFT_OUT, "50021"))),
        ];
        for ((key, value, header), (kept_key, kept_value, keeps_headers), told) in cases {
            let (key, whole, header) = (vec![b'k'; key], vec![b'v'; value], vec![b'h'; header]);
            let headers = OwnedHeaders::new().insert(Header { key: "trace", value: Some(&header) });
            let record = Original {
                topic: "logs",
                partition: 1,
                offset: 7,
                timestamp: Some(5),
                key: Some(&key),
                value: Some(&whole),
                headers: Some(headers.as_borrowed()),
            };
            let letter = letter("dead", &record, "too-large", "detail", MOST);
            let headers = letter.headers.as_ref().map(OwnedHeaders::as_borrowed).unwrap();
            let all: Vec<(&[u8], Option<&[u8]>)> = kafka::raw_headers(headers).collect();
            let bytes = letter.key.map_or(0, <[u8]>::len) + letter.value.map_or(0, <[u8]>::len) + bytes_of(headers);
            assert!(bytes <= MOST, "{bytes}");
            assert_eq!(letter.key.map_or(0, <[u8]>::len), kept_key);
            let kept = letter.value.map_or(0, <[u8]>::len);
            assert!(kept >= kept_value && kept <= value, "{kept} of {value}");
            assert_eq!(all.iter().any(|(key, _)| key == b"trace"), keeps_headers);
            let sizes = [HEADER_TRUNCATED, HEADER_KEY_LEFT_OUT, HEADER_HEADERS_LEFT_OUT];
            let said: Vec<_> = all.iter().filter(|(key, _)| sizes.iter().any(|size| size.as_bytes() == *key)).collect();
            let told: Vec<_> = told.iter().map(|(key, bytes)| (key.as_bytes(), Some(bytes.as_bytes()))).collect();
            assert_eq!(said, told.iter().collect::<Vec<_>>());
            assert!(letter.best_effort);
        }
    }
}
