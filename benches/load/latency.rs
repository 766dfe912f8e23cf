//! How long it takes from a record to an alert.

use std::path::Path;

use super::support::Broker;

pub fn measure(_broker: &Broker, _rate: usize, _folder: &Path) {}
