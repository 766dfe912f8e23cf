//! What others do with the same matches: the measure that faultline has to beat.
//!
//! Both read the very reports that the correlator reads, learn from them where pods run, and tell what they find at
//! once and without doubt.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::report::{Match, Pod, Report};
use crate::time::Timestamp;

mod common_factor;
mod node_threshold;

pub use common_factor::CommonFactor;
pub use node_threshold::NodeThreshold;

/// How far both look back.
const WITHIN: Duration = Duration::from_secs(300);

/// What the reports told of the pods, and how late it is.
#[derive(Default)]
struct Seen {
    pods: BTreeMap<(Arc<str>, Arc<str>), Pod>,
    /// The newest event time.
    now: Timestamp,
}

impl Seen {
    fn learn(&mut self, report: &Report) {
        for pod in &report.pods {
            let known = self.pods.entry((Arc::clone(&pod.namespace), Arc::clone(&pod.name))).or_default();
            let (node, image) = (pod.node.clone().or(known.node.take()), pod.image.clone().or(known.image.take()));
            *known = Pod { node, image, ..pod.clone() };
        }
        for change in &report.changes {
            self.place(report, change.pod, change.node.as_ref());
        }
        for matched in &report.matches {
            self.place(report, matched.pod, matched.node.as_ref());
        }
        let watermarks = report.partitions.iter().filter_map(|progress| progress.watermark);
        self.now = watermarks.chain(report.matches.iter().map(|matched| matched.time)).fold(self.now, Timestamp::max);
    }

    fn place(&mut self, report: &Report, pod: Option<u32>, node: Option<&Arc<str>>) {
        let (Some(pod), Some(node)) = (pod.and_then(|pod| report.pods.get(pod as usize)), node) else { return };
        if let Some(known) = self.pods.get_mut(&(Arc::clone(&pod.namespace), Arc::clone(&pod.name))) {
            known.node = Some(Arc::clone(node));
        }
    }

    /// The pod that a match is about, with all that is known of it.
    fn pod(&self, report: &Report, matched: &Match) -> Option<&Pod> {
        let pod = report.pods.get(matched.pod? as usize)?;
        self.pods.get(&(Arc::clone(&pod.namespace), Arc::clone(&pod.name)))
    }

    fn node(&self, report: &Report, matched: &Match) -> Option<Arc<str>> {
        matched.node.clone().or_else(|| self.pod(report, matched)?.node.clone())
    }

    fn is_old(&self, time: Timestamp) -> bool {
        self.now.since(time) > WITHIN
    }
}

#[cfg(test)]
mod tests;
