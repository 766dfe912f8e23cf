//! Nothing that matches is ruled out, and little else is let through.

use proptest::prelude::*;

use super::*;

fn prefilter(rules: &[&[&[&str]]]) -> Prefilter {
    let owned = |need: &&[&str]| need.iter().map(|&literal| literal.to_owned()).collect();
    Prefilter::new(rules.iter().map(|needs| needs.iter().map(owned).collect()))
}

#[test]
fn finds_pieces_wherever_they_lie_and_in_either_case() {
    let filter = prefilter(&[&[&["[LOGMONITOR] ERROR"]], &[&["oom-kill", "OOMKilled"]], &[&["SIG"]]]);
    for literal in ["[LOGMONITOR] ERROR", "[logmonitor] error", "oom-kill", "OOMKilled", "SIG"] {
        for before in 0..9 {
            let message = format!("{}{literal}{}", "x".repeat(before), "y".repeat(8 - before));
            assert!(filter.may_match(message.as_bytes()), "{message}");
        }
    }
    for message in ["", "x", "SI", "[LOGMONITOR] INFO", "oom-kil", "an error that the logmonitor tells"] {
        assert!(!filter.may_match(message.as_bytes()), "{message}");
    }
}

#[test]
fn pieces_hold_nothing_that_json_escapes() {
    let filter = prefilter(&[&[&["say \"no such file\" to C:\\temp/dir\n"]]]);
    let message = serde_json::to_string("say \"no such file\" to C:\\temp/dir\n").unwrap();
    assert!(filter.may_match(message.as_bytes()));
    assert!(filter.may_match(serde_json::to_string(&message).unwrap().as_bytes()));
}

#[test]
fn the_rarest_of_what_a_rule_needs_is_looked_for() {
    let filter = prefilter(&[&[&["error"], &["request failed"], &["xyzzy42q"]]]);
    assert!(!filter.may_match(b"error: request failed"));
    assert!(filter.may_match(b"xyzzy42q"));
}

#[test]
fn without_a_piece_nothing_is_ruled_out() {
    let rules: [&[&[&str]]; 4] = [&[], &[&["ab"]], &[&["\"\\\"ab\n"]], &[&["a long literal", "no"]]];
    for rule in rules {
        let filter = prefilter(&[&[&["something"]], rule]);
        assert!(!filter.is_of_use());
        assert!(filter.may_match(b"anything"), "{rule:?}");
    }
    assert!(!prefilter(&[]).may_match(b"anything"));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_message_with_a_literal_is_never_ruled_out(
        literals in prop::collection::vec("[a-dA-D \"\\\\/\n\u{e9}.]{1,14}", 1..8),
        index in any::<prop::sample::Index>(),
        before in "[a-dA-D \"\n\u{e9}]{0,20}",
        after in "[a-d \"]{0,9}",
        nesting in 0..3,
    ) {
        let filter = Prefilter::new(literals.iter().map(|literal| vec![vec![literal.clone()]]));
        let mut message = format!("{before}{}{after}", index.get(&literals));
        for _ in 0..=nesting {
            message = serde_json::to_string(&message).unwrap();
        }
        let escaped = &message.as_bytes()[1..message.len() - 1];
        prop_assert!(filter.may_match(escaped), "{literals:?} {message}");
    }
}
