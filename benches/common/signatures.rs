//! Rule sets of any size whose literals are made of the words that logs are made of.

use std::sync::Arc;

use faultline::ruleset::RuleSet;

const SUBJECTS: &[&str] = &[
    "request",
    "connection",
    "volume",
    "container",
    "upstream",
    "service",
    "query",
    "cache",
    "worker",
    "certificate",
    "lease",
    "image",
    "endpoint",
    "transaction",
    "session",
    "replica",
    "mount",
    "config",
    "proxy",
    "watch",
];
const VERBS: &[&str] = &[
    "failed to start",
    "could not open",
    "is not ready for",
    "was refused by",
    "timed out waiting for",
    "lost its",
    "cannot allocate",
    "exceeded the limit of",
    "was reset by",
    "is corrupt in",
];
const OBJECTS: &[&str] = &[
    "entrypoint",
    "the connection",
    "the shard",
    "its leader",
    "the upstream",
    "memory",
    "the item",
    "pod sandbox",
    "the index",
    "the socket",
    "checkout",
    "the certificate",
    "disk",
    "the workspace",
    "job",
    "the service",
];
const ENDS: &[&str] = &["", ": code=", " (errno ", ", retrying", " in ", ": status 5", "; giving up", ": no such "];

/// The literal of the signature that [`super::common::chatter`] holds, and `count - 1` others, all different.
pub fn literals(count: usize) -> Vec<String> {
    let mut literals = vec!["Failed to start entrypoint process".to_owned()];
    let pick = |words: &'static [&str], at: usize| words[at % words.len()];
    // The numbers of words have few divisors in common with these steps, so that neighbours differ in all places.
    for at in 0..count.saturating_sub(1) {
        let (subject, verb, object) =
            (pick(SUBJECTS, at * 7), pick(VERBS, at / 20 + at * 3), pick(OBJECTS, at / 200 + at));
        literals.push(format!("{subject} {verb} {object}{}{}", pick(ENDS, at / 40), at % 9));
    }
    literals
}

#[allow(dead_code, reason = "not every bench needs the rules themselves")]
pub fn rules(count: usize) -> Arc<RuleSet> {
    Arc::new(RuleSet::parse(&[("made.yaml", &text(count))]).expect("the rules are right"))
}

/// The rule file of them.
pub fn text(count: usize) -> String {
    let rule = |(index, literal): (usize, String)| {
        format!("- {{id: rule-{index}, title: t, severity: error, match: {{log: {{all: [{literal:?}]}}}}}}\n")
    };
    literals(count).into_iter().enumerate().map(rule).collect()
}
