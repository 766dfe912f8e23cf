//! Plays records through both stages, a report for each second, as the service would write them.

use faultline::alert::Alert;
use faultline::bundled;
use faultline::correlator::Options;
use faultline::decode::{Format, Input};
use faultline::engine::Engine;
use faultline::record::{Expect, Partition, Record};
use faultline::redaction::Redactor;
use faultline::ruleset::RuleSet;
use faultline::scanner::matcher::Matcher;
use faultline::scanner::{self, Slot};
use faultline::scenario::{ScenarioRecord, Stream};

/// The alerts of the records, with the bundled rules. `partition` tells in which partition of its stream each of them
/// is, counted from zero and below `partitions`.
pub fn play(
    records: &[ScenarioRecord],
    options: Options,
    partitions: usize,
    partition: impl Fn(usize, &ScenarioRecord) -> usize,
) -> Vec<Alert> {
    let rules = RuleSet::parse(bundled::RULES).expect("the bundled rules are right");
    let scan = scanner::Options {
        cluster: "prod".into(),
        limits: scanner::Limits::default(),
        prefilter: true,
        redactor: Redactor::standard(),
    };
    let mut engine = Engine::new(Matcher::new(rules.into()), scan, options);
    let mut assign = |topic: &str, expect| -> Vec<(Slot, i64)> {
        let number = |at| Partition { topic: topic.into(), partition: at };
        (0..partitions as i32).map(|at| (engine.assign(number(at), Input::new(Format::Auto, expect)), 0)).collect()
    };
    let (mut logs, mut events) = (assign("container-logs", Expect::Logs), assign("kube-events", Expect::Events));
    let mut alerts = Vec::new();
    let mut second = None;
    for (index, record) in records.iter().enumerate() {
        let this = record.at.as_millis() / 1000;
        if second.is_some_and(|second| second != this) {
            alerts.extend(engine.flush().alerts);
        }
        second = Some(this);
        let slots = match record.stream {
            Stream::Logs => &mut logs,
            Stream::Events => &mut events,
        };
        let (slot, next) = &mut slots[partition(index, record)];
        let value = Some(record.value.as_bytes());
        engine.scan(*slot, &Record { offset: *next, timestamp: Some(record.at), value }).expect("well-formed");
        *next += 1;
    }
    logs.iter().chain(&events).for_each(|(slot, _)| engine.end(*slot));
    alerts.extend(engine.flush().alerts);
    alerts
}
