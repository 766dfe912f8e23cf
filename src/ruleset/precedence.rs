//! Which rules win over which: a rule that names a cause supersedes those that only wrap it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::document::{Collector, Diagnostic, Origin, suggestion};
use crate::signature::Rule;

/// More rules than this, by way of others too, no rule supersedes; bounds the table over all rules.
const MAX_SUPERSEDED: usize = 200;

/// For each rule those that it supersedes, directly or by way of others; in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Precedence(Vec<Vec<usize>>);

impl Precedence {
    /// Ids that do not exist have no effect here; [`check`] tells of them.
    pub fn new(rules: &[Rule], by_id: &HashMap<Arc<str>, usize>) -> Self {
        let direct = direct(rules, by_id);
        Precedence((0..rules.len()).map(|rule| reachable(rule, &direct)).collect())
    }

    pub fn supersedes(&self, winner: usize, loser: usize) -> bool {
        self.0.get(winner).is_some_and(|losers| losers.binary_search(&loser).is_ok())
    }

    /// Whether the rule supersedes any other.
    pub fn is_winner(&self, rule: usize) -> bool {
        self.0.get(rule).is_some_and(|losers| !losers.is_empty())
    }
}

fn direct(rules: &[Rule], by_id: &HashMap<Arc<str>, usize>) -> Vec<Vec<usize>> {
    let losers = |rule: &Rule| rule.supersedes.iter().filter_map(|id| by_id.get(id).copied()).collect();
    rules.iter().map(losers).collect()
}

/// All that `from` leads to, in order; itself only where it is part of a circle.
fn reachable(from: usize, direct: &[Vec<usize>]) -> Vec<usize> {
    let mut reached: Vec<usize> = came_from(from, direct).into_keys().collect();
    reached.sort_unstable();
    reached
}

/// For each rule that `from` leads to, the rule before it on a shortest way; ends soon after [`MAX_SUPERSEDED`].
fn came_from(from: usize, direct: &[Vec<usize>]) -> HashMap<usize, usize> {
    let mut before = HashMap::new();
    let mut next = VecDeque::from([from]);
    while let Some(rule) = next.pop_front()
        && before.len() <= MAX_SUPERSEDED
    {
        for &loser in &direct[rule] {
            before.entry(loser).or_insert_with(|| {
                next.push_back(loser);
                rule
            });
        }
    }
    before
}

/// Tells of ids that do not exist, and of rules that supersede each other in a circle (once for each circle).
pub(super) fn check(rules: &[Rule], origins: &[Origin], collector: &Collector) {
    let by_id: HashMap<_, _> = rules.iter().enumerate().map(|(index, rule)| (Arc::clone(&rule.id), index)).collect();
    let ids: Vec<&str> = rules.iter().map(|rule| &*rule.id).collect();
    let direct = direct(rules, &by_id);
    let all: Vec<Vec<usize>> = (0..rules.len()).map(|rule| reachable(rule, &direct)).collect();
    let leads = |from: usize, to: usize| all[from].binary_search(&to).is_ok();
    for (index, (rule, origin)) in rules.iter().zip(origins).enumerate() {
        let error = |message| collector.push(Diagnostic::error(origin.clone(), path(rule), message));
        for unknown in rule.supersedes.iter().filter(|id| !by_id.contains_key(*id)) {
            error(format!("there is no rule `{unknown}`{}", nearest(unknown, &ids)));
        }
        if all[index].len() > MAX_SUPERSEDED {
            error(format!("more than {MAX_SUPERSEDED} rules, counting those that they supersede in turn"));
            continue;
        }
        // What a rule says of itself was told when it was read.
        let circle = leads(index, index) && !direct[index].contains(&index);
        if circle && !(0..index).any(|other| leads(index, other) && leads(other, index)) {
            error(format!("rules supersede each other in a circle: {}", circle_words(index, &direct, &ids)));
        }
    }
}

fn path(rule: &Rule) -> String {
    format!("rule {}.supersedes", rule.id)
}

/// The list of all rules would not help; a similar one does.
fn nearest(unknown: &str, ids: &[&str]) -> String {
    let suggestion = suggestion(unknown, ids);
    if suggestion.starts_with("did you mean") { format!("; {suggestion}") } else { String::new() }
}

fn circle_words(start: usize, direct: &[Vec<usize>], ids: &[&str]) -> String {
    let before = came_from(start, direct);
    let mut circle = vec![ids[start]];
    let mut at = start;
    while let Some(&rule) = before.get(&at) {
        circle.push(ids[rule]);
        at = rule;
        if at == start {
            break;
        }
    }
    circle.reverse();
    circle.join(" → ")
}
