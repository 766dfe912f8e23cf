//! When alerts are not wanted: silences for once, mute windows that come again.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::civil::{Time, Weekday};
use jiff::tz::{TimeZone, TimeZoneDatabase};

use super::matcher::{Matcher, Quantifier};
use crate::alert::Alert;
use crate::document::{Collector, Diagnostics, Item, Section, parse_yaml};
use crate::time::Timestamp;

/// What one file says.
#[derive(Clone, Debug, Default)]
pub struct Silences {
    silences: Vec<Silence>,
    mute_windows: Vec<MuteWindow>,
}

/// What is silenced, whenever.
#[derive(Clone, Debug)]
struct Subject {
    /// All must hold, of all that an alert tells of.
    matchers: Vec<Matcher>,
    /// Names of outputs; `None`: all of them.
    outputs: Option<BTreeSet<Arc<str>>>,
}

#[derive(Clone, Debug)]
struct Silence {
    subject: Subject,
    from: Option<Timestamp>,
    until: Timestamp,
}

#[derive(Clone, Debug)]
struct MuteWindow {
    subject: Subject,
    /// Those on which it begins; `None`: every day.
    days: Option<Vec<Weekday>>,
    /// It ends on the next day where the second is not later than the first.
    between: (Time, Time),
    time_zone: TimeZone,
}

impl Silences {
    /// Reads a file of silences; `name` is what messages call it. `outputs` are the names that there are.
    ///
    /// # Errors
    /// Everything that is wrong with it, with lines.
    pub fn parse(name: &str, text: &str, outputs: &[Arc<str>]) -> Result<Self, Diagnostics> {
        let collector = Collector::default();
        let mut read = Silences::default();
        match parse_yaml(name, text) {
            Err(diagnostic) => collector.push(diagnostic),
            Ok(document) => {
                if let Some(mut top) = Item::new(&document, "", &collector).section() {
                    let names = outputs;
                    top.read("silences", &mut read.silences, |item| each(item, |section| silence(section, names)));
                    let windows = &mut read.mute_windows;
                    top.read("mute_windows", windows, |item| each(item, |section| mute_window(section, names)));
                    top.finish();
                }
            }
        }
        if collector.has_errors() { Err(collector.finish()) } else { Ok(read) }
    }

    /// Whether `output` is not to be told of `alert` at `now`.
    pub fn hold_back(&self, alert: &Alert, output: &str, now: Timestamp) -> bool {
        self.silences.iter().any(|silence| silence.is_active(now) && silence.subject.includes(alert, output))
            || self.mute_windows.iter().any(|window| window.is_active(now) && window.subject.includes(alert, output))
    }

    pub fn is_empty(&self) -> bool {
        self.silences.is_empty() && self.mute_windows.is_empty()
    }

    /// Silences and mute windows.
    pub fn len(&self) -> usize {
        self.silences.len() + self.mute_windows.len()
    }
}

impl Subject {
    fn includes(&self, alert: &Alert, output: &str) -> bool {
        self.outputs.as_ref().is_none_or(|outputs| outputs.contains(output))
            && self.matchers.iter().all(|matcher| matcher.matches(alert, Quantifier::All))
    }
}

impl Silence {
    fn is_active(&self, now: Timestamp) -> bool {
        self.from.is_none_or(|from| from <= now) && now < self.until
    }
}

impl MuteWindow {
    fn is_active(&self, now: Timestamp) -> bool {
        let Ok(instant) = jiff::Timestamp::from_millisecond(now.as_millis()) else { return false };
        let local = instant.to_zoned(self.time_zone.clone());
        let (time, today) = (local.time(), local.weekday());
        let begins_on = |day: Weekday| self.days.as_ref().is_none_or(|days| days.contains(&day));
        let (from, until) = self.between;
        if from < until {
            return begins_on(today) && from <= time && time < until;
        }
        begins_on(today) && from <= time || begins_on(today.previous()) && time < until
    }
}

/// Reads a list of sections. One that is wrong is left out and told of.
fn each<T>(item: &Item<'_>, read: impl Fn(&mut Section<'_>) -> Option<T>) -> Option<Vec<T>> {
    let sections = item.list()?.into_iter().filter_map(|item| item.section());
    let one = |mut section: Section<'_>| {
        let read = read(&mut section);
        section.finish();
        read
    };
    Some(sections.filter_map(one).collect())
}

fn silence(section: &mut Section<'_>, names: &[Arc<str>]) -> Option<Silence> {
    let subject = subject(section, names);
    let mut from = None;
    section.read("from", &mut from, |item| instant(item).map(Some));
    let until = section.require("until").and_then(|item| instant(&item));
    if from >= until && from.is_some() && until.is_some() {
        section.place().error("`until` must be later than `from`");
    }
    Some(Silence { subject: subject?, from, until: until? })
}

fn mute_window(section: &mut Section<'_>, names: &[Arc<str>]) -> Option<MuteWindow> {
    let subject = subject(section, names);
    let (mut days, mut time_zone) = (None, TimeZone::UTC);
    section.read("days", &mut days, |item| {
        let items = item.list()?;
        if items.is_empty() {
            item.error("at least one day is needed; without `days` it is every day");
        }
        Some(Some(items.iter().filter_map(weekday).collect()))
    });
    section.read("time_zone", &mut time_zone, zone);
    let between = section.require("between").and_then(|item| between(&item));
    Some(MuteWindow { subject: subject?, days, between: between?, time_zone })
}

/// A comment is for people.
fn subject(section: &mut Section<'_>, names: &[Arc<str>]) -> Option<Subject> {
    section.get("comment").map(|item| item.text());
    section.get("created_by").map(|item| item.text());
    let matchers = section.require("matchers").and_then(|item| super::matchers(&item));
    let mut outputs = None;
    section.read("outputs", &mut outputs, |item| super::output_names(item, names).map(Some));
    Some(Subject { matchers: matchers?, outputs })
}

fn instant(item: &Item<'_>) -> Option<Timestamp> {
    let text = item.text()?;
    let time = Timestamp::parse_rfc3339(&text);
    if time.is_none() {
        item.error(format!(
            "expected a time such as 2026-11-23T08:00:00Z or 2026-11-23T08:00:00+01:00, found `{text}`"
        ));
    }
    time
}

fn weekday(item: &Item<'_>) -> Option<Weekday> {
    const DAYS: [(&str, Weekday); 7] = [
        ("mon", Weekday::Monday),
        ("tue", Weekday::Tuesday),
        ("wed", Weekday::Wednesday),
        ("thu", Weekday::Thursday),
        ("fri", Weekday::Friday),
        ("sat", Weekday::Saturday),
        ("sun", Weekday::Sunday),
    ];
    item.enumeration(&DAYS)
}

fn between(item: &Item<'_>) -> Option<(Time, Time)> {
    let text = item.text()?;
    let time = |text: &str| match text.trim() {
        "24:00" => Some(Time::midnight()),
        text => text.parse::<Time>().ok(),
    };
    let span = text.split_once('-').and_then(|(from, until)| Some((time(from)?, time(until)?)));
    if span.is_none() {
        item.error(format!("expected two times of day such as 22:00-06:00, found `{text}`"));
    }
    span
}

fn zone(item: &Item<'_>) -> Option<TimeZone> {
    let name = item.filled_text()?;
    let zone = TimeZoneDatabase::bundled().get(&name).ok();
    if zone.is_none() {
        item.error(format!("expected a time zone of the IANA database such as Europe/Berlin, found `{name}`"));
    }
    zone
}

#[cfg(test)]
mod tests;
