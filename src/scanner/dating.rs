//! Which event times are believed.
//!
//! A clock gone wrong must not drag a watermark into the future: everything that comes after it in the right time would
//! be late. So a time may lie ahead of when its record was written, and of the scanner's clock, by so much only.

use std::time::Duration;

use crate::time::Timestamp;

/// What times are held against.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Clock {
    /// The scanner's wall clock, where it was given one: a replay has none, for its records may be of any time.
    pub now: Option<Timestamp>,
    pub max_ahead: Duration,
}

/// The event time of an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Dated {
    /// `None`: neither the entry nor Kafka named one that can be.
    pub time: Option<Timestamp>,
    /// One of them was from the future, and is not heeded.
    pub was_ahead: bool,
}

impl Clock {
    /// When the record was written: Kafka's word if that can be, else it was just now.
    pub fn written(&self, kafka: Option<Timestamp>) -> Option<Timestamp> {
        kafka.filter(|time| !self.is_ahead(*time, self.now)).or(self.now)
    }

    /// An entry's own time, else when its record was written.
    pub fn date(&self, own: Option<Timestamp>, kafka: Option<Timestamp>) -> Dated {
        let written = self.written(kafka);
        match own {
            Some(own) if !self.is_ahead(own, written) && !self.is_ahead(own, self.now) => {
                Dated { time: Some(own), was_ahead: false }
            }
            // Where there is no time at all, the clock's is no better than that of the record before.
            None if kafka.is_none() => Dated { time: None, was_ahead: false },
            own => Dated { time: written, was_ahead: own.is_some() || written != kafka },
        }
    }

    fn is_ahead(&self, time: Timestamp, of: Option<Timestamp>) -> bool {
        of.is_some_and(|of| time.since(of) > self.max_ahead)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn clock(now: Option<i64>) -> Clock {
        Clock { now: now.map(Timestamp::from_millis), max_ahead: Duration::from_millis(10) }
    }

    #[test]
    fn what_lies_ahead_gives_way_to_what_can_be() {
        // The clock, Kafka's time, the entry's own; the time that counts, and whether one was from the future.
        let cases = [
            (Some(100), Some(95), Some(90), Some(90), false),
            (Some(100), Some(95), Some(105), Some(105), false),
            (Some(100), Some(95), Some(106), Some(95), true),
            (Some(100), Some(105), Some(111), Some(105), true),
            (Some(100), Some(95), None, Some(95), false),
            (Some(100), Some(111), None, Some(100), true),
            (Some(100), Some(111), Some(90), Some(90), false),
            (Some(100), Some(111), Some(111), Some(100), true),
            (Some(100), None, Some(111), Some(100), true),
            (Some(100), None, Some(110), Some(110), false),
            (Some(100), None, None, None, false),
            (None, Some(95), Some(106), Some(95), true),
            (None, Some(999), None, Some(999), false),
            (None, None, Some(999), Some(999), false),
            // A backlog: what was written long ago is held against then.
            (Some(900), Some(95), Some(106), Some(95), true),
        ];
        for (now, kafka, own, time, was_ahead) in cases {
            let dated = clock(now).date(own.map(Timestamp::from_millis), kafka.map(Timestamp::from_millis));
            let expected = Dated { time: time.map(Timestamp::from_millis), was_ahead };
            assert_eq!(dated, expected, "clock {now:?}, Kafka {kafka:?}, own {own:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_is_dated_further_ahead_than_allowed(
            now in 0..100i64, kafka in prop::option::of(0..200i64), own in prop::option::of(0..200i64),
        ) {
            let dated = clock(Some(now)).date(own.map(Timestamp::from_millis), kafka.map(Timestamp::from_millis));
            prop_assert!(dated.time.is_none_or(|time| time.as_millis() <= now + 10));
        }
    }
}
