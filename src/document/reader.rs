//! From nodes to checked values. Every method that can fail reports what is wrong and returns `None`; the caller goes
//! on, so that one reading finds all errors.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use jiff::SignedDuration;

use super::{Collector, Diagnostic, Entry, Node, Origin, Value};

/// One value, with the path that leads to it.
#[derive(Clone, Debug)]
pub struct Item<'a> {
    node: &'a Node,
    path: String,
    collector: &'a Collector,
}

impl<'a> Item<'a> {
    /// `path` is what messages call the value; empty for a whole document.
    pub fn new(node: &'a Node, path: impl Into<String>, collector: &'a Collector) -> Self {
        Item { node, path: path.into(), collector }
    }

    pub fn origin(&self) -> &'a Origin {
        &self.node.origin
    }

    pub fn path(&self) -> &str {
        &self.path
    }

    /// Reports the value as wrong; say what would be right.
    pub fn error(&self, message: impl Into<String>) {
        self.collector.push(Diagnostic::error(self.origin().clone(), &self.path, message));
    }

    pub fn warning(&self, message: impl Into<String>) {
        self.collector.push(Diagnostic::warning(self.origin().clone(), &self.path, message));
    }

    fn expected<T>(&self, what: &str) -> Option<T> {
        let found = match &self.node.value {
            Value::Null => "nothing".to_owned(),
            Value::Scalar(text) => format!("`{}`", shortened(text)),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a map".to_owned(),
        };
        self.error(format!("expected {what}, found {found}"));
        None
    }

    fn scalar(&self, what: &str) -> Option<&'a str> {
        match &self.node.value {
            Value::Scalar(text) => Some(text),
            _ => self.expected(what),
        }
    }

    /// Text as it was written, numbers and booleans too.
    pub fn text(&self) -> Option<String> {
        self.scalar("text").map(str::to_owned)
    }

    /// Text with something in it besides white space.
    pub fn filled_text(&self) -> Option<String> {
        let text = self.scalar("text")?;
        if text.trim().is_empty() {
            self.error("must not be empty");
            return None;
        }
        Some(text.to_owned())
    }

    pub fn boolean(&self) -> Option<bool> {
        match self.scalar("true or false")? {
            "true" | "True" | "TRUE" => Some(true),
            "false" | "False" | "FALSE" => Some(false),
            _ => self.expected("true or false"),
        }
    }

    /// A number within `range`, its ends included.
    pub fn number<T: FromStr + PartialOrd + Display>(&self, range: RangeInclusive<T>) -> Option<T> {
        let what = format!("a number from {} to {}", range.start(), range.end());
        match self.scalar(&what)?.parse() {
            Ok(number) if range.contains(&number) => Some(number),
            _ => self.expected(&what),
        }
    }

    /// A number of bytes: `1048576`, `1024KiB`, `1 MiB`.
    pub fn bytes(&self, range: RangeInclusive<usize>) -> Option<usize> {
        let what = format!("bytes from {} to {} (1048576, 1024KiB and 1MiB are the same)", range.start(), range.end());
        match parse_bytes(self.scalar(&what)?) {
            Some(bytes) if range.contains(&bytes) => Some(bytes),
            _ => self.expected(&what),
        }
    }

    /// A time span with its unit, `30s`, `10m`, `1h30m`, of any length but negative.
    pub fn duration(&self) -> Option<Duration> {
        self.duration_within(Duration::ZERO..=Duration::MAX)
    }

    /// A time span within `range`, its ends included.
    pub fn duration_within(&self, range: RangeInclusive<Duration>) -> Option<Duration> {
        const WHAT: &str = "a time with its unit such as 500ms, 30s, 10m or 1h30m";
        let parsed = self.scalar(WHAT)?.parse::<SignedDuration>().ok().and_then(|span| Duration::try_from(span).ok());
        let Some(duration) = parsed else {
            return self.expected(WHAT);
        };
        if range.contains(&duration) {
            return Some(duration);
        }
        let end = match *range.end() {
            Duration::MAX => "any length".to_owned(),
            end => format_duration(end),
        };
        self.expected(&format!("a time from {} to {end}", format_duration(*range.start())))
    }

    /// One of a closed set of words.
    pub fn enumeration<T: Copy>(&self, words: &[(&str, T)]) -> Option<T> {
        let names: Vec<&str> = words.iter().map(|(name, _)| *name).collect();
        let what = format!("one of {}", names.join(", "));
        let text = self.scalar(&what)?;
        match words.iter().find(|(name, _)| *name == text) {
            Some((_, value)) => Some(*value),
            None => self.expected(&what),
        }
    }

    /// The elements of a list; `None` when it is none.
    pub fn list(&self) -> Option<Vec<Item<'a>>> {
        let Value::List(nodes) = &self.node.value else {
            return self.expected("a list");
        };
        let item = |(index, node)| Item::new(node, format!("{}[{index}]", self.path), self.collector);
        Some(nodes.iter().enumerate().map(item).collect())
    }

    /// A list of texts that are not empty. Those that are wrong are reported and left out.
    pub fn texts(&self) -> Option<Vec<String>> {
        Some(self.list()?.iter().filter_map(Item::filled_text).collect())
    }

    /// The entries of a map whose keys are free; `None` when it is none.
    pub fn entries(&self) -> Option<Vec<(&'a str, Item<'a>)>> {
        let Value::Map(entries) = &self.node.value else {
            return self.expected("a map");
        };
        let item = |entry: &'a Entry| {
            (entry.key.as_str(), Item::new(&entry.node, joined(&self.path, &entry.key), self.collector))
        };
        Some(entries.iter().map(item).collect())
    }

    /// [`Item::entries`] of what may hold secrets: what is there instead of a map is not quoted.
    pub fn entries_unseen(&self) -> Option<Vec<(&'a str, Item<'a>)>> {
        match &self.node.value {
            Value::Scalar(_) => {
                self.error("expected a map of `name: value` lines");
                None
            }
            _ => self.entries(),
        }
    }

    /// A map whose keys are known. End its reading with [`Section::finish`].
    pub fn section(&self) -> Option<Section<'a>> {
        match &self.node.value {
            Value::Map(entries) => {
                let place = Item::new(self.node, self.path.clone(), self.collector);
                Some(Section { place, entries, known: Vec::new() })
            }
            _ => self.expected("a map of `key: value` lines"),
        }
    }
}

/// A map whose keys are known: what is asked for. The rest is reported by [`Section::finish`].
#[derive(Debug)]
#[must_use = "call `finish`, or unknown keys go unnoticed"]
pub struct Section<'a> {
    place: Item<'a>,
    entries: &'a [Entry],
    known: Vec<&'static str>,
}

impl<'a> Section<'a> {
    /// The map itself, to report something about it as a whole.
    pub fn place(&self) -> &Item<'a> {
        &self.place
    }

    /// What messages call the map from here on, where its position alone says little (`rule pod-oom-killed`).
    pub fn rename(&mut self, path: impl Into<String>) {
        self.place.path = path.into();
    }

    /// The value of `key`; `None` when it is absent or null.
    pub fn get(&mut self, key: &'static str) -> Option<Item<'a>> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        let item = || Item::new(&entry.node, joined(&self.place.path, key), self.place.collector);
        (entry.node.value != Value::Null).then(item)
    }

    /// The value of `key`; reported when it is absent or null.
    pub fn require(&mut self, key: &'static str) -> Option<Item<'a>> {
        let item = self.get(key);
        if item.is_none() {
            self.place.error(format!("key `{key}` is missing"));
        }
        item
    }

    /// Replaces `target` when `key` is there and right: `section.read("size", &mut windows.size, Item::duration)`.
    pub fn read<T>(&mut self, key: &'static str, target: &mut T, read: impl FnOnce(&Item<'a>) -> Option<T>) {
        if let Some(value) = self.get(key).as_ref().and_then(read) {
            *target = value;
        }
    }

    /// Reports every key that was not asked for, with the nearest one that was.
    pub fn finish(self) {
        for entry in self.entries {
            if !self.known.contains(&entry.key.as_str()) {
                let message = format!("unknown key `{}`; {}", entry.key, suggestion(&entry.key, &self.known));
                self.place.collector.push(Diagnostic::error(entry.origin.clone(), &self.place.path, message));
            }
        }
    }
}

fn joined(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// What would be right instead of `word`: the nearest of `known`, or all of them when none is near.
pub fn suggestion(word: &str, known: &[&str]) -> String {
    let nearest = known.iter().map(|name| (strsim::osa_distance(word, name), name)).min();
    match nearest {
        // A third of the letters wrong is still a slip; more is another word.
        Some((distance, name)) if distance <= word.chars().count().div_ceil(3) => format!("did you mean `{name}`?"),
        Some(_) => format!("allowed here: {}", known.join(", ")),
        None => "nothing is allowed here".to_owned(),
    }
}

/// `1h30m`, as [`Item::duration`] reads it.
pub fn format_duration(duration: Duration) -> String {
    match SignedDuration::try_from(duration) {
        Ok(span) if !span.is_zero() => format!("{span:#}").replace(' ', ""),
        _ => format!("{}s", duration.as_secs()),
    }
}

/// `64MiB`, as [`Item::bytes`] reads it.
pub fn format_bytes(bytes: usize) -> String {
    let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
    match units.iter().find(|(_, shift)| bytes != 0 && bytes.is_multiple_of(1 << shift)) {
        Some((unit, shift)) => format!("{}{unit}", bytes >> shift),
        None => bytes.to_string(),
    }
}

fn parse_bytes(text: &str) -> Option<usize> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let factor: usize = match unit.trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.parse::<usize>().ok()?.checked_mul(factor)
}

/// At most 60 characters, so that a message stays a line.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::parse_yaml;

    /// Reads the value of the only key, `a`, and returns what was read and what was reported.
    fn read<T>(text: &str, read: impl Fn(&Item<'_>) -> Option<T>) -> (Option<T>, String) {
        let tree = parse_yaml("f", text).unwrap();
        let collector = Collector::default();
        let mut section = Item::new(&tree, "", &collector).section().unwrap();
        let value = section.get("a").as_ref().and_then(read);
        section.finish();
        (value, collector.finish().to_string())
    }

    #[test]
    fn reads_what_is_right() {
        assert_eq!(read("a: 0x", |item| item.text()), (Some("0x".into()), String::new()));
        assert_eq!(read("a: true", |item| item.boolean()).0, Some(true));
        assert_eq!(read("a: 0.8", |item| item.number(0.0..=1.0)).0, Some(0.8));
        assert_eq!(read("a: 7", |item| item.number(1..=7)).0, Some(7));
        assert_eq!(read("a: [x, 2]", |item| item.texts()).0, Some(vec!["x".into(), "2".into()]));
        assert_eq!(read("a: no", |item| item.enumeration(&[("yes", 1), ("no", 2)])).0, Some(2));
        assert_eq!(read("a:", |item| item.text()), (None, String::new()), "null is like absent");
    }

    #[test]
    fn reads_times_and_sizes_with_units() {
        let times = [("10m", 600_000), ("1h30m", 5_400_000), ("500ms", 500), ("1h 5s", 3_605_000), ("0s", 0)];
        for (text, ms) in times {
            let (value, errors) = read(&format!("a: {text}"), |item| item.duration());
            assert_eq!(value, Some(Duration::from_millis(ms)), "{text}: {errors}");
            assert_eq!(format_duration(Duration::from_millis(ms)), text.replace(' ', ""));
        }
        for (text, bytes) in [("512", 512), ("64MiB", 64 << 20), ("1 KiB", 1024)] {
            assert_eq!(format_bytes(bytes), text.replace(' ', ""));
            assert_eq!(read(&format!("a: {text}"), |item| item.bytes(1..=1 << 30)).0, Some(bytes), "{text}");
        }
    }

    #[test]
    fn says_what_would_be_right() {
        let number = |item: &Item<'_>| item.number(1..=9).map(|_| ());
        let time = |item: &Item<'_>| item.duration_within(Duration::from_secs(1)..=Duration::from_secs(60)).map(|_| ());
        let word = |item: &Item<'_>| item.enumeration(&[("logs", ()), ("events", ())]);
        let bytes = |item: &Item<'_>| item.bytes(1..=2048).map(|_| ());
        type Read<'r> = &'r dyn Fn(&Item<'_>) -> Option<()>;
        let cases: [(&str, Read<'_>, &str); 12] = [
            ("a: 10", &number, "f:1: a: expected a number from 1 to 9, found `10`"),
            ("a: x", &number, "f:1: a: expected a number from 1 to 9, found `x`"),
            ("a: 10", &time, "f:1: a: expected a time with its unit such as 500ms, 30s, 10m or 1h30m, found `10`"),
            ("a: -3s", &time, "f:1: a: expected a time with its unit such as 500ms, 30s, 10m or 1h30m, found `-3s`"),
            ("a: 2m", &time, "f:1: a: expected a time from 1s to 1m, found `2m`"),
            ("a: log", &word, "f:1: a: expected one of logs, events, found `log`"),
            ("a: [1]", &word, "f:1: a: expected one of logs, events, found a list"),
            (
                "a: 3KiB",
                &bytes,
                "f:1: a: expected bytes from 1 to 2048 (1048576, 1024KiB and 1MiB are the same), found `3KiB`",
            ),
            (
                "a: 3XB",
                &bytes,
                "f:1: a: expected bytes from 1 to 2048 (1048576, 1024KiB and 1MiB are the same), found `3XB`",
            ),
            ("a: {b: 1}", &|item| item.texts().map(|_| ()), "f:1: a: expected a list, found a map"),
            ("a: [x, '']", &|item| item.texts().map(|_| ()), "f:1: a[1]: must not be empty"),
            (
                "a: 1",
                &|item| item.section().map(Section::finish),
                "f:1: a: expected a map of `key: value` lines, found `1`",
            ),
        ];
        for (text, reading, message) in cases {
            assert_eq!(read(text, reading).1, message, "{text}");
        }
    }

    #[test]
    fn unknown_keys_come_with_the_nearest_or_all_known_ones() {
        let tree = parse_yaml("f", "kafka:\n  borkers: x\n  colour: red\n").unwrap();
        let collector = Collector::default();
        let mut top = Item::new(&tree, "", &collector).section().unwrap();
        let mut kafka = top.require("kafka").unwrap().section().unwrap();
        assert!(kafka.require("brokers").is_none());
        kafka.get("group_id");
        kafka.finish();
        top.finish();
        assert_eq!(
            collector.finish().to_string(),
            "f:2: kafka: key `brokers` is missing\n\
             f:2: kafka: unknown key `borkers`; did you mean `brokers`?\n\
             f:3: kafka: unknown key `colour`; allowed here: brokers, group_id"
        );
    }

    #[test]
    fn a_renamed_section_names_what_is_in_it() {
        let tree = parse_yaml("f", "- id: x\n  trigger: {pods: 0}\n").unwrap();
        let collector = Collector::default();
        let mut rule = Item::new(&tree, "", &collector).list().unwrap()[0].section().unwrap();
        let id = rule.require("id").and_then(|item| item.text()).unwrap();
        rule.rename(format!("rule {id}"));
        let mut trigger = rule.get("trigger").unwrap().section().unwrap();
        let mut pods = 1;
        trigger.read("pods", &mut pods, |item| item.number(1..=1000));
        trigger.finish();
        rule.finish();
        assert_eq!(pods, 1, "a wrong value leaves the default");
        assert_eq!(
            collector.finish().to_string(),
            "f:2: rule x.trigger.pods: expected a number from 1 to 1000, found `0`"
        );
    }
}
