//! The parts of Block Kit that are used. <https://docs.slack.dev/reference/block-kit>

use serde::Serialize;

use super::super::text;
use super::mrkdwn::Mrkdwn;

/// A message as incoming webhooks and `chat.postMessage` take it; the latter wants a channel besides.
#[derive(Serialize)]
pub struct Body {
    /// What notifications show.
    text: String,
    blocks: Vec<Block>,
    /// Whether `text` is markup.
    mrkdwn: bool,
    /// Nothing becomes a link or a mention that was not written as one.
    parse: &'static str,
    link_names: bool,
    /// No address is fetched and shown.
    unfurl_links: bool,
    unfurl_media: bool,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Block {
    Header {
        text: Text,
    },
    Section {
        #[serde(skip_serializing_if = "Option::is_none")]
        text: Option<Text>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        fields: Vec<Text>,
    },
    Context {
        elements: Vec<Text>,
    },
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Text {
    /// `emoji`: whether `:fire:` becomes one.
    PlainText { text: String, emoji: bool },
    /// `verbatim`: names and addresses do not become links by themselves.
    Mrkdwn { text: String, verbatim: bool },
}

impl Body {
    /// `text` is to be inert, since some clients take it for markup all the same.
    pub fn new(text: String, blocks: Vec<Block>) -> Body {
        Body { text, blocks, mrkdwn: false, parse: "none", link_names: false, unfurl_links: false, unfurl_media: false }
    }
}

impl Block {
    pub fn header(text: &str, most: usize) -> Block {
        Block::Header { text: Text::plain(text, most) }
    }

    pub fn plain(text: &str, most: usize) -> Block {
        Block::Section { text: Some(Text::plain(text, most)), fields: Vec::new() }
    }

    pub fn mrkdwn(text: Mrkdwn) -> Block {
        Block::Section { text: Some(text.into()), fields: Vec::new() }
    }

    pub fn fields(fields: Vec<Mrkdwn>) -> Block {
        Block::Section { text: None, fields: fields.into_iter().map(Text::from).collect() }
    }

    pub fn context(text: &str, most: usize) -> Block {
        Block::Context { elements: vec![Text::plain(text, most)] }
    }
}

impl Text {
    /// Plain text means what it says. Brackets are put for `<` and `>` all the same, which Slack does not ask for and
    /// nobody misses.
    fn plain(text: &str, most: usize) -> Text {
        let text = text::clean(text).replace('<', "‹").replace('>', "›");
        let text = text.trim();
        // An empty text is refused.
        let text = if text.is_empty() { "-" } else { text };
        Text::PlainText { text: text::cut(text, most), emoji: false }
    }
}

impl From<Mrkdwn> for Text {
    fn from(text: Mrkdwn) -> Text {
        Text::Mrkdwn { text: text.into_string(), verbatim: true }
    }
}
