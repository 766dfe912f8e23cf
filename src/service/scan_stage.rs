//! The scan stage's shell: records in, reports out, offsets committed when the reports are acknowledged.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::bounded::Bounded;
use super::reached::Member;
use super::startup::{self, Found};
use super::vitals::Vitals;
use super::{Ended, Error, Shared};
use crate::kafka::{Consumer, Event, FetchState, Fetching, Producer, Start};
use crate::metrics::{PartitionLabel, StageLabel};
use crate::record::Partition;

pub mod continuity;
mod defect;
mod work;

use continuity::Due;
pub(super) use work::Work;

/// How long the group may take to say where it left off.
const COMMITTED_TIMEOUT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(50);
/// How long fetching may be held up before it is stopped.
const ROOM_WAIT: Duration = Duration::from_millis(250);
/// How often missing input topics are looked for, and spoken of.
const MISSING_CHECK: Duration = Duration::from_secs(5);
const MISSING_LOG_CHECKS: u32 = 12;
const LABEL: StageLabel = StageLabel { stage: "scan" };

pub(super) struct ScanStage<'s> {
    shared: &'s Shared,
    vitals: &'s Vitals,
    consumer: Consumer,
    work: Work<'s>,
    /// As the metric shows it.
    owned: i64,
    paused: bool,
    bounded: Option<Bounded>,
    joined: bool,
    missing_inputs: Vec<String>,
    missing_checked: Instant,
    missing_checks: u32,
}

impl<'s> ScanStage<'s> {
    /// `number` is the thread's, from 0.
    pub fn new(shared: &'s Shared, number: usize, mut work: Work<'s>, found: Found) -> Result<Self, Error> {
        work.beat_in(found.report_partitions);
        let config = &shared.config;
        let topics: Vec<&str> = config.inputs.iter().flat_map(|input| &input.topics).map(String::as_str).collect();
        let consumer = Consumer::join(
            &config.connection,
            config.scan_group(),
            &topics,
            Fetching::ManyAtOnce,
            shared.link.clone(),
        )?;
        Ok(ScanStage {
            shared,
            vitals: &shared.scan[number],
            consumer,
            work,
            owned: 0,
            paused: false,
            bounded: shared.until_end.then(|| Bounded::new(found.input_ends)),
            joined: false,
            missing_inputs: found.missing_inputs,
            missing_checked: Instant::now(),
            missing_checks: 0,
        })
    }

    pub fn producer(shared: &Shared) -> Result<Producer, Error> {
        Ok(Producer::new(&shared.config.connection, shared.link.clone())?)
    }

    /// Runs until the wish to stop, the end of a bounded run, or an error that waiting does not mend.
    pub fn run(mut self, member: Member<'_>) -> Result<Ended, Error> {
        let ended = loop {
            self.vitals.beat();
            if self.shared.shutdown.is_triggered() {
                break Ended::Stopped;
            }
            if self.is_at_the_end() {
                self.work.end_all();
                break Ended::AtTheEnd;
            }
            self.turn()?;
        };
        self.finish(ended, member)
    }

    fn is_at_the_end(&mut self) -> bool {
        let Some(bounded) = &mut self.bounded else { return false };
        let (work, reached) = (&self.work, &self.shared.reached);
        if !self.joined {
            return reached.holds_all(bounded.targets());
        }
        bounded.is_reached(&self.consumer, |partition, target| {
            reached.standing(partition, work.standing(partition, target))
        })
    }

    fn turn(&mut self) -> Result<(), Error> {
        self.work.set_clock();
        let wait = self.work.poll_time(POLL);
        // Read once for all records of a call.
        let mut now = None;
        let mut read = Ok(());
        let (work, consumer) = (&mut self.work, &self.consumer);
        let event = consumer.poll_many(wait, |message| {
            read = work.read(message, *now.get_or_insert_with(Instant::now), consumer);
            if read.is_err() || work.is_full() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        read?;
        match event {
            Some(Event::Message(message)) => self.work.read(&message, Instant::now(), &self.consumer)?,
            Some(Event::Assigned(partitions)) => self.on_assigned(&partitions)?,
            Some(Event::Revoked(partitions)) => self.on_revoked(&partitions)?,
            Some(Event::Progress(states)) => self.on_progress(states),
            None => self.look_for_missing_inputs()?,
        }
        if self.work.is_due() {
            self.work.flush()?;
        }
        if !self.paused && !self.work.has_room() {
            self.work.wait_for_room(ROOM_WAIT)?;
        }
        let done = self.work.collect()?;
        self.consumer.commit(&done)?;
        self.pause_or_resume()
    }

    fn on_assigned(&mut self, partitions: &[Partition]) -> Result<(), Error> {
        self.joined = true;
        let dues = self.dues(partitions);
        for (partition, due) in &dues {
            self.work.take(partition, *due);
        }
        let start = |due: &Due| match due {
            Due::At(next) => Start::At(*next),
            Due::Start | Due::Unknown => Start::Committed,
        };
        let starts: Vec<_> = dues.iter().map(|(partition, due)| (partition.clone(), start(due))).collect();
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

    /// Where the group left off. If it does not say in time reading begins all the same, but that something is missing
    /// before the first record cannot be seen.
    fn dues(&self, partitions: &[Partition]) -> Vec<(Partition, Due)> {
        if partitions.is_empty() {
            return Vec::new();
        }
        let committed = self.consumer.committed(partitions, COMMITTED_TIMEOUT);
        self.vitals.beat();
        if let Err(error) = &committed {
            warn!("{error}; whether records were lost meanwhile is not known");
        }
        let due = |partition: &Partition| match &committed {
            Ok(committed) => {
                committed.iter().find(|(of, _)| of == partition).map_or(Due::Start, |(_, at)| Due::At(*at))
            }
            Err(_) => Due::Unknown,
        };
        partitions.iter().map(|partition| (partition.clone(), due(partition))).collect()
    }

    /// What was gathered goes out and its offsets are committed before the partitions are let go.
    fn on_revoked(&mut self, partitions: &[Partition]) -> Result<(), Error> {
        if !self.consumer.lost() {
            self.work.settle(partitions);
            self.work.flush()?;
            let done = self.work.wait(self.shared.config.limits.revoke_timeout)?;
            self.commit_and_wait(&done);
        } else {
            self.shared.reached.forget(partitions);
        }
        for partition in partitions {
            self.work.give_up(partition);
            self.shared.metrics.lag.remove(&lag_label(partition));
        }
        self.consumer.release(partitions)?;
        self.told_of_partitions();
        Ok(())
    }

    fn on_progress(&mut self, states: Vec<(Partition, FetchState)>) {
        self.shared.link.remind();
        // While paused nothing is fetched, so what is told of the end may be older than our position.
        if self.paused {
            return;
        }
        for (partition, state) in states {
            if let Some(lag) = self.work.progress(&partition, state) {
                self.shared.metrics.lag.get_or_create(&lag_label(&partition)).set(lag);
            }
        }
    }

    /// Fetching stops while too much waits for its acknowledgement; polling goes on, so the group keeps us.
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
        self.work.was_deaf();
        self.shared.metrics.paused.get_or_create(&LABEL).inc_by(if paused { 1 } else { -1 });
        if paused {
            self.shared.limit_hit(self.work.full().unwrap_or("reports_in_flight"));
            warn!("reading is paused: reports wait for the broker's acknowledgement");
        } else {
            info!("reading goes on");
        }
    }

    fn told_of_partitions(&mut self) {
        let count = i64::try_from(self.work.partitions().count()).unwrap_or(i64::MAX);
        // Other threads add theirs.
        self.shared.metrics.partitions.get_or_create(&LABEL).inc_by(count - self.owned);
        self.owned = count;
        self.vitals.waits_for(self.missing());
        info!("the scan stage owns {count} input partitions");
    }

    fn missing(&self) -> Option<String> {
        startup::list(&self.missing_inputs).map(|names| format!("input topics that do not exist yet: {names}"))
    }

    fn look_for_missing_inputs(&mut self) -> Result<(), Error> {
        if self.missing_inputs.is_empty() || self.missing_checked.elapsed() < MISSING_CHECK {
            return Ok(());
        }
        self.missing_checked = Instant::now();
        self.missing_checks += 1;
        let Some(existing) = self.shared.cluster.topics(Duration::from_secs(1))? else { return Ok(()) };
        self.missing_inputs = self.shared.inputs.missing(existing.keys().map(String::as_str));
        self.vitals.waits_for(self.missing());
        match self.missing() {
            Some(missing) if self.missing_checks.is_multiple_of(MISSING_LOG_CHECKS) => {
                warn!("still waiting for {missing}")
            }
            Some(_) => {}
            None => info!("all input topics exist now"),
        }
        Ok(())
    }

    /// The last flush, its acknowledgements, the commit, and leaving the group.
    fn finish(mut self, ended: Ended, member: Member<'_>) -> Result<Ended, Error> {
        let deadline = Instant::now() + self.shared.stop_timeout();
        self.work.settle_all();
        self.work.flush()?;
        let done = match ended {
            Ended::Stopped => self.work.wait(deadline.saturating_duration_since(Instant::now()))?,
            Ended::AtTheEnd => self.work.wait_for_all()?,
        };
        self.commit_and_wait(&done);
        if self.work.messages_waiting() > 0 {
            warn!(
                "{} messages were not acknowledged in time; their records will be read again",
                self.work.messages_waiting()
            );
        }
        // The correlate stage need not wait until the group is left.
        let written = (ended == Ended::AtTheEnd).then(|| self.work.written());
        member.leave(written, deadline.saturating_duration_since(Instant::now()).max(Duration::from_secs(1)));
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_secs(1));
        if !self.consumer.close(left) {
            warn!("the scan stage could not leave its consumer group in time");
        }
        Ok(ended)
    }

    fn commit_and_wait(&self, offsets: &[(Partition, i64)]) {
        if !self.shared.link.is_up() {
            return;
        }
        if let Err(error) = self.consumer.commit_and_wait(offsets) {
            warn!("{error}; the records after the last commit will be read again");
        }
    }
}

fn lag_label(partition: &Partition) -> PartitionLabel {
    PartitionLabel { topic: partition.topic.to_string(), partition: partition.partition }
}
