//! faultline finds where the fault is.

pub mod alert;
pub mod codes;
pub mod correlator;
pub mod decode;
pub mod http;
pub mod kafka;
pub mod metrics;
pub mod record;
pub mod report;
pub mod ruleset;
pub mod scanner;
pub mod service;
pub mod signature;
pub mod time;
