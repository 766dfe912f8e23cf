//! From what is known at one instant to the cases that the localizer compares: which pods fail now, which of them
//! belong together, and which others could have failed and did not.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::localizer::{Case, Exposed};
use crate::names;
use crate::time::Timestamp;

use super::census::{Census, Running};
use super::failures::{Failing, Failures};
use super::inventory::{Inventory, PodFacts, PodKey};

/// Failing pods that share a signature belong together when each began to fail within this of another.
const LINK: Duration = Duration::from_secs(300);
/// A pod that started at most this long before the onset counts as a fresh start.
const FRESH_SLACK: Duration = Duration::from_secs(120);
/// A fresh start says nothing in its first seconds.
const SETTLE: Duration = Duration::from_secs(10);

/// Failing pods that look like one story, and the case to find its cause.
#[derive(Debug)]
pub struct Group {
    pub case: Case,
    pub onset: Timestamp,
}

/// What [`groups`] looks at besides the failing pods.
pub struct View<'a> {
    pub inventory: &'a Inventory,
    pub failures: &'a Failures,
    pub accused_nodes: &'a BTreeSet<Arc<str>>,
    /// Rules that say only that a pod fails, not why (`BackOff`): they tie pods together only where nothing else does.
    pub generic_rules: &'a BTreeSet<Arc<str>>,
    /// Pods first seen before this were there when the watch began: their start is unknown.
    pub known_since: Timestamp,
    pub now: Timestamp,
}

/// Splits the pods that fail now into groups and builds the case of each.
pub fn groups(view: &View<'_>, failing_now: &BTreeSet<PodKey>) -> Vec<Group> {
    // In the same order as the pods of the census, so that one walk over them will do.
    let mut failed = view.failures.pods.keys().peekable();
    let census = Census::new(view.inventory, |key, pod| {
        while failed.next_if(|other| *other < key).is_some() {}
        // A pod that failed a while ago speaks neither for nor against.
        let has_failed = failed.next_if_eq(&key).is_some();
        (!has_failed && runs_well(view, pod)).then(|| start_of(view, pod))
    });
    let population = census.population(view.inventory);
    let build = |members: BTreeSet<PodKey>| {
        let onset = onset(view, &members)?;
        let mut pods: Vec<Exposed> = members.iter().filter_map(|pod| exposed(view, pod)).collect();
        pods.extend(healthy(view, &census, &members, &pods, onset));
        let case = Case { pods, accused_nodes: view.accused_nodes.clone(), population };
        Some(Group { case, onset })
    };
    linked(view, failing_now).into_iter().filter_map(build).collect()
}

fn onset(view: &View<'_>, members: &BTreeSet<PodKey>) -> Option<Timestamp> {
    members.iter().filter_map(|pod| view.failures.pods.get(pod)).map(|failing| failing.first).min()
}

/// Connected components: a shared signature, and onsets at most [`LINK`] apart.
fn linked(view: &View<'_>, failing_now: &BTreeSet<PodKey>) -> Vec<BTreeSet<PodKey>> {
    let mut by_rule: BTreeMap<&Arc<str>, Vec<(Timestamp, &PodKey)>> = BTreeMap::new();
    for pod in failing_now {
        let Some(failing) = view.failures.pods.get(pod) else { continue };
        for rule in telling_rules(failing, view.generic_rules) {
            by_rule.entry(rule).or_default().push((failing.first, pod));
        }
    }
    let mut sets = DisjointSets::new(failing_now);
    for pods in by_rule.values_mut() {
        pods.sort_unstable();
        for pair in pods.windows(2) {
            if pair[1].0.since(pair[0].0) <= LINK {
                sets.join(pair[0].1, pair[1].1);
            }
        }
    }
    sets.into_groups()
}

/// The rules that say why the pod fails; all of them where none does.
fn telling_rules<'a>(failing: &'a Failing, generic: &'a BTreeSet<Arc<str>>) -> impl Iterator<Item = &'a Arc<str>> + 'a {
    let only_generic = failing.rules.keys().all(|rule| generic.contains(rule));
    failing.rules.keys().filter(move |rule| only_generic || !generic.contains(*rule))
}

/// Pods that could have failed like the members and did not.
///
/// Where the members failed while they ran, every pod that runs could have. Where they failed to start, old pods on
/// their nodes prove nothing: it takes pods that started since the onset, wherever they run, or siblings (same workload
/// and revision) on nodes without a failing member.
fn healthy(
    view: &View<'_>,
    census: &Census<'_>,
    members: &BTreeSet<PodKey>,
    failing: &[Exposed],
    onset: Timestamp,
) -> Vec<Exposed> {
    let facts = members.iter().filter_map(|pod| view.inventory.pods.get(pod));
    let failing_revisions: BTreeSet<_> = facts.map(revision_of).collect();
    let struck_while_running = members.iter().filter(|pod| was_running(view, pod)).count() * 2 > members.len();
    let struck = census.struck(failing);
    let oldest_start = onset.saturating_sub(FRESH_SLACK);
    census.alike(&struck, |pod: &Running<'_>| {
        let is_sibling = || {
            struck.has_workload(pod)
                && pod.facts.node.is_some()
                && !struck.has_node(pod)
                && failing_revisions.contains(&revision_of(pod.facts))
        };
        struck_while_running || pod.started.is_some_and(|at| at >= oldest_start) || is_sibling()
    })
}

/// Whether the failing pod had been there for a while when it began to fail.
fn was_running(view: &View<'_>, pod: &PodKey) -> bool {
    let first_seen = view.inventory.pods.get(pod).map(|facts| facts.first_seen);
    let failed = view.failures.pods.get(pod).map(|failing| failing.first);
    first_seen.zip(failed).is_some_and(|(seen, failed)| failed.since(seen) > FRESH_SLACK)
}

fn revision_of(pod: &PodFacts) -> (&Arc<str>, Option<&str>) {
    (&pod.workload, names::revision(&pod.name))
}

/// When it started, as far as that is known: from an event, or because it appeared while we watched.
fn start_of(view: &View<'_>, pod: &PodFacts) -> Option<Timestamp> {
    pod.started.or((pod.first_seen > view.known_since).then_some(pod.first_seen))
}

fn runs_well(view: &View<'_>, pod: &PodFacts) -> bool {
    let ran = pod.started.is_some() || pod.last_logged.is_some();
    let settled = start_of(view, pod).is_none_or(|at| view.now.since(at) >= SETTLE);
    ran && settled && !pod.is_gone() && pod.first_seen < view.now
}

/// A failing pod as the localizer sees it.
pub fn exposed(view: &View<'_>, key: &PodKey) -> Option<Exposed> {
    let facts = view.inventory.pods.get(key)?;
    let pool = facts.node.as_ref().and_then(|node| view.inventory.pool_of(node));
    Some(Exposed {
        pod: Arc::clone(key),
        workload: Arc::clone(&facts.workload),
        node: facts.node.clone(),
        pool: pool.cloned(),
        image: facts.image.clone(),
        failing: true,
        count: 1,
    })
}

/// Union-find over a fixed set of pods.
struct DisjointSets {
    pods: Vec<PodKey>,
    index: BTreeMap<PodKey, usize>,
    parents: Vec<usize>,
}

impl DisjointSets {
    fn new(pods: &BTreeSet<PodKey>) -> Self {
        let pods: Vec<PodKey> = pods.iter().cloned().collect();
        let index = pods.iter().cloned().enumerate().map(|(at, pod)| (pod, at)).collect();
        DisjointSets { parents: (0..pods.len()).collect(), pods, index }
    }

    fn root(&mut self, mut at: usize) -> usize {
        while self.parents[at] != at {
            self.parents[at] = self.parents[self.parents[at]];
            at = self.parents[at];
        }
        at
    }

    fn join(&mut self, a: &PodKey, b: &PodKey) {
        let (a, b) = (self.root(self.index[a]), self.root(self.index[b]));
        self.parents[a.max(b)] = a.min(b);
    }

    /// The groups, in the order of their first pods.
    fn into_groups(mut self) -> Vec<BTreeSet<PodKey>> {
        let mut groups: BTreeMap<usize, BTreeSet<PodKey>> = BTreeMap::new();
        for at in 0..self.pods.len() {
            let root = self.root(at);
            groups.entry(root).or_default().insert(Arc::clone(&self.pods[at]));
        }
        groups.into_values().collect()
    }
}
