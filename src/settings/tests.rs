//! Reading settings from layers, as values.

use super::*;

fn load(text: &str) -> Result<(Settings, Diagnostics), Diagnostics> {
    Settings::from_layers(Some(("f.yaml", text)), [], &[])
}

fn errors(text: &str) -> String {
    match load(text) {
        Ok((settings, _)) => panic!("{text:?} was taken: {settings:?}"),
        Err(errors) => errors.to_string(),
    }
}

#[test]
fn nothing_configured_means_the_defaults() {
    let (settings, warnings) = Settings::from_layers(None, [], &[]).unwrap();
    assert_eq!((settings, warnings), (Settings::default(), Diagnostics::default()));
    assert_eq!(load("kafka:\nwindows: ~\n").unwrap().0, Settings::default(), "an empty section is none");
}

#[test]
fn the_documented_file_holds_exactly_the_defaults_and_every_key() {
    let text = include_str!("../../config/faultline.yaml");
    let (settings, warnings) = load(text).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!((settings, warnings), (Settings::default(), Diagnostics::default()));
    for line in Settings::default().to_yaml().lines().filter(|line| !line.trim_start().starts_with('-')) {
        let key = line.trim_start().split(':').next().unwrap();
        let documented = text.lines().any(|line| line.trim_start().starts_with(&format!("{key}:")));
        assert!(documented, "{key} is not in config/faultline.yaml");
    }
}

#[test]
fn every_value_can_be_set_and_is_shown_so_that_it_reads_back() {
    let text = "\
cluster: 'prod: west #1'
kafka:
  brokers: a:9092,b:9092
  group_id: fl
  exactly_once: false
  properties: {security.protocol: sasl_plaintext, sasl.mechanism: PLAIN, sasl.username: 'null'}
  properties_files: {sasl.password: /run/secrets/kafka password}
  oauth_token_file: /run/token
inputs:
  - {topics: [\"^logs-.*\"], kind: logs}
  - {topics: [ev-1, ev-2], kind: events, format: auto}
  - topics: [odd]
    kind: logs
    format: json
    fields: {message: /a/b, node: /x, namespace: /n, pod: '/p~1q', container: /c, image: /i, time: /t, cluster: /k}
    cluster: 'east #2'
    cluster_header: x-cluster
topics: {reports: r, state: s, dead_letter: d}
internal_topics: {partitions: 12, replication_factor: 3, reports_retention: 6h, snapshot_interval: 30s, snapshot_reports: 77}
outputs:
  - {topic: a1, format: faultline}
  - {topic: a2, name: 'two #2'}
  - {topic: a3, format: pagerduty, routing_key_file: /run/secrets/pd}
  - {topic: a4, format: slack}
  - {topic: a5, format: alertmanager}
  - {topic: a6, format: cloudevents}
  - {topic: a7, format: cloudevents, mode: structured}
routes:
  - {matchers: [severity=~critical|error, 'scope!=pod'], outputs: [a3, 'two #2'], continue: true}
  - {matchers: [], outputs: []}
silences: /etc/faultline/silences.yaml
rules: /etc/faultline/rules
rules_reload_interval: off
windows: {size: 15m, slide: 10s, allowed_lateness: 30s}
alerts: {keep_firing_for: 10m, renotify: 24h, min_probability: 0.9, hold_suspected: 0s, group_wait: 1m, flap_times: 5, flap_within: 2h, remind_every: 30s, recovered_after: 3m, warm_up: 2m, max_age: 3h}
localization: {priors: {isolated: 70, workload: 20, node: 5, image: 3, node_pool: 1.5, cluster: 0.5}}
scan: {threads: 3, flush_interval: 500ms, idle_after: 20s, prefilter: off}
redaction: {enabled: false, email: true, patterns: ['ACME-[0-9a-f]{8}', 'PIN (?<secret>[0-9]{4})']}
http: {listen: off}
bridge: {url_file: /run/url, routing_key_file: /run/key, token_file: /run/bearer, channel: '#ops', ca_file: /run/ca, request_timeout: 11s, backoff_min: 2s, backoff_max: 3m, retry_after_max: 7m, retry_for: 3h, requests_per_minute: 77, firing_hold: 25h, handover_wait: 9s, history: 78, waiting: 79, waiting_bytes: 7MiB, remembered: 1234}
limits: {record_bytes: 1MiB, clusters: 7, matches_per_report: 11, pods_per_report: 12, sample_bytes: 100, joined_bytes: 0, open_lines: 3, join_within: 4s, max_ahead: 5s, known_bytes: 1MiB, nodes: 13, pods: 14, failing_pods: 15, incidents: 16, capture_values: 17, failing_in_alert: 18, candidates_in_alert: 19, pod_ttl: 2h, reports_in_flight: 20, messages_in_flight: 21, bytes_in_flight: 1MiB, report_bytes: 16KiB, dead_letter_bytes: 17KiB, fetch_queue_bytes: 2MiB, producer_queue_bytes: 3MiB, snapshot_chunk_bytes: 4KiB}
shutdown_timeout: 10s
";
    let (settings, warnings) = load(text).unwrap_or_else(|errors| panic!("{errors}"));
    assert!(warnings.is_empty(), "{warnings}");
    assert_eq!(settings.kafka.properties["sasl.username"], "null");
    assert_eq!(settings.http.listen, None);
    assert_eq!((settings.outputs.len(), settings.routes.len()), (7, 2));
    assert_eq!(settings.outputs[6].format, crate::format::Format::CloudEvents(crate::format::Mode::Structured));
    assert_eq!(settings.correlator.limits.pod_ttl, Duration::from_secs(7200));
    // Each line differs from the defaults' but for those that cannot.
    let shown = settings.to_yaml();
    let defaults = Settings::default().to_yaml();
    let same: Vec<&str> = shown.lines().filter(|line| defaults.contains(&format!("{line}\n"))).collect();
    let same: Vec<_> = same.into_iter().filter(|line| !line.ends_with(':')).collect();
    assert_eq!(same, Vec::<&str>::new(), "not taken from the file");
    assert_eq!(load(&shown).unwrap_or_else(|errors| panic!("{errors}\n{shown}")).0, settings);
}

#[test]
fn all_errors_come_at_once_with_line_and_what_would_be_right() {
    let text = "\
clustr: x
kafka:
  borkers: a:1
  exactly_once: maybe
  properties: {group.id: x}
inputs:
  - {topics: [a], kind: log}
  - {topics: []}
  - {topics: [\"^(\"], kind: logs, fromat: auto}
outputs:
  - {topic: 'no spaces', format: slack}
  - {topic: ok, format: jira}
windows: {size: 10, slide: 7s}
alerts: {min_probability: 80}
http: {listen: localhost}
limits: {nodes: -1}
";
    let expected = "\
f.yaml:1: unknown key `clustr`; did you mean `cluster`?
f.yaml:3: kafka: unknown key `borkers`; did you mean `brokers`?
f.yaml:4: kafka.exactly_once: expected true or false, found `maybe`
f.yaml:5: kafka.properties.group.id: `group.id` is faultline's own: set kafka.group_id instead
f.yaml:7: inputs[0].kind: expected one of logs, events, found `log`
f.yaml:8: inputs[1].topics: at least one topic is needed
f.yaml:8: inputs[1]: key `kind` is missing
f.yaml:9: inputs[2].topics[0]: not a valid regex: unclosed group
f.yaml:9: inputs[2]: unknown key `fromat`; did you mean `format`?
f.yaml:11: outputs[0].topic: `no spaces` is no topic name: 1 to 249 of the letters a-z A-Z 0-9 . _ -
f.yaml:12: outputs[1].format: expected one of faultline, pagerduty, slack, alertmanager, cloudevents, found `jira`
f.yaml:13: windows.size: expected a time with its unit such as 500ms, 30s, 10m or 1h30m, found `10`
f.yaml:13: windows.size: size must be a multiple of slide
f.yaml:14: alerts.min_probability: expected a number from 0.5 to 0.999, found `80`
f.yaml:15: http.listen: expected an IP address and port such as 127.0.0.1:9464, or off, found `localhost`
f.yaml:16: limits.nodes: expected a number from 1 to 100000000, found `-1`";
    assert_eq!(errors(text), expected);
}

#[test]
fn a_prior_is_above_zero_and_finite() {
    for wrong in ["0", "-0.1", "nan", "inf", "often", "2e6"] {
        let text = format!("cluster: x\nlocalization:\n  priors:\n    node: {wrong}\n");
        let expected = "f.yaml:4: localization.priors.node: expected a number from 0.000000001 to 1000000";
        assert_eq!(errors(&text), format!("{expected}, found `{wrong}`"));
    }
    let misspelt = "f.yaml:1: localization.priors: unknown key `nod`; did you mean `node`?";
    assert_eq!(errors("localization: {priors: {nod: 1}}"), misspelt);
    let variable = [("FAULTLINE_LOCALIZATION__PRIORS__NODE".to_owned(), "0.2".to_owned())];
    assert_eq!(Settings::from_layers(None, variable, &[]).unwrap().0.correlator.priors.node, 0.2);
}

#[test]
fn rules_may_be_read_again_only_when_asked() {
    let read = |value: &str| load(&format!("rules_reload_interval: {value}")).map(|(set, _)| set.rules_reload_interval);
    assert_eq!(read("1m"), Ok(Some(Duration::from_secs(60))));
    for off in ["off", "0", "0s"] {
        assert_eq!(read(off), Ok(None), "{off}");
    }
    let error = "f.yaml:1: rules_reload_interval: expected a time from 1s to 1h, found `1ms`";
    assert_eq!(errors("rules_reload_interval: 1ms"), error);
}

#[test]
fn values_that_do_not_fit_together_are_refused() {
    let cases = [
        ("windows: {size: 10m, slide: 7s}", "f.yaml:1: windows.size: size must be a multiple of slide"),
        ("windows: {size: 24h, slide: 1s}", "f.yaml:1: windows.size: size may be at most 10000 times slide"),
        ("windows: {allowed_lateness: 11m}", "f.yaml:1: windows: allowed_lateness must not be longer than size"),
        (
            "scan: {idle_after: 1s, flush_interval: 2s}",
            "f.yaml:1: scan: idle_after must not be shorter than flush_interval",
        ),
        (
            "topics: {state: faultline.reports}",
            "f.yaml:1: topics: topic `faultline.reports` of topics.state is also topics.reports",
        ),
        (
            "outputs: [{topic: kube-events}]",
            "f.yaml:1: topic `kube-events` of inputs[1].topics is also outputs[0].topic",
        ),
        (
            "inputs: [{topics: [x, x], kind: logs}]",
            "f.yaml:1: inputs: topic `x` of inputs[0].topics is also inputs[0].topics",
        ),
        (
            "inputs: [{topics: ['^.*erts'], kind: logs}]",
            "f.yaml:1: inputs: `^.*erts` of inputs[0].topics matches `alerts`, which is outputs[0].topic",
        ),
        (
            "inputs: [{topics: ['^x'], kind: logs}, {topics: [xy], kind: logs}]",
            "f.yaml:1: inputs: `^x` of inputs[0].topics matches `xy`, which is inputs[1].topics",
        ),
        (
            "inputs: [{topics: ['^a', b], kind: logs}]",
            "f.yaml:1: inputs[0].topics[0]: a regex stands alone: name topics, or give one regex that matches all of them",
        ),
        (
            "inputs: [{topics: [a], kind: logs, fields: {pod: kubernetes.pod}}]",
            "f.yaml:1: inputs[0].fields.pod: expected a JSON pointer such as /kubernetes/pod_name, found `kubernetes.pod`",
        ),
        (
            "inputs: [{topics: [a], kind: logs, fields: {nodes: /a}}]",
            "f.yaml:1: inputs[0].fields: unknown key `nodes`; did you mean `node`?",
        ),
        ("inputs: []", "f.yaml:1: inputs: at least one input is needed"),
        ("outputs: []", "f.yaml:1: outputs: at least one output is needed"),
        (
            "outputs: [{topic: a, name: x}, {topic: b, name: x}]",
            "f.yaml:1: outputs[1]: another output is called `x` too; give one of them a `name`",
        ),
        (
            "outputs: [{topic: a, format: slack, mode: binary}]",
            "f.yaml:1: outputs[0].mode: only an output of format cloudevents has this",
        ),
        (
            "routes: [{matchers: [sevrity=critical], outputs: [alerts]}]",
            "f.yaml:1: routes[0].matchers[0]: unknown label `sevrity`; did you mean `severity`?",
        ),
        (
            "routes: [{outputs: [alrts]}]",
            "f.yaml:1: routes[0].outputs[0]: no output is called `alrts`; did you mean `alerts`?",
        ),
        ("routes: [{matchers: []}]", "f.yaml:1: routes[0]: key `outputs` is missing"),
        ("redaction: {patterns: [ok, '(']}", "f.yaml:1: redaction.patterns[1]: not a valid regex: unclosed group"),
        ("redaction: {patterns: ['x*']}", "f.yaml:1: redaction.patterns[0]: matches the empty text, and so everywhere"),
        ("redaction: {emails: true}", "f.yaml:1: redaction: unknown key `emails`; did you mean `email`?"),
        ("alerts: {flap_times: 1}", "f.yaml:1: alerts.flap_times: expected a number from 2 to 1000, found `1`"),
        (
            "kafka: {brokers: 'localhost'}",
            "f.yaml:1: kafka.brokers: expected host:port, several separated by commas, found `localhost`",
        ),
        (
            "kafka: {brokers: 'http://a:1'}",
            "f.yaml:1: kafka.brokers: expected host:port, several separated by commas, found `http://a:1`",
        ),
        (
            "kafka: {brokers: 'a:1,b:0'}",
            "f.yaml:1: kafka.brokers: expected host:port, several separated by commas, found `b:0`",
        ),
    ];
    for (text, message) in cases {
        assert_eq!(errors(text), message, "{text}");
    }
}

#[test]
fn a_short_window_is_only_warned_of() {
    let (settings, warnings) = load("windows: {size: 5m}\n").unwrap();
    assert_eq!(settings.correlator.windows.size, Duration::from_secs(300));
    let expected = "f.yaml:1: warning: windows.size: below 6m verdicts flap: a crash-looping pod waits up to 5m between two attempts";
    assert_eq!(warnings.to_string(), expected);
}

#[test]
fn the_environment_is_named_in_its_errors() {
    let environment = [("FAULTLINE_KAFKA__BORKERS", "x"), ("FAULTLINE_ALERTS__RENOTIFY", "4")];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let expected = "\
environment FAULTLINE_ALERTS__RENOTIFY: alerts.renotify: expected a time with its unit such as 500ms, 30s, 10m or 1h30m, found `4`
environment FAULTLINE_KAFKA__BORKERS: kafka: unknown key `borkers`; did you mean `brokers`?";
    assert_eq!(Settings::from_layers(None, environment, &[]).unwrap_err().to_string(), expected);
}

#[test]
fn how_to_log_in_must_fit_together() {
    let sasl = "f.yaml:1: kafka.properties: `sasl_plaintext` needs sasl.mechanism: one of PLAIN, SCRAM-SHA-256, \
                SCRAM-SHA-512, OAUTHBEARER";
    assert_eq!(errors("kafka: {properties: {security.protocol: sasl_plaintext}}"), sasl);
    let both = "kafka: {properties: {sasl.password: hunter2}, properties_files: {sasl.password: /f}}";
    assert_eq!(errors(both), "f.yaml:1: kafka.properties: `sasl.password` is also in kafka.properties_files");
}

#[test]
fn a_variable_names_the_file_of_a_secret() {
    let variable = ("FAULTLINE_KAFKA__PROPERTIES_FILES__SASL_PASSWORD".to_owned(), "/run/p".to_owned());
    let (settings, _) = Settings::from_layers(None, [variable], &[]).unwrap();
    assert_eq!(settings.kafka.properties_files["sasl.password"], PathBuf::from("/run/p"));
}

#[test]
fn secrets_are_never_shown() {
    let misplaced = ("FAULTLINE_KAFKA__PROPERTIES".to_owned(), "sasl.password=hunter2".to_owned());
    let error = Settings::from_layers(None, [misplaced], &[]).unwrap_err().to_string();
    assert!(error.ends_with("kafka.properties: expected a map of `name: value` lines"), "{error}");
    let (settings, _) = load("kafka: {properties: {sasl.password: hunter2, sasl.username: me}}\n").unwrap();
    for text in [settings.to_yaml(), format!("{settings:?}")] {
        assert!(!text.contains("hunter2"), "{text}");
        assert!(text.contains("********") && text.contains("sasl.username"), "{text}");
    }
    assert_eq!(settings.kafka.properties["sasl.password"], "hunter2");
}
