//! The correlate stage's shell: reports in, alerts out, the reports' offsets committed when the alerts are acknowledged.
//!
//! State is rebuilt from the reports that the topic retains: a partition is read from its beginning, and up to the
//! committed offset what the correlator says is not sent again. The correlator is deterministic, so it says the same.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::Message as _;
use rdkafka::message::{BorrowedMessage, Header, OwnedHeaders};
use tracing::{info, warn};

use super::bounded::{Bounded, Standing};
use super::outbox::{Bounds, Outbox};
use super::owned::{Owned, standing};
use super::shard::Shard;
use super::startup::Targets;
use super::{Ended, Ends, Error, Shared, dead_letter, wall_clock};
use crate::alert::{Alert, Status};
use crate::correlator::{Counts, Sizes};
use crate::kafka::{Consumer, Event, FetchState, Outgoing, Producer, RateLimit, Start, Ticket};
use crate::metrics::{AlertLabel, ReasonLabel, StageLabel, StateLabel};
use crate::record::Partition;
use crate::time::Timestamp;

const POLL: Duration = Duration::from_millis(50);
/// How long fetching may be held up before it is stopped.
const ROOM_WAIT: Duration = Duration::from_millis(250);
const COMMITTED_TIMEOUT: Duration = Duration::from_secs(1);
const UNREADABLE_LOG_EVERY: Duration = Duration::from_secs(10);
const LONG: Duration = Duration::from_secs(365 * 24 * 3600);
const LABEL: StageLabel = StageLabel { stage: "correlate" };

pub(super) struct CorrelateStage<'s> {
    shared: &'s Shared,
    consumer: Consumer,
    work: Work<'s>,
    paused: bool,
    ends: Ends,
    /// For bounded runs, as soon as it is known where they end.
    bounded: Option<Bounded>,
    joined: bool,
}

/// The stage without its consumer, so that a borrowed message can be handed to it.
struct Work<'s> {
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

impl<'s> CorrelateStage<'s> {
    pub fn new(shared: &'s Shared, ends: Ends) -> Result<Self, Error> {
        let config = &shared.config;
        let producer = Producer::new(&config.connection, shared.link.clone())?;
        let topics = [config.reports.name.as_str()];
        let consumer = Consumer::join(&config.connection, &config.correlate_group(), &topics, shared.link.clone())?;
        Ok(CorrelateStage {
            shared,
            consumer,
            work: Work::new(shared, producer),
            paused: false,
            ends,
            bounded: None,
            joined: false,
        })
    }

    /// Runs until the wish to stop, the end of a bounded run, or an error that waiting does not mend.
    pub fn run(mut self) -> Result<Ended, Error> {
        let ended = loop {
            self.shared.correlate.beat();
            // In a bounded run the scan stage ends first, by telling how far it wrote.
            if self.shared.shutdown.is_triggered() {
                break Ended::Stopped;
            }
            if self.is_at_the_end() {
                break Ended::AtTheEnd;
            }
            self.turn()?;
        };
        self.finish(ended)
    }

    fn is_at_the_end(&mut self) -> bool {
        if !self.shared.until_end {
            return false;
        }
        if self.bounded.is_none() {
            self.bounded = self.targets().map(Bounded::new);
        }
        let Some(bounded) = self.bounded.as_mut().filter(|_| self.joined) else { return false };
        bounded.is_reached(&self.consumer, |partition, target| self.work.standing(partition, target))
    }

    /// What was there at the start, and what the scan stage added to it, once it has told.
    fn targets(&self) -> Option<Targets> {
        let mut targets = self.ends.known.clone();
        if let Some(told) = &self.ends.told {
            for (partition, end) in told.try_recv().ok()? {
                let target = targets.entry(partition).or_default();
                *target = end.max(*target);
            }
        }
        Some(targets)
    }

    fn turn(&mut self) -> Result<(), Error> {
        match self.consumer.poll(POLL)? {
            Some(Event::Message(message)) => self.work.read(&message)?,
            Some(Event::Assigned(partitions)) => self.on_assigned(&partitions)?,
            Some(Event::Revoked(partitions)) => self.on_revoked(&partitions)?,
            Some(Event::Progress(states)) => self.on_progress(states),
            None => {}
        }
        self.work.seal_if_due();
        if !self.paused && !self.work.outbox.has_room() {
            self.work.wait_for_room(ROOM_WAIT)?;
        }
        let done = self.work.collect()?;
        self.consumer.commit(&done)?;
        self.pause_or_resume()
    }

    fn on_progress(&mut self, states: Vec<(Partition, FetchState)>) {
        self.shared.link.remind();
        // While paused nothing is fetched, so what is told of the end may be older than our position.
        if !self.paused {
            states.into_iter().for_each(|(partition, state)| self.work.progress(&partition, state));
        }
        self.work.show_sizes();
        self.shared.correlate.waits_for(self.work.is_rebuilding().then(|| "it rebuilds its state".to_owned()));
    }

    fn on_assigned(&mut self, partitions: &[Partition]) -> Result<(), Error> {
        self.joined = true;
        let Some(committed) = self.committed(partitions) else {
            // The stop came first; the assignment must be answered all the same.
            return Ok(self.consumer.assign(partitions, Start::Committed)?);
        };
        for partition in partitions {
            self.work.take(partition, committed.get(partition).copied().unwrap_or(0));
        }
        self.consumer.assign(partitions, Start::Beginning)?;
        if self.paused {
            self.consumer.pause(partitions.iter())?;
        }
        self.told_of_partitions();
        Ok(())
    }

    /// Asks until the coordinator answers. `None`: the wish to stop came first.
    fn committed(&self, partitions: &[Partition]) -> Option<BTreeMap<Partition, i64>> {
        if partitions.is_empty() {
            return Some(BTreeMap::new());
        }
        while self.shared.keep_trying(&self.shared.correlate) {
            match self.consumer.committed(partitions, COMMITTED_TIMEOUT) {
                Ok(committed) => return Some(committed.into_iter().collect()),
                Err(error) => tracing::debug!("{error}; asking again"),
            }
        }
        None
    }

    fn on_revoked(&mut self, partitions: &[Partition]) -> Result<(), Error> {
        if !self.consumer.lost() {
            self.work.seal();
            let done = self.work.wait(self.shared.config.limits.revoke_timeout)?;
            self.commit_and_wait(&done);
        }
        for partition in partitions {
            self.work.give_up(partition);
        }
        self.consumer.release(partitions)?;
        self.told_of_partitions();
        Ok(())
    }

    fn pause_or_resume(&mut self) -> Result<(), Error> {
        if !self.paused && !self.work.outbox.has_room() {
            self.consumer.pause(self.work.partitions())?;
            self.set_paused(true);
        } else if self.paused && self.work.outbox.is_relaxed() {
            self.set_paused(false);
            self.consumer.resume(self.work.partitions())?;
        }
        Ok(())
    }

    fn set_paused(&mut self, paused: bool) {
        self.paused = paused;
        self.shared.metrics.paused.get_or_create(&LABEL).set(i64::from(paused));
        if paused {
            self.shared.limit_hit("alerts_in_flight");
            warn!("correlating is paused: alerts wait for the broker's acknowledgement");
        } else {
            info!("correlating goes on");
        }
    }

    fn told_of_partitions(&mut self) {
        let count = self.work.owned.len();
        self.shared.metrics.partitions.get_or_create(&LABEL).set(i64::try_from(count).unwrap_or(i64::MAX));
        self.on_progress(Vec::new());
        info!("the correlate stage owns {count} partitions of the reports");
    }

    fn finish(mut self, ended: Ended) -> Result<Ended, Error> {
        let deadline = Instant::now() + self.shared.stop_timeout();
        self.work.seal();
        let done = match ended {
            Ended::Stopped => self.work.wait(deadline.saturating_duration_since(Instant::now()))?,
            Ended::AtTheEnd => self.work.wait(LONG)?,
        };
        self.commit_and_wait(&done);
        let waiting = self.work.outbox.messages();
        if waiting > 0 {
            warn!("{waiting} alerts were not acknowledged in time; they will be sent again, with the same ids");
        }
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_secs(1));
        if !self.consumer.close(left) {
            warn!("the correlate stage could not leave its consumer group in time");
        }
        Ok(ended)
    }

    fn commit_and_wait(&self, offsets: &[(Partition, i64)]) {
        if !self.shared.link.is_up() {
            return;
        }
        if let Err(error) = self.consumer.commit_and_wait(offsets) {
            warn!("{error}; the alerts after the last commit will be sent again, with the same ids");
        }
    }
}

impl<'s> Work<'s> {
    fn new(shared: &'s Shared, producer: Producer) -> Self {
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

    fn take(&mut self, partition: &Partition, send_from: i64) {
        let owned = Owned::new(partition.clone(), Instant::now());
        self.owned.push(Correlating { owned, shard: Shard::default(), send_from, sealed: None });
    }

    fn give_up(&mut self, partition: &Partition) {
        self.outbox.forget(partition);
        self.owned.retain(|correlating| correlating.owned.partition != *partition);
    }

    fn partitions(&self) -> impl Iterator<Item = &Partition> {
        self.owned.iter().map(|correlating| &correlating.owned.partition)
    }

    fn find(&mut self, topic: &str, partition: i32) -> Option<&mut Correlating> {
        self.owned.iter_mut().find(|correlating| {
            correlating.owned.partition.partition == partition && *correlating.owned.partition.topic == *topic
        })
    }

    fn progress(&mut self, partition: &Partition, state: FetchState) {
        let Some(correlating) = self.find(&partition.topic, partition.partition) else { return };
        correlating.owned.progress(state);
        if let Some(end) = correlating.owned.drained_to().filter(|end| *end < correlating.send_from) {
            let committed = correlating.send_from;
            warn!("{partition} ends at {end}, before the committed offset {committed}: it was created anew");
            correlating.send_from = end;
        }
    }

    /// Whether some partition has not been read up to its committed offset yet.
    fn is_rebuilding(&self) -> bool {
        self.owned.iter().any(|correlating| {
            let read = correlating.owned.position.max(correlating.owned.drained_to());
            read.unwrap_or(0) < correlating.send_from
        })
    }

    /// Applies one report and sends the alerts that it leads to.
    fn read(&mut self, message: &BorrowedMessage<'_>) -> Result<(), Error> {
        let shared = self.shared;
        let Some(correlating) = self.find(message.topic(), message.partition()) else { return Ok(()) };
        correlating.owned.read(message.offset(), Instant::now());
        let is_new = message.offset() >= correlating.send_from;
        let value = message.payload().unwrap_or_default();
        let result = correlating.shard.apply(value, &shared.rules, shared.config.correlator);
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
                self.send(dead_letter::of(&shared.config.dead_letter.name, message, reason, detail))
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

    fn seal_if_due(&mut self) {
        if self.sealed_at.elapsed() >= self.shared.config.limits.commit_interval && self.outbox.has_room() {
            self.seal();
        }
    }

    /// What was read so far may be committed once the alerts that it led to are acknowledged.
    fn seal(&mut self) {
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

    fn collect(&mut self) -> Result<Vec<(Partition, i64)>, Error> {
        let shared = self.shared;
        self.outbox.collect(|ticket| measure(shared, ticket))?;
        Ok(self.outbox.take_done(|()| ()))
    }

    /// Waits for acknowledgements up to `timeout`, and no longer than the wish to stop while no broker answers.
    /// Returns all offsets that may be committed, earlier ones too.
    fn wait(&mut self, timeout: Duration) -> Result<Vec<(Partition, i64)>, Error> {
        let shared = self.shared;
        let go_on = || {
            shared.correlate.beat();
            shared.link.is_up() || !shared.shutdown.is_triggered()
        };
        self.outbox.wait(Instant::now() + timeout, |ticket| measure(shared, ticket), go_on)?;
        self.collect()?;
        Ok(self.outbox.all_done())
    }

    fn wait_for_room(&mut self, timeout: Duration) -> Result<(), Error> {
        let shared = self.shared;
        Ok(self.outbox.wait_for_room(Instant::now() + timeout, |ticket| measure(shared, ticket))?)
    }

    fn standing(&self, partition: &Partition, target: i64) -> Standing {
        let owned = self.owned.iter().map(|correlating| &correlating.owned);
        standing(owned, partition, target)
    }

    fn show_sizes(&self) {
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
        ("incidents", counts.evicted_incidents),
    ] {
        if value > 0 {
            metrics.limits.get_or_create(&crate::metrics::LimitLabel { limit }).inc_by(value);
        }
    }
}
