//! An instance of the correlate stage: what `service/correlate_stage` does around the ledger, step by step.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use faultline::correlator::Options;
use faultline::format::Message;
use faultline::kafka::FetchState;
use faultline::notifier::Policy;
use faultline::record::Partition;
use faultline::ruleset::RuleSet;
use faultline::service::acks::{Acks, Done};
use faultline::service::owned::Owned;
use faultline::shard::ledger::{Ledger, Sent, TakenUp};
use faultline::shard::snapshot::{Gatherer, Slot, key_prefix, pack};

use super::broker::{Broker, Entry, Member, Target};
use super::transacting::Transacting;
use super::{Naive, Scene};

const GROUP: &str = "g";
/// So small that there are several chunks.
const CHUNK_BYTES: usize = 700;
const MESSAGES_IN_FLIGHT: usize = 40;
/// Of a restart; a crash-only program gives up sooner or later.
const MOST_REPAIRS: u32 = 10;

/// Messages on their way without transactions; each target keeps the order.
#[derive(Default)]
pub struct Wire {
    queues: BTreeMap<Target, VecDeque<(Entry, u64, usize)>>,
}

impl Wire {
    pub fn is_empty(&self) -> bool {
        self.queues.values().all(VecDeque::is_empty)
    }

    pub fn transmit(&mut self, scene: &mut Scene<'_, '_>) -> Option<(u64, usize)> {
        let full: Vec<Target> = self.queues.iter().filter(|(_, q)| !q.is_empty()).map(|(target, _)| *target).collect();
        let target = scene.random.pick(&full)?;
        let (entry, batch, bytes) = self.queues.get_mut(&target)?.pop_front()?;
        scene.broker.append(target, entry);
        Some((batch, bytes))
    }
}

/// What every correlate instance is started with.
#[derive(Clone, Copy)]
pub struct Setup<'w> {
    pub rules: &'w Arc<RuleSet>,
    pub options: Options,
    pub policy: &'w Policy,
    pub exactly_once: bool,
}

pub(super) struct Correlated {
    pub at: usize,
    pub owned: Owned,
    pub ledger: Ledger,
    begins_at: Option<i64>,
    fetch: i64,
    sealed: Option<i64>,
    pub committed: Option<i64>,
    slot: Slot,
    reports: u64,
    pub transacting: Option<Transacting>,
    repairs: u32,
}

/// Taking partitions up takes several steps; others go on between them.
struct Restoring {
    /// With the producer that goes on being used.
    partitions: Vec<(usize, Option<u64>)>,
    committed: Option<Vec<Option<i64>>>,
    gatherers: Option<Vec<Gatherer>>,
    repairs: u32,
}

pub struct Correlating<'w> {
    pub member: Member,
    pub stalled_until: i64,
    /// It cannot go on and has to be started again.
    pub is_broken: bool,
    setup: Setup<'w>,
    owned: Vec<Correlated>,
    restoring: Option<Restoring>,
    acks: Acks<()>,
    done: BTreeMap<Partition, i64>,
    pub wire: Wire,
    acked: VecDeque<(u64, usize)>,
}

fn partition(at: usize) -> Partition {
    Partition { topic: "reports".into(), partition: at as i32 }
}

impl<'w> Correlating<'w> {
    pub fn new(id: u64, setup: Setup<'w>, scene: &mut Scene<'_, '_>) -> Self {
        scene.broker.correlate.join(id);
        Correlating {
            member: Member { id, generation: scene.broker.correlate.generation },
            stalled_until: 0,
            is_broken: false,
            setup,
            owned: Vec::new(),
            restoring: None,
            acks: Acks::default(),
            done: BTreeMap::new(),
            wire: Wire::default(),
            acked: VecDeque::new(),
        }
    }

    /// One turn of the stage's loop, with whatever its consumer has for it; taking up holds everything else up.
    pub fn turn(&mut self, scene: &mut Scene<'_, '_>) {
        if self.restoring.is_some() {
            return self.restore(scene);
        }
        match scene.random.below(10) {
            0 => self.on_group(scene),
            1..3 => self.on_progress(scene),
            3 => {}
            _ => self.read_some(scene),
        }
        if self.restoring.is_some() {
            return;
        }
        self.save_if_due(scene);
        if scene.random.chance(20) {
            self.seal();
        }
        self.commit_if_due(scene);
        self.mend(scene);
        self.collect(scene);
    }

    fn has_room(&self) -> bool {
        let calm = |correlated: &Correlated| correlated.transacting.as_ref().is_none_or(Transacting::is_calm);
        self.acks.messages() < MESSAGES_IN_FLIGHT && self.owned.iter().all(calm)
    }

    // ---- Taking partitions up.

    fn begin_restoring(&mut self, partitions: Vec<(usize, Option<u64>)>, repairs: u32) {
        self.restoring = Some(Restoring { partitions, committed: None, gatherers: None, repairs });
    }

    fn restore(&mut self, scene: &mut Scene<'_, '_>) {
        let Some(restoring) = &mut self.restoring else { return };
        if self.setup.exactly_once
            && let Some((at, epoch)) = restoring.partitions.iter_mut().find(|(_, epoch)| epoch.is_none())
        {
            *epoch = Some(scene.broker.begin(*at));
        } else if restoring.committed.is_none() {
            let committed = restoring.partitions.iter().map(|(at, _)| scene.broker.correlate.committed[*at]);
            restoring.committed = Some(committed.collect());
        } else if restoring.gatherers.is_none() {
            let states = scene.broker.states.len();
            let gathered = restoring.partitions.iter().map(|(at, _)| {
                let mut gatherer = Gatherer::new(key_prefix(GROUP, *at as i32));
                let entries = scene.broker.stable(Target::State(at % states));
                entries.for_each(|entry| gatherer.add(entry.key.as_bytes(), &entry.value));
                gatherer
            });
            restoring.gatherers = Some(gathered.collect());
        } else {
            self.take_up(scene);
        }
    }

    fn take_up(&mut self, scene: &mut Scene<'_, '_>) {
        let Some(Restoring { partitions, committed, gatherers, repairs }) = self.restoring.take() else { return };
        let committed = committed.unwrap_or_default();
        let mut sent: BTreeSet<Sent> = BTreeSet::new();
        if !self.setup.exactly_once && committed.iter().any(Option::is_some) {
            sent.extend(scene.broker.stable(Target::Alerts).map(|entry| (0, entry.id.clone())));
        }
        for (((at, epoch), committed), gatherer) in
            partitions.into_iter().zip(committed).zip(gatherers.into_iter().flatten())
        {
            let known = committed.filter(|_| scene.naive != Naive::ForgottenCommits);
            let Setup { rules, options, .. } = self.setup;
            let TakenUp { ledger, slot, .. } = Ledger::take_up(&gatherer, known, sent.clone(), rules, options);
            let begins_at = ledger.next();
            let mut owned = Owned::new(partition(at), scene.instant());
            owned.position = begins_at;
            scene.tally.restored += u64::from(begins_at.is_some());
            self.owned.push(Correlated {
                at,
                owned,
                fetch: begins_at.unwrap_or(scene.broker.reports[at].start),
                begins_at,
                ledger,
                sealed: None,
                committed: None,
                slot,
                reports: 0,
                transacting: epoch.map(|epoch| Transacting::new(at, epoch)),
                repairs,
            });
        }
    }

    // ---- Reading.

    fn read_some(&mut self, scene: &mut Scene<'_, '_>) {
        if self.owned.is_empty() || !self.has_room() {
            return;
        }
        let index = scene.random.index(self.owned.len());
        for _ in 0..=scene.random.below(8) {
            if self.has_room() && !self.read(index, scene) {
                break;
            }
        }
    }

    /// Returns whether there was a report.
    fn read(&mut self, index: usize, scene: &mut Scene<'_, '_>) -> bool {
        let correlated = &mut self.owned[index];
        let at = correlated.at;
        let reports = &scene.broker.reports[at];
        if correlated.fetch < reports.start || correlated.ledger.next().unwrap_or(0) < reports.start {
            scene.checks.on_loss(at);
            correlated.fetch = correlated.fetch.max(reports.start);
        }
        let offset = correlated.fetch;
        let Some(written) = reports.log.get(offset as usize).cloned() else { return false };
        correlated.fetch += 1;
        correlated.owned.read(offset, scene.instant());
        correlated.reports += 1;
        let (rules, options) = (self.setup.rules, self.setup.options);
        let read = correlated.ledger.read(offset, &written.value, rules, options, self.setup.policy);
        if read.began_anew {
            scene.checks.fail(|| format!("reports {at}@{offset}: taken for a topic that was created anew"));
        }
        let Ok(outcome) = read.outcome else { return true };
        scene.checks.on_outcome(at, offset, &outcome);
        for notice in read.notices.notices.into_iter().filter(|_| read.is_new) {
            let Message { id, key, value, .. } = notice.message;
            if !self.owned[index].ledger.was_sent(notice.output, &id) {
                self.send(index, Target::Alerts, Entry::new(format!("{at}|{key}"), id, value.into()), scene);
            }
        }
        true
    }

    fn send(&mut self, index: usize, target: Target, entry: Entry, scene: &mut Scene<'_, '_>) {
        match &mut self.owned[index].transacting {
            Some(transacting) => transacting.send(target, entry, scene),
            None => {
                let bytes = entry.value.len();
                let batch = self.acks.sent(bytes);
                self.wire.queues.entry(target).or_default().push_back((entry, batch, bytes));
            }
        }
    }

    fn on_progress(&mut self, scene: &mut Scene<'_, '_>) {
        if !self.has_room() {
            return;
        }
        for correlated in &mut self.owned {
            let (at, end) = (correlated.at, scene.broker.reports[correlated.at].end());
            let state = FetchState { end: (correlated.fetch == end).then_some(end), high: Some(end), queued: 0 };
            let is_untouched = correlated.owned.position == correlated.begins_at;
            if is_untouched && state.end.is_some_and(|end| Some(end) < correlated.begins_at) {
                (correlated.owned.position, correlated.begins_at) = (None, None);
            }
            correlated.owned.progress(state);
            let Some(end) = correlated.owned.drained_to() else { continue };
            if correlated.ledger.sees_end(end) {
                scene.checks.fail(|| format!("reports {at} up to {end}: taken for a topic that was created anew"));
            }
            if scene.random.chance(10) && correlated.ledger.next() == Some(end) {
                scene.checks.on_state(at, correlated.ledger.shard());
            }
        }
    }

    // ---- Snapshots and commits.

    fn save_if_due(&mut self, scene: &mut Scene<'_, '_>) {
        for index in 0..self.owned.len() {
            if self.owned[index].reports > 0 && scene.random.chance(4) && self.has_room() {
                self.save(index, scene);
            }
        }
    }

    fn save(&mut self, index: usize, scene: &mut Scene<'_, '_>) {
        let correlated = &mut self.owned[index];
        let at = correlated.at;
        let Ok(Some(snapshot)) = correlated.ledger.snapshot() else { return };
        let Ok(chunks) = pack(&snapshot, &key_prefix(GROUP, at as i32), correlated.slot, CHUNK_BYTES) else { return };
        (correlated.slot, correlated.reports) = (correlated.slot.other(), 0);
        scene.tally.snapshots += 1;
        let target = Target::State(at % scene.broker.states.len());
        for chunk in chunks {
            self.send(index, target, Entry::new(chunk.key, String::new(), Rc::from(chunk.value)), scene);
        }
    }

    fn seal(&mut self) {
        let mut covers = Vec::new();
        for correlated in self.owned.iter_mut().filter(|correlated| correlated.transacting.is_none()) {
            let position = correlated.ledger.to_commit();
            if position > correlated.sealed {
                correlated.sealed = position;
                covers.extend(position.map(|position| (partition(correlated.at), position)));
            }
        }
        if !covers.is_empty() {
            self.acks.seal(covers, ());
        }
    }

    /// Some of what is on its way arrives, reports there or acknowledgements here.
    pub fn network(&mut self, scene: &mut Scene<'_, '_>) {
        for _ in 0..=scene.random.below(30) {
            if scene.random.chance(60) {
                self.acked.extend(self.wire.transmit(scene));
            } else if let Some((batch, bytes)) = self.acked.pop_front() {
                self.acks.acknowledged(batch, bytes);
            }
        }
    }

    fn collect(&mut self, scene: &mut Scene<'_, '_>) {
        let mut fresh = BTreeMap::new();
        while let Some(Done { covers, .. }) = self.acks.pop_done() {
            fresh.extend(covers);
        }
        self.done.extend(fresh.clone());
        if !scene.random.chance(10) {
            self.commit(fresh.into_iter().collect(), scene);
        }
    }

    fn commit(&self, offsets: Vec<(Partition, i64)>, scene: &mut Scene<'_, '_>) {
        if scene.broker.correlate.accepts(self.member).is_err() {
            return;
        }
        for (partition, next) in offsets {
            let at = partition.partition as usize;
            scene.broker.correlate.committed[at] = Some(next);
            scene.checks.on_correlate_commit(at, next, scene.broker);
        }
    }

    fn commit_if_due(&mut self, scene: &mut Scene<'_, '_>) {
        let member = self.member;
        for correlated in &mut self.owned {
            let Some(next) = correlated.ledger.to_commit() else { continue };
            let Some(transacting) = correlated.transacting.as_mut().filter(|t| t.trouble.is_none()) else { continue };
            if !transacting.is_committing() && !scene.random.chance(25) {
                continue;
            }
            if correlated.committed == Some(next) && !transacting.is_open() {
                continue;
            }
            transacting.commit(member, next, scene);
            if transacting.is_calm() {
                (correlated.committed, correlated.repairs) = (Some(next), 0);
            }
        }
    }

    /// Begins anew where a transaction failed.
    fn mend(&mut self, scene: &mut Scene<'_, '_>) {
        for index in 0..self.owned.len() {
            let Some(transacting) = &mut self.owned[index].transacting else { continue };
            let Some(epoch) = transacting.recover(scene) else { continue };
            let correlated = self.owned.remove(index);
            self.is_broken |= correlated.repairs >= MOST_REPAIRS;
            self.begin_restoring(vec![(correlated.at, epoch)], correlated.repairs + 1);
            break;
        }
    }

    // ---- The group.

    fn on_group(&mut self, scene: &mut Scene<'_, '_>) {
        let id = self.member.id;
        if !scene.broker.correlate.has(id) {
            (0..self.owned.len()).rev().for_each(|index| self.give_up(index));
            scene.broker.correlate.join(id);
        }
        self.member.generation = scene.broker.correlate.generation;
        let given_up = scene.broker.correlate.to_give_up(id);
        if !given_up.is_empty() {
            self.on_revoked(&given_up, scene);
        }
        let taken = scene.broker.correlate.to_take(id);
        if !taken.is_empty() {
            scene.broker.correlate.assign(id, &taken);
            self.begin_restoring(taken.into_iter().map(|at| (at, None)).collect(), 0);
        }
    }

    pub fn has_read_all(&self, broker: &Broker) -> bool {
        let is_read = |correlated: &Correlated| correlated.ledger.next() == Some(broker.reports[correlated.at].end());
        self.restoring.is_none() && self.owned.iter().all(is_read)
    }

    /// A graceful stop.
    pub fn finish(mut self, scene: &mut Scene<'_, '_>) {
        let partitions: Vec<usize> = self.owned.iter().map(|correlated| correlated.at).collect();
        self.on_revoked(&partitions, scene);
        scene.broker.correlate.expel(self.member.id);
    }

    fn on_revoked(&mut self, partitions: &[usize], scene: &mut Scene<'_, '_>) {
        self.commit_all(partitions, scene);
        self.seal();
        let patience = if !scene.chaos || scene.random.chance(80) { u64::MAX } else { scene.random.below(6) };
        for _ in 0..patience {
            if self.acks.messages() == 0 {
                break;
            }
            self.network(scene);
        }
        self.collect(scene);
        let done = self.done.iter().map(|(partition, next)| (partition.clone(), *next)).collect();
        self.commit(done, scene);
        for index in (0..self.owned.len()).rev() {
            if partitions.contains(&self.owned[index].at) {
                self.give_up(index);
            }
        }
        scene.broker.correlate.release(self.member.id, partitions);
    }

    fn commit_all(&mut self, partitions: &[usize], scene: &mut Scene<'_, '_>) {
        let member = self.member;
        for correlated in self.owned.iter_mut().filter(|correlated| partitions.contains(&correlated.at)) {
            let Some(next) = correlated.ledger.to_commit() else { continue };
            let Some(transacting) = &mut correlated.transacting else { continue };
            for _ in 0..scene.random.below(4) {
                if transacting.trouble.is_some() {
                    break;
                }
                transacting.commit(member, next, scene);
                if transacting.is_calm() {
                    correlated.committed = Some(next);
                    break;
                }
            }
            transacting.give_up(scene);
        }
    }

    fn give_up(&mut self, index: usize) {
        let correlated = self.owned.remove(index);
        self.acks.forget(&correlated.owned.partition);
        self.done.remove(&correlated.owned.partition);
    }
}
