//! Records handed over many at once are those that rdkafka's own polling hands over, against librdkafka's mock cluster.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use faultline::kafka::{Consumer, Event, Fetching, Link, Start};
use faultline::record::Partition;
use rdkafka::Message;
use rdkafka::message::{BorrowedHeaders, Headers};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use support::{DEADLINE, Put, config, eventually, produce};

type Mock = MockCluster<'static, DefaultProducerContext>;

const TOPIC: &str = "logs";
const PARTITIONS: i32 = 3;
const EACH: i64 = 2_500;

/// Records of every shape, more than are handed over at once.
fn filled() -> (Mock, String) {
    let mock = MockCluster::new(1).expect("a mock cluster");
    mock.create_topic(TOPIC, PARTITIONS, 1).expect("a topic");
    let brokers = mock.bootstrap_servers();
    for partition in 0..PARTITIONS {
        let record = |n: i64| Put {
            partition,
            key: (n % 3 == 0).then(|| format!("key {n}").into_bytes()),
            value: (n % 5 != 0).then(|| vec![b'v'; usize::try_from(n % 700).unwrap_or_default()]),
            headers: (0..n % 4).map(|h| (format!("header {h}"), format!("{n}").into_bytes())).collect(),
            timestamp_ms: Some(1_795_000_000_000 + n),
        };
        produce(&brokers, TOPIC, (0..EACH).map(record));
    }
    (mock, brokers)
}

/// All that can be asked of a record.
fn told(message: &impl Message<Headers = BorrowedHeaders>) -> String {
    let headers: Option<Vec<_>> = message
        .headers()
        .map(|headers| headers.iter().map(|header| format!("{}={:?}", header.key, header.value)).collect());
    format!(
        "{}[{}]@{} {:?} {:?} {:?} {headers:?}",
        message.topic(),
        message.partition(),
        message.offset(),
        message.timestamp(),
        message.key(),
        message.payload(),
    )
}

fn join(brokers: &str, group: &str, fetching: Fetching) -> Consumer {
    Consumer::join(&config(brokers).connection, group, &[TOPIC], fetching, Link::new(brokers)).unwrap()
}

/// One turn; answers what the group asks.
fn turn(consumer: &Consumer, mut each: impl FnMut(i32, i64, String) -> ControlFlow<()>) {
    let event = consumer
        .poll_many(Duration::from_millis(5), |message| each(message.partition(), message.offset(), told(message)));
    match event.unwrap() {
        Some(Event::Assigned(partitions)) => consumer.assign(&partitions, Start::Committed).unwrap(),
        Some(Event::Revoked(partitions)) => consumer.release(&partitions).unwrap(),
        Some(Event::Message(message)) => drop(each(message.partition(), message.offset(), told(&message))),
        _ => {}
    }
}

fn read_all(brokers: &str, fetching: Fetching) -> BTreeMap<i32, Vec<String>> {
    let consumer = join(brokers, &format!("{fetching:?}"), fetching);
    let mut read: BTreeMap<i32, Vec<String>> = BTreeMap::new();
    eventually("all records", || {
        // One by one it takes many turns.
        for _ in 0..1_000 {
            turn(&consumer, |partition, _, told| {
                read.entry(partition).or_default().push(told);
                ControlFlow::Continue(())
            });
        }
        (read.values().map(Vec::len).sum::<usize>() as i64 == EACH * i64::from(PARTITIONS)).then_some(())
    });
    assert!(consumer.close(DEADLINE), "it leaves the group");
    read
}

#[test]
fn both_ways_tell_the_same_in_the_same_order() {
    let (_mock, brokers) = filled();
    let (one, many) = (read_all(&brokers, Fetching::OneByOne), read_all(&brokers, Fetching::ManyAtOnce));
    assert_eq!(one.keys().collect::<Vec<_>>(), [&0, &1, &2]);
    for (one, many) in one.values().flatten().zip(many.values().flatten()) {
        assert_eq!(one, many);
    }
    assert_eq!(one, many);
}

#[test]
fn failed_fetches_and_stops_in_between_skip_nothing() {
    let (mock, brokers) = filled();
    mock.request_errors(RDKafkaApiKey::Fetch, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN; 3]);
    let consumer = join(&brokers, "g", Fetching::ManyAtOnce);
    let mut next: BTreeMap<i32, i64> = BTreeMap::new();
    let mut stopped = 0;
    eventually("all records", || {
        let mut left = 700;
        turn(&consumer, |partition, offset, _| {
            let expected = next.entry(partition).or_default();
            assert_eq!(offset, *expected, "in order, and each once");
            *expected += 1;
            left -= 1;
            if left > 0 {
                return ControlFlow::Continue(());
            }
            stopped += 1;
            ControlFlow::Break(())
        });
        assert!(left >= 0, "none comes after a break");
        (next.len() == 3 && next.values().all(|next| *next == EACH)).then_some(())
    });
    assert!(stopped > 5, "{stopped}");
    assert!(consumer.close(DEADLINE), "it leaves the group");
}

#[test]
fn a_panic_comes_through_and_the_rest_stays() {
    let (_mock, brokers) = filled();
    let consumer = join(&brokers, "g", Fetching::ManyAtOnce);
    let mut seen = Vec::new();
    eventually("a panic", || {
        let caught = catch_unwind(AssertUnwindSafe(|| {
            turn(&consumer, |partition, offset, _| {
                seen.push((partition, offset));
                panic!("as the test wants it")
            });
        }));
        caught.is_err().then_some(())
    });
    assert_eq!(seen.len(), 1);
    let (partition, offset) = seen[0];
    eventually("the next", || {
        turn(&consumer, |partition, offset, _| {
            seen.push((partition, offset));
            ControlFlow::Break(())
        });
        seen.contains(&(partition, offset + 1)).then_some(())
    });
    assert!(consumer.close(DEADLINE), "it leaves the group");
}

/// A member that keeps what it has read and where it would go on.
struct Member {
    consumer: Consumer,
    next: BTreeMap<Partition, i64>,
    assigned: Vec<i32>,
}

impl Member {
    fn join(brokers: &str) -> Self {
        Member { consumer: join(brokers, "g", Fetching::ManyAtOnce), next: BTreeMap::new(), assigned: Vec::new() }
    }

    /// At most one record, so that much is left in the queue whenever the group moves partitions.
    fn turn(&mut self, seen: &mut BTreeSet<(i32, i64)>) {
        let next = &mut self.next;
        let event = self.consumer.poll_many(Duration::from_millis(5), |message| {
            seen.insert((message.partition(), message.offset()));
            let partition = Partition { topic: message.topic().into(), partition: message.partition() };
            next.insert(partition, message.offset() + 1);
            ControlFlow::Break(())
        });
        match event.unwrap() {
            Some(Event::Assigned(partitions)) => {
                self.assigned.extend(partitions.iter().map(|partition| partition.partition));
                self.consumer.assign(&partitions, Start::Committed).unwrap();
            }
            Some(Event::Revoked(partitions)) => {
                let next: Vec<(Partition, i64)> =
                    partitions.iter().filter_map(|gone| self.next.remove_entry(gone)).collect();
                // The mock may refuse it; then they are read again.
                let _ = self.consumer.commit_and_wait(&next);
                self.consumer.release(&partitions).unwrap();
            }
            Some(Event::Message(message)) => panic!("{} came past the queue", message.offset()),
            _ => {}
        }
    }
}

#[test]
fn partitions_that_go_and_come_back_lose_nothing() {
    let (_mock, brokers) = filled();
    let mut seen = BTreeSet::new();
    let mut first = Member::join(&brokers);
    eventually("a hundred records", || {
        first.turn(&mut seen);
        (seen.len() >= 100).then_some(())
    });
    let mut second = Member::join(&brokers);
    eventually("the second reads", || {
        first.turn(&mut seen);
        second.turn(&mut seen);
        (second.next.values().sum::<i64>() >= 100).then_some(())
    });
    assert_eq!(first.assigned.len(), 3);
    let next: Vec<(Partition, i64)> = std::mem::take(&mut second.next).into_iter().collect();
    let _ = second.consumer.commit_and_wait(&next);
    assert!(second.consumer.close(DEADLINE), "it leaves the group");
    eventually("all records", || {
        for _ in 0..1_000 {
            first.turn(&mut seen);
        }
        (seen.len() as i64 == EACH * i64::from(PARTITIONS)).then_some(())
    });
    assert!(first.assigned.len() > 3, "some came back: {:?}", first.assigned);
    assert!(first.consumer.close(DEADLINE), "it leaves the group");
}
