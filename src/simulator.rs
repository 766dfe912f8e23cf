//! A laboratory: a cluster that lives, and breaks in a known way, and what its log shippers and event exporters would
//! have written to Kafka meanwhile.
//!
//! Everything follows from a [`Setup`]: the same setup gives the same bytes. The [`Truth`] beside the records says what
//! a good investigator should find, and what was merely noise.

use crate::scenario::Stream;
use crate::time::Timestamp;

mod build;
mod changes;
mod cluster;
mod delivery;
mod faults;
mod formats;
mod journal;
mod judge;
mod kind;
mod life;
mod noise;
mod story;
mod symptom;
mod truth;

use story::Story;

pub use kind::{Kind, UnknownKind};
pub use truth::{Background, Failure, Fault, Span, Truth};

/// What to simulate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Setup {
    pub kind: Kind,
    pub seed: u64,
    /// How many nodes the cluster has; by default the seed decides.
    pub nodes: Option<usize>,
}

/// A stretch of a cluster's life.
#[derive(Clone, PartialEq, Debug)]
pub struct Simulation {
    pub partitions: Vec<SimulatedPartition>,
    pub truth: Truth,
}

/// The records of one Kafka partition, in the order of their offsets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SimulatedPartition {
    pub stream: Stream,
    /// From zero, per stream.
    pub number: u32,
    pub records: Vec<SimulatedRecord>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SimulatedRecord {
    /// When the broker got it; never before the record before it.
    pub arrived: Timestamp,
    pub value: String,
}

/// Pods of large clusters speak less often, so that a story fits in memory.
const MOST_CHATTER_LINES: u64 = 400_000;

/// Lives through what the setup asks for.
pub fn simulate(setup: &Setup) -> Simulation {
    tell(setup, MOST_CHATTER_LINES)
}

fn tell(setup: &Setup, most_chatter_lines: u64) -> Simulation {
    let mut story = Story::begin(setup, &faults::frame(setup.kind), most_chatter_lines);
    faults::stage(&mut story);
    let again = story.live();
    let entries = story.journal.take_entries();
    let delivered = story.delivery.deliver(entries, &mut story.rng, story.span.to);
    let truth = judge::judge(&story, &delivered.entries, &again);
    Simulation { partitions: delivered.partitions, truth }
}

#[cfg(test)]
mod tests;
