//! From bytes to text. Nearly all is UTF-8; the rest is what Windows programs print: UTF-16, or a code page of the system
//! (what is not ASCII becomes U+FFFD there, and signatures are ASCII). UTF-16 of nothing but ASCII is UTF-8 as well,
//! with NULs that [`super::message::clean`] drops.

use std::borrow::Cow;

use super::{Reason, Rejected};

const UTF8_MARK: &[u8] = b"\xef\xbb\xbf";
const UTF16_LE_MARK: &[u8] = b"\xff\xfe";
const UTF16_BE_MARK: &[u8] = b"\xfe\xff";
/// One in so many characters may be lost at most.
const UNREADABLE_SHARE: usize = 5;

/// The text of a value that is no binary format.
///
/// # Errors
/// It is blank, or no text in any encoding.
pub(super) fn text(bytes: &[u8]) -> Result<Cow<'_, str>, Rejected> {
    let text = match std::str::from_utf8(bytes.strip_prefix(UTF8_MARK).unwrap_or(bytes)) {
        Ok(text) => Cow::Borrowed(text),
        Err(error) => other_encoding(bytes).ok_or_else(|| {
            let detail = format!("not UTF-8 from byte {}, nor text of another encoding", error.valid_up_to());
            Rejected::new(Reason::InvalidUtf8, detail)
        })?,
    };
    if text.trim_ascii().is_empty() {
        return Err(Rejected::new(Reason::Empty, format!("{} bytes, all blank", bytes.len())));
    }
    Ok(text)
}

/// Binary formats have control characters within a few bytes: they are no text in any encoding. Nor is what is hardly
/// readable: signatures are ASCII, and a line of a code page holds enough of it.
fn other_encoding(bytes: &[u8]) -> Option<Cow<'_, str>> {
    let text = match utf16(bytes) {
        Some(text) => Cow::Owned(text),
        None => String::from_utf8_lossy(bytes),
    };
    let is_foreign = |c: char| c.is_ascii_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{1b}');
    let lost = text.chars().filter(|c| *c == char::REPLACEMENT_CHARACTER).count();
    let is_readable = lost <= 1 || lost * UNREADABLE_SHARE <= text.chars().count();
    (is_readable && !text.contains(is_foreign)).then_some(text)
}

/// UTF-16 is known by its mark, or by the NULs that every other byte of Latin text is.
fn utf16(bytes: &[u8]) -> Option<String> {
    let nulls = |start: usize| bytes.iter().skip(start).step_by(2).filter(|&&byte| byte == 0).count();
    let most = |count: usize| count * 2 > bytes.len() / 2;
    let (bytes, unit): (_, fn([u8; 2]) -> u16) = if let Some(rest) = bytes.strip_prefix(UTF16_LE_MARK) {
        (rest, u16::from_le_bytes)
    } else if let Some(rest) = bytes.strip_prefix(UTF16_BE_MARK) {
        (rest, u16::from_be_bytes)
    } else if most(nulls(1)) {
        (bytes, u16::from_le_bytes)
    } else if most(nulls(0)) {
        (bytes, u16::from_be_bytes)
    } else {
        return None;
    };
    let units = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
    Some(char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_text_from_other_bytes() {
        assert_eq!(text("\u{feff}text".as_bytes()), Ok("text".into()));
        assert_eq!(text(b"f\xfcr"), Ok("f\u{fffd}r".into()));
        for (bytes, expected) in [
            (b"\xff\xfea\0b\0".as_slice(), "ab"),
            (b"\xfe\xff\0a\0b", "ab"),
            (b"\xfc\0a\0b\0c\0", "\u{fc}abc"),
            (b"\0\xfc\0a\0b\0c", "\u{fc}abc"),
            (b"a\0\x7e\x01b\0\r\0\n\0\xfc\0", "a\u{17e}b\r\n\u{fc}"),
        ] {
            assert_eq!(text(bytes), Ok(expected.into()), "{bytes:?}");
        }
        for bytes in [b"\x00\xff binary".as_slice(), b"\x01\xff", b"a long line with one \0 and \xff"] {
            assert_eq!(text(bytes).unwrap_err().reason, Reason::InvalidUtf8, "{bytes:?}");
        }
        assert_eq!(text(b"\xff\xfe").unwrap_err().reason, Reason::Empty);
    }
}
