//! How likely the failing pods inside a suspect are, and those outside.

use std::collections::BTreeMap;
use std::sync::Arc;

use statrs::function::beta::ln_beta;

use crate::alert::Suspect;

use super::Case;
use super::tally::{Counts, Tally};

/// Failure rate inside a faulty suspect: three in four as a start, and quick to follow the evidence.
const MOSTLY: Beta = Beta { alpha: 3.0, beta: 1.0 };
/// Failure rate where a fault strikes some only: one in six as a start.
const SOME: Beta = Beta { alpha: 1.0, beta: 5.0 };
/// Failure rate elsewhere: one in a hundred.
pub(super) const OUTSIDE: Beta = Beta { alpha: 1.0, beta: 100.0 };
/// Share of the parts (nodes, workloads) that a wide fault strikes: anything.
const PARTS: Beta = Beta { alpha: 1.0, beta: 1.0 };
/// Fewer workloads than this that fail together are not a fault of the cluster that strikes workload by workload.
const LEAST_WORKLOADS: u64 = 4;

#[derive(Clone, Copy)]
pub(super) struct Beta {
    alpha: f64,
    beta: f64,
}

impl Beta {
    /// Log of the Beta-Binomial marginal likelihood of a particular set of `k` out of `m`.
    pub(super) fn ln_marginal(self, k: u64, m: u64) -> f64 {
        debug_assert!(k <= m);
        ln_beta(k as f64 + self.alpha, (m - k) as f64 + self.beta) - ln_beta(self.alpha, self.beta)
    }
}

/// Log of the marginal likelihood of the failing pods inside a suspect.
///
/// A broken node need not strike what runs on it: it may fail those only that start or are restarted, be they few of
/// many. So a node's rate is drawn from either distribution. A wide fault that spreads strikes some at first, and it may
/// strike part by part: some nodes wholly and others not at all, or the workloads that use what is broken.
pub(super) fn ln_inside(case: &Case, suspect: &Suspect, tally: &Tally<'_>) -> f64 {
    let counts = tally.counts();
    let mostly = MOSTLY.ln_marginal(counts.failing, counts.exposed);
    match suspect {
        Suspect::Node(_) => ln_node(case, counts),
        Suspect::NodePool(_) | Suspect::Cluster => {
            let some = SOME.ln_marginal(counts.failing, counts.exposed);
            let ways = [Some(mostly), Some(some), by_node(case, suspect, tally), by_workload(case, suspect, tally)];
            let count = ways.iter().flatten().count() as f64;
            ways.into_iter().flatten().reduce(ln_sum).unwrap_or(mostly) - count.ln()
        }
        Suspect::Pod(_) | Suspect::Workload(_) | Suspect::Image(_) => mostly,
    }
}

fn ln_node(case: &Case, counts: Counts) -> f64 {
    let mostly = MOSTLY.ln_marginal(counts.failing, counts.exposed);
    if !case.while_running {
        return mostly;
    }
    ln_sum(mostly, SOME.ln_marginal(counts.failing, counts.exposed)) - std::f64::consts::LN_2
}

/// Whether so many struck nodes are much of a pool or cluster: half of it, and more than two single ones.
pub(super) fn is_wide(struck: usize, of: usize) -> bool {
    struck * 2 >= of && struck >= of.min(3)
}

/// The fault strikes at least half of the nodes, each for itself.
fn by_node(case: &Case, suspect: &Suspect, tally: &Tally<'_>) -> Option<f64> {
    let of = case.nodes_of(suspect);
    is_wide(tally.struck_nodes(), of)
        .then(|| by_part(tally.counts(), &tally.nodes, of as u64, |part| ln_node(case, part)))
}

/// The fault strikes a good part of the workloads, each wherever it runs.
fn by_workload(case: &Case, suspect: &Suspect, tally: &Tally<'_>) -> Option<f64> {
    let of = case.population.workloads as u64;
    let struck = tally.struck_workloads() as u64;
    let wide = *suspect == Suspect::Cluster && struck >= LEAST_WORKLOADS && struck * 4 >= of;
    let ln_part = |part: Counts| MOSTLY.ln_marginal(part.failing, part.exposed);
    wide.then(|| by_part(tally.counts(), &tally.workloads, of, ln_part))
}

fn by_part(all: Counts, parts: &BTreeMap<&Arc<str>, Counts>, of: u64, ln_part: impl Fn(Counts) -> f64) -> f64 {
    let mut rest = all;
    let (mut ln, mut struck) = (0.0, 0);
    for part in parts.values().filter(|part| part.failing > 0) {
        struck += 1;
        rest = rest.without(*part);
        ln += ln_part(*part);
    }
    ln + PARTS.ln_marginal(struck, of.max(struck)) + OUTSIDE.ln_marginal(rest.failing, rest.exposed)
}

/// ln(eᵃ + eᵇ).
pub(super) fn ln_sum(a: f64, b: f64) -> f64 {
    let (high, low) = if a >= b { (a, b) } else { (b, a) };
    high + (low - high).exp().ln_1p()
}
