use super::*;

/// `count` pods of a workload on a node.
pub(super) fn pods(workload: &str, node: &str, count: usize, failing: bool) -> Vec<Exposed> {
    let pool = if node.starts_with("win") { "win" } else { "linux" };
    (0..count)
        .map(|at| Exposed {
            pod: format!("{workload}-{node}-{failing}-{at}").into(),
            workload: workload.into(),
            node: Some(node.into()),
            pool: Some(pool.into()),
            image: Some(format!("registry/{workload}").into()),
            failing,
            count: 1,
            bystander: false,
        })
        .collect()
}

pub(super) fn case(pods: Vec<Vec<Exposed>>) -> Case {
    let pool_nodes = BTreeMap::from([("win".into(), 3), ("linux".into(), 5)]);
    let population = Population { nodes: 5, workloads: 20, images: 20, pools: 2 };
    Case { coincidence: 0.05, pool_nodes, ..Case::of(pods.concat(), population) }
}

/// Three pods of two workloads fail on one node, their siblings run well.
pub(super) fn founding_case() -> Case {
    case(vec![
        pods("cd", "win1", 2, true),
        pods("xdb", "win1", 1, true),
        pods("cd", "win0", 8, false),
        pods("xdb", "win0", 2, false),
    ])
}

/// The first explanation's suspect, and whether it may be called confirmed at 0.8.
fn verdict(case: &Case) -> (Suspect, bool) {
    let best = &explain(case)[0].best;
    (best.suspect.clone(), best.guarded && best.probability >= 0.8)
}

#[test]
fn the_founding_case_names_the_node() {
    let case = case(vec![
        pods("cd", "win1", 2, true),
        pods("xdb", "win1", 1, true),
        pods("omsagent", "win1", 1, true),
        pods("cd", "win0", 8, false),
        pods("xdb", "win0", 2, false),
        pods("omsagent", "win0", 1, false),
    ]);
    let explanations = explain(&case);
    assert_eq!(explanations.len(), 1);
    let best = &explanations[0].best;
    assert_eq!(best.suspect, Suspect::Node("win1".into()));
    assert!(best.probability > 0.99, "{}", best.probability);
    let expected =
        Evidence { failing_pods: 4, exposed_pods: 4, failing_elsewhere: 0, exposed_elsewhere: 11, workloads: 3 };
    assert_eq!(best.evidence, expected);
}

#[test]
fn eight_nodes_that_break_are_eight_faults() {
    let workloads: Vec<String> = (0..10).map(|number| format!("w{number}")).collect();
    let on = |node: usize| {
        let broken = node < 8;
        workloads.iter().flat_map(move |workload| pods(workload, &format!("n{node:02}"), 1, broken))
    };
    let no_pool = |pod| Exposed { pool: None, ..pod };
    let population = Population { nodes: 60, workloads: 10, images: 10, pools: 0 };
    let case = Case { coincidence: 0.05, ..Case::of((0..60).flat_map(on).map(no_pool).collect(), population) };
    let found: Vec<Scope> = explain(&case).iter().map(|fault| fault.best.suspect.scope()).collect();
    assert_eq!(found, [Scope::Node; 8]);
}

#[test]
fn two_pods_of_two_workloads_are_enough() {
    let case = case(vec![
        pods("cd", "win1", 1, true),
        pods("omsagent", "win1", 1, true),
        pods("cd", "win0", 5, false),
        pods("omsagent", "win0", 1, false),
    ]);
    assert_eq!(verdict(&case), (Suspect::Node("win1".into()), true));
}

#[test]
fn one_workload_on_one_node_stays_a_suspicion() {
    let case = case(vec![pods("cd", "win1", 3, true), pods("cd", "win0", 6, false)]);
    let (suspect, confirmed) = verdict(&case);
    assert_eq!(suspect, Suspect::Node("win1".into()));
    assert!(!confirmed);
}

#[test]
fn a_workload_that_fails_everywhere_is_the_workload() {
    let case = case(vec![
        pods("api", "n1", 2, true),
        pods("api", "n2", 2, true),
        pods("api", "n3", 1, true),
        pods("web", "n1", 3, false),
        pods("web", "n2", 3, false),
    ]);
    assert_eq!(verdict(&case), (Suspect::Workload("api".into()), true));
}

#[test]
fn a_pool_is_named_when_all_its_nodes_fail() {
    let failing = ["a", "b", "c"].iter().flat_map(|w| ["win0", "win1", "win2"].map(|n| pods(w, n, 1, true)));
    let healthy = ["a", "b", "c"].iter().flat_map(|w| ["n1", "n2", "n3"].map(|n| pods(w, n, 2, false)));
    assert_eq!(verdict(&case(failing.chain(healthy).collect())), (Suspect::NodePool("win".into()), true));
}

#[test]
fn everything_everywhere_is_the_cluster() {
    let failing = |workloads: &[&str]| {
        let failing = workloads.iter().flat_map(|w| ["win0", "win1", "n2"].map(|n| pods(w, n, 2, true)));
        case(failing.collect())
    };
    assert_eq!(verdict(&failing(&["a", "b", "c", "d"])), (Suspect::Cluster, true));
    assert_eq!(verdict(&failing(&["a", "b", "c"])), (Suspect::Cluster, false), "3 of 20 workloads");
}

#[test]
fn an_image_shared_by_workloads_is_the_image() {
    let mut failing = [pods("a", "n1", 2, true), pods("b", "n2", 2, true), pods("c", "n3", 2, true)].concat();
    for pod in &mut failing {
        pod.image = Some("registry/base:broken".into());
    }
    let healthy: Vec<_> =
        ["d", "e", "f"].iter().flat_map(|w| ["n1", "n2", "n3"].map(|n| pods(w, n, 3, false))).collect();
    let case = case(vec![failing, healthy.concat()]);
    assert_eq!(verdict(&case), (Suspect::Image("registry/base:broken".into()), true));
}

#[test]
fn a_single_failing_pod_is_only_itself() {
    let case = case(vec![pods("cd", "win1", 1, true), pods("cd", "win0", 9, false)]);
    let explanations = explain(&case);
    assert_eq!(explanations[0].best.suspect.scope(), crate::alert::Scope::Pod);
}

#[test]
fn two_faults_at_once_are_both_named() {
    let case = case(vec![
        pods("a", "n1", 2, true),
        pods("b", "n1", 2, true),
        pods("c", "n1", 1, true),
        pods("api", "n2", 2, true),
        pods("api", "n3", 2, true),
        pods("api", "n4", 2, true),
        pods("a", "n2", 4, false),
        pods("b", "n3", 4, false),
        pods("c", "n4", 4, false),
    ]);
    let mut suspects: Vec<_> = explain(&case).into_iter().map(|e| (e.best.suspect, e.best.probability > 0.8)).collect();
    suspects.sort();
    assert_eq!(suspects, [(Suspect::Node("n1".into()), true), (Suspect::Workload("api".into()), true)]);
}

#[test]
fn a_node_that_accuses_itself_needs_fewer_witnesses() {
    let mut case = case(vec![pods("cd", "win1", 2, true), pods("cd", "win0", 6, false)]);
    assert!(!verdict(&case).1);
    case.accused_nodes.insert("win1".into());
    assert_eq!(verdict(&case), (Suspect::Node("win1".into()), true));
}

#[test]
fn a_class_gains_with_its_prior() {
    let mut case = case(vec![pods("cd", "win1", 2, true), pods("web", "win1", 9, false), pods("cd", "win0", 6, false)]);
    let node = |case: &Case| {
        let node = rank(case).into_iter().find(|ranked| ranked.suspect == Suspect::Node("win1".into()));
        node.unwrap().probability
    };
    let before = node(&case);
    case.priors = Priors { node: 1.0, ..case.priors }.normalized();
    assert!(node(&case) > before * 2.0, "{} after {before}", node(&case));
}

#[test]
fn probabilities_sum_to_one_at_any_size() {
    for scale in [1, 30, 1000] {
        let case = case(vec![
            pods("a", "n1", scale, true),
            pods("b", "n1", scale, true),
            pods("a", "n2", 30 * scale, false),
            pods("b", "n3", 30 * scale, false),
        ]);
        let sum: f64 = rank(&case).iter().map(|ranked| ranked.probability).sum();
        assert!((sum - 1.0).abs() < 1e-9, "{sum} at {scale}");
        assert!(rank(&case).iter().all(|ranked| ranked.probability.is_finite()));
    }
}

/// All pods of a cluster of one pool fail.
fn cluster_of_one_pool(machine_like: f64) -> Case {
    let failing = ["n1", "n2", "n3", "n4"].map(|node| [pods("a", node, 2, true), pods("b", node, 2, true)].concat());
    let mut all = failing.to_vec();
    for workload in ["c", "e"] {
        all.push(["n1", "n2", "n3", "n4"].map(|node| pods(workload, node, 1, true)).concat());
    }
    all.push(pods("d", "n1", 1, false));
    Case { machine_like, pool_nodes: BTreeMap::from([("linux".into(), 4)]), ..case(all) }
}

#[test]
fn a_fault_of_the_only_pool_is_told_under_one_name_or_the_other() {
    let all = |machine_like| {
        let explanations = explain(&cluster_of_one_pool(machine_like));
        assert_eq!(explanations.len(), 1, "{explanations:?}");
        let best = explanations.into_iter().next().unwrap().best;
        assert!(best.guarded && best.probability > 0.99, "{best:?}");
        (best.suspect, best.same_pods)
    };
    let pool = || Suspect::NodePool("linux".into());
    assert_eq!(all(1.0), (pool(), vec![Suspect::Cluster]));
    assert_eq!(all(0.1), (Suspect::Cluster, vec![pool()]), "what programs say is sooner of the cluster");
}

#[test]
fn a_guard_on_the_better_name_does_not_bring_back_the_other() {
    let failing = ["a", "b", "c"].map(|w| ["n1", "n2", "n3", "n4"].map(|node| pods(w, node, 1, true)).concat());
    let pool_nodes = BTreeMap::from([("linux".into(), 4)]);
    let few = Case { machine_like: 0.1, pool_nodes, ..case(failing.to_vec()) };
    assert_eq!(verdict(&few), (Suspect::Cluster, false), "three of twenty workloads");
}
