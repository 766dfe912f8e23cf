//! Which seeds may be looked at while faultline is improved, and which may not.

/// A region of seeds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum SeedSet {
    /// Seeds 1 to 999: whoever changes the localiser looks at these.
    #[default]
    Tuning,
    /// Seeds from 1,000,001 on: only for measuring. Nobody looks at single cases of it and changes anything for their
    /// sake; whoever did would have to move the set.
    HeldOut,
}

impl SeedSet {
    pub fn first(self) -> u64 {
        match self {
            SeedSet::Tuning => 1,
            SeedSet::HeldOut => 1_000_001,
        }
    }

    /// Which set a seed is of; `None`: of neither.
    pub fn of(seed: u64) -> Option<Self> {
        match seed {
            1..=999 => Some(SeedSet::Tuning),
            1_000_001.. => Some(SeedSet::HeldOut),
            _ => None,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            SeedSet::Tuning => "tuning",
            SeedSet::HeldOut => "held-out",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sets_are_apart() {
        for set in [SeedSet::Tuning, SeedSet::HeldOut] {
            assert_eq!(SeedSet::of(set.first()), Some(set));
            assert_ne!(SeedSet::of(set.first() - 1), Some(set));
        }
        assert_eq!(SeedSet::of(999), Some(SeedSet::Tuning));
        assert_eq!(SeedSet::of(1_000), None);
    }
}
