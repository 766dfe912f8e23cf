//! librdkafka's settings: safe defaults, then what the operator asks for.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};

use super::oauth::Tokens;
use super::record_queue::AT_ONCE;
use super::{Error, Properties};

/// How to reach the brokers.
#[derive(Clone)]
pub struct Connection {
    /// `host:port[,host:port]`.
    pub brokers: String,
    /// Named in the brokers' logs and quotas.
    pub client_id: Arc<str>,
    /// Handed to librdkafka as they are, over the defaults.
    pub properties: Properties,
    /// Where to find the token for SASL/OAUTHBEARER.
    pub oauth_token_file: Option<PathBuf>,
    pub limits: Limits,
}

/// What the clients may hold in memory, and how long they wait between attempts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Fetched records that wait to be read, per consumer. KiB.
    pub fetch_queue_kbytes: u32,
    /// Messages that wait to be sent, per producer. KiB.
    pub send_queue_kbytes: u32,
    /// The longest pause between two attempts to reach a broker.
    pub reconnect_backoff_max: Duration,
    /// How often a consumer looks for new topics and partitions.
    pub metadata_refresh: Duration,
    /// How often a consumer learns where the ends of its partitions are.
    pub progress_interval: Duration,
    /// How long a broker holds a fetch back while there is nothing to fetch: only then an end is known to be one.
    pub fetch_wait: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            fetch_queue_kbytes: 32 * 1024,
            send_queue_kbytes: 64 * 1024,
            reconnect_backoff_max: Duration::from_secs(10),
            metadata_refresh: Duration::from_secs(10),
            progress_interval: Duration::from_millis(500),
            fetch_wait: Duration::from_millis(500),
        }
    }
}

/// A report of the largest size that the scanner's limits allow fits, several times over.
const MESSAGE_MAX_BYTES: u32 = 16 << 20;

impl fmt::Debug for Connection {
    /// Without the values of the properties: among them are secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("brokers", &self.brokers)
            .field("client_id", &self.client_id)
            .field("properties", &self.properties.keys().collect::<BTreeSet<_>>())
            .field("oauth_token_file", &self.oauth_token_file)
            .field("limits", &self.limits)
            .finish()
    }
}

impl Connection {
    pub(super) fn tokens(&self) -> Tokens {
        Tokens::new(self.oauth_token_file.as_deref())
    }

    pub(super) fn plain(&self) -> ClientConfig {
        self.with_operator_wishes(self.common())
    }

    pub(super) fn consumer(&self, group: &str) -> ClientConfig {
        let mut config = self.common();
        let limits = &self.limits;
        config
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "earliest")
            .set("isolation.level", "read_committed")
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("allow.auto.create.topics", "false")
            .set("check.crcs", "true")
            // The default of a second starves a consumer whose queue is small.
            .set("fetch.queue.backoff.ms", "10")
            .set("queued.max.messages.kbytes", limits.fetch_queue_kbytes.to_string())
            .set("topic.metadata.refresh.interval.ms", limits.metadata_refresh.as_millis().to_string())
            .set("fetch.wait.max.ms", limits.fetch_wait.as_millis().to_string())
            .set("enable.partition.eof", "true")
            .set("consume.callback.max.messages", AT_ONCE.to_string())
            // Tell of ends, too, also where nothing was read before them.
            .set("statistics.interval.ms", limits.progress_interval.as_millis().to_string());
        self.with_operator_wishes(config)
    }

    /// For reading a partition to its end, outside of any group.
    pub(super) fn reader(&self, group: &str) -> ClientConfig {
        let mut config = self.consumer(group);
        config
            .set("enable.partition.eof", "true")
            .set("statistics.interval.ms", "0")
            // An end is seen where a fetch brings nothing.
            .set("fetch.wait.max.ms", "10");
        config
    }

    /// A producer of transactions that the broker aborts after `timeout`.
    pub(super) fn transactional(&self, id: &str, timeout: Duration) -> ClientConfig {
        let mut config = self.producer();
        // A message must be given up while its transaction can still be aborted.
        let message_timeout = timeout * 3 / 4;
        config
            .set("transactional.id", id)
            .set("transaction.timeout.ms", timeout.as_millis().to_string())
            .set("message.timeout.ms", message_timeout.as_millis().to_string());
        config
    }

    pub(super) fn producer(&self) -> ClientConfig {
        let mut config = self.common();
        config
            .set("enable.idempotence", "true")
            .set("compression.type", "zstd")
            .set("linger.ms", "5")
            // Counted before compression; the broker's own limit counts after it.
            .set("message.max.bytes", MESSAGE_MAX_BYTES.to_string())
            // Never give up: the offsets wait for the acknowledgement, so nothing is lost while a broker is away.
            .set("message.timeout.ms", "0")
            .set("queue.buffering.max.kbytes", self.limits.send_queue_kbytes.to_string());
        self.with_operator_wishes(config)
    }

    /// Asks librdkafka whether it would take the settings, without connecting to anything.
    ///
    /// # Errors
    /// What it has against them, a key that it does not know for one.
    pub fn check(&self) -> Result<(), Error> {
        let configs = [self.consumer("check"), self.producer()];
        configs.iter().try_for_each(|config| match config.create_native_config() {
            Ok(_) => Ok(()),
            Err(error) => Err(Error::from_kafka("kafka.properties", &error)),
        })
    }

    fn common(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", &*self.client_id)
            .set("reconnect.backoff.max.ms", self.limits.reconnect_backoff_max.as_millis().to_string())
            .set("socket.keepalive.enable", "true");
        // `debug` says what librdkafka is to tell at its debug level; by itself it would be cut off again.
        let debug = self.properties.contains_key("debug");
        config.set_log_level(if debug { RDKafkaLogLevel::Debug } else { RDKafkaLogLevel::Info });
        config
    }

    fn with_operator_wishes(&self, mut config: ClientConfig) -> ClientConfig {
        for (key, value) in &self.properties {
            config.set(key, value);
        }
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operators_properties_win() {
        let connection = Connection {
            brokers: "kafka:9092".to_owned(),
            client_id: "faultline".into(),
            properties: [("enable.idempotence".to_owned(), "false".to_owned())].into(),
            oauth_token_file: None,
            limits: Limits::default(),
        };
        assert_eq!(connection.producer().get("enable.idempotence"), Some("false"));
        assert_eq!(connection.producer().get("message.timeout.ms"), Some("0"));
        assert_eq!(connection.consumer("g").get("fetch.queue.backoff.ms"), Some("10"));
        assert_eq!(connection.consumer("g").get("enable.auto.commit"), Some("false"));
        // Without it what is fetched and not yet read would have no bound.
        assert_eq!(connection.consumer("g").get("consume.callback.max.messages"), Some("1000"));
    }
}
