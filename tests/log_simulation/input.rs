//! What clusters write: lines of pods that live, and of pods that fail together for a while.

use faultline::record::Partition;
use faultline::time::Timestamp;

use super::random::Random;

pub const PARTITIONS: usize = 3;
pub const CLUSTERS: [&str; 3] = ["east", "north", "west"];
/// What makes a line a match.
const FAILURE: &str = "crashed";

/// Seconds of event time.
const END: i64 = 220;
const NODES: i64 = 3;
const WORKLOADS: i64 = 3;

pub struct Record {
    pub value: Vec<u8>,
    /// Kafka's time, and when it can be read: milliseconds of the simulation.
    pub arrives: i64,
    pub cluster: usize,
    pub is_match: bool,
}

/// Every partition's records in order; the offset is the place.
pub struct Input {
    pub partitions: Vec<Vec<Record>>,
    /// The clusters and nodes that fail, in order of time.
    pub faults: Vec<(usize, i64)>,
}

pub fn timestamp(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_772_352_000_000 + millis)
}

pub fn partition(index: usize) -> Partition {
    Partition { topic: "logs".into(), partition: index as i32 }
}

struct Fault {
    cluster: usize,
    node: i64,
    from: i64,
    to: i64,
}

impl Fault {
    fn of(cluster: usize, random: &mut Random) -> Self {
        let from = random.between(60, 90) * 1000;
        Fault { cluster, node: random.between(0, NODES - 1), from, to: from + random.between(20, 40) * 1000 }
    }
}

impl Input {
    pub fn new(random: &mut Random) -> Self {
        // A shipper that keys by pod, or one that does not.
        let pinned = random.chance(50);
        let mut faults = Vec::new();
        for cluster in 0..CLUSTERS.len() - 1 {
            if random.chance(80) {
                faults.push(Fault::of(cluster, random));
            }
        }
        let mut lines = Vec::new();
        for cluster in 0..CLUSTERS.len() {
            for pod in 0..NODES * WORKLOADS {
                let fault = faults.iter().find(|fault| fault.cluster == cluster && fault.node == pod % NODES);
                write_lines(&mut lines, (cluster, pod), fault, random);
            }
        }
        lines.sort_by_key(|(written, ..)| *written);
        let mut partitions: Vec<Vec<Record>> = (0..PARTITIONS).map(|_| Vec::new()).collect();
        for (written, said, (cluster, pod), is_match) in lines {
            let at = if pinned { (cluster + pod as usize) % PARTITIONS } else { random.index(PARTITIONS) };
            let value = line((cluster, pod), said, is_match).into_bytes();
            partitions[at].push(Record { value, arrives: written, cluster, is_match });
            if random.permille(4) {
                let garbage = b"{\"cut off".to_vec();
                partitions[at].push(Record { value: garbage, arrives: written, cluster, is_match: false });
            }
        }
        Input { partitions, faults: faults.iter().map(|fault| (fault.cluster, fault.node)).collect() }
    }

    pub fn end(&self, partition: usize) -> i64 {
        self.partitions[partition].len() as i64
    }

    /// The end as a broker would tell it at that moment.
    pub fn end_at(&self, partition: usize, now: i64) -> i64 {
        self.partitions[partition].partition_point(|record| record.arrives <= now) as i64
    }

    pub fn matches(&self, cluster: usize) -> usize {
        self.partitions.iter().flatten().filter(|record| record.cluster == cluster && record.is_match).count()
    }
}

/// When it was written, what time it says, who writes, and whether it tells of a failure.
type Line = (i64, i64, (usize, i64), bool);

fn write_lines(lines: &mut Vec<Line>, pod: (usize, i64), fault: Option<&Fault>, random: &mut Random) {
    if pod.0 == CLUSTERS.len() - 1 {
        return write_seldom(lines, pod, random);
    }
    let mut at = random.between(0, 7_000);
    let mut failed = 0;
    while at < END * 1000 {
        let fails = fault.is_some_and(|fault| fault.from <= at && at < fault.to);
        // A line is read a little later than it was written.
        lines.push((at + random.between(0, 900), at, pod, fails));
        failed += i64::from(fails);
        at += if fails { random.between(4_000, 7_000) } else { random.between(5_000, 11_000) };
        if let Some(fault) = fault.filter(|fault| failed == 0 && at > fault.from) {
            at = fault.from + random.between(0, 4_000);
            failed = 1;
        }
    }
}

/// A cluster that is nearly always silent: it is forgotten in between, but not what was read of it.
fn write_seldom(lines: &mut Vec<Line>, pod: (usize, i64), random: &mut Random) {
    for at in [random.between(5_000, 15_000), random.between(150_000, 170_000)] {
        lines.push((at + random.between(0, 900), at, pod, pod.1 == 0));
    }
}

fn line((cluster, pod): (usize, i64), said: i64, is_match: bool) -> String {
    let (workload, node, time) = (pod / NODES, pod % NODES, timestamp(said));
    let what = if is_match { FAILURE } else { "served" };
    let name = CLUSTERS[cluster];
    format!(
        r#"{{"time":"{time}","log":"it {what}","cluster":"{name}","kubernetes":{{"pod_name":"w{workload}-5d4f6b7c8-n{node}abc","namespace_name":"shop","host":"n{node}","container_name":"main"}}}}"#
    )
}
