//! faultline finds where the fault is: it reads container logs and Kubernetes events from Kafka, recognises failure
//! signatures, and says which node, workload, image or node pool they have in common.
//!
//! ```text
//! records ─> decode ─> scanner ─> report ─> correlator ─> localizer ─> alert
//!            bytes to  matches and  the only  windows,      which       what a
//!            entries   presence     interface incidents     hypothesis  bridge reads
//! ```
//!
//! Two stages meet in [`report`]: the scan stage ([`scanner`]) is stateless and scales with partitions, the correlate
//! stage ([`correlator`]) is a deterministic state machine per cluster. [`engine`] holds both in one hand for replay,
//! tests and benches; [`service`] puts Kafka between them.
//!
//! Everything that decides is pure: bytes, values and explicit time in, values out. The shell around it (Kafka, HTTP,
//! files, clocks, logs, metrics) is thin and replaceable, and `tests/tidy.rs` keeps the two apart. Dependencies run
//! one way: `main → cli → {service, replay, demo, …} → {kafka, http, …} → core`.

// Core: no clock, no I/O, no logging.
pub mod alert;
pub mod checksum;
pub mod codes;
pub mod correlator;
pub mod courier;
pub mod decode;
pub mod document;
pub mod engine;
pub mod evaluation;
pub mod format;
pub mod localizer;
pub mod names;
pub mod notifier;
pub mod record;
pub mod redaction;
pub mod report;
pub mod ruleset;
pub mod scanner;
pub mod scenario;
pub mod shard;
pub mod signature;
pub mod simulator;
pub mod template;
pub mod time;

// Shell.
pub mod bridge;
pub mod bundled;
pub mod cli;
pub mod demo;
pub mod evaluate_command;
pub mod http;
pub mod kafka;
pub mod laboratory;
pub mod metrics;
pub mod replay;
pub mod rules_command;
pub mod rules_files;
pub mod service;
pub mod settings;
pub mod silences_file;
pub mod telemetry;
pub mod watched;
