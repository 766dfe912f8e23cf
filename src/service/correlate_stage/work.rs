//! The correlate stage's work between two events of its consumer group.

use std::time::{Duration, Instant};

use rdkafka::Message as _;
use rdkafka::message::{BorrowedMessage, Header, OwnedHeaders, OwnedMessage};
use tracing::{error, warn};

use super::measures::{count, count_alert, count_notices, measure};
use super::restore::{ID_HEADER, Restored};
use super::transactions::Transacting;
use crate::correlator::Sizes;
use crate::kafka::{FetchState, Outgoing, Producer, RateLimit};
use crate::metrics::{OutcomeLabel, ReasonLabel, StateLabel};
use crate::notifier::Notice;
use crate::record::Partition;
use crate::service::bounded::Standing;
use crate::service::outbox::{Bounds, Outbox};
use crate::service::owned::{Owned, standing};
use crate::service::{Error, Shared, dead_letter};
use crate::shard::ledger::Ledger;
use crate::shard::snapshot::{Slot, key_prefix, pack};

const UNREADABLE_LOG_EVERY: Duration = Duration::from_secs(10);

/// The stage without its consumer, so that a borrowed message can be handed to it.
pub(in crate::service) struct Work<'s> {
    pub(super) shared: &'s Shared,
    /// What goes out without transactions.
    outbox: Outbox<()>,
    pub(super) owned: Vec<Correlating>,
    /// Whether the state's topic takes snapshots.
    saves: bool,
    sealed_at: Instant,
    unreadable_log: RateLimit,
    pub(super) incomplete: bool,
}

pub(super) struct Correlating {
    pub owned: Owned,
    pub ledger: Ledger,
    /// Where reading was to begin, if not at the first report.
    begins_at: Option<i64>,
    /// What the newest batch covers, without transactions.
    sealed: Option<i64>,
    /// What this instance has committed in transactions.
    pub committed: Option<i64>,
    /// How far it had read when it had to begin again: all of that is to be done again.
    pub had_read: Option<i64>,
    snapshots: Snapshots,
    pub transacting: Option<Transacting>,
}

/// When the next snapshot is due, and where it goes.
struct Snapshots {
    slot: Slot,
    partition: i32,
    taken: Instant,
    reports: u64,
}

impl Correlating {
    fn new(partition: &Partition, restored: Restored) -> Self {
        let mut owned = Owned::new(partition.clone(), Instant::now());
        let begins_at = restored.ledger.next();
        owned.position = begins_at;
        Correlating {
            owned,
            begins_at,
            ledger: restored.ledger,
            sealed: None,
            committed: None,
            had_read: None,
            snapshots: Snapshots {
                slot: restored.slot,
                partition: restored.state_partition,
                taken: Instant::now(),
                reports: 0,
            },
            transacting: restored.transaction.map(Transacting::new),
        }
    }

    fn begins_anew(&mut self) {
        warn!(
            "{}: the topic was created anew; its reports are new, whatever was committed before",
            self.owned.partition
        );
        (self.sealed, self.committed, self.had_read) = (None, None, None);
    }
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
            outbox: Outbox::setting_aside(producer, bounds),
            owned: Vec::new(),
            saves: true,
            sealed_at: Instant::now(),
            unreadable_log: RateLimit::new(UNREADABLE_LOG_EVERY),
            incomplete: false,
        }
    }

    pub fn take(&mut self, partition: &Partition, restored: Restored) -> &mut Correlating {
        self.owned.push(Correlating::new(partition, restored));
        let last = self.owned.len() - 1;
        &mut self.owned[last]
    }

    pub fn give_up(&mut self, partition: &Partition) {
        self.outbox.forget(partition);
        self.owned.retain(|correlating| correlating.owned.partition != *partition);
    }

    pub fn partitions(&self) -> impl Iterator<Item = &Partition> {
        self.owned.iter().map(|correlating| &correlating.owned.partition)
    }

    fn index_of(&self, topic: &str, partition: i32) -> Option<usize> {
        let is_it = |c: &Correlating| c.owned.partition.partition == partition && *c.owned.partition.topic == *topic;
        self.owned.iter().position(is_it)
    }

    pub fn progress(&mut self, partition: &Partition, state: FetchState) {
        let Some(index) = self.index_of(&partition.topic, partition.partition) else { return };
        let correlating = &mut self.owned[index];
        // The end is before where reading was to begin: a topic that was created anew. Once something was read it may
        // just be an older end.
        let is_untouched = correlating.owned.position == correlating.begins_at;
        if is_untouched && state.queued == 0 && state.end.is_some_and(|end| Some(end) < correlating.begins_at) {
            (correlating.owned.position, correlating.begins_at) = (None, None);
        }
        correlating.owned.progress(state);
        if let Some(end) = correlating.owned.drained_to()
            && correlating.ledger.sees_end(end)
        {
            correlating.begins_anew();
        }
    }

    /// Whether some partition has not been read up to its committed offset yet.
    pub fn is_rebuilding(&self) -> bool {
        self.owned.iter().any(|correlating| correlating.ledger.is_rebuilding())
    }

    /// Applies one report and sends the alerts that it leads to.
    pub fn read(&mut self, message: &BorrowedMessage<'_>) -> Result<(), Error> {
        let shared = self.shared;
        let Some(index) = self.index_of(message.topic(), message.partition()) else { return Ok(()) };
        let correlating = &mut self.owned[index];
        correlating.owned.read(message.offset(), Instant::now());
        correlating.snapshots.reports += 1;
        let value = message.payload().unwrap_or_default();
        let (rules, options, policy) = (shared.rules.rules(), shared.config.correlator, shared.policy.get());
        let read = correlating.ledger.read(message.offset(), value, &rules, options, &policy);
        if read.began_anew {
            correlating.begins_anew();
        }
        if !read.is_new {
            return Ok(());
        }
        shared.metrics.reports_read.inc();
        match read.outcome {
            Ok(outcome) => {
                count(shared, &outcome.counts);
                outcome.alerts.iter().for_each(|alert| count_alert(shared, alert));
                count_notices(shared, &read.notices);
                read.notices.notices.iter().try_for_each(|notice| self.send_notice(index, notice))
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
                let letter = dead_letter::of(topic, message, reason, detail, most);
                shared.limit_hits("dead_letter_bytes", u64::from(dead_letter::is_cut(&letter, message)));
                self.send(index, letter)
            }
        }
    }

    fn send_notice(&mut self, index: usize, notice: &Notice) -> Result<(), Error> {
        let message = &notice.message;
        let Some(output) = self.shared.config.outputs.get(notice.output) else { return Ok(()) };
        if self.owned[index].ledger.was_sent(notice.output, &message.id) {
            return Ok(());
        }
        let mut headers = OwnedHeaders::new_with_capacity(2 + message.headers.len())
            .insert(Header { key: ID_HEADER, value: Some(&message.id) })
            .insert(Header { key: "content-type", value: Some(message.content_type) });
        for (key, value) in &message.headers {
            headers = headers.insert(Header { key, value: Some(value) });
        }
        let outgoing = Outgoing {
            topic: &output.name,
            key: Some(message.key.as_bytes()),
            value: Some(&message.value),
            headers: Some(headers),
            about: notice.newest_signal,
            ..Outgoing::default()
        };
        self.send(index, outgoing)
    }

    fn send(&mut self, index: usize, message: Outgoing<'_>) -> Result<(), Error> {
        let shared = self.shared;
        let go_on = || shared.keep_trying(&shared.correlate);
        match &mut self.owned[index].transacting {
            // A dead letter is worth no transaction: it may come twice, or not at all.
            Some(transacting) if !message.best_effort => transacting.send(shared, message, go_on),
            _ => self.incomplete |= !self.outbox.send(message, go_on)?,
        }
        Ok(())
    }

    /// What the broker will never take goes to the dead-letter topic, so that it holds nothing up. Returns whether there
    /// was any.
    pub(super) fn set_refused_aside(&mut self) -> Result<bool, Error> {
        let shared = self.shared;
        let of_transactions = self.owned.iter_mut().filter_map(|correlating| correlating.transacting.as_mut());
        let mut refused: Vec<OwnedMessage> = of_transactions.flat_map(Transacting::take_refused).collect();
        refused.extend(self.outbox.take_refused());
        let are_any = !refused.is_empty();
        for message in refused {
            if message.topic() == shared.config.state.name {
                self.stop_saving();
                continue;
            }
            let reason = "refused-alert";
            shared.metrics.dead_lettered.get_or_create(&ReasonLabel { reason: reason.to_owned() }).inc();
            let detail = format!("the broker does not take it for topic `{}`", message.topic());
            error!(
                "an alert goes to the dead-letter topic: {detail}; see max.message.bytes and limits.failing_in_alert"
            );
            let (topic, most) = (&shared.config.dead_letter.name, shared.config.limits.dead_letter_bytes);
            let letter = dead_letter::of_own(topic, &message, reason, &detail, most);
            self.incomplete |= !self.outbox.send(letter, || shared.keep_trying(&shared.correlate))?;
        }
        Ok(are_any)
    }

    fn stop_saving(&mut self) {
        if std::mem::replace(&mut self.saves, false) {
            let topic = &self.shared.config.state.name;
            error!("topic `{topic}` does not take snapshots; none are written: lower limits.snapshot_chunk_bytes");
            self.shared.metrics.snapshots.get_or_create(&OutcomeLabel { outcome: "refused" }).inc();
        }
    }

    /// Saves the state of partitions of which it was not saved for long.
    pub fn save_if_due(&mut self) -> Result<(), Error> {
        let limits = &self.shared.config.limits;
        for index in 0..self.owned.len() {
            let snapshots = &self.owned[index].snapshots;
            let is_due = snapshots.taken.elapsed() >= limits.snapshot_interval && snapshots.reports > 0
                || snapshots.reports >= limits.snapshot_reports;
            if is_due && self.saves && self.has_room() {
                self.save(index)?;
            }
        }
        Ok(())
    }

    fn save(&mut self, index: usize) -> Result<(), Error> {
        let shared = self.shared;
        let correlating = &mut self.owned[index];
        let failed = |what: &dyn std::fmt::Display| Error::new(format!("saving the state: {what}"));
        let Some(snapshot) = correlating.ledger.snapshot().map_err(|e| failed(&e))? else { return Ok(()) };
        let snapshots = &mut correlating.snapshots;
        let prefix = key_prefix(&shared.config.correlate_group(), correlating.owned.partition.partition);
        let chunk_bytes = shared.config.limits.snapshot_chunk_bytes;
        let chunks = pack(&snapshot, &prefix, snapshots.slot, chunk_bytes).map_err(|e| failed(&e))?;
        let partition = Some(snapshots.partition);
        (snapshots.slot, snapshots.taken, snapshots.reports) = (snapshots.slot.other(), Instant::now(), 0);
        shared.metrics.snapshot_bytes.set(i64::try_from(snapshot.state.len()).unwrap_or(i64::MAX));
        shared.metrics.snapshots.get_or_create(&OutcomeLabel { outcome: "written" }).inc();
        for chunk in chunks {
            let (topic, key, value) =
                (&*shared.config.state.name, Some(chunk.key.as_bytes()), Some(chunk.value.as_slice()));
            self.send(index, Outgoing { topic, partition, key, value, ..Outgoing::default() })?;
        }
        Ok(())
    }

    pub fn seal_if_due(&mut self) {
        if self.sealed_at.elapsed() >= self.shared.config.limits.commit_interval && self.outbox.has_room() {
            self.seal();
        }
    }

    /// Without transactions: what was read so far may be committed once the alerts that it led to are acknowledged.
    pub fn seal(&mut self) {
        self.sealed_at = Instant::now();
        if self.incomplete {
            return;
        }
        let mut covers = Vec::new();
        for correlating in self.owned.iter_mut().filter(|_| !self.shared.config.exactly_once) {
            let position = correlating.ledger.to_commit();
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
        // Before its offset is committed.
        self.set_refused_aside()?;
        shared.metrics.dead_letters_lost.inc_by(self.outbox.take_lost());
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
        let deadline = Instant::now() + timeout;
        loop {
            self.outbox.wait(deadline, |ticket| measure(shared, ticket), go_on)?;
            // What was refused became a dead letter, to be waited for too.
            if !self.set_refused_aside()? {
                break;
            }
        }
        self.collect()?;
        Ok(self.outbox.all_done())
    }

    pub fn wait_for_room(&mut self, timeout: Duration) -> Result<(), Error> {
        let shared = self.shared;
        Ok(self.outbox.wait_for_room(Instant::now() + timeout, |ticket| measure(shared, ticket))?)
    }

    /// The limit for which there is no room; a transaction is full of messages.
    pub fn full(&self) -> &'static str {
        self.outbox.full().unwrap_or("messages_in_flight")
    }

    pub fn has_room(&self) -> bool {
        self.outbox.has_room() && self.are_transactions_calm()
    }

    /// Whether enough was acknowledged that reading may go on after a pause.
    pub fn is_relaxed(&self) -> bool {
        self.outbox.is_relaxed() && self.are_transactions_calm()
    }

    pub fn messages_waiting(&self) -> usize {
        let open = self.owned.iter().filter_map(|correlating| correlating.transacting.as_ref());
        self.outbox.messages() + open.map(Transacting::messages).sum::<usize>()
    }

    pub fn standing(&self, partition: &Partition, target: i64) -> Standing {
        let owned = self.owned.iter().map(|correlating| &correlating.owned);
        standing(owned, partition, target)
    }

    pub fn show_sizes(&self) {
        let shards = || self.owned.iter().flat_map(|correlating| correlating.ledger.shard().sizes());
        let sum = |field: fn(&Sizes) -> usize| shards().map(|sizes| field(&sizes)).sum::<usize>();
        let clusters = self.owned.iter().map(|correlating| correlating.ledger.shard().clusters()).sum();
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
