//! Bodies for PagerDuty's Events API v2, ready to be posted to `/v2/enqueue`.
//!
//! An incident there goes by its `dedup_key`: a trigger under a key that is open updates it and calls nobody anew. So a
//! fault that turns out wider goes on under the key that is known. But whether somebody is called at once was decided by
//! the severity when the incident was made, and no update changes that: one that becomes urgent is resolved and begins
//! anew under another key. <https://developer.pagerduty.com/docs/events-api-v2-overview>

use serde::Serialize;

use super::{Context, Message, Thread, Written, json, text};
use crate::alert::{Alert, Status};
use crate::checksum::fnv1a;
use crate::signature::Severity;

mod details;

use details::Details;

/// Of the documented 512 KB some are left for a routing key that is added later.
const BODY_BYTES: usize = 500_000;
const SUMMARY_UNITS: usize = 1024;
const KEY_CHARS: usize = 255;
/// Of the other texts; PagerDuty documents no limit.
const NAME_UNITS: usize = 512;

/// Ends the key of an incident that has become urgent.
const URGENT: &str = "#high";
/// `#` and 64 bits in hexadecimal, where a key is cut.
const CHECKSUM_CHARS: usize = 17;

#[derive(Serialize)]
struct Event<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    routing_key: Option<&'a str>,
    event_action: &'static str,
    dedup_key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<Payload>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    links: Vec<Link>,
}

#[derive(Serialize)]
struct Payload {
    summary: String,
    source: String,
    severity: Severity,
    timestamp: String,
    component: String,
    group: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<String>,
    custom_details: Details,
}

#[derive(Serialize)]
struct Link {
    href: String,
    text: &'static str,
}

pub fn write(alert: &Alert, context: &Context<'_>, routing_key: Option<&str>) -> Written {
    let known = context.told.map_or(&*alert.dedup_key, |told| &*told.key);
    if alert.status == Status::Resolved {
        let messages = vec![message(alert.id.clone(), known, &resolve(known, routing_key))];
        return Written { messages, thread: None };
    }
    let mut messages = Vec::new();
    let mut thread = Thread { key: known.to_owned(), severity: alert.severity };
    if let Some(told) = context.told {
        if is_urgent(alert.severity) && !is_urgent(told.severity) {
            let id = format!("{}/ended", alert.id);
            messages.push(message(id, known, &resolve(known, routing_key)));
            thread.key = urgent_key(known);
        }
        // An incident that was urgent once stays so, whatever updates say.
        thread.severity = told.severity.max(alert.severity);
    }
    messages.push(message(alert.id.clone(), &thread.key, &trigger(alert, &thread.key, routing_key)));
    Written { messages, thread: Some(thread) }
}

/// PagerDuty's own mapping, where a service chooses the urgency by severity.
/// <https://support.pagerduty.com/main/docs/dynamic-notifications>
fn is_urgent(severity: Severity) -> bool {
    severity >= Severity::Error
}

/// A key for the same incident, made anew; at most 255 characters like the one before.
fn urgent_key(key: &str) -> String {
    key_ending_in(key, URGENT)
}

/// The key with an ending (of few characters), within PagerDuty's bound.
pub fn key_ending_in(key: &str, ending: &str) -> String {
    let room = KEY_CHARS.saturating_sub(ending.len());
    if key.chars().count() <= room {
        return format!("{key}{ending}");
    }
    let kept: String = key.chars().take(room.saturating_sub(CHECKSUM_CHARS)).collect();
    format!("{kept}#{:016x}{ending}", fnv1a(key.as_bytes()))
}

/// What the keys of an incident have in common, so that all about it is taken in order.
fn order_key(key: &str) -> String {
    let key = key.strip_suffix(URGENT).unwrap_or(key);
    key.chars().take(KEY_CHARS - URGENT.len() - CHECKSUM_CHARS).collect()
}

fn message(id: String, key: &str, event: &Event<'_>) -> Message {
    let value = json(event);
    Message { id, key: order_key(key), content_type: "application/json", headers: Vec::new(), value }
}

fn resolve<'a>(dedup_key: &'a str, routing_key: Option<&'a str>) -> Event<'a> {
    Event { routing_key, event_action: "resolve", dedup_key, payload: None, client: None, links: Vec::new() }
}

fn trigger<'a>(alert: &Alert, dedup_key: &'a str, routing_key: Option<&'a str>) -> Event<'a> {
    let address = alert.runbook.as_deref().and_then(text::web_address);
    let event = Event {
        routing_key,
        event_action: "trigger",
        dedup_key,
        payload: Some(payload(alert)),
        client: Some("faultline"),
        links: address.into_iter().map(|url| Link { href: url.into(), text: "Runbook" }).collect(),
    };
    with_lists(event, alert)
}

fn payload(alert: &Alert) -> Payload {
    let suspect = match alert.suspect.name() {
        "" => &*alert.cluster,
        name => name,
    };
    let lead = alert.signals.first().map(|signal| text::named(&signal.signature, NAME_UNITS));
    Payload {
        summary: text::named(&format!("{}: {}", alert.cluster, alert.summary), SUMMARY_UNITS),
        source: text::named(suspect, NAME_UNITS),
        severity: alert.severity,
        timestamp: alert.updated_at.to_string(),
        component: text::named(&alert.suspect.in_words(), NAME_UNITS),
        group: text::named(&alert.cluster, NAME_UNITS),
        class: lead,
        custom_details: Details::without_lists(alert),
    }
}

/// The lists fill what room the rest leaves.
fn with_lists<'a>(mut event: Event<'a>, alert: &Alert) -> Event<'a> {
    let room = BODY_BYTES.saturating_sub(json(&event).len());
    if let Some(payload) = &mut event.payload {
        payload.custom_details.add_lists(alert, room);
    }
    event
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_urgent_key_is_another_of_the_same_order() {
        let keys = ["prod/node/n1".to_owned(), "k".repeat(250), "k".repeat(251), "🙂".repeat(255), "k#".repeat(127)];
        for key in keys {
            let urgent = urgent_key(&key);
            assert!(urgent.chars().count() <= KEY_CHARS, "{urgent}");
            assert_ne!(urgent, key);
            assert_eq!(order_key(&urgent), order_key(&key));
        }
        assert_ne!(urgent_key(&("k".repeat(254) + "1")), urgent_key(&("k".repeat(254) + "2")));
        assert_ne!(order_key("prod/node/n1"), order_key("prod/node/n2"));
    }
}
