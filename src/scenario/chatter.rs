//! An endless stream of log records, for benches and load.

use std::time::Duration;

use super::lines::{self, Voice};
use super::world::{Kind, Pod, Workload, World};
use super::{ScenarioRecord, Stream};
use crate::time::Timestamp;

const NODES: usize = 200;
/// Enough that neither caches nor branch predictors learn them by heart, few enough to be made at once.
const PODS: usize = 2_000;
/// One record in so many matches a rule.
const SIGNATURE_EVERY: u64 = 2_000;
/// Event time moves on by a millisecond in so many records: 50,000 a second.
const RECORDS_PER_MS: u64 = 50;

const VOICES: [Voice; 6] = [Voice::Iis, Voice::Klog, Voice::Dns, Voice::Json, Voice::Java, Voice::Agent];
const NAMES: [&str; 8] = ["cart", "catalog", "checkout", "gateway", "identity", "orders", "search", "web"];

/// See [`chatter`].
pub struct Chatter {
    world: World,
    pods: Vec<(Pod, Voice)>,
    start: Timestamp,
    written: u64,
}

/// Log records of 300 to 900 bytes from 2,000 pods on 200 nodes, of which every 2,000th says that an entrypoint
/// failed. Never ends.
pub fn chatter(start: Timestamp, seed: u64) -> Chatter {
    let mut world = World::new(seed, Timestamp::from_millis(i64::MAX), Duration::from_secs(1));
    let nodes: Vec<String> = (0..NODES).map(|index| format!("aks-linux-12345678-vmss{index:06}")).collect();
    let mut pods = Vec::with_capacity(PODS);
    for index in 0..PODS {
        let voice = VOICES[index % VOICES.len()];
        let name = NAMES[index % NAMES.len()];
        let image = "registry.example.com/shop/service";
        let workload = Workload { kind: Kind::Deployment, namespace: "shop", name, image, voice };
        let mut revision = world.revision(workload, "1.28.0");
        pods.push((world.pod(&mut revision, &nodes[index % NODES]), voice));
    }
    Chatter { world, pods, start, written: 0 }
}

impl Iterator for Chatter {
    type Item = ScenarioRecord;

    fn next(&mut self) -> Option<ScenarioRecord> {
        let at = self.start.saturating_add(Duration::from_millis(self.written / RECORDS_PER_MS));
        self.written += 1;
        let rng = &mut self.world.rng;
        let (pod, voice) = rng.pick(&self.pods);
        let (line, is_error) = if self.written.is_multiple_of(SIGNATURE_EVERY) {
            (lines::entrypoint_failed(at), false)
        } else {
            lines::line(*voice, rng, at)
        };
        let value = pod.log_record(at, &line, is_error)?;
        Some(ScenarioRecord { at, stream: Stream::Logs, key: None, value })
    }
}
