//! The embedded broker, and the two ends that are not faultline's: a log shipper and a bridge.

use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaResult;
use rdkafka::message::Message;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext};
use rdkafka::{Offset, TopicPartitionList};

use crate::alert::Alert;
use crate::scenario::{ScenarioRecord, Stream};

const LOGS: &str = "container-logs";
const EVENTS: &str = "kube-events";
const ALERTS: &str = "alerts";
/// The mock creates no topics on request, so the service must find its own.
const TOPICS: [(&str, i32); 6] = [
    (LOGS, 2),
    (EVENTS, 1),
    (ALERTS, 1),
    ("faultline.reports", 1),
    ("faultline.state", 1),
    ("faultline.dead-letter", 1),
];

pub(super) struct Broker {
    // The broker goes last.
    shipper: BaseProducer,
    bridge: BaseConsumer,
    address: String,
    _cluster: MockCluster<'static, DefaultProducerContext>,
}

impl Broker {
    pub fn start() -> KafkaResult<Self> {
        let cluster = MockCluster::new(1)?;
        for (topic, partitions) in TOPICS {
            cluster.create_topic(topic, partitions, 1)?;
        }
        let address = cluster.bootstrap_servers();
        let client = || {
            let mut config = ClientConfig::new();
            config.set("bootstrap.servers", &address).set("log_level", "0");
            config
        };
        let shipper = client().set("linger.ms", "5").create()?;
        let bridge: BaseConsumer = client().set("group.id", "demo-bridge").create()?;
        let mut partitions = TopicPartitionList::new();
        partitions.add_partition_offset(ALERTS, 0, Offset::Beginning)?;
        bridge.assign(&partitions)?;
        Ok(Broker { shipper, bridge, address, _cluster: cluster })
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    /// Writes a record as the shipper would, with the record's own time.
    pub fn write(&self, record: &ScenarioRecord) -> KafkaResult<()> {
        let topic = match record.stream {
            Stream::Logs => LOGS,
            Stream::Events => EVENTS,
        };
        let mut message = BaseRecord::to(topic).payload(&record.value).timestamp(record.at.as_millis());
        message.key = record.key.as_deref();
        loop {
            match self.shipper.send(message) {
                Ok(()) => return Ok(()),
                Err((error, refused))
                    if error.rdkafka_error_code() == Some(rdkafka::types::RDKafkaErrorCode::QueueFull) =>
                {
                    message = refused;
                    self.shipper.poll(Duration::from_millis(10));
                }
                Err((error, _)) => return Err(error),
            }
        }
    }

    /// The alerts that come within `wait`.
    pub fn alerts(&self, wait: Duration) -> Vec<Alert> {
        self.shipper.poll(Duration::ZERO);
        let end = Instant::now() + wait;
        let mut alerts = Vec::new();
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            let message = self.bridge.poll(left).and_then(Result::ok);
            alerts.extend(message.and_then(|message| serde_json::from_slice(message.payload()?).ok()));
        }
        alerts
    }
}
