//! From what is known at one instant to the cases that the localizer compares: which pods fail now, which of them
//! belong together, and which others could have failed and did not.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::localizer::{Case, Exposed};
use crate::names;
use crate::ruleset::RuleSet;
use crate::signature::Severity;
use crate::time::Timestamp;

use super::census::{Census, Running, Struck};
use super::failures::{Failing, Failures, ONSET_MEMORY};
use super::inventory::{Inventory, PodFacts, PodKey};

/// Failing pods that share a signature belong together when each began to fail within this of another.
const LINK: Duration = Duration::from_secs(300);
/// A pod that started at most this long before the onset counts as a fresh start.
const FRESH_SLACK: Duration = Duration::from_secs(120);
/// A fresh start says nothing in its first seconds.
const SETTLE: Duration = Duration::from_secs(10);
/// kubelet's longest crash-loop back-off, and a little: a crash-looping pod is heard of once in this time.
const CRASH_LOOP_PERIOD: Duration = Duration::from_secs(330);
/// A pod that was heard of for this long before it failed had been well.
const SEEN_WELL: Duration = Duration::from_secs(30);
/// Coincidences happen, whatever the rates say.
const LEAST_COINCIDENCE: f64 = 0.01;

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
    pub rules: &'a RuleSet,
    /// When the watch began.
    pub began: Timestamp,
    /// Pods first seen before this were there when the watch began: their start is unknown.
    pub known_since: Timestamp,
    pub now: Timestamp,
}

/// Splits the pods that fail now into groups and builds the case of each.
pub fn groups(view: &View<'_>, failing_now: &BTreeSet<PodKey>) -> Vec<Group> {
    let census = Census::new(view.inventory, |key, pod| runs_well(view, key, pod).then(|| start_of(view, pod)));
    let linked = linked(view, failing_now);
    linked.into_iter().filter_map(|members| group(view, &census, &members)).collect()
}

fn group(view: &View<'_>, census: &Census<'_>, members: &BTreeSet<PodKey>) -> Option<Group> {
    let onset = members.iter().filter_map(|pod| view.failures.pods.get(pod)).map(|failing| failing.first).min()?;
    let failing: Vec<Exposed> = members.iter().filter_map(|pod| exposed(view, pod)).collect();
    let struck = census.struck(&failing);
    let oldest_start = onset.saturating_sub(FRESH_SLACK);
    let (healthy, population) = match manner(view, members) {
        Manner::Running | Manner::Unknown => (census.alike(&struck, |_| true), census.population(view.inventory)),
        Manner::Starting => {
            (comparable_starts(view, census, members, &struck, oldest_start), census.starting(&struck, oldest_start))
        }
    };
    let coincidence = coincidence(view, members, onset);
    let pods = failing.into_iter().chain(healthy).collect();
    Some(Group { case: Case { pods, accused_nodes: view.accused_nodes.clone(), population, coincidence }, onset })
}

/// How the members of a group came to fail: what most of them did.
enum Manner {
    /// They ran, and were struck.
    Running,
    /// They failed as they started.
    Starting,
    /// They failed when the watch began.
    Unknown,
}

fn manner(view: &View<'_>, members: &BTreeSet<PodKey>) -> Manner {
    let most = |of: &dyn Fn(&PodKey) -> bool| members.iter().filter(|pod| of(pod)).count() * 2 > members.len();
    if most(&|pod| !is_dated(view, pod)) {
        Manner::Unknown
    } else if most(&|pod| was_running(view, pod)) {
        Manner::Running
    } else {
        Manner::Starting
    }
}

/// Whether it is known when the pod began to fail. One that was never seen well and fails within a crash-loop period
/// of the beginning of the watch may have failed for days.
fn is_dated(view: &View<'_>, pod: &PodKey) -> bool {
    let (Some(failing), Some(facts)) = (view.failures.pods.get(pod), view.inventory.pods.get(pod)) else { return true };
    let early = failing.first.since(view.began) < CRASH_LOOP_PERIOD;
    let was_well = failing.first.since(facts.first_seen) >= SEEN_WELL;
    !early || was_well || facts.placed.is_some()
}

/// How likely it is that another pod fails with the group's signature as close to the others as its members do: the
/// rate at which pods began to show it before, times the mean distance between the members' onsets.
fn coincidence(view: &View<'_>, members: &BTreeSet<PodKey>, onset: Timestamp) -> f64 {
    let failing = || members.iter().filter_map(|pod| view.failures.pods.get(pod));
    if members.len() < 2 || members.iter().any(|pod| !is_dated(view, pod)) {
        return 1.0;
    }
    let newest = failing().map(|failing| failing.first).max().unwrap_or(onset);
    let distance = newest.since(onset).div_f64((members.len() - 1) as f64).max(Duration::from_secs(1));
    let rules: BTreeSet<&Arc<str>> = failing().flat_map(|failing| telling_rules(failing, view.generic_rules)).collect();
    let shared = rules.into_iter().filter(|rule| failing().filter(|pod| pod.rules.contains_key(*rule)).count() >= 2);
    let rate = shared.map(|rule| base_rate(view, rule, onset)).min_by(f64::total_cmp).unwrap_or(1.0);
    (1.0 - (-rate * distance.as_secs_f64()).exp()).clamp(LEAST_COINCIDENCE, 1.0)
}

/// Pods a second that begin to match the rule in the ordinary course of things: what was seen before the onset, on top
/// of an expectation by severity that counts as half an hour of watching.
fn base_rate(view: &View<'_>, rule: &Arc<str>, onset: Timestamp) -> f64 {
    let expected = match view.rules.get(rule).map(|rule| rule.severity) {
        _ if view.generic_rules.contains(rule) => 3.0,
        Some(Severity::Critical) => 0.5,
        Some(Severity::Error) => 1.0,
        _ => 2.0,
    };
    let from = onset.saturating_sub(ONSET_MEMORY).max(view.began);
    let seen = view.failures.onsets(rule, from, onset) as f64;
    (expected + seen) / (1800.0 + onset.since(from).as_secs_f64())
}

/// Connected components: a shared signature, and onsets at most [`LINK`] apart.
fn linked(view: &View<'_>, failing_now: &BTreeSet<PodKey>) -> Vec<BTreeSet<PodKey>> {
    // Pods of which it is not known when they began are no company for those of which it is.
    let mut by_rule: BTreeMap<(&Arc<str>, bool), Vec<(Timestamp, &PodKey)>> = BTreeMap::new();
    for pod in failing_now {
        let Some(failing) = view.failures.pods.get(pod) else { continue };
        for rule in telling_rules(failing, view.generic_rules) {
            by_rule.entry((rule, is_dated(view, pod))).or_default().push((failing.first, pod));
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

/// Pods that could have failed to start like the members and did not: those that started since the onset, wherever they
/// run, and siblings (same workload and revision) on nodes without a failing member. Old pods on a node whose new pods
/// cannot start prove nothing.
fn comparable_starts(
    view: &View<'_>,
    census: &Census<'_>,
    members: &BTreeSet<PodKey>,
    struck: &Struck,
    oldest_start: Timestamp,
) -> Vec<Exposed> {
    let facts = members.iter().filter_map(|pod| view.inventory.pods.get(pod));
    let failing_revisions: BTreeSet<_> = facts.map(revision_of).collect();
    census.alike(struck, |pod: &Running<'_>| {
        let is_sibling = || {
            struck.has_workload(pod)
                && pod.facts.node.is_some()
                && !struck.has_node(pod)
                && failing_revisions.contains(&revision_of(pod.facts))
        };
        pod.started.is_some_and(|at| at >= oldest_start) || is_sibling()
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
    pod.started.or(pod.placed).or((pod.first_seen > view.known_since).then_some(pod.first_seen))
}

fn runs_well(view: &View<'_>, key: &PodKey, pod: &PodFacts) -> bool {
    let ran = pod.started.is_some() || pod.last_logged.is_some();
    let settled = start_of(view, pod).is_none_or(|at| view.now.since(at) >= SETTLE);
    // A pod that failed a while ago speaks neither for nor against.
    ran && settled && !pod.is_gone() && pod.first_seen < view.now && !view.failures.pods.contains_key(key)
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
