//! A verdict laid open: every hypothesis with the factors that its probability is made of, and what its guards say.
//!
//! For people, not for deciding: the same functions as in [`rank`], asked for the parts of their answer.

use crate::alert::{Evidence, Scope, Suspect};

use super::ranking::{guard, is_shared, weight};
use super::tally::tally;
use super::{Case, Ranked, covers, left_over, likelier_reading, rank, set_aside};

/// Why a hypothesis may not be called confirmed, however likely it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Doubt {
    /// Nothing but programs that crashed once.
    MereCrashes,
    /// Few pods, which had failed for long when they were first heard of.
    Old,
    OnePod,
    /// The failing pods on a node are all of one workload: it may be the workload's own fault.
    OneWorkload,
    /// The failing pods of a workload are all on one node.
    OneNode,
    /// Few of a workload's pods were struck while they ran, which may be chance.
    FewOfMany {
        failing: u64,
        exposed: u64,
    },
    /// A pool or the cluster of which fewer than half of the nodes have failing pods.
    NarrowlyStruck {
        nodes: usize,
        of: usize,
    },
    /// A cluster in which only these few workloads fail.
    FewWorkloads {
        workloads: usize,
    },
    /// Few pods fail, and none is known that runs well.
    NobodyKnownWell,
}

/// One of the hypotheses that were compared.
#[derive(Clone, PartialEq, Debug)]
pub struct Hypothesis {
    pub suspect: Suspect,
    pub evidence: Evidence,
    /// After the split among the members of its class, and what the suspect or the signature speaks for.
    pub prior: f64,
    /// Log of the Beta-Binomial marginal likelihood of all failing pods.
    pub ln_likelihood: f64,
    /// Log of what it costs to need more than one cause.
    pub ln_coincidence: f64,
    pub probability: f64,
    pub guard: Result<(), Doubt>,
    /// A node that says itself that something is wrong with it, which raises its prior.
    pub accuses_itself: bool,
    /// Other suspects that hold the very same pods: their probability is part of this one's.
    pub same_pods: Vec<Suspect>,
}

/// Something that failing pods share and that is no hypothesis: it is not struck widely enough. Its counts say why.
#[derive(Clone, PartialEq, Debug)]
pub struct Refused {
    pub suspect: Suspect,
    /// Failing pods inside it, their workloads and their nodes.
    pub failing: u64,
    pub workloads: usize,
    pub nodes: usize,
    /// Nodes that a pool or the cluster has.
    pub all_nodes: Option<usize>,
}

/// What [`super::explain`] compared for one of its explanations.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Account {
    /// Likeliest first; the probabilities sum to one.
    pub hypotheses: Vec<Hypothesis>,
    /// Those with most failing pods first.
    pub refused: Vec<Refused>,
    /// Faults of the same case whose pods were set aside.
    pub set_aside: Vec<Suspect>,
    /// How much likelier than another reading of the case (several narrow faults, or a wide one) this one is: what the
    /// suspect's probability is multiplied by. 0.5 to 1.
    pub trust: f64,
    /// The factor that each cause beyond the first costs.
    pub coincidence: f64,
    /// What the priors of machines, nodes and pools, are multiplied by: see [`Case::machine_like`].
    pub machine_like: f64,
}

/// Accounts for what [`super::explain`] says of the suspect, one of its explanations of the case.
pub fn account(case: &Case, suspect: &Suspect) -> Account {
    let (suspects, trust) = likelier_reading(case);
    let is_shared = suspects.contains(suspect);
    let focused = if is_shared { set_aside(case, suspect, &suspects) } else { left_over(case, &suspects) };
    // A pod that is told alone because what it shares is sooner wrong than right.
    let is_held = focused.pods.iter().any(|pod| covers(suspect, pod));
    let focused = if is_held { focused } else { case.clone() };
    let set_aside = suspects.into_iter().filter(|other| other != suspect).collect();
    let trust = if is_shared { trust } else { 1.0 };
    Account {
        hypotheses: hypotheses(&focused, suspect),
        refused: refused(&focused),
        set_aside,
        trust,
        coincidence: case.coincidence,
        machine_like: case.machine_like,
    }
}

fn hypotheses(case: &Case, suspect: &Suspect) -> Vec<Hypothesis> {
    let tallies = tally(&case.pods);
    let Some(whole) = tallies.get(&Suspect::Cluster) else { return Vec::new() };
    let ranked = rank(case);
    let open = |ranked: &Ranked| {
        let tally = tallies.get(&ranked.suspect).unwrap_or(whole);
        let weight = weight(case, &ranked.suspect, tally, whole);
        Hypothesis {
            // Pods that fail alone speak through any of them.
            suspect: match suspect {
                Suspect::Pod(_) if ranked.suspect.scope() == Scope::Pod => suspect.clone(),
                _ => ranked.suspect.clone(),
            },
            evidence: ranked.evidence,
            prior: weight.prior,
            ln_likelihood: weight.ln_likelihood,
            ln_coincidence: weight.ln_coincidence,
            probability: ranked.probability,
            guard: guard(case, &ranked.suspect, tally, whole),
            accuses_itself: matches!(&ranked.suspect, Suspect::Node(node) if case.accused_nodes.contains(node)),
            same_pods: ranked.same_pods.clone(),
        }
    };
    ranked.iter().map(open).collect()
}

fn refused(case: &Case) -> Vec<Refused> {
    let tallies = tally(&case.pods);
    let refused = tallies.iter().filter(|(suspect, tally)| tally.failing > 1 && !is_shared(case, suspect, tally));
    let mut refused: Vec<Refused> = refused
        .map(|(suspect, tally)| Refused {
            suspect: suspect.clone(),
            failing: tally.failing,
            workloads: tally.struck_workloads(),
            nodes: tally.struck_nodes(),
            all_nodes: match suspect {
                Suspect::NodePool(pool) => case.pool_nodes.get(pool).copied(),
                Suspect::Cluster => Some(case.population.nodes),
                _ => None,
            },
        })
        .collect();
    // Sorting is stable: of equals the narrower first.
    refused.sort_by_key(|refused| std::cmp::Reverse(refused.failing));
    refused
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::localizer::explain;
    use crate::localizer::tests::{case, founding_case, pods};

    fn two_faults() -> Case {
        case(vec![
            pods("a", "n1", 2, true),
            pods("b", "n1", 2, true),
            pods("api", "n2", 2, true),
            pods("api", "n3", 2, true),
            pods("a", "n2", 4, false),
            pods("b", "n3", 4, false),
        ])
    }

    #[test]
    fn an_account_gives_the_probabilities_of_the_ranking_and_their_factors() {
        let mut accused = founding_case();
        accused.accused_nodes.insert("win1".into());
        let struck = Case { while_running: true, machine_like: 0.1, ..founding_case() };
        for case in [founding_case(), accused, struck] {
            let best = explain(&case).remove(0).best;
            let account = account(&case, &best.suspect);
            let told: Vec<_> = account.hypotheses.iter().map(|told| (told.probability, told.evidence)).collect();
            let ranked: Vec<_> = rank(&case).iter().map(|ranked| (ranked.probability, ranked.evidence)).collect();
            assert_eq!(told, ranked);
            let sum: f64 = account.hypotheses.iter().map(|hypothesis| hypothesis.probability).sum();
            assert!((sum - 1.0).abs() < 1e-9, "{sum}");
            assert_eq!(best.probability, account.hypotheses[0].probability * account.trust);
            assert_eq!(best.guarded, account.hypotheses[0].guard.is_ok());
            // Ratios of the products are those of the probabilities, where no other suspect's is part of them.
            let own = account.hypotheses.iter().filter(|hypothesis| hypothesis.same_pods.is_empty());
            let constants: Vec<f64> =
                own.map(|h| h.probability.ln() - h.prior.ln() - h.ln_likelihood - h.ln_coincidence).collect();
            assert!(constants.windows(2).all(|pair| (pair[0] - pair[1]).abs() < 1e-6), "{constants:?}");
        }
    }

    #[test]
    fn another_fault_is_set_aside() {
        let case = two_faults();
        let node = Suspect::Node("n1".into());
        let account = account(&case, &node);
        assert_eq!(account.set_aside, [Suspect::Workload("api".into())]);
        assert_eq!(account.hypotheses[0].suspect, node);
        assert_eq!(account.hypotheses[0].evidence.failing_elsewhere, 0);
    }

    #[test]
    fn what_holds_the_same_pods_is_named_beside_the_narrower() {
        let failing = ["a", "b", "c"].iter().flat_map(|w| ["win0", "win1", "win2"].map(|n| pods(w, n, 2, true)));
        let mut case = case(failing.collect());
        case.population.nodes = 3;
        let account = account(&case, &Suspect::NodePool("win".into()));
        let pool = account.hypotheses.iter().find(|told| told.suspect == Suspect::NodePool("win".into())).unwrap();
        assert_eq!(pool.same_pods, [Suspect::Cluster]);
    }

    #[test]
    fn what_is_not_struck_widely_is_refused_with_its_counts() {
        let account = account(&founding_case(), &Suspect::Node("win1".into()));
        let pool = account.refused.iter().find(|refused| refused.suspect == Suspect::NodePool("win".into())).unwrap();
        assert_eq!((pool.failing, pool.workloads, pool.nodes, pool.all_nodes), (3, 2, 1, Some(3)));
    }

    #[test]
    fn each_guard_says_why_it_stands_against_a_verdict() {
        let doubt = |case: &Case, suspect: Suspect| {
            let hypotheses = account(case, &explain(case)[0].best.suspect).hypotheses;
            hypotheses.into_iter().find(|hypothesis| hypothesis.suspect == suspect).unwrap().guard.err()
        };
        let (node, workload) = (|| Suspect::Node("win1".into()), || Suspect::Workload("cd".into()));
        let one_workload = case(vec![pods("cd", "win1", 3, true), pods("cd", "win0", 6, false)]);
        assert_eq!(doubt(&one_workload, node()), Some(Doubt::OneWorkload));
        assert_eq!(doubt(&one_workload, workload()), Some(Doubt::OneNode));
        let crashes = Case { mere_crashes: true, ..founding_case() };
        assert_eq!(doubt(&crashes, node()), Some(Doubt::MereCrashes));
        let old = Case { old: true, ..founding_case() };
        assert_eq!(doubt(&old, node()), Some(Doubt::Old));
        let many = case(vec![pods("cd", "win1", 4, true), pods("xdb", "win1", 1, true)]);
        assert_eq!(doubt(&Case { old: true, ..many }, node()), None, "four old crash-loopers do not meet by chance");
        let few = vec![pods("cd", "win0", 1, true), pods("cd", "win1", 1, true), pods("cd", "n1", 9, false)];
        let few = Case { while_running: true, ..case(few) };
        assert_eq!(doubt(&few, workload()), Some(Doubt::FewOfMany { failing: 2, exposed: 11 }));
        assert_eq!(doubt(&founding_case(), node()), None);
    }
}
