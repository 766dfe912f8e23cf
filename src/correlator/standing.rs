//! How an open incident stands: which of its pods still fail, recovered or are gone, and who was last heard of.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::alert::Suspect;
use crate::localizer::Exposed;
use crate::time::Timestamp;

use super::Correlator;
use super::failures::Failing;
use super::heard::Heard;
use super::incident::{self, Fate, Incident, Standing};
use super::inventory::PodFacts;

impl Correlator {
    pub(super) fn standing(&self, incident: &Incident, roll: &Roll, now: Timestamp) -> Standing {
        let mut standing = Standing { heard: self.heard(&incident.suspect, roll), ..Standing::default() };
        let mut successors = Successors { roll, left: HashMap::new() };
        for (pod, member) in &incident.members {
            let facts = self.inventory.pods.get(pod);
            let Some(failing) = self.failures.pods.get(pod) else {
                match self.forgotten(member, incident.onset, roll, now) {
                    Some(fate) => standing.aftermath.add(fate, member),
                    None => standing.failing += 1,
                }
                continue;
            };
            standing.last_match = standing.last_match.max(Some(failing.last));
            standing.longest_gap = standing.longest_gap.max(failing.longest_gap);
            match self.became(member, facts, failing, &mut successors, now) {
                Some(fate) => standing.aftermath.add(fate, member),
                None => standing.failing += 1,
            }
        }
        if let Suspect::Node(node) = &incident.suspect
            && let Some(signal) = self.failures.nodes.get(node)
        {
            standing.last_match = standing.last_match.max(Some(signal.last));
        }
        standing.last_match = standing.last_match.or(Some(incident.onset));
        standing
    }

    /// What became of a member; `None` while it fails.
    fn became(
        &self,
        member: &Exposed,
        facts: Option<&PodFacts>,
        failing: &Failing,
        successors: &mut Successors<'_>,
        now: Timestamp,
    ) -> Option<Fate> {
        let started = facts.and_then(|facts| facts.started);
        let node = facts.and_then(|facts| facts.node.clone());
        if failing.has_recovered(self.inventory.heard_until(now), started, self.options.alerts.recovered_after) {
            let restarted = started.is_some_and(|at| at > failing.last);
            return Some(if restarted { Fate::Restarted(node) } else { Fate::Runs(node) });
        }
        let moved = facts.is_some_and(|facts| facts.node != member.node && facts.last_logged > Some(failing.last));
        if moved {
            return Some(Fate::Restarted(node));
        }
        let is_off = self.is_off(member, failing.last, successors.roll, now);
        let is_replaced =
            successors.has_one(&member.workload, failing.first) && (is_off || self.is_silent(member, failing, now));
        if !is_replaced {
            return is_off.then_some(Fate::Gone);
        }
        // There may be fewer of them than before.
        Some(successors.take(member, failing.first).map_or(Fate::Gone, Fate::Restarted))
    }

    /// What became of a member whose failures a limit has pushed out; `None` while that is not known.
    fn forgotten(&self, member: &Exposed, onset: Timestamp, roll: &Roll, now: Timestamp) -> Option<Fate> {
        if self.is_off(member, onset, roll, now) {
            return Some(Fate::Gone);
        }
        let facts = self.inventory.pods.get(&member.pod)?;
        let runs = facts.heard.goes_on(onset, now, self.options.alerts.keep_firing_for);
        runs.then(|| Fate::Runs(facts.node.clone()))
    }

    /// Whether the pod was stopped, or its node left the cluster; or nobody spoke of it for so long that it was forgotten,
    /// while what was around it speaks on. Where all are silent, its silence says nothing.
    fn is_off(&self, member: &Exposed, since: Timestamp, roll: &Roll, now: Timestamp) -> bool {
        let node = member.node.as_ref().and_then(|node| self.inventory.nodes.get(node));
        if node.is_some_and(|node| node.removed.is_some_and(|at| at > since)) {
            return true;
        }
        if let Some(facts) = self.inventory.pods.get(&member.pod) {
            return facts.is_gone();
        }
        let around = match &member.node {
            Some(_) => node.and_then(|node| node.heard),
            None => roll.workloads.get(&member.workload).copied(),
        };
        around.is_some_and(|heard| heard.goes_on(since, now, self.options.alerts.keep_firing_for))
    }

    /// Whether the pod should have failed again by now and was not heard of. If another of its workload began later and
    /// runs, it was replaced: Kubernetes tells of no deletion where no container runs, so this is how a pod that
    /// crash-looped is seen to be gone.
    fn is_silent(&self, member: &Exposed, failing: &Failing, now: Timestamp) -> bool {
        let silent = self.inventory.pods.get(&member.pod).map_or(Duration::MAX, |facts| now.since(facts.heard.to));
        let patience = incident::next_attempt(failing.longest_gap);
        silent >= if failing.would_be_told() { patience } else { incident::CRASH_LOOP_PERIOD }
    }

    /// Records of the suspect.
    fn heard(&self, suspect: &Suspect, roll: &Roll) -> Option<Heard> {
        match suspect {
            Suspect::Pod(pod) => self.inventory.pods.get(pod).map(|facts| facts.heard),
            Suspect::Node(node) => self.inventory.nodes.get(node).and_then(|facts| facts.heard),
            Suspect::Workload(name) => roll.workloads.get(name).copied(),
            Suspect::Image(name) => roll.images.get(name).copied(),
            Suspect::NodePool(name) => {
                let nodes = self.inventory.nodes.values().filter(|node| node.pool.as_ref() == Some(name));
                nodes.filter_map(|node| node.heard).reduce(Heard::and)
            }
            Suspect::Cluster => self.inventory.nodes.values().filter_map(|node| node.heard).reduce(Heard::and),
        }
    }

    /// One walk over all pods, for all incidents of an evaluation.
    pub(super) fn roll(&self, now: Timestamp) -> Roll {
        let mut roll = Roll::default();
        if self.incidents.is_empty() {
            return roll;
        }
        let (workloads, images) = self.asked_about();
        let oldest = self.failures.pods.values().map(|failing| failing.first).min();
        // Pods come in the order of their names: the next one is mostly of the same workload, kept once.
        let mut newest: (Option<&Arc<str>>, bool) = (None, false);
        for (key, pod) in &self.inventory.pods {
            if !newest.0.is_some_and(|workload| Arc::ptr_eq(workload, &pod.workload)) {
                newest = (Some(&pod.workload), workloads.contains(&pod.workload));
            }
            if newest.1 {
                add(&mut roll.workloads, &pod.workload, pod.heard);
                let runs = pod.last_logged.is_some_and(|at| now.since(at) < incident::CRASH_LOOP_PERIOD);
                let is_younger = Some(pod.first_seen) > oldest;
                if runs && is_younger && !self.failures.pods.contains_key(key) {
                    let younger = Younger { at: pod.first_seen, node: pod.node.clone() };
                    roll.younger.entry(Arc::clone(&pod.workload)).or_default().push(younger);
                }
            }
            if let Some(image) = pod.image.as_ref().filter(|image| !images.is_empty() && images.contains(*image)) {
                add(&mut roll.images, image, pod.heard);
            }
        }
        roll.younger.values_mut().for_each(|pods| pods.sort_by_key(|pod| std::cmp::Reverse(pod.at)));
        roll
    }

    /// The workloads of open incidents' pods and suspects, and the images among the suspects.
    fn asked_about(&self) -> (HashSet<&Arc<str>>, HashSet<&Arc<str>>) {
        let (mut workloads, mut images) = (HashSet::new(), HashSet::new());
        for incident in self.incidents.values() {
            workloads.extend(incident.members.values().map(|member| &member.workload));
            match &incident.suspect {
                Suspect::Workload(name) => drop(workloads.insert(name)),
                Suspect::Image(name) => drop(images.insert(name)),
                _ => {}
            }
        }
        (workloads, images)
    }
}

/// What all incidents of one evaluation ask about workloads and images.
#[derive(Default)]
pub struct Roll {
    /// Records of each.
    workloads: HashMap<Arc<str>, Heard>,
    images: HashMap<Arc<str>, Heard>,
    /// The pods of a workload that run well and are younger than some failing pod, the youngest first.
    younger: HashMap<Arc<str>, Vec<Younger>>,
}

struct Younger {
    /// When it was first heard of.
    at: Timestamp,
    node: Option<Arc<str>>,
}

/// Who took the places of an incident's pods: each takes one.
struct Successors<'r> {
    roll: &'r Roll,
    left: HashMap<Arc<str>, VecDeque<&'r Younger>>,
}

/// Of so many the one on the same node is looked for.
const LOOKED_AT: usize = 64;

impl<'r> Successors<'r> {
    /// Whether any pod of the workload began after `since`, taken or not.
    fn has_one(&self, workload: &Arc<str>, since: Timestamp) -> bool {
        self.roll.younger.get(workload).and_then(|pods| pods.first()).is_some_and(|pod| pod.at > since)
    }

    /// Where the next one that began after `since` runs: on the member's node if there is such a one.
    fn take(&mut self, member: &Exposed, since: Timestamp) -> Option<Option<Arc<str>>> {
        let all = || self.roll.younger.get(&member.workload).into_iter().flatten().collect();
        let left = self.left.entry(Arc::clone(&member.workload)).or_insert_with(all);
        let mut younger = left.iter().take(LOOKED_AT).take_while(|pod| pod.at > since);
        let same_node = younger.position(|pod| pod.node == member.node);
        let next = left.get(same_node.unwrap_or(0)).filter(|pod| pod.at > since)?.node.clone();
        left.remove(same_node.unwrap_or(0));
        Some(next)
    }
}

fn add(map: &mut HashMap<Arc<str>, Heard>, key: &Arc<str>, heard: Heard) {
    match map.get_mut(key) {
        Some(known) => *known = known.and(heard),
        None => drop(map.insert(Arc::clone(key), heard)),
    }
}
