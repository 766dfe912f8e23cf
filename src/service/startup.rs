//! Before the stages begin: a broker that answers, the topics, and where a bounded run ends.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::config::Inputs;
use super::{Error, Shared};
use crate::kafka::Topics;
use crate::record::Partition;

/// Short, so that Ctrl-C is heard at once.
const ASK_TIMEOUT: Duration = Duration::from_millis(250);
/// A bounded run waits no longer for a broker that lets it not in: long enough for a token that is just being renewed.
const REFUSED_TIMEOUT: Duration = Duration::from_secs(5);
const WATERMARK_TIMEOUT: Duration = Duration::from_secs(10);

/// Where every partition ended when a bounded run began.
pub(super) type Targets = BTreeMap<Partition, i64>;

/// What was found at the start.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    /// Input topics that do not exist yet.
    pub missing_inputs: Vec<String>,
    /// For bounded runs: the ends of the inputs, and of the reports.
    pub input_ends: Targets,
    pub report_ends: Targets,
    /// Partitions of the reports topic.
    pub report_partitions: i32,
}

impl Found {
    /// For one of several scan threads: only the first looks for what is missing.
    pub fn of_member(&self, number: usize) -> Self {
        let mut found = self.clone();
        if number > 0 {
            found.missing_inputs.clear();
        }
        found
    }
}

/// Waits for a broker and creates what is missing. `None`: the wish to stop came first.
pub(super) fn prepare(shared: &Shared, inputs: &Inputs) -> Result<Option<Found>, Error> {
    let Some(existing) = wait_for_broker(shared)? else { return Ok(None) };
    let created = shared.cluster.create_missing(&shared.config.own_topics(), &existing)?;
    if !created.is_empty() {
        info!("created topics: {}", created.join(", "));
    }
    let reports = &shared.config.reports;
    let mut found = Found {
        report_partitions: existing.get(&reports.name).copied().unwrap_or(reports.partitions),
        ..Found::default()
    };
    if shared.stages.scan {
        found.missing_inputs = inputs.missing(existing.keys().map(String::as_str));
        if let Some(missing) = list(&found.missing_inputs) {
            if shared.until_end {
                return Err(Error::new(format!(
                    "input topics do not exist: {missing}; faultline does not create them"
                )));
            }
            warn!("waiting for input topics that do not exist yet: {missing}; faultline does not create them");
        }
    }
    if shared.until_end {
        let topics_of = |wanted: &dyn Fn(&str) -> bool| -> Topics {
            existing.iter().filter(|(name, _)| wanted(name)).map(|(name, count)| (name.clone(), *count)).collect()
        };
        let of_inputs = topics_of(&|name| shared.stages.scan && inputs.find(name).is_some());
        let of_reports = topics_of(&|name| shared.stages.correlate && name == shared.config.reports.name);
        found.input_ends = shared.cluster.ends(&of_inputs, WATERMARK_TIMEOUT)?;
        found.report_ends = shared.cluster.ends(&of_reports, WATERMARK_TIMEOUT)?;
    }
    Ok(Some(found))
}

/// Names for a message, or `None` when there are none.
pub(super) fn list(names: &[String]) -> Option<String> {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    (!quoted.is_empty()).then(|| quoted.join(", "))
}

fn wait_for_broker(shared: &Shared) -> Result<Option<Topics>, Error> {
    let began = Instant::now();
    while !shared.shutdown.is_triggered() {
        if let Some(topics) = shared.cluster.topics(ASK_TIMEOUT)? {
            return Ok(Some(topics));
        }
        let timeout = shared.config.limits.connect_timeout;
        let patience = if shared.link.is_refused() { timeout.min(REFUSED_TIMEOUT) } else { timeout };
        if shared.until_end && began.elapsed() >= patience {
            return Err(Error::new(shared.link.why_down()));
        }
    }
    Ok(None)
}
