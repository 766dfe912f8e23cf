//! What LogMonitor, the entry point of Windows containers, wraps around the lines that it passes on: version 2 writes
//! JSON (of a process's output without escaping it, so that it mostly is none), version 1 wrote XML.

use std::borrow::Cow;

use super::found::Found;
use super::json::Object;
use super::{Producer, Reads, Rejected, message};
use crate::record::LogEntry;

pub(super) static PRODUCER: Producer = Producer { name: "log-monitor", reads: Reads::Line { recognises, decode } };

const HEAD: &str = "{\"Source\":";
const PROCESS: &str = "{\"Source\":\"Process\"";
const LINE: &str = "\"LogEntry\":{\"Logline\":\"";
const TAIL: &str = "\"},\"SchemaVersion\":";

pub(super) fn recognises(line: &str) -> bool {
    line.starts_with(HEAD) && line.contains("\"LogEntry\":")
}

/// A record that is such a line and nothing else.
fn decode<'a>(line: Cow<'a, str>, found: &mut Found<'a, '_>) -> Result<(), Rejected> {
    found.log(LogEntry { message: line, ..LogEntry::default() })
}

/// Takes the wrapping of a line off; tells whether there was one. Entries of the event log and of ETW stay as they are:
/// their fields say more than their text. XML's entities become what they stand for.
pub(super) fn unwrap(message: &mut Cow<'_, str>) -> bool {
    if recognises(message) {
        return unwrap_line(message);
    }
    let is_escaped = is_xml(message) && message.contains('&');
    if is_escaped {
        *message = Cow::Owned(without_entities(message));
    }
    is_escaped
}

fn unwrap_line(message: &mut Cow<'_, str>) -> bool {
    if !message.starts_with(PROCESS) {
        // Those of files are escaped, as JSON asks for.
        let Some(line) = escaped_line(message) else { return false };
        *message = Cow::Owned(line);
        return true;
    }
    match message.find(LINE).zip(message.rfind(TAIL)) {
        Some((start, end)) if start + LINE.len() <= end => {
            message::cut_end(message, end);
            message::cut_start(message, start + LINE.len());
            true
        }
        _ => false,
    }
}

fn escaped_line(message: &str) -> Option<String> {
    let mut object = Object::from_value(serde_json::from_str(message).ok()?)?;
    object.take_object("LogEntry")?.take_text("Logline").map(Cow::into_owned)
}

fn is_xml(line: &str) -> bool {
    line.starts_with("<Source>") || line.starts_with("<Log><Source>")
}

fn without_entities(text: &str) -> String {
    // The ampersand last: what it makes is text.
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")];
    entities.into_iter().fold(text.to_owned(), |text, (entity, character)| text.replace(entity, character))
}

#[cfg(test)]
mod tests {
    use crate::decode::Format;
    use crate::decode::tests::log;

    #[test]
    fn takes_the_wrapping_off() {
        let cases = [
            (
                r#"{"Source":"Process","LogEntry":{"Logline":"say \"hi\" to C:\temp"},"SchemaVersion":"1.0.0"}"#,
                r#"say \"hi\" to C:\temp"#,
            ),
            (
                r#"{"Source":"Process","LogEntry":{"Logline":"say "hi" to C:\x"},"SchemaVersion":"1.0.0"}"#,
                r#"say "hi" to C:\x"#,
            ),
            (
                r#"{"Source":"File","LogEntry":{"Logline":"say \"hi\" to C:\\temp\r\n","FileName":"x"},"SchemaVersion":"1.0.0"}"#,
                r#"say "hi" to C:\temp"#,
            ),
            (r#"{"Source":"Process","LogEntry":{"Logline":""},"SchemaVersion":"1.0.0"}"#, ""),
            (
                r#"{"Source":"Process","LogEntry":{"Logline":"cut o"#,
                r#"{"Source":"Process","LogEntry":{"Logline":"cut o"#,
            ),
            (
                r#"{"Source":"EventLog","LogEntry":{"Channel":"System","EventId":7},"SchemaVersion":"1.0.0"}"#,
                r#"{"Source":"EventLog","LogEntry":{"Channel":"System","EventId":7},"SchemaVersion":"1.0.0"}"#,
            ),
            (
                "<Source>EventLog</Source><Message>a &lt; b &amp;amp; &quot;c&quot;</Message>",
                "<Source>EventLog</Source><Message>a < b &amp; \"c\"</Message>",
            ),
        ];
        for (line, expected) in cases {
            let shipped = serde_json::json!({"@timestamp": 1.5e9, "log": format!("{line}\r\n")}).to_string();
            assert_eq!(log(&shipped, Format::FluentBit).message, expected, "{line}");
            if line.starts_with('{') {
                assert_eq!(log(line, Format::LogMonitor).message, expected, "bare: {line}");
            }
        }
    }
}
