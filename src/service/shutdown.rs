//! The wish to stop, shared by everything that runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tracing::{info, warn};

/// Cloned freely; once triggered it stays so.
#[derive(Clone, Debug, Default)]
pub struct Shutdown(Arc<AtomicBool>);

impl Shutdown {
    pub fn trigger(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub fn is_triggered(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// Triggers when dropped, unless disarmed: a stage that fails or panics takes the service down with it.
    pub(super) fn on_drop(&self) -> TriggerOnDrop {
        TriggerOnDrop(Some(self.clone()))
    }

    /// The first SIGTERM or SIGINT stops gracefully; the second one at once, and so does the end of `patience`
    /// (a call into the client library may hang as long as a broker does).
    pub(crate) async fn on_signals(self, patience: Duration) {
        if next_signal().await.is_err() {
            return;
        }
        info!("stopping; a second signal stops at once");
        self.trigger();
        let _ = tokio::time::timeout(patience, next_signal()).await;
        warn!("stopped at once: what was not committed will be read again");
        std::process::exit(1);
    }
}

pub(super) struct TriggerOnDrop(Option<Shutdown>);

impl TriggerOnDrop {
    pub(super) fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for TriggerOnDrop {
    fn drop(&mut self) {
        if let Some(shutdown) = self.0.take() {
            shutdown.trigger();
        }
    }
}

async fn next_signal() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_that_ends_badly_stops_the_others() {
        let shutdown = Shutdown::default();
        shutdown.on_drop().disarm();
        assert!(!shutdown.is_triggered());
        drop(shutdown.on_drop());
        assert!(shutdown.is_triggered());
    }
}
