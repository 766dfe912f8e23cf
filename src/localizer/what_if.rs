//! What would change a verdict: the case with one thing made different, explained anew.
//!
//! Nothing is known here beforehand: each answer is computed, and which questions are worth asking follows from the
//! suspect and from how sure it is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::alert::{Scope, Suspect};

use super::{Case, Explanation, Exposed, Ranked, covers, explain};

/// One thing that is different from what was seen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// More pods fail alike on the node, each of a workload that did not fail there so far.
    OthersFailOnNode { node: Arc<str>, pods: u64 },
    /// Pods of the workload fail alike on further nodes; so many of it were known to run well.
    SiblingsFail { workload: Arc<str>, pods: u64, running: u64 },
    /// A pod of another workload on another node fails alike.
    StrayFails,
    /// More comparable pods inside the suspect run well.
    MoreRunWell { pods: u64 },
    /// The node says itself that something is wrong with it.
    NodeAccusesItself { node: Arc<str> },
    /// The node had not said so.
    NodeIsSilent { node: Arc<str> },
    /// The failing pods of the workload belong to another story.
    WithoutWorkload { workload: Arc<str>, pods: u64 },
    /// The failing pods on the node belong to another story.
    WithoutNode { node: Arc<str>, pods: u64 },
    /// It were known that the pods began to fail within a minute of each other.
    BeganTogether,
    /// The failures were known to be new, and the programs crashed again.
    FailAgain,
}

/// A change, and the verdict on the pods that the explanation is about after it.
#[derive(Clone, PartialEq, Debug)]
pub struct WhatIf {
    pub change: Change,
    /// What explains most of the pods then.
    pub then: Ranked,
    /// Another shared fault that comes up beside it.
    pub beside: Option<Ranked>,
}

/// What the answers depend on besides the case.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Setting {
    /// From here on a guarded hypothesis is confirmed.
    pub min_probability: f64,
    /// What [`Case::coincidence`] would be for pods that began to fail within a minute of each other.
    pub coincidence_within_a_minute: f64,
}

impl Setting {
    pub fn confirms(&self, ranked: &Ranked) -> bool {
        ranked.guarded && ranked.probability >= self.min_probability
    }
}

/// More pods than this that run well are not imagined, nor more that fail.
pub const MOST_RUNNING: u64 = 1000;
const MOST_FAILING: u64 = 12;

/// The changes that matter for the explanation, one of those of the case, with their consequences.
pub fn what_if(case: &Case, explanation: &Explanation, setting: Setting) -> Vec<WhatIf> {
    let question = Question { case, explanation, setting, before: explain(case) };
    match &explanation.best.suspect {
        Suspect::Pod(pod) => question.of_pod(pod),
        Suspect::Node(node) => question.of_node(node),
        Suspect::Workload(workload) => question.of_workload(workload),
        Suspect::Image(_) | Suspect::NodePool(_) | Suspect::Cluster => question.of_wide(),
    }
}

struct Question<'a> {
    case: &'a Case,
    explanation: &'a Explanation,
    setting: Setting,
    before: Vec<Explanation>,
}

impl Question<'_> {
    fn of_pod(&self, pod: &Arc<str>) -> Vec<WhatIf> {
        let mut answers = Vec::new();
        let Some(facts) = self.case.pods.iter().find(|exposed| exposed.failing && exposed.pod == *pod) else {
            return answers;
        };
        if let Some(node) = &facts.node {
            answers.push(self.until_confirmed(|pods| Change::OthersFailOnNode { node: Arc::clone(node), pods }));
            answers.push(self.answer(Change::NodeAccusesItself { node: Arc::clone(node) }));
        }
        answers.push(self.until_confirmed(|pods| self.siblings_fail(&facts.workload, pods)));
        answers
    }

    fn of_node(&self, node: &Arc<str>) -> Vec<WhatIf> {
        let accused = self.case.accused_nodes.contains(node);
        let workloads = self.failing_by(|pod| Some(&pod.workload));
        let mut answers = self.lifts();
        if !self.is_confirmed() {
            answers.push(self.until_confirmed(|pods| Change::OthersFailOnNode { node: Arc::clone(node), pods }));
        }
        if accused {
            answers.push(self.answer(Change::NodeIsSilent { node: Arc::clone(node) }));
        } else if !self.is_confirmed() {
            answers.push(self.answer(Change::NodeAccusesItself { node: Arc::clone(node) }));
        }
        if let Some((workload, pods)) = rarest(&workloads).filter(|_| self.is_confirmed() && workloads.len() > 1) {
            answers.push(self.answer(Change::WithoutWorkload { workload: Arc::clone(workload), pods }));
        }
        if let Some((workload, _)) = commonest(&workloads) {
            answers.push(self.until_another(|pods| self.siblings_fail(workload, pods)));
        }
        answers.push(self.answer(Change::StrayFails));
        answers.extend(self.until_doubtful());
        answers
    }

    fn of_workload(&self, workload: &Arc<str>) -> Vec<WhatIf> {
        let nodes = self.failing_by(|pod| pod.node.as_ref());
        let mut answers = self.lifts();
        if !self.is_confirmed() {
            answers.push(self.until_confirmed(|pods| self.siblings_fail(workload, pods)));
        }
        if let Some((node, pods)) = commonest(&nodes) {
            if nodes.len() > 1 {
                answers.push(self.answer(Change::WithoutNode { node: Arc::clone(node), pods }));
            }
            answers.push(self.until_another(|pods| Change::OthersFailOnNode { node: Arc::clone(node), pods }));
        }
        answers.push(self.answer(Change::StrayFails));
        answers.extend(self.until_doubtful());
        answers
    }

    fn of_wide(&self) -> Vec<WhatIf> {
        let nodes = self.failing_by(|pod| pod.node.as_ref());
        let workloads = self.failing_by(|pod| Some(&pod.workload));
        let mut answers = self.lifts();
        if let Some((node, pods)) = commonest(&nodes).filter(|_| nodes.len() > 1) {
            answers.push(self.answer(Change::WithoutNode { node: Arc::clone(node), pods }));
        }
        if let Some((workload, pods)) = commonest(&workloads).filter(|_| workloads.len() > 1) {
            answers.push(self.answer(Change::WithoutWorkload { workload: Arc::clone(workload), pods }));
        }
        if self.explanation.best.suspect.scope() != Scope::Cluster {
            answers.push(self.answer(Change::StrayFails));
        }
        answers.extend(self.until_doubtful());
        answers
    }

    /// Knowledge of the failures themselves that is missing.
    fn lifts(&self) -> Vec<WhatIf> {
        let mut answers = Vec::new();
        if self.is_confirmed() {
            return answers;
        }
        if self.case.mere_crashes || self.case.old {
            answers.push(self.answer(Change::FailAgain));
        }
        if self.case.coincidence > self.setting.coincidence_within_a_minute {
            answers.push(self.answer(Change::BeganTogether));
        }
        answers
    }

    fn is_confirmed(&self) -> bool {
        self.setting.confirms(&self.explanation.best)
    }

    fn siblings_fail(&self, workload: &Arc<str>, pods: u64) -> Change {
        let is_sibling = |pod: &&Exposed| !pod.failing && !pod.bystander && pod.workload == *workload;
        let running = self.case.pods.iter().filter(is_sibling).map(|pod| pod.count).sum();
        Change::SiblingsFail { workload: Arc::clone(workload), pods, running }
    }

    /// How many pods of the explanation share each trait.
    fn failing_by<'s>(&'s self, trait_of: impl Fn(&'s Exposed) -> Option<&'s Arc<str>>) -> BTreeMap<&'s Arc<str>, u64> {
        let mut counts = BTreeMap::new();
        let failing = self.case.pods.iter().filter(|pod| pod.failing && self.explanation.failing.contains(&pod.pod));
        for name in failing.filter_map(trait_of) {
            *counts.entry(name).or_default() += 1;
        }
        counts
    }

    /// The fewest pods with which something shared is confirmed; one if not even many are enough.
    fn until_confirmed(&self, change: impl Fn(u64) -> Change) -> WhatIf {
        let confirms =
            |answer: &WhatIf| answer.then.suspect.scope() != Scope::Pod && self.setting.confirms(&answer.then);
        let found = (1..=MOST_FAILING).map(|pods| self.answer(change(pods))).find(confirms);
        found.unwrap_or_else(|| self.answer(change(1)))
    }

    /// The fewest pods that make another suspect come up, beside this one or instead of it; one if none do.
    fn until_another(&self, change: impl Fn(u64) -> Change) -> WhatIf {
        let best = &self.explanation.best.suspect;
        let another = |answer: &WhatIf| answer.then.suspect != *best || answer.beside.is_some();
        let found = (1..=MOST_FAILING).map(|pods| self.answer(change(pods))).find(another);
        found.unwrap_or_else(|| self.answer(change(1)))
    }

    /// The fewest pods that run well with which what is confirmed no longer is.
    fn until_doubtful(&self) -> Option<WhatIf> {
        if !self.is_confirmed() {
            return None;
        }
        let best = &self.explanation.best.suspect;
        let doubtful = |answer: &WhatIf| answer.then.suspect != *best || !self.setting.confirms(&answer.then);
        let ask = |pods| self.answer(Change::MoreRunWell { pods });
        // More of them never make the suspect likelier, so the first that is enough is found by halving.
        let (mut too_few, mut enough) = (0, 1);
        while !doubtful(&ask(enough)) {
            if enough >= MOST_RUNNING {
                return Some(ask(enough));
            }
            (too_few, enough) = (enough, (enough * 4).min(MOST_RUNNING));
        }
        while enough - too_few > 1 {
            let middle = too_few.midpoint(enough);
            if doubtful(&ask(middle)) { enough = middle } else { too_few = middle }
        }
        Some(ask(enough))
    }

    fn answer(&self, change: Change) -> WhatIf {
        let changed = changed(self.case, &self.explanation.best.suspect, &change, self.setting);
        let after = explain(&changed);
        let best = &self.explanation.best;
        let overlap = |other: &Explanation| other.failing.intersection(&self.explanation.failing).count();
        let most = after.iter().map(overlap).max().unwrap_or(0);
        let same = after.iter().find(|other| other.best.suspect == best.suspect);
        let then = same.or_else(|| after.iter().find(|other| overlap(other) == most));
        // Without any failing pod left nothing is explained.
        let then = then.map_or(Ranked { probability: 0.0, guarded: false, ..best.clone() }, |then| then.best.clone());
        let known: BTreeSet<&Suspect> = self.before.iter().map(|other| &other.best.suspect).collect();
        let mut others = after.iter().map(|other| &other.best).filter(|other| other.suspect.scope() != Scope::Pod);
        let beside = others.find(|other| other.suspect != then.suspect && !known.contains(&other.suspect)).cloned();
        WhatIf { change, then, beside }
    }
}

fn commonest<'a>(counts: &BTreeMap<&'a Arc<str>, u64>) -> Option<(&'a Arc<str>, u64)> {
    // Of equals the first.
    counts.iter().map(|(name, count)| (*name, *count)).rev().max_by_key(|(_, count)| *count)
}

fn rarest<'a>(counts: &BTreeMap<&'a Arc<str>, u64>) -> Option<(&'a Arc<str>, u64)> {
    counts.iter().map(|(name, count)| (*name, *count)).min_by_key(|(_, count)| *count)
}

/// The case with the change made.
fn changed(case: &Case, suspect: &Suspect, change: &Change, setting: Setting) -> Case {
    let mut case = case.clone();
    let together = setting.coincidence_within_a_minute;
    let failing = case.pods.iter().filter(|pod| pod.failing).count();
    match change {
        Change::OthersFailOnNode { node, pods } => {
            let like = case.pods.iter().find(|pod| pod.node.as_ref() == Some(node)).cloned();
            let pool = like.and_then(|pod| pod.pool);
            case.pods.extend((0..*pods).map(|at| Exposed {
                node: Some(Arc::clone(node)),
                pool: pool.clone(),
                ..imagined(at)
            }));
        }
        Change::SiblingsFail { workload, pods, .. } => siblings_fail(&mut case, workload, *pods),
        Change::StrayFails => {
            case.pods.push(Exposed { node: Some("another node".into()), ..imagined(0) });
        }
        Change::MoreRunWell { pods } => {
            let inside = case.pods.iter().find(|pod| pod.failing && covers(suspect, pod)).cloned();
            case.pods.extend(inside.map(|inside| running_inside(suspect, &inside, *pods)));
        }
        Change::NodeAccusesItself { node } => drop(case.accused_nodes.insert(Arc::clone(node))),
        Change::NodeIsSilent { node } => drop(case.accused_nodes.remove(node)),
        Change::WithoutWorkload { workload, .. } => case.pods.retain(|pod| !pod.failing || pod.workload != *workload),
        Change::WithoutNode { node, .. } => case.pods.retain(|pod| !pod.failing || pod.node.as_ref() != Some(node)),
        Change::BeganTogether => case.coincidence = case.coincidence.min(together),
        Change::FailAgain => (case.mere_crashes, case.old) = (false, false),
    }
    // Of one pod it makes no sense to ask how close to the others it began.
    if failing < 2 {
        case.coincidence = case.coincidence.min(together);
    }
    case
}

/// A failing pod that has nothing in common with any other.
fn imagined(at: u64) -> Exposed {
    Exposed {
        pod: format!("imagined/{at}").into(),
        workload: format!("imagined/workload-{at}").into(),
        node: None,
        pool: None,
        image: None,
        failing: true,
        count: 1,
        bystander: false,
    }
}

/// Pods of the workload, each on a node of its own, now fail; they are taken from those that ran well, if there are any.
fn siblings_fail(case: &mut Case, workload: &Arc<str>, pods: u64) {
    let image = case.pods.iter().find(|pod| pod.failing && pod.workload == *workload).and_then(|pod| pod.image.clone());
    let mut left = pods;
    for pod in case.pods.iter_mut().filter(|pod| !pod.failing && !pod.bystander && pod.workload == *workload) {
        let taken = left.min(pod.count);
        pod.count -= taken;
        left -= taken;
    }
    case.pods.retain(|pod| pod.count > 0);
    case.pods.extend((0..pods).map(|at| Exposed {
        workload: Arc::clone(workload),
        node: Some(format!("another node {at}").into()),
        image: image.clone(),
        ..imagined(at)
    }));
}

/// Pods that share the suspect with a failing one, and as little else as they can.
fn running_inside(suspect: &Suspect, failing: &Exposed, count: u64) -> Exposed {
    let nobody: Arc<str> = Arc::default();
    let running = Exposed {
        pod: Arc::clone(&nobody),
        workload: nobody,
        node: None,
        pool: None,
        image: None,
        failing: false,
        count,
        bystander: false,
    };
    let Exposed { workload, node, pool, image, .. } = failing.clone();
    match suspect {
        Suspect::Pod(_) | Suspect::Cluster => running,
        Suspect::Node(_) => Exposed { node, pool, ..running },
        Suspect::Workload(_) => Exposed { workload, image, ..running },
        Suspect::Image(_) => Exposed { image, ..running },
        Suspect::NodePool(_) => Exposed { pool, ..running },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::localizer::tests::{case, founding_case, pods};

    const SETTING: Setting = Setting { min_probability: 0.8, coincidence_within_a_minute: 0.02 };

    fn one_workload() -> Case {
        case(vec![pods("cd", "win1", 3, true), pods("cd", "win0", 6, false)])
    }

    fn ask<T>(case: &Case, read: impl FnOnce(&Question<'_>) -> T) -> T {
        let before = explain(case);
        read(&Question { case, explanation: &before[0].clone(), setting: SETTING, before })
    }

    fn answers(case: &Case) -> Vec<WhatIf> {
        what_if(case, &explain(case)[0], SETTING)
    }

    #[test]
    fn pods_that_run_well_on_a_node_make_it_less_likely() {
        let case = founding_case();
        let probabilities: Vec<f64> = [0, 1, 2, 5, 10, 30, 100, 500]
            .map(|pods| ask(&case, |question| question.answer(Change::MoreRunWell { pods }).then))
            .into_iter()
            .map(|then| if then.suspect == Suspect::Node("win1".into()) { then.probability } else { 0.0 })
            .collect();
        assert!(probabilities.windows(2).all(|pair| pair[1] <= pair[0]), "{probabilities:?}");
        assert!(probabilities[0] > 0.99 && probabilities[7] < 0.5, "{probabilities:?}");
    }

    #[test]
    fn the_fewest_that_unsettle_a_verdict_are_told() {
        let case = founding_case();
        let fewest = ask(&case, |question| question.until_doubtful()).unwrap();
        let Change::MoreRunWell { pods } = fewest.change else { panic!("{fewest:?}") };
        let before = ask(&case, |question| question.answer(Change::MoreRunWell { pods: pods - 1 }));
        assert!(SETTING.confirms(&before.then) && before.then.suspect == Suspect::Node("win1".into()), "{before:?}");
        assert!(!SETTING.confirms(&fewest.then) || fewest.then.suspect != before.then.suspect, "{fewest:?}");
    }

    #[test]
    fn a_suspicion_is_told_what_it_lacks() {
        let answers = answers(&one_workload());
        let another = answers.iter().find(|answer| matches!(answer.change, Change::OthersFailOnNode { .. })).unwrap();
        assert_eq!(another.change, Change::OthersFailOnNode { node: "win1".into(), pods: 1 });
        assert!(SETTING.confirms(&another.then) && another.then.suspect == Suspect::Node("win1".into()));
        let accused = answers.iter().find(|answer| matches!(answer.change, Change::NodeAccusesItself { .. })).unwrap();
        assert!(SETTING.confirms(&accused.then), "{accused:?}");
    }

    #[test]
    fn siblings_that_fail_elsewhere_turn_to_the_workload() {
        let answer = ask(&one_workload(), |question| question.answer(question.siblings_fail(&"cd".into(), 3)));
        assert_eq!(answer.change, Change::SiblingsFail { workload: "cd".into(), pods: 3, running: 6 });
        assert_eq!(answer.then.suspect, Suspect::Workload("cd".into()));
        assert!(SETTING.confirms(&answer.then));
        assert_eq!((answer.then.evidence.failing_pods, answer.then.evidence.exposed_pods), (6, 9), "none is invented");
    }

    #[test]
    fn missing_knowledge_of_the_failures_is_named() {
        let case = Case { mere_crashes: true, coincidence: 1.0, ..founding_case() };
        let answers = answers(&case);
        assert!(matches!(answers[0].change, Change::FailAgain) && SETTING.confirms(&answers[0].then), "{answers:?}");
        assert!(matches!(answers[1].change, Change::BeganTogether) && !answers[1].then.guarded, "{answers:?}");
    }

    #[test]
    fn every_scope_has_questions_and_their_answers_are_finite() {
        let wide = ["a", "b", "c"].iter().flat_map(|w| ["win0", "win1", "win2"].map(|n| pods(w, n, 1, true)));
        let healthy = ["a", "b", "c"].iter().flat_map(|w| ["n1", "n2", "n3"].map(|n| pods(w, n, 2, false)));
        let everywhere = ["a", "b", "c"].iter().flat_map(|w| ["win0", "win1", "n2"].map(|n| pods(w, n, 2, true)));
        let cases = [
            case(vec![pods("cd", "win1", 1, true), pods("cd", "win0", 9, false)]),
            founding_case(),
            case(vec![pods("api", "n1", 2, true), pods("api", "n2", 2, true), pods("web", "n1", 3, false)]),
            case(wide.chain(healthy).collect()),
            case(everywhere.collect()),
        ];
        for case in cases {
            let answers = answers(&case);
            assert!((1..=6).contains(&answers.len()), "{} for {:?}", answers.len(), explain(&case)[0].best);
            for answer in answers {
                assert!((0.0..=1.0).contains(&answer.then.probability), "{answer:?}");
            }
        }
    }
}
