//! Where the values that differ from record to record stand in the records of one producer.

use std::hash::{BuildHasher, Hasher};
use std::ops::Range;

use foldhash::quality::RandomState;
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
    /// How far behind the hole before it that stood in the last record; it mostly does so again.
    distance: usize,
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
        let hole = |(before, kind)| Hole { before: Finder::new(before).into_owned(), distance: 0, kind };
        let holes = holes.map(hole);
        Layout { holes: holes.collect() }
    }

    pub(super) fn is_same(&self, other: &Layout) -> bool {
        let key = |hole: &Hole| (hole.before.needle().to_vec(), hole.kind);
        self.holes.iter().map(key).eq(other.holes.iter().map(key))
    }

    pub(super) fn read(&mut self, bytes: &[u8]) -> Result<Reading, Misfit> {
        let mut reading = Reading { spans: [(0, 0); MAX_HOLES], holes: self.holes.len() };
        let mut at = 0;
        for (hole, span) in self.holes.iter_mut().zip(&mut reading.spans) {
            let start = at + hole.find(&bytes[at..]).ok_or(Misfit::Other)?;
            at = hole.end(bytes, start)?;
            *span = (start as u32, at as u32);
        }
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

/// Tells constant parts of records apart, by 64 bits of hash under a seed that nobody outside knows. That a record of a
/// writer that is not known is taken for that of one of 100,000 that are: 1 in 10^14. Comparing the bytes themselves
/// costs as much as all else, because those of many writers fit no cache.
#[derive(Default)]
pub(super) struct Seed(RandomState);

impl Seed {
    /// Of all that is not in a hole: the pieces, where each ends, and what the holes between them are.
    pub(super) fn of(&self, bytes: &[u8], layout: &Layout, reading: &Reading) -> u64 {
        let mut hasher = self.0.build_hasher();
        let (mut at, mut shape) = (0, 0u64);
        for (hole, span) in layout.holes.iter().zip(reading.spans()) {
            hasher.write(&bytes[at..span.start]);
            shape = shape.wrapping_mul(LONGEST_PIECE) + (((span.start - at) << 8) | hole.kind as usize) as u64;
            at = span.end;
        }
        hasher.write(&bytes[at..]);
        hasher.write_u64(shape);
        hasher.finish()
    }
}

/// A prime, so that the lengths of all pieces take part; each piece's hash takes in its own as well.
const LONGEST_PIECE: u64 = 0x0001_0000_0000_001b;

impl Hole {
    /// Where the hole begins.
    fn find(&mut self, bytes: &[u8]) -> Option<usize> {
        let before = self.before.needle();
        if bytes.get(self.distance..).is_none_or(|rest| !rest.starts_with(before)) {
            self.distance = self.before.find(bytes)?;
        }
        Some(self.distance + self.before.needle().len())
    }

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
}
