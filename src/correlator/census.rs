//! The pods of a cluster at one evaluation, by numbers instead of names: every group of failing pods is compared with
//! all pods that run, of which there may be some hundred thousand.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::localizer::{Exposed, Population};
use crate::time::Timestamp;

use super::explained::{Witness, Witnesses};
use super::inventory::{Inventory, PodFacts, PodKey};

/// Where pods fail to start, so many that merely go on running say as much against a wide fault as one that started.
pub const BYSTANDERS_PER_WITNESS: u64 = 4;

/// An explanation tells apart so many workloads on nodes, and names so many pods of each.
const MOST_WITNESSES: usize = 1000;
const MOST_NAMES: usize = 2;

pub struct Census<'a> {
    workloads: Numbers<'a>,
    nodes: Numbers<'a>,
    pools: Numbers<'a>,
    images: Numbers<'a>,
    running: Vec<Running<'a>>,
}

/// A pod that runs well.
pub struct Running<'a> {
    pub facts: &'a PodFacts,
    /// When it started, as far as that is known.
    pub started: Option<Timestamp>,
    traits: Traits,
}

/// What pods can have in common, by number; zero: not known, or of no interest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
struct Traits {
    workload: u32,
    node: u32,
    pool: u32,
    image: u32,
}

/// Which workloads, nodes, pools and images have failing pods of one group.
pub struct Struck {
    workloads: Vec<bool>,
    nodes: Vec<bool>,
    pools: Vec<bool>,
    images: Vec<bool>,
}

impl<'a> Census<'a> {
    /// `running` tells of a pod whether it runs well, and since when as far as that is known; it is asked in the order
    /// of the pods' keys.
    pub fn new(
        inventory: &'a Inventory,
        mut running: impl FnMut(&PodKey, &PodFacts) -> Option<Option<Timestamp>>,
    ) -> Self {
        let mut census = Census {
            workloads: Numbers::default(),
            nodes: Numbers::default(),
            pools: Numbers::default(),
            images: Numbers::default(),
            running: Vec::with_capacity(inventory.pods.len()),
        };
        // By node.
        let mut pools = vec![0];
        for (node, facts) in &inventory.nodes {
            census.nodes.number(Some(node));
            pools.push(census.pools.number(facts.pool.as_ref()));
        }
        for (key, facts) in &inventory.pods {
            let node = census.nodes.number(facts.node.as_ref());
            let traits = Traits {
                workload: census.workloads.number(Some(&facts.workload)),
                node,
                pool: pools.get(node as usize).copied().unwrap_or(0),
                image: census.images.number(facts.image.as_ref()),
            };
            if let Some(started) = running(key, facts) {
                census.running.push(Running { facts, started, traits });
            }
        }
        census
    }

    /// How many of each could be at fault: all there are.
    pub fn population(&self, inventory: &Inventory) -> Population {
        Population {
            nodes: inventory.nodes.len(),
            workloads: self.workloads.len(),
            images: self.images.len(),
            pools: self.pools.len(),
        }
    }

    /// The same where pods fail to start: of workloads and images only those that started pods since `from`, or fail.
    pub fn starting(&self, struck: &Struck, from: Timestamp) -> Population {
        let (mut workloads, mut images) = (struck.workloads.clone(), struck.images.clone());
        for pod in self.running.iter().filter(|pod| pod.started.is_some_and(|at| at >= from)) {
            workloads[pod.traits.workload as usize] = true;
            images[pod.traits.image as usize] = true;
        }
        let count = |flags: &[bool]| flags.iter().filter(|flag| **flag).count();
        Population {
            nodes: self.nodes.len(),
            workloads: count(&workloads),
            images: count(&images),
            pools: self.pools.len(),
        }
    }

    pub fn struck(&self, failing: &[Exposed]) -> Struck {
        let flags = |numbers: &Numbers<'_>, name: &dyn Fn(&Exposed) -> Option<Arc<str>>| {
            let mut flags = vec![false; numbers.names.len()];
            for name in failing.iter().filter_map(name) {
                flags[numbers.get(&name)] = true;
            }
            // What is not known is nothing in common.
            flags[0] = false;
            flags
        };
        Struck {
            workloads: flags(&self.workloads, &|pod| Some(Arc::clone(&pod.workload))),
            nodes: flags(&self.nodes, &|pod| pod.node.clone()),
            pools: flags(&self.pools, &|pod| pod.pool.clone()),
            images: flags(&self.images, &|pod| pod.image.clone()),
        }
    }

    /// The running pods that `comparable` accepts. Those that have the same in common with the failing ones, or
    /// nothing, are one [`Exposed`]: by name they say no more.
    pub fn alike(&self, struck: &Struck, comparable: impl Fn(&Running<'_>) -> bool) -> Vec<Exposed> {
        // Most have at most their pool in common.
        let mut by_pool = vec![0; self.pools.names.len()];
        let mut counts: BTreeMap<Traits, u64> = BTreeMap::new();
        for pod in self.running.iter().filter(|pod| comparable(pod)) {
            let common = struck.in_common(pod.traits);
            if (Traits { pool: 0, ..common }) == Traits::default() {
                by_pool[common.pool as usize] += 1;
            } else {
                *counts.entry(common).or_default() += 1;
            }
        }
        for (pool, count) in (0..).zip(by_pool).filter(|(_, count)| *count > 0) {
            *counts.entry(Traits { pool, ..Traits::default() }).or_default() += count;
        }
        counts.into_iter().map(|(traits, count)| self.exposed(traits, count)).collect()
    }

    /// The running pods that `comparable` accepts, for people: those that share a workload or a node with failing ones.
    pub fn witnesses(&self, struck: &Struck, comparable: impl Fn(&Running<'_>) -> bool) -> Witnesses {
        let mut alike: BTreeMap<(u32, u32), Witness> = BTreeMap::new();
        let mut others = 0;
        for pod in self.running.iter().filter(|pod| comparable(pod)) {
            let key = (pod.traits.workload, pod.traits.node);
            let is_full = alike.len() >= MOST_WITNESSES && !alike.contains_key(&key);
            if is_full || !struck.has_workload(pod) && !struck.has_node(pod) {
                others += 1;
                continue;
            }
            let witness = alike.entry(key).or_insert_with(|| Witness {
                workload: Arc::clone(&pod.facts.workload),
                node: pod.facts.node.clone(),
                count: 0,
                names: Vec::new(),
            });
            witness.count += 1;
            if witness.names.len() < MOST_NAMES {
                witness.names.push(Arc::clone(&pod.facts.name));
            }
        }
        Witnesses { alike: alike.into_values().collect(), others }
    }

    /// The running pods that `is_one` accepts, as evidence against wide suspects only: each pool's count for a part, and
    /// belong to no node, workload or image.
    pub fn bystanders(&self, is_one: impl Fn(&Running<'_>) -> bool) -> Vec<Exposed> {
        let mut by_pool = vec![0u64; self.pools.names.len()];
        for pod in self.running.iter().filter(|pod| is_one(pod)) {
            by_pool[pod.traits.pool as usize] += 1;
        }
        let counts = (0..).zip(by_pool).map(|(pool, count)| (pool, count.div_ceil(BYSTANDERS_PER_WITNESS)));
        let counts = counts.filter(|(_, count)| *count > 0);
        counts
            .map(|(pool, count)| Exposed {
                bystander: true,
                ..self.exposed(Traits { pool, ..Traits::default() }, count)
            })
            .collect()
    }

    fn exposed(&self, traits: Traits, count: u64) -> Exposed {
        let nobody: Arc<str> = Arc::default();
        Exposed {
            pod: Arc::clone(&nobody),
            workload: self.workloads.name(traits.workload).unwrap_or(nobody),
            node: self.nodes.name(traits.node),
            pool: self.pools.name(traits.pool),
            image: self.images.name(traits.image),
            failing: false,
            count,
            bystander: false,
        }
    }
}

impl Struck {
    pub fn has_workload(&self, pod: &Running<'_>) -> bool {
        self.workloads[pod.traits.workload as usize]
    }

    pub fn has_node(&self, pod: &Running<'_>) -> bool {
        self.nodes[pod.traits.node as usize]
    }

    fn in_common(&self, traits: Traits) -> Traits {
        let keep = |flags: &[bool], number: u32| if flags[number as usize] { number } else { 0 };
        Traits {
            workload: keep(&self.workloads, traits.workload),
            node: keep(&self.nodes, traits.node),
            pool: keep(&self.pools, traits.pool),
            image: keep(&self.images, traits.image),
        }
    }
}

/// Numbers names from one on, as they come up; zero is no name.
struct Numbers<'a> {
    numbers: HashMap<&'a str, u32>,
    names: Vec<Option<&'a Arc<str>>>,
    /// Pods come in the order of their names: the next one is often of the same workload and image.
    newest: Option<(&'a Arc<str>, u32)>,
}

impl Default for Numbers<'_> {
    fn default() -> Self {
        Numbers { numbers: HashMap::new(), names: vec![None], newest: None }
    }
}

impl<'a> Numbers<'a> {
    fn number(&mut self, name: Option<&'a Arc<str>>) -> u32 {
        let Some(name) = name else { return 0 };
        if let Some((newest, number)) = self.newest
            && newest == name
        {
            return number;
        }
        let number = *self.numbers.entry(name).or_insert_with(|| {
            self.names.push(Some(name));
            (self.names.len() - 1) as u32
        });
        self.newest = Some((name, number));
        number
    }

    fn get(&self, name: &str) -> usize {
        self.numbers.get(name).map_or(0, |number| *number as usize)
    }

    fn name(&self, number: u32) -> Option<Arc<str>> {
        self.names.get(number as usize).copied().flatten().cloned()
    }

    fn len(&self) -> usize {
        self.numbers.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::correlator::Limits;
    use crate::localizer::{Case, explain};
    use crate::report::Pod;

    fn inventory(pods: &[(u8, Option<u8>, Option<u8>, bool)]) -> Inventory {
        let mut inventory = Inventory::new(Limits::default());
        for (at, (workload, node, image, _)) in pods.iter().enumerate() {
            let pod = Pod {
                namespace: "shop".into(),
                name: format!("p{at:03}").into(),
                workload: format!("shop/w{workload}").into(),
                // Two pools, and a node that belongs to none.
                node: node.map(|n| if n == 0 { "n".into() } else { format!("akspool{}00000{n}", n % 2).into() }),
                image: image.map(|image| format!("i{image}").into()),
                ..Pod::default()
            };
            inventory.saw(&pod, Timestamp::from_millis(1));
        }
        inventory
    }

    fn one(inventory: &Inventory, key: &PodKey, failing: bool) -> Exposed {
        let facts = &inventory.pods[key];
        Exposed {
            pod: Arc::clone(key),
            workload: Arc::clone(&facts.workload),
            node: facts.node.clone(),
            pool: facts.node.as_ref().and_then(|node| inventory.pool_of(node)).cloned(),
            image: facts.image.clone(),
            failing,
            count: 1,
            bystander: false,
        }
    }

    proptest! {
        #[test]
        fn counting_pods_together_changes_no_explanation(
            pods in prop::collection::vec(
                (0u8..5, prop::option::of(0u8..5), prop::option::of(0u8..3), prop::bool::weighted(0.2)),
                1..60,
            ),
        ) {
            let inventory = inventory(&pods);
            let (failing, healthy): (Vec<_>, Vec<_>) = inventory.pods.keys().zip(&pods).partition(|(_, pod)| pod.3);
            let failing: Vec<Exposed> = failing.into_iter().map(|(key, _)| one(&inventory, key, true)).collect();
            let healthy: Vec<Exposed> = healthy.into_iter().map(|(key, _)| one(&inventory, key, false)).collect();
            let names: Vec<&Arc<str>> = healthy.iter().map(|pod| &pod.pod).collect();
            let census = Census::new(&inventory, |key, _| names.contains(&key).then_some(None));
            let alike = census.alike(&census.struck(&failing), |_| true);
            prop_assert_eq!(alike.iter().map(|pod| pod.count).sum::<u64>(), healthy.len() as u64);

            let population = census.population(&inventory);
            let case = |healthy: &[Exposed]| {
                Case::of([&failing, healthy].concat(), population)
            };
            prop_assert_eq!(explain(&case(&alike)), explain(&case(&healthy)));
        }
    }
}
