//! TLS and SASL, end to end: `faultline run` against a broker that asks for them, and what it says when they fail.
//! Skipped where FAULTLINE_TEST_TXN_BROKER names no broker; most of it needs a build with `--features tls`.

mod support;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use support::founding;
use support::transactional::TransactionalBroker;

const USER: &str = "alice";
const PASSWORD: &str = "hunter2-of-alice";

/// A broker, and a configuration to reach it.
struct Site {
    broker: TransactionalBroker,
    folder: tempfile::TempDir,
    protocol: &'static str,
}

impl Site {
    /// `tls`: the name that the broker's certificate is for, if it has one.
    fn start(tls: Option<&str>) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let authority = folder.path().join("ca.pem").display().to_string();
        let user = format!("{USER}:{PASSWORD}");
        let token = token(4_000_000_000);
        let mut arguments = vec!["--user", &user, "--token", &token];
        if let Some(name) = tls {
            arguments.extend(["--tls", name, "--authority", &authority]);
        }
        let broker = TransactionalBroker::start_with(&arguments)?;
        std::fs::write(folder.path().join("rules.yaml"), founding::RULE).unwrap();
        std::fs::write(folder.path().join("password"), format!("{PASSWORD}\n")).unwrap();
        std::fs::write(folder.path().join("token"), format!("{token}\n")).unwrap();
        let protocol = if tls.is_some() { "sasl_ssl" } else { "sasl_plaintext" };
        Some(Site { broker, folder, protocol })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The test's own way in.
    fn properties(&self) -> BTreeMap<String, String> {
        let authority = self.path("ca.pem").display().to_string();
        let login = [
            ("security.protocol", self.protocol),
            ("sasl.mechanism", "PLAIN"),
            ("sasl.username", USER),
            ("sasl.password", PASSWORD),
        ];
        let tls = (self.protocol == "sasl_ssl").then_some(("ssl.ca.location", authority.as_str()));
        login.into_iter().chain(tls).map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    fn producer(&self) -> BaseProducer {
        let mut config = ClientConfig::new();
        config.extend(self.properties());
        config.set("bootstrap.servers", &self.broker.address);
        config.create().unwrap()
    }

    /// Topics with the founding case in them.
    fn fill(&self) {
        let mut connection = support::config(&self.broker.address).connection;
        connection.properties = self.properties();
        let link = faultline::kafka::Link::new(&self.broker.address);
        let cluster = faultline::kafka::Cluster::new(&connection, link).unwrap();
        let topics = ["container-logs", "kube-events"].map(|name| support::topic(name, 2));
        cluster.create_missing(&topics, &Default::default()).unwrap();
        let producer = self.producer();
        // Not ahead of the clock of the process, whatever that shows.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() - Duration::from_secs(600);
        let start_ms = i64::try_from(now.as_millis()).unwrap();
        for (topic, records) in
            [("kube-events", founding::events(start_ms)), ("container-logs", founding::logs(start_ms))]
        {
            for put in records {
                let mut record = BaseRecord::<[u8], [u8]>::to(topic).partition(put.partition);
                record.payload = put.value.as_deref();
                record.timestamp = put.timestamp_ms;
                producer.send(record).map_err(|(error, _)| error).unwrap();
            }
        }
        producer.flush(support::DEADLINE).unwrap();
    }

    /// Partitions of the alerts topic that hold something.
    fn alerts(&self) -> i64 {
        let producer = self.producer();
        let ends = (0..4).map(|partition| {
            let ends = producer.client().fetch_watermarks("alerts", partition, Duration::from_secs(10));
            ends.map_or(0, |(low, high)| i64::from(high > low))
        });
        ends.sum()
    }

    /// The `kafka` section for logging in by `mechanism`, with secrets from files.
    fn kafka(&self, mechanism: &str) -> String {
        let (address, protocol) = (&self.broker.address, self.protocol);
        let mut text = format!("brokers: {address}, properties: {{security.protocol: {protocol}, ");
        write!(text, "sasl.mechanism: {mechanism}, sasl.username: {USER}").unwrap();
        if protocol == "sasl_ssl" {
            write!(text, ", ssl.ca.location: {}", self.path("ca.pem").display()).unwrap();
        }
        let (password, token) = (self.path("password"), self.path("token"));
        write!(text, "}}, properties_files: {{sasl.password: {}}}", password.display()).unwrap();
        if mechanism == "OAUTHBEARER" {
            write!(text, ", oauth_token_file: {}", token.display()).unwrap();
        }
        text
    }

    fn faultline(&self, kafka: &str, arguments: &[&str]) -> Output {
        let config = format!("kafka: {{{kafka}}}\nrules: {}\nhttp: {{listen: off}}\n", self.folder.path().display());
        let file = self.path("faultline.conf");
        std::fs::write(&file, config).unwrap();
        run(&file, arguments)
    }

    /// The one line that a bounded run ends with, which must be a failure.
    fn failure(&self, kafka: &str) -> String {
        let output = self.faultline(kafka, &["-qq", "run", "--until-end"]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        let said = said.trim_end();
        assert!(said.starts_with("faultline: cannot reach Kafka at ") && !said.contains('\n'), "{said}");
        assert!(!said.contains(PASSWORD), "{said}");
        said.to_owned()
    }
}

fn run(config: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_faultline"));
    command.env_remove("RUST_LOG").stdin(Stdio::null());
    command.args(arguments).arg("-c").arg(config).output().unwrap()
}

/// A token of the form of a JWT, until `exp`.
fn token(exp: i64) -> String {
    use base64::Engine as _;
    let encode = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
    let claims = format!(r#"{{"sub":"{USER}","exp":{exp}}}"#);
    format!("{}.{}.{}", encode(r#"{"alg":"none"}"#), encode(&claims), encode("signature"))
}

/// Runs the founding case through to its alert, and looks for secrets in all that was said.
fn solves_the_founding_case(tls: Option<&str>, mechanism: &str) {
    let Some(site) = Site::start(tls) else { return };
    site.fill();
    let kafka = site.kafka(mechanism).replacen("properties: {", "properties: {debug: all, ", 1);
    let output = site.faultline(&kafka, &["-vv", "run", "--until-end"]);
    let said = String::from_utf8_lossy(&output.stderr);
    let end = || said.lines().rev().take(20).collect::<Vec<_>>().join("\n");
    assert_eq!(output.status.code(), Some(0), "{}", end());
    assert_eq!(site.alerts(), 1, "{}", end());

    let shown = site.faultline(&kafka, &["config", "show"]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("sasl.username: alice"), "{shown}");
    assert!(said.contains("librdkafka"), "its debug lines are there");
    for (name, text) in [("what a run says", &*said), ("config show", &shown)] {
        for secret in [PASSWORD, &token(4_000_000_000)] {
            let line = text.lines().find(|line| line.contains(secret));
            assert_eq!(line, None, "a secret in {name}");
        }
    }
}

#[test]
fn a_password_is_taken_without_tls() {
    solves_the_founding_case(None, "PLAIN");
}

#[test]
fn a_wrong_password_is_told_without_tls() {
    let Some(site) = Site::start(None) else { return };
    std::fs::write(site.path("password"), "wrong").unwrap();
    let said = site.failure(&site.kafka("PLAIN"));
    assert!(said.contains("uthentication failed"), "{said}");
}

#[cfg(feature = "tls")]
mod tls {
    use super::*;

    const BROKER: Option<&str> = Some("127.0.0.1");

    #[test]
    fn plain_over_tls() {
        solves_the_founding_case(BROKER, "PLAIN");
    }

    #[test]
    fn scram_sha_256_over_tls() {
        solves_the_founding_case(BROKER, "SCRAM-SHA-256");
    }

    #[test]
    fn scram_sha_512_over_tls() {
        solves_the_founding_case(BROKER, "SCRAM-SHA-512");
    }

    #[test]
    fn a_token_over_tls() {
        solves_the_founding_case(BROKER, "OAUTHBEARER");
    }

    #[test]
    fn a_wrong_password_is_told() {
        let Some(site) = Site::start(BROKER) else { return };
        std::fs::write(site.path("password"), "wrong").unwrap();
        let said = site.failure(&site.kafka("SCRAM-SHA-512"));
        assert!(said.contains("uthentication failed"), "{said}");
    }

    #[test]
    fn an_unknown_authority_is_told() {
        let (Some(site), Some(other)) = (Site::start(BROKER), Site::start(BROKER)) else { return };
        std::fs::copy(other.path("ca.pem"), site.path("ca.pem")).unwrap();
        let said = site.failure(&site.kafka("PLAIN"));
        assert!(said.contains("certificate verify failed"), "{said}");
    }

    #[test]
    fn a_certificate_for_another_name_is_told() {
        let Some(site) = Site::start(Some("elsewhere.example")) else { return };
        let said = site.failure(&site.kafka("PLAIN"));
        assert!(said.contains("certificate verify failed"), "{said}");
    }

    #[test]
    fn a_token_of_no_use_is_told() {
        let Some(site) = Site::start(BROKER) else { return };
        let kafka = site.kafka("OAUTHBEARER");
        let file = site.path("token");
        for (text, told) in [
            (token(1_000_000_000), "the token expired at 2001-09-09T01:46:40"),
            (token(3_999_999_999), "uthentication failed"),
        ] {
            std::fs::write(&file, &text).unwrap();
            let said = site.failure(&kafka);
            assert!(said.contains(told) && !said.contains(&text), "{said}");
        }
        std::fs::remove_file(&file).unwrap();
        let said = site.failure(&kafka);
        assert!(said.contains("kafka.oauth_token_file `") && said.contains("No such file"), "{said}");
    }
}
