//! The bundled rules are silent on what usual software writes in good health: mentions of failures, errors that programs
//! survive, starts and stops. The lines under `fixtures/healthy` are written for this test, in the producers' shapes.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use faultline::bundled;
use faultline::ruleset::RuleSet;
use faultline::scanner::matcher::{Matcher, Scratch};
use faultline::scanner::naive::log_entry;

#[test]
fn healthy_logs_match_nothing() {
    let matcher = Matcher::new(Arc::new(RuleSet::parse(bundled::RULES).unwrap()));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/healthy");
    let mut scratch = Scratch::default();
    let (mut lines, mut alarms) = (0, Vec::new());
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for file in &files {
        let text = fs::read_to_string(file).unwrap();
        for line in text.lines() {
            lines += 1;
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            matcher.scan(&log_entry(line), &mut scratch, |hit| alarms.push(format!("{name}: {}: {line}", hit.rule.id)));
        }
    }
    assert!(lines >= 300, "{lines} lines in {} files", files.len());
    assert!(alarms.is_empty(), "\n{}", alarms.join("\n"));
}

/// A text that names what a rule looks for is no failure, be it a question, a search or a title.
#[test]
fn a_mention_is_no_match() {
    let matcher = Matcher::new(Arc::new(RuleSet::parse(bundled::RULES).unwrap()));
    let mut scratch = Scratch::default();
    let mut alarms = Vec::new();
    for rule in matcher.rules().rules() {
        let wanted = rule.log.iter().flat_map(|log| log.all.iter().chain(&log.any));
        for literal in wanted {
            for mention in [
                format!("INFO docs: search for \"{literal}\" gave 3 results in 2 ms"),
                format!("GET /search?q={literal} 200 12ms"),
                format!("user 7 asked: what does {literal} mean, and is it bad?"),
                format!("loaded the alert '{literal}' and 7 others"),
            ] {
                let alarm = |id: &str| format!("{id}: {mention}");
                matcher.scan(&log_entry(&mention), &mut scratch, |hit| alarms.push(alarm(&hit.rule.id)));
            }
        }
    }
    assert!(alarms.is_empty(), "\n{}", alarms.join("\n"));
}
