//! Conditions on an alert's labels, written as Alertmanager writes them: `namespace=~"shop|web.*"`.

use std::fmt;

use regex::Regex;

use super::labels::{Label, Values};
use crate::alert::Alert;
use crate::document::suggestion;

/// One condition on the values of one label.
#[derive(Clone, Debug)]
pub struct Matcher {
    /// As it was written.
    text: String,
    label: Label,
    is_negated: bool,
    condition: Condition,
}

#[derive(Clone, Debug)]
enum Condition {
    Equals(String),
    /// Of the whole value.
    Matches(Regex),
}

/// Of how many of a label's values a condition must hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Quantifier {
    /// Whoever looks after one of the namespaces that are struck wants to know.
    Any,
    /// An incident that goes beyond what was silenced is told.
    All,
}

/// `=~` and `!=` before `=`, which they hold.
const OPERATORS: [(&str, bool, bool); 4] =
    [("=~", false, true), ("!~", true, true), ("!=", true, false), ("=", false, false)];

impl Matcher {
    /// `label="value"`, with `=`, `!=`, `=~` or `!~`; the quotes may be left out.
    ///
    /// # Errors
    /// What is wrong with it, and what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        const FORM: &str = r#"expected a matcher such as severity="critical" or namespace=~"shop|web.*""#;
        let end = text.find(['=', '!']).ok_or_else(|| format!("{FORM}, found `{text}`"))?;
        let (name, rest) = text.split_at(end);
        let operator = OPERATORS.iter().find(|(operator, ..)| rest.starts_with(operator));
        let &(operator, is_negated, is_regex) = operator.ok_or_else(|| format!("{FORM}, found `{text}`"))?;
        let name = name.trim();
        let names = Label::ALL.map(|(name, _)| name);
        let label = Label::ALL.iter().find(|(known, _)| *known == name);
        let &(_, label) = label.ok_or_else(|| format!("unknown label `{name}`; {}", suggestion(name, &names)))?;
        let value = unquoted(rest[operator.len()..].trim()).ok_or_else(|| format!("{FORM}, found `{text}`"))?;
        let condition = if is_regex {
            let whole = Regex::new(&format!("^(?s:{value})$"));
            Condition::Matches(whole.map_err(|_| format!("`{value}` is no valid regex"))?)
        } else {
            known_word(label, &value)?;
            Condition::Equals(value)
        };
        Ok(Matcher { text: text.to_owned(), label, is_negated, condition })
    }

    pub fn matches(&self, alert: &Alert, quantifier: Quantifier) -> bool {
        let values = Values::of(alert, self.label);
        let mut known = values.known.iter();
        match quantifier {
            Quantifier::Any => known.any(|value| self.holds(value)),
            // Nobody knows of those that are not named.
            Quantifier::All => !values.and_more && known.all(|value| self.holds(value)),
        }
    }

    fn holds(&self, value: &str) -> bool {
        let holds = match &self.condition {
            Condition::Equals(wanted) => wanted == value,
            Condition::Matches(regex) => regex.is_match(value),
        };
        holds != self.is_negated
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn unquoted(text: &str) -> Option<String> {
    let Some(inner) = text.strip_prefix('"') else { return (!text.contains('"')).then(|| text.to_owned()) };
    let inner = inner.strip_suffix('"')?;
    let mut value = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => return None,
            // As in Alertmanager; other backslashes stand for themselves, so that a regex may be written as it is.
            '\\' if characters.as_str().starts_with(['"', '\\']) => value.extend(characters.next()),
            character => value.push(character),
        }
    }
    Some(value)
}

/// A word that a label never has is a slip.
fn known_word(label: Label, value: &str) -> Result<(), String> {
    let words: &[&str] = match label {
        Label::Scope => &["pod", "node", "workload", "image", "node_pool", "cluster"],
        Label::Severity => &["critical", "error", "warning", "info"],
        Label::Verdict => &["confirmed", "suspected"],
        _ => return Ok(()),
    };
    match words.contains(&value) {
        true => Ok(()),
        false => Err(format!("{} is never `{value}`; {}", label.name(), suggestion(value, words))),
    }
}

#[cfg(test)]
mod tests;
