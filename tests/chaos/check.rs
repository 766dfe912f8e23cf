//! What was told against what had to be told.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use faultline::alert::{Alert, Status};
use faultline::correlator::Options;
use faultline::record::Partition;
use faultline::report::Report;
use faultline::shard::Shard;
use serde_json::Value;

use crate::process::Mode;
use crate::story::{self, Story, Transitions, transitions};
use crate::support::{Got, founding};

/// What was found. Complaints say what is wrong; in the fallback mode repeats with equal ids are not.
#[derive(Clone, Default, Debug)]
pub struct Judgement {
    /// Transitions (an incident fires, an incident is over).
    pub expected: usize,
    pub missing: usize,
    /// Alerts that a reader sees again.
    pub repeated: usize,
    /// Alerts that follow from no report.
    pub foreign: usize,
    pub complaints: Vec<String>,
}

impl Judgement {
    pub fn complain(&mut self, complaint: impl Into<String>) {
        self.complaints.push(complaint.into());
    }
}

/// An alert as it was read.
#[derive(Clone, PartialEq, Debug)]
pub struct Told {
    pub key: String,
    pub id: String,
    pub alert: Value,
}

impl Told {
    pub fn of(got: &Got) -> Self {
        let alert: Value = serde_json::from_slice(got.value.as_deref().expect("a value")).expect("an alert");
        Told {
            key: String::from_utf8(got.key.clone().expect("a key")).expect("a dedup key"),
            id: alert["id"].as_str().expect("an id").to_owned(),
            alert,
        }
    }
}

/// The alerts that follow from the reports as they are written: the correlator is deterministic, so whoever wrote the
/// alerts, after whatever had happened to it, must have come to the same.
pub fn follow(reports: &[Got]) -> Vec<Alert> {
    let rules = founding::rules();
    let mut shards: BTreeMap<i32, Shard> = BTreeMap::new();
    let mut alerts = Vec::new();
    for got in reports {
        let value = got.value.as_deref().unwrap_or_default();
        let outcome = shards.entry(got.partition).or_default().apply(value, &rules, Options::default());
        alerts.extend(outcome.expect("a report").alerts);
    }
    alerts
}

/// Compares what was told with what follows from the reports (the same alerts, in the same order per dedup key, each
/// once), and the transitions of that with what happened.
pub fn judge(mode: Mode, told: &[Told], follows: &[Alert], happened: &Transitions) -> Judgement {
    let mut judgement = Judgement::default();
    let first = once(mode, told, &mut judgement);
    compare(&first, follows, &mut judgement);
    let alerts: Vec<Alert> = first.iter().filter_map(|told| serde_json::from_value(told.alert.clone()).ok()).collect();
    let seen = transitions(&alerts);
    for (key, statuses) in happened {
        let told = seen.get(key).map_or(&[][..], Vec::as_slice);
        // What was over before it could be known is not told any more.
        if told.is_empty() && story::passes(key) {
            continue;
        }
        judgement.expected += statuses.len();
        judgement.missing += missing(statuses, told);
        if told != statuses {
            judgement.complain(format!("{key}: {told:?} was told, {statuses:?} happened"));
        }
    }
    for (key, statuses) in seen.iter().filter(|(key, _)| !happened.contains_key(*key)) {
        judgement.complain(format!("{key}: {statuses:?} was told, nothing happened"));
    }
    judgement
}

/// What was told without its repeats.
fn once<'t>(mode: Mode, told: &'t [Told], judgement: &mut Judgement) -> Vec<&'t Told> {
    let mut by_id: BTreeMap<&str, &Told> = BTreeMap::new();
    let mut first = Vec::new();
    for alert in told {
        match by_id.insert(&alert.id, alert) {
            None => first.push(alert),
            Some(before) => {
                judgement.repeated += 1;
                if before != alert {
                    judgement.complain(format!("{} was told twice, and not alike", alert.id));
                }
            }
        }
    }
    if mode == Mode::ExactlyOnce && judgement.repeated > 0 {
        judgement.complain(format!("{} alerts were told twice", judgement.repeated));
    }
    first
}

fn compare(told: &[&Told], follows: &[Alert], judgement: &mut Judgement) {
    let ids: HashSet<&str> = follows.iter().map(|alert| alert.id.as_str()).collect();
    for alert in told.iter().filter(|alert| !ids.contains(alert.id.as_str())) {
        judgement.foreign += 1;
        judgement.complain(format!("{} was told and follows from no report", alert.id));
    }
    let keys: BTreeSet<&str> = follows.iter().map(|alert| alert.dedup_key.as_str()).collect();
    for key in keys {
        let of_told: Vec<&&Told> =
            told.iter().filter(|alert| alert.key == key && ids.contains(alert.id.as_str())).collect();
        let of_reports: Vec<&Alert> = follows.iter().filter(|alert| alert.dedup_key == key).collect();
        let told_ids: Vec<&str> = of_told.iter().map(|alert| alert.id.as_str()).collect();
        let report_ids: Vec<&str> = of_reports.iter().map(|alert| alert.id.as_str()).collect();
        if told_ids != report_ids {
            judgement.complain(format!("{key}: told were {told_ids:?}, from the reports follow {report_ids:?}"));
            continue;
        }
        for (told, follows) in of_told.iter().zip(of_reports) {
            if told.alert != serde_json::to_value(follows).expect("an alert is JSON") {
                judgement.complain(format!("{} says something else than what follows from the reports", told.id));
            }
        }
    }
}

/// Whether the reports cover every record of the input and hold every match, at its position.
pub fn check_reports(reports: &[Report], story: &Story, judgement: &mut Judgement) {
    let mut matched = BTreeSet::new();
    let mut covered: BTreeMap<&Partition, Vec<(i64, i64)>> = BTreeMap::new();
    for report in reports {
        for progress in report.partitions.iter().filter(|progress| progress.first < progress.next) {
            covered.entry(&progress.partition).or_default().push((progress.first, progress.next));
        }
        for found in &report.matches {
            let partition = &report.partitions[found.partition as usize].partition;
            matched.insert((partition.topic.to_string(), partition.partition, found.offset));
        }
    }
    let failures = story.failures();
    if matched != failures {
        let (lost, foreign) = (failures.difference(&matched).count(), matched.difference(&failures).count());
        judgement.complain(format!("of the matches {lost} are in no report, {foreign} of the reports' are none"));
    }
    let mut records: BTreeMap<(&str, i32), i64> = BTreeMap::new();
    story.lines().for_each(|line| *records.entry((line.topic, line.put.partition)).or_default() += 1);
    for ((topic, partition), end) in records {
        let of_it = Partition { topic: Arc::from(topic), partition };
        let reached = reach(covered.remove(&of_it).unwrap_or_default());
        if reached != end {
            judgement.complain(format!("of {topic}[{partition}] the reports cover {reached} of {end}"));
        }
    }
}

/// How far the ranges reach from the beginning without a gap.
fn reach(mut ranges: Vec<(i64, i64)>) -> i64 {
    ranges.sort_unstable();
    ranges.iter().fold(0, |reached, (first, next)| if *first <= reached { reached.max(*next) } else { reached })
}

/// How many of the wanted statuses have no counterpart, in order.
fn missing(wanted: &[Status], mut seen: &[Status]) -> usize {
    let mut missing = 0;
    for status in wanted {
        match seen.iter().position(|other| other == status) {
            Some(at) => seen = &seen[at + 1..],
            None => missing += 1,
        }
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::*;

    fn story() -> (Vec<Told>, Vec<Alert>, Transitions) {
        let alerts = story::undisturbed(Story::of(2).lines(), 5);
        let told = alerts.iter().map(|alert| Told {
            key: alert.dedup_key.clone(),
            id: alert.id.clone(),
            alert: serde_json::to_value(alert).unwrap(),
        });
        (told.collect(), alerts.clone(), transitions(&alerts))
    }

    type Doctor = fn(&mut Vec<Told>);

    /// What was done to what was told, and whether the two modes complain.
    const DOCTORED: [(&str, Doctor, bool, bool); 7] = [
        ("nothing", |_| (), false, false),
        ("an alert is missing", |told| drop(told.remove(3)), true, true),
        ("the last alert is missing", |told| drop(told.pop()), true, true),
        ("one came twice", |told| told.insert(5, told[2].clone()), true, false),
        (
            "two of a key are in the wrong order",
            |told| {
                let next = (1..told.len()).find(|at| told[*at].key == told[0].key).unwrap();
                told.swap(0, next);
            },
            true,
            true,
        ),
        ("one says something else", |told| told[4].alert["probability"] = 0.5.into(), true, true),
        (
            "one has an id of its own",
            |told| {
                let mut foreign = told[1].clone();
                foreign.id.push('1');
                foreign.alert["id"] = foreign.id.clone().into();
                told.insert(2, foreign);
            },
            true,
            true,
        ),
    ];

    #[test]
    fn what_was_doctored_is_found() {
        let (told, follows, happened) = story();
        for (what, doctor, exactly, at_least) in DOCTORED {
            let mut told = told.clone();
            doctor(&mut told);
            for (mode, complains) in [(Mode::ExactlyOnce, exactly), (Mode::AtLeastOnce, at_least)] {
                let judgement = judge(mode, &told, &follows, &happened);
                assert_eq!(!judgement.complaints.is_empty(), complains, "{what}, {mode:?}: {judgement:#?}");
            }
        }
    }

    #[test]
    fn a_repeat_that_says_something_else_is_found_in_both_modes() {
        let (mut told, follows, happened) = story();
        let mut other = told[2].clone();
        other.alert["summary"] = "another".into();
        told.push(other);
        assert!(!judge(Mode::AtLeastOnce, &told, &follows, &happened).complaints.is_empty());
    }

    #[test]
    fn what_happened_and_follows_from_no_report_is_missing() {
        let (mut told, mut follows, happened) = story();
        let lost = follows.remove(follows.iter().position(|alert| !story::passes(&alert.dedup_key)).unwrap());
        told.retain(|told| told.id != lost.id);
        let judgement = judge(Mode::ExactlyOnce, &told, &follows, &happened);
        assert_eq!(judgement.missing, 1, "{judgement:#?}");
    }

    #[test]
    fn gaps_are_found() {
        for (ranges, reached) in [
            (vec![], 0),
            (vec![(0, 5), (5, 7)], 7),
            (vec![(3, 7), (0, 5), (0, 4)], 7),
            (vec![(0, 5), (6, 9)], 5),
            (vec![(1, 5)], 0),
        ] {
            assert_eq!(reach(ranges), reached);
        }
    }
}
