//! The transactions of one partition of the reports: what `service/correlate_stage/transactions` and
//! `kafka::Transaction` do together.

use super::Scene;
use super::broker::{Entry, Member, Refused, Target};

const MEND_AFTER_MS: i64 = 5000;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trouble {
    Abort,
    /// No sooner than then.
    Replace(i64),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Idle,
    Open,
    /// The offsets are part of it.
    Whole,
    /// It is committed, but nobody has said so.
    Unheard,
}

pub struct Transacting {
    /// The transactional id: that of the partition.
    id: usize,
    epoch: u64,
    stage: Stage,
    committing: Option<i64>,
    pub trouble: Option<Trouble>,
}

impl Transacting {
    pub fn new(id: usize, epoch: u64) -> Self {
        Transacting { id, epoch, stage: Stage::Idle, committing: None, trouble: None }
    }

    pub fn is_calm(&self) -> bool {
        self.committing.is_none() && self.trouble.is_none()
    }

    pub fn is_committing(&self) -> bool {
        self.committing.is_some()
    }

    pub fn is_open(&self) -> bool {
        self.stage != Stage::Idle
    }

    pub fn send(&mut self, target: Target, entry: Entry, scene: &mut Scene<'_, '_>) {
        if self.trouble.is_some() {
            return;
        }
        self.stage = Stage::Open;
        let is_lost = scene.chaos && scene.random.permille(5);
        if is_lost || scene.broker.produce(self.id, self.epoch, target, entry).is_err() {
            self.trouble = Some(Trouble::Abort);
        }
    }

    /// One look at the commit. What the network loses is asked for again.
    pub fn commit(&mut self, member: Member, next: i64, scene: &mut Scene<'_, '_>) {
        let next = *self.committing.get_or_insert(next);
        if self.stage == Stage::Unheard {
            if !scene.broker.is_current(self.id, self.epoch) {
                return self.breaks(scene);
            }
            (self.stage, self.committing) = (Stage::Idle, None);
            return;
        }
        if self.stage != Stage::Whole {
            match scene.broker.send_offsets((self.id, self.epoch), member, next) {
                Ok(()) => self.stage = Stage::Whole,
                Err(Refused::Generation) => {
                    (self.stage, self.trouble) = (Stage::Open, Some(Trouble::Abort));
                    return;
                }
                Err(Refused::Fenced) => return self.breaks(scene),
            }
        }
        let (asks, hears) = (!scene.random.chance(15), !scene.random.chance(15));
        if !asks {
            return;
        }
        match scene.broker.end(self.id, self.epoch, true) {
            Ok(committed) => {
                scene.tally.transactions += 1;
                if let Some(next) = committed {
                    scene.checks.on_correlate_commit(self.id, next, scene.broker);
                }
                self.stage = Stage::Unheard;
                if hears {
                    (self.stage, self.committing) = (Stage::Idle, None);
                }
            }
            Err(_) => self.breaks(scene),
        }
    }

    fn breaks(&mut self, scene: &Scene<'_, '_>) {
        self.trouble = Some(Trouble::Replace(scene.now + MEND_AFTER_MS));
    }

    /// One step out of the trouble: `Some` when the partition can begin anew, with the epoch of a producer that can go on.
    pub fn recover(&mut self, scene: &mut Scene<'_, '_>) -> Option<Option<u64>> {
        match self.trouble? {
            Trouble::Abort => {
                if scene.broker.end(self.id, self.epoch, false).is_ok() {
                    scene.tally.aborted += 1;
                    return Some(Some(self.epoch));
                }
                self.breaks(scene);
                None
            }
            Trouble::Replace(at) => (scene.now >= at).then_some(None),
        }
    }

    /// Aborts what is open, if that can be done.
    pub fn give_up(&mut self, scene: &mut Scene<'_, '_>) {
        if matches!(self.stage, Stage::Open | Stage::Whole) {
            let _ = scene.broker.end(self.id, self.epoch, false);
        }
    }
}
