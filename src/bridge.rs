//! `faultline bridge`: carries alerts from a topic to a receiver behind HTTP.
//!
//! One plain thread reads, asks the [`courier`] what to do, makes the requests and commits; HTTP for
//! metrics and health, and signals, beside it. All that decides is the courier's.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tracing::{error, info, warn};

use crate::courier;
use crate::http;
use crate::kafka::{self, Cluster, Connection, Link, TopicSpec};
use crate::service::Shutdown;
use crate::service::vitals::Vitals;

mod letters;
mod metrics;
mod post;
mod stage;

pub use letters::HEADER_STATUS;
pub use metrics::{LIMITS, Metrics};
pub use post::{Options as PostOptions, read_authorities};

use post::Poster;
use stage::Stage;

/// Short, so that Ctrl-C is heard at once.
const ASK_TIMEOUT: Duration = Duration::from_millis(250);
/// Between the time that a graceful stop may take and the end of patience with it.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// What a bridge needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    pub connection: Connection,
    pub group_id: String,
    pub topic: String,
    pub dead_letter: TopicSpec,
    /// Bytes of a dead letter with its key and headers; the value of a larger one is cut.
    pub dead_letter_bytes: usize,
    pub courier: courier::Options,
    pub post: PostOptions,
    /// Records before the committed offset that are read again to know what the receiver was told.
    pub history: i64,
    /// How long a stop may take.
    pub shutdown_timeout: Duration,
    /// A bridge that does not come round for this long counts as stuck.
    pub stuck_after: Duration,
    /// Where `/metrics`, `/healthz` and `/readyz` are; `None`: nowhere.
    pub http_listen: Option<SocketAddr>,
    /// Whether a bridge that cannot listen there is not to run.
    pub http_required: bool,
    /// Whether the process's signals are heard.
    pub signals: bool,
    /// For the jitter of waits.
    pub seed: u64,
}

/// Why the bridge ended before it should have, in words for the person who runs it.
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

/// What the thread and the endpoints share.
struct Shared {
    config: Config,
    shutdown: Shutdown,
    metrics: Arc<Metrics>,
    link: Arc<Link>,
    vitals: Vitals,
}

/// Runs until `shutdown` or a signal.
///
/// # Errors
/// What waiting does not mend: a port in use, access denied, …
pub fn run(config: Config, shutdown: Shutdown) -> Result<(), Error> {
    run_with(config, shutdown, Arc::default())
}

/// [`run`] with metrics that the caller can look at.
///
/// # Errors
/// As for [`run`].
pub fn run_with(config: Config, shutdown: Shutdown, metrics: Arc<Metrics>) -> Result<(), Error> {
    let poster = Poster::new(&config.post)?;
    let listener = match config.http_listen.map(http::bind).transpose() {
        Ok(listener) => listener,
        Err(error) if config.http_required => return Err(Error::new(error)),
        Err(error) => {
            warn!("{error}; going on without");
            None
        }
    };
    let link = Link::new(&config.connection.brokers);
    let shared = Arc::new(Shared { shutdown: shutdown.clone(), metrics, link, vitals: Vitals::new("bridge"), config });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("http")
        .enable_all()
        .build()
        .map_err(|e| Error::new(format!("cannot start threads: {e}")))?;
    if shared.config.signals {
        runtime.spawn(shutdown.on_signals(shared.config.shutdown_timeout + STOP_GRACE));
    }
    if let Some(listener) = listener {
        let inside: Arc<dyn http::Inside> = shared.clone();
        runtime.spawn(async move {
            if let Err(error) = http::serve(listener, inside).await {
                error!("metrics and health are not served any more: {error}");
            }
        });
    }
    let result = carry(&shared, poster);
    runtime.shutdown_background();
    result
}

fn carry(shared: &Shared, poster: Poster) -> Result<(), Error> {
    shared.vitals.begin();
    let cluster = Cluster::new(&shared.config.connection, Arc::clone(&shared.link))?;
    if !shared.prepare(&cluster)? {
        return Ok(());
    }
    let result = Stage::new(shared, &cluster, poster)?.run();
    shared.vitals.end();
    result
}

impl Shared {
    /// Waits for a broker and creates the dead-letter topic. False: the wish to stop came first.
    fn prepare(&self, cluster: &Cluster) -> Result<bool, Error> {
        while !self.shutdown.is_triggered() {
            self.vitals.beat();
            let Some(existing) = cluster.topics(ASK_TIMEOUT)? else {
                self.link.remind();
                continue;
            };
            let created = cluster.create_missing(std::slice::from_ref(&self.config.dead_letter), &existing)?;
            if !created.is_empty() {
                info!("created topics: {}", created.join(", "));
            }
            if !existing.contains_key(&self.config.topic) {
                info!("waiting for topic `{}`, which does not exist yet", self.config.topic);
            }
            return Ok(true);
        }
        Ok(false)
    }
}

impl http::Inside for Shared {
    fn metrics(&self) -> Result<String, fmt::Error> {
        self.metrics.encode()
    }

    fn healthy(&self) -> Result<(), String> {
        self.vitals.healthy(self.config.stuck_after)
    }

    fn ready(&self) -> Result<(), String> {
        if !self.link.is_up() {
            return Err(self.link.why_down());
        }
        self.vitals.ready()
    }
}
