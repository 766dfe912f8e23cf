//! Why a record was refused.

use std::fmt;

/// The record goes to the dead-letter topic with both.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rejected {
    pub reason: Reason,
    /// One line for people: what was wrong, where.
    pub detail: String,
}

impl Rejected {
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Rejected { reason, detail: detail.into() }
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason, self.detail)
    }
}

impl std::error::Error for Rejected {}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Reason {
    /// No value at all: it deletes a key from a compacted topic.
    Tombstone,
    /// A value of no bytes, or of blanks only.
    Empty,
    /// More bytes than the caller reads, or more entries than [`MAX_ENTRIES_PER_RECORD`](super::MAX_ENTRIES_PER_RECORD).
    TooLarge,
    /// Neither UTF-8 nor text of another encoding.
    InvalidUtf8,
    InvalidJson,
    /// A good record, but no Kubernetes event, on an input of events.
    NotAnEvent,
    /// An API server's audit record, which also calls itself an `Event`.
    AuditRecord,
    /// An object without a message under any usual name.
    NoMessage,
    /// Not the shape of its format.
    UnknownShape,
    /// It brought a defect of faultline's to light.
    Defect,
}

impl Reason {
    pub const ALL: &'static [Reason] = &[
        Reason::Tombstone,
        Reason::Empty,
        Reason::TooLarge,
        Reason::InvalidUtf8,
        Reason::InvalidJson,
        Reason::NotAnEvent,
        Reason::AuditRecord,
        Reason::NoMessage,
        Reason::UnknownShape,
        Reason::Defect,
    ];

    /// Kebab-case, for headers and metric labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Tombstone => "tombstone",
            Reason::Empty => "empty",
            Reason::TooLarge => "too-large",
            Reason::InvalidUtf8 => "invalid-utf8",
            Reason::InvalidJson => "invalid-json",
            Reason::NotAnEvent => "not-an-event",
            Reason::AuditRecord => "audit-record",
            Reason::NoMessage => "no-message",
            Reason::UnknownShape => "unknown-shape",
            Reason::Defect => "defect",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
