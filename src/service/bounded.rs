//! When a bounded run (`--until-end`) is through with its partitions.

use std::time::{Duration, Instant};

use tracing::debug;

use super::startup::Targets;
use crate::kafka::Consumer;
use crate::record::Partition;

/// How often the group is asked what other members have committed, and how long the answer may take.
const ASK_EVERY: Duration = Duration::from_secs(1);
const ASK_TIMEOUT: Duration = Duration::from_secs(1);

/// Where this instance is with a partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// It read everything up to the target.
    Read,
    /// It owns the partition and is not there yet.
    Reading,
    /// Another member owns the partition, or nobody does at the moment.
    NotOwned,
}

#[derive(Debug)]
pub struct Bounded {
    targets: Targets,
    asked: Option<Instant>,
}

impl Bounded {
    pub fn new(targets: Targets) -> Self {
        Bounded { targets, asked: None }
    }

    pub fn targets(&self) -> &Targets {
        &self.targets
    }

    /// Whether all partitions are read up to their targets, by this instance or by others of its group.
    /// To be called only after the group has given an assignment.
    pub fn is_reached(&mut self, consumer: &Consumer, standing: impl Fn(&Partition, i64) -> Standing) -> bool {
        let Some(elsewhere) = elsewhere(&self.targets, standing) else { return false };
        elsewhere.is_empty() || self.is_committed(consumer, &elsewhere)
    }

    fn is_committed(&mut self, consumer: &Consumer, partitions: &[Partition]) -> bool {
        if self.asked.is_some_and(|asked| asked.elapsed() < ASK_EVERY) {
            return false;
        }
        self.asked = Some(Instant::now());
        match consumer.committed(partitions, ASK_TIMEOUT) {
            Ok(committed) => partitions.iter().all(|partition| {
                let next = committed.iter().find(|(answered, _)| answered == partition).map_or(0, |(_, next)| *next);
                self.targets.get(partition).is_none_or(|target| next >= *target)
            }),
            Err(error) => {
                debug!("{error}; asking again");
                false
            }
        }
    }
}

/// The partitions that others have to be asked for; `None` while this instance is not through with its own.
fn elsewhere(targets: &Targets, standing: impl Fn(&Partition, i64) -> Standing) -> Option<Vec<Partition>> {
    let mut elsewhere = Vec::new();
    for (partition, &target) in targets {
        match standing(partition, target) {
            Standing::Read => {}
            Standing::Reading => return None,
            Standing::NotOwned => elsewhere.push(partition.clone()),
        }
    }
    Some(elsewhere)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_partitions_come_first_and_others_are_asked_for() {
        let partition = |number| Partition { topic: "logs".into(), partition: number };
        let targets: Targets = [(partition(0), 5), (partition(1), 7)].into();
        let with = |second| move |p: &Partition, _: i64| if p.partition == 0 { Standing::Read } else { second };
        assert_eq!(elsewhere(&targets, with(Standing::Read)), Some(vec![]));
        assert_eq!(elsewhere(&targets, with(Standing::Reading)), None);
        assert_eq!(elsewhere(&targets, with(Standing::NotOwned)), Some(vec![partition(1)]));
        assert_eq!(elsewhere(&Targets::new(), |_, _| Standing::Reading), Some(vec![]));
    }
}
