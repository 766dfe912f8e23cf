//! Settings as YAML, for `faultline config show`.

use std::collections::BTreeMap;
use std::fmt::{Display, Write};
use std::time::Duration;

use super::{Input, Kafka, Settings, bridge, outputs, properties};
use crate::decode::Fields;
use crate::document::{format_bytes, format_duration};
use crate::record::Expect;

pub(super) const MASK: &str = "********";

/// The properties without what is secret by its name, or because it came from a file.
pub fn masked(kafka: &Kafka) -> BTreeMap<&str, &str> {
    let hidden = |name: &str| properties::is_secret(name) || kafka.properties_files.contains_key(name);
    let mask = |name: &str| hidden(name).then_some(MASK);
    kafka.properties.iter().map(|(name, value)| (name.as_str(), mask(name).unwrap_or(value))).collect()
}

pub fn yaml(settings: &Settings) -> String {
    let mut yaml = Yaml::default();
    yaml.text("cluster", &settings.cluster);
    kafka(&mut yaml, settings);
    yaml.list("inputs", settings.inputs.iter().map(input));
    topics(&mut yaml, settings);
    yaml.list("outputs", settings.outputs.iter().map(outputs::output_in_words));
    yaml.list("routes", settings.routes.iter().map(outputs::route_in_words));
    yaml.text("silences", &settings.silences.as_ref().map_or("off".into(), |file| file.to_string_lossy()));
    yaml.text("rules", &settings.rules.to_string_lossy());
    yaml.text("rules_reload_interval", &settings.rules_reload_interval.map_or("off".to_owned(), format_duration));
    correlator(&mut yaml, settings);
    yaml.section("scan");
    yaml.plain("threads", settings.scan.threads);
    yaml.duration("flush_interval", settings.scan.flush_interval);
    yaml.duration("idle_after", settings.scan.idle_after);
    yaml.plain("prefilter", if settings.scan.prefilter { "auto" } else { "off" });
    yaml.end();
    yaml.section("redaction");
    yaml.plain("enabled", settings.redaction.enabled);
    yaml.plain("email", settings.redaction.email);
    yaml.list("patterns", settings.redaction.patterns.iter().map(|pattern| scalar(pattern.as_str())));
    yaml.end();
    yaml.section("http");
    yaml.text("listen", &settings.http.listen.map_or("off".to_owned(), |address| address.to_string()));
    yaml.end();
    bridge::show(&mut yaml, &settings.bridge);
    limits(&mut yaml, settings);
    yaml.duration("shutdown_timeout", settings.shutdown_timeout);
    yaml.0
}

fn kafka(yaml: &mut Yaml, settings: &Settings) {
    let kafka = &settings.kafka;
    yaml.section("kafka");
    yaml.text("brokers", &kafka.brokers);
    yaml.text("group_id", &kafka.group_id);
    yaml.plain("exactly_once", kafka.exactly_once);
    map(yaml, "properties", masked(kafka).into_iter());
    let files = kafka.properties_files.iter();
    map(yaml, "properties_files", files.map(|(name, file)| (name.as_str(), file.to_string_lossy())));
    yaml.text("oauth_token_file", &kafka.oauth_token_file.as_ref().map_or("off".into(), |file| file.to_string_lossy()));
    yaml.end();
}

fn map<'s, T: AsRef<str>>(yaml: &mut Yaml, key: &str, entries: impl ExactSizeIterator<Item = (&'s str, T)>) {
    if entries.len() == 0 {
        return yaml.plain(key, "{}");
    }
    yaml.section(key);
    for (name, value) in entries {
        yaml.text(&scalar(name), value.as_ref());
    }
    yaml.end();
}

fn input(input: &Input) -> String {
    let topics: Vec<String> = input.topics.iter().map(|topic| scalar(topic)).collect();
    let reading = &input.reading;
    let kind = match reading.expect {
        Expect::Logs => "logs",
        Expect::Events => "events",
        Expect::Either => "either",
    };
    let mut shown = format!("{{topics: [{}], kind: {kind}, format: {}", topics.join(", "), reading.format.name());
    let mut fields = reading.fields.clone();
    let pointers = Fields::ALL.iter().filter_map(|(name, get)| {
        let pointer = get(&mut fields).take()?;
        Some(format!("{name}: {}", scalar(&pointer.to_string())))
    });
    let pointers: Vec<String> = pointers.collect();
    if !pointers.is_empty() {
        shown.push_str(&format!(", fields: {{{}}}", pointers.join(", ")));
    }
    for (key, value) in [("cluster", &reading.cluster), ("cluster_header", &reading.cluster_header)] {
        if let Some(value) = value {
            shown.push_str(&format!(", {key}: {}", scalar(value)));
        }
    }
    shown + "}"
}

fn topics(yaml: &mut Yaml, settings: &Settings) {
    yaml.section("topics");
    yaml.text("reports", &settings.topics.reports);
    yaml.text("state", &settings.topics.state);
    yaml.text("dead_letter", &settings.topics.dead_letter);
    yaml.end();
    yaml.section("internal_topics");
    yaml.plain("partitions", settings.internal_topics.partitions);
    yaml.plain("replication_factor", settings.internal_topics.replication_factor);
    yaml.duration("reports_retention", settings.internal_topics.reports_retention);
    yaml.duration("snapshot_interval", settings.internal_topics.snapshot_interval);
    yaml.plain("snapshot_reports", settings.internal_topics.snapshot_reports);
    yaml.end();
}

fn correlator(yaml: &mut Yaml, settings: &Settings) {
    let windows = &settings.correlator.windows;
    yaml.section("windows");
    yaml.duration("size", windows.size);
    yaml.duration("slide", windows.slide);
    yaml.duration("allowed_lateness", windows.allowed_lateness);
    yaml.end();
    let alerts = &settings.correlator.alerts;
    yaml.section("alerts");
    yaml.duration("keep_firing_for", alerts.keep_firing_for);
    yaml.duration("renotify", alerts.renotify);
    yaml.plain("min_probability", alerts.min_probability);
    yaml.duration("hold_suspected", alerts.hold_suspected);
    yaml.duration("group_wait", alerts.group_wait);
    yaml.text("flap_times", &alerts.flap_times.map_or("off".to_owned(), |times| times.to_string()));
    yaml.duration("flap_within", alerts.flap_within);
    yaml.duration("remind_every", settings.remind_every);
    yaml.duration("recovered_after", alerts.recovered_after);
    yaml.duration("warm_up", alerts.warm_up);
    yaml.text("max_age", &alerts.max_age.map_or("off".to_owned(), format_duration));
    yaml.end();
    let priors = &settings.correlator.priors;
    yaml.section("localization");
    yaml.section("priors");
    yaml.plain("isolated", priors.isolated);
    yaml.plain("workload", priors.workload);
    yaml.plain("node", priors.node);
    yaml.plain("image", priors.image);
    yaml.plain("node_pool", priors.node_pool);
    yaml.plain("cluster", priors.cluster);
    yaml.end();
    yaml.end();
}

fn limits(yaml: &mut Yaml, settings: &Settings) {
    let batch = &settings.scanner;
    yaml.section("limits");
    yaml.bytes("record_bytes", batch.record_bytes);
    yaml.plain("clusters", batch.clusters);
    yaml.plain("matches_per_report", batch.matches_per_report);
    yaml.plain("pods_per_report", batch.pods_per_report);
    yaml.bytes("sample_bytes", batch.sample_bytes);
    yaml.bytes("joined_bytes", batch.joined_bytes);
    yaml.plain("open_lines", batch.open_lines);
    yaml.duration("join_within", batch.join_within);
    yaml.duration("max_ahead", batch.max_ahead);
    yaml.bytes("known_bytes", batch.known_bytes);
    let state = &settings.correlator.limits;
    yaml.plain("nodes", state.nodes);
    yaml.plain("pods", state.pods);
    yaml.plain("failing_pods", state.failing_pods);
    yaml.plain("incidents", state.incidents);
    yaml.plain("capture_values", state.capture_values);
    yaml.plain("failing_in_alert", state.failing_in_alert);
    yaml.plain("candidates_in_alert", state.candidates_in_alert);
    yaml.duration("pod_ttl", state.pod_ttl);
    let service = &settings.limits;
    yaml.plain("reports_in_flight", service.reports_in_flight);
    yaml.plain("messages_in_flight", service.messages_in_flight);
    yaml.bytes("bytes_in_flight", service.bytes_in_flight);
    yaml.bytes("report_bytes", service.report_bytes);
    yaml.bytes("dead_letter_bytes", service.dead_letter_bytes);
    yaml.bytes("fetch_queue_bytes", service.fetch_queue_bytes);
    yaml.bytes("producer_queue_bytes", service.producer_queue_bytes);
    yaml.bytes("snapshot_chunk_bytes", service.snapshot_chunk_bytes);
    yaml.end();
}

/// Lines of YAML, and how deep they are indented.
#[derive(Default)]
pub(super) struct Yaml(String, usize);

impl Yaml {
    pub(super) fn plain(&mut self, key: &str, value: impl Display) {
        let indent = self.1 * 2;
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "{:indent$}{key}: {value}", "");
    }

    pub(super) fn text(&mut self, key: &str, value: &str) {
        self.plain(key, scalar(value));
    }

    pub(super) fn duration(&mut self, key: &str, value: Duration) {
        self.plain(key, format_duration(value));
    }

    pub(super) fn bytes(&mut self, key: &str, value: usize) {
        self.plain(key, format_bytes(value));
    }

    pub(super) fn section(&mut self, key: &str) {
        let indent = self.1 * 2;
        let _ = writeln!(self.0, "{:indent$}{key}:", "");
        self.1 += 1;
    }

    pub(super) fn end(&mut self) {
        self.1 -= 1;
    }

    fn list(&mut self, key: &str, items: impl ExactSizeIterator<Item = String>) {
        if items.len() == 0 {
            return self.plain(key, "[]");
        }
        self.section(key);
        let indent = self.1 * 2;
        for item in items {
            let _ = writeln!(self.0, "{:indent$}- {item}", "");
        }
        self.end();
    }
}

/// Plain where that reads back as the same text, else in double quotes: JSON's strings are YAML's, too.
pub(super) fn scalar(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ':');
    let safe = text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/')
        && text.chars().all(plain)
        && !text.ends_with(':')
        && !text.eq_ignore_ascii_case("null");
    if safe { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}
