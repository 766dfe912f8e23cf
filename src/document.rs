//! YAML documents that remember where every value came from, so that whatever is wrong with one can be said with its
//! file and line, and all at once.
//!
//! [`parse_yaml`] makes a tree of [`Node`]s; [`Section`] and [`Item`] read it into checked values; what is wrong
//! gathers in a [`Collector`]. Configuration and rule files are read this way.

use std::fmt;
use std::sync::Arc;

use marked_yaml::{LoadError, LoaderOptions, Marker};

mod diagnostics;
mod reader;

pub use diagnostics::{Collector, Diagnostic, Diagnostics, Level};
pub use reader::{Item, Section, format_bytes, format_duration, suggestion};

/// Where a value was written.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Origin {
    /// A file's name, or words for what is no file (`environment FAULTLINE_CLUSTER`).
    pub source: Arc<str>,
    /// Counted from 1.
    pub line: Option<usize>,
}

impl Origin {
    pub fn of_source(source: &str) -> Self {
        Origin { source: source.into(), line: None }
    }
}

impl fmt::Display for Origin {
    /// `file:line`, as editors and terminals recognise it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}", self.source),
            None => write!(f, "{}", self.source),
        }
    }
}

/// A value and where it was written.
#[derive(Clone, PartialEq, Debug)]
pub struct Node {
    pub origin: Origin,
    pub value: Value,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// Nothing after the colon, `~` or `null`: read like a key that is not there.
    Null,
    /// Numbers and booleans are kept as they were written; the reader knows which type it wants.
    Scalar(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// One key of a map, in the order of the file.
#[derive(Clone, PartialEq, Debug)]
pub struct Entry {
    pub key: String,
    /// Where the key is; a nested value begins below it.
    pub origin: Origin,
    pub node: Node,
}

impl Node {
    /// The value of `key` when this is a map that has it.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }
}

/// Parses the one document of `text`; `source` is the file's name for messages. Empty text is an empty map.
///
/// # Errors
/// Broken syntax, the same key twice in a map, and what is refused to keep files plain: several documents, anchors,
/// tags, keys that are no scalars.
pub fn parse_yaml(source: &str, text: &str) -> Result<Node, Diagnostic> {
    let source: Arc<str> = source.into();
    if let Some(line) = second_document(text) {
        let origin = Origin { source, line: Some(line) };
        return Err(Diagnostic::error(origin, "", "a second document begins here (`---`); use one file for each"));
    }
    // The loader wants to be told beforehand what stands at the top.
    let mapping = || LoaderOptions::default().error_on_duplicate_keys(true).prevent_coercion(true);
    let loaded = match marked_yaml::parse_yaml_with_options(0, text, mapping()) {
        Err(LoadError::TopLevelMustBeMapping(_)) => {
            marked_yaml::parse_yaml_with_options(0, text, mapping().toplevel_sequence())
        }
        other => other,
    };
    match loaded {
        Ok(node) => Ok(convert(&source, &node)),
        Err(error) => Err(syntax_error(&source, &error)),
    }
}

/// The line of the `---` that begins a second document, which the loader would leave out without a word. At the
/// beginning of a line these three can be nothing else, not even in a block of text.
fn second_document(text: &str) -> Option<usize> {
    let mut content = false;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_end();
        let marker = line == "---" || line.starts_with("--- ");
        if marker && content {
            return Some(index + 1);
        }
        content |= line != "---" && !line.is_empty() && !line.trim_start().starts_with('#') && !line.starts_with('%');
    }
    None
}

fn convert(source: &Arc<str>, node: &marked_yaml::Node) -> Node {
    let value = match node {
        marked_yaml::Node::Scalar(scalar) if scalar.may_coerce() && is_null(scalar.as_str()) => Value::Null,
        marked_yaml::Node::Scalar(scalar) => Value::Scalar(scalar.as_str().to_owned()),
        marked_yaml::Node::Sequence(items) => Value::List(items.iter().map(|item| convert(source, item)).collect()),
        marked_yaml::Node::Mapping(map) => Value::Map(
            map.iter()
                .map(|(key, node)| Entry {
                    key: key.as_str().to_owned(),
                    origin: origin(source, key.span().start()),
                    node: convert(source, node),
                })
                .collect(),
        ),
    };
    Node { origin: origin(source, node.span().start()), value }
}

/// The plain scalars that YAML 1.2's core schema reads as null.
fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

fn origin(source: &Arc<str>, marker: Option<&Marker>) -> Origin {
    Origin { source: source.clone(), line: marker.map(Marker::line) }
}

fn syntax_error(source: &Arc<str>, error: &LoadError) -> Diagnostic {
    let (marker, message) = match error {
        LoadError::TopLevelMustBeMapping(marker) | LoadError::TopLevelMustBeSequence(marker) => {
            (Some(marker), "expected `key: value` lines or a list, found a single value".to_owned())
        }
        LoadError::UnexpectedAnchor(marker) => {
            (Some(marker), "anchors (`&name`) are not supported; repeat the value".to_owned())
        }
        LoadError::MappingKeyMustBeScalar(marker) => (
            Some(marker),
            "a key must be a plain word, not a list or a map; text that begins with `{` or `[` needs quotes".to_owned(),
        ),
        LoadError::UnexpectedTag(marker) => {
            (Some(marker), "tags (`!name`) are not supported; text that begins with `!` needs quotes".to_owned())
        }
        LoadError::DuplicateKey(keys) => {
            let first = keys.prev_key.span().start().map(|at| format!(" in line {}", at.line())).unwrap_or_default();
            (keys.key.span().start(), format!("key `{}` is here twice, first{first}", keys.key.as_str()))
        }
        LoadError::ScanError(marker, error) => {
            (Some(marker), format!("not valid YAML: {} (column {})", error.info(), marker.column()))
        }
    };
    Diagnostic::error(origin(source, marker), "", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Node {
        parse_yaml("a.yaml", text).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn keeps_the_line_of_keys_and_values() {
        let tree = parse("a: 1\n\nb:\n  # why\n  c: [x, y]\n");
        let b = tree.entry("b").unwrap();
        let c = b.node.entry("c").unwrap();
        assert_eq!((b.origin.line, c.origin.line), (Some(3), Some(5)));
        assert_eq!(c.origin.to_string(), "a.yaml:5");
        let Value::List(items) = &c.node.value else { panic!("{c:?}") };
        assert_eq!(items[1].value, Value::Scalar("y".into()));
    }

    #[test]
    fn scalars_stay_as_they_were_written() {
        let tree = parse("a: 007\nb: 1.10\nc: yes\nd: 'null'\ne: null\nf:\ng: ~\nh: ''\n");
        let value = |key: &str| tree.entry(key).unwrap().node.value.clone();
        for (key, text) in [("a", "007"), ("b", "1.10"), ("c", "yes"), ("d", "null"), ("h", "")] {
            assert_eq!(value(key), Value::Scalar(text.into()), "{key}");
        }
        for key in ["e", "f", "g"] {
            assert_eq!(value(key), Value::Null, "{key}");
        }
    }

    #[test]
    fn the_top_may_be_a_map_a_list_or_nothing() {
        assert!(matches!(parse("- a\n- b\n").value, Value::List(items) if items.len() == 2));
        assert_eq!(parse("").value, Value::Map(Vec::new()));
        assert!(parse("%YAML 1.2\n---\na: 1\n").entry("a").is_some());
        assert_eq!(parse("# only a comment\n").value, Value::Map(Vec::new()));
    }

    #[test]
    fn says_what_is_wrong_and_where() {
        let cases = [
            ("just text\n", "a.yaml:1: expected `key: value` lines or a list, found a single value"),
            ("a: 1\nb: 2\na: 3\n", "a.yaml:3: key `a` is here twice, first in line 1"),
            (
                "# first\n---\na: 1\n--- # second\nb: 2\n",
                "a.yaml:4: a second document begins here (`---`); use one file for each",
            ),
            ("a: &x 1\n", "a.yaml:1: anchors (`&name`) are not supported; repeat the value"),
            ("a: !x 1\n", "a.yaml:1: tags (`!name`) are not supported; text that begins with `!` needs quotes"),
        ];
        for (text, message) in cases {
            assert_eq!(parse_yaml("a.yaml", text).unwrap_err().to_string(), message, "{text:?}");
        }
        for text in ["a: [1, 2\nb: 3\n", "a: 'open\n", "a:\n\t- tab\n", "a: *nowhere\n", "- a\nb: 1\n", "a: b: c\n"] {
            let error = parse_yaml("a.yaml", text).unwrap_err().to_string();
            assert!(error.starts_with("a.yaml:") && error.contains("not valid YAML"), "{text:?}: {error}");
        }
    }
}
