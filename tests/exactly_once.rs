//! The correlate stage's transactions and snapshots, on a broker whose transactions isolate. Skipped where
//! FAULTLINE_TEST_TXN_BROKER names none.

mod support;

use std::time::Duration;

use faultline::service::{Config, Limits, Stages};
use support::transactional::TransactionalBroker;
use support::{Got, Put, Running, config, create_topics, eventually, founding, produce, read_until};

const START_MS: i64 = 1_795_000_000_000;

fn broker() -> Option<TransactionalBroker> {
    let broker = TransactionalBroker::start()?;
    create_topics(&broker.address, &[("container-logs", 2), ("kube-events", 1)]);
    Some(broker)
}

/// Saves the state all the time, in many pieces.
fn exactly_once(broker: &str) -> Config {
    let config = config(broker);
    let limits = Limits { snapshot_interval: Duration::ZERO, snapshot_chunk_bytes: 300, ..config.limits };
    Config { exactly_once: true, limits, ..config }
}

fn play_founding_case(broker: &str) {
    produce(broker, "kube-events", founding::events(START_MS));
    produce(broker, "container-logs", founding::logs(START_MS));
}

fn run_to_the_end(config: Config) -> String {
    let running = Running::start(config, founding::rules(), Stages::ALL, true);
    let metrics = running.metrics.clone();
    running.join().unwrap();
    metrics.encode().unwrap()
}

fn told(broker: &str) -> Vec<Got> {
    read_until(broker, "alerts", 1, |got| !got.is_empty())
}

fn metric(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(0, |value| value.parse().unwrap())
}

#[test]
fn what_was_told_is_told_once_and_a_restart_goes_on_from_the_snapshot() {
    let Some(broker) = broker() else { return };
    play_founding_case(&broker.address);
    let first = run_to_the_end(exactly_once(&broker.address));
    assert!(metric(&first, "faultline_transactions_total{outcome=\"committed\"}") > 0, "{first}");
    assert!(metric(&first, "faultline_snapshots_total{outcome=\"written\"}") > 0, "{first}");
    assert_eq!(metric(&first, "faultline_exactly_once"), 1);
    let got = told(&broker.address);
    assert_eq!(got.len(), 1);

    let second = run_to_the_end(exactly_once(&broker.address));
    assert!(metric(&second, "faultline_snapshots_total{outcome=\"restored\"}") > 0, "{second}");
    assert_eq!(metric(&second, "faultline_snapshots_total{outcome=\"unusable\"}"), 0, "{second}");
    assert_eq!(told(&broker.address), got, "a restart says nothing again");
}

/// Plays the case while `faults` happen to a service that runs. What is told is told once, whatever the way to it was.
/// Returns the metrics at the end.
fn under(faults: &[&str]) -> Option<String> {
    let mut broker = broker()?;
    let running = Running::start(exactly_once(&broker.address), founding::rules(), Stages::ALL, false);
    let metrics = || running.metrics.encode().unwrap();
    eventually("it correlates", || metrics().contains("faultline_partitions{stage=\"correlate\"} 2").then_some(()));
    faults.iter().for_each(|fault| broker.order(fault));
    play_founding_case(&broker.address);
    let got = told(&broker.address);
    // All that is read is committed, so nothing more will come.
    let read = |text: &str| metric(text, "faultline_records_total{topic=\"container-logs\"}");
    eventually("all is read", || (read(&metrics()) >= founding::logs(START_MS).len() as u64).then_some(()));
    let text = metrics();
    running.stop().unwrap();
    run_to_the_end(exactly_once(&broker.address));
    assert_eq!(told(&broker.address), got, "{faults:?}: nothing more is told");
    assert_eq!(got.len(), 1, "{faults:?}");
    Some(text)
}

/// Kafka's numbers of errors.
const ILLEGAL_GENERATION: i16 = 22;
const INVALID_PRODUCER_EPOCH: i16 = 47;
const PRODUCER_FENCED: i16 = 90;

#[test]
fn an_aborted_transaction_is_made_again() {
    let fault = format!("error txn-offset-commit 2 {ILLEGAL_GENERATION}");
    let Some(metrics) = under(&[&fault]) else { return };
    assert!(metric(&metrics, "faultline_transactions_total{outcome=\"aborted\"}") > 0, "{metrics}");
}

#[test]
fn a_producer_that_broke_is_replaced() {
    for code in [INVALID_PRODUCER_EPOCH, PRODUCER_FENCED] {
        let fault = format!("error end-txn 1 {code}");
        let Some(metrics) = under(&[&fault]) else { return };
        assert!(metric(&metrics, "faultline_transactions_total{outcome=\"broken\"}") > 0, "{metrics}");
    }
}

#[test]
fn lost_replies_and_requests_change_nothing() {
    for fault in
        ["lose end-txn 2", "drop end-txn 2", "lose txn-offset-commit 1", "lose produce 3", "lose add-offsets-to-txn 1"]
    {
        if under(&[fault]).is_none() {
            return;
        }
    }
}

#[test]
fn an_outage_longer_than_the_transactions_live_ends_well() {
    under(&["outage 13000"]);
}

/// A snapshot that cannot be read is passed over, for the one before.
#[test]
fn a_snapshot_that_cannot_be_read_is_passed_over() {
    let Some(broker) = broker() else { return };
    play_founding_case(&broker.address);
    run_to_the_end(exactly_once(&broker.address));
    let got = told(&broker.address);
    // Newer than all that is there, and nonsense.
    for partition in 0..2 {
        for slot in ["a", "b"] {
            let key = format!("faultline-correlate/{partition}/{slot}/0");
            produce(
                &broker.address,
                "faultline.state",
                [Put { key: Some(key.into()), partition, ..Put::value("nonsense") }],
            );
        }
    }
    let again = run_to_the_end(exactly_once(&broker.address));
    for outcome in ["unusable", "restored"] {
        let name = format!("faultline_snapshots_total{{outcome=\"{outcome}\"}}");
        assert!(metric(&again, &name) > 0, "{again}");
    }
    assert_eq!(told(&broker.address), got);
}

const MESSAGE_TOO_LARGE: i16 = 10;

/// Whatever the broker has against one alert, the others do not wait for it.
#[test]
fn an_alert_that_the_broker_refuses_is_set_aside() {
    for exactly_once in [true, false] {
        let Some(mut broker) = broker() else { return };
        let address = broker.address.clone();
        play_founding_case(&address);
        let config = || Config { exactly_once, ..config(&address) };
        let run = |config, stages| Running::start(config, founding::rules(), stages, true).join().unwrap();
        run(config(), Stages { scan: true, correlate: false });
        broker.order(&format!("error produce 1 {MESSAGE_TOO_LARGE}"));
        run(config(), Stages { scan: false, correlate: true });
        let letters = read_until(&address, "faultline.dead-letter", 1, |got| !got.is_empty());
        assert_eq!(letters[0].headers["faultline-reason"], "refused-alert");
        assert_eq!(letters[0].headers["faultline-topic"], "alerts");
        assert!(letters[0].headers.contains_key("faultline-alert-id"));
        assert!(read_to_mark(&address).is_empty(), "it is told nowhere else");
    }
}

/// What is on the alerts topic before a mark that is written now.
fn read_to_mark(broker: &str) -> Vec<Got> {
    produce(broker, "alerts", [Put::value("mark")]);
    let is_mark = |got: &Got| got.value.as_deref() == Some(b"mark");
    let mut got = read_until(broker, "alerts", 1, |got| got.iter().any(is_mark));
    got.retain(|got| !is_mark(got));
    got
}

/// A crash after alerts were sent and before their offsets were committed: the tail of the alerts tells.
#[test]
fn without_transactions_what_was_sent_before_a_crash_is_not_sent_again() {
    let Some(broker) = broker() else { return };
    play_founding_case(&broker.address);
    let config = || Config { exactly_once: false, ..exactly_once(&broker.address) };
    run_to_the_end(config());
    let got = told(&broker.address);
    for partition in 0..2 {
        support::commit(&broker.address, "faultline-correlate", "faultline.reports", partition, 0);
    }
    let again = run_to_the_end(config());
    assert_eq!(metric(&again, "faultline_alerts_total{status=\"firing\",scope=\"node\"}"), 1, "made again: {again}");
    assert_eq!(read_to_mark(&broker.address), got, "and not sent");
}

#[test]
fn a_topic_that_is_deleted_is_created_anew_and_nothing_is_lost() {
    let Some(broker) = broker() else { return };
    let running = Running::start(exactly_once(&broker.address), founding::rules(), Stages::ALL, false);
    let metrics = || running.metrics.encode().unwrap();
    let correlates = |text: String| text.contains("faultline_partitions{stage=\"correlate\"} 2").then_some(());
    eventually("it correlates", || correlates(metrics()));
    support::delete_topic(&broker.address, "alerts");
    play_founding_case(&broker.address);
    assert_eq!(told(&broker.address).len(), 1);
    assert!(metric(&metrics(), "faultline_transactions_total{outcome=\"aborted\"}") > 0, "{}", metrics());
    running.stop().unwrap();
}
