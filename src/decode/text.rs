//! Lines of plain text: a message and nothing else. The caller's time of last resort is Kafka's.

use std::borrow::Cow;

use super::found::Found;
use super::{Producer, Reads, Rejected};
use crate::record::LogEntry;

pub(super) static PRODUCER: Producer = Producer { name: "text", reads: Reads::Line { recognises: |_| true, decode } };

fn decode<'a>(line: Cow<'a, str>, found: &mut Found<'a, '_>) -> Result<(), Rejected> {
    found.log(LogEntry { message: line, ..LogEntry::default() })
}
