//! One rule, from its YAML to its checked form.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use regex::{Regex, RegexBuilder};

use super::contradictions;
use crate::codes::CodeTable;
use crate::document::{Collector, Entry, Item, Node, Origin, Value, suggestion};
use crate::signature::required::{MIN_LITERAL_BYTES, required_literals};
use crate::signature::{Accuses, EventPattern, Example, Examples, Rule, Severity, TextPattern, Trigger};
use crate::template::{PLACEHOLDERS, unknown_placeholders};

const MAX_ID_BYTES: usize = 80;
/// Titles stand in alerts' summaries.
const MAX_TITLE_CHARS: usize = 80;
const MAX_LITERALS: usize = 200;
const MAX_LITERAL_BYTES: usize = 1024;
const MAX_REGEX_BYTES: usize = 4096;
/// Of the compiled form.
const MAX_REGEX_SIZE: usize = 2 << 20;
const MAX_TRIGGER_COUNT: u32 = 1_000_000;
const SHORTEST_WITHIN: Duration = Duration::from_secs(1);
const LONGEST_WITHIN: Duration = Duration::from_secs(24 * 3600);

const SEVERITIES: [(&str, Severity); 4] = [
    ("critical", Severity::Critical),
    ("error", Severity::Error),
    ("warning", Severity::Warning),
    ("info", Severity::Info),
];

/// Reads the rule and where it is. What is wrong is reported; the rule then only serves to find further errors.
/// `index` is its place in the file. `None`: not even its id is known.
pub(super) fn rule(node: &Node, index: usize, collector: &Collector) -> Option<(Rule, Origin)> {
    let mut section = Item::new(node, format!("rule #{}", index + 1), collector).section()?;
    let id = section.require("id").as_ref().and_then(rule_id);
    if let Some(id) = &id {
        section.rename(format!("rule {id}"));
    }
    let title = section.require("title").as_ref().and_then(rule_title);
    let severity = section.require("severity").and_then(|item| item.enumeration(&SEVERITIES));
    let mut accuses = Accuses::Pod;
    section.read("scope", &mut accuses, |item| item.enumeration(&[("pod", Accuses::Pod), ("node", Accuses::Node)]));
    let patterns = section.require("match").as_ref().and_then(patterns);
    let captures = patterns.as_ref().map(capture_names);
    let codes = section.get("codes").map(|item| codes(&item, captures.as_deref())).unwrap_or_default();
    let (log, event) = patterns.unwrap_or_default();
    let trigger = section.get("trigger").and_then(|item| trigger(&item, accuses)).unwrap_or_default();
    let action = section.get("action").and_then(|item| action(&item));
    let runbook = section.get("runbook").and_then(|item| runbook(&item));
    let supersedes = section.get("supersedes").and_then(|item| supersedes(&item, id.as_deref())).unwrap_or_default();
    let examples = section.get("tests").and_then(|item| examples(&item, node.entry("tests").map(|entry| &entry.node)));
    section.finish();
    let rule = Rule {
        id: id?.into(),
        title: title.unwrap_or_default(),
        severity: severity.unwrap_or(Severity::Info),
        accuses,
        log,
        event,
        codes,
        trigger,
        action,
        runbook,
        supersedes,
        examples: examples.unwrap_or_default(),
    };
    Some((rule, node.origin.clone()))
}

fn rule_id(item: &Item<'_>) -> Option<String> {
    let id = item.filled_text()?;
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    if id.split('-').all(is_word) && id.len() <= MAX_ID_BYTES {
        return Some(id);
    }
    let kebab = to_kebab(&id);
    let hint = if kebab.is_empty() || kebab == id { String::new() } else { format!("; did you mean `{kebab}`?") };
    item.error(format!("`{id}` is not kebab-case (a-z, 0-9 and `-` between, at most {MAX_ID_BYTES}){hint}"));
    None
}

fn to_kebab(id: &str) -> String {
    let mut kebab = String::new();
    let mut after_lowercase = false;
    for c in id.chars() {
        let begins_word = !c.is_ascii_alphanumeric() || (c.is_ascii_uppercase() && after_lowercase);
        if begins_word && !kebab.is_empty() && !kebab.ends_with('-') {
            kebab.push('-');
        }
        if c.is_ascii_alphanumeric() {
            kebab.push(c.to_ascii_lowercase());
        }
        after_lowercase = c.is_ascii_lowercase() || c.is_ascii_digit();
    }
    kebab.truncate(MAX_ID_BYTES);
    kebab.trim_end_matches('-').to_owned()
}

fn rule_title(item: &Item<'_>) -> Option<String> {
    let title = item.filled_text()?.trim().to_owned();
    if title.contains('\n') || title.chars().count() > MAX_TITLE_CHARS {
        item.error(format!(
            "a title is one line of at most {MAX_TITLE_CHARS} characters; it stands in alerts' summaries"
        ));
        return None;
    }
    Some(title)
}

type Patterns = (Option<TextPattern>, Option<EventPattern>);

/// `None` where a part that was given could not be read: its captures are not known then.
fn patterns(item: &Item<'_>) -> Option<Patterns> {
    let mut section = item.section()?;
    let (log, event) = (section.get("log"), section.get("event"));
    if log.is_none() && event.is_none() {
        section.place().error("needs `log` or `event`: there is nothing to match");
    }
    section.finish();
    let log = log.map(|item| text_pattern(&item, false));
    let event = event.map(|item| event_pattern(&item));
    Some((complete(log)?, complete(event)?))
}

/// What was not given is complete; what was given must have been read.
fn complete<T>(given: Option<Option<T>>) -> Option<Option<T>> {
    match given {
        Some(None) => None,
        other => Some(other.flatten()),
    }
}

fn event_pattern(item: &Item<'_>) -> Option<EventPattern> {
    let mut section = item.section()?;
    let mut pattern = EventPattern::default();
    let reason = section.get("reason");
    let message = section.get("message");
    section.read("type", &mut pattern.event_type, |item| {
        item.enumeration(&[("Normal", "Normal"), ("Warning", "Warning")]).map(|word| Some(word.to_owned()))
    });
    if reason.is_none() && message.is_none() {
        section.place().error("needs `reason` or `message`: without them every event would match");
    }
    section.finish();
    pattern.reason = reason.as_ref().and_then(filled_list).unwrap_or_default();
    pattern.message = complete(message.map(|item| text_pattern(&item, reason.is_some())))?;
    Some(pattern)
}

/// `narrowed`: the pattern only refines what another condition has chosen, so it may be slow or forbid only.
fn text_pattern(item: &Item<'_>, narrowed: bool) -> Option<TextPattern> {
    let mut section = item.section()?;
    let mut pattern = TextPattern::default();
    section.read("ignore_case", &mut pattern.ignore_case, Item::boolean);
    let lists = [section.get("all"), section.get("any"), section.get("none")];
    let regex = section.get("regex");
    if lists[..2].iter().all(Option::is_none) && regex.is_none() && !(narrowed && lists[2].is_some()) {
        section.place().error("needs `all`, `any` or `regex`: something that must be there");
    }
    let [all, any, none] = lists.map(|list| list.as_ref().and_then(literals).unwrap_or_default());
    (pattern.all, pattern.any, pattern.none) = (all, any, none);
    pattern.regex = regex.as_ref().and_then(|item| compile(item, pattern.ignore_case));
    contradictions::check(section.place(), &pattern);
    section.finish();
    if let Some(item) = &regex {
        check_regex(item, pattern.regex.as_ref()?, &pattern, narrowed);
    }
    Some(pattern)
}

fn filled_list(item: &Item<'_>) -> Option<Vec<String>> {
    let texts = item.texts()?;
    if item.list().is_some_and(|list| list.is_empty()) {
        item.error("must not be an empty list; leave the key out instead");
    }
    Some(texts)
}

fn literals(item: &Item<'_>) -> Option<Vec<String>> {
    let literals = filled_list(item)?;
    if literals.len() > MAX_LITERALS {
        item.error(format!("at most {MAX_LITERALS} literals, found {}", literals.len()));
    }
    if literals.iter().any(|literal| literal.len() > MAX_LITERAL_BYTES) {
        item.error(format!("a literal has at most {MAX_LITERAL_BYTES} bytes"));
    }
    Some(literals)
}

fn compile(item: &Item<'_>, ignore_case: bool) -> Option<Regex> {
    let pattern = item.filled_text()?;
    if pattern.len() > MAX_REGEX_BYTES {
        item.error(format!("a regex has at most {MAX_REGEX_BYTES} bytes"));
        return None;
    }
    match RegexBuilder::new(&pattern).case_insensitive(ignore_case).size_limit(MAX_REGEX_SIZE).build() {
        Ok(regex) => Some(regex),
        Err(error) => {
            // Its last line is the complaint; those before draw the pattern.
            let text = error.to_string();
            let complaint = text.lines().last().unwrap_or_default().trim().trim_start_matches("error: ");
            item.error(format!("not a valid regex: {complaint}"));
            None
        }
    }
}

/// A regex that nothing narrows down should have a literal of its own, and must not match everything.
fn check_regex(item: &Item<'_>, regex: &Regex, pattern: &TextPattern, narrowed: bool) {
    if narrowed || !pattern.all.is_empty() || !pattern.any.is_empty() {
        return;
    }
    if regex.is_match("") {
        item.error("matches the empty text, so it would match every message");
    } else if required_literals(regex.as_str(), pattern.ignore_case).is_none() {
        item.warning(format!(
            "slow: it runs on every message, for no text of {MIN_LITERAL_BYTES} or more bytes is sure to be in a match; \
             add `all` or `any`"
        ));
    }
}

fn capture_names((log, event): &Patterns) -> Vec<String> {
    let texts = [log.as_ref(), event.as_ref().and_then(|event| event.message.as_ref())];
    let regexes = texts.into_iter().flatten().filter_map(|text| text.regex.as_ref());
    regexes.flat_map(|regex| regex.capture_names().flatten().map(str::to_owned)).collect()
}

/// `captures`: the names that the rule's regexes have, where they could be read.
fn codes(item: &Item<'_>, captures: Option<&[String]>) -> BTreeMap<String, CodeTable> {
    let mut codes = BTreeMap::new();
    for (capture, table) in item.entries().unwrap_or_default() {
        if let Some(captures) = captures
            && !captures.iter().any(|name| name == capture)
        {
            table.error(format!(
                "no regex of the rule has a capture `(?P<{capture}>…)`; {}",
                existing(capture, captures)
            ));
        }
        if let Some(table) = table.enumeration(&CodeTable::NAMED) {
            codes.insert(capture.to_owned(), table);
        }
    }
    codes
}

fn existing(capture: &str, captures: &[String]) -> String {
    let names: Vec<&str> = captures.iter().map(String::as_str).collect();
    if names.is_empty() { "there are no named captures".to_owned() } else { suggestion(capture, &names) }
}

fn trigger(item: &Item<'_>, accuses: Accuses) -> Option<Trigger> {
    let mut section = item.section()?;
    let count = |item: Item<'_>| item.number(1..=MAX_TRIGGER_COUNT);
    let matches = section.get("matches").and_then(count);
    let pods = section.get("pods").and_then(count);
    let mut within = None;
    section.read("within", &mut within, |item| item.duration_within(SHORTEST_WITHIN..=LONGEST_WITHIN).map(Some));
    if let (Some(matches), Some(pods)) = (matches, pods)
        && pods > matches
    {
        section.place().error(format!("{pods} pods need as many matches; `matches` is {matches}"));
    }
    if accuses == Accuses::Node && pods.is_some_and(|pods| pods > 1) {
        section.place().warning("`pods` has no effect in a rule whose `scope` is node");
    }
    section.finish();
    let pods = pods.unwrap_or(1);
    // So many pods cannot fail with fewer matches.
    Some(Trigger { matches: matches.unwrap_or(pods), pods, within })
}

fn action(item: &Item<'_>) -> Option<String> {
    let action = item.filled_text()?;
    for unknown in unknown_placeholders(&action) {
        item.error(format!("unknown placeholder `{{{{{unknown}}}}}`; {}", suggestion(unknown, &PLACEHOLDERS)));
    }
    Some(action)
}

fn runbook(item: &Item<'_>) -> Option<String> {
    let url = item.filled_text()?;
    if url.starts_with("https://") || url.starts_with("http://") {
        return Some(url);
    }
    item.error("expected an address that begins with https:// or http://; notes belong into `action`");
    None
}

/// Ids of other rules; whether they exist is known once all files are read.
fn supersedes(item: &Item<'_>, id: Option<&str>) -> Option<Vec<Arc<str>>> {
    let ids = filled_list(item)?;
    if ids.iter().any(|other| Some(other.as_str()) == id) {
        item.error("a rule cannot supersede itself");
    }
    Some(ids.into_iter().map(Arc::from).collect())
}

fn examples(item: &Item<'_>, node: Option<&Node>) -> Option<Examples> {
    let mut section = item.section()?;
    let mut examples = Examples::default();
    let list = |key| move |item: &Item<'_>| example_list(item, node.and_then(|node| node.entry(key)));
    section.read("match", &mut examples.matching, list("match"));
    section.read("no_match", &mut examples.not_matching, list("no_match"));
    section.finish();
    Some(examples)
}

/// `entry` is where the list stands; it tells which of the items are maps.
fn example_list(item: &Item<'_>, entry: Option<&Entry>) -> Option<Vec<Example>> {
    let nodes = match entry.map(|entry| &entry.node.value) {
        Some(Value::List(nodes)) => nodes.as_slice(),
        _ => &[],
    };
    let examples = item.list()?.into_iter().zip(nodes).filter_map(|(item, node)| match node.value {
        Value::Map(_) => event_example(&item),
        _ => item.filled_text().map(Example::Text),
    });
    Some(examples.collect())
}

fn event_example(item: &Item<'_>) -> Option<Example> {
    let mut section = item.section()?;
    let (mut reason, mut event_type, mut message) = Default::default();
    section.read("reason", &mut reason, Item::filled_text);
    section.read("type", &mut event_type, Item::filled_text);
    section.read("message", &mut message, Item::filled_text);
    section.finish();
    Some(Example::Event { reason, event_type, message })
}
