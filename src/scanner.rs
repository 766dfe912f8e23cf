//! The scan stage: records in, [`Report`]s out. Keeps no state but the batch in hand, how far each partition got, and
//! parts of lines whose rest is still to come.

use std::sync::Arc;
use std::time::Duration;

use crate::decode::{self, Input, Reason, Rejected};
use crate::record::{Entry, Expect, Partition, Record};
use crate::redaction::Redactor;
use crate::report::{Progress, Report, VERSION};
use crate::time::Timestamp;

mod batch;
mod batches;
mod dating;
mod joiner;
pub mod matcher;
pub mod naive;
pub mod prefilter;
mod skim;

use batch::Place;
use batches::Batches;
use dating::Clock;
use joiner::{Joiner, Line};
use matcher::{Matcher, Scratch};
use prefilter::Traffic;
use skim::{Skimmed, Skimmer};

/// Bounds and defaults of a [`Scanner`].
#[derive(Clone, Debug)]
pub struct Options {
    /// The cluster of records that name none.
    pub cluster: Arc<str>,
    pub limits: Limits,
    /// Whether records that hold no signature are told without decoding them. Changes no report.
    pub prefilter: bool,
    /// Takes secrets out of all log text that goes into reports.
    pub redactor: Arc<Redactor>,
}

/// What one batch may hold before it must be flushed, and how much of a record is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Larger values are rejected unread. Bytes.
    pub record_bytes: usize,
    /// Clusters that records may name between two flushes; further ones count as the default cluster. A new one takes the
    /// place of one that has been silent.
    pub clusters: usize,
    /// Matches that a report holds.
    pub matches_per_report: usize,
    /// Pods that a report names.
    pub pods_per_report: usize,
    /// The part of a message that is kept as an alert's sample, once it is redacted. Bytes, cut on a character.
    pub sample_bytes: usize,
    /// Length at which a line that comes in parts is taken as it is; what follows begins a new one. Bytes.
    pub joined_bytes: usize,
    /// Lines of which parts are held until the rest comes; the oldest goes first, as far as it came.
    pub open_lines: usize,
    /// How long parts are held, in event time.
    pub join_within: Duration,
    /// How far an event time may lie ahead of when Kafka says that its record was written, and both ahead of the scanner's
    /// clock; a time from further in the future is not heeded.
    pub max_ahead: Duration,
    /// What is kept of writers of records, to tell the next ones without decoding them; then all is learnt anew. Bytes.
    pub known_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            record_bytes: 10 << 20,
            clusters: 100,
            matches_per_report: 2_000,
            pods_per_report: 5_000,
            sample_bytes: 1024,
            joined_bytes: 256 << 10,
            open_lines: 256,
            join_within: Duration::from_secs(10),
            max_ahead: Duration::from_secs(600),
            known_bytes: 64 << 20,
        }
    }
}

/// While a backlog is read, reports still come at least this often in event time, so that the correlator sees pods
/// and failures in about the order in which they happened.
const MAX_EVENT_TIME_SPAN: Duration = Duration::from_secs(5);

/// One of the partitions that a [`Scanner`] owns; given by [`Scanner::assign`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Slot(pub usize);

/// What became of one record.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Scanned {
    pub entries: u32,
    pub matches: u32,
    /// Lines that a bound on joining parts let go without their rest.
    pub cut_lines: u32,
    /// It, or Kafka, named a time from the future, which was not heeded.
    pub was_ahead: bool,
    /// It was not decoded: nothing in it can match.
    pub skimmed: bool,
    /// It was decoded only because something that a rule is looked for by is in it.
    pub suspect: bool,
    /// All known writers were forgotten, to make room for this one.
    pub forgot: bool,
}

/// For metrics only; what cannot be told record by record.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Names of clusters for which there was no room: another one was let go, or the record counted as the default one's.
    pub clusters: u64,
    /// Lines that came in parts and were let go without their rest, or without being joined at all, for each bound.
    pub open_lines: u64,
    pub join_within: u64,
    pub joined_bytes: u64,
    /// Reports that were full before they were due.
    pub matches_per_report: u64,
    pub pods_per_report: u64,
}

pub struct Scanner {
    options: Options,
    id: Arc<str>,
    sequence: u64,
    /// `None`: revoked; the place is given to the next partition that is assigned.
    slots: Vec<Option<Owned>>,
    /// What has been gathered since the last flush.
    batches: Batches,
    scratch: Scratch,
    joiner: Joiner,
    /// How often reports were full; what else is counted elsewhere is not counted here.
    full: Counts,
    clock: Clock,
    /// What is known of the writers of an input's records; shared by the partitions whose records are read alike.
    skimmers: Vec<(Input, Skimmer)>,
}

/// What became of trying to do without decoding.
enum Skim {
    Clean { was_ahead: bool },
    Suspect,
    Candidate,
    Unknown,
}

/// A partition that the scanner owns.
struct Owned {
    partition: Partition,
    input: Input,
    /// Index into the scanner's skimmers; `None`: every record is decoded.
    skimmer: Option<usize>,
    first: i64,
    next: i64,
    rejected: u64,
    lost: u64,
    restarted: Option<Timestamp>,
    /// Newest event time of its records.
    newest: Option<Timestamp>,
    /// Kafka's newest time of them.
    written: Option<Timestamp>,
    /// The event time with which the batch in hand began.
    began: Option<Timestamp>,
    /// How long it has been silent, once that counts as idle.
    silence: Option<Duration>,
    ended: bool,
}

impl Scanner {
    /// `id` names the instance in its reports, for people.
    pub fn new(options: Options, id: Arc<str>) -> Self {
        let batches = Batches::new(Arc::clone(&options.cluster));
        Scanner {
            clock: Clock { now: None, max_ahead: options.limits.max_ahead },
            options,
            id,
            sequence: 0,
            slots: Vec::new(),
            batches,
            scratch: Scratch::default(),
            joiner: Joiner::default(),
            full: Counts::default(),
            skimmers: Vec::new(),
        }
    }

    /// What the wall clock shows: event times are held against it from here on. Without it, only against Kafka's.
    pub fn set_clock(&mut self, now: Timestamp) {
        self.clock.now = Some(now);
    }

    /// Starts to own a partition. Owning it already is fine: the slot stays the same.
    pub fn assign(&mut self, partition: Partition, input: Input) -> Slot {
        let is_it = |slot: &Option<Owned>| slot.as_ref().is_some_and(|owned| owned.partition == partition);
        if let Some(at) = self.slots.iter().position(is_it) {
            return Slot(at);
        }
        let owned = Owned {
            partition,
            skimmer: self.skimmer_for(&input),
            input,
            first: 0,
            next: 0,
            rejected: 0,
            lost: 0,
            restarted: None,
            newest: None,
            written: None,
            began: None,
            silence: None,
            ended: false,
        };
        match self.slots.iter().position(Option::is_none) {
            Some(at) => {
                self.slots[at] = Some(owned);
                Slot(at)
            }
            None => {
                self.slots.push(Some(owned));
                Slot(self.slots.len() - 1)
            }
        }
    }

    /// Events are few, and nearly all of them are of use.
    fn skimmer_for(&mut self, input: &Input) -> Option<usize> {
        if !self.options.prefilter || input.expect == Expect::Events {
            return None;
        }
        if let Some(index) = self.skimmers.iter().position(|(known, _)| known == input) {
            return Some(index);
        }
        self.skimmers.push((input.clone(), Skimmer::new(self.options.limits.known_bytes)));
        Some(self.skimmers.len() - 1)
    }

    /// Stops owning a partition; flush first, what is gathered of it is dropped.
    pub fn revoke(&mut self, slot: Slot) {
        if let Some(owned) = self.slots.get_mut(slot.0) {
            *owned = None;
            self.joiner.take(slot.0);
            self.batches.all_mut().for_each(|batch| batch.forget(slot.0));
        }
    }

    /// Gives up waiting for the rest of lines: what is held back of the partition is gathered as it stands. For the
    /// last flush before the partition goes to somebody else, who would read only their rest.
    pub fn settle(&mut self, matcher: &Matcher, slot: Slot) {
        let Some(owned) = self.slots.get_mut(slot.0).and_then(Option::as_mut) else { return };
        let place = Place { slot: slot.0, offset: owned.next, time: owned.newest.unwrap_or_default() };
        for line in self.joiner.take(slot.0) {
            self.gather(matcher, place, &Entry::Log(line));
        }
    }

    /// Decodes and matches one record. A rejected one counts as covered too: the caller dead-letters it.
    pub fn scan(&mut self, matcher: &Matcher, slot: Slot, record: &Record<'_>) -> Result<Scanned, Rejected> {
        self.scan_from(matcher, slot, record, None)
    }

    /// The same for a record of which a header names the `cluster`; what it says itself goes first.
    pub fn scan_from(
        &mut self,
        matcher: &Matcher,
        slot: Slot,
        record: &Record<'_>,
        cluster: Option<&str>,
    ) -> Result<Scanned, Rejected> {
        let Some(owned) = self.slots.get_mut(slot.0).and_then(Option::as_mut) else {
            return Ok(Scanned::default());
        };
        owned.cover(record);
        let cluster = cluster.filter(|name| !name.is_empty());
        let skim = self.skim(matcher, slot, record, cluster);
        if let Some(Skim::Clean { was_ahead }) = skim {
            return Ok(Scanned { entries: 1, was_ahead, skimmed: true, ..Scanned::default() });
        }
        let Some(owned) = self.slots.get_mut(slot.0).and_then(Option::as_mut) else {
            return Ok(Scanned::default());
        };
        let mut entries = Vec::new();
        let decoded = check_size(record, self.options.limits.record_bytes)
            .and_then(|()| decode::decode(record, &owned.input, &mut entries));
        if let Err(rejected) = decoded {
            owned.rejected += 1;
            owned.date_unread(record, &self.clock);
            return Err(rejected);
        }
        if entries.is_empty() {
            owned.date_unread(record, &self.clock);
        }
        let mut scanned = Scanned { suspect: matches!(skim, Some(Skim::Suspect)), ..Scanned::default() };
        if let (Some(Skim::Unknown), [Entry::Log(log)], Some(skimmer), Some(value)) =
            (skim, entries.as_slice(), owned.skimmer, record.value)
            && !log.partial
        {
            scanned.forgot = self.skimmers[skimmer].1.learn(value, &owned.input);
        }
        let cluster = cluster.or(owned.input.cluster.as_deref()).map(str::to_owned);
        for mut entry in entries {
            scanned.entries += 1;
            if let (None, Some(cluster)) = (entry.cluster(), &cluster) {
                entry.set_cluster(cluster.clone());
            }
            self.take_in(matcher, slot, record, entry, &mut scanned);
        }
        Ok(scanned)
    }

    /// Makes the scanner whole again after it panicked at a record (then that counts as rejected) or at lines held back.
    /// What was gathered before the panic stays, also of that record; what was learnt of writers is learnt anew; a line in
    /// parts that was being looked at is lost.
    pub fn abandon(&mut self, slot: Slot, record: Option<&Record<'_>>) {
        self.scratch = Scratch::default();
        let Some(owned) = self.slots.get_mut(slot.0).and_then(Option::as_mut) else { return };
        if let Some(record) = record {
            owned.rejected += 1;
            owned.date_unread(record, &self.clock);
        }
        let max_bytes = self.options.limits.known_bytes;
        let skimmer = owned.skimmer.and_then(|index| self.skimmers.get_mut(index));
        skimmer.into_iter().for_each(|(_, skimmer)| *skimmer = Skimmer::new(max_bytes));
    }

    /// Gathers a record without decoding it, if that can be done. `None`: this is not wanted.
    fn skim(&mut self, matcher: &Matcher, slot: Slot, record: &Record<'_>, cluster: Option<&str>) -> Option<Skim> {
        let owned = self.slots.get_mut(slot.0)?.as_mut()?;
        let limits = &self.options.limits;
        let skimmer = &mut self.skimmers.get_mut(owned.skimmer?)?.1;
        let value =
            record.value.filter(|value| value.len() <= limits.record_bytes && matcher.prefilter().is_of_use())?;
        let (form, time) = match skimmer.read(value, matcher.prefilter()) {
            Skimmed::Clean(form, time) => (form, time),
            Skimmed::Suspect => return Some(Skim::Suspect),
            Skimmed::Candidate => return Some(Skim::Candidate),
            Skimmed::Unknown => return Some(Skim::Unknown),
        };
        let (time, was_ahead) = owned.date(record, time, &self.clock);
        let place = Place { slot: slot.0, offset: record.offset, time };
        if self.joiner.concerns(slot.0, place.time, form.said(), limits) {
            return Some(Skim::Candidate);
        }
        let cluster = form.said().cluster.as_deref().or(cluster).or(owned.input.cluster.as_deref());
        let batch = self.batches.of(cluster, limits.clusters);
        batch.count_record(place);
        if let Some(pod) = form.pod_in(batch) {
            batch.saw(pod, place.time);
        }
        Some(Skim::Clean { was_ahead })
    }

    /// Gathers an entry, or holds it back until the rest of its line comes.
    fn take_in(&mut self, matcher: &Matcher, slot: Slot, record: &Record<'_>, entry: Entry<'_>, scanned: &mut Scanned) {
        let Some(owned) = self.slots.get_mut(slot.0).and_then(Option::as_mut) else { return };
        let (time, was_ahead) = owned.date(record, entry.time(), &self.clock);
        scanned.was_ahead |= was_ahead;
        let place = Place { slot: slot.0, offset: record.offset, time };
        let mut cuts = Vec::new();
        let entry = match entry {
            Entry::Log(log) => {
                let line = self.joiner.offer(slot.0, place.time, log, &self.options.limits, &mut cuts);
                line.map(|line| match line {
                    Line::AsItCame(log) => Entry::Log(log),
                    Line::Joined(log) => decode::rejoined(log),
                })
            }
            event => Some(event),
        };
        scanned.cut_lines += cuts.len() as u32;
        // At this place: the correlator takes matches below what it has seen for repetitions.
        for cut in cuts {
            scanned.matches += self.gather(matcher, place, &Entry::Log(cut));
        }
        match entry {
            Some(entry) => scanned.matches += self.gather(matcher, place, &entry),
            None => self.batches.of(None, self.options.limits.clusters).count_record(place),
        }
    }

    /// Adds one entry to its cluster's batch; returns how many rules it matched.
    fn gather(&mut self, matcher: &Matcher, place: Place, entry: &Entry<'_>) -> u32 {
        let batch = self.batches.of(entry.cluster(), self.options.limits.clusters);
        batch.add(place, entry, matcher, &mut self.scratch, &self.options)
    }

    /// Records were deleted before they could be read, and should have come before the next one.
    pub fn lose(&mut self, slot: Slot, records: u64) {
        if let Some(owned) = self.slots.get_mut(slot.0).and_then(Option::as_mut) {
            owned.lost = owned.lost.saturating_add(records);
        }
    }

    /// The next record is the first of a log: its offsets have nothing to do with those before. `written` is Kafka's time
    /// of that record. Flush before: one report cannot tell of both logs.
    pub fn restart(&mut self, slot: Slot, written: Option<Timestamp>) {
        let now = self.clock.now;
        if let Some(owned) = self.slots.get_mut(slot.0).and_then(Option::as_mut) {
            owned.restarted = Some(written.or(now).unwrap_or_default());
        }
    }

    /// A sample of the messages that were asked about since the last call, for [`Matcher::suited_to`].
    pub fn take_seen(&mut self) -> Traffic {
        let mut seen = Traffic::default();
        self.skimmers.iter_mut().for_each(|(_, skimmer)| seen.append(skimmer.take_seen()));
        seen
    }

    /// Whether enough has gathered that the caller should flush before the interval is over.
    pub fn is_full(&self) -> bool {
        let spans_long = |owned: &Owned| match (owned.began, owned.newest) {
            (Some(began), Some(newest)) => newest.since(began) >= MAX_EVENT_TIME_SPAN,
            _ => false,
        };
        self.batches.all().any(|batch| batch.is_full(&self.options.limits))
            || self.slots.iter().flatten().any(spans_long)
    }

    /// The partition has been silent for `silence`: others need not wait for it, and its event time runs on at the
    /// pace of the scanner's clock, so that windows close although nothing more is said. Ends with its next record.
    pub fn idle(&mut self, slot: Slot, silence: Duration) {
        if let Some(owned) = self.slots.get_mut(slot.0).and_then(Option::as_mut) {
            owned.silence = Some(silence);
        }
    }

    /// Nothing more will come from the partition (a file's end, a bounded run), also not the rest of lines.
    pub fn end(&mut self, matcher: &Matcher, slot: Slot) {
        self.settle(matcher, slot);
        if let Some(owned) = self.slots.get_mut(slot.0).and_then(Option::as_mut) {
            owned.ended = true;
        }
    }

    /// Newest event time of a partition.
    pub fn newest(&self, slot: Slot) -> Option<Timestamp> {
        self.slots.get(slot.0)?.as_ref()?.newest
    }

    /// Everything gathered since the last flush: a report for each cluster that something was read of, in the order of
    /// their names, and in the end a heartbeat; nothing where no partition is owned. `now` is written into the reports
    /// and decides nothing.
    pub fn flush(&mut self, now: Timestamp) -> Vec<Report> {
        if self.slots.iter().all(Option::is_none) {
            return Vec::new();
        }
        let (matches, pods) = self.batches.count_full(&self.options.limits);
        self.full.matches_per_report += matches;
        self.full.pods_per_report += pods;
        let mut records = vec![0; self.slots.len()];
        let mut reports = Vec::new();
        for (cluster, batch) in self.batches.take() {
            let mut report = Report { cluster: Some(cluster), more: true, ..self.report(now) };
            let mut indexes = vec![None; self.slots.len()];
            for (at, owned) in self.slots.iter().enumerate() {
                let Some(owned) = owned.as_ref().filter(|_| batch.records(at) > 0) else { continue };
                records[at] += batch.records(at);
                indexes[at] = Some(report.partitions.len() as u32);
                report.partitions.push(Progress { rejected: 0, ..owned.progress(batch.records(at)) });
            }
            batch.fill(&mut report, &indexes);
            reports.push(report);
        }
        let owned = self.slots.iter().zip(records);
        let partitions = owned.filter_map(|(owned, records)| Some(owned.as_ref()?.progress(records))).collect();
        reports.push(Report { partitions, ..self.report(now) });
        self.slots.iter_mut().flatten().for_each(Owned::start_anew);
        reports
    }

    fn report(&mut self, now: Timestamp) -> Report {
        self.sequence += 1;
        Report {
            version: VERSION,
            scanner: Arc::clone(&self.id),
            sequence: self.sequence,
            flushed_at: now,
            ..Report::default()
        }
    }

    /// What limits did since the last call.
    pub fn take_counts(&mut self) -> Counts {
        let joined = self.joiner.take_hits();
        Counts {
            clusters: self.batches.take_crowded_out(),
            open_lines: joined.open_lines,
            join_within: joined.join_within,
            joined_bytes: joined.joined_bytes,
            ..std::mem::take(&mut self.full)
        }
    }
}

fn check_size(record: &Record<'_>, limit: usize) -> Result<(), Rejected> {
    match record.value {
        Some(value) if value.len() > limit => {
            Err(Rejected::new(Reason::TooLarge, format!("{} bytes; limits.record_bytes allows {limit}", value.len())))
        }
        _ => Ok(()),
    }
}

impl Owned {
    fn cover(&mut self, record: &Record<'_>) {
        if self.first == self.next {
            // Nothing covered yet in this batch; offsets may have gaps, and a rewound partition starts lower.
            self.first = record.offset;
        }
        self.next = record.offset + 1;
        self.silence = None;
        self.ended = false;
    }

    /// The entry's event time: its own, else Kafka's, else that of the record before; and whether one of them was from
    /// the future.
    fn date(&mut self, record: &Record<'_>, own: Option<Timestamp>, clock: &Clock) -> (Timestamp, bool) {
        let dated = clock.date(own, record.timestamp);
        let time = dated.time.or(self.newest).unwrap_or_default();
        self.advance_to(time);
        self.written = self.written.max(record.timestamp.and_then(|time| clock.written(Some(time))));
        (time, dated.was_ahead)
    }

    /// A record that says nothing still shows that time goes on: others must not wait for it. By how much the records
    /// were written after each other, not when: what is written now may tell of long ago.
    fn date_unread(&mut self, record: &Record<'_>, clock: &Clock) {
        let written = record.timestamp.and_then(|time| clock.written(Some(time)));
        let passed = written.zip(self.written).map(|(now, before)| now.since(before));
        if let (Some(passed), Some(newest)) = (passed, self.newest) {
            self.advance_to(newest.saturating_add(passed));
        }
        self.written = self.written.max(written);
    }

    fn advance_to(&mut self, time: Timestamp) {
        self.newest = self.newest.max(Some(time));
        self.began = self.began.or(self.newest);
    }

    fn progress(&self, records: u64) -> Progress {
        let watermark = match (self.newest, self.silence) {
            (Some(newest), Some(silence)) if !self.ended => Some(newest.saturating_add(silence)),
            (newest, _) => newest,
        };
        Progress {
            partition: self.partition.clone(),
            first: self.first,
            next: self.next,
            records,
            rejected: self.rejected,
            lost: self.lost,
            restarted: self.restarted,
            watermark,
            // Nobody can wait for records that tell no time.
            idle: self.silence.is_some() || self.newest.is_none() && self.next > self.first,
            ended: self.ended,
        }
    }

    fn start_anew(&mut self) {
        self.first = self.next;
        self.rejected = 0;
        self.lost = 0;
        self.restarted = None;
        self.began = None;
    }
}

#[cfg(test)]
mod tests;
