//! What the service needs to know, in the terms of the parts that need it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use regex::Regex;

use super::Error;
use crate::kafka::{Connection, TopicSpec};
use crate::notifier::Policy;
use crate::silences_file::SilencesFile;
use crate::{correlator, decode, scanner};

#[derive(Clone, Debug)]
pub struct Config {
    pub connection: Connection,
    /// The scan stage's group; the correlate stage's is the same with `-correlate`.
    pub group_id: String,
    pub inputs: Vec<Input>,
    /// Whether alerts, reports' offsets and snapshots go in one transaction.
    pub exactly_once: bool,
    pub reports: TopicSpec,
    /// Snapshots of the correlate stage's state.
    pub state: TopicSpec,
    pub dead_letter: TopicSpec,
    /// Topics for alerts, in the order of the policy's outputs.
    pub outputs: Vec<TopicSpec>,
    /// Which of them are told of what.
    pub policy: Policy,
    /// Where the policy's silences come from, if they are to be followed.
    pub silences: Option<SilencesFile>,
    pub scanner: scanner::Options,
    /// Threads of the scan stage, each with its own consumer, producer and queues. At least one.
    pub scan_threads: usize,
    pub correlator: correlator::Options,
    pub limits: Limits,
    /// Where `/metrics`, `/healthz` and `/readyz` are; `None`: nowhere.
    pub http_listen: Option<SocketAddr>,
    /// Whether the service hears the process's signals (SIGTERM, SIGINT, SIGHUP). Whoever listens once listens for the
    /// rest of the process's life, so a process that has other things to do had better not.
    pub signals: bool,
}

#[derive(Clone, Debug)]
pub struct Input {
    /// Names, or one regular expression that begins with `^`.
    pub topics: Vec<String>,
    pub reading: decode::Input,
}

/// Times and bounds of the stages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// How often reports are sent when they do not fill up earlier.
    pub flush_interval: Duration,
    /// An input partition that is silent for this long is declared idle.
    pub idle_after: Duration,
    /// Flushes that are sent and not acknowledged; at the bound fetching pauses.
    pub reports_in_flight: usize,
    /// Messages (alerts, dead letters, reports) of one stage that are sent and not acknowledged.
    pub messages_in_flight: usize,
    /// Their bytes.
    pub bytes_in_flight: usize,
    /// Bytes of one report as JSON; a larger one is sent in parts.
    pub report_bytes: usize,
    /// Bytes of a dead letter with its key and headers; the value of a larger one is cut.
    pub dead_letter_bytes: usize,
    /// How often the correlate stage commits.
    pub commit_interval: Duration,
    /// After this the broker aborts a transaction that was left open, which holds up all readers of the alerts meanwhile.
    pub transaction_timeout: Duration,
    /// A snapshot of a reports partition's state is written after so long, or so many reports, whichever comes first.
    pub snapshot_interval: Duration,
    pub snapshot_reports: u64,
    /// A snapshot is cut into messages of this size.
    pub snapshot_chunk_bytes: usize,
    /// How long a rebalance waits for what is on its way.
    pub revoke_timeout: Duration,
    /// How long a stop may take.
    pub shutdown_timeout: Duration,
    /// A bounded run (`--until-end`) gives up when no broker answers for this long at the start.
    pub connect_timeout: Duration,
    /// A stage thread that does not come round for this long counts as stuck.
    pub stuck_after: Duration,
    /// How often rule files are looked at for changes; `None`: only at SIGHUP.
    pub rules_reload_interval: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            flush_interval: Duration::from_secs(1),
            idle_after: Duration::from_secs(2),
            reports_in_flight: 64,
            messages_in_flight: 10_000,
            bytes_in_flight: 32 << 20,
            report_bytes: 900 << 10,
            dead_letter_bytes: 900 << 10,
            commit_interval: Duration::from_secs(1),
            transaction_timeout: Duration::from_secs(10),
            snapshot_interval: Duration::from_secs(60),
            snapshot_reports: 10_000,
            snapshot_chunk_bytes: 512 << 10,
            revoke_timeout: Duration::from_secs(5),
            shutdown_timeout: Duration::from_secs(25),
            connect_timeout: Duration::from_secs(30),
            stuck_after: Duration::from_secs(90),
            rules_reload_interval: Some(Duration::from_secs(5)),
        }
    }
}

impl Config {
    pub(super) fn scan_group(&self) -> &str {
        &self.group_id
    }

    pub(super) fn correlate_group(&self) -> String {
        format!("{}-correlate", self.group_id)
    }

    /// Every topic that faultline writes to, so that it creates them when they are missing.
    pub(super) fn own_topics(&self) -> Vec<TopicSpec> {
        let internal = [&self.reports, &self.state, &self.dead_letter].into_iter();
        internal.chain(&self.outputs).cloned().collect()
    }
}

/// Which input a topic belongs to.
#[derive(Debug)]
pub(super) struct Inputs(Vec<(Vec<Pattern>, decode::Input)>);

#[derive(Debug)]
enum Pattern {
    Name(Arc<str>),
    Regex(Regex),
}

impl Pattern {
    fn matches(&self, topic: &str) -> bool {
        match self {
            Pattern::Name(name) => **name == *topic,
            Pattern::Regex(regex) => regex.is_match(topic),
        }
    }
}

impl Inputs {
    /// # Errors
    /// A regular expression that is none, or that also takes in a topic of faultline's own.
    pub fn new(config: &Config) -> Result<Self, Error> {
        let inputs = config.inputs.iter().map(|input| {
            let patterns: Result<Vec<Pattern>, Error> = input.topics.iter().map(|topic| pattern(topic)).collect();
            Ok((patterns?, input.reading.clone()))
        });
        let inputs = Inputs(inputs.collect::<Result<_, Error>>()?);
        match config.own_topics().iter().find(|own| inputs.find(&own.name).is_some()) {
            Some(own) => {
                Err(Error::new(format!("inputs: they take in `{}`, which faultline itself writes to", own.name)))
            }
            None => Ok(inputs),
        }
    }

    /// The first input that names the topic or whose regular expression matches it.
    pub fn find(&self, topic: &str) -> Option<&decode::Input> {
        let input = self.0.iter().find(|(patterns, _)| patterns.iter().any(|pattern| pattern.matches(topic)));
        input.map(|(_, reading)| reading)
    }

    /// The names and expressions that match none of `existing`.
    pub fn missing<'t>(&self, existing: impl Iterator<Item = &'t str> + Clone) -> Vec<String> {
        let patterns = self.0.iter().flat_map(|(patterns, _)| patterns);
        patterns
            .filter(|pattern| !existing.clone().any(|topic| pattern.matches(topic)))
            .map(|pattern| match pattern {
                Pattern::Name(name) => name.to_string(),
                Pattern::Regex(regex) => regex.to_string(),
            })
            .collect()
    }
}

fn pattern(topic: &str) -> Result<Pattern, Error> {
    if !topic.starts_with('^') {
        return Ok(Pattern::Name(Arc::from(topic)));
    }
    Regex::new(topic)
        .map(Pattern::Regex)
        .map_err(|e| Error::new(format!("inputs: `{topic}` is no regular expression: {e}")))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::redaction::Redactor;

    fn topic(name: &str) -> TopicSpec {
        TopicSpec { name: name.to_owned(), partitions: 1, replication: 1, settings: Default::default() }
    }

    pub fn config(inputs: &[&str]) -> Config {
        let connection = Connection {
            brokers: "127.0.0.1:1".to_owned(),
            client_id: "test".into(),
            properties: Default::default(),
            oauth_token_file: None,
            limits: Default::default(),
        };
        let inputs =
            inputs.iter().map(|t| Input { topics: vec![(*t).to_owned()], reading: decode::Input::default() }).collect();
        Config {
            connection,
            group_id: "faultline".to_owned(),
            inputs,
            exactly_once: false,
            reports: topic("faultline.reports"),
            state: topic("faultline.state"),
            dead_letter: topic("faultline.dead-letter"),
            outputs: vec![topic("alerts")],
            policy: Policy::default(),
            silences: None,
            scanner: scanner::Options {
                cluster: "default".into(),
                limits: Default::default(),
                prefilter: true,
                redactor: Redactor::standard(),
            },
            scan_threads: 1,
            correlator: Default::default(),
            limits: Limits::default(),
            http_listen: None,
            signals: false,
        }
    }

    #[test]
    fn topics_are_found_by_name_and_by_expression() {
        let inputs = Inputs::new(&config(&["container-logs", "^logs-.*"])).unwrap();
        assert!(inputs.find("container-logs").is_some());
        assert!(inputs.find("logs-weu").is_some());
        assert!(inputs.find("container-logs-2").is_none());
        assert_eq!(inputs.missing(["logs-weu"].into_iter()), ["container-logs"]);
    }

    #[test]
    fn faultline_does_not_read_what_it_writes() {
        let error = Inputs::new(&config(&["^.*"])).unwrap_err();
        assert!(error.to_string().contains("faultline.reports"), "{error}");
        assert!(Inputs::new(&config(&["^(logs"])).unwrap_err().to_string().contains("regular expression"));
    }
}
