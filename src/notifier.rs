//! Who is told of an incident, and when: routes decide which outputs, silences when not, and what an output was told
//! before decides what it is told next.
//!
//! Everything follows from the alerts and the policy, and what was told is saved with the state, so an instance that takes
//! over knows it. What it must rebuild from reports it takes for told where a silence of now may be newer. An output that was told of a beginning is told of the end, whatever routes and silences say by then; one
//! that was silent when an incident began is told of it with the next reminder if it still goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::alert::{Alert, Status};
use crate::correlator::Outcome;
use crate::document::{Item, suggestion};
use crate::format::{self, Context, Format, Message, Thread, Writer, Written};
use crate::time::Timestamp;

mod labels;
mod matcher;
mod silences;

pub use labels::Label;
pub use matcher::{Matcher, Quantifier};
pub use silences::Silences;

/// What an operator set; the names are those of the configuration.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    pub outputs: Vec<Output>,
    pub routes: Arc<[Route]>,
    pub silences: Arc<Silences>,
    /// Receivers that take silence for the end may do so after this without a word of an open incident.
    pub forget_after: Duration,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Output {
    /// What routes and silences call it.
    pub name: Arc<str>,
    /// What it is known by from one configuration to the next.
    pub topic: Arc<str>,
    pub writer: Writer,
}

/// Which outputs are told of what. The first route that fits decides, and those after it only if it goes on.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Route {
    /// All must hold, each of any of its label's values. Without matchers all alerts fit.
    pub matchers: Vec<Matcher>,
    pub outputs: BTreeSet<Arc<str>>,
    pub goes_on: bool,
}

/// One message for one output.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notice {
    /// Its place in [`Policy::outputs`].
    pub output: usize,
    pub message: Message,
    /// The newest failure that it tells of, if it is news.
    pub newest_signal: Option<Timestamp>,
}

/// What an outcome led to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Notices {
    pub notices: Vec<Notice>,
    /// Alerts that an output was not told of because of a silence.
    pub silenced: u64,
    /// Alerts that no output was to be told of.
    pub unrouted: u64,
}

/// What every output knows of the open incidents.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Notifier {
    /// By dedup key, then by the output's topic.
    told: BTreeMap<String, BTreeMap<Arc<str>, Told>>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Told {
    thread: Thread,
    /// The output has not heard the newest: it was silenced, or knows only the narrower incident.
    owes_news: bool,
}

/// One step of a notifier.
struct Step<'a> {
    policy: &'a Policy,
    present: Timestamp,
    /// What is written is no news.
    reminds: bool,
    /// It was told before, under what silences there were then.
    is_rebuilding: bool,
    notices: Notices,
}

impl Policy {
    /// Everything goes to all of these outputs, in faultline's own format.
    pub fn to_all<'n>(names: impl IntoIterator<Item = &'n str>) -> Self {
        let output = |name: &str| Output { name: name.into(), topic: name.into(), writer: Writer::default() };
        Policy { outputs: names.into_iter().map(output).collect(), ..Policy::default() }
    }

    /// The outputs that routes give an alert; all of them where no route fits.
    fn routed(&self, alert: &Alert) -> Vec<bool> {
        let mut routed = vec![false; self.outputs.len()];
        let mut fits_any = false;
        for route in self.routes.iter().filter(|route| route.fits(alert)) {
            fits_any = true;
            for (output, is_routed) in self.outputs.iter().zip(&mut routed) {
                *is_routed |= route.outputs.contains(&output.name);
            }
            if !route.goes_on {
                return routed;
            }
        }
        if fits_any { routed } else { vec![true; self.outputs.len()] }
    }

    /// Whether anybody has to hear of open incidents of which there is no news.
    pub fn wants_reminders(&self) -> bool {
        let by_format = self.outputs.iter().any(|output| output.writer.format.wants_reminders());
        by_format || !self.routes.is_empty() || !self.silences.is_empty()
    }
}

impl Route {
    fn fits(&self, alert: &Alert) -> bool {
        self.matchers.iter().all(|matcher| matcher.matches(alert, Quantifier::Any))
    }
}

impl Notifier {
    /// Takes in what a report led to.
    pub fn take(&mut self, outcome: &Outcome, policy: &Policy) -> Notices {
        self.step(outcome, policy, false)
    }

    /// The same for a report of which others told long ago, perhaps under another policy: only what is known afterwards
    /// counts.
    pub fn rebuild(&mut self, outcome: &Outcome, policy: &Policy) {
        self.step(outcome, policy, true);
    }

    fn step(&mut self, outcome: &Outcome, policy: &Policy, is_rebuilding: bool) -> Notices {
        let notices = Notices::default();
        let mut step = Step { policy, present: outcome.present, reminds: false, is_rebuilding, notices };
        for alert in &outcome.alerts {
            match alert.status {
                Status::Firing => self.fire(alert, &mut step),
                Status::Resolved => self.resolve(alert, &outcome.alerts, &mut step),
            }
        }
        step.reminds = true;
        outcome.reminders.iter().for_each(|alert| self.fire(alert, &mut step));
        step.notices
    }

    fn fire(&mut self, alert: &Alert, step: &mut Step<'_>) {
        let routed = step.policy.routed(alert);
        let mut told = self.told.remove(&alert.dedup_key).unwrap_or_default();
        let mut is_heard = false;
        for (index, output) in step.policy.outputs.iter().enumerate() {
            let known = told.get(&output.topic);
            let is_news = !step.reminds || known.is_none_or(|known| known.owes_news);
            let is_wanted = routed[index] || known.is_some();
            is_heard |= is_wanted;
            if !is_wanted || !is_news && !output.writer.format.wants_reminders() {
                continue;
            }
            // What goes on as it was told is no news, and silence would be taken for its end.
            if is_news && step.policy.silences.hold_back(alert, &output.name, alert.updated_at) {
                step.notices.silenced += u64::from(!step.reminds);
                if let Some(known) = told.get_mut(&output.topic) {
                    known.owes_news = true;
                } else if step.is_rebuilding {
                    // It may have been told before the silence was set: better one end too many than none.
                    let thread = Thread { key: alert.dedup_key.clone(), severity: alert.severity };
                    told.insert(Arc::clone(&output.topic), Told { thread, owes_news: true });
                }
                continue;
            }
            let fresh = self.fresh_thread(alert, output).filter(|_| known.is_none());
            let thread = step.write(index, alert, known.map(|known| &known.thread).or(fresh.as_ref()));
            if let Some(thread) = thread {
                told.insert(Arc::clone(&output.topic), Told { thread, owes_news: false });
            }
        }
        step.notices.unrouted += u64::from(!is_heard && !step.reminds);
        if !told.is_empty() {
            self.told.insert(alert.dedup_key.clone(), told);
        }
    }

    /// Another name for an incident whose own one a wider incident goes on under.
    fn fresh_thread(&self, alert: &Alert, output: &Output) -> Option<Thread> {
        let is_used = |told: &BTreeMap<Arc<str>, Told>| {
            // Itself, or what it would become.
            let is_near = |key: &str| {
                key.strip_prefix(&*alert.dedup_key).is_some_and(|rest| rest.is_empty() || rest.starts_with('#'))
            };
            told.get(&output.topic).is_some_and(|told| is_near(&told.thread.key))
        };
        let clashes = output.writer.format == Format::PagerDuty && self.told.values().any(is_used);
        clashes.then(|| Thread {
            key: format::key_ending_in(&alert.dedup_key, &format!("#{}", alert.updated_at.as_millis())),
            severity: alert.severity,
        })
    }

    /// The end is told to those who were told of the beginning, unless a wider incident goes on in its place.
    fn resolve(&mut self, alert: &Alert, alerts: &[Alert], step: &mut Step<'_>) {
        let Some(mut told) = self.told.remove(&alert.dedup_key) else { return };
        let heir = alert
            .superseded_by
            .as_ref()
            .and_then(|key| alerts.iter().find(|other| other.dedup_key == *key && other.status == Status::Firing));
        for (index, output) in step.policy.outputs.iter().enumerate() {
            let Some(known) = told.remove(&output.topic) else { continue };
            if let Some(heir) = heir.filter(|_| output.writer.format.takes_over()) {
                let of_heir = self.told.entry(heir.dedup_key.clone()).or_default();
                if !of_heir.contains_key(&output.topic) {
                    of_heir.insert(Arc::clone(&output.topic), Told { owes_news: true, ..known });
                    continue;
                }
            }
            step.write(index, alert, Some(&known.thread));
        }
    }

    /// Open incidents that somebody was told of.
    pub fn len(&self) -> usize {
        self.told.len()
    }

    pub fn is_empty(&self) -> bool {
        self.told.is_empty()
    }
}

impl Step<'_> {
    fn write(&mut self, output: usize, alert: &Alert, told: Option<&Thread>) -> Option<Thread> {
        let firing_until = self.present.max(alert.updated_at).saturating_add(self.policy.forget_after);
        let Written { messages, thread } =
            self.policy.outputs[output].writer.write(alert, &Context { told, firing_until });
        let newest_signal = newest_signal(alert).filter(|_| !self.reminds);
        let notice = |message| Notice { output, message, newest_signal };
        self.notices.notices.extend(messages.into_iter().map(notice));
        thread
    }
}

/// The newest failure that a firing alert tells of; resolved ones are about silence.
fn newest_signal(alert: &Alert) -> Option<Timestamp> {
    let signals = alert.signals.iter().map(|signal| signal.last_seen);
    signals.max().filter(|_| alert.status == Status::Firing)
}

/// A list of matchers, none of which is left out.
pub fn matchers(item: &Item<'_>) -> Option<Vec<Matcher>> {
    let read = |item: &Item<'_>| Matcher::parse(&item.filled_text()?).map_err(|message| item.error(message)).ok();
    item.list()?.iter().map(read).collect()
}

/// A list of names of outputs that there are.
pub fn output_names(item: &Item<'_>, outputs: &[Arc<str>]) -> Option<BTreeSet<Arc<str>>> {
    let names: Vec<&str> = outputs.iter().map(|name| &**name).collect();
    let read = |item: &Item<'_>| {
        let text = item.filled_text()?;
        let known = outputs.iter().find(|name| ***name == *text).cloned();
        if known.is_none() {
            item.error(format!("no output is called `{text}`; {}", suggestion(&text, &names)));
        }
        known
    };
    item.list()?.iter().map(read).collect()
}

#[cfg(test)]
mod tests;
