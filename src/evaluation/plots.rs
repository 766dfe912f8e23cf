//! Plots that a person would rather look at than tables. They bring their own white page, for dark ones.

mod alarms;
mod outcomes;
mod svg;
mod times;

pub(super) use alarms::alarms;
pub(super) use outcomes::outcomes;
pub(super) use times::times;
