//! Drives the engine through a simulation as the service would: records as they arrive, a report each second, and
//! partitions that fall silent do not hold up the others.

use std::time::Duration;

use crate::decode::{Format, Input};
use crate::engine::{Engine, Flushed};
use crate::record::{Expect, Partition, Record};
use crate::scanner::Slot;
use crate::scenario::Stream;
use crate::simulator::{SimulatedPartition, SimulatedRecord, Simulation};
use crate::time::Timestamp;

/// The service's times, see `settings::Scan`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pace {
    pub flush_interval: Duration,
    pub idle_after: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Pace { flush_interval: Duration::from_secs(1), idle_after: Duration::from_secs(2) }
    }
}

/// One partition that is read on.
struct Reader<'s> {
    slot: Slot,
    records: &'s [SimulatedRecord],
    next: usize,
    /// Arrival of its newest record; before it the begin of all.
    heard: Timestamp,
}

impl<'s> Reader<'s> {
    fn open(partition: &'s SimulatedPartition, engine: &mut Engine, from: Timestamp) -> Self {
        let (topic, expect) = match partition.stream {
            Stream::Logs => ("container-logs", Expect::Logs),
            Stream::Events => ("kube-events", Expect::Events),
        };
        let number = i32::try_from(partition.number).unwrap_or(i32::MAX);
        let slot =
            engine.assign(Partition { topic: topic.into(), partition: number }, Input::new(Format::Auto, expect));
        Reader { slot, records: &partition.records, next: 0, heard: from }
    }

    fn arrival(&self) -> Option<Timestamp> {
        self.records.get(self.next).map(|record| record.arrived)
    }

    fn read(&mut self, engine: &mut Engine) {
        let Some(record) = self.records.get(self.next) else { return };
        let (offset, value) = (self.next as i64, Some(record.value.as_bytes()));
        // What cannot be decoded is part of some simulations; the service would dead-letter it and go on.
        let _ = engine.scan(self.slot, &Record { offset, timestamp: Some(record.arrived), value });
        self.heard = record.arrived;
        self.next += 1;
    }
}

/// Plays the simulation; `each` gets what every flush led to.
pub fn watch(simulation: &Simulation, engine: &mut Engine, pace: Pace, mut each: impl FnMut(Flushed)) {
    let truth = &simulation.truth;
    let mut readers: Vec<Reader<'_>> =
        simulation.partitions.iter().map(|partition| Reader::open(partition, engine, truth.from)).collect();
    let last = readers.iter().filter_map(|reader| reader.records.last()).map(|record| record.arrived).max();
    let first = readers.iter().filter_map(Reader::arrival).min();
    // Some records may arrive before or after the stretch of life that they tell of.
    let mut now = first.map_or(truth.from, |first| first.min(truth.from));
    let end = last.map_or(truth.to, |last| last.max(truth.to));
    while now < end {
        now = now.saturating_add(pace.flush_interval.max(Duration::from_millis(1)));
        while let Some(reader) = earliest(&mut readers, now) {
            reader.read(engine);
            if engine.is_full() {
                each(engine.flush());
            }
        }
        for reader in &readers {
            let silence = now.since(reader.heard);
            if silence >= pace.idle_after {
                engine.idle(reader.slot, silence);
            }
        }
        each(engine.flush());
    }
}

/// The partition with the next record, of those that arrived by `now`; of equals the first.
fn earliest<'r, 's>(readers: &'r mut [Reader<'s>], now: Timestamp) -> Option<&'r mut Reader<'s>> {
    let (_, reader) = readers
        .iter_mut()
        .filter_map(|reader| Some((reader.arrival()?, reader)))
        .min_by_key(|(arrival, _)| *arrival)?;
    reader.arrival().is_some_and(|arrival| arrival <= now).then_some(reader)
}

#[cfg(test)]
mod tests {
    use crate::redaction::Redactor;
    use std::sync::Arc;

    use super::*;
    use crate::correlator;
    use crate::ruleset::RuleSet;
    use crate::scanner;
    use crate::scanner::matcher::Matcher;
    use crate::simulator::{Kind, Truth};

    fn line(arrived_ms: i64) -> SimulatedRecord {
        let arrived = Timestamp::from_millis(arrived_ms);
        let value =
            format!(r#"{{"time":"{arrived}","log":"hello","kubernetes":{{"pod_name":"p","namespace_name":"n"}}}}"#);
        SimulatedRecord { arrived, value }
    }

    fn played(partitions: Vec<SimulatedPartition>) -> Vec<Flushed> {
        let truth = Truth {
            kind: Kind::Healthy,
            seed: 1,
            nodes: 1,
            pods: 1,
            from: Timestamp::from_millis(0),
            to: Timestamp::from_millis(10_000),
            faults: Vec::new(),
            background: Vec::new(),
            silence: None,
        };
        let simulation = Simulation { partitions, truth };
        let rules = Arc::new(RuleSet::parse::<&str, &str>(&[]).unwrap());
        let scan = scanner::Options {
            cluster: "c".into(),
            limits: scanner::Limits::default(),
            prefilter: true,
            redactor: Redactor::standard(),
        };
        let mut engine = Engine::new(Matcher::new(rules), scan, correlator::Options::default());
        let mut all = Vec::new();
        watch(&simulation, &mut engine, Pace::default(), |flushed| all.push(flushed));
        all
    }

    #[test]
    fn a_report_each_second_and_every_record_once() {
        let records = vec![line(500), line(1_500), line(1_600)];
        let logs = SimulatedPartition { stream: Stream::Logs, number: 0, records };
        let flushed = played(vec![logs]);
        assert_eq!(flushed.len(), 10);
        let counts: Vec<u64> = flushed.iter().map(|flushed| flushed.reports[0].partitions[0].records).collect();
        assert_eq!(counts, [1, 2, 0, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn a_silent_partition_is_told_idle_and_time_runs_on() {
        let logs = SimulatedPartition { stream: Stream::Logs, number: 0, records: vec![line(500), line(9_000)] };
        let flushed = played(vec![logs]);
        let progress = |at: usize| &flushed[at].reports[0].partitions[0];
        assert!(!progress(0).idle && progress(5).idle && !progress(9).idle);
        assert_eq!(progress(5).watermark, Some(Timestamp::from_millis(6_000)));
    }
}
