//! No text of others means anything to Slack, wherever an alert can carry it.

use faultline::alert::{Alert, Status};
use faultline::format::Format;
use faultline::signature::Severity;
use proptest::prelude::*;
use serde_json::Value;

use super::alerts::{ended, example, narrower, with_texts, worst};
use super::mrkdwn::{Seen, seen, unseen};
use super::{WORST, only, told, write};

/// What is ours to say in bold.
const TITLES: [&str; 12] = [
    "Cluster",
    "Severity",
    "Probability",
    "Failing pods",
    "Elsewhere",
    "Since",
    "Until",
    "Lasted",
    "Signal",
    "Other explanations",
    "What to do",
    "Runbook",
];

/// Slack takes about 13,000 characters, of which each block costs some: 13,297 without and 13,172 with another were
/// measured.
const MESSAGE_UNITS: usize = 12_000;
const BLOCK_UNITS: usize = 130;

fn message(alert: &Alert) -> Value {
    only(&write(Format::Slack, alert, Some(&told("prod-weu/pod/`a` <!here> *b*", Severity::Critical))))
}

/// All text objects, with their kinds.
fn texts(value: &Value) -> Vec<(&str, &str)> {
    match value {
        Value::Array(items) => items.iter().flat_map(texts).collect(),
        Value::Object(fields) => match (fields.get("type"), fields.get("text")) {
            (Some(Value::String(kind)), Some(Value::String(text))) => vec![(kind, text)],
            _ => fields.values().flat_map(texts).collect(),
        },
        _ => Vec::new(),
    }
}

/// What somebody who forged a log line got Slack to do.
fn forged(message: &Value, runbook: Option<&str>) -> Vec<Seen> {
    let mut forged: Vec<Seen> = seen(message["text"].as_str().expect("a text"));
    for (kind, text) in texts(&message["blocks"]) {
        if kind == "mrkdwn" {
            let seen = seen(text);
            let codes = seen.iter().filter(|seen| matches!(seen, Seen::Code(_))).count();
            forged.extend((codes > our_codes(text)).then(|| Seen::Broken(text.to_owned())));
            forged.extend(seen.into_iter().filter(|seen| !is_ours(seen, runbook)));
        } else {
            forged.extend(unseen(text));
            forged.extend(text.contains(['<', '>']).then(|| Seen::Control(text.to_owned())));
        }
    }
    forged
}

/// How many pieces of code a text may have, by how it begins.
fn our_codes(text: &str) -> usize {
    let begins = [
        ("*Cluster*", 1),
        ("The same fault, wider", 1),
        ("Goes on as", 1),
        ("*Signal*", 2),
        ("*Failing pods*", 1),
        ("*Other explanations*", 3),
        ("*What to do*", 1),
    ];
    begins.iter().find(|(begin, _)| text.starts_with(begin)).map_or(0, |(_, codes)| *codes)
}

fn is_ours(seen: &Seen, runbook: Option<&str>) -> bool {
    match seen {
        Seen::Code(_) => true,
        Seen::Bold(title) => TITLES.contains(&title.as_str()),
        Seen::Control(control) if control.starts_with("!date^") => {
            control.ends_with(" UTC") && control.matches('|').count() == 1
        }
        Seen::Control(control) => control.strip_suffix("|Runbook").is_some_and(|url| {
            let url = url.replace("&amp;", "&");
            runbook.is_some_and(|runbook| runbook.trim().starts_with("http")) && url.starts_with("http")
        }),
        _ => false,
    }
}

#[track_caller]
fn assert_harmless(alert: &Alert) {
    for alert in [alert, &ended(alert, 20)] {
        let message = message(alert);
        let forged = forged(&message, alert.runbook.as_deref());
        assert!(forged.is_empty(), "{forged:?}\n{message:#}");
    }
}

/// What forgers write.
const HOSTILE: [&str; 40] = [
    "<!channel>",
    "<!here|x>",
    "<@U012AB3CD>",
    "<#C024BE7LR>",
    "<!subteam^S1>",
    "<https://evil.example|Runbook>",
    "@here",
    "@channel",
    "#general",
    "`",
    "``",
    "```",
    "*bold*",
    "_it_",
    "~s~",
    ":fire:",
    ":+1:",
    "&",
    "&amp;",
    "&lt;!here&gt;",
    "<",
    ">",
    "|",
    "\n",
    "\n> quote",
    "\n&gt; quote",
    "\r",
    "\t",
    "\u{0}",
    "\u{1b}[31m",
    "\u{202e}",
    "\u{2066}",
    "\u{200b}",
    "\u{feff}",
    "\u{2028}",
    "🙂",
    "世",
    " ",
    "a",
    "A_B_C",
];

fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => prop::sample::select(HOSTILE.to_vec()).prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
        1 => "[ -~]{0,40}",
    ];
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

fn hostile_alert() -> impl Strategy<Value = Alert> {
    let texts = prop::collection::vec(hostile(), 14);
    let runbook = prop_oneof![hostile(), hostile().prop_map(|text| format!("https://wiki.example.com/{text}"))];
    (texts, runbook).prop_map(|(mut texts, runbook)| {
        let mut next = |what: &str| match what {
            "runbook" => runbook.clone(),
            _ => texts.pop().expect("a text for each"),
        };
        with_texts(&mut next)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_of_others_means_anything(alert in hostile_alert()) {
        assert_harmless(&alert);
    }
}

#[test]
fn every_hostile_text_is_harmless_everywhere() {
    for text in HOSTILE {
        assert_harmless(&with_texts(&mut |_| text.to_owned()));
        assert_harmless(&with_texts(&mut |_| format!("x{text} {text}y{text}{text}")));
    }
}

/// The checks above can fail: each of these is how somebody might have written it.
#[test]
fn naive_writers_are_found_out() {
    type Write<'a> = &'a dyn Fn(&str) -> String;
    let escaped = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let writers: [(&str, Write<'_>); 5] = [
        ("as it is", &|text: &str| text.to_owned()),
        ("escaped", &escaped),
        ("escaped, in code", &|text: &str| format!("`{}`", escaped(text))),
        ("escaped, as lines of code", &|text: &str| format!("```\n{}\n```", escaped(text))),
        ("unescaped, without backticks, in code", &|text: &str| format!("```{}```", text.replace('`', "'"))),
    ];
    for (how, writer) in writers {
        let forge = |text: &&&str| seen(&writer(text)).iter().any(|seen| !matches!(seen, Seen::Code(_)));
        let forged: Vec<&&str> = HOSTILE.iter().filter(forge).collect();
        assert!(!forged.is_empty(), "{how}");
    }
    let cut: String = format!("{}{}", "x".repeat(95), escaped("<!here>")).chars().take(97).collect();
    assert!(matches!(seen(&cut)[..], [Seen::Broken(_)]), "half an entity");
    let means_something = HOSTILE.iter().filter(|text| !seen(text).is_empty()).count();
    assert!(means_something >= 28, "only {means_something} of the hostile texts mean anything");
}

/// So can the one that looks for bold text which is not ours, and for links.
#[test]
fn forgeries_in_a_message_are_found() {
    let pointers = ["/text", "/blocks/2/fields/0/text", "/blocks/1/text/text"];
    for pointer in pointers {
        let mut message = message(&example());
        assert!(forged(&message, example().runbook.as_deref()).is_empty());
        let mut text = message.pointer_mut(pointer).expect("it is there");
        let own = text.as_str().expect("a text").to_owned();
        for forgery in ["<https://evil.example|*Click*>", "\u{202e}", "<!here>"] {
            *text = Value::String(format!("{own} {forgery}"));
            let runbook = example().runbook;
            let forged = forged(&message, runbook.as_deref());
            assert!(!forged.is_empty(), "{forgery} in {pointer}");
            text = message.pointer_mut(pointer).expect("it is there");
        }
    }
}

#[test]
fn what_is_long_is_cut_to_what_slack_takes() {
    for character in WORST {
        let message = message(&worst(character));
        let blocks = message["blocks"].as_array().expect("blocks");
        let units = |text: &str| text.encode_utf16().count();
        let text: usize = texts(&message["blocks"]).iter().map(|(_, text)| units(text)).sum();
        let all = text + units(message["text"].as_str().expect("a text")) + blocks.len() * BLOCK_UNITS;
        assert!((8_000..=MESSAGE_UNITS).contains(&all), "{all} units of {character}");
        assert!(blocks.len() <= 50);
        let forged = forged(&message, Some("http"));
        assert!(forged.is_empty(), "{character}: {forged:?}");
    }
}

#[test]
fn a_message_says_what_is_to_be_known_at_three_in_the_morning() {
    let alert = example();
    let message = only(&write(Format::Slack, &alert, None));
    let said: Vec<&str> = texts(&message["blocks"]).into_iter().map(|(_, text)| text).collect();
    let expected = [
        "🔴 Firing, confirmed: node akswin000001",
        &alert.summary,
        "*Cluster*\n`prod-weu`",
        "*Severity*\ncritical",
        "*Probability*\n99.8 %",
        "*Failing pods*\n4 of 4 (4 workloads)",
        "*Elsewhere*\n0 of 21 comparable pods",
        "*Since*\n<!date^1795359063^{date_num} {time_secs}|2026-11-22 14:51:03 UTC>",
        "*Signal* `windows-entrypoint-failed`: 37 matches on 4 pods, code 216 ERROR_EXE_MACHINE_TYPE_MISMATCH (37)\n```\n[LOGMONITOR] ERROR: Failed to start entrypoint process. Error: 216\n```",
        "*Failing pods*, the first of 4\n```\nsitecore/cd-7d9f8b6c5d-x7k2p on akswin000001 (windows-entrypoint-failed)\n```",
        "*Other explanations*\n`workload sitecore/cd` 0.1 %",
        "*What to do*\n```\nTo take it out of service:\n  kubectl cordon akswin000001\n```",
        "• Win32 216: the image is for another machine type",
        "<https://wiki.example.com/runbook?of=216&amp;node=win|Runbook>",
        &format!("faultline · {}", alert.id),
    ];
    assert_eq!(said, expected);
    assert!(
        message["text"].as_str().is_some_and(|text| text.starts_with("Firing, confirmed: prod-weu: Node akswin000001"))
    );
}

#[test]
fn what_took_over_says_so_and_what_ended_is_short() {
    let wider = only(&write(Format::Slack, &example(), Some(&told(&narrower().dedup_key, Severity::Critical))));
    let says = |message: &Value, what: &str| texts(&message["blocks"]).iter().any(|(_, text)| text.contains(what));
    assert!(says(&wider, "replaces `prod-weu/pod/sitecore/cd`"));
    let own = told(&example().dedup_key, Severity::Critical);
    assert!(!says(&only(&write(Format::Slack, &example(), Some(&own))), "replaces"));
    let end = ended(&example(), 20);
    assert_eq!(end.status, Status::Resolved);
    let end = only(&write(Format::Slack, &end, Some(&own)));
    assert!(says(&end, "🟢 Resolved") && says(&end, "*Lasted*\n20 min") && !says(&end, "kubectl"));
    assert!(end["blocks"].as_array().is_some_and(|blocks| blocks.len() <= 5));
}
