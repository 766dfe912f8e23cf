//! faultline finds where the fault is.

pub mod alert;
pub mod bundled;
pub mod cli;
pub mod codes;
pub mod correlator;
pub mod decode;
pub mod document;
pub mod engine;
pub mod http;
pub mod kafka;
pub mod localizer;
pub mod metrics;
pub mod names;
pub mod record;
pub mod report;
pub mod ruleset;
pub mod scanner;
pub mod service;
pub mod settings;
pub mod signature;
pub mod telemetry;
pub mod template;
pub mod time;
