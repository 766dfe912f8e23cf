//! How long it takes from a record to the report that covers it, and to an alert.
//!
//! Records are due at instants that were fixed before, and latency counts from there, however late they were sent or
//! read: no omission is coordinated. Everything is measured from outside, where reports and alerts arrive.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use faultline::alert::{Alert, Status};
use faultline::report::Report;
use faultline::scenario::{self, Chatter};
use faultline::time::Timestamp;
use hdrhistogram::Histogram;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};

use super::support::{self, Broker, Put, founding};
use super::{PATIENCE, readers, topic};

const LIVE: &str = "live-logs";
const CASE_LOGS: &str = "case-logs";
const CASE_EVENTS: &str = "kube-events";
const NAME: &str = "live";
/// The event time of one generator goes on at the pace of the clock when it is asked so often.
const EACH_RATE: usize = 50_000;
/// Clusters that have the founding case each, in which one alert is to come.
const CLUSTERS: usize = 20;
const LENGTH: Duration = Duration::from_secs(60);
/// The case's pods fail from here to half a minute later; what is before is sent at once.
const FAILS_AFTER: Duration = Duration::from_secs(15);
const CASE_FAILS_MS: i64 = 120_000;

pub fn measure(broker: &Broker, rate: usize, folder: &Path) {
    broker.create_topics(&[(LIVE, topic::PARTITIONS), (CASE_LOGS, 2), (CASE_EVENTS, 1)]);
    broker.create_topics(&[("live.reports", 1), ("live.alerts", 1)]);
    std::fs::write(folder.join("rules.yaml"), founding::RULE).expect("the rules are written");
    let http = SocketAddr::from(([127, 0, 0, 1], support::free_port()));
    let mut service = service(&broker.address, folder, http).spawn().expect("the service starts");
    let consumer = outputs(&broker.address);
    while consumer.poll(PATIENCE).is_none_or(|message| message.is_err()) {}

    let generators = rate.div_ceil(EACH_RATE);
    let (done, began, start) = (AtomicBool::new(false), Instant::now(), now());
    let load = Live { generators, began, start };
    let (reports, alerts) = std::thread::scope(|scope| {
        let listener = scope.spawn(|| listen(&consumer, &load, &done));
        load.send(&broker.address);
        std::thread::park_timeout(Duration::from_secs(15));
        done.store(true, Ordering::Release);
        listener.join().expect("the listener ends")
    });
    let (_, metrics) = support::get(http, "/metrics").expect("it answers");
    Command::new("kill").arg(service.id().to_string()).status().expect("kill");
    assert!(service.wait().expect("a child").success());
    println!("latency at {} records/s for {LENGTH:?}, ms", generators * EACH_RATE);
    show("record to report", &reports);
    show("record to alert", &alerts);
    println!("by the service's own account, s:");
    metrics.lines().filter(|line| line.contains("_latency_") && !line.starts_with('#')).for_each(|l| println!("  {l}"));
}

fn show(what: &str, found: &Histogram<u64>) {
    let [p50, p99, max] = [0.5, 0.99, 1.0].map(|quantile| found.value_at_quantile(quantile));
    println!("{what:17} n {:8}  p50 {p50:6}  p99 {p99:6}  max {max:6}", found.len());
}

fn service(brokers: &str, folder: &Path, http: SocketAddr) -> Command {
    let inputs = format!(
        "[{{topics: [{LIVE}, {CASE_LOGS}], kind: logs, cluster_header: cluster}}, \
         {{topics: [{CASE_EVENTS}], kind: events, cluster_header: cluster}}]"
    );
    let mut command = readers::service(brokers, NAME, folder, &[]);
    command.env("FAULTLINE_INPUTS", inputs).env("FAULTLINE_HTTP__LISTEN", http.to_string());
    command
}

fn outputs(brokers: &str) -> BaseConsumer {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "listener")
        .set("fetch.wait.max.ms", "10")
        .set("fetch.queue.backoff.ms", "10")
        .create()
        .expect("a consumer");
    let mut all = TopicPartitionList::new();
    for name in ["live.reports", "live.alerts"] {
        all.add_partition_offset(name, 0, Offset::Beginning).expect("a partition");
    }
    consumer.assign(&all).expect("assigned");
    consumer
}

fn now() -> Timestamp {
    let since = std::time::UNIX_EPOCH.elapsed().expect("the clock is right");
    Timestamp::from_millis(i64::try_from(since.as_millis()).expect("not so late"))
}

struct Live {
    generators: usize,
    began: Instant,
    start: Timestamp,
}

impl Live {
    /// When the record of that number is due.
    fn due(&self, number: usize) -> Instant {
        self.began + Duration::from_secs_f64(number as f64 / (self.generators * EACH_RATE) as f64)
    }

    fn send(&self, brokers: &str) {
        let producer = topic::producer(brokers, "lz4");
        let mut chatter: Vec<Chatter> =
            (1..=self.generators as u64).map(|n| scenario::chatter(self.start, n)).collect();
        let mut case = self.case();
        case.reverse();
        let mut number = 0;
        while self.began.elapsed() < LENGTH {
            while self.due(number) <= Instant::now() {
                let value = chatter[number % self.generators].next().expect("it never ends").value;
                topic::send(
                    &producer,
                    BaseRecord::to(LIVE).partition(topic::partition(number)).payload(value.as_str()),
                );
                number += 1;
            }
            let now = now();
            while case.last().is_some_and(|(_, _, put)| put.timestamp_ms <= Some(now.as_millis())) {
                let (topic, cluster, put) = case.pop().expect("there is a last one");
                tell(&producer, topic, &cluster, &put);
            }
            producer.poll(Duration::from_millis(1));
        }
        producer.flush(PATIENCE).expect("everything is written");
    }

    /// Records of all clusters in the order of their time.
    fn case(&self) -> Vec<(&'static str, String, Put)> {
        let start = self.start.as_millis() + FAILS_AFTER.as_millis() as i64 - CASE_FAILS_MS;
        let mut all = Vec::new();
        for number in 0..CLUSTERS {
            // Not all at the same point of a window's slide.
            let start = start + number as i64 * 331;
            let cluster = format!("c{number}");
            all.extend(founding::logs(start).into_iter().map(|put| (CASE_LOGS, cluster.clone(), put)));
            all.extend(founding::events(start).into_iter().map(|put| (CASE_EVENTS, cluster.clone(), put)));
        }
        all.sort_by_key(|(_, _, put)| put.timestamp_ms);
        all
    }
}

fn tell(producer: &BaseProducer, topic: &str, cluster: &str, put: &Put) {
    let headers = OwnedHeaders::new().insert(Header { key: "cluster", value: Some(cluster) });
    let value = std::str::from_utf8(put.value.as_deref().unwrap_or_default()).expect("JSON");
    topic::send(producer, BaseRecord::to(topic).partition(put.partition).payload(value).headers(headers));
}

/// Reports and alerts as they arrive, until it is done.
fn listen(consumer: &BaseConsumer, load: &Live, done: &AtomicBool) -> (Histogram<u64>, Histogram<u64>) {
    let new = || Histogram::new(3).expect("three digits are possible");
    let (mut reports, mut alerts): (Histogram<u64>, Histogram<u64>) = (new(), new());
    while !done.load(Ordering::Acquire) {
        let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) else { continue };
        let (arrived, value) = (Instant::now(), message.payload().unwrap_or_default());
        if message.topic() == "live.alerts" {
            let alert: Alert = serde_json::from_slice(value).expect("an alert");
            let newest = alert.signals.iter().map(|signal| signal.last_seen).max();
            if alert.status == Status::Firing && alert.cluster.starts_with('c') {
                alerts += now().since(newest.expect("it tells of something")).as_millis() as u64;
            }
            continue;
        }
        // The other clusters' reports cover the same records.
        if message.key() != Some(b"default") {
            continue;
        }
        let report: Report = serde_json::from_slice(value).expect("a report");
        for read in report.partitions.iter().filter(|read| &*read.partition.topic == LIVE) {
            // Every tenth is enough.
            for offset in (read.first..read.next).step_by(10) {
                let number = topic::number(read.partition.partition, offset as usize);
                reports += arrived.saturating_duration_since(load.due(number)).as_millis() as u64;
            }
        }
    }
    (reports, alerts)
}
