//! The correlate stage's shell: reports in, alerts out, the reports' offsets committed when the alerts are acknowledged.
//!
//! Alerts, offsets and snapshots of the state go in transactions (`transactions`), or, with `exactly_once: false`, offsets
//! are committed when the alerts are acknowledged. A partition that is taken over begins with its newest snapshot, else
//! with the first report that the topic retains (`restore`); up to the committed offset what the correlator says is not
//! sent again. The correlator is deterministic, so it says the same.

use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::bounded::Bounded;
use super::startup::Targets;
use super::{Ended, Ends, Error, Shared};
use crate::kafka::{Consumer, Event, FetchState, Fetching, Producer, Start};
use crate::metrics::StageLabel;
use crate::record::Partition;

mod measures;
mod restore;
mod transactions;
mod work;

use restore::restore;
use work::Work;

const POLL: Duration = Duration::from_millis(50);
/// How long fetching may be held up before it is stopped.
const ROOM_WAIT: Duration = Duration::from_millis(250);
const LONG: Duration = Duration::from_secs(365 * 24 * 3600);
const LABEL: StageLabel = StageLabel { stage: "correlate" };

pub(super) struct CorrelateStage<'s> {
    shared: &'s Shared,
    consumer: Consumer,
    work: Work<'s>,
    paused: bool,
    ends: Ends,
    /// For bounded runs, as soon as it is known where they end.
    bounded: Option<Bounded>,
    joined: bool,
}

impl<'s> CorrelateStage<'s> {
    pub fn new(shared: &'s Shared, ends: Ends) -> Result<Self, Error> {
        let config = &shared.config;
        let producer = Producer::new(&config.connection, shared.link.clone())?;
        let topics = [config.reports.name.as_str()];
        let consumer = Consumer::join(
            &config.connection,
            &config.correlate_group(),
            &topics,
            Fetching::OneByOne,
            shared.link.clone(),
        )?;
        Ok(CorrelateStage {
            shared,
            consumer,
            work: Work::new(shared, producer),
            paused: false,
            ends,
            bounded: None,
            joined: false,
        })
    }

    /// Runs until the wish to stop, the end of a bounded run, or an error that waiting does not mend.
    pub fn run(mut self) -> Result<Ended, Error> {
        let exactly_once = self.shared.config.exactly_once;
        self.shared.metrics.exactly_once.set(i64::from(exactly_once));
        match exactly_once {
            true => info!("exactly-once: alerts and offsets are written in transactions"),
            false => info!("at-least-once: an alert may be written again, with the same id"),
        }
        let ended = loop {
            self.shared.correlate.beat();
            // In a bounded run the scan stage ends first, by telling how far it wrote.
            if self.shared.shutdown.is_triggered() {
                break Ended::Stopped;
            }
            if self.is_at_the_end() {
                break Ended::AtTheEnd;
            }
            self.turn()?;
        };
        self.finish(ended)
    }

    fn is_at_the_end(&mut self) -> bool {
        if !self.shared.until_end {
            return false;
        }
        if self.bounded.is_none() {
            self.bounded = self.targets().map(Bounded::new);
        }
        let Some(bounded) = self.bounded.as_mut().filter(|_| self.joined) else { return false };
        bounded.is_reached(&self.consumer, |partition, target| self.work.standing(partition, target))
            && self.work.is_committed()
    }

    /// What was there at the start, and what the scan stage added to it, once it has told.
    fn targets(&self) -> Option<Targets> {
        let mut targets = self.ends.known.clone();
        if let Some(told) = &self.ends.told {
            for (partition, end) in told.try_recv().ok()? {
                let target = targets.entry(partition).or_default();
                *target = end.max(*target);
            }
        }
        Some(targets)
    }

    fn turn(&mut self) -> Result<(), Error> {
        match self.consumer.poll(self.work.poll_time(POLL))? {
            Some(Event::Message(message)) => self.work.read(&message)?,
            Some(Event::Assigned(partitions)) => self.on_assigned(&partitions)?,
            Some(Event::Revoked(partitions)) => self.on_revoked(&partitions)?,
            Some(Event::Progress(states)) => self.on_progress(states),
            None => {}
        }
        self.work.save_if_due()?;
        self.work.seal_if_due();
        self.work.commit_if_due(&self.consumer, false)?;
        self.work.mend(&self.consumer)?;
        if !self.paused && !self.work.has_room() {
            self.work.wait_for_room(ROOM_WAIT)?;
        }
        let done = self.work.collect()?;
        self.consumer.commit(&done)?;
        self.pause_or_resume()
    }

    fn on_progress(&mut self, states: Vec<(Partition, FetchState)>) {
        self.shared.link.remind();
        // While paused nothing is fetched, so what is told of the end may be older than our position.
        if !self.paused {
            states.into_iter().for_each(|(partition, state)| self.work.progress(&partition, state));
        }
        self.work.show_sizes();
        self.shared.correlate.waits_for(self.work.is_rebuilding().then(|| "it rebuilds its state".to_owned()));
    }

    fn on_assigned(&mut self, partitions: &[Partition]) -> Result<(), Error> {
        self.joined = true;
        // Taking up a state takes time, in which readers wait for what is open.
        self.work.commit_if_due(&self.consumer, true)?;
        let fresh = partitions.iter().map(|partition| (partition.clone(), None)).collect();
        let Some(restored) = restore(self.shared, &self.consumer, fresh)? else {
            // The stop came first; the assignment must be answered all the same.
            return Ok(self.consumer.assign(partitions, Start::Committed)?);
        };
        let starts: Vec<_> =
            restored.iter().map(|(partition, restored)| (partition.clone(), restored.start())).collect();
        restored.into_iter().for_each(|(partition, restored)| _ = self.work.take(&partition, restored));
        self.consumer.assign_each(&starts)?;
        // librdkafka remembers a pause, also of a partition that was ours before and went while we paused.
        if self.paused {
            self.consumer.pause(partitions.iter())?;
        } else {
            self.consumer.resume(partitions.iter())?;
        }
        self.told_of_partitions();
        Ok(())
    }

    fn on_revoked(&mut self, partitions: &[Partition]) -> Result<(), Error> {
        if !self.consumer.lost() {
            let timeout = self.shared.config.limits.revoke_timeout;
            self.work.commit_all(&self.consumer, partitions, Instant::now() + timeout)?;
            self.work.seal();
            let done = self.work.wait(timeout)?;
            self.commit_and_wait(&done);
        }
        for partition in partitions {
            self.work.give_up(partition);
        }
        self.consumer.release(partitions)?;
        self.told_of_partitions();
        Ok(())
    }

    fn pause_or_resume(&mut self) -> Result<(), Error> {
        if !self.paused && !self.work.has_room() {
            self.consumer.pause(self.work.partitions())?;
            self.set_paused(true);
        } else if self.paused && self.work.is_relaxed() {
            self.set_paused(false);
            self.consumer.resume(self.work.partitions())?;
        }
        Ok(())
    }

    fn set_paused(&mut self, paused: bool) {
        self.paused = paused;
        self.shared.metrics.paused.get_or_create(&LABEL).set(i64::from(paused));
        if paused {
            self.shared.limit_hit(self.work.full());
            warn!("correlating is paused: alerts wait for the broker's acknowledgement");
        } else {
            info!("correlating goes on");
        }
    }

    fn told_of_partitions(&mut self) {
        let count = self.work.partitions().count();
        self.shared.metrics.partitions.get_or_create(&LABEL).set(i64::try_from(count).unwrap_or(i64::MAX));
        self.on_progress(Vec::new());
        info!("the correlate stage owns {count} partitions of the reports");
    }

    fn finish(mut self, ended: Ended) -> Result<Ended, Error> {
        let deadline = Instant::now() + self.shared.stop_timeout();
        let partitions: Vec<Partition> = self.work.partitions().cloned().collect();
        let patience = if ended == Ended::AtTheEnd { Instant::now() + LONG } else { deadline };
        self.work.commit_all(&self.consumer, &partitions, patience)?;
        self.work.seal();
        let done = match ended {
            Ended::Stopped => self.work.wait(deadline.saturating_duration_since(Instant::now()))?,
            Ended::AtTheEnd => self.work.wait(LONG)?,
        };
        self.commit_and_wait(&done);
        let waiting = self.work.messages_waiting();
        if waiting > 0 {
            warn!("{waiting} alerts were not acknowledged in time; they will be sent again, with the same ids");
        }
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_secs(1));
        if !self.consumer.close(left) {
            warn!("the correlate stage could not leave its consumer group in time");
        }
        Ok(ended)
    }

    fn commit_and_wait(&self, offsets: &[(Partition, i64)]) {
        if !self.shared.link.is_up() {
            return;
        }
        if let Err(error) = self.consumer.commit_and_wait(offsets) {
            warn!("{error}; the alerts after the last commit will be sent again, with the same ids");
        }
    }
}
