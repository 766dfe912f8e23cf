//! The state of one cluster as bytes, from which another instance goes on as if it had read all the reports itself.
//!
//! The layout is that of the state's own types, written by position ([postcard]), so that whatever is added to the state
//! is saved with it. Bytes of another layout cannot be told from the bytes alone: who stores them stores [`LAYOUT`] too.
//!
//! [postcard]: https://postcard.jamesmunns.com/wire-format

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::bounds::Spoken;
use super::failures::Failures;
use super::flap::Flaps;
use super::incident::Incident;
use super::inventory::Inventory;
use super::watermark::Watermarks;
use super::window::SlidingWindow;
use super::{Beginning, Correlator, EventKey, EventSeen, Options, WindowKey};
use crate::ruleset::RuleSet;
use crate::time::Timestamp;

/// To be raised whenever a type that is part of the state changes. `tests/snapshots.rs` tells when it was forgotten.
pub const LAYOUT: u16 = 7;

/// Why bytes are no state.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no state of a cluster: {0}")]
pub struct Unusable(String);

impl From<postcard::Error> for Unusable {
    fn from(error: postcard::Error) -> Self {
        Unusable(error.to_string())
    }
}

/// Everything that a correlator knows, but for what the configuration says.
#[derive(Serialize, Deserialize)]
struct Saved<'a> {
    cluster: Cow<'a, Arc<str>>,
    /// Panes are counted in it.
    slide: Duration,
    /// What the rules saw by; what others would have seen is forgotten when the state is taken up.
    rules: BTreeMap<Arc<str>, u64>,
    watermarks: Cow<'a, Watermarks>,
    inventory: Cow<'a, Inventory>,
    failures: Cow<'a, Failures>,
    windows: Cow<'a, BTreeMap<WindowKey, SlidingWindow>>,
    event_counts: Cow<'a, BTreeMap<EventKey, EventSeen>>,
    incidents: Cow<'a, BTreeMap<String, Incident>>,
    flaps: Cow<'a, Flaps>,
    spoken: Spoken,
    began: Option<Timestamp>,
    beginning: Beginning,
    evaluated: Option<Timestamp>,
    lost_at: Option<Timestamp>,
}

impl Correlator {
    /// # Errors
    /// None that is known; a state is always writable.
    pub fn save(&self) -> Result<Vec<u8>, Unusable> {
        let saved = Saved {
            cluster: Cow::Borrowed(&self.cluster),
            slide: self.options.windows.slide,
            rules: self.rules.rules().iter().map(|rule| (Arc::clone(&rule.id), rule.sight())).collect(),
            watermarks: Cow::Borrowed(&self.watermarks),
            inventory: Cow::Borrowed(&self.inventory),
            failures: Cow::Borrowed(&self.failures),
            windows: Cow::Borrowed(&self.windows),
            event_counts: Cow::Borrowed(&self.event_counts),
            incidents: Cow::Borrowed(&self.incidents),
            flaps: Cow::Borrowed(&self.flaps),
            spoken: self.spoken,
            began: self.began,
            beginning: self.beginning,
            evaluated: self.evaluated,
            lost_at: self.lost_at,
        };
        Ok(postcard::to_stdvec(&saved)?)
    }

    /// The correlator that [`Correlator::save`] was called on, under the rules and options of now. What rules saw that are
    /// gone or see something else now is forgotten, as by [`Correlator::set_rules`].
    ///
    /// # Errors
    /// When the bytes are of another [`LAYOUT`] or damaged, or the windows slide otherwise now.
    pub fn restore(bytes: &[u8], rules: Arc<RuleSet>, options: Options) -> Result<Self, Unusable> {
        let saved: Saved<'_> = postcard::from_bytes(bytes)?;
        let slide = options.windows.slide;
        if saved.slide != slide {
            return Err(Unusable(format!("its windows slide by {:?}, not by {slide:?}", saved.slide)));
        }
        let mut correlator = Correlator::new(saved.cluster.into_owned(), rules, options);
        correlator.watermarks = saved.watermarks.into_owned().abandoning_after(options.windows.size);
        correlator.inventory = saved.inventory.into_owned().under(options.limits);
        correlator.failures = saved.failures.into_owned();
        correlator.windows = saved.windows.into_owned();
        correlator.event_counts = saved.event_counts.into_owned();
        correlator.incidents = saved.incidents.into_owned();
        correlator.flaps = saved.flaps.into_owned();
        correlator.spoken = saved.spoken;
        correlator.began = saved.began;
        correlator.beginning = saved.beginning;
        correlator.evaluated = saved.evaluated;
        correlator.lost_at = saved.lost_at;
        let rules = Arc::clone(&correlator.rules);
        let unchanged: BTreeSet<&str> = rules
            .rules()
            .iter()
            .filter(|rule| saved.rules.get(&rule.id) == Some(&rule.sight()))
            .map(|rule| &*rule.id)
            .collect();
        if unchanged.len() < saved.rules.len() {
            correlator.forget_others(&unchanged);
        }
        Ok(correlator)
    }

    pub fn cluster(&self) -> &Arc<str> {
        &self.cluster
    }
}
