//! Rules matched one by one, the obvious way: what [`super::matcher::Matcher`] must equal, and what explains a match.

use std::borrow::Cow;

use crate::record::{Entry, KubeEvent, LogEntry};
use crate::ruleset::RuleSet;
use crate::signature::{EventPattern, Example, Rule, TextPattern};

/// Whether the rule's conditions hold: its `log` conditions hold for a log entry, its `event` conditions for an event.
pub fn matches_naive(rule: &Rule, entry: &Entry<'_>) -> bool {
    match entry {
        Entry::Log(log) => rule.log.as_ref().is_some_and(|pattern| text_matches(pattern, &log.message)),
        Entry::Event(event) => rule.event.as_ref().is_some_and(|pattern| event_matches(pattern, event)),
    }
}

/// The rules that the entry matches and no other of them supersedes, as places in [`RuleSet::rules`].
pub fn matching_naive(rules: &RuleSet, entry: &Entry<'_>) -> Vec<usize> {
    let matching: Vec<usize> =
        (0..rules.rules().len()).filter(|&index| matches_naive(&rules.rules()[index], entry)).collect();
    let is_superseded = |&loser: &usize| matching.iter().any(|&winner| rules.supersedes(winner, loser));
    matching.iter().copied().filter(|index| !is_superseded(index)).collect()
}

fn text_matches(pattern: &TextPattern, text: &str) -> bool {
    let holds = |literal: &String| contains(text, literal, pattern.ignore_case);
    pattern.all.iter().all(holds)
        && (pattern.any.is_empty() || pattern.any.iter().any(holds))
        && !pattern.none.iter().any(holds)
        && pattern.regex.as_ref().is_none_or(|regex| regex.is_match(text))
}

fn event_matches(pattern: &EventPattern, event: &KubeEvent<'_>) -> bool {
    has_reason(pattern, event)
        && has_type(pattern, event)
        && pattern.message.as_ref().is_none_or(|message| text_matches(message, &event.message))
}

pub(super) fn has_reason(pattern: &EventPattern, event: &KubeEvent<'_>) -> bool {
    pattern.reason.is_empty() || pattern.reason.iter().any(|reason| *reason == event.reason)
}

pub(super) fn has_type(pattern: &EventPattern, event: &KubeEvent<'_>) -> bool {
    pattern.event_type.as_ref().is_none_or(|event_type| *event_type == event.event_type)
}

fn contains(text: &str, literal: &str, ignore_case: bool) -> bool {
    if ignore_case { text.to_ascii_lowercase().contains(&literal.to_ascii_lowercase()) } else { text.contains(literal) }
}

/// The entry that an example of the rule stands for.
pub fn example_entry<'e>(rule: &'e Rule, example: &'e Example) -> Entry<'e> {
    match example {
        Example::Text(text) if rule.log.is_some() => log_entry(text),
        Example::Text(text) => assumed_event(rule, text).unwrap_or_else(|| log_entry(text)),
        Example::Event { reason, event_type, message } => event_entry(reason, event_type, message),
    }
}

/// A text as the message of such an event as the rule wants: with its first reason, and its type. `None`: it wants none.
pub fn assumed_event<'e>(rule: &'e Rule, text: &'e str) -> Option<Entry<'e>> {
    let pattern = rule.event.as_ref()?;
    let reason = pattern.reason.first().map_or("", String::as_str);
    Some(event_entry(reason, pattern.event_type.as_deref().unwrap_or_default(), text))
}

/// A text as a log message of nobody.
pub fn log_entry(text: &str) -> Entry<'_> {
    Entry::Log(LogEntry { message: Cow::Borrowed(text), ..LogEntry::default() })
}

fn event_entry<'e>(reason: &'e str, event_type: &'e str, message: &'e str) -> Entry<'e> {
    let [reason, event_type, message] = [reason, event_type, message].map(Cow::Borrowed);
    Entry::Event(KubeEvent { reason, event_type, message, ..KubeEvent::default() })
}

/// One condition of a rule, and whether it holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Condition {
    /// In the words of the rule file: `all "[LOGMONITOR] ERROR"`.
    pub text: String,
    pub holds: bool,
    /// A condition that few entries meet: one that holds makes a rule that does not match worth a look.
    pub telling: bool,
}

/// Every condition that the rule puts on such an entry; the rule matches when all hold. Empty: it has none for this
/// kind of entry, and does not match.
pub fn explain(rule: &Rule, entry: &Entry<'_>) -> Vec<Condition> {
    let mut conditions = Vec::new();
    match entry {
        Entry::Log(log) => {
            if let Some(pattern) = &rule.log {
                explain_text(pattern, &log.message, &mut conditions);
            }
        }
        Entry::Event(event) => {
            if let Some(pattern) = &rule.event {
                explain_event(pattern, event, &mut conditions);
            }
        }
    }
    conditions
}

/// Whether a rule came near: it does not match, yet something telling was there.
pub fn is_near(conditions: &[Condition]) -> bool {
    conditions.iter().any(|condition| !condition.holds)
        && conditions.iter().any(|condition| condition.holds && condition.telling)
}

fn explain_event(pattern: &EventPattern, event: &KubeEvent<'_>, conditions: &mut Vec<Condition>) {
    if !pattern.reason.is_empty() {
        let text = format!("reason {}", pattern.reason.join(" or "));
        conditions.push(Condition { text, holds: has_reason(pattern, event), telling: true });
    }
    if let Some(event_type) = &pattern.event_type {
        let text = format!("type {event_type}");
        conditions.push(Condition { text, holds: has_type(pattern, event), telling: false });
    }
    if let Some(message) = &pattern.message {
        explain_text(message, &event.message, conditions);
    }
}

fn explain_text(pattern: &TextPattern, text: &str, conditions: &mut Vec<Condition>) {
    let holds = |literal: &String| contains(text, literal, pattern.ignore_case);
    for literal in &pattern.all {
        conditions.push(Condition { text: format!("all {literal:?}"), holds: holds(literal), telling: true });
    }
    if let Some(first) = pattern.any.first() {
        // The one that was found says more than the list.
        let found = pattern.any.iter().find(|literal| holds(literal));
        let text = match found {
            None if pattern.any.len() > 1 => format!("any of {}", quoted(&pattern.any)),
            _ => format!("any {:?}", found.unwrap_or(first)),
        };
        conditions.push(Condition { text, holds: found.is_some(), telling: true });
    }
    for literal in &pattern.none {
        conditions.push(Condition { text: format!("none {literal:?}"), holds: !holds(literal), telling: false });
    }
    if let Some(regex) = &pattern.regex {
        conditions.push(Condition {
            text: format!("regex {}", regex.as_str()),
            holds: regex.is_match(text),
            telling: true,
        });
    }
}

fn quoted(literals: &[String]) -> String {
    literals.iter().map(|literal| format!("{literal:?}")).collect::<Vec<_>>().join(", ")
}
