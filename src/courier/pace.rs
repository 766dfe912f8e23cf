//! When the receiver may be asked again: its rate limit, back-off after failures, and the patience that it asks for.

use std::time::Duration;

use jiff::fmt::rfc2822::DateTimeParser;

use super::Waiting;
use crate::scenario::rng::Rng;
use crate::time::Timestamp;

/// Waits between attempts: doubled from `least` to `most`, each cut by up to a half at random, so that several senders
/// do not come back at the same time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Backoff {
    pub least: Duration,
    pub most: Duration,
}

impl Backoff {
    /// After so many failures in a row, from 1.
    pub(super) fn wait(&self, failures: u32, rng: &mut Rng) -> Duration {
        let doubled = self.least.saturating_mul(1 << failures.saturating_sub(1).min(20)).min(self.most);
        let millis = u64::try_from(doubled.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(rng.between(millis / 2, millis))
    }
}

/// The receiver's side, for all keys together.
#[derive(Debug)]
pub struct Pace {
    spacing: Duration,
    backoff: Backoff,
    /// By the rate limit.
    next: Duration,
    /// By back-off.
    not_before: Duration,
    failures: u32,
    /// When something was last delivered.
    delivered: Option<Duration>,
}

impl Pace {
    pub fn new(spacing: Duration, backoff: Backoff) -> Self {
        Pace { spacing, backoff, next: Duration::ZERO, not_before: Duration::ZERO, failures: 0, delivered: None }
    }

    /// Until when nothing may be sent, and why.
    pub fn blocked(&self, now: Duration) -> Option<(Duration, Waiting)> {
        let blocked =
            if self.not_before >= self.next { (self.not_before, Waiting::Backoff) } else { (self.next, Waiting::Rate) };
        (blocked.0 > now).then_some(blocked)
    }

    pub fn sent(&mut self, now: Duration) {
        self.next = now + self.spacing;
    }

    pub fn delivered(&mut self, now: Duration) {
        self.failures = 0;
        self.delivered = Some(now);
    }

    pub fn has_delivered_since(&self, then: Duration) -> bool {
        self.delivered.is_some_and(|delivered| delivered > then)
    }

    /// Returns how long everything waits.
    pub fn failed(&mut self, now: Duration, asked: Option<Duration>, rng: &mut Rng) -> Duration {
        self.failures = self.failures.saturating_add(1);
        let wait = self.backoff.wait(self.failures, rng).max(asked.unwrap_or_default());
        self.not_before = now + wait;
        wait
    }
}

/// The header `Retry-After` (RFC 9110, 10.2.3): seconds, or a date, which is past where it is not after `wall`.
pub fn retry_after(text: &str, wall: Timestamp) -> Option<Duration> {
    static DATES: DateTimeParser = DateTimeParser::new();
    let text = text.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = DATES.parse_timestamp(text).ok()?;
    Some(Timestamp::from_millis(date.as_millisecond()).since(wall))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let backoff = Backoff { least: Duration::from_secs(1), most: Duration::from_secs(60) };
        let mut rng = Rng::new(1);
        for (failures, seconds) in [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (1000, 60)] {
            let wait = backoff.wait(failures, &mut rng);
            let most = Duration::from_secs(seconds);
            assert!(wait >= most / 2 && wait <= most, "{failures}: {wait:?}");
        }
        let waits: std::collections::BTreeSet<_> = (0..20).map(|_| backoff.wait(5, &mut rng)).collect();
        assert!(waits.len() > 10, "they differ");
    }

    #[test]
    fn requests_are_spaced_and_failures_hold_all_up() {
        let second = Duration::from_secs(1);
        let mut pace = Pace::new(second, Backoff { least: 8 * second, most: 60 * second });
        assert_eq!(pace.blocked(second), None);
        pace.sent(second);
        assert_eq!(pace.blocked(second), Some((2 * second, Waiting::Rate)));
        assert_eq!(pace.blocked(2 * second), None);
        let wait = pace.failed(second, None, &mut Rng::new(1));
        assert_eq!(pace.blocked(2 * second), Some((second + wait, Waiting::Backoff)));
        assert_eq!(pace.failed(second, Some(99 * second), &mut Rng::new(1)), 99 * second);
        pace.delivered(200 * second);
        assert!(pace.failed(200 * second, None, &mut Rng::new(1)) <= 8 * second);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let wall = Timestamp::parse_rfc3339("1994-11-06T08:49:00Z").unwrap();
        for (text, seconds) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(37)),
            ("Sun, 06 Nov 1994 08:48:00 GMT", Some(0)),
            ("-1", None),
            ("soon", None),
            ("99999999999999999999999", None),
        ] {
            assert_eq!(retry_after(text, wall), seconds.map(Duration::from_secs), "{text}");
        }
    }
}
