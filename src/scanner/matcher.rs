//! All rules' literals in one automaton; regexes only confirm.
//!
//! One pass over a message finds which literals of all rules it holds. A rule is looked at only when its *anchor* was
//! among them: its longest `all` literal, else one of `any`, else a literal that its regex cannot match without. The
//! answer is always that of [`super::naive::matching_naive`]; a property test keeps it so.

use std::collections::HashMap;
use std::sync::Arc;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use regex::Regex;

use super::naive::{has_reason, has_type};
use super::prefilter::{Prefilter, Traffic};
use crate::record::Entry;
use crate::ruleset::RuleSet;
use crate::signature::required::required_literals;
use crate::signature::{Rule, TextPattern};

/// The part of a captured value that is kept, in bytes, cut on a character.
pub const MAX_CAPTURE_BYTES: usize = 256;
/// Up to this many bytes of literals the automaton is a DFA: fastest, at some 500 bytes for each.
const DFA_LITERAL_BYTES: usize = 16 << 10;
/// Up to this share of messages that are decoded in vain, one in so many, costs next to nothing.
const FEW_CANDIDATES: usize = 1_000;

/// The compiled form of a [`RuleSet`]. Immutable and shared between scan threads.
pub struct Matcher {
    rules: Arc<RuleSet>,
    /// Over the folded literals, ASCII letters in either case.
    automaton: AhoCorasick,
    /// By pattern of the automaton: the terms that fold to it.
    folded: Vec<Vec<TermId>>,
    terms: Vec<Term>,
    logs: Clauses,
    events: Clauses,
    prefilter: Prefilter,
}

/// A literal as one or more rules want it.
type TermId = u32;

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Term {
    literal: Box<str>,
    ignore_case: bool,
}

/// What the rules want of one kind of entry.
#[derive(Default)]
struct Clauses {
    clauses: Vec<Clause>,
    /// By term: the clauses that it is an anchor of.
    anchored: Vec<Vec<u32>>,
    /// Clauses without an anchor.
    always: Vec<u32>,
}

/// One rule's conditions on one kind of entry.
struct Clause {
    rule: usize,
    all: Vec<TermId>,
    any: Vec<TermId>,
    none: Vec<TermId>,
    regex: Option<Confirm>,
}

struct Confirm {
    regex: Regex,
    /// The named groups: index and name.
    names: Vec<(usize, Arc<str>)>,
}

/// Room to work in, reused from entry to entry; one per thread, good for any [`Matcher`].
#[derive(Default)]
pub struct Scratch {
    /// By term: the scan in which it was last found.
    found_in: Vec<u64>,
    scan: u64,
    candidates: Vec<u32>,
}

/// An entry matched a rule.
#[derive(Debug)]
pub struct Hit<'m, 'e> {
    /// The rule's place in [`RuleSet::rules`].
    pub index: usize,
    pub rule: &'m Rule,
    /// The regex's named groups that took part, at most [`MAX_CAPTURE_BYTES`] each.
    pub captures: Vec<(&'m Arc<str>, &'e str)>,
}

impl Matcher {
    pub fn new(rules: Arc<RuleSet>) -> Self {
        Matcher::suited_to(rules, &Traffic::default())
    }

    /// The same, and fastest with messages like those of `traffic`. What it finds does not depend on them.
    pub fn suited_to(rules: Arc<RuleSet>, traffic: &Traffic) -> Self {
        let mut terms = Terms::default();
        let mut logs = Clauses::new(rules.rules(), &mut terms, |rule| rule.log.as_ref().map(Some));
        let mut events = Clauses::new(rules.rules(), &mut terms, |rule| Some(rule.event.as_ref()?.message.as_ref()));
        logs.cover(&terms);
        events.cover(&terms);
        let (automaton, folded) = automaton(&terms.terms);
        let prefilter = Prefilter::new(rules.rules().iter().filter_map(|rule| rule.log.as_ref()).map(needs), traffic);
        Matcher { rules, automaton, folded, terms: terms.terms, logs, events, prefilter }
    }

    /// The same rules looked for by something else, if of what is let through in `traffic` that spares at least half.
    pub fn better_suited_to(&self, traffic: &Traffic) -> Option<Matcher> {
        let now = traffic.candidates(&self.prefilter);
        if now * FEW_CANDIDATES <= traffic.len() {
            return None;
        }
        let other = Matcher::suited_to(Arc::clone(&self.rules), traffic);
        (traffic.candidates(&other.prefilter) * 2 <= now).then_some(other)
    }

    /// What rules out log messages that are not decoded yet.
    pub fn prefilter(&self) -> &Prefilter {
        &self.prefilter
    }

    pub fn rules(&self) -> &Arc<RuleSet> {
        &self.rules
    }

    /// Calls `on_hit` for every rule that the entry matches and no other match supersedes, in the rule set's order. Linear in the length of the
    /// message; allocates only for an entry that matches a rule.
    pub fn scan<'m, 'e>(&'m self, entry: &'e Entry<'_>, scratch: &mut Scratch, on_hit: impl FnMut(Hit<'m, 'e>)) {
        self.bring_up(entry, scratch);
        let mut hits: Vec<_> =
            scratch.candidates.iter().filter_map(|&candidate| self.look_at(candidate, entry, scratch)).collect();
        if hits.len() > 1 {
            self.rules.drop_superseded(&mut hits, |hit| hit.index);
        }
        hits.into_iter().for_each(on_hit);
    }

    /// The first half of [`Matcher::scan`]: finds the candidates, which are the rules whose anchors are in the message.
    pub fn bring_up(&self, entry: &Entry<'_>, scratch: &mut Scratch) {
        let clauses = self.clauses(entry);
        self.find_terms(entry.message(), clauses, scratch);
        scratch.candidates.extend_from_slice(&clauses.always);
        scratch.candidates.sort_unstable();
        scratch.candidates.dedup();
    }

    /// The second half, for one of the candidates that [`Matcher::bring_up`] found in this entry: whether all of its
    /// rule's conditions hold. What supersedes it is not looked at.
    pub fn look_at<'m, 'e>(&'m self, candidate: u32, entry: &'e Entry<'_>, scratch: &Scratch) -> Option<Hit<'m, 'e>> {
        let clause = self.clauses(entry).clauses.get(candidate as usize)?;
        let rule = &self.rules.rules()[clause.rule];
        if !clause.terms_hold(scratch) || !event_holds(rule, entry) {
            return None;
        }
        let captures = clause.confirm(entry.message())?;
        Some(Hit { index: clause.rule, rule, captures })
    }

    /// The rule of a candidate, as its place in [`RuleSet::rules`].
    pub fn rule_of(&self, candidate: u32, entry: &Entry<'_>) -> Option<usize> {
        Some(self.clauses(entry).clauses.get(candidate as usize)?.rule)
    }

    fn clauses(&self, entry: &Entry<'_>) -> &Clauses {
        match entry {
            Entry::Log(_) => &self.logs,
            Entry::Event(_) => &self.events,
        }
    }

    /// Marks the terms that the text holds, and gathers the clauses that they are anchors of.
    fn find_terms(&self, text: &str, clauses: &Clauses, scratch: &mut Scratch) {
        scratch.begin(self.terms.len());
        for found in self.automaton.find_overlapping_iter(text) {
            for &id in &self.folded[found.pattern().as_usize()] {
                let term = &self.terms[id as usize];
                let is_exact = || text.as_bytes()[found.range()] == *term.literal.as_bytes();
                if !scratch.has(id) && (term.ignore_case || is_exact()) {
                    scratch.found_in[id as usize] = scratch.scan;
                    scratch.candidates.extend_from_slice(&clauses.anchored[id as usize]);
                }
            }
        }
    }
}

fn event_holds(rule: &Rule, entry: &Entry<'_>) -> bool {
    match (entry, &rule.event) {
        (Entry::Event(event), Some(pattern)) => has_reason(pattern, event) && has_type(pattern, event),
        _ => true,
    }
}

impl Scratch {
    fn begin(&mut self, terms: usize) {
        // Marks left by another matcher are of earlier scans, so they mean nothing here.
        self.found_in.resize(terms, 0);
        self.scan += 1;
        self.candidates.clear();
    }

    /// What [`Matcher::bring_up`] found, in the rule set's order.
    pub fn candidates(&self) -> &[u32] {
        &self.candidates
    }

    fn has(&self, id: TermId) -> bool {
        self.found_in[id as usize] == self.scan
    }
}

impl Clause {
    fn terms_hold(&self, scratch: &Scratch) -> bool {
        self.all.iter().all(|&id| scratch.has(id))
            && (self.any.is_empty() || self.any.iter().any(|&id| scratch.has(id)))
            && !self.none.iter().any(|&id| scratch.has(id))
    }

    /// The named captures when the regex, if there is one, matches.
    fn confirm<'m, 'e>(&'m self, text: &'e str) -> Option<Vec<(&'m Arc<str>, &'e str)>> {
        let Some(confirm) = &self.regex else { return Some(Vec::new()) };
        // Cheaper than `captures`, and most candidates of a broad literal end here.
        if !confirm.regex.is_match(text) {
            return None;
        }
        if confirm.names.is_empty() {
            return Some(Vec::new());
        }
        let groups = confirm.regex.captures(text)?;
        let named = confirm.names.iter().filter_map(|(group, name)| Some((name, cut(groups.get(*group)?.as_str()))));
        Some(named.collect())
    }
}

fn cut(value: &str) -> &str {
    &value[..value.floor_char_boundary(MAX_CAPTURE_BYTES)]
}

/// Gives each distinct literal its id.
#[derive(Default)]
struct Terms {
    ids: HashMap<Term, TermId>,
    terms: Vec<Term>,
}

impl Terms {
    fn id(&mut self, literal: &str, ignore_case: bool) -> TermId {
        let folded = if ignore_case { literal.to_ascii_lowercase() } else { literal.to_owned() };
        let term = Term { literal: folded.into(), ignore_case };
        *self.ids.entry(term.clone()).or_insert_with(|| {
            self.terms.push(term);
            (self.terms.len() - 1) as TermId
        })
    }

    fn ids(&mut self, literals: &[String], ignore_case: bool) -> Vec<TermId> {
        literals.iter().map(|literal| self.id(literal, ignore_case)).collect()
    }
}

impl Clauses {
    /// `text_of` gives a rule's conditions on the message of this kind of entry: `None` where the rule wants no such
    /// entry, `Some(None)` where it wants any message.
    fn new<'r>(
        rules: &'r [Rule],
        terms: &mut Terms,
        text_of: impl Fn(&'r Rule) -> Option<Option<&'r TextPattern>>,
    ) -> Self {
        let mut clauses = Clauses::default();
        let any_message = TextPattern::default();
        for (rule, definition) in rules.iter().enumerate() {
            if let Some(text) = text_of(definition) {
                clauses.add(rule, text.unwrap_or(&any_message), terms);
            }
        }
        clauses
    }

    fn add(&mut self, rule: usize, text: &TextPattern, terms: &mut Terms) {
        let index = self.clauses.len() as u32;
        let anchors = anchors(text, terms);
        if anchors.is_empty() {
            self.always.push(index);
        }
        self.cover(terms);
        for anchor in anchors {
            self.anchored[anchor as usize].push(index);
        }
        self.clauses.push(Clause {
            rule,
            all: terms.ids(&text.all, text.ignore_case),
            any: terms.ids(&text.any, text.ignore_case),
            none: terms.ids(&text.none, text.ignore_case),
            regex: text.regex.as_ref().map(Confirm::new),
        });
    }

    /// Makes room for all terms so far.
    fn cover(&mut self, terms: &Terms) {
        self.anchored.resize_with(terms.terms.len(), Vec::new);
    }
}

impl Confirm {
    fn new(regex: &Regex) -> Self {
        let named = regex.capture_names().enumerate().filter_map(|(group, name)| Some((group, Arc::from(name?))));
        Confirm { regex: regex.clone(), names: named.collect() }
    }
}

/// Terms at least one of which every matching text holds; none: nothing is known of matching texts.
fn anchors(text: &TextPattern, terms: &mut Terms) -> Vec<TermId> {
    if let Some(longest) = text.all.iter().max_by_key(|literal| literal.len()) {
        return vec![terms.id(longest, text.ignore_case)];
    }
    if !text.any.is_empty() {
        return terms.ids(&text.any, text.ignore_case);
    }
    let required = text.regex.as_ref().and_then(|regex| required_literals(regex.as_str(), text.ignore_case));
    terms.ids(&required.unwrap_or_default(), true)
}

/// Literals one of which every matching text holds, ASCII letters in either case.
pub(super) type Need = Vec<String>;

/// All that is known of matching texts.
fn needs(text: &TextPattern) -> Vec<Need> {
    let all = text.all.iter().map(|literal| vec![literal.clone()]);
    let any = (!text.any.is_empty()).then(|| text.any.clone());
    let required = text.regex.as_ref().and_then(|regex| required_literals(regex.as_str(), text.ignore_case));
    all.chain(any).chain(required).collect()
}

/// One automaton over the distinct folded literals, and the terms of each.
fn automaton(terms: &[Term]) -> (AhoCorasick, Vec<Vec<TermId>>) {
    let mut patterns: Vec<String> = Vec::new();
    let mut folded: Vec<Vec<TermId>> = Vec::new();
    let mut pattern_of = HashMap::new();
    for (id, term) in terms.iter().enumerate() {
        let literal = term.literal.to_ascii_lowercase();
        let pattern = *pattern_of.entry(literal.clone()).or_insert_with(|| {
            patterns.push(literal);
            folded.push(Vec::new());
            patterns.len() - 1
        });
        folded[pattern].push(id as TermId);
    }
    let bytes: usize = patterns.iter().map(String::len).sum();
    let automaton = AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .match_kind(MatchKind::Standard)
        .kind((bytes <= DFA_LITERAL_BYTES).then_some(AhoCorasickKind::DFA))
        .build(&patterns)
        // Fails only past 2^31 states, which are fewer than the bytes of literals; a rule set's are bounded far below.
        .expect("a rule set's literals are bounded");
    (automaton, folded)
}

#[cfg(test)]
mod tests;
