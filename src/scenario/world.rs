//! A cluster that writes down what its pods do.

use std::collections::BTreeMap;
use std::time::Duration;

use super::lines::{self, Voice};
use super::rng::{HASH_LETTERS, Rng, SUFFIX_LETTERS};
use super::wire::{
    EventRecord, FluentBitRecord, InvolvedObject, Kubernetes, Metadata, Seconds, Source, Timestamped, involved_pod,
};
use super::{FailingPod, Scenario, ScenarioRecord, Stream, Truth};
use crate::time::Timestamp;

/// kubelet's crash-loop back-off.
pub(crate) const FIRST_BACK_OFF: Duration = Duration::from_secs(10);
pub(crate) const LONGEST_BACK_OFF: Duration = Duration::from_secs(300);
/// How often kubelet says that it is backing off.
const BACK_OFF_EVENTS: Duration = Duration::from_secs(12);

#[derive(Clone, Copy)]
pub(super) enum Kind {
    Deployment,
    DaemonSet,
    StatefulSet,
    CronJob,
}

/// What pods are made from.
#[derive(Clone, Copy)]
pub(super) struct Workload {
    pub(super) kind: Kind,
    pub(super) namespace: &'static str,
    pub(super) name: &'static str,
    /// Without its tag.
    pub(super) image: &'static str,
    pub(super) voice: Voice,
}

/// A generation of a workload's pods.
pub(super) struct Revision {
    pub(super) workload: Workload,
    /// What pods' names have between the workload's and their own part: a hash, a scheduled time or nothing.
    infix: String,
    tag: &'static str,
    next_ordinal: u64,
}

pub(super) struct Pod {
    pub(super) kubernetes: Kubernetes,
    voice: Voice,
    workload: String,
}

impl Pod {
    /// A line of the pod as Fluent Bit writes it; `None` cannot happen: string keys, finite numbers, no I/O.
    pub(super) fn log_record(&self, at: Timestamp, line: &str, is_error: bool) -> Option<String> {
        serde_json::to_string(&FluentBitRecord::new(at, line, is_error, &self.kubernetes)).ok()
    }

    fn failing(&self, first_failure: Timestamp) -> FailingPod {
        FailingPod {
            namespace: self.kubernetes.namespace_name.clone(),
            pod: self.kubernetes.pod_name.clone(),
            workload: self.workload.clone(),
            node: self.kubernetes.host.clone(),
            first_failure,
        }
    }
}

pub(super) struct World {
    pub(super) rng: Rng,
    records: Vec<ScenarioRecord>,
    truth: Truth,
    /// Nothing is written from here on.
    end: Timestamp,
    /// Mean time between two lines of a pod.
    pace: Duration,
}

impl World {
    pub(super) fn new(seed: u64, end: Timestamp, pace: Duration) -> Self {
        World { rng: Rng::new(seed), records: Vec::new(), truth: Truth::default(), end, pace }
    }

    pub(super) fn end(&self) -> Timestamp {
        self.end
    }

    pub(super) fn finish(mut self, turning_point: Timestamp, accuse: impl FnOnce(&mut Truth)) -> Scenario {
        // Stable: what was written first at the same instant stays first.
        self.records.sort_by_key(|record| record.at);
        self.truth.failing.sort_by(|a, b| (a.first_failure, &a.pod).cmp(&(b.first_failure, &b.pod)));
        accuse(&mut self.truth);
        Scenario { records: self.records, turning_point, truth: self.truth }
    }

    pub(super) fn revision(&mut self, workload: Workload, tag: &'static str) -> Revision {
        let infix = match workload.kind {
            Kind::Deployment => format!("-{}", self.rng.letters(HASH_LETTERS, 10)),
            Kind::DaemonSet | Kind::StatefulSet => String::new(),
            Kind::CronJob => format!("-{}", self.rng.between(29_000_000, 29_999_999)),
        };
        Revision { workload, infix, tag, next_ordinal: 0 }
    }

    pub(super) fn pod(&mut self, revision: &mut Revision, node: &str) -> Pod {
        let Workload { kind, namespace, name, image, voice } = revision.workload;
        let own_part = match kind {
            Kind::StatefulSet => revision.next_ordinal.to_string(),
            Kind::Deployment | Kind::DaemonSet | Kind::CronJob => self.rng.letters(SUFFIX_LETTERS, 5),
        };
        revision.next_ordinal += 1;
        let mut labels = BTreeMap::from([("app".to_owned(), name.to_owned())]);
        if matches!(kind, Kind::Deployment) {
            labels.insert("pod-template-hash".to_owned(), revision.infix.trim_start_matches('-').to_owned());
        }
        let pod_ip = format!("10.244.{}.{}", self.rng.below(200), self.rng.between(2, 250));
        let annotations = BTreeMap::from([("cni.projectcalico.org/podIP".to_owned(), format!("{pod_ip}/32"))]);
        let kubernetes = Kubernetes {
            pod_name: format!("{name}{}-{own_part}", revision.infix),
            namespace_name: namespace.to_owned(),
            pod_id: self.rng.uuid(),
            labels,
            annotations,
            host: node.to_owned(),
            pod_ip,
            container_name: name.to_owned(),
            docker_id: self.rng.hex(64),
            container_hash: format!("{image}@sha256:{}", self.rng.hex(64)),
            container_image: format!("{image}:{}", revision.tag),
        };
        Pod { kubernetes, voice, workload: format!("{namespace}/{name}") }
    }

    /// One pod for each of `nodes`, all of them running since before the story.
    pub(super) fn running(&mut self, revision: &mut Revision, nodes: &[&str]) -> Vec<Pod> {
        nodes.iter().map(|node| self.pod(revision, node)).collect()
    }

    /// The pod talks at its pace.
    pub(super) fn talk(&mut self, pod: &Pod, from: Timestamp, until: Timestamp) {
        let until = until.min(self.end);
        let pace = u64::try_from(self.pace.as_millis()).unwrap_or(u64::MAX / 2);
        let mut at = from.saturating_add(self.rng.millis(0, pace));
        while at < until {
            let (line, is_error) = lines::line(pod.voice, &mut self.rng, at);
            self.log(pod, at, &line, is_error);
            at = at.saturating_add(self.rng.millis(pace / 2 + 1, pace + pace / 2));
        }
    }

    pub(super) fn log(&mut self, pod: &Pod, at: Timestamp, line: &str, is_error: bool) {
        let value = pod.log_record(at, line, is_error);
        self.push(at, Stream::Logs, value);
    }

    /// The scheduler places the pod and kubelet starts it. Returns when its container starts.
    pub(super) fn start(&mut self, pod: &Pod, at: Timestamp) -> Timestamp {
        let node = &pod.kubernetes.host;
        let scheduled =
            format!("Successfully assigned {}/{} to {node}", pod.kubernetes.namespace_name, pod.kubernetes.pod_name);
        self.scheduler_event(pod, at, "Scheduled", &scheduled);
        let pulling = at.saturating_add(self.rng.millis(50, 150));
        let image = pod.kubernetes.container_image.clone();
        self.pod_event(pod, pulling, "Pulling", &format!("Pulling image \"{image}\""));
        let pulled = pulling.saturating_add(self.rng.millis(100, 300));
        self.pod_event(pod, pulled, "Pulled", &format!("Successfully pulled image \"{image}\""));
        let started = pulled.saturating_add(self.rng.millis(100, 300));
        self.pod_event(pod, started, "Created", &format!("Created container {}", pod.kubernetes.container_name));
        self.pod_event(pod, started, "Started", &format!("Started container {}", pod.kubernetes.container_name));
        started
    }

    /// The pod is ended for good.
    pub(super) fn stop(&mut self, pod: &Pod, at: Timestamp) {
        self.pod_event(pod, at, "Killing", &format!("Stopping container {}", pod.kubernetes.container_name));
    }

    /// The pod's container starts, says `last_words`, dies, and is started again after kubelet's back-off, until the
    /// story ends.
    pub(super) fn crash_loop(&mut self, pod: &Pod, started: Timestamp, last_words: impl Fn(Timestamp) -> Vec<String>) {
        let name = pod.kubernetes.container_name.clone();
        let message = pod.kubernetes.back_off();
        let mut back_offs = Series::of_kubelet(&mut self.rng, "BackOff", "Warning", message);
        let mut starts = Series::of_kubelet(&mut self.rng, "Started", "Normal", format!("Started container {name}"));
        let mut started = started;
        let mut back_off = FIRST_BACK_OFF;
        let mut is_known = false;
        while started < self.end {
            let died = started.saturating_add(self.rng.millis(300, 900));
            for (line, text) in (0..).zip(last_words(died)) {
                self.log(pod, died.saturating_add(Duration::from_millis(line)), &text, true);
            }
            if !is_known && died < self.end {
                self.truth.failing.push(pod.failing(died));
                is_known = true;
            }
            let restarted = died.saturating_add(back_off);
            let mut told = died.saturating_add(self.rng.millis(700, 1_300));
            while told < restarted {
                self.repeat(&mut back_offs, pod, told);
                told = told.saturating_add(BACK_OFF_EVENTS).saturating_add(self.rng.millis(0, 2_000));
            }
            self.repeat(&mut starts, pod, restarted);
            started = restarted;
            back_off = (back_off * 2).min(LONGEST_BACK_OFF);
        }
    }

    /// An event of kubelet that happens once.
    pub(super) fn pod_event(&mut self, pod: &Pod, at: Timestamp, reason: &'static str, message: &str) {
        let mut series = Series::of_kubelet(&mut self.rng, reason, "Normal", message.to_owned());
        self.repeat(&mut series, pod, at);
    }

    /// One more occurrence of an event of kubelet about a pod: the same uid, one more in its count.
    pub(super) fn repeat(&mut self, series: &mut Series, pod: &Pod, at: Timestamp) {
        series.count += 1;
        let first = *series.first.get_or_insert(at);
        let kubernetes = &pod.kubernetes;
        let metadata = Metadata {
            name: format!("{}.{}", kubernetes.pod_name, series.name_part),
            namespace: &kubernetes.namespace_name,
            uid: &series.uid,
            resource_version: self.rng.between(100_000, 999_999).to_string(),
            creation_timestamp: Seconds(first),
        };
        let record = EventRecord {
            source: Source { component: "kubelet", host: &kubernetes.host },
            first_timestamp: Some(Seconds(first)),
            last_timestamp: Some(Seconds(at)),
            count: Some(series.count),
            event_type: series.event_type,
            reporting_component: "kubelet",
            reporting_instance: &kubernetes.host,
            ..EventRecord::new(series.reason, &series.message, metadata, involved_pod(kubernetes))
        };
        self.push(at, Stream::Events, serde_json::to_string(&record).ok());
    }

    /// The scheduler writes the newer fields: no host, no count, no first and last time.
    fn scheduler_event(&mut self, pod: &Pod, at: Timestamp, reason: &str, message: &str) {
        let uid = self.rng.uuid();
        let kubernetes = &pod.kubernetes;
        let metadata = Metadata {
            name: format!("{}.{}", kubernetes.pod_name, self.rng.hex(16)),
            namespace: &kubernetes.namespace_name,
            uid: &uid,
            resource_version: self.rng.between(100_000, 999_999).to_string(),
            creation_timestamp: Seconds(at),
        };
        let record = EventRecord {
            event_time: Some(Timestamped(at)),
            reporting_component: "default-scheduler",
            reporting_instance: "default-scheduler-kube-scheduler-5f6d8c9b47-l2vqz",
            ..EventRecord::new(reason, message, metadata, involved_pod(kubernetes))
        };
        self.push(at, Stream::Events, serde_json::to_string(&record).ok());
    }

    /// The controller's word on a change of scale; it names no node.
    pub(super) fn scaled(&mut self, revision: &Revision, at: Timestamp, replicas: usize) {
        let Workload { namespace, name, .. } = revision.workload;
        let (uid, object_uid) = (self.rng.uuid(), self.rng.uuid());
        let message = format!("Scaled replica set {name}{} to {replicas}", revision.infix);
        let metadata = Metadata {
            name: format!("{name}.{}", self.rng.hex(16)),
            namespace,
            uid: &uid,
            resource_version: self.rng.between(100_000, 999_999).to_string(),
            creation_timestamp: Seconds(at),
        };
        let object = InvolvedObject {
            kind: "Deployment",
            namespace,
            name,
            uid: &object_uid,
            api_version: "apps/v1",
            field_path: None,
        };
        let record = EventRecord {
            source: Source { component: "deployment-controller", host: "" },
            first_timestamp: Some(Seconds(at)),
            last_timestamp: Some(Seconds(at)),
            count: Some(1),
            ..EventRecord::new("ScalingReplicaSet", &message, metadata, object)
        };
        self.push(at, Stream::Events, serde_json::to_string(&record).ok());
    }

    fn push(&mut self, at: Timestamp, stream: Stream, value: Option<String>) {
        // No value cannot happen, see `log_record`; a record left out would fail the scenarios' own tests.
        if let Some(value) = value.filter(|_| at < self.end) {
            self.records.push(ScenarioRecord { at, stream, key: None, value });
        }
    }
}

/// An event that may repeat.
pub(super) struct Series {
    reason: &'static str,
    event_type: &'static str,
    message: String,
    uid: String,
    name_part: String,
    first: Option<Timestamp>,
    count: u32,
}

impl Series {
    pub(super) fn of_kubelet(rng: &mut Rng, reason: &'static str, event_type: &'static str, message: String) -> Self {
        Series { reason, event_type, message, uid: rng.uuid(), name_part: rng.hex(16), first: None, count: 0 }
    }
}
