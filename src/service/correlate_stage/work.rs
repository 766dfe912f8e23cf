//! The correlate stage's work between two events of its consumer group.

use std::time::{Duration, Instant};

use rdkafka::Message as _;
use rdkafka::message::{BorrowedMessage, Header, OwnedHeaders};
use tracing::warn;

use crate::alert::{Alert, Status};
use crate::correlator::{Counts, Sizes};
use crate::kafka::{FetchState, Outgoing, Producer, RateLimit, Ticket};
use crate::metrics::{AlertLabel, LimitLabel, ReasonLabel, StateLabel};
use crate::record::Partition;
use crate::service::bounded::Standing;
use crate::service::outbox::{Bounds, Outbox};
use crate::service::owned::{Owned, standing};
use crate::service::shard::Shard;
use crate::service::{Error, Shared, dead_letter, wall_clock};
use crate::time::Timestamp;

const UNREADABLE_LOG_EVERY: Duration = Duration::from_secs(10);

/// The stage without its consumer, so that a borrowed message can be handed to it.
pub(in crate::service) struct Work<'s> {
    shared: &'s Shared,
    outbox: Outbox<()>,
    owned: Vec<Correlating>,
    sealed_at: Instant,
    unreadable_log: RateLimit,
    incomplete: bool,
}

struct Correlating {
    owned: Owned,
    shard: Shard,
    /// What reports before this offset lead to was sent by whoever committed it.
    send_from: i64,
    sealed: Option<i64>,
}

impl<'s> Work<'s> {
    pub fn new(shared: &'s Shared, producer: Producer) -> Self {
        let limits = &shared.config.limits;
        let bounds = Bounds {
            batches: limits.reports_in_flight,
            messages: limits.messages_in_flight,
            bytes: limits.bytes_in_flight,
        };
        Work {
            shared,
            outbox: Outbox::new(producer, bounds),
            owned: Vec::new(),
            sealed_at: Instant::now(),
            unreadable_log: RateLimit::new(UNREADABLE_LOG_EVERY),
            incomplete: false,
        }
    }

    pub fn take(&mut self, partition: &Partition, send_from: i64) {
        let owned = Owned::new(partition.clone(), Instant::now());
        self.owned.push(Correlating { owned, shard: Shard::default(), send_from, sealed: None });
    }

    pub fn give_up(&mut self, partition: &Partition) {
        self.outbox.forget(partition);
        self.owned.retain(|correlating| correlating.owned.partition != *partition);
    }

    pub fn partitions(&self) -> impl Iterator<Item = &Partition> {
        self.owned.iter().map(|correlating| &correlating.owned.partition)
    }

    fn find(&mut self, topic: &str, partition: i32) -> Option<&mut Correlating> {
        self.owned.iter_mut().find(|correlating| {
            correlating.owned.partition.partition == partition && *correlating.owned.partition.topic == *topic
        })
    }

    pub fn progress(&mut self, partition: &Partition, state: FetchState) {
        let Some(correlating) = self.find(&partition.topic, partition.partition) else { return };
        correlating.owned.progress(state);
        if let Some(end) = correlating.owned.drained_to().filter(|end| *end < correlating.send_from) {
            let committed = correlating.send_from;
            warn!("{partition} ends at {end}, before the committed offset {committed}: it was created anew");
            correlating.send_from = end;
        }
    }

    /// Whether some partition has not been read up to its committed offset yet.
    pub fn is_rebuilding(&self) -> bool {
        self.owned.iter().any(|correlating| {
            let read = correlating.owned.position.max(correlating.owned.drained_to());
            read.unwrap_or(0) < correlating.send_from
        })
    }

    /// Applies one report and sends the alerts that it leads to.
    pub fn read(&mut self, message: &BorrowedMessage<'_>) -> Result<(), Error> {
        let shared = self.shared;
        let Some(correlating) = self.find(message.topic(), message.partition()) else { return Ok(()) };
        correlating.owned.read(message.offset(), Instant::now());
        let is_new = message.offset() >= correlating.send_from;
        let value = message.payload().unwrap_or_default();
        let result = correlating.shard.apply(value, &shared.rules.rules(), shared.config.correlator);
        if !is_new {
            return Ok(());
        }
        shared.metrics.reports_read.inc();
        match result {
            Ok(outcome) => {
                count(shared, &outcome.counts);
                outcome.alerts.iter().try_for_each(|alert| self.send_alert(alert))
            }
            Err(unreadable) => {
                let (reason, detail) = (unreadable.reason, &unreadable.detail);
                shared.metrics.dead_lettered.get_or_create(&ReasonLabel { reason: reason.to_owned() }).inc();
                if let Some(left_out) = self.unreadable_log.allow(Instant::now()) {
                    let (topic, partition, offset) = (message.topic(), message.partition(), message.offset());
                    warn!(
                        left_out,
                        "report {topic}[{partition}]@{offset} goes to the dead-letter topic: {reason}: {detail}"
                    );
                }
                let (topic, most) = (&shared.config.dead_letter.name, shared.config.limits.dead_letter_bytes);
                self.send(dead_letter::of(topic, message, reason, detail, most))
            }
        }
    }

    fn send_alert(&mut self, alert: &Alert) -> Result<(), Error> {
        let value = serde_json::to_vec(alert).map_err(|e| Error::new(format!("writing alert {}: {e}", alert.id)))?;
        let status = match alert.status {
            Status::Firing => "firing",
            Status::Resolved => "resolved",
        };
        let label = AlertLabel { status, scope: alert.scope.as_str() };
        self.shared.metrics.alerts.get_or_create(&label).inc();
        for output in &self.shared.config.outputs {
            let headers = OwnedHeaders::new_with_capacity(2)
                .insert(Header { key: "faultline-alert-id", value: Some(&alert.id) })
                .insert(Header { key: "content-type", value: Some("application/json") });
            self.send(Outgoing {
                topic: &output.topic.name,
                key: Some(alert.dedup_key.as_bytes()),
                value: Some(&value),
                headers: Some(headers),
                about: newest_signal(alert),
                ..Outgoing::default()
            })?;
        }
        Ok(())
    }

    fn send(&mut self, message: Outgoing<'_>) -> Result<(), Error> {
        let shared = self.shared;
        let taken = self.outbox.send(message, || shared.keep_trying(&shared.correlate))?;
        self.incomplete |= !taken;
        Ok(())
    }

    pub fn seal_if_due(&mut self) {
        if self.sealed_at.elapsed() >= self.shared.config.limits.commit_interval && self.outbox.has_room() {
            self.seal();
        }
    }

    /// What was read so far may be committed once the alerts that it led to are acknowledged.
    pub fn seal(&mut self) {
        self.sealed_at = Instant::now();
        if self.incomplete {
            return;
        }
        let mut covers = Vec::new();
        for correlating in &mut self.owned {
            // While state is rebuilt, the committed offset is ahead of us: it must not go back.
            let position = correlating.owned.position.filter(|position| *position > correlating.send_from);
            if position > correlating.sealed {
                correlating.sealed = position;
                covers.extend(position.map(|position| (correlating.owned.partition.clone(), position)));
            }
        }
        if !covers.is_empty() {
            self.outbox.seal(covers, ());
        }
    }

    pub fn collect(&mut self) -> Result<Vec<(Partition, i64)>, Error> {
        let shared = self.shared;
        self.outbox.collect(|ticket| measure(shared, ticket))?;
        shared.metrics.dead_letters_lost.inc_by(self.outbox.take_refused());
        Ok(self.outbox.take_done(|()| ()))
    }

    /// Waits for acknowledgements up to `timeout`, and no longer than the wish to stop while no broker answers.
    /// Returns all offsets that may be committed, earlier ones too.
    pub fn wait(&mut self, timeout: Duration) -> Result<Vec<(Partition, i64)>, Error> {
        let shared = self.shared;
        let go_on = || {
            shared.correlate.beat();
            shared.link.is_up() || !shared.shutdown.is_triggered()
        };
        self.outbox.wait(Instant::now() + timeout, |ticket| measure(shared, ticket), go_on)?;
        self.collect()?;
        Ok(self.outbox.all_done())
    }

    pub fn wait_for_room(&mut self, timeout: Duration) -> Result<(), Error> {
        let shared = self.shared;
        Ok(self.outbox.wait_for_room(Instant::now() + timeout, |ticket| measure(shared, ticket))?)
    }

    pub fn has_room(&self) -> bool {
        self.outbox.has_room()
    }

    /// Whether enough was acknowledged that reading may go on after a pause.
    pub fn is_relaxed(&self) -> bool {
        self.outbox.is_relaxed()
    }

    pub fn messages_waiting(&self) -> usize {
        self.outbox.messages()
    }

    pub fn standing(&self, partition: &Partition, target: i64) -> Standing {
        let owned = self.owned.iter().map(|correlating| &correlating.owned);
        standing(owned, partition, target)
    }

    pub fn show_sizes(&self) {
        let shards = || self.owned.iter().flat_map(|correlating| correlating.shard.sizes());
        let sum = |field: fn(&Sizes) -> usize| shards().map(|sizes| field(&sizes)).sum::<usize>();
        let clusters = self.owned.iter().map(|correlating| correlating.shard.clusters()).sum();
        for (kind, count) in [
            ("clusters", clusters),
            ("partitions", sum(|s| s.partitions)),
            ("nodes", sum(|s| s.nodes)),
            ("pods", sum(|s| s.pods)),
            ("failing_pods", sum(|s| s.failing_pods)),
            ("incidents", sum(|s| s.incidents)),
        ] {
            self.shared.metrics.state.get_or_create(&StateLabel { kind }).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }
}

/// The newest failure that a firing alert tells of; resolved ones are about silence.
fn newest_signal(alert: &Alert) -> Option<Timestamp> {
    let signals = alert.signals.iter().map(|signal| signal.last_seen);
    signals.max().filter(|_| alert.status == Status::Firing)
}

fn measure(shared: &Shared, ticket: &Ticket) {
    if let Some(record) = ticket.about {
        shared.metrics.alert_latency.observe(wall_clock().since(record));
    }
}

fn count(shared: &Shared, counts: &Counts) {
    let metrics = &shared.metrics;
    for (metric, value) in [
        (&metrics.late, counts.late),
        (&metrics.too_old, counts.too_old),
        (&metrics.duplicates, counts.duplicates),
        (&metrics.unknown_rule, counts.unknown_rule),
        (&metrics.evaluations, counts.evaluations),
    ] {
        metric.inc_by(value);
    }
    for (limit, value) in [
        ("nodes", counts.evicted_nodes),
        ("pods", counts.evicted_pods),
        ("failing_pods", counts.evicted_failing_pods),
        ("incidents", counts.untold_incidents),
    ] {
        if value > 0 {
            metrics.limits.get_or_create(&LimitLabel { limit }).inc_by(value);
        }
    }
}
