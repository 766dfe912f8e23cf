//! From the merged document to [`Settings`]: types, ranges, and what must fit together.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use regex::Regex;

use super::properties::Misfit;
use super::{Http, Input, InternalTopics, Kafka, Scan, Settings, Topics, bridge, outputs, properties, redaction};
use crate::correlator::Windows;
use crate::decode::{self, Fields, Format, Pointer};
use crate::document::{Item, Section};
use crate::localizer::Priors;
use crate::record::Expect;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

/// kubelet's crash-loop back-off grows to 5 minutes: in a shorter window a pod would seem well between two attempts.
const SHORTEST_CALM_WINDOW: Duration = Duration::from_secs(360);

/// Every slide is a pane of state per node and rule.
const MOST_SLIDES: u128 = 10_000;

/// Reads all sections. What is wrong is reported, and keeps its default in what is returned.
pub fn settings(document: &Item<'_>) -> Settings {
    let mut settings = Settings::default();
    let Some(mut top) = document.section() else {
        return settings;
    };
    top.read("cluster", &mut settings.cluster, |item| item.filled_text());
    within(&mut top, "kafka", |section| kafka(section, &mut settings.kafka));
    top.read("inputs", &mut settings.inputs, |item| inputs(item));
    within(&mut top, "topics", |section| topics(section, &mut settings.topics));
    within(&mut top, "internal_topics", |section| internal_topics(section, &mut settings.internal_topics));
    outputs::read(&mut top, &mut settings);
    top.read("rules", &mut settings.rules, |item| item.filled_text().map(PathBuf::from));
    top.read("rules_reload_interval", &mut settings.rules_reload_interval, reload_interval);
    within(&mut top, "windows", |section| windows(section, &mut settings.correlator.windows));
    within(&mut top, "alerts", |section| alerts(section, &mut settings));
    within(&mut top, "localization", |section| localization(section, &mut settings.correlator.priors));
    within(&mut top, "scan", |section| scan(section, &mut settings.scan));
    within(&mut top, "redaction", |section| redaction::read(section, &mut settings.redaction));
    within(&mut top, "http", |section| http(section, &mut settings.http));
    let renotify = settings.correlator.alerts.renotify;
    within(&mut top, "bridge", |section| bridge::read(section, &mut settings.bridge, renotify));
    within(&mut top, "limits", |section| limits(section, &mut settings));
    top.read("shutdown_timeout", &mut settings.shutdown_timeout, |item| item.duration_within(SECOND..=HOUR));
    distinct_topics(&mut top, &settings);
    top.finish();
    settings
}

/// Reads the section `key` if it is there, and then reports what nobody asked for in it.
fn within<'a>(parent: &mut Section<'a>, key: &'static str, read: impl FnOnce(&mut Section<'a>)) {
    if let Some(mut section) = parent.get(key).and_then(|item| item.section()) {
        read(&mut section);
        section.finish();
    }
}

fn kafka(section: &mut Section<'_>, kafka: &mut Kafka) {
    section.read("brokers", &mut kafka.brokers, brokers);
    section.read("group_id", &mut kafka.group_id, |item| item.filled_text());
    section.read("exactly_once", &mut kafka.exactly_once, |item| item.boolean());
    section.read("properties", &mut kafka.properties, kafka_properties);
    section.read("properties_files", &mut kafka.properties_files, kafka_properties_files);
    section.read("oauth_token_file", &mut kafka.oauth_token_file, |item| {
        let text = item.filled_text()?;
        Some((text != "off").then(|| PathBuf::from(text)))
    });
    let place = section.get("properties").unwrap_or_else(|| section.place().clone());
    if let Some(name) = kafka.properties_files.keys().find(|name| kafka.properties.contains_key(*name)) {
        place.error(format!("`{name}` is also in kafka.properties_files"));
    }
    match properties::misfit(&kafka.properties, kafka.oauth_token_file.is_some()) {
        Some(Misfit::Error(message)) => place.error(message),
        Some(Misfit::Warning(message)) => place.warning(message),
        None => {}
    }
}

fn kafka_properties(item: &Item<'_>) -> Option<BTreeMap<String, String>> {
    let mut all = BTreeMap::new();
    for (name, item) in item.entries_unseen()? {
        let Some(value) = item.text() else { continue };
        if let Some(reason) = properties::refusal(name, &value) {
            item.error(reason);
        }
        // Also what is refused, so that nothing is reported to be missing besides.
        all.insert(name.to_owned(), value);
    }
    Some(all)
}

fn kafka_properties_files(item: &Item<'_>) -> Option<BTreeMap<String, PathBuf>> {
    let mut all = BTreeMap::new();
    for (name, item) in item.entries_unseen()? {
        let Some(file) = item.filled_text() else { continue };
        match properties::file_refusal(name) {
            Some(reason) => item.error(reason),
            None => _ = all.insert(name.to_owned(), PathBuf::from(file)),
        }
    }
    Some(all)
}

/// `host:port`, several separated by commas. Names are not resolved here: the broker may be away for now.
fn brokers(item: &Item<'_>) -> Option<String> {
    let text = item.filled_text()?;
    for broker in text.split(',').map(str::trim) {
        let port = broker.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port.parse::<u16>());
        if !matches!(port, Some(Ok(1..))) || broker.contains(char::is_whitespace) || broker.contains('/') {
            item.error(format!("expected host:port, several separated by commas, found `{broker}`"));
            return None;
        }
    }
    Some(text)
}

fn inputs(item: &Item<'_>) -> Option<Vec<Input>> {
    let items = item.list()?;
    if items.is_empty() {
        item.error("at least one input is needed");
    }
    Some(items.iter().filter_map(input).collect())
}

fn input(item: &Item<'_>) -> Option<Input> {
    let mut section = item.section()?;
    let topics = section.require("topics").and_then(|item| input_topics(&item));
    let kinds = [("logs", Expect::Logs), ("events", Expect::Events)];
    let expect = section.require("kind").and_then(|item| item.enumeration(&kinds));
    let mut reading = decode::Input::default();
    section.read("format", &mut reading.format, input_format);
    within(&mut section, "fields", |section| input_fields(section, &mut reading.fields));
    section.read("cluster", &mut reading.cluster, |item| item.filled_text().map(|name| Some(name.into())));
    section
        .read("cluster_header", &mut reading.cluster_header, |item| item.filled_text().map(|name| Some(name.into())));
    section.finish();
    reading.expect = expect?;
    Some(Input { topics: topics?, reading })
}

fn input_fields(section: &mut Section<'_>, fields: &mut Fields) {
    for (name, get) in Fields::ALL {
        section.read(name, get(fields), |item| {
            let text = item.text()?;
            let pointer = Pointer::parse(&text);
            if pointer.is_none() {
                item.error(format!("expected a JSON pointer such as /kubernetes/pod_name, found `{text}`"));
            }
            pointer.map(Some)
        });
    }
}

fn input_topics(item: &Item<'_>) -> Option<Vec<String>> {
    let items = item.list()?;
    if items.is_empty() {
        item.error("at least one topic is needed");
        return None;
    }
    let mut topics = Vec::with_capacity(items.len());
    for topic in &items {
        let text = topic.filled_text()?;
        if !text.starts_with('^') {
            topics.push(topic_name(topic)?);
        } else if items.len() > 1 {
            topic.error("a regex stands alone: name topics, or give one regex that matches all of them");
            return None;
        } else if let Err(error) = Regex::new(&text) {
            topic.error(format!("not a valid regex: {}", last_line(&error.to_string())));
            return None;
        } else {
            topics.push(text);
        }
    }
    Some(topics)
}

/// Regex errors draw a picture over several lines; the last one says what is wrong.
fn last_line(text: &str) -> &str {
    text.lines().last().unwrap_or(text).trim_start_matches("error: ")
}

fn input_format(item: &Item<'_>) -> Option<Format> {
    let words: Vec<(&str, Format)> = Format::ALL.iter().map(|&format| (format.name(), format)).collect();
    item.enumeration(&words)
}

/// A name that Kafka accepts.
pub(super) fn topic_name(item: &Item<'_>) -> Option<String> {
    let name = item.filled_text()?;
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.len() > 249 || name == "." || name == ".." || !name.chars().all(legal) {
        item.error(format!("`{name}` is no topic name: 1 to 249 of the letters a-z A-Z 0-9 . _ -"));
        return None;
    }
    Some(name)
}

fn topics(section: &mut Section<'_>, topics: &mut Topics) {
    section.read("reports", &mut topics.reports, topic_name);
    section.read("state", &mut topics.state, topic_name);
    section.read("dead_letter", &mut topics.dead_letter, topic_name);
}

fn internal_topics(section: &mut Section<'_>, internal: &mut InternalTopics) {
    section.read("partitions", &mut internal.partitions, |item| item.number(1..=1000));
    section.read("replication_factor", &mut internal.replication_factor, |item| item.number(1..=100));
    section.read("reports_retention", &mut internal.reports_retention, |item| item.duration_within(HOUR..=WEEK));
    section.read("snapshot_interval", &mut internal.snapshot_interval, |item| item.duration_within(SECOND..=HOUR));
    section.read("snapshot_reports", &mut internal.snapshot_reports, |item| item.number(1..=100_000_000));
}

fn reload_interval(item: &Item<'_>) -> Option<Option<Duration>> {
    match item.text()?.as_str() {
        "off" | "0" | "0s" => Some(None),
        _ => item.duration_within(SECOND..=HOUR).map(Some),
    }
}

fn windows(section: &mut Section<'_>, windows: &mut Windows) {
    section.read("size", &mut windows.size, |item| item.duration_within(Duration::from_secs(60)..=24 * HOUR));
    section.read("slide", &mut windows.slide, |item| item.duration_within(SECOND..=HOUR));
    section.read("allowed_lateness", &mut windows.allowed_lateness, |item| item.duration_within(Duration::ZERO..=HOUR));
    let (size, slide) = (windows.size.as_millis(), windows.slide.as_millis());
    let place = section.get("size").unwrap_or_else(|| section.place().clone());
    if !size.is_multiple_of(slide) {
        place.error("size must be a multiple of slide");
    } else if size / slide > MOST_SLIDES {
        place.error(format!("size may be at most {MOST_SLIDES} times slide"));
    }
    if windows.size < SHORTEST_CALM_WINDOW {
        place.warning("below 6m verdicts flap: a crash-looping pod waits up to 5m between two attempts");
    }
    if windows.allowed_lateness > windows.size {
        place.error("allowed_lateness must not be longer than size");
    }
}

fn alerts(section: &mut Section<'_>, settings: &mut Settings) {
    let alerts = &mut settings.correlator.alerts;
    let span = |item: &Item<'_>| item.duration_within(SECOND..=WEEK);
    let hold = |item: &Item<'_>| item.duration_within(Duration::ZERO..=HOUR);
    section.read("keep_firing_for", &mut alerts.keep_firing_for, span);
    section.read("renotify", &mut alerts.renotify, |item| item.duration_within(Duration::from_secs(60)..=4 * WEEK));
    section.read("min_probability", &mut alerts.min_probability, |item| item.number(0.5..=0.999));
    section.read("hold_suspected", &mut alerts.hold_suspected, hold);
    section.read("group_wait", &mut alerts.group_wait, hold);
    section.read("flap_times", &mut alerts.flap_times, |item| match item.text()?.as_str() {
        "off" => Some(None),
        _ => item.number(2..=1000).map(Some),
    });
    section.read("flap_within", &mut alerts.flap_within, |item| item.duration_within(Duration::from_secs(60)..=WEEK));
    let often = Duration::from_secs(10)..=HOUR;
    section.read("remind_every", &mut settings.remind_every, |item| item.duration_within(often));
    section.read("recovered_after", &mut alerts.recovered_after, span);
    section.read("warm_up", &mut alerts.warm_up, hold);
    section.read("max_age", &mut alerts.max_age, |item| match item.text()?.as_str() {
        "off" => Some(None),
        _ => item.duration_within(Duration::from_secs(60)..=WEEK).map(Some),
    });
}

fn localization(section: &mut Section<'_>, priors: &mut Priors) {
    within(section, "priors", |section| {
        section.read("isolated", &mut priors.isolated, prior);
        section.read("workload", &mut priors.workload, prior);
        section.read("node", &mut priors.node, prior);
        section.read("image", &mut priors.image, prior);
        section.read("node_pool", &mut priors.node_pool, prior);
        section.read("cluster", &mut priors.cluster, prior);
    });
}

/// A weight. At zero a class could never be found at fault, whatever the evidence; far below this it would vanish in
/// the sum.
fn prior(item: &Item<'_>) -> Option<f64> {
    item.number(1e-9..=1e6)
}

fn scan(section: &mut Section<'_>, scan: &mut Scan) {
    let interval = Duration::from_millis(50)..=Duration::from_secs(60);
    section.read("threads", &mut scan.threads, |item| item.number(1..=64));
    section.read("flush_interval", &mut scan.flush_interval, |item| item.duration_within(interval));
    section.read("idle_after", &mut scan.idle_after, |item| item.duration_within(SECOND..=HOUR));
    let states = [("auto", true), ("off", false)];
    section.read("prefilter", &mut scan.prefilter, |item| item.enumeration(&states));
    if scan.idle_after < scan.flush_interval {
        section.place().error("idle_after must not be shorter than flush_interval");
    }
}

fn http(section: &mut Section<'_>, http: &mut Http) {
    section.read("listen", &mut http.listen, |item| {
        let text = item.text()?;
        match text.parse::<SocketAddr>() {
            _ if text == "off" => Some(None),
            Ok(address) => Some(Some(address)),
            Err(_) => {
                item.error(format!("expected an IP address and port such as 127.0.0.1:9464, or off, found `{text}`"));
                None
            }
        }
    });
}

fn limits(section: &mut Section<'_>, settings: &mut Settings) {
    const MANY: usize = 100_000_000;
    let batch = &mut settings.scanner;
    section.read("record_bytes", &mut batch.record_bytes, |item| item.bytes(1 << 10..=1 << 30));
    section.read("clusters", &mut batch.clusters, |item| item.number(1..=MANY));
    settings.correlator.limits.clusters = batch.clusters;
    section.read("matches_per_report", &mut batch.matches_per_report, |item| item.number(1..=1_000_000));
    section.read("pods_per_report", &mut batch.pods_per_report, |item| item.number(1..=1_000_000));
    section.read("sample_bytes", &mut batch.sample_bytes, |item| item.bytes(0..=1 << 16));
    section.read("joined_bytes", &mut batch.joined_bytes, |item| item.bytes(0..=1 << 26));
    section.read("open_lines", &mut batch.open_lines, |item| item.number(1..=100_000));
    section.read("known_bytes", &mut batch.known_bytes, |item| item.bytes(1 << 16..=1 << 36));
    section.read("max_ahead", &mut batch.max_ahead, |item| item.duration_within(SECOND..=WEEK));
    section.read("join_within", &mut batch.join_within, |item| item.duration_within(SECOND..=HOUR));
    let state = &mut settings.correlator.limits;
    section.read("nodes", &mut state.nodes, |item| item.number(1..=MANY));
    section.read("pods", &mut state.pods, |item| item.number(1..=MANY));
    section.read("failing_pods", &mut state.failing_pods, |item| item.number(1..=MANY));
    section.read("incidents", &mut state.incidents, |item| item.number(1..=MANY));
    section.read("capture_values", &mut state.capture_values, |item| item.number(1..=10_000));
    section.read("failing_in_alert", &mut state.failing_in_alert, |item| item.number(1..=10_000));
    section.read("candidates_in_alert", &mut state.candidates_in_alert, |item| item.number(1..=100));
    section.read("pod_ttl", &mut state.pod_ttl, |item| item.duration_within(Duration::from_secs(60)..=WEEK));
    let service = &mut settings.limits;
    section.read("reports_in_flight", &mut service.reports_in_flight, |item| item.number(1..=100_000));
    section.read("messages_in_flight", &mut service.messages_in_flight, |item| item.number(1..=1_000_000));
    section.read("bytes_in_flight", &mut service.bytes_in_flight, |item| item.bytes(1 << 20..=1 << 31));
    section.read("report_bytes", &mut service.report_bytes, |item| item.bytes(16 << 10..=15 << 20));
    section.read("dead_letter_bytes", &mut service.dead_letter_bytes, |item| item.bytes(16 << 10..=15 << 20));
    section.read("fetch_queue_bytes", &mut service.fetch_queue_bytes, |item| item.bytes(1 << 20..=1 << 31));
    section.read("producer_queue_bytes", &mut service.producer_queue_bytes, |item| item.bytes(1 << 20..=1 << 31));
    section.read("snapshot_chunk_bytes", &mut service.snapshot_chunk_bytes, |item| item.bytes(1 << 10..=1 << 23));
}

/// One use of a topic, for telling two of them apart.
struct Use<'s> {
    topic: &'s str,
    /// The key at the top of the file under which it stands, and the whole path.
    key: &'static str,
    path: String,
}

/// A topic that is both read and written would feed faultline its own output; two inputs on one topic count twice.
fn distinct_topics(top: &mut Section<'_>, settings: &Settings) {
    let written = written_topics(settings);
    let (patterns, read): (Vec<_>, Vec<_>) =
        read_topics(settings).into_iter().partition(|read| read.topic.starts_with('^'));
    let named: Vec<&Use<'_>> = written.iter().chain(&read).collect();
    let mut seen: HashMap<&str, &str> = HashMap::new();
    for this in &named {
        if let Some(other) = seen.insert(this.topic, &this.path) {
            report_clash(top, this, format!("topic `{}` of {} is also {other}", this.topic, this.path));
        }
    }
    for this in &patterns {
        // Checked when it was read; one that is wrong is not here.
        let Ok(pattern) = Regex::new(this.topic) else { continue };
        for other in named.iter().filter(|other| pattern.is_match(other.topic)) {
            let message =
                format!("`{}` of {} matches `{}`, which is {}", this.topic, this.path, other.topic, other.path);
            report_clash(top, this, message);
        }
    }
}

fn report_clash(top: &mut Section<'_>, this: &Use<'_>, message: String) {
    match top.get(this.key) {
        Some(item) => item.error(message),
        None => top.place().error(message),
    }
}

fn written_topics(settings: &Settings) -> Vec<Use<'_>> {
    let Topics { reports, state, dead_letter } = &settings.topics;
    let own = [("reports", reports), ("state", state), ("dead_letter", dead_letter)];
    let own = own.map(|(name, topic)| Use { topic, key: "topics", path: format!("topics.{name}") });
    let outputs = settings.outputs.iter().enumerate();
    let outputs = outputs.map(|(index, output)| Use {
        topic: &output.topic,
        key: "outputs",
        path: format!("outputs[{index}].topic"),
    });
    own.into_iter().chain(outputs).collect()
}

fn read_topics(settings: &Settings) -> Vec<Use<'_>> {
    let inputs = settings.inputs.iter().enumerate();
    let uses = inputs.flat_map(|(index, input)| {
        input.topics.iter().map(move |topic| Use { topic, key: "inputs", path: format!("inputs[{index}].topics") })
    });
    uses.collect()
}
