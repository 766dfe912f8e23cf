//! From the settings that a person wrote to what the service wants to know.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::correlator::{self, Alerts};
use crate::format::Writer;
use crate::kafka::{self, Connection, TopicSpec};
use crate::notifier::{self, Policy};
use crate::service::{Config, Input, Limits};
use crate::settings::{Output, Settings};

/// Alertmanager may take an incident for over when it has missed so many reminders: a restart or an upgrade ends none.
const MISSED_REMINDERS: u32 = 15;

/// `instance` names this process in the brokers' logs and in its reports.
pub fn service_config(settings: &Settings, instance: &str) -> Config {
    let defaults = Limits::default();
    Config {
        connection: connection(settings, instance),
        group_id: settings.kafka.group_id.clone(),
        inputs: settings
            .inputs
            .iter()
            .map(|input| Input { topics: input.topics.clone(), reading: input.reading.clone() })
            .collect(),
        exactly_once: settings.kafka.exactly_once,
        reports: reports_topic(settings),
        state: state_topic(settings),
        dead_letter: topic(settings, &settings.topics.dead_letter, &[]),
        outputs: settings.outputs.iter().map(|output| topic(settings, &output.topic, &[])).collect(),
        policy: policy(settings),
        silences: None,
        scanner: settings.scanner_options(),
        scan_threads: settings.scan.threads,
        correlator: correlator(settings),
        limits: Limits {
            flush_interval: settings.scan.flush_interval,
            idle_after: settings.scan.idle_after,
            reports_in_flight: settings.limits.reports_in_flight,
            messages_in_flight: settings.limits.messages_in_flight,
            bytes_in_flight: settings.limits.bytes_in_flight,
            report_bytes: settings.limits.report_bytes,
            dead_letter_bytes: settings.limits.dead_letter_bytes,
            shutdown_timeout: settings.shutdown_timeout,
            rules_reload_interval: settings.rules_reload_interval,
            snapshot_interval: settings.internal_topics.snapshot_interval,
            snapshot_reports: settings.internal_topics.snapshot_reports,
            snapshot_chunk_bytes: settings.limits.snapshot_chunk_bytes,
            ..defaults
        },
        http_listen: settings.http.listen,
        signals: true,
    }
}

/// Without what is in files: silences and secrets.
fn policy(settings: &Settings) -> Policy {
    let output = |output: &Output| notifier::Output {
        name: output.name.as_str().into(),
        topic: output.topic.as_str().into(),
        writer: Writer { format: output.format, routing_key: None },
    };
    Policy {
        outputs: settings.outputs.iter().map(output).collect(),
        routes: settings.routes.clone().into(),
        silences: Arc::default(),
        forget_after: settings.remind_every * MISSED_REMINDERS,
    }
}

/// Reminders are made where somebody wants them.
fn correlator(settings: &Settings) -> correlator::Options {
    let options = settings.correlator;
    let wants_reminders = policy(settings).wants_reminders() || settings.silences.is_some();
    let alerts = Alerts { remind_every: wants_reminders.then_some(settings.remind_every), ..options.alerts };
    correlator::Options { alerts, ..options }
}

pub fn connection(settings: &Settings, instance: &str) -> Connection {
    let kbytes = |bytes: usize| u32::try_from(bytes / 1024).unwrap_or(u32::MAX).max(1);
    Connection {
        brokers: settings.kafka.brokers.clone(),
        client_id: instance.into(),
        properties: settings.kafka.properties.clone(),
        oauth_token_file: settings.kafka.oauth_token_file.clone(),
        limits: kafka::Limits {
            fetch_queue_kbytes: kbytes(settings.limits.fetch_queue_bytes),
            send_queue_kbytes: kbytes(settings.limits.producer_queue_bytes),
            ..kafka::Limits::default()
        },
    }
}

fn reports_topic(settings: &Settings) -> TopicSpec {
    let retention = settings.internal_topics.reports_retention.as_millis().to_string();
    // Kafka's default of 1 MiB fits a full report only because it compresses well; faultline's own topic leaves room.
    let message_size = (4 << 20).to_string();
    topic(settings, &settings.topics.reports, &[("retention.ms", &retention), ("max.message.bytes", &message_size)])
}

/// Two snapshots a shard are needed; what is older is to go soon, since a restart reads all of it.
fn state_topic(settings: &Settings) -> TopicSpec {
    let segment = (64 << 20).to_string();
    let options = [
        ("cleanup.policy", "compact"),
        ("segment.bytes", &segment),
        ("segment.ms", "600000"),
        ("min.cleanable.dirty.ratio", "0.1"),
    ];
    topic(settings, &settings.topics.state, &options)
}

pub fn topic(settings: &Settings, name: &str, options: &[(&str, &str)]) -> TopicSpec {
    let options = options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    TopicSpec {
        name: name.to_owned(),
        partitions: i32::from(settings.internal_topics.partitions),
        replication: i32::from(settings.internal_topics.replication_factor),
        settings: options.collect::<BTreeMap<_, _>>(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_arrives() {
        let text = "cluster: c\nkafka: {group_id: g, properties: {client.rack: r}}\n\
                    internal_topics: {partitions: 7, reports_retention: 2h}\nlimits: {fetch_queue_bytes: 3MiB}\n";
        let (settings, _) = Settings::from_layers(Some(("f.yaml", text)), [], &[]).unwrap();
        let config = service_config(&settings, "i");
        assert_eq!((&*config.scanner.cluster, config.group_id.as_str()), ("c", "g"));
        assert_eq!(config.connection.properties["client.rack"], "r");
        assert_eq!(config.connection.limits.fetch_queue_kbytes, 3072);
        assert_eq!((config.reports.partitions, config.reports.settings["retention.ms"].as_str()), (7, "7200000"));
        assert_eq!(config.state.settings["cleanup.policy"], "compact");
    }

    /// Bounds that both sides name have one default.
    #[test]
    fn the_defaults_are_the_services() {
        assert_eq!(service_config(&Settings::default(), "i").limits, Limits::default());
    }
}
