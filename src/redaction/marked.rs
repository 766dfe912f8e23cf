//! A text that is edited, and where a part of it has got to.

use std::borrow::Cow;
use std::ops::Range;

/// A part of a text and what is to stand there instead.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Edit {
    pub range: Range<usize>,
    pub with: &'static str,
}

pub struct Marked<'t> {
    pub text: Cow<'t, str>,
    /// On characters of `text`.
    mark: Range<usize>,
}

impl<'t> Marked<'t> {
    /// All of it is marked.
    pub fn new(text: &'t str) -> Self {
        Marked::with_mark(text, 0..text.len())
    }

    pub fn with_mark(text: &'t str, mark: Range<usize>) -> Self {
        Marked { text: Cow::Borrowed(text), mark }
    }

    /// Makes the edits, which are in order and apart from each other. What is replaced belongs to the marked part, as a
    /// whole, if any of it did. Returns whether there were none.
    pub fn replace(&mut self, edits: &[Edit]) -> bool {
        if edits.is_empty() {
            return true;
        }
        let (start, end) = (self.mark.start, self.mark.end);
        let mut moved = self.mark.clone();
        let mut edited = String::with_capacity(self.text.len());
        let mut from = 0;
        for Edit { range, with } in edits {
            edited.push_str(&self.text[from..range.start]);
            let place = edited.len();
            edited.push_str(with);
            from = range.end;
            if range.end <= start {
                moved.start = start - range.end + edited.len();
            } else if range.start < start {
                moved.start = place;
            }
            if range.end <= end {
                moved.end = end - range.end + edited.len();
            } else if range.start < end {
                moved.end = edited.len();
            }
        }
        edited.push_str(&self.text[from..]);
        self.text = Cow::Owned(edited);
        self.mark = moved;
        false
    }

    /// Has the text stand for all of the marked part, and for all about it.
    pub fn withhold(&mut self, with: &'static str) {
        self.text = Cow::Borrowed(with);
        self.mark = 0..with.len();
    }

    /// At most `bytes` of the marked part, cut on a character and not within a marker of what was redacted.
    pub fn into_marked(self, bytes: usize) -> Cow<'t, str> {
        let Range { start, mut end } = self.mark;
        if end - start > bytes {
            end = self.text.floor_char_boundary(start + bytes);
            let cuts = |marker: &Range<usize>| marker.start < end && end < marker.end;
            end = super::kinds::markers(&self.text).find(cuts).map_or(end, |marker| marker.start.max(start));
        }
        match self.text {
            Cow::Borrowed(text) => Cow::Borrowed(&text[start..end]),
            Cow::Owned(mut text) => {
                text.truncate(end);
                text.drain(..start);
                Cow::Owned(text)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_follows_its_part() {
        // What is marked of `ab cdef gh`, with `cdef` replaced.
        let cases = [
            (0..2, "ab"),
            (0..3, "ab "),
            (0..4, "ab <x>"),
            (4..6, "<x>"),
            (3..7, "<x>"),
            (5..9, "<x> g"),
            (7..10, " gh"),
            (8..10, "gh"),
            (3..3, ""),
            (7..7, ""),
        ];
        for (mark, expected) in cases {
            let mut marked = Marked::with_mark("ab cdef gh", mark.clone());
            assert!(!marked.replace(&[Edit { range: 3..7, with: "<x>" }]));
            assert_eq!(marked.into_marked(99), expected, "{mark:?}");
        }
    }

    #[test]
    fn a_cut_spares_characters_and_markers() {
        let text = "aé [redacted:jwt] b";
        for (bytes, expected) in [(0, ""), (2, "a"), (3, "aé"), (4, "aé "), (9, "aé "), (18, "aé [redacted:jwt]")] {
            assert_eq!(Marked::new(text).into_marked(bytes), expected, "{bytes}");
        }
    }
}
