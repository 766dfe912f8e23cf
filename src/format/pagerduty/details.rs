//! `custom_details` of a PagerDuty event: a table for people, and fields for its event rules.

use std::collections::BTreeMap;

use serde::Serialize;

use super::super::{json, text, words};
use crate::alert::{Alert, Signal};

/// Bounds of what is always told; together, four bytes a character, they are below the half of a body.
const NAME_UNITS: usize = 512;
const ACTION_UNITS: usize = 8000;
const NOTES: usize = 20;
const NOTE_UNITS: usize = 1000;
const CANDIDATES: usize = 20;
/// Of a signal.
const SAMPLE_UNITS: usize = 2000;
const CAPTURES: usize = 10;
const CAPTURE_UNITS: usize = 500;
/// Room kept for saying what was left out, in bytes.
const LEFT_OUT_BYTES: usize = 200;

#[derive(Serialize)]
pub struct Details {
    verdict: &'static str,
    probability: String,
    cluster: String,
    scope: &'static str,
    suspect: String,
    failing_pods: String,
    failing_elsewhere: String,
    starts_at: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    runbook: Option<String>,
    other_explanations: Vec<String>,
    signals: Vec<SignalDetails>,
    failing: Vec<String>,
    alert_id: String,
    incident: String,
    #[serde(skip_serializing_if = "LeftOut::is_empty")]
    left_out: LeftOut,
}

#[derive(Serialize)]
struct SignalDetails {
    signature: String,
    matches: u64,
    pods: u64,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    captures: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sample: Option<String>,
}

/// How many entries of the alert are not in the body.
#[derive(Clone, Copy, Default, Serialize)]
struct LeftOut {
    failing: usize,
    signals: usize,
    other_explanations: usize,
    notes: usize,
}

impl LeftOut {
    fn is_empty(&self) -> bool {
        self.failing + self.signals + self.other_explanations + self.notes == 0
    }
}

impl Details {
    /// All but signals and failing pods.
    pub fn without_lists(alert: &Alert) -> Details {
        let name = |text: &str| text::named(text, NAME_UNITS);
        let others = words::others(alert).take(CANDIDATES);
        let left_out = LeftOut {
            other_explanations: words::others(alert).count().saturating_sub(CANDIDATES),
            notes: alert.notes.len().saturating_sub(NOTES),
            ..LeftOut::default()
        };
        Details {
            verdict: words::verdict(alert.verdict),
            probability: words::percent(alert.probability),
            cluster: name(&alert.cluster),
            scope: alert.scope.as_str(),
            suspect: name(&alert.suspect.in_words()),
            failing_pods: words::failing_inside(alert),
            failing_elsewhere: words::failing_elsewhere(alert),
            starts_at: alert.starts_at.to_string(),
            notes: alert.notes.iter().take(NOTES).map(|note| text::named(note, NOTE_UNITS)).collect(),
            action: alert.action.as_deref().map(|action| text::cut(text::clean(action).trim(), ACTION_UNITS)),
            runbook: alert.runbook.as_deref().map(name),
            other_explanations: others.map(|candidate| name(&words::candidate(candidate))).collect(),
            signals: Vec::new(),
            failing: Vec::new(),
            alert_id: name(&alert.id),
            incident: name(&alert.dedup_key),
            left_out,
        }
    }

    /// Adds the lists, as much of them as fits into so many bytes: signals first, since failing pods are many and alike.
    pub fn add_lists(&mut self, alert: &Alert, bytes: usize) {
        let mut bytes = bytes.saturating_sub(LEFT_OUT_BYTES);
        (self.signals, self.left_out.signals) = fitting(alert.signals.iter().map(signal), &mut bytes);
        let failing = alert.failing.iter().map(|pod| text::named(&words::failing_pod(pod), NAME_UNITS));
        (self.failing, self.left_out.failing) = fitting(failing, &mut bytes);
    }
}

/// The first items that fit into so many bytes as JSON, and how many are left.
fn fitting<T: Serialize>(mut items: impl ExactSizeIterator<Item = T>, bytes: &mut usize) -> (Vec<T>, usize) {
    let mut kept = Vec::new();
    while let Some(item) = items.next() {
        let Some(rest) = bytes.checked_sub(json(&item).len() + 1) else {
            return (kept, items.len() + 1);
        };
        *bytes = rest;
        kept.push(item);
    }
    (kept, 0)
}

fn signal(signal: &Signal) -> SignalDetails {
    let names = signal.captures.keys().take(CAPTURES);
    let captures = names.map(|name| {
        let values = text::named(&words::captured(signal, name), CAPTURE_UNITS);
        (text::named(name, NAME_UNITS), values)
    });
    SignalDetails {
        signature: text::named(&signal.signature, NAME_UNITS),
        matches: signal.matches,
        pods: signal.pods,
        captures: captures.collect(),
        sample: signal.sample.as_deref().map(|sample| text::cut(&text::clean(sample), SAMPLE_UNITS)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_kept_in_order_and_the_rest_counted() {
        let mut bytes = 12;
        let items = ["ab", "cd", "e", "f"];
        assert_eq!(fitting(items.iter(), &mut bytes), (vec![&"ab", &"cd"], 2));
        assert_eq!(bytes, 2);
        assert_eq!(fitting(items[..0].iter(), &mut bytes), (Vec::new(), 0));
    }
}
