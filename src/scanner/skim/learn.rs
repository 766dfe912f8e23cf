//! Learns from a record that was decoded how to read others of its writer without decoding them.
//!
//! Nothing is assumed of what the decoder makes of a field: other values are put into the record, and what it then says
//! is compared. A field that is the message whatever stands in it, one that is the time, and those of which nothing
//! depends become holes; all else must stay the same, byte for byte.

use std::ops::Range;

use serde::de::IgnoredAny;

use super::form::Form;
use super::layout::{Kind, Layout, MAX_HOLES, Reading};
use super::outline::{self, Scalar};
use crate::decode::{self, Input};
use crate::record::{Entry, LogEntry, Record};
use crate::time::Timestamp;

/// What a message is replaced by: no letter of it means anything to a decoder.
const MESSAGE: &str = "a message of nobody";
/// An event, as it would stand in a string: some pods print them, and are believed.
const EVENT: &str = r#"{\"involvedObject\":{\"kind\":\"Pod\",\"name\":\"a\"},\"reason\":\"a\"}"#;
/// Longer records are not learnt from. Bytes.
const MAX_BYTES: usize = 64 << 10;
/// Strings that are looked at for the message, longest first.
const MAX_MESSAGE_TRIES: usize = 8;
/// Numbers and times that are tried.
const MAX_TRIES: usize = 24;

const TIME_TEXT: &str = "2001-09-09T01:46:40.125Z";
const TIME_NUMBER: &str = "1000000000.125";
const TIME: Timestamp = Timestamp::from_millis(1_000_000_000_125);

/// How to read records that differ from this one in its holes only. `None`: it is none that could be read so.
pub(super) fn learn(bytes: &[u8], input: &Input) -> Option<(Layout, Reading, Form)> {
    // An object that is not the wrapping of a Windows line, which is known by its beginning and may be no JSON.
    if bytes.first() != Some(&b'{') || bytes.starts_with(b"{\"Source\":") || bytes.len() > MAX_BYTES {
        return None;
    }
    // What is no UTF-8 is decoded as a whole, in ways that depend on all of it.
    serde_json::from_str::<IgnoredAny>(std::str::from_utf8(bytes).ok()?).ok()?;
    let scalars = outline::scalars(bytes)?;
    let trial = Trial { bytes, input };
    let message = trial.message(&scalars)?;
    let said = trial.says(&message.value, MESSAGE)?;
    let may_print_events = trial.says(&message.value, EVENT).is_none();
    let trial = Trial { bytes: &replaced(bytes, &message.value, MESSAGE), input };
    let mut holes = vec![(message.before.clone(), message.value.clone(), Kind::Message)];
    let shift = |range: &Range<usize>| shifted(range, &message.value, MESSAGE.len());
    for scalar in scalars.iter().filter(|scalar| may_differ(bytes, scalar)).take(MAX_TRIES) {
        if let Some(kind) = trial.kind(&shift(&scalar.value), scalar, &said) {
            holes.push((scalar.before.clone(), scalar.value.clone(), kind));
        }
    }
    holes.sort_by_key(|(_, value, _)| value.start);
    let tells_time = holes.iter().any(|(_, _, kind)| matches!(kind, Kind::TimeNumber | Kind::TimeText));
    if holes.len() > MAX_HOLES || said.time.is_some() != tells_time {
        return None;
    }
    let mut layout = Layout::new(holes.iter().map(|(before, _, kind)| (&bytes[before.clone()], *kind)));
    let reading = layout.read(bytes).ok()?;
    // A key that stands somewhere else as well could be mistaken.
    let values = holes.into_iter().map(|(_, value, _)| value);
    reading.spans().eq(values).then(|| (layout, reading, Form::new(said, may_print_events)))
}

/// A record of which single values are replaced.
struct Trial<'t> {
    bytes: &'t [u8],
    input: &'t Input,
}

impl Trial<'_> {
    /// What the record says with another value there, if that is one whole log line.
    fn says(&self, value: &Range<usize>, other: &str) -> Option<LogEntry<'static>> {
        let bytes = replaced(self.bytes, value, other);
        let record = Record { offset: 0, timestamp: None, value: Some(&bytes) };
        let mut entries = Vec::new();
        decode::decode(&record, self.input, &mut entries).ok()?;
        match entries.pop()?.into_owned() {
            Entry::Log(log) if entries.is_empty() && !log.partial => Some(log),
            _ => None,
        }
    }

    fn message<'s>(&self, scalars: &'s [Scalar]) -> Option<&'s Scalar> {
        let record = Record { offset: 0, timestamp: None, value: Some(self.bytes) };
        let mut entries = Vec::new();
        decode::decode(&record, self.input, &mut entries).ok()?;
        let [Entry::Log(said)] = entries.as_slice() else { return None };
        let mut texts: Vec<&Scalar> = scalars.iter().filter(|scalar| scalar.is_text && scalar.depth == 1).collect();
        texts.sort_by_key(|text| std::cmp::Reverse(text.value.len()));
        let is_message = |text: &&Scalar| {
            let expected = LogEntry { message: MESSAGE.into(), ..said.clone() };
            self.says(&text.value, MESSAGE).is_some_and(|log| log == expected)
        };
        texts.into_iter().filter(|text| !text.value.is_empty()).take(MAX_MESSAGE_TRIES).find(is_message)
    }

    /// What kind of hole a value may be; `None`: it must stay as it is.
    fn kind(&self, value: &Range<usize>, scalar: &Scalar, said: &LogEntry<'_>) -> Option<Kind> {
        let other = if scalar.is_text { TIME_TEXT } else { TIME_NUMBER };
        let with_other = self.says(value, other)?;
        if with_other == (LogEntry { time: Some(TIME), ..said.clone() }) {
            return Some(if scalar.is_text { Kind::TimeText } else { Kind::TimeNumber });
        }
        if with_other != *said {
            return None;
        }
        // A number that is no time, too: one of which nothing depends, not a time that goes before the one that counts.
        let is_other = scalar.is_text || self.says(value, "0").is_some_and(|log| log == *said);
        is_other.then_some(if scalar.is_text { Kind::OtherTime } else { Kind::OtherNumber })
    }
}

/// Numbers, and times of the outermost object.
fn may_differ(bytes: &[u8], scalar: &Scalar) -> bool {
    let Range { start, end } = scalar.value;
    !scalar.is_text || scalar.depth == 1 && super::scalar::text_time(bytes, start, end).is_some()
}

fn replaced(bytes: &[u8], value: &Range<usize>, other: &str) -> Vec<u8> {
    [&bytes[..value.start], other.as_bytes(), &bytes[value.end..]].concat()
}

/// Where a range stands when another before it was replaced by so many bytes.
fn shifted(range: &Range<usize>, replaced: &Range<usize>, length: usize) -> Range<usize> {
    if range.start < replaced.end {
        return range.clone();
    }
    let shift = |at: usize| at - replaced.len() + length;
    shift(range.start)..shift(range.end)
}
