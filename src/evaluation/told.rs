//! A message, as far as the judge reads it.

use std::sync::Arc;

use serde::Serialize;

use crate::alert::{Alert, Status, Suspect, Verdict};
use crate::time::{Timestamp, rfc3339};

/// What one approach told at one time: faultline's alert, or what a baseline would have sent in its place.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Told {
    /// Event time.
    #[serde(with = "rfc3339")]
    pub at: Timestamp,
    /// The incident: faultline's `dedup_key`.
    pub key: Arc<str>,
    pub suspect: Suspect,
    pub status: Status,
    pub verdict: Verdict,
    /// The incident that explains it better.
    pub superseded_by: Option<Arc<str>>,
    /// Of a baseline it is one: they know no doubt.
    pub probability: f64,
    pub summary: String,
}

impl Told {
    /// What a baseline tells: it never doubts.
    pub fn plainly(at: Timestamp, suspect: &Suspect, status: Status) -> Self {
        Told {
            at,
            key: key_of(suspect),
            suspect: suspect.clone(),
            status,
            verdict: Verdict::Confirmed,
            superseded_by: None,
            probability: 1.0,
            summary: String::new(),
        }
    }

    pub fn is_confirmed_firing(&self) -> bool {
        self.status == Status::Firing && self.verdict == Verdict::Confirmed
    }

    /// Resolved because it is over, not because another incident took its place.
    pub fn is_end(&self) -> bool {
        self.status == Status::Resolved && self.superseded_by.is_none()
    }
}

/// The key of a baseline's incident.
pub(super) fn key_of(suspect: &Suspect) -> Arc<str> {
    format!("{}/{}", suspect.scope().as_str(), suspect.name()).into()
}

impl From<&Alert> for Told {
    fn from(alert: &Alert) -> Self {
        Told {
            at: alert.updated_at,
            key: alert.dedup_key.as_str().into(),
            suspect: alert.suspect.clone(),
            status: alert.status,
            verdict: alert.verdict,
            superseded_by: alert.superseded_by.as_deref().map(Arc::from),
            probability: alert.probability,
            summary: alert.summary.clone(),
        }
    }
}
