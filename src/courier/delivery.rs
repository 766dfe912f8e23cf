//! What is sent next, and what its answer leads to.

use std::time::Duration;

use super::memory::Open;
use super::opening::{self, Body};
use super::{Content, Courier, Moment, Next, Outcome, Parcel, Phase, Place, Target, Verdict, Waiting};
use crate::format::{Context, Thread};

/// One request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shipment {
    pub content_type: String,
    /// Of the alert, if it is one alone.
    pub id: Option<String>,
    pub body: Vec<u8>,
    /// Alerts in it.
    pub alerts: usize,
}

/// The records of the request that is under way.
#[derive(Debug)]
pub struct InFlight(Vec<Item>);

#[derive(Debug)]
struct Item {
    key: String,
    place: Place,
    /// Whether its record is done with this request.
    last: bool,
    /// What receivers know afterwards.
    knows: Knows,
}

#[derive(Debug)]
enum Knows {
    /// What they did.
    Unchanged,
    Open(Option<Thread>),
    Over,
}

impl Knows {
    fn open(&self) -> Option<Open> {
        match self {
            Knows::Open(thread) => Some(Open { thread: thread.clone() }),
            Knows::Unchanged | Knows::Over => None,
        }
    }
}

/// What a record becomes: its requests in order, without those that are done.
struct Rendered {
    requests: Vec<Body>,
    knows: Knows,
}

impl Courier {
    /// What to do now. After [`Next::Send`] comes [`Courier::answered`].
    pub fn next(&mut self, now: Moment) -> Next {
        if self.lines.len() == 0 {
            return Next::Idle;
        }
        if let Some((until, why)) = self.pace.blocked(now.elapsed) {
            return Next::Wait { until, why };
        }
        loop {
            let ready = self.lines.ready(now.elapsed).into_iter().next().cloned();
            let Some(key) = ready else { break };
            if let Some(shipment) = self.ship(&key, now) {
                self.pace.sent(now.elapsed);
                return Next::Send(shipment);
            }
        }
        self.lines.next_ready().map_or(Next::Idle, |until| Next::Wait { until, why: Waiting::Keys })
    }

    /// `None`: there is nothing to send for that key's head, which is settled.
    fn ship(&mut self, key: &str, now: Moment) -> Option<Shipment> {
        let head = self.lines.get(key)?.head()?;
        let alone = head.alone;
        let (place, id) = (head.parcel.place.clone(), head.parcel.id.clone());
        let rendered = self.render(key, now)?;
        let Some(first) = rendered.requests.first() else {
            self.finish(&Item { key: key.to_owned(), place, last: true, knows: rendered.knows });
            return None;
        };
        let (content_type, mut body) = (first.content_type.clone(), first.bytes.clone());
        let last = rendered.requests.len() == 1;
        let mut items = vec![Item { key: key.to_owned(), place, last, knows: rendered.knows }];
        if self.options.target == Target::Alertmanager && !alone && last {
            self.add_others(&mut items, &mut body, now);
        }
        for item in &items {
            if let Some(entry) = self.lines.head_at(&item.key, &item.place) {
                entry.in_flight = true;
            }
        }
        let id = id.filter(|_| items.len() == 1);
        let alerts = items.len();
        self.in_flight = Some(InFlight(items));
        Some(Shipment { content_type, id, body, alerts })
    }

    /// Further states in the same request.
    fn add_others(&self, items: &mut Vec<Item>, body: &mut Vec<u8>, now: Moment) {
        for key in self.lines.ready(now.elapsed) {
            if items.len() >= self.options.batch {
                break;
            }
            let Some(head) = self.lines.get(key).and_then(|line| line.head()) else { continue };
            if head.alone || items.iter().any(|item| item.key == *key) {
                continue;
            }
            let Some(rendered) = self.render(key, now) else { continue };
            if let [other] = &rendered.requests[..]
                && opening::append(body, &other.bytes)
            {
                let place = head.parcel.place.clone();
                items.push(Item { key: key.clone(), place, last: true, knows: rendered.knows });
            }
        }
    }

    /// The requests of that key's head that are to be made still.
    fn render(&self, key: &str, now: Moment) -> Option<Rendered> {
        let head = self.lines.get(key)?.head()?;
        let (mut requests, knows) = self.write(&head.parcel, now);
        requests.drain(..head.sent.min(requests.len()));
        Some(Rendered { requests, knows })
    }

    fn write(&self, parcel: &Parcel, now: Moment) -> (Vec<Body>, Knows) {
        match &parcel.content {
            Content::Own(body) => {
                let knows = match parcel.phase {
                    Phase::Firing => Knows::Open(None),
                    Phase::Resolved => Knows::Over,
                    Phase::Unknown => Knows::Unchanged,
                };
                (vec![body.clone()], knows)
            }
            Content::Alert(alert) => {
                let told = self.told.thread(&parcel.key);
                let firing_until = now.wall.saturating_add(self.options.firing_hold);
                let written = self.options.writer.write(alert, &Context { told, firing_until });
                let requests = written.messages.into_iter().map(|message| Body {
                    content_type: message.content_type.to_owned(),
                    bytes: opening::with_channel(message.value, self.options.channel.as_deref()),
                });
                let knows = written.thread.map_or(Knows::Over, |thread| Knows::Open(Some(thread)));
                (requests.collect(), knows)
            }
        }
    }

    /// What the receiver, or the way there, said to the request that [`Courier::next`] gave out.
    pub fn answered(&mut self, verdict: &Verdict, now: Moment) -> Outcome {
        let Some(InFlight(items)) = self.in_flight.take() else { return Outcome::Delivered(0) };
        match verdict {
            Verdict::Delivered => {
                self.pace.delivered(now.elapsed);
                Outcome::Delivered(items.iter().filter(|item| self.finish(item)).count())
            }
            Verdict::Retry { after, reached, .. } => self.retry(items, *after, *reached, now),
            Verdict::Pause { .. } => {
                // Others are taken: it is no wrong key of ours.
                if let [item] = &items[..]
                    && self.is_hopeless(item, now.elapsed)
                {
                    return self.refuse(&items, true);
                }
                items.iter().for_each(|item| self.back_in_line(item, false, now.elapsed));
                Outcome::Paused(self.pace.failed(now.elapsed, None, &mut self.rng))
            }
            Verdict::Refused { .. } if items.len() > 1 => {
                items.iter().for_each(|item| self.try_alone(item, now.elapsed));
                Outcome::Retrying(Duration::ZERO)
            }
            Verdict::Refused { .. } => self.refuse(&items, false),
        }
    }

    fn retry(&mut self, items: Vec<Item>, after: Option<Duration>, reached: bool, now: Moment) -> Outcome {
        let after = after.map(|after| after.min(self.options.retry_after_max));
        if let [item] = &items[..]
            && reached
            && self.is_hopeless(item, now.elapsed)
        {
            return self.refuse(&items, true);
        }
        for item in &items {
            self.back_in_line(item, reached, now.elapsed);
            let Some(line) = self.lines.get_mut(&item.key) else { continue };
            let Some(head) = line.head_mut().filter(|head| head.parcel.place == item.place) else { continue };
            head.attempts = head.attempts.saturating_add(1);
            if items.len() == 1 && reached {
                let attempts = head.attempts;
                line.not_before = now.elapsed + self.options.backoff.wait(attempts, &mut self.rng);
            }
        }
        Outcome::Retrying(self.pace.failed(now.elapsed, after, &mut self.rng))
    }

    /// It has failed for too long while others were delivered: it is to blame, not the receiver. An outage is held against
    /// nobody, nor is the time for which a key was wrong.
    fn is_hopeless(&mut self, item: &Item, now: Duration) -> bool {
        let Some(entry) = self.lines.head_at(&item.key, &item.place) else { return false };
        if let Some(before) = entry.last_failed.filter(|before| self.pace.has_delivered_since(*before)) {
            entry.to_blame += now.saturating_sub(before);
        }
        entry.to_blame >= self.options.retry_for
    }

    fn back_in_line(&mut self, item: &Item, may_be_known: bool, now: Duration) {
        let known = self.told.thread(&item.key).map(|thread| thread.key.clone());
        if let Some(entry) = self.lines.head_at(&item.key, &item.place) {
            entry.in_flight = false;
            let after = item.knows.open().and_then(|open| open.thread).map(|thread| thread.key);
            entry.splits |= may_be_known && !item.last && known.is_some() && known != after;
            entry.last_failed = Some(now);
            entry.uncertain |= may_be_known;
            if may_be_known {
                entry.perhaps = item.knows.open();
            }
        }
    }

    fn try_alone(&mut self, item: &Item, now: Duration) {
        // Alertmanager takes what is valid out of a request that it refuses.
        self.back_in_line(item, true, now);
        if let Some(entry) = self.lines.head_at(&item.key, &item.place) {
            entry.alone = true;
        }
    }

    /// Whether the record is settled by this.
    fn finish(&mut self, item: &Item) -> bool {
        let Some(entry) = self.lines.head_at(&item.key, &item.place) else { return false };
        entry.in_flight = false;
        if !item.last {
            entry.sent += 1;
            entry.perhaps = item.knows.open();
            return false;
        }
        self.lines.pop(&item.key);
        self.handovers.retain(|_, narrower| *narrower != item.key);
        match &item.knows {
            Knows::Unchanged => {}
            knows => self.told.set(&item.key, knows.open()),
        }
        self.settlement.settle(&item.place);
        true
    }

    fn refuse(&mut self, items: &[Item], given_up: bool) -> Outcome {
        for item in items {
            if self.lines.head_at(&item.key, &item.place).is_none() {
                continue;
            }
            let perhaps = self.lines.pop(&item.key).and_then(|entry| entry.perhaps);
            if perhaps.is_some() {
                self.told.set(&item.key, perhaps);
            }
        }
        Outcome::Refused { places: items.iter().map(|item| item.place.clone()).collect(), given_up }
    }

    /// A record of an earlier life: what it told is known.
    pub(super) fn remember(&mut self, parcel: &Parcel, now: Moment) {
        self.ids.is_new(parcel.id.as_deref());
        let wider = opening::superseded_by(parcel).filter(|_| self.options.writer.format.takes_over());
        if let Some(wider) = wider
            && self.told.thread(&parcel.key).is_some()
            && self.told.open(wider).is_none()
        {
            return self.told.hand_over(&parcel.key, wider);
        }
        match self.write(parcel, now).1 {
            Knows::Unchanged => {}
            knows => self.told.set(&parcel.key, knows.open()),
        }
    }

    /// An incident that a wider one supersedes goes on under its own name, where receivers can follow: its end is not
    /// told, and what the wider one says updates it. Both arrive at about the same time, in either order.
    pub(super) fn consider_handover(&mut self, key: &str, now: Moment) {
        if !self.options.writer.format.takes_over() {
            return;
        }
        if let Some(narrower) = self.handovers.remove(key)
            && self.awaits(&narrower) == Some(key)
        {
            return self.hand_over(&narrower, key);
        }
        let Some(wider) = self.awaits(key).map(str::to_owned) else { return };
        let begins = |parcel: &Parcel| parcel.phase == Phase::Firing;
        let is_here = self.lines.get(&wider).and_then(|line| line.head());
        if is_here.is_some_and(|head| head.is_untouched() && begins(&head.parcel)) {
            self.hand_over(key, &wider);
        } else if !self.handovers.contains_key(&wider)
            && let Some(line) = self.lines.get_mut(key)
        {
            line.not_before = now.elapsed + self.options.handover_wait;
            self.handovers.insert(wider, key.to_owned());
        }
    }

    /// The wider incident that this one's end, which waits untouched, names, if nothing else stands in the way.
    fn awaits(&self, key: &str) -> Option<&str> {
        let end = self.lines.get(key)?.only().filter(|entry| entry.is_untouched())?;
        let wider = opening::superseded_by(&end.parcel)?;
        (self.told.thread(key).is_some() && self.told.open(wider).is_none()).then_some(wider)
    }

    fn hand_over(&mut self, narrower: &str, wider: &str) {
        self.told.hand_over(narrower, wider);
        if let Some(entry) = self.lines.pop(narrower) {
            self.settlement.settle(&entry.parcel.place);
        }
    }
}
