//! The service end to end, from Kafka to Kafka, beside clients that read the same topic and drop what they read.
//!
//! `FAULTLINE_TEST_BROKER=path/to/tansu cargo bench --bench load` starts a broker, fills a topic, and lets each reader
//! read all of it in turns, every one as a process that joins a group and leaves it. Says so and does nothing where no
//! broker is given. `FAULTLINE_LOAD=records=1000000,rounds=3,compression=zstd,rules=100` sets what is measured.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

#[allow(dead_code, reason = "a part of it is for other benches")]
mod common;
#[path = "load/latency.rs"]
mod latency;
#[path = "load/process.rs"]
mod process;
#[path = "load/readers.rs"]
mod readers;
#[path = "common/signatures.rs"]
mod signatures;
#[path = "../tests/support/mod.rs"]
mod support;
#[path = "load/topic.rs"]
mod topic;

use process::Cost;
use support::Broker;

const WISHES: &str = "FAULTLINE_LOAD";

/// What is measured; each can be set.
struct Load {
    records: usize,
    rounds: usize,
    compression: String,
    rules: usize,
    readers: Vec<String>,
    /// Records a second while latency is measured; 0: it is not.
    rate: usize,
}

impl Load {
    fn from_env() -> Self {
        let mut load = Load {
            records: common::size(2_000_000, 2_000),
            rounds: common::size(5, 1),
            compression: "lz4".to_owned(),
            rules: 100,
            readers: ["poll", "many", "scan", "run", "run2"].map(str::to_owned).into(),
            rate: common::size(100_000, 0),
        };
        let wishes = std::env::var(WISHES).unwrap_or_default();
        for (key, value) in wishes.split(',').filter_map(|wish| wish.split_once('=')) {
            let number = || value.parse().unwrap_or_else(|_| panic!("{key} is no number"));
            match key {
                "records" => load.records = number(),
                "rounds" => load.rounds = number(),
                "rules" => load.rules = number(),
                "rate" => load.rate = number(),
                "readers" => load.readers = value.split('+').map(str::to_owned).collect(),
                "compression" => value.clone_into(&mut load.compression),
                _ => panic!("FAULTLINE_LOAD does not know {key}"),
            }
        }
        load
    }
}

fn main() {
    if readers::is_child() {
        return;
    }
    let Some(broker) = Broker::start() else { return };
    let load = Load::from_env();
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("rules.yaml"), signatures::text(load.rules)).expect("the rules are written");
    if load.rounds > 0 {
        throughput(&broker, &load, folder.path());
    }
    if load.rate > 0 {
        latency::measure(&broker, load.rate, folder.path());
    }
}

fn throughput(broker: &Broker, load: &Load, folder: &Path) {
    broker.create_topics(&[(topic::NAME, topic::PARTITIONS)]);
    let bytes = topic::fill(&broker.address, &load.compression, common::chatter_of(load.records));
    let mean = bytes / load.records.max(1);
    println!("{} records of {mean} bytes, {}, {} rules", load.records, load.compression, load.rules);
    let mut costs: Vec<Vec<Cost>> = load.readers.iter().map(|_| Vec::new()).collect();
    for round in 0..load.rounds {
        for (reader, costs) in load.readers.iter().zip(&mut costs) {
            let group = format!("{reader}-{round}");
            let command = command(reader, broker, &group, load.records, folder);
            costs.push(process::run(command, broker.id()));
        }
    }
    print(load, &costs);
}

fn command(reader: &str, broker: &Broker, group: &str, records: usize, folder: &Path) -> Command {
    match reader {
        "scan" => readers::service(&broker.address, group, folder, &["--until-end", "--stages", "scan"]),
        "run" => readers::service(&broker.address, group, folder, &["--until-end"]),
        "run2" => {
            let mut command = readers::service(&broker.address, group, folder, &["--until-end"]);
            command.env("FAULTLINE_SCAN__THREADS", "2");
            command
        }
        other => readers::bare(&broker.address, group, other, records),
    }
}

/// The medians of the rounds, and the first reader as the measure of the others.
fn print(load: &Load, costs: &[Vec<Cost>]) {
    println!("reader   records/s   of poll  CPU s/M  of poll  broker CPU s/M  peak MB");
    let millions = load.records as f64 / 1e6;
    let middle = |costs: &[Cost], of: fn(&Cost) -> f64| {
        let mut all: Vec<f64> = costs.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
    };
    let seconds = |cost: &Cost| cost.wall.as_secs_f64();
    let cpu = |cost: &Cost| cost.cpu.as_secs_f64();
    let broker = |cost: &Cost| cost.broker_cpu.as_secs_f64();
    let (first_seconds, first_cpu) = (middle(&costs[0], seconds), middle(&costs[0], cpu));
    for (reader, costs) in load.readers.iter().zip(costs) {
        let (seconds, cpu, broker) = (middle(costs, seconds), middle(costs, cpu), middle(costs, broker));
        let peak = costs.iter().map(|cost| cost.peak_kib / 1024).max().unwrap_or_default();
        println!(
            "{reader:8} {:9.0}  {:7.2}  {:7.2}  {:7.2}  {:14.2}  {peak:7}",
            load.records as f64 / seconds,
            first_seconds / seconds,
            cpu / millions,
            cpu / first_cpu,
            broker / millions,
        );
    }
}

/// Longer than anything takes here.
const PATIENCE: Duration = Duration::from_secs(300);
