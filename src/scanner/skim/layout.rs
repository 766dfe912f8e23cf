//! Where the values that differ from record to record stand in the records of one producer.

use std::hash::{BuildHasher, Hasher};
use std::ops::Range;

use foldhash::fast::FixedState;
use memchr::memmem::Finder;

use super::scalar::{self, Text};
use crate::time::Timestamp;

/// Values that differ; a record that has more is decoded.
pub(super) const MAX_HOLES: usize = 8;

/// What stands in a hole.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// The line, a string.
    Message,
    /// When it was written, as a number or a string.
    TimeNumber,
    TimeText,
    /// A number, or a string that tells a time, of which nothing depends.
    OtherNumber,
    OtherTime,
}

/// A value that differs from record to record.
#[derive(Clone, Debug)]
struct Hole {
    /// Its key and what else stands before it: `"log":"`.
    before: Finder<'static>,
    kind: Kind,
}

/// The holes of a kind of record, in their order. What is between them is the same in all records of one writer.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    holes: Vec<Hole>,
}

/// A record that was read by a layout: where its holes are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    spans: [(u32, u32); MAX_HOLES],
    holes: usize,
    /// Of all that is not in a hole.
    pub(super) hash: u64,
}

/// Why a record cannot be read by a layout.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Misfit {
    /// Its keys are others.
    Other,
    /// It may be of this layout, but must be decoded.
    Unclear,
}

impl Layout {
    /// Of what stands before each hole, in their order.
    pub(super) fn new<'b>(holes: impl Iterator<Item = (&'b [u8], Kind)>) -> Self {
        let holes = holes.map(|(before, kind)| Hole { before: Finder::new(before).into_owned(), kind });
        Layout { holes: holes.collect() }
    }

    pub(super) fn is_same(&self, other: &Layout) -> bool {
        let key = |hole: &Hole| (hole.before.needle().to_vec(), hole.kind);
        self.holes.iter().map(key).eq(other.holes.iter().map(key))
    }

    pub(super) fn read(&self, bytes: &[u8]) -> Result<Reading, Misfit> {
        let mut reading = Reading { spans: [(0, 0); MAX_HOLES], holes: self.holes.len(), hash: 0 };
        let mut hasher = FixedState::default().build_hasher();
        let mut at = 0;
        for (hole, span) in self.holes.iter().zip(&mut reading.spans) {
            let start = at + hole.before.find(&bytes[at..]).ok_or(Misfit::Other)? + hole.before.needle().len();
            hasher.write(&bytes[at..start]);
            at = hole.end(bytes, start)?;
            *span = (start as u32, at as u32);
        }
        hasher.write(&bytes[at..]);
        reading.hash = hasher.finish();
        Ok(reading)
    }

    /// The message of a record that was read, as it stands there.
    pub(super) fn message<'r>(&self, bytes: &'r [u8], reading: &Reading) -> &'r [u8] {
        let message = self.holes.iter().position(|hole| hole.kind == Kind::Message);
        message.map_or(&[], |index| &bytes[reading.span(index)])
    }

    /// The time that a record tells; `Ok(None)` where such records tell none.
    pub(super) fn time(&self, bytes: &[u8], reading: &Reading) -> Result<Option<Timestamp>, Misfit> {
        let mut found = None;
        for (index, hole) in self.holes.iter().enumerate() {
            let Range { start, end } = reading.span(index);
            match hole.kind {
                Kind::Message | Kind::OtherNumber => {}
                Kind::TimeNumber => found = Some(scalar::number_time(&bytes[start..end]).ok_or(Misfit::Unclear)?),
                Kind::TimeText => found = Some(scalar::text_time(bytes, start, end).ok_or(Misfit::Unclear)?),
                Kind::OtherTime => _ = scalar::text_time(bytes, start, end).ok_or(Misfit::Unclear)?,
            }
        }
        Ok(found)
    }
}

impl Hole {
    fn end(&self, bytes: &[u8], start: usize) -> Result<usize, Misfit> {
        match self.kind {
            Kind::TimeNumber | Kind::OtherNumber => scalar::number(bytes, start).ok_or(Misfit::Other),
            Kind::Message | Kind::TimeText | Kind::OtherTime => match scalar::text(bytes, start) {
                Text::EndsAt(end) => Ok(end),
                Text::Unclear => Err(Misfit::Unclear),
            },
        }
    }
}

impl Reading {
    fn span(&self, hole: usize) -> Range<usize> {
        let (start, end) = self.spans[hole];
        start as usize..end as usize
    }

    pub(super) fn spans(&self) -> impl Iterator<Item = Range<usize>> {
        (0..self.holes).map(|hole| self.span(hole))
    }

    /// What stands between the holes, before the first and behind the last.
    pub(super) fn pieces<'r>(&self, bytes: &'r [u8]) -> impl Iterator<Item = &'r [u8]> {
        let starts = std::iter::once(0).chain(self.spans().map(|span| span.end));
        let ends = self.spans().map(|span| span.start).chain(std::iter::once(bytes.len()));
        starts.zip(ends).map(|(start, end)| &bytes[start..end])
    }
}
