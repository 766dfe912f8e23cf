//! The Kafka edge and the service against librdkafka's mock cluster, which lives in this process.

mod support;

use std::ops::ControlFlow;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use faultline::alert::{Alert, Status, Suspect, Verdict};
use faultline::kafka::{Cluster, Consumer, Event, Fetching, Link, Outgoing, Producer, Start};
use faultline::metrics::{Metrics, PartitionLabel, TopicLabel};
use faultline::report::{Progress, Report};
use faultline::rules_files::RuleFiles;
use faultline::service::{Stages, dead_letter};
use faultline::time::Timestamp;
use rdkafka::Message;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use support::config_map::{self, ConfigMap};
use support::founding;
use support::{DEADLINE, Put, Running, commit, committed, config, eventually, produce, read_until, topic};

type Mock = MockCluster<'static, DefaultProducerContext>;

/// All topics of [`config`]; the mock cannot create them on request.
fn mock() -> (Mock, String) {
    let mock = MockCluster::new(1).expect("a mock cluster");
    for (name, partitions) in [
        ("container-logs", 2),
        ("kube-events", 1),
        ("faultline.reports", 2),
        ("faultline.state", 2),
        ("faultline.dead-letter", 1),
        ("alerts", 1),
    ] {
        mock.create_topic(name, partitions, 1).expect("a topic");
    }
    let brokers = mock.bootstrap_servers();
    (mock, brokers)
}

#[test]
fn every_message_is_accounted_for() {
    let (_mock, brokers) = mock();
    let producer = Producer::new(&config(&brokers).connection, Link::new(&brokers)).unwrap();
    for batch in 0..20 {
        let message = Outgoing { topic: "alerts", key: Some(b"k"), value: Some(b"value"), ..Outgoing::default() };
        assert!(producer.send(message, batch, || true).unwrap());
    }
    for batch in 0..20 {
        let delivery = producer.wait_delivery(DEADLINE).expect("a delivery");
        assert_eq!((delivery.ticket.batch, delivery.ticket.bytes), (batch, 6));
        assert_eq!(delivery.outcome.unwrap().1, i64::try_from(batch).unwrap());
    }
}

#[test]
fn what_the_broker_will_never_take_is_said() {
    let (mock, brokers) = mock();
    mock.request_errors(RDKafkaApiKey::Produce, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED; 20]);
    let producer = Producer::new(&config(&brokers).connection, Link::new(&brokers)).unwrap();
    let message = Outgoing { topic: "alerts", key: None, value: Some(b"value"), ..Outgoing::default() };
    producer.send(message, 0, || true).unwrap();
    let error = producer.wait_delivery(DEADLINE).expect("a delivery").outcome.unwrap_err();
    assert!(error.to_string().contains("`alerts`") && error.to_string().contains("ACLs"), "{error}");
}

#[test]
fn existing_topics_need_no_admin_api() {
    let (_mock, brokers) = mock();
    let cluster = Cluster::new(&config(&brokers).connection, Link::new(&brokers)).unwrap();
    let existing = eventually("metadata", || cluster.topics(Duration::from_secs(1)).unwrap());
    assert_eq!(existing.get("container-logs"), Some(&2));
    assert_eq!(cluster.create_missing(&[topic("alerts", 1)], &existing), Ok(Vec::new()));
    let error = cluster.create_missing(&[topic("new", 1)], &existing).unwrap_err();
    assert!(error.to_string().contains("`new`"), "{error}");
}

#[test]
fn pausing_keeps_the_position_and_the_membership() {
    for fetching in [Fetching::OneByOne, Fetching::ManyAtOnce] {
        pauses(fetching);
    }
}

fn pauses(fetching: Fetching) {
    let (_mock, brokers) = mock();
    produce(&brokers, "kube-events", (0..50).map(|n| Put::value(format!("{n}"))));
    let config = config(&brokers);
    let consumer = Consumer::join(&config.connection, "g", &["kube-events"], fetching, Link::new(&brokers)).unwrap();
    let read = std::cell::RefCell::new(Vec::new());
    let poll = |most: usize| {
        let event = consumer.poll_many(Duration::from_millis(20), |message| {
            read.borrow_mut().push(message.offset());
            if read.borrow().len() >= most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        match event.unwrap() {
            Some(Event::Message(message)) => {
                read.borrow_mut().push(message.offset());
                None
            }
            event => event,
        }
    };
    let mut owned = Vec::new();
    eventually("ten records", || {
        if let Some(Event::Assigned(partitions)) = poll(10) {
            consumer.assign(&partitions, Start::Committed).unwrap();
            owned.extend(partitions);
        }
        (read.borrow().len() == 10).then_some(())
    });
    consumer.pause(owned.iter()).unwrap();
    let paused_until = Instant::now() + Duration::from_millis(300);
    while Instant::now() < paused_until {
        poll(10);
        assert_eq!(read.borrow().len(), 10, "paused");
    }
    consumer.resume(owned.iter()).unwrap();
    let mut end = None;
    eventually("the rest, and the end", || {
        if let Some(Event::Progress(states)) = poll(50) {
            end = states.iter().find_map(|(_, state)| state.end);
        }
        (read.borrow().len() == 50 && end == Some(50)).then_some(())
    });
    assert_eq!(*read.borrow(), (0..50).collect::<Vec<i64>>());
    assert!(consumer.close(DEADLINE), "it leaves the group");
}

#[test]
fn a_bounded_run_reads_everything_commits_and_ends() {
    let (_mock, brokers) = mock();
    for partition in 0..2 {
        let record = |n| Put { partition, ..Put::value(format!("2026-11-22T10:00:0{}Z stdout F line {n}", n % 10)) };
        produce(&brokers, "container-logs", (0..100).map(record));
    }
    Running::start(config(&brokers), Arc::default(), Stages::ALL, true).join().unwrap();
    assert_eq!(committed(&brokers, "faultline", "container-logs", 0), Some(100));
    assert_eq!(committed(&brokers, "faultline", "container-logs", 1), Some(100));

    // The next run starts behind what is committed, and nothing is left to read.
    let again = Running::start(config(&brokers), Arc::default(), Stages::ALL, true);
    let metrics = Arc::clone(&again.metrics);
    again.join().unwrap();
    let metrics = metrics.encode().unwrap();
    let read =
        metrics.lines().filter_map(|line| line.strip_prefix("faultline_records_total{topic=\"container-logs\"} "));
    assert_eq!(read.filter(|count| *count != "0").count(), 0, "{metrics}");
}

#[test]
fn unreadable_reports_are_set_aside_with_their_reason() {
    let (_mock, brokers) = mock();
    let headers = vec![("trace".to_owned(), b"abc".to_vec())];
    let junk = Put { key: Some(b"prod".to_vec()), headers, ..Put::value("no report") };
    let newer = Put { partition: 1, ..Put::value(r#"{"version":99}"#) };
    let large = Put::value(vec![b'x'; 950_000]);
    produce(&brokers, "faultline.reports", [junk, large, newer]);
    let stages = Stages { scan: false, correlate: true };
    Running::start(config(&brokers), Arc::default(), stages, true).join().unwrap();

    let mut dead = read_until(&brokers, "faultline.dead-letter", 1, |got| got.len() >= 3);
    let place = |name: &str, got: &support::Got| got.headers.get(name).cloned();
    dead.sort_by_key(|got| (place(dead_letter::HEADER_PARTITION, got), place(dead_letter::HEADER_OFFSET, got)));
    assert_eq!(dead[0].key.as_deref(), Some(&b"prod"[..]));
    assert_eq!(dead[0].value.as_deref(), Some(&b"no report"[..]));
    let header = |index: usize, name: &str| dead[index].headers.get(name).map(String::as_str);
    assert_eq!(header(0, "trace"), Some("abc"));
    assert_eq!(header(0, dead_letter::HEADER_REASON), Some("unreadable-report"));
    assert_eq!(header(0, dead_letter::HEADER_TOPIC), Some("faultline.reports"));
    assert_eq!(header(0, dead_letter::HEADER_OFFSET), Some("0"));
    assert!(header(0, dead_letter::HEADER_TIMESTAMP).is_some_and(|ms| ms.parse::<i64>().is_ok()));
    assert_eq!(header(1, dead_letter::HEADER_TRUNCATED), Some("950000"));
    assert!(dead[1].value.as_ref().is_some_and(|value| value.len() < 950_000));
    assert_eq!(header(2, dead_letter::HEADER_REASON), Some("report-version"));
    assert_eq!(committed(&brokers, "faultline-correlate", "faultline.reports", 0), Some(2));
}

#[test]
fn a_wish_to_stop_is_heard_and_offsets_are_kept() {
    let (_mock, brokers) = mock();
    produce(&brokers, "kube-events", (0..10).map(|n| Put::value(format!("event {n}"))));
    let running = Running::start(config(&brokers), Arc::default(), Stages::ALL, false);
    eventually("the offsets are committed", || {
        (committed(&brokers, "faultline", "kube-events", 0) == Some(10)).then_some(())
    });
    running.stop().unwrap();
}

#[test]
fn a_bounded_run_without_its_input_fails_plainly() {
    let mock = MockCluster::new(1).expect("a mock cluster");
    for name in ["container-logs", "faultline.reports", "faultline.state", "faultline.dead-letter", "alerts"] {
        mock.create_topic(name, 1, 1).expect("a topic");
    }
    let config = config(&mock.bootstrap_servers());
    let error = Running::start(config, Arc::default(), Stages::ALL, true).join().unwrap_err();
    assert_eq!(error.to_string(), "input topics do not exist: `kube-events`; faultline does not create them");
}

#[test]
fn no_broker_is_said_and_ctrl_c_works() {
    let brokers = format!("127.0.0.1:{}", support::free_port());
    let mut bounded = config(&brokers);
    bounded.limits.connect_timeout = Duration::from_secs(1);
    let error = Running::start(bounded, Arc::default(), Stages::ALL, true).join().unwrap_err();
    assert!(error.to_string().starts_with(&format!("cannot reach Kafka at {brokers}: ")), "{error}");
    assert!(error.to_string().contains("Connection refused"), "{error}");

    let running = Running::start(config(&brokers), Arc::default(), Stages::ALL, false);
    let asked = Instant::now();
    running.stop().unwrap();
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
}

#[test]
fn denied_access_ends_the_service_with_the_reason() {
    let (mock, brokers) = mock();
    mock.request_errors(
        RDKafkaApiKey::FindCoordinator,
        &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED; 50],
    );
    let error = Running::start(config(&brokers), Arc::default(), Stages::ALL, false).join().unwrap_err();
    assert!(error.to_string().contains("consumer group") && error.to_string().contains("ACLs"), "{error}");
}

#[test]
fn an_outage_loses_nothing() {
    let (mock, brokers) = mock();
    let running = Running::start(config(&brokers), Arc::default(), Stages::ALL, false);
    produce(&brokers, "kube-events", (0..10).map(|n| Put::value(format!("event {n}"))));
    eventually("the first offsets", || (committed(&brokers, "faultline", "kube-events", 0) == Some(10)).then_some(()));
    mock.broker_down(-1).unwrap();
    mock.broker_up(-1).unwrap();
    produce(&brokers, "kube-events", (10..20).map(|n| Put::value(format!("event {n}"))));
    eventually("the offsets after it", || {
        (committed(&brokers, "faultline", "kube-events", 0) == Some(20)).then_some(())
    });
    running.stop().unwrap();
}

#[test]
fn the_founding_case_is_solved_through_kafka() {
    let (_mock, brokers) = mock();
    let start_ms = 1_795_000_000_000;
    produce(&brokers, "kube-events", founding::events(start_ms));
    produce(&brokers, "container-logs", founding::logs(start_ms));
    produce(&brokers, "container-logs", [Put { key: Some(b"k".to_vec()), ..Put::value(b"{\"log\": trunc".to_vec()) }]);
    let run = || Running::start(config(&brokers), founding::rules(), Stages::ALL, true);
    let first = run();
    let metrics = Arc::clone(&first.metrics);
    first.join().unwrap();
    assert!(metrics.alert_latency.quantile(0.5).0 > 0, "how long alerts took is measured");
    assert!(metrics.report_latency.quantile(0.5).0 > 0, "how long reports took is measured");

    let alerts = read_until(&brokers, "alerts", 1, |got| !got.is_empty());
    let alert: Alert = serde_json::from_slice(alerts[0].value.as_deref().unwrap()).unwrap();
    assert_eq!(alert.suspect, Suspect::Node(founding::NODE.into()), "{}", alert.summary);
    assert_eq!((alert.status, alert.verdict), (Status::Firing, Verdict::Confirmed), "{}", alert.summary);
    assert_eq!(alerts[0].key.as_deref(), Some(alert.dedup_key.as_bytes()));
    assert_eq!(alerts[0].headers["faultline-alert-id"], alert.id);
    assert_eq!(alerts[0].headers["content-type"], "application/json");

    let dead = read_until(&brokers, "faultline.dead-letter", 1, |got| !got.is_empty());
    assert_eq!(dead[0].headers[dead_letter::HEADER_REASON], "invalid-json");
    assert_eq!(dead[0].key.as_deref(), Some(&b"k"[..]));

    // The state is rebuilt from the reports, and says nothing that was said before.
    run().join().unwrap();
    let again = read_until(&brokers, "alerts", 1, |got| got.len() >= alerts.len());
    assert_eq!(again, alerts);
}

#[test]
fn every_partition_of_the_reports_hears_the_heartbeat_behind_its_reports() {
    let (_mock, brokers) = mock();
    let line =
        |cluster: &str| Put::value(format!(r#"{{"log":"x","cluster":"{cluster}","time":"2026-11-22T10:00:00Z"}}"#));
    produce(&brokers, "container-logs", ["north", "south", "east", "west"].map(line));
    let stages = Stages { scan: true, correlate: false };
    Running::start(config(&brokers), Arc::default(), stages, true).join().unwrap();
    let mut seen = [Vec::new(), Vec::new()];
    for got in read_until(&brokers, "faultline.reports", 2, |got| got.len() >= 6) {
        let report: Report = serde_json::from_slice(got.value.as_deref().unwrap()).unwrap();
        assert_eq!(got.key.as_deref(), report.cluster.as_deref().map(str::as_bytes));
        seen[usize::try_from(got.partition).unwrap()].push(report);
    }
    assert_eq!(seen.iter().flatten().filter(|report| report.cluster.is_some()).count(), 4);
    for reports in seen {
        let heartbeat = reports.last().unwrap();
        assert_eq!((heartbeat.cluster.as_deref(), heartbeat.more), (None, false));
        assert_eq!(heartbeat.partitions.len(), 3, "all inputs");
        assert!(reports.iter().all(|report| report.more == report.cluster.is_some()));
        assert!(reports.is_sorted_by_key(|report| report.sequence));
    }
}

#[test]
fn a_dead_letter_is_cut_to_what_the_broker_takes() {
    let (_mock, brokers) = mock();
    let mut config = config(&brokers);
    config.limits.dead_letter_bytes = 20_000;
    produce(&brokers, "container-logs", [Put::value(format!("{{\"log\": {}", "x".repeat(100_000)))]);
    Running::start(config, Arc::default(), Stages { scan: true, correlate: false }, true).join().unwrap();
    let dead = read_until(&brokers, "faultline.dead-letter", 1, |got| !got.is_empty());
    assert_eq!(dead[0].headers[dead_letter::HEADER_TRUNCATED], "100008");
    let kept = dead[0].value.as_ref().unwrap().len();
    assert!(kept > 19_000 && kept < 20_000, "{kept}");
}

#[test]
fn the_stream_goes_on_without_the_dead_letter_topic() {
    let mock = MockCluster::new(1).expect("a mock cluster");
    for name in
        ["container-logs", "kube-events", "faultline.reports", "faultline.state", "faultline.dead-letter", "alerts"]
    {
        mock.create_topic(name, 1, 1).expect("a topic");
    }
    let brokers = mock.bootstrap_servers();
    let mut config = config(&brokers);
    // More than librdkafka sends: it refuses such a message itself.
    config.connection.properties.insert("message.max.bytes".to_owned(), "50000".to_owned());
    produce(&brokers, "container-logs", [Put::value(format!("{{\"log\": {}", "x".repeat(100_000)))]);
    let stages = Stages { scan: true, correlate: false };
    let running = Running::start(config, Arc::default(), stages, true);
    let metrics = Arc::clone(&running.metrics);
    running.join().unwrap();
    assert_eq!(committed(&brokers, "faultline", "container-logs", 0), Some(1));
    assert_eq!(metrics.dead_letters_lost.get(), 1);
}

#[test]
fn records_from_the_future_count_as_of_now() {
    let (_mock, brokers) = mock();
    let year_ms = 365 * 24 * 3600 * 1000;
    let now_ms = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
    let record = |ahead_ms: i64, written_ms: i64| Put {
        timestamp_ms: Some(now_ms + written_ms),
        ..Put::value(format!(r#"{{"log":"x","time":"{}"}}"#, Timestamp::from_millis(now_ms + ahead_ms)))
    };
    produce(
        &brokers,
        "container-logs",
        [record(0, 0), record(year_ms, 0), record(year_ms, year_ms), record(0, year_ms)],
    );
    let mut config = config(&brokers);
    config.scanner.limits.max_ahead = Duration::from_secs(600);
    let running = Running::start(config, Arc::default(), Stages { scan: true, correlate: false }, true);
    let metrics = Arc::clone(&running.metrics);
    running.join().unwrap();
    assert_eq!(metrics.future_records.get(), 2);
    let reports = read_until(&brokers, "faultline.reports", 2, |got| got.len() >= 3);
    let reports = reports.iter().map(|got| serde_json::from_slice::<Report>(got.value.as_deref().unwrap()).unwrap());
    let newest = reports.flat_map(|report| report.partitions).filter_map(|progress| progress.watermark).max().unwrap();
    assert!(newest.as_millis() < now_ms + 600_000, "{newest}");
}

/// What the reports say of a partition of the logs, in the order in which they were written.
fn told_of_logs(brokers: &str, of: impl Fn(&Progress) -> bool) -> Vec<Progress> {
    let told = |got: &[support::Got]| -> Vec<Progress> {
        let reports = got.iter().filter(|got| got.partition == 0);
        let reports = reports.map(|got| serde_json::from_slice::<Report>(got.value.as_deref().unwrap()).unwrap());
        let heartbeats = reports.filter(|report| report.cluster.is_none());
        let logs =
            |progress: &Progress| &*progress.partition.topic == "container-logs" && progress.partition.partition == 0;
        heartbeats.flat_map(|report| report.partitions).filter(|progress| logs(progress) && of(progress)).collect()
    };
    told(&read_until(brokers, "faultline.reports", 2, |got| !told(got).is_empty()))
}

fn scan_to_the_end(brokers: &str) -> Arc<Metrics> {
    let running = Running::start(config(brokers), Arc::default(), Stages { scan: true, correlate: false }, true);
    let metrics = Arc::clone(&running.metrics);
    running.join().unwrap();
    metrics
}

#[test]
fn what_retention_took_away_is_counted_and_told() {
    let (_mock, brokers) = mock();
    produce(&brokers, "container-logs", (0..10).map(|n| Put::value(format!("line {n}"))));
    scan_to_the_end(&brokers);
    assert_eq!(committed(&brokers, "faultline", "container-logs", 0), Some(10));
    // The mock keeps 5 MB of a partition.
    let large = "x".repeat(20_000);
    produce(&brokers, "container-logs", (0..500).map(|n| Put::value(format!("{n} {large}"))));
    let metrics = scan_to_the_end(&brokers);
    let read = metrics.records.get_or_create(&TopicLabel { topic: "container-logs".to_owned() }).get();
    let label = PartitionLabel { topic: "container-logs".to_owned(), partition: 0 };
    let lost = metrics.records_lost.get_or_create(&label).get();
    assert!(read > 100 && lost > 100, "{read} read, {lost} lost");
    assert_eq!(read + lost, 500);
    let told = told_of_logs(&brokers, |progress| progress.lost > 0);
    assert_eq!(told.iter().map(|progress| (progress.lost, progress.restarted)).collect::<Vec<_>>(), [(lost, None)]);
    assert_eq!(committed(&brokers, "faultline", "container-logs", 0), Some(510));
}

#[test]
fn a_topic_that_was_created_anew_is_read_from_its_start() {
    let (_mock, brokers) = mock();
    // What the group read of the topic of that name before.
    commit(&brokers, "faultline", "container-logs", 0, 500);
    let at_ms = 1_795_000_000_000;
    let record = |n: i64| Put { timestamp_ms: Some(at_ms + n), ..Put::value(format!("line {n}")) };
    produce(&brokers, "container-logs", (0..10).map(record));
    let metrics = scan_to_the_end(&brokers);
    assert_eq!(metrics.records.get_or_create(&TopicLabel { topic: "container-logs".to_owned() }).get(), 10);
    assert_eq!(committed(&brokers, "faultline", "container-logs", 0), Some(10));
    let told = told_of_logs(&brokers, |progress| progress.next > progress.first);
    let began = Some(Timestamp::from_millis(at_ms));
    assert_eq!((told[0].first, told[0].restarted, told[0].lost), (0, began, 0));
    assert!(told[1..].iter().all(|progress| progress.restarted.is_none()));
}

fn gauge(running: &Running, line: &str) -> bool {
    running.metrics.encode().unwrap().lines().any(|found| found == line)
}

#[test]
fn a_slow_broker_pauses_reading_and_loses_nothing() {
    let (mock, brokers) = mock();
    let mut config = config(&brokers);
    config.limits.reports_in_flight = 2;
    let stages = Stages { scan: true, correlate: false };
    let running = Running::start(config, Arc::default(), stages, false);
    eventually("the group is joined", || gauge(&running, "faultline_partitions{stage=\"scan\"} 3").then_some(()));
    mock.request_errors(RDKafkaApiKey::Produce, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS; 1000]);
    eventually("reading is paused", || gauge(&running, "faultline_paused{stage=\"scan\"} 1").then_some(()));
    mock.clear_request_errors(RDKafkaApiKey::Produce);
    eventually("reading goes on", || gauge(&running, "faultline_paused{stage=\"scan\"} 0").then_some(()));
    produce(&brokers, "container-logs", (0..10).map(|n| Put::value(format!("2026-11-22T10:00:00Z stdout F {n}"))));
    eventually("what came is committed", || {
        (committed(&brokers, "faultline", "container-logs", 0) == Some(10)).then_some(())
    });
    running.stop().unwrap();
}

#[test]
fn an_input_topic_that_comes_later_is_read() {
    let mock = MockCluster::new(1).expect("a mock cluster");
    for name in ["container-logs", "faultline.reports", "faultline.state", "faultline.dead-letter", "alerts"] {
        mock.create_topic(name, 1, 1).expect("a topic");
    }
    let brokers = mock.bootstrap_servers();
    let mut config = config(&brokers);
    config.connection.limits.metadata_refresh = Duration::from_millis(500);
    config.http_listen = Some(([127, 0, 0, 1], support::free_port()).into());
    let address = config.http_listen.unwrap();
    let running = Running::start(config, Arc::default(), Stages::ALL, false);
    eventually("it says what it waits for", || {
        let (status, body) = support::get(address, "/readyz")?;
        (status == 503 && body.contains("`kube-events`")).then_some(())
    });
    mock.create_topic("kube-events", 1, 1).expect("a topic");
    produce(&brokers, "kube-events", [Put::value("x")]);
    eventually("it is read", || (committed(&brokers, "faultline", "kube-events", 0) == Some(1)).then_some(()));
    eventually("it is ready", || (support::get(address, "/readyz")? == (200, "ok\n".to_owned())).then_some(()));
    assert_eq!(support::get(address, "/healthz"), Some((200, "ok\n".to_owned())));
    let (_, metrics) = support::get(address, "/metrics").unwrap();
    assert!(metrics.contains("faultline_lag_records{topic=\"kube-events\",partition=\"0\"} 0"), "{metrics}");
    running.stop().unwrap();
}

#[test]
fn reports_created_anew_are_not_mistaken_for_sent_ones() {
    let (_mock, brokers) = mock();
    support::commit(&brokers, "faultline-correlate", "faultline.reports", 0, 5_000);
    let stages = Stages { scan: false, correlate: true };
    let running = Running::start(config(&brokers), Arc::default(), stages, false);
    eventually("the group is joined", || gauge(&running, "faultline_partitions{stage=\"correlate\"} 2").then_some(()));
    eventually("new reports count", || {
        produce(&brokers, "faultline.reports", [Put::value("no report")]);
        let counted = "faultline_dead_lettered_total{reason=\"unreadable-report\"}";
        running.metrics.encode().unwrap().contains(counted).then_some(())
    });
    running.stop().unwrap();
}

#[test]
fn an_output_that_is_denied_ends_the_service_with_the_reason() {
    let (mock, brokers) = mock();
    let running = Running::start(config(&brokers), Arc::default(), Stages::ALL, false);
    eventually("the group is joined", || gauge(&running, "faultline_partitions{stage=\"scan\"} 3").then_some(()));
    mock.request_errors(RDKafkaApiKey::Produce, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED; 1000]);
    let asked = Instant::now();
    let error = running.join().unwrap_err();
    assert!(error.to_string().contains("`faultline.reports`") && error.to_string().contains("ACLs"), "{error}");
    assert!(asked.elapsed() < Duration::from_secs(20), "{:?}", asked.elapsed());
}

fn value(running: &Running, name: &str) -> u64 {
    let metrics = running.metrics.encode().unwrap();
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(0, |value| value.parse().unwrap())
}

/// Writes lines of a pod of that name until the rule has seen another.
fn matches_go_on(running: &Running, brokers: &str, rule: &str) {
    let counter = format!("faultline_matches_total{{rule=\"{rule}\"}}");
    let before = value(running, &counter);
    eventually(&format!("a match of {rule}"), || {
        produce(brokers, "container-logs", [Put::value(founding::line(rule, rule, "n1", rule, 1_795_000_000_000))]);
        (value(running, &counter) > before).then_some(())
    });
}

#[test]
fn rules_that_change_are_in_force_in_both_stages_and_invalid_ones_are_not() {
    let (_mock, brokers) = mock();
    let mut map = ConfigMap::new(&config_map::rules(&["grumble"]));
    let mut config = config(&brokers);
    config.limits.rules_reload_interval = Some(Duration::from_millis(20));
    let rules = RuleFiles::open(map.path()).unwrap().into();
    let running = Running::start_with(config, rules, Stages::ALL, false);
    matches_go_on(&running, &brokers, "grumble");
    assert_eq!((value(&running, "faultline_rules"), value(&running, "faultline_rules_reloaded_total")), (1, 0));

    map.replace(&config_map::rules(&["grumble", "moan"]));
    matches_go_on(&running, &brokers, "moan");
    assert_eq!((value(&running, "faultline_rules"), value(&running, "faultline_rules_reloaded_total")), (2, 1));

    map.replace("- {id: sob}\n");
    eventually("it is said that they are invalid", || {
        (value(&running, "faultline_rules_reload_failed_total") > 0).then_some(())
    });
    matches_go_on(&running, &brokers, "moan");
    assert_eq!((value(&running, "faultline_rules"), value(&running, "faultline_rules_reloaded_total")), (2, 1));

    map.replace(&config_map::rules(&["grumble", "moan", "sob"]));
    matches_go_on(&running, &brokers, "sob");
    eventually("the correlator knows all three rules", || {
        gauge(&running, "faultline_state{kind=\"failing_pods\"} 3").then_some(())
    });
    assert_eq!(value(&running, "faultline_unknown_rule_total"), 0);
    assert_eq!(value(&running, "faultline_rules_reload_failed_total"), 1, "told once");
    running.stop().unwrap();
}

#[test]
fn a_hangup_reads_the_rules_again() {
    let (_mock, brokers) = mock();
    let mut map = ConfigMap::new(&config_map::rules(&["grumble"]));
    let mut config = config(&brokers);
    config.limits.rules_reload_interval = None;
    config.signals = true;
    let rules = RuleFiles::open(map.path()).unwrap().into();
    let running = Running::start_with(config, rules, Stages { scan: true, correlate: false }, false);
    // Then it listens.
    eventually("the group is joined", || gauge(&running, "faultline_partitions{stage=\"scan\"} 3").then_some(()));
    map.replace(&config_map::rules(&["grumble", "moan"]));
    let kill = Command::new("kill").args(["-HUP", &std::process::id().to_string()]).status();
    assert!(kill.unwrap().success());
    matches_go_on(&running, &brokers, "moan");
    running.stop().unwrap();
}
