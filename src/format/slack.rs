//! Placeholder.
use super::{Context, Written, faultline};
use crate::alert::Alert;

pub fn write(alert: &Alert, _context: &Context<'_>) -> Written {
    faultline(alert)
}
