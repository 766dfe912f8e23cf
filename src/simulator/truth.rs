//! What really happened, for whoever judges the verdicts.

use serde::Serialize;

use super::Kind;
use crate::alert::Suspect;
use crate::time::{Timestamp, rfc3339};

/// What an investigation of one simulation should find.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Truth {
    pub kind: Kind,
    pub seed: u64,
    pub nodes: usize,
    pub pods: usize,
    #[serde(with = "rfc3339")]
    pub from: Timestamp,
    #[serde(with = "rfc3339")]
    pub to: Timestamp,
    /// None where all is well.
    pub faults: Vec<Fault>,
    /// Pods with troubles of their own: a word about them is no false alarm, but never a wider verdict.
    pub background: Vec<Background>,
    /// While this lasts the broken part of the cluster writes nothing, and nobody can know how it does.
    pub silence: Option<Span>,
}

/// One cause, and what it broke.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Fault {
    pub suspect: Suspect,
    /// Other names for the same cause: the image that a bad revision brought.
    pub also_right: Vec<Suspect>,
    /// What was right to accuse while the fault was still smaller, in that order: the verdict may begin there, and must
    /// not end there. Empty for a fault that did not grow.
    pub grew_from: Vec<Suspect>,
    /// From when on what had been written is enough to decide it; `None` where it never is, and an abstention
    /// (`suspected`, or no word) is the right answer.
    #[serde(with = "rfc3339::option")]
    pub decidable_from: Option<Timestamp>,
    /// Pods that were seen to fail, by the first line or event that shows it.
    pub failing: Vec<Failure>,
    #[serde(with = "rfc3339")]
    pub began: Timestamp,
    /// When the last of the failing pods ran again, was replaced or went.
    #[serde(with = "rfc3339::option")]
    pub recovered: Option<Timestamp>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Failure {
    /// `namespace/name`.
    pub pod: String,
    /// `namespace/name`.
    pub workload: String,
    pub node: String,
    /// When it was first seen to fail.
    #[serde(with = "rfc3339")]
    pub first: Timestamp,
}

/// A pod that fails, or seems to, for reasons of its own.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Background {
    /// `namespace/name`.
    pub pod: String,
    /// `namespace/name`.
    pub workload: String,
    pub image: String,
    pub node: String,
    /// `crash-looper`, `flake` or `chatty`.
    pub why: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Span {
    #[serde(with = "rfc3339")]
    pub from: Timestamp,
    #[serde(with = "rfc3339")]
    pub to: Timestamp,
}

impl Truth {
    pub(super) fn new(kind: Kind, seed: u64) -> Self {
        Truth {
            kind,
            seed,
            nodes: 0,
            pods: 0,
            from: Timestamp::default(),
            to: Timestamp::default(),
            faults: Vec::new(),
            background: Vec::new(),
            silence: None,
        }
    }
}

impl Fault {
    /// From here on the fault can be known: one pod that fails may be just that pod.
    pub fn second_failure(&self) -> Option<Timestamp> {
        self.failing.get(1).map(|failure| failure.first)
    }
}
