//! What a person would complain about although the verdict is right.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Serialize, Serializer};

use super::Incidents;
use crate::alert::{Status, Verdict};
use crate::time::Timestamp;

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Complaint {
    /// A right incident was resolved and fired again.
    Flapped { incident: String },
    /// A right incident was confirmed and then only suspected.
    FellBack { incident: String },
    /// A right incident gave way to one that is not.
    GaveWay { incident: String, to: String },
    /// A right incident was resolved although its fault lasts.
    ResolvedWhileBroken { at: Timestamp },
    /// A right incident was resolved while nothing was heard.
    ResolvedInSilence { at: Timestamp },
    /// The alert of a pod stayed open beside the incident that explains it.
    PodLeftOpen { pod: String },
    /// What was right while the fault was smaller stayed open beside the incident that it grew into.
    NotOutgrown { incident: String },
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Complaint::Flapped { incident } => write!(f, "flapped: {incident}"),
            Complaint::FellBack { incident } => write!(f, "confirmed, then only suspected: {incident}"),
            Complaint::GaveWay { incident, to } => write!(f, "right incident {incident} gave way to {to}"),
            Complaint::ResolvedWhileBroken { at } => write!(f, "resolved while broken, at {at}"),
            Complaint::ResolvedInSilence { at } => write!(f, "resolved in silence, at {at}"),
            Complaint::PodLeftOpen { pod } => write!(f, "alert left open beside its explanation: pod {pod}"),
            Complaint::NotOutgrown { incident } => write!(f, "left open beside what it grew into: {incident}"),
        }
    }
}

impl Serialize for Complaint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What is wrong with the course of right incidents, whatever became of their faults.
pub(super) fn about_right(incidents: &Incidents<'_>, right: &BTreeSet<&str>) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for key in right {
        let messages = &incidents[key];
        let incident = || (*key).to_owned();
        let followed = |first, then| messages.windows(2).any(|pair| (pair[0].status, pair[1].status) == (first, then));
        if followed(Status::Resolved, Status::Firing) {
            complaints.push(Complaint::Flapped { incident: incident() });
        }
        let falls =
            |pair: &[&super::Told]| (pair[0].verdict, pair[1].verdict) == (Verdict::Confirmed, Verdict::Suspected);
        if messages.windows(2).any(falls) {
            complaints.push(Complaint::FellBack { incident: incident() });
        }
        let heir = messages.last().and_then(|told| told.superseded_by.as_deref());
        if let Some(heir) = heir.filter(|heir| !right.contains(heir)) {
            complaints.push(Complaint::GaveWay { incident: incident(), to: heir.to_owned() });
        }
    }
    complaints
}
