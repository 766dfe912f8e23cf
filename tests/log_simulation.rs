//! Both stages over a log in memory, in one thread, from one seed: instances crash at any step, stop and wake as zombies,
//! partitions move while work is under way, reports arrive late and twice, commits get lost or are not heard of,
//! snapshots tear, the state's topic is compacted. The scanner, the ledger, the snapshots and the correlator are the real
//! ones; what the shells do around them is modelled, literally.
//!
//! `FAULTLINE_SIMULATION_SEEDS=100000 cargo test --release --test log_simulation` runs for long; a seed that fails is
//! named, and `FAULTLINE_SIMULATION_SEED=7` runs that one alone.

use std::sync::Arc;
use std::time::{Duration, Instant};

use faultline::correlator::{Alerts, Limits as CorrelatorLimits, Options, Windows};
use faultline::notifier::Policy;
use faultline::ruleset::RuleSet;
use faultline::scanner::matcher::Matcher;

#[path = "log_simulation/broker.rs"]
mod broker;
#[path = "log_simulation/checks.rs"]
mod checks;
#[path = "log_simulation/correlating.rs"]
mod correlating;
#[path = "log_simulation/input.rs"]
mod input;
#[path = "log_simulation/random.rs"]
mod random;
#[path = "log_simulation/scanning.rs"]
mod scanning;
#[path = "log_simulation/transacting.rs"]
mod transacting;
#[path = "log_simulation/world.rs"]
mod world;

use broker::Broker;
use checks::Checks;
use random::Random;
use world::run;

const RULES: &str = r#"
- id: crashed
  title: Program crashed
  severity: critical
  match: {log: {all: ["crashed"]}}
"#;

/// So many seeds that fail tell enough.
const ENOUGH: usize = 10;

/// What the program could do wrong, to see that it is noticed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Naive {
    #[default]
    No,
    /// Input offsets are committed before the reports are acknowledged.
    UnacknowledgedCommits,
    /// Where the group left off is not asked for.
    ForgottenCommits,
    /// The correlator does not know what it has seen.
    Positions,
    /// The broker lets everyone commit everything.
    Fencing,
    /// A scanner does not notice that it was stopped.
    Stops,
}

/// What a step may look at and change.
pub struct Scene<'s, 'w> {
    pub broker: &'s mut Broker,
    pub checks: &'s mut Checks<'w>,
    pub random: &'s mut Random,
    pub tally: &'s mut Tally,
    /// Milliseconds of the simulation; event times are of the same clock.
    pub now: i64,
    epoch: Instant,
    pub naive: Naive,
    /// Whether things still go wrong.
    pub chaos: bool,
}

impl Scene<'_, '_> {
    pub fn instant(&self) -> Instant {
        self.epoch + Duration::from_millis(self.now as u64)
    }
}

/// How much happened.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub steps: u64,
    pub crashes: u64,
    pub stalls: u64,
    pub moves: u64,
    pub snapshots: u64,
    pub restored: u64,
    pub transactions: u64,
    pub aborted: u64,
    pub spoilt: u64,
    pub alerts: u64,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        let Tally { steps, crashes, stalls, moves, snapshots, restored, transactions, aborted, spoilt, alerts } = other;
        self.steps += steps;
        self.crashes += crashes;
        self.stalls += stalls;
        self.moves += moves;
        self.snapshots += snapshots;
        self.restored += restored;
        self.transactions += transactions;
        self.aborted += aborted;
        self.spoilt += spoilt;
        self.alerts += alerts;
    }
}

/// What all seeds share.
pub struct Parts {
    rules: Arc<RuleSet>,
    matcher: Matcher,
    options: Options,
    policy: Policy,
}

impl Parts {
    fn new() -> Self {
        let rules = Arc::new(RuleSet::parse(&[("simulation.yaml", RULES)]).expect("the rules are right"));
        let options = Options {
            windows: Windows { size: Duration::from_secs(60), ..Windows::default() },
            alerts: Alerts {
                warm_up: Duration::from_secs(20),
                recovered_after: Duration::from_secs(25),
                ..Alerts::default()
            },
            limits: CorrelatorLimits { pod_ttl: Duration::from_secs(30), ..CorrelatorLimits::default() },
            ..Options::default()
        };
        Parts { matcher: Matcher::new(Arc::clone(&rules)), rules, options, policy: Policy::to_all(["alerts"]) }
    }
}

fn seeds(default: u64) -> std::ops::Range<u64> {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    match number("FAULTLINE_SIMULATION_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("FAULTLINE_SIMULATION_SEEDS").unwrap_or(default),
    }
}

#[test]
fn nothing_is_lost_and_nothing_comes_twice() {
    let parts = Parts::new();
    let mut sum = Tally::default();
    let mut violations = Vec::new();
    for seed in seeds(60) {
        match run(seed, &parts, Naive::No) {
            Ok(tally) => sum += tally,
            Err(violation) => violations.push(format!("FAULTLINE_SIMULATION_SEED={seed}: {violation}")),
        }
        if violations.len() >= ENOUGH {
            break;
        }
    }
    println!("{sum:?}");
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}

/// What would be wrong is seen to be wrong.
#[test]
fn naive_ways_are_found_out() {
    let parts = Parts::new();
    let all = [Naive::UnacknowledgedCommits, Naive::ForgottenCommits, Naive::Positions, Naive::Fencing, Naive::Stops];
    for naive in all {
        let found = (0..100).find_map(|seed| run(seed, &parts, naive).err().map(|violation| (seed, violation)));
        let Some((seed, violation)) = found else { panic!("{naive:?} goes unnoticed") };
        println!("{naive:?}, seed {seed}: {violation}");
    }
}
