use std::borrow::Cow;
use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use regex::RegexBuilder;

use super::*;
use crate::record::{KubeEvent, LogEntry};
use crate::scanner::naive::{explain, matches_naive, matching_naive};
use crate::signature::{Accuses, EventPattern, Examples, Severity, Trigger};

fn rule(id: usize, log: Option<TextPattern>, event: Option<EventPattern>) -> Rule {
    Rule {
        id: format!("rule-{id}").into(),
        title: String::new(),
        severity: Severity::Error,
        accuses: Accuses::Pod,
        log,
        event,
        codes: BTreeMap::new(),
        trigger: Trigger::default(),
        action: None,
        runbook: None,
        supersedes: Vec::new(),
        examples: Examples::default(),
    }
}

fn matcher(rules: Vec<Rule>) -> Matcher {
    Matcher::new(Arc::new(RuleSet::new(rules)))
}

fn log(message: &str) -> Entry<'_> {
    Entry::Log(LogEntry { message: Cow::Borrowed(message), ..LogEntry::default() })
}

fn literals(all: &[&str], any: &[&str], none: &[&str]) -> TextPattern {
    let owned = |literals: &[&str]| literals.iter().map(|literal| literal.to_string()).collect();
    TextPattern { all: owned(all), any: owned(any), none: owned(none), ..TextPattern::default() }
}

/// What the rules that match caught, in the order of the hits.
fn hits(matcher: &Matcher, entry: &Entry<'_>) -> Vec<(usize, Vec<(String, String)>)> {
    let mut hits = Vec::new();
    matcher.scan(entry, &mut Scratch::default(), |hit| {
        let captures = hit.captures.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        hits.push((hit.index, captures.collect()));
    });
    hits
}

#[test]
fn keeps_the_named_groups_that_took_part() {
    let pattern = TextPattern {
        regex: Some(Regex::new(r"Error: (?P<code>\d+)(?: in (?P<where>\w+))?").unwrap()),
        ..literals(&["Error"], &[], &[])
    };
    let matcher = matcher(vec![rule(0, Some(pattern), None)]);
    assert_eq!(hits(&matcher, &log("Error: 216")), [(0, vec![("code".into(), "216".into())])]);
    assert_eq!(hits(&matcher, &log("Error: none")), []);
}

#[test]
fn cuts_long_captures_on_a_character() {
    let pattern = TextPattern { regex: Some(Regex::new("oops (?P<what>.*)").unwrap()), ..TextPattern::default() };
    let matcher = matcher(vec![rule(0, Some(pattern), None)]);
    let found = hits(&matcher, &log(&format!("oops x{}", "é".repeat(1000))));
    assert_eq!(found[0].1[0].1.len(), MAX_CAPTURE_BYTES - 1);
}

#[test]
fn literals_that_overlap_are_all_found() {
    let matcher = matcher(vec![
        rule(0, Some(literals(&["out of memory"], &[], &[])), None),
        rule(1, Some(literals(&["memory"], &[], &[])), None),
        rule(2, Some(literals(&["of mem"], &["Out", "out"], &["cgroup"])), None),
        rule(3, Some(literals(&["Memory"], &[], &[])), None),
    ]);
    let matched = |text| hits(&matcher, &log(text)).into_iter().map(|(index, _)| index).collect::<Vec<_>>();
    assert_eq!(matched("out of memory"), [0, 1, 2]);
    assert_eq!(matched("Memory cgroup: out of memory"), [0, 1, 3]);
}

#[test]
fn a_scratch_serves_several_matchers() {
    let small = matcher(vec![rule(0, Some(literals(&["a"], &[], &[])), None)]);
    let large =
        matcher(vec![rule(0, Some(literals(&["b"], &[], &[])), None), rule(1, Some(literals(&["a"], &[], &[])), None)]);
    let mut scratch = Scratch::default();
    for (matcher, expected) in [(&small, 0), (&large, 1), (&small, 0)] {
        let mut matched = Vec::new();
        matcher.scan(&log("a"), &mut scratch, |hit| matched.push(hit.index));
        assert_eq!(matched, [expected]);
    }
}

#[test]
fn regexes_without_literals_of_their_rule_wait_for_their_own() {
    let regex = |pattern| TextPattern { regex: Some(Regex::new(pattern).unwrap()), ..TextPattern::default() };
    let matcher = matcher(vec![
        rule(0, Some(regex(r"task \w+ blocked")), None),
        rule(1, Some(regex(r"^\d+$")), None),
        rule(2, None, Some(EventPattern { reason: vec!["Evicted".into()], ..EventPattern::default() })),
    ]);
    assert_eq!(matcher.logs.always, [1], "only what has no literal is tried on every message");
    assert_eq!(matcher.events.always, [0], "the first of the events' clauses wants any message");
    assert_eq!(hits(&matcher, &log("task docker blocked")), [(0, Vec::new())]);
    assert_eq!(hits(&matcher, &log("4711")), [(1, Vec::new())]);
}

#[test]
fn what_is_superseded_does_not_count() {
    let rule = |id, literal, losers: &[&str]| Rule {
        supersedes: losers.iter().map(|id| (*id).into()).collect(),
        ..rule(id, Some(literals(&[literal], &[], &[])), None)
    };
    let matcher = matcher(vec![
        rule(0, "failed", &[]),
        rule(1, "task failed", &["rule-0"]),
        rule(2, "disk full", &["rule-1"]),
        rule(3, "disk", &[]),
    ]);
    let matched = |text| hits(&matcher, &log(text)).into_iter().map(|(index, _)| index).collect::<Vec<_>>();
    assert_eq!(matched("task failed"), [1]);
    assert_eq!(matched("task failed: disk full"), [2, 3]);
    // By way of the rule between, which does not match.
    assert_eq!(matched("pull failed: disk full"), [2, 3]);
    assert_eq!(matched("pull failed on disk"), [0, 3]);
}

#[test]
fn no_rules_match_nothing() {
    assert_eq!(hits(&matcher(Vec::new()), &log("anything")), []);
}

/// Few letters, so that literals are found often, overlap and differ in case only.
fn any_literal() -> impl Strategy<Value = String> {
    "[abAé]{1,4}"
}

fn any_text_pattern() -> impl Strategy<Value = TextPattern> {
    let regex =
        select(vec!["(?P<x>a+)b", "[ab]A", "a.*b", "(?i)abb", "(?:abb|baa)(?P<y>.)?", "éab|bA*aba", "^b?", "a{3}"]);
    (vec(any_literal(), 0..3), vec(any_literal(), 0..3), vec(any_literal(), 0..2), any::<bool>(), option::of(regex))
        .prop_map(|(all, any, none, ignore_case, regex)| TextPattern {
            all,
            any,
            none,
            ignore_case,
            regex: regex.map(|regex| RegexBuilder::new(regex).case_insensitive(ignore_case).build().unwrap()),
        })
}

fn any_event_pattern() -> impl Strategy<Value = EventPattern> {
    (vec("[AB]", 0..3), option::of("[NW]"), option::of(any_text_pattern()))
        .prop_map(|(reason, event_type, message)| EventPattern { reason, event_type, message })
}

fn any_rules() -> impl Strategy<Value = Vec<Rule>> {
    let patterns = (option::of(any_text_pattern()), option::of(any_event_pattern()));
    // Only rules that come later: no circles.
    let rules = vec((patterns, option::weighted(0.3, 1..4usize)), 0..8);
    rules.prop_map(|rules| {
        let rules = rules.into_iter().enumerate();
        rules
            .map(|(id, ((log, event), loser))| {
                let supersedes = loser.map(|further| format!("rule-{}", id + further).into()).into_iter().collect();
                Rule { supersedes, ..rule(id, log, event) }
            })
            .collect()
    })
}

fn any_entry() -> impl Strategy<Value = Entry<'static>> {
    (any::<bool>(), "[abABé ]{0,24}", "[AB]", "[NW]").prop_map(|(is_log, message, reason, event_type)| {
        let message = Cow::Owned(message);
        if is_log {
            return Entry::Log(LogEntry { message, ..LogEntry::default() });
        }
        let (reason, event_type) = (reason.into(), event_type.into());
        Entry::Event(KubeEvent { reason, event_type, message, ..KubeEvent::default() })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn finds_what_the_naive_search_finds(rules in any_rules(), entries in vec(any_entry(), 1..16)) {
        let matcher = matcher(rules);
        let mut scratch = Scratch::default();
        for entry in &entries {
            let mut found = Vec::new();
            matcher.scan(entry, &mut scratch, |hit| found.push(hit.index));
            prop_assert_eq!(found, matching_naive(matcher.rules(), entry));
        }
    }

    #[test]
    fn an_explanation_agrees(rules in any_rules(), entry in any_entry()) {
        for rule in &rules {
            let wanted = match &entry { Entry::Log(_) => rule.log.is_some(), Entry::Event(_) => rule.event.is_some() };
            let conditions = explain(rule, &entry);
            prop_assert_eq!(wanted && conditions.iter().all(|condition| condition.holds), matches_naive(rule, &entry));
        }
    }
}
