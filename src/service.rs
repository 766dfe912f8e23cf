//! `faultline run`: the two stages over Kafka, each on a thread of its own (the first on several, if so wished, each of
//! them a member of the consumer group), with HTTP and signals beside them.
//!
//! ```text
//! inputs ─> ScanStage (Scanner) ─> reports topic ─> CorrelateStage (Correlator per cluster) ─> outputs
//!                └─> dead-letter topic <─ unreadable reports ─┘
//! ```
//! Both stages commit their input's offsets only with, or after, everything that was made of them, so a crash
//! repeats work but loses none; the correlator drops what it has seen, and makes the same alerts with the same ids.

use std::fmt;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::Notify;
use tracing::{error, info};

use crate::http;
use crate::kafka::{self, Cluster, Link};
use crate::metrics::{LIMITS, LimitLabel, Metrics};
use crate::time::Timestamp;

/// Open to `tests/log_simulation.rs`, like what else is public here beside the service itself.
pub mod acks;
mod bounded;
mod config;
mod correlate_stage;
pub mod dead_letter;
mod outbox;
pub mod owned;
mod policy;
mod reached;
mod reload;
mod scan_stage;
mod shutdown;
mod startup;
pub(crate) mod vitals;

pub use config::{Config, Input, Limits};
pub use reload::Rules;
pub use scan_stage::continuity;
pub use shutdown::Shutdown;

use config::Inputs;
use correlate_stage::CorrelateStage;
use policy::PolicyInForce;
use reached::{Members, Reached};
use reload::{Hangup, InForce};
use scan_stage::{ScanStage, Work};
use startup::Targets;
use vitals::Vitals;

/// Between the time that a graceful stop may take and the end of patience with it.
const STOP_GRACE: Duration = Duration::from_secs(5);
/// In a bounded run, which waits for ends, brokers are asked often whether there is more.
const BOUNDED_FETCH_WAIT: Duration = Duration::from_millis(50);

/// Which stages this process runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stages {
    pub scan: bool,
    pub correlate: bool,
}

impl Stages {
    pub const ALL: Stages = Stages { scan: true, correlate: true };
}

/// Why the service ended before it should have, in words for the person who runs it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Error {
    message: String,
}

impl Error {
    fn new(message: impl Into<String>) -> Self {
        Error { message: message.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl From<kafka::Error> for Error {
    fn from(error: kafka::Error) -> Self {
        Error::new(error.to_string())
    }
}

/// How a stage ended when nothing went wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ended {
    /// Somebody wished it.
    Stopped,
    /// The end of a bounded run.
    AtTheEnd,
}

/// What the threads of one service share.
struct Shared {
    config: Config,
    inputs: Inputs,
    rules: InForce,
    policy: PolicyInForce,
    /// Somebody asked for files to be read again.
    hangup: Notify,
    stages: Stages,
    until_end: bool,
    shutdown: Shutdown,
    metrics: Arc<Metrics>,
    link: Arc<Link>,
    cluster: Cluster,
    /// One of each scan thread.
    scan: Vec<Vitals>,
    correlate: Vitals,
    /// For bounded runs: what the scan threads have read to its end.
    reached: Reached,
}

/// Runs until `shutdown` or, where the configuration has it listen, a signal; or with `until_end` until all that was
/// there at the start is processed and its alerts are acknowledged.
///
/// # Errors
/// What waiting does not mend: a port in use, access denied, an input that a bounded run cannot find, …
pub fn run(
    config: Config,
    rules: impl Into<Rules>,
    stages: Stages,
    until_end: bool,
    shutdown: Shutdown,
) -> Result<(), Error> {
    run_with(config, rules, stages, until_end, shutdown, Arc::default())
}

/// [`run`] with metrics that the caller can look at.
///
/// # Errors
/// As for [`run`].
pub fn run_with(
    mut config: Config,
    rules: impl Into<Rules>,
    stages: Stages,
    until_end: bool,
    shutdown: Shutdown,
    metrics: Arc<Metrics>,
) -> Result<(), Error> {
    let listener = config.http_listen.map(http::bind).transpose().map_err(Error::new)?;
    let link = Link::new(&config.connection.brokers);
    if until_end {
        config.connection.limits.fetch_wait = BOUNDED_FETCH_WAIT;
    }
    let Rules { set, files } = rules.into();
    let shared = Arc::new(Shared {
        inputs: Inputs::new(&config)?,
        cluster: Cluster::new(&config.connection, Arc::clone(&link))?,
        scan: (0..config.scan_threads.max(1)).map(|_| Vitals::new("scan")).collect(),
        policy: PolicyInForce::new(config.policy.clone(), &metrics),
        hangup: Notify::new(),
        config,
        rules: InForce::new(set, &metrics),
        stages,
        until_end,
        shutdown: shutdown.clone(),
        metrics,
        link,
        correlate: Vitals::new("correlate"),
        reached: Reached::default(),
    });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("http")
        .enable_all()
        .build()
        .map_err(|e| Error::new(format!("cannot start threads: {e}")))?;
    let guard = runtime.enter();
    let hangup = if shared.config.signals {
        runtime.spawn(shutdown.on_signals(shared.config.limits.shutdown_timeout + STOP_GRACE));
        Hangup::listen()
    } else {
        Hangup::ignore()
    };
    drop(guard);
    runtime.spawn(reload::keep_up(Arc::clone(&shared), files, hangup));
    if let Some(file) = shared.config.silences.clone() {
        runtime.spawn(policy::keep_up(Arc::clone(&shared), file));
    }
    runtime.spawn(reload::adapt(Arc::clone(&shared)));
    if let Some(listener) = listener {
        let inside: Arc<dyn http::Inside> = shared.clone();
        runtime.spawn(async move {
            if let Err(error) = http::serve(listener, inside).await {
                error!("metrics and health are not served any more: {error}");
            }
        });
    }
    let result = run_stages(&shared);
    runtime.shutdown_background();
    result
}

fn run_stages(shared: &Shared) -> Result<(), Error> {
    let Some(found) = startup::prepare(shared, &shared.inputs)? else {
        return shared.verdict(Ended::Stopped);
    };
    let known = found.report_ends.clone();
    let (tell, told) = mpsc::channel();
    let members = Members::new(shared.scan.len(), tell);
    thread::scope(|scope| {
        let scan = |number: usize| {
            let (found, member) = (found.of_member(number), members.member());
            move || {
                let work = Work::new(shared, number, ScanStage::producer(shared)?);
                ScanStage::new(shared, number, work, found)?.run(member)
            }
        };
        let correlate = || {
            let told = shared.stages.scan.then_some(told);
            CorrelateStage::new(shared, Ends { known, told })?.run()
        };
        let scanning = shared.scan.iter().enumerate().take_while(|_| shared.stages.scan);
        let mut stages: Vec<_> =
            scanning.map(|(number, vitals)| spawn(scope, shared, vitals, "scan", scan(number))).collect();
        stages.extend(shared.stages.correlate.then(|| spawn(scope, shared, &shared.correlate, "correlate", correlate)));
        let results: Vec<_> = stages.into_iter().map(|stage| stage.and_then(join)).collect();
        // What went wrong in one stage says more than that the other was stopped for it.
        let ended: Vec<Ended> = results.into_iter().collect::<Result<_, Error>>()?;
        ended.into_iter().try_for_each(|ended| shared.verdict(ended))
    })
}

/// Where a bounded run of the correlate stage ends.
struct Ends {
    /// What was there at the start, left by an earlier run perhaps.
    known: Targets,
    /// What the scan threads of this process have added, told when all are through.
    told: Option<mpsc::Receiver<Targets>>,
}

type Handle<'scope> = thread::ScopedJoinHandle<'scope, Result<Ended, Error>>;

/// A stage that ends badly takes the others with it.
fn spawn<'scope, 'env>(
    scope: &'scope thread::Scope<'scope, 'env>,
    shared: &'env Shared,
    vitals: &'env Vitals,
    name: &'static str,
    stage: impl FnOnce() -> Result<Ended, Error> + Send + 'scope,
) -> Result<Handle<'scope>, Error> {
    let run = move || {
        let guard = shared.shutdown.on_drop();
        vitals.begin();
        let result = stage();
        vitals.end();
        if let Ok(ended) = &result {
            info!("the {name} stage ended: {ended:?}");
            guard.disarm();
        }
        result
    };
    thread::Builder::new()
        .name(name.to_owned())
        .spawn_scoped(scope, run)
        .map_err(|e| Error::new(format!("cannot start a thread: {e}")))
}

fn join(handle: Handle<'_>) -> Result<Ended, Error> {
    let name = handle.thread().name().unwrap_or("a").to_owned();
    handle.join().unwrap_or_else(|_| Err(Error::new(format!("the {name} stage broke down; this is a defect"))))
}

impl Shared {
    fn verdict(&self, ended: Ended) -> Result<(), Error> {
        match ended {
            Ended::Stopped if self.until_end => Err(Error::new("stopped before the end of the input was reached")),
            Ended::Stopped | Ended::AtTheEnd => Ok(()),
        }
    }

    /// For waits inside a stage: shows that it lives, and says whether to wait on.
    fn keep_trying(&self, vitals: &Vitals) -> bool {
        vitals.beat();
        !self.shutdown.is_triggered()
    }

    /// How long a stop may take; without a broker there is nothing to wait for.
    fn stop_timeout(&self) -> Duration {
        let limit = self.config.limits.shutdown_timeout;
        if self.link.is_up() { limit } else { limit.min(Duration::from_secs(1)) }
    }

    fn limit_hit(&self, limit: &'static str) {
        self.limit_hits(limit, 1);
    }

    fn limit_hits(&self, limit: &'static str, hits: u64) {
        debug_assert!(LIMITS.contains(&limit), "{limit}");
        if hits > 0 {
            self.metrics.limits.get_or_create(&LimitLabel { limit }).inc_by(hits);
        }
    }

    fn running(&self) -> impl Iterator<Item = &Vitals> {
        let scan = self.scan.iter().take_while(|_| self.stages.scan);
        scan.chain(self.stages.correlate.then_some(&self.correlate))
    }
}

impl http::Inside for Shared {
    fn metrics(&self) -> Result<String, fmt::Error> {
        self.metrics.encode()
    }

    fn healthy(&self) -> Result<(), String> {
        self.running().try_for_each(|vitals| vitals.healthy(self.config.limits.stuck_after))
    }

    fn ready(&self) -> Result<(), String> {
        if !self.link.is_up() {
            return Err(self.link.why_down());
        }
        self.running().try_for_each(Vitals::ready)
    }
}

/// The wall clock, for what only people read.
fn wall_clock() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}
