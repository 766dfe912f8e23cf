//! A reading of a case: which suspects are at fault together, and how likely that is.

use crate::alert::Suspect;

use super::likelihood::{OUTSIDE, ln_inside};
use super::ranking::{is_shared, ln_coincidence, prior};
use super::tally::{Counts, Tally, tally};
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

/// What a suspect would take from the pods that a reading leaves over.
#[derive(Clone, Copy)]
pub(super) struct Part {
    counts: Counts,
    /// Its prior and the likelihood of what is inside.
    ln: f64,
}

impl Reading {
    /// That all pods fail for reasons of their own.
    pub fn nothing_shared(case: &Case) -> Self {
        let outside = Counts::of(&case.pods);
        let score = case.priors.isolated.ln() + ln_outside(case, outside, 0);
        Reading { suspects: Vec::new(), score, explained: 0.0, outside }
    }

    /// Suspects that could explain failing pods which this reading leaves over, narrower scopes first, each with what
    /// it would take from them.
    pub fn candidates(&self, case: &Case) -> Vec<(Suspect, Part)> {
        let tallies = tally(case.pods.iter().filter(|pod| !self.covers(pod)));
        let shared = tallies.into_iter().filter(|(suspect, tally)| is_shared(case, suspect, tally));
        let part = |suspect: &Suspect, tally: &Tally<'_>| {
            let ln = prior(case, suspect).ln() + ln_inside(case, suspect, tally);
            Part { counts: tally.counts(), ln }
        };
        shared.map(|(suspect, tally)| (suspect.clone(), part(&suspect, &tally))).collect()
    }

    fn covers(&self, pod: &Exposed) -> bool {
        self.suspects.iter().any(|suspect| covers(suspect, pod))
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
        self.suspects.push(suspect);
    }
}

fn ln_outside(case: &Case, outside: Counts, suspects: usize) -> f64 {
    OUTSIDE.ln_marginal(outside.failing, outside.exposed) + ln_coincidence(case, suspects as u64 + outside.failing)
}
