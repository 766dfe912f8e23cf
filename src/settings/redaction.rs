//! The section `redaction`: what is taken out of log text.

use crate::document::{Item, Section};
use crate::redaction::{Pattern, Redaction};

/// Every pattern is tried on every sample.
const MOST_PATTERNS: usize = 100;

pub fn read(section: &mut Section<'_>, redaction: &mut Redaction) {
    section.read("enabled", &mut redaction.enabled, |item| item.boolean());
    section.read("email", &mut redaction.email, |item| item.boolean());
    section.read("patterns", &mut redaction.patterns, patterns);
}

fn patterns(item: &Item<'_>) -> Option<Vec<Pattern>> {
    let items = item.list()?;
    if items.len() > MOST_PATTERNS {
        item.error(format!("at most {MOST_PATTERNS} patterns"));
        return None;
    }
    Some(items.iter().filter_map(pattern).collect())
}

fn pattern(item: &Item<'_>) -> Option<Pattern> {
    let text = item.filled_text()?;
    Pattern::new(&text).map_err(|error| item.error(error.to_string())).ok()
}
