//! Reads records that hold no signature without decoding them.
//!
//! Nearly all records of a container differ in their message and time only. Of each writer (a container, and one of its
//! streams) one record is decoded and learnt from; of the others it is enough to see that all else is the same, byte for
//! byte, to know the pod, the node and everything else that they say, and that they are JSON. What stands where the
//! message is must be a string of valid JSON, and the [`Prefilter`] must say that no rule can match it. Everything else
//! takes the full path: what is new, what may match, what is odd. So the outcome is the same with and without; property
//! tests keep it so. The one thing left to chance is that constant parts are compared by a hash, see [`layout::Seed`].

use std::collections::HashMap;
use std::mem;

use foldhash::fast::FixedState;

use super::prefilter::{Prefilter, Traffic};
use crate::decode::Input;
use crate::time::Timestamp;

mod form;
mod layout;
mod learn;
mod outline;
mod scalar;

use form::Form;
use layout::{Layout, Misfit, Reading, Seed};

/// Layouts that are kept, and tried on a record, newest success first. A producer has one or two.
const MAX_LAYOUTS: usize = 16;
const MAX_LAYOUT_TRIES: usize = 4;

/// What each costs and brings, about, in tenths of a microsecond: a record looked at in vain, one that need not be
/// decoded, and one that is learnt from.
const LOOK_COSTS: i32 = 1;
const SPARED: i32 = 10;
const LEARNING_COSTS: i32 = 100;
/// What there is at the start, and may be saved: enough to learn some thousand writers in a row.
const MAX_CREDIT: i32 = 500_000;
/// Without credit only one in so many records is looked at: where records do not repeat, looking would only cost.
const TRY_EVERY: u32 = 128;

/// Of so many messages one is kept as a sample: a prime, so that it is not always the same writer's.
const SAMPLE_EVERY: u32 = 1_021;

/// What was learnt of the records of inputs that are read alike.
pub(super) struct Skimmer {
    /// Newest success first.
    layouts: Vec<Layout>,
    /// By what is not in a hole.
    forms: HashMap<u64, Form, FixedState>,
    seed: Seed,
    /// What the forms take, and may take.
    bytes: usize,
    max_bytes: usize,
    credit: i32,
    tried: u32,
    seen: Traffic,
}

/// What is known of a record.
pub(super) enum Skimmed<'s> {
    /// All that matters: who wrote it, and when. Nothing in it matches.
    Clean(&'s mut Form, Option<Timestamp>),
    /// It must be decoded: a rule may match.
    Suspect,
    /// It must be decoded.
    Candidate,
    /// It must be decoded, and may be learnt from.
    Unknown,
}

impl Skimmer {
    /// Knows nothing yet, and will keep about `max_bytes` of what it learns.
    pub(super) fn new(max_bytes: usize) -> Self {
        Skimmer {
            layouts: Vec::new(),
            forms: HashMap::default(),
            seed: Seed::default(),
            bytes: 0,
            max_bytes,
            credit: MAX_CREDIT,
            tried: 0,
            seen: Traffic::default(),
        }
    }

    pub(super) fn read(&mut self, bytes: &[u8], prefilter: &Prefilter) -> Skimmed<'_> {
        self.tried = self.tried.wrapping_add(1);
        if self.credit <= 0 {
            if !self.tried.is_multiple_of(TRY_EVERY) {
                return Skimmed::Candidate;
            }
            // Enough to learn from this one: the input may have changed.
            self.credit = LEARNING_COSTS + 1;
        }
        let (index, reading, constant) = match self.find(bytes) {
            Ok(found) => found,
            Err(Misfit::Unclear) => return Skimmed::Candidate,
            Err(Misfit::Other) => {
                self.credit -= LOOK_COSTS;
                return Skimmed::Unknown;
            }
        };
        self.layouts[..=index].rotate_right(1);
        let layout = &self.layouts[0];
        let message = layout.message(bytes, &reading);
        // Found a moment ago.
        let Some(form) = self.forms.get_mut(&constant) else { return Skimmed::Unknown };
        self.credit = MAX_CREDIT.min(self.credit + SPARED);
        let Ok(time) = layout.time(bytes, &reading) else { return Skimmed::Candidate };
        if !form.is_plain(message) {
            return Skimmed::Candidate;
        }
        if self.tried.is_multiple_of(SAMPLE_EVERY) {
            self.seen.add(message);
        }
        if prefilter.may_match(message) { Skimmed::Suspect } else { Skimmed::Clean(form, time) }
    }

    /// A sample of the messages since the last call.
    pub(super) fn take_seen(&mut self) -> Traffic {
        mem::take(&mut self.seen)
    }

    /// The place of the layout by which the record can be read and is one of a writer that is known.
    fn find(&mut self, bytes: &[u8]) -> Result<(usize, Reading, u64), Misfit> {
        let mut outcome = Misfit::Other;
        for (index, layout) in self.layouts.iter_mut().take(MAX_LAYOUT_TRIES).enumerate() {
            match layout.read(bytes) {
                Ok(reading) => {
                    let constant = self.seed.of(bytes, layout, &reading);
                    if self.forms.contains_key(&constant) {
                        return Ok((index, reading, constant));
                    }
                }
                Err(Misfit::Unclear) => outcome = Misfit::Unclear,
                Err(Misfit::Other) => {}
            }
        }
        Err(outcome)
    }

    /// Learns from a record that was decoded as one whole log line. Tells whether all else had to be forgotten for it.
    pub(super) fn learn(&mut self, bytes: &[u8], input: &Input) -> bool {
        if self.credit <= 0 {
            return false;
        }
        self.credit -= LEARNING_COSTS;
        let Some((layout, reading, form)) = learn::learn(bytes, input) else { return false };
        let constant = self.seed.of(bytes, &layout, &reading);
        if !self.layouts.iter().any(|known| known.is_same(&layout)) {
            if self.layouts.len() >= MAX_LAYOUTS {
                return false;
            }
            self.layouts.insert(0, layout);
        }
        let is_full = self.bytes + form.size() > self.max_bytes;
        if is_full {
            self.forms.clear();
            self.bytes = 0;
        }
        self.bytes += form.size();
        if let Some(before) = self.forms.insert(constant, form) {
            self.bytes -= before.size();
        }
        is_full
    }
}

#[cfg(test)]
mod tests;
