//! Plain client code for the tests that run the service against a broker. Nothing sleeps: everything waits for a
//! condition, with a deadline.
#![allow(dead_code, reason = "every test file uses a part of it")]

pub mod config_map;
pub mod founding;
pub mod receiver;
pub mod transactional;

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use faultline::decode::{self, Format};
use faultline::kafka::{self, Connection, TopicSpec};
use faultline::metrics::Metrics;
use faultline::notifier::Policy;
use faultline::record::Expect;
use faultline::redaction::Redactor;
use faultline::ruleset::RuleSet;
use faultline::scanner;
use faultline::service::{self, Config, Input, Rules, Shutdown, Stages};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::{BorrowedMessage, Header, Headers, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};

/// Longer than anything takes on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Calls `probe` until it returns something. Whatever it waits for must take its time inside of it.
pub fn eventually<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(began.elapsed() < DEADLINE, "waited {DEADLINE:?} in vain: {what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

pub fn topic(name: &str, partitions: i32) -> TopicSpec {
    TopicSpec { name: name.to_owned(), partitions, replication: 1, settings: BTreeMap::new() }
}

/// A configuration whose times suit a test.
pub fn config(brokers: &str) -> Config {
    let input =
        |name: &str, expect| Input { topics: vec![name.to_owned()], reading: decode::Input::new(Format::Auto, expect) };
    // The times in the tests' records are fixed: what the machine's clock shows must not matter.
    let limits = scanner::Limits { max_ahead: Duration::from_secs(100 * 365 * 24 * 3600), ..Default::default() };
    Config {
        connection: Connection {
            brokers: brokers.to_owned(),
            client_id: "faultline-test".into(),
            // A group that was left makes the mock wait for its session to end before it lets anyone in again.
            properties: [("session.timeout.ms", "3000"), ("heartbeat.interval.ms", "500")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            oauth_token_file: None,
            limits: kafka::Limits { progress_interval: Duration::from_millis(100), ..Default::default() },
        },
        group_id: "faultline".to_owned(),
        inputs: vec![input("container-logs", Expect::Logs), input("kube-events", Expect::Events)],
        exactly_once: false,
        reports: topic("faultline.reports", 2),
        state: topic("faultline.state", 2),
        dead_letter: topic("faultline.dead-letter", 1),
        outputs: vec![topic("alerts", 1)],
        policy: Policy::to_all(["alerts"]),
        silences: None,
        scanner: scanner::Options { cluster: "test".into(), limits, prefilter: true, redactor: Redactor::standard() },
        scan_threads: 1,
        correlator: faultline::correlator::Options::default(),
        limits: service::Limits {
            flush_interval: Duration::from_millis(100),
            commit_interval: Duration::from_millis(100),
            idle_after: Duration::from_millis(500),
            ..Default::default()
        },
        http_listen: None,
        signals: false,
    }
}

/// The service on a thread of its own.
pub struct Running {
    pub shutdown: Shutdown,
    pub metrics: Arc<Metrics>,
    result: Receiver<Result<(), service::Error>>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    pub fn start(config: Config, rules: Arc<RuleSet>, stages: Stages, until_end: bool) -> Self {
        Self::start_with(config, rules.into(), stages, until_end)
    }

    /// The same with rules that may change.
    pub fn start_with(config: Config, rules: Rules, stages: Stages, until_end: bool) -> Self {
        // With RUST_LOG set a failing test shows what the service said.
        let filter = tracing_subscriber::EnvFilter::from_default_env();
        let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init();
        let (shutdown, metrics) = (Shutdown::default(), Arc::new(Metrics::default()));
        let (sender, result) = mpsc::channel();
        let thread = {
            let (shutdown, metrics) = (shutdown.clone(), Arc::clone(&metrics));
            std::thread::spawn(move || {
                let _ = sender.send(service::run_with(config, rules, stages, until_end, shutdown, metrics));
            })
        };
        Running { shutdown, metrics, result, thread: Some(thread) }
    }

    /// Waits for the service to end by itself.
    pub fn join(mut self) -> Result<(), service::Error> {
        self.wait()
    }

    /// Asks it to stop, and waits.
    pub fn stop(mut self) -> Result<(), service::Error> {
        self.shutdown.trigger();
        self.wait()
    }

    fn wait(&mut self) -> Result<(), service::Error> {
        let result = self.result.recv_timeout(DEADLINE).expect("the service ends in time");
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the service does not panic");
        }
        result
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shutdown.trigger();
    }
}

/// Creates topics with these numbers of partitions.
pub fn create_topics(brokers: &str, topics: &[(&str, i32)]) {
    let connection = config(brokers).connection;
    let cluster = kafka::Cluster::new(&connection, kafka::Link::new(brokers)).expect("a client");
    let specs: Vec<TopicSpec> = topics.iter().map(|(name, partitions)| topic(name, *partitions)).collect();
    cluster.create_missing(&specs, &BTreeMap::new()).expect("topics are created");
}

pub fn delete_topic(brokers: &str, topic: &str) {
    let admin: AdminClient<DefaultClientContext> = client_config(brokers, "admin").create().expect("a client");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let deleted = runtime.block_on(admin.delete_topics(&[topic], &AdminOptions::new())).expect("an answer");
    assert_eq!(deleted, [Ok(topic.to_owned())]);
}

/// A record to produce.
#[derive(Clone, Debug, Default)]
pub struct Put {
    pub partition: i32,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Vec<u8>)>,
    pub timestamp_ms: Option<i64>,
}

impl Put {
    pub fn value(value: impl Into<Vec<u8>>) -> Self {
        Put { value: Some(value.into()), ..Put::default() }
    }
}

pub fn produce(brokers: &str, topic: &str, records: impl IntoIterator<Item = Put>) {
    let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", brokers).create().expect("a producer");
    for put in records {
        let mut record = BaseRecord::<[u8], [u8]>::to(topic).partition(put.partition);
        record.key = put.key.as_deref();
        record.payload = put.value.as_deref();
        record.timestamp = put.timestamp_ms;
        if !put.headers.is_empty() {
            let with = |headers: OwnedHeaders, (key, value): &(String, Vec<u8>)| {
                headers.insert(Header { key, value: Some(value) })
            };
            record.headers = Some(put.headers.iter().fold(OwnedHeaders::new(), with));
        }
        producer.send(record).map_err(|(error, _)| error).expect("room in the queue");
        producer.poll(Duration::ZERO);
    }
    producer.flush(DEADLINE).expect("everything is produced");
}

/// A record that was read back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Got {
    pub partition: i32,
    pub offset: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: BTreeMap<String, String>,
}

impl Got {
    pub fn of(message: &BorrowedMessage<'_>) -> Self {
        let text = |header: Header<'_, &[u8]>| {
            let value = header.value.map(|value| String::from_utf8_lossy(value).into_owned());
            (header.key.to_owned(), value.unwrap_or_default())
        };
        Got {
            partition: message.partition(),
            offset: message.offset(),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            headers: message.headers().map(|headers| headers.iter().map(text).collect()).unwrap_or_default(),
        }
    }
}

/// A consumer of committed records.
pub fn client(brokers: &str, group: &str) -> BaseConsumer {
    client_config(brokers, group).create().expect("a consumer")
}

pub fn client_config(brokers: &str, group: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", brokers)
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("isolation.level", "read_committed")
        .set("fetch.queue.backoff.ms", "10");
    config
}

/// Reads the topic from its beginning until `enough` says so.
pub fn read_until(brokers: &str, topic: &str, partitions: i32, enough: impl Fn(&[Got]) -> bool) -> Vec<Got> {
    let consumer = client(brokers, "the-test-itself");
    let mut all = TopicPartitionList::new();
    for partition in 0..partitions {
        all.add_partition_offset(topic, partition, Offset::Beginning).expect("a partition");
    }
    consumer.assign(&all).expect("an assignment");
    let mut got = Vec::new();
    eventually(&format!("enough records in {topic}"), || {
        while let Some(message) = consumer.poll(Duration::from_millis(100)) {
            if let Ok(message) = message {
                got.push(Got::of(&message));
            }
        }
        enough(&got).then_some(())
    });
    got
}

/// What a group committed for a partition.
pub fn committed(brokers: &str, group: &str, topic: &str, partition: i32) -> Option<i64> {
    let mut asked = TopicPartitionList::new();
    asked.add_partition(topic, partition);
    let answer = client(brokers, group).committed_offsets(asked, Duration::from_secs(10)).ok()?;
    match answer.elements().first()?.offset() {
        Offset::Offset(offset) => Some(offset),
        _ => None,
    }
}

/// Commits an offset for a group that has no members.
pub fn commit(brokers: &str, group: &str, topic: &str, partition: i32, offset: i64) {
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset(topic, partition, Offset::Offset(offset)).expect("a partition");
    client(brokers, group).commit(&offsets, CommitMode::Sync).expect("it is committed");
}

/// Status and body of an HTTP GET; `None` while nobody answers.
pub fn get(address: SocketAddr, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

/// A port on which nobody listens.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port()
}

/// A broker process (Tansu), killed on drop. Its data is in memory.
pub struct Broker {
    child: Child,
    pub address: String,
}

impl Broker {
    /// `None`, with a message, where no broker binary was given.
    pub fn start() -> Option<Self> {
        let Some(binary) = std::env::var_os("FAULTLINE_TEST_BROKER").map(PathBuf::from) else {
            eprintln!("skipped: FAULTLINE_TEST_BROKER does not name a broker binary (see .ci/run)");
            return None;
        };
        let address = format!("127.0.0.1:{}", free_port());
        let url = format!("tcp://{address}");
        let child = Command::new(&binary)
            .args(["broker", "--listener-url", &url, "--advertised-listener-url", &url])
            .args(["--storage-engine", "memory://tansu/"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{} does not start: {error}", binary.display()));
        let broker = Broker { child, address };
        let client = client(&broker.address, "is-it-up");
        eventually("the broker answers", || client.fetch_metadata(None, Duration::from_millis(500)).ok().map(drop));
        Some(broker)
    }

    /// Of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn create_topics(&self, topics: &[(&str, i32)]) {
        create_topics(&self.address, topics);
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
