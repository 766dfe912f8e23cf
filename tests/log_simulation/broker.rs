//! A broker in memory: logs, consumer groups and transactions, as far as the two stages lean on them.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use faultline::report::Report;

/// One message of the alerts or of the states.
#[derive(Clone)]
pub struct Entry {
    pub key: String,
    /// Of an alert.
    pub id: String,
    pub value: Rc<[u8]>,
    transaction: Option<usize>,
    compacted: bool,
}

impl Entry {
    pub fn new(key: String, id: String, value: Rc<[u8]>) -> Self {
        Entry { key, id, value, transaction: None, compacted: false }
    }
}

#[derive(Clone)]
pub struct Written {
    pub report: Rc<Report>,
    pub value: Rc<[u8]>,
}

/// One partition of the reports; offsets below `start` fell to retention.
#[derive(Default)]
pub struct Reports {
    pub start: i64,
    pub log: Vec<Written>,
}

impl Reports {
    pub fn end(&self) -> i64 {
        self.log.len() as i64
    }
}

/// Where a correlator's message goes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Target {
    Alerts,
    State(usize),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    Open,
    Committed,
    Aborted,
}

struct Transaction {
    fate: Fate,
    offsets: Option<(usize, i64)>,
}

#[derive(Default)]
struct Producer {
    epoch: u64,
    open: Option<usize>,
}

/// Why the broker says no.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// Somebody else has the transactional id now.
    Fenced,
    /// The member's generation is not the group's.
    Generation,
}

/// Who a member says it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Member {
    pub id: u64,
    pub generation: u64,
}

/// A consumer group that hands partitions on one by one (cooperatively).
#[derive(Debug)]
pub struct Group {
    pub generation: u64,
    members: BTreeSet<u64>,
    /// Who has each partition, and who is to have it.
    owners: Vec<Option<u64>>,
    wanted: Vec<Option<u64>>,
    pub committed: Vec<Option<i64>>,
}

impl Group {
    fn new(partitions: usize) -> Self {
        Group {
            generation: 0,
            members: BTreeSet::new(),
            owners: vec![None; partitions],
            wanted: vec![None; partitions],
            committed: vec![None; partitions],
        }
    }

    pub fn join(&mut self, id: u64) {
        self.members.insert(id);
        self.generation += 1;
        self.heirs();
    }

    /// The member left, or was not heard of for the session's timeout; it may not know.
    pub fn expel(&mut self, id: u64) {
        if self.members.remove(&id) {
            self.generation += 1;
            let gone = |owner: &mut Option<u64>| *owner = owner.filter(|owner| *owner != id);
            self.owners.iter_mut().for_each(gone);
            self.wanted.iter_mut().for_each(gone);
            self.heirs();
        }
    }

    /// Partitions that nobody is to have go to whoever is to have the fewest.
    fn heirs(&mut self) {
        for partition in 0..self.wanted.len() {
            if self.wanted[partition].is_none() {
                let load = |id: &u64| self.wanted.iter().filter(|wanted| **wanted == Some(*id)).count();
                self.wanted[partition] = self.members.iter().copied().min_by_key(load);
            }
        }
    }

    /// A rebalance: the partition is to go to that member.
    pub fn want(&mut self, partition: usize, id: u64) {
        if self.members.contains(&id) && self.wanted[partition] != Some(id) {
            self.wanted[partition] = Some(id);
            self.generation += 1;
        }
    }

    pub fn has(&self, id: u64) -> bool {
        self.members.contains(&id)
    }

    pub fn members(&self) -> impl Iterator<Item = u64> {
        self.members.iter().copied()
    }

    pub fn to_give_up(&self, id: u64) -> Vec<usize> {
        let of = |partition: &usize| self.owners[*partition] == Some(id) && self.wanted[*partition] != Some(id);
        (0..self.owners.len()).filter(of).collect()
    }

    pub fn to_take(&self, id: u64) -> Vec<usize> {
        let of = |partition: &usize| self.owners[*partition].is_none() && self.wanted[*partition] == Some(id);
        (0..self.owners.len()).filter(of).collect()
    }

    pub fn release(&mut self, id: u64, partitions: &[usize]) {
        for &partition in partitions {
            self.owners[partition] = self.owners[partition].filter(|owner| *owner != id);
        }
        self.generation += 1;
    }

    pub fn assign(&mut self, id: u64, partitions: &[usize]) {
        partitions.iter().for_each(|&partition| self.owners[partition] = Some(id));
    }

    /// As Kafka does: who has the partition is not asked, only who is of this generation.
    pub fn accepts(&self, member: Member) -> Result<(), Refused> {
        let is_current = self.members.contains(&member.id) && member.generation == self.generation;
        if is_current { Ok(()) } else { Err(Refused::Generation) }
    }
}

pub struct Broker {
    pub reports: Vec<Reports>,
    pub alerts: Vec<Entry>,
    pub states: Vec<Vec<Entry>>,
    pub scan: Group,
    pub correlate: Group,
    transactions: Vec<Transaction>,
    producers: BTreeMap<usize, Producer>,
    /// A broken one, to see that this is noticed.
    pub without_fencing: bool,
}

impl Broker {
    pub fn new(inputs: usize, reports: usize, states: usize) -> Self {
        Broker {
            reports: (0..reports).map(|_| Reports::default()).collect(),
            alerts: Vec::new(),
            states: vec![Vec::new(); states],
            scan: Group::new(inputs),
            correlate: Group::new(reports),
            transactions: Vec::new(),
            producers: BTreeMap::new(),
            without_fencing: false,
        }
    }

    fn log(&mut self, target: Target) -> &mut Vec<Entry> {
        match target {
            Target::Alerts => &mut self.alerts,
            Target::State(partition) => &mut self.states[partition],
        }
    }

    pub fn append(&mut self, target: Target, entry: Entry) {
        self.log(target).push(entry);
    }

    /// A producer begins with a transactional id (that of a partition of the reports): what its predecessor left open is
    /// aborted, and the predecessor is heard no more.
    pub fn begin(&mut self, id: usize) -> u64 {
        if self.without_fencing {
            let producer = self.producers.entry(id).or_default();
            producer.epoch += 1;
            return producer.epoch;
        }
        self.abandon(id);
        self.producers.entry(id).or_default().epoch
    }

    /// `transaction.timeout.ms` is over.
    pub fn time_out(&mut self, id: usize) {
        if self.producers.get(&id).is_some_and(|producer| producer.open.is_some()) && !self.without_fencing {
            self.abandon(id);
        }
    }

    fn abandon(&mut self, id: usize) {
        let producer = self.producers.entry(id).or_default();
        producer.epoch += 1;
        if let Some(open) = producer.open.take() {
            self.transactions[open].fate = Fate::Aborted;
        }
    }

    fn open(&mut self, id: usize, epoch: u64) -> Result<usize, Refused> {
        let lenient = self.without_fencing;
        let producer = self.producers.entry(id).or_default();
        if producer.epoch != epoch && !lenient {
            return Err(Refused::Fenced);
        }
        if let Some(open) = producer.open {
            return Ok(open);
        }
        self.transactions.push(Transaction { fate: Fate::Open, offsets: None });
        producer.open = Some(self.transactions.len() - 1);
        Ok(self.transactions.len() - 1)
    }

    pub fn is_current(&self, id: usize, epoch: u64) -> bool {
        self.without_fencing || self.producers.get(&id).is_some_and(|producer| producer.epoch == epoch)
    }

    pub fn produce(&mut self, id: usize, epoch: u64, target: Target, entry: Entry) -> Result<(), Refused> {
        let transaction = Some(self.open(id, epoch)?);
        self.append(target, Entry { transaction, ..entry });
        Ok(())
    }

    pub fn send_offsets(&mut self, (id, epoch): (usize, u64), member: Member, next: i64) -> Result<(), Refused> {
        let open = self.open(id, epoch)?;
        if !self.without_fencing {
            self.correlate.accepts(member)?;
        }
        self.transactions[open].offsets = Some((id, next));
        Ok(())
    }

    /// Ends the transaction; returns the offset that was committed.
    pub fn end(&mut self, id: usize, epoch: u64, commit: bool) -> Result<Option<i64>, Refused> {
        let open = self.open(id, epoch)?;
        self.producers.entry(id).or_default().open = None;
        let transaction = &mut self.transactions[open];
        transaction.fate = if commit { Fate::Committed } else { Fate::Aborted };
        let Some((partition, next)) = transaction.offsets.filter(|_| commit) else { return Ok(None) };
        self.correlate.committed[partition] = Some(next);
        Ok(Some(next))
    }

    fn fate(&self, entry: &Entry) -> Fate {
        entry.transaction.map_or(Fate::Committed, |transaction| self.transactions[transaction].fate)
    }

    /// What a `read_committed` reader that waits long enough gets to see.
    pub fn is_visible(&self, entry: &Entry) -> bool {
        self.fate(entry) == Fate::Committed
    }

    /// What a `read_committed` reader sees now: nothing behind the first open transaction.
    pub fn stable(&self, target: Target) -> impl Iterator<Item = &Entry> {
        let log = match target {
            Target::Alerts => &self.alerts,
            Target::State(partition) => &self.states[partition],
        };
        let up_to_open = log.iter().take_while(|entry| self.fate(entry) != Fate::Open);
        up_to_open.filter(|entry| !entry.compacted && self.is_visible(entry))
    }

    /// Keeps the newest message of each key, up to the first open transaction.
    pub fn compact(&mut self, state: usize) {
        let log = &self.states[state];
        let stable = log.iter().position(|entry| self.fate(entry) == Fate::Open).unwrap_or(log.len());
        let mut kept = BTreeSet::new();
        let mut gone = Vec::new();
        for (at, entry) in log[..stable].iter().enumerate().rev() {
            if !self.is_visible(entry) || !kept.insert(entry.key.clone()) {
                gone.push(at);
            }
        }
        gone.into_iter().for_each(|at| self.states[state][at].compacted = true);
    }
}
