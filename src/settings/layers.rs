//! Lays file, environment and flags over each other (the `config` crate merges) and makes one document of the result,
//! in which every value still knows which layer it came from.

use std::sync::Arc;

use config::{ConfigError, Map, ValueKind};

use crate::document::{Diagnostic, Entry, Node, Origin, Value, parse_yaml};

/// What all variables begin with; `__` goes down one level.
const PREFIX: &str = "FAULTLINE_";

/// Variables that are none of ours although they begin so: those of the tests, and those that Kubernetes sets in every
/// pod next to a Service called `faultline` (FAULTLINE_SERVICE_HOST, FAULTLINE_PORT_9464_TCP, …).
const FOREIGN: [&str; 3] = ["FAULTLINE_TEST_", "FAULTLINE_SERVICE_", "FAULTLINE_PORT"];

/// Everything under one key, so that `config` never takes a dot in a key for a path.
const ROOT: &str = "root";

/// A value that a flag set.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Flag {
    /// As the user typed it, `--rules`.
    pub name: &'static str,
    /// The keys that lead to what it sets.
    pub path: &'static [&'static str],
    pub value: String,
}

/// Merges the layers, later ones win. `file` is its name and text.
///
/// # Errors
/// YAML that is broken, in the file or in a variable.
pub fn merge(
    file: Option<(&str, &str)>,
    environment: impl IntoIterator<Item = (String, String)>,
    flags: &[Flag],
) -> Result<Node, Diagnostic> {
    let (name, text) = file.unwrap_or(("built-in defaults", ""));
    let file = parse_yaml(name, text)?;
    if !matches!(file.value, Value::Map(_)) {
        return Err(Diagnostic::error(file.origin, "", "expected `key: value` lines, found a list"));
    }
    let mut variables: Vec<_> = environment.into_iter().filter(|(name, _)| is_ours(name)).collect();
    // The environment has no order; a variable of a whole section comes before those of its keys.
    variables.sort();
    let mut builder = config::Config::builder().add_source(Layer(file.clone()));
    for (name, value) in &variables {
        builder = builder.add_source(Layer(from_variable(name, value)?));
    }
    for flag in flags {
        let origin = Origin::of_source(&format!("flag {}", flag.name));
        let node = Node { origin, value: Value::Scalar(flag.value.clone()) };
        builder = builder.add_source(Layer(nested(flag.path, node)));
    }
    let merged = builder.build().map_err(|error| Diagnostic::error(file.origin.clone(), "", error.to_string()))?;
    let root = match &merged.cache.kind {
        ValueKind::Table(table) => table.get(ROOT),
        _ => None,
    };
    Ok(root.map(|root| to_node(root, Some(&file), &file.origin)).unwrap_or(file))
}

fn is_ours(variable: &str) -> bool {
    variable.starts_with(PREFIX) && !FOREIGN.iter().any(|foreign| variable.starts_with(foreign))
}

/// One variable as a document. A value that begins like a YAML list or map is read as one; anything else is text to
/// the letter, and so is every librdkafka property: a password may begin with a bracket.
fn from_variable(name: &str, text: &str) -> Result<Node, Diagnostic> {
    let source = format!("environment {name}");
    let path = name.trim_start_matches(PREFIX).to_ascii_lowercase();
    let mut keys: Vec<String> = path.split("__").map(str::to_owned).collect();
    let is_property = keys.len() > 2 && keys[0] == "kafka" && matches!(&*keys[1], "properties" | "properties_files");
    if is_property {
        keys[2] = keys[2].replace('_', ".");
    }
    let node = if text.starts_with(['[', '{']) && !is_property {
        parse_yaml(&source, text)?
    } else {
        Node { origin: Origin::of_source(&source), value: Value::Scalar(text.to_owned()) }
    };
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    Ok(nested(&keys, node))
}

fn nested(path: &[&str], node: Node) -> Node {
    path.iter().rev().fold(node, |node, key| {
        let origin = node.origin.clone();
        Node { origin: origin.clone(), value: Value::Map(vec![Entry { key: (*key).to_owned(), origin, node }]) }
    })
}

/// A document as a source of `config`.
#[derive(Clone, Debug)]
struct Layer(Node);

impl config::Source for Layer {
    fn clone_into_box(&self) -> Box<dyn config::Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, config::Value>, ConfigError> {
        Ok(Map::from_iter([(ROOT.to_owned(), to_config(&self.0))]))
    }
}

/// Scalars stay text: the reader knows which type it wants, and `007` or `1.10` would not survive being numbers.
fn to_config(node: &Node) -> config::Value {
    let kind = match &node.value {
        Value::Null => ValueKind::Nil,
        Value::Scalar(text) => ValueKind::String(text.clone()),
        Value::List(items) => ValueKind::Array(items.iter().map(to_config).collect()),
        Value::Map(entries) => {
            ValueKind::Table(entries.iter().map(|entry| (entry.key.clone(), to_config(&entry.node))).collect())
        }
    };
    // `config` carries one text along with every value; the line goes first, as it has no colon.
    let origin = format!("{}:{}", node.origin.line.unwrap_or(0), node.origin.source);
    config::Value::new(Some(&origin), kind)
}

/// Back again. `file` is the same place in the file, if it is there: merged maps have no origin of their own.
fn to_node(value: &config::Value, file: Option<&Node>, parent: &Origin) -> Node {
    let origin = origin_of(value).or_else(|| file.map(|node| node.origin.clone())).unwrap_or_else(|| parent.clone());
    let kept = match &value.kind {
        ValueKind::Nil => Value::Null,
        ValueKind::Array(items) => Value::List(items.iter().map(|item| to_node(item, None, &origin)).collect()),
        ValueKind::Table(table) => {
            let mut entries: Vec<Entry> =
                table.iter().map(|(key, value)| to_entry(key, value, file, &origin)).collect();
            // The merged map has no order; messages want the file's.
            entries.sort_by(|a, b| (&a.origin, &a.key).cmp(&(&b.origin, &b.key)));
            Value::Map(entries)
        }
        scalar => Value::Scalar(scalar.to_string()),
    };
    Node { origin, value: kept }
}

fn to_entry(key: &str, value: &config::Value, file: Option<&Node>, parent: &Origin) -> Entry {
    let in_file = file.and_then(|node| node.entry(key));
    let node = to_node(value, in_file.map(|entry| &entry.node), first_origin(value).as_ref().unwrap_or(parent));
    let origin = match in_file {
        Some(entry) if entry.origin.source == node.origin.source => entry.origin.clone(),
        _ => node.origin.clone(),
    };
    Entry { key: key.to_owned(), origin, node }
}

fn origin_of(value: &config::Value) -> Option<Origin> {
    let (line, source) = value.origin()?.split_once(':')?;
    Some(Origin { source: Arc::from(source), line: line.parse().ok().filter(|&line| line > 0) })
}

/// Of a map that only variables or flags made: where its first value came from.
fn first_origin(value: &config::Value) -> Option<Origin> {
    origin_of(value).or_else(|| match &value.kind {
        ValueKind::Table(table) => table.values().filter_map(first_origin).min(),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str =
        "cluster: 007\nkafka:\n  brokers: a:1\n  properties:\n    security.protocol: ssl\n\ninputs:\n  - topics: [x]\n";

    fn merged(environment: &[(&str, &str)], flags: &[Flag]) -> Node {
        let environment = environment.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        merge(Some(("f.yaml", FILE)), environment, flags).unwrap_or_else(|error| panic!("{error}"))
    }

    fn at<'n>(node: &'n Node, path: &[&str]) -> &'n Entry {
        let (last, parents) = path.split_last().unwrap();
        let parent = parents.iter().fold(node, |node, key| &node.entry(key).unwrap().node);
        parent.entry(last).unwrap_or_else(|| panic!("no {path:?} in {parent:?}"))
    }

    fn text_and_origin(node: &Node, path: &[&str]) -> (String, String) {
        let entry = at(node, path);
        let Value::Scalar(text) = &entry.node.value else { panic!("{entry:?}") };
        (text.clone(), entry.origin.to_string())
    }

    #[test]
    fn values_of_the_file_keep_text_and_line() {
        let tree = merged(&[], &[]);
        assert_eq!(text_and_origin(&tree, &["cluster"]), ("007".into(), "f.yaml:1".into()));
        let property = ["kafka", "properties", "security.protocol"];
        assert_eq!(text_and_origin(&tree, &property), ("ssl".into(), "f.yaml:5".into()));
        assert_eq!(at(&tree, &["kafka"]).origin.to_string(), "f.yaml:2");
        assert_eq!(at(&tree, &["inputs"]).origin.to_string(), "f.yaml:7");
    }

    #[test]
    fn the_environment_wins_over_the_file_and_flags_over_both() {
        let environment = [
            ("FAULTLINE_KAFKA__BROKERS", "b:2"),
            ("FAULTLINE_CLUSTER", "from-env"),
            ("FAULTLINE_KAFKA__PROPERTIES__SASL_PASSWORD", "{curly"),
            ("HOME", "/nowhere"),
        ];
        let flag = Flag { name: "--cluster", path: &["cluster"], value: "from-flag".into() };
        let tree = merged(&environment, &[flag]);
        assert_eq!(
            text_and_origin(&tree, &["kafka", "brokers"]),
            ("b:2".into(), "environment FAULTLINE_KAFKA__BROKERS".into())
        );
        assert_eq!(text_and_origin(&tree, &["cluster"]), ("from-flag".into(), "flag --cluster".into()));
        let password = text_and_origin(&tree, &["kafka", "properties", "sasl.password"]);
        assert_eq!(password.0, "{curly", "a property is text to the letter");
        assert_eq!(text_and_origin(&tree, &["kafka", "properties", "security.protocol"]).0, "ssl", "the rest stays");
        assert!(tree.entry("home").is_none());
    }

    #[test]
    fn a_variable_may_hold_a_list() {
        let tree = merged(&[("FAULTLINE_INPUTS", "[{topics: [y], kind: logs}]")], &[]);
        let Value::List(items) = &at(&tree, &["inputs"]).node.value else { panic!("{tree:?}") };
        assert_eq!(items.len(), 1);
        assert_eq!(items[0].origin.to_string(), "environment FAULTLINE_INPUTS:1");
        let broken = merge(None, [("FAULTLINE_INPUTS".to_owned(), "[{".to_owned())], &[]).unwrap_err();
        assert!(broken.to_string().starts_with("environment FAULTLINE_INPUTS:"), "{broken}");
    }

    #[test]
    fn variables_that_kubernetes_and_tests_set_are_not_ours() {
        let foreign = ["FAULTLINE_SERVICE_HOST", "FAULTLINE_PORT", "FAULTLINE_PORT_9464_TCP", "FAULTLINE_TEST_BROKER"];
        let tree = merged(&foreign.map(|name| (name, "x")), &[]);
        assert_eq!(tree, merged(&[], &[]));
    }

    #[test]
    fn a_map_that_only_variables_made_says_so() {
        let tree = merge(None, [("FAULTLINE_HTPP__LISTEN".to_owned(), "off".to_owned())], &[]).unwrap();
        assert_eq!(at(&tree, &["htpp"]).origin.to_string(), "environment FAULTLINE_HTPP__LISTEN");
    }

    #[test]
    fn the_file_must_be_a_map_and_a_dot_in_its_keys_is_no_path() {
        let list = merge(Some(("f.yaml", "- a\n")), [], &[]).unwrap_err();
        assert_eq!(list.to_string(), "f.yaml:1: expected `key: value` lines, found a list");
        let tree = merge(Some(("f.yaml", "kafka.brokers: x\n")), [], &[]).unwrap();
        assert!(tree.entry("kafka.brokers").is_some());
    }
}
