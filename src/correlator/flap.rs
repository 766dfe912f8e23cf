//! Incidents that begin and end again and again: said once to flap, and then to be over only once they stay so.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Alerts;
use crate::time::Timestamp;

/// When incidents began lately, by their dedup keys.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Flaps {
    /// Oldest first, at most as many as make one flap.
    begun: BTreeMap<String, Vec<Timestamp>>,
    /// Keys that were forgotten too early, for want of room.
    #[serde(skip)]
    pub evicted: u64,
}

impl Flaps {
    /// Notes that an incident begins, and says whether it flaps by now.
    pub fn begins(&mut self, key: &str, now: Timestamp, alerts: &Alerts) -> bool {
        let Some(times) = alerts.flap_times else { return false };
        let begun = self.begun.entry(key.to_owned()).or_default();
        begun.push(now);
        let excess = begun.len().saturating_sub(times as usize);
        begun.drain(..excess);
        begun.len() >= times as usize && begun.iter().all(|at| now.since(*at) <= alerts.flap_within)
    }

    /// Forgets what is too old to count, and beyond `most` keys those that began longest ago.
    pub fn expire(&mut self, now: Timestamp, alerts: &Alerts, most: usize) {
        self.begun.retain(|_, begun| begun.last().is_some_and(|at| now.since(*at) <= alerts.flap_within));
        let excess = self.begun.len().saturating_sub(most);
        if excess > 0 {
            let mut ages: Vec<_> = self.begun.iter().map(|(key, begun)| (begun.last().copied(), key.clone())).collect();
            ages.sort();
            ages.iter().take(excess).for_each(|(_, key)| _ = self.begun.remove(key));
            self.evicted += excess as u64;
        }
    }
}

/// An incident that flaps is over when it has been quiet for so long.
pub fn calm_after(alerts: &Alerts) -> Duration {
    alerts.flap_within / 2
}

/// What people are told of it.
pub fn in_words(alerts: &Alerts) -> String {
    let times = alerts.flap_times.unwrap_or_default();
    let minutes = |span: Duration| span.as_secs().div_ceil(60);
    format!(
        "flapping: it began {times} times within {} min; from now on it counts as over once it has stayed so for {} min",
        minutes(alerts.flap_within),
        minutes(calm_after(alerts))
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_millis(minute * 60_000)
    }

    #[test]
    fn what_begins_often_enough_in_time_flaps() {
        let alerts = Alerts { flap_times: Some(3), flap_within: Duration::from_secs(3600), ..Alerts::default() };
        let mut flaps = Flaps::default();
        let cases = [(0, false), (40, false), (80, false), (100, true), (120, true), (170, false)];
        for (minute, is_flapping) in cases {
            assert_eq!(flaps.begins("a", at(minute), &alerts), is_flapping, "{minute}");
        }
        assert!(!flaps.begins("b", at(170), &alerts), "each for itself");
        let off = Alerts { flap_times: None, ..alerts };
        assert!((0..9).all(|minute| !flaps.begins("c", at(minute), &off)));
    }

    #[test]
    fn what_is_old_or_too_much_is_forgotten() {
        let alerts = Alerts::default();
        let mut flaps = Flaps::default();
        for minute in 0..10 {
            flaps.begins(&format!("{minute}"), at(minute), &alerts);
        }
        flaps.expire(at(10), &alerts, 4);
        assert_eq!(flaps.begun.keys().collect::<Vec<_>>(), ["6", "7", "8", "9"]);
        assert_eq!(flaps.evicted, 6);
        flaps.expire(at(67), &alerts, 4);
        assert_eq!(flaps.begun.keys().collect::<Vec<_>>(), ["7", "8", "9"]);
        flaps.expire(at(1000), &alerts, 4);
        assert!(flaps.begun.is_empty());
    }
}
