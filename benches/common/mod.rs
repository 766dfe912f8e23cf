//! What the benches share: records, rules, and how much of both.

use std::sync::Arc;

use faultline::bundled;
use faultline::record::{Partition, Record};
use faultline::ruleset::RuleSet;
use faultline::scanner::matcher::Matcher;
use faultline::scenario::{self, ScenarioRecord};
use faultline::time::Timestamp;

/// `measured` under `cargo bench`, `tried` under `cargo test`.
pub fn size(measured: usize, tried: usize) -> usize {
    if std::env::args_os().any(|argument| argument == "--bench") { measured } else { tried }
}

pub fn start() -> Timestamp {
    Timestamp::from_millis(1_795_356_000_000)
}

pub fn rules() -> Arc<RuleSet> {
    Arc::new(RuleSet::parse(bundled::RULES).expect("the bundled rules are right"))
}

#[allow(dead_code, reason = "not every bench matches")]
pub fn matcher() -> Matcher {
    Matcher::new(rules())
}

/// Log records as Fluent Bit writes them, from 2,000 pods on 200 nodes.
#[allow(dead_code, reason = "not every bench reads records")]
pub fn chatter(count: usize) -> Vec<ScenarioRecord> {
    scenario::chatter(start(), 1).take(count).collect()
}

/// Their values, made while they are read.
#[allow(dead_code, reason = "not every bench reads so many")]
pub fn chatter_of(count: usize) -> impl Iterator<Item = String> {
    scenario::chatter(start(), 1).take(count).map(|record| record.value)
}

#[allow(dead_code, reason = "not every bench reads records")]
pub fn record(offset: i64, value: &str) -> Record<'_> {
    Record { offset, timestamp: None, value: Some(value.as_bytes()) }
}

#[allow(dead_code, reason = "not every bench has partitions")]
pub fn partition() -> Partition {
    Partition { topic: "container-logs".into(), partition: 0 }
}
