//! The founding signature, in every disguise that logging stacks put it into: bytes in, the rule matches.

use std::sync::Arc;

use faultline::bundled;
use faultline::decode::{Format, Input, decode};
use faultline::record::{Expect, Record};
use faultline::ruleset::RuleSet;
use faultline::scanner::matcher::{Matcher, Scratch};
use serde_json::{Value, json};

const RULE: &str = "windows-entrypoint-failed";
const LINE: &str = "[2026-11-22T14:51:03.000Z][LOGMONITOR] ERROR: Failed to start entrypoint process. Error: 216";

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// As a shipper that takes bytes for Latin letters writes it.
fn as_letters(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}

/// The line as it is in a record's message, by what was done to it.
fn messages() -> Vec<(&'static str, String)> {
    let nested = |line: &str| json!({"level": "error", "msg": format!("say \"no\" {line}")}).to_string();
    let wide = utf16(&format!("{LINE}\r\n"));
    vec![
        ("as it is", LINE.to_owned()),
        ("CRLF", format!("{LINE}\r\n")),
        ("colours at the start", format!("\u{1b}[31m{LINE}\u{1b}[0m\n")),
        ("colours inside", LINE.replace("ERROR", "\u{1b}[1;31mERROR\u{1b}[m")),
        ("a compose prefix", format!("web_1  | {LINE}")),
        ("UTF-16", as_letters(&wide)),
        ("UTF-16 cut after the line feed before", as_letters(&wide[1..])),
        ("UTF-16, bytes not letters", String::from_utf8_lossy(&[b"\xff\xfe".as_slice(), &wide].concat()).into_owned()),
        ("JSON", nested(LINE)),
        ("JSON in JSON", json!({"log": nested(LINE)}).to_string()),
        (
            "Docker's line",
            json!({"log": format!("{LINE}\r\n"), "stream": "stdout", "time": "2026-11-22T14:51:03Z"}).to_string(),
        ),
        ("a CRI line", format!("2026-11-22T14:51:03.000000000Z stdout F {LINE}")),
        (
            "LogMonitor 2",
            format!(r#"{{"Source":"Process","LogEntry":{{"Logline":"{LINE}"}},"SchemaVersion":"1.0.0"}}"#),
        ),
        (
            "LogMonitor 2, no JSON",
            format!(r#"{{"Source":"Process","LogEntry":{{"Logline":"C:\no "{LINE}""}},"SchemaVersion":"1.0.0"}}"#),
        ),
        ("LogMonitor 2, bytes lost", format!("{LINE} for caf??")),
        ("LogMonitor 1", format!("<Source>File</Source><LogEntry>{}</LogEntry>", LINE.replace('>', "&gt;"))),
    ]
}

/// What is made of a message on its way.
fn records(message: &str) -> Vec<(&'static str, Vec<u8>)> {
    let names = json!({"host": "n1", "pod_name": "cd-0", "namespace_name": "shop"});
    let text = |value: Value| value.to_string().into_bytes();
    let escaped = |value: Value| value.to_string().replace('<', "\\u003c").replace('>', "\\u003e").into_bytes();
    vec![
        ("the bare line", message.as_bytes().to_vec()),
        ("a bare JSON string", text(json!(message))),
        ("a bare JSON string, HTML escaped", escaped(json!(message))),
        ("log", text(json!({"@timestamp": 1.5e9, "log": message, "kubernetes": names}))),
        ("message", text(json!({"message": message, "source_type": "kubernetes_logs", "kubernetes": names}))),
        ("merged to the root", text(json!({"@timestamp": 1.5e9, "msg": message, "kubernetes": names}))),
        (
            "merged under a key",
            text(json!({"@timestamp": 1.5e9, "log_processed": {"msg": message}, "kubernetes": names})),
        ),
        ("merged, log kept empty", text(json!({"log": "", "logs": {"message": message}, "kubernetes": names}))),
        ("a message that is an object", text(json!({"@metadata": {}, "message": {"level": "error", "msg": message}}))),
        (
            "OTLP",
            text(json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [{"body": {"stringValue": message}}]}]}]})),
        ),
        ("CRI", format!("2026-11-22T14:51:03.000000000Z stdout F {message}").into_bytes()),
    ]
}

fn hits(matcher: &Matcher, value: &[u8]) -> Result<Vec<String>, String> {
    let record = Record { offset: 0, timestamp: None, value: Some(value) };
    let mut entries = Vec::new();
    decode(&record, &Input::new(Format::Auto, Expect::Logs), &mut entries).map_err(|rejected| rejected.to_string())?;
    let mut found = Vec::new();
    for entry in &entries {
        matcher.scan(entry, &mut Scratch::default(), |hit| {
            let code = hit.captures.iter().map(|(name, value)| format!("{name}={value}")).collect::<String>();
            found.push(format!("{} {code}", hit.rule.id));
        });
    }
    Ok(found)
}

fn matcher() -> Matcher {
    Matcher::new(Arc::new(RuleSet::parse(bundled::RULES).unwrap()))
}

#[test]
fn the_founding_signature_is_found_in_every_disguise() {
    let matcher = matcher();
    let expected = Ok(vec![format!("{RULE} code=216")]);
    let mut missed = Vec::new();
    for (done, message) in messages() {
        for (way, value) in records(&message) {
            let found = hits(&matcher, &value);
            if found != expected {
                missed.push(format!("{done}, {way}: {found:?} in {:?}", String::from_utf8_lossy(&value)));
            }
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[test]
fn it_is_found_in_bytes_that_are_no_utf8() {
    let matcher = matcher();
    let expected = Ok(vec![format!("{RULE} code=216")]);
    for value in [
        utf16(&format!("\u{feff}{LINE}\r\n")),
        utf16(&format!("{LINE} Gr\u{f6}\u{df}e \u{17e}\r\n")),
        [LINE.as_bytes(), b" f\xfcr\r\n"].concat(),
        [b"{\"log\":\"f\xfcr ".as_slice(), LINE.as_bytes(), b"\"}"].concat(),
    ] {
        assert_eq!(hits(&matcher, &value), expected, "{}", String::from_utf8_lossy(&value));
    }
}

#[test]
fn a_disguised_line_without_it_stays_silent() {
    let matcher = matcher();
    for value in ["{\"msg\":\"user typed \\\"LOGMONITOR\\\"\"}", "\u{0}L\u{0}O\u{0}G\u{0}"] {
        assert_eq!(hits(&matcher, value.as_bytes()), Ok(vec![]));
    }
}
