//! A correlate stage that goes on from a snapshot says what it would have said without the break, and knows what it
//! would have known.

use std::sync::Arc;

use faultline::bundled;
use faultline::correlator::Options;
use faultline::engine::Engine;
use faultline::evaluation::{Bench, watch};
use faultline::report::Report;
use faultline::ruleset::RuleSet;
use faultline::scanner::matcher::Matcher;
use faultline::shard::Shard;
use faultline::shard::snapshot::{Gatherer, Slot, Snapshot, pack};
use faultline::simulator::{Kind, Setup, simulate};

/// Written anew with `FAULTLINE_BLESS=1 cargo test --test snapshots`, when `LAYOUT` in src/correlator/saved.rs is raised.
const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/state.bin");

const CASES: &[(Kind, u64)] =
    &[(Kind::NodeThreePods, 5), (Kind::Workload, 2), (Kind::TwoFaults, 6), (Kind::RecoverRestart, 5)];

fn bench() -> Bench {
    Bench::new(Arc::new(RuleSet::parse(bundled::RULES).expect("the bundled rules are right")))
}

fn reports(bench: &Bench, kind: Kind, seed: u64) -> Vec<Vec<u8>> {
    let matcher = Matcher::new(Arc::clone(&bench.rules));
    let mut engine = Engine::new(matcher, bench.scanner.clone(), bench.correlator);
    let mut reports: Vec<Report> = Vec::new();
    let simulation = simulate(&Setup { kind, seed, nodes: Some(4) });
    watch(&simulation, &mut engine, bench.pace, |flushed| reports.extend(flushed.reports));
    reports.iter().map(|report| serde_json::to_vec(report).unwrap()).collect()
}

fn apply(shard: &mut Shard, bench: &Bench, reports: &[Vec<u8>]) -> Vec<String> {
    let outcomes = reports.iter().map(|report| shard.apply(report, &bench.rules, bench.correlator).unwrap());
    outcomes.flat_map(|outcome| outcome.alerts).map(|alert| serde_json::to_string(&alert).unwrap()).collect()
}

/// Through the topic and back.
fn moved(shard: &Shard, bench: &Bench) -> Shard {
    let snapshot = Snapshot { next: 1, state: shard.save().unwrap() };
    let mut gatherer = Gatherer::new("g/0/".to_owned());
    for message in pack(&snapshot, "g/0/", Slot::A, 10_000).unwrap() {
        gatherer.add(message.key.as_bytes(), &message.value);
    }
    let (_, found) = gatherer.before(1).next().unwrap();
    Shard::restore(&found.unwrap().state, &bench.rules, bench.correlator).unwrap()
}

#[test]
fn a_shard_that_is_moved_again_and_again_says_the_same() {
    let bench = bench();
    for &(kind, seed) in CASES {
        let reports = reports(&bench, kind, seed);
        let mut whole = Shard::default();
        let expected = apply(&mut whole, &bench, &reports);
        assert!(expected.len() >= 2, "{kind:?}: something happens");

        let mut shard = Shard::default();
        let mut told = Vec::new();
        for stretch in reports.chunks(reports.len() / 23) {
            shard = moved(&shard, &bench);
            told.extend(apply(&mut shard, &bench, stretch));
        }
        assert_eq!(told, expected, "{kind:?}");
        assert!(shard.save() == whole.save(), "{kind:?}: the same is known at the end");
    }
}

#[test]
fn what_changed_rules_saw_is_forgotten_and_the_rest_is_not() {
    let bench = bench();
    let reports = reports(&bench, Kind::NodeThreePods, 5);
    let mut shard = Shard::default();
    let told = apply(&mut shard, &bench, &reports[..reports.len() / 2]);
    assert!(!told.is_empty());
    let failing = |shard: &Shard| shard.sizes().map(|sizes| sizes.failing_pods).sum::<usize>();
    let saved = shard.save().unwrap();
    let same = Shard::restore(&saved, &bench.rules, bench.correlator).unwrap();
    assert_eq!(failing(&same), failing(&shard));
    let none = Arc::new(RuleSet::parse::<&str, &str>(&[]).unwrap());
    let other = Shard::restore(&saved, &none, bench.correlator).unwrap();
    let mut changed = shard;
    apply(&mut changed, &Bench::new(Arc::clone(&none)), &reports[..1]);
    assert_eq!(failing(&other), failing(&changed), "as if the rules had changed while it ran");
    assert!(failing(&other) < failing(&same));
}

#[test]
fn a_state_under_other_windows_is_refused() {
    let bench = bench();
    let mut shard = Shard::default();
    apply(&mut shard, &bench, &reports(&bench, Kind::Workload, 2)[..5]);
    let mut options = bench.correlator;
    options.windows.slide *= 2;
    let error = Shard::restore(&shard.save().unwrap(), &bench.rules, options).err().expect("refused");
    assert!(error.to_string().contains("slide"), "{error}");
    assert!(Shard::restore(b"nonsense", &bench.rules, Options::default()).is_err());
}

const OWN_RULES: &str = r#"
- {id: error, title: t, severity: error, match: {log: {any: ["rror", "fail"]}}, tests: {match: [error]}}
- {id: back-off, title: t, severity: error, match: {event: {reason: [BackOff]}}, tests: {match: [x]}}
"#;

/// A state written by an earlier build is read, and written, as it was: else its layout has another number now.
#[test]
fn the_layout_is_what_its_number_says() {
    // Rules of its own: those that are bundled change for other reasons.
    let bench = Bench::new(Arc::new(RuleSet::parse(&[("own.yaml", OWN_RULES)]).unwrap()));
    if std::env::var_os("FAULTLINE_BLESS").is_some() {
        let mut shard = Shard::default();
        let reports = reports(&bench, Kind::TwoFaults, 6);
        apply(&mut shard, &bench, &reports[..reports.len() * 2 / 3]);
        std::fs::write(GOLDEN, zstd::bulk::compress(&shard.save().unwrap(), 19).unwrap()).unwrap();
    }
    let golden = zstd::stream::decode_all(&*std::fs::read(GOLDEN).unwrap()).unwrap();
    let shard = Shard::restore(&golden, &bench.rules, bench.correlator).expect("raise LAYOUT, and bless");
    assert!(shard.sizes().all(|sizes| sizes.failing_pods > 2 && sizes.incidents > 0 && sizes.pods > 10));
    assert!(shard.save().unwrap() == golden, "raise LAYOUT, and bless");
}
