//! The schemas are strict enough to notice what receivers would refuse or misread.

use faultline::format::{Format, Mode};
use serde_json::{Value, json};

use super::alerts::{ended, example};
use super::schemas::Published;
use super::{only, write};

/// Wrong values, by format, and where they are put in the example.
fn wrong() -> Vec<(Format, &'static str, Value)> {
    let long = |length: usize| json!("🙂".repeat(length));
    let of = |format: Format, places: Vec<(&'static str, Value)>| {
        places.into_iter().map(move |(place, value)| (format, place, value))
    };
    let pagerduty = vec![
        ("/event_action", json!("open")),
        ("/event_action", json!("resolve")),
        ("/dedup_key", long(256)),
        ("/dedup_key", json!("")),
        ("/payload", Value::Null),
        ("/payload/severity", json!("fatal")),
        ("/payload/summary", long(1025)),
        ("/payload/source", json!("")),
        ("/payload/timestamp", json!("now")),
        ("/payload/custom_details/verdict", json!("certain")),
        ("/payload/custom_details/surprise", json!(1)),
        ("/links/0/href", json!("javascript:alert(1)")),
        ("/surprise", json!(1)),
    ];
    let slack = vec![
        ("/text", json!("")),
        ("/text", long(501)),
        ("/parse", json!("full")),
        ("/link_names", json!(true)),
        ("/blocks", json!([])),
        (
            "/blocks",
            json!(vec![json!({"type": "header", "text": {"type": "plain_text", "text": "x", "emoji": false}}); 51]),
        ),
        ("/blocks/0/text/text", long(151)),
        ("/blocks/0/text/emoji", json!(true)),
        ("/blocks/1/text/text", long(3001)),
        ("/blocks/1/text/text", json!("")),
        ("/blocks/2/fields/0/text", long(2001)),
        ("/blocks/2/fields/0/verbatim", json!(false)),
        ("/blocks/2/fields", json!(vec![json!({"type": "mrkdwn", "text": "x", "verbatim": true}); 11])),
        ("/blocks/2/type", json!("divider")),
        ("/surprise", json!(1)),
    ];
    let alertmanager = vec![
        ("/0/labels/alertname", json!("FaultlinePod")),
        ("/0/labels/probability", json!("0.99")),
        ("/0/labels/node", json!("")),
        ("/0/labels/pod", json!("x")),
        ("/0/labels/severity", json!("fatal")),
        ("/0/annotations/summary", json!("")),
        ("/0/annotations/description", long(8001)),
        ("/0/annotations/surprise", json!("x")),
        ("/0/annotations/runbook_url", json!("ask Joe")),
        ("/0/startsAt", json!("now")),
        ("/0/endsAt", Value::Null),
        ("/0/generatorURL", json!("https://example.com")),
    ];
    let cloudevents = vec![
        ("/specversion", json!("0.3")),
        ("/id", json!("")),
        ("/id", json!("a\u{7}b")),
        ("/source", json!("urn:faultline:cluster:a b")),
        ("/type", json!("io.faultline.alert.resolved.v1")),
        ("/datacontenttype", json!("text/plain")),
        ("/data/severity", json!("fatal")),
        ("/partition_key", json!("x")),
    ];
    of(Format::PagerDuty, pagerduty)
        .chain(of(Format::Slack, slack))
        .chain(of(Format::Alertmanager, alertmanager))
        .chain(of(Format::CloudEvents(Mode::Structured), cloudevents))
        .collect()
}

#[test]
fn wrong_values_are_refused() {
    let published = Published::new();
    for (format, pointer, wrong) in wrong() {
        let mut message = only(&write(format, &example(), None));
        assert_eq!(published.of_value(format, &message), None);
        let (parent, key) = pointer.rsplit_once('/').expect("a pointer begins with a slash");
        match message.pointer_mut(parent).expect("the parent is there") {
            Value::Array(items) => items[key.parse::<usize>().expect("an index")] = wrong,
            parent => parent[key] = wrong,
        }
        assert!(published.of_value(format, &message).is_some(), "{format:?}: {pointer}");
    }
}

/// Every field that is always written, of every object that is always there, is required.
#[test]
fn what_is_missing_is_noticed() {
    let optional = ["links", "class", "action", "runbook", "runbook_url", "notes", "sample", "captures", "code"];
    let published = Published::new();
    for format in [Format::PagerDuty, Format::Slack, Format::Alertmanager, Format::CloudEvents(Mode::Structured)] {
        let message = only(&write(format, &example(), None));
        // The alert's own schema is held to the same by its own tests.
        let pointers = fields(&message, String::new()).into_iter().filter(|pointer| !pointer.starts_with("/data/"));
        for pointer in pointers {
            let mut less = message.clone();
            let (parent, key) = pointer.rsplit_once('/').expect("a pointer begins with a slash");
            let parent = less.pointer_mut(parent).and_then(Value::as_object_mut).expect("an object");
            parent.remove(key);
            let may_go = optional.contains(&key);
            assert_eq!(published.of_value(format, &less).is_none(), may_go, "{format:?} without {pointer}");
        }
    }
}

fn fields(value: &Value, at: String) -> Vec<String> {
    match value {
        Value::Object(fields_of) => fields_of
            .iter()
            .flat_map(|(key, value)| {
                let at = format!("{at}/{key}");
                let mut all = fields(value, at.clone());
                all.push(at);
                all
            })
            .collect(),
        Value::Array(items) => {
            items.iter().enumerate().flat_map(|(index, value)| fields(value, format!("{at}/{index}"))).collect()
        }
        _ => Vec::new(),
    }
}

#[test]
fn every_header_of_a_cloud_event_is_required() {
    let published = Published::new();
    let written = write(Format::CloudEvents(Mode::Binary), &ended(&example(), 20), None);
    let headers = super::schemas::headers(&written.messages[0]);
    assert_eq!(published.of_headers(&headers), None);
    for name in headers.as_object().expect("an object").keys() {
        let mut less = headers.clone();
        less.as_object_mut().expect("an object").remove(name);
        assert!(published.of_headers(&less).is_some(), "without {name}");
    }
}
