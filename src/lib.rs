//! faultline finds where the fault is.

pub mod alert;
pub mod codes;
pub mod correlator;
pub mod decode;
pub mod names;
pub mod record;
pub mod replay;
pub mod report;
pub mod ruleset;
pub mod scanner;
pub mod scenario;
pub mod signature;
pub mod time;
