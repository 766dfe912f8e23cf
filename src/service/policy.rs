//! Routes and silences in force, and how other silences come to be.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task;
use tracing::{error, info};

use super::Shared;
use super::reload::pause;
use crate::metrics::Metrics;
use crate::notifier::{Policy, Silences};
use crate::silences_file::{LoadError, SilencesFile};

/// A file that has just changed is looked at again after this, to see whether it changes on.
const SETTLE: Duration = Duration::from_millis(500);

/// What decides who is told; replaced only as a whole.
pub(super) struct PolicyInForce(Mutex<Arc<Policy>>);

impl PolicyInForce {
    pub fn new(policy: Policy, metrics: &Metrics) -> Self {
        show(&policy, metrics);
        PolicyInForce(Mutex::new(Arc::new(policy)))
    }

    pub fn get(&self) -> Arc<Policy> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn silence(&self, silences: Silences, metrics: &Metrics) {
        let mut policy = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *policy = Arc::new(Policy { silences: Arc::new(silences), ..Policy::clone(&policy) });
        show(&policy, metrics);
    }
}

fn show(policy: &Policy, metrics: &Metrics) {
    metrics.silences.set(i64::try_from(policy.silences.len()).unwrap_or(i64::MAX));
}

/// Puts the silences of `file` in force whenever it changes, and at a hangup. Does not end.
pub(super) async fn keep_up(shared: Arc<Shared>, mut file: SilencesFile) {
    let interval = shared.config.limits.rules_reload_interval;
    loop {
        let wait = if file.is_settled() { interval } else { interval.map(|interval| interval.min(SETTLE)) };
        let asked_for = tokio::select! {
            () = shared.hangup.notified() => true,
            () = pause(wait) => false,
        };
        let looked = task::spawn_blocking(move || {
            let found = file.look(asked_for);
            (file, found)
        });
        let Ok((looked_at, found)) = looked.await else {
            return error!("changes of the silences are not seen any more; this is a defect");
        };
        file = looked_at;
        if let Some(found) = found {
            take(&shared, &file, found);
        }
    }
}

fn take(shared: &Shared, file: &SilencesFile, found: Result<Silences, LoadError>) {
    match found {
        Ok(silences) => {
            info!("reloaded: {} silences and mute windows from {} are in force", silences.len(), file.path().display());
            shared.policy.silence(silences, &shared.metrics);
        }
        Err(error) => {
            shared.metrics.silences_reload_failed.inc();
            error!("the changed silences cannot be used, those before stay in force: {error}");
        }
    }
}
