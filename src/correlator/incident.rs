//! An incident: one fault that has been told, from its first alert to its end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::alert::{Suspect, Verdict};
use crate::checksum::fnv1a;
use crate::localizer::{Exposed, Ranked, covers};
use crate::signature::Severity;
use crate::time::Timestamp;

use super::Alerts;
use super::aftermath::Aftermath;
pub use super::aftermath::Fate;
use super::explained::Grounds;
use super::heard::Heard;
use super::inventory::PodKey;

/// A failing set that doubled is worth another message after this pause, and after each such message only after four
/// times the pause before.
const GROWTH_PAUSE: Duration = Duration::from_secs(300);
const PAUSE_GROWTH: u32 = 4;
/// Kubelet's longest crash-loop back-off is 5 minutes; a pod that is silent between two attempts still fails.
pub const CRASH_LOOP_PERIOD: Duration = Duration::from_secs(360);

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Incident {
    pub dedup_key: String,
    pub suspect: Suspect,
    pub verdict: Verdict,
    pub severity: Severity,
    pub best: Ranked,
    pub candidates: Vec<Ranked>,
    pub onset: Timestamp,
    /// Every pod that failed as part of it.
    pub members: BTreeMap<PodKey, Exposed>,
    /// Every rule that a member matched.
    pub rules: BTreeSet<Arc<str>>,
    pub notes: Vec<String>,
    /// Nobody was told of it: it began long before it was read of.
    pub is_untold: bool,
    /// It begins and ends again and again: its end is not told at once.
    pub flaps: bool,
    /// Since when it would be over, if it did not flap.
    pub over_since: Option<Timestamp>,
    /// When it was told last, as news or as a reminder.
    pub reminded: Timestamp,
    /// What `best` comes from, if it is to be explained.
    #[serde(skip)]
    pub grounds: Option<Arc<Grounds>>,
    /// What the last message said, for deciding about the next.
    told: Told,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Told {
    at: Timestamp,
    failing: usize,
    verdict: Verdict,
    severity: Severity,
    /// How long the next word of growth must wait.
    pause: Duration,
}

/// How an incident stands at one evaluation.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Standing {
    pub aftermath: Aftermath,
    pub failing: usize,
    /// Newest match of a member, or of the suspect node itself.
    pub last_match: Option<Timestamp>,
    /// Records of the suspect.
    pub heard: Option<Heard>,
    /// The longest silence seen between two matches of one member.
    pub longest_gap: Duration,
}

impl Incident {
    pub fn open(cluster: &str, best: &Ranked, candidates: &[Ranked], onset: Timestamp, now: Timestamp) -> Self {
        let (verdict, severity) = (Verdict::Suspected, Severity::Info);
        Incident {
            dedup_key: dedup_key(cluster, &best.suspect),
            suspect: best.suspect.clone(),
            verdict,
            severity,
            best: best.clone(),
            candidates: candidates.to_vec(),
            onset,
            members: BTreeMap::new(),
            rules: BTreeSet::new(),
            notes: Vec::new(),
            is_untold: false,
            flaps: false,
            over_since: None,
            reminded: now,
            grounds: None,
            told: Told { at: now, failing: 0, verdict, severity, pause: GROWTH_PAUSE },
        }
    }

    pub fn is_confirmed(&self) -> bool {
        self.verdict == Verdict::Confirmed
    }

    /// Whether another incident about `suspect` would tell all that this one tells.
    pub fn is_within(&self, suspect: &Suspect, failing: &BTreeSet<PodKey>) -> bool {
        let told = |pod: &Exposed| failing.contains(&pod.pod) || covers(suspect, pod);
        !self.members.is_empty() && self.members.values().all(told)
    }

    /// Whether there is news for those who were told of it already.
    pub fn has_news(&self, now: Timestamp, renotify: Duration) -> bool {
        let told = self.told;
        let silence = now.since(told.at);
        let doubled = self.members.len() > told.failing && self.members.len() >= told.failing.saturating_mul(2);
        // Receivers call somebody from there on.
        let is_urgent = self.severity >= Severity::Error && told.severity < Severity::Error;
        self.verdict != told.verdict
            || is_urgent
            || (self.severity > told.severity || doubled) && silence >= told.pause
            || silence >= renotify
    }

    pub fn was_told_at(&self, now: Timestamp) -> bool {
        self.told.at == now
    }

    /// Notes what a message that goes out now says.
    pub fn mark_told(&mut self, now: Timestamp) {
        let told = self.told;
        let is_first = told.failing == 0;
        self.reminded = now;
        let has_grown = self.verdict == told.verdict && !is_first;
        self.told = Told {
            at: now,
            failing: self.members.len(),
            verdict: self.verdict,
            severity: self.severity,
            pause: if has_grown { told.pause.saturating_mul(PAUSE_GROWTH) } else { told.pause },
        };
    }

    /// Why the incident is over, if it is. Silence of the input is no reason.
    pub fn is_over(&self, standing: &Standing, now: Timestamp, alerts: &Alerts) -> Option<String> {
        let quiet = standing.last_match.map_or(Duration::ZERO, |last| now.since(last));
        if standing.failing == 0 && !standing.aftermath.is_empty() && quiet >= alerts.recovered_after {
            return Some(standing.aftermath.in_words());
        }
        let patience = alerts.keep_firing_for.max(next_attempt(standing.longest_gap));
        let speaks = |heard: Heard, matched| heard.goes_on(matched, now, alerts.keep_firing_for);
        let still_sends =
            standing.heard.zip(standing.last_match).is_some_and(|(heard, matched)| speaks(heard, matched));
        (quiet >= patience && still_sends).then(|| {
            let known = standing.aftermath.in_words();
            let separator = if known.is_empty() { "" } else { "; " };
            let suspect = self.suspect.in_words();
            format!("no failure for {} while {suspect} still sends records{separator}{known}", seconds(quiet))
        })
    }
}

/// By when a pod that was silent for at most `longest_gap` between two matches would have failed again.
pub fn next_attempt(longest_gap: Duration) -> Duration {
    // kubelet doubles its back-off after each attempt.
    (longest_gap.saturating_mul(2) + Duration::from_secs(30)).min(CRASH_LOOP_PERIOD)
}

fn seconds(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds >= 120 { format!("{} min", seconds / 60) } else { format!("{seconds} s") }
}

/// PagerDuty's bound.
const DEDUP_KEY_CHARS: usize = 255;

/// `cluster/scope/suspect`. A longer one is cut and ends in a checksum of the whole, so that it stays distinct.
pub fn dedup_key(cluster: &str, suspect: &Suspect) -> String {
    let name = suspect.name();
    let separator = if name.is_empty() { "" } else { "/" };
    let key = format!("{cluster}/{}{separator}{name}", suspect.scope().as_str());
    if key.chars().count() <= DEDUP_KEY_CHARS {
        return key;
    }
    let kept: String = key.chars().take(DEDUP_KEY_CHARS - 17).collect();
    format!("{kept}#{:016x}", fnv1a(key.as_bytes()))
}
