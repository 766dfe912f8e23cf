//! The batches in hand, one for each cluster seen of late.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::batch::Batch;

/// A cluster that brought something in so many flushes is one that goes on, and not easily let go.
const STANDING_FLUSHES: u32 = 3;
/// It is let go for a new one when it was silent for so many flushes.
const SILENT_FLUSHES: u64 = 600;

pub(super) struct Batches {
    /// The cluster of records that name none, and its batch.
    default: (Arc<str>, Batch),
    others: BTreeMap<Arc<str>, Known>,
    begun: u64,
    flushes: u64,
    /// Nobody can be let go before the next flush.
    is_crowded: bool,
    crowded_out: u64,
}

/// A cluster that records have named.
struct Known {
    batch: Batch,
    /// The newest flush to which it brought something, and to how many it did.
    heard: u64,
    flushes: u32,
}

impl Known {
    fn has_standing(&self) -> bool {
        self.flushes >= STANDING_FLUSHES
    }

    fn may_go(&self, flushes: u64) -> bool {
        self.batch.is_empty() && (!self.has_standing() || flushes.saturating_sub(self.heard) >= SILENT_FLUSHES)
    }
}

impl Batches {
    pub fn new(default: Arc<str>) -> Self {
        Batches {
            default: (default, Batch::new(0)),
            others: BTreeMap::new(),
            begun: 0,
            flushes: 0,
            is_crowded: false,
            crowded_out: 0,
        }
    }

    /// The batch of a cluster. With `most` of them a new one takes the place of one that is silent, or else counts as the
    /// default one: names that nobody uses for long cannot keep out others, nor can ever new ones push out those in use.
    pub fn of(&mut self, cluster: Option<&str>, most: usize) -> &mut Batch {
        let Some(named) = cluster.filter(|named| **named != *self.default.0) else { return &mut self.default.1 };
        if !self.others.contains_key(named) {
            let is_full = self.others.len() + 1 >= most;
            self.crowded_out += u64::from(is_full);
            if is_full && !self.make_room() {
                return &mut self.default.1;
            }
            self.begun += 1;
            let known = Known { batch: Batch::new(self.begun), heard: self.flushes, flushes: 0 };
            self.others.insert(named.into(), known);
        }
        self.others.get_mut(named).map_or(&mut self.default.1, |known| &mut known.batch)
    }

    /// Lets go of the cluster that is silent for longest, of new ones first.
    fn make_room(&mut self) -> bool {
        if self.is_crowded {
            return false;
        }
        let silent = self.others.iter().filter(|(_, known)| known.may_go(self.flushes));
        let longest = silent.min_by_key(|(_, known)| (known.has_standing(), known.heard));
        let Some(name) = longest.map(|(name, _)| Arc::clone(name)) else {
            self.is_crowded = true;
            return false;
        };
        self.others.remove(&name).is_some()
    }

    pub fn all(&self) -> impl Iterator<Item = &Batch> {
        std::iter::once(&self.default.1).chain(self.others.values().map(|known| &known.batch))
    }

    pub fn all_mut(&mut self) -> impl Iterator<Item = &mut Batch> {
        std::iter::once(&mut self.default.1).chain(self.others.values_mut().map(|known| &mut known.batch))
    }

    /// How often a name came for which there was no room, since the last call.
    pub fn take_crowded_out(&mut self) -> u64 {
        std::mem::take(&mut self.crowded_out)
    }

    /// What was gathered, in the order of the clusters' names; all begin anew.
    pub fn take(&mut self) -> Vec<(Arc<str>, Batch)> {
        self.flushes += 1;
        self.is_crowded = false;
        let begun = &mut self.begun;
        let mut fresh = |batch: &mut Batch| {
            *begun += 1;
            std::mem::replace(batch, Batch::new(*begun))
        };
        let mut taken = vec![(Arc::clone(&self.default.0), fresh(&mut self.default.1))];
        for (cluster, known) in &mut self.others {
            if !known.batch.is_empty() {
                known.heard = self.flushes;
                known.flushes = known.flushes.saturating_add(1);
            }
            taken.push((Arc::clone(cluster), fresh(&mut known.batch)));
        }
        taken.retain(|(_, batch)| !batch.is_empty());
        taken.sort_by(|(a, _), (b, _)| a.cmp(b));
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::super::batch::Place;
    use super::*;
    use crate::time::Timestamp;

    const MOST: usize = 4;

    /// Each of these brings a record; returns whose batches they were.
    fn flush(batches: &mut Batches, clusters: &[&str]) -> Vec<String> {
        for (offset, cluster) in (0..).zip(clusters) {
            batches.of(Some(cluster), MOST).count_record(Place { slot: 0, offset, time: Timestamp::default() });
        }
        batches.take().into_iter().map(|(cluster, _)| cluster.to_string()).collect()
    }

    #[test]
    fn only_clusters_that_brought_something_are_told_of() {
        let mut batches = Batches::new("d".into());
        assert_eq!(flush(&mut batches, &["a", "b"]), ["a", "b"]);
        assert_eq!(flush(&mut batches, &["b", "d"]), ["b", "d"]);
        assert_eq!(flush(&mut batches, &[]), Vec::<String>::new());
        assert_eq!(batches.take_crowded_out(), 0);
    }

    #[test]
    fn a_silent_cluster_makes_room_for_a_new_one() {
        let mut batches = Batches::new("d".into());
        flush(&mut batches, &["a", "b", "c"]);
        flush(&mut batches, &["b", "c"]);
        assert_eq!(flush(&mut batches, &["e", "a"]), ["a", "e"], "a was silent for longest, then b");
        assert_eq!(batches.take_crowded_out(), 2);
    }

    #[test]
    fn ever_new_names_do_not_push_out_those_in_use() {
        let mut batches = Batches::new("d".into());
        (0..3).for_each(|_| drop(flush(&mut batches, &["steady"])));
        for n in 0..100 {
            let names: Vec<String> = (0..5).map(|m| format!("{n} {m}")).collect();
            let mut said: Vec<&str> = names.iter().map(String::as_str).collect();
            said.extend((n % 7 == 0).then_some("steady"));
            let told = flush(&mut batches, &said);
            assert_eq!(told.contains(&"steady".to_owned()), n % 7 == 0, "{n}: {told:?}");
            assert!(told.len() <= MOST && told.contains(&"d".to_owned()), "{n}: {told:?}");
        }
    }

    #[test]
    fn names_that_were_used_for_long_are_let_go_in_the_end() {
        let mut batches = Batches::new("d".into());
        (0..9).for_each(|_| drop(flush(&mut batches, &["a", "b", "c"])));
        assert_eq!(flush(&mut batches, &["new"]), ["d"]);
        (0..SILENT_FLUSHES).for_each(|_| drop(flush(&mut batches, &[])));
        assert_eq!(flush(&mut batches, &["new"]), ["new"]);
    }
}
