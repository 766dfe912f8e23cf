//! From raw records to matches and presence on one core, beside what bounds it and what others would do: all in one run,
//! in turns, so that the ratios hold on a machine that others use too.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aho_corasick::{AhoCorasick, AhoCorasickKind, packed};
use faultline::decode::{Format, Input};
use faultline::record::Expect;
use faultline::redaction::Redactor;
use faultline::ruleset::RuleSet;
use faultline::scanner::matcher::Matcher;
use faultline::scanner::prefilter::Traffic;
use faultline::scanner::{Limits, Options, Scanner};
use faultline::scenario::ScenarioRecord;
use faultline::time::Timestamp;

mod common;
#[path = "common/signatures.rs"]
mod signatures;

const RECORDS_PER_FLUSH: usize = 50_000;

/// One thing that is done to all records; returns something that depends on all of them.
struct Step<'r> {
    name: String,
    run: Box<dyn FnMut() -> u64 + 'r>,
    best: Duration,
}

impl<'r> Step<'r> {
    fn new(name: impl Into<String>, run: impl FnMut() -> u64 + 'r) -> Self {
        Step { name: name.into(), run: Box::new(run), best: Duration::MAX }
    }
}

fn main() {
    let records = common::chatter(common::size(100_000, 500));
    let bytes: usize = records.iter().map(|record| record.value.len()).sum();
    let teddy = teddy();
    let mut steps = vec![
        Step::new("memory, read once", || memory(&records)),
        Step::new("Teddy over 64 anchors of 5 bytes, whole records", || anchors(&records, &teddy)),
    ];
    for count in [100, 1_000] {
        let began = Instant::now();
        let matcher = Matcher::new(signatures::rules(count));
        println!("{count} rules are ready in {:.0} ms", began.elapsed().as_secs_f64() * 1e3);
        let (seen, began) = (sample(&records), Instant::now());
        black_box(Matcher::suited_to(Arc::clone(matcher.rules()), &seen));
        println!("{count} rules suited to {} messages in {:.0} ms", seen.len(), began.elapsed().as_secs_f64() * 1e3);
        steps.extend(with_rules(&records, count, matcher));
    }
    steps.extend(with_a_common_word(&records));
    // `cargo bench --bench record_path -- NAME` measures only what has NAME in its name.
    let wanted = std::env::args_os().skip(1).filter_map(|it| it.into_string().ok()).find(|it| !it.starts_with('-'));
    steps.retain(|step| wanted.as_ref().is_none_or(|name| step.name.contains(name)));
    for _ in 0..common::size(9, 1) {
        for step in &mut steps {
            let began = Instant::now();
            black_box((step.run)());
            step.best = step.best.min(began.elapsed());
        }
    }
    println!("{} records of {} bytes, the best of some rounds", records.len(), bytes / records.len());
    for step in &steps {
        let seconds = step.best.as_secs_f64();
        let (speed, each) = (bytes as f64 / seconds / 1e9, seconds * 1e9 / records.len() as f64);
        println!("{:44} {speed:6.2} GB/s {each:7.0} ns per record", step.name);
    }
    ratios(&steps);
}

fn with_rules(records: &[ScenarioRecord], count: usize, matcher: Matcher) -> Vec<Step<'_>> {
    let matcher = std::rc::Rc::new(matcher);
    let automaton = AhoCorasick::builder().kind(Some(AhoCorasickKind::DFA)).build(signatures::literals(count));
    let automaton = std::rc::Rc::new(automaton.expect("the literals are few"));
    let path = |prefilter| {
        let matcher = std::rc::Rc::clone(&matcher);
        let mut scanner = scanner(prefilter);
        move || scan(&mut scanner, &matcher, records)
    };
    let filter = {
        let matcher = std::rc::Rc::clone(&matcher);
        move || records.iter().map(|it| u64::from(matcher.prefilter().may_match(it.value.as_bytes()))).sum()
    };
    let owned = {
        let automaton = std::rc::Rc::clone(&automaton);
        move || parsed(records, &automaton)
    };
    vec![
        Step::new(format!("literal filter alone, whole records, {count}"), filter),
        Step::new(format!("record path, {count}"), path(true)),
        Step::new(format!("record path, prefilter: off, {count}"), path(false)),
        Step::new(format!("serde_json, borrowed, and Aho-Corasick, {count}"), move || borrowed(records, &automaton)),
        Step::new(format!("serde_json and Aho-Corasick, {count}"), owned),
    ]
}

/// As many messages as are kept.
fn sample(records: &[ScenarioRecord]) -> Traffic {
    let mut seen = Traffic::default();
    for record in records {
        let value: serde_json_borrow::Value<'_> = serde_json::from_str(&record.value).expect("chatter is JSON");
        seen.add(value.get("log").as_str().unwrap_or_default().as_bytes());
    }
    seen
}

/// 100 rules and one that is looked for by words that are rare in most logs, and common in these.
fn with_a_common_word(records: &[ScenarioRecord]) -> [Step<'_>; 2] {
    let rule =
        "- {id: seldom, title: t, severity: error, match: {log: {all: [SyncProxyRules complete, but not so]}}}\n";
    let rules = RuleSet::parse(&[("r.yaml", &(signatures::text(100) + rule))]).expect("valid rules");
    let before = Matcher::new(Arc::new(rules));
    let after = Matcher::suited_to(Arc::clone(before.rules()), &sample(records));
    let path = |name: &str, matcher: Matcher| {
        let mut scanner = scanner(true);
        Step::new(name, move || scan(&mut scanner, &matcher, records))
    };
    [path("record path, a rule's words are common", before), path("record path, suited to that", after)]
}

fn ratios(steps: &[Step<'_>]) {
    let time =
        |name: &str| steps.iter().find(|step| step.name == name).map_or(f64::NAN, |step| step.best.as_secs_f64());
    for count in [100, 1_000] {
        let path = time(&format!("record path, {count}"));
        let times = |name: &str| time(&format!("{name}, {count}")) / path;
        println!(
            "{count} rules: {:.1} times as fast as without the prefilter, {:.1} as serde_json and Aho-Corasick, {:.1} \
             where that borrows; memory is {:.1} times as fast",
            times("record path, prefilter: off"),
            times("serde_json and Aho-Corasick"),
            times("serde_json, borrowed, and Aho-Corasick"),
            path / time("memory, read once")
        );
    }
}

fn memory(records: &[ScenarioRecord]) -> u64 {
    let word = |word: &[u8; 8]| u64::from_le_bytes(*word);
    records
        .iter()
        .map(|it| it.value.as_bytes().as_chunks().0.iter().map(word).fold(0, u64::wrapping_add))
        .max()
        .unwrap_or(0)
}

/// The other way to look for few literals, in letters of one case only.
fn teddy() -> packed::Searcher {
    let literals = signatures::literals(64);
    let ends = literals.iter().map(|literal| &literal[literal.len() - 5..]);
    packed::Config::new().builder().extend(ends).build().expect("Teddy is there on this machine")
}

fn anchors(records: &[ScenarioRecord], teddy: &packed::Searcher) -> u64 {
    records.iter().map(|record| u64::from(teddy.find(&record.value).is_some())).sum()
}

fn scanner(prefilter: bool) -> Scanner {
    let options =
        Options { cluster: "default".into(), limits: Limits::default(), prefilter, redactor: Redactor::standard() };
    let mut scanner = Scanner::new(options, "bench".into());
    scanner.assign(common::partition(), Input::new(Format::Auto, Expect::Logs));
    scanner
}

fn scan(scanner: &mut Scanner, matcher: &Matcher, records: &[ScenarioRecord]) -> u64 {
    let slot = scanner.assign(common::partition(), Input::new(Format::Auto, Expect::Logs));
    let mut matches = 0;
    for (offset, record) in (0..).zip(records) {
        let record = common::record(offset, &record.value);
        matches += u64::from(scanner.scan(matcher, slot, &record).expect("chatter is well-formed").matches);
        if (offset as usize + 1).is_multiple_of(RECORDS_PER_FLUSH) {
            black_box(scanner.flush(Timestamp::default()));
        }
    }
    assert!(matches > 0 || records.len() < 2_000, "every 2,000th record matches");
    matches
}

fn parsed(records: &[ScenarioRecord], automaton: &AhoCorasick) -> u64 {
    let matches = |record: &ScenarioRecord| {
        let value: serde_json::Value = serde_json::from_str(&record.value).expect("chatter is JSON");
        value["log"].as_str().is_some_and(|log| automaton.is_match(log))
    };
    records.iter().map(|record| u64::from(matches(record))).sum()
}

fn borrowed(records: &[ScenarioRecord], automaton: &AhoCorasick) -> u64 {
    let matches = |record: &ScenarioRecord| {
        let value: serde_json_borrow::Value<'_> = serde_json::from_str(&record.value).expect("chatter is JSON");
        value.get("log").as_str().is_some_and(|log| automaton.is_match(log))
    };
    records.iter().map(|record| u64::from(matches(record))).sum()
}
