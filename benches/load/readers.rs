//! Those that read the topic: clients that drop everything, which are this program started again, and the service.

use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use faultline::kafka::{Consumer, Event, Fetching, Limits, Link, Start};
use rdkafka::ClientConfig;
use rdkafka::Message as _;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};

use super::{PATIENCE, support, topic};

/// `BROKERS GROUP READER RECORDS` of the child.
const CHILD: &str = "FAULTLINE_LOAD_CHILD";

/// The broker lets nobody into a group before so much has passed, several times over; short ones spare the wait.
const SESSION_MS: &str = "3000";
const HEARTBEAT_MS: &str = "500";

pub fn bare(brokers: &str, group: &str, reader: &str, records: usize) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    // What is dropped at once is given back to the kernel at once, and asked for again: half of what such a client
    // takes. The service does not need it; the measure is to be the best there is.
    command.env("MALLOC_TRIM_THRESHOLD_", "134217728").env("MALLOC_MMAP_THRESHOLD_", "33554432");
    command.arg("--bench").env(CHILD, format!("{brokers} {group} {reader} {records}"));
    command
}

/// Does what a child is to do, if this is one.
pub fn is_child() -> bool {
    let Ok(order) = std::env::var(CHILD) else { return false };
    let words: Vec<&str> = order.split(' ').collect();
    let [brokers, group, reader, records] = words[..] else { panic!("{order}") };
    let records = records.parse().expect("a number");
    match reader {
        "poll" => poll(brokers, group, records),
        _ => many(brokers, group, records),
    }
    true
}

/// librdkafka as one would use it, one record at a time, with the settings of the service.
fn poll(brokers: &str, group: &str, records: usize) {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "earliest")
        .set("isolation.level", "read_committed")
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("check.crcs", "true")
        .set("fetch.queue.backoff.ms", "10")
        .set("queued.max.messages.kbytes", "32768")
        .set("statistics.interval.ms", "500")
        .set("session.timeout.ms", SESSION_MS)
        .set("heartbeat.interval.ms", HEARTBEAT_MS)
        .create()
        .expect("a consumer");
    consumer.subscribe(&[topic::NAME]).expect("a subscription");
    let (mut count, mut bytes) = (0, 0);
    let began = Instant::now();
    while count < records {
        assert!(began.elapsed() < PATIENCE, "{count} of {records} records were read");
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
            count += 1;
            bytes += message.payload().map_or(0, <[u8]>::len);
        }
    }
    consumer.commit_consumer_state(CommitMode::Sync).ok();
    assert!(bytes > 0);
}

/// The edge of the service without the service.
fn many(brokers: &str, group: &str, records: usize) {
    let mut connection = support::config(brokers).connection;
    connection.limits = Limits::default();
    let (link, topics) = (Link::new(brokers), [topic::NAME]);
    let consumer = Consumer::join(&connection, group, &topics, Fetching::ManyAtOnce, link).expect("a consumer");
    let (mut count, mut bytes) = (0, 0);
    let began = Instant::now();
    while count < records {
        assert!(began.elapsed() < PATIENCE, "{count} of {records} records were read");
        let event = consumer.poll_many(Duration::from_millis(100), |message| {
            count += 1;
            bytes += message.payload().map_or(0, <[u8]>::len);
            ControlFlow::Continue(())
        });
        match event.expect("a poll") {
            Some(Event::Assigned(partitions)) => consumer.assign(&partitions, Start::Committed).expect("assigned"),
            Some(Event::Revoked(partitions)) => consumer.release(&partitions).expect("released"),
            _ => {}
        }
    }
    consumer.close(Duration::from_secs(10));
    assert!(bytes > 0);
}

/// `faultline run`, with topics of its own.
pub fn service(brokers: &str, name: &str, folder: &Path, arguments: &[&str]) -> Command {
    let config = format!(
        "kafka: {{brokers: {brokers}, group_id: {name}, exactly_once: false, properties: {{session.timeout.ms: {SESSION_MS:?}, \
         heartbeat.interval.ms: {HEARTBEAT_MS:?}}}}}\nrules: {}\nhttp: {{listen: off}}\n\
         inputs: [{{topics: [{}], kind: logs}}]\noutputs: [{{topic: {name}.alerts}}]\n\
         topics: {{reports: {name}.reports, state: {name}.state, dead_letter: {name}.dead}}\n",
        folder.join("rules.yaml").display(),
        topic::NAME,
    );
    let file = folder.join(format!("{name}.conf"));
    std::fs::write(&file, config).expect("the configuration is written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_faultline"));
    command.arg("run").arg("-q").arg("-c").arg(file).args(arguments).env_remove(super::WISHES).stdout(Stdio::null());
    command
}
