//! An incident in words and numbers: the alert.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::alert::{Alert, Candidate, FailingPod, SCHEMA, Signal, Status, Suspect, Window};
use crate::localizer::Ranked;
use crate::signature::{Rule, Severity};
use crate::template;
use crate::time::Timestamp;

use super::Correlator;
use super::failures::{Failing, RuleStat, add_capture};
use super::flap;
use super::incident::Incident;
use super::inventory::PodKey;
use super::remedy;

mod words;

use words::{NodeWords, Readiness, code_in_words, readable, summary};

/// A node that was given a pod within this goes on drawing them.
const DRAWN_LATELY: Duration = Duration::from_secs(300);

impl Correlator {
    pub(super) fn alert(&self, incident: &Incident, status: Status, now: Timestamp) -> Alert {
        let signals = self.signals(incident);
        let lead = signals.first().and_then(|signal| self.rules.get(&signal.signature));
        let over = status == Status::Resolved;
        Alert {
            schema: SCHEMA.to_owned(),
            id: format!("{}#{}", incident.dedup_key, now.as_millis()),
            dedup_key: incident.dedup_key.clone(),
            status,
            severity: incident.severity,
            cluster: Arc::clone(&self.cluster),
            scope: incident.suspect.scope(),
            suspect: incident.suspect.clone(),
            verdict: incident.verdict,
            probability: readable(incident.best.probability),
            summary: summary(incident, signals.first(), lead, &self.node_words(incident, now), over),
            starts_at: incident.onset,
            updated_at: now,
            ends_at: over.then_some(now),
            window: Window { from: now.saturating_sub(self.options.windows.size), to: now },
            evidence: incident.best.evidence,
            candidates: self.candidates(incident),
            failing: self.failing_pods(incident),
            action: self.action(lead, incident, over),
            runbook: lead.and_then(|rule| rule.runbook.clone()),
            superseded_by: None,
            flapping: incident.flaps,
            notes: self.notes(incident, signals.first(), lead, over),
            signals,
        }
    }

    /// What each rule saw on the incident's pods and on the suspect node, the most telling first.
    fn signals(&self, incident: &Incident) -> Vec<Signal> {
        let mut signals: BTreeMap<Arc<str>, Signal> = BTreeMap::new();
        let members = incident.members.keys().filter_map(|pod| self.failures.pods.get(pod));
        for failing in members {
            self.add_signals(&mut signals, failing, 1);
        }
        if let Suspect::Node(node) = &incident.suspect
            && let Some(failing) = self.failures.nodes.get(node)
        {
            self.add_signals(&mut signals, failing, 0);
        }
        let mut signals: Vec<Signal> = signals.into_values().collect();
        signals.sort_by_key(|signal| {
            let severity = self.rules.get(&signal.signature).map_or(Severity::Info, |rule| rule.severity);
            let generic = self.generic_rules.contains(&signal.signature);
            (std::cmp::Reverse((!generic, signal.pods, severity)), Arc::clone(&signal.signature))
        });
        signals
    }

    fn add_signals(&self, signals: &mut BTreeMap<Arc<str>, Signal>, failing: &Failing, pods: u64) {
        for (id, stat) in &failing.rules {
            let signal = signals.entry(Arc::clone(id)).or_insert_with(|| empty_signal(id, stat));
            signal.matches += stat.matches;
            signal.pods += pods;
            signal.first_seen = signal.first_seen.min(stat.first);
            signal.last_seen = signal.last_seen.max(stat.last);
            if signal.sample.is_none() {
                signal.sample.clone_from(&stat.sample);
            }
            for (name, values) in &stat.captures {
                for (value, count) in values {
                    let bound = self.options.limits.capture_values;
                    add_capture(&mut signal.captures, name, value, *count, bound);
                }
            }
            if let Some(rule) = self.rules.get(id) {
                signal.meaning = meaning(rule, signal);
            }
        }
    }

    fn candidates(&self, incident: &Incident) -> Vec<Candidate> {
        let told = incident.candidates.iter().take(self.options.limits.candidates_in_alert);
        told.map(|ranked: &Ranked| Candidate {
            scope: ranked.suspect.scope(),
            suspect: ranked.suspect.clone(),
            probability: readable(ranked.probability),
        })
        .collect()
    }

    fn failing_pods(&self, incident: &Incident) -> Vec<FailingPod> {
        let told = incident.members.iter().take(self.options.limits.failing_in_alert);
        told.map(|(key, member)| {
            let (namespace, pod) = key.split_once('/').unwrap_or(("", key));
            let signatures = self.failures.pods.get(key).map(|failing| failing.rules.keys().cloned().collect());
            FailingPod {
                namespace: namespace.into(),
                pod: pod.into(),
                workload: Arc::clone(&member.workload),
                node: member.node.clone(),
                signatures: signatures.unwrap_or_default(),
            }
        })
        .collect()
    }

    /// The rule's action, and for a node the commands that its machine takes. Once it is over there is nothing to do.
    fn action(&self, rule: Option<&Rule>, incident: &Incident, over: bool) -> Option<String> {
        let of_rule = rule.and_then(|rule| rule.action.as_ref()).map(|action| self.fill_in(action, incident));
        let commands = match &incident.suspect {
            Suspect::Node(node) if !over => remedy::for_node(node),
            _ => Vec::new(),
        };
        if commands.is_empty() {
            return of_rule;
        }
        // The rule may name some of them in its own words; they are told once, whole and in order.
        let own = of_rule.iter().flat_map(|action| action.lines());
        let mut action: String = own
            .filter(|line| !commands.iter().any(|command| command == line.trim()))
            .map(|line| format!("{line}\n"))
            .collect();
        action += &format!("To take {} out of service, restart it and bring it back:\n", incident.suspect.name());
        commands.iter().for_each(|command| action += &format!("  {command}\n"));
        Some(action)
    }

    /// A rule's action with what all failing pods have in common filled in.
    fn fill_in(&self, template: &str, incident: &Incident) -> String {
        let members = || incident.members.values();
        let node = common(members().map(|pod| pod.node.as_ref()));
        let pool = common(members().map(|pod| pod.pool.as_ref()));
        let workload = common(members().map(|pod| Some(&pod.workload)));
        let image = common(members().map(|pod| pod.image.as_ref()));
        let pod = common(members().map(|pod| Some(&pod.pod)));
        let namespace = common(members().map(|pod| pod.pod.split_once('/').map(|(namespace, _)| namespace)));
        let value = |name: &str| -> Option<&str> {
            match (name, &incident.suspect) {
                ("node", Suspect::Node(node)) => Some(node),
                ("workload", Suspect::Workload(workload)) => Some(workload),
                ("image", Suspect::Image(image)) => Some(image),
                ("node_pool", Suspect::NodePool(pool)) => Some(pool),
                ("cluster", _) => Some(&self.cluster),
                ("node", _) => node.map(|name| &**name),
                ("workload", _) => workload.map(|name| &**name),
                ("namespace", _) => namespace,
                ("pod", _) => pod.and_then(|pod| pod.split_once('/')).map(|(_, pod)| pod),
                ("image", _) => image.map(|name| &**name),
                ("node_pool", _) => pool.map(|name| &**name),
                _ => None,
            }
        };
        template::render(template, |name| value(name).filter(|value| remedy::is_plain(value)))
    }

    fn node_words(&self, incident: &Incident, now: Timestamp) -> NodeWords {
        let Suspect::Node(node) = &incident.suspect else { return NodeWords::default() };
        let arrived = |pod: &PodKey| {
            let facts = self.inventory.pods.get(pod).filter(|facts| facts.node.as_ref() == Some(node));
            facts.and_then(|facts| facts.placed).filter(|at| *at > incident.onset)
        };
        let arrivals: Vec<Timestamp> = incident.members.keys().filter_map(arrived).collect();
        let newest = arrivals.iter().max();
        let facts = self.inventory.nodes.get(node);
        let is_leaving = facts.is_some_and(|facts| facts.leaving.is_some());
        // Other partitions may have been read further than the windows were evaluated.
        let not_ready = facts.and_then(|facts| facts.not_ready).filter(|at| *at < now);
        let readiness = match not_ready {
            Some(at) => Readiness::NotReadySince(at),
            None if facts.is_none_or(|facts| facts.removed.is_some()) => Readiness::Unknown,
            None if self.inventory.sees_events && !self.failures.nodes.contains_key(node) => Readiness::Ready,
            None => Readiness::Unknown,
        };
        let draws_on = !is_leaving && newest.is_some_and(|at| now.since(*at) <= DRAWN_LATELY);
        NodeWords { arrivals: arrivals.len(), draws_on, readiness }
    }

    fn notes(&self, incident: &Incident, signal: Option<&Signal>, rule: Option<&Rule>, over: bool) -> Vec<String> {
        let mut notes = incident.notes.clone();
        if let Suspect::Node(node) = &incident.suspect {
            notes.extend(remedy::whereabouts(node).filter(|_| !over));
        }
        if incident.flaps && !over {
            notes.push(flap::in_words(&self.options.alerts));
        }
        if !over && !incident.best.same_pods.is_empty() {
            let names: Vec<String> = incident.best.same_pods.iter().map(Suspect::in_words).collect();
            notes.push(format!("the same pods are all that could speak for {}", names.join(" and ")));
        }
        let hidden = incident.members.len().saturating_sub(self.options.limits.failing_in_alert);
        if hidden > 0 {
            notes.push(format!("{hidden} more failing pods are not listed"));
        }
        if !over {
            notes.extend(signal.and_then(|signal| code_in_words(signal, rule)));
        }
        notes
    }
}

fn empty_signal(id: &Arc<str>, stat: &RuleStat) -> Signal {
    Signal {
        signature: Arc::clone(id),
        matches: 0,
        pods: 0,
        first_seen: stat.first,
        last_seen: stat.last,
        captures: BTreeMap::new(),
        meaning: BTreeMap::new(),
        sample: None,
    }
}

/// Captured codes that the rule's tables know, with their names.
fn meaning(rule: &Rule, signal: &Signal) -> BTreeMap<String, String> {
    let coded = rule.codes.iter().filter_map(|(capture, table)| Some((signal.captures.get(&**capture)?, *table)));
    coded
        .flat_map(|(values, table)| values.keys().map(move |value| (value, table)))
        .filter_map(|(value, table)| Some((value.clone(), table.lookup(value)?.name.to_owned())))
        .collect()
}

/// The value that all have, if there is one.
fn common<'a, T: Eq + ?Sized>(values: impl Iterator<Item = Option<&'a T>>) -> Option<&'a T> {
    let mut values = values.flatten();
    let first = values.next()?;
    values.all(|value| value == first).then_some(first)
}
