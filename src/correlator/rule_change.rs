//! What becomes of a cluster's state when the rules change while it is watched.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::alert::Suspect;
use crate::ruleset::RuleSet;
use crate::signature::Rule;

use super::Correlator;
use super::inventory::PodKey;

impl Correlator {
    /// Puts other rules in force, from the next report on; no evaluation takes place.
    ///
    /// What rules saw that see the same as before ([`Rule::sees_the_same`]) stays, whatever else of them changed. What
    /// others saw is forgotten, and so is who failed by nothing else. An open incident stays, with its pods, until it
    /// ends like any other: that nobody looks for a failure any more is no sign that it is over.
    pub fn set_rules(&mut self, rules: Arc<RuleSet>) {
        if Arc::ptr_eq(&self.rules, &rules) {
            return;
        }
        let before = std::mem::replace(&mut self.rules, rules);
        self.generic_rules = generic_rules(&self.rules);
        let unchanged: BTreeSet<&str> = before
            .rules()
            .iter()
            .filter(|old| self.rules.get(&old.id).is_some_and(|new| new.sees_the_same(old)))
            .map(|rule| &*rule.id)
            .collect();
        self.forget_others(&unchanged);
    }

    /// Forgets what all but these rules saw.
    pub(super) fn forget_others(&mut self, unchanged: &BTreeSet<&str>) {
        self.windows.retain(|(_, rule), _| unchanged.contains(&**rule));
        let incidents = &self.incidents;
        let is_told_pod = |pod: &PodKey| incidents.values().any(|incident| incident.members.contains_key(pod));
        let is_told_node = |node: &Arc<str>| {
            let it = Suspect::Node(Arc::clone(node));
            incidents.values().any(|incident| incident.suspect == it)
        };
        self.failures.forget_rules(|rule| !unchanged.contains(rule), is_told_pod, is_told_node);
    }
}

/// Rules that say only that a pod fails, not why.
pub(super) fn generic_rules(rules: &RuleSet) -> BTreeSet<Arc<str>> {
    let is_generic = |rule: &&Rule| {
        rule.log.is_none() && rule.event.as_ref().is_some_and(|event| event.reason.iter().any(|r| r == "BackOff"))
    };
    rules.rules().iter().filter(is_generic).map(|rule| Arc::clone(&rule.id)).collect()
}
