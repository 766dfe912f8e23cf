//! From what is known at one instant to the cases that the localizer compares: which pods fail now, which of them
//! belong together, and which others could have failed and did not.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::localizer::{Case, Exposed, Priors};
use crate::names;
use crate::ruleset::RuleSet;
use crate::time::Timestamp;

use super::census::{BYSTANDERS_PER_WITNESS, Census, Running, Struck};
use super::explained::Witnesses;
use super::failures::Failures;
use super::grouping::{
    SEEN_WELL, are_mere_crashes, are_old, coincidence, crashed_again, is_dated, linked, machine_like,
};
use super::inventory::{Inventory, PodFacts, PodKey};

/// A pod that started at most this long before the onset counts as a fresh start.
const FRESH_SLACK: Duration = Duration::from_secs(120);
/// A fresh start says nothing in its first seconds.
const SETTLE: Duration = Duration::from_secs(10);
/// Pods on a node, at the least, where few of them are heard of.
const PODS_PER_NODE: usize = 8;

/// Failing pods that look like one story, and the case to find its cause.
#[derive(Debug)]
pub struct Group {
    pub case: Case,
    /// When the first and the newest of its pods began to fail.
    pub onset: Timestamp,
    pub newest: Timestamp,
    pub manner: Manner,
    /// Who runs well; nobody unless it is to be explained.
    pub witnesses: Witnesses,
}

/// What [`groups`] looks at besides the failing pods.
pub struct View<'a> {
    pub inventory: &'a Inventory,
    pub failures: &'a Failures,
    pub accused_nodes: &'a BTreeSet<Arc<str>>,
    /// Rules that say only that a pod fails, not why (`BackOff`): they tie pods together only where nothing else does.
    pub generic_rules: &'a BTreeSet<Arc<str>>,
    pub rules: &'a RuleSet,
    pub priors: Priors,
    /// Whether the cases will be explained.
    pub explain: bool,
    /// When the watch began.
    pub began: Timestamp,
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
    let setting = Setting::of(view);
    let failing_now = failing_now.iter().filter(|pod| !is_mere_crash(view, &setting, pod)).cloned().collect();
    linked(view, &failing_now).into_iter().filter_map(|members| group(view, &setting, &census, &members)).collect()
}

fn group(view: &View<'_>, setting: &Setting, census: &Census<'_>, members: &BTreeSet<PodKey>) -> Option<Group> {
    let onsets = || members.iter().filter_map(|pod| view.failures.pods.get(pod)).map(|failing| failing.first);
    let (onset, newest) = (onsets().min()?, onsets().max()?);
    let failing: Vec<Exposed> = members.iter().filter_map(|pod| exposed(view, pod)).collect();
    let struck = census.struck(&failing);
    let oldest_start = onset.saturating_sub(FRESH_SLACK);
    let manner = manner(view, setting, members);
    let mut witnesses = Witnesses::default();
    let (mut healthy, population) = match manner {
        Manner::Running | Manner::Unknown => {
            if view.explain {
                witnesses = census.witnesses(&struck, |_| true);
            }
            (census.alike(&struck, |_| true), census.population(view.inventory))
        }
        Manner::Starting => {
            let is_comparable = comparable_starts(members, &struck, view, oldest_start);
            let mut healthy = census.alike(&struck, &is_comparable);
            healthy.extend(census.bystanders(|pod| !is_comparable(pod)));
            if view.explain {
                witnesses = census.witnesses(&struck, &is_comparable);
            }
            (healthy, census.starting(&struck, oldest_start))
        }
    };
    healthy.extend(setting.unheard_of(if manner == Manner::Starting { BYSTANDERS_PER_WITNESS } else { 1 }));
    let case = Case {
        pods: failing.into_iter().chain(healthy).collect(),
        accused_nodes: view.accused_nodes.clone(),
        priors: view.priors,
        population,
        coincidence: coincidence(view, members, onset),
        machine_like: machine_like(view, members),
        pool_nodes: setting.pool_nodes.clone(),
        while_running: manner == Manner::Running,
        mere_crashes: are_mere_crashes(view, members, manner != Manner::Starting),
        old: are_old(view, members),
    };
    Some(Group { case, onset, newest, manner, witnesses })
}

/// What the groups of one evaluation have in common.
struct Setting {
    pool_nodes: BTreeMap<Arc<str>, usize>,
    /// Whether the scheduler's placements are among the records: then a pod without one was there before.
    sees_placements: bool,
    /// Pods that must be there and never spoke.
    unheard_of: u64,
}

impl Setting {
    fn of(view: &View<'_>) -> Self {
        let mut pool_nodes: BTreeMap<Arc<str>, usize> = BTreeMap::new();
        for pool in view.inventory.nodes.values().filter_map(|node| node.pool.as_ref()) {
            *pool_nodes.entry(Arc::clone(pool)).or_default() += 1;
        }
        let usual = view.inventory.nodes.len() * PODS_PER_NODE;
        Setting {
            pool_nodes,
            sees_placements: view.inventory.sees_placements,
            unheard_of: usual.saturating_sub(view.inventory.pods.len()) as u64,
        }
    }

    /// Where only events are read, pods that are well are never heard of, and the few that are would seem to be all.
    fn unheard_of(&self, per_witness: u64) -> Option<Exposed> {
        let nobody = Exposed {
            pod: Arc::default(),
            workload: Arc::default(),
            node: None,
            pool: None,
            image: None,
            failing: false,
            count: self.unheard_of.div_ceil(per_witness),
            bystander: true,
        };
        (self.unheard_of > 0).then_some(nobody)
    }
}

/// How the members of a group came to fail: what most of them did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Manner {
    /// They ran, and were struck.
    Running,
    /// They failed as they started.
    Starting,
    /// They failed when the watch began.
    Unknown,
}

fn manner(view: &View<'_>, setting: &Setting, members: &BTreeSet<PodKey>) -> Manner {
    let most = |of: &dyn Fn(&PodKey) -> bool| members.iter().filter(|pod| of(pod)).count() * 2 > members.len();
    if most(&|pod| !is_dated(view, pod)) {
        Manner::Unknown
    } else if most(&|pod| was_running(view, setting, pod)) {
        Manner::Running
    } else {
        Manner::Starting
    }
}

/// Pods that could have failed to start like the members and did not: those that started since the onset, wherever they
/// run, and siblings (same workload and revision) on nodes without a failing member. Old pods on a node whose new pods
/// cannot start prove nothing.
fn comparable_starts<'v>(
    members: &BTreeSet<PodKey>,
    struck: &'v Struck,
    view: &View<'v>,
    oldest_start: Timestamp,
) -> impl Fn(&Running<'_>) -> bool + use<'v> {
    let facts = members.iter().filter_map(|pod| view.inventory.pods.get(pod));
    let failing_revisions: BTreeSet<_> = facts.map(revision_of).collect();
    move |pod: &Running<'_>| {
        let is_sibling = || {
            struck.has_workload(pod)
                && pod.facts.node.is_some()
                && !struck.has_node(pod)
                && failing_revisions.contains(&revision_of(pod.facts))
        };
        pod.started.is_some_and(|at| at >= oldest_start) || is_sibling()
    }
}

/// Whether the program crashed once after it had run well, which happens to any now and then.
fn is_mere_crash(view: &View<'_>, setting: &Setting, pod: &PodKey) -> bool {
    let alone = || BTreeSet::from([Arc::clone(pod)]);
    let once = view.failures.pods.get(pod).is_some_and(|failing| !crashed_again(view, failing));
    once && was_running(view, setting, pod) && machine_like(view, &alone()) < 1.0
}

/// Whether the failing pod had been there for a while when it began to fail.
fn was_running(view: &View<'_>, setting: &Setting, pod: &PodKey) -> bool {
    let (Some(failing), Some(facts)) = (view.failures.pods.get(pod), view.inventory.pods.get(pod)) else {
        return false;
    };
    let long_seen = failing.first.since(facts.first_seen) > FRESH_SLACK;
    let no_start = facts.placed.is_none() && facts.started.is_none_or(|at| at > failing.first);
    // It was there when the watch began, and well.
    let found_well = facts.first_seen <= view.known_since && failing.first.since(facts.first_seen) >= SEEN_WELL;
    let was_there = no_start && (setting.sees_placements || found_well);
    long_seen || was_there
}

fn revision_of(pod: &PodFacts) -> (&Arc<str>, Option<&str>) {
    (&pod.workload, names::revision(&pod.name))
}

/// When it started, as far as that is known: from an event, or because it appeared while we watched.
fn start_of(view: &View<'_>, pod: &PodFacts) -> Option<Timestamp> {
    pod.started.or(pod.placed).or((pod.first_seen > view.known_since).then_some(pod.first_seen))
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
        bystander: false,
    })
}
