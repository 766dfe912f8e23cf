//! What becomes of one incident, message by message, at receivers that do as they document.

use std::collections::{BTreeMap, BTreeSet};

use faultline::alert::{Alert, Status};
use faultline::format::{Format, Message, Thread, Written};
use faultline::signature::Severity;
use faultline::simulator::Kind;
use faultline::time::Timestamp;
use serde_json::Value;

use super::alerts::{ended, example, narrower, simulated};
use super::{told, value, write};

/// PagerDuty: open incidents by key, and how often somebody was called.
#[derive(Default)]
struct PagerDuty {
    /// The severity with which each was made.
    open: BTreeMap<String, String>,
    called: usize,
}

impl PagerDuty {
    fn take(&mut self, written: &Written) {
        for message in &written.messages {
            let event = value(message);
            let key = event["dedup_key"].as_str().expect("a key").to_owned();
            if event["event_action"] == "resolve" {
                assert!(self.open.remove(&key).is_some(), "{key} is not open");
            } else if !self.open.contains_key(&key) {
                let severity = event["payload"]["severity"].as_str().expect("a severity").to_owned();
                self.called += usize::from(["critical", "error"].contains(&severity.as_str()));
                self.open.insert(key, severity);
            }
        }
    }
}

/// Alertmanager: what fires at a time, by labels.
#[derive(Default)]
struct Alertmanager {
    alerts: BTreeMap<String, Timestamp>,
}

impl Alertmanager {
    fn take(&mut self, written: &Written) {
        for alert in written.messages.iter().flat_map(|message| value(message).as_array().expect("an array").clone()) {
            self.alerts.insert(alert["labels"].to_string(), time(&alert["endsAt"]));
        }
    }

    fn firing(&self, at: Timestamp) -> Vec<&str> {
        self.alerts.iter().filter(|(_, ends_at)| **ends_at > at).map(|(labels, _)| labels.as_str()).collect()
    }
}

/// Writes one alert after another as they would be sent: each is told what became of the ones before.
struct Sender {
    format: Format,
    threads: BTreeMap<String, Thread>,
}

impl Sender {
    fn new(format: Format) -> Sender {
        Sender { format, threads: BTreeMap::new() }
    }

    fn send(&mut self, alert: &Alert) -> Option<Written> {
        let told = self.threads.remove(&alert.dedup_key);
        let wider = alert.superseded_by.as_ref().filter(|wider| !self.threads.contains_key(*wider));
        if let (Some(wider), true) = (wider, self.format.takes_over()) {
            self.threads.extend(told.map(|thread| (wider.clone(), thread)));
            return None;
        }
        let written = write(self.format, alert, told.as_ref());
        self.threads.extend(written.thread.clone().map(|thread| (alert.dedup_key.clone(), thread)));
        Some(written)
    }
}

fn time(value: &Value) -> Timestamp {
    value.as_str().and_then(Timestamp::parse_rfc3339).expect("a time")
}

fn of(alert: &Alert, severity: Severity, minute: u32) -> Alert {
    let at = alert.starts_at.saturating_add(minute * super::MINUTE);
    Alert { severity, updated_at: at, id: format!("{}#{}", alert.dedup_key, at.as_millis()), ..alert.clone() }
}

fn keys(messages: &[Message]) -> BTreeSet<&str> {
    messages.iter().map(|message| message.key.as_str()).collect()
}

#[test]
fn a_growing_incident_calls_once_and_ends_under_the_key_that_was_told() {
    let mut pagerduty = PagerDuty::default();
    let pod = write(Format::PagerDuty, &narrower(), None);
    assert_eq!(pod.thread, Some(told("prod-weu/pod/sitecore/cd", Severity::Critical)));
    let node = write(Format::PagerDuty, &example(), pod.thread.as_ref());
    let again = write(Format::PagerDuty, &of(&example(), Severity::Critical, 9), node.thread.as_ref());
    let end = write(Format::PagerDuty, &ended(&example(), 20), again.thread.as_ref());
    [&pod, &node, &again, &end].into_iter().for_each(|written| pagerduty.take(written));
    assert_eq!((pagerduty.called, pagerduty.open.len()), (1, 0));
    assert_eq!(end.thread, None);
    let all: Vec<Message> = [pod, node, again, end].into_iter().flat_map(|written| written.messages).collect();
    assert_eq!(keys(&all).len(), 1, "taken in order");
}

#[test]
fn an_incident_that_becomes_urgent_calls_somebody() {
    for key in ["prod-weu/node/akswin000001".to_owned(), "k".repeat(255)] {
        let (mut pagerduty, mut thread, mut all) = (PagerDuty::default(), None, Vec::new());
        let alert = Alert { dedup_key: key, ..example() };
        let story = [
            (Severity::Warning, 0, 1),
            (Severity::Info, 0, 1),
            (Severity::Error, 1, 2),
            (Severity::Critical, 1, 1),
            (Severity::Info, 1, 1),
            (Severity::Critical, 1, 1),
        ];
        for (minute, (severity, called, messages)) in (0..).zip(story) {
            let written = write(Format::PagerDuty, &of(&alert, severity, minute), thread.as_ref());
            pagerduty.take(&written);
            assert_eq!((pagerduty.called, written.messages.len()), (called, messages), "{severity:?}, minute {minute}");
            assert_eq!(pagerduty.open.len(), 1);
            thread = written.thread.clone();
            all.extend(written.messages);
        }
        pagerduty.take(&write(Format::PagerDuty, &ended(&alert, 20), thread.as_ref()));
        assert!(pagerduty.open.is_empty());
        let ids: BTreeSet<&str> = all.iter().map(|message| message.id.as_str()).collect();
        assert_eq!((ids.len(), keys(&all).len()), (all.len(), 1), "each named once, all taken in order");
    }
}

#[test]
fn an_urgent_incident_that_was_told_before_a_restart_is_resolved_first() {
    let thread = told("prod-weu/pod/a", Severity::Warning);
    let written = write(Format::PagerDuty, &example(), Some(&thread));
    let actions: Vec<(Value, Value)> = written
        .messages
        .iter()
        .map(value)
        .map(|event| (event["event_action"].clone(), event["dedup_key"].clone()))
        .collect();
    assert_eq!(
        actions,
        [("resolve".into(), "prod-weu/pod/a".into()), ("trigger".into(), "prod-weu/pod/a#high".into())]
    );
    assert_eq!(written.messages[0].id, format!("{}/ended", example().id));
    assert_eq!(written.thread, Some(told("prod-weu/pod/a#high", Severity::Critical)));
}

#[test]
fn alertmanager_knows_one_alert_at_a_time() {
    let (mut alertmanager, mut thread) = (Alertmanager::default(), None);
    let alert = example();
    for (minute, severity) in (0..).zip([Severity::Warning, Severity::Critical, Severity::Critical, Severity::Info]) {
        let alert = of(&alert, severity, minute);
        let written = write(Format::Alertmanager, &alert, thread.as_ref());
        alertmanager.take(&written);
        let firing = alertmanager.firing(alert.updated_at);
        assert_eq!(firing.len(), 1);
        assert!(firing[0].contains(severity.as_str()));
        thread = written.thread;
    }
    // It ends under the labels that were told, whatever it is called by then.
    let end = Alert { severity: Severity::Critical, ..ended(&alert, 20) };
    let written = write(Format::Alertmanager, &end, thread.as_ref());
    alertmanager.take(&written);
    assert!(alertmanager.firing(end.updated_at).is_empty());
    assert_eq!(written.thread, None);
}

#[test]
fn what_ends_has_no_thread_and_what_goes_on_has_its_own() {
    for format in super::FORMATS {
        let thread = write(format, &example(), None).thread;
        assert_eq!(thread, Some(told("prod-weu/node/akswin000001", Severity::Critical)), "{format:?}");
        assert_eq!(write(format, &ended(&example(), 20), thread.as_ref()).thread, None, "{format:?}");
    }
    let wider = write(Format::Slack, &example(), Some(&told("prod-weu/pod/a", Severity::Critical)));
    assert_eq!(wider.thread.map(|thread| thread.key), Some(example().dedup_key));
}

#[test]
fn whatever_happens_in_a_cluster_ends_at_the_receivers_too() {
    let mut taken_over = 0;
    for kind in [Kind::Growing, Kind::ClusterDns, Kind::RecoverReschedule] {
        let alerts = simulated(kind);
        taken_over += alerts.iter().filter(|alert| alert.superseded_by.is_some()).count();
        let (mut pagerduty, mut alertmanager) = (PagerDuty::default(), Alertmanager::default());
        let (mut to_pagerduty, mut to_alertmanager) =
            (Sender::new(Format::PagerDuty), Sender::new(Format::Alertmanager));
        let mut open = BTreeSet::new();
        for alert in &alerts {
            match alert.status {
                Status::Firing => open.insert(&alert.dedup_key),
                Status::Resolved => open.remove(&alert.dedup_key),
            };
            to_pagerduty.send(alert).iter().for_each(|written| pagerduty.take(written));
            to_alertmanager.send(alert).iter().for_each(|written| alertmanager.take(written));
            let at = alert.updated_at;
            assert_eq!(alertmanager.firing(at).len(), open.len(), "{} at {at}", kind.name());
        }
        assert_eq!(pagerduty.open.len(), open.len(), "{}", kind.name());
        let incidents: BTreeSet<&str> = alerts.iter().map(|alert| alert.dedup_key.as_str()).collect();
        assert!(pagerduty.called <= incidents.len(), "{} calls too often", kind.name());
    }
    assert!(taken_over > 0, "nothing was superseded");
}
