//! One evaluation: findings, their explanations, and what that means for the incidents that are open.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::alert::{Evidence, Status, Suspect, Verdict};
use crate::localizer::{self, Explanation, Exposed, Ranked, covers};
use crate::signature::{Accuses, Severity};
use crate::time::Timestamp;

use super::explained::Grounds;
use super::exposure::{self, View};
use super::failures::Failures;
use super::flap;
use super::incident::{Incident, Standing, dedup_key};
use super::inventory::PodKey;
use super::{Correlator, Outcome};

/// How sure a signal that a node gives about itself makes us, when no pod speaks for or against it.
const NODE_SIGNAL_PROBABILITY: f64 = 0.9;
/// Pods that began to fail at most this long before an incident may be its first signs.
const SAME_STORY: Duration = Duration::from_secs(120);
/// A suspicion is told when it is sooner right than wrong.
const LEAST_SUSPICION: f64 = 0.5;
/// Old failures may have nothing in common from this probability on.
const CHANCE: f64 = 0.02;
/// Nodes that restart or leave say so within this.
const NODE_SIGNAL_HOLD: Duration = Duration::from_secs(60);

/// Why a verdict is no more than suspected.
const RECORDS_LOST: &str =
    "some records of this window were deleted from Kafka before they could be read: what is known may not be all";

/// A fault that shows in several places is told only once it has not spread for the pause, or has been known for as
/// long as anyone should wait.
const SPREAD_PAUSE: Duration = Duration::from_secs(10);
const SPREAD_PATIENCE: Duration = Duration::from_secs(30);

/// One fault of a group of failing pods.
struct Found {
    explanation: Explanation,
    onset: Timestamp,
    spreads: bool,
    grounds: Option<Arc<Grounds>>,
}

/// What crossed its trigger at one evaluation.
#[derive(Debug, Default)]
struct Findings {
    pods: BTreeSet<PodKey>,
    /// Pods that match a rule which crossed its trigger, but elsewhere: too few to be a finding of their own, and company
    /// for those that are.
    company: BTreeSet<PodKey>,
    nodes: BTreeSet<Arc<str>>,
}

impl Correlator {
    pub(super) fn reconcile(&mut self, now: Timestamp, outcome: &mut Outcome) {
        let findings = self.findings(now);
        for found in self.explanations(&findings, now) {
            self.place(&found, now, outcome);
        }
        for node in &findings.nodes {
            self.place_node_signal(node, now, outcome);
        }
        self.follow_up(now, outcome);
    }

    /// Pods and nodes whose windows crossed their rules' triggers, without those that have recovered since.
    fn findings(&self, now: Timestamp) -> Findings {
        let windows = self.options.windows;
        let mut findings = Findings::default();
        let (mut crossed, mut below) = (BTreeSet::new(), Vec::new());
        for ((node, rule), window) in &self.windows {
            let Some(rule) = self.rules.get(rule) else { continue };
            let within = rule.trigger.within.unwrap_or(windows.size).min(windows.size);
            let count = window.count(windows.slide, now, within);
            let enough_pods = rule.accuses == Accuses::Node || count.pods >= rule.trigger.pods as usize;
            if count.matches == 0 {
                continue;
            }
            if count.matches < u64::from(rule.trigger.matches) || !enough_pods {
                below.push((rule, window, within));
                continue;
            }
            match (rule.accuses, node) {
                (Accuses::Pod, _) => {
                    crossed.insert(&rule.id);
                    let pods = window.pods(windows.slide, now, within);
                    findings.pods.extend(pods.filter(|pod| self.fails(pod, now)).cloned());
                }
                (Accuses::Node, Some(node)) if self.accuses_itself(node, &rule.id) => {
                    findings.nodes.insert(Arc::clone(node));
                }
                (Accuses::Node, _) => {}
            }
        }
        for (rule, window, within) in below {
            if rule.accuses == Accuses::Pod && crossed.contains(&rule.id) {
                let pods = window.pods(windows.slide, now, within);
                let pods = pods.filter(|pod| self.matched_again(pod, &rule.id) && self.fails(pod, now));
                findings.company.extend(pods.cloned());
            }
        }
        findings.company.retain(|pod| !findings.pods.contains(pod));
        findings
    }

    fn matched_again(&self, pod: &PodKey, rule: &Arc<str>) -> bool {
        self.failures.pods.get(pod).and_then(|failing| failing.rules.get(rule)).is_some_and(|stat| stat.matches >= 2)
    }

    fn fails(&self, pod: &PodKey, now: Timestamp) -> bool {
        let started = self.inventory.pods.get(pod).and_then(|facts| facts.started);
        self.failures.pods.get(pod).is_some_and(|failing| {
            failing.is_open()
                && !failing.has_recovered(self.inventory.heard_until(now), started, self.options.alerts.recovered_after)
        })
    }

    fn accuses_itself(&self, node: &Arc<str>, rule: &Arc<str>) -> bool {
        let leaving = self.inventory.nodes.get(node).is_some_and(|facts| facts.leaving.is_some());
        let failing = self.failures.nodes.get(node);
        !leaving && failing.is_some_and(|failing| failing.is_open() && failing.rules.contains_key(rule))
    }

    /// The faults that explain the failing pods, the surest first: it may take over what the doubtful ones tell.
    fn explanations(&self, findings: &Findings, now: Timestamp) -> Vec<Found> {
        let view = self.view(findings, now);
        let mut found = Vec::new();
        let failing = &findings.pods | &findings.company;
        let is_finding = |explanation: &Explanation| !explanation.failing.is_disjoint(&findings.pods);
        for group in exposure::groups(&view, &failing) {
            let explanations = localizer::explain(&group.case);
            // Pods that fail alike in several places at once may be the beginning of something wider.
            let spreads = explanations.len() > 1
                && now.since(group.newest) < SPREAD_PAUSE
                && now.since(group.onset) < SPREAD_PATIENCE;
            let onset = group.onset;
            let grounds = view.explain.then(|| Arc::new(Grounds::of(&view, &group, &failing)));
            let part = |explanation| Found { explanation, onset, spreads, grounds: grounds.clone() };
            let told_as = |explanation| {
                if self.is_idle(&explanation, group.case.old) { explanation.alone() } else { vec![explanation] }
            };
            found.extend(explanations.into_iter().filter(is_finding).flat_map(told_as).map(part));
        }
        found.sort_by(|a, b| b.explanation.best.probability.total_cmp(&a.explanation.best.probability));
        found
    }

    /// Whether a suspicion is not worth a word: sooner wrong than right, or of pods that have failed for days and may well
    /// have nothing else in common.
    fn is_idle(&self, explanation: &Explanation, is_old: bool) -> bool {
        let best = &explanation.best;
        let sure = best.guarded && best.probability >= self.options.alerts.min_probability;
        let isolated = explanation.candidates.iter().find(|ranked| matches!(ranked.suspect, Suspect::Pod(_)));
        let may_be_chance = is_old && isolated.is_some_and(|isolated| isolated.probability >= CHANCE);
        !sure && (may_be_chance || best.probability < LEAST_SUSPICION)
    }

    fn view<'a>(&'a self, findings: &'a Findings, now: Timestamp) -> View<'a> {
        View {
            inventory: &self.inventory,
            failures: &self.failures,
            accused_nodes: &findings.nodes,
            generic_rules: &self.generic_rules,
            rules: &self.rules,
            priors: self.options.priors,
            explain: self.options.explain,
            began: self.began.unwrap_or(now),
            known_since: self.began.unwrap_or(now).saturating_add(self.options.alerts.warm_up),
            now,
        }
    }

    pub(super) fn is_known(&self, now: Timestamp) -> bool {
        self.began.is_some_and(|began| now.since(began) >= self.options.alerts.warm_up)
    }

    /// Whether all records of the window could be read.
    pub(super) fn is_whole(&self, now: Timestamp) -> bool {
        self.lost_at.is_none_or(|lost| now.since(lost) > self.options.windows.size)
    }

    /// Whether what happens at `now` may well be over in the present.
    fn is_long_ago(&self, now: Timestamp) -> bool {
        self.options.alerts.max_age.is_some_and(|most| self.present.since(now) > most)
    }

    fn exposed(&self, pods: &BTreeSet<PodKey>, now: Timestamp) -> Vec<Exposed> {
        let nobody = Findings::default();
        let view = self.view(&nobody, now);
        pods.iter().filter_map(|pod| exposure::exposed(&view, pod)).collect()
    }

    /// Finds the incident that an explanation belongs to, or opens one when it is time to.
    fn place(&mut self, found: &Found, now: Timestamp, outcome: &mut Outcome) {
        let Found { explanation, spreads, grounds, .. } = found;
        let best = &explanation.best;
        let sure = best.probability >= self.options.alerts.min_probability && best.guarded;
        let confirmed = sure && self.is_known(now) && self.is_whole(now);
        let pods = self.exposed(&explanation.failing, now);
        let key = dedup_key(&self.cluster, &best.suspect);
        let most = self.options.limits.failing_pods;
        if let Some(mut incident) = self.incidents.remove(&key) {
            let becomes_sure = confirmed && !incident.is_confirmed();
            update(&mut incident, explanation, confirmed);
            if incident.best == *best {
                incident.grounds.clone_from(grounds);
            }
            join(&mut incident, pods, &mut self.failures, most);
            if becomes_sure {
                let replaced = self.superseded(&incident, explanation);
                // Who was told of one of them must not take the fault for over.
                if incident.is_untold && self.is_any_told(&replaced) {
                    incident.is_untold = false;
                    self.supersede(&incident, replaced, now, outcome);
                    incident.severity = incident.severity.max(self.incident_severity(&incident));
                    incident.mark_told(now);
                    self.tell(&incident, self.alert(&incident, Status::Firing, now), outcome);
                } else {
                    self.supersede(&incident, replaced, now, outcome);
                }
            }
            self.incidents.insert(key, incident);
            return;
        }
        let (told, untold): (Vec<_>, Vec<_>) = pods.iter().cloned().partition(|pod| self.is_told(pod));
        if untold.is_empty() || !confirmed && !told.is_empty() {
            return self.join_covering(told);
        }
        if *spreads {
            return;
        }
        // A pod is never so sure that waiting for the next one would not pay.
        // At the end of the input there is no next one, and only the short watch stands against what is sure.
        let last_word = sure && self.watermarks.all_ended();
        let at_once = (confirmed || last_word) && !matches!(best.suspect, Suspect::Pod(_));
        if at_once || self.is_due(found, now) {
            self.open(found, confirmed, pods, now, outcome);
        }
    }

    /// Whether a confirmed incident tells of the pod already: what is narrower is inhibited by it.
    fn is_told(&self, pod: &Exposed) -> bool {
        self.incidents.values().any(|incident| incident.is_confirmed() && self.belongs(incident, pod))
    }

    /// Whether a pod that fails inside the incident's suspect fails because of it: since it began, or like its other
    /// pods. A crash-looper of last week on a node that breaks today is another story.
    fn belongs(&self, incident: &Incident, pod: &Exposed) -> bool {
        if incident.members.contains_key(&pod.pod) {
            return true;
        }
        let Some(failing) = self.failures.pods.get(&pod.pod).filter(|_| covers(&incident.suspect, pod)) else {
            return false;
        };
        let began_with_it = !failing.chronic && failing.first >= incident.onset.saturating_sub(SAME_STORY);
        let mut telling = failing.rules.keys().filter(|rule| !self.generic_rules.contains(*rule));
        began_with_it || telling.any(|rule| incident.rules.contains(rule))
    }

    fn join_covering(&mut self, pods: Vec<Exposed>) {
        let most = self.options.limits.failing_pods;
        for pod in pods {
            let mut confirmed = self.incidents.iter().filter(|(_, incident)| incident.is_confirmed());
            let covering = confirmed.find(|(_, incident)| self.belongs(incident, &pod)).map(|(key, _)| key.clone());
            if let Some(incident) = covering.and_then(|key| self.incidents.get_mut(&key)) {
                join(incident, vec![pod], &mut self.failures, most);
            }
        }
    }

    /// Whether a verdict that is not sure has waited long enough for the next pod to decide it.
    fn is_due(&self, found: &Found, now: Timestamp) -> bool {
        let explanation = &found.explanation;
        let alerts = &self.options.alerts;
        let still_there = |pod: &PodKey| self.inventory.pods.get(pod).is_some_and(|facts| !facts.is_gone());
        if !explanation.failing.iter().any(still_there) {
            return false;
        }
        let Suspect::Pod(pod) = &explanation.best.suspect else {
            return now.since(found.onset) >= alerts.hold_suspected;
        };
        let Some(failing) = self.failures.pods.get(pod) else { return false };
        let matters = self.severity(failing.rules.keys()) > Severity::Info;
        matters && failing.matches >= 2 && now.since(failing.first) >= alerts.group_wait
    }

    fn severity<'a>(&self, rules: impl Iterator<Item = &'a Arc<str>>) -> Severity {
        rules.filter_map(|id| self.rules.get(id)).map(|rule| rule.severity).max().unwrap_or(Severity::Info)
    }

    fn open(&mut self, found: &Found, confirmed: bool, pods: Vec<Exposed>, now: Timestamp, outcome: &mut Outcome) {
        let explanation = &found.explanation;
        let best = &explanation.best;
        let most = self.options.limits.failing_pods;
        let mut incident = Incident::open(&self.cluster, best, &explanation.candidates, found.onset, now);
        incident.grounds.clone_from(&found.grounds);
        if confirmed {
            incident.verdict = Verdict::Confirmed;
        } else if !self.is_known(now) {
            incident.notes.push(format!(
                "watched for less than {} s: the cluster's inventory is not known yet",
                self.options.alerts.warm_up.as_secs()
            ));
        }
        if !confirmed && !self.is_whole(now) {
            incident.notes.push(RECORDS_LOST.to_owned());
        }
        join(&mut incident, pods, &mut self.failures, most);
        if !self.has_room_for(&incident) {
            outcome.counts.untold_incidents += 1;
            return;
        }
        incident.flaps = self.flaps.begins(&incident.dedup_key, now, &self.options.alerts);
        let replaced = self.superseded(&incident, explanation);
        incident.is_untold = self.is_long_ago(now) && !self.is_any_told(&replaced);
        self.supersede(&incident, replaced, now, outcome);
        incident.severity = self.incident_severity(&incident);
        incident.mark_told(now);
        self.tell(&incident, self.alert(&incident, Status::Firing, now), outcome);
        self.incidents.insert(incident.dedup_key.clone(), incident);
    }

    /// The open incidents that the new one tells better.
    fn superseded(&self, new: &Incident, explanation: &Explanation) -> Vec<String> {
        let replaced = |old: &Incident| {
            (new.is_confirmed() || !old.is_confirmed()) && old.is_within(&new.suspect, &explanation.failing)
        };
        self.incidents.iter().filter(|(_, old)| replaced(old)).map(|(key, _)| key.clone()).collect()
    }

    fn is_any_told(&self, keys: &[String]) -> bool {
        keys.iter().filter_map(|key| self.incidents.get(key)).any(|incident| !incident.is_untold)
    }

    /// Ends them.
    fn supersede(&mut self, new: &Incident, keys: Vec<String>, now: Timestamp, outcome: &mut Outcome) {
        for key in keys {
            if let Some(mut old) = self.incidents.remove(&key) {
                // Nobody need hear of what began and ended at once; an id is of one message.
                if old.was_told_at(now) && outcome.take_back((&old.dedup_key, now), &new.dedup_key) {
                    continue;
                }
                old.notes = vec![format!("superseded by {}", new.dedup_key)];
                let mut alert = self.alert(&old, Status::Resolved, now);
                alert.superseded_by = Some(new.dedup_key.clone());
                self.tell(&old, alert, outcome);
            }
        }
    }

    /// A node that accuses itself is an incident also when no pod fails on it, after the hold.
    fn place_node_signal(&mut self, node: &Arc<str>, now: Timestamp, outcome: &mut Outcome) {
        let suspect = Suspect::Node(Arc::clone(node));
        if self.incidents.contains_key(&dedup_key(&self.cluster, &suspect)) {
            return;
        }
        let Some(signal) = self.failures.nodes.get(node) else { return };
        let onset = signal.first;
        let critical = self.severity(signal.rules.keys()) == Severity::Critical;
        if now.since(onset) < NODE_SIGNAL_HOLD {
            return;
        }
        let evidence = Evidence::default();
        let best = Ranked {
            suspect,
            probability: NODE_SIGNAL_PROBABILITY,
            evidence,
            guarded: critical,
            same_pods: Vec::new(),
        };
        let confirmed = critical && best.probability >= self.options.alerts.min_probability;
        let confirmed = confirmed && self.is_known(now) && self.is_whole(now);
        let explanation = Explanation { candidates: vec![best.clone()], best, failing: BTreeSet::new() };
        let found = Found { explanation, onset, spreads: false, grounds: None };
        self.open(&found, confirmed, Vec::new(), now, outcome);
    }

    /// Resolves what is over and tells again where there is news.
    fn follow_up(&mut self, now: Timestamp, outcome: &mut Outcome) {
        let roll = self.roll(now);
        let keys: Vec<String> = self.incidents.keys().cloned().collect();
        for key in keys {
            let Some(mut incident) = self.incidents.remove(&key) else { continue };
            // One message per incident and evaluation: its id is made from both.
            if incident.was_told_at(now) {
                self.incidents.insert(key, incident);
                continue;
            }
            let mut standing = self.standing(&incident, &roll, now);
            // What was lost may have told of failures: quiet counts from then on.
            standing.last_match = standing.last_match.map(|at| self.lost_at.map_or(at, |lost| at.max(lost)));
            if let Some(reason) = self.end_of(&mut incident, &standing, now, outcome) {
                incident.notes.push(format!("resolved: {reason}"));
                self.settle(&incident, now);
                self.tell(&incident, self.alert(&incident, Status::Resolved, now), outcome);
                continue;
            }
            incident.severity = incident.severity.max(self.incident_severity(&incident));
            let is_news = incident.is_untold || incident.has_news(now, self.options.alerts.renotify);
            if is_news && !self.is_long_ago(now) {
                incident.is_untold = false;
                incident.mark_told(now);
                self.tell(&incident, self.alert(&incident, Status::Firing, now), outcome);
            } else if self.is_reminder_due(&incident, now) {
                incident.reminded = now;
                outcome.reminders.push(self.alert(&incident, Status::Firing, now));
            }
            self.incidents.insert(key, incident);
        }
    }

    /// Why the incident is over, if it is. One that flaps must stay so for a while.
    fn end_of(
        &mut self,
        incident: &mut Incident,
        standing: &Standing,
        now: Timestamp,
        outcome: &mut Outcome,
    ) -> Option<String> {
        let alerts = &self.options.alerts;
        let Some(since) = incident.over_since else {
            let reason = incident.is_over(standing, now, alerts)?;
            if !incident.flaps {
                return Some(reason);
            }
            incident.over_since = Some(now);
            outcome.counts.damped += 1;
            return None;
        };
        if standing.last_match > Some(since) {
            incident.over_since = None;
            self.flaps.begins(&incident.dedup_key, now, alerts);
            return None;
        }
        // It was over, and nothing failed since: silence does not take that back.
        let calm = flap::calm_after(alerts);
        (now.since(since) >= calm).then(|| format!("no failure for {} min after it was over", calm.as_secs() / 60))
    }

    fn is_reminder_due(&self, incident: &Incident, now: Timestamp) -> bool {
        let is_due = |every| now.since(incident.reminded) >= every;
        self.options.alerts.remind_every.is_some_and(is_due) && !incident.is_untold && !self.is_long_ago(now)
    }

    fn incident_severity(&self, incident: &Incident) -> Severity {
        let pods = incident.members.keys().filter_map(|pod| self.failures.pods.get(pod));
        let node = match &incident.suspect {
            Suspect::Node(node) => self.failures.nodes.get(node),
            _ => None,
        };
        self.severity(pods.chain(node).flat_map(|failing| failing.rules.keys()))
    }

    /// What failed as part of an incident that is over does not open it again.
    fn settle(&mut self, incident: &Incident, now: Timestamp) {
        for pod in incident.members.keys() {
            if let Some(failing) = self.failures.pods.get_mut(pod) {
                failing.settled = Some(now);
            }
        }
        if let Suspect::Node(node) = &incident.suspect
            && let Some(signal) = self.failures.nodes.get_mut(node)
        {
            signal.settled = Some(now);
        }
    }
}

/// Takes over what the newest evaluation says; a verdict once confirmed stays so until the end.
fn update(incident: &mut Incident, explanation: &Explanation, confirmed: bool) {
    if confirmed {
        incident.verdict = Verdict::Confirmed;
        incident.notes.clear();
    }
    if confirmed || !incident.is_confirmed() {
        incident.best = explanation.best.clone();
        incident.candidates.clone_from(&explanation.candidates);
    }
}

/// Pods beyond the bound are part of it all the same, but nobody keeps account of them.
fn join(incident: &mut Incident, pods: Vec<Exposed>, failures: &mut Failures, most: usize) {
    for pod in pods {
        if incident.members.len() >= most && !incident.members.contains_key(&pod.pod) {
            failures.evicted += 1;
            continue;
        }
        if let Some(failing) = failures.pods.get(&pod.pod) {
            incident.rules.extend(failing.rules.keys().cloned());
        }
        incident.members.insert(Arc::clone(&pod.pod), pod);
    }
}
