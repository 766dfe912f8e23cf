//! Literals that can never match, or that change nothing.

use crate::document::Item;
use crate::signature::TextPattern;

/// Tells, at `place`, what in the pattern's literals contradicts itself: an error where nothing can match any more, a
/// warning where a single literal is of no use.
pub(super) fn check(place: &Item<'_>, pattern: &TextPattern) {
    let literals = Literals::new(pattern);
    for none in &literals.none {
        if let Some(all) = literals.all.iter().find(|all| all.contains(none)) {
            place.error(format!("can never match: `none` {:?} is part of `all` {:?}", none.given, all.given));
        }
    }
    literals.check_any(place);
    for literal in literals.iter().filter(|literal| literal.given.contains('\u{1b}')) {
        place.warning(format!("{:?} can never match: colours are taken off messages before", literal.given));
    }
}

struct Literals<'p> {
    all: Vec<Literal<'p>>,
    any: Vec<Literal<'p>>,
    none: Vec<Literal<'p>>,
}

struct Literal<'p> {
    given: &'p str,
    /// As it is compared.
    folded: String,
}

impl Literal<'_> {
    fn contains(&self, other: &Literal<'_>) -> bool {
        self.folded.contains(&other.folded)
    }
}

impl<'p> Literals<'p> {
    fn new(pattern: &'p TextPattern) -> Self {
        let fold = |given: &'p String| Literal {
            given,
            folded: if pattern.ignore_case { given.to_ascii_lowercase() } else { given.clone() },
        };
        let list = |literals: &'p [String]| literals.iter().map(fold).collect();
        Literals { all: list(&pattern.all), any: list(&pattern.any), none: list(&pattern.none) }
    }

    fn iter(&self) -> impl Iterator<Item = &Literal<'p>> {
        self.all.iter().chain(&self.any).chain(&self.none)
    }

    fn check_any(&self, place: &Item<'_>) {
        let forbidden = |any: &&Literal<'_>| self.none.iter().any(|none| any.contains(none));
        let dead: Vec<_> = self.any.iter().filter(forbidden).collect();
        if !dead.is_empty() && dead.len() == self.any.len() {
            place.error("can never match: every literal of `any` contains one of `none`");
        } else {
            for any in dead {
                place.warning(format!("`any` {:?} can never match: it contains one of `none`", any.given));
            }
        }
        for (at, any) in self.any.iter().enumerate() {
            if let Some(all) = self.all.iter().find(|all| all.contains(any)) {
                place.warning(format!("`any` has no effect: {:?} is part of `all` {:?}", any.given, all.given));
            }
            let others = self.any.iter().enumerate().filter(|(other, _)| *other != at);
            // Of two that are equal, only the second is told of.
            let mut wider =
                others.filter(|(other, wide)| any.contains(wide) && (any.folded != wide.folded || *other < at));
            if let Some((_, wide)) = wider.next() {
                place
                    .warning(format!("`any` {:?} has no effect beside {:?}, which it contains", any.given, wide.given));
            }
        }
    }
}
