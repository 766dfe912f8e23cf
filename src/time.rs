//! Event time: an instant with millisecond resolution, always passed in, never read from a clock.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Milliseconds since 1970-01-01T00:00:00Z.
///
/// A millisecond is finer than any window or ordering decision here; formats with nanoseconds are truncated.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

/// The years 0001 to 9999, which is what RFC 3339 can write, in whatever time zone.
const MIN_MS: i64 = -62_135_596_800_000;
const MAX_MS: i64 = 253_402_128_000_000;

impl Timestamp {
    /// Clamped to the years 0001 to 9999, so that every value can be printed.
    pub const fn from_millis(ms: i64) -> Self {
        if ms < MIN_MS {
            Timestamp(MIN_MS)
        } else if ms > MAX_MS {
            Timestamp(MAX_MS)
        } else {
            Timestamp(ms)
        }
    }

    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Parses RFC 3339 as producers write it: any number of fraction digits, `Z` or an offset.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let instant: jiff::Timestamp = text.trim().parse().ok()?;
        Some(Self::from_millis(instant.as_millisecond()))
    }

    /// Seconds since the epoch as Fluent Bit's `double` writes them. Not finite or out of range: `None`.
    pub fn from_unix_seconds(seconds: f64) -> Option<Self> {
        let ms = seconds * 1000.0;
        (ms >= MIN_MS as f64 && ms <= MAX_MS as f64).then(|| Timestamp(ms.round() as i64))
    }

    /// Nanoseconds since the epoch, OTLP's unit. Zero means "unknown" there, hence `None`; so is the first millisecond.
    pub fn from_unix_nanos(nanos: u64) -> Option<Self> {
        let ms = nanos / 1_000_000;
        (ms > 0).then(|| Self::from_millis(ms as i64))
    }

    pub fn saturating_add(self, duration: Duration) -> Self {
        Self::from_millis(self.0.saturating_add(millis(duration)))
    }

    pub fn saturating_sub(self, duration: Duration) -> Self {
        Self::from_millis(self.0.saturating_sub(millis(duration)))
    }

    /// How long after `earlier` this is; zero when it is not after it.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0).max(0) as u64)
    }

    /// The newest multiple of `step` (counted from the epoch) that is not after this instant. `step` of zero counts as 1 ms.
    pub fn floor_to(self, step: Duration) -> Self {
        let step = millis(step).max(1);
        Self::from_millis(self.0.div_euclid(step) * step)
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with milliseconds, `2026-11-22T14:51:03.000Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(instant) => write!(f, "{instant:.3}"),
            Err(_) => write!(f, "{}ms", self.0),
        }
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// For `#[serde(with = "crate::time::rfc3339")]`: alerts carry RFC 3339, reports carry milliseconds.
pub mod rfc3339 {
    use super::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(value: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        let text = String::deserialize(deserializer)?;
        Timestamp::parse_rfc3339(&text).ok_or_else(|| D::Error::custom("not an RFC 3339 time"))
    }

    /// The same for an optional time, `null` when absent.
    pub mod option {
        use super::super::Timestamp;
        use serde::{Deserialize, Deserializer, Serializer, de::Error};

        pub fn serialize<S: Serializer>(value: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
            match value {
                Some(time) => serializer.collect_str(time),
                None => serializer.serialize_none(),
            }
        }

        pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
            match Option::<String>::deserialize(deserializer)? {
                None => Ok(None),
                Some(text) => {
                    Timestamp::parse_rfc3339(&text).map(Some).ok_or_else(|| D::Error::custom("not an RFC 3339 time"))
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_what_producers_write() {
        let cases = [
            ("1970-01-01T00:00:00Z", 0),
            ("1970-01-01T00:00:01.5Z", 1500),
            ("2024-07-02T12:40:06.615800890+00:00", 1_719_924_006_615),
            ("2024-07-02T20:40:06.615+08:00", 1_719_924_006_615),
        ];
        for (text, ms) in cases {
            assert_eq!(Timestamp::parse_rfc3339(text), Some(Timestamp(ms)), "{text}");
        }
        for text in ["", "yesterday", "2024-07-02", "2024-13-02T12:40:06Z"] {
            assert_eq!(Timestamp::parse_rfc3339(text), None, "{text}");
        }
    }

    #[test]
    fn prints_milliseconds_in_utc() {
        assert_eq!(Timestamp(1_719_924_006_615).to_string(), "2024-07-02T12:40:06.615Z");
        assert_eq!(Timestamp::from_millis(i64::MAX).to_string(), "9999-12-30T00:00:00.000Z");
        assert_eq!(Timestamp::from_millis(i64::MIN).to_string(), "0001-01-01T00:00:00.000Z");
    }

    #[test]
    fn floors_before_and_after_the_epoch() {
        let step = Duration::from_secs(5);
        assert_eq!(Timestamp(12_345).floor_to(step), Timestamp(10_000));
        assert_eq!(Timestamp(-1).floor_to(step), Timestamp(-5_000));
        assert_eq!(Timestamp(7).floor_to(Duration::ZERO), Timestamp(7));
    }

    #[test]
    fn nanoseconds_that_are_no_time_are_none() {
        assert_eq!(Timestamp::from_unix_nanos(1_795_357_863_250_000_000), Some(Timestamp(1_795_357_863_250)));
        assert_eq!(Timestamp::from_unix_nanos(999_999), None);
        assert_eq!(Timestamp::from_unix_nanos(0), None);
    }

    #[test]
    fn rejects_seconds_that_are_no_time() {
        assert_eq!(Timestamp::from_unix_seconds(1572026149.25), Some(Timestamp(1_572_026_149_250)));
        assert_eq!(Timestamp::from_unix_seconds(f64::NAN), None);
        assert_eq!(Timestamp::from_unix_seconds(1e300), None);
    }
}
