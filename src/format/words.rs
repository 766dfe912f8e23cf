//! An alert's numbers and names in words, as all formats for people say them. Nothing here is cut or escaped.

use std::cmp::Reverse;
use std::time::Duration;

use crate::alert::{Alert, Candidate, FailingPod, Signal, Status, Suspect, Verdict};
use crate::time::Timestamp;

/// Values of one capture that are told.
const VALUES: usize = 3;

pub fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Suspected => "suspected",
        Verdict::Confirmed => "confirmed",
    }
}

/// `Firing, confirmed`.
pub fn state(alert: &Alert) -> &'static str {
    match (alert.status, alert.verdict) {
        (Status::Firing, Verdict::Confirmed) => "Firing, confirmed",
        (Status::Firing, Verdict::Suspected) => "Firing, suspected",
        (Status::Resolved, _) if alert.superseded_by.is_some() => "Superseded",
        (Status::Resolved, _) => "Resolved",
    }
}

/// `99.8 %`.
pub fn percent(probability: f64) -> String {
    if probability < 0.0005 { "below 0.1 %".to_owned() } else { format!("{:.1} %", probability * 100.0) }
}

/// `2026-11-22 14:51:03 UTC`.
pub fn time(at: Timestamp) -> String {
    let second: String = at.to_string().chars().take(19).collect();
    second.replacen('T', " ", 1) + " UTC"
}

pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        _ => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

/// `3 pods`.
pub fn count(number: u64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// `4 of 4 (4 workloads)`.
pub fn failing_inside(alert: &Alert) -> String {
    let evidence = alert.evidence;
    match &alert.suspect {
        Suspect::Pod(_) | Suspect::Workload(_) => format!("{} of {}", evidence.failing_pods, evidence.exposed_pods),
        _ => {
            let workloads = count(evidence.workloads, "workload");
            format!("{} of {} ({workloads})", evidence.failing_pods, evidence.exposed_pods)
        }
    }
}

/// `0 of 21 comparable pods`.
pub fn failing_elsewhere(alert: &Alert) -> String {
    match alert.evidence.exposed_elsewhere {
        0 => "no comparable pods".to_owned(),
        exposed => format!("{} of {}", alert.evidence.failing_elsewhere, count(exposed, "comparable pod")),
    }
}

/// `37 matches on 4 pods, code 216 ERROR_EXE_MACHINE_TYPE_MISMATCH (37)`.
pub fn signal(signal: &Signal) -> String {
    let mut words = if signal.matches == 1 { "1 match".to_owned() } else { format!("{} matches", signal.matches) };
    if signal.pods > 0 {
        words += &format!(" on {}", count(signal.pods, "pod"));
    }
    for name in signal.captures.keys() {
        words += &format!(", {name} {}", captured(signal, name));
    }
    words
}

/// The values of one capture, those that were seen most often first.
pub fn captured(signal: &Signal, name: &str) -> String {
    let values = signal.captures.get(name).into_iter().flatten();
    let mut values: Vec<(&String, &u64)> = values.collect();
    values.sort_by_key(|(_, times)| Reverse(**times));
    let told = values.iter().take(VALUES).map(|(value, times)| match signal.meaning.get(*value) {
        Some(meaning) => format!("{value} {meaning} ({times})"),
        None => format!("{value} ({times})"),
    });
    let mut words = told.collect::<Vec<_>>().join(", ");
    if values.len() > VALUES {
        words += &format!(" and {} more", values.len() - VALUES);
    }
    words
}

/// `workload sitecore/cd: 0.1 %`.
pub fn candidate(candidate: &Candidate) -> String {
    format!("{}: {}", candidate.suspect.in_words(), percent(candidate.probability))
}

/// The hypotheses that were compared beside the one that the alert names.
pub fn others(alert: &Alert) -> impl Iterator<Item = &Candidate> {
    alert.candidates.iter().filter(|candidate| candidate.suspect != alert.suspect)
}

/// `sitecore/cd-7d… on akswin000001 (windows-entrypoint-failed, pod-back-off)`.
pub fn failing_pod(pod: &FailingPod) -> String {
    let mut words = format!("{}/{}", pod.namespace, pod.pod);
    if let Some(node) = &pod.node {
        words += &format!(" on {node}");
    }
    if !pod.signatures.is_empty() {
        words += &format!(" ({})", pod.signatures.join(", "));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn numbers_in_words() {
        assert_eq!([percent(0.998), percent(0.001), percent(0.0)], ["99.8 %", "0.1 %", "below 0.1 %"]);
        assert_eq!(time(Timestamp::from_millis(1_795_359_063_250)), "2026-11-22 14:51:03 UTC");
        let spans = [0, 119, 120, 7199, 7200, 90_000].map(|seconds| duration(Duration::from_secs(seconds)));
        assert_eq!(spans, ["0 s", "119 s", "2 min", "119 min", "2 h 0 min", "25 h 0 min"]);
    }

    #[test]
    fn captures_tell_the_commonest_values_first() {
        let at = Timestamp::from_millis(0);
        let values = [("1", 1), ("216", 37), ("3", 3), ("4", 2)].map(|(value, times)| (value.to_owned(), times));
        let seen = Signal {
            signature: "s".into(),
            matches: 43,
            pods: 4,
            first_seen: at,
            last_seen: at,
            captures: BTreeMap::from([("code".into(), BTreeMap::from(values))]),
            meaning: BTreeMap::from([("216".to_owned(), "ERROR_EXE".to_owned())]),
            sample: None,
        };
        assert_eq!(signal(&seen), "43 matches on 4 pods, code 216 ERROR_EXE (37), 3 (3), 4 (2) and 1 more");
    }
}
