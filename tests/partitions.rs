//! How the records are spread over partitions decides nothing.

use std::collections::BTreeSet;
use std::time::Duration;

use faultline::alert::{Alert, Status, Suspect, Verdict};
use faultline::correlator::Options;
use faultline::scenario::{self, ScenarioRecord};
use faultline::time::Timestamp;
use proptest::prelude::*;

mod play;

const MINUTE: Duration = Duration::from_secs(60);

fn told(alerts: &[Alert]) -> BTreeSet<(&'static str, Suspect, Verdict)> {
    let status = |alert: &Alert| if alert.status == Status::Firing { "firing" } else { "resolved" };
    alerts.iter().map(|alert| (status(alert), alert.suspect.clone(), alert.verdict)).collect()
}

/// Any partition for any record, but always the same for the same arguments.
fn scattered(index: usize, salt: u64, partitions: usize) -> usize {
    let mixed =
        (index as u64 ^ salt).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed >> 33) as usize % partitions
}

fn spread_says_the_same(records: &[ScenarioRecord], salt: u64) {
    let whole = play::play(records, Options::default(), 1, |_, _| 0);
    assert!(!whole.is_empty());
    for partitions in [2, 5] {
        let spread = |index: usize, _: &ScenarioRecord| scattered(index, salt, partitions);
        let alerts = play::play(records, Options::default(), partitions, spread);
        assert_eq!(told(&alerts), told(&whole), "{partitions} partitions");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_same_alerts_from_any_number_of_partitions(seed in any::<u64>(), salt in any::<u64>()) {
        let start = Timestamp::from_millis(1_795_356_000_000);
        let founding = scenario::founding_case(start, seed, 2 * MINUTE, 3 * MINUTE);
        prop_assert!(founding.truth.node.is_some());
        spread_says_the_same(&founding.records, salt);
        spread_says_the_same(&scenario::broken_workload(start, seed, 2 * MINUTE, 3 * MINUTE).records, salt);
    }
}
