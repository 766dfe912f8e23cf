//! What is written for receivers is what the published schemas and the receivers' documents say, in the worst case too.

#[path = "formats/alerts.rs"]
mod alerts;
#[path = "formats/mrkdwn.rs"]
mod mrkdwn;
mod play;
#[path = "formats/schemas.rs"]
mod schemas;
#[path = "formats/slack.rs"]
mod slack;
#[path = "formats/strict.rs"]
mod strict;
#[path = "formats/threads.rs"]
mod threads;

use std::time::Duration;

use alerts::{MINUTE, ended, example, narrower, of_all_scopes, start, worst};
use faultline::alert::{Alert, Status};
use faultline::correlator::Options;
use faultline::format::{Context, Format, Message, Mode, Thread, Writer, Written};
use faultline::scenario;
use faultline::signature::Severity;
use schemas::Published;
use serde_json::{Value, json};

const FORMATS: [Format; 6] = [
    Format::Faultline,
    Format::PagerDuty,
    Format::Slack,
    Format::Alertmanager,
    Format::CloudEvents(Mode::Binary),
    Format::CloudEvents(Mode::Structured),
];

/// Characters of one to four bytes, and those that are written as more than one.
const WORST: [char; 7] = ['x', '🙂', '世', '&', '"', '\\', '`'];

fn write(format: Format, alert: &Alert, told: Option<&Thread>) -> Written {
    let context = Context { told, firing_until: alert.updated_at.saturating_add(Duration::from_secs(600)) };
    Writer { format, routing_key: None }.write(alert, &context)
}

fn value(message: &Message) -> Value {
    serde_json::from_slice(&message.value).expect("messages are JSON")
}

/// The value of the only message.
fn only(written: &Written) -> Value {
    assert_eq!(written.messages.len(), 1);
    value(&written.messages[0])
}

#[track_caller]
fn assert_valid(published: &Published, alert: &Alert, told: Option<&Thread>) {
    for format in FORMATS {
        for message in write(format, alert, told).messages {
            let complaint = published.complaint(format, &message);
            assert!(complaint.is_none(), "{format:?}: {}\n{:#}", complaint.unwrap_or_default(), value(&message));
        }
    }
}

fn told(key: &str, severity: Severity) -> Thread {
    Thread { key: key.to_owned(), severity }
}

#[test]
fn alerts_of_every_kind_are_valid() {
    let published = Published::new();
    let threads = [told("prod-weu/node/akswin000001", Severity::Critical), told("prod-weu/pod/a", Severity::Info)];
    for alert in of_all_scopes() {
        let superseded = Alert { superseded_by: Some("prod-weu/cluster".to_owned()), ..ended(&alert, 20) };
        let bare = Alert { action: None, runbook: None, notes: Vec::new(), signals: Vec::new(), ..alert.clone() };
        let bare = Alert { failing: Vec::new(), candidates: Vec::new(), ..bare };
        for alert in [&alert, &ended(&alert, 20), &superseded, &bare] {
            assert_valid(&published, alert, None);
            threads.iter().for_each(|thread| assert_valid(&published, alert, Some(thread)));
        }
    }
}

#[test]
fn alerts_of_real_stories_are_valid() {
    let published = Published::new();
    let stories = [
        scenario::founding_case(start(), 1, 3 * MINUTE, 5 * MINUTE),
        scenario::broken_workload(start(), 1, 3 * MINUTE, 5 * MINUTE),
    ];
    for story in stories {
        let alerts = play::play(&story.records, Options::default(), 1, |_, _| 0);
        assert!(!alerts.is_empty());
        alerts.iter().for_each(|alert| assert_valid(&published, alert, None));
    }
}

#[test]
fn the_worst_alerts_are_valid() {
    let published = Published::new();
    for character in WORST {
        let alert = worst(character);
        for alert in [&alert, &ended(&alert, 20)] {
            for format in [Format::PagerDuty, Format::Slack, Format::Alertmanager] {
                let thread = told(&"k".repeat(255), Severity::Warning);
                for message in write(format, alert, Some(&thread)).messages {
                    let complaint = published.complaint(format, &message);
                    assert!(complaint.is_none(), "{format:?} of {character}: {complaint:?}");
                }
            }
        }
    }
}

#[test]
fn a_pagerduty_body_keeps_to_its_size_and_says_what_it_left_out() {
    for character in WORST {
        let alert = worst(character);
        let written = write(Format::PagerDuty, &alert, None);
        let size = written.messages[0].value.len();
        assert!((400_000..=500_000).contains(&size), "{size} bytes of {character}");
        let details = &only(&written)["payload"]["custom_details"];
        let count = |list: &str| details[list].as_array().map_or(0, Vec::len) as u64;
        let lists = [("failing", 5000), ("signals", 40), ("other_explanations", 51), ("notes", 50)];
        for (list, all) in lists {
            let left_out = details["left_out"][list].as_u64().expect("a number");
            assert_eq!(count(list) + left_out, all, "{list} of {character}");
        }
        assert!(count("signals") > 0 && details["left_out"]["failing"] != 0);
    }
    let plain = only(&write(Format::PagerDuty, &example(), None));
    assert_eq!(plain["payload"]["custom_details"].get("left_out"), None);
}

#[test]
fn an_alertmanager_message_stays_small() {
    for character in WORST {
        let thread = told("k", Severity::Info);
        let size = write(Format::Alertmanager, &worst(character), Some(&thread)).messages[0].value.len();
        assert!(size < 256 * 1024, "{size} bytes of {character}");
    }
}

#[test]
fn a_pagerduty_event_says_who_is_accused_of_what() {
    let alert = example();
    let event = only(&write(Format::PagerDuty, &alert, None));
    let payload = &event["payload"];
    let said = ["source", "severity", "component", "group", "class"].map(|name| payload[name].as_str().unwrap_or(""));
    assert_eq!(said, ["akswin000001", "critical", "node akswin000001", "prod-weu", "windows-entrypoint-failed"]);
    assert!(
        payload["summary"].as_str().is_some_and(|summary| summary.starts_with("prod-weu: Node akswin000001: 4 of 4"))
    );
    assert_eq!(event["links"], json!([{"href": alert.runbook, "text": "Runbook"}]));
    assert_eq!(event.get("routing_key"), None);
    let context = Context { told: None, firing_until: alert.updated_at };
    let writer = Writer { format: Format::PagerDuty, routing_key: Some("secret".to_owned()) };
    for alert in [&alert, &ended(&alert, 20)] {
        assert_eq!(only(&writer.write(alert, &context))["routing_key"], "secret");
    }
    let other = Alert { runbook: Some("ask Joe".to_owned()), ..alert };
    let event = only(&write(Format::PagerDuty, &other, None));
    assert_eq!((event.get("links"), &event["payload"]["custom_details"]["runbook"]), (None, &json!("ask Joe")));
}

#[test]
fn labels_are_what_the_incident_is_and_nothing_else() {
    let labels = |alert: &Alert| only(&write(Format::Alertmanager, alert, None))[0]["labels"].clone();
    let alerts = of_all_scopes();
    let own = |own: Value| {
        let mut labels = json!({"cluster": "prod-weu", "severity": "critical"});
        own.as_object().expect("an object").iter().for_each(|(name, value)| labels[name] = value.clone());
        labels
    };
    let expected = [
        json!({"alertname": "FaultlinePod", "scope": "pod", "namespace": "sitecore", "pod": "cd-1"}),
        json!({"alertname": "FaultlineNode", "scope": "node", "node": "n1"}),
        json!({"alertname": "FaultlineWorkload", "scope": "workload", "namespace": "sitecore", "workload": "cd"}),
        json!({"alertname": "FaultlineImage", "scope": "image", "image": "registry.example.com/a/b@sha256:0123"}),
        json!({"alertname": "FaultlineNodePool", "scope": "node_pool", "node_pool": "win"}),
        json!({"alertname": "FaultlineCluster", "scope": "cluster"}),
    ];
    for (alert, expected) in alerts.iter().zip(expected) {
        assert_eq!(labels(alert), own(expected));
        let mut later = Alert { probability: 0.5, verdict: faultline::alert::Verdict::Suspected, ..alert.clone() };
        later.evidence.failing_pods = 400;
        assert_eq!(labels(&later), labels(alert), "what changes is no label");
    }
}

#[test]
fn alertmanager_times_are_in_order() {
    let alert = example();
    let firing = only(&write(Format::Alertmanager, &alert, None));
    assert_eq!(firing[0]["endsAt"], "2026-11-22T15:06:03.000Z", "until the next message");
    let mut early = ended(&alert, 0);
    early.ends_at = Some(early.starts_at.saturating_sub(MINUTE));
    let early = only(&write(Format::Alertmanager, &early, None));
    assert_eq!(early[0]["endsAt"], early[0]["startsAt"], "an end before the start is refused");
}

#[test]
fn a_cloud_event_is_the_same_in_both_modes() {
    for alert in [example(), ended(&example(), 20)] {
        let binary = write(Format::CloudEvents(Mode::Binary), &alert, None);
        let structured = write(Format::CloudEvents(Mode::Structured), &alert, None);
        let event = only(&structured);
        let (alert_value, kind) = (serde_json::to_value(&alert).expect("JSON"), event["type"].clone());
        assert_eq!((&event["data"], only(&binary)), (&alert_value, alert_value.clone()));
        assert_eq!(kind == "io.faultline.alert.firing.v1", alert.status == Status::Firing);
        let headers = schemas::headers(&binary.messages[0]);
        for (name, attribute) in headers.as_object().expect("an object") {
            let in_event = name.strip_prefix("ce_").unwrap_or("datacontenttype");
            assert_eq!(&event[in_event], attribute, "{name}");
        }
        assert_eq!(event.as_object().map_or(0, |event| event.len()), binary.messages[0].headers.len() + 2);
        assert_eq!(event["subject"], "node/akswin000001");
        assert_eq!(structured.messages[0].content_type, "application/cloudevents+json; charset=UTF-8");
        assert_eq!(structured.messages[0].key, alert.dedup_key);
    }
}

#[test]
fn secrets_are_not_shown() {
    let writer = Writer { format: Format::PagerDuty, routing_key: Some("R0UT1NG".to_owned()) };
    assert!(!format!("{writer:?}").contains("R0UT1NG"));
}

#[test]
fn the_examples_are_what_they_are_called() {
    assert_ne!(narrower().dedup_key, example().dedup_key);
    assert_eq!(worst('x').failing.len(), 5000);
    assert!(serde_json::to_vec(&worst('🙂')).expect("JSON").len() > 5_000_000);
}
