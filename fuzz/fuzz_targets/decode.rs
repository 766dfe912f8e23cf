//! `cargo +nightly fuzz run decode -- -max_len=65536 -rss_limit_mb=2048 -timeout=5` from this folder's parent.
//!
//! The first byte chooses the format, the rest is the record's value. Beyond panics, memory and time it checks what
//! the pipeline relies on; `tests/decode_properties.rs` checks more, of less.
#![no_main]

use faultline::decode::{Format, Input, MAX_ENTRIES_PER_RECORD, decode};
use faultline::record::{Entry, Expect, Record};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((&choice, value)) = data.split_first() else { return };
    let format = Format::ALL[usize::from(choice) % Format::ALL.len()];
    let record = Record { offset: 0, timestamp: None, value: Some(value) };
    let mut entries = Vec::new();
    let outcome = decode(&record, &Input::new(format, Expect::Either), &mut entries);
    assert!(outcome.is_ok() || entries.is_empty());
    assert!(entries.len() <= MAX_ENTRIES_PER_RECORD);
    for entry in &entries {
        assert!(entry.time().is_none_or(|time| time.as_millis() > 0));
        assert!(entry.cluster() != Some(""));
        if let Entry::Log(log) = entry {
            assert!(!log.message.contains('\0'));
        }
    }
});
