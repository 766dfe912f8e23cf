//! Puts lines together again that container runtimes cut (Docker and containerd at 16 KiB, CRI-O at 8 KiB): a part is
//! held until the rest of its line comes, within bounds. Parts belong together by partition, container and stream.
//!
//! A restart between two parts loses the earlier ones: their records have been reported as read. What was held is at
//! most one line of a container that was about to write the rest of it.

use std::borrow::Cow;
use std::cmp::Reverse;

use crate::record::{LogEntry, Source};
use crate::time::Timestamp;

use super::Limits;

/// Parts held back, oldest first.
#[derive(Default)]
pub(super) struct Joiner {
    open: Vec<Open>,
    hits: Hits,
}

/// How often a bound let a line go as it was.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Hits {
    pub open_lines: u64,
    pub join_within: u64,
    pub joined_bytes: u64,
}

/// A line whose writer takes more to name is not held: names are not what lines are bounded by.
const MAX_NAMES_BYTES: usize = 8 << 10;

/// A line of which parts have come.
struct Open {
    slot: usize,
    began: Timestamp,
    /// The parts so far in one, with what else the first of them said.
    line: LogEntry<'static>,
}

/// A line that goes on without the rest of it, or without its beginning.
pub(super) type Cut = LogEntry<'static>;

/// What may be looked at.
pub(super) enum Line<'a> {
    AsItCame(LogEntry<'a>),
    /// Of several parts.
    Joined(LogEntry<'a>),
}

impl Joiner {
    /// Takes an entry in. Returns the line to look at, if there is one now: the entry itself, or joined with the parts
    /// before it. What a bound pushes out goes to `cuts`.
    pub fn offer<'a>(
        &mut self,
        slot: usize,
        at: Timestamp,
        log: LogEntry<'a>,
        limits: &Limits,
        cuts: &mut Vec<Cut>,
    ) -> Option<Line<'a>> {
        if self.open.is_empty() && !log.partial {
            return Some(Line::AsItCame(log));
        }
        self.expire(slot, at, limits, cuts);
        match self.open.iter().position(|open| open.slot == slot && same_stream(&open.line, &log)) {
            Some(index) => self.go_on(index, log, limits),
            None if !log.partial || limits.joined_bytes == 0 => Some(Line::AsItCame(log)),
            None if log.message.len() >= limits.joined_bytes || names_bytes(&log) > MAX_NAMES_BYTES => {
                self.hits.joined_bytes += 1;
                Some(Line::AsItCame(log))
            }
            None => {
                self.begin(slot, at, log, limits, cuts);
                None
            }
        }
    }

    /// Since the last call.
    pub fn take_hits(&mut self) -> Hits {
        std::mem::take(&mut self.hits)
    }

    /// Whether a whole line of this writer would be joined with what is held, or let something go.
    pub fn concerns(&self, slot: usize, at: Timestamp, log: &LogEntry<'_>, limits: &Limits) -> bool {
        let is_old = |open: &Open| at.since(open.began) > limits.join_within;
        self.open.iter().any(|open| open.slot == slot && (is_old(open) || same_stream(&open.line, log)))
    }

    fn go_on<'a>(&mut self, index: usize, log: LogEntry<'a>, limits: &Limits) -> Option<Line<'a>> {
        let held = &mut self.open[index].line.message;
        let goes_on = log.partial && held.len() + log.message.len() < limits.joined_bytes;
        held.to_mut().push_str(&log.message);
        if goes_on {
            return None;
        }
        self.hits.joined_bytes += u64::from(log.partial);
        let message = Cow::Owned(self.open.remove(index).line.message.into_owned());
        Some(Line::Joined(LogEntry { message, ..log }))
    }

    fn begin(&mut self, slot: usize, began: Timestamp, log: LogEntry<'_>, limits: &Limits, cuts: &mut Vec<Cut>) {
        if self.open.len() >= limits.open_lines.max(1) {
            self.hits.open_lines += 1;
            cuts.push(self.open.remove(self.most_crowding()).line);
        }
        self.open.push(Open { slot, began, line: log.into_owned() });
    }

    /// The oldest line of the pod that has most of them open, so that others are not pushed out by it.
    fn most_crowding(&self) -> usize {
        let mut by_pod: Vec<((&Option<_>, &Option<_>), usize)> =
            self.open.iter().map(|open| &open.line.source).map(|pod| (&pod.namespace, &pod.pod)).zip(0..).collect();
        by_pod.sort_unstable();
        let most = by_pod.chunk_by(|a, b| a.0 == b.0).max_by_key(|of_one| (of_one.len(), Reverse(of_one[0].1)));
        most.map_or(0, |of_one| of_one[0].1)
    }

    /// Gives up on lines of the partition that wait for longer than anybody takes to write one.
    fn expire(&mut self, slot: usize, now: Timestamp, limits: &Limits, cuts: &mut Vec<Cut>) {
        let is_old = |open: &Open| open.slot == slot && now.since(open.began) > limits.join_within;
        let before = cuts.len();
        cuts.extend(self.open.extract_if(.., |open| is_old(open)).map(|open| open.line));
        self.hits.join_within += (cuts.len() - before) as u64;
    }

    /// Everything held of a partition, for its end.
    pub fn take(&mut self, slot: usize) -> Vec<Cut> {
        self.open.extract_if(.., |open| open.slot == slot).map(|open| open.line).collect()
    }
}

fn names_bytes(log: &LogEntry<'_>) -> usize {
    let source = &log.source;
    let names = [&source.node, &source.namespace, &source.pod, &source.pod_uid, &source.container, &source.image];
    let owner = source.owner.as_ref().map_or(0, |owner| owner.kind.len() + owner.name.len());
    let others = [&source.node_pool, &log.cluster];
    names.into_iter().chain(others).flatten().map(|name| name.len()).sum::<usize>() + owner
}

fn same_stream(a: &LogEntry<'_>, b: &LogEntry<'_>) -> bool {
    let key = |source: &Source<'_>| {
        [&source.namespace, &source.pod, &source.pod_uid, &source.container].map(|name| name.as_deref().map(str::len))
    };
    // Lengths first: they mostly differ.
    key(&a.source) == key(&b.source)
        && a.stream == b.stream
        && a.source.pod == b.source.pod
        && a.source.container == b.source.container
        && a.source.namespace == b.source.namespace
        && a.source.pod_uid == b.source.pod_uid
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::record::Stream;

    const AT: Timestamp = Timestamp::from_millis(1_795_357_863_000);

    fn limits() -> Limits {
        Limits { joined_bytes: 10, open_lines: 2, join_within: Duration::from_secs(10), ..Limits::default() }
    }

    fn entry(pod: &str, message: &str, partial: bool) -> LogEntry<'static> {
        LogEntry {
            message: message.to_owned().into(),
            source: Source { pod: Some(pod.to_owned().into()), ..Source::default() },
            stream: Some(Stream::Stdout),
            partial,
            ..LogEntry::default()
        }
    }

    /// What came out, and what was pushed out.
    fn offer(joiner: &mut Joiner, slot: usize, at: Timestamp, log: LogEntry<'_>) -> (Option<String>, Vec<String>) {
        let mut cuts = Vec::new();
        let whole = joiner.offer(slot, at, log, &limits(), &mut cuts).map(|line| match line {
            Line::AsItCame(log) | Line::Joined(log) => log.message.into_owned(),
        });
        (whole, cuts.into_iter().map(|cut| cut.message.into_owned()).collect())
    }

    fn whole(text: &str) -> (Option<String>, Vec<String>) {
        (Some(text.to_owned()), vec![])
    }

    const HELD: (Option<String>, Vec<String>) = (None, vec![]);

    #[test]
    fn joins_parts_of_one_stream_only() {
        let mut joiner = Joiner::default();
        assert_eq!(offer(&mut joiner, 0, AT, entry("a", "one ", true)), HELD);
        assert_eq!(offer(&mut joiner, 0, AT, entry("b", "other", false)), whole("other"));
        let stderr = LogEntry { stream: Some(Stream::Stderr), ..entry("a", "error", false) };
        assert_eq!(offer(&mut joiner, 0, AT, stderr), whole("error"));
        assert_eq!(offer(&mut joiner, 1, AT, entry("a", "elsewhere", false)), whole("elsewhere"));
        assert_eq!(offer(&mut joiner, 0, AT, entry("a", "two ", true)), HELD);
        assert_eq!(offer(&mut joiner, 0, AT, entry("a", "3", false)), whole("one two 3"));
        assert_eq!(offer(&mut joiner, 0, AT, entry("a", "next", false)), whole("next"));
    }

    #[test]
    fn a_line_is_bounded() {
        let mut joiner = Joiner::default();
        assert_eq!(offer(&mut joiner, 0, AT, entry("a", "12345", true)), HELD);
        assert_eq!(offer(&mut joiner, 0, AT, entry("a", "67890", true)), whole("1234567890"));
        assert_eq!(offer(&mut joiner, 0, AT, entry("a", "rest", true)), HELD);
        assert_eq!(offer(&mut joiner, 0, AT, entry("a", "!", false)), whole("rest!"));
    }

    #[test]
    fn the_oldest_makes_room() {
        let mut joiner = Joiner::default();
        for pod in ["a", "b"] {
            assert_eq!(offer(&mut joiner, 0, AT, entry(pod, pod, true)), HELD);
        }
        assert_eq!(offer(&mut joiner, 0, AT, entry("c", "c", true)), (None, vec!["a".to_owned()]));
        assert_eq!(offer(&mut joiner, 0, AT, entry("b", "b", false)), whole("bb"));
    }

    #[test]
    fn a_pod_that_opens_many_lines_pushes_out_its_own() {
        let mut joiner = Joiner::default();
        offer(&mut joiner, 0, AT, entry("quiet", "q", true));
        let stderr = |message| LogEntry { stream: Some(Stream::Stderr), ..entry("loud", message, true) };
        let wide = Limits { open_lines: 3, ..limits() };
        let mut offer = |log: LogEntry<'static>| {
            let mut cuts = Vec::new();
            joiner.offer(0, AT, log, &wide, &mut cuts);
            cuts.into_iter().map(|cut| cut.message.into_owned()).collect::<Vec<_>>()
        };
        assert!(offer(entry("loud", "1", true)).is_empty() && offer(stderr("2")).is_empty());
        assert_eq!(offer(entry("other", "3", true)), ["1"], "though that of the quiet one is older");
        assert_eq!(joiner.take_hits(), Hits { open_lines: 1, ..Hits::default() });
    }

    #[test]
    fn a_writer_with_a_huge_name_is_not_held() {
        let mut joiner = Joiner::default();
        let name = "n".repeat(MAX_NAMES_BYTES + 1);
        assert_eq!(offer(&mut joiner, 0, AT, entry(&name, "part", true)), whole("part"));
        assert_eq!((joiner.take_hits().joined_bytes, joiner.open.len()), (1, 0));
    }

    #[test]
    fn what_waits_too_long_goes_without_its_rest() {
        let mut joiner = Joiner::default();
        offer(&mut joiner, 0, AT, entry("a", "half", true));
        offer(&mut joiner, 1, AT, entry("a", "other", true));
        let later = AT.saturating_add(Duration::from_secs(11));
        let expected = (Some("new".to_owned()), vec!["half".to_owned()]);
        assert_eq!(offer(&mut joiner, 0, later, entry("a", "new", false)), expected);
        assert_eq!(joiner.take(1).len(), 1);
        assert!(joiner.open.is_empty());
    }
}
