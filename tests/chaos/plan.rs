//! What is done to the processes, the network and the broker, and when: made from a seed alone.

use std::time::Duration;

use crate::random::Random;

/// Places for instances.
pub const SLOTS: usize = 3;

#[derive(Clone, Debug)]
pub struct Plan {
    pub clusters: usize,
    /// Instances at the beginning.
    pub instances: usize,
    /// How long records come in, and things go wrong.
    pub storm: Duration,
    /// Ordered by time.
    pub blows: Vec<(Duration, Blow)>,
    /// How the instances end when the storm is over.
    pub killed_at_the_end: bool,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Blow {
    /// SIGKILL; the supervisor starts it anew. Of the instances that are up, counted round and round, as below.
    Kill(usize),
    /// SIGKILL for all of them after the broker was told not to hear the requests that finish something.
    KillAll(&'static str),
    /// SIGSTOP; SIGCONT follows after this long.
    Stop(usize, Duration),
    /// SIGTERM; the supervisor starts it anew.
    End(usize),
    /// SIGTERM, and nobody starts it anew.
    Remove(usize),
    /// One instance more, if there is a place.
    Add,
    /// The broker is away for this long, and has kept its data.
    Restart(Duration),
    /// So many of a hundred connections are cut.
    Cut(usize),
    /// One direction of some connection is closed.
    HalfClose(usize, bool),
    /// Nothing passes for this long.
    HoldUp(Duration),
    /// Something that the broker is told to do wrong.
    Order(String),
}

/// Requests whose loss must be borne. What is applied and whose answer is lost is the harder case.
const REQUESTS: [&str; 9] = [
    "produce",
    "end-txn",
    "offset-commit",
    "txn-offset-commit",
    "add-partitions-to-txn",
    "add-offsets-to-txn",
    "init-producer-id",
    "offset-fetch",
    "fetch",
];

/// What leaves something unfinished: alerts that are written and not committed, reports or alerts without offsets.
const UNFINISHED: [&str; 4] = ["unfinished alerts 9", "unfinished alerts 9", "drop end-txn 9", "drop offset-commit 9"];

/// Errors that brokers answer in a bad hour, and that pass.
const ERRORS: [(&str, i16); 8] = [
    ("produce", 6),        // NOT_LEADER_OR_FOLLOWER
    ("produce", 7),        // REQUEST_TIMED_OUT
    ("offset-commit", 14), // COORDINATOR_LOAD_IN_PROGRESS
    ("end-txn", 14),
    ("end-txn", 16),               // NOT_COORDINATOR
    ("add-partitions-to-txn", 51), // CONCURRENT_TRANSACTIONS
    ("init-producer-id", 14),
    ("fetch", 6),
];

impl Plan {
    pub fn of(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let clusters = small(random.between(8, 16));
        let storm = Duration::from_millis(random.between(7000, 12_000));
        let instances = small(random.between(2, SLOTS as u64));
        let mut blows = Vec::new();
        for _ in 0..random.between(8, 18) {
            // Not before the first instances read.
            let at = Duration::from_millis(random.between(1200, u64::try_from(storm.as_millis()).expect("short")));
            blow(&mut random, at, &mut blows);
        }
        blows.sort_by_key(|(at, _)| *at);
        Plan { clusters, instances, storm, blows, killed_at_the_end: random.below(2) == 0 }
    }
}

fn blow(random: &mut Random, at: Duration, blows: &mut Vec<(Duration, Blow)>) {
    let slot = small(random.below(SLOTS as u64));
    let wait = |random: &mut Random, least, most| Duration::from_millis(random.between(least, most));
    let blow = match random.below(100) {
        0..15 => Blow::Kill(slot),
        15..28 => Blow::KillAll(UNFINISHED[small(random.below(4))]),
        28..40 => {
            // Longer than a session, in half of the cases: its partitions go to others while it sleeps.
            Blow::Stop(slot, wait(random, 100, 4000))
        }
        40..48 => Blow::End(slot),
        48..53 => {
            blows.push((at + wait(random, 300, 2000), Blow::Add));
            Blow::Remove(slot)
        }
        53..58 => Blow::Add,
        58..68 => Blow::Restart(wait(random, 50, 1500)),
        68..75 => Blow::Cut(small(random.between(10, 100))),
        75..79 => Blow::HalfClose(small(random.below(50)), random.below(2) == 0),
        79..83 => Blow::HoldUp(wait(random, 50, 1000)),
        83..95 => {
            let how = *random.pick(&["lose", "lose", "drop"]);
            Blow::Order(format!("{how} {} {}", random.pick(&REQUESTS), random.between(1, 3)))
        }
        _ => {
            let (api, code) = *random.pick(&ERRORS);
            Blow::Order(format!("error {api} {} {code}", random.between(1, 2)))
        }
    };
    blows.push((at, blow));
}

fn small(number: u64) -> usize {
    usize::try_from(number).expect("small")
}

#[test]
fn a_seed_makes_one_plan_and_many_make_every_blow() {
    assert_eq!(format!("{:?}", Plan::of(7)), format!("{:?}", Plan::of(7)));
    let all: Vec<Blow> = (0..100).flat_map(|seed| Plan::of(seed).blows).map(|(_, blow)| blow).collect();
    let kinds = ["Kill(", "KillAll", "Stop", "End", "Remove", "Add", "Restart", "Cut", "HalfClose", "HoldUp", "Order"];
    for kind in kinds {
        assert!(all.iter().any(|blow| format!("{blow:?}").starts_with(kind)), "{kind}");
    }
    assert!(Plan::of(3).blows.is_sorted_by_key(|(at, _)| *at));
}
