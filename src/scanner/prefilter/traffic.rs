//! Messages that were seen, a few of many; so that rules are looked for by what is rare where they are in use.

use std::collections::{HashMap, VecDeque};

use aho_corasick::AhoCorasick;

use super::pieces::Piece;
use super::{FOLD, GRAM, Prefilter, WINDOW};

/// The newest so many are kept.
const MOST_MESSAGES: usize = 4_096;
/// Of each so many bytes from its start.
const MOST_BYTES: usize = 512;

/// What looking for a piece costs, about, in nanoseconds: where it is found, so that the record is decoded in vain; where
/// its bit in the bitmap is met; and, of a piece that is looked for at every byte, each message.
const DECODE: u64 = 1_500;
const MEET: u64 = 4;
const EVERY_BYTE: u64 = 100;

/// A bounded sample of messages as they stand in JSON strings.
#[derive(Clone, Default, Debug)]
pub struct Traffic {
    /// Folded; oldest first.
    messages: VecDeque<Box<[u8]>>,
}

impl Traffic {
    pub fn add(&mut self, message: &[u8]) {
        let head = &message[..message.len().min(MOST_BYTES)];
        self.push(head.iter().map(|byte| byte | FOLD).collect());
    }

    /// Adds what was seen after it.
    pub fn append(&mut self, newer: Traffic) {
        newer.messages.into_iter().for_each(|message| self.push(message));
    }

    fn push(&mut self, message: Box<[u8]>) {
        if self.messages.len() >= MOST_MESSAGES {
            self.messages.pop_front();
        }
        self.messages.push_back(message);
    }

    pub fn len(&self) -> usize {
        self.messages.len()
    }

    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// How many of the messages would be decoded.
    pub fn candidates(&self, prefilter: &Prefilter) -> usize {
        self.messages.iter().filter(|message| prefilter.may_match(message)).count()
    }
}

/// What looking for pieces would have cost in a sample.
pub(super) struct Costs {
    messages: u64,
    /// How often the four bytes are met at any place.
    grams: HashMap<[u8; GRAM], u64>,
    /// In how many messages the piece is.
    holding: HashMap<Vec<u8>, u64>,
}

impl Costs {
    /// Of any of `pieces`.
    pub fn new<'p>(traffic: &Traffic, pieces: impl Iterator<Item = &'p [u8]>) -> Self {
        let mut costs = Costs { messages: traffic.len() as u64, grams: HashMap::new(), holding: HashMap::new() };
        if traffic.is_empty() {
            return costs;
        }
        for gram in traffic.messages.iter().flat_map(|message| message.array_windows()) {
            *costs.grams.entry(*gram).or_default() += 1;
        }
        let mut pieces: Vec<&[u8]> = pieces.collect();
        pieces.sort_unstable();
        pieces.dedup();
        // Fails only past 2^31 states; then all pieces count as rare.
        let Ok(automaton) = AhoCorasick::new(&pieces) else { return costs };
        for message in &traffic.messages {
            let mut found: Vec<_> = automaton.find_overlapping_iter(message).map(|found| found.pattern()).collect();
            found.sort_unstable();
            found.dedup();
            for pattern in found {
                *costs.holding.entry(pieces[pattern.as_usize()].to_vec()).or_default() += 1;
            }
        }
        costs
    }

    /// Nanoseconds, for the whole sample.
    pub fn of(&self, piece: &Piece) -> u64 {
        let found = self.holding.get(&piece.bytes).copied().unwrap_or_default();
        let looking = match piece.bytes.get(piece.window..piece.window + WINDOW) {
            // At every fourth place only.
            Some(window) => window.array_windows().map(|gram| self.met(gram)).sum::<u64>() * MEET / GRAM as u64,
            None => self.messages * EVERY_BYTE,
        };
        found * DECODE + looking
    }

    fn met(&self, gram: &[u8; GRAM]) -> u64 {
        self.grams.get(gram).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_messages_are_kept_and_only_their_start() {
        let mut traffic = Traffic::default();
        (0..MOST_MESSAGES).for_each(|_| traffic.add(b"OLD"));
        let mut newer = Traffic::default();
        newer.add(&[b'x'; MOST_BYTES + 1]);
        traffic.append(newer);
        assert_eq!(traffic.len(), MOST_MESSAGES);
        assert_eq!(*traffic.messages[0], *b"old");
        assert_eq!(traffic.messages[MOST_MESSAGES - 1].len(), MOST_BYTES);
    }

    #[test]
    fn what_is_found_costs_more_than_what_is_met_and_that_more_than_what_is_not() {
        let mut traffic = Traffic::default();
        (0..10).for_each(|_| traffic.add(b"connection accepted from 10.0.0.1"));
        let piece = |bytes: &[u8], window| Piece { bytes: bytes.to_vec(), window };
        let pieces =
            [piece(b"accepted", 0), piece(b"accepted xyz 42", 0), piece(b"accepted xyz 42", 8), piece(b"xyz", 0)];
        let costs = Costs::new(&traffic, pieces.iter().map(|piece| &*piece.bytes));
        let [found, met, absent, short] = pieces.each_ref().map(|piece| costs.of(piece));
        assert!(found > short && short > met && met > absent, "{found} {short} {met} {absent}");
        assert_eq!(absent, 0);
    }
}
