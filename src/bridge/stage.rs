//! The bridge's thread: read, ask the courier, make the request, commit.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rdkafka::Message;
use rdkafka::message::{BorrowedHeaders, BorrowedMessage, OwnedMessage};
use tracing::{debug, error, info, warn};

use super::letters::{Letters, Reason};
use super::metrics::StatusLabel;
use super::post::{Posted, Poster};
use super::{Error, Shared};
use crate::courier::opening::{self, Additions, Record};
use crate::courier::{Accepted, Courier, Moment, Next, Outcome, Place, Shipment, Standing, Verdict, Waiting};
use crate::kafka::{self, Cluster, Consumer, Event, Fetching, RateLimit, Start, Topics};
use crate::metrics::LimitLabel;
use crate::record::Partition;
use crate::time::Timestamp;

const POLL: Duration = Duration::from_millis(100);
/// Records that are taken in before the next request, so that what belongs together meets.
const AT_ONCE: usize = 500;
/// How long the group may take to say where it left off, and the broker where the ends are.
const ASK_TIMEOUT: Duration = Duration::from_secs(5);
const TROUBLE_LOG_EVERY: Duration = Duration::from_secs(20);
const BLOCKED_LOG_EVERY: Duration = Duration::from_secs(60);

pub(super) struct Stage<'s> {
    shared: &'s Shared,
    cluster: &'s Cluster,
    poster: Poster,
    consumer: Consumer,
    courier: Courier,
    letters: Letters<'s>,
    /// The records that are not settled, for their dead letters.
    originals: BTreeMap<Place, OwnedMessage>,
    partitions: Vec<Partition>,
    began: Instant,
    paused: bool,
    /// Whether requests failed since one did not.
    in_trouble: bool,
    trouble_log: RateLimit,
    blocked_log: RateLimit,
    forgotten: u64,
}

impl<'s> Stage<'s> {
    pub fn new(shared: &'s Shared, cluster: &'s Cluster, poster: Poster) -> Result<Self, Error> {
        let config = &shared.config;
        if poster.is_in_the_clear() {
            warn!("{} is not encrypted: alerts, keys and tokens can be read on the way", poster.origin());
        }
        let topics = [config.topic.as_str()];
        let (group, link) = (config.group_id.as_str(), shared.link.clone());
        let consumer = Consumer::join(&config.connection, group, &topics, Fetching::OneByOne, link)?;
        let target = config.courier.target.name();
        info!("topic `{}` to {target} at {}, as group `{group}`", config.topic, poster.origin());
        Ok(Stage {
            shared,
            cluster,
            poster,
            consumer,
            courier: Courier::new(config.courier.clone(), config.seed),
            letters: Letters::new(shared)?,
            originals: BTreeMap::new(),
            partitions: Vec::new(),
            began: Instant::now(),
            paused: false,
            in_trouble: false,
            trouble_log: RateLimit::new(TROUBLE_LOG_EVERY),
            blocked_log: RateLimit::new(BLOCKED_LOG_EVERY),
            forgotten: 0,
        })
    }

    /// Runs until the wish to stop, or an error that waiting does not mend.
    pub fn run(mut self) -> Result<(), Error> {
        while !self.shared.shutdown.is_triggered() {
            self.shared.vitals.beat();
            self.shared.link.remind();
            self.turn()?;
        }
        self.finish()
    }

    fn turn(&mut self) -> Result<(), Error> {
        for _ in 0..AT_ONCE {
            if !self.read(Duration::ZERO)? {
                break;
            }
        }
        self.settle_letters(Duration::ZERO);
        match self.courier.next(self.moment()) {
            Next::Send(shipment) => self.send(&shipment),
            Next::Wait { until, why } => {
                let began = Instant::now();
                let wait = until.saturating_sub(self.began.elapsed()).clamp(Duration::from_millis(1), POLL);
                self.read(wait)?;
                if why == Waiting::Rate {
                    self.shared.metrics.rate_limited_seconds.inc_by(began.elapsed().as_secs_f64());
                }
            }
            Next::Idle => _ = self.read(if self.letters.are_waiting() { POLL / 10 } else { POLL })?,
        }
        self.settle_letters(Duration::ZERO);
        let commits = self.courier.commits();
        self.consumer.commit(&commits)?;
        self.pause_or_resume()?;
        self.show();
        Ok(())
    }

    /// Whether something came. To be called all the time, also while reading is paused.
    fn read(&mut self, wait: Duration) -> Result<bool, Error> {
        // The event borrows the consumer; what it needs of `self` beside it is taken apart below.
        let event = match self.consumer.poll(wait)? {
            None => return Ok(false),
            Some(Event::Message(message)) => Came::Record(take(&message)),
            Some(Event::Assigned(partitions)) => Came::Assigned(partitions),
            Some(Event::Revoked(partitions)) => Came::Revoked(partitions),
            Some(Event::Progress(_)) => return Ok(false),
        };
        match event {
            Came::Record(record) => self.take_in(*record),
            Came::Assigned(partitions) => self.on_assigned(&partitions)?,
            Came::Revoked(partitions) => self.on_revoked(&partitions)?,
        }
        Ok(!self.paused && self.courier.full().is_none())
    }

    fn take_in(&mut self, taken: Taken) {
        let Taken { place, original, alert_id, content_type } = taken;
        let metrics = &self.shared.metrics;
        metrics.records.inc();
        let config = &self.shared.config.courier;
        let additions =
            Additions { routing_key: config.writer.routing_key.as_deref(), channel: config.channel.as_deref() };
        let record = Record {
            key: original.key(),
            value: original.payload(),
            alert_id: alert_id.as_deref(),
            content_type: content_type.as_deref(),
        };
        let opened = opening::open(config.target, place.clone(), &record, additions);
        let now = self.moment();
        match opened {
            Ok(parcel) => {
                let accepted = self.courier.accept(parcel, now);
                debug!("{}[{}] {accepted:?}", place.partition, place.offset);
                match accepted {
                    Accepted::Waiting { replaced } => {
                        metrics.coalesced.inc_by(replaced as u64);
                        self.originals.insert(place, original);
                    }
                    Accepted::Cancelled { replaced } => _ = metrics.coalesced.inc_by(replaced as u64),
                    Accepted::Duplicate => _ = metrics.duplicates.inc(),
                    Accepted::Remembered => {}
                }
            }
            Err(unfit) => {
                if !self.courier.reject(&place) {
                    self.originals.insert(place.clone(), original);
                    let reason = Reason { word: unfit.reason, detail: &unfit.detail, status: None };
                    self.dead_letter(&place, &reason);
                }
            }
        }
    }

    fn send(&mut self, shipment: &Shipment) {
        let Posted { status, verdict } = self.poster.post(shipment, wall_clock());
        let label = status.map_or("none".to_owned(), |status| status.to_string());
        self.shared.metrics.requests.get_or_create(&StatusLabel { status: label }).inc();
        let outcome = self.courier.answered(&verdict, self.moment());
        match (&verdict, outcome) {
            (_, Outcome::Delivered(records)) => {
                self.shared.metrics.delivered.inc_by(records as u64);
                self.out_of_trouble();
                debug!("{} takes {} alerts", self.poster.origin(), shipment.alerts);
            }
            (
                Verdict::Retry { why, .. } | Verdict::Pause { why } | Verdict::Refused { why },
                Outcome::Retrying(wait),
            ) => {
                self.shared.metrics.retried.inc();
                self.trouble(why, wait);
            }
            (Verdict::Pause { why }, Outcome::Paused(wait)) => {
                self.shared.metrics.retried.inc();
                self.blocked(why, wait);
            }
            (
                Verdict::Retry { why, .. } | Verdict::Refused { why } | Verdict::Pause { why },
                Outcome::Refused { places, given_up },
            ) => {
                let word = if given_up { "undeliverable" } else { "refused" };
                let reason = Reason { word, detail: why, status };
                places.iter().for_each(|place| self.dead_letter(place, &reason));
                self.out_of_trouble();
            }
            (verdict, outcome) => debug!("{verdict:?} led to {outcome:?}"),
        }
    }

    fn trouble(&mut self, why: &str, wait: Duration) {
        self.in_trouble = true;
        if self.trouble_log.allow(Instant::now()).is_some() {
            warn!("{}: {why}; trying again in {wait:?}", self.poster.origin());
        }
    }

    /// Dead-lettering every alert because of a wrong key would lose them: somebody has to come.
    fn blocked(&mut self, why: &str, wait: Duration) {
        self.in_trouble = true;
        self.shared.metrics.blocked.set(1);
        let told = format!("{} refuses everything: {why}", self.poster.origin());
        if self.blocked_log.allow(Instant::now()).is_some() {
            error!(
                "{told}; nothing is delivered before the URL, the key or the token is right; trying again in {wait:?}"
            );
        }
        self.shared.vitals.waits_for(Some(told));
    }

    fn out_of_trouble(&mut self) {
        if std::mem::take(&mut self.in_trouble) {
            info!("{} answers well", self.poster.origin());
            self.shared.metrics.blocked.set(0);
            self.shared.vitals.waits_for(None);
        }
    }

    fn dead_letter(&mut self, place: &Place, reason: &Reason<'_>) {
        let Some(original) = self.originals.get(place) else { return };
        if self.letters.write(place, original, reason) {
            self.courier.settle(place);
        }
    }

    fn settle_letters(&mut self, wait: Duration) {
        for place in self.letters.acknowledged(wait) {
            self.courier.settle(&place);
        }
        // What was coalesced or delivered meanwhile goes when it has become as much as what is open.
        if self.originals.len() > 2 * (self.courier.open() + 8) {
            let courier = &self.courier;
            self.originals.retain(|place, _| courier.is_open(place));
        }
    }

    fn on_assigned(&mut self, partitions: &[Partition]) -> Result<(), Error> {
        let mut starts = Vec::with_capacity(partitions.len());
        if !partitions.is_empty() {
            let (committed, ends) = (self.committed(partitions)?, self.ends(partitions));
            for partition in partitions {
                let committed = committed.iter().find(|(of, _)| of == partition).map(|(_, next)| *next);
                let end = ends.get(partition).copied().unwrap_or(i64::MAX);
                let committed = committed.filter(|next| {
                    let is_there = *next <= end;
                    if !is_there {
                        warn!("{partition} ends at {end}, before the committed offset {next}: it was made anew, and is read from its start");
                    }
                    is_there
                });
                let from = committed.map(|next| (next - self.shared.config.history).max(0));
                // Retention may have taken what came first.
                let standing = Standing { committed, end, from_start: committed.is_none() };
                self.courier.assign(partition.clone(), standing);
                starts.push((partition.clone(), from.map_or(Start::Beginning, Start::At)));
                self.partitions.push(partition.clone());
            }
        }
        self.consumer.assign_each(&starts)?;
        // librdkafka remembers a pause, also of a partition that was ours before and went while we paused.
        if self.paused {
            self.consumer.pause(partitions.iter())?;
        } else {
            self.consumer.resume(partitions.iter())?;
        }
        self.told_of_partitions();
        self.shared.vitals.waits_for(None);
        Ok(())
    }

    /// Without knowing it, what was delivered long ago would be delivered again.
    fn committed(&self, partitions: &[Partition]) -> Result<Vec<(Partition, i64)>, kafka::Error> {
        loop {
            self.shared.vitals.beat();
            match self.consumer.committed(partitions, ASK_TIMEOUT) {
                Err(error) if !self.shared.shutdown.is_triggered() => warn!("{error}; asking again"),
                answer => return answer,
            }
        }
    }

    fn ends(&self, partitions: &[Partition]) -> BTreeMap<Partition, i64> {
        let mut topics = Topics::new();
        for partition in partitions {
            let count = topics.entry(partition.topic.to_string()).or_default();
            *count = (*count).max(partition.partition + 1);
        }
        self.cluster.ends(&topics, ASK_TIMEOUT).unwrap_or_else(|error| {
            warn!("{error}; whether alerts were delivered before is not known");
            BTreeMap::new()
        })
    }

    fn on_revoked(&mut self, partitions: &[Partition]) -> Result<(), Error> {
        self.settle_letters(Duration::ZERO);
        let commits = self.courier.all_commits();
        if !self.consumer.lost() {
            self.commit_and_wait(&commits);
        }
        for partition in partitions {
            self.courier.revoke(partition);
            self.letters.forget(partition);
            self.originals.retain(|place, _| place.partition != *partition);
        }
        self.partitions.retain(|partition| !partitions.contains(partition));
        self.consumer.release(partitions)?;
        self.told_of_partitions();
        Ok(())
    }

    fn told_of_partitions(&self) {
        let count = self.partitions.len();
        self.shared.metrics.partitions.set(i64::try_from(count).unwrap_or(i64::MAX));
        info!("the bridge owns {count} partitions of the alerts topic");
    }

    /// Reading stops while too much waits; polling goes on, so the group keeps us.
    fn pause_or_resume(&mut self) -> Result<(), Error> {
        if !self.paused
            && let Some(limit) = self.courier.full()
        {
            self.limit_hits(limit, 1);
            warn!("reading is paused: {} alerts wait to be delivered", self.courier.waiting());
            self.consumer.pause(self.partitions.iter())?;
            self.paused = true;
        } else if self.paused && self.courier.is_relaxed() {
            info!("reading goes on");
            self.consumer.resume(self.partitions.iter())?;
            self.paused = false;
        }
        Ok(())
    }

    fn show(&mut self) {
        let metrics = &self.shared.metrics;
        metrics.waiting.set(i64::try_from(self.courier.waiting()).unwrap_or(i64::MAX));
        metrics.oldest_waiting_seconds.set(self.courier.oldest_waits(self.began.elapsed()).as_secs_f64());
        let forgotten = self.courier.forgotten();
        self.limit_hits("remembered", forgotten - self.forgotten);
        self.forgotten = forgotten;
    }

    fn limit_hits(&self, limit: &'static str, hits: u64) {
        debug_assert!(super::LIMITS.contains(&limit), "{limit}");
        if hits > 0 {
            self.shared.metrics.limits.get_or_create(&LimitLabel { limit }).inc_by(hits);
        }
    }

    /// The acknowledgements of dead letters, the commit, and leaving the group. The last request has ended.
    fn finish(mut self) -> Result<(), Error> {
        let limit = self.shared.config.shutdown_timeout;
        let limit = if self.shared.link.is_up() { limit } else { limit.min(Duration::from_secs(1)) };
        let deadline = Instant::now() + limit;
        let left = || deadline.saturating_duration_since(Instant::now());
        while self.letters.are_waiting() && !left().is_zero() {
            self.settle_letters(left().min(POLL));
        }
        let commits = self.courier.all_commits();
        self.commit_and_wait(&commits);
        if self.courier.waiting() > 0 {
            info!("{} alerts wait still, and will be read again", self.courier.waiting());
        }
        if !self.consumer.close(left().max(Duration::from_secs(1))) {
            warn!("the bridge could not leave its consumer group in time");
        }
        Ok(())
    }

    fn commit_and_wait(&self, offsets: &[(Partition, i64)]) {
        if !self.shared.link.is_up() {
            return;
        }
        if let Err(error) = self.consumer.commit_and_wait(offsets) {
            warn!("{error}; alerts after the last commit will be read again");
        }
    }

    /// The steady clock counts waits; the other may be set.
    fn moment(&self) -> Moment {
        Moment { elapsed: self.began.elapsed(), wall: wall_clock() }
    }
}

/// An event that borrows nothing.
enum Came {
    Record(Box<Taken>),
    Assigned(Vec<Partition>),
    Revoked(Vec<Partition>),
}

struct Taken {
    place: Place,
    original: OwnedMessage,
    alert_id: Option<String>,
    content_type: Option<String>,
}

fn take(message: &BorrowedMessage<'_>) -> Box<Taken> {
    let partition = Partition { topic: message.topic().into(), partition: message.partition() };
    let header = |name: &str| message.headers().and_then(|headers| header(headers, name));
    Box::new(Taken {
        place: Place { partition, offset: message.offset() },
        alert_id: header("faultline-alert-id"),
        content_type: header("content-type"),
        original: message.detach(),
    })
}

fn header(headers: &BorrowedHeaders, name: &str) -> Option<String> {
    let mut all = kafka::raw_headers(headers);
    let value = all.find(|(key, _)| key.eq_ignore_ascii_case(name.as_bytes()))?.1?;
    String::from_utf8(value.to_vec()).ok()
}

fn wall_clock() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}
