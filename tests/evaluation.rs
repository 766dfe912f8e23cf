//! A net below the localiser: some simulated cases, and what must be said about them. `faultline evaluate` measures
//! hundreds; these are few, so that they can be run at every change.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use faultline::alert::{Alert, Status, Suspect, Verdict};
use faultline::bundled;
use faultline::engine::Engine;
use faultline::evaluate_command;
use faultline::evaluation::{Approach, Bench, Class, Results};
use faultline::laboratory;
use faultline::replay;
use faultline::ruleset::RuleSet;
use faultline::scanner::matcher::Matcher;
use faultline::simulator::{Kind, Setup, simulate};

fn bench() -> Bench {
    Bench::new(Arc::new(RuleSet::parse(bundled::RULES).expect("the bundled rules are right")))
}

/// Small clusters: more of them are watched in the same time.
const NODES: usize = 5;

const CASES: &[(Kind, u64)] = &[
    (Kind::CrashLoopers, 1),
    (Kind::Rollout, 5),
    (Kind::NodeTwoPods, 4),
    (Kind::NodeThreePods, 5),
    (Kind::NodePool, 3),
    (Kind::Workload, 2),
    (Kind::TwoFaults, 6),
    (Kind::RecoverRestart, 5),
    (Kind::Silence, 2),
];

#[test]
fn what_is_at_fault_is_named_and_nothing_else() {
    let bench = bench();
    let setups: Vec<Setup> = CASES.iter().map(|&(kind, seed)| Setup { kind, seed, nodes: Some(NODES) }).collect();
    let cases = evaluate_command::run(&bench, &setups, 2);
    let results = Results { cases, command: String::new(), seeds: String::new(), threshold: bench.threshold };
    for case in &results.cases {
        let judgement = case.judgement(Approach::Faultline);
        assert_eq!(judgement.class, Class::Right, "\n{}", results.failures());
        assert!(judgement.faults.iter().all(|fault| !fault.resolution.is_bad()), "\n{}", results.failures());
        assert_eq!(judgement.wrong_nodes(), 0, "\n{}", results.failures());
    }
}

/// What was told of whom.
type Verdicts = BTreeSet<(Suspect, Verdict)>;

fn replayed(setup: &Setup) -> Verdicts {
    let (bench, directory) = (bench(), tempfile::tempdir().unwrap());
    laboratory::write(&simulate(setup), directory.path()).unwrap();
    let files = std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|extension| extension == "ndjson")).collect();
    files.sort();
    let engine = Engine::new(Matcher::new(bench.rules), bench.scanner, bench.correlator);
    let mut out = Vec::new();
    replay::run(&files, engine, &mut out, replay::Options::new(1 << 20)).unwrap();
    let lines = out.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let alerts = lines.map(|line| serde_json::from_slice::<Alert>(line).unwrap());
    alerts.filter(|alert| alert.status == Status::Firing).map(|alert| (alert.suspect, alert.verdict)).collect()
}

/// Who reads the files learns when records were told, not when they arrived: the verdicts must not depend on it.
#[test]
fn a_replay_of_the_files_says_the_same() {
    let setup = Setup { kind: Kind::Node, seed: 1, nodes: Some(NODES) };
    let told = bench().examine(&setup).told;
    let told: Verdicts = told
        .into_iter()
        .filter(|told| told.status == Status::Firing)
        .map(|told| (told.suspect, told.verdict))
        .collect();
    assert!(!told.is_empty());
    assert_eq!(replayed(&setup), told);
}
