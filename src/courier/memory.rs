//! What is remembered of what went before: the ids of alerts, and what receivers know. Both bounded.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::format::Thread;

/// The newest ids, to know a repeat.
#[derive(Debug)]
pub struct SeenIds {
    ids: BTreeSet<String>,
    order: VecDeque<String>,
    most: usize,
    forgotten: u64,
}

impl SeenIds {
    pub fn new(most: usize) -> Self {
        SeenIds { ids: BTreeSet::new(), order: VecDeque::new(), most: most.max(1), forgotten: 0 }
    }

    /// Remembers it. What has no id is always new.
    pub fn is_new(&mut self, id: Option<&str>) -> bool {
        let Some(id) = id else { return true };
        if !self.ids.insert(id.to_owned()) {
            return false;
        }
        self.order.push_back(id.to_owned());
        if self.order.len() > self.most
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
            self.forgotten += 1;
        }
        true
    }

    pub fn forget(&mut self, id: Option<&str>) {
        if id.is_some_and(|id| self.ids.remove(id)) {
            self.order.retain(|known| Some(known.as_str()) != id);
        }
    }

    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }
}

/// What receivers know of incidents.
#[derive(Debug)]
pub struct Told {
    keys: BTreeMap<String, (u64, Option<Open>)>,
    /// Whether it is open, and when it was last told: those that are over are forgotten first.
    order: BTreeMap<(bool, u64), String>,
    clock: u64,
    most: usize,
    /// Whether a key that is not in here was never told.
    complete: bool,
    forgotten: u64,
}

/// An incident that was told and not ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Open {
    /// `None` where somebody else wrote the messages.
    pub thread: Option<Thread>,
}

impl Told {
    pub fn new(most: usize) -> Self {
        Told {
            keys: BTreeMap::new(),
            order: BTreeMap::new(),
            clock: 0,
            most: most.max(1),
            complete: true,
            forgotten: 0,
        }
    }

    /// There were messages that nobody here saw.
    pub fn is_incomplete(&mut self) {
        self.complete = false;
    }

    pub fn open(&self, key: &str) -> Option<&Open> {
        self.keys.get(key).and_then(|(_, open)| open.as_ref())
    }

    /// What the receivers know it by.
    pub fn thread(&self, key: &str) -> Option<&Thread> {
        self.open(key).and_then(|open| open.thread.as_ref())
    }

    /// False only where it is certain that receivers know of no open incident.
    pub fn may_be_open(&self, key: &str) -> bool {
        self.keys.get(key).map_or(!self.complete, |(_, open)| open.is_some())
    }

    /// `None`: it is over.
    pub fn set(&mut self, key: &str, open: Option<Open>) {
        self.clock += 1;
        let order = (open.is_some(), self.clock);
        if let Some((before, was)) = self.keys.insert(key.to_owned(), (self.clock, open)) {
            self.order.remove(&(was.is_some(), before));
        }
        self.order.insert(order, key.to_owned());
        if self.order.len() > self.most
            && let Some(((was_open, _), oldest)) = self.order.pop_first()
        {
            self.keys.remove(&oldest);
            self.complete &= !was_open;
            self.forgotten += 1;
        }
    }

    /// The wider incident goes on under the narrower one's name.
    pub fn hand_over(&mut self, narrower: &str, wider: &str) {
        let open = self.open(narrower).cloned();
        self.set(narrower, None);
        self.set(wider, open);
    }

    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_known_until_as_many_others_came() {
        let mut ids = SeenIds::new(2);
        assert!(ids.is_new(Some("a")) && ids.is_new(None) && ids.is_new(None) && ids.is_new(Some("b")));
        assert!(!ids.is_new(Some("a")));
        assert!(ids.is_new(Some("c")) && !ids.is_new(Some("b")));
        assert_eq!(ids.forgotten(), 1);
        ids.forget(Some("c"));
        assert!(ids.is_new(Some("c")) && ids.is_new(Some("a")));
    }

    #[test]
    fn what_is_over_is_forgotten_first_and_doubt_remains_after_what_is_open() {
        let mut told = Told::new(2);
        let open = || Some(Open { thread: None });
        told.set("a", open());
        told.set("b", open());
        told.set("b", None);
        told.set("c", open());
        assert!(told.may_be_open("a") && told.may_be_open("c"));
        assert!(!told.may_be_open("b"), "forgotten, but as over");
        told.set("d", open());
        assert!(told.may_be_open("a"), "it was open when it was forgotten");
        assert!(told.may_be_open("new"), "as may be any other");
        assert_eq!((told.forgotten(), told.open("a")), (2, None));
    }
}
