//! JSON's strings and numbers as they stand in a record, read no further than is needed.

use memchr::memchr2;

use crate::decode;
use crate::time::Timestamp;

/// What begins at a place where a string's contents should.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Text {
    /// A string that JSON allows; its closing quote is here.
    EndsAt(usize),
    /// Something that must be decoded to know what it says, if it is a string at all: the escapes `\u` and `\/`, which
    /// may stand for any letter, also where escapes are escaped; control characters; bytes that are no UTF-8.
    Unclear,
}

/// Reads the string whose opening quote stands before `start`.
pub(super) fn text(bytes: &[u8], start: usize) -> Text {
    let Some(end) = end_of_text(bytes, start) else { return Text::Unclear };
    let content = &bytes[start..end];
    // In a form of which the compiler makes a few wide instructions.
    let (lowest, high) = content.iter().fold((0xff, 0), |(lowest, high), &byte| (byte.min(lowest), high | byte));
    if lowest < 0x20 || high >= 0x80 && std::str::from_utf8(content).is_err() {
        Text::Unclear
    } else {
        Text::EndsAt(end)
    }
}

fn end_of_text(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start + memchr2(b'"', b'\\', bytes.get(start..)?)?;
    loop {
        if bytes[at] == b'"' {
            return Some(at);
        }
        match bytes.get(at + 1..)? {
            [b'\\', b'u' | b'/', ..] => return None,
            [b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't', ..] => at += 2,
            _ => return None,
        }
        // Where one escape is, the next is mostly near.
        at += match bytes.get(at..)?.first_chunk().and_then(near_mark) {
            Some(distance) => distance,
            None => memchr2(b'"', b'\\', &bytes[at..])?,
        };
    }
}

/// Where the first quote or backslash of eight bytes is, found without looking at each (Mycroft's test for a zero byte;
/// below the first one it finds it cannot err).
fn near_mark(bytes: &[u8; 8]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let word = u64::from_le_bytes(*bytes);
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & (ONES << 7);
    let marks = zeros(word ^ (ONES * u64::from(b'"'))) | zeros(word ^ (ONES * u64::from(b'\\')));
    (marks != 0).then(|| marks.trailing_zeros() as usize / 8)
}

/// Longer numbers need not be numbers that a decoder can hold. Bytes.
const MAX_NUMBER: usize = 24;

/// The end of the number that begins at `start`, if one does: as JSON writes them (RFC 8259, section 6), but without an
/// exponent.
pub(super) fn number(bytes: &[u8], start: usize) -> Option<usize> {
    let digits = |at: usize| Some(at + bytes.get(at..)?.iter().take_while(|byte| byte.is_ascii_digit()).count());
    let first = start + usize::from(bytes.get(start) == Some(&b'-'));
    let whole = if bytes.get(first) == Some(&b'0') { first + 1 } else { digits(first)? };
    let end = if bytes.get(whole) == Some(&b'.') { digits(whole + 1)? } else { whole };
    (whole > first && end != whole + 1 && end - start <= MAX_NUMBER).then_some(end)
}

/// The time that a number is, in any of the units that are understood.
pub(super) fn number_time(number: &[u8]) -> Option<Timestamp> {
    common_seconds(number).or_else(|| decode::scalar_time(std::str::from_utf8(number).ok()?))
}

/// The time that the string `bytes[start..end]` is.
pub(super) fn text_time(bytes: &[u8], start: usize, end: usize) -> Option<Timestamp> {
    common_rfc3339(&bytes[start..end])
        .or_else(|| decode::scalar_time(std::str::from_utf8(bytes.get(start.checked_sub(1)?..=end)?).ok()?))
}

/// Seconds with nine or ten digits before the point and up to nine behind it, unless the fraction is so near the middle
/// between two milliseconds that it matters how floating point rounds.
fn common_seconds(number: &[u8]) -> Option<Timestamp> {
    let (whole, fraction) = match (number.get(9), number.get(10)) {
        (Some(b'.'), _) => (&number[..9], &number[10..]),
        (None, _) | (Some(_), None) => (number, &[][..]),
        (_, Some(b'.')) => (&number[..10], &number[11..]),
        _ => return None,
    };
    if !matches!(whole.len(), 9 | 10) || !matches!(whole[0], b'1'..=b'3') {
        return None;
    }
    let nanos = nanoseconds(fraction)?;
    let (millis, rest) = (nanos / 1_000_000, nanos % 1_000_000);
    if (490_000..510_000).contains(&rest) {
        return None;
    }
    let seconds = decimal(whole)?;
    Some(Timestamp::from_millis(seconds * 1_000 + millis + i64::from(rest >= 500_000)))
}

/// `2026-11-22T14:31:03.103324294Z`, with up to nine digits behind the point or none.
fn common_rfc3339(text: &[u8]) -> Option<Timestamp> {
    let (head, rest) = text.split_at_checked(19)?;
    let fraction = match rest {
        [b'Z'] => &[][..],
        [b'.', fraction @ .., b'Z'] if !fraction.is_empty() => fraction,
        _ => return None,
    };
    let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if marks.iter().any(|&(at, mark)| head[at] != mark) {
        return None;
    }
    let part = |from: usize, to: usize| decimal(&head[from..to]);
    let (year, month, day) = (part(0, 4)?, part(5, 7)?, part(8, 10)?);
    let (hour, minute, second) = (part(11, 13)?, part(14, 16)?, part(17, 19)?);
    // Every month has 28 days; whether it has more is left to who knows.
    if year < 1971 || !(1..=12).contains(&month) || !(1..=28).contains(&day) && !is_day(year, month, day) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let seconds = ((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
    Some(Timestamp::from_millis(seconds * 1_000 + nanoseconds(fraction)? / 1_000_000))
}

fn is_day(year: i64, month: i64, day: i64) -> bool {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let most = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    (1..=most).contains(&day)
}

/// Days since the epoch, by Hinnant's `days_from_civil` (<https://howardhinnant.github.io/date_algorithms.html>).
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, of_era) = (year / 400, year % 400);
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn nanoseconds(fraction: &[u8]) -> Option<i64> {
    const SCALE: [i64; 10] = [1_000_000_000, 100_000_000, 10_000_000, 1_000_000, 100_000, 10_000, 1_000, 100, 10, 1];
    Some(decimal(fraction)? * SCALE.get(fraction.len())?)
}

/// At most 18 digits; none is zero.
fn decimal(digits: &[u8]) -> Option<i64> {
    if digits.len() > 18 {
        return None;
    }
    digits.iter().try_fold(0, |value, byte| byte.is_ascii_digit().then(|| value * 10 + i64::from(byte - b'0')))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_text_ends_at_its_quote() {
        let ends = [r#"abc" "#, r#"" "#, r#"say \"hi\"" x"#, r#"C:\\temp\\" "#, "caf\u{e9}\\n\" "];
        for bytes in ends {
            let end = bytes.rfind('"').unwrap();
            assert_eq!(text(bytes.as_bytes(), 0), Text::EndsAt(end), "{bytes}");
        }
        let unclear: [&[u8]; 11] = [
            b"abc",
            b"",
            b"abc\\",
            b"abc\\\"",
            br#"\u0041""#,
            br#"C:\\users""#,
            br#"a\/b""#,
            br#"a\\/b""#,
            br#"a\x""#,
            b"a\nb\"",
            b"f\xfcr\"",
        ];
        for bytes in unclear {
            assert_eq!(text(bytes, 0), Text::Unclear, "{}", String::from_utf8_lossy(bytes));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

        #[test]
        fn a_text_is_one_that_serde_reads(bytes in prop::collection::vec(
            prop::sample::select(b"ab\"\\/nux0\n\x7f\xc3\xa9 ".to_vec()), 0..9,
        )) {
            if let Text::EndsAt(end) = text(&bytes, 0) {
                let quoted = [b"\"", &bytes[..=end]].concat();
                prop_assert!(serde_json::from_slice::<String>(&quoted).is_ok(), "{:?}", String::from_utf8_lossy(&quoted));
            }
        }

        #[test]
        fn a_number_is_one_that_serde_reads(text in "[-0-9.e]{0,8}") {
            let all = number(text.as_bytes(), 0) == Some(text.len());
            let expected = !text.contains('e') && serde_json::from_str::<f64>(&text).is_ok();
            prop_assert_eq!(all, expected, "{}", text);
        }

        #[test]
        fn times_are_those_of_the_decoder(
            text in "(19|20)[0-9]{2}-[01][0-9]-[0-3][0-9][T ][0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{0,10})?(Z|\\+01:00|)",
            number in "[0-4][0-9]{7,11}(\\.[0-9]{3}(0|4[89]|5[012]|9)?[0-9]{0,4})?",
        ) {
            let quoted = format!("\"{text}\"");
            let expected = decode::scalar_time(&quoted);
            prop_assert_eq!(text_time(quoted.as_bytes(), 1, text.len() + 1), expected, "{}", text);
            prop_assert!(common_rfc3339(text.as_bytes()).is_none_or(|time| Some(time) == expected), "{text}");
            let expected = decode::scalar_time(&number);
            prop_assert_eq!(number_time(number.as_bytes()), expected, "{}", number);
        }
    }

    #[test]
    fn common_times_need_no_decoder() {
        for text in ["2026-11-22T14:31:03.103324294Z", "2028-02-29T00:00:00Z", "1999-12-31T23:59:59.5Z"] {
            assert_eq!(common_rfc3339(text.as_bytes()), Timestamp::parse_rfc3339(text), "{text}");
        }
        assert_eq!(common_seconds(b"1795357863.2507"), Some(Timestamp::from_millis(1_795_357_863_251)));
        assert_eq!(common_seconds(b"1795357863"), Some(Timestamp::from_millis(1_795_357_863_000)));
    }
}
