//! Says of a message's bytes, as they stand in a JSON string, that no rule can match it; so that it need not be decoded.
//!
//! *It never misses what matching the decoded message finds.* Of each rule's literals one is taken that every matching
//! message holds, and of that a *piece*: bytes that stand in the record as they stand in the message, however often it
//! was escaped. Pieces hold no `"`, no `\` and no control characters; other bytes can only be changed by the escapes `\u`
//! and `\/`, and a message that holds one of them must not be asked for ([`super::skim`] decodes it). Letters count in
//! either case.
//!
//! Pieces are found by sampling (Wu and Manber's idea): the four bytes at every fourth place of the message are looked
//! up in a bitmap. Whichever way a piece lies, four of its bytes from such a place on are within any seven of it, so the
//! bitmap has the four groups of four of its rarest seven bytes. After a hit the next four bytes are looked at, too, and
//! what then is left is compared with the whole piece.
//!
//! What is rare is told by a table of log text, and by a sample of the messages that were seen, if there is one. Which
//! pieces are looked for decides how much is let through, never what is found.

use super::matcher::Need;

mod pieces;
mod rarity;
mod traffic;

pub use traffic::Traffic;

use pieces::Piece;

/// Bytes looked up at once, and how far apart.
const GRAM: usize = 4;
/// What of a piece is put into the bitmap.
const WINDOW: usize = 2 * GRAM - 1;
/// Shorter pieces would be found nearly everywhere.
const MIN_PIECE: usize = 3;

/// 8 KiB, so that a first-level cache holds the records and what is known of their writers as well: with 1,000 rules one
/// bit in 16 is taken. With 2^18 bits they took a seventh longer.
const BITMAP_BITS: u32 = 16;
/// Where there are fewer grams, as many bits are used for each.
const SPARSE: usize = 48;
const BUCKET_BITS: u32 = 12;

/// ASCII letters in lower case; folds some other bytes together, too.
const FOLD: u8 = 0x20;
const FOLD_GRAM: u32 = 0x2020_2020;

pub struct Prefilter {
    /// Some rule has no piece to look for: it may match anything.
    open: bool,
    /// Pieces of at least [`WINDOW`] bytes, looked for at every fourth byte.
    long: Sampled,
    /// Shorter ones, by their first three bytes, looked for at every byte.
    short: Sampled,
}

/// Pieces by the groups of bytes that give them away.
#[derive(Default)]
struct Sampled {
    bitmap: Option<Box<Bitmap>>,
    /// The same with the four bytes behind the gram; of pieces that are too short for that the gram alone.
    second: Option<Box<Bitmap>>,
    pieces: Vec<Box<[u8]>>,
    marks: Vec<Mark>,
    /// How many bits of a gram's hash are left out, so that of few pieces only a small part of the bitmap is in use: it
    /// shares a cache with the records.
    spared_bits: u32,
    /// By hash of the gram: where its marks begin.
    buckets: Vec<u32>,
}

const BITMAP_WORDS: usize = 1 << (BITMAP_BITS - 6);
type Bitmap = [u64; BITMAP_WORDS];

/// A gram of a piece.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Mark {
    bucket: u32,
    gram: u32,
    piece: u32,
    /// Where the gram stands in the piece.
    at: u32,
}

impl Prefilter {
    /// For rules of each of which `needs` gives what its messages must hold. They are looked for by what is rare in
    /// `traffic`, as far as that tells.
    pub(super) fn new(needs: impl Iterator<Item = Vec<Need>>, traffic: &Traffic) -> Self {
        let chosen = pieces::choose(&needs.collect::<Vec<_>>(), traffic);
        let open = chosen.iter().any(Option::is_none);
        let mut pieces: Vec<Piece> = chosen.into_iter().flatten().flatten().collect();
        pieces.sort_unstable();
        pieces.dedup();
        let (long, short): (Vec<_>, Vec<_>) = pieces.into_iter().partition(|piece| piece.bytes.len() >= WINDOW);
        Prefilter { open, long: Sampled::long(long), short: Sampled::short(short) }
    }

    /// Whether the message that stands so in a JSON string, without its quotes, may match a rule for log lines. It holds
    /// neither `\u` nor `\/`, also not behind an escaped `\`.
    pub fn may_match(&self, escaped: &[u8]) -> bool {
        self.open || self.long.is_in_sample(escaped) || self.short.is_anywhere(escaped)
    }

    /// Whether it can rule anything out.
    pub fn is_of_use(&self) -> bool {
        !self.open
    }
}

impl Sampled {
    fn long(pieces: Vec<Piece>) -> Self {
        Sampled::new(pieces, |piece| (0..GRAM).map(|at| piece.window + at).collect(), gram_of_four)
    }

    fn short(pieces: Vec<Piece>) -> Self {
        Sampled::new(pieces, |_| vec![0], gram_of_three)
    }

    fn new(pieces: Vec<Piece>, places: fn(&Piece) -> Vec<usize>, gram: fn(&[u8]) -> u32) -> Self {
        if pieces.is_empty() {
            return Sampled::default();
        }
        let mut bitmap: Box<Bitmap> = Box::new([0; BITMAP_WORDS]);
        let mut second: Box<Bitmap> = Box::new([0; BITMAP_WORDS]);
        let grams: usize = pieces.iter().map(|piece| places(piece).len()).sum();
        let bits = (grams * SPARSE).next_power_of_two().ilog2().clamp(BITMAP_BITS - 4, BITMAP_BITS);
        let spared_bits = BITMAP_BITS - bits;
        let mut marks = Vec::new();
        for (index, piece) in pieces.iter().enumerate() {
            for at in places(piece) {
                let gram = gram(&piece.bytes[at..]);
                let (word, bit) = place(gram, spared_bits);
                bitmap[word] |= 1 << bit;
                let (word, bit) = piece.bytes[at..].first_chunk().map_or((word, bit), place_of_eight);
                second[word] |= 1 << bit;
                marks.push(Mark { bucket: bucket(gram), gram, piece: index as u32, at: at as u32 });
            }
        }
        marks.sort_unstable();
        let buckets = (0..=1 << BUCKET_BITS).map(|bucket| marks.partition_point(|mark| mark.bucket < bucket) as u32);
        Sampled {
            bitmap: Some(bitmap),
            second: Some(second),
            spared_bits,
            buckets: buckets.collect(),
            marks,
            pieces: pieces.into_iter().map(|piece| piece.bytes.into()).collect(),
        }
    }

    fn is_in_sample(&self, text: &[u8]) -> bool {
        let Some(bitmap) = &self.bitmap else { return false };
        let (grams, _) = text.as_chunks::<GRAM>();
        for (index, gram) in grams.iter().enumerate() {
            let gram = u32::from_le_bytes(*gram) | FOLD_GRAM;
            let (word, bit) = place(gram, self.spared_bits);
            if bitmap[word] >> bit & 1 != 0 && self.may_be_at(text, index * GRAM, gram) {
                return true;
            }
        }
        false
    }

    fn is_anywhere(&self, text: &[u8]) -> bool {
        let Some(bitmap) = &self.bitmap else { return false };
        for (index, bytes) in text.array_windows::<MIN_PIECE>().enumerate() {
            let gram = gram_of_three(bytes);
            let (word, bit) = place(gram, self.spared_bits);
            if bitmap[word] >> bit & 1 != 0 && self.may_be_at(text, index, gram) {
                return true;
            }
        }
        false
    }

    /// Not made part of the loops that call it: they run seldom so far, and are the faster the less is in them.
    #[cold]
    #[inline(never)]
    fn may_be_at(&self, text: &[u8], at: usize, gram: u32) -> bool {
        let Some(second) = &self.second else { return false };
        let is_in = |(word, bit): (usize, u32)| second[word] >> bit & 1 != 0;
        let with_next = text[at..].first_chunk().is_some_and(|eight| is_in(place_of_eight(eight)));
        (with_next || is_in(place(gram, self.spared_bits))) && self.is_at(text, at, gram)
    }

    /// Whether one of the pieces that the gram is of is there.
    fn is_at(&self, text: &[u8], at: usize, gram: u32) -> bool {
        let bucket = bucket(gram) as usize;
        let marks = &self.marks[self.buckets[bucket] as usize..self.buckets[bucket + 1] as usize];
        marks.iter().filter(|mark| mark.gram == gram).any(|mark| {
            let piece = &self.pieces[mark.piece as usize];
            let there = at.checked_sub(mark.at as usize).and_then(|start| text.get(start..start + piece.len()));
            there.is_some_and(|there| there.iter().zip(piece).all(|(byte, expected)| byte | FOLD == *expected))
        })
    }
}

fn gram_of_four(bytes: &[u8]) -> u32 {
    bytes.first_chunk().map_or(0, |gram| u32::from_le_bytes(*gram)) | FOLD_GRAM
}

fn gram_of_three(bytes: &[u8]) -> u32 {
    bytes.first_chunk().map_or(0, |&[a, b, c]| u32::from_le_bytes([a, b, c, 0])) | FOLD_GRAM
}

/// Where a gram stands in the bitmap.
fn place(gram: u32, spared_bits: u32) -> (usize, u32) {
    let hash = gram.wrapping_mul(0x9e37_79b1) >> (32 - BITMAP_BITS) >> spared_bits;
    ((hash >> 6) as usize & (BITMAP_WORDS - 1), hash & 63)
}

/// Where eight bytes, which need not be folded, stand in the second bitmap.
fn place_of_eight(bytes: &[u8; 2 * GRAM]) -> (usize, u32) {
    let folded = u64::from_le_bytes(*bytes) | u64::from_le_bytes([FOLD; 2 * GRAM]);
    let hash = folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - BITMAP_BITS);
    ((hash >> 6) as usize & (BITMAP_WORDS - 1), (hash & 63) as u32)
}

fn bucket(gram: u32) -> u32 {
    gram.wrapping_mul(0x85eb_ca6b) >> (32 - BUCKET_BITS)
}

#[cfg(test)]
mod tests;
