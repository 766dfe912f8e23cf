//! By what of its literals each rule is looked for.

use std::cmp::Reverse;

use super::traffic::{Costs, Traffic};
use super::{FOLD, GRAM, MIN_PIECE, WINDOW, rarity};
use crate::scanner::matcher::Need;

/// More than any short piece's rarity.
const SHORT_MALUS: u32 = 1 << 16;

/// Folded bytes that stand in every matching record, and what of them goes into the bitmap.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Piece {
    pub bytes: Vec<u8>,
    /// Of a long piece: where the [`WINDOW`] that is looked for begins.
    pub window: usize,
}

/// Of each rule the pieces one of which every matching message holds; `None`: there are none to look for.
///
/// The best cost least in `traffic`; among those that cost the same, all that were not seen, the rarest in log text go
/// first.
pub(super) fn choose(rules: &[Vec<Need>], traffic: &Traffic) -> Vec<Option<Vec<Piece>>> {
    let runs: Vec<Vec<u8>> = rules.iter().flatten().flatten().flat_map(|literal| runs(literal)).collect();
    let costs = Costs::new(traffic, runs.iter().map(Vec::as_slice));
    let best_of = |needs: &Vec<Need>| {
        let choices = needs.iter().filter_map(|need| best_of_need(need, &costs));
        choices.max_by_key(|(merit, _)| *merit).map(|(_, pieces)| pieces)
    };
    rules.iter().map(best_of).collect()
}

/// The higher, the better to look for: what it costs, and how rare it is.
type Merit = (Reverse<u64>, u32);

/// A piece of each of the literals, as all of them must be looked for.
fn best_of_need(need: &Need, costs: &Costs) -> Option<(Merit, Vec<Piece>)> {
    let best: Vec<(Merit, Piece)> =
        need.iter().map(|literal| best_of_literal(literal, costs)).collect::<Option<_>>()?;
    let cost = best.iter().map(|((Reverse(cost), _), _)| cost).sum();
    let rarity = best.iter().map(|((_, rarity), _)| *rarity).min()?;
    Some(((Reverse(cost), rarity), best.into_iter().map(|(_, piece)| piece).collect()))
}

fn best_of_literal(literal: &str, costs: &Costs) -> Option<(Merit, Piece)> {
    let pieces = runs(literal).flat_map(|bytes| {
        // With four bytes behind it, where there are so many.
        let last = bytes.len().saturating_sub(WINDOW + GRAM).max(1);
        (0..last).map(move |window| Piece { bytes: bytes.clone(), window })
    });
    pieces.map(|piece| ((Reverse(costs.of(&piece)), rarity(&piece)), piece)).max_by_key(|(merit, _)| *merit)
}

/// Any long piece goes before a short one, which costs more to look for.
fn rarity(piece: &Piece) -> u32 {
    match piece.bytes.get(piece.window..piece.window + WINDOW) {
        Some(window) => rarity::of(window) + SHORT_MALUS,
        None => rarity::of(&piece.bytes),
    }
}

/// What of a literal no escaping changes, folded.
fn runs(literal: &str) -> impl Iterator<Item = Vec<u8>> {
    let runs = literal.as_bytes().split(|&byte| may_be_escaped(byte)).filter(|run| run.len() >= MIN_PIECE);
    runs.map(|run| run.iter().map(|byte| byte | FOLD).collect())
}

fn may_be_escaped(byte: u8) -> bool {
    byte < 0x20 || matches!(byte, b'"' | b'\\' | 0x7f)
}
