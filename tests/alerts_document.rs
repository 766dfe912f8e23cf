//! docs/alerts.md shows what faultline really writes, and its examples are right. `FAULTLINE_BLESS=1 cargo test --test
//! alerts_document` writes the incident in it anew.

use std::fs;
use std::time::Duration;

use faultline::alert::{Alert, Verdict};
use faultline::correlator::Options;
use faultline::document;
use faultline::format::{Context, Format, Message, Mode, Writer};
use faultline::notifier::Silences;
use faultline::scenario;
use faultline::settings::Settings;
use faultline::time::Timestamp;
use serde_json::Value;

mod play;

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/alerts.md");

/// The first word of the founding case.
fn alert() -> Alert {
    let start = Timestamp::parse_rfc3339("2026-11-22T14:00:00Z").unwrap();
    let minute = Duration::from_secs(60);
    let scenario = scenario::founding_case(start, 1, 3 * minute, 6 * minute);
    let alert = play::play(&scenario.records, Options::default(), 1, |_, _| 0).swap_remove(0);
    assert_eq!(alert.verdict, Verdict::Confirmed, "{}", alert.summary);
    alert
}

fn message(format: Format) -> Message {
    let alert = alert();
    let context = Context { told: None, firing_until: alert.updated_at.saturating_add(Duration::from_secs(240)) };
    Writer { format, routing_key: None }.write(&alert, &context).messages.swap_remove(0)
}

/// What stands between the marks of a format.
fn shown(name: &str, format: Format) -> String {
    let message = message(format);
    if format == Format::CloudEvents(Mode::Binary) {
        let headers = message.headers.iter().map(|(key, value)| format!("{key}: {value}\n")).collect::<String>();
        return format!("```\ncontent-type: {}\n{headers}```\n", message.content_type);
    }
    let value: Value = serde_json::from_slice(&message.value).expect("every format is JSON");
    format!("<details><summary>JSON of format {name}</summary>\n\n```json\n{value:#}\n```\n</details>\n")
}

#[test]
fn the_document_shows_what_is_written() {
    let mut text = fs::read_to_string(DOCUMENT).unwrap();
    let before = text.clone();
    for (name, format) in Format::ALL {
        let begin = format!("<!-- begin: {name} -->\n");
        let start = text.find(&begin).unwrap_or_else(|| panic!("{name} is not shown")) + begin.len();
        let end = start + text[start..].find("<!-- end -->").expect("a block has an end");
        text.replace_range(start..end, &shown(name, format));
    }
    if std::env::var_os("FAULTLINE_BLESS").is_some() {
        fs::write(DOCUMENT, &text).unwrap();
    } else {
        assert!(text == before, "docs/alerts.md is of another build; write it anew with FAULTLINE_BLESS=1");
    }
}

/// The examples in YAML, each with its first key.
fn examples() -> Vec<(String, String)> {
    let text = fs::read_to_string(DOCUMENT).unwrap();
    let blocks = text.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap().to_owned());
    blocks.map(|block| (block.split(':').next().unwrap().to_owned(), block)).collect()
}

#[test]
fn the_examples_are_right() {
    let examples = examples();
    let of = |key: &str| &examples.iter().find(|(first, _)| first == key).unwrap_or_else(|| panic!("no {key}")).1;
    let (settings, warnings) =
        Settings::from_layers(Some(("outputs", of("outputs"))), [], &[]).unwrap_or_else(|errors| panic!("{errors}"));
    assert!(warnings.is_empty(), "{warnings}");
    assert_eq!((settings.outputs.len(), settings.routes.len()), (4, 3));
    let names: Vec<_> = settings.outputs.iter().map(|output| output.name.as_str().into()).collect();
    let silences = Silences::parse("silences", of("silences"), &names).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(silences.len(), 2);
    for (first, example) in &examples {
        document::parse_yaml(first, example).unwrap_or_else(|error| panic!("{error}"));
    }
}
