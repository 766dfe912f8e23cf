//! What one partition of the reports topic leads to: the correlators of the clusters whose reports it holds.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;

use crate::correlator::{Correlator, Options, Outcome, Sizes, Unusable};
use crate::report::{self, Report};
use crate::ruleset::RuleSet;

pub mod ledger;
pub mod snapshot;

#[derive(Default)]
pub struct Shard {
    clusters: BTreeMap<Arc<str>, Correlator>,
}

/// Why a value of the reports topic is no report, for the dead-letter topic.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unreadable {
    pub reason: &'static str,
    pub detail: String,
}

impl Shard {
    /// Applies one report under these rules.
    ///
    /// # Errors
    /// When the value is no report of this version; the state is unchanged.
    pub fn apply(&mut self, value: &[u8], rules: &Arc<RuleSet>, options: Options) -> Result<Outcome, Unreadable> {
        let report = read(value)?;
        let correlator = self
            .clusters
            .entry(Arc::clone(&report.cluster))
            .or_insert_with(|| Correlator::new(Arc::clone(&report.cluster), Arc::clone(rules), options));
        correlator.set_rules(Arc::clone(rules));
        Ok(correlator.apply(&report))
    }

    /// The state of every cluster, for [`Shard::restore`].
    ///
    /// # Errors
    /// As [`Correlator::save`].
    pub fn save(&self) -> Result<Vec<u8>, Unusable> {
        let clusters: Vec<Vec<u8>> = self.clusters.values().map(Correlator::save).collect::<Result<_, _>>()?;
        Ok(postcard::to_stdvec(&clusters)?)
    }

    /// # Errors
    /// As [`Correlator::restore`], for any of the clusters.
    pub fn restore(saved: &[u8], rules: &Arc<RuleSet>, options: Options) -> Result<Self, Unusable> {
        let saved: Vec<&[u8]> = postcard::from_bytes(saved)?;
        let restored = saved.into_iter().map(|cluster| {
            let correlator = Correlator::restore(cluster, Arc::clone(rules), options)?;
            Ok((Arc::clone(correlator.cluster()), correlator))
        });
        Ok(Shard { clusters: restored.collect::<Result<_, Unusable>>()? })
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
    if version != report::VERSION {
        let detail = format!("version {version}; this faultline reads version {}", report::VERSION);
        return Err(Unreadable { reason: "report-version", detail });
    }
    serde_json::from_slice(value).map_err(unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_reports_of_this_version_are_read() {
        let cases = [
            (&b"{}"[..], Some("unreadable-report")),
            (b"not json", Some("unreadable-report")),
            (b"{\"version\":99,\"cluster\":7}", Some("report-version")),
            (b"{\"version\":1}", Some("unreadable-report")),
            (br#"{"version":1,"cluster":"c","scanner":"s","sequence":0,"flushed_at":0,"partitions":[]}"#, None),
        ];
        let mut shard = Shard::default();
        for (value, reason) in cases {
            let result = shard.apply(value, &Arc::default(), Options::default());
            assert_eq!(result.err().map(|e| e.reason), reason, "{}", String::from_utf8_lossy(value));
        }
        assert_eq!(shard.clusters(), 1);
    }
}
