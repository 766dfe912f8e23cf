//! The likelihood of each hypothesis, its prior, and the guards on its verdict.

use std::sync::Arc;

use crate::alert::{Evidence, Suspect};

use super::account::Doubt;
use super::likelihood::{OUTSIDE, is_wide, ln_inside, ln_sum};
use super::tally::{Tally, tally};
use super::{Case, Ranked, covers};

/// How much likelier a node is at fault once it accuses itself.
const ACCUSED_ODDS: f64 = 50.0;

/// What it costs to need that many causes for the pods of one case.
pub(super) fn ln_coincidence(case: &Case, causes: u64) -> f64 {
    causes.saturating_sub(1) as f64 * case.coincidence.ln()
}

/// Whether the suspect can be a hypothesis at all. One failing pod says nothing about what it shares with others, unless
/// the node speaks up itself; and wide suspects need several nodes and workloads, or there is a narrower name.
pub(super) fn is_shared(case: &Case, suspect: &Suspect, tally: &Tally<'_>) -> bool {
    let (pods, workloads, nodes) = (tally.failing, tally.struck_workloads(), tally.struck_nodes());
    match suspect {
        Suspect::Node(node) if case.accused_nodes.contains(node) => pods >= 1,
        Suspect::Pod(_) | Suspect::Node(_) | Suspect::Workload(_) => pods >= 2,
        Suspect::Image(_) | Suspect::NodePool(_) => nodes >= 2 && workloads >= 2,
        Suspect::Cluster => nodes >= 3 && workloads >= 3,
    }
}

/// Fewer pods than this that crashed once, or have failed for days, may have met by chance.
const FEW_PODS: u64 = 4;
/// Fewer workloads than this that fail all over a cluster have sooner something else in common.
const LEAST_WORKLOADS: usize = 4;
/// So many failing pods are no accident, even where no other pod is known.
const MANY: u64 = 12;

/// All hypotheses about the case, likeliest first; the probabilities sum to one.
pub fn rank(case: &Case) -> Vec<Ranked> {
    let tallies = tally(&case.pods);
    let Some(whole) = tallies.get(&Suspect::Cluster) else { return Vec::new() };
    let mut scored: Vec<(f64, Ranked)> = Vec::new();
    for (suspect, tally) in tallies.iter().filter(|(suspect, tally)| is_shared(case, suspect, tally)) {
        let evidence = Evidence {
            failing_pods: tally.failing,
            exposed_pods: tally.comparable,
            failing_elsewhere: whole.failing - tally.failing,
            exposed_elsewhere: whole.comparable - tally.comparable,
            workloads: tally.struck_workloads() as u64,
        };
        let ranked = Ranked {
            suspect: suspect.clone(),
            probability: 0.0,
            evidence,
            guarded: guard(case, suspect, tally, whole).is_ok(),
            same_pods: Vec::new(),
        };
        scored.push((weight(case, suspect, tally, whole).ln(), ranked));
    }
    scored.extend(isolated(case, whole));
    merge_nested(case, &mut scored);
    normalize(scored)
}

/// The hypothesis that the failing pods have nothing in common; it speaks through the first of them.
fn isolated(case: &Case, whole: &Tally<'_>) -> Option<(f64, Ranked)> {
    let first = case.pods.iter().filter(|pod| pod.failing).map(|pod| &pod.pod).min()?;
    let evidence = Evidence {
        failing_pods: 1,
        exposed_pods: 1,
        failing_elsewhere: whole.failing - 1,
        exposed_elsewhere: whole.comparable - 1,
        workloads: 1,
    };
    let ranked = Ranked {
        suspect: Suspect::Pod(Arc::clone(first)),
        probability: 0.0,
        evidence,
        guarded: true,
        same_pods: Vec::new(),
    };
    Some((weight(case, &ranked.suspect, whole, whole).ln(), ranked))
}

/// The factors of a hypothesis's probability, up to one that all hypotheses share.
#[derive(Clone, Copy)]
pub(super) struct Weight {
    pub(super) prior: f64,
    pub(super) ln_likelihood: f64,
    pub(super) ln_coincidence: f64,
}

impl Weight {
    fn ln(self) -> f64 {
        self.prior.ln() + self.ln_likelihood + self.ln_coincidence
    }
}

pub(super) fn weight(case: &Case, suspect: &Suspect, tally: &Tally<'_>, whole: &Tally<'_>) -> Weight {
    let prior = prior(case, suspect);
    if let Suspect::Pod(_) = suspect {
        let ln_likelihood = OUTSIDE.ln_marginal(whole.failing, whole.exposed);
        return Weight { prior, ln_likelihood, ln_coincidence: ln_coincidence(case, whole.failing) };
    }
    let outside = (whole.failing - tally.failing, whole.exposed - tally.exposed);
    let ln_likelihood = ln_inside(case, suspect, tally) + OUTSIDE.ln_marginal(outside.0, outside.1);
    Weight { prior, ln_likelihood, ln_coincidence: ln_coincidence(case, 1 + outside.0) }
}

pub(super) fn prior(case: &Case, suspect: &Suspect) -> f64 {
    let split = |class: f64, members: usize| class / members.max(1) as f64;
    let (population, priors) = (&case.population, &case.priors);
    match suspect {
        Suspect::Pod(_) => priors.isolated,
        Suspect::Node(node) if case.accused_nodes.contains(node) => {
            (split(priors.node, population.nodes) * ACCUSED_ODDS).min(0.5)
        }
        Suspect::Node(_) => split(priors.node, population.nodes) * case.machine_like,
        Suspect::Workload(_) => split(priors.workload, population.workloads),
        Suspect::Image(_) => split(priors.image, population.images),
        Suspect::NodePool(_) => split(priors.node_pool, population.pools) * case.machine_like,
        Suspect::Cluster => priors.cluster,
    }
}

/// What must hold beside the probability before a verdict is called confirmed.
pub(super) fn guard(case: &Case, suspect: &Suspect, tally: &Tally<'_>, whole: &Tally<'_>) -> Result<(), Doubt> {
    let (pods, workloads, nodes) = (tally.failing, tally.struck_workloads(), tally.struck_nodes());
    match suspect {
        Suspect::Pod(_) => {}
        _ if case.mere_crashes && pods < FEW_PODS => return Err(Doubt::MereCrashes),
        // Old crash-loopers meet on a node by chance, but not in a workload.
        Suspect::Node(_) | Suspect::NodePool(_) | Suspect::Cluster if case.old && pods < FEW_PODS => {
            return Err(Doubt::Old);
        }
        _ => {}
    }
    let holds = |condition: bool, doubt: Doubt| if condition { Ok(()) } else { Err(doubt) };
    match suspect {
        Suspect::Node(node) if case.accused_nodes.contains(node) => Ok(()),
        // One workload that fails on one node may be the workload's own fault.
        Suspect::Node(_) => holds(pods >= 2, Doubt::OnePod).and(holds(workloads >= 2, Doubt::OneWorkload)),
        Suspect::Workload(_) => {
            // Two of many that crash while they run may be chance.
            let much = !case.while_running || pods * 5 >= tally.exposed;
            let few = Doubt::FewOfMany { failing: pods, exposed: tally.exposed };
            holds(pods >= 2, Doubt::OnePod).and(holds(nodes >= 2, Doubt::OneNode)).and(holds(much, few))
        }
        // Where nobody is known to be well, that all fail proves nothing, unless they are many.
        Suspect::NodePool(_) | Suspect::Cluster => {
            let of = case.nodes_of(suspect);
            let many_workloads = *suspect != Suspect::Cluster
                || workloads >= LEAST_WORKLOADS
                || workloads * 2 >= case.population.workloads;
            holds(is_wide(nodes, of), Doubt::NarrowlyStruck { nodes, of })
                .and(holds(many_workloads, Doubt::FewWorkloads { workloads }))
                .and(holds(pods >= MANY || pods < whole.comparable, Doubt::NobodyKnownWell))
        }
        // What makes these a hypothesis is enough.
        Suspect::Pod(_) | Suspect::Image(_) => Ok(()),
    }
}

/// Nested suspects that hold the very same pods are one hypothesis under two names: it keeps the narrower one. Only
/// where a cluster is a single pool it goes by what the signature speaks of, machines or not.
///
/// Node in pool in cluster, and workload in image, are nested; node and workload are not, there the doubt is real.
fn merge_nested(case: &Case, scored: &mut Vec<(f64, Ranked)>) {
    let mut kept: Vec<(f64, Ranked)> = Vec::new();
    // Narrower scopes come first.
    scored.sort_by(|(_, a), (_, b)| a.suspect.cmp(&b.suspect));
    for (score, ranked) in scored.drain(..) {
        let twin = kept.iter_mut().find(|(_, other)| is_same_nested(case, other, &ranked));
        let Some((narrow_score, narrow)) = twin else {
            kept.push((score, ranked));
            continue;
        };
        let is_pool = matches!(narrow.suspect, Suspect::NodePool(_));
        let is_better_name = is_pool && score > *narrow_score;
        *narrow_score = ln_sum(*narrow_score, score);
        let mut other = ranked;
        if is_better_name {
            std::mem::swap(narrow, &mut other);
            narrow.same_pods.append(&mut other.same_pods);
        }
        narrow.same_pods.push(other.suspect);
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

fn normalize(mut scored: Vec<(f64, Ranked)>) -> Vec<Ranked> {
    scored.sort_by(|(a, x), (b, y)| b.total_cmp(a).then_with(|| x.suspect.cmp(&y.suspect)));
    let highest = scored.first().map_or(0.0, |(score, _)| *score);
    let total: f64 = scored.iter().map(|(score, _)| (score - highest).exp()).sum();
    scored
        .into_iter()
        .map(|(score, ranked)| Ranked { probability: (score - highest).exp() / total, ..ranked })
        .collect()
}
