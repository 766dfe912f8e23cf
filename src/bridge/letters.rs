//! Dead letters: alerts that will not be delivered, kept with the reason.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::message::{Header, OwnedMessage};
use tracing::warn;

use super::{Error, Shared};
use crate::courier::Place;
use crate::kafka::Producer;
use crate::metrics::ReasonLabel;
use crate::record::Partition;
use crate::service::dead_letter;

/// Only where the receiver answered: the status of the answer. `faultline-detail` has the start of it.
pub const HEADER_STATUS: &str = "faultline-status";

/// Those that are written and not acknowledged yet.
pub struct Letters<'s> {
    shared: &'s Shared,
    producer: Producer,
    sent: BTreeMap<u64, Place>,
    number: u64,
}

/// Why an alert is not delivered.
pub struct Reason<'a> {
    /// A word, for the metric too.
    pub word: &'static str,
    pub detail: &'a str,
    pub status: Option<u16>,
}

impl<'s> Letters<'s> {
    pub fn new(shared: &'s Shared) -> Result<Self, Error> {
        let producer = Producer::new(&shared.config.connection, shared.link.clone())?;
        Ok(Letters { shared, producer, sent: BTreeMap::new(), number: 0 })
    }

    /// Returns whether there is nothing to wait for: the topic will never take it.
    pub fn write(&mut self, place: &Place, original: &OwnedMessage, reason: &Reason<'_>) -> bool {
        let config = &self.shared.config;
        warn!("{}[{}] {}: {}; dead-lettered", place.partition, place.offset, reason.word, reason.detail);
        let topic = &config.dead_letter.name;
        let mut letter = dead_letter::of_own(topic, original, reason.word, reason.detail, config.dead_letter_bytes);
        if let Some(status) = reason.status {
            let (headers, status) = (letter.headers.take().unwrap_or_default(), status.to_string());
            letter.headers = Some(headers.insert(Header { key: HEADER_STATUS, value: Some(&status) }));
        }
        self.number += 1;
        let shared = self.shared;
        let go_on = || {
            shared.vitals.beat();
            !shared.shutdown.is_triggered()
        };
        match self.producer.send(letter, self.number, go_on) {
            Ok(true) => {
                shared.metrics.dead_lettered.get_or_create(&ReasonLabel { reason: reason.word.to_owned() }).inc();
                self.sent.insert(self.number, place.clone());
                false
            }
            // It stays open, and is read again after the stop.
            Ok(false) => false,
            Err(error) => {
                self.lost(&error.to_string());
                true
            }
        }
    }

    /// What was acknowledged meanwhile, or waited for as long as `wait`.
    pub fn acknowledged(&mut self, wait: Duration) -> Vec<Place> {
        let mut places = Vec::new();
        if self.sent.is_empty() {
            return places;
        }
        let mut next = if wait.is_zero() { self.producer.delivery() } else { self.producer.wait_delivery(wait) };
        while let Some(delivery) = next {
            places.extend(self.sent.remove(&delivery.ticket.batch));
            if let Err(error) = delivery.outcome {
                self.lost(&error.to_string());
            }
            next = self.producer.delivery();
        }
        places
    }

    pub fn are_waiting(&self) -> bool {
        !self.sent.is_empty()
    }

    pub fn forget(&mut self, partition: &Partition) {
        self.sent.retain(|_, place| place.partition != *partition);
    }

    fn lost(&self, error: &str) {
        self.shared.metrics.dead_letters_lost.inc();
        warn!("a dead letter is lost: {error}");
    }
}
