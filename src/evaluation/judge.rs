//! Judges what was told against what happened.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Serialize;

use super::told::Told;
use crate::alert::{Scope, Status, Suspect, Verdict};
use crate::simulator::{Failure, Fault, Truth};
use crate::time::{Timestamp, rfc3339};

mod complaint;
mod resolution;

pub use complaint::Complaint;
pub use resolution::Resolution;

/// A wrong verdict that gives way to the right one within this time did little harm.
const TRANSIENT: Duration = Duration::from_secs(60);
/// A verdict that takes longer is slow.
const SOON_MS: i64 = 20_000;
/// An incident that takes more messages, from start to end, is talkative.
const FEW_MESSAGES: usize = 3;

/// How one approach did in one run.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Judgement {
    pub class: Class,
    /// In the truth's order.
    pub faults: Vec<FaultJudgement>,
    /// Right incidents that were confirmed at some time; more than one where a cause has several names.
    pub right_confirmed: usize,
    /// Incidents about nobody's fault.
    pub stray: Vec<Stray>,
    /// Incidents about single pods that a fault broke.
    pub narrow: usize,
    /// Incidents about single pods that have troubles of their own.
    pub background: usize,
    /// Incidents that were right while a fault was smaller.
    pub early: usize,
    pub complaints: Vec<Complaint>,
}

/// The run in a word; the first that fits of wrong, missed, abstained, right.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Every decidable fault was confirmed, and nothing else; where there is none, nothing was told.
    Right,
    /// Not more than suspicions about a decidable fault, or about nothing.
    Abstained,
    /// No word about a decidable fault.
    Missed,
    /// Something was confirmed that is nobody's fault.
    Wrong,
}

/// What became of one fault.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct FaultJudgement {
    pub scope: Scope,
    pub decidable: bool,
    pub found: Found,
    /// From the second failing pod's first failure (of a fault that grew: the second beyond what it grew from) to the
    /// first confirmed verdict, in event time; below zero where the verdict needed no second pod.
    pub to_verdict_ms: Option<i64>,
    /// The same from the failure with which enough was known to decide it.
    pub after_evidence_ms: Option<i64>,
    /// Messages of each right incident, from its first to its last.
    pub messages: Vec<usize>,
    pub resolution: Resolution,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Found {
    Confirmed,
    Suspected,
    Missed,
}

/// An incident about nobody's fault.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Stray {
    pub kind: StrayKind,
    pub suspect: Suspect,
    /// Whether it was confirmed at some time.
    pub confirmed: bool,
    #[serde(with = "rfc3339")]
    pub first: Timestamp,
    #[serde(with = "rfc3339")]
    pub last: Timestamp,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StrayKind {
    /// Confirmed.
    Wrong,
    /// Gave way to a right one soon enough.
    Transient,
    /// Only suspected.
    Extra,
}

impl Judgement {
    pub fn strays(&self, kind: StrayKind) -> impl Iterator<Item = &Stray> {
        self.stray.iter().filter(move |stray| stray.kind == kind)
    }

    /// Confirmed verdicts that name a node whose fault it is not, however soon they gave way.
    pub fn wrong_nodes(&self) -> usize {
        self.stray.iter().filter(|stray| stray.confirmed && stray.suspect.scope() == Scope::Node).count()
    }

    /// Nothing to improve.
    pub fn is_perfect(&self) -> bool {
        self.class == Class::Right
            && self.stray.is_empty()
            && self.complaints.is_empty()
            && self
                .faults
                .iter()
                .all(|fault| !fault.resolution.is_bad() && fault.slow_ms().is_none() && fault.talkative().is_none())
    }
}

impl FaultJudgement {
    /// How long the verdict took, if that was too long.
    pub fn slow_ms(&self) -> Option<i64> {
        self.after_evidence_ms.filter(|ms| self.decidable && *ms > SOON_MS)
    }

    /// The messages of its most talkative incident, if they were too many.
    pub fn talkative(&self) -> Option<usize> {
        self.messages.iter().copied().max().filter(|most| *most > FEW_MESSAGES)
    }
}

/// All messages of one incident, in their order.
type Incidents<'t> = BTreeMap<&'t str, Vec<&'t Told>>;

/// Judges all that one approach told about one simulation.
pub fn judge(truth: &Truth, told: &[Told]) -> Judgement {
    let mut incidents: Incidents<'_> = BTreeMap::new();
    for told in told {
        incidents.entry(&*told.key).or_default().push(told);
    }
    let right: BTreeSet<&str> = told
        .iter()
        .filter(|told| truth.faults.iter().any(|fault| is_right(fault, &told.suspect)))
        .map(|told| &*told.key)
        .collect();
    let mut complaints = complaint::about_right(&incidents, &right);
    let faults: Vec<FaultJudgement> =
        truth.faults.iter().map(|fault| judge_fault(truth, fault, &incidents, &mut complaints)).collect();
    let mut judgement = Judgement {
        class: Class::Right,
        right_confirmed: right.iter().filter(|key| incidents[**key].iter().any(|told| is_confirmed(told))).count(),
        faults,
        stray: Vec::new(),
        narrow: 0,
        background: 0,
        early: 0,
        complaints,
    };
    for (_, messages) in incidents.iter().filter(|(key, _)| !right.contains(*key)) {
        judge_other(truth, messages, &right, &mut judgement);
    }
    judgement.class = class(&judgement);
    judgement
}

fn is_right(fault: &Fault, suspect: &Suspect) -> bool {
    fault.suspect == *suspect || fault.also_right.contains(suspect)
}

fn is_confirmed(told: &Told) -> bool {
    told.verdict == Verdict::Confirmed
}

fn judge_fault(
    truth: &Truth,
    fault: &Fault,
    incidents: &Incidents<'_>,
    complaints: &mut Vec<Complaint>,
) -> FaultJudgement {
    let mine: Vec<&[&Told]> =
        incidents.values().filter(|messages| is_right(fault, &messages[0].suspect)).map(Vec::as_slice).collect();
    let confirmed = mine.iter().flat_map(|messages| messages.iter()).filter(|told| told.is_confirmed_firing());
    let confirmed_at = confirmed.map(|told| told.at).min();
    let found = match confirmed_at {
        Some(_) => Found::Confirmed,
        None if mine.is_empty() => Found::Missed,
        None => Found::Suspected,
    };
    let since = |from: Option<Timestamp>| Some(confirmed_at?.as_millis() - from?.as_millis());
    FaultJudgement {
        scope: fault.suspect.scope(),
        decidable: fault.decidable_from.is_some(),
        found,
        to_verdict_ms: since(knowable_from(fault)),
        after_evidence_ms: since(fault.decidable_from),
        messages: mine.iter().map(|messages| messages.len()).collect(),
        resolution: resolution::judge(truth, fault, &mine, complaints),
    }
}

/// The second pod's first failure; of a fault that grew, the second beyond what it grew from.
fn knowable_from(fault: &Fault) -> Option<Timestamp> {
    let covers = |failure: &Failure, suspect: &Suspect| match suspect {
        Suspect::Pod(name) => failure.pod == **name,
        Suspect::Node(name) => failure.node == **name,
        Suspect::Workload(name) => failure.workload == **name,
        Suspect::Image(_) | Suspect::NodePool(_) | Suspect::Cluster => false,
    };
    let beyond = |failure: &&Failure| !fault.grew_from.iter().any(|small| covers(failure, small));
    fault.failing.iter().filter(beyond).nth(1).map(|failure| failure.first)
}

/// An incident that names no fault.
fn judge_other(truth: &Truth, messages: &[&Told], right: &BTreeSet<&str>, judgement: &mut Judgement) {
    let [first, ..] = messages else { return };
    let last = messages[messages.len() - 1];
    let superseded_by = messages.iter().rev().find_map(|told| told.superseded_by.as_deref());
    if let Suspect::Pod(pod) = &first.suspect {
        if truth.background.iter().any(|background| background.pod == **pod) {
            judgement.background += 1;
            return;
        }
        let broken_by = |fault: &Fault| fault.failing.iter().any(|failure| failure.pod == **pod);
        if let Some(at) = truth.faults.iter().position(broken_by) {
            judgement.narrow += 1;
            let explained = judgement.faults[at].found == Found::Confirmed;
            if explained && last.status == Status::Firing {
                judgement.complaints.push(Complaint::PodLeftOpen { pod: pod.to_string() });
            }
            return;
        }
    }
    if let Some(at) = truth.faults.iter().position(|fault| fault.grew_from.contains(&first.suspect)) {
        judgement.early += 1;
        let outgrown = judgement.faults[at].found == Found::Confirmed;
        if outgrown && last.status == Status::Firing {
            judgement.complaints.push(Complaint::NotOutgrown { incident: first.key.to_string() });
        }
        return;
    }
    let confirmed = messages.iter().any(|told| is_confirmed(told));
    let gave_way = superseded_by.is_some_and(|key| right.contains(key)) && last.at.since(first.at) <= TRANSIENT;
    let kind = match (gave_way, confirmed) {
        (true, _) => StrayKind::Transient,
        (false, true) => StrayKind::Wrong,
        (false, false) => StrayKind::Extra,
    };
    let suspect = first.suspect.clone();
    judgement.stray.push(Stray { kind, suspect, confirmed, first: first.at, last: last.at });
}

fn class(judgement: &Judgement) -> Class {
    let any = |found| judgement.faults.iter().any(|fault| fault.decidable && fault.found == found);
    let extra_in_peace = judgement.faults.is_empty() && judgement.strays(StrayKind::Extra).next().is_some();
    if judgement.strays(StrayKind::Wrong).next().is_some() {
        Class::Wrong
    } else if any(Found::Missed) {
        Class::Missed
    } else if any(Found::Suspected) || extra_in_peace {
        Class::Abstained
    } else {
        Class::Right
    }
}

#[cfg(test)]
mod tests;
