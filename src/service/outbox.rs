//! What a stage sends, until it is acknowledged.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::message::OwnedMessage;
use tracing::warn;

use super::acks::{Acks, Done};
use crate::kafka::{Delivery, Error, Outgoing, Producer, RateLimit, Ticket};
use crate::record::Partition;

/// Bounds of what may be on its way; beyond them the stage stops fetching.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    pub batches: usize,
    pub messages: usize,
    pub bytes: usize,
}

pub struct Outbox<T> {
    producer: Producer,
    acks: Acks<T>,
    bounds: Bounds,
    /// The offset after the newest message of every partition written to.
    written: BTreeMap<Partition, i64>,
    done: BTreeMap<Partition, i64>,
    /// Messages of best effort that were not taken, since that was last asked.
    lost: u64,
    lost_log: RateLimit,
    /// Messages that the broker will never take, if they are to be set aside; else the first of them ends the stage.
    refused: Option<Vec<OwnedMessage>>,
}

const LOST_LOG_EVERY: Duration = Duration::from_secs(10);

impl<T> Outbox<T> {
    pub fn new(producer: Producer, bounds: Bounds) -> Self {
        Outbox {
            producer,
            acks: Acks::default(),
            bounds,
            written: BTreeMap::new(),
            done: BTreeMap::new(),
            lost: 0,
            lost_log: RateLimit::new(LOST_LOG_EVERY),
            refused: None,
        }
    }

    /// One that goes on where the broker refuses a message, see [`Outbox::take_refused`].
    pub fn setting_aside(producer: Producer, bounds: Bounds) -> Self {
        Outbox { refused: Some(Vec::new()), ..Self::new(producer, bounds) }
    }

    /// Sends a message as part of the batch that is being gathered. Returns whether it was taken: not if the queue
    /// stayed full until `go_on` said no. What can never be sent counts as taken where best effort will do.
    ///
    /// # Errors
    /// What can never be sent.
    pub fn send(&mut self, message: Outgoing<'_>, go_on: impl FnMut() -> bool) -> Result<bool, Error> {
        let (bytes, best_effort) = (message.bytes(), message.best_effort);
        let batch = self.acks.sent(bytes);
        let taken = self.producer.send(message.clone(), batch, go_on);
        if !matches!(taken, Ok(true)) {
            self.acks.acknowledged(batch, bytes);
        }
        match taken {
            Err(error) if best_effort => {
                self.loses(&error);
                Ok(true)
            }
            Err(error) if error.is_refusal() => match &mut self.refused {
                Some(refused) => {
                    refused.push(message.to_owned_message());
                    Ok(true)
                }
                None => Err(error),
            },
            taken => taken,
        }
    }

    fn loses(&mut self, error: &Error) {
        self.lost += 1;
        if let Some(left_out) = self.lost_log.allow(Instant::now()) {
            warn!(left_out, "a record is lost to the dead-letter topic, the stream goes on: {error}");
        }
    }

    /// How many messages of best effort were not taken, since the last call.
    pub fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }

    /// Messages that the broker will never take, since the last call; they count as acknowledged.
    pub fn take_refused(&mut self) -> Vec<OwnedMessage> {
        self.refused.as_mut().map(std::mem::take).unwrap_or_default()
    }

    pub fn seal(&mut self, covers: Vec<(Partition, i64)>, tag: T) {
        self.acks.seal(covers, tag);
    }

    /// Takes note of all deliveries that are known, and tells each to `seen`.
    ///
    /// # Errors
    /// A message that the broker will never take.
    pub fn collect(&mut self, mut seen: impl FnMut(&Ticket)) -> Result<(), Error> {
        while let Some(delivery) = self.producer.delivery() {
            self.note(delivery, &mut seen)?;
        }
        Ok(())
    }

    /// Waits until everything is acknowledged, `deadline` passes or `go_on` says no.
    ///
    /// # Errors
    /// A message that the broker will never take.
    pub fn wait(
        &mut self,
        deadline: Instant,
        seen: impl FnMut(&Ticket),
        mut go_on: impl FnMut() -> bool,
    ) -> Result<(), Error> {
        self.wait_while(deadline, seen, |outbox| outbox.acks.messages() > 0 && go_on())
    }

    /// Waits a moment for room: a burst need not stop the fetching, which throws away what was fetched ahead.
    ///
    /// # Errors
    /// A message that the broker will never take.
    pub fn wait_for_room(&mut self, deadline: Instant, seen: impl FnMut(&Ticket)) -> Result<(), Error> {
        // A batch leaves only by `take_done`; without messages all of them are about to.
        self.wait_while(deadline, seen, |outbox| !outbox.acks.has_done() && !outbox.has_room())
    }

    fn wait_while(
        &mut self,
        deadline: Instant,
        mut seen: impl FnMut(&Ticket),
        mut go_on: impl FnMut(&Self) -> bool,
    ) -> Result<(), Error> {
        const STEP: Duration = Duration::from_millis(20);
        while go_on(self) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            if let Some(delivery) = self.producer.wait_delivery(left.min(STEP)) {
                self.note(delivery, &mut seen)?;
            }
        }
        Ok(())
    }

    fn note(&mut self, delivery: Delivery, seen: &mut impl FnMut(&Ticket)) -> Result<(), Error> {
        let written = match delivery.outcome {
            Err(error) if delivery.ticket.best_effort => {
                self.loses(&error);
                None
            }
            Err(error) => match (&mut self.refused, delivery.refused) {
                (Some(refused), Some(message)) => {
                    refused.push(*message);
                    None
                }
                _ => return Err(error),
            },
            Ok(written) => Some(written),
        };
        self.acks.acknowledged(delivery.ticket.batch, delivery.ticket.bytes);
        let Some((partition, offset)) = written else { return Ok(()) };
        let next = self.written.entry(partition).or_default();
        *next = (*next).max(offset + 1);
        seen(&delivery.ticket);
        Ok(())
    }

    /// The offsets that may be committed since the last call; every batch that is done shows its tag to `seen`.
    pub fn take_done(&mut self, mut seen: impl FnMut(T)) -> Vec<(Partition, i64)> {
        let mut fresh = BTreeMap::new();
        while let Some(Done { covers, tag }) = self.acks.pop_done() {
            fresh.extend(covers);
            seen(tag);
        }
        self.done.extend(fresh.iter().map(|(partition, next)| (partition.clone(), *next)));
        fresh.into_iter().collect()
    }

    /// All offsets that may be committed, those of earlier calls too: nobody tells whether a commit arrived.
    pub fn all_done(&self) -> Vec<(Partition, i64)> {
        self.done.iter().map(|(partition, next)| (partition.clone(), *next)).collect()
    }

    pub fn forget(&mut self, partition: &Partition) {
        self.acks.forget(partition);
        self.done.remove(partition);
    }

    /// Whether one more batch may be sealed.
    pub fn has_room(&self) -> bool {
        self.full().is_none()
    }

    /// The limit that is reached, by its name in the configuration.
    pub fn full(&self) -> Option<&'static str> {
        if self.acks.batches() >= self.bounds.batches {
            Some("reports_in_flight")
        } else if self.acks.messages() >= self.bounds.messages {
            Some("messages_in_flight")
        } else if self.acks.bytes() >= self.bounds.bytes {
            Some("bytes_in_flight")
        } else {
            None
        }
    }

    /// Whether at least half of the room is free again: the end of a pause.
    pub fn is_relaxed(&self) -> bool {
        self.acks.batches() <= self.bounds.batches / 2
            && self.acks.messages() <= self.bounds.messages / 2
            && self.acks.bytes() <= self.bounds.bytes / 2
    }

    pub fn messages(&self) -> usize {
        self.acks.messages()
    }

    /// The offset after the newest acknowledged message of every partition of `topic`.
    pub fn written_to(&self, topic: &str) -> BTreeMap<Partition, i64> {
        self.written.iter().filter(|(p, _)| &*p.topic == topic).map(|(p, next)| (p.clone(), *next)).collect()
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::mocking::MockCluster;
    use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

    use super::*;
    use crate::kafka::{Connection, Link};

    #[test]
    fn what_is_refused_stops_the_stream_unless_best_effort_will_do() {
        let mock = MockCluster::new(1).unwrap();
        mock.create_topic("t", 1, 1).unwrap();
        let brokers = mock.bootstrap_servers();
        let refusal = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_POLICY_VIOLATION; 50];
        mock.request_errors(RDKafkaApiKey::Produce, &refusal);
        let connection = Connection {
            brokers: brokers.clone(),
            client_id: "test".into(),
            properties: Default::default(),
            oauth_token_file: None,
            limits: Default::default(),
        };
        for best_effort in [true, false] {
            let producer = Producer::new(&connection, Link::new(&brokers)).unwrap();
            let mut outbox = Outbox::new(producer, Bounds { batches: 9, messages: 9, bytes: 9999 });
            let message = Outgoing { topic: "t", value: Some(b"value"), best_effort, ..Outgoing::default() };
            assert_eq!(outbox.send(message, || true), Ok(true));
            outbox.seal(Vec::new(), ());
            let waited = outbox.wait(Instant::now() + Duration::from_secs(30), |_| (), || true);
            assert_eq!((waited.is_ok(), outbox.messages() == 0), (best_effort, best_effort), "{waited:?}");
            assert_eq!(outbox.take_lost(), u64::from(best_effort));
            let mut done = 0;
            outbox.take_done(|()| done += 1);
            assert_eq!(done, u32::from(best_effort));
        }
    }
}
