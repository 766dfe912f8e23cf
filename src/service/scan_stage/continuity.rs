//! Whether an input partition goes on where its reading stood.
//!
//! librdkafka goes to the start of a log when it cannot go on (`auto.offset.reset=earliest`), and tells only its log. So
//! the offset of each record is held against the one that was due.

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
    /// Takes note of the next record. `log_start` is where the broker's log begins, as far as that is known; it is asked
    /// only where offsets are missing. Those that are not below it are no loss: compaction leaves holes, and transactions
    /// take offsets for their markers.
    pub fn meet(&mut self, offset: i64, log_start: impl FnOnce() -> Option<i64>) -> Found {
        let due = std::mem::replace(self, Due::At(offset + 1));
        match due {
            Due::At(due) if offset == due => Found::GoesOn,
            Due::At(due) if offset < due => Found::BeginsAgain,
            Due::At(due) => {
                let lost = log_start().map_or(0, |start| start.min(offset) - due);
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
    fn only_what_lies_below_the_start_of_the_log_is_lost() {
        // What is due, the record's offset, the log's start; what that says.
        let cases = [
            (Due::At(5), 5, Some(0), Found::GoesOn),
            (Due::At(5), 9, Some(9), Found::Lost(4)),
            (Due::At(5), 9, Some(7), Found::Lost(2)),
            (Due::At(5), 9, Some(5), Found::GoesOn),
            (Due::At(5), 9, Some(0), Found::GoesOn),
            (Due::At(5), 9, None, Found::GoesOn),
            // Retention has run on since the record was fetched.
            (Due::At(5), 9, Some(700), Found::Lost(4)),
            (Due::At(5), 0, Some(0), Found::BeginsAgain),
            (Due::At(5), 4, Some(3), Found::BeginsAgain),
            (Due::Start, 0, Some(0), Found::Begins),
            (Due::Start, 700, Some(700), Found::Begins),
            (Due::Unknown, 700, Some(700), Found::GoesOn),
        ];
        for (before, offset, start, expected) in cases {
            let mut due = before;
            assert_eq!(due.meet(offset, || start), expected, "{before:?} {offset} {start:?}");
            assert_eq!(due, Due::At(offset + 1));
        }
    }

    #[test]
    fn the_log_start_is_asked_for_only_where_offsets_are_missing() {
        let mut due = Due::Start;
        for offset in 3..9 {
            due.meet(offset, || panic!("asked at {offset}"));
        }
    }
}
