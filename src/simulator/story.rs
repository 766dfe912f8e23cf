//! One stretch of a cluster's life while it is being written.

use std::time::Duration;

use super::build::{self, Wishes};
use super::cluster::{Cluster, NodeId, PodId, WorkloadId};
use super::delivery::Delivery;
use super::formats::{EventFormat, LogFormat};
use super::journal::{About, Happening, Journal, Manner, Reporter, hash};
use super::life::{Teller, Trouble};
use super::symptom::{Habitat, Symptom};
use super::{Kind, Setup, Span};
use crate::alert::Suspect;
use crate::scenario::rng::Rng;
use crate::time::Timestamp;

/// 2026-11-22T14:00:00Z: as good as any, and always the same.
const START: Timestamp = Timestamp::from_millis(1_795_356_000_000);

pub(super) struct Story {
    pub(super) kind: Kind,
    pub(super) seed: u64,
    pub(super) rng: Rng,
    pub(super) cluster: Cluster,
    pub(super) journal: Journal,
    pub(super) span: Span,
    /// When the fault, or the change that is none, begins.
    pub(super) onset: Timestamp,
    pub(super) faults: Vec<Plan>,
    /// Pods with troubles of their own, and which.
    pub(super) background: Vec<(PodId, &'static str)>,
    pub(super) delivery: Delivery,
    pub(super) silence: Option<Span>,
}

/// A fault as it was planned.
pub(super) struct Plan {
    pub(super) suspect: Suspect,
    pub(super) also_right: Vec<Suspect>,
    pub(super) grew_from: Vec<Suspect>,
    pub(super) pods: Vec<PodId>,
    pub(super) began: Timestamp,
}

/// What a kind of case needs before anything happens.
pub(super) struct Frame {
    pub(super) wishes: Wishes,
    /// How long it is watched; `None`: the seed decides.
    pub(super) minutes: Option<u64>,
    pub(super) logs: bool,
    pub(super) events: bool,
    pub(super) hosts_in_events: bool,
}

impl Story {
    pub(super) fn begin(setup: &Setup, frame: &Frame, most_chatter_lines: u64) -> Self {
        let mut rng = Rng::new(Rng::new(setup.seed).next() ^ hash(setup.kind.name()));
        let mut cluster = build::build(&mut rng, setup.nodes, frame.wishes);
        let minutes = frame.minutes.unwrap_or_else(|| rng.between(12, 22));
        let length = Duration::from_secs(60 * minutes);
        build::bound_chatter(&mut cluster, length, most_chatter_lines);
        let span = Span { from: START, to: START.saturating_add(length) };
        let manner = manner(&mut rng, frame);
        let journal = Journal::new(rng.next(), manner, span);
        let onset = START.saturating_add(rng.millis(180_000, 360_000));
        let delivery = Delivery::usual(&mut rng);
        Story {
            kind: setup.kind,
            seed: setup.seed,
            rng,
            cluster,
            journal,
            span,
            onset,
            faults: Vec::new(),
            background: Vec::new(),
            delivery,
            silence: None,
        }
    }

    /// Each pod lives its life. Returns when those that recovered ran again.
    pub(super) fn live(&mut self) -> Vec<Option<Timestamp>> {
        let Story { cluster, journal, rng, .. } = self;
        (0..cluster.pods.len()).map(|id| Teller { cluster, journal, rng, id }.tell()).collect()
    }

    pub(super) fn after_onset(&mut self, least_ms: u64, most_ms: u64) -> Timestamp {
        self.onset.saturating_add(self.rng.millis(least_ms, most_ms))
    }

    /// A way to fail; one that is logged where logs are all there is.
    pub(super) fn symptom(&mut self, habitat: Habitat) -> &'static Symptom {
        if self.journal.manner.events.is_some() {
            habitat.pick(&mut self.rng)
        } else {
            habitat.pick_logged(&mut self.rng)
        }
    }

    /// The pods fail from within `spread` after `from` on.
    pub(super) fn strike(&mut self, pods: &[PodId], symptom: &'static Symptom, from: Timestamp, spread: Duration) {
        for &pod in pods {
            let from = from.saturating_add(self.rng.millis(0, spread.as_millis() as u64));
            self.cluster.pods[pod].life.trouble = Some(Trouble { symptom, from, cure: None, is_old: false });
        }
    }

    pub(super) fn accuse(&mut self, suspect: Suspect, pods: Vec<PodId>) -> &mut Plan {
        let began = self.onset;
        self.faults.push(Plan { suspect, also_right: Vec::new(), grew_from: Vec::new(), pods, began });
        let last = self.faults.len() - 1;
        &mut self.faults[last]
    }

    /// The node is at fault for these pods. A pool of one node is the same.
    pub(super) fn accuse_node(&mut self, node: NodeId, pods: Vec<PodId>) {
        let pool = self.cluster.nodes[node].pool.clone();
        let alone = pool.filter(|pool| self.cluster.nodes_of_pool(pool).len() == 1);
        let suspect = Suspect::Node(self.cluster.nodes[node].name.as_str().into());
        let plan = self.accuse(suspect, pods);
        plan.also_right.extend(alone.map(|pool| Suspect::NodePool(pool.into())));
    }

    /// The workload is at fault for these pods, or the image that they run.
    pub(super) fn accuse_workload(&mut self, workload: WorkloadId, pods: Vec<PodId>) {
        let image = pods.first().map(|&pod| self.cluster.pods[pod].identity.container_image.clone());
        let key = self.cluster.workloads[workload].key();
        let plan = self.accuse(Suspect::Workload(key.into()), pods);
        plan.also_right.extend(image.map(|image| Suspect::Image(image.into())));
    }

    pub(super) fn node_event(&mut self, at: Timestamp, by: Reporter, node: NodeId, reason: &str, message: &str) {
        let is_warning = reason == "Rebooted";
        let happening = Happening { by, about: About::Node(node), reason, message, is_warning };
        self.journal.event(&self.cluster, at, &happening, None);
    }

    /// A controller on an object of its own.
    pub(super) fn control(
        &mut self,
        at: Timestamp,
        by: &'static str,
        (kind, namespace, name): (&str, &str, &str),
        reason: &str,
        message: &str,
    ) {
        let by = Reporter::Controller(by);
        let about = About::Object(kind, namespace, name);
        let happening = Happening { by, about, reason, message, is_warning: false };
        self.journal.event(&self.cluster, at, &happening, None);
    }
}

fn manner(rng: &mut Rng, frame: &Frame) -> Manner {
    let formats = [
        LogFormat::FluentBit,
        LogFormat::FluentBit,
        LogFormat::FluentBitUnparsed,
        LogFormat::Vector { node_labels: true },
        LogFormat::Vector { node_labels: false },
    ];
    let logs = *rng.pick(&formats);
    let events = *rng.pick(&[EventFormat::Core, EventFormat::Eventrouter]);
    Manner {
        logs: frame.logs.then_some(logs),
        events: frame.events.then_some(events),
        hosts_in_events: frame.hosts_in_events,
        new_scheduler: rng.chance(50),
    }
}
