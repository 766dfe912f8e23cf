//! Sending, and learning what became of every message.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::client::OAuthToken;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message, OwnedHeaders, OwnedMessage};
use rdkafka::producer::{BaseRecord, ProducerContext, ThreadedProducer};

use super::oauth::Tokens;
use super::{Connection, Error, Link};
use crate::record::Partition;
use crate::time::Timestamp;

/// What a message belongs to; comes back with its [`Delivery`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ticket {
    pub batch: u64,
    /// Of key and value.
    pub bytes: usize,
    /// The newest record that the message tells of, to measure how long it took.
    pub about: Option<Timestamp>,
    /// If the broker will not take it, work goes on without it.
    pub best_effort: bool,
}

/// A message to send. Without a partition the key says which; without a key, any.
#[derive(Clone, Debug, Default)]
pub struct Outgoing<'a> {
    pub topic: &'a str,
    pub partition: Option<i32>,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub headers: Option<OwnedHeaders>,
    /// See [`Ticket::about`].
    pub about: Option<Timestamp>,
    /// See [`Ticket::best_effort`].
    pub best_effort: bool,
}

impl Outgoing<'_> {
    /// For what could not even be queued.
    pub fn to_owned_message(&self) -> OwnedMessage {
        let (key, value) = (self.key.map(<[u8]>::to_vec), self.value.map(<[u8]>::to_vec));
        let partition = self.partition.unwrap_or(-1);
        let time = rdkafka::Timestamp::NotAvailable;
        OwnedMessage::new(value, key, self.topic.to_owned(), time, partition, -1, self.headers.clone())
    }

    pub fn bytes(&self) -> usize {
        self.key.map_or(0, <[u8]>::len) + self.value.map_or(0, <[u8]>::len)
    }
}

/// What became of one message: where the broker put it, or why it never will.
#[derive(Debug)]
pub struct Delivery {
    pub ticket: Ticket,
    pub outcome: Result<(Partition, i64), Error>,
    /// The message itself, if the broker will never take it.
    pub refused: Option<Box<OwnedMessage>>,
}

/// How long to wait for room when librdkafka's queue is full, between two looks at whether to go on.
const ROOM_WAIT: Duration = Duration::from_millis(5);

/// Deliveries are reported by librdkafka's own thread, through a channel that its owner empties.
pub struct Producer {
    inner: ThreadedProducer<Context>,
    deliveries: Receiver<Delivery>,
}

impl Producer {
    /// # Errors
    /// When librdkafka refuses the configuration.
    pub fn new(connection: &Connection, link: Arc<Link>) -> Result<Self, Error> {
        Self::with(&connection.producer(), connection.tokens(), link, false)
    }

    /// A producer whose fatal errors its owner handles.
    pub(super) fn transactional(
        connection: &Connection,
        id: &str,
        timeout: Duration,
        link: Arc<Link>,
    ) -> Result<Self, Error> {
        Self::with(&connection.transactional(id, timeout), connection.tokens(), link, true)
    }

    fn with(config: &ClientConfig, tokens: Tokens, link: Arc<Link>, may_break: bool) -> Result<Self, Error> {
        let (sender, deliveries) = mpsc::channel();
        let inner = config
            .create_with_context(Context { link, tokens, deliveries: sender, may_break })
            .map_err(|e| Error::from_kafka("kafka settings", &e))?;
        Ok(Producer { inner, deliveries })
    }

    pub(super) fn inner(&self) -> &ThreadedProducer<Context> {
        &self.inner
    }

    /// Queues a message. With the queue full it waits for room as long as `go_on` says so; returns whether it was queued.
    ///
    /// # Errors
    /// What can never be sent, such as a message that is too large.
    pub fn send(&self, message: Outgoing<'_>, batch: u64, mut go_on: impl FnMut() -> bool) -> Result<bool, Error> {
        let ticket = Ticket { batch, bytes: message.bytes(), about: message.about, best_effort: message.best_effort };
        let mut record = BaseRecord::with_opaque_to(message.topic, Box::new(ticket));
        record.key = message.key;
        record.payload = message.value;
        record.headers = message.headers;
        record.partition = message.partition;
        loop {
            match self.inner.send(record) {
                Ok(()) => return Ok(true),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) if !go_on() => return Ok(false),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => record = back,
                Err((error, back)) => {
                    return Err(Error::from_kafka(format_args!("writing to topic `{}`", back.topic), &error));
                }
            }
            thread::sleep(ROOM_WAIT);
        }
    }

    /// The next delivery that is known already.
    pub fn delivery(&self) -> Option<Delivery> {
        self.deliveries.try_recv().ok()
    }

    /// The next delivery, waiting for it.
    pub fn wait_delivery(&self, timeout: Duration) -> Option<Delivery> {
        self.deliveries.recv_timeout(timeout).ok()
    }
}

pub(super) struct Context {
    link: Arc<Link>,
    tokens: Tokens,
    deliveries: Sender<Delivery>,
    /// Whether the process goes on when this client cannot.
    may_break: bool,
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
        let is_fatal = error.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal);
        if !(is_fatal && self.may_break) {
            self.link.on_error(&error, reason);
        }
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = Box<Ticket>;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: Self::DeliveryOpaque) {
        let mut refused = None;
        let outcome = match result {
            Ok(message) => {
                self.link.mark_up();
                let partition = Partition { topic: Arc::from(message.topic()), partition: message.partition() };
                Ok((partition, message.offset()))
            }
            Err((error, message)) => {
                let error = Error::from_kafka(format_args!("writing to topic `{}`", message.topic()), error);
                refused = error.is_refusal().then(|| Box::new(message.detach()));
                Err(error)
            }
        };
        // The owner is gone only when it gave up on these messages.
        let _ = self.deliveries.send(Delivery { ticket: *ticket, outcome, refused });
    }
}
