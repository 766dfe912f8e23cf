//! Rule files: from YAML to validated [`Rule`]s, with every error of every file reported at once.

use std::collections::HashMap;
use std::sync::Arc;

use crate::signature::Rule;

/// All rules in force, replaced only as a whole.
#[derive(Clone, Debug, Default)]
pub struct RuleSet {
    rules: Vec<Rule>,
    by_id: HashMap<Arc<str>, usize>,
}

impl RuleSet {
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    pub fn get(&self, id: &str) -> Option<&Rule> {
        self.by_id.get(id).map(|&index| &self.rules[index])
    }
}
