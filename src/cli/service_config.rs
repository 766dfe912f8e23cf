//! From the settings that a person wrote to what the service wants to know.

use std::collections::BTreeMap;

use crate::kafka::{self, Connection, TopicSpec};
use crate::scanner;
use crate::service::{Config, Input, Limits, Output};
use crate::settings::Settings;

/// `instance` names this process in the brokers' logs and in its reports.
pub fn service_config(settings: &Settings, instance: &str) -> Config {
    let defaults = Limits::default();
    Config {
        connection: connection(settings, instance),
        group_id: settings.kafka.group_id.clone(),
        inputs: settings
            .inputs
            .iter()
            .map(|input| Input { topics: input.topics.clone(), expect: input.expect, format: input.format })
            .collect(),
        reports: reports_topic(settings),
        dead_letter: topic(settings, &settings.topics.dead_letter, &[]),
        reserved: vec![topic(settings, &settings.topics.state, &[("cleanup.policy", "compact")])],
        outputs: settings.outputs.iter().map(|output| Output { topic: topic(settings, &output.topic, &[]) }).collect(),
        scanner: scanner::Options { cluster: settings.cluster.as_str().into(), limits: settings.scanner },
        correlator: settings.correlator,
        limits: Limits {
            flush_interval: settings.scan.flush_interval,
            idle_after: settings.scan.idle_after,
            reports_in_flight: settings.limits.reports_in_flight,
            // Half of the queue: what is sent never has to wait for room in it.
            bytes_in_flight: settings.limits.producer_queue_bytes / 2,
            shutdown_timeout: settings.shutdown_timeout,
            ..defaults
        },
        http_listen: settings.http.listen,
    }
}

fn connection(settings: &Settings, instance: &str) -> Connection {
    let kbytes = |bytes: usize| u32::try_from(bytes / 1024).unwrap_or(u32::MAX).max(1);
    Connection {
        brokers: settings.kafka.brokers.clone(),
        client_id: instance.into(),
        properties: settings.kafka.properties.clone(),
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

fn topic(settings: &Settings, name: &str, options: &[(&str, &str)]) -> TopicSpec {
    let options = options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    TopicSpec {
        name: name.to_owned(),
        partitions: i32::from(settings.internal_topics.partitions),
        replication: i32::from(settings.internal_topics.replication_factor),
        settings: options.collect::<BTreeMap<_, _>>(),
    }
}
