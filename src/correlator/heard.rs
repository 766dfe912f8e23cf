//! Since when something has been heard of without a long silence.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// What is silent for longer than this may have been anything meanwhile.
const LONG_SILENCE: Duration = Duration::from_secs(300);

/// The newest stretch of records without a long silence.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Heard {
    pub from: Timestamp,
    pub to: Timestamp,
}

impl Heard {
    pub fn at(at: Timestamp) -> Self {
        Heard { from: at, to: at }
    }

    /// Both stretches as one, if no long silence is between them; else the newer.
    pub fn and(self, other: Heard) -> Self {
        let (older, newer) = if self.from <= other.from { (self, other) } else { (other, self) };
        if newer.from.since(older.to) > LONG_SILENCE {
            return newer;
        }
        Heard { from: older.from, to: older.to.max(newer.to) }
    }

    /// Whether it was heard of, again and again, for at least `needed` after `since` and until shortly before `now`.
    pub fn goes_on(&self, since: Timestamp, now: Timestamp, needed: Duration) -> bool {
        let from = self.from.max(since);
        now.since(self.to) <= needed && self.to.since(from) >= needed && now.since(from) >= needed
    }
}

/// [`Heard::and`] for what may not have been heard of yet.
pub fn merge(known: &mut Option<Heard>, other: Heard) {
    *known = Some(known.map_or(other, |known| known.and(other)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_millis(second * 1000)
    }

    fn heard(seconds: &[i64]) -> Heard {
        let mut heard = None;
        seconds.iter().for_each(|second| merge(&mut heard, Heard::at(at(*second))));
        heard.unwrap()
    }

    #[test]
    fn a_long_silence_begins_anew_and_order_does_not_matter() {
        assert_eq!(heard(&[0, 200, 100]), Heard { from: at(0), to: at(200) });
        assert_eq!(heard(&[200, 0]), Heard { from: at(0), to: at(200) });
        assert_eq!(heard(&[0, 400, 500]), Heard { from: at(400), to: at(500) });
        assert_eq!(heard(&[400, 500, 0]), Heard { from: at(400), to: at(500) });
    }

    #[test]
    fn goes_on_only_if_it_spoke_all_the_while() {
        let needed = Duration::from_secs(300);
        let talks: Vec<i64> = (0..=70).map(|ten| ten * 10).collect();
        assert!(heard(&talks).goes_on(at(390), at(700), needed));
        assert!(!heard(&talks).goes_on(at(450), at(700), needed), "not for long enough since");
        assert!(!heard(&talks).goes_on(at(100), at(1100), needed), "silent again");
        assert!(!heard(&[0, 100, 1000, 1010]).goes_on(at(100), at(1010), needed), "it only just spoke again");
        // Another partition may be read ahead of the time of the evaluation.
        assert!(!heard(&[0, 100, 1000, 1010]).goes_on(at(100), at(500), needed));
    }
}
