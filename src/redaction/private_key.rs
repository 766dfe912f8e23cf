//! Private keys as PEM writes them: whole, cut at either end, on one line with `\n` written out, and as base64 of it all.

use std::ops::Range;
use std::sync::LazyLock;

use regex::{Captures, Regex};

pub const BEGIN: &str = r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----";
/// The end of a key whose begin is not there.
pub const TAIL: &str =
    r"(?P<secret>(?:[A-Za-z0-9+/=]{16,}(?:\s|\\+[nr])*)*[A-Za-z0-9+/=]+(?:\s|\\+[nr])*)-----END [A-Z0-9 ]*PRIVATE KEY";

/// `-----BEGIN CERTIFICATE` in base64 goes on so.
const CERTIFICATE: &str = "BDRVJUSUZJQ0FUR";
/// Shorter ones are none, but a sentence about one.
const MIN_KEY_BYTES: usize = 16;

static BODY: LazyLock<Regex> = LazyLock::new(|| {
    let line = r#"[\s"'+,]|\\+[nrt"']|[A-Za-z0-9+/=_-]{16,}|(?:Proc-Type|DEK-Info|Version|Comment): ?[^\n\\]*"#;
    // A constant, and tested.
    Regex::new(&format!("^(?:{line})*")).expect("a valid regex")
});

/// The key behind its first line, with the last one; without a last one, as far as it looks like a key.
pub fn from_begin(text: &str, captures: &Captures<'_>) -> Option<Range<usize>> {
    let begin = captures.get_match();
    let rest = &text[begin.end()..];
    // Another one begins: this one was cut.
    let rest = &rest[..rest.find("-----BEGIN").unwrap_or(rest.len())];
    let body = match rest.find("-----END") {
        Some(end) => end,
        None => body(rest),
    };
    let letters = rest[..body].bytes().filter(u8::is_ascii_alphanumeric).count();
    let body = rest[..body].trim_end_matches(['"', '\'', '\\', ',', ' ', '\n']).len();
    (letters >= MIN_KEY_BYTES).then(|| begin.end()..begin.end() + body)
}

/// How far text looks like lines of a key; the last one may be short.
fn body(text: &str) -> usize {
    let end = BODY.find(text).map_or(0, |body| body.end());
    let is_line = ["\n", "\\n", "\\r"].iter().any(|line_break| text[..end].ends_with(line_break));
    let rest = text[end..].bytes();
    end + if is_line {
        rest.take_while(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(byte)).count()
    } else {
        0
    }
}

/// Kubernetes' secrets and kubeconfigs hold keys so.
pub fn encoded(text: &str, captures: &Captures<'_>) -> Option<Range<usize>> {
    let all = captures.get_match();
    let is_certificate = text[all.start() + "LS0tLS1CRUdJTi".len()..all.end()].starts_with(CERTIFICATE);
    (!is_certificate).then(|| all.range())
}
