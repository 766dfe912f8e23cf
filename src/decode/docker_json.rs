//! Docker's json-file driver: `{"log":"…\n","stream":"stdout","time":"…"}`, one line of at most 16 KiB each.

use super::found::Found;
use super::json::Object;
use super::{Producer, Reads, Rejected, message};
use crate::record::{LogEntry, Stream};

/// Docker's buffer for one line.
const BUFFER_BYTES: usize = 16 << 10;

pub(super) static PRODUCER: Producer = Producer {
    name: "docker-json",
    reads: Reads::Object {
        recognises: |object| object.has("log") && object.has("stream") && object.has("time"),
        decode,
    },
};

fn decode<'a>(mut object: Object<'a>, found: &mut Found<'a, '_>) -> Result<(), Rejected> {
    let message = message::require(&mut object, &["log"])?;
    let partial = is_partial(&message);
    let stream = object.get_text("stream").and_then(Stream::from_name);
    found.log(LogEntry { message, time: object.first_time(&["time"]), stream, partial, ..LogEntry::default() })
}

/// A line ends with a line feed, unless it was cut where the driver's buffer ended or is the container's last.
pub(super) fn is_partial(line: &str) -> bool {
    line.len() >= BUFFER_BYTES && !line.ends_with('\n')
}

#[cfg(test)]
mod tests {
    use crate::decode::Format;
    use crate::decode::tests::log;
    use crate::record::Stream;
    use crate::time::Timestamp;

    #[test]
    fn reads_a_line() {
        let log = log(
            r#"{"log":"\u001b[?2004lok \u003cb\u003e\r\n","stream":"stdout","time":"2023-11-06T02:49:19.946891978Z"}"#,
            Format::DockerJson,
        );
        assert_eq!(log.message, "ok <b>");
        assert_eq!(log.time, Timestamp::parse_rfc3339("2023-11-06T02:49:19.946Z"));
        assert_eq!((log.stream, log.partial), (Some(Stream::Stdout), false));
    }

    #[test]
    fn a_full_buffer_without_a_line_feed_is_a_part() {
        let cases = [(16 << 10, "", true), (16 << 10, "\\n", false), (100, "", false)];
        for (length, end, partial) in cases {
            let line = "x".repeat(length);
            let value = format!(r#"{{"log":"{line}{end}","stream":"stderr","time":"2023-11-06T02:49:19.9Z"}}"#);
            assert_eq!(log(&value, Format::DockerJson).partial, partial, "{length} {end}");
            let shipped = serde_json::json!({"@timestamp": 1.5e9, "log": value}).to_string();
            assert_eq!(log(&shipped, Format::FluentBit).partial, partial, "{length} {end}");
        }
    }
}
