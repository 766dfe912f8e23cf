//! What a process costs, as Linux counts it.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::PATIENCE;

/// In /proc a second has so many ticks on every architecture that Linux runs on today.
const TICKS: f64 = 100.0;

pub struct Cost {
    pub wall: Duration,
    pub cpu: Duration,
    pub broker_cpu: Duration,
    pub peak_kib: u64,
}

/// Runs it to its end.
pub fn run(mut command: Command, broker: u32) -> Cost {
    let (broker_before, children_before) = (own_cpu(broker), children_cpu());
    let began = Instant::now();
    let mut child = command.stdin(Stdio::null()).spawn().expect("the process starts");
    let mut peak_kib = 0;
    let status = loop {
        peak_kib = peak(child.id()).unwrap_or(peak_kib);
        match child.try_wait().expect("a child") {
            Some(status) => break status,
            None => std::thread::park_timeout(Duration::from_millis(10)),
        }
        assert!(began.elapsed() < PATIENCE, "it does not end");
    };
    let wall = began.elapsed();
    assert!(status.success(), "{command:?}: {status}");
    Cost { wall, cpu: children_cpu() - children_before, broker_cpu: own_cpu(broker) - broker_before, peak_kib }
}

fn own_cpu(id: u32) -> Duration {
    cpu(&id.to_string(), 0)
}

fn children_cpu() -> Duration {
    cpu("self", 2)
}

/// The fields after the name: state, 10 others, then utime, stime, and both of children that were waited for.
fn cpu(id: &str, skip: usize) -> Duration {
    let text = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    let fields = text.rsplit(") ").next().unwrap_or_default().split(' ').skip(11 + skip);
    let ticks: f64 = fields.take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    Duration::from_secs_f64(ticks / TICKS)
}

fn peak(id: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().trim_end_matches(" kB").parse().ok()
}
