//! Which failing pods belong together, and how much that says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::signature::Severity;
use crate::time::Timestamp;

use super::exposure::View;
use super::failures::{Failing, ONSET_MEMORY};
use super::inventory::PodKey;

/// Failing pods that share a signature belong together when each began to fail within this of another.
pub const LINK: Duration = Duration::from_secs(300);
/// kubelet's longest crash-loop back-off, and a little: a crash-looping pod is heard of once in this time.
const CRASH_LOOP_PERIOD: Duration = Duration::from_secs(330);
/// A pod that was heard of for this long before it failed had been well.
pub const SEEN_WELL: Duration = Duration::from_secs(30);
/// The lines of one crash come within this.
const ONE_CRASH: Duration = Duration::from_secs(5);
/// Coincidences happen, whatever the rates say.
pub const LEAST_COINCIDENCE: f64 = 0.01;

/// Connected components: a shared signature, and onsets at most [`LINK`] apart.
pub fn linked(view: &View<'_>, failing_now: &BTreeSet<PodKey>) -> Vec<BTreeSet<PodKey>> {
    type Onsets<'p> = Vec<(Timestamp, &'p PodKey)>;
    // Pods that failed for long already, or of which it is not known when they began, are no company for others.
    let mut by_rule: BTreeMap<(&Arc<str>, bool, bool), Onsets<'_>> = BTreeMap::new();
    for pod in failing_now {
        let Some(failing) = view.failures.pods.get(pod) else { continue };
        for rule in telling_rules(failing, view.generic_rules) {
            by_rule.entry((rule, failing.chronic, is_dated(view, pod))).or_default().push((failing.first, pod));
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
pub fn telling_rules<'a>(
    failing: &'a Failing,
    generic: &'a BTreeSet<Arc<str>>,
) -> impl Iterator<Item = &'a Arc<str>> + 'a {
    let only_generic = failing.rules.keys().all(|rule| generic.contains(rule));
    failing.rules.keys().filter(move |rule| only_generic || !generic.contains(*rule))
}

/// Whether it is known when the pod began to fail. One that was never seen well and fails within a crash-loop period
/// of the beginning of the watch may have failed for days.
pub fn is_dated(view: &View<'_>, pod: &PodKey) -> bool {
    let (Some(failing), Some(facts)) = (view.failures.pods.get(pod), view.inventory.pods.get(pod)) else { return true };
    let early = failing.first.since(view.began) < CRASH_LOOP_PERIOD;
    let was_well = failing.first.since(facts.first_seen) >= SEEN_WELL;
    !failing.chronic && (!early || was_well || facts.placed.is_some())
}

/// How likely it is that another pod fails with the group's signature as close to the others as its members do: the
/// rate at which pods began to show it before, times the distance between the onsets of two, or half of what many span.
pub fn coincidence(view: &View<'_>, members: &BTreeSet<PodKey>, onset: Timestamp) -> f64 {
    let failing = || members.iter().filter_map(|pod| view.failures.pods.get(pod));
    if members.len() < 2 || members.iter().any(|pod| !is_dated(view, pod)) {
        return 1.0;
    }
    let newest = failing().map(|failing| failing.first).max().unwrap_or(onset);
    // A stray among many is anywhere between the first and the last of them.
    let distance = (newest.since(onset) / (members.len() - 1).min(2) as u32).max(Duration::from_secs(1));
    let rules: BTreeSet<&Arc<str>> = failing().flat_map(|failing| telling_rules(failing, view.generic_rules)).collect();
    let shared = rules.into_iter().filter(|rule| failing().filter(|pod| pod.rules.contains_key(*rule)).count() >= 2);
    let rate = shared.map(|rule| base_rate(view, rule, onset)).min_by(f64::total_cmp).unwrap_or(1.0);
    (1.0 - (-rate * distance.as_secs_f64()).exp()).clamp(LEAST_COINCIDENCE, 1.0)
}

/// Pods a second that begin to match the rule in the ordinary course of things: what was seen before the onset, on top
/// of an expectation by severity that counts as half an hour of watching.
pub fn base_rate(view: &View<'_>, rule: &Arc<str>, onset: Timestamp) -> f64 {
    let expected = match view.rules.get(rule).map(|rule| rule.severity) {
        _ if view.generic_rules.contains(rule) => 3.0,
        Some(Severity::Critical) => 0.5,
        Some(Severity::Error) => 0.7,
        _ => 2.0,
    };
    let from = onset.saturating_sub(ONSET_MEMORY).max(view.began);
    let seen = view.failures.onsets(rule, from, onset) as f64;
    (expected + seen) / (1800.0 + onset.since(from).as_secs_f64())
}

/// Whether most of the pods had failed for long when they were first heard of.
pub fn are_old(view: &View<'_>, members: &BTreeSet<PodKey>) -> bool {
    let failing = members.iter().filter_map(|pod| view.failures.pods.get(pod));
    failing.filter(|failing| failing.chronic).count() * 2 > members.len()
}

/// Whether all that is known is that programs crashed, and fewer than two of them again. `had_run`: they did not fail as
/// they started, which happens to any program now and then.
pub fn are_mere_crashes(view: &View<'_>, members: &BTreeSet<PodKey>, had_run: bool) -> bool {
    let failing = || members.iter().filter_map(|pod| view.failures.pods.get(pod));
    let untold_why = || failing().all(|failing| failing.rules.keys().all(|rule| view.generic_rules.contains(rule)));
    let mere = members.len() < 3 && untold_why() || had_run && machine_like(view, members) < 1.0;
    mere && failing().filter(|failing| crashed_again(view, failing)).count() < 2
}

/// One crash may leave several lines, and a word of kubelet's that it will wait before the next start.
pub fn crashed_again(view: &View<'_>, failing: &Failing) -> bool {
    let mut telling = telling_rules(failing, view.generic_rules).filter_map(|rule| failing.rules.get(rule));
    telling.any(|stat| stat.matches >= 2 && stat.last.since(stat.first) >= ONE_CRASH)
}

/// How much the group's signatures speak of a machine: that many programs crash on one node may be its memory, but
/// mostly it is the programs.
pub fn machine_like(view: &View<'_>, members: &BTreeSet<PodKey>) -> f64 {
    let failing = members.iter().filter_map(|pod| view.failures.pods.get(pod));
    let severities = failing.flat_map(|failing| telling_rules(failing, view.generic_rules)).map(|id| {
        // That pods back off is said of every kind of failure.
        if view.generic_rules.contains(id) {
            Some(Severity::Error)
        } else {
            view.rules.get(id).map(|rule| rule.severity)
        }
    });
    match severities.max().flatten() {
        Some(Severity::Critical | Severity::Error) => 1.0,
        _ => 0.1,
    }
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
