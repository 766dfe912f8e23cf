//! The Kafka edge: clients that are configured safely, and librdkafka's callbacks turned into plain values.
//!
//! Nothing here decides anything about records. Blocking calls live here, so every type is for plain threads, never
//! for a tokio worker.

use std::collections::BTreeMap;
use std::fmt;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

mod client;
mod cluster;
mod consumer;
mod link;
mod oauth;
mod producer;
mod rate_limit;
mod reader;
mod record_queue;
mod transaction;

pub use client::{Connection, Limits};
pub use cluster::{Cluster, TopicSpec, Topics};
pub use consumer::{Consumer, Event, FetchState, Fetching, Start};
pub use link::Link;
pub use producer::{Delivery, Outgoing, Producer, Ticket};
pub use rate_limit::RateLimit;
pub use reader::{ReadFrom, read_to_end};
pub use record_queue::{Fetched, raw_headers};
pub use transaction::{Step, Transaction};

/// What is wrong, in words for the person who runs faultline.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Error {
    message: String,
    is_refusal: bool,
}

impl Error {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Error { message: message.into(), is_refusal: false }
    }

    fn from_kafka(doing: impl fmt::Display, error: &KafkaError) -> Self {
        let what = match error.rdkafka_error_code() {
            Some(code) => explain(code),
            None => describe(error),
        };
        let is_refusal = error.rdkafka_error_code().is_some_and(is_refusal);
        Error { message: format!("{doing}: {what}"), is_refusal }
    }

    /// Whether the broker takes others, but never this message.
    pub fn is_refusal(&self) -> bool {
        self.is_refusal
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

/// librdkafka's words without the value, which may be a secret in the wrong place.
fn describe(error: &KafkaError) -> String {
    match error {
        KafkaError::ClientConfig(_, reason, ..) => reason.clone(),
        error => error.to_string(),
    }
}

/// The broker refuses this client: waiting does not help, the operator must act.
fn is_denied(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::GroupAuthorizationFailed
            | RDKafkaErrorCode::ClusterAuthorizationFailed
            | RDKafkaErrorCode::TransactionalIdAuthorizationFailed
    )
}

/// The broker will never take this message, whatever becomes of others.
fn is_refusal(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::MessageSizeTooLarge
            | RDKafkaErrorCode::MessageBatchTooLarge
            | RDKafkaErrorCode::InvalidMessage
            | RDKafkaErrorCode::InvalidMessageSize
            | RDKafkaErrorCode::InvalidRecord
            | RDKafkaErrorCode::InvalidTimestamp
            | RDKafkaErrorCode::PolicyViolation
    )
}

/// The codes that people meet, with what would help; the rest as librdkafka words them.
fn explain(code: RDKafkaErrorCode) -> String {
    let text = match code {
        RDKafkaErrorCode::TopicAuthorizationFailed => "the broker denies access to the topic; check its ACLs",
        RDKafkaErrorCode::GroupAuthorizationFailed => "the broker denies access to the consumer group; check its ACLs",
        RDKafkaErrorCode::ClusterAuthorizationFailed => "the broker denies this to the configured user; check its ACLs",
        RDKafkaErrorCode::MessageSizeTooLarge => "the message is larger than the broker accepts (max.message.bytes)",
        RDKafkaErrorCode::UnknownTopic | RDKafkaErrorCode::UnknownTopicOrPartition => "the topic does not exist",
        RDKafkaErrorCode::UnsupportedFeature => "the broker does not support this",
        RDKafkaErrorCode::InvalidReplicationFactor => "the broker cannot give the topic that many replicas",
        other => return other.to_string(),
    };
    text.to_owned()
}

/// Properties that the operator set win over ours: they know their brokers.
type Properties = BTreeMap<String, String>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_say_what_was_tried_and_what_would_help() {
        let denied = KafkaError::MessageProduction(RDKafkaErrorCode::TopicAuthorizationFailed);
        let error = Error::from_kafka("writing to topic `alerts`", &denied);
        assert_eq!(
            error.to_string(),
            "writing to topic `alerts`: the broker denies access to the topic; check its ACLs"
        );
        assert!(is_denied(RDKafkaErrorCode::TopicAuthorizationFailed));
        assert!(!is_denied(RDKafkaErrorCode::BrokerTransportFailure));
    }
}
