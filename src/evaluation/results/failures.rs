//! A case that was not perfect, in a few lines: what to run, what was true, what was told.

use std::fmt::Write;

use crate::alert::{Scope, Status, Suspect, Verdict};
use crate::evaluation::{Approach, Case, FaultJudgement, Found, Judgement, Resolution, StrayKind, Told};
use crate::simulator::Fault;
use crate::time::Timestamp;

/// `None` where there is nothing to improve.
pub(super) fn describe(case: &Case) -> Option<String> {
    let judgement = case.judgement(Approach::Faultline);
    if judgement.is_perfect() {
        return None;
    }
    let mut lines = vec![headline(case, judgement), format!("  {}", command(case))];
    let from = case.truth.from;
    for (fault, judged) in case.truth.faults.iter().zip(&judgement.faults) {
        lines.push(format!("  truth: {} => {}", truth(fault, from), fate(judged)));
    }
    for complaint in &judgement.complaints {
        lines.push(format!("  complaint: {complaint}"));
    }
    lines.extend(case.told.iter().map(|told| format!("  {} {}", mark(told, case, judgement), line(told, from))));
    Some(lines.join("\n") + "\n\n")
}

fn headline(case: &Case, judgement: &Judgement) -> String {
    let mut text = format!("{} seed {}: {}", case.setup.kind, case.setup.seed, judgement.class.name());
    for (kind, word) in
        [(StrayKind::Wrong, "wrong"), (StrayKind::Transient, "transient"), (StrayKind::Extra, "extra suspected")]
    {
        let count = judgement.strays(kind).count();
        if count > 0 {
            // Writing to a string cannot fail.
            let _ = write!(text, ", {count} {word}");
        }
    }
    let length = (case.truth.to.as_millis() - case.truth.from.as_millis()) / 1000;
    text + &format!(" ({} nodes, {} pods, {length} s)", case.truth.nodes, case.truth.pods)
}

fn command(case: &Case) -> String {
    let nodes = case.setup.nodes.map(|nodes| format!(" --nodes {nodes}")).unwrap_or_default();
    let (kind, seed) = (case.setup.kind, case.setup.seed);
    let folder = format!("{kind}-{seed}");
    format!(
        "faultline simulate --kind {kind} --seed {seed}{nodes} --out {folder} && faultline replay {folder}/*.ndjson"
    )
}

fn truth(fault: &Fault, from: Timestamp) -> String {
    let names: Vec<String> = std::iter::once(&fault.suspect).chain(&fault.also_right).map(name).collect();
    let mut text = names.join(" or ");
    if !fault.grew_from.is_empty() {
        let small: Vec<String> = fault.grew_from.iter().map(name).collect();
        text.push_str(&format!(" (grown from {})", small.join(", ")));
    }
    let since = |time: Option<Timestamp>| time.map_or("never".to_owned(), |time| offset(time, from));
    let (first, second) = (fault.failing.first().map(|failure| failure.first), fault.second_failure());
    text + &format!(
        ", began {}, {} failing (first {}, second {}), decidable from {}, recovered {}",
        offset(fault.began, from),
        fault.failing.len(),
        since(first),
        since(second),
        since(fault.decidable_from),
        since(fault.recovered)
    )
}

/// What became of the fault; what could be better in capitals.
fn fate(judged: &FaultJudgement) -> String {
    let mut text = match judged.found {
        Found::Confirmed => "confirmed",
        Found::Suspected => "only SUSPECTED",
        Found::Missed => "MISSED",
    }
    .to_owned();
    if let Some(ms) = judged.slow_ms() {
        text.push_str(&format!(", SLOW, {} s", ms / 1000));
    }
    if let Some(messages) = judged.talkative() {
        text.push_str(&format!(", {messages} MESSAGES"));
    }
    text + &ended(judged.resolution)
}

fn ended(resolution: Resolution) -> String {
    let after = |ms: i64| format!("{:+} s after recovery", ms / 1000);
    match resolution {
        Resolution::NotDue => String::new(),
        Resolution::InTime(ms) => format!(", resolved {}", after(ms)),
        Resolution::Late(ms) => format!(", resolved LATE, {}", after(ms)),
        Resolution::Early(ms) => format!(", resolved EARLY, {}", after(ms)),
        Resolution::Never => ", NEVER resolved".to_owned(),
    }
}

/// What the judge took the message's incident for; a blank for what is neither right nor wrong.
fn mark(told: &Told, case: &Case, judgement: &Judgement) -> char {
    let is_right = |fault: &Fault| fault.suspect == told.suspect || fault.also_right.contains(&told.suspect);
    let stray = judgement.stray.iter().find(|stray| stray.suspect == told.suspect);
    match stray.map(|stray| stray.kind) {
        Some(StrayKind::Wrong) => '!',
        Some(StrayKind::Transient) => '~',
        Some(StrayKind::Extra) => '?',
        None if case.truth.faults.iter().any(is_right) => '=',
        None => ' ',
    }
}

fn line(told: &Told, from: Timestamp) -> String {
    let status = match (told.status, told.verdict) {
        (Status::Firing, Verdict::Confirmed) => "confirmed",
        (Status::Firing, Verdict::Suspected) => "suspected",
        (Status::Resolved, _) => "resolved",
    };
    let by = told.superseded_by.as_ref().map(|by| format!(" -> {by}")).unwrap_or_default();
    let who = name(&told.suspect);
    format!("{:>6} {status:9} {:.3} {who}{by} | {}", offset(told.at, from), told.probability, told.summary)
}

fn name(suspect: &Suspect) -> String {
    match suspect.scope() {
        Scope::Cluster => "cluster".to_owned(),
        scope => format!("{} {}", scope.as_str(), suspect.name()),
    }
}

/// Seconds since the simulation began.
fn offset(time: Timestamp, from: Timestamp) -> String {
    format!("{}s", (time.as_millis() - from.as_millis()).div_euclid(1000))
}
