//! Why an alert says what it says, for people: the hypotheses, who spoke for and against, and what would change it.
//!
//! Only with [`super::Options::explain`]; nothing is kept or computed for it otherwise, and nothing decides by it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::alert::{Alert, Status};
use crate::localizer::{self, Account, Case, Explanation, Setting, WhatIf, covers};
use crate::time::Timestamp;

use super::exposure::{Group, View};
use super::failures::Failing;
use super::grouping::{LEAST_COINCIDENCE, LINK, base_rate, telling_rules};
use super::incident::Incident;
use super::inventory::PodKey;
use super::{Correlator, Outcome};

pub use super::exposure::Manner;

/// What stands behind one alert; the alert itself is beside it in [`Outcome`].
#[derive(Clone, PartialEq, Debug)]
pub struct Explained {
    /// `None` where no pod speaks: a node accuses itself, or the incident is over.
    pub comparison: Option<Comparison>,
    /// The failing pods, at most [`super::Limits::failing_in_alert`].
    pub speakers: Vec<Speaker>,
    pub more_speakers: usize,
    pub setting: VerdictSetting,
}

/// What turns a likely hypothesis into a confirmed verdict.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct VerdictSetting {
    pub min_probability: f64,
    /// The cluster was not watched for this long yet, which caps every verdict.
    pub watched_less_than: Option<Duration>,
}

/// How the failing pods were compared with others, at the evaluation that the alert's verdict comes from.
#[derive(Clone, PartialEq, Debug)]
pub struct Comparison {
    pub at: Timestamp,
    pub manner: Manner,
    pub account: Account,
    pub what_if: Vec<WhatIf>,
    pub witnesses: Witnesses,
    pub left_out: LeftOut,
}

/// A failing pod of the incident.
#[derive(Clone, PartialEq, Debug)]
pub struct Speaker {
    pub pod: PodKey,
    pub workload: Arc<str>,
    pub node: Option<Arc<str>>,
    pub first: Timestamp,
    pub matches: u64,
    pub signatures: Vec<Arc<str>>,
    pub state: State,
    /// Whether it counts in the comparison: it may have joined the incident otherwise.
    pub counted: bool,
}

/// What became of a failing pod.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    Fails,
    RunsAgain,
    Gone,
}

/// Comparable pods that run well.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Witnesses {
    /// Those that share a workload or a node with failing pods, by both.
    pub alike: Vec<Witness>,
    /// Those that share neither.
    pub others: u64,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Witness {
    pub workload: Arc<str>,
    pub node: Option<Arc<str>>,
    pub count: u64,
    /// The names of the first few.
    pub names: Vec<Arc<str>>,
}

/// Pods that fail too and are no part of the comparison.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LeftOut {
    /// At most [`MOST_LEFT_OUT`]; those on the failing pods' nodes first.
    pub pods: Vec<(PodKey, Option<Arc<str>>, Reason)>,
    pub more: usize,
    /// Pods that matched a while ago and do not fail now: they speak neither for nor against.
    pub recovered: usize,
}

/// Why a failing pod is another story.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    /// It had failed many times when it was first heard of.
    Chronic,
    /// It, or the members of the group, may have failed since before the watch began: nobody knows whether they began
    /// together.
    Undated,
    OtherSignature,
    /// It began to fail so much earlier or later.
    OtherOnset(Duration),
}

const MOST_LEFT_OUT: usize = 20;

/// What an explanation is made of, kept with the incident from the evaluation that its verdict comes from.
#[derive(Debug)]
pub struct Grounds {
    at: Timestamp,
    manner: Manner,
    case: Case,
    witnesses: Witnesses,
    left_out: LeftOut,
    coincidence_within_a_minute: f64,
}

impl Grounds {
    pub fn of(view: &View<'_>, group: &Group, failing_now: &BTreeSet<PodKey>) -> Self {
        let failing = group.case.pods.iter().filter(|pod| pod.failing);
        let members: BTreeSet<PodKey> = failing.map(|pod| Arc::clone(&pod.pod)).collect();
        Grounds {
            at: view.now,
            manner: group.manner,
            case: group.case.clone(),
            witnesses: group.witnesses.clone(),
            left_out: left_out(view, group, &members, failing_now),
            coincidence_within_a_minute: coincidence_within_a_minute(view, &members, group.onset),
        }
    }
}

/// What [`super::grouping::coincidence`] would say if the members had begun to fail within a minute of each other.
fn coincidence_within_a_minute(view: &View<'_>, members: &BTreeSet<PodKey>, onset: Timestamp) -> f64 {
    let failing = members.iter().filter_map(|pod| view.failures.pods.get(pod));
    let rules: BTreeSet<&Arc<str>> = failing.flat_map(|failing| telling_rules(failing, view.generic_rules)).collect();
    let rate = rules.into_iter().map(|rule| base_rate(view, rule, onset)).min_by(f64::total_cmp).unwrap_or(1.0);
    (1.0 - (-rate * 60.0).exp()).clamp(LEAST_COINCIDENCE, 1.0)
}

fn left_out(view: &View<'_>, group: &Group, members: &BTreeSet<PodKey>, failing_now: &BTreeSet<PodKey>) -> LeftOut {
    let known = members.iter().filter_map(|pod| view.failures.pods.get(pod));
    let rules: BTreeSet<&Arc<str>> = known.flat_map(|failing| telling_rules(failing, view.generic_rules)).collect();
    let nodes: BTreeSet<&Arc<str>> = group.case.pods.iter().filter(|pod| pod.failing).flat_map(|p| &p.node).collect();
    let node_of = |pod: &PodKey| view.inventory.pods.get(pod).and_then(|facts| facts.node.clone());
    let reason = |failing: &Failing| {
        let away = group.onset.since(failing.first).max(failing.first.since(group.newest));
        if failing.chronic {
            Reason::Chronic
        } else if !telling_rules(failing, view.generic_rules).any(|rule| rules.contains(rule)) {
            Reason::OtherSignature
        } else if away > LINK {
            Reason::OtherOnset(away)
        } else {
            Reason::Undated
        }
    };
    let others = failing_now.difference(members).filter_map(|pod| Some((pod, view.failures.pods.get(pod)?)));
    let mut pods: Vec<_> = others.map(|(pod, failing)| (Arc::clone(pod), node_of(pod), reason(failing))).collect();
    pods.sort_by_key(|(_, node, _)| node.as_ref().is_none_or(|node| !nodes.contains(node)));
    let more = pods.len().saturating_sub(MOST_LEFT_OUT);
    pods.truncate(MOST_LEFT_OUT);
    LeftOut { pods, more, recovered: view.failures.pods.len().saturating_sub(failing_now.len()) }
}

impl Correlator {
    /// Sends the alert, with its explanation where that is asked for.
    pub(super) fn tell(&self, incident: &Incident, alert: Alert, outcome: &mut Outcome) {
        if incident.is_untold {
            outcome.counts.withheld += 1;
            return;
        }
        let limits = &self.options.limits;
        let (failing, candidates) = (incident.members.len(), incident.candidates.len());
        outcome.counts.shortened_failing += u64::from(failing > limits.failing_in_alert);
        outcome.counts.shortened_candidates += u64::from(candidates > limits.candidates_in_alert);
        if self.options.explain {
            outcome.explanations.push(self.explained(incident, &alert));
        }
        outcome.alerts.push(alert);
    }

    fn explained(&self, incident: &Incident, alert: &Alert) -> Explained {
        let now = alert.updated_at;
        let setting = VerdictSetting {
            min_probability: self.options.alerts.min_probability,
            watched_less_than: (!self.is_known(now)).then_some(self.options.alerts.warm_up),
        };
        let most = self.options.limits.failing_in_alert;
        let comparison = match (alert.status, &incident.grounds) {
            (Status::Firing, Some(grounds)) => Some(comparison(grounds, incident, setting)),
            _ => None,
        };
        Explained {
            comparison,
            speakers: incident.members.keys().take(most).map(|pod| self.speaker(pod, incident, now)).collect(),
            more_speakers: incident.members.len().saturating_sub(most),
            setting,
        }
    }

    fn speaker(&self, pod: &PodKey, incident: &Incident, now: Timestamp) -> Speaker {
        let member = &incident.members[pod];
        let failing = self.failures.pods.get(pod);
        let facts = self.inventory.pods.get(pod);
        let started = facts.and_then(|facts| facts.started);
        let recovered = |failing: &Failing| {
            failing.has_recovered(self.inventory.heard_until(now), started, self.options.alerts.recovered_after)
        };
        let state = match failing {
            Some(failing) if recovered(failing) => State::RunsAgain,
            Some(_) if facts.is_some_and(|facts| !facts.is_gone()) => State::Fails,
            _ => State::Gone,
        };
        let counts = |grounds: &Arc<Grounds>| grounds.case.pods.iter().any(|other| other.failing && other.pod == *pod);
        Speaker {
            pod: Arc::clone(pod),
            workload: Arc::clone(&member.workload),
            node: member.node.clone(),
            first: failing.map_or(incident.onset, |failing| failing.first),
            matches: failing.map_or(0, |failing| failing.matches),
            signatures: failing.map(|failing| failing.rules.keys().cloned().collect()).unwrap_or_default(),
            state,
            counted: incident.grounds.as_ref().is_some_and(counts),
        }
    }
}

fn comparison(grounds: &Grounds, incident: &Incident, setting: VerdictSetting) -> Comparison {
    let explanation = Explanation {
        best: incident.best.clone(),
        candidates: Vec::new(),
        failing: failing_inside(&grounds.case, incident),
    };
    let setting = Setting {
        min_probability: setting.min_probability,
        coincidence_within_a_minute: grounds.coincidence_within_a_minute,
    };
    Comparison {
        at: grounds.at,
        manner: grounds.manner,
        account: localizer::account(&grounds.case, &incident.suspect),
        what_if: localizer::what_if(&grounds.case, &explanation, setting),
        witnesses: grounds.witnesses.clone(),
        left_out: grounds.left_out.clone(),
    }
}

fn failing_inside(case: &Case, incident: &Incident) -> BTreeSet<PodKey> {
    let inside = case.pods.iter().filter(|pod| pod.failing && covers(&incident.suspect, pod));
    inside.map(|pod| Arc::clone(&pod.pod)).collect()
}
