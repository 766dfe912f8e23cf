//! Messages: where objects hold them, and what is taken off before anything is matched.

use std::borrow::Cow;

use serde_json_borrow::Value;

use super::json::Object;
use super::{Reason, Rejected};

/// Where shippers put the line, commonest first. The later ones are where merged or parsed records end up.
pub(super) const KEYS: &[&str] = &[
    "log",
    "message",
    "msg",
    "MESSAGE",
    "log_processed",
    "logs",
    "text",
    "Logline",
    "LogEntry",
    "@message",
    "line",
    "short_message",
];

/// Moves the message out of an object: the first string under one of `keys` that is not empty, else an empty one,
/// else whatever else is there as JSON.
pub(super) fn take<'a>(object: &mut Object<'a>, keys: &[&str]) -> Option<Cow<'a, str>> {
    let mut empty = false;
    for key in keys {
        match object.get(key) {
            Some(Value::Str(text)) if !text.is_empty() => return object.take_text(key),
            Some(Value::Str(_)) => empty = true,
            _ => {}
        }
    }
    if empty {
        // A filter that parsed the line may have moved it, `"log":"","log_processed":{"msg":"…"}`.
        let moved = keys.iter().find_map(|key| object.get(key).and_then(own_message)).map(str::to_owned);
        return Some(moved.map_or(Cow::Borrowed(""), Cow::Owned));
    }
    keys.iter().find_map(|key| object.take(key)).map(from_value)
}

/// [`take`], or the reason why not.
pub(super) fn require<'a>(object: &mut Object<'a>, keys: &[&str]) -> Result<Cow<'a, str>, Rejected> {
    take(object, keys).ok_or_else(|| missing(keys))
}

pub(super) fn missing(keys: &[&str]) -> Rejected {
    Rejected::new(Reason::NoMessage, format!("none of {} is there", keys.join(", ")))
}

/// Text of a message that a parser upstream has turned into something else: its own message, else its JSON.
pub(super) fn from_value(value: Value<'_>) -> Cow<'_, str> {
    match value {
        Value::Str(text) => text,
        Value::Object(_) => Cow::Owned(own_message(&value).map_or_else(|| value.to_string(), str::to_owned)),
        other => Cow::Owned(other.to_string()),
    }
}

/// How deep JSON in JSON is looked into.
const MAX_NESTED: usize = 3;

/// Text that is JSON itself and escapes something: its message is put before it without escapes, so that both what the
/// message says and what the other fields say can be found.
pub(super) fn unfold(message: &mut Cow<'_, str>) {
    let mut inner = None;
    for _ in 0..MAX_NESTED {
        match nested(inner.as_deref().unwrap_or(message)) {
            Some(deeper) => inner = Some(deeper),
            None => break,
        }
    }
    if let Some(mut inner) = inner.map(Cow::<str>::Owned) {
        clean(&mut inner);
        *message = Cow::Owned(format!("{inner}\n{message}"));
    }
}

fn nested(text: &str) -> Option<String> {
    let text = text.trim_ascii();
    if !text.starts_with('{') || !text.contains('\\') {
        return None;
    }
    let value = serde_json::from_str::<Value<'_>>(text).ok()?;
    own_message(&value).map(str::to_owned)
}

fn own_message<'v>(value: &'v Value<'_>) -> Option<&'v str> {
    let object = value.as_object()?;
    KEYS.iter().find_map(|key| object.get(key).and_then(Value::as_str).filter(|text| !text.is_empty()))
}

/// Takes off colours and the line's end. Blanks stay: indentation tells stack traces apart.
///
/// NULs go as well: they are what is left of UTF-16 that was read as bytes, before or after each letter, depending on
/// where the line was cut out.
pub(super) fn clean(message: &mut Cow<'_, str>) {
    if message.contains('\0') {
        message.to_mut().retain(|c| c != '\0');
    }
    if message.contains('\u{1b}') {
        *message = Cow::Owned(without_escapes(message));
    }
    let end = message.trim_end_matches(['\n', '\r']).len();
    cut_end(message, end);
}

/// Drops the first `count` bytes; `count` is on a character's boundary.
pub(super) fn cut_start(message: &mut Cow<'_, str>, count: usize) {
    match message {
        Cow::Borrowed(text) => *text = &text[count..],
        Cow::Owned(text) => drop(text.drain(..count)),
    }
}

pub(super) fn cut_end(message: &mut Cow<'_, str>, end: usize) {
    match message {
        Cow::Borrowed(text) => *text = &text[..end],
        Cow::Owned(text) => text.truncate(end),
    }
}

/// Without terminal control sequences (ECMA-48: `ESC [`, parameters, one final byte `@` to `~`). An escape that
/// begins no sequence is dropped alone.
fn without_escapes(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\u{1b}') {
        plain.push_str(before);
        rest = match after.strip_prefix('[') {
            Some(sequence) => match sequence.find(|c| !matches!(c, '\u{20}'..='\u{3f}')) {
                Some(end) if matches!(sequence.as_bytes()[end], b'@'..=b'~') => &sequence[end + 1..],
                Some(end) => &sequence[end..],
                None => "",
            },
            None => after,
        };
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(text: &str) -> Option<String> {
        let mut object = Object::from_value(serde_json::from_str(text).unwrap()).unwrap();
        take(&mut object, KEYS).map(Cow::into_owned)
    }

    #[test]
    fn finds_the_message_under_any_usual_name() {
        let cases = [
            (r#"{"log":"a","message":"b"}"#, Some("a")),
            (r#"{"log":"","msg":"b"}"#, Some("b")),
            (r#"{"log":""}"#, Some("")),
            (r#"{"log":"","log_processed":{"level":"info","msg":"moved"}}"#, Some("moved")),
            (r#"{"log":"","log_processed":{"level":"info"}}"#, Some("")),
            (r#"{"message":{"level":"error","msg":"inner"}}"#, Some("inner")),
            (r#"{"message":{"level":"error"}}"#, Some(r#"{"level":"error"}"#)),
            (r#"{"log":42}"#, Some("42")),
            (r#"{"log":null}"#, None),
            (r#"{"level":"error"}"#, None),
        ];
        for (text, expected) in cases {
            assert_eq!(taken(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn json_in_json_is_unfolded() {
        let cases = [
            (r#"{"level":"error","msg":"say \"hi\"","err":"x"}"#, Some("say \"hi\"")),
            (r#"{"log":"{\"msg\":\"C:\\\\temp\"}"}"#, Some("C:\\temp")),
            (r#"{"msg":"\u001b[31mE\u0000r\u0000r\u0000\u001b[m\r\n"}"#, Some("Err")),
            (r#"{"msg":"nothing escaped"}"#, None),
            (r#"{"level":"\"error\""}"#, None),
            (r#"{"msg":"cut \"#, None),
            ("plain \\ text", None),
        ];
        for (text, expected) in cases {
            let mut message = Cow::Borrowed(text);
            unfold(&mut message);
            let expected = expected.map_or(text.to_owned(), |inner| format!("{inner}\n{text}"));
            assert_eq!(message, expected, "{text}");
        }
    }

    #[test]
    fn takes_off_colours_and_line_ends_only() {
        let cases = [
            ("plain", "plain"),
            ("crlf\r\n", "crlf"),
            ("a\r\nb\n\n", "a\r\nb"),
            ("\u{1b}[31mred\u{1b}[0m text\n", "red text"),
            ("\u{1b}[1;38;5;9mbold", "bold"),
            ("\u{1b}[?2004l\r1\r\n", "\r1"),
            ("cut off \u{1b}[3", "cut off "),
            ("\u{1b}7odd \u{1b}[31é", "7odd é"),
            ("\u{1b}", ""),
            ("  indented", "  indented"),
            ("E\0r\0r\0o\0r\0\r\0", "Error"),
            ("\0E\0r\0r\0o\0r\0\r\0\n", "Error"),
            ("\n", ""),
        ];
        for (text, expected) in cases {
            for mut message in [Cow::Borrowed(text), Cow::Owned(text.to_owned())] {
                clean(&mut message);
                assert_eq!(message, expected, "{text:?}");
            }
        }
    }
}
