//! The files that containerd and CRI-O write: `<time> <stream> <tag> <message>`.
//!
//! The tag is `F` for a whole line and `P` for a part of one; old runtimes wrote none, and it may carry more
//! tags after a colon.

use std::borrow::Cow;

use super::found::Found;
use super::message;
use super::{Producer, Reads, Reason, Rejected};
use crate::record::{LogEntry, Stream};
use crate::time::Timestamp;

pub(super) static PRODUCER: Producer =
    Producer { name: "cri", reads: Reads::Line { recognises: |line| Line::parse(line).is_some(), decode } };

fn decode<'a>(mut line: Cow<'a, str>, found: &mut Found<'a, '_>) -> Result<(), Rejected> {
    let Some(Line { time, stream, partial, message_start }) = Line::parse(&line) else {
        return Err(Rejected::new(Reason::UnknownShape, "not a CRI line: <time> <stream> <tag> <message>"));
    };
    message::cut_start(&mut line, message_start);
    found.log(LogEntry { message: line, time: Some(time), stream: Some(stream), partial, ..LogEntry::default() })
}

/// The head of a CRI line.
pub(super) struct Line {
    pub(super) time: Timestamp,
    pub(super) stream: Stream,
    /// Its line goes on in the next one of the stream.
    pub(super) partial: bool,
    /// Where the message starts. Bytes.
    pub(super) message_start: usize,
}

impl Line {
    pub(super) fn parse(text: &str) -> Option<Line> {
        // Cheap refusals first: this is asked of every message.
        let bytes = text.as_bytes();
        if bytes.len() < 27 || bytes[4] != b'-' || bytes[10] != b'T' || !bytes[0].is_ascii_digit() {
            return None;
        }
        let (stamp, rest) = text.split_once(' ')?;
        let (stream, rest) = rest.split_at_checked("stdout".len())?;
        let stream = Stream::from_name(stream)?;
        let (partial, rest) = match rest.strip_prefix(' ') {
            Some(rest) => split_tag(rest),
            None if rest.is_empty() => (false, rest),
            None => return None,
        };
        // No container wrote before the epoch.
        let time = Timestamp::parse_rfc3339(stamp).filter(|time| *time > Timestamp::default())?;
        Some(Line { time, stream, partial, message_start: text.len() - rest.len() })
    }
}

/// Whether the tag marks a part, and what follows it.
fn split_tag(text: &str) -> (bool, &str) {
    let (tag, rest) = text.split_once(' ').unwrap_or((text, ""));
    match tag.split(':').next() {
        Some("F") => (false, rest),
        Some("P") => (true, rest),
        _ => (false, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_before_the_epoch_is_none() {
        assert!(Line::parse("0024-07-02T12:40:06.615800890+00:00 stdout F damaged").is_none());
    }

    #[test]
    fn parses_with_and_without_a_tag() {
        let cases = [
            ("2024-07-02T12:40:06.615800890+00:00 stdout F hello", Some((false, "hello"))),
            ("2024-07-02T12:40:06.615800890Z stderr P half a ", Some((true, "half a "))),
            ("2024-07-02T12:40:06.615800890+08:00 stderr P:x tagged", Some((true, "tagged"))),
            ("2024-07-02T12:40:06.615800890Z stdout no tag", Some((false, "no tag"))),
            ("2024-07-02T12:40:06.615800890Z stdout P.S. no tag", Some((false, "P.S. no tag"))),
            ("2024-07-02T12:40:06.615800890Z stdout F ", Some((false, ""))),
            ("2024-07-02T12:40:06.615800890Z stdout F", Some((false, ""))),
            ("2024-07-02T12:40:06.615800890Z stdou\u{e9} F", None),
            ("2024-07-02T12:40:06Z stdoutF hello", None),
            ("2024-07-02T12:40:06.615800890Z INFO hello there", None),
            ("2024-13-02T12:40:06.615800890Z stdout F hello", None),
            ("short", None),
        ];
        for (text, expected) in cases {
            let message = Line::parse(text).map(|line| (line.partial, &text[line.message_start..]));
            assert_eq!(message, expected, "{text}");
        }
    }

    #[test]
    fn an_offset_is_honoured() {
        let line = Line::parse("2024-07-02T20:40:06.615800890+08:00 stdout F x").unwrap();
        assert_eq!(line.time, Timestamp::from_millis(1_719_924_006_615));
    }
}
