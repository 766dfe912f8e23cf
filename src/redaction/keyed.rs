//! Values that are secrets by their names: `password=`, `"clientSecret": "`, `--token `, `<password>`, and their like.
//!
//! A regex finds the name and what separates it from the value; where the value ends, and whether it is one, is decided
//! here, since that depends on quotes (also written-out ones, at any depth), on what follows, and on words.

use std::ops::Range;

use regex::Captures;

use super::plain;

pub const LITERALS: &[&str] =
    &["pass", "pwd", "secret", "token", "key", "sig", "credential", "identified", "_auth", "\"auth"];

/// `strong`: whatever follows is a secret. `weak`: in prose it may be a word. `long`: only what is long is one.
pub const NAME: &str = concat!(
    r"(?:(?P<strong>(?i-u:pass(?:word|wd|phrase|code)(?:[_-]?[0-9]{1,2})?|passwort|(?:\b|_|\\u00[0-9a-f]{2}|%[0-9a-f]{2})pwd|identified by))",
    r"|(?P<weak>(?i-u:(?:secret|token)(?:[_-]?[0-9]{1,2})?|credential|(?:\b|_|\\u00[0-9a-f]{2}|%[0-9a-f]{2})pass",
    r"|(?:api|access|account|secret|private|shared|encryption|encrypt|signing|master|auth|storage|subscription|consumer|client|security|ssh|function|webhook)",
    r"[ _.-]?keys?(?:[ _.-]?(?:id|value|data|base64|base))?))",
    r"|(?P<long>(?i-u:(?:\b|\\u00[0-9a-f]{2}|%[0-9a-f]{2})(?:x-(?:amz|goog)-)?sig(?:nature)?|sharedaccesssignature|[_\x22]auth)))",
    // Quotes and brackets that close the name.
    r#"(?P<close>(?:\\*["'`]|%22|\\+u002[27]|&quot;|&#3[49];)?\]?)"#,
    r"(?:",
    r"(?P<sep>[ \t]*(?: is)?[ \t]*(?:=>|:=|={1,2}|:|%3[AaDd])[ \t]*\[?|[\s,\x22'\\]+(?i-u:value)[\x22'\\]*[ \t]*[:=][ \t]*)",
    r"|(?P<element>>|\\+u003[eE])",
    r"|(?P<space>,[ \t]*|[ \t]+)",
    r")",
);

/// Shorter ones by a name that is `long` are no secret.
const MIN_LONG_BYTES: usize = 16;
/// Shorter ones by a name that is `weak` are no secret.
const MIN_WEAK_BYTES: usize = 4;
/// Up to this length a value by a `weak` name is none if it is a number. Bytes.
const SMALL_NUMBER_BYTES: usize = 5;
/// What stands for a secret in braces is at most so long.
const PLACEHOLDER_BYTES: usize = 64;
/// An element's text is at most so long.
const ELEMENT_BYTES: usize = 1 << 10;
/// How the element ends that holds a secret, also as JSON writes it that spares HTML.
const CLOSING: [&str; 3] = ["</", r"\u003c/", r"\u003C/"];
/// Quotes as they are written out in URLs, by JSON that spares HTML, and in HTML.
const WRITTEN_OUT: [&str; 6] = [r"\u0022", r"\u0027", "%22", "&quot;", "&#34;", "&#39;"];
/// What is longer is a secret, whatever it looks like; so no long text is measured again and again. Bytes.
const MAX_SPARED_BYTES: usize = 1 << 10;
/// A name of the next field is at most so long. Bytes.
const FIELD_NAME_BYTES: usize = 40;
/// A word of letters up to this length is prose rather than a secret. Bytes.
const PROSE_BYTES: usize = 24;

/// What is written where a secret would be, in lower case.
const NO_SECRETS: [&str; 19] = [
    "null",
    "nil",
    "none",
    "true",
    "false",
    "yes",
    "no",
    "undefined",
    "empty",
    "redacted",
    "masked",
    "hidden",
    "n/a",
    "string",
    "omitted",
    "filtered",
    "unset",
    "{",
    "&{",
];
/// What follows `password:` in a sentence.
const SENTENCE: [&str; 24] = [
    "incorrect",
    "invalid",
    "expired",
    "required",
    "missing",
    "mismatch",
    "wrong",
    "too",
    "must",
    "not",
    "is",
    "are",
    "cannot",
    "could",
    "failed",
    "failure",
    "error",
    "does",
    "should",
    "unable",
    "unexpected",
    "unknown",
    "authentication",
    "access",
];

/// Where a value ends.
pub enum Extent {
    /// Within its quotes.
    Quoted(Range<usize>),
    /// It has none.
    Open,
}

/// The value behind a name, if it is a secret.
pub fn value(text: &str, captures: &Captures<'_>) -> Option<Range<usize>> {
    let at = captures.get_match().end();
    if captures.name("element").is_some() {
        let near = &text[at..text.floor_char_boundary(at + ELEMENT_BYTES)];
        let end = at + CLOSING.iter().filter_map(|closing| near.find(closing)).min()?;
        let is_element = near[..end - at].find('<').is_none() && !text[at..end].trim().is_empty();
        return is_element.then_some(at..end);
    }
    // Its fields have names of their own. Before anything is measured: all that is turned down must be short, so that the
    // work stays linear.
    if ["{\"", "{\\", "{'", "map["].iter().any(|open| text[at..].starts_with(open)) {
        return None;
    }
    let is_strong = captures.name("strong").is_some();
    let is_apart = captures.name("space").is_some();
    let is_sql = is_strong && text[at..].starts_with('\'');
    if is_apart && !is_sql && !is_option(text, captures.get_match().start()) {
        return None;
    }
    if !is_strong && text[at..].starts_with(':') {
        // What belongs to a type of that name.
        return None;
    }
    let (range, is_quoted) = match extent(text, at, "") {
        Extent::Quoted(range) => (range, true),
        Extent::Open => (at..unquoted_end(text, at), false),
    };
    let value = &text[range.clone()];
    if is_placeholder(value) || is_path(value) {
        return None;
    }
    if is_apart {
        return (is_sql || !is_prose(value)).then_some(range);
    }
    if captures.name("long").is_some() {
        return is_long(value).then_some(range);
    }
    let is_number = value.bytes().all(|byte| byte.is_ascii_digit());
    if !is_strong && (value.len() < MIN_WEAK_BYTES || is_number && value.len() <= SMALL_NUMBER_BYTES) {
        return None;
    }
    if !is_strong && !is_quoted && is_constant(value) {
        return None;
    }
    if !is_strong && (plain::is_public(&text[..captures.get_match().start()]) || plain::is_plain(value)) {
        return None;
    }
    let separator = captures.name("sep").map_or("", |separator| separator.as_str());
    let may_be_prose = !is_quoted && separator.trim().ends_with(':');
    let in_sentence = may_be_prose && {
        let is_closed = !captures.name("close").map_or("", |close| close.as_str()).is_empty();
        begins_sentence(value) || (!is_strong || is_closed) && is_prose(value) && goes_on(&text[range.end..])
    };
    let names_object = !is_strong && is_object_name(value);
    (!in_sentence && !names_object).then_some(range)
}

/// Whether the value at this place has quotes, and then its extent. `before` may end with the opening one.
pub fn extent(text: &str, at: usize, before: &str) -> Extent {
    let (start, opening) = match before.chars().next_back().filter(|c| is_quote(*c)) {
        Some(_) => {
            let quotes = before.trim_end_matches(is_quote);
            (at, &before[quotes.trim_end_matches('\\').len()..])
        }
        None => {
            let rest = &text[at..];
            let depth = rest.len() - rest.trim_start_matches('\\').len();
            match rest[depth..].chars().next().filter(|c| is_quote(*c)) {
                Some(_) => (at + depth + 1, &rest[..depth + 1]),
                None => return written_out(text, at).map_or(Extent::Open, Extent::Quoted),
            }
        }
    };
    let depth = opening.len() - 1;
    // All quotes are ASCII.
    let quote = opening.as_bytes()[depth];
    Extent::Quoted(start..start + quoted_len(&text.as_bytes()[start..], quote, depth))
}

/// Within quotes that are written out. Those within the value have more backslashes.
fn written_out(text: &str, at: usize) -> Option<Range<usize>> {
    let rest = &text[at..];
    let bare = rest.trim_start_matches('\\');
    let depth = (rest.len() - bare.len()).saturating_sub(1);
    let quote = *WRITTEN_OUT.iter().find(|quote| rest[depth..].starts_with(**quote))?;
    let start = at + depth + quote.len();
    let line = &text[start..start + text[start..].find('\n').unwrap_or(text.len() - start)];
    let closes = |end: &usize| line[..*end].bytes().rev().take_while(|byte| *byte == b'\\').count() <= depth;
    let end = line.match_indices(quote).map(|(end, _)| end).find(closes).unwrap_or(line.len());
    Some(start..start + line[..end].trim_end_matches('\\').len())
}

/// The length of a value up to the quote that closes it, or the end of the line. At `depth` backslashes before the opening
/// quote: text that was quoted within quotes. A quote in the value has more of them, and a backslash in it twice as many
/// and two again.
fn quoted_len(text: &[u8], quote: u8, depth: usize) -> usize {
    let mut at = 0;
    while at < text.len() && text[at] != b'\n' {
        let backslashes = text[at..].iter().take_while(|byte| **byte == b'\\').count();
        let end = at + backslashes;
        if text.get(end) != Some(&quote) {
            at = (end + usize::from(backslashes == 0)).max(at + 1);
            continue;
        }
        if backslashes < depth {
            return at;
        }
        let is_doubled = quote == b'\'' && backslashes == 0 && text.get(end + 1) == Some(&quote) && at > 0;
        if (backslashes - depth).is_multiple_of(2 * (depth + 1)) && !is_doubled {
            return end - depth;
        }
        at = end + 1 + usize::from(is_doubled);
    }
    at
}

/// Where a value without quotes ends: at a gap, or at what separates fields, if a field or nothing follows.
pub fn unquoted_end(text: &str, at: usize) -> usize {
    let rest = &text[at..];
    for (offset, c) in rest.char_indices() {
        let behind = &rest[offset + c.len_utf8()..];
        let ends = match c {
            c if c.is_whitespace() => true,
            '"' | '\'' | '`' => !behind.starts_with(|c: char| c.is_alphanumeric()),
            ',' | ';' | '&' | '|' => ends_field(behind) || begins_field(behind),
            ')' | ']' | '}' | '>' => ends_field(behind) && !rest[..offset].contains(opening(c)),
            '<' => behind.starts_with('/'),
            '%' => behind.starts_with("26") || behind.starts_with("22"),
            '\\' => ["u0022", "u0026", "u0027", "u003c", "u003C"].iter().any(|written| behind.starts_with(written)),
            _ => false,
        };
        if ends {
            let value = &rest[..offset];
            // Those that belong to the quote.
            let value = if is_quote(c) { value.trim_end_matches('\\') } else { value };
            return at + value.len();
        }
    }
    text.len()
}

fn is_quote(c: char) -> bool {
    matches!(c, '"' | '\'' | '`')
}

fn ends_field(behind: &str) -> bool {
    behind
        .chars()
        .next()
        .is_none_or(|c| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '\\' | ')' | ']' | '}' | ',' | ';' | ':'))
}

fn opening(closing: char) -> char {
    match closing {
        ')' => '(',
        ']' => '[',
        '}' => '{',
        _ => '<',
    }
}

/// `name=` or `name:` follows.
fn begins_field(behind: &str) -> bool {
    let in_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b' ');
    let length = behind.bytes().take(FIELD_NAME_BYTES).take_while(in_name).count();
    length > 0 && matches!(behind.as_bytes().get(length), Some(b'=' | b':'))
}

/// What stands for a secret that is not there.
pub fn is_placeholder(value: &str) -> bool {
    if value.len() > MAX_SPARED_BYTES {
        return false;
    }
    let word = value.split("\\n").next().unwrap_or(value);
    let lower = word.trim_matches(['<', '>', '[', ']', '(', ')', '*']).to_ascii_lowercase();
    let is_short = value.len() <= PLACEHOLDER_BYTES;
    let encloses = |open: &str, close| is_short && value.starts_with(open) && value.ends_with(close);
    lower.is_empty()
        || NO_SECRETS.contains(&&*lower)
        || lower.starts_with("redacted:")
        || value.starts_with('%') && value.len() <= 3
        || encloses("${", '}')
        || encloses("$(", ')')
        || encloses("{{", '}')
        || encloses("<", '>')
        || value.chars().all(|c| matches!(c, '*' | 'x' | 'X' | '.' | '•' | '#' | '-' | '_' | '?'))
}

/// A file, which most programs name where the secret is in one: at least two lower-case parts, or a drive.
fn is_path(value: &str) -> bool {
    if value.len() > MAX_SPARED_BYTES {
        return false;
    }
    let in_path = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '/' | '.' | '_' | '-');
    let is_unix = value.starts_with('/') && value.matches('/').count() >= 2 && value.chars().all(in_path);
    let bytes = value.as_bytes();
    let is_windows = bytes.len() > 3 && bytes[0].is_ascii_alphabetic() && bytes[1] == b':' && bytes[2] == b'\\';
    is_unix || is_windows || value == "/" || value.starts_with("file:/")
}

/// `namespace/name`, as Kubernetes' components name their secrets.
fn is_object_name(value: &str) -> bool {
    let is_label = |text: &str| {
        let in_label = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'.';
        text.starts_with(|c: char| c.is_ascii_lowercase()) && text.bytes().all(in_label)
    };
    value.split_once('/').is_some_and(|(namespace, name)| is_label(namespace) && is_label(name))
}

/// Letters as a word has them, perhaps with a mark behind.
pub fn is_prose(value: &str) -> bool {
    let word = value.trim_end_matches(['.', ',', ':', ';', '!', '?', ')']);
    let is_mixed = word.as_bytes().windows(2).any(|two| two[0].is_ascii_lowercase() && two[1].is_ascii_uppercase());
    word.len() <= PROSE_BYTES && !is_mixed && word.chars().all(|c| c.is_alphabetic() || matches!(c, '\'' | '’' | '-'))
}

/// A signature, and no word that speaks of one.
fn is_long(value: &str) -> bool {
    value.len() > PLACEHOLDER_BYTES
        || value.len() >= MIN_LONG_BYTES && !value.contains(' ') && value.bytes().any(|byte| byte.is_ascii_digit())
}

/// `PRODUCE`, as programs print what they enumerate.
fn is_constant(value: &str) -> bool {
    value.len() <= PROSE_BYTES && value.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
}

fn begins_sentence(value: &str) -> bool {
    let word = value.trim_end_matches(['.', ',', ':', ';', '!', '?', ')']);
    SENTENCE.iter().any(|known| word.eq_ignore_ascii_case(known))
}

/// More words follow in this line.
fn goes_on(rest: &str) -> bool {
    rest.strip_prefix([' ', '\t']).is_some_and(|rest| rest.starts_with(|c: char| c.is_alphanumeric() || is_quote(c)))
}

/// Whether the name that goes on at this place began with two hyphens.
fn is_option(text: &str, at: usize) -> bool {
    let before = &text[..at];
    let name = before.trim_end_matches(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-' || c == '.');
    before[name.len()..].starts_with("--") || text[name.len()..].starts_with("--")
}
