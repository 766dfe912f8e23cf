//! Real processes in a storm: instances are killed, stopped and replaced, connections cut, the broker restarted and
//! made to lose answers, while incidents come and go. Afterwards everything that had to be told must have been told,
//! once for a reader of committed records.
//!
//! Skipped where FAULTLINE_TEST_TXN_BROKER names no broker (`tests/transactional-broker`). FAULTLINE_CHAOS_ROUNDS sets
//! the number of rounds, FAULTLINE_CHAOS_SEED runs those of one seed alone, FAULTLINE_CHAOS_DOCUMENT names a file for
//! the result.

mod support;

#[path = "chaos/check.rs"]
mod check;
#[path = "chaos/plan.rs"]
mod plan;
#[path = "chaos/process.rs"]
mod process;
#[path = "chaos/proxy.rs"]
mod proxy;
#[path = "chaos/random.rs"]
mod random;
#[path = "chaos/round.rs"]
mod round;
#[path = "chaos/story.rs"]
mod story;
#[path = "chaos/tally.rs"]
mod tally;

use std::io::Write as _;

use plan::Plan;
use process::{Mode, Process};
use round::{ALERTS, Feeder, Outcome, Stage, read_all};
use story::Story;
use tally::Tally;

/// Of both modes together, and of these every third at least once.
const ROUNDS: u64 = 20;
/// A round waits more than it works.
const AT_A_TIME: usize = 4;
/// Several times what an instance needs for this little.
const MOST_MEMORY_KIB: u64 = 160 << 10;

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is not a number: {text}")))
}

/// Mode and seed of each round.
fn rounds() -> Vec<(Mode, u64)> {
    if let Some(seed) = number("FAULTLINE_CHAOS_SEED") {
        return vec![(Mode::ExactlyOnce, seed), (Mode::AtLeastOnce, seed)];
    }
    let mode = |seed: u64| if seed.is_multiple_of(3) { Mode::AtLeastOnce } else { Mode::ExactlyOnce };
    (1..=number("FAULTLINE_CHAOS_ROUNDS").unwrap_or(ROUNDS)).map(|seed| (mode(seed), seed)).collect()
}

/// Past the test harness, which shows nothing of tests that pass.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn weather(mode: Mode, seed: u64) -> Option<Outcome> {
    let mut outcome = round::run(&Plan::of(seed), mode)?;
    if outcome.peak_kib > MOST_MEMORY_KIB {
        let complaint = format!("an instance had {} KiB, more than {MOST_MEMORY_KIB}", outcome.peak_kib);
        outcome.judgement.complain(complaint);
    }
    let complaints = &outcome.judgement.complaints;
    let verdict = if complaints.is_empty() { "well" } else { "FAILED" };
    say(&format!(
        "chaos: seed {seed}, {}: {verdict}; {} transitions, {} alerts, {} of them in the storm, {} told again, {} kills, {} restarts, {} cuts",
        mode.name(),
        outcome.judgement.expected,
        outcome.alerts,
        outcome.told_in_storm,
        outcome.judgement.repeated,
        outcome.kills,
        outcome.restarts,
        outcome.cuts,
    ));
    if !complaints.is_empty() {
        outcome.logs.iter().for_each(|(name, text)| say(&format!("--- {name}\n{text}")));
        complaints.iter().for_each(|complaint| say(&format!("seed {seed}, {}: {complaint}", mode.name())));
    }
    Some(outcome)
}

#[test]
fn nothing_is_lost_and_nothing_told_twice() {
    let (mut exactly, mut at_least) = (Tally::new(Mode::ExactlyOnce), Tally::new(Mode::AtLeastOnce));
    let rounds = rounds();
    for pair in rounds.chunks(AT_A_TIME) {
        let outcomes: Vec<Option<Outcome>> = std::thread::scope(|scope| {
            let running: Vec<_> = pair.iter().map(|(mode, seed)| scope.spawn(|| weather(*mode, *seed))).collect();
            running.into_iter().map(|round| round.join().expect("the round itself is sound")).collect()
        });
        for ((mode, seed), outcome) in pair.iter().zip(outcomes) {
            let Some(outcome) = outcome else { return };
            let tally = if *mode == Mode::ExactlyOnce { &mut exactly } else { &mut at_least };
            tally.add(*seed, &outcome);
        }
    }
    let tallies = [&exactly, &at_least];
    say(&tally::table(&tallies));
    if let Some(path) = std::env::var_os("FAULTLINE_CHAOS_DOCUMENT") {
        let command = format!("FAULTLINE_CHAOS_ROUNDS={} cargo test --test chaos", rounds.len());
        std::fs::write(path, tally::document(&tallies, &command)).expect("the document is written");
    }
    assert!(
        exactly.failed.is_empty() && at_least.failed.is_empty(),
        "seeds {:?} failed, above",
        [exactly.failed, at_least.failed]
    );
    if rounds.len() >= 20 {
        assert!(exactly.kills_in_transaction() > 0, "no kill hit an open transaction");
    }
}

/// The control: what was written in a transaction that nobody ended is written again by the next instance. Whoever
/// reads without regard for transactions sees it twice, and that is found.
#[test]
fn a_reader_without_regard_for_transactions_sees_alerts_again() {
    let Some(mut stage) = Stage::set(Mode::ExactlyOnce) else { return };
    let story = Story::of(4);
    Feeder::new(&stage, &story.storm).feed_all();
    let mut scans = Process::start(&stage.deployment, "scans", &["--stages", "scan", "--until-end"]);
    assert!(support::eventually("all is scanned", || scans.ended()).success());
    stage.broker.order(&format!("unfinished {} 1000000", ALERTS.0));
    let correlates = Process::start(&stage.deployment, "correlates", &["--stages", "correlate"]);
    let written = || read_all(&stage.broker.address, ALERTS, "read_uncommitted").len();
    support::eventually("an alert is written", || (written() > 0).then_some(()));
    correlates.signal("-KILL");
    drop(correlates);
    assert!(read_all(&stage.broker.address, ALERTS, "read_committed").is_empty());
    stage.broker.order("clear");
    stage.finish().unwrap();
    Feeder::new(&stage, &story.calm).feed_all();
    stage.finish().unwrap();
    let outcome = stage.judge(Mode::ExactlyOnce, &story);
    assert!(outcome.judgement.complaints.is_empty(), "{:#?}", outcome.judgement);
    assert!(outcome.repeated_uncommitted > 0, "the control finds nothing");
}
