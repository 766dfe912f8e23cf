//! The rules in force, and how others come to be.
//!
//! One cell holds them for both stages. The scan stage takes what is in it after a flush, the correlate stage before a
//! report: as a match is read after it was written, the correlators know the rules that it is of.

use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::{task, time};
use tracing::{error, info, warn};

use super::Shared;
use crate::metrics::Metrics;
use crate::rules_files::{LoadError, RuleFiles};
use crate::ruleset::RuleSet;
use crate::scanner::matcher::Matcher;

/// Files that have just changed are looked at again after this, to see whether they change on.
const SETTLE: Duration = Duration::from_millis(500);

/// The rules to begin with, and the files to take others from.
pub struct Rules {
    pub(super) set: Arc<RuleSet>,
    pub(super) files: Option<RuleFiles>,
}

impl From<Arc<RuleSet>> for Rules {
    /// Rules that stay.
    fn from(set: Arc<RuleSet>) -> Self {
        Rules { set, files: None }
    }
}

impl From<(RuleSet, RuleFiles)> for Rules {
    fn from((set, files): (RuleSet, RuleFiles)) -> Self {
        Rules { set: Arc::new(set), files: Some(files) }
    }
}

/// What both stages work with; replaced only as a whole.
pub(super) struct InForce(watch::Sender<Arc<Matcher>>);

impl InForce {
    pub fn new(rules: Arc<RuleSet>, metrics: &Metrics) -> Self {
        let in_force = InForce(watch::Sender::new(Arc::new(Matcher::new(rules))));
        in_force.show(metrics);
        in_force
    }

    pub fn matcher(&self) -> Arc<Matcher> {
        Arc::clone(&self.0.borrow())
    }

    pub fn rules(&self) -> Arc<RuleSet> {
        Arc::clone(self.0.borrow().rules())
    }

    fn replace(&self, matcher: Matcher, metrics: &Metrics) {
        self.0.send_replace(Arc::new(matcher));
        self.show(metrics);
    }

    fn show(&self, metrics: &Metrics) {
        let count = self.0.borrow().rules().rules().len();
        metrics.rules.set(i64::try_from(count).unwrap_or(i64::MAX));
    }
}

/// SIGHUP, which ends the process unless somebody listens.
pub(super) struct Hangup(Option<Signal>);

impl Hangup {
    /// To be called inside a runtime.
    pub fn listen() -> Self {
        let signal = signal(SignalKind::hangup());
        Hangup(signal.inspect_err(|error| warn!("SIGHUP does not reload the rules: {error}")).ok())
    }

    pub fn ignore() -> Self {
        Hangup(None)
    }

    async fn heard(&mut self) {
        let heard = match &mut self.0 {
            Some(signal) => signal.recv().await,
            None => None,
        };
        if heard.is_none() {
            std::future::pending().await
        }
    }
}

/// Puts the rules of `files` in force whenever they change, and at a hangup. Does not end.
pub(super) async fn keep_up(shared: Arc<Shared>, files: Option<RuleFiles>, mut hangup: Hangup) {
    let interval = shared.config.limits.rules_reload_interval;
    let Some(mut files) = files else {
        loop {
            hangup.heard().await;
            info!("SIGHUP: the rules are built into the program, so there is nothing to reload");
        }
    };
    loop {
        let wait = if files.is_settled() { interval } else { interval.map(|interval| interval.min(SETTLE)) };
        let asked_for = tokio::select! {
            () = hangup.heard() => true,
            () = pause(wait) => false,
        };
        // Reading may block, and building takes long: neither is for this thread, let alone for a stage's.
        let looked = task::spawn_blocking(move || {
            let found = files.look(asked_for);
            (files, found.map(|found| found.map(|rules| Matcher::new(Arc::new(rules)))))
        });
        let Ok((looked_at, found)) = looked.await else {
            return error!("changes of the rules are not seen any more; this is a defect");
        };
        files = looked_at;
        if let Some(found) = found {
            take(&shared.rules, &shared.metrics, &files, found);
        }
    }
}

async fn pause(wait: Option<Duration>) {
    match wait {
        Some(wait) => time::sleep(wait).await,
        None => std::future::pending().await,
    }
}

fn take(in_force: &InForce, metrics: &Metrics, files: &RuleFiles, found: Result<Matcher, LoadError>) {
    match found {
        Ok(matcher) => {
            let rules = Arc::clone(matcher.rules());
            rules.warnings().for_each(|warning| warn!("{warning}"));
            in_force.replace(matcher, metrics);
            metrics.rules_reloaded.inc();
            info!("reloaded: {} rules from {} are in force", rules.rules().len(), files.path().display());
        }
        Err(error) => {
            metrics.rules_reload_failed.inc();
            let reason = match error {
                LoadError::Invalid(diagnostics) => diagnostics.indented(),
                error => format!(" {error}"),
            };
            error!("the changed rules cannot be used, those before stay in force:{reason}");
        }
    }
}
