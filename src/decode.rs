//! From a record's bytes to log entries and Kubernetes events, whatever logging stack wrote them.

use crate::record::{Entry, Expect, Record};

/// How an input's values are written (`format` in the configuration).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Format {
    /// Recognised anew for every record.
    #[default]
    Auto,
}

impl Format {
    pub const ALL: &'static [Format] = &[Format::Auto];

    /// The word of the configuration.
    pub fn name(self) -> &'static str {
        "auto"
    }
}

/// Why a record was refused. The record goes to the dead-letter topic with both.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rejected {
    pub reason: Reason,
    /// One line for people: what was wrong, where.
    pub detail: String,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Reason {
    Tombstone,
}

/// Decodes one record and appends what it holds to `entries`; on an error nothing is appended.
pub fn decode<'a>(
    _record: &Record<'a>,
    _format: Format,
    _expect: Expect,
    _entries: &mut Vec<Entry<'a>>,
) -> Result<(), Rejected> {
    Ok(())
}
