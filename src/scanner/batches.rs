//! The batches in hand, one for each cluster seen so far.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::batch::Batch;

pub(super) struct Batches {
    /// The cluster of records that name none, and its batch.
    default: (Arc<str>, Batch),
    /// Those of other clusters, which stay, so that each gets its heartbeats.
    others: BTreeMap<Arc<str>, Batch>,
    begun: u64,
}

impl Batches {
    pub fn new(default: Arc<str>) -> Self {
        Batches { default: (default, Batch::new(0)), others: BTreeMap::new(), begun: 0 }
    }

    fn begin(&mut self) -> Batch {
        self.begun += 1;
        Batch::new(self.begun)
    }

    /// The batch of a cluster; of a new one only while there are fewer than `most`, else the default cluster's.
    pub fn of(&mut self, cluster: Option<&str>, most: usize) -> &mut Batch {
        let Some(named) = cluster.filter(|named| **named != *self.default.0) else { return &mut self.default.1 };
        if !self.others.contains_key(named) && self.others.len() + 1 < most {
            let new = self.begin();
            self.others.insert(named.into(), new);
        }
        self.others.get_mut(named).unwrap_or(&mut self.default.1)
    }

    pub fn all(&self) -> impl Iterator<Item = &Batch> {
        std::iter::once(&self.default.1).chain(self.others.values())
    }

    pub fn all_mut(&mut self) -> impl Iterator<Item = &mut Batch> {
        std::iter::once(&mut self.default.1).chain(self.others.values_mut())
    }

    /// What was gathered, in the order of the clusters' names; all begin anew.
    pub fn take(&mut self) -> Vec<(Arc<str>, Batch)> {
        let begun = &mut self.begun;
        let all = std::iter::once((&self.default.0, &mut self.default.1)).chain(self.others.iter_mut());
        let mut taken: Vec<_> = all
            .map(|(cluster, batch)| {
                *begun += 1;
                (Arc::clone(cluster), std::mem::replace(batch, Batch::new(*begun)))
            })
            .collect();
        taken.sort_by(|(a, _), (b, _)| a.cmp(b));
        taken
    }
}
