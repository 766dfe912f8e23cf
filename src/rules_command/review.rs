//! What is allowed but doubtful in a rule set as a whole: rules that others make superfluous.

use std::collections::BTreeSet;

use crate::document::{Diagnostic, Origin};
use crate::scanner::matcher::{Matcher, Scratch};
use crate::scanner::naive::example_entry;
use crate::signature::Rule;

/// Warnings, in the rule set's order: rules that say what another does, and rules whose every example another rule
/// matches too that counts as much, so that one failure would be told twice, or never by the rule in question.
pub(super) fn review(matcher: &Matcher) -> Vec<Diagnostic> {
    let mut scratch = Scratch::default();
    let mut warnings = Vec::new();
    for index in 0..matcher.rules().rules().len() {
        if let Some(twin) = twin(matcher.rules().rules(), index) {
            warnings.push(warning(matcher, index, format!("has the same conditions as `{twin}`")));
            continue;
        }
        let Some(others) = also_matching(matcher, index, &mut scratch) else { continue };
        let shadow = others.into_iter().find_map(|other| Some((other, doubt(matcher, index, other)?)));
        if let Some((other, doubt)) = shadow {
            let message =
                format!("shadowed: every example also matches `{}`, {doubt}", matcher.rules().rules()[other].id);
            warnings.push(warning(matcher, index, message));
        }
    }
    warnings
}

fn warning(matcher: &Matcher, index: usize, message: String) -> Diagnostic {
    let origin = matcher.rules().origin(index).cloned().unwrap_or_else(|| Origin::of_source("rules"));
    Diagnostic::warning(origin, format!("rule {}", matcher.rules().rules()[index].id), message)
}

/// An earlier rule whose conditions are the same, word for word.
fn twin(rules: &[Rule], index: usize) -> Option<&str> {
    // Regexes can be compared only as text.
    let conditions = |rule: &Rule| format!("{:?} {:?}", rule.log, rule.event);
    let own = conditions(&rules[index]);
    let same =
        rules[..index].iter().find(|rule| rule.literals().eq(rules[index].literals()) && conditions(rule) == own);
    same.map(|rule| &*rule.id)
}

/// The other rules that match all of the rule's examples; `None`: it has none.
fn also_matching(matcher: &Matcher, index: usize, scratch: &mut Scratch) -> Option<BTreeSet<usize>> {
    let rule = &matcher.rules().rules()[index];
    let mut common: Option<BTreeSet<usize>> = None;
    for example in &rule.examples.matching {
        let entry = example_entry(rule, example);
        matcher.bring_up(&entry, scratch);
        let hits = scratch.candidates().iter().filter_map(|&candidate| matcher.look_at(candidate, &entry, scratch));
        let hits: BTreeSet<usize> = hits.map(|hit| hit.index).filter(|&hit| hit != index).collect();
        common = Some(match common {
            Some(common) => common.intersection(&hits).copied().collect(),
            None => hits,
        });
    }
    common
}

/// Why the rule is of no use beside another that matches all that it does.
fn doubt(matcher: &Matcher, index: usize, other: usize) -> Option<&'static str> {
    let rules = matcher.rules();
    let (rule, wider) = (&rules.rules()[index], &rules.rules()[other]);
    if rules.supersedes(index, other) {
        return None;
    }
    if rules.supersedes(other, index) {
        return Some("which supersedes it, so that this rule never counts");
    }
    if wider.accuses != rule.accuses || wider.severity < rule.severity || narrows_trigger(rule, wider) {
        return None;
    }
    Some("which is as severe; name it under `supersedes`, or drop this rule")
}

/// Whether the rule fires on less than the other does, and is of use for that.
fn narrows_trigger(rule: &Rule, wider: &Rule) -> bool {
    rule.trigger.matches < wider.trigger.matches || rule.trigger.pods < wider.trigger.pods
}
