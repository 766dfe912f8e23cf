//! What a person does in a hurry: look for the narrowest thing that all failing pods share.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Seen;
use crate::alert::{Status, Suspect};
use crate::evaluation::Told;
use crate::evaluation::told::key_of;
use crate::names;
use crate::report::{Pod, Report};
use crate::time::Timestamp;

/// One verdict about all that failed in the last five minutes; a new one takes the place of the old.
#[derive(Default)]
pub struct CommonFactor {
    seen: Seen,
    /// When it failed last.
    failing: BTreeMap<Failing, Timestamp>,
    current: Option<Suspect>,
}

/// A pod, or a node that speaks of itself.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Failing {
    Pod(Arc<str>, Arc<str>),
    Node(Arc<str>),
}

impl CommonFactor {
    pub fn observe(&mut self, report: &Report) -> Vec<Told> {
        self.seen.learn(report);
        for matched in &report.matches {
            let pod = matched.pod.and_then(|pod| report.pods.get(pod as usize));
            let pod = pod.map(|pod| Failing::Pod(Arc::clone(&pod.namespace), Arc::clone(&pod.name)));
            let Some(failing) = pod.or_else(|| matched.node.clone().map(Failing::Node)) else { continue };
            let last = self.failing.entry(failing).or_insert(matched.time);
            *last = matched.time.max(*last);
        }
        self.failing.retain(|_, last| !self.seen.is_old(*last));
        let next = self.narrowest();
        if next == self.current {
            return Vec::new();
        }
        let mut told = Vec::new();
        if let Some(before) = &self.current {
            let resolved = Told::plainly(self.seen.now, before, Status::Resolved);
            told.push(Told { superseded_by: next.as_ref().map(key_of), ..resolved });
        }
        told.extend(next.iter().map(|suspect| Told::plainly(self.seen.now, suspect, Status::Firing)));
        self.current = next;
        told
    }

    /// The first of pod, node, workload, image, pool and cluster that is the same for all.
    fn narrowest(&self) -> Option<Suspect> {
        let pods: Vec<Pod> = self.failing.keys().map(|failing| self.facts(failing)).collect();
        let only = self.failing.keys().next()?;
        if let (Failing::Pod(namespace, name), [_]) = (only, &pods[..]) {
            return Some(Suspect::Pod(format!("{namespace}/{name}").into()));
        }
        let node = shared(&pods, |pod| pod.node.clone()).map(Suspect::Node);
        let workload = || shared(&pods, |pod| Some(Arc::clone(&pod.workload)).filter(|name| !name.is_empty()));
        let image = || shared(&pods, |pod| pod.image.clone());
        let pool = || shared(&pods, |pod| Some(names::node_pool(pod.node.as_deref()?)?.into()));
        node.or_else(|| workload().map(Suspect::Workload))
            .or_else(|| image().map(Suspect::Image))
            .or_else(|| pool().map(Suspect::NodePool))
            .or(Some(Suspect::Cluster))
    }

    fn facts(&self, failing: &Failing) -> Pod {
        match failing {
            Failing::Pod(namespace, name) => {
                self.seen.pods.get(&(Arc::clone(namespace), Arc::clone(name))).cloned().unwrap_or_default()
            }
            Failing::Node(node) => Pod { node: Some(Arc::clone(node)), ..Pod::default() },
        }
    }
}

/// The fact that is known of every pod and the same.
fn shared(pods: &[Pod], fact: impl Fn(&Pod) -> Option<Arc<str>>) -> Option<Arc<str>> {
    let first = fact(pods.first()?)?;
    pods.iter().all(|pod| fact(pod).as_ref() == Some(&first)).then_some(first)
}
