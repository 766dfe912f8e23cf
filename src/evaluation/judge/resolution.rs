//! Whether an incident ended when its fault did.

use std::time::Duration;

use serde::Serialize;

use super::{Complaint, Told};
use crate::alert::Status;
use crate::simulator::{Fault, Truth};
use crate::time::Timestamp;

/// One crash-loop period, and a minute: by then whoever looks should see that it is over.
const IN_TIME: Duration = Duration::from_secs(360);
/// Pods of one fault do not recover at once; so much earlier than the last of them is early enough to be wrong.
const TOO_EARLY: Duration = Duration::from_secs(60);

/// How the end of a fault was told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case", tag = "how", content = "after_ms")]
pub enum Resolution {
    /// Nothing to tell: the fault lasts, or nobody spoke of it, or the simulation ended too soon after it did.
    NotDue,
    /// After the recovery, in time.
    InTime(i64),
    Late(i64),
    /// Before the recovery.
    Early(i64),
    /// It was due, and still fires.
    Never,
}

impl Resolution {
    pub fn is_bad(self) -> bool {
        matches!(self, Resolution::Late(_) | Resolution::Early(_) | Resolution::Never)
    }
}

/// `mine` are the right incidents of the fault.
pub(super) fn judge(truth: &Truth, fault: &Fault, mine: &[&[&Told]], complaints: &mut Vec<Complaint>) -> Resolution {
    let mut ends: Vec<Timestamp> =
        mine.iter().flat_map(|messages| messages.iter()).filter(|told| told.is_end()).map(|told| told.at).collect();
    ends.sort();
    complaints.extend(ends.iter().filter_map(|&at| untimely(truth, fault, at)));
    let Some(recovered) = fault.recovered.filter(|_| !mine.is_empty()) else { return Resolution::NotDue };
    let open = mine.iter().any(|messages| messages.last().is_some_and(|told| told.status == Status::Firing));
    let (Some(first), Some(last), false) = (ends.first(), ends.last(), open) else {
        let due = recovered.saturating_add(IN_TIME) <= truth.to;
        return if due { Resolution::Never } else { Resolution::NotDue };
    };
    let after_ms = |at: &Timestamp| at.as_millis() - recovered.as_millis();
    if recovered.since(*first) > TOO_EARLY {
        Resolution::Early(after_ms(first))
    } else if last.since(recovered) > IN_TIME {
        Resolution::Late(after_ms(last))
    } else {
        Resolution::InTime(after_ms(last))
    }
}

/// An end that cannot be right, whenever the fault ended.
fn untimely(truth: &Truth, fault: &Fault, at: Timestamp) -> Option<Complaint> {
    let silent = truth.silence.is_some_and(|silence| silence.from <= at && at <= silence.to);
    if silent && fault.recovered.is_none_or(|recovered| at < recovered) {
        return Some(Complaint::ResolvedInSilence { at });
    }
    fault.recovered.is_none().then_some(Complaint::ResolvedWhileBroken { at })
}
