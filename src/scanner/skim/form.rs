//! What all records of one writer have in common, and say.

use crate::record::LogEntry;
use crate::report::Pod;
use crate::scanner::batch::{self, Batch};

/// Docker's buffer for one line: only a message as long as that may go on in the next record by its length alone.
const LONG_MESSAGE: usize = 16 << 10;

/// One writer's records: a container's, on one of its streams.
pub(in crate::scanner) struct Form {
    /// The batch in which it was last seen, and its pod there.
    seen: Option<(u64, u32)>,
    /// A message that is JSON may be an event.
    may_print_events: bool,
    writer: Box<Writer>,
}

/// What need not be looked at for every record.
struct Writer {
    /// What its records say, but message and time.
    said: LogEntry<'static>,
    pod: Option<Pod>,
}

impl Form {
    /// Of what one of its records says.
    pub(super) fn new(said: LogEntry<'static>, may_print_events: bool) -> Self {
        Form {
            seen: None,
            may_print_events,
            writer: Box::new(Writer {
                pod: batch::log_pod(&said),
                said: LogEntry { message: "".into(), time: None, ..said },
            }),
        }
    }

    pub(in crate::scanner) fn said(&self) -> &LogEntry<'static> {
        &self.writer.said
    }

    /// Where its pod, if it has one, stands in the batch.
    pub(in crate::scanner) fn pod_in(&mut self, batch: &mut Batch) -> Option<u32> {
        if let Some((id, pod)) = self.seen
            && id == batch.id
        {
            return Some(pod);
        }
        let pod = batch.described(self.writer.pod.as_ref()?);
        self.seen = Some((batch.id, pod));
        Some(pod)
    }

    /// Whether what stands in the place of the message is one as it is, not something that the decoder would look into
    /// for what else it says: an event, the line of another runtime, nothing at all.
    pub(super) fn is_plain(&self, message: &[u8]) -> bool {
        match message {
            [] => false,
            _ if message.len() >= LONG_MESSAGE => false,
            [b'{' | b' ' | b'\\', ..] if self.may_print_events => false,
            [b'{', ..] => !message.starts_with(br#"{\"log\""#),
            [b'<', ..] => !message.starts_with(b"<Source>") && !message.starts_with(b"<Log>"),
            [b'0'..=b'9', ..] => !may_be_cri(message),
            _ => true,
        }
    }

    /// Roughly what it takes in memory. Bytes.
    pub(super) fn size(&self) -> usize {
        const ALLOCATION: usize = 16;
        let source = &self.writer.said.source;
        let names = [&source.node, &source.namespace, &source.pod, &source.pod_uid, &source.container, &source.image];
        // They are in the pod as well.
        let texts: usize = names.into_iter().flatten().map(|name| 2 * (name.len() + ALLOCATION)).sum();
        texts + size_of::<Writer>() + 2 * size_of::<(u8, u64, Form)>()
    }
}

/// Whether it may begin with the head of a CRI line, `2026-11-22T14:31:03.103324294Z stdout F `.
fn may_be_cri(message: &[u8]) -> bool {
    if message.get(4) != Some(&b'-') || message.get(10) != Some(&b'T') {
        return false;
    }
    let rest = message.iter().position(|&byte| byte == b' ').map_or(&[][..], |blank| &message[blank + 1..]);
    rest.starts_with(b"stdout") || rest.starts_with(b"stderr")
}
