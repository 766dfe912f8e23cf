//! Rule files: from YAML to validated [`Rule`]s, with every error of every file reported at once.

use std::collections::HashMap;
use std::sync::Arc;

use crate::document::{Collector, Diagnostic, Diagnostics, Item, Node, Origin, Value, parse_yaml};
use crate::signature::Rule;

use precedence::Precedence;

mod contradictions;
mod precedence;
mod read;

/// More rules than this are a mistake.
const MAX_RULES: usize = 5_000;
/// All literals of all rules together; bounds the automaton that they are folded into.
const MAX_LITERAL_BYTES: usize = 1 << 20;

/// All rules in force, replaced only as a whole.
#[derive(Clone, Debug, Default)]
pub struct RuleSet {
    rules: Vec<Rule>,
    by_id: HashMap<Arc<str>, usize>,
    precedence: Precedence,
    /// By rule.
    origins: Vec<Origin>,
    warnings: Diagnostics,
}

impl RuleSet {
    /// Reads the rules of all files: pairs of a name for messages and the YAML text, a list of rules. Rules keep the
    /// order in which they are given.
    ///
    /// # Errors
    /// Everything that is wrong in any of the files, and the warnings too.
    pub fn parse<N: AsRef<str>, T: AsRef<str>>(files: &[(N, T)]) -> Result<RuleSet, Diagnostics> {
        let collector = Collector::default();
        let mut rules = Vec::new();
        let mut origins = Vec::new();
        for (name, text) in files {
            match parse_yaml(name.as_ref(), text.as_ref()) {
                Ok(document) => read_file(&document, &collector, &mut rules, &mut origins),
                Err(diagnostic) => collector.push(diagnostic),
            }
        }
        check_unique(&rules, &origins, &collector);
        check_limits(&rules, &origins, &collector);
        precedence::check(&rules, &origins, &collector);
        if collector.has_errors() {
            return Err(collector.finish());
        }
        Ok(RuleSet { origins, warnings: collector.finish(), ..RuleSet::new(rules) })
    }

    /// The caller vouches for the rules.
    pub(crate) fn new(rules: Vec<Rule>) -> Self {
        let by_id = rules.iter().enumerate().map(|(index, rule)| (Arc::clone(&rule.id), index)).collect();
        let precedence = Precedence::new(&rules, &by_id);
        RuleSet { rules, by_id, precedence, ..RuleSet::default() }
    }

    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    pub fn get(&self, id: &str) -> Option<&Rule> {
        self.by_id.get(id).map(|&index| &self.rules[index])
    }

    /// Whether the rule at `loser` of [`RuleSet::rules`] does not count where the one at `winner` matches the same entry:
    /// `winner` supersedes it, or supersedes a rule that does.
    pub fn supersedes(&self, winner: usize, loser: usize) -> bool {
        self.precedence.supersedes(winner, loser)
    }

    /// Leaves only those hits, of all on one entry, that no other supersedes. `index_of` gives a hit's rule.
    pub fn drop_superseded<T>(&self, hits: &mut Vec<T>, index_of: impl Fn(&T) -> usize) {
        let winners: Vec<usize> = hits.iter().map(&index_of).filter(|&rule| self.precedence.is_winner(rule)).collect();
        hits.retain(|hit| !winners.iter().any(|&winner| self.supersedes(winner, index_of(hit))));
    }

    /// Where the rule at `index` of [`RuleSet::rules`] was written.
    pub fn origin(&self, index: usize) -> Option<&Origin> {
        self.origins.get(index)
    }

    /// What works but is probably not what was meant.
    pub fn warnings(&self) -> impl Iterator<Item = &Diagnostic> {
        self.warnings.iter()
    }
}

fn read_file(document: &Node, collector: &Collector, rules: &mut Vec<Rule>, origins: &mut Vec<Origin>) {
    let nodes = match &document.value {
        Value::List(nodes) => nodes,
        // A file in which everything is commented out.
        Value::Map(entries) if entries.is_empty() => return,
        _ => {
            let top = Item::new(document, "", collector);
            return top.error("expected a list of rules, each beginning with `- id: `, found a map");
        }
    };
    for (index, node) in nodes.iter().enumerate() {
        if let Some((rule, origin)) = read::rule(node, index, collector) {
            rules.push(rule);
            origins.push(origin);
        }
    }
}

fn check_unique(rules: &[Rule], origins: &[Origin], collector: &Collector) {
    let mut first = HashMap::new();
    for (rule, origin) in rules.iter().zip(origins) {
        if let Some(other) = first.insert(&rule.id, origin) {
            let message = format!("this id is taken by the rule at {other}; ids are unique over all files");
            collector.push(Diagnostic::error(origin.clone(), format!("rule {}", rule.id), message));
        }
    }
}

fn check_limits(rules: &[Rule], origins: &[Origin], collector: &Collector) {
    let mut literal_bytes = 0;
    for (index, (rule, origin)) in rules.iter().zip(origins).enumerate() {
        literal_bytes += rule.literals().map(str::len).sum::<usize>();
        let message = if index >= MAX_RULES {
            format!("more than {MAX_RULES} rules")
        } else if literal_bytes > MAX_LITERAL_BYTES {
            format!("the literals of all rules together exceed {MAX_LITERAL_BYTES} bytes")
        } else {
            continue;
        };
        return collector.push(Diagnostic::error(origin.clone(), format!("rule {}", rule.id), message));
    }
}

#[cfg(test)]
mod tests;
