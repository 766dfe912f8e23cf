//! `faultline bridge`: from arguments and settings to what the bridge wants to know.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::anyhow;
use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use tracing::warn;

use super::commands::settings;
use super::service_config::{connection, topic};
use super::{ConfigFile, Failure};
use crate::bridge::{self, Config, PostOptions};
use crate::courier::{Backoff, Limits, Options, Target};
use crate::format::{Format, Writer};
use crate::service::Shutdown;
use crate::settings::{Bridge, Http, Output, Rate, Settings};

const PAGERDUTY: &str = "https://events.pagerduty.com/v2/enqueue";

/// Longer than a request may take, several times over.
const STUCK_AFTER: Duration = Duration::from_secs(400);

const EXAMPLES: &str = "\
Reads the alerts topic as a consumer group of its own and makes one request for an alert: in order for each incident, \
again until the receiver takes it, and of what waits only the newest state. Offsets are committed when their alerts are \
delivered. What a receiver will never take goes to topics.dead_letter with its answer; a wrong URL, key or token is \
waited out. Values may be faultline's own alerts, which are written for the receiver, or be in its format already. Times \
and bounds are in the section `bridge` of the configuration.

Secrets (a Slack webhook's URL, PagerDuty's key, tokens) are better not typed: a process's arguments can be seen by \
others. Set FAULTLINE_BRIDGE__URL, FAULTLINE_BRIDGE__ROUTING_KEY or FAULTLINE_BRIDGE__TOKEN, or bridge.url_file, \
bridge.routing_key_file or bridge.token_file. Proxies are taken from HTTPS_PROXY, HTTP_PROXY and NO_PROXY.

Examples:
  faultline bridge --to alertmanager --url http://alertmanager:9093
  FAULTLINE_BRIDGE__ROUTING_KEY=... faultline bridge --to pagerduty
  FAULTLINE_BRIDGE__URL=https://hooks.slack.com/services/... faultline bridge --to slack
  FAULTLINE_BRIDGE__TOKEN=xoxb-... FAULTLINE_BRIDGE__CHANNEL='#ops' \\
    faultline bridge --to slack --url https://slack.com/api/chat.postMessage
  faultline bridge --to webhook --url https://example.org/alerts --topic alerts --group my-bridge

Exit codes: 0 stopped; 1 failed while running; 2 bad usage or configuration.";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct BridgeArguments {
    #[command(flatten)]
    config: ConfigFile,
    /// Who gets the alerts
    #[arg(long, value_name = "RECEIVER", value_parser = target())]
    to: Target,
    /// Where to; for alertmanager the base, to which /api/v2/alerts is added [default: bridge.url, or PagerDuty's]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Topic to read [default: that of the output in the receiver's format,
    /// else of the first in faultline's]
    #[arg(long, value_name = "NAME")]
    topic: Option<String>,
    /// Consumer group [default: kafka.group_id, -bridge- and the receiver]
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
    /// PEM file of the authorities to trust instead of the built-in ones [default: bridge.ca_file]
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
}

fn target() -> impl TypedValueParser<Value = Target> {
    let values = Target::ALL.iter().map(|target| PossibleValue::new(target.name()));
    let named = |name: String| Target::ALL.into_iter().find(|target| target.name() == name).ok_or("no receiver");
    PossibleValuesParser::new(values).try_map(named)
}

pub fn run(arguments: &BridgeArguments) -> Result<(), Failure> {
    let mut settings = settings(&arguments.config, &[])?;
    settings.kafka.read_secrets().map_err(Failure::usage)?;
    if arguments.url.is_some() {
        // Not read for nothing.
        settings.bridge.url.file = None;
    }
    settings.bridge.read_secrets().map_err(Failure::usage)?;
    let config = config(arguments, &settings).map_err(Failure::usage)?;
    config.connection.check().map_err(Failure::usage)?;
    config.post.check().map_err(Failure::usage)?;
    bridge::run(config, Shutdown::default()).map_err(Failure::running)
}

fn config(arguments: &BridgeArguments, settings: &Settings) -> anyhow::Result<Config> {
    let (to, bridge) = (arguments.to, &settings.bridge);
    let url = match (arguments.url.as_ref().or(bridge.url.value.as_ref()), to) {
        (Some(url), _) => url.clone(),
        (None, Target::PagerDuty) => PAGERDUTY.to_owned(),
        (None, _) => return Err(anyhow!("where to? Give --url, FAULTLINE_BRIDGE__URL or bridge.url_file")),
    };
    let authorities = arguments.ca_file.as_ref().or(bridge.ca_file.as_ref());
    let instance = format!("faultline-bridge-{}", std::process::id());
    let alerts = arguments.topic.clone().or(topic_for(to, &settings.outputs));
    let alerts = alerts.ok_or_else(|| anyhow!("no output has a format that {} takes: give --topic", to.name()))?;
    check_secrets(to, &url, settings)?;
    let group = arguments.group.clone();
    Ok(Config {
        connection: connection(settings, &instance),
        group_id: group.unwrap_or_else(|| format!("{}-bridge-{}", settings.kafka.group_id, to.name())),
        topic: alerts,
        dead_letter: topic(settings, &settings.topics.dead_letter, &[]),
        dead_letter_bytes: settings.limits.dead_letter_bytes,
        courier: courier(to, settings),
        post: PostOptions {
            target: to,
            url,
            token: bridge.token.value.clone(),
            routing_key: bridge.routing_key.value.clone(),
            authorities: authorities.map(|file| bridge::read_authorities(file)).transpose()?,
            timeout: bridge.request_timeout,
        },
        history: i64::from(bridge.history),
        shutdown_timeout: settings.shutdown_timeout,
        stuck_after: STUCK_AFTER,
        http_listen: settings.http.listen,
        // The default is `faultline run`'s too, perhaps on this very host.
        http_required: settings.http != Http::default(),
        signals: true,
        seed: u64::from(std::process::id()),
    })
}

/// What is missing shows before the first alert does.
fn check_secrets(to: Target, url: &str, settings: &Settings) -> anyhow::Result<()> {
    let bridge = &settings.bridge;
    if to == Target::PagerDuty && bridge.routing_key.value.is_none() {
        warn!("bridge.routing_key is not set: events that hold none will be refused");
    }
    if to == Target::Slack && url.ends_with("chat.postMessage") && bridge.token.value.is_none() {
        return Err(anyhow!("chat.postMessage wants a token: set FAULTLINE_BRIDGE__TOKEN or bridge.token_file"));
    }
    if to == Target::Alertmanager && url.contains('?') {
        return Err(anyhow!("the URL of an Alertmanager has no query: /api/v2/alerts is added to it"));
    }
    Ok(())
}

/// The output that is meant for the receiver, else the first that any receiver can be served from.
fn topic_for(to: Target, outputs: &[Output]) -> Option<String> {
    let of = |format: Format| outputs.iter().find(|output| output.format == format);
    let any = outputs.first().filter(|_| to == Target::Webhook);
    let output = of(format_of(to)).or_else(|| of(Format::Faultline)).or(any);
    output.map(|output| output.topic.clone())
}

fn format_of(to: Target) -> Format {
    match to {
        Target::Alertmanager => Format::Alertmanager,
        Target::PagerDuty => Format::PagerDuty,
        Target::Slack => Format::Slack,
        Target::Webhook => Format::Faultline,
    }
}

fn courier(to: Target, settings: &Settings) -> Options {
    let bridge = &settings.bridge;
    let defaults = Options::new(to, Writer { format: format_of(to), routing_key: bridge.routing_key.value.clone() });
    let renotify = settings.correlator.alerts.renotify;
    Options {
        channel: bridge.channel.clone().filter(|_| to == Target::Slack),
        spacing: spacing(bridge, defaults.spacing),
        backoff: Backoff { least: bridge.backoff_min, most: bridge.backoff_max },
        retry_after_max: bridge.retry_after_max,
        retry_for: bridge.retry_for,
        firing_hold: bridge.firing_hold.unwrap_or(renotify + renotify / 4),
        handover_wait: bridge.handover_wait,
        limits: Limits {
            waiting: bridge.limits.waiting,
            waiting_bytes: bridge.limits.waiting_bytes,
            remembered: bridge.limits.remembered,
        },
        ..defaults
    }
}

fn spacing(bridge: &Bridge, usual: Duration) -> Duration {
    match bridge.requests_per_minute {
        Rate::Auto => usual,
        Rate::Unlimited => Duration::ZERO,
        Rate::PerMinute(requests) => Duration::from_secs(60) / requests.max(1),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::{Arguments, Command};
    use super::*;

    fn configured(line: &str, text: &str) -> anyhow::Result<Config> {
        let words = std::iter::once("faultline").chain(line.split(' '));
        let Command::Bridge(arguments) = Arguments::try_parse_from(words).unwrap().command else { panic!() };
        let (settings, _) = Settings::from_layers(Some(("f.yaml", text)), [], &[]).unwrap();
        config(&arguments, &settings)
    }

    #[test]
    fn what_is_not_given_follows_from_the_receiver() {
        let config = configured("bridge --to pagerduty", "bridge: {routing_key: R}").unwrap();
        assert_eq!((config.post.url.as_str(), config.topic.as_str()), (PAGERDUTY, "alerts"));
        assert_eq!(config.group_id, "faultline-bridge-pagerduty");
        assert_eq!(config.courier.spacing, Duration::from_millis(500));
        assert_eq!(config.courier.writer, Writer { format: Format::PagerDuty, routing_key: Some("R".to_owned()) });
        let text = "alerts: {renotify: 8h}\nbridge: {requests_per_minute: 30, channel: '#ops'}";
        let config = configured("bridge --to slack --url https://h --topic t --group g", text).unwrap();
        assert_eq!((config.topic.as_str(), config.group_id.as_str()), ("t", "g"));
        assert_eq!((config.courier.spacing, config.courier.channel.as_deref()), (Duration::from_secs(2), Some("#ops")));
        assert_eq!(config.courier.firing_hold, Duration::from_secs(10 * 3600));
        let outputs = "outputs: [{topic: a}, {topic: b, format: slack}, {topic: c, format: alertmanager}]";
        let topic = |line: &str| configured(line, outputs).unwrap().topic;
        assert_eq!(topic("bridge --to pagerduty"), "a");
        assert_eq!(topic("bridge --to slack --url https://h"), "b");
        assert_eq!(topic("bridge --to alertmanager --url http://h"), "c");
        for (line, text, message) in [
            ("bridge --to slack --url https://slack.com/api/chat.postMessage", "", "chat.postMessage wants a token"),
            ("bridge --to alertmanager --url http://h/?a=b", "", "the URL of an Alertmanager has no query"),
            ("bridge --to pagerduty", "outputs: [{topic: b, format: slack}]", "no output has a format that pagerduty"),
        ] {
            let error = configured(line, text).unwrap_err().to_string();
            assert!(error.starts_with(message), "{error}");
        }
        let error = configured("bridge --to webhook", "").unwrap_err();
        assert!(error.to_string().starts_with("where to?"), "{error}");
    }

    /// Bounds that both sides name have one default.
    #[test]
    fn the_defaults_are_the_couriers() {
        let defaults = courier(Target::Slack, &Settings::default());
        let writer = Writer { format: Format::Slack, routing_key: None };
        assert_eq!(defaults, Options::new(Target::Slack, writer));
    }
}
