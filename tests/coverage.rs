//! The bundled rules against collected facts about failures (`../shared/signatures`), where those are at hand: every
//! example must be known to a rule, every code to its table. The facts are beside the checkout, not part of it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use faultline::bundled;
use faultline::codes::CodeTable;
use faultline::record::{Entry, KubeEvent, LogEntry};
use faultline::ruleset::RuleSet;
use faultline::scanner::matcher::{Matcher, Scratch};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Examples that no rule shall match, and why.
const EXCEPTIONS: [(&str, &str); 4] = [
    ("logmonitor-config-invalid", "the program runs on, and every healthy pod of such an image says so"),
    ("event-unhealthy-probe", "readiness probes fail in every rollout"),
    ("event-node-shutdown", "nodes are shut down on purpose every day"),
    ("event-scheduling-untolerated-taint", "the pod runs on no node yet, and the tainted nodes speak for themselves"),
];

#[derive(Deserialize)]
struct Fact {
    id: String,
    /// `log`, `event` or `either`.
    stream: String,
    event_reasons: Vec<String>,
    event_type: Option<String>,
    example: String,
}

#[derive(Deserialize)]
struct Codes {
    win32: Vec<Win32>,
    hresult_ntstatus: Vec<Wide>,
    linux_exit: Vec<Exit>,
}

#[derive(Deserialize)]
struct Win32 {
    code: u32,
    hex: String,
    hresult: String,
    hresult_signed: i64,
    name: String,
}

#[derive(Deserialize)]
struct Wide {
    code: String,
    unsigned: u64,
    signed: i64,
    name: String,
    kind: String,
}

#[derive(Deserialize)]
struct Exit {
    code: u32,
    name: String,
}

fn facts<T: DeserializeOwned>(name: &str) -> Option<T> {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/signatures").join(name);
    match fs::read(&path) {
        Ok(bytes) => Some(serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"))),
        Err(_) => {
            eprintln!("SKIPPED: {} is not there", path.display());
            None
        }
    }
}

fn matched(matcher: &Matcher, entry: &Entry<'_>) -> Vec<String> {
    let mut ids = Vec::new();
    matcher.scan(entry, &mut Scratch::default(), |hit| ids.push(hit.rule.id.to_string()));
    ids
}

fn as_log(fact: &Fact) -> Entry<'_> {
    Entry::Log(LogEntry { message: Cow::Borrowed(&fact.example), ..LogEntry::default() })
}

fn as_event<'f>(fact: &'f Fact, reason: &'f str) -> Entry<'f> {
    let event_type = Cow::Borrowed(fact.event_type.as_deref().unwrap_or_default());
    let [reason, message] = [reason, &fact.example].map(Cow::Borrowed);
    Entry::Event(KubeEvent { reason, event_type, message, ..KubeEvent::default() })
}

/// The forms in which a fact is met, each with the rules that know it.
fn forms(matcher: &Matcher, fact: &Fact) -> Vec<(String, Vec<String>)> {
    let mut forms = Vec::new();
    if fact.stream != "event" {
        forms.push(("log".to_owned(), matched(matcher, &as_log(fact))));
    }
    if fact.stream != "log" {
        let reasons = fact.event_reasons.iter();
        forms.extend(reasons.map(|reason| (format!("event {reason}"), matched(matcher, &as_event(fact, reason)))));
    }
    forms
}

#[test]
fn every_collected_example_is_known() {
    let Some(facts) = facts::<Vec<Fact>>("signatures.json") else { return };
    let matcher = Matcher::new(Arc::new(RuleSet::parse(bundled::RULES).unwrap()));
    let exceptions: BTreeMap<_, _> = EXCEPTIONS.into_iter().collect();
    let mut unknown = Vec::new();
    for fact in &facts {
        let forms = forms(&matcher, fact);
        for (form, rules) in &forms {
            eprintln!("{:<44} {form:<34} {}", fact.id, if rules.is_empty() { "-".into() } else { rules.join(", ") });
        }
        let known = forms.iter().any(|(_, rules)| !rules.is_empty());
        match exceptions.get(fact.id.as_str()) {
            Some(reason) if known => unknown.push(format!("{}: is known, although {reason}", fact.id)),
            None if !known => unknown.push(format!("{}: {}", fact.id, fact.example)),
            _ => {}
        }
    }
    eprintln!(
        "{} of {} facts are known, {} left out on purpose",
        facts.len() - unknown.len(),
        facts.len(),
        exceptions.len()
    );
    assert!(unknown.is_empty(), "\n{}", unknown.join("\n"));
}

#[test]
fn every_collected_code_has_its_name() {
    let Some(codes) = facts::<Codes>("codes.json") else { return };
    let mut wrong = Vec::new();
    let mut check = |table: CodeTable, code: &str, name: &str| {
        let known = table.lookup(code).map(|meaning| meaning.name);
        if known != Some(name) {
            wrong.push(format!("{table:?} {code}: {name} is {known:?}"));
        }
    };
    for code in &codes.win32 {
        let signed = code.hresult_signed.to_string();
        for form in [&code.code.to_string(), &code.hex, &code.hresult, &signed] {
            check(CodeTable::Win32, form, &code.name);
        }
    }
    for code in &codes.hresult_ntstatus {
        let table = if code.kind == "NTSTATUS" { CodeTable::Ntstatus } else { CodeTable::Hresult };
        let name = code.name.strip_prefix("HRESULT_FROM_WIN32(").and_then(|name| name.strip_suffix(')'));
        for form in [&code.code, &code.unsigned.to_string(), &code.signed.to_string()] {
            check(table, form, name.unwrap_or(&code.name));
        }
    }
    for code in &codes.linux_exit {
        check(CodeTable::ExitCode, &code.code.to_string(), &code.name);
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
