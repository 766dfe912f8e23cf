use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::codes::CodeTable;
use crate::signature::{Accuses, Example, Severity, Trigger};

fn parse(text: &str) -> Result<RuleSet, Diagnostics> {
    RuleSet::parse(&[("r.yaml", text)])
}

/// A rule that is right but for what `lines` put in place of, or add to, its keys.
fn complaints(lines: &str) -> String {
    let defaults = [
        ("id", "id: x"),
        ("title", "title: T"),
        ("severity", "severity: error"),
        ("match", "match: {log: {all: [oops]}}"),
    ];
    let given = |key: &str| lines.lines().any(|line| line.starts_with(&format!("{key}:")));
    let kept: Vec<&str> = defaults.iter().filter(|(key, _)| !given(key)).map(|(_, line)| *line).collect();
    let body: Vec<&str> = kept.into_iter().chain(lines.lines()).collect();
    let text = format!("- {}\n", body.join("\n  "));
    let found = match parse(&text) {
        Ok(rules) => rules.warnings().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
        Err(diagnostics) => diagnostics.to_string(),
    };
    let without_line = |line: &str| line.split_once(": ").map(|(_, rest)| rest.to_owned()).unwrap_or_default();
    found.lines().map(without_line).collect::<Vec<_>>().join("\n")
}

const FOUNDING: &str = r#"
- id: windows-entrypoint-failed
  title: Container entrypoint did not start
  severity: critical
  scope: pod
  match:
    log:
      all: ["[LOGMONITOR] ERROR"]
      regex: 'Failed to start entrypoint process\. Error: (?P<code>\d+)'
    event: {reason: [BackOff], type: Warning, message: {any: ["restarting failed container"]}}
  codes: {code: win32}
  trigger: {matches: 2, pods: 2, within: 10m}
  action: |
    kubectl cordon {{node}}
  runbook: https://example.com/runbook
  tests:
    match: ["[LOGMONITOR] ERROR: Failed to start entrypoint process. Error: 216"]
    no_match: ["user typed LOGMONITOR", {reason: BackOff, type: Normal, message: Back-off pulling image}]
"#;

#[test]
fn reads_every_key() {
    let rules = parse(FOUNDING).unwrap();
    let rule = rules.get("windows-entrypoint-failed").unwrap();
    assert_eq!((rule.severity, rule.accuses), (Severity::Critical, Accuses::Pod));
    assert_eq!(rule.trigger, Trigger { matches: 2, pods: 2, within: Some(Duration::from_secs(600)) });
    assert_eq!(rule.codes.get("code"), Some(&CodeTable::Win32));
    assert_eq!(rule.action.as_deref(), Some("kubectl cordon {{node}}\n"));
    let event = rule.event.as_ref().unwrap();
    assert_eq!(
        (event.reason.as_slice(), event.event_type.as_deref()),
        (["BackOff".to_owned()].as_slice(), Some("Warning"))
    );
    assert_eq!(rule.examples.matching.len(), 1);
    assert!(matches!(&rule.examples.not_matching[1], Example::Event { reason, .. } if reason == "BackOff"));
    assert_eq!(rules.origin(0).unwrap().to_string(), "r.yaml:2");
    assert_eq!(rules.warnings().count(), 0);
}

#[test]
fn fills_in_what_may_be_left_out() {
    let rules =
        parse("- {id: x, title: T, severity: info, match: {event: {reason: [Evicted]}}, trigger: {pods: 3}}").unwrap();
    let rule = rules.get("x").unwrap();
    assert_eq!(rule.trigger, Trigger { matches: 3, pods: 3, within: None });
    assert_eq!((rule.accuses, rule.log.is_none(), rule.action.is_none()), (Accuses::Pod, true, true));
    assert!(parse("# nothing yet\n").unwrap().rules().is_empty());
}

#[test]
fn ignore_case_holds_for_the_regex_too() {
    let rules = parse("- {id: x, title: T, severity: info, match: {log: {ignore_case: true, regex: oops}}}").unwrap();
    assert!(rules.rules()[0].log.as_ref().unwrap().regex.as_ref().unwrap().is_match("OOPS"));
}

#[test]
fn says_what_would_be_right() {
    let cases = [
        (
            "id: MyRule",
            "rule #1.id: `MyRule` is not kebab-case (a-z, 0-9 and `-` between, at most 80); did you mean `my-rule`?",
        ),
        (
            "id: a--b",
            "rule #1.id: `a--b` is not kebab-case (a-z, 0-9 and `-` between, at most 80); did you mean `a-b`?",
        ),
        ("titel: T", "rule x: unknown key `titel`; did you mean `title`?"),
        ("severity: fatal", "rule x.severity: expected one of critical, error, warning, info, found `fatal`"),
        ("severity:", "rule x: key `severity` is missing"),
        ("scope: cluster", "rule x.scope: expected one of pod, node, found `cluster`"),
        ("match: {}", "rule x.match: needs `log` or `event`: there is nothing to match"),
        (
            "match: {logs: {all: [a]}}",
            "rule x.match: needs `log` or `event`: there is nothing to match\n\
            rule x.match: unknown key `logs`; did you mean `log`?",
        ),
        ("match: {log: {none: [a]}}", "rule x.match.log: needs `all`, `any` or `regex`: something that must be there"),
        ("match: {log: {all: []}}", "rule x.match.log.all: must not be an empty list; leave the key out instead"),
        ("match: {log: {all: ['']}}", "rule x.match.log.all[0]: must not be empty"),
        ("match: {log: {all: oops}}", "rule x.match.log.all: expected a list, found `oops`"),
        (
            "match: {log: {all: [out of memory], none: [memory]}}",
            "rule x.match.log: can never match: `none` \"memory\" is part of `all` \"out of memory\"",
        ),
        ("match: {log: {regex: 'a(b'}}", "rule x.match.log.regex: not a valid regex: unclosed group"),
        (
            "match: {log: {regex: '(oops)?'}}",
            "rule x.match.log.regex: matches the empty text, so it would match every message",
        ),
        (
            "match: {event: {type: Warning}}",
            "rule x.match.event: needs `reason` or `message`: without them every event would match",
        ),
        (
            "match: {event: {reason: [A], type: Error}}",
            "rule x.match.event.type: expected one of Normal, Warning, found `Error`",
        ),
        (
            "match: {event: {message: {none: [a]}}}",
            "rule x.match.event.message: needs `all`, `any` or `regex`: something that must be there",
        ),
        (
            "codes: {code: win32}",
            "rule x.codes.code: no regex of the rule has a capture `(?P<code>…)`; there are no named captures",
        ),
        (
            "match: {log: {regex: 'oops (?P<code>\\d+)'}}\ncodes: {cod: win32}",
            "rule x.codes.cod: no regex of the rule has a capture `(?P<cod>…)`; did you mean `code`?",
        ),
        (
            "match: {log: {regex: 'oops (?P<code>\\d+)'}}\ncodes: {code: windows}",
            "rule x.codes.code: expected one of win32, hresult, ntstatus, exit_code, found `windows`",
        ),
        ("trigger: {matches: 1, pods: 2}", "rule x.trigger: 2 pods need as many matches; `matches` is 1"),
        ("trigger: {matches: 0}", "rule x.trigger.matches: expected a number from 1 to 1000000, found `0`"),
        (
            "trigger: {within: 10}",
            "rule x.trigger.within: expected a time with its unit such as 500ms, 30s, 10m or 1h30m, found `10`",
        ),
        ("trigger: {within: 25h}", "rule x.trigger.within: expected a time from 1s to 24h, found `25h`"),
        ("action: kubectl cordon {{nod}}", "rule x.action: unknown placeholder `{{nod}}`; did you mean `node`?"),
        (
            "runbook: see wiki",
            "rule x.runbook: expected an address that begins with https:// or http://; notes belong into `action`",
        ),
        ("tests: {matches: [a]}", "rule x.tests: unknown key `matches`; did you mean `match`?"),
        ("tests: {match: [{raeson: a}]}", "rule x.tests.match[0]: unknown key `raeson`; did you mean `reason`?"),
        ("tests: {match: a}", "rule x.tests.match: expected a list, found `a`"),
    ];
    for (lines, expected) in cases {
        assert_eq!(complaints(lines), expected, "{lines}");
    }
}

#[test]
fn warns_of_what_is_probably_not_meant() {
    let slow = "rule x.match.log.regex: slow: it runs on every message, for no text of 3 or more bytes is sure to be in a \
        match; add `all` or `any`";
    let cases = [
        (r"match: {log: {regex: '\d+ \w+'}}", format!("warning: {slow}")),
        (r"match: {log: {regex: '\d+ oops'}}", String::new()),
        (r"match: {log: {any: [oops], regex: '\d+'}}", String::new()),
        (r"match: {event: {reason: [Failed], message: {regex: '\d+'}}}", String::new()),
        ("match: {event: {reason: [Failed], message: {none: [image]}}}", String::new()),
        (
            "scope: node\ntrigger: {matches: 2, pods: 2}",
            "warning: rule x.trigger: `pods` has no effect in a rule whose `scope` is node".to_owned(),
        ),
    ];
    for (lines, expected) in cases {
        assert_eq!(complaints(lines), expected, "{lines}");
    }
}

#[test]
fn all_errors_of_all_files_come_at_once() {
    let right = "- id: twice\n  title: T\n  severity: info\n  match: {log: {all: [oops]}}\n";
    let twice = format!("# copied\n{right}- 7\n");
    let files = [("a.yaml", right), ("b.yaml", &twice), ("c.yaml", "id: x\n"), ("d.yaml", "- id: [\n")];
    let diagnostics = RuleSet::parse(&files).unwrap_err().to_string();
    let lines: Vec<&str> = diagnostics.lines().collect();
    assert_eq!(
        lines[..3],
        [
            "b.yaml:2: rule twice: this id is taken by the rule at a.yaml:1; ids are unique over all files",
            "b.yaml:6: rule #2: expected a map of `key: value` lines, found `7`",
            "c.yaml:1: expected a list of rules, each beginning with `- id: `, found a map",
        ]
    );
    assert!(lines[3].starts_with("d.yaml:") && lines[3].contains("not valid YAML"), "{}", lines[3]);
    assert_eq!(lines.len(), 4);
}

#[test]
fn the_automaton_stays_bounded() {
    let literals: Vec<String> = (0..200).map(|index| format!("'{index:01000}'")).collect();
    let rule =
        |id| format!("- {{id: r{id}, title: T, severity: info, match: {{log: {{any: [{}]}}}}}}\n", literals.join(","));
    let text: String = (0..6).map(rule).collect();
    assert_eq!(
        parse(&text).unwrap_err().to_string(),
        "r.yaml:6: rule r5: the literals of all rules together exceed 1048576 bytes"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    /// Whatever is typed into a rule file leads to rules or to messages, and every message has its place.
    #[test]
    fn damaged_files_are_no_surprise(cuts in proptest::collection::vec((0..FOUNDING.len(), 0..8usize, "[-:{}\\[\\]\"' \n#&*!|>a0]{0,3}"), 1..4)) {
        let mut text = FOUNDING.to_owned();
        for (at, length, insert) in cuts {
            let at = at.min(text.len());
            text.replace_range(at..(at + length).min(text.len()), &insert);
        }
        if let Err(diagnostics) = parse(&text) {
            prop_assert!(diagnostics.has_errors());
            for diagnostic in diagnostics.iter() {
                prop_assert!(diagnostic.to_string().starts_with("r.yaml"), "{diagnostic}");
            }
        }
    }
}

fn rules_superseding(lists: &[(&str, &str)]) -> String {
    lists
        .iter()
        .map(|(id, losers)| {
            let key = if losers.is_empty() { String::new() } else { format!(", supersedes: [{losers}]") };
            format!("- {{id: {id}, title: T, severity: info, match: {{log: {{all: [{id}]}}}}{key}}}\n")
        })
        .collect()
}

#[test]
fn specific_rules_win_over_all_that_their_losers_beat() {
    let rules = parse(&rules_superseding(&[("a", "b"), ("b", "c, d"), ("c", ""), ("d", "")])).unwrap();
    let beaten = |winner| (0..4).filter(|&loser| rules.supersedes(winner, loser)).collect::<Vec<_>>();
    assert_eq!([0, 1, 2, 3].map(beaten), [vec![1, 2, 3], vec![2, 3], vec![], vec![]]);
}

#[test]
fn who_supersedes_whom_is_checked() {
    let text =
        rules_superseding(&[("abc", "bcd"), ("bcd", "cde"), ("cde", "abc"), ("self", "self"), ("slip", "sefl, zzzzz")]);
    let told = parse(&text).unwrap_err().to_string();
    assert_eq!(
        told,
        "r.yaml:1: rule abc.supersedes: rules supersede each other in a circle: abc → bcd → cde → abc\n\
         r.yaml:4: rule self.supersedes: a rule cannot supersede itself\n\
         r.yaml:5: rule slip.supersedes: there is no rule `sefl`; did you mean `self`?\n\
         r.yaml:5: rule slip.supersedes: there is no rule `zzzzz`"
    );
    assert_eq!(complaints("supersedes: []"), "rule x.supersedes: must not be an empty list; leave the key out instead");
}

#[test]
fn what_a_rule_supersedes_is_bounded() {
    let ids: Vec<String> = (0..=201).map(|number| format!("rule-{number}")).collect();
    let chain: Vec<_> = ids.iter().zip(ids.iter().skip(1).map(String::as_str).chain([""])).collect();
    let chain: Vec<(&str, &str)> = chain.into_iter().map(|(id, loser)| (id.as_str(), loser)).collect();
    let told = parse(&rules_superseding(&chain)).unwrap_err().to_string();
    assert_eq!(
        told,
        "r.yaml:1: rule rule-0.supersedes: more than 200 rules, counting those that they supersede in turn"
    );
}

#[test]
fn literals_that_change_nothing_are_told_of() {
    let told = |conditions: &str| complaints(&format!("match: {{log: {{{conditions}}}}}"));
    for (conditions, expected) in [
        ("any: [abc, bcd], none: [ab]", "`any` \"abc\" can never match: it contains one of `none`"),
        ("any: [abc], none: [ab]", "can never match: every literal of `any` contains one of `none`"),
        ("all: [abc], any: [ab, xy]", "`any` has no effect: \"ab\" is part of `all` \"abc\""),
        ("any: [abc, xy, ab]", "`any` \"abc\" has no effect beside \"ab\", which it contains"),
        ("any: [abc, abc]", "`any` \"abc\" has no effect beside \"abc\", which it contains"),
        ("any: [ABC, ab], ignore_case: true", "`any` \"ABC\" has no effect beside \"ab\", which it contains"),
        ("any: [ABC, ab]", ""),
        ("all: [abc], none: [abcd], any: [xy, yz]", ""),
        (r#"all: ["\e[31mred"]"#, "\"\\u{1b}[31mred\" can never match: colours are taken off messages before"),
    ] {
        let found = told(conditions);
        let found = found.trim_start_matches("warning: ").trim_start_matches("rule x.match.log: ");
        assert_eq!(found, expected, "{conditions}");
    }
}
