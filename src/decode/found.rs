//! Where producers put what they find: the bound on entries, and what holds for every message, are kept here once.

use super::{Fields, MAX_ENTRIES_PER_RECORD, Reason, Rejected, cri, embedded, log_monitor, message};
use crate::record::{Entry, KubeEvent, LogEntry};

/// The entries of one record.
pub(super) struct Found<'a, 'v> {
    entries: &'v mut Vec<Entry<'a>>,
    limit: usize,
    fields: &'v Fields,
}

impl<'a, 'v> Found<'a, 'v> {
    pub(super) fn new(entries: &'v mut Vec<Entry<'a>>, fields: &'v Fields) -> Self {
        let limit = entries.len() + MAX_ENTRIES_PER_RECORD;
        Found { entries, limit, fields }
    }

    /// Where the input has its fields.
    pub(super) fn fields(&self) -> &'v Fields {
        self.fields
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The entries found since there were `before`.
    pub(super) fn since(&mut self, before: usize) -> impl Iterator<Item = &mut Entry<'a>> {
        self.entries.iter_mut().skip(before)
    }

    pub(super) fn event(&mut self, event: KubeEvent<'a>) -> Result<(), Rejected> {
        self.push(Entry::Event(event))
    }

    /// Takes a log line in: what the runtime wrapped around it is taken off, and an event that somebody piped through
    /// the logging stack becomes an event again.
    pub(super) fn log(&mut self, mut log: LogEntry<'a>) -> Result<(), Rejected> {
        if let Some(line) = embedded::docker_line(&log.message) {
            log.message = line.message.into();
            log.time = line.time.or(log.time);
            log.stream = line.stream.or(log.stream);
            log.partial |= line.partial;
        }
        if let Some(line) = cri::Line::parse(&log.message) {
            log.time = Some(line.time);
            log.stream = Some(line.stream);
            log.partial |= line.partial;
            message::cut_start(&mut log.message, line.message_start);
        }
        self.push(plain(log))
    }

    pub(super) fn push(&mut self, entry: Entry<'a>) -> Result<(), Rejected> {
        if self.entries.len() >= self.limit {
            let detail = format!("more than {MAX_ENTRIES_PER_RECORD} entries in one record");
            return Err(Rejected::new(Reason::TooLarge, detail));
        }
        self.entries.push(entry);
        Ok(())
    }
}

/// What a line says: an event that was printed, or text without what was wrapped around it.
pub(super) fn plain(mut log: LogEntry<'_>) -> Entry<'_> {
    match embedded::event(&log) {
        Some(event) => Entry::Event(event),
        None => {
            message::clean(&mut log.message);
            if log_monitor::unwrap(&mut log.message) {
                message::clean(&mut log.message);
            }
            message::unfold(&mut log.message);
            Entry::Log(log)
        }
    }
}
