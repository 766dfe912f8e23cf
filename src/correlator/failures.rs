//! What each failing pod, and each accused node, was seen to do: per rule, how often, since when, with which captures.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::report::Match;
use crate::time::Timestamp;

use super::fairness::{self, Tenant};
use super::inventory::PodKey;

/// What one rule saw on one pod or node.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RuleStat {
    pub matches: u64,
    pub first: Timestamp,
    pub last: Timestamp,
    pub captures: Captures,
    pub sample: Option<String>,
}

/// Capture name → value → how often.
pub type Captures = BTreeMap<Arc<str>, BTreeMap<String, u64>>;

impl RuleStat {
    fn new(at: Timestamp) -> Self {
        RuleStat { matches: 0, first: at, last: at, captures: Captures::new(), sample: None }
    }

    fn add(&mut self, matched: &Match, count: u64) {
        self.matches += count;
        self.first = self.first.min(matched.time);
        self.last = self.last.max(matched.time);
    }

    /// Returns how many values had no room.
    fn add_details(&mut self, matched: &Match, count: u64, capture_values: usize) -> u64 {
        if self.sample.is_none() {
            self.sample.clone_from(&matched.sample);
        }
        let added = matched.captures.iter().map(|(name, value)| {
            let has_room = add_capture(&mut self.captures, name, value, count, capture_values);
            u64::from(!has_room)
        });
        added.sum()
    }
}

/// Counts a value; a new one beyond the bound is dropped. Returns whether it has been counted.
pub fn add_capture(captures: &mut Captures, name: &Arc<str>, value: &str, count: u64, bound: usize) -> bool {
    let values = captures.entry(Arc::clone(name)).or_default();
    if let Some(seen) = values.get_mut(value) {
        *seen += count;
        return true;
    }
    let has_room = values.len() < bound;
    if has_room {
        values.insert(value.to_owned(), count);
    }
    has_room
}

/// A pod that matched rules that accuse pods, or a node under rules that accuse nodes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Failing {
    /// Since it last ran well.
    pub first: Timestamp,
    pub last: Timestamp,
    /// It had failed many times when it was first heard of.
    pub chronic: bool,
    /// Matches since `first`.
    pub matches: u64,
    /// The longest silence between two of its matches: its crash-loop back-off, as far as seen.
    pub longest_gap: Duration,
    /// The longest that a container of it ran between its start and a match.
    pub longest_run: Duration,
    /// Since when it has been writing log lines without a match and without a long silence.
    pub healthy_from: Option<Timestamp>,
    pub healthy_to: Option<Timestamp>,
    /// Matches up to here belong to an incident that is over.
    pub settled: Option<Timestamp>,
    pub rules: BTreeMap<Arc<str>, RuleStat>,
}

/// A pod that logs nothing for longer than this may have crashed in between; what follows is another run.
const STEADY_GAP: Duration = Duration::from_secs(60);

/// client-go's event recorder lets 25 events of one object pass, then one per 5 minutes.
const EVENT_BURST: u64 = 20;

impl Failing {
    fn new(at: Timestamp) -> Self {
        Failing {
            first: at,
            last: at,
            chronic: false,
            matches: 0,
            longest_gap: Duration::ZERO,
            longest_run: Duration::ZERO,
            healthy_from: None,
            healthy_to: None,
            settled: None,
            rules: BTreeMap::new(),
        }
    }

    /// It wrote log lines from `first` to `last`; what came before its newest match says nothing.
    pub fn logged(&mut self, first: Timestamp, last: Timestamp) {
        if last <= self.last {
            return;
        }
        let first = first.max(self.last);
        match self.healthy_to {
            Some(to) if first.since(to) <= STEADY_GAP => self.healthy_to = Some(to.max(last)),
            _ => (self.healthy_from, self.healthy_to) = (Some(first), Some(last)),
        }
    }

    /// Whether it has run without a match for long enough, counted from steady logging or from a container's start.
    pub fn has_recovered(&self, now: Timestamp, started: Option<Timestamp>, recovered_after: Duration) -> bool {
        let needed = self.run_needed(recovered_after);
        let started = started.filter(|at| *at > self.last && self.would_be_told());
        self.steady_run() >= needed || started.is_some_and(|at| now.since(at) >= needed)
    }

    /// Whether silence after a start means that it runs: after a burst of events about one pod kubelet tells of no more
    /// than one in five minutes.
    pub fn would_be_told(&self) -> bool {
        !self.chronic && self.matches < EVENT_BURST
    }

    /// A pod that always runs for a while before it fails has not recovered by running that long again.
    fn run_needed(&self, recovered_after: Duration) -> Duration {
        recovered_after.max(self.longest_run.saturating_mul(3) / 2)
    }

    /// How long it has been logging without a match.
    fn steady_run(&self) -> Duration {
        self.healthy_to.zip(self.healthy_from).map_or(Duration::ZERO, |(to, from)| to.since(from))
    }

    /// A match ends what looked like recovery; if it was one, the pod fails anew.
    fn relapse(&mut self, at: Timestamp, started: Option<Timestamp>, recovered_after: Duration) {
        if self.healthy_to.is_some_and(|to| to > at) {
            return;
        }
        let started = started.filter(|started| *started > self.last && self.would_be_told());
        let since_start = started.map_or(Duration::ZERO, |from| at.since(from));
        let run = self.steady_run().max(since_start);
        if run >= self.run_needed(recovered_after) {
            (self.first, self.matches, self.chronic) = (at, 0, false);
        }
        self.longest_run = self.longest_run.max(run);
        (self.healthy_from, self.healthy_to) = (None, None);
    }

    /// Forgets what these rules saw; what the others saw says when it failed, and how often. Without any left, that
    /// stays as it was.
    fn forget_rules(&mut self, is_gone: impl Fn(&str) -> bool) {
        let before = self.rules.len();
        self.rules.retain(|rule, _| !is_gone(rule));
        let left = || self.rules.values();
        let (Some(first), Some(last)) = (left().map(|stat| stat.first).min(), left().map(|stat| stat.last).max())
        else {
            return;
        };
        if self.rules.len() < before {
            // They may have seen it before it last ran well.
            self.first = self.first.max(first);
            self.last = self.last.min(last).max(self.first);
            self.matches = self.matches.min(left().map(|stat| stat.matches).sum());
        }
    }

    /// Whether any match came after the incident that it belonged to was over.
    pub fn is_open(&self) -> bool {
        self.settled.is_none_or(|settled| self.last > settled)
    }
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Failures {
    pub pods: BTreeMap<PodKey, Failing>,
    pub nodes: BTreeMap<Arc<str>, Failing>,
    /// When pods began to match a rule, for the rules' base rates: rule → times in the order of their arrival.
    onsets: BTreeMap<Arc<str>, VecDeque<Timestamp>>,
    /// Pods that had to go since [`Failures::keep`] last said so.
    pushed_out: u64,
    #[serde(skip)]
    pub evicted: u64,
    /// Values of captures, and onsets, for which there was no room.
    #[serde(skip)]
    pub captures_left_out: u64,
    #[serde(skip)]
    pub onsets_forgotten: u64,
}

/// Of so many signatures of one pod or node the sample and the captures are kept; of further ones only how often and when.
/// A pod has one or two; one that matches whatever there is must not take up memory for all of it.
const DETAILED_RULES: usize = 8;

/// Onsets that are remembered per rule, and for how long.
const ONSETS: usize = 256;
pub const ONSET_MEMORY: Duration = Duration::from_secs(3600);

/// Bounds that [`Failures::add_pod`] and [`Failures::add_node`] keep.
#[derive(Clone, Copy)]
pub struct Bounds {
    pub capture_values: usize,
    /// After so long without a match a pod has recovered, and fails anew if it does.
    pub recovered_after: Duration,
    /// After a silence this long, the next match is the start of another failure.
    pub forget_after: Duration,
}

impl Failures {
    /// `started` is the newest start of a container of the pod. [`Failures::keep`] keeps the bound.
    pub fn add_pod(&mut self, pod: &PodKey, matched: &Match, count: u64, started: Option<Timestamp>, bounds: Bounds) {
        if let Some(failing) = self.pods.get_mut(pod) {
            failing.relapse(matched.time, started, bounds.recovered_after);
        }
        let added = add(&mut self.pods, pod, matched, count, bounds);
        self.captures_left_out += added.captures_left_out;
        if added.is_news {
            let onsets = self.onsets.entry(Arc::clone(&matched.rule)).or_default();
            onsets.push_back(matched.time);
            if onsets.len() > ONSETS {
                onsets.pop_front();
                self.onsets_forgotten += 1;
            }
        }
    }

    pub fn add_node(&mut self, node: &Arc<str>, matched: &Match, count: u64, bounds: Bounds) {
        self.captures_left_out += add(&mut self.nodes, node, matched, count, bounds).captures_left_out;
    }

    /// Lets go of pods and nodes beyond so many of each. Returns whether that many pods have gone that whoever remembers
    /// them should look which: rarely, for that takes long.
    pub fn keep(&mut self, most: usize, tenant_of_node: impl Fn(&str) -> Option<Tenant>) -> bool {
        if self.nodes.len() > most {
            self.evicted += fairness::evict(&mut self.nodes, |node, _| tenant_of_node(node), |failing| failing.last);
        }
        if self.pods.len() > most {
            let gone = fairness::evict(&mut self.pods, |pod, _| Some(Tenant::of_pod(pod)), |failing| failing.last);
            self.evicted += gone;
            self.pushed_out += gone;
        }
        let are_many = self.pushed_out >= most.max(1) as u64;
        if are_many {
            self.pushed_out = 0;
        }
        are_many
    }

    /// How many pods began to match the rule from `from` on and before `to`.
    pub fn onsets(&self, rule: &Arc<str>, from: Timestamp, to: Timestamp) -> usize {
        let onsets = self.onsets.get(rule).into_iter().flatten();
        onsets.filter(|at| (from..to).contains(*at)).count()
    }

    /// Forgets what these rules saw, and who failed by nothing else, unless `keep_pod` or `keep_node` says otherwise.
    pub fn forget_rules(
        &mut self,
        is_gone: impl Fn(&str) -> bool,
        keep_pod: impl Fn(&PodKey) -> bool,
        keep_node: impl Fn(&Arc<str>) -> bool,
    ) {
        self.onsets.retain(|rule, _| !is_gone(rule));
        let left = |failing: &mut Failing| {
            failing.forget_rules(&is_gone);
            !failing.rules.is_empty()
        };
        self.pods.retain(|pod, failing| left(failing) || keep_pod(pod));
        self.nodes.retain(|node, failing| left(failing) || keep_node(node));
    }

    /// Forgets what has been silent since before `oldest`.
    pub fn expire(&mut self, oldest: Timestamp, keep: impl Fn(&PodKey) -> bool) {
        self.pods.retain(|pod, failing| failing.last >= oldest || keep(pod));
        self.nodes.retain(|_, failing| failing.last >= oldest);
    }
}

/// What a match led to.
struct Added {
    /// The rule is news of the pod or node.
    is_news: bool,
    captures_left_out: u64,
}

fn add(map: &mut BTreeMap<Arc<str>, Failing>, key: &Arc<str>, matched: &Match, count: u64, bounds: Bounds) -> Added {
    let at = matched.time;
    let failing = map.entry(Arc::clone(key)).or_insert_with(|| Failing::new(at));
    let gap = at.since(failing.last);
    let anew = gap > bounds.forget_after || failing.settled.is_some_and(|settled| at > settled);
    if anew {
        *failing = Failing::new(at);
    }
    failing.longest_gap = failing.longest_gap.max(if anew { Duration::ZERO } else { gap });
    failing.first = failing.first.min(at);
    failing.last = failing.last.max(at);
    failing.matches += count;
    let is_news = !failing.rules.contains_key(&matched.rule);
    let has_room = failing.rules.len() < DETAILED_RULES;
    let stat = failing.rules.entry(Arc::clone(&matched.rule)).or_insert_with(|| RuleStat::new(at));
    stat.add(matched, count);
    // What had room once has it still: something is known of it.
    let is_detailed = has_room || stat.sample.is_some() || !stat.captures.is_empty();
    let captures_left_out = match is_detailed {
        true => stat.add_details(matched, count, bounds.capture_values),
        false => matched.captures.len() as u64,
    };
    Added { is_news, captures_left_out }
}
