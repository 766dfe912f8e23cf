//! All rules' literals in one automaton; regexes only confirm.

use std::sync::Arc;

use crate::ruleset::RuleSet;

/// The compiled form of a [`RuleSet`]. Immutable and shared between scan threads.
pub struct Matcher {
    rules: Arc<RuleSet>,
}

impl Matcher {
    pub fn new(rules: Arc<RuleSet>) -> Self {
        Matcher { rules }
    }

    pub fn rules(&self) -> &Arc<RuleSet> {
        &self.rules
    }
}
