//! `faultline demo`: the founding case, played in real time through an embedded broker and the real service.
//!
//! The broker is librdkafka's mock cluster: it lives in this process and speaks the Kafka protocol on a TCP port of
//! this machine. Five minutes of history are written at once, then the rollout is played live. What is shown of the
//! verdict comes from the alerts topic, like any bridge would read it.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use thiserror::Error;

use crate::alert::{Alert, Scope, Status, Verdict};
use crate::ruleset::RuleSet;
use crate::scenario::{self, Scenario, ScenarioRecord};
use crate::service::{self, Config, Shutdown, Stages};
use crate::time::Timestamp;

mod broker;
mod cast;
mod show;

use broker::Broker;
use cast::Cast;
use show::Show;

const SEED: u64 = 216;
const HISTORY: Duration = Duration::from_secs(300);
/// The service needs a few seconds to join its consumer groups and to read the history.
const PRELUDE: Duration = Duration::from_secs(8);
const LIVE: Duration = Duration::from_secs(20);
/// After the last record: long enough for one more evaluation, so that a second, wrong alert would be seen.
const EPILOGUE: Duration = Duration::from_secs(8);

#[derive(Debug, Error)]
pub enum Error {
    #[error("cannot start the embedded broker: {0}")]
    Broker(#[from] rdkafka::error::KafkaError),
    #[error("the service failed: {0}")]
    Service(#[from] service::Error),
    #[error("the service ended by a defect of its own")]
    Panicked,
    #[error("expected one alert that names node {expected}, got {got}")]
    WrongVerdict { expected: String, got: String },
    #[error("cannot write: {0}")]
    Write(#[from] std::io::Error),
}

/// Plays the case and shows it on stdout; `configure` makes the service's configuration for the broker's address.
///
/// # Errors
/// When not exactly the node at fault was named, or something in between failed.
pub fn run(rules: Arc<RuleSet>, configure: impl FnOnce(&str) -> Config) -> Result<(), Error> {
    let broker = Broker::start()?;
    let begin = now();
    let scenario = scenario::founding_case(begin.saturating_add(PRELUDE).saturating_sub(HISTORY), SEED, HISTORY, LIVE);
    let cast = Cast::of(&scenario);
    let mut show = Show::new(begin);
    show.opening(broker.address(), &cast)?;

    let shutdown = Shutdown::default();
    let config = configure(broker.address());
    let service = thread::Builder::new().name("service".to_owned()).spawn({
        let shutdown = shutdown.clone();
        move || service::run(config, rules, Stages::ALL, false, shutdown)
    })?;
    let played = play(&broker, &scenario, &mut show);
    shutdown.trigger();
    service.join().map_err(|_| Error::Panicked)??;
    let mut alerts = played?;
    alerts.extend(broker.alerts(Duration::from_secs(1)));

    show.finale(&cast, &scenario, &alerts)?;
    judge(&scenario, &alerts)
}

/// Writes the records when their time comes, and reads alerts in between; returns all that came.
fn play(broker: &Broker, scenario: &Scenario, show: &mut Show) -> Result<Vec<Alert>, Error> {
    let (history, live) = split(scenario);
    for record in history {
        broker.write(record)?;
    }
    show.history(history)?;
    let mut alerts = Vec::new();
    let mut live = live.iter().peekable();
    let end = Instant::now() + PRELUDE + LIVE + EPILOGUE;
    while Instant::now() < end {
        while let Some(record) = live.next_if(|record| record.at <= now()) {
            broker.write(record)?;
        }
        show.moments(scenario, now())?;
        for alert in broker.alerts(Duration::from_millis(50)) {
            show.alert(&alert, scenario, now())?;
            alerts.push(alert);
        }
    }
    Ok(alerts)
}

fn split(scenario: &Scenario) -> (&[ScenarioRecord], &[ScenarioRecord]) {
    // What lies between now and the turning point is live too.
    let now = now();
    scenario.records.split_at(scenario.records.partition_point(|record| record.at < now))
}

/// Exactly the node at fault, confirmed, and nothing else.
fn judge(scenario: &Scenario, alerts: &[Alert]) -> Result<(), Error> {
    let expected = scenario.truth.node.clone().unwrap_or_default();
    let names_it = |alert: &Alert| {
        alert.scope == Scope::Node
            && alert.suspect.name() == expected
            && alert.status == Status::Firing
            && alert.verdict == Verdict::Confirmed
    };
    if !alerts.is_empty() && alerts.iter().all(names_it) {
        return Ok(());
    }
    let got: Vec<&str> = alerts.iter().map(|alert| alert.summary.as_str()).collect();
    let got = if got.is_empty() { "none".to_owned() } else { got.join("; ") };
    Err(Error::WrongVerdict { expected, got })
}

fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}
