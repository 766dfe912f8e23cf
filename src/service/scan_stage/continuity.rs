//! Whether an input partition goes on where its reading stood.
//!
//! librdkafka goes to the start of a log when it cannot go on (`auto.offset.reset=earliest`), and tells only its log. So
//! the offset of each record is held against the one that was due.

use std::ops::Range;

/// Where reading of a partition is to go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Due {
    /// The group has no offset for it: at the start of the log.
    Start,
    /// At this offset, or behind it where the log has holes.
    At(i64),
    /// Nobody could say where the group left off.
    Unknown,
}

/// What a record's offset says of the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Found {
    GoesOn,
    /// So many records were deleted before they could be read.
    Lost(u64),
    /// Reading began at the start of a log that the group does not know.
    Begins,
    /// It begins again below what was read: the topic was deleted and created anew, or cut off by a broker's failure.
    BeginsAgain,
}

impl Due {
    /// Takes note of the next record. `log` is where the broker's log begins and ends, as far as that is known; it is asked
    /// only where the offset is not the one that was due.
    ///
    /// Offsets that are missing but not below the log's start are no loss: compaction leaves holes, and transactions take
    /// offsets for their markers. A lower offset from the middle of a log that reaches as far as reading did is a record
    /// that comes twice; the correlator knows it by its position.
    pub fn meet(&mut self, offset: i64, log: impl FnOnce() -> Option<Range<i64>>) -> Found {
        let due = std::mem::replace(self, Due::At(offset + 1));
        match due {
            Due::At(due) if offset == due => Found::GoesOn,
            Due::At(due) if offset < due => match log() {
                Some(log) if offset > log.start && log.end >= due => Found::GoesOn,
                _ => Found::BeginsAgain,
            },
            Due::At(due) => {
                let lost = log().map_or(0, |log| log.start.min(offset) - due);
                u64::try_from(lost).ok().filter(|lost| *lost > 0).map_or(Found::GoesOn, Found::Lost)
            }
            Due::Start => Found::Begins,
            Due::Unknown => Found::GoesOn,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_tells_a_loss_from_a_hole_and_a_new_log_from_a_repetition() {
        // What is due, the record's offset, the log; what that says.
        let cases = [
            (Due::At(5), 5, Some(0..9), Found::GoesOn),
            (Due::At(5), 9, Some(9..10), Found::Lost(4)),
            (Due::At(5), 9, Some(7..10), Found::Lost(2)),
            (Due::At(5), 9, Some(5..10), Found::GoesOn),
            (Due::At(5), 9, Some(0..10), Found::GoesOn),
            (Due::At(5), 9, None, Found::GoesOn),
            // Retention has run on since the record was fetched.
            (Due::At(5), 9, Some(700..900), Found::Lost(4)),
            (Due::At(5), 0, Some(0..3), Found::BeginsAgain),
            (Due::At(5), 0, None, Found::BeginsAgain),
            // A new log that has grown fast, and one that was cut off.
            (Due::At(5), 0, Some(0..900), Found::BeginsAgain),
            (Due::At(5), 4, Some(0..4), Found::BeginsAgain),
            (Due::At(5), 4, Some(0..5), Found::GoesOn),
            (Due::Start, 0, Some(0..1), Found::Begins),
            (Due::Start, 700, Some(700..701), Found::Begins),
            (Due::Unknown, 700, Some(700..701), Found::GoesOn),
        ];
        for (before, offset, log, expected) in cases {
            let mut due = before;
            assert_eq!(due.meet(offset, || log.clone()), expected, "{before:?} {offset} {log:?}");
            assert_eq!(due, Due::At(offset + 1));
        }
    }

    #[test]
    fn the_log_is_asked_only_about_offsets_that_were_not_due() {
        let mut due = Due::Start;
        for offset in 3..9 {
            due.meet(offset, || panic!("asked at {offset}"));
        }
    }
}
