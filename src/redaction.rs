//! Secrets are taken out of log text before it leaves the scan stage, and what only terminals understand with them.
//!
//! Two ways of knowing a secret: by its own form (a JWT, a private key, the tokens of well-known services: `kinds`), and by
//! what stands before it (`password=`, `"clientSecret": "`, `Authorization: Basic`: `keyed`, `header`, `url`). What goes is
//! replaced by `[redacted]`, or `[redacted:jwt]` where the form says what it was; names, users and hosts around it stay.
//! Everything that an operator needs stays as it is: codes, ids, digests, paths, times. Where text leaves room for doubt,
//! a word of prose may be lost (`password: hunter`), and a password of several words without quotes is lost but for its
//! end.
//!
//! Of long text only a bounded part is looked at, and nothing of it is shown that might be the beginning of a secret whose
//! end was not looked at. All work is linear in that part.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use aho_corasick::AhoCorasick;
use regex::{Regex, RegexBuilder};

mod clean;
mod header;
mod keyed;
mod kinds;
mod marked;
mod plain;
mod private_key;
mod url;

use kinds::Kind;
use marked::{Edit, Marked};

/// What stands for a secret of no known form.
const REDACTED: &str = "[redacted]";
/// Taking out a secret may bring another one to light; few texts need more than three rounds. One that has come to no rest
/// after so many is made to hide something, and not shown at all.
const MAX_ROUNDS: usize = 8;
/// A value up to this length may itself be a name with a value (`secret = password = x`), and is searched, too. Bytes.
const SHORT_VALUE_BYTES: usize = 64;
/// Before what is captured, so much is looked at, for the begins of secrets that it lies in: more than any key has. Bytes.
const LEAD_BYTES: usize = 32 << 10;
/// Beyond what is shown, so much more is looked at, for the ends of secrets that begin in it. Bytes.
const MARGIN_BYTES: usize = 4 << 10;
/// How much of a message is looked at, so many times what is shown of it: secrets are shown shorter than they are.
const LOOKED_AT_TIMES: usize = 4;
/// Compiled size of a configured pattern. Bytes.
const PATTERN_SIZE_BYTES: usize = 1 << 20;

/// The section `redaction` of the settings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Redaction {
    /// Otherwise only control characters and escape sequences are taken out.
    pub enabled: bool,
    /// Whether e-mail addresses are taken out as well.
    pub email: bool,
    /// Beside those that are built in.
    pub patterns: Vec<Pattern>,
}

impl Default for Redaction {
    fn default() -> Self {
        Redaction { enabled: true, email: false, patterns: Vec::new() }
    }
}

/// A regex whose matches are secrets; if it has a group named `secret`, only that part of them.
#[derive(Clone, Debug)]
pub struct Pattern(Regex);

/// Why a regex can be no [`Pattern`].
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadPattern(String);

impl Pattern {
    /// # Errors
    /// It is no regex, takes more than 1 MiB once it is compiled, or matches the empty text.
    pub fn new(regex: &str) -> Result<Self, BadPattern> {
        let compiled = RegexBuilder::new(regex).size_limit(PATTERN_SIZE_BYTES).build().map_err(|error| {
            let text = error.to_string();
            // Regex errors draw a picture over several lines; the last one says what is wrong.
            let reason = text.lines().last().unwrap_or(&text).trim_start_matches("error: ").to_owned();
            BadPattern(format!("not a valid regex: {reason}"))
        })?;
        if compiled.is_match("") {
            return Err(BadPattern("matches the empty text, and so everywhere".to_owned()));
        }
        Ok(Pattern(compiled))
    }

    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Pattern {}

/// Takes secrets out of text. Immutable, shared between scan threads.
#[derive(Debug)]
pub struct Redactor {
    /// Specific ones first: where several find a secret, the first one names it.
    kinds: Vec<Kind>,
    /// Over the literals that the kinds are known by, ASCII letters in either case.
    literals: AhoCorasick,
    /// By literal: the kind, as an index.
    kind_of: Vec<usize>,
}

/// A part of a text that must not be shown, and the kind that found it.
struct Found {
    range: Range<usize>,
    kind: usize,
}

impl Redactor {
    pub fn new(redaction: &Redaction) -> Self {
        let mut kinds = if redaction.enabled { kinds::built_in() } else { Vec::new() };
        if redaction.enabled && redaction.email {
            kinds.push(kinds::email());
        }
        if redaction.enabled {
            kinds.extend(redaction.patterns.iter().map(|pattern| Kind::configured(pattern.0.clone())));
        }
        let literals = || kinds.iter().enumerate().flat_map(|(at, kind)| kind.literals.iter().map(move |of| (at, of)));
        let automaton = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .build(literals().map(|(_, literal)| literal))
            // Fails only past 2^31 states; these are some dozens of short words.
            .expect("the literals are few");
        let kind_of = literals().map(|(at, _)| at).collect();
        Redactor { kinds, literals: automaton, kind_of }
    }

    /// The one with the default settings; built once.
    pub fn standard() -> Arc<Self> {
        static STANDARD: LazyLock<Arc<Redactor>> = LazyLock::new(|| Arc::new(Redactor::new(&Redaction::default())));
        Arc::clone(&STANDARD)
    }

    /// The text without secrets, escape sequences and control characters but line breaks and tabs. All of it is looked at.
    /// What was redacted once stays as it is.
    pub fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut marked = Marked::new(text);
        self.redact_all(&mut marked);
        marked.text
    }

    /// The first `bytes` of the redacted message at most, cut on a character and not within `[redacted]`. Not more of it
    /// is looked at than some times `bytes`.
    pub fn sample<'t>(&self, message: &'t str, bytes: usize) -> Cow<'t, str> {
        let looked_at = bytes.saturating_mul(LOOKED_AT_TIMES).saturating_add(2 * MARGIN_BYTES);
        let mut marked = Marked::new(message);
        if message.len() > looked_at {
            let head = &message[..message.floor_char_boundary(looked_at)];
            let shown = &head[..head.floor_char_boundary(looked_at - MARGIN_BYTES)];
            // Its last word may be the beginning of one that never ends.
            let shown = shown.trim_end_matches(|c: char| !is_gap(c)).len();
            marked = Marked::with_mark(head, 0..shown);
        }
        self.redact_all(&mut marked);
        marked.into_marked(bytes)
    }

    /// A part of the message, at most some hundred bytes, without what in the whole message is seen to be a secret.
    /// Byte for byte as it came if there is none.
    pub fn part<'t>(&self, message: &'t str, part: &'t str) -> Cow<'t, str> {
        let Some(range) = range_in(message, part) else { return self.redact(part) };
        let from = message.floor_char_boundary(range.start.saturating_sub(LEAD_BYTES));
        if from > 0 && !message[from..range.start].contains(is_gap) {
            // Within a word of which the begin is not looked at.
            return Cow::Borrowed(if part.is_empty() { part } else { REDACTED });
        }
        let to = message.floor_char_boundary(range.end.saturating_add(MARGIN_BYTES));
        let mut marked = Marked::with_mark(&message[from..to], range.start - from..range.end - from);
        self.redact_all(&mut marked);
        marked.into_marked(usize::MAX)
    }

    fn redact_all(&self, marked: &mut Marked<'_>) {
        for _ in 0..MAX_ROUNDS {
            let is_clean = marked.replace(&clean::edits(&marked.text));
            let is_free = marked.replace(&self.edits(&marked.text));
            if is_clean && is_free {
                return;
            }
        }
        marked.withhold(REDACTED);
    }

    /// What must be replaced in the text, in order and apart from each other.
    fn edits(&self, text: &str) -> Vec<Edit> {
        let mut found = Vec::new();
        for (index, kind) in self.kinds_in(text) {
            kind.find(text, |range| found.push(Found { range, kind: index }));
        }
        if found.is_empty() {
            return Vec::new();
        }
        let markers: Vec<_> = kinds::markers(text).collect();
        let within_one = |range: &Range<usize>| {
            let before = markers.partition_point(|marker| marker.start <= range.start);
            before > 0 && range.end <= markers[before - 1].end
        };
        found.retain(|found| !within_one(&found.range));
        found.sort_by_key(|found| found.range.start);
        let mut merged: Vec<Found> = Vec::with_capacity(found.len());
        for found in found {
            match merged.last_mut().filter(|last| found.range.start < last.range.end) {
                Some(last) => {
                    last.range.end = last.range.end.max(found.range.end);
                    last.kind = last.kind.min(found.kind);
                }
                None => merged.push(found),
            }
        }
        merged.into_iter().map(|found| Edit { range: found.range, with: self.kinds[found.kind].with }).collect()
    }

    /// The kinds of which a literal is in the text, and those that have none.
    fn kinds_in(&self, text: &str) -> impl Iterator<Item = (usize, &Kind)> {
        let mut wanted = vec![false; self.kinds.len()];
        for literal in self.literals.find_overlapping_iter(text) {
            wanted[self.kind_of[literal.pattern().as_usize()]] = true;
        }
        let kinds = self.kinds.iter().enumerate();
        kinds.filter(move |(index, kind)| wanted[*index] || kind.literals.is_empty())
    }
}

/// No token, password in a URL or unquoted value goes on behind these.
fn is_gap(c: char) -> bool {
    c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '<' | '>')
}

/// Where in the text that slice of it lies.
fn range_in(text: &str, part: &str) -> Option<Range<usize>> {
    let start = part.as_ptr().addr().checked_sub(text.as_ptr().addr())?;
    let range = start..start.checked_add(part.len())?;
    (text.get(range.clone()) == Some(part)).then_some(range)
}

#[cfg(test)]
mod tests;
