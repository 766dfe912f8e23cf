//! Passwords and tokens in front of a URL's host.

use std::ops::Range;

use regex::Captures;

/// `scheme://user:`, or `scheme://` alone; slashes may be escaped.
pub const USER: &str = r#":\\*/\\*/(?P<user>[^\s/?#"'<>:@\\]*)(?P<colon>[:@])"#;
/// A password is looked for in so many bytes, for in most URLs there is none.
const PASSWORD_BYTES: usize = 2 << 10;
/// A user of this length that holds a digit and no dot is a token.
const MIN_TOKEN_BYTES: usize = 20;

/// Up to the `@` before the host. A password may hold `@`, and what should have been escaped in it, as `/`.
pub fn password(text: &str, captures: &Captures<'_>) -> Option<Range<usize>> {
    let user = captures.name("user")?;
    let colon = captures.name("colon")?;
    if colon.as_str() == "@" {
        let is_token = user.len() >= MIN_TOKEN_BYTES
            && user.as_str().bytes().any(|byte| byte.is_ascii_digit())
            && !user.as_str().contains('.');
        return is_token.then(|| user.range());
    }
    let rest = &text[colon.end()..text.floor_char_boundary(colon.end() + PASSWORD_BYTES)];
    if !rest.as_bytes().contains(&b'@') {
        return None;
    }
    let rest = &rest[..rest.find(super::is_gap).unwrap_or(rest.len())];
    let rest = &rest[..rest.find(r"\u0022").unwrap_or(rest.len())];
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    let is_port = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count() == text.len();
    let end = match authority.rfind('@') {
        Some(end) => end,
        None if is_port(authority.trim_end_matches('\\')) => return None,
        // A path may hold one too, so not the last.
        None => rest.find('@')?,
    };
    (!super::keyed::is_placeholder(&rest[..end])).then(|| colon.end()..colon.end() + end)
}
