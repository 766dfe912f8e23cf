//! Slack's markup, so built that no text of others can become a part of it.
//!
//! Slack has no escape but for `&`, `<` and `>`: stars, underscores, backticks and colons mean something wherever they
//! stand. So what is not ours goes into code, where only backticks count, or has look-alikes put for all that could
//! mean something. <https://docs.slack.dev/messaging/formatting-message-text>

use url::Url;

use super::super::{text, words};
use crate::time::Timestamp;

/// A text in the markup. Markup itself is static.
pub struct Mrkdwn(String);

impl Mrkdwn {
    pub fn new(markup: &'static str) -> Mrkdwn {
        Mrkdwn(markup.to_owned())
    }

    pub fn and(mut self, markup: &'static str) -> Mrkdwn {
        self.0 += markup;
        self
    }

    /// As it is, on one line, at most `most` units of it.
    pub fn text(mut self, of_others: &str, most: usize) -> Mrkdwn {
        self.0 += &inert(&text::named(of_others, most), most);
        self
    }

    /// As code within a line; `most` units and the two around it.
    pub fn code(mut self, of_others: &str, most: usize) -> Mrkdwn {
        self.0 += &format!("`{}`", code(&text::named(of_others, most), most));
        self
    }

    /// As lines of code; `most` units and [`FENCES`].
    pub fn lines(mut self, of_others: &str, most: usize) -> Mrkdwn {
        let text = text::clean(of_others);
        self.0 += &format!("```\n{}\n```", code(text.trim_matches('\n'), most));
        self
    }

    pub fn link(mut self, to: &Url, label: &'static str) -> Mrkdwn {
        self.0 += &format!("<{}|{label}>", address(to));
        self
    }

    /// In the reader's own time zone.
    pub fn time(mut self, at: Timestamp) -> Mrkdwn {
        let seconds = at.as_millis().div_euclid(1000);
        self.0 += &format!("<!date^{seconds}^{{date_num}} {{time_secs}}|{}>", words::time(at));
        self
    }

    pub fn into_string(self) -> String {
        self.0
    }
}

/// What lines of code have around them.
pub const FENCES: usize = 8;

fn code(text: &str, most: usize) -> String {
    text::cut_as(text, most, |c, written| match c {
        '`' => written.push('ˋ'),
        c => escape(c, written),
    })
}

fn escape(c: char, written: &mut String) {
    match c {
        '&' => written.push_str("&amp;"),
        '<' => written.push_str("&lt;"),
        '>' => written.push_str("&gt;"),
        c => written.push(c),
    }
}

/// The same in look-alikes, where a character could begin or end a format, an emoji, a mention or a quotation.
pub fn inert(text: &str, most: usize) -> String {
    let mut harmless = String::with_capacity(text.len());
    let mut before = None;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        harmless.push(look_alike(before, c, rest.peek().copied()));
        before = Some(c);
    }
    text::cut_as(&harmless, most, escape)
}

fn look_alike(before: Option<char>, c: char, after: Option<char>) -> char {
    // Of other letters nobody knows whether Slack takes them for such.
    let is_letter = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let in_word = is_letter(before);
    match c {
        '*' => '∗',
        '~' => '∼',
        '`' => 'ˋ',
        // Begins a quotation even if it is escaped.
        '>' if before.is_none() => '›',
        '_' if in_word && is_letter(after) => '_',
        '_' => '\u{ff3f}',
        '@' if !in_word => '\u{ff20}',
        '#' if !in_word => '\u{ff03}',
        ':' if after.is_some_and(|c| !c.is_whitespace()) => '∶',
        c => c,
    }
}

/// Nothing that ends a link or begins code. The rest of it is ASCII without spaces and brackets.
fn address(url: &Url) -> String {
    let plain = url.as_str().replace('|', "%7C").replace('`', "%60");
    plain.replace('<', "%3C").replace('>', "%3E").replace('&', "&amp;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_holds_what_is_put_into_it() {
        let written = Mrkdwn::new("*x* ").code("`a` <!here> & b\nc", 100).into_string();
        assert_eq!(written, "*x* `ˋaˋ &lt;!here&gt; &amp; b c`");
        let written = Mrkdwn::new("").lines("\n```\n<@U1>\n\n", 100).into_string();
        assert_eq!(written, "```\nˋˋˋ\n&lt;@U1&gt;\n```");
        assert_eq!(Mrkdwn::new("").code(" \u{200b}", 100).into_string(), "`-`");
    }

    #[test]
    fn text_means_nothing() {
        let cases = [
            ("Node n1: 4 of 4", "Node n1: 4 of 4"),
            ("ERROR_EXE_MACHINE", "ERROR_EXE_MACHINE"),
            ("prod/node/n1#12", "prod/node/n1#12"),
            ("https://a/b", "https∶//a/b"),
            ("*b* _i_ ~s~ `c`", "∗b∗ ＿i＿ ∼s∼ ˋcˋ"),
            (":fire: 10:30:15 :+1:", "∶fire: 10∶30∶15 ∶+1:"),
            ("@here @U1 #general a@b é@b", "＠here ＠U1 ＃general a@b é＠b"),
            ("<!channel> &amp; >q", "&lt;!channel&gt; &amp;amp; &gt;q"),
            (">q", "›q"),
        ];
        for (text, expected) in cases {
            assert_eq!(inert(text, 100), expected, "{text}");
        }
    }

    #[test]
    fn a_link_ends_where_it_should() {
        let url = Url::parse("https://wiki/a|b`c?d=`<e>|&f#g`|").expect("an address");
        let written = Mrkdwn::new("").link(&url, "Runbook").into_string();
        let inside = written.strip_prefix('<').and_then(|rest| rest.strip_suffix("|Runbook>")).expect("a link");
        assert!(!inside.contains(['<', '>', '|', '`', ' ']), "{inside}");
    }

    #[test]
    fn what_is_written_keeps_to_its_bound() {
        for most in 1..40 {
            let hostile = "&<>`🙂*".repeat(20);
            for written in [code(&hostile, most), inert(&hostile, most)] {
                assert!(text::units(&written) <= most, "{most}: {written}");
            }
        }
    }
}
