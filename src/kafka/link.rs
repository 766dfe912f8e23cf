//! Whether the brokers can be reached, as the callbacks of all clients of this process tell it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tracing::{debug, info, warn};

use super::{Error, RateLimit, explain, is_denied};

/// librdkafka repeats "broker down" every 50 ms; people need it once in a while.
const DOWN_LOG_EVERY: Duration = Duration::from_secs(20);
/// Brokers close idle connections; a client that has no other is without one for a moment.
const OUTAGE: Duration = Duration::from_secs(2);
const LIBRARY_LOG_EVERY: Duration = Duration::from_secs(10);

/// Shared by the clients of one process.
#[derive(Debug)]
pub struct Link {
    brokers: String,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    up: bool,
    /// When the last broker was lost; `None` before the first answer, and while one is there.
    lost: Option<Instant>,
    /// Why the last attempt failed.
    reason: Option<String>,
    /// Whether the reason is that one side does not trust the other.
    refused: bool,
    /// An error that waiting does not mend.
    broken: Option<Error>,
    /// Whether the outage was logged, so that its end is too.
    told: bool,
    down_log: RateLimit,
    client_log: RateLimit,
}

impl Link {
    pub fn new(brokers: &str) -> Arc<Self> {
        let state = State {
            up: false,
            lost: None,
            reason: None,
            refused: false,
            broken: None,
            told: false,
            down_log: RateLimit::new(DOWN_LOG_EVERY),
            client_log: RateLimit::new(LIBRARY_LOG_EVERY),
        };
        Arc::new(Link { brokers: brokers.to_owned(), state: Mutex::new(state) })
    }

    /// Whether a broker answered since one was last lost.
    pub fn is_up(&self) -> bool {
        self.lock().up
    }

    /// One line: which brokers cannot be reached, and why the last attempt failed.
    pub fn why_down(&self) -> String {
        let state = self.lock();
        let reason = state.reason.as_deref().unwrap_or("no answer yet");
        format!("cannot reach Kafka at {}: {reason}", self.brokers)
    }

    /// Whether a broker was reached that would not have us, or that we would not have: TLS or SASL failed. It may come
    /// right, as when a token is renewed, but not by waiting alone.
    pub fn is_refused(&self) -> bool {
        self.lock().refused
    }

    /// The error that this process cannot live with, if there was one.
    pub fn check(&self) -> Result<(), Error> {
        self.lock().broken.clone().map_or(Ok(()), Err)
    }

    pub(super) fn mark_up(&self) {
        let mut state = self.lock();
        let was_told = std::mem::take(&mut state.told);
        state.up = true;
        state.lost = None;
        state.reason = None;
        state.refused = false;
        if was_told {
            drop(state);
            info!("Kafka at {} answers", self.brokers);
        }
    }

    pub(super) fn mark_broken(&self, error: Error) {
        self.lock().broken.get_or_insert(error);
    }

    /// For librdkafka's error callback.
    pub(super) fn on_error(&self, error: &KafkaError, reason: &str) {
        let code = error.rdkafka_error_code();
        match code {
            Some(RDKafkaErrorCode::PartitionEOF) => {}
            Some(RDKafkaErrorCode::AllBrokersDown) => self.mark_down(None),
            Some(RDKafkaErrorCode::SSL | RDKafkaErrorCode::Authentication) => {
                self.mark_down(Some((reason, true)));
            }
            Some(
                RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::Resolve
                | RDKafkaErrorCode::OperationTimedOut,
            ) => self.mark_down(Some((reason, false))),
            Some(RDKafkaErrorCode::Fatal) => self.mark_broken(Error::new(format!("Kafka client: {reason}"))),
            Some(code) if is_denied(code) => self.mark_broken(Error::new(format!("{reason} ({})", explain(code)))),
            _ => debug!(target: "librdkafka", "{error}: {reason}"),
        }
    }

    /// A lost connection alone is no outage: a reason makes the log line, `None` says that no broker is left.
    fn mark_down(&self, reason: Option<(&str, bool)>) {
        let mut state = self.lock();
        match reason {
            // After a refusal the connection is lost as well, which says less.
            Some((_, false)) if state.refused => {}
            Some((reason, refused)) => {
                state.reason = Some(strip_noise(reason).to_owned());
                state.refused = refused;
            }
            None if state.up => {
                state.up = false;
                state.lost = Some(Instant::now());
            }
            None => {}
        }
        let never_up = !state.up && state.lost.is_none();
        if never_up && state.reason.is_some() {
            self.tell(state);
        }
    }

    /// Logs that no broker can be reached, once in a while. To be called now and then: a connection that was idle
    /// comes back at once, so only an outage that lasts is worth a line.
    pub fn remind(&self) {
        let state = self.lock();
        if !state.up && state.lost.is_some_and(|lost| lost.elapsed() >= OUTAGE) {
            self.tell(state);
        }
    }

    fn tell(&self, mut state: MutexGuard<'_, State>) {
        if state.down_log.allow(Instant::now()).is_some() {
            state.told = true;
            drop(state);
            warn!("{}; trying again", self.why_down());
        }
    }

    /// For librdkafka's log callback. Connection trouble arrives as an error too, and is told there.
    pub(super) fn on_log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        let quiet = matches!(facility, "FAIL" | "ERROR" | "TERMINATE" | "CONFWARN");
        let serious = matches!(
            level,
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error
        ) || matches!(level, RDKafkaLogLevel::Warning);
        if serious && !quiet && self.lock().client_log.allow(Instant::now()).is_some() {
            warn!(target: "librdkafka", "{facility}: {message}");
        } else {
            debug!(target: "librdkafka", "{facility}: {message}");
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is valid after every statement, so a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `127.0.0.1:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: Connection refused (after 0ms in state CONNECT)`
/// without the tail, which only librdkafka's authors need.
fn strip_noise(reason: &str) -> &str {
    let end = reason.find(" (after ").unwrap_or(reason.len());
    &reason[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSED: &str =
        "127.0.0.1:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: Connection refused (after 0ms in state CONNECT)";

    #[test]
    fn says_which_broker_and_why() {
        let link = Link::new("127.0.0.1:1");
        link.on_error(&KafkaError::Global(RDKafkaErrorCode::BrokerTransportFailure), REFUSED);
        assert!(!link.is_up());
        assert_eq!(
            link.why_down(),
            "cannot reach Kafka at 127.0.0.1:1: 127.0.0.1:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: Connection refused"
        );
        link.mark_up();
        assert!(link.is_up());
    }

    #[test]
    fn one_lost_connection_is_no_outage() {
        let link = Link::new("a:1,b:1");
        link.mark_up();
        link.on_error(&KafkaError::Global(RDKafkaErrorCode::BrokerTransportFailure), REFUSED);
        assert!(link.is_up());
        link.on_error(&KafkaError::Global(RDKafkaErrorCode::AllBrokersDown), "2/2 brokers are down");
        assert!(!link.is_up());
        assert!(link.check().is_ok());
    }

    #[test]
    fn why_a_broker_was_not_trusted_is_not_forgotten() {
        let link = Link::new("a:1");
        let failed =
            "sasl_ssl://a:1/bootstrap: SASL authentication error: invalid credentials (after 3ms in state AUTH)";
        link.on_error(&KafkaError::Global(RDKafkaErrorCode::Authentication), failed);
        link.on_error(&KafkaError::Global(RDKafkaErrorCode::BrokerTransportFailure), "a:1/bootstrap: Disconnected");
        assert!(link.is_refused());
        assert!(link.why_down().ends_with("SASL authentication error: invalid credentials"), "{}", link.why_down());
        link.mark_up();
        assert!(!link.is_refused());
    }

    #[test]
    fn a_refusal_is_not_waited_out() {
        let link = Link::new("a:1");
        link.on_error(&KafkaError::Global(RDKafkaErrorCode::GroupAuthorizationFailed), "JoinGroup failed");
        let error = link.check().unwrap_err();
        assert!(error.to_string().contains("ACLs"), "{error}");
    }
}
