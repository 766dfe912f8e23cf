//! What one partition of the reports topic leads to: the correlators of the clusters whose reports it holds.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::correlator::{Correlator, Options, Outcome, Sizes, Unusable, Watermarks};
use crate::notifier::{Notices, Notifier, Policy};
use crate::report::{self, Report};
use crate::ruleset::RuleSet;

pub mod ledger;
pub mod snapshot;

#[derive(Default)]
pub struct Shard {
    /// In the order of their names, in which a heartbeat goes to them: the same reports, the same order of alerts.
    clusters: BTreeMap<Arc<str>, Correlator>,
    /// Up to where heartbeats told of the inputs: a cluster that was forgotten, and of which an old report comes once
    /// more, must not take it for news.
    heard: Watermarks,
    notifier: Notifier,
}

#[derive(Serialize, Deserialize)]
struct Saved<C> {
    clusters: Vec<C>,
    heard: Watermarks,
    notifier: Notifier,
}

/// Why a value of the reports topic is no report, for the dead-letter topic.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unreadable {
    pub reason: &'static str,
    pub detail: String,
}

impl Shard {
    /// Applies one report, as it came from Kafka, under these rules.
    ///
    /// # Errors
    /// When the value is no report of this version; the state is unchanged.
    pub fn apply(&mut self, value: &[u8], rules: &Arc<RuleSet>, options: Options) -> Result<Outcome, Unreadable> {
        Ok(self.take(&read(value)?, rules, options))
    }

    /// Applies one report under these rules.
    pub fn take(&mut self, report: &Report, rules: &Arc<RuleSet>, options: Options) -> Outcome {
        let mut outcome = Outcome::default();
        if let Some(cluster) = &report.cluster {
            if self.is_crowded_by(cluster, options.limits.clusters) {
                outcome.counts.crowded_out_clusters += 1;
                if !self.make_room() {
                    return outcome;
                }
            }
            let heard = &self.heard;
            let new = || Correlator::new(Arc::clone(cluster), Arc::clone(rules), options).behind(heard);
            let correlator = self.clusters.entry(Arc::clone(cluster)).or_insert_with(new);
            correlator.set_rules(Arc::clone(rules));
            outcome.add(correlator.apply(report));
        } else {
            for correlator in self.clusters.values_mut() {
                correlator.set_rules(Arc::clone(rules));
                outcome.add(correlator.apply(report));
            }
            report.partitions.iter().for_each(|progress| _ = self.heard.observe(progress));
            // Names come from records: those of which nothing is heard any more must not gather.
            self.clusters.retain(|_, correlator| !correlator.is_blank());
        }
        outcome
    }

    /// Whether it would be one too many.
    fn is_crowded_by(&self, cluster: &Arc<str>, most: usize) -> bool {
        self.clusters.len() >= most && !self.clusters.contains_key(cluster)
    }

    /// Lets go of the cluster that is missed least, if there is one that may go.
    fn make_room(&mut self) -> bool {
        let may_go = self.clusters.iter().filter_map(|(name, correlator)| Some((correlator.may_go()?, name)));
        let least = may_go.min().map(|(_, name)| Arc::clone(name));
        least.is_some_and(|name| self.clusters.remove(&name).is_some())
    }

    /// Who is to be told what of an outcome of this shard; once for each, in order. Nobody if others told it long ago.
    pub fn notify(&mut self, outcome: &Outcome, policy: &Policy, is_new: bool) -> Notices {
        if is_new {
            return self.notifier.take(outcome, policy);
        }
        self.notifier.rebuild(outcome, policy);
        Notices::default()
    }

    /// The state of every cluster, for [`Shard::restore`].
    ///
    /// # Errors
    /// As [`Correlator::save`].
    pub fn save(&self) -> Result<Vec<u8>, Unusable> {
        let clusters: Vec<Vec<u8>> = self.clusters.values().map(Correlator::save).collect::<Result<_, _>>()?;
        Ok(postcard::to_stdvec(&Saved { clusters, heard: self.heard.clone(), notifier: self.notifier.clone() })?)
    }

    /// # Errors
    /// As [`Correlator::restore`], for any of the clusters.
    pub fn restore(saved: &[u8], rules: &Arc<RuleSet>, options: Options) -> Result<Self, Unusable> {
        let saved: Saved<&[u8]> = postcard::from_bytes(saved)?;
        let restored = saved.clusters.into_iter().map(|cluster| {
            let correlator = Correlator::restore(cluster, Arc::clone(rules), options)?;
            Ok((Arc::clone(correlator.cluster()), correlator))
        });
        let clusters = restored.collect::<Result<_, Unusable>>()?;
        Ok(Shard { clusters, heard: saved.heard, notifier: saved.notifier })
    }

    pub fn clusters(&self) -> usize {
        self.clusters.len()
    }

    pub fn sizes(&self) -> impl Iterator<Item = Sizes> {
        self.clusters.values().map(Correlator::sizes)
    }
}

fn read(value: &[u8]) -> Result<Report, Unreadable> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u16,
    }
    let unreadable = |error: serde_json::Error| Unreadable { reason: "unreadable-report", detail: error.to_string() };
    // The version first: another version's other fields may be of any shape.
    let Versioned { version } = serde_json::from_slice(value).map_err(unreadable)?;
    if !(report::OLDEST_VERSION..=report::VERSION).contains(&version) {
        let (oldest, newest) = (report::OLDEST_VERSION, report::VERSION);
        let detail = format!("version {version}; this faultline reads versions {oldest} to {newest}");
        return Err(Unreadable { reason: "report-version", detail });
    }
    serde_json::from_slice(value).map_err(unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::correlator;
    use crate::record::Partition;
    use crate::report::{Match, Pod, Presence, Progress};
    use crate::time::Timestamp;

    #[test]
    fn only_reports_of_known_versions_are_read() {
        let cases = [
            (&b"{}"[..], Some("unreadable-report")),
            (b"not json", Some("unreadable-report")),
            (b"{\"version\":99,\"cluster\":7}", Some("report-version")),
            (b"{\"version\":1}", Some("unreadable-report")),
            (br#"{"version":1,"cluster":"c","scanner":"s","sequence":0,"flushed_at":0,"partitions":[]}"#, None),
            (br#"{"version":2,"cluster":"d","scanner":"s","sequence":0,"flushed_at":0,"partitions":[]}"#, None),
            (br#"{"version":2,"scanner":"s","sequence":0,"flushed_at":0,"partitions":[]}"#, None),
        ];
        let mut shard = Shard::default();
        for (value, reason) in cases {
            let result = shard.apply(value, &Arc::default(), Options::default());
            assert_eq!(result.err().map(|e| e.reason), reason, "{}", String::from_utf8_lossy(value));
        }
        assert_eq!(shard.clusters(), 0, "a heartbeat is of no cluster, and nothing is known of the others");
    }

    #[test]
    fn what_was_read_of_a_forgotten_cluster_is_not_news_again() {
        const RULE: &str =
            "- {id: boom, title: t, severity: critical, match: {log: {any: [boom]}}, tests: {match: [boom]}}";
        let rules = Arc::new(RuleSet::parse(&[("r.yaml", RULE)]).unwrap());
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1000);
        let report = |cluster: &str, first: i64, seconds: i64| Report {
            version: report::VERSION,
            cluster: Some(cluster.into()),
            more: true,
            partitions: vec![Progress {
                partition: Partition { topic: "logs".into(), partition: 0 },
                first,
                next: first + 1,
                watermark: Some(at(seconds)),
                ..Progress::default()
            }],
            pods: vec![Pod { namespace: "n".into(), name: "p".into(), ..Pod::default() }],
            matches: vec![Match { offset: first, time: at(seconds), rule: "boom".into(), pod: Some(0), ..boom() }],
            ..Report::default()
        };
        let mut shard = Shard::default();
        let mut apply = |report: &Report| {
            let counts = shard.apply(&serde_json::to_vec(report).unwrap(), &rules, Options::default()).unwrap().counts;
            (counts.matches, counts.duplicates, shard.clusters())
        };
        let seldom = report("seldom", 0, 100);
        assert_eq!(apply(&seldom), (1, 0, 1));
        apply(&seldom.heartbeat());
        for (offset, seconds) in (1..).zip([5_000, 10_000, 15_000]) {
            apply(&report("often", offset, seconds));
            apply(&report("often", offset, seconds).heartbeat());
        }
        assert_eq!(apply(&seldom), (0, 1, 2), "it was forgotten, and its scanner told of it once more");
    }

    fn boom() -> Match {
        serde_json::from_str(r#"{"partition":0,"offset":0,"time":0,"rule":""}"#).unwrap()
    }

    #[test]
    fn a_heartbeat_moves_the_time_of_every_cluster() {
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1000);
        let progress = |seconds: i64| Progress {
            partition: Partition { topic: "logs".into(), partition: 0 },
            next: seconds,
            watermark: Some(at(seconds)),
            ..Progress::default()
        };
        let report = |cluster: &str, seconds| Report {
            version: report::VERSION,
            cluster: Some(cluster.into()),
            more: true,
            partitions: vec![progress(seconds)],
            pods: vec![Pod { namespace: "n".into(), name: "p".into(), ..Pod::default() }],
            presence: vec![Presence { pod: 0, first: at(seconds), last: at(seconds), records: 1 }],
            ..Report::default()
        };
        let mut shard = Shard::default();
        let mut evaluations = |report: &Report| {
            let value = serde_json::to_vec(report).unwrap();
            shard.apply(&value, &Arc::default(), Options::default()).unwrap().counts.evaluations
        };
        assert_eq!((evaluations(&report("b", 100)), evaluations(&report("a", 100))), (0, 0));
        assert_eq!(evaluations(&report("a", 100).heartbeat()), 2, "one of each");
        assert_eq!(evaluations(&report("a", 105)), 0);
        assert_eq!(evaluations(&report("a", 105).heartbeat()), 2);
        assert_eq!(evaluations(&report("a", 9000).heartbeat()), 2);
        assert_eq!(evaluations(&report("a", 9005).heartbeat()), 0, "nobody was heard of for hours: all is forgotten");
    }

    #[test]
    fn ever_new_clusters_do_not_gather_nor_push_out_those_that_go_on() {
        let options =
            Options { limits: correlator::Limits { clusters: 4, ..Default::default() }, ..Options::default() };
        let report = |cluster: &str, second: i64| {
            let time = Timestamp::from_millis(second * 1000);
            Report {
                version: report::VERSION,
                cluster: Some(cluster.into()),
                pods: vec![Pod { namespace: "n".into(), name: "p".into(), ..Pod::default() }],
                presence: vec![Presence { pod: 0, first: time, last: time, records: 1 }],
                partitions: vec![Progress { watermark: Some(time), next: second, ..Progress::default() }],
                ..Report::default()
            }
        };
        let mut shard = Shard::default();
        let mut crowded_out = 0;
        for second in 0..100 {
            let names = ["a".to_owned(), "b".to_owned(), format!("x{second}"), format!("y{second}")];
            for name in names.iter().filter(|name| *name != "b" || second < 10) {
                let outcome = shard.take(&report(name, second), &Arc::default(), options);
                crowded_out += outcome.counts.crowded_out_clusters;
            }
            assert!(shard.clusters() <= 4);
            shard.take(&report("a", second).heartbeat(), &Arc::default(), options);
        }
        let names: Vec<&str> = shard.clusters.keys().map(|name| &**name).collect();
        assert_eq!(names, ["a", "b", "x99", "y99"]);
        assert_eq!(crowded_out, 2 * 99);

        // All that are there go on: there is no room, and the report is left out.
        (100..103).for_each(|second| {
            ["a", "b", "x99", "y99"].iter().for_each(|name| {
                shard.take(&report(name, second), &Arc::default(), options);
            });
        });
        assert_eq!(shard.take(&report("new", 103), &Arc::default(), options).counts.crowded_out_clusters, 1);
        assert_eq!(shard.clusters(), 4);
        assert!(!shard.clusters.contains_key("new"));
        // Until one of them has been silent for long.
        ["a", "b", "y99"].iter().for_each(|name| {
            shard.take(&report(name, 900), &Arc::default(), options);
        });
        shard.take(&report("a", 900).heartbeat(), &Arc::default(), options);
        shard.take(&report("new", 901), &Arc::default(), options);
        let names: Vec<&str> = shard.clusters.keys().map(|name| &**name).collect();
        assert_eq!(names, ["a", "b", "new", "y99"]);
    }
}
