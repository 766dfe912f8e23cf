//! Transactions that are open for longer than their producer asked for are aborted and the producer is fenced, as
//! Kafka's coordinator does.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use krafka::testing::FakeBroker;

/// Since when the transaction of an id and epoch is known to be open.
#[derive(Default)]
pub struct OpenTransactions(Mutex<BTreeMap<(String, i16), Instant>>);

impl OpenTransactions {
    /// What this id opens after now is another transaction.
    pub fn ended(&self, transactional_id: &str) {
        self.lock().retain(|(id, _), _| id != transactional_id);
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
        let mut since = self.lock();
        since.retain(|key, _| open.iter().any(|(other, _)| other == key));
        for (key, timeout) in open {
            let began = *since.entry(key.clone()).or_insert(now);
            if now >= began + timeout {
                broker.abort_transaction(&key.0);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(String, i16), Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
