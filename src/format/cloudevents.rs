//! Placeholder.
use super::{Mode, Written, faultline};
use crate::alert::Alert;

pub fn write(alert: &Alert, _mode: Mode) -> Written {
    faultline(alert)
}
