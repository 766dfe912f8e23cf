//! A failure signature: the validated form of one rule. Reading it from YAML is `ruleset`'s work, matching `scanner`'s.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use regex::Regex;
use serde::{Deserialize, Serialize};

use crate::checksum::fnv1a;
use crate::codes::CodeTable;

pub mod required;

/// One rule, all of whose values have been checked.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Unique, kebab-case.
    pub id: Arc<str>,
    pub title: String,
    pub severity: Severity,
    pub accuses: Accuses,
    /// At least one of `log` and `event` is there; either matches.
    pub log: Option<TextPattern>,
    pub event: Option<EventPattern>,
    /// Capture name → the table that gives its values a meaning.
    pub codes: BTreeMap<String, CodeTable>,
    pub trigger: Trigger,
    /// Template with `{{node}}`, `{{cluster}}`, `{{workload}}`, …
    pub action: Option<String>,
    pub runbook: Option<String>,
    /// Rules that do not count where this one matches the same entry: it says the same, and more.
    pub supersedes: Vec<Arc<str>>,
    /// The examples that the rule carries.
    pub examples: Examples,
}

impl Rule {
    /// All literals of the rule's patterns, wanted or forbidden.
    pub fn literals(&self) -> impl Iterator<Item = &str> {
        let message = self.event.as_ref().and_then(|event| event.message.as_ref());
        let texts = self.log.iter().chain(message);
        texts.flat_map(|text| [&text.all, &text.any, &text.none]).flatten().map(String::as_str)
    }

    /// Whether both match the same records and accuse the same of it: then what the one has seen, the other would
    /// have seen too. What they say of it, and how much of it they want to see, may differ.
    pub fn sees_the_same(&self, other: &Rule) -> bool {
        self.accuses == other.accuses
            && self.log == other.log
            && self.event == other.event
            && self.supersedes == other.supersedes
    }

    /// A checksum of what [`Rule::sees_the_same`] compares, for state that outlives the rule set. Stable over builds as
    /// long as these types are.
    pub fn sight(&self) -> u64 {
        let Rule { accuses, log, event, supersedes, .. } = self;
        fnv1a(format!("{accuses:?} {log:?} {event:?} {supersedes:?}").as_bytes())
    }
}

/// PagerDuty's words, most severe last so that they order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    Info,
    Warning,
    Error,
    Critical,
}

impl Severity {
    /// The word of rules and alerts.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Error => "error",
            Severity::Critical => "critical",
        }
    }
}

/// What one match accuses (`scope` in a rule).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Accuses {
    #[default]
    Pod,
    Node,
}

/// Conditions on a text. Literals and regex are all required to hold:
/// every one of `all`, at least one of `any` (where it is not empty), none of `none`, and the regex.
#[derive(Clone, Debug, Default)]
pub struct TextPattern {
    pub all: Vec<String>,
    pub any: Vec<String>,
    pub none: Vec<String>,
    /// ASCII letters of the literals and the regex match either case.
    pub ignore_case: bool,
    pub regex: Option<Regex>,
}

impl PartialEq for TextPattern {
    /// Whether both are written alike.
    fn eq(&self, other: &TextPattern) -> bool {
        let TextPattern { all, any, none, ignore_case, regex } = self;
        let text = |regex: &Option<Regex>| regex.as_ref().map(|regex| regex.as_str().to_owned());
        *all == other.all
            && *any == other.any
            && *none == other.none
            && *ignore_case == other.ignore_case
            && text(regex) == text(&other.regex)
    }
}

/// Conditions on a Kubernetes event; those that are set must all hold.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct EventPattern {
    /// One of these reasons; empty: any.
    pub reason: Vec<String>,
    /// `Normal` or `Warning`.
    pub event_type: Option<String>,
    pub message: Option<TextPattern>,
}

/// When a node's sliding window makes a finding.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Trigger {
    pub matches: u32,
    /// Distinct pods; without effect for rules that accuse the node.
    pub pods: u32,
    /// `None`: the configured window size.
    pub within: Option<Duration>,
}

impl Default for Trigger {
    fn default() -> Self {
        Trigger { matches: 1, pods: 1, within: None }
    }
}

/// What a rule must and must not match.
#[derive(Clone, Debug, Default)]
pub struct Examples {
    pub matching: Vec<Example>,
    pub not_matching: Vec<Example>,
}

/// One line or event that a rule is tried on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Example {
    /// A log message. In a rule without `log`: the message of an event with the rule's first reason and its type.
    Text(String),
    /// An event with just these values; what is left out is empty.
    Event { reason: String, event_type: String, message: String },
}
