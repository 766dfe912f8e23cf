//! Arrays for Alertmanager's `POST /api/v2/alerts`.
//!
//! Alertmanager knows an alert by its labels, all of them, so they hold what an incident is and nothing that changes
//! while it lasts; but routes there go by labels, so the severity is one. When it changes, the old label set ends and a
//! new one fires. <https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml>

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Context, Message, Written, json, text, thread, words};
use crate::alert::{Alert, Scope, Signal, Status, Suspect};
use crate::signature::Severity;
use crate::time::{Timestamp, rfc3339};

/// Names in Kubernetes end at 253; images may be longer.
const LABEL_UNITS: usize = 512;
const ANNOTATION_UNITS: usize = 4000;
const DESCRIPTION_UNITS: usize = 8000;
/// Of each in the description.
const SIGNALS: usize = 5;
const SAMPLE_UNITS: usize = 500;
const FAILING: usize = 20;
const OTHERS: usize = 5;
const NOTES: usize = 20;
const LINE_UNITS: usize = 600;

type Labels = BTreeMap<&'static str, String>;

/// `postableAlert` of the API. There is no `generatorURL`: nothing that could be opened made the alert.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Postable {
    labels: Labels,
    annotations: Labels,
    #[serde(with = "rfc3339")]
    starts_at: Timestamp,
    #[serde(with = "rfc3339")]
    ends_at: Timestamp,
}

pub fn write(alert: &Alert, context: &Context<'_>) -> Written {
    let told = context.told.map_or(alert.severity, |thread| thread.severity);
    let mut alerts = Vec::new();
    match alert.status {
        // Whatever the severity is by now: what goes on there is what was told.
        Status::Resolved => alerts.push(postable(alert, told, alert.ends_at.unwrap_or(alert.updated_at))),
        Status::Firing => {
            if told != alert.severity {
                alerts.push(postable(alert, told, alert.updated_at));
            }
            alerts.push(postable(alert, alert.severity, context.firing_until));
        }
    }
    let message = Message {
        id: alert.id.clone(),
        key: alert.dedup_key.clone(),
        content_type: "application/json",
        headers: Vec::new(),
        value: json(&alerts),
    };
    Written { messages: vec![message], thread: thread(alert) }
}

fn postable(alert: &Alert, severity: Severity, ends_at: Timestamp) -> Postable {
    Postable {
        labels: labels(alert, severity),
        annotations: annotations(alert),
        starts_at: alert.starts_at,
        // An end before the start is refused.
        ends_at: ends_at.max(alert.starts_at),
    }
}

fn labels(alert: &Alert, severity: Severity) -> Labels {
    let mut labels = BTreeMap::from([
        ("alertname", name(alert.scope).to_owned()),
        ("cluster", text::distinct(&alert.cluster, LABEL_UNITS)),
        ("scope", alert.scope.as_str().to_owned()),
        ("severity", severity.as_str().to_owned()),
    ]);
    let (namespace, rest) = alert.suspect.name().split_once('/').unwrap_or(("", alert.suspect.name()));
    let own = match &alert.suspect {
        Suspect::Pod(_) => vec![("namespace", namespace), ("pod", rest)],
        Suspect::Workload(_) => vec![("namespace", namespace), ("workload", rest)],
        Suspect::Node(node) => vec![("node", &**node)],
        Suspect::Image(image) => vec![("image", &**image)],
        Suspect::NodePool(pool) => vec![("node_pool", &**pool)],
        Suspect::Cluster => Vec::new(),
    };
    // A label without a value is none.
    let own = own.into_iter().filter(|(label, value)| *label != "namespace" || !value.is_empty());
    labels.extend(own.map(|(label, value)| (label, text::distinct(value, LABEL_UNITS))));
    labels
}

fn name(scope: Scope) -> &'static str {
    match scope {
        Scope::Pod => "FaultlinePod",
        Scope::Node => "FaultlineNode",
        Scope::Workload => "FaultlineWorkload",
        Scope::Image => "FaultlineImage",
        Scope::NodePool => "FaultlineNodePool",
        Scope::Cluster => "FaultlineCluster",
    }
}

fn annotations(alert: &Alert) -> Labels {
    let runbook = alert.runbook.as_deref();
    let url = runbook.and_then(text::web_address);
    let told = [
        ("summary", Some(text::named(&alert.summary, ANNOTATION_UNITS))),
        ("verdict", Some(words::verdict(alert.verdict).to_owned())),
        ("probability", Some(words::percent(alert.probability))),
        ("failing_pods", Some(words::failing_inside(alert))),
        ("failing_elsewhere", Some(words::failing_elsewhere(alert))),
        ("action", alert.action.as_deref().map(|action| text::clean(action).trim().to_owned())),
        ("runbook", runbook.filter(|_| url.is_none()).map(text::line)),
        ("runbook_url", url.map(String::from)),
        ("dedup_key", Some(text::named(&alert.dedup_key, ANNOTATION_UNITS))),
        ("alert_id", Some(text::named(&alert.id, ANNOTATION_UNITS))),
        ("superseded_by", alert.superseded_by.as_deref().map(text::line)),
    ];
    let told = told.into_iter().filter_map(|(name, value)| Some((name, value.filter(|value| !value.is_empty())?)));
    let mut annotations: Labels = told.map(|(name, value)| (name, text::cut(&value, ANNOTATION_UNITS))).collect();
    annotations.insert("description", text::cut(&description(alert), DESCRIPTION_UNITS));
    annotations
}

/// The alert in lines for people.
fn description(alert: &Alert) -> String {
    let mut lines = vec![text::named(&alert.summary, ANNOTATION_UNITS)];
    let mut list = |title: &str, all: usize, told: &mut dyn Iterator<Item = String>| {
        let told: Vec<String> = told.map(|line| format!("  {}", text::named(&line, LINE_UNITS))).collect();
        if told.is_empty() {
            return;
        }
        lines.push(title.to_owned());
        let hidden = all.saturating_sub(told.len());
        lines.extend(told);
        if hidden > 0 {
            lines.push(format!("  and {hidden} more"));
        }
    };
    list("Notes:", alert.notes.len(), &mut alert.notes.iter().take(NOTES).cloned());
    list("Signals:", alert.signals.len(), &mut alert.signals.iter().take(SIGNALS).map(signal));
    list("Failing:", alert.failing.len(), &mut alert.failing.iter().take(FAILING).map(words::failing_pod));
    let others = words::others(alert);
    list("Other explanations:", words::others(alert).count(), &mut others.take(OTHERS).map(words::candidate));
    lines.join("\n")
}

fn signal(signal: &Signal) -> String {
    let mut words = format!("{}: {}", signal.signature, words::signal(signal));
    if let Some(sample) = &signal.sample {
        words = text::cut(&text::line(&words), LINE_UNITS - SAMPLE_UNITS) + ": " + &text::cut(sample, SAMPLE_UNITS - 2);
    }
    words
}
