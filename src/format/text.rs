//! Texts of others made fit for a receiver: nothing in them that cannot be seen, and not too long.
//!
//! Lengths are in UTF-16 units, which are never fewer than characters: a limit holds whichever of the two a receiver
//! counts.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Captures, Regex};
use url::Url;

use crate::checksum::fnv1a;

/// Stands where something was cut off.
const ELLIPSIS: char = '…';

/// Where a text must be and there is none.
const NONE: &str = "-";

/// `#` and 64 bits in hexadecimal.
const CHECKSUM_UNITS: usize = 17;

/// Longer than any that people keep.
const URL_UNITS: usize = 500;

/// What moves the cursor, turns the direction of writing round or takes up no room, so that a text reads as something
/// that it is not. Line breaks are left alone.
static UNSEEN: LazyLock<Regex> = LazyLock::new(|| {
    let class = r"[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}&&[^\n]]";
    // Cannot fail: it does not depend on any input.
    Regex::new(class).expect("the class is one")
});

/// Without what cannot be seen; several lines stay several.
pub fn clean(text: &str) -> Cow<'_, str> {
    UNSEEN.replace_all(text, |found: &Captures<'_>| match found[0].chars().next() {
        Some(c) if c.is_control() || c.is_whitespace() => " ",
        _ => "",
    })
}

/// On one line, without what cannot be seen.
pub fn line(text: &str) -> String {
    clean(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

pub fn units(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

/// At most `most` units of the text; if it is longer, the last of them is an ellipsis.
pub fn cut(text: &str, most: usize) -> String {
    cut_as(text, most, |c, room| room.push(c))
}

/// The same after each character was written by `write`: what stands for one character is never split.
pub fn cut_as(text: &str, most: usize, write: impl Fn(char, &mut String)) -> String {
    let (mut written, mut used) = (String::new(), 0);
    // How much of `written` leaves room for an ellipsis.
    let mut kept = 0;
    for c in text.chars() {
        let before = written.len();
        write(c, &mut written);
        used += units(&written[before..]);
        if used > most {
            written.truncate(kept);
            if most > 0 {
                written.push(ELLIPSIS);
            }
            return written;
        }
        if used < most {
            kept = written.len();
        }
    }
    written
}

/// A text in one line that is not empty.
pub fn named(text: &str, most: usize) -> String {
    let line = line(text);
    if line.is_empty() { NONE.to_owned() } else { cut(&line, most) }
}

/// A name that others are told from: one that is cut ends in a checksum of the whole.
pub fn distinct(name: &str, most: usize) -> String {
    let line = named(name, usize::MAX);
    if units(&line) <= most {
        return line;
    }
    let kept = cut(&line, most.saturating_sub(CHECKSUM_UNITS));
    format!("{kept}#{:016x}", fnv1a(line.as_bytes()))
}

/// The address of a web page, all in ASCII and with nothing in it that ends it early; `None` if the text is anything
/// else, or would let a reader take another host for the one that it leads to.
pub fn web_address(text: &str) -> Option<Url> {
    let text = text.trim();
    if clean(text) != text {
        return None;
    }
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    let plain = url.has_host() && url.username().is_empty() && url.password().is_none();
    (plain && url.as_str().len() <= URL_UNITS).then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_goes() {
        let cases = [
            ("plain\ntext", "plain\ntext"),
            ("a\tb\r\nc\u{0}d\u{1b}[31m", "a b \nc d [31m"),
            ("live\u{202e}evil\u{2066}x\u{200b}y\u{feff}z\u{ad}", "liveevilxyz"),
            ("a\u{2028}b\u{85}c", "a b c"),
            ("tag\u{e0041}s\u{3164}", "tags"),
            ("Grüße, 世界 🙂", "Grüße, 世界 🙂"),
        ];
        for (text, expected) in cases {
            assert_eq!(clean(text), expected, "{text:?}");
        }
        assert_eq!(line("  a\n\n b\t\u{200b} c "), "a b c");
        assert_eq!(named("\u{200b}\n", 9), "-");
    }

    #[test]
    fn a_cut_is_between_characters_and_tells_of_itself() {
        let cases = [
            ("abc", 3, "abc"),
            ("abcd", 3, "ab…"),
            ("🙂🙂", 4, "🙂🙂"),
            ("🙂🙂🙂", 4, "🙂…"),
            ("ab", 0, ""),
            ("", 0, ""),
        ];
        for (text, most, expected) in cases {
            assert_eq!(cut(text, most), expected, "{text} to {most}");
            assert!(units(expected) <= most);
        }
    }

    #[test]
    fn what_stands_for_one_character_is_whole_or_absent() {
        let entity = |c: char, text: &mut String| text.push_str(if c == '&' { "&amp;" } else { "x" });
        for most in 0..12 {
            let cut = cut_as("a&b&", most, entity);
            assert!(units(&cut) <= most);
            let rest = cut.replace("&amp;", "");
            assert!(!rest.contains('&') && !rest.contains("am"), "{most}: {cut}");
        }
        assert_eq!(cut_as("a&b&", 12, entity), "x&amp;x&amp;");
        assert_eq!(cut_as("a&b&", 8, entity), "x&amp;x…");
    }

    #[test]
    fn names_that_are_cut_stay_distinct() {
        let (one, other) = ("n".repeat(60) + "1", "n".repeat(60) + "2");
        assert_ne!(distinct(&one, 50), distinct(&other, 50));
        assert!(units(&distinct(&one, 50)) <= 50);
        assert_eq!(distinct("n1", 50), "n1");
    }

    #[test]
    fn only_web_addresses_are_links() {
        let address = |text: &str| web_address(text).map(String::from);
        assert_eq!(address(" https://wiki/a?b=c&d#e "), Some("https://wiki/a?b=c&d#e".into()));
        assert_eq!(address("HTTP://wiki/<!here>|x y"), Some("http://wiki/%3C!here%3E|x%20y".into()));
        assert_eq!(address("https://wiki/ü"), Some("https://wiki/%C3%BC".into()));
        let long = format!("https://wiki/{}", "a".repeat(URL_UNITS));
        for text in
            ["", "wiki/a", "javascript:alert(1)", "ftp://a/b", "https://", "https://a@b/", &long, "https://a/\u{202e}b"]
        {
            assert_eq!(address(text), None, "{text}");
        }
    }
}
