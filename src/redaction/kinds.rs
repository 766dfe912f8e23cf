//! The kinds of secrets: how each is found, and what is shown in its place.
//!
//! Forms of tokens as their issuers document them, a little wider, so that a length that changes does not matter.

use std::ops::Range;

use regex::{Captures, Regex};

use super::{REDACTED, SHORT_VALUE_BYTES, header, keyed, private_key, url};

/// Of what the regex found in the text, the secret; `None`: it was none.
pub type Take = fn(&str, &Captures<'_>) -> Option<Range<usize>>;

#[derive(Debug)]
pub struct Kind {
    pub with: &'static str,
    /// One of them is in every text that holds such a secret, ASCII letters in either case. None: not known.
    pub literals: &'static [&'static str],
    regex: Regex,
    take: Take,
}

/// What is shown instead, the literals, the regex, and what of its match is the secret.
type Row = (&'static str, &'static [&'static str], &'static str, Take);

/// Before a token: the begin of a word, also behind a line break, tab or mark that was written out.
macro_rules! token {
    ($regex:literal) => {
        concat!(r"(?:^|[^A-Za-z0-9]|\\[nrt]|\\u00[0-9A-Fa-f]{2}|%[0-9A-Fa-f]{2})(?P<secret>", $regex, ")")
    };
}

#[rustfmt::skip]
const BUILT_IN: &[Row] = &[
    ("[redacted:private-key]", &["-----begin"], private_key::BEGIN, private_key::from_begin),
    ("[redacted:private-key]", &["-----end"], private_key::TAIL, secret),
    ("[redacted:private-key]", &["LS0tLS1CRUdJTi"], r"LS0tLS1CRUdJTi[A-Za-z0-9+/=_-]+", private_key::encoded),
    ("[redacted:jwt]", &["eyJ"], token!(r"eyJ[A-Za-z0-9_-]{10,}(?:\.[A-Za-z0-9_-]*[A-Za-z0-9_-])*"), secret),
    ("[redacted:aws-key]", &["AKIA", "ASIA", "ABIA", "ACCA"],
        token!(r#"A(?:KIA|SIA|BIA|CCA)[A-Z2-7]{12,}(?:[:\s,;|/"'\\]{1,4}[A-Za-z0-9/+=]{40})?"#), secret),
    ("[redacted:gcp-key]", &["AIza"], token!(r"AIza[A-Za-z0-9_-]{30,}"), secret),
    ("[redacted:gcp-token]", &["ya29.", "GOCSPX-"], token!(r"(?:ya29\.|GOCSPX-)[A-Za-z0-9._-]{20,}"), secret),
    ("[redacted:azure-secret]", &["Q~"], r"(?P<secret>[A-Za-z0-9_~.-]{3}[0-9]Q~[A-Za-z0-9_~.-]{20,})", secret),
    ("[redacted:github-token]", &["ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"],
        token!(r"(?:gh[pousr]|github_pat)_[A-Za-z0-9_]{20,}"), secret),
    ("[redacted:gitlab-token]", &["gl"], token!(r"(?:glpat|gldt|glrt|glcbt|glptt|glft|glsoat|glagent)-[A-Za-z0-9_.-]{15,}"), secret),
    ("[redacted:slack-token]", &["xox", "xapp-"], token!(r"(?:xox[a-z]|xapp|xoxe\.xox[a-z])-[A-Za-z0-9-]{10,}"), secret),
    ("[redacted:slack-webhook]", &["hooks.slack.com"],
        r"hooks\.slack\.com/(?:services|workflows|triggers)/(?P<secret>[A-Za-z0-9/_-]{8,})", secret),
    ("[redacted:npm-token]", &["npm_"], token!(r"npm_[A-Za-z0-9]{30,}"), secret),
    ("[redacted:token]", &["sk-", "sk_", "rk_", "hvs.", "hvb.", "dckr_", "dop_v1_", "pypi-", "SG."],
        token!(r"(?:sk-[A-Za-z0-9_-]{20,}|[sr]k_(?:live|test)_[A-Za-z0-9]{10,}|hv[sb]\.[A-Za-z0-9_-]{20,}|dckr_[po]at_[A-Za-z0-9_-]{20,}|dop_v1_[a-f0-9]{32,}|pypi-[A-Za-z0-9_-]{50,}|SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,})"), holds_digit),
    (REDACTED, &["authorization"], header::AUTHORIZATION, header::authorization),
    (REDACTED, &["bearer", "basic"], header::SCHEME, header::scheme),
    (REDACTED, &["cookie"], header::COOKIE, header::cookie),
    (REDACTED, &["://", ":\\"], url::USER, url::password),
    (REDACTED, keyed::LITERALS, keyed::NAME, keyed::value),
];

pub fn built_in() -> Vec<Kind> {
    BUILT_IN.iter().map(Kind::new).collect()
}

pub fn email() -> Kind {
    const EMAIL: &str = r"(?P<secret>[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,})";
    Kind::new(&("[redacted:email]", &["@"], EMAIL, secret))
}

impl Kind {
    fn new((with, literals, regex, take): &Row) -> Self {
        // All are constants, and a test builds them.
        let regex = Regex::new(regex).expect("the built-in patterns are valid");
        Kind { with, literals, regex, take: *take }
    }

    pub fn configured(regex: Regex) -> Self {
        Kind { with: REDACTED, literals: &[], regex, take: secret }
    }

    /// Tells of every secret of this kind. Some may lie in others.
    pub fn find(&self, text: &str, mut found: impl FnMut(Range<usize>)) {
        let mut at = 0;
        while let Some(captures) = self.regex.captures_at(text, at) {
            let whole = captures.get_match().range();
            at = whole.end;
            if let Some(secret) = (self.take)(text, &captures).filter(|secret| !secret.is_empty()) {
                at = if secret.len() <= SHORT_VALUE_BYTES && secret.start > whole.start {
                    secret.start
                } else {
                    whole.end.max(secret.end)
                };
                found(secret);
            }
            if at <= whole.start {
                at = whole.start + text[whole.start..].chars().next().map_or(1, char::len_utf8);
            }
            if at > text.len() {
                break;
            }
        }
    }
}

/// The group `secret`, or all if there is none.
fn secret(_: &str, captures: &Captures<'_>) -> Option<Range<usize>> {
    Some(captures.name("secret").or_else(|| captures.get(0))?.range())
}

/// Of forms that words with hyphens have, too.
fn holds_digit(text: &str, captures: &Captures<'_>) -> Option<Range<usize>> {
    secret(text, captures).filter(|range| text[range.clone()].bytes().any(|byte| byte.is_ascii_digit()))
}

/// What stands in the text for secrets that were taken out of it.
pub fn markers(text: &str) -> impl Iterator<Item = Range<usize>> {
    let begins = text.match_indices("[redacted").map(|(start, _)| start);
    begins.filter_map(|start| {
        let kind = &text[start + "[redacted".len()..];
        let end = kind.find(|c: char| !matches!(c, ':' | '-' | 'a'..='z'))?;
        kind[end..].starts_with(']').then(|| start..start + "[redacted".len() + end + 1)
    })
}
