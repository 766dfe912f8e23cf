//! The correlate stage: reports in, without the scan stage before them.

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
const BROKEN: usize = 7;

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
fn localisation(bencher: Bencher, size: usize) {
    let mut cluster = Cluster::new(nodes(size));
    let mut correlator = settled(&mut cluster);
    for _ in 0..30 {
        correlator.apply(&cluster.healthy(SLIDE, SHARE));
    }
    let mut alerts = Vec::new();
    for _ in 0..4 {
        alerts.extend(correlator.apply(&cluster.broken(SLIDE, SHARE, BROKEN)).alerts);
    }
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    let inputs = || cluster.broken(SLIDE, SHARE, BROKEN);
    bencher.with_inputs(inputs).bench_local_values(|report| correlator.apply(&report).counts.evaluations);
}

/// Learning a whole cluster, one report with all of its pods; the peak of allocations is the correlator's size.
#[divan::bench(args = NODES, sample_count = 5)]
fn learning(bencher: Bencher, size: usize) {
    let mut cluster = Cluster::new(nodes(size));
    let pods = cluster.pods();
    let report = cluster.healthy(1, 1);
    bencher.counter(ItemsCount::new(pods)).with_inputs(correlator).bench_local_values(|mut correlator| {
        correlator.apply(&report);
        assert_eq!(correlator.sizes().pods, pods);
        correlator
    });
}
