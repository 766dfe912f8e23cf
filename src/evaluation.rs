//! How right the verdicts are: simulated cases go through the real engine and through two baselines, and what each of
//! them told is judged against what really happened.

use std::sync::Arc;

use serde::Serialize;

use crate::correlator;
use crate::engine::Engine;
use crate::redaction::Redactor;
use crate::ruleset::RuleSet;
use crate::scanner;
use crate::scanner::matcher::Matcher;

use crate::simulator::{self, Setup, Simulation, Truth};

mod baseline;
mod judge;
mod plots;
mod results;
mod seeds;
mod tables;
mod tally;
mod told;
mod watch;

pub use baseline::{CommonFactor, NodeThreshold};
pub use judge::{Class, Complaint, FaultJudgement, Found, Judgement, Resolution, Stray, StrayKind, judge};
pub use results::{Results, has_marks, replace_marked};
pub use seeds::SeedSet;
pub use tally::Tally;
pub use told::Told;
pub use watch::{Pace, watch};

/// Who looks at the records.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Approach {
    Faultline,
    NodeThreshold,
    CommonFactor,
}

impl Approach {
    pub const ALL: [Approach; 3] = [Approach::Faultline, Approach::NodeThreshold, Approach::CommonFactor];

    pub fn name(self) -> &'static str {
        match self {
            Approach::Faultline => "faultline",
            Approach::NodeThreshold => "threshold per node",
            Approach::CommonFactor => "narrowest common factor",
        }
    }
}

/// What everyone is judged with.
#[derive(Clone)]
pub struct Bench {
    pub rules: Arc<RuleSet>,
    pub scanner: scanner::Options,
    pub correlator: correlator::Options,
    pub pace: Pace,
    /// Matches within five minutes from which the threshold per node alerts.
    pub threshold: usize,
}

/// The baseline's usual threshold.
pub const THRESHOLD: usize = 5;

/// One simulation, and how each approach did.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Case {
    #[serde(skip)]
    pub setup: Setup,
    pub truth: Truth,
    /// In the order of [`Approach::ALL`].
    pub judgements: [Judgement; 3],
    /// What faultline told.
    pub told: Vec<Told>,
}

impl Case {
    pub fn judgement(&self, approach: Approach) -> &Judgement {
        &self.judgements[approach as usize]
    }
}

impl Bench {
    /// With everything at its default.
    pub fn new(rules: Arc<RuleSet>) -> Self {
        Bench {
            rules,
            scanner: scanner::Options {
                cluster: "default".into(),
                limits: scanner::Limits::default(),
                prefilter: true,
                redactor: Redactor::standard(),
            },
            correlator: correlator::Options::default(),
            pace: Pace::default(),
            threshold: THRESHOLD,
        }
    }

    /// Simulates and judges one case.
    pub fn examine(&self, setup: &Setup) -> Case {
        let simulation = simulator::simulate(setup);
        let [told, threshold, common] = self.listen(&simulation);
        let truth = simulation.truth;
        let judgements = [&told, &threshold, &common].map(|told| judge(&truth, told));
        Case { setup: *setup, truth, judgements, told }
    }

    /// What each approach tells of the simulation. The baselines read the very reports that faultline's correlator
    /// reads.
    fn listen(&self, simulation: &Simulation) -> [Vec<Told>; 3] {
        let matcher = Matcher::new(Arc::clone(&self.rules));
        let mut engine = Engine::new(matcher, self.scanner.clone(), self.correlator);
        let (mut told, mut threshold_told, mut common_told) = (Vec::new(), Vec::new(), Vec::new());
        let (mut threshold, mut common) = (NodeThreshold::new(self.threshold), CommonFactor::default());
        watch(simulation, &mut engine, self.pace, |flushed| {
            told.extend(flushed.alerts.iter().map(Told::from));
            for report in &flushed.reports {
                threshold_told.extend(threshold.observe(report));
                common_told.extend(common.observe(report));
            }
        });
        [told, threshold_told, common_told]
    }
}
