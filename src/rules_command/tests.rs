use std::fs;
use std::sync::Arc;

use super::explain::explain_lines;
use super::*;
use crate::scanner::matcher::Matcher;

const RULES: &str = r#"
- id: entrypoint-failed
  title: Container entrypoint did not start
  severity: critical
  match:
    log: {all: ["[LOGMONITOR] ERROR"], regex: 'Error: (?P<code>\d+)'}
  codes: {code: win32}
  trigger: {matches: 4, pods: 2, within: 10m}
  tests:
    match: ["[LOGMONITOR] ERROR: Failed to start entrypoint process. Error: 216"]
    no_match: ["[LOGMONITOR] ERROR: nothing"]
- id: back-off
  title: Container is restarted again and again
  severity: warning
  scope: node
  match:
    event: {reason: [BackOff], type: Warning, message: {any: [restarting failed container]}}
  tests:
    match: ["Back-off restarting failed container cd"]
    no_match: [{reason: Pulled, type: Normal, message: restarting failed container}]
"#;

type Command = fn(&Path, &mut dyn Write, &mut dyn Write) -> io::Result<u8>;

/// Exit code, `out` and `err`, with the directory's name left out.
fn run(command: Command, rules: &str) -> (u8, String, String) {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("r.yaml"), rules).unwrap();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = command(directory.path(), &mut out, &mut err).unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap().replace(&directory.path().display().to_string(), "DIR");
    (code, text(out), text(err))
}

fn explained(lines: &str) -> String {
    let matcher = Matcher::new(Arc::new(RuleSet::parse(&[("r.yaml", RULES)]).unwrap()));
    let (mut out, mut err) = (Vec::new(), Vec::new());
    assert_eq!(explain_lines(&matcher, &mut lines.as_bytes(), &mut out, &mut err).unwrap(), DONE);
    String::from_utf8(out).unwrap()
}

#[test]
fn check_says_what_is_there_or_what_is_wrong() {
    assert_eq!(run(check, RULES), (DONE, "2 rules in 1 file: valid\n".into(), String::new()));
    let wrong = RULES.replace("critical", "deadly").replace("BackOff]", "]");
    let (code, out, err) = run(check, &wrong);
    assert_eq!((code, out.as_str()), (BAD_RULES, ""));
    assert_eq!(
        err,
        "DIR/r.yaml:4: rule entrypoint-failed.severity: expected one of critical, error, warning, info, found `deadly`\n\
         DIR/r.yaml:17: rule back-off.match.event.reason: must not be an empty list; leave the key out instead\n\
         DIR: 2 errors\n"
    );
}

#[test]
fn check_tells_warnings_apart() {
    let slow = r"- {id: slow, title: T, severity: info, match: {log: {regex: '\d'}}}";
    let (code, out, err) = run(check, slow);
    assert_eq!((code, out.as_str()), (DONE, "1 rule in 1 file: valid, 1 warning\n"));
    assert!(err.starts_with("DIR/r.yaml:1: warning: rule slow.match.log.regex: slow: "), "{err}");
}

#[test]
fn test_runs_the_examples() {
    let lines = "ok      entrypoint-failed: 2 examples\nok      back-off: 2 examples\n";
    assert_eq!(run(test, RULES), (DONE, format!("{lines}4 examples of 2 rules: all as expected\n"), String::new()));
    let wrong = RULES.replace("Error: 216\"", "Error: none\"").replace("ERROR: nothing", "ERROR: Error: 5");
    let (code, out, err) = run(test, &wrong);
    assert_eq!((code, err.as_str()), (FAILED, ""));
    assert_eq!(
        out,
        "FAILED  entrypoint-failed: 2 of 2 examples\n\
         DIR/r.yaml:2: rule entrypoint-failed: must match, but does not (regex Error: (?P<code>\\d+)): \
         [LOGMONITOR] ERROR: Failed to start entrypoint process. Error: none\n\
         DIR/r.yaml:2: rule entrypoint-failed: must not match, but does: [LOGMONITOR] ERROR: Error: 5\n\
         ok      back-off: 2 examples\n\
         4 examples of 2 rules: 2 failed\n"
    );
}

#[test]
fn test_writes_junit_xml() {
    let directory = tempfile::tempdir().unwrap();
    let junit = directory.path().join("results.xml");
    let rules = RULES.replace("ERROR: nothing", "ERROR: <&> Error: 5");
    let write = |rules: &Path, out: &mut dyn Write, err: &mut dyn Write| test_to(rules, Some(&junit), out, err);
    let run = |rules: &str| {
        fs::write(directory.path().join("r.yaml"), rules).unwrap();
        write(&directory.path().join("r.yaml"), &mut Vec::new(), &mut Vec::new()).unwrap()
    };
    assert_eq!(run(&rules), FAILED);
    let xml = fs::read_to_string(&junit).unwrap();
    for part in [
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"rules\" tests=\"4\" failures=\"1\">\n",
        "<testsuite name=\"entrypoint-failed\" tests=\"2\" failures=\"1\">",
        "name=\"match: [LOGMONITOR] ERROR: Failed to start entrypoint process. Error: 216\"/>",
        "name=\"no_match: [LOGMONITOR] ERROR: &lt;&amp;&gt; Error: 5\">\n      <failure message=\"",
        "must not match, but does: [LOGMONITOR] ERROR: &lt;&amp;&gt; Error: 5\"/>",
        "<testcase classname=\"back-off\" name=\"no_match: event Normal Pulled: restarting failed container\"/>",
    ] {
        assert!(xml.contains(part), "{part} is not in\n{xml}");
    }
    assert_eq!(run(RULES), DONE);
    fs::remove_file(&junit).unwrap();
    fs::create_dir(&junit).unwrap();
    assert_eq!(run(RULES), FAILED, "a directory is no file");
}

#[test]
fn rules_without_examples_are_pointed_out() {
    let (code, _, err) = run(test, "- {id: x, title: T, severity: info, match: {log: {all: [oops]}}}");
    assert_eq!((code, err.as_str()), (DONE, "DIR/r.yaml:1: warning: rule x has no `tests.match` to be tried on\n"));
}

#[test]
fn list_is_a_table() {
    let (code, out, _) = run(list, RULES);
    let rows: Vec<Vec<&str>> =
        out.lines().map(|line| line.split("  ").map(str::trim).filter(|c| !c.is_empty()).collect()).collect();
    assert_eq!(code, DONE);
    assert_eq!(rows[0], ["ID", "SEVERITY", "ACCUSES", "READS", "TRIGGER", "TITLE", "FILE"]);
    assert_eq!(rows[1][..5], ["entrypoint-failed", "critical", "pod", "log", "4×, 2 pods in 10m"]);
    assert_eq!(rows[2][..5], ["back-off", "warning", "node", "event", "1×"]);
}

#[test]
fn explain_shows_matches_near_misses_and_silence() {
    let lines = "[LOGMONITOR] ERROR: Failed. Error: 216\n\n[LOGMONITOR] ERROR: \u{1b}[31mother\nall is well\n\
        Back-off restarting failed container cd\n";
    assert_eq!(
        explained(lines),
        "line 1: log: [LOGMONITOR] ERROR: Failed. Error: 216\n\
         \x20 matches entrypoint-failed (critical, accuses the pod): Container entrypoint did not start\n\
         \x20   holds  all \"[LOGMONITOR] ERROR\"\n\
         \x20   holds  regex Error: (?P<code>\\d+)\n\
         \x20   code = 216: ERROR_EXE_MACHINE_TYPE_MISMATCH, The program does not fit this machine or this Windows, or \
         its file is damaged here\n\
         line 3: log: [LOGMONITOR] ERROR: \\u{1b}[31mother\n\
         \x20 near entrypoint-failed: Container entrypoint did not start\n\
         \x20   holds  all \"[LOGMONITOR] ERROR\"\n\
         \x20   fails  regex Error: (?P<code>\\d+)\n\
         line 4: log: all is well\n\
         \x20 no rule matches or comes near\n\
         line 5: log: Back-off restarting failed container cd\n\
         \x20 would match back-off as the message of a BackOff event: Container is restarted again and again\n"
    );
}

#[test]
fn explain_tells_what_is_superseded() {
    let rules = RULES.replace("  codes: {code: win32}", "  codes: {code: win32}\n  supersedes: [wrapper]")
        + "- {id: wrapper, title: Something failed, severity: info, match: {log: {all: [ERROR]}}}\n";
    let matcher = Matcher::new(Arc::new(RuleSet::parse(&[("r.yaml", rules)]).unwrap()));
    let mut out = Vec::new();
    explain_lines(&matcher, &mut "[LOGMONITOR] ERROR: Error: 216\n".as_bytes(), &mut out, &mut Vec::new()).unwrap();
    let out = String::from_utf8(out).unwrap();
    assert!(out.contains("\n  would match wrapper, superseded by entrypoint-failed: Something failed\n"), "{out}");
    assert!(!out.contains("  matches wrapper"), "{out}");
}

#[test]
fn explain_needs_no_utf8_and_no_end_of_line() {
    let matcher = Matcher::new(Arc::new(RuleSet::parse(&[("r.yaml", RULES)]).unwrap()));
    let mut out = Vec::new();
    let mut input: &[u8] = b"\xff[LOGMONITOR] ERROR: Error: 5";
    explain_lines(&matcher, &mut input, &mut out, &mut Vec::new()).unwrap();
    assert!(String::from_utf8(out).unwrap().contains("matches entrypoint-failed"));
}

#[test]
fn explain_complains_about_a_file_that_is_not_there() {
    let missing: Command = |directory, out, err| super::explain(directory, Some(Path::new("/nowhere/x.log")), out, err);
    let (code, out, err) = run(missing, RULES);
    assert_eq!((code, out.as_str()), (FAILED, ""));
    assert!(err.starts_with("cannot read /nowhere/x.log: "), "{err}");
}

const SHADOWED: &str = r#"
- {id: wide, title: T, severity: error, match: {log: {all: [oops]}}, tests: {match: [oops]}}
- {id: narrow, title: T, severity: warning, match: {log: {all: [big oops]}}, tests: {match: [a big oops]}}
"#;

#[test]
fn check_finds_rules_that_others_make_superfluous() {
    let told = |rules: &str| run(check, rules).2;
    assert_eq!(
        told(SHADOWED),
        "DIR/r.yaml:3: warning: rule narrow: shadowed: every example also matches `wide`, which is as severe; name it \
         under `supersedes`, or drop this rule\n"
    );
    assert_eq!(told(&SHADOWED.replace("[big oops]}}", "[big oops]}}, supersedes: [wide]")), "");
    assert_eq!(told(&SHADOWED.replace("severity: warning", "severity: critical")), "");
    assert_eq!(told(&SHADOWED.replace("severity: error", "severity: error, trigger: {matches: 9}")), "");
    let beaten = told(&SHADOWED.replace("{all: [oops]}}", "{all: [oops]}}, supersedes: [narrow]"));
    assert!(beaten.contains("`wide`, which supersedes it, so that this rule never counts"), "{beaten}");
}

#[test]
fn check_finds_twins() {
    let (code, out, err) = run(check, &SHADOWED.replace("big oops]", "oops]"));
    assert_eq!((code, out.as_str()), (DONE, "2 rules in 1 file: valid, 1 warning\n"));
    assert_eq!(err, "DIR/r.yaml:3: warning: rule narrow: has the same conditions as `wide`\n");
}

#[test]
fn check_measures_on_a_corpus() {
    let directory = tempfile::tempdir().unwrap();
    let corpus = directory.path().join("corpus.log");
    // Every other line has the literal, and few of them the rest.
    let lines = (0..2000).map(|n| match n {
        0..10 => "[LOGMONITOR] ERROR: Error: 216\n",
        n if n % 2 == 0 => "[LOGMONITOR] ERROR: other\n",
        _ => "{\"reason\":\"BackOff\"}\n",
    });
    fs::write(&corpus, lines.collect::<String>()).unwrap();
    let on_corpus = |rules: &Path, out: &mut dyn Write, err: &mut dyn Write| {
        check_on(rules, std::slice::from_ref(&corpus), out, err)
    };
    fs::write(directory.path().join("r.yaml"), RULES).unwrap();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    assert_eq!(on_corpus(&directory.path().join("r.yaml"), &mut out, &mut err).unwrap(), DONE);
    let (out, err) = (String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap());
    let row = out.lines().find(|line| line.trim().starts_with("entrypoint-failed")).unwrap();
    let cells: Vec<&str> = row.split_whitespace().take(4).collect();
    assert_eq!(cells, ["entrypoint-failed", "10", "0", "1005"], "{out}");
    assert!(out.contains("\n10 hits in 2000 entries, 0.0 MiB; 1 rule never looked at\n"), "{out}");
    let doubt = "rule entrypoint-failed: broad literal: it is in 50.2 % of the entries, and 10 of 1005 hit\n";
    assert!(err.ends_with(doubt), "{err}");

    let missing = [directory.path().join("nowhere")];
    let code = check_on(&directory.path().join("r.yaml"), &missing, &mut Vec::new(), &mut Vec::new());
    assert_eq!(code.unwrap(), FAILED);
}
