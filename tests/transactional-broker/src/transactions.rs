//! Transactions that are open for longer than their producer asked for are aborted and the producer is fenced, as
//! Kafka's coordinator does.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use krafka::testing::{BrokerTransaction, FakeBroker};

/// How many transactions are open; with a topic only those that wrote to it.
pub fn open(broker: &FakeBroker, topic: Option<&str>) -> usize {
    let is_open = |transaction: &&BrokerTransaction| {
        transaction.is_open() && topic.is_none_or(|topic| wrote_to(transaction, topic))
    };
    broker.with_state(|state| state.transactions.values().filter(is_open).count())
}

fn wrote_to(transaction: &BrokerTransaction, topic: &str) -> bool {
    transaction.partitions.iter().any(|(written, _)| written == topic)
}

/// What is known of transactions beside what the library knows.
#[derive(Default)]
pub struct OpenTransactions {
    /// Since when the transaction of an id and epoch is known to be open.
    since: Mutex<BTreeMap<(String, i16), Instant>>,
    /// Transactions that wrote to this topic are not to be ended, so many times.
    unfinished: Mutex<Option<(String, u32)>>,
}

impl OpenTransactions {
    /// Orders that transactions that wrote to the topic are not ended, so many times; or that all are.
    pub fn leave_unfinished(&self, order: Option<(String, u32)>) {
        *lock(&self.unfinished) = order;
    }

    /// Whether this request to end a transaction goes unheard.
    pub fn stays_unfinished(&self, broker: &FakeBroker, transactional_id: &str) -> bool {
        let mut unfinished = lock(&self.unfinished);
        let Some((topic, left)) = unfinished.as_mut().filter(|(_, left)| *left > 0) else { return false };
        let of_it = |transaction: &BrokerTransaction| wrote_to(transaction, topic);
        let hit = broker.with_state(|state| state.transactions.get(transactional_id).is_some_and(of_it));
        *left -= u32::from(hit);
        hit
    }

    /// What this id opens after now is another transaction.
    pub fn ended(&self, transactional_id: &str) {
        lock(&self.since).retain(|(id, _), _| id != transactional_id);
    }

    /// Aborts what is overdue. Time that passed while nobody could reach the broker counts like any other.
    pub fn abort_overdue(&self, broker: &FakeBroker, now: Instant) {
        let open: Vec<((String, i16), Duration)> = broker.with_state(|state| {
            let open = state.transactions.iter().filter(|(_, transaction)| transaction.is_open());
            open.map(|(id, transaction)| {
                let millis = u64::try_from(transaction.transaction_timeout_ms).unwrap_or(0);
                ((id.clone(), transaction.producer_epoch), Duration::from_millis(millis))
            })
            .collect()
        });
        let mut since = lock(&self.since);
        since.retain(|key, _| open.iter().any(|(other, _)| other == key));
        for (key, timeout) in open {
            let began = *since.entry(key.clone()).or_insert(now);
            if now >= began + timeout {
                broker.abort_transaction(&key.0);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
