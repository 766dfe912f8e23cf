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
//! It works with two failing pods, it abstains when two hypotheses explain the same, and what it yields is a
//! probability. (Beta-Binomial: Johnson, Kemp, Kotz, *Univariate Discrete Distributions*, ch. 6.2.2.)

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::alert::{Evidence, Scope, Suspect};

mod ranking;

pub use ranking::rank;
use ranking::{joint_score, suspects_of};

/// A pod that speaks for or against a hypothesis: it fails, or it could have failed and did not.
#[derive(Clone, PartialEq, Debug)]
pub struct Exposed {
    /// `namespace/name`.
    pub pod: Arc<str>,
    pub workload: Arc<str>,
    pub node: Option<Arc<str>>,
    pub pool: Option<Arc<str>>,
    pub image: Option<Arc<str>>,
    pub failing: bool,
}

/// Everything that one localisation looks at.
#[derive(Clone, Debug, Default)]
pub struct Case {
    pub pods: Vec<Exposed>,
    /// Nodes that accuse themselves (NodeNotReady, a kernel error, …).
    pub accused_nodes: BTreeSet<Arc<str>>,
    /// How many of each there are in the cluster: the prior of a class is split evenly inside it.
    pub population: Population,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Population {
    pub nodes: usize,
    pub workloads: usize,
    pub images: usize,
    pub pools: usize,
}

/// A hypothesis with its share of the probability.
#[derive(Clone, PartialEq, Debug)]
pub struct Ranked {
    pub suspect: Suspect,
    pub probability: f64,
    pub evidence: Evidence,
    /// Whether the guards allow to call it confirmed.
    pub guarded: bool,
}

/// One fault and the failing pods that it explains.
#[derive(Clone, PartialEq, Debug)]
pub struct Explanation {
    pub best: Ranked,
    /// All hypotheses, likeliest first, `best` included.
    pub candidates: Vec<Ranked>,
    pub failing: BTreeSet<Arc<str>>,
}

/// More faults than this at one time are not told apart.
const MAX_FAULTS: usize = 5;

/// Explains all failing pods of the case: the faults that they share, then the pods that fail alone.
///
/// Several narrow faults and one wide one may explain the same pods, so both readings are searched and the likelier
/// one is taken; each fault's probability is discounted by that of the other reading. It is computed with the pods of
/// the other faults set aside, so that two faults at the same time do not make each other doubtful.
pub fn explain(case: &Case) -> Vec<Explanation> {
    let wide = search(case, |_| true);
    let narrow = search(case, |scope| matches!(scope, Scope::Node | Scope::Workload | Scope::Image));
    let (chosen, other) = if wide.score >= narrow.score { (wide, narrow) } else { (narrow, wide) };
    let same = chosen.suspects == other.suspects;
    let trust = if same { 1.0 } else { 1.0 / (1.0 + (other.score - chosen.score).exp()) };
    let mut faults: Vec<Explanation> =
        chosen.suspects.iter().filter_map(|suspect| shared_fault(case, suspect, &chosen.suspects, trust)).collect();
    let mut rest = case.clone();
    rest.pods.retain(|pod| !chosen.suspects.iter().any(|suspect| covers(suspect, pod)));
    faults.extend(isolated_faults(&rest));
    faults
}

/// A set of faults that together explain the case, and the log of its joint probability up to a constant.
struct Reading {
    suspects: Vec<Suspect>,
    score: f64,
}

/// Adds the suspect that raises the joint probability most, until none does.
fn search(case: &Case, allowed: impl Fn(Scope) -> bool) -> Reading {
    let mut best = Reading { suspects: Vec::new(), score: joint_score(case, &[]) };
    while best.suspects.len() < MAX_FAULTS {
        let mut candidates: Vec<Reading> = Vec::new();
        for suspect in suspects_of(case, &best.suspects).into_iter().filter(|suspect| allowed(suspect.scope())) {
            let mut suspects = best.suspects.clone();
            suspects.push(suspect);
            candidates.push(Reading { score: joint_score(case, &suspects), suspects });
        }
        // Of equals the first: narrower scopes come first.
        let Some(next) = candidates.into_iter().reduce(|a, b| if b.score > a.score { b } else { a }) else { break };
        if next.score <= best.score {
            break;
        }
        best = next;
    }
    best
}

/// One of the faults of a reading, ranked with the failing pods of the others set aside.
fn shared_fault(case: &Case, suspect: &Suspect, all: &[Suspect], trust: f64) -> Option<Explanation> {
    let mut alone = case.clone();
    let others = || all.iter().filter(|other| *other != suspect);
    alone.pods.retain(|pod| !pod.failing || covers(suspect, pod) || !others().any(|other| covers(other, pod)));
    let mut candidates = rank(&alone);
    let at = candidates.iter().position(|ranked| ranked.suspect == *suspect)?;
    candidates[at].probability *= trust;
    let best = candidates[at].clone();
    candidates.sort_by(|a, b| b.probability.total_cmp(&a.probability).then_with(|| a.suspect.cmp(&b.suspect)));
    let inside = alone.pods.iter().filter(|pod| pod.failing && covers(suspect, pod));
    let failing = inside.map(|pod| Arc::clone(&pod.pod)).collect();
    Some(Explanation { best, candidates, failing })
}

/// With nothing in common, every failing pod is a fault of its own.
fn isolated_faults(case: &Case) -> Vec<Explanation> {
    let candidates = rank(case);
    let Some(isolated) = candidates.iter().position(|ranked| ranked.suspect.scope() == Scope::Pod) else {
        return Vec::new();
    };
    let alone = |pod: &Exposed| {
        let mut candidates = candidates.clone();
        candidates[isolated].suspect = Suspect::Pod(Arc::clone(&pod.pod));
        let best = candidates[isolated].clone();
        Explanation { best, candidates, failing: BTreeSet::from([Arc::clone(&pod.pod)]) }
    };
    case.pods.iter().filter(|pod| pod.failing).map(alone).collect()
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
