//! A sliding window of one rule on one node, kept as panes of one slide each.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// Counts matches and distinct pods over any span of whole slides up to the window's size.
///
/// A pane `i` holds the matches with `i * slide <= time < (i + 1) * slide`; a window that ends at a slide boundary is
/// a run of panes, so that the counts are exact. Spans that are no multiple of the slide are rounded up to one.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct SlidingWindow {
    panes: VecDeque<Pane>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Pane {
    index: i64,
    matches: u64,
    /// Matches by pod; those without one count in `matches` only.
    pods: BTreeMap<Arc<str>, u64>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct WindowCount {
    pub matches: u64,
    pub pods: usize,
}

impl SlidingWindow {
    /// Adds `matches` that happened at `time`; order does not matter.
    pub fn add(&mut self, slide: Duration, time: Timestamp, pod: Option<&Arc<str>>, matches: u64) {
        let index = pane_index(time, slide);
        let at = self.panes.partition_point(|pane| pane.index < index);
        if self.panes.get(at).is_none_or(|pane| pane.index != index) {
            self.panes.insert(at, Pane { index, matches: 0, pods: BTreeMap::new() });
        }
        let pane = &mut self.panes[at];
        pane.matches += matches;
        if let Some(pod) = pod {
            *pane.pods.entry(Arc::clone(pod)).or_default() += matches;
        }
    }

    /// What happened in the window `[end - within, end)`.
    pub fn count(&self, slide: Duration, end: Timestamp, within: Duration) -> WindowCount {
        let panes = self.span(slide, end, within);
        let mut pods: Vec<&Arc<str>> = panes.clone().flat_map(|pane| pane.pods.keys()).collect();
        pods.sort_unstable();
        pods.dedup();
        WindowCount { matches: panes.map(|pane| pane.matches).sum(), pods: pods.len() }
    }

    /// The distinct pods of that window.
    pub fn pods(&self, slide: Duration, end: Timestamp, within: Duration) -> impl Iterator<Item = &Arc<str>> {
        self.span(slide, end, within).flat_map(|pane| pane.pods.keys())
    }

    fn span(&self, slide: Duration, end: Timestamp, within: Duration) -> impl Iterator<Item = &Pane> + Clone {
        // `end` is exclusive: the pane that starts there is out; a pane that `end` cuts is in.
        let last = pane_index(end.saturating_sub(Duration::from_millis(1)), slide);
        let slides = within.as_millis().div_ceil(slide.as_millis().max(1));
        let first = last.saturating_sub(i64::try_from(slides).unwrap_or(i64::MAX)).saturating_add(1);
        let from = self.panes.partition_point(|pane| pane.index < first);
        let to = self.panes.partition_point(|pane| pane.index <= last);
        self.panes.range(from..to.max(from))
    }

    /// Forgets panes that no window ending at or after `end` reaches.
    pub fn expire(&mut self, slide: Duration, end: Timestamp, size: Duration) {
        let oldest = pane_index(end.saturating_sub(size), slide);
        while self.panes.front().is_some_and(|pane| pane.index < oldest) {
            self.panes.pop_front();
        }
    }

    /// Forgets pods, though not that they matched.
    pub fn retain_pods(&mut self, keep: impl Fn(&Arc<str>) -> bool) {
        self.panes.iter_mut().for_each(|pane| pane.pods.retain(|pod, _| keep(pod)));
    }

    /// The end of the newest match's pane, to the slide.
    pub fn newest(&self, slide: Duration) -> Timestamp {
        let slide = i64::try_from(slide.as_millis()).unwrap_or(i64::MAX);
        let last = self.panes.back().map_or(0, |pane| pane.index);
        Timestamp::from_millis(last.saturating_add(1).saturating_mul(slide))
    }

    pub fn is_empty(&self) -> bool {
        self.panes.is_empty()
    }
}

fn pane_index(time: Timestamp, slide: Duration) -> i64 {
    let slide = i64::try_from(slide.as_millis()).unwrap_or(i64::MAX).max(1);
    time.as_millis().div_euclid(slide)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SLIDE: Duration = Duration::from_secs(5);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    #[test]
    fn the_end_is_exclusive_and_the_start_inclusive() {
        let mut window = SlidingWindow::default();
        window.add(SLIDE, at(10), Some(&"a".into()), 1);
        let within = Duration::from_secs(10);
        assert_eq!(window.count(SLIDE, at(10), within).matches, 0);
        assert_eq!(window.count(SLIDE, at(15), within).matches, 1);
        assert_eq!(window.count(SLIDE, at(20), within).matches, 1);
        assert_eq!(window.count(SLIDE, at(25), within).matches, 0);
    }

    #[test]
    fn one_loud_pod_is_one_pod() {
        let mut window = SlidingWindow::default();
        for second in 0..30 {
            window.add(SLIDE, at(second), Some(&"loud".into()), 1000);
        }
        let count = window.count(SLIDE, at(30), Duration::from_secs(60));
        assert_eq!(count, WindowCount { matches: 30_000, pods: 1 });
    }

    proptest! {
        #[test]
        fn equals_brute_force(
            adds in prop::collection::vec((-200i64..200, 0u8..5, 1u64..4), 0..80),
            end in -40i64..50,
            slides in 1u32..30,
            expire_at in -40i64..50,
        ) {
            let end = at(end.max(expire_at) * 5);
            let within = SLIDE * slides;
            let mut window = SlidingWindow::default();
            for (second, pod, matches) in &adds {
                window.add(SLIDE, at(*second), Some(&pod.to_string().into()), *matches);
            }
            window.expire(SLIDE, at(expire_at * 5), SLIDE * 30);
            let inside: Vec<_> = adds
                .iter()
                .filter(|(second, ..)| at(*second) >= end.saturating_sub(within) && at(*second) < end)
                .collect();
            let mut pods: Vec<u8> = inside.iter().map(|(_, pod, _)| *pod).collect();
            pods.sort_unstable();
            pods.dedup();
            let expected = WindowCount { matches: inside.iter().map(|(.., m)| m).sum(), pods: pods.len() };
            prop_assert_eq!(window.count(SLIDE, end, within), expected);
        }
    }
}
