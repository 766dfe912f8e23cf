//! Alerts as their receivers take them: one module for each format of an output.
//!
//! What a receiver was told before is part of what is written next: PagerDuty updates an open incident under the key that
//! it knows, Alertmanager knows an alert by its labels alone. [`Thread`] is that memory, kept by whoever calls.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::alert::{Alert, Status};
use crate::signature::Severity;
use crate::time::Timestamp;

mod alertmanager;
mod cloudevents;
mod pagerduty;
mod slack;
mod text;
mod words;

pub use pagerduty::key_ending_in;

/// How alerts are written to an output.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Format {
    /// Schema `faultline.alert/v1`.
    #[default]
    Faultline,
    /// Bodies for PagerDuty's Events API v2.
    PagerDuty,
    /// Slack messages of Block Kit.
    Slack,
    /// Arrays for Alertmanager's `POST /api/v2/alerts`.
    Alertmanager,
    /// CloudEvents 1.0 over `faultline.alert/v1`.
    CloudEvents(Mode),
}

/// How the Kafka binding of CloudEvents carries an event's attributes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Mode {
    /// In headers; the value is the alert.
    #[default]
    Binary,
    /// In the value, around the alert.
    Structured,
}

/// Writes alerts for one output.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Writer {
    pub format: Format,
    /// PagerDuty's integration key, if it is to be in the bodies; else whoever sends them adds it. A secret.
    pub routing_key: Option<String>,
}

/// One message for a topic, or one request's body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// The name of this message; a repeated one has the same.
    pub id: String,
    /// Messages of one key are to be taken in order.
    pub key: String,
    pub content_type: &'static str,
    /// Beside the content type.
    pub headers: Vec<(&'static str, String)>,
    pub value: Vec<u8>,
}

/// What an output's receivers know an open incident by.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Thread {
    /// That of the incident, or of a narrower one which it took over.
    pub key: String,
    pub severity: Severity,
}

/// What an alert became.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Written {
    /// In the order in which they are to be sent.
    pub messages: Vec<Message>,
    /// What receivers know from now on; `None` once it is over.
    pub thread: Option<Thread>,
}

/// What beside the alert itself decides how it is written.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// What the output's receivers know the incident by, or the narrower one that it takes over; `None`: nothing yet.
    pub told: Option<&'a Thread>,
    /// A firing alert is written again before this; a receiver that hears nothing may take it for over then.
    pub firing_until: Timestamp,
}

impl Format {
    /// By their names in the configuration.
    pub const ALL: [(&str, Format); 5] = [
        ("faultline", Format::Faultline),
        ("pagerduty", Format::PagerDuty),
        ("slack", Format::Slack),
        ("alertmanager", Format::Alertmanager),
        ("cloudevents", Format::CloudEvents(Mode::Binary)),
    ];

    pub fn name(self) -> &'static str {
        match self {
            Format::Faultline => "faultline",
            Format::PagerDuty => "pagerduty",
            Format::Slack => "slack",
            Format::Alertmanager => "alertmanager",
            Format::CloudEvents(_) => "cloudevents",
        }
    }

    /// Whether an incident that supersedes another goes on under that one's name, so that nobody is called twice for one
    /// fault. Elsewhere the narrower one is resolved and the wider one fires.
    pub fn takes_over(self) -> bool {
        matches!(self, Format::PagerDuty | Format::Slack)
    }

    /// Whether receivers take silence for the end, and want to hear again and again of what goes on.
    pub fn wants_reminders(self) -> bool {
        self == Format::Alertmanager
    }
}

impl Writer {
    pub fn write(&self, alert: &Alert, context: &Context<'_>) -> Written {
        match self.format {
            Format::Faultline => faultline(alert),
            Format::PagerDuty => pagerduty::write(alert, context, self.routing_key.as_deref()),
            Format::Slack => slack::write(alert, context),
            Format::Alertmanager => alertmanager::write(alert, context),
            Format::CloudEvents(mode) => cloudevents::write(alert, mode),
        }
    }
}

impl fmt::Debug for Writer {
    /// The key is a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let routing_key = self.routing_key.as_ref().map(|_| "***");
        f.debug_struct("Writer").field("format", &self.format).field("routing_key", &routing_key).finish()
    }
}

fn faultline(alert: &Alert) -> Written {
    Written {
        messages: vec![Message {
            id: alert.id.clone(),
            key: alert.dedup_key.clone(),
            content_type: "application/json",
            headers: Vec::new(),
            value: json(alert),
        }],
        thread: thread(alert),
    }
}

/// The incident under its own name, while it lasts.
fn thread(alert: &Alert) -> Option<Thread> {
    let thread = Thread { key: alert.dedup_key.clone(), severity: alert.severity };
    (alert.status == Status::Firing).then_some(thread)
}

fn json(value: &impl Serialize) -> Vec<u8> {
    // Cannot fail: all keys are text, and writing to memory is no I/O.
    serde_json::to_vec(value).expect("alerts are JSON")
}
