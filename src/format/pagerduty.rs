//! Placeholder.
use super::{Context, Written, faultline};
use crate::alert::Alert;

pub fn write(alert: &Alert, _context: &Context<'_>, _routing_key: Option<&str>) -> Written {
    faultline(alert)
}
