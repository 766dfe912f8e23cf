//! A reading of a case: which suspects are at fault together, and how likely that is.

use crate::alert::{Scope, Suspect};

use super::likelihood::{OUTSIDE, ln_inside};
use super::ranking::{is_shared, ln_coincidence, prior};
use super::tally::{Counts, Tallies, Tally, take_out};
use super::{Case, Exposed, covers};

/// A set of faults that together explain the case.
pub(super) struct Reading<'c> {
    pub suspects: Vec<Suspect>,
    /// Log of the joint probability, up to a constant, that these suspects are at fault and nothing else is shared.
    pub score: f64,
    /// The part of `score` that the pods inside the suspects, and the suspects' priors, account for.
    explained: f64,
    /// Pods that no suspect covers.
    left: Vec<&'c Exposed>,
    outside: Counts,
    /// What each suspect holds of them.
    tallies: Tallies<'c>,
}

/// What a suspect would take from the pods that a reading leaves over.
#[derive(Clone, Copy)]
pub(super) struct Part {
    counts: Counts,
    /// Its prior and the likelihood of what is inside.
    ln: f64,
}

impl Part {
    fn of(case: &Case, suspect: &Suspect, tally: &Tally<'_>) -> Self {
        let ln = prior(case, suspect).ln() + ln_inside(case, suspect, tally);
        Part { counts: tally.counts(), ln }
    }
}

impl<'c> Reading<'c> {
    /// That all pods fail for reasons of their own. `tallies` are of all pods of the case.
    pub fn nothing_shared(case: &'c Case, tallies: Tallies<'c>) -> Self {
        let outside = Counts::of(&case.pods);
        let score = case.priors.isolated.ln() + ln_outside(case, outside, 0);
        Reading { suspects: Vec::new(), score, explained: 0.0, outside, left: case.pods.iter().collect(), tallies }
    }

    /// Suspects of `allowed` scopes that could explain failing pods which this reading leaves over, narrower scopes
    /// first, each with what it would take from them.
    pub fn candidates(&self, case: &Case, allowed: impl Fn(Scope) -> bool) -> impl Iterator<Item = (&Suspect, Part)> {
        let tallies = self.tallies.iter().filter(move |(suspect, _)| allowed(suspect.scope()));
        let shared = tallies.filter(|(suspect, tally)| is_shared(case, suspect, tally));
        shared.map(|(suspect, tally)| (suspect, Part::of(case, suspect, tally)))
    }

    /// The score with one of the candidates added.
    pub fn score_with(&self, case: &Case, inside: Part) -> f64 {
        let explained = self.explained + inside.ln;
        explained + ln_outside(case, self.outside.without(inside.counts), self.suspects.len() + 1)
    }

    pub fn add(&mut self, case: &Case, suspect: Suspect, inside: Part) {
        self.score = self.score_with(case, inside);
        self.explained += inside.ln;
        self.outside = self.outside.without(inside.counts);
        // Each pod is taken out once, however many suspects there come to be.
        for pod in self.left.extract_if(.., |pod| covers(&suspect, pod)) {
            take_out(&mut self.tallies, pod);
        }
        self.suspects.push(suspect);
    }
}

fn ln_outside(case: &Case, outside: Counts, suspects: usize) -> f64 {
    OUTSIDE.ln_marginal(outside.failing, outside.exposed) + ln_coincidence(case, suspects as u64 + outside.failing)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::super::Population;
    use super::super::tally::tally;
    use super::*;

    fn pod() -> impl Strategy<Value = Exposed> {
        let name = |prefix: &'static str, most: usize| (0..most).prop_map(move |n| Arc::from(format!("{prefix}{n}")));
        let some = |prefix, most| prop::option::weighted(0.9, name(prefix, most));
        (
            name("p", 999),
            name("w", 4),
            some("n", 5),
            some("pool", 2),
            some("i", 3),
            any::<bool>(),
            1..4u64,
            any::<bool>(),
        )
            .prop_map(|(pod, workload, node, pool, image, failing, count, bystander)| {
                let count = if failing { 1 } else { count };
                Exposed { pod, workload, node, pool, image, failing, count, bystander: bystander && !failing }
            })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_left_over_is_as_if_it_were_counted_anew(
            pods in prop::collection::vec(pod(), 1..60),
            chosen in prop::collection::vec(any::<prop::sample::Index>(), 1..5),
        ) {
            let population = Population { nodes: 5, workloads: 4, images: 3, pools: 2 };
            let case = Case { while_running: true, ..Case::of(pods, population) };
            let mut reading = Reading::nothing_shared(&case, tally(&case.pods));
            for index in chosen {
                let of = |reading: &Reading<'_>| -> Vec<(Suspect, Counts, u64)> {
                    let candidates = reading.candidates(&case, |_| true);
                    candidates.map(|(suspect, part)| (suspect.clone(), part.counts, part.ln.to_bits())).collect()
                };
                let anew = tally(case.pods.iter().filter(|pod| !reading.suspects.iter().any(|it| covers(it, pod))));
                let expected = Reading { tallies: anew, ..Reading::nothing_shared(&case, Tallies::new()) };
                prop_assert_eq!(of(&reading), of(&expected));
                let candidates: Vec<_> =
                    reading.candidates(&case, |_| true).map(|(suspect, part)| (suspect.clone(), part)).collect();
                if candidates.is_empty() {
                    break;
                }
                let (suspect, part) = index.get(&candidates).clone();
                reading.add(&case, suspect, part);
            }
        }
    }
}
