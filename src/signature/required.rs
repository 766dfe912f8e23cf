//! Literals that a text must hold for a regex to match, so that the regex need not run on every text.

use regex_syntax::ParserBuilder;
use regex_syntax::hir::literal::{Extractor, Seq};
use regex_syntax::hir::{Hir, HirKind};

/// Shorter literals stand in nearly every line and would spare nothing.
pub const MIN_LITERAL_BYTES: usize = 3;
/// More alternatives than this spare little and cost room in the automaton.
const MAX_LITERALS: usize = 64;

/// ASCII-lowercase literals, one of which every match of the regex holds (ASCII letters in either case).
/// `None`: there are none worth looking for.
pub fn required_literals(pattern: &str, ignore_case: bool) -> Option<Vec<String>> {
    let hir = ParserBuilder::new().case_insensitive(ignore_case).build().parse(pattern).ok()?;
    let mut best = None;
    consider(&hir, &mut best);
    best.map(|best: Choice| best.literals)
}

struct Choice {
    literals: Vec<String>,
    score: usize,
}

/// Every match of `hir` holds a match of each element of a concatenation, of a group's inside, and of what is repeated
/// at least once; any of them may have the best literals.
fn consider(hir: &Hir, best: &mut Option<Choice>) {
    match hir.kind() {
        HirKind::Concat(elements) => {
            for (at, element) in elements.iter().enumerate() {
                consider_prefixes(&Hir::concat(elements[at..].to_vec()), best);
                if !matches!(element.kind(), HirKind::Literal(_)) {
                    consider(element, best);
                }
            }
        }
        HirKind::Capture(group) => consider(&group.sub, best),
        HirKind::Repetition(repetition) if repetition.min > 0 => consider(&repetition.sub, best),
        _ => consider_prefixes(hir, best),
    }
}

fn consider_prefixes(hir: &Hir, best: &mut Option<Choice>) {
    let Some(choice) = choice(&Extractor::new().extract(hir)) else { return };
    if best.as_ref().is_none_or(|best| choice.score > best.score) {
        *best = Some(choice);
    }
}

fn choice(prefixes: &Seq) -> Option<Choice> {
    let mut literals = prefixes
        .literals()?
        .iter()
        .map(|literal| Some(std::str::from_utf8(literal.as_bytes()).ok()?.to_ascii_lowercase()))
        .collect::<Option<Vec<_>>>()?;
    literals.sort();
    literals.dedup();
    let shortest = literals.iter().map(String::len).min()?;
    if shortest < MIN_LITERAL_BYTES || literals.len() > MAX_LITERALS {
        return None;
    }
    // Long is rare; beyond a dozen bytes, few is better.
    let score = shortest.min(12) * MAX_LITERALS - literals.len();
    Some(Choice { literals, score })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_literals_wherever_they_stand() {
        let cases: [(&str, &[&str]); 9] = [
            ("exec format error", &["exec format error"]),
            (r"^\d+ Out of memory", &[" out of memory"]),
            (r"\w+: task (\w+) blocked for more than \d+", &[" blocked for more than "]),
            (r"(?P<what>nf|ip)_conntrack: table full", &["_conntrack: table full"]),
            ("panic|fatal", &["fatal", "panic"]),
            ("(?:foo bar)+", &["foo bar"]),
            ("(?i)abc ef", &["abc ef"]),
            (r"\d+(oops)", &["oops"]),
            (r"x{2}y?tat", &["xxtat", "xxytat"]),
        ];
        for (pattern, literals) in cases {
            assert_eq!(required_literals(pattern, false).unwrap_or_default(), literals, "{pattern}");
        }
    }

    #[test]
    fn has_none_where_a_match_may_do_without() {
        for pattern in [r"\d+", "(foo)?", "(foo)*", "foo|", ".*", "ab", r"\w+: \d+", "foobar|x", "("] {
            assert_eq!(required_literals(pattern, false), None, "{pattern}");
        }
    }

    #[test]
    fn either_case_still_has_literals() {
        let literals = required_literals("failed to start", true).unwrap();
        assert!(literals.iter().any(|literal| "failed to start".contains(literal.as_str())), "{literals:?}");
        // The Kelvin sign is a k too.
        assert!(required_literals("kkk", true).unwrap().contains(&"\u{212A}kk".to_string()));
    }
}
