//! The keys `outputs`, `routes` and `silences`: where alerts go.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use super::read::topic_name;
use super::show::scalar;
use super::{Output, Settings};
use crate::document::{Item, Section};
use crate::format::{Format, Mode};
use crate::notifier::{self, Route};

const MODES: [(&str, Mode); 2] = [("binary", Mode::Binary), ("structured", Mode::Structured)];

pub fn read(top: &mut Section<'_>, settings: &mut Settings) {
    top.read("outputs", &mut settings.outputs, outputs);
    let names: Vec<Arc<str>> = settings.outputs.iter().map(|output| output.name.as_str().into()).collect();
    top.read("routes", &mut settings.routes, |item| {
        Some(item.list()?.iter().filter_map(|item| route(item, &names)).collect())
    });
    top.read("silences", &mut settings.silences, |item| {
        let text = item.filled_text()?;
        Some((text != "off").then(|| PathBuf::from(text)))
    });
}

fn outputs(item: &Item<'_>) -> Option<Vec<Output>> {
    let items = item.list()?;
    if items.is_empty() {
        item.error("at least one output is needed");
    }
    let mut names = BTreeSet::new();
    let outputs = items.iter().filter_map(|item| {
        let output = output(item)?;
        if !names.insert(output.name.clone()) {
            item.error(format!("another output is called `{}` too; give one of them a `name`", output.name));
        }
        Some(output)
    });
    Some(outputs.collect())
}

fn output(item: &Item<'_>) -> Option<Output> {
    let mut section = item.section()?;
    let topic = section.require("topic").and_then(|item| topic_name(&item));
    let mut format = Format::default();
    section.read("format", &mut format, |item| item.enumeration(&Format::ALL));
    let (mut name, mut mode, mut routing_key_file) = (None, None, None);
    section.read("name", &mut name, |item| item.filled_text().map(Some));
    section.read("mode", &mut mode, |item| of_format(item, format, "cloudevents").enumeration(&MODES).map(Some));
    section.read("routing_key_file", &mut routing_key_file, |item| {
        of_format(item, format, "pagerduty").filled_text().map(|text| Some(PathBuf::from(text)))
    });
    section.finish();
    if let (Format::CloudEvents(of_output), Some(mode)) = (&mut format, mode) {
        *of_output = mode;
    }
    let topic = topic?;
    Some(Output { name: name.unwrap_or_else(|| topic.clone()), topic, format, routing_key_file })
}

/// A key that only one format has.
fn of_format<'i, 'a>(item: &'i Item<'a>, format: Format, wanted: &str) -> &'i Item<'a> {
    if format.name() != wanted {
        item.error(format!("only an output of format {wanted} has this"));
    }
    item
}

fn route(item: &Item<'_>, names: &[Arc<str>]) -> Option<Route> {
    let mut section = item.section()?;
    let mut route = Route::default();
    section.read("matchers", &mut route.matchers, notifier::matchers);
    let outputs = section.require("outputs").and_then(|item| notifier::output_names(&item, names));
    section.read("continue", &mut route.goes_on, |item| item.boolean());
    section.finish();
    Some(Route { outputs: outputs?, ..route })
}

/// As it is written in the file.
pub fn output_in_words(output: &Output) -> String {
    let mut shown = format!("{{topic: {}, format: {}", scalar(&output.topic), output.format.name());
    if let Format::CloudEvents(mode) = output.format {
        let mode = MODES.iter().find(|(_, known)| *known == mode).map_or("", |(name, _)| name);
        shown.push_str(&format!(", mode: {mode}"));
    }
    if output.name != output.topic {
        shown.push_str(&format!(", name: {}", scalar(&output.name)));
    }
    if let Some(file) = &output.routing_key_file {
        shown.push_str(&format!(", routing_key_file: {}", scalar(&file.to_string_lossy())));
    }
    shown + "}"
}

/// As it is written in the file.
pub fn route_in_words(route: &Route) -> String {
    let matchers: Vec<String> = route.matchers.iter().map(|matcher| scalar(&matcher.to_string())).collect();
    let outputs: Vec<String> = route.outputs.iter().map(|name| scalar(name)).collect();
    let goes_on = if route.goes_on { ", continue: true" } else { "" };
    format!("{{matchers: [{}], outputs: [{}]{goes_on}}}", matchers.join(", "), outputs.join(", "))
}
