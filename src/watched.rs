//! Files that are in use and may change: when a change is worth a try.

use std::mem;

/// A checksum of names and contents, or of why they cannot be read. At 64 bits two that differ are not taken for the same.
pub type Fingerprint = u64;

/// What was last known of some files.
///
/// Contents are compared, not the files' times: those are too coarse to tell two writes apart, and differ between file
/// systems.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Watched {
    /// What the newest look found.
    seen: Fingerprint,
    /// What was loaded last, or could not be.
    tried: Fingerprint,
}

impl Watched {
    /// `found` is in use.
    pub fn new(found: Fingerprint) -> Self {
        Watched { seen: found, tried: found }
    }

    /// Whether what was found now is to be tried: it was not, and is the same as at the last look. What is still being
    /// written, or half replaced, is left alone. What is asked for is due at once, changed or not.
    pub fn is_due(&mut self, found: Fingerprint, asked_for: bool) -> bool {
        let before = mem::replace(&mut self.seen, found);
        let due = asked_for || found == before && found != self.tried;
        if due {
            self.tried = found;
        }
        due
    }

    /// Whether nothing is known that was not tried; if not, another look will be worth it soon.
    pub fn is_settled(self) -> bool {
        self.seen == self.tried
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_the_same_at_two_looks_and_was_not_tried_is_due() {
        let cases: [(&[Fingerprint], &[bool]); 5] = [
            (&[1, 1, 1], &[false, false, false]),
            (&[2, 2, 2], &[false, true, false]),
            (&[2, 3, 3, 3], &[false, false, true, false]),
            // Gone before it could be tried.
            (&[2, 1, 1], &[false, false, false]),
            // What was in force before is news again after something else was tried.
            (&[2, 2, 1, 1], &[false, true, false, true]),
        ];
        for (found, due) in cases {
            let mut files = Watched::new(1);
            let was_due: Vec<bool> = found.iter().map(|found| files.is_due(*found, false)).collect();
            assert_eq!(was_due, due, "{found:?}");
        }
    }

    #[test]
    fn what_is_asked_for_is_due_at_once_and_then_was_tried() {
        let mut files = Watched::new(1);
        assert!(files.is_due(1, true));
        assert!(files.is_due(2, true) && files.is_settled());
        assert!(!files.is_due(2, false));
        assert!(!files.is_due(3, false) && !files.is_settled());
    }
}
