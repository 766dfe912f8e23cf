//! A topic as log shippers fill it.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use super::PATIENCE;

pub const NAME: &str = "container-logs";
pub const PARTITIONS: i32 = 4;
/// So many records in a row go to one partition, as they do without a key.
const RUN: usize = 100;

pub fn producer(brokers: &str, compression: &str) -> BaseProducer {
    ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("compression.type", compression)
        .set("linger.ms", "20")
        .set("batch.size", "524288")
        .create()
        .expect("a producer")
}

/// The partition of the record of that number.
pub fn partition(number: usize) -> i32 {
    ((number / RUN) % PARTITIONS as usize) as i32
}

/// The number of the record of that partition and offset.
pub fn number(partition: i32, offset: usize) -> usize {
    (offset / RUN * PARTITIONS as usize + partition as usize) * RUN + offset % RUN
}

/// Returns the bytes of all values.
pub fn fill(brokers: &str, compression: &str, values: impl Iterator<Item = String>) -> usize {
    let producer = producer(brokers, compression);
    let mut bytes = 0;
    for (number, value) in values.enumerate() {
        bytes += value.len();
        send(&producer, BaseRecord::to(NAME).partition(partition(number)).payload(value.as_str()));
    }
    producer.flush(PATIENCE).expect("everything is written");
    bytes
}

/// Waits while the queue is full.
pub fn send(producer: &BaseProducer, mut record: BaseRecord<'_, str, str>) {
    while let Err((error, refused)) = producer.send(record) {
        assert_eq!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull));
        producer.poll(Duration::from_millis(5));
        record = refused;
    }
}
