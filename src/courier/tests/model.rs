//! Random stories against what must hold whatever happens.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    /// A record of a key (of four) comes; its phase; whether it repeats the id of the one before.
    Arrive {
        key: usize,
        phase: Phase,
        repeat: bool,
    },
    Broken,
    /// What is due is sent, and this becomes of it; `kept`: the receiver took it although it did not say so.
    Send {
        outcome: u8,
        kept: bool,
    },
    Pass {
        seconds: u64,
    },
    /// A crash: everything is read again from what was committed.
    Restart,
    /// The dead letters so far are acknowledged.
    Acknowledge,
}

fn step() -> impl Strategy<Value = Step> {
    let phase = prop_oneof![4 => Just(Firing), 3 => Just(Resolved)];
    prop_oneof![
        8 => (0..4usize, phase, prop::bool::weighted(0.1))
            .prop_map(|(key, phase, repeat)| Step::Arrive { key, phase, repeat }),
        1 => Just(Step::Broken),
        6 => (0..8u8, any::<bool>()).prop_map(|(outcome, kept)| Step::Send { outcome, kept }),
        3 => (0..90u64).prop_map(|seconds| Step::Pass { seconds }),
        1 => Just(Step::Restart),
        1 => Just(Step::Acknowledge),
    ]
}

/// The topic, the receiver and the group's offset.
struct World {
    courier: Courier,
    target: Target,
    log: Vec<Option<Parcel>>,
    read: usize,
    committed: i64,
    now: u64,
    /// What the receiver holds of each key, and the newest record that it heard of.
    receiver: BTreeMap<String, (Phase, i64)>,
    /// Since the last start.
    heard: BTreeMap<String, i64>,
    /// What it said it took.
    certain: BTreeSet<i64>,
    refused: BTreeSet<i64>,
    letters: Vec<i64>,
}

impl World {
    fn new(target: Target) -> Self {
        let limits = Limits { waiting: 1000, ..Limits::default() };
        World {
            courier: courier(Options { limits, ..options(target) }),
            target,
            log: Vec::new(),
            read: 0,
            committed: -1,
            now: 0,
            receiver: BTreeMap::new(),
            heard: BTreeMap::new(),
            certain: BTreeSet::new(),
            refused: BTreeSet::new(),
            letters: Vec::new(),
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Arrive { key, phase, repeat } => {
                let offset = i64::try_from(self.log.len()).unwrap();
                let mut parcel = parcel(offset, ["a", "b", "c", "d"][key], phase);
                let same_key = |other: &&Parcel| other.key == parcel.key;
                let before = self.log.iter().flatten().rfind(same_key);
                if let Some(before) = before.filter(|_| repeat) {
                    parcel = Parcel { place: parcel.place, ..before.clone() };
                }
                self.log.push(Some(parcel));
                self.read();
            }
            Step::Broken => {
                self.log.push(None);
                self.read();
            }
            Step::Send { outcome, kept } => self.send(outcome, kept),
            Step::Pass { seconds } => self.now += seconds * 1000,
            Step::Restart => self.restart(),
            Step::Acknowledge => {
                for offset in std::mem::take(&mut self.letters) {
                    self.courier.settle(&place(offset));
                }
            }
        }
        self.commit();
    }

    fn read(&mut self) {
        while self.read < self.log.len() {
            let offset = i64::try_from(self.read).unwrap();
            match self.log[self.read].clone() {
                Some(parcel) => _ = self.courier.accept(parcel, at(self.now)),
                None => {
                    if !self.courier.reject(&place(offset)) {
                        self.refused.insert(offset);
                        self.letters.push(offset);
                    }
                }
            }
            self.read += 1;
        }
    }

    fn restart(&mut self) {
        self.courier = Courier::new(self.courier.options.clone(), 2);
        let end = i64::try_from(self.log.len()).unwrap();
        let committed = (self.committed >= 0).then_some(self.committed);
        self.courier.assign(partition(0), Standing { committed, end, from_start: true });
        self.read = 0;
        self.heard.clear();
        self.certain.clear();
        self.letters.clear();
        self.read();
    }

    fn send(&mut self, outcome: u8, kept: bool) {
        let Next::Send(shipment) = self.courier.next(at(self.now)) else { return };
        let why = String::new();
        let verdict = match outcome {
            0 => Verdict::Refused { why },
            1 => Verdict::Pause { why },
            2 => retry(false),
            3 => retry(true),
            _ => Verdict::Delivered,
        };
        if verdict == Verdict::Delivered || outcome == 3 && kept {
            self.hear(std::str::from_utf8(&shipment.body).unwrap(), verdict == Verdict::Delivered);
        }
        match self.courier.answered(&verdict, at(self.now)) {
            Outcome::Refused { places, .. } => {
                self.refused.extend(places.iter().map(|place| place.offset));
                self.letters.extend(places.iter().map(|place| place.offset));
            }
            outcome => assert_eq!(matches!(outcome, Outcome::Delivered(_)), verdict == Verdict::Delivered),
        }
    }

    fn hear(&mut self, body: &str, is_certain: bool) {
        let words: Vec<&str> = body.split(' ').collect();
        let (key, offset) = (words[0].to_owned(), words[2].parse().unwrap());
        let phase = if words[1] == "Firing" { Firing } else { Resolved };
        if let Some(before) = self.heard.get(&key) {
            assert!(*before <= offset, "{key}: {offset} after {before}");
        }
        assert!(!self.certain.contains(&offset), "{key}: {offset} again");
        if is_certain {
            self.certain.insert(offset);
        }
        self.heard.insert(key.clone(), offset);
        self.receiver.insert(key, (phase, offset));
    }

    fn commit(&mut self) {
        for (_, next) in self.courier.commits() {
            assert!(next > self.committed, "only forward");
            self.committed = next;
        }
        let letters: BTreeSet<i64> = self.letters.iter().copied().collect();
        assert!(letters.range(..self.committed).next().is_none(), "a dead letter that is not acknowledged");
        // A key has an end and a new beginning at the most, and one message under way.
        assert!(self.courier.waiting() <= 4 * 3, "{}", self.courier.waiting());
    }

    /// Everything is delivered in the end; nobody believes what is not so.
    fn finish(mut self) {
        for _ in 0..1000 {
            self.send(7, false);
            self.now += 61_000;
            self.take(Step::Acknowledge);
        }
        assert_eq!(self.courier.waiting(), 0);
        assert_eq!(usize::try_from(self.committed.max(0)).unwrap(), self.log.len());
        let mut newest: BTreeMap<&str, (Phase, i64)> = BTreeMap::new();
        for parcel in self.log.iter().flatten() {
            newest.insert(&parcel.key, (parcel.phase, parcel.place.offset));
        }
        for (key, (phase, offset)) in newest {
            // What was refused is in the dead-letter topic, for people to look at.
            let refused = self.log.iter().flatten().any(|p| p.key == key && self.refused.contains(&p.place.offset));
            match self.receiver.get(key) {
                _ if refused => {}
                Some((believed, _)) => assert_eq!(*believed, phase, "{key} after {offset} ({:?})", self.target),
                None => assert_eq!(phase, Resolved, "{key} was never told"),
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_or_late_or_committed_too_early(steps in vec(step(), 1..80)) {
        let mut world = World::new(Target::PagerDuty);
        steps.into_iter().for_each(|step| world.take(step));
        world.finish();
    }
}
