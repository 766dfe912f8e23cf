//! What a receiver's answer means for the message that it answers.
//!
//! Sources: PagerDuty "Events API v2 Overview" (202; 400 with `errors`; 429; 5xx), Slack "Sending messages using incoming
//! webhooks" and "chat.postMessage" (errors in the body of a 200), Alertmanager's OpenAPI v2 (200, 400, 500), RFC 9110.

use std::time::Duration;

use serde_json::Value;

use super::Target;

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    Delivered,
    /// It may go better later. `after`: how long the receiver asks to wait. `reached`: it may have the message all the same.
    Retry {
        after: Option<Duration>,
        reached: bool,
        why: String,
    },
    /// Nothing will be taken before somebody mends the URL, the key or the token. Tried again now and then.
    Pause {
        why: String,
    },
    /// This message will never be taken; others may be.
    Refused {
        why: String,
    },
}

/// An HTTP answer, as far as it was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Answer<'a> {
    pub status: u16,
    /// The start of the body.
    pub body: &'a [u8],
    pub retry_after: Option<Duration>,
}

/// How many characters of a body are shown to people.
const SHOWN: usize = 300;

/// Slack's words for what somebody has to mend: token, scopes, channel.
const SLACK_PAUSES: [&str; 26] = [
    "access_denied",
    "accesslimited",
    "account_inactive",
    "action_prohibited",
    "channel_is_archived",
    "channel_not_found",
    "ekm_access_denied",
    "enterprise_is_restricted",
    "invalid_auth",
    "invalid_token",
    "is_archived",
    "missing_scope",
    "no_active_hooks",
    "no_permission",
    "no_service",
    "no_team",
    "not_allowed_token_type",
    "not_authed",
    "not_in_channel",
    "org_login_required",
    "posting_to_general_channel_denied",
    "restricted_action",
    "team_access_not_granted",
    "team_disabled",
    "token_expired",
    "token_revoked",
];

/// And for what passes.
const SLACK_RETRIES: [&str; 8] = [
    "fatal_error",
    "internal_error",
    "rate_limited",
    "ratelimited",
    "request_timeout",
    "rollup_error",
    "service_unavailable",
    "team_added_to_org",
];

pub fn judge(target: Target, answer: &Answer<'_>) -> Verdict {
    let retry = |reached| Verdict::Retry { after: answer.retry_after, reached, why: shown(answer) };
    match answer.status {
        200..=299 if target == Target::Slack => slack(answer),
        200..=299 => Verdict::Delivered,
        429 | 425 => retry(false),
        408 | 500..=599 => retry(true),
        // Redirects are not followed: what is sent may be secret.
        300..=399 | 401 | 402 | 403 | 404 | 405 | 407 | 410 => Verdict::Pause { why: shown(answer) },
        400 if is_about_the_key(target, answer.body) => Verdict::Pause { why: shown(answer) },
        400..=499 => Verdict::Refused { why: shown(answer) },
        // None is final, or known.
        _ => retry(true),
    }
}

/// `chat.postMessage` says in its body how it went; incoming webhooks say "ok".
fn slack(answer: &Answer<'_>) -> Verdict {
    let Ok(Value::Object(body)) = serde_json::from_slice(answer.body) else { return Verdict::Delivered };
    if body.get("ok") != Some(&Value::Bool(false)) {
        return Verdict::Delivered;
    }
    let error = body.get("error").and_then(Value::as_str).unwrap_or_default();
    match error {
        error if SLACK_RETRIES.contains(&error) => {
            let reached = !matches!(error, "ratelimited" | "rate_limited");
            Verdict::Retry { after: answer.retry_after, reached, why: shown(answer) }
        }
        error if SLACK_PAUSES.contains(&error) => Verdict::Pause { why: shown(answer) },
        _ => Verdict::Refused { why: shown(answer) },
    }
}

/// A wrong integration key is a 400 of PagerDuty's like any other; only its words tell that all messages will fail.
fn is_about_the_key(target: Target, body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body).to_ascii_lowercase();
    target == Target::PagerDuty && ["routing_key", "routing key"].iter().any(|words| text.contains(words))
}

/// `400: {"status":"invalid event",…}`, in one line.
fn shown(answer: &Answer<'_>) -> String {
    let text = String::from_utf8_lossy(answer.body);
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let line = words.collect::<Vec<_>>().join(" ");
    let start: String = line.chars().take(SHOWN).collect();
    if start.is_empty() { format!("status {}", answer.status) } else { format!("status {}: {start}", answer.status) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(target: Target, status: u16, body: &str) -> &'static str {
        match judge(target, &Answer { status, body: body.as_bytes(), retry_after: None }) {
            Verdict::Delivered => "delivered",
            Verdict::Retry { reached: true, .. } => "retry",
            Verdict::Retry { reached: false, .. } => "retry, not reached",
            Verdict::Pause { .. } => "pause",
            Verdict::Refused { .. } => "refused",
        }
    }

    #[test]
    fn answers_mean_what_the_receivers_document() {
        use Target::{Alertmanager, PagerDuty, Slack, Webhook};
        let cases = [
            (PagerDuty, 202, r#"{"status":"success","message":"Event processed","dedup_key":"k"}"#, "delivered"),
            (
                PagerDuty,
                400,
                r#"{"status":"invalid event","message":"Event object is invalid","errors":["'payload.severity' is invalid"]}"#,
                "refused",
            ),
            (
                PagerDuty,
                400,
                r#"{"status":"invalid event","errors":["Length of 'routing_key' is incorrect (should be 32 characters)"]}"#,
                "pause",
            ),
            (PagerDuty, 429, "", "retry, not reached"),
            (PagerDuty, 500, "oops", "retry"),
            (Slack, 200, "ok", "delivered"),
            (Slack, 200, r#"{"ok":true,"ts":"1"}"#, "delivered"),
            (Slack, 200, r#"{"ok":false,"error":"ratelimited"}"#, "retry, not reached"),
            (Slack, 200, r#"{"ok":false,"error":"internal_error"}"#, "retry"),
            (Slack, 200, r#"{"ok":false,"error":"invalid_auth"}"#, "pause"),
            (Slack, 200, r#"{"ok":false,"error":"invalid_blocks"}"#, "refused"),
            (Slack, 200, r#"{"ok":false}"#, "refused"),
            (Slack, 400, "invalid_payload", "refused"),
            (Slack, 403, "action_prohibited", "pause"),
            (Slack, 404, "no_service", "pause"),
            (Slack, 410, "channel_is_archived", "pause"),
            (Alertmanager, 200, "", "delivered"),
            (Alertmanager, 400, r#""bad""#, "refused"),
            (Alertmanager, 400, "routing_key", "refused"),
            (Webhook, 204, "", "delivered"),
            (Webhook, 302, "", "pause"),
            (Webhook, 401, "", "pause"),
            (Webhook, 408, "", "retry"),
            (Webhook, 413, "", "refused"),
            (Webhook, 422, "", "refused"),
            (Webhook, 503, "", "retry"),
            (Webhook, 999, "", "retry"),
        ];
        for (target, status, body, expected) in cases {
            assert_eq!(judged(target, status, body), expected, "{target:?} {status} {body}");
        }
    }

    #[test]
    fn an_answer_is_shown_in_a_short_line() {
        let body = format!("  no\n\tway \u{1b}[31m{}", "x".repeat(1000));
        let verdict = judge(Target::Webhook, &Answer { status: 400, body: body.as_bytes(), retry_after: None });
        let Verdict::Refused { why } = verdict else { panic!("{verdict:?}") };
        assert!(why.starts_with("status 400: no way [31mxxx") && why.len() < 320, "{why}");
    }
}
