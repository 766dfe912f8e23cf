//! A shard's state on its way through a compacted topic: compressed, cut into chunks that fit a message, and put together
//! again.
//!
//! ```text
//! key    <group>/<partition of the reports>/<slot>/<index>     a, b: two slots in turn, so that compaction always
//! value  Chunk (postcard): of which snapshot, which piece      leaves the newest snapshot and the one before
//! ```

use serde::{Deserialize, Serialize};

use crate::checksum::fnv1a;
use crate::correlator::LAYOUT;

/// Of the chunks' own form; what they hold has [`LAYOUT`].
const VERSION: u16 = 1;
/// Fast, and three quarters smaller; more effort saves little.
const COMPRESSION_LEVEL: i32 = 1;

/// The state of a shard after all reports before the offset `next`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Snapshot {
    pub next: i64,
    /// From [`super::Shard::save`].
    pub state: Vec<u8>,
}

/// Where a snapshot is kept: two take turns.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Slot {
    #[default]
    A,
    B,
}

impl Slot {
    pub fn other(self) -> Self {
        match self {
            Slot::A => Slot::B,
            Slot::B => Slot::A,
        }
    }

    fn letter(self) -> char {
        match self {
            Slot::A => 'a',
            Slot::B => 'b',
        }
    }
}

/// The value of one message.
#[derive(Serialize, Deserialize)]
struct Chunk<'a> {
    version: u16,
    layout: u16,
    next: i64,
    index: u32,
    count: u32,
    /// Of the whole state, uncompressed.
    bytes: u64,
    /// Of all pieces together, and of `bytes`.
    checksum: u64,
    piece: &'a [u8],
}

/// A message to write.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    pub key: String,
    pub value: Vec<u8>,
}

/// Why a snapshot could not be packed or unpacked.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("snapshot: {0}")]
pub struct Error(String);

/// What all keys of a shard's snapshots begin with. `group` names who correlates: several may share a topic.
pub fn key_prefix(group: &str, partition: i32) -> String {
    format!("{group}/{partition}/")
}

/// The messages that carry a snapshot, of at most about `chunk_bytes` each, in the order in which they are to be written.
///
/// # Errors
/// None that is known.
pub fn pack(snapshot: &Snapshot, prefix: &str, slot: Slot, chunk_bytes: usize) -> Result<Vec<Message>, Error> {
    let packed = zstd::bulk::compress(&snapshot.state, COMPRESSION_LEVEL).map_err(|e| Error(e.to_string()))?;
    let checksum = checksum(&packed, snapshot.state.len() as u64);
    // An empty state is compressed to some bytes, so there is always a piece.
    let pieces: Vec<&[u8]> = packed.chunks(chunk_bytes.max(1)).collect();
    let count = u32::try_from(pieces.len()).map_err(|e| Error(e.to_string()))?;
    let message = |(index, piece): (u32, &&[u8])| {
        let bytes = snapshot.state.len() as u64;
        let chunk =
            Chunk { version: VERSION, layout: LAYOUT, next: snapshot.next, index, count, bytes, checksum, piece };
        let value = postcard::to_stdvec(&chunk).map_err(|e| Error(e.to_string()))?;
        Ok(Message { key: format!("{prefix}{}/{index}", slot.letter()), value })
    };
    (0..).zip(&pieces).map(message).collect()
}

/// Puts snapshots together from the messages of a topic, read from its beginning. Keeps the two newest.
#[derive(Debug)]
pub struct Gatherer {
    prefix: String,
    partial: Option<Packed>,
    /// The older first.
    whole: Vec<Packed>,
    /// Of the newest chunk that was not of this version.
    other_version: Option<String>,
    torn: bool,
}

/// A snapshot as it is in the topic.
#[derive(Debug)]
struct Packed {
    slot: Slot,
    next: i64,
    count: u32,
    pieces: u32,
    bytes: u64,
    checksum: u64,
    packed: Vec<u8>,
}

impl Gatherer {
    pub fn new(prefix: String) -> Self {
        Gatherer { prefix, partial: None, whole: Vec::new(), other_version: None, torn: false }
    }

    /// Takes in the next message; those of other shards are passed over.
    pub fn add(&mut self, key: &[u8], value: &[u8]) {
        let Some(slot) = self.slot_of(key) else { return };
        let chunk = match read(value) {
            Ok(chunk) => chunk,
            Err(why) => {
                self.other_version = Some(why);
                self.partial = None;
                return;
            }
        };
        self.other_version = None;
        let continues = |partial: &Packed| partial.is_continued_by(slot, &chunk);
        if !self.partial.as_ref().is_some_and(continues) {
            self.partial = (chunk.index == 0).then(|| Packed::new(slot, &chunk));
        }
        let Some(partial) = &mut self.partial else {
            self.torn = true;
            return;
        };
        partial.packed.extend_from_slice(chunk.piece);
        partial.pieces += 1;
        self.torn = partial.pieces < partial.count;
        if !self.torn
            && let Some(packed) = self.partial.take()
        {
            self.torn = checksum(&packed.packed, packed.bytes) != packed.checksum;
            if !self.torn {
                self.whole.push(packed);
                let surplus = self.whole.len().saturating_sub(2);
                self.whole.drain(..surplus);
            }
        }
    }

    fn slot_of(&self, key: &[u8]) -> Option<Slot> {
        let rest = std::str::from_utf8(key).ok()?.strip_prefix(&self.prefix)?;
        match rest.split_once('/')?.0 {
            "a" => Some(Slot::A),
            "b" => Some(Slot::B),
            _ => None,
        }
    }

    /// What is wrong with the newest snapshot, if it cannot be used.
    pub fn complaint(&self) -> Option<String> {
        match &self.other_version {
            Some(why) => Some(why.clone()),
            None => self.torn.then(|| "it is torn".to_owned()),
        }
    }

    /// The whole snapshots of reports before `committed`, newest first: what came after was perhaps never told.
    pub fn before(&self, committed: i64) -> impl Iterator<Item = (Slot, Result<Snapshot, Error>)> {
        let usable = self.whole.iter().rev().filter(move |packed| packed.next <= committed);
        usable.map(|packed| (packed.slot, packed.unpack()))
    }
}

fn checksum(packed: &[u8], bytes: u64) -> u64 {
    fnv1a(packed) ^ bytes.rotate_left(32)
}

/// # Errors
/// What it is instead.
fn read(value: &[u8]) -> Result<Chunk<'_>, String> {
    let unreadable = |e: postcard::Error| format!("its chunks cannot be read: {e}");
    let (version, _) = postcard::take_from_bytes::<u16>(value).map_err(unreadable)?;
    if version != VERSION {
        return Err(format!("its chunks are of version {version}; this faultline reads version {VERSION}"));
    }
    let chunk: Chunk<'_> = postcard::from_bytes(value).map_err(unreadable)?;
    match chunk.layout {
        LAYOUT => Ok(chunk),
        other => Err(format!("its state has layout {other}; this faultline reads layout {LAYOUT}")),
    }
}

impl Packed {
    fn new(slot: Slot, first: &Chunk<'_>) -> Self {
        let Chunk { next, count, bytes, checksum, .. } = *first;
        Packed { slot, next, count, pieces: 0, bytes, checksum, packed: Vec::new() }
    }

    fn is_continued_by(&self, slot: Slot, chunk: &Chunk<'_>) -> bool {
        let is_same = self.slot == slot && self.next == chunk.next && self.checksum == chunk.checksum;
        is_same && self.count == chunk.count && self.pieces == chunk.index
    }

    fn unpack(&self) -> Result<Snapshot, Error> {
        let bytes = usize::try_from(self.bytes).map_err(|e| Error(e.to_string()))?;
        let state = zstd::bulk::decompress(&self.packed, bytes).map_err(|e| Error(e.to_string()))?;
        Ok(Snapshot { next: self.next, state })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREFIX: &str = "faultline-correlate/3/";

    fn snapshot(next: i64) -> Snapshot {
        let noise = (0..5_000u64).flat_map(|i| fnv1a(&(i + next as u64).to_le_bytes()).to_le_bytes());
        Snapshot { next, state: noise.collect() }
    }

    fn messages(next: i64, slot: Slot) -> Vec<Message> {
        pack(&snapshot(next), PREFIX, slot, 1_000).unwrap()
    }

    fn gathered<'m>(messages: impl IntoIterator<Item = &'m Message>) -> Gatherer {
        let mut gatherer = Gatherer::new(PREFIX.to_owned());
        messages.into_iter().for_each(|message| gatherer.add(message.key.as_bytes(), &message.value));
        gatherer
    }

    fn offsets(gatherer: &Gatherer, committed: i64) -> Vec<i64> {
        gatherer.before(committed).map(|(_, snapshot)| snapshot.unwrap().next).collect()
    }

    #[test]
    fn comes_back_as_it_was_from_chunks_that_fit() {
        let messages = messages(7, Slot::B);
        assert!(messages.len() > 30 && messages.iter().all(|message| message.value.len() < 1_100));
        let gatherer = gathered(&messages);
        assert_eq!(gatherer.before(7).next(), Some((Slot::B, Ok(snapshot(7)))));
        assert_eq!(gatherer.complaint(), None);
        let empty = Snapshot { next: 0, state: Vec::new() };
        let packed = pack(&empty, PREFIX, Slot::A, 1_000).unwrap();
        assert_eq!(gathered(&packed).before(0).next(), Some((Slot::A, Ok(empty))));
    }

    #[test]
    fn the_newest_that_is_whole_and_committed_counts() {
        let (first, second, third) = (messages(10, Slot::A), messages(20, Slot::B), messages(30, Slot::A));
        let all = || first.iter().chain(&second).chain(&third);
        assert_eq!(offsets(&gathered(all()), 100), [30, 20], "two are kept");
        assert_eq!(offsets(&gathered(all()), 29), [20], "the newest is ahead of what was committed");
        assert_eq!(offsets(&gathered(all()), 19), [0i64; 0]);
        let torn = gathered(first.iter().chain(&second).chain(&third[..5]));
        assert_eq!(offsets(&torn, 100), [20, 10]);
        assert_eq!(torn.complaint().as_deref(), Some("it is torn"));
        let gap = gathered(first.iter().chain(&second[..5]).chain(&second[6..]));
        assert_eq!(offsets(&gap, 100), [10]);
        assert!(gap.complaint().is_some());
        // Compaction took the first chunks of the one before and left its last.
        let compacted = gathered(first[20..].iter().chain(&second).chain(&third[..3]).chain(&third));
        assert_eq!(offsets(&compacted, 100), [30, 20]);
        assert_eq!(compacted.complaint(), None);
    }

    #[test]
    fn damage_other_versions_and_other_shards_are_told_apart() {
        let good = messages(10, Slot::A);
        let mut damaged = messages(20, Slot::B);
        let last = damaged[3].value.last_mut().unwrap();
        *last ^= 1;
        let gatherer = gathered(good.iter().chain(&damaged));
        assert_eq!(offsets(&gatherer, 100), [10]);
        assert_eq!(gatherer.complaint().as_deref(), Some("it is torn"));

        let mut newer = messages(20, Slot::B);
        newer.iter_mut().for_each(|message| message.value[0] = 9);
        let gatherer = gathered(good.iter().chain(&newer));
        assert_eq!(offsets(&gatherer, 100), [10]);
        assert!(gatherer.complaint().unwrap().contains("version 9"), "{:?}", gatherer.complaint());
        let nonsense = Message { key: format!("{PREFIX}a/0"), value: Vec::new() };
        assert!(gathered([&nonsense]).complaint().is_some());

        let others = pack(&snapshot(5), "faultline-correlate/33/", Slot::A, 1_000).unwrap();
        assert_eq!(offsets(&gathered(&others), 100), [0i64; 0]);
        assert_eq!(gathered(&others).complaint(), None);
    }
}
