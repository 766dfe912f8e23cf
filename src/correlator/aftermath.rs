//! What became of an incident's pods.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::localizer::Exposed;

/// What became of a pod that no longer fails.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It started again, or a younger pod of its workload took its place, on this node as far as that is known.
    Restarted(Option<Arc<str>>),
    /// It goes on without the failure; no start was seen.
    Runs(Option<Arc<str>>),
    /// It went, and nothing is known to have taken its place.
    Gone,
}

/// The pods that no longer fail, by what became of them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Aftermath {
    /// On the node where they failed.
    restarted: usize,
    run: usize,
    /// By the node where they, or their successors, run now.
    moved: BTreeMap<Arc<str>, usize>,
    gone: usize,
}

/// Nodes that are told by name.
const NAMED_NODES: usize = 3;

impl Aftermath {
    pub fn add(&mut self, fate: Fate, member: &Exposed) {
        match fate {
            Fate::Gone => self.gone += 1,
            Fate::Restarted(Some(node)) | Fate::Runs(Some(node)) if member.node.as_ref() != Some(&node) => {
                *self.moved.entry(node).or_default() += 1;
            }
            Fate::Restarted(_) => self.restarted += 1,
            Fate::Runs(_) => self.run += 1,
        }
    }

    pub fn is_empty(&self) -> bool {
        *self == Aftermath::default()
    }

    /// `3 pods started again on the same node, 1 pod was rescheduled to n2`.
    pub fn in_words(&self) -> String {
        let moved: usize = self.moved.values().sum();
        let parts = [
            told(self.restarted, "started again on the same node", "started again on the same node"),
            told(self.run, "runs again without the failure", "run again without the failure"),
            told(moved, "was rescheduled to", "were rescheduled to").map(|text| format!("{text} {}", self.targets())),
            told(self.gone, "is gone", "are gone"),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }

    /// The nodes that took most come first.
    fn targets(&self) -> String {
        let mut nodes: Vec<(&Arc<str>, usize)> = self.moved.iter().map(|(node, pods)| (node, *pods)).collect();
        nodes.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
        let named: Vec<&str> = nodes.iter().take(NAMED_NODES).map(|(node, _)| &***node).collect();
        match nodes.len().saturating_sub(NAMED_NODES) {
            0 => named.join(", "),
            more => format!("{} and {more} more", named.join(", ")),
        }
    }
}

fn told(pods: usize, one: &str, many: &str) -> Option<String> {
    match pods {
        0 => None,
        1 => Some(format!("1 pod {one}")),
        _ => Some(format!("{pods} pods {many}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(node: Option<&str>) -> Exposed {
        Exposed {
            pod: "shop/api-1".into(),
            workload: "shop/api".into(),
            node: node.map(Into::into),
            pool: None,
            image: None,
            failing: true,
            count: 1,
            bystander: false,
        }
    }

    #[test]
    fn says_what_happened_and_where() {
        let restarted = |node: &str| Fate::Restarted(Some(node.into()));
        let runs = |node: &str| Fate::Runs(Some(node.into()));
        let cases: [(&[Fate], &str); 6] = [
            (&[restarted("n1"), restarted("n1")], "2 pods started again on the same node"),
            (&[runs("n1"), Fate::Runs(None)], "2 pods run again without the failure"),
            (&[Fate::Gone], "1 pod is gone"),
            (
                &[restarted("n1"), restarted("n2"), runs("n3"), restarted("n3"), Fate::Gone],
                "1 pod started again on the same node, 3 pods were rescheduled to n3, n2, 1 pod is gone",
            ),
            (
                &[restarted("n2"), restarted("n3"), restarted("n4"), restarted("n5")],
                "4 pods were rescheduled to n2, n3, n4 and 1 more",
            ),
            (&[], ""),
        ];
        for (fates, words) in cases {
            let mut aftermath = Aftermath::default();
            fates.iter().for_each(|fate| aftermath.add(fate.clone(), &member(Some("n1"))));
            assert_eq!(aftermath.in_words(), words);
            assert_eq!(aftermath.is_empty(), fates.is_empty());
        }
    }
}
