//! The rules in force, and how others come to be.
//!
//! One cell holds them for both stages. The scan stage takes what is in it after a flush, the correlate stage before a
//! report: as a match is read after it was written, the correlators know the rules that it is of.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
use crate::scanner::prefilter::Traffic;

/// Files that have just changed are looked at again after this, to see whether they change on.
const SETTLE: Duration = Duration::from_millis(500);

/// How often it is looked whether rules are looked for by what is common. A look reads the sample once; another choice is
/// made seldom, and on a thread of its own.
const ADAPT_EVERY: Duration = Duration::from_secs(60);

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
pub(super) struct InForce {
    matcher: watch::Sender<Arc<Matcher>>,
    /// A sample of what was seen lately, for the next one.
    traffic: Mutex<Traffic>,
}

impl InForce {
    pub fn new(rules: Arc<RuleSet>, metrics: &Metrics) -> Self {
        let matcher = watch::Sender::new(Arc::new(Matcher::new(rules)));
        let in_force = InForce { matcher, traffic: Mutex::default() };
        in_force.show(metrics);
        in_force
    }

    pub fn matcher(&self) -> Arc<Matcher> {
        Arc::clone(&self.matcher.borrow())
    }

    pub fn rules(&self) -> Arc<RuleSet> {
        Arc::clone(self.matcher.borrow().rules())
    }

    /// Takes note of messages that a scan stage saw.
    pub fn saw(&self, seen: Traffic) {
        if !seen.is_empty() {
            self.lock_traffic().append(seen);
        }
    }

    fn traffic(&self) -> Traffic {
        self.lock_traffic().clone()
    }

    fn lock_traffic(&self) -> MutexGuard<'_, Traffic> {
        self.traffic.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn replace(&self, matcher: Matcher, metrics: &Metrics) {
        self.matcher.send_replace(Arc::new(matcher));
        self.show(metrics);
    }

    /// Looks for the same rules by something else, unless others came into force meanwhile. Says whether it did.
    fn adapt(&self, matcher: Matcher) -> bool {
        self.matcher.send_if_modified(|current| {
            let is_same = Arc::ptr_eq(current.rules(), matcher.rules());
            if is_same {
                *current = Arc::new(matcher);
            }
            is_same
        })
    }

    fn show(&self, metrics: &Metrics) {
        let count = self.matcher.borrow().rules().rules().len();
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
            shared.hangup.notify_one();
            info!("SIGHUP: the rules are built into the program, so there is nothing to reload");
        }
    };
    loop {
        let wait = if files.is_settled() { interval } else { interval.map(|interval| interval.min(SETTLE)) };
        let asked_for = tokio::select! {
            () = hangup.heard() => {
                shared.hangup.notify_one();
                true
            }
            () = pause(wait) => false,
        };
        // Reading may block, and building takes long: neither is for this thread, let alone for a stage's.
        let in_force = Arc::clone(&shared);
        let looked = task::spawn_blocking(move || {
            let found = files.look(asked_for);
            let built = |rules| Matcher::suited_to(Arc::new(rules), &in_force.rules.traffic());
            (files, found.map(|found| found.map(built)))
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

/// Has rules looked for by what is rare in what comes, when what they are looked for by is not. Does not end.
pub(super) async fn adapt(shared: Arc<Shared>) {
    loop {
        time::sleep(ADAPT_EVERY).await;
        let in_force = Arc::clone(&shared);
        let better = task::spawn_blocking(move || in_force.rules.matcher().better_suited_to(&in_force.rules.traffic()));
        if let Ok(Some(matcher)) = better.await
            && shared.rules.adapt(matcher)
        {
            shared.metrics.prefilter_adapted.inc();
            info!("some rules are now looked for by literals that are rarer in these logs");
        }
    }
}

pub(super) async fn pause(wait: Option<Duration>) {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Arc<RuleSet> {
        let rule = "- {id: a, title: t, severity: error, match: {log: {all: [xqz-gateway, connection refused]}}}";
        Arc::new(RuleSet::parse(&[("r.yaml", rule)]).unwrap())
    }

    #[test]
    fn a_better_choice_is_taken_unless_the_rules_have_changed() {
        let in_force = InForce::new(rules(), &Metrics::default());
        let mut seen = Traffic::default();
        (0..100).for_each(|_| seen.add(b"xqz-gateway served it"));
        in_force.saw(seen.clone());
        let better = || in_force.matcher().better_suited_to(&in_force.traffic());
        let candidates = || seen.candidates(in_force.matcher().prefilter());

        let (first, late) = (better().unwrap(), better().unwrap());
        assert_eq!(candidates(), 100);
        assert!(in_force.adapt(first));
        assert_eq!(candidates(), 0);
        assert!(better().is_none(), "it is good now");

        in_force.replace(Matcher::new(rules()), &Metrics::default());
        assert!(!in_force.adapt(late), "it is of the rules before");
        assert_eq!(candidates(), 100);
    }
}
