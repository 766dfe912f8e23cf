//! Adds judgements up.

use serde::Serialize;

use super::{Class, Found, Judgement, Resolution, StrayKind};
use crate::simulator::Truth;

const MS_PER_DAY: f64 = 86_400_000.0;

/// The sum over runs of one approach, of a kind or of all.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct Tally {
    pub runs: usize,
    pub right: usize,
    pub abstained: usize,
    pub missed: usize,
    pub wrong: usize,
    /// Faults that can be decided, and those of them that were confirmed.
    pub decidable: usize,
    pub decided: usize,
    /// Faults that cannot, and those of them that were confirmed all the same.
    pub undecidable: usize,
    pub undecidable_confirmed: usize,
    /// Confirmed incidents by whether they named a fault.
    pub confirmed_right: usize,
    pub confirmed_wrong: usize,
    pub transient: usize,
    pub extra: usize,
    pub wrong_nodes: usize,
    pub narrow: usize,
    pub background: usize,
    pub complaints: usize,
    /// Of decidable faults; ascending.
    pub to_verdict_ms: Vec<i64>,
    pub after_evidence_ms: Vec<i64>,
    /// Messages per right incident; ascending.
    pub messages: Vec<usize>,
    pub resolved_in_time: usize,
    pub resolution_due: usize,
    /// The event time that was simulated, of all runs together.
    pub watched_ms: i64,
}

impl Tally {
    pub fn of<'c>(runs: impl IntoIterator<Item = (&'c Truth, &'c Judgement)>) -> Self {
        let mut tally = Tally::default();
        for (truth, judgement) in runs {
            tally.add(truth, judgement);
        }
        tally.to_verdict_ms.sort_unstable();
        tally.after_evidence_ms.sort_unstable();
        tally.messages.sort_unstable();
        tally
    }

    fn add(&mut self, truth: &Truth, judgement: &Judgement) {
        self.runs += 1;
        let class = match judgement.class {
            Class::Right => &mut self.right,
            Class::Abstained => &mut self.abstained,
            Class::Missed => &mut self.missed,
            Class::Wrong => &mut self.wrong,
        };
        *class += 1;
        self.confirmed_right += judgement.right_confirmed;
        self.confirmed_wrong += judgement.strays(StrayKind::Wrong).count();
        self.transient += judgement.strays(StrayKind::Transient).count();
        self.extra += judgement.strays(StrayKind::Extra).count();
        self.wrong_nodes += judgement.wrong_nodes();
        self.narrow += judgement.narrow;
        self.background += judgement.background;
        self.complaints += judgement.complaints.len();
        self.watched_ms += truth.to.as_millis() - truth.from.as_millis();
        for fault in &judgement.faults {
            let confirmed = usize::from(fault.found == Found::Confirmed);
            if fault.decidable {
                self.decidable += 1;
                self.decided += confirmed;
                self.to_verdict_ms.extend(fault.to_verdict_ms);
                self.after_evidence_ms.extend(fault.after_evidence_ms);
            } else {
                self.undecidable += 1;
                self.undecidable_confirmed += confirmed;
            }
            self.messages.extend(&fault.messages);
            self.resolution_due += usize::from(fault.resolution != Resolution::NotDue);
            self.resolved_in_time += usize::from(matches!(fault.resolution, Resolution::InTime(_)));
        }
    }

    /// Of the confirmed incidents, those that named a fault; `None` where there was none.
    pub fn precision(&self) -> Option<f64> {
        share(self.confirmed_right, self.confirmed_right + self.confirmed_wrong)
    }

    /// Of the decidable faults, those that were confirmed.
    pub fn recall(&self) -> Option<f64> {
        share(self.decided, self.decidable)
    }

    pub fn messages_mean(&self) -> Option<f64> {
        share(self.messages.iter().sum(), self.messages.len())
    }

    /// Wrong confirmed incidents in a day of event time.
    pub fn false_alarms_per_day(&self) -> Option<f64> {
        self.per_day(self.confirmed_wrong)
    }

    /// The same with those that soon gave way, and with mere suspicions.
    pub fn any_false_alarms_per_day(&self) -> Option<f64> {
        self.per_day(self.confirmed_wrong + self.transient + self.extra)
    }

    pub fn days(&self) -> f64 {
        self.watched_ms as f64 / MS_PER_DAY
    }

    fn per_day(&self, count: usize) -> Option<f64> {
        (self.watched_ms > 0).then(|| count as f64 / self.days())
    }
}

pub(super) fn share(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// The smallest of the ascending values that `fraction` of them do not exceed (nearest rank).
pub(super) fn quantile<T: Copy>(ascending: &[T], fraction: f64) -> Option<T> {
    let rank = (fraction * ascending.len() as f64).ceil() as usize;
    ascending.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::{Scope, Suspect};
    use crate::evaluation::{FaultJudgement, Stray};
    use crate::simulator::Kind;
    use crate::time::Timestamp;

    fn truth() -> Truth {
        Truth {
            kind: Kind::Node,
            seed: 1,
            nodes: 4,
            pods: 40,
            from: Timestamp::from_millis(0),
            to: Timestamp::from_millis(6 * 3_600_000),
            faults: Vec::new(),
            background: Vec::new(),
            silence: None,
        }
    }

    fn fault(found: Found, decidable: bool, to_verdict_ms: Option<i64>, resolution: Resolution) -> FaultJudgement {
        FaultJudgement {
            scope: Scope::Node,
            decidable,
            found,
            to_verdict_ms,
            after_evidence_ms: to_verdict_ms,
            messages: vec![2],
            resolution,
        }
    }

    fn judgement(class: Class, faults: Vec<FaultJudgement>, strays: &[StrayKind]) -> Judgement {
        let stray = strays.iter().map(|&kind| Stray {
            kind,
            suspect: Suspect::Node("x".into()),
            confirmed: kind != StrayKind::Extra,
            first: Timestamp::default(),
            last: Timestamp::default(),
        });
        Judgement {
            class,
            right_confirmed: faults.iter().filter(|fault| fault.found == Found::Confirmed).count(),
            faults,
            stray: stray.collect(),
            narrow: 1,
            background: 0,
            early: 0,
            complaints: Vec::new(),
        }
    }

    #[test]
    fn counts_what_was_judged() {
        let right = vec![fault(Found::Confirmed, true, Some(9_000), Resolution::InTime(1))];
        let missed = vec![fault(Found::Missed, true, None, Resolution::NotDue)];
        let open = vec![fault(Found::Confirmed, false, Some(1), Resolution::Never)];
        let runs = [
            judgement(Class::Right, right, &[StrayKind::Transient]),
            judgement(Class::Missed, missed, &[]),
            judgement(Class::Wrong, open, &[StrayKind::Wrong, StrayKind::Extra]),
            judgement(Class::Abstained, vec![], &[StrayKind::Extra]),
        ];
        let truth = truth();
        let tally = Tally::of(runs.iter().map(|judgement| (&truth, judgement)));
        assert_eq!((tally.runs, tally.right, tally.abstained, tally.missed, tally.wrong), (4, 1, 1, 1, 1));
        assert_eq!((tally.recall(), tally.precision()), (Some(0.5), Some(2.0 / 3.0)));
        assert_eq!((tally.undecidable, tally.undecidable_confirmed), (1, 1));
        assert_eq!((tally.transient, tally.extra, tally.wrong_nodes), (1, 2, 2));
        assert_eq!((tally.false_alarms_per_day(), tally.any_false_alarms_per_day()), (Some(1.0), Some(4.0)));
        assert_eq!((tally.resolved_in_time, tally.resolution_due), (1, 2));
        assert_eq!((&tally.to_verdict_ms[..], tally.messages_mean()), (&[9_000][..], Some(2.0)));
    }

    #[test]
    fn quantiles_are_values_that_occurred() {
        let values: Vec<i64> = (1..=100).collect();
        assert_eq!([0.5, 0.99, 1.0].map(|at| quantile(&values, at)), [Some(50), Some(99), Some(100)]);
        assert_eq!([0.0, 0.5, 0.99].map(|at| quantile(&[7], at)), [Some(7); 3]);
        assert_eq!(quantile::<i64>(&[], 0.5), None);
    }
}
