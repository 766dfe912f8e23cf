//! The scan stage's work between two events of its consumer group.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::Message;
use rdkafka::message::BorrowedHeaders;
use tracing::{error, warn};

use super::continuity::{Due, Found};
use super::defect;
use crate::decode::Rejected;
use crate::kafka::{Consumer, FetchState, Outgoing, Producer, RateLimit, raw_headers};
use crate::metrics::{Count, Metrics, PartitionLabel, ReasonLabel, RuleLabel, TopicLabel};
use crate::record::{Partition, Record};
use crate::report::Report;
use crate::scanner::matcher::Matcher;
use crate::scanner::{Scanner, Slot};
use crate::service::bounded::Standing;
use crate::service::outbox::{Bounds, Outbox};
use crate::service::owned::{Owned, standing};
use crate::service::vitals::Vitals;
use crate::service::{Error, Shared, dead_letter, wall_clock};
use crate::time::Timestamp;

const REJECTED_LOG_EVERY: Duration = Duration::from_secs(10);
const FUTURE_LOG_EVERY: Duration = Duration::from_secs(60);
/// As good as for ever, and still an instant that can be computed.
const LONG: Duration = Duration::from_secs(365 * 24 * 3600);

pub(in crate::service) struct Work<'s> {
    shared: &'s Shared,
    vitals: &'s Vitals,
    matcher: Arc<Matcher>,
    scanner: Scanner,
    /// Tagged with when the first record of the flush was read.
    outbox: Outbox<Option<Instant>>,
    owned: Vec<Reading>,
    /// Partitions of the reports topic, as far as they are known.
    report_partitions: i32,
    /// Index of the partition that the last record came from: the next one mostly does too.
    last: usize,
    flushed: Instant,
    first_record: Option<Instant>,
    rejected_log: RateLimit,
    future_log: RateLimit,
    /// Something could not be handed over before the stop: nothing more may be committed.
    incomplete: bool,
}

struct Reading {
    owned: Owned,
    slot: Slot,
    /// Where it goes on.
    due: Due,
    /// The position that the newest sealed batch covers.
    sealed: Option<i64>,
    counts: Counts,
    cluster_header: Option<Arc<str>>,
}

/// The counters of its topic, looked up once.
struct Counts {
    records: Count,
    bytes: Count,
    entries: Count,
    skimmed: Count,
    candidates: Count,
}

impl Counts {
    fn new(metrics: &Metrics, topic: &str) -> Self {
        let label = TopicLabel { topic: topic.to_owned() };
        Counts {
            records: metrics.records.get_or_create_owned(&label),
            bytes: metrics.bytes.get_or_create_owned(&label),
            entries: metrics.entries.get_or_create_owned(&label),
            skimmed: metrics.skimmed.get_or_create_owned(&label),
            candidates: metrics.prefilter_candidates.get_or_create_owned(&label),
        }
    }
}

impl<'s> Work<'s> {
    /// `number` is the thread's, from 0.
    pub fn new(shared: &'s Shared, number: usize, producer: Producer) -> Self {
        defect::keep_quiet();
        let limits = &shared.config.limits;
        let bounds = Bounds {
            batches: limits.reports_in_flight,
            messages: limits.messages_in_flight,
            bytes: limits.bytes_in_flight,
        };
        let instance = &shared.config.connection.client_id;
        let id = if shared.scan.len() > 1 { format!("{instance}-{number}").into() } else { Arc::clone(instance) };
        let scanner = Scanner::new(shared.config.scanner.clone(), id);
        Work {
            shared,
            vitals: &shared.scan[number],
            matcher: shared.rules.matcher(),
            scanner,
            outbox: Outbox::new(producer, bounds),
            owned: Vec::new(),
            report_partitions: 1,
            last: 0,
            flushed: Instant::now(),
            first_record: None,
            rejected_log: RateLimit::new(REJECTED_LOG_EVERY),
            future_log: RateLimit::new(FUTURE_LOG_EVERY),
            incomplete: false,
        }
    }

    /// `due` is where the group left off.
    pub fn take(&mut self, partition: &Partition, due: Due) {
        let Some(input) = self.shared.inputs.find(&partition.topic) else {
            return;
        };
        let slot = self.scanner.assign(partition.clone(), input.clone());
        let counts = Counts::new(&self.shared.metrics, &partition.topic);
        let owned = Owned::new(partition.clone(), Instant::now());
        let cluster_header = input.cluster_header.clone();
        self.owned.push(Reading { owned, slot, due, sealed: None, counts, cluster_header });
    }

    pub fn give_up(&mut self, partition: &Partition) {
        self.outbox.forget(partition);
        if let Some(index) = self.owned.iter().position(|reading| reading.owned.partition == *partition) {
            let reading = self.owned.remove(index);
            self.scanner.revoke(reading.slot);
        }
    }

    pub fn partitions(&self) -> impl Iterator<Item = &Partition> {
        self.owned.iter().map(|reading| &reading.owned.partition)
    }

    /// Scans one record; one that cannot be decoded goes to the dead-letter topic.
    /// `now` is when it was fetched.
    pub fn read(
        &mut self,
        message: &impl Message<Headers = BorrowedHeaders>,
        now: Instant,
        consumer: &Consumer,
    ) -> Result<(), Error> {
        let Some(index) = self.find(message.topic(), message.partition()) else {
            return Ok(());
        };
        let log = || consumer.log_range(message.topic(), message.partition());
        match self.owned[index].due.meet(message.offset(), log) {
            Found::GoesOn => {}
            found => self.note_break(index, found, message)?,
        }
        let reading = &mut self.owned[index];
        reading.owned.read(message.offset(), now);
        self.first_record.get_or_insert(now);
        let record = Record { offset: message.offset(), timestamp: timestamp(message), value: message.payload() };
        reading.counts.records.inc();
        reading.counts.bytes.inc_by(record.value.map_or(0, <[u8]>::len) as u64);
        let cluster = reading.cluster_header.as_deref().and_then(|name| header(message.headers(), name));
        let (matcher, slot) = (&self.matcher, reading.slot);
        let scan = |scanner: &mut Scanner| scanner.scan_from(matcher, slot, &record, cluster);
        match defect::guarded(&mut self.scanner, scan, |scanner| scanner.abandon(slot, Some(&record))) {
            Ok(scanned) => {
                reading.counts.entries.inc_by(u64::from(scanned.entries));
                reading.counts.skimmed.inc_by(u64::from(scanned.skimmed));
                if scanned.suspect {
                    reading.counts.candidates.inc();
                }
                if scanned.forgot {
                    self.shared.limit_hit("known_bytes");
                }
                if scanned.was_ahead {
                    self.note_future(message);
                }
                Ok(())
            }
            Err(rejected) => self.reject(message, &rejected),
        }
    }

    /// The log does not go on where reading stood.
    fn note_break(&mut self, index: usize, found: Found, message: &impl Message) -> Result<(), Error> {
        let (partition, slot) = (self.owned[index].owned.partition.clone(), self.owned[index].slot);
        let offset = message.offset();
        match found {
            Found::GoesOn => {}
            Found::Lost(records) => {
                warn!("{records} records of {partition} before offset {offset} were deleted before they could be read");
                let label = PartitionLabel { topic: partition.topic.to_string(), partition: partition.partition };
                self.shared.metrics.records_lost.get_or_create(&label).inc_by(records);
                self.scanner.lose(slot, records);
            }
            Found::Begins => self.scanner.restart(slot, timestamp(message)),
            Found::BeginsAgain => {
                warn!("{partition} begins again at offset {offset}: it was created anew; it is read from there");
                // One report cannot tell of both logs.
                self.flush()?;
                self.scanner.restart(slot, timestamp(message));
            }
        }
        Ok(())
    }

    fn note_future(&mut self, message: &impl Message) {
        self.shared.metrics.future_records.inc();
        if let Some(left_out) = self.future_log.allow(Instant::now()) {
            let (topic, partition, offset) = (message.topic(), message.partition(), message.offset());
            warn!(
                left_out,
                "record {topic}[{partition}]@{offset} is of the future; it counts as of when it was written"
            );
        }
    }

    /// To be called once for all records that are read at about the same time.
    pub fn set_clock(&mut self) {
        self.scanner.set_clock(wall_clock());
        let now = Instant::now();
        self.owned.iter_mut().for_each(|reading| reading.owned.turn(now));
    }

    fn find(&mut self, topic: &str, partition: i32) -> Option<usize> {
        let is_it = |reading: &Reading| {
            reading.owned.partition.partition == partition && *reading.owned.partition.topic == *topic
        };
        if !self.owned.get(self.last).is_some_and(is_it) {
            self.last = self.owned.iter().position(is_it)?;
        }
        Some(self.last)
    }

    fn reject(&mut self, message: &impl Message<Headers = BorrowedHeaders>, rejected: &Rejected) -> Result<(), Error> {
        let reason = rejected.reason.as_str();
        self.shared.metrics.dead_lettered.get_or_create(&ReasonLabel { reason: reason.to_owned() }).inc();
        if let Some(left_out) = self.rejected_log.allow(Instant::now()) {
            let (topic, partition, offset) = (message.topic(), message.partition(), message.offset());
            let detail = &rejected.detail;
            warn!(left_out, "record {topic}[{partition}]@{offset} goes to the dead-letter topic: {reason}: {detail}");
        }
        let config = &self.shared.config;
        let most = config.limits.dead_letter_bytes;
        let letter = dead_letter::of(&config.dead_letter.name, message, reason, &rejected.detail, most);
        self.shared.limit_hits("dead_letter_bytes", u64::from(dead_letter::is_cut(&letter, message)));
        self.send(letter)
    }

    fn send(&mut self, message: Outgoing<'_>) -> Result<(), Error> {
        let (shared, vitals) = (self.shared, self.vitals);
        let taken = self.outbox.send(message, || shared.keep_trying(vitals))?;
        self.incomplete |= !taken;
        Ok(())
    }

    /// For [`Scanner::idle`], the end of bounded runs and the metric. Returns the lag in records, if it is known.
    pub fn progress(&mut self, partition: &Partition, state: FetchState) -> Option<i64> {
        let reading = self.owned.iter_mut().find(|reading| reading.owned.partition == *partition)?;
        reading.owned.progress(state);
        reading.owned.lag_records()
    }

    /// How long the consumer may be waited for. Without room no flush can be due, however late it is.
    pub fn poll_time(&self, most: Duration) -> Duration {
        if self.outbox.has_room() { most.min(self.until_flush()) } else { most }
    }

    /// Gathers what is held back of lines that are not whole, before somebody else reads on.
    pub fn settle(&mut self, partitions: &[Partition]) {
        self.let_go(|partition| partitions.contains(partition), Scanner::settle);
    }

    pub fn settle_all(&mut self) {
        self.let_go(|_| true, Scanner::settle);
    }

    fn let_go(&mut self, is_meant: impl Fn(&Partition) -> bool, how: impl Fn(&mut Scanner, &Matcher, Slot)) {
        for reading in self.owned.iter().filter(|reading| is_meant(&reading.owned.partition)) {
            let (matcher, slot) = (&self.matcher, reading.slot);
            let let_go = |scanner: &mut Scanner| {
                how(scanner, matcher, slot);
                Ok(())
            };
            // The second time there is nothing left that could break it.
            let mend = |scanner: &mut Scanner| {
                scanner.abandon(slot, None);
                how(scanner, matcher, slot);
            };
            if let Err(Rejected { reason, detail }) = defect::guarded(&mut self.scanner, let_go, mend) {
                let label = ReasonLabel { reason: reason.as_str().to_owned() };
                self.shared.metrics.dead_lettered.get_or_create(&label).inc();
                error!("lines of {} that were not whole are lost: {reason}: {detail}", reading.owned.partition);
            }
        }
    }

    fn until_flush(&self) -> Duration {
        self.shared.config.limits.flush_interval.saturating_sub(self.flushed.elapsed())
    }

    /// Whether reading has to stop for a flush.
    pub fn is_full(&self) -> bool {
        self.scanner.is_full()
    }

    pub fn is_due(&self) -> bool {
        (self.scanner.is_full() || self.until_flush().is_zero()) && self.outbox.has_room()
    }

    /// Sends everything gathered as reports. What they cover may be committed once all of it is acknowledged.
    pub fn flush(&mut self) -> Result<(), Error> {
        self.flushed = Instant::now();
        self.tell_idle();
        self.follow_growth();
        // Whoever asks for what there is up to now asks for what was, whoever tells it.
        let now = if self.shared.until_end { Timestamp::default() } else { wall_clock() };
        for report in self.scanner.flush(now) {
            self.count(&report);
            self.send_report(&report)?;
        }
        self.count_limits();
        if !self.incomplete {
            let covers = self.newly_covered();
            self.outbox.seal(covers, self.first_record.take());
        }
        self.shared.rules.saw(self.scanner.take_seen());
        // One batch, one set of rules.
        self.matcher = self.shared.rules.matcher();
        Ok(())
    }

    /// Sends a report, in parts if the broker would not take it whole.
    fn send_report(&mut self, report: &Report) -> Result<(), Error> {
        let most = self.shared.config.limits.report_bytes;
        let value = json(report)?;
        if value.len() <= most {
            return self.send_to_cluster(report, &value);
        }
        let parts = report.split(most);
        self.shared.limit_hits("report_bytes", 1 + parts.samples_left_out + parts.left_out);
        parts.reports.iter().try_for_each(|part| self.send_to_cluster(part, &json(part)?))
    }

    /// A cluster's report goes where its key leads, a heartbeat to all partitions: the order within each is that of the
    /// flush.
    fn send_to_cluster(&mut self, report: &Report, value: &[u8]) -> Result<(), Error> {
        let topic = &self.shared.config.reports.name;
        let message = Outgoing { topic, value: Some(value), ..Outgoing::default() };
        match &report.cluster {
            Some(cluster) => self.send(Outgoing { key: Some(cluster.as_bytes()), ..message }),
            None => (0..self.report_partitions)
                .try_for_each(|partition| self.send(Outgoing { partition: Some(partition), ..message.clone() })),
        }
    }

    /// In how many partitions of the reports topic heartbeats are wanted.
    pub fn beat_in(&mut self, partitions: i32) {
        self.report_partitions = partitions;
    }

    /// A topic that was given more partitions shows by where the reports arrive.
    fn follow_growth(&mut self) {
        let (before, reports) = (self.report_partitions, &self.shared.config.reports.name);
        let seen = self.outbox.written_to(reports).into_keys().map(|written| written.partition + 1).max();
        if let Some(now) = seen.filter(|now| *now > before) {
            warn!("`{reports}` has {now} partitions now, not {before}; clusters that moved are learnt anew");
            self.report_partitions = now;
        }
    }

    fn count_limits(&mut self) {
        let counts = self.scanner.take_counts();
        for (limit, hits) in [
            ("clusters", counts.clusters),
            ("open_lines", counts.open_lines),
            ("join_within", counts.join_within),
            ("joined_bytes", counts.joined_bytes),
            ("matches_per_report", counts.matches_per_report),
            ("pods_per_report", counts.pods_per_report),
        ] {
            self.shared.limit_hits(limit, hits);
        }
    }

    /// While nothing can be fetched, nobody knows whether the input is silent.
    pub fn was_deaf(&mut self) {
        let now = Instant::now();
        self.owned.iter_mut().for_each(|reading| reading.owned.was_deaf(now));
    }

    fn tell_idle(&mut self) {
        if !self.shared.link.is_up() {
            self.was_deaf();
        }
        let idle_after = self.shared.config.limits.idle_after;
        for reading in &self.owned {
            if let Some(silence) = reading.owned.silence(self.flushed).filter(|silence| *silence >= idle_after) {
                self.scanner.idle(reading.slot, silence);
            }
        }
    }

    fn newly_covered(&mut self) -> Vec<(Partition, i64)> {
        let moved = self.owned.iter_mut().filter(|reading| reading.sealed != reading.owned.position);
        moved
            .filter_map(|reading| {
                reading.sealed = reading.owned.position;
                Some((reading.owned.partition.clone(), reading.owned.position?))
            })
            .collect()
    }

    fn count(&self, report: &Report) {
        self.shared.metrics.reports.inc();
        let mut by_rule: HashMap<&Arc<str>, u64> = HashMap::new();
        for found in &report.matches {
            *by_rule.entry(&found.rule).or_default() += 1;
        }
        for (rule, count) in by_rule {
            self.shared.metrics.matches.get_or_create(&RuleLabel { rule: rule.to_string() }).inc_by(count);
        }
    }

    /// Takes note of acknowledgements; returns the offsets that may be committed now.
    pub fn collect(&mut self) -> Result<Vec<(Partition, i64)>, Error> {
        self.outbox.collect(|_| ())?;
        self.shared.metrics.dead_letters_lost.inc_by(self.outbox.take_lost());
        let latency = &self.shared.metrics.report_latency;
        Ok(self.outbox.take_done(|first_record| {
            if let Some(first_record) = first_record {
                latency.observe(first_record.elapsed());
            }
        }))
    }

    /// Waits for acknowledgements up to `timeout`, and no longer than the wish to stop while no broker answers.
    /// Returns all offsets that may be committed, earlier ones too.
    pub fn wait(&mut self, timeout: Duration) -> Result<Vec<(Partition, i64)>, Error> {
        let (shared, vitals) = (self.shared, self.vitals);
        let go_on = || {
            vitals.beat();
            shared.link.is_up() || !shared.shutdown.is_triggered()
        };
        self.outbox.wait(Instant::now() + timeout, |_| (), go_on)?;
        self.collect()?;
        Ok(self.outbox.all_done())
    }

    /// Waits for all acknowledgements, however long it takes, unless the wish to stop comes.
    pub fn wait_for_all(&mut self) -> Result<Vec<(Partition, i64)>, Error> {
        let (shared, vitals) = (self.shared, self.vitals);
        self.outbox.wait(Instant::now() + LONG, |_| (), || shared.keep_trying(vitals))?;
        self.collect()?;
        Ok(self.outbox.all_done())
    }

    /// Waits a moment for room to flush.
    pub fn wait_for_room(&mut self, timeout: Duration) -> Result<(), Error> {
        Ok(self.outbox.wait_for_room(Instant::now() + timeout, |_| ())?)
    }

    pub fn has_room(&self) -> bool {
        self.outbox.has_room()
    }

    /// The limit for which there is no room.
    pub fn full(&self) -> Option<&'static str> {
        self.outbox.full()
    }

    /// Whether enough was acknowledged that reading may go on after a pause.
    pub fn is_relaxed(&self) -> bool {
        self.outbox.is_relaxed()
    }

    pub fn messages_waiting(&self) -> usize {
        self.outbox.messages()
    }

    /// How far the reports topic was written.
    pub fn written(&self) -> BTreeMap<Partition, i64> {
        self.outbox.written_to(&self.shared.config.reports.name)
    }

    pub fn standing(&self, partition: &Partition, target: i64) -> Standing {
        standing(self.owned.iter().map(|reading| &reading.owned), partition, target)
    }

    pub fn end_all(&mut self) {
        self.let_go(|_| true, Scanner::end);
    }
}

fn timestamp(message: &impl Message) -> Option<Timestamp> {
    message.timestamp().to_millis().map(Timestamp::from_millis)
}

fn json(report: &Report) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(report).map_err(|e| Error::new(format!("writing a report: {e}")))
}

/// The last of the headers of that name, as text.
fn header<'h>(headers: Option<&'h BorrowedHeaders>, name: &str) -> Option<&'h str> {
    let (_, value) = raw_headers(headers?).filter(|(key, _)| *key == name.as_bytes()).last()?;
    std::str::from_utf8(value?).ok()
}

#[cfg(test)]
mod tests {
    use rdkafka::message::{Header, OwnedHeaders};

    use super::*;

    #[test]
    fn a_header_is_the_last_of_its_name_and_text() {
        let with = |key, value: Option<&'static [u8]>| OwnedHeaders::new().insert(Header { key, value });
        let twice = with("cluster", Some(b"a")).insert(Header { key: "cluster", value: Some("b") });
        let cases = [
            (None, None),
            (Some(with("other", Some(b"a"))), None),
            (Some(with("cluster", None)), None),
            (Some(with("cluster", Some(b"\xff"))), None),
            (Some(twice), Some("b")),
        ];
        for (headers, expected) in cases {
            assert_eq!(header(headers.as_ref().map(OwnedHeaders::as_borrowed), "cluster"), expected);
        }
    }
}
