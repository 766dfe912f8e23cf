//! An incident in words and numbers: the alert.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::alert::{Alert, Candidate, Evidence, FailingPod, SCHEMA, Signal, Status, Suspect, Verdict, Window};
use crate::codes::CodeTable;
use crate::localizer::Ranked;
use crate::signature::{Rule, Severity};
use crate::template;
use crate::time::Timestamp;

use super::Correlator;
use super::failures::{Failing, RuleStat, add_capture};
use super::incident::Incident;

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
            summary: summary(incident, signals.first(), lead, over),
            starts_at: incident.onset,
            updated_at: now,
            ends_at: over.then_some(now),
            window: Window { from: now.saturating_sub(self.options.windows.size), to: now },
            evidence: incident.best.evidence,
            candidates: self.candidates(incident),
            failing: self.failing_pods(incident),
            action: lead.and_then(|rule| rule.action.as_ref()).map(|action| self.action(action, incident)),
            runbook: lead.and_then(|rule| rule.runbook.clone()),
            superseded_by: None,
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

    /// The rule's action with what all failing pods have in common filled in.
    fn action(&self, template: &str, incident: &Incident) -> String {
        let members = || incident.members.values();
        let node = common(members().map(|pod| pod.node.as_ref()));
        let pool = common(members().map(|pod| pod.pool.as_ref()));
        let workload = common(members().map(|pod| Some(&pod.workload)));
        let image = common(members().map(|pod| pod.image.as_ref()));
        let pod = common(members().map(|pod| Some(&pod.pod)));
        let namespace = common(members().map(|pod| pod.pod.split_once('/').map(|(namespace, _)| namespace)));
        template::render(template, |name| match (name, &incident.suspect) {
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
        })
    }

    fn notes(&self, incident: &Incident, signal: Option<&Signal>, rule: Option<&Rule>, over: bool) -> Vec<String> {
        let mut notes = incident.notes.clone();
        if let Suspect::Node(node) = &incident.suspect
            && !over
            && !incident.members.is_empty()
            && self.inventory.nodes.get(node).is_some_and(|facts| facts.not_ready.is_none())
        {
            notes.push(format!("no NodeNotReady was seen: the API server still counts {node} as ready"));
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

/// Three digits, and never quite certain.
fn readable(probability: f64) -> f64 {
    ((probability * 1000.0).round() / 1000.0).clamp(0.0, 0.999)
}

fn summary(incident: &Incident, signal: Option<&Signal>, rule: Option<&Rule>, over: bool) -> String {
    let what = signal.map_or_else(String::new, |signal| format!(" ({})", signal_words(signal, rule)));
    let suspect = suspect_words(&incident.suspect);
    let evidence = incident.best.evidence;
    let doubt = if incident.verdict == Verdict::Suspected { "Suspected: " } else { "" };
    if over {
        let reason = incident.notes.last().map_or("resolved", String::as_str);
        return format!("{suspect}: {reason}{what}");
    }
    if incident.members.is_empty() {
        return format!("{doubt}{suspect} reports a fault of its own{what}");
    }
    if let Suspect::Pod(_) = incident.suspect {
        return format!("{doubt}{suspect} fails alone{what}; {}", elsewhere(evidence));
    }
    format!(
        "{doubt}{suspect}: {} of {} {} fail{what}; {}",
        evidence.failing_pods,
        count(evidence.exposed_pods, "pod"),
        workload_words(incident, evidence),
        elsewhere(evidence),
    )
}

fn workload_words(incident: &Incident, evidence: Evidence) -> String {
    match incident.suspect {
        Suspect::Workload(_) => {
            let nodes: BTreeSet<_> = incident.members.values().filter_map(|pod| pod.node.as_ref()).collect();
            format!("on {}", count(nodes.len() as u64, "node"))
        }
        _ => format!("of {}", count(evidence.workloads, "workload")),
    }
}

fn elsewhere(evidence: Evidence) -> String {
    if evidence.exposed_elsewhere == 0 {
        return "no comparable pods elsewhere".to_owned();
    }
    let one = evidence.failing_elsewhere == 1 || evidence.exposed_elsewhere == 1;
    let verb = if one { "fails" } else { "fail" };
    format!(
        "{} of {} {verb} elsewhere",
        evidence.failing_elsewhere,
        count(evidence.exposed_elsewhere, "comparable pod")
    )
}

fn count(number: u64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// The code that the signature was seen with most often, and its table.
fn commonest_code<'s>(signal: &'s Signal, rule: Option<&Rule>) -> Option<(&'s str, CodeTable)> {
    let codes = rule.into_iter().flat_map(|rule| &rule.codes);
    let seen = codes.flat_map(|(capture, table)| {
        let values = signal.captures.get(&**capture).into_iter().flatten();
        values.map(move |(value, times)| (*times, value.as_str(), *table))
    });
    seen.max_by_key(|(times, ..)| *times).map(|(_, value, table)| (value, table))
}

/// What the code means, for whoever does not know its symbol.
fn code_in_words(signal: &Signal, rule: Option<&Rule>) -> Option<String> {
    let (value, table) = commonest_code(signal, rule)?;
    let meaning = table.lookup(value)?;
    Some(format!("{} {value} {}: {}", table_words(table), meaning.name, meaning.text))
}

/// The signature, and the code that it was seen with most often.
fn signal_words(signal: &Signal, rule: Option<&Rule>) -> String {
    match commonest_code(signal, rule) {
        None => signal.signature.to_string(),
        Some((value, table)) => {
            let name = signal.meaning.get(value).map_or(String::new(), |name| format!(" {name}"));
            format!("{}, {} {value}{name}", signal.signature, table_words(table))
        }
    }
}

fn table_words(table: CodeTable) -> &'static str {
    match table {
        CodeTable::Win32 => "Win32",
        CodeTable::Hresult => "HRESULT",
        CodeTable::Ntstatus => "NTSTATUS",
        CodeTable::ExitCode => "exit code",
    }
}

fn suspect_words(suspect: &Suspect) -> String {
    match suspect {
        Suspect::Pod(name) => format!("Pod {name}"),
        Suspect::Node(name) => format!("Node {name}"),
        Suspect::Workload(name) => format!("Workload {name}"),
        Suspect::Image(name) => format!("Image {name}"),
        Suspect::NodePool(name) => format!("Node pool {name}"),
        Suspect::Cluster => "The whole cluster".to_owned(),
    }
}
