//! What a pod does from its first day to its last, and what kubelet says about it.

use std::time::Duration;

use super::cluster::{Cluster, Controller, Pod, PodId};
use super::journal::{About, Happening, Journal, Reporter, Sign};
use super::symptom::{Shape, Symptom};
use crate::scenario::lines;
use crate::scenario::rng::Rng;
use crate::scenario::wire::seconds;
use crate::scenario::world::{FIRST_BACK_OFF, LONGEST_BACK_OFF};
use crate::time::Timestamp;

/// What is planned for a pod.
#[derive(Clone, Default, Debug)]
pub(super) struct Life {
    /// When the scheduler places it; `None`: it has been there since before the story.
    pub(super) from: Option<Timestamp>,
    /// When it is told to stop.
    pub(super) until: Option<Timestamp>,
    pub(super) trouble: Option<Trouble>,
    /// Single crashes, in the order of time.
    pub(super) flakes: Vec<(Timestamp, &'static Symptom)>,
    /// What it says all the time.
    pub(super) mumbles: Option<&'static Symptom>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Trouble {
    pub(super) symptom: &'static Symptom,
    /// For a pod that fails from its start on, any time before that.
    pub(super) from: Timestamp,
    pub(super) cure: Option<Cure>,
    /// It has gone on for hours: five minutes between two attempts.
    pub(super) is_old: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Cure {
    /// From then on the next attempt works, whenever it comes.
    NextAttempt(Timestamp),
    /// The container is started then, for its node was.
    Restart(Timestamp),
}

impl Life {
    pub(super) fn is_undisturbed(&self) -> bool {
        self.trouble.is_none() && self.flakes.is_empty() && self.mumbles.is_none()
    }
}

/// Lives the life of one pod.
pub(super) struct Teller<'s> {
    pub(super) cluster: &'s Cluster,
    pub(super) journal: &'s mut Journal,
    pub(super) rng: &'s mut Rng,
    pub(super) id: PodId,
}

impl Teller<'_> {
    fn pod(&self) -> &'_ Pod {
        &self.cluster.pods[self.id]
    }

    /// Returns when the pod ran again after its trouble, if it did before its end.
    pub(super) fn tell(mut self) -> Option<Timestamp> {
        let life = self.pod().life.clone();
        let end = life.until.unwrap_or(self.journal.span().to).min(self.journal.span().to);
        let mut at = self.journal.span().from;
        let mut trouble = life.trouble;
        if let Some(from) = life.from {
            self.place(from);
            at = from.saturating_add(self.rng.millis(1_000, 3_000));
            if let Some(trouble) = trouble.as_mut().filter(|trouble| trouble.from <= from) {
                trouble.from = at;
            } else {
                at = self.start_up(at);
            }
        }
        let again = match trouble {
            None => {
                self.live(&life, at, end);
                None
            }
            Some(trouble) => self.suffer(&life, trouble, at, end),
        };
        if let Some(until) = life.until.filter(|_| self.cluster.workload_of(self.id).controller != Controller::Job) {
            let message = format!("Stopping container {}", self.pod().identity.container_name);
            self.kubelet(until, "Killing", &message, Sign::Normal);
        }
        again
    }

    fn kubelet(&mut self, at: Timestamp, reason: &str, message: &str, sign: Sign) {
        self.journal.kubelet(self.cluster, self.id, at, (reason, message), sign);
    }

    fn say(&mut self, at: Timestamp, line: &str, is_error: bool, is_sign: bool) {
        self.journal.log(self.cluster, self.id, at, line, is_error, is_sign);
    }

    /// The controller makes the pod and the scheduler finds a node.
    fn place(&mut self, at: Timestamp) {
        let workload = self.cluster.workload_of(self.id);
        let (kind, component) = workload.controller.owner();
        let owner = workload.owner(&self.pod().revision);
        let happening = Happening {
            by: Reporter::Controller(component),
            about: About::Object(kind, &workload.namespace, &owner),
            reason: "SuccessfulCreate",
            message: &format!("Created pod: {}", self.pod().identity.pod_name),
            is_warning: false,
        };
        self.journal.event(self.cluster, at.saturating_sub(Duration::from_millis(300)), &happening, None);
        self.journal.scheduled(self.cluster, self.id, at);
    }

    /// The first start of a new pod: perhaps its image comes first, and perhaps it is not ready at once.
    fn start_up(&mut self, at: Timestamp) -> Timestamp {
        let mut at = at;
        if self.rng.chance(50) {
            let image = self.pod().identity.container_image.clone();
            self.kubelet(at, "Pulling", &format!("Pulling image \"{image}\""), Sign::Normal);
            let took = self.rng.millis(1_000, 15_000);
            at = at.saturating_add(took);
            let message = format!(
                "Successfully pulled image \"{image}\" in {}ms ({}ms including waiting). Image size: 91021312 bytes.",
                took.as_millis(),
                took.as_millis()
            );
            self.kubelet(at, "Pulled", &message, Sign::Normal);
            self.started(at);
        } else {
            self.present(at);
            self.started(at);
        }
        if self.rng.chance(30) && self.cluster.workload_of(self.id).controller != Controller::Job {
            let message = format!(
                "Readiness probe failed: Get \"http://{ip}:8080/ready\": dial tcp {ip}:8080: connect: connection refused",
                ip = self.pod().identity.pod_ip
            );
            self.kubelet(at.saturating_add(Duration::from_secs(5)), "Unhealthy", &message, Sign::Warning);
        }
        at.saturating_add(Duration::from_millis(700))
    }

    fn present(&mut self, at: Timestamp) {
        let message = format!("Container image \"{}\" already present on machine", self.pod().identity.container_image);
        self.kubelet(at, "Pulled", &message, Sign::Normal);
    }

    fn started(&mut self, at: Timestamp) {
        let name = self.pod().identity.container_name.clone();
        let created = at.saturating_add(Duration::from_millis(200));
        self.kubelet(created, "Created", &format!("Created container {name}"), Sign::Normal);
        let started = at.saturating_add(Duration::from_millis(500));
        self.kubelet(started, "Started", &format!("Started container {name}"), Sign::Normal);
    }

    /// Healthy but for single crashes and what it always says.
    fn live(&mut self, life: &Life, from: Timestamp, until: Timestamp) {
        let mut from = from;
        for &(at, symptom) in &life.flakes {
            if at <= from || at >= until {
                continue;
            }
            self.chat(life, from, at);
            from = self.crash_once(symptom, at);
        }
        self.chat(life, from, until);
    }

    fn chat(&mut self, life: &Life, from: Timestamp, until: Timestamp) {
        let workload = self.cluster.workload_of(self.id);
        let pace = u64::try_from(workload.pace.as_millis()).unwrap_or(u64::MAX / 2);
        let mut at = from.saturating_add(self.rng.millis(0, pace));
        while at < until {
            let (line, is_error) = lines::line(workload.voice, self.rng, at);
            self.say(at, &line, is_error, false);
            at = at.saturating_add(self.rng.millis(pace / 10 + 1, pace * 2 - pace / 10));
        }
        if let Some(symptom) = life.mumbles {
            let from = from.saturating_add(self.rng.millis(0, 5_000));
            self.complain(symptom, from, until, (3_000, 12_000), false);
        }
    }

    /// Says the symptom's line again and again, so many milliseconds apart.
    fn complain(
        &mut self,
        symptom: &Symptom,
        from: Timestamp,
        until: Timestamp,
        (least, most): (u64, u64),
        is_sign: bool,
    ) {
        let Shape::Complains(line) = symptom.shape else { return };
        let mut at = from;
        while at < until {
            self.say(at, line, true, is_sign);
            at = at.saturating_add(self.rng.millis(least, most));
        }
    }

    /// The container ends on the symptom and is back within seconds. Returns when.
    fn crash_once(&mut self, symptom: &Symptom, at: Timestamp) -> Timestamp {
        let mut at = self.last_words(symptom, at, false);
        if self.rng.chance(40) {
            let message = self.pod().identity.back_off();
            self.kubelet(at.saturating_add(Duration::from_secs(1)), "BackOff", &message, Sign::Warning);
            at = at.saturating_add(Duration::from_secs(12));
        }
        at = at.saturating_add(Duration::from_millis(1_500));
        self.present(at);
        self.started(at);
        at.saturating_add(Duration::from_secs(1))
    }

    /// The trouble from its beginning to the pod's end or its cure. Returns when it ran again.
    fn suffer(&mut self, life: &Life, trouble: Trouble, at: Timestamp, end: Timestamp) -> Option<Timestamp> {
        self.live(life, at, trouble.from.min(end));
        let cured = trouble.cure.map(|(Cure::NextAttempt(at) | Cure::Restart(at))| at);
        let until = cured.map_or(end, |cured| cured.min(end));
        if let Shape::Complains(_) = trouble.symptom.shape {
            let first = trouble.from.saturating_add(self.rng.millis(0, 40_000));
            self.complain(trouble.symptom, first, until, (4_000, 15_000), true);
            self.live(&Life::default(), trouble.from, end);
            return cured.filter(|&cured| cured < end);
        }
        let next = if trouble.is_old { self.fail_as_ever(trouble, until) } else { self.crash_loop(trouble, until) };
        let again = match trouble.cure? {
            Cure::NextAttempt(_) => next,
            Cure::Restart(at) => at.saturating_add(self.rng.millis(2_000, 15_000)),
        };
        if again >= end {
            return None;
        }
        self.present(again);
        self.started(again);
        self.live(life, again.saturating_add(Duration::from_millis(800)), end);
        Some(again)
    }

    /// Hours into its crash loop.
    fn fail_as_ever(&mut self, trouble: Trouble, until: Timestamp) -> Timestamp {
        let from = self.journal.span().from;
        let first = from.saturating_sub(self.rng.millis(20_000_000, 90_000_000));
        let count = self.rng.between(200, 900) as u32;
        self.journal.has_long_failed(self.cluster, self.id, first, count);
        let mut at = from.saturating_add(self.rng.millis(0, 300_000));
        while at < until {
            let ended = self.attempt(trouble.symptom, at);
            at = self.back_off(ended, LONGEST_BACK_OFF, until);
        }
        at
    }

    /// Returns when the first attempt after `until` comes.
    fn crash_loop(&mut self, trouble: Trouble, until: Timestamp) -> Timestamp {
        let symptom = trouble.symptom;
        let is_running = self.pod().life.from.is_none_or(|from| from < trouble.from);
        if is_running && matches!(symptom.shape, Shape::NoSandbox(_)) {
            let message = "Pod sandbox changed, it will be killed and re-created.";
            self.kubelet(trouble.from, "SandboxChanged", message, Sign::Normal);
        }
        let mut at = trouble.from;
        let mut wait = FIRST_BACK_OFF;
        let mut is_first = matches!(symptom.shape, Shape::Exits { .. });
        while at < until {
            let ended = self.attempt(symptom, at);
            if matches!(symptom.shape, Shape::NoSandbox(_)) {
                at = ended.saturating_add(self.rng.millis(11_000, 17_000));
            } else if is_first {
                // The first restart is immediate.
                is_first = false;
                at = ended.saturating_add(self.rng.millis(500, 2_000));
            } else {
                at = self.back_off(ended, wait, until);
                wait = (wait * 2).min(LONGEST_BACK_OFF);
            }
        }
        at
    }

    /// kubelet waits, and says so at each of its rounds. Returns when it tries again.
    fn back_off(&mut self, ended: Timestamp, wait: Duration, until: Timestamp) -> Timestamp {
        let next = ended.saturating_add(wait).saturating_add(self.rng.millis(0, 4_000));
        let message = self.pod().identity.back_off();
        let mut told = ended.saturating_add(self.rng.millis(500, 2_000));
        while told < next.min(until) {
            self.kubelet(told, "BackOff", &message, Sign::Failure);
            told = told.saturating_add(self.rng.millis(11_000, 15_000));
        }
        next
    }

    /// One start that fails. Returns when it was over.
    fn attempt(&mut self, symptom: &Symptom, at: Timestamp) -> Timestamp {
        match symptom.shape {
            Shape::NoSandbox(message) => {
                let message = self.fill_in(message, at);
                let failed = at.saturating_add(Duration::from_millis(500));
                self.kubelet(failed, "FailedCreatePodSandBox", &message, Sign::Failure);
                failed
            }
            Shape::NotStarted(message) => {
                self.present(at);
                let message = self.fill_in(message, at);
                let failed = at.saturating_add(Duration::from_millis(800));
                self.kubelet(failed, "Failed", &message, Sign::Failure);
                failed
            }
            Shape::Exits { .. } | Shape::Complains(_) => {
                self.present(at);
                self.started(at);
                self.last_words(symptom, at.saturating_add(Duration::from_millis(600)), true)
            }
        }
    }

    fn last_words(&mut self, symptom: &Symptom, at: Timestamp, with_prelude: bool) -> Timestamp {
        let Shape::Exits { before, telling, after } = symptom.shape else { return at };
        let mut at = at;
        for line in before.iter().filter(|_| with_prelude) {
            let line = self.fill_in(line, at);
            self.say(at, &line, true, false);
            at = at.saturating_add(self.rng.millis(1, 800));
        }
        if let Some(line) = telling {
            let line = self.fill_in(line, at);
            self.say(at, &line, true, true);
        }
        for line in after {
            at = at.saturating_add(Duration::from_millis(1));
            self.say(at, line, true, false);
        }
        at.saturating_add(Duration::from_millis(100))
    }

    fn fill_in(&mut self, text: &str, at: Timestamp) -> String {
        let time = seconds(at);
        let text = text.replace("{time}", time.trim_end_matches('Z'));
        let text = text.replace("{container}", &self.pod().identity.container_name);
        if text.contains("{id}") { text.replace("{id}", &self.rng.hex(64)) } else { text }
    }
}
