//! Who has to go when a bound is reached: the oldest of whoever has the most, so that nobody who brings much pushes out
//! others.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::checksum::fnv1a;
use crate::time::Timestamp;

/// On whose account an entry is: a namespace, told by a checksum of its name. Two that share one would share their bound
/// too, and nothing else.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
pub struct Tenant(u32);

impl Tenant {
    /// Of what is said without a namespace.
    pub const NOBODY: Tenant = Tenant(0);

    pub fn named(namespace: &str) -> Self {
        let sum = fnv1a(namespace.as_bytes());
        Tenant((sum ^ sum >> 32) as u32)
    }

    /// Of a pod's key, `namespace/name`.
    pub fn of_pod(key: &str) -> Self {
        Tenant::named(key.split_once('/').map_or("", |(namespace, _)| namespace))
    }
}

/// One eviction removes a sixteenth, so that it pays for many insertions.
const SHARE: usize = 16;

/// Makes room: as if the tenant with the most entries lost its longest silent one, again and again. Who has no more than
/// others loses nothing. `tenant` is `None` of entries that are nobody's in particular; they go only when there are no
/// others. Returns how many went.
pub fn evict<K: Ord, V>(
    map: &mut BTreeMap<K, V>,
    tenant: impl Fn(&K, &V) -> Option<Tenant>,
    age: impl Fn(&V) -> Timestamp,
) -> u64 {
    let mut counts: BTreeMap<Option<Tenant>, usize> = BTreeMap::new();
    map.iter().for_each(|(key, value)| *counts.entry(tenant(key, value)).or_default() += 1);
    if counts.len() > 1 {
        counts.remove(&None);
    }
    let most = (map.len() / SHARE + 1).min(counts.values().sum());
    let level = level(&counts, most);
    let mut ages: Vec<(Option<Tenant>, Timestamp)> = map
        .iter()
        .map(|(key, value)| (tenant(key, value), age(value)))
        .filter(|(tenant, _)| counts.get(tenant).is_some_and(|count| *count >= level.max(1)))
        .collect();
    ages.sort_unstable();
    let mut quotas = quotas(&ages, level, most);
    let before = map.len();
    map.retain(|key, value| {
        let Some(quota) = quotas.get_mut(&tenant(key, value)) else { return true };
        let goes = quota.left > 0 && age(value) <= quota.until;
        quota.left -= usize::from(goes);
        !goes
    });
    (before - map.len()) as u64
}

/// The least number of entries that every tenant may keep if no more than `most` are to go.
fn level(counts: &BTreeMap<Option<Tenant>, usize>, most: usize) -> usize {
    let above = |level: usize| counts.values().map(|count| count.saturating_sub(level)).sum::<usize>();
    let (mut low, mut high) = (0, counts.values().copied().max().unwrap_or(0));
    while low < high {
        let middle = low + (high - low) / 2;
        if above(middle) <= most { high = middle } else { low = middle + 1 }
    }
    low
}

/// How many of a tenant's entries go: those not newer than `until`.
struct Quota {
    left: usize,
    until: Timestamp,
}

/// Each keeps `level` entries; of those that have so many, the ones whose next has been silent for longest lose one more,
/// until `most` are gone. `ages` is sorted.
fn quotas(ages: &[(Option<Tenant>, Timestamp)], level: usize, most: usize) -> BTreeMap<Option<Tenant>, Quota> {
    let mut quotas = BTreeMap::new();
    let mut next = Vec::new();
    for of_one in ages.chunk_by(|a, b| a.0 == b.0) {
        let left = of_one.len().saturating_sub(level);
        let tenant = of_one[0].0;
        if left > 0 {
            quotas.insert(tenant, Quota { left, until: of_one[left - 1].1 });
        }
        next.extend(of_one.get(left).map(|(_, age)| (*age, tenant)));
    }
    let rest = most.saturating_sub(quotas.values().map(|quota| quota.left).sum());
    next.sort_unstable();
    for (until, tenant) in next.into_iter().take(rest) {
        let quota = quotas.entry(tenant).or_insert(Quota { left: 0, until });
        (quota.left, quota.until) = (quota.left + 1, until);
    }
    quotas
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Map = BTreeMap<String, Timestamp>;

    fn entry(namespace: &str, number: usize, age: i64) -> (String, Timestamp) {
        (format!("{namespace}/{number}"), Timestamp::from_millis(age))
    }

    fn evict_pods(map: &mut Map) -> u64 {
        evict(map, |key, _| Some(Tenant::of_pod(key)), |age| *age)
    }

    fn count(map: &Map, namespace: &str) -> usize {
        map.keys().filter(|key| key.split_once('/').unwrap().0 == namespace).count()
    }

    #[test]
    fn who_brings_much_makes_room_with_the_oldest_of_its_own() {
        let mut map: Map = (0..100).map(|n| entry("quiet", n, n as i64)).collect();
        for n in 0..10_000 {
            map.extend([entry("loud", n, 1_000 + n as i64)]);
            if map.len() > 160 {
                evict_pods(&mut map);
            }
        }
        assert_eq!(count(&map, "quiet"), 75, "half of what an eviction leaves");
        assert!(map.contains_key("quiet/25") && !map.contains_key("quiet/24"), "the oldest go first");
        assert!(map.contains_key("loud/9999") && !map.contains_key("loud/9000"));
    }

    #[test]
    fn what_somebody_vouches_for_goes_last() {
        let tenant = |key: &String, _: &Timestamp| (!key.starts_with("real")).then(|| Tenant::of_pod(key));
        let mut map: Map = (0..16).map(|n| entry("real", n, 0)).chain((0..4).map(|n| entry("made-up", n, 9))).collect();
        assert_eq!(evict(&mut map, tenant, |age| *age), 2);
        assert_eq!(evict(&mut map, tenant, |age| *age), 2);
        assert_eq!((count(&map, "real"), count(&map, "made-up")), (16, 0));
        assert_eq!(evict(&mut map, tenant, |age| *age), 2);
        assert_eq!(evict(&mut Map::new(), tenant, |age| *age), 0);
    }

    proptest! {
        /// The naive way: again and again the fullest loses its oldest.
        #[test]
        fn it_is_the_fullest_that_lose_their_oldest(entries in prop::collection::vec((0u8..6, 0i64..40), 1..120)) {
            let mut map: Map =
                entries.iter().enumerate().map(|(n, (name, age))| entry(&format!("n{name}"), n, *age)).collect();
            let mut naive = map.clone();
            let gone = evict_pods(&mut map);
            prop_assert_eq!(gone as usize, naive.len() / SHARE + 1);
            for _ in 0..gone {
                let size = |key: &String| count(&naive, key.split_once('/').unwrap().0);
                let most = naive.keys().map(size).max().unwrap();
                let oldest = naive.iter().filter(|(key, _)| size(key) == most).min_by_key(|(_, age)| **age).unwrap();
                let oldest = oldest.0.clone();
                naive.remove(&oldest);
            }
            // Which of several equally old ones goes does not matter.
            let sorted = |map: &Map| {
                let mut all: Vec<_> = map.iter().map(|(key, age)| (key.split_once('/').unwrap().0.to_owned(), *age)).collect();
                all.sort();
                all
            };
            prop_assert_eq!(sorted(&map).len(), sorted(&naive).len());
            for name in 0..6 {
                let name = format!("n{name}");
                prop_assert!(count(&map, &name).abs_diff(count(&naive, &name)) <= 1);
            }
        }
    }
}
