//! From bytes to text. Nearly all is UTF-8; the rest is what Windows programs print: a code page of the system (what
//! is not ASCII becomes U+FFFD, and signatures are ASCII) or UTF-16 (whose NULs [`super::message::clean`] drops).

use std::borrow::Cow;

use super::{Reason, Rejected};

/// The text of a value that is no binary format.
///
/// # Errors
/// It is blank, or no text in any encoding.
pub(super) fn text(bytes: &[u8]) -> Result<Cow<'_, str>, Rejected> {
    let bare = without_mark(bytes);
    let text = match std::str::from_utf8(bare) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) if may_be_text(bare) => String::from_utf8_lossy(bare),
        Err(error) => {
            let detail = format!("not UTF-8 from byte {}, nor text of another encoding", error.valid_up_to());
            return Err(Rejected::new(Reason::InvalidUtf8, detail));
        }
    };
    if text.trim_ascii().is_empty() {
        return Err(Rejected::new(Reason::Empty, format!("{} bytes, all blank", bytes.len())));
    }
    Ok(text)
}

/// Without a byte order mark of UTF-8 or UTF-16.
fn without_mark(bytes: &[u8]) -> &[u8] {
    let marks: [&[u8]; 3] = [b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"];
    marks.into_iter().find_map(|mark| bytes.strip_prefix(mark)).unwrap_or(bytes)
}

/// Binary formats have control characters within a few bytes; of UTF-16 in Latin letters half are NULs.
fn may_be_text(bytes: &[u8]) -> bool {
    let nulls = bytes.iter().filter(|&&byte| byte == 0).count();
    let is_control = |byte: u8| byte.is_ascii_control() && !matches!(byte, 0 | b'\t' | b'\n' | b'\r' | 0x1b);
    (nulls == 0 || nulls * 3 > bytes.len()) && !bytes.iter().any(|&byte| is_control(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_text_from_other_bytes() {
        assert_eq!(text("\u{feff}text".as_bytes()), Ok("text".into()));
        assert_eq!(text(b"f\xfcr"), Ok("f\u{fffd}r".into()));
        assert_eq!(text(b"\xff\xfea\0b\0"), Ok("a\0b\0".into()));
        assert_eq!(text(b"\xfc\0a\0b\0c\0"), Ok("\u{fffd}\0a\0b\0c\0".into()));
        for bytes in [b"\x00\xff binary".as_slice(), b"\x01\xff", b"a long line with one \0 and \xff"] {
            assert_eq!(text(bytes).unwrap_err().reason, Reason::InvalidUtf8, "{bytes:?}");
        }
        assert_eq!(text(b"\xff\xfe").unwrap_err().reason, Reason::Empty);
    }
}
