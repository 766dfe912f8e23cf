//! Carries alerts from a topic to a receiver behind HTTP: what is sent when, and what of the topic is settled.
//!
//! ```text
//! record ─ opening ─> Parcel ─> lines (one per key, coalescing) ─> Shipment ─ the shell's request ─> answer ─> Verdict
//!                                  └ memory (ids, what receivers know)          settlement (offsets) <──┘
//! ```
//! A record is settled once it was delivered, was dead-lettered, or need not be sent. The offset that may be committed is
//! that of the oldest record that is not. Only one request is under way at a time: for a topic that brings a few messages an
//! hour this keeps the order of a key without further thought, and limits of a minute's requests are met far earlier.
//!
//! While a key waits, what is newer takes the place of what is older: receivers keep one state of an incident, and whoever
//! was cut off for an hour wants to know how it is now. What a receiver may have heard of is never dropped: the end of
//! an incident that was told, or perhaps was, is told too.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::format::Writer;
use crate::record::Partition;
use crate::scenario::rng::Rng;
use crate::time::Timestamp;

pub mod answer;
mod delivery;
mod lines;
mod memory;
pub mod opening;
mod pace;
mod settlement;

pub use answer::Verdict;
pub use delivery::Shipment;
pub use opening::{Content, Parcel, Phase};
pub use pace::{Backoff, retry_after};

use delivery::InFlight;
use lines::{Arrival, Circumstances, Lines};
use memory::{SeenIds, Told};
use pace::Pace;
use settlement::Settlement;

/// Whom alerts are carried to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    Alertmanager,
    PagerDuty,
    Slack,
    /// Anybody who takes the records' values as they are.
    Webhook,
}

impl Target {
    pub const ALL: [Target; 4] = [Target::Alertmanager, Target::PagerDuty, Target::Slack, Target::Webhook];

    /// As it is typed.
    pub fn name(self) -> &'static str {
        match self {
            Target::Alertmanager => "alertmanager",
            Target::PagerDuty => "pagerduty",
            Target::Slack => "slack",
            Target::Webhook => "webhook",
        }
    }

    /// Whether requests say how things are rather than what happened, so that several fit one request and the end of
    /// what was never told does no harm.
    fn takes_states(self) -> bool {
        self == Target::Alertmanager
    }
}

/// Where a record is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Place {
    pub partition: Partition,
    pub offset: i64,
}

/// An instant, by two clocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Moment {
    /// Since the courier began; never goes back. Waits are counted by it.
    pub elapsed: Duration,
    /// What receivers are told.
    pub wall: Timestamp,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Options {
    pub target: Target,
    /// For values that are faultline's own alerts; of a webhook not used.
    pub writer: Writer,
    /// Slack's `chat.postMessage` wants to know where to; put into messages that do not say.
    pub channel: Option<String>,
    /// The least time between two requests; zero: none.
    pub spacing: Duration,
    pub backoff: Backoff,
    /// A receiver that asks for more patience than this gets this.
    pub retry_after_max: Duration,
    /// A message that fails for so long while others are delivered is given up.
    pub retry_for: Duration,
    /// Alerts in one request to Alertmanager, at the most.
    pub batch: usize,
    /// Alertmanager takes an alert for over when it heard nothing for so long.
    pub firing_hold: Duration,
    /// How long the end of an incident waits for the wider one that takes it over.
    pub handover_wait: Duration,
    pub limits: Limits,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Messages that wait, and their bytes; at either bound nothing more is read.
    pub waiting: usize,
    pub waiting_bytes: usize,
    /// Ids of alerts, to know repeats; and as many keys, to know what receivers were told.
    pub remembered: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { waiting: 10_000, waiting_bytes: 64 << 20, remembered: 10_000 }
    }
}

impl Options {
    /// The defaults that suit a target; `writer` holds its key.
    pub fn new(target: Target, writer: Writer) -> Self {
        Options {
            target,
            writer,
            channel: None,
            spacing: target.usual_spacing(),
            backoff: Backoff { least: Duration::from_secs(1), most: Duration::from_secs(60) },
            retry_after_max: Duration::from_secs(600),
            retry_for: Duration::from_secs(24 * 3600),
            batch: 64,
            firing_hold: Duration::from_secs(5 * 3600),
            handover_wait: Duration::from_secs(10),
            limits: Limits::default(),
        }
    }
}

impl Target {
    /// What the receivers document: PagerDuty takes about 120 events a minute for an integration, Slack a message a
    /// second for a channel.
    pub fn usual_spacing(self) -> Duration {
        match self {
            Target::PagerDuty => Duration::from_millis(500),
            Target::Slack => Duration::from_secs(1),
            Target::Alertmanager | Target::Webhook => Duration::ZERO,
        }
    }
}

/// How far a partition was when it became ours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Standing {
    /// Records before this were settled, and are handed over only to be remembered. `None`: nothing was ever delivered.
    pub committed: Option<i64>,
    /// Records from there on are new. Those in between may have been delivered by somebody who could not say so any more.
    pub end: i64,
    /// Whether all records before `committed` will be handed over.
    pub from_start: bool,
}

/// What became of a record that was handed over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Accepted {
    /// It waits, and took the place of `replaced` older ones.
    Waiting { replaced: usize },
    /// It and the older one it ends cancel each other: nobody had been told.
    Cancelled { replaced: usize },
    /// An alert of this id came before.
    Duplicate,
    /// It was settled in an earlier life and only tells what receivers know.
    Remembered,
}

/// What to do next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Next {
    /// Make this request, then say how it went with [`Courier::answered`].
    Send(Shipment),
    /// Nothing before then, unless something arrives.
    Wait { until: Duration, why: Waiting },
    /// Nothing waits.
    Idle,
}

/// Why nothing is sent although something waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Waiting {
    /// The receiver's rate limit.
    Rate,
    /// The receiver failed, or asked to wait.
    Backoff,
    /// Only what waits for its own sake is left: a message that failed, an end that may be a handover.
    Keys,
}

/// What an answer led to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// So many records are settled by it; none while further requests of the same record are to come.
    Delivered(usize),
    /// It is tried again after this.
    Retrying(Duration),
    /// The same, for a reason that somebody has to mend.
    Paused(Duration),
    /// Will not be tried again: these are to be dead-lettered, and then [`Courier::settle`]d.
    Refused { places: Vec<Place>, given_up: bool },
}

pub struct Courier {
    options: Options,
    lines: Lines,
    ids: SeenIds,
    told: Told,
    pace: Pace,
    settlement: Settlement,
    in_flight: Option<InFlight>,
    /// Wider incident → the narrower one whose end waits for it.
    handovers: BTreeMap<String, String>,
    rng: Rng,
}

impl Courier {
    /// `seed` decides the jitter of the waits.
    pub fn new(options: Options, seed: u64) -> Self {
        Courier {
            lines: Lines::default(),
            ids: SeenIds::new(options.limits.remembered),
            told: Told::new(options.limits.remembered),
            pace: Pace::new(options.spacing, options.backoff),
            settlement: Settlement::default(),
            in_flight: None,
            handovers: BTreeMap::new(),
            rng: Rng::new(seed),
            options,
        }
    }

    /// This partition is ours.
    pub fn assign(&mut self, partition: Partition, standing: Standing) {
        self.settlement.assign(partition, standing.committed, standing.end);
        if !standing.from_start {
            self.told.is_incomplete();
        }
    }

    /// Somebody else's now: what waits of it is theirs to deliver.
    pub fn revoke(&mut self, partition: &Partition) {
        self.settlement.revoke(partition);
        for parcel in self.lines.remove_partition(partition) {
            // It comes again if the partition does.
            self.ids.forget(parcel.id.as_deref());
        }
        self.handovers.retain(|_, narrower| self.lines.get(narrower).is_some());
    }

    /// Takes a record in.
    pub fn accept(&mut self, parcel: Parcel, now: Moment) -> Accepted {
        if self.settlement.is_settled(&parcel.place) {
            self.remember(&parcel, now);
            return Accepted::Remembered;
        }
        self.settlement.begin(&parcel.place);
        if !self.ids.is_new(parcel.id.as_deref()) {
            self.settlement.settle(&parcel.place);
            return Accepted::Duplicate;
        }
        let key = parcel.key.clone();
        let circumstances = Circumstances {
            now: now.elapsed,
            known: self.told.may_be_open(&key),
            doubtful: self.settlement.is_doubtful(&parcel.place),
            takes_states: self.options.target.takes_states(),
        };
        let arrival = self.lines.arrive(parcel, circumstances);
        let replaced = arrival.settled().len();
        arrival.settled().iter().for_each(|place| self.settlement.settle(place));
        match arrival {
            Arrival::Waits { perhaps, .. } => {
                if perhaps.is_some() {
                    self.told.set(&key, perhaps);
                }
                self.consider_handover(&key, now);
                Accepted::Waiting { replaced }
            }
            Arrival::Cancelled { .. } => Accepted::Cancelled { replaced },
        }
    }

    /// A record that cannot be delivered at all: it holds up its partition until [`Courier::settle`]. Whether it was
    /// settled in an earlier life, and is to be left alone.
    pub fn reject(&mut self, place: &Place) -> bool {
        let is_settled = self.settlement.is_settled(place);
        if !is_settled {
            self.settlement.begin(place);
        }
        is_settled
    }

    /// Its dead letter was acknowledged, or was refused.
    pub fn settle(&mut self, place: &Place) {
        self.settlement.settle(place);
    }

    /// The next offsets to read that were not told before.
    pub fn commits(&mut self) -> Vec<(Partition, i64)> {
        self.settlement.take()
    }

    /// The same, told or not: nobody says whether a commit arrived.
    pub fn all_commits(&self) -> Vec<(Partition, i64)> {
        self.settlement.all()
    }

    /// Whether the place still belongs to us and is not settled.
    pub fn is_open(&self, place: &Place) -> bool {
        self.settlement.is_open(place)
    }

    /// The limit that is met, by name.
    pub fn full(&self) -> Option<&'static str> {
        let limits = &self.options.limits;
        match (self.settlement.open(), self.lines.bytes()) {
            (open, _) if open >= limits.waiting => Some("waiting"),
            (_, bytes) if bytes >= limits.waiting_bytes => Some("waiting_bytes"),
            _ => None,
        }
    }

    /// Whether so much was delivered since that reading may go on.
    pub fn is_relaxed(&self) -> bool {
        let limits = &self.options.limits;
        self.settlement.open() <= limits.waiting / 2 && self.lines.bytes() <= limits.waiting_bytes / 2
    }

    /// Records that are not settled: those that wait, and those whose dead letter does.
    pub fn open(&self) -> usize {
        self.settlement.open()
    }

    /// Records that wait to be delivered.
    pub fn waiting(&self) -> usize {
        self.lines.len()
    }

    /// How long the oldest of them waits.
    pub fn oldest_waits(&self, now: Duration) -> Duration {
        self.lines.oldest_arrival().map_or(Duration::ZERO, |arrival| now.saturating_sub(arrival))
    }

    /// Ids and keys that were forgotten to make room, since the start.
    pub fn forgotten(&self) -> u64 {
        self.ids.forgotten() + self.told.forgotten()
    }
}

#[cfg(test)]
mod tests;
