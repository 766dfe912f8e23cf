//! Which hypothesis explains the failing pods best: one node, one workload, one image, one node pool, the whole
//! cluster, or nothing in common.
//!
//! For a hypothesis `h` with `a` of `n` exposed pods failing inside it, and `K` of `N` in all:
//!
//! ```text
//! P(h) ∝ prior(h) · BB(a, n; α₁, β₁) · BB(K − a, N − n; α₀, β₀)
//! BB(k, m; α, β) = B(k + α, m − k + β) / B(α, β)
//! ```
//!
//! `BB` is the Beta-Binomial marginal likelihood of one particular set of k failing pods among m whose failure rate is
//! unknown: the rate is drawn from Beta(α₁, β₁) inside the suspect, where pods mostly fail, and from Beta(α₀, β₀)
//! elsewhere, where they mostly do not. "Nothing in common" is the hypothesis that the second rate holds everywhere.
//! The pods of a case share a signature and began to fail within minutes of each other; every cause that a hypothesis
//! needs beyond the first makes that a coincidence, and costs the factor [`Case::coincidence`].
//! It works with two failing pods, it abstains when two hypotheses explain the same, and what it yields is a
//! probability. (Beta-Binomial: Johnson, Kemp, Kotz, *Univariate Discrete Distributions*, ch. 6.2.2.)

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::alert::{Evidence, Scope, Suspect};

mod account;
mod likelihood;
mod priors;
mod ranking;
mod reading;
mod tally;
mod what_if;

pub use account::{Account, Doubt, Hypothesis, Refused, account};
pub use priors::Priors;
pub use ranking::rank;
use reading::Reading;
use tally::{Tallies, tally};
pub use what_if::{Change, MOST_RUNNING, Setting, WhatIf, what_if};

/// A pod that speaks for or against a hypothesis: it fails, or it could have failed and did not. Pods that did not and
/// have the same in common with failing ones may be counted together; what they share with no failing pod is then
/// left out, the workload an empty name.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Exposed {
    /// `namespace/name`.
    pub pod: Arc<str>,
    pub workload: Arc<str>,
    pub node: Option<Arc<str>>,
    pub pool: Option<Arc<str>>,
    pub image: Option<Arc<str>>,
    pub failing: bool,
    /// How many pods alike it stands for; one where it fails.
    pub count: u64,
    /// Not comparable with the failing ones: it speaks against wide suspects only, and is shown to nobody.
    pub bystander: bool,
}

/// Everything that one localisation looks at.
#[derive(Clone, Debug)]
pub struct Case {
    pub pods: Vec<Exposed>,
    /// Nodes that accuse themselves (NodeNotReady, a kernel error, …).
    pub accused_nodes: BTreeSet<Arc<str>>,
    /// How likely each class of hypotheses is beforehand; they sum to one.
    pub priors: Priors,
    /// How many of each could be at fault: the prior of a class is split evenly inside it.
    pub population: Population,
    /// How likely it is that a failure of another cause has the same signature and begins as close to the others as the
    /// pods of this case do. 1: nothing is known of when they began.
    pub coincidence: f64,
    /// How much the signature that the pods share speaks of a machine, 0 to 1: a program's own crash says little about
    /// where it ran.
    pub machine_like: f64,
    /// Nodes by pool: a pool is at fault only when much of it is struck.
    pub pool_nodes: BTreeMap<Arc<str>, usize>,
    /// The pods failed while they ran, not as they started.
    pub while_running: bool,
    /// Nothing but programs that crashed once, which happens to any now and then.
    pub mere_crashes: bool,
    /// Most of the pods had failed for long when they were first heard of.
    pub old: bool,
}

impl Case {
    /// A case of which nothing is known but the counts.
    pub fn of(pods: Vec<Exposed>, population: Population) -> Self {
        Case {
            pods,
            accused_nodes: BTreeSet::new(),
            priors: Priors::default().normalized(),
            population,
            coincidence: 1.0,
            machine_like: 1.0,
            pool_nodes: BTreeMap::new(),
            while_running: false,
            mere_crashes: false,
            old: false,
        }
    }
}

impl Case {
    /// How many nodes a pool, or the cluster, has.
    fn nodes_of(&self, suspect: &Suspect) -> usize {
        match suspect {
            Suspect::NodePool(pool) => self.pool_nodes.get(pool).copied().unwrap_or(0),
            _ => self.population.nodes,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Population {
    pub nodes: usize,
    pub workloads: usize,
    pub images: usize,
    pub pools: usize,
}

/// A hypothesis with its share of the probability.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Ranked {
    pub suspect: Suspect,
    pub probability: f64,
    pub evidence: Evidence,
    /// Whether the guards allow to call it confirmed.
    pub guarded: bool,
    /// Other names for it: suspects that hold the very same pods.
    pub same_pods: Vec<Suspect>,
}

impl Ranked {
    fn is(&self, suspect: &Suspect) -> bool {
        self.suspect == *suspect || self.same_pods.contains(suspect)
    }
}

/// One fault and the failing pods that it explains.
#[derive(Clone, PartialEq, Debug)]
pub struct Explanation {
    pub best: Ranked,
    /// The likeliest hypotheses in that order, `best` included.
    pub candidates: Vec<Ranked>,
    pub failing: BTreeSet<Arc<str>>,
}

impl Explanation {
    /// The same pods, each as a fault of its own.
    pub fn alone(self) -> Vec<Explanation> {
        let Some(isolated) = self.candidates.iter().position(|ranked| ranked.suspect.scope() == Scope::Pod) else {
            return vec![self];
        };
        let alone = |pod: &Arc<str>| {
            let mut candidates = self.candidates.clone();
            candidates[isolated].suspect = Suspect::Pod(Arc::clone(pod));
            let best = candidates[isolated].clone();
            Explanation { best, candidates, failing: BTreeSet::from([Arc::clone(pod)]) }
        };
        self.failing.iter().map(alone).collect()
    }
}

/// More faults than this at one time are not told apart: the pods of those beyond it would be told one by one.
const MAX_FAULTS: usize = 20;

/// Less likely hypotheses than this many are not handed on.
const MAX_CANDIDATES: usize = 50;

/// Explains all failing pods of the case: the faults that they share, then the pods that fail alone.
///
/// Several narrow faults and one wide one may explain the same pods, so both readings are searched and the likelier
/// one is taken; each fault's probability is discounted by that of the other reading. It is computed with the pods of
/// the other faults set aside, so that two faults at the same time do not make each other doubtful.
pub fn explain(case: &Case) -> Vec<Explanation> {
    let (suspects, trust) = likelier_reading(case);
    let mut faults: Vec<Explanation> =
        suspects.iter().filter_map(|suspect| shared_fault(case, suspect, &suspects, trust)).collect();
    faults.extend(isolated_faults(&left_over(case, &suspects)));
    faults
}

/// The suspects of the likelier reading, and how much likelier than the other it is: 0.5 to 1.
fn likelier_reading(case: &Case) -> (Vec<Suspect>, f64) {
    let tallies = tally(&case.pods);
    let wide = search(case, tallies.clone(), |_| true);
    let narrow = search(case, tallies, |scope| matches!(scope, Scope::Node | Scope::Workload | Scope::Image));
    let (chosen, other) = if wide.score >= narrow.score { (wide, narrow) } else { (narrow, wide) };
    let same = chosen.suspects == other.suspects;
    let trust = if same { 1.0 } else { 1.0 / (1.0 + (other.score - chosen.score).exp()) };
    (chosen.suspects, trust)
}

/// The case without what the suspects hold.
fn left_over(case: &Case, suspects: &[Suspect]) -> Case {
    let mut rest = case.clone();
    rest.pods.retain(|pod| !suspects.iter().any(|suspect| covers(suspect, pod)));
    rest
}

/// The case without the failing pods that only other suspects hold.
fn set_aside(case: &Case, suspect: &Suspect, all: &[Suspect]) -> Case {
    let mut alone = case.clone();
    let others = || all.iter().filter(|other| *other != suspect);
    alone.pods.retain(|pod| !pod.failing || covers(suspect, pod) || !others().any(|other| covers(other, pod)));
    alone
}

/// Adds the suspect that raises the joint probability most, until none does.
fn search<'c>(case: &'c Case, tallies: Tallies<'c>, allowed: impl Fn(Scope) -> bool) -> Reading<'c> {
    let mut best = Reading::nothing_shared(case, tallies);
    while best.suspects.len() < MAX_FAULTS {
        let scored =
            best.candidates(case, &allowed).map(|(suspect, counts)| (best.score_with(case, counts), suspect, counts));
        // Of equals the first: narrower scopes come first.
        let Some((score, suspect, counts)) = scored.reduce(|a, b| if b.0 > a.0 { b } else { a }) else { break };
        if score <= best.score {
            break;
        }
        let suspect = suspect.clone();
        best.add(case, suspect, counts);
    }
    best
}

/// One of the faults of a reading, ranked with the failing pods of the others set aside.
fn shared_fault(case: &Case, suspect: &Suspect, all: &[Suspect], trust: f64) -> Option<Explanation> {
    let alone = set_aside(case, suspect, all);
    let mut candidates = rank(&alone);
    let at = candidates.iter().position(|ranked| ranked.is(suspect))?;
    candidates[at].probability *= trust;
    let best = candidates[at].clone();
    candidates.sort_by(|a, b| b.probability.total_cmp(&a.probability).then_with(|| a.suspect.cmp(&b.suspect)));
    let at = candidates.iter().position(|ranked| ranked.is(suspect))?;
    candidates.truncate(MAX_CANDIDATES.max(at + 1));
    let inside = alone.pods.iter().filter(|pod| pod.failing && covers(suspect, pod));
    let failing = inside.map(|pod| Arc::clone(&pod.pod)).collect();
    Some(Explanation { best, candidates, failing })
}

/// With nothing in common, every failing pod is a fault of its own.
fn isolated_faults(case: &Case) -> Vec<Explanation> {
    let mut candidates = rank(case);
    let Some(isolated) = candidates.iter().position(|ranked| ranked.suspect.scope() == Scope::Pod) else {
        return Vec::new();
    };
    // Every pod gets a copy of them.
    candidates.truncate(MAX_CANDIDATES.max(isolated + 1));
    let failing = case.pods.iter().filter(|pod| pod.failing).map(|pod| Arc::clone(&pod.pod)).collect();
    Explanation { best: candidates[isolated].clone(), candidates, failing }.alone()
}

/// Whether the pod lies inside the suspect.
pub fn covers(suspect: &Suspect, pod: &Exposed) -> bool {
    match suspect {
        Suspect::Pod(name) => *name == pod.pod,
        Suspect::Node(name) => pod.node.as_ref() == Some(name),
        Suspect::Workload(name) => *name == pod.workload,
        Suspect::Image(name) => pod.image.as_ref() == Some(name),
        Suspect::NodePool(name) => pod.pool.as_ref() == Some(name),
        Suspect::Cluster => true,
    }
}

#[cfg(test)]
mod tests;
