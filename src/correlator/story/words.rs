//! Numbers in sentences.

use std::collections::BTreeSet;

use crate::alert::{Evidence, Signal, Suspect, Verdict};
use crate::codes::CodeTable;
use crate::correlator::incident::Incident;
use crate::signature::Rule;
use crate::time::Timestamp;

/// Three digits, and never quite certain.
pub fn readable(probability: f64) -> f64 {
    ((probability * 1000.0).round() / 1000.0).clamp(0.0, 0.999)
}

/// What a node's alert says beside the counts.
#[derive(Default)]
pub struct NodeWords {
    /// Pods that came to the node after the first failure there, and failed too.
    pub arrivals: usize,
    /// The newest of them came not long ago, and the node is not cordoned.
    pub draws_on: bool,
    pub readiness: Readiness,
}

/// Whether the API server counts a node as ready, as far as events told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Readiness {
    /// No events are read, or another condition of the node was told.
    #[default]
    Unknown,
    /// Events are read, and none said otherwise.
    Ready,
    NotReadySince(Timestamp),
}

impl NodeWords {
    fn in_words(&self) -> String {
        let mut words = String::new();
        if self.arrivals >= FEW_ARRIVALS {
            let draws = if self.draws_on { "it still draws" } else { "it drew" };
            words += &format!("; {draws} new pods ({} since the first failure) and they fail too", self.arrivals);
        }
        match self.readiness {
            Readiness::Unknown => {}
            Readiness::Ready => words += "; the node still counts as ready",
            Readiness::NotReadySince(at) => words += &format!("; the node is NotReady since {at}"),
        }
        words
    }
}

/// One or two may have been on their way when the first failed.
const FEW_ARRIVALS: usize = 2;

pub fn summary(
    incident: &Incident,
    signal: Option<&Signal>,
    rule: Option<&Rule>,
    node: &NodeWords,
    over: bool,
) -> String {
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
        let alone = if doubt.is_empty() { "fails alone" } else { "fails, perhaps alone" };
        return format!("{doubt}{suspect} {alone}{what}; {}", elsewhere(evidence));
    }
    format!(
        "{doubt}{suspect}: {} of {} {} fail{what}; {}{}",
        evidence.failing_pods,
        count(evidence.exposed_pods, "pod"),
        workload_words(incident, evidence),
        elsewhere(evidence),
        node.in_words(),
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
pub fn code_in_words(signal: &Signal, rule: Option<&Rule>) -> Option<String> {
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
