//! A reading of a case: which suspects are at fault together, and how likely that is.

use crate::alert::Suspect;

use super::ranking::{self, OUTSIDE, is_shared, ln_coincidence, prior, tally};
use super::{Case, Exposed, covers};

/// A set of faults that together explain the case.
pub(super) struct Reading {
    pub suspects: Vec<Suspect>,
    /// Log of the joint probability, up to a constant, that these suspects are at fault and nothing else is shared.
    pub score: f64,
    /// The part of `score` that the pods inside the suspects, and the suspects' priors, account for.
    explained: f64,
    /// Pods that no suspect covers.
    outside: Counts,
}

#[derive(Clone, Copy, Default)]
pub(super) struct Counts {
    failing: u64,
    exposed: u64,
}

impl Reading {
    /// That all pods fail for reasons of their own.
    pub fn nothing_shared(case: &Case) -> Self {
        let mut outside = Counts::default();
        for pod in &case.pods {
            outside.failing += if pod.failing { pod.count } else { 0 };
            outside.exposed += pod.count;
        }
        let score = case.priors.isolated.ln() + ln_outside(case, outside, 0);
        Reading { suspects: Vec::new(), score, explained: 0.0, outside }
    }

    /// Suspects that could explain failing pods which this reading leaves over, narrower scopes first, each with what
    /// it would take from them.
    pub fn candidates(&self, case: &Case) -> Vec<(Suspect, Counts)> {
        let tallies = tally(case.pods.iter().filter(|pod| !self.covers(pod)));
        let shared = tallies.into_iter().filter(|(suspect, tally)| is_shared(case, suspect, tally));
        shared.map(|(suspect, tally)| (suspect, Counts { failing: tally.failing, exposed: tally.exposed })).collect()
    }

    fn covers(&self, pod: &Exposed) -> bool {
        self.suspects.iter().any(|suspect| covers(suspect, pod))
    }

    /// The score with one of the candidates added.
    pub fn score_with(&self, case: &Case, suspect: &Suspect, inside: Counts) -> f64 {
        let explained = self.explained + ln_inside(case, suspect, inside);
        explained + ln_outside(case, self.outside.without(inside), self.suspects.len() + 1)
    }

    pub fn add(&mut self, case: &Case, suspect: Suspect, inside: Counts) {
        self.score = self.score_with(case, &suspect, inside);
        self.explained += ln_inside(case, &suspect, inside);
        self.outside = self.outside.without(inside);
        self.suspects.push(suspect);
    }
}

impl Counts {
    fn without(self, other: Counts) -> Counts {
        Counts { failing: self.failing - other.failing, exposed: self.exposed - other.exposed }
    }
}

fn ln_inside(case: &Case, suspect: &Suspect, inside: Counts) -> f64 {
    prior(case, suspect).ln() + ranking::ln_inside(case, suspect, inside.failing, inside.exposed)
}

fn ln_outside(case: &Case, outside: Counts, suspects: usize) -> f64 {
    OUTSIDE.ln_marginal(outside.failing, outside.exposed) + ln_coincidence(case, suspects as u64 + outside.failing)
}
