//! Wrong use of the command line, as a person would get it wrong: the whole message and the exit code.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use faultline::scenario::{self, Stream};
use faultline::time::Timestamp;

/// Runs faultline in an empty directory that `files` (name, text) are written to.
fn faultline(arguments: &[&str], files: &[(&str, &str)], variables: &[(&str, &str)]) -> Output {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    command(directory.path()).args(arguments).envs(variables.iter().copied()).output().unwrap()
}

/// Without what the caller's environment might hold, and with what could make it say too much.
fn command(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_faultline"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("FAULTLINE_")) {
        command.env_remove(name);
    }
    command.current_dir(directory).env_remove("RUST_LOG").env("RUST_BACKTRACE", "full").stdin(Stdio::null());
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[track_caller]
fn assert_fails(output: &Output, code: i32, message: &str) {
    assert_eq!((text(&output.stderr).as_str(), output.status.code()), (message, Some(code)));
    assert_eq!(text(&output.stdout), "", "stdout carries results only");
}

#[test]
fn a_mistyped_command_or_flag_is_corrected() {
    assert_fails(
        &faultline(&["replya", "x"], &[], &[]),
        2,
        "faultline: unrecognized subcommand 'replya'\n\n  tip: a similar subcommand exists: 'replay'\n\n\
         Usage: faultline [OPTIONS] <COMMAND>\n\nFor more information, try '--help'.\n",
    );
    assert_fails(
        &faultline(&["run", "--stage", "scan"], &[], &[]),
        2,
        "faultline: unexpected argument '--stage' found\n\n  tip: a similar argument exists: '--stages'\n\n\
         Usage: faultline run --stages <STAGES>\n\nFor more information, try '--help'.\n",
    );
    assert_fails(
        &faultline(&["run", "--stages", "scan,alert"], &[], &[]),
        2,
        "faultline: invalid value 'alert' for '--stages <STAGES>'\n  [possible values: scan, correlate]\n\n\
         For more information, try '--help'.\n",
    );
}

#[test]
fn a_case_of_an_unknown_kind_or_among_other_files_is_not_simulated() {
    let output = faultline(&["simulate", "--kind", "nod", "--out", "case"], &[], &[]);
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2));
    assert!(message.starts_with("faultline: invalid value 'nod' for '--kind <KIND>'\n  [possible values: healthy, "));
    assert!(message.contains("tip: ") && message.contains("'node'"), "{message}");
    assert_fails(
        &faultline(&["simulate", "--kind", "node", "--out", "case"], &[("case/notes.txt", "mine")], &[]),
        2,
        "faultline: case holds notes.txt, which no simulation wrote: name an empty or a new directory\n",
    );
}

#[test]
fn a_missing_command_shows_the_help_and_is_an_error() {
    let output = faultline(&[], &[], &[]);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0));
    assert!(text(&output.stderr).contains("Usage: faultline [OPTIONS] <COMMAND>"));
}

#[test]
fn help_is_a_result() {
    let output = faultline(&["--help"], &[], &[]);
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
    assert!(text(&output.stdout).contains("Exit codes: 0 done; 1 failed while running; 2 bad usage"));
}

#[test]
fn a_named_configuration_file_must_be_there() {
    for arguments in [["config", "show", "-c", "nope.yaml"].as_slice(), &["run", "-c", "nope.yaml"]] {
        let expected =
            "faultline: cannot read configuration file `nope.yaml`: No such file or directory (os error 2)\n";
        assert_fails(&faultline(arguments, &[], &[]), 2, expected);
    }
}

#[test]
fn everything_wrong_with_the_configuration_is_told_at_once() {
    let file = "clustr: x\nwindows:\n  size: 10 minutes or so\nkafka:\n  exactly_once: maybe\n";
    let output = faultline(
        &["config", "show"],
        &[("config/faultline.yaml", file)],
        &[("FAULTLINE_KAFKA__BROKERS", "localhost"), ("FAULTLINE_SERVICE_HOST", "10.0.0.1")],
    );
    let expected = "\
faultline: invalid configuration
  config/faultline.yaml:1: unknown key `clustr`; did you mean `cluster`?
  config/faultline.yaml:3: windows.size: expected a time with its unit such as 500ms, 30s, 10m or 1h30m, found `10 minutes or so`
  config/faultline.yaml:5: kafka.exactly_once: expected true or false, found `maybe`
  environment FAULTLINE_KAFKA__BROKERS: kafka.brokers: expected host:port, several separated by commas, found `localhost`
";
    assert_fails(&output, 2, expected);
}

#[test]
fn broken_yaml_is_told_with_its_line() {
    let cases = [
        ("a: 1\nb: 2\na: 3\n", "f.yaml:3: key `a` is here twice, first in line 1"),
        ("- a\n", "f.yaml:1: expected `key: value` lines, found a list"),
        ("kafka: [\n", "f.yaml:2: not valid YAML: while parsing a node, did not find expected node content (column 1)"),
    ];
    for (file, message) in cases {
        let output = faultline(&["config", "show", "-c", "f.yaml"], &[("f.yaml", file)], &[]);
        assert_fails(&output, 2, &format!("faultline: invalid configuration\n  {message}\n"));
    }
}

#[test]
fn the_configuration_in_force_is_shown_with_secrets_masked() {
    let file = "cluster: prod\nwindows: {size: 5m}\n";
    let variables = [("FAULTLINE_KAFKA__PROPERTIES__SASL_PASSWORD", "hunter2"), ("FAULTLINE_HTTP__LISTEN", "off")];
    let output = faultline(&["config", "show", "-c", "f.yaml"], &[("f.yaml", file)], &variables);
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0));
    for line in ["cluster: prod", "  size: 5m", "    sasl.password: \"********\"", "  listen: off"] {
        assert!(shown.lines().any(|shown| shown == line), "{line} is not in\n{shown}");
    }
    assert!(!shown.contains("hunter2"));
    let warning = "faultline: f.yaml:2: warning: windows.size: below 6m verdicts flap: a crash-looping pod waits up to 5m between two attempts\n";
    assert_eq!(text(&output.stderr), warning);
}

#[test]
fn a_variable_for_logging_that_makes_no_sense_is_refused() {
    let output = faultline(&["config", "show"], &[], &[("RUST_LOG", "faultline=loud")]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).starts_with("faultline: RUST_LOG is not valid: "), "{}", text(&output.stderr));
}

/// `faultline config show | true`: the reader has seen enough, and that is no failure.
#[test]
fn a_closed_stdout_is_no_failure() {
    let directory = tempfile::tempdir().unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = command(directory.path()).args(["config", "show"]).stdout(writer).output().unwrap();
    assert_eq!((text(&output.stderr).as_str(), output.status.code()), ("", Some(0)));
}

#[test]
fn wrong_rules_are_told_at_once_by_every_command_that_reads_them() {
    let rule = "- {id: x, title: T, severity: info, match: {log: {all: [oops]}}}\n";
    let files = [("rules/a.yaml", rule), ("rules/b/b.yaml", rule), ("rules/c.yaml", "- {id: c, titel: T}\n")];
    let taken =
        "rules/b/b.yaml:1: rule x: this id is taken by the rule at rules/a.yaml:1; ids are unique over all files";
    let nearest = "rules/c.yaml:1: rule c: unknown key `titel`; did you mean `title`?";
    for arguments in [["rules", "check", "rules"].as_slice(), &["rules", "list", "rules"], &["replay", "-"], &["run"]] {
        let output = faultline(arguments, &files, &[]);
        let message = text(&output.stderr);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{arguments:?}: {message}");
        for line in [taken, nearest] {
            assert!(message.lines().any(|said| said.trim() == line), "{arguments:?}: {line} is not in\n{message}");
        }
    }
}

#[test]
fn a_named_directory_of_rules_must_be_there() {
    let expected = "faultline: cannot read rules from none: No such file or directory (os error 2)\n";
    assert_fails(&faultline(&["replay", "--rules", "none", "-"], &[], &[]), 2, expected);
    assert_fails(&faultline(&["run"], &[], &[("FAULTLINE_RULES", "none")]), 2, expected);
}

#[test]
fn rules_are_measured_and_their_results_written() {
    let rule = "- {id: x, title: T, severity: info, match: {log: {all: [oops]}}, tests: {match: [oops]}}\n";
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("r.yaml"), rule).unwrap();
    std::fs::write(directory.path().join("app.log"), "oops\nall is well\n").unwrap();
    let run = |arguments: &[&str]| command(directory.path()).args(arguments).output().unwrap();

    let measured = run(&["rules", "check", "r.yaml", "--corpus", "app.log"]);
    assert_eq!((text(&measured.stderr).as_str(), measured.status.code()), ("", Some(0)));
    assert!(text(&measured.stdout).ends_with("\n1 hit in 2 entries, 0.0 MiB; 0 rules never looked at\n"));

    let tested = run(&["rules", "test", "r.yaml", "--junit", "results.xml"]);
    assert_eq!(text(&tested.stdout), "ok      x: 1 example\n1 example of 1 rule: all as expected\n");
    let results = std::fs::read_to_string(directory.path().join("results.xml")).unwrap();
    assert!(results.contains("<testcase classname=\"x\" name=\"match: oops\"/>"), "{results}");
}

/// The founding case as files: what a replay says on stdout is the same with and without its explanation.
#[test]
fn a_replay_explains_itself_on_stderr() {
    let directory = tempfile::tempdir().unwrap();
    let start = Timestamp::parse_rfc3339("2026-03-01T08:00:00Z").unwrap();
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    let scenario = scenario::founding_case(start, 7, minutes(5), minutes(5));
    for (stream, name) in [(Stream::Logs, "logs.ndjson"), (Stream::Events, "events.ndjson")] {
        let records = scenario.records.iter().filter(|record| record.stream == stream);
        let text: String = records.map(|record| format!("{}\n", record.value)).collect();
        std::fs::write(directory.path().join(name), text).unwrap();
    }
    let replay = |flags: &[&str]| {
        let arguments = [&["replay", "logs.ndjson", "events.ndjson"], flags].concat();
        command(directory.path()).args(arguments).output().unwrap()
    };
    let (plain, explained) = (replay(&[]), replay(&["--explain"]));
    assert_eq!((text(&plain.stdout), plain.status.code()), (text(&explained.stdout), Some(0)));
    assert!(plain.stdout.ends_with(b"}\n"), "an alert came");

    let said = text(&explained.stderr);
    assert!(said.ends_with(&text(&plain.stderr)), "the summary comes last:\n{said}");
    let node = scenario.truth.node.as_deref().unwrap();
    let table: Vec<&str> = said.lines().skip_while(|line| !line.trim().starts_with("SUSPECT")).collect();
    assert!(table[1].trim().starts_with(&format!("node {node}")) && table[1].trim().ends_with("ok"), "{said}");
    // It is told at the second failing pod.
    for pod in scenario.truth.failing.iter().take(2) {
        assert!(said.contains(&format!("{}/{}", pod.namespace, pod.pod)), "{} is not named:\n{said}", pod.pod);
    }
    for line in ["Confirmed: ", "nothing in common", "Comparable pods that run well", "What would change it"] {
        assert!(said.contains(line), "{line} is not in\n{said}");
    }
    assert!(!said.contains('\u{1b}'), "no colours where stderr is no terminal");
}

#[test]
fn a_property_that_librdkafka_does_not_know_is_bad_configuration() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("f.yaml"), "kafka: {properties: {no.such.key: x}}\n").unwrap();
    let output = command(directory.path()).args(["run", "-c", "f.yaml"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("no.such.key"), "{}", text(&output.stderr));
}

#[test]
fn what_the_build_lacks_is_told_at_the_start() {
    let with_tls = cfg!(feature = "tls");
    let version = text(&faultline(&["--version"], &[], &[]).stdout);
    assert_eq!(version.contains("(TLS; SASL PLAIN, SCRAM"), with_tls, "{version}");
    assert_eq!(version.contains("(no TLS; SASL PLAIN)"), !with_tls, "{version}");
    let wishes = [("SECURITY_PROTOCOL", "sasl_ssl"), ("SASL_MECHANISM", "SCRAM-SHA-512"), ("SASL_PASSWORD", "hunter2")];
    let variables = wishes.map(|(name, value)| (format!("FAULTLINE_KAFKA__PROPERTIES__{name}"), value));
    let variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    let output = faultline(&["config", "show"], &[], &variables);
    let said = text(&output.stdout) + &text(&output.stderr);
    assert_eq!(output.status.code(), Some(if with_tls { 0 } else { 2 }), "{said}");
    assert_eq!(said.contains("build with `--features tls`"), !with_tls, "{said}");
    assert!(!said.contains("hunter2"), "{said}");
}

#[test]
fn a_secret_that_cannot_be_read_is_bad_configuration() {
    let file = [("f.yaml", "kafka: {properties_files: {sasl.password: nowhere}}\n")];
    assert_fails(
        &faultline(&["run", "-c", "f.yaml"], &file, &[]),
        2,
        "faultline: kafka.properties_files.sasl.password: cannot read `nowhere`: No such file or directory (os error 2)\n",
    );
}

/// A value in the wrong place may be a secret.
#[test]
fn the_value_of_a_mistyped_property_is_not_told() {
    let file = [("f.yaml", "kafka: {properties: {sasl.pasword: hunter2}}\n")];
    assert_fails(
        &faultline(&["run", "-c", "f.yaml"], &file, &[]),
        2,
        "faultline: kafka.properties: No such configuration property: \"sasl.pasword\"\n",
    );
}
