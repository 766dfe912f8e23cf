//! Nothing that matches is ruled out, and little else is let through.

use proptest::prelude::*;

use super::*;

fn needs(rules: &[&[&[&str]]]) -> Vec<Vec<Need>> {
    let owned = |need: &&[&str]| need.iter().map(|&literal| literal.to_owned()).collect();
    rules.iter().map(|needs| needs.iter().map(owned).collect()).collect()
}

fn prefilter(rules: &[&[&[&str]]]) -> Prefilter {
    Prefilter::new(needs(rules).into_iter(), &Traffic::default())
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
fn what_is_seen_everywhere_is_not_looked_for() {
    // By the table `xqz-gateway` is the rarest, but here it writes all the time.
    let rules =
        needs(&[&[&["xqz-gateway", "xqz-gateway2"], &["connection refused"]], &[&["mkfs.ext failed: \"device\""]]]);
    let message = |number| format!("xqz-gateway2 served {number} mkfs.ext4 devices");
    let mut seen = Traffic::default();
    (0..100).for_each(|number| seen.add(message(number).as_bytes()));
    let before = Prefilter::new(rules.iter().cloned(), &Traffic::default());
    let after = Prefilter::new(rules.iter().cloned(), &seen);
    assert_eq!((seen.candidates(&before), seen.candidates(&after)), (100, 0));
    for found in ["xqz-gateway: connection refused", "mkfs.ext failed: \\\"device\\\""] {
        assert!(before.may_match(found.as_bytes()) && after.may_match(found.as_bytes()), "{found}");
    }
}

#[test]
fn of_a_literal_the_part_that_is_met_least_goes_into_the_bitmap() {
    let rules = needs(&[&[&["xqz-gateway: upstream prematurely closed"]]]);
    let window = |seen: &Traffic| {
        let [Some(pieces)] = &*pieces::choose(&rules, seen) else { panic!("a piece is there") };
        let [Piece { bytes, window }] = &**pieces else { panic!("one") };
        String::from_utf8(bytes[*window..*window + WINDOW].to_vec()).unwrap()
    };
    assert!(window(&Traffic::default()).contains("xqz"));
    let mut seen = Traffic::default();
    seen.add(b"xqz-gateway: it is well");
    assert!(!"xqz-gateway: ".contains(&window(&seen)), "{}", window(&seen));
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
        seen in prop::collection::vec("[a-d \"\\\\.]{0,40}", 0..6),
    ) {
        let mut traffic = Traffic::default();
        seen.iter().for_each(|message| traffic.add(message.as_bytes()));
        let filter = Prefilter::new(literals.iter().map(|literal| vec![vec![literal.clone()]]), &traffic);
        let mut message = format!("{before}{}{after}", index.get(&literals));
        for _ in 0..=nesting {
            message = serde_json::to_string(&message).unwrap();
        }
        let escaped = &message.as_bytes()[1..message.len() - 1];
        prop_assert!(filter.may_match(escaped), "{literals:?} {message}");
    }
}
