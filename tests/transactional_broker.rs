//! The broker that the chaos test relies on does what Kafka's transactions promise. Skipped where
//! FAULTLINE_TEST_TXN_BROKER names no broker.

mod support;

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use support::transactional::TransactionalBroker;
use support::{Got, Put, client_config, committed, create_topics, eventually, produce, read_until};

const TIMEOUT: Duration = Duration::from_secs(30);

fn producer(broker: &str, id: &str, timeout: Duration) -> BaseProducer {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", broker)
        .set("transactional.id", id)
        .set("transaction.timeout.ms", timeout.as_millis().to_string())
        .create()
        .unwrap();
    producer.init_transactions(TIMEOUT).unwrap();
    producer
}

fn send(producer: &BaseProducer, value: &str) {
    producer.send(BaseRecord::<(), str>::to("alerts").partition(0).payload(value)).map_err(|(error, _)| error).unwrap();
    producer.flush(TIMEOUT).unwrap();
}

fn values(got: &[Got]) -> Vec<String> {
    got.iter().map(|got| String::from_utf8(got.value.clone().unwrap()).unwrap()).collect()
}

/// What a reader of committed records sees up to the mark, which is produced without a transaction and then seen.
fn committed_values(broker: &str, mark: &str) -> Vec<String> {
    produce(broker, "alerts", [Put::value(mark)]);
    let got = read_until(broker, "alerts", 1, |got| values(got).iter().any(|value| value == mark));
    values(&got).into_iter().filter(|value| !value.starts_with("mark")).collect()
}

#[test]
fn what_is_committed_is_seen_and_what_is_aborted_is_not() {
    let Some(broker) = TransactionalBroker::start() else { return };
    create_topics(&broker.address, &[("alerts", 1)]);
    let producer = producer(&broker.address, "one", TIMEOUT);
    for (value, commits) in [("a", true), ("b", false), ("c", true), ("d", false)] {
        producer.begin_transaction().unwrap();
        send(&producer, value);
        let end = if commits { producer.commit_transaction(TIMEOUT) } else { producer.abort_transaction(TIMEOUT) };
        end.unwrap();
    }
    assert_eq!(committed_values(&broker.address, "mark"), ["a", "c"]);
}

#[test]
fn an_open_transaction_holds_readers_up_until_its_time_is_over() {
    let Some(broker) = TransactionalBroker::start() else { return };
    create_topics(&broker.address, &[("alerts", 1)]);
    let opened = producer(&broker.address, "open", Duration::from_secs(2));
    opened.begin_transaction().unwrap();
    send(&opened, "open");
    produce(&broker.address, "alerts", [Put::value("mark behind it")]);
    let reader: BaseConsumer = client_config(&broker.address, "reader").create().unwrap();
    let (_, end) = reader.fetch_watermarks("alerts", 0, TIMEOUT).unwrap();
    // What librdkafka tells a reader of committed records is the last stable offset.
    assert_eq!(end, 0, "the open transaction begins at 0");
    assert!(committed_values(&broker.address, "mark").is_empty());
    assert!(opened.commit_transaction(TIMEOUT).is_err(), "it was aborted in the meantime");
}

#[test]
fn a_zombie_is_fenced() {
    let Some(broker) = TransactionalBroker::start() else { return };
    create_topics(&broker.address, &[("alerts", 1)]);
    let zombie = producer(&broker.address, "same", TIMEOUT);
    zombie.begin_transaction().unwrap();
    send(&zombie, "zombie");
    let next = producer(&broker.address, "same", TIMEOUT);
    next.begin_transaction().unwrap();
    send(&next, "next");
    next.commit_transaction(TIMEOUT).unwrap();
    let refused = zombie.commit_transaction(TIMEOUT).unwrap_err();
    assert!(matches!(&refused, KafkaError::Transaction(error) if error.is_fatal()), "{refused:?}");
    assert_eq!(committed_values(&broker.address, "mark"), ["next"]);
}

/// A member of the group that reads `input`, as soon as it owns this many partitions.
struct Member(BaseConsumer);

impl Member {
    fn join(broker: &str) -> Self {
        let consumer: BaseConsumer = client_config(broker, "group")
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", "6000")
            .set("heartbeat.interval.ms", "300")
            .create()
            .unwrap();
        consumer.subscribe(&["input"]).unwrap();
        Member(consumer)
    }

    fn owns(&self) -> usize {
        let _ = self.0.poll(Duration::from_millis(20));
        self.0.assignment().unwrap().count()
    }
}

fn offset(next: i64) -> TopicPartitionList {
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset("input", 0, Offset::Offset(next)).unwrap();
    offsets
}

#[test]
fn offsets_go_with_the_transaction_and_who_is_no_member_any_more_is_refused() {
    let Some(broker) = TransactionalBroker::start() else { return };
    create_topics(&broker.address, &[("alerts", 1), ("input", 2)]);
    let first = Member::join(&broker.address);
    eventually("it owns all", || (first.owns() == 2).then_some(()));
    let old = first.0.group_metadata().unwrap();
    let producer = producer(&broker.address, "one", TIMEOUT);
    for (next, commits) in [(5, true), (7, false)] {
        producer.begin_transaction().unwrap();
        send(&producer, &next.to_string());
        producer.send_offsets_to_transaction(&offset(next), &old, TIMEOUT).unwrap();
        let end = if commits { producer.commit_transaction(TIMEOUT) } else { producer.abort_transaction(TIMEOUT) };
        end.unwrap();
        assert_eq!(committed(&broker.address, "group", "input", 0), Some(5));
    }

    let second = Member::join(&broker.address);
    eventually("both own one", || (first.owns() == 1 && second.owns() == 1).then_some(()));
    producer.begin_transaction().unwrap();
    let refused = producer.send_offsets_to_transaction(&offset(9), &old, TIMEOUT).unwrap_err();
    assert_eq!(refused.rdkafka_error_code(), Some(RDKafkaErrorCode::IllegalGeneration), "{refused:?}");
    producer.abort_transaction(TIMEOUT).unwrap();

    drop(first);
    eventually("the second takes over", || (second.owns() == 2).then_some(()));
    let new = second.0.group_metadata().unwrap();
    producer.begin_transaction().unwrap();
    producer.send_offsets_to_transaction(&offset(9), &new, TIMEOUT).unwrap();
    producer.commit_transaction(TIMEOUT).unwrap();
    assert_eq!(committed(&broker.address, "group", "input", 0), Some(9));
}

#[test]
fn data_groups_and_offsets_outlast_a_restart() {
    let Some(mut broker) = TransactionalBroker::start() else { return };
    create_topics(&broker.address, &[("alerts", 1), ("input", 2)]);
    let member = Member::join(&broker.address);
    eventually("it owns all", || (member.owns() == 2).then_some(()));
    let producer = producer(&broker.address, "one", TIMEOUT);
    producer.begin_transaction().unwrap();
    send(&producer, "before");
    broker.restart(Duration::from_millis(500));
    send(&producer, "after");
    producer.commit_transaction(TIMEOUT).unwrap();
    assert_eq!(committed_values(&broker.address, "mark"), ["before", "after"]);
    member.0.commit(&offset(3), CommitMode::Sync).unwrap();
    assert_eq!(committed(&broker.address, "group", "input", 0), Some(3));
}

#[test]
fn a_lost_answer_writes_and_commits_once() {
    let Some(mut broker) = TransactionalBroker::start() else { return };
    create_topics(&broker.address, &[("alerts", 1)]);
    let producer = producer(&broker.address, "one", TIMEOUT);
    for (api, value) in [("produce", "a"), ("end-txn", "b"), ("add-partitions-to-txn", "c")] {
        broker.order(&format!("lose {api} 1"));
        producer.begin_transaction().unwrap();
        send(&producer, value);
        producer.commit_transaction(TIMEOUT).unwrap();
    }
    assert_eq!(committed_values(&broker.address, "mark"), ["a", "b", "c"]);
    // The broker can refuse, too: 29 is TOPIC_AUTHORIZATION_FAILED.
    broker.order("error offset-commit 1 29");
    let reader: BaseConsumer = client_config(&broker.address, "reader").create().unwrap();
    let refused = reader.commit(&offset(1), CommitMode::Sync).unwrap_err();
    assert_eq!(refused.rdkafka_error_code(), Some(RDKafkaErrorCode::TopicAuthorizationFailed), "{refused:?}");
}
