//! The placeholders of a rule's `action`: `{{node}}`, `{{workload}}`, …

/// The placeholders that an action may use.
pub const PLACEHOLDERS: [&str; 7] = ["node", "cluster", "workload", "namespace", "pod", "image", "node_pool"];

/// Fills in a template. A placeholder without a value becomes `<name>`, so that a person sees what to put there.
pub fn render<'v>(template: &str, value: impl Fn(&str) -> Option<&'v str>) -> String {
    let mut rendered = String::with_capacity(template.len());
    for part in parts(template) {
        match part {
            Part::Text(text) => rendered.push_str(text),
            Part::Placeholder(name) => match value(name) {
                Some(value) => rendered.push_str(value),
                None => {
                    rendered.push('<');
                    rendered.push_str(name);
                    rendered.push('>');
                }
            },
        }
    }
    rendered
}

/// The names of a template's placeholders that are not in [`PLACEHOLDERS`], in order.
pub fn unknown_placeholders(template: &str) -> impl Iterator<Item = &str> {
    parts(template).filter_map(|part| match part {
        Part::Placeholder(name) if !PLACEHOLDERS.contains(&name) => Some(name),
        _ => None,
    })
}

enum Part<'t> {
    Text(&'t str),
    Placeholder(&'t str),
}

/// Braces that are never closed, or stand around more than one word, are text: shell and Go templates use them too.
fn parts(template: &str) -> impl Iterator<Item = Part<'_>> {
    let mut rest = template;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (part, length) = next_part(rest);
        rest = &rest[length..];
        Some(part)
    })
}

fn next_part(text: &str) -> (Part<'_>, usize) {
    if let Some((name, length)) = placeholder(text) {
        return (Part::Placeholder(name), length);
    }
    // Past a `{` that opens nothing, so that `{{{node}}}` still finds its placeholder.
    let skip = usize::from(text.starts_with('{'));
    let end = text[skip..].find('{').map_or(text.len(), |at| at + skip);
    (Part::Text(&text[..end]), end)
}

/// The placeholder that `text` starts with, and its length with the braces.
fn placeholder(text: &str) -> Option<(&str, usize)> {
    let (inside, _) = text.strip_prefix("{{")?.split_once("}}")?;
    let name = inside.trim();
    let is_word = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    is_word.then_some((name, inside.len() + "{{}}".len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render_known(template: &str) -> String {
        render(template, |name| match name {
            "node" => Some("akswin000001"),
            "namespace" => Some("{{pod}}"),
            _ => None,
        })
    }

    #[test]
    fn fills_in_what_is_known_and_names_what_is_not() {
        let cases = [
            ("kubectl cordon {{node}}", "kubectl cordon akswin000001"),
            ("{{ node }}{{node}}", "akswin000001akswin000001"),
            ("logs {{pod}} -n {{namespace}}", "logs <pod> -n {{pod}}"),
            ("", ""),
            ("no braces", "no braces"),
        ];
        for (template, rendered) in cases {
            assert_eq!(render_known(template), rendered, "{template}");
        }
    }

    #[test]
    fn leaves_other_braces_alone() {
        let cases = ["{", "{{", "{{}}", "{{node", "{ {node}}", "-o jsonpath='{.status}'", "{{range .items}}"];
        for template in cases {
            assert_eq!(render_known(template), template);
        }
        assert_eq!(render_known("{{{node}}}"), "{akswin000001}");
        assert_eq!(render_known("é{{node}}é"), "éakswin000001é");
    }

    #[test]
    fn tells_unknown_placeholders() {
        let unknown: Vec<_> = unknown_placeholders("{{node}} {{hostname}} {{ node-pool }} {{range .items}}").collect();
        assert_eq!(unknown, ["hostname", "node-pool"]);
    }
}
