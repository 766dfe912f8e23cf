//! Decoding alone, by producer: from a record's bytes to its entries.

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use faultline::decode::{Format, Input, decode};
use faultline::record::Expect;

mod common;
#[path = "common/producers.rs"]
mod producers;

const FORMATS: [Format; 7] = [
    Format::FluentBit,
    Format::Vector,
    Format::Filebeat,
    Format::OtlpJson,
    Format::Cri,
    Format::KubeEvent,
    Format::Eventrouter,
];

fn main() {
    divan::main();
}

/// `format: auto`, which recognises the producer of each record.
#[divan::bench(args = FORMATS)]
fn recognised(bencher: Bencher, format: Format) {
    run(bencher, format, Format::Auto);
}

/// The producer is named in the configuration.
#[divan::bench(args = FORMATS)]
fn configured(bencher: Bencher, format: Format) {
    run(bencher, format, format);
}

/// Entries are counted as items: a record of OTLP holds many.
fn run(bencher: Bencher, written: Format, read_as: Format) {
    let lines: Vec<String> = common::chatter(common::size(2_000, 200)).into_iter().map(|r| r.value).collect();
    let values = producers::records(written, &lines);
    let bytes: usize = values.iter().map(String::len).sum();
    let bencher = bencher.counter(ItemsCount::new(lines.len())).counter(BytesCount::new(bytes));
    bencher.bench_local(|| {
        let mut found = 0;
        let mut entries = Vec::new();
        for value in &values {
            entries.clear();
            let record = common::record(0, value);
            decode(&record, &Input::new(read_as, Expect::Either), &mut entries).expect("the records are well-formed");
            found += entries.len();
        }
        assert_eq!(found, lines.len());
    });
}
