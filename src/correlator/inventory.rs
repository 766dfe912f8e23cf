//! What is known of a cluster's pods and nodes, learnt from the records alone.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::names;
use crate::report::{self, ChangeKind};
use crate::time::Timestamp;

use super::Limits;
use super::fairness::{self, Tenant};
use super::heard::{self, Heard};

/// `namespace/name`. Names, not uids: a log shipper may know the one and the events the other.
pub type PodKey = Arc<str>;

pub fn pod_key(namespace: &str, name: &str) -> PodKey {
    format!("{namespace}/{name}").into()
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PodFacts {
    pub name: Arc<str>,
    pub uid: Option<Arc<str>>,
    pub workload: Arc<str>,
    pub node: Option<Arc<str>>,
    pub image: Option<Arc<str>>,
    pub first_seen: Timestamp,
    /// When it wrote log lines or events spoke of it.
    pub heard: Heard,
    /// When the scheduler placed it, if that was seen.
    pub placed: Option<Timestamp>,
    /// Newest container start that an event told.
    pub started: Option<Timestamp>,
    /// Newest time at which it wrote a log line.
    pub last_logged: Option<Timestamp>,
    pub stopping: Option<Timestamp>,
}

/// How long a pod that is being stopped may go on writing: twice the usual grace period.
const LAST_WORDS: Duration = Duration::from_secs(60);

impl PodFacts {
    fn new(pod: &report::Pod, at: Timestamp, names: &mut Names) -> Self {
        PodFacts {
            name: Arc::clone(&pod.name),
            uid: pod.uid.clone(),
            workload: names.shared(&pod.workload),
            node: pod.node.as_ref().map(|node| names.shared(node)),
            image: pod.image.as_ref().map(|image| names.shared(image)),
            first_seen: at,
            heard: Heard::at(at),
            placed: None,
            started: None,
            last_logged: None,
            stopping: None,
        }
    }

    /// Whether it was told to stop and has neither started since nor written more than its last words.
    pub fn is_gone(&self) -> bool {
        let Some(stopping) = self.stopping else { return false };
        let spoke = self.last_logged.is_some_and(|at| at.since(stopping) > LAST_WORDS);
        !spoke && self.started.is_none_or(|started| started <= stopping)
    }
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct NodeFacts {
    pub pool: Option<Arc<str>>,
    /// Newest record that named it.
    pub last_seen: Timestamp,
    /// Records that were written there: a pod's log line, or its kubelet's event. What the control plane says of a node is
    /// no sign of its life.
    pub heard: Option<Heard>,
    pub not_ready: Option<Timestamp>,
    /// Cordoned or removed: what happens there is somebody's doing.
    pub leaving: Option<Timestamp>,
    pub removed: Option<Timestamp>,
    /// The namespace whose pods named it first.
    named_by: Option<Tenant>,
    /// Pods of a second namespace named it too, or an event is about it: no tenant made it up.
    vouched: bool,
}

impl NodeFacts {
    fn vouch(&mut self, word: Word) {
        match word {
            Word::OfTenant(tenant) => match self.named_by {
                None | Some(Tenant::NOBODY) => self.named_by = Some(tenant),
                Some(first) => self.vouched |= first != tenant && tenant != Tenant::NOBODY,
            },
            Word::AboutNode => self.vouched = true,
        }
    }

    /// On whose account it is, while nobody else vouches for it.
    pub fn tenant(&self) -> Option<Tenant> {
        self.named_by.filter(|_| !self.vouched)
    }
}

/// Who says that a node is there.
#[derive(Clone, Copy, Debug)]
pub enum Word {
    /// A record of one of its pods, or of nobody known.
    OfTenant(Tenant),
    /// An event that is about the node itself.
    AboutNode,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Inventory {
    pub pods: BTreeMap<PodKey, PodFacts>,
    pub nodes: BTreeMap<Arc<str>, NodeFacts>,
    #[serde(skip)]
    names: Names,
    /// Whether the scheduler's placements are among the records.
    pub sees_placements: bool,
    /// Whether Kubernetes events are among the records.
    pub sees_events: bool,
    /// The newest record of any pod.
    newest: Timestamp,
    #[serde(skip)]
    limits: Limits,
    #[serde(skip)]
    pub evicted_pods: u64,
    #[serde(skip)]
    pub evicted_nodes: u64,
}

/// Workloads, nodes and images, each kept once however many reports name it: a third of the memory, and two pods that
/// have one in common are seen to at a glance.
#[derive(Clone, Debug, Default)]
struct Names {
    known: BTreeSet<Arc<str>>,
    /// With so many of them it is time to look which are used.
    enough: usize,
}

/// Fewer names are not worth a look.
const FEW_NAMES: usize = 1024;

impl Names {
    fn shared(&mut self, name: &Arc<str>) -> Arc<str> {
        if let Some(known) = self.known.get(name) {
            return Arc::clone(known);
        }
        if self.known.len() >= self.enough.max(FEW_NAMES) {
            self.forget_unused();
        }
        self.known.insert(Arc::clone(name));
        Arc::clone(name)
    }

    /// Nothing is decided by who else holds a name: one that comes back is kept anew. There are never more than twice as
    /// many as pods use.
    fn forget_unused(&mut self) {
        self.known.retain(|name| Arc::strong_count(name) > 1);
        self.enough = 2 * self.known.len();
    }
}

impl Inventory {
    pub fn new(limits: Limits) -> Self {
        Inventory {
            pods: BTreeMap::new(),
            nodes: BTreeMap::new(),
            names: Names::default(),
            sees_placements: false,
            sees_events: false,
            newest: Timestamp::default(),
            limits,
            evicted_pods: 0,
            evicted_nodes: 0,
        }
    }

    #[cfg(test)]
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// For a state that was saved: settings are not part of it, and names are to be shared again.
    pub fn under(mut self, limits: Limits) -> Self {
        self.limits = limits;
        for pod in self.pods.values_mut() {
            pod.workload = self.names.shared(&pod.workload);
            let shared = [&mut pod.node, &mut pod.image].into_iter().flatten();
            shared.for_each(|name| *name = self.names.shared(name));
        }
        self
    }

    /// A record spoke of the pod at `at`. Newer facts win; a fact that a record lacks is kept.
    pub fn saw(&mut self, pod: &report::Pod, at: Timestamp) -> PodKey {
        self.note(pod, at, at, None)
    }

    /// It wrote log lines from `first` to `last`.
    pub fn saw_logs(&mut self, pod: &report::Pod, first: Timestamp, last: Timestamp) -> PodKey {
        self.note(pod, first, last, Some(last))
    }

    fn note(&mut self, pod: &report::Pod, first: Timestamp, last: Timestamp, logged: Option<Timestamp>) -> PodKey {
        if let Some(node) = &pod.node {
            self.saw_node(node, last, Word::OfTenant(Tenant::named(&pod.namespace)));
            if logged.is_some() {
                self.heard_node(node, last);
            }
            if let (Some(pool), Some(facts)) = (&pod.node_pool, self.nodes.get_mut(node)) {
                // What a label says is surer than what the node's name looks like.
                replace(&mut facts.pool, &pod.node_pool, |_| self.names.shared(pool));
            }
        }
        self.newest = self.newest.max(last);
        let names = &mut self.names;
        // One key for all that is known of a pod.
        let (key, known) = match self.pods.entry(pod_key(&pod.namespace, &pod.name)) {
            Entry::Occupied(known) => (Arc::clone(known.key()), known.into_mut()),
            Entry::Vacant(place) => (Arc::clone(place.key()), place.insert(PodFacts::new(pod, first, names))),
        };
        let reborn = matches!((&known.uid, &pod.uid), (Some(old), Some(new)) if old != new);
        let is_newest = last >= known.heard.to;
        if reborn && is_newest {
            // A StatefulSet's pod under its old name, perhaps on another node.
            *known = PodFacts::new(pod, first, names);
        }
        known.first_seen = known.first_seen.min(first);
        known.heard = known.heard.and(Heard { from: first, to: last });
        known.last_logged = known.last_logged.max(logged);
        if is_newest {
            replace(&mut known.node, &pod.node, |node| names.shared(node));
            replace(&mut known.image, &pod.image, |image| names.shared(image));
            replace(&mut known.uid, &pod.uid, Arc::clone);
        } else {
            known.node = known.node.take().or_else(|| pod.node.as_ref().map(|node| names.shared(node)));
            known.image = known.image.take().or_else(|| pod.image.as_ref().map(|image| names.shared(image)));
            known.uid = known.uid.take().or_else(|| pod.uid.clone());
        }
        self.bound_pods();
        key
    }

    pub fn saw_node(&mut self, node: &Arc<str>, at: Timestamp, word: Word) {
        let known = self
            .nodes
            .entry(Arc::clone(node))
            .or_insert_with(|| NodeFacts { pool: names::node_pool(node).map(Into::into), ..NodeFacts::default() });
        known.last_seen = known.last_seen.max(at);
        known.vouch(word);
        if self.nodes.len() > self.limits.nodes {
            self.evicted_nodes += fairness::evict(&mut self.nodes, |_, node| node.tenant(), |node| node.last_seen);
        }
    }

    /// The node itself wrote something.
    pub fn heard_node(&mut self, node: &str, at: Timestamp) {
        if let Some(known) = self.nodes.get_mut(node) {
            heard::merge(&mut known.heard, Heard::at(at));
        }
    }

    pub fn change_pod(&mut self, pod: &report::Pod, kind: ChangeKind, at: Timestamp) {
        self.sees_events = true;
        let key = self.saw(pod, at);
        if let Some(node) = pod.node.as_ref().filter(|_| kind != ChangeKind::PodPlaced) {
            self.heard_node(node, at);
        }
        let Some(known) = self.pods.get_mut(&key) else { return };
        match kind {
            ChangeKind::PodPlaced => {
                known.placed = known.placed.max(Some(at));
                self.sees_placements = true;
            }
            ChangeKind::PodStarted => known.started = known.started.max(Some(at)),
            ChangeKind::PodStopping => known.stopping = known.stopping.max(Some(at)),
            _ => {}
        }
    }

    pub fn change_node(&mut self, node: &Arc<str>, kind: ChangeKind, at: Timestamp) {
        self.sees_events = true;
        self.saw_node(node, at, Word::AboutNode);
        let Some(known) = self.nodes.get_mut(node) else { return };
        match kind {
            ChangeKind::NodeNotReady => known.not_ready = Some(at),
            ChangeKind::NodeReady => {
                known.not_ready = None;
                // It came back under its name.
                if known.removed.is_some_and(|removed| removed < at) {
                    (known.leaving, known.removed) = (None, None);
                }
            }
            ChangeKind::NodeCordoned => known.leaving = Some(at),
            ChangeKind::NodeRemoved => (known.leaving, known.removed) = (Some(at), Some(at)),
            ChangeKind::NodeUncordoned => known.leaving = None,
            _ => {}
        }
    }

    /// Until when anybody was heard of: that a pod is silent after that says nothing.
    pub fn heard_until(&self, now: Timestamp) -> Timestamp {
        now.min(self.newest)
    }

    /// On whose account a node is; `None`: somebody vouches for it, or it is not known.
    pub fn tenant_of_node(&self, node: &str) -> Option<Tenant> {
        self.nodes.get(node)?.tenant()
    }

    pub fn pool_of(&self, node: &str) -> Option<&Arc<str>> {
        self.nodes.get(node)?.pool.as_ref()
    }

    /// Forgets pods and nodes that nothing spoke of for the limits' `pod_ttl`.
    pub fn expire(&mut self, now: Timestamp) {
        let oldest = now.saturating_sub(self.limits.pod_ttl);
        self.pods.retain(|_, pod| pod.heard.to >= oldest);
        self.nodes.retain(|_, node| node.last_seen >= oldest);
        self.names.forget_unused();
    }

    fn bound_pods(&mut self) {
        if self.pods.len() > self.limits.pods {
            self.evicted_pods +=
                fairness::evict(&mut self.pods, |key, _| Some(Tenant::of_pod(key)), |pod| pod.heard.to);
            self.names.forget_unused();
        }
    }
}

fn replace(known: &mut Option<Arc<str>>, newer: &Option<Arc<str>>, keep: impl FnOnce(&Arc<str>) -> Arc<str>) {
    if let Some(newer) = newer
        && known.as_ref() != Some(newer)
    {
        *known = Some(keep(newer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_tells_the_pool_better_than_the_nodes_name() {
        let mut inventory = Inventory::new(Limits::default());
        let pod = |pool: Option<&str>| report::Pod {
            namespace: "shop".into(),
            name: "cd-0".into(),
            workload: "shop/cd".into(),
            node: Some("gke-prod-gpu-2b6d1f2e-x7k2".into()),
            node_pool: pool.map(Into::into),
            ..report::Pod::default()
        };
        let pool = |inventory: &Inventory| inventory.pool_of("gke-prod-gpu-2b6d1f2e-x7k2").map(ToString::to_string);
        inventory.saw(&pod(None), Timestamp::from_millis(1));
        assert_eq!(pool(&inventory).as_deref(), Some("prod-gpu"));
        inventory.saw(&pod(Some("gpu")), Timestamp::from_millis(2));
        inventory.saw(&pod(None), Timestamp::from_millis(3));
        assert_eq!(pool(&inventory).as_deref(), Some("gpu"));
    }
}
