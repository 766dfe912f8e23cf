//! The batches in hand, one for each cluster seen so far.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::batch::Batch;

pub(super) struct Batches {
    /// The cluster of records that name none.
    default: Arc<str>,
    /// Clusters stay, so that each gets its heartbeats.
    by_cluster: BTreeMap<Arc<str>, Batch>,
    begun: u64,
}

impl Batches {
    pub fn new(default: Arc<str>) -> Self {
        let mut batches = Batches { default, by_cluster: BTreeMap::new(), begun: 0 };
        batches.begin(&Arc::clone(&batches.default));
        batches
    }

    fn begin(&mut self, cluster: &Arc<str>) -> Batch {
        self.begun += 1;
        self.by_cluster.insert(Arc::clone(cluster), Batch::new(self.begun)).unwrap_or_default()
    }

    /// The batch of a cluster; of a new one only while there are fewer than `most`, else the default cluster's.
    pub fn of(&mut self, cluster: Option<&str>, most: usize) -> &mut Batch {
        if let Some(named) = cluster
            && !self.by_cluster.contains_key(named)
            && self.by_cluster.len() < most.max(1)
        {
            self.begin(&named.into());
        }
        let is_known = cluster.is_some_and(|named| self.by_cluster.contains_key(named));
        let name = cluster.filter(|_| is_known).unwrap_or(&self.default);
        // The default cluster's batch is there from the start.
        self.by_cluster.get_mut(name).expect("batches are never taken away")
    }

    pub fn all(&self) -> impl Iterator<Item = &Batch> {
        self.by_cluster.values()
    }

    pub fn all_mut(&mut self) -> impl Iterator<Item = &mut Batch> {
        self.by_cluster.values_mut()
    }

    /// What was gathered, by cluster; all begin anew.
    pub fn take(&mut self) -> Vec<(Arc<str>, Batch)> {
        let clusters: Vec<_> = self.by_cluster.keys().cloned().collect();
        clusters.into_iter().map(|cluster| (Arc::clone(&cluster), self.begin(&cluster))).collect()
    }
}
