//! What must be true at every moment, whatever happened before.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use faultline::alert::{Alert, Status};
use faultline::correlator::{Counts, Options, Outcome};
use faultline::notifier::Policy;
use faultline::report::Report;
use faultline::ruleset::RuleSet;
use faultline::shard::Shard;

use super::broker::{Broker, Entry, Written};
use super::input::{CLUSTERS, Input, PARTITIONS};

/// An alert as it is sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Told {
    pub id: String,
    pub dedup_key: String,
    pub is_firing: bool,
    pub value: Rc<[u8]>,
}

impl Told {
    pub fn new(alert: &Alert) -> Self {
        Told {
            id: alert.id.clone(),
            dedup_key: alert.dedup_key.clone(),
            is_firing: alert.status == Status::Firing,
            value: serde_json::to_vec(alert).expect("an alert can be written").into(),
        }
    }
}

/// One partition of the reports as somebody sees it who is never disturbed.
struct Witness {
    shard: Shard,
    /// By the offset of the report that led to it.
    told: Vec<(i64, Told)>,
    counts: Counts,
    /// Retention took reports that nobody had taken in: what is said from now on is said from less.
    is_spoilt: bool,
}

pub struct Checks<'w> {
    pub input: &'w Input,
    rules: &'w Arc<RuleSet>,
    options: Options,
    policy: &'w Policy,
    exactly_once: bool,
    witnesses: Vec<Witness>,
    /// Up to where heartbeats told of each input partition, by partition of the reports.
    beaten: Vec<Vec<i64>>,
    /// The same by cluster, and the positions that the reports gave it that were news.
    reported: BTreeMap<(usize, usize), i64>,
    taken: BTreeSet<(usize, i64)>,
    scan_committed: Vec<i64>,
    correlate_committed: Vec<i64>,
    /// Alerts that are visible, of those that were looked at.
    visible: usize,
    /// Nobody fell far behind.
    pub is_fair: bool,
    violation: Option<String>,
}

impl<'w> Checks<'w> {
    pub fn new(
        input: &'w Input,
        rules: &'w Arc<RuleSet>,
        options: Options,
        policy: &'w Policy,
        reports: usize,
        exactly_once: bool,
    ) -> Self {
        let witness =
            || Witness { shard: Shard::default(), told: Vec::new(), counts: Counts::default(), is_spoilt: false };
        Checks {
            input,
            rules,
            options,
            policy,
            exactly_once,
            witnesses: (0..reports).map(|_| witness()).collect(),
            beaten: vec![vec![0; PARTITIONS]; reports],
            reported: BTreeMap::new(),
            taken: BTreeSet::new(),
            scan_committed: vec![0; PARTITIONS],
            correlate_committed: vec![0; reports],
            visible: 0,
            is_fair: false,
            violation: None,
        }
    }

    pub fn violation(&self) -> Option<&str> {
        self.violation.as_deref()
    }

    /// The first one counts.
    pub fn fail(&mut self, what: impl FnOnce() -> String) {
        if self.violation.is_none() {
            self.violation = Some(what());
        }
    }

    fn demand(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.fail(what);
        }
    }

    /// A report came to be in the log.
    pub fn on_report(&mut self, at: usize, offset: i64, written: &Written) {
        self.check_positions(at, &written.report);
        let witness = &mut self.witnesses[at];
        match witness.shard.apply(&written.value, self.rules, self.options) {
            Ok(outcome) => {
                witness.shard.notify(&outcome, self.policy, true);
                witness.counts += outcome.counts;
                witness.told.extend(outcome.alerts.iter().map(|alert| (offset, Told::new(alert))));
                let too_old = outcome.counts.too_old;
                self.demand(too_old == 0, || format!("report {at}@{offset}: {too_old} matches came too late"));
            }
            Err(unreadable) => self.fail(|| format!("report {at}@{offset}: {unreadable:?}")),
        }
    }

    /// No gap between what was told before and what a report tells, and no match lost in it.
    fn check_positions(&mut self, at: usize, report: &Report) {
        let cluster = report.cluster.as_ref().and_then(|name| CLUSTERS.iter().position(|known| **known == **name));
        let mut seen_below = Vec::new();
        for progress in &report.partitions {
            let input = progress.partition.partition as usize;
            let beaten = self.beaten[at][input];
            // Parts of one report go on where the part before ended.
            let told =
                cluster.and_then(|cluster| self.reported.get(&(cluster, input))).map_or(beaten, |r| beaten.max(*r));
            let gap = progress.next > progress.first && progress.first > told;
            self.demand(!gap, || format!("reports {at}: a gap, {input} was told of up to {told}, then {progress:?}"));
            if let Some(cluster) = cluster {
                seen_below.push(told);
                self.reported.insert((cluster, input), told.max(progress.next));
            } else {
                self.beaten[at][input] = beaten.max(progress.next);
            }
        }
        for matched in &report.matches {
            let index = matched.partition as usize;
            let input = report.partitions[index].partition.partition as usize;
            if matched.offset >= seen_below[index] && !self.taken.insert((input, matched.offset)) {
                self.fail(|| format!("reports {at}: {input}@{} is news twice", matched.offset));
            }
        }
    }

    pub fn is_all_reported(&self) -> bool {
        let is_told = |beaten: &Vec<i64>| beaten.iter().enumerate().all(|(input, next)| *next == self.input.end(input));
        self.beaten.iter().all(is_told)
    }

    /// What the reports tell of, up to where nothing is missing, may be committed.
    pub fn on_scan_commit(&mut self, input: usize, next: i64) {
        let before = std::mem::replace(&mut self.scan_committed[input], next);
        self.demand(before <= next, || format!("input {input}: committed {next} after {before}"));
        let beaten = self.beaten.iter().map(|beaten| beaten[input]).min().unwrap_or(0);
        self.demand(next <= beaten, || format!("input {input}: committed {next}, but only {beaten} is reported"));
    }

    /// Somebody correlated the report: it must say what the witness says.
    pub fn on_outcome(&mut self, at: usize, offset: i64, outcome: &Outcome) {
        let witness = &self.witnesses[at];
        if witness.is_spoilt {
            return;
        }
        let from = witness.told.partition_point(|(told, _)| *told < offset);
        let to = witness.told.partition_point(|(told, _)| *told <= offset);
        let expected = witness.told[from..to].iter().map(|(_, told)| told);
        if !outcome.alerts.iter().map(Told::new).eq(expected.clone().cloned()) {
            let ids: Vec<&str> = outcome.alerts.iter().map(|alert| &*alert.id).collect();
            let expected: Vec<&str> = expected.map(|told| &*told.id).collect();
            let what = format!("report {at}@{offset} leads to {ids:?}, not {expected:?}");
            self.fail(|| what);
        }
    }

    /// Somebody has taken in all reports that there are.
    pub fn on_state(&mut self, at: usize, shard: &Shard) {
        let witness = &self.witnesses[at];
        if !witness.is_spoilt && shard.save().ok() != witness.shard.save().ok() {
            self.fail(|| format!("reports {at}: another state than without the breaks"));
        }
    }

    /// Reports are gone that a state should have been made of.
    pub fn on_loss(&mut self, at: usize) {
        self.witnesses[at].is_spoilt = true;
    }

    pub fn is_spoilt(&self) -> bool {
        self.witnesses.iter().any(|witness| witness.is_spoilt)
    }

    pub fn on_correlate_commit(&mut self, at: usize, next: i64, broker: &Broker) {
        let before = std::mem::replace(&mut self.correlate_committed[at], next);
        self.demand(before <= next, || format!("reports {at}: committed {next} after {before}"));
        self.check_alerts(at, next, broker);
    }

    /// What the reports before `next` lead to is told, in order; in transactions once and nothing else.
    fn check_alerts(&mut self, at: usize, next: i64, broker: &Broker) {
        let witness = &self.witnesses[at];
        if witness.is_spoilt {
            return;
        }
        let due = witness.told.partition_point(|(offset, _)| *offset < next);
        let prefix = format!("{at}|");
        let visible = broker.alerts.iter().filter(|entry| entry.key.starts_with(&prefix) && broker.is_visible(entry));
        let told: Vec<&Entry> = visible.collect();
        let is_same = |entry: &&Entry, told: &Told| entry.id == told.id && *entry.value == *told.value;
        let violation = if self.exactly_once {
            let same = told.iter().zip(&witness.told[..due]).all(|(entry, (_, told))| is_same(entry, told));
            (!same || told.len() != due).then(|| format!("{} alerts are told, {due} are due", told.len()))
        } else {
            at_least_once(&told, witness, due)
        };
        if let Some(what) = violation {
            let ids: Vec<&str> = told.iter().map(|entry| &*entry.id).collect();
            self.fail(|| format!("reports {at} up to {next}: {what}: {ids:?}"));
        }
    }

    /// Nobody does anything any more.
    pub fn at_the_end(&mut self, broker: &Broker) {
        for input in 0..PARTITIONS {
            let (committed, end) = (broker.scan.committed[input].unwrap_or(0), self.input.end(input));
            self.demand(committed == end, || format!("input {input}: committed {committed} of {end}"));
        }
        for at in 0..self.witnesses.len() {
            let (committed, end) = (broker.correlate.committed[at].unwrap_or(0), broker.reports[at].end());
            self.demand(committed == end, || format!("reports {at}: committed {committed} of {end}"));
            self.check_alerts(at, end, broker);
        }
        let matches: usize = (0..CLUSTERS.len()).map(|cluster| self.input.matches(cluster)).sum();
        let taken = self.taken.len();
        self.demand(taken == matches, || format!("{taken} matches of {matches} are reported"));
        let counted: u64 = self.witnesses.iter().map(|witness| witness.counts.matches).sum();
        self.demand(counted == matches as u64, || format!("{counted} matches of {matches} are counted"));
        self.check_stories();
        self.check_ids(broker);
    }

    /// Each incident fires before it is over; what the input says fails is told, and nothing else. What is told late is
    /// told as it is by then: it may be over.
    fn check_stories(&mut self) {
        let mut stories: BTreeMap<&str, Vec<bool>> = BTreeMap::new();
        for (_, told) in self.witnesses.iter().flat_map(|witness| &witness.told) {
            stories.entry(&told.dedup_key).or_default().push(told.is_firing);
        }
        let is_fair = self.is_fair;
        let wrong = stories.iter().find(|(_, story)| {
            let transitions: Vec<bool> = story.chunk_by(|a, b| a == b).map(|same| same[0]).collect();
            transitions != [true, false] && (is_fair || transitions != [true])
        });
        if let Some(what) = wrong.map(|(key, story)| format!("{key}: {story:?}")) {
            return self.fail(|| what);
        }
        let expected: BTreeSet<String> =
            self.input.faults.iter().map(|(cluster, node)| format!("{}/node/n{node}", CLUSTERS[*cluster])).collect();
        let told: BTreeSet<String> = stories.keys().map(|key| (*key).to_owned()).collect();
        let is_right = if self.is_fair { told == expected } else { told.is_subset(&expected) };
        self.demand(is_right, || format!("told of {told:?}, expected {expected:?}"));
    }

    /// An id says one thing only, and in transactions once.
    fn check_ids(&mut self, broker: &Broker) {
        let mut values: BTreeMap<&str, &Entry> = BTreeMap::new();
        let mut wrong = None;
        for entry in broker.alerts.iter().filter(|entry| broker.is_visible(entry)) {
            self.visible += 1;
            if let Some(before) = values.insert(&entry.id, entry) {
                if self.is_spoilt() {
                    continue;
                }
                if self.exactly_once {
                    wrong = Some(format!("{} is told twice", entry.id));
                } else if before.value != entry.value {
                    wrong = Some(format!("{} says two things", entry.id));
                }
            }
        }
        if let Some(wrong) = wrong {
            self.fail(|| wrong);
        }
    }

    pub fn alerts(&self) -> usize {
        self.visible
    }
}

/// Nothing is missing, nothing is foreign, and what comes first comes in order.
fn at_least_once(told: &[&Entry], witness: &Witness, due: usize) -> Option<String> {
    let mut first = BTreeSet::new();
    let news: Vec<&&Entry> = told.iter().filter(|entry| first.insert(&entry.id)).collect();
    let mut order: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for entry in &news {
        order.entry(&entry.key).or_default().push(&entry.id);
    }
    let mut expected: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (_, told) in &witness.told {
        expected.entry(&told.dedup_key).or_default().push(&told.id);
    }
    for (key, ids) in &order {
        let key = key.split_once('|').map_or(*key, |(_, key)| key);
        if !expected.get(key).is_some_and(|expected| expected.starts_with(ids)) {
            return Some(format!("{key}: out of order or foreign: {ids:?}"));
        }
    }
    let by_id: BTreeMap<&str, &Told> = witness.told.iter().map(|(_, told)| (&*told.id, told)).collect();
    if let Some(entry) = told.iter().find(|entry| by_id.get(&*entry.id).is_none_or(|told| *told.value != *entry.value))
    {
        return Some(format!("{} says something else", entry.id));
    }
    let missing = witness.told[..due].iter().find(|(_, told)| !first.contains(&told.id));
    missing.map(|(offset, told)| format!("{} of report {offset} is missing", told.id))
}
