//! The correlate stage: reports in, without the scan stage before them.

use std::ops::Range;

use divan::counter::ItemsCount;
use divan::{AllocProfiler, Bencher};
use faultline::correlator::{Correlator, Options};
use faultline::report::Report;
use faultline::shard::snapshot::{Gatherer, Slot, Snapshot, pack};

use cluster::Cluster;

#[path = "common/cluster.rs"]
mod cluster;
mod common;

/// How much memory a correlator takes is a result too.
#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

const NODES: [usize; 2] = [200, 5_000];
/// One pod in so many writes between two reports.
const SHARE: usize = 30;
/// The default distance between two evaluations, in seconds.
const SLIDE: i64 = 5;
/// The default of `limits.snapshot_chunk_bytes`.
const CHUNK_BYTES: usize = 512 << 10;

fn main() {
    divan::main();
}

fn nodes(measured: usize) -> usize {
    common::size(measured, measured / 10)
}

fn correlator() -> Correlator {
    Correlator::new("default".into(), common::rules(), Options::default())
}

/// The correlator knows every pod of the cluster, for longer than its warm-up.
fn settled(cluster: &mut Cluster) -> Correlator {
    let mut correlator = correlator();
    for _ in 0..3 * SHARE {
        correlator.apply(&cluster.healthy(1, SHARE));
    }
    assert_eq!(correlator.sizes().pods, cluster.pods());
    correlator
}

/// A report of one second in which all is well.
#[divan::bench(args = NODES)]
fn healthy_report(bencher: Bencher, size: usize) {
    let mut cluster = Cluster::new(nodes(size));
    let mut correlator = settled(&mut cluster);
    let pods = cluster.pods() / SHARE;
    let inputs = || cluster.healthy(1, SHARE);
    let apply = |report: Report| correlator.apply(&report);
    bencher.counter(ItemsCount::new(pods)).with_inputs(inputs).bench_local_values(apply);
}

/// A report after which the windows are evaluated while all pods of a node fail that ran well before: every running
/// pod of the cluster is comparable with them.
#[divan::bench(args = NODES)]
fn broken_node(bencher: Bencher, size: usize) {
    failing(bencher, nodes(size), 7..8);
}

/// The same where every pod of every node fails.
#[divan::bench(args = [200], sample_count = 10)]
fn outage(bencher: Bencher, size: usize) {
    failing(bencher, nodes(size), 0..nodes(size));
}

/// The state of every pod into messages for the state's topic: what a snapshot holds the correlate stage up for.
#[divan::bench(args = NODES, sample_count = 10)]
fn write_snapshot(bencher: Bencher, size: usize) {
    let correlator = settled(&mut Cluster::new(nodes(size)));
    bencher.bench_local(|| {
        let state = correlator.save().expect("it is saved");
        let bytes = state.len();
        let messages = pack(&Snapshot { next: 1, state }, "g/0/", Slot::A, CHUNK_BYTES).expect("it is packed");
        (bytes, messages)
    });
}

/// From these messages to a correlator that goes on, without the reports after it.
#[divan::bench(args = NODES, sample_count = 10)]
fn restore_snapshot(bencher: Bencher, size: usize) {
    let correlator = settled(&mut Cluster::new(nodes(size)));
    let snapshot = Snapshot { next: 1, state: correlator.save().expect("it is saved") };
    let messages = pack(&snapshot, "g/0/", Slot::A, CHUNK_BYTES).expect("it is packed");
    bencher.bench_local(|| {
        let mut gatherer = Gatherer::new("g/0/".to_owned());
        messages.iter().for_each(|message| gatherer.add(message.key.as_bytes(), &message.value));
        let (_, found) = gatherer.before(1).next().expect("it is whole");
        let state = found.expect("it is unpacked").state;
        Correlator::restore(&state, common::rules(), Options::default()).expect("it is restored")
    });
}

fn failing(bencher: Bencher, nodes: usize, broken: Range<usize>) {
    let mut cluster = Cluster::new(nodes);
    let mut correlator = settled(&mut cluster);
    for _ in 0..SHARE {
        correlator.apply(&cluster.healthy(SLIDE, SHARE));
    }
    let mut alerts = Vec::new();
    for _ in 0..4 {
        alerts.extend(correlator.apply(&cluster.broken(SLIDE, SHARE, broken.clone())).alerts);
    }
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    let inputs = || cluster.broken(SLIDE, SHARE, broken.clone());
    bencher.with_inputs(inputs).bench_local_values(|report| correlator.apply(&report).counts.evaluations);
}

/// A report of pods that nobody has heard of, when as many are known as may be: every second or so makes room.
#[divan::bench(args = NODES)]
fn crowded(bencher: Bencher, size: usize) {
    let mut cluster = Cluster::new(nodes(size));
    let mut options = Options::default();
    options.limits.pods = cluster.pods();
    let mut correlator = Correlator::new("default".into(), common::rules(), options);
    for _ in 0..SHARE {
        correlator.apply(&cluster.healthy(1, SHARE));
    }
    let mut renamed = 0;
    let inputs = || {
        let mut report = cluster.healthy(1, SHARE);
        renamed += 1;
        report.pods.iter_mut().for_each(|pod| pod.name = format!("{}-{renamed}", pod.name).into());
        report
    };
    bencher.with_inputs(inputs).bench_local_values(|report| correlator.apply(&report).counts.evicted_pods);
}

/// Learning a whole cluster from reports as they are read from Kafka; the peak of allocations is the correlator's size
/// and one report.
#[divan::bench(args = NODES, sample_count = 5)]
fn learning(bencher: Bencher, size: usize) {
    let mut cluster = Cluster::new(nodes(size));
    let pods = cluster.pods();
    let reports: Vec<String> = (0..SHARE)
        .map(|_| serde_json::to_string(&cluster.healthy(1, SHARE)).expect("a report has no odd keys"))
        .collect();
    bencher.counter(ItemsCount::new(pods)).with_inputs(correlator).bench_local_values(|mut correlator| {
        for report in &reports {
            correlator.apply(&serde_json::from_str(report).expect("it has just been written"));
        }
        assert_eq!(correlator.sizes().pods, pods);
        correlator
    });
}
