//! An instance of the scan stage: what `service/scan_stage` does around the scanner, step by step.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use faultline::decode::{Format, Input};
use faultline::kafka::FetchState;
use faultline::record::{Expect, Partition, Record};
use faultline::redaction::Redactor;
use faultline::report::Report;
use faultline::scanner::matcher::Matcher;
use faultline::scanner::{Limits, Options, Scanner, Slot};
use faultline::service::acks::{Acks, Done};
use faultline::service::continuity::{Due, Found};
use faultline::service::owned::Owned;

use super::broker::{Member, Written};
use super::input::{CLUSTERS, partition, timestamp};
use super::{Naive, Scene};

const FLUSH_INTERVAL_MS: i64 = 1000;
const IDLE_AFTER: Duration = Duration::from_secs(2);
const REPORTS_IN_FLIGHT: usize = 4;
/// So small that busy flushes are split.
const REPORT_BYTES: usize = 2_500;

/// Added to an offset it is above whatever was seen.
const NEVER_SEEN: i64 = 1 << 40;

/// A report on its way.
struct Sent {
    written: Written,
    batch: u64,
    bytes: usize,
}

/// What is on its way from one producer: each partition of the reports keeps the order.
#[derive(Default)]
pub struct Wire {
    queues: Vec<VecDeque<Sent>>,
}

impl Wire {
    fn new(reports: usize) -> Self {
        Wire { queues: (0..reports).map(|_| VecDeque::new()).collect() }
    }

    pub fn is_empty(&self) -> bool {
        self.queues.iter().all(VecDeque::is_empty)
    }

    /// One report arrives; returns its batch and bytes for the acknowledgement.
    pub fn transmit(&mut self, scene: &mut Scene<'_, '_>) -> Option<(u64, usize)> {
        let full: Vec<usize> = (0..self.queues.len()).filter(|at| !self.queues[*at].is_empty()).collect();
        let at = scene.random.pick(&full)?;
        let sent = self.queues[at].pop_front()?;
        let offset = scene.broker.reports[at].end();
        scene.checks.on_report(at, offset, &sent.written);
        scene.broker.reports[at].log.push(sent.written);
        Some((sent.batch, sent.bytes))
    }
}

struct Reading {
    input: usize,
    owned: Owned,
    slot: Slot,
    due: Due,
    /// Where the consumer fetches next.
    fetch: i64,
    sealed: Option<i64>,
}

pub struct Scanning<'w> {
    pub member: Member,
    /// A process that is stopped until then, and knows nothing of it.
    pub stalled_until: i64,
    matcher: &'w Matcher,
    scanner: Scanner,
    acks: Acks<()>,
    done: BTreeMap<Partition, i64>,
    owned: Vec<Reading>,
    pub wire: Wire,
    /// Acknowledgements that were not heard yet.
    acked: VecDeque<(u64, usize)>,
    flushed: i64,
}

impl<'w> Scanning<'w> {
    pub fn new(id: u64, matcher: &'w Matcher, scene: &mut Scene<'_, '_>) -> Self {
        scene.broker.scan.join(id);
        let options = Options {
            cluster: CLUSTERS[0].into(),
            limits: Limits::default(),
            prefilter: true,
            redactor: Redactor::standard(),
        };
        Scanning {
            member: Member { id, generation: scene.broker.scan.generation },
            stalled_until: 0,
            matcher,
            scanner: Scanner::new(options, format!("scanner-{id}").into()),
            acks: Acks::default(),
            done: BTreeMap::new(),
            owned: Vec::new(),
            wire: Wire::new(scene.broker.reports.len()),
            acked: VecDeque::new(),
            flushed: scene.now,
        }
    }

    /// One turn of the stage's loop, with whatever its consumer has for it.
    pub fn turn(&mut self, scene: &mut Scene<'_, '_>) {
        self.scanner.set_clock(timestamp(scene.now));
        if scene.naive != Naive::Stops {
            self.owned.iter_mut().for_each(|reading| reading.owned.turn(scene.instant()));
        }
        // The first turn after a stop often finds that nothing was fetched yet.
        let just_woke = std::mem::take(&mut self.stalled_until) > 0;
        match scene.random.below(10) {
            _ if just_woke && scene.random.chance(50) => {}
            0 => self.on_group(scene),
            1..3 => self.on_progress(scene),
            3 => {}
            _ => self.read_some(scene),
        }
        if self.has_room() && (self.scanner.is_full() || scene.now - self.flushed >= FLUSH_INTERVAL_MS) {
            self.flush(scene);
        }
        self.collect(scene);
    }

    fn has_room(&self) -> bool {
        self.acks.batches() < REPORTS_IN_FLIGHT
    }

    fn read_some(&mut self, scene: &mut Scene<'_, '_>) {
        if self.owned.is_empty() || !self.has_room() {
            return;
        }
        let index = scene.random.index(self.owned.len());
        for _ in 0..=scene.random.below(12) {
            let (input, fetch) = (self.owned[index].input, self.owned[index].fetch);
            if fetch >= scene.checks.input.end_at(input, scene.now) || self.scanner.is_full() {
                break;
            }
            self.read(index, scene);
        }
    }

    /// Reads all that there is, and hears that there is no more.
    pub fn catch_up(&mut self, scene: &mut Scene<'_, '_>) {
        for index in 0..self.owned.len() {
            while self.has_room()
                && self.owned[index].fetch < scene.checks.input.end_at(self.owned[index].input, scene.now)
            {
                self.read(index, scene);
            }
        }
        self.on_progress(scene);
    }

    fn read(&mut self, index: usize, scene: &mut Scene<'_, '_>) {
        let reading = &mut self.owned[index];
        let offset = reading.fetch;
        reading.fetch += 1;
        let found = &scene.checks.input.partitions[reading.input][offset as usize];
        let written = Some(timestamp(found.arrives));
        let end = scene.checks.input.end_at(reading.input, scene.now);
        match reading.due.meet(offset, || Some(0..end)) {
            Found::GoesOn => {}
            Found::Begins => self.scanner.restart(reading.slot, written),
            other => scene.checks.fail(|| format!("{other:?} at {offset} of an input that lost nothing")),
        }
        reading.owned.read(offset, scene.instant());
        let record = Record { offset, timestamp: written, value: Some(&found.value) };
        // What cannot be decoded is covered all the same.
        let _ = self.scanner.scan(self.matcher, reading.slot, &record);
    }

    fn on_progress(&mut self, scene: &mut Scene<'_, '_>) {
        if !self.has_room() {
            return;
        }
        for reading in &mut self.owned {
            let high = scene.checks.input.end_at(reading.input, scene.now);
            let end = (reading.fetch == high).then_some(high);
            reading.owned.progress(FetchState { end, high: Some(high), queued: 0 });
        }
    }

    fn tell_idle(&mut self, scene: &Scene<'_, '_>) {
        for reading in &self.owned {
            if let Some(silence) = reading.owned.silence(scene.instant()).filter(|silence| *silence >= IDLE_AFTER) {
                self.scanner.idle(reading.slot, silence);
            }
        }
    }

    fn flush(&mut self, scene: &mut Scene<'_, '_>) {
        self.flushed = scene.now;
        self.tell_idle(scene);
        for mut report in self.scanner.flush(timestamp(scene.now)) {
            if scene.naive == Naive::Positions {
                report.matches.iter_mut().for_each(|matched| matched.offset += NEVER_SEEN);
            }
            let value = serde_json::to_vec(&report).expect("a report can be written");
            if value.len() <= REPORT_BYTES {
                self.send(report, value);
                continue;
            }
            for part in report.split(REPORT_BYTES).reports {
                let value = serde_json::to_vec(&part).expect("a report can be written");
                self.send(part, value);
            }
        }
        let covers = self.newly_covered();
        if scene.naive == Naive::UnacknowledgedCommits {
            self.commit(covers.clone(), scene);
        }
        self.acks.seal(covers, ());
    }

    fn send(&mut self, report: Report, value: Vec<u8>) {
        let partitions = self.wire.queues.len();
        let targets = match &report.cluster {
            Some(name) => {
                let cluster = CLUSTERS.iter().position(|known| **known == **name).unwrap_or(0);
                cluster % partitions..cluster % partitions + 1
            }
            None => 0..partitions,
        };
        let written = Written { report: Rc::new(report), value: value.into() };
        for at in targets {
            let bytes = written.value.len();
            let batch = self.acks.sent(bytes);
            self.wire.queues[at].push_back(Sent { written: written.clone(), batch, bytes });
        }
    }

    fn newly_covered(&mut self) -> Vec<(Partition, i64)> {
        let moved = self.owned.iter_mut().filter(|reading| reading.sealed != reading.owned.position);
        let covered = moved.filter_map(|reading| {
            reading.sealed = reading.owned.position;
            Some((reading.owned.partition.clone(), reading.owned.position?))
        });
        covered.collect()
    }

    /// Some of what is on its way arrives, reports there or acknowledgements here.
    pub fn network(&mut self, scene: &mut Scene<'_, '_>) {
        for _ in 0..=scene.random.below(30) {
            if scene.random.chance(60) {
                self.acked.extend(self.wire.transmit(scene));
            } else if let Some((batch, bytes)) = self.acked.pop_front() {
                self.acks.acknowledged(batch, bytes);
            }
        }
    }

    fn collect(&mut self, scene: &mut Scene<'_, '_>) {
        let mut fresh = BTreeMap::new();
        while let Some(Done { covers, .. }) = self.acks.pop_done() {
            fresh.extend(covers);
        }
        self.done.extend(fresh.clone());
        // Nobody tells whether it arrived.
        if !scene.random.chance(10) {
            self.commit(fresh.into_iter().collect(), scene);
        }
    }

    fn commit(&self, offsets: Vec<(Partition, i64)>, scene: &mut Scene<'_, '_>) {
        if scene.broker.scan.accepts(self.member).is_err() {
            return;
        }
        for (partition, next) in offsets {
            let input = partition.partition as usize;
            scene.broker.scan.committed[input] = Some(next);
            scene.checks.on_scan_commit(input, next);
        }
    }

    /// The group is heard: what it took away, gives, or that it has forgotten us.
    fn on_group(&mut self, scene: &mut Scene<'_, '_>) {
        let id = self.member.id;
        if !scene.broker.scan.has(id) {
            (0..self.owned.len()).rev().for_each(|index| self.give_up(index));
            scene.broker.scan.join(id);
        }
        self.member.generation = scene.broker.scan.generation;
        let given_up = scene.broker.scan.to_give_up(id);
        if !given_up.is_empty() {
            self.on_revoked(&given_up, scene);
        }
        for input in scene.broker.scan.to_take(id) {
            scene.broker.scan.assign(id, &[input]);
            self.take(input, scene);
        }
    }

    fn take(&mut self, input: usize, scene: &Scene<'_, '_>) {
        let committed = scene.broker.scan.committed[input];
        let slot = self.scanner.assign(partition(input), Input::new(Format::Auto, Expect::Logs));
        self.owned.push(Reading {
            input,
            owned: Owned::new(partition(input), scene.instant()),
            slot,
            due: committed.map_or(Due::Start, Due::At),
            fetch: committed.unwrap_or(0),
            sealed: None,
        });
    }

    /// A graceful stop.
    pub fn finish(mut self, scene: &mut Scene<'_, '_>) {
        let inputs: Vec<usize> = self.owned.iter().map(|reading| reading.input).collect();
        self.on_revoked(&inputs, scene);
        scene.broker.scan.expel(self.member.id);
    }

    fn on_revoked(&mut self, inputs: &[usize], scene: &mut Scene<'_, '_>) {
        let concerned = |reading: &&Reading| inputs.contains(&reading.input);
        for reading in self.owned.iter().filter(concerned) {
            self.scanner.settle(self.matcher, reading.slot);
        }
        self.flush(scene);
        // Most often all is acknowledged in time.
        let patience = if !scene.chaos || scene.random.chance(80) { u64::MAX } else { scene.random.below(6) };
        for _ in 0..patience {
            if self.acks.messages() == 0 {
                break;
            }
            self.network(scene);
        }
        self.collect(scene);
        let done = self.done.iter().map(|(partition, next)| (partition.clone(), *next)).collect();
        self.commit(done, scene);
        for index in (0..self.owned.len()).rev() {
            if inputs.contains(&self.owned[index].input) {
                self.give_up(index);
            }
        }
        scene.broker.scan.release(self.member.id, inputs);
    }

    fn give_up(&mut self, index: usize) {
        let reading = self.owned.remove(index);
        self.acks.forget(&reading.owned.partition);
        self.done.remove(&reading.owned.partition);
        self.scanner.revoke(reading.slot);
    }
}
