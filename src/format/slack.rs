//! Slack messages of Block Kit, to be read at three in the morning: what, how sure, since when, why, what to do.
//!
//! All that comes from records is code, plain text or in look-alikes ([`mrkdwn`]): no log line mentions anybody, forges a
//! link or breaks out of its block.

use super::{Context, Message, Thread, Written, json, text, thread, words};
use crate::alert::{Alert, Signal, Status};
use crate::signature::Severity;

mod blocks;
mod mrkdwn;

use blocks::{Block, Body};
use mrkdwn::{FENCES, Mrkdwn, inert};

/// Slack documents 50 blocks and 3000 characters for each, and takes about 13,000 in all, of which every block costs some
/// that nobody wrote (<https://github.com/slackapi/bolt-js/issues/2509>). The shares below come to 10,000 and 15 blocks;
/// `tests/formats.rs` fills them all.
const HEADER_UNITS: usize = 150;
const FALLBACK_UNITS: usize = 500;
const SUMMARY_UNITS: usize = 900;
const NAME_UNITS: usize = 255;
const WORDS_UNITS: usize = 80;
const SIGNALS: usize = 3;
const SIGNAL_WORDS_UNITS: usize = 200;
const SAMPLE_UNITS: usize = 350;
const FAILING: usize = 10;
const FAILING_UNITS: usize = 900;
const OTHERS: usize = 3;
const OTHER_UNITS: usize = 200;
const ACTION_UNITS: usize = 1000;
const NOTES: usize = 10;
const NOTE_UNITS: usize = 300;
const NOTES_UNITS: usize = 700;
const RUNBOOK_UNITS: usize = 300;

pub fn write(alert: &Alert, context: &Context<'_>) -> Written {
    let body = Body::new(fallback(alert), blocks(alert, context.told));
    let message = Message {
        id: alert.id.clone(),
        key: alert.dedup_key.clone(),
        content_type: "application/json",
        headers: Vec::new(),
        value: json(&body),
    };
    Written { messages: vec![message], thread: thread(alert) }
}

/// What a notification shows.
fn fallback(alert: &Alert) -> String {
    let said = format!("{}: {}: {}", words::state(alert), alert.cluster, alert.summary);
    inert(&text::named(&said, FALLBACK_UNITS), FALLBACK_UNITS)
}

fn blocks(alert: &Alert, told: Option<&Thread>) -> Vec<Block> {
    let title = format!("{} {}: {}", light(alert), words::state(alert), alert.suspect.in_words());
    let mut blocks = vec![
        Block::header(&text::line(&title), HEADER_UNITS),
        Block::plain(&text::line(&alert.summary), SUMMARY_UNITS),
    ];
    match alert.status {
        Status::Firing => firing(alert, told, &mut blocks),
        Status::Resolved => resolved(alert, &mut blocks),
    }
    blocks.push(Block::context(&text::line(&format!("faultline · {}", alert.id)), NAME_UNITS + FENCES));
    blocks
}

/// Tells messages from each other at a glance.
fn light(alert: &Alert) -> char {
    match (alert.status, alert.severity) {
        (Status::Resolved, _) => '🟢',
        (Status::Firing, Severity::Critical | Severity::Error) => '🔴',
        (Status::Firing, Severity::Warning) => '🟠',
        (Status::Firing, Severity::Info) => '🔵',
    }
}

fn firing(alert: &Alert, told: Option<&Thread>, blocks: &mut Vec<Block>) {
    blocks.push(Block::fields(vec![
        Mrkdwn::new("*Cluster*\n").code(&alert.cluster, NAME_UNITS),
        Mrkdwn::new("*Severity*\n").and(alert.severity.as_str()),
        Mrkdwn::new("*Probability*\n").text(&words::percent(alert.probability), WORDS_UNITS),
        Mrkdwn::new("*Failing pods*\n").text(&words::failing_inside(alert), WORDS_UNITS),
        Mrkdwn::new("*Elsewhere*\n").text(&words::failing_elsewhere(alert), WORDS_UNITS),
        Mrkdwn::new("*Since*\n").time(alert.starts_at),
    ]));
    blocks.extend(told.filter(|told| told.key != alert.dedup_key).map(widened));
    blocks.extend(alert.signals.iter().take(SIGNALS).map(signal));
    blocks.extend(more_signals(alert));
    blocks.extend(failing(alert));
    blocks.extend(others(alert));
    blocks.extend(alert.action.as_deref().and_then(action));
    blocks.extend(notes(alert));
    blocks.extend(alert.runbook.as_deref().map(runbook));
}

fn resolved(alert: &Alert, blocks: &mut Vec<Block>) {
    let ends_at = alert.ends_at.unwrap_or(alert.updated_at);
    let lasted = words::duration(ends_at.since(alert.starts_at));
    blocks.push(Block::fields(vec![
        Mrkdwn::new("*Cluster*\n").code(&alert.cluster, NAME_UNITS),
        Mrkdwn::new("*Lasted*\n").text(&lasted, WORDS_UNITS),
        Mrkdwn::new("*Since*\n").time(alert.starts_at),
        Mrkdwn::new("*Until*\n").time(ends_at),
    ]));
    let wider = alert.superseded_by.as_deref();
    blocks.extend(wider.map(|key| Block::mrkdwn(Mrkdwn::new("Goes on as ").code(key, NAME_UNITS))));
    blocks.extend(notes(alert));
}

fn widened(told: &Thread) -> Block {
    Block::mrkdwn(Mrkdwn::new("The same fault, wider than it was told: replaces ").code(&told.key, NAME_UNITS))
}

fn signal(signal: &Signal) -> Block {
    let words = Mrkdwn::new("*Signal* ")
        .code(&signal.signature, NAME_UNITS)
        .and(": ")
        .text(&words::signal(signal), SIGNAL_WORDS_UNITS);
    Block::mrkdwn(match &signal.sample {
        Some(sample) => words.and("\n").lines(sample, SAMPLE_UNITS),
        None => words,
    })
}

fn more_signals(alert: &Alert) -> Option<Block> {
    let names: Vec<&str> = alert.signals.iter().skip(SIGNALS).map(|signal| &*signal.signature).collect();
    let more = format!("And {}: {}", words::count(names.len() as u64, "more signal"), names.join(", "));
    (!names.is_empty()).then(|| Block::context(&text::line(&more), SIGNAL_WORDS_UNITS))
}

fn failing(alert: &Alert) -> Option<Block> {
    let total = alert.evidence.failing_pods.max(alert.failing.len() as u64);
    let pods: Vec<String> =
        alert.failing.iter().take(FAILING).map(|pod| text::line(&words::failing_pod(pod))).collect();
    let title = match pods.len() as u64 {
        0 => return None,
        told if told < total => Mrkdwn::new("*Failing pods*, the first of ").text(&total.to_string(), WORDS_UNITS),
        _ => Mrkdwn::new("*Failing pods*"),
    };
    Some(Block::mrkdwn(title.and("\n").lines(&pods.join("\n"), FAILING_UNITS)))
}

fn others(alert: &Alert) -> Option<Block> {
    let mut words = Mrkdwn::new("*Other explanations*");
    let mut others = words::others(alert).take(OTHERS).peekable();
    others.peek()?;
    for other in others {
        let percent = words::percent(other.probability);
        words = words.and("\n").code(&other.suspect.in_words(), OTHER_UNITS).and(" ").text(&percent, WORDS_UNITS);
    }
    Some(Block::mrkdwn(words))
}

fn action(action: &str) -> Option<Block> {
    let is_there = !text::line(action).is_empty();
    is_there.then(|| Block::mrkdwn(Mrkdwn::new("*What to do*\n").lines(action, ACTION_UNITS)))
}

fn notes(alert: &Alert) -> Option<Block> {
    let notes = alert.notes.iter().take(NOTES).map(|note| format!("• {}", text::named(note, NOTE_UNITS)));
    let mut notes: Vec<String> = notes.collect();
    let hidden = alert.notes.len().saturating_sub(NOTES);
    if hidden > 0 {
        notes.push(format!("• and {hidden} more"));
    }
    (!notes.is_empty()).then(|| Block::plain(&notes.join("\n"), NOTES_UNITS))
}

fn runbook(runbook: &str) -> Block {
    match text::web_address(runbook) {
        Some(url) if url.as_str().len() <= RUNBOOK_UNITS => Block::mrkdwn(Mrkdwn::new("").link(&url, "Runbook")),
        _ => Block::plain(&format!("Runbook: {}", text::line(runbook)), RUNBOOK_UNITS),
    }
}
