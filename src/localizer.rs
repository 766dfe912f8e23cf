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

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use statrs::function::beta::ln_beta;

use crate::alert::{Evidence, Suspect};

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

/// How likely each kind of fault is before anything was seen. Pods that fail for reasons of their own are the rule.
const PRIOR_ISOLATED: f64 = 0.70;
const PRIOR_WORKLOAD: f64 = 0.15;
const PRIOR_NODE: f64 = 0.10;
const PRIOR_IMAGE: f64 = 0.02;
const PRIOR_POOL: f64 = 0.02;
const PRIOR_CLUSTER: f64 = 0.01;

/// Failure rate inside a faulty suspect: three in four as a start, and quick to follow the evidence.
const INSIDE: Beta = Beta { alpha: 3.0, beta: 1.0 };
/// Failure rate elsewhere: one in a hundred.
const OUTSIDE: Beta = Beta { alpha: 1.0, beta: 100.0 };

/// How much likelier a node is at fault once it accuses itself.
const ACCUSED_ODDS: f64 = 50.0;

/// More faults than this at one time are not told apart in one localisation.
const MAX_FAULTS: usize = 5;

#[derive(Clone, Copy)]
struct Beta {
    alpha: f64,
    beta: f64,
}

impl Beta {
    /// Log of the Beta-Binomial marginal likelihood of a particular set of `k` out of `m`.
    fn ln_marginal(self, k: u64, m: u64) -> f64 {
        debug_assert!(k <= m);
        ln_beta(k as f64 + self.alpha, (m - k) as f64 + self.beta) - ln_beta(self.alpha, self.beta)
    }
}

/// Explains all failing pods of the case: the likeliest fault first, then what its pods leave over, and so on.
///
/// Each fault's probability is taken with the pods of the other faults set aside, so that two faults at the same time
/// do not make each other doubtful.
pub fn explain(case: &Case) -> Vec<Explanation> {
    let mut faults: Vec<Explanation> = Vec::new();
    let mut rest = case.clone();
    while faults.len() < MAX_FAULTS && rest.pods.iter().any(|pod| pod.failing) {
        let explanation = explain_once(&rest);
        let isolated = matches!(explanation.best.suspect, Suspect::Pod(_));
        if isolated {
            faults.extend(one_by_one(&explanation));
            break;
        }
        set_aside(&mut rest, &explanation.best.suspect);
        faults.push(explanation);
    }
    refine(case, &mut faults);
    faults
}

/// Ranks every hypothesis on the case as it is.
fn explain_once(case: &Case) -> Explanation {
    let candidates = rank(case);
    // `rank` always holds the isolated hypothesis, and only a case with failing pods gets here.
    let best = candidates[0].clone();
    let failing = case
        .pods
        .iter()
        .filter(|pod| pod.failing && (matches!(best.suspect, Suspect::Pod(_)) || covers(&best.suspect, pod)))
        .map(|pod| Arc::clone(&pod.pod))
        .collect();
    Explanation { best, candidates, failing }
}

/// With nothing in common, every failing pod is a fault of its own.
fn one_by_one(shared: &Explanation) -> Vec<Explanation> {
    let alone = |pod: &Arc<str>| {
        let suspect = Suspect::Pod(Arc::clone(pod));
        let evidence = Evidence { failing_pods: 1, exposed_pods: 1, workloads: 1, ..shared.best.evidence };
        let best = Ranked { suspect, evidence, ..shared.best.clone() };
        let mut candidates = shared.candidates.clone();
        candidates[0] = best.clone();
        Explanation { best, candidates, failing: BTreeSet::from([Arc::clone(pod)]) }
    };
    shared.failing.iter().map(alone).collect()
}

fn refine(case: &Case, faults: &mut [Explanation]) {
    let shared: Vec<Suspect> =
        faults.iter().map(|f| f.best.suspect.clone()).filter(|s| !matches!(s, Suspect::Pod(_))).collect();
    if shared.len() < 2 {
        return;
    }
    for fault in faults.iter_mut().filter(|fault| !matches!(fault.best.suspect, Suspect::Pod(_))) {
        let mut others_aside = case.clone();
        for suspect in shared.iter().filter(|suspect| **suspect != fault.best.suspect) {
            set_aside_failing(&mut others_aside, suspect, &fault.best.suspect);
        }
        let again = explain_once(&others_aside);
        if again.best.suspect == fault.best.suspect {
            *fault = again;
        }
    }
}

fn set_aside(case: &mut Case, suspect: &Suspect) {
    case.pods.retain(|pod| !covers(suspect, pod));
}

fn set_aside_failing(case: &mut Case, suspect: &Suspect, keep: &Suspect) {
    case.pods.retain(|pod| !covers(suspect, pod) || !pod.failing || covers(keep, pod));
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

/// Counts of one suspect.
#[derive(Default)]
struct Tally<'a> {
    exposed: u64,
    failing: u64,
    workloads: BTreeSet<&'a Arc<str>>,
    nodes: BTreeSet<&'a Arc<str>>,
}

impl<'a> Tally<'a> {
    fn add(&mut self, pod: &'a Exposed) {
        self.exposed += 1;
        if pod.failing {
            self.failing += 1;
            self.workloads.insert(&pod.workload);
            self.nodes.extend(&pod.node);
        }
    }
}

/// All hypotheses about the case, likeliest first; the probabilities sum to one.
pub fn rank(case: &Case) -> Vec<Ranked> {
    let tallies = tally(case);
    let whole = &tallies[&Suspect::Cluster];
    let (all_failing, all_exposed) = (whole.failing, whole.exposed);
    let mut scored: Vec<(f64, Ranked)> = Vec::new();
    for (suspect, tally) in tallies.iter().filter(|(_, tally)| tally.failing > 0) {
        let outside = (all_failing - tally.failing, all_exposed - tally.exposed);
        let ln_likelihood =
            INSIDE.ln_marginal(tally.failing, tally.exposed) + OUTSIDE.ln_marginal(outside.0, outside.1);
        let evidence = Evidence {
            failing_pods: tally.failing,
            exposed_pods: tally.exposed,
            failing_elsewhere: outside.0,
            exposed_elsewhere: outside.1,
            workloads: tally.workloads.len() as u64,
        };
        let ranked = Ranked {
            suspect: suspect.clone(),
            probability: 0.0,
            evidence,
            guarded: guard(case, suspect, tally, whole),
        };
        scored.push((prior(case, suspect).ln() + ln_likelihood, ranked));
    }
    scored.extend(isolated(case, whole));
    merge_nested(case, &mut scored);
    normalize(scored)
}

fn tally(case: &Case) -> BTreeMap<Suspect, Tally<'_>> {
    let mut tallies: BTreeMap<Suspect, Tally<'_>> = BTreeMap::new();
    tallies.entry(Suspect::Cluster).or_default();
    for pod in &case.pods {
        let suspects = [
            Some(Suspect::Cluster),
            Some(Suspect::Workload(Arc::clone(&pod.workload))),
            pod.node.clone().map(Suspect::Node),
            pod.pool.clone().map(Suspect::NodePool),
            pod.image.clone().map(Suspect::Image),
        ];
        for suspect in suspects.into_iter().flatten() {
            tallies.entry(suspect).or_default().add(pod);
        }
    }
    tallies
}

/// The hypothesis that the failing pods have nothing in common; it speaks through the first of them.
fn isolated(case: &Case, whole: &Tally<'_>) -> Option<(f64, Ranked)> {
    let first = case.pods.iter().filter(|pod| pod.failing).map(|pod| &pod.pod).min()?;
    let evidence = Evidence {
        failing_pods: 1,
        exposed_pods: 1,
        failing_elsewhere: whole.failing - 1,
        exposed_elsewhere: whole.exposed - 1,
        workloads: 1,
    };
    let ranked = Ranked { suspect: Suspect::Pod(Arc::clone(first)), probability: 0.0, evidence, guarded: true };
    Some((PRIOR_ISOLATED.ln() + OUTSIDE.ln_marginal(whole.failing, whole.exposed), ranked))
}

fn prior(case: &Case, suspect: &Suspect) -> f64 {
    let split = |class: f64, members: usize| class / members.max(1) as f64;
    let population = &case.population;
    match suspect {
        Suspect::Pod(_) => PRIOR_ISOLATED,
        Suspect::Node(node) if case.accused_nodes.contains(node) => {
            (split(PRIOR_NODE, population.nodes) * ACCUSED_ODDS).min(0.5)
        }
        Suspect::Node(_) => split(PRIOR_NODE, population.nodes),
        Suspect::Workload(_) => split(PRIOR_WORKLOAD, population.workloads),
        Suspect::Image(_) => split(PRIOR_IMAGE, population.images),
        Suspect::NodePool(_) => split(PRIOR_POOL, population.pools),
        Suspect::Cluster => PRIOR_CLUSTER,
    }
}

/// What must hold beside the probability before a verdict is called confirmed.
fn guard(case: &Case, suspect: &Suspect, tally: &Tally<'_>, whole: &Tally<'_>) -> bool {
    let (pods, workloads, nodes) = (tally.failing, tally.workloads.len(), tally.nodes.len());
    match suspect {
        Suspect::Pod(_) => true,
        // One workload that fails on one node may be the workload's own fault.
        Suspect::Node(node) => case.accused_nodes.contains(node) || (pods >= 2 && workloads >= 2),
        Suspect::Workload(_) => pods >= 2 && nodes >= 2,
        // With one workload the workload is the narrower name for it.
        Suspect::Image(_) => pods >= 2 && nodes >= 2 && workloads >= 2,
        Suspect::NodePool(_) => nodes >= 2 && workloads >= 2,
        Suspect::Cluster => whole.nodes.len() >= 3 && workloads >= 3,
    }
}

/// Nested suspects that hold the very same pods are one hypothesis under two names: it keeps the narrower name.
///
/// Node in pool in cluster, and workload in image, are nested; node and workload are not, there the doubt is real.
fn merge_nested(case: &Case, scored: &mut Vec<(f64, Ranked)>) {
    let mut kept: Vec<(f64, Ranked)> = Vec::new();
    // Narrower scopes come first.
    scored.sort_by(|(_, a), (_, b)| a.suspect.cmp(&b.suspect));
    for (score, ranked) in scored.drain(..) {
        let twin = kept.iter_mut().find(|(_, other)| is_same_nested(case, other, &ranked));
        match twin {
            Some((narrower, _)) => *narrower = ln_sum(*narrower, score),
            None => kept.push((score, ranked)),
        }
    }
    *scored = kept;
}

fn is_same_nested(case: &Case, narrow: &Ranked, wide: &Ranked) -> bool {
    use crate::alert::Scope::{Cluster, Image, Node, NodePool, Workload};
    let nested = matches!(
        (narrow.suspect.scope(), wide.suspect.scope()),
        (Node, NodePool | Cluster) | (NodePool, Cluster) | (Workload, Image)
    );
    let (a, b) = (&narrow.evidence, &wide.evidence);
    nested
        && narrow.guarded
        && (a.failing_pods, a.exposed_pods) == (b.failing_pods, b.exposed_pods)
        && case.pods.iter().all(|pod| covers(&narrow.suspect, pod) == covers(&wide.suspect, pod))
}

fn ln_sum(a: f64, b: f64) -> f64 {
    let (high, low) = if a >= b { (a, b) } else { (b, a) };
    high + (low - high).exp().ln_1p()
}

fn normalize(mut scored: Vec<(f64, Ranked)>) -> Vec<Ranked> {
    scored.sort_by(|(a, x), (b, y)| b.total_cmp(a).then_with(|| x.suspect.cmp(&y.suspect)));
    let highest = scored.first().map_or(0.0, |(score, _)| *score);
    let total: f64 = scored.iter().map(|(score, _)| (score - highest).exp()).sum();
    scored
        .into_iter()
        .map(|(score, ranked)| Ranked { probability: (score - highest).exp() / total, ..ranked })
        .collect()
}

#[cfg(test)]
mod tests;
