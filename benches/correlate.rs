//! The correlate stage: reports in, without the scan stage before them.

use std::ops::Range;

use divan::counter::ItemsCount;
use divan::{AllocProfiler, Bencher};
use faultline::correlator::{Correlator, Options};
use faultline::report::Report;

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
