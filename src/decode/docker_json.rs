//! Docker's json-file driver: `{"log":"…\n","stream":"stdout","time":"…"}`, one line of at most 16 KiB each.

use super::found::Found;
use super::json::Object;
use super::{Producer, Reads, Rejected, message};
use crate::record::LogEntry;

pub(super) static PRODUCER: Producer = Producer {
    name: "docker-json",
    reads: Reads::Object {
        recognises: |object| object.has("log") && object.has("stream") && object.has("time"),
        decode,
    },
};

fn decode<'a>(mut object: Object<'a>, found: &mut Found<'a, '_>) -> Result<(), Rejected> {
    let message = message::require(&mut object, &["log"])?;
    found.log(LogEntry { message, time: object.first_time(&["time"]), ..LogEntry::default() })
}

#[cfg(test)]
mod tests {
    use crate::decode::Format;
    use crate::decode::tests::log;
    use crate::time::Timestamp;

    #[test]
    fn reads_a_line() {
        let log = log(
            r#"{"log":"\u001b[?2004lok \u003cb\u003e\r\n","stream":"stdout","time":"2023-11-06T02:49:19.946891978Z"}"#,
            Format::DockerJson,
        );
        assert_eq!(log.message, "ok <b>");
        assert_eq!(log.time, Timestamp::parse_rfc3339("2023-11-06T02:49:19.946Z"));
    }
}
