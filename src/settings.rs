//! The configuration: what an operator can set, checked once, with every error reported at once.
//!
//! Four layers, later ones win: the defaults below, a YAML file, the environment, flags. `layers` lays them over each
//! other, `read` checks the result, `show` writes it back as YAML. The names of the fields are those of the file.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{env, fs, io};

use crate::correlator::{self, Alerts};
use crate::decode;
use crate::document::{Collector, Diagnostics, Item};
use crate::format::Format;
use crate::notifier::Route;
use crate::record::Expect;
use crate::redaction::{Redaction, Redactor};
use crate::scanner;

mod bridge;
mod layers;
mod outputs;
mod properties;
mod read;
mod redaction;
mod secrets;
mod show;

pub use bridge::{Bridge, Rate};
pub use layers::Flag;
pub use secrets::SecretError;

/// Read when it is there and no other file was named.
pub const DEFAULT_FILE: &str = "config/faultline.yaml";

#[derive(Clone, PartialEq, Debug)]
pub struct Settings {
    /// The cluster of records that name none.
    pub cluster: String,
    pub kafka: Kafka,
    pub inputs: Vec<Input>,
    pub topics: Topics,
    pub internal_topics: InternalTopics,
    pub outputs: Vec<Output>,
    /// Which alerts go to which outputs; without any all go to all.
    pub routes: Vec<Route>,
    /// A file of silences and mute windows.
    pub silences: Option<PathBuf>,
    /// The key `alerts.remind_every`: how often receivers that want it hear of open incidents again.
    pub remind_every: Duration,
    /// A directory of rule files; relative to the working directory.
    pub rules: PathBuf,
    /// How often the rule files are looked at for changes; `None`: only at SIGHUP.
    pub rules_reload_interval: Option<Duration>,
    /// The sections `windows`, `alerts` and `localization`, and those of the `limits` that bound one cluster's state.
    pub correlator: correlator::Options,
    /// Those of the `limits` that bound one batch.
    pub scanner: scanner::Limits,
    pub scan: Scan,
    /// What is taken out of log text.
    pub redaction: Redaction,
    pub http: Http,
    pub bridge: Bridge,
    pub limits: Limits,
    /// How long a stop may take: finish the batch, send, commit, leave the group.
    pub shutdown_timeout: Duration,
}

#[derive(Clone, PartialEq, Eq)]
pub struct Kafka {
    /// `host:port`, several separated by commas.
    pub brokers: String,
    /// Consumer group of the scan stage; the correlate stage's is the same with `-correlate`.
    pub group_id: String,
    pub exactly_once: bool,
    /// Handed to librdkafka as they are. None of those that faultline sets itself is in here.
    pub properties: BTreeMap<String, String>,
    /// Files that hold the values of further properties; [`Kafka::read_secrets`] reads them.
    pub properties_files: BTreeMap<String, PathBuf>,
    /// Holds the token for SASL/OAUTHBEARER, and is read whenever a new one is due.
    pub oauth_token_file: Option<PathBuf>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Input {
    /// Names, or a single regex that begins with `^`. Never empty.
    pub topics: Vec<String>,
    /// The other keys: `kind`, `format`, `fields`, `cluster`, `cluster_header`.
    pub reading: decode::Input,
}

/// Topics that faultline creates and owns. They differ from each other and from all inputs and outputs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Topics {
    pub reports: String,
    pub state: String,
    pub dead_letter: String,
}

/// How the topics of [`Topics`] and of the outputs are created when they are missing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InternalTopics {
    pub partitions: u16,
    pub replication_factor: u16,
    pub reports_retention: Duration,
    /// A snapshot of the correlate stage's state is written after so long, or so many reports.
    pub snapshot_interval: Duration,
    pub snapshot_reports: u64,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Output {
    /// What routes and silences call it.
    pub name: String,
    pub topic: String,
    pub format: Format,
    /// Holds PagerDuty's integration key, if it is to be in what is written; [`Output::routing_key`] reads it.
    pub routing_key_file: Option<PathBuf>,
}

impl Output {
    fn new(topic: String, format: Format) -> Self {
        Output { name: topic.clone(), topic, format, routing_key_file: None }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Scan {
    /// Each with its own consumer, producer and queues.
    pub threads: usize,
    /// How often reports are sent when they do not fill up earlier.
    pub flush_interval: Duration,
    /// An input partition that is silent for this long no longer holds the others' windows up.
    pub idle_after: Duration,
    /// Whether records that hold no signature are told without decoding them.
    pub prefilter: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Http {
    /// Where `/metrics`, `/healthz` and `/readyz` are served; `None`: nowhere.
    pub listen: Option<SocketAddr>,
}

/// Bounds of the service itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Reports sent and not yet acknowledged; at the bound scanning pauses.
    pub reports_in_flight: usize,
    /// Messages of one stage (reports, dead letters, alerts) sent and not yet acknowledged, and their bytes; at either
    /// bound the stage pauses.
    pub messages_in_flight: usize,
    pub bytes_in_flight: usize,
    /// Bytes of a report and of a dead letter, before compression. Kafka takes 1 MiB by default.
    pub report_bytes: usize,
    pub dead_letter_bytes: usize,
    /// What librdkafka holds fetched and not yet processed, and sent and not yet acknowledged. Bytes, per client.
    pub fetch_queue_bytes: usize,
    pub producer_queue_bytes: usize,
    /// A snapshot is cut into messages of this size.
    pub snapshot_chunk_bytes: usize,
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read configuration file `{}`: {error}", path.display())]
    Unreadable { path: PathBuf, error: io::Error },
    #[error("invalid configuration{}", .0.indented())]
    Invalid(Diagnostics),
}

impl Settings {
    /// Reads all layers: `file` if given (then it must be there), else [`DEFAULT_FILE`] if there is one; the process's
    /// environment; `flags`. With the settings come the warnings.
    ///
    /// # Errors
    /// The file cannot be read, or something in one of the layers is wrong: all of it at once.
    pub fn load(file: Option<&Path>, flags: &[Flag]) -> Result<(Settings, Diagnostics), Error> {
        let path = file.unwrap_or(Path::new(DEFAULT_FILE));
        let text = match fs::read_to_string(path) {
            Ok(text) => Some(text),
            Err(error) if file.is_none() && error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(Error::Unreadable { path: path.to_owned(), error }),
        };
        let name = path.display().to_string();
        let variables = env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())));
        let file = text.as_deref().map(|text| (name.as_str(), text));
        Settings::from_layers(file, variables, flags).map_err(Error::Invalid)
    }

    /// The same from values: the file's name and text, and the variables of the environment.
    pub fn from_layers(
        file: Option<(&str, &str)>,
        environment: impl IntoIterator<Item = (String, String)>,
        flags: &[Flag],
    ) -> Result<(Settings, Diagnostics), Diagnostics> {
        let document = layers::merge(file, environment, flags)?;
        let collector = Collector::default();
        let settings = read::settings(&Item::new(&document, "", &collector));
        let diagnostics = collector.finish();
        if diagnostics.has_errors() { Err(diagnostics) } else { Ok((settings, diagnostics)) }
    }

    /// How the scan stage reads records.
    pub fn scanner_options(&self) -> scanner::Options {
        let (limits, prefilter) = (self.scanner, self.scan.prefilter);
        let redactor = Arc::new(Redactor::new(&self.redaction));
        scanner::Options { cluster: self.cluster.as_str().into(), limits, prefilter, redactor }
    }

    /// All of it as YAML that can be read again, except that secrets are masked.
    pub fn to_yaml(&self) -> String {
        show::yaml(self)
    }
}

impl fmt::Debug for Kafka {
    /// Secrets are masked: settings end up in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kafka")
            .field("brokers", &self.brokers)
            .field("group_id", &self.group_id)
            .field("exactly_once", &self.exactly_once)
            .field("properties", &show::masked(self))
            .field("properties_files", &self.properties_files)
            .field("oauth_token_file", &self.oauth_token_file)
            .finish()
    }
}

impl Default for Settings {
    fn default() -> Self {
        let input = |topic: &str, expect| Input {
            topics: vec![topic.to_owned()],
            reading: decode::Input::new(decode::Format::Auto, expect),
        };
        Settings {
            cluster: "default".to_owned(),
            kafka: Kafka::default(),
            inputs: vec![input("container-logs", Expect::Logs), input("kube-events", Expect::Events)],
            topics: Topics::default(),
            internal_topics: InternalTopics::default(),
            outputs: vec![Output::new("alerts".to_owned(), Format::Faultline)],
            routes: Vec::new(),
            silences: None,
            remind_every: Duration::from_secs(60),
            rules: PathBuf::from("rules"),
            rules_reload_interval: Some(Duration::from_secs(5)),
            correlator: correlator::Options {
                alerts: Alerts { max_age: Some(Duration::from_secs(3600)), ..Alerts::default() },
                ..correlator::Options::default()
            },
            scanner: scanner::Limits::default(),
            scan: Scan::default(),
            redaction: Redaction::default(),
            http: Http::default(),
            bridge: Bridge::default(),
            limits: Limits::default(),
            shutdown_timeout: Duration::from_secs(25),
        }
    }
}

impl Default for Kafka {
    fn default() -> Self {
        Kafka {
            brokers: "localhost:9092".to_owned(),
            group_id: "faultline".to_owned(),
            exactly_once: true,
            properties: BTreeMap::new(),
            properties_files: BTreeMap::new(),
            oauth_token_file: None,
        }
    }
}

impl Default for Topics {
    fn default() -> Self {
        Topics {
            reports: "faultline.reports".to_owned(),
            state: "faultline.state".to_owned(),
            dead_letter: "faultline.dead-letter".to_owned(),
        }
    }
}

impl Default for InternalTopics {
    fn default() -> Self {
        InternalTopics {
            partitions: 4,
            replication_factor: 1,
            reports_retention: Duration::from_secs(24 * 3600),
            snapshot_interval: Duration::from_secs(60),
            snapshot_reports: 10_000,
        }
    }
}

impl Default for Scan {
    fn default() -> Self {
        Scan { threads: 1, flush_interval: Duration::from_secs(1), idle_after: Duration::from_secs(2), prefilter: true }
    }
}

impl Default for Http {
    fn default() -> Self {
        Http { listen: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 9464))) }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            reports_in_flight: 64,
            messages_in_flight: 10_000,
            bytes_in_flight: 32 << 20,
            report_bytes: 900 << 10,
            dead_letter_bytes: 900 << 10,
            fetch_queue_bytes: 64 << 20,
            producer_queue_bytes: 64 << 20,
            snapshot_chunk_bytes: 512 << 10,
        }
    }
}

#[cfg(test)]
mod tests;
