//! No secret gets out, and nothing but secrets is kept in.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use faultline::bundled;
use faultline::correlator::{Alerts, Options};
use faultline::decode::{Format as InputFormat, Input};
use faultline::format::{Context, Format, Mode, Writer};
use faultline::record::{Expect, Partition, Record};
use faultline::redaction::{Redaction, Redactor};
use faultline::report::Report;
use faultline::ruleset::RuleSet;
use faultline::scanner::matcher::Matcher;
use faultline::scanner::naive::example_entry;
use faultline::scanner::{self, Limits, Scanner, Slot};
use faultline::shard::Shard;
use faultline::time::Timestamp;
use secrets::{Planted, all, interrupted, lines, piece_in, random};
use serde_json::json;

#[path = "redaction/secrets.rs"]
mod secrets;

const SIGNATURE: &str = "Failed to start entrypoint process. Error: 216";
/// It captures what stands around its signature.
const RULES: &str = r"
- id: start-failed
  title: Start failed
  severity: critical
  match:
    log:
      all: ['Failed to start']
      regex: '(?s)(?P<before>.{0,200})Failed to start entrypoint process\. Error: (?P<code>\d+)(?P<after>.{0,200})'
  codes: {code: win32}
  tests: {match: ['Failed to start entrypoint process. Error: 216'], no_match: [no]}
";

fn start() -> Timestamp {
    Timestamp::parse_rfc3339("2026-11-22T14:00:00Z").expect("a time")
}

/// Both stages, with a redactor.
struct World {
    matcher: Matcher,
    scanner: Scanner,
    shard: Shard,
    slot: Slot,
    offset: i64,
    options: Options,
    /// By name: all that was told.
    outputs: Vec<(String, String)>,
}

impl World {
    fn new(redactor: Arc<Redactor>) -> Self {
        let rules = RuleSet::parse(&[("r.yaml", RULES)]).expect("the rules are right");
        let scan = scanner::Options { cluster: "prod".into(), limits: Limits::default(), prefilter: true, redactor };
        let mut scanner = Scanner::new(scan, "test".into());
        let partition = Partition { topic: "logs".into(), partition: 0 };
        let slot = scanner.assign(partition, Input::new(InputFormat::Auto, Expect::Logs));
        let alerts = Alerts { warm_up: Duration::ZERO, hold_suspected: Duration::ZERO, ..Alerts::default() };
        let options = Options { alerts, ..Options::default() };
        let matcher = Matcher::new(Arc::new(rules));
        World { matcher, scanner, shard: Shard::default(), slot, offset: 0, options, outputs: Vec::new() }
    }

    fn log(&mut self, second: u64, pod: &str, node: &str, message: &str) {
        let at = start().saturating_add(Duration::from_secs(second));
        let kubernetes = json!({"host": node, "namespace_name": "shop", "pod_name": pod, "container_name": "main"});
        let value = json!({"@timestamp": at.to_string(), "log": message, "kubernetes": kubernetes}).to_string();
        let record = Record { offset: self.offset, timestamp: Some(at), value: Some(value.as_bytes()) };
        self.offset += 1;
        self.scanner.scan(&self.matcher, self.slot, &record).expect("well-formed");
    }

    fn flush(&mut self) -> Vec<Report> {
        let reports = self.scanner.flush(Timestamp::default());
        for report in &reports {
            self.told("report", serde_json::to_vec(report).expect("reports are JSON"));
            let outcome = self.shard.take(report, self.matcher.rules(), self.options);
            for alert in outcome.alerts {
                let context = Context { told: None, firing_until: alert.updated_at };
                let structured = ("structured", Format::CloudEvents(Mode::Structured));
                for (name, format) in Format::ALL.into_iter().chain([structured]) {
                    for message in (Writer { format, routing_key: None }).write(&alert, &context).messages {
                        self.told(name, message.value);
                        self.told(name, format!("{:?}", message.headers).into_bytes());
                    }
                }
            }
        }
        let state = self.shard.save().expect("the state can be saved");
        self.told("snapshot", state);
        reports
    }

    fn told(&mut self, name: &str, bytes: Vec<u8>) {
        self.outputs.push((name.to_owned(), String::from_utf8_lossy(&bytes).into_owned()));
    }

    /// Pods of three workloads fail on one node and print the message; elsewhere all is well.
    fn tell(&mut self, message: &str) {
        for second in (0..150).step_by(30) {
            for node in ["n1", "n2", "n3", "n4"] {
                for workload in ["api", "web", "agent"] {
                    let fails = node == "n1" && second >= 60;
                    let message = if fails { message } else { "all is well" };
                    self.log(second, &format!("{workload}-{node}"), node, message);
                }
            }
            self.flush();
        }
    }

    /// Outputs that hold a piece of the secret.
    fn leaks(&self, secret: &str) -> Vec<String> {
        let found = self.outputs.iter().filter_map(|(name, text)| Some(format!("{name}: {}", piece_in(text, secret)?)));
        let mut found: Vec<String> = found.collect();
        found.dedup();
        found
    }
}

fn unredacted() -> Arc<Redactor> {
    Arc::new(Redactor::new(&Redaction { enabled: false, ..Redaction::default() }))
}

/// Also what the check is worth: without redaction every secret is in every output.
#[test]
fn no_secret_is_in_any_output() {
    for planted in all() {
        let line = format!("{SIGNATURE} {}", planted.text);
        let mut open = World::new(unredacted());
        open.tell(&line);
        let leaks = open.leaks(&planted.secret);
        for output in Format::ALL.map(|(name, _)| name).into_iter().chain(["report", "snapshot", "structured"]) {
            let leaks = leaks.iter().any(|leak| leak.starts_with(output));
            assert!(leaks, "{} is not even without redaction in {output}", planted.kind);
        }
        let mut world = World::new(Redactor::standard());
        world.tell(&line);
        assert_eq!(world.leaks(&planted.secret), [] as [&str; 0], "{}: {line}", planted.kind);
        let alerts = world.outputs.iter().filter(|(name, _)| name == "faultline");
        assert!(alerts.clone().count() > 0 && alerts.clone().any(|(_, text)| text.contains("[redacted")), "{line}");
        assert!(alerts.clone().any(|(_, text)| text.contains(r#""code":{"216":"#)), "the code is told");
    }
}

/// Reports and state are all that leaves the scan stage.
#[test]
fn no_secret_gets_out_from_any_surroundings() {
    let mut leaks = Vec::new();
    for planted in all() {
        let mut lines = lines(SIGNATURE, &planted.text);
        lines.push(("interrupted", format!("{SIGNATURE} {}", interrupted(&planted))));
        for (index, (place, line)) in lines.iter().enumerate() {
            let mut world = World::new(Redactor::standard());
            world.log(index as u64, "web-0", "n1", line);
            assert_eq!(world.flush()[0].matches.len(), 1, "{line}");
            if let [first, ..] = &world.leaks(&planted.secret)[..] {
                leaks.push(format!("{} {place}: {first} of {line}", planted.kind));
            }
        }
    }
    assert!(leaks.is_empty(), "{}", leaks.join("\n"));
}

/// A line that came in two parts, cut anywhere.
#[test]
fn no_secret_gets_out_of_joined_lines() {
    for planted in all().iter().filter(|planted| !planted.text.contains('\n')) {
        for cut in (0..planted.text.len()).step_by(7) {
            let mut world = World::new(Redactor::standard());
            let time = "2026-11-22T14:00:00.5Z stdout";
            world.log(1, "web-0", "n1", &format!("{time} P {SIGNATURE} {}", &planted.text[..cut]));
            world.log(1, "web-0", "n1", &format!("{time} F {}", &planted.text[cut..]));
            let matches = &world.flush()[0].matches;
            assert!(matches[0].sample.as_ref().is_some_and(|sample| sample.contains("[redacted")), "{matches:?}");
            assert_eq!(world.leaks(&planted.secret), [] as [&str; 0], "{} cut at {cut}", planted.kind);
        }
    }
}

/// The sample's cut and those of what is looked at, moved over the secret byte by byte; in lines of words and in one that
/// never ends.
#[test]
fn no_secret_gets_out_at_any_cut() {
    const BYTES: usize = 64;
    let redactor = Redactor::standard();
    let hold = |planted: &Planted, line: &str| {
        let sample = redactor.sample(line, BYTES);
        assert!(sample.len() <= BYTES);
        let leak = piece_in(&sample, &planted.secret);
        assert_eq!(leak, None, "{}: {sample}", planted.kind);
    };
    // So much redacts to little that the far cuts would show.
    let shrinks = format!("password=\"{}\" ", random(99, 2_000)).repeat(3);
    for planted in all() {
        for before in 0..BYTES {
            hold(
                &planted,
                &format!("{} {} {}", "word ".repeat(20).split_at(before).0, planted.text, "x ".repeat(9000)),
            );
        }
        for lead in [&shrinks[..], ""] {
            // Where the part ends that is looked at, and that of which something may be shown.
            let cuts = [4 * BYTES + 8192, 4 * BYTES + 4096];
            for place in cuts.into_iter().flat_map(|cut| (cut - 250..cut + 10).step_by(19)) {
                let fill = place.saturating_sub(lead.len());
                hold(&planted, &format!("{lead}{}{}", "a ".repeat(fill / 2), planted.text));
                hold(&planted, &format!("{lead}{} {} end", ".".repeat(fill), planted.text.repeat(8)));
            }
        }
    }
}

/// Also a part of a secret that a rule captured is one, however far into a message.
#[test]
fn what_was_captured_is_seen_in_its_place() {
    let redactor = Redactor::standard();
    for planted in all() {
        for before in [0, 100, 5_000, 100_000] {
            let line = format!("{}{} behind {}", "x ".repeat(before / 2), planted.text, "y ".repeat(5_000));
            let at = line.find(&planted.secret).expect("it was planted");
            let whole = &line[at..at + planted.secret.len()];
            for part in [whole, &whole[whole.len() / 3..], &whole[..whole.len() / 2], &whole[4..12]] {
                let shown = redactor.part(&line, part);
                assert!(piece_in(&shown, &planted.secret).is_none(), "{} at {before}: {shown}", planted.kind);
                assert!(shown.contains("[redacted"), "{} at {before}: {shown}", planted.kind);
            }
            let behind = line.find("behind").expect("it is there");
            let clean = &line[behind..behind + 20];
            assert_eq!(redactor.part(&line, clean), clean);
        }
    }
}

/// What operators need is not taken for a secret: all that rules are looked for in, and the logs of programs in good health.
#[test]
fn examples_and_healthy_logs_stay_as_they_are() {
    let redactor = Redactor::standard();
    let mut changed = Vec::new();
    let mut hold = |text: &str| {
        let redacted = redactor.redact(text);
        if redacted != text {
            changed.push(format!("{text}\n{redacted}\n"));
        }
    };
    let rules = RuleSet::parse(bundled::RULES).expect("the bundled rules are right");
    for rule in rules.rules() {
        let examples = rule.examples.matching.iter().chain(&rule.examples.not_matching);
        examples.for_each(|example| hold(example_entry(rule, example).message()));
    }
    for file in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/healthy")).unwrap() {
        fs::read_to_string(file.unwrap().path()).unwrap().lines().for_each(&mut hold);
    }
    assert!(changed.is_empty(), "{}", changed.join("\n"));
}
