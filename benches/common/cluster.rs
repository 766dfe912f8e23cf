//! Reports of a cluster, second by second, without the scan stage before them.

use std::collections::BTreeSet;
use std::ops::Range;

use faultline::record::Partition;
use faultline::report::{Match, Pod, Presence, Progress, Report, VERSION};
use faultline::time::Timestamp;

/// Pods on every node; each workload runs on every fifth node.
pub struct Cluster {
    pods: Vec<Pod>,
    seconds: i64,
    reports: usize,
    offset: i64,
}

const PODS_PER_NODE: usize = 30;
const WORKLOADS: usize = PODS_PER_NODE * 5;

impl Cluster {
    pub fn new(nodes: usize) -> Self {
        let pods = (0..nodes).flat_map(|node| (0..PODS_PER_NODE).map(move |place| pod(node, place)));
        Cluster { pods: pods.collect(), seconds: 0, reports: 0, offset: 0 }
    }

    pub fn pods(&self) -> usize {
        self.pods.len()
    }

    /// `elapsed` seconds after the last report: one pod in `share` has written lines.
    pub fn healthy(&mut self, elapsed: i64, share: usize) -> Report {
        self.seconds += elapsed;
        self.reports += 1;
        let (now, turn) = (self.now(), self.reports % share);
        let mut report = self.empty();
        for pod in self.pods.iter().skip(turn).step_by(share) {
            let index = report.pods.len() as u32;
            report.pods.push(pod.clone());
            report.presence.push(Presence { pod: index, first: now, last: now, records: 5 });
        }
        report.partitions.push(self.progress(1_000));
        report
    }

    /// The same, but the pods of these nodes fail.
    pub fn broken(&mut self, elapsed: i64, share: usize, nodes: Range<usize>) -> Report {
        let mut report = self.healthy(elapsed, share);
        let broken = &self.pods[nodes.start * PODS_PER_NODE..nodes.end * PODS_PER_NODE];
        let names: BTreeSet<_> = broken.iter().map(|pod| &pod.node).collect();
        report.presence.retain(|presence| !names.contains(&report.pods[presence.pod as usize].node));
        for pod in broken {
            let index = report.pods.len() as u32;
            report.pods.push(pod.clone());
            report.matches.push(matched(index, self.offset - 1, self.now()));
        }
        report
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_millis(super::common::start().as_millis() + self.seconds * 1000)
    }

    fn empty(&self) -> Report {
        Report {
            version: VERSION,
            cluster: Some("default".into()),
            more: false,
            scanner: "bench".into(),
            sequence: self.reports as u64,
            flushed_at: Timestamp::default(),
            partitions: Vec::new(),
            pods: Vec::new(),
            presence: Vec::new(),
            matches: Vec::new(),
            changes: Vec::new(),
        }
    }

    fn progress(&mut self, records: i64) -> Progress {
        let first = self.offset;
        self.offset += records;
        Progress {
            partition: Partition { topic: "container-logs".into(), partition: 0 },
            first,
            next: self.offset,
            records: records as u64,
            watermark: Some(self.now()),
            ..Progress::default()
        }
    }
}

/// As read from a report: every pod has its own copies of all names.
fn pod(node: usize, place: usize) -> Pod {
    let workload = format!("service-{}", place * 5 + node % 5);
    debug_assert!(place * 5 + node % 5 < WORKLOADS);
    Pod {
        namespace: "shop".into(),
        name: format!("{workload}-7d9f8b6c5d-{}", suffix(node * PODS_PER_NODE + place)).into(),
        uid: Some(format!("b1c54c0e-6a0b-4f5e-9d0f-{node:06}{place:06}").into()),
        node: Some(format!("aks-linux-12345678-vmss{node:06}").into()),
        workload: format!("shop/{workload}").into(),
        image: Some(format!("registry.example.com/shop/{workload}:1.28.0").into()),
        ..Pod::default()
    }
}

/// Five letters as Kubernetes' name generator would append.
fn suffix(mut number: usize) -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut letters = || {
        let letter = LETTERS[number % LETTERS.len()];
        number /= LETTERS.len();
        char::from(letter)
    };
    std::iter::repeat_with(&mut letters).take(5).collect()
}

fn matched(pod: u32, offset: i64, time: Timestamp) -> Match {
    Match {
        partition: 0,
        offset,
        time,
        rule: "windows-entrypoint-failed".into(),
        pod: Some(pod),
        node: None,
        captures: [("code".into(), "216".to_owned())].into(),
        sample: None,
        event: None,
    }
}
