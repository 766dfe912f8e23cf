//! What only terminals understand, and what makes text look like other text.
//!
//! Line breaks and tabs stay, since a stack trace without them is unreadable. Escape sequences as of ECMA-48; those of
//! terminals' own (OSC, among them hyperlinks) as xterm reads them.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::marked::Edit;

/// What is to be taken out of the text, in order.
pub fn edits(text: &str) -> Vec<Edit> {
    let mut edits = Vec::new();
    if text.bytes().any(may_matter) {
        remove(text, &mut edits);
    }
    if edits.is_empty() && text.contains('\\') {
        // Written out by something that could not show them.
        edits.extend(WRITTEN_OUT.find_iter(text).map(|found| Edit { range: found.range(), with: "" }));
    }
    edits
}

static WRITTEN_OUT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i-u)\\+(?:u001b|x1b|033)\[[0-9;?]*[a-z]")
        // A constant, and tested.
        .expect("a valid regex")
});

/// ASCII control characters, and the first bytes of all other characters that [`is_unseen`].
fn may_matter(byte: u8) -> bool {
    byte < b' ' && byte != b'\n' && byte != b'\t' || matches!(byte, 0x7f | 0xc2 | 0xd8 | 0xe1 | 0xe2 | 0xef | 0xf3)
}

/// Controls, and what has no width or turns the direction of text around.
fn is_unseen(c: char) -> bool {
    match c {
        '\n' | '\t' => false,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}' => true,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' => true,
        '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}' => true,
        _ => c.is_control(),
    }
}

fn remove(text: &str, edits: &mut Vec<Edit>) {
    let mut at = 0;
    while let Some((offset, c)) = text[at..].char_indices().find(|(_, c)| is_unseen(*c)) {
        let start = at + offset;
        at = start + c.len_utf8() + sequence(c, &text[start + c.len_utf8()..]);
        // A lone carriage return begins a line anew.
        let is_break = c == '\r' && !text[at..].starts_with('\n');
        edits.push(Edit { range: Range { start, end: at }, with: if is_break { "\n" } else { "" } });
    }
}

/// How many of the bytes behind this control character belong to the escape sequence that it begins.
fn sequence(control: char, rest: &str) -> usize {
    let bytes = rest.as_bytes();
    let (kind, at) = match control {
        '\u{1b}' => match bytes.first() {
            Some(kind @ (b'[' | b']' | b'P' | b'X' | b'^' | b'_')) => (*kind, 1),
            Some(b' '..=b'/') => (b' ', 0),
            Some(b'0'..=b'~') => return 1,
            _ => return 0,
        },
        '\u{9b}' => (b'[', 0),
        '\u{90}' | '\u{98}' | '\u{9d}'..='\u{9f}' => (b']', 0),
        _ => return 0,
    };
    let run = |from: usize, of: std::ops::RangeInclusive<u8>| {
        from + bytes[from..].iter().take_while(|byte| of.contains(byte)).count()
    };
    match kind {
        b'[' => {
            let end = run(run(at, b'0'..=b'?'), b' '..=b'/');
            end + usize::from(bytes.get(end).is_some_and(|byte| (b'@'..=b'~').contains(byte)))
        }
        b' ' => {
            let end = run(at, b' '..=b'/');
            end + usize::from(bytes.get(end).is_some_and(|byte| (b'0'..=b'~').contains(byte)))
        }
        _ => at + string(&rest[at..]).unwrap_or(0),
    }
}

/// The length of a string's text with its end, if it has one in this line. One that has none is text to be shown.
fn string(text: &str) -> Option<usize> {
    let end = text.find(|c: char| c.is_control())?;
    match text[end..].chars().next()? {
        '\u{7}' => Some(end + 1),
        '\u{9c}' => Some(end + '\u{9c}'.len_utf8()),
        '\u{1b}' if text[end..].starts_with("\u{1b}\\") => Some(end + 2),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::marked::Marked;
    use super::*;

    fn cleaned(text: &str) -> String {
        let mut marked = Marked::new(text);
        marked.replace(&edits(text));
        marked.text.into_owned()
    }

    #[test]
    fn sequences_and_controls_go_and_text_stays() {
        let cases = [
            ("plain é 漢 😀 text\n\tat x", "plain é 漢 😀 text\n\tat x"),
            ("\u{1b}[31mred\u{1b}[0m", "red"),
            ("\u{1b}[38;2;1;2;3mx\u{1b}[?25l\u{1b}[Ky", "xy"),
            ("\u{9b}31mred", "red"),
            ("\u{1b}]8;;http://x/y\u{1b}\\link\u{1b}]8;;\u{7}.", "link."),
            ("\u{1b}]0;title never ends", "0;title never ends"),
            ("\u{1b}(Bx\u{1b}cy\u{1b}", "xy"),
            ("\u{1b}[31", ""),
            ("a\u{0}b\u{8}c\u{7f}d\u{85}e", "abcde"),
            ("one\r\ntwo\rthree", "one\ntwo\nthree"),
            ("\u{202e}abc\u{202c}\u{200b}\u{feff}\u{2066}\u{e0041}d", "abcd"),
            (r"\u001b[31mred\x1b[0m \033[1mx", "red x"),
            (r"C:\x1b\file \u001b", r"C:\x1b\file \u001b"),
        ];
        for (text, expected) in cases {
            assert_eq!(cleaned(text), expected, "{text:?}");
        }
    }

    #[test]
    fn every_unseen_character_is_looked_for() {
        for c in ('\0'..=char::MAX).filter(|c| is_unseen(*c)) {
            assert!(c.to_string().bytes().any(may_matter), "{c:?}");
        }
    }
}
