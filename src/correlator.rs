//! The correlate stage: a deterministic state machine over the reports of one cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::localizer::Priors;
use crate::report::{ChangeKind, Match, Report};
use crate::ruleset::RuleSet;
use crate::signature::{Accuses, Rule};
use crate::time::Timestamp;

mod aftermath;
mod bounds;
mod census;
mod explained;
mod exposure;
mod failures;
mod fairness;
mod flap;
mod grouping;
mod heard;
mod incident;
mod inventory;
mod outcome;
mod reconcile;
mod remedy;
mod rule_change;
mod saved;
mod standing;
mod story;
mod watermark;
mod window;

pub use saved::{LAYOUT, Unusable};

use bounds::Spoken;
pub use explained::{
    Comparison, Explained, LeftOut, Manner, Reason, Speaker, State, VerdictSetting, Witness, Witnesses,
};
use failures::{Bounds, Failures};
use fairness::Tenant;
use flap::Flaps;
use incident::Incident;
use inventory::{Inventory, PodKey, Word};
pub use outcome::{Counts, Outcome};
pub(crate) use watermark::Watermarks;
use window::SlidingWindow;

/// What an operator can set; the names are those of the configuration.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Options {
    pub windows: Windows,
    pub alerts: Alerts,
    pub limits: Limits,
    /// The section `localization`; the correlator normalises them.
    pub priors: Priors,
    /// Whether each alert comes with its explanation; takes memory and time while something fails.
    pub explain: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Windows {
    pub size: Duration,
    /// How often windows are evaluated, in event time; windows begin and end at multiples of it.
    pub slide: Duration,
    /// Older than the watermark by more than this counts as late (and is still used while its window lasts).
    pub allowed_lateness: Duration,
}

impl Default for Windows {
    fn default() -> Self {
        Windows {
            size: Duration::from_secs(600),
            slide: Duration::from_secs(5),
            allowed_lateness: Duration::from_secs(5),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Alerts {
    /// Without any match for this long, while the suspect still sends records, an incident is over.
    pub keep_firing_for: Duration,
    pub renotify: Duration,
    /// From this probability on a verdict may be `confirmed`.
    pub min_probability: f64,
    /// A verdict that stays `suspected` is told only after this long: the next pod often decides.
    pub hold_suspected: Duration,
    /// A pod that fails alone is told only after this long.
    pub group_wait: Duration,
    /// A pod that ran without a match for this long has recovered.
    pub recovered_after: Duration,
    /// A cluster watched for less than this is not known yet: verdicts are capped at `suspected`.
    pub warm_up: Duration,
    /// While reports that are older than this are read, incidents are followed but not told: they may be over. Those that
    /// are still open in the present are told then. `None`: all are told.
    pub max_age: Option<Duration>,
    /// An incident that begins for so many times within `flap_within` flaps: that is said once, and then it is over only
    /// once it has been so for half of `flap_within`. At least 2; `None`: every beginning and end is told.
    pub flap_times: Option<u32>,
    pub flap_within: Duration,
    /// Open incidents are told again, as reminders, so long after they were told last. `None`: no reminders.
    pub remind_every: Option<Duration>,
}

impl Default for Alerts {
    fn default() -> Self {
        Alerts {
            keep_firing_for: Duration::from_secs(300),
            renotify: Duration::from_secs(4 * 3600),
            min_probability: 0.8,
            hold_suspected: Duration::from_secs(150),
            group_wait: Duration::from_secs(300),
            recovered_after: Duration::from_secs(120),
            warm_up: Duration::from_secs(60),
            max_age: None,
            flap_times: Some(3),
            flap_within: Duration::from_secs(3600),
            remind_every: None,
        }
    }
}

/// Bounds of the state; whoever takes up the most makes room, with what is oldest of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Clusters whose reports are in one partition of the reports topic; the others are bounds of one cluster.
    pub clusters: usize,
    pub nodes: usize,
    pub pods: usize,
    /// The same for its windows, one for each node and rule.
    pub failing_pods: usize,
    /// What pods of one namespace take of them stays below what is left.
    pub incidents: usize,
    /// Distinct values kept per capture of a signal.
    pub capture_values: usize,
    /// Entries of an alert's `failing` list and of its `candidates`.
    pub failing_in_alert: usize,
    pub candidates_in_alert: usize,
    /// A pod that no record mentioned for this long is forgotten.
    pub pod_ttl: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            clusters: 100,
            nodes: 10_000,
            pods: 300_000,
            failing_pods: 20_000,
            incidents: 1_000,
            capture_values: 20,
            failing_in_alert: 100,
            candidates_in_alert: 5,
            pod_ttl: Duration::from_secs(3600),
        }
    }
}

/// The state of one cluster.
pub struct Correlator {
    cluster: Arc<str>,
    rules: Arc<RuleSet>,
    options: Options,
    /// Rules that say only that a pod fails, not why.
    generic_rules: BTreeSet<Arc<str>>,
    watermarks: Watermarks,
    inventory: Inventory,
    failures: Failures,
    windows: BTreeMap<WindowKey, SlidingWindow>,
    event_counts: BTreeMap<EventKey, EventSeen>,
    evicted_event_counts: u64,
    incidents: BTreeMap<String, Incident>,
    flaps: Flaps,
    spoken: Spoken,
    /// When the watch began.
    began: Option<Timestamp>,
    beginning: Beginning,
    /// The end of the newest window that was evaluated.
    evaluated: Option<Timestamp>,
    /// By when records were lost that nobody could read; the newest of such times.
    lost_at: Option<Timestamp>,
    /// When the report at hand was written.
    present: Timestamp,
}

/// An event that is first heard of with this count has been repeated for some time: kubelet counts about one back-off a
/// dozen seconds, and few of its updates get lost.
const OLD_EVENT_COUNT: u32 = 5;

/// Event and rule: several rules may match one event.
type EventKey = (Arc<str>, Arc<str>);

/// Node (`None` where no record told it) and rule.
type WindowKey = (Option<Arc<str>>, Arc<str>);

/// The cumulative count of a Kubernetes event when it was last seen.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct EventSeen {
    count: u32,
    at: Timestamp,
    /// The namespace of the pod that it is about.
    tenant: Tenant,
}

/// The oldest event times of the first reports.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Beginning {
    logged: Option<Timestamp>,
    told: Option<Timestamp>,
}

impl Beginning {
    fn add(&mut self, report: &Report) {
        let logged = report.presence.iter().map(|presence| presence.first);
        let matched = report.matches.iter().map(|matched| matched.time);
        let changed = report.changes.iter().map(|change| change.time);
        self.logged = logged.chain(self.logged).min();
        self.told = matched.chain(changed).chain(self.told).min();
    }

    /// By log lines where there are any: an exporter of events may begin with those of the hour before it was started.
    fn time(self) -> Option<Timestamp> {
        self.logged.or(self.told)
    }
}

/// How much state there is, for metrics.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sizes {
    pub partitions: usize,
    pub nodes: usize,
    pub pods: usize,
    pub failing_pods: usize,
    pub incidents: usize,
}

impl Correlator {
    pub fn new(cluster: Arc<str>, rules: Arc<RuleSet>, options: Options) -> Self {
        Correlator {
            cluster,
            generic_rules: rule_change::generic_rules(&rules),
            rules,
            options: Options { priors: options.priors.normalized(), ..options },
            watermarks: Watermarks::new(options.windows.size),
            inventory: Inventory::new(options.limits),
            failures: Failures::default(),
            windows: BTreeMap::new(),
            event_counts: BTreeMap::new(),
            evicted_event_counts: 0,
            incidents: BTreeMap::new(),
            flaps: Flaps::default(),
            spoken: Spoken::default(),
            began: None,
            beginning: Beginning::default(),
            evaluated: None,
            lost_at: None,
            present: Timestamp::default(),
        }
    }

    /// What heartbeats told of positions before anything was known of the cluster: below them nothing is new of it either.
    pub(crate) fn behind(self, heard: &Watermarks) -> Self {
        Correlator { watermarks: self.watermarks.behind(heard), ..self }
    }

    /// Takes in one report, or a heartbeat; when it moved the watermark past a slide boundary, the windows are evaluated,
    /// but not before all of its flush is in: a report of one cluster names only the partitions that brought it something.
    pub fn apply(&mut self, report: &Report) -> Outcome {
        let mut outcome = Outcome { present: report.flushed_at, ..Outcome::default() };
        self.present = report.flushed_at;
        let seen_below: Vec<i64> = report.partitions.iter().map(|p| self.watermarks.observe(p)).collect();
        self.take_losses(report);
        if self.evaluated.is_none() || self.began.is_none() {
            // Until every partition has spoken: the first to speak may be one that seldom does.
            self.beginning.add(report);
            self.began = self.beginning.time();
        }
        self.take_changes(report, &seen_below);
        self.take_matches(report, &seen_below, &mut outcome.counts);
        self.take_presence(report);
        if !report.more {
            self.advance(&mut outcome);
        }
        if report.cluster.is_some() {
            self.spoken.note(self.watermarks.current());
        }
        self.count_evictions(&mut outcome.counts);
        outcome
    }

    /// Whether nothing is known of the cluster any more: it may be forgotten until something comes again.
    pub fn is_blank(&self) -> bool {
        let inventory = &self.inventory;
        self.is_calm() && self.windows.is_empty() && inventory.pods.is_empty() && inventory.nodes.is_empty()
    }

    pub fn sizes(&self) -> Sizes {
        Sizes {
            partitions: self.watermarks.len(),
            nodes: self.inventory.nodes.len(),
            pods: self.inventory.pods.len(),
            failing_pods: self.failures.pods.len(),
            incidents: self.incidents.len(),
        }
    }

    /// What was lost lay before what was read since, by event time.
    fn take_losses(&mut self, report: &Report) {
        let losing = report.partitions.iter().filter(|progress| progress.lost > 0);
        let newest = losing.map(|progress| progress.watermark.max(self.watermarks.current())).max();
        self.lost_at = self.lost_at.max(newest.flatten());
    }

    fn take_presence(&mut self, report: &Report) {
        for presence in &report.presence {
            let Some(pod) = report.pods.get(presence.pod as usize) else { continue };
            let key = self.inventory.saw_logs(pod, presence.first, presence.last);
            if let Some(failing) = self.failures.pods.get_mut(&key) {
                failing.logged(presence.first, presence.last);
            }
        }
    }

    fn take_changes(&mut self, report: &Report, seen_below: &[i64]) {
        for change in &report.changes {
            if is_seen(seen_below, change.partition, change.offset) {
                continue;
            }
            if let Some(pod) = change.pod.and_then(|pod| report.pods.get(pod as usize)) {
                self.inventory.change_pod(pod, change.kind, change.time);
            }
            if let Some(node) = &change.node {
                self.inventory.change_node(node, change.kind, change.time);
                if change.kind == ChangeKind::NodeReady {
                    self.forgive_not_ready(node);
                }
            }
        }
    }

    /// A node that is ready again no longer accuses itself of not being so.
    fn forgive_not_ready(&mut self, node: &Arc<str>) {
        let Some(failing) = self.failures.nodes.get_mut(node) else { return };
        let rules = &self.rules;
        let tells_not_ready = |id: &str| {
            let event = rules.get(id).and_then(|rule| rule.event.as_ref());
            event.is_some_and(|event| event.reason.iter().any(|reason| reason == "NodeNotReady"))
        };
        failing.rules.retain(|id, _| !tells_not_ready(id));
        if failing.rules.is_empty() {
            self.failures.nodes.remove(node);
        }
    }

    fn take_matches(&mut self, report: &Report, seen_below: &[i64], counts: &mut Counts) {
        let rules = Arc::clone(&self.rules);
        for matched in &report.matches {
            if is_seen(seen_below, matched.partition, matched.offset) {
                counts.duplicates += 1;
                continue;
            }
            let Some(rule) = rules.get(&matched.rule) else {
                counts.unknown_rule += 1;
                continue;
            };
            if let Some(age) = self.watermarks.current().map(|watermark| watermark.since(matched.time)) {
                if age > self.options.windows.size {
                    counts.too_old += 1;
                    continue;
                }
                counts.late += u64::from(age > self.options.windows.allowed_lateness);
            }
            let (occurrences, is_old) = self.occurrences(report, matched);
            if occurrences > 0 {
                counts.matches += occurrences;
                self.take_match(report, matched, rule, occurrences, is_old);
            }
        }
    }

    fn take_match(&mut self, report: &Report, matched: &Match, rule: &Rule, count: u64, is_old: bool) {
        let windows = self.options.windows;
        let bounds = Bounds {
            capture_values: self.options.limits.capture_values,
            recovered_after: self.options.alerts.recovered_after,
            forget_after: windows.size,
        };
        self.inventory.sees_events |= matched.event.is_some();
        let pod = matched.pod.and_then(|pod| report.pods.get(pod as usize));
        let pod = pod.map(|pod| self.inventory.saw(pod, matched.time));
        let placed = pod.as_ref().and_then(|pod| self.inventory.pods.get(pod)).and_then(|facts| facts.node.clone());
        if let Some(node) = &matched.node {
            self.inventory.saw_node(node, matched.time, Word::OfTenant(tenant_of(report, matched)));
            if rule.accuses == Accuses::Pod {
                self.inventory.heard_node(node, matched.time);
            }
        }
        let node = matched.node.clone().or(placed);
        let pod = match rule.accuses {
            Accuses::Pod => pod,
            Accuses::Node => None,
        };
        match (&pod, &node) {
            (Some(pod), _) => {
                let is_news = !self.failures.pods.contains_key(pod);
                let started = self.inventory.pods.get(pod).and_then(|facts| facts.started);
                self.failures.add_pod(pod, matched, count, started, bounds);
                if let Some(failing) = self.failures.pods.get_mut(pod).filter(|_| is_news) {
                    failing.chronic = is_old;
                }
            }
            (None, Some(node)) if rule.accuses == Accuses::Node => {
                self.failures.add_node(node, matched, count, bounds);
            }
            // Nobody to accuse: a line without its pod.
            _ => return,
        }
        let window = self.windows.entry((node, Arc::clone(&rule.id))).or_default();
        window.add(windows.slide, matched.time, pod.as_ref(), count);
        self.bound_failures();
    }

    /// How often it happened: for a repeated event only what its cumulative count has grown by. And whether it had
    /// happened for long before it was first heard of: then only its newest occurrence is known to be recent.
    fn occurrences(&mut self, report: &Report, matched: &Match) -> (u64, bool) {
        let Some(event) = &matched.event else { return (1, false) };
        let seen = EventSeen { count: event.count, at: matched.time, tenant: tenant_of(report, matched) };
        let key = (Arc::clone(&event.uid), Arc::clone(&matched.rule));
        let before = self.event_counts.get(&key).copied();
        // An older state of the event may come late.
        let newest = EventSeen { count: seen.count.max(before.map_or(0, |before| before.count)), ..seen };
        self.event_counts.insert(key, newest);
        self.bound_event_counts();
        match before {
            None => (1, event.count >= OLD_EVENT_COUNT),
            Some(before) => (u64::from(event.count.saturating_sub(before.count)), false),
        }
    }

    /// Evaluates the windows at every slide boundary that the watermark has passed, and at its very end when nothing
    /// more will come.
    fn advance(&mut self, outcome: &mut Outcome) {
        let Some(watermark) = self.watermarks.advance() else { return };
        let slide = self.options.windows.slide;
        let boundary = watermark.floor_to(slide);
        let mut next = match self.evaluated {
            // What the first report brought may be older than its end.
            None => self.began.map_or(boundary, |began| began.floor_to(slide).saturating_add(slide)).min(boundary),
            Some(at) => at.floor_to(slide).saturating_add(slide),
        };
        // A gap longer than the windows holds nothing that many evaluations could tell better than the last one.
        let mut left = self.options.windows.size.as_millis().div_ceil(slide.as_millis().max(1)) * 2;
        while next <= boundary {
            if self.is_calm() || left == 0 {
                next = boundary;
            }
            left = left.saturating_sub(1);
            self.evaluate(next, outcome);
            next = next.saturating_add(slide);
        }
        let end = watermark.saturating_add(Duration::from_millis(1));
        if self.watermarks.all_ended() && self.evaluated.is_none_or(|at| at < end) {
            self.evaluate(end, outcome);
        }
    }

    /// Whether no evaluation could say anything.
    fn is_calm(&self) -> bool {
        self.failures.pods.is_empty() && self.failures.nodes.is_empty() && self.incidents.is_empty()
    }

    fn evaluate(&mut self, now: Timestamp, outcome: &mut Outcome) {
        outcome.counts.evaluations += 1;
        let minute = Duration::from_secs(60);
        let new_minute = self.evaluated.is_none_or(|at| at.floor_to(minute) != now.floor_to(minute));
        self.evaluated = Some(now);
        self.expire(now, new_minute);
        if !self.is_calm() {
            self.reconcile(now, outcome);
        }
    }

    fn expire(&mut self, now: Timestamp, thoroughly: bool) {
        let windows = self.options.windows;
        self.windows.retain(|_, window| {
            window.expire(windows.slide, now, windows.size);
            !window.is_empty()
        });
        let incidents = &self.incidents;
        let is_told = |pod: &PodKey| incidents.values().any(|incident| incident.members.contains_key(pod));
        self.failures.expire(now.saturating_sub(windows.size), is_told);
        if thoroughly {
            self.inventory.expire(now);
            let oldest = now.saturating_sub(self.options.limits.pod_ttl);
            self.event_counts.retain(|_, seen| seen.at >= oldest);
            self.flaps.expire(now, &self.options.alerts, self.options.limits.incidents);
        }
    }
}

/// The namespace of the pod that a match is about.
fn tenant_of(report: &Report, matched: &Match) -> Tenant {
    let pod = matched.pod.and_then(|pod| report.pods.get(pod as usize));
    pod.map_or(Tenant::NOBODY, |pod| Tenant::named(&pod.namespace))
}

fn is_seen(seen_below: &[i64], partition: u32, offset: i64) -> bool {
    seen_below.get(partition as usize).is_some_and(|below| offset < *below)
}

#[cfg(test)]
mod tests;
