//! A record that makes faultline itself fail is that record's end and not the service's: else every instance that reads
//! it would fail, again and again.

use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::Once;

use crate::decode::{Reason, Rejected};

#[cfg(not(panic = "unwind"))]
compile_error!("one bad record would stop the service for good: build with panic = \"unwind\"");

thread_local! {
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
    static TOLD: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Keeps what panics say out of the standard error while they are caught: it is told with the record, and a stream of
/// such records must not flood the log. All other panics are told as before.
pub fn keep_quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |panic| match IS_GUARDED.get() {
            true => TOLD.with_borrow_mut(|told| *told = Some(in_words(panic))),
            false => before(panic),
        }));
    });
}

fn in_words(panic: &PanicHookInfo<'_>) -> String {
    let what = panic.payload_as_str().unwrap_or("panicked");
    panic.location().map_or_else(|| what.to_owned(), |at| format!("{what} ({}:{})", at.file(), at.line()))
}

/// Does something with a record. If that panics the record is rejected, and `mend` makes the state whole again.
pub fn guarded<S, T>(
    state: &mut S,
    act: impl FnOnce(&mut S) -> Result<T, Rejected>,
    mend: impl FnOnce(&mut S),
) -> Result<T, Rejected> {
    IS_GUARDED.set(true);
    // Nobody sees the state between the panic and `mend`.
    let acted = panic::catch_unwind(AssertUnwindSafe(|| act(state)));
    IS_GUARDED.set(false);
    acted.unwrap_or_else(|_| {
        let told = TOLD.take().unwrap_or_else(|| "panicked".to_owned());
        mend(state);
        Err(Rejected::new(Reason::Defect, told))
    })
}

#[cfg(test)]
mod tests {
    use crate::redaction::Redactor;
    use std::sync::Arc;

    use super::*;
    use crate::bundled;
    use crate::decode::{Format, Input};
    use crate::record::{Expect, Partition, Record};
    use crate::report::Report;
    use crate::ruleset::RuleSet;
    use crate::scanner::matcher::Matcher;
    use crate::scanner::{Limits, Options, Scanner};
    use crate::time::Timestamp;

    const MAGIC: &str = "the record that breaks it";

    /// The reports of these lines, and what was rejected.
    fn scan(lines: &[String]) -> (Vec<Report>, Vec<Rejected>) {
        let matcher = Matcher::new(Arc::new(RuleSet::parse(bundled::RULES).unwrap()));
        let options =
            Options { cluster: "c".into(), limits: Limits::default(), prefilter: true, redactor: Redactor::standard() };
        let mut scanner = Scanner::new(options, "test".into());
        let slot =
            scanner.assign(Partition { topic: "t".into(), partition: 0 }, Input::new(Format::Auto, Expect::Logs));
        let mut rejected = Vec::new();
        for (offset, line) in (0..).zip(lines) {
            let record = Record { offset, timestamp: None, value: Some(line.as_bytes()) };
            let scan = |scanner: &mut Scanner| {
                let scanned = scanner.scan(&matcher, slot, &record)?;
                // As late as can be: all that it changes is half done.
                assert!(!line.contains(MAGIC), "broken by offset {offset}");
                Ok(scanned)
            };
            rejected.extend(guarded(&mut scanner, scan, |scanner| scanner.abandon(slot, Some(&record))).err());
        }
        (scanner.flush(Timestamp::default()), rejected)
    }

    #[test]
    fn a_record_that_breaks_the_scanner_is_rejected_and_the_others_are_read() {
        keep_quiet();
        let line = |n: usize, text: &str| {
            format!(r#"{{"log":"{text} {n}","kubernetes":{{"pod_name":"p{}","namespace_name":"n"}}}}"#, n % 3)
        };
        let good = |n| line(n, if n % 5 == 0 { "panic: runtime error: index out of range" } else { "all is well" });
        let bad = |n| line(n, MAGIC);
        let (with, rejected) = scan(&(0..60).map(|n| if n % 7 == 3 { bad(n) } else { good(n) }).collect::<Vec<_>>());
        let (without, none) =
            scan(&(0..60).map(|n| if n % 7 == 3 { String::new() } else { good(n) }).collect::<Vec<_>>());
        assert!(rejected.iter().all(|rejected| rejected.reason == Reason::Defect) && rejected.len() == 9);
        assert!(none.iter().all(|rejected| rejected.reason == Reason::Empty) && none.len() == 9);
        let detail = &rejected[0].detail;
        assert!(detail.starts_with("broken by offset 3 (src") && detail.contains("defect.rs:"), "{detail}");
        assert_eq!((&with[0].matches, with[0].pods.len()), (&without[0].matches, 3));
        assert!(with[0].matches.len() > 8);
        let (beat, expected) = (&with[1].partitions[0], &without[1].partitions[0]);
        assert_eq!((beat.next, beat.rejected, beat.first), (expected.next, expected.rejected, expected.first));
    }

    #[test]
    fn nothing_is_kept_from_those_who_do_not_panic() {
        let mut state = 0;
        let added = guarded(
            &mut state,
            |state| {
                *state += 1;
                Ok(*state)
            },
            |_| (),
        );
        assert_eq!(added, Ok(1));
        let refused: Result<(), _> = guarded(&mut state, |_| Err(Rejected::new(Reason::Empty, "")), |_| ());
        assert_eq!(refused.unwrap_err().reason, Reason::Empty);
    }
}
