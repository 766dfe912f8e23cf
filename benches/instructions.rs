//! Instructions per record of the record path, which are the same however busy the machine is.
//!
//! `cargo bench --bench instructions` runs itself under callgrind with two numbers of records; what the difference took
//! is counted, so that start-up and learning are not. It fails past the bound. Without valgrind, or on another processor
//! than the bound is for, it says so and does nothing.

use std::process::{Command, ExitCode};

use faultline::decode::{Format, Input};
use faultline::record::Expect;
use faultline::redaction::Redactor;
use faultline::scanner::matcher::Matcher;
use faultline::scanner::{Limits, Options, Scanner};
use faultline::time::Timestamp;

mod common;
#[path = "common/signatures.rs"]
mod signatures;

/// With 100 rules, records of 790 bytes of which one in 2,000 matches. A tenth more than was measured when this was
/// written (docs/performance.md); what makes it less may lower it.
const MOST_PER_RECORD: u64 = 3_050;

/// Tells the child how many records to scan.
const COUNT: &str = "FAULTLINE_BENCH_RECORDS";
const FEW: u64 = 20_000;
const MORE: u64 = 40_000;

fn main() -> ExitCode {
    if let Some(count) = std::env::var(COUNT).ok().and_then(|count| count.parse().ok()) {
        scan(count);
        return ExitCode::SUCCESS;
    }
    if common::size(1, 0) == 0 {
        scan(500);
        return ExitCode::SUCCESS;
    }
    if !is_usual_processor() {
        println!("not measured: the bound is for x86-64 with AVX2");
        return ExitCode::SUCCESS;
    }
    match instructions(FEW).zip(instructions(MORE)) {
        Some((few, more)) => {
            let each = more.saturating_sub(few) / (MORE - FEW);
            println!("{each} instructions per record, at most {MOST_PER_RECORD}");
            if each <= MOST_PER_RECORD { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        None => {
            println!("not measured: valgrind is not there");
            ExitCode::SUCCESS
        }
    }
}

/// Libraries choose their code by what the processor can do.
fn is_usual_processor() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx2");
    #[cfg(not(target_arch = "x86_64"))]
    return false;
}

fn scan(count: usize) {
    // Made once and scanned again and again, so that making them is not counted.
    let records = common::chatter(common::size(FEW as usize, 500));
    let matcher = Matcher::new(signatures::rules(100));
    let options = Options {
        cluster: "default".into(),
        limits: Limits::default(),
        prefilter: true,
        redactor: Redactor::standard(),
    };
    let mut scanner = Scanner::new(options, "bench".into());
    let slot = scanner.assign(common::partition(), Input::new(Format::Auto, Expect::Logs));
    for (offset, record) in (0..count as i64).zip(records.iter().cycle()) {
        scanner.scan(&matcher, slot, &common::record(offset, &record.value)).expect("chatter is well-formed");
    }
    assert_eq!(scanner.flush(Timestamp::default()).len(), 2, "a report and a heartbeat");
}

/// All that a run over so many records took.
fn instructions(count: u64) -> Option<u64> {
    let out = std::env::temp_dir().join(format!("faultline-callgrind-{}", std::process::id()));
    let output = Command::new("valgrind")
        .arg("--tool=callgrind")
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(std::env::current_exe().ok()?)
        .arg("--bench")
        .env(COUNT, count.to_string())
        .output()
        .ok()?;
    let _ = std::fs::rename(&out, std::env::temp_dir().join("faultline-callgrind.out"));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let collected = said.lines().find_map(|line| line.split_once("Collected : "))?.1.trim().parse().ok();
    assert!(output.status.success() && collected.is_some(), "{said}");
    collected
}
