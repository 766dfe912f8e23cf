//! Credentials in HTTP headers, however they are printed: as sent, as JSON, as a map of Go or Python.

use std::ops::Range;

use regex::Captures;

use super::keyed::{self, Extent};

pub const AUTHORIZATION: &str = r#"(?i-u:authorization)(?:\\*["'`]|\\+u002[27]|%22|&quot;)?[ \t]*(?::|=>|=|%3[AaDd]|,)[ \t]*(?P<before>\[?(?:\\+u002[27]|%22|&quot;|\\*["'`]?)\[?\\*["'`]?)"#;
pub const SCHEME: &str = r"(?i-u:(?:\b|\\u00[0-9a-f]{2}|%[0-9a-f]{2})(?:bearer|basic)(?:[ \t]|%20|\\+u0020)+)(?P<secret>[A-Za-z0-9._~+/=-]{4,})";
pub const COOKIE: &str = r#"(?i-u:\b(?:set-)?cookie)(?:\\*["'`])?[ \t]*(?::|=>|=)[ \t]*\[?\\*["'`]?"#;

/// Schemes that one word follows.
const SCHEMES: [&str; 9] =
    ["basic", "bearer", "token", "negotiate", "ntlm", "apikey", "api-key", "sharedkey", "splunk"];
/// Schemes that a list of `name="value"` follows.
const LISTS: [&str; 6] = ["digest", "oauth", "hawk", "signature", "aws4-hmac-sha256", "sharedaccesssignature"];
/// A scheme's name, with the space behind it, is at most so long. Bytes.
const SCHEME_BYTES: usize = 32;
/// The name of a cookie is at most so long.
const COOKIE_NAME_BYTES: usize = 128;
/// A word of so many letters without a digit may be prose.
const PROSE_BYTES: usize = 24;

/// What follows the name of the scheme.
pub fn authorization(text: &str, captures: &Captures<'_>) -> Option<Range<usize>> {
    let start = captures.get_match().end();
    let rest = &text[start..];
    // No scheme is longer, and all that is turned down must be short.
    let near = &rest[..rest.floor_char_boundary(SCHEME_BYTES)];
    let word = &near[..near.find([' ', '\t']).unwrap_or(near.len())];
    let is_one_of = |known: &[&str]| known.iter().any(|known| word.eq_ignore_ascii_case(known));
    let behind = || start + word.len() + rest[word.len()..].bytes().take_while(|byte| b" \t".contains(byte)).count();
    let secret = if is_one_of(&LISTS) {
        let from = behind();
        from..from + text[from..].find('\n').unwrap_or(text.len() - from)
    } else {
        let from = if is_one_of(&SCHEMES) { behind() } else { start };
        from..keyed::unquoted_end(text, from)
    };
    let value = &text[secret.clone()];
    (!keyed::is_placeholder(value) && !keyed::is_prose(value)).then_some(secret)
}

/// `Bearer` or `Basic` and what cannot be the next word of a sentence.
pub fn scheme(_: &str, captures: &Captures<'_>) -> Option<Range<usize>> {
    let secret = captures.name("secret")?;
    let value = secret.as_str();
    let has = |is: fn(&u8) -> bool| value.as_bytes().iter().any(is);
    let is_mixed = value.as_bytes().windows(2).any(|two| two[0].is_ascii_lowercase() && two[1].is_ascii_uppercase());
    let is_one = has(u8::is_ascii_digit) || is_mixed || has(|byte| *byte == b'=') || value.len() >= PROSE_BYTES;
    is_one.then(|| secret.range())
}

/// All cookies to the end of the line, or of the quotes.
pub fn cookie(text: &str, captures: &Captures<'_>) -> Option<Range<usize>> {
    let found = captures.get_match();
    // Looked for nearby, so that the work stays linear.
    if !text.as_bytes()[found.end()..].iter().take(COOKIE_NAME_BYTES).any(|byte| *byte == b'=') {
        return None;
    }
    let value = match keyed::extent(text, found.end(), found.as_str()) {
        Extent::Quoted(range) => range,
        Extent::Open => {
            let rest = &text[found.end()..];
            found.end()..found.end() + rest.find(['\n', '"', '\'']).unwrap_or(rest.len())
        }
    };
    Some(value)
}
