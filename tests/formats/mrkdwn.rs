//! What Slack would see in a text of its markup, told by somebody who knows nothing of how it was written. In doubt a
//! character means something.
//!
//! <https://docs.slack.dev/messaging/formatting-message-text>

use std::sync::LazyLock;

use regex::Regex;

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Seen {
    /// Between `<` and `>`: a link, a mention, a date; wherever it stands, in code too.
    Control(String),
    Code(String),
    Bold(String),
    /// Another format, an emoji, a mention, a quotation.
    Other(String),
    /// What nobody would write on purpose: half an entity, a bracket or backtick alone.
    Broken(String),
    /// Characters that cannot be seen.
    Unseen(String),
}

/// Bidirectional and zero-width characters, tags, and all controls but the line break.
pub fn unseen(text: &str) -> Option<Seen> {
    let is_unseen = |c: char| match c {
        '\n' => false,
        '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' => true,
        '\u{61c}' | '\u{feff}' | '\u{ad}' | '\u{2028}' | '\u{2029}' | '\u{e0000}'..='\u{e007f}' => true,
        c => c.is_control(),
    };
    text.chars().find(|&c| is_unseen(c)).map(|c| Seen::Unseen(format!("{c:?}")))
}

/// All that is more than text.
pub fn seen(text: &str) -> Vec<Seen> {
    let mut seen: Vec<Seen> = unseen(text).into_iter().collect();
    let [control, block, code, bold, struck, italic, emoji, quotation, mention] = &*PATTERNS;
    let without_controls = take(text, control, &mut seen, Seen::Control);
    let broken_entity = without_controls.replace("&amp;", "").replace("&lt;", "").replace("&gt;", "").contains('&');
    if broken_entity || without_controls.contains(['<', '>']) {
        seen.push(Seen::Broken(without_controls.clone()));
    }
    let without_blocks = take(&without_controls, block, &mut seen, Seen::Code);
    let without_code = take(&without_blocks, code, &mut seen, Seen::Code);
    if without_code.contains('`') {
        seen.push(Seen::Broken(without_code.clone()));
    }
    let mut text = take(&without_code, bold, &mut seen, Seen::Bold);
    for format in [struck, italic, emoji, quotation, mention] {
        text = take(&text, format, &mut seen, Seen::Other);
    }
    seen
}

static PATTERNS: LazyLock<[Regex; 9]> = LazyLock::new(|| {
    let patterns = [
        r"<([^<>]*)>",
        r"(?s)```(.*?)```",
        r"`([^`\n]+)`",
        r"\*([^*\n]+)\*",
        r"~([^~\n]+)~",
        r"(?:^|[^A-Za-z0-9])(_[^\n]+_)(?:$|[^A-Za-z0-9])",
        r"(:[^:\s]+:)",
        r"(?m)(^&gt;)",
        r"(?m)(?:^|[^A-Za-z0-9])([@#][^\s])",
    ];
    patterns.map(|pattern| Regex::new(pattern).expect("the pattern is one"))
});

/// The text with a mark in place of each match.
fn take(text: &str, pattern: &Regex, seen: &mut Vec<Seen>, as_what: fn(String) -> Seen) -> String {
    seen.extend(pattern.captures_iter(text).map(|found| as_what(found[1].to_owned())));
    pattern.replace_all(text, " ▯ ").into_owned()
}
