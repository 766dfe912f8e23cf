//! Both stages on one core: from records to alerts.

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use faultline::correlator;
use faultline::decode::{Format, Input};
use faultline::engine::Engine;
use faultline::record::Expect;
use faultline::redaction::Redactor;
use faultline::scanner::{Limits, Options};

mod common;

fn main() {
    divan::main();
}

/// Six seconds of event time, a report for each, which is 50,000 records; the signatures in them are on nodes all over, so
/// that the correlator has something to explain.
#[divan::bench(sample_count = 10)]
fn engine(bencher: Bencher) {
    let per_flush = common::size(50_000, 1_000);
    let records = common::chatter(6 * per_flush);
    let bytes: usize = records.iter().map(|record| record.value.len()).sum();
    let build = || {
        let options = Options {
            cluster: "default".into(),
            limits: Limits::default(),
            prefilter: true,
            redactor: Redactor::standard(),
        };
        let mut engine = Engine::new(common::matcher(), options, correlator::Options::default());
        let slot = engine.assign(common::partition(), Input::new(Format::Auto, Expect::Logs));
        (engine, slot)
    };
    let bencher = bencher.counter(ItemsCount::new(records.len())).counter(BytesCount::new(bytes));
    bencher.with_inputs(build).bench_local_values(|(mut engine, slot)| {
        let mut alerts = 0;
        for (offset, record) in (0..).zip(&records) {
            engine.scan(slot, &common::record(offset, &record.value)).expect("chatter is well-formed");
            if engine.is_full() || (offset as usize + 1).is_multiple_of(per_flush) {
                alerts += engine.flush().alerts.len();
            }
        }
        (engine, alerts)
    });
}
