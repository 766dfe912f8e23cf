//! The section `bridge`: what `faultline bridge` needs beside `kafka`.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::secrets::{self, SecretError};
use super::show::{MASK, Yaml};
use crate::document::{Item, Section};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bridge {
    /// Where to; of Slack's webhooks the path is a secret.
    pub url: Given,
    /// PagerDuty's integration key.
    pub routing_key: Given,
    /// Sent as `Authorization: Bearer`.
    pub token: Given,
    /// For Slack's `chat.postMessage`.
    pub channel: Option<String>,
    /// PEM certificates that are trusted instead of the built-in authorities.
    pub ca_file: Option<PathBuf>,
    /// Of one request, from looking up the name to the end of the answer.
    pub request_timeout: Duration,
    pub backoff_min: Duration,
    pub backoff_max: Duration,
    pub retry_after_max: Duration,
    /// A message that fails for so long while others are delivered is dead-lettered.
    pub retry_for: Duration,
    pub requests_per_minute: Rate,
    /// Alertmanager takes an alert for over after this; `None`: a quarter longer than `alerts.renotify`.
    pub firing_hold: Option<Duration>,
    /// How long the end of an incident waits for the wider one that takes it over.
    pub handover_wait: Duration,
    /// Records before the committed offset of each partition that are read again at the start.
    pub history: u32,
    pub limits: Limits,
}

/// Messages that wait, and what is remembered of those before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    pub waiting: usize,
    pub waiting_bytes: usize,
    pub remembered: usize,
}

/// How often the receiver may be asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rate {
    /// As its makers document it.
    Auto,
    Unlimited,
    PerMinute(u32),
}

/// A secret, or the file that holds it; [`Bridge::read_secrets`] reads that.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Given {
    pub value: Option<String>,
    pub file: Option<PathBuf>,
}

impl fmt::Debug for Given {
    /// Settings end up in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Given").field("value", &self.value.as_ref().map(|_| MASK)).field("file", &self.file).finish()
    }
}

impl Default for Bridge {
    fn default() -> Self {
        Bridge {
            url: Given::default(),
            routing_key: Given::default(),
            token: Given::default(),
            channel: None,
            ca_file: None,
            request_timeout: 10 * SECOND,
            backoff_min: SECOND,
            backoff_max: 60 * SECOND,
            retry_after_max: 600 * SECOND,
            retry_for: 24 * HOUR,
            requests_per_minute: Rate::Auto,
            firing_hold: None,
            handover_wait: 10 * SECOND,
            history: 1000,
            limits: Limits { waiting: 10_000, waiting_bytes: 64 << 20, remembered: 10_000 },
        }
    }
}

impl Bridge {
    /// Reads what stands in files. What a flag set wins.
    ///
    /// # Errors
    /// A file that cannot be read, is empty, is not UTF-8 or is larger than 1 MiB.
    pub fn read_secrets(&mut self) -> Result<(), SecretError> {
        let secrets = [("url", &mut self.url), ("routing_key", &mut self.routing_key), ("token", &mut self.token)];
        for (name, given) in secrets {
            if let (None, Some(file)) = (&given.value, &given.file) {
                given.value = Some(secrets::secret(&format!("bridge.{name}_file"), file)?);
            }
        }
        Ok(())
    }
}

pub(super) fn read(section: &mut Section<'_>, bridge: &mut Bridge, renotify: Duration) {
    given(section, ("url", "url_file"), &mut bridge.url);
    given(section, ("routing_key", "routing_key_file"), &mut bridge.routing_key);
    given(section, ("token", "token_file"), &mut bridge.token);
    section.read("channel", &mut bridge.channel, text_or_off);
    section.read("ca_file", &mut bridge.ca_file, file_or_off);
    section.read("request_timeout", &mut bridge.request_timeout, |item| item.duration_within(SECOND..=120 * SECOND));
    let pause = |item: &Item<'_>| item.duration_within(Duration::from_millis(10)..=HOUR);
    section.read("backoff_min", &mut bridge.backoff_min, pause);
    section.read("backoff_max", &mut bridge.backoff_max, pause);
    section.read("retry_after_max", &mut bridge.retry_after_max, pause);
    section.read("retry_for", &mut bridge.retry_for, |item| item.duration_within(SECOND..=WEEK));
    section.read("requests_per_minute", &mut bridge.requests_per_minute, rate);
    section.read("firing_hold", &mut bridge.firing_hold, |item| match item.text()?.as_str() {
        "auto" => Some(None),
        _ => item.duration_within(60 * SECOND..=5 * WEEK).map(Some),
    });
    section.read("handover_wait", &mut bridge.handover_wait, |item| item.duration_within(Duration::ZERO..=HOUR));
    section.read("history", &mut bridge.history, |item| item.number(0..=1_000_000));
    section.read("waiting", &mut bridge.limits.waiting, |item| item.number(1..=1_000_000));
    section.read("waiting_bytes", &mut bridge.limits.waiting_bytes, |item| item.bytes(1 << 20..=1 << 32));
    section.read("remembered", &mut bridge.limits.remembered, |item| item.number(100..=10_000_000));
    if bridge.backoff_max < bridge.backoff_min {
        section.place().error("backoff_max must not be shorter than backoff_min");
    }
    if bridge.firing_hold.is_some_and(|hold| hold <= renotify) {
        let place = section.get("firing_hold").unwrap_or_else(|| section.place().clone());
        place.error("must be longer than alerts.renotify, or open incidents would seem to be over in between");
    }
}

fn given(section: &mut Section<'_>, (key, file_key): (&'static str, &'static str), given: &mut Given) {
    section.read(key, &mut given.value, text_or_off);
    section.read(file_key, &mut given.file, file_or_off);
    if given.value.is_some() && given.file.is_some() {
        section.place().error(format!("set {key} or {file_key}, not both"));
    }
}

fn text_or_off(item: &Item<'_>) -> Option<Option<String>> {
    let text = item.filled_text()?;
    Some((text != "off").then_some(text))
}

fn file_or_off(item: &Item<'_>) -> Option<Option<PathBuf>> {
    text_or_off(item).map(|text| text.map(PathBuf::from))
}

fn rate(item: &Item<'_>) -> Option<Rate> {
    match item.text()?.as_str() {
        "auto" => Some(Rate::Auto),
        "off" => Some(Rate::Unlimited),
        _ => item.number(1..=60_000).map(Rate::PerMinute),
    }
}

pub(super) fn show(yaml: &mut Yaml, bridge: &Bridge) {
    let file = |file: &Option<PathBuf>| file.as_ref().map_or("off".to_owned(), |file| file.display().to_string());
    yaml.section("bridge");
    let secrets = [("url", &bridge.url), ("routing_key", &bridge.routing_key), ("token", &bridge.token)];
    for (name, given) in secrets {
        if given.value.is_some() {
            yaml.text(name, MASK);
        }
        yaml.text(&format!("{name}_file"), &file(&given.file));
    }
    yaml.text("channel", bridge.channel.as_deref().unwrap_or("off"));
    yaml.text("ca_file", &file(&bridge.ca_file));
    yaml.duration("request_timeout", bridge.request_timeout);
    yaml.duration("backoff_min", bridge.backoff_min);
    yaml.duration("backoff_max", bridge.backoff_max);
    yaml.duration("retry_after_max", bridge.retry_after_max);
    yaml.duration("retry_for", bridge.retry_for);
    match bridge.requests_per_minute {
        Rate::Auto => yaml.plain("requests_per_minute", "auto"),
        Rate::Unlimited => yaml.plain("requests_per_minute", "off"),
        Rate::PerMinute(requests) => yaml.plain("requests_per_minute", requests),
    }
    match bridge.firing_hold {
        None => yaml.plain("firing_hold", "auto"),
        Some(hold) => yaml.duration("firing_hold", hold),
    }
    yaml.duration("handover_wait", bridge.handover_wait);
    yaml.plain("history", bridge.history);
    yaml.plain("waiting", bridge.limits.waiting);
    yaml.bytes("waiting_bytes", bridge.limits.waiting_bytes);
    yaml.plain("remembered", bridge.limits.remembered);
    yaml.end();
}

#[cfg(test)]
mod tests {
    use super::super::Settings;

    fn load(text: &str) -> Result<Settings, String> {
        Settings::from_layers(Some(("f.yaml", text)), [], &[]).map(|(settings, _)| settings).map_err(|e| e.to_string())
    }

    #[test]
    fn secrets_are_taken_from_values_and_files_and_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        std::fs::write(&file, "k3y\n").unwrap();
        let text = format!(
            "bridge: {{url: 'https://hooks.example/s3cret', token: t0ken, routing_key_file: '{}'}}",
            file.display()
        );
        let mut settings = load(&text).unwrap();
        settings.bridge.read_secrets().unwrap();
        assert_eq!(settings.bridge.routing_key.value.as_deref(), Some("k3y"));
        let shown = settings.to_yaml() + &format!("{settings:?}");
        for secret in ["s3cret", "t0ken", "k3y"] {
            assert!(!shown.contains(secret), "{secret} in {shown}");
        }
        std::fs::remove_file(&file).unwrap();
        settings.bridge.routing_key.value = None;
        let error = settings.bridge.read_secrets().unwrap_err().to_string();
        assert!(error.starts_with("bridge.routing_key_file: cannot read `"), "{error}");
    }

    #[test]
    fn what_does_not_fit_is_said() {
        for (text, error) in [
            ("bridge: {url: u, url_file: f}", "f.yaml:1: bridge: set url or url_file, not both"),
            ("bridge: {backoff_min: 2s, backoff_max: 1s}", "backoff_max must not be shorter"),
            ("bridge: {firing_hold: 1h}", "bridge.firing_hold: must be longer than alerts.renotify"),
            ("bridge: {requests_per_minute: many}", "bridge.requests_per_minute: expected a number from 1 to 60000"),
        ] {
            let found = load(text).unwrap_err();
            assert!(found.contains(error), "{text}: {found}");
        }
    }
}
