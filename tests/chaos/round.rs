//! One round: a broker, a proxy, instances, a storm, and the reckoning.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use faultline::report::Report;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::check::{self, Judgement, Told};
use crate::plan::{Blow, Plan, SLOTS};
use crate::process::{Deployment, Exits, Mode, Process, Slot};
use crate::proxy::Proxy;
use crate::story::{self, EVENTS, LOG_PARTITIONS, LOGS, Line, Story};
use crate::support::transactional::TransactionalBroker;
use crate::support::{DEADLINE, Got, client_config, committed, create_topics, eventually};

pub const ALERTS: (&str, i32) = ("alerts", 3);
const REPORTS: (&str, i32) = ("faultline.reports", 4);
/// Event time that comes in at once.
const PIECE_S: i64 = 15;
/// Pieces that come in when the storm is over, so that every cluster is heard of once more.
const LAST_PIECES: usize = 8;
/// How long something unfinished is waited for before all are killed.
const UNFINISHED_WAIT: Duration = Duration::from_millis(1000);
const TICK: Duration = Duration::from_millis(5);

/// What became of a round.
#[derive(Clone, Default, Debug)]
pub struct Outcome {
    pub judgement: Judgement,
    /// Repeats that a reader sees who does not care about transactions.
    pub repeated_uncommitted: usize,
    pub kills: usize,
    /// Of these, how many left a transaction open that had written alerts.
    pub kills_in_transaction: usize,
    pub stops: usize,
    pub ends: usize,
    pub restarts: usize,
    pub cuts: usize,
    pub orders: usize,
    pub exits: Exits,
    pub records: usize,
    pub reports: usize,
    pub alerts: usize,
    pub told_in_storm: usize,
    pub peak_kib: u64,
    pub logs: Vec<(String, String)>,
}

/// A broker behind a proxy, with the topics that faultline does not create.
pub struct Stage {
    pub broker: TransactionalBroker,
    pub proxy: Proxy,
    pub deployment: Deployment,
}

impl Stage {
    /// `None` where no broker binary was given.
    pub fn set(mode: Mode) -> Option<Self> {
        let proxy = Proxy::open();
        let broker = TransactionalBroker::start_behind(proxy.address)?;
        proxy.leads_to(broker.address.parse().expect("an address"));
        let partitions = i32::try_from(LOG_PARTITIONS).expect("small");
        create_topics(&broker.address, &[(LOGS, partitions), (EVENTS, 1), ALERTS]);
        let deployment = Deployment::new(&proxy.address.to_string(), mode);
        Some(Stage { broker, proxy, deployment })
    }

    /// Lets one instance, which nothing disturbs, come to the end of the input.
    pub fn finish(&self) -> Result<u64, String> {
        let mut last = Process::start(&self.deployment, "the-last", &["--until-end"]);
        let mut peak_kib = 0;
        let began = Instant::now();
        loop {
            peak_kib = last.peak_kib().unwrap_or(0).max(peak_kib);
            match last.ended() {
                Some(status) if status.success() => return Ok(peak_kib),
                Some(status) => return Err(format!("the last instance ended with {status}")),
                None if began.elapsed() > DEADLINE => return Err("the last instance does not come to the end".into()),
                None => std::thread::park_timeout(TICK),
            }
        }
    }

    /// What was told, against all that was fed.
    pub fn judge(&self, mode: Mode, story: &Story) -> Outcome {
        let address = &self.broker.address;
        let reports = read_all(address, REPORTS, "read_committed");
        let told: Vec<Told> = read_all(address, ALERTS, "read_committed").iter().map(Told::of).collect();
        let happened = story::transitions(&story::undisturbed(story.lines(), PIECE_S));
        let read = |got: &Got| serde_json::from_slice(got.value.as_deref().expect("a value")).expect("a report");
        let written: Vec<Report> = reports.iter().map(read).collect();
        let mut judgement = check::judge(mode, &told, &check::follow(&reports), &happened);
        check::check_reports(&written, story, &mut judgement);
        self.check_offsets(story, &reports, &mut judgement);
        let logs = self.deployment.logs();
        for (name, text) in &logs {
            let bad = |line: &&str| line.contains("panicked") || line.contains("this is a defect");
            text.lines().filter(bad).for_each(|line| judgement.complain(format!("{name}: {line}")));
        }
        let uncommitted: Vec<Told> = read_all(address, ALERTS, "read_uncommitted").iter().map(Told::of).collect();
        let naive = check::judge(Mode::ExactlyOnce, &uncommitted, &[], &BTreeMap::new());
        Outcome {
            judgement,
            repeated_uncommitted: naive.repeated,
            records: story.lines().count(),
            reports: reports.len(),
            alerts: told.len(),
            logs,
            ..Outcome::default()
        }
    }

    fn check_offsets(&self, story: &Story, reports: &[Got], judgement: &mut Judgement) {
        let mut ends: BTreeMap<(&str, &str, i32), i64> = BTreeMap::new();
        for line in story.lines() {
            *ends.entry(("faultline", line.topic, line.put.partition)).or_default() += 1;
        }
        for report in reports {
            let end = ends.entry(("faultline-correlate", REPORTS.0, report.partition)).or_default();
            *end = (report.offset + 1).max(*end);
        }
        for ((group, topic, partition), end) in ends {
            let next = committed(&self.broker.address, group, topic, partition);
            if next != Some(end) {
                judgement.complain(format!("{topic}[{partition}] ends at {end}, committed is {next:?}"));
            }
        }
    }
}

/// Runs the plan.
pub fn run(plan: &Plan, mode: Mode) -> Option<Outcome> {
    let mut stage = Stage::set(mode)?;
    let story = Story::of(plan.clusters);
    let mut storm = Storm::new(plan, Feeder::new(&stage, &story.storm));
    let raged = storm.rage(&mut stage);
    storm.seen.told_in_storm = read_all(&stage.broker.address, ALERTS, "read_uncommitted").len();
    let finished = raged.and_then(|()| {
        let peak_kib = stage.finish()?;
        let mut feeder = Feeder::new(&stage, &story.calm);
        feeder.feed_all();
        Ok(stage.finish()?.max(peak_kib))
    });
    // Whoever still runs, because something went wrong, must not go on while it is judged.
    storm.slots.clear();
    let mut outcome = stage.judge(mode, &story);
    match finished {
        Ok(peak_kib) => storm.seen.peak_kib = storm.seen.peak_kib.max(peak_kib),
        Err(complaint) => outcome.judgement.complain(complaint),
    }
    let Outcome { judgement, repeated_uncommitted, records, reports, alerts, logs, .. } = outcome;
    Some(Outcome { judgement, repeated_uncommitted, records, reports, alerts, logs, ..storm.seen })
}

struct Storm<'p> {
    plan: &'p Plan,
    feeder: Feeder,
    slots: Vec<Slot>,
    blows: VecDeque<(Duration, Blow)>,
    /// When the next piece comes in, and how long after it the one after that.
    feeds_at: Instant,
    pause: Duration,
    seen: Outcome,
}

impl<'p> Storm<'p> {
    fn new(plan: &'p Plan, feeder: Feeder) -> Self {
        let mut slots: Vec<Slot> = (0..SLOTS).map(Slot::new).collect();
        slots.iter_mut().take(plan.instances).for_each(|slot| slot.wanted = true);
        let pieces = feeder.pieces.len().saturating_sub(LAST_PIECES).max(1);
        let pause = plan.storm / u32::try_from(pieces).expect("few");
        let blows = plan.blows.iter().cloned().collect();
        Storm { plan, feeder, slots, blows, feeds_at: Instant::now(), pause, seen: Outcome::default() }
    }

    fn rage(&mut self, stage: &mut Stage) -> Result<(), String> {
        let began = Instant::now();
        while began.elapsed() < self.plan.storm {
            self.supervise(stage)?;
            while self.blows.front().is_some_and(|(at, _)| *at <= began.elapsed()) {
                let (_, blow) = self.blows.pop_front().expect("it is there");
                self.strike(&blow, stage);
            }
            self.feed_if_due();
            self.feeder.producer.poll(TICK);
        }
        self.calm(stage)
    }

    fn feed_if_due(&mut self) {
        if Instant::now() >= self.feeds_at && self.feeder.pieces.len() > LAST_PIECES {
            self.feeder.feed();
            self.feeds_at += self.pause;
        }
    }

    fn supervise(&mut self, stage: &Stage) -> Result<(), String> {
        let (exits, peak_kib) = (&mut self.seen.exits, &mut self.seen.peak_kib);
        self.slots.iter_mut().try_for_each(|slot| slot.supervise(&stage.deployment, exits, peak_kib))
    }

    fn strike(&mut self, blow: &Blow, stage: &mut Stage) {
        match blow {
            Blow::Kill(which) => {
                if let Some(slot) = pick(&mut self.slots, *which) {
                    slot.signal("-KILL");
                    self.seen.kills += 1;
                    self.seen.kills_in_transaction += stage.broker.open_transactions(ALERTS.0).min(1);
                }
            }
            Blow::KillAll(unfinished) => {
                stage.broker.order(unfinished);
                let began = Instant::now();
                while stage.broker.open_transactions(ALERTS.0) == 0 && began.elapsed() < UNFINISHED_WAIT {
                    self.feed_if_due();
                    self.feeder.producer.poll(TICK);
                }
                self.seen.kills_in_transaction += stage.broker.open_transactions(ALERTS.0);
                for slot in self.slots.iter_mut().filter(|slot| slot.process.is_some()) {
                    slot.signal("-KILL");
                    self.seen.kills += 1;
                }
            }
            Blow::Stop(which, time) => {
                if let Some(slot) = pick(&mut self.slots, *which) {
                    slot.signal("-STOP");
                    slot.stopped_until = Some(Instant::now() + *time);
                    self.seen.stops += 1;
                }
            }
            Blow::End(which) => {
                if let Some(slot) = pick(&mut self.slots, *which) {
                    slot.end();
                    self.seen.ends += 1;
                }
            }
            Blow::Remove(which) => {
                if let Some(slot) = pick(&mut self.slots, *which) {
                    slot.wanted = false;
                    slot.end();
                    self.seen.ends += 1;
                }
            }
            Blow::Add => {
                if let Some(slot) = self.slots.iter_mut().find(|slot| !slot.wanted) {
                    slot.wanted = true;
                }
            }
            Blow::Restart(away) => {
                stage.broker.restart(*away);
                self.seen.restarts += 1;
            }
            Blow::Cut(percent) => self.seen.cuts += stage.proxy.cut(*percent),
            Blow::HalfClose(which, to_broker) => {
                stage.proxy.half_close(*which, *to_broker);
                self.seen.cuts += 1;
            }
            Blow::HoldUp(time) => stage.proxy.hold_up(*time),
            Blow::Order(command) => {
                stage.broker.order(command);
                self.seen.orders += 1;
            }
        }
    }

    /// The storm is over: all instances end, one way or the other, and the rest of the records comes in.
    fn calm(&mut self, stage: &mut Stage) -> Result<(), String> {
        stage.broker.order("clear");
        for slot in &mut self.slots {
            slot.wanted = false;
            if self.plan.killed_at_the_end {
                slot.signal("-KILL");
            } else {
                slot.end();
            }
            slot.signal("-CONT");
        }
        self.feeder.feed_all();
        let began = Instant::now();
        while self.slots.iter().any(|slot| slot.process.is_some()) {
            self.supervise(stage)?;
            if began.elapsed() > DEADLINE {
                return Err("an instance does not end".to_owned());
            }
            std::thread::park_timeout(TICK);
        }
        Ok(())
    }
}

/// Of the instances that are up, counted round and round.
fn pick(slots: &mut [Slot], which: usize) -> Option<&mut Slot> {
    let count = slots.iter().filter(|slot| slot.is_up()).count();
    slots.iter_mut().filter(|slot| slot.is_up()).nth(which % count.max(1))
}

/// Produces the records as they come, each once.
pub struct Feeder {
    producer: BaseProducer,
    pieces: VecDeque<Vec<Line>>,
}

impl Feeder {
    pub fn new(stage: &Stage, lines: &[Line]) -> Self {
        let producer = ClientConfig::new()
            .set("bootstrap.servers", &stage.broker.address)
            .set("enable.idempotence", "true")
            .set("reconnect.backoff.max.ms", "300")
            .create()
            .expect("a producer");
        Feeder { producer, pieces: story::pieces(lines.iter().cloned(), PIECE_S).into() }
    }

    /// The next piece.
    pub fn feed(&mut self) {
        for line in self.pieces.pop_front().into_iter().flatten() {
            let put = &line.put;
            let headers = put
                .headers
                .iter()
                .fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: Some(value) }));
            let mut record = BaseRecord::<[u8], [u8]>::to(line.topic).partition(put.partition).headers(headers);
            record.payload = put.value.as_deref();
            record.timestamp = put.timestamp_ms;
            self.producer.send(record).map_err(|(error, _)| error).expect("room in the queue");
        }
    }

    /// Everything that is left, and waits until it is there.
    pub fn feed_all(&mut self) {
        while !self.pieces.is_empty() {
            self.feed();
        }
        self.producer.flush(DEADLINE).expect("everything is produced");
    }
}

/// All records of a topic, partition by partition.
pub fn read_all(broker: &str, (topic, partitions): (&str, i32), isolation: &str) -> Vec<Got> {
    let consumer: BaseConsumer = client_config(broker, "the-test-itself")
        .set("isolation.level", isolation)
        .set("enable.partition.eof", "true")
        .create()
        .expect("a consumer");
    let mut all = TopicPartitionList::new();
    for partition in 0..partitions {
        all.add_partition_offset(topic, partition, Offset::Beginning).expect("a partition");
    }
    consumer.assign(&all).expect("an assignment");
    let (mut got, mut ended) = (Vec::new(), std::collections::BTreeSet::new());
    eventually(&format!("the end of {topic}"), || {
        while let Some(event) = consumer.poll(Duration::from_millis(50)) {
            match event {
                Ok(message) => got.push(Got::of(&message)),
                Err(KafkaError::PartitionEOF(partition)) => drop(ended.insert(partition)),
                Err(_) => {}
            }
            if ended.len() == usize::try_from(partitions).expect("small") {
                return Some(());
            }
        }
        None
    });
    got.sort_by_key(|got| (got.partition, got.offset));
    got
}
